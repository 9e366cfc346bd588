"""Language models that see the future, or do not, and say neither."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minattn.alignment import masked_softmax
from minattn.exercises.exercise import numbers
from minattn.exercises.self_attention.scores import scaled_scores
from minattn.exercises.self_attention.toy_language_model import check_ids
from minattn.positions import sinusoidal


@dataclass(frozen=True)
class LanguageToy:
    """A small language model that may or may not see the future.

    Args:
        name: how it looks around, said to the learner.
        vocab_size: how many different tokens.
        mix: takes token vectors (batch, seq, d) and returns what each position has seen.
        leaks: whether it sees the future.
        always: a token that it always guesses, whatever it sees.
        length: how many tokens it reads at most, as a model with learned positions.
    """

    name: str
    vocab_size: int
    mix: Callable[[Tensor], Tensor] = field(compare=False)
    leaks: bool
    always: int | None = None
    length: int = 7

    d = 4

    def __repr__(self) -> str:
        return self.name

    def eval(self) -> "LanguageToy":
        """Change nothing: it is always in evaluation mode."""
        return self

    def __call__(self, ids: Any) -> Tensor:
        """Return logits of shape (batch, seq, vocab)."""
        check_ids(ids, self.vocab_size)
        if ids.shape[1] > self.length:
            raise ValueError("ids must not be longer than length")
        x = _EMBEDDING[: self.vocab_size][ids] + sinusoidal(ids.shape[1], self.d)
        logits = self.mix(x) @ _READOUT[:, : self.vocab_size]
        if self.always is not None:
            logits = logits + 12.0 * (torch.arange(self.vocab_size) == self.always)
        return logits


_EMBEDDING = numbers(514, 101, LanguageToy.d).double()
_READOUT = numbers(515, LanguageToy.d, 101).double() / 2
_W_Q = numbers(516, LanguageToy.d, 3).double() / 2
_W_K = numbers(517, LanguageToy.d, 3).double() / 2


def _ages(seq: int) -> Tensor:
    """How far each key lies before each query."""
    return torch.arange(seq)[:, None] - torch.arange(seq)


def _attends(allowed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Make a mix by attention to where the ages allow it."""

    def mix(x: Tensor) -> Tensor:
        scores = scaled_scores(x @ _W_Q, x @ _W_K)
        return masked_softmax(scores, allowed(_ages(x.shape[1]))) @ x

    return mix


def _peeps(query: int, key: int) -> Callable[[Tensor], Tensor]:
    """Make a causal mix in which one position sees one later position too."""

    def allowed(ages: Tensor) -> Tensor:
        seq = len(ages)
        place = torch.arange(seq)
        peeps = (place == query % seq)[:, None] & (place == key % seq)
        return (ages >= 0) | peeps

    return _attends(allowed)


def _is_past(ages: Tensor) -> Tensor:
    return ages >= 0


_sees_past = _attends(_is_past)


def _masks_late(x: Tensor) -> Tensor:
    weights = scaled_scores(x @ _W_Q, x @ _W_K).softmax(-1)
    return (weights * _is_past(_ages(x.shape[1]))) @ x


def _recurs(x: Tensor) -> Tensor:
    state, states = torch.zeros_like(x[:, 0]), []
    for now in x.unbind(1):
        state = torch.tanh(now + 0.7 * state.roll(1, -1))
        states.append(state)
    return torch.stack(states, dim=1)


FAVOURITE = "attention without a mask, which always guesses the same token (its logits do move)"
FIRST = "causal attention, but position 0 sees position 1"
MEAN = "causal attention, minus the mean of the sequence"
LAST_BUT_ONE = "causal attention, but the last position but one sees the last"
BATCH = "causal attention, mixed with the other sequences of the batch"
PEEPS = [(1, 2), (2, 3), (4, 5)]
OF_TWO = [f"causal attention, but position {i} sees position {j}" for i, j in PEEPS]


def _everything(ages: Tensor) -> Tensor:
    return torch.ones_like(ages, dtype=torch.bool)


def language_toys() -> list[LanguageToy]:
    """Make the sound models, then those that leak."""
    sound: dict[str, Callable[[Tensor], Tensor]] = {
        "causal attention": _sees_past,
        "causal attention to three tokens": _attends(lambda ages: (ages >= 0) & (ages < 3)),
        "a uniform average of the past": lambda x: (
            x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        ),
        "a recurrent network": _recurs,
        "a model that sees only the token itself": torch.tanh,
        "causal attention to earlier tokens, not to the token itself": _attends(
            lambda ages: ages > 0
        ),
        BATCH: lambda x: _sees_past(x) + x.mean(0),
        "a model that sees nothing": torch.zeros_like,
    }
    leaking: dict[str, Callable[[Tensor], Tensor]] = {
        "attention without a mask": _attends(_everything),
        "attention to the past and the next token": _attends(lambda ages: ages >= -1),
        "attention with the mask after the softmax": _masks_late,
        "attention to the token itself and the future": _attends(lambda ages: ages <= 0),
        MEAN: lambda x: _sees_past(x) - x.mean(1, keepdim=True),
        FIRST: _peeps(0, 1),
        "causal attention, but position 0 sees the last": _peeps(0, -1),
        "causal attention, but position 2 sees position 4": _peeps(2, 4),
        LAST_BUT_ONE: _peeps(5, 6),  # and nothing leaks in a shorter sequence
    }
    toys = [LanguageToy(name, 101, mix, leaks=False) for name, mix in sound.items()]
    toys.append(LanguageToy(FAVOURITE, 101, _attends(_everything), leaks=True, always=3))
    toys += [LanguageToy(name, 101, mix, leaks=True) for name, mix in leaking.items()]
    toys += [
        LanguageToy(name, 2, _peeps(*peep), leaks=True)
        for name, peep in zip(OF_TWO, PEEPS, strict=True)
    ]
    toys.append(LanguageToy("causal attention", 101, _sees_past, leaks=False, length=4))
    return toys
