"""Ways to take one step of AdamW, right and wrong, for exercise 7.2."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, numbers

Means = tuple[Tensor, Tensor]
Betas = tuple[float, float]


def adamw_step(
    w: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    highest: float,
    warm_up: int,
    betas: Betas,
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights and the two running means after one step; the rate rises during the warm-up."""
    rate = warmed_up(step, highest, warm_up)
    m, v = running(m, v, gradient, betas)
    mean, square = m / correction(betas[0], step), v / correction(betas[1], step)
    return w - rate * (divided(mean, square, eps) + weight_decay * w), m, v


def warmed_up(step: int, highest: float, warm_up: int) -> float:
    """Return the learning rate of a step."""
    return highest * min(1.0, step / warm_up)


def running(m: Tensor, v: Tensor, g: Tensor, betas: Betas) -> Means:
    """Return the running means of the gradient and of its square."""
    return betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g.square()


def correction(beta: float, step: int) -> float:
    """Return what a running mean that began at 0 has too little: a share to divide by."""
    return 1 - beta**step


def divided(mean: Tensor, square: Tensor, eps: float) -> Tensor:
    """Return the direction of a step, from the corrected means."""
    return mean / (square.sqrt() + eps)


def decoupled(w: Tensor, direction: Tensor, rate: float, decay: float) -> Tensor:
    """Return the weights after a step that shrinks them by a share of their own."""
    return w - rate * direction - rate * decay * w


def stepped(
    *,
    rate: Callable[[int, float, int], float] = warmed_up,
    take: Callable[[Betas], Betas] = lambda betas: betas,
    see: Callable[[Tensor, Tensor, float, float], Tensor] = lambda g, w, rate, decay: g,
    means: Callable[[Tensor, Tensor, Tensor, Betas], Means] = running,
    used: Callable[[Means, Means, Tensor], Means] = lambda new, old, g: new,
    correct: tuple[Callable[[float, int], float], Callable[[float, int], float]] = (
        correction,
        correction,
    ),
    direct: Callable[[Tensor, Tensor, float], Tensor] = divided,
    move: Callable[[Tensor, Tensor, float, float], Tensor] = decoupled,
    back: Callable[[Tensor, Means, Means], Any] = lambda w, new, corrected: (w, *new),
) -> Answer:
    """Make an answer that goes another way in some place.

    Args:
        rate: the learning rate of a step.
        take: the betas, from those given.
        see: the gradient that the means are made of.
        means: the running means.
        used: which means the step is made of: from the new ones, the old ones and the gradient.
        correct: by what the two means are divided.
        direct: the direction of the step, from the corrected means.
        move: the new weights.
        back: what is returned, from the weights, the new means and the corrected ones.
    """

    def answer(
        w: Tensor,
        gradient: Tensor,
        m: Tensor,
        v: Tensor,
        step: int,
        highest: float,
        warm_up: int,
        betas: Betas,
        eps: float,
        weight_decay: float,
    ) -> Any:
        lr, betas = rate(step, highest, warm_up), take(betas)
        g = see(gradient, w, lr, weight_decay)
        new = means(m, v, g, betas)
        mean, square = used(new, (m, v), g)
        mean = mean / torch.tensor(correct[0](betas[0], step))
        square = square / torch.tensor(correct[1](betas[1], step))
        w = move(w, direct(mean, square, eps), lr, weight_decay)
        return back(w, new, (mean, square))

    return answer


def decay_at_the_highest_rate(*case: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Take a step whose decay knows nothing of the warm-up."""
    w, *_, highest, _, _, _, decay = case
    moved, m, v = adamw_step(*(*case[:-1], 0.0))
    return moved - highest * decay * w, m, v


def decay_under_the_root(*case: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Take a step that adds the decay to the mean of the gradient, after the correction."""
    w, _, _, _, step, highest, warm_up, betas, eps, decay = case
    moved, m, v = adamw_step(*(*case[:-1], 0.0))
    root = (v / correction(betas[1], step)).sqrt()
    return moved - warmed_up(step, highest, warm_up) * decay * w / (root + eps), m, v


def eps_before_the_correction(
    w: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    highest: float,
    warm_up: int,
    betas: Betas,
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Correct the rate in place of the means, so that eps stands beside a root that is too small."""
    rate = warmed_up(step, highest, warm_up)
    m, v = running(m, v, gradient, betas)
    corrected = rate * correction(betas[1], step) ** 0.5 / correction(betas[0], step)
    return w - corrected * m / (v.sqrt() + eps) - rate * weight_decay * w, m, v


def adamw_cases() -> list[Case]:
    """Make steps at the start, within, at the end of and after the warm-up."""

    def case(
        seed: int,
        shape: tuple[int, ...],
        steps: tuple[int, int],
        highest: float,
        betas: Betas,
        *rest: float,
    ) -> Case:
        step, warm_up = steps
        w, gradient, m = (numbers(seed + i, *shape) for i in range(3))
        v = numbers(seed + 3, *shape).square() + 0.04
        if step == 1:  # nothing is remembered yet
            m, v = torch.zeros(shape), torch.zeros(shape)
        return 2 * w, gradient, m, v, step, highest, warm_up, betas, *rest

    first = case(1100, (3,), (1, 4), 0.8, (0.9, 0.98), 0.05, 0.5)
    unused = case(1110, (2, 3), (1, 1), 0.2, (0.8, 0.99), 1e-6, 0.0)
    unused[1][1] = 0.0  # a row of a table whose token is not in the batch
    return [
        first,
        case(1122, (2,), (3, 5), 0.5, (0.9, 0.95), 0.1, 0.3),
        case(1130, (2, 3), (9, 4), 0.3, (0.7, 0.9), 0.01, 0.2),
        case(1140, (3, 2), (4, 4), 0.4, (0.5, 0.98), 0.05, 0.1),
        unused,
    ]
