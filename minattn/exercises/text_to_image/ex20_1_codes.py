"""Exercise 20.1: pictures as codes, and back."""

from collections.abc import Callable
from functools import partial
from math import isqrt

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Cut = Callable[[Tensor, int], Tensor]
"""Makes patches as rows of numbers, (pictures, patches, pixels), of pictures and the side of a patch."""
Choose = Callable[[Tensor, Tensor], Tensor]
"""Chooses a centre for each patch."""
Join = Callable[[Tensor, int, int], Tensor]
"""Makes pictures of patches, of so many pixels in height and width."""


def there_and_back(pictures: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes of each picture in reading order, and the pictures that these codes draw."""
    return _there_and_back(pictures, centres)


def _grid(pictures: Tensor, side: int) -> Tensor:
    """Split height and width: (pictures, rows, pixels down, columns, pixels across)."""
    n, height, width = pictures.shape
    return pictures.reshape(n, height // side, side, width // side, side)


def _cut(pictures: Tensor, side: int) -> Tensor:
    return _grid(pictures, side).transpose(2, 3).reshape(len(pictures), -1, side * side)


def _strips(pictures: Tensor, side: int) -> Tensor:
    return pictures.reshape(len(pictures), -1, side * side)


def _columns_first(pictures: Tensor, side: int) -> Tensor:
    return _grid(pictures, side).permute(0, 3, 1, 2, 4).reshape(len(pictures), -1, side * side)


def _pixels_by_columns(pictures: Tensor, side: int) -> Tensor:
    return _grid(pictures, side).permute(0, 1, 3, 4, 2).reshape(len(pictures), -1, side * side)


def _all_by_columns(pictures: Tensor, side: int) -> Tensor:
    return _cut(pictures.mT, side)


def _join(patches: Tensor, height: int, width: int) -> Tensor:
    side = isqrt(patches.shape[2])
    grid = patches.reshape(-1, height // side, width // side, side, side)
    return grid.transpose(2, 3).reshape(-1, height, width)


def _join_strips(patches: Tensor, height: int, width: int) -> Tensor:
    return patches.reshape(-1, height, width)


def _join_as_read_by_columns(patches: Tensor, height: int, width: int) -> Tensor:
    """Lay the patches out column by column, each as it is."""
    side = isqrt(patches.shape[2])
    grid = patches.reshape(-1, width // side, height // side, side, side)
    return grid.permute(0, 2, 3, 1, 4).reshape(-1, height, width)


def _join_pixels_by_columns(patches: Tensor, height: int, width: int) -> Tensor:
    side = isqrt(patches.shape[2])
    grid = patches.reshape(-1, height // side, width // side, side, side)
    return grid.permute(0, 1, 4, 2, 3).reshape(-1, height, width)


def _distances(patches: Tensor, centres: Tensor) -> Tensor:
    return (patches[:, :, None] - centres).square().sum(-1)


def _nearest(patches: Tensor, centres: Tensor) -> Tensor:
    return _distances(patches, centres).argmin(-1)


def _farthest(patches: Tensor, centres: Tensor) -> Tensor:
    return _distances(patches, centres).argmax(-1)


def _largest_product(patches: Tensor, centres: Tensor) -> Tensor:
    return (patches @ centres.T).argmax(-1)


def _by_city_blocks(patches: Tensor, centres: Tensor) -> Tensor:
    return (patches[:, :, None] - centres).abs().sum(-1).argmin(-1)


def _by_sum_of_differences(patches: Tensor, centres: Tensor) -> Tensor:
    return (patches[:, :, None] - centres).sum(-1).abs().argmin(-1)


def _by_signed_sum(patches: Tensor, centres: Tensor) -> Tensor:
    return (patches[:, :, None] - centres).sum(-1).argmin(-1)


def _there_and_back(
    pictures: Tensor,
    centres: Tensor,
    *,
    cut: Cut = _cut,
    choose: Choose = _nearest,
    join: Join = _join,
) -> tuple[Tensor, Tensor]:
    """Cut pictures into patches, choose a centre for each, and draw the centres, each in some way."""
    codes = choose(cut(pictures, isqrt(centres.shape[1])), centres)
    height, width = pictures.shape[1:]
    return codes, join(centres[codes], height, width)


def _not_drawn(pictures: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Give the pictures back as they came."""
    return there_and_back(pictures, centres)[0], pictures


def _left_as_patches(pictures: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    codes, _ = there_and_back(pictures, centres)
    return codes, centres[codes]


def _cases() -> list[Case]:
    return [
        (numbers(2010, 1, 4, 6), numbers(2011, 5, 4)),
        (numbers(2012, 3, 6, 4), numbers(2013, 7, 4) * 1.5),
        (numbers(2014, 2, 9, 15), numbers(2015, 11, 9)),
        (numbers(2016, 2, 3, 5), numbers(2017, 5, 1)),
    ]


EXERCISE = Exercise(
    number="20.1",
    title="Pictures as codes, and back",
    solution=there_and_back,
    cases=_cases,
    mistakes=[
        Mistake(
            "strips",
            partial(_there_and_back, cut=_strips),
            "Your patches are strips: pixels that follow each other in memory, along one row. A patch takes some "
            "pixels from each of several rows. Split height and width in two each, then bring the two halves of a "
            "patch together.",
            also=[partial(_there_and_back, cut=_strips, join=_join_strips)],
        ),
        Mistake(
            "columns_first",
            partial(_there_and_back, cut=_columns_first),
            "The patches stand column by column. They are written as one reads: along the top row first. The drawing "
            "model learns what stands left of a code and above it, so this order has to be the same everywhere.",
            also=[
                partial(_there_and_back, cut=_columns_first, join=_join_as_read_by_columns),
                partial(_there_and_back, cut=_all_by_columns),
                partial(
                    _there_and_back,
                    cut=_all_by_columns,
                    join=lambda patches, height, width: _join(patches, width, height).mT,
                ),
            ],
        ),
        Mistake(
            "pixels_by_columns",
            partial(_there_and_back, cut=_pixels_by_columns),
            "Inside of a patch the pixels stand column by column. The centres have them row by row, so the two do not "
            "compare the same pixels.",
            also=[partial(_there_and_back, cut=_pixels_by_columns, join=_join_pixels_by_columns)],
        ),
        Mistake(
            "farthest",
            partial(_there_and_back, choose=_farthest),
            "Each patch has the centre that is farthest from it. A distance is to be small: argmin. (A similarity is "
            "to be large, and that would be argmax.)",
        ),
        Mistake(
            "largest_product",
            partial(_there_and_back, choose=_largest_product),
            "You take the centre with the largest product. A long centre has large products with much that is far from "
            "it. Nearest is the one with the least distance: subtract first.",
        ),
        Mistake(
            "other_distance",
            partial(_there_and_back, choose=_by_city_blocks),
            "That is not the distance that was asked for. Square the difference of each pixel, then add. Without "
            "the squares another centre may win; and without any sign dropped, differences cancel.",
            also=[
                partial(_there_and_back, choose=_by_sum_of_differences),
                partial(_there_and_back, choose=_by_signed_sum),
            ],
        ),
        Mistake(
            "drawn_in_strips",
            partial(_there_and_back, join=_join_strips),
            "The codes are right, and the pictures are scrambled. A reshape lays the pixels of a patch along the "
            "top row. Undo the cutting step by step: first the axes in their old order, then the reshape.",
            also=[
                partial(_there_and_back, join=_join_pixels_by_columns),
                partial(_there_and_back, join=_join_as_read_by_columns),
            ],
        ),
        Mistake(
            "not_drawn",
            _not_drawn,
            "The codes are right, and the pictures are not drawn with them. Each patch is replaced by its centre, "
            "centres[codes], and then the patches are put together to pictures.",
            also=[_left_as_patches],
        ),
    ],
    laws=[
        Law(
            "a code is the number of a centre",
            lambda out, pictures, centres: (
                0 <= int(out[0].min()) <= int(out[0].max()) < len(centres)
            ),
        ),
        Law(
            "every pixel that is drawn is a number of some centre",
            lambda out, pictures, centres: bool(torch.isin(out[1], centres).all()),
        ),
    ],
)
