// What scrolls inside its own box must be reachable with the keyboard. The theme sees to code alone, and late.
const BOXES = "pre, mjx-container, .pst-scrollable-table-container, .output.text_html";

function makeReachable() {
  for (const box of document.querySelectorAll(BOXES)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

addEventListener("load", () => {
  // Formulas have a width only once they are set.
  const formulas = window.MathJax?.startup?.promise ?? Promise.resolve();
  formulas.then(makeReachable);
  addEventListener("resize", makeReachable);
});

// Live places: <div class="live" data-live="translator"></div>. Nothing of them is loaded before the reader asks.
const LIVE = new URL("live/", document.currentScript.src);
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
      element[css ? "href" : "src"] = new URL(name, LIVE);
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
async function openLive(place, state) {
  const kind = place.dataset.live;
  place.classList.add("opened"); // the room it needs, at once, and not when the files are there
  place.setAttribute("aria-busy", "true");
  try {
    await Promise.all(filesOf(kind).map(load));
    place.replaceChildren();
    minattn.widgets[kind](place, state);
    place.querySelector("input, select, button, [tabindex]")?.focus({ preventScroll: true });
  } catch (error) {
    filesOf(kind).forEach((name) => loaded.delete(name)); // the next click tries all again: one may need another
    place.classList.remove("opened");
    invite(place, `This cannot be shown here. ${error.message}`);
  }
  place.removeAttribute("aria-busy");
}

function invite(place, words = "") {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "live-invite";
  button.textContent = PLACES[place.dataset.live].invite;
  button.addEventListener("click", () => openLive(place));
  const message = document.createElement("p");
  message.className = "live-message";
  message.setAttribute("role", "status");
  place.replaceChildren(button, message);
  message.textContent = words; // once it is there, so that it is read out
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
    place.before(forPaper(place));
    invite(place);
  });
  // A link to a live place in a state: ?live=KIND&... opens the first of its kind. Each kind reads the rest itself.
  const state = new URLSearchParams(location.search);
  const place = places.find(({ dataset }) => dataset.live === state.get("live"));
  if (place) {
    place.scrollIntoView({ behavior: "instant" });
    openLive(place, state);
  }
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
