"""The tools behind `make`: what they say when something goes wrong, and what they never do."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import build_book
import claims_page
import environment
import lab
import lock
import models_page
import notebooks
import serve

ROOT = Path(__file__).parents[1]


# environment.py -----------------------------------------------------------------------------------


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


# lab.py -------------------------------------------------------------------------------------------


def cell(source, kind="code"):
    extra = {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}]}
    extra |= {"execution_count": 1}
    return {"cell_type": kind, "id": "a", "metadata": {}, "source": source} | (
        extra if kind == "code" else {}
    )


def notebook(*sources):
    return {
        "cells": [cell(source) for source in sources],
        "metadata": {"minattn": {"source": "0"}, "kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


class Desk:
    """A project with one chapter, and its reader."""

    def __init__(self, root):
        self.root = root
        (root / "notebooks").mkdir()

    def publish(self, *sources):
        (self.root / "notebooks/01_x.ipynb").write_text(json.dumps(notebook(*sources)))

    def edit(self, name, *sources):
        (self.root / "my" / name).write_text(json.dumps(notebook(*sources)))

    def open(self):
        assert lab.main(self.root) == 0

    def said(self, name):
        copy = json.loads((self.root / "my" / name).read_text())
        return ["".join(cell["source"]) for cell in copy["cells"]]

    def files(self):
        return sorted(p.name for p in (self.root / "my").iterdir() if p.name != ".origin.json")


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_copy_has_its_citations_written_out(desk):
    text = "As {cite:t}`xu2015show` did {cite:p}`bahdanau2015neural,williams1989learning`."
    chapter = notebook("1") | {"cells": [{"cell_type": "markdown", "metadata": {}, "source": text}]}
    (desk.root / "notebooks/01_x.ipynb").write_text(json.dumps(chapter))
    desk.open()
    written = "As Xu et al. (2015) did (Bahdanau et al., 2015; Williams and Zipser, 1989)."
    assert desk.said("01_x.ipynb") == [written]


def test_a_copy_shows_captions_and_folds_what_the_book_folds(desk):
    figure = cell("plot()")
    figure["metadata"] = {"tags": ["hide-input"], "mystnb": {"figure": {"caption": "Look here."}}}
    chapter = notebook("1") | {"cells": [figure]}
    (desk.root / "notebooks/01_x.ipynb").write_text(json.dumps(chapter))
    desk.open()
    copy = json.loads((desk.root / "my/01_x.ipynb").read_text())
    assert copy["cells"][0]["metadata"]["jupyter"] == {"source_hidden": True}
    assert desk.said("01_x.ipynb") == ["plot()", "**Figure.** Look here."]


def test_a_copy_starts_unrun(desk):
    desk.publish("1")
    desk.open()
    copy = json.loads((desk.root / "my/01_x.ipynb").read_text())
    assert copy["cells"][0]["outputs"] == []
    assert copy["cells"][0]["execution_count"] is None
    assert "minattn" not in copy["metadata"]


def test_an_edited_copy_is_never_overwritten(desk):
    desk.publish("old")
    desk.open()
    desk.edit("01_x.ipynb", "mine")
    desk.open()
    assert desk.files() == ["01_x.ipynb"]
    desk.publish("new")
    desk.open()
    assert desk.files() == ["01_x.ipynb", "01_x.new.ipynb"]
    assert desk.said("01_x.ipynb") == ["mine"]
    assert desk.said("01_x.new.ipynb") == ["new"]


def test_work_in_the_newer_copy_is_safe_too(desk):
    desk.publish("old")
    desk.open()
    desk.edit("01_x.ipynb", "mine")
    desk.publish("new")
    desk.open()
    desk.edit("01_x.new.ipynb", "mine again")
    desk.open()
    desk.publish("newest")
    desk.open()
    assert desk.said("01_x.ipynb") == ["mine"]
    assert desk.said("01_x.new.ipynb") == ["mine again"]
    assert desk.said("01_x.new2.ipynb") == ["newest"]


def test_an_unedited_copy_is_refreshed_even_after_it_was_run(desk):
    desk.publish("old")
    desk.open()
    desk.edit("01_x.ipynb", "old")  # saved by Jupyter with outputs
    desk.publish("new")
    desk.open()
    assert desk.files() == ["01_x.ipynb"]
    assert desk.said("01_x.ipynb") == ["new"]


def test_a_copy_nobody_remembers_counts_as_edited(desk):
    desk.publish("old")
    desk.open()
    (desk.root / "my/.origin.json").write_text("{ half a rec")
    desk.publish("new")
    desk.open()
    assert desk.said("01_x.ipynb") == ["old"]
    assert desk.said("01_x.new.ipynb") == ["new"]


def test_a_damaged_copy_is_the_reader_s_own(desk):
    desk.publish("old")
    desk.open()
    (desk.root / "my/01_x.ipynb").write_text("notes, not a notebook")
    desk.publish("new")
    desk.open()
    assert (desk.root / "my/01_x.ipynb").read_text() == "notes, not a notebook"
    assert desk.said("01_x.new.ipynb") == ["new"]


@pytest.mark.parametrize("writes", [0, 1])
def test_interrupted_at_any_step_loses_nothing(desk, monkeypatch, writes):
    desk.publish("old")
    desk.open()
    desk.publish("new")
    write, done = lab.write, []

    def interrupted(path, value):
        if len(done) == writes:
            raise KeyboardInterrupt
        write(path, value)
        done.append(path)

    monkeypatch.setattr(lab, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.open()
    monkeypatch.setattr(lab, "write", write)
    desk.open()
    assert desk.files() == ["01_x.ipynb"]
    assert desk.said("01_x.ipynb") == ["new"]
    desk.edit("01_x.ipynb", "mine")
    desk.publish("newest")
    desk.open()
    assert [desk.said(name) for name in desk.files()] == [["mine"], ["newest"]]


# notebooks.py -------------------------------------------------------------------------------------

CHAPTER = """\
---
minattn:
  minutes: 3
  modules: []
---

# A chapter

```{code-cell} ipython3
import json
figures = json.load(open("../book/figures.json"))
figures
```

```{code-cell} ipython3
:tags: [hide-cell]
# Solution
figures["a"]
```

```{code-cell} ipython3
figures["a"] + 1
```

```{code-cell} ipython3
figures["a"] + 1
```
"""


@pytest.fixture
def book(tmp_path):
    for folder in ("book/chapters", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book/figures.json").write_text('{"a": 1}')
    (tmp_path / "book/chapters/01_x.md").write_text(CHAPTER)
    return tmp_path


def test_a_notebook_is_a_function_of_its_chapter(book, capsys):
    path = book / "notebooks/01_x.ipynb"
    assert notebooks.main([], book) == 0
    once = path.read_bytes()
    assert notebooks.main([], book) == 0
    assert "up to date" in capsys.readouterr().out
    assert notebooks.main(["--all"], book) == 0
    assert path.read_bytes() == once

    made = json.loads(once)
    assert [c["execution_count"] for c in made["cells"] if c["cell_type"] == "code"] == [1, 2, 3, 4]
    assert len({c["id"] for c in made["cells"]}) == 5
    assert made["metadata"]["minattn"]["minutes"] == 3
    assert list(made["metadata"]["minattn"]["uses"]) == ["book/figures.json"]


def test_a_failing_cell_is_shown_and_the_old_notebook_stays(book, capsys):
    chapter = book / "book/chapters/01_x.md"
    path = book / "notebooks/01_x.ipynb"
    path.write_text("the last good one")
    chapter.write_text(CHAPTER.replace('figures["a"]', 'figures["b"]'))
    assert notebooks.main(["--all"], book) == 1
    said = capsys.readouterr().err
    assert "01_x: this cell failed" in said
    assert 'figures["b"]' in said
    assert "KeyError: 'b'" in said
    assert path.read_text() == "the last good one"
    assert sorted(p.name for p in path.parent.iterdir()) == ["01_x.ipynb"]


def written(book, **ours):
    """A notebook that says it was executed from what is there now."""
    chapter = book / "book/chapters/01_x.md"
    made = notebooks.from_source(chapter)
    made.metadata.minattn["source"] = notebooks.digest(CHAPTER)
    made.metadata.minattn["uses"] = notebooks.used_files(["../book/figures.json"], book)
    notebooks.write(made, book / "notebooks/01_x.ipynb")
    return chapter


def test_a_changed_chapter_or_a_changed_file_makes_a_notebook_stale(book):
    chapter = written(book)
    assert notebooks.why_stale(chapter, book) is None
    (book / "book/figures.json").write_text('{"a": 2}')
    assert notebooks.why_stale(chapter, book) == "book/figures.json changed"
    chapter.write_text(CHAPTER + "\nMore words.\n")
    assert notebooks.why_stale(chapter, book) == "the chapter changed"
    (book / "notebooks/01_x.ipynb").unlink()
    assert notebooks.why_stale(chapter, book) == "no notebook yet"


def test_check_executes_nothing_and_finds_leftovers(book, capsys):
    written(book)
    assert notebooks.main(["--check"], book) == 0
    shutil.copy(book / "notebooks/01_x.ipynb", book / "notebooks/07_gone.ipynb")
    assert notebooks.main(["--check"], book) == 1
    assert "07_gone" in capsys.readouterr().out


def test_an_unknown_chapter_is_refused(book, capsys):
    assert notebooks.main(["01_y"], book) == 1
    assert "no such chapter: 01_y (there are: 01_x)" in capsys.readouterr().out


# claims_page.py -----------------------------------------------------------------------------------


def test_the_claims_page_gathers_claims_in_reading_order(tmp_path):
    def chapter(title, **claim):
        output = {"output_type": "display_data", "data": {}, "metadata": {"minattn": claim}}
        made = notebook("claim(...)")
        made["cells"][0]["outputs"] = [output]
        made["cells"].insert(0, cell(f"# {title}", "markdown"))
        return json.dumps(made)

    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\n"
        "parts:\n- chapters:\n  - file: notebooks/02_b\n  - file: notebooks/01_a\n"
    )
    a = chapter("First", claim="a | b", bar=">= 0.95", value=0.98765, spread=[0.98, 0.97, 0.99])
    b = chapter("Second", claim="it stops", bar="== 0", value=None, spread=None)
    (tmp_path / "notebooks/01_a.ipynb").write_text(a)
    (tmp_path / "notebooks/02_b.ipynb").write_text(b)
    assert claims_page.main(["--check"], tmp_path) == 1
    assert claims_page.main([], tmp_path) == 0
    assert claims_page.main(["--check"], tmp_path) == 0
    page = (tmp_path / "book/claims.md").read_text()
    assert "| a \\| b | >= 0.95 | 0.988 | 0.97 to 0.99, 3 runs |" in page
    assert "| it stops | == 0 |  |  |" in page
    assert page.index("## Second") < page.index("## First")


# models_page.py -----------------------------------------------------------------------------------


def test_the_models_page_shows_the_median_and_range_of_every_model(tmp_path):
    def run(model, seed, steps):
        by_length = {str(n): 0.9 + 0.02 * seed for n in range(3, 13)}
        return {
            "accuracy": by_length,
            "mean accuracy": by_length["3"],
            "examples": 32 * steps,
            "d_model": 64,
            "parameters": 81_635,
            "seconds of one thread": 7.0,
        }

    settings = {}
    for model in models_page.MODELS:
        settings[model] = {"steps": 1000}
        settings[f"{model}, 100 steps"] = {"steps": 100}
        settings[f"{model}, to 8 digits"] = {"steps": 1000, "max_digits": 8}
    arms = {arm: [run(arm, seed, s["steps"]) for seed in range(3)] for arm, s in settings.items()}
    made = {"settings": settings, "seeds": [0, 1, 2], "processor": "a processor"}
    path = tmp_path / "book/experiments/results/timeline.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"made": made, "arms": arms}))
    assert models_page.main(["--check"], tmp_path) == 1
    assert models_page.main([], tmp_path) == 0
    assert models_page.main(["--check"], tmp_path) == 0
    page = (tmp_path / "book/models.md").read_text()
    figure = "0.92 (0.90–0.94)"
    assert f"| 2017 | 81,635 | {' | '.join([figure] * 5)} | 7 |" in page
    assert "1,000 batches of 32, at width 64" in " ".join(page.split())
    assert "| model | 100 steps | 1,000 steps |" in page


# build_book.py ------------------------------------------------------------------------------------


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


# serve.py ----------------------------------------------------------------------------------------


def test_the_book_is_served_to_this_machine_only_and_on_another_port_if_need_be(tmp_path):
    with serve.server(tmp_path, 0) as first:
        address, port = first.server_address
        with serve.server(tmp_path, port) as second:
            assert second.server_address[1] != port
        assert address == "127.0.0.1"


# lock.py ------------------------------------------------------------------------------------------


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
