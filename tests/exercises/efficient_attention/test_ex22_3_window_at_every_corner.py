import numpy as np
import torch

from minattn.exercises.efficient_attention.ex22_3_window_at_every_corner import (
    EXERCISE,
    window_mask,
)
from minattn.exercises.judging import judge
from minattn.masks import CAUSAL, Window

# Other right ways: loops, triangles, the last rows of a square, NumPy, the masks of the package.


def by_loops(queries, keys, window, sinks):
    mask = torch.zeros(queries, keys, dtype=torch.bool)
    for i in range(queries):
        position = keys - queries + i
        for j in range(keys):
            if j <= position and (position - j < window or j < sinks):
                mask[i, j] = True
    return mask


def by_triangles(queries, keys, window, sinks):
    ones = torch.ones(queries, keys, dtype=torch.bool)
    causal = ones.tril(keys - queries)
    near = causal.triu(keys - queries - window + 1)
    return near | (causal & (torch.arange(keys) < sinks))


def last_rows_of_a_square(queries, keys, window, sinks):
    """Make the mask of all positions; rows before the first key come on top of it."""
    n = max(queries, keys)
    square = torch.zeros(n, keys, dtype=torch.bool)
    for position in range(keys):
        square[n - keys + position, max(0, position + 1 - window) : position + 1] = True
        square[n - keys + position, : min(sinks, position + 1)] = True
    return square[n - queries :]


def by_numpy(queries, keys, window, sinks):
    position = np.arange(keys - queries, keys).reshape(-1, 1)
    key = np.arange(keys).reshape(1, -1)
    distance = position - key
    return np.logical_and(distance >= 0, np.logical_or(distance < window, key < sinks))


def of_the_package(queries, keys, window, sinks):
    first = torch.zeros(queries, keys, dtype=torch.bool)
    first[:, :sinks] = True
    shape = (queries, keys)
    causal = CAUSAL.to_bool(shape).expand(shape)
    return Window(before=window - 1, after=0).to_bool(shape) | (causal & first)


OTHER_WAYS = [by_loops, by_triangles, last_rows_of_a_square, by_numpy, of_the_package]


# Wrong ways, written as a learner writes them.


def from_the_top_left(queries, keys, window, sinks):
    i, j = torch.arange(queries)[:, None], torch.arange(keys)
    return (j <= i) & ((i - j < window) | (j < sinks))


def one_more(queries, keys, window, sinks):
    i, j = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    return (j <= i) & ((i - j <= window) | (j < sinks))


def one_less(queries, keys, window, sinks):
    i, j = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    return (j <= i) & ((i - j < window - 1) | (j < sinks))


def in_both_directions(queries, keys, window, sinks):
    i, j = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    return ((i - j).abs() < window) | (j < sinks)


def sinks_for_all(queries, keys, window, sinks):
    i, j = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    mask = (j <= i) & (i - j < window)
    mask[:, :sinks] = True
    return mask


def nothing_for_sinks(queries, keys, window, sinks):
    i, j = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    return (j <= i) & (j > i - window)


def never_empty(queries, keys, window, sinks):
    mask = by_loops(queries, keys, window, sinks)
    mask[~mask.any(dim=1)] = True
    return mask


def as_torch_multihead_has_it(queries, keys, window, sinks):
    i, j = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    return (j > i) | ((i - j >= window) & (j >= sinks))


NEAR_MISSES = [
    ("other_corner", from_the_top_left),
    ("other_length", one_more),
    ("other_length", one_less),
    ("not_causal", in_both_directions),
    ("sinks_ahead", sinks_for_all),
    ("sinks_lost", nothing_for_sinks),
    ("empty_rows_filled", never_empty),
    ("inverted", as_torch_multihead_has_it),
]


# What is said, and what the checker is tried on.


def test_every_pair_of_lengths_every_edge_and_empty_rows_are_tried():
    cases = EXERCISE.cases()
    assert {case[:2] for case in cases} >= {(q, k) for q in range(1, 5) for k in range(1, 5)}
    for keys in range(1, 5):
        assert {w for _, k, w, _ in cases if k == keys} == set(range(1, keys + 2))
    assert {sinks for *_, sinks in cases} == {0, 1, 2, 3}
    assert sum(not bool(window_mask(*case).any(-1).all()) for case in cases) > 20


def test_the_numbers_of_the_task():
    expected = [[1, 0, 1, 1, 0], [1, 0, 0, 1, 1]]
    assert window_mask(2, 5, 2, 1).int().tolist() == expected


def test_queries_in_parts_see_the_same_as_all_at_once():
    whole = window_mask(7, 7, 3, 2)
    parts = [window_mask(3, 3, 3, 2), window_mask(2, 5, 3, 2), window_mask(2, 7, 3, 2)]
    padded = [torch.nn.functional.pad(part, (0, 7 - part.shape[1])) for part in parts]
    assert torch.equal(torch.cat(padded), whole)


def test_a_row_that_sees_too_much_breaks_the_law():
    verdict = judge(EXERCISE, lambda *case: window_mask(*case).roll(1, 1))
    assert verdict.kind == "wrong" and "the last query sees the last key" in verdict.message


def test_an_edge_wrong_at_one_pair_of_lengths_is_found():
    """One that only a cache with sinks, longer than the window, shows."""

    def answer(queries, keys, window, sinks):
        more = int(queries == 1 and keys > window + sinks and sinks > 0)
        return window_mask(queries, keys, window + more, sinks)

    assert judge(EXERCISE, answer).kind != "correct"
