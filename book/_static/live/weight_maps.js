// Maps of attention weights that are made in the page: small ones to choose from, a large one to read and to save.
// Needs elements.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { viridis, h, s, set } = minattn.elements;

  const CELL = 18; // in units of the drawing
  const LETTER = 6.6; // how wide one is, at most
  const FONT = 11;
  const [LEAST, GROWTH] = [10 / FONT, 1.4]; // how much smaller and larger than that a map becomes
  const STOPS = [0, 0.25, 0.5, 0.75, 1];

  /** One pixel for each weight; weights has a row for each query, which may be shorter than the others. */
  function smallMap(weights) {
    const width = Math.max(...weights.map((row) => row.length));
    const canvas = h("canvas", { width, height: weights.length, "aria-hidden": "true" });
    const pixels = new ImageData(width, weights.length);
    weights.forEach((row, i) => row.forEach((weight, j) => {
      pixels.data.set([...viridis(weight), 255], 4 * (i * width + j));
    }));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  let made = 0; // so that names are unique

  /**
   * A map with its words, as SVG that needs no style sheet: {node, mark(row)}.
   *
   * rows and columns are the words; title and about are told to who does not see it, and stand in a saved file;
   * axes is the line below. choose(row) is called for a row that is clicked.
   */
  function largeMap({ weights, rows, columns, title, about, axes, choose }) {
    const id = `weight-map-${(made += 1)}`;
    const room = (words) => LETTER * Math.max(...words.map((word) => word.length)) + 10;
    const [left, top] = [room(rows), room(columns)];
    const width = Math.max(left + CELL * columns.length + 4, 5.8 * axes.length + 10);
    const bottom = top + CELL * rows.length;
    const cells = weights.flatMap((row, i) => row.map((weight, j) =>
      s("rect", {
        x: left + CELL * j, y: top + CELL * i, width: CELL + 0.2, height: CELL + 0.2,
        fill: `rgb(${viridis(weight)})`, "data-value": weight,
      }, s("title", {}, `${rows[i]}, ${columns[j]}: ${weight.toFixed(2)}`))));
    const names = rows.map((word, i) =>
      s("text", { x: left - 5, y: top + CELL * (i + 0.5) + 4, "text-anchor": "end" }, word));
    const heads = columns.map((word, j) =>
      s("text", { transform: `translate(${left + CELL * (j + 0.5) + 4} ${top - 5}) rotate(-90)` }, word));
    const scale = STOPS.flatMap((weight, i) => [
      s("rect", {
        x: 47 + 36 * i, y: bottom + 11, width: 36.2, height: 8, fill: `rgb(${viridis(weight)})`,
      }),
      s("text", { x: 65 + 36 * i, y: bottom + 32, "text-anchor": "middle" }, String(weight)),
    ]);
    // Dark and light, so that it is seen on every colour.
    const frame = [["#000", 3.5], ["#fff", 1.5]].map(([stroke, thick]) =>
      s("rect", { x: left, width: CELL, height: CELL, fill: "none", stroke, "stroke-width": thick }));
    const node = s("svg", {
      viewBox: `0 0 ${width} ${bottom + 56}`, role: "img", "aria-labelledby": `${id}-title ${id}-about`,
      style: `width: ${GROWTH * width}px; min-width: ${LEAST * width}px`,
      "font-family": "system-ui, sans-serif", "font-size": FONT, fill: "currentColor",
    },
    s("title", { id: `${id}-title` }, title), s("desc", { id: `${id}-about` }, about),
    ...names, ...heads, ...cells, ...frame,
    s("text", { x: 4, y: bottom + 19 }, "weight"), ...scale, s("text", { x: 4, y: bottom + 49 }, axes));

    node.addEventListener("click", (event) => {
      const box = node.getBoundingClientRect();
      const y = ((event.clientY - box.top) / box.height) * (bottom + 56);
      const row = Math.floor((y - top) / CELL);
      if (row >= 0 && row < rows.length) choose(row);
    });

    function mark(row) {
      for (const line of frame) set(line, { y: top + CELL * row, width: CELL * weights[row].length });
      names.forEach((name, i) => name.setAttribute("font-weight", i === row ? "700" : "400"));
    }
    return { node, mark };
  }

  /** The text of a file that shows such a map by itself, black on white. */
  function asFile(node) {
    const copy = node.cloneNode(true);
    const [, , width, height] = copy.getAttribute("viewBox").split(" ");
    set(copy, { width, height, color: "#111" });
    copy.removeAttribute("style");
    copy.querySelector("desc").after(s("rect", { width, height, fill: "#fff" }));
    return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
  }

  /** Give the reader a file to save. */
  function saveMap(node, name) {
    const address = URL.createObjectURL(new Blob([asFile(node)], { type: "image/svg+xml" }));
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  Object.assign(minattn, { smallMap, largeMap, saveMap });
})();
