"""The table of contents is the import graph: see also test_parts.py."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from book.tools import contents, notebooks

ROOT = Path(__file__).parents[2]
CHAPTERS = contents.chapters_in_order(ROOT)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_table_of_contents_lists_every_chapter_in_order():
    assert list(CHAPTERS) == [chapter.stem for chapter in notebooks.chapters(ROOT)]


def test_the_table_of_contents_names_only_what_is_there():
    for name in contents.files_in_order(contents.contents(ROOT)):
        assert list(ROOT.glob(f"{name}.*")), name


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_chapter_takes_an_hour_at_most(stem):
    assert 1 <= CHAPTERS[stem].minutes <= 60


def test_attention_stands_on_its_seam_alone():
    code = "import sys, minattn.dot_product; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("minattn.")} == {
        f"minattn.{name}" for name in ("alignment", "dot_product", "masks", "seam")
    }
    assert "num2words" not in loaded


def test_the_package_needs_only_what_it_declares():
    declared = {re.split(r"[<>=!~ ]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    # Shown in a notebook, where both are there; what matplotlib is made of; what one exercise asks for.
    known = declared | {"IPython", "pygments", "cycler", "babel"}
    for path in (ROOT / "minattn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in {name.split(".")[0] for name in names}:
                outside = name not in sys.stdlib_module_names and name != "minattn"
                assert not outside or name in known, f"{path.name} imports {name}"


def test_pins_satisfy_the_ranges_of_the_package():
    pins = dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text()))
    for line in PYPROJECT["project"]["dependencies"]:
        name, least = re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups()
        number = [int(part) for part in re.findall(r"\d+", pins[name])]
        assert number >= [int(part) for part in least.split(".")], line
