// Cutting a text into pieces for the live places, as minattn.subwords.Subwords does.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const START = "▁"; // stands in front of every word, so that the pieces can be put together again
  const WORD = new RegExp(`${START}?\\w+|${START}?[^\\w${START}]+|${START}`, "g");

  class Subwords {
    constructor(alphabet, merges) {
      this.alphabet = new Set(alphabet);
      this.ranks = new Map(merges.map(([a, b], rank) => [`${a} ${b}`, rank])); // no piece has a blank
      this.cuts = new Map(); // words come again and again
    }

    /** Cut a text at blanks, then every word into pieces; decode undoes it. */
    encode(text) {
      const strange = [...text].find((letter) => letter !== " " && (letter === START || !this.alphabet.has(letter)));
      if (strange) throw new Error(`“${strange}” is a sign that this model has never seen.`);
      return ` ${text}`.replaceAll(" ", START).match(WORD).flatMap((word) => this.cut(word));
    }

    /** Put the pieces together again: a mark is a blank, but for one that begins the text. */
    decode(pieces) {
      const text = pieces.join("");
      return (text.startsWith(START) ? text.slice(1) : text).replaceAll(START, " ");
    }

    cut(word) {
      if (!this.cuts.has(word)) this.cuts.set(word, this.joined([...word]));
      return this.cuts.get(word);
    }

    joined(pieces) {
      for (;;) {
        const pairs = pieces.slice(1).map((b, i) => `${pieces[i]} ${b}`);
        const rank = Math.min(...pairs.map((pair) => this.ranks.get(pair) ?? Infinity));
        if (rank === Infinity) return pieces;
        const first = pairs.find((pair) => this.ranks.get(pair) === rank);
        const made = [];
        for (const piece of pieces) {
          if (`${made.at(-1)} ${piece}` === first) made[made.length - 1] += piece;
          else made.push(piece);
        }
        pieces = made;
      }
    }
  }

  Object.assign(minattn, { START, Subwords });
})();
