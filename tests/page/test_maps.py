"""The explorer of recorded attention maps of chapters 4 and 5, in a page of its own, opened as a file."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, VIOLATIONS, axe_script, watch
from tests.page.live_page import engine_of, live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

BOOK = Path(__file__).parents[2] / "book"
STATIC = BOOK / "_static"
SCRIPTS = tuple(f"live/{name}" for name in (*engine_of("maps"), "maps.js"))
SHEETS = ("minattn.css", "live/live.css", "live/maps.css")
MAPS = ("reversal", "heads")
TABLET = {"width": 768, "height": 900}
NARROWEST = {"width": 320, "height": 700}
PLACES = "document.querySelectorAll('.live')"
LOAD = f"{PLACES}.forEach(minattn.widgets.maps)"
OPENED = f"{PLACES}.forEach(place => place.classList.add('opened'))"  # as minattn.js does
SHOWN = "table.weights tbody tr"
TEXTS = "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"
CELLS = "cells => cells.map(cell => Number(cell.dataset.value))"
BARS = "bars => bars.map(bar => bar.offsetWidth / (bar.parentNode.clientWidth - 6))"

Open = Callable[..., Page]
every_map = pytest.mark.parametrize("name", MAPS)


def data(name: str) -> dict[str, Any]:
    text = (STATIC / "live" / "weights" / f"maps_{name}.js").read_text("utf-8")
    return json.loads(text[text.index("= {") + 2 : text.rindex(";")])


def html(names: tuple[str, ...], scripts: tuple[str, ...]) -> str:
    places = "".join(f'<div class="live" data-live="maps" data-maps="{n}"></div>' for n in names)
    return live_page("Maps", SHEETS, places, scripts)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A copy of what a page needs, so that a test may take something away."""
    (tmp_path / "live" / "weights").mkdir(parents=True)
    recorded = (f"live/weights/maps_{name}.js" for name in MAPS)
    for name in (*SCRIPTS, *recorded, "minattn.js", *SHEETS):
        shutil.copy(STATIC / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def faults() -> list[str]:
    return []


@pytest.fixture
def open_page(browser: Browser, static: Path, faults: list[str]) -> Iterator[Open]:
    """Open a page with the explorer; whatever goes wrong in it fails the test at its end."""
    contexts = []

    def start(
        *names: str,
        size: dict = DESK,
        scripts: tuple[str, ...] = SCRIPTS,
        load: bool = True,
        wait: bool = True,
        scripting: bool = True,
    ) -> Page:
        file = static / "maps.html"
        file.write_text(html(names, scripts), encoding="utf-8")
        context = browser.new_context(viewport=size, java_script_enabled=scripting)
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri())
        if load:
            page.evaluate(LOAD)
            if wait:
                page.locator("table.weights").first.wait_for()
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def sentence(page: Page, contains: str) -> str:
    """What is said once the hand rests."""
    said = page.locator(".sentence", has_text=contains)
    said.wait_for(timeout=5000)
    return said.inner_text()


def pick(page: Page, sequence: int, layer: int) -> None:
    page.get_by_label("list", exact=True).select_option(str(sequence))
    page.get_by_label("layer", exact=True).select_option(str(layer))


def row_of(heads: list[Any], query: int, causal: bool) -> list[list[str]]:
    """What the table has to show of a query: a row for each key, a column for each head."""
    forbidden = "–may not look"
    return [
        [forbidden if causal and key > query else f"{head[query][key]:.2f}" for head in heads]
        for key in range(len(heads[0]))
    ]


def rounded_alike(shown: list[list[str]], wanted: list[list[str]]) -> bool:
    """Whether texts are equal, up to halves, which Python and JavaScript round differently."""
    if [len(row) for row in shown] != [len(row) for row in wanted]:
        return False
    pairs = [pair for rows in zip(shown, wanted, strict=True) for pair in zip(*rows, strict=True)]
    return all(
        a == b or (a[0] != "–" != b[0] and abs(float(a) - float(b)) < 0.0101) for a, b in pairs
    )


# --- numbers -----------------------------------------------------------------------------------------


@every_map
def test_all_numbers_are_those_of_the_data(open_page: Open, name: str) -> None:
    recorded = data(name)
    page = open_page(name)
    for s, sequence in enumerate(recorded["sequences"]):
        n = len(sequence["tokens"])
        for layer, found in enumerate(sequence["layers"]):
            pick(page, s, layer)
            maps = page.locator("svg.map").all()
            assert len(maps) == len(found["heads"])
            for drawn, head in zip(maps, found["heads"], strict=True):
                wanted = [
                    weight
                    for query, row in enumerate(head)
                    for weight in (row[: query + 1] if recorded["causal"] else row)
                ]
                assert drawn.locator("rect[data-value]").evaluate_all(CELLS) == wanted
                for kind in ("query", "key"):
                    assert drawn.locator(f"text.{kind}").all_text_contents() == sequence["tokens"]
            for query in {0, n // 2, n - 1}:
                page.locator(".tokens label").nth(query).click()
                wanted_row = row_of(found["heads"], query, recorded["causal"])
                assert rounded_alike(page.eval_on_selector_all(SHOWN, TEXTS), wanted_row)
                exact = [head[query][key] for key in range(n) for head in found["heads"]]
                assert page.eval_on_selector_all(f"{SHOWN} td", CELLS) == exact
                bars = page.eval_on_selector_all(f"{SHOWN} .line", BARS)
                assert bars == pytest.approx(exact, abs=0.04)


@every_map
def test_tokens_stand_over_what_the_model_answers(open_page: Open, name: str) -> None:
    page = open_page(name)
    for s, sequence in enumerate(data(name)["sequences"]):
        pick(page, s, 0)
        assert page.locator(".tokens .token").all_inner_texts() == sequence["tokens"]
        assert page.locator(".tokens .answer").all_inner_texts() == sequence["answers"]
        heads = page.locator("table.weights tbody th").all_inner_texts()
        assert [h.split() for h in heads] == [
            [str(i + 1), token] for i, token in enumerate(sequence["tokens"])
        ]


def test_the_largest_weight_of_each_head_is_marked(open_page: Open) -> None:
    page = open_page("heads")
    heads = data("heads")["sequences"][2]["layers"][1]["heads"]
    most = page.eval_on_selector_all(
        f"{SHOWN} td",
        "cells => cells.filter(c => c.classList.contains('most')).map(c => c.textContent)",
    )
    assert sorted(most) == sorted(f"{max(head[7]):.2f}" for head in heads)


def test_one_sentence_says_where_the_heads_look(open_page: Open) -> None:
    page = open_page("reversal", "heads")
    one, four = page.locator(".sentence").all()
    page.locator(".live").nth(1).locator("table").wait_for()
    assert one.get_attribute("aria-live") == "polite"
    assert one.inner_text() == (
        "Position 1, letter y: it looks most at n, position 8 (0.88). The model answers n."
    )
    assert four.inner_text() == (
        "Position 8, letter x: head 1 looks most at itself (0.56); head 2 at v, position 3 (0.99); "
        "head 3 at v, position 3 (1.00); head 4 at v, position 3 (1.00). The model guesses v next."
    )


# --- choosing ----------------------------------------------------------------------------------------


def test_arrow_keys_choose_the_token(open_page: Open) -> None:
    page = open_page("heads")
    page.get_by_label("layer", exact=True).focus()
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert sentence(page, "Position 9").startswith("Position 9, letter v: head 1")
    assert page.locator("svg.map text.looking").all_text_contents() == ["v"] * 4
    assert page.locator("tr.self th").inner_text().split() == ["9", "v"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowUp")
    assert sentence(page, "Position 9").startswith("Position 9, letter v: head 1")
    wanted = row_of(data("heads")["sequences"][2]["layers"][0]["heads"], 8, causal=True)
    assert rounded_alike(page.eval_on_selector_all(SHOWN, TEXTS), wanted)


def test_pointing_shows_a_row_and_a_click_keeps_it(open_page: Open) -> None:
    page = open_page("heads")
    looking = page.locator(".tokens .looking .token")
    first, last = page.locator("svg.map").first, page.locator("svg.map").last
    box = first.bounding_box()
    assert box is not None
    x, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"] - 5
    page.mouse.move(x, bottom)
    assert looking.inner_text() == "s"
    assert page.locator(".tokens input:checked").get_attribute("value") == "7"
    page.mouse.move(x, box["y"] - 200)
    assert looking.inner_text() == "x"
    last.click(position={"x": 60, "y": box["height"] - 5})
    page.mouse.move(2, 2)
    assert looking.inner_text() == "s"
    assert page.locator(".tokens input:checked").get_attribute("value") == "12"
    first.click(position={"x": 60, "y": 3})  # above the rows
    page.mouse.move(2, 2)
    assert looking.inner_text() == "s"
    page.locator(".tokens label").nth(1).hover()
    assert looking.inner_text() == "x"


def test_a_tap_on_a_map_chooses(browser: Browser, open_page: Open) -> None:
    page = open_page("reversal", size=PHONE)
    box = page.locator("svg.map").bounding_box()
    assert box is not None
    page.locator("svg.map").dispatch_event(
        "click", {"clientX": box["x"] + 90, "clientY": box["y"] + box["height"] - 8}
    )
    assert sentence(page, "end mark").startswith("Position 9, the end mark: it looks most at k")


def test_two_explorers_in_one_page_leave_each_other_alone(open_page: Open) -> None:
    page = open_page("heads", "heads")
    first, second = page.locator(".live").all()
    second.locator("table").wait_for()
    first.locator(".tokens label").nth(2).click()
    assert second.locator(".looking .token").inner_text() == "x"
    assert second.locator("input:checked").get_attribute("value") == "7"


# --- loading -----------------------------------------------------------------------------------------


def test_a_click_loads_the_place_and_the_focus_goes_with_it(open_page: Open) -> None:
    page = open_page("reversal", scripts=("minattn.js",), load=False)
    assert page.evaluate("window.minattn") is None
    page.locator(".live button").press("Enter")
    page.locator("table.weights").wait_for()
    assert page.get_by_label("list", exact=True).evaluate("menu => menu === document.activeElement")


def test_missing_data_are_told_kindly_and_may_be_tried_again(
    open_page: Open, static: Path, faults: list[str]
) -> None:
    file = static / "live" / "weights" / "maps_heads.js"
    file.rename(static / "away.js")
    page = open_page("heads", wait=False)
    again = page.get_by_role("button", name="Try again")
    again.wait_for()
    assert "maps_heads.js could not be loaded" in page.locator("[role=status]").inner_text()
    assert faults and all("maps_heads.js" in f or "ERR_FILE_NOT_FOUND" in f for f in faults)
    faults.clear()
    (static / "away.js").rename(file)
    again.click()
    page.locator("table.weights").wait_for()


def test_broken_data_are_told_kindly(open_page: Open, static: Path, faults: list[str]) -> None:
    file = static / "live" / "weights" / "maps_heads.js"
    file.write_text(file.read_text("utf-8")[:5000], "utf-8")
    page = open_page("heads", wait=False)
    page.get_by_role("button", name="Try again").wait_for()
    assert "cut short or broken" in page.locator("[role=status]").inner_text()
    assert len(faults) == 1 and faults[0].startswith("script error")
    faults.clear()


def test_data_without_sequences_are_told_kindly(open_page: Open, static: Path) -> None:
    file = static / "live" / "weights" / "maps_heads.js"
    file.write_text('minattn.maps["heads"] = {"sequences": []};', "utf-8")
    page = open_page("heads", wait=False)
    page.get_by_role("button", name="Try again").wait_for()
    assert "holds no sequences" in page.locator("[role=status]").inner_text()


def test_without_its_engine_it_says_so(open_page: Open) -> None:
    page = open_page("heads", scripts=("live/elements.js", "live/maps.js"), wait=False)
    page.get_by_role("button", name="Try again").wait_for()
    assert "loading.js is missing" in page.locator(".live").inner_text()


# --- the look ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@every_map
def test_axe_finds_no_violation(open_page: Open, name: str, theme: str, size: dict) -> None:
    page = open_page(name, size=size)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(axe_script())
    for sequence in (2, 5):
        pick(page, sequence, 1)
        page.wait_for_timeout(50)  # until the size of the new maps is known
        assert page.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize("size", [NARROWEST, PHONE, TABLET, DESK], ids=lambda s: str(s["width"]))
@every_map
def test_the_page_does_not_scroll_sideways(open_page: Open, name: str, size: dict) -> None:
    page = open_page(name, size=size)
    for sequence in range(6):
        pick(page, sequence, 1)
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        squeezed = (
            "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent)"
        )
        assert page.eval_on_selector_all(".weights :is(td, th)", squeezed) == []
        wide, reachable = page.locator(".heads").evaluate(
            "box => [box.scrollWidth > box.clientWidth, box.tabIndex === 0]"
        )
        assert wide == reachable
        smallest = page.eval_on_selector_all(
            "svg.map text",
            "texts => Math.min(...texts.map(t => parseFloat(getComputedStyle(t).fontSize)"
            " * t.ownerSVGElement.getScreenCTM().a))",
        )
        assert smallest >= 9.99
        cut = "texts => texts.filter(t => t.getBBox().x < 0).map(t => t.textContent)"
        assert page.eval_on_selector_all("svg.map text:not([transform])", cut) == []


@pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=lambda s: str(s["width"]))
@every_map
def test_nothing_below_moves_when_it_is_loaded(open_page: Open, name: str, size: dict) -> None:
    page = open_page(name, size=size, load=False)
    page.evaluate(OPENED)
    page.locator(".live").evaluate("place => place.append('...')")  # an empty place has no height
    height = "document.querySelector('.live').offsetHeight"
    before = page.evaluate(height)
    page.evaluate(LOAD)
    page.locator("table.weights").wait_for()
    assert page.evaluate(height) == before
    if size is DESK:  # on less, a longer list takes more rows
        for sequence in range(6):
            pick(page, sequence, 1)
            assert page.evaluate(height) == before
    tops = set()
    for position, label in enumerate(page.locator(".tokens label").all(), 1):
        label.click()
        sentence(page, f"Position {position},")
        tops.add(page.locator(".heads").evaluate("box => box.offsetTop"))
    assert len(tops) == 1, "a longer sentence moves no map"


def test_its_place_takes_no_room_without_scripts_and_in_print(open_page: Open) -> None:
    page = open_page("heads", scripting=False, load=False)
    box = page.locator(".live").bounding_box()
    assert box is None or box["height"] == 0
    page = open_page("heads")
    page.emulate_media(media="print")
    assert page.locator(".live").bounding_box() is None


@every_map
def test_the_chapter_has_its_place_once(name: str) -> None:
    text = (BOOK / "chapters" / f"{data(name)['chapter']}.md").read_text("utf-8")
    place = f'<div class="live" data-live="maps" data-maps="{name}"></div>'
    assert text.count(place) == text.count('data-live="maps"') == 1
