// The GPT of minattn.language.gpt: tokens, blocks that look back, a readout that is the table of tokens. It reads token
// by token and keeps keys and values, as minattn.decoding.Cached. Needs layers.js, rotary.js and subwords.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, dot, sigmoid, softmax, LayerNorm, EncoderBlock, RotaryAttention, Subwords, turnAll } = minattn;

  const [BOS, EOS] = [1, 2];

  /** Heads whose keys also know the token before them, as minattn.language.gpt.Smeared. */
  class SmearedAttention extends RotaryAttention {
    constructor(parameters, nHeads) {
      super(parameters, nHeads);
      this.share = parameters.get("attend.mix").map(([[a]]) => sigmoid(a)); // of the key before, one for each head
    }

    /** What is to be kept of one more token: before is what was kept of the one before it, if there is one. */
    keep(x, place, before) {
      const plain = this.splitHeads([this.kProj.forward(x)]).map(([key]) => key);
      const mix = (key, old, share) => Array.from(key, (a, i) => a + share * (old[i] - a));
      const mixed = plain.map((key, head) => [before ? mix(key, before.plain[head], this.share[head]) : key]);
      return {
        plain,
        key: turnAll(mixed, place).map(([key]) => key),
        value: this.splitHeads([this.vProj.forward(x)]).map(([value]) => value),
      };
    }
  }

  /** A block that looks back: one token at a time reads what was kept of those before it. */
  class LookingBack extends EncoderBlock {
    /** kept: one entry for each token before; the new one is appended. silent: as for attendTo. */
    step(x, kept, silent) {
      const normed = this.beforeSelfAttention.forward(x);
      const start = kept.length;
      kept.push(this.selfAttention.keep(normed, start, kept.at(-1)));
      const heads = (name) => kept[0][name].map((_, head) => kept.map((one) => one[name][head]));
      const all = { k: heads("key"), v: heads("value") };
      const { weights, output } = this.selfAttention.attendTo([normed], all, { silent, start });
      return { weights: weights.map(([row]) => row), x: this.think(add(x, output[0])) };
    }
  }

  class GPT {
    constructor(parameters, { model, tokens, alphabet, merges }) {
      this.settings = model;
      this.tokens = tokens;
      this.ids = new Map(tokens.map((token, id) => [token, id]));
      this.pieces = new Subwords(alphabet, merges);
      this.table = parameters.get("embedding.weight");
      this.norm = new LayerNorm(parameters.within("decoder.norm"));
      this.blocks = Array.from({ length: model.n_layers }, (_, i) =>
        new LookingBack(parameters.within(`decoder.blocks.${i}`), model.n_heads, { Attention: SmearedAttention }));
      this.readings = new Map(); // what was read last, for each choice of silent heads
    }

    /** The share of the key before, for each layer and head. */
    get shares() {
      return this.blocks.map((block) => block.selfAttention.share);
    }

    /** Turn a text into ids, with the mark of the beginning in front; nothing is the mark alone. */
    encode(text) {
      return [BOS, ...(text ? this.pieces.encode(text).map((piece) => this.ids.get(piece)) : [])];
    }

    decode(ids) {
      return this.pieces.decode(ids.filter((id) => id > EOS).map((id) => this.tokens[id]));
    }

    /**
     * Read ids, and say how likely each token is to come next.
     *
     * silent: for each layer a set of heads that say nothing; what they look at is told all the same.
     * Returns {logits, probabilities, weights}: logits are those after the last token, weights are tokens x layers x
     * heads x the tokens up to it. What begins as the text that was read last is not read again.
     */
    read(ids, silent = this.blocks.map(() => new Set())) {
      const key = JSON.stringify(silent.map((heads) => [...heads].sort()));
      const reading = this.readings.get(key) ?? { ids: [], kept: this.blocks.map(() => []), found: [] };
      let same = 0;
      while (same < ids.length && ids[same] === reading.ids[same]) same += 1;
      for (const list of [reading.ids, reading.found, ...reading.kept]) list.length = same;
      for (const id of ids.slice(same)) {
        let x = this.table[id];
        const weights = this.blocks.map((block, layer) => {
          const step = block.step(x, reading.kept[layer], silent[layer]);
          x = step.x;
          return step.weights;
        });
        reading.ids.push(id);
        reading.found.push({ state: x, weights });
      }
      this.remember(key, reading);
      const normed = this.norm.forward(reading.found.at(-1).state);
      const logits = this.table.map((row) => dot(row, normed));
      return { logits, probabilities: softmax(logits), weights: reading.found.map(({ weights }) => weights) };
    }

    /** Keep the newest few readings: with all heads, and as they are now. */
    remember(key, reading) {
      this.readings.delete(key);
      this.readings.set(key, reading);
      if (this.readings.size > 3) this.readings.delete(this.readings.keys().next().value);
    }
  }

  (minattn.kinds ??= {}).gpt = GPT;
  Object.assign(minattn, { BOS, EOS, GPT });
})();
