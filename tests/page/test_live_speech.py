"""The live place of chapter 14: its files, its listener beside the package's, and what a reader does with it."""

import base64
import dataclasses
import gzip
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from book.experiments import speech
from book.tools import live_speech
from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, VIOLATIONS, axe_script, watch
from minattn.recording import recording
from minattn.speech.listening import Listener
from minattn.tasks.spoken_numbers import N_MELS, Utterance, log_mel, speak, spoken_numbers
from minattn.tasks.voices import RATE, WORDS, expand, recordings
from minattn.vocabulary import BOS, EOS
from tests.page.live_page import engine_of, live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = Path(__file__).parents[2] / "book" / "_static"
FILES = {"weights": ("speech", "speech_decoder"), "clips": ("clips_speech",)}
SCRIPTS = tuple(f"live/{name}" for name in (*engine_of("speech"), "speech.js"))
SHEETS = ("minattn.css", "live/live.css", "live/speech.css")
PLACE = '<div class="live" data-live="speech"><p>A text for paper.</p></div>'
LARGEST = 400_000
N_ALIKE = 200

Open = Callable[..., Page]


def entry(name: str) -> dict[str, Any]:
    text = (STATIC / f"live/weights/{name}.js").read_text("utf-8")
    found: dict[str, Any] = json.loads(text[text.index("= {") + 2 : text.rindex(";")])
    return found


@pytest.fixture(scope="module")
def model() -> Listener:
    """The listener of the files, in the package."""
    state = {}
    for name in FILES["weights"]:
        made = entry(name)
        numbers = np.frombuffer(base64.b64decode(made["data"]), "<f2").astype(np.float32)
        for key, (start, shape) in made["table"].items():
            size = int(np.prod(shape))
            state[key] = torch.from_numpy(numbers[start : start + size].reshape(shape).copy())
    task = spoken_numbers(n_train=1, n_validation=1, n_held_out=1)
    found = speech.make_model(task, 0, "attention")
    found.load_state_dict(state)
    return found.requires_grad_(False)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A copy of what a page needs, so that a test may take something away."""
    (tmp_path / "live" / "weights").mkdir(parents=True)
    files = [f"live/weights/{name}.js" for names in FILES.values() for name in names]
    for name in (*SCRIPTS, *files, "minattn.js", *SHEETS):
        shutil.copy(STATIC / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def open_page(browser: Browser, static: Path) -> Iterator[Open]:
    """Open a page with the place; whatever goes wrong in it fails the test at its end."""
    contexts, faults = [], []

    def start(asked: str = "", scripts: tuple[str, ...] = SCRIPTS, **settings: Any) -> Page:
        file = static / "speech.html"
        file.write_text(live_page("Speech", SHEETS, PLACE, scripts), encoding="utf-8")
        context = browser.new_context(**{"viewport": DESK, **settings})
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri())
        if scripts is SCRIPTS:
            page.evaluate(
                "asked => minattn.widgets.speech(document.querySelector('.live'), new URLSearchParams(asked))",
                asked,
            )
            page.locator(".picture .weights").first.wait_for()
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def sentence(page: Page) -> str:
    return page.locator(".sentence").inner_text()


# --- the files ---------------------------------------------------------------------------------------


def test_the_files_are_small_and_the_sounds_are_the_recordings() -> None:
    for names in FILES.values():
        for name in names:
            file = STATIC / f"live/weights/{name}.js"
            assert len(gzip.compress(file.read_bytes())) <= LARGEST
    sounds = entry("clips_speech")
    assert sounds["rate"] == RATE and sounds["words"] == list(WORDS)
    assert "CC-BY-SA-3.0" in sounds["licences"] and "Michel Gutierrez" in sounds["licences"]
    for name, voice in sounds["voices"].items():
        codes = np.frombuffer(base64.b64decode(voice["codes"]), np.int8)
        clips = np.split(expand(codes), np.cumsum(voice["lengths"])[:-1])
        for word, clip in zip(WORDS, clips, strict=True):
            np.testing.assert_array_equal(clip, recordings(name)[word])


def test_the_files_can_be_made_again_with_any_listener(tmp_path: Path) -> None:
    task = spoken_numbers(n_train=3, n_validation=3, n_held_out=3, seed=2)
    torch.manual_seed(0)
    live_speech.write(Listener(N_MELS, len(task.target), d_model=6), task, tmp_path)
    card = json.loads((tmp_path / "speech.json").read_text("utf-8"))
    assert {*card["files"], "speech.json"} == {file.name for file in tmp_path.iterdir()}
    assert card["held_out_utterances"] == 3 and "CC BY-SA 3.0" in card["licence"]
    assert set(card["accuracy_after_rounding"]) == {"word error", "inside"}


# --- the engine --------------------------------------------------------------------------------------


def hashed(seed: int, i: np.ndarray) -> np.ndarray:
    """The page's random numbers, from 0 to 1."""
    with np.errstate(over="ignore"):
        t = np.uint32(seed) + i.astype(np.uint32) * np.uint32(0x6D2B79F5)
        t = (t ^ t >> np.uint32(15)) * (t | np.uint32(1))
        t ^= t + (t ^ t >> np.uint32(7)) * (t | np.uint32(61))
    return (t ^ t >> np.uint32(14)) / 2**32


def as_the_page(utterance: Utterance) -> np.ndarray:
    """The package's sound, with the page's noise."""
    sound, spans = speak(dataclasses.replace(utterance, snr=300.0))
    power = np.mean(np.concatenate([sound[start:end] for start, end in spans]) ** 2)
    i = np.arange(len(sound))
    noise = np.sqrt(-2 * np.log(1 - hashed(utterance.seed, 2 * i)))
    noise *= np.cos(2 * np.pi * hashed(utterance.seed, 2 * i + 1))
    made: np.ndarray = sound + np.sqrt(power) * 10 ** (-utterance.snr / 20) * noise
    return made.astype(np.float32)


def bump(step: int, n: int) -> torch.Tensor:
    weights = torch.tensor([{0: 0.5, 1: 0.25}.get(abs(k - step), 0.0) for k in range(n)])
    return weights / weights.sum()


LISTEN = """async ([spoken, moves]) => {
    const model = await minattn.loadModel("speech"), { voices, words } = await minattn.loadClips("speech");
    const { recordings, speak, logMel } = minattn.speech;
    const clips = {};
    for (const name in voices) clips[name] = recordings(voices[name], words);
    return spoken.map((utterance, i) => {
        const { sound, spans } = speak(utterance, clips[utterance.voice]);
        const frames = logMel(sound), states = model.encode(frames);
        const moved = new Map(moves[i].map(([row, weights]) => [row, weights]));
        const written = model.write(states, utterance.words.length + 5, moved);
        return { spans, n: sound.length, frames: i < 5 ? frames.map((x) => [...x]) : null, written };
    });
}"""


def listen(page: Page, spoken: list[Utterance], moves: list[list[Any]]) -> list[dict[str, Any]]:
    keys = ("speeds", "gains", "pauses", "snr", "seed", "voice")
    told = [{"words": u.target, **{key: getattr(u, key) for key in keys}} for u in spoken]
    found: list[dict[str, Any]] = page.evaluate(LISTEN, [told, moves])
    return found


def test_it_hears_and_writes_as_the_package_does(open_page: Open, model: Listener) -> None:
    task = spoken_numbers(seed=2)
    spoken = [
        dataclasses.replace(u, voice="armelle") if i % 10 == 9 else u
        for i, u in enumerate(task.held_out[:N_ALIKE])
    ]
    found = listen(open_page(), spoken, [[] for _ in spoken])
    for u, page in zip(spoken, found, strict=True):
        sound = as_the_page(u)
        frames = log_mel(sound)
        assert page["n"] == len(sound) and page["spans"] == [list(s) for s in speak(u)[1]]
        if page["frames"]:
            np.testing.assert_allclose(page["frames"], frames, atol=1e-3)
        ids = [task.target.tokens.index(step["word"]) for step in page["written"]]
        with recording(model) as record:
            logits = model(frames[None], torch.tensor([[BOS, *ids[:-1]]]))[0]
        assert logits.argmax(-1).tolist() == ids  # so greedy writing goes the same way
        assert ids[-1] == EOS or len(ids) == u.length + 5
        likely = logits.softmax(-1).max(-1).values
        np.testing.assert_allclose([s["probability"] for s in page["written"]], likely, atol=1e-3)
        np.testing.assert_allclose(
            [s["weights"] for s in page["written"]], record.weights()[0], atol=1e-3
        )


def test_moved_weights_do_what_they_would_in_the_package(open_page: Open, model: Listener) -> None:
    task = spoken_numbers(seed=2)
    spoken = [u for u in task.held_out if u.length >= 3][:20]
    lengths = [(len(as_the_page(u)) // 80) // 8 + 1 for u in spoken]
    moves = [[[1, bump((7 * i) % n, n).tolist()]] for i, n in enumerate(lengths)]
    own = listen(page := open_page(), spoken, [[] for _ in spoken])
    found = listen(page, spoken, moves)
    for u, [[row, weights]], one in zip(spoken, moves, found, strict=True):
        memory = model.encode(log_mel(as_the_page(u))[None])
        (state,), token = model.start(memory), torch.tensor([BOS])
        for i, step in enumerate(one["written"]):
            logits, (after,) = model.step(token, (state,), memory)
            if i == row:
                context = torch.tensor(weights)[None] @ memory.states[0]
                x = torch.cat([model.embedding(token), context], dim=-1)
                after = model._gru_step(x, state)
                logits = model._logits(after, context)
            (state, token) = (after, logits.argmax(-1))
            assert task.target.tokens[int(token)] == step["word"]
            assert logits.softmax(-1).max().item() == pytest.approx(step["probability"], abs=1e-3)
        np.testing.assert_allclose(one["written"][row]["weights"], weights, atol=1e-6)
    words = [[[s["word"] for s in one["written"]] for one in each] for each in (own, found)]
    assert words[0] != words[1]  # something was moved


# --- the place ---------------------------------------------------------------------------------------


def test_what_is_chosen_is_said_and_heard(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Begin anew").click()
    assert "Choose a word" in sentence(page) and page.locator(".picture").is_hidden()
    for word in ("six", "onze"):
        page.get_by_role("group").get_by_role("button", name=word, exact=True).click()
    expect(page.locator(".word")).to_have_text(["six", "onze"])
    expect(page.locator(".sentence")).to_have_text("Said and written: six onze.")
    expect(page.locator(".written")).to_have_text(["six", "onze", "(the end)"])
    page.wait_for_function("document.querySelector('audio').readyState > 0")
    length = page.evaluate("document.querySelector('audio').duration")
    sound, _ = speak(Utterance(("six", "onze"), (1.0, 1.0), (0.8, 0.8), (0.06,) * 3))
    assert length == pytest.approx(len(sound) / RATE, abs=0.01)

    page.get_by_label("speed").fill("1.5")
    page.get_by_label("noise").select_option("0")
    page.wait_for_function(f"document.querySelector('audio').duration < {length} - 0.2")
    page.get_by_role("button", name="Take back a word").click()
    expect(page.locator(".word")).to_have_text(["six"])

    for _ in range(8):
        page.get_by_role("group").get_by_role("button", name="un", exact=True).click()
    assert "8 words are the most" in page.locator(".message").inner_text()
    expect(page.locator(".word")).to_have_count(8)
    page.get_by_role("button", name="Any four words").click()
    expect(page.locator(".word")).to_have_count(4)
    assert page.locator(".message").inner_text() == ""


def test_the_line_and_the_marks_go_with_the_sound(open_page: Open) -> None:
    page = open_page("say=six,onze")
    page.wait_for_function("document.querySelector('audio').readyState > 0")
    best, last = (
        int(page.locator(".weights").first.get_attribute(f"aria-value{of}"))
        for of in ("now", "max")
    )
    length = page.evaluate("document.querySelector('audio').duration")
    time = length * best / last
    page.evaluate(
        "time => new Promise(done => { const audio = document.querySelector('audio');"
        " audio.addEventListener('seeked', () => setTimeout(done, 60), {once: true}); audio.currentTime = time; })",
        time,
    )
    expect(page.locator(".word.now")).to_have_text(["six"])
    expect(page.locator("button.now .written")).to_have_text(["six"])
    assert page.locator(".over path").first.get_attribute("d").startswith("M 0 ")
    share = page.evaluate(
        "['.line', '.track'].map(name => document.querySelector(name).getBoundingClientRect())"
        ".map(({left, width}) => [left, width]).reduce(([a], [b, width]) => (a + 1 - b) / width)"
    )
    assert share == pytest.approx(best / last, abs=0.01)
    page.evaluate("document.querySelector('audio').muted = true")
    page.locator(".picture button").nth(1).press("Enter")
    page.wait_for_function(
        "time => document.querySelector('audio').currentTime > time + 0.05", arg=time
    )
    page.wait_for_function("document.querySelector('.word.now')?.textContent === 'onze'")


def test_weights_are_moved_with_keys_and_given_back(open_page: Open) -> None:
    page = open_page("say=six,onze")
    row = page.get_by_role("slider", name="Where word 1, six, listens")
    first = int(row.get_attribute("aria-valuenow") or "")
    assert "in word 1, six, its own choice" in (row.get_attribute("aria-valuetext") or "")
    row.press("ArrowRight")
    row = page.locator(".weights").first
    assert row.get_attribute("aria-valuenow") == str(first + 1)
    assert "moved by you" in (row.get_attribute("aria-valuetext") or "")
    assert page.locator(".note").first.inner_text() == "moved"
    assert "With the weights you moved:" in sentence(page)
    cells = page.locator("table.heard tbody tr").first.locator("td").all_text_contents()
    assert cells[2] == "0.50" and cells[4] == "by you"
    row.press("End")
    assert row.get_attribute("aria-valuenow") == row.get_attribute("aria-valuemax")
    assert page.evaluate("document.activeElement.classList.contains('weights')")

    link = page.get_by_role("link", name="A link to this").get_attribute("href") or ""
    there = open_page(link.split("?")[1])
    assert sentence(there) == sentence(page) and there.locator(".message").inner_text() == ""

    row.press("Delete")
    assert row.get_attribute("aria-valuenow") == str(first)
    expect(page.locator(".sentence")).to_have_text("Said and written: six onze.")
    row.press("Home")
    page.get_by_role("button", name="Give back all weights").click()
    assert row.get_attribute("aria-valuenow") == str(first)

    there = open_page("say=six,mille&voice=nobody")
    assert "not here" in there.locator(".message").inner_text()
    expect(there.locator(".word")).to_have_text(["six"])


def test_what_the_chapter_asks_to_try_comes_out_as_it_says(open_page: Open) -> None:
    chapter = (STATIC.parent / "chapters" / "14_speech.md").read_text("utf-8")
    for move, told in (
        ("moved=2.27", "trois huit trois huit"),
        ("voice=armelle", "trois un trois dix"),
    ):
        page = open_page(move)
        assert sentence(page).startswith("Said: trois soixante trois huit.")
        assert sentence(page).endswith(f": {told}.") and f"*{told}*" in chapter
    rows = page.locator("table.heard tbody tr").evaluate_all(
        "rows => rows.map(row => row.cells[4].textContent)"
    )
    places = ["in word 1, trois", "in word 2, soixante", "in word 3, trois", "in word 4, huit"]
    assert rows[:4] == places


def test_what_is_written_is_told_when_it_changes_only(open_page: Open) -> None:
    page = open_page("say=six,onze")
    page.locator(".weights").first.focus()
    page.evaluate(
        """() => new MutationObserver(() => (window.told ??= []).push(document.querySelector('.sentence').textContent))
            .observe(document.querySelector('.sentence'), {childList: true})"""
    )
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    told = page.evaluate("told")
    assert 0 < len(told) < 6
    assert all(one != other for one, other in itertools.pairwise(told))


def test_a_mouse_drags_and_a_finger_too(open_page: Open) -> None:
    page = open_page("say=six,onze")
    row = page.locator(".weights").first
    box = row.bounding_box() or {}
    last = int(row.get_attribute("aria-valuemax") or "")
    page.mouse.move(box["x"] + 2, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 5, steps=3)
    page.mouse.up()
    assert row.get_attribute("aria-valuenow") == str(last)
    page.mouse.move(box["x"] + 2, box["y"] + 5)
    assert row.get_attribute("aria-valuenow") == str(last)  # it was let go
    page.mouse.down()
    assert row.get_attribute("aria-valuenow") == "0"
    page.keyboard.press("Escape")
    page.mouse.move(box["x"] + 90, box["y"] + 5)
    assert row.get_attribute("aria-valuenow") == str(last)  # it was given up
    page.mouse.up()

    page = open_page("say=six,onze", viewport=PHONE, has_touch=True, is_mobile=True)
    row = page.locator(".weights").first
    row.scroll_into_view_if_needed()
    box = row.bounding_box() or {}
    assert box["height"] >= 44
    touch = page.context.new_cdp_session(page)

    def finger(kind: str, x: float, y: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger("touchStart", middle, y)
    for dx in (10, 30, 60, 90):
        finger("touchMove", middle + dx, y)
    page.wait_for_timeout(
        500
    )  # lifted in motion it would be a swipe, and the next tap only its end
    finger("touchMove", middle + 90, y)
    finger("touchEnd", 0, 0)
    time = (
        (middle + 90 - box["x"])
        / box["width"]
        * page.evaluate("document.querySelector('audio').duration")
    )
    assert row.get_attribute("aria-valuenow") == str(round(time / 0.08))
    page.get_by_role("button", name="Give back all weights").tap()
    expect(page.locator(".sentence")).to_have_text("Said and written: six onze.")


def test_missing_files_are_told_kindly_and_may_be_tried_again(
    browser: Browser, static: Path
) -> None:
    file = static / "live/weights/speech_decoder.js"
    file.rename(static / "away.js")
    (static / "speech.html").write_text(live_page("Speech", SHEETS, PLACE, SCRIPTS), "utf-8")
    page = browser.new_page()
    page.goto((static / "speech.html").as_uri())
    page.evaluate("minattn.widgets.speech(document.querySelector('.live'))")
    again = page.get_by_role("button", name="Try again")
    again.wait_for()
    assert "speech_decoder.js could not be loaded" in page.locator(".live").inner_text()
    (static / "away.js").rename(file)
    again.click()
    page.locator(".picture .weights").first.wait_for()
    page.close()


def test_a_click_loads_it_and_paper_keeps_a_text(open_page: Open) -> None:
    page = open_page(scripts=("minattn.js",))
    paper, place = page.locator(".live-paper"), page.locator(".live")
    assert paper.is_hidden() and place.is_visible()
    page.emulate_media(media="print")
    assert paper.inner_text() == "A text for paper." and place.is_hidden()
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Say numbers, and move where it listens").press("Enter")
    page.locator(".picture .weights").first.wait_for()
    assert page.evaluate("document.activeElement.textContent") == "zéro"


def test_the_speakers_and_the_licences_stand_beside_it(open_page: Open) -> None:
    page = open_page()
    page.get_by_text("Voices and licences").click()
    credit = page.locator(".credit").inner_text()
    assert "June Wallack" in credit and "Armelle Desjardins" in credit and "same licence" in credit
    link = page.get_by_role("link", name="CC BY-SA 3.0")
    assert link.get_attribute("href") == "https://creativecommons.org/licenses/by-sa/3.0/"
    assert "Copyright (C) 2006 Michel Gutierrez" in page.locator(".licences").inner_text()


def test_the_keyboard_stops_at_the_numbers_where_they_scroll_alone(open_page: Open) -> None:
    page = open_page()
    page.locator("summary", has_text="in numbers").click()
    page.locator(".wide td").first.wait_for()
    for size, stops in ((DESK, 0), (PHONE, 1), (DESK, 0)):
        page.set_viewport_size(size)
        expect(page.locator(".wide[tabindex='0']")).to_have_count(stops)


def test_every_word_stands_in_its_key_at_any_width_and_spacing(open_page: Open) -> None:
    page = open_page()
    standing_out = "keys => keys.filter(k => k.scrollWidth > k.clientWidth).map(k => k.innerText)"
    lines = """keys => Math.max(...keys.map(key => {
        const words = document.createRange();
        words.selectNodeContents(key);
        return words.getClientRects().length;
    }))"""
    keys = page.locator(".keys button")
    for width in (320, 375, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        assert keys.evaluate_all(standing_out) == []
        assert keys.evaluate_all(lines) == 1
    page.add_style_tag(content=".keys * { letter-spacing: 0.12em }")
    for width in (320, 375, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        assert keys.evaluate_all(standing_out) == []


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_fits_its_place_and_axe_finds_nothing(open_page: Open, size: dict) -> None:
    page = open_page("moved=2.3", viewport=size, reduced_motion="reduce")
    height = page.locator(".live").evaluate("place => place.offsetHeight")
    page.locator(".live").evaluate("place => { place.classList.add('opened') }")
    room = page.locator(".live").evaluate("place => parseFloat(getComputedStyle(place).minHeight)")
    assert room - 60 <= height <= room + 60
    page.locator(".weights").nth(1).focus()
    for fold in page.locator("summary").all():
        fold.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.evaluate(axe_script())
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert page.evaluate(VIOLATIONS) == []
