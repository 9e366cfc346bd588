"""Ways into the book, for its first page: minutes of chapters, what to read for one, pictures that lead in."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from book.tools.contents import LAST_OF_THE_TRUNK, Chapter, chapters_in_order, closure

WIDTH, HEIGHT, DENSITY = 240, 150, 2  # of a picture in the gallery, in pixels of the page


def duration(minutes: int) -> str:
    """Say minutes as people do, to five of them: 2 h 5 min."""
    hours, rest = divmod(5 * round(minutes / 5), 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest or not hours))


def minutes_role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Inliner, *more: Any
) -> tuple[list[nodes.Node], list[Any]]:
    """Say how long the chapters of these numbers take to read: {minutes}`1 2`."""
    chapters = chapters_in_order(Path(inliner.document.settings.env.srcdir))
    by_number = {str(chapter.number): chapter.minutes for chapter in chapters.values()}
    unknown = [number for number in text.split() if number not in by_number]
    if unknown:
        raise ExtensionError(f"minutes are for numbers of chapters, got {unknown[0]!r}")
    return [nodes.Text(duration(sum(by_number[number] for number in text.split())))], []


class CameFor(SphinxDirective):
    """For each chapter after the trunk: what to read for it, and how long that takes in all."""

    def run(self) -> list[nodes.Node]:
        uri, here = self.env.app.builder.get_relative_uri, self.env.docname
        chapters = chapters_in_order(Path(self.env.app.srcdir))
        table = came_for(chapters, lambda stem: uri(here, f"notebooks/{stem}"))
        return [nodes.raw("", table, format="html")]


def came_for(chapters: Mapping[str, Chapter], address: Any) -> str:
    """Draw the table, a row for each chapter."""
    rows = []
    for stem, chapter in chapters.items():
        if chapter.number <= LAST_OF_THE_TRUNK:
            continue
        before = closure(chapters, stem) - {stem}
        total = sum(chapters[name].minutes for name in before) + chapter.minutes
        link = f'<a href="{escape(address(stem))}">{escape(chapter.title)}</a>'
        needed = in_ranges(
            sorted(chapters[name].number for name in before if chapters[name].number)
        )
        rows.append(f"<tr><td>{link}</td><td>{needed}</td><td>{duration(total)}</td></tr>")
    head = "".join(f"<th>{name}</th>" for name in ("you came for", "before it", "in all"))
    return (
        '<div class="pst-scrollable-table-container"><table class="table came-for">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def in_ranges(numbers: Sequence[int]) -> str:
    """Write numbers with those in a row as one: 1 to 7, 15."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    return ", ".join(parts)


class Gallery(SphinxDirective):
    """Pictures of the chapters, each leading to its own: a line says `stem: words that its description begins with`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        root, uri = Path(self.env.app.srcdir), self.env.app.builder.get_relative_uri
        chapters = chapters_in_order(root)
        up = "../" * self.env.docname.count("/")
        items = []
        for line in self.content:
            stem, _, words = (part.strip() for part in line.partition(":"))
            if stem not in chapters:
                raise ExtensionError(f"a gallery has pictures of chapters, got {stem!r}")
            notebook = root / "notebooks" / f"{stem}.ipynb"
            self.env.note_dependency(str(notebook))
            alt, image = picture(json.loads(notebook.read_text("utf-8")), words)
            name = f"gallery_{stem}.webp"
            write_small(image, Path(self.env.app.outdir) / "_images" / name)
            chapter = chapters[stem]
            items.append(
                f'<li><a href="{escape(uri(self.env.docname, f"notebooks/{stem}"))}">'
                f'<img src="{up}_images/{name}" alt="{escape(alt)}" width="{WIDTH}" height="{HEIGHT}" loading="lazy">'
                f"<span>{chapter.number}. {escape(chapter.title)}</span></a></li>"
            )
        return [nodes.raw("", f'<ul class="gallery">{"".join(items)}</ul>', format="html")]


def picture(notebook: Mapping[str, Any], words: str) -> tuple[str, Image.Image]:
    """Find the picture whose description begins with these words."""
    found = []
    for cell in notebook["cells"]:
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell.get("outputs", []):
            if alt.startswith(words) and "image/png" in output.get("data", {}):
                found.append((alt, output["data"]["image/png"]))
    if len(found) != 1:
        raise ExtensionError(
            f"a picture of the gallery needs a description that one alone begins with, got {len(found)} "
            f"for {words!r}"
        )
    alt, data = found[0]
    return alt, Image.open(io.BytesIO(base64.b64decode(data)))


def write_small(image: Image.Image, path: Path) -> None:
    """Write a picture as large as the gallery shows it, on white."""
    size = WIDTH * DENSITY, HEIGHT * DENSITY
    paper = Image.new("RGB", size, "white")
    image = image.convert("RGBA")
    image.thumbnail(size, Image.Resampling.LANCZOS)
    paper.paste(image, tuple((a - b) // 2 for a, b in zip(size, image.size, strict=True)), image)
    path.parent.mkdir(parents=True, exist_ok=True)
    paper.save(path, quality=82, method=6)
