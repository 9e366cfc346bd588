import itertools

import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.t5.cross_toys import BIAS, ROUNDED, cross_toys
from minattn.exercises.t5.ex12_4_order_of_memory import EXERCISE

# Other right ways: every swap, every order of a few, many texts one by one, NumPy.


def order_by_swaps(cross, d, n_queries, n_memory):
    query, memory = torch.randn(1, n_queries, d), torch.randn(1, n_memory, d)
    before = cross(query, memory, memory)
    for i, j in itertools.combinations(range(n_memory), 2):
        swapped = memory.clone()
        swapped[:, [i, j]] = memory[:, [j, i]]
        if (cross(query, swapped, swapped) - before).abs().max() > 1e-5:
            return True
    return False


def order_numpy(cross, d, n_queries, n_memory):
    draw = np.random.default_rng(0)
    query = torch.from_numpy(draw.normal(size=(1, n_queries, d)))
    seen = []
    for order in [np.arange(n_memory), *(draw.permutation(n_memory) for _ in range(30))]:
        memory = np.sin(3 * np.arange(n_memory * d)).reshape(n_memory, d)[order]
        memory = torch.from_numpy(memory[None])
        seen.append(cross(query, memory, memory).numpy())
    return not np.allclose(seen, seen[0], atol=1e-6)


def order_of_many_texts(cross, d, n_queries, n_memory):
    for _ in range(50):
        query, memory = torch.rand(1, n_queries, d), torch.rand(1, n_memory, d)
        order = torch.randperm(n_memory)
        after = cross(query, memory[:, order], memory[:, order])
        if not torch.allclose(cross(query, memory, memory), after):
            return True
    return False


def order_of_keys_and_values_apart(cross, d, n_queries, n_memory):
    query = torch.randn(1, n_queries, d)
    key, value = torch.randn(2, 1, n_memory, d)
    before = cross(query, key, value)
    rolled_and_flipped = [
        torch.arange(n_memory).roll(1),
        torch.arange(n_memory).flip(0),
        torch.tensor([1, 0, *range(2, n_memory)]),
    ]
    return any(
        not torch.allclose(cross(query, key[:, o], value[:, o]), before, atol=1e-6)
        for o in rolled_and_flipped
    )


OTHER_WAYS = [order_by_swaps, order_numpy, order_of_many_texts, order_of_keys_and_values_apart]


# Wrong ways, written as a learner writes them.


def order_flipped(cross, d, n_queries, n_memory):
    query, memory = torch.randn(1, n_queries, d), torch.randn(1, n_memory, d)
    flipped = memory.flip(1)
    return not torch.allclose(cross(query, memory, memory), cross(query, flipped, flipped))


def order_rolled(cross, d, n_queries, n_memory):
    query, memory = torch.randn(1, n_queries, d), torch.randn(1, n_memory, d)
    rolled = memory.roll(1, dims=1)
    return not torch.allclose(cross(query, memory, memory), cross(query, rolled, rolled))


def order_of_ones(cross, d, n_queries, n_memory):
    query, memory = torch.ones(1, n_queries, d), torch.ones(1, n_memory, d)
    shuffled = memory[:, torch.randperm(n_memory)]
    return not torch.allclose(cross(query, memory, memory), cross(query, shuffled, shuffled))


def order_exactly(cross, d, n_queries, n_memory):
    query, memory = torch.randn(1, n_queries, d), torch.randn(1, n_memory, d)
    before = cross(query, memory, memory)
    for _ in range(20):
        shuffled = memory[:, torch.randperm(n_memory)]
        if not torch.equal(cross(query, shuffled, shuffled), before):
            return True
    return False


def order_of_keys(cross, d, n_queries, n_memory):
    query, memory = torch.randn(1, n_queries, d), torch.randn(1, n_memory, d)
    before = cross(query, memory, memory)
    for _ in range(20):
        shuffled = memory[:, torch.randperm(n_memory)]
        if not torch.allclose(cross(query, shuffled, memory), before):
            return True
    return False


def order_in_one_batch(cross, d, n_queries, n_memory):
    query, memory = torch.randn(1, n_queries, d), torch.randn(1, n_memory, d)
    for _ in range(20):
        both = torch.cat([memory, memory[:, torch.randperm(n_memory)]])
        first, second = cross(query.expand(2, -1, -1), both, both)
        if not torch.allclose(first, second, atol=1e-6):
            return True
    return False


NEAR_MISSES = [
    ("some_orders_only", order_flipped),
    ("some_orders_only", order_rolled),
    ("always_false", order_of_ones),
    ("exactly_equal", order_exactly),
    ("keys_parted_from_values", order_of_keys),
    ("other_texts_moved", order_in_one_batch),
]


# What is said, and what the checker is tried on.


def test_models_with_an_order_and_without_are_among_them():
    ordered = [toy.ordered for toy in cross_toys()]
    assert 6 < sum(ordered) < len(ordered) - 5
    assert [EXERCISE.solution(*case) for case in EXERCISE.cases()] == ordered


@pytest.mark.parametrize("seed", range(20))
def test_the_solution_does_not_hang_on_what_it_draws(seed):
    torch.manual_seed(seed)
    for case, toy in zip(EXERCISE.cases(), cross_toys(), strict=True):
        assert EXERCISE.solution(*case) == toy.ordered, toy


def test_what_is_rounded_moves_by_less_than_a_millionth():
    (toy,) = (toy for toy in cross_toys() if toy.name == ROUNDED)
    query, memory = torch.randn(1, 3, 4), torch.randn(1, 7, 4)
    memory[:, :2] = torch.tensor([1.0, -1.0])[:, None]
    swapped = memory[:, [1, 0, *range(2, 7)]]
    moved = toy(query, memory, memory) - toy(query, swapped, swapped)
    assert 0 < moved.abs().max() < 1e-6


def test_a_text_without_a_batch_is_told_its_shape():
    verdict = judge(
        EXERCISE, lambda cross, d, m, n: bool(cross(torch.ones(m, d), torch.ones(n, d), None).any())
    )
    assert verdict.kind == "error" and "(batch, n_queries, d)" in verdict.message
    assert BIAS in verdict.message
