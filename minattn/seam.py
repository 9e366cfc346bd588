"""The seam of the whole book: what an attend is, and the checks that everybody needs."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

Attend = Callable[..., Tensor]
"""``attend(query, key, value, mask=None) -> output``, the seam of the whole book.

Shapes: query (batch, queries, d_query), key (batch, keys, d_key), value (batch, keys, d_value), mask bool
(batch, queries, keys) with True where a query may attend, output (batch, queries, d_value).
"""

Positions = Callable[[Tensor], Tensor]
"""Takes token vectors (batch, seq, d_model) and returns them with their places marked."""


def check_widths(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Check the shapes of query, key and value; return the leading axes they have together."""
    query, key, value = (tuple(shape) for shape in shapes)
    if min(len(query), len(key), len(value)) < 2:
        raise ValueError(
            "query, key and value need shapes (..., queries, d_k), (..., keys, d_k) and "
            f"(..., keys, d_v), got {query}, {key} and {value}"
        )
    if query[-1] != key[-1] or query[-1] < 1:
        raise ValueError(f"query and key need one width, at least 1, got {query} and {key}")
    if key[-2] != value[-2]:
        raise ValueError(f"there must be one value for each key, got {key} and {value}")
    if query[:-2] == key[:-2] == value[:-2]:
        return query[:-2]
    try:
        return np.broadcast_shapes(query[:-2], key[:-2], value[:-2])
    except ValueError:
        raise ValueError(
            "the leading axes of query, key and value must broadcast, "
            f"got {query}, {key} and {value}"
        ) from None
