"""What is imported is declared: by the package, or as what single chapters use beyond it."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from book.tools import notebooks
from tests.book.cells import code_of

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = PROJECT["dependencies"]
BOOK = PROJECT["optional-dependencies"]["book"]
CHAPTERS = notebooks.chapters(ROOT)


def names(lines):
    return {re.split(r"[<>=!~ ]", line)[0] for line in lines}


def outside(source):
    """The libraries that some code imports, by the names of their packages, which here are those of the projects."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name.split(".")[0] for name in found} - sys.stdlib_module_names - {"minattn"}


def test_the_package_imports_only_what_it_declares():
    # Shown in a notebook, where both are there; what matplotlib is made of.
    known = names(PACKAGE) | {"IPython", "pygments", "cycler"}
    # Imported where it is called for, so that `import minattn.scaling.processes` does without.
    late = {ROOT / "minattn/scaling/processes.py": {"cloudpickle"}}
    for path in (ROOT / "minattn").rglob("*.py"):
        exercise = path.is_relative_to(ROOT / "minattn" / "exercises")
        unknown = outside(path.read_text(encoding="utf-8")) - known - late.get(path, set())
        assert unknown <= (names(BOOK) if exercise else set()), path.name


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_imports_only_what_is_installed_with_it(chapter):
    assert outside(code_of(chapter)) <= names(PACKAGE) | names(BOOK) | {"IPython"}


def test_what_chapters_need_beyond_the_package_is_used():
    # Two photographs come with scikit-image, see minattn.tasks.stereo; functions of a notebook are sent to other
    # processes with cloudpickle, see minattn.scaling.processes.
    assert names(BOOK) - {"scikit-image", "cloudpickle"} <= set().union(
        *(outside(code_of(chapter)) for chapter in CHAPTERS)
    )


@pytest.mark.parametrize("line", PACKAGE + BOOK)
def test_pins_satisfy_the_ranges(line):
    pins = dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text()))
    name, least = re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups()
    number = [int(part) for part in re.findall(r"\d+", pins[name])]
    assert number >= [int(part) for part in least.split(".")]
