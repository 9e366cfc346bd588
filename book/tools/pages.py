"""What the pages that are made by code have in common: texts with gaps, tables, how they are written."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from book.tools.writing import write_whole

TEXTS = Path(__file__).resolve().parents[1] / "pages"


def text(name: str) -> str:
    """The words of a page; what is measured goes where the braces are."""
    return (TEXTS / f"{name}.md").read_text(encoding="utf-8")


def spread(values: list[float], digits: int = 2) -> str:
    """The median and the range."""
    low, middle, high = (f"{f(values):.{digits}f}" for f in (min, statistics.median, max))
    return middle if low == high else f"{middle} ({low}–{high})"


def table(head: list[str], rows: list[list[str]], others: str = "--:") -> str:
    """The first column stands on the left, the others on the right if nothing else is said."""
    line = [":--", *[others] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, line, *rows))


def write_page(page: Path, words: str, arguments: list[str]) -> int:
    """Write a page that is made, or with --check say whether it is out of date."""
    if page.exists() and page.read_text(encoding="utf-8") == words:
        return 0
    if "--check" in arguments:
        print(f"book/{page.name} is out of date; run make notebooks", file=sys.stderr)
        return 1
    write_whole(page, words)
    print(f"book/{page.name}: written")
    return 0
