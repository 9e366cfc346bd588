"""Read the table of contents, _toc.yml, and what the chapters in it say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

LAST_OF_THE_TRUNK = 9
"""Chapters up to this number are read in order; those after it are siblings in parts."""


@dataclass(frozen=True)
class Chapter:
    """A chapter, by its place in the contents and by its front matter.

    `needs` are the stems of chapters that a reader, and the code, must have had before; `modules` are
    what it adds to the package, lowest layer first, named inside minattn (`language.gpt`).
    """

    stem: str
    part: str
    title: str
    minutes: int
    needs: tuple[str, ...]
    modules: tuple[str, ...]
    deeper: int = 0  # minutes of the sections that go deeper, which `minutes` leaves out

    @property
    def number(self) -> int:
        found = number_of(self.stem)
        assert found is not None, f"a chapter is called NN_name, got {self.stem!r}"
        return found

    @property
    def heading(self) -> str:
        return numbered(self.stem, self.title)


def executed(root: Path) -> list[Path]:
    """The executed chapters in their order, without what macOS lays beside files on disks of other systems."""
    return sorted((root / "notebooks").glob("[!.]*.ipynb"))


def number_of(name: str) -> int | None:
    """The number in the name of a chapter, such as notebooks/05_multi_head; None for another page."""
    found = re.fullmatch(r"(?:notebooks/)?(\d+)_\w+", name)
    return int(found[1]) if found else None


def numbered(name: str, title: str) -> str:
    """The title of a page as readers see it everywhere: a chapter's with its number."""
    number = number_of(name)
    return title if number is None else f"{number}. {title}"


def number_title(notebook: dict, name: str) -> None:
    """Put the number of a chapter into the title cell of a copy: the notebook itself has none."""
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and text.startswith("# "):
            cell["source"] = f"# {numbered(name, text[2:])}".splitlines(keepends=True)
            return


def contents(root: Path) -> dict:
    """The table of contents as it is written."""
    return yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))


def files_in_order(toc: object) -> Iterator[str]:
    """Every `file:` and `root:` of a table of contents, in reading order."""
    if isinstance(toc, dict):
        for key in ("root", "file"):
            if key in toc:
                yield toc[key]
        for key in ("parts", "chapters", "sections"):
            yield from files_in_order(toc.get(key, []))
    elif isinstance(toc, list):
        for entry in toc:
            yield from files_in_order(entry)


def notebooks_in_order(root: Path) -> list[Path]:
    """The chapters' notebooks, in reading order."""
    names = [name for name in files_in_order(contents(root)) if name.startswith("notebooks/")]
    return [root / f"{name}.ipynb" for name in names]


def chapters_in_order(root: Path) -> dict[str, Chapter]:
    """The chapters by their stems, in reading order."""
    return {
        stem: read_chapter(root / "book" / "chapters" / f"{stem}.md", part["caption"])
        for part in contents(root)["parts"]
        for folder, _, stem in (name.partition("/") for name in files_in_order(part))
        if folder == "notebooks"
    }


def read_chapter(path: Path, part: str) -> Chapter:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    ours = yaml.safe_load(head)["minattn"]
    title = next(line[2:] for line in body.splitlines() if line.startswith("# "))
    needs, modules = tuple(ours["needs"]), tuple(ours["modules"])
    return Chapter(
        path.stem, part, title, ours["minutes"], needs, modules, deeper=ours.get("deeper", 0)
    )


def closure(chapters: Mapping[str, Chapter], stem: str) -> set[str]:
    """A chapter and all that it builds on."""
    found: set[str] = set()
    todo = [stem]
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += chapters[name].needs
    return found
