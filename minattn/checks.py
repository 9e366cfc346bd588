"""The checks that everybody needs: every error says the rule and what was given instead."""

import math
import operator
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def check_sizes(**sizes: int) -> None:
    """Check that every size is a whole number of at least 1.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.

    >>> check_sizes(d_model=64, n_heads=0)
    Traceback (most recent call last):
    ValueError: n_heads must be at least 1, got 0
    """
    check_whole(1, **sizes)


def check_whole(least: int, /, **numbers: int) -> None:
    """Check that every number is whole and at least so large.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, number in numbers.items():
        if not _is_whole(number):
            _check_number(name, number, f"a whole number of at least {least}")
            raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")
        if number < least:
            raise ValueError(f"{name} must be at least {least}, got {number}")


def check_integers(**numbers: int) -> None:
    """Check that every number is whole, above or below 0.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, number in numbers.items():
        if not _is_whole(number):
            _check_number(name, number, "a whole number")
            raise ValueError(f"{name} must be a whole number, got {number!r}")


def check_positive(**numbers: float | int) -> None:
    """Check that every number is finite and above 0, as rates and temperatures are.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, number in numbers.items():
        _check_number(name, number, "a finite number above 0")
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} must be a finite number above 0, got {number}")


def check_not_negative(**numbers: float | int) -> None:
    """Check that every number is finite and at least 0.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, number in numbers.items():
        _check_number(name, number, "a finite number of at least 0")
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {number}")


def check_finite(**numbers: float | int) -> None:
    """Check that every number is finite.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, number in numbers.items():
        _check_number(name, number, "a finite number")
        if not math.isfinite(number):
            raise ValueError(f"{name} must be a finite number, got {number}")


def check_shares(**shares: float | int) -> None:
    """Check that every share is in [0, 1].

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, share in shares.items():
        _check_number(name, share, "in [0, 1]")
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {share}")


def check_dropout(**shares: float | int) -> None:
    """Check that every share is in [0, 1): something is left of what is dropped, smoothed or averaged.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, share in shares.items():
        _check_number(name, share, "in [0, 1)")
        if not 0 <= share < 1:
            raise ValueError(f"{name} must be in [0, 1), got {share}")


def check_tensors(**tensors: Any) -> None:
    """Check that all are tensors.

    Raises:
        TypeError: naming the first that is none.
    """
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(x).__name__}")


def check_floats(**tensors: Tensor) -> None:
    """Check that all are tensors of floating-point numbers: shares of whole numbers are no whole numbers.

    Raises:
        TypeError: naming the first that is not.
    """
    check_tensors(**tensors)
    for name, x in tensors.items():
        if not x.is_floating_point():
            raise TypeError(f"{name} must hold floating-point numbers, got {x.dtype}")


def check_ids(n_ids: int, /, **tensors: Int[Tensor, "..."]) -> None:
    """Check that all are tensors of ids below ``n_ids``, of dtype int64.

    Raises:
        ValueError: naming the first that has another id, and the id.
        TypeError: naming the first that is no tensor, or of another dtype.
    """
    check_tensors(**tensors)
    for name, ids in tensors.items():
        if ids.dtype != torch.int64:
            raise TypeError(f"{name} must hold ids of dtype torch.int64, got {ids.dtype}")
        outside = (ids < 0) | (ids >= n_ids)
        if not ids.is_meta and bool(outside.any()):
            wrong = ids[outside][0].item()
            raise ValueError(f"{name} must hold ids from 0 to {n_ids - 1}, got {wrong}")


def look_up(
    table: nn.Embedding, ids: Int[Tensor, "*batch"], name: str = "ids"
) -> Float[Tensor, "*batch d_model"]:
    """Look ids up in a table of embeddings.

    Args:
        table: one row for each id.
        ids: which rows.
        name: what the ids are called in an error.

    Raises:
        ValueError: if the table has no row for an id.
        TypeError: if the ids are not whole numbers of dtype int64.
    """
    check_ids(table.num_embeddings, **{name: ids})
    rows: Tensor = table(ids)
    return rows


def _is_whole(number: Any) -> bool:
    if isinstance(number, bool):
        return False
    try:
        operator.index(number)
    except TypeError:
        return False
    return True


def _check_number(name: str, number: Any, rule: str) -> None:
    """Check that something is a number of any kind; True and False are none."""
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"{name} must be {rule}, got {number!r} of type {type(number).__name__}")
