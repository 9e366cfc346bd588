// Attention for the live places, as minattn.dot_product has it: softmax, attend, and the vectors under them.
//
// Plain JavaScript, in one namespace: each file of the engine adds to window.minattn, under the names that the
// package has, and tests/page/test_live.py holds both to the same numbers. A vector is an array of numbers,
// plain or typed, a matrix an array of rows. There are no batches: one sequence at a time, so nothing is padded.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  // ---- Vectors -----------------------------------------------------------------------------------

  // Loops, and not the methods of arrays: on these all the time is spent.

  function add(a, b) {
    const sum = new Array(a.length);
    for (let i = 0; i < a.length; i++) sum[i] = a[i] + b[i];
    return sum;
  }

  function dot(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  // ---- Attention ---------------------------------------------------------------------------------

  /** Turn scores into weights that sum to one. A row of nothing but -Infinity gives zeros. */
  function softmax(row) {
    let [largest, total] = [-Infinity, 0];
    for (let j = 0; j < row.length; j++) if (row[j] > largest) largest = row[j];
    const weights = new Array(row.length).fill(0);
    if (largest === -Infinity) return weights;
    for (let j = 0; j < row.length; j++) {
      weights[j] = Math.exp(row[j] - largest); // at most 1: nothing overflows
      total += weights[j];
    }
    for (let j = 0; j < row.length; j++) weights[j] /= total;
    return weights;
  }

  /** Mix the values, one mixture for each row of weights. */
  function weightedSum(weights, value) {
    const width = value[0]?.length ?? 0;
    return weights.map((row) => {
      const output = new Array(width).fill(0);
      for (let j = 0; j < row.length; j++) {
        for (let i = 0; i < width; i++) output[i] += row[j] * value[j][i];
      }
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

  Object.assign(minattn, { add, dot, sigmoid, softmax, weightedSum, attend, finish });
})();
