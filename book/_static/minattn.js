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
