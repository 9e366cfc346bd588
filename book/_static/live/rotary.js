// Rotary positions for the live places, as minattn.positions.rotary and with_rotary have them. Needs layers.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const { MultiHeadAttention } = minattn;
  const BASE = 10000;

  /** Turn each pair of neighbouring features by an angle that grows with the place. */
  function rotary(row, place) {
    const turned = new Array(row.length);
    for (let i = 0; i < row.length; i += 2) {
      const angle = place * Math.exp(-Math.log(BASE) * (i / row.length));
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      turned[i] = row[i] * cos - row[i + 1] * sin;
      turned[i + 1] = row[i] * sin + row[i + 1] * cos;
    }
    return turned;
  }

  const turnAll = (heads, start) => heads.map((rows) => rows.map((row, i) => rotary(row, start + i)));

  /** Heads whose queries and keys are turned by their places. */
  class RotaryAttention extends MultiHeadAttention {
    queries(tokens, start) {
      return turnAll(super.queries(tokens), start);
    }

    keysValues(tokens, start = 0) {
      const { k, v } = super.keysValues(tokens);
      return { k: turnAll(k, start), v };
    }
  }

  Object.assign(minattn, { rotary, turnAll, RotaryAttention });
})();
