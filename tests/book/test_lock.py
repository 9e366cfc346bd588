"""The pins."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from book.tools import (
    lock,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def uv(monkeypatch):
    """Put something in the place of uv: it notes what it was given, and answers with `answer`."""
    seen = SimpleNamespace(answer="", fails=0)

    def run(command, **settings):
        assert command[:4] == [sys.executable, "-m", "uv", "pip"]
        *_, wanted, _, resolved = command
        seen.wanted, seen.known = Path(wanted).read_text(), Path(resolved).read_text()
        Path(resolved).write_text(seen.answer)
        return subprocess.CompletedProcess(command, seen.fails)

    monkeypatch.setattr(lock.subprocess, "run", run)
    return seen


def test_the_lock_keeps_the_first_part_and_leaves_cuda_out(uv, tmp_path):
    first, second = "numpy==2\nflit_core==4\n\n", "zipp==3\ngone==1\n"
    (tmp_path / "requirements.txt").write_text(first + lock.BORDER + second)
    uv.answer = (
        "cuda-toolkit==13 ; sys_platform == 'linux'\nflit-core==4\nnumpy==2\nnvidia-nccl-cu13==2\n"
        "pexpect==4 ; sys_platform != 'win32'\ntriton==3\nzipp==3\n"
    )
    assert lock.main(tmp_path) == 0
    assert (uv.wanted, uv.known) == (first, second)
    assert (tmp_path / "requirements.txt").read_text() == (
        first + lock.BORDER + "pexpect==4 ; sys_platform != 'win32'\nzipp==3\n"
    )


def test_a_lock_that_failed_leaves_the_file_alone(uv, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("numpy==2\n")
    uv.fails = 1
    assert lock.main(tmp_path) == 1
    assert path.read_text() == "numpy==2\n"


def test_every_pin_is_exact_and_names_no_registry():
    text = (ROOT / "requirements.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(line.count("==") >= 1 and not line.startswith("-") for line in lines)
    assert "://" not in text


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY"))
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True)
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")]
    assert sorted(listed) == sorted(phony.split()[1:])
