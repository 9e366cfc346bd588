"""The map of what to read before what, drawn from what the chapters need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from itertools import count, pairwise
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from book.tools.contents import Chapter, chapters_in_order, closure

WIDTH, ROW, GAP = 340, 24, 8  # of a phone, of a line that a finger can hit, between parts
RADIUS = 9.5  # of the circle of a chapter
LANE, BEND = 9, 5  # between two rails, and how round a rail turns


class ReadingMap(SphinxDirective):
    """Draw the map, with a link for every chapter."""

    def run(self) -> list[nodes.Node]:
        chapters = chapters_in_order(Path(self.env.app.srcdir))
        uri, here = self.env.app.builder.get_relative_uri, self.env.docname
        svg = draw(chapters, lambda stem: uri(here, f"notebooks/{stem}"))
        return [nodes.raw("", svg, format="html")]


def draw(chapters: Mapping[str, Chapter], address: Callable[[str], str]) -> str:
    """The chapters as a ladder; a rail leads from one to others that need it further down."""
    heights = rows(chapters)
    steps, jumps = edges(chapters)
    lanes = lanes_of(jumps, list(chapters))
    left = RADIUS + 1.5 + LANE * max(lanes.values(), default=0)
    lines = [f"M{left:g} {heights[need]:g}V{heights[stem]:g}" for need, stem in steps]
    for need, lane in lanes.items():
        below = [heights[stem] for other, stem in jumps if other == need]
        lines.append(rail(heights[need], below, left, left - RADIUS - LANE * lane))
    places = [
        f'<a href="{escape(address(stem))}"><circle cx="{left:g}" cy="{y:g}" r="{RADIUS}"/>'
        f'<text class="number" x="{left:g}" y="{y + 4:g}">{chapters[stem].number}</text> '
        f'<text x="{left + 20:g}" y="{y + 4.5:g}">{escape(chapters[stem].title)}</text></a>'
        for stem, y in heights.items()
    ]
    height = max(heights.values()) + ROW / 2
    # No picture to those who do not see it, but a list of links with a name that says the rest.
    return (
        f'<svg class="reading-map" role="group" aria-label="{escape(in_words(chapters))}" '
        f'viewBox="0 0 {WIDTH} {height:g}">'
        f'<path d="{"".join(lines)}"/>{"".join(places)}</svg>'
    )


def rows(chapters: Mapping[str, Chapter]) -> dict[str, float]:
    """The height of each chapter, with a gap where a part begins."""
    heights: dict[str, float] = {}
    y, part = ROW / 2 - ROW, None
    for stem, chapter in chapters.items():
        y += ROW + (GAP if part not in (None, chapter.part) else 0)
        heights[stem], part = y, chapter.part
    return heights


def edges(chapters: Mapping[str, Chapter]) -> tuple[list[Edge], list[Edge]]:
    """The needs between neighbours, and those further apart; none that another need brings along."""
    wanted = [
        (need, stem)
        for stem, chapter in chapters.items()
        for need in chapter.needs
        if not any(need in closure(chapters, other) for other in chapter.needs if other != need)
    ]
    neighbours = set(pairwise(chapters))
    steps = [edge for edge in wanted if edge in neighbours]
    return steps, [edge for edge in wanted if edge not in neighbours]


def lanes_of(jumps: list[Edge], order: list[str]) -> dict[str, int]:
    """A lane for the rail of each chapter that is needed further down: shorter ones lie nearer."""
    spans: dict[str, range] = {}
    for need, stem in jumps:
        spans[need] = range(order.index(need), order.index(stem) + 1)
    lanes: dict[str, int] = {}
    for need in sorted(spans, key=lambda need: len(spans[need])):
        beside = {lanes[other] for other in lanes if set(spans[other]) & set(spans[need])}
        lanes[need] = next(lane for lane in count(1) if lane not in beside)
    return lanes


def rail(top: float, below: list[float], left: float, x: float) -> str:
    """Out of a chapter to the left, down, and to the right into each that needs it."""
    turn = x + BEND
    # What goes out stands a little lower than what comes in: a chapter may have both.
    out = top + 4
    path = (
        f"M{left:g} {out:g}H{turn:g}Q{x:g} {out:g} {x:g} {out + BEND:g}V{max(below) - 4 - BEND:g}"
    )
    for y in (height - 4 for height in below):
        path += f"M{x:g} {y - BEND:g}Q{x:g} {y:g} {turn:g} {y:g}H{left:g}"
    return path


def in_words(chapters: Mapping[str, Chapter]) -> str:
    """What the map shows: chains first, as they are read in one go, then what each of the others needs."""
    numbers = {stem: chapter.number for stem, chapter in chapters.items()}
    chain, others = [], []
    for stem, chapter in chapters.items():
        before = [numbers[need] for need in chapter.needs]
        if not others and before == chain[-1:]:
            chain.append(numbers[stem])
        else:
            others.append(f"{numbers[stem]} needs {' and '.join(map(str, before)) or 'none'}")
    ladder = f"Chapters {chain[0]} to {chain[-1]} are read in order"
    return f"What to read before what. {'; '.join([ladder, *others])}."
