"""A stamp tells whether what a run depended on is still what it was, and nothing else."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from book.tools import freshness

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    (tmp_path / "book" / "experiments").mkdir(parents=True)
    (tmp_path / "minattn").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "minattn" / "idea.py").write_text("x = 1\n")
    (tmp_path / "minattn" / "other.py").write_text("y = 1\n")
    (tmp_path / "requirements.txt").write_text(
        "numpy==2.4.6\nmatplotlib==3.11.2\nruff==0.17.5\n\n" + freshness.BORDER + "pillow==12.0\n"
    )
    return tmp_path


def stamped(project, files=("../minattn/idea.py",), libraries=("numpy", "PIL", "pytest", "json")):
    read = {"files": list(files), "libraries": list(libraries)}
    return freshness.stamp(read, project, project / "notebooks")


def test_a_stamp_has_the_project_s_own_files_and_the_pins_that_we_ask_for(project):
    made = stamped(project, ["../minattn/idea.py", "/etc/passwd", "../requirements.txt", "gone.py"])
    assert list(made["uses"]) == ["minattn/idea.py"]
    assert made["pins"] == {"numpy": "2.4.6"}  # of what matplotlib brings along, nothing


def test_nothing_changed_is_fresh_and_every_change_is_told(project):
    made = stamped(project)
    assert freshness.why_stale(made, project) is None
    (project / "minattn/other.py").write_text("y = 2\n")
    assert freshness.why_stale(made, project) is None
    (project / "minattn/idea.py").write_text("x = 1\n# a comment\n")
    assert freshness.why_stale(made, project) == "minattn/idea.py changed"
    (project / "minattn/idea.py").unlink()
    assert freshness.why_stale(made, project) == "minattn/idea.py is gone"


def test_lines_may_end_as_on_windows(project):
    made = stamped(project)
    (project / "minattn/idea.py").write_bytes(b"x = 1\r\n")
    assert freshness.why_stale(made, project) is None


def test_a_raised_pin_makes_stale_what_imported_it_and_nothing_else(project):
    made, without = stamped(project), stamped(project, libraries=["matplotlib"])
    requirements = project / "requirements.txt"
    requirements.write_text(requirements.read_text().replace("ruff==0.17.5", "ruff==0.18"))
    assert freshness.why_stale(made, project) is None
    requirements.write_text(requirements.read_text().replace("numpy==2.4.6", "numpy==2.5"))
    assert freshness.why_stale(made, project) == "numpy is 2.5 and was 2.4.6"
    assert freshness.why_stale(without, project) is None


def test_what_carries_no_stamp_is_stale(project):
    assert freshness.why_stale({}, project) == "it carries no stamp"


def test_a_watched_process_tells_what_it_imported_and_opened_and_not_what_was_there(tmp_path):
    (tmp_path / "figures.json").write_text("{}")
    code = (
        "import sys, json\nknown = set(sys.modules)\n"
        + inspect.getsource(freshness.watch)
        + "\nreport = watch(known)\nimport csv\nopen('figures.json').close()\nopen('made', 'w').close()\n"
        + "print(json.dumps(report()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout)
    assert "figures.json" in read["files"] and "made" not in read["files"]
    assert "csv" in read["libraries"] and "json" not in read["libraries"]


def test_stale_things_are_told_in_one_line_with_the_command(project, capsys):
    notebook = {"metadata": {"minattn": stamped(project)}, "cells": []}
    (project / "notebooks/01_x.ipynb").write_text(json.dumps(notebook))
    card = {"command": "make live ONLY=small", "stamp": stamped(project)}
    weights = project / "book/_static/live/weights"
    weights.mkdir(parents=True)
    (weights / "small.json").write_text(json.dumps(card))
    assert freshness.main(project) == 0
    (project / "minattn/idea.py").write_text("x = 2\n")
    assert freshness.main(project) == 1
    assert capsys.readouterr().err.splitlines() == [
        "notebooks/01_x.ipynb is stale: minattn/idea.py changed; run make notebooks",
        "book/_static/live/weights/small.json is stale: minattn/idea.py changed; run make live ONLY=small",
    ]


def test_what_shows_things_has_a_say_in_notebooks_and_in_no_weights(project, capsys):
    (project / "minattn/display.py").write_text("print\n")
    read = {"files": ["minattn/display.py", "minattn/idea.py"], "libraries": ["numpy"]}
    made = freshness.stamp(read, project, project)
    notebook = {"metadata": {"minattn": made}, "cells": []}
    (project / "notebooks/01_x.ipynb").write_text(json.dumps(notebook))
    (project / "book/models").mkdir(parents=True)
    card = {"command": "make models ONLY=small", "stamp": made}
    (project / "book/models/small.json").write_text(json.dumps(card))
    assert freshness.main(project) == 0
    (project / "minattn/display.py").write_text("print()\n")
    assert freshness.main(project) == 1
    assert capsys.readouterr().err.splitlines() == [
        "notebooks/01_x.ipynb is stale: minattn/display.py changed; run make notebooks"
    ]


def test_everything_made_by_running_is_fresh(capsys):
    assert freshness.main() == 0, capsys.readouterr().err


def test_every_notebook_and_every_file_of_weights_has_a_stamp():
    names = {made.name for made in freshness.everything()}
    notebooks = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    weights = ROOT / "book" / "_static" / "live" / "weights"
    cards = {path.relative_to(ROOT).as_posix() for path in weights.glob("*.json")}
    assert notebooks | cards <= names
    # A model that is too large for one file has a second one, which its card names.
    listed = {f for path in weights.glob("*.json") for f in json.loads(path.read_text())["files"]}
    assert {path.name for path in weights.glob("*.js")} == listed
    assert all("numpy" in made.stamp["pins"] for made in freshness.everything())
