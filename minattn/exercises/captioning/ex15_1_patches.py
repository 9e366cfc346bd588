"""Exercise 15.1: from pictures to patches."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Fill = Callable[[int, int], int]


def patches(pictures: Tensor, size: int) -> Tensor:
    """Return the patches of each picture in reading order, a token for each."""
    return _cut(pictures, size)


def _to_fill(length: int, size: int) -> int:
    return -length % size


def _always_some(length: int, size: int) -> int:
    return size - length % size


def _none_left(length: int, size: int) -> int:
    return -(length % size)


def _cut(
    pictures: Tensor,
    size: int,
    *,
    order: tuple[int, ...] = (0, 1, 3, 2, 4, 5),
    exchanged: bool = False,
    fill: Fill = _to_fill,
    in_front: float = 0.0,
) -> Tensor:
    """Cut pictures in some way.

    Args:
        pictures: (batch, height, width, channels).
        size: the height and width of a patch.
        order: the axes batch, row of patches, row in the patch, column of patches, column in the patch and
            channel, as they come in the tokens.
        exchanged: whether there are said to be as many rows of patches as there are columns, and the reverse.
        fill: how many rows or columns come on; below 0, go.
        in_front: which share of them.
    """
    sides = []
    for length in (pictures.shape[2], pictures.shape[1]):
        n = fill(length, size)
        before = int(n * in_front)
        sides += [before, n - before]
    x = F.pad(pictures, (0, 0, *sides))
    batch, height, width, channels = x.shape
    n_rows, n_columns = height // size, width // size
    if exchanged:
        n_rows, n_columns = n_columns, n_rows
    x = x.reshape(batch, n_rows, size, n_columns, size, channels).permute(order)
    return x.reshape(batch, n_rows * n_columns, size * size * channels)


def _reshaped_to_channels_first(pictures: Tensor, size: int) -> Tensor:
    """Take the numbers for those of a picture with the channels first, and cut that."""
    batch, height, width, channels = pictures.shape
    x = pictures.reshape(batch, channels, height, width)
    return _cut(x.permute(0, 2, 3, 1), size)


def _reshaped_and_unfolded(pictures: Tensor, size: int) -> Tensor:
    batch, height, width, channels = pictures.shape
    x = pictures.reshape(batch, channels, height, width)
    return _cut(x.permute(0, 2, 3, 1), size, order=(0, 1, 3, 5, 2, 4))


def _cases() -> list[Case]:
    return [
        (numbers(1510, 1, 2, 4, 3), 2),
        (numbers(1511, 2, 6, 9, 3), 3),
        (numbers(1512, 3, 10, 4, 3), 2),
        (numbers(1513, 2, 7, 11, 3), 3),  # neither side is a multiple
        (numbers(1514, 1, 5, 13, 3), 5),
        (numbers(1515, 2, 11, 14, 3), 7),
    ]


EXERCISE = Exercise(
    number="15.1",
    title="From pictures to patches",
    solution=patches,
    cases=_cases,
    mistakes=[
        Mistake(
            "plain_reshape",
            partial(_cut, order=(0, 1, 2, 3, 4, 5)),
            "A token holds pixels that lie side by side in memory: pieces of rows of the whole picture. A reshape "
            "keeps the order of the numbers. First give the row in the patch and the column of patches axes of "
            "their own, then exchange these two.",
        ),
        Mistake(
            "height_for_width",
            partial(_cut, exchanged=True),
            "The numbers of rows and of columns have changed places. Pictures have the height first: (batch, "
            "height, width, 3), so there are height / size rows of patches. In a square picture nobody sees it.",
            also=[partial(_cut, exchanged=True, order=(0, 3, 1, 2, 4, 5))],
        ),
        Mistake(
            "by_columns",
            partial(_cut, order=(0, 3, 1, 2, 4, 5)),
            "The patches come column by column. Reading order goes along the first row of patches, then along the "
            "second. Whoever draws the weights as a grid later would see them mirrored at the diagonal.",
            also=[partial(_cut, order=(0, 3, 1, 4, 2, 5))],
        ),
        Mistake(
            "transposed_inside",
            partial(_cut, order=(0, 1, 3, 4, 2, 5)),
            "The patches come in the right order, but each one is mirrored at its diagonal: its pixels are read "
            "down the columns. In a patch, too, the row comes before the column.",
        ),
        Mistake(
            "channels_outside",
            partial(_cut, order=(0, 1, 3, 5, 2, 4)),
            "In your tokens all the red comes first, then the green, then the blue, as F.unfold gives it. Here the "
            "three numbers of a pixel stay side by side: the channel is the last axis.",
            also=[partial(_cut, order=(0, 3, 1, 5, 2, 4)), partial(_cut, order=(0, 1, 3, 5, 4, 2))],
        ),
        Mistake(
            "channels_mixed",
            _reshaped_and_unfolded,
            "To put the channels first you reshape or view. That does not move any number: pixels are cut up, and "
            "the red of one is taken for the green of another. Axes are moved by permute or movedim.",
            also=[_reshaped_to_channels_first],
        ),
        Mistake(
            "rest_lost",
            partial(_cut, fill=_none_left),
            "Where the size does not divide, what is left at the right and at the bottom gets lost. Of 7 rows, "
            "patches of 3 need 9: fill up with zeros before you cut. -7 % 3 is 2.",
            also=[partial(_cut, fill=_none_left, order=(0, 1, 3, 5, 2, 4))],
        ),
        Mistake(
            "filled_elsewhere",
            partial(_cut, in_front=1.0),
            "There are zeros at the left or at the top, or a whole row of patches of zeros. Fill at the right and "
            "at the bottom only, and only what is missing to the next multiple: nothing, where the size divides.",
            also=[partial(_cut, in_front=0.5), partial(_cut, fill=_always_some)],
        ),
    ],
    laws=[
        Law(
            "the tokens hold all numbers of the pictures, and zeros",
            lambda out, pictures, size: torch.allclose(
                out.abs().sum(), pictures.abs().sum(), atol=1e-3
            ),
        ),
        Law(
            "the first token begins with the pixel at the top left",
            lambda out, pictures, size: torch.allclose(out[:, 0, :3], pictures[:, 0, 0]),
        ),
    ],
)
