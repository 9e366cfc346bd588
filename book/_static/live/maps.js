// The explorer of recorded attention maps of chapters 4 and 5: choose a token, and see where
// each head looks for it. Nothing is computed here; the weights were recorded beforehand.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, s, set, openPlace } = minattn.elements;

  const FIRST = 2; // the sequence to begin with: the one of the chapter's figure
  const MARGIN = 40; // of a map, for the tokens on its left and above it
  const LEAST_CELL = 10; // smaller, the letters beside it could not be read
  const NUMBER_CELL = 25; // from here on a weight fits into its cell
  const PAUSE = 250; // milliseconds of rest before the sentence is spoken

  // ---- words and colours -----------------------------------------------------------------

  const MARKS = { "<bos>": "the beginning mark", "<eos>": "the end mark" };
  const isMark = (token) => Object.hasOwn(MARKS, token);
  const called = (token) => MARKS[token] ?? `letter ${token}`;

  function place(key, query, tokens) {
    if (key === query) return "itself";
    return MARKS[tokens[key]] ?? `${tokens[key]}, position ${key + 1}`;
  }

  const largest = (row) => row.indexOf(Math.max(...row));

  // One sentence about the row of a query in all heads.
  function describe({ tokens, answers }, heads, query, causal) {
    const looks = heads.map((weights, i) => {
      const row = weights[query];
      const key = largest(row);
      const who = heads.length > 1 ? `head ${i + 1} ` : "it ";
      const verb = i === 0 ? "looks most " : "";
      return `${who}${verb}at ${place(key, query, tokens)} (${row[key].toFixed(2)})`;
    });
    const answer = answers && (MARKS[answers[query]] ?? answers[query]);
    const said = causal ? ` The model guesses ${answer} next.` : ` The model answers ${answer}.`;
    return `Position ${query + 1}, ${called(tokens[query])}: ${looks.join("; ")}.${answer ? said : ""}`;
  }

  // ---- one map ---------------------------------------------------------------------------

  // One row for each query, one column for each key. Where a query may not look, there is no cell.
  function drawMap(weights, tokens, { causal, side, label, hover, choose }) {
    const n = tokens.length;
    const size = Math.max(side, MARGIN + LEAST_CELL * n);
    const cell = (size - MARGIN) / n;
    const start = (i) => MARGIN + i * cell;
    const letters = Math.min(Math.max(10, 0.6 * cell), 13);

    const parts = [];
    weights.forEach((row, query) => row.forEach((weight, key) => {
      if (causal && key > query) return;
      const colour = viridis(weight);
      parts.push(s("rect", {
        x: start(key), y: start(query), width: cell + 0.3, height: cell + 0.3,
        fill: `rgb(${colour})`, "data-value": weight,
      }));
      if (cell < NUMBER_CELL || weight < 0.005) return;
      parts.push(s("text", {
        class: "weight", x: start(key + 0.5), y: start(query + 0.5), fill: readableOn(colour),
      }, weight.toFixed(2)));
    }));

    const left = tokens.map((token, i) =>
      s("text", { class: isMark(token) ? "query small" : "query", x: MARGIN - 4, y: start(i + 0.5) }, token));
    const above = tokens.map((token, i) => {
      const [x, y] = [start(i + 0.5), MARGIN - 6];
      return isMark(token)
        ? s("text", { class: "key small upright", transform: `translate(${x} ${y + 2}) rotate(-90)` }, token)
        : s("text", { class: "key", x, y }, token);
    });

    const frame = ["under", "over"].map((kind) =>
      s("rect", { class: `chosen ${kind}`, x: MARGIN, width: size - MARGIN, height: cell }));
    const node = s("svg", {
      class: "map", viewBox: `0 0 ${size + 2} ${size + 2}`, role: "img", "aria-label": label,
      style: `min-width: ${size + 2}px; --letters: ${letters}px`,
    }, ...parts, ...left, ...above, ...frame);

    const queryAt = (event) => {
      const { top, height } = node.getBoundingClientRect();
      const y = ((event.clientY - top) / height) * (size + 2);
      const query = Math.floor((y - MARGIN) / cell);
      return query >= 0 && query < n ? query : null;
    };
    node.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") hover(queryAt(event));
    });
    node.addEventListener("pointerleave", () => hover(null));
    node.addEventListener("click", (event) => choose(queryAt(event)));

    function mark(query) {
      for (const line of frame) set(line, { y: start(query) });
      left.forEach((text, i) => text.classList.toggle("looking", i === query));
    }
    return { node, mark };
  }

  // ---- the explorer ----------------------------------------------------------------------

  let made = 0; // so that names are unique where a page has two explorers

  function explore(replace, { sequences, causal }) {
    const id = `maps-${(made += 1)}`;
    const nHeads = sequences[0].layers[0].heads.length;
    let sequence; // what is shown, one of sequences
    let layer = sequences[0].layers.length - 1;
    let chosen; // the query whose row is shown ...
    let hovered = null; // ... unless the mouse points at another
    let drawn = [];
    let cells = [];

    const menu = (name, options, onchange) =>
      h("select", { id: `${id}-${name}`, onchange },
        ...options.map((text, i) => h("option", { value: i }, text)));
    const letters = ({ tokens }) => {
      const list = tokens.filter((token) => !isMark(token));
      const said = causal ? list.slice(0, list.length / 2) : list;
      return `${said.length} letters${causal ? ", twice" : ""}: ${said.join(" ")}`;
    };
    const sequenceMenu = menu(
      "sequence", sequences.map(letters), () => begin(Number(sequenceMenu.value)));
    const layerMenu = menu(
      "layer", sequences[0].layers.map((_, i) => `layer ${i + 1}`),
      () => {
        layer = Number(layerMenu.value);
        build();
        show();
      });

    const tokenChoice = h("div", { class: "tokens" });
    const sentence = h("p", { class: "sentence", role: "status", "aria-live": "polite" });
    const maps = h("div", { class: "heads", role: "group", "aria-label": "Maps of attention weights" });
    const table = h("table", { class: "weights" });
    const below = causal
      ? " Below it stands which letter the model guesses next."
      : " Below it stands what the model answers.";
    const scale = [0, 0.25, 0.5, 0.75, 1].map((weight) => {
      const colour = viridis(weight);
      const style = `background: rgb(${colour}); color: ${readableOn(colour)}`;
      return h("span", { class: "stop", style }, String(weight));
    });

    replace(
      h("div", { class: "bar" },
        h("div", {}, h("label", { for: sequenceMenu.id }, "list"), sequenceMenu),
        h("div", {}, h("label", { for: layerMenu.id }, "layer"), layerMenu)),
      h("fieldset", {},
        h("legend", {},
          "Choose the token that looks, here or in a map.",
          sequences[0].answers ? below : ""),
        tokenChoice),
      sentence,
      h("div", { class: nHeads > 1 ? "halves several" : "halves" },
        h("div", {}, maps,
          h("p", { class: "legend" },
            h("span", {}, "a row: who looks (query); a column: what is looked at (key)"),
            h("span", { class: "scale" }, "weight ", ...scale),
            ...(causal ? [h("span", {}, "no cell: comes later, may not be looked at")] : []))),
        h("div", {}, table)));

    function begin(index) {
      sequence = sequences[index];
      const n = sequence.tokens.length;
      // In a list said twice, the second round is where there is something to find.
      chosen = causal ? Math.ceil(n / 2) : 0;
      hovered = null;
      sequenceMenu.value = index;
      layerMenu.value = layer;
      buildTokens();
      build();
      show();
    }

    const choose = (query) => {
      if (query === null) return;
      chosen = query;
      hovered = null;
      show();
    };
    const hover = (query) => {
      if (hovered === query) return;
      hovered = query;
      show();
    };

    // -- what depends on the sequence and on the layer
    function buildTokens() {
      const { tokens, answers } = sequence;
      tokenChoice.replaceChildren(...tokens.map((token, i) => {
        const answer = answers?.[i];
        const said = answer && `, ${causal ? "guesses" : "answers"} ${MARKS[answer] ?? answer}`;
        const point = (event) => event.pointerType === "mouse" && hover(i);
        return h("label", { onpointerenter: point, onpointerleave: () => hover(null) },
          h("input", {
            type: "radio", name: `${id}-query`, value: i, checked: i === chosen,
            "aria-label": `position ${i + 1}, ${called(token)}${said ?? ""}`,
            onchange: () => choose(i),
          }),
          h("span", { class: "token" }, token),
          ...(answer ? [h("span", { class: "answer" }, answer)] : []));
      }));
    }

    function build() {
      const { tokens, layers } = sequence;
      const { heads } = layers[layer];
      drawn = heads.map((weights, i) => drawMap(weights, tokens, {
        causal,
        side: nHeads > 1 ? 160 : 338,
        label: `${nHeads > 1 ? `Head ${i + 1} of layer` : "Layer"} ${layer + 1}: a map of ` +
          `${tokens.length} queries and as many keys. The table has the row of the chosen query.`,
        hover,
        choose,
      }));
      maps.replaceChildren(...drawn.map(({ node }, i) =>
        h("div", { class: "head" }, ...(nHeads > 1 ? [h("p", {}, `head ${i + 1}`)] : []), node)));
      makeReachable();

      const caption = h("caption");
      cells = tokens.map(() =>
        heads.map(() => ({ text: h("span"), bar: h("span", { class: "line" }) })));
      const names = heads.map((_, i) => (nHeads > 1 ? `head ${i + 1}` : "weight"));
      const rows = tokens.map((token, key) =>
        h("tr", {},
          h("th", { scope: "row" }, h("span", { class: "position" }, String(key + 1)), ` ${token}`),
          ...cells[key].map(({ text, bar }) => h("td", {}, text, bar))));
      table.replaceChildren(
        caption,
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "looks at"),
          ...names.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...rows));
    }

    // A map that is too large scrolls inside its box; the keyboard must reach that box.
    function makeReachable() {
      if (maps.scrollWidth > maps.clientWidth + 1) maps.tabIndex = 0;
      else maps.removeAttribute("tabindex");
    }
    new ResizeObserver(makeReachable).observe(maps);

    // -- show the row of one query
    function show() {
      const query = hovered ?? chosen;
      const { heads } = sequence.layers[layer];
      const { tokens } = sequence;
      for (const { mark } of drawn) mark(query);
      [...tokenChoice.children].forEach((label, i) => {
        label.classList.toggle("looking", i === query);
        label.querySelector("input").checked = i === chosen;
      });
      table.caption.replaceChildren(
        "Where ", h("b", {}, `position ${query + 1}, ${called(tokens[query])},`), " looks");
      heads.forEach((weights, head) => {
        const row = weights[query];
        const best = largest(row);
        row.forEach((weight, key) => {
          const { text, bar } = cells[key][head];
          const forbidden = causal && key > query;
          const cell = text.parentNode;
          text.replaceChildren(...(forbidden
            ? [h("span", { "aria-hidden": "true" }, "–"), h("span", { class: "unseen" }, "may not look")]
            : [weight.toFixed(2)]));
          bar.style.setProperty("--weight", weight);
          cell.dataset.value = weight;
          cell.classList.toggle("forbidden", forbidden);
          cell.classList.toggle("most", key === best);
        });
      });
      [...table.tBodies[0].rows].forEach((row, key) => row.classList.toggle("self", key === query));
      announce(query, heads);
    }

    // One sentence when the hand rests: nobody can listen to ten a second.
    let timer;
    function announce(query, heads) {
      clearTimeout(timer);
      const speak = () => (sentence.textContent = describe(sequence, heads, query, causal));
      if (sentence.textContent === "") speak();
      else timer = setTimeout(speak, PAUSE);
    }

    begin(Math.min(FIRST, sequences.length - 1));
  }

  // ---- loading ---------------------------------------------------------------------------

  minattn.widgets.maps = (element) =>
    openPlace(element, "maps", "The maps are being loaded.", async (replace) => {
      if (typeof minattn.loadMaps !== "function") {
        throw new Error("The maps could not be loaded: loading.js is missing.");
      }
      const found = await minattn.loadMaps(element.dataset.maps ?? "");
      if (!found.sequences?.length) throw new Error("The file of the maps holds no sequences.");
      explore(replace, found);
    });
})();
