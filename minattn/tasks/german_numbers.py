"""German number words to English: ``drei und zwanzig`` to ``twenty three``.

The words come from the num2words library. German says the units before the tens, so a right alignment has
to cross, and it is known from the digits: every word says one digit, or one power of ten.
"""

import random
import re
from collections.abc import Iterable
from functools import cache

from num2words import num2words

from minattn.checks import check_sizes, check_whole
from minattn.tasks.base import Example, Task, check_range
from minattn.vocabulary import Vocabulary

MAX_DIGITS = 12
"""Numbers have up to twelve digits, so the largest scale is the Milliarde, 1,000,000,000."""

_GERMAN = (
    "eins eine ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig siebzig "
    "achtzig neunzig hundert tausend Millionen Million Milliarden Milliarde und"
).split()
_ENGLISH = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
    "hundred thousand million billion and"
).split()

_SMALL = dict(zip(_ENGLISH[:27], [*range(1, 20), *range(20, 100, 10)], strict=True))
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}

# Longest first: "dreizehn" is one morpheme, not "drei" and "zehn", and "Millionen" is not "Million" and "en".
_MORPHEME = re.compile("|".join(sorted(_GERMAN, key=len, reverse=True)))

_Tagged = tuple[tuple[str, str | None], ...]


def _roles(group: int, language: str) -> list[str | None]:
    """Name what each word of a number below 1000 says: which digit, or nothing ("and", "und")."""
    hundreds, rest = divmod(group, 100)
    _tens, units = divmod(rest, 10)
    roles: list[str | None] = ["hundreds", "hundred"] if hundreds else []
    if hundreds and rest and language == "en":
        roles.append(None)
    if rest < 20:
        return [*roles, "units"] if rest else roles
    if not units:
        return [*roles, "tens"]
    return [*roles, *(["units", None, "tens"] if language == "de" else ["tens", "units"])]


@cache
def _spell_group(group: int, scale: int, language: str) -> _Tagged:
    """Spell ``group * 1000**scale``, each word with its role; num2words is slow, and there are few groups."""
    text = num2words(group * 1000**scale, lang=language)
    words = _MORPHEME.findall(text) if language == "de" else re.findall("[a-z]+", text)
    roles = [*_roles(group, language), *(["scale"] if scale else [])]
    return tuple(
        (word, role and f"{scale} {role}") for word, role in zip(words, roles, strict=True)
    )


def _spell(number: int, language: str) -> _Tagged:
    """Spell a number, group by group of three digits."""
    groups = [(scale, number // 1000**scale % 1000) for scale in reversed(range(MAX_DIGITS // 3))]
    words: list[tuple[str, str | None]] = []
    for scale, group in groups:
        if group:
            if language == "en" and scale == 0 and group < 100 and words:
                words.append(("and", None))
            words.extend(_spell_group(group, scale, language))
    return tuple(words)


def number_example(number: int) -> Example:
    """Spell one number in German and English, with the alignment of the words.

    German is cut into morphemes, English at spaces and hyphens. The English "and" has no counterpart.

    Args:
        number: from 1 to 999,999,999,999.

    Raises:
        ValueError: if the number is outside that range or not a whole number.

    >>> example = number_example(723)
    >>> example.source
    ('sieben', 'hundert', 'drei', 'und', 'zwanzig')
    >>> example.target
    ('seven', 'hundred', 'and', 'twenty', 'three')
    >>> example.alignment
    (0, 1, None, 4, 2)
    """
    check_number(number)
    german, english = _spell(number, "de"), _spell(number, "en")
    position = {role: index for index, (_, role) in enumerate(german) if role is not None}
    return Example(
        source=tuple(word for word, _ in german),
        target=tuple(word for word, _ in english),
        alignment=tuple(None if role is None else position[role] for _, role in english),
        length=len(str(number)),
    )


def check_number(number: int) -> None:
    """Check that a number has words here.

    Raises:
        ValueError: if it is outside 1 to 999,999,999,999 or not a whole number.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 10**MAX_DIGITS:
        raise ValueError(
            f"a number must be a whole number in 1..{10**MAX_DIGITS - 1}, got {number!r}"
        )


def draw_numbers(
    n_train: int, n_held_out_per_length: int, max_digits: int, seed: int
) -> tuple[list[int], list[int]]:
    """Draw the numbers of ``number_words``, which see: first those to train on, then those that are held out.

    Raises:
        ValueError: if a count, ``max_digits`` or the seed is out of range.
        TypeError: if one is no whole number.
    """
    check_range(3, MAX_DIGITS, max_digits=max_digits)
    check_sizes(n_train=n_train)
    half = " (half of the 900 numbers with three digits)"
    check_range(1, 450, half, n_held_out_per_length=n_held_out_per_length)
    check_whole(0, seed=seed)
    rng = random.Random(int(seed))
    held_out: list[int] = []
    for digits in range(3, max_digits + 1):
        held_out.extend(rng.sample(range(10 ** (digits - 1), 10**digits), n_held_out_per_length))
    forbidden = set(held_out)
    train: list[int] = []
    while len(train) < n_train:
        digits = len(train) % max_digits + 1
        number = rng.randrange(10 ** (digits - 1), 10**digits)
        if number not in forbidden:
            train.append(number)
    return train, held_out


def number_words(
    n_train: int = 20_000,
    n_held_out_per_length: int = 200,
    max_digits: int = MAX_DIGITS,
    seed: int = 0,
) -> Task:
    """Make the running task of the book: German number words to English.

    Held-out numbers are drawn first, from three digits on (there are too few numbers with one digit or two);
    training numbers are drawn from the rest, each length from 1 to ``max_digits`` equally often.

    Args:
        n_train: how many training examples; short numbers occur several times.
        n_held_out_per_length: how many distinct held-out numbers for each length.
        max_digits: the longest numbers, from 3 to 12 digits.
        seed: the same seed gives the same task.

    Raises:
        ValueError: if a count or ``max_digits`` is out of range.

    >>> task = number_words(n_train=100, n_held_out_per_length=10)
    >>> len(task.train), len(task.held_out), task.held_out[0].length
    (100, 100, 3)
    """
    train, held_out = draw_numbers(n_train, n_held_out_per_length, max_digits, seed)
    return Task(
        name="German number words to English",
        source=Vocabulary(_GERMAN),
        target=Vocabulary(_ENGLISH),
        train=tuple(number_example(number) for number in train),
        held_out=tuple(number_example(number) for number in held_out),
    )


def read_number(words: Iterable[str]) -> int | None:
    """Read a number written in English words.

    Args:
        words: as in the targets of ``number_words``.

    Returns:
        The number; None if the words are not exactly how a number of 1 to 12 digits is written.

    Raises:
        TypeError: if one string is given instead of its words.

    >>> read_number(["three", "hundred", "and", "twenty", "one"])
    321
    >>> read_number(["twenty", "thirty"]) is None
    True
    """
    if isinstance(words, str):
        raise TypeError(f"words must be a list of words, got the string {words!r}; split it first")
    words = tuple(words)  # an iterator can be read once
    total = group = 0
    for word in words:
        if word in _SMALL:
            group += _SMALL[word]
        elif word == "hundred":
            group *= 100
        elif word in _SCALES:
            total, group = total + group * _SCALES[word], 0
    number = total + group
    if not 0 < number < 10**MAX_DIGITS or number_example(number).target != words:
        return None
    return number
