// The translators of minattn.recurrent and minattn.transformer, with the words of minattn.vocabulary. They write as
// minattn.translation.greedy does. Needs attention.js and layers.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, softmax, GRU, Linear, LayerNorm, ATTENDS, EncoderBlock, DecoderBlock, sinusoidal } = minattn;

  const BOS = "<bos>";
  const EOS = "<eos>";

  /** Tokens and their ids. */
  class Vocabulary {
    constructor(tokens) {
      this.tokens = tokens;
      this.ids = new Map(tokens.map((token, id) => [token, id]));
    }

    id(token) {
      if (!this.ids.has(token)) throw new Error(`This model does not know the word “${token}”.`);
      return this.ids.get(token);
    }
  }

  /**
   * What all translators have. A subclass says how to encode, how to start and how to take one step:
   *
   * encode(tokens, changes) -> memory: {tokens, states, weights, changes}. The tokens are German words; the end
   *   mark is added. changes, if there are any: {silent, hidden}. silent: a Map from the names under which weights
   *   are told, such as "decoder.blocks.1.cross_attention", to the set of the heads there that say nothing.
   *   hidden: a set of places of the source where nothing may look. A recurrent encoder reads them all the same.
   * start(memory) -> state before the first word.
   * step(token, state, memory) -> {logits, state, weights, selfWeights}: reads one English word ("<bos>" at
   *   first). weights: {name: heads x source}. selfWeights: {name: heads x words so far}. The old state is
   *   left as it is, so a page can go back to it.
   */
  class Translator {
    constructor(parameters, { model, source, target }) {
      this.parameters = parameters;
      this.settings = model;
      this.source = new Vocabulary(source);
      this.target = new Vocabulary(target);
    }

    /** Look up the vectors of the source words, with the end mark behind them. */
    embedSource(tokens, table) {
      if (!tokens.length) throw new Error("There must be at least one word to translate.");
      const all = [...tokens, EOS];
      return { tokens: all, vectors: all.map((token) => table[this.source.id(token)]) };
    }

    /** Where one query may look in the source; nothing is said where it may look everywhere. */
    maskOf({ tokens, changes }) {
      return changes.hidden?.size ? tokens.map((_, j) => !changes.hidden.has(j)) : undefined;
    }

    /**
     * Translate: choose(logits) gives the id of the next word, at every step.
     *
     * Returns {source, target, finished, memory, steps}: finished says whether the model ended by itself,
     * and a step has {read, token, logits, probabilities, weights, selfWeights}; the last writes "<eos>".
     */
    write(words, choose, maxLength = 50, changes = {}) {
      const memory = this.encode(words, changes);
      const steps = [];
      let state = this.start(memory);
      let read = BOS;
      while (steps.length < maxLength && !(steps.length && read === EOS)) {
        const { state: after, ...found } = this.step(read, state, memory);
        const token = this.target.tokens[choose(found.logits)];
        steps.push({ read, token, probabilities: softmax(found.logits), ...found });
        [state, read] = [after, token];
      }
      const finished = read === EOS;
      const target = steps.map(({ token }) => token).slice(0, finished ? -1 : undefined);
      return { source: memory.tokens, target, finished, memory, steps };
    }

    /** Translate by taking the likeliest word at every step; see write. */
    greedy(words, maxLength, changes) {
      return this.write(words, (logits) => logits.indexOf(Math.max(...logits)), maxLength, changes);
    }
  }

  /** Encoder and decoder with gated recurrent units, and an attend between them (chapters 1 to 3). */
  class RecurrentTranslator extends Translator {
    constructor(parameters, entry) {
      super(parameters, entry);
      const { attend: { kind, ...options }, attends, bidirectional } = entry.model;
      if (!(kind in ATTENDS)) throw new Error(`the engine knows no attention ${kind}`);
      const encoder = parameters.within("encoder");
      this.sourceEmbedding = encoder.get("embedding.weight");
      this.forwards = new GRU(encoder.within("gru"));
      this.backwards = bidirectional ? new GRU(encoder.within("gru"), "_l0_reverse") : null;
      this.attends = attends;
      this.attention = new ATTENDS[kind](parameters.within("attend"), options);
      this.targetEmbedding = parameters.get("embedding.weight");
      this.bridge = new Linear(parameters.within("bridge"));
      this.gru = new GRU(parameters.within("gru"));
      this.combine = new Linear(parameters.within("combine"));
      this.outProj = new Linear(parameters.within("out_proj"));
    }

    encode(words, changes = {}) {
      const { tokens, vectors } = this.embedSource(words, this.sourceEmbedding);
      let states = this.forwards.read(vectors);
      if (this.backwards) {
        const others = this.backwards.read([...vectors].reverse()).reverse();
        states = states.map((state, i) => [...state, ...others[i]]);
      }
      return { tokens, states, weights: {}, changes };
    }

    /** Each direction's state that has read everything: the last of one, the first of the other. */
    start({ states }) {
      const last = states[states.length - 1];
      const half = last.length / 2;
      const summary = this.backwards ? [...last.slice(0, half), ...states[0].slice(half)] : last;
      return this.bridge.forward(summary).map(Math.tanh);
    }

    step(token, before, memory) {
      const { states } = memory;
      const x = this.targetEmbedding[this.target.id(token)];
      const allowed = this.maskOf(memory);
      const look = (state) => this.attention.attend([state], states, states, allowed && [allowed]);
      let after, found;
      if (this.attends === "before") {
        found = look(before);
        after = this.gru.step([...x, ...found.output[0]], before);
      } else {
        after = this.gru.step(x, before);
        found = look(after);
      }
      const combined = this.combine.forward([...after, ...found.output[0]]).map(Math.tanh);
      return {
        logits: this.outProj.forward(combined),
        state: after,
        weights: { attend: found.weights }, // one head
        selfWeights: {},
      };
    }
  }

  /** The Transformer (chapter 6), which reads every target word once and keeps its keys and values. */
  class TransformerTranslator extends Translator {
    constructor(parameters, entry) {
      super(parameters, entry);
      const { n_heads, n_layers } = entry.model;
      const blocks = (Kind, side) =>
        Array.from({ length: n_layers }, (_, i) => {
          return new Kind(parameters.within(`${side}.blocks.${i}`), n_heads);
        });
      this.encoderBlocks = blocks(EncoderBlock, "encoder");
      this.decoderBlocks = blocks(DecoderBlock, "decoder");
      this.encoderNorm = new LayerNorm(parameters.within("encoder.norm"));
      this.decoderNorm = new LayerNorm(parameters.within("decoder.norm"));
      this.sourceEmbedding = parameters.get("source_embedding.weight");
      this.targetEmbedding = parameters.get("target_embedding.weight");
      this.readout = new Linear(parameters.within("readout"));
    }

    /** Scale the vector of a word and mark its place. */
    place(vector, position) {
      const { embedding_scale, base } = this.settings;
      return add(sinusoidal(position, vector.length, base), vector.map((x) => x * embedding_scale));
    }

    encode(words, changes = {}) {
      const { tokens, vectors } = this.embedSource(words, this.sourceEmbedding);
      const allowed = this.maskOf({ tokens, changes });
      const mask = allowed && tokens.map(() => allowed);
      const weights = {};
      let states = vectors.map((vector, position) => this.place(vector, position));
      this.encoderBlocks.forEach((block, i) => {
        const name = `encoder.blocks.${i}.self_attention`;
        const found = block.forward(states, { mask, silent: changes.silent?.get(name) });
        weights[name] = found.weights;
        states = found.tokens;
      });
      return { tokens, states: states.map((x) => this.encoderNorm.forward(x)), weights, changes };
    }

    /** Project the memory once for every block; no target word is kept yet. */
    start({ states }) {
      return this.decoderBlocks.map((block) => ({
        target: block.selfAttention.keysValues([]),
        source: block.crossAttention.keysValues(states),
      }));
    }

    step(token, state, memory) {
      const position = state[0].target.k[0].length;
      const allowed = this.maskOf(memory);
      const silent = (name) => memory.changes.silent?.get(name);
      const weights = {};
      const selfWeights = {};
      let x = this.place(this.targetEmbedding[this.target.id(token)], position);
      const after = this.decoderBlocks.map((block, i) => {
        const [back, across] = ["self", "cross"].map((kind) => `decoder.blocks.${i}.${kind}_attention`);
        const found = block.step(x, state[i], {
          self: { silent: silent(back) },
          cross: { silent: silent(across), mask: allowed && [allowed] },
        });
        const onlyQuery = (heads) => heads.map((rows) => rows[0]);
        selfWeights[back] = onlyQuery(found.back);
        weights[across] = onlyQuery(found.across);
        x = found.x;
        return found.kept;
      });
      const logits = this.readout.forward(this.decoderNorm.forward(x));
      return { logits, state: after, weights, selfWeights };
    }
  }

  Object.assign(minattn, { Vocabulary, Translator });
  Object.assign((minattn.kinds ??= {}), {
    recurrent: RecurrentTranslator,
    transformer: TransformerTranslator,
  });
})();
