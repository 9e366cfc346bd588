"""Exercise 15.3: does a word look at its thing?"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Compare = Callable[[Tensor, Tensor], Tensor]

SEEDS = (1038, 1146, 1482)
"""Chosen so that no two mistakes give the same shares."""


def share_pointing(
    weights: Tensor, boxes: Tensor, thing: Tensor, n_columns: int, stride: int
) -> float:
    """Return the share of naming words whose largest weight lies in the box of what they name."""
    return _share(weights, boxes, thing, n_columns, stride)


def _inside(
    weights: Tensor,
    boxes: Tensor,
    n_columns: int,
    stride: int,
    *,
    offset: float = 0.5,
    exchanged: bool = False,
    from_start: Compare = torch.ge,
    to_end: Compare = torch.lt,
) -> Tensor:
    """Tell for each cell whether its place lies in a box, (batch, things, cells).

    Args:
        weights: (batch, words, cells).
        boxes: x0, y0, x1 and y1 of each thing.
        n_columns: of the grid.
        stride: how many pixels a cell is wide and high.
        offset: where in the cell its place is; 0.5 is the centre.
        exchanged: whether x and y have changed places.
        from_start: how a place is compared with the start of a box.
        to_end: and with the end.
    """
    cell = torch.arange(weights.shape[-1])
    x, y = (cell % n_columns + offset) * stride, (cell // n_columns + offset) * stride
    if exchanged:
        x, y = y, x
    x0, y0, x1, y1 = boxes[..., None].unbind(2)
    return from_start(x, x0) & to_end(x, x1) & from_start(y, y0) & to_end(y, y1)


def _touched(weights: Tensor, boxes: Tensor, n_columns: int, stride: int) -> Tensor:
    """Tell for each cell whether any part of its tile lies in a box."""
    wider = boxes + torch.tensor([-stride, -stride, 0, 0])
    return _inside(weights, wider, n_columns, stride, offset=0, from_start=torch.gt)


def _in_whole_cells(weights: Tensor, boxes: Tensor, n_columns: int, stride: int) -> Tensor:
    """Round the boxes to cells."""
    return _inside(weights, boxes // stride, n_columns, 1, offset=0)


def _share(
    weights: Tensor,
    boxes: Tensor,
    thing: Tensor,
    n_columns: int,
    stride: int,
    *,
    inside: Callable[..., Tensor] = _inside,
    read: str = "largest",
    own: bool = True,
    average: str = "naming",
    **way: object,
) -> float:
    """Score the weights in some way.

    Args:
        weights: (batch, words, cells).
        boxes: (batch, things, 4).
        thing: (batch, words), which thing a word names; -1 where it names none.
        n_columns: of the grid.
        stride: how many pixels a cell is wide and high.
        inside: which cells lie in which box.
        read: what is read from the weights: the largest, all as large as the largest, or their mass.
        own: whether the box has to be that of the thing named.
        average: over the words that name something, over all words, or picture by picture; or with words that
            name nothing taken for right.
        **way: how inside does it.
    """
    found = inside(weights, boxes, n_columns, stride, **way)
    if own:
        right = found.gather(1, (thing % boxes.shape[1])[..., None].expand_as(weights))
    else:
        right = found.any(1, keepdim=True).expand_as(weights)
    if read == "mass":
        score = (weights * right).sum(-1)
    elif read == "ties":
        score = (right & (weights == weights.amax(-1, keepdim=True))).any(-1).float()
    else:
        score = right.gather(-1, weights.argmax(-1, keepdim=True))[..., 0].float()
    named = thing >= 0
    if average == "pictures":
        return ((score * named).sum(1) / named.sum(1)).mean().item()
    if average == "all":
        return (score * named).mean().item()
    if average == "last thing":
        return score.mean().item()
    if average == "right":
        return score.masked_fill(~named, 1.0).mean().item()
    return score[named].mean().item()


def _case(
    seed: int, grid: tuple[int, int], stride: int, n_things: int, thing: list[list[int]]
) -> Case:
    """Make weights that mostly point at the right box, but for ties and other cells."""
    random = np.random.default_rng(seed)
    n_rows, n_columns = grid
    corners = random.integers(0, (n_columns - 2, n_rows - 2), (len(thing), n_things, 2)) * stride
    corners += random.integers(0, stride, corners.shape)
    boxes = np.concatenate(
        [corners, corners + random.integers(stride, 2 * stride, corners.shape)], -1
    )
    scores = numbers(seed, len(thing), len(thing[0]), n_rows * n_columns) / 4
    for picture, row, words in zip(boxes, scores, thing, strict=True):
        for number, word in zip(words, row, strict=True):
            x0, y0, x1, y1 = picture[random.integers(n_things) if random.random() < 0.3 else number]
            cell = (y0 + y1) // 2 // stride * n_columns + (x0 + x1) // 2 // stride
            word[cell] = 2.0
            if random.random() < 0.4:  # as large, and nearly always elsewhere
                word[int(random.integers(len(word)))] = 2.0
            if random.random() < 0.1:
                word.zero_()
    return (
        scores.softmax(-1),
        torch.from_numpy(boxes).float(),
        torch.tensor(thing),
        n_columns,
        stride,
    )


def _cases() -> list[Case]:
    scores = torch.tensor([[[0.1, 0.4, 1.6, 0.3, 0.2, 0.5], [0.3, 0.1, 0.2, 0.4, 0.5, 1.8]]])
    boxes = torch.tensor([[[8.0, 0.0, 12.0, 3.0], [1.0, 3.0, 7.0, 8.0]]])
    return [
        (scores.softmax(-1), boxes, torch.tensor([[0, 1]]), 3, 4),
        _case(SEEDS[0], (5, 7), 4, 2, [[0, -1, 1, -1, -1], [1, 0, -1, 0, 1], [-1, -1, -1, 1, -1]]),
        _case(SEEDS[1], (7, 5), 6, 3, [[0, -1, 1, -1, 2, -1, 0], [1, -1, -1, -1, -1, -1, -1]]),
        _case(
            SEEDS[2], (3, 11), 4, 2, [[-1, 1, -1], [0, -1, 1], [1, 0, 1], [1, -1, -1], [0, 1, -1]]
        ),
    ]


EXERCISE = Exercise(
    number="15.3",
    title="Does a word look at its thing?",
    solution=share_pointing,
    cases=_cases,
    mistakes=[
        Mistake(
            "words_of_nothing_counted",
            partial(_share, average="all"),
            "Words that name nothing are counted: as wrong, as right, or as the last thing, since -1 is an index "
            "too. There is no box that *and* could point at. Leave these words out, above and below the line.",
            also=[partial(_share, average="last thing"), partial(_share, average="right")],
        ),
        Mistake(
            "any_box",
            partial(_share, own=False),
            "Any box will do for you. A word that looks at the wrong thing is counted as right: a map that rests "
            "on one thing for the whole caption would get full marks. Take the box of the thing that it names.",
            also=[partial(_share, own=False, average="all")],
        ),
        Mistake(
            "x_and_y_exchanged",
            partial(_share, exchanged=True),
            "x and y have changed places. x goes to the right, and it is the column that tells it, the rest "
            "cell % n_columns. Boxes have x first, and tensors have the row first.",
        ),
        Mistake(
            "not_the_centre",
            partial(_share, offset=0.0),
            "You do not go by the centre of the cell: by its corner, or by whether it touches the box, or boxes "
            "are rounded to cells. The centre of column 3 is at 3.5 * stride pixels.",
            also=[
                partial(_share, offset=1.0),
                partial(_share, inside=_touched),
                partial(_share, inside=_in_whole_cells),
            ],
        ),
        Mistake(
            "end_counted",
            partial(_share, to_end=torch.le),
            "One end of a box is on the wrong side. A box of x from 2 to 6 holds the pixels 2, 3, 4 and 5: a "
            "centre at 2 is inside, one at 6 is not. So start <= x < end, and y likewise.",
            also=[
                partial(_share, from_start=torch.gt),
                partial(_share, from_start=torch.gt, to_end=torch.le),
            ],
        ),
        Mistake(
            "ties_forgiven",
            partial(_share, read="ties"),
            "Where several cells have the largest weight, you are content with one of them in the box. Equal "
            "weights everywhere, which point at nothing, would be always right. Take the first of them, as "
            "argmax does.",
        ),
        Mistake(
            "mass",
            partial(_share, read="mass"),
            "You add up the weight inside the box. That is a good measure too, and another one: here the question "
            "is where the largest weight lies, and a word is right or wrong.",
        ),
        Mistake(
            "picture_by_picture",
            partial(_share, average="pictures"),
            "You average over pictures what was averaged over words. A picture with one thing then counts as much "
            "as one with three. Add up all words first, and divide once.",
        ),
    ],
    laws=[
        Law("the share is between 0 and 1", lambda out, *case: 0 <= out <= 1),
        Law(
            "the share is a whole number of words, divided by the words that name something",
            lambda out, weights, boxes, thing, *rest: (
                abs(out * (thing >= 0).sum() - round(out * int((thing >= 0).sum()))) < 1e-4
            ),
        ),
    ],
)
