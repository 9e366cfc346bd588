// Getting words out of a translator, as minattn.decoding does: with a temperature, by drawing, and with beams.
// Needs attention.js and a translator of translators.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { softmax } = minattn;

  /** The probabilities that logits stand for when they are divided by a temperature first. */
  function tempered(logits, temperature) {
    const largest = Math.max(...logits);
    return softmax(logits.map((x) => (x - largest) / temperature)); // at most 0: no overflow
  }

  /** Draw an id with its probability; random gives a number from 0 to 1, without the 1. */
  function draw(probabilities, random = Math.random) {
    let left = random();
    const id = probabilities.findIndex((p) => (left -= p) < 0);
    return id >= 0 ? id : probabilities.indexOf(Math.max(...probabilities)); // what rounding left over
  }

  /** What the logarithm of a target's probability is divided by; length counts the end mark. */
  const lengthPenalty = (length, alpha) => ((5 + length) / 6) ** alpha;

  /**
   * Keep a few unfinished targets at every step, and go on with each in every way.
   *
   * nBeams: how many are kept. alpha: of the length penalty, by which they are ranked at every step.
   * Returns {source, beams, steps}. beams: the best first, each {words, logProbability, score, ended}; words has no
   * end mark. steps: for each step the candidates, the best first: one as above for each way to go on, with
   * {from, word, kept}. from is the place among the beams before that it goes on with; where that one had ended, it
   * stays as it is, and word is null.
   */
  function beamSearch(model, words, { nBeams = 4, alpha = 0, maxLength = 50 } = {}) {
    const memory = model.encode(words);
    const { tokens } = model.target;
    const scored = (beam) => {
      const length = beam.words.length + (beam.ended ? 1 : 0);
      return { ...beam, score: beam.logProbability / lengthPenalty(length, alpha) };
    };
    let beams = [{ words: [], logProbability: 0, score: 0, ended: false, state: model.start(memory), read: "<bos>" }];
    const steps = [];
    while (steps.length < maxLength && !beams.every(({ ended }) => ended)) {
      const candidates = beams.flatMap((beam, from) => {
        if (beam.ended) return [{ ...beam, from, word: null }];
        const { logits, state } = model.step(beam.read, beam.state, memory);
        const largest = Math.max(...logits);
        const total = largest + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - largest), 0));
        return tokens.map((word, id) => {
          const ended = word === "<eos>";
          const logProbability = beam.logProbability + logits[id] - total;
          const said = ended ? beam.words : [...beam.words, word];
          return scored({ words: said, logProbability, ended, state, read: word, from, word });
        });
      });
      candidates.sort((a, b) => b.score - a.score); // stable: of two that are equal, the earlier one
      candidates.forEach((candidate, i) => (candidate.kept = i < nBeams));
      beams = candidates.slice(0, nBeams);
      steps.push(candidates.map(({ state, read, ...told }) => told));
    }
    return { source: memory.tokens, beams: beams.map(({ state, read, ...told }) => told), steps };
  }

  Object.assign(minattn, { tempered, draw, lengthPenalty, beamSearch });
})();
