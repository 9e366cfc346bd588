// The live place of chapter 14: words to put together and to hear, what the listener writes, where it listens for each
// word, and weights that can be moved. Needs elements.js, loading.js and speech_model.js.
window.minattn = window.minattn ?? {};
minattn.widgets = minattn.widgets ?? {};

(() => {
  "use strict";

  const { viridis, readableOn, h, s, set, draggable, openPlace, linkTo, valueOf, reachable } = minattn.elements;

  const MOST_WORDS = 8; // it learned from one to four
  const LOUDNESS = 0.8;
  const NOISES = [
    [40, "hardly any"],
    [15, "some, the most in training"],
    [5, "more than in training"],
    [0, "as loud as the voice"],
    [-6, "twice as loud as the voice"],
  ];
  const SPEED = { least: 0.7, most: 1.5, step: 0.05, start: 1 };
  const PAUSE = { least: 0, most: 0.4, step: 0.02, start: 0.06 };
  const FIRST = ["trois", "soixante", "trois", "huit"];
  const SLOW = 100; // milliseconds: who waits longer is told so

  const largest = (row) => row.indexOf(Math.max(...row));
  const seconds = (time) => `${time.toFixed(2)} s`;

  /** Half of the weight on one step, and a quarter on each beside it, where there is one. */
  function bump(step, n) {
    const weights = Array.from({ length: n }, (_, k) => [0.5, 0.25][Math.abs(k - step)] ?? 0);
    const total = weights.reduce((sum, weight) => sum + weight);
    return weights.map((weight) => weight / total);
  }

  /** The address of a WAV file with this sound: 16 bits a sample, as loud as can be. */
  function wave(sound, rate) {
    const loudest = sound.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-9);
    const view = new DataView(new ArrayBuffer(44 + 2 * sound.length));
    const words = (at, text) => [...text].forEach((sign, i) => view.setUint8(at + i, sign.charCodeAt(0)));
    words(0, "RIFF");
    view.setUint32(4, 36 + 2 * sound.length, true);
    words(8, "WAVEfmt ");
    [16, 1 | (1 << 16), rate, 2 * rate, 2 | (16 << 16)].forEach((x, i) => view.setUint32(16 + 4 * i, x, true));
    words(36, "data");
    view.setUint32(40, 2 * sound.length, true);
    sound.forEach((x, i) => view.setInt16(44 + 2 * i, Math.round((x / loudest) * 31_000), true));
    const bytes = new Uint8Array(view.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return `data:audio/wav;base64,${btoa(text)}`;
  }

  /** Draw frames, the lowest band below, from the faintest to the loudest. */
  function drawSound(canvas, frames) {
    const [width, height] = [frames.length, frames[0].length];
    const levels = Float64Array.from(frames.flatMap((frame) => [...frame])).sort();
    const [low, high] = [0.02, 0.995].map((share) => levels[Math.floor(share * (levels.length - 1))]);
    set(canvas, { width, height });
    const pixels = new ImageData(width, height);
    frames.forEach((frame, j) => frame.forEach((level, i) => {
      pixels.data.set([...viridis((level - low) / (high - low)), 255], 4 * ((height - 1 - i) * width + j));
    }));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  let made = 0; // so that names are unique where a page has two

  function build(replace, model, { rate, words, voices, licences }, asked) {
    const id = `speech-${(made += 1)}`;
    const { HOP, STRIDE, EOS, recordings, speak, logMel } = minattn.speech;
    const STEP = (STRIDE * HOP) / rate; // seconds
    const clips = new Map(Object.entries(voices).map(([name, voice]) => [name, recordings(voice, words)]));

    let said = [...FIRST];
    let moved = new Map(); // from the row of a word to the step that it was made to listen to
    let heard; // {time, spans, states, own}
    let written = [];
    let rows = [];
    let marked = -1; // the row that is looked at
    let speed = 10; // milliseconds for a second of sound, as last measured

    // ---- what to say ---------------------------------------------------------------------------

    const keys = words.map((word) =>
      h("button", { type: "button", lang: "fr", onclick: () => more(word) }, word));
    const message = h("p", { class: "message", role: "status" });
    const choice = (label, name, options) => {
      const menu = h("select", { id: `${id}-${name}`, onchange: () => listen() },
        ...options.map(([value, text]) => h("option", { value }, text)));
      return { node: h("div", {}, h("label", { for: menu.id }, label), menu), menu };
    };
    const slide = (label, name, { least, most, step, start }, told) => {
      const shown = valueOf(`${id}-${name}`);
      const input = h("input", {
        type: "range", id: `${id}-${name}`, min: least, max: most, step, value: start,
        oninput: () => (tell(), listen()),
      });
      const tell = () => {
        shown.textContent = told(Number(input.value));
        input.setAttribute("aria-valuetext", shown.textContent);
      };
      tell();
      return { node: h("div", {}, h("label", { for: input.id }, label), input, shown), input, tell };
    };
    const voice = choice("voice", "voice",
      Object.entries(voices).map(([name, about], i) =>
        [name, i ? `${about.name}, new to it` : `${about.name}, its teacher`]));
    const noise = choice("noise", "noise", NOISES);
    const pace = slide("speed", "speed", SPEED, (x) => `${x.toFixed(2)} times`);
    const pause = slide("pauses", "pauses", PAUSE, seconds);

    // ---- what came of it -----------------------------------------------------------------------

    const audio = h("audio", { controls: true, preload: "auto", "aria-label": "The utterance" });
    const sentence = h("p", { class: "sentence", role: "status", "aria-live": "polite" });
    const picture = h("div", { class: "picture" });
    const saidTrack = h("div", { class: "track said" });
    const canvas = h("canvas", { role: "img" });
    const curve = ["dark", "bright"].map((kind) => s("path", { class: kind, "vector-effect": "non-scaling-stroke" }));
    const over = s("svg", { class: "over", "aria-hidden": "true", preserveAspectRatio: "none" }, ...curve);
    const bounds = h("div", { class: "bounds" });
    const soundTrack = h("div", { class: "track sound" }, canvas, bounds, over);
    const lines = [saidTrack, soundTrack].map((track) => track.appendChild(h("span", { class: "line" })));
    const table = h("table", { class: "heard" });
    const wide = h("div", { class: "wide" }, table);
    reachable(wide, "The numbers, scroll");
    const here = h("a", { class: "here" }, "A link to this");
    const scale = [0, 0.25, 0.5, 0.75, 1].map((weight) => {
      const colour = viridis(weight);
      return h("span", { class: "stop", style: `background: rgb(${colour}); color: ${readableOn(colour)}` },
        String(weight));
    });
    const button = (text, onclick) => h("button", { type: "button", onclick }, text);
    const credits = Object.values(voices).flatMap(({ name, source, licence, address }, i) => [
      i ? "; " : "", `${name}, ${source}, `, address ? h("a", { href: address, rel: "license" }, licence) : licence,
    ]);

    replace(
      h("div", { class: "keys", role: "group", "aria-label": "Say one more word" }, ...keys),
      h("div", { class: "bar" },
        button("Take back a word", () => less(said.slice(0, -1))),
        button("Begin anew", () => less([])),
        button("Any four words", any)),
      message,
      h("div", { class: "settings" }, voice.node, noise.node, pace.node, pause.node),
      audio,
      sentence,
      picture,
      h("p", { class: "legend" },
        "A row for each word that it writes, a cell for each step of 80 ms. A click on a word plays from where it " +
          "listened. Weight ", h("span", { class: "scale" }, ...scale)),
      h("p", { class: "legend" },
        "Drag in a row, or use the arrow keys, to make that word listen elsewhere: half of its weight goes there, and " +
          "a quarter to each step beside it. The key Delete gives it its own weights back."),
      h("div", { class: "bar" }, button("Give back all weights", giveBack), here),
      h("details", {}, h("summary", {}, "The same in numbers"), wide),
      h("details", {}, h("summary", {}, "Voices and licences"),
        h("p", { class: "credit" }, "The recordings were cut, filtered and coded; here they are glued together, with noise " +
          "added. Of June Wallack's what you make here stands under the same licence. ", ...credits, "."),
        h("div", { class: "licences", tabindex: 0, role: "region", "aria-label": "The licences" }, licences)));

    // ---- listen --------------------------------------------------------------------------------

    function more(word) {
      if (said.length === MOST_WORDS) {
        message.textContent = `${MOST_WORDS} words are the most here; it learned from one to four. Take one back first.`;
        return;
      }
      said = [...said, word];
      listen();
    }

    function less(left) {
      said = left;
      listen();
    }

    function any() {
      said = Array.from({ length: 4 }, () => words[Math.floor(Math.random() * words.length)]);
      listen();
    }

    const utterance = () => ({
      words: said,
      speeds: said.map(() => Number(pace.input.value)),
      gains: said.map(() => LOUDNESS),
      pauses: [...said, null].map(() => Number(pause.input.value)),
      snr: Number(noise.menu.value),
      seed: said.length,
    });

    let waiting = 0; // listens that were asked for

    /** Hear what is to be said now. If that takes long, it is told first. */
    function listen(moves = new Map()) {
      audio.pause();
      message.textContent = "";
      moved = moves;
      marked = -1;
      const mine = (waiting += 1);
      picture.hidden = audio.hidden = said.length === 0;
      if (!said.length) {
        [heard, written] = [undefined, []];
        sentence.textContent = "Nothing is said yet. Choose a word.";
        table.replaceChildren();
        link();
        return;
      }
      const spoken = speak(utterance(), clips.get(voice.menu.value));
      const take = () => mine === waiting && hear(spoken);
      if ((spoken.sound.length / rate) * speed < SLOW) take();
      else {
        sentence.textContent = "It is listening.";
        setTimeout(take, 50); // so that this is seen
      }
    }

    function hear({ sound, spans }) {
      const began = performance.now();
      const frames = logMel(sound);
      const states = model.encode(frames);
      const own = model.write(states, said.length + 5);
      const time = sound.length / rate;
      speed = (performance.now() - began) / time;
      heard = { time, spans: spans.map((span) => span.map((at) => at / rate)), states, own };
      for (const step of moved.values()) if (step >= states.length) moved = new Map();
      audio.src = wave(sound, rate);
      drawSound(canvas, frames);
      canvas.setAttribute("aria-label",
        `Spectrogram of ${said.length} spoken words: time to the right, high frequencies above, bright where it is loud.`);
      const place = (start, end) => `left: ${percent(start)}; width: ${percent(end - start)}`;
      saidTrack.replaceChildren(
        ...said.map((word, i) => h("span", { class: "word", lang: "fr", style: place(...heard.spans[i]) }, word)),
        lines[0]);
      bounds.replaceChildren(...heard.spans.map((span) => h("span", { style: place(...span) })));
      rows.forEach((row) => row.remove());
      rows = [];
      picture.replaceChildren(
        h("span", { class: "name" }, "said"), saidTrack, h("span", { class: "name" }, "sound"), soundTrack);
      write();
    }

    const percent = (time) => `${(100 * time) / heard.time}%`;
    const shareOf = (k) => Math.min(Math.max(k * STEP, 0), heard.time); // where edge k - 1/2 + 1/2 lies
    const spokenAt = (time) => heard.spans.findIndex(([start, end]) => start <= time && time < end);
    const placeOf = (k) => {
      const inside = spokenAt(k * STEP);
      return inside < 0 ? "in a pause" : `in word ${inside + 1}, ${said[inside]}`;
    };

    /** Write with the weights as they are now, and show it. */
    function write() {
      const n = heard.states.length;
      written = moved.size
        ? model.write(heard.states, said.length + 5, new Map([...moved].map(([i, k]) => [i, bump(k, n)])))
        : heard.own;
      while (rows.length > written.length) rows.pop().remove();
      while (rows.length < written.length) rows.push(makeRow(rows.length));
      rows.forEach((row) => row.show());
      tell();
      number();
      link();
      show();
    }

    const wordsOf = (found) => found.map(({ word }) => word).filter((word) => word !== EOS).join(" ") || "nothing";

    function tell() {
      const [asked, own] = [said.join(" "), wordsOf(heard.own)];
      const now = moved.size
        ? `Said: ${asked}. By itself it writes: ${own}. With the weights you moved: ${wordsOf(written)}.`
        : asked === own
          ? `Said and written: ${asked}.`
          : `Said: ${asked}. Written: ${own}.`;
      if (now !== sentence.textContent) sentence.textContent = now; // or it would be read out at every step
    }

    function number() {
      const row = ({ word, probability, weights }, i) => {
        const best = largest(weights);
        return h("tr", {},
          h("th", { scope: "row" }, word === EOS ? "(the end)" : word),
          h("td", {}, probability.toFixed(2)),
          h("td", {}, seconds(best * STEP)),
          h("td", {}, weights[best].toFixed(2)),
          h("td", {}, placeOf(best)),
          h("td", {}, moved.has(i) ? "by you" : "by itself"));
      };
      table.replaceChildren(
        h("caption", {}, "Where the largest weight was when a word was written"),
        h("thead", {}, h("tr", {},
          ...["written", "probability", "time", "weight", "said there", "chosen"].map((name) =>
            h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...written.map(row)));
    }

    // ---- rows of weights -----------------------------------------------------------------------

    function makeRow(i) {
      const word = h("span", { class: "written", lang: "fr" });
      const note = h("span", { class: "note" });
      const name = h("button", { type: "button", onclick: () => playFrom(i) },
        h("span", { class: "unseen" }, "Play from where it listened for "), word, note);
      const map = h("canvas", { "aria-hidden": "true" });
      const [own, handle] = ["own", "handle"].map((kind) => h("span", { class: kind }));
      const line = h("span", { class: "line" });
      const track = h("div", { class: "track weights", role: "slider", tabindex: 0, "aria-valuemin": 0 },
        map, own, handle, line);
      picture.append(name, track);

      const stepAt = ({ clientX }) => {
        const box = track.getBoundingClientRect();
        const time = ((clientX - box.left) / box.width) * heard.time;
        return Math.min(Math.max(Math.round(time / STEP), 0), heard.states.length - 1);
      };
      draggable(track, {
        take: (event) => {
          const before = new Map(moved);
          move(i, stepAt(event));
          return () => {
            moved = before;
            write();
          };
        },
        drag: (event) => move(i, stepAt(event)),
      });
      set(track, {
        onfocus: () => mark(i),
        onkeydown: (event) => {
          const last = heard.states.length - 1;
          const now = largest(written[i].weights);
          const goal = {
            ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1,
            PageDown: now - 5, PageUp: now + 5, Home: 0, End: last,
          }[event.key];
          if (goal !== undefined) move(i, Math.min(Math.max(goal, 0), last));
          else if (event.key === "Delete" || event.key === "Backspace") move(i, null);
          else return;
          event.preventDefault();
        },
      });

      const at = (element, k) => {
        const [left, right] = [shareOf(k - 0.5), shareOf(k + 0.5)];
        element.style.left = percent(left);
        element.style.width = percent(right - left);
      };

      function showRow() {
        const found = written[i];
        const [n, best] = [found.weights.length, largest(found.weights)];
        const ended = found.word === EOS;
        const text = ended ? "(the end)" : found.word;
        word.textContent = text;
        note.textContent = moved.has(i) ? "moved" : "";
        const SCALE = 8; // pixels of a step
        const width = Math.round((heard.time / STEP) * SCALE);
        set(map, { width, height: 1 });
        const pen = map.getContext("2d");
        for (let k = 0; k < n; k++) {
          pen.fillStyle = `rgb(${viridis(found.weights[k])})`;
          pen.fillRect(Math.max((k - 0.5) * SCALE, 0), 0, SCALE, 1);
        }
        if ((n - 0.5) * SCALE < width) pen.fillRect((n - 0.5) * SCALE, 0, width, 1);
        at(handle, best);
        own.hidden = !moved.has(i);
        at(own, largest(found.own));
        set(track, {
          "aria-label": ended ? "Where it listens before it ends" : `Where word ${i + 1}, ${text}, listens`,
          "aria-valuemax": n - 1, "aria-valuenow": best,
          "aria-valuetext": `${seconds(best * STEP)}, ${placeOf(best)}, ${moved.has(i) ? "moved by you" : "its own choice"}`,
        });
      }
      return {
        name, track, line, show: showRow,
        remove() {
          if (track.contains(document.activeElement) || name.contains(document.activeElement)) rows[0]?.track.focus();
          name.remove();
          track.remove();
        },
      };
    }

    /** Let a word listen around a step; to its own choice if there is none. */
    function move(i, step) {
      if (moved.get(i) === step) return;
      if (step === null) moved.delete(i);
      else moved.set(i, step);
      marked = i;
      write();
    }

    function giveBack() {
      if (!heard) return;
      moved = new Map();
      write();
    }

    function mark(i) {
      marked = i;
      show();
    }

    // ---- play ----------------------------------------------------------------------------------

    function playFrom(i) {
      const at = largest(written[i].weights) * STEP;
      const inside = heard.spans[spokenAt(at)];
      audio.currentTime = inside ? inside[0] : Math.max(at - STEP, 0);
      marked = i;
      audio.play().catch(() => {}); // where there is no sound the line is moved all the same
      show();
    }

    // What is attended to now: the row that has the largest weight at the step that is played, if it is the largest of
    // its row or near it.
    function attending(time) {
      const k = Math.min(Math.round(time / STEP), heard.states.length - 1);
      const column = written.map(({ weights }) => weights[k]);
      const best = largest(column);
      return column[best] >= 0.1 ? best : -1;
    }

    function show() {
      if (!heard) return;
      const time = audio.currentTime;
      const idle = audio.paused && time === 0;
      const playing = idle ? -1 : attending(time);
      const now = audio.paused && marked >= 0 ? marked : playing;
      const spoken = idle ? -1 : spokenAt(time);
      for (const line of [...lines, ...rows.map((row) => row.line)]) {
        line.style.left = percent(Math.min(time, heard.time));
        line.hidden = idle;
      }
      rows.forEach(({ name, track }, i) => {
        for (const part of [name, track]) part.classList.toggle("now", i === now);
      });
      [...saidTrack.querySelectorAll(".word")].forEach((word, i) => word.classList.toggle("now", i === spoken));
      drawCurve(written[now]?.weights);
    }

    /** The weights of one row as a line over the sound, 1 at the upper edge. */
    function drawCurve(weights) {
      set(over, { viewBox: `0 0 ${heard.time} 1` });
      const points = (weights ?? []).map((weight, k) => `${k * STEP} ${0.98 - 0.96 * weight}`);
      for (const path of curve) path.setAttribute("d", points.length ? `M ${points.join(" L ")}` : "");
    }

    const still = matchMedia("(prefers-reduced-motion: reduce)");
    function follow() {
      show();
      if (!audio.paused && !audio.ended && !still.matches) requestAnimationFrame(follow);
    }
    audio.addEventListener("play", follow);
    for (const event of ["seeked", "pause", "ended", "timeupdate"]) audio.addEventListener(event, show);

    // ---- links: ?live=speech&say=trois,huit&voice=armelle&noise=0&speed=1.2&pauses=0.1&moved=1.12,3.4 ----
    // moved: words counted from 1, and steps of 80 ms from 0.

    function link() {
      const state = new URLSearchParams({ live: "speech", say: said.join(",") });
      const settings = {
        voice: [voice.menu.value, Object.keys(voices)[0]], noise: [noise.menu.value, String(NOISES[0][0])],
        speed: [pace.input.value, String(SPEED.start)], pauses: [pause.input.value, String(PAUSE.start)],
      };
      for (const [name, [value, usual]] of Object.entries(settings)) if (value !== usual) state.set(name, value);
      if (moved.size) state.set("moved", [...moved].map(([i, step]) => `${i + 1}.${step}`).join(","));
      here.href = linkTo(state);
    }

    /** Take from a link what there is here; return what it moves. */
    function take() {
      const listed = (name) => (asked.get(name) ?? "").split(",").filter(Boolean);
      const known = listed("say").filter((word) => words.includes(word)).slice(0, MOST_WORDS);
      if (known.length || asked.get("say") === "") said = known;
      for (const [name, { menu }] of Object.entries({ voice, noise })) {
        if ([...menu.options].some(({ value }) => value === asked.get(name))) menu.value = asked.get(name);
      }
      for (const [name, { input, tell: told }] of Object.entries({ speed: pace, pauses: pause })) {
        if (asked.has(name)) input.value = asked.get(name); // the browser keeps it between its limits
        told();
      }
      const moves = listed("moved").map((text) => /^([1-9]\d?)\.(\d{1,3})$/.exec(text)).filter(Boolean);
      const missing = listed("say").length > known.length || listed("moved").length > moves.length;
      return { moves: new Map(moves.map(([, i, step]) => [i - 1, Number(step)])), missing };
    }

    const { moves, missing } = take();
    listen(moves);
    if (missing) message.textContent = "The link asks for something that is not here. The rest is as it says.";
  }

  /** asked: what a link asks for. */
  minattn.widgets.speech = (element, asked = new URLSearchParams()) =>
    openPlace(element, "speech", "The listener and the voices are being loaded.", async (replace) =>
      build(replace, ...await Promise.all([minattn.loadModel("speech"), minattn.loadClips("speech")]), asked));
})();
