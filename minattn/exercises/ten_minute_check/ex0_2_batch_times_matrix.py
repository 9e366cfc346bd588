"""Exercise 0.2: a batch times a matrix."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake, numbers


def linear(x: Tensor, w: Tensor) -> Tensor:
    """Multiply every row of x, shape (batch, d_in), with w, shape (d_out, d_in)."""
    return x @ w.T


def _linear_cases() -> list[Case]:
    return [
        (
            torch.tensor([[1.0, 2.0], [3.0, 5.0]]),
            torch.tensor([[1.0, 0.5], [2.0, -1.0], [0.0, 4.0]]),
        ),
        (numbers(1, 2, 3), numbers(2, 5, 3)),
        (numbers(3, 7, 5), numbers(4, 3, 5)),
    ]


EXERCISE = Exercise(
    number="0.2",
    title="A batch times a matrix",
    solution=linear,
    cases=_linear_cases,
    mistakes=[
        Mistake(
            "not_transposed",
            lambda x, w: x @ w,
            "This looks like x @ w as they stand. A matrix product pairs the last axis of the first "
            "with the last but one of the second, and these two differ in size. Write both shapes "
            "side by side and see which axis of w has the size d_in.",
            also=[lambda x, w: x.numpy() @ w.numpy(), lambda x, w: torch.mm(x, w)],
        ),
        Mistake(
            "result_transposed",
            lambda x, w: w @ x.T,
            "The numbers are right and stand the wrong way round: your result is (d_out, batch). The "
            "first axis of a batch stays the batch. Which of the two has to come first in the product?",
        ),
        Mistake(
            "reshaped",
            lambda x, w: x @ w.reshape(w.shape[1], w.shape[0]),
            "This looks like reshape (or view) where a transpose is needed. Both give the shape "
            "(d_in, d_out), but reshape only cuts the numbers into new rows in their old order. Print a "
            "small w both ways and compare.",
        ),
        Mistake(
            "elementwise",
            lambda x, w: x[:, None] * w[None],
            "The products are all there, in shape (batch, d_out, d_in), but nothing is added up. An "
            "entry of a matrix product is a sum over the axis that both have in common.",
        ),
    ],
)
