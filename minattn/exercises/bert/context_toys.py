"""Models that read what stands around a gap, or do not, and say neither."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import numbers
from minattn.exercises.self_attention.toy_language_model import check_ids

MASK_ID = 3


@dataclass(frozen=True)
class ContextToy:
    """A small model of texts that reads its context at a hidden place, or does not.

    Args:
        name: what it reads, said to the learner.
        mix: takes token vectors (batch, seq, d) and which places are hidden (batch, seq, 1), and returns
            what each place has read.
        reads: whether it reads any other token at a hidden place.
        vocab_size: how many different tokens.
        always: a token that it always guesses, whatever it reads.
        length: how long its texts are.
    """

    name: str
    mix: Callable[[Tensor, Tensor], Tensor] = field(compare=False)
    reads: bool
    vocab_size: int = 23
    always: int | None = None
    length: int = 7

    d = 4

    def __repr__(self) -> str:
        return self.name

    def __call__(self, ids: Any) -> Tensor:
        """Return logits of shape (batch, seq, vocab)."""
        check_ids(ids, self.vocab_size)
        if ids.shape[1] != self.length:
            raise ValueError("ids must be as long as length says")
        read = self.mix(_EMBEDDING[ids.long()], ids[..., None] == MASK_ID)
        logits = read @ _READOUT[:, : self.vocab_size]
        if self.always is not None:
            logits = logits + 30.0 * (torch.arange(self.vocab_size) == self.always)
        return logits


_EMBEDDING = numbers(1160, 23, ContextToy.d).double()
_READOUT = numbers(1161, ContextToy.d, 23).double() / 2
_PLACES = numbers(1162, 16, ContextToy.d).double()


def _others(x: Tensor, hidden: Tensor) -> Tensor:
    """Average the other tokens, the near ones more, and the later ones a little more."""
    places = torch.arange(x.shape[1])
    distances = (places - places[:, None]).double()
    weights = torch.softmax(0.1 * distances - 0.3 * distances.abs(), -1)
    return weights.fill_diagonal_(0) @ x


def _place_only(x: Tensor, hidden: Tensor) -> Tensor:
    return _PLACES[: x.shape[1]].expand(len(x), -1, -1)


def _reads_at(offset: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a mix that reads the token at one distance."""
    return lambda x, hidden: x.roll(-offset, 1)


def _reads_at_its_ends(x: Tensor, hidden: Tensor) -> Tensor:
    read = _place_only(x, hidden).clone()
    read[:, [0, -1]] += x.mean(1, keepdim=True)
    return read


NOTHING = "a model that says the same everywhere"
PLACE = "a model that says something else at each place, whatever it reads"
COPY = "a model that copies what is not hidden, and reads nothing else"
SHUT = "attention that is shut where a token is hidden"
BATCH = "a model that reads no token but those of other texts in the batch"
FAVOURITE = "attention to all others, which always guesses the same token (its logits do move)"
ENDS = "a model that reads the others at its first and last place only"
LEFT, RIGHT = "a model that reads the left neighbour", "a model that reads the right neighbour"
TWO_BACK = "a model that reads one token, two places earlier"
FAR = "a model that reads one token, three places further"
BAG = "a mean of all tokens, in whatever order"
FAINT = "attention to all others, all but drowned by what it says anyway"


def context_toys() -> list[ContextToy]:
    """Make the models that read and those that do not; each is asked at place 3 of 7."""
    own = 5 * _PLACES[0]
    return [
        ContextToy("attention to all others", _others, True),
        ContextToy(NOTHING, lambda x, hidden: torch.zeros_like(x) + own, False),
        ContextToy(LEFT, _reads_at(-1), True),
        ContextToy(RIGHT, _reads_at(1), True),
        ContextToy(PLACE, _place_only, False),
        ContextToy(COPY, lambda x, hidden: torch.where(hidden, own, 3 * x), False),
        ContextToy(SHUT, lambda x, hidden: torch.where(hidden, own, x + _others(x, hidden)), False),
        ContextToy(ENDS, _reads_at_its_ends, False),
        ContextToy(TWO_BACK, _reads_at(-2), True),
        ContextToy(FAR, _reads_at(3), True),
        ContextToy(BAG, lambda x, hidden: x.mean(1, keepdim=True).expand_as(x), True),
        ContextToy(
            BATCH, lambda x, hidden: own + (x.sum(0) - x).mean(1, keepdim=True).expand_as(x), False
        ),
        ContextToy(FAVOURITE, _others, True, always=5),
        ContextToy(FAINT, lambda x, hidden: own + 0.01 * _others(x, hidden), True),
        ContextToy("attention to all others", _others, True, vocab_size=5, length=4),
        ContextToy(PLACE, _place_only, False, vocab_size=5, length=4),
    ]
