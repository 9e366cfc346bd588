// What the live places have in common: making elements, the colours of weights, loading, and reading digits.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  // Eleven stops of viridis, the colours of all maps of weights in the book.
  const VIRIDIS = [
    [68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140],
    [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37],
  ];

  function viridis(weight) {
    const place = Math.min(Math.max(weight, 0), 1) * (VIRIDIS.length - 1);
    const i = Math.min(Math.floor(place), VIRIDIS.length - 2);
    return VIRIDIS[i].map((low, c) => Math.round(low + (place - i) * (VIRIDIS[i + 1][c] - low)));
  }

  function readableOn(colour) {
    const [r, g, b] = colour.map((c) => {
      const x = c / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    });
    const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    return luminance > 0.179 ? "#000" : "#fff"; // there black and white are equally readable
  }

  // ---- making elements -------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }
  const h = (tag, attributes, ...children) =>
    fill(document.createElement(tag), attributes, children);
  const s = (tag, attributes, ...children) =>
    fill(document.createElementNS(SVG, tag), attributes, children);
  const set = (node, attributes) => fill(node, attributes, []);
  /** The value of a slider beside it: to be seen only, for the slider says it to who listens. */
  const valueOf = (id) => h("output", { for: id, "aria-live": "off" });

  /**
   * Let the keyboard reach a box, by this name, while what it holds is too large and scrolls.
   *
   * It looks when the box or what it holds changes in size; what is returned looks now.
   */
  function reachable(box, name) {
    function settle() {
      const scrolls = box.scrollWidth > box.clientWidth + 1;
      for (const [key, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", name]]) {
        if (scrolls) box.setAttribute(key, value);
        else box.removeAttribute(key);
      }
    }
    const sizes = new ResizeObserver(settle);
    for (const part of [box, ...box.children]) sizes.observe(part);
    return settle;
  }

  // ---- dragging --------------------------------------------------------------------------

  /**
   * Let a part that takes the focus be dragged, by one mouse, finger or pen at a time.
   *
   * take(event) is called when it is taken, and returns what puts it back: the key Escape does, and so does the browser
   * if it scrolls instead. drag(event) is called as often as the pointer has moved.
   */
  function draggable(part, { take, drag }) {
    let by = null;
    let putBack;
    function release() {
      by = null;
      part.classList.remove("held");
    }
    function giveUp() {
      release();
      putBack();
    }
    const mine = (act) => (event) => event.pointerId === by && act(event);
    const on = {
      pointerdown: (event) => {
        if (event.button !== 0 || by !== null) return;
        event.preventDefault();
        part.focus({ preventScroll: true });
        by = event.pointerId;
        part.setPointerCapture(by);
        part.classList.add("held");
        putBack = take(event);
      },
      pointermove: mine(drag),
      pointerup: mine((event) => {
        drag(event); // what a finger did last may not have been told
        release();
      }),
      pointercancel: mine(giveUp),
      keydown: ({ key }) => key === "Escape" && by !== null && giveUp(),
    };
    for (const [name, act] of Object.entries(on)) part.addEventListener(name, act);
  }

  // ---- a place that loads ----------------------------------------------------------------

  /** The first thing to use in a place; on a touch screen no field, for its keyboard would cover the answer. */
  function firstOf(place) {
    const fields = matchMedia("(pointer: coarse)").matches ? "input:not([type=text], [type=number])" : "input, textarea";
    return place.querySelector(`${fields}, select, button, [tabindex]`);
  }

  /**
   * Load what a place needs, and build it; what is missing is told, and can be asked for again.
   *
   * build(replace) is awaited; replace(...parts) puts parts into the place. Focus that waits there goes on to what
   * comes, and is not lost with what goes.
   */
  async function openPlace(element, name, loading, build) {
    const replace = (...parts) => {
      const focused = element.contains(document.activeElement);
      element.replaceChildren(h("div", { class: name }, ...parts));
      if (focused) firstOf(element).focus({ preventScroll: true });
    };

    async function load() {
      replace(h("p", { role: "status", tabindex: -1 }, loading));
      try {
        await build(replace);
      } catch (error) {
        replace(
          h("p", { role: "status" }, error.message),
          h("p", {}, h("button", { type: "button", onclick: load }, "Try again")));
      }
    }
    await load();
  }

  /** The address of this page with a live place in a state, given as URLSearchParams or as what these are made of. */
  function linkTo(state) {
    const address = new URL(location.href);
    address.search = String(new URLSearchParams(state)).replaceAll("%2C", ",");
    address.hash = "";
    return address.href;
  }

  // ---- reading digits --------------------------------------------------------------------

  /**
   * The digits of any script as 0 to 9: each script has its ten in a row, from zero on. Signs that nobody sees, such as
   * those that turn the direction of writing, come along when a number is copied, and are left out.
   */
  function plainDigits(text) {
    const isDigit = (code) => /\p{Nd}/u.test(String.fromCodePoint(code));
    return text.replace(/\p{Cf}/gu, "").replace(/\p{Nd}/gu, (digit) => {
      let n = 0;
      while (isDigit(digit.codePointAt(0) - n - 1)) n += 1;
      return String(n % 10); // some rows follow one another
    });
  }

  minattn.elements = { viridis, readableOn, h, s, set, valueOf, reachable, draggable, firstOf, openPlace, linkTo, plainDigits };
})();
