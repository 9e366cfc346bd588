"""Numbers up to 9,999 in four notations, dates in two, and what can be done with a list of digits (chapter 12)."""

from collections.abc import Sequence
from functools import cache

from minattn.tasks.base import check_range
from minattn.tasks.german_numbers import number_example
from minattn.tasks.two_languages import french_words

NOTATIONS = ("english", "german", "french", "digits")
"""How a number can be written."""

LISTS = ("sort", "reverse", "count")
"""What is done with digits: sort them, turn them round, count the odd ones and the even ones."""

LARGEST = 9999
MONTHS = (
    "january february march april may june july august september october november december"
).split()
_TEENS = {
    *"ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),
    *"zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn".split(),
}
_TENS = {
    *"twenty thirty forty fifty sixty seventy eighty ninety".split(),
    *"zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(),
}
_SILENT = {"hundred", "thousand", "and", "hundert", "tausend", "und"}

Places = tuple[int, ...]
"""Which digits of a number a token says, counted from the right; none for ``hundred`` and ``and``."""

Said = tuple[str, Places]


def written(number: int, notation: str) -> str:
    """Write a number.

    Args:
        number: from 1 to 9,999.
        notation: one of ``NOTATIONS``.

    Raises:
        ValueError: if the number is out of range, or there is no such notation.

    >>> for notation in NOTATIONS:
    ...     written(723, notation)
    'seven hundred and twenty three'
    'siebenhundertdreiundzwanzig'
    'sept cent vingt trois'
    '7 2 3'
    """
    blank = "" if notation == "german" else " "
    return blank.join(word for word, _ in said_words(number, notation))


def date_texts(year: int, month: int, day: int) -> tuple[str, str]:
    """Write a date in figures, and with the name of its month.

    Raises:
        ValueError: if the year, the month or the day is out of range.

    >>> date_texts(1984, 3, 7)
    ('1 9 8 4 - 0 3 - 0 7', '7 march 1 9 8 4')
    """
    check_range(1, LARGEST, year=year)
    check_range(1, 12, month=month)
    check_range(1, 31, day=day)
    figures = f"{year}-{month:02}-{day:02}"
    return " ".join(figures), " ".join([*str(day), MONTHS[month - 1], *str(year)])


def answer_to(task: str, digits: Sequence[str]) -> tuple[str, ...]:
    """Do with a list what a task asks for.

    Raises:
        ValueError: if it is no task on lists.

    >>> [" ".join(answer_to(task, "7403")) for task in LISTS]
    ['0 3 4 7', '3 0 4 7', '2 2']
    """
    if task == "sort":
        return tuple(sorted(digits))
    if task == "reverse":
        return tuple(reversed(digits))
    if task == "count":
        odd = sum(int(digit) % 2 for digit in digits)
        return str(odd), str(len(digits) - odd)
    raise ValueError(f"task must be one of {LISTS}, got {task!r}")


@cache
def said_words(number: int, notation: str) -> tuple[Said, ...]:
    """Write a number word by word, each with the places of the digits that it says.

    Args:
        number: from 1 to 9,999.
        notation: one of ``NOTATIONS``; in French no word has a place, for they do not count by tens alone.

    Raises:
        ValueError: if the number is out of range, or there is no such notation.

    >>> said_words(4013, "english")
    (('four', (3,)), ('thousand', ()), ('and', ()), ('thirteen', (0, 1)))
    """
    check_range(1, LARGEST, number=number)
    if notation == "digits":
        digits = str(number)
        return tuple((digit, (len(digits) - 1 - i,)) for i, digit in enumerate(digits))
    if notation == "french":
        return tuple((word, ()) for word in french_words(number))
    if notation not in NOTATIONS:
        raise ValueError(f"notation must be one of {NOTATIONS}, got {notation!r}")
    example = number_example(number)
    words = example.source if notation == "german" else example.target
    following = (*words[1:], "")
    return tuple((word, _places(word, then)) for word, then in zip(words, following, strict=True))


def _places(word: str, following: str) -> Places:
    """Say which digits a word says: ``nine`` the last one, in front of ``hundred`` the third from the right."""
    if word in _SILENT:
        return ()
    if word in _TENS:
        return (1,)
    if word in _TEENS:
        return (0, 1)
    return ({"hundred": 2, "hundert": 2, "thousand": 3, "tausend": 3}.get(following, 0),)
