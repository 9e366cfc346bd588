import math

import numpy as np
import pytest
import torch

from minattn.exercises.efficient_attention.ex22_1_one_more_block import EXERCISE, add_block
from minattn.exercises.judging import judge

# Other right ways: query by query, powers of 2, NumPy, only rows that see something, a log of sums.


def query_by_query(largest, total, mixture, scores, value):
    rows = []
    for m, t, o, s in zip(largest, total, mixture, scores, strict=True):
        new = max(m.item(), s.max().item())
        if new == -math.inf:
            rows.append((m, t, o))
            continue
        shrink = math.exp(m.item() - new)
        powers = (s - new).exp()
        rows.append((torch.tensor(new), shrink * t + powers.sum(), shrink * o + powers @ value))
    return tuple(torch.stack(part) for part in zip(*rows, strict=True))


def with_powers_of_2(largest, total, mixture, scores, value):
    new = torch.cat([largest[:, None], scores], 1).max(1).values
    shift = torch.where(new.isinf(), 0.0, new)
    shrink = torch.exp2((largest - shift) * math.log2(math.e))[:, None]
    powers = torch.exp2((scores - shift[:, None]) * math.log2(math.e))
    return new, (shrink[:, 0] * total) + powers.sum(1), shrink * mixture + powers @ value


def by_numpy(largest, total, mixture, scores, value):
    m, t, o, s, v = (x.numpy() for x in (largest, total, mixture, scores, value))
    new = np.maximum(m, s.max(1))
    shift = np.nan_to_num(new, neginf=0.0)
    shrink, powers = np.exp(m - shift), np.exp(s - shift[:, None])
    return new, shrink * t + powers.sum(1), shrink[:, None] * o + powers @ v


def where_something_is_seen(largest, total, mixture, scores, value):
    new = largest.maximum(scores.max(-1).values)
    shrink = (largest - new).exp().nan_to_num(1.0)
    powers = (scores - new.unsqueeze(-1)).exp().nan_to_num(0.0)
    return new, total * shrink + powers.sum(-1), mixture * shrink.unsqueeze(-1) + powers @ value


OTHER_WAYS = [query_by_query, with_powers_of_2, by_numpy, where_something_is_seen]


# Wrong ways, written as a learner writes them.


def for_this_block_only(largest, total, mixture, scores, value):
    new = scores.max(1).values
    shrink = (largest - new).exp()
    powers = (scores - new[:, None]).exp()
    return new, shrink * total + powers.sum(1), shrink[:, None] * mixture + powers @ value


def added_as_they_are(largest, total, mixture, scores, value):
    new = torch.maximum(largest, scores.max(1).values)
    powers = (scores - new[:, None]).exp()
    return new, total + powers.sum(1), mixture + powers @ value


def total_as_it_is(largest, total, mixture, scores, value):
    new = torch.maximum(largest, scores.max(1).values)
    powers = (scores - new[:, None]).exp()
    shrink = (largest - new).exp()[:, None]
    return new, total + powers.sum(1), shrink * mixture + powers @ value


def mixture_as_it_is(largest, total, mixture, scores, value):
    new = torch.maximum(largest, scores.max(1).values)
    powers = (scores - new[:, None]).exp()
    return new, (largest - new).exp() * total + powers.sum(1), mixture + powers @ value


def divided_at_once(largest, total, mixture, scores, value):
    new = torch.maximum(largest, scores.max(1).values)
    shrink, powers = (largest - new).exp(), (scores - new[:, None]).exp()
    total = shrink * total + powers.sum(1)
    return new, total, (shrink[:, None] * mixture + powers @ value) / total[:, None]


def as_in_the_formula(largest, total, mixture, scores, value):
    new = torch.maximum(largest, scores.max(1).values)
    shrink, powers = (largest - new).exp(), (scores - new[:, None]).exp()
    return new, shrink * total + powers.sum(1), shrink[:, None] * mixture + powers @ value


def with_one_maximum(largest, total, mixture, scores, value):
    new = torch.maximum(largest.max(), scores.max()).expand(len(scores))
    shrink, powers = (largest - new).exp(), (scores - new[:, None]).exp()
    return new, shrink * total + powers.sum(1), shrink[:, None] * mixture + powers @ value


NEAR_MISSES = [
    ("maximum_not_carried", for_this_block_only),
    ("nothing_rescaled", added_as_they_are),
    ("total_not_rescaled", total_as_it_is),
    ("mixture_not_rescaled", mixture_as_it_is),
    ("divided_in_between", divided_at_once),
    ("nan_when_masked", as_in_the_formula),
    ("one_maximum_for_all", with_one_maximum),
]


# What is said, and what the checker is tried on.


def start(queries, d_v):
    return torch.full((queries,), -math.inf), torch.zeros(queries), torch.zeros(queries, d_v)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 11])
def test_all_blocks_together_are_a_softmax(block):
    torch.manual_seed(22)
    scores, value = torch.randn(3, 11), torch.randn(11, 2)
    scores[torch.rand(3, 11) < 0.3] = -math.inf
    state = start(3, 2)
    for i in range(0, 11, block):
        state = add_block(*state, scores[:, i : i + block], value[i : i + block])
    torch.testing.assert_close(state[2] / state[1][:, None], scores.softmax(-1) @ value)
    torch.testing.assert_close(state[0] + state[1].log(), scores.logsumexp(-1))


def test_the_numbers_of_the_task():
    log2 = math.log(2)
    state = torch.tensor([0.0]), torch.tensor([2.0]), torch.tensor([[6.0]])
    scores, value = torch.tensor([[2 * log2, log2]]), torch.tensor([[1.0], [5.0]])
    largest, total, mixture = add_block(*state, scores, value)
    torch.testing.assert_close(largest, torch.tensor([2 * log2]))
    torch.testing.assert_close(total, torch.tensor([2.0]))
    torch.testing.assert_close(mixture, torch.tensor([[5.0]]))


def test_every_kind_of_row_is_there():
    """So far nothing or something, then nothing or something."""
    kinds = {
        (bool(m == -math.inf), bool((s == -math.inf).all()))
        for largest, _, _, scores, _ in EXERCISE.cases()
        for m, s in zip(largest, scores, strict=True)
    }
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}


def test_a_right_state_is_finite_but_for_a_maximum_of_nothing():
    for case in EXERCISE.cases():
        _, total, mixture = add_block(*case)
        assert bool(total.isfinite().all()) and bool(mixture.isfinite().all())


def test_parts_that_do_not_belong_together_break_the_law():
    def answer(*case):
        largest, total, mixture = add_block(*case)
        return largest, total * 1.5, mixture

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "belong together" in verdict.message
