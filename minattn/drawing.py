"""The pen of the book's drawings: boxes, tokens, matrices to scale and arrows, as SVG in one style.

A drawing takes its colours from the page around it, by day, by night and on paper, and tells nothing by colour
alone. :mod:`minattn.drawings` holds the drawings of the chapters.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float | int, float | int]

FONT = 13
"""Height of the letters; a drawing 420 wide still has letters of 10 pixels on a phone."""

ROW = 28
"""Height of a box with one line of text."""

_ENLARGED = 1.15  # on a wide screen, letters are as large as those of the text around
_SMALL = 200  # width of a small drawing, in pixels
_PAPER = "var(--paper, var(--jp-layout-color0, #fff))"  # behind a number on an arrow
_HEAD = 8  # length of an arrow head
_SUBSCRIPT = re.compile(r"_(\{[^}]*\}|.)")


class Box(NamedTuple):
    """A rectangle in a drawing, where arrows may begin and end."""

    left: float | int
    top: float | int
    width: float | int
    height: float | int

    def at(self, x: float | int, y: float | int) -> Point:
        """Return a point by its share of the width and the height: ``at(0.5, 1)`` is the middle of the foot."""
        return self.left + x * self.width, self.top + y * self.height


class Drawing:
    """A drawing that a notebook shows when it is the value of a cell.

    In labels, ``s_t`` and ``s_{t-1}`` have a subscript, and a line break begins another line.

    Args:
        width: of the drawing, in units of about a pixel. At most 419, or subscripts become too small on a phone.
        height: of the drawing, in the same units.
        alt: what is to be seen, for those who cannot see it.
        lit: the part that stands out, so that the whole says where the reader is.
        small: leave out the labels and name the part that is lit.

    Raises:
        ValueError: if the drawing has no size, no alt text, or is small and nothing is lit.
    """

    def __init__(
        self,
        width: float | int,
        height: float | int,
        alt: str,
        lit: str | None = None,
        small: bool = False,
    ) -> None:
        if not (width > 0 and height > 0):
            raise ValueError(f"width and height must be above 0, got {width} and {height}")
        if not alt.strip():
            raise ValueError(f"alt must say what is to be seen, got {alt!r}")
        if small and lit is None:
            raise ValueError(
                "a small drawing says where the reader is: lit must name a part, got None"
            )
        self.width, self.height, self.alt = width, height, " ".join(alt.split())
        self.lit, self.small = lit, small
        self.parts: list[str] = []
        self._within: tuple[str, ...] = ()
        self._svg: list[str] = []

    @contextmanager
    def part(self, *names: str) -> Iterator[None]:
        """Draw what belongs to a part, or to several: it stands out where ``lit`` names one of them."""
        if self._within:
            raise ValueError(f"a part must not lie in another, got {names} inside {self._within}")
        self.parts += [name for name in names if name not in self.parts]
        self._within = names
        width = 4 if self.small else 2.2
        look = f' class="lit" stroke-width="{width}" font-weight="700"' if self.lit in names else ""
        self._svg.append(f"<g{look}>")
        yield
        self._svg.append("</g>")
        self._within = ()

    def text(
        self, x: float | int, y: float | int, text: str, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Write a text; y is the middle of its first line, and x its middle, or its start or end as ``anchor`` says."""
        lines = [_pieces(line) for line in text.split("\n")]
        for number, line in enumerate(lines):
            self._write(x, y + number * (FONT + 4), line, anchor, bold)

    def box(
        self,
        x: float | int,
        y: float | int,
        text: str,
        width: float | int = 44,
        dashed: bool = False,
        height: float | int = 0,
    ) -> Box:
        """Draw something that computes or holds a vector, centred on x and y, at least as high as its text."""
        lines = text.split("\n")
        height = max(height, ROW + (len(lines) - 1) * (FONT + 4))
        box = self._rect(x, y, width, height, 0, dashed)
        for line in lines:
            _check_room(_pieces(line), width)
        self.text(x, y - (len(lines) - 1) * (FONT + 4) / 2, text)
        return box

    def token(self, x: float | int, y: float | int, word: str, dashed: bool = False) -> Box:
        """Draw a token, centred on x and y: rounded, and as wide as the word, which is taken as it is."""
        box = self._rect(x, y, token_width(word), ROW - 4, ROW / 2 - 2, dashed)
        self._write(x, y, [(word, False)])
        return box

    def matrix(
        self,
        x: float | int,
        y: float | int,
        rows: int,
        columns: int,
        label: str = "",
        cell: float | int = 13,
    ) -> Box:
        """Draw a matrix to scale, centred on x and y, with a label below it: its name, its shape."""
        for name, number in (("rows", rows), ("columns", columns)):
            if number < 1:
                raise ValueError(f"{name} of a matrix must be at least 1, got {number}")
        box = self._rect(x, y, columns * cell, rows * cell, 0)
        lines = [
            f"M{_n(box.left + n * cell)} {_n(box.top)}v{_n(box.height)}" for n in range(1, columns)
        ] + [f"M{_n(box.left)} {_n(box.top + n * cell)}h{_n(box.width)}" for n in range(1, rows)]
        if lines:
            self._svg.append(f'<path d="{"".join(lines)}" stroke-width=".8" stroke-opacity=".5"/>')
        if label:
            self.text(x, box.top + box.height + FONT, label)
        return box

    def arrow(
        self,
        start: Box | Point,
        end: Box | Point,
        via: Sequence[Point] = (),
        label: str = "",
        dotted: bool = False,
        head: bool = True,
    ) -> None:
        """Draw an arrow from border to border, straight where both are level, else by way of the points ``via``.

        The label, a number mostly, sits on the longest stretch.
        """
        points = _route(start, end, via)
        for x, y in points:
            self._check_inside("an arrow", x, y, x, y)
        stretch = max(pairwise(points), key=lambda ends: _length(*ends))
        if head:
            (x, y), tip = points[-2:]
            if _length((x, y), tip) <= _HEAD:
                raise ValueError(f"an arrow must be longer than its head, got {(x, y)} to {tip}")
            dx, dy = ((b - a) / _length((x, y), tip) for a, b in ((x, tip[0]), (y, tip[1])))
            back = tip[0] - _HEAD * dx, tip[1] - _HEAD * dy
            sides = [(back[0] + side * dy, back[1] - side * dx) for side in (3.5, -3.5)]
            points[-1] = back
        dash = ' stroke-dasharray="2 4" stroke-linecap="round"' if dotted else ""
        self._svg.append(f'<path d="M{_points(points)}" stroke-linejoin="round"{dash}/>')
        if head:
            self._svg.append(
                f'<path d="M{_points([tip, *sides])}Z" fill="currentColor" stroke="none"/>'
            )
        if label and not self.small:
            (x1, y1), (x2, y2) = stretch
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            self._svg.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="9" fill="{_PAPER}"/>')
            self._write(x, y, _pieces(label))

    def svg(self) -> str:
        """Return the drawing as inline SVG, without ids, so that a page may hold it twice.

        Raises:
            ValueError: if ``lit`` names no part.
        """
        if self.lit is not None and self.lit not in self.parts:
            raise ValueError(f"lit must be one of {self.parts}, got {self.lit!r}")
        alt, height, shown, foot = self.alt, self.height, self.width * _ENLARGED, ""
        if self.small:
            unit = self.width / _SMALL
            alt, shown, height = f"You are here: {self.lit}. {alt}", _SMALL, height + 22 * unit
            foot = (
                f'<text x="{_n(self.width / 2)}" y="{_n(height - 6 * unit)}" text-anchor="middle" class="lit" '
                f'font-size="{_n(FONT * unit)}" fill="currentColor" stroke="none">'
                f"here: {escape(str(self.lit))}</text>"
            )
        thin = 1.3 if self.lit is None else 0.9
        return (
            f'<svg class="drawing{"" if self.lit is None else " dim"}" role="img" '
            f'viewBox="0 0 {_n(self.width)} {_n(height)}" width="{_n(shown)}" '
            f'style="max-width:100%;height:auto" fill="none" stroke="currentColor" '
            f'stroke-width="{thin}" font-family="system-ui, sans-serif" font-size="{FONT}">'
            f"<title>{escape(alt)}</title>{''.join(self._svg)}{foot}</svg>"
        )

    def _repr_html_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"Drawing: {self.alt}"

    def _rect(
        self,
        x: float | int,
        y: float | int,
        width: float | int,
        height: float | int,
        radius: float | int,
        dashed: bool = False,
    ) -> Box:
        box = Box(x - width / 2, y - height / 2, width, height)
        self._check_inside("a box", *box[:2], *box.at(1, 1))
        look = f' rx="{_n(radius)}"' if radius else ""
        look += ' stroke-dasharray="5 3"' if dashed else ""
        if self.lit in self._within:
            look += ' fill="currentColor" fill-opacity=".12"'
        x, y, width, height = box
        self._svg.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"{look}/>'
        )
        return box

    def _write(
        self,
        x: float | int,
        y: float | int,
        pieces: Sequence[tuple[str, bool]],
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        wide = _width(pieces)
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}
        if anchor not in share:
            raise ValueError(f"anchor must be one of {sorted(share)}, got {anchor!r}")
        left = x - share[anchor] * wide
        what = f"the text {''.join(piece for piece, _ in pieces)!r}"
        self._check_inside(what, left, y - FONT / 2, left + wide, y + FONT / 2)
        if self.small:
            return
        look = f' text-anchor="{anchor}"' + (' font-weight="700"' if bold else "")
        self._svg.append(
            f'<text x="{_n(x)}" y="{_n(y + 0.35 * FONT)}"{look} fill="currentColor" stroke="none">'
            f"{_spans(pieces)}</text>"
        )

    def _check_inside(
        self,
        what: str,
        left: float | int,
        top: float | int,
        right: float | int,
        bottom: float | int,
    ) -> None:
        if left < 0 or top < 0 or right > self.width or bottom > self.height:
            raise ValueError(
                f"{what} must lie inside the drawing of {_n(self.width)} x {_n(self.height)}, "
                f"got {_n(left)} to {_n(right)} across and {_n(top)} to {_n(bottom)} down"
            )


def token_width(word: str) -> float | int:
    """Return how wide the box of a token is."""
    return _width([(word, False)]) + 14


def _n(number: float | int) -> str:
    """Write a number with one digit after the point at most, the same on every machine."""
    return f"{round(number, 1) + 0.0:g}"


def _points(points: Sequence[Point]) -> str:
    return "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _length(a: Point, b: Point) -> float | int:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Split a label into texts and subscripts."""
    split = _SUBSCRIPT.split(text)
    return [
        (piece.strip("{}") if number % 2 else piece, bool(number % 2))
        for number, piece in enumerate(split)
        if piece
    ]


def _spans(pieces: Sequence[tuple[str, bool]]) -> str:
    written, low = "", False
    for piece, subscript in pieces:
        shift = f' dy="{4 if subscript else -4}"' if subscript != low else ""
        size = ' font-size="11"' if subscript else ""
        written += (
            f"<tspan{shift}{size}>{escape(piece)}</tspan>" if shift or size else escape(piece)
        )
        low = subscript
    return written


def _width(pieces: Sequence[tuple[str, bool]]) -> float | int:
    """Estimate the width of a line, on the safe side: the reader's font is not known, and what is lit is bold."""
    ems = {**dict.fromkeys("iljtfrI.,:;|()[]' ", 0.43), **dict.fromkeys("mwMW", 1.0)}
    return sum(
        ems.get(letter, 0.67) * (11 if subscript else FONT)
        for piece, subscript in pieces
        for letter in piece
    )


def _check_room(pieces: Sequence[tuple[str, bool]], width: float | int) -> None:
    wide = _width(pieces)
    if wide > width:
        text = "".join(piece for piece, _ in pieces)
        raise ValueError(
            f"a box must be as wide as its text, {text!r} needs {_n(wide)}, got {_n(width)}"
        )


def _route(start: Box | Point, end: Box | Point, via: Sequence[Point]) -> list[Point]:
    """Return the corners of an arrow, with its ends on the borders of what it joins."""
    if via:
        return [_leave(start, via[0]), *via, _leave(end, via[-1])]
    for axis in (0, 1):
        (a, b), (c, d) = _reach(start, axis), _reach(end, axis)
        low, high = max(a, c), min(b, d)
        if low <= high:  # level with each other: straight through the middle of what they share
            middle = (low + high) / 2
            ends = [_centre(start), _centre(end)]
            ends = [(middle, y) if axis == 0 else (x, middle) for x, y in ends]
            return [_leave(start, ends[1]), _leave(end, ends[0])]
    return [_leave(start, _centre(end)), _leave(end, _centre(start))]


def _reach(thing: Box | Point, axis: int) -> Point:
    if isinstance(thing, Box):
        return thing[axis], thing[axis] + thing[axis + 2]
    return thing[axis], thing[axis]


def _centre(thing: Box | Point) -> Point:
    return thing.at(0.5, 0.5) if isinstance(thing, Box) else thing


def _leave(thing: Box | Point, towards: Point) -> Point:
    """Return where the border is left towards a point: straight if it is level with the box."""
    if not isinstance(thing, Box):
        return thing
    x, y = thing.at(0.5, 0.5)
    if _reach(thing, 0)[0] <= towards[0] <= _reach(thing, 0)[1]:
        x = towards[0]
    elif _reach(thing, 1)[0] <= towards[1] <= _reach(thing, 1)[1]:
        y = towards[1]
    dx, dy = towards[0] - x, towards[1] - y
    shares = [
        half / abs(way) for half, way in ((thing.width / 2, dx), (thing.height / 2, dy)) if way
    ]
    if not shares or min(shares) > 1:
        raise ValueError(f"an arrow must leave its box, got {thing} towards {towards}")
    return x + dx * min(shares), y + dy * min(shares)
