// Chapter 20's decoder for the live places: a GPT of minattn.language.gpt that minattn.pictures.drawing.make_drawer
// made, and Guided; a picture comes of it code by code. Needs attention.js, layers.js, decoding.js and loading.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, dot, LayerNorm, Block } = minattn;

  /** A block of a decoder alone: one token looks back at those before it and itself. Keys and values are kept. */
  class CausalBlock extends Block {
    /** mask: one row of booleans, true where the token may look. */
    step(x, kept, mask) {
      const asked = [this.beforeSelfAttention.forward(x)];
      const fresh = this.selfAttention.keysValues(asked);
      const grow = (old, row) => row.map((head, i) => [...(old?.[i] ?? []), ...head]);
      const grown = { k: grow(kept?.k, fresh.k), v: grow(kept?.v, fresh.v) };
      const { weights, output } = this.selfAttention.attendTo(asked, grown, { mask: [mask] });
      return { x: this.think(add(x, output[0])), kept: grown, weights: weights.map(([row]) => row) };
    }
  }

  class Drawer {
    constructor(parameters, { model, tokens, codebook }) {
      this.tokens = tokens; // all but the codes, which have the ids behind them
      this.codebook = codebook; // four bytes for each code: 0 is paper, 255 ink
      this.columns = model.columns;
      this.scale = model.scale;
      this.embedding = parameters.get("embedding.weight");
      this.places = parameters.get("positions.table");
      this.blocks = Array.from({ length: model.n_blocks }, (_, i) =>
        new CausalBlock(parameters.within(`decoder.blocks.${i}`), model.n_heads));
      this.norm = new LayerNorm(parameters.within("decoder.norm"));
      this.readout = parameters.get("readout.weight");
    }

    /** How many codes a picture has, after so many words, a beginning and a bar. */
    cells(nWords) {
      return this.places.length - nWords - 1;
    }

    /**
     * Read one token after what was read: {logits of the codes, weights, state}; weights are blocks x heads x places.
     * hidden: places that no query sees.
     */
    step(token, state = { place: 0, kept: [] }, hidden = new Set()) {
      const { place, kept } = state;
      const mask = Array.from({ length: place + 1 }, (_, i) => !hidden.has(i));
      let x = add(Array.from(this.embedding[token], (a) => a * this.scale), this.places[place]);
      const found = this.blocks.map((block, i) => {
        const done = block.step(x, kept[i], mask);
        x = done.x;
        return done;
      });
      const last = this.norm.forward(x);
      return {
        logits: this.readout.slice(this.tokens.length).map((row) => dot(row, last)),
        weights: found.map(({ weights }) => weights),
        state: { place: place + 1, kept: found.map((done) => done.kept) },
      };
    }

    /** Read a beginning, words and a bar. */
    read(words, hidden) {
      let found = {};
      for (const word of ["<bos>", ...words, "|"]) {
        found = this.step(this.tokens.indexOf(word), found.state, hidden);
      }
      return found;
    }

    /** Read words, and beside them a prompt that says nothing: where a picture begins. */
    begin(words, hidden) {
      return { told: this.read(words, hidden), empty: this.read(words.map(() => "anything"), hidden) };
    }

    /**
     * The logits of the next code, pushed away from what would be drawn if nothing were told. With a scale of 1 the
     * words say what they say, with 0 they are not heard.
     */
    guided({ told, empty }, scale) {
      return told.logits.map((x, i) => empty.logits[i] + scale * (x - empty.logits[i]));
    }

    /** Go on with a code. */
    next({ told, empty }, code, hidden) {
      const token = this.tokens.length + code;
      return { told: this.step(token, told.state, hidden), empty: this.step(token, empty.state, hidden) };
    }

    /** The bytes of a picture of codes, row after row; codes that are missing are paper. */
    pixels(codes, nCells = codes.length) {
      const wide = 2 * this.columns;
      const bytes = new Uint8Array(nCells * 4);
      codes.forEach((code, i) => this.codebook[code].forEach((ink, k) => {
        const y = 2 * Math.floor(i / this.columns) + Math.floor(k / 2);
        bytes[y * wide + 2 * (i % this.columns) + (k % 2)] = ink;
      }));
      return bytes;
    }
  }

  /** Choose a code: the likeliest if the temperature is 0, and else by chance. */
  function choose(logits, temperature, random) {
    if (temperature === 0) return logits.indexOf(Math.max(...logits));
    return minattn.draw(minattn.tempered(logits, temperature), random);
  }

  /** Numbers from 0 to 1 that look like chance, and are the same for the same seed (mulberry32). */
  function seeded(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  (minattn.kinds ??= {}).drawer = Drawer;
  Object.assign(minattn, { choose, seeded });
})();
