"""A file is written as a whole or not at all, and a page only if it says something else."""

import os
from pathlib import Path

import pytest

from book.tools import pages
from book.tools.writing import write_whole


def test_a_file_is_written_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made.js"
    write_whole(path, "old")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk is full"):
        patch.setattr(os, "replace", fail)
        write_whole(path, "new")
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]


def test_a_page_is_written_if_it_changed_and_checked_without_writing(tmp_path, capsys):
    page = tmp_path / "page.md"
    assert pages.write_page(page, "words", ["--check"]) == 1 and not page.exists()
    assert "book/page.md is out of date; run make notebooks" in capsys.readouterr().err
    assert pages.write_page(page, "words", []) == 0 and page.read_text() == "words"
    assert pages.write_page(page, "words", ["--check"]) == 0
