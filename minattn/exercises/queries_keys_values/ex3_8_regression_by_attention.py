"""Exercise 3.8: kernel regression by attention."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.queries_keys_values.black_boxes import (
    SCALED,
    BlackBox,
    by_distance,
    scaled_scores,
)
from minattn.exercises.queries_keys_values.dot_products import between_the_values

INF = math.inf


def regression_by_attention(
    attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, bandwidth: float
) -> Tensor:
    """Average the values by a Gaussian kernel, with nothing but attention."""
    return _by_attention()(attend, query, key, value, bandwidth)


def _by_attention(
    scale: Callable[[int, float], float] = lambda d, b: math.sqrt(d + 1) / b**2,
    feature: Callable[[Tensor], Tensor] = lambda key: -key.square().sum(-1, keepdim=True) / 2,
    one: Callable[[int, float], float] | None = None,
) -> Callable[..., Tensor]:
    """Make an answer that widens query and key by one number.

    Args:
        scale: the factor of the queries, from the width and the bandwidth.
        feature: the number that is put beside each key.
        one: the number beside each query; the factor if not given.
    """

    def answer(
        attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, bandwidth: float
    ) -> Tensor:
        factor = scale(query.shape[1], bandwidth)
        beside = factor if one is None else one(query.shape[1], bandwidth)
        queries = torch.cat([query * factor, torch.full((len(query), 1), beside)], dim=1)
        return attend(queries, torch.cat([key, feature(key)], dim=1), value)

    return answer


def _narrow(scale: Callable[[int, float], float]) -> Callable[..., Tensor]:
    """Make an answer that only scales the queries."""
    return lambda attend, q, k, v, b: attend(q * scale(q.shape[1], b), k, v)


def _lengths_multiplied(
    attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, bandwidth: float
) -> Tensor:
    queries, keys = (torch.cat([x, -x.square().sum(1, keepdim=True) / 2], 1) for x in (query, key))
    return attend(queries * math.sqrt(queries.shape[1]) / bandwidth**2, keys, value)


def _first_masked(query: Tensor, key: Tensor) -> Tensor:
    return scaled_scores(query, key).masked_fill(torch.arange(len(key)) == 0, -INF).softmax(-1)


def _directly(query: Tensor, key: Tensor, value: Tensor, bandwidth: float) -> Tensor:
    return (by_distance(query, key) / (2 * bandwidth**2)).softmax(-1) @ value


def _regression_case(
    attend: BlackBox, seed: int, n_queries: int, n_keys: int, d: int, d_v: int, bandwidth: float
) -> Case:
    query, key = numbers(seed, n_queries, d), numbers(seed + 1, n_keys, d)
    return attend, query, key, numbers(seed + 2, n_keys, d_v), bandwidth


EXERCISE = Exercise(
    number="3.8",
    title="Kernel regression by attention",
    solution=regression_by_attention,
    cases=lambda: [
        _regression_case(SCALED, 270, 3, 5, 2, 1, 0.8),
        _regression_case(SCALED, 273, 2, 7, 3, 5, 1.5),
        _regression_case(SCALED, 276, 7, 3, 5, 2, 1.2),
        _regression_case(
            BlackBox("scaled dot-product attention with the first key masked", _first_masked),
            279,
            2,
            5,
            3,
            1,
            1.3,
        ),
    ],
    mistakes=[
        Mistake(
            "length_forgotten",
            _narrow(lambda d, b: math.sqrt(d) / b**2),
            "A dot product alone is not a distance: keys far from the origin win, wherever the query is. "
            "Open the square: one part is the dot product, one depends on the query alone and cancels, "
            "and one differs from key to key. Where is that one in yours?",
            also=[
                _narrow(lambda d, b: 1.0),
                _narrow(lambda d, b: 1 / b),
                _narrow(lambda d, b: 1 / b**2),
                _narrow(lambda d, b: math.sqrt(d)),
                _narrow(lambda d, b: math.sqrt(d) / b),
                _narrow(lambda d, b: math.sqrt(d) / (2 * b**2)),
                _narrow(lambda d, b: 1 / (2 * b**2)),
            ],
        ),
        Mistake(
            "sign",
            _by_attention(feature=lambda key: key.square().sum(-1, keepdim=True) / 2),
            "The extra number has the wrong sign: keys far from the origin are preferred where they should "
            "be held back. The exponent has a minus in front of the whole square.",
            also=[_by_attention(feature=lambda key: key.square().sum(-1, keepdim=True))],
        ),
        Mistake(
            "not_halved",
            _by_attention(feature=lambda key: -key.square().sum(-1, keepdim=True)),
            "The squared length of the key counts twice as much as it should. Opening the square gives "
            "the dot product a factor of 2, and dividing all by it leaves one half before the length.",
        ),
        Mistake(
            "length_not_squared",
            _by_attention(feature=lambda key: -key.norm(dim=-1, keepdim=True) / 2),
            "The length of the key is not squared. Norms are square roots: what stands in the opened "
            "square is the sum of the squares.",
            also=[_by_attention(feature=lambda key: -key.norm(dim=-1, keepdim=True))],
        ),
        Mistake(
            "bandwidth_not_squared",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) / b),
            "The bandwidth is not squared. The distance is, so both have to be: the exponent must not "
            "change when everything is given in centimetres instead of metres.",
            also=[
                _by_attention(scale=lambda d, b: math.sqrt(d) / b),
                _by_attention(scale=lambda d, b: 1 / b),
            ],
        ),
        Mistake(
            "bandwidth_twice",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) / b**4),
            "The bandwidth acts twice, in the queries and again in the keys: in the product it comes to the "
            "fourth power. Once by its square, or each side by itself, is enough.",
        ),
        Mistake(
            "bandwidth_forgotten",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1)),
            "The bandwidth plays no part: your kernel has the same width whatever it is.",
            also=[
                _by_attention(scale=lambda d, b: math.sqrt(d)),
                _by_attention(scale=lambda d, b: 1.0),
            ],
        ),
        Mistake(
            "bandwidth_multiplied",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) * b**2),
            "A larger bandwidth makes your kernel narrower. It stands below the fraction, so scores "
            "become smaller as it grows.",
            also=[_by_attention(scale=lambda d, b: math.sqrt(d + 1) * b)],
        ),
        Mistake(
            "two_forgotten",
            _by_attention(scale=lambda d, b: 2 * math.sqrt(d + 1) / b**2),
            "Your kernel is too narrow: the factor 2 below the fraction is missing. Compare your exponent "
            "with the formula.",
        ),
        Mistake(
            "two_counted_twice",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) / (2 * b**2)),
            "Your kernel is too wide: scores are half of what they should be. If the dot product and half "
            "the squared length are your features, the 2 below the fraction is used up.",
        ),
        Mistake(
            "old_width",
            _by_attention(scale=lambda d, b: math.sqrt(d) / b**2),
            "You undo the scale of the old width. What is handed over is wider than that, and attend "
            "divides by the square root of the width that it is given.",
        ),
        Mistake(
            "scale_not_undone",
            _by_attention(scale=lambda d, b: 1 / b**2),
            "All is right but for one factor: attend divides by the square root of the width, and you did "
            "not undo it. Your kernel is wider than the bandwidth says.",
        ),
        Mistake(
            "scale_twice",
            _by_attention(scale=lambda d, b: 1 / (b**2 * math.sqrt(d + 1))),
            "The scale is applied once more instead of undone. attend divides by the square root of the "
            "width, so you have to multiply.",
        ),
        Mistake(
            "undone_without_root",
            _by_attention(scale=lambda d, b: (d + 1) / b**2),
            "You undo too much. attend divides by the square root of the width, not by the width. (Perhaps "
            "you undo it in the queries and again in the keys.)",
        ),
        Mistake(
            "length_not_scaled",
            _by_attention(one=lambda d, b: 1.0),
            "The dot product has all its factors, the squared length has not. Bandwidth and scale act on "
            "the whole exponent, so the number that meets the extra feature needs them too.",
            also=[
                _by_attention(one=lambda d, b: math.sqrt(d + 1)),
                _by_attention(one=lambda d, b: 1 / b**2),
            ],
        ),
        Mistake(
            "lengths_multiplied",
            _lengths_multiplied,
            "Query and key both have their squared length in the extra place, so the two lengths are "
            "multiplied. The exponent has a sum. What must stand beside the query, so that the product "
            "is the length of the key alone?",
        ),
        Mistake(
            "query_not_widened",
            lambda attend, q, k, v, b: attend(q, torch.cat([k, k[:, :1]], dim=1), v),
            "The keys are wider than the queries, so they cannot be multiplied. What must stand beside "
            "each query, so that the new number of the key goes into the score as it is?",
        ),
        Mistake(
            "attend_not_used",
            lambda attend, *rest: _directly(*rest),
            "The formula is right, but attend is not used for the result. One attend of the checker has its "
            "first key masked, and its prediction has to leave that one out. Build other "
            "queries and keys, and let attend do the rest.",
        ),
    ],
    laws=[
        Law(
            "a mean lies between the smallest and the largest of the values",
            lambda out, attend, q, k, v, b: between_the_values(out, v),
        ),
    ],
)
