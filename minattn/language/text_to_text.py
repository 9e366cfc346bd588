"""Many tasks on numbers in one: a task word in front of the source says what is to be done.

``german: seven hundred and three`` is ``siebenhundertdrei``, ``sort: 7 0 3`` is ``0 3 7``. A number is held out
from all tasks or from none.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from minattn.checks import check_sizes, check_whole
from minattn.subwords import START, Subwords, learn_subwords
from minattn.tasks.base import Example, Task, check_range
from minattn.tasks.notations import (
    LARGEST,
    LISTS,
    MONTHS,
    NOTATIONS,
    Places,
    Said,
    answer_to,
    date_texts,
    said_words,
    written,
)
from minattn.vocabulary import EOS, Vocabulary, pad

TRANSLATIONS = (
    "english to german",
    "german to english",
    "english to digits",
    "digits to english",
    "german to digits",
    "digits to german",
    "english to french",
    "digits to french",
)
UNTRAINED = "german to french"
"""There is nothing to learn this from, so that it can be asked all the same."""

TASKS = (*TRANSLATIONS, *LISTS, "date")

WORDS = tuple(f"{word}:" for word in (*NOTATIONS, *LISTS, "date"))
"""The first token of a source."""

SENTINELS = tuple(f"<gap {number}>" for number in range(10))
"""Tokens for gaps in a text, see ``minattn.language.spans.corrupt_spans``."""

N_MERGES = 150
_LEARNED_FROM = 400
_SHORT, _LONG, _COUNTED = 3, (5, 6), 3
"""A list has three or four digits, those of a number, or five or six; of these, three are counted for each number."""


@dataclass(frozen=True)
class TextExample(Example):
    """An example that knows its task, and which of its tokens say the same; it has no other alignment.

    Args:
        task: one of ``TASKS``, or ``UNTRAINED``.
        source_says: for each source token what it says, such as the places of digits.
        target_says: the same for each target token.
    """

    task: str = ""
    source_says: tuple[Places, ...] = field(default=(), repr=False)
    target_says: tuple[Places, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class TextToText(Task):
    """All tasks in one, with one vocabulary for what is read and what is written.

    Args:
        validation: examples to choose by.
        pieces: how texts are cut.
        numbers: the numbers to learn from, those to choose by, and those that are held out.
    """

    validation: tuple[TextExample, ...] = field(repr=False, default=())
    pieces: Subwords = field(repr=False, default=Subwords((START,), ()))
    numbers: tuple[tuple[int, ...], ...] = field(repr=False, default=())

    def tokens(self, text: str) -> tuple[str, ...]:
        """Cut a text whose first word may be a task word, such as ``sort: 3 1 2``.

        Raises:
            ValueError: if a character is in no text of the task.
        """
        first, _, rest = text.partition(" ")
        if first in WORDS:
            return (first, *self.pieces.encode(rest))
        return tuple(self.pieces.encode(text))

    def sources(self, texts: Iterable[str]) -> Int[Tensor, "batch source"]:
        """Encode texts for a model to read.

        Raises:
            ValueError: if there is no text, or a character is in no text of the task.
        """
        return pad([[*self.source.encode(self.tokens(text)), EOS] for text in texts])

    def text(self, tokens: Iterable[str]) -> str:
        """Put tokens together to a text again."""
        return self.pieces.decode(tokens)

    def of(self, task: str, examples: Iterable[Example] | None = None) -> tuple[TextExample, ...]:
        """Choose the examples of one task, from those held out if no others are given."""
        given = self.held_out if examples is None else examples
        return tuple(e for e in given if isinstance(e, TextExample) and e.task == task)


def truth(examples: Iterable[TextExample]) -> Bool[Tensor, "batch target source"]:
    """Say where a decoder should look as it writes: at the source tokens that say the same digit.

    Both axes are those of ``task.batch(examples)``: ``target_out`` and ``source``, each with its ``EOS``. For sorting
    every key with the same digit is right. Rows are empty where nobody knows: for tokens that say no digit
    (``hundred``), for French, counts and dates.

    Raises:
        ValueError: if there is no example.
    """
    examples = list(examples)
    check_sizes(examples=len(examples))
    n_target = max(len(example.target) for example in examples) + 1
    n_source = max(len(example.source) for example in examples) + 1
    found = torch.zeros(len(examples), n_target, n_source, dtype=torch.bool)
    for row, example in enumerate(examples):
        for query, asked in enumerate(example.target_says):
            for key, says in enumerate(example.source_says):
                found[row, query, key] = bool(set(asked) & set(says))
    return found


def text_to_text(
    n_train: int = 3000, n_validation: int = 300, n_held_out: int = 500, seed: int = 0
) -> TextToText:
    """Make twelve tasks of some numbers from 1 to 9,999, and a thirteenth that is held out alone.

    Every number gives an example of each task; two of sorting and reversing, its digits and a longer list; and four of
    counting, whose answers are so short that little is learned from each. What is to be learned from never holds the
    digits of a number of the two other parts, neither as a list nor as an answer.

    Args:
        n_train: how many numbers to learn from.
        n_validation: how many to choose by.
        n_held_out: how many others.
        seed: the same seed gives the same task.

    Raises:
        ValueError: if a count or the seed is out of range, or there are not so many numbers.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 2.4, on tasks as texts with a prefix.

    >>> task = text_to_text(n_train=20, n_validation=5, n_held_out=5)
    >>> len(task.train), len(task.held_out), task.text(task.train[0].target)
    (340, 90, 'sechstausenddreihundertzwölf')
    """
    sizes = {"n_train": n_train, "n_validation": n_validation, "n_held_out": n_held_out}
    check_sizes(**sizes)
    check_range(3, LARGEST, n_numbers=sum(sizes.values()))
    check_whole(0, seed=seed)
    rng = random.Random(int(seed))
    drawn = rng.sample(range(1, LARGEST + 1), sum(sizes.values()))
    lists = iter(_long_lists(_COUNTED * len(drawn), rng))
    longer = list(zip(*[lists] * _COUNTED, strict=True))
    ends = [0, *accumulate(sizes.values())]
    train, validation, held_out = (
        list(zip(drawn[a:b], longer[a:b], strict=True)) for a, b in pairwise(ends)
    )
    pieces = learn_subwords(_texts(number for number, _ in train[:_LEARNED_FROM]), N_MERGES)
    unseen = {str(number) for number, _ in (*validation, *held_out)}
    words = Vocabulary([*WORDS, *SENTINELS, *pieces.tokens])

    def examples(part: list[tuple[int, tuple[str, ...]]], *more: str) -> tuple[TextExample, ...]:
        avoid = unseen if part is train else set()
        tasks = (*TASKS, *more)
        return tuple(e for drawn in part for e in _examples(*drawn, pieces, rng, avoid, tasks))

    return TextToText(
        name="text to text",
        source=words,
        target=words,
        train=examples(train),
        held_out=examples(held_out, UNTRAINED),
        validation=examples(validation),
        pieces=pieces,
        numbers=tuple(tuple(n for n, _ in part) for part in (train, validation, held_out)),
    )


def _long_lists(n: int, rng: random.Random) -> list[str]:
    """Draw lists of five or six digits, none twice."""
    found: dict[str, None] = {}  # keeps the order
    while len(found) < n:
        found["".join(rng.choices("0123456789", k=rng.randint(*_LONG)))] = None
    return list(found)


def _texts(numbers: Iterable[int]) -> list[str]:
    """Write what pieces are learned from."""
    texts = [written(number, notation) for number in numbers for notation in NOTATIONS]
    return [*texts, *MONTHS * 10, *["- 0 1 2 3 4 5 6 7 8 9"] * 100]


def _examples(
    number: int,
    longer: tuple[str, ...],
    pieces: Subwords,
    rng: random.Random,
    unseen: set[str],
    tasks: Sequence[str],
) -> Iterator[TextExample]:
    """Make the examples of one number."""
    cut = {notation: _cut(number, notation, pieces) for notation in NOTATIONS}
    digits = str(number)
    answers = {digits[::-1], "".join(sorted(digits))}
    may = len(digits) >= _SHORT and not answers & unseen
    for task in tasks:
        if task in LISTS:
            shown = longer if task == "count" else longer[:1]
            yield from (_list_example(task, each) for each in [digits] * may + [*shown])
        elif task == "date":
            texts = date_texts(number, rng.randint(1, 12), rng.randint(1, 28))
            source, target = ([(token, ()) for token in pieces.encode(text)] for text in texts)
            yield _example(task, "date", source, target)
        else:
            a, b = task.split(" to ")
            yield _example(task, b, cut[a], cut[b])


def _example(task: str, word: str, source: Sequence[Said], target: Sequence[Said]) -> TextExample:
    """Put the task word in front."""
    return TextExample(
        source=(f"{word}:", *(token for token, _ in source)),
        target=tuple(token for token, _ in target),
        alignment=(None,) * len(target),
        length=len(target),
        task=task,
        source_says=((), *(says for _, says in source)),
        target_says=tuple(says for _, says in target),
    )


def _list_example(task: str, digits: str) -> TextExample:
    """Make an example of a list; in sorting any token says as much as another with the same digit."""
    answer = answer_to(task, digits)
    says: dict[str, tuple[Sequence[Places], Sequence[Places]]] = {
        "sort": ([(int(digit),) for digit in digits], [(int(digit),) for digit in answer]),
        "reverse": ([(i,) for i in range(len(digits))], [(i,) for i in range(len(digits))][::-1]),
        "count": ([()] * len(digits), [()] * len(answer)),
    }
    tokens = [START + digit for digit in digits], [START + digit for digit in answer]
    source, target = (
        list(zip(*pair, strict=True)) for pair in zip(tokens, says[task], strict=True)
    )
    return _example(task, task, source, target)


def _cut(number: int, notation: str, pieces: Subwords) -> list[Said]:
    """Cut a number into pieces, and find which digits every piece says: those of the word that most of it is of."""
    words = said_words(number, notation)
    gap = 0 if notation == "german" else 1
    owner = [i for i, (word, _) in enumerate(words) for _ in range(gap + len(word))]
    owner = owner if gap else [0, *owner]  # the mark in front of all
    found, start = [], 0
    for piece in pieces.encode(written(number, notation)):
        inside = owner[start : start + len(piece)]
        found.append((piece, words[max(inside, key=inside.count)][1]))
        start += len(piece)
    return found
