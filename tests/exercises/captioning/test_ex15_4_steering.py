import math
from functools import partial

import numpy as np
import torch

from minattn.alignment import masked_softmax, weighted_sum
from minattn.dot_product import attend
from minattn.exercises.captioning.ex15_4_steering import EXERCISE, steered

# Other right ways: by what the package has, by scores, by loops, in NumPy.


def steered_with_attend(forced, query, key, value, mask=None):
    cells = forced if mask is None else forced & mask
    looked = weighted_sum(cells / cells.sum(-1, keepdim=True), value)
    return torch.where(forced.any(-1, keepdim=True), looked, attend(query, key, value, mask))


def steered_by_scores(forced, query, key, value, mask=None):
    chosen = forced.any(-1, keepdim=True)
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
    scores = torch.where(chosen, torch.where(forced, 0.0, -math.inf), scores)
    return masked_softmax(scores, mask) @ value


def steered_with_a_uniform_attend(forced, query, key, value, mask=None):
    chosen = forced.any(-1, keepdim=True)
    every = torch.ones_like(forced) if mask is None else mask
    return attend(query * ~chosen, key, value, every & (forced | ~chosen))


def steered_by_loops(forced, query, key, value, mask=None):
    out = attend(query, key, value, mask).clone()
    for row, step in forced.any(-1).nonzero().tolist():
        cells = [
            i
            for i in range(key.shape[1])
            if forced[row, step, i] and (mask is None or mask[row, step, i])
        ]
        out[row, step] = value[row, cells].mean(0)
    return out


def steered_numpy(forced, query, key, value, mask=None):
    forced, query, key, value = (x.numpy() for x in (forced, query, key, value))
    every = np.ones_like(forced) if mask is None else mask.numpy()
    powers = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]))
    powers = np.where(forced.any(-1, keepdims=True), forced, powers) * every
    return powers / powers.sum(-1, keepdims=True) @ value


OTHER_WAYS = [
    steered_with_attend,
    steered_by_scores,
    steered_with_a_uniform_attend,
    steered_by_loops,
    steered_numpy,
]


# Wrong ways, written as a learner writes them.


def steered_by_another_mask(forced, query, key, value, mask=None):
    allowed = forced | ~forced.any(-1, keepdim=True)
    return attend(query, key, value, allowed if mask is None else allowed & mask)


def steered_without_the_free_rows(forced, query, key, value, mask=None):
    cells = forced if mask is None else forced & mask
    return cells / cells.sum(-1, keepdim=True) @ value


def steered_with_a_bonus(forced, query, key, value, mask=None):
    scores = query @ key.mT / query.shape[-1] ** 0.5 + 5 * forced
    return masked_softmax(scores, mask) @ value


def steered_without_a_mask(forced, query, key, value, mask=None):
    looked = forced / forced.sum(-1, keepdim=True) @ value
    return torch.where(forced.any(-1, keepdim=True), looked, attend(query, key, value))


def steered_in_the_weights(forced, query, key, value, mask=None):
    weights = masked_softmax(query @ key.mT / query.shape[-1] ** 0.5, mask)
    share = 1 / forced.sum(-1, keepdim=True)
    weights = torch.where(forced, share, weights)
    weights[~forced & forced.any(-1, keepdim=True)] = 0
    return (weights if mask is None else weights * mask) @ value


NEAR_MISSES = [
    ("restricted", steered_by_another_mask),
    ("free_rows_lost", steered_without_the_free_rows),
    ("drawn_and_not_forced", steered_with_a_bonus),
    ("masked_cells_forced", steered_without_a_mask),
    ("masked_too_late", steered_in_the_weights),
]


# What is said, and what the checker is tried on.


def test_it_is_an_attend():
    forced = torch.zeros(2, 3, 5).bool()
    query, key, value = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 7)
    steer = partial(steered, forced)
    assert torch.allclose(steer(query, key, value), attend(query, key, value), atol=1e-6)


def test_some_rows_are_free_and_some_forced_cells_are_masked():
    for forced, _query, _key, _value, mask in EXERCISE.cases():
        chosen = forced.any(-1)
        assert chosen.any() and not chosen.all()
        assert (forced.sum(-1)[chosen] > 1).any()
        if mask is not None:
            assert (forced & ~mask).any()
            assert (forced & mask).any(-1)[chosen].all() and mask.any(-1).all()


def test_the_usual_weights_are_not_saturated():
    for _forced, query, key, _value, mask in EXERCISE.cases():
        weights = masked_softmax(query @ key.mT / query.shape[-1] ** 0.5, mask)
        assert weights.amax(-1).median() < 0.8
