import numpy as np
import torch

from minattn.exercises.judging import judge, known_step
from minattn.exercises.multi_head.ex5_4_cost_of_heads import EXERCISE, count
from minattn.multihead import MultiHeadAttention

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def count_layer(d_model, n_heads, n_kv_heads, n):
    """Count the parameters of a layer, and the products of its matrix products."""
    layer = MultiHeadAttention(d_model, n_heads, n_kv_heads, bias=False)
    weights = sum(parameter.numel() for parameter in layer.parameters())
    d_head = d_model / n_heads
    return weights, n * weights + n_heads * (n * n * d_head + n * d_head * n)


def count_meta(d_model, n_heads, n_kv_heads, n):
    d_head = d_model // n_heads
    q, kv, table = n_heads * [d_model * d_head], n_kv_heads * [d_model * d_head], n**2 * d_head
    weights = sum(q) + 2 * sum(kv) + n_heads * d_head * d_model
    return [torch.tensor(weights), np.int64(n * weights + 2 * n_heads * table)]


OTHER_WAYS = [count_layer, count_meta]


# Wrong ways, written as a learner writes them.


def count_by_head(d_model, n_heads, n_kv_heads, n):
    weights = n_heads * 3 * d_model**2 + d_model**2
    return weights, n * weights + n_heads * 2 * n**2 * d_model


def count_of_one_head(d_model, n_heads, n_kv_heads, n):
    weights = 4 * d_model**2 // n_heads
    return weights, n * weights + 2 * n**2 * d_model


def count_groups(d_model, n_heads, n_kv_heads, n):
    weights = 2 * d_model**2 + 2 * d_model * (d_model // n_kv_heads)
    return weights, n * weights + 2 * n**2 * d_model


def count_full_keys(d_model, n_heads, n_kv_heads, n):
    weights = 2 * d_model**2 + 2 * n_kv_heads * d_model**2
    return weights, n * weights + 2 * n**2 * d_model


def count_causal(d_model, n_heads, n_kv_heads, n):
    weights = count(d_model, n_heads, n_kv_heads, n)[0]
    pairs = sum(i + 1 for i in range(n))
    return weights, n * weights + 2 * pairs * d_model


def count_three_products(d_model, n_heads, n_kv_heads, n):
    d_kv = n_kv_heads * d_model // n_heads
    weights = 2 * d_model**2 + 2 * d_model * d_kv
    return weights, n * (d_model**2 + 2 * d_model * d_kv) + 2 * n**2 * d_model


NEAR_MISSES = [
    ("full_matrix_for_each_head", lambda *case: (count_by_head(*case)[0], count(*case)[1])),
    ("one_head_counted", count_of_one_head),
    ("group_size", count_groups),
    ("full_matrix_for_each_shared_head", count_full_keys),
    ("causal_pairs", count_causal),
    ("w_o_left_out_of_the_products", count_three_products),
    (
        "sharing_ignored_in_products",
        lambda d, h, g, n: (count(d, h, g, n)[0], count(d, h, h, n)[1]),
    ),
    ("added", lambda *case: count_layer(*case)[0] + count_layer(*case)[1]),
    ("sums_counted", lambda *case: (count(*case)[0], 2.0 * count(*case)[1])),
    ("order", lambda *case: list(reversed(count(*case)))),
]


# What is said, and what the checker is tried on.


def test_two_wrong_counts_are_told_one_after_the_other():
    verdict = judge(EXERCISE, count_by_head)
    assert verdict.mistake == "full_matrix_for_each_head"
    assert verdict.message.endswith("There is something else besides; mend this first.")
    assert verdict.where == (
        "With d_model = 60, n_heads = 12 and n_kv_heads = 4 there are 9600 weights, and you count 133200."
    )


def test_the_first_case_tells_wrong_weights_apart():
    exercise, names = EXERCISE, {}
    for mistake in exercise.mistakes:
        for answer in mistake.answers:
            step = known_step(exercise, answer, exercise.cases(), 0)
            if step:
                assert names.setdefault(step, mistake.name) == mistake.name
    assert len(set(names.values())) > 5


def test_no_two_mistakes_count_the_same_on_the_first_case():
    names = {}
    for mistake in EXERCISE.mistakes:
        for answer in mistake.answers:
            assert names.setdefault(answer(*EXERCISE.cases()[0]), mistake.name) == mistake.name


def test_the_weights_are_not_called_wrong_where_they_are_not():
    for answer in (lambda *case: count(*case)[::-1], count_three_products, lambda *case: 0):
        assert judge(EXERCISE, answer).where == ""


def test_a_number_instead_of_two_is_said():
    verdict = judge(EXERCISE, lambda d, h, g, n: 4 * d * d)
    assert verdict.message.startswith("The result is one number, it should be a tuple.")
