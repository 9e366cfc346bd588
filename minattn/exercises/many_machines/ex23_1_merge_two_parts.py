"""Exercise 23.1: two partial results of attention become one."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Weights = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Makes the weights of two outputs of their log_totals."""


def merge(
    output_a: Tensor, log_total_a: Tensor, output_b: Tensor, log_total_b: Tensor
) -> tuple[Tensor, Tensor]:
    """Return output and log_total over the keys of both parts."""
    return _merge(output_a, log_total_a, output_b, log_total_b)


def _shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.logaddexp(a, b)
    shift = both.masked_fill(both == -torch.inf, 0.0)
    return (a - shift).exp(), (b - shift).exp()


def _swapped(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return _shares(b, a)


def _halves(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.full_like(a, 0.5), torch.full_like(b, 0.5)


def _ones(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(a), torch.ones_like(b)


def _of_logs(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return a / (a + b), b / (a + b)


def _powers(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shift = torch.maximum(a, b)
    shift = shift.masked_fill(shift == -torch.inf, 0.0)
    return (a - shift).exp(), (b - shift).exp()


def _merge(
    output_a: Tensor,
    log_a: Tensor,
    output_b: Tensor,
    log_b: Tensor,
    *,
    weights: Weights = _shares,
    total: Callable[[Tensor, Tensor], Tensor] = torch.logaddexp,
) -> tuple[Tensor, Tensor]:
    """Merge with some weights and some sum of the log_totals."""
    weight_a, weight_b = weights(log_a, log_b)
    return weight_a[:, None] * output_a + weight_b[:, None] * output_b, total(log_a, log_b)


def _case(seed: int, logs_a: list[float], logs_b: list[float], d_v: int) -> Case:
    """Make two parts; the output of a part that allowed nothing is 0."""
    case = []
    for i, logs in enumerate((logs_a, logs_b)):
        log_total = torch.tensor(logs)
        output = numbers(seed + i, len(logs), d_v)
        case += [output.masked_fill((log_total == -torch.inf)[:, None], 0.0), log_total]
    return tuple(case)


def _cases() -> list[Case]:
    none = -torch.inf
    return [
        _case(2310, [1.25, 0.5], [0.25, 2.0], 3),
        _case(2320, [1000.5, -1000.0, 3.0], [1001.25, -999.5, 903.0], 2),
        _case(2330, [none, 1.5, 0.75, -0.5, 2.0], [1.25, none, -0.25, 0.5, 1.0], 3),
        _case(2340, [0.5, none, -1.25], [none, none, 0.75], 5),
    ]


EXERCISE = Exercise(
    number="23.1",
    title="Merge two parts",
    solution=merge,
    cases=_cases,
    tolerance=3e-4,  # near 1000, numbers of 32 bits lie 6e-5 apart
    mistakes=[
        Mistake(
            "mean_of_outputs",
            partial(_merge, weights=_halves),
            "You take the mean of the two outputs, or their sum. A part whose keys fit better, or that has more "
            "of them, counts for more: its weight is its share of the total, exp(its log_total - log_total).",
            also=[
                partial(_merge, weights=weights, total=total)
                for weights in (_halves, _ones)
                for total in (torch.logaddexp, torch.add, torch.maximum)
            ],
        ),
        Mistake(
            "log_totals_added",
            partial(_merge, total=torch.add),
            "You add the log_totals. A sum of logarithms is the logarithm of a product, and the totals are to be "
            "added: log(exp(a) + exp(b)), written so that no large number goes into exp.",
        ),
        Mistake(
            "larger_log_total",
            partial(_merge, total=torch.maximum),
            "You hand on the larger log_total, and the total of the other part is lost. The next merge then gives "
            "too little weight to what you have. Add the logarithm of the sum of exp(a - larger) and exp(b - larger).",
        ),
        Mistake(
            "weights_without_exp",
            partial(_merge, weights=_of_logs),
            "You weigh by the log_totals themselves. They are logarithms, and may be below 0. The share of a part is "
            "its total by the total of both: exp(its log_total - log_total).",
            also=[partial(_merge, weights=_of_logs, total=torch.add)],
        ),
        Mistake(
            "weights_exchanged",
            partial(_merge, weights=_swapped),
            "Each output has the weight of the other one. If part a holds nearly all of the total, the result is to be "
            "near output_a. Look at the sign of the difference that you take exp or sigmoid of.",
        ),
        Mistake(
            "not_divided",
            partial(_merge, weights=_powers),
            "The two weights do not sum to 1: you subtract the larger log_total, and do not divide by the sum of both "
            "powers. The outputs were divided by their own totals, so the result needs the total of both.",
            also=[partial(_merge, weights=_powers, total=torch.maximum)],
        ),
    ],
    laws=[
        Law(
            "where neither part allowed anything, the output is 0 and log_total minus infinity, not NaN",
            lambda out, output_a, a, output_b, b: (
                not (torch.isnan(out[0]).any() or torch.isnan(out[1]).any())
            ),
        ),
        Law(
            "log_total is no less than that of either part",
            lambda out, output_a, a, output_b, b: bool((out[1] >= torch.maximum(a, b)).all()),
        ),
    ],
)
