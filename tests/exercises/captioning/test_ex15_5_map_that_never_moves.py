import math

import numpy as np
import pytest
import torch

from minattn.alignment import masked_softmax
from minattn.dot_product import attend
from minattn.exercises.captioning.ex15_5_map_that_never_moves import EXERCISE, broken_step, step
from minattn.exercises.judging import judge

# Other right ways: by einsum, through the seam, one picture after the other, in NumPy.


def step_einsum(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    state = (word @ w_word + state @ w_state).tanh()
    scores = torch.einsum("be,ef,bcg,gf->bc", state, w_query, cells, w_key)
    weights = torch.softmax(scores / state.shape[1] ** 0.5, dim=1)
    return torch.einsum("bc,bcd->bd", weights, cells) @ w_out, weights, state


def step_through_the_seam(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    state = torch.tanh(word @ w_word + state @ w_state)
    query, key = (state @ w_query)[:, None], cells @ w_key
    context = attend(query, key, cells)[:, 0]
    weights = masked_softmax(query @ key.mT / math.sqrt(key.shape[-1]))[:, 0]
    return context @ w_out, weights, state


def step_one_by_one(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    found, maps, states = [], [], []
    for w, s, picture in zip(word, state, cells, strict=True):
        s = torch.tanh(w @ w_word + s @ w_state)
        scores = (picture @ w_key) @ (s @ w_query) / len(s) ** 0.5
        maps.append(scores.softmax(0))
        found.append(maps[-1] @ picture @ w_out)
        states.append(s)
    return torch.stack(found), torch.stack(maps), torch.stack(states)


def step_numpy(*case):
    word, state, cells, w_word, w_state, w_query, w_key, w_out = (x.numpy() for x in case)
    state = np.tanh(word @ w_word + state @ w_state)
    scores = (cells @ w_key @ (state @ w_query)[..., None])[..., 0] / np.sqrt(len(w_key))
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return (weights[:, None] @ cells)[:, 0] @ w_out, weights, state


OTHER_WAYS = [step_einsum, step_through_the_seam, step_one_by_one, step_numpy]


# Wrong ways: what a learner has after mending one thing, or two.


def step_axis_mended(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    picture = cells.mean(1)
    query = picture @ w_query
    scores = cells @ w_key @ query[..., None] / math.sqrt(query.shape[-1])
    weights = scores[..., 0].softmax(-1)
    context = (weights[..., None] * cells).sum(1)
    state = torch.tanh(word @ w_word + state @ w_state)
    return (context + picture) @ w_out, weights, state


def step_query_mended_in_its_place(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    query = state @ w_query
    scores = cells @ w_key @ query[..., None] / math.sqrt(query.shape[-1])
    weights = scores.softmax(1)
    context = (weights * cells).sum(1)
    state = torch.tanh(word @ w_word + state @ w_state)
    return context @ w_out, weights[..., 0], state


def step_with_another_wrong_axis(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    state = torch.tanh(word @ w_word + state @ w_state)
    scores = cells @ w_key @ (state @ w_query)[..., None] / math.sqrt(len(w_key))
    weights = scores.softmax(0)
    return (weights * cells).sum(1) @ w_out, weights[..., 0], state


def step_with_the_mean_beside(word, state, cells, w_word, w_state, w_query, w_key, w_out):
    found, weights, state = step(word, state, cells, w_word, w_state, w_query, w_key, w_out)
    return found + cells.mean(1) @ w_out, weights, state


NEAR_MISSES = [
    ("every_weight_one", broken_step),
    ("asked_with_the_picture", step_axis_mended),
    ("asked_too_early", step_query_mended_in_its_place),
    ("softmax_over_the_batch", step_with_another_wrong_axis),
    ("read_past_the_map", step_with_the_mean_beside),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("broken", [broken_step, step_axis_mended])
def test_the_map_never_moves_in_the_broken_step(broken):
    for case in EXERCISE.cases():
        word, state, cells, *weights = case
        moved = (torch.randn_like(word), torch.randn_like(state), cells, *weights)
        assert torch.equal(broken(*case)[1], broken(*moved)[1])
        assert not torch.allclose(step(*case)[1], step(*moved)[1], atol=1e-2)


def test_the_broken_step_knows_what_is_on_the_picture_all_the_same():
    """A picture with one thing on it, anywhere: its scores tell what the thing is."""
    _, _, cells, *weights = EXERCISE.cases()[2]
    word, state = torch.randn(2, 3), torch.randn(2, 3)
    pictures = torch.zeros(2, 13, 3)
    pictures[0, 2], pictures[1, 11] = cells[0, 0], cells[0, 1]
    found = broken_step(word, state, pictures, *weights)[0]
    places = pictures.roll(5, 1)
    assert torch.allclose(found, broken_step(word, state, places, *weights)[0], atol=1e-5)
    assert not torch.allclose(found[0], found[1], atol=0.1)


def test_mending_one_bug_after_the_other_is_told_step_by_step():
    said = [
        judge(EXERCISE, answer).mistake
        for answer in (
            broken_step,
            step_axis_mended,
            step_query_mended_in_its_place,
            step_with_the_mean_beside,
        )
    ]
    assert said == [
        "every_weight_one",
        "asked_with_the_picture",
        "asked_too_early",
        "read_past_the_map",
    ]
    assert judge(EXERCISE, step).kind == "correct"


def test_no_map_is_saturated():
    for case in EXERCISE.cases():
        assert float(step(*case)[1].amax(-1).median()) < 0.8
