"""How the book is built and shown."""

import mimetypes
import os
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from email.utils import formatdate
from pathlib import Path

import nbformat
import pytest

from book.tools import (
    build_book,
    notebooks,
    pdf,
    serve,
    zip_book,
)
from book.tools.browsing import served

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """A proxy is for what lies outside; these tests ask this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_build_is_repeated_only_when_something_changed(tmp_path, monkeypatch, capsys):
    made = []

    def jupyter_book(command, stdout, **others):
        made.append(command)
        html = Path(command[command.index("--path-output") + 1]) / "_build" / "html"
        html.mkdir(parents=True)
        (html / "index.html").write_text(str(len(made)))
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
    assert not (tmp_path / "_build/html").exists()

    message, returncode = "", 0
    assert build_book.build(tmp_path) == 0
    assert build_book.build(tmp_path) == 0
    assert len(made) == 3
    (tmp_path / "book/page.md").touch()
    assert build_book.build(tmp_path) == 0
    (tmp_path / "book/page.md").unlink()
    assert build_book.build(tmp_path) == 0
    assert len(made) == 5

    # What cannot be built leaves the last good one where it is.
    (tmp_path / "book/page.md").touch()
    message, returncode = "page.md:3: WARNING: no such label\n", 1
    assert build_book.build(tmp_path) == 1
    assert (tmp_path / "_build/html/index.html").read_text() == "5"
    (tmp_path / "book/page.md").unlink()
    assert build_book.build(tmp_path) == 0
    assert len(made) == 6


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_what_a_build_says_is_read_whatever_outputs_are_written_in(
    encoding, tmp_path, monkeypatch, capsys
):
    """The log is written by another process, which is told how."""
    builder = tmp_path / "bin/jupyter-book"
    builder.parent.mkdir()
    builder.write_text(f"#!{sys.executable}\nprint('WARNING: no “label” ✓')\nraise SystemExit(1)\n")
    builder.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    assert build_book.build(tmp_path) == 1
    assert capsys.readouterr().err.splitlines()[0] == "WARNING: no “label” ✓"


def test_what_cannot_be_read_is_said_by_name_and_line(tmp_path, monkeypatch, capsys):
    """Sphinx ends in a fault there, and says of what kind it is but not of which file."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01_x.ipynb").write_text("{\n<<<<<<< HEAD\n}")
    (tmp_path / "notebooks/02_y.ipynb").write_text("{}")
    (tmp_path / "_toc.yml").write_text("root: book/index\n  bad: [\n")
    (tmp_path / "_config.yml").write_text("title: a title\n")
    failed = subprocess.CompletedProcess([], 1)

    def jupyter_book(command, stdout, **others):
        stdout.write("Error: a fault\n")
        return failed

    monkeypatch.setattr(subprocess, "run", jupyter_book)
    assert build_book.build(tmp_path) == 1
    toc, half, log = capsys.readouterr().err.splitlines()
    assert toc.startswith(f"{tmp_path}/_toc.yml:2: ERROR: ")
    assert half.startswith(f"{tmp_path}/notebooks/01_x.ipynb: ERROR: this is no notebook any more")
    assert "line 2" in half and half.endswith("; run make notebooks")
    assert log.startswith("minattn: the book was not built")


def test_a_full_disk_is_said_once_and_nothing_half_made_is_left_on_it(
    tmp_path, monkeypatch, capsys
):
    def jupyter_book(command, stdout, **others):
        half = Path(command[command.index("--path-output") + 1])
        half.mkdir()
        (half / "large").touch()
        stdout.write("WARNING: a file was not copied: OSError(28, 'No space left on device')\n" * 9)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", jupyter_book)
    assert build_book.build(tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("minattn: the disk is full: the book was not built")
    assert not (tmp_path / "_build/next").exists()


def test_a_place_in_a_notebook_is_said_as_that_in_its_chapter(tmp_path):
    chapter = tmp_path / "book/chapters/01_x.md"
    chapter.parent.mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    chapter.write_text("# One\n\n```{code-cell} ipython3\n1\n```\n\nWords.\n\n[a](b.md)\n")
    made = nbformat.writes(notebooks.from_source(chapter))
    (tmp_path / "notebooks/01_x.ipynb").write_text(made)

    def said(line):
        return build_book.in_its_chapter(line.format(tmp_path), tmp_path).replace(
            str(tmp_path), "{}"
        )

    assert (
        said("{}/notebooks/01_x.ipynb:30004: WARNING: b")
        == "{}/book/chapters/01_x.md:9: WARNING: b"
    )
    assert (
        said("{}/notebooks/01_x.ipynb:10002: WARNING: b")
        == "{}/book/chapters/01_x.md:1: WARNING: b"
    )
    for line in ("{}/notebooks/02_y.ipynb:10002: W", "{}/notebooks/01_x.ipynb: W", "{}/a.md:3: W"):
        assert said(line) == line


@pytest.mark.parametrize(
    ("before", "left"),
    [(True, "the book of before is still there"), (False, "there is no book yet")],
)
def test_an_interrupted_build_says_what_there_is_in_one_line(before, left, tmp_path):
    """As in a shell: Ctrl-C goes to the build and to what it runs."""
    builder, html = tmp_path / "bin/jupyter-book", tmp_path / "_build/html"
    builder.parent.mkdir()
    builder.write_text("#!/bin/sh\nsleep 60\n")
    builder.chmod(0o755)
    html.mkdir(parents=True)
    if before:
        (html / "index.html").touch()
    code = (
        "import sys; from pathlib import Path; from book.tools import build_book\n"
        f"sys.executable = {str(tmp_path / 'bin/python')!r}\n"
        f"sys.exit(build_book.build(Path({str(tmp_path)!r})))"
    )
    building = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert building.stdout.readline().startswith("Building the book")
    os.killpg(building.pid, signal.SIGINT)
    said = building.communicate(timeout=60)[1].strip()
    assert said == f"minattn: interrupted; {left}"
    assert building.returncode in (130, -signal.SIGINT)  # a shell calls the second 130 as well


def test_where_there_is_no_book_yet_it_is_neither_served_nor_packed_nor_printed(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(serve, "SITE", tmp_path)
    monkeypatch.setattr(pdf, "CHROMIUM", "chromium")
    tools = (
        lambda: zip_book.main(tmp_path),
        lambda: pdf.main([], tmp_path),
        lambda: serve.main([]),
    )
    for tool in tools:
        assert tool() == 1
        assert capsys.readouterr().err.startswith("minattn: there is no book yet; run ")
    assert list(tmp_path.iterdir()) == []


def test_any_tool_that_is_interrupted_says_so_in_one_line_and_a_fault_is_told_whole():
    def run(raised):
        code = f"import book.tools; raise {raised}"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        )
        return done.stderr.strip()

    assert run("KeyboardInterrupt") == "minattn: interrupted"
    refused = run("OSError(13, 'Permission denied', '/there/_build')")
    assert refused == "minattn: Permission denied: /there/_build"
    assert run("OSError(28, 'No space left on device')") == "minattn: No space left on device"
    assert run("FileNotFoundError(2, 'No such file', 'x')").startswith("Traceback")
    fault = run("ValueError('no')")
    assert fault.startswith("Traceback") and fault.endswith("ValueError: no")


def test_the_tools_print_to_any_output():
    code = "import book.tools, sys; print('✓ Größe'); print('✓', file=sys.stderr)"
    settings = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=settings, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.decode("ascii").split() == [r"\u2713", r"Gr\xf6\xdfe"]


def test_the_served_book_is_asked_for_again_each_time(tmp_path):
    """Not even the date of what the browser has is trusted: what is new may be older by its date."""
    (tmp_path / "page.html").write_text("first")
    with served(tmp_path) as address:
        for words in ("first", "second"):
            (tmp_path / "page.html").write_text(words)
            asked = urllib.request.Request(
                f"{address}/page.html", headers={"If-Modified-Since": formatdate(usegmt=True)}
            )
            with urllib.request.urlopen(asked) as answer:
                assert answer.headers["Cache-Control"] == "no-cache"
                assert answer.read().decode() == words


def test_a_browser_that_goes_away_is_no_fault(tmp_path, capsys):
    (tmp_path / "large.js").write_bytes(b"x" * 20_000_000)
    with served(tmp_path) as address:
        asking = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        asking.sendall(b"GET /large.js HTTP/1.1\r\n\r\n")
        asking.recv(100)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        asking.close()
        with urllib.request.urlopen(f"{address}/large.js") as answer:  # and others are served
            assert len(answer.read()) == 20_000_000
    assert capsys.readouterr().err == ""


def test_another_fault_of_the_server_is_told(tmp_path, capsys):
    with serve.server(tmp_path, 0) as server:
        try:
            raise ValueError("a fault")
        except ValueError:
            server.handle_error(None, ("127.0.0.1", 1))
    assert "ValueError: a fault" in capsys.readouterr().err


def test_what_a_machine_says_of_kinds_of_files_does_not_reach_a_browser(tmp_path, monkeypatch):
    for ending in ("html", "css", "js", "svg"):
        (tmp_path / f"page.{ending}").touch()
        monkeypatch.setitem(mimetypes.types_map, f".{ending}", "text/plain")
    with served(tmp_path) as address:

        def kind(ending):
            with urllib.request.urlopen(f"{address}/page.{ending}") as answer:
                return answer.headers["Content-Type"]

        kinds = [kind(ending) for ending in ("html", "css", "js", "svg")]
    assert kinds == ["text/html", "text/css", "text/javascript", "image/svg+xml"]


def test_the_book_is_served_to_this_machine_only_and_on_another_port_if_need_be(tmp_path):
    with serve.server(tmp_path, 0) as first:
        address, port = first.server_address
        with serve.server(tmp_path, port) as second:
            assert second.server_address[1] != port
        assert address == "127.0.0.1"


def test_who_asks_for_a_port_that_is_taken_is_told(tmp_path, monkeypatch, capsys):
    def interrupted(server):
        raise KeyboardInterrupt

    (tmp_path / "index.html").touch()
    monkeypatch.setattr(serve, "SITE", tmp_path)
    monkeypatch.setattr(serve.ThreadingHTTPServer, "serve_forever", interrupted)
    with serve.server(tmp_path, 0) as first:
        port = first.server_address[1]
        assert serve.main([str(port)]) == 0
    said = capsys.readouterr().out
    assert f"port {port} was taken" in said
    assert f":{port}/" not in said
    assert serve.main(["0"]) == 0
    assert "taken" not in capsys.readouterr().out
