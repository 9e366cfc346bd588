"""Digits written by hand, eight by eight pixels: the ones that scikit-learn brings.

Thirteen people wrote them, one after the other, so hardly anybody who wrote a digit of one part wrote one of another.
``digits.LICENSE`` says whose they are, and ``book/tools/digits.py`` is how they were taken.
"""

from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

PARTS = {"train": (0, 1000), "validation": (1000, 1300), "held_out": (1300, 1797)}
"""The first digit of each part, and the one behind its last."""

LEVELS = 16
"""A pixel has this many levels of ink above none."""


class Digits(NamedTuple):
    """Pictures of digits.

    Attributes:
        pictures: from 0, paper, to 1, ink.
        names: which digit each is.
    """

    pictures: Float[Tensor, "digits 8 8"]
    names: Int[Tensor, " digits"]


@cache
def digits(part: str) -> Digits:
    """Return the digits of a part.

    Raises:
        ValueError: if there is no such part.

    >>> {part: len(digits(part).names) for part in PARTS}
    {'train': 1000, 'validation': 300, 'held_out': 497}
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    first, end = PARTS[part]
    with np.load(resources.files("minattn.tasks") / "digits.npz") as stored:  # type: ignore[arg-type]
        pictures, names = stored["pictures"][first:end], stored["names"][first:end]
    return Digits(torch.from_numpy(pictures).float() / LEVELS, torch.from_numpy(names).long())
