import torch

from minattn.exercises.judging import judge
from minattn.exercises.soft_attention.ex2_6_entropy import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def entropy_where(weights):
    logs = torch.where(weights > 0, weights, 1.0).log()
    return -(weights * logs).sum(-1)


def entropy_eps(weights):
    return -(weights * (weights + 1e-12).log()).sum(-1)


OTHER_WAYS = [entropy_where, entropy_eps, lambda w: torch.nan_to_num(-w * w.log()).sum(-1)]


# Wrong ways, written as a learner writes them.


def entropy_late(weights):
    return (-(weights * weights.log()).sum(-1)).nan_to_num()


NEAR_MISSES = [
    ("nan_replaced_late", entropy_late),
]


# What is said, and what the checker is tried on.


def test_two_mistakes_at_once_name_the_first():
    def bits_and_nan(weights):
        return -(weights * weights.log2()).sum(-1)

    verdict = judge(EXERCISE, bits_and_nan)
    assert verdict.mistake == "other_logarithm" and "something else" in verdict.message
