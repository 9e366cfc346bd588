// One number in words and in digits for the live places, as minattn.tasks.two_notations writes it. Needs
// number_words.js.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const UNITS = "eins ein zwei drei vier fünf sechs sieben acht neun".split(" ");
  const TEENS = "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn".split(" ");
  const TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(" ");

  /** Find for each digit, counted from the right, the word that says it. */
  function wordsByPlace(words) {
    const found = new Map();
    let [thousands, following] = [0, ""];
    for (let index = words.length - 1; index >= 0; index--) {
      const word = words[index];
      if (word === "tausend") thousands = 3;
      else if (following === "hundert") found.set(thousands + 2, index);
      else if (UNITS.includes(word)) found.set(thousands, index);
      else if (TEENS.includes(word)) found.set(thousands, index).set(thousands + 1, index);
      else if (TENS.includes(word)) found.set(thousands + 1, index);
      following = word;
    }
    return found;
  }

  /**
   * Write a number in words and in digits, which are its own if none are given.
   *
   * Returns {tokens, saidBy}: for each token the place of the word that says this digit, or null.
   */
  function twoNotationsText(number, digits = String(number)) {
    const words = minattn.germanWords(number);
    const found = wordsByPlace(words);
    const said = [...digits].map((_, i) => found.get(digits.length - 1 - i) ?? null);
    return { tokens: [...words, "=", ...digits], saidBy: [...words.map(() => null), null, ...said] };
  }

  Object.assign(minattn, { twoNotationsText });
})();
