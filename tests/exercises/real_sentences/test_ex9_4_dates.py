import random
import re
import sys
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.real_sentences.date_tasks import make_dates
from minattn.exercises.real_sentences.ex9_4_dates import EXERCISE
from minattn.tasks import Example, Task
from minattn.vocabulary import Vocabulary

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def all_days():
    first = date(1950, 1, 1)
    return [first + timedelta(days) for days in range((date(2050, 1, 1) - first).days)]


def dates_by_spaces(locale, n, seed):
    from babel.dates import format_date

    days = all_days()
    random.Random(seed).shuffle(days)
    pairs = [(format_date(day, format="full", locale=locale).split(), str(day)) for day in days]
    words = Vocabulary(sorted({word for source, _ in pairs for word in source}))
    examples = [
        Example(tuple(source), tuple(target), (None,) * 10, len(source))
        for source, target in pairs[: n + n // 10]
    ]
    return Task("dates", words, Vocabulary("0123456789-"), tuple(examples[:n]), tuple(examples[n:]))


def dates_in_characters(locale, n, seed):
    """Cut both sides into characters, with one vocabulary for the two."""
    from babel.dates import format_date

    generator = torch.Generator().manual_seed(seed)
    days = all_days()
    chosen = torch.randperm(len(days), generator=generator)[: n + n // 10]
    examples = []
    for i in chosen.tolist():
        text = format_date(days[i], "long", locale=locale).lower()
        examples.append(Example(list(text), list(days[i].isoformat()), [None] * 10, len(text)))
    tokens = Vocabulary(token for example in examples for token in example.source + example.target)
    return Task("dates", tokens, tokens, examples[: -(n // 10)], examples[-(n // 10) :])


def dates_in_both_styles(locale, n, seed):
    """Draw again whatever is there already; write dates now long, now full, without signs."""
    from babel.dates import format_date

    rng = np.random.default_rng(seed)
    days = {}
    while len(days) < n + n // 10:
        day = date(1950, 1, 1) + timedelta(int(rng.integers(36525)))
        days[day] = None
    examples = []
    for day in days:
        text = format_date(day, ["long", "full"][rng.integers(2)], locale)
        words = tuple(text.replace(",", " ").replace(".", " ").split())
        examples.append(Example(words, tuple(day.strftime("%Y-%m-%d")), (None,) * 10, len(words)))
    source = Vocabulary([token for example in examples for token in example.source])
    target = Vocabulary([token for example in examples for token in example.target])
    return Task(f"dates {locale}", source, target, tuple(examples[:n]), tuple(examples[n:]))


OTHER_WAYS = [dates_by_spaces, dates_in_characters, dates_in_both_styles]


# Wrong ways, written as a learner writes them.


def changed_task(change):
    return lambda locale, n, seed: change(make_dates(locale, n, seed))


def every_example(task, **changes):
    train, held_out = (
        tuple(replace(example, **changes) for example in part)
        for part in (task.train, task.held_out)
    )
    return replace(task, train=train, held_out=held_out)


def with_alignment(task):
    first = replace(task.train[0], alignment=(0, *[None] * 9))
    return replace(task, train=(first, *task.train[1:]))


NEAR_MISSES = [
    ("another_length", changed_task(lambda task: every_example(task, length=1))),
    ("nothing_held_out", changed_task(lambda task: replace(task, held_out=()))),
    ("alignment_guessed", changed_task(with_alignment)),
    ("seed_ignored", lambda locale, n, seed: make_dates(locale, n, 5)),
    ("another_locale", lambda locale, n, seed: make_dates("fr", n, seed)),
    ("english", lambda locale, n, seed: make_dates("en_GB", n, seed)),
    ("other_counts", lambda locale, n, seed: make_dates(locale, n - 1, seed)),
    (
        "seen_in_training",
        changed_task(lambda task: replace(task, held_out=(task.train[3], *task.held_out[1:]))),
    ),
]


# What is said, and what the checker is tried on.


SPOILED = [
    (
        lambda task: replace(task, held_out=task.train[:6]),
        r"For instance \d{4}-\d\d-\d\d is in both\.",
    ),
    (
        lambda task: replace(task, source=Vocabulary("ab")),
        r"'[^']+' is in a source, and not in the vocabulary of the sources\.",
    ),
    (lambda task: replace(task, held_out=()), r"train has 60 examples, held_out 0\."),
    (
        lambda task: every_example(task, length=1),
        r"\[.*\] has \d+ tokens, and its length is 1\.",
    ),
]


@pytest.mark.parametrize(("spoil", "where"), SPOILED)
def test_an_example_of_what_is_wrong_with_a_task_is_shown(spoil, where):
    got = judge(EXERCISE, changed_task(spoil)).where
    assert re.fullmatch(where, got), got


def first_replaced(**changes):
    return changed_task(
        lambda task: replace(task, train=(replace(task.train[0], **changes), *task.train[1:]))
    )


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (changed_task(lambda task: task.train), "no Task, but something of type tuple"),
        (changed_task(lambda task: replace(task, train=(3,))), "a Task that cannot be read"),
        (
            first_replaced(source=("x",)),
            "an example that does not fit: The source 'x' does not say",
        ),
        (first_replaced(target=tuple("2026-02-30")), "'2026-02-30' is no ISO date."),
    ],
)
def test_an_unknown_fault_of_a_task_is_told(answer, got, unchecked):
    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and got in verdict.message, verdict.message


@pytest.mark.rejects
def test_a_missing_babel_is_no_verdict(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package babel.*pip install babel"):
        judge(EXERCISE, make_dates)
