"""Exercise 19.2: captions that are twice in a batch."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

LeaveOut = Callable[[Tensor, Tensor], Tensor]
"""Takes scores and which of them are to be left out, and returns the scores that are left."""


def loss_without_doubles(scores: Tensor, captions: Tensor) -> Tensor:
    """Return the loss of both directions, in which another pair with the same caption is no wrong answer."""
    return _loss(scores, captions)


def _never(scores: Tensor, double: Tensor) -> Tensor:
    return scores.masked_fill(double, -torch.inf)


def _not_at_all(scores: Tensor, double: Tensor) -> Tensor:
    return scores


def _zeros(scores: Tensor, double: Tensor) -> Tensor:
    return scores.masked_fill(double, 0.0)


def _all_alike(same: Tensor) -> Tensor:
    return same


def _others_alike(same: Tensor) -> Tensor:
    return same & ~torch.eye(len(same), dtype=torch.bool)


def _others_unlike(same: Tensor) -> Tensor:
    return ~same


def _later_ones_alike(same: Tensor) -> Tensor:
    return same.triu(1)


def _earlier_ones_alike(same: Tensor) -> Tensor:
    return same.tril(-1)


def _loss(
    scores: Tensor,
    captions: Tensor,
    *,
    doubles: Callable[[Tensor], Tensor] = _others_alike,
    rows: LeaveOut = _never,
    columns: LeaveOut = _never,
    directions: tuple[bool, ...] = (False, True),
) -> Tensor:
    """Leave some pairs out, in some way, and average the loss over the directions.

    Args:
        scores: of (pictures, captions).
        captions: a number for each; equal captions have the same one.
        doubles: says which pairs to leave out, from those with the same caption.
        rows: how they are left out where pictures choose.
        columns: how they are left out where captions choose.
        directions: False for pictures that choose, True for captions.
    """
    double = doubles(captions == captions[:, None])
    right = torch.arange(len(scores))
    losses = [
        F.cross_entropy(columns(scores.T, double.T) if turned else rows(scores, double), right)
        for turned in directions
    ]
    return torch.stack(losses).mean()


def _first_ones_only(scores: Tensor, captions: Tensor) -> Tensor:
    """Throw away every pair whose caption was there before."""
    known = captions.tolist()
    first = torch.tensor([known.index(caption) == i for i, caption in enumerate(known)])
    return _loss(scores[first][:, first], captions[first])


def _shared(scores: Tensor, captions: Tensor) -> Tensor:
    """Give all pairs with the same caption an equal share of the target."""
    same = (captions == captions[:, None]).float()
    share = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(scores, share) + F.cross_entropy(scores.T, share)) / 2


def _any_of_them(scores: Tensor, captions: Tensor) -> Tensor:
    """Count the probability of all pairs with the same caption."""
    other = captions != captions[:, None]
    rows, columns = (
        -x.log_softmax(1).masked_fill(other, -torch.inf).logsumexp(1) for x in (scores, scores.T)
    )
    return (rows + columns).mean() / 2


def _cases() -> list[Case]:
    captions = [
        [4, 1, 4],
        [3, 0, 3, 5, 0],
        [2, 2, 6, 1, 2, 6, 0],
        [1, 0, 2],
        [5, 5],
    ]
    return [
        (numbers(1920 + i, len(ids), len(ids)), torch.tensor(ids)) for i, ids in enumerate(captions)
    ]


EXERCISE = Exercise(
    number="19.2",
    title="The same caption twice",
    solution=loss_without_doubles,
    cases=_cases,
    mistakes=[
        Mistake(
            "doubles_counted",
            partial(_loss, doubles=torch.zeros_like),
            "Every other pair still counts as wrong. If two pictures are told by the same words, each is punished for "
            "being near to the words of the other, which are its own. Leave these pairs out.",
        ),
        Mistake(
            "diagonal_gone",
            partial(_loss, doubles=_all_alike),
            "The right pair is left out too: every caption is the same as itself. With a score of -inf its probability "
            "is 0, and the loss infinite. Keep the diagonal: `same & ~torch.eye(n, dtype=torch.bool)`.",
        ),
        Mistake(
            "inverted",
            partial(_loss, doubles=_others_unlike),
            "You keep the pairs with the same caption and leave the others out. Then nothing is there that the right "
            "one has to be told from. Leave out those that are the same.",
        ),
        Mistake(
            "zero_is_a_score",
            partial(_loss, rows=_zeros, columns=_zeros),
            "The doubles have a score of 0. That is a score like any other, and exp(0) is 1: they still count as "
            "wrong answers. What is left out has the score -inf.",
        ),
        Mistake(
            "one_way_only",
            partial(_loss, columns=_not_at_all),
            "The doubles are left out in one direction only. If a caption is there twice, it has two right pictures, "
            "just as its pictures have two right captions. Do it for rows and for columns.",
            also=[
                partial(_loss, rows=_not_at_all),
                partial(_loss, directions=(False,)),
                partial(_loss, directions=(True,)),
                partial(_loss, doubles=_later_ones_alike),
                partial(_loss, doubles=_earlier_ones_alike),
            ],
        ),
        Mistake(
            "thrown_away",
            _first_ones_only,
            "Pairs whose caption was there before are gone altogether. Their pictures have something to learn, and so "
            "have the others, which are to be told from them. Leave out single scores, and no rows and columns.",
        ),
        Mistake(
            "counted_as_right",
            _shared,
            "The doubles count as right answers here. That is another loss, and not a bad one. Asked for is that they "
            "count as neither: right is the diagonal, wrong is what has another caption.",
            also=[_any_of_them],
        ),
    ],
    laws=[
        Law(
            "where all captions are the same, nothing is wrong, and the loss is 0",
            lambda out, scores, captions: len(captions.unique()) > 1 or abs(float(out)) < 1e-6,
        ),
        Law("a loss is never below 0", lambda out, *case: float(out) >= -1e-6),
    ],
)
