// The GPT of chapter 10: begin a function, see what may come next and where each head looks, and let it write on.
// The arithmetic is in gpt_model.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, openPlace, linkTo, valueOf } = minattn.elements;

  const EXAMPLES = {
    "a name said again": "def f(wombat, n):\n\treturn n * womb",
    "a name it spells wrong": "def f(marzipan, n):\n\treturn n * marzip",
    "numbers and a return": "def area(width, height):\n\treturn",
    "the first lines of a class": "def __init__(self, alpha, beta):\n\tself.alpha = alpha\n\tself.",
    "nothing at all": "",
  };
  const TOP = 8;
  const MOST = 256; // tokens: longer texts take too long at once
  const AT_ONCE = 60; // new tokens that are read before anybody could notice
  const WRITES = 80; // tokens, if no end comes before
  const FASTEST = 60; // milliseconds a token while it writes
  const HOTTEST = 2;

  const share = (p) => (p >= 0.9995 ? "1.000" : p.toFixed(3));
  const largest = (row) => row.indexOf(Math.max(...row));
  const range = (n) => Array.from({ length: n }, (_, i) => i);
  const pause = (ms) => new Promise((go) => setTimeout(go, ms));
  const coloured = (weight) => {
    const colour = viridis(weight);
    return `background: rgb(${colour}); color: ${readableOn(colour)}`;
  };

  // As the chapter shows tokens: · is a blank, and a line and a tab are written out.
  const shown = (token) =>
    token === "<eos>" ? "the end" : token.replaceAll(minattn.START, "·").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  const spoken = (token) =>
    token === "<eos>" ? "the end of the function"
      : token.replaceAll(minattn.START, " blank ").replaceAll("\n", " new line ").replaceAll("\t", " tab ").trim();
  // As the text stands, with a sign where a line ends.
  const standing = (token, i) =>
    (i === 1 && token.startsWith(minattn.START) ? token.slice(1) : token)
      .replaceAll(minattn.START, " ").replaceAll("\n", "↵\n");

  /** Numbers from 0 to 1 that come again for the same seed (mulberry32, in the public domain). */
  function seeded(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  let made = 0; // so that names are unique where a page has two

  function place(replace, model, state) {
    const id = `gpt-${(made += 1)}`;
    const { n_layers: nLayers, n_heads: nHeads } = model.settings;
    const heads = range(nLayers).flatMap((layer) => range(nHeads).map((head) => ({ layer, head })));
    const nameOf = ({ layer, head }) => `layer ${layer + 1}, head ${head + 1}`;

    let ids = [minattn.BOS];
    let silent = range(nLayers).map(() => new Set());
    let own = 1; // tokens that the reader gave; what comes after the model wrote
    let found = null; // {now, untouched}
    let large = null; // the head that is enlarged
    let from = null; // the token whose look is shown there; the last one if null
    let writing = 0; // counts what was asked for: writing stops when something else is
    const ended = () => ids.at(-1) === minattn.EOS;

    // ---- what there is ----------------------------------------------------------------------------

    const field = h("textarea", {
      id: `${id}-field`, rows: 4, spellcheck: "false", autocapitalize: "none", autocomplete: "off", autocorrect: "off",
      "aria-describedby": `${id}-help ${id}-message`,
      oninput: () => take(field.value),
      onkeydown: (event) => event.key === "Enter" && !event.isComposing && indent(event),
    });
    const examples = Object.entries(EXAMPLES).map(([name, text]) =>
      h("button", { type: "button", onclick: () => begin(text) }, name));
    const message = h("p", { class: "message", id: `${id}-message`, role: "status" });
    const told = h("p", { class: "told", role: "status" });
    const next = h("ol", { class: "next", "aria-labelledby": `${id}-next` });
    const link = h("a", {}, "A link to this text");
    const rest = h("p", { class: "note" });

    const heat = h("input", {
      type: "range", id: `${id}-heat`, min: 0, max: HOTTEST, step: 0.1, value: 0.8, oninput: () => warm(),
    });
    const degrees = valueOf(heat.id);
    const seed = h("input", { type: "number", id: `${id}-seed`, min: 0, max: 9999, step: 1, value: 0 });
    const write = h("button", { type: "button", onclick: () => (write.dataset.on ? halt() : writeOn()) });
    const back = h("button", { type: "button", onclick: () => takeBack() }, "Take it back");
    const again = h("button", { type: "button", onclick: () => anew() }, "Another draw");

    const panels = heads.map((one) => {
      const text = h("button", { type: "button", class: "text", "aria-expanded": "false", onclick: () => enlarge(one) });
      const on = h("input", {
        type: "checkbox", id: `${id}-on-${one.layer}-${one.head}`, checked: true,
        onchange: () => {
          silent[one.layer][on.checked ? "delete" : "add"](one.head);
          stop();
          show();
        },
      });
      const looks = h("p", { class: "looks" });
      return {
        ...one, text, on, looks,
        whole: h("div", { class: "panel", role: "group", "aria-label": nameOf(one) },
          h("div", { class: "bar" }, h("b", {}, nameOf(one)),
            h("label", { class: "switch", for: on.id }, on, "speaks")),
          text, looks),
      };
    });
    const looking = h("p", { class: "title" });
    const effect = h("p", { class: "effect", "aria-hidden": "true" }); // the list is far away on a phone
    const enlarged = h("div", { class: "enlarged" });
    enlarged.hidden = true;
    const scale = [0, 0.25, 0.5, 0.75, 1].map((weight) =>
      h("span", { class: "stop", style: coloured(weight) }, String(weight)));

    replace(
      h("label", { for: field.id }, "The beginning of a Python function"),
      field,
      h("p", { class: "note", id: `${id}-help` },
        "Enter keeps the indent. Four blanks at the start of a line count as a tab, as in what it has learned."),
      h("div", { class: "bar", role: "group", "aria-label": "Examples" }, ...examples),
      message,
      h("p", { class: "title", id: `${id}-next` }, "What comes next"),
      told,
      next,
      rest,
      h("div", { class: "bar writing" },
        write, again, back,
        h("span", { class: "bar" }, h("label", { for: heat.id }, "temperature"), heat, degrees),
        h("span", { class: "bar" }, h("label", { for: seed.id }, "seed"), seed)),
      looking,
      h("p", { class: "note" },
        "Each head reads the whole text. Weight ", h("span", { class: "scale" }, ...scale),
        " Take away a tick, and the head says nothing. A click on a text makes it large."),
      h("div", { class: "panels" }, ...panels.map(({ whole }) => whole)),
      effect,
      enlarged,
      h("p", { class: "note" },
        "It has learned from functions of networkx and scikit-learn, which are under the BSD-3-Clause licence. ",
        link));

    // ---- the text ---------------------------------------------------------------------------------

    // A tab is shown as four blanks where it stands in a field: a phone has no key for it.
    function readable(text) {
      return text.replaceAll("\t", "    ");
    }

    const tabbed = (text) =>
      text.replaceAll("\r\n", "\n")
        .replace(/^[ \t]+/gm, (blanks) => blanks.replaceAll("    ", "\t"))
        .replace(/[“”]/g, '"').replace(/[‘’]/g, "'");

    /** A new line begins as the one before, and deeper after a colon. */
    function indent(event) {
      event.preventDefault();
      const before = field.value.slice(0, field.selectionStart);
      const line = before.slice(before.lastIndexOf("\n") + 1);
      const blanks = /^ */.exec(line)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
      field.setRangeText(`\n${blanks}`, field.selectionStart, field.selectionEnd, "end");
      take(field.value);
    }

    function say(text, wrong = false) {
      message.textContent = text;
      message.classList.toggle("wrong", wrong);
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }

    /** Read what the reader gave. */
    function take(text) {
      stop();
      const typed = tabbed(text);
      let tokens;
      try {
        tokens = model.encode(typed);
        if (tokens.length > MOST) {
          throw new Error(`This text has ${tokens.length} tokens. Take at most ${MOST}, so that it stays quick.`);
        }
      } catch (error) {
        say(error.message + (found ? " Below is still the text from before." : ""), true);
        return;
      }
      say(/[^\s] $/.test(typed)
        ? "Your text ends in a blank. To this model a blank belongs to the word behind it: leave it off."
        : "");
      ids = tokens;
      own = ids.length;
      show();
    }

    function append(token) {
      ids = [...ids, token];
      field.value = readable(model.decode(ids));
      field.scrollTop = field.scrollHeight;
    }

    // ---- what comes next --------------------------------------------------------------------------

    let unread = 0;

    /** Read the text and show all of it; a long one is announced first. */
    function show() {
      from = null;
      const fresh = ids.length - (found?.ids.filter((token, i) => token === ids[i]).length ?? 0);
      const mine = (unread += 1);
      if (fresh <= AT_ONCE) {
        draw();
        return;
      }
      told.textContent = "Reading …";
      setTimeout(() => mine === unread && draw(), 30); // so that this is seen before the work begins
    }

    const read = () => ({
      ids,
      now: model.read(ids, silent),
      untouched: silent.some(({ size }) => size) ? model.read(ids) : null,
    });

    function draw() {
      found = read();
      drawNext();
      drawHeads();
      tellButtons();
    }

    /** ?live=gpt&text=...&temperature=...&seed=...&silent=1.2&large=2.1&ended=1: heads as layer and head, counted from 1. */
    function address() {
      const off = heads.filter(({ layer, head }) => silent[layer].has(head));
      const asked = { live: "gpt", text: model.decode(ids), temperature: heat.value, seed: seed.value };
      if (off.length) asked.silent = off.map(({ layer, head }) => `${layer + 1}.${head + 1}`).join(",");
      if (large) asked.large = `${large.layer + 1}.${large.head + 1}`;
      if (ended()) asked.ended = 1;
      return linkTo(asked);
    }

    function drawNext() {
      const { now: { probabilities }, untouched } = found;
      const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
      const listed = order.slice(0, TOP);
      const best = untouched && largest(untouched.probabilities);
      if (untouched && !listed.includes(best)) listed[TOP - 1] = best; // what it would have said
      next.replaceChildren(...(ended() ? [] : listed.map((token) => h("li", {}, choice(token)))));
      const left = 1 - listed.reduce((sum, token) => sum + probabilities[token], 0);
      rest.textContent = ended() ? "" : `${probabilities.length - listed.length} other tokens have ${share(Math.max(left, 0))} together.`;
      const word = (token) => `“${shown(model.tokens[token])}”`;
      told.textContent = write.dataset.on ? "…" : ended()
        ? "It has ended the function here."
        : `Most likely ${word(order[0])}, with ${share(probabilities[order[0]])}.` + (untouched
          ? best === order[0]
            ? ` With all heads it is the same, with ${share(untouched.probabilities[best])}.`
            : ` With all heads it would be ${word(best)}, with ${share(untouched.probabilities[best])}.`
          : "");
      effect.textContent = untouched ? told.textContent : "";
    }

    function choice(token) {
      const { now, untouched } = found;
      const [p, before] = [now.probabilities[token], untouched?.probabilities[token]];
      const name = model.tokens[token];
      const meant = untouched ? `, ${share(before)} with all heads` : "";
      return h("button", {
        type: "button", "aria-label": `Append ${spoken(name)}, probability ${share(p)}${meant}`,
        onclick: () => {
          stop();
          own = Math.min(own, ids.length);
          append(token);
          say("");
          show();
          (next.querySelector("button") ?? back).focus({ preventScroll: true });
        },
      },
      h("code", {}, shown(name)),
      h("span", { class: "track" },
        h("span", { class: "filled", style: `width: ${100 * p}%` }),
        ...(untouched ? [h("span", { class: "before", style: `left: ${100 * before}%` })] : [])),
      h("span", { class: "number" }, share(p)),
      ...(untouched ? [h("span", { class: "was" }, `was ${share(before)}`)] : []));
    }

    // ---- where it looks ---------------------------------------------------------------------------

    const names = () => ids.map((token, i) => standing(model.tokens[token], i));

    function drawHeads() {
      const words = names();
      looking.textContent = `Where the last token, “${shown(model.tokens[ids.at(-1)])}”, looks`;
      for (const { layer, head, text, on, looks, whole } of panels) {
        const weights = found.now.weights.at(-1)[layer][head];
        const best = largest(weights);
        text.replaceChildren(...words.map((word, i) =>
          h("span", { class: i === best ? "most" : null, style: coloured(weights[i]) }, word)));
        text.setAttribute("aria-label",
          `Enlarge ${nameOf({ layer, head })}: looks most at ${spoken(model.tokens[ids[best]])}, token ${best}, with ${share(weights[best])}`);
        looks.textContent = `most at “${shown(model.tokens[ids[best]])}”: ${share(weights[best])}` + (on.checked ? "" : ", but says nothing");
        whole.classList.toggle("off", !on.checked);
        text.setAttribute("aria-expanded", String(large?.layer === layer && large?.head === head));
      }
      drawLarge();
      link.href = address();
    }

    function enlarge(one) {
      large = large?.layer === one.layer && large?.head === one.head ? null : one;
      from = null;
      drawHeads();
      if (large) enlarged.querySelector(".title").scrollIntoView({ block: "nearest" });
    }

    function close() {
      const one = large;
      enlarge(one);
      panels.find(({ layer, head }) => layer === one.layer && head === one.head).text.focus();
    }

    function drawLarge() {
      enlarged.hidden = !large;
      if (!large) return;
      const last = ids.length - 1;
      const query = from ?? last;
      const weights = found.now.weights[query][large.layer][large.head];
      const part = model.shares[large.layer][large.head];
      const words = ids.map((token) => model.tokens[token]);
      const cells = words.map((word, i) => h("button", {
        type: "button", class: i === query ? "asks" : null,
        style: i <= query ? coloured(weights[i]) : null, "aria-pressed": String(i === query),
        "aria-label": `Token ${i}, ${spoken(word)}: ${i <= query ? `weight ${share(weights[i])}` : "comes later, not seen"}. Show where it looks.`,
        onclick: () => {
          from = i;
          drawLarge();
          enlarged.querySelectorAll(".cells button")[i].focus({ preventScroll: true });
        },
      }, h("code", {}, shown(word)), h("small", {}, i <= query ? weights[i].toFixed(2) : "–")));
      enlarged.replaceChildren(
        h("div", { class: "bar" },
          h("p", { class: "title" }, `${nameOf(large)}, large`),
          h("button", { type: "button", onclick: close }, "Close")),
        h("p", {}, `Where “${shown(words[query])}” looks, token ${query} of ${last}. Choose another token to see its look. ` +
          `A key here is ${share(part)} the token before and ${share(1 - part)} the token itself.`),
        h("div", { class: "cells" }, ...cells));
    }

    // ---- writing ----------------------------------------------------------------------------------

    function warm() {
      const t = Number(heat.value);
      degrees.textContent = t.toFixed(1);
      heat.setAttribute("aria-valuetext", t ? t.toFixed(1) : "0, always the likeliest");
      tellButtons();
    }

    function tellButtons() {
      const on = Boolean(write.dataset.on);
      write.textContent = on ? "Stop" : "Let it write on";
      write.disabled = !on && (ended() || ids.length >= MOST);
      back.disabled = on || ids.length <= own;
      again.disabled = on || ids.length <= own || Number(heat.value) === 0;
    }

    function stop() {
      writing += 1;
      delete write.dataset.on;
      tellButtons();
    }

    function halt() {
      stop();
      show();
      say("Stopped.");
    }

    async function writeOn() {
      stop();
      const mine = writing;
      write.dataset.on = "yes";
      const t = Number(heat.value);
      const random = seeded(Number(seed.value) || 0);
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const most = Math.min(ids.length + WRITES, MOST);
      say("It is writing.");
      tellButtons();
      while (ids.length < most && !ended()) {
        const { logits, probabilities } = (found ?? read()).now;
        append(t ? minattn.draw(minattn.tempered(logits, t), random) : largest(probabilities));
        found = read();
        if (!still) {
          drawNext();
          drawHeads();
        }
        if (!still || ids.length % 10 === 0) {
          await pause(still ? 0 : FASTEST);
          if (mine !== writing) return;
        }
      }
      stop();
      show();
      say(ended() ? "It has written to the end of the function."
        : ids.length >= MOST ? `It stopped at ${MOST} tokens, which is as long as a text may be here.`
          : `It stopped after ${WRITES} tokens. Let it write on, if you like.`);
    }

    function takeBack() {
      stop();
      ids = ids.slice(0, own);
      field.value = readable(model.decode(ids));
      say("");
      show();
    }

    function anew() {
      takeBack();
      seed.value = (Number(seed.value) + 1) % 10000;
      writeOn();
    }

    // ---- begin ------------------------------------------------------------------------------------

    function begin(text) {
      take(text);
      field.value = readable(tabbed(text));
    }

    /** Take from a link what is there to be had, and name the rest. */
    function takeState() {
      const wrong = [];
      for (const [key, input] of [["temperature", heat], ["seed", seed]]) {
        if (!state.has(key)) continue;
        const before = input.value;
        input.value = state.get(key);
        const asked = state.get(key).trim();
        if (asked && Number(asked) === Number(input.value) && input.checkValidity()) continue;
        input.value = before;
        wrong.push(`${key} “${asked.slice(0, 20)}”`);
      }
      const named = (key) => (state.get(key) ?? "").split(",").filter(Boolean).flatMap((code) => {
        const one = panels.find(({ layer, head }) => code === `${layer + 1}.${head + 1}`);
        if (!one) wrong.push(`head “${code.slice(0, 20)}”`);
        return one ?? [];
      });
      for (const one of named("silent")) {
        silent[one.layer].add(one.head);
        one.on.checked = false;
      }
      large = named("large")[0] ?? null;
      return wrong;
    }

    const wrong = takeState();
    warm();
    begin(state.get("text") ?? Object.values(EXAMPLES)[0]);
    if (found && state.has("ended") && !ended()) {
      append(minattn.EOS);
      show();
    }
    if (found && wrong.length) say(`The link asks for what is not here: ${wrong.join(", ")}. The rest is as it says.`);
  }

  minattn.widgets.gpt = (element, state = new URLSearchParams()) =>
    openPlace(element, "gpt", "The model is being loaded.", async (replace) =>
      place(replace, await minattn.loadModel("gpt"), state));
})();
