"""Exercise 9.4: dates in words, in your language."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.exercises.real_sentences.date_findings import look_into, say_where
from minattn.exercises.real_sentences.date_tasks import (
    Days,
    babel_dates,
    cut_after,
    dates_with,
    drawn_days,
    iso_of,
    make_dates,
    one_vocabulary_each,
    words_of,
    written,
)
from minattn.tasks.base import Example, Task
from minattn.vocabulary import SPECIALS, Vocabulary


def _date_cases() -> list[Case]:
    babel_dates()
    return [("de", 60, 0), ("hu", 87, 3), ("fr", 300, 7)]


def _days_of(
    draw: Callable[[int, int], list[date]],
) -> Callable[[int, int], Days]:
    """Draw dates in some way; the first n are to train on."""
    return lambda n, seed: cut_after(draw(n, seed), n)


def _held_out_of_train(n: int, seed: int) -> Days:
    train, _ = cut_after(drawn_days(n, seed), n)
    return train, train[: n // 10]


def _drawn_twice(n: int, seed: int) -> Days:
    train, _ = cut_after(drawn_days(n, seed), n)
    return train, [*train[-1:], *drawn_days(n, seed + 1)[1 : n // 10]]


def _consecutive(n: int, seed: int) -> list[date]:
    first = date(2000 + seed % 9, 1, 1)
    days = [first + timedelta(number) for number in range(n + n // 10)]
    return random.Random(seed).sample(days, len(days))


def _of_one_part(n: int, seed: int) -> list[date]:
    """Draw from the Januaries of all years."""
    days = [date(year, 1, day) for year in range(1950, 2050) for day in range(1, 32)]
    return random.Random(seed).sample(days, n + n // 10)


def _of_years(n: int, seed: int, first: int, last: int) -> list[date]:
    return drawn_days(n, seed, date(first, 1, 1), date(last, 12, 31))


def _up_to_28(n: int, seed: int) -> list[date]:
    days = [
        date(year, month, day)
        for year in range(1950, 2050)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    return random.Random(seed).sample(days, n + n // 10)


def _with_repetition(n: int, seed: int) -> Days:
    days = drawn_days(n, seed)
    return [*days[: n - 2], *days[:2]], days[n:]


def _unseeded(n: int, seed: int) -> list[date]:
    return drawn_days(n, random.SystemRandom().randrange(10**9))


def _from_training_only(train: Sequence[Example], held_out: Sequence[Example]) -> Any:
    return one_vocabulary_each(train, [])


def _ordinary_only(train: Sequence[Example], held_out: Sequence[Example]) -> Any:
    """Make the vocabularies without special tokens, which are in every one."""

    def ordinary(example: Example) -> Example:
        source, target = (
            tuple(token for token in side if token not in SPECIALS)
            for side in (example.source, example.target)
        )
        return Example(source, target, (None,) * len(target), example.length)

    return one_vocabulary_each([*map(ordinary, train)], [*map(ordinary, held_out)])


def _without(train: Sequence[Example], held_out: Sequence[Example], signs: str) -> Any:
    """Make the vocabularies and forget some tokens."""
    return tuple(
        Vocabulary(token for token in vocabulary.tokens[3:] if token not in signs)
        for vocabulary in one_vocabulary_each(train, held_out)
    )


def _turned_round(task: Task) -> Task:
    """Let sources and targets change places."""

    def turned(example: Example) -> Example:
        target = example.source
        return Example(example.target, target, (None,) * len(target), example.length)

    train, held_out = (tuple(map(turned, part)) for part in (task.train, task.held_out))
    return replace(task, source=task.target, target=task.source, train=train, held_out=held_out)


def _by_spaces(day: date, locale: str) -> tuple[str, ...]:
    return tuple(written(day, locale).split())


EXERCISE = Exercise(
    number="9.4",
    title="Dates in words, in your language",
    solution=make_dates,
    cases=_date_cases,
    locate=say_where,
    trial=look_into,
    mistakes=[
        Mistake(
            "nothing_held_out",
            dates_with(days=lambda n, seed: (drawn_days(n, seed)[:n], [])),
            "Nothing is held out, or nothing is left to train on. Without dates that the model has never "
            "seen nobody can tell whether it learned to read dates or learned them by heart.",
            also=[dates_with(days=lambda n, seed: ([], drawn_days(n, seed)[:n]))],
        ),
        Mistake(
            "seen_in_training",
            dates_with(days=_held_out_of_train),
            "A held-out date is also in training. Then the accuracy says how well the model remembers. Draw "
            "all dates at once, all different, and cut the list.",
            also=[dates_with(days=_drawn_twice)],
        ),
        Mistake(
            "day_first",
            dates_with(target=lambda day: tuple(day.strftime("%d-%m-%Y"))),
            "The target does not begin with the year. An ISO date goes from large to small: year, month, "
            "day. Written so, dates sort like numbers.",
            also=[
                dates_with(target=lambda day: tuple(day.strftime("%m-%d-%Y"))),
                dates_with(target=lambda day: tuple(f"{day.day}-{day.month}-{day.year}")),
            ],
        ),
        Mistake(
            "day_before_month",
            dates_with(target=lambda day: tuple(day.strftime("%Y-%d-%m"))),
            "In the target the day comes before the month. After the year comes the month.",
        ),
        Mistake(
            "no_zeros",
            dates_with(target=lambda day: tuple(f"{day.year}-{day.month}-{day.day}")),
            "Months and days below 10 have one digit. In an ISO date they are filled up with a zero, so "
            "that it always has ten characters.",
        ),
        Mistake(
            "no_hyphens",
            dates_with(target=lambda day: tuple(day.strftime("%Y%m%d"))),
            "The hyphens are missing, or other signs stand in their place. The targets here are written "
            "2026-11-21, and the hyphens are tokens too.",
            also=[
                dates_with(target=lambda day: tuple(day.strftime("%Y/%m/%d"))),
                dates_with(target=lambda day: tuple(day.strftime("%Y.%m.%d"))),
                dates_with(target=lambda day: tuple(day.strftime("%Y %m %d"))),
            ],
        ),
        Mistake(
            "one_target_token",
            dates_with(target=lambda day: (day.isoformat(),)),
            "The whole date is one token of the target. A held-out date is then a token that was never "
            "trained, and nothing could be carried over to it. Cut it into characters.",
        ),
        Mistake(
            "target_cut_into_parts",
            dates_with(target=lambda day: tuple(re.findall(r"\d+|-", day.isoformat()))),
            "The target is cut into years, months and days. Cut it into characters, so that ten digits and "
            "a hyphen are enough for every date there is: tuple of a string does that.",
            also=[
                dates_with(target=lambda day: tuple(day.isoformat().split("-"))),
                dates_with(
                    target=lambda day: (*str(day.year), "-", *day.isoformat()[5:].split("-"))
                ),
                dates_with(target=lambda day: (f"{day.year}", *day.isoformat()[4:])),
            ],
        ),
        Mistake(
            "strings",
            dates_with(
                source=written,
                target=lambda day: day.isoformat(),
                vocabularies=lambda train, held_out: (Vocabulary("ab"), Vocabulary("01")),
            ),
            "Source or target is a string. An example has tuples of tokens: cut the text first, for "
            "instance with split or with a regular expression.",
            also=[
                dates_with(source=written),
                dates_with(target=lambda day: day.isoformat()),
            ],
        ),
        Mistake(
            "special_tokens",
            dates_with(
                target=lambda day: ("<bos>", *day.isoformat(), "<eos>"),
                vocabularies=_ordinary_only,
            ),
            "Special tokens are among the words. The batch puts begin, end and padding where they belong; "
            "an example has nothing but its own tokens.",
            also=[
                dates_with(
                    source=lambda day, locale: (*words_of(day, locale), "<eos>"),
                    vocabularies=_ordinary_only,
                ),
            ],
        ),
        Mistake(
            "wrong_direction",
            lambda locale, n, seed: _turned_round(make_dates(locale, n, seed)),
            "The source is the ISO date and the target has the words. The task goes the other way: it reads "
            "words and writes an ISO date.",
        ),
        Mistake(
            "iso_on_both_sides",
            dates_with(source=lambda day, locale: iso_of(day)),
            "The source is the ISO date itself, so the model only has to copy. The source is the date in "
            "words, as babel writes it.",
            also=[dates_with(source=lambda day, locale: (day.isoformat(),))],
        ),
        Mistake(
            "no_words",
            dates_with(source=lambda day, locale: words_of(day, locale, "short")),
            'The month is a number in the source, or shortened. Ask babel for the format "long" or '
            '"full"; "medium" is what it takes if nothing is said.',
            also=[dates_with(source=lambda day, locale: words_of(day, locale, "medium"))],
        ),
        Mistake(
            "english",
            dates_with(source=lambda day, locale: words_of(day, "en")),
            "The words are English in every language. babel has to be told the locale, and strftime does "
            "not know it.",
            also=[
                dates_with(source=lambda day, locale: words_of(day, "en", "full")),
                dates_with(source=lambda day, locale: tuple(day.strftime("%B %d, %Y").split())),
                dates_with(source=lambda day, locale: words_of(day, "en", "medium")),
            ],
        ),
        Mistake(
            "another_locale",
            dates_with(source=lambda day, locale: words_of(day, "de")),
            "The words are always of the same language. Use the locale that is given.",
            also=[
                dates_with(source=lambda day, locale: words_of(day, "fr")),
                dates_with(source=lambda day, locale: words_of(day, "hu")),
                dates_with(source=lambda day, locale: words_of(day, "es")),
            ],
        ),
        Mistake(
            "one_source_token",
            dates_with(source=lambda day, locale: (written(day, locale),)),
            "The whole date is one token of the source. Then a held-out date is a token that was never "
            "trained. Cut it, so that the parts of new dates are known from others.",
        ),
        Mistake(
            "alignment_length",
            dates_with(alignment=lambda source, target: ()),
            "The alignment has the wrong length. It has one entry for each token of the target, here None "
            "for all: (None,) * len(target).",
            also=[
                dates_with(alignment=lambda source, target: (None,)),
                dates_with(alignment=lambda source, target: None),
                dates_with(alignment=lambda source, target: (None,) * len(source)),
                dates_with(
                    source=_by_spaces,
                    alignment=lambda source, target: (None,) * len(source),
                ),
            ],
        ),
        Mistake(
            "alignment_guessed",
            dates_with(alignment=lambda source, target: tuple(range(len(target)))),
            "There are places in the alignment. It says which word a token truly comes from, and here "
            "nobody has written that down: None for every token.",
            also=[dates_with(alignment=lambda source, target: (0,) * len(target))],
        ),
        Mistake(
            "another_length",
            dates_with(length=lambda source, target: 1),
            "The length of an example is not the number of its source tokens. Accuracy is told apart by it: "
            "len(source), counted after the text was cut.",
            also=[
                dates_with(length=lambda source, target: len(target)),
                dates_with(length=lambda source, target: len("".join(source))),
                dates_with(length=lambda source, target: len(source) + len(target)),
                dates_with(length=lambda source, target: len(source) + 1),
                dates_with(length=lambda source, target: 0),
            ],
        ),
        Mistake(
            "unknown_token",
            dates_with(source=_by_spaces, vocabularies=_from_training_only),
            "A token is missing in its vocabulary, and make_batch would stop there. Make the vocabulary "
            "from all examples, the held-out ones too: that a word exists is no secret.",
            also=[
                dates_with(vocabularies=partial(_without, signs="-")),
                dates_with(vocabularies=partial(_without, signs="09.")),
            ],
        ),
        Mistake(
            "vocabularies_swapped",
            dates_with(
                vocabularies=lambda train, held_out: one_vocabulary_each(train, held_out)[::-1]
            ),
            "The two vocabularies have changed places. First that of the source, which has the words, then "
            "that of the target.",
        ),
        Mistake(
            "one_date",
            dates_with(
                days=lambda n, seed: cut_after([drawn_days(n, seed)[0]] * (n + n // 10), n),
            ),
            "All examples have the same date. Is it drawn inside the loop, and by one generator that is "
            "made before the loop? A generator that is made anew with the same seed begins anew.",
        ),
        Mistake(
            "repeated",
            dates_with(days=_with_repetition),
            "Some dates are there more than once. That makes fewer different ones than you were asked for, "
            "and sooner or later one is in both parts. Draw without putting back: random.sample.",
        ),
        Mistake(
            "other_counts",
            dates_with(days=lambda n, seed: cut_after(drawn_days(n, seed)[:n], n - n // 10)),
            "The numbers of examples are not those that were asked for: n to train on, and n // 10 more "
            "that are held out.",
            also=[
                dates_with(days=lambda n, seed: cut_after(drawn_days(n, seed), n // 10)),
                dates_with(days=lambda n, seed: cut_after(drawn_days(2 * n, seed), n)),
                dates_with(
                    days=lambda n, seed: cut_after(drawn_days(2 * n, seed)[: -(-11 * n // 10)], n)
                ),
                dates_with(
                    days=lambda n, seed: cut_after(drawn_days(2 * n, seed)[: n + round(n / 10)], n)
                ),
            ],
        ),
        Mistake(
            "cut_by_time",
            dates_with(days=lambda n, seed: cut_after(sorted(drawn_days(n, seed)), n)),
            "The held-out dates are all later than those to train on, or all earlier. So they have years "
            "that the model never sees. Sometimes that is the question; here both parts should be drawn "
            "from all years. Shuffle before you cut.",
            also=[dates_with(days=_days_of(lambda n, seed: sorted(_consecutive(n, seed))))],
        ),
        Mistake(
            "few_months_or_years",
            dates_with(days=_days_of(_consecutive)),
            "The dates cover some months or years only. What the model never reads it cannot learn. Draw "
            "from all days from 1950 to 2049.",
            also=[
                dates_with(days=_days_of(_of_one_part)),
                dates_with(days=_days_of(partial(_of_years, first=2000, last=2049))),
                dates_with(days=_days_of(partial(_of_years, first=1950, last=1999))),
                dates_with(days=_days_of(partial(_of_years, first=1970, last=2037))),
                dates_with(days=_days_of(partial(_of_years, first=1950, last=2030))),
            ],
        ),
        Mistake(
            "no_end_of_the_month",
            dates_with(days=_days_of(_up_to_28)),
            "No date has a day above 28. That avoids 30 February, and it also leaves out the end of every "
            "month. Count days from a first date: date + timedelta knows the calendar.",
        ),
        Mistake(
            "not_repeatable",
            dates_with(days=_days_of(_unseeded)),
            "Called twice with the same seed, it makes two tasks. Nobody could check your result then. Make "
            "a generator from the seed, random.Random(seed), and draw from nothing else.",
        ),
        Mistake(
            "seed_ignored",
            dates_with(days=_days_of(lambda n, seed: drawn_days(n, 0))),
            "Another seed gives the same dates. Use it when you make the generator: random.Random(seed).",
        ),
    ],
)
