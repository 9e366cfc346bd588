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
const INVITE = {
  translator: "Translate a number of your own",
  playground: "Move queries and keys yourself",
  maps: "Look at any token's row",
  listener: "Hear it, and watch where it attends",
};
const loaded = new Map();

function load(name) {
  if (!loaded.has(name)) {
    loaded.set(name, new Promise((resolve, reject) => {
      const css = name.endsWith(".css");
      const element = document.createElement(css ? "link" : "script");
      if (css) element.rel = "stylesheet";
      element[css ? "href" : "src"] = new URL(name, LIVE);
      element.onload = resolve;
      element.onerror = () => {
        loaded.delete(name); // the next click tries again
        element.remove();
        reject(new Error(`The file ${name} is missing.`));
      };
      document.head.append(element);
    }));
  }
  return loaded.get(name);
}

async function openLive(place) {
  const kind = place.dataset.live;
  place.classList.add("opened"); // the room it needs, at once, and not when the files are there
  place.setAttribute("aria-busy", "true");
  try {
    await Promise.all(["live.css", `${kind}.css`, "minattn-live.js", "elements.js"].map(load));
    await load(`${kind}.js`);
    place.replaceChildren();
    minattn.widgets[kind](place);
    place.querySelector("input, select, button, [tabindex]")?.focus({ preventScroll: true });
  } catch (error) {
    place.classList.remove("opened");
    invite(place, `This cannot be shown here. ${error.message}`);
  }
  place.removeAttribute("aria-busy");
}

function invite(place, words = "") {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "live-invite";
  button.textContent = INVITE[place.dataset.live];
  button.addEventListener("click", () => openLive(place));
  const message = document.createElement("p");
  message.className = "live-message";
  message.setAttribute("role", "status");
  place.replaceChildren(button, message);
  message.textContent = words; // once it is there, so that it is read out
}

addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".live[data-live]").forEach((place) => invite(place));
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

// Places: what a link leads to may stand in a fold, such as a line of closed checks. Not every browser opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const closed = [];
  for (let part = target; part; part = part.parentElement) if (part.matches("details:not([open])")) closed.push(part);
  for (const fold of closed) fold.open = true;
  if (closed.length) target.scrollIntoView();
}

addEventListener("DOMContentLoaded", openTarget);
addEventListener("hashchange", openTarget);

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
