"""One number in both notations, in one text: ``vier hundert zwölf tausend ... = 4 1 2 7 4 3``.

Nothing in such a text is a label. But each side can be told from the other, and which word says which digit is
known: a hidden digit has to be looked up at a word, in an order that crosses, for German says units before tens.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from minattn.checks import check_sizes, check_whole
from minattn.pointing import one_right_key
from minattn.tasks.base import check_range
from minattn.tasks.german_numbers import number_example
from minattn.vocabulary import BOS, EOS, Vocabulary, pad

MASK, EQUALS = "<mask>", "="
"""What stands for a hidden token, and what stands between the notations: two more tokens that are special."""

DIGITS = "0123456789"
LENGTHS = 4, 6
"""Numbers have from four to six digits."""

_UNITS = "eins ein zwei drei vier fünf sechs sieben acht neun".split()
_TEENS = "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn".split()
_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()

Spoiler = Callable[[str, random.Random], str | None]
"""Takes right digits and returns wrong ones, or None if these digits cannot be made wrong in its way."""


@dataclass(frozen=True)
class Text:
    """A number in words and in digits.

    Args:
        number: what the words say.
        tokens: the words, ``=``, the digits.
        said_by: for each token the place of the word that says this digit; None for a word, and for a zero that no
            word says. In a text that does not agree it is the word that says what should stand there.
        agrees: whether both sides are the same number.
    """

    number: int
    tokens: tuple[str, ...]
    said_by: tuple[int | None, ...]
    agrees: bool = True


def two_notations_text(number: int, digits: str | None = None) -> Text:
    """Write a number in words and in digits.

    Args:
        number: of four to six digits.
        digits: what to write on the right; the number's own if not given.

    Raises:
        ValueError: if the number has fewer or more digits, or ``digits`` are none, or not as many.

    >>> text = two_notations_text(4023)
    >>> " ".join(text.tokens)
    'vier tausend drei und zwanzig = 4 0 2 3'
    >>> text.said_by[-4:]
    (0, None, 4, 2)
    """
    check_range(10 ** (LENGTHS[0] - 1), 10 ** LENGTHS[1] - 1, number=number)
    right = str(number)
    written = right if digits is None else digits
    if len(written) != len(right) or not set(written) <= set(DIGITS):
        raise ValueError(f"digits must be {len(right)} of {DIGITS}, got {digits!r}")
    words = number_example(number).source
    said_by = _words_by_place(words)
    return Text(
        number=number,
        tokens=(*words, EQUALS, *written),
        said_by=(
            *[None] * (len(words) + 1),
            *[said_by.get(place) for place in reversed(range(len(right)))],
        ),
        agrees=written == right,
    )


def _words_by_place(words: Sequence[str]) -> dict[int, int]:
    """Find for each digit, counted from the right, the word that says it."""
    found: dict[int, int] = {}
    thousands = 0  # 3 in front of "tausend"
    following = ""
    for index in reversed(range(len(words))):
        word = words[index]
        if word == "tausend":
            thousands = 3
        elif following == "hundert":
            found[thousands + 2] = index
        elif word in _UNITS:
            found[thousands] = index
        elif word in _TEENS:
            found[thousands] = found[thousands + 1] = index
        elif word in _TENS:
            found[thousands + 1] = index
        following = word
    return found


def change_a_digit(digits: str, rng: random.Random) -> str:
    """Replace one digit by another; the first never by a zero.

    >>> change_a_digit("4023", random.Random(0))
    '4027'
    """
    place = rng.randrange(len(digits))
    others = [d for d in DIGITS if d != digits[place] and (place or d != "0")]
    return digits[:place] + rng.choice(others) + digits[place + 1 :]


def swap_two_digits(digits: str, rng: random.Random) -> str | None:
    """Swap two neighbours that differ, so that no zero comes first; None if there are no such two.

    >>> swap_two_digits("4023", random.Random(0)), swap_two_digits("4000", random.Random(0))
    ('4032', None)
    """
    places = [
        place
        for place in range(len(digits) - 1)
        if digits[place] != digits[place + 1] and (place or digits[1] != "0")
    ]
    if not places:
        return None
    place = rng.choice(places)
    return digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :]


@dataclass(frozen=True)
class TwoNotations:
    """Numbers to learn from, to choose by and to be tested on, no two the same.

    Args:
        train: the numbers to learn from.
        validation: those that every choice is made on.
        held_out: those that are looked at once.
    """

    train: tuple[int, ...] = field(repr=False)
    validation: tuple[int, ...] = field(repr=False)
    held_out: tuple[int, ...] = field(repr=False)
    vocabulary: Vocabulary = field(
        default_factory=lambda: Vocabulary(
            [MASK, EQUALS, *DIGITS, *_UNITS, *_TEENS, *_TENS, "hundert", "tausend", "und"]
        ),
        compare=False,
    )

    @property
    def mask_id(self) -> int:
        """The id of the token that stands for a hidden one."""
        return self.vocabulary.encode([MASK])[0]

    @property
    def ordinary(self) -> range:
        """The ids of digits and words; those below are special."""
        return range(self.digits.start, len(self.vocabulary))

    @property
    def digits(self) -> range:
        """The ids of the digits, from that of 0 on."""
        zero = self.vocabulary.encode(["0"])[0]
        return range(zero, zero + len(DIGITS))

    def encode(self, texts: Iterable[Text]) -> Int[Tensor, "batch seq"]:
        """Turn texts into ids, each between ``BOS`` and ``EOS``, and pad them."""
        return pad([BOS, *self.vocabulary.encode(text.tokens), EOS] for text in texts)

    def numbers(self, numbers: Iterable[int]) -> Int[Tensor, "batch seq"]:
        """Write right numbers and turn them into ids."""
        return self.encode(two_notations_text(number) for number in numbers)


def truth(texts: Iterable[Text]) -> Bool[Tensor, "batch seq seq"]:
    """Say for every token, ``BOS`` and ``EOS`` counted, where the word stands that says it.

    Returns:
        True at one key for a digit that a word says; rows of all other tokens are False.

    >>> truth([two_notations_text(4023)])[0, 7:11].int().argmax(-1)  # the digits; no word says the 0
    tensor([1, 0, 5, 3])
    """
    texts = list(texts)
    check_sizes(texts=len(texts))
    n = max(len(text.tokens) for text in texts) + 2
    gold = torch.full((len(texts), n), -1)
    for row, text in enumerate(texts):
        for place, word in enumerate(text.said_by):
            if word is not None:
                gold[row, 1 + place] = 1 + word
    return one_right_key(gold, n)


def labelled(
    numbers: Iterable[int], seed: int, spoil: Spoiler = change_a_digit
) -> tuple[tuple[Text, ...], Bool[Tensor, " batch"]]:
    """Write every second number with wrong digits; a number that cannot be spoilt is left out.

    Returns:
        The texts, and for each whether its two sides agree.

    Raises:
        ValueError: if the seed is out of range, or a number.

    >>> texts, agree = labelled([4023, 51_000], seed=0)
    >>> " ".join(texts[0].tokens), agree
    ('vier tausend drei und zwanzig = 4 0 2 7', tensor([False,  True]))
    """
    check_whole(0, seed=seed)
    rng = random.Random(int(seed))
    texts: list[Text] = []
    for number in numbers:
        wrong = spoil(str(number), rng)
        if wrong is not None:
            texts.append(two_notations_text(number, None if len(texts) % 2 else wrong))
    return tuple(texts), torch.tensor([text.agrees for text in texts], dtype=torch.bool)


def two_notations(
    n_train: int = 20_000, n_validation: int = 2_000, n_held_out: int = 2_000, seed: int = 0
) -> TwoNotations:
    """Draw numbers of four to six digits, each length as likely, none of them twice.

    Raises:
        ValueError: if a count or the seed is out of range.

    >>> task = two_notations(n_train=100, n_validation=10, n_held_out=10)
    >>> len(task.train), len(task.held_out), len(task.vocabulary)
    (100, 10, 46)
    """
    check_whole(0, seed=seed)
    half = f" (half of what numbers of {LENGTHS[0]} digits would give)"
    check_range(1, 24_000, half, n_train=n_train)
    check_range(1, 2_000, n_validation=n_validation, n_held_out=n_held_out)
    rng = random.Random(int(seed))
    found: dict[int, None] = {}  # keeps the order
    while len(found) < n_train + n_validation + n_held_out:
        length = rng.randint(*LENGTHS)
        found[rng.randrange(10 ** (length - 1), 10**length)] = None
    drawn = tuple(found)
    end = n_train + n_validation
    return TwoNotations(drawn[:n_train], drawn[n_train:end], drawn[end:])
