"""Two makes at once in one folder: the second waits, and says for whom."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from book.tools import alone, clean

ROOT = Path(__file__).parents[2]
GATE = "while [ ! -e {}/go ]; do sleep 0.1; done\n"

# Notes when it begins and when it ends, which is not before there is the file `go`.
WORK = """
    import os, sys, time
    from pathlib import Path
    from book.tools.alone import alone
    root = Path(sys.argv[1])
    with alone("thing", root):
        with open(root / "log", "a") as log:
            print("begin", os.getpid(), file=log, flush=True)
            while not (root / "go").exists():
                time.sleep(0.05)
            print("end", os.getpid(), file=log, flush=True)
"""
CLEAN = """
    import sys
    from pathlib import Path
    from book.tools import clean
    clean.main(Path(sys.argv[1]))
"""
BUILD = """
    import sys
    from pathlib import Path
    from book.tools import build_book
    root = Path(sys.argv[1])
    sys.executable = str(root / "bin/python")
    sys.exit(build_book.build(root))
"""
ENVIRONMENT = """
    import sys
    from book.tools import environment
    environment.maker = lambda: sys.argv[1] + "/python"
    environment.make(sys.argv[1])
"""


def start(code, *arguments):
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(holds):
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail("it did not come about within half a minute")


def test_the_second_waits_for_the_first_and_says_so(tmp_path):
    first = start(WORK, tmp_path)
    until((tmp_path / "log").exists)
    others = [start(WORK, tmp_path) for _ in range(2)]
    for other in others:
        line = f"minattn: another make is at work here (pid {first.pid}); waiting\n"
        assert other.stdout.readline() == line
    (tmp_path / "go").touch()
    assert [other.communicate()[0] for other in others] == ["", ""]
    assert first.wait() == 0
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert [word for word, _ in lines] == ["begin", "end"] * 3
    assert all(lines[i][1] == lines[i + 1][1] for i in (0, 2, 4))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_lock_ends_with_its_holder(how, tmp_path):
    first = start(WORK, tmp_path)
    until((tmp_path / "log").exists)
    second = start(WORK, tmp_path)
    assert "waiting" in second.stdout.readline()
    first.send_signal(how)
    first.communicate()
    until(lambda: (tmp_path / "log").read_text().count("begin") == 2)
    (tmp_path / "go").touch()
    second.communicate()
    assert second.returncode == 0


def test_who_waited_while_everything_was_cleared_away_has_a_lock_that_holds(tmp_path):
    with alone.alone("thing", tmp_path):
        waiting = start(WORK, tmp_path)
        assert "waiting" in waiting.stdout.readline()
        shutil.rmtree(tmp_path / "_build")  # as `make clean` does, which holds all locks
    until((tmp_path / "log").exists)
    assert alone.locked(tmp_path / "_build/thing.lock") is None
    (tmp_path / "go").touch()
    assert waiting.wait() == 0


def test_clean_waits_for_what_is_at_work(tmp_path):
    (tmp_path / "notebooks/__pycache__").mkdir(parents=True)
    (tmp_path / "my/__pycache__").mkdir(parents=True)
    first = start(WORK, tmp_path)
    until((tmp_path / "log").exists)
    cleaning = start(CLEAN, tmp_path)
    assert "waiting" in cleaning.stdout.readline()
    assert (tmp_path / "_build").exists()
    (tmp_path / "go").touch()
    assert cleaning.wait() == 0
    assert not (tmp_path / "_build").exists()
    assert not (tmp_path / "notebooks/__pycache__").exists()
    assert (tmp_path / "my/__pycache__").exists()
    first.wait()


def test_clean_empties_what_a_link_leads_to_and_says_what_it_could_not_remove(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "scratch/html").mkdir(parents=True)
    (tmp_path / "scratch/index.html").symlink_to("html/index.html")
    (tmp_path / "_build").symlink_to("scratch")
    (tmp_path / "dist").symlink_to("gone")
    assert clean.main(tmp_path) == 0
    assert list((tmp_path / "scratch").iterdir()) == []
    assert (tmp_path / "_build").is_symlink() and (tmp_path / "dist").is_symlink()

    (tmp_path / ".mypy_cache").mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
    assert clean.main(tmp_path) == 1
    said = capsys.readouterr().err
    assert said == "minattn: not all of it could be removed: .mypy_cache\n"


def test_a_lock_is_had_where_what_a_link_leads_to_is_gone(tmp_path):
    (tmp_path / "_build").symlink_to("scratch")
    with alone.alone("thing", tmp_path):
        assert (tmp_path / "scratch/thing.lock").exists()


def test_two_builds_at_once_are_one_and_the_old_book_is_there_all_the_while(tmp_path):
    (tmp_path / "bin").mkdir()
    builder = tmp_path / "bin/jupyter-book"
    builder.write_text(
        "#!/bin/sh\n"
        f"echo built >> {tmp_path}/builds\n"
        "while [ $1 != --path-output ]; do shift; done\n"
        + GATE.format(tmp_path)
        + 'mkdir -p "$2/_build/html"; echo new > "$2/_build/html/index.html"\n'
    )
    builder.chmod(0o755)
    html = tmp_path / "_build/html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("old")
    (tmp_path / "_config.yml").touch()
    first = start(BUILD, tmp_path)
    until((tmp_path / "builds").exists)
    assert (html / "index.html").read_text() == "old"
    second = start(BUILD, tmp_path)
    assert f"(pid {first.pid}); waiting" in second.stdout.readline()
    assert (html / "index.html").read_text() == "old"
    (tmp_path / "go").touch()
    assert second.communicate()[0].startswith("The book is up to date")
    assert first.wait() == 0
    assert (tmp_path / "builds").read_text() == "built\n"
    assert (html / "index.html").read_text() == "new\n"
    assert not (tmp_path / "_build/next").exists()


def test_two_that_want_an_environment_make_one(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path}/calls\n'
        'if [ "$2" != venv ]; then exit; fi\n'
        + GATE.format(tmp_path)
        + 'mkdir -p "$3/bin"; cp "$0" "$3/bin/python"\n'
    )
    python.chmod(0o755)
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    first = start(ENVIRONMENT, tmp_path)
    until((tmp_path / "calls").exists)
    second = start(ENVIRONMENT, tmp_path)
    assert "waiting" in second.stdout.readline()
    (tmp_path / "go").touch()
    assert first.wait() == second.wait() == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[1] for call in calls] == ["venv", "pip", "pip", "pip"]


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    take, path = alone.take, tmp_path / "_build/thing.lock"
    monkeypatch.setattr(alone, "take", lambda file: (take(file), path.unlink()))
    assert alone.locked(path) is None
