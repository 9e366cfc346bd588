"""The seam of the whole book: what an attend is, and the checks that everybody needs."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minattn.checks import check_finite, check_floats

Attend = Callable[..., Tensor]
"""``attend(query, key, value, mask=None) -> output``, the seam of the whole book.

Shapes: query (batch, queries, d_query), key (batch, keys, d_key), value (batch, keys, d_value), mask bool
(batch, queries, keys) with True where a query may attend, output (batch, queries, d_value).
"""

Positions = Callable[[Tensor], Tensor]
"""Takes token vectors (batch, seq, d_model) and returns them with their places marked."""


def check_lookup(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, ...]:
    """Check the types and shapes of query, key and value; return the leading axes they have together.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if they are no tensors of floating-point numbers of one type.
    """
    check_one_type(query=query, key=key, value=value)
    return check_widths(query.shape, key.shape, value.shape)


def check_one_type(**tensors: Tensor) -> None:
    """Check that all are tensors of floating-point numbers, and of one type; autocast may mix types.

    Raises:
        TypeError: naming the first that is not, or all types.
    """
    check_floats(**tensors)
    found = [x.dtype for x in tensors.values()]
    if len(set(found)) > 1 and not any(
        torch.is_autocast_enabled(x.device.type) for x in tensors.values()
    ):
        raise TypeError(
            f"{_listed(tensors)} must hold numbers of one type, got {_listed(map(str, found))}"
        )


def check_scale(scale: float | None, width: int) -> float:
    r"""Return the factor of the scores, :math:`1 / \sqrt{d_k}` if not given.

    Raises:
        ValueError: if it is not finite.
        TypeError: if it is no number.
    """
    if scale is None:
        return 1 / math.sqrt(width)
    check_finite(scale=scale)
    return scale


EXTREME = 1e-6
"""A factor below this, or above its inverse, takes float32 from numbers of ordinary size to its ends."""


def widened(x: Tensor, factor: float = 1.0) -> Tensor:
    """Give numbers a type in which their products fit, also times a factor.

    Returns:
        Narrow types as float32; every type as float64 where the factor is extreme; else the numbers themselves.
    """
    ordinary = factor == 0 or EXTREME <= abs(factor) <= 1 / EXTREME
    return x.to(torch.promote_types(x.dtype, torch.float32 if ordinary else torch.float64))


def name_of(attend: Any) -> str:
    """Name an attend for the repr of what wraps it, without the address of a function."""
    if isinstance(attend, functools.partial):
        settings = [f"{name}={value!r}" for name, value in attend.keywords.items()]
        return f"partial({', '.join([name_of(attend.func), *map(repr, attend.args), *settings])})"
    name: str | None = getattr(attend, "__qualname__", None)
    if name is None:
        plain = type(attend).__repr__ is object.__repr__
        name = f"{type(attend).__qualname__}()" if plain else repr(attend)
    return name


def _listed(names: Any) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"


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
