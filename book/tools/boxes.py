"""Read the boxes that every chapter ends with ("By default", "Not known"), and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from myst_parser.mdit_to_docutils.base import default_slugify

from book.tools.contents import Chapter, chapters_in_order

LINK_TO_CHAPTER = re.compile(r"\]\((\d\d_\w+\.ipynb)")


@dataclass(frozen=True)
class Box:
    """A box of a chapter, the links in it as a page of the folder book/ needs them."""

    chapter: Chapter
    section: str  # the anchor of the heading above it
    words: str

    @property
    def link(self) -> str:
        return link(self.chapter, self.section)


def link(chapter: Chapter, section: str = "") -> str:
    """A link to a section of a chapter, from a page of the folder book/: number and title."""
    place = f"#{section}" if section else ""
    return f"[{chapter.number}. {chapter.title}](../notebooks/{chapter.stem}.ipynb{place})"


def lines_in_sections(markdown: str) -> Iterator[tuple[str, str]]:
    """Every line outside of code, with the anchor of the heading above it."""
    anchor, in_code = "", False
    for line in markdown.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code:
            if re.match(r"#{1,3} ", line):
                anchor = default_slugify(line.lstrip("#").strip())
            yield anchor, line


def boxes(root: Path, title: str) -> list[Box]:
    """The box of that title of every chapter that has one, in reading order."""
    found = []
    for chapter in chapters_in_order(root).values():
        path = root / "book" / "chapters" / f"{chapter.stem}.md"
        inside: list[str] | None = None
        for section, line in lines_in_sections(path.read_text(encoding="utf-8")):
            if re.fullmatch(rf":::+\{{admonition\}} {title}", line):
                inside = []
            elif inside is not None and re.fullmatch(r":::+", line):
                words = LINK_TO_CHAPTER.sub(r"](../notebooks/\1", "\n".join(inside).strip())
                found.append(Box(chapter, section, words))
                inside = None
            elif inside is not None and not line.startswith(":class:"):
                inside.append(line)
    return found
