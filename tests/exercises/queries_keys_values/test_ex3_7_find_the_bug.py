import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.queries_keys_values.black_boxes import BROKEN, SOUND
from minattn.exercises.queries_keys_values.ex3_7_find_the_bug import EXERCISE
from minattn.training import seeded

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def obeys_identity(attend):
    weights = attend(torch.randn(3, 5, 4), torch.randn(3, 6, 4), torch.eye(6).expand(3, 6, 6))
    return bool(((weights.sum(-1) - 1).abs() < 1e-3).all())


def obeys_shift(attend):
    query, key, value = torch.randn(4, 4), torch.randn(4, 4), torch.randn(4, 4)
    return torch.allclose(attend(query, key, value + 3), attend(query, key, value) + 3, atol=1e-3)


def obeys_numpy(attend):
    query, key = torch.randn(2, 3, 8).double(), torch.randn(2, 5, 8).double()
    output = attend(query, key, value=torch.full((2, 5, 2), 4.0).double())
    return np.allclose(output.numpy(), 4.0)


def obeys_many_times(attend):
    for _ in range(20):
        output = attend(torch.randn(1, 8, 2), torch.randn(1, 3, 2), torch.ones(1, 3, 4))
        if (output - 1).abs().max() > 1e-4:
            return False
    return True


def obeys_range(attend):
    """A range is enough where it is narrow and far from 0."""
    value = 100 + torch.rand(1, 6, 2)
    output = attend(torch.randn(1, 4, 3), torch.randn(1, 6, 3), value)
    return bool(output.min() >= 100 - 1e-3) and bool(output.max() <= 101 + 1e-3)


OTHER_WAYS = [obeys_identity, obeys_shift, obeys_numpy, obeys_many_times, obeys_range]


# Wrong ways, written as a learner writes them.


def seen_by(n_queries=5, n_keys=7, look=lambda output: output, tolerance=1e-4):
    """Make a test with equal values that differs from the right one in one thing."""

    def test(attend):
        query, key = torch.randn(n_queries, 4), torch.randn(n_keys, 4)
        output = look(attend(query, key, torch.ones(n_keys, 2)))
        return torch.allclose(output, torch.ones_like(output), atol=tolerance)

    return test


def obeys_its_shape(attend):
    return attend(torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)).shape == (5, 2)


def obeys_torch(attend):
    query, key, value = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    right = F.scaled_dot_product_attention(query, key, value)
    return torch.allclose(attend(query, key, value), right, atol=1e-4)


def obeys_with_zeros(attend):
    return bool((attend(torch.randn(5, 3), torch.randn(7, 3), torch.zeros(7, 2)) == 0).all())


def obeys_between(attend):
    value = torch.randn(7, 2)
    output = attend(torch.randn(5, 3), torch.randn(7, 3), value)
    return bool(output.max() <= value.max()) and bool(output.min() >= value.min())


def obeys_upwards(attend):
    output = attend(torch.randn(5, 3), torch.randn(7, 3), torch.ones(7, 2))
    return bool((output < 1.001).all())


def obeys_by_columns(attend):
    weights = attend(torch.randn(5, 3), torch.randn(7, 3), torch.eye(7))
    return torch.allclose(weights.sum(0), torch.ones(7), atol=1e-4)


def obeys_for_equal_queries(attend):
    output = attend(torch.randn(1, 3).expand(6, 3), torch.randn(6, 3), torch.ones(6, 2))
    return torch.allclose(output, torch.ones(6, 2), atol=1e-4)


def obeys_when_asked_alone(attend):
    query, key, value = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    together = attend(query, key, value)
    return all(
        torch.allclose(together[[i]], attend(query[[i]], key, value), atol=1e-4) for i in range(5)
    )


def obeys_queries_reordered(attend):
    query, key, value = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    turned = attend(query.flip(0), key, value).flip(0)
    return torch.allclose(attend(query, key, value), turned, atol=1e-4)


NEAR_MISSES = [
    ("always_true", obeys_its_shape),
    ("always_true", obeys_with_zeros),
    ("one_formula", obeys_torch),
    ("range_only", obeys_between),
    ("range_only", obeys_upwards),
    ("too_loose", seen_by(tolerance=0.15)),
    ("column_sums", obeys_by_columns),
    ("on_average", seen_by(6, 6, look=torch.mean)),
    ("on_average", seen_by(5, 7, look=torch.mean)),
    ("wrong_axis_hidden", obeys_for_equal_queries),
    ("one_query", seen_by(1, 7)),
    ("one_key", seen_by(5, 1)),
    ("one_key", seen_by(7, 5, look=lambda output: output[-1])),
    ("one_of_each", seen_by(1, 1)),
    ("query_alone", obeys_when_asked_alone),
    ("reordered", obeys_queries_reordered),
]


# What is said, and what the checker is tried on.


def test_a_law_is_obeyed_with_a_batch_axis_and_without():
    """The task has one; whoever tries without gets the same verdicts."""
    for black_box in (*SOUND, *BROKEN):
        with seeded(0):
            flat = seen_by()(black_box)
            query, key = torch.randn(2, 5, 4), torch.randn(2, 7, 4)
        batched = black_box(query, key, torch.ones(2, 7, 2))
        with_batch = torch.allclose(batched, torch.ones(2, 5, 2), atol=1e-4)
        assert flat == with_batch == (black_box in SOUND), black_box


def test_a_law_answer_is_told_which_attend_it_misjudges():
    def rejects_causal(attend):
        return obeys_shift(attend) and "causal attention" not in repr(attend)

    verdict = judge(EXERCISE, rejects_causal)
    assert verdict.kind == "wrong"
    assert (
        "Input: attend = causal attention; its weights sum to 1, but for rounding"
        in verdict.message
    )
