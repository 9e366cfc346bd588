"""What was proved and has not changed is skipped; everything else is run, and in CI everything."""

import json
import sys

import pytest

from book.tools import proved


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    for name in (*proved.ALWAYS, "code/a.py", "code/part/b.py", "notebooks/x.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def count(project, inputs=("code",), code=0):
    """Run a part; return how often its command ran in all."""
    log = project / "log"
    line = f"open({str(log)!r}, 'a').write('x'); raise SystemExit({code})"
    assert proved.run({"part": list(inputs)}, [sys.executable, "-c", line], project) in (0, code)
    return len(log.read_text())


def test_a_part_is_run_again_only_if_something_of_it_changed(project):
    assert count(project) == 1
    assert count(project) == 1
    (project / "code/part/b.py").write_text("changed")
    assert count(project) == 2
    (project / "notebooks/x.ipynb").write_text("changed")
    assert count(project) == 2
    (project / "code/new.py").touch()
    assert count(project) == 3
    (project / "code/new.py").unlink()
    (project / "requirements.txt").write_text("torch==3")
    assert count(project) == 4


def test_what_is_left_out_has_no_say(project):
    inputs = ("code", "-code/part")
    assert count(project, inputs) == 1
    (project / "code/part/b.py").write_text("changed")
    assert count(project, inputs) == 1
    (project / "code/a.py").write_text("changed")
    assert count(project, inputs) == 2


def test_a_failure_is_not_remembered(project):
    assert count(project, code=3) == 1
    assert count(project, code=3) == 2


def test_ci_skips_nothing(project, monkeypatch):
    assert count(project) == 1
    monkeypatch.setenv("CI", "true")
    assert count(project) == 2


def test_of_notebooks_those_are_run_that_read_what_changed(project):
    for name, read in (("x", "code/a.py"), ("y", "code/part/b.py")):
        notebook = {"metadata": {"minattn": {"uses": {read: "0"}}}}
        (project / f"notebooks/{name}.ipynb").write_text(json.dumps(notebook))
    books = [f"notebooks/{name}.ipynb" for name in "xy"]

    def run():
        parts = {f"nbval-{book}": proved.read_by(book, project) for book in books}
        line = f"import sys; open({str(project / 'log')!r}, 'w').write(' '.join(sys.argv[1:]))"
        (project / "log").unlink(missing_ok=True)
        assert proved.run(parts, [sys.executable, "-c", line], project, each=True) == 0
        return (project / "log").read_text().split() if (project / "log").exists() else []

    assert run() == books
    assert run() == []
    (project / "code/a.py").write_text("changed")
    assert run() == books[:1]


@pytest.mark.rejects
def test_a_part_that_looks_at_nothing_is_refused(project):
    with pytest.raises(ValueError, match="a file or a folder that holds some, got gone"):
        proved.run({"part": ["gone"]}, ["true"], project)
