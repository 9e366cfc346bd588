// The attention playground of chapter 3: move queries and keys in a plane, and watch
// scores, weights and outputs follow. All arithmetic is done by minattn.attend.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, s, set, draggable, plainDigits, valueOf } = minattn.elements;

  const D_K = 2; // the width of a query and of a key: a plane can show no more
  const REACH = 3; // the largest coordinate
  const STEP = 0.1;
  const LARGE_STEP = 0.5;
  const MOST = 6; // words
  const PAUSE = 250; // milliseconds of rest before the sentence is spoken

  // ---- what there is to move -------------------------------------------------------------

  // The first two queries and the first three keys are the chapter's, worked by hand there.
  const ASKING = [
    { word: "twenty", query: [0, 2] },
    { word: "three", query: [2, 0] },
    { word: "four", query: [2, -1] },
    { word: "ten", query: [-1, 1.5] },
    { word: "five", query: [-1.5, -1] },
    { word: "and", query: [1, 1] },
  ];
  const ASKED = [
    { word: "drei", key: [2, 0], value: [3, 0] },
    { word: "und", key: [0.5, 0.5], value: [0.75, 5] },
    { word: "zwanzig", key: [0, 2], value: [0, 20] },
    { word: "vier", key: [2, -1.5], value: [4, 0] },
    { word: "zehn", key: [-1.5, 1.5], value: [0, 10] },
    { word: "fünf", key: [-2, -1.5], value: [5, 0] },
  ];

  const PRESETS = {
    words: {
      title: "the chapter’s words",
      hint: "These are the numbers of the figure. Drag the tip of the query “twenty” round to “drei”: which weight grows, and where does the output go?",
    },
    long: {
      title: "a long key",
      hint: "The key of “und” fits neither query best, but it is long, and a long key is loud: both queries give it most. Shorten it until each finds its own word again.",
      keys: { 1: [2.5, 2.5] },
    },
    across: {
      title: "a query at right angles",
      hint: "All keys lie on one line, and the query stands at right angles to it: all scores are 0, and the output is the plain mean of the values. Turn the query a little, then make it longer.",
      nQueries: 1,
      queries: { 0: [0, 2] },
      keys: { 0: [2.5, 0], 1: [1, 0], 2: [-2, 0] },
    },
    nothing: {
      title: "nothing to look at",
      hint: "The mask forbids every key to “twenty”: without a key its weights are zeros, and so is its output. Click on a cell in its row of weights to allow one.",
      forbidden: [[0, 0], [0, 1], [0, 2]],
    },
  };

  const table = (cell) =>
    Array.from({ length: MOST }, (_, i) => Array.from({ length: MOST }, (_, j) => cell(i, j)));

  function start(preset) {
    const { nQueries = 2, queries = {}, keys = {}, forbidden = [] } = PRESETS[preset];
    const mask = table(() => true);
    for (const [i, j] of forbidden) mask[i][j] = false;
    return {
      nQueries,
      nKeys: 3,
      query: ASKING.map((word, i) => [...(queries[i] ?? word.query)]),
      key: ASKED.map((word, j) => [...(keys[j] ?? word.key)]),
      mask, // true where a query may look
      temperature: 1,
      divided: true, // by the root of d_k
      chosen: 0, // the query that is looked at
    };
  }

  function attendTo({ nQueries, nKeys, query, key, mask, temperature, divided }) {
    const scale = (divided ? 1 / Math.sqrt(D_K) : 1) / temperature;
    return minattn.attend(
      query.slice(0, nQueries),
      key.slice(0, nKeys),
      ASKED.slice(0, nKeys).map((word) => word.value),
      { scale, mask: mask.slice(0, nQueries).map((row) => row.slice(0, nKeys)) },
    );
  }

  // No query sees the future; the last query stands beside the last key.
  const causal = ({ nQueries, nKeys }) => table((i, j) => j - i <= nKeys - nQueries);

  // ---- words and colours -----------------------------------------------------------------

  const number = (x, digits = 2) => {
    const text = x.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
  };
  const short = (x) => number(x, Math.abs(x) < 9.995 ? 2 : Math.abs(x) < 99.95 ? 1 : 0);
  // A number as somebody may type it: with a decimal comma, with any minus, in the digits of any script. Null if none.
  function readNumber(typed) {
    const plain = plainDigits(typed).trim().replace(/^[−–]/, "-").replace(/[,٫，．]/, ".");
    return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : null;
  }
  const RULE = `A number from ${number(-REACH, 0)} to ${REACH}, such as 0.5 or 0,5; arrow up and arrow down change it.`;

  const pair = ([x, y], digits = 2) => `(${number(x, digits)}, ${number(y, digits)})`;
  const quoted = (word) => `“${word}”`;

  function describe({ chosen, nKeys, mask }, weights, verb) {
    const who = quoted(ASKING[chosen].word);
    const row = weights[chosen];
    const open = row.map((weight, j) => ({ weight, word: quoted(ASKED[j].word), j }))
      .filter(({ j }) => mask[chosen][j])
      .sort((a, b) => b.weight - a.weight);
    if (open.length === 0) return `${who} may look at nothing: its weights and its output are 0.`;
    if (open.length > 1 && open[0].weight - open.at(-1).weight < 1e-9) {
      const all = open.length === nKeys ? "all keys" : "all keys that it may look at";
      return `For ${who}, ${all} score the same: each ${verb} ${number(open[0].weight)}.`;
    }
    const [best, ...others] = open.slice(0, 3);
    const parts = [`${best.word} ${verb} ${number(best.weight)}`];
    parts.push(...others.map(({ word, weight }) => `${word} ${number(weight)}`));
    const rest = open.slice(3);
    const sum = rest.reduce((total, { weight }) => total + weight, 0);
    if (rest.length === 1) parts.push(`${rest[0].word} ${number(sum)}`);
    if (rest.length > 1) parts.push(`the other ${rest.length} share ${number(sum)}`);
    return `For ${who}, ${parts.join(", ")}.`;
  }

  // ---- the plane of queries and keys -----------------------------------------------------

  const UNIT = 54; // of the drawing, for 1
  const MIDDLE = 190;
  const toDrawing = ([x, y]) => [MIDDLE + x * UNIT, MIDDLE - y * UNIT];
  const onGrid = (x) => {
    const rounded = Math.round(Math.min(Math.max(x, -REACH), REACH) / STEP) * STEP;
    return Number(rounded.toFixed(1)) || 0; // never minus 0
  };

  const overlap = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0;

  // Put a label where it covers no other: try the places in turn, take the first that is free.
  function placeLabel(label, places, taken, limits) {
    const width = label.textContent.length * 7.2;
    const boxes = places.map(([x, y, anchor]) => {
      const left = anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2;
      const shift = Math.max(limits.left - left, 0) + Math.min(limits.right - left - width, 0);
      const box = { left: left + shift, right: left + shift + width, top: y - 11, bottom: y + 4 };
      return { x: x + shift, y, anchor, box };
    });
    const inside = ({ box }) => box.top >= limits.top && box.bottom <= limits.bottom;
    const free = ({ box }) => !taken.some((other) => overlap(box, other));
    const best = boxes.find((b) => inside(b) && free(b)) ?? boxes.find(inside) ?? boxes[0];
    set(label, { x: best.x, y: best.y, "text-anchor": best.anchor });
    taken.push(best.box);
  }

  const square = (x, y, half) =>
    ({ left: x - half, right: x + half, top: y - half, bottom: y + half });

  const around = ([x, y], gap) => [
    [x + gap, y + 4, "start"], [x - gap, y + 4, "end"], [x, y - gap, "middle"],
    [x, y + gap + 9, "middle"], [x + gap, y - gap, "start"], [x - gap, y + gap + 9, "end"],
    [x + gap, y + gap + 9, "start"], [x - gap, y - gap, "end"],
  ];

  function outward([x, y], [dx, dy], gap) {
    const length = Math.hypot(dx, dy);
    if (length === 0) return [];
    const [ux, uy] = [dx / length, -dy / length];
    const anchor = Math.abs(ux) < 0.5 ? "middle" : ux > 0 ? "start" : "end";
    return [[x + ux * gap, y + uy * gap + 4 + 4 * uy, anchor]];
  }

  // A point that can be moved by mouse, finger, pen and by the arrow keys.
  function handle(kind, name, move, choose) {
    const mark = kind === "key"
      ? s("rect", { class: "mark", x: -7, y: -7, width: 14, height: 14 })
      : s("circle", { class: "mark", r: 6 });
    const line = s("line", { class: "shaft" });
    const label = s("text", { class: "label" });
    const tip = s("g", {},
      s("circle", { class: "ring", r: 13 }),
      mark,
      s("circle", { class: "grip", r: kind === "key" ? 18 : 14 }));
    const group = s("g", {
      class: `handle ${kind}`, tabindex: 0, role: "slider", "aria-label": name,
      "aria-valuemin": -REACH, "aria-valuemax": REACH,
    }, line, tip, label);
    const at = (event) => {
      const matrix = group.ownerSVGElement.getScreenCTM().inverse();
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
      return [(x - MIDDLE) / UNIT, (MIDDLE - y) / UNIT];
    };
    const part = { group, line, tip, label, point: [0, 0] };
    let grab; // from the pointer to the tip, so that nothing jumps when it is taken
    // Or the page would scroll under the finger: browsers do not look at touch-action inside of a drawing.
    group.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    draggable(group, {
      take: (event) => {
        const [x, y] = at(event);
        const before = part.point;
        grab = [before[0] - x, before[1] - y];
        return () => move(before);
      },
      drag: (event) => {
        const [x, y] = at(event);
        move([x + grab[0], y + grab[1]]);
      },
    });
    group.addEventListener("focus", choose);
    group.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
      const [x, y] = part.point;
      const step = event.shiftKey ? LARGE_STEP : STEP;
      const to = {
        ArrowLeft: [x - step, y], ArrowRight: [x + step, y],
        ArrowUp: [x, y + step], ArrowDown: [x, y - step],
        PageUp: [x, y + LARGE_STEP], PageDown: [x, y - LARGE_STEP],
        Home: [-REACH, y], End: [REACH, y],
        " ": [x, y], // moves nothing, the page neither
      }[event.key];
      if (!to) return;
      event.preventDefault();
      move(to);
    });
    return part;
  }

  function put(part, point) {
    const [x, y] = toDrawing(point);
    part.point = point;
    set(part.line, { x1: MIDDLE, y1: MIDDLE, x2: x, y2: y });
    set(part.tip, { transform: `translate(${x} ${y})` });
    set(part.group, {
      "aria-valuenow": point[0],
      "aria-valuetext": `x ${number(point[0], 1)}, y ${number(point[1], 1)}`,
    });
  }

  // ---- the plane of values and outputs ---------------------------------------------------

  const VALUES = { width: 380, height: 268, left: 38, bottom: 232, unit: 58, ten: 95 };
  const toValues = ([units, tens]) =>
    [VALUES.left + units * VALUES.unit, VALUES.bottom - (tens / 10) * VALUES.ten];

  // The corners of the smallest convex shape round the points, by Andrew's monotone chain.
  function hull(points) {
    const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const turn = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
    const half = (list) => {
      const chain = [];
      for (const point of list) {
        while (chain.length > 1 && turn(chain.at(-2), chain.at(-1), point) <= 0) chain.pop();
        chain.push(point);
      }
      return chain.slice(0, -1);
    };
    return [...half(sorted), ...half(sorted.reverse())];
  }

  const legend = () => {
    const sample = (mark) => s("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, mark);
    return h("p", { class: "legend" },
      h("span", {}, sample(s("circle", { class: "legend-query", cx: 6, cy: 6, r: 5 })), " query"),
      h("span", {}, sample(s("rect", { class: "legend-key", width: 12, height: 12 })), " key"),
      h("span", {}, "the thicker a key’s line, the larger its weight"),
      h("span", {}, "dotted: how far a key reaches along the query"),
      h("span", {}, "✕: forbidden by the mask"));
  };

  // ---- the widget ------------------------------------------------------------------------

  let made = 0; // so that names are unique where a page has two playgrounds

  minattn.widgets.playground = (element) => {
    if (typeof minattn.attend !== "function") {
      element.replaceChildren(
        h("p", {}, "The playground could not be loaded: attention.js is missing."));
      return;
    }
    const id = `playground-${(made += 1)}`;
    let preset = Object.hasOwn(PRESETS, element.dataset.preset) ? element.dataset.preset : "words";
    let state = start(preset);
    let parts; // what is made anew when there are more or fewer words

    // -- what stays
    const hint = h("p", { class: "hint" });
    const sentence = h("p", { class: "sentence", role: "status", "aria-live": "polite" });
    const plane = s("svg", {
      class: "plane", viewBox: "0 0 380 380", role: "group",
      "aria-label": "Queries and keys in a plane. Arrow keys move the one in focus, with Shift in larger steps; Home and End bring it to the left and the right edge, Page Up and Page Down move it up and down.",
    });
    const picture = s("svg", {
      class: "values", viewBox: `0 0 ${VALUES.width} ${VALUES.height}`, role: "img",
    });
    const tables = h("div", { class: "tables" });
    const vectors = h("div", { class: "vectors" });

    const choices = Object.entries(PRESETS).map(([name, { title }]) =>
      h("button", { type: "button", "data-preset": name, onclick: () => begin(name) }, title));

    const temperature = h("input", {
      type: "range", id: `${id}-temperature`, min: -1, max: 1, step: 0.05,
      oninput: () => {
        state.temperature = 10 ** Number(temperature.value);
        show();
      },
    });
    const temperatureText = valueOf(`${id}-temperature`);
    const divided = h("input", {
      type: "checkbox",
      onchange: () => {
        state.divided = divided.checked;
        show();
      },
    });
    const setMask = (mask) => {
      state.mask = mask;
      show();
    };
    const allowAll = h("button", { type: "button", onclick: () => setMask(table(() => true)) }, "none");
    const allowPast = h(
      "button", { type: "button", onclick: () => setMask(causal(state)) }, "causal");
    const amount = (name, least) => {
      const counts = Array.from({ length: MOST - least + 1 }, (_, i) => least + i);
      const select = h("select", {
        id: `${id}-${name}`,
        onchange: () => {
          state[name] = Number(select.value);
          state.chosen = Math.min(state.chosen, state.nQueries - 1);
          build();
          show();
        },
      }, ...counts.map((n) => h("option", { value: n }, String(n))));
      return select;
    };
    const nQueries = amount("nQueries", 1);
    const nKeys = amount("nKeys", 3);

    element.replaceChildren(
      h("div", { class: "playground" },
        h("div", { class: "bar starts", role: "group", "aria-label": "Examples to start from" },
          h("span", { class: "name" }, "Start from"), ...choices),
        hint,
        h("div", { class: "halves" },
          h("div", { class: "half" },
            h("div", {}, plane, legend()),
            h("div", { class: "later" }, picture)),
          h("div", { class: "half" },
            h("div", {}, sentence, tables),
            h("div", { class: "later controls" },
              h("div", { class: "bar" },
                h("label", { for: `${id}-temperature` }, "temperature"),
                temperature, temperatureText),
              h("div", { class: "bar" },
                h("label", {}, divided, " divide the scores by √", h("i", {}, "d"), h("sub", {}, "k"), " = √2")),
              h("div", { class: "bar", role: "group", "aria-label": "Mask: what may be looked at" },
                h("span", { class: "name" }, "mask"), allowAll, allowPast,
                h("span", { class: "aside" }, "or click on single weights")),
              h("div", { class: "bar" },
                h("label", { for: nQueries.id }, "queries"), nQueries,
                h("label", { for: nKeys.id }, "keys"), nKeys,
                h("button", { type: "button", onclick: () => begin(preset) }, "reset"))))),
        h("details", {}, h("summary", {}, "Queries and keys as numbers"), vectors)),
    );

    function begin(name) {
      preset = name;
      state = start(name);
      build();
      show();
    }

    const move = (kind, index) => (point) => {
      state[kind][index] = point.map(onGrid);
      show();
    };
    const choose = (index) => () => {
      if (state.chosen === index) return;
      state.chosen = index;
      show();
    };

    // -- what depends on the number of words
    function build() {
      const asking = ASKING.slice(0, state.nQueries);
      const asked = ASKED.slice(0, state.nKeys);
      parts = {
        keys: asked.map(({ word }, j) => handle("key", `key of ${word}`, move("key", j))),
        queries: asking.map(({ word }, i) =>
          handle("query", `query of ${word}`, move("query", i), choose(i))),
        direction: s("line", { class: "direction" }),
        drops: asked.map(() => s("line", { class: "drop" })),
        feet: asked.map(() => s("circle", { class: "foot", r: 3 })),
        points: asked.map(() => s("circle", { class: "share" })),
        cores: asked.map(() => s("circle", { class: "core", r: 3 })),
        names: asked.map(({ word }) => s("text", { class: "label" }, word)),
        hull: s("polygon", { class: "hull" }),
        arrow: s("path", { class: "arrow" }),
        outputName: s("text", { class: "label output" }),
      };
      plane.replaceChildren(
        ...grid(), parts.direction, ...parts.drops, ...parts.feet,
        ...parts.keys.map((key) => key.group), ...parts.queries.map((query) => query.group));
      picture.replaceChildren(
        ...axes(), parts.hull, ...parts.points, ...parts.cores, ...parts.names,
        parts.arrow, parts.outputName);
      buildTables(asking, asked);
      buildVectors(asking, asked);
    }

    function grid() {
      const lines = [];
      for (let n = -REACH; n <= REACH; n += 1) {
        const [a, b] = [toDrawing([n, -REACH]), toDrawing([n, REACH])];
        const kind = n === 0 ? "grid axis" : "grid";
        lines.push(s("line", { class: kind, x1: a[0], y1: a[1], x2: b[0], y2: b[1] }));
        lines.push(s("line", { class: kind, x1: a[1], y1: a[0], x2: b[1], y2: b[0] }));
        if (n === 0) continue;
        const [x, y] = toDrawing([n, n]);
        lines.push(s("text", { class: "tick", x, y: 375, "text-anchor": "middle" }, number(n, 0)));
        lines.push(s("text", { class: "tick", x: 18, y: y + 4, "text-anchor": "end" }, number(n, 0)));
      }
      return lines;
    }

    function axes() {
      const { left, bottom, width } = VALUES;
      const top = toValues([0, 23])[1];
      const lines = [
        s("line", { class: "grid axis", x1: left, y1: bottom, x2: width - 4, y2: bottom }),
        s("line", { class: "grid axis", x1: left, y1: bottom, x2: left, y2: top }),
        s("text", { class: "tick", x: width - 4, y: bottom + 32, "text-anchor": "end" }, "units"),
        s("text", { class: "tick", x: left - 8, y: top + 4, "text-anchor": "end" }, "tens"),
      ];
      for (const n of [0, 1, 2, 3, 4, 5]) {
        const [x] = toValues([n, 0]);
        lines.push(s("text", { class: "tick", x, y: bottom + 16, "text-anchor": "middle" }, String(n)));
      }
      for (const n of [0, 10, 20]) {
        const [, y] = toValues([0, n]);
        lines.push(s("text", { class: "tick", x: left - 8, y: y + 4, "text-anchor": "end" }, String(n)));
      }
      return lines;
    }

    function buildTables(asking, asked) {
      const make = (name, caption, columns, head, cell) => {
        const cells = asking.map((_, i) => columns.map((_, j) => cell(i, j)));
        const rows = asking.map(({ word }, i) =>
          h("tr", { onclick: choose(i) }, h("th", { scope: "row" }, head(word, i)), ...cells[i]));
        const node = h("table", { class: name },
          caption,
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "query"),
            ...columns.map((word) => h("th", { scope: "col" }, word)))),
          h("tbody", {}, ...rows));
        return { node, rows, cells };
      };
      // A soft hyphen, which shows where a column is narrower than its word.
      const words = asked.map(({ word }) => word.replace("zwanzig", "zwan\u00adzig"));
      const plain = (word) => word;
      parts.formula = h("span", {});
      parts.radios = [];
      const radio = (word, i) => {
        const input = h("input", { type: "radio", name: `${id}-chosen`, onchange: choose(i) });
        parts.radios.push(input);
        return h("label", {}, input, word);
      };
      const toggle = (i, j) => h("td", {}, h("button", {
        type: "button",
        onclick: (event) => {
          event.stopPropagation();
          state.mask[i][j] = !state.mask[i][j];
          state.chosen = i;
          show();
        },
      }));
      parts.scores = make(
        "scores", h("caption", {}, h("b", {}, "scores"), " = query · key", parts.formula),
        words, plain, () => h("td"));
      parts.weights = make(
        "weights",
        h("caption", {}, h("b", {}, "weights"), " = softmax (click on one to forbid it)"),
        words, radio, toggle);
      parts.output = make(
        "output", h("caption", {}, h("b", {}, "output"), " = weights · values"),
        ["units", "tens"], plain, () => h("td"));
      tables.classList.toggle("many", asked.length > 4);
      tables.replaceChildren(parts.scores.node, parts.weights.node, parts.output.node);
    }

    function buildVectors(asking, asked) {
      const field = (kind, word, index, axis) => {
        const input = h("input", {
          type: "text", autocomplete: "off", "aria-describedby": `${id}-rule`,
          "aria-label": `${"xy"[axis]} of the ${kind} of ${word}`,
          oninput: () => {
            const typed = readNumber(input.value);
            set(input, { "aria-invalid": String(typed === null) });
            rule.textContent = typed === null ? `“${input.value}” is no number. ${RULE}` : RULE;
            if (typed === null) return;
            state[kind][index][axis] = onGrid(typed);
            show();
          },
          onkeydown: (event) => {
            const way = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
            if (!way) return;
            event.preventDefault();
            state[kind][index][axis] = onGrid(state[kind][index][axis] + way);
            settle();
          },
          onblur: () => settle(),
        });
        const settle = () => { // what counts, in the place of what was typed
          input.value = state[kind][index][axis];
          set(input, { "aria-invalid": "false" });
          rule.textContent = RULE;
          show();
        };
        return input;
      };
      parts.fields = { query: [], key: [] };
      const row = (kind, word, index) => {
        const fields = [0, 1].map((axis) => field(kind, word, index, axis));
        parts.fields[kind].push(fields);
        return h("tr", {}, h("th", { scope: "row" }, `${kind} of ${word}`),
          ...fields.map((input) => h("td", {}, input)));
      };
      const rule = h("p", { class: "rule", id: `${id}-rule`, role: "status" }, RULE);
      vectors.replaceChildren(rule, h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "vector"),
          h("th", { scope: "col" }, "x"), h("th", { scope: "col" }, "y"))),
        h("tbody", {},
          ...asking.map(({ word }, i) => row("query", word, i)),
          ...asked.map(({ word }, j) => row("key", word, j)))));
    }

    // -- show what minattn.attend returns
    function show() {
      const { scores, weights, output } = attendTo(state);
      showPlane(weights[state.chosen]);
      showValues(weights[state.chosen], output[state.chosen]);
      showTables(scores, weights, output);
      showControls();
      announce(weights);
    }

    function showPlane(weights) {
      const query = state.query[state.chosen];
      const length = Math.hypot(...query);
      parts.queries.forEach((part, i) => {
        put(part, state.query[i]);
        part.group.classList.toggle("chosen", i === state.chosen);
        part.label.textContent = ASKING[i].word;
      });
      parts.keys.forEach((part, j) => {
        put(part, state.key[j]);
        const open = state.mask[state.chosen][j];
        part.group.classList.toggle("forbidden", !open);
        part.line.style.strokeWidth = 1 + 9 * weights[j];
        part.label.textContent = `${ASKED[j].word} ${open ? number(weights[j]) : "✕"}`;
      });
      // The score is the query's length times how far the key reaches along the query.
      const unit = length ? query.map((x) => x / length) : [0, 0];
      const far = [1, -1].map((sign) => toDrawing(unit.map((x) => sign * x * 3.3)));
      set(parts.direction, { x1: far[0][0], y1: far[0][1], x2: far[1][0], y2: far[1][1] });
      state.key.slice(0, state.nKeys).forEach((key, j) => {
        const along = key[0] * unit[0] + key[1] * unit[1];
        const [a, b] = [toDrawing(key), toDrawing(unit.map((x) => x * along))];
        set(parts.drops[j], { x1: a[0], y1: a[1], x2: b[0], y2: b[1] });
        set(parts.feet[j], { cx: b[0], cy: b[1] });
        for (const node of [parts.drops[j], parts.feet[j]]) {
          node.style.display = length && state.mask[state.chosen][j] ? "" : "none";
        }
      });
      placePlaneLabels();
    }

    function placePlaneLabels() {
      const limits = { left: 2, right: 378, top: 2, bottom: 378 };
      const tips = [...parts.keys, ...parts.queries].map(({ point }) => toDrawing(point));
      const taken = tips.map(([x, y]) => square(x, y, 7));
      for (const { label, point } of parts.keys) { // outside, but not on a line that is level
        const tip = toDrawing(point);
        const [right, left, above, below, ...corners] = around(tip, 15);
        const first = Math.abs(point[1]) < 0.4 ? [] : outward(tip, point, 15);
        placeLabel(label, [...first, above, below, right, left, ...corners], taken, limits);
      }
      for (const { label, point } of parts.queries) { // beside the line, away from the tip
        const flat = Math.abs(point[1]) < Math.abs(point[0]);
        const places = [0.6, 0.4, 0.8].flatMap((part) => {
          const [right, left, above, below] = around(toDrawing(point.map((x) => part * x)), 9);
          return flat ? [below, above] : [right, left];
        });
        placeLabel(label, [...places, ...around(toDrawing(point), 15)], taken, limits);
      }
    }

    function showValues(weights, output) {
      const values = ASKED.slice(0, state.nKeys).map(({ value }) => toValues(value));
      values.forEach(([cx, cy], j) => {
        set(parts.points[j], { cx, cy, r: 20 * Math.sqrt(weights[j]) }); // area = weight
        set(parts.cores[j], { cx, cy });
      });
      set(parts.hull, { points: hull(values).join(" ") });
      const [from, to] = [toValues([0, 0]), toValues(output)];
      const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
      const barb = (turn) =>
        `${to[0] - 10 * Math.cos(angle + turn)} ${to[1] - 10 * Math.sin(angle + turn)}`;
      const head = Math.hypot(to[0] - from[0], to[1] - from[1]) > 1
        ? `M ${barb(0.45)} L ${to.join(" ")} L ${barb(-0.45)}` : "m -3 0 h 6 m -3 -3 v 6";
      set(parts.arrow, { d: `M ${from.join(" ")} L ${to.join(" ")} ${head}` });
      parts.outputName.textContent = `output ${pair(output)}`;
      set(picture, {
        "aria-label": `Values in a plane of units and tens; the output of ${
          ASKING[state.chosen].word} is at ${pair(output)}, between the values.`,
      });
      const limits = { left: VALUES.left + 4, right: VALUES.width - 2, top: 2, bottom: VALUES.bottom };
      const taken = [...values, to].map(([x, y]) => square(x, y, 5));
      parts.names.forEach((name, j) => 
        placeLabel(name, [...around(values[j], 10), ...around(values[j], 26)], taken, limits));
      placeLabel(parts.outputName, [...around(to, 14), ...around(to, 30)], taken, limits);
    }

    function showTables(scores, weights, output) {
      const temper = state.temperature === 1 ? "" : ` / ${number(state.temperature)}`;
      parts.formula.textContent = `${state.divided ? " / √2" : ""}${temper}`;
      for (const kind of ["scores", "weights", "output"]) {
        parts[kind].rows.forEach((row, i) => row.classList.toggle("chosen", i === state.chosen));
      }
      parts.radios.forEach((radio, i) => (radio.checked = i === state.chosen));
      const open = scores.map((row, i) => row.filter((_, j) => state.mask[i][j]));
      const largest = Math.max(1, ...open.flat().map(Math.abs));
      scores.forEach((row, i) => row.forEach((score, j) => {
        const cell = parts.scores.cells[i][j];
        const allowed = state.mask[i][j];
        cell.dataset.value = allowed ? score : -Infinity;
        cell.textContent = allowed ? short(score) : "−∞";
        const colour = score < 0 ? "--red" : "--blue";
        const strength = allowed ? (30 * Math.abs(score)) / largest : 0;
        cell.style.backgroundColor =
          `color-mix(in srgb, var(${colour}) ${strength.toFixed(0)}%, transparent)`;
      }));
      weights.forEach((row, i) => row.forEach((weight, j) => {
        const cell = parts.weights.cells[i][j];
        const button = cell.firstChild;
        const allowed = state.mask[i][j];
        cell.dataset.value = weight;
        cell.classList.toggle("forbidden", !allowed);
        button.textContent = allowed ? number(weight) : "0";
        const colour = viridis(weight);
        button.style.backgroundColor = allowed ? `rgb(${colour})` : "";
        button.style.color = allowed ? readableOn(colour) : "";
        set(button, {
          "aria-pressed": String(allowed),
          "aria-label":
            `${button.textContent}: ${ASKING[i].word} may look at ${ASKED[j].word}`,
        });
      }));
      output.forEach((row, i) => row.forEach((x, axis) => {
        const cell = parts.output.cells[i][axis];
        cell.dataset.value = x;
        cell.textContent = number(x);
      }));
      for (const kind of ["query", "key"]) {
        parts.fields[kind].forEach((fields, index) => fields.forEach((input, axis) => {
          if (input !== document.activeElement) input.value = state[kind][index][axis];
        }));
      }
    }

    function showControls() {
      temperature.value = Math.log10(state.temperature);
      temperatureText.textContent = number(state.temperature);
      set(temperature, { "aria-valuetext": number(state.temperature) });
      divided.checked = state.divided;
      nQueries.value = state.nQueries;
      nKeys.value = state.nKeys;
      hint.textContent = PRESETS[preset].hint;
      for (const button of choices) {
        button.setAttribute("aria-pressed", String(button.dataset.preset === preset));
      }
      const is = (mask) => parts.weights.cells.every((row, i) =>
        row.every((_, j) => state.mask[i][j] === mask[i][j]));
      allowAll.setAttribute("aria-pressed", String(is(table(() => true))));
      allowPast.setAttribute("aria-pressed", String(is(causal(state))));
    }

    // One sentence about the chosen query, when the hand rests: nobody can listen to forty a second.
    let timer;
    let last = null;
    function announce(weights) {
      clearTimeout(timer);
      const speak = () => {
        const plain = describe(state, weights, "gets");
        const verb = last === null ? "gets" : plain === last ? "still gets" : "now gets";
        sentence.textContent = describe(state, weights, verb);
        last = plain;
      };
      if (last === null) speak();
      else timer = setTimeout(speak, PAUSE);
    }

    build();
    show();
  };
})();
