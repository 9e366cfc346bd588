"""The table of contents is the import graph: chapters, notebooks, modules and contract agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from book.tools import contents, notebooks

ROOT = Path(__file__).parents[2]
CHAPTERS = notebooks.chapters(ROOT)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def layers():
    """The modules of the contract: those of chapters bottom to top, the support above, the ground below."""
    (contract,) = PYPROJECT["tool"]["importlinter"]["contracts"]
    support, *chapters, ground = contract["layers"]
    return chapters[::-1], set(support.split(" : ")), set(ground.split(" : "))


def front_matter(chapter):
    return notebooks.from_source(chapter).metadata.minattn


def test_the_table_of_contents_lists_every_chapter_in_order():
    listed = [path.stem for path in contents.notebooks_in_order(ROOT)]
    assert listed == [chapter.stem for chapter in CHAPTERS]


def test_the_table_of_contents_names_only_what_is_there():
    for name in contents.files_in_order(contents.contents(ROOT)):
        assert list(ROOT.glob(f"{name}.*")), name


def test_chapters_bring_modules_in_the_order_of_the_contract():
    brought = [module for chapter in CHAPTERS for module in front_matter(chapter).modules]
    modules, _, ground = layers()
    assert [module for module in brought if module not in ground] == modules


def test_every_module_of_the_package_is_in_the_contract():
    found = (ROOT / "minattn").iterdir()
    there = {p.stem for p in found if re.fullmatch(r"[a-z]\w*(\.py)?", p.name)}
    modules, support, ground = layers()
    assert there == {*modules, *support, *ground}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_tells_its_minutes_and_uses_nothing_of_later_chapters(chapter):
    ours = front_matter(chapter)
    assert 1 <= ours.minutes <= 60
    known = set(layers()[1]) | {"display", "seam"}  # what is left of the ground has its chapter
    for earlier in CHAPTERS[: CHAPTERS.index(chapter) + 1]:
        known |= set(front_matter(earlier).modules)
    for module in imported(notebooks.from_source(chapter)):
        assert module in known, f"{chapter.stem} uses minattn.{module} before its chapter"


def imported(notebook: nbformat.NotebookNode):
    """Names of the modules of minattn that a notebook imports."""
    found = set()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        plain = "\n".join(
            line for line in cell.source.splitlines() if not re.match(r"\s*[%!]", line)
        )
        for node in ast.walk(ast.parse(plain)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == "minattn":
                names = [f"minattn.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            found |= {name.split(".")[1] for name in names if name.startswith("minattn.")}
    return found


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
