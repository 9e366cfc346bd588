import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.t5.ex12_3_bias_under_cache import EXERCISE, bias_under_cache

# Other right ways: a cut of the square, loops, NumPy, an embedding.


def bias_cut_from_the_square(table, bucket_of, n_new, n_keys):
    places = torch.arange(n_keys)
    square = table[:, bucket_of(places[None, :] - places[:, None])]
    return square[:, -n_new:]


def bias_loop(table, bucket_of, n_new, n_keys):
    bias = torch.zeros(len(table), n_new, n_keys)
    for i in range(n_new):
        query = n_keys - n_new + i
        for key in range(n_keys):
            bias[:, i, key] = table[:, int(bucket_of(torch.tensor(key - query)))]
    return bias


def bias_numpy(table, bucket_of, n_new, n_keys):
    distances = np.subtract.outer(np.arange(n_keys - n_new, n_keys), np.arange(n_keys))
    buckets = bucket_of(torch.from_numpy(-distances)).numpy()
    return np.take(table.numpy(), buckets, axis=1)


def bias_by_embedding(table, bucket_of, n_new, n_keys):
    n_cached = n_keys - n_new
    query = n_cached + torch.arange(n_new).unsqueeze(1)
    buckets = bucket_of(torch.arange(n_keys).unsqueeze(0) - query)
    return F.embedding(buckets, table.T).permute(2, 0, 1)


def bias_one_row_at_a_time(table, bucket_of, n_new, n_keys):
    rows = [table[:, bucket_of(torch.arange(n_keys) - q)] for q in range(n_keys - n_new, n_keys)]
    return torch.stack(rows, dim=1)


OTHER_WAYS = [
    bias_cut_from_the_square,
    bias_loop,
    bias_numpy,
    bias_by_embedding,
    bias_one_row_at_a_time,
]


# Wrong ways, written as a learner writes them.


def bias_cut_at_the_top(table, bucket_of, n_new, n_keys):
    places = torch.arange(n_keys)
    return table[:, bucket_of(places - places[:, None])][:, :n_new]


def bias_query_minus_key(table, bucket_of, n_new, n_keys):
    queries = torch.arange(n_keys - n_new, n_keys)
    return table[:, bucket_of(queries[:, None] - torch.arange(n_keys))]


def bias_of_the_last_column(table, bucket_of, n_new, n_keys):
    queries = torch.arange(n_keys - n_new, n_keys)
    return table[:, bucket_of(torch.arange(n_keys)[:, None] - queries)]


def bias_with_heads_last(table, bucket_of, n_new, n_keys):
    queries = torch.arange(n_keys - n_new, n_keys)
    return table.T[bucket_of(torch.arange(n_keys) - queries[:, None])]


def bias_after_the_cache(table, bucket_of, n_new, n_keys):
    queries = torch.arange(n_keys, n_keys + n_new)
    return table[:, bucket_of(torch.arange(n_keys) - queries[:, None])]


NEAR_MISSES = [
    ("queries_from_zero", bias_cut_at_the_top),
    ("sign_reversed", bias_query_minus_key),
    ("transposed", bias_of_the_last_column),
    ("transposed", bias_with_heads_last),
    ("behind_the_keys", bias_after_the_cache),
]


# What is said, and what the checker is tried on.


def test_steps_are_of_one_token_of_many_and_of_all():
    sizes = [(n_new, n_keys) for _, _, n_new, n_keys in EXERCISE.cases()]
    assert any(n_new == 1 for n_new, _ in sizes)
    assert any(n_new == n_keys for n_new, n_keys in sizes)
    assert any(1 < n_new < n_keys for n_new, n_keys in sizes)
    assert {bucket_of.both_sides for _, bucket_of, _, _ in EXERCISE.cases()} == {True, False}


def test_step_by_step_gives_the_rows_of_the_whole():
    table, bucket_of, _, n_keys = EXERCISE.cases()[-1]
    whole = bias_under_cache(table, bucket_of, n_keys, n_keys)
    for n in range(1, n_keys + 1):
        step = bias_under_cache(table, bucket_of, 1, n)
        torch.testing.assert_close(step[:, 0], whole[:, n - 1, :n], rtol=0, atol=0)
