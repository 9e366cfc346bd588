"""What several exercises need of queries, keys and values."""

import math

from torch import Tensor


def root_of_width(x: Tensor, axis: int = -1) -> float:
    """Return the root of the width, or of another size."""
    return math.sqrt(x.shape[axis])


def between_the_values(out: Tensor, value: Tensor) -> bool:
    """Tell whether every output lies between the smallest value and the largest."""
    low, high = value.amin(0) - 1e-4, value.amax(0) + 1e-4
    return bool(((out >= low) & (out <= high)).all())
