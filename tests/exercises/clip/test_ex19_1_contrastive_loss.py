import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.clip.ex19_1_contrastive_loss import EXERCISE, contrastive_loss
from minattn.exercises.judging import judge

# Other right ways: log_softmax along both axes, cosine_similarity, loops, NumPy.


def loss_by_log_softmax(pictures, captions, temperature):
    pictures = pictures / pictures.norm(dim=1, keepdim=True)
    captions = captions / captions.norm(dim=1, keepdim=True)
    scores = torch.einsum("id,jd->ij", pictures, captions) / temperature
    of_rows, of_columns = scores.log_softmax(1).diagonal(), scores.log_softmax(0).diagonal()
    return -(of_rows.mean() + of_columns.mean()) / 2


def loss_by_cosines(pictures, captions, temperature):
    scores = F.cosine_similarity(pictures[:, None], captions[None], dim=-1) / temperature
    both = torch.stack([scores, scores.mT])
    return F.cross_entropy(both.flatten(0, 1), torch.arange(len(scores)).repeat(2))


def loss_by_loops(pictures, captions, temperature):
    def cosine(a, b):
        return float(a @ b / (a.norm() * b.norm())) / temperature

    total, n = 0.0, len(pictures)
    for i in range(n):
        row = [cosine(pictures[i], captions[j]) for j in range(n)]
        column = [cosine(pictures[j], captions[i]) for j in range(n)]
        for scores in (row, column):
            total += math.log(sum(map(math.exp, scores))) - scores[i]
    return total / (2 * n)


def loss_numpy(pictures, captions, temperature):
    p, c = pictures.numpy(), captions.numpy()
    p = p / np.linalg.norm(p, axis=1, keepdims=True)
    c = c / np.linalg.norm(c, axis=1, keepdims=True)
    odds = np.exp(p @ c.T / temperature)
    shares = np.diag(odds) ** 2 / odds.sum(0) / odds.sum(1)
    return -np.log(shares).mean() / 2


OTHER_WAYS = [loss_by_log_softmax, loss_by_cosines, loss_by_loops, loss_numpy]


# Wrong ways, written as a learner writes them.


def written(unit=lambda x: F.normalize(x, dim=-1), scale=lambda s, t: s / t, loss=None):
    def answer(pictures, captions, temperature):
        scores = scale(unit(pictures) @ unit(captions).T, temperature)
        right = torch.arange(len(scores))
        if loss is not None:
            return loss(scores, right)
        return (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2

    return answer


def summed(scores, right):
    rows = F.cross_entropy(scores, right, reduction="sum")
    return (rows + F.cross_entropy(scores.T, right, reduction="sum")) / 2


def among_all(scores, right):
    return -scores.flatten().log_softmax(0)[:: len(scores) + 1].mean()


def twice(scores, right):
    rows = F.cross_entropy(scores.softmax(1), right)
    return (rows + F.cross_entropy(scores.T.softmax(1), right)) / 2


NEAR_MISSES = [
    ("not_unit", written(unit=lambda x: x)),
    ("unit_along_the_batch", written(unit=lambda x: x / x.norm(dim=0))),
    ("one_way", written(loss=F.cross_entropy)),
    ("one_way", written(loss=lambda scores, right: -scores.softmax(0).diagonal().log().mean())),
    ("temperature_multiplied", written(scale=lambda s, t: s * t)),
    ("temperature_unused", written(scale=lambda s, t: s)),
    ("added_up", written(loss=summed)),
    ("among_all_pairs", written(loss=among_all)),
    ("softmax_twice", written(loss=twice)),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    pictures = torch.tensor([[3.0, 0], [0, 2]])
    captions = torch.tensor([[0.6, 0.8], [0, 5]])
    given = float(contrastive_loss(pictures, captions, 0.5))
    rows = math.log1p(math.exp(0 - 1.2)), math.log1p(math.exp(1.6 - 2))
    columns = math.log1p(math.exp(1.6 - 1.2)), math.log1p(math.exp(0 - 2))
    assert given == pytest.approx((sum(rows) + sum(columns)) / 4)
    assert [round(x, 2) for x in (*rows, *columns, given)] == [0.26, 0.51, 0.91, 0.13, 0.45]


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_pictures_and_captions_may_change_places_and_lengths(case):
    pictures, captions, temperature = case
    expected = contrastive_loss(*case)
    torch.testing.assert_close(contrastive_loss(captions, pictures, temperature), expected)
    torch.testing.assert_close(contrastive_loss(3 * pictures, captions / 7, temperature), expected)


def test_no_softmax_is_saturated():
    for pictures, captions, temperature in EXERCISE.cases():
        scores = F.normalize(pictures, dim=1) @ F.normalize(captions, dim=1).T / temperature
        assert float(torch.maximum(scores.softmax(0), scores.softmax(1)).max()) < 0.99


def test_a_loss_of_each_pair_is_told_so():
    verdict = judge(EXERCISE, lambda pictures, *rest: pictures.norm(dim=1))
    assert verdict.kind == "wrong" and "should be one number" in verdict.message
