// The player of chapter 14: hear an utterance, and watch where the listener attends while it plays. Nothing is
// computed here; the clips, their spectrograms and the weights were made beforehand.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h } = minattn.elements;

  const largest = (row) => row.indexOf(Math.max(...row));
  const seconds = (time) => `${time.toFixed(2)} s`;

  // Sound goes up to 4,000 Hz; the bands, the lowest first, become rows of pixels from below.
  function drawSound({ bands, said }) {
    const width = bands[0].length;
    const canvas = h("canvas", {
      width, height: bands.length, role: "img",
      "aria-label": `Spectrogram of ${said.length} spoken words: time to the right, high frequencies above, ` +
        "bright where it is loud.",
    });
    const pixels = new ImageData(width, bands.length);
    bands.forEach((band, i) => [...band].forEach((level, j) => {
      const place = 4 * ((bands.length - 1 - i) * width + j);
      pixels.data.set([...viridis(parseInt(level, 16) / 15), 255], place);
    }));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  // A step of the memory stands for the sound around its centre.
  const edges = (step, n, total) =>
    Array.from({ length: n + 1 }, (_, k) => Math.min(Math.max((k - 0.5) * step, 0), total));

  function spokenAt(said, time) {
    return said.findIndex(([, start, end]) => start <= time && time < end);
  }

  let made = 0; // so that names are unique where a page has two players

  function player(replace, { credit, clips }) {
    const id = `listener-${(made += 1)}`;
    let clip;
    let limits; // of the steps
    let rows = []; // of the words written
    let words = []; // that were said
    let lines = [];

    const menu = h("select", { id: `${id}-clip`, onchange: () => begin(Number(menu.value)) },
      ...clips.map(({ name }, i) => h("option", { value: i }, name)));
    const audio = h("audio", { controls: true, preload: "auto", "aria-label": "The utterance" });
    const sentence = h("p", { class: "sentence", role: "status", "aria-live": "polite" });
    const picture = h("div", { class: "picture" });
    const table = h("table", { class: "heard" });
    const scale = [0, 0.25, 0.5, 0.75, 1].map((weight) => {
      const colour = viridis(weight);
      return h("span", { class: "stop", style: `background: rgb(${colour}); color: ${readableOn(colour)}` },
        String(weight));
    });

    replace(
      h("div", { class: "bar" }, h("label", { for: menu.id }, "clip"), menu, audio),
      sentence,
      picture,
      h("p", { class: "legend" },
        "A row for each word that was written, a cell for each step of 80 ms; a click on a word plays from where " +
          "it was heard. Weight ",
        h("span", { class: "scale" }, ...scale)),
      h("details", {}, h("summary", {}, "The same in numbers"), table),
      h("p", { class: "credit" },
        `Voice: ${credit.voice}, from ${credit.source}, `,
        h("a", { href: credit.address, rel: "license" }, credit.licence),
        ". The clips are glued from single words, with noise added, and stand under the same licence."));

    const percent = (time) => `${(100 * time) / clip.seconds}%`;
    const centre = (k) => k * clip.step;

    function begin(index) {
      audio.pause();
      clip = clips[index];
      menu.value = index;
      audio.src = `data:audio/wav;base64,${clip.sound}`;
      limits = edges(clip.step, clip.weights[0]?.length ?? 0, clip.seconds);
      build();
      number();
      const said = clip.said.map(([word]) => word).join(" ");
      const wrote = clip.written.join(" ");
      sentence.textContent = said === wrote
        ? `Said and written: ${said}.`
        : `Said: ${said}. Written: ${wrote || "nothing"}.`;
      show();
    }

    function build() {
      const line = () => h("span", { class: "line" });
      lines = [];
      const track = (...parts) => {
        lines.push(line());
        return h("div", { class: "track" }, ...parts, lines.at(-1));
      };
      const place = (start, end) => `left: ${percent(start)}; width: ${percent(end - start)}`;
      words = clip.said.map(([word, start, end]) =>
        h("span", { class: "word", style: place(start, end) }, word));
      const bounds = clip.said.map(([, start, end]) => h("span", { class: "bounds", style: place(start, end) }));
      rows = clip.written.map((word, i) => {
        const cells = clip.weights[i].map((weight, k) =>
          h("span", {
            class: "cell", "data-value": weight,
            style: // a pixel more, so that no gap is left where a limit lies between two pixels
              `left: ${percent(limits[k])}; width: calc(${percent(limits[k + 1] - limits[k])} + 1px); ` +
              `background: rgb(${viridis(weight)})`,
          }));
        const button = h("button", { type: "button", onclick: () => playFrom(i) },
          h("span", { class: "unseen" }, "Play from where "), word, h("span", { class: "unseen" }, " was heard"));
        return { button, track: track(...cells) };
      });
      picture.replaceChildren(
        h("span", { class: "name" }, "said"), track(...words),
        h("span", { class: "name" }, "sound"), track(drawSound(clip), ...bounds),
        ...rows.flatMap(({ button, track: cells }) => [button, cells]));
    }

    function number() {
      const row = (i) => {
        const best = largest(clip.weights[i]);
        const inside = spokenAt(clip.said, centre(best));
        return h("tr", {},
          h("th", { scope: "row" }, clip.written[i]),
          h("td", {}, seconds(centre(best))),
          h("td", {}, clip.weights[i][best].toFixed(2)),
          h("td", {}, inside < 0 ? "in a pause" : `in word ${inside + 1}, ${clip.said[inside][0]}`));
      };
      table.replaceChildren(
        h("caption", {}, "Where the largest weight was when a word was written"),
        h("thead", {}, h("tr", {}, ...["written", "time", "weight", "said there"].map((name) =>
          h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...clip.written.map((_, i) => row(i))));
    }

    function playFrom(i) {
      const heard = centre(largest(clip.weights[i]));
      const inside = clip.said[spokenAt(clip.said, heard)];
      audio.currentTime = inside ? inside[1] : Math.max(heard - clip.step, 0);
      audio.play().catch(() => {}); // where there is no sound the line is moved all the same
      show();
    }

    // What is attended to now: the row that has the largest weight at the step that is played, if it is the
    // largest of its row or near it.
    function attending(time) {
      const k = limits.findIndex((limit, j) => j > 0 && time < limit) - 1;
      if (k < 0) return -1;
      const column = clip.weights.map((row) => row[k]);
      const best = largest(column);
      return column[best] >= 0.1 ? best : -1;
    }

    function show() {
      const time = audio.currentTime;
      const idle = audio.paused && time === 0;
      const now = idle ? -1 : attending(time);
      const spoken = idle ? -1 : spokenAt(clip.said, time);
      for (const line of lines) line.style.left = percent(Math.min(time, clip.seconds));
      rows.forEach(({ button, track }, i) => {
        for (const part of [button, track]) part.classList.toggle("now", i === now);
      });
      words.forEach((word, i) => word.classList.toggle("now", i === spoken));
    }

    function follow() {
      show();
      if (!audio.paused && !audio.ended) requestAnimationFrame(follow);
    }
    audio.addEventListener("play", follow);
    for (const event of ["seeked", "pause", "ended"]) audio.addEventListener(event, show);

    begin(0);
  }

  minattn.widgets.listener = async (element) => {
    // Focus that waits here goes on to what comes, and is not lost with what goes.
    const replace = (...parts) => {
      const focused = element.contains(document.activeElement);
      element.replaceChildren(h("div", { class: "listener" }, ...parts));
      if (focused) element.querySelector("select, button, [tabindex]").focus({ preventScroll: true });
    };

    async function load() {
      replace(h("p", { role: "status", tabindex: -1 }, "The clips are being loaded."));
      try {
        if (typeof minattn.loadClips !== "function") {
          throw new Error("The clips could not be loaded: loading.js is missing.");
        }
        const found = await minattn.loadClips("listener");
        if (!found.clips?.length) throw new Error("The file of the clips holds none.");
        player(replace, found);
      } catch (error) {
        replace(
          h("p", { role: "status" }, error.message),
          h("p", {}, h("button", { type: "button", onclick: load }, "Try again")));
      }
    }
    await load();
  };
})();
