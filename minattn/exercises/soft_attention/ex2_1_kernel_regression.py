"""Exercise 2.1: kernel regression."""

import math

import torch
from torch import Tensor

from minattn.alignment import gaussian_scores
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def kernel_regression(query: Tensor, key: Tensor, value: Tensor, bandwidth: float) -> Tensor:
    """Predict at every query by an average of the values, nearer keys weighing more."""
    scores = gaussian_scores(query[:, None], key[:, None], bandwidth)
    return scores.softmax(dim=-1) @ value


def _kernel(query: Tensor, key: Tensor, bandwidth: float) -> Tensor:
    return (-(query[:, None] - key).square() / (2 * bandwidth**2)).exp()


def _average(kernel: Tensor, value: Tensor) -> Tensor:
    return (kernel @ value) / kernel.sum(1)


def _kernel_cases() -> list[Case]:
    query, key = torch.tensor([0.5, 1.5]), torch.tensor([0.0, 1.0, 2.5])
    return [
        (query, key, torch.tensor([1.0, 3.0, -2.0]), 0.8),
        (numbers(101, 3), numbers(102, 5), numbers(103, 5), 0.6),
        (numbers(104, 7), numbers(105, 2), numbers(106, 2), 1.7),
    ]


def _distance(query: Tensor, key: Tensor) -> Tensor:
    return query[:, None] - key


EXERCISE = Exercise(
    number="2.1",
    title="Kernel regression",
    solution=kernel_regression,
    cases=_kernel_cases,
    mistakes=[
        Mistake(
            "not_normalised",
            lambda q, k, v, b: _kernel(q, k, b) @ v,
            "The weights are not divided by their sum. The prediction then grows with the number of "
            "known points that are near, whatever their values. An average of equal values must "
            "give that value.",
            also=[lambda q, k, v, b: _kernel(q, k, b) @ v / (b * math.sqrt(2 * math.pi))],
        ),
        Mistake(
            "normalised_over_queries",
            lambda q, k, v, b: (_kernel(q, k, b) / _kernel(q, k, b).sum(0)) @ v,
            "The weights sum to 1 over the queries. Then the prediction at one point changes when you ask "
            "about another one too. Each query shares out its own weight among the keys: which axis is "
            "that?",
        ),
        Mistake(
            "one_sum",
            lambda q, k, v, b: _kernel(q, k, b) @ v / _kernel(q, k, b).sum(),
            "All weights are divided by one sum over queries and keys. Asking for more predictions then "
            "makes each of them smaller. Give each query a sum of its own.",
        ),
        Mistake(
            "paired",
            lambda q, k, v, b: (-((q - k) ** 2) / (2 * b**2)).softmax(0) @ v,
            "This pairs the first query with the first key, the second with the second, and so on. "
            "Every query has to meet every key, in a table of (queries, keys). Give query a second axis "
            "first: what is the shape of query[:, None] - key?",
        ),
        Mistake(
            "distance_not_squared",
            lambda q, k, v, b: _average((-_distance(q, k).abs() / (2 * b**2)).exp(), v),
            "The distance is not squared. That is a kernel too, but with a sharp peak at every key; "
            "the Gaussian one is flat there. Compare your exponent with the formula.",
        ),
        Mistake(
            "sign",
            lambda q, k, v, b: _average((_distance(q, k).square() / (2 * b**2)).exp(), v),
            "The farthest key gets the largest weight: the minus in the exponent is missing. Try a query "
            "that lies right on a key and look at the weights.",
        ),
        Mistake(
            "signed_distance",
            lambda q, k, v, b: _average((-_distance(q, k) / (2 * b**2)).exp(), v),
            "The exponent has the difference with its sign, so a key on one side counts as nearer than "
            "the query itself. A distance is never negative. What does the formula do with the "
            "difference?",
            also=[lambda q, k, v, b: _average((_distance(q, k) / (2 * b**2)).exp(), v)],
        ),
        Mistake(
            "bandwidth_not_squared",
            lambda q, k, v, b: _average((-_distance(q, k).square() / (2 * b)).exp(), v),
            "The bandwidth is not squared. The distance is, so both have to be: the exponent must not "
            "change when query, key and bandwidth are all given in centimetres instead of metres.",
        ),
        Mistake(
            "no_two",
            lambda q, k, v, b: _average((-_distance(q, k).square() / b**2).exp(), v),
            "The factor 2 below the fraction is missing, so the kernel is narrower than the bandwidth "
            "says. Compare your exponent with the formula.",
        ),
        Mistake(
            "two_not_below",
            lambda q, k, v, b: _average((-_distance(q, k).square() / 2 * b**2).exp(), v),
            "A larger bandwidth makes your kernel narrower. In Python a / 2 * b**2 is (a / 2) * b**2: "
            "look at what is really divided.",
        ),
        Mistake(
            "nearest_only",
            lambda q, k, v, b: v[_distance(q, k).abs().argmin(1)],
            "This takes the value of the nearest key only. The prediction then jumps half-way between "
            "two keys, and the bandwidth plays no part. Every key should have its share.",
        ),
        Mistake(
            "keys_averaged",
            lambda q, k, v, b: _average(_kernel(q, k, b), k),
            "This averages the keys. A key is where something was observed; the value is what was. "
            "Which of them should come out?",
        ),
        Mistake(
            "weights_returned",
            lambda q, k, v, b: _kernel(q, k, b) / _kernel(q, k, b).sum(1, keepdim=True),
            "These are the weights, one row for each query, and they are right. The prediction is what "
            "one gets by averaging the values with them.",
        ),
    ],
    laws=[
        Law(
            "an average lies between the smallest and the largest value",
            lambda out, q, k, v, b: bool(((out >= v.min() - 1e-4) & (out <= v.max() + 1e-4)).all()),
        ),
    ],
)
