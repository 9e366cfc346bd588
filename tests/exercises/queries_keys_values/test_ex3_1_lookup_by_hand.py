import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.queries_keys_values.ex3_1_lookup_by_hand import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def by_loop(n_letters, n_places, k):
    """Write every number by itself."""
    width = n_letters + n_places
    w_q, w_k = torch.zeros(width, n_places), torch.zeros(width, n_places)
    for i in range(n_places):
        w_q[n_letters + i, (i - k) % n_places] = 1000.0
        w_k[n_letters + i, i] = 1.0
    w_v = torch.zeros(width, n_letters)
    for i in range(n_letters):
        w_v[i, i] = 1.0
    return w_q, w_k, w_v


def with_shifted_keys(n_letters, n_places, k):
    """Move the keys forward, and leave the queries where they are."""
    place = torch.cat([torch.zeros(n_letters, n_places), torch.eye(n_places)])
    letter = torch.cat([torch.eye(n_letters), torch.zeros(n_places, n_letters)])
    return 10 * n_places * place, place.roll(k, 1), letter


def by_angles(n_letters, n_places, k):
    """Put the places on a circle: two numbers are enough, if they are large."""
    turn = 2 * np.pi * np.arange(n_places) / n_places
    aim = turn - 2 * np.pi * k / n_places
    nothing = np.zeros((n_letters, 2))
    w_q = np.concatenate([nothing, np.stack([np.cos(aim), np.sin(aim)], 1)]) * 2000
    w_k = np.concatenate([nothing, np.stack([np.cos(turn), np.sin(turn)], 1)])
    return w_q, w_k, np.eye(n_letters + n_places)[:, :n_letters]


def as_wide_as_a_token(n_letters, n_places, k):
    """Keep the width of the tokens, with zeros for the letters."""
    whole = torch.eye(n_letters + n_places)
    w_k = whole.clone()
    w_k[:n_letters] = 0
    w_q = w_k.clone()
    w_q[n_letters:, n_letters:] = torch.eye(n_places).roll(-k, 1) * 500
    return w_q, w_k, whole[:, :n_letters]


def by_whole_numbers(n_letters, n_places, k):
    whole = np.eye(n_letters + n_places, dtype=int)
    place = whole[:, n_letters:]
    return [300 * np.roll(place, -k, axis=1), place, whole[:, :n_letters]]


OTHER_WAYS = [by_loop, with_shifted_keys, by_angles, as_wide_as_a_token, by_whole_numbers]


# Wrong ways, written as a learner writes them.


def times(number, answer=by_loop):
    def multiplied(n_letters, n_places, k):
        w_q, w_k, w_v = answer(n_letters, n_places, k)
        return w_q / 1000 * number, w_k, w_v

    return multiplied


def ahead(n_letters, n_places, k):
    return by_loop(n_letters, n_places, -k)


def exchanged(n_letters, n_places, k):
    w_q, w_k, w_v = by_loop(n_letters, n_places, k)
    return w_k, w_q, w_v


def whole_values(n_letters, n_places, k):
    w_q, w_k, _ = by_loop(n_letters, n_places, k)
    return w_q, w_k, torch.eye(n_letters + n_places)


def without_wrap(n_letters, n_places, k):
    w_q, w_k, w_v = by_loop(n_letters, n_places, k)
    w_q[n_letters : n_letters + k] = 0
    return w_q, w_k, w_v


def clamped(n_letters, n_places, k):
    aim = (torch.arange(n_places) - k).clamp(min=0)
    w_q, w_k, w_v = by_loop(n_letters, n_places, k)
    w_q[n_letters:] = 200 * F.one_hot(aim, n_places)
    return w_q, w_k, w_v


def letters_and_places(n_letters, n_places, k):
    whole = torch.eye(n_letters + n_places)
    w_q = whole.clone()
    w_q[n_letters:, n_letters:] = torch.eye(n_places).roll(-k, 1)
    return 150 * w_q, whole, whole[:, :n_letters]


def letters_only(n_letters, n_places, k):
    w_letter = torch.eye(n_letters + n_places)[:, :n_letters]
    return 300 * w_letter, w_letter, w_letter


def not_moved(n_letters, n_places, k):
    return by_loop(n_letters, n_places, 0)


def both_moved(n_letters, n_places, k):
    w_q, _, w_v = by_loop(n_letters, n_places, k)
    return w_q, w_q / 1000, w_v


def one_back(n_letters, n_places, k):
    return by_loop(n_letters, n_places, 1)


def infinite(n_letters, n_places, k):
    w_q, w_k, w_v = by_loop(n_letters, n_places, k)
    return w_q.masked_fill(w_q == 0, -math.inf), w_k, w_v


NEAR_MISSES = [
    ("too_soft", times(1)),
    ("too_soft", times(7)),
    ("too_soft", times(20)),  # enough in exercise 2.2, where nothing is divided by the root
    ("looks_ahead", ahead),
    ("looks_ahead", exchanged),
    ("values_carry_the_place", whole_values),
    ("not_round_the_list", without_wrap),
    ("not_round_the_list", clamped),
    ("keys_by_letter", letters_and_places),
    ("own_letter", letters_only),
    ("own_letter", not_moved),
    ("own_letter", both_moved),
    ("always_one_back", one_back),
    ("infinite_scores", infinite),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize(("n_places", "k"), [(n, k) for n in (2, 3, 8, 40) for k in {1, n - 1}])
def test_the_solution_copies_by_the_attention_of_the_package(n_places, k):
    w_q, w_k, w_v = EXERCISE.solution(5, n_places, k)
    letters = F.one_hot(torch.arange(n_places) ** 2 % 5, 5).float()
    x = torch.cat([letters, torch.eye(n_places)], -1)
    copied = attend(x @ w_q, x @ w_k, x @ w_v)
    torch.testing.assert_close(copied, letters.roll(k, 0), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("weight", "kind"), [(0.993, "correct"), (0.985, "mistake")])
def test_an_output_may_be_off_by_a_hundredth(weight, kind):
    def answer(n_letters, n_places, k):
        score = math.log(weight / (1 - weight) * (n_places - 1))
        return times(score * n_places**0.5)(n_letters, n_places, k)

    assert judge(EXERCISE, answer).kind == kind


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda *case: by_loop(*case)[:2], "return three matrices w_q, w_k and w_v with 7 rows"),
        (lambda *case: [w.T for w in by_loop(*case)], "got shapes (4, 7), (4, 7), (3, 7)"),
        (
            lambda *case: (by_loop(*case)[0][:, :2], *by_loop(*case)[1:]),
            "queries and keys must have one width; got (7, 2) and (7, 4)",
        ),
        (lambda *case: [2 * w for w in by_loop(*case)], "tried on the lists"),
    ],
)
def test_what_is_said_of_other_wrong_answers(answer, words):
    verdict = judge(EXERCISE, answer)
    assert verdict.kind in ("wrong", "error") and words in verdict.message, verdict.message
