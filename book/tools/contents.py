"""Read the table of contents, _toc.yml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml


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
