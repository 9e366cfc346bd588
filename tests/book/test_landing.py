"""The landing page promises what was measured, and the times that the chapters say."""

import re
from pathlib import Path

import jupytext
import pytest

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


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_it_gives_the_reading_time_of_every_chapter_and_what_one_can_do_after_it(chapter):
    notebook = jupytext.read(chapter)
    minutes = notebook.metadata["minattn"]["minutes"]
    entry = re.search(rf"{chapter.stem}\.ipynb\)\*\*, (\d+) min\.\n.*\n {{3,4}}(.*)\n", PAGE)
    assert entry, f"book/index.md needs an entry of three lines for {chapter.stem}"
    assert int(entry[1]) == minutes
    can = entry[2][0].lower() + entry[2][1:]
    line = f"*{minutes} minutes of reading. Afterwards you can {can}*"
    assert line in notebook.cells[0].source
