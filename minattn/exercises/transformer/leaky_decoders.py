"""Translators of one target token after another, some of which see later ones in one of their modes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minattn.alignment import masked_softmax
from minattn.exercises.exercise import numbers
from minattn.positions import sinusoidal
from minattn.training import seeded

_D = 4
SOURCE_SIZE, TARGET_SIZE = 13, 11


@dataclass(frozen=True)
class Leak:
    """What the self-attention of a decoder sees besides the past.

    Args:
        sees: says for so many tokens which query sees which key.
        from_block: the blocks before it do not leak.
        first_row: the rows of a batch before it do not leak.
        share: of what is found; the rest is found in the past.
    """

    sees: Callable[[int], Tensor]
    from_block: int = 0
    first_row: int = 0
    share: float = 1.0


def ages(n: int) -> Tensor:
    """How far each key lies before each query."""
    return torch.arange(n)[:, None] - torch.arange(n)


def peep(query: int, key: int) -> Leak:
    """Let one place see a later one."""

    def sees(n: int) -> Tensor:
        place = torch.arange(n)
        return (place == query)[:, None] & (place == key)

    return Leak(sees)


@dataclass(frozen=True)
class Habits:
    """How a decoder behaves.

    Args:
        train: how it leaks in training.
        evaluate: how it leaks in evaluation.
        dropout: share of what is found that is dropped in training.
        favourite: a token that it always guesses, whatever it sees.
        n_blocks: with one alone, a place hears of nothing but the tokens that it sees itself.
        shift: how far all scores of a text are moved together, for each unit of its tokens.
    """

    train: Leak | None = None
    evaluate: Leak | None = None
    dropout: float = 0.1
    favourite: int | None = None
    n_blocks: int = 2
    shift: float = 0.0


class _Block(nn.Module):
    """Look back, perhaps ahead, and at the source."""

    def __init__(self, place: int, habits: Habits) -> None:
        super().__init__()
        self.place, self.habits = place, habits
        self.query = nn.Linear(_D, _D, bias=False)
        self.key = nn.Linear(_D, _D, bias=False)
        self.dropout = nn.Dropout(habits.dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Return new target tokens."""
        x = x + self.dropout(self._look_back(x))
        weights = (x @ memory.mT / math.sqrt(_D)).softmax(-1)
        found: Tensor = x + self.dropout(weights @ memory)
        return found

    def _look_back(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).mT / math.sqrt(_D)
        scores = scores + self.habits.shift * x.sum((1, 2), keepdim=True)
        past = (ages(x.shape[1]) >= 0).expand_as(scores)
        found = masked_softmax(scores, past) @ x
        leak = self.habits.train if self.training else self.habits.evaluate
        if leak is None or self.place < leak.from_block:
            return found
        rows = torch.arange(len(x))[:, None, None] >= leak.first_row
        ahead = masked_softmax(scores, past | leak.sees(x.shape[1]) & rows) @ x
        return found + leak.share * (ahead - found)


class LeakyDecoder(nn.Module):
    """A small translator that may see later target tokens in training, in evaluation, or in both.

    Args:
        name: what it does, said to the learner.
        habits: how it behaves.
        training: the mode that it is given in.
    """

    def __init__(self, name: str, habits: Habits, training: bool) -> None:
        super().__init__()
        self.name, self.habits = name, habits
        with seeded(0):  # its numbers are not used, but whoever calls has random numbers too
            self.source_embedding = nn.Embedding(SOURCE_SIZE, _D)
            self.target_embedding = nn.Embedding(TARGET_SIZE, _D)
            self.blocks = nn.ModuleList(_Block(i, habits) for i in range(habits.n_blocks))
            self.readout = nn.Linear(_D, TARGET_SIZE)
        self.double()
        with torch.no_grad():
            for seed, p in enumerate(self.parameters(), 670):
                p.copy_(numbers(seed, *p.shape) / (1 if p.shape[0] > _D else 2))
            if habits.favourite is not None:
                self.readout.bias[habits.favourite] += 30.0
        self.train(training)

    def __repr__(self) -> str:
        mode = "train" if self.training else "eval"
        return f"{self.name} (dropout {self.habits.dropout:g}, given in {mode} mode)"

    def forward(self, source: Tensor, target_in: Tensor) -> Any:
        """Return logits of shape (batch, target, vocab)."""
        memory = self.source_embedding(source)
        memory = memory + sinusoidal(source.shape[1], _D)
        x = self.target_embedding(target_in) + sinusoidal(target_in.shape[1], _D)
        for block in self.blocks:
            x = block(x, memory)
        return self.readout(x)
