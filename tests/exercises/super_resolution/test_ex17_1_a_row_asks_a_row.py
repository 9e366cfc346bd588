import math

import numpy as np
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.super_resolution.ex17_1_a_row_asks_a_row import EXERCISE, fetch_along_rows

# Other right ways: torch's own attention, the book's, einsum, loops, axes more than three, NumPy.


def fetch_by_torch(left, right):
    query, keys = (x.permute(0, 2, 3, 1) for x in (left, right))
    return F.scaled_dot_product_attention(query, keys, keys).permute(0, 3, 1, 2)


def fetch_by_the_book(left, right):
    batch, channels, height, width = left.shape
    rows = [x.movedim(1, -1).reshape(batch * height, width, channels) for x in (left, right)]
    found = attend(rows[0], rows[1], rows[1])
    return found.view(batch, height, width, channels).movedim(-1, 1).contiguous()


def fetch_einsum(left, right):
    scores = torch.einsum("bchx,bchy->bhxy", left, right) / math.sqrt(left.size(1))
    return torch.einsum("bhxy,bchy->bchx", F.softmax(scores, dim=-1), right)


def fetch_by_loops(left, right):
    out = torch.empty_like(left)
    for picture in range(left.shape[0]):
        for row in range(left.shape[2]):
            query, key = left[picture, :, row].T, right[picture, :, row].T
            weights = (query @ key.T / key.shape[1] ** 0.5).softmax(1)
            out[picture, :, row] = (weights @ key).T
    return out


def fetch_with_keys_first(left, right):
    """The weights turned around: keys by queries, with a softmax down each column."""
    query, key = left.transpose(1, 2), right.transpose(1, 2)  # (batch, height, channels, width)
    weights = (key.mT @ query / query.shape[2] ** 0.5).softmax(-2)
    return (key @ weights).transpose(1, 2)


def fetch_numpy(left, right):
    query, key = (np.moveaxis(x.numpy(), 1, -1) for x in (left, right))
    weights = np.exp(query @ key.swapaxes(-1, -2) / np.sqrt(key.shape[-1]))
    weights /= weights.sum(-1, keepdims=True)
    return np.moveaxis(weights @ key, -1, 1)


OTHER_WAYS = [
    fetch_by_torch,
    fetch_by_the_book,
    fetch_einsum,
    fetch_by_loops,
    fetch_with_keys_first,
    fetch_numpy,
]


# Wrong ways, written as a learner writes them.


def fetch_along_columns(left, right):
    query, key = (x.permute(0, 3, 2, 1) for x in (left, right))
    return F.scaled_dot_product_attention(query, key, key).permute(0, 3, 2, 1)


def fetch_by_view(left, right):
    batch, channels, height, width = left.shape
    query, key = (x.view(batch * height, width, channels) for x in (left, right))
    found = F.scaled_dot_product_attention(query, key, key)
    return found.view(batch, channels, height, width)


def fetch_by_the_last_two_axes(left, right):
    weights = (left @ right.transpose(-2, -1) / left.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ right


def fetch_from_everywhere(left, right):
    query, key = (x.flatten(2).transpose(1, 2) for x in (left, right))
    found = F.scaled_dot_product_attention(query, key, key)
    return found.transpose(1, 2).view_as(left)


def fetch_with_the_batch_second(left, right):
    query, key = (x.permute(0, 2, 3, 1).flatten(0, 1).transpose(0, 1) for x in (left, right))
    found = F.scaled_dot_product_attention(query, key, key).transpose(0, 1)
    return found.unflatten(0, (left.shape[0], -1)).permute(0, 3, 1, 2)


def fetch_and_stay_folded(left, right):
    query, key = (x.permute(0, 2, 3, 1).flatten(0, 1) for x in (left, right))
    return F.scaled_dot_product_attention(query, key, key)


def fetch_and_view_back(left, right):
    return fetch_and_stay_folded(left, right).view(left.shape)


def fetch_by_einsum_over_queries(left, right):
    scores = torch.einsum("bchx,bchy->bhxy", left, right) / left.shape[1] ** 0.5
    return torch.einsum("bhxy,bchy->bchx", scores.softmax(2), right)


def fetch_own(left, right):
    query, key = (x.permute(0, 2, 3, 1) for x in (left, right))
    return F.scaled_dot_product_attention(query, key, query).permute(0, 3, 1, 2)


def fetch_divided_by_the_width(left, right):
    scores = torch.einsum("bchx,bchy->bhxy", left, right) / left.shape[-1] ** 0.5
    return torch.einsum("bhxy,bchy->bchx", scores.softmax(-1), right)


NEAR_MISSES = [
    ("along_columns", fetch_along_columns),
    ("axes_mixed", fetch_by_view),
    ("axes_mixed", fetch_by_the_last_two_axes),
    ("beyond_the_row", fetch_from_everywhere),
    ("beyond_the_row", fetch_with_the_batch_second),
    ("not_folded_back", fetch_and_stay_folded),
    ("not_folded_back", fetch_and_view_back),
    ("softmax_over_queries", fetch_by_einsum_over_queries),
    ("values_of_the_left", fetch_own),
    ("not_scaled", fetch_divided_by_the_width),
    ("eyes_exchanged", lambda left, right: fetch_einsum(right, left)),
]


# What is said, and what the checker is tried on.


def test_no_row_knows_of_another_and_no_picture_of_another():
    left, right = EXERCISE.cases()[1]
    changed = right.clone()
    changed[1, :, 3] += 1
    moved = (fetch_along_rows(left, changed) != fetch_along_rows(left, right)).any(1)
    assert moved.nonzero()[:, :2].unique(dim=0).tolist() == [[1, 3]]


def test_no_softmax_is_saturated():
    for left, right in EXERCISE.cases():
        scores = torch.einsum("bchx,bchy->bhxy", left, right) / left.shape[1] ** 0.5
        assert float(scores.softmax(-1).max()) < 0.98


def test_sizes_tell_axes_apart_and_hide_them_too():
    shapes = [left.shape for left, _ in EXERCISE.cases()]
    assert any(len(set(shape)) == 4 for shape in shapes)
    assert any(shape[2] == shape[3] for shape in shapes)  # where no shape complains


def test_an_unknown_answer_hears_of_the_law():
    verdict = judge(EXERCISE, lambda left, right: fetch_along_rows(left, right) + 5)
    assert verdict.kind == "wrong" and "a mean of pixels of the same row" in verdict.message
