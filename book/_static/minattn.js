// Who leaves the colours to the system gets the system's from the first: the theme begins with those of the last visit,
// and sees that night has come only once the page is there.
if (!["light", "dark"].includes(document.documentElement.dataset.mode)) {
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

// What is chosen in one window holds in all that are open.
addEventListener("storage", ({ key, newValue }) => {
  if (["mode", "theme"].includes(key) && newValue) document.documentElement.dataset[key] = newValue;
});

// What scrolls inside its own box must be reachable with the keyboard, and nothing else that does nothing. The theme
// sees to code alone, late, and takes a pixel that was rounded for one that can be scrolled.
const BOXES = "pre, mjx-container, .pst-scrollable-table-container, .cell_output .output";

function settleTabStop(box) {
  box.classList.remove("fits");
  const { overflowX, overflowY } = getComputedStyle(box);
  const may = (overflow) => overflow === "auto" || overflow === "scroll";
  const scrolls = (may(overflowX) && box.scrollWidth > box.clientWidth + 1) ||
    (may(overflowY) && box.scrollHeight > box.clientHeight + 1);
  box.classList.toggle("fits", !scrolls && (may(overflowX) || may(overflowY)));
  const isStop = box.getAttribute("tabindex") === "0";
  if (isStop === scrolls) return; // to write the same again would count as a change, without end
  if (isStop) box.removeAttribute("tabindex");
  else box.tabIndex = 0;
}

addEventListener("load", async () => {
  await window.MathJax?.startup?.promise; // formulas have a width only once they are set
  const sizes = new ResizeObserver((changes) => changes.forEach(({ target }) => settleTabStop(target)));
  const boxes = document.querySelectorAll(BOXES);
  boxes.forEach((box) => sizes.observe(box)); // in a fold, too, once it opens
  // A font that comes late changes what is in a box, and not the box.
  document.fonts.addEventListener("loadingdone", () => boxes.forEach(settleTabStop));
  new MutationObserver((changes) => { // the theme's own judgement
    for (const { target } of changes) if (target.matches(BOXES)) settleTabStop(target);
  }).observe(document.body, { subtree: true, attributeFilter: ["tabindex"] });
});

// The sidebars are shown and hidden by two boxes that are not seen. On a wide window the first one, checked, hides the
// contents; on a narrow one either opens a drawer.
const WIDE = matchMedia("(min-width: 960px)");
const boxOf = (side) => document.getElementById(`pst-${side}-sidebar-checkbox`);

// A browser that keeps nothing, or nothing for pages opened as files, throws.
function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch { /* then the next page does not know */ }
}

function settleContents() {
  const box = boxOf("primary");
  if (box) box.checked = WIDE.matches && remembered("contents") === "hidden";
  return box;
}

const untilBody = new MutationObserver(() => { // before the contents are drawn, so that they do not come and go
  if (settleContents()) untilBody.disconnect();
});
untilBody.observe(document, { childList: true, subtree: true });
WIDE.addEventListener("change", settleContents);
addEventListener("pageshow", settleContents); // a browser that goes back brings the old boxes

addEventListener("DOMContentLoaded", () => {
  untilBody.disconnect();
  document.querySelector(".primary-toggle")?.addEventListener("click", () => {
    setTimeout(() => { // once the theme has seen to it
      if (WIDE.matches) remember("contents", boxOf("primary").checked ? "hidden" : "shown");
    });
  });
  for (const side of ["primary", "secondary"]) {
    document.querySelector(`.bd-sidebar-${side}`)?.addEventListener("click", ({ target }) => {
      if (!target.closest("a") || (side === "primary" && WIDE.matches)) return;
      boxOf(side).checked = false; // a drawer has done its work once an entry is chosen
    });
  }
});

// The theme's search over the page: closed, it gives the focus back to what had it. And Escape takes tooltips away.
addEventListener("DOMContentLoaded", () => {
  const search = document.querySelector(".search-button__wrapper");
  let before;
  search?.addEventListener("focusin", ({ relatedTarget }) => { before = relatedTarget ?? before; });
  const closed = new MutationObserver(() => {
    if (search.classList.contains("show")) return;
    before?.focus({ preventScroll: true });
    before = null;
  });
  if (search) closed.observe(search, { attributeFilter: ["class"] });
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const named of document.querySelectorAll("[data-bs-toggle=tooltip][aria-describedby]")) {
    window.bootstrap?.Tooltip.getInstance(named)?.hide();
    if (named === document.activeElement) event.stopPropagation(); // the next one is for the drawer it is in
  }
}, true);

// Live places: <div class="live" data-live="translator"></div>. Nothing of them is loaded before the reader asks.
// All of it is asked for with the version of this script, which changes with each of these files.
const HERE = new URL(document.currentScript.src);
const LIVE = new URL("live/", HERE);
// What each kind says on its button, and which files of the engine it needs, in their order; KIND.js and KIND.css
// come after them.
const PLACES = {
  translator: {
    invite: "Translate a number of your own",
    needs: [
      "attention.js", "layers.js", "translators.js", "loading.js", "number_words.js", "decoding.js", "weight_maps.js",
      "translator_folds.js",
    ],
  },
  beams: {
    invite: "Watch a beam search on a number of your own",
    needs: ["attention.js", "layers.js", "translators.js", "loading.js", "number_words.js", "decoding.js"],
  },
  playground: {
    invite: "Move queries and keys yourself",
    needs: ["attention.js"],
  },
  maps: {
    invite: "Look at any token's row",
    needs: ["loading.js"],
  },
  speech: {
    invite: "Say numbers, and move where it listens",
    needs: ["attention.js", "layers.js", "loading.js", "speech_model.js"],
  },
  scene: {
    invite: "Make a scene, and watch where the model looks",
    needs: ["attention.js", "layers.js", "convolutions.js", "loading.js", "scene_model.js"],
  },
  clip: {
    invite: "Find pictures with a sentence of your own",
    needs: ["attention.js", "layers.js", "convolutions.js", "loading.js", "scene_model.js", "clip_model.js"],
  },
  drawing: {
    invite: "Let it draw what you say",
    needs: [
      "attention.js", "layers.js", "convolutions.js", "loading.js", "decoding.js", "clip_model.js", "drawing_model.js",
    ],
  },
  gpt: {
    invite: "Begin a function, and see what comes next",
    needs: [
      "attention.js", "layers.js", "rotary.js", "subwords.js", "decoding.js", "loading.js", "language.css", "gpt_model.js",
    ],
  },
  bert: {
    invite: "Hide words or digits, and see what it says",
    needs: [
      "attention.js", "layers.js", "rotary.js", "loading.js", "number_words.js", "two_notations.js", "language.css",
      "bert_model.js",
    ],
  },
};
const filesOf = (kind) => ["live.css", `${kind}.css`, "elements.js", ...PLACES[kind].needs, `${kind}.js`];
const loaded = new Map();

function load(name) {
  if (!loaded.has(name)) {
    loaded.set(name, new Promise((resolve, reject) => {
      const css = name.endsWith(".css");
      const element = document.createElement(css ? "link" : "script");
      if (css) element.rel = "stylesheet";
      else element.async = false; // all come at once, and run in the order in which they were asked for
      element[css ? "href" : "src"] = new URL(name + HERE.search, LIVE);
      element.onload = resolve;
      element.onerror = () => {
        element.remove();
        reject(new Error(`The file ${name} is missing.`));
      };
      document.head.append(element);
    }));
  }
  return loaded.get(name);
}

/** state: what a link asks for, as URLSearchParams; nothing after a click. */
async function openLive(place, state, takesFocus = true) {
  if (place.classList.contains("opened")) return; // it is on its way
  const kind = place.dataset.live;
  place.classList.add("opened"); // the room it needs, at once, and not when the files are there
  tell(place, "Loading. On a slow network this takes some seconds.");
  try {
    await Promise.all(filesOf(kind).map(load));
    const { activeElement } = document;
    const isElsewhere = activeElement !== document.body && !place.contains(activeElement);
    place.replaceChildren();
    minattn.widgets[kind](place, state);
    if (takesFocus && !isElsewhere) minattn.elements.firstOf(place)?.focus({ preventScroll: true });
  } catch (error) {
    filesOf(kind).forEach((name) => loaded.delete(name)); // the next click tries all again: one may need another
    place.classList.remove("opened");
    const isHere = place.contains(document.activeElement);
    invite(place);
    if (isHere) place.querySelector("button").focus({ preventScroll: true });
    tell(place, `This could not be loaded. ${error.message} Look whether you are connected, and press the button ` +
      "again. If you read a copy of the book, get the whole of it: the file belongs to it.");
  }
}

function tell(place, words) {
  place.querySelector(".live-message").textContent = words;
}

function invite(place) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "live-invite";
  button.textContent = PLACES[place.dataset.live].invite;
  button.addEventListener("click", () => openLive(place));
  const message = document.createElement("p"); // empty, so that what it says later is read out
  message.className = "live-message";
  message.setAttribute("role", "status");
  place.replaceChildren(button, message);
}

/** What stands in a place is for readers without scripts, and for paper, where it stays. */
function forPaper(place) {
  const paper = document.createElement("div");
  paper.className = "live-paper";
  paper.append(...place.childNodes);
  return paper;
}

addEventListener("DOMContentLoaded", () => {
  const places = [...document.querySelectorAll(".live[data-live]")];
  places.forEach((place) => {
    if (!place.previousElementSibling?.matches(".live-paper")) place.before(forPaper(place));
    place.classList.remove("opened"); // a page that was saved from a browser has what our scripts made
    invite(place);
  });
  // A link to a live place in a state: ?live=KIND&... opens the first of its kind. Each kind reads the rest itself.
  // So does going back to one that was open.
  const [{ type } = {}] = performance.getEntriesByType("navigation");
  const left = type === "back_forward" ? history.state?.live : undefined;
  const state = new URLSearchParams(left ?? location.search);
  const place = places.find(({ dataset }) => dataset.live === state.get("live"));
  if (!place) return;
  if (!left) place.scrollIntoView({ behavior: "instant" }); // the browser knows where the reader was
  openLive(place, state, !left);
});

// A browser that keeps no pages as they were, or not those opened as files, keeps this: the place in the state that its
// link would bring back.
addEventListener("pagehide", () => {
  const place = document.querySelector(".live.opened");
  if (!place) return;
  const link = place.link?.() ?? place.querySelector("a[href*='?live=']")?.href;
  history.replaceState({ live: link ? new URL(link).search : `?live=${place.dataset.live}` }, "");
});

// Choices: <div class="choice"> holds a question and a fold for each choice. What the reader chose is marked; what opens
// by itself, on paper or for a search, is not.
function makeChoice(group, number) {
  const question = group.querySelector(":scope > p");
  question.id ||= `choice-${number + 1}`;
  group.setAttribute("role", "group");
  group.setAttribute("aria-labelledby", question.id);
  const choices = [...group.querySelectorAll(":scope > details")];
  for (const choice of choices) {
    const summary = choice.querySelector("summary");
    summary.addEventListener("click", () => { // by keyboard as well
      const top = summary.getBoundingClientRect().top;
      for (const other of choices) if (other !== choice) other.open = false;
      requestAnimationFrame(() => { // once this one is open too: it stays where it was
        scrollBy({ top: summary.getBoundingClientRect().top - top, behavior: "instant" });
      });
      if (choice.classList.contains("chosen")) return;
      choice.classList.add("chosen");
      const word = document.createElement("span");
      word.className = "choice-word";
      word.textContent = choice.classList.contains("right") ? "right" : "not quite";
      summary.append(" ", word);
    });
  }
}

addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("div.choice").forEach(makeChoice);
});

// Sounds: one at a time. Who starts one stops the other.
addEventListener("play", ({ target }) => {
  for (const sound of document.querySelectorAll("audio")) if (sound !== target) sound.pause();
}, true);

// Places: what a link leads to may stand in a fold, such as a line of closed checks. Not every browser opens it.
function openTarget() {
  let name = location.hash.slice(1);
  try {
    name = decodeURIComponent(name);
  } catch { // a lone % is no code: the name as it is
  }
  const target = document.getElementById(name);
  const closed = [];
  for (let part = target; part; part = part.parentElement) if (part.matches("details:not([open])")) closed.push(part);
  for (const fold of closed) fold.open = true;
  if (closed.length) target.scrollIntoView();
}

addEventListener("DOMContentLoaded", openTarget);
addEventListener("hashchange", openTarget);

// The list of chapters: the theme scrolls it to where it was on the page before; this page may be out of sight there.
addEventListener("load", () => {
  const list = document.querySelector(".bd-sidebar-primary");
  const here = list?.querySelector("a.current");
  if (!here) return;
  const [seen, ours] = [list.getBoundingClientRect(), here.getBoundingClientRect()];
  if (ours.top < seen.top || ours.bottom > seen.bottom) list.scrollTop += ours.top - seen.top - seen.height / 2;
});

// Copying: a formula is drawn, and would be copied as nothing. It goes along as it is written in TeX.
addEventListener("copy", (event) => {
  const selection = getSelection();
  if (!selection.rangeCount || event.target.closest?.("input, textarea") || !globalThis.MathJax?.startup?.document) return;
  const written = new Map([...MathJax.startup.document.math].map((one) => [one.typesetRoot, one]));
  const drawn = [...document.querySelectorAll("mjx-container")].filter((one) => selection.containsNode(one, true));
  if (!drawn.length) return;
  const copy = document.createElement("div");
  const range = selection.getRangeAt(0);
  const { commonAncestorContainer: around } = range;
  const inside = (around.closest ? around : around.parentElement).closest("mjx-container");
  copy.append(inside ? inside.cloneNode(true) : range.cloneContents());
  copy.querySelectorAll("mjx-container").forEach((one, i) => {
    const { math, display } = written.get(drawn[i]);
    one.replaceWith(display ? `\n$$${math.trim()}$$\n` : `$${math.trim()}$`);
  });
  copy.querySelectorAll(".headerlink, .place-link").forEach((link) => link.remove());
  event.clipboardData.setData("text/html", copy.innerHTML);
  copy.style.cssText = "position: absolute; left: -99rem";
  document.body.append(copy); // only what is in the page knows its lines
  event.clipboardData.setData("text/plain", copy.innerText);
  copy.remove();
  event.preventDefault();
});

// Folds: the menu in the header (_ext/minattn_site/folds.py) opens all of a kind, or closes them if all are open. The
// choices are left alone: a reply is for the one who chose.
const FOLDS = {
  code: ".cell:not(.tag_hide-cell) > details.hide, details.checks",
  answers: ".tag_hide-cell > details.hide, article details:not(.hide, .checks, .choice > *)",
};

function nameFolds() {
  for (const [kind, folds] of Object.entries(FOLDS)) {
    const word = document.querySelector(`.btn-folds-${kind} .btn__text-container`);
    const there = [...document.querySelectorAll(folds)];
    word.closest("li").hidden = !there.length;
    const closed = there.some((fold) => !fold.open);
    word.textContent = word.textContent.replace(/Open|Close/, closed ? "Open" : "Close");
  }
}

function toggleFolds(kind) {
  const folds = [...document.querySelectorAll(FOLDS[kind])];
  const open = folds.some((fold) => !fold.open);
  // What the reader looks at stays where it is.
  const seen = [...document.querySelectorAll("article :is(h2, h3, p, figure)")]
    .find((part) => part.checkVisibility() && !part.closest("details") && part.getBoundingClientRect().bottom > 70);
  const top = seen?.getBoundingClientRect().top;
  for (const fold of folds) fold.open = open;
  if (seen) scrollBy({ top: seen.getBoundingClientRect().top - top, behavior: "instant" });
  nameFolds();
}

addEventListener("DOMContentLoaded", () => {
  document.querySelector(".dropdown-folds-buttons .dropdown-toggle")?.addEventListener("click", nameFolds);
});
