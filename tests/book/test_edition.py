"""What chapters of the second edition promise: a short main path, few boxes, choices, and how they end.

Such a chapter has `edition: 2` in its front matter. Words belong to the section that they stand in, a cell of code
to the last that began before it.
"""

import re
from pathlib import Path

import nbformat
import pytest

from book.tools import contents

ROOT = Path(__file__).parents[2]
NO_PROSE = re.compile(r"```.*?```|\$\$.*?\$\$|<[^>]+>|\{[a-z:]+\}`[^`]*`", re.DOTALL)
SECTIONS = re.compile("^(?=## )", re.MULTILINE)
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
UNSEEN = {"hide-cell", "hide-output", "remove-cell", "remove-output"}


def faults(notebook, number):
    """The rules that an executed notebook breaks, each in a sentence."""
    ours, parts = notebook["metadata"]["minattn"], list(by_part(notebook))
    cells = [cell for _, cell in parts]
    before = [cell for part, cell in parts if part != "exercises"]
    found = []

    words = sum(words_of(cell) for part, cell in parts if part == "main")
    most = 2450 if number <= contents.LAST_OF_THE_TRUNK else 1750
    if words > most:
        found.append(f"the main path has at most {most} words, got {words}")
    folded, visible = lines_of(before, folded=True), lines_of(before, folded=False)
    if folded > 1.5 * visible:
        found.append(f"1.5 folded lines for a visible one at most, got {folded} for {visible}")

    goes_deeper = any(part == "deeper" for part, _ in parts)
    if goes_deeper and "deeper" not in ours:
        found.append('sections "Going deeper" need their minutes, got no `deeper`')
    if not goes_deeper and "deeper" in ours:
        found.append('`deeper` needs a heading "Going deeper", got none')
    if number == 0:  # ten minutes, all of it questions
        return found

    if not 5 <= (boxes := sum(map(boxes_of, before))) <= 10:
        found.append(f"5 to 10 claims outside of checks, got {boxes}")
    for title, name in (("By default", "by-default"), ("Not known", "not-known")):
        box = rf"^:::+\{{admonition\}} {title}\n:class: {name}$"
        if (boxes := count(box, cells, "markdown")) != 1:
            found.append(f'one box "{title}" of class {name}, got {boxes}')
    if (choices := count(r'<div class="choice"', cells, "markdown")) < 2:
        found.append(f"two choices at least, got {choices}")
    exercises = [cell for part, cell in parts if part == "exercises"]
    if not count(r"^\s*wrong_attempt\(", exercises, "code"):
        found.append("one call of wrong_attempt among the exercises at least, got none")
    return found


def by_part(notebook):
    """Every cell, and every section of a cell that has several, with its part: main, deeper or exercises."""
    part = "main"
    for cell in notebook["cells"]:
        text = cell["cell_type"] == "markdown"
        for source in SECTIONS.split(cell["source"]) if text else [cell["source"]]:
            if text and (heading := re.match("## (.*)", source)):
                part = part_of(heading[1].strip().lower())
            if source:
                yield part, {**cell, "source": source}


def part_of(heading):
    if heading.startswith("exercise"):
        return "exercises"
    return "deeper" if heading.startswith("going deeper") else "main"


def words_of(cell):
    if cell["cell_type"] != "markdown":
        return 0
    return len(re.findall(r"[A-Za-zÀ-ÿ']+", NO_PROSE.sub(" ", cell["source"])))


def lines_of(cells, folded):
    return sum(
        sum(bool(line.strip()) for line in cell["source"].splitlines())
        for cell in cells
        if cell["cell_type"] == "code" and bool(FOLDED & tags(cell)) == folded
    )


def boxes_of(cell):
    """The green boxes that a reader sees under a cell; those of checks are closed."""
    if UNSEEN & tags(cell):
        return 0
    outputs = cell.get("outputs", [])
    return sum("claim" in output.get("metadata", {}).get("minattn", {}) for output in outputs)


def count(pattern, cells, kind):
    found = re.compile(pattern, re.MULTILINE)
    return sum(len(found.findall(cell["source"])) for cell in cells if cell["cell_type"] == kind)


def tags(cell):
    return set(cell["metadata"].get("tags", []))


# the chapters -------------------------------------------------------------------------------------


def test_the_chapters_of_the_second_edition_keep_its_rules():
    found = {}
    for path in contents.notebooks_in_order(ROOT):
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        edition = notebook["metadata"]["minattn"].get("edition", 1)
        assert edition in (1, 2), f"{path.stem}: the edition is 2, or is not said; got {edition}"
        if edition == 2 and (broken := faults(notebook, int(path.stem.partition("_")[0]))):
            found[path.stem] = broken
    assert found == {}


# the rules, on made-up chapters -------------------------------------------------------------------


def text(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def code(source, *names, outputs=()):
    outputs = [{"metadata": {"minattn": ours}} for ours in outputs]
    metadata = {"tags": list(names)}
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": outputs}


def box(title, name):
    return text(f":::{{admonition}} {title}\n:class: {name}\nUse it.\n:::")


ENDS = box("By default", "by-default"), box("Not known", "not-known")
NO_WORDS = "```python\nfive = 5\n``` $$x y$$ <b class='a'> {ref}`there` 4"


def chapter(
    words=0,
    main=(),
    ours=(("deeper", 15),),
    deeper="## Going deeper: how far?\n\n" + "word " * 3000,
    boxes=5,
    ends=ENDS,
    choices=2,
    attempt='wrong_attempt("8.2", "name")',
):
    """A chapter that keeps all rules, or all but one."""
    choice = text('<div class="choice" data-right="b">\n\nWhich?\n\n</div>')
    return {
        "metadata": {"minattn": {"minutes": 40, "edition": 2, **dict(ours)}},
        "cells": [
            text("# Pooling\n\n## By hand\n\n" + "word " * words),
            code("a = 1\n\nb = 2\n", outputs=[{"claim": "it works"}] * boxes),
            *main,
            *ends,
            text(deeper),
            text("## Exercises\n\n" + "word " * 3000),
            *[choice] * choices,
            code("pass\n" * 50, "hide-cell", outputs=[{"claim": "it works"}] * 20),
            code(attempt),
        ],
    }


def most_words(most):
    """As many words as stay: what else the main path of a made-up chapter says is counted too."""
    said = sum(words_of(cell) for part, cell in by_part(chapter()) if part == "main")
    return most - said


CLOSING = "## The answer\n\nFive.\n\n## Going deeper: how far?\n\nNot counted."
SHOWN = [{"claim": "it works"}]
CLOSED = [{"checks": [{"claim": "it works"}] * 30}]


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (8, {}),
        (9, {"words": most_words(2450)}),
        (10, {"words": most_words(1750)}),
        (8, {"words": most_words(2450), "main": [text(NO_WORDS)]}),
        (8, {"words": most_words(2450), "deeper": "## Going deeper: how far?\n\nNot counted."}),
        (8, {"main": [code("a\nb\n\nc", "hide-input")]}),
        (8, {"main": [code("a", "hide-input", outputs=SHOWN * 5)]}),
        (8, {"main": [code("a", outputs=CLOSED)]}),
        (8, {"boxes": 10, "main": [code("a", "hide-cell", outputs=SHOWN)]}),
        (8, {"ours": (), "deeper": "## How far?"}),
        (0, {"boxes": 0, "ends": (), "choices": 0, "attempt": "pass"}),
    ],
)  # fmt: skip
def test_a_chapter_may_go_as_far_as_the_rules(number, changes):
    assert faults(chapter(**changes), number) == []


@pytest.mark.parametrize(
    ("number", "changes", "fault"),
    [
        (9, {"words": most_words(2451)}, "at most 2450 words, got 2451"),
        (0, {"words": most_words(2451)}, "at most 2450 words, got 2451"),
        (10, {"words": most_words(1751)}, "at most 1750 words, got 1751"),
        (8, {"main": [code("a\nb", "hide-input"), code("c\nd", "remove-cell")]}, "got 4 for 2"),
        (8, {"words": most_words(2450), "deeper": CLOSING}, "at most 2450 words, got 2453"),
        (8, {"boxes": 4}, "outside of checks, got 4"),
        (8, {"boxes": 4, "main": [code("a", outputs=CLOSED)]}, "outside of checks, got 4"),
        (8, {"boxes": 11}, "outside of checks, got 11"),
        (8, {"ours": ()}, "need their minutes, got no `deeper`"),
        (8, {"deeper": "## How far?"}, 'needs a heading "Going deeper", got none'),
        (8, {"ends": ENDS[1:]}, '"By default" of class by-default, got 0'),
        (8, {"ends": ENDS[:1]}, '"Not known" of class not-known, got 0'),
        (8, {"ends": [ENDS[0], box("Not known", "tip")]}, "not-known, got 0"),
        (8, {"ends": [ENDS[0], *ENDS]}, "by-default, got 2"),
        (8, {"choices": 1}, "two choices at least, got 1"),
        (8, {"attempt": "from minattn.exercises import wrong_attempt"}, "call of wrong_attempt"),
        (8, {"attempt": "pass", "main": [code('wrong_attempt("8.2", "name")')]}, "call of wrong_attempt"),
    ],
)  # fmt: skip
def test_a_chapter_that_breaks_one_rule_is_told_which(number, changes, fault):
    (found,) = faults(chapter(**changes), number)
    assert fault in found
