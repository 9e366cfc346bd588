"""Read the layers of the package out of the import contract in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from book.tools.contents import chapters_in_order

WAITING = {
    "tasks.notations": 12,
    "language.spans": 12,
    "language.text_to_text": 12,
    "language.t5": 12,
    "scaling.blockwise": 22,
}
"""Modules whose chapter is still to come, with its number."""


def layers(root: Path) -> list[list[str]]:
    """The modules and sub-packages of each layer, from the ground floor up."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    return [re.findall(r"\w+", layer) for layer in reversed(contract["layers"])]


def modules_in_order(root: Path) -> list[str]:
    """Every module that the reader may meet: ground floor, chapters in reading order, support.

    A module of the ground floor that a chapter explains stands with its chapter. Of a package in support
    the files beside its face are named too; the exercises, in folders, are not.
    """
    ground, *_, support = layers(root)
    brought = [name for chapter in chapters_in_order(root).values() for name in chapter.modules]
    found = [name for name in ground if name not in brought] + brought + list(WAITING)
    for name in support:
        files = sorted((root / "minattn" / name).glob("[a-z]*.py"))
        found += [name, *(f"{name}.{file.stem}" for file in files)]
    return [f"minattn.{name}" for name in found]
