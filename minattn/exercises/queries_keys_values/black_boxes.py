"""Attention that is right, and attention that is broken, behind one signature."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

INF = math.inf

Weigh = Callable[[Tensor, Tensor], Tensor]


class BlackBox:
    """Something that maps query, key and value to an output, with a name to show.

    Args:
        name: what it is.
        weigh: turns query and key into weights of shape (queries, keys), right or wrong.
    """

    def __init__(self, name: str, weigh: Weigh) -> None:
        self.name = name
        self.weigh = weigh

    def __repr__(self) -> str:
        return self.name

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Mix the values."""
        return self.weigh(query, key) @ value


def scaled_scores(query: Tensor, key: Tensor) -> Tensor:
    """Return the scores, divided by the root of the width."""
    return query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])


def _weights(query: Tensor, key: Tensor) -> Tensor:
    return scaled_scores(query, key).softmax(-1)


def _causal(scores: Tensor) -> Tensor:
    return scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -INF)


def _together(query: Tensor, key: Tensor) -> Tensor:
    scores = scaled_scores(query, key)
    return scores.flatten(-2).softmax(-1).view(scores.shape)


def _uneven(query: Tensor, key: Tensor) -> Tensor:
    """Give the first queries too little and the last too much, so that the mean over queries is right."""
    share = torch.linspace(0.5, 1.5, query.shape[-2], dtype=query.dtype)
    return _weights(query, key) * share[:, None]


def by_distance(query: Tensor, key: Tensor) -> Tensor:
    """Return minus the squared distances of queries and keys."""
    return -(query[..., :, None, :] - key[..., None, :, :]).square().sum(-1)


def _best_only(query: Tensor, key: Tensor) -> Tensor:
    scores = scaled_scores(query, key)
    return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)


SCALED = BlackBox("scaled dot-product attention", _weights)
UNSCALED = BlackBox("attention without a scale", lambda q, k: (q @ k.transpose(-2, -1)).softmax(-1))
WARM = BlackBox(
    "attention at a high temperature", lambda q, k: (scaled_scores(q, k) / 10).softmax(-1)
)
UNIFORM = BlackBox("a uniform mean", lambda q, k: torch.zeros_like(scaled_scores(q, k)).softmax(-1))
CAUSAL = BlackBox("causal attention", lambda q, k: _causal(scaled_scores(q, k)).softmax(-1))
DISTANCE = BlackBox("attention by the squared distance", lambda q, k: by_distance(q, k).softmax(-1))
BEST_ONLY = BlackBox("all weight on the best key", _best_only)
SOUND = [SCALED, UNSCALED, WARM, UNIFORM, CAUSAL, DISTANCE, BEST_ONLY]
WRONG_AXIS = BlackBox("softmax over the queries", lambda q, k: scaled_scores(q, k).softmax(-2))
WRONG_AXES = BlackBox("softmax over queries and keys together", _together)
NOT_DIVIDED = BlackBox("exponentials that nothing divides", lambda q, k: scaled_scores(q, k).exp())
SIGMOID = BlackBox("a sigmoid of each score", lambda q, k: scaled_scores(q, k).sigmoid())
MASKED_LATE = BlackBox("a causal mask after the softmax", lambda q, k: _weights(q, k).tril())
TOO_SMALL = BlackBox("weights times 0.9", lambda q, k: _weights(q, k) * 0.9)
ON_AVERAGE = BlackBox("weights that sum to 1 only on average over the queries", _uneven)
BROKEN = [WRONG_AXIS, WRONG_AXES, NOT_DIVIDED, SIGMOID, MASKED_LATE, TOO_SMALL, ON_AVERAGE]


# What a permutation shows, and what it does not (exercise 3.4).


def _at_places(x: Tensor) -> Tensor:
    """Add to every row a wave that tells its place."""
    place = torch.arange(x.shape[-2], dtype=x.dtype)[:, None]
    return x + 2 * torch.sin(place * torch.arange(1, x.shape[-1] + 1, dtype=x.dtype))


def _by_place(query: Tensor, key: Tensor) -> Tensor:
    """Weigh the keys by how near their place is to that of the query, whatever they say."""
    i, j = (torch.arange(x.shape[-2], dtype=x.dtype) for x in (query, key))
    return (-(i[:, None] - j).abs()).expand(*query.shape[:-1], -1).softmax(-1)


class ValuesOnly(BlackBox):
    """Attention that compares queries with values and never reads a key."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Mix the values by their own sizes."""
        scores = query.sum(-1, keepdim=True) * value.sum(-1)[..., None, :]
        return scores.softmax(-1) @ value


KEYS_AT_PLACES = BlackBox(
    "attention that adds positions to the keys", lambda q, k: _weights(q, _at_places(k))
)
QUERIES_AT_PLACES = BlackBox(
    "attention that adds positions to the queries", lambda q, k: _weights(_at_places(q), k)
)
BOTH_AT_PLACES = BlackBox(
    "attention that adds positions to queries and keys",
    lambda q, k: _weights(_at_places(q), _at_places(k)),
)
BY_PLACE = BlackBox("weights by the distance of the places", _by_place)
CENTRED = BlackBox(
    "attention that subtracts the mean of the queries",
    lambda q, k: _weights(q - q.mean(-2, keepdim=True), k),
)
VALUES_ONLY = ValuesOnly("attention that compares queries with values", _weights)
