"""The player of chapter 14, in a page of its own, opened as a file."""

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from book.tools import live_listener
from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, VIOLATIONS, axe_script, watch
from minattn.speech.listening import Listener
from minattn.tasks.spoken_numbers import N_MELS, log_mel, speak, spoken_numbers
from tests.page.live_page import engine_of, live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = Path(__file__).parents[2] / "book" / "_static"
FILE = "live/weights/clips_listener.js"
SCRIPTS = tuple(f"live/{name}" for name in (*engine_of("listener"), "listener.js"))
SHEETS = ("minattn.css", "live/live.css", "live/listener.css")
NARROWEST = {"width": 320, "height": 700}
PLACE = '<div class="live" data-live="listener"></div>'
LOAD = "document.querySelectorAll('.live').forEach(minattn.widgets.listener)"
OPENED = "document.querySelectorAll('.live').forEach(place => place.classList.add('opened'))"
LARGEST = 200_000

Open = Callable[..., Page]


def data() -> dict[str, Any]:
    text = (STATIC / FILE).read_text("utf-8")
    return json.loads(text[text.index("= {") + 2 : text.rindex(";")])


CLIPS = data()["clips"]


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A copy of what a page needs, so that a test may take something away."""
    (tmp_path / "live" / "weights").mkdir(parents=True)
    for name in (*SCRIPTS, FILE, "minattn.js", *SHEETS):
        shutil.copy(STATIC / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def open_page(browser: Browser, static: Path) -> Iterator[Open]:
    """Open a page with the player; whatever goes wrong in it fails the test at its end."""
    contexts, faults = [], []

    def start(size: dict = DESK, scripts: tuple[str, ...] = SCRIPTS, load: bool = True) -> Page:
        file = static / "listener.html"
        file.write_text(live_page("Listener", SHEETS, PLACE, scripts), encoding="utf-8")
        context = browser.new_context(viewport=size)
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri())
        if load:
            page.evaluate(LOAD)
            page.locator(".picture canvas").wait_for()
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def seek(page: Page, time: float) -> None:
    page.evaluate(
        "time => new Promise(done => { const audio = document.querySelector('audio');"
        " audio.addEventListener('seeked', () => done(), {once: true}); audio.currentTime = time; })",
        time,
    )


# --- the file ----------------------------------------------------------------------------------------


def test_the_clips_are_what_the_speaker_says_and_where_a_listener_may_attend() -> None:
    assert (STATIC / FILE).stat().st_size <= LARGEST
    found = data()
    assert (
        found["credit"]["voice"] == "June Wallack" and found["credit"]["licence"] == "CC BY-SA 3.0"
    )
    spoken = live_listener.chosen(spoken_numbers(seed=2))
    assert [clip["name"] for clip in CLIPS] == list(spoken)
    for clip, utterance in zip(CLIPS, spoken.values(), strict=True):
        sound, spans = speak(utterance)
        assert [word for word, *_ in clip["said"]] == list(utterance.target)
        starts = [start for _, start, _ in clip["said"]]
        np.testing.assert_allclose(starts, [start / 8000 for start, _ in spans], atol=0.001)
        assert clip["seconds"] == pytest.approx(len(sound) / 8000, abs=0.001)
        weights = np.array(clip["weights"])
        assert weights.shape == (len(clip["written"]), (len(log_mel(sound)) + 7) // 8)
        np.testing.assert_allclose(weights.sum(1), 1, atol=0.03)
        wave = base64.b64decode(clip["sound"])
        assert wave[:4] + wave[8:12] == b"RIFFWAVE" and wave[20] == 7  # mu-law


def test_clips_can_be_made_again_with_any_listener(tmp_path: Path) -> None:
    task = spoken_numbers(n_train=3, n_validation=3, seed=2)
    torch.manual_seed(0)
    made = live_listener.entry(Listener(N_MELS, len(task.target), d_model=6), task)
    live_listener.write(made, tmp_path)
    text = (tmp_path / "clips_listener.js").read_text("utf-8")
    assert json.loads(text[text.index("= {") + 2 : text.rindex(";")]) == made
    assert (
        "CC BY-SA 3.0"
        in json.loads((tmp_path / "clips_listener.json").read_text("utf-8"))["licence"]
    )


# --- the place ---------------------------------------------------------------------------------------


def test_it_shows_what_was_said_written_and_attended_to(open_page: Open) -> None:
    page = open_page()
    for i, clip in enumerate(CLIPS):
        page.get_by_label("clip", exact=True).select_option(str(i))
        said = " ".join(word for word, *_ in clip["said"])
        assert page.locator(".word").all_inner_texts() == said.split()
        sentence = page.locator(".sentence").inner_text()
        assert said in sentence and " ".join(clip["written"]) in sentence
        cells = "cells => cells.map(cell => Number(cell.dataset.value))"
        weights = page.locator(".cell").evaluate_all(cells)
        assert weights == [w for row in clip["weights"] for w in row]
        rows = page.locator("table.heard tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        for row, word, own in zip(rows, clip["written"], clip["weights"], strict=True):
            time = own.index(max(own)) * clip["step"]
            assert row[0] == word and row[1] == f"{time:.2f} s" and float(row[2]) <= 1
            inside = [w for w, start, end in clip["said"] if start <= time < end]
            assert row[3].endswith(inside[0] if inside else "in a pause")


def test_the_sound_is_as_long_as_the_picture_and_the_line_goes_with_it(open_page: Open) -> None:
    page = open_page()
    page.wait_for_function("document.querySelector('audio').readyState > 0")
    duration = page.evaluate("document.querySelector('audio').duration")
    clip = CLIPS[0]
    assert duration == pytest.approx(clip["seconds"], abs=0.01)
    for place, (word, start, end) in enumerate(clip["said"]):
        seek(page, (start + end) / 2)
        page.wait_for_timeout(60)
        assert page.locator(".word.now").all_inner_texts() == [word]
        line, track = page.evaluate(
            "['.line', '.track'].map(name => { const box = document.querySelector(name)"
            ".getBoundingClientRect(); return [box.left, box.width]; })"
        )
        share = (line[0] + 1 - track[0]) / track[1]
        assert share == pytest.approx((start + end) / 2 / clip["seconds"], abs=0.02)
        step = round((start + end) / 2 / clip["step"])
        column = [row[step] for row in clip["weights"]]
        if max(column) > 0.3:
            now = page.locator(".track.now").count(), page.locator("button.now").count()
            assert now == (1, 1)
            assert page.locator("button.now").inner_text().split()[-3] == clip["written"][place]


def test_a_word_that_was_written_plays_from_where_it_was_heard(open_page: Open) -> None:
    page = open_page()
    clip = CLIPS[0]
    own = clip["weights"][1]
    time = own.index(max(own)) * clip["step"]
    (start,) = [s for _, s, e in clip["said"] if s <= time < e]
    button = page.locator(".picture button").nth(1)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        f"Math.abs(document.querySelector('audio').currentTime - {start}) < 0.5"
        " && document.querySelector('audio').currentTime > 0"
    )


def test_a_click_loads_the_place_and_the_focus_goes_with_it(open_page: Open) -> None:
    page = open_page(scripts=("minattn.js",), load=False)
    # minattn.js looks for live/ beside itself
    page.get_by_role("button", name="Hear it, and watch where it attends").press("Enter")
    page.locator(".picture canvas").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "SELECT"


def test_missing_clips_are_told_kindly_and_may_be_tried_again(
    browser: Browser, static: Path
) -> None:
    (static / FILE).rename(static / "away.js")
    (static / "listener.html").write_text(live_page("Listener", SHEETS, PLACE, SCRIPTS), "utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto((static / "listener.html").as_uri())
    page.evaluate(LOAD)
    again = page.get_by_role("button", name="Try again")
    again.wait_for()
    assert "clips_listener.js could not be loaded" in page.locator(".live").inner_text()
    (static / "away.js").rename(static / FILE)
    again.click()
    page.locator(".picture canvas").wait_for()
    context.close()


def test_the_speaker_and_the_licence_stand_beside_it(open_page: Open) -> None:
    page = open_page()
    credit = page.locator(".credit")
    assert "June Wallack" in credit.inner_text() and "same licence" in credit.inner_text()
    link = credit.get_by_role("link", name="CC BY-SA 3.0")
    assert link.get_attribute("href") == "https://creativecommons.org/licenses/by-sa/3.0/"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(open_page: Open, theme: str, size: dict) -> None:
    page = open_page(size=size)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(axe_script())
    page.locator("summary").click()
    seek(page, CLIPS[0]["said"][0][2] - 0.05)
    assert page.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize("size", [NARROWEST, PHONE, DESK], ids=lambda s: str(s["width"]))
def test_it_fits_its_place(open_page: Open, size: dict) -> None:
    page = open_page(size=size, load=False)
    page.evaluate(OPENED)
    page.locator(".live").evaluate("place => place.append('...')")  # an empty place has no height
    height = "document.querySelector('.live').offsetHeight"
    before = page.evaluate(height)
    page.evaluate(LOAD)
    page.locator(".picture canvas").wait_for()
    for i in range(len(CLIPS)):
        page.get_by_label("clip", exact=True).select_option(str(i))
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        cut = (
            "parts => parts.filter(p => p.scrollWidth > p.clientWidth + 1).map(p => p.textContent)"
        )
        assert page.eval_on_selector_all(".picture button", cut) == []
        if size is not NARROWEST:
            assert page.evaluate(height) == before
