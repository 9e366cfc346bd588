"""Bind a sentence of the book to a measurement: claims, and the results of the longer experiments."""

import json
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np

from minattn.checks import check_finite
from minattn.display import is_watched, show


def claim(
    text: str,
    value: SupportsFloat,
    *,
    at_least: float | int | None = None,
    at_most: float | int | None = None,
    spread: Iterable[SupportsFloat] | None = None,
) -> None:
    """Check a sentence about behaviour against a measurement, and write down that it held.

    The line that is stored has the sentence and the bar, not the value: it is the same on every machine. The
    value and the spread are kept beside the output in the notebook, and the pages of the book show them. In a
    notebook that a person runs, the line has the value too.

    Args:
        text: the sentence, as in the book.
        value: what was measured here; True or False where there is no number.
        at_least: the bar, where more is better.
        at_most: the bar, where less is better.
        spread: the same measurement over other seeds; every one of them has to reach the bar.

    Raises:
        AssertionError: if the measurement falls short; the message has the sentence, the bar and the value.
        ValueError: if a number has no bar, a truth value has one, or no number can reach the bar.
        TypeError: if the bar is no number.

    >>> claim("seven is prime", all(7 % n for n in range(2, 7)))
    ✓ seven is prime
    >>> claim("a coin falls on heads about half the time", 0.52, at_least=0.4)
    ✓ a coin falls on heads about half the time (at least 0.4)
    """
    if not text.strip():
        raise ValueError("a claim needs a sentence, got an empty one")
    number, bar, holds = _judge(value, at_least, at_most)
    values = [] if spread is None else [float(other) for other in spread]
    if spread is not None and not values:
        raise ValueError("a spread needs at least one value, got none")
    if not holds(number):
        raise AssertionError(f"claim fails: {text} ({bar}); measured {value}")
    for other in values:
        if not holds(other):
            raise AssertionError(
                f"claim fails for one of the seeds: {text} ({bar}); measured {other}"
            )
    metadata = {
        "claim": text,
        "bar": bar,
        "value": bool(value) if bar == "true" else number,
        "spread": values or None,
    }
    suffix = "" if bar == "true" else f" ({bar})"
    # Somebody who runs the cell sees the value; a stored output has to be the same on every machine.
    seen = f"measured {number:.3g}, {bar}" if is_watched() else bar
    span = "" if bar == "true" else f' <span class="claim-bar">{escape(f"({seen})")}</span>'
    show(
        f"✓ {text}{suffix}",
        html=f'<div class="claim"><span class="claim-mark">✓</span> {escape(text)}{span}</div>',
        metadata={"minattn": metadata},
    )


def _judge(
    value: SupportsFloat, at_least: float | int | None, at_most: float | int | None
) -> tuple[float, str, Any]:
    """Return the value as a number, the bar in words, and the test."""
    number, is_truth = float(value), isinstance(value, bool | np.bool_)
    if at_least is None and at_most is None:
        if not is_truth:
            raise ValueError(
                f"a claim about a number needs at_least or at_most, got only the value {value}"
            )
        return number, "true", lambda other: other == 1.0
    if is_truth:
        raise ValueError(f"a claim that is true or false has no bar, got {value} with one")
    check_finite(
        **{
            name: bar
            for name, bar in (("at_least", at_least), ("at_most", at_most))
            if bar is not None
        }
    )
    low = -math.inf if at_least is None else at_least
    high = math.inf if at_most is None else at_most
    if low > high:
        raise ValueError(f"at_least must not be above at_most, got {at_least} and {at_most}")
    words = [f"at least {low:g}"] if at_least is not None else []
    words += [f"at most {high:g}"] if at_most is not None else []
    return number, " and ".join(words), lambda other: low <= other <= high and math.isfinite(other)


class Results:
    """The stored results of one experiment: arms, and for each arm one run per seed.

    Args:
        data: what the experiment script wrote.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in the order of the script."""
        return list(self.data["arms"])

    @property
    def seeds(self) -> list[int]:
        """The seeds that every arm was run with."""
        return list(self.data["made"]["seeds"])

    def runs(self, arm: str) -> list[dict[str, Any]]:
        """Return the runs of an arm, one per seed.

        Raises:
            ValueError: if there is no such arm.
        """
        if arm not in self.data["arms"]:
            raise ValueError(f"arms are {self.arms}, got {arm!r}")
        return list(self.data["arms"][arm])

    def values(self, arm: str, measure: str) -> list[float]:
        """Return one measurement of an arm, one value per seed.

        Args:
            arm: name of the arm.
            measure: name of the measurement; ``"accuracy 12"`` reads the entry 12 of ``accuracy``.

        Raises:
            ValueError: if there is no such arm or measurement.
        """
        runs = self.runs(arm)
        name, _, key = measure.rpartition(" ")
        try:
            if measure in runs[0]:
                return [float(run[measure]) for run in runs]
            return [float(run[name][key]) for run in runs]
        except (KeyError, TypeError):  # no such name, or no such length
            pass
        raise ValueError(f"measurements of {arm} are {sorted(runs[0])}, got {measure!r}")

    def curve(self, arm: str, measure: str) -> dict[int, list[float]]:
        """Return a measurement that has one value per length: for each length, one value per seed.

        Raises:
            ValueError: if there is no such arm, or no such measurement by length.
        """
        runs = self.runs(arm)
        by_length = sorted(name for name, found in runs[0].items() if isinstance(found, dict))
        if measure not in by_length:
            raise ValueError(f"measurements of {arm} by length are {by_length}, got {measure!r}")
        return {int(key): [float(run[measure][key]) for run in runs] for key in runs[0][measure]}


def results(name: str, folder: Path | None = None) -> Results:
    """Read the stored results of an experiment of the book.

    Args:
        name: the experiment, as in ``book/experiments/results/<name>.json``.
        folder: where to look; found by going up from the current folder if not given.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    if folder is None:
        folder = _above("experiments/results", "results of the book's experiments")
    file = folder / f"{name}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"experiments with results are {sorted(path.stem for path in folder.glob('*.json'))}, got {name!r}"
        )
    return Results(json.loads(file.read_text(encoding="utf-8")))


def stored_model(name: str) -> Path:
    """Find the weights of a model of the book that takes too long to train in its chapter; see ``load_model``.

    Args:
        name: the model, as in ``book/models/<name>.safetensors``; looked for by going up from the current folder.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    folder = _above("models", "stored models of the book")
    file = folder / f"{name}.safetensors"
    if not file.is_file():
        known = sorted(path.stem for path in folder.glob("*.safetensors"))
        raise FileNotFoundError(f"stored models are {known}, got {name!r}")
    return file


def _above(tail: str, what: str) -> Path:
    """Find a folder of the book by going up from the current one."""
    for place in (Path.cwd(), *Path.cwd().parents):
        if (place / "book" / tail).is_dir():
            return place / "book" / tail
    raise FileNotFoundError(f"{what} must be in or above the current folder, got {Path.cwd()}")
