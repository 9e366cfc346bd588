"""Exercise 3.1: scaled dot-product attention."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from minattn.dot_product import attend
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.queries_keys_values.dot_products import (
    between_the_values,
    root_of_width,
    scaled_softmax,
)


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by the scaled dot product."""
    return attend(query, key, value)


def _mix(scale: Callable[[Tensor, Tensor, Tensor], float]) -> Callable[..., Tensor]:
    """Make an attention whose scores are multiplied by something else."""
    return lambda q, k, v: scaled_softmax(q, k, scale(q, k, v)) @ v


def _over_all(query: Tensor, key: Tensor, scale: float) -> Tensor:
    scores = query @ key.T * scale
    return scores.flatten().softmax(0).view(scores.shape)


def _without_keepdim(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    powers = (query @ key.T / root_of_width(query)).exp()
    return (powers / powers.sum(-1)) @ value


def _attention_case(seed: int, n_queries: int, n_keys: int, d_k: int, d_v: int) -> Case:
    return (
        numbers(seed, n_queries, d_k),
        numbers(seed + 1, n_keys, d_k),
        numbers(seed + 2, n_keys, d_v),
    )


EXERCISE = Exercise(
    number="3.1",
    title="Scaled dot-product attention",
    solution=attention,
    cases=lambda: [
        _attention_case(200, 2, 3, 5, 7),
        _attention_case(203, 7, 5, 3, 2),
        _attention_case(206, 5, 11, 7, 3),
    ],
    mistakes=[
        Mistake(
            "not_scaled",
            lambda q, k, v: scaled_softmax(q, k) @ v,
            "The scores are not scaled. A dot product is a sum of d_k terms, so it grows with the width, "
            "and the softmax of large scores is nearly a choice of one key. What has the standard "
            "deviation of a sum of d_k independent terms to be divided by?",
        ),
        Mistake(
            "divided_by_width",
            _mix(lambda q, k, v: 1 / q.shape[-1]),
            "The scores are divided by d_k itself (or twice by its square root). The variance of a dot "
            "product grows like d_k, its standard deviation like the square root. Yours shrink as "
            "the width grows, and the weights become uniform.",
        ),
        Mistake(
            "multiplied",
            _mix(lambda q, k, v: root_of_width(q)),
            "The scores are multiplied by the square root of d_k instead of divided by it. That makes "
            "large scores larger still. Look at the sign of the exponent, or at what stands below "
            "the fraction.",
        ),
        Mistake(
            "scaled_by_values",
            _mix(lambda q, k, v: 1 / root_of_width(v)),
            "The square root is that of d_v. The values take no part in the scores. The sum that has to "
            "be tamed runs over the numbers of a query and a key: how many are there?",
        ),
        Mistake(
            "divided_by_value_width",
            _mix(lambda q, k, v: 1 / v.shape[-1]),
            "The scores are divided by d_v. The values take no part in the scores. The sum that has to be "
            "tamed runs over the numbers of a query and a key: how many are there? And it is a square root.",
        ),
        Mistake(
            "scaled_by_length",
            _mix(lambda q, k, v: 1 / root_of_width(k, 0)),
            "The square root is that of the number of keys or queries. A score does not become larger "
            "because there are more keys; it does if query and key are wider. Which axis of the shape "
            "did you take?",
            also=[_mix(lambda q, k, v: 1 / root_of_width(q, 0))],
        ),
        Mistake(
            "over_queries",
            lambda q, k, v: scaled_softmax(q, k, 1 / root_of_width(q), 0) @ v,
            "The softmax runs over the queries, so they compete for a key. The shapes do not complain. "
            "Each query has a whole weight of 1 to share out among the keys: which axis is that?",
            also=[lambda q, k, v: scaled_softmax(q, k, 1.0, 0) @ v],
        ),
        Mistake(
            "over_all",
            lambda q, k, v: _over_all(q, k, 1 / root_of_width(q)) @ v,
            "All weights sum to 1 together, so a query gets less when more queries are asked. Each query "
            "has a whole weight of 1. Look at the axis of the softmax or of the sum.",
            also=[lambda q, k, v: _over_all(q, k, 1.0) @ v],
        ),
        Mistake(
            "scaled_after_softmax",
            lambda q, k, v: scaled_softmax(q, k) @ v / root_of_width(q),
            "The scale comes after the softmax. There it makes every output smaller, and the weights of "
            "a query no longer sum to 1. It should keep the scores small before the exponential.",
            also=[
                lambda q, k, v: scaled_softmax(q, k, 1 / root_of_width(q)) @ v / root_of_width(q)
            ],
        ),
        Mistake(
            "no_softmax",
            lambda q, k, v: q @ k.T / root_of_width(q) @ v,
            "There is no softmax: the values are weighed by the scores themselves. These may be negative, "
            "and they sum to anything. A query should get a mean of the values.",
            also=[lambda q, k, v: q @ k.T @ v],
        ),
        Mistake(
            "not_divided",
            lambda q, k, v: (q @ k.T / root_of_width(q)).exp() @ v,
            "The exponentials are not divided by their sum. The output then grows with the number of "
            "keys, whatever their values are. A mean of equal values must give that value.",
            also=[lambda q, k, v: (q @ k.T).exp() @ v],
        ),
        Mistake(
            "no_exp",
            lambda q, k, v: (q @ k.T / (q @ k.T).sum(-1, keepdim=True)) @ v,
            "The scores are divided by their sum without an exponential. A score may be negative, and "
            "then so is its weight. The scale cancels too, which should have made you wonder.",
        ),
        Mistake(
            "sigmoid",
            lambda q, k, v: (q @ k.T / root_of_width(q)).sigmoid() @ v,
            "This is a sigmoid of each score by itself. The keys do not compete, and the weights of a "
            "query sum to anything. A mean needs weights that sum to 1.",
        ),
        Mistake(
            "cosine",
            lambda q, k, v: scaled_softmax(F.normalize(q, dim=-1), F.normalize(k, dim=-1)) @ v,
            "Queries and keys are divided by their own lengths. That is a cosine: how long a query or a "
            "key is no longer counts, and no score is above 1. The task has one factor, the same for "
            "all pairs.",
            also=[
                lambda q, k, v: (
                    scaled_softmax(
                        F.normalize(q, dim=-1), F.normalize(k, dim=-1), 1 / root_of_width(q)
                    )
                    @ v
                )
            ],
        ),
        Mistake(
            "weights_returned",
            lambda q, k, v: scaled_softmax(q, k, 1 / root_of_width(q)),
            "These are the weights, one row for each query, and they are right. Attention delivers what "
            "one gets by mixing the values with them.",
        ),
        Mistake(
            "keys_mixed",
            lambda q, k, v: scaled_softmax(q, k, 1 / root_of_width(q)) @ k,
            "The weights are right, but they mix the keys. A key says what is offered and serves to be "
            "compared; what is delivered is the value.",
            also=[lambda q, k, v: scaled_softmax(q, k) @ k],
        ),
        Mistake(
            "key_not_transposed",
            lambda q, k, v: q @ k,
            "The shapes do not meet: query and key both have their width as last axis. To get every query "
            "times every key, one of them has to be transposed. Which one gives (queries, keys)?",
            also=[lambda q, k, v: q.T @ k, lambda q, k, v: q @ v],
        ),
        Mistake(
            "table_transposed",
            lambda q, k, v: scaled_softmax(k, q, 1 / root_of_width(q)) @ v,
            "The shapes do not meet: your table of scores is (keys, queries). A row should belong to a "
            "query, so that it can mix the values.",
        ),
        Mistake(
            "no_keepdim",
            _without_keepdim,
            "The shapes do not meet: the sums over the keys have lost their axis, so (queries, keys) meets "
            "(queries,). With keepdim=True the axis stays, with length 1, and broadcasts.",
        ),
    ],
    laws=[
        Law(
            "a mean lies between the smallest and the largest of the values",
            lambda out, q, k, v: between_the_values(out, v),
        ),
    ],
)
