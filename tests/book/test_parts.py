"""The table of contents is the import graph: nothing is used that a chapter's needs do not bring."""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from book.tools import contents
from book.tools.layers import WAITING, layers, modules_by_page
from tests.book.cells import code_of

ROOT = Path(__file__).parents[2]
CHAPTERS = contents.chapters_in_order(ROOT)
GROUND, *_, SUPPORT = layers(ROOT)
FACE = "face"  # of the package, or of a part: it holds a docstring and nothing else

every_chapter = pytest.mark.parametrize("stem", CHAPTERS)


def dotted(path):
    """The name inside minattn of a module, or of the folder that a file of data lies in."""
    whole = path.suffix == ".py" and path.stem != "__init__"
    return ".".join((path.with_suffix("") if whole else path.parent).parts[1:])


FILES = {dotted(path.relative_to(ROOT)): path for path in (ROOT / "minattn").rglob("*.py")}


@cache
def folders():
    """The chapter of each folder of exercises, by the numbers in the names of its files."""
    stems = {chapter.number: stem for stem, chapter in CHAPTERS.items()}
    found = {}
    for path in (ROOT / "minattn/exercises").glob("*/ex*_*.py"):
        stem = stems[int(re.match(r"ex(\d+)_", path.name)[1])]
        assert found.setdefault(path.parent.name, stem) == stem, path
    return found


@cache
def home(name):
    """Who brings a module, and as part of what: chapter and entry of its front matter, or the like."""
    first, *rest = name.split(".")
    if first == "exercises" and rest and rest[0] in folders():
        return folders()[rest[0]], f"exercises.{rest[0]}"
    if name in WAITING:
        return "waiting", name
    if first in SUPPORT or first in GROUND:
        return "support" if first in SUPPORT else "ground", first
    around = [".".join([first, *rest[:n]]) for n in range(len(rest), -1, -1)]
    for entry in around:  # a package is brought with all its files but those that others bring
        for stem, chapter in CHAPTERS.items():
            if entry in chapter.modules:
                return stem, entry
    return (FACE, name) if FILES[name].stem == "__init__" else None


def imported(source):
    """The modules of minattn that some code imports itself."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if name.removeprefix("minattn.") in FILES}
            names |= modules or {node.module}
    return {name.removeprefix("minattn.") for name in names if name.startswith("minattn.")}


@cache
def imports_of(name):
    return imported(FILES[name].read_text(encoding="utf-8"))


def brought_along(names):
    """All that is loaded with some modules: what they import, what that imports, the faces around."""
    found, todo = set(), list(names)
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += [*imports_of(name), name.rpartition(".")[0]]
    return found


def brought_by(stem):
    return [name for name in FILES if home(name) and home(name)[0] == stem]


@every_chapter
def test_needs_are_earlier_chapters(stem):
    earlier = list(CHAPTERS)[: list(CHAPTERS).index(stem)]
    assert set(CHAPTERS[stem].needs) <= set(earlier)


def test_every_module_belongs_to_one_chapter_or_to_the_ground_floor_or_to_support():
    brought = [name for chapter in CHAPTERS.values() for name in chapter.modules]
    assert sorted(brought) == sorted(set(brought) - set(SUPPORT))
    assert set(brought) <= set(FILES)
    assert [name for name in FILES if home(name) is None] == []


def test_a_module_waits_only_for_a_chapter_that_is_still_to_come():
    numbers = {chapter.number for chapter in CHAPTERS.values()}
    assert set(WAITING) <= set(FILES)
    assert numbers.isdisjoint(WAITING.values())


def test_the_face_of_a_part_imports_nothing():
    faces = [name for name in FILES if home(name) == (FACE, name)]
    assert "" in faces
    assert {name: imports_of(name) for name in faces if imports_of(name)} == {}


@every_chapter
def test_modules_and_exercises_import_only_what_the_needs_bring(stem):
    modules = CHAPTERS[stem].modules
    known = contents.closure(CHAPTERS, stem) - {stem}
    # The exercises of a chapter stand above all its modules.
    height = {name: level for level, name in enumerate([*modules, "exercises"])}

    for name in brought_by(stem):
        own = home(name)[1]
        is_exercise = own.startswith("exercises.")
        for target in imports_of(name):
            chapter, entry = home(target)
            lower = height.get(entry, len(modules)) < height.get(own, len(modules))
            assert (
                chapter in known
                or chapter in ("ground", FACE)
                or (chapter == "support" and is_exercise)
                or (chapter == stem and (entry == own or lower))
            ), f"minattn.{name} imports minattn.{target}, which {stem} does not have"


@every_chapter
def test_the_notebook_read_only_what_the_needs_bring(stem):
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    uses = nbformat.read(path, as_version=nbformat.NO_CONVERT).metadata.minattn.uses
    read = {dotted(Path(name)) for name in uses if name.startswith("minattn/")}
    # What the support stands on is not the chapter's doing: checkers seed, so there is training.
    by_support = brought_along(name for name in read if home(name)[0] == "support")
    known = contents.closure(CHAPTERS, stem) | {"ground", "support", FACE}
    assert sorted(name for name in read - by_support if home(name)[0] not in known) == []


@every_chapter
def test_nothing_needed_is_unused(stem):
    cells = imported(code_of(ROOT / f"book/chapters/{stem}.md"))
    used = cells.union(*map(imports_of, brought_by(stem)))
    for need in CHAPTERS[stem].needs:
        brings = set(CHAPTERS[need].modules) - set(GROUND)
        # A chapter without modules of its own is needed for its words.
        assert not brings or any(home(name)[1] in brings for name in used), (
            f"{stem} needs {need} and imports nothing that it brings"
        )


def test_each_module_is_documented_on_one_page():
    pages = modules_by_page(ROOT)
    documented = [name.removeprefix("minattn.") for names in pages.values() for name in names]
    assert len(documented) == len(set(documented))
    for name in set(FILES) - set(documented):  # a face of a part, or what another face shows
        assert home(name) == (FACE, name) or name.split(".")[0] in documented, name
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))]
    used = [kind for text in texts for kind in re.findall(r"```\{api-modules\} (\w+)", text)]
    assert sorted(used) == sorted(pages)
