"""Whether two results are the same, and if not, how they differ: in kind, in shape, or where."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Tell whether an output is the expected one: numbers within a tolerance, all else exactly.

    Tensors, arrays and plain numbers of the same value are the same; truth values are not numbers, and
    fractions are not ids.

    Args:
        a: the output.
        b: what is expected.
        tolerance: how far numbers may be off, in absolute terms and relative to b.
    """
    try:
        return _same(a, b, tolerance)
    except Exception:  # whatever cannot be compared is not the same
        return False


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if is_array(a) and is_array(b):
        x, y = as_array(a), as_array(b)
        if x.shape != y.shape or not _kind_fits(x.dtype.kind, y.dtype.kind):
            return False
        x, y = x.astype(float), y.astype(float)
        return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))
    if is_array(a) and isinstance(b, int | float) and as_array(a).ndim == 0:
        return _same(as_array(a).item(), b, tolerance)
    if is_array(b) and isinstance(a, int | float) and as_array(b).ndim == 0:
        return _same(a, as_array(b).item(), tolerance)
    if is_bool(a) or is_bool(b):
        return is_bool(a) and is_bool(b) and a == b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return bool(np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def _kind_fits(got: str, expected: str) -> bool:
    """Tell whether numbers of one kind may stand for numbers of another (NumPy's letters)."""
    whole = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}
    return got in whole.get(expected, "")


def is_array(x: Any) -> bool:
    """Tell whether something is a tensor or an array whose numbers can be read."""
    if isinstance(x, Tensor):
        return not x.is_meta  # a meta tensor has a shape and no numbers
    return isinstance(x, np.ndarray | np.generic)


def as_array(x: Any) -> Any:
    """Return a tensor or an array as NumPy has it."""
    if not isinstance(x, Tensor):
        return np.asarray(x)
    x = x.detach().to_dense().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def is_bool(x: Any) -> bool:
    """Tell whether something is a truth value, of Python or of NumPy."""
    return isinstance(x, bool | np.bool_)


def is_data(x: Any) -> bool:
    """Tell whether something given to an answer can be compared with what it was before."""
    return is_array(x) or isinstance(x, int | float | str | list | tuple | dict)


def is_number(x: Any) -> bool:
    """Tell whether something is a number of Python or an array of numbers."""
    return isinstance(x, int | float) or (is_array(x) and as_array(x).dtype.kind in "biuf")


def differing_states(model: nn.Module, other: nn.Module) -> set[str]:
    """Name in words what two copies of a model have that is not the same, down to every part of them."""
    states, others = _states(model), _states(other)
    return {what for what in states if not same(states[what], others[what], 0.0)}


def _states(model: nn.Module) -> dict[str, list[Any]]:
    parameters = list(model.named_parameters())
    return {
        "parameters": [(name, p) for name, p in parameters],
        "buffers": list(model.named_buffers()),
        "requires_grad": [(name, p.requires_grad) for name, p in parameters],
        "gradients": [(name, p.grad) for name, p in parameters],
        "mode (train or eval)": [(name, part.training) for name, part in model.named_modules()],
    }


def not_finite(x: Any) -> tuple[str, tuple[int, ...]] | None:
    """Find the first number that is none: "NaN" or "infinity", and its place ((), if x is no array)."""
    if isinstance(x, list | tuple):
        return next(filter(None, map(not_finite, x)), None)
    if not is_number(x):
        return None
    values = np.asarray(as_array(x) if is_array(x) else x, dtype=float)
    for what, found in (("NaN", np.isnan(values)), ("infinity", np.isinf(values))):
        if found.any():
            return what, tuple(map(int, np.argwhere(found)[0]))
    return None


def _is_holder(x: Any) -> bool:
    return isinstance(x, list | tuple) or (is_array(x) and as_array(x).ndim > 0)


_NUMBERS = {"b": "True and False", "i": "whole numbers", "u": "whole numbers"}


def kind_of(x: Any) -> str:
    """Say in words what something is: two answers of one kind differ in shape or values only."""
    if x is None:
        return "None"
    if is_array(x):
        values = as_array(x)
        what = _NUMBERS.get(values.dtype.kind, "numbers")
        if values.ndim == 0:
            return {"True and False": "True or False"}.get(what, "one number")
        return f"a tensor of {what}"
    if is_bool(x):
        return "True or False"
    if isinstance(x, int | float):
        return "one number"
    if isinstance(x, tuple) and len(x) <= 3 and any(map(_is_holder, x)):
        return f"a tuple of {' and '.join(map(kind_of, x))}"
    name = type(x).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def shape_of(x: Any) -> Any:
    """Return the shape of a tensor, the length of a list, or those of what a tuple holds."""
    if is_array(x):
        return tuple(as_array(x).shape)
    if isinstance(x, tuple) and any(map(_is_holder, x)):
        return tuple(len(y) if isinstance(y, list) else shape_of(y) for y in x)
    return len(x) if isinstance(x, list | tuple) else ()


def differing(expected: Any, got: Any, tolerance: float) -> list[tuple[Any, Any]]:
    """Return the pairs of numbers in two tensors of one shape that are not the same."""
    if not (is_array(expected) and is_array(got)):
        return []
    x, y = as_array(expected), as_array(got)
    if x.shape != y.shape:
        return []
    pairs = zip(x.flat, y.flat, strict=True)
    return [(a, b) for a, b in pairs if not same(a, b, tolerance)]


def first_difference(expected: Any, got: Any, tolerance: float) -> tuple[int, ...] | None:
    """Return the first place at which two tensors of one shape differ, or None if there is none."""
    if not (is_array(expected) and is_array(got)):
        return None
    x, y = as_array(got), as_array(expected)
    if x.shape != y.shape or x.dtype.kind not in "biuf":
        return None
    x, y = x.astype(float), y.astype(float)
    where = np.argwhere(~np.isclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))
    return tuple(map(int, where[0])) if len(where) else None
