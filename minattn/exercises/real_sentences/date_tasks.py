"""Tasks of dates in words, made right, and made with one thing otherwise."""

import random
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

from minattn.tasks.base import Example, Task
from minattn.vocabulary import Vocabulary

FIRST_DAY, LAST_DAY = date(1950, 1, 1), date(2049, 12, 31)


def babel_dates() -> Any:
    """Return the module that writes dates in many languages.

    Raises:
        ModuleNotFoundError: if the package is missing.
    """
    try:
        from babel import dates
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "exercise 7.9 needs the package babel, which is not installed: pip install babel"
        ) from error
    return dates


Days = tuple[list[date], list[date]]


def drawn_days(n: int, seed: int, first: date = FIRST_DAY, last: date = LAST_DAY) -> list[date]:
    """Draw different days: n to train on, and a tenth more."""
    numbers_of_days = random.Random(seed).sample(range((last - first).days + 1), n + n // 10)
    return [first + timedelta(number) for number in numbers_of_days]


def cut_after(days: list[date], n: int) -> Days:
    """Take the first n days to train on."""
    return days[:n], days[n:]


@cache
def written(day: date, locale: str, style: str = "long") -> str:
    """Write a date in words, as babel does."""
    text: str = babel_dates().format_date(day, style, locale)
    return text


def words_of(day: date, locale: str, style: str = "long") -> tuple[str, ...]:
    """Cut a date in words into words, digits and signs."""
    return tuple(re.findall(r"[^\W\d_]+|\d|[^\w\s]", written(day, locale, style)))


def iso_of(day: date) -> tuple[str, ...]:
    """Write a date in the characters of ISO 8601."""
    return tuple(day.isoformat())


def one_vocabulary_each(train: Sequence[Example], held_out: Sequence[Example]) -> Any:
    """Make a vocabulary for the sources and one for the targets."""
    examples = [*train, *held_out]
    return tuple(
        Vocabulary(sorted({token for example in examples for token in getattr(example, side)}))
        for side in ("source", "target")
    )


def dates_with(
    *,
    days: Callable[[int, int], Days] = lambda n, seed: cut_after(drawn_days(n, seed), n),
    source: Callable[[date, str], Any] = words_of,
    target: Callable[[date], Any] = iso_of,
    alignment: Callable[[Any, Any], Any] = lambda source, target: (None,) * len(target),
    vocabularies: Callable[[Sequence[Example], Sequence[Example]], Any] = one_vocabulary_each,
    length: Callable[[Any, Any], int] = lambda source, target: len(source),
) -> Callable[[str, int, int], Task]:
    """Make an answer that does one thing otherwise."""

    def example(day: date, locale: str) -> Example:
        words, characters = source(day, locale), target(day)
        return Example(words, characters, alignment(words, characters), length(words, characters))

    def make_dates(locale: str, n: int, seed: int) -> Task:
        train, held_out = ([example(day, locale) for day in part] for part in days(n, seed))
        words, characters = vocabularies(train, held_out)
        return Task(f"dates ({locale})", words, characters, tuple(train), tuple(held_out))

    return make_dates


make_dates = dates_with()
