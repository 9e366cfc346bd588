// The live place of chapter 19: type a sentence, and see which of 36 pictures fit it, and where the model looks.
// The pictures are painted here, and what is said of them is computed here, by clip_model.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, openPlace, linkTo } = minattn.elements;

  const FIRST = "a cat at the top left on yellow";
  const SHOWN = 12; // of the pictures; the others are folded
  const N_THINGS = 4;
  const N_OTHERS = 3; // places, and colours
  const MOST = 8; // words
  const CELLS = 8; // in a row of a picture
  const PAUSE = 250; // milliseconds without a letter, before what is typed is read

  const two = (x) => x.toFixed(2).replace("-", "−");
  const percent = (p) => (p < 0.01 ? "<1 %" : `${Math.round(100 * p)} %`);
  const option = (value, text) => h("option", { value }, text);
  const breathe = () => new Promise((go) => setTimeout(go));

  function draw(canvas, bytes) {
    const pixels = new ImageData(canvas.width, canvas.height);
    for (let i = 0; i < canvas.width * canvas.height; i++) {
      pixels.data.set([...bytes.subarray(3 * i, 3 * i + 3), 255], 4 * i);
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  /** Draw weights as cells, the largest as bright as can be. */
  function drawWeights(canvas, weights) {
    const largest = Math.max(...weights);
    return draw(canvas, Uint8Array.from(weights.flatMap((weight) => viridis(weight / largest))));
  }

  const coloured = (weight) => {
    const colour = viridis(weight);
    return `background: rgb(${colour}); color: ${readableOn(colour)}`;
  };

  let made = 0; // so that names are unique where a page has two

  function place(replace, model, sprites, state) {
    const id = `clip-${(made += 1)}`;
    const { SIDE, placed, sentence } = minattn.placedEmoji;
    const { things, places, colours } = model.entry;
    const grounds = Object.keys(colours);
    const sheets = new Map(sprites.sets.map((set) => [set.name, minattn.scenes.sheet(set, sprites.classes)]));
    const known = new Map(); // pictures that were looked at, by name: {bytes, vector, weights}
    const heard = new Map(); // vectors of whole sentences that were read
    // What the pictures show: all that can be made of these.
    const shown = { things: things.slice(7, 11), places: [places[0], places[4], places[8]], colours: grounds.slice(2, 5) };
    let ranked = []; // {name, thing, place, colour, cosine, chance}
    let asked = null; // {words, vector, weights}
    let latest = 0; // counts what was asked for: an answer that comes too late is dropped

    // ---- what stands there ----------------------------------------------------------------------

    const field = h("input", {
      type: "text", id: `${id}-field`, value: state?.get("sentence") || FIRST, autocomplete: "off",
      autocapitalize: "none", spellcheck: "false", "aria-describedby": `${id}-message`, oninput: () => askSoon(),
      onchange: () => soon && ask(),
    });
    const menus = {
      thing: [things, (word) => word],
      place: [places, (word) => word],
      colour: [grounds, (word) => word],
    };
    for (const [name, [words]] of Object.entries(menus)) {
      menus[name] = h("select", { id: `${id}-${name}`, onchange: () => compose() },
        ...words.map((word) => option(word, word)));
    }
    const labelled = (text, control) => h("span", { class: "pair" }, h("label", { for: control.id }, text), control);
    const designers = h("select", { id: `${id}-designer`, onchange: () => ask({ still: true }) },
      ...sprites.sets.map(({ name, title, trained }) =>
        option(name, trained ? title : `${title} (never seen in training)`)));
    const wished = state?.get("designer");
    if (sheets.has(wished)) designers.value = wished;
    const message = h("p", { class: "message", id: `${id}-message`, role: "status" });
    const words = h("p", { class: "words" });
    const verdict = h("p", { class: "verdict", role: "status" });
    const best = h("ol", { class: "gallery" });
    const rest = h("ol", { class: "gallery", start: SHOWN + 1 });
    const large = h("canvas", { width: SIDE, height: SIDE, role: "img" });
    const looks = h("canvas", { width: CELLS, height: CELLS, role: "img" });
    const told = h("p", { class: "told" });
    const reads = h("tbody");
    const numbers = h("tbody");
    const link = h("a", {}, "A link to this");
    const credit = h("p", { class: "credit" });
    const results = h("div", { class: "result" },
      words, verdict, best,
      h("details", {}, h("summary", {}, "The other 24, down to the worst"), rest),
      h("div", { class: "bar" },
        h("button", { type: "button", onclick: () => others() }, "Other pictures")),
      h("div", { class: "close" },
        h("div", { class: "both" },
          h("figure", {}, large, h("figcaption", {}, "the picture")),
          h("figure", {}, looks, h("figcaption", {}, "where its query looks"))),
        h("div", {}, told,
          h("table", { class: "reads" },
            h("caption", {}, "Which word fits this picture best, if one word of its own sentence is changed"),
            h("thead", {}, h("tr", {}, ...["", "first", "second", "third"].map((name) =>
              h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "part"))))),
            reads),
          h("details", {}, h("summary", {}, "The weights in numbers"),
            h("table", { class: "numbers" },
              h("caption", {}, "Weights of the 8 by 8 cells, in hundredths"), numbers)))),
      h("p", {}, link),
      credit);
    results.hidden = true;

    replace(
      h("form", { onsubmit: (event) => { event.preventDefault(); ask(); } },
        h("label", { for: field.id }, "A sentence, or some words of one"), field),
      h("div", { class: "bar" },
        labelled("thing", menus.thing), labelled("place", menus.place), labelled("colour", menus.colour),
        labelled("designer", designers)),
      message, results);

    // ---- asking ---------------------------------------------------------------------------------

    function say(text, wrong = false) {
      message.textContent = text;
      message.classList.toggle("wrong", wrong);
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }

    /** Make a sentence of what the menus say. */
    function compose() {
      field.value = sentence(menus.thing.value, menus.place.value, menus.colour.value);
      ask();
    }

    /** Read what was typed; throw a sentence for the reader if it cannot be read. */
    function typed() {
      const said = field.value.toLowerCase().replaceAll(/[.,!?"“”]/g, " ").replaceAll("center", "centre").trim();
      const list = said.split(/\s+/).filter(Boolean);
      const instead = `Try a thing, a place and a colour, as in “${FIRST}”.`;
      if (!list.length) throw new Error(`Type at least one word. ${instead}`);
      const strange = list.find((word) => !model.ids.has(word) || word.startsWith("<"));
      if (strange) {
        throw new Error(
          `The model has never read “${strange.slice(0, 20)}”. It knows ${things.length} things (see the menu), the ` +
            `places top, middle, bottom, left, centre and right, and the colours ${grounds.join(", ")}.`);
      }
      if (list.length > MOST) throw new Error(`The model reads ${MOST} words at most, and these are ${list.length}.`);
      return list;
    }

    /** What is named of a thing, a place and a colour; null for what is not. */
    function named(list) {
      const row = list.find((word) => ["top", "middle", "bottom"].includes(word));
      const column = list.find((word) => ["left", "centre", "right"].includes(word));
      return {
        thing: list.find((word) => things.includes(word)) ?? null,
        place: row && column ? `${row} ${column}` : null,
        colour: list.find((word) => grounds.includes(word)) ?? null,
      };
    }

    /** See to it that what is asked for can be found; what was asked for last is the last to go. */
    function makeRoom(wanted) {
      for (const [kind, list] of [["thing", shown.things], ["place", shown.places], ["colour", shown.colours]]) {
        const one = wanted[kind];
        if (!one) continue;
        if (!list.includes(one)) list.pop();
        else list.splice(list.indexOf(one), 1);
        list.unshift(one);
        menus[kind].value = one;
      }
    }

    /** Other things, places and colours beside those that are asked for. */
    function others() {
      const wanted = named(asked.words);
      field.value = asked.words.join(" "); // whatever was typed since and could not be read
      const more = (all, list, n, keep) => {
        const from = all.indexOf(list.at(-1));
        const fresh = Array.from({ length: n + 1 }, (_, i) => all[(from + 1 + i) % all.length]);
        return keep ? [keep, ...fresh.filter((one) => one !== keep)].slice(0, n) : fresh.slice(0, n);
      };
      shown.things = more(things, shown.things, N_THINGS, wanted.thing);
      shown.places = more(places, shown.places, N_OTHERS, wanted.place);
      shown.colours = more(grounds, shown.colours, N_OTHERS, wanted.colour);
      ask();
    }

    const ownWords = (picture) => sentence(picture.thing, picture.place, picture.colour);
    const neverTrained = ({ thing, colour }) => things.indexOf(thing) % grounds.length === grounds.indexOf(colour);

    function look(picture) {
      if (!known.has(picture.name)) {
        const emoji = sheets.get(picture.designer)[picture.thing];
        const bytes = placed(emoji, places.indexOf(picture.place), colours[picture.colour]);
        known.set(picture.name, { bytes, ...model.see(bytes) });
      }
      return known.get(picture.name);
    }

    /** The vector of a whole sentence. */
    function listen(text) {
      if (!heard.has(text)) heard.set(text, model.read(text.split(" ")).vector);
      return heard.get(text);
    }

    let soon = null;

    /** Ask when the typing rests, so that not each letter is answered. */
    function askSoon() {
      clearTimeout(soon);
      soon = setTimeout(() => ask(), PAUSE);
    }

    /** still: if what is typed cannot be read, rank by the sentence from before, for something else has changed. */
    async function ask({ still = false } = {}) {
      clearTimeout(soon);
      soon = null;
      let list;
      try {
        list = typed();
        say("");
      } catch (error) { // what was there stays
        say(`${error.message}${asked ? ` Below is still “${asked.words.join(" ")}”.` : ""}`, true);
        if (!asked || !still) return;
        list = asked.words;
      }
      const mine = (latest += 1);
      const wanted = named(list);
      makeRoom(wanted);
      const designer = designers.value;
      const pictures = shown.things.flatMap((thing) => shown.places.flatMap((spot) => shown.colours.map((colour) =>
        ({ thing, place: spot, colour, designer, name: [designer, thing, spot, colour].join() }))));
      const fresh = pictures.filter(({ name }) => !known.has(name));
      if (fresh.length) results.setAttribute("aria-busy", "true");
      const hint = (text) => field.hasAttribute("aria-invalid") || say(text); // what is wrong stays
      if (fresh.length > 6) hint(`Looking at ${fresh.length} pictures …`);
      let since = performance.now();
      for (const picture of fresh) {
        look(picture);
        if (performance.now() - since > 40) {
          await breathe();
          if (mine !== latest) return;
          since = performance.now();
        }
      }
      hint("");
      results.removeAttribute("aria-busy");
      asked = { words: list, ...model.read(list) };
      const cosines = pictures.map(({ name }) => minattn.dot(known.get(name).vector, asked.vector));
      const chances = model.chances(cosines);
      ranked = pictures.map((picture, i) => ({ ...picture, cosine: cosines[i], chance: chances[i] }))
        .sort((a, b) => b.cosine - a.cosine);
      show(wanted);
    }

    // ---- showing --------------------------------------------------------------------------------

    function show(wanted) {
      results.hidden = false;
      link.href = linkTo({ live: "clip", sentence: asked.words.join(" "), designer: designers.value });
      words.replaceChildren("Where the sentence’s query looks: ", ...asked.words.flatMap((word, i) => [
        h("span", { class: "weighed", style: coloured(asked.weights[i]), "data-value": asked.weights[i] },
          word, " ", h("small", {}, two(asked.weights[i]))), " "]));
      const whole = wanted.thing && wanted.place && wanted.colour;
      const own = ranked.findIndex(({ thing, place: spot, colour }) =>
        thing === wanted.thing && spot === wanted.place && colour === wanted.colour);
      const first = ownWords(ranked[0]);
      verdict.textContent = !whole
        ? `The picture that fits best: ${first}.`
        : `Its own picture comes ${own === 0 ? "first" : `in place ${own + 1}`} of ${ranked.length}` +
          `${own === 0 ? "" : `, behind ${first}`}. ` +
          (neverTrained(ranked[own]) ? "This thing never stood on this colour in training." : "");
      const cards = ranked.map((picture, i) => card(picture, i, i === own));
      best.replaceChildren(...cards.slice(0, SHOWN));
      rest.replaceChildren(...cards.slice(SHOWN));
      const { title, credit: owner } = sprites.sets.find(({ name }) => name === designers.value);
      credit.replaceChildren(`Emoji: ${title} by ${owner.who}, `,
        h("a", { href: owner.address }, owner.licence), ", made smaller.");
      choose(ranked[0]);
    }

    function card(picture, i, own) {
      return h("li", {},
        h("button", {
          type: "button", class: own ? "own" : null, "aria-pressed": "false", "data-name": picture.name,
          "data-cosine": picture.cosine, "data-chance": picture.chance, onclick: () => choose(picture),
          "aria-label": `${i + 1}: ${ownWords(picture)}${own ? ", what was asked for" : ""}, ` +
            `cosine ${two(picture.cosine)}, probability ${percent(picture.chance)}`,
        },
        draw(h("canvas", { width: SIDE, height: SIDE }), look(picture).bytes),
        h("span", {}, `${i + 1}.${own ? " ✓" : ""}`),
        h("span", {}, two(picture.cosine)),
        h("small", {}, percent(picture.chance))));
    }

    /** Look closely at one picture. */
    function choose(picture) {
      for (const button of results.querySelectorAll(".gallery button")) {
        button.setAttribute("aria-pressed", String(button.dataset.name === picture.name));
      }
      const { bytes, weights, vector } = look(picture);
      draw(large, bytes);
      large.setAttribute("aria-label", `The picture: ${ownWords(picture)}`);
      drawWeights(looks, weights);
      const most = weights.indexOf(Math.max(...weights));
      const at = `row ${Math.floor(most / CELLS) + 1}, column ${(most % CELLS) + 1}`;
      looks.setAttribute("aria-label", `Weights of 8 by 8 cells; the largest is in ${at}`);
      told.textContent = `${ownWords(picture)}. The query’s largest weight is ${two(weights[most])}, in ${at}.` +
        (neverTrained(picture) ? " This thing never stood on this colour in training." : "");
      numbers.replaceChildren(...Array.from({ length: CELLS }, (_, y) => h("tr", {},
        ...weights.slice(y * CELLS, (y + 1) * CELLS).map((weight) =>
          h("td", { "data-value": weight }, String(Math.round(100 * weight)))))));
      reads.replaceChildren(...[["thing", things], ["place", places], ["colour", grounds]].map(([part, all]) => {
        const cosines = all.map((word) => minattn.dot(listen(ownWords({ ...picture, [part]: word })), vector));
        const chances = model.chances(cosines);
        const order = [...all.keys()].sort((a, b) => chances[b] - chances[a]).slice(0, 3);
        return h("tr", {}, h("th", { scope: "row" }, part), ...order.map((i) =>
          h("td", {}, all[i] === picture[part] ? h("b", {}, `${all[i]} ✓`) : all[i], " ",
            h("small", { "data-value": chances[i] }, percent(chances[i])))));
      }));
    }

    ask();
  }

  minattn.widgets.clip = (element, state) =>
    openPlace(element, "clip", "The model and the emoji are being loaded.", async (replace) =>
      place(replace, ...await Promise.all([minattn.loadModel("clip"), minattn.loadSprites()]), state));
})();
