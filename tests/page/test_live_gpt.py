"""The GPT of chapter 10 in the page: its numbers are those of minattn, and what can be done with it."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from book.experiments import gpt as experiment
from book.models.gpt import build
from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, ROOT, VIOLATIONS, axe_script
from minattn.decoding import Cached
from minattn.language.gpt import GPT
from minattn.probing.heads import without_heads
from minattn.recording import recording
from minattn.tasks.functions import python_functions
from minattn.translation import greedy
from minattn.vocabulary import BOS, EOS
from tests.page.live_page import engine_of, engine_page, place_pages, stored, tensors

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
LIVE = STATIC / "live"
PLACE = '<div class="live" data-live="gpt"><p>For paper.</p></div>'
WORDS = python_functions()
PIECES = experiment.pieces(WORDS)
WRITES = 12
SMALL = """parts => parts.filter(part => part.getClientRects().length)
    .map(part => [part.textContent || part.id, part.getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([name]) => name)"""
READ = """async ([texts, silent, writes]) => {
    const model = await minattn.loadModel("gpt");
    const off = silent.map((heads) => new Set(heads));
    return texts.map((text) => {
        const ids = model.encode(text);
        const {probabilities, weights} = model.read(ids, off);
        const wrote = [...ids];
        while (wrote.length < ids.length + writes && wrote.at(-1) !== minattn.EOS) {
            const said = model.read(wrote, off).probabilities;
            wrote.push(said.indexOf(Math.max(...said)));
        }
        return {ids, probabilities, weights: weights.at(-1), wrote, text: model.decode(ids)};
    });
}"""

Open = Callable[..., Page]


def beginnings(n: int) -> list[str]:
    """Beginnings of held-out functions, of many lengths."""
    texts = [*WORDS.validation, *WORDS.test][:n]
    return [text[: 5 + 7 * i % 150] for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def model() -> GPT:
    """The package's model with the weights that stand in the file."""
    state = tensors(stored("gpt"))
    gpt = build().eval()
    gpt.load_state_dict(state | {"readout.weight": state["embedding.weight"]})
    return gpt.double()


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with engine_page(browser, tmp_path_factory.mktemp("blank"), engine_of("gpt")) as page:
        yield page


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with the place, as minattn.js does after a click; what goes wrong in it fails the test."""
    with place_pages(browser, tmp_path, "GPT") as start:

        def opened(size: dict = DESK, asked: str = "", **how: Any) -> Page:
            page = start(PLACE, size, asked, **how)
            if not asked:
                page.get_by_role("button", name="Begin a function").click()
            page.locator(".next button").first.wait_for()
            return page

        yield opened


def expected(model: GPT, ids: list[int], silent: list[list[int]]) -> tuple[Any, list[Any]]:
    """Probabilities after the last token, and the weights of the last token, layer by layer."""
    first, second = (block.self_attention for block in model.decoder.blocks)
    with (
        torch.no_grad(),
        without_heads(first, silent[0]),
        without_heads(second, silent[1]),
        recording(model) as record,
    ):
        logits = model(torch.tensor([[BOS]]), torch.tensor([ids]))
    weights = [record.weights(name)[0, :, -1] for name in record.calls]
    return logits[0, -1].softmax(-1), weights


def bars(page: Page) -> list[tuple[str, float]]:
    """What is listed as coming next, each with its probability."""
    names = page.locator(".next code").all_inner_texts()
    numbers = page.locator(".next .number").all_inner_texts()
    return list(zip(names, map(float, numbers), strict=True))


# --- the model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [[[], []], [[1], []], [[0], [0, 1]]])
def test_probabilities_and_weights_are_those_of_minattn(
    silent: list[list[int]], engine: Page, model: GPT
) -> None:
    texts = beginnings(200 if silent == [[], []] else 20)
    found = engine.evaluate(READ, [texts, silent, 0])
    assert len(found) == len(texts) >= 20
    words = experiment.make_task(WORDS).target
    for text, its in zip(texts, found, strict=True):
        assert its["ids"] == [BOS, *words.encode(PIECES.encode(text))]
        assert its["text"] == text
        probabilities, weights = expected(model, its["ids"], silent)
        assert torch.tensor(its["probabilities"]).sub(probabilities).abs().max() < 1e-3
        for ours, theirs, off in zip(weights, its["weights"], silent, strict=True):
            loud = [
                head for head in range(2) if head not in off
            ]  # of the others no weights are recorded
            assert (torch.tensor(theirs) - ours)[loud].abs().sum() < 1e-3


def test_greedily_it_writes_as_the_package(engine: Page, model: GPT) -> None:
    """With its cache, and 200 beginnings of held-out functions."""
    texts = beginnings(200)
    found = engine.evaluate(READ, [texts, [[], []], WRITES])
    assert len(found) == 200
    for its in found:
        said = greedy(Cached(model), torch.tensor([its["ids"]]), WRITES)[0].tolist()
        assert its["wrote"][len(its["ids"]) :] == said


def test_an_edit_in_the_middle_reads_anew_from_there(engine: Page, model: GPT) -> None:
    texts = ["def f(a):\n\treturn a", "def g(a):\n\treturn a", "def g(a):\n\treturn", ""]
    for text, its in zip(texts, engine.evaluate(READ, [texts, [[], []], 0]), strict=True):
        probabilities, _ = expected(model, its["ids"], [[], []])
        assert torch.tensor(its["probabilities"]).sub(probabilities).abs().max() < 1e-3, text


def test_texts_are_cut_as_the_package_cuts_them(engine: Page) -> None:
    texts = [
        "x", " x", "x  y ", "\n\n\t", "aaaa aaa", "__init__", "a1_b2 == 'c'", "selfself.self", *WORDS.test[:40],
    ]  # fmt: skip
    cut = "async (texts) => { const m = await minattn.loadModel('gpt'); return texts.map((t) => m.pieces.encode(t)); }"
    assert engine.evaluate(cut, texts) == [PIECES.encode(text) for text in texts]


def test_the_card_says_what_is_lost_by_rounding() -> None:
    card = json.loads((LIVE / "weights" / "gpt.json").read_text("utf-8"))
    before, after = card["bits_a_token_before_rounding"], card["bits_a_token_after_rounding"]
    assert set(before) == set(after) == {"validation", "test"}
    assert all(abs(before[part] - after[part]) < 0.005 for part in before)
    assert card["files"]["gpt.js"] == (LIVE / "weights" / "gpt.js").stat().st_size < 400_000


# --- what is shown ---------------------------------------------------------------------------------------


def test_what_the_chapter_says_is_so(open_page: Open) -> None:
    page = open_page()
    assert bars(page)[0][0] == "at" and 0.8 < bars(page)[0][1] < 0.83
    switch = page.get_by_role("group", name="layer 1, head 2").get_by_label("speaks")
    switch.uncheck()
    assert "With all heads it would be “at”, with 0.82" in page.locator(".told").inner_text()
    assert dict(bars(page))["at"] < 0.005 and len(bars(page)) == 8
    switch.check()
    page.get_by_role("button", name="a name it spells wrong").click()
    assert bars(page)[0][0] == "("
    page.get_by_role("group", name="layer 1, head 1").get_by_label("speaks").uncheck()
    assert bars(page)[0][0] == "an"
    chapter = (ROOT / "book" / "chapters" / "10_gpt.md").read_text("utf-8")
    assert chapter.count('<div class="live" data-live="gpt">') == 1


def test_a_token_is_appended_by_click_and_by_keyboard(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Append at, probability").click()
    field = page.get_by_label("The beginning of a Python function")
    expect(field).to_have_value("def f(wombat, n):\n    return n * wombat")
    page.keyboard.press("Enter")  # the first of the list has the focus, and is the end
    expect(page.locator(".told")).to_have_text("It has ended the function here.")
    page.get_by_role("button", name="Take it back").click()
    expect(field).to_have_value("def f(wombat, n):\n    return n * womb")


def test_what_is_typed_is_read_and_lines_keep_their_indent(open_page: Open) -> None:
    page = open_page()
    field = page.get_by_label("The beginning of a Python function")
    field.fill("")
    field.press_sequentially("def g(a):\nreturn a\nx")
    expect(field).to_have_value("def g(a):\n    return a\n    x")
    asked = page.locator(".note a").get_attribute("href") or ""
    assert "text=def+g%28a%29%3A%0A%09return+a%0A%09x" in asked
    field.fill("def g(a) ")
    assert "ends in a blank" in page.locator(".message").inner_text()


@pytest.mark.parametrize(
    ("typed", "said"), [("def é(", "“é” is a sign"), ("x = 1\n" * 200, "at most 256")]
)
def test_odd_input_gets_a_kind_sentence_and_keeps_the_rest(
    open_page: Open, typed: str, said: str
) -> None:
    page = open_page()
    before = bars(page)
    field = page.get_by_label("The beginning of a Python function")
    field.fill(typed)
    assert said in page.locator(".message").inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    assert bars(page) == before
    field.fill("def f(")
    assert field.get_attribute("aria-invalid") is None
    assert page.locator(".message").inner_text() == ""


def test_it_writes_the_same_for_a_seed_and_greedily_at_zero(open_page: Open, model: GPT) -> None:
    page = open_page(reduced_motion="reduce")
    field = page.get_by_label("The beginning of a Python function")
    write, back = (
        page.get_by_role("button", name=name) for name in ("Let it write", "Take it back")
    )
    finished = re.compile("It has written to the end|It stopped")

    def wrote() -> str:
        write.click()
        expect(page.locator(".message")).to_have_text(finished)
        said = field.input_value()
        back.click()
        return said

    first, again = wrote(), wrote()
    page.get_by_label("seed").fill("7")
    assert first == again != wrote()
    page.get_by_label("temperature").fill("0")
    ids = [
        BOS,
        *experiment.make_task(WORDS).target.encode(
            PIECES.encode("def f(wombat, n):\n\treturn n * womb")
        ),
    ]
    said = greedy(Cached(model), torch.tensor([ids]), 80)[0].tolist()
    text = PIECES.decode(
        experiment.make_task(WORDS).target.decode(i for i in [*ids, *said] if i > EOS)
    )
    assert wrote() == text.replace("\t", "    ")


def test_writing_can_be_stopped_and_drawn_anew(open_page: Open) -> None:
    page = open_page()
    page.evaluate("window.waiting = []; window.setTimeout = (go) => waiting.push(go); 0")
    field = page.get_by_label("The beginning of a Python function")
    page.get_by_label("temperature").fill("2")
    page.get_by_label("seed").fill("3")  # with which no end comes soon
    page.get_by_role("button", name="Let it write").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Let it write")).to_be_enabled()
    first = field.input_value()
    page.evaluate("Promise.resolve(waiting.forEach((go) => go())).then(() => 0)")  # time goes on
    assert field.input_value() == first
    assert page.locator(".message").inner_text() == "Stopped."
    assert page.locator(".told").inner_text().startswith("Most likely")
    page.get_by_role("button", name="Another draw").click()
    assert page.get_by_label("seed").input_value() == "4"
    page.get_by_role("button", name="Stop").click()
    begun = "def f(wombat, n):\n    return n * womb"
    assert begun < first != field.input_value() > begun
    page.get_by_role("button", name="Take it back").click()
    expect(field).to_have_value(begun)


def test_a_head_is_enlarged_and_any_token_is_asked(open_page: Open, engine: Page) -> None:
    page = open_page()
    text = page.get_by_role("button", name="Enlarge layer 1, head 2")
    text.click()
    assert text.get_attribute("aria-expanded") == "true"
    (its,) = engine.evaluate(READ, [["def f(wombat, n):\n\treturn n * womb"], [[], []], 0])
    cells = page.locator(".cells small").all_inner_texts()
    for shown, weight in zip(cells, its["weights"][0][1], strict=True):
        assert float(shown) == pytest.approx(weight, abs=0.0051)
    page.locator(".cells button").nth(3).click()
    cells = page.locator(".cells small").all_inner_texts()
    assert cells[4:] == ["–"] * (len(cells) - 4)
    assert sum(map(float, cells[:4])) == pytest.approx(1, abs=0.03)
    page.get_by_role("button", name="Close").click()
    expect(text).to_be_focused()


def test_a_link_opens_it_in_a_state(open_page: Open) -> None:
    page = open_page(asked="?live=gpt&text=def+f(x):%0A%09return&silent=2.1&temperature=1.3&seed=5")
    field = page.get_by_label("The beginning of a Python function")
    expect(field).to_have_value("def f(x):\n    return")
    assert not page.get_by_role("group", name="layer 2, head 1").get_by_label("speaks").is_checked()
    assert page.get_by_label("temperature").input_value() == "1.3"
    href = page.locator(".note a").get_attribute("href") or ""
    for part in ("silent=2.1", "temperature=1.3", "seed=5", "text=def+f"):
        assert part in href
    page.get_by_role("button", name="Enlarge layer 1, head 2").click()
    href = page.locator(".note a").get_attribute("href") or ""
    page = open_page(asked=f"?{href.partition('?')[2]}")
    assert "layer 1, head 2, large" in page.locator(".enlarged").inner_text()
    page.evaluate(
        "minattn.widgets.gpt(document.querySelector('.live'), new URLSearchParams('text=x&ended=1'))"
    )
    expect(page.locator(".told")).to_contain_text("ended the function")
    assert "ended=1" in (page.locator(".note a").get_attribute("href") or "")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("temperature=99", "temperature “99”"),
        ("temperature=warm", "temperature “warm”"),
        ("seed=1.5", "seed “1.5”"),
        ("silent=9.9", "head “9.9”"),
    ],
)
def test_a_link_that_asks_for_what_is_not_here_is_answered_kindly(
    asked: str, named: str, open_page: Open
) -> None:
    page = open_page(asked=f"?live=gpt&text=def+f(x):&{asked}")
    message = page.locator(".message").inner_text()
    assert message.startswith("The link asks for what is not here") and named in message
    assert page.locator(".next li").count() > 3


def test_what_stands_in_the_chapter_is_for_paper(open_page: Open) -> None:
    page = open_page()
    assert not page.get_by_text("For paper.").is_visible()
    page.emulate_media(media="print")
    assert page.get_by_text("For paper.").is_visible() and not page.locator(".gpt").is_visible()
    for chapter in ("10_gpt", "11_bert"):
        text = (ROOT / "book" / "chapters" / f"{chapter}.md").read_text("utf-8")
        assert re.search(r'<div class="live" data-live="\w+">\n\n(\S+ ){15}', text)


# --- room and looks --------------------------------------------------------------------------------------


def test_on_a_phone_all_is_done_by_touch_and_nothing_is_wider(open_page: Open) -> None:
    page = open_page(size=PHONE, has_touch=True)
    assert page.locator(".gpt :is(button, textarea, label.switch)").evaluate_all(SMALL) == []
    page.locator(".next button").nth(1).tap()
    page.get_by_role("group", name="layer 1, head 2").locator(".switch").tap()
    page.get_by_role("button", name="Enlarge layer 1, head 2").tap()
    assert page.locator(".enlarged").is_visible() and page.locator(".effect").inner_text()
    assert page.locator(".gpt button").evaluate_all(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(open_page: Open, theme: str) -> None:
    page = open_page(size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.get_by_role("group", name="layer 1, head 2").get_by_label("speaks").uncheck()
    page.get_by_role("button", name="Enlarge layer 1, head 2").click()
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
