// Layers for the live places: those of minattn.recurrent, minattn.alignment, minattn.multihead,
// minattn.transformer and minattn.positions. Each takes its own part of a model's parameters. Needs attention.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, dot, sigmoid, weightedSum, attend, finish } = minattn;

  /** The parameters of a model by name; within("gru") are those whose names begin with "gru.". */
  class Parameters {
    constructor(tensors, prefix = "") {
      this.tensors = tensors;
      this.prefix = prefix;
    }

    within(name) {
      return new Parameters(this.tensors, `${this.prefix}${name}.`);
    }

    has(name) {
      return this.tensors.has(this.prefix + name);
    }

    get(name) {
      if (!this.has(name)) throw new Error(`These weights are not whole: ${this.prefix}${name} is missing.`);
      return this.tensors.get(this.prefix + name);
    }
  }

  class Linear {
    constructor(parameters) {
      this.weight = parameters.get("weight");
      this.bias = parameters.has("bias") ? parameters.get("bias") : null;
    }

    forward(x) {
      const projected = this.weight.map((row) => dot(row, x));
      return this.bias ? add(projected, this.bias) : projected;
    }
  }

  class LayerNorm {
    constructor(parameters) {
      this.weight = parameters.get("weight");
      this.bias = parameters.get("bias");
    }

    forward(x) {
      const mean = x.reduce((sum, a) => sum + a, 0) / x.length;
      const variance = x.reduce((sum, a) => sum + (a - mean) ** 2, 0) / x.length;
      const root = Math.sqrt(variance + 1e-5);
      return Array.from(x, (a, i) => ((a - mean) / root) * this.weight[i] + this.bias[i]);
    }
  }

  /** A gated recurrent unit, as minattn.recurrent.gru_step. */
  class GRU {
    constructor(parameters, ending = "_l0") {
      const map = (kind) => ({
        weight: parameters.get(`weight_${kind}${ending}`),
        bias: parameters.get(`bias_${kind}${ending}`),
      });
      this.fromInput = map("ih");
      this.fromState = map("hh");
      this.width = this.fromState.weight[0].length;
    }

    step(x, h) {
      const project = ({ weight, bias }, a) => weight.map((row, i) => dot(row, a) + bias[i]);
      const ofInput = project(this.fromInput, x); // r, z and n, one behind the other
      const ofState = project(this.fromState, h);
      const d = this.width;
      return Array.from(h, (old, i) => {
        const r = sigmoid(ofInput[i] + ofState[i]);
        const z = sigmoid(ofInput[d + i] + ofState[d + i]);
        const n = Math.tanh(ofInput[2 * d + i] + r * ofState[2 * d + i]);
        return (1 - z) * n + z * old;
      });
    }

    /** Read a sequence; return the state after every element. */
    read(sequence) {
      let h = new Array(this.width).fill(0);
      return sequence.map((x) => (h = this.step(x, h)));
    }
  }

  // Four ways to attend, all with the seam attend(query, key, value, mask) -> {weights, output}.

  /** Attend to nothing: every query gets the last value it may, whatever it asks. One fixed context vector. */
  class FinalState {
    attend(query, key, value, mask) {
      const last = (i) => (mask ? mask[i].lastIndexOf(true) : value.length - 1);
      const weights = query.map((_, i) => value.map((_, j) => (j === last(i) ? 1 : 0)));
      return { weights, output: weightedSum(weights, value) };
    }
  }

  /** Additive scores: v · tanh(W q + U k + b). */
  class AdditiveAttention {
    constructor(parameters) {
      this.qProj = new Linear(parameters.within("q_proj"));
      this.kProj = new Linear(parameters.within("k_proj"));
      this.v = parameters.get("v");
    }

    attend(query, key, value, mask) {
      const q = query.map((row) => this.qProj.forward(row));
      const k = key.map((row) => this.kProj.forward(row));
      const scores = q.map((a) => k.map((b) => dot(this.v, add(a, b).map(Math.tanh))));
      return finish(scores, value, mask);
    }
  }

  /** Multiplicative scores: q · W k, divided by a temperature. */
  class MultiplicativeAttention {
    constructor(parameters, { temperature }) {
      this.kProj = new Linear(parameters.within("k_proj"));
      this.scale = 1 / temperature;
    }

    attend(query, key, value, mask) {
      const k = key.map((row) => this.kProj.forward(row));
      return attend(query, k, value, { scale: this.scale, mask });
    }
  }

  /** One lookup with three learned projections. */
  class DotProductAttention {
    constructor(parameters) {
      this.qProj = new Linear(parameters.within("q_proj"));
      this.kProj = new Linear(parameters.within("k_proj"));
      this.vProj = new Linear(parameters.within("v_proj"));
    }

    attend(query, key, value, mask) {
      const project = (layer, rows) => rows.map((row) => layer.forward(row));
      return attend(project(this.qProj, query), project(this.kProj, key), project(this.vProj, value), { mask });
    }
  }

  const ATTENDS = {
    final_state: FinalState,
    additive: AdditiveAttention,
    multiplicative: MultiplicativeAttention,
    dot_product: DotProductAttention,
  };

  /** Several lookups side by side, and one projection that mixes what they found. */
  class MultiHeadAttention {
    constructor(parameters, nHeads) {
      this.qProj = new Linear(parameters.within("q_proj"));
      this.kProj = new Linear(parameters.within("k_proj"));
      this.vProj = new Linear(parameters.within("v_proj"));
      this.outProj = new Linear(parameters.within("out_proj"));
      this.nHeads = nHeads;
    }

    /** Cut every row into one part for each head: heads, then rows. */
    splitHeads(rows) {
      const width = (rows[0]?.length ?? 0) / this.nHeads;
      const part = (row, head) => row.slice(head * width, (head + 1) * width);
      return Array.from({ length: this.nHeads }, (_, head) => rows.map((row) => part(row, head)));
    }

    mergeHeads(heads) {
      return heads[0].map((_, i) => heads.flatMap((head) => [...head[i]]));
    }

    /** Project what is offered and delivered. This is all that a cache keeps. */
    keysValues(tokens) {
      return {
        k: this.splitHeads(tokens.map((x) => this.kProj.forward(x))),
        v: this.splitHeads(tokens.map((x) => this.vProj.forward(x))),
      };
    }

    /** Project what asks, and split it. What turns queries by their places does it here: start is that of the first. */
    queries(tokens, start) {
      return this.splitHeads(tokens.map((x) => this.qProj.forward(x)));
    }

    /**
     * Attend to keys and values that were projected before; weights are heads x queries x keys.
     *
     * mask: rows of booleans, true where a query may look, for all heads.
     * start: the place of the first query, for what knows places.
     * silent: a set of heads whose output is zero, as minattn.probing.heads.without_heads makes it. What they
     *   look at is told all the same.
     */
    attendTo(query, { k, v }, { mask, silent, start = 0 } = {}) {
      const q = this.queries(query, start);
      const found = q.map((head, i) => attend(head, k[i], v[i], { mask }));
      const output = ({ output: rows }, i) => (silent?.has(i) ? rows.map((row) => row.map(() => 0)) : rows);
      const merged = this.mergeHeads(found.map(output));
      return {
        weights: found.map(({ weights }) => weights),
        output: merged.map((row) => this.outProj.forward(row)),
      };
    }
  }

  const relu = (x) => Math.max(0, x);

  class FeedForward {
    constructor(parameters, activation = relu) {
      this.upProj = new Linear(parameters.within("up_proj"));
      this.downProj = new Linear(parameters.within("down_proj"));
      this.activation = activation;
    }

    forward(x) {
      return this.downProj.forward(this.upProj.forward(x).map(this.activation));
    }
  }

  /** What the blocks of encoder and decoder share: norms before each sub-layer, sums after it. */
  class Block {
    constructor(parameters, nHeads, { Attention = MultiHeadAttention, activation = relu } = {}) {
      this.parameters = parameters;
      this.selfAttention = new Attention(parameters.within("self_attention"), nHeads);
      this.beforeSelfAttention = this.norm("add_self_attention");
      this.feedForward = new FeedForward(parameters.within("feed_forward"), activation);
      this.beforeFeedForward = this.norm("add_feed_forward");
    }

    norm(name) {
      return new LayerNorm(this.parameters.within(`${name}.norm`));
    }

    think(x) {
      return add(x, this.feedForward.forward(this.beforeFeedForward.forward(x)));
    }
  }

  /** Let every token attend to its own sequence, then think about what it found. */
  class EncoderBlock extends Block {
    /** options: mask and silent, as for attendTo. Weights are heads x tokens x tokens. */
    forward(tokens, options) {
      const normed = tokens.map((x) => this.beforeSelfAttention.forward(x));
      const kept = this.selfAttention.keysValues(normed);
      const { weights, output } = this.selfAttention.attendTo(normed, kept, options);
      return { weights, tokens: tokens.map((x, i) => this.think(add(x, output[i]))) };
    }
  }

  /** One target token looks back, then at the source, then thinks. Keys and values before it are kept. */
  class DecoderBlock extends Block {
    constructor(parameters, nHeads) {
      super(parameters, nHeads);
      this.crossAttention = new MultiHeadAttention(parameters.within("cross_attention"), nHeads);
      this.beforeCrossAttention = this.norm("add_cross_attention");
    }

    /** options: what attendTo takes, of the two attentions apart: {self, cross}. */
    step(x, kept, options = {}) {
      const normed = this.beforeSelfAttention.forward(x);
      const fresh = this.selfAttention.keysValues([normed]);
      const grow = (old, row) => old.map((head, i) => [...head, ...row[i]]);
      const target = { k: grow(kept.target.k, fresh.k), v: grow(kept.target.v, fresh.v) };
      const back = this.selfAttention.attendTo([normed], target, options.self);
      x = add(x, back.output[0]);
      const asked = [this.beforeCrossAttention.forward(x)];
      const across = this.crossAttention.attendTo(asked, kept.source, options.cross);
      x = this.think(add(x, across.output[0]));
      return { x, kept: { target, source: kept.source }, back: back.weights, across: across.weights };
    }
  }

  /** One vector of sines and cosines for a position, a pair for each wavelength. */
  function sinusoidal(position, width, base = 10000) {
    return Array.from({ length: width }, (_, i) => {
      const angle = position * Math.exp(-Math.log(base) * ((i - (i % 2)) / width));
      return i % 2 ? Math.cos(angle) : Math.sin(angle);
    });
  }

  Object.assign(minattn, {
    Parameters, Linear, LayerNorm, GRU, ATTENDS, MultiHeadAttention, FeedForward, Block, EncoderBlock,
    DecoderBlock, sinusoidal,
  });
})();
