"""Exercise 4.4: added or concatenated."""

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake, numbers


def joined(x: Tensor, p: Tensor, w: Tensor) -> Tensor:
    """Return what a Linear gives that reads token and position side by side."""
    d_x = x.shape[-1]
    return x @ w[:, :d_x].T + p @ w[:, d_x:].T


def _two_parts(x: Tensor, p: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    d_x = x.shape[-1]
    return x @ w[:, :d_x].T, p @ w[:, d_x:].T


def _parts_side_by_side(x: Tensor, p: Tensor, w: Tensor) -> Tensor:
    of_x, of_p = _two_parts(x, p, w)
    return torch.cat([of_x, of_p.expand_as(of_x)], dim=-1)


def _joined_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d_x: int, d_p: int, d_out: int) -> Case:
        return (
            numbers(seed, batch, seq, d_x),
            numbers(seed + 1, seq, d_p),
            numbers(seed + 2, d_out, d_x + d_p),
        )

    return [case(440, 2, 3, 4, 6, 5), case(443, 3, 5, 2, 7, 4), case(446, 5, 2, 7, 3, 11)]


EXERCISE = Exercise(
    number="4.4",
    title="Added or concatenated",
    solution=joined,
    cases=_joined_cases,
    mistakes=[
        Mistake(
            "halves_swapped",
            lambda x, p, w: x @ w[:, p.shape[-1] :].T + p @ w[:, : p.shape[-1]].T,
            "The blocks have changed places: yours is the layer that reads [p, x]. The token comes first, "
            "so the first d_x columns of w are its own.",
        ),
        Mistake(
            "rows_split",
            lambda x, p, w: x @ w[: x.shape[-1]].T + p @ w[x.shape[-1] :].T,
            "You split the rows of w, which are the outputs. Each output reads the whole of [x, p], so it "
            "is the columns that belong to x or to p: w[:, :d_x] and w[:, d_x:].",
            also=[
                lambda x, p, w: x @ w[: x.shape[-1]],
                lambda x, p, w: x @ w.chunk(2, dim=0)[0].T,
                lambda x, p, w: w.split([x.shape[-1], p.shape[-1]]),
            ],
        ),
        Mistake(
            "split_in_the_middle",
            lambda x, p, w: x @ w.chunk(2, dim=1)[0].T,
            "You split w in the middle. The token has d_x columns and the position d_p, and these need not "
            "be equal: x.shape[-1] says where to cut.",
            also=[
                lambda x, p, w: x @ w[:, : w.shape[1] // 2].T,
                lambda x, p, w: F.linear(x, w[:, : w.shape[1] // 2]),
            ],
        ),
        Mistake(
            "cut_at_another_size",
            lambda x, p, w: x @ w[:, : x.shape[1]].T,
            "You cut w after as many columns as there are tokens, or sequences. It is the width of a token, "
            "d_x, that says where: the last axis of x.",
            also=[lambda x, p, w: x @ w[:, : len(x)].T],
        ),
        Mistake(
            "not_transposed",
            lambda x, p, w: x @ w[:, : x.shape[-1]],
            "w has a row for each output, as in nn.Linear, so its blocks are (d_out, d_x) and "
            "(d_out, d_p). A row of x has to meet a row of w: transpose the block.",
            also=[
                lambda x, p, w: w[:, : x.shape[-1]] @ x,
            ],
        ),
        Mistake(
            "one_product",
            lambda x, p, w: x @ w.T,
            "x has d_x features and w has d_x + d_p columns, so they cannot be multiplied. Give x only its "
            "own columns of w.",
            also=[
                lambda x, p, w: F.linear(x, w),
                lambda x, p, w: x @ w,
                lambda x, p, w: w @ x,
            ],
        ),
        Mistake(
            "added_first",
            lambda x, p, w: x + p,
            "x and p are added before they are projected. They have different widths, so they do not even "
            "fit. Project each by its own block of w first; then both have d_out features.",
        ),
        Mistake(
            "concatenated",
            lambda x, p, w: torch.cat([x, p], dim=-1),
            "cat wants the same axes in both, and p has no batch. One could expand p; but the point is to "
            "do without joining them. Which columns of w meet x, and which meet p?",
            also=[lambda x, p, w: torch.cat([x, p[None]], dim=-1)],
        ),
        Mistake(
            "results_concatenated",
            _parts_side_by_side,
            "Both products are right, but they are put side by side, and the result is twice as wide. A "
            "dot product with [x, p] is a sum over the features of x and of p: the two parts are "
            "added.",
        ),
        Mistake(
            "parts_multiplied",
            lambda x, p, w: _two_parts(x, p, w)[0] * _two_parts(x, p, w)[1],
            "Both products are right, but then they are multiplied. A dot product with [x, p] is a sum "
            "over the features of x and of p: the two parts are added.",
        ),
        Mistake(
            "position_left_out",
            lambda x, p, w: _two_parts(x, p, w)[0],
            "The position plays no part. The last d_p columns of w read it.",
        ),
        Mistake(
            "position_by_sequence",
            lambda x, p, w: _two_parts(x, p, w)[0] + _two_parts(x, p, w)[1][:, None],
            "The new axis of p stands at the wrong place: a row of p belongs to a token, and is the same "
            "for every sequence of the batch. Broadcasting puts a missing axis in front by itself.",
            also=[
                lambda x, p, w: torch.stack([joined(x[i], p[i], w) for i in range(len(x))]),
            ],
        ),
        Mistake(
            "averaged",
            lambda x, p, w: joined(x, p, w) / 2,
            "The two parts are averaged. A dot product with [x, p] is their sum.",
        ),
    ],
)
