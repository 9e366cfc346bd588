"""Choices in the text: a question, a few answers, one of them right, and a reply to each."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from markdown_it import MarkdownIt

from book.tools import notebooks

ROOT = Path(__file__).parents[2]
CHAPTERS = notebooks.chapters(ROOT)

GOOD = """Look at the figure.

<div class="choice">

Which context vector does step 5 read?

<details><summary>The state at the fifth word.</summary>

Chapter 2 will do that. It writes $\\mathbf{c}_5$.

- A list may stand here.

</details>
<details class="right"><summary>The one that <em>all</em> steps read.</summary>

Yes. There is but one.

</details>
</div>

The text goes on."""


def faults(source: str) -> list[str]:
    """Say what is wrong with the choices of a text."""
    page = BeautifulSoup(MarkdownIt().render(source), "html.parser")
    groups = page.select("div.choice")
    if len(groups) != len(re.findall(r"<div[^>]*\bchoice\b", source)):
        return ["a choice is not on its own: it begins at the margin, after a blank line"]
    return [fault for group in groups for fault in _faults(group)]


def _faults(group: Tag) -> list[str]:
    found = []
    parts = group.find_all(True, recursive=False)
    choices = group.find_all("details", recursive=False)
    if not parts or parts[0].name != "p" or parts[-len(choices) :] != choices:
        found.append("a question comes first, as a paragraph of its own, and the choices last")
    if group.find_all(string=lambda text: text.parent is group and text.strip()):
        found.append("the question stands between blank lines")
    if not 2 <= len(choices) <= 4:
        found.append(f"there are 2 to 4 choices, got {len(choices)}")
    n_right = sum(choice.get("class") == ["right"] for choice in choices)
    if n_right != 1:
        found.append(f"one choice is right, got {n_right}")
    for choice in choices:
        summary = choice.find("summary", recursive=False)
        said = summary.get_text() if summary else ""
        if not said.strip() or re.search(r"[$`*\n]|\\\(", said):
            found.append(
                f"a choice is one line of HTML, without Markdown or formulas, got {said!r}"
            )
        reply = " ".join(part.get_text() for part in choice.find_all("p", recursive=False))
        if not re.search(r"\w+\W+\w.*[.?!:]", reply, re.DOTALL):
            found.append(f"a reply is a sentence between blank lines, got {reply!r}")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_choices_of_a_chapter_are_well_made(chapter):
    for cell in notebooks.from_source(chapter).cells:
        if cell.cell_type == "markdown":
            assert faults(cell.source) == []


def test_a_good_choice_has_no_fault():
    assert faults(GOOD) == []
    assert faults(f"{GOOD}\n\n{GOOD}") == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Which context vector does step 5 read?\n\n", "", "a question comes first"),
        ('choice">\n\n', 'choice">\n', "the question stands between"),
        ("</details>\n</div>", "</details>\n\nAnd?\n\n</div>", "a question comes first"),
        ('<details class="right">', "<details>", "one choice is right, got 0"),
        ("<details><", '<details class="right"><', "one choice is right, got 2"),
        ("<em>all</em>", "*all*", "a choice is one line"),
        ("<em>all</em>", "$n$", "a choice is one line"),
        ("The state at the fifth word.", "", "a choice is one line"),
        ("</summary>\n\nYes. There", "</summary>\nYes. There", "a reply is a sentence"),
        ("Yes. There is but one.", "Yes.", "a reply is a sentence"),
        ("figure.\n\n<div", "figure.\n<div", ""),
        ("figure.\n\n<div", "figure: <div", "a question comes first"),
        ("figure.\n\n<div", "figure.\n\n    <div", "a choice is not on its own"),
    ],
)
def test_a_fault_is_found(old, new, fault):
    assert GOOD.count(old) == 1
    found = faults(GOOD.replace(old, new))
    assert (found == []) if not fault else any(line.startswith(fault) for line in found), found


@pytest.mark.parametrize(("n", "is_fine"), [(1, False), (2, True), (4, True), (5, False)])
def test_choices_are_two_to_four(n, is_fine):
    start, end = GOOD.index("<details>"), GOOD.index('<details class="right">')
    text = GOOD[:start] + GOOD[start:end] * (n - 1) + GOOD[end:]
    assert faults(text) == ([] if is_fine else [f"there are 2 to 4 choices, got {n}"])
