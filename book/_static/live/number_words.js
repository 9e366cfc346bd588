// Number words for the live places: numbers in German and English, spelled as minattn.tasks.number_words spells them,
// and read as somebody may type them.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

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
   * Read a number that somebody typed: digits of any script, with or without separators, or German words,
   * together or apart. Anything else gives an Error that says what may be typed.
   */
  function readGerman(text) {
    const typed = minattn.elements.plainDigits(String(text).normalize("NFC").trim());
    if (!typed || typed.length > LONGEST) throw new Error(ADVICE);
    const number = /\d/.test(typed) ? readDigits(typed) : readWords(typed);
    checkNumber(number);
    return number;
  }

  function readDigits(typed) {
    if (/^\d+$/.test(typed)) return Number(typed);
    // Groups of three, always with the same sign between them: space, point, comma (also wide, also Arabic), apostrophe.
    const grouped = /^\d{1,3}(?:([\s.,．，٬،'’_])\d{3})(?:\1\d{3})*$/;
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

  Object.assign(minattn, { germanWords, englishWords, readGerman });
})();
