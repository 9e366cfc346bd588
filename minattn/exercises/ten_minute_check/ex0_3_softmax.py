"""Exercise 0.3: a softmax."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def softmax(scores: Tensor) -> Tensor:
    """Turn every row of scores, shape (rows, columns), into positive numbers that sum to 1."""
    return scores.softmax(dim=-1)


def _softmax_cases() -> list[Case]:
    return [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, -0.5, 0.5]]),),
        (numbers(5, 3, 2),),
        (numbers(6, 5, 7),),
    ]


EXERCISE = Exercise(
    number="0.3",
    title="A softmax",
    solution=softmax,
    cases=_softmax_cases,
    mistakes=[
        Mistake(
            "no_exp",
            lambda s: s / s.sum(-1, keepdim=True),
            "This looks like the scores divided by their sum, without the exponential. A score may be "
            "negative, and then so is your result. Look at the numerator of the formula.",
        ),
        Mistake(
            "sizes",
            lambda s: s.abs() / s.abs().sum(-1, keepdim=True),
            "This looks like the sizes of the scores divided by their sum, without the exponential. So -2 "
            "counts as much as 2, where it should count least. Look at the numerator of the formula.",
        ),
        Mistake(
            "wrong_axis",
            lambda s: s.softmax(0),
            "This is a softmax down the columns. Sum your result over each axis and see which sums "
            "are 1. The numbers that compete stand in one row.",
        ),
        Mistake(
            "whole_matrix",
            lambda s: s.exp() / s.exp().sum(),
            "This divides by one sum over the whole matrix, so all of it together sums to 1. Each row "
            "needs a sum of its own. Look at the arguments of sum.",
        ),
        Mistake(
            "no_keepdim",
            lambda s: s.exp() / s.exp().sum(-1),
            "The sums have lost their axis: dividing (rows, columns) by (rows,) lines the sums up with "
            "the columns. Look up keepdim in the documentation of sum.",
            also=[lambda s: s.numpy() / s.exp().numpy().sum(-1)],
        ),
        Mistake(
            "not_normalised",
            lambda s: s.exp(),
            "These are the exponentials alone. They are positive, but a row does not sum to 1 yet.",
        ),
        Mistake(
            "log",
            lambda s: s.log_softmax(-1),
            "These are the logarithms of the right numbers, as log_softmax gives them for a loss. A "
            "weight lies between 0 and 1; yours are all negative.",
        ),
    ],
    laws=[
        Law("every number is positive", lambda out, s: bool((out > 0).all())),
        Law(
            "every row sums to 1",
            lambda out, s: torch.allclose(out.sum(-1), torch.ones(len(s)), atol=1e-4),
        ),
        Law(
            "in every row, the larger score gets the larger number",
            lambda out, s: torch.equal(out.argsort(-1), s.argsort(-1)),
        ),
    ],
)
