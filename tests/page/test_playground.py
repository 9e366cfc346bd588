"""The attention playground of chapter 3, in a page of its own that is opened as a file."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page

from book.tools.browsing import (
    CHROMIUM,
    DESK,
    MISSING,
    OPEN_ALL,
    PHONE,
    VIOLATIONS,
    axe_script,
    watch,
)
from minattn.dot_product import attend
from minattn.masks import Causal
from tests.page.live_page import engine_of, live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = Path(__file__).parents[2] / "book" / "_static"
ENGINE = tuple(STATIC / "live" / name for name in engine_of("playground"))
WIDGET = STATIC / "live" / "playground.js"
STYLES = (STATIC / "minattn.css", *sorted((STATIC / "live").glob("*.css")))

VALUES = [[3, 0], [0.75, 5], [0, 20], [4, 0], [0, 10], [5, 0]]
TABLET = {"width": 768, "height": 900}
NARROWEST = {"width": 320, "height": 700}
PLACE = '<div class="live" data-live="playground"></div>'
LOAD = "document.querySelectorAll('.live').forEach(minattn.widgets.playground)"
NUMBERS = """rows => rows.map(row => [...row.querySelectorAll('td')]
    .map(cell => Number(cell.dataset.value)))"""
FIELDS = """(fields, kind) => fields.filter(field => field.ariaLabel.includes(` ${kind} `))
    .map(field => Number(field.value))"""

Open = Callable[..., Page]


def html(places: int, scripts: list[Path]) -> str:
    sheets, code = ([part.as_uri() for part in parts] for parts in (STYLES, scripts))
    return live_page("Playground", sheets, PLACE * places, code)


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with the playground; whatever goes wrong in it fails the test at its end."""
    faults: list[str] = []
    contexts = []

    def start(
        size: dict = DESK,
        places: int = 1,
        scripts: tuple[Path, ...] = (*ENGINE, WIDGET),
        load: bool = True,
        scripting: bool = True,
    ) -> Page:
        file = tmp_path / "playground.html"
        file.write_text(html(places, list(scripts)), encoding="utf-8")
        context = browser.new_context(viewport=size, java_script_enabled=scripting)
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri())
        if load:
            page.evaluate(LOAD)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def table(page: Page, kind: str) -> torch.Tensor:
    """The numbers of a table as they are, not as they are shown."""
    rows = page.eval_on_selector_all(f"table.{kind} tbody tr", NUMBERS)
    return torch.tensor(rows, dtype=torch.float64)


def shown(page: Page, kind: str) -> list[list[str]]:
    rows = page.locator(f"table.{kind} tbody tr").all()
    return [[text.strip() for text in row.locator("td").all_inner_texts()] for row in rows]


def vectors(page: Page, kind: str) -> torch.Tensor:
    flat = page.eval_on_selector_all(".vectors input", FIELDS, kind)
    return torch.tensor(flat, dtype=torch.float64).view(-1, 2)


def sentence(page: Page, contains: str) -> str:
    """What is said once the hand rests."""
    said = page.locator(".sentence", has_text=contains)
    said.wait_for(timeout=5000)
    return said.inner_text()


def handle(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name)


def preset(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def drag(page: Page, name: str, dx: float, dy: float, press: str = "") -> None:
    """Drag the tip of a query or a key by so many units of the plane, and press a key half-way."""
    box = handle(page, name).locator(".mark").bounding_box()
    drawing = page.locator("svg.plane").bounding_box()
    assert box is not None and drawing is not None
    unit = drawing["width"] * 54 / 380
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx * unit / 2, y - dy * unit / 2)
    if press:
        page.keyboard.press(press)
    page.mouse.move(x + dx * unit, y - dy * unit)
    page.mouse.up()


def expected(
    page: Page, scale: float, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    query, key = vectors(page, "query"), vectors(page, "key")
    value = torch.tensor(VALUES[: len(key)], dtype=torch.float64)
    each = torch.eye(len(key), dtype=torch.float64)  # its mixture is the weights themselves
    return (
        attend(query, key, each, mask, scale=scale),
        attend(query, key, value, mask, scale=scale),
    )


def test_it_begins_with_the_numbers_of_the_figure(open_page: Open) -> None:
    page = open_page()
    assert shown(page, "scores") == [["0.00", "0.71", "2.83"], ["2.83", "0.71", "0.00"]]
    assert shown(page, "weights") == [["0.05", "0.10", "0.85"], ["0.85", "0.10", "0.05"]]
    assert shown(page, "output") == [["0.23", "17.47"], ["2.62", "1.51"]]
    assert sentence(page, "gets") == "For “twenty”, “zwanzig” gets 0.85, “und” 0.10, “drei” 0.05."


@pytest.mark.parametrize("seed", range(6))
def test_the_tables_are_what_the_package_computes(open_page: Open, seed: int) -> None:
    chance = random.Random(seed)
    page = open_page()
    n_queries, n_keys = chance.randint(1, 6), chance.randint(3, 6)
    page.get_by_label("queries", exact=True).select_option(str(n_queries))
    page.get_by_label("keys", exact=True).select_option(str(n_keys))
    page.locator("summary").click()
    for field in page.locator(".vectors input").all():
        field.fill(f"{chance.randint(-30, 30) / 10:.1f}")
    divided, power = chance.random() < 0.5, chance.choice([-0.6, 0, 0.35])
    page.get_by_label("divide the scores").set_checked(divided)
    page.get_by_label("temperature").fill(str(power))
    mask = torch.ones(n_queries, n_keys, dtype=torch.bool)
    for _ in range(chance.choice([0, 5])):
        i, j = chance.randrange(n_queries), chance.randrange(n_keys)
        page.locator("table.weights tbody tr").nth(i).locator("button").nth(j).click()
        mask[i, j] = ~mask[i, j]

    scale = (2**-0.5 if divided else 1) / 10**power
    weights, output = expected(page, scale, mask)
    torch.testing.assert_close(table(page, "weights"), weights, rtol=0, atol=1e-6)
    torch.testing.assert_close(table(page, "output"), output, rtol=0, atol=1e-6)
    scores = vectors(page, "query") @ vectors(page, "key").T * scale
    scores = scores.masked_fill(~mask, -torch.inf)
    torch.testing.assert_close(table(page, "scores"), scores, rtol=0, atol=1e-6)
    texts = [float(text) for row in shown(page, "weights") for text in row]
    assert texts == pytest.approx(weights.flatten().tolist(), abs=0.005 + 1e-9)


def test_a_query_is_dragged_and_the_weights_follow(open_page: Open) -> None:
    page = open_page()
    drag(page, "query of twenty", 2, -2)
    assert vectors(page, "query").tolist() == [[2, 0], [2, 0]]
    assert (
        sentence(page, "now") == "For “twenty”, “drei” now gets 0.85, “und” 0.10, “zwanzig” 0.05."
    )
    assert vectors(page, "key").tolist() == [[2, 0], [0.5, 0.5], [0, 2]]


def test_escape_gives_a_drag_up(open_page: Open) -> None:
    page = open_page()
    before = vectors(page, "key").tolist()
    drag(page, "key of und", 1, 0.5, press="Escape")
    assert vectors(page, "key").tolist() == before
    drag(page, "key of und", 1, 0.5)  # it can be taken again
    assert vectors(page, "key").tolist()[1] == [1.5, 1]


def test_a_key_is_dragged_and_stays_in_the_plane(open_page: Open) -> None:
    page = open_page()
    drag(page, "key of und", 1, 0.5)
    assert vectors(page, "key").tolist() == [[2, 0], [1.5, 1], [0, 2]]
    drag(page, "key of und", 9, 0)
    assert vectors(page, "key").tolist() == [[2, 0], [3, 1], [0, 2]]
    torch.testing.assert_close(table(page, "weights"), expected(page, 2**-0.5)[0])


def test_what_the_keys_move_is_told_once_and_nothing_else_is(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => new MutationObserver(changes => changes.forEach(({target}) => {
            const teller = target.closest('[role=status], output');
            if (teller && teller.ariaLive !== 'off') (window.told ??= []).push(teller.textContent);
        })).observe(document.body, {subtree: true, childList: true})"""
    )
    handle(page, "key of und").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("window.told?.at(-1).startsWith('For “twenty”')")
    assert len(page.evaluate("told")) == 1


def test_arrow_keys_move_what_has_the_focus(open_page: Open) -> None:
    page = open_page()
    und = handle(page, "key of und")
    und.focus()
    for key in ("ArrowRight", "Shift+ArrowUp", "ArrowDown", "Shift+ArrowLeft", "Tab"):
        page.keyboard.press(key)
    assert vectors(page, "key")[1].tolist() == [0.1, 0.9]
    assert und.get_attribute("aria-valuetext") == "x 0.1, y 0.9"
    for _ in range(7):
        handle(page, "query of three").press("Shift+ArrowDown")
    assert vectors(page, "query")[1].tolist() == [2, -3]
    assert page.locator("table.weights tr.chosen").inner_text().split()[0] == "three"


def test_keys_that_scroll_move_what_has_the_focus_and_not_the_page(open_page: Open) -> None:
    page = open_page(size=PHONE)
    und = handle(page, "key of und")
    und.focus()
    scrolled = page.evaluate("scrollY")
    for key, at in {
        "End": [3, 0.5],
        "PageUp": [3, 1],
        "Home": [-3, 1],
        "PageDown": [-3, 0.5],
        "Space": [-3, 0.5],
    }.items():
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        assert vectors(page, "key")[1].tolist() == pytest.approx(at, abs=1e-6), key
        assert page.evaluate("scrollY") == scrolled, key


def test_choosing_a_query_changes_what_is_shown_and_no_number(open_page: Open) -> None:
    page = open_page()
    before = table(page, "weights")
    page.get_by_role("radio", name="three").check()
    assert torch.equal(table(page, "weights"), before)
    assert handle(page, "key of drei").locator(".label").inner_html() == "drei 0.85"
    for kind in ("scores", "weights", "output"):
        assert page.locator(f"table.{kind} tr.chosen th").inner_text().strip() == "three"
    assert "(2.62, 1.51)" in (page.locator("svg.values").get_attribute("aria-label") or "")


def test_a_long_key_is_loud_and_a_short_one_is_not(open_page: Open) -> None:
    page = open_page()
    preset(page, "a long key")
    assert table(page, "weights").argmax(-1).tolist() == [1, 1]
    for _ in range(4):
        handle(page, "key of und").press("Shift+ArrowLeft")
        handle(page, "key of und").press("Shift+ArrowDown")
    assert table(page, "weights").argmax(-1).tolist() == [2, 0]


def test_a_query_across_gets_the_plain_mean(open_page: Open) -> None:
    page = open_page()
    preset(page, "a query at right angles")
    assert shown(page, "scores")[0] == ["0.00"] * 3
    assert shown(page, "weights")[0] == ["0.33"] * 3
    mean = torch.tensor(VALUES[:3], dtype=torch.float64).mean(0, keepdim=True)
    torch.testing.assert_close(table(page, "output"), mean)
    assert "all keys score the same: each now gets 0.33" in sentence(page, "the same")


def test_a_query_that_may_look_at_nothing_gets_zeros(open_page: Open) -> None:
    page = open_page()
    preset(page, "nothing to look at")
    assert table(page, "weights")[0].tolist() == [0, 0, 0]
    assert table(page, "output")[0].tolist() == [0, 0]
    assert table(page, "weights")[1].sum().item() == pytest.approx(1)
    assert "may look at nothing" in sentence(page, "nothing")
    page.get_by_role("button", name="twenty may look at drei").click()
    assert table(page, "weights")[0].tolist() == [1, 0, 0]
    assert table(page, "output")[0].tolist() == [3, 0]


def test_a_single_weight_is_forbidden_and_allowed_by_keyboard(open_page: Open) -> None:
    page = open_page()
    cell = page.get_by_role("button", name="twenty may look at zwanzig")
    assert cell.get_attribute("aria-pressed") == "true"
    cell.press("Enter")
    assert cell.get_attribute("aria-pressed") == "false"
    assert shown(page, "weights")[0] == ["0.33", "0.67", "0"]
    assert shown(page, "scores")[0] == ["0.00", "0.71", "−∞"]
    cell.press("Enter")
    assert shown(page, "weights")[0] == ["0.05", "0.10", "0.85"]


@pytest.mark.parametrize("n_queries", [1, 3, 5])
@pytest.mark.parametrize("n_keys", [3, 4])
def test_the_causal_mask_is_the_package_s(open_page: Open, n_queries: int, n_keys: int) -> None:
    page = open_page()
    page.get_by_label("queries", exact=True).select_option(str(n_queries))
    page.get_by_label("keys", exact=True).select_option(str(n_keys))
    page.get_by_role("button", name="causal").click()
    allowed = Causal().to_bool((n_queries, n_keys))
    assert torch.equal(table(page, "scores").isfinite(), allowed)
    weights, output = expected(page, 2**-0.5, allowed)
    torch.testing.assert_close(table(page, "weights"), weights, rtol=0, atol=1e-6)
    torch.testing.assert_close(table(page, "output"), output, rtol=0, atol=1e-6)


def test_reset_brings_the_example_back(open_page: Open) -> None:
    page = open_page()
    preset(page, "a long key")
    before = [table(page, kind) for kind in ("scores", "weights", "output")]
    drag(page, "key of und", -1, -1)
    page.get_by_label("temperature").fill("0.5")
    page.get_by_label("divide the scores").uncheck()
    page.get_by_label("queries", exact=True).select_option("4")
    page.get_by_role("button", name="reset").click()
    after = [table(page, kind) for kind in ("scores", "weights", "output")]
    assert all(map(torch.equal, after, before))


def test_a_number_that_is_none_changes_nothing(open_page: Open) -> None:
    page = open_page()
    page.locator("summary").click()
    field = page.get_by_label("x of the key of und")
    for text, kept in (("", 0.5), ("-", 0.5), ("99", 3), ("0.26", 0.3)):
        field.fill("")
        field.press_sequentially(text)
        field.blur()
        assert float(field.input_value()) == kept
        field.fill("0.5")
    assert shown(page, "weights")[0] == ["0.05", "0.10", "0.85"]


def test_a_number_is_read_with_a_comma_and_in_any_digits(open_page: Open) -> None:
    page = open_page()
    page.locator("summary").click()
    field = page.get_by_label("x of the key of und")
    typed = {"0,5": 0.5, "1.5": 1.5, "−2": -2, "-1,5": -1.5, "+1": 1, ",5": 0.5, "2.": 2}
    typed |= {"١٫٥": 1.5, "２．５": 2.5, "-३": -3, "𝟙": 1}
    for text, number in typed.items():
        field.fill("")
        field.press_sequentially(text)
        field.blur()
        assert float(field.input_value()) == number, text
    field.press("ArrowUp")
    assert float(field.input_value()) == pytest.approx(number + 0.1)


@pytest.mark.parametrize("text", ["0,5,1", "1e1", "half", "1 2", "--1", "½"])
def test_what_is_no_number_is_told_what_to_type(open_page: Open, text: str) -> None:
    page = open_page()
    page.locator("summary").click()
    field = page.get_by_label("x of the key of und")
    field.fill(text)
    told = page.locator(".rule")
    assert f"“{text}” is no number" in told.inner_text() and "0,5" in told.inner_text()
    assert told.get_attribute("role") == "status" and field.get_attribute("aria-invalid") == "true"
    field.blur()
    assert field.input_value() == "0.5" and field.get_attribute("aria-invalid") == "false"
    assert "is no number" not in told.inner_text()


def test_two_playgrounds_in_one_page_leave_each_other_alone(open_page: Open) -> None:
    page = open_page(places=2)
    first, second = page.locator(".live").all()
    first.get_by_role("radio", name="three").check()
    assert second.get_by_role("radio", name="twenty").is_checked()
    second.get_by_role("button", name="a long key").click()
    assert first.locator("table.weights td").first.inner_text().strip() == "0.05"


def test_without_its_engine_it_says_so(open_page: Open) -> None:
    page = open_page(scripts=(ENGINE[0], WIDGET))
    assert "attention.js is missing" in page.locator(".live").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["the chapter’s words", "nothing to look at"])
def test_axe_finds_no_violation(open_page: Open, theme: str, name: str) -> None:
    page = open_page(size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    preset(page, name)
    page.get_by_label("queries", exact=True).select_option("6")
    page.get_by_label("keys", exact=True).select_option("6")
    page.evaluate(OPEN_ALL)
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize("size", [NARROWEST, PHONE, TABLET, DESK], ids=lambda s: str(s["width"]))
def test_nothing_is_wider_than_the_screen_or_than_its_cell(open_page: Open, size: dict) -> None:
    page = open_page(size=size)
    for n in ("3", "6"):
        page.get_by_label("queries", exact=True).select_option(n)
        page.get_by_label("keys", exact=True).select_option(n)
        page.get_by_label("temperature").fill("-1")
        page.evaluate(OPEN_ALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        squeezed = (
            "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent)"
        )
        assert page.eval_on_selector_all(".tables :is(td, th)", squeezed) == []


@pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=lambda s: str(s["width"]))
def test_nothing_below_moves_when_it_is_loaded(open_page: Open, size: dict) -> None:
    page = open_page(size=size, load=False)
    height = "document.querySelector('.live').offsetHeight"
    # As minattn.js leaves it while the files come; an empty place has no height.
    page.locator(".live").evaluate(
        "place => { place.classList.add('opened'); place.append('...') }"
    )
    before = page.evaluate(height)
    page.evaluate(LOAD)
    assert page.evaluate(height) == before
    for button in page.locator(".starts button").all():
        button.click()
        assert page.evaluate(height) == before


def test_without_scripts_its_place_takes_no_room(open_page: Open) -> None:
    page = open_page(scripting=False, load=False)
    box = page.locator(".live").bounding_box()
    assert box is None or box["height"] == 0


def test_the_hand_may_grab_the_label(open_page: Open) -> None:
    page = open_page(size=PHONE)
    box = handle(page, "query of three").locator(".label").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    assert vectors(page, "query")[1].tolist() == [2, 0]  # nothing jumps
    page.mouse.move(x, y - 60)
    page.mouse.up()
    assert vectors(page, "query")[1, 1].item() > 0.5
