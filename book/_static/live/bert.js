// The BERT of chapter 11: hide words or digits of a number that is written twice, see what it says stood there, and
// where each gap looks. The arithmetic is in bert_model.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, openPlace, linkTo, plainDigits } = minattn.elements;

  const MASK = "<mask>";
  const [SMALLEST, LARGEST] = [1000, 999999];
  const ADVICE = "Type a whole number from 1,000 to 999,999, in digits or in German words. It has learned from these.";
  const TOP = 4;
  const CHANCE = 0.15; // as in its training

  const share = (p) => p.toFixed(2);
  const largest = (row) => row.indexOf(Math.max(...row));
  const listed = (n) => n.toLocaleString("en");
  const coloured = (weight) => {
    const colour = viridis(weight);
    return `background: rgb(${colour}); color: ${readableOn(colour)}`;
  };

  let made = 0; // so that names are unique where a page has two

  function place(replace, model, state) {
    const id = `bert-${(made += 1)}`;
    let number = null;
    let text = null; // {tokens, saidBy}
    let hidden = new Set(); // places in tokens
    let chosen = null; // the gap whose look is shown
    let answers = new Map(); // what is said of each gap: {probabilities, weights}

    // ---- what there is ----------------------------------------------------------------------------

    const input = (name, attributes) => h("input", {
      type: "text", id: `${id}-${name}`, autocomplete: "off", autocapitalize: "none", spellcheck: "false",
      "aria-describedby": `${id}-message`, ...attributes,
    });
    const field = input("number");
    const right = input("digits", { inputmode: "numeric", size: 7 });
    const form = h("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); take(field.value); } },
      h("label", { for: field.id }, "A number"), field, h("button", {}, "Write it"),
      h("button", { type: "button", onclick: () => take(String(anyNumber())) }, "Any other"));
    const wrong = h("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); change(right.value); } },
      h("label", { for: right.id }, "Other digits on the right"), right, h("button", {}, "Change"));
    const message = h("p", { class: "message", id: `${id}-message`, role: "status" });
    const words = h("div", { class: "tokens", lang: "de", role: "group", "aria-label": "The text: choose what is hidden" });
    const alone = h("input", { type: "checkbox", id: `${id}-alone`, onchange: () => show() });
    const told = h("p", { class: "told", role: "status" });
    const gaps = h("div", { class: "gaps" });
    const looking = h("p", { class: "title" });
    const rings = h("span");
    const map = h("table", { class: "map" });
    const numbers = h("tbody");
    const looks = h("div", {},
      looking,
      h("p", { class: "note" }, "Weight ",
        h("span", {}, ...[0, 0.25, 0.5, 0.75, 1].map((weight) =>
          h("span", { class: "stop", style: coloured(weight) }, String(weight)))),
        " Each row is a head. ", rings),
      map,
      h("details", {}, h("summary", {}, "The same in numbers"),
        h("table", { class: "numbers" },
          h("thead", {}, h("tr", {}, ...["head", "looks most at", "then at"].map((name) => h("th", { scope: "col" }, name)))),
          numbers)));
    const link = h("a", {}, "A link to this");
    const option = (name, which) => h("button", { type: "button", onclick: () => hide(which()) }, name);
    const places = (fits) => () => text.tokens.map((_, i) => i).filter((i) => i !== equals() && fits(i));

    replace(
      form, wrong, message,
      h("p", { class: "title" }, "Hide what you like"),
      words,
      h("div", { class: "bar" },
        option("all digits", places((i) => i > equals())),
        option("all words", places((i) => i < equals())),
        option("some, by chance", places(() => Math.random() < CHANCE)),
        option("nothing", () => [])),
      h("label", { class: "switch", for: alone.id }, alone, "ask for each gap alone, with all the others to read"),
      h("p", { class: "title" }, "What it says stood there"),
      told, gaps, looks,
      h("p", { class: "note" }, link));

    // ---- the text ---------------------------------------------------------------------------------

    const equals = () => text.tokens.indexOf("=");
    const anyNumber = () => {
      const length = 4 + Math.floor(3 * Math.random()); // each length as likely
      return Math.floor(10 ** (length - 1) * (1 + 9 * Math.random()));
    };

    function say(words = "", at = null) {
      message.textContent = words;
      message.classList.toggle("wrong", Boolean(at));
      for (const one of [field, right]) {
        if (one === at) one.setAttribute("aria-invalid", "true");
        else one.removeAttribute("aria-invalid");
      }
    }

    function readNumber(typed) {
      const found = minattn.readGerman(typed);
      if (found < SMALLEST || found > LARGEST) throw new Error(ADVICE);
      return found;
    }

    /** Write another number; what is hidden is its digits, for the places of the old one mean nothing here. */
    function take(typed) {
      let found;
      try {
        found = readNumber(typed);
      } catch {
        say(`${ADVICE}${number ? ` Below is still ${listed(number)}.` : ""}`, field);
        return false;
      }
      number = found;
      field.value = listed(number);
      right.value = String(number);
      text = minattn.twoNotationsText(number);
      say();
      hide(places((i) => i > equals())());
      return true;
    }

    /** Write other digits beside the same words. */
    function change(typed) {
      const digits = plainDigits(typed).replace(/[\s.,'’]/g, "");
      const n = String(number).length;
      if (!/^\d+$/.test(digits) || digits.length !== n) {
        say(`Type ${n} digits here, as many as ${listed(number)} has.`, right);
        return;
      }
      right.value = digits;
      text = minattn.twoNotationsText(number, digits);
      say(digits === String(number) ? "" : "Now the two sides do not agree. Ask for each gap alone: does it notice?");
      show();
    }

    function hide(which) {
      hidden = new Set(which);
      show();
    }

    // ---- what it says -----------------------------------------------------------------------------

    const masked = (which) => ["<bos>", ...text.tokens.map((token, i) => (which.has(i) ? MASK : token)), "<eos>"];

    function ask() {
      const order = [...hidden].sort((a, b) => a - b);
      const together = alone.checked || !order.length ? null : model.read(masked(hidden));
      return new Map(order.map((i) => {
        const { probabilities, weights } = together ?? model.read(masked(new Set([i])));
        return [i, { probabilities: probabilities[i + 1], weights: weights.map((heads) => heads.map((rows) => rows[i + 1])) }];
      }));
    }

    const bestOf = (i) => model.tokens[largest(answers.get(i).probabilities)];

    const firstGap = () =>
      [...answers.keys()].find((i) => text.saidBy[i] !== null) ?? [...answers.keys()][0] ?? null;

    function show() {
      answers = ask();
      if (!hidden.has(chosen)) chosen = firstGap();
      drawWords();
      drawGaps();
      drawLooks();
      link.href = address();
    }

    function drawWords() {
      const focused = [...words.children].indexOf(document.activeElement);
      words.replaceChildren(...text.tokens.map((token, i) => {
        if (i === equals()) return h("span", { class: "equals" }, token);
        const gap = hidden.has(i);
        const says = gap ? bestOf(i) : null;
        return h("button", {
          type: "button", "aria-pressed": String(gap), class: gap && says !== token ? "missed" : null,
          "aria-label": gap ? `${token}, hidden; it says ${says}` : `${token}, hide it`,
          onclick: () => {
            if (gap) hidden.delete(i);
            else {
              hidden.add(i);
              chosen = i;
            }
            show();
          },
        }, gap ? h("s", {}, token) : token, ...(gap ? [h("small", {}, says === token ? `✓ ${says}` : `✗ ${says}`)] : []));
      }));
      if (focused >= 0) words.children[focused]?.focus({ preventScroll: true });
    }

    function drawGaps() {
      const all = [...answers.keys()];
      const right = all.filter((i) => bestOf(i) === text.tokens[i]).length;
      told.textContent = !all.length
        ? "Nothing is hidden. Choose a word or a digit above."
        : right === all.length
          ? `It says what stood there, in ${all.length === 1 ? "the one gap" : `all ${all.length} gaps`}.`
          : `It says what stood there in ${right} of ${all.length} ${all.length === 1 ? "gap" : "gaps"}.`;
      gaps.replaceChildren(...all.map((i) => {
        const { probabilities } = answers.get(i);
        const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, TOP);
        return h("div", { class: i === chosen ? "gap chosen" : "gap" },
          h("button", {
            type: "button", "aria-pressed": String(i === chosen),
            onclick: () => {
              chosen = i;
              drawGaps();
              drawLooks();
              link.href = address();
              gaps.querySelector(".chosen button").focus({ preventScroll: true });
            },
          }, h("b", {}, text.tokens[i]), h("span", { class: "where" }, " stood here: where does it look?")),
          h("ol", { lang: "de" }, ...order.map((token) => h("li", {},
            h("span", {}, model.tokens[token], model.tokens[token] === text.tokens[i] ? " ✓" : ""),
            h("span", { class: "track", "aria-hidden": "true" },
              h("span", { class: "filled", style: `width: ${100 * probabilities[token]}%` })),
            h("span", { class: "number" }, share(probabilities[token]))))));
      }));
    }

    // ---- where a gap looks ------------------------------------------------------------------------

    function rowsOf(weights) {
      const last = weights.at(-1);
      const mean = last[0].map((_, j) => last.reduce((sum, row) => sum + row[j], 0) / last.length);
      return [
        ...weights.flatMap((heads, layer) => heads.map((row, head) => ({ name: `${layer + 1}.${head + 1}`, row }))),
        { name: "mean", row: mean, about: `mean of layer ${weights.length}` },
      ];
    }

    /** Where the answer stands on the other side: the word that says a digit, or the digits that a word says. */
    function ringsOf(gap) {
      const isDigit = gap > equals();
      const found = isDigit
        ? [text.saidBy[gap]].filter((word) => word !== null)
        : places((i) => text.saidBy[i] === gap)();
      rings.textContent = isDigit
        ? found.length ? "A ring marks the word that says this digit." : "No word says this digit, so there is no ring."
        : found.length ? "Rings mark the digits that this word says." : "No single digit is said by this word, so there is no ring.";
      return new Set(found.map((i) => i + 1)); // <bos> stands in front
    }

    function drawLooks() {
      looks.hidden = chosen === null;
      if (chosen === null) return;
      const read = masked(alone.checked ? new Set([chosen]) : hidden);
      const ringed = ringsOf(chosen);
      const rows = rowsOf(answers.get(chosen).weights);
      const plain = (j) => (read[j] === MASK ? (j === chosen + 1 ? "this gap" : "a gap") : read[j]);
      looking.textContent = `Where the gap of “${text.tokens[chosen]}” looks`;
      map.replaceChildren(
        h("caption", { class: "unseen" }, "Rows are heads, as layer and head; mean is that of the last layer. Columns are tokens."),
        h("thead", {}, h("tr", {}, h("td", {}), ...read.map((token, j) =>
          h("th", { scope: "col", class: j === chosen + 1 ? "asks" : null }, h("span", {}, token === MASK ? "▢" : token))))),
        h("tbody", {}, ...rows.map(({ name, row, about }) => h("tr", { class: about ? "mean" : null },
          h("th", { scope: "row" }, name),
          ...row.map((weight, j) => h("td", { class: ringed.has(j) ? "ringed" : null, style: coloured(weight) },
            h("span", {}, share(weight).replace(/^0/, ""))))))));
      numbers.replaceChildren(...rows.map(({ name, row, about }) => {
        const order = [...row.keys()].sort((a, b) => row[b] - row[a]);
        const at = (j) => h("td", {}, `${plain(j)}${ringed.has(j) ? " (ringed)" : ""} ${share(row[j])}`);
        return h("tr", {}, h("th", { scope: "row" }, about ?? name), at(order[0]), at(order[1]));
      }));
    }

    // ---- links: ?live=bert&number=...&digits=...&hidden=4,5&gap=5&alone=1, places counted from 1 ---

    function address() {
      const asked = new URLSearchParams({ live: "bert", number });
      const digits = text.tokens.slice(equals() + 1).join("");
      if (digits !== String(number)) asked.set("digits", digits);
      asked.set("hidden", [...answers.keys()].map((i) => i + 1).join(","));
      if (chosen !== null && chosen !== firstGap()) asked.set("gap", chosen + 1);
      if (alone.checked) asked.set("alone", 1);
      return linkTo(asked);
    }

    const asked = state.get("number") ?? "582316";
    const isThere = take(asked);
    if (!isThere) take("582316");
    alone.checked = state.has("alone");
    if (isThere && state.has("digits")) change(state.get("digits"));
    if (state.has("gap")) chosen = Number(state.get("gap")) - 1; // show() has another, if it is none
    const wanted = state.get("hidden")?.split(",").map((place) => place - 1);
    hide(wanted ? places((i) => wanted.includes(i))() : [...hidden]);
    if (!isThere) say(`The link asks for a number that is not here. ${ADVICE}`, field);
  }

  minattn.widgets.bert = (element, state = new URLSearchParams()) =>
    openPlace(element, "bert", "The model is being loaded.", async (replace) =>
      place(replace, await minattn.loadModel("bert"), state));
})();
