"""How notebooks and pages are made."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from book._ext.minattn_site.messages import messages
from book.tools import (
    build_book,
    claims_page,
    freshness,
    models_page,
    notebooks,
    open_lab,
)
from tests.book.test_lab import cell, notebook

ROOT = Path(__file__).parents[2]

CHAPTER = """\
---
minattn:
  minutes: 3
  modules: []
---

# A chapter

```{code-cell} ipython3
import json
import numpy
figures = json.load(open("../book/figures.json"))
figures
```

```{code-cell} ipython3
:tags: [hide-cell]
# Solution
figures["a"]
```

```{code-cell} ipython3
figures["a"] + 1
```

```{code-cell} ipython3
figures["a"] + 1
```
"""


@pytest.fixture
def book(tmp_path):
    for folder in ("book/chapters", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book/figures.json").write_text('{"a": 1}')
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\nruff==0.17.5\n")
    (tmp_path / "book/chapters/01_x.md").write_text(CHAPTER)
    return tmp_path


def test_a_notebook_is_a_function_of_its_chapter(book, capsys):
    path = book / "notebooks/01_x.ipynb"
    assert notebooks.main([], book) == 0
    once = path.read_bytes()
    assert notebooks.main([], book) == 0
    assert "up to date" in capsys.readouterr().out
    assert notebooks.main(["--all"], book) == 0
    assert path.read_bytes() == once

    made = json.loads(once)
    assert [c["execution_count"] for c in made["cells"] if c["cell_type"] == "code"] == [1, 2, 3, 4]
    assert len({c["id"] for c in made["cells"]}) == 5
    assert made["metadata"]["minattn"]["minutes"] == 3
    read = made["metadata"]["minattn"]
    assert list(read["uses"]) == ["book/chapters/01_x.md", "book/figures.json"]
    assert read["pins"] == {"numpy": "2.4.6"}


def test_a_failing_cell_is_shown_and_the_old_notebook_stays(book, capsys):
    chapter = book / "book/chapters/01_x.md"
    path = book / "notebooks/01_x.ipynb"
    path.write_text("the last good one")
    chapter.write_text(CHAPTER.replace('figures["a"]', 'figures["b"]'))
    assert notebooks.main(["--all"], book) == 1
    said = capsys.readouterr().err
    line = CHAPTER.splitlines().index("# Solution") + 1
    assert f"01_x: this cell failed (book/chapters/01_x.md, line {line})" in said
    assert 'figures["b"]' in said
    assert "KeyError: 'b'" in said
    assert path.read_text() == "the last good one"
    assert sorted(p.name for p in path.parent.iterdir()) == ["01_x.ipynb"]


def test_of_two_cells_that_say_the_same_each_has_its_own_line(book):
    chapter = book / "book/chapters/01_x.md"
    cells = notebooks.from_source(chapter).cells
    lines = [notebooks.line_of(index, cells, chapter) for index in range(len(cells))]
    said = CHAPTER.splitlines()
    assert [said[line - 1] for line in lines] == [cell.source.splitlines()[0] for cell in cells]
    assert lines == sorted(set(lines))


def test_a_chapter_that_begins_with_a_mark_of_its_editor_keeps_its_front_matter(book):
    chapter = book / "book/chapters/01_x.md"
    chapter.write_text(CHAPTER, encoding="utf-8-sig")
    assert notebooks.from_source(chapter).metadata.minattn.minutes == 3


@pytest.mark.parametrize(
    "words",
    [
        CHAPTER.encode().replace(b"A chapter", b"Gr\xf6\xdfe"),  # in Latin-1
        CHAPTER.replace("minutes: 3", "minutes: [3").encode(),
        CHAPTER.replace("[hide-cell]", "[hide-cell").encode(),
    ],
)
def test_a_chapter_that_cannot_be_read_is_named_and_the_others_are_made(
    words, book, monkeypatch, capsys
):
    (book / "book/chapters/01_x.md").write_bytes(words)
    (book / "book/chapters/02_y.md").write_text(CHAPTER)
    monkeypatch.setattr(notebooks, "execute", lambda chapter, root: notebooks.from_source(chapter))
    assert notebooks.main([], book) == 1
    said = capsys.readouterr()
    assert "01_x: its chapter cannot be read\n\n" in said.err
    assert "02_y: executed" in said.out


def test_what_a_person_has_set_for_other_notebooks_does_not_reach_a_kernel(book, monkeypatch):
    """Neither their backend, which shows no figure, nor their style, nor another Python's kernel."""

    class Started(Exception):
        pass

    def setup_kernel(client, env, **others):
        raise Started(client.km.kernel_spec.argv[0], env)

    kernel = book / "theirs/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["theirs"], "display_name": "P", "language": "python"}))
    for name in "JUPYTER_PATH MPLBACKEND MATPLOTLIBRC IPYTHONDIR MKL_NUM_THREADS".split():
        monkeypatch.setenv(name, str(book / "theirs"))
    monkeypatch.setattr(notebooks.NotebookClient, "setup_kernel", setup_kernel)
    with pytest.raises(Started) as started:
        notebooks.execute(book / "book/chapters/01_x.md", book)
    python, settings = started.value.args
    assert python != "theirs"
    assert not settings.keys() & {"MPLBACKEND", "MKL_NUM_THREADS"}
    assert settings["MATPLOTLIBRC"] == os.devnull
    assert settings["IPYTHONDIR"] != str(book / "theirs")


def written(book):
    """A notebook that says it was executed from what is there now."""
    chapter = book / "book/chapters/01_x.md"
    made = notebooks.from_source(chapter)
    read = {"files": ["../book/figures.json", str(chapter)], "libraries": ["numpy"]}
    made.metadata.minattn |= freshness.stamp(read, book, book / "notebooks")
    (book / "notebooks/01_x.ipynb").write_text(nbformat.writes(made))
    return chapter


def test_a_changed_chapter_or_a_changed_file_makes_a_notebook_stale(book):
    chapter = written(book)
    assert notebooks.why_stale(chapter, book) is None
    (book / "book/figures.json").write_text('{"a": 2}')
    assert notebooks.why_stale(chapter, book) == "book/figures.json changed"
    (book / "book/figures.json").write_text('{"a": 1}')
    chapter.write_text(CHAPTER + "\nMore words.\n")
    assert notebooks.why_stale(chapter, book) == "book/chapters/01_x.md changed"
    (book / "notebooks/01_x.ipynb").unlink()
    assert notebooks.why_stale(chapter, book) == "no notebook yet"


def test_check_executes_nothing_and_finds_leftovers(book, capsys):
    written(book)
    assert notebooks.main(["--check"], book) == 0
    shutil.copy(book / "notebooks/01_x.ipynb", book / "notebooks/07_gone.ipynb")
    assert notebooks.main(["--check"], book) == 1
    assert "07_gone" in capsys.readouterr().out


def test_what_a_mac_lays_beside_files_on_other_disks_is_neither_chapter_nor_card(
    book, capsys, monkeypatch
):
    """Such files keep a name, after a dot and a line, and are no text."""
    written(book)
    for name in ("notebooks/01_x.ipynb", "book/models/m.json", "minattn/m.py"):
        (book / name).parent.mkdir(exist_ok=True)
        (book / name).with_name(f"._{Path(name).name}").write_bytes(b"\x00\x05\x16\x07\xff")
    assert notebooks.main(["--check"], book) == 0
    assert freshness.main(book) == 0
    assert build_book.unreadable(book) == []
    assert list(messages(book)) == []
    started = []

    def run(words, **others):
        started.extend(words)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(open_lab.subprocess, "run", run)
    assert open_lab.main([], book) == 0
    assert "--LabApp.default_url=/lab/tree/my/01_x.ipynb" in started
    assert [path.name for path in (book / "my").glob("*.ipynb")] == ["01_x.ipynb"]


def test_an_unknown_chapter_is_refused(book, capsys):
    assert notebooks.main(["01_y"], book) == 1
    assert "no such chapter: 01_y (there are: 01_x)" in capsys.readouterr().out


def test_the_claims_page_gathers_claims_in_reading_order(tmp_path):
    def chapter(title, **ours):
        output = {"output_type": "display_data", "data": {}, "metadata": {"minattn": ours}}
        made = notebook("claim(...)")
        made["cells"][0]["outputs"] = [output]
        made["cells"].insert(0, cell(f"# {title}", "markdown"))
        return json.dumps(made)

    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\n"
        "parts:\n- chapters:\n  - file: notebooks/02_b\n  - file: notebooks/01_a\n"
    )
    a = chapter("First", claim="a | b", bar=">= 0.95", value=0.98765, spread=[0.98, 0.97, 0.99])
    together = [
        {"claim": "it stops", "bar": "== 0", "value": None, "spread": None},
        {"claim": "c", "bar": "<= 1", "value": 0.5, "spread": [0.5], "of": "worst of five seeds"},
    ]
    b = chapter("Second", checks=together)
    (tmp_path / "notebooks/01_a.ipynb").write_text(a)
    (tmp_path / "notebooks/02_b.ipynb").write_text(b)
    assert claims_page.main(["--check"], tmp_path) == 1
    assert claims_page.main([], tmp_path) == 0
    assert claims_page.main(["--check"], tmp_path) == 0
    page = (tmp_path / "book/claims.md").read_text()
    a = '<a href="../notebooks/01_a.html#claim-a-b">a \\| b</a>'
    stops, c = (
        f'<a href="../notebooks/02_b.html#claim-{slug}">{text}</a>'
        for slug, text in (("it-stops", "it stops"), ("c", "c"))
    )
    assert f"| {a} | >= 0.95 | 0.988 | 0.97 to 0.99, 3 runs |" in page
    assert f"| {stops} | == 0 |  |  |\n| {c} | <= 1 | 0.5 (worst of five seeds) |" in page
    assert page.index("## 2. Second") < page.index("## 1. First")


def test_a_claim_keeps_its_address_when_another_comes_before_it():
    later = [{"claim": "at most 5 % fail, by `attend`"}, {"claim": "the loss"}]
    earlier = [{"claim": "another"}, {"claim": "at most 5"}]
    wanted = ["claim-at-most-5-fail-by-attend", "claim-the-loss"]
    assert claims_page.anchors(later) == wanted
    assert claims_page.anchors(earlier + later)[2:] == wanted
    assert claims_page.anchors(later + later[1:])[1:] == ["claim-the-loss", "claim-the-loss-2"]


def test_the_models_page_shows_the_median_and_range_of_every_model(tmp_path):
    def run(model, seed, steps):
        by_length = {str(n): 0.9 + 0.02 * seed for n in range(3, 13)}
        return {
            "accuracy": by_length,
            "mean accuracy": by_length["3"],
            "examples": 32 * steps,
            "d_model": 64,
            "parameters": 81_635,
            "seconds of one thread": 7.0,
        }

    settings = {}
    for model in models_page.MODELS:
        settings[model] = {"steps": 1000}
        settings[f"{model}, 100 steps"] = {"steps": 100}
        settings[f"{model}, to 8 digits"] = {"steps": 1000, "max_digits": 8}
    arms = {arm: [run(arm, seed, s["steps"]) for seed in range(3)] for arm, s in settings.items()}
    made = {"settings": settings, "seeds": [0, 1, 2], "processor": "a processor"}
    path = tmp_path / "book/experiments/results/timeline.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"made": made, "arms": arms}))
    assert models_page.main(["--check"], tmp_path) == 1
    assert models_page.main([], tmp_path) == 0
    assert models_page.main(["--check"], tmp_path) == 0
    page = (tmp_path / "book/models.md").read_text()
    figure = "0.92 (0.90–0.94)"
    assert f"| 2017 | 81,635 | {' | '.join([figure] * 5)} | 7 |" in page
    assert "1,000 batches of 32, at width 64" in " ".join(page.split())
    assert "| model | 100 steps | 1,000 steps |" in page
