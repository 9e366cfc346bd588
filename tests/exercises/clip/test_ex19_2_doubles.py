import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.clip.ex19_2_doubles import EXERCISE, loss_without_doubles
from minattn.exercises.judging import judge

# Other right ways: a large negative number, loops, a sum over what is left, NumPy.


def loss_with_a_large_number(scores, captions):
    n = len(captions)
    double = (captions[:, None] == captions[None]) & (torch.arange(n)[:, None] != torch.arange(n))
    scores = scores - 1e4 * double
    right = torch.arange(n)
    return 0.5 * F.cross_entropy(scores, right) + 0.5 * F.cross_entropy(scores.T, right)


def loss_by_loops(scores, captions):
    total, n, ids = 0.0, len(captions), captions.tolist()
    for table in (scores.tolist(), scores.T.tolist()):
        for i in range(n):
            odds = [math.exp(table[i][j]) for j in range(n) if j == i or ids[j] != ids[i]]
            total += math.log(sum(odds)) - table[i][i]
    return total / (2 * n)


def loss_with_odds(scores, captions):
    keep = (captions[:, None] != captions) + torch.eye(len(captions))
    odds = scores.exp() * keep
    rows, columns = odds / odds.sum(1, keepdim=True), odds / odds.sum(0)
    return -(rows.diagonal().log() + columns.diagonal().log()).mean() / 2


def loss_numpy(scores, captions):
    s, c = scores.numpy().astype(float), captions.numpy()
    s = np.where((c[:, None] == c) & ~np.eye(len(c), dtype=bool), -np.inf, s)
    right = np.diag(s)
    rows, columns = (np.log(np.exp(s).sum(axis)) - right for axis in (1, 0))
    return np.concatenate([rows, columns]).mean()


OTHER_WAYS = [loss_with_a_large_number, loss_by_loops, loss_with_odds, loss_numpy]


# Wrong ways, written as a learner writes them.


def both(scores, turned=None):
    right = torch.arange(len(scores))
    turned = scores.T if turned is None else turned
    return (F.cross_entropy(scores, right) + F.cross_entropy(turned, right)) / 2


def loss_without_the_diagonal(scores, captions):
    same = captions[:, None] == captions[None, :]
    return both(scores.masked_fill(same, float("-inf")))


def loss_with_zeros(scores, captions):
    same = captions[:, None] == captions[None, :]
    same.fill_diagonal_(False)
    return both(scores * ~same)


def loss_by_multiplication(scores, captions):
    same = (captions[:, None] == captions[None, :]).float() - torch.eye(len(captions))
    return both(scores + same * float("-inf"))


def loss_with_rows_alone(scores, captions):
    same = captions[:, None] == captions[None, :]
    same.fill_diagonal_(False)
    return both(scores.masked_fill(same, float("-inf")), scores.T)


def loss_of_first_ones(scores, captions):
    seen, keep = set(), []
    for i, caption in enumerate(captions.tolist()):
        if caption not in seen:
            keep.append(i)
        seen.add(caption)
    return both(scores[keep][:, keep])


def loss_with_shares(scores, captions):
    same = (captions[:, None] == captions[None, :]).float()
    same = same / same.sum(-1, keepdim=True)
    rows = -(same * scores.log_softmax(1)).sum(1).mean()
    return (rows - (same * scores.T.log_softmax(1)).sum(1).mean()) / 2


NEAR_MISSES = [
    ("doubles_counted", lambda scores, captions: both(scores)),
    ("diagonal_gone", loss_without_the_diagonal),
    ("zero_is_a_score", loss_with_zeros),
    ("one_way_only", loss_with_rows_alone),
    ("thrown_away", loss_of_first_ones),
    ("counted_as_right", loss_with_shares),
]


# What is said, and what the checker is tried on.


def test_a_mask_times_infinity_is_told_to_be_nan():
    verdict = judge(EXERCISE, loss_by_multiplication)
    assert verdict.kind in ("wrong", "error") and "NaN" in verdict.message


def test_the_numbers_of_the_task():
    scores = torch.tensor([[2.0, 0, 1], [0, 1, 1], [2, 0, 1]])
    given = float(loss_without_doubles(scores, torch.tensor([4, 1, 4])))
    rows = math.log1p(math.exp(-2)), math.log(1 + 2 * math.e) - 1, math.log1p(math.exp(-1))
    columns = math.log1p(math.exp(-2)), math.log(2 + math.e) - 1, math.log(2)
    assert given == pytest.approx((sum(rows) + sum(columns)) / 6)
    assert [round(x, 2) for x in (*rows, *columns)] == [0.13, 0.86, 0.31, 0.13, 0.55, 0.69]
    assert round(given, 2) == 0.45


def test_the_score_of_a_double_does_not_matter():
    for scores, captions in EXERCISE.cases():
        double = (captions == captions[:, None]) & ~torch.eye(len(captions), dtype=torch.bool)
        torch.testing.assert_close(
            loss_without_doubles(scores + 5 * double, captions),
            loss_without_doubles(scores, captions),
        )


def test_there_are_batches_without_doubles_and_of_doubles_alone():
    n_kinds = [(len(captions.unique()), len(captions)) for _, captions in EXERCISE.cases()]
    assert any(kinds == n for kinds, n in n_kinds) and any(kinds == 1 for kinds, _ in n_kinds)
