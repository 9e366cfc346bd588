// The BERT of minattn.language.bert: an encoder alone, and a readout at every place. Needs layers.js and rotary.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { dot, softmax, LayerNorm, EncoderBlock, RotaryAttention } = minattn;

  /** The error function, to seven digits (Abramowitz and Stegun 1964, formula 7.1.26). */
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return Math.sign(x) * (1 - sum * Math.exp(-x * x));
  }

  const gelu = (x) => (x / 2) * (1 + erf(x / Math.SQRT2));

  class BERT {
    constructor(parameters, { model, tokens }) {
      this.settings = model;
      this.tokens = tokens;
      this.ids = new Map(tokens.map((token, id) => [token, id]));
      this.table = parameters.get("table.weight");
      this.bias = parameters.get("readout.bias");
      this.norm = new LayerNorm(parameters.within("encoder.norm"));
      const how = { Attention: RotaryAttention, activation: gelu };
      this.blocks = Array.from({ length: model.n_layers }, (_, i) =>
        new EncoderBlock(parameters.within(`encoder.blocks.${i}`), model.n_heads, how));
    }

    /**
     * Read tokens, <bos> and <eos> among them.
     *
     * Returns {probabilities, weights}: probabilities are places x tokens of the vocabulary, weights are layers x
     * heads x queries x keys.
     */
    read(tokens) {
      let x = tokens.map((token) => Array.from(this.table[this.ids.get(token)], (a) => a * this.settings.embedding_scale));
      const weights = this.blocks.map((block) => {
        const found = block.forward(x);
        x = found.tokens;
        return found.weights;
      });
      const states = x.map((state) => this.norm.forward(state));
      const logits = states.map((state) => this.table.map((row, i) => dot(row, state) + this.bias[i]));
      return { probabilities: logits.map(softmax), weights };
    }
  }

  (minattn.kinds ??= {}).bert = BERT;
  Object.assign(minattn, { gelu, BERT });
})();
