import numpy as np
import pytest
import torch

from minattn.exercises.explanation.ex21_4_other_weights import EXERCISE, other_weights
from minattn.exercises.judging import judge

# Other right ways: an eigenvector, elimination, corners of the set, NumPy.


def ends_of(weights, direction):
    """Return both ends of the line, as a list of weights of 0 tells them."""
    ends = []
    for sign in (1, -1):
        way = sign * direction
        steps = [-w / d for w, d in zip(weights.tolist(), way.tolist(), strict=True) if d < 0]
        ends.append(weights + min(steps) * way)
    return ends


def furthest(weights, ends):
    return max(ends, key=lambda end: float((end - weights).abs().sum()))


def by_eigenvector(weights, value):
    kept = torch.cat([value, torch.ones(len(value), 1)], 1).double()
    direction = torch.linalg.eigh(kept @ kept.T).eigenvectors[:, 0]
    return furthest(weights, ends_of(weights.double(), direction))


def by_elimination(weights, value):
    """Change the last weight by 1, and solve for the others."""
    kept = torch.cat([value, torch.ones(len(value), 1)], 1).T
    others = torch.linalg.solve(kept[:, :-1], -kept[:, -1])
    return furthest(weights, ends_of(weights, torch.cat([others, torch.ones(1)])))


def by_corners(weights, value):
    """Leave out one key at a time: an end of the line is where the rest needs nothing below 0."""
    kept = torch.cat([value, torch.ones(len(value), 1)], 1).T.double()
    target = kept @ weights.double()
    ends = []
    for j in range(len(weights)):
        rest = [i for i in range(len(weights)) if i != j]
        end = torch.zeros(len(weights), dtype=torch.float64)
        end[rest] = torch.linalg.solve(kept[:, rest], target)
        if end.min() > -1e-9:
            ends.append(end)
    return furthest(weights, ends)


def by_numpy(weights, value):
    kept = np.column_stack([value.numpy(), np.ones(len(value))])
    direction = np.linalg.qr(kept, mode="complete")[0][:, -1]
    w = weights.numpy()
    with np.errstate(divide="ignore"):
        steps = -w / direction
    ends = w + steps[steps > 0].min() * direction, w + steps[steps < 0].max() * direction
    return max(ends, key=lambda end: abs(end - w).sum())


OTHER_WAYS = [by_eigenvector, by_elimination, by_corners, by_numpy]


# Wrong ways, written as a learner writes them.


def line_of(value):
    kept = torch.cat([value, torch.ones(len(value), 1)], 1)
    return torch.linalg.svd(kept.T)[2][-1]


def a_short_way(weights, value):
    return min(ends_of(weights, line_of(value)), key=lambda end: (end - weights).abs().sum())


def without_the_ones(weights, value):
    direction = torch.linalg.svd(value.T)[2][-1]
    return furthest(weights, ends_of(weights, direction))


NEAR_MISSES = [
    ("nearer_end", a_short_way),
    ("sum_forgotten", without_the_ones),
    ("unchanged", lambda weights, value: weights),
    ("shuffled", lambda weights, value: weights.flip(-1)),
]


# What is said, and what the checker is tried on.


def test_the_output_and_the_sum_stay_and_one_weight_is_0():
    for weights, value in EXERCISE.cases():
        other = other_weights(weights, value)
        torch.testing.assert_close(other @ value, weights @ value)
        torch.testing.assert_close(other.sum(), torch.tensor(1.0))
        assert abs(float(other.min())) < 1e-6
        assert float((other - weights).abs().sum()) / 2 > 0.15


def test_there_are_no_others_further_away():
    """Walk along the line in small steps."""
    for weights, value in EXERCISE.cases():
        way = other_weights(weights, value) - weights
        far = float(way.abs().sum())
        for t in np.linspace(-3, 3, 601):
            other = weights + t * way
            if float(other.min()) >= -1e-6:
                assert float((other - weights).abs().sum()) <= far + 1e-4


def test_both_ways_are_of_different_lengths():
    for weights, value in EXERCISE.cases():
        ways = [float((end - weights).norm()) for end in ends_of(weights, line_of(value))]
        assert max(ways) > 1.2 * min(ways)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_direction_alone_is_told_to_try_both(sign):
    """Which one it is hangs on the machine, so it is made to be of one sign."""

    def answer(weights, value):
        direction = line_of(value)
        return ends_of(weights, sign * direction * direction[0].sign())[0]

    verdict = judge(EXERCISE, answer)
    assert verdict.mistake == "nearer_end"


def test_the_numbers_of_the_task():
    weights, value = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([[1.0], [3.0], [2.0]])
    torch.testing.assert_close(other_weights(weights, value), torch.tensor([0.2, 0.0, 0.8]))


def test_a_result_that_fetches_something_else_breaks_the_law():
    verdict = judge(EXERCISE, lambda weights, value: weights.roll(1))
    assert verdict.kind == "wrong" and "the output stays as it was" in verdict.message
