"""German number words to English or French: a token in front of the source says which."""

import re
from functools import cache

from num2words import num2words

from minattn.tasks.base import Example, Task
from minattn.tasks.german_numbers import (
    MAX_DIGITS,
    check_number,
    draw_numbers,
    number_example,
    number_words,
)
from minattn.vocabulary import Vocabulary

TO_ENGLISH, TO_FRENCH = "<en>", "<fr>"
"""The first token of the source says into which language it is to be translated."""

_FRENCH = (
    "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "vingt vingts trente quarante cinquante soixante cent cents mille million millions "
    "milliard milliards et"
).split()


@cache
def _french_group(group: int, scale: int) -> tuple[str, ...]:
    """Spell ``group * 1000**scale``."""
    return tuple(re.findall("[a-z]+", num2words(group * 1000**scale, lang="fr")))


def french_words(number: int) -> tuple[str, ...]:
    """Spell a number in French, cut at spaces and hyphens.

    Raises:
        ValueError: if the number is outside 1 to 999,999,999,999 or not a whole number.

    >>> french_words(97)
    ('quatre', 'vingt', 'dix', 'sept')
    """
    check_number(number)
    groups = [(scale, number // 1000**scale % 1000) for scale in reversed(range(MAX_DIGITS // 3))]
    return tuple(word for scale, group in groups if group for word in _french_group(group, scale))


def bilingual_example(number: int, language: str) -> Example:
    """Spell one number in German and in one of two other languages.

    The gold alignment is that of ``number_example`` for English. For French there is none: *quatre-vingt-dix-sept*
    and *siebenundneunzig* do not count in the same parts.

    Args:
        number: from 1 to 999,999,999,999.
        language: ``TO_ENGLISH`` or ``TO_FRENCH``.

    Raises:
        ValueError: if the number is out of range, or the language neither of the two.

    >>> bilingual_example(97, TO_FRENCH).source
    ('<fr>', 'sieben', 'und', 'neunzig')
    """
    if language not in (TO_ENGLISH, TO_FRENCH):
        raise ValueError(f"language must be {TO_ENGLISH!r} or {TO_FRENCH!r}, got {language!r}")
    english = number_example(number)
    source = (language, *english.source)
    if language == TO_ENGLISH:
        alignment = tuple(None if place is None else place + 1 for place in english.alignment)
        return Example(source, english.target, alignment, english.length)
    target = french_words(number)
    return Example(source, target, (None,) * len(target), english.length)


def two_languages(
    n_train: int = 20_000,
    n_held_out_per_length: int = 200,
    max_digits: int = MAX_DIGITS,
    seed: int = 0,
) -> Task:
    """Make a task with two target languages, from the numbers of ``number_words``.

    Every number to train on is there in both languages, and the held-out numbers are held out in both.

    Args:
        n_train: how many numbers; there are twice as many examples.
        n_held_out_per_length: how many distinct held-out numbers for each length.
        max_digits: the longest numbers, from 3 to 12 digits.
        seed: the same seed gives the same task.

    Raises:
        ValueError: if a count or ``max_digits`` is out of range.

    References:
        A token for the target language: Johnson et al. 2017, arXiv:1611.04558.

    >>> task = two_languages(n_train=100, n_held_out_per_length=10)
    >>> len(task.train), len(task.held_out)
    (200, 200)
    """
    train, held_out = draw_numbers(n_train, n_held_out_per_length, max_digits, seed)
    german = number_words(n_train=1, n_held_out_per_length=1)
    languages = (TO_ENGLISH, TO_FRENCH)
    return Task(
        name="German number words to English and French",
        source=Vocabulary([*languages, *german.source.tokens[3:]]),
        target=Vocabulary([*german.target.tokens[3:], *_FRENCH]),
        train=tuple(bilingual_example(n, to) for n in train for to in languages),
        held_out=tuple(bilingual_example(n, to) for to in languages for n in held_out),
    )
