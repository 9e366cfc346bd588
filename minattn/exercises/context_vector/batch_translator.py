"""A toy that translates batches, for exercise 1.6, and a look at how often it is asked."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.comparing import same
from minattn.exercises.exercise import Answer
from minattn.vocabulary import BOS, EOS, PAD

Rows = list[list[int]]


class ToyMemory:
    """What the toy keeps of the sources, for itself to open."""

    def __init__(self, source: Tensor) -> None:
        self.source = source


class ToyTranslator:
    """A translator that anybody can follow by hand, with the interface of the real ones.

    A sentence whose first id is k gets k - 3 words and then EOS. Asked for more, the toy talks on, as a real one
    does, and says EOS again at every third step. What it says next depends on the source, on the step (its state)
    and on the token it has read, so a decoder that loses one of them says something else. Each row is by itself,
    and padding does nothing. The toy is as strict as real translators are, and stricter: it takes what it has made
    itself for memory and state, and a token for every row.
    """

    vocab_size = 11
    patience = 100

    def __init__(self) -> None:
        self.n_encoded = 0
        self.n_steps = 0

    def __repr__(self) -> str:
        return "ToyTranslator()"

    def encode(self, source: Tensor) -> ToyMemory:
        """Read the sources."""
        if not isinstance(source, Tensor) or source.ndim != 2 or source.dtype != torch.long:
            raise ValueError(f"encode takes ids of shape (batch, n), got {source!r}")
        self.n_encoded += 1
        return ToyMemory(source.clone())

    def start(self, memory: ToyMemory) -> tuple[Tensor, ...]:
        """Return the state before the first step: how many there were, and what the source adds to all."""
        source = self._source_of(memory, "start")
        return torch.zeros(len(source), dtype=torch.long), source.sum(1) % 5

    @staticmethod
    def _source_of(memory: ToyMemory, method: str) -> Tensor:
        if not isinstance(memory, ToyMemory):
            raise TypeError(f"{method} takes the memory that encode returned, got {memory!r}")
        return memory.source

    def step(
        self, token: Tensor, state: tuple[Tensor, ...], memory: ToyMemory
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read one token of every row, and return logits of shape (batch, vocab_size) and the new state."""
        self.n_steps += 1
        if self.n_steps > self.patience:
            raise RuntimeError(f"step was called more than {self.patience} times")
        source = self._source_of(memory, "step")
        if not isinstance(token, Tensor) or token.shape != source.shape[:1]:
            got = tuple(token.shape) if isinstance(token, Tensor) else repr(token)
            raise ValueError(
                f"step takes a tensor of shape ({len(source)},), a token for each row, got {got}"
            )
        if token.dtype not in (torch.long, torch.int):
            raise ValueError(f"a token for step is a whole number, got {token.dtype}")
        if not isinstance(state, tuple) or len(state) != 2 or len(state[0]) != len(source):
            raise TypeError(f"step takes the state that start or step returned, got {state!r}")
        position = state[0]
        place = position % (source != PAD).sum(1)
        word = source.gather(1, place[:, None])[:, 0] + 2 * token + position + state[1]
        since_end = position - (source[:, 0] - 3)
        ends = (since_end >= 0) & (since_end % 3 == 0)
        best = torch.where(ends, EOS, 3 + word % (self.vocab_size - 3))
        logits = -0.5 - 0.25 * (torch.arange(self.vocab_size) - best[:, None]).square()
        return logits, (position + 1, state[1])


def greedy_rows(model: Any, source: Tensor, max_length: int) -> Rows:
    """Translate a batch, taking the likeliest token of every row at every step."""
    memory = model.encode(source)
    state, word = model.start(memory), torch.full((len(source),), BOS)
    ended = torch.zeros(len(source), dtype=torch.bool)
    rows: Rows = [[] for _ in source]
    for _ in range(max_length):
        if ended.all():
            break
        logits, state = model.step(word, state, memory)
        word = logits.argmax(dim=-1)
        for i in (~ended).nonzero()[:, 0].tolist():
            rows[i].append(int(word[i]))
        ended |= word == EOS
    return rows


@dataclass(frozen=True)
class AskedTooOften:
    """The right lists, for which a model was asked more than it takes.

    Args:
        method: what was called too often.
    """

    method: str

    def __repr__(self) -> str:
        return f"the right lists, but {self.method} was called too often"


def translate(answer: Answer, model: ToyTranslator, source: Tensor, max_length: int) -> Any:
    """Return what an answer says; where that is right, look at how often it asked the model too."""
    frugal = ToyTranslator()
    right = greedy_rows(frugal, source, max_length)
    rows = answer(model, source, max_length)
    if same(rows, right, 0.0):
        if model.n_encoded > 1:
            return AskedTooOften("encode")
        if model.n_steps > frugal.n_steps:
            return AskedTooOften("step")
    return rows


# The mistakes: what is collected from the model, and what is made of it.
