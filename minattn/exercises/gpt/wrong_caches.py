"""A small language model with a cache, sound or not, for exercise 10.4."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minattn.exercises.exercise import numbers

VOCAB_SIZE = 7
MOST_TOKENS = 9

Read = list[tuple[int, int]]
"""Tokens with their places; the last one asks."""

_TOKENS, _PLACES, _READOUT = (
    numbers(seed, *shape).double()
    for seed, shape in ((1340, (VOCAB_SIZE, 6)), (1343, (MOST_TOKENS, 6)), (1346, (6, VOCAB_SIZE)))
)


def _all(tokens: Sequence[int]) -> Read:
    return [(token, place) for place, token in enumerate(tokens)]


def _as_they_are(place: int, logits: Tensor) -> Tensor:
    return logits


@dataclass(frozen=True, repr=False)
class CachedModel:
    """A language model that is run in two ways, over a whole text and token by token.

    Args:
        name: what is the matter with it.
        reads: what the cached way makes of the tokens so far.
        spoils: what the cached way makes of the logits of a place.
        favourite: a token that is always the best guess, in both ways.
    """

    name: str
    reads: Callable[[Sequence[int]], Read] = _all
    spoils: Callable[[int, Tensor], Tensor] = _as_they_are
    favourite: int | None = None

    def __repr__(self) -> str:
        return self.name

    def all_logits(self, ids: Sequence[int]) -> Tensor:
        """Return the logits of every place of a text, worked out at once."""
        return torch.stack([self._said(_all(ids[: i + 1])) for i in range(len(ids))])

    def start(self) -> tuple[int, ...]:
        """Return the state before the first token."""
        return ()

    def step(self, token: int, state: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        """Read a token; return its logits and the next state."""
        read = (*state, int(token))
        return self.spoils(len(state), self._said(self.reads(read))), read

    def _said(self, read: Read) -> Tensor:
        tokens, places = zip(*read, strict=True)
        x = _TOKENS[list(tokens)] + _PLACES[list(places)]
        weights = (x @ x[-1] / x.shape[1]).softmax(0)
        logits: Tensor = (x[-1] + 2 * weights @ x) @ _READOUT
        if self.favourite is not None:
            logits[self.favourite] = 1000.0
        return logits


def first_place(tokens: Sequence[int]) -> Read:
    """Give every token place 0."""
    return [(token, 0) for token in tokens]


def newest_place_late(tokens: Sequence[int]) -> Read:
    """Give the newest token the place behind its own."""
    return [*_all(tokens)[:-1], (tokens[-1], len(tokens))]


def window(tokens: Sequence[int]) -> Read:
    """Forget all but three tokens."""
    return _all(tokens)[-3:]


def first_kept(tokens: Sequence[int]) -> Read:
    """Keep the first four tokens, and the newest instead of all others."""
    return _all(tokens)[:4] + _all(tokens)[4:][-1:]


def moved_at(
    *places: int, by: Sequence[float | int] = (0.6, -1.1)
) -> Callable[[int, Tensor], Tensor]:
    """Make something that moves the first logits at some places."""

    def spoils(place: int, logits: Tensor) -> Tensor:
        moved = logits.clone()
        moved[: len(by)] += torch.tensor(by).double()
        return moved if place in places else logits

    return spoils


def swapped(place: int, logits: Tensor) -> Tensor:
    """Let two logits change places from place 2 on."""
    order = list(range(VOCAB_SIZE))
    if place >= 2:
        order[1], order[4] = 4, 1
    return logits[order]


def rounded(place: int, logits: Tensor) -> Tensor:
    """Move logits by as much as rounding does."""
    return logits + 1e-8 * (place + 1)


def not_a_number(place: int, logits: Tensor) -> Tensor:
    """Say nothing from place 3 on."""
    return logits if place < 3 else logits * torch.nan
