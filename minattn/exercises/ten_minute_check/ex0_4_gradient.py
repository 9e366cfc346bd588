"""Exercise 0.4: a gradient."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def gradient(w: Tensor, x: Tensor, y: float) -> Tensor:
    """Return the gradient of (w . x - y) ** 2 with respect to w."""
    return 2 * (w @ x - y) * x


def _gradient_cases() -> list[Case]:
    return [
        (torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0]), 0.5),
        (numbers(7, 3), numbers(8, 3), -1.5),
        (numbers(9, 7), numbers(10, 7), 4.0),
    ]


EXERCISE = Exercise(
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
