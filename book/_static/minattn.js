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
