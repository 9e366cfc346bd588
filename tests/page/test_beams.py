"""The beam search of chapter 8 in the page: its result is that of minattn.decoding, and what is shown of it."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, ROOT, VIOLATIONS, axe_script
from minattn.decoding import beam_search
from minattn.tasks import Task, number_example, number_words
from minattn.translation import greedy
from tests.page.live_page import engine_of, engine_page, place_pages
from tests.page.test_live import exported

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
LIVE = STATIC / "live"
PLACE = '<div class="live" data-live="beams"></div>'
HEIGHT = "document.querySelector('.live').offsetHeight"
SMALL = """parts => parts.filter(part => part.getClientRects().length)
    .map(part => [part.textContent || part.id, part.getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([name]) => name)"""
SEARCH = """async ([name, sources, options]) => {
    const model = await minattn.loadModel(name);
    return sources.map((source) => minattn.beamSearch(model, source, {...options, maxLength: 26}));
}"""

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with the search, as minattn.js does after a click; what goes wrong in it fails the test."""
    with place_pages(browser, tmp_path, "Beams") as start:

        def opened(size: dict = DESK, click: bool = True) -> Page:
            page = start(PLACE, size)
            if click:
                page.get_by_role("button", name="Watch a beam search").click()
                verdict(page)
            return page

        yield opened


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with engine_page(browser, tmp_path_factory.mktemp("blank"), engine_of("beams")) as page:
        yield page


@pytest.fixture(scope="module")
def task() -> Task:
    return number_words(n_train=1)


def verdict(page: Page) -> str:
    page.locator(".result:not([aria-busy]) .verdict:not(:empty)").wait_for()
    return page.locator(".verdict").inner_text()


def rows(page: Page, kind: str) -> list[str]:
    return page.locator(f".steps tbody .{kind} th").all_inner_texts()


# --- the search ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_beams", "alpha"),
    [
        ("fixed", 1, 0.0),
        ("fixed", 2, 0.0),
        ("fixed", 3, 0.7),
        ("fixed", 5, 2.0),
        ("transformer", 4, 0.3),
    ],
)
def test_beams_are_those_of_minattn(
    name: str, n_beams: int, alpha: float, engine: Page, task: Task
) -> None:
    """Of 50 held-out numbers, five of each length: every beam, in its place, with both its numbers."""
    examples = [e for length in range(3, 13) for e in task.held_out_of(length)[:5]]
    source = task.batch(examples).source
    model = exported(name, task)
    ours = beam_search(model.double(), source, 26, n_beams=n_beams, alpha=alpha)
    options = {"nBeams": n_beams, "alpha": alpha}
    told = SEARCH.replace("26}))", "26}).beams)")  # the steps are many
    theirs = engine.evaluate(told, [name, [list(e.source) for e in examples], options])
    assert len(theirs) == 50
    for i, found in enumerate(theirs):
        for j, beam in enumerate(found):
            ids = ours.ids[i, j, : ours.lengths[i, j]].tolist()
            assert beam["words"] == task.target.decode(ids), examples[i].source
            assert beam["ended"] == (ids[-1] == 2)
            assert beam["logProbability"] == pytest.approx(ours.log_probs[i, j].item(), abs=1e-6)
            assert beam["score"] == pytest.approx(ours.scores[i, j].item(), abs=1e-6)
        assert len(found) == n_beams


def test_every_step_tells_what_is_kept_and_what_is_dropped(engine: Page, task: Task) -> None:
    options = {"nBeams": 3, "alpha": 0.5}
    words = list(number_example(914_054).source)
    (found,) = engine.evaluate(SEARCH, ["fixed", [words], options])
    beams = [{"words": [], "ended": False}]
    for step in found["steps"]:
        assert len(step) == sum(1 if beam["ended"] else len(task.target) for beam in beams)
        scores = [candidate["score"] for candidate in step]
        assert scores == sorted(scores, reverse=True)
        assert [candidate["kept"] for candidate in step] == [i < 3 for i in range(len(step))]
        for candidate in step:
            before, word = beams[candidate["from"]], candidate["word"]
            said = [] if word in (None, "<eos>") else [word]
            assert candidate["words"] == [*before["words"], *said]
            assert candidate["ended"] == (word in (None, "<eos>"))
            length = len(candidate["words"]) + candidate["ended"]
            wanted = candidate["logProbability"] / ((5 + length) / 6) ** 0.5
            assert candidate["score"] == pytest.approx(wanted)
        beams = [candidate for candidate in step if candidate["kept"]]
    assert all(beam["ended"] for beam in beams)
    assert [beam["words"] for beam in found["beams"]] == [beam["words"] for beam in beams]


def test_one_beam_is_greedy(engine: Page, task: Task) -> None:
    words = [list(number_example(n).source) for n in (7, 914_054, 749_562_111_997)]
    found = engine.evaluate(SEARCH, ["fixed", words, {"nBeams": 1}])
    source = task.batch([number_example(n) for n in (7, 914_054, 749_562_111_997)]).source
    ours = greedy(exported("fixed", task), source, 26)
    assert [run["beams"][0]["words"] for run in found] == [
        task.target.decode(ids) for ids in ours.tolist()
    ]


# --- what is shown ---------------------------------------------------------------------------------------


def test_what_the_chapter_and_the_hint_say_is_so(open_page: Open, task: Task) -> None:
    page = open_page()
    chapter = (ROOT / "book" / "chapters" / "08_decoding.md").read_text("utf-8")
    hint = page.locator(".hint").inner_text()
    for number in ("914,054", "173,745"):
        assert number in chapter and number in hint
    width, field = page.get_by_label("beams", exact=True), page.get_by_label("A number")
    said, likeliest = {}, {}
    for number in ("914,054", "173,745"):
        field.fill(number)
        field.press("Enter")
        for n in ("1", "2"):
            width.select_option(n)
            said[number, n] = verdict(page)
            likeliest[number, n] = float(
                page.locator(".found td").first.inner_text().replace("−", "-")
            )
    assert said["914,054", "1"].endswith("One beam does not find it.")
    assert said["914,054", "2"].endswith("2 beams find it.")
    assert said["173,745", "1"].endswith("One beam finds it.")
    assert "2 beams find it" not in said["173,745", "2"]
    assert likeliest["173,745", "2"] > likeliest["173,745", "1"]
    page.get_by_label("model").select_option("transformer")
    assert "is right" not in verdict(page)
    assert page.locator(".found tr b").count() == 1


def test_the_candidates_of_a_step_are_those_of_the_search(open_page: Open, engine: Page) -> None:
    page = open_page()
    words = list(number_example(914_054).source)
    (found,) = engine.evaluate(SEARCH, ["fixed", [words], {"nBeams": 4, "alpha": 0.3}])
    page.get_by_label("beams", exact=True).select_option("4")
    page.get_by_label("length penalty").fill("0.3")
    page.wait_for_timeout(500)  # it searches when the hand rests
    verdict(page)
    slider = page.get_by_label("step", exact=True)
    assert slider.get_attribute("max") == str(len(found["steps"]))
    for i, step in enumerate(found["steps"]):
        slider.fill(str(i + 1))
        kept, dropped = rows(page, "kept"), rows(page, "dropped")
        assert len(kept) == 4 and len(dropped) == min(4, len(step) - 4)
        numbers = page.locator(".steps tbody td:last-child").all_inner_texts()
        for text, shown, candidate in zip([*kept, *dropped], numbers, step, strict=False):
            word = candidate["word"] or "(has ended)"
            assert text.endswith(word)
            said = candidate["words"] if candidate["word"] is None else candidate["words"][:-1]
            if candidate["word"] == "<eos>":
                said = candidate["words"]
            assert " ".join(said[-3:]) in text
            assert float(shown.replace("−", "-")) == pytest.approx(candidate["score"], abs=0.006)
    shown = page.locator(".found tbody th").all_inner_texts()
    assert [text.replace(" ✓ right", "") for text in shown] == [
        " ".join(beam["words"]) for beam in found["beams"]
    ]


def test_steps_are_gone_through_by_buttons_and_by_keyboard(open_page: Open) -> None:
    page = open_page()
    slider = page.get_by_label("step", exact=True)
    back, onward = (page.get_by_role("button", name=name) for name in ("Step back", "Next step"))
    slider.fill("1")
    expect(back).to_be_disabled()
    onward.click()
    assert slider.input_value() == "2"
    assert slider.get_attribute("aria-valuetext") == f"2 of {slider.get_attribute('max')}"
    slider.focus()
    page.keyboard.press("End")
    expect(onward).to_be_disabled()
    page.keyboard.press("ArrowLeft")
    back.click()
    assert int(slider.input_value()) == int(slider.get_attribute("max") or 0) - 2
    assert "Step " in page.locator(".steps caption").inner_text()


def test_another_width_keeps_the_step(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("step", exact=True).fill("4")
    page.get_by_label("beams", exact=True).select_option("5")
    verdict(page)
    assert page.get_by_label("step", exact=True).input_value() == "4"
    assert len(rows(page, "kept")) == 5


@pytest.mark.parametrize("text", ["0", "abc", "", "1000000000000", "9" * 400])
def test_wrong_input_gets_a_kind_sentence_and_keeps_the_rest(open_page: Open, text: str) -> None:
    page = open_page()
    field = page.get_by_label("A number")
    field.fill(text)
    field.press("Enter")
    message = page.locator(".message")
    assert "Type a whole number from 1 to 999,999,999,999" in message.inner_text()
    assert "Below is still 914,054." in message.inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == message.get_attribute("id")
    assert verdict(page).startswith("914,054 is ")
    field.fill("45")
    field.press("Enter")
    expect(page.locator(".verdict")).to_contain_text("45 is forty five.")
    assert message.inner_text() == ""
    assert field.get_attribute("aria-invalid") is None


# Loads the model only when it is let go.
HELD = (
    "let free = new Promise((go) => { window.go = go; });"
    "minattn.loadModel = ((load) => (name) => "
    "name === 'fixed' ? load(name) : free.then(() => load(name)))(minattn.loadModel); 0"
)


def test_wrong_input_while_it_loads_does_not_leave_it_busy(open_page: Open) -> None:
    page = open_page()
    page.evaluate(HELD)
    page.get_by_label("model").select_option("transformer")
    field = page.get_by_label("A number")
    field.fill("hello")
    field.press("Enter")
    page.evaluate("window.go()")
    expect(page.locator(".result")).not_to_have_attribute("aria-busy", "true")
    assert "Below is still 914,054." in page.locator(".message").inner_text()
    # What is chosen beside a wrong number is done with the last one.
    page.get_by_label("beams").select_option("1")
    expect(page.locator(".verdict")).to_contain_text("914,054 is ")
    expect(page.locator(".verdict")).to_contain_text("One beam finds it.")
    assert "Below is still 914,054." in page.locator(".message").inner_text()
    assert field.get_attribute("aria-invalid") == "true"


def test_a_link_brings_back_what_is_shown(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("A number").fill("173,745")
    page.get_by_label("A number").press("Enter")
    page.get_by_label("beams").select_option("3")
    page.get_by_label("length penalty").fill("0.4")
    link = page.get_by_role("link", name="A link to this")
    expect(link).to_have_attribute(
        "href", re.compile(r"\?live=beams&number=173745&model=fixed&beams=3&alpha=0\.4$")
    )
    said = page.locator(".found").inner_text()
    state = parse_qsl(urlsplit(link.get_attribute("href") or "").query)
    page.evaluate(
        "state => minattn.widgets.beams(document.querySelector('.live'), new URLSearchParams(state))",
        state,
    )
    expect(page.locator(".found")).to_have_text(said, use_inner_text=True)
    assert page.get_by_label("beams").input_value() == "3"
    assert page.locator("output").first.inner_text() == "0.4"


def test_while_it_loads_it_says_so_and_the_newest_question_wins(open_page: Open) -> None:
    page = open_page()
    page.evaluate(HELD)
    menu = page.get_by_label("model")
    menu.select_option("transformer")
    assert page.locator(".message").inner_text() == "Loading the model …"
    assert page.locator(".result").get_attribute("aria-busy") == "true"
    menu.select_option("fixed")
    said = verdict(page)
    page.evaluate("window.go()")
    page.wait_for_function("minattn.weights.transformer !== undefined")
    page.wait_for_timeout(200)
    assert menu.input_value() == "fixed" and verdict(page) == said


# --- room and looks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_nothing_is_wider_than_the_screen_and_nothing_moves_when_it_is_loaded(
    open_page: Open, width: int
) -> None:
    page = open_page(size={"width": width, "height": 900}, click=False)
    page.evaluate("document.querySelector('.live').classList.add('opened')")
    before = page.evaluate(HEIGHT)
    page.evaluate("document.querySelector('.live').classList.remove('opened')")
    page.get_by_role("button", name="Watch a beam search").click()
    verdict(page)
    if width >= 375:
        assert page.evaluate(HEIGHT) == before
    for n in ("1", "5"):
        page.get_by_label("beams", exact=True).select_option(n)
        verdict(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    field = page.get_by_label("A number")
    field.fill("777777777777")
    field.press("Enter")
    expect(page.locator(".verdict")).to_contain_text("777,777,777,777 is")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    controls = page.locator(".beams :is(button, select, input:not([type=range]))")
    assert controls.evaluate_all(SMALL) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(open_page: Open, theme: str) -> None:
    page = open_page(size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
    field = page.get_by_label("A number")
    field.fill("abc")
    field.press("Enter")
    assert page.evaluate(VIOLATIONS) == []


def test_the_models_are_named_as_their_cards_name_them(open_page: Open) -> None:
    page = open_page()
    for entry in page.get_by_label("model").locator("option").all():
        card = LIVE / "weights" / f"{entry.get_attribute('value')}.json"
        assert entry.inner_text() == json.loads(card.read_text("utf-8"))["title"]


def test_the_chapter_has_its_place() -> None:
    text = (ROOT / "book" / "chapters" / "08_decoding.md").read_text("utf-8")
    assert len(re.findall(r'<div class="live" data-live="beams"></div>', text)) == 1
