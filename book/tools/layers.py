"""Read the layers of the package out of the import contract in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from book.tools.contents import LAST_OF_THE_TRUNK, chapters_in_order

WAITING: dict[str, int] = {
    f"scaling.{name}": 23
    for name in (
        "processes",
        "partial",
        "shares",
        "ring",
        "gathered",
        "traffic",
        "distributed",
        "sharded_checkpoints",
        "train",
        "launch",
    )
}
"""Modules whose chapter is still to come, with its number."""


def layers(root: Path) -> list[list[str]]:
    """The modules and sub-packages of each layer, from the ground floor up."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    return [re.findall(r"\w+", layer) for layer in reversed(contract["layers"])]


def modules_by_page(root: Path) -> dict[str, list[str]]:
    """Every module that the reader may meet, in reading order, under the page that documents it.

    `trunk` begins with the ground floor, of which a module that a chapter explains stands with its chapter; each
    later part of the book has a page named by the first word of its title. `support` names of a package the files
    beside its face too; the exercises, in folders, are not there.
    """
    ground, *_, support = layers(root)
    trunk: list[str] = []
    parts: dict[str, list[str]] = {}
    for chapter in chapters_in_order(root).values():
        if chapter.number <= LAST_OF_THE_TRUNK:
            trunk.extend(chapter.modules)
        else:
            title = chapter.part.partition(": ")[2]  # of "Part V: Language"
            parts.setdefault(title.split()[0].lower(), []).extend(chapter.modules)
    list(parts.values())[-1].extend(WAITING)
    pages = {
        "trunk": [name for name in ground if name not in trunk] + trunk,
        **parts,
        "support": [module for name in support for module in face_and_files(root, name)],
    }
    return {page: [f"minattn.{name}" for name in names] for page, names in pages.items()}


def face_and_files(root: Path, name: str) -> list[str]:
    """A module, or a package with the files beside its face."""
    files = sorted((root / "minattn" / name).glob("[a-z]*.py"))
    return [name, *(f"{name}.{file.stem}" for file in files)]
