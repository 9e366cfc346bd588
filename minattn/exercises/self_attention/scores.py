"""The scores that exercises 4.1 and 4.7 begin with."""

import math

from torch import Tensor


def scaled_scores(q: Tensor, k: Tensor, divide_by: float | None = None) -> Tensor:
    """Return the scores, divided by the root of the width."""
    return q @ k.transpose(-2, -1) / (math.sqrt(k.shape[-1]) if divide_by is None else divide_by)
