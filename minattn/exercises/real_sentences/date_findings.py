"""What is wrong with a task of dates that a learner made."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from typing import Any

from minattn.exercises.exercise import Answer, Case
from minattn.exercises.real_sentences.date_tasks import FIRST_DAY, LAST_DAY, Days, written
from minattn.tasks.base import Example, Task
from minattn.training import seeded
from minattn.vocabulary import SPECIALS


@dataclass(frozen=True)
class _Made:
    """A task that a learner made, and two more of the same function."""

    task: Task
    again: Task
    other: Task
    locale: str
    n: int

    @property
    def examples(self) -> list[Example]:
        """All examples, those to train on first."""
        return [*self.task.train, *self.task.held_out]

    @property
    def days(self) -> Days:
        """The dates to train on, and those held out; it fails if a target is no date."""
        train, held_out = (
            [date.fromisoformat("".join(example.target)) for example in part]
            for part in (self.task.train, self.task.held_out)
        )
        return train, held_out

    def most(self, test: Callable[[Example], Any]) -> bool:
        """Tell whether most examples pass a test; a date such as 5 May passes some by chance."""
        return 2 * sum(bool(test(example)) for example in self.examples) > len(self.examples)


_ISO = r"\d{4}-\d\d-\d\d"
_LOCALES = ("de", "hu", "fr", "es", "it", "pt", "nl", "pl")
_UNUSUAL = {
    "day first": r"\d\d?-\d\d?-\d{4}",
    "no zeros": r"\d{4}-\d\d?-\d\d?",
    "no hyphens": r"\d{8}|\d{4}[^-\d]+\d\d[^-\d]+\d\d",
}


@cache
def _plain(text: str) -> str:
    """Drop everything but letters and digits: how a text was cut does not matter."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, text))


def _says(example: Example, locale: str, *styles: str) -> bool:
    """Tell whether the source says the date of the target."""
    day = date.fromisoformat("".join(example.target))
    source = _plain("".join(example.source))
    return any(source == _plain(written(day, locale, style)) for style in styles)


def _says_in(example: Example, locale: str) -> bool:
    return _says(example, locale, "long", "full")


def _fails(example: Example, locale: str) -> str:
    """Say what is wrong with one example, if it is none of the usual things."""
    text, target = " ".join(example.source), "".join(example.target)
    if not _is_date(target):
        return f"{target!r} is no ISO date."
    if not _says(example, locale, "long", "full"):
        return f"The source {text!r} does not say {target} as babel writes it."
    if any(len(token) != 1 for token in example.target):
        return f"The target {list(example.target)} is not cut into characters."
    return ""


def _is_date(text: str) -> bool:
    try:
        return re.fullmatch(_ISO, text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _unknown_token(made: _Made) -> str:
    for side in ("source", "target"):
        known = getattr(made.task, side)
        for example in made.examples:
            for token in getattr(example, side):
                if token not in known:
                    return f"{token!r} is in a {side}, and not in the vocabulary of the {side}s."
    return ""


def _vocabularies_swapped(made: _Made) -> bool:
    example = made.examples[0]
    return all(token in made.task.target for token in example.source) and all(
        token in made.task.source for token in example.target
    )


def _finding(made: _Made) -> tuple[str, str]:
    """Return the first thing that is wrong with a task, and what more there is to say of it."""
    for find in (_in_the_tokens, _in_the_targets, _in_the_sources, _in_the_rest, _in_the_split):
        name, remark = find(made)
        if name:
            return name, remark
    return "", ""


def _in_the_tokens(made: _Made) -> tuple[str, str]:
    task, most = made.task, made.most
    if not task.train or not task.held_out:
        return (
            "nothing held out",
            f"train has {len(task.train)} examples, held_out {len(task.held_out)}.",
        )
    first = made.examples[0]
    shown = f"The first example is {list(first.source)} -> {list(first.target)}."
    if most(lambda e: isinstance(e.source, str) or isinstance(e.target, str)):
        return "strings", f"The first example is {first.source!r} -> {first.target!r}."
    if most(lambda e: {*SPECIALS} & {*e.source, *e.target}):
        return "special tokens", shown
    iso_source = most(lambda e: _is_date("".join(e.source)))
    iso_target = most(lambda e: _is_date("".join(e.target)))
    if iso_source:
        return ("ISO on both sides" if iso_target else "wrong direction"), shown
    return "", ""


def _in_the_targets(made: _Made) -> tuple[str, str]:
    most = made.most
    shown = f"The first target is {list(made.examples[0].target)}."
    if most(lambda e: len(e.target) == 1):
        return "one target token", shown
    if most(lambda e: any(len(token) > 1 for token in e.target)):
        return "target cut into parts", shown
    if 4 * sum(_is_date("".join(e.target)) for e in made.examples) < 3 * len(made.examples):
        for name, pattern in _UNUSUAL.items():
            if all(re.fullmatch(f"{pattern}|{_ISO}", "".join(e.target)) for e in made.examples):
                others = [e for e in made.examples if not re.fullmatch(_ISO, "".join(e.target))]
                return (name if others else "day before month"), shown
    return "", ""


def _in_the_sources(made: _Made) -> tuple[str, str]:
    most, locale = made.most, made.locale
    example = made.examples[0]
    shown = f"The first source is {list(example.source)}, for {''.join(example.target)}."
    if any(not _is_date("".join(e.target)) for e in made.examples):
        return "", ""
    if not most(lambda e: _says(e, locale, "long", "full")):
        if not most(lambda e: any(c.isalpha() for c in "".join(e.source))):
            return "no words", shown
        styles = ("long", "full", "medium")
        if most(lambda e: _says(e, "en", *styles) or _says(e, "en_GB", *styles)):
            return "English", shown
        for other in _LOCALES:
            if most(partial(_says_in, locale=other)):
                return "another locale", shown
    if not all(_says(e, locale, "long", "full") for e in made.examples) and all(
        _says(e, locale, "long", "full", "medium") for e in made.examples
    ):
        return "no words", shown
    if most(lambda e: len(e.source) == 1):
        return "one source token", shown
    return "", ""


def _in_the_rest(made: _Made) -> tuple[str, str]:
    for example in made.examples:
        if text := _fails(example, made.locale):
            return f"an example that does not fit: {text}", ""
    for example in made.examples:
        if any(place is not None for place in example.alignment):
            return "alignment guessed", f"The first one is {list(example.alignment)}."
        length, n_tokens = example.length, len(example.source)
        if length != n_tokens:
            tokens = "1 token" if n_tokens == 1 else f"{n_tokens} tokens"
            return (
                "another length",
                f"{list(example.source)} has {tokens}, and its length is {length}.",
            )
    if text := _unknown_token(made):
        return ("vocabularies swapped" if _vocabularies_swapped(made) else "unknown token"), text
    return "", ""


def _in_the_split(made: _Made) -> tuple[str, str]:
    train, held_out = made.days
    days = [*train, *held_out]
    counts = f"train has {len(train)} examples and held_out {len(held_out)}; n is {made.n}."
    months, years = ({getattr(day, part) for day in train} for part in ("month", "year"))
    cover = (
        f"The dates to train on are in {len(months)} months and {len(years)} years, from {min(years)} "
        f"to {max(years)}."
    )
    if len(set(days)) == 1:
        return "one date", f"It is {days[0]}."
    if both := set(train) & set(held_out):
        return "seen in training", f"For instance {min(both)} is in both."
    if len(set(train)) < len(train) or len(set(held_out)) < len(held_out):
        return "repeated", f"There are {len(days)} examples of {len(set(days))} dates."
    if (len(train), len(held_out)) != (made.n, made.n // 10):
        return "other counts", counts
    if max(train) < min(held_out) or max(held_out) < min(train):
        return "cut by time", f"The dates to train on go from {min(train)} to {max(train)}."
    quarters = {year // 25 for year in years}  # all four, but for one task in ten million
    decades = {year // 10 for year in years} if made.n >= 300 else range(10)
    if len(months) < 6 or len(years) < 10 or len(quarters) < 4 or len(decades) < 10:
        return "few months or years", cover
    if made.n >= 300 and max(day.day for day in train) < 29:
        return "short months", f"The last day of a month is {max(day.day for day in train)}."
    if out := [day for day in days if not FIRST_DAY <= day <= LAST_DAY]:
        return f"a date that is not from 1950 to 2049: {out[0]}", ""
    return _by_the_seed(made)


def _by_the_seed(made: _Made) -> tuple[str, str]:
    def targets(task: Task) -> list[tuple[str, ...]]:
        return [tuple(example.target) for example in (*task.train, *task.held_out)]

    if targets(made.task) != targets(made.again):
        return "not repeatable", ""
    if set(targets(made.task)) == set(targets(made.other)):
        return "seed ignored", ""
    return "", ""


_GOOD = "a task as it should be"


def look_into(answer: Answer, locale: str, n: int, seed: int) -> Any:
    """Let an answer make a task, and return the first thing that is wrong with it in words."""
    task = answer(locale, n, seed)
    if task is None or task is ...:
        return task
    return _told(answer, task, locale, n, seed)[0]


def _told(answer: Answer, task: Any, locale: str, n: int, seed: int) -> tuple[str, str]:
    if not isinstance(task, Task):
        return f"no Task, but something of type {type(task).__name__}", ""
    made = _Made(task, answer(locale, n, seed), answer(locale, n, seed + 1), locale, n)
    try:
        name, remark = _finding(made)
    except Exception as error:  # whatever was put into the task
        return f"a Task that cannot be read ({type(error).__name__}: {error})"[:150], ""
    return name or _GOOD, remark


def say_where(answer: Answer, case: Case) -> tuple[str, str]:
    """Say more about what is wrong with a task."""
    try:
        with seeded(0):
            return "", _told(answer, answer(*case), *case)[1]
    except (Exception, SystemExit):
        return "", ""
