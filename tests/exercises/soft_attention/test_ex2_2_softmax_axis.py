import torch

from minattn.exercises.soft_attention.ex2_2_softmax_axis import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def weights_shifted(scores):
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


OTHER_WAYS = [weights_shifted, lambda s: s.transpose(1, 2).softmax(1).transpose(1, 2)]


# Wrong ways, written as a learner writes them.


def weights_one_maximum(scores):
    e = torch.exp(scores - torch.max(scores))
    return e / torch.sum(e, dim=-1, keepdim=True)


NEAR_MISSES = [
    ("one_maximum", weights_one_maximum),
]


# What is said, and what the checker is tried on.


def test_one_row_far_below_the_others_is_seen():
    """A NaN in one row is an own mistake, and not the overflow of every row."""
    rows = EXERCISE.cases()[-1][0]
    assert weights_one_maximum(rows).isnan().any(-1).tolist() == [[False, True]]
