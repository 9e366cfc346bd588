"""Exercise 15.2: what a cell can see."""

from collections.abc import Sequence
from functools import partial
from math import prod

from minattn.exercises.exercise import Case, Exercise, Law, Mistake

Layers = Sequence[tuple[int, int, int]]
Seen = tuple[int, int, float]


def seen(cell: int, layers: Layers, n_pixels: int) -> Seen:
    """Return the first pixel that a cell sees, the one behind the last, and where its centre is."""
    return _clipped(*_back(cell, layers), n_pixels)


def _back(
    cell: int,
    layers: Layers,
    *,
    from_the_first: bool = False,
    padded: bool = True,
    less: int = 1,
) -> tuple[int, int]:
    """Go back through the layers, to the pixels between two borders.

    Args:
        cell: which one of the last layer.
        layers: kernel, stride and padding of each, the one on the picture first.
        from_the_first: whether the layers come in the wrong order.
        padded: whether the padding counts.
        less: how many cells the last one is before the end.
    """
    start, end = cell, cell + 1
    for kernel, stride, padding in layers if from_the_first else reversed(layers):
        start = start * stride - padding * padded
        end = (end - less) * stride - padding * padded + kernel
    return start, end


def _clipped(start: int, end: int, n_pixels: int) -> Seen:
    return max(start, 0), min(end, n_pixels), (start + end) / 2


def _some_way_back(cell: int, layers: Layers, n_pixels: int, **way: bool | int) -> Seen:
    return _clipped(*_back(cell, layers, **way), n_pixels)  # type: ignore[arg-type]


def _jumps(layers: Layers) -> list[int]:
    """Return how many pixels lie between two neighbours before each layer, and after the last."""
    return [prod(stride for _, stride, _ in layers[:i]) for i in range(len(layers) + 1)]


def _tile(cell: int, layers: Layers, n_pixels: int) -> Seen:
    """Take the cell for a tile of the picture."""
    jump = _jumps(layers)[-1]
    return _clipped(cell * jump, (cell + 1) * jump, n_pixels)


def _even_tile(cell: int, layers: Layers, n_pixels: int) -> Seen:
    """Take the cell for one of the tiles that share out the picture, however wide they are."""
    n = n_pixels
    for kernel, stride, padding in layers:
        n = (n + 2 * padding - kernel) // stride + 1
    return _clipped(cell * n_pixels // n, (cell + 1) * n_pixels // n, n_pixels)


def _without_jumps(
    cell: int, layers: Layers, n_pixels: int, *, width: bool = True, offset: bool = True
) -> Seen:
    """Leave the strides out of the width, the padding or both."""
    jumps = _jumps(layers)
    start, n = cell * jumps[-1], 1
    for (kernel, _, padding), jump in zip(layers, jumps[:-1], strict=True):
        start -= padding * (1 if offset else jump)
        n += (kernel - 1) * (1 if width else jump)
    return _clipped(start, start + n, n_pixels)


def _strided_by_itself(cell: int, layers: Layers, n_pixels: int) -> Seen:
    """Take the stride of a layer itself into account, besides those before it."""
    jumps = _jumps(layers)
    start = _back(cell, layers)[0]
    n = 1 + sum((layer[0] - 1) * jump for layer, jump in zip(layers, jumps[1:], strict=True))
    return _clipped(start, start + n, n_pixels)


def _inclusive(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end, centre = seen(cell, layers, n_pixels)
    return start, end - 1, centre


def _inclusive_throughout(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end = _back(cell, layers)
    return max(start, 0), min(end - 1, n_pixels - 1), (start + end - 1) / 2


def _unclipped(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end = _back(cell, layers)
    return start, end, (start + end) / 2


def _half_clipped(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end = _back(cell, layers)
    return max(start, 0), end, (start + end) / 2


def _other_half_clipped(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end = _back(cell, layers)
    return start, min(end, n_pixels), (start + end) / 2


def _centre_of_what_is_left(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end, _ = seen(cell, layers, n_pixels)
    return start, end, (start + end) / 2


def _centre_by_index(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end, centre = seen(cell, layers, n_pixels)
    return start, end, centre - 0.5


def _centre_rounded(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end, centre = seen(cell, layers, n_pixels)
    return start, end, centre // 1


def _centre_of_the_tile(cell: int, layers: Layers, n_pixels: int) -> Seen:
    start, end, _ = seen(cell, layers, n_pixels)
    return start, end, (cell + 0.5) * _jumps(layers)[-1]


def _cases() -> list[Case]:
    return [
        (2, [(3, 2, 1)], 11),
        (1, [(5, 2, 1), (3, 3, 0)], 23),
        (4, [(3, 3, 0), (4, 2, 2)], 31),
        (0, [(3, 1, 1), (5, 2, 2), (3, 3, 1)], 29),  # over the edge at the left
        (5, [(3, 2, 1), (5, 2, 2)], 23),  # and at the right
        (1, [(7, 3, 3), (3, 2, 1), (3, 1, 1)], 19),  # at both
        (3, [(3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)], 40),
    ]


EXERCISE = Exercise(
    number="15.2",
    title="What a cell can see",
    solution=seen,
    cases=_cases,
    mistakes=[
        Mistake(
            "a_tile",
            _tile,
            "You take the cell for a tile, as if the picture had been cut into pieces. That is how a map is drawn, "
            "and not what a cell has seen: kernels are wider than their strides, so neighbours see much of the "
            "same pixels.",
            also=[_even_tile],
        ),
        Mistake(
            "from_the_first_layer",
            partial(_some_way_back, from_the_first=True),
            "You go through the layers in the order in which they were run. The cell belongs to the last layer, so "
            "the way to the pixels begins there: what does the last layer read, and what did the one before read "
            "for that?",
        ),
        Mistake(
            "padding_left_out",
            partial(_some_way_back, padded=False),
            "The width is right, and the place is not: padding is left out. With a padding of 1 the first kernel "
            "begins at pixel -1, so every cell lies further left.",
        ),
        Mistake(
            "strides_left_out",
            partial(_without_jumps, width=True, offset=False),
            "Strides before a layer are left out, or one too many counts. Where two neighbours are 4 pixels apart, "
            "a kernel of 3 adds (3 - 1) * 4 pixels and a padding of 1 moves it by 4. A layer's own stride counts "
            "for those after it only.",
            also=[
                _without_jumps,
                partial(_without_jumps, width=False, offset=True),
                _strided_by_itself,
            ],
        ),
        Mistake(
            "kernels_added_whole",
            partial(_some_way_back, less=0),
            "You see too much at the end. The last one of the cells is end - 1, and its kernel begins at (end - 1) "
            "* stride - padding. Or count the width: a kernel of 3 adds 2, not 3.",
        ),
        Mistake(
            "last_for_end",
            _inclusive,
            "You give the last pixel that is seen. Asked for is the end, the one behind it, as in a slice: a cell "
            "that sees the pixels 3, 4 and 5 has start 3, end 6, and its centre at 4.5.",
            also=[_inclusive_throughout],
        ),
        Mistake(
            "beyond_the_picture",
            _unclipped,
            "There are pixels beyond the edge of the picture: below 0, or from n_pixels on. These are padding, and "
            "nothing is to be seen there. Cut off both ends once you have reached the pixels.",
            also=[_half_clipped, _other_half_clipped],
        ),
        Mistake(
            "another_centre",
            _centre_of_what_is_left,
            "The pixels are right and the centre is not. It is (start + end) / 2 before anything is cut off at the "
            "edges: pixel 4 alone, from 4 to 5, has its centre at 4.5. The middle of a tile may be elsewhere.",
            also=[_centre_by_index, _centre_rounded, _centre_of_the_tile],
        ),
    ],
    laws=[
        Law(
            "a cell sees pixels of the picture only, at least one",
            lambda out, cell, layers, n_pixels: 0 <= out[0] < out[1] <= n_pixels,
        ),
    ],
)
