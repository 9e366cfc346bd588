import math

import numpy as np
import torch

from minattn.exercises.judging import judge
from minattn.exercises.soft_attention.ex2_3_masked_weights import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def masked_nan_to_num(scores, mask):
    return torch.nan_to_num(scores.masked_fill(~mask, -math.inf).softmax(-1))


def masked_largest_first(scores, mask):
    filled = scores.masked_fill(~mask, -1e30)
    e = (filled - filled.amax(-1, keepdim=True)).exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-9)


def masked_exp(scores, mask):
    e = torch.where(mask, scores.exp(), 0.0)
    total = e.sum(-1, keepdim=True)
    return torch.where(total > 0, e / total.clamp(min=1e-30), 0.0)


def masked_numpy(scores, mask):
    s, m = np.broadcast_arrays(scores.numpy().astype(float), mask.numpy())
    out = np.zeros(s.shape)
    for place in np.ndindex(s.shape[:-1]):
        if m[place].any():
            e = np.exp(s[place][m[place]] - s[place][m[place]].max())
            out[place][m[place]] = e / e.sum()
    return out


OTHER_WAYS = [masked_nan_to_num, masked_largest_first, masked_exp, masked_numpy]


# Wrong ways, written as a learner writes them.


def masked_after(scores, mask):
    weights = torch.softmax(scores, dim=-1) * mask.float()
    return weights / (weights.sum(dim=-1, keepdim=True) + 1e-9)


def masked_after_bare(scores, mask):
    weights = torch.softmax(scores, dim=-1) * mask.float()
    return weights / weights.sum(dim=-1, keepdim=True)


def masked_any_without_keepdim(scores, mask):
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    return torch.where(mask.any(dim=-1), weights, torch.zeros_like(weights))


NEAR_MISSES = [
    ("filled_too_high", lambda s, m: torch.where(m, s, -40.0).softmax(-1)),
    ("masked_too_late", masked_after),
    ("masked_too_late", masked_after_bare),
    ("masked_too_late", lambda s, m: masked_after_bare(s, m).nan_to_num()),
    ("masked_too_late", lambda s, m: (s.exp() * m) / (s.exp() * m).sum(-1, keepdim=True)),
    ("no_keepdim", masked_any_without_keepdim),
]


# What is said, and what the checker is tried on.


def test_a_changed_input_is_noticed():
    def filled_in_place(scores, mask):
        scores.masked_fill_(~mask, -math.inf)
        return scores.softmax(-1).nan_to_num()

    verdict = judge(EXERCISE, filled_in_place)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


def test_a_changed_input_does_not_hide_a_known_mistake():
    def filled_in_place(scores, mask):
        return scores.masked_fill_(mask, -math.inf).softmax(-1)

    assert judge(EXERCISE, filled_in_place).mistake == "mask_inverted"
