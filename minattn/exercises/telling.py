"""How values, inputs and verdicts are written for the learner."""

import ast
import inspect
import re
from html import escape
from types import FunctionType
from typing import Any

import numpy as np

from minattn.display import show, without_docstring
from minattn.exercises.comparing import as_array, differing, first_difference, is_array
from minattn.exercises.exercise import Answer, Case, Exercise, Verdict

MOST_NUMBERS = 30
"""Tensors with more numbers are not written out."""

_LINE = 90
"""Inputs that are longer together get a line each."""


def brief(x: Any, decimals: int = 3) -> str:
    """Write a value in few characters."""
    if is_array(x):
        values = as_array(x)
        if values.size > MOST_NUMBERS:
            return f"a tensor of shape {tuple(values.shape)}"
        text = np.array2string(
            values,
            separator=", ",
            formatter={"float_kind": lambda number: _number(number, decimals), "bool": str},
        )
        return " ".join(text.split())
    if isinstance(x, float):
        return f"{x:.{decimals + 1}g}"
    if isinstance(x, list | tuple) and any(map(is_array, x)):
        left, right = "[]" if isinstance(x, list) else "()"
        return f"{left}{', '.join(brief(part, decimals) for part in x)}{right}"
    try:
        text = repr(x)
    except Exception:
        text = f"something of type {type(x).__name__}"
    return text if len(text) <= 200 else text[:197] + "..."


def _number(x: Any, decimals: int) -> str:
    """Write a number of a tensor with a few decimals at most."""
    text = np.format_float_positional(x, precision=decimals, trim=".")
    return "0." if text == "-0." else text


def describe(exercise: Exercise, case: Case) -> str:
    """Write the inputs of a case."""
    if exercise.show_case is not None:
        return exercise.show_case(*case)
    names = inspect.signature(exercise.solution).parameters
    if len(names) != len(case):
        return ", ".join(map(brief, case))
    parts = [f"{name} = {brief(x)}" for name, x in zip(names, case, strict=True)]
    return ("\n" if sum(map(len, parts)) > _LINE else ", ").join(parts)


def tell_apart(expected: Any, got: Any, tolerance: float) -> tuple[str, str]:
    """Write two values, with as many decimals as it takes to see where they differ."""
    small = is_array(got) and as_array(got).size <= MOST_NUMBERS
    differ = differing(expected, got, tolerance) if small else []
    for decimals in (3, 5, 7, 9):
        texts = brief(expected, decimals), brief(got, decimals)
        seen = all(brief(a, decimals) != brief(b, decimals) for a, b in differ)
        if texts[0] != texts[1] and seen:
            return texts
    return brief(expected), brief(got)


def tell_first_difference(expected: Any, got: Any, tolerance: float) -> str:
    """Name the first place where two large tensors differ; small ones are written out."""
    place = first_difference(expected, got, tolerance)
    if place is None or as_array(expected).size <= MOST_NUMBERS:
        return ""
    x, y = float(as_array(got)[place]), float(as_array(expected)[place])
    pairs = [(f"{y:.{digits}g}", f"{x:.{digits}g}") for digits in (4, 7, 10, 17)]
    wanted, was = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
    return f"\nFirst difference at {list(place)}: expected {wanted}, got {was}"


def tell_not_finite(what: str, place: tuple[int, ...]) -> str:
    """Say where a result has a number that is none, and what makes such numbers."""
    there = f" at {list(place)}" if place else ""
    if what == "NaN":
        return (
            f"Your result has NaN (not a number){there}. It comes from 0 divided by 0, from infinity minus "
            "or divided by infinity, or from 0 times infinity, and it spreads. Look for where it arises first."
        )
    return (
        f"Your result has infinity{there}, where a finite number should be. It comes from a division by 0, "
        "the logarithm of 0, or exp of a large number."
    )


def show_verdict(exercise: Exercise, verdict: Verdict) -> None:
    """Show a verdict in the notebook."""
    css = {"correct": "correct", "open": "open"}.get(verdict.kind, "mistake")
    mark = {"correct": "✓", "open": "○"}.get(verdict.kind, "✗")
    message = "\n".join(filter(None, (verdict.message, verdict.where)))
    lines = message.split("\n")
    body = escape(lines[0]) + "".join(f"<br><code>{escape(line)}</code>" for line in lines[1:])
    show(
        f"{mark} Exercise {exercise.number}: {message}",
        html=f'<div class="check check-{css}"><span class="check-mark">{mark}</span> '
        f"<strong>Exercise {exercise.number}</strong> {body}</div>",
    )


def source_of(answer: Answer, name: str) -> str | None:
    """Return the code of a known mistake as a learner would have written it, under another name.

    It is None where no learner would have: a lambda, a function made by another, or one that calls what only
    the checkers have.
    """
    answer = inspect.unwrap(answer)
    if not isinstance(answer, FunctionType) or not answer.__qualname__.isidentifier():
        return None  # a name such as <lambda>, or outer.<locals>.inner
    source = without_docstring(answer)
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    for used in names - {answer.__name__}:
        module = getattr(answer.__globals__.get(used), "__module__", None) or ""
        if module.startswith("minattn.exercises"):
            return None
    return re.sub(rf"\b{answer.__name__}\b", name, source)
