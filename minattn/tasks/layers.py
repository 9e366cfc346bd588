"""Flat pieces of photographs in space, one before the other, as two eyes see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from minattn.tasks.photos import photos

SHAPES = "all", "box", "disc"


@dataclass(frozen=True)
class Layer:
    """A flat piece of a photograph somewhere in space: d = a + b x + c y in column x and row y of the left view.

    Args:
        photo: at least as large as what is to be seen of it.
        shape: "all", "box" or "disc".
        centre: row and column of its middle in the left view.
        size: half of its height and width.
        plane: a, b, c.
        start: row and column of the photograph that lie in the first row and column of the left view.

    Raises:
        ValueError: if there is no such shape.
    """

    photo: Float[np.ndarray, "rows columns"]
    shape: str
    centre: tuple[float | int, float | int]
    size: tuple[float | int, float | int]
    plane: tuple[float | int, float | int, float | int]
    start: tuple[int, int]

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {self.shape!r}")

    def covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Say whether the layer is seen in these rows and columns of the left view."""
        if self.shape == "all":
            return np.ones(x.shape, dtype=bool)
        off = [np.abs(at - c) / s for at, c, s in zip((y, x), self.centre, self.size, strict=True)]
        far = off[0] ** 2 + off[1] ** 2 if self.shape == "disc" else np.maximum(*off)
        return np.asarray(far <= 1)

    def colours(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the grey in these rows and columns of the left view, between columns by Catmull and Rom's cubic."""
        last_row, last = (size - 1 for size in self.photo.shape)
        rows = np.minimum(y + self.start[0], last_row)
        first = np.floor(x)
        t = (x - first).astype(np.float32)
        columns = first.astype(int) + self.start[1]
        if not t.any():
            return np.asarray(self.photo[rows, np.minimum(columns, last)])
        weights = (
            t * (t * (2 - t) - 1),
            t * t * (3 * t - 5) + 2,
            t * (t * (4 - 3 * t) + 1),
            t * t * (t - 1),
        )
        taps = (np.maximum(columns - 1, 0), *(np.minimum(columns + k, last) for k in (0, 1, 2)))
        mixed = sum(w * self.photo[rows, tap] for w, tap in zip(weights, taps, strict=True))
        return np.asarray(mixed / 2)


def render(
    layers: Sequence[Layer], height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Show layers to both eyes, each hiding those before it in the list.

    Returns:
        The left view, the right view and the disparity of the left one.

    >>> photo = np.arange(8, dtype=np.float32)[None] / 8
    >>> left, right, _ = render([Layer(photo, "all", (0, 0), (1, 1), (2, 0, 0), (0, 0))], 1, 4)
    >>> left, right  # two columns further right
    (array([[0.   , 0.125, 0.25 , 0.375]], dtype=float32), array([[0.25 , 0.375, 0.5  , 0.625]], dtype=float32))
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    left, right, disparity = (np.zeros((height, width), dtype=np.float32) for _ in range(3))
    for layer in layers:
        a, b, c = map(np.float32, layer.plane)
        for view, columns in (left, x), (right, (x + a + c * y) / (1 - b)):
            seen = layer.covers(y, columns)
            view[seen] = layer.colours(y[seen].astype(int), columns[seen])
            if view is left:
                disparity[seen] = (a + b * x + c * y)[seen]
    return left.clip(0, 1), right.clip(0, 1), disparity


@cache
def greys(part: str) -> list[np.ndarray]:
    """Return the photographs of a part from 0 to 1."""
    return [photo.astype(np.float32) / 255 for photo in photos(part).values()]


def draw_scene(
    rng: np.random.Generator, part: str, height: int, width: int, reach: int
) -> list[Layer]:
    """Draw a background and up to three pieces of photographs before it, each nearer than the last."""
    pool = greys(part)
    levels = np.sort(rng.uniform(0, reach - 1, rng.integers(1, 5)))
    return [
        _draw_layer(rng, pool, level, n == 0, (height, width), reach)
        for n, level in enumerate(levels)
    ]


def _draw_layer(
    rng: np.random.Generator,
    pool: list[np.ndarray],
    level: float,
    behind: bool,
    size: tuple[int, int],
    reach: int,
) -> Layer:
    """Draw a piece of a photograph whose middle has a disparity, slanted or not."""
    height, width = size
    photo = pool[int(rng.integers(len(pool)))]
    photo = photo[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    room = np.maximum(np.array(photo.shape) - (height, width + reach), 0)
    start = rng.integers(room + 1)
    slant = rng.uniform(-reach / 8, reach / 8, 2) * rng.choice((0, 1), 2)  # from edge to edge
    margin = np.abs(slant).sum() / 2
    level = np.round(np.clip(level, margin, reach - 1 - margin), rng.choice((0, 3)))
    b, c = slant[1] / width, slant[0] / height
    return Layer(
        photo,
        "all" if behind else str(rng.choice(("box", "disc"))),
        (rng.uniform(0, height), rng.uniform(0, width)),
        (rng.uniform(0.15, 0.6) * height, rng.uniform(0.05, 0.3) * width),
        (level - b * width / 2 - c * height / 2, b, c),
        (int(start[0]), int(start[1])),
    )
