"""Bind a sentence of the book to a measurement: claims, and the results of the longer experiments."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, SupportsFloat

import numpy as np

from minattn.checks import check_finite
from minattn.display import is_watched, show, show_table

THIS_RUN = "this run"

_gathered: list[dict[str, Any]] | None = None  # the claims inside of `checks`, None outside


def claim(
    text: str,
    value: SupportsFloat,
    *,
    at_least: float | int | None = None,
    at_most: float | int | None = None,
    spread: Iterable[SupportsFloat] | None = None,
    of: str = THIS_RUN,
) -> None:
    """Check a sentence about behaviour against a measurement, and write down that it held.

    The line that is stored has the sentence, the bar and the range of the spread, not the value: it is the same on
    every machine. The value is kept beside the output in the notebook, and the pages of the book show it. In a
    notebook that a person runs, the line has the value too. Inside of ``checks``, one line stands for all claims.

    Args:
        text: the sentence, as in the book.
        value: what was measured here; True or False where there is no number.
        at_least: the bar, where more is better.
        at_most: the bar, where less is better.
        spread: the same measurement over other seeds, from stored results; every one of them has to reach the bar.
        of: what the value is, in a word or two, where this run did not measure it, such as "worst of five seeds".

    Raises:
        AssertionError: if the measurement falls short; the message has the sentence, the bar and the value.
        ValueError: if a number has no bar, a truth value has one, or no number can reach the bar; if ``of`` says
            nothing, or speaks of a truth value, which is not shown.
        TypeError: if the bar is no number.

    >>> claim("seven is prime", all(7 % n for n in range(2, 7)))
    ✓ seven is prime
    >>> claim("a coin falls on heads about half the time", 0.52, at_least=0.4)
    ✓ a coin falls on heads about half the time (at least 0.4)
    >>> claim("a die shows each face", 0.15, at_least=0.1, spread=[0.16, 0.18, 0.14, 0.17, 0.16])
    ✓ a die shows each face (at least 0.1; five seeds 0.14 to 0.18)
    """
    if not text.strip():
        raise ValueError("a claim needs a sentence, got an empty one")
    if not of.strip():
        raise ValueError("of needs a word for what the value is, got an empty one")
    number, bar, holds = _judge(value, at_least, at_most)
    if bar == "true" and of != THIS_RUN:
        raise ValueError(f"a claim that is true or false shows no value, got one of {of!r}")
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
    kept = {
        "claim": text,
        "bar": bar,
        "value": bool(value) if bar == "true" else number,
        "spread": values or None,
        "of": of,
    }
    if _gathered is not None:
        _gathered.append(kept)
        return
    stored = in_words(kept, with_value=False)
    show(
        f"✓ {text} ({stored})" if stored else f"✓ {text}",
        html=f'<div class="claim"><span class="claim-mark">✓</span> {_in_html(kept)}</div>',
        metadata={"minattn": kept},
    )


@contextmanager
def checks(title: str) -> Iterator[None]:
    """Check the claims inside as always, and show them together as one closed line.

    For what has to hold but is no result of the chapter: that two ways agree, that a shape is right. All claims
    are kept in the notebook beside the line, and stand on the page of claims.

    Args:
        title: what was checked, in a few words.

    Raises:
        ValueError: if the title is empty, or there is no claim inside.
        RuntimeError: if it stands inside of other checks.

    >>> with checks("the sum"):
    ...     claim("it does not depend on the order", 2 + 3 == 3 + 2)
    ...     claim("its rounding is small", abs(0.1 + 0.2 - 0.3), at_most=1e-15)
    ✓ 2 checks passed: the sum
    """
    global _gathered
    if not title.strip():
        raise ValueError("checks need a title, got an empty one")
    if _gathered is not None:
        raise RuntimeError(f"checks must not stand inside of checks, got {title!r} inside others")
    found: list[dict[str, Any]] = []
    _gathered = found
    try:
        yield
    finally:
        _gathered = None
    if not found:
        raise ValueError(f"checks need at least one claim inside, got none in {title!r}")
    line = f"✓ {len(found)} check{'s' if len(found) > 1 else ''} passed: {title}"
    items = "".join(f"<li>{_in_html(kept)}</li>" for kept in found)
    show(
        line,
        html=f'<details class="checks"><summary>{escape(line)}</summary><ul>{items}</ul></details>',
        metadata={"minattn": {"checks": found}},
    )


def in_words(kept: dict[str, Any], *, with_value: bool) -> str:
    """Say what stands behind the sentence of a claim: the bar, the range of the spread, and perhaps the value.

    Args:
        kept: the claim, as its notebook keeps it.
        with_value: False for what is stored, which has to be the same on every machine.

    >>> kept = {"bar": "at least 0.9", "value": 0.955, "spread": [0.935, 0.97, 0.95, 0.94, 0.96], "of": "this run"}
    >>> in_words(kept, with_value=False)
    'at least 0.9; five seeds 0.935 to 0.97'
    >>> in_words(kept, with_value=True)
    'this run 0.955; five seeds 0.935 to 0.97; bar: at least 0.9'
    >>> in_words(kept | {"of": "median of five seeds"}, with_value=True)
    'median of five seeds 0.955, all 0.935 to 0.97; bar: at least 0.9'
    """
    bar, spread, of = kept["bar"], kept["spread"], kept.get("of", THIS_RUN)
    if bar == "true":
        return ""
    value = f"{of} {figure(kept['value'])}"
    if not spread:
        return f"{value}; bar: {bar}" if with_value else bar
    low, high = figure(min(spread)), figure(max(spread))
    reach = low if low == high else f"{low} to {high}"
    if with_value and of != THIS_RUN:
        return f"{value}, all {reach}; bar: {bar}"
    # An experiment of the book has five seeds: more values come from several of its arms.
    runs = "five seeds" if len(spread) == 5 else f"{len(spread)} runs"
    runs += f" all {reach}" if low == high else f" {reach}"
    return f"{value}; {runs}; bar: {bar}" if with_value else f"{bar}; {runs}"


def figure(value: float | int) -> str:
    """Write a measured number: whole ones and large ones without a fraction, others to three digits."""
    if abs(value) >= 1000 or (abs(value) >= 1 and float(value).is_integer()):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _in_html(kept: dict[str, Any]) -> str:
    """Return the sentence, and what stands behind it; with the value where somebody runs the cell and sees it."""
    words = in_words(kept, with_value=is_watched())
    span = f' <span class="claim-bar">({escape(words)})</span>' if words else ""
    return f"{escape(kept['claim'])}{span}"


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

    def runs(self, arm: str, *path: str) -> list[Any]:
        """Return the runs of an arm, one per seed, or a part of each.

        Args:
            arm: name of the arm.
            path: of the part, name after name, where measurements lie in measurements.

        Raises:
            ValueError: if there is no such arm, or no such part.
        """
        if arm not in self.data["arms"]:
            raise ValueError(f"arms are {self.arms}, got {arm!r}")
        found = list(self.data["arms"][arm])
        for name in path:
            if not isinstance(found[0], dict) or name not in found[0]:
                there = sorted(found[0]) if isinstance(found[0], dict) else found[0]
                raise ValueError(f"{arm} has {there}, got {name!r} of {path}")
            found = [run[name] for run in found]
        return found

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


def ranged(values: Iterable[float | int], digits: int = 2) -> str:
    """Write the median of some seeds and their range.

    Args:
        values: one for each seed.
        digits: after the point.

    Raises:
        ValueError: if there is no value.

    >>> ranged([0.5, 0.125, 0.25])
    '0.25 (0.12–0.50)'
    """
    seeds = sorted(values)
    if not seeds:
        raise ValueError("a range needs at least one value, got none")
    low, middle, high = (f"{number:.{digits}f}" for number in (seeds[0], median(seeds), seeds[-1]))
    return f"{middle} ({low}–{high})"


def show_results(
    head: Sequence[str],
    rows: Mapping[str, Sequence[str | float | int | Sequence[float | int]]],
    digits: int = 2,
) -> None:
    """Show a table of measurements.

    Args:
        head: a name for each column, the first for what the rows are.
        rows: for each name its cells: one value per seed, of which the median and the range are written, one number,
            or words.
        digits: after the point.

    Raises:
        ValueError: if a row has another number of cells than there are columns, or a cell has no value.

    >>> show_results(["model", "right"], {"ours": [[0.5, 0.125, 0.25]], "chance": [0.1]}, digits=1)
    | model | right |
    | :-- | :-- |
    | ours | 0.2 (0.1–0.5) |
    | chance | 0.1 |
    """

    def written(cell: str | float | Sequence[float]) -> str:
        if isinstance(cell, str):
            return cell
        return f"{cell:.{digits}f}" if isinstance(cell, float | int) else ranged(cell, digits)

    show_table(head, [[name, *map(written, cells)] for name, cells in rows.items()])


def results(name: str, folder: Path | None = None) -> Results:
    """Read the stored results of an experiment of the book.

    Args:
        name: the experiment, as in ``book/experiments/results/<name>.json``.
        folder: where to look. Without one, a checkout of the book is looked for from the current folder upwards,
            and then what was installed with the package.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    places = _places("experiments/results") if folder is None else [folder]
    file = _stored(f"{name}.json", places, "experiments with results")
    return Results(json.loads(file.read_text(encoding="utf-8")))


def stored_model(name: str) -> Path:
    """Find the weights of a model of the book that takes too long to train in its chapter; see ``load_model``.

    Args:
        name: the model, as in ``book/models/<name>.safetensors``; looked for where ``results`` looks.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    file = _stored(f"{name}.safetensors", _places("models"), "stored models")
    # The library reads weights past Python: opened here, they are among the files that a run is known to depend on.
    file.open("rb").close()
    return file


def _places(tail: str) -> list[Path]:
    """Return the folders in which a part of the book may lie: those of a checkout, then the installed copy."""
    # A wheel brings a copy of its own; a package that is used where it was written has its checkout beside it.
    package = Path(__file__).parent
    around = (Path.cwd(), *Path.cwd().parents, package, package.parent)
    return [place / "book" / tail for place in around]


def _stored(name: str, places: Sequence[Path], what: str) -> Path:
    """Find a file in the first of some folders that has it."""
    for place in places:
        if (place / name).is_file():
            return place / name
    wanted = Path(name)
    known = sorted({path.stem for place in places for path in place.glob(f"*{wanted.suffix}")})
    raise FileNotFoundError(f"{what} are {known}, got {wanted.stem!r}")
