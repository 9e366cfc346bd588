"""The table of contents is the import graph: see also test_parts.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book.tools import contents, notebooks

ROOT = Path(__file__).parents[2]
CHAPTERS = contents.chapters_in_order(ROOT)


def test_the_table_of_contents_lists_every_chapter_in_order():
    assert list(CHAPTERS) == [chapter.stem for chapter in notebooks.chapters(ROOT)]


def test_the_table_of_contents_names_only_what_is_there():
    for name in contents.files_in_order(contents.contents(ROOT)):
        assert list(ROOT.glob(f"{name}.*")), name


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_chapter_takes_an_hour_at_most(stem):
    assert 1 <= CHAPTERS[stem].minutes <= 60
    assert 0 <= CHAPTERS[stem].deeper <= 60


def test_attention_stands_on_its_seam_alone():
    code = "import sys, minattn.dot_product; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("minattn.")} == {
        f"minattn.{name}"
        for name in ("alignment", "checks", "dot_product", "masks", "pointing", "seam")
    }
    assert "num2words" not in loaded


@pytest.mark.skipif(shutil.which("git") is None, reason="asks git")
def test_a_checkout_has_the_same_bytes_where_git_writes_other_ends_of_lines(tmp_path):
    # "#!/bin/sh\r" names no program.
    texts = {name: (ROOT / name).read_bytes() for name in (".ci/run", "Makefile", ".gitattributes")}
    for name, text in {**texts, "weights.safetensors": b"{}\r\n\x01"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    settings = "core.autocrlf=true commit.gpgsign=false user.name=a user.email=a@b.c"
    git = ["git", *(word for setting in settings.split() for word in ("-c", setting))]
    # A hook of git that runs the tests says where its own repository is.
    others = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    for words in ("init -q", "add .", "commit -qm all", "rm -qr .", "checkout -q HEAD ."):
        command = [*git, *words.split()]
        subprocess.run(command, cwd=tmp_path, env=others, capture_output=True, check=True)
    for name, text in texts.items():
        assert (tmp_path / name).read_bytes() == text
    assert (tmp_path / "weights.safetensors").read_bytes() == b"{}\r\n\x01"
