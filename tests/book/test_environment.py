"""How .venv is made: what it says when something goes wrong, and what it never does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book.tools import (
    environment,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """A project whose requirements cannot be installed, so that no network is needed to fail."""
    (tmp_path / "requirements.txt").write_text("./no-such-folder\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'nothing'\n")
    return tmp_path


@pytest.fixture
def fake_python(project, monkeypatch):
    """A Python that only notes how it was called, for the project's own and for that of its .venv.

    It fails when told to in the file `fail`, and makes .venv as `python -m venv` would.
    """
    script = project / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {project}/calls\n'
        f"if [ -e {project}/fail ]; then cat {project}/fail; exit 1; fi\n"
        f'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return script


def calls(project):
    """The calls made since this was last asked."""
    file = project / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def error_line(capsys, function, *arguments):
    with pytest.raises(SystemExit) as stop:
        function(*arguments)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def run_main(project):
    """What `make env` runs, in another project."""
    make = environment.make
    environment.make = lambda: make(str(project))
    try:
        environment.main()
    finally:
        environment.make = make


def test_old_python_is_told_so_in_one_line():
    code = "import sys; sys.version_info = (3, 10, 1); exec(open(sys.argv[1]).read())"
    command = [sys.executable, "-c", code, str(ROOT / "book/tools/environment.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "is Python 3.10; the book needs 3.11 or newer" in done.stderr


def test_no_python_is_told_so_in_one_line(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(
        ["make", "book", "PYTHON=python9"], cwd=tmp_path, capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(ours) == 1
    assert "no python9 found" in ours[0]


def test_a_finished_environment_is_left_alone(project, fake_python):
    environment.make(str(project))
    made = calls(project)
    assert [call.split()[1] for call in made] == ["venv", "pip", "pip"]
    environment.make(str(project))
    assert calls(project) == []


def test_a_failed_install_is_one_line_and_is_not_taken_for_done(project, fake_python, capsys):
    (project / "fail").write_text("Collecting things\nERROR: No matching distribution for x\n")
    line = error_line(capsys, run_main, project)
    assert "ERROR: No matching distribution for x" in line
    log = Path(line.rsplit(" ", 1)[1])
    assert "Collecting things" in log.read_text()

    (project / "fail").unlink()
    calls(project)
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")


@pytest.mark.slow
def test_the_real_pip_failing_is_one_line(project, capsys):
    line = error_line(capsys, run_main, project)
    assert "pip install -r requirements.txt failed: ERROR: Invalid requirement" in line
    assert not (project / ".venv/minattn-stamp").exists()


def test_a_full_disk_during_the_install(project, fake_python, capsys):
    (project / "fail").write_text("ERROR: Could not install: [Errno 28] No space left on device\n")
    assert "the disk is full" in error_line(capsys, run_main, project)


def test_a_python_without_venv_is_told_how_to_have_it(project, fake_python, capsys):
    (project / "fail").write_text("not created successfully because ensurepip is not available.\n")
    assert "apt-get install python3-venv" in error_line(capsys, run_main, project)


def test_too_little_disk_is_said_before_anything_is_made(project, monkeypatch, capsys):
    usage = shutil.disk_usage(project)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "1.0 GB free" in error_line(capsys, run_main, project)
    assert not (project / ".venv").exists()


def test_a_half_made_environment_is_made_anew(project, fake_python):
    environment.make(str(project))
    (project / ".venv/minattn-stamp").unlink()
    (project / ".venv/half-copied-library").touch()
    calls(project)
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")
    assert not (project / ".venv/half-copied-library").exists()


def test_new_requirements_complete_a_finished_environment(project, fake_python, capsys):
    environment.make(str(project))
    calls(project)
    (project / "requirements.txt").write_text("./another-folder\n")
    (project / "fail").write_text("ERROR: no\n")
    error_line(capsys, run_main, project)
    assert calls(project)[0].startswith("-m pip install")

    # That was interrupted half-way: from here on, nothing in it can be trusted.
    (project / "fail").unlink()
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")


def test_a_moved_project_does_not_keep_the_old_place_s_environment(project, fake_python, tmp_path):
    environment.make(str(project))
    calls(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (".venv", "requirements.txt", "pyproject.toml"):
        (project / name).rename(elsewhere / name)
    environment.make(str(elsewhere))
    assert calls(project)[0].startswith("-m venv")


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "make", interrupted)
    assert "interrupted" in error_line(capsys, environment.main)
