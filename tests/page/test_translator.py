"""The live translator of chapters 1, 2 and 6, in a page of its own that is opened as a file."""

import functools
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect

from book.tools import live
from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, ROOT, VIOLATIONS, axe_script, watch
from minattn.alignment import alignment_accuracy
from minattn.recording import recording
from minattn.tasks import Task, gold_alignment, number_example, number_words
from minattn.translation import Translator, translate
from tests.page.live_page import engine_of, live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
LIVE = STATIC / "live"
SCRIPTS = (*engine_of("translator"), "translator.js")
NAMES = sorted(live.MODELS)
every_model = pytest.mark.parametrize("name", NAMES)
every_size = pytest.mark.parametrize(
    "size",
    [{"width": width, "height": 812} for width in (320, 375, 768, 1280)],
    ids=lambda size: str(size["width"]),
)

TABLET = {"width": 768, "height": 900}
LONG = 749_562_111_997  # the fixed vector gets eight of its words wrong
NUMBERS = (7, 723, 723_045, 101_101_101, LONG)
ADVICE = "Type a whole number from 1 to 999,999,999,999"
LOAD = "document.querySelectorAll('.live').forEach((place) => minattn.widgets.translator(place))"
HEIGHT = "document.querySelector('.live').offsetHeight"
WIDTH = "document.documentElement.scrollWidth"
EDGES = """parts => parts.filter(part => part.getClientRects().length)
    .map(part => part.getBoundingClientRect()).map(box => [box.left, box.right])"""

Open = Callable[..., Page]


def html(live: Path, places: list[tuple[str, str]], scripts: tuple[str, ...]) -> str:
    sheets = (STATIC / "minattn.css", LIVE / "live.css", LIVE / "translator.css")
    live_places = "".join(
        f'<div class="live opened" data-live="translator" data-model="{name}" data-number="{number}"></div>'
        for name, number in places
    )
    return live_page(
        "Translator",
        [sheet.as_uri() for sheet in sheets],
        live_places,
        [(live / name).as_uri() for name in scripts],
    )


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with translators; whatever goes wrong in it fails the test at its end."""
    faults: list[str] = []
    expected: list[str] = []
    contexts = []

    def start(
        *places: tuple[str, str],
        size: dict = DESK,
        live: Path = LIVE,
        scripts: tuple[str, ...] = SCRIPTS,
        still: bool = True,
        load: bool = True,
        scripting: bool = True,
        may_miss: str | None = None,
    ) -> Page:
        file = tmp_path / "translator.html"
        every = list(places) or [("multiplicative", "723,045")]
        file.write_text(html(live, every, scripts), encoding="utf-8")
        context = browser.new_context(
            viewport=size,
            java_script_enabled=scripting,
            reduced_motion="reduce" if still else "no-preference",
        )
        contexts.append(context)
        if may_miss:
            expected.append(may_miss)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri())
        if load:
            page.evaluate(LOAD)
        return page

    yield start
    for context in contexts:
        context.close()
    unexpected = [
        fault
        for fault in faults
        if not any(name in fault or "ERR_FILE_NOT_FOUND" in fault for name in expected)
    ]
    assert unexpected == []


@pytest.fixture(scope="module")
def task() -> Task:
    return number_words(n_train=1)


@functools.cache
def exported(name: str) -> Translator:
    """Make a model of minattn with the weights that the page has, as the tests of the engine do."""
    path = Path(__file__).with_name("test_live.py")
    spec = importlib.util.spec_from_file_location("live_tests", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.exported(name, number_words(n_train=1))


def words_of(page: Page | Locator) -> list[str]:
    return page.locator(".target .word").all_inner_texts()


def ask(page: Page | Locator, text: str) -> None:
    field = page.get_by_label("A number")
    field.fill(text)
    field.press("Enter")


def done(page: Page | Locator) -> str:
    """Wait for the outcome, and return it."""
    verdict = page.locator(".result:not(.writing) .verdict").first
    verdict.wait_for(timeout=10_000)
    return verdict.inner_text()


def chosen(page: Page | Locator) -> str:
    return page.locator(".target [aria-pressed='true'] .word").inner_text()


def table(page: Page | Locator) -> list[tuple[str, float]]:
    """The words of the table without their places, and their weights."""
    rows = page.locator(".looks tbody tr").all()
    cells = [(row.locator("th").inner_text(), row.locator("td").inner_text()) for row in rows]
    return [(re.sub(r" \(.*\)", "", word), float(weight)) for word, weight in cells]


# --- what is shown ---------------------------------------------------------------------------------------


@every_model
def test_the_words_are_those_that_minattn_writes(name: str, open_page: Open, task: Task) -> None:
    examples = [number_example(number) for number in NUMBERS]
    ours = translate(exported(name), task, examples)
    page = open_page((name, "723"))
    done(page)
    for number, example, written in zip(NUMBERS, examples, ours, strict=True):
        ask(page, str(number))
        page.locator(".right", has_text=f"{number:,} is").wait_for()
        assert words_of(page) == [*written, "<eos>"]
        assert page.locator(".source li").all_inner_texts() == [*example.source, "<eos>"]
        assert page.locator(".right").inner_text() == f"{number:,} is {' '.join(example.target)}."
        is_right = written == list(example.target)
        assert (done(page) == "Right, every word.") == is_right
        assert (page.locator(".target .wrong").count() > 0) == (not is_right)


def forced(name: str, task: Task, number: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    batch = task.batch([number_example(number)])
    model = exported(name)
    with torch.no_grad(), recording(model) as found:
        logits = model(batch.source, batch.target_in)[0]
    weights = {key: torch.cat(calls, dim=-2)[0] for key, calls in found.calls.items()}
    return logits.softmax(-1), weights


@pytest.mark.parametrize("name", ["additive", "one_way", "transformer"])
def test_weights_and_probabilities_are_those_of_minattn(
    name: str, open_page: Open, task: Task
) -> None:
    probabilities, found = forced(name, task, 723_045)
    weights = found["decoder.blocks.1.cross_attention"][1] if name == "transformer" else found[""]
    page = open_page((name, "723045"))
    assert done(page) == "Right, every word."
    source = page.locator(".source li").all_inner_texts()
    for t, button in enumerate(page.locator(".target button").all()):
        shown = float(button.locator("small").inner_text())
        assert shown == pytest.approx(probabilities[t].max().item(), abs=0.006)
        button.hover()
        rows = table(page)
        order = weights[t].argsort(descending=True)
        assert rows[0][0] == source[order[0]]
        assert page.locator(".source .best").inner_text() == source[order[0]]
        values = weights[t][order]
        wanted = [*values[:4].tolist(), values[4:].sum().item()]
        assert [weight for _, weight in rows] == pytest.approx(wanted, abs=0.006)
        drawn = page.locator(".links .chosen path").count()
        assert drawn == (weights[t] >= 0.04).sum()


def test_a_line_is_as_thick_as_its_weight_and_joins_its_words(open_page: Open) -> None:
    page = open_page(("multiplicative", "723"))
    done(page)
    page.get_by_role("button", name="three").hover()
    line = page.locator(".links .chosen path").first
    assert float(line.get_attribute("stroke-width") or 0) == pytest.approx(
        7 * table(page)[0][1], abs=0.05
    )
    above = page.locator(".source .best").bounding_box()
    below = page.locator(".target [aria-pressed='true']").bounding_box()
    assert above and below
    start, end = line.evaluate(
        """line => [0, line.getTotalLength()].map(at => {
            const {x, y} = line.getPointAtLength(at).matrixTransform(line.getScreenCTM());
            return [x, y];
        })"""
    )
    assert start == pytest.approx(
        [above["x"] + above["width"] / 2, above["y"] + above["height"]], abs=1
    )
    assert end == pytest.approx([below["x"] + below["width"] / 2, below["y"]], abs=1)


def test_a_fixed_vector_has_no_weights_and_says_so(open_page: Open) -> None:
    page = open_page(("fixed", "723"))
    done(page)
    assert page.locator(".looks table").count() == 0
    assert "the same vector" in page.locator(".looks").inner_text()
    assert page.locator(".links circle").count() == 1


def test_wrong_words_are_told_and_marked(open_page: Open) -> None:
    page = open_page(("fixed", str(LONG)))
    verdict = done(page)
    assert verdict == "Wrong at word 1: “five” where “seven” was asked. 7 more mistakes are marked."
    assert page.locator(".target .wrong").count() == 8
    first = page.locator(".target .wrong").first
    assert "wrong: seven was asked" in (first.text_content() or "")
    assert "✗" in first.inner_text()
    assert page.locator(".right b").all_inner_texts()[0] == "seven"
    assert chosen(page) == "five"


@pytest.mark.parametrize(
    ("written", "says", "n_marked"),
    [
        ("seven hundred and three", "Wrong after word 3: “twenty” is missing.", 0),
        ("hundred and twenty three", "Wrong from the start: “seven” is missing.", 0),
        ("seven hundred and twenty three four", "Wrong at word 6: “four” is too much.", 1),
        (
            "six hundred twenty three",
            "Wrong at word 1: “six” where “seven” was asked. One more mistake is marked.",
            1,
        ),
        ("", "Wrong from the start: “seven” is missing. 4 more mistakes are marked.", 0),
    ],
)
def test_what_is_missing_or_too_much_is_told(
    open_page: Open, written: str, says: str, n_marked: int
) -> None:
    """With a model that writes what it is told, whatever was asked."""
    page = open_page(("multiplicative", "723"))
    done(page)
    page.evaluate(
        """async (words) => {
            const model = await minattn.loadModel('multiplicative');
            let next = 0;
            model.step = (token, state, {tokens}) => ({
                logits: model.target.tokens.map((word) => word === words[next] ? 9 : 0),
                state: next++, weights: {attend: [tokens.map(() => 1 / tokens.length)]}, selfWeights: {},
            });
        }""",
        [*written.split(), "<eos>"],
    )
    ask(page, "723")
    expect(page.locator(".verdict")).to_have_text(says)
    assert page.locator(".target .wrong").count() == n_marked


def test_right_words_at_the_start_stay_right_and_a_runaway_is_cut(open_page: Open) -> None:
    page = open_page(("multiplicative", "100,000,000,000"))
    verdict = done(page)
    assert verdict.startswith("Wrong at word 3: “and” ")
    assert "It found no end by itself. Numbers with so many zeros hardly occur" in verdict
    assert page.locator(".target button").count() == 26


def test_heads_can_be_chosen_and_averaged(open_page: Open, task: Task) -> None:
    _, found = forced("transformer", task, 723_045)
    page = open_page(("transformer", "723,045"))
    done(page)
    block, head = (page.get_by_label(name, exact=True) for name in ("block", "head"))
    assert (block.input_value(), head.input_value()) == ("1", "1")
    page.get_by_role("button", name="twenty").hover()
    for b, i in ((0, 0), (0, 3), (1, 2), (1, None)):
        block.select_option(index=b)
        head.select_option(index=4 if i is None else i)
        weights = found[f"decoder.blocks.{b}.cross_attention"]
        row = (weights.mean(0) if i is None else weights[i])[3]
        assert chosen(page) == "twenty"
        assert table(page)[0][1] == pytest.approx(row.max().item(), abs=0.006)
    ask(page, "45")
    page.locator(".right", has_text="45 is").wait_for()
    assert head.input_value() == "mean", "another number keeps the head"
    page.get_by_label("model").select_option("additive")
    expect(block).to_be_hidden()


def test_the_head_that_is_called_best_is_the_best(task: Task) -> None:
    batch, gold = task.batch(task.held_out), gold_alignment(task.held_out)
    model = exported("transformer")
    with torch.no_grad(), recording(model) as record:
        model(batch.source, batch.target_in)
    scores = {
        (block, head): alignment_accuracy(
            record.weights(f"decoder.blocks.{block}.cross_attention")[:, head], gold
        )
        for block in range(2)
        for head in range(4)
    }
    block, head = max(scores, key=lambda at: scores[at])
    script = (LIVE / "translator.js").read_text("utf-8")
    assert f"best: {{ block: {block}, head: {head} }}" in script
    assert f"Head {head + 1} of block {block + 1} follows them best" in script


def test_the_menu_has_every_model_by_its_title(open_page: Open) -> None:
    page = open_page()
    offered = {
        entry.get_attribute("value"): entry.text_content()
        for entry in page.get_by_label("model").locator("option").all()
    }
    cards = {name: json.loads((LIVE / "weights" / f"{name}.json").read_text()) for name in NAMES}
    assert offered == {name: card["title"] for name, card in cards.items()}
    broken = page.locator("optgroup[label='broken on purpose'] option").evaluate_all(
        "all => all.map(entry => entry.value)"
    )
    assert sorted(broken) == ["no_temperature", "one_way"]


# --- using it --------------------------------------------------------------------------------------------


def test_words_come_one_by_one_unless_all_are_wanted(open_page: Open) -> None:
    page = open_page(("multiplicative", "7"), still=False)
    assert done(page) == "Right, every word."  # what it begins with is there at once
    coming, all_of_them = (
        page.locator(".target .coming"),
        page.get_by_role("button", name="Show all"),
    )
    expect(all_of_them).to_be_hidden()
    ask(page, "723,045")
    expect(all_of_them).to_be_visible()
    assert coming.count() > 0
    assert not page.locator(".verdict").is_visible()
    height = page.evaluate(HEIGHT)
    all_of_them.click()
    assert coming.count() == 0
    assert done(page) == "Right, every word."
    assert page.evaluate(HEIGHT) == height
    assert page.evaluate("document.activeElement.matches('.target button')")
    expect(all_of_them).to_be_hidden()
    ask(page, "45")
    expect(page.locator(".verdict")).to_have_text("Right, every word.")
    assert words_of(page) == ["forty", "five", "<eos>"]


def test_with_reduced_motion_all_words_come_at_once(open_page: Open) -> None:
    page = open_page(("multiplicative", "7"))
    done(page)
    ask(page, str(LONG))
    page.locator(".right", has_text="749,562,111,997").wait_for()
    assert page.locator(".coming").count() == 0
    assert page.locator(".verdict").is_visible()


def test_the_newest_question_wins(open_page: Open) -> None:
    page = open_page(("multiplicative", "7"), still=False)
    done(page)
    for number in ("723", "999,999", "45"):
        ask(page, number)
    expect(page.locator(".verdict")).to_be_visible()
    assert words_of(page) == ["forty", "five", "<eos>"]


def test_it_is_used_by_keyboard_alone(open_page: Open) -> None:
    page = open_page(("multiplicative", "723"))
    done(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id").endswith("field")
    page.keyboard.press("Control+A")
    page.keyboard.type("fünf und vierzig")
    page.keyboard.press("Enter")
    page.locator(".right", has_text="45 is forty five.").wait_for()
    for _ in range(4):  # Translate, Random number, model, words
        page.keyboard.press("Tab")
    focused = "document.activeElement.querySelector('.word').textContent"
    assert page.evaluate(focused) == chosen(page) == "five"
    for key, word in (
        ("ArrowLeft", "forty"),
        ("ArrowLeft", "forty"),
        ("ArrowRight", "five"),
        ("End", "<eos>"),
        ("ArrowRight", "<eos>"),
        ("Home", "forty"),
        ("ArrowDown", "five"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused) == chosen(page) == word
    described = page.evaluate("document.activeElement.getAttribute('aria-describedby')")
    assert "“five” looks at" in page.locator(f"#{described}").inner_text()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id").endswith("model")


def test_a_random_number_is_one_of_the_task(open_page: Open) -> None:
    page = open_page(("multiplicative", "7"))
    done(page)
    seen = set()
    for _ in range(12):
        page.get_by_role("button", name="Random number").click()
        text = page.get_by_label("A number").input_value()
        page.locator(".right", has_text=f"{text} is").wait_for()
        seen.add(int(text.replace(",", "")))
    assert min(seen) >= 100 and max(seen) < 10**12 and len(seen) > 6


@pytest.mark.parametrize("text", ["0", "-5", "1000000000000", "abc", "", "drei und", "9" * 400])
def test_wrong_input_gets_a_kind_sentence_and_keeps_the_rest(open_page: Open, text: str) -> None:
    page = open_page(("multiplicative", "723"))
    done(page)
    ask(page, text)
    message = page.locator(".message")
    assert ADVICE in message.inner_text()
    assert message.get_attribute("aria-live") == "polite"
    field = page.get_by_label("A number")
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == message.get_attribute("id")
    assert words_of(page) == ["seven", "hundred", "and", "twenty", "three", "<eos>"]
    ask(page, "45")
    page.locator(".right", has_text="45 is").wait_for()
    assert message.inner_text() == ""
    assert field.get_attribute("aria-invalid") is None


def test_wrong_input_while_words_are_coming_lets_them_come(open_page: Open) -> None:
    page = open_page(("multiplicative", "7"), still=False)
    done(page)
    ask(page, "723,045")
    ask(page, "abc")
    assert ADVICE in page.locator(".message").inner_text()
    assert done(page) == "Right, every word."
    assert page.locator(".coming").count() == 0


# --- files -----------------------------------------------------------------------------------------------


def test_weights_are_loaded_when_they_are_needed(open_page: Open) -> None:
    page = open_page(("multiplicative", "723"), load=False)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(Path(request.url).name))
    page.evaluate(LOAD)
    assert "Loading" in page.locator(".message").inner_text() or done(page)
    done(page)
    assert asked == ["multiplicative.js"]
    page.get_by_label("model").select_option("additive")
    page.wait_for_function("minattn.weights.additive !== undefined")
    page.get_by_label("model").select_option("multiplicative")
    done(page)
    assert asked == ["multiplicative.js", "additive.js"]


def test_while_it_loads_it_says_so(open_page: Open) -> None:
    page = open_page(("multiplicative", "723"), load=False)
    page.evaluate(
        "minattn.loadModel = ((load) => (name) => "
        "new Promise((go) => { window.go = go; }).then(() => load(name)))(minattn.loadModel); 0"
    )
    page.evaluate(LOAD)
    assert page.locator(".message").inner_text() == "Loading the model …"
    page.evaluate("window.go()")
    done(page)
    assert page.locator(".message").inner_text() == ""


def test_a_model_that_comes_too_late_changes_nothing(open_page: Open) -> None:
    page = open_page(("multiplicative", "723"))
    done(page)
    page.evaluate(
        "minattn.loadModel = ((load) => async (name) => { "
        "if (name === 'fixed') await new Promise((go) => { window.go = go; }); "
        "return load(name); })(minattn.loadModel); 0"
    )
    menu = page.get_by_label("model")
    menu.select_option("fixed")
    menu.select_option("additive")
    page.locator(".result:not([aria-busy])").wait_for()
    page.evaluate("window.go()")
    page.wait_for_function("minattn.weights.fixed !== undefined")
    page.wait_for_timeout(200)
    assert page.locator(".looks table").count() == 1
    assert menu.input_value() == "additive"


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LIVE, tmp_path / "live"))


def test_a_missing_file_is_told_and_the_place_is_given_back(
    open_page: Open, tmp_path: Path
) -> None:
    live = copied(tmp_path)
    (live / "weights" / "multiplicative.js").unlink()
    page = open_page(("multiplicative", "723"), live=live, may_miss="multiplicative.js")
    message = page.locator(".message.wrong")
    message.wait_for()
    assert "weights/multiplicative.js could not be loaded" in message.inner_text()
    expect(page.locator(".result")).to_be_hidden()
    assert page.evaluate(HEIGHT) < 300
    page.get_by_label("model").select_option("additive")
    assert done(page) == "Right, every word.", "the others still work"


def test_a_broken_file_keeps_what_is_shown(open_page: Open, tmp_path: Path) -> None:
    live = copied(tmp_path)
    path = live / "weights" / "additive.js"
    whole = path.read_text("utf-8")
    path.write_text(re.sub(r'("data": ")....', r"\1", whole), "utf-8")
    page = open_page(("multiplicative", "723"), live=live)
    done(page)
    page.get_by_label("model").select_option("additive")
    message = page.locator(".message.wrong")
    message.wait_for()
    assert "weights/additive.js is cut short or broken" in message.inner_text()
    assert words_of(page) == ["seven", "hundred", "and", "twenty", "three", "<eos>"]
    assert page.get_by_label("model").input_value() == "multiplicative"
    path.write_text(whole, "utf-8")
    page.get_by_label("model").select_option("additive")
    expect(page.locator(".message")).to_have_text("")
    assert page.get_by_label("model").input_value() == "additive"


def test_without_its_engine_it_says_so(open_page: Open) -> None:
    page = open_page(scripts=("elements.js", "translator.js"))
    assert "loading.js is missing" in page.locator(".live").inner_text()


# --- room and looks --------------------------------------------------------------------------------------

STARTS = {"fixed": "723", "multiplicative": "723,045", "transformer": "723,045"}  # in the chapters


def test_every_chapter_has_its_translator() -> None:
    found = {}
    for path in sorted((ROOT / "book" / "chapters").glob("*.md")):
        places = re.findall(
            r'<div class="live" data-live="translator"([^>]*)></div>', path.read_text()
        )
        for place in places:
            given = dict(re.findall(r'data-(\w+)="([^"]*)"', place))
            found[path.name[:2]] = (given["model"], given.get("number", "723,045"))
    assert found == dict(zip(("01", "02", "06"), STARTS.items(), strict=True))


@pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=lambda size: str(size["width"]))
@pytest.mark.parametrize("name", STARTS)
def test_nothing_below_moves_when_it_is_loaded(open_page: Open, size: dict, name: str) -> None:
    page = open_page((name, STARTS[name]), size=size, load=False)
    page.evaluate("document.querySelector('.live').append(document.createElement('button'))")
    before = page.evaluate(HEIGHT)
    page.evaluate(LOAD)
    done(page)
    assert page.evaluate(HEIGHT) == before


@every_size
def test_nothing_is_wider_than_the_screen(open_page: Open, size: dict) -> None:
    page = open_page(("transformer", "723,045"), size=size)
    done(page)
    for number in ("7", "723045", "777777777777", "abc"):
        ask(page, number)
        page.wait_for_timeout(50)
        assert page.evaluate(WIDTH) <= size["width"]
        edges = page.eval_on_selector_all(".translator :is(button, select, input, li)", EDGES)
        assert edges
        assert [at for at in edges if at[0] < 0 or at[1] > size["width"]] == []
    page.get_by_label("model").select_option("one_way")
    page.wait_for_timeout(200)
    assert page.evaluate(WIDTH) <= size["width"]


def test_long_numbers_stand_side_by_side_and_follow_the_window(open_page: Open) -> None:
    page = open_page(("multiplicative", "723,045"))
    done(page)
    assert page.locator(".tall").count() == 0
    page.set_viewport_size(PHONE)
    page.locator(".tall").wait_for()
    page.set_viewport_size(DESK)
    expect(page.locator(".tall")).to_have_count(0)
    ask(page, str(LONG))
    page.locator(".tall").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "number"), [("fixed", str(LONG)), ("transformer", "723,045"), ("one_way", "723")]
)
def test_axe_finds_no_violation(open_page: Open, theme: str, name: str, number: str) -> None:
    page = open_page((name, number), size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    done(page)
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
    ask(page, "abc")
    assert page.evaluate(VIOLATIONS) == []


def test_without_scripts_and_on_paper_it_takes_no_room(open_page: Open) -> None:
    page = open_page(scripting=False, load=False)
    box = page.locator(".live").bounding_box()
    assert box is None or box["height"] == 0
    page = open_page()
    done(page)
    page.emulate_media(media="print")
    assert page.locator(".live").bounding_box() is None


def test_two_translators_in_one_page_leave_each_other_alone(open_page: Open) -> None:
    page = open_page(("multiplicative", "723"), ("fixed", "723"))
    first, second = page.locator(".live").all()
    done(first)
    done(second)
    ask(first, "45")
    first.locator(".right", has_text="45 is").wait_for()
    assert words_of(second)[0] == "seven"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(part => part.id)")
    assert len(ids) == len(set(ids))
