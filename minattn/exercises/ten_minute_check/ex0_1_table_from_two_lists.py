"""Exercise 0.1: a table from two lists."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Mistake, numbers


def differences(a: Tensor, b: Tensor) -> Tensor:
    """Subtract every number of b from every number of a: shape (n, m) from (n,) and (m,)."""
    return a[:, None] - b


EXERCISE = Exercise(
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
