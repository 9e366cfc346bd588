"""Reverse a list of random tokens: the alignment is the anti-diagonal, and nothing is regular."""

import random

from minattn.tasks.base import Example, Task
from minattn.vocabulary import Vocabulary


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
    if not 1 <= min_length <= max_length:
        raise ValueError(
            f"lengths must satisfy 1 <= min_length <= max_length, got {min_length}, {max_length}"
        )
    if not 2 <= n_symbols <= 26:
        raise ValueError(f"n_symbols must be in 2..26, got {n_symbols}")
    if n_train < 1:
        raise ValueError(f"n_train must be at least 1, got {n_train}")
    if not 1 <= n_held_out_per_length <= n_symbols**min_length // 2:
        raise ValueError(
            f"n_held_out_per_length must be in 1..{n_symbols**min_length // 2} "
            f"(half of the {n_symbols}**{min_length} shortest lists), got {n_held_out_per_length}"
        )
    rng = random.Random(seed)
    symbols = [chr(ord("a") + index) for index in range(n_symbols)]

    def draw(length: int) -> tuple[str, ...]:
        return tuple(rng.choices(symbols, k=length))

    held_out: dict[tuple[str, ...], None] = {}
    for length in range(min_length, max_length + 1):
        wanted = len(held_out) + n_held_out_per_length
        while len(held_out) < wanted:
            held_out[draw(length)] = None
    train: list[tuple[str, ...]] = []
    while len(train) < n_train:
        letters = draw(min_length + len(train) % (max_length - min_length + 1))
        if letters not in held_out:
            train.append(letters)

    def example(letters: tuple[str, ...]) -> Example:
        n = len(letters)
        return Example(letters, letters[::-1], tuple(range(n - 1, -1, -1)), n)

    vocabulary = Vocabulary(symbols)
    return Task(
        name="reversal",
        source=vocabulary,
        target=vocabulary,
        train=tuple(map(example, train)),
        held_out=tuple(map(example, held_out)),
    )
