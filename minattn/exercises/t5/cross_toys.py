"""Cross-attention in which the order of the memory matters, or does not, and which says neither."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import numbers

Read = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Takes query, key and value, each (batch, seq, d), and returns (batch, queries, d)."""


@dataclass(frozen=True)
class CrossToy:
    """Cross-attention with a position somewhere, or with none.

    Args:
        name: what it does, said to the learner.
        read: how it reads the memory.
        ordered: whether the order of the memory of a text matters to it.
        n_queries: how many queries it takes.
        n_memory: how many tokens of memory.
    """

    name: str
    read: Read = field(compare=False)
    ordered: bool
    n_queries: int = 3
    n_memory: int = 7

    d = 4

    def __repr__(self) -> str:
        return self.name

    def __call__(self, query: Any, key: Any, value: Any) -> Tensor:
        """Return what each query reads, of shape (batch, n_queries, d)."""
        for x, seq in ((query, self.n_queries), (key, self.n_memory), (value, self.n_memory)):
            if not isinstance(x, Tensor) or x.ndim != 3 or x.shape[1:] != (seq, self.d):
                raise ValueError(
                    "query must have shape (batch, n_queries, d), key and value (batch, n_memory, d)"
                )
        # The last digits are cut off, so that the order of a sum is not seen in them.
        return self.read(query.double(), key.double(), value.double()).float()


def _places(n: int) -> Tensor:
    return 2 * _PLACES[:n]


_PLACES = numbers(1210, 8, CrossToy.d).double()


def _plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT / 2).softmax(-1) @ value


def _biased(bias: Callable[[Tensor, Tensor], Tensor]) -> Read:
    """Make attention with a bias; it gets the places of the queries (queries, 1) and of the keys."""

    def read(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        places = torch.arange(query.shape[1])[:, None], torch.arange(key.shape[1])
        return (query @ key.mT / 2 + bias(*places)).softmax(-1) @ value

    return read


def _plus(more: Read) -> Read:
    """Make plain attention, to which something is added."""
    return lambda query, key, value: _plain(query, key, value) + more(query, key, value)


def _one_token(place: Callable[[int], int]) -> Read:
    """Make a model that reads a single token."""
    return lambda query, key, value: query + value[:, [place(value.shape[1])]]


def _features_against_each_other(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    moved = value[:, :1, :1].expand(-1, query.shape[1], -1)
    return torch.cat([moved, -moved, 0 * moved, 0 * moved], -1)


def _first_of_others(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the first token of the other texts of the batch."""
    first = value[:, :1]
    return (first.sum(0) - first).expand_as(query)


def _mean(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return value.mean(1, keepdim=True).expand_as(query)


def _rounded(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _plain(query, key, value) * (1 + 1e-7 * value[:, :1].sign())


def _in_a_circle(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _plain(query, key + key.roll(1, 1), value)


BIAS = "a bias by the distance from query to key, as in self-attention"
QUERIES = "positions at the queries only"
FIRST, MIDDLE = (
    "a model that reads the first token only",
    "a model that reads the middle token only",
)
LAST = "a model that reads the last token only"
EVERY_OTHER = "a bias for every other token"
CIRCLE = "keys mixed with the key before, and the first with the last"
LAST_QUERY = "a bias for the last query only"
FAINT = "plain cross-attention, and a few thousandths of the first token"
ROUNDED = "plain cross-attention, whose last digit is rounded in another way"
BATCH = "plain cross-attention, and the first token of the other texts of the batch"
OPPOSITE = "two features that move by the same, one up and one down"


def cross_toys() -> list[CrossToy]:
    """Make the models to which the order matters and those to which it does not."""
    by_distance = _biased(lambda queries, keys: -0.8 * (keys - queries).abs())
    return [
        CrossToy(BIAS, by_distance, True),
        CrossToy("plain cross-attention", _plain, False),
        CrossToy(QUERIES, lambda q, k, v: _plain(q + _places(q.shape[1]), k, v), False),
        CrossToy("positions at the keys", lambda q, k, v: _plain(q, k + _places(7), v), True),
        CrossToy("positions at the values", lambda q, k, v: _plain(q, k, v + _places(7)), True),
        CrossToy(FIRST, _one_token(lambda n: 0), True),
        CrossToy(MIDDLE, _one_token(lambda n: n // 2), True),
        CrossToy(LAST, _one_token(lambda n: n - 1), True),
        CrossToy(EVERY_OTHER, _biased(lambda queries, keys: 3.0 * (keys % 2)), True),
        CrossToy(CIRCLE, _in_a_circle, True),
        CrossToy(LAST_QUERY, _biased(lambda queries, keys: keys * (queries == 2)), True),
        CrossToy(OPPOSITE, _plus(_features_against_each_other), True),
        CrossToy(FAINT, _plus(lambda q, k, v: 4e-3 * v[:, :1]), True),
        CrossToy(ROUNDED, _rounded, False),
        CrossToy(BATCH, _plus(_first_of_others), False),
        CrossToy("a model that does not read the memory", lambda q, k, v: 2 * q, False),
        CrossToy("a mean of the memory, whoever asks", _mean, False),
        CrossToy(BIAS, by_distance, True, n_queries=2, n_memory=4),
        CrossToy("plain cross-attention", _plain, False, n_queries=2, n_memory=4),
    ]
