import math

import numpy as np
import torch

from minattn.exercises.soft_attention.ex2_1_softmax_axis import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def weights_shifted(scores):
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def weights_loop(scores):
    rows = [row.tolist() for row in scores.flatten(0, 1)]
    powers = [[math.exp(s - max(row)) for s in row] for row in rows]
    return torch.tensor([[p / sum(row) for p in row] for row in powers]).view(scores.shape)


def weights_numpy(scores):
    s = scores.numpy()
    return np.exp(s - np.logaddexp.reduce(s, axis=-1, keepdims=True))


OTHER_WAYS = [
    weights_shifted,
    weights_loop,
    weights_numpy,
    lambda s: torch.exp(s - torch.logsumexp(s, dim=-1, keepdim=True)),
    lambda s: s.log_softmax(-1).exp(),
    lambda s: s.transpose(1, 2).softmax(1).transpose(1, 2),
]


# Wrong ways, written as a learner writes them.


def weights_one_maximum(scores):
    e = torch.exp(scores - torch.max(scores))
    return e / torch.sum(e, dim=-1, keepdim=True)


def weights_less(some):
    def answer(scores):
        e = torch.exp(scores - some(scores))
        return e / torch.sum(e, dim=-1, keepdim=True)

    return answer


NEAR_MISSES = [
    ("smallest_subtracted", weights_less(lambda s: s.min(-1, keepdim=True)[0])),
    ("middle_subtracted", weights_less(lambda s: s.mean(dim=2)[..., None])),
    ("middle_subtracted", weights_less(lambda s: s.median(-1, keepdim=True)[0])),
    ("some_score_subtracted", weights_less(lambda s: s[:, :, 0, None])),
    ("one_maximum", weights_one_maximum),
]


# What is said, and what the checker is tried on.


def test_one_row_far_below_the_others_is_seen():
    """A NaN in one row is an own mistake, and not the overflow of every row."""
    rows = EXERCISE.cases()[-1][0]
    assert weights_one_maximum(rows).isnan().any(-1).tolist() == [[False, True]]
