// The live place of chapter 20: say three words for a digit or five for two, and see eight of them drawn, code by code;
// which word each code asks; and what is drawn if a word is hidden. All is computed here, by drawing_model.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, s, set, linkTo, valueOf } = minattn.elements;

  const EXAMPLES = ["a bold seven", "a thin four", "a three and a seven", "a seven bold", "anything anything anything"];
  const KINDS = {
    3: { file: "drawing_one", chooser: true },
    5: { file: "drawing_two", chooser: false },
  };
  const N = 8; // drawings
  const WORTH_WAITING = 30; // milliseconds of work, before the page is let go on

  const two = (x) => x.toFixed(2).replace("-", "−");
  const option = (value, text = value) => h("option", { value }, text);
  const largest = (row) => row.indexOf(Math.max(...row));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  /** Ink on paper, from bytes of ink. */
  function draw(canvas, bytes) {
    const pixels = new ImageData(canvas.width, canvas.height);
    bytes.forEach((ink, i) => pixels.data.set([255 - ink, 255 - ink, 255 - ink, 255], 4 * i));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  const coloured = (weight) => {
    const colour = viridis(weight);
    return `background: rgb(${colour}); color: ${readableOn(colour)}`;
  };

  let made = 0; // so that names are unique where a page has two

  minattn.widgets.drawing = (element, state) => {
    const id = `drawing-${(made += 1)}`;
    let asked = null; // {words, model, chooser, drawn, hidden}
    let seed = Math.max(1, Math.floor(Number(state?.get("seed")) || 1));
    let wished = new Set((state?.get("hidden") ?? "").split(",").map(Number)); // what a link hides, until it was done
    let latest = 0; // counts what was asked for: an answer that comes too late is dropped
    let begun = 0; // counts the drawings of eight: one that another takes the place of is dropped
    let chosen = 0; // the drawing that is looked at closely
    let code = 0; // and its code
    let watched = 0; // and the word whose map is drawn

    // ---- what stands there ----------------------------------------------------------------------

    const field = h("input", {
      type: "text", id: `${id}-field`, value: state?.get("words") || element.dataset.words || EXAMPLES[0],
      autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": `${id}-message`,
    });
    const select = (name, values, value) => {
      const menu = h("select", { id: `${id}-${name}`, onchange: () => ask({ still: true }) },
        ...values.map(([number, text]) => option(number, text)));
      const wished = state?.get(name);
      menu.value = [...menu.options].some((one) => one.value === wished) ? wished : value;
      return menu;
    };
    const temperatures = select("temperature",
      [["0", "0: the likeliest"], ["0.5"], ["0.8"], ["1"], ["1.3"]].map(([x, text]) => [x, text ?? x]), "1");
    const scales = select("guidance", ["0", "1", "2", "4", "8"].map((x) => [x, x === "0" ? "0: words not heard" : x]), "2");
    const labelled = (text, control) => h("span", { class: "pair" }, h("label", { for: control.id }, text), control);
    const message = h("p", { class: "message", id: `${id}-message`, role: "status" });
    const hides = h("fieldset", { class: "hides" });
    const gallery = h("ol", { class: "gallery" });
    const verdict = h("p", { class: "verdict", role: "status" });
    const link = h("a", {}, "A link to this");

    const large = h("canvas");
    const frame = s("rect", { class: "now", width: 1, height: 1 });
    const lines = s("svg", { "aria-hidden": "true", preserveAspectRatio: "none" }, frame);
    const stage = h("div", { class: "stage", onclick: (event) => pointed(event) }, large, lines);
    const map = h("canvas", { role: "img" });
    const slider = h("input", {
      type: "range", id: `${id}-code`, min: 1, step: 1, oninput: () => look(Number(slider.value) - 1),
    });
    const where = valueOf(slider.id);
    const blocks = h("select", { id: `${id}-block`, onchange: () => look(code) },
      option(0, "first"), option(1, "second"));
    const looks = h("div", { class: "looks" });
    const mapName = h("figcaption");
    const numbers = h("table", { class: "numbers" });
    const results = h("div", { class: "result" },
      hides, gallery, verdict,
      h("div", { class: "close" },
        h("figure", {}, stage, h("figcaption", {}, "the drawing: choose a patch")),
        h("figure", {}, map, mapName)),
      h("div", { class: "bar" }, h("label", { for: slider.id }, "code"), slider, where,
        labelled("block", blocks)),
      looks,
      h("p", {}, link),
      h("details", { ontoggle: () => number() }, h("summary", {}, "The same in numbers"), numbers),
      h("p", { class: "credit" }, "The codes are typical patches of ",
        h("a", { href: "https://doi.org/10.24432/C50P49" }, "digits by E. Alpaydin and C. Kaynak"), ", CC BY 4.0."));
    results.hidden = true;

    element.replaceChildren(h("div", { class: "drawing" },
      h("form", { onsubmit: (event) => { event.preventDefault(); seed += 1; ask({ still: true }); } },
        h("label", { for: field.id }, "Three words for one digit, or five for two"),
        h("div", { class: "bar" }, field, h("button", {}, "Draw eight more"))),
      h("div", { class: "bar examples" }, ...EXAMPLES.map((words) =>
        h("button", { type: "button", onclick: () => { field.value = words; ask(); } }, words))),
      h("div", { class: "bar" }, labelled("temperature", temperatures), labelled("guidance", scales)),
      message, results));
    field.addEventListener("change", () => { if (field.value.trim() !== asked?.words.join(" ")) ask(); });

    const isBusy = () => results.hasAttribute("aria-busy");

    // ---- asking ---------------------------------------------------------------------------------

    function say(text, wrong = false) {
      message.textContent = text;
      message.classList.toggle("wrong", wrong);
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }

    /** Say something that is less than what is wrong with the words. */
    function hint(text) {
      if (!field.hasAttribute("aria-invalid")) say(text);
    }

    /** ?live=drawing&words=...&temperature=...&guidance=...&seed=...&hidden=2,3, words counted from 1. */
    function address() {
      const { words, hidden } = asked;
      return linkTo({
        live: "drawing", words: words.join(" "), temperature: temperatures.value, guidance: scales.value, seed,
        ...(hidden.size ? { hidden: [...hidden].join() } : {}),
      });
    }

    function typed() {
      const list = field.value.toLowerCase().replaceAll(/[.,!?"“”]/g, " ").split(/\s+/).filter(Boolean);
      if (!KINDS[list.length]) {
        throw new Error(
          `Say three words, as in “${EXAMPLES[0]}”, or five, as in “${EXAMPLES[2]}”: these are ${list.length}.`);
      }
      return list;
    }

    function check(list, { tokens }) {
      const words = tokens.filter((word) => !word.startsWith("<") && word !== "|");
      const strange = list.find((word) => !words.includes(word));
      if (strange !== undefined) {
        throw new Error(`The model has never read “${strange.slice(0, 20)}”. It knows ${words.join(", ")}.`);
      }
    }

    const below = () => (asked ? ` Below is still “${asked.words.join(" ")}”.` : "");

    /** still: if what is typed cannot be read, draw the words from before, for something else has changed. */
    async function ask({ still = false } = {}) {
      const mine = (latest += 1);
      let [list, model, chooser] = [];
      try {
        list = typed();
        const kind = KINDS[list.length];
        if (!asked || asked.words.length !== list.length) say("Loading the model …");
        [model, chooser] = await Promise.all(
          [minattn.loadModel(kind.file), kind.chooser ? minattn.loadModel("drawing_clip") : null]);
        if (mine !== latest) return;
        check(list, model);
      } catch (error) { // what was there stays
        if (mine !== latest) return;
        say(error.message + below(), true);
        if (!asked || !still) return;
        ({ words: list, model, chooser } = asked);
      }
      if (asked?.words.join(" ") !== list.join(" ")) { // other words: nothing is hidden, and the first name is watched
        const names = list.map((word, i) => i).filter((i) => !["a", "and", "anything"].includes(list[i]));
        watched = list.length === 3 ? names.at(-1) ?? 0 : names[0] ?? 0;
        chooseWords(list);
      }
      const hidden = new Set([...hides.querySelectorAll("input")].flatMap((box, i) => (box.checked ? [i + 1] : [])));
      asked = { words: list, model, chooser, hidden, drawn: [], scale: Number(scales.value) };
      hint("Drawing …");
      await drawAll();
    }

    /** Draw eight, all of them code by code, so that one sees them grow. */
    async function drawAll() {
      const mine = (begun += 1);
      const { words, model, hidden, scale } = asked;
      const temperature = Number(temperatures.value);
      const n = model.cells(words.length);
      const beginning = model.begin(words, hidden);
      asked.drawn = Array.from({ length: N }, (_, i) =>
        ({ at: beginning, codes: [], weights: [], chances: [], random: minattn.seeded(1000 * seed + i) }));
      lay(n);
      results.hidden = false;
      results.setAttribute("aria-busy", "true");
      let since = performance.now();
      for (let i = 0; i < n; i++) {
        for (const one of asked.drawn) {
          const logits = model.guided(one.at, scale);
          const next = minattn.choose(logits, temperature, one.random);
          one.weights.push(one.at.told.weights);
          one.codes.push(next);
          if (i < n - 1) one.at = model.next(one.at, next, hidden);
          if (performance.now() - since > WORTH_WAITING) {
            if (!calm.matches) showAll(n);
            await new Promise((go) => setTimeout(go));
            if (mine !== begun) return;
            since = performance.now();
          }
        }
      }
      showAll(n);
      results.removeAttribute("aria-busy");
      hint("");
      tell();
      link.href = address();
      choose(Math.min(chosen, N - 1));
    }

    // ---- showing --------------------------------------------------------------------------------

    const high = (n) => n / asked.model.columns;

    /** Make the words that can be hidden. */
    function chooseWords(list) {
      hides.replaceChildren(h("legend", {}, "Hide a word from every query"), ...list.map((word, i) =>
        h("label", {}, h("input", {
          type: "checkbox", checked: wished.has(i + 1), onchange: () => ask({ still: true }), id: `${id}-hide-${i}`,
        }), word)));
      wished = new Set();
    }

    /** Make room for eight drawings. */
    function lay(n) {
      const size = { width: 2 * asked.model.columns, height: 2 * high(n) };
      if (gallery.children.length === N && gallery.querySelector("canvas").width === size.width) return;
      gallery.classList.toggle("wide", size.width > size.height);
      gallery.replaceChildren(...asked.drawn.map((_, i) => h("li", {},
        h("button", { type: "button", "aria-pressed": String(i === chosen), onclick: () => choose(i) },
          h("canvas", size), h("span", {})))));
      for (const canvas of [large, map]) set(canvas, size);
      map.width /= 2;
      map.height /= 2;
      set(lines, { viewBox: `0 0 ${map.width} ${map.height}` });
      lines.replaceChildren(
        ...Array.from({ length: map.width - 1 }, (_, x) => s("path", { d: `M${x + 1} 0V${map.height}` })),
        ...Array.from({ length: map.height - 1 }, (_, y) => s("path", { d: `M0 ${y + 1}H${map.width}` })), frame);
      slider.max = n;
      code = Math.min(code, n - 1);
    }

    function showAll(n) {
      gallery.querySelectorAll("canvas").forEach((canvas, i) =>
        draw(canvas, asked.model.pixels(asked.drawn[i].codes, n)));
    }

    /** Say how the drawings fit the words, where there is a model that can say it. */
    function tell() {
      const { words, model, chooser, drawn, hidden } = asked;
      const buttons = [...gallery.querySelectorAll("button")];
      const read = chooser && words.every((word) => chooser.ids.has(word)) ? chooser.read(words).vector : null;
      const fits = read && drawn.map(({ codes }) => minattn.dot(chooser.see(model.pixels(codes)).vector, read));
      buttons.forEach((button, i) => {
        const best = fits && i === largest(fits);
        button.lastChild.textContent = fits ? `${two(fits[i])}${best ? " ✓" : ""}` : `${i + 1}`;
        if (fits) button.dataset.value = fits[i];
        else delete button.dataset.value;
        button.setAttribute("aria-label", `Drawing ${i + 1} of “${words.join(" ")}”` +
          (fits ? `, cosine ${two(fits[i])}${best ? ", the best of eight" : ""}` : ""));
      });
      const unseen = [...hidden].map((place) => words[place - 1]);
      const different = new Set(drawn.map(({ codes }) => codes.join())).size;
      verdict.textContent =
        (unseen.length ? `No query sees ${unseen.map((word) => `“${word}”`).join(" and ")}. ` : "") +
        (different === 1 ? "All eight are the same. "
          : different < N ? `${different} of the eight are different. ` : "") +
        (fits ? "Below each stands how well the small CLIP says that it fits; ✓ is the best of eight." : "");
    }

    function choose(i) {
      chosen = i;
      gallery.querySelectorAll("button").forEach((button, k) => button.setAttribute("aria-pressed", String(k === i)));
      if (isBusy()) return; // it is looked at when it is there
      draw(large, asked.model.pixels(asked.drawn[i].codes));
      set(large, { role: "img", "aria-label": `Drawing ${i + 1} of “${asked.words.join(" ")}”, large` });
      look(code);
    }

    /** The weights of one code, the mean over the heads: of the beginning, the words, the bar, the codes before. */
    function weightsOf(i) {
      const heads = asked.drawn[chosen].weights[i][Number(blocks.value)];
      return heads[0].map((_, k) => heads.reduce((sum, head) => sum + head[k], 0) / heads.length);
    }

    function look(to) {
      code = to;
      if (isBusy()) return;
      const { words, model, drawn } = asked;
      const n = drawn[chosen].codes.length;
      slider.value = code + 1;
      where.textContent = `${code + 1} of ${n}`;
      slider.setAttribute("aria-valuetext",
        `${code + 1} of ${n}: row ${Math.floor(code / model.columns) + 1}, column ${(code % model.columns) + 1}`);
      set(frame, { x: code % model.columns, y: Math.floor(code / model.columns) });
      const weights = weightsOf(code);
      const parts = [...words, "|"].map((word, i) => [word, weights[i + 1]]);
      const before = weights.slice(words.length + 2).reduce((sum, x) => sum + x, 0);
      looks.replaceChildren(
        h("p", {}, "When this code was written, it looked at the words so much. A word shows its map." +
          (asked.scale ? "" : " At guidance 0 nothing of this reaches the code.")),
        ...parts.map(([word, weight], i) => h("button", {
          type: "button", "aria-pressed": String(i === watched), style: coloured(weight), "data-value": weight,
          "aria-label": `${word === "|" ? "the bar" : word}: weight ${two(weight)}`,
          onclick: () => { watched = i; look(code); looks.querySelectorAll("button")[i].focus(); },
        }, word, h("small", {}, two(weight)))),
        h("span", { class: "other" }, "beginning ", h("small", {}, two(weights[0]))),
        h("span", { class: "other" }, "codes before ", h("small", {}, two(before))));
      const all = Array.from({ length: n }, (_, i) => weightsOf(i)[watched + 1]);
      const most = Math.max(...all, 1e-9);
      const pixels = new ImageData(map.width, map.height);
      all.forEach((weight, i) => pixels.data.set([...viridis(weight / most), 255], 4 * i));
      map.getContext("2d").putImageData(pixels, 0, 0);
      const name = parts[watched][0];
      mapName.textContent = asked.hidden.has(watched + 1)
        ? `“${name}” is hidden: no patch can ask it`
        : `how much each patch asked “${name}”; brightest: ${two(most)}`;
      set(map, { "aria-label": `Map of the weights on “${name}”, a cell for each of ${n} codes` });
      number();
    }

    /** All weights of the drawing on the words; only where they are seen. */
    function number() {
      if (!numbers.closest("details").open || !asked) return;
      const { words, drawn, model } = asked;
      numbers.replaceChildren(
        h("caption", {}, "Weights on the words, in hundredths, a row for each code"),
        h("thead", {}, h("tr", {}, ...["row, column", ...words].map((word) => h("th", { scope: "col" }, word)))),
        h("tbody", {}, ...drawn[chosen].codes.map((_, i) => h("tr", {},
          h("th", { scope: "row" }, `${Math.floor(i / model.columns) + 1}, ${(i % model.columns) + 1}`),
          ...weightsOf(i).slice(1, words.length + 1).map((weight) => h("td", {}, String(Math.round(100 * weight))))))));
    }

    function pointed(event) {
      if (!asked || isBusy()) return;
      const box = stage.getBoundingClientRect();
      const at = (from, size, cells) => Math.min(Math.max(Math.floor((from / size) * cells), 0), cells - 1);
      const x = at(event.clientX - box.left, box.width, map.width);
      const y = at(event.clientY - box.top, box.height, map.height);
      look(y * map.width + x);
    }

    ask();
  };
})();
