"""Exercise 17.2: a disparity from weights, and how often it is right."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

Shift = Callable[[Tensor], Tensor]
"""Reads shifts, (rows, width), from weights, (rows, width, width)."""


def found_within(weights: Tensor, truth: Tensor, within: float | int) -> tuple[Tensor, float]:
    """Return how far left each pixel looks most, and the share of those near the truth."""
    shift, share = _found(weights, truth, within)
    return shift, share


def _columns(weights: Tensor) -> Tensor:
    return torch.arange(weights.shape[-1])


def _peak(weights: Tensor) -> Tensor:
    return _columns(weights) - weights.argmax(-1)


def _to_the_right(weights: Tensor) -> Tensor:
    return -_peak(weights)


def _absolute(weights: Tensor) -> Tensor:
    return _peak(weights).abs()


def _column_itself(weights: Tensor) -> Tensor:
    return weights.argmax(-1)


def _from_the_right_end(weights: Tensor) -> Tensor:
    return weights.shape[-1] - 1 - weights.argmax(-1)


def _of_the_keys(weights: Tensor) -> Tensor:
    return _columns(weights) - weights.argmax(1)


def _of_the_keys_to_the_right(weights: Tensor) -> Tensor:
    return weights.argmax(1) - _columns(weights)


def _expected(weights: Tensor) -> Tensor:
    return _columns(weights) - weights @ _columns(weights).float()


def _expected_rounded(weights: Tensor) -> Tensor:
    return _expected(weights).round().long()


def _of_all_rows(weights: Tensor) -> Tensor:
    return _peak(weights.mean(0, keepdim=True).expand_as(weights))


def _known(truth: Tensor) -> Tensor:
    return truth.isfinite()


def _no_nan(truth: Tensor) -> Tensor:
    return ~truth.isnan()


def _no_infinity(truth: Tensor) -> Tensor:
    return ~truth.isinf()


def _all(truth: Tensor) -> Tensor:
    return torch.ones_like(truth).bool()


def _inside(truth: Tensor) -> Tensor:
    return ~(truth > torch.arange(truth.shape[-1]))  # where it is unknown, too


def _right_of_the_border(truth: Tensor) -> Tensor:
    return ~(truth >= torch.arange(truth.shape[-1]))


def _inside_to_the_right(truth: Tensor) -> Tensor:
    return ~(truth + torch.arange(truth.shape[-1]) >= truth.shape[-1])


def _near(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return (shift - truth).abs() <= within


def _nearer(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return (shift - truth).abs() < within


def _near_the_rounded(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return _near(shift, truth.round(), within)


def _near_the_floor(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return _near(shift, truth.floor(), within)


def _on_one_side(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return shift - truth <= within


def _not_far(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return ~((shift - truth).abs() > within)  # right where the truth is NaN


def _near_zero(shift: Tensor, truth: Tensor, within: float | int) -> Tensor:
    return _near(shift, truth.nan_to_num(0, posinf=0), within)


def _over_pixels(hits: Tensor, counts: Tensor) -> Tensor:
    return hits[counts].mean()


def _over_all(hits: Tensor, counts: Tensor) -> Tensor:
    """Take what does not count for wrong."""
    return (hits * counts).mean()


def _over_rows(hits: Tensor, counts: Tensor) -> Tensor:
    return ((hits * counts).sum(1) / counts.sum(1)).mean()


def _found(
    weights: Tensor,
    truth: Tensor,
    within: float | int,
    *,
    shift: Shift = _peak,
    known: Callable[[Tensor], Tensor] = _known,
    inside: Callable[[Tensor], Tensor] = _inside,
    near: Callable[[Tensor, Tensor, float | int], Tensor] = _near,
    mean: Callable[[Tensor, Tensor], Tensor] = _over_pixels,
) -> tuple[Tensor, float]:
    """Read shifts in some way, and score them.

    Args:
        weights: of each pixel, over the columns of the right view.
        truth: the disparity; NaN or infinite where it is unknown.
        within: how far a shift may be off.
        shift: reads shifts.
        known: which disparities count as known.
        inside: for which of them the match counts as one inside of the right view.
        near: which shifts are right.
        mean: of what is right, over what counts.
    """
    shifts = shift(weights)
    hits = near(shifts, truth, within).double()
    return shifts, float(mean(hits, known(truth) & inside(truth)))


def _written(**ways: list[Callable[..., Tensor]]) -> Iterator[Answer]:
    """List every combination of some ways."""
    for chosen in product(*ways.values()):
        yield partial(_found, **dict(zip(ways, chosen, strict=True)))  # type: ignore[arg-type]


def _case(seed: int, n_rows: int, width: int, within: float | int) -> Case:
    """Draw disparities, and weights whose peak is as often near them as not."""
    rng = np.random.default_rng(seed)
    columns = np.arange(width)
    truth = rng.integers(0, 2 * width, size=(n_rows, width)) / 4
    off = rng.choice([0.0, 0.5, 1.0, 1.25, 2.0], size=truth.shape) * within
    side = rng.choice([-1, 1], size=truth.shape)
    peak = (columns - truth + off * side).round().clip(0, width - 1).astype(int)
    scores = rng.normal(size=(n_rows, width, width))
    np.put_along_axis(scores, peak[..., None], scores.max(-1, keepdims=True) + 0.5, -1)
    truth[rng.random(truth.shape) < 0.15] = np.nan
    truth[rng.random(truth.shape) < 0.15] = np.inf
    truth[0, 2] = 2  # the match is in column 0
    weights, exact = torch.tensor(scores).softmax(-1).float(), torch.tensor(truth).float()
    return weights, exact, within


def _small() -> Case:
    """Make one row: outside, 2.25 off, 2 off, 1 off and unknown."""
    weights = torch.tensor(
        [
            [0.40, 0.25, 0.20, 0.10, 0.05],
            [0.10, 0.15, 0.10, 0.60, 0.05],
            [0.50, 0.20, 0.10, 0.15, 0.05],
            [0.15, 0.45, 0.15, 0.20, 0.05],
            [0.20, 0.05, 0.35, 0.10, 0.30],
        ]
    )
    truth = torch.tensor([1.5, 0.25, 0.0, 3.0, torch.nan])
    return weights[None], truth[None], 2


def _cases() -> list[Case]:
    return [
        _small(),
        _case(1721, 3, 7, 2),
        _case(1722, 5, 13, 2),
        _case(1723, 7, 11, 1),
        _case(1724, 2, 17, 3),
    ]


EXERCISE = Exercise(
    number="17.2",
    title="A disparity from weights",
    solution=found_within,
    cases=_cases,
    mistakes=[
        Mistake(
            "column_for_shift",
            partial(_found, shift=_column_itself),
            "The arg-max is a column, and you take it for the shift. A pixel in column 9 that looks at column 4 has "
            "the shift 5: how far the one is left of the other.",
            also=[partial(_found, shift=_from_the_right_end)],
        ),
        Mistake(
            "wrong_side",
            partial(_found, shift=_to_the_right),
            "The shift is x - x': positive where the match stands further left. Yours has the other sign, or none: "
            "without a sign, looking 3 columns to the wrong side would be as right as 3 to the left.",
            also=[
                partial(_found, shift=_absolute),
                partial(_found, shift=_to_the_right, inside=_inside_to_the_right),
            ],
        ),
        Mistake(
            "wrong_axis",
            partial(_found, shift=_of_the_keys),
            "Your arg-max runs over the pixels that ask. It has to run over those that are asked, the last axis: "
            "the weights there belong to one query and sum to 1.",
            also=[partial(_found, shift=_of_the_keys_to_the_right)],
        ),
        Mistake(
            "averaged_before",
            partial(_found, shift=_expected),
            "You average before you choose. A pixel that looks at two places would be given the one between, where "
            "nothing is; and every row has a disparity of its own. Take the arg-max for each pixel of each row.",
            also=[partial(_found, shift=_expected_rounded), partial(_found, shift=_of_all_rows)],
        ),
        Mistake(
            "unknown_counted",
            partial(_found, known=_all),
            "Pixels count whose disparity is not known. Compared with NaN all is False, so `<=` calls them wrong, and "
            "`not >` calls them right. Infinity is unknown too. Leave both out, and divide by what is left.",
            also=[
                *_written(known=[_all], near=[_not_far, _near_zero]),
                *_written(
                    known=[_no_nan, _no_infinity, _all],
                    inside=[_all],
                    near=[_near, _not_far, _near_zero],
                ),
                partial(_found, mean=_over_all),
            ],
        ),
        Mistake(
            "outside_counted",
            partial(_found, inside=_all),
            "Pixels count whose match lies outside. If x - disparity is below 0, that place is left of the right "
            "view's border, and no weight can point there. Column 0 itself is inside.",
            also=[
                partial(_found, inside=_right_of_the_border),
                partial(_found, inside=_inside_to_the_right),
            ],
        ),
        Mistake(
            "edge_of_the_tolerance",
            partial(_found, near=_nearer),
            "The tolerance is drawn elsewhere. A shift that is off by exactly `within` is right (<=, not <), to both "
            "sides, and one that is off by a quarter more is not: do not round the truth.",
            also=list(_written(near=[_near_the_rounded, _near_the_floor, _on_one_side])),
        ),
        Mistake(
            "mean_of_rows",
            partial(_found, mean=_over_rows),
            "You average the shares of the rows. A row with two known pixels then weighs as much as one with ten. "
            "Take all pixels that count together, and divide once.",
        ),
    ],
    laws=[
        Law(
            "x - shift is a column of the right view",
            lambda out, weights, *rest: bool(
                ((_columns(weights) - out[0] >= 0) & (out[0] > _columns(weights) - len(weights[0])))
                .all()
                .item()
            ),
        ),
        Law("a share is from 0 to 1", lambda out, *case: 0 <= out[1] <= 1),
    ],
)
