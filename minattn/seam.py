"""The seam of the whole book: what an attend is, and the checks that everybody needs."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from minattn.checks import check_finite, check_floats, check_positive

Attend = Callable[..., Tensor]
"""``attend(query, key, value, mask=None) -> output``, the seam of the whole book.

Shapes: query (batch, queries, d_query), key (batch, keys, d_key), value (batch, keys, d_value), mask bool
(batch, queries, keys) with True where a query may attend, output (batch, queries, d_value).
"""

Positions = Callable[[Tensor], Tensor]
"""Takes token vectors (batch, seq, d_model) and returns them with their places marked."""

Arrays = TypeVar("Arrays", bound=tuple[np.ndarray, ...])


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


def check_arrays(**arrays: Any) -> None:
    """Check that all are NumPy arrays of floating-point numbers, and of one type.

    Raises:
        TypeError: naming the first that is not, or all types.
    """
    for name, x in arrays.items():
        if not isinstance(x, np.ndarray):
            raise TypeError(f"{name} must be a NumPy array, got {type(x).__name__}")
        if not np.issubdtype(x.dtype, np.floating):
            raise TypeError(f"{name} must hold floating-point numbers, got {x.dtype}")
    found = [x.dtype for x in arrays.values()]
    if len(set(found)) > 1:
        raise TypeError(
            f"{_listed(arrays)} must hold numbers of one type, got {_listed(map(str, found))}"
        )


def in_float32(
    function: Callable[..., Arrays], *arrays: np.ndarray, mask: np.ndarray | None
) -> Arrays:
    """Compute in float32 what float16 has no room for on the way; the answer is in float16 again."""
    answer = function(*(x.astype(np.float32) for x in arrays), mask)
    return tuple(x.astype(np.float16) for x in answer)  # type: ignore[return-value]


def check_bias(bias: Any) -> None:
    """Check that a bias is a tensor of numbers to be added to the scores.

    Raises:
        TypeError: if it is a mask, or no tensor of floating-point numbers.
    """
    if isinstance(bias, Tensor) and bias.dtype == torch.bool:
        raise TypeError(
            "bias must hold floating-point numbers, which are added to the scores, got torch.bool; "
            "what says where a query may attend is a mask"
        )
    check_floats(bias=bias)


def check_divisor(**numbers: float) -> None:
    """Check what scores are divided by: with any more digits float64 would have no room for the scores.

    Raises:
        ValueError: naming the first that is not finite, or not from 1e-100 to 1e100.
        TypeError: naming the first that is no number.
    """
    check_positive(**numbers)
    for name, number in numbers.items():
        if not 1e-100 <= number <= 1e100:
            raise ValueError(f"{name} must be from 1e-100 to 1e100, got {number}")


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


def widened(x: Tensor, factor: float = 1.0, /) -> Tensor:
    """Give numbers a type in which their products fit, also times a factor.

    Returns:
        Narrow types as float32; every type as float64 where the factor is extreme; else the numbers themselves.
    """
    wide = torch.float64 if is_extreme(factor) else torch.float32
    return x.to(torch.promote_types(x.dtype, wide))


def is_extreme(factor: float) -> bool:
    """Say whether a factor may take ordinary numbers out of float32."""
    return factor != 0 and not EXTREME <= abs(factor) <= 1 / EXTREME


def name_of(attend: Any) -> str:
    """Name an attend for the repr of what wraps it, without the address of a function."""
    if isinstance(attend, functools.partial):
        settings = [f"{name}={value!r}" for name, value in attend.keywords.items()]
        return f"partial({', '.join([name_of(attend.func), *map(repr, attend.args), *settings])})"
    name: str | None = getattr(attend, "__qualname__", None)
    if name is None:
        written: Any = type(attend).__repr__
        name = repr(attend) if written is not object.__repr__ else f"{type(attend).__qualname__}()"
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
