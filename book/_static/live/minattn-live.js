// The engine of the live pages: attention, the book's translators and its number words, in plain
// JavaScript. Names are those of the Python package minattn, and the tests hold both to the same numbers.
//
// A vector is an array of numbers, a matrix an array of rows. There are no batches: one sentence at a
// time, so nothing is padded, and only the playground needs a mask.
//
// A page uses: softmax, attend, germanWords, englishWords, readGerman, loadModel, loadMaps and loadClips.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const BOS = "<bos>";
  const EOS = "<eos>";
  const HERE = document.currentScript?.src ?? document.baseURI;

  // ---- Vectors -----------------------------------------------------------------------------------

  const add = (a, b) => Array.from(a, (x, i) => x + b[i]);
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  function dot(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }

  // ---- Attention ---------------------------------------------------------------------------------

  /** Turn scores into weights that sum to one. A row of nothing but -Infinity gives zeros. */
  function softmax(row) {
    const largest = Math.max(...row);
    if (largest === -Infinity) return Array.from(row, () => 0);
    const exp = Array.from(row, (score) => Math.exp(score - largest)); // at most 1: nothing overflows
    const total = exp.reduce((sum, x) => sum + x, 0);
    return exp.map((x) => x / total);
  }

  /** Mix the values, one mixture for each row of weights. */
  function weightedSum(weights, value) {
    return weights.map((row) => {
      const output = new Array(value[0]?.length ?? 0).fill(0);
      row.forEach((weight, j) => value[j].forEach((x, i) => (output[i] += weight * x)));
      return output;
    });
  }

  /**
   * Attend: score by the scaled dot product, softmax over the keys, mix the values.
   *
   * scale: the factor of the scores, one over the root of the width if not given.
   * mask: rows of booleans, true where a query may look; a query that may look nowhere gets zeros.
   * bias: rows of numbers, added to the scores; -Infinity forbids.
   * Returns {scores, weights, output}; the scores are scaled and have their bias, but know no mask.
   */
  function attend(query, key, value, { scale, mask, bias } = {}) {
    checkShapes(query, key, value, { mask, bias });
    const factor = scale ?? 1 / Math.sqrt(query[0]?.length ?? 1);
    const scores = query.map((q, i) => key.map((k, j) => dot(q, k) * factor + (bias?.[i][j] ?? 0)));
    return finish(scores, value, mask);
  }

  /** What comes after the score is always the same. */
  function finish(scores, value, mask) {
    const allowed = (score, i, j) => (!mask || mask[i][j] ? score : -Infinity);
    const weights = scores.map((row, i) => softmax(row.map((score, j) => allowed(score, i, j))));
    return { scores, weights, output: weightedSum(weights, value) };
  }

  function checkShapes(query, key, value, tables) {
    const width = query[0]?.length ?? key[0]?.length;
    if (![...query, ...key].every((row) => row.length === width)) {
      throw new Error("Queries and keys need one width: a dot product takes two vectors of one length.");
    }
    if (key.length !== value.length) {
      throw new Error(
        `There must be one value for each key, but there are ${key.length} keys and ${value.length} values.`,
      );
    }
    for (const [name, table] of Object.entries(tables)) {
      const fits = table?.length === query.length && table.every((row) => row.length === key.length);
      if (table && !fits) {
        throw new Error(`The ${name} needs one row for each query, and in it one entry for each key.`);
      }
    }
  }

  // ---- Layers: each takes its own part of a model's parameters --------------------------------------

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
      return this.weight.map((row, i) => dot(row, x) + (this.bias ? this.bias[i] : 0));
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
      return x.map((a, i) => ((a - mean) / root) * this.weight[i] + this.bias[i]);
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

  // Four ways to attend, all with the seam attend(query, key, value) -> {weights, output}.

  /** Attend to nothing: every query gets the last value, whatever it asks. One fixed context vector. */
  class FinalState {
    attend(query, key, value) {
      const weights = query.map(() => value.map((_, j) => (j === value.length - 1 ? 1 : 0)));
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

    attend(query, key, value) {
      const q = query.map((row) => this.qProj.forward(row));
      const k = key.map((row) => this.kProj.forward(row));
      const scores = q.map((a) => k.map((b) => dot(this.v, add(a, b).map(Math.tanh))));
      return finish(scores, value);
    }
  }

  /** Multiplicative scores: q · W k, divided by a temperature. */
  class MultiplicativeAttention {
    constructor(parameters, { temperature }) {
      this.kProj = new Linear(parameters.within("k_proj"));
      this.scale = 1 / temperature;
    }

    attend(query, key, value) {
      const k = key.map((row) => this.kProj.forward(row));
      return attend(query, k, value, { scale: this.scale });
    }
  }

  /** One lookup with three learned projections. */
  class DotProductAttention {
    constructor(parameters) {
      this.qProj = new Linear(parameters.within("q_proj"));
      this.kProj = new Linear(parameters.within("k_proj"));
      this.vProj = new Linear(parameters.within("v_proj"));
    }

    attend(query, key, value) {
      const project = (layer, rows) => rows.map((row) => layer.forward(row));
      return attend(project(this.qProj, query), project(this.kProj, key), project(this.vProj, value));
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
      return heads[0].map((_, i) => heads.flatMap((head) => head[i]));
    }

    /** Project what is offered and delivered. This is all that a cache keeps. */
    keysValues(tokens) {
      return {
        k: this.splitHeads(tokens.map((x) => this.kProj.forward(x))),
        v: this.splitHeads(tokens.map((x) => this.vProj.forward(x))),
      };
    }

    /** Attend to keys and values that were projected before; weights are heads x queries x keys. */
    attendTo(query, { k, v }) {
      const q = this.splitHeads(query.map((x) => this.qProj.forward(x)));
      const found = q.map((head, i) => attend(head, k[i], v[i]));
      const merged = this.mergeHeads(found.map(({ output }) => output));
      return {
        weights: found.map(({ weights }) => weights),
        output: merged.map((row) => this.outProj.forward(row)),
      };
    }
  }

  class FeedForward {
    constructor(parameters) {
      this.upProj = new Linear(parameters.within("up_proj"));
      this.downProj = new Linear(parameters.within("down_proj"));
    }

    forward(x) {
      return this.downProj.forward(this.upProj.forward(x).map((a) => Math.max(0, a)));
    }
  }

  /** What the blocks of encoder and decoder share: norms before each sub-layer, sums after it. */
  class Block {
    constructor(parameters, nHeads) {
      this.parameters = parameters;
      this.selfAttention = new MultiHeadAttention(parameters.within("self_attention"), nHeads);
      this.beforeSelfAttention = this.norm("add_self_attention");
      this.feedForward = new FeedForward(parameters.within("feed_forward"));
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
    forward(tokens) {
      const normed = tokens.map((x) => this.beforeSelfAttention.forward(x));
      const { weights, output } = this.selfAttention.attendTo(normed, this.selfAttention.keysValues(normed));
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

    step(x, kept) {
      const normed = this.beforeSelfAttention.forward(x);
      const fresh = this.selfAttention.keysValues([normed]);
      const grow = (old, row) => old.map((head, i) => [...head, ...row[i]]);
      const target = { k: grow(kept.target.k, fresh.k), v: grow(kept.target.v, fresh.v) };
      const back = this.selfAttention.attendTo([normed], target);
      x = add(x, back.output[0]);
      const across = this.crossAttention.attendTo([this.beforeCrossAttention.forward(x)], kept.source);
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

  // ---- Translators -------------------------------------------------------------------------------

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
   * encode(tokens) -> memory: {tokens, states, weights}. The tokens are German words; the end mark is added.
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

    /**
     * Translate by taking the likeliest word at every step.
     *
     * Returns {source, target, finished, memory, steps}: finished says whether the model ended by itself,
     * and a step has {read, token, logits, probabilities, weights, selfWeights}; the last writes "<eos>".
     */
    greedy(words, maxLength = 50) {
      const memory = this.encode(words);
      const steps = [];
      let state = this.start(memory);
      let read = BOS;
      while (steps.length < maxLength && !(steps.length && read === EOS)) {
        const { state: after, ...found } = this.step(read, state, memory);
        const token = this.target.tokens[found.logits.indexOf(Math.max(...found.logits))];
        steps.push({ read, token, probabilities: softmax(found.logits), ...found });
        [state, read] = [after, token];
      }
      const finished = read === EOS;
      const target = steps.map(({ token }) => token).slice(0, finished ? -1 : undefined);
      return { source: memory.tokens, target, finished, memory, steps };
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

    encode(words) {
      const { tokens, vectors } = this.embedSource(words, this.sourceEmbedding);
      let states = this.forwards.read(vectors);
      if (this.backwards) {
        const others = this.backwards.read([...vectors].reverse()).reverse();
        states = states.map((state, i) => [...state, ...others[i]]);
      }
      return { tokens, states, weights: {} };
    }

    /** Each direction's state that has read everything: the last of one, the first of the other. */
    start({ states }) {
      const last = states[states.length - 1];
      const half = last.length / 2;
      const summary = this.backwards ? [...last.slice(0, half), ...states[0].slice(half)] : last;
      return this.bridge.forward(summary).map(Math.tanh);
    }

    step(token, before, { states }) {
      const x = this.targetEmbedding[this.target.id(token)];
      const look = (state) => this.attention.attend([state], states, states);
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

    encode(words) {
      const { tokens, vectors } = this.embedSource(words, this.sourceEmbedding);
      const weights = {};
      let states = vectors.map((vector, position) => this.place(vector, position));
      this.encoderBlocks.forEach((block, i) => {
        const found = block.forward(states);
        weights[`encoder.blocks.${i}.self_attention`] = found.weights;
        states = found.tokens;
      });
      return { tokens, states: states.map((x) => this.encoderNorm.forward(x)), weights };
    }

    /** Project the memory once for every block; no target word is kept yet. */
    start({ states }) {
      return this.decoderBlocks.map((block) => ({
        target: block.selfAttention.keysValues([]),
        source: block.crossAttention.keysValues(states),
      }));
    }

    step(token, state) {
      const position = state[0].target.k[0].length;
      const weights = {};
      const selfWeights = {};
      let x = this.place(this.targetEmbedding[this.target.id(token)], position);
      const after = this.decoderBlocks.map((block, i) => {
        const found = block.step(x, state[i]);
        const onlyQuery = (heads) => heads.map((rows) => rows[0]);
        selfWeights[`decoder.blocks.${i}.self_attention`] = onlyQuery(found.back);
        weights[`decoder.blocks.${i}.cross_attention`] = onlyQuery(found.across);
        x = found.x;
        return found.kept;
      });
      const logits = this.readout.forward(this.decoderNorm.forward(x));
      return { logits, state: after, weights, selfWeights };
    }
  }

  // ---- Weights -----------------------------------------------------------------------------------

  /** Read a number of 16 bits: a sign, five bits of exponent, ten of fraction. */
  function halfToNumber(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  /** The checksum of zip files and of Python's zlib. */
  function crc32(bytes) {
    let crc = -1;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
  }

  const READERS = {
    float16: { size: 2, read: (view, i) => halfToNumber(view.getUint16(i, true)) },
    float32: { size: 4, read: (view, i) => view.getFloat32(i, true) },
  };

  /** Unpack the tensors of one file; throw if it is not whole. */
  function unpack({ dtype, bytes, crc32: expected, table, data }) {
    const buffer = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    if (buffer.length !== bytes) throw new Error(`${buffer.length} of ${bytes} bytes`);
    if (crc32(buffer) !== expected) throw new Error("the checksum is wrong");
    const view = new DataView(buffer.buffer);
    const { size, read } = READERS[dtype];
    return Object.entries(table).map(([name, [offset, shape]]) => {
      const numbers = (start, n) => Array.from({ length: n }, (_, i) => read(view, (start + i) * size));
      const [rows, columns] = shape;
      if (shape.length === 1) return [name, numbers(offset, rows)];
      return [name, Array.from({ length: rows }, (_, i) => numbers(offset + i * columns, columns))];
    });
  }

  const KINDS = { recurrent: RecurrentTranslator, transformer: TransformerTranslator };

  /** Make a translator of what stands in its files, the first of which has settings and vocabularies. */
  function makeModel(entry, ...others) {
    const tensors = new Map([entry, ...others].flatMap(unpack));
    if (!(entry.model.kind in KINDS)) throw new Error(`the engine knows no ${entry.model.kind}`);
    return new KINDS[entry.model.kind](new Parameters(tensors), entry);
  }

  /** Add a script to the page; script files can be loaded from a folder, where fetch cannot read. */
  function addScript(file) {
    return new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = new URL(file, HERE);
      script.onload = () => resolve(true);
      script.onerror = () => resolve(false);
      document.head.append(script);
    });
  }

  /** Load a file that sets minattn[place][name], and return what it set. */
  async function loadEntry(place, name, file) {
    if (!/^[a-z0-9_]+$/.test(name)) throw new Error(`There is no model with the name “${name}”.`);
    const found = minattn[place][name] !== undefined || (await addScript(file));
    if (!found) {
      throw new Error(
        `The file ${file} could not be loaded. It belongs beside the other files of the book; ` +
          "if you copied the book or are offline, get the whole of it and load this page again.",
      );
    }
    if (minattn[place][name] === undefined) throw broken(file);
    return minattn[place][name];
  }

  const broken = (file, cause) =>
    new Error(
      `The file ${file} is cut short or broken. ` +
        "Load this page again; if that does not help, get the file anew.",
      { cause },
    );

  /** Load the weights of a model and make a translator of them. */
  async function loadWhole(name) {
    const address = (part) => `weights/${part}.js`;
    const entry = await loadEntry("weights", name, address(name));
    const parts = entry.parts ?? [];
    const others = await Promise.all(parts.map((part) => loadEntry("weights", part, address(part))));
    try {
      return makeModel(entry, ...others);
    } catch (cause) {
      // So that a second try loads them anew.
      for (const part of [name, ...parts]) delete minattn.weights[part];
      throw broken([name, ...parts].map(address).join(" or "), cause);
    }
  }

  const models = new Map();

  /** Load a model by name, once: a promise of a translator. After a failure one may try again. */
  function loadModel(name) {
    if (!models.has(name)) {
      const loading = loadWhole(name);
      loading.catch(() => models.delete(name));
      models.set(name, loading);
    }
    return models.get(name);
  }

  /** Load recorded attention maps by name: a promise of {title, causal, sequences}. */
  function loadMaps(name) {
    return loadEntry("maps", name, `weights/maps_${name}.js`);
  }

  /** Load recorded clips by name: a promise of {title, credit, clips}. */
  function loadClips(name) {
    return loadEntry("clips", name, `weights/clips_${name}.js`);
  }

  // ---- Number words ------------------------------------------------------------------------------

  const LARGEST = 999_999_999_999;
  const ADVICE =
    "Type a whole number from 1 to 999,999,999,999, in digits (723,045) or in German words " +
    "(siebenhundertdreiundzwanzigtausendfünfundvierzig).";

  const GERMAN = {
    units: "zwei drei vier fünf sechs sieben acht neun".split(" "), // from 2: one has three forms
    teens: ("zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn").split(" "),
    tens: "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(" "),
    scales: [[], ["tausend", "tausend"], ["Million", "Millionen"], ["Milliarde", "Milliarden"]], // one, many
  };
  const ENGLISH = {
    small: (
      "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " +
      "seventeen eighteen nineteen"
    ).split(" "),
    tens: "twenty thirty forty fifty sixty seventy eighty ninety".split(" "),
    scales: ["", "thousand", "million", "billion"],
  };

  function checkNumber(number) {
    if (!Number.isInteger(number) || number < 1 || number > LARGEST) throw new Error(ADVICE);
  }

  /** Cut a number into groups of three digits that are not zero, the largest first. */
  function groupsOf(number) {
    return [3, 2, 1, 0]
      .map((scale) => ({ scale, group: Math.floor(number / 1000 ** scale) % 1000 }))
      .filter(({ group }) => group);
  }

  /** Spell a number in German, cut as minattn.tasks.number_words cuts it. */
  function germanWords(number) {
    checkNumber(number);
    return groupsOf(number).flatMap(({ group, scale }) => {
      if (!scale) return germanGroup(group);
      const [one, many] = GERMAN.scales[scale];
      if (group === 1) return [scale === 1 ? "ein" : "eine", one];
      return [...germanGroup(group), many];
    });
  }

  function germanGroup(group) {
    const hundreds = Math.floor(group / 100);
    const rest = group % 100;
    const unit = (n, one) => (n === 1 ? one : GERMAN.units[n - 2]);
    const words = hundreds ? [unit(hundreds, "ein"), "hundert"] : [];
    if (rest >= 20) {
      if (rest % 10) words.push(unit(rest % 10, "ein"), "und");
      words.push(GERMAN.tens[Math.floor(rest / 10) - 2]);
    } else if (rest >= 10) {
      words.push(GERMAN.teens[rest - 10]);
    } else if (rest) {
      words.push(unit(rest, "eins"));
    }
    return words;
  }

  /** Spell a number in English, as the targets of minattn.tasks.number_words. */
  function englishWords(number) {
    checkNumber(number);
    const words = [];
    for (const { group, scale } of groupsOf(number)) {
      const hundreds = Math.floor(group / 100);
      const rest = group % 100;
      if (hundreds) words.push(ENGLISH.small[hundreds - 1], "hundred");
      if (rest && (hundreds || (!scale && words.length))) words.push("and");
      if (rest >= 20) words.push(ENGLISH.tens[Math.floor(rest / 10) - 2]);
      const last = rest < 20 ? rest : rest % 10;
      if (last) words.push(ENGLISH.small[last - 1]);
      if (scale) words.push(ENGLISH.scales[scale]);
    }
    return words;
  }

  // What a reader may type, without capitals, umlauts (ü or ue) and ß (or ss), and what it says.
  const plain = (word) =>
    word.toLowerCase().replace(/oe/g, "ö").replace(/ue/g, "ü").replace(/ß/g, "ss").replace(/\u00ad/g, "");
  const SAYS = new Map([
    ...["ein", "eins", "eine"].map((word) => [word, { kind: "unit", number: 1, word }]),
    ...GERMAN.units.map((word, i) => [plain(word), { kind: "unit", number: i + 2 }]),
    ...GERMAN.teens.map((word, i) => [plain(word), { kind: "teen", number: i + 10 }]),
    ...GERMAN.tens.map((word, i) => [plain(word), { kind: "tens", number: 10 * (i + 2) }]),
    ["hundert", { kind: "hundred", number: 100 }],
    ["und", { kind: "and" }],
    ...GERMAN.scales.flatMap((forms, scale) => {
      const says = { kind: "scale", number: 1000 ** scale, scale };
      return forms.map((word, i) => [plain(word), { ...says, many: i === 1 }]);
    }),
  ]);
  const FORMS = [...SAYS.keys()].sort((a, b) => b.length - a.length); // longest first
  const LONGEST = 300; // signs: more than any number word has, with spaces

  /**
   * Read a number that somebody typed: digits, with or without separators, or German words, together or
   * apart. Anything else gives an Error that says what may be typed.
   */
  function readGerman(text) {
    const typed = String(text).normalize("NFC").trim();
    if (!typed || typed.length > LONGEST) throw new Error(ADVICE);
    const number = /\d/.test(typed) ? readDigits(typed) : readWords(typed);
    checkNumber(number);
    return number;
  }

  function readDigits(typed) {
    if (/^\d+$/.test(typed)) return Number(typed);
    // Groups of three, always with the same sign between them: space, point, comma, apostrophe.
    const grouped = /^\d{1,3}(?:([\s.,'’_])\d{3})(?:\1\d{3})*$/;
    if (grouped.test(typed)) return Number(typed.replace(/\D/g, ""));
    throw new Error(`“${short(typed)}” is not a whole number in digits. ${ADVICE}`);
  }

  const short = (text) => (text.length > 30 ? `${text.slice(0, 30)}…` : text);

  /** Cut what was typed into morphemes: the longest that lets the rest be read, and none across a space. */
  function morphemes(typed) {
    return plain(typed).split(/[\s\-\u2010-\u2013]+/).filter(Boolean).flatMap((piece) => {
      // "eineMilliardeneun": after "Milliarden" nothing fits, so it is "Milliarde" and "neun".
      const deadEnds = new Set();
      const cut = (start) => {
        if (start === piece.length) return [];
        for (const text of FORMS) {
          const end = start + text.length;
          const rest = piece.startsWith(text, start) && !deadEnds.has(end) ? cut(end) : null;
          if (rest) return [{ text, ...SAYS.get(text) }, ...rest];
        }
        deadEnds.add(start);
        return null;
      };
      const found = cut(0);
      if (found) return found;
      const unread = piece.slice(Math.max(...deadEnds));
      throw new Error(`No number word of this book begins with “${short(unread)}”. ${ADVICE}`);
    });
  }

  /**
   * Read words by the grammar of German numbers, with three freedoms: "hundert" and "tausend" may stand
   * alone, "und" may stand behind them, and "ein" may stand where the book has "eins".
   */
  function readWords(typed) {
    const words = morphemes(typed);
    let next = 0;
    const at = (kind, ahead = 0) => (words[next + ahead]?.kind === kind ? words[next + ahead] : null);
    const skipAnd = (...kinds) => {
      if (at("and") && kinds.some((kind) => at(kind, 1))) next++;
    };

    function belowHundred() {
      if (at("unit") && at("and", 1) && at("tens", 2)) {
        if (["eins", "eine"].includes(at("unit").word)) return 0; // it is "ein und zwanzig"
        next += 3;
        return words[next - 3].number + words[next - 1].number;
      }
      return at("unit") || at("teen") || at("tens") ? words[next++].number : 0;
    }

    function belowThousand() {
      if (!at("hundred") && !(at("unit") && at("hundred", 1))) return belowHundred();
      const hundreds = at("unit") ? words[next++].number : 1;
      next++;
      skipAnd("unit", "teen", "tens");
      return 100 * hundreds + belowHundred();
    }

    let total = 0;
    let below = 4; // scales come once, the largest first
    for (;;) {
      const start = next;
      if (total) skipAnd("unit", "teen", "tens", "hundred", "scale");
      let group = belowThousand();
      const scale = at("scale");
      if (scale && !group && scale.scale === 1) group = 1;
      if (!group || (scale && scale.scale >= below)) {
        next = start;
        break;
      }
      if (scale?.scale > 1 && scale.many === (group === 1)) break;
      total += group * (scale?.number ?? 1);
      if (!scale) break;
      below = scale.scale;
      next++;
    }
    if (total && next === words.length) return total;
    const wrong = words[Math.min(next, words.length - 1)].text;
    throw new Error(`“${wrong}” does not fit there, as this book writes numbers. ${ADVICE}`);
  }

  Object.assign(minattn, {
    weights: minattn.weights ?? {},
    maps: minattn.maps ?? {},
    clips: minattn.clips ?? {},
    softmax,
    attend,
    sinusoidal,
    makeModel,
    loadModel,
    loadMaps,
    loadClips,
    germanWords,
    englishWords,
    readGerman,
  });
})();
