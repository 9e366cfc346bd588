import numpy as np
import torch

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.queries_keys_values.black_boxes import BlackBox
from minattn.exercises.queries_keys_values.ex3_4_permutation_test import (
    EXERCISE,
    LOOKUPS,
    OTHERS,
    alone,
    answers_go_along,
    bag,
    keys_count,
)

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def close(a, b):
    return torch.allclose(a, b, atol=1e-3)


def many_orders(attend):
    """Try many orders, and drop the other queries one by one."""
    q, k, v = torch.randn(6, 4), torch.randn(5, 4), torch.randn(5, 3)
    before, moved = attend(q, k, v), False
    for _ in range(10):
        order, asked = torch.randperm(5), torch.randperm(6)[:4]
        if not close(attend(q[asked], k[order], v[order]), before[asked]):
            return False
        moved = moved or not close(attend(q, k[order], v), before)
    return moved


def other_queries(attend):
    """Let others ask beside the last query, at another place."""
    q, k, v = torch.randn(4, 3), torch.randn(9, 3), torch.randn(9, 2)
    answers = attend(q, k, v)
    beside = attend(torch.cat([q[-1:], torch.randn(6, 3)]), k, v)[0]
    a_bag = close(attend(q, k.flip(0), v.flip(0)), answers)
    return a_bag and close(beside, answers[-1]) and not close(attend(q, k.roll(1, 0), v), answers)


def by_numpy(attend):
    rng = np.random.default_rng(7)
    q, k, v = (torch.tensor(rng.normal(size=(n, 3))) for n in (5, 8, 8))
    order = rng.permutation(8)
    turned, shuffled = attend(q, k[order], v[order]), attend(q, k[order], v)
    first = np.concatenate([attend(x[None], k, v).numpy() for x in q])
    right = attend(q, k, v).numpy()
    return bool(
        np.allclose(turned, right)
        and np.allclose(first, right)
        and not np.allclose(shuffled, right)
    )


def new_keys(attend):
    """Keys of another kind change the answers of whatever reads them."""
    q, k, v = torch.randn(3, 3), torch.randn(7, 3), torch.randn(7, 2)
    right = attend(q, k, v)
    order = torch.randperm(7)
    each = [close(attend(q[i : i + 1], k[order], v[order])[0], right[i]) for i in range(3)]
    return all(each) and not close(attend(q, torch.randn(7, 3), v), right)


OTHER_WAYS = [many_orders, other_queries, by_numpy, new_keys]


# Wrong ways, written as a learner writes them.


def tried(together=True, keys=True, queries="alone", same=close):
    """Make a test that leaves something out."""

    def test(attend):
        q, k, v = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
        before, order, asked = attend(q, k, v), torch.arange(7).roll(2), torch.arange(5).roll(2)
        seen = [
            not together or same(attend(q, k[order], v[order]), before),
            not keys or not same(attend(q, k[order], v), before),
            queries != "alone" or all(same(attend(q[[i]], k, v)[0], before[i]) for i in range(5)),
            queries != "shuffled" or same(attend(q[asked], k, v), before[asked]),
            queries != "not put back" or same(attend(q[asked], k, v), before),
        ]
        return all(seen)

    return test


def its_shape(attend):
    q, k, v = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    return attend(q, k, v).shape == attend(q.flip(0), k.flip(0), v.flip(0)).shape


def values_left(attend):
    q, k, v = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    return close(attend(q, k.flip(0), v), attend(q, k, v))


NEAR_MISSES = [
    ("nothing_is_seen", its_shape),
    ("answers_not_put_back", tried(queries="not put back")),
    ("exactly_equal", tried(same=torch.equal)),
    ("values_left_behind", values_left),
    ("keys_alone_not_tried", tried(keys=False)),
    ("keys_alone_not_tried", tried(keys=False, queries="shuffled")),
    ("bag_not_tried", tried(together=False)),
    ("queries_not_tried", tried(queries="")),
    ("queries_only_shuffled", tried(queries="shuffled")),
]


# What is said, and what the checker is tried on.


def test_each_law_is_broken_by_a_box_that_obeys_the_others():
    laws = (bag, keys_count, alone)
    for law in laws:
        assert any(not law(box) and all(x(box) for x in laws if x is not law) for box in OTHERS), (
            law
        )


def test_some_boxes_are_not_found_by_shuffling_the_queries():
    hidden = {box.name for box in OTHERS if bag(box) and keys_count(box) and answers_go_along(box)}
    assert hidden == {
        "softmax over the queries",
        "attention that subtracts the mean of the queries",
    }


def test_the_attention_of_the_package_is_a_lookup():
    assert EXERCISE.solution(attend)


def test_a_batch_axis_changes_no_verdict():
    def in_a_batch(box):
        return lambda q, k, v: box(q[None], k[None], v[None])[0]

    for box in (*LOOKUPS, *OTHERS):
        assert EXERCISE.solution(in_a_batch(box)) == (box in LOOKUPS), box


def test_a_misjudged_box_is_named():
    def one_formula(box):
        q, k, v = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
        return close(box(q, k, v), attend(q, k, v))

    verdict = judge(EXERCISE, one_formula)
    assert verdict.kind == "wrong"
    assert "Input: attend = attention without a scale, which is a lookup" in verdict.message
    assert all(isinstance(box, BlackBox) for (box,) in EXERCISE.cases())
