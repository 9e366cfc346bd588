"""The BERT of chapter 11 in the page: its numbers are those of minattn, and what can be done with it."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from book.experiments import bert as experiment
from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, ROOT, VIOLATIONS, axe_script
from minattn.language.bert import BERT
from minattn.recording import recording
from minattn.tasks.two_notations import (
    TwoNotations,
    swap_two_digits,
    two_notations,
    two_notations_text,
)
from minattn.vocabulary import BOS, EOS
from tests.page.live_page import engine_of, engine_page, place_pages, stored, tensors
from tests.page.test_live_gpt import SMALL

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
LIVE = STATIC / "live"
PLACE = '<div class="live" data-live="bert"></div>'
READ = """async (texts) => {
    const model = await minattn.loadModel("bert");
    return texts.map((tokens) => model.read(tokens));
}"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def task() -> TwoNotations:
    return two_notations()


@pytest.fixture(scope="module")
def model(task: TwoNotations) -> BERT:
    """The package's model with the weights that stand in the file."""
    state = tensors(stored("bert"))
    bert = experiment.make_model(task, 0, "rotary", "both").eval()
    bert.load_state_dict(state | {"readout.weight": state["table.weight"]})
    return bert.double()


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with engine_page(browser, tmp_path_factory.mktemp("blank"), engine_of("bert")) as page:
        yield page


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with the place, as minattn.js does after a click; what goes wrong in it fails the test."""
    with place_pages(browser, tmp_path, "BERT") as start:

        def opened(size: dict = DESK, asked: str = "", **how: Any) -> Page:
            page = start(PLACE, size, asked, **how)
            if not asked:
                page.get_by_role("button", name="Hide words or digits").click()
            page.locator(".told:not(:empty)").wait_for()
            return page

        yield opened


def gaps(number: int, digits: str | None, seed: int) -> list[str]:
    """A text between its marks, with some tokens hidden."""
    draws = random.Random(seed)
    tokens = two_notations_text(number, digits).tokens
    read = ["<mask>" if t != "=" and draws.random() < 0.25 else t for t in tokens]
    return ["<bos>", *read, "<eos>"]


def ids_of(task: TwoNotations, tokens: list[str]) -> list[int]:
    return [BOS, *task.vocabulary.encode(tokens[1:-1]), EOS]


def answers(page: Page) -> list[str]:
    """What is said of each gap, the likeliest."""
    said = page.locator(".gap li:first-child > span:first-child").all_inner_texts()
    return [text.removesuffix(" ✓") for text in said]


def chances(page: Page) -> list[float]:
    return [float(text) for text in page.locator(".gap li:first-child .number").all_inner_texts()]


# --- the model -------------------------------------------------------------------------------------------


def test_probabilities_and_weights_are_those_of_minattn(
    engine: Page, model: BERT, task: TwoNotations
) -> None:
    """200 held-out numbers: every place, every head, and the same likeliest token."""
    texts = [gaps(number, None, i) for i, number in enumerate(task.held_out[:200])]
    found = engine.evaluate(READ, texts)
    assert len(found) == 200
    for text, its in zip(texts, found, strict=True):
        with torch.no_grad(), recording(model) as record:
            logits = model(torch.tensor([ids_of(task, text)]))[0]
        ours = logits.softmax(-1)
        theirs = torch.tensor(its["probabilities"], dtype=torch.float64)
        assert (theirs - ours).abs().max() < 1e-3
        assert torch.equal(theirs.argmax(-1), ours.argmax(-1))
        for name, weights in zip(record.calls, its["weights"], strict=True):
            assert (torch.tensor(weights) - record.weights(name)[0]).abs().max() < 1e-3


def test_texts_are_those_of_the_package(engine: Page, task: TwoNotations) -> None:
    numbers = [*task.held_out[:200], 1000, 1001, 1011, 10_101, 100_000, 101_010, 999_999]
    draws = random.Random(0)
    asked = [(n, swap_two_digits(str(n), draws) or str(n)) for n in numbers]
    found = engine.evaluate(
        "(asked) => asked.map((one) => minattn.twoNotationsText(...one))", asked
    )
    for (number, digits), its in zip(asked, found, strict=True):
        text = two_notations_text(number, digits)
        assert tuple(its["tokens"]) == text.tokens
        assert tuple(its["saidBy"]) == text.said_by


def test_gelu_is_that_of_torch(engine: Page) -> None:
    at = torch.linspace(-6, 6, 241, dtype=torch.float64)
    ours = torch.nn.functional.gelu(at)
    theirs = torch.tensor(engine.evaluate("(at) => at.map(minattn.gelu)", at.tolist()))
    assert (ours - theirs).abs().max() < 1e-6


def test_the_card_says_what_is_lost_by_rounding() -> None:
    card = json.loads((LIVE / "weights" / "bert.json").read_text("utf-8"))
    before, after = card["gaps_told_before_rounding"], card["gaps_told_after_rounding"]
    assert set(before) == set(after) == {"all", "digits", "words", "loss"}
    assert all(abs(before[kind] - after[kind]) < 0.005 for kind in before)
    assert card["files"]["bert.js"] == (LIVE / "weights" / "bert.js").stat().st_size < 400_000


# --- what is shown ---------------------------------------------------------------------------------------


def test_what_the_chapter_says_is_so(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="nothing").click()
    page.get_by_role("button", name="sechzehn, hide it").click()
    assert answers(page) == ["sechzehn"] and chances(page)[0] == pytest.approx(0.90, abs=0.006)
    page.get_by_role("button", name="6, hide it").click()
    assert chances(page)[0] == pytest.approx(0.22, abs=0.006)
    page.get_by_label("Other digits").fill("583216")
    page.get_by_role("button", name="Change").click()
    page.get_by_role("button", name="all digits").click()
    page.get_by_label("ask for each gap alone").check()
    said = answers(page)
    assert [i for i, (a, b) in enumerate(zip(said, "583216", strict=True)) if a != b] == [2, 3]
    assert "in 4 of 6 gaps" in page.locator(".told").inner_text()
    chapter = (ROOT / "book" / "chapters" / "11_bert.md").read_text("utf-8")
    assert chapter.count('<div class="live" data-live="bert">') == 1 and "583216" in chapter


def test_what_is_shown_are_the_numbers_of_the_model(
    open_page: Open, model: BERT, task: TwoNotations
) -> None:
    page = open_page(asked="?live=bert&number=723045&hidden=3,12")
    tokens = [*two_notations_text(723_045).tokens]
    tokens[2] = tokens[11] = "<mask>"
    with torch.no_grad(), recording(model) as record:
        ours = model(torch.tensor([ids_of(task, ["<bos>", *tokens, "<eos>"])]))[0].softmax(-1)
    for gap, place in zip(page.locator(".gap").all(), (3, 12), strict=True):
        top = ours[place].topk(4)
        names = [
            text.removesuffix(" ✓")
            for text in gap.locator("li > span:first-child").all_inner_texts()
        ]
        assert names == task.vocabulary.decode(top.indices.tolist())
        numbers = gap.locator(".number").all_inner_texts()
        assert [float(n) for n in numbers] == pytest.approx(top.values.tolist(), abs=0.0051)
    page.locator(".gap button").nth(1).click()
    for layer, name in enumerate(record.calls):
        for head in range(4):
            row = (
                page.locator(".map tbody tr").nth(4 * layer + head).locator("td").all_inner_texts()
            )
            weights = record.weights(name)[0, head, 12].tolist()
            assert [float(cell) for cell in row] == pytest.approx(weights, abs=0.0051)
    assert page.locator(".map tbody tr").nth(0).locator(".ringed").count() == 1
    ringed = (
        page.locator(".map tbody tr")
        .nth(0)
        .locator("td")
        .evaluate_all("cells => cells.findIndex((cell) => cell.classList.contains('ringed'))")
    )
    assert tokens[ringed - 1] == tokens[two_notations_text(723_045).said_by[11] or 0]


def test_rings_mark_what_says_the_same(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="nothing").click()
    page.get_by_role("button", name="sechzehn, hide it").click()
    assert page.locator(".map tbody tr").first.locator(".ringed").count() == 2
    page.get_by_role("button", name="und, hide it").click()
    assert page.locator(".ringed").count() == 0
    assert "there is no ring" in page.locator(".bert").inner_text()


def test_alone_every_gap_reads_all_the_others(
    open_page: Open, engine: Page, task: TwoNotations
) -> None:
    page = open_page()
    together = chances(page)
    page.get_by_label("ask for each gap alone").check()
    tokens = two_notations_text(582_316).tokens
    texts = [
        ["<bos>", *("<mask>" if j == i else t for j, t in enumerate(tokens)), "<eos>"]
        for i in range(len(tokens) - 6, len(tokens))
    ]
    found = engine.evaluate(READ, texts)
    places = range(len(tokens) - 5, len(tokens) + 1)
    wanted = [max(its["probabilities"][i]) for i, its in zip(places, found, strict=True)]
    assert chances(page) == pytest.approx(wanted, abs=0.0051)
    assert chances(page) != together


def test_tokens_are_hidden_and_shown_by_keyboard(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="nothing").click()
    assert "Nothing is hidden" in page.locator(".told").inner_text()
    assert not page.locator(".map").is_visible()
    first = page.locator(".tokens button").first
    first.focus()
    page.keyboard.press("Space")
    assert first.get_attribute("aria-pressed") == "true"
    expect(first).to_be_focused()
    page.keyboard.press("Space")
    assert first.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("text", ["999", "1000000", "abc", "", "1" * 400])
def test_odd_numbers_get_a_kind_sentence_and_keep_the_rest(open_page: Open, text: str) -> None:
    page = open_page()
    field = page.get_by_label("A number")
    field.fill(text)
    field.press("Enter")
    message = page.locator(".message")
    assert "from 1,000 to 999,999" in message.inner_text()
    assert "Below is still 582,316." in message.inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("viertausenddrei")
    field.press("Enter")
    assert message.inner_text() == "" and field.get_attribute("aria-invalid") is None
    assert page.get_by_label("Other digits").input_value() == "4003"


@pytest.mark.parametrize("text", ["12", "1234567", "58231x", ""])
def test_odd_digits_get_a_kind_sentence(open_page: Open, text: str) -> None:
    page = open_page()
    page.get_by_label("Other digits").fill(text)
    page.get_by_role("button", name="Change").click()
    assert "Type 6 digits here" in page.locator(".message").inner_text()
    assert page.locator(".gap").count() == 6


def test_a_link_opens_it_in_a_state(open_page: Open) -> None:
    page = open_page(asked="?live=bert&number=4003&digits=4030&hidden=1,3,8&alone=1")
    assert page.locator(".tokens [aria-pressed=true]").count() == 3
    assert page.get_by_label("Other digits").input_value() == "4030"
    assert page.get_by_label("ask for each gap alone").is_checked()
    href = page.locator(".note a").get_attribute("href") or ""
    for part in ("number=4003", "digits=4030", "hidden=1,3,8", "alone=1"):
        assert part in href
    page = open_page(asked="?live=bert&number=4003&hidden=1,3,8&gap=8")
    assert page.locator(".gap.chosen").count() == 1
    assert page.locator(".gap").nth(2).evaluate("gap => gap.classList.contains('chosen')")
    page.locator(".gap button").nth(0).click()
    href = page.locator(".note a").get_attribute("href") or ""
    assert "gap=1" in href and "gap=8" not in href
    page = open_page(asked="?live=bert&number=12")
    assert "The link asks for a number" in page.locator(".message").inner_text()


# --- room and looks --------------------------------------------------------------------------------------


def test_on_a_phone_all_is_done_by_touch_and_nothing_is_wider(open_page: Open) -> None:
    page = open_page(size=PHONE, has_touch=True)
    field = page.get_by_label("A number")
    field.fill("777777")  # the longest
    page.get_by_role("button", name="Write it").tap()
    page.get_by_role("button", name="all words").tap()
    page.locator(".gap button").nth(2).tap()
    assert page.locator(".gap button").nth(2).get_attribute("aria-pressed") == "true"
    page.locator(".tokens button").first.tap()
    page.locator("label.switch").tap()
    assert page.get_by_label("ask for each gap alone").is_checked()
    assert (
        page.locator(".bert :is(button, form input, label.switch, summary)").evaluate_all(SMALL)
        == []
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(open_page: Open, theme: str) -> None:
    page = open_page(size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.get_by_text("The same in numbers").click()
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
