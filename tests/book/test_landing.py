"""The landing page promises what was measured, and the times that the chapters say."""

import re
from pathlib import Path

import jupytext
import pytest

from book.tools.contents import number_of
from minattn.claims import results

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.md"))


def test_it_says_what_was_measured_at_twelve_digits():
    at_most, at_least = (
        int(re.search(rf"at {word} (\d+) in 100", PAGE)[1]) for word in ("most", "least")
    )
    folder = ROOT / "book" / "experiments" / "results"
    fixed = results("context_vector", folder).values("d_model 64", "accuracy 12")
    attention = results("soft_attention", folder).values("multiplicative, after", "accuracy 12")
    assert at_most - 1 < 100 * max(fixed) <= at_most
    assert at_least <= 100 * min(attention) < at_least + 2


def in_the_list(minutes, deeper=None):
    """The time of a chapter in the list of the landing page."""
    return f"{minutes} min" + (f", {deeper} deeper." if deeper else ".")


def in_the_chapter(minutes, deeper=None):
    """The time of a chapter in its first lines."""
    return f"{minutes} minutes of reading" + (
        f", and {deeper} more for what goes deeper." if deeper else "."
    )


def entry_of(stem, page):
    """What the list says of a chapter: its time, and what one can do afterwards."""
    link = rf"{number_of(stem)}\. \*\*\[[^]]+\]\(\.\./notebooks/{stem}\.ipynb\)\*\*"
    found = re.search(rf"^{link}, (.*)\n.*\n {{3,4}}(.*)\n", page, re.MULTILINE)
    assert found, f"book/index.md needs an entry of three lines for {stem}, under its number"
    return found.groups()


def wanted_line(ours, can):
    time = in_the_chapter(ours["minutes"], ours.get("deeper"))
    return f"*{time} Afterwards you can {can[0].lower() + can[1:]}*"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_it_gives_the_reading_time_of_every_chapter_and_what_one_can_do_after_it(chapter):
    notebook = jupytext.read(chapter)
    ours = notebook.metadata["minattn"]
    time, can = entry_of(chapter.stem, PAGE)
    assert time == in_the_list(ours["minutes"], ours.get("deeper"))
    assert wanted_line(ours, can) in notebook.cells[0].source


@pytest.mark.parametrize(
    ("ours", "time", "line"),
    [
        ({"minutes": 50}, "50 min.", "*50 minutes of reading. Afterwards you can pool.*"),
        (
            {"minutes": 50, "deeper": 20},
            "50 min, 20 deeper.",
            "*50 minutes of reading, and 20 more for what goes deeper. Afterwards you can pool.*",
        ),
    ],
)
def test_what_goes_deeper_has_minutes_of_its_own(ours, time, line):
    page = f"8. **[Pooling](../notebooks/08_pooling.ipynb)**, {time}\n   *Why?*\n   Pool.\n"
    assert entry_of("08_pooling", page) == (in_the_list(**ours), "Pool.")
    assert wanted_line(ours, "Pool.") == line


def test_it_says_what_deeper_means_where_a_chapter_has_it():
    if any("deeper" in jupytext.read(path).metadata["minattn"] for path in CHAPTERS):
        assert "what goes deeper" in PAGE
