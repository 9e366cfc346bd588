import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.self_attention.ex4_1_a_set import EXERCISE, hand_vectors
from minattn.masks import Padding
from minattn.positions import sinusoidal

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def hand_by_hand(x, present, w_q, w_k, w_v):
    """Take the padding out, and treat every hand by itself."""
    out = []
    for cards in (row[there] for row, there in zip(x, present, strict=True)):
        scores = (cards @ w_q) @ (cards @ w_k).T / w_k.shape[1] ** 0.5
        out.append((scores.softmax(-1) @ (cards @ w_v)).mean(0))
    return torch.stack(out)


def by_numpy(x, present, w_q, w_k, w_v):
    x, w_q, w_k, w_v = (a.numpy().astype(float) for a in (x, w_q, w_k, w_v))
    there = present.numpy().astype(float)
    e = np.exp((x @ w_q) @ (x @ w_k).swapaxes(1, 2) / np.sqrt(w_k.shape[1])) * there[:, None]
    found = (e / e.sum(-1, keepdims=True)) @ (x @ w_v)
    return np.einsum("bs,bsv->bv", there / there.sum(1, keepdims=True), found)


def means_of_weights(x, present, w_q, w_k, w_v):
    """Mean of means: take the mean of the weights first, and then of the values."""
    scores = torch.einsum("bqm,mk,bsn,nk->bqs", x, w_q, x, w_k) / w_k.shape[1] ** 0.5
    weights = scores.masked_fill(~present[:, None], -1e9).softmax(-1) * present[..., None]
    return (weights.sum(1, keepdim=True) @ (x @ w_v))[:, 0] / present.sum(1)[:, None]


def nan_is_left_out(x, present, w_q, w_k, w_v):
    both = present[:, None] & present[..., None]
    scores = (x @ w_q) @ (x @ w_k).mT / w_k.shape[1] ** 0.5
    found = scores.masked_fill(~both, -torch.inf).softmax(-1) @ (x @ w_v)
    return found.nan_to_num().sum(1) / present.sum(1, keepdim=True)


def by_the_package(x, present, w_q, w_k, w_v):
    found = attend(x @ w_q, x @ w_k, x @ w_v, mask=Padding(present))
    return found.masked_fill(~present[..., None], torch.nan).nanmean(1)


OTHER_WAYS = [hand_by_hand, by_numpy, means_of_weights, nan_is_left_out, by_the_package]


# Wrong ways, written as a learner writes them.


def written(
    mask=lambda scores, p: scores.masked_fill(~p[:, None], -torch.inf), mean=None, start=None
):
    """Make an answer that masks or takes the mean in its own way."""

    def answer(x, present, w_q, w_k, w_v):
        x = x if start is None else start(x, present)
        scores = torch.matmul(x @ w_q, (x @ w_k).transpose(1, 2)) / w_k.shape[1] ** 0.5
        found = F.softmax(mask(scores, present), dim=-1) @ (x @ w_v)
        if mean is not None:
            return mean(found, present)
        return (found * present.unsqueeze(-1)).sum(dim=1) / present.sum(dim=1)[:, None]

    return answer


def late(x, present, w_q, w_k, w_v):
    weights = F.softmax((x @ w_q) @ (x @ w_k).mT / w_k.shape[1] ** 0.5, dim=-1)
    found = torch.einsum("bqs,bs,bsv->bqv", weights, present.float(), x @ w_v)
    return torch.stack([row[there].mean(dim=0) for row, there in zip(found, present, strict=True)])


NEAR_MISSES = [
    ("positions_added", written(start=lambda x, p: x + sinusoidal(x.shape[1], x.shape[2])[None])),
    ("padding_in_the_mean", written(mean=lambda found, p: found.mean(dim=1))),
    ("padding_is_seen", written(mask=lambda scores, p: scores)),
    ("masked_after_the_softmax", late),
    ("zeros_for_padding", written(mask=lambda scores, p: scores * p[:, None])),
    (
        "zeros_for_padding",
        written(mask=lambda s, p: s, start=lambda x, p: x.masked_fill(~p[..., None], 0)),
    ),
    (
        "blind_rows",
        written(mask=lambda s, p: s.masked_fill(~(p[:, None] & p[..., None]), -torch.inf)),
    ),
    ("mask_inverted", written(mask=lambda s, p: s.masked_fill(p[:, None], -torch.inf))),
    ("one_place_speaks", written(mean=lambda found, p: found[:, 0])),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", range(3))
def test_any_order_and_more_padding_change_nothing(case):
    x, present, *weights = EXERCISE.cases()[case]
    order = torch.randperm(x.shape[1] + 2, generator=torch.Generator().manual_seed(case))
    wide = torch.cat([x, 9 * torch.ones(len(x), 2, x.shape[2])], 1)[:, order]
    there = F.pad(present, (0, 2))[:, order]
    torch.testing.assert_close(
        hand_vectors(wide, there, *weights), hand_vectors(x, present, *weights)
    )


def test_a_vector_that_depends_on_the_order_breaks_the_law():
    def last_card_twice(x, present, *weights):
        return hand_vectors(x, present, *weights) + x[:, -1:, 0]

    verdict = judge(EXERCISE, last_card_twice)
    assert "a hand has one vector, in any order and with any padding" in verdict.message


def test_one_vector_for_each_card_is_told_by_its_shape():
    verdict = judge(EXERCISE, lambda x, p, q, k, v: attend(x @ q, x @ k, x @ v))
    assert verdict.message.startswith("The result has shape (2, 3, 5), it should have (2, 5).")
