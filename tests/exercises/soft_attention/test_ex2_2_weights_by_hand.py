import math

import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.soft_attention.ex2_2_weights_by_hand import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.

BACK = "look back"


def by_roll(n, what):
    """Move the rows of one-hot keys down, and mend the first."""
    key = torch.eye(n)
    query = key.roll(1, 0)
    query[0] = key[0]
    return 30 * (query if what == BACK else query + key), key


def by_loop(n, what):
    query = [[0.0] * n for _ in range(n)]
    for i in range(n):
        query[i][max(i - 1, 0)] = 25.0
        if what != BACK:
            query[i][i] = 25.0
    return torch.tensor(query), torch.eye(n)


def by_angles(n, what):
    """Put the positions on half a circle, and let every query point to its key, or between two."""
    place = np.arange(n)
    aim = np.maximum(place - (1 if what == BACK else 0.5), 0)
    aim[0] = 0
    points = [np.stack([np.cos(np.pi * x / n), np.sin(np.pi * x / n)], 1) for x in (aim, place)]
    return 4000 * points[0], points[1]


def by_distance(n, what):
    """Minus the squared distance is a dot product, up to something that all keys share."""
    place = torch.arange(n).float()
    aim = (place - (1 if what == BACK else 0.5)).clamp(min=0)
    aim[0] = 0
    key = torch.stack([2 * place, -(place**2)], 1)
    return 12 * torch.stack([aim, torch.ones(n)], 1), key


def by_logarithm(n, what):
    """Scores may be the logarithm of the weights, with a small number in the place of 0."""
    back = torch.eye(n)[[0, *range(n - 1)]]
    weights = back if what == BACK else (back + torch.eye(n)) / 2
    return (weights + 1e-6).log(), torch.eye(n)


def by_whole_numbers(n, what):
    query = np.eye(n, dtype=int)[np.maximum(np.arange(n) - 1, 0)]
    return 50 * (query if what == BACK else query + np.eye(n, dtype=int)), np.eye(n, dtype=int)


OTHER_WAYS = [by_roll, by_loop, by_angles, by_distance, by_logarithm, by_whole_numbers]


# Wrong ways, written as a learner writes them.


def wanted_weights_as_queries(n, what):
    back = torch.eye(n)[[0, *range(n - 1)]]
    return (back if what == BACK else (back + torch.eye(n)) / 2), torch.eye(n)


def soft_for_forty(n, what):
    query, key = by_roll(n, what)
    return query / 30 * 7, key


def coarse_angles(n, what):
    place = torch.arange(n)
    aim = (place - (1 if what == BACK else 0.5)).clamp(min=0)
    aim[0] = 0
    points = [torch.stack([(x * 3 / n).cos(), (x * 3 / n).sin()], 1) for x in (aim, place)]
    return 150 * points[0], points[1]


def closed_circle(n, what):
    place = torch.arange(n)
    aim = place - (1 if what == BACK else 0.5)
    points = [
        torch.stack([(2 * torch.pi * x / n).cos(), (2 * torch.pi * x / n).sin()], 1)
        for x in (aim, place)
    ]
    return 4000 * points[0], points[1]


def rolled(n, what):
    key = torch.eye(n)
    query = key.roll(1, 0)
    return 30 * (query if what == BACK else query + key), key


def infinite(n, what):
    query, key = by_roll(n, what)
    return query.masked_fill(query == 0, -math.inf), key


def too_large(n, what):
    query, key = by_roll(n, what)
    return query * 1e30, key * 1e30


def keys_first(n, what):
    return by_roll(n, what)[::-1]


def positions_in_a_turn_of_ten(n, what):
    place = torch.arange(n)
    aim = (place - (1 if what == BACK else 0.5)).clamp(min=0)
    aim[0] = 0
    points = [
        torch.stack([(torch.pi * x / 5).cos(), (torch.pi * x / 5).sin()], 1) for x in (aim, place)
    ]
    return 5000 * points[0], points[1]


def lower_triangle(n, what):
    key = torch.eye(n)
    if what == BACK:
        return by_roll(n, what)
    return 30 * torch.tril(torch.ones(n, n)), key


def shifted_with_zeros(n, what):
    key = torch.eye(n)
    query = torch.zeros(n, n)
    query[1:] = key[:-1]
    return 30 * (query if what == BACK else query + key), key


NEAR_MISSES = [
    ("too_soft", wanted_weights_as_queries),
    ("too_soft_for_many", soft_for_forty),
    ("too_soft_for_many", coarse_angles),
    ("wraps_around", closed_circle),
    ("wraps_around", rolled),
    ("infinite_scores", infinite),
    ("infinite_scores", too_large),
    ("swapped", keys_first),
    ("positions_repeat", positions_in_a_turn_of_ten),
    ("averages_all_before", lower_triangle),
    ("first_row_of_zeros", shifted_with_zeros),
    ("looks_at_itself", lambda n, what: (30 * torch.eye(n), torch.eye(n))),
    ("always_look_back", lambda n, what: by_roll(n, BACK)),
    ("all_alike", lambda n, what: (torch.ones(n, 3), torch.ones(n, 3))),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("n", range(1, 41))
@pytest.mark.parametrize("what", [BACK, "average two"])
def test_the_solution_holds_for_every_length(n, what):
    query, key = EXERCISE.solution(n, what)
    weights = (query @ key.T).softmax(-1)
    wanted = torch.zeros(n, n)
    for i in range(n):
        for j in (i - 1, i - 1) if what == BACK else (i - 1, i):
            wanted[i, max(j, 0)] += 0.5
    torch.testing.assert_close(weights, wanted, atol=0.001, rtol=0)


@pytest.mark.parametrize(("leak", "kind"), [(0.009, "correct"), (0.011, "mistake")])
def test_a_weight_may_be_off_by_a_hundredth(leak, kind):
    def answer(n, what):
        query, key = by_roll(n, what)
        if n == 4 and what == BACK:  # three keys share what is missing
            query = query / 30 * math.log((1 - leak) / (leak / 3))
        return query, key

    assert judge(EXERCISE, answer).kind == kind


def right_for_four(n, what):
    query, key = by_roll(n, what)
    return (query if n == 4 else -query), key


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda n, what: by_roll(n, what)[0], "return two matrices of shape (n, d)"),
        (lambda n, what: (torch.ones(2, n), torch.ones(2, n)), "got shapes (2, 4) and (2, 4)"),
        (lambda n, what: (torch.ones(n, 2), torch.ones(n, 3)), "got shapes (4, 2) and (4, 3)"),
        (lambda n, what: by_roll(n, what) and None, "is a return missing"),
        (right_for_four, "n = 7"),
        (lambda n, what: (torch.ones(n, 1), torch.arange(n)[:, None]), "n = 4"),
    ],
)
def test_what_is_said_of_other_wrong_answers(answer, words):
    verdict = judge(EXERCISE, answer)
    assert verdict.kind != "correct" and words in verdict.message, verdict.message
