"""Digits written by hand, 8 by 8 pixels, sorted by the form that they were written into.

They are the test part of the Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998), as scikit-learn has
it; ``digits.LICENSE`` says whose they are, and ``book/tools/digits.py`` is how they were taken out.
"""

from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from minattn.checks import check_sizes

STARTS = 0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667
"""Where each form begins: all have the same digits in the same order, and a few that could not be read are left out.

The description counts 13 people; the forms are 14, so somebody may have filled in two.
"""

PARTS = {"test": range(3), "validation": range(3, 5), "train": range(5, 14)}
"""The forms of each part: nobody's hand is in two, but that of whoever filled in two forms."""


class Digits(NamedTuple):
    """Some of the digits.

    Attributes:
        pictures: grey, 0 for paper and 255 for ink.
        labels: 0 to 9.
        forms: which form each stood in.
    """

    pictures: UInt8[Tensor, "digits 8 8 1"]
    labels: Int64[Tensor, " digits"]
    forms: Int64[Tensor, " digits"]


@cache
def _all() -> Digits:
    with np.load(resources.files("minattn.tasks") / "digits.npz") as stored:  # type: ignore[arg-type]
        ink, labels = (torch.from_numpy(stored[name]) for name in ("ink", "labels"))
    ends = torch.tensor([*STARTS[1:], len(ink)])
    forms = torch.repeat_interleave(ends - torch.tensor(STARTS))
    pictures = (ink.double() * (255 / 16)).round().to(torch.uint8)
    return Digits(pictures[..., None], labels.long(), forms)


def digits(part: str, n_forms: int | None = None) -> Digits:
    """Return the digits of "train", "validation" or "test".

    Args:
        part: one of ``PARTS``; its forms are in no other.
        n_forms: from how many forms, the first ones of the part; all of them if not given.

    Raises:
        ValueError: if there is no such part, or it has fewer forms.

    >>> {part: len(digits(part).labels) for part in PARTS}
    {'test': 386, 'validation': 260, 'train': 1151}
    >>> digits("train", 2).labels[:12].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    forms = PARTS[part]
    if n_forms is not None:
        check_sizes(n_forms=n_forms)
        if n_forms > len(forms):
            raise ValueError(f"n_forms must be at most {len(forms)} of {part}, got {n_forms}")
        forms = forms[:n_forms]
    found = _all()
    chosen = torch.isin(found.forms, torch.tensor(forms))
    return Digits(*(whole[chosen] for whole in found))
