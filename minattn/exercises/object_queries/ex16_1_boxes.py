"""Exercise 16.1: boxes against boxes."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

Form = Callable[[Tensor], Tensor]
"""Turns boxes of one form into corners."""
Divisor = Callable[[Tensor, Tensor, Tensor], Tensor]
"""What the overlap is divided by, from the areas (n, 1) and (1, m) and the overlap (n, m)."""


def iou(predicted: Tensor, true: Tensor, height: int, width: int) -> Tensor:
    """Return the overlap of every predicted box with every true one, divided by their union."""
    return _iou(predicted, true, height, width)


def _from_centres(boxes: Tensor) -> Tensor:
    centre, size = boxes[:, :2], boxes[:, 2:]
    return torch.cat([centre - size / 2, centre + size / 2], 1)


def _as_they_are(boxes: Tensor) -> Tensor:
    return boxes


def _from_first_corner(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def _whole_size(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2] - boxes[:, 2:], boxes[:, :2] + boxes[:, 2:]], 1)


def _only_one_half(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:]], 1)


def _rows_first(boxes: Tensor) -> Tensor:
    return _from_centres(boxes[:, [1, 0, 3, 2]])


def _x_by_width(height: int, width: int) -> list[int]:
    return [width, height, width, height]


def _x_by_height(height: int, width: int) -> list[int]:
    return [height, width, height, width]


def _sizes_exchanged(height: int, width: int) -> list[int]:
    return [width, height, height, width]


def _nothing(height: int, width: int) -> list[int]:
    return [1, 1, 1, 1]


def _each_side(sides: Tensor) -> Tensor:
    return sides.clamp(min=0).prod(-1)


def _product(sides: Tensor) -> Tensor:
    return sides.prod(-1).clamp(min=0)


def _unclamped(sides: Tensor) -> Tensor:
    return sides.prod(-1)


def _unsigned(sides: Tensor) -> Tensor:
    return sides.abs().prod(-1)


def _union(area: Tensor, other: Tensor, overlap: Tensor) -> Tensor:
    return area + other - overlap


def _iou(
    predicted: Tensor,
    true: Tensor,
    height: int,
    width: int,
    *,
    form: Form = _from_centres,
    true_form: Form = _as_they_are,
    scale: Callable[[int, int], list[int]] = _x_by_width,
    overlap: Form = _each_side,
    divisor: Divisor = _union,
    more: tuple[int, int] = (0, 0),
) -> Tensor:
    """Divide overlaps by unions, each step done in some way.

    Args:
        predicted: boxes by centre and size, in parts of the picture.
        true: boxes by corners, in pixels.
        height: of the picture.
        width: of the picture.
        form: how corners are made of the predicted boxes.
        true_form: how corners are made of the true ones.
        scale: what the four numbers of a predicted box are multiplied by.
        overlap: how an area is made of the two sides of the overlap.
        divisor: what it is divided by.
        more: pixels added to each side of the overlap, and of the boxes.
    """
    a = form(predicted * torch.tensor(scale(height, width)))
    b = true_form(true)
    sides = torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])
    shared = overlap(sides + more[0])  # (predicted, true)
    areas = ((boxes[:, 2:] - boxes[:, :2] + more[1]).prod(1) for boxes in (a, b))
    area, other = areas
    return shared / divisor(area[:, None], other, shared)


def _divided(divisor: Divisor) -> Answer:
    return partial(_iou, divisor=divisor)


def _case(height: int, width: int, predicted: list[list[float]], true: list[list[int]]) -> Case:
    boxes = torch.tensor(true, dtype=torch.float32).view(-1, 4)
    return torch.tensor(predicted), boxes, height, width


def _cases() -> list[Case]:
    return [
        _case(20, 40, [[0.25, 0.5, 0.2, 0.4]], [[9, 5, 17, 16]]),
        _case(  # the second is diagonal to both
            30,
            50,
            [[0.34, 0.4, 0.26, 0.3], [0.62, 0.7, 0.14, 0.2], [0.12, 0.23, 0.22, 0.44]],
            [[10, 6, 23, 19], [0, 0, 11, 14]],
        ),
        _case(
            60,
            40,
            [
                [0.4, 0.3, 0.3, 0.2],
                [0.55, 0.8, 0.25, 0.15],
                [0.35, 0.35, 0.2, 0.3],
                [0.8, 0.1, 0.3, 0.12],
                [0.6, 0.75, 0.4, 0.3],
            ],
            [[11, 13, 22, 27], [17, 41, 29, 53], [26, 2, 39, 11]],
        ),
        _case(30, 20, [[0.3, 0.6, 0.2, 0.1], [0.7, 0.2, 0.35, 0.3]], []),
    ]


EXERCISE = Exercise(
    number="16.1",
    title="Boxes against boxes",
    solution=iou,
    cases=_cases,
    mistakes=[
        Mistake(
            "centres_as_corners",
            partial(_iou, form=_as_they_are),
            "One form is read as the other. A predicted box is a centre, then width and height; a true box is two "
            "corners. From the centre to a side is half of the size: x0 = cx - w / 2, x1 = cx + w / 2.",
            also=[
                partial(_iou, form=_from_first_corner),
                partial(_iou, true_form=_from_centres),
                partial(_iou, form=_as_they_are, true_form=_from_centres),
            ],
        ),
        Mistake(
            "whole_size_each_side",
            partial(_iou, form=_whole_size),
            "Your boxes are too large. The centre lies in the middle, so only half of the width is on either side "
            "of it, and half of the height.",
            also=[partial(_iou, form=_only_one_half)],
        ),
        Mistake(
            "height_for_width",
            partial(_iou, scale=_x_by_height),
            "Height and width, or x and y, have changed places. Sizes of pictures come as (height, width), boxes "
            "as (x, y): x and the width of a box are parts of the picture's width.",
            also=[partial(_iou, scale=_sizes_exchanged), partial(_iou, form=_rows_first)],
        ),
        Mistake(
            "parts_against_pixels",
            partial(_iou, scale=_nothing),
            "You compare parts of the picture with pixels. 0.25 of a width of 40 is pixel 10. Bring both to one "
            "unit before you compare.",
        ),
        Mistake(
            "negative_overlap",
            partial(_iou, overlap=_unclamped),
            "Boxes that do not touch get an overlap. The sides of it are negative then, and minus times minus is "
            "plus. Set each side to at least 0 before you multiply; a clamp of the product comes too late.",
            also=[partial(_iou, overlap=_product), partial(_iou, overlap=_unsigned)],
        ),
        Mistake(
            "union_not_subtracted",
            _divided(lambda area, other, overlap: area + other),
            "You divide by the sum of both areas. The overlap is in it twice, so a box with itself would give a "
            "half. Take the overlap away once: that is the union.",
        ),
        Mistake(
            "other_divisor",
            _divided(lambda area, other, overlap: other + 0 * overlap),
            "You divide by the area of one box alone. Then a predicted box as large as the picture covers all and "
            "looks perfect, or a tiny one inside does. Divide by the union of the two.",
            also=[
                _divided(lambda area, other, overlap: area + 0 * overlap),
                _divided(lambda area, other, overlap: torch.minimum(area, other)),
                _divided(lambda area, other, overlap: torch.maximum(area, other)),
            ],
        ),
        Mistake(
            "plus_one",
            partial(_iou, more=(1, 1)),
            "You add 1 to the sides. That is for ends that are inside, the number of the last pixel. Here x1 and "
            "y1 are the ends themselves: a box from 6 to 14 is 8 wide.",
            also=[partial(_iou, more=(1, 0)), partial(_iou, more=(0, 1))],
        ),
    ],
    laws=[
        Law(
            "an IoU lies between 0 and 1", lambda out, *case: bool(((out >= 0) & (out <= 1)).all())
        ),
    ],
)
