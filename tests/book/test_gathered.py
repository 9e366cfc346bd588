"""The cheat sheet and the page of open questions: gathered from the chapters, drawn from their models."""

import re

import pytest
import torch
from torch import nn

from book.tools import gathered_pages, matrices
from book.tools.boxes import boxes
from book.tools.contents import chapters_in_order
from book.tools.matrices import Matrix
from tests.book.test_making import ROOT

CHAPTER = """\
---
minattn:
  minutes: 3
  needs: []
  modules: []
---

# {title}

## What it is: *not* magic

```python
# no heading, but a comment
```

:::{{admonition}} By default
:class: by-default

Take {title}.
See [another](01_a.ipynb#what-it-is).
:::

::::{{admonition}} Not known
:class: not-known
Why {title}
works.

Whether it lasts.
::::

## Exercises
"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book/chapters").mkdir(parents=True)
    for stem, title in ("02_b", "Second"), ("01_a", "First"):
        (tmp_path / f"book/chapters/{stem}.md").write_text(CHAPTER.format(title=title))
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n"
        "- caption: Part I\n  chapters:\n  - file: notebooks/02_b\n"
        "- caption: Part II\n  chapters:\n  - file: notebooks/01_a\n"
    )
    return tmp_path


@pytest.fixture
def two_models(monkeypatch):
    """Two chapters with models that are alike, but for a number that is no matrix."""

    def make(n):
        return lambda: nn.ModuleDict({"up": nn.Linear(3, 7), "norm": nn.LayerNorm(n)})

    made = {"01_a": ("What it is: not magic", make(2)), "02_b": ("Exercises", make(5))}
    monkeypatch.setattr(matrices, "MODELS", made)
    monkeypatch.setattr(matrices, "lookup", lambda: [Matrix("x", (2, 3), 1)])


def test_both_pages_gather_the_boxes_in_reading_order(book, two_models, capsys):
    assert gathered_pages.main(["--check"], book) == 1
    assert "book/cheat_sheet.md is out of date; run make notebooks" in capsys.readouterr().err
    assert gathered_pages.main([], book) == 0
    assert gathered_pages.main(["--check"], book) == 0

    sheet = (book / "book/cheat_sheet.md").read_text()
    where = "../notebooks/02_b.ipynb#what-it-is-not-magic"
    assert (
        f"**[2. Second]({where})** Take Second. See [another](../notebooks/01_a.ipynb#what-it-is).\n"
    ) in sheet
    assert sheet.index("[2. Second]") < sheet.index("[1. First]")
    both = "[1. First](../notebooks/01_a.ipynb#what-it-is-not-magic), [2. Second](../notebooks/02_b.ipynb#exercises)"
    assert f"{both}\n\n<svg" in sheet, "the same matrices are drawn once"

    asked = (book / "book/open_questions.md").read_text()
    assert f"## Part I\n\n[2. Second]({where})\n: Why Second works. Whether it lasts.\n" in asked
    assert asked.index("## Part I\n") < asked.index("## Part II\n")


@pytest.mark.parametrize("name", ["cheat_sheet", "open_questions"])
def test_a_changed_box_makes_the_page_stale(book, two_models, name, capsys):
    assert gathered_pages.main([], book) == 0
    chapter = book / "book/chapters/01_a.md"
    old, new = {
        "cheat_sheet": ("Take First", "Take Third"),
        "open_questions": ("Why First", "How"),
    }[name]
    chapter.write_text(chapter.read_text().replace(old, new))
    assert gathered_pages.main(["--check"], book) == 1
    assert capsys.readouterr().err == f"book/{name}.md is out of date; run make notebooks\n"


def test_no_chapter_is_left_out():
    """That both pages are in step with the chapters, lint sees."""
    chapters = [stem for stem, chapter in chapters_in_order(ROOT).items() if chapter.number]
    for title in "By default", "Not known":
        assert [box.chapter.stem for box in boxes(ROOT, title)] == chapters
    lacking = set(chapters) - set(matrices.MODELS) - matrices.WITHOUT_MODEL
    assert not lacking, f"book/tools/matrices.py: what do these chapters build? {lacking}"


def test_every_row_of_a_table_of_the_cheat_sheet_leads_to_a_section():
    sheet = (ROOT / "book/pages/cheat_sheet.md").read_text(encoding="utf-8")
    tables = sheet.partition("## By default")[0]
    rows = [
        row
        for table in re.findall(r"(?:^\|.*\n)+", tables, re.MULTILINE)
        for row in table.splitlines()[2:]
    ]
    assert len(rows) > 20
    link = re.compile(r"\[\d+ [\w ]+\]\(\.\./notebooks/\d\d_\w+\.ipynb#[\w-]+\) \|$")
    assert [row for row in rows if not link.search(row)] == []


# drawings -----------------------------------------------------------------------------------------


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3)])
        self.look = nn.Sequential(nn.Conv2d(5, 7, 3), nn.Conv2d(5, 7, 1))
        self.gru = nn.GRU(11, 13, bidirectional=True)
        self.readout = nn.Linear(17, 19)
        self.table = nn.Embedding(19, 17)
        self.table.weight = self.readout.weight
        self.gate = nn.Parameter(torch.zeros(2, 1, 1))


def test_matrices_are_read_from_the_model_itself():
    assert matrices.matrices(Small()) == [
        Matrix("blocks", (3, 2), 2),
        Matrix("look", (7, 5, 3, 3), 1),
        Matrix("look", (7, 5), 1),
        Matrix("weight_ih", (39, 11), 2),
        Matrix("weight_hh", (39, 13), 2),
        Matrix("readout", (19, 17), 1),  # shared with the table, and counted once
    ]  # neither biases nor a number for each head
    kernel = Matrix("look", (7, 5, 3, 3), 1)
    assert (kernel.rows, kernel.columns, kernel.size) == (7, 45, "7 × 5·3·3")


def test_a_drawing_is_to_scale_and_says_what_it_shows():
    svg = matrices.draw([Matrix("a<b", (60, 6), 1), Matrix("c", (15, 30), 4)])
    boxes = [
        tuple(map(float, box))
        for box in re.findall(r'y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    ]
    assert boxes == [(0, 3, 30), (22.5, 15, 7.5)], "one scale, on one ground line"
    assert 'aria-label="Matrices: a&lt;b 60 × 6, c ×4 15 × 30"' in svg
    assert ">c ×4</text>" in svg and ">15 × 30</text>" in svg


def test_no_drawing_is_wider_than_its_frame():
    svg = matrices.draw([Matrix(f"matrix_{n}", (7, 30), 1) for n in range(20)])
    ends = [
        float(x) + float(w) for x, w in re.findall(r'x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    ]
    assert len(ends) == 20 and max(ends) <= matrices.WIDTH


def test_the_drawing_of_a_lookup_has_the_shapes_of_the_formulas():
    shapes = {one.name: one.shape for one in matrices.lookup()}
    seq, d_model = shapes["x"]
    for name in "query", "key", "value", "output":
        assert shapes[name] == (seq, d_model)
    assert shapes["scores"] == shapes["weights"] == (seq, seq)
