"""The shape that every task has: examples with a gold alignment, split into training and held out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from minattn.checks import check_whole
from minattn.vocabulary import Batch, Vocabulary, make_batch


@dataclass(frozen=True)
class Example:
    """One sentence pair and what is known about it.

    Args:
        source: the source tokens.
        target: the target tokens.
        alignment: for each target token the position of the source token it translates, or None where it
            has no counterpart.
        length: the length that accuracy is reported against (digits of a number, tokens of a list).

    Raises:
        ValueError: if the alignment has another length than the target or leads out of the source, or the length is
            below 0.
        TypeError: if a sentence is a string instead of its tokens, or a position or length no whole number.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    alignment: tuple[int | None, ...]
    length: int

    def __post_init__(self) -> None:
        for side in ("source", "target", "alignment"):
            given = getattr(self, side)
            if isinstance(given, str):
                raise TypeError(f"{side} must be a tuple of tokens, got the string {given!r}")
            object.__setattr__(self, side, tuple(given))
        check_whole(0, length=self.length)
        if len(self.alignment) != len(self.target):
            raise ValueError(
                "an alignment has one entry per target token, "
                f"got {len(self.alignment)} entries for {len(self.target)} tokens"
            )
        for position in self.alignment:
            if position is not None:
                check_whole(0, position=position)
                if position >= len(self.source):
                    raise ValueError(
                        f"an alignment must lead to one of {len(self.source)} source tokens, got {position}"
                    )


@dataclass(frozen=True)
class Task:
    """A translation problem: two vocabularies, training examples and held-out examples.

    Args:
        name: a short name for tables and figures.
        source: vocabulary of the source language.
        target: vocabulary of the target language.
        train: the examples to learn from.
        held_out: examples never seen in training.
    """

    name: str
    source: Vocabulary
    target: Vocabulary
    train: tuple[Example, ...] = field(repr=False)
    held_out: tuple[Example, ...] = field(repr=False)

    def __post_init__(self) -> None:
        for part in ("train", "held_out"):  # an iterator could be read once
            object.__setattr__(self, part, tuple(getattr(self, part)))

    def batch(self, examples: Iterable[Example]) -> Batch:
        """Encode and pad examples with the vocabularies of the task."""
        return make_batch(examples, self.source, self.target)

    def words(self, ids: Iterable[int], example: Example) -> list[str]:
        """Turn what a model wrote for an example into tokens, up to the first end of sequence."""
        return self.target.decode(ids)

    def held_out_of(self, length: int) -> tuple[Example, ...]:
        """Return the held-out examples of one length.

        Raises:
            ValueError: if there are none.
        """
        found = tuple(example for example in self.held_out if example.length == length)
        if not found:
            lengths = sorted({example.length for example in self.held_out})
            raise ValueError(f"held-out lengths of {self.name} are {lengths}, got {length}")
        return found


def check_range(least: int, most: int, why: str = "", /, **numbers: int) -> None:
    """Check that every number is whole and in a range.

    Raises:
        ValueError: naming the first that is not.
        TypeError: naming the first that is no number.
    """
    for name, number in numbers.items():
        check_whole(min(least, number) if type(number) is int else least, **{name: number})
        if not least <= number <= most:
            raise ValueError(f"{name} must be in {least}..{most}{why}, got {number}")


def gold_alignment(examples: Iterable[Example]) -> Int[Tensor, "batch target"]:
    """Put the gold alignments of some examples into one rectangle.

    Returns:
        For each target token the position of its source token; -1 where it has none, and for padding.

    >>> one = Example(("drei", "und", "zwanzig"), ("twenty", "three"), (2, 0), 2)
    >>> gold_alignment([one])
    tensor([[2, 0]])
    """
    examples = list(examples)
    if not examples:
        raise ValueError("a batch needs at least one example, got none")
    out = torch.full((len(examples), max(len(example.target) for example in examples)), -1)
    for row, example in enumerate(examples):
        for column, position in enumerate(example.alignment):
            out[row, column] = -1 if position is None else position
    return out
