"""Scenes of one to three emoji, whose places are known; and single emoji to learn from what they look like.

Coordinates are pixels, x to the right and y down. A box is (x0, y0, x1, y1): x1 and y1 are just outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, UInt8

from minattn.checks import check_shares, check_sizes, check_whole
from minattn.tasks.emoji import CLASSES, DESIGNERS, check_designers, sprite

SIZE = 40
"""Pixels: a scene is square."""

CROP = 16
"""Pixels: a crop is square."""

SIZES = 12, 13, 14, 15, 16
"""Pixels: the longer side of an emoji."""

NOTHING = len(CLASSES)
"""The class of a crop with nothing in its middle."""

BACKGROUNDS = "white", "plain", "gradient"
LAYOUTS = "rows", "free"

JITTER = 0.15
"""Red, green and blue of each emoji are multiplied by up to this much more or less than 1."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """Pictures and what is in them; -1 and boxes of zeros stand where there is nothing more.

    Attributes:
        pictures: red, green, blue.
        classes: which of ``minattn.tasks.emoji.CLASSES``, in reading order.
        boxes: x0, y0, x1, y1 of all that was drawn, also where something else hides it.
        designers: which of ``minattn.tasks.emoji.DESIGNERS``.
        masks: which pixels show each thing, by more than half, and nothing before it; if asked for.
    """

    pictures: UInt8[np.ndarray, "scenes 40 40 3"]
    classes: Int64[np.ndarray, "scenes things"]
    boxes: Float[np.ndarray, "scenes things 4"]
    designers: Int64[np.ndarray, "scenes things"]
    masks: Bool[np.ndarray, "scenes things 40 40"] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, chosen: slice | np.ndarray) -> "Scenes":
        """Return some of the scenes."""
        masks = None if self.masks is None else self.masks[chosen]
        classes, boxes, designers = self.classes, self.boxes, self.designers
        return Scenes(
            self.pictures[chosen], classes[chosen], boxes[chosen], designers[chosen], masks
        )


@dataclass(frozen=True, eq=False)
class Crops:
    """Pictures of one emoji or of nothing.

    Attributes:
        pictures: red, green, blue.
        classes: which of ``minattn.tasks.emoji.CLASSES``, or ``NOTHING``.
    """

    pictures: UInt8[np.ndarray, "crops 16 16 3"]
    classes: Int64[np.ndarray, " crops"]

    def __len__(self) -> int:
        return len(self.pictures)


@cache
def _sprites() -> tuple[Float[np.ndarray, "n 16 16 4"], Int64[np.ndarray, "n 2"]]:
    """Return all emoji in all sizes, each in the upper left, and how wide and high each is."""
    drawn = [sprite(d, name, size) for d in DESIGNERS for name in CLASSES for size in SIZES]
    table = np.zeros((len(drawn), CROP, CROP, 4), dtype=np.float32)
    for place, one in zip(table, drawn, strict=True):
        place[: one.shape[0], : one.shape[1]] = one.astype(np.float32) / 255
    return table, np.array([(one.shape[1], one.shape[0]) for one in drawn])


def _index(designers: np.ndarray, classes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return where in the table of sprites an emoji stands."""
    return np.asarray((designers * len(CLASSES) + classes) * len(SIZES) + sizes)


def _drawn(number: int, designers: Sequence[str], rng: np.random.Generator) -> Any:
    """Draw who, what and how large."""
    known = np.array([DESIGNERS.index(name) for name in designers])
    who = known[rng.integers(0, len(known), number)]
    what = rng.integers(0, len(CLASSES), number)
    return who, what, _index(who, what, rng.integers(0, len(SIZES), number))


def _coloured(
    sprites: Float[np.ndarray, "n h w 4"], rng: np.random.Generator
) -> Float[np.ndarray, "n h w 4"]:
    """Make each emoji a little redder, greener, darker; no colour is more than alpha allows."""
    gains = rng.uniform(1 - JITTER, 1 + JITTER, (len(sprites), 1, 1, 3)).astype(np.float32)
    colours = np.minimum(sprites[..., :3] * gains, sprites[..., 3:])
    return np.concatenate([colours, sprites[..., 3:]], -1)


def _backgrounds(
    number: int, side: int, background: str, rng: np.random.Generator
) -> Float[np.ndarray, "n side side 3"]:
    """Return pictures without anything: white, of one colour, or of two with all between them."""
    if background == "white":
        return np.ones((number, side, side, 3), dtype=np.float32)
    colours = rng.uniform(0.35, 1, (2, number, 1, 1, 3)).astype(np.float32)
    if background == "plain":
        return np.tile(colours[0], (1, side, side, 1))
    angle = rng.uniform(0, 2 * np.pi, (number, 1, 1)).astype(np.float32)
    line = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    along = (np.sin(angle) * line[:, None] + np.cos(angle) * line) / np.float32(2**0.5) + 0.5
    return np.asarray(colours[0] + along[..., None] * (colours[1] - colours[0]))


def _in_rows(
    wide: np.ndarray, high: np.ndarray, largest: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place up to two things in an upper and up to two in a lower row, the left one first."""
    every = np.array([(u, v) for u in range(3) for v in range(3) if 1 <= u + v <= largest])
    upper, lower = every[rng.integers(0, len(every), len(wide))].T
    order = np.arange(largest)
    there = order < (upper + lower)[:, None]
    row = (order >= upper[:, None]).astype(int)
    y = row * (SIZE // 2) + rng.integers(0, SIZE // 2 - high + 1)
    follows = there[:, 1:] & (row[:, 1:] == row[:, :-1])  # there is something left of it
    leads = np.zeros_like(there)
    leads[:, :-1] = follows
    right = np.zeros_like(wide)
    right[:, :-1] = wide[:, 1:]
    x = rng.integers(0, SIZE - wide - leads * right + 1)
    left = np.zeros_like(wide)
    left[:, 1:] = np.where(follows, (x + wide)[:, :-1], 0)
    behind = rng.integers(left, SIZE - wide + 1)
    return np.where(left > 0, behind, x), y, there


def _anywhere(
    wide: np.ndarray, high: np.ndarray, overlap: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place things anywhere, again and again until no two overlap by more than allowed."""
    number, largest = wide.shape
    there = np.arange(largest) < rng.integers(1, largest + 1, number)[:, None]
    x, y = np.zeros_like(wide), np.zeros_like(wide)
    left = np.arange(number)
    one, other = np.triu_indices(largest, 1)
    while len(left):
        w, h = wide[left], high[left]
        x[left], y[left] = rng.integers(0, SIZE - w + 1), rng.integers(0, SIZE - h + 1)
        shared = np.minimum(_shared(x[left], w)[:, one, other], _shared(y[left], h)[:, one, other])
        both = there[left][:, one] & there[left][:, other]
        left = left[(both & (shared > overlap)).any(1)]
    return x, y, there


def _shared(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return by how much each two overlap in one direction."""
    end = start + length
    shared = np.minimum(end[:, :, None], end[:, None]) - np.maximum(
        start[:, :, None], start[:, None]
    )
    return np.asarray(shared)


def scenes(
    number: int,
    designers: Sequence[str],
    *,
    seed: int,
    background: str = "white",
    overlap: int = 0,
    layout: str = "rows",
    largest: int = 3,
    masks: bool = False,
) -> Scenes:
    """Draw scenes of one to ``largest`` emoji of 12 to 16 pixels.

    Args:
        number: how many scenes.
        designers: whose emoji, each as likely.
        seed: the same seed gives the same scenes.
        background: "white", "plain" (of one colour) or "gradient" (from one colour to another).
        overlap: two boxes overlap by at most so many pixels in one of the two directions; only where the
            layout is "free".
        layout: "rows": up to two in an upper and up to two in a lower half, in reading order. "free": anywhere,
            in order of their upper edges; which of two is in front is drawn.
        largest: most things in a scene, up to 4.
        masks: whether to say which pixels show what.

    Raises:
        ValueError: if a number is out of range, or there is no such designer, background or layout.

    >>> from minattn.tasks.emoji import TRAINED
    >>> found = scenes(3, TRAINED, seed=1)
    >>> [[CLASSES[c] for c in one if c >= 0] for one in found.classes]
    [['bear', 'key'], ['dog'], ['frog']]
    """
    check_sizes(number=number, largest=largest)
    check_whole(0, overlap=overlap)
    _check_choices(designers, background, layout)
    if largest > 4:
        raise ValueError(f"largest must be at most 4, got {largest}")
    if overlap and layout == "rows":
        raise ValueError(f'overlap must be 0 where the layout is "rows", got {overlap}')
    rng = np.random.default_rng(seed)
    who, what, which = (
        drawn.reshape(number, largest) for drawn in _drawn(number * largest, designers, rng)
    )
    wide, high = np.moveaxis(_sprites()[1][which], -1, 0)
    if layout == "rows":
        x, y, there = _in_rows(wide, high, largest, rng)
    else:
        x, y, there = _anywhere(wide, high, overlap, rng)
    boxes = np.where(there[..., None], np.stack([x, y, x + wide, y + high], -1), 0)
    pictures = _backgrounds(number, SIZE, background, rng)
    shown = np.zeros((number, largest, SIZE, SIZE), dtype=bool) if masks else None
    _paint(pictures, shown, which, boxes, rng)
    order = np.arange(largest)[None].repeat(number, 0)
    if layout == "free":
        order = np.argsort(np.where(there, y * SIZE + x, SIZE**2), 1)
    return Scenes(
        pictures=_rounded(pictures),
        classes=np.take_along_axis(np.where(there, what, -1), order, 1),
        boxes=np.take_along_axis(boxes, order[..., None], 1).astype(np.float32),
        designers=np.take_along_axis(np.where(there, who, -1), order, 1),
        masks=None if shown is None else np.take_along_axis(shown, order[..., None, None], 1),
    )


def _paint(
    pictures: np.ndarray,
    shown: np.ndarray | None,
    which: np.ndarray,
    boxes: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint the first thing into every picture, then the second over it, and so on."""
    table, _ = _sprites()
    for t in range(which.shape[1]):
        coloured = _coloured(table[which[:, t]], rng)
        for i in np.flatnonzero(boxes[:, t].any(-1)):
            x0, y0, x1, y1 = boxes[i, t]
            rows, columns = slice(y0, y1), slice(x0, x1)
            one = coloured[i, : y1 - y0, : x1 - x0]
            place = pictures[i, rows, columns]
            place *= 1 - one[..., 3:]
            place += one[..., :3]
            if shown is not None:
                shown[i, :t, rows, columns] &= one[..., 3] <= 0.5
                shown[i, t, rows, columns] = one[..., 3] > 0.5


def _rounded(pictures: np.ndarray) -> UInt8[np.ndarray, "n h w 3"]:
    return np.asarray(np.round(255 * pictures.clip(0, 1)), dtype=np.uint8)


def _check_choices(designers: Sequence[str], background: str, layout: str = "rows") -> None:
    check_designers(*designers)
    if background not in BACKGROUNDS:
        raise ValueError(f"background must be one of {', '.join(BACKGROUNDS)}, got {background!r}")
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")


def crops(
    number: int,
    designers: Sequence[str],
    *,
    seed: int,
    nothing: float | int = 0.2,
    background: str = "white",
) -> Crops:
    """Draw crops of 16 by 16 pixels: an emoji within 2 pixels of the middle, or nothing there.

    Half of them have another emoji at one side, which reaches in by up to 4 pixels beside an emoji, and by up to 7
    where nothing is in the middle. What sees such a crop is to say what is in its middle.

    Args:
        number: how many crops.
        designers: whose emoji, each as likely.
        seed: the same seed gives the same crops.
        nothing: the share of crops with nothing in the middle.
        background: as of ``scenes``.

    Raises:
        ValueError: if a number is out of range, or there is no such designer or background.

    >>> found = crops(1000, ["noto"], seed=1, nothing=0.2)
    >>> found.pictures.shape, int((found.classes == NOTHING).sum())
    ((1000, 16, 16, 3), 229)
    """
    check_sizes(number=number)
    check_shares(nothing=nothing)
    _check_choices(designers, background)
    rng = np.random.default_rng(seed)
    _, what, which = _drawn(number, designers, rng)
    _, _, beside = _drawn(number, designers, rng)
    empty = rng.random(number) < nothing
    away = np.where(empty, rng.integers(9, 17, number), rng.integers(12, 17, number))
    sides = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])[rng.integers(0, 4, number)]
    sides *= (rng.random(number) < 0.5)[:, None]
    pictures = _backgrounds(number, CROP, background, rng)
    reaches = _shifted(beside, sides * away[:, None]) * np.any(sides, 1)[:, None, None, None]
    middle = _shifted(which, rng.integers(-2, 3, (number, 2))) * ~empty[:, None, None, None]
    for layer in (reaches, middle):
        coloured = _coloured(layer.astype(np.float32), rng)
        pictures = pictures * (1 - coloured[..., 3:]) + coloured[..., :3]
    return Crops(_rounded(pictures), np.where(empty, NOTHING, what))


def _shifted(
    which: Int[np.ndarray, " n"], by: Int[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 16 16 4"]:
    """Return emoji that stand in the middle of a crop, moved by so many pixels to the right and down."""
    table, extents = _sprites()
    corner = (CROP - extents[which]) // 2 + by
    at = np.arange(CROP) - corner[..., None]  # crops, (x, y), pixels
    inside = (at >= 0) & (at < CROP)
    x, y = np.moveaxis(at.clip(0, CROP - 1), 1, 0)
    found = table[which[:, None, None], y[:, :, None], x[:, None]]
    return np.asarray(found * (inside[:, 1, :, None] & inside[:, 0, None])[..., None])


def cells_inside(
    boxes: Float[np.ndarray, "*batch 4"], cells: int = 10, size: int = SIZE
) -> Bool[np.ndarray, "*batch {cells}*{cells}"]:
    """Say which cells of a grid have their centre in a box, row after row.

    Cell i of 10 has its centre at pixel 4i + 2. That is the truth which attention weights are held against.

    >>> inside = cells_inside(np.array([0.0, 8.0, 7.0, 14.0])).reshape(10, 10)
    >>> np.argwhere(inside).tolist()  # row, column
    [[2, 0], [2, 1]]
    """
    check_sizes(cells=cells, size=size)
    centres = (np.arange(cells) + 0.5) * (size / cells)
    x0, y0, x1, y1 = np.moveaxis(np.asarray(boxes)[..., None], -2, 0)
    across, down = (x0 <= centres) & (centres < x1), (y0 <= centres) & (centres < y1)
    both = down[..., :, None] & across[..., None, :]
    return np.asarray(both.reshape(*both.shape[:-2], cells * cells))
