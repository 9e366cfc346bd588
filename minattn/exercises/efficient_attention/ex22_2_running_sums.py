"""Exercise 22.2: linear attention, one token at a time."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Feature = Callable[[Tensor], Tensor]
Divide = Callable[[Tensor], Tensor]
"""Makes weights of products of features, (queries, keys)."""


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return for each position the mean of the values so far, weighted by products of features."""
    return _linear(query, key, value)


def _elu_plus_1(x: Tensor) -> Tensor:
    return F.elu(x) + 1


def _elu(x: Tensor) -> Tensor:
    return F.elu(x)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _relu_plus_1(x: Tensor) -> Tensor:
    return F.relu(x) + 1


def _relu(x: Tensor) -> Tensor:
    return F.relu(x)


def _exp(x: Tensor) -> Tensor:
    return x.exp()


def _softmax(x: Tensor) -> Tensor:
    return x.softmax(-1)


def _so_far(products: Tensor) -> Tensor:
    return products.tril()


def _before(products: Tensor) -> Tensor:
    return products.tril(-1)


def _all(products: Tensor) -> Tensor:
    return products


def _own_only(products: Tensor) -> Tensor:
    return torch.diag(products.diagonal())


def _by_sum(seen: Tensor, products: Tensor) -> Tensor:
    return seen / seen.sum(-1, keepdim=True)


def _undivided(seen: Tensor, products: Tensor) -> Tensor:
    return seen


def _by_number(seen: Tensor, products: Tensor) -> Tensor:
    return seen / torch.arange(1, len(seen) + 1)[:, None]


def _by_sum_of_all(seen: Tensor, products: Tensor) -> Tensor:
    return seen / products.sum(-1, keepdim=True)


def _by_last_key(seen: Tensor, products: Tensor) -> Tensor:
    """Divide by the product with the newest key, whose sum was never made."""
    return seen / products.diagonal()[:, None]


def _by_sum_with_own(seen: Tensor, products: Tensor) -> Tensor:
    return seen / products.tril().sum(-1, keepdim=True)


def _by_sum_and_a_little(seen: Tensor, products: Tensor) -> Tensor:
    return seen / (seen.sum(-1, keepdim=True) + 1e-6)


def _linear(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    of_query: Feature = _elu_plus_1,
    of_key: Feature = _elu_plus_1,
    seen: Feature = _so_far,
    divide: Callable[[Tensor, Tensor], Tensor] = _by_sum,
    scale: float = 1.0,
) -> Tensor:
    """Weigh the values, each step done in some way.

    Args:
        query: (seq, d_k).
        key: (seq, d_k).
        value: (seq, d_v).
        of_query: the features of a query.
        of_key: those of a key.
        seen: leaves the products of those keys that are in the state.
        divide: makes weights of these, and of all the products.
        scale: what query and key are multiplied by.
    """
    products = of_query(query * scale) @ of_key(key * scale).T
    return divide(seen(products), products) @ value


def _with_features(feature: Feature) -> Callable[..., Tensor]:
    return partial(_linear, of_query=feature, of_key=feature)


def _scaled(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _linear(query / math.sqrt(query.shape[-1]), key, value)


def _scaled_both(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _linear(query, key, value, scale=query.shape[-1] ** -0.25)


def _by_the_root(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _linear(query, key, value, divide=_undivided) / math.sqrt(query.shape[-1])


def _softmax_of_products(query: Tensor, key: Tensor, value: Tensor, feature: Feature) -> Tensor:
    """Attend as usual, with features or without."""
    scores = feature(query) @ feature(key).T
    hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -torch.inf).softmax(-1) @ value


def _exact(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _softmax_of_products(query / math.sqrt(query.shape[-1]), key, value, _as_it_is)


def _case(seed: int, n: int, d_k: int, d_v: int) -> Case:
    return numbers(seed, n, d_k), numbers(seed + 1, n, d_k), numbers(seed + 2, n, d_v)


def _cases() -> list[Case]:
    return [_case(2300, 3, 2, 2), _case(2276, 5, 3, 7), _case(2314, 11, 5, 3)]


EXERCISE = Exercise(
    number="22.2",
    title="Running sums",
    solution=linear_attention,
    cases=_cases,
    mistakes=[
        Mistake(
            "not_normalised",
            partial(_linear, divide=_undivided),
            "The output is a sum and not a mean: it grows with every token, and the model has never seen such sizes. "
            "Keep a second sum, of the features of the keys, and divide by query features times that.",
            also=[partial(_linear, divide=_by_number), _by_the_root],
        ),
        Mistake(
            "other_normaliser",
            partial(_linear, divide=_by_sum_of_all),
            "The mixture is of the keys so far, and you divide by a sum of other ones. Then the weights of a "
            "position do not sum to 1. Both sums run together: add a token to both, then read both.",
            also=[
                partial(_linear, divide=_by_last_key),
                partial(_linear, seen=_before, divide=_by_sum_with_own),
            ],
        ),
        Mistake(
            "read_too_early",
            partial(_linear, seen=_before),
            "A position does not see its own token: you read the state first and add the token afterwards. "
            "Here a position may look at itself, so add first. (The first position had nothing to read: 0 / 0.)",
            also=[
                partial(_linear, seen=_before, divide=_by_sum_and_a_little),
                lambda *case: _linear(*case, seen=_before).nan_to_num(0.0),
            ],
        ),
        Mistake(
            "not_causal",
            partial(_linear, seen=_all),
            "Every position sees all tokens, later ones too. The sums over all keys are right for an encoder. Here "
            "they run: what position t reads has tokens 0 to t in it and no more.",
        ),
        Mistake(
            "features_missing",
            partial(_linear, of_key=_as_it_is),
            "Queries, keys or both go in as they are. Then a product can be below 0, and with it a weight or the "
            "whole sum that you divide by. Take the features of both, of query and key.",
            also=[
                partial(_linear, of_query=_as_it_is),
                _with_features(_as_it_is),
            ],
        ),
        Mistake(
            "other_features",
            _with_features(_elu),
            "These are other features than elu(x) + 1. Without the 1 they are negative for negative numbers; relu "
            "makes zeros, and with them 0 / 0. The 1 is added after elu.",
            also=[
                *map(_with_features, (_relu, _relu_plus_1, _exp, _softmax)),
                _with_features(lambda x: F.elu(x + 1)),
                _with_features(lambda x: F.elu(x) + 1e-6),
            ],
        ),
        Mistake(
            "softmax",
            _exact,
            "There is a softmax over the keys in it. It needs every key again for every query, which is what linear "
            "attention saves. The weight is a product of features, divided by the sum of such products.",
            also=[
                partial(_softmax_of_products, feature=_as_it_is),
                partial(_softmax_of_products, feature=_elu_plus_1),
            ],
        ),
        Mistake(
            "scaled",
            _scaled,
            "Queries are divided by the square root of d_k. There is no exp here that could be too steep. "
            "A factor on the features would drop out of the mean; before elu it changes the weights.",
            also=[_scaled_both],
        ),
    ],
    laws=[
        Law(
            "the first position sees itself alone, and gives its value",
            lambda out, query, key, value: torch.allclose(out[0], value[0], atol=1e-4),
        ),
        Law(
            "a mean lies between the least and the largest value so far",
            lambda out, query, key, value: bool(
                (out <= value.cummax(0).values + 1e-4).all()
                and (out >= value.cummin(0).values - 1e-4).all()
            ),
        ),
    ],
)
