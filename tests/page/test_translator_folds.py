"""What folds out below the translator, and links to it: other words, maps, what to break, a file of one's own."""

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, ROOT, VIOLATIONS, axe_script, watch
from minattn.live_export import export_live
from minattn.probing.heads import without_heads
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import Task, number_example, number_words, reversal
from minattn.transformer import TransformerTranslator
from minattn.translation import Translator, greedy
from tests.page.live_page import live_page
from tests.page.test_live import exported

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
NUMBER = 723_045
TITLES = {
    "words": "Other words, and the temperature",
    "maps": "Maps of all its weights",
    "break": "Silence heads, hide words",
    "keep": "A link to this, and a model of your own",
}
MADE = {
    "words": ".runners tbody tr",
    "maps": ".large-map svg",
    "break": ".words button",
    "keep": "button:enabled",
}
LOOKS = {
    "c": ("the decoder, at the German words", "decoder.blocks.{}.cross_attention"),
    "e": ("the encoder, at its own words", "encoder.blocks.{}.self_attention"),
    "d": ("the decoder, at the words before", "decoder.blocks.{}.self_attention"),
}
CELLS = "cells => cells.map(cell => Number(cell.dataset.value))"
PIXELS = """canvas => [canvas.width, canvas.height,
    ...canvas.getContext('2d').getImageData(0, 0, 1, 1).data]"""
SMALL = """parts => parts.filter(part => part.getClientRects().length)
    .map(part => [part.ariaLabel || part.textContent || part.id, part.getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([name]) => name)"""
CLIPBOARD = """allowed => { navigator.clipboard.writeText = async text => {
    if (!allowed) throw new Error('no'); window.copied = text; } }"""

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with a translator, as minattn.js does; what goes wrong in it fails the test."""
    faults: list[str] = []
    contexts = []

    def start(
        name: str = "transformer",
        *folds: str,
        number: str = f"{NUMBER:,}",
        size: dict = DESK,
        query: str = "",
        still: bool = True,
    ) -> Page:
        file = tmp_path / "translator.html"
        place = f'<div class="live" data-live="translator" data-model="{name}" data-number="{number}"></div>'
        sheet, script = ((STATIC / name).as_uri() for name in ("minattn.css", "minattn.js"))
        file.write_text(live_page("Translator", [sheet], place, [script]), encoding="utf-8")
        context = browser.new_context(
            viewport=size, reduced_motion="reduce" if still else "no-preference"
        )
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri() + query)
        if not query:
            page.get_by_role("button", name="Translate a number of your own").click()
        if "abc" not in query:
            done(page)
        for fold in folds:
            unfold(page, fold)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="module")
def task() -> Task:
    return number_words(n_train=1)


def unfold(page: Page, fold: str) -> None:
    """Open a fold; what it holds is made some time after the click."""
    box = page.locator("details", has_text=TITLES[fold])
    box.locator("summary").click()
    box.locator(MADE[fold]).first.wait_for()


def done(page: Page) -> str:
    verdict = page.locator(".result:not(.writing):not([aria-busy]) .verdict")
    verdict.wait_for(timeout=10_000)
    return verdict.inner_text()


def ask(page: Page, text: str) -> None:
    field = page.get_by_label("A number")
    field.fill(text)
    field.press("Enter")


def words_of(page: Page) -> list[str]:
    return page.locator(".target .word").all_inner_texts()


def smalls(page: Page) -> list[float]:
    return [float(text) for text in page.locator(".target small").all_inner_texts()]


def written(model: Translator, task: Task, number: int, hidden: tuple[int, ...] = ()) -> list[str]:
    """What minattn writes greedily, with some places of the source masked."""
    source = task.batch([number_example(number)]).source
    mask = torch.ones_like(source, dtype=torch.bool)
    mask[0, list(hidden)] = False
    ids = greedy(model, source, 26, source_mask=mask if hidden else None)[0].tolist()
    return [task.target.tokens[i] for i in ids]


# --- other words, and the temperature ----------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0.25, 1.0, 2.5])
def test_other_words_have_the_probabilities_of_minattn(
    degrees: float, open_page: Open, task: Task
) -> None:
    """At any temperature; what is written stays."""
    batch = task.batch([number_example(914_054)])
    page = open_page("fixed", "words", number="914054")
    before = words_of(page)
    page.get_by_label("temperature").fill(str(degrees))
    assert words_of(page) == before
    ids = [task.target.tokens.index(word) for word in before]
    with torch.no_grad():
        logits = exported("fixed", task)(batch.source, torch.tensor([[1, *ids[:-1]]]))[0]
    wanted = (logits / degrees).softmax(-1)
    assert smalls(page) == pytest.approx(
        [wanted[t, i].item() for t, i in enumerate(ids)], abs=0.006
    )
    for t, button in enumerate(page.locator(".target button").all()):
        button.hover()
        rows = page.locator(".runners tbody tr").all()
        best = wanted[t].topk(5)
        for row, p, i in zip(rows, best.values.tolist(), best.indices.tolist(), strict=True):
            name = row.locator("th").inner_text()
            assert name.removesuffix(" (written)") == task.target.tokens[i]
            assert name.endswith(" (written)") == (i == ids[t])
            shown = row.locator("td").inner_text()
            assert float(shown.replace("< 0.001", "0")) == pytest.approx(p, abs=0.0011)
    legend = page.locator(".legend").inner_text()
    assert ("at temperature" in legend) == (degrees != 1)
    slider = page.get_by_label("temperature")
    assert slider.get_attribute("aria-valuetext") == f"temperature {degrees:.2f}"


def test_words_are_drawn_at_the_temperature_and_the_likeliest_come_back(open_page: Open) -> None:
    page = open_page("multiplicative", "words", number="45")
    page.evaluate("Math.random = () => 0.5")
    page.get_by_label("temperature").fill("0.25")
    draw = page.get_by_role("button", name="Draw the words by chance")
    draw.click()
    done(page)
    assert words_of(page) == ["forty", "five", "<eos>"]
    page.evaluate("Math.random = () => 0")  # always the first word of all, however unlikely
    page.get_by_label("temperature").fill("3")
    draw.click()
    assert done(page).startswith("Wrong at word 1: “<pad>” where “forty” was asked.")
    assert set(words_of(page)) == {"<pad>"}
    note = page.locator("details .note").first
    assert "drawn at temperature 3.00" in note.inner_text()
    page.get_by_role("button", name="Translate", exact=True).click()
    expect(page.locator(".verdict")).to_have_text("Right, every word.")
    assert "drawn" not in note.inner_text()


# --- maps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOKS)
def test_the_maps_of_all_heads_are_those_of_minattn(kind: str, open_page: Open, task: Task) -> None:
    batch = task.batch([number_example(NUMBER)])
    model = exported("transformer", task)
    with torch.no_grad(), recording(model) as found:
        model(batch.source, batch.target_in)
    title, name = LOOKS[kind]
    page = open_page("transformer", "maps")
    page.get_by_label("who looks").select_option(label=title)
    small = page.locator(".all-maps button")
    assert small.count() == 8
    for block in range(2):
        weights = found.weights(name.format(block))[0]
        for head in range(4):
            button = page.get_by_role("button", name=f"block {block + 1} head {head + 1}")
            button.click()
            expect(button).to_have_attribute("aria-pressed", "true")
            assert page.locator(".all-maps [aria-pressed=true]").count() == 1
            wanted = weights[head]
            if kind == "d":
                wanted = torch.cat([row[: t + 1] for t, row in enumerate(wanted)])
            cells = page.locator(".large-map rect[data-value]").evaluate_all(CELLS)
            assert cells == pytest.approx(wanted.flatten().tolist(), abs=1e-3)
            width, height, *first = button.locator("canvas").evaluate(PIXELS)
            assert (height, width) == tuple(weights[head].shape)
            of_large = page.locator(".large-map rect[data-value]").first.get_attribute("fill")
            assert of_large == "rgb({},{},{})".format(*first)
            named = page.locator(".large-map svg > title").text_content() or ""
            assert named == f"{title[0].upper()}{title[1:]}: block {block + 1}, head {head + 1}"


def test_the_map_and_the_lines_show_the_same_head_and_word(open_page: Open) -> None:
    page = open_page("transformer", "maps")
    page.get_by_role("button", name="block 1 head 3").click()
    assert page.get_by_label("block", exact=True).input_value() == "0"
    assert page.get_by_label("head", exact=True).input_value() == "2"
    page.get_by_label("head", exact=True).select_option("0")
    expect(page.get_by_role("button", name="block 1 head 1")).to_have_attribute(
        "aria-pressed", "true"
    )
    rows = page.get_by_label("row", exact=True)
    rows.select_option("3")
    pressed = page.locator(".target [aria-pressed=true] .word")
    assert pressed.inner_text() == "twenty"
    page.get_by_role("button", name="hundred").hover()
    assert rows.input_value() == "1"
    told = page.locator(f"#{rows.get_attribute('aria-describedby')}").inner_text()
    assert re.fullmatch(r"“hundred”: \w+ [01]\.\d\d(, \S+ 0\.\d\d)*\.", told)
    looked = page.locator(".looks tbody tr").first
    assert f"{looked.locator('th').inner_text()} {looked.locator('td').inner_text()}" in told


def test_a_row_of_the_encoder_is_chosen_by_a_click(open_page: Open) -> None:
    page = open_page("transformer", "maps")
    page.get_by_label("who looks").select_option("e")
    cell = page.locator(".large-map rect[data-value]").nth(10 * 4 + 2)  # ten German words
    cell.click()
    assert page.get_by_label("row", exact=True).input_value() == "4"
    assert "“zwanzig”: " in page.locator(".large-map ~ .status").inner_text()


def test_a_model_of_one_head_has_one_map(open_page: Open) -> None:
    page = open_page("additive", "maps")
    expect(page.locator(".all-maps")).to_be_hidden()
    expect(page.get_by_label("who looks")).to_be_hidden()
    assert page.locator(".large-map rect[data-value]").count() == 100
    page.get_by_label("model", exact=True).select_option("fixed")
    page.locator(".links circle").wait_for()
    assert page.locator("details:visible").count() == 2, "no weights: no maps, and nothing to hide"


@pytest.mark.parametrize("kind", ["c", "d"])
def test_a_map_is_saved_as_a_picture_that_stands_alone(
    kind: str, open_page: Open, tmp_path: Path
) -> None:
    page = open_page("transformer", "maps")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.get_by_label("who looks").select_option(kind)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the map as SVG").click()
    assert re.fullmatch(rf"weights_723045_{kind}2\.2\.svg", download.value.suggested_filename)
    path = tmp_path / "map.svg"
    download.value.save_as(path)
    root = ET.parse(path).getroot()
    names = {"svg": "http://www.w3.org/2000/svg"}
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    title, about = (root.findtext(f"svg:{tag}", "", names) for tag in ("title", "desc"))
    assert "block 2, head 2" in title
    assert "723,045" in about and "The Transformer, two blocks" in about and "row:" in about
    n = 100 if kind == "c" else 55
    assert len(root.findall("svg:rect[@data-value]", names)) == n
    assert {"seven", "thousand"} <= {text.text for text in root.findall("svg:text", names)}
    assert root.get("color") == "#111" and "var(" not in path.read_text("utf-8")

    page.goto(path.as_uri())
    box = page.evaluate(
        "(({width, height}) => [width, height])(document.documentElement.getBoundingClientRect())"
    )
    assert box[0] > 150 and box[1] > 200
    page.screenshot(path=tmp_path / "map.png")
    paper = page.evaluate("getComputedStyle(document.querySelector('rect')).fill")
    ink = page.evaluate("getComputedStyle(document.querySelector('text')).fill")
    assert (paper, ink) == ("rgb(255, 255, 255)", "rgb(17, 17, 17)")


# --- silent heads and hidden words -----------------------------------------------------------------------------


def silence(page: Page, kind: str, block: int, head: int) -> None:
    name = f"Silence head {head} of {LOOKS[kind][0]}, block {block}"
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("number", [NUMBER, 749_562_111_997])
@pytest.mark.parametrize("kind", LOOKS)
def test_without_heads_the_words_are_those_of_minattn(
    kind: str, number: int, open_page: Open, task: Task
) -> None:
    """One head, then all of its block; what differs from the untouched run is marked."""
    model = exported("transformer", task)
    untouched = written(model, task, number)
    page = open_page("transformer", "break", number=str(number))
    part = model.get_submodule(LOOKS[kind][1].format(1))
    for heads in ((1,), (1, 0, 2, 3)):
        for head in heads:
            if head == 1 and len(heads) > 1:
                continue
            silence(page, kind, 2, head + 1)
        with without_heads(part, heads):
            wanted = written(model, task, number)
        assert words_of(page) == wanted
        marked = ["≠" in text for text in page.locator(".target button").all_inner_texts()]
        if len(wanted) == len(untouched):
            assert sum(marked) <= sum(a != b for a, b in zip(wanted, untouched, strict=True))
        assert any(marked) or wanted == untouched or len(wanted) < len(untouched)
        said = page.locator(".changed").inner_text()
        if wanted == untouched:
            assert said == "Nothing changes: it writes the same words as untouched."
            assert not any(marked)
        else:
            ending = " ".join(word for word in untouched if word != "<eos>")
            assert said.endswith(f"Untouched it writes “{ending}”.")
    page.get_by_role("button", name="Undo all").click()
    assert words_of(page) == untouched
    assert page.locator(".changed").inner_text() == ""
    expect(page.get_by_role("button", name="Undo all")).to_be_disabled()


def test_what_differs_is_marked_word_by_word(open_page: Open, task: Task) -> None:
    """Where one word is written for another, the mark tells which one it was."""
    model = exported("transformer", task)
    untouched, hidden = written(model, task, NUMBER), written(model, task, NUMBER, hidden=(4,))
    page = open_page("transformer", "break")
    page.get_by_role("button", name="Hide zwanzig, word 5").click()
    assert words_of(page) == hidden != untouched
    differs = [i for i, (a, b) in enumerate(zip(hidden, untouched, strict=True)) if a != b]
    texts = page.locator(".target button").evaluate_all("all => all.map(b => b.textContent)")
    assert [i for i, text in enumerate(texts) if "≠" in text] == differs
    for i in differs:
        assert f"(untouched: {untouched[i]})" in texts[i]
    struck = page.locator(".source .hidden-word")
    assert struck.count() == 1 and struck.text_content() == "zwanzig (hidden)"
    assert "line-through" in struck.evaluate("word => getComputedStyle(word).textDecorationLine")


@pytest.mark.parametrize("hidden", [(0,), (4, 8), (2, 3, 4, 5, 9)], ids=str)
def test_a_hidden_word_is_a_masked_one(
    hidden: tuple[int, ...], open_page: Open, task: Task
) -> None:
    page = open_page("transformer", "break")
    source = number_example(NUMBER).source
    for place in hidden:
        word = [*source, "<eos>"][place]
        page.get_by_role("button", name=f"Hide {word}, word {place + 1}", exact=True).click()
    assert words_of(page) == written(exported("transformer", task), task, NUMBER, hidden)


def test_one_word_is_always_left(open_page: Open) -> None:
    page = open_page("additive", "break", number="7")
    page.get_by_role("button", name="Hide sieben").click()
    last = page.get_by_role("button", name="Hide <eos>")
    last.click()
    expect(last).to_have_attribute("aria-pressed", "false")
    assert "One word at least must be left" in page.locator("details[open] .status").inner_text()
    assert "The encoder still reads it" in page.locator("details[open] .note").inner_text()


def test_switches_are_worked_by_keyboard_and_keep_the_focus(open_page: Open) -> None:
    page = open_page("transformer", "break")
    name = f"Silence head 1 of {LOOKS['c'][0]}, block 1"
    button = page.get_by_role("button", name=name, exact=True)
    button.focus()
    page.keyboard.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.activeElement.ariaLabel") == name
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Tab")
    assert "head 2" in page.evaluate("document.activeElement.ariaLabel")


def test_heads_stay_silent_for_another_number_and_not_for_another_model(open_page: Open) -> None:
    page = open_page("transformer", "break")
    silence(page, "c", 2, 2)
    page.get_by_role("button", name="Hide zwanzig").click()
    ask(page, "45")
    expect(page.locator(".right")).to_contain_text("45 is")
    assert page.locator(".switches [aria-pressed=true]").count() == 1
    assert page.locator(".hidden-word").count() == 0
    page.get_by_label("model", exact=True).select_option("additive")
    expect(page.locator(".which")).to_be_hidden()
    page.get_by_label("model", exact=True).select_option("transformer")
    expect(page.locator(".which")).to_be_visible()
    expect(page.locator(".switches [aria-pressed=true]")).to_have_count(0)


# --- links -------------------------------------------------------------------------------------------------------


def test_a_link_brings_back_what_is_shown(open_page: Open) -> None:
    page = open_page("transformer", "words", "break", "keep")
    ask(page, "99,021")
    expect(page.locator(".right")).to_contain_text("99,021 is")
    page.get_by_label("temperature").fill("1.5")
    silence(page, "c", 2, 2)
    silence(page, "e", 1, 4)
    page.get_by_role("button", name="Hide neunzig").click()
    page.evaluate(CLIPBOARD, True)
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator("details .status").last).to_have_text("The link is copied.")
    link = page.evaluate("window.copied")
    assert parse_qs(urlsplit(link).query) == {
        "live": ["translator"],
        "model": ["transformer"],
        "number": ["99021"],
        "temperature": ["1.5"],
        "silent": ["c2.2,e1.4"],
        "hidden": ["3"],
        "word": ["2"],
    }
    before = words_of(page), smalls(page), page.locator(".changed").inner_text()
    again = open_page("additive", query=f"?{urlsplit(link).query}")
    assert (words_of(again), smalls(again), again.locator(".changed").inner_text()) == before
    unfold(again, "break")
    assert again.locator(".switches [aria-pressed=true]").evaluate_all(
        "all => all.map(part => part.ariaLabel)"
    ) == [
        "Silence head 2 of the decoder, at the German words, block 2",
        "Silence head 4 of the encoder, at its own words, block 1",
    ]


def test_a_link_brings_back_where_one_looks(open_page: Open) -> None:
    page = open_page("transformer", "keep")
    page.get_by_label("head", exact=True).select_option("mean")
    page.get_by_label("block", exact=True).select_option("0")
    page.locator(".target button").nth(2).click()
    page.evaluate(CLIPBOARD, True)
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator("details .status").last).to_have_text("The link is copied.")
    query = urlsplit(page.evaluate("window.copied")).query
    assert {"head=1.mean", "word=3"} <= set(query.split("&"))
    again = open_page("additive", query=f"?{query}")
    assert again.get_by_label("head", exact=True).input_value() == "mean"
    assert again.get_by_label("block", exact=True).input_value() == "0"
    pressed = again.locator(".target button").nth(2).get_attribute("aria-pressed")
    assert pressed == "true"
    assert again.locator(".looks").inner_text() == page.locator(".looks").inner_text()


def test_a_plain_state_makes_a_short_link_and_it_can_be_copied_by_hand(open_page: Open) -> None:
    page = open_page("additive", "keep", number="45", size=PHONE)
    page.evaluate(CLIPBOARD, False)
    page.get_by_role("button", name="Copy a link").click()
    field = page.get_by_label("The link, to copy by hand")
    expect(field).to_be_focused()
    assert field.input_value().endswith("?live=translator&model=additive&number=45")
    assert page.evaluate("getSelection().toString()") in ("", field.input_value())


def test_nothing_is_loaded_for_a_link_to_another_kind(open_page: Open, tmp_path: Path) -> None:
    page = open_page("additive")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(Path(urlsplit(request.url).path).name))
    page.goto((tmp_path / "translator.html").as_uri() + "?live=playground&model=transformer")
    page.get_by_role("button", name="Translate a number of your own").wait_for()
    page.wait_for_timeout(100)
    assert sorted(asked) == ["minattn.css", "minattn.js", "translator.html"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("model=nothing", "model “nothing”"),
        ("temperature=99", "temperature “99”"),
        ("temperature=warm", "temperature “warm”"),
        ("silent=c9.1", "head “c9.1”"),
        ("silent=c1.9", "head “c1.9”"),
        ("silent=x,c1.1", "head “x”"),
        ("model=additive&silent=c1.1", "head “c1.1”"),
        ("hidden=11", "word “11”"),
        ("head=3.1", "head “3.1”"),
        ("head=1.all", "head “1.all”"),
        ("model=additive&head=1.1", "head “1.1”"),
        ("word=0", "word “0”"),
        ("hidden=1,x", "word “x”"),
        ("model=fixed&hidden=1", "word “1”"),
        ("hidden=1,2,3,4,5,6,7,8,9,10", "all words hidden"),
        ("model=constructor", "model “constructor”"),
        ("model=%3Cb%3E", "model “<b>”"),
    ],
)
def test_a_link_that_asks_for_what_is_not_here_gets_a_kind_sentence(
    query: str, says: str, open_page: Open
) -> None:
    page = open_page("transformer", query=f"?live=translator&{query}")
    message = page.locator(".message").inner_text()
    assert message.startswith("The link asks for what is not here: ") and says in message
    assert len(words_of(page)) > 3
    ask(page, "45")
    expect(page.locator(".right")).to_contain_text("45 is")
    assert page.locator(".message").inner_text() == ""


def test_a_link_with_an_odd_number_says_what_may_be_typed(open_page: Open) -> None:
    page = open_page("transformer", query="?live=translator&number=abc")
    expect(page.locator(".message")).to_contain_text("Type a whole number from 1")
    ask(page, "45")
    assert done(page) == "Right, every word."


# --- a model of one's own ------------------------------------------------------------------------------------------


def own_model(kind: str, task: Task) -> Translator:
    torch.manual_seed(0)
    sizes = len(task.source), len(task.target)
    if kind == "recurrent":
        return RecurrentTranslator(*sizes, d_model=12, bidirectional=True).eval()
    return TransformerTranslator(*sizes, d_model=20, n_heads=5, d_ff=17, n_layers=3).eval()


@pytest.mark.parametrize("kind", ["recurrent", "transformer"])
def test_a_model_of_ones_own_is_opened(
    kind: str, open_page: Open, task: Task, tmp_path: Path
) -> None:
    model = own_model(kind, task)
    export_live(model, task, tmp_path / "mine.js", dtype="float32")
    page = open_page("additive", "keep", "maps")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Open a file").set_input_files(tmp_path / "mine.js")
    status = page.locator("details .status").last
    expect(status).to_contain_text("mine.js is open")
    assert (
        page.get_by_label("model", exact=True).locator("option:checked").inner_text() == "mine.js"
    )
    for number in (NUMBER, 45):
        ask(page, str(number))
        expect(page.locator(".right")).to_contain_text(f"{number:,} is")
        assert words_of(page) == written(model, task, number)
    assert page.locator(".all-maps button").count() == (15 if kind == "transformer" else 0 + 1)
    expect(page.get_by_role("button", name="Copy a link")).to_be_disabled()
    assert "cannot carry a model of your own" in status.inner_text()
    page.get_by_label("model", exact=True).select_option("additive")
    expect(page.get_by_role("button", name="Copy a link")).to_be_enabled()
    assert asked == []


def other_task(path: Path, task: Task) -> None:
    words = reversal(n_train=1)
    export_live(RecurrentTranslator(len(words.source), len(words.target), d_model=4), words, path)


def whole(path: Path, task: Task) -> None:
    export_live(own_model("recurrent", task), task, path)


def cut(path: Path, task: Task) -> None:
    whole(path, task)
    path.write_text(path.read_text("utf-8")[:3000], "utf-8")


def one_letter(path: Path, task: Task) -> None:
    whole(path, task)
    text = path.read_text("utf-8")
    at = text.index('"data"') + 500
    path.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], "utf-8")


def another_kind(path: Path, task: Task) -> None:
    whole(path, task)
    path.write_text(path.read_text("utf-8").replace('"recurrent"', '"constructor"'), "utf-8")


def as_text(text: str) -> Callable[[Path, Task], Any]:
    return lambda path, task: path.write_text(text, "utf-8")


ATTACK = 'minattn.weights["x"] = {"a": (window.attacked = true)};'
IN_ONE = "cut short or broken"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (as_text(""), "it is no model. Write one with minattn.live_export"),
        (as_text("a letter to a friend"), "it is no model"),
        (as_text('{"model": 1}'), "it is no model"),
        (as_text("window.attacked = true"), "it is no model"),
        (as_text(ATTACK), IN_ONE),
        (lambda path, task: path.write_bytes(bytes(range(256)) * 9), "it is no model"),
        (lambda path, task: path.write_bytes(b"0" * 20_000_001), "larger than 20 MB"),
        (cut, IN_ONE),
        (one_letter, IN_ONE),
        (another_kind, IN_ONE),
        (other_task, "does not read German number words"),
    ],
)
def test_a_file_that_is_no_such_model_gets_a_kind_sentence(
    make: Callable[[Path, Task], Any], says: str, open_page: Open, task: Task, tmp_path: Path
) -> None:
    make(tmp_path / "odd.js", task)
    page = open_page("additive", "keep")
    before = words_of(page)
    page.get_by_label("Open a file").set_input_files(tmp_path / "odd.js")
    status = page.locator("details .status").last
    expect(status).to_contain_text(says)
    assert "odd.js cannot be used" in status.inner_text()
    assert words_of(page) == before
    assert page.get_by_label("model", exact=True).locator("option").count() == 6
    assert page.evaluate("window.attacked") is None
    whole(tmp_path / "odd.js", task)
    page.get_by_label("Open a file").set_input_files(tmp_path / "odd.js")
    expect(status).to_contain_text("odd.js is open")


# --- room and looks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [{"width": 320, "height": 700}, PHONE, DESK], ids=lambda s: str(s["width"])
)
def test_nothing_is_wider_than_the_screen_or_too_small_to_touch(
    open_page: Open, size: dict
) -> None:
    page = open_page("transformer", *TITLES, size=size, number="777,777,777,777")
    silence(page, "c", 2, 2)
    for kind in LOOKS:
        page.get_by_label("who looks").select_option(kind)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        letters = page.locator(".large-map svg").evaluate("map => 11 * map.getScreenCTM().a")
        assert letters >= 9.99
    controls = page.locator(".more :is(button, select, summary, input)")
    assert controls.count() > 50
    assert controls.evaluate_all(SMALL) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_with_all_unfolded(open_page: Open, theme: str) -> None:
    page = open_page("transformer", *TITLES, size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    silence(page, "c", 2, 2)
    page.get_by_role("button", name="Hide zwanzig").click()
    page.evaluate(CLIPBOARD, False)
    page.get_by_role("button", name="Copy a link").click()
    page.get_by_label("The link, to copy by hand").wait_for()
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []


def test_an_open_fold_follows_words_that_come_one_by_one(open_page: Open) -> None:
    page = open_page("multiplicative", "words", "maps", number="45", still=False)
    ask(page, f"{NUMBER}")
    expect(page.locator(".target .coming").first).to_be_attached()
    assert done(page) == "Right, every word."
    assert page.locator(".large-map rect[data-value]").count() == 100
    assert "After “" in page.locator(".runners caption").inner_text()


def test_a_word_is_chosen_before_a_fold_that_opens_is_made(open_page: Open) -> None:
    """As where the window changes while a fold opens: the browser tells of an open fold some time after."""
    page = open_page("transformer", "maps", number="45")
    page.locator("details", has_text=TITLES["maps"]).locator("summary").click()
    ask(page, f"{NUMBER}")
    assert done(page) == "Right, every word."
    page.evaluate(
        """() => {
            document.querySelectorAll('details').forEach((fold) => { fold.open = true; });
            document.querySelector('.target li:last-child button').focus();
        }"""
    )
    expect(page.locator(".large-map rect[data-value]")).to_have_count(100)
    assert page.get_by_label("row", exact=True).input_value() == "9"
    assert "After “" in page.locator(".runners caption").inner_text()


def test_folds_that_are_open_before_there_is_anything_to_show_wait_for_it(open_page: Open) -> None:
    """As for paper, or a search of the browser's."""
    page = open_page("additive", number="45")
    page.evaluate(
        """async () => {
            const load = minattn.loadModel;
            let go;
            minattn.loadModel = (name) => new Promise((done) => { go = done; }).then(() => load(name));
            minattn.widgets.translator(document.querySelector('.live'));
            document.querySelectorAll('details').forEach((fold) => { fold.open = true; });
            await new Promise((done) => setTimeout(done, 100));
            go();
        }"""
    )
    done(page)
    assert page.locator(".runners tbody tr").count() == 5
    assert page.locator(".large-map rect[data-value]").count() > 0
    assert page.locator(".words button").count() > 0
