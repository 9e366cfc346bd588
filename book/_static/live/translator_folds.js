// What folds out below the translator: other words, maps of all heads, what to break, and what to keep.
//
// A fold is made with the desk of a translator (see translator.js) and gives {title, body, fits, show, point}: fits says
// whether there is something to show of this model, show shows another result, point another chosen word.
// Needs elements.js, decoding.js and weight_maps.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { h, valueOf, reachable } = minattn.elements;

  const RUNNERS_UP = 5;

  const quoted = (word) => `“${word}”`;
  const percent = (x) => `${(100 * x).toFixed(1)}%`;
  const exact = (p) => (p < 0.0005 ? "< 0.001" : p.toFixed(3));
  const button = (text, onclick, attributes = {}) => h("button", { type: "button", onclick, ...attributes }, text);
  const status = () => h("p", { class: "status", role: "status" });

  // ---- other words -----------------------------------------------------------------------

  function otherWords(desk) {
    const { least, most, step } = desk.temperatures;
    const slider = h("input", {
      type: "range", id: `${desk.id}-temperature`, min: least, max: most, step,
      oninput: () => desk.warm(Number(slider.value)),
    });
    const degrees = valueOf(slider.id);
    const caption = h("caption");
    const words = h("tbody");
    const note = h("p", { class: "note" });

    function show() {
      const { steps } = desk.result;
      const probabilities = desk.probabilitiesOf(steps[desk.chosen]);
      const before = steps.slice(0, desk.chosen).map(({ token }) => token);
      const order = probabilities.map((p, id) => ({ p, word: desk.result.model.target.tokens[id] }))
        .sort((a, b) => b.p - a.p);
      const taken = steps[desk.chosen].token;
      slider.value = desk.temperature;
      degrees.textContent = desk.temperature.toFixed(2);
      slider.setAttribute("aria-valuetext", `temperature ${degrees.textContent}`);
      caption.textContent = before.length
        ? `After ${quoted(before.slice(-4).join(" "))} it found these the likeliest`
        : "At the start it found these the likeliest";
      words.replaceChildren(...order.slice(0, RUNNERS_UP).map(({ p, word }) =>
        h("tr", { style: `--weight: ${percent(p)}` },
          h("th", { scope: "row" }, word, word === taken ? h("b", {}, " (written)") : ""),
          h("td", {}, exact(p)))));
      note.textContent = desk.result.drawnAt
        ? `These words were drawn at temperature ${desk.result.drawnAt.toFixed(2)}. ` +
          "“Translate” takes the likeliest ones again."
        : "The temperature changes how probable the words are, and not their order. " +
          "So what is written stays, as long as the likeliest word is taken.";
    }

    return {
      title: "Other words, and the temperature",
      fits: () => true,
      show,
      point: show,
      body: h("div", {},
        h("table", { class: "runners" }, caption, h("thead", { class: "unseen" },
          h("tr", {}, h("th", { scope: "col" }, "word"), h("th", { scope: "col" }, "probability"))), words),
        h("div", { class: "bar" },
          h("label", { for: slider.id }, "temperature"), degrees, slider,
          button("Draw the words by chance", () => desk.draw())),
        note),
    };
  }

  // ---- maps of all heads -------------------------------------------------------------------

  // Who looks at what; the letters are those of links.
  const LOOKS = {
    c: {
      title: "the decoder, at the German words",
      axes: "row: English word to write; column: German word",
      name: (block) => `decoder.blocks.${block}.cross_attention`,
    },
    e: {
      title: "the encoder, at its own words",
      axes: "row: German word that looks; column: where to",
      name: (block) => `encoder.blocks.${block}.self_attention`,
    },
    d: {
      title: "the decoder, at the words before",
      axes: "row: English word to write; column: word read",
      name: (block) => `decoder.blocks.${block}.self_attention`,
    },
  };

  /** All weights of a kind: blocks x heads, each a matrix; and the words of its rows and columns. */
  function mapsOf({ source, steps, memory }, kind) {
    const written = steps.map(({ token }) => token);
    const over = (part) => Object.keys(steps[0][part]).map((name) =>
      steps[0][part][name].map((_, head) => steps.map((step) => step[part][name][head])));
    if (kind === "c") return { blocks: over("weights"), rows: written, columns: source };
    if (kind === "d") return { blocks: over("selfWeights"), rows: written, columns: steps.map(({ read }) => read) };
    return { blocks: Object.values(memory.weights), rows: source, columns: source };
  }

  function allMaps(desk) {
    let kind = "c";
    let at = { block: 0, head: 0 };
    let row = 0; // of the large map
    let large, drawn;
    const kinds = h("select", { id: `${desk.id}-kind`, onchange: () => choose(kinds.value) },
      ...Object.entries(LOOKS).map(([value, { title }]) => h("option", { value }, title)));
    const who = h("div", { class: "bar" }, h("label", { for: kinds.id }, "who looks"), kinds);
    const small = h("div", {
      class: "all-maps", role: "group", "aria-label": "All blocks and heads; choose one to enlarge",
    });
    const frame = h("div", { class: "large-map" });
    const makeReachable = reachable(frame, "The map, scrolls");
    const rows = h("select", {
      id: `${desk.id}-row`, onchange: () => mark(Number(rows.value)), "aria-describedby": `${desk.id}-row-told`,
    });
    const sentence = h("p", { class: "status", id: `${desk.id}-row-told` });
    const isOnly = () => drawn.blocks.flat().length === 1;
    const head = () => (isOnly() ? "its weights" : `block ${at.block + 1}, head ${at.head + 1}`);

    function choose(next) {
      kind = next;
      show();
    }

    function enlarge(block, head) {
      at = { block, head };
      if (kind === "c") desk.look(block, head); // which shows all anew
      else show();
    }

    function show() {
      const { result } = desk;
      const several = result.model.settings.kind === "transformer";
      if (!several) kind = "c";
      kinds.value = kind;
      who.hidden = !several;
      if (kind === "c" && Number.isInteger(desk.head)) at = { block: desk.block, head: desk.head };
      drawn = mapsOf(result, kind);
      at.block = Math.min(at.block, drawn.blocks.length - 1);
      at.head = Math.min(at.head, drawn.blocks[at.block].length - 1);
      const focused = [...small.children].indexOf(document.activeElement);
      small.replaceChildren(...drawn.blocks.flatMap((heads, block) => heads.map((weights, i) => {
        const is = block === at.block && i === at.head;
        return h("button", { type: "button", "aria-pressed": String(is), onclick: () => enlarge(block, i) },
          minattn.smallMap(weights), h("span", {}, `block ${block + 1}`), h("span", {}, ` head ${i + 1}`));
      })));
      small.hidden = small.children.length === 1;
      small.children[focused]?.focus({ preventScroll: true });
      large = minattn.largeMap({
        weights: drawn.blocks[at.block][at.head], rows: drawn.rows, columns: drawn.columns,
        title: `${LOOKS[kind].title[0].toUpperCase()}${LOOKS[kind].title.slice(1)}: ${head()}`,
        about: `Attention weights between 0 and 1 for the number ${desk.digits(result.number)}, translated by ` +
          `${desk.modelTitle()}. ${LOOKS[kind].axes}. A row sums to 1.` +
          (desk.isTouched() ? " Heads are silent or words hidden." : ""),
        axes: LOOKS[kind].axes,
        choose: mark,
      });
      frame.replaceChildren(large.node);
      rows.replaceChildren(...drawn.rows.map((word, i) => h("option", { value: i }, `${i + 1} ${word}`)));
      row = kind === "e" ? Math.min(row, drawn.rows.length - 1) : desk.chosen;
      tell();
      makeReachable();
    }

    function point() {
      if (kind === "e") return;
      row = desk.chosen;
      tell();
    }

    function mark(i) {
      row = i;
      if (kind === "e") tell();
      else desk.choose(i);
    }

    function tell() {
      rows.value = row;
      large.mark(row);
      const weights = drawn.blocks[at.block][at.head][row];
      const { columns } = drawn;
      const named = (word, j) => (columns.indexOf(word) === columns.lastIndexOf(word) ? word : `${word} (word ${j + 1})`);
      const best = weights.map((weight, j) => ({ weight, word: named(columns[j], j) }))
        .sort((a, b) => b.weight - a.weight).slice(0, 3).filter(({ weight }) => weight >= 0.005);
      sentence.textContent = `${quoted(drawn.rows[row])}: ` +
        `${best.map(({ word, weight }) => `${word} ${weight.toFixed(2)}`).join(", ")}.`;
    }

    return {
      title: "Maps of all its weights",
      fits: () => desk.result.kind !== "final_state",
      show,
      point,
      body: h("div", {}, who, small, frame,
        h("div", { class: "bar" },
          h("label", { for: rows.id }, "row"), rows,
          button("Save the map as SVG", () =>
            minattn.saveMap(large.node, `weights_${desk.result.number}_${kind}${at.block + 1}.${at.head + 1}.svg`))),
        sentence),
    };
  }

  // ---- break it ----------------------------------------------------------------------------

  function breakIt(desk) {
    const heads = h("table", { class: "switches" });
    const words = h("div", { class: "bar words", role: "group", "aria-label": "Hide German words" });
    const aboutWords = h("p", { class: "note" });
    const sentence = status();
    const undo = button("Undo all", () => {
      desk.changes.silent.clear();
      desk.changes.hidden.clear();
      desk.redo();
    });

    const toggle = (set, item) => (set.has(item) ? set.delete(item) : set.add(item));

    function toggleHead(name, head) {
      if (!desk.changes.silent.has(name)) desk.changes.silent.set(name, new Set());
      toggle(desk.changes.silent.get(name), head);
      desk.redo();
    }

    function toggleWord(place) {
      const { hidden } = desk.changes;
      if (!hidden.has(place) && hidden.size === desk.result.source.length - 1) {
        sentence.textContent = "One word at least must be left to look at.";
        return;
      }
      toggle(hidden, place);
      desk.redo();
    }

    function show() {
      const { settings } = desk.result.model;
      const several = settings.kind === "transformer";
      const { activeElement } = document;
      const pressed = [heads, words].some((part) => part.contains(activeElement)) && activeElement.dataset.switch;
      const row = (kind, block) => {
        const name = LOOKS[kind].name(block);
        return h("tr", {},
          h("th", { scope: "row" }, `${LOOKS[kind].title}, block ${block + 1}`),
          h("td", { class: "bar" }, ...Array.from({ length: settings.n_heads }, (_, head) => button(
            String(head + 1), () => toggleHead(name, head), {
              "aria-pressed": String(Boolean(desk.changes.silent.get(name)?.has(head))),
              "aria-label": `Silence head ${head + 1} of ${LOOKS[kind].title}, block ${block + 1}`,
              "data-switch": `${name}.${head}`,
            }))));
      };
      heads.replaceChildren(...(several ? [
        h("caption", {}, "Silence a head: what it finds becomes zero"),
        h("tbody", {}, ...Object.keys(LOOKS).flatMap((kind) =>
          Array.from({ length: settings.n_layers }, (_, block) => row(kind, block)))),
      ] : []));
      aboutWords.textContent = several
        ? "Hide a word: no head may look at it, neither in the encoder nor in the decoder."
        : "Hide a word: the decoder may not look at it. The encoder still reads it, and passes on what it read.";
      words.replaceChildren(...desk.result.source.map((word, j) => button(word, () => toggleWord(j), {
        lang: "de", "aria-pressed": String(desk.changes.hidden.has(j)), "data-switch": `word.${j}`,
        "aria-label": `Hide ${word}, word ${j + 1}`,
      })));
      if (pressed) { // it was made anew
        [...heads.querySelectorAll("button"), ...words.children]
          .find((made) => made.dataset.switch === pressed)?.focus({ preventScroll: true });
      }
      sentence.textContent = desk.tellChange() || "Nothing is silent or hidden.";
      undo.disabled = !desk.isTouched();
    }

    return {
      title: "Silence heads, hide words",
      fits: () => desk.result.kind !== "final_state",
      show,
      point: () => {},
      body: h("div", {}, heads, aboutWords, words, h("div", { class: "bar" }, undo), sentence),
    };
  }

  // ---- keep it -----------------------------------------------------------------------------

  function keepIt(desk) {
    const sentence = status();
    const address = h("input", { type: "text", id: `${desk.id}-address`, readonly: true, autocomplete: "off" });
    const shown = h("p", { class: "address" }, h("label", { for: address.id }, "The link, to copy by hand"), address);
    const file = h("input", {
      type: "file", id: `${desk.id}-file`, accept: ".js,.json,text/javascript", onchange: () => open(),
      "aria-describedby": `${desk.id}-file-note`,
    });
    const copy = button("Copy a link to what is shown", async () => {
      address.value = desk.link();
      try {
        await navigator.clipboard.writeText(address.value);
        shown.hidden = true;
        sentence.textContent = "The link is copied.";
      } catch { // not allowed here: the reader can copy it all the same
        shown.hidden = false;
        address.focus();
        address.select();
        sentence.textContent = "The link is in the field, and chosen.";
      }
    });
    shown.hidden = true;

    async function open() {
      const [chosen] = file.files;
      if (!chosen) return;
      sentence.textContent = `Opening ${chosen.name} …`;
      try {
        await desk.open(chosen);
        sentence.textContent = `${chosen.name} is open, and the menu of models has it. It was sent nowhere.`;
      } catch (error) {
        sentence.textContent = error.message;
      }
      file.value = ""; // the same file can be chosen again
    }

    return {
      title: "A link to this, and a model of your own",
      fits: () => true,
      show: () => {
        copy.disabled = desk.isOwn();
        shown.hidden = true;
        if (copy.disabled) sentence.textContent = "A link cannot carry a model of your own.";
        else if (sentence.textContent.startsWith("A link cannot")) sentence.textContent = "";
      },
      point: () => {},
      body: h("div", {},
        h("div", { class: "bar" }, copy), shown,
        h("div", { class: "bar" }, h("label", { for: file.id }, "Open a file of your own"), file),
        h("p", { class: "note", id: `${desk.id}-file-note` },
          "Write the file with export_live of minattn.live_export. It is read here and sent nowhere."),
        sentence),
    };
  }

  Object.assign(minattn, { translatorFolds: [otherWords, allMaps, breakIt, keepIt], translatorPlaces: LOOKS });
})();
