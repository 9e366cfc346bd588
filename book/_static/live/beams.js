// The beam search of chapter 8: type a number, and see at each step which targets are kept and which are dropped.
// The search is minattn.beamSearch of decoding.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { h, linkTo, valueOf } = minattn.elements;

  const MODELS = {
    fixed: {
      title: "One fixed context vector",
      hint: "This model is often unsure. With one beam it gets 914,054 wrong, and with two right. With 173,745 it is " +
        "the other way round: what two beams find is likelier, and wrong.",
    },
    transformer: {
      title: "The Transformer, two blocks",
      hint: "This model is so sure of its words that the first beam is far ahead, and a wider search finds " +
        "nothing new.",
    },
  };
  const MOST = 26; // words: the longest number has 23, and the end
  const WIDEST = 5;
  const DROPPED = 4; // so many of the dropped ones are shown
  const PAUSE = 150; // milliseconds without a move of the slider
  const TAIL = 4; // words of a target that are shown in a row, with the new one

  const digits = (n) => n.toLocaleString("en");
  const option = (value, text) => h("option", { value }, text);
  const minus = (x) => x.toFixed(2).replace("-", "−");

  let made = 0; // so that names are unique where a page has two

  /** state: what a link asks for, as URLSearchParams. */
  minattn.widgets.beams = (element, state = new URLSearchParams()) => {
    const id = `beams-${(made += 1)}`;
    let asked = null; // the number that was typed last
    let shown = null; // {number, source, asked, beams, steps}
    let step = 0;
    let timer;
    let latest = 0; // counts what was asked for: an answer that comes too late is dropped

    const field = h("input", {
      type: "text", id: `${id}-field`, value: state.get("number") ?? element.dataset.number ?? "914,054", autocomplete: "off",
      autocapitalize: "none", spellcheck: "false", "aria-describedby": `${id}-message`,
    });
    const form = h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        search();
      },
    },
    h("label", { for: field.id }, "A number, in digits or in German words"),
    h("div", { class: "bar" }, field, h("button", {}, "Search")));
    const models = h("select", { id: `${id}-model`, onchange: () => search() },
      ...Object.entries(MODELS).map(([key, { title }]) => option(key, title)));
    const widths = h("select", { id: `${id}-width`, onchange: () => search() },
      ...Array.from({ length: WIDEST }, (_, i) => option(i + 1, String(i + 1))));
    if (Object.hasOwn(MODELS, state.get("model") ?? "")) models.value = state.get("model");
    widths.value = [...widths.options].some(({ value }) => value === state.get("beams")) ? state.get("beams") : 2;
    const penalty = h("input", {
      type: "range", id: `${id}-alpha`, min: 0, max: 2, step: 0.1, value: Number(state.get("alpha")) || 0,
      oninput: () => { // when the hand rests
        tellAlpha();
        clearTimeout(timer);
        timer = setTimeout(() => search(), PAUSE);
      },
    });
    const alpha = valueOf(penalty.id);
    const message = h("p", { class: "message", id: `${id}-message`, role: "status" });
    const hint = h("p", { class: "hint" });
    const link = h("a", {}, "A link to this");

    const back = h("button", { type: "button", onclick: () => go(step - 1) }, "Step back");
    const next = h("button", { type: "button", onclick: () => go(step + 1) }, "Next step");
    const slider = h("input", {
      type: "range", id: `${id}-step`, min: 1, step: 1, oninput: () => go(Number(slider.value) - 1),
    });
    const where = valueOf(slider.id);
    const caption = h("caption");
    const candidates = h("tbody");
    const more = h("p", { class: "note" });
    const found = h("tbody");
    const verdict = h("p", { class: "verdict", role: "status" });
    const results = h("div", { class: "result" },
      h("div", { class: "bar" }, h("label", { for: slider.id }, "step"), slider, where, back, next),
      h("table", { class: "steps" }, caption,
        h("thead", {}, h("tr", {}, ...["", "target so far", "log p", "score"].map((name) =>
          h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "kept?"))))), candidates),
      more,
      h("table", { class: "found" }, h("caption", {}, "What the search found, the best first"),
        h("thead", {}, h("tr", {}, ...["target", "log p", "score"].map((name) =>
          h("th", { scope: "col" }, name)))), found),
      verdict, h("p", {}, link));
    results.hidden = true;

    element.replaceChildren(h("div", { class: "beams" },
      form,
      h("div", { class: "bar" },
        h("label", { for: models.id }, "model"), models,
        h("label", { for: widths.id }, "beams"), widths,
        h("label", { for: penalty.id }, "length penalty α"), penalty, alpha),
      h("div", { class: "says" }, message, hint), results));

    function say(text, wrong = false) {
      message.textContent = text;
      message.classList.toggle("wrong", wrong);
    }

    /** Read the field; what cannot be read is told, and the number of the last search stays. */
    function read() {
      try {
        asked = minattn.readGerman(field.value);
        field.removeAttribute("aria-invalid");
        return "";
      } catch (error) {
        field.setAttribute("aria-invalid", "true");
        return error.message + (asked === null ? "" : ` Below is still ${digits(asked)}.`);
      }
    }

    const tellAlpha = () => (alpha.textContent = Number(penalty.value).toFixed(1));

    /** ?live=beams&number=...&model=...&beams=...&alpha=... */
    const address = () => linkTo({
      live: "beams", number: asked, model: models.value, beams: widths.value, alpha: penalty.value,
    });

    async function search() {
      clearTimeout(timer);
      const mine = (latest += 1);
      const [wanted, nBeams] = [models.value, Number(widths.value)];
      tellAlpha();
      hint.textContent = MODELS[wanted].hint;
      const trouble = read();
      say(trouble || (minattn.weights?.[wanted] ? "" : "Loading the model …"), trouble !== "");
      if (asked === null) return;
      const number = asked;
      results.setAttribute("aria-busy", "true");
      try {
        const model = await minattn.loadModel(wanted);
        if (mine !== latest) return;
        const options = { nBeams, alpha: Number(penalty.value), maxLength: MOST };
        const isNew = shown?.number !== number;
        shown = {
          number,
          asked: minattn.englishWords(number),
          ...minattn.beamSearch(model, minattn.germanWords(number), options),
        };
        say(trouble, trouble !== "");
        results.hidden = false;
        tellFound(nBeams);
        link.href = address();
        go(isNew ? interesting() : step);
      } catch (error) {
        if (mine !== latest) return;
        say(error.message, true);
      }
      results.removeAttribute("aria-busy");
    }

    /** The first step at which another target overtakes the one that was ahead; the first of all if none does. */
    function interesting() {
      const first = shown.steps.findIndex((all) => all[0].from > 0);
      return Math.max(first, 0);
    }

    function go(to) {
      step = Math.min(Math.max(to, 0), shown.steps.length - 1);
      const all = shown.steps[step];
      const kept = all.filter((candidate) => candidate.kept);
      slider.max = shown.steps.length;
      slider.value = step + 1;
      where.textContent = `${step + 1} of ${shown.steps.length}`;
      slider.setAttribute("aria-valuetext", where.textContent);
      back.disabled = step === 0;
      next.disabled = step === shown.steps.length - 1;
      caption.textContent = `Step ${step + 1}: each target goes on with every word, and of these ` +
        `${kept.length === 1 ? "the best one is" : `the best ${kept.length} are`} kept`;
      const rows = all.slice(0, kept.length + DROPPED).filter(({ logProbability }) => logProbability > -Infinity);
      candidates.replaceChildren(...rows.map(rowOf));
      more.textContent = `${digits(all.length - rows.length)} more are dropped here, all of them ranked lower.`;
    }

    /** One way to go on; the end mark and a target that has ended are words here too. */
    function rowOf({ words, word, ended, kept, logProbability, score }) {
      const said = ended ? [...words, "<eos>"] : words;
      const before = word === null ? said : said.slice(0, -1);
      const tail = before.slice(-TAIL);
      return h("tr", { class: kept ? "kept" : "dropped" },
        h("td", {},
          h("span", { "aria-hidden": "true" }, kept ? "✓" : "✗"),
          h("span", { class: "unseen" }, kept ? "kept" : "dropped")),
        h("th", { scope: "row" }, before.length > tail.length ? "… " : "", tail.join(" "), " ",
          word === null ? h("small", {}, "(has ended)") : h("b", {}, word)),
        h("td", {}, minus(logProbability)), h("td", {}, minus(score)));
    }

    function tellFound(nBeams) {
      const right = shown.asked.join(" ");
      const isRight = ({ words, ended }) => ended && words.join(" ") === right;
      found.replaceChildren(...shown.beams.map((beam) =>
        h("tr", {},
          h("th", { scope: "row" },
            beam.words.join(" "), beam.ended ? "" : " …", isRight(beam) ? h("b", {}, " ✓ right") : ""),
          h("td", {}, minus(beam.logProbability)), h("td", {}, minus(beam.score)))));
      const place = shown.beams.findIndex(isRight);
      verdict.textContent = `${digits(shown.number)} is ${right}. ` + (place === 0
        ? `${nBeams === 1 ? "One beam finds" : `${nBeams} beams find`} it.`
        : place > 0 ? `It is kept to the end, in place ${place + 1}.`
          : nBeams === 1 ? "One beam does not find it." : `None of the ${nBeams} beams is right.`);
    }

    search();
  };
})();
