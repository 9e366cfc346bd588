// The models of chapters 15 and 16 for the live place: Stem and Places of minattn.pictures.patches, the Captioner of
// minattn.pictures.captioning, the ObjectQueries of minattn.pictures.queries; and, for what they look at, emoji and
// scenes as minattn.tasks.emoji and minattn.tasks.scenes have them, captions as minattn.tasks.captions.
// Needs attention.js, layers.js, convolutions.js and loading.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, sigmoid, softmax, weightedSum, attend, Linear, LayerNorm, GRU, DecoderBlock, Conv2d } = minattn;

  const SIZE = 40; // pixels of a scene, in a row and in a column
  const STRIDE = 4; // pixels from one cell to the next
  const SIDE = SIZE / STRIDE; // cells in a row and in a column
  const [BOS, EOS] = [1, 2];

  // ---- emoji and scenes --------------------------------------------------------------------------

  /** Round halves to the even number, as Python and numpy do. */
  const even = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

  /** Say how much of each new pixel the old ones cover, in one direction: of each a list of [old pixel, share]. */
  function shares(old, fresh) {
    const before = (i, k) => Math.min(Math.max(i * (old / fresh) - k, 0), 1); // how much of pixel k is before edge i
    return Array.from({ length: fresh }, (_, i) =>
      Array.from({ length: old }, (_, k) => [k, (before(i + 1, k) - before(i, k)) * (fresh / old)])
        .filter(([, share]) => share > 0));
  }

  /**
   * An emoji whose longer side has so many pixels: {width, height, pixels}, of each pixel red, green, blue, alpha.
   * whole: the same, as it is stored.
   */
  function sprite(whole, size) {
    const longer = Math.max(whole.width, whole.height);
    const [width, height] = [whole.width, whole.height].map((n) => Math.max(1, even((size * n) / longer)));
    const pixels = new Uint8Array(width * height * 4);
    const across = shares(whole.width, width);
    shares(whole.height, height).forEach((high, y) => across.forEach((wide, x) => {
      for (let c = 0; c < 4; c++) {
        let sum = 0; // in the order in which numpy adds, so that halves are the same halves
        for (const [v, tall] of high) {
          for (const [u, broad] of wide) sum += tall * broad * whole.pixels[(v * whole.width + u) * 4 + c];
        }
        pixels[(y * width + x) * 4 + c] = even(sum);
      }
    }));
    return { width, height, pixels };
  }

  /** All emoji of a designer, by name, as the file has them. */
  function sheet({ extents, data }, classes) {
    const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    let start = 0;
    return Object.fromEntries(classes.map((name, i) => {
      const [height, width] = extents[i];
      const pixels = bytes.subarray(start, (start += height * width * 4));
      return [name, { width, height, pixels }];
    }));
  }

  /**
   * Paint emoji onto a ground, one after the other: bytes, red, green and blue of each pixel, row after row.
   * things: {x, y, sprite}, the upper left corner and what sprite() made. ground: (x, y) => [red, green, blue].
   * size: pixels of the picture, in a row and in a column.
   */
  function paint(things, ground = () => [255, 255, 255], size = SIZE) {
    const picture = Float64Array.from({ length: size * size * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return ground(pixel % size, Math.floor(pixel / size))[i % 3];
    });
    for (const { x, y, sprite: { width, height, pixels } } of things) {
      for (let v = 0; v < height; v++) {
        for (let u = 0; u < width; u++) {
          const from = (v * width + u) * 4;
          const to = ((y + v) * size + x + u) * 3;
          for (let c = 0; c < 3; c++) {
            picture[to + c] = picture[to + c] * (1 - pixels[from + 3] / 255) + pixels[from + c];
          }
        }
      }
    }
    return Uint8Array.from(picture, even);
  }

  /** Which cells have their centre in a box (x0, y0, x1, y1): rows of booleans, one behind the other. */
  const cellsInside = ([x0, y0, x1, y1]) => Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)].map((k) => (k + 0.5) * STRIDE);
    return x0 <= x && x < x1 && y0 <= y && y < y1;
  });

  /** The cells near the middle of a box, where a cell sees all of what is in it. */
  function middle([x0, y0, x1, y1], reach = 3.5) {
    const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
    return cellsInside([x - reach, y - reach, x + reach, y + reach]);
  }

  /** Share a weight of 1 out equally among some cells. */
  function shared(cells) {
    const number = cells.filter(Boolean).length;
    return cells.map((chosen) => (chosen ? 1 / number : 0));
  }

  const article = (name) => (name === "grapes" ? "" : "aeiou".includes(name[0]) ? "an" : "a");

  /**
   * Say what is in a picture, in reading order: {words, things}, and for each word the thing it names, or null.
   * things: {name, box}.
   */
  function caption(things) {
    const row = ({ box }) => (box[1] + box[3] >= SIZE ? 1 : 0);
    const order = things.map((thing, i) => ({ ...thing, i, row: row(thing) }))
      .sort((a, b) => a.row - b.row || a.box[0] - b.box[0]);
    const [words, named] = [[], []];
    order.forEach(({ name, i, row: own }, place) => {
      const lead = place === 0 ? [] : own > order[place - 1].row ? ["above"] : ["left", "of"];
      for (const word of [...lead, article(name)].filter(Boolean)) {
        words.push(word);
        named.push(null);
      }
      words.push(name);
      named.push(i);
    });
    return { words, things: named };
  }

  /** How much of what two boxes cover both cover. */
  function boxIou(a, b) {
    const area = ([x0, y0, x1, y1]) => Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
    const both = area([
      Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
    return both / Math.max(area(a) + area(b) - both, Number.MIN_VALUE);
  }

  // ---- the models --------------------------------------------------------------------------------

  /** Three convolutions: a vector for each of 10 x 10 cells, which sees 16 x 16 pixels. */
  class Stem {
    constructor(parameters) {
      const layer = (i, stride) => new Conv2d(parameters.within(`convolutions.${i}`), { stride });
      this.layers = [layer(0, 2), layer(2, 2), layer(4, 1)];
    }

    /** picture: bytes, red, green and blue of each pixel, row after row. */
    cells(picture) {
      const pixels = Array.from({ length: SIZE * SIZE }, (_, i) =>
        Array.from(picture.slice(3 * i, 3 * i + 3), (byte) => byte / 255 - 0.5));
      let found = minattn.padded({ width: SIZE, cells: pixels }, 6, [0.5, 0.5, 0.5]); // white
      for (const layer of this.layers) {
        found = layer.forward(found);
        for (const cell of found.cells) cell.forEach((x, i) => { cell[i] = Math.max(0, x); });
      }
      return found.cells;
    }
  }

  /** Add to the tokens of a grid a learned vector for the row and one for the column. */
  class Places {
    constructor(parameters) {
      this.rows = parameters.get("rows");
      this.columns = parameters.get("columns");
    }

    forward(tokens) {
      const width = this.columns.length;
      return tokens.map((x, i) => add(x, add(this.rows[Math.floor(i / width)], this.columns[i % width])));
    }
  }

  /** Chapter 15: write what is in a picture, looking at some of its cells for each word. */
  class Captioner {
    constructor(parameters, { target }) {
      const part = (Kind, name, ...more) => new Kind(parameters.within(name), ...more);
      this.words = target;
      this.norm = part(LayerNorm, "norm");
      this.kProj = part(Linear, "k_proj");
      this.vProj = part(Linear, "v_proj");
      this.keyPlaces = part(Places, "key_places");
      this.valuePlaces = part(Places, "value_places");
      this.embedding = parameters.get("embedding.weight");
      this.gru = part(GRU, "gru", "");
      this.qProj = part(Linear, "q_proj");
      this.said = part(GRU, "words", "");
      this.outProj = part(Linear, "out_proj");
      this.wordsProj = part(Linear, "words_proj");
    }

    encode(cells) {
      const normed = cells.map((x) => this.norm.forward(x));
      return {
        keys: this.keyPlaces.forward(normed.map((x) => this.kProj.forward(x))),
        values: this.valuePlaces.forward(normed.map((x) => this.vProj.forward(x))),
      };
    }

    start({ values }) {
      const zeros = (n) => new Array(n).fill(0);
      return { looks: zeros(this.gru.width), context: zeros(values[0].length), said: zeros(this.said.width) };
    }

    /** look: weights to look with, whatever is asked; as minattn.pictures.captioning.looking. */
    step(token, state, { keys, values }, look = null) {
      const word = this.embedding[token];
      const looks = this.gru.step([...word, ...state.context], state.looks);
      const found = look
        ? { weights: [look], output: weightedSum([look], values) }
        : attend([this.qProj.forward(looks)], keys, values);
      const context = found.output[0];
      const said = this.said.step(word, state.said);
      return {
        logits: add(this.outProj.forward(context), this.wordsProj.forward(said)),
        weights: found.weights[0],
        state: { looks, context, said },
      };
    }

    /**
     * Write a caption, the likeliest word each time: [{word, ends, chance, others, weights}]. The last one ends it, if
     * it comes to an end.
     * steered: for some words, by their number, weights to look with.
     */
    write(cells, { steered = new Map(), most = 24 } = {}) {
      const memory = this.encode(cells);
      const written = [];
      let [token, state] = [BOS, this.start(memory)];
      while (written.length < most) {
        const found = this.step(token, state, memory, steered.get(written.length));
        const chances = softmax(found.logits);
        const order = [...chances.keys()].sort((a, b) => chances[b] - chances[a]);
        [token, state] = [order[0], found.state];
        written.push({
          word: this.words[token],
          ends: token === EOS,
          chance: chances[token],
          others: order.slice(1, 3).map((i) => ({ word: this.words[i], ends: i === EOS, chance: chances[i] })),
          weights: found.weights,
        });
        if (token === EOS) break;
      }
      return written;
    }
  }

  /** Chapter 16: learned queries look at the cells and answer with a class and a box each. */
  class ObjectQueries {
    constructor(parameters, { model, classes }) {
      const part = (Kind, name, ...more) => new Kind(parameters.within(name), ...more);
      this.classes = classes;
      this.norm = part(LayerNorm, "norm");
      this.embed = part(Linear, "embed");
      this.places = part(Places, "places");
      this.queries = parameters.get("queries");
      this.blocks = Array.from({ length: model.n_blocks }, (_, i) =>
        part(DecoderBlock, `blocks.${i}`, model.n_heads));
      this.lastNorm = part(LayerNorm, "last_norm");
      this.toClass = part(Linear, "to_class");
      this.toBox = [part(Linear, "to_box.0"), part(Linear, "to_box.2")];
    }

    /**
     * Ask: {query, weights, chances, box} of each query that is on, the box as corners in pixels; the last chance is
     * that of "nothing". Weights are those of the last block, the mean over its heads.
     * on: the numbers of the queries that ask; all if not given.
     */
    ask(cells, on = [...this.queries.keys()]) {
      if (!on.length) return [];
      const memory = this.places.forward(cells.map((x) => this.embed.forward(this.norm.forward(x))));
      let tokens = on.map((query) => this.queries[query]);
      let weights;
      for (const block of this.blocks) ({ tokens, weights } = lookOnce(block, tokens, memory));
      return tokens.map((x, i) => {
        const state = this.lastNorm.forward(x);
        const hidden = this.toBox[0].forward(state).map((a) => Math.max(0, a));
        const [cx, cy, w, h] = this.toBox[1].forward(hidden).map((a) => SIZE * sigmoid(a));
        return {
          query: on[i],
          weights: weights[0][i].map((_, k) => weights.reduce((sum, head) => sum + head[i][k], 0) / weights.length),
          chances: softmax(this.toClass.forward(state)),
          box: [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2],
        };
      });
    }
  }

  /** A block of the decoder without a causal mask: the queries see one another, then the memory, then think. */
  function lookOnce(block, tokens, memory) {
    const attendTo = (attention, norm, others) => {
      const normed = tokens.map((x) => norm.forward(x));
      const { weights, output } = attention.attendTo(normed, attention.keysValues(others ?? normed));
      tokens = tokens.map((x, i) => add(x, output[i]));
      return weights;
    };
    attendTo(block.selfAttention, block.beforeSelfAttention);
    const weights = attendTo(block.crossAttention, block.beforeCrossAttention, memory);
    return { weights, tokens: tokens.map((x) => block.think(x)) };
  }

  /** Load all emoji: a promise of {classes, sets}. */
  const loadSprites = () => minattn.loadEntry("sprites", "scene", "weights/sprites_scene.js");

  minattn.sprites ??= {};
  Object.assign((minattn.kinds ??= {}), { stem: Stem, captioner: Captioner, object_queries: ObjectQueries });
  Object.assign(minattn, {
    loadSprites,
    scenes: { SIZE, STRIDE, SIDE, even, sprite, sheet, paint, caption, article, cellsInside, middle, shared, boxIou },
  });
})();
