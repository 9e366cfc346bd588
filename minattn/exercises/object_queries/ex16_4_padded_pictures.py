"""Exercise 16.4: the mask of padded pictures."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake

Count = Callable[[Tensor, int], Tensor]
"""How many cells are real along an axis, of so many pixels, with a stride."""


def key_mask(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Return which cells of each picture lie on at least one real pixel, row by row."""
    return _mask(sizes, height, width, stride)


def _up(pixels: Tensor, stride: int) -> Tensor:
    return -(-pixels // stride)


def _down(pixels: Tensor, stride: int) -> Tensor:
    return pixels // stride


def _to_the_nearest(pixels: Tensor, stride: int) -> Tensor:
    return (pixels + stride // 2) // stride


def _one_more(pixels: Tensor, stride: int) -> Tensor:
    return pixels // stride + 1


def _one_more_than_up(pixels: Tensor, stride: int) -> Tensor:
    return _up(pixels, stride) + 1


def _both(rows: Tensor, columns: Tensor) -> Tensor:
    return rows & columns


def _one_of_both(rows: Tensor, columns: Tensor) -> Tensor:
    return rows | columns


def _grid(
    sizes: Tensor,
    height: int,
    width: int,
    stride: int,
    *,
    count: Count = _up,
    both: Callable[[Tensor, Tensor], Tensor] = _both,
) -> Tensor:
    """Return the mask as (pictures, rows, columns)."""
    real = count(sizes, stride)
    rows = torch.arange(height // stride) < real[:, :1]
    columns = torch.arange(width // stride) < real[:, 1:]
    return both(rows[:, :, None], columns[:, None])


def _mask(
    sizes: Tensor,
    height: int,
    width: int,
    stride: int,
    *,
    count: Count = _up,
    both: Callable[[Tensor, Tensor], Tensor] = _both,
) -> Tensor:
    """Count the real rows and columns of cells in some way, and lay the cells out row by row."""
    return _grid(sizes, height, width, stride, count=count, both=both).flatten(1)[:, None]


def _exchanged(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    return _mask(sizes.flip(1), height, width, stride)


def _columns_first(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    return _grid(sizes, height, width, stride).mT.flatten(1)[:, None]


def _of_pixels(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    return _mask(sizes, height, width, 1)


def _grid_of_pixels(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    return _grid(sizes, height, width, 1)


def _pixels_on_cells(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Compare the numbers of cells with pixels."""
    return _mask(sizes, height, width, stride, count=lambda pixels, stride: pixels)


def _counted(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Take as many cells as are real, from the first one on."""
    n_real = _up(sizes, stride).prod(1)
    n_cells = (height // stride) * (width // stride)
    return (torch.arange(n_cells) < n_real[:, None])[:, None]


def _counted_by_pixels(sizes: Tensor, height: int, width: int, stride: int) -> Tensor:
    n_cells = (height // stride) * (width // stride)
    return (torch.arange(n_cells) * stride**2 < sizes.prod(1)[:, None])[:, None]


def _cases() -> list[Case]:
    return [
        (torch.tensor([[8, 5], [3, 12]]), 8, 12, 4),
        (torch.tensor([[20, 9], [12, 28], [7, 14]]), 20, 28, 4),
        (torch.tensor([[15, 6], [21, 8], [4, 19], [10, 21], [1, 2]]), 21, 33, 3),
        (torch.tensor([[26, 13], [11, 22], [35, 30]]), 35, 55, 5),  # wider than the widest
    ]


EXERCISE = Exercise(
    number="16.4",
    title="The mask of padded pictures",
    solution=key_mask,
    cases=_cases,
    mistakes=[
        Mistake(
            "of_pixels",
            _of_pixels,
            "You compare pixels where there are cells. The keys are cells, and there are fewer: stride * stride "
            "pixels make one. Bring the sizes to cells first.",
            also=[
                _pixels_on_cells,
                lambda *case: _of_pixels(*case)[:, 0],
                _grid_of_pixels,
            ],
        ),
        Mistake(
            "inverted",
            lambda *case: ~key_mask(*case),
            "True and False have changed places. In this book True means that a query may look there. (What torch "
            "calls key_padding_mask is the other way round.)",
        ),
        Mistake(
            "no_axis_for_queries",
            lambda *case: key_mask(*case)[:, 0],
            "The cells are right, and the shape is not (pictures, 1, cells). Scores have shape (pictures, queries, "
            "cells). Without the 1, pictures would be taken for queries; and rows and columns are one axis there.",
            also=[_grid, lambda *case: _grid(*case)[:, None]],
        ),
        Mistake(
            "height_for_width",
            _exchanged,
            "Height and width have changed places. The first number of a size is the height: it says how many "
            "rows of cells are real.",
        ),
        Mistake(
            "columns_first",
            _columns_first,
            "The cells stand column by column. The keys come row by row, as flatten(1) lays out a tensor of shape "
            "(pictures, rows, columns): the first row from left to right, then the next.",
        ),
        Mistake(
            "counted_from_the_first",
            _counted,
            "You take as many cells as are real, from the first one on. That is right for a text, where padding "
            "comes last. In a picture each row has padding at its right end. Both must be real, row and column.",
            also=[_counted_by_pixels, partial(_mask, both=_one_of_both)],
        ),
        Mistake(
            "cells_in_part_lost",
            partial(_mask, count=_down),
            "A cell that is real in part gets lost: you round down. It sees the edge of the picture, where a part "
            "of a thing may be. Round up: 5 pixels with stride 4 are two cells.",
            also=[partial(_mask, count=_to_the_nearest)],
        ),
        Mistake(
            "one_too_many",
            partial(_mask, count=_one_more),
            "There is a cell too many at an end. Of 8 pixels with stride 4, cells 0 and 1 are real, and cell 2 "
            "begins on pixel 8, which is padding. Round up, and use < and not <=.",
            also=[partial(_mask, count=_one_more_than_up)],
        ),
    ],
    laws=[
        Law("the first cell of every picture is real", lambda out, *case: bool(out[..., 0].all())),
    ],
)
