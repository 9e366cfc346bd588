"""How the book is built and shown."""

import subprocess
from pathlib import Path

from book.tools import (
    build_book,
    serve,
)

ROOT = Path(__file__).parents[2]


def test_a_build_is_repeated_only_when_something_changed(tmp_path, monkeypatch, capsys):
    made = []

    def jupyter_book(command, stdout, **others):
        made.append(command)
        (tmp_path / "_build/html").mkdir()
        (tmp_path / "_build/html/index.html").touch()
        stdout.write(message)
        return subprocess.CompletedProcess(command, returncode)

    monkeypatch.setattr(subprocess, "run", jupyter_book)
    for name in build_book.INPUTS:
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()

    message, returncode = "page.md:3: WARNING: no such label\nnothing else\n", 1
    assert build_book.build(tmp_path) == 1
    assert build_book.build(tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "page.md:3: WARNING: no such label"
    assert len(said) == 4
    assert len(made) == 2

    message, returncode = "", 0
    assert build_book.build(tmp_path) == 0
    assert build_book.build(tmp_path) == 0
    assert len(made) == 3
    (tmp_path / "book/page.md").touch()
    assert build_book.build(tmp_path) == 0
    (tmp_path / "book/page.md").unlink()
    assert build_book.build(tmp_path) == 0
    assert len(made) == 5


def test_the_book_is_served_to_this_machine_only_and_on_another_port_if_need_be(tmp_path):
    with serve.server(tmp_path, 0) as first:
        address, port = first.server_address
        with serve.server(tmp_path, port) as second:
            assert second.server_address[1] != port
        assert address == "127.0.0.1"
