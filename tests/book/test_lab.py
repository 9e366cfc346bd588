"""The reader's own copies are never overwritten."""

import json
from pathlib import Path

import pytest

from book.tools import (
    lab,
)

ROOT = Path(__file__).parents[2]


def cell(source, kind="code"):
    extra = {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}]}
    extra |= {"execution_count": 1}
    return {"cell_type": kind, "id": "a", "metadata": {}, "source": source} | (
        extra if kind == "code" else {}
    )


def notebook(*sources):
    return {
        "cells": [cell(source) for source in sources],
        "metadata": {"minattn": {"source": "0"}, "kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


class Desk:
    """A project with one chapter, and its reader."""

    def __init__(self, root):
        self.root = root
        (root / "notebooks").mkdir()

    def publish(self, *sources):
        (self.root / "notebooks/01_x.ipynb").write_text(json.dumps(notebook(*sources)))

    def edit(self, name, *sources):
        (self.root / "my" / name).write_text(json.dumps(notebook(*sources)))

    def open(self):
        assert lab.main(self.root) == 0

    def said(self, name):
        copy = json.loads((self.root / "my" / name).read_text())
        return ["".join(cell["source"]) for cell in copy["cells"]]

    def files(self):
        return sorted(p.name for p in (self.root / "my").iterdir() if p.name != ".origin.json")


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_copy_has_its_citations_written_out(desk):
    text = "As {cite:t}`xu2015show` did {cite:p}`bahdanau2015neural,williams1989learning`."
    chapter = notebook("1") | {"cells": [{"cell_type": "markdown", "metadata": {}, "source": text}]}
    (desk.root / "notebooks/01_x.ipynb").write_text(json.dumps(chapter))
    desk.open()
    written = "As Xu et al. (2015) did (Bahdanau et al., 2015; Williams and Zipser, 1989)."
    assert desk.said("01_x.ipynb") == [written]


def test_a_copy_shows_a_box_as_a_quotation(desk):
    box = ":::{admonition} By default\n:class: by-default\nTake 8 heads.\n\n- or 4\n:::\n"
    text = f"Before.\n\n{box}\n{box}After."  # which the quotation must not swallow
    chapter = notebook("1") | {"cells": [{"cell_type": "markdown", "metadata": {}, "source": text}]}
    (desk.root / "notebooks/01_x.ipynb").write_text(json.dumps(chapter))
    desk.open()
    quoted = "> **By default**\n>\n> Take 8 heads.\n>\n> - or 4"
    assert desk.said("01_x.ipynb") == [f"Before.\n\n{quoted}\n\n\n{quoted}\n\nAfter."]


def test_a_copy_shows_captions_and_folds_what_the_book_folds(desk):
    figure = cell("plot()")
    figure["metadata"] = {"tags": ["hide-input"], "mystnb": {"figure": {"caption": "Look here."}}}
    chapter = notebook("1") | {"cells": [figure]}
    (desk.root / "notebooks/01_x.ipynb").write_text(json.dumps(chapter))
    desk.open()
    copy = json.loads((desk.root / "my/01_x.ipynb").read_text())
    assert copy["cells"][0]["metadata"]["jupyter"] == {"source_hidden": True}
    assert desk.said("01_x.ipynb") == ["plot()", "**Figure.** Look here."]


def test_a_copy_says_the_number_of_its_chapter(desk):
    title = cell("# X and more\n\nAs in chapter 0.", "markdown")
    chapter = notebook("1") | {"cells": [title, cell("# no title"), cell("# X", "markdown")]}
    (desk.root / "notebooks/01_x.ipynb").write_text(json.dumps(chapter))
    desk.open()
    assert desk.said("01_x.ipynb") == ["# 1. X and more\n\nAs in chapter 0.", "# no title", "# X"]


def test_a_copy_starts_unrun(desk):
    desk.publish("1")
    desk.open()
    copy = json.loads((desk.root / "my/01_x.ipynb").read_text())
    assert copy["cells"][0]["outputs"] == []
    assert copy["cells"][0]["execution_count"] is None
    assert "minattn" not in copy["metadata"]


def test_an_edited_copy_is_never_overwritten(desk):
    desk.publish("old")
    desk.open()
    desk.edit("01_x.ipynb", "mine")
    desk.open()
    assert desk.files() == ["01_x.ipynb"]
    desk.publish("new")
    desk.open()
    assert desk.files() == ["01_x.ipynb", "01_x.new.ipynb"]
    assert desk.said("01_x.ipynb") == ["mine"]
    assert desk.said("01_x.new.ipynb") == ["new"]


def test_work_in_the_newer_copy_is_safe_too(desk):
    desk.publish("old")
    desk.open()
    desk.edit("01_x.ipynb", "mine")
    desk.publish("new")
    desk.open()
    desk.edit("01_x.new.ipynb", "mine again")
    desk.open()
    desk.publish("newest")
    desk.open()
    assert desk.said("01_x.ipynb") == ["mine"]
    assert desk.said("01_x.new.ipynb") == ["mine again"]
    assert desk.said("01_x.new2.ipynb") == ["newest"]


def test_an_unedited_copy_is_refreshed_even_after_it_was_run(desk):
    desk.publish("old")
    desk.open()
    desk.edit("01_x.ipynb", "old")  # saved by Jupyter with outputs
    desk.publish("new")
    desk.open()
    assert desk.files() == ["01_x.ipynb"]
    assert desk.said("01_x.ipynb") == ["new"]


def test_a_copy_nobody_remembers_counts_as_edited(desk):
    desk.publish("old")
    desk.open()
    (desk.root / "my/.origin.json").write_text("{ half a rec")
    desk.publish("new")
    desk.open()
    assert desk.said("01_x.ipynb") == ["old"]
    assert desk.said("01_x.new.ipynb") == ["new"]


def test_a_damaged_copy_is_the_reader_s_own(desk):
    desk.publish("old")
    desk.open()
    (desk.root / "my/01_x.ipynb").write_text("notes, not a notebook")
    desk.publish("new")
    desk.open()
    assert (desk.root / "my/01_x.ipynb").read_text() == "notes, not a notebook"
    assert desk.said("01_x.new.ipynb") == ["new"]


@pytest.mark.parametrize("writes", [0, 1])
def test_interrupted_at_any_step_loses_nothing(desk, monkeypatch, writes):
    desk.publish("old")
    desk.open()
    desk.publish("new")
    write, done = lab.write, []

    def interrupted(path, value):
        if len(done) == writes:
            raise KeyboardInterrupt
        write(path, value)
        done.append(path)

    monkeypatch.setattr(lab, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.open()
    monkeypatch.setattr(lab, "write", write)
    desk.open()
    assert desk.files() == ["01_x.ipynb"]
    assert desk.said("01_x.ipynb") == ["new"]
    desk.edit("01_x.ipynb", "mine")
    desk.publish("newest")
    desk.open()
    assert [desk.said(name) for name in desk.files()] == [["mine"], ["newest"]]
