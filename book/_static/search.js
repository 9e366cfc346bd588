// The search: loaded by search.html alone. search-text.js, made by the build (_ext/minattn_site/search.py), hands over
// the text of the book, place by place; each question reads all of it. A place is a section, a word of the glossary, a
// name of the package or a reference.
"use strict";

const WORDS = /[\p{L}\p{N}_]+(?:[.,]\p{N}+)*/gu;
const CHINESE = /\p{Script=Han}/u;
const LETTER = /[\p{L}\p{N}]/u;
const SHOWN = 20; // results at first
const LONG = 180; // letters of an excerpt
const KINDS = {
  code: "Code", output: "Output", picture: "Picture", claim: "Claim", formula: "Formula", error: "Error message",
  folded: "In a hint, an answer or a solution, which is folded",
};
// What a word is worth in a heading and in the title of the page, where it is worth at most 2.2 in the text; and then,
// for all words together: what was asked is the heading, begins it, stands in it, stands in the text, in the same order.
const WORTH = { heading: 4, title: 1, exact: 8, begins: 4, inside: 3, told: 1.5, pairs: 1.5 };

// Letters as they are compared: full-width ones are as others, and an accent may be a sign of its own.
const plain = (text) => text.normalize("NFKC").toLowerCase();
// "self attention" and "self-attention" are one name; self_attention is one of the package.
const unjoined = (text) => text.replace(/(?<=[\p{L}\p{N}])[-\u2010](?=[\p{L}\p{N}])/gu, " ");

const TEXT = new URL("search-text.js", document.currentScript.src);

const places = [];
let meanLength = 1;
let reading;

// The text is loaded for the first question: it weighs more than the rest of the page.
function read() {
  reading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = TEXT;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  return reading;
}

function minattnSearch(pages) {
  for (const [page, ...records] of pages) {
    records.forEach(([anchor, heading, words, ...others], index) => {
      const pieces = [["", words, ""], ...others].filter(([, text]) => text);
      places.push({
        page, anchor, heading, pieces, title: records[0][1], top: index === 0,
        low: pieces.map(([, text]) => plain(text)).join("\n"),
        lowHeading: plain(heading), lowTitle: plain(records[0][1]),
      });
    });
  }
  meanLength = places.reduce((sum, place) => sum + place.low.length, 0) / places.length;
}

// What was asked, as words; Chinese has no spaces, and goes by pairs of its letters.
function termsOf(question) {
  const found = [];
  for (const [word] of question.toLowerCase().matchAll(WORDS)) {
    if (CHINESE.test(word) && word.length > 2) {
      for (let at = 0; at + 2 <= word.length; at++) found.push(word.slice(at, at + 2));
    } else found.push(word);
  }
  return [...new Set(found)].slice(0, 24);
}

// How often a word stands in a text: itself counts 1, a longer word that begins with it a third.
function count(text, term) {
  let sum = 0;
  for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
    if (CHINESE.test(term)) sum += 1;
    else if (at === 0 || !LETTER.test(text[at - 1])) {
      const after = text[at + term.length];
      if (after === undefined || !LETTER.test(after)) sum += 1;
      else if (term.length > 2) sum += 0.3;
    }
  }
  return sum;
}

// The word, or what is left of it without the ending of a plural or a verb.
function counted(text, term) {
  const stem = term.replace(/(?:ies|es|s|ing|ed)$/, "");
  return count(text, term) || (stem !== term && stem.length > 3 ? count(text, stem) / 2 : 0);
}

// What a heading names: without the number of a chapter, and a word of the glossary in both languages.
function namesOf(heading) {
  const [, name, chinese = ""] = heading.match(/^(?:\d+\. )?(.*?)(?: \((\p{Script=Han}.*)\))?$/u);
  return [name, chinese];
}

function find(question) {
  const asked = plain(question).replace(/["“”„]/g, "").replace(/\s+/g, " ").trim();
  const terms = termsOf(asked);
  if (!terms.length) return [];
  const weights = terms.map(() => 0);
  const hits = [];
  for (const place of places) {
    const inText = terms.map((term) => counted(place.low, term));
    const inHeading = terms.map((term) => Math.min(1, counted(place.lowHeading, term)));
    const any = terms.map((_, i) => inText[i] > 0 || inHeading[i] > 0);
    any.forEach((there, i) => { weights[i] += there; });
    if (any.some(Boolean)) hits.push({ place, inText, inHeading, any });
  }
  const rare = weights.map((n) => Math.log(1 + (places.length - n + 0.5) / (n + 0.5)));
  const all = rare.reduce((sum, weight) => sum + weight, 0);
  const pairs = terms.slice(1).map((term, i) => `${terms[i]} ${term}`);
  for (const hit of hits) {
    const { place } = hit;
    const dampened = 1.2 * (0.6 + 0.4 * place.low.length / meanLength);
    const inShort = WORTH.heading / Math.max(1, place.lowHeading.length / 40) ** 0.5;
    let score = 0, covered = 0;
    terms.forEach((term, i) => {
      const inTitle = place.top ? 0 : Math.min(1, counted(place.lowTitle, term));
      score += rare[i] * (2.2 * hit.inText[i] / (hit.inText[i] + dampened)
        + inShort * hit.inHeading[i] + WORTH.title * inTitle);
      if (hit.any[i] || inTitle) covered += rare[i];
    });
    hit.share = covered / all;
    hit.score = score * hit.share ** 3;
  }
  hits.sort((a, b) => b.score - a.score);
  // The order of the words, for those that have a chance.
  const inOrder = unjoined(asked);
  for (const hit of hits.slice(0, 100)) {
    const { place } = hit;
    const heading = unjoined(place.lowHeading);
    const [bare, chinese] = namesOf(heading);
    let worth = 0;
    if (bare === inOrder || chinese === inOrder) worth += WORTH.exact + (place.top ? 1 : 0);
    else if (count(heading, inOrder) >= 1) worth += bare.startsWith(inOrder) ? WORTH.begins : WORTH.inside;
    if (pairs.length) {
      const flat = place.low.match(WORDS)?.join(" ") ?? "";
      worth += count(place.low, asked) ? WORTH.told : 0;
      worth += WORTH.pairs * pairs.filter((pair) => count(flat, pair)).length / pairs.length;
    }
    hit.score += worth * all;
  }
  // Where some places have all of the words, one that has half of them is none.
  const most = Math.max(0, ...hits.map((hit) => hit.share));
  return hits.filter((hit) => hit.share > 0.6 * most).sort((a, b) => b.score - a.score)
    .map(({ place }) => ({ place, terms, asked }));
}

// The piece of a place in which most of the words stand, best as they were asked for.
function bestPiece({ place, terms, asked }) {
  let best = place.pieces[0] ?? ["", "", ""], most = 0;
  for (const piece of place.pieces) {
    const text = plain(piece[1]);
    let worth = terms.filter((term) => counted(text, term)).length + (count(text, asked) ? terms.length : 0);
    if (piece[0] === "claim") worth += 0.5; // before the code that makes it
    if (piece[0] === "folded") worth /= 2;
    if (worth > most) [best, most] = [piece, worth];
  }
  return best;
}

// An excerpt around the words, in which they are marked.
function excerpt(text, terms, asked) {
  const low = text.toLowerCase();
  const spots = [];
  for (const term of terms) {
    const wanted = low.includes(term) ? term : term.replace(/(?:ies|es|s|ing|ed)$/, "");
    for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, at + wanted.length)) {
      if (at === 0 || CHINESE.test(wanted) || !LETTER.test(low[at - 1])) spots.push([at, at + wanted.length, term]);
    }
  }
  spots.sort((a, b) => a[0] - b[0]);
  const within = (from) => new Set(spots.filter(([a, b]) => a >= from && b <= from + LONG).map((spot) => spot[2])).size;
  let from = low.indexOf(asked);
  if (from < 0) from = spots.reduce((best, [a]) => (within(a) > within(best) ? a : best), spots[0]?.[0] ?? 0);
  let begin = Math.max(0, from - 40);
  if (begin) begin = text.indexOf(" ", begin) + 1 || begin;
  let end = Math.min(text.length, begin + LONG);
  if (end < text.length) end = Math.max(text.lastIndexOf(" ", end), from + 1);
  const line = document.createElement("p");
  line.append(begin ? "… " : "");
  let at = begin;
  for (const [a, b] of spots) {
    if (a < at || b > end) continue;
    const mark = document.createElement("mark");
    mark.textContent = text.slice(a, b);
    line.append(text.slice(at, a), mark);
    at = b;
  }
  line.append(text.slice(at, end), end < text.length ? " …" : "");
  return line;
}

function resultOf(hit) {
  const { place } = hit;
  const [kind, text, anchor] = bestPiece(hit);
  const item = document.createElement("li");
  const link = document.createElement("a");
  const root = document.documentElement.dataset.content_root;
  link.href = `${root}${place.page}.html${place.top && !anchor ? "" : `#${encodeURIComponent(anchor || place.anchor)}`}`;
  link.textContent = place.top ? place.title : `${place.title} › ${place.heading}`;
  item.append(link);
  if (kind) {
    const word = document.createElement("span");
    word.className = "search-kind";
    word.textContent = KINDS[kind];
    item.append(" ", word);
  }
  if (kind !== "folded" && text) item.append(excerpt(text, hit.terms, hit.asked));
  return item;
}

// The word of a heading that is most like what was typed: by the pairs of letters that they share.
function likely(question) {
  const pairs = (word) => new Set([...word].slice(1).map((letter, i) => word[i] + letter));
  const asked = pairs(question);
  const like = (word) => {
    const own = pairs(word);
    return 2 * [...own].filter((pair) => asked.has(pair)).length / (own.size + asked.size);
  };
  const names = places.flatMap((place) => namesOf(place.lowHeading));
  const words = [...new Set(names.flatMap((name) => [name, ...(name.match(WORDS) ?? [])]))];
  const [best, ...others] = words.map((word) => [like(word), word]).filter(([much]) => much > 0.55)
    .sort((a, b) => b[0] - a[0]).slice(0, 3);
  return best ? [best, ...others.filter(([much]) => much > 0.9 * best[0])].map(([, word]) => word) : [];
}

function start() {
  const field = document.querySelector(".bd-search-container input[type=search]");
  const list = document.getElementById("search-results");
  const said = document.getElementById("search-said");
  const more = document.getElementById("search-more");
  const address = (question) => `?${new URLSearchParams({ q: question })}`;

  function say(question, hits) {
    if (!question) {
      said.textContent = "A word, a formula, an error message, the name of a function, an exercise: all of the book is searched.";
    } else if (hits.length) {
      said.textContent = hits.length === 1 ? "One place" : `${hits.length} places`;
    } else {
      said.textContent = `Nothing in the book fits “${question}”. `;
      const words = likely(plain(question));
      said.append(words.length ? "Did you mean " : "Try fewer words, or another name for the same thing. ");
      words.forEach((word, i) => {
        const link = document.createElement("a");
        link.href = address(word);
        link.textContent = word;
        said.append(i ? (i === words.length - 1 ? " or " : ", ") : "", link);
      });
      const glossary = document.createElement("a");
      glossary.href = `${document.documentElement.dataset.content_root}book/glossary.html`;
      glossary.textContent = "glossary";
      said.append(words.length ? "? " : "", "The ", glossary, " lists the terms of the book.");
    }
  }

  async function show() {
    const question = field.value.trim();
    if (question && !places.length) {
      said.textContent = "Reading the book …";
      try {
        await read();
      } catch {
        said.textContent = `The file ${TEXT.pathname.split("/").at(-1)} is missing.`;
        return;
      }
      if (question !== field.value.trim()) return; // what was typed meanwhile is shown by itself
    }
    const hits = find(question);
    say(question, hits);
    list.replaceChildren(...hits.slice(0, SHOWN).map(resultOf));
    more.hidden = hits.length <= SHOWN;
    more.textContent = `Show ${Math.min(hits.length - SHOWN, 80)} more`;
    more.onclick = () => {
      const next = hits.slice(SHOWN, SHOWN + 80).map(resultOf);
      list.append(...next);
      more.hidden = true;
      next[0].querySelector("a").focus();
    };
  }

  let waiting;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      history.replaceState(null, "", address(field.value));
      show();
    }, 150);
  });
  field.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    history.replaceState(null, "", address(field.value));
    await show();
    list.querySelector("a")?.focus();
  });
  // Arrows go from the field to the results, through them and back.
  document.querySelector(".bd-search-container").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const stops = [field, ...list.querySelectorAll("a")];
    const next = stops[stops.indexOf(document.activeElement) + step];
    if (!step || !next || !stops.includes(document.activeElement)) return;
    event.preventDefault();
    next.focus();
  });

  field.value = new URLSearchParams(location.search).get("q") ?? "";
  show();
  field.focus();
}

start();
