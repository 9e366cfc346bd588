// The live place of chapters 15 and 16: put emoji on a picture, and watch it be put into words or into boxes, with
// where each word or each query looks. The models are in scene_model.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, s, set, draggable, openPlace, linkTo } = minattn.elements;

  const MOST = 6; // things
  const SIZES = [12, 13, 14, 15, 16]; // pixels, as in training
  const ENOUGH = 0.5; // the overlap with which a thing counts as found
  const SLOW = 100; // milliseconds: what takes longer is announced
  const REST = 400; // milliseconds of rest before it is spoken
  const PAUSE = 900; // milliseconds for a word, when one follows the other

  const GROUNDS = {
    white: { title: "white", ground: () => [255, 255, 255] },
    sand: { title: "sand", ground: () => [240, 222, 180] },
    blue: { title: "blue", ground: () => [150, 190, 235] },
    evening: { title: "from blue to red", ground: (x, y) => [130 + 3 * y, 150, 230 - 3 * y] },
  };

  /** What a link asks for, or the place, or the first there is. */
  const modeOf = (place, state) =>
    [state.get("mode"), place.dataset.mode].find((name) => Object.hasOwn(MODES, name ?? "")) ?? "captions";

  const start = () => [ // the scene that the chapters begin with
    { name: "cat", x: 3, y: 2, size: 14 },
    { name: "car", x: 22, y: 3, size: 14 },
    { name: "banana", x: 12, y: 24, size: 14 },
  ];

  const MODES = {
    captions: { title: "in words", model: "scene_captioner", chapter: 15 },
    queries: { title: "in boxes", model: "scene_queries", chapter: 16 },
  };

  const number = (x) => x.toFixed(2);
  const quoted = (word) => `“${word}”`;
  const listed = (words, last = "and") =>
    words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const largest = (row) => row.indexOf(Math.max(...row));
  const random = (n) => Math.floor(Math.random() * n);

  let made = 0; // so that names are unique where a page has two places

  /** state: what a link asks for, as URLSearchParams; see link. */
  function workshop(replace, place, { stem, models, sprites }, state) {
    const {
      SIZE, STRIDE, SIDE, sprite, sheet, paint, caption, article, cellsInside, middle, shared, boxIou,
    } = minattn.scenes;
    const id = `scene-${(made += 1)}`;
    const sheets = Object.fromEntries(sprites.sets.map((one) => [one.name, sheet(one, sprites.classes)]));
    const setOf = (designer) => sprites.sets.find(({ name }) => name === designer);

    let mode = modeOf(place, state);
    let designer = "noto"; // of all that is put on the picture
    let ground = "white";
    let things = [];
    let chosen = null; // a word or a query, by number
    let hovered = null;
    let steered = new Map(); // the middle of where a word has to look, by the number of the word
    let off = new Set(); // queries
    let cells; // what the stem sees
    let result; // words, or the answers of queries
    let whole; // the answers of all queries
    let took = 0;
    let remark = ""; // said once, instead of what is unlike the training

    // ---- what stays ------------------------------------------------------------------------------

    const modes = Object.entries(MODES).map(([name, { title }]) =>
      h("button", { type: "button", "data-mode": name, onclick: () => switchTo(name) }, title));
    const canvas = h("canvas", { width: SIZE, height: SIZE, "aria-hidden": "true" });
    const layers = ["cells", "boxes", "things", "looks"].map((name) => s("g", { class: name }));
    const [cellLayer, boxLayer, thingLayer, lookLayer] = layers;
    const stage = s("svg", {
      viewBox: `0 0 ${SIZE} ${SIZE}`, role: "group",
      "aria-label": "The picture, 40 by 40 pixels. Arrow keys move the thing in focus, with Shift in larger steps; Delete removes it.",
    }, ...layers);
    const chips = h("div", { class: "bar chips", role: "group", "aria-label": "On the picture" });
    const answer = h("div", { class: "answer" }); // what the model says
    const more = h("div", { class: "more" }); // about one word or query of it
    const wordByWord = h("button", { type: "button", onclick: () => play() }, "Word by word");
    const spoken = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
    const notice = h("p", { class: "notice", role: "status" });
    const busy = h("p", { class: "busy", role: "status" });
    const tray = h("div", { class: "tray", role: "group", "aria-label": "Put on the picture" });
    const numbers = h("div", { class: "numbers" });
    const address = h("a", {}, "A link to this scene.");
    const byWhom = designerMenu("drawn by", () => designer, (name) => {
      designer = name;
      for (const thing of things) redraw(thing, { designer });
      fillTray();
      build();
      change();
    });
    byWhom.id = `${id}-designer`;
    const groundMenu = h("select", {
      id: `${id}-ground`,
      onchange: () => {
        ground = groundMenu.value;
        change();
      },
    }, ...Object.entries(GROUNDS).map(([name, { title }]) => h("option", { value: name }, title)));

    replace(
      h("div", { class: "bar" },
        h("div", { class: "bar modes", role: "group", "aria-label": "How the picture is told" },
          h("span", { class: "name" }, "Tell it"), ...modes),
        h("button", { type: "button", onclick: () => begin(drawn()) }, "Another scene"),
        wordByWord),
      h("div", { class: "bar choices" },
        h("label", { for: byWhom.id }, "drawn by"), byWhom,
        h("label", { for: groundMenu.id }, "on"), groundMenu),
      tray,
      h("div", { class: "halves" },
        h("div", {}, h("div", { class: "stage" }, canvas, stage), chips),
        h("div", {}, answer, busy, notice, more)),
      spoken,
      h("details", {}, h("summary", {}, "The same in numbers"), numbers),
      h("p", { class: "credit" }, address, " Emoji: ", ...credits()));

    function credits() {
      const parts = sprites.sets.map(({ title, credit: { licence, address } }) =>
        [h("a", { href: address }, title), ` (${licence})`]);
      return parts.flatMap((part, i) => (i ? ["; ", ...part] : part)).concat(
        ". They were made small, and are blended with the ground.");
    }

    function designerMenu(label, get, choose) {
      const group = (title, trained) => h("optgroup", { label: title },
        ...sprites.sets.filter((one) => one.trained === trained).map((one) =>
          h("option", { value: one.name, selected: one.name === get() }, one.title)));
      const menu = h("select", { "aria-label": label, onchange: () => choose(menu.value) },
        group("trained on", true), group("never trained on", false));
      return menu;
    }

    // ---- things ----------------------------------------------------------------------------------

    function redraw(thing, changes) {
      Object.assign(thing, changes);
      thing.sprite = sprite(sheets[thing.designer][thing.name], thing.size);
      put(thing, thing.x, thing.y);
    }

    /** Move a thing, as far as it stays on the picture. */
    function put(thing, x, y) {
      const { width, height } = thing.sprite;
      thing.x = Math.round(Math.min(Math.max(x, 0), SIZE - width));
      thing.y = Math.round(Math.min(Math.max(y, 0), SIZE - height));
      thing.box = [thing.x, thing.y, thing.x + width, thing.y + height];
    }

    const meet = (a, b) =>
      Math.min(a[2], b[2]) > Math.max(a[0], b[0]) && Math.min(a[3], b[3]) > Math.max(a[1], b[1]);
    const isFree = (thing) => !things.some((other) => other !== thing && meet(other.box, thing.box));
    const isLow = ({ box }) => box[1] + box[3] >= SIZE;
    const crosses = ({ box }) => box[1] < SIZE / 2 && box[3] > SIZE / 2;

    /** What a thing is called where there are two of its kind: cat, cat 2. */
    function title(thing) {
      const same = things.filter(({ name }) => name === thing.name);
      const place = same.indexOf(thing);
      return place > 0 ? `${thing.name} ${place + 1}` : thing.name;
    }

    function add(name) {
      if (things.length === MOST) {
        remark = `${MOST} things fill so small a picture. Take one away first.`;
        show();
        return;
      }
      const thing = { name, size: 14, x: 0, y: 0 };
      redraw(thing, { designer });
      const { width, height } = thing.sprite;
      // In the corners, then anywhere; at last over others.
      const everywhere = Array.from({ length: SIZE ** 2 }, (_, i) => [i % SIZE, Math.floor(i / SIZE)])
        .filter(([x, y]) => x + width <= SIZE && y + height <= SIZE);
      const spots = [[3, 3], [23, 3], [3, 23], [23, 23], ...everywhere];
      const free = spots.find(([x, y]) => {
        put(thing, x, y);
        return isFree(thing);
      });
      if (!free) put(thing, ...everywhere[random(everywhere.length)]);
      things.push(thing);
      steered.clear();
      build();
      change();
    }

    function remove(thing) {
      const place = things.indexOf(thing);
      things.splice(place, 1);
      steered.clear();
      build();
      change();
      const next = chips.querySelectorAll("button")[Math.min(place, things.length - 1)] ?? tray.querySelector("button");
      next.focus({ preventScroll: true });
    }

    /** Draw a scene of the kind that the model of this mode was trained on. */
    function drawn() {
      const found = [];
      const wanted = 1 + random(3);
      for (let tries = 0; found.length < wanted && tries < 1000; tries++) {
        const thing = { name: sprites.classes[random(sprites.classes.length)], size: SIZES[random(SIZES.length)] };
        const { width, height } = sprite(sheets[designer][thing.name], thing.size);
        [thing.x, thing.y] = [random(SIZE - width + 1), random(SIZE - height + 1)];
        thing.box = [thing.x, thing.y, thing.x + width, thing.y + height];
        const inRow = found.filter((other) => isLow(other) === isLow(thing)).length;
        const fits = !found.some((other) => meet(other.box, thing.box));
        if (fits && (mode === "queries" || (inRow < 2 && !crosses(thing)))) found.push(thing);
      }
      return found;
    }

    function link() {
      const asked = new URLSearchParams({ live: "scene", mode, ground });
      asked.set("things", things.map(({ name, designer: by, size, x, y }) => [name, by, size, x, y].join(".")).join(","));
      if (steered.size) asked.set("looks", [...steered].map(([word, at]) => [word, ...at].join(".")).join(","));
      if (off.size) asked.set("off", [...off].join(","));
      return linkTo(asked);
    }

    /** Take from a link what there is; say what is not here. */
    function takeState() {
      const wrong = [];
      const asks = (key) => (state.get(key) ?? place.dataset[key] ?? "").split(",").filter(Boolean);
      const scene = asks("things").flatMap((code, i) => {
        const [name, by, ...rest] = code.split(".");
        const [size, x, y] = rest.map(Number);
        const fits = i < MOST && Object.hasOwn(sheets, by ?? "") && sprites.classes.includes(name) &&
          SIZES.includes(size) && Number.isFinite(x) && Number.isFinite(y);
        if (!fits) wrong.push(quoted(code));
        return fits ? [{ name, designer: by, size, x, y }] : [];
      });
      if (Object.hasOwn(GROUNDS, state.get("ground") ?? "")) ground = state.get("ground");
      else if (state.has("ground")) wrong.push(quoted(state.get("ground")));
      groundMenu.value = ground;
      if (scene.length) designer = scene[0].designer;
      byWhom.value = designer;
      begin(state.has("things") || scene.length ? scene : start());
      for (const code of asks("looks")) {
        const [word, ...at] = code.split(".").map(Number);
        if (Number.isInteger(word) && at.length === 2 && at.every(Number.isFinite)) steered.set(word, at.map(onCorner));
        else wrong.push(quoted(code));
      }
      if (mode === "captions" && steered.size) chosen = Math.max(...steered.keys());
      for (const query of asks("off")) if (/^[0-5]$/.test(query)) off.add(Number(query));
      if (wrong.length) remark = `The link asks for what is not here: ${listed(wrong)}.`;
    }

    function begin(scene) {
      things = scene;
      for (const thing of things) redraw(thing, { designer: thing.designer ?? designer });
      steered.clear();
      chosen = null;
      build();
      change();
    }

    // ---- the picture -----------------------------------------------------------------------------

    /** Make a part of the picture that is moved by mouse, finger, pen and the arrow keys. */
    function movable(part, { at, move, step, steps, onremove = () => {}, onfocus = () => {} }) {
      const pixel = (event) => {
        const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());
        return [x, y];
      };
      let grab; // from the pointer to the corner, so that nothing jumps when it is taken
      draggable(part, {
        take: (event) => {
          const [x, y] = pixel(event);
          const before = at();
          grab = [before[0] - x, before[1] - y];
          return () => move(...before);
        },
        drag: (event) => {
          const [x, y] = pixel(event);
          move(x + grab[0], y + grab[1]);
        },
      });
      const on = {
        focus: onfocus,
        keydown: (event) => {
          const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
          if (way) {
            const by = event.shiftKey ? steps : step;
            move(at()[0] + way[0] * by, at()[1] + way[1] * by);
          } else if (["Delete", "Backspace"].includes(event.key)) onremove();
          else return;
          event.preventDefault();
        },
      };
      for (const [name, act] of Object.entries(on)) part.addEventListener(name, act);
      // touch-action says so too, but not every browser heeds it inside a drawing: the page shall not scroll along.
      part.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
      return part;
    }

    /** What is made anew when there are other things. */
    function build() {
      thingLayer.replaceChildren(...things.map((thing) => {
        const part = s("rect", { class: "thing", tabindex: 0, role: "slider", "aria-label": title(thing), "aria-valuemin": 0, "aria-valuemax": SIZE });
        thing.part = part;
        return movable(part, {
          at: () => [thing.x, thing.y],
          move: (x, y) => {
            put(thing, x, y);
            change();
          },
          step: 1,
          steps: 4,
          onremove: () => remove(thing),
        });
      }));
      chips.replaceChildren(
        things.length ? "" : h("span", { class: "name" }, "Nothing is on the picture. Tap an emoji."),
        ...things.map((thing) => h("button", {
          type: "button", onclick: () => remove(thing), "aria-label": `Take away: ${title(thing)}`,
        }, `${title(thing)} `, h("span", { "aria-hidden": "true" }, "✕"))));
    }

    function fillTray() {
      tray.replaceChildren(...sprites.classes.map((name) =>
        h("button", { type: "button", title: name, "aria-label": name, onclick: () => add(name) },
          icon(sheets[designer][name]))));
    }

    function icon({ width, height, pixels }) {
      const picture = h("canvas", { width, height, "aria-hidden": "true" });
      const bytes = new ImageData(width, height);
      for (let i = 0; i < pixels.length; i += 4) {
        const alpha = pixels[i + 3]; // a canvas wants colours that are not multiplied by it
        for (let c = 0; c < 3; c++) bytes.data[i + c] = alpha ? (pixels[i + c] * 255) / alpha : 0;
        bytes.data[i + 3] = alpha;
      }
      picture.getContext("2d").putImageData(bytes, 0, 0);
      return picture;
    }

    let picture;

    function drawPicture() {
      picture = paint(things, GROUNDS[ground].ground);
      const bytes = new ImageData(SIZE, SIZE);
      for (let i = 0; i < SIZE * SIZE; i++) bytes.data.set([...picture.subarray(3 * i, 3 * i + 3), 255], 4 * i);
      canvas.getContext("2d").putImageData(bytes, 0, 0);
      for (const { part, x, y, sprite: { width, height } } of things) {
        set(part, { x, y, width, height, "aria-valuenow": x, "aria-valuetext": `x ${x}, y ${y}` });
      }
    }

    // ---- when something changes ------------------------------------------------------------------

    let waiting = false;
    let timer;

    /** Something of the picture is other than before: draw it at once, and look at it as soon as there is time. */
    function change() {
      cells = null;
      drawPicture();
      later();
    }

    function later() {
      if (waiting) return;
      waiting = true;
      busy.textContent = took > SLOW ? "The model is looking …" : "";
      place.setAttribute("aria-busy", "true");
      requestAnimationFrame(() => setTimeout(() => {
        waiting = false;
        look();
        place.removeAttribute("aria-busy");
        busy.textContent = "";
      }));
    }

    function look() {
      const before = performance.now();
      cells ??= stem.cells(picture);
      if (mode === "captions") {
        const where = [...steered].map(([word, at]) => [word, shared(middle(around(at)))]);
        result = models.captions.write(cells, { steered: new Map(where) });
      } else {
        const all = [...models.queries.queries.keys()];
        whole = models.queries.ask(cells).map(named);
        result = off.size ? models.queries.ask(cells, all.filter((query) => !off.has(query))).map(named) : whole;
      }
      took = performance.now() - before;
      place.dataset.took = took.toFixed(1);
      show();
    }

    const around = ([x, y]) => [x, y, x, y];

    /** Read from the chances of a query what it says. */
    function named(found) {
      const nothing = found.chances.length - 1;
      const likely = largest(found.chances.slice(0, nothing));
      const said = found.chances[likely] > found.chances[nothing];
      return {
        ...found, likely, said,
        says: said ? models.queries.classes[likely] : "nothing",
        chance: found.chances[said ? likely : nothing],
      };
    }

    // ---- where it looks --------------------------------------------------------------------------

    const looking = () => {
      const at = hovered ?? chosen;
      if (at === null) return null;
      return (mode === "captions" ? result[at] : result.find(({ query }) => query === at))?.weights ?? null;
    };

    function drawCells() {
      const weights = looking();
      const most = Math.max(...(weights ?? [0]));
      cellLayer.replaceChildren(...(weights ?? []).flatMap((weight, i) => {
        const [x, y] = [(i % SIDE) * STRIDE, Math.floor(i / SIDE) * STRIDE];
        const share = weight / most;
        const colour = viridis(share);
        const parts = [s("rect", {
          x, y, width: STRIDE, height: STRIDE, "data-value": weight,
          fill: `rgb(${colour})`, "fill-opacity": 0.66 - 0.3 * share,
        })];
        if (weight >= 0.095) {
          parts.push(s("text", { x: x + STRIDE / 2, y: y + STRIDE / 2 + 0.5 }, number(weight)));
        }
        return parts;
      }));
    }

    /** Say how much of the weight lies in the box of each thing. */
    function shares(weights) {
      const covers = things.map(({ box }) => cellsInside(box));
      const found = things.map((thing, k) =>
        ({ name: title(thing), weight: weights.reduce((sum, w, i) => sum + (covers[k][i] ? w : 0), 0) }));
      const told = found.filter(({ weight }) => weight >= 0.005).sort((a, b) => b.weight - a.weight);
      const times = weights.map((_, i) => covers.filter((inside) => inside[i]).length);
      const rest = weights.reduce((sum, w, i) => sum + (times[i] ? 0 : w), 0);
      const parts = told.map(({ name, weight }) => `the ${name} ${number(weight)}`);
      if (rest >= 0.005) parts.push(`the ground ${number(rest)}`);
      const twice = times.some((n, i) => n > 1 && weights[i] >= 0.005);
      return listed(parts) + (twice ? " (where things overlap, a weight counts for each)" : "");
    }

    function choose(at) {
      stop();
      chosen = at;
      show();
    }

    function hover(at) {
      hovered = at;
      drawCells();
    }

    /** A button that chooses a word or a query, and shows it while the mouse is over it. */
    function chooser(at, attributes, ...children) {
      return h("button", {
        type: "button", "aria-pressed": String(at === chosen), "data-at": at,
        onclick: () => choose(at === chosen ? null : at),
        onpointerenter: (event) => event.pointerType === "mouse" && hover(at),
        onpointerleave: () => hover(null),
        ...attributes,
      }, ...children);
    }

    // ---- words -----------------------------------------------------------------------------------

    let playing;

    function stop() {
      clearTimeout(playing);
      playing = null;
    }

    /** Choose one word after the other. */
    function play(at = 0) {
      stop();
      if (at >= result.length) return;
      chosen = at;
      show();
      playing = setTimeout(() => play(at + 1), PAUSE);
    }

    function showWords() {
      const truth = things.length ? caption(things) : null;
      const said = result.filter(({ ends }) => !ends).map(({ word }) => word);
      const wanted = truth?.words.join(" ");
      const aligned = truth?.words.length === said.length;
      const words = result.map(({ ends, chance }, i) => {
        const wrong = aligned && !ends && truth.words[i] !== said[i];
        return chooser(i, { class: `word${wrong ? " wrong" : ""}${ends ? " end" : ""}` },
          h("span", { class: "token" }, wordAt(i)),
          h("span", { class: "chance" }, steered.has(i) ? "steered" : number(chance)),
          wrong ? h("span", { class: "unseen" }, "wrong") : "");
      });
      const verdict = !truth
        ? "There is nothing on the picture. The model was never told how to say so."
        : said.join(" ") === wanted ? "That is right, word by word." : `By the rules of the chapter it is: ${wanted}.`;
      answer.replaceChildren(
        h("div", { class: "words", role: "group", "aria-label": "What the model writes" }, ...words),
        h("p", { class: "verdict" }, verdict));
      more.replaceChildren(h("p", { class: "about" }, aboutWord()), ...(chosen === null ? [] : [steering()]));
      return `${said.join(" ")}. ${chosen === null ? verdict : aboutWord()}`;
    }

    const wordAt = (i) => (result[i].ends ? "end" : result[i].word);

    function aboutWord() {
      if (chosen === null) {
        return "Drag the things about. Choose a word, to see where it looks; the number below it says how sure the model is.";
      }
      const { others, weights } = result[chosen];
      const near = others.filter(({ chance }) => chance >= 0.005)
        .map(({ word, ends, chance }) => `${ends ? "the end" : word} ${number(chance)}`);
      return `Where ${quoted(wordAt(chosen))} ${steered.has(chosen) ? "was made to look" : "looked"}: ${shares(weights)}. ` +
        (near.length ? `Next came ${listed(near)}. ` : "No other word came near. ") + articleHint();
    }

    /** Why a steered name may stay as it was: the article before it has been read. */
    function articleHint() {
      const [before, at] = [result[chosen - 1]?.word, steered.get(chosen)];
      if (!at || !["a", "an"].includes(before)) return "";
      const thing = things.find(({ box }) => box[0] <= at[0] && at[0] < box[2] && box[1] <= at[1] && at[1] < box[3]);
      if (!thing || article(thing.name) === before || result[chosen].word === thing.name) return "";
      return `It has read ${quoted(before)} before; make that word look there first.`;
    }

    /** What makes the chosen word look elsewhere. */
    function steering() {
      const at = steered.get(chosen);
      const centre = ({ box }) => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2].map(onCorner);
      const button = (name, where) => h("button", {
        type: "button",
        "aria-pressed": String(where ? at?.join() === where.join() : !at),
        onclick: () => steer(where),
      }, name);
      return h("div", { class: "bar steering", role: "group", "aria-labelledby": `${id}-steering` },
        h("span", { class: "name", id: `${id}-steering` }, `Make ${quoted(wordAt(chosen))} look at`),
        ...things.map((thing) => button(`the ${title(thing)}`, centre(thing))),
        button("an empty place", emptiest()),
        button("what it likes", null));
    }

    /** The corner between four cells that is furthest from all things. */
    function emptiest() {
      const corners = Array.from({ length: (SIDE - 1) ** 2 }, (_, i) =>
        [1 + (i % (SIDE - 1)), 1 + Math.floor(i / (SIDE - 1))].map((k) => k * STRIDE));
      const distance = ([x, y]) => Math.min(SIZE, ...things.map(({ box }) =>
        Math.max(box[0] - x, x - box[2], box[1] - y, y - box[3])));
      return corners.reduce((best, corner) => (distance(corner) > distance(best) ? corner : best));
    }

    const onCorner = (x) => Math.min(Math.max(Math.round(x / STRIDE), 1), SIDE - 1) * STRIDE;

    function steer(where) {
      if (where) steered.set(chosen, where);
      else steered.delete(chosen);
      for (const word of steered.keys()) if (word > chosen) steered.delete(word); // other words stand there now
      later();
    }

    /** The frame that says where the chosen word has to look: four cells, to be dragged. */
    function drawFrame() {
      const at = mode === "captions" && chosen !== null ? steered.get(chosen) : null;
      if (!at) {
        lookLayer.replaceChildren();
        return;
      }
      let frame = lookLayer.firstElementChild;
      if (!frame || Number(frame.dataset.word) !== chosen) {
        const word = chosen;
        frame = movable(s("g", { class: "frame", tabindex: 0, role: "slider", "data-word": word, "aria-valuemin": STRIDE, "aria-valuemax": SIZE - STRIDE },
          ...["under", "over"].map((name) => s("rect", { class: name, x: -STRIDE, y: -STRIDE, width: 2 * STRIDE, height: 2 * STRIDE }))),
        {
          at: () => steered.get(word),
          move: (x, y) => {
            const where = [x, y].map(onCorner);
            if (where.join() !== steered.get(word).join()) steer(where);
          },
          step: STRIDE,
          steps: 2 * STRIDE,
          onremove: () => steer(null),
        });
        lookLayer.replaceChildren(frame);
      }
      set(frame, {
        transform: `translate(${at})`, "aria-label": `Where word ${chosen + 1} looks`,
        "aria-valuenow": at[0], "aria-valuetext": `around x ${at[0]}, y ${at[1]}`,
      });
    }

    // ---- queries ---------------------------------------------------------------------------------

    function drawBoxes() {
      const shown = mode === "queries" ? result.filter(({ said, query }) => said || query === chosen) : [];
      const taken = [];
      const flags = shown.map(({ query, says, box: [x0, y0, x1, y1] }) => {
        const label = `${query} ${says}`;
        const [width, height] = [label.length * 1.08 + 1, 2.4];
        const inside = (x) => Math.min(Math.max(x, 0), SIZE - width);
        const spots = [y1, y0 - height, y1 - height, y0].flatMap((y) => [[x0, y], [x1 - width, y]])
          .filter(([, y]) => y >= 0 && y + height <= SIZE)
          .map(([x, y]) => [inside(x), y, inside(x) + width, y + height]);
        const spot = spots.find((one) => !taken.some((other) => meet(one, other))) ?? spots[0];
        taken.push(spot);
        return [
          s("rect", { class: "flag", x: spot[0], y: spot[1], width, height }),
          s("text", { class: "flag-text", x: spot[0] + 0.45, y: spot[1] + 1.8 }, label),
        ];
      });
      boxLayer.replaceChildren(
        ...shown.map(({ query, said, box: [x0, y0, x1, y1] }) => s("rect", {
          class: said ? "box" : "box idle", x: x0, y: y0, width: x1 - x0, height: y1 - y0, "data-query": query,
        })),
        ...flags.flat());
    }

    /** Say who finds a thing: queries of its class with enough of its box, or others that take it for something else. */
    function finders(thing, answers) {
      const isNearer = (box, other) => other.name === thing.name && boxIou(box, other.box) > boxIou(box, thing.box);
      const there = answers.filter(({ said, box }) =>
        said && boxIou(box, thing.box) >= ENOUGH && !things.some((other) => isNearer(box, other)));
      const right = there.filter(({ says }) => says === thing.name);
      return { right, wrong: right.length ? [] : there };
    }

    function about(thing, answers) {
      const { right, wrong } = finders(thing, answers);
      if (right.length > 1) return `the ${title(thing)} ${right.length === 2 ? "twice" : `${right.length} times`}, by queries ${listed(right.map(({ query }) => query))}`;
      if (right.length) return `the ${title(thing)} by query ${right[0].query}`;
      if (wrong.length) return `the ${title(thing)} by query ${wrong[0].query}, which takes it for ${article(wrong[0].says)} ${wrong[0].says}`;
      return null;
    }

    function found() {
      if (!things.length) return "There is nothing on the picture to find.";
      const told = things.map((thing) => about(thing, result));
      const missed = things.filter((_, i) => told[i] === null).map((thing) => `the ${title(thing)}`);
      const known = things.flatMap((thing) => Object.values(finders(thing, result)).flat());
      const more = result.filter((one) => one.said && !known.includes(one));
      const parts = [];
      if (told.some(Boolean)) parts.push(`Found: ${told.filter(Boolean).join("; ")}.`);
      if (missed.length) parts.push(`Nobody finds ${listed(missed, "or")}.`);
      for (const { query, says } of more) parts.push(`Query ${query} says ${says}, with a box that fits nothing.`);
      return parts.join(" ");
    }

    /** Say what has become of the things of the queries that are off. */
    function without() {
      const told = things.flatMap((thing) => {
        const lost = finders(thing, whole).right.filter(({ query }) => off.has(query));
        if (!lost.length) return [];
        const now = finders(thing, result).right.map(({ query }) => query);
        const before = finders(thing, whole).right.map(({ query }) => query);
        const fresh = now.filter((query) => !before.includes(query));
        const queries = (list) => `${list.length === 1 ? "query" : "queries"} ${listed(list)}`;
        const names = queries(lost.map(({ query }) => query));
        const [takes, finds] = [fresh.length === 1 ? "takes" : "take", now.length === 1 ? "finds" : "find"];
        if (fresh.length) return [`Without ${names}, ${queries(fresh)} ${takes} over the ${title(thing)}.`];
        if (now.length) return [`Without ${names}, ${queries(now)} still ${finds} the ${title(thing)}.`];
        return [`Without ${names}, nobody finds the ${title(thing)}.`];
      });
      return told.join(" ");
    }

    function showQueries() {
      const rows = whole.map(({ query }) => {
        const now = result.find((one) => one.query === query);
        const box = h("input", {
          type: "checkbox", "aria-label": `query ${query} is on`,
          onchange: () => {
            if (box.checked) off.delete(query);
            else off.add(query);
            later();
          },
        });
        box.checked = !off.has(query);
        return h("tr", { class: now?.said ? "said" : "" },
          h("td", {}, h("label", {}, box)),
          h("th", { scope: "row" }, now ? chooser(query, {}, `query ${query}`) : `query ${query}`),
          ...(now ? [now.says, number(now.chance)] : ["is off", ""]).map((text) => h("td", {}, text)));
      });
      const told = found();
      answer.replaceChildren(h("p", { class: "verdict" }, told));
      more.replaceChildren(
        h("p", { class: "about" }, aboutQuery()),
        h("table", { class: "answers" },
          h("caption", { class: "unseen" }, "What each query says"),
          h("thead", {}, h("tr", {}, ...["on", "query", "says", "how sure"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, ...rows)));
      return `${told} ${chosen === null && !off.size ? "" : aboutQuery()}`;
    }

    function aboutQuery() {
      const now = result.find(({ query }) => query === chosen);
      const loss = off.size && things.length ? without() || "What is off was not needed here." : "";
      if (!now) {
        return loss || "Drag the things about. Choose a query, to see where it looks. Take its tick away, and the others answer without it.";
      }
      const box = now.box.map((x) => Math.round(x));
      return `${loss} Where query ${chosen} looked: ${shares(now.weights)}. It says ${quoted(now.says)}, ` +
        `from ${box[0]}, ${box[1]} to ${box[2]}, ${box[3]}.`;
    }

    // ---- show all --------------------------------------------------------------------------------

    function show() {
      if (chosen !== null && mode === "captions" && chosen >= result.length) chosen = null;
      if (chosen !== null && mode === "queries" && off.has(chosen)) chosen = null;
      for (const button of modes) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
      hovered = null;
      wordByWord.hidden = mode !== "captions";
      const news = keepFocus([answer, more], mode === "captions" ? showWords : showQueries);
      drawCells();
      drawBoxes();
      drawFrame();
      notice.textContent = remark || unlike();
      remark = "";
      if (numbers.parentElement.open) showNumbers();
      address.setAttribute("href", link());
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (spoken.textContent !== news) spoken.textContent = news;
      }, REST);
    }

    /** Make some parts anew, and give the focus to what stands where it was. */
    function keepFocus(parts, make) {
      const controls = () => parts.map((part) => [...part.querySelectorAll("button, input, select")]);
      const at = controls().map((inside) => inside.indexOf(document.activeElement));
      const found = make();
      controls().forEach((inside, i) => {
        if (at[i] >= 0) inside[Math.min(at[i], inside.length - 1)]?.focus({ preventScroll: true });
      });
      return found;
    }

    /** Say in what the picture is unlike those of the training. */
    function unlike() {
      const parts = [];
      const strangers = [...new Set(things.map((thing) => setOf(thing.designer)))].filter((one) => !one.trained);
      if (things.length > 3) parts.push("at most three things");
      if (things.some((thing) => !isFree(thing))) parts.push("no two that overlapped");
      if (mode === "captions" && things.some(crosses)) parts.push("none across the middle");
      if (mode === "captions" && [true, false].some((low) => things.filter((one) => isLow(one) === low).length > 2)) {
        parts.push("at most two in a row");
      }
      if (strangers.length) parts.push(`none by ${listed(strangers.map((one) => one.title), "or")}`);
      if (ground !== "white") parts.push("nothing but white behind them");
      return parts.length ? `In training there were ${listed(parts)}.` : "";
    }

    const showNumbers = () => keepFocus([numbers], () => numbers.replaceChildren(thingTable(), ...weightTable()));
    numbers.parentElement.addEventListener("toggle", () => numbers.parentElement.open && showNumbers());

    function thingTable() {
      const field = (thing, axis, most) => {
        const input = h("input", {
          type: "number", min: 0, max: most, value: thing[axis], inputmode: "numeric", "aria-label": `${axis} of ${title(thing)}`,
          onchange: () => {
            const wanted = Number(input.value);
            const inside = input.value !== "" && wanted >= 0 && wanted <= most;
            const where = { x: thing.x, y: thing.y, [axis]: input.value === "" ? thing[axis] : wanted };
            put(thing, where.x, where.y);
            change();
            input.value = thing[axis];
            if (!inside) remark = `The ${title(thing)} fits from ${axis} 0 to ${axis} ${most}.`;
          },
        });
        return input;
      };
      const rows = things.map((thing) => {
        const { width, height } = thing.sprite;
        const size = h("select", {
          "aria-label": `size of ${title(thing)}`,
          onchange: () => {
            redraw(thing, { size: Number(size.value) });
            change();
          },
        }, ...SIZES.map((n) => h("option", { value: n, selected: n === thing.size }, String(n))));
        const by = designerMenu(`designer of ${title(thing)}`, () => thing.designer, (name) => {
          redraw(thing, { designer: name });
          change();
        });
        const parts = [field(thing, "x", SIZE - width), field(thing, "y", SIZE - height), size, by];
        return h("tr", {}, h("th", { scope: "row" }, title(thing)), ...parts.map((part) => h("td", {}, part)));
      });
      return h("table", { class: "things" },
        h("caption", {}, "The things: upper left corner in pixels, longer side, designer"),
        h("thead", {}, h("tr", {}, ...["thing", "x", "y", "size", "drawn by"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...rows));
    }

    function weightTable() {
      const weights = looking();
      if (!weights) return [h("p", {}, "Choose a word or a query, and its weights stand here.")];
      const rows = Array.from({ length: SIDE }, (_, y) => h("tr", {},
        ...weights.slice(y * SIDE, (y + 1) * SIDE).map((weight) => {
          const colour = viridis(weight / Math.max(...weights));
          return h("td", { style: `background: rgb(${colour}); color: ${readableOn(colour)}`, "data-value": weight },
            number(weight).replace("0.", "."));
        })));
      return [h("table", { class: "weights" },
        h("caption", {}, "The weights, one for each cell of 4 by 4 pixels"), h("tbody", {}, ...rows))];
    }


    async function switchTo(name) {
      if (!models[name]) {
        busy.textContent = "The other model is being loaded.";
        place.setAttribute("aria-busy", "true");
        try {
          models[name] = await minattn.loadModel(MODES[name].model);
        } catch (error) {
          busy.textContent = error.message;
          place.removeAttribute("aria-busy");
          return;
        }
      }
      stop();
      mode = name;
      [chosen, hovered] = [null, null];
      later();
    }

    takeState();
    fillTray();
  }

  /** state: what a link asks for, as URLSearchParams. */
  minattn.widgets.scene = (element, state = new URLSearchParams()) =>
    openPlace(element, "scene", "The emoji and the model are being loaded.", async (replace) => {
      if (typeof minattn.loadSprites !== "function") {
        throw new Error("The model could not be loaded: scene_model.js is missing.");
      }
      const mode = modeOf(element, state);
      const [stem, model, sprites] = await Promise.all([
        minattn.loadModel("scene_stem"), minattn.loadModel(MODES[mode].model), minattn.loadSprites()]);
      workshop(replace, element, { stem, models: { [mode]: model }, sprites }, state);
    });
})();
