"""Write a file as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a text in one step."""
    with aside(path) as half:
        half.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a place to write to, which then replaces a file in one step: an interrupted run leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield half
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
