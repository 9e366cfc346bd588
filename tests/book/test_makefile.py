"""What make hands on: settings as they were given, nothing of other Pythons, and no proof of what was not run."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run as benchmarks_run
from book.tools import experiments, models, open_lab, prove, serve

ROOT = Path(__file__).parents[2]
# Notes who it is and what it was called with, each argument in brackets.
PYTHON = """#!/bin/sh
if [ "$1" = -c ]; then exit; fi
{{ printf '{name}'; for word in "$@"; do printf ' [%s]' "$word"; done; echo; }} >> {log}
env | grep -E '^({names})' >> {log}.settings
"""
NAMES = "PYTHON|PIP_|PYTEST|JAXTYPING|MYPY|MPL|MATPLOTLIB|JUPYTER|IPYTHON"


class Project:
    """A folder with the Makefile, whose Pythons only note what they are called with."""

    def __init__(self, root):
        self.root = root
        shutil.copy(ROOT / "Makefile", root)
        for name in (".venv/bin/python", ".venv-bench/bin/python", "bin/python3", "other"):
            self.python(name)

    def python(self, name):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PYTHON.format(name=name, log=self.root / "log", names=NAMES))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def make(self, *words, **settings):
        """Call make; return what it said and what was called."""
        (self.root / "log").unlink(missing_ok=True)
        (self.root / "log.settings").unlink(missing_ok=True)
        outside = ("MAKE", "MFLAGS", "PYTHON", "ONLY", "CI")  # tests may be run by make themselves
        kept = {name: text for name, text in os.environ.items() if not name.startswith(outside)}
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["make", *words],
            cwd=self.root,
            env=kept | {"PATH": path} | settings,
            capture_output=True,
            text=True,
        )
        log = self.root / "log"
        calls = log.read_text().splitlines() if log.exists() else []
        return done, calls

    def settings(self):
        return (self.root / "log.settings").read_text().splitlines()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


# Nothing is proved by a call that runs nothing -----------------------------------------------------


@pytest.mark.parametrize("target", ["test", "lint", "page", "nbval", "bench", "serve"])
@pytest.mark.parametrize("flag", ["-n", "-t", "-q", "-nk", "--dry-run", "--question", "-j2 -n"])
def test_where_make_runs_nothing_nothing_is_run(target, flag, project):
    _, calls = project.make(*flag.split(), target)
    assert calls == []


def test_a_setting_of_make_counts_as_a_flag(project):
    assert project.make("test", MAKEFLAGS="n")[1] == []


def test_a_proof_runs_make_without_the_flags_of_the_one_around_it(project, monkeypatch):
    from book.tools import proved

    for name in (*proved.ALWAYS, "code"):
        (project.root / name).touch()
    shutil.copy(ROOT / "Makefile", project.root)
    monkeypatch.setenv("MAKEFLAGS", "n")
    monkeypatch.setenv("CI", "true")
    code = "import os; raise SystemExit(3 if 'MAKEFLAGS' in os.environ else 0)"
    assert proved.run({"part": ["code"]}, [sys.executable, "-c", code], project.root) == 0


def test_make_test_runs_every_part(project):
    done, calls = project.make("test")
    assert done.returncode == 0, done.stderr
    parts = [call.split()[3].strip("[]") for call in calls if "[book.tools.proved]" in call]
    assert parts == [
        *("lint", "package", "package-plain", "exercises", "experiments", "book", "--each", "page"),
    ]


# Settings ------------------------------------------------------------------------------------------

ODD = "a b'; touch made; $(touch made) \""


@pytest.mark.parametrize(
    ("target", "setting", "tool"),
    [
        ("serve", "PORT", "book.tools.serve"),
        ("experiments", "ONLY", "book.tools.experiments"),
        ("prove", "ONLY", "book.tools.prove"),
        ("prove", "ARM", "book.tools.prove"),
        ("prove", "SEEDS", "book.tools.prove"),
        ("live", "ONLY", "book.tools.live_places"),
        ("models", "ONLY", "book.tools.models"),
        ("bench", "ONLY", "benchmarks.run"),
    ],
)
def test_a_setting_reaches_its_tool_as_it_is(target, setting, tool, project):
    _, calls = project.make(target, f"{setting}={ODD.replace('$', '$$')}")
    (call,) = (call for call in calls if f"[-m] [{tool}]" in call)
    assert f"[{ODD}]" in call
    assert not (project.root / "made").exists()


@pytest.mark.parametrize(("target", "setting"), [("bench", "QUICK"), ("notebooks", "ALL")])
def test_a_switch_is_1_or_left_out(target, setting, project):
    done, _ = project.make(target, f"{setting}=0")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"minattn: {setting} must be 1 or left out, got {setting}=0" in line
    assert project.make(target, f"{setting}=1")[0].returncode == 0


WRONG = [
    (serve.main, ["abc"], "the port must be a whole number from 0 to 65535, got 'abc'"),
    (serve.main, ["-1"], "-1"),
    (serve.main, ["65536"], "from 0 to 65535, got '65536'"),
    (serve.main, ["8000", "more"], "more"),
    (experiments.main, ["nonsense"], "an experiment must be one of: bert; "),
    (experiments.main, ["running"], "got 'running'"),  # a module, and no experiment
    (prove.main, [""], "the experiment to prove must be one of: bert; "),
    (prove.main, ["nonsense"], "got 'nonsense'"),
    (prove.main, ["t5", "--seeds", "x"], "number of seeds must be a whole number from 1 to 99"),
    (prove.main, ["t5", "--seeds", "0"], "got '0'"),
    (prove.main, ["t5", "--arm", "T6"], "an arm of t5 must be one of: T5; got 'T6'"),
    (models.main, ["nonsense"], "digit_clip"),
    (open_lab.main, ["--nonsense"], "must be options of jupyter lab, such as --no-browser or"),
    (open_lab.main, ["nonsense"], "got 'nonsense'"),
    (open_lab.main, ["--port"], "got '--port'"),
    (benchmarks_run.main, ["--only", "x"], "a part must be one of: attention; "),
]


@pytest.mark.parametrize(("main", "words", "message"), WRONG)
def test_a_wrong_setting_is_told_the_rule_in_one_line(main, words, message, capsys):
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("minattn: ")
    assert message in line


@pytest.mark.parametrize(
    "option", ["--no-browser", "--port=8890", "--ServerApp.token=", "--LabApp.dev_mode=True", "-y"]
)
def test_options_of_lab_are_known(option):
    assert open_lab.known(option)


def test_a_live_model_that_there_is_not_is_told_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "book.tools.live", "x y"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("minattn: no model 'x y'; there are ")
    assert done.stderr.count("\n") == 1


# Which Python --------------------------------------------------------------------------------------


def made_by(project, executable):
    (project.root / ".venv/pyvenv.cfg").write_text(f"home = /x\nexecutable = {executable}\n")


def makers(project, *words, **settings):
    _, calls = project.make("env", *words, **settings)
    return [call.split()[0] for call in calls]


def test_the_python_that_made_the_environment_is_kept_until_another_is_named(project):
    assert makers(project) == ["bin/python3"]
    other = project.root / "other"
    assert makers(project, f"PYTHON={other}") == ["other"]
    made_by(project, other)
    assert makers(project) == ["other"]
    assert makers(project, "PYTHON=") == ["other"]
    assert makers(project, PYTHON="") == ["other"]
    assert makers(project, "PYTHON=python3") == ["bin/python3"]
    assert makers(project, PYTHON="python3") == ["bin/python3"]
    other.unlink()
    assert makers(project) == ["bin/python3"]


def test_what_does_not_run_as_python_is_told_in_one_line(project):
    done, calls = project.make("env", "PYTHON=false")
    assert calls == []
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert ours == ["minattn: false does not run as Python 3.11 or newer does"]


def test_settings_for_other_pythons_do_not_reach_ours(project):
    harmful = "HOME PATH SAFEPATH USERBASE STARTUP OPTIMIZE WARNINGS INSPECT EXECUTABLE".split()
    settings = {f"PYTHON{name}": "1" for name in harmful}
    project.make("book", **settings, PYTHONIOENCODING="ascii")
    found = {line.partition("=")[0] for line in project.settings()}
    assert not found & set(settings)
    assert "PYTHONIOENCODING" in found


@pytest.mark.parametrize("target", ["unit", "nbval", "notebooks", "test", "lab"])
def test_what_is_set_for_other_tests_and_notebooks_does_not_reach_ours(target, project):
    """It would choose among the tests, show no figure in any notebook, or open another Python's kernel."""
    harmful = (
        "PYTEST_ADDOPTS PYTEST_PLUGINS PYTEST_DISABLE_PLUGIN_AUTOLOAD JAXTYPING_DISABLE MYPYPATH "
        "MPLBACKEND JUPYTER_PATH JUPYTER_PREFER_ENV_PATH"
    ).split()
    style = dict.fromkeys("MATPLOTLIBRC IPYTHONDIR".split(), "theirs")
    project.make(target, **dict.fromkeys(harmful, "0"), **style)
    found = dict(line.split("=", 1) for line in project.settings())
    assert found.pop("JUPYTER_PREFER_ENV_PATH") == "1"
    assert not found.keys() & set(harmful)
    ours = {"MATPLOTLIBRC": "/dev/null", "IPYTHONDIR": f"{project.root}/.venv/ipython"}
    assert {name: found[name] for name in style} == (style if target == "lab" else ours)


def test_who_has_no_home_keeps_the_list_of_fonts_in_the_environment(project):
    def place(home, theirs=""):
        project.make("nbval", HOME=str(home), MPLCONFIGDIR=theirs)
        found = dict(line.split("=", 1) for line in project.settings())
        return found.get("MPLCONFIGDIR")

    assert place(project.root / "nowhere") == f"{project.root}/.venv/matplotlib"
    assert place(project.root / "nowhere", "theirs") == "theirs"
    assert place(project.root) == ""


def test_lab_shows_this_folder_whatever_folder_is_set_for_other_work(tmp_path):
    """A person's own settings name one, and Lab then finds no my/ in it; what stands in the command weighs more."""
    assert f"--ServerApp.root_dir={tmp_path}" in open_lab.command(tmp_path, "01_x.ipynb")
