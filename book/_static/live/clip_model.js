// The models of minattn.pictures.clip for the live places: two encoders whose vectors are compared. And pictures of one
// emoji each, as minattn.tasks.placed_emoji has them, but for light and noise, which are left out.
// Needs attention.js, layers.js, convolutions.js and loading.js; and for the emoji scene_model.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, dot, softmax, Linear, LayerNorm, EncoderBlock, MultiHeadAttention, Conv2d } = minattn;

  /** One learned query asks all tokens: {vector, weights}, the weights the mean over its heads. */
  class AttentionPooling {
    constructor(parameters, nHeads) {
      this.attention = new MultiHeadAttention(parameters.within("attention"), nHeads);
      this.query = parameters.get("query");
    }

    forward(tokens) {
      const { weights, output } = this.attention.attendTo([this.query], this.attention.keysValues(tokens));
      const mean = tokens.map((_, i) => weights.reduce((sum, head) => sum + head[0][i], 0) / weights.length);
      return { vector: output[0], weights: mean };
    }
  }

  /** What both encoders end with: blocks if there are any, a norm, the query, a projection to the length 1. */
  class Encoder {
    constructor(parameters, nHeads, nBlocks) {
      const part = (name) => parameters.within(name);
      this.blocks = Array.from({ length: nBlocks }, (_, i) => new EncoderBlock(part(`encoder.blocks.${i}`), nHeads));
      this.norm = new LayerNorm(part(nBlocks ? "encoder.norm" : "encoder"));
      this.pool = new AttentionPooling(part("pool"), nHeads);
      this.project = new Linear(part("project"));
    }

    forward(tokens) {
      for (const block of this.blocks) ({ tokens } = block.forward(tokens));
      const { vector, weights } = this.pool.forward(tokens.map((x) => this.norm.forward(x)));
      const projected = this.project.forward(vector);
      const length = Math.max(Math.sqrt(dot(projected, projected)), 1e-12);
      return { vector: projected.map((x) => x / length), weights };
    }
  }

  class CLIP {
    constructor(parameters, entry) {
      const { n_heads: nHeads, n_blocks: nBlocks, convolutions } = entry.model;
      const within = (name) => parameters.within(name);
      this.entry = entry;
      this.ids = new Map(entry.words.map((word, id) => [word, id]));
      this.layers = Object.entries(convolutions).map(([i, { stride, padding }]) =>
        ({ padding, layer: new Conv2d(within(`pictures.patches.convolutions.${i}`), { stride }) }));
      this.rows = parameters.get("pictures.places.rows");
      this.columns = parameters.get("pictures.places.columns");
      this.seeing = new Encoder(within("pictures"), nHeads, nBlocks);
      this.embedding = parameters.get("texts.embedding.weight");
      this.places = parameters.get("texts.places");
      this.reading = new Encoder(within("texts"), nHeads, 1);
      this.scale = Math.min(Math.exp(parameters.get("log_scale")), 100);
    }

    /** bytes: all colours of each pixel of a square picture, row after row. Returns {vector, weights of the cells}. */
    see(bytes) {
      const channels = this.layers[0].layer.inputs;
      const side = Math.sqrt(bytes.length / channels);
      let found = {
        width: side,
        cells: Array.from({ length: side * side }, (_, i) =>
          Array.from({ length: channels }, (_, c) => bytes[i * channels + c] / 255 - 0.5)),
      };
      this.layers.forEach(({ layer, padding }, i) => {
        if (i) for (const cell of found.cells) cell.forEach((x, k) => { cell[k] = Math.max(0, x); });
        const zeros = new Array(layer.inputs).fill(0);
        found = layer.forward(minattn.padded(found, padding, zeros));
      });
      const wide = this.columns.length;
      return this.seeing.forward(found.cells.map((x, i) =>
        add(x, add(this.rows[Math.floor(i / wide)], this.columns[i % wide]))));
    }

    /** Read words that all are known, as many as there are places at most. Returns {vector, weights of the words}. */
    read(words) {
      return this.reading.forward(words.map((word, i) => add(this.embedding[this.ids.get(word)], this.places[i])));
    }

    /** The probabilities with which one of several is chosen, by their cosines. */
    chances(cosines) {
      return softmax(cosines.map((cosine) => this.scale * cosine));
    }
  }

  // ---- one emoji in one of nine places -----------------------------------------------------------

  const SIDE = 32; // pixels of a picture
  const SIZE = 14; // pixels of the longer side of an emoji

  /** Paint an emoji in one of nine places, in rows of three, on a colour: bytes, row after row. */
  function placed(emoji, place, colour) {
    const sprite = minattn.scenes.sprite(emoji, SIZE);
    const corner = (pixels, third) => minattn.scenes.even(((SIDE - pixels) * third) / 2);
    const x = corner(sprite.width, place % 3);
    const y = corner(sprite.height, Math.floor(place / 3));
    return minattn.scenes.paint([{ x, y, sprite }], () => colour, SIDE);
  }

  /** The sentence of a picture, as minattn.tasks.placed_emoji.sentence says it. */
  const sentence = (thing, place, colour) =>
    `${"aeiou".includes(thing[0]) ? "an" : "a"} ${thing} at the ${place} on ${colour}`;

  (minattn.kinds ??= {}).clip = CLIP;
  minattn.placedEmoji = { SIDE, placed, sentence };
})();
