"""Checkers of the ten-minute check: shapes, a matrix product, a softmax, a gradient."""

import torch
from torch import Tensor

from minattn.exercises.core import Case, Exercise, Law, Mistake, numbers


def differences(a: Tensor, b: Tensor) -> Tensor:
    """Subtract every number of b from every number of a: shape (n, m) from (n,) and (m,)."""
    return a[:, None] - b


SHAPES = Exercise(
    number="0.1",
    title="A table from two lists",
    solution=differences,
    cases=lambda: [
        (torch.tensor([1.0, 4.0]), torch.tensor([0.5, 2.0, 7.0])),
        (numbers(11, 5), numbers(12, 2)),
        (numbers(13, 3), numbers(14, 7)),
    ],
    mistakes=[
        Mistake(
            "paired",
            lambda a, b: a - b,
            "This pairs the first number with the first, the second with the second, and so on. Every "
            "number of a has to meet every number of b. Give a a second axis first: what is the "
            "shape of a[:, None]?",
            also=[
                lambda a, b: a.numpy() - b.numpy(),
                lambda a, b: torch.stack([x - y for x, y in zip(a, b, strict=False)]),
            ],
        ),
        Mistake(
            "transposed",
            lambda a, b: a - b[:, None],
            "The numbers are right, but the table is (m, n): its rows belong to b. The new axis went to "
            "the wrong one of the two.",
        ),
        Mistake(
            "sign",
            lambda a, b: b - a[:, None],
            "Every sign is the wrong way round: this is b minus a.",
        ),
        Mistake(
            "flat",
            lambda a, b: (a[:, None] - b).flatten(),
            "The numbers are right and stand in one long line. A table has two axes: one row for each "
            "number of a.",
        ),
    ],
)


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


LINEAR = Exercise(
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


def softmax(scores: Tensor) -> Tensor:
    """Turn every row of scores, shape (rows, columns), into positive numbers that sum to 1."""
    return scores.softmax(dim=-1)


def _softmax_cases() -> list[Case]:
    return [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, -0.5, 0.5]]),),
        (numbers(5, 3, 2),),
        (numbers(6, 5, 7),),
    ]


SOFTMAX = Exercise(
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
            also=[lambda s: s.abs() / s.abs().sum(-1, keepdim=True)],
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


def gradient(w: Tensor, x: Tensor, y: float) -> Tensor:
    """Return the gradient of (w . x - y) ** 2 with respect to w."""
    return 2 * (w @ x - y) * x


def _gradient_cases() -> list[Case]:
    return [
        (torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0]), 0.5),
        (numbers(7, 3), numbers(8, 3), -1.5),
        (numbers(9, 7), numbers(10, 7), 4.0),
    ]


GRADIENT = Exercise(
    number="0.4",
    title="A gradient",
    solution=gradient,
    cases=_gradient_cases,
    mistakes=[
        Mistake(
            "no_factor_2",
            lambda w, x, y: (w @ x - y) * x,
            "Every number is half of what it should be. The derivative of a square brings down the "
            "exponent; it cancels only where the loss has a factor of one half, and this one has none.",
        ),
        Mistake(
            "sign",
            lambda w, x, y: 2 * (y - w @ x) * x,
            "Every sign is the wrong way round. This is the direction in which the loss falls, the step "
            "of gradient descent. The gradient points to where the loss grows.",
        ),
        Mistake(
            "no_inner_derivative",
            lambda w, x, y: 2 * (w @ x - y),
            "This is the derivative with respect to the prediction w . x, one number. The chain rule has "
            "a second factor: how the prediction moves when w moves. The result has the shape of w.",
            also=[lambda w, x, y: 2 * (w @ x - y) * torch.ones_like(w)],
        ),
        Mistake(
            "with_respect_to_x",
            lambda w, x, y: 2 * (w @ x - y) * w,
            "This is the gradient with respect to x. Here x is given data, and w is what is learned. "
            "Which of the two does the inner derivative leave standing?",
        ),
        Mistake(
            "of_the_prediction",
            lambda w, x, y: x,
            "This is the gradient of the prediction w . x alone. The loss is a square of something, "
            "and the outer derivative is missing.",
        ),
        Mistake(
            "not_summed",
            lambda w, x, y: 2 * (w * x - y) * x,
            "Here y is subtracted from every product w * x by itself. The prediction is their sum, one "
            "number, and so is the error. Where is the sum taken?",
        ),
        Mistake(
            "none",
            lambda w, x, y: w.grad,
            "Your function returned None. Either a return is missing, or w.grad was read before "
            "backward() was called: until then it is None.",
        ),
        Mistake(
            "gradient_not_asked_for",
            lambda w, x, y: (w @ x - y).square().backward(),
            "Autograd was not told to watch w. A tensor records gradients only after requires_grad_(); "
            "do it on a copy of w, before the loss is computed.",
        ),
    ],
    laws=[
        Law(
            "a small step along the gradient makes the loss grow",
            lambda out, w, x, y: bool(((w + 1e-3 * out) @ x - y).square() > (w @ x - y).square()),
        ),
    ],
)

EXERCISES = (SHAPES, LINEAR, SOFTMAX, GRADIENT)
"""The exercises of the ten-minute check."""
