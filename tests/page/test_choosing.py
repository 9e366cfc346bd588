"""Choices in the text, in a page of its own: with a mouse, with the keyboard, without scripts, on paper."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
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
from tests.page.live_page import live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = Path(__file__).parents[2] / "book" / "_static"
LONG = "It goes on and on. " * 40
QUESTION = """<div class="choice">

Which vector does step %d read?

<details><summary>The state at its own word.</summary>

Chapter 2 will do that. %s

</details>
<details class="right"><summary>The one that all steps read.</summary>

Yes. There is but one.

</details>
<details><summary>None, with <code>decode</code>.</summary>

It is handed over at each step.

</details>
</div>

"""

NEXT_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with two questions; whatever goes wrong in it fails the test at its end."""
    for name in ("minattn.css", "minattn.js"):
        shutil.copy(STATIC / name, tmp_path / name)
    places = MarkdownIt().render(QUESTION % (5, LONG) + QUESTION % (6, LONG))
    file = tmp_path / "choices.html"
    file.write_text(live_page("Choices", ["minattn.css"], places, ["minattn.js"]), "utf-8")
    faults: list[str] = []
    contexts = []

    def start(size: dict = DESK, scripting: bool = True) -> Page:
        context = browser.new_context(viewport=size, java_script_enabled=scripting)
        contexts.append(context)
        page = watch(context, faults, tmp_path.as_uri())
        page.goto(file.as_uri())
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def open_ones(group: Locator) -> list[bool]:
    return [fold.get_attribute("open") is not None for fold in group.locator("details").all()]


def words(group: Locator) -> list[str]:
    return [
        " ".join(fold.locator(".choice-word").all_text_contents())
        for fold in group.locator("details").all()
    ]


def test_nothing_tells_the_right_choice_before_one_is_chosen(open_page: Open) -> None:
    page = open_page()
    look = """fold => [fold, ...fold.children].slice(0, 2).map(part => {
        const {color, borderColor, backgroundColor} = getComputedStyle(part);
        return [color, borderColor, backgroundColor, getComputedStyle(part, '::before').content]})"""
    looks = [str(fold.evaluate(look)) for fold in page.locator("details").all()]
    assert len(looks) == 6 and set(looks) == {looks[0]}
    assert page.locator(".choice-word").count() == 0


def test_what_was_chosen_is_marked_and_the_others_close(open_page: Open) -> None:
    page = open_page()
    one, two = page.locator(".choice").all()
    two.locator("summary").nth(2).click()
    one.locator("summary").nth(0).click()
    assert open_ones(one) == [True, False, False] and words(one) == ["not quite", "", ""]
    one.locator("summary").nth(1).click()
    assert open_ones(one) == [False, True, False] and words(one) == ["not quite", "right", ""]
    assert open_ones(two) == [False, False, True], "another question stays as it is"
    one.locator("summary").nth(1).click()
    one.locator("summary").nth(1).click()
    assert words(one) == ["not quite", "right", ""], "a word is said once"
    marks = "fold => getComputedStyle(fold.querySelector('summary'), '::before').content"
    assert [fold.evaluate(marks) for fold in one.locator("details").all()][:2] == ['"✗"', '"✓"']


def test_a_choice_stays_where_it_was_clicked(open_page: Open) -> None:
    page = open_page(PHONE)
    page.evaluate("document.querySelector('h1').style.marginBottom = '200vh'")
    first, second = page.locator(".choice").nth(1).locator("summary").all()[:2]
    first.click()
    second.scroll_into_view_if_needed()
    before = second.bounding_box()
    second.click()
    page.evaluate(NEXT_FRAMES)
    after = second.bounding_box()
    assert before and after and abs(before["y"] - after["y"]) <= 1


def test_choices_are_made_with_the_keyboard(open_page: Open) -> None:
    page = open_page()
    group = page.locator(".choice").first
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert open_ones(group) == [True, False, False]
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert open_ones(group) == [False, True, False] and words(group) == ["not quite", "right", ""]
    ring = page.locator(":focus").evaluate("part => getComputedStyle(part).outlineStyle")
    assert ring == "solid"


def test_a_screen_reader_is_told_the_question_and_the_word(open_page: Open) -> None:
    page = open_page()
    assert page.get_by_role("group", name="Which vector does step 5 read?", exact=True).count() == 1
    group = page.get_by_role("group", name="Which vector does step 6 read?", exact=True)
    group.locator("summary").nth(1).click()
    assert "The one that all steps read. right" in group.aria_snapshot()


def test_without_scripts_choices_are_folds(open_page: Open) -> None:
    page = open_page(scripting=False)
    group = page.locator(".choice").first
    for summary in group.locator("summary").all():
        summary.click()
    assert open_ones(group) == [True, True, True]
    assert page.locator("text=Yes. There is but one.").first.is_visible()


def test_all_may_be_opened_at_once_and_nothing_counts_as_chosen(open_page: Open) -> None:
    page = open_page()
    page.evaluate(OPEN_ALL)
    page.wait_for_timeout(50)
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".choice-word").count() == 0


def test_paper_tells_every_reply_and_which_is_right(open_page: Open) -> None:
    page = open_page()
    page.emulate_media(media="print")
    group = page.locator(".choice").first
    for reply in group.locator("details > p").all():
        assert reply.evaluate("part => part.checkVisibility({contentVisibilityAuto: true})")
        assert reply.bounding_box()["height"] > 10
    marks = "summary => getComputedStyle(summary, '::before').content"
    found = [summary.evaluate(marks) for summary in group.locator("summary").all()]
    assert [mark == '"✓"' for mark in found] == [False, True, False]


@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_choices(theme: str, size: dict, open_page: Open) -> None:
    page = open_page(size)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    for summary in page.locator(".choice").first.locator("summary").all():
        summary.click()
    page.evaluate(OPEN_ALL)
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
