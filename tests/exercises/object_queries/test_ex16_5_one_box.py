import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.object_queries.ex16_5_one_box import EXERCISE, detect

# Other right ways: torch's own attention, the book's, einsum, loops, and the places projected apart.


def detect_by_torch(tokens, places, queries, w_key, w_value, w_box):
    cells = tokens + places
    asked = queries.expand(len(tokens), -1, -1)
    found = F.scaled_dot_product_attention(asked, cells @ w_key, cells @ w_value)
    return torch.sigmoid(found @ w_box)


def detect_by_the_book(tokens, places, queries, w_key, w_value, w_box):
    cells = tokens + places.unsqueeze(0)
    found = attend(queries.expand(len(tokens), -1, -1), cells @ w_key, cells @ w_value)
    return (found @ w_box).sigmoid()


def detect_einsum(tokens, places, queries, w_key, w_value, w_box):
    cells = tokens + places
    keys, values = (torch.einsum("pcd,de->pce", cells, w) for w in (w_key, w_value))
    scores = torch.einsum("qd,pcd->pqc", queries, keys) / math.sqrt(queries.shape[1])
    found = torch.einsum("pqc,pcd->pqd", F.softmax(scores, dim=2), values)
    return torch.einsum("pqd,db->pqb", found, w_box).sigmoid()


def detect_by_loops(tokens, places, queries, w_key, w_value, w_box):
    pictures = []
    for picture in tokens:
        keys, values = (picture + places) @ w_key, (picture + places) @ w_value
        boxes = []
        for query in queries:
            weights = (keys @ query / len(query) ** 0.5).softmax(0)
            boxes.append((weights @ values @ w_box).sigmoid())
        pictures.append(torch.stack(boxes))
    return torch.stack(pictures)


def detect_with_places_projected_apart(tokens, places, queries, w_key, w_value, w_box):
    """A projection of a sum is the sum of the projections."""
    keys = tokens @ w_key + places @ w_key
    values = tokens @ w_value + places @ w_value
    slots = torch.zeros_like(queries) + queries
    weights = (slots @ keys.mT / keys.shape[-1] ** 0.5).softmax(dim=-1)
    return (weights @ values @ w_box).sigmoid()


def detect_numpy(tokens, places, queries, w_key, w_value, w_box):
    cells = tokens.numpy() + places.numpy()
    scores = queries.numpy() @ np.swapaxes(cells @ w_key.numpy(), 1, 2)
    weights = np.exp(scores / np.sqrt(queries.shape[1]))
    weights /= weights.sum(2, keepdims=True)
    return 1 / (1 + np.exp(-(weights @ (cells @ w_value.numpy()) @ w_box.numpy())))


OTHER_WAYS = [
    detect_by_torch,
    detect_by_the_book,
    detect_einsum,
    detect_by_loops,
    detect_with_places_projected_apart,
    detect_numpy,
]


# Wrong ways, written as a learner writes them: the broken function, and ways to mend a part of it.


def broken_detect(tokens, places, queries, w_key, w_value, w_box):
    slots = torch.zeros_like(queries)
    keys, values = tokens @ w_key, tokens @ w_value
    scores = slots @ keys.mT / keys.shape[-1] ** 0.5
    weights = scores.softmax(dim=1)
    return (weights @ values @ w_box).sigmoid()


def detect_with_queries(tokens, places, queries, w_key, w_value, w_box):
    keys, values = tokens @ w_key, tokens @ w_value
    scores = queries @ keys.mT / keys.shape[-1] ** 0.5
    weights = scores.softmax(dim=1)
    return (weights @ values @ w_box).sigmoid()


def detect_with_the_softmax_mended(tokens, places, queries, w_key, w_value, w_box):
    slots = torch.zeros_like(queries)
    keys, values = tokens @ w_key, tokens @ w_value
    scores = slots @ keys.mT / keys.shape[-1] ** 0.5
    return (scores.softmax(dim=-1) @ values @ w_box).sigmoid()


def detect_with_places_in_keys(tokens, places, queries, w_key, w_value, w_box):
    keys, values = (tokens + places) @ w_key, tokens @ w_value
    weights = (queries @ keys.mT / keys.shape[-1] ** 0.5).softmax(dim=-1)
    return (weights @ values @ w_box).sigmoid()


def detect_with_the_softmax_left(tokens, places, queries, w_key, w_value, w_box):
    cells = tokens + places
    scores = queries @ (cells @ w_key).mT / queries.shape[-1] ** 0.5
    return (scores.softmax(dim=1) @ (cells @ w_value) @ w_box).sigmoid()


def detect_unscaled(tokens, places, queries, w_key, w_value, w_box):
    cells = tokens + places
    weights = (queries @ (cells @ w_key).transpose(1, 2)).softmax(-1)
    return (weights @ (cells @ w_value) @ w_box).sigmoid()


def detect_with_late_places(tokens, places, queries, w_key, w_value, w_box):
    keys, values = tokens @ w_key + places, tokens @ w_value + places
    weights = (queries @ keys.mT / keys.shape[-1] ** 0.5).softmax(dim=-1)
    return (weights @ values @ w_box).sigmoid()


NEAR_MISSES = [
    ("queries_alike", broken_detect),
    ("queries_alike", detect_with_the_softmax_mended),
    ("no_places", detect_with_queries),
    ("places_in_keys_only", detect_with_places_in_keys),
    ("softmax_over_queries", detect_with_the_softmax_left),
    ("not_scaled", detect_unscaled),
    ("places_added_late", detect_with_late_places),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_each_bug_has_the_symptom_that_is_told(case):
    tokens, places, *rest = case
    order = torch.arange(tokens.shape[1]).flip(0)
    boxes = broken_detect(*case)
    assert torch.equal(boxes, boxes[:, :1].expand_as(boxes))  # every query says the same
    moved = detect_with_queries(tokens[:, order], places, *rest)
    torch.testing.assert_close(moved, detect_with_queries(*case))  # order does not matter
    one_query = (tokens, places, rest[0][:1], *rest[1:])
    alone, among = detect_with_the_softmax_left(*one_query), detect_with_the_softmax_left(*case)
    assert not torch.allclose(alone[:, 0], among[:, 0], atol=1e-3)  # others matter
    torch.testing.assert_close(detect(*one_query)[:, 0], detect(*case)[:, 0])
    assert not torch.allclose(detect(tokens[:, order], places, *rest), detect(*case), atol=1e-2)


def test_no_softmax_is_saturated_and_no_box_at_an_edge():
    for tokens, places, queries, w_key, *_ in EXERCISE.cases():
        scores = queries @ ((tokens + places) @ w_key).mT / queries.shape[-1] ** 0.5
        assert float(scores.softmax(-1).max()) < 0.97
    for case in EXERCISE.cases():
        assert bool(detect(*case).sub(0.5).abs().max() < 0.48)


def test_an_unknown_answer_hears_of_the_symptom():
    def first_picture_for_all(tokens, *rest):
        return detect(tokens[:1], *rest).expand(len(tokens), -1, -1)

    verdict = judge(EXERCISE, first_picture_for_all)
    assert verdict.kind == "wrong" and "two pictures do not get the same boxes" in verdict.message
