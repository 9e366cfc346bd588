"""Gather what the chapters say at their ends: book/cheat_sheet.md and book/open_questions.md.

    python -m book.tools.gathered_pages            write them
    python -m book.tools.gathered_pages --check    fail if one is out of date

The defaults and the open questions come from the boxes of book/chapters, the matrices from the models
that the chapters build. The other words of both pages are in book/pages.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from myst_parser.mdit_to_docutils.base import default_slugify

from book.tools import matrices
from book.tools.boxes import Box, boxes, link
from book.tools.contents import chapters_in_order
from book.tools.pages import text, write_page

ROOT = Path(__file__).resolve().parents[2]


def cheat_sheet(root: Path) -> str:
    chapters = chapters_in_order(root)
    links: dict[tuple[matrices.Matrix, ...], list[str]] = {}
    for stem, (section, make) in matrices.MODELS.items():
        drawn = tuple(matrices.matrices(make()))
        links.setdefault(drawn, []).append(link(chapters[stem], default_slugify(section)))
    return text("cheat_sheet").format(
        defaults="\n\n".join(f"**{box.link}** {flat(box)}" for box in boxes(root, "By default")),
        lookup=matrices.draw(matrices.lookup()),
        matrices="\n\n".join(
            f"{', '.join(named)}\n\n{matrices.draw(drawn)}" for drawn, named in links.items()
        ),
    )


def flat(box: Box) -> str:
    """The words of a box as one paragraph; it may have several."""
    return " ".join(box.words.split())


def open_questions(root: Path) -> str:
    by_part = groupby(boxes(root, "Not known"), lambda box: box.chapter.part)
    return text("open_questions").format(
        questions="\n\n".join(
            "\n\n".join([f"## {part}", *(f"{box.link}\n: {flat(box)}" for box in found)])
            for part, found in by_part
        )
    )


def main(arguments: list[str], root: Path = ROOT) -> int:
    pages = {"cheat_sheet": cheat_sheet, "open_questions": open_questions}
    return max(
        write_page(root / "book" / f"{name}.md", render(root), arguments)
        for name, render in pages.items()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
