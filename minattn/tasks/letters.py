"""Lists of random letters: nothing is regular, and what every answer is made from is known beforehand."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from minattn.checks import check_sizes, check_whole
from minattn.tasks.base import Example, Task, check_range
from minattn.vocabulary import Vocabulary

Letters = tuple[str, ...]
Answer = tuple[Letters, tuple[int | None, ...]]
"""The target tokens, and for each the place it comes from, or None if not from one place."""


def reversal(
    n_train: int = 20_000,
    n_held_out_per_length: int = 50,
    min_length: int = 3,
    max_length: int = 20,
    n_symbols: int = 26,
    seed: int = 0,
) -> Task:
    """Make the second task of the book: say a list of random letters backwards.

    Args:
        n_train: how many training examples.
        n_held_out_per_length: how many distinct held-out lists for each length.
        min_length: tokens in the shortest list.
        max_length: tokens in the longest list.
        n_symbols: how many different letters, from 2 to 26.
        seed: the same seed gives the same task.

    Raises:
        ValueError: if a length or a count is out of range.

    >>> example = reversal(n_train=10, n_held_out_per_length=1).train[0]
    >>> example.target == example.source[::-1], example.alignment
    (True, (2, 1, 0))
    """
    return _fetching(
        "reversal",
        lambda n: range(n - 1, -1, -1),
        n_train=n_train,
        n_held_out_per_length=n_held_out_per_length,
        min_length=min_length,
        max_length=max_length,
        n_symbols=n_symbols,
        seed=seed,
    )


def copying(
    n_train: int = 20_000,
    n_held_out_per_length: int = 50,
    min_length: int = 3,
    max_length: int = 20,
    n_symbols: int = 26,
    seed: int = 0,
) -> Task:
    """Say a list of random letters again; the arguments are those of ``reversal``.

    >>> example = copying(n_train=10, n_held_out_per_length=1).train[0]
    >>> example.target == example.source, example.alignment
    (True, (0, 1, 2))
    """
    return _fetching(
        "copying",
        range,
        n_train=n_train,
        n_held_out_per_length=n_held_out_per_length,
        min_length=min_length,
        max_length=max_length,
        n_symbols=n_symbols,
        seed=seed,
    )


def previous_token(
    n_train: int = 20_000,
    n_held_out_per_length: int = 50,
    min_length: int = 3,
    max_length: int = 20,
    n_symbols: int = 26,
    seed: int = 0,
) -> Task:
    """Answer every letter by the one before it, the first by itself; the arguments are those of ``reversal``.

    >>> example = previous_token(n_train=10, n_held_out_per_length=1).train[0]
    >>> example.target == (example.source[0], *example.source[:-1]), example.alignment
    (True, (0, 0, 1))
    """
    return _fetching(
        "previous token",
        lambda n: [0, *range(n - 1)],
        n_train=n_train,
        n_held_out_per_length=n_held_out_per_length,
        min_length=min_length,
        max_length=max_length,
        n_symbols=n_symbols,
        seed=seed,
    )


def repetition(
    n_train: int = 20_000,
    n_held_out_per_length: int = 50,
    min_length: int = 4,
    max_length: int = 12,
    n_symbols: int = 26,
    seed: int = 0,
) -> Task:
    """Say a list of different letters twice; the arguments are those of ``reversal``.

    For a model that reads only the target, the first round cannot be guessed. In the second round every letter
    but the first is known: it followed the same letter in the first round.

    >>> example = repetition(n_train=10, n_held_out_per_length=1).train[0]
    >>> example.target == example.source * 2, example.alignment
    (True, (0, 1, 2, 3, 0, 1, 2, 3))
    """
    check_sizes(max_length=max_length, n_symbols=n_symbols)
    if max_length > n_symbols:
        raise ValueError(
            "no letter comes twice: max_length must be at most n_symbols, "
            f"got {max_length} and {n_symbols}"
        )
    return _fetching(
        "repetition",
        lambda n: [*range(n), *range(n)],
        n_train=n_train,
        n_held_out_per_length=n_held_out_per_length,
        min_length=min_length,
        max_length=max_length,
        n_symbols=n_symbols,
        seed=seed,
        different=True,
    )


def slopes(
    n_train: int = 20_000,
    n_held_out_per_length: int = 50,
    min_length: int = 3,
    max_length: int = 20,
    n_symbols: int = 26,
    seed: int = 0,
) -> Task:
    """Say at every letter whether the alphabet rises there; the arguments are those of ``reversal``.

    The letter after a place is compared with the letter before it: ``rises``, ``falls`` or ``level``. At either
    end the letter itself stands in for the one that is missing. No answer comes from one letter, so there
    is no gold alignment.

    >>> slopes(n_train=10, n_held_out_per_length=1).train[0].length
    3
    """
    rises = {-1: "falls", 0: "level", 1: "rises"}

    def answer(letters: Letters) -> Answer:
        pairs = zip(letters[:1] + letters[:-1], letters[1:] + letters[-1:], strict=True)
        words = tuple(rises[(after > before) - (after < before)] for before, after in pairs)
        return words, (None,) * len(words)

    return _letter_task(
        "slopes",
        answer,
        target=tuple(rises.values()),
        n_train=n_train,
        n_held_out_per_length=n_held_out_per_length,
        min_length=min_length,
        max_length=max_length,
        n_symbols=n_symbols,
        seed=seed,
    )


def _fetching(
    name: str, order: Callable[[int], Sequence[int]], *, different: bool = False, **sizes: Any
) -> Task:
    """Make a task whose every answer is a letter of the source, its place given by the length alone."""

    def answer(letters: Letters) -> Answer:
        places = tuple(order(len(letters)))
        return tuple(letters[place] for place in places), places

    return _letter_task(name, answer, different=different, **sizes)


def _letter_task(
    name: str,
    answer: Callable[[Letters], Answer],
    *,
    target: Letters | None = None,
    different: bool = False,
    n_train: int,
    n_held_out_per_length: int,
    min_length: int,
    max_length: int,
    n_symbols: int,
    seed: int,
) -> Task:
    """Draw lists of letters and answer each; the target language is the letters again if not given."""
    check_whole(0, min_length=min_length, max_length=max_length)
    if not 1 <= min_length <= max_length:
        raise ValueError(
            f"lengths must satisfy 1 <= min_length <= max_length, got {min_length}, {max_length}"
        )
    check_range(2, 26, n_symbols=n_symbols)
    check_sizes(n_train=n_train)
    n_shortest = math.perm(n_symbols, min_length) if different else n_symbols**min_length
    lists = n_shortest if different else f"{n_symbols}**{min_length}"
    half = f" (half of the {lists} shortest lists)"
    check_range(1, n_shortest // 2, half, n_held_out_per_length=n_held_out_per_length)
    check_whole(0, seed=seed)
    rng = random.Random(int(seed))
    symbols = [chr(ord("a") + index) for index in range(n_symbols)]

    def draw(length: int) -> Letters:
        return tuple(rng.sample(symbols, length) if different else rng.choices(symbols, k=length))

    held_out: dict[Letters, None] = {}
    for length in range(min_length, max_length + 1):
        wanted = len(held_out) + n_held_out_per_length
        while len(held_out) < wanted:
            held_out[draw(length)] = None
    train: list[Letters] = []
    while len(train) < n_train:
        letters = draw(min_length + len(train) % (max_length - min_length + 1))
        if letters not in held_out:
            train.append(letters)

    def example(letters: Letters) -> Example:
        return Example(letters, *answer(letters), len(letters))

    source = Vocabulary(symbols)
    return Task(
        name=name,
        source=source,
        target=source if target is None else Vocabulary(target),
        train=tuple(map(example, train)),
        held_out=tuple(map(example, held_out)),
    )
