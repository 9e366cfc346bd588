// The translator of chapters 1, 2 and 6: type a number, and watch a model write it in English, word by
// word, with the German words it looks at. The models are those of minattn.loadModel, and the reader's own; what
// folds out below is in translator_folds.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { h, s, linkTo } = minattn.elements;

  const PAUSE = 180; // milliseconds between two words
  const MOST = 26; // words: the longest number has 23, and the end
  const LEAST = 0.04; // thinner lines are left out
  const ROWS = 4; // words that the table names; the others are summed up
  const MEAN = "mean";
  const TEMPERATURES = { least: 0.25, most: 3, step: 0.05 };

  // What may be chosen; the titles are those of the cards that lie beside the weights.
  const MODELS = {
    fixed: {
      title: "One fixed context vector",
      hint: "All that the decoder knows of the number went through one vector. Try a short number, then one of twelve digits.",
    },
    additive: {
      title: "Additive attention",
      hint: "Before each step the decoder looks back at all German words. Where do two thick lines cross?",
    },
    multiplicative: {
      title: "Multiplicative attention",
      hint: "At each step the decoder looks back at all German words. Where do two thick lines cross?",
    },
    transformer: {
      title: "The Transformer, two blocks",
      hint: "Eight heads look at the German words. Head 2 of block 2 follows them best. What do the others look at?",
      best: { block: 1, head: 1 }, // on the held-out numbers, as in chapter 6
    },
    no_temperature: {
      title: "Multiplicative attention without its temperature",
      hint: "It still translates well, but its weights are sharper, and not always on the word that we would name.",
      broken: true,
    },
    one_way: {
      title: "Multiplicative attention, its encoder reads from left to right only",
      hint: "It still translates well. But look at “three” in “twenty three”: which German word does it look at?",
      broken: true,
    },
  };

  // ---- right and wrong -------------------------------------------------------------------

  /**
   * Compare what was written with what was asked, by the fewest words to change, to add and to leave out.
   * Returns the faults in order, each {at, written, asked}: at counts the written words before it; there is
   * no written word where one is missing, and none was asked where one is too much.
   */
  function compare(written, asked) {
    // cost[i][j]: of making what was asked from word j on out of what was written from word i on.
    const cost = Array.from({ length: written.length + 1 }, (_, i) =>
      Array.from({ length: asked.length + 1 }, (_, j) => written.length - i + asked.length - j));
    for (let i = written.length - 1; i >= 0; i -= 1) {
      for (let j = asked.length - 1; j >= 0; j -= 1) {
        const change = written[i] === asked[j] ? 0 : 1;
        cost[i][j] = Math.min(cost[i + 1][j + 1] + change, cost[i + 1][j] + 1, cost[i][j + 1] + 1);
      }
    }
    const faults = []; // found from the start, so that right words there stay right
    let [i, j] = [0, 0];
    while (i < written.length || j < asked.length) {
      const both = i < written.length && j < asked.length;
      const same = both && written[i] === asked[j];
      if (both && cost[i][j] === cost[i + 1][j + 1] + (same ? 0 : 1)) {
        if (!same) faults.push({ at: i, written: written[i], asked: asked[j], askedAt: j });
        [i, j] = [i + 1, j + 1];
      } else if (i < written.length && cost[i][j] === cost[i + 1][j] + 1) {
        faults.push({ at: i, written: written[i] });
        i += 1;
      } else {
        faults.push({ at: i, asked: asked[j], askedAt: j });
        j += 1;
      }
    }
    return faults;
  }

  function tell({ at, written, asked }) {
    if (!asked) return `Wrong at word ${at + 1}: ${quoted(written)} is too much.`;
    if (written) return `Wrong at word ${at + 1}: ${quoted(written)} where ${quoted(asked)} was asked.`;
    if (!at) return `Wrong from the start: ${quoted(asked)} is missing.`;
    return `Wrong after word ${at}: ${quoted(asked)} is missing.`;
  }

  function verdictOf({ number: asked, faults, finished }) {
    if (!faults.length) return "Right, every word.";
    const more = faults.length - 1;
    const rest = more ? ` ${more === 1 ? "One more mistake is" : `${more} more mistakes are`} marked.` : "";
    return `${tell(faults[0])}${rest}${finished ? "" : " It found no end by itself."}${
      asked % 1e6 ? "" : " Numbers with so many zeros hardly occur among those it was trained on."}`;
  }

  // ---- words and elements ----------------------------------------------------------------

  const quoted = (word) => `“${word}”`;
  const number = (x) => x.toFixed(2);
  const digits = (n) => n.toLocaleString("en");
  const largest = (row) => row.indexOf(Math.max(...row));

  /** A number of three to twelve digits, each length as likely as the others. */
  function randomNumber() {
    const least = 10 ** (2 + Math.floor(10 * Math.random()));
    return least + Math.floor(9 * least * Math.random());
  }

  const option = (value, text) => h("option", { value }, text);

  // ---- the widget ------------------------------------------------------------------------

  let made = 0; // so that names are unique where a page has two translators

  /** state: what a link asks for, as URLSearchParams; see link. */
  minattn.widgets.translator = (element, state = new URLSearchParams()) => {
    if (typeof minattn.loadModel !== "function") {
      element.replaceChildren(
        h("p", {}, "The translator could not be loaded: loading.js is missing."));
      return;
    }
    const id = `translator-${(made += 1)}`;
    const given = { ...element.dataset, ...Object.fromEntries(state) };
    const own = new Map(); // models that the reader opened: {title, model}
    let name = Object.hasOwn(MODELS, given.model) ? given.model : "multiplicative"; // the model whose words are shown
    let result = null;
    const changes = { silent: new Map(), hidden: new Set() }; // as for the encode of translators.js
    let temperature = 1;
    let block, head; // where more than one looks
    let chosen = 0; // the English word that is looked at
    let wished = {}; // what a link asks to look at, until it was done: {head: [block, head], word}
    let shown = 0; // how many of them are there already
    let latest = 0; // counts what was asked for: an answer that comes too late is dropped
    let timer;
    let parts = { sources: [], targets: [], lines: [] };

    // -- what stays
    const field = h("input", {
      type: "text", id: `${id}-field`, value: given.number ?? "723,045", autocomplete: "off",
      autocapitalize: "none", spellcheck: "false", "aria-describedby": `${id}-message`,
    });
    const showAll = h("button", { type: "button", class: "all", onclick: () => finish(true) }, "Show all");
    const random = h("button", {
      type: "button",
      onclick: () => {
        field.value = digits(randomNumber());
        translate();
      },
    }, "Random number");
    const form = h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        translate();
      },
    },
    h("label", { for: field.id }, "A number, in digits or in German words"),
    h("div", { class: "bar" }, field, h("button", {}, "Translate"), random, showAll));

    const options = (broken) => Object.entries(MODELS)
      .filter(([, model]) => Boolean(model.broken) === broken)
      .map(([key, { title }]) => option(key, title));
    const models = h("select", { id: `${id}-model`, onchange: () => translate() },
      ...options(false),
      h("optgroup", { label: "broken on purpose" }, ...options(true)));
    models.value = name;
    const yours = h("optgroup", { label: "your own" });
    const blocks = h("select", { id: `${id}-block`, onchange: () => lookThrough() });
    const heads = h("select", { id: `${id}-head`, onchange: () => lookThrough() });
    const which = h("span", { class: "bar which" },
      h("label", { for: blocks.id }, "block"), blocks,
      h("label", { for: heads.id }, "head"), heads);
    which.hidden = true;

    const hint = h("p", { class: "hint" });
    const message = h("p", { class: "message", id: `${id}-message`, role: "status", "aria-live": "polite" });
    const source = h("ol", { class: "source", lang: "de", "aria-label": "German words" });
    const drawing = s("svg", { class: "links", "aria-hidden": "true" });
    const target = h("ol", {
      class: "target", "aria-label": "English words; arrow keys go from one to the next",
    });
    const stage = h("div", { class: "stage" }, source, drawing, target);
    const looks = h("div", { class: "looks", id: `${id}-looks` });
    const verdict = h("p", { class: "verdict", role: "status", "aria-live": "off" });
    const changed = h("p", { class: "changed" });
    const right = h("p", { class: "right" });
    const legend = h("p", { class: "legend" });
    const results = h("div", { class: "result" }, stage,
      h("div", { class: "told" }, h("div", {}, verdict, changed, right, legend), looks));
    results.hidden = true;

    // -- what folds out below: each fold works at this desk
    const desk = {
      id,
      temperatures: TEMPERATURES,
      digits,
      changes,
      get result() { return result; },
      get chosen() { return chosen; },
      get block() { return block; },
      get head() { return head; },
      get temperature() { return temperature; },
      probabilitiesOf: ({ logits }) => minattn.tempered(logits, temperature),
      modelTitle: () => `the model “${titleOf(name)}”`,
      isTouched,
      isOwn: () => own.has(name),
      tellChange,
      warm,
      draw: () => translate({ drawing: true }),
      choose: (t) => choose(t),
      look,
      redo: () => run({ still: true }),
      link,
      open,
    };
    const folds = minattn.translatorFolds.map((make) => {
      const fold = make(desk);
      const made = { ...fold, unfolded: false }; // told some time after the box is open: what it holds is made then
      made.box = h("details", {
        ontoggle: () => {
          made.unfolded = made.box.open;
          if (made.unfolded && result) fold.show();
        },
      }, h("summary", {}, fold.title), fold.body);
      return made;
    });
    const more = h("div", { class: "more" }, ...folds.map(({ box }) => box));
    more.hidden = true;
    const openFolds = () => folds.filter(({ box, unfolded }) => unfolded && !box.hidden);

    element.link = () => result && link();
    element.replaceChildren(
      h("div", { class: "translator" },
        form,
        h("div", { class: "bar" }, h("label", { for: models.id }, "model"), models, which),
        h("div", { class: "says" }, message, hint), results, more));

    // -- from a number to words

    function say(text, { wrong = false } = {}) {
      message.textContent = text;
      message.classList.toggle("wrong", wrong);
      element.classList.toggle("bare", wrong && !result);
    }

    const titleOf = (key) => own.get(key)?.title ?? MODELS[key].title;
    const hintOf = (key) => MODELS[key]?.hint ?? "This is a model of your own. Where do its thick lines cross?";

    /** atOnce: without a pause between the words. drawing: draw them by chance, at the temperature. */
    async function translate({ atOnce = false, drawing = false } = {}) {
      const mine = (latest += 1);
      let typed;
      try {
        typed = minattn.readGerman(field.value);
        field.removeAttribute("aria-invalid");
      } catch (error) { // what was there stays
        field.setAttribute("aria-invalid", "true");
        backToShown();
        say(`${error.message}${result ? ` Below is still ${digits(result.number)}.` : ""}`, { wrong: true });
        return;
      }
      const wanted = models.value;
      hint.textContent = hintOf(wanted);
      say("Loading the model …");
      results.setAttribute("aria-busy", "true");
      let model;
      try {
        model = own.get(wanted)?.model ?? (await minattn.loadModel(wanted));
        if (mine !== latest) return;
        minattn.germanWords(typed).forEach((word) => model.source.id(word)); // all known, or nothing changes
        if (!result) takeChanges(model, typed);
        else {
          if (wanted !== name) changes.silent.clear();
          if (wanted !== name || typed !== result.number) changes.hidden.clear();
        }
        if (wanted !== name || !result) [block, head] = wished.head ?? [];
        run({ model, number: typed, drawing, key: wanted });
      } catch (error) {
        if (mine !== latest) return;
        backToShown();
        say(error.message, { wrong: true });
        return;
      }
      say(notice, { wrong: Boolean(notice) });
      notice = "";
      results.removeAttribute("aria-busy");
      verdict.setAttribute("aria-live", atOnce ? "off" : "polite");
      if (atOnce || matchMedia("(prefers-reduced-motion: reduce)").matches) finish();
      else write();
    }

    /**
     * Let a model translate, with what is silent or hidden; the same as before if nothing else is said.
     *
     * still: show it at once, and stay at the chosen word.
     */
    function run({ model = result.model, number: typed = result.number, key = name, drawing, still }) {
      const german = minattn.germanWords(typed);
      const choice = (logits) => minattn.draw(minattn.tempered(logits, temperature));
      const found = drawing ? model.write(german, choice, MOST, changes) : model.greedy(german, MOST, changes);
      const asked = minattn.englishWords(typed);
      const untouched = isTouched() && !drawing ? model.greedy(german, MOST).target : null;
      const at = chosen;
      name = key;
      result = {
        number: typed, asked, source: found.source, steps: found.steps, memory: found.memory,
        finished: found.finished, faults: compare(found.target, asked), model,
        kind: model.settings.attend?.kind,
        drawnAt: drawing ? temperature : null,
        untouched, differences: untouched && compare(found.target, untouched),
      };
      offerHeads();
      build();
      if (still) {
        finish();
        choose(at);
      }
    }

    /** The model and its hint are those of the words that are shown, if there are any. */
    function backToShown() {
      results.removeAttribute("aria-busy");
      if (result) models.value = name;
      hint.textContent = hintOf(models.value);
      if (result && shown < result.steps.length) finish();
    }

    /** Write one word after another. */
    function write() {
      clearTimeout(timer);
      if (shown >= result.steps.length) {
        finish();
        return;
      }
      shown += 1;
      choose(shown - 1);
      showAll.classList.toggle("waiting", true);
      timer = setTimeout(write, PAUSE);
    }

    /** Show all words and what is to be said of them. */
    function finish(focus = false) {
      clearTimeout(timer);
      shown = result.steps.length;
      showAll.classList.toggle("waiting", false);
      tellOutcome();
      for (const fold of openFolds()) fold.show(); // before a word of it is chosen
      choose(wished.word ?? interesting());
      wished = {};
      if (focus) parts.targets[chosen].focus();
    }

    // -- who looks where

    /** The weights of one English word over the German words, of the chosen head; null if there are none. */
    function weightsOf({ weights }) {
      if (result.kind === "final_state") return null;
      const rows = weights[Object.keys(weights)[block]];
      if (head !== MEAN) return rows[head];
      return rows[0].map((_, j) => rows.reduce((sum, row) => sum + row[j], 0) / rows.length);
    }

    function offerHeads() {
      const all = Object.values(result.steps[0].weights);
      const best = MODELS[name]?.best ?? { block: 0, head: 0 };
      block ??= best.block;
      head ??= best.head;
      which.hidden = all.length === 1 && all[0].length === 1;
      blocks.replaceChildren(...all.map((_, i) => option(i, String(i + 1))));
      heads.replaceChildren(
        ...all[block].map((_, i) => {
          const isBest = MODELS[name]?.best && i === best.head && block === best.block;
          return option(i, `${i + 1}${isBest ? " (best)" : ""}`);
        }),
        option(MEAN, "mean of the heads"));
      [blocks.value, heads.value] = [block, head];
    }

    function lookThrough() {
      look(Number(blocks.value), heads.value === MEAN ? MEAN : Number(heads.value));
    }

    function look(newBlock, newHead) {
      [block, head] = [newBlock, newHead];
      offerHeads();
      draw();
      choose(chosen);
      for (const fold of openFolds()) fold.show();
    }

    // -- what may be changed

    function isTouched() {
      return changes.hidden.size > 0 || [...changes.silent.values()].some((heads) => heads.size > 0);
    }

    /** Say what silent heads and hidden words have done; nothing if there are none. */
    function tellChange() {
      if (!result.untouched) return "";
      const n = result.differences.length;
      if (!n) return "Nothing changes: it writes the same words as untouched.";
      return `${n === 1 ? "One word differs" : `${n} words differ`}, marked ≠. ` +
        `Untouched it writes ${quoted(result.untouched.join(" "))}.`;
    }

    /** Another temperature: the probabilities change, what is written stays. */
    function warm(degrees) {
      temperature = degrees;
      parts.targets.forEach((button, t) => (button.querySelector("small").textContent = ` ${probabilityAt(t)}`));
      tellLegend();
      choose(chosen);
    }

    function probabilityAt(t) {
      const { token, logits } = result.steps[t];
      return number(minattn.tempered(logits, temperature)[result.model.target.id(token)]);
    }

    /** Open a file of the reader's own, and translate with it. */
    async function open(file) {
      const model = await minattn.openModel(file);
      if (!minattn.germanWords(723_045).every((word) => model.source.ids.has(word))) {
        throw new Error(`The model in ${file.name} cannot be used: it does not read German number words.`);
      }
      const key = `own ${own.size + 1}`;
      own.set(key, { title: file.name, model });
      yours.append(option(key, file.name));
      models.append(yours);
      models.value = key;
      await translate({ atOnce: true });
    }

    // -- links: ?live=translator&model=...&number=...&temperature=...&silent=c2.1,e1.3&hidden=4&head=2.mean&word=5
    // c, e, d: the places of translatorPlaces; block and head, and words, are counted from 1.

    const codes = () => Object.entries(minattn.translatorPlaces).flatMap(([code, place]) =>
      Array.from({ length: result.model.settings.n_layers ?? 0 }, (_, i) =>
        [...(changes.silent.get(place.name(i)) ?? [])].map((head) => `${code}${i + 1}.${head + 1}`)).flat());

    function link() {
      const asked = new URLSearchParams({ live: "translator", model: name, number: result.number });
      if (temperature !== 1) asked.set("temperature", temperature);
      if (codes().length) asked.set("silent", codes().join(","));
      if (changes.hidden.size) asked.set("hidden", [...changes.hidden].map((j) => j + 1).join(","));
      const best = MODELS[name]?.best ?? { block: 0, head: 0 };
      if (block !== best.block || head !== best.head) asked.set("head", `${block + 1}.${head === MEAN ? MEAN : head + 1}`);
      if (chosen !== interesting()) asked.set("word", chosen + 1);
      return linkTo(asked);
    }

    let notice = ""; // what a link asks for and is not here

    /** Take from a link what fits the model and the number. */
    function takeChanges({ settings }, typed) {
      const wrong = [];
      const check = (fits, ...what) => fits || (wrong.push(what.join(" ")), false);
      check(!state.has("model") || state.get("model") === name, "model", quoted(state.get("model")));
      const degrees = Number(state.get("temperature") ?? 1);
      const { least, most } = TEMPERATURES;
      if (check(degrees >= least && degrees <= most, "temperature", quoted(state.get("temperature")))) {
        temperature = degrees;
      }
      const listed = (key) => (state.get(key) ?? "").split(",").filter(Boolean);
      for (const code of listed("silent")) {
        const [, place, block, head] = /^([ced])([1-9]\d*)\.([1-9]\d*)$/.exec(code) ?? [];
        if (!check(block <= settings.n_layers && head <= settings.n_heads, "head", quoted(code))) continue;
        const where = minattn.translatorPlaces[place].name(block - 1);
        changes.silent.set(where, new Set([...(changes.silent.get(where) ?? []), head - 1]));
      }
      const n = minattn.germanWords(typed).length + 1;
      for (const place of listed("hidden")) {
        const fits = /^[1-9]\d*$/.test(place) && place <= n && settings.attend?.kind !== "final_state";
        if (check(fits, "word", quoted(place))) changes.hidden.add(place - 1);
      }
      if (state.has("head")) {
        const [, block, head] = /^([1-9]\d*)\.([1-9]\d*|mean)$/.exec(state.get("head")) ?? [];
        const fits = block <= settings.n_layers && (head === MEAN || head <= settings.n_heads);
        if (check(fits, "head", quoted(state.get("head")))) wished.head = [block - 1, head === MEAN ? MEAN : head - 1];
      }
      if (state.has("word")) {
        const word = state.get("word");
        if (check(/^[1-9]\d*$/.test(word) && word <= MOST, "word", quoted(word))) wished.word = word - 1;
      }
      if (!check(changes.hidden.size < n, "a translation with all words hidden")) changes.hidden.clear();
      if (wrong.length) notice = `The link asks for what is not here: ${wrong.join(", ")}. The rest is as it says.`;
    }

    /** The first word that is wrong; if none is, the first that is looked up further left than the last. */
    function interesting() {
      const fault = result.faults.find(({ written }) => written);
      if (fault) return fault.at;
      const places = result.steps.map((step) => largest(weightsOf(step) ?? [0]));
      return Math.max(0, places.findIndex((place, t) => place < places[t - 1]));
    }

    // -- show it

    function build() {
      clearTimeout(timer);
      [shown, chosen] = [0, 0];
      results.hidden = more.hidden = false;
      for (const { box, fits } of folds) box.hidden = !fits();
      const differs = new Map(
        (result.differences ?? []).filter(({ written }) => written).map(({ at, asked }) => [at, asked]));
      const wrong = new Map(
        result.faults.filter(({ written }) => written).map(({ at, asked }) => [at, asked]));
      parts.sources = result.source.map((word, j) => changes.hidden.has(j)
        ? h("li", { class: "hidden-word" }, word, h("span", { class: "unseen", lang: "en" }, " (hidden)"))
        : h("li", {}, word));
      parts.targets = result.steps.map(({ token }, t) => {
        const isWrong = wrong.has(t);
        const why = wrong.get(t) ? `wrong: ${wrong.get(t)} was asked` : "wrong: too much";
        const signs = (isWrong ? "✗" : "") + (differs.has(t) ? "≠" : "");
        const button = h("button", {
          type: "button", class: isWrong ? "wrong" : null, tabindex: -1,
          "aria-describedby": looks.id,
          onclick: () => choose(t),
          onfocus: () => choose(t),
          onmouseenter: () => choose(t),
        },
        h("span", { class: "word" }, token),
        signs ? h("span", { class: "cross", "aria-hidden": "true" }, signs) : "",
        isWrong ? h("span", { class: "unseen" }, ` (${why}) `) : "",
        differs.has(t) ? h("span", { class: "unseen" }, ` (untouched: ${differs.get(t) ?? "no such word"}) `) : "",
        h("small", {}, " ", probabilityAt(t)));
        return button;
      });
      source.replaceChildren(...parts.sources);
      target.replaceChildren(...parts.targets.map((button) => h("li", {}, button)));
      verdict.textContent = "";
      const missed = new Set(result.faults.map(({ askedAt }) => askedAt));
      right.replaceChildren(
        `${digits(result.number)} is `,
        ...result.asked.flatMap((word, i) => [i ? " " : "", missed.has(i) ? h("b", {}, word) : word]),
        ".");
      tellLegend();
      results.classList.add("writing");
      arrange();
    }

    function tellLegend() {
      legend.textContent = "The small numbers say how probable the model found each word" +
        (temperature === 1 ? "." : `, at temperature ${temperature.toFixed(2)}.`) +
        (result.kind === "final_state" ? "" : " The thicker a line, the larger its weight.");
    }

    function tellOutcome() {
      results.classList.remove("writing");
      verdict.textContent = verdictOf(result);
      verdict.classList.toggle("wrong", result.faults.length > 0);
      changed.textContent = tellChange();
    }

    /** German above English where both fit into a line, else German to the left of English. */
    function arrange() {
      results.classList.remove("tall");
      const fits = [source, target].every((row) => row.scrollWidth <= row.clientWidth);
      results.classList.toggle("tall", !fits);
      draw();
      choose(chosen);
    }

    function draw() {
      const box = drawing.getBoundingClientRect();
      const tall = results.classList.contains("tall");
      const place = (node, end) => {
        const { left, width, top, height } = node.getBoundingClientRect();
        return tall
          ? [end * box.width, top + height / 2 - box.top]
          : [left + width / 2 - box.left, end * box.height];
      };
      const curve = ([x0, y0], [x1, y1], attributes) => {
        const bend = tall
          ? `${(x0 + x1) / 2} ${y0} ${(x0 + x1) / 2} ${y1}` : `${x0} ${(y0 + y1) / 2} ${x1} ${(y0 + y1) / 2}`;
        return s("path", { d: `M ${x0} ${y0} C ${bend} ${x1} ${y1}`, ...attributes });
      };
      const above = parts.sources.map((node) => place(node, 0));
      const below = parts.targets.map((node) => place(node, 1));
      const middle = [box.width / 2, box.height / 2];
      const isFixed = result.kind === "final_state";
      parts.lines = result.steps.map((step, t) => {
        if (isFixed) return s("g", {}, curve(middle, below[t], { "stroke-width": 2.5 }));
        const lines = weightsOf(step).flatMap((weight, j) => weight < LEAST ? [] : [
          curve(above[j], below[t], { "stroke-width": 7 * weight, "stroke-opacity": 0.25 + 0.75 * weight }),
        ]);
        return s("g", {}, ...lines);
      });
      const vector = isFixed
        ? [
          s("g", { class: "into" }, ...above.map((point) => curve(point, middle, { "stroke-width": 1.5 }))),
          ...parts.lines,
          s("circle", { cx: middle[0], cy: middle[1], r: 13 }),
          s("text", { x: middle[0], y: middle[1] + 5 }, "c"),
        ]
        : parts.lines;
      drawing.replaceChildren(...vector);
    }

    function choose(t) {
      chosen = Math.min(t, Math.max(shown - 1, 0));
      parts.targets.forEach((button, i) => {
        const is = i === chosen && i < shown;
        button.classList.toggle("coming", i >= shown);
        button.setAttribute("aria-pressed", String(is));
        button.tabIndex = is ? 0 : -1;
        parts.lines[i].classList.toggle("coming", i >= shown);
        parts.lines[i].classList.toggle("chosen", is);
      });
      const weights = weightsOf(result.steps[chosen]);
      const best = weights ? largest(weights) : -1;
      parts.sources.forEach((item, j) => {
        item.style.setProperty("--weight", weights && shown ? `${(45 * weights[j]).toFixed(1)}%` : "0%");
        item.classList.toggle("best", shown > 0 && j === best);
      });
      if (shown) looks.replaceChildren(weights ? tableOf(weights) : fromOneVector());
      if (!results.classList.contains("writing")) for (const fold of openFolds()) fold.point();
    }

    function tableOf(weights) {
      const { token } = result.steps[chosen];
      const named = (j) => {
        const word = result.source[j];
        const twice = result.source.indexOf(word) !== result.source.lastIndexOf(word);
        return twice ? `${word} (word ${j + 1})` : word;
      };
      const order = weights.map((weight, j) => ({ weight, word: named(j) }))
        .sort((a, b) => b.weight - a.weight);
      const rows = order.slice(0, ROWS);
      const others = order.slice(ROWS);
      if (others.length === 1) rows.push(others[0]);
      if (others.length > 1) {
        const weight = others.reduce((sum, other) => sum + other.weight, 0);
        rows.push({ weight, word: `the other ${others.length} words`, many: true });
      }
      return h("table", {},
        h("caption", {}, h("b", {}, quoted(token)), " looks at"),
        h("thead", { class: "unseen" },
          h("tr", {}, h("th", { scope: "col" }, "German word"), h("th", { scope: "col" }, "weight"))),
        h("tbody", {}, ...rows.map(({ weight, word, many }) =>
          h("tr", { class: many ? "many" : null, style: `--weight: ${(100 * weight).toFixed(1)}%` },
            h("th", { scope: "row", lang: many ? null : "de" }, word),
            h("td", {}, number(weight))))));
    }

    const fromOneVector = () =>
      h("p", {}, h("b", {}, quoted(result.steps[chosen].token)),
        " has no weights to show: here every word is written from the same vector c.");

    target.addEventListener("keydown", (event) => {
      const to = {
        ArrowRight: chosen + 1, ArrowDown: chosen + 1, ArrowLeft: chosen - 1, ArrowUp: chosen - 1,
        Home: 0, End: shown - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      parts.targets[Math.min(Math.max(to, 0), shown - 1)].focus();
    });

    let width = 0;
    new ResizeObserver(() => {
      if (!result || stage.parentElement.clientWidth === width) return;
      width = stage.parentElement.clientWidth;
      arrange();
    }).observe(results);

    hint.textContent = hintOf(name);
    translate({ atOnce: true });
  };
})();
