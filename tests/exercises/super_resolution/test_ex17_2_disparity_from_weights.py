import math

import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.super_resolution.ex17_2_disparity_from_weights import EXERCISE, found_within

# Other right ways: loops, NumPy, a count of hits, a table of shifts.


def found_by_loops(weights, truth, within):
    shifts = torch.zeros(truth.shape, dtype=torch.long)
    right = counted = 0
    for row in range(len(weights)):
        for x in range(truth.shape[1]):
            shifts[row, x] = x - int(weights[row, x].argmax())
            disparity = float(truth[row, x])
            if math.isfinite(disparity) and x - disparity >= 0:
                counted += 1
                right += abs(int(shifts[row, x]) - disparity) <= within
    return shifts, right / counted


def found_numpy(weights, truth, within):
    width = weights.shape[2]
    shifts = np.arange(width)[None] - weights.numpy().argmax(2)
    known = np.isfinite(truth.numpy()) & (truth.numpy() <= np.arange(width))
    return shifts, np.mean(np.abs(shifts - truth.numpy())[known] <= within)


def found_by_counts(weights, truth, within):
    shift = torch.arange(truth.shape[1]).expand_as(truth) - weights.max(dim=2).indices
    there = torch.arange(truth.shape[1]) - truth
    counts = torch.isfinite(truth) & (there >= 0)
    right = counts & ((shift - truth).abs() <= within)
    return shift, (right.sum() / counts.sum()).item()


def found_by_a_table_of_shifts(weights, truth, within):
    x = torch.arange(weights.shape[-1])
    table = (x[:, None] - x).expand_as(weights)
    best = weights == weights.amax(-1, keepdim=True)
    shifts = table[best].view(truth.shape).double()
    found = truth.where((truth <= x) & truth.isfinite(), torch.nan)
    off = (shifts - found).abs()
    return shifts.long(), 1 - float((off[~off.isnan()] > within).double().mean())


OTHER_WAYS = [found_by_loops, found_numpy, found_by_counts, found_by_a_table_of_shifts]


# Wrong ways, written as a learner writes them.


def found_by_columns(weights, truth, within):
    best = weights.argmax(-1)
    counts = truth.isfinite() & (truth <= torch.arange(truth.shape[1]))
    return best, ((best - truth).abs() <= within)[counts].float().mean().item()


def found_to_the_other_side(weights, truth, within):
    x = torch.arange(truth.shape[1])
    shift = weights.argmax(-1) - x
    counts = truth.isfinite() & (x - truth >= 0)
    return shift, ((shift - truth).abs() <= within)[counts].float().mean().item()


def found_without_a_sign(weights, truth, within):
    x = torch.arange(truth.shape[1])
    shift = (weights.argmax(-1) - x).abs()
    counts = truth.isfinite() & (x - truth >= 0)
    return shift, ((shift - truth).abs() <= within)[counts].float().mean().item()


def found_among_all(weights, truth, within):
    shift = torch.arange(truth.shape[1]) - weights.argmax(-1)
    return shift, ((shift - truth).abs() <= within).float().mean().item()


def found_but_for_nan(weights, truth, within):
    x = torch.arange(truth.shape[1])
    shift = x - weights.argmax(-1)
    off = (shift - truth).abs()
    return shift, (off[~off.isnan()] <= within).float().mean().item()


def found_among_the_known(weights, truth, within):
    shift = torch.arange(truth.shape[1]) - weights.argmax(-1)
    known = torch.isfinite(truth)
    return shift, ((shift[known] - truth[known]).abs() <= within).float().mean().item()


def found_below(weights, truth, within):
    x = torch.arange(truth.shape[1])
    shift = x - weights.argmax(-1)
    counts = truth.isfinite() & (x >= truth)
    return shift, ((shift - truth).abs() < within)[counts].float().mean().item()


def found_on_average(weights, truth, within):
    x = torch.arange(truth.shape[1])
    shift = (weights * (x[:, None] - x)).sum(-1)
    counts = truth.isfinite() & (x >= truth)
    return shift, ((shift - truth).abs() <= within)[counts].float().mean().item()


def found_row_by_row(weights, truth, within):
    x = torch.arange(truth.shape[1])
    shares = []
    shift = x - weights.argmax(-1)
    for found, right in zip(shift, truth, strict=True):
        counts = right.isfinite() & (right <= x)
        shares.append(((found - right).abs() <= within)[counts].float().mean().item())
    return shift, sum(shares) / len(shares)


NEAR_MISSES = [
    ("column_for_shift", found_by_columns),
    ("wrong_side", found_to_the_other_side),
    ("wrong_side", found_without_a_sign),
    ("unknown_counted", found_among_all),
    ("unknown_counted", found_but_for_nan),
    ("outside_counted", found_among_the_known),
    ("edge_of_the_tolerance", found_below),
    ("averaged_before", found_on_average),
    ("mean_of_rows", found_row_by_row),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_a_case_has_what_is_told_apart(case):
    weights, truth, within = case
    x = torch.arange(truth.shape[1])
    shift = x - weights.argmax(-1)
    off = (shift - truth).abs()[truth.isfinite() & (truth <= x)]
    assert bool(truth.isnan().any())
    assert bool((truth.isfinite() & (truth > x)).any()) and bool((truth == x).any())
    assert bool((off == within).any()) and bool((off > within).any()) and bool((shift < 0).any())
    first, second = weights.topk(2, -1).values.unbind(-1)
    assert float((first - second).min()) > 0.01
    assert all(math.isclose(4 * x, round(4 * x)) for x in off.tolist())  # no rounding at the edge


def test_the_numbers_of_the_task():
    weights = torch.zeros(1, 10, 10)
    weights[0, torch.arange(10), torch.tensor([0, 0, 0, 0, 0, 0, 4, 4, 4, 4])] = 1
    truth = torch.full((1, 10), torch.nan)
    truth[0, 9], truth[0, 8], truth[0, 1] = 3, 1.5, 4
    shifts, share = found_within(weights, truth, 2)
    assert (shifts[0, 9], share) == (5, 0.5)


def test_an_unknown_answer_hears_of_the_law():
    verdict = judge(EXERCISE, lambda *case: (found_within(*case)[0] + 30, 0.5))
    assert verdict.kind == "wrong" and "a column of the right view" in verdict.message
