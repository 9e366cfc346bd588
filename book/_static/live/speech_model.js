// The listener of chapter 14: Listener of minattn.speech.listening; and what it hears, spoken and made into frames as
// minattn.tasks.voices and minattn.tasks.spoken_numbers do it. Needs attention.js, layers.js and loading.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { add, dot, softmax, weightedSum, Linear, LayerNorm, GRU, ATTENDS } = minattn;

  const RATE = 8000; // samples in a second
  const [WINDOW, HOP, N_MELS, FLOOR] = [256, 80, 40, 1e-3];
  const STRIDE = 8; // frames in a step of the memory
  const [BOS, EOS] = [1, 2];

  // ---- sound -------------------------------------------------------------------------------------

  const MU = 255;

  /** The recordings of a voice, by word, as the file of sounds has them: samples from -1 to 1. */
  function recordings({ lengths, codes }, words) {
    const bytes = Uint8Array.from(atob(codes), (sign) => sign.charCodeAt(0));
    const signed = new Int8Array(bytes.buffer);
    const level = (code) => Math.sign(code) * Math.expm1((Math.abs(code) / 127) * Math.log1p(MU)) / MU;
    let start = 0;
    return new Map(words.map((word, i) => {
      return [word, Float64Array.from(signed.subarray(start, (start += lengths[i])), level)];
    }));
  }

  /** Play a recording faster, and so higher; samples in between lie on straight lines. */
  function faster(clip, speed) {
    const n = Math.ceil((clip.length - 1 + 1e-9) / speed);
    return Float64Array.from({ length: n }, (_, i) => {
      const place = Math.min(i * speed, clip.length - 1);
      const k = Math.min(Math.floor(place), clip.length - 2);
      return clip[k] + (place - k) * (clip[k + 1] - clip[k]);
    });
  }

  /** Number i of a row of random numbers from 0 to 1, without the 1; the same seed gives the same row. */
  function uniform(seed, i) {
    let t = (seed + Math.imul(i, 0x6d2b79f5)) | 0;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Normal noise (Box and Muller). The package draws other noise from the same seed. */
  const normal = (seed, i) =>
    Math.sqrt(-2 * Math.log(1 - uniform(seed, 2 * i))) * Math.cos(2 * Math.PI * uniform(seed, 2 * i + 1));

  /**
   * Glue the recordings of words together: {sound, spans}, for each word its first sample and the one behind its last.
   * What an utterance is, minattn.tasks.spoken_numbers.Utterance says.
   */
  function speak({ words, speeds, gains, pauses, snr, seed }, clips) {
    const silent = (i) => Math.round(pauses[i] * RATE);
    const said = words.map((word, i) => faster(clips.get(word), speeds[i]).map((x) => gains[i] * x));
    const spans = [];
    let end = silent(0);
    said.forEach((clip, i) => {
      spans.push([end, end + clip.length]);
      end += clip.length + silent(i + 1);
    });
    const sound = new Float64Array(end);
    said.forEach((clip, i) => sound.set(clip, spans[i][0]));
    let [power, n] = [0, 0];
    for (const clip of said) {
      for (const x of clip) power += x * x;
      n += clip.length;
    }
    const level = Math.sqrt(power / n) * 10 ** (-snr / 20);
    for (let i = 0; i < end; i++) sound[i] += level * normal(seed, i);
    return { sound, spans };
  }

  // ---- frames ------------------------------------------------------------------------------------

  const linspace = (first, last, n) => Array.from({ length: n }, (_, i) => first + ((last - first) * i) / (n - 1));

  /** Of each band the frequencies it hears, from `first`, and how well: triangles on the mel scale. */
  const MEL_BANDS = (() => {
    const top = 2595 * Math.log10(1 + RATE / 2 / 700);
    const corners = linspace(0, top, N_MELS + 2).map((mel) => 700 * (10 ** (mel / 2595) - 1));
    const frequencies = linspace(0, RATE / 2, WINDOW / 2 + 1);
    const width = (i) => Math.max(corners[i + 1] - corners[i], RATE / WINDOW);
    return Array.from({ length: N_MELS }, (_, m) => {
      const rising = (f) => (f - corners[m + 1]) / width(m) + 1;
      const falling = (f) => (corners[m + 1] - f) / width(m + 1) + 1;
      const heights = frequencies.map((f) => Math.min(Math.max(Math.min(rising(f), falling(f)), 0), 1));
      const first = heights.findIndex((height) => height > 0);
      return { first, heights: heights.slice(first, heights.findLastIndex((height) => height > 0) + 1) };
    });
  })();

  const HANN = Float64Array.from({ length: WINDOW }, (_, n) => Math.sin((Math.PI * n) / WINDOW) ** 2);
  const COS = Float64Array.from({ length: WINDOW / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / WINDOW));
  const SIN = Float64Array.from({ length: WINDOW / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / WINDOW));
  const BITS = Math.log2(WINDOW);
  const REVERSED = Uint8Array.from({ length: WINDOW }, (_, n) => {
    let turned = 0;
    for (let bit = 0; bit < BITS; bit++) turned |= ((n >> bit) & 1) << (BITS - 1 - bit);
    return turned;
  });

  /** The power of 0 to WINDOW / 2 periods in a piece of WINDOW numbers: a fast Fourier transform (Cooley and Tukey). */
  function powerOf(piece) {
    const re = Float64Array.from(REVERSED, (n) => piece[n]);
    const im = new Float64Array(WINDOW);
    for (let half = 1; half < WINDOW; half *= 2) {
      const stride = WINDOW / 2 / half;
      for (let start = 0; start < WINDOW; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = start + k;
          const b = a + half;
          const c = COS[k * stride];
          const s = SIN[k * stride];
          const x = re[b] * c - im[b] * s;
          const y = re[b] * s + im[b] * c;
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
      }
    }
    return Float64Array.from({ length: WINDOW / 2 + 1 }, (_, f) => re[f] ** 2 + im[f] ** 2);
  }

  /** The log-mel spectrogram of a sound: a frame every 10 ms, of 40 numbers. */
  function logMel(sound) {
    const piece = new Float64Array(WINDOW);
    return Array.from({ length: Math.floor(sound.length / HOP) + 1 }, (_, j) => {
      for (let n = 0; n < WINDOW; n++) piece[n] = HANN[n] * (sound[HOP * j + n - WINDOW / 2] ?? 0);
      const power = powerOf(piece);
      return Float64Array.from(MEL_BANDS, ({ first, heights }) => {
        return Math.log(dot(heights, power.subarray(first)) + FLOOR);
      });
    });
  }

  // ---- the listener ------------------------------------------------------------------------------

  /** Give all numbers of an utterance mean 0 and deviation 1. */
  function normalise(frames) {
    const count = frames.length * frames[0].length;
    const sum = (of) => frames.reduce((total, frame) => frame.reduce((part, x) => part + of(x), total), 0);
    const mean = sum((x) => x) / count;
    const deviation = Math.max(Math.sqrt(sum((x) => (x - mean) ** 2) / count), 1e-5);
    return frames.map((frame) => frame.map((x) => (x - mean) / deviation));
  }

  /** The error function, to 2e-7 (Abramowitz and Stegun, 7.1.26). */
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return Math.sign(x) * (1 - sum * Math.exp(-x * x));
  }

  const gelu = (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));

  /** A convolution over a sequence of vectors, with zeros around it, which keeps every second one. */
  class HalvingConv1d {
    constructor(parameters) {
      const weight = parameters.get("weight"); // outputs, inputs, kernel
      this.bias = parameters.get("bias");
      this.kernel = weight[0][0].length;
      this.width = weight[0].length;
      // In the order in which the numbers under a kernel lie: vector by vector.
      this.rows = weight.map((inputs) => Float64Array.from(
        { length: this.kernel * this.width },
        (_, at) => inputs[at % this.width][Math.floor(at / this.width)]));
    }

    forward(sequence) {
      const { kernel, width, rows, bias } = this;
      const flat = new Float64Array((sequence.length + kernel - 1) * width);
      sequence.forEach((vector, i) => flat.set(vector, (i + (kernel - 1) / 2) * width));
      return Array.from({ length: Math.ceil(sequence.length / 2) }, (_, j) => {
        const from = 2 * j * width;
        const made = new Float64Array(rows.length);
        for (let o = 0; o < rows.length; o++) {
          const row = rows[o];
          let sum = bias[o];
          for (let i = 0; i < row.length; i++) sum += row[i] * flat[from + i];
          made[o] = sum;
        }
        return made;
      });
    }
  }

  /** Three convolutions, each of which halves the number of vectors, and a recurrent layer in both directions. */
  class SoundEncoder {
    constructor(parameters) {
      this.halve = [0, 1, 2].map((i) => new HalvingConv1d(parameters.within(`halve.${i}`)));
      this.norms = [0, 1, 2].map((i) => new LayerNorm(parameters.within(`norms.${i}`)));
      this.forwards = new GRU(parameters.within("gru"));
      this.backwards = new GRU(parameters.within("gru"), "_l0_reverse");
    }

    forward(frames) {
      let x = frames;
      this.halve.forEach((convolve, i) => {
        x = convolve.forward(x).map((vector) => this.norms[i].forward(vector).map(gelu));
      });
      const there = this.forwards.read(x);
      const back = this.backwards.read([...x].reverse()).reverse();
      return x.map((vector, k) => add(vector, [...there[k], ...back[k]]));
    }
  }

  /** Writes down spoken words: an encoder of sound, additive attention, and a recurrent decoder. */
  class Listener {
    constructor(parameters, { target }) {
      this.words = target; // by id
      this.encoder = new SoundEncoder(parameters.within("encoder"));
      this.attention = new ATTENDS.additive(parameters.within("attend"));
      this.embedding = parameters.get("embedding.weight");
      this.bridge = new Linear(parameters.within("bridge"));
      this.gru = new GRU(parameters.within("gru"));
      this.combine = new Linear(parameters.within("combine"));
      this.outProj = new Linear(parameters.within("out_proj"));
    }

    /** One state for each step of 80 ms. */
    encode(frames) {
      return this.encoder.forward(normalise(frames));
    }

    start(states) {
      const half = states[0].length / 2;
      return this.bridge.forward([...states.at(-1).slice(0, half), ...states[0].slice(half)]).map(Math.tanh);
    }

    /** Read the id of a word; weights are where to listen, if it is not to choose that itself. */
    step(id, before, states, weights) {
      const own = this.attention.attend([before], states, states).weights[0];
      const [context] = weightedSum([weights ?? own], states);
      const after = this.gru.step([...this.embedding[id], ...context], before);
      const logits = this.outProj.forward(this.combine.forward([...after, ...context]).map(Math.tanh));
      return { logits, own, weights: weights ?? own, state: after };
    }

    /**
     * Write what was heard, the likeliest word at every step. moved: a Map from the number of a word to the weights
     * that it is written with.
     *
     * Returns of each word {word, probability, own, weights}; the last is "<eos>" if it came to an end.
     */
    write(states, maxLength, moved = new Map()) {
      const written = [];
      let [id, state] = [BOS, this.start(states)];
      while (written.length < maxLength && id !== EOS) {
        const found = this.step(id, state, states, moved.get(written.length));
        const probabilities = softmax(found.logits);
        id = probabilities.indexOf(Math.max(...probabilities));
        state = found.state;
        written.push({
          word: this.words[id], probability: probabilities[id], own: found.own, weights: found.weights,
        });
      }
      return written;
    }
  }

  Object.assign(minattn, {
    speech: { RATE, HOP, N_MELS, STRIDE, EOS: "<eos>", recordings, speak, logMel, normal },
  });
  (minattn.kinds ??= {}).speech = Listener;
})();
