"""Boxes: hand computed, against slow loops, and laws."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.pictures.boxes import (
    Detections,
    average_precision,
    box_iou,
    centred,
    corners,
    exactness,
    hits,
    match,
    mean_average_precision,
)
from minattn.training import seeded


def whole_boxes(*shape, seed=0, size=13):
    """Boxes with whole numbers as corners, none of them empty."""
    with seeded(seed):
        first = torch.randint(0, size - 1, (*shape, 2))
        second = torch.stack(
            [torch.randint(int(low) + 1, size + 1, ()) for low in first.flatten()]
        ).view_as(first)
    return torch.cat([first, second], -1).double()


def painted(box, size=13):
    """The pixels of a box, one by one."""
    canvas = torch.zeros(size, size, dtype=torch.bool)
    x0, y0, x1, y1 = (int(v) for v in box)
    canvas[y0:y1, x0:x1] = True
    return canvas


def test_both_ways_to_write_a_box_say_the_same():
    boxes = whole_boxes(3, 5)
    assert torch.equal(corners(centred(boxes)), boxes)
    assert centred(torch.tensor([1.0, 2.0, 5.0, 12.0])).tolist() == [3, 7, 4, 10]
    assert not torch.equal(centred(boxes), boxes)


def test_iou_counts_pixels():
    first, second = whole_boxes(2, 5, seed=1), whole_boxes(2, 7, seed=2)
    found = box_iou(first, second)
    assert found.shape == (2, 5, 7)
    for row, i, j in itertools.product(range(2), range(5), range(7)):
        a, b = painted(first[row, i]), painted(second[row, j])
        assert found[row, i, j].item() == pytest.approx((a & b).sum().item() / (a | b).sum().item())


def test_iou_is_symmetric_and_one_for_the_same_box_alone():
    boxes = whole_boxes(11, seed=3)
    found = box_iou(boxes, boxes)
    assert torch.equal(found, found.T)
    assert torch.equal(found.diagonal(), torch.ones(11, dtype=torch.float64))
    assert bool(((found >= 0) & (found <= 1)).all())


def test_a_box_turned_inside_out_covers_nothing():
    inside_out = torch.tensor([[5.0, 5.0, 1.0, 1.0]])
    assert box_iou(inside_out, torch.tensor([[0.0, 0.0, 9.0, 9.0]])).item() == 0
    assert box_iou(inside_out, inside_out).item() == 0


@given(st.integers(0, 999), st.integers(0, 3), st.integers(3, 5))
def test_no_other_way_costs_less(seed, n_things, n_queries):
    with seeded(seed):
        cost = torch.randn(2, n_queries, n_things, dtype=torch.float64)
        there = torch.rand(2, n_things) < 0.7
    found = match(cost, there)
    assert torch.equal(found == -1, ~there)
    for row in range(2):
        own = there[row].nonzero()[:, 0].tolist()
        paid = sum(cost[row, found[row, thing], thing].item() for thing in own)
        assert len({int(found[row, thing]) for thing in own}) == len(own)
        ways = itertools.permutations(range(n_queries), len(own))
        least = min(
            sum(cost[row, q, t].item() for q, t in zip(way, own, strict=True)) for way in ways
        )
        assert paid == pytest.approx(least)


def test_the_cheapest_for_one_thing_may_not_be_the_cheapest_for_all():
    cost = torch.tensor([[[1.0, 2.0], [2.0, 9.0], [5.0, 5.0]]])
    assert match(cost, torch.ones(1, 2, dtype=torch.bool)).tolist() == [[1, 0]]
    # Padding takes no query, so the first thing gets the cheapest.
    assert match(cost, torch.tensor([[True, False]])).tolist() == [[0, -1]]


def test_costs_of_padding_may_be_anything():
    cost = torch.tensor([[[1.0, math.nan], [0.5, math.inf]]])
    assert match(cost, torch.tensor([[True, False]])).tolist() == [[1, -1]]
    with pytest.raises(ValueError, match="must be finite, got nan"):
        match(cost, torch.tensor([[True, True]]))


@pytest.mark.plain
def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="cost needs shape"):
        match(torch.zeros(1, 5, 3), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"boxes must have shape \(\.\.\., 4\), got \(2, 3\)"):
        corners(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="finds of 1 pictures"):
        hits(
            finds([[3]], [[0.9]], [[HERE]]),
            torch.zeros(2, 1, dtype=torch.long),
            torch.zeros(2, 1, 4),
        )


def test_a_match_is_refused_where_it_cannot_be():
    with pytest.raises(ValueError, match="a query for each thing, got 2 queries for 3 things"):
        match(torch.zeros(1, 2, 3), torch.ones(1, 3, dtype=torch.bool))
    # Padding needs no query.
    assert match(torch.zeros(1, 2, 3), torch.tensor([[True, False, True]])).min() == -1


def finds(classes, scores, boxes, said=None):
    said = [[True] * len(classes[0])] * len(classes) if said is None else said
    return Detections(
        torch.tensor(classes), torch.tensor(scores), torch.tensor(boxes), torch.tensor(said)
    )


HERE, THERE = [0.0, 0.0, 4.0, 4.0], [10.0, 10.0, 14.0, 14.0]
THINGS = torch.tensor([[3, 7]]), torch.tensor([[HERE, THERE]])


def test_a_thing_is_found_once_by_the_surest():
    found = finds([[3, 3, 7]], [[0.5, 0.9, 0.8]], [[HERE, HERE, THERE]])
    assert hits(found, *THINGS).tolist() == [[False, True, True]]
    assert exactness(found, *THINGS) == 0
    silent = found._replace(said=torch.tensor([[False, True, True]]))
    assert exactness(silent, *THINGS) == 1


def test_what_says_nothing_takes_no_thing_from_what_says_something():
    found = finds([[3, 3, 7]], [[0.6, 0.5, 0.8]], [[HERE, HERE, THERE]], [[False, True, True]])
    assert exactness(found, *THINGS) == 1


@pytest.mark.parametrize(
    ("classes", "boxes"),
    [([[3, 8]], [[HERE, THERE]]), ([[3, 7]], [[HERE, HERE]]), ([[7, 3]], [[HERE, THERE]])],
)
def test_a_find_needs_the_class_and_the_box(classes, boxes):
    found = finds(classes, [[0.9, 0.8]], boxes)
    assert exactness(found, *THINGS) == 0
    assert not hits(found, *THINGS).all()


def test_padding_is_never_found():
    found = finds([[0, 5]], [[0.9, 0.8]], [[HERE, THERE]])
    none = torch.tensor([[-1, -1]]), torch.tensor([[HERE, THERE]])
    assert not hits(found, *none).any()


def test_average_precision_by_hand():
    scores, right = torch.tensor([0.2, 0.9, 0.7, 0.5]), torch.tensor([True, True, False, True])
    # Sorted: right, wrong, right, right: precisions 1, 1/2, 2/3, 3/4; the best from each right one on: 1, 3/4, 3/4.
    assert average_precision(scores, right, 3) == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)
    assert average_precision(scores, right, 6) == pytest.approx((1 + 3 / 4 + 3 / 4) / 6)
    assert average_precision(scores[:0], right[:0], 3) == 0


def test_a_wrong_find_costs_nothing_below_the_right_ones_and_most_above_them():
    right = torch.tensor([True, True, False])
    assert average_precision(torch.tensor([0.9, 0.8, 0.1]), right, 2) == 1
    assert average_precision(torch.tensor([0.8, 0.7, 0.9]), right, 2) == pytest.approx(2 / 3)


def test_the_mean_is_over_classes_and_not_over_things():
    boxes = torch.tensor([[HERE], [HERE], [HERE]])
    found = finds([[3], [3], [3]], [[0.9], [0.8], [0.7]], [[HERE], [HERE], [HERE]])
    classes = torch.tensor([[3], [3], [7]])
    assert mean_average_precision(found, classes, boxes) == pytest.approx((1 + 0) / 2)


def test_a_stricter_bar_finds_less():
    boxes = torch.tensor([[HERE]])
    found = finds([[3]], [[0.9]], [[[0.0, 0.0, 4.0, 3.0]]])  # IoU 3/4
    classes = torch.tensor([[3]])
    assert [mean_average_precision(found, classes, boxes, at) for at in (0.5, 0.75, 0.8)] == [
        1,
        1,
        0,
    ]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one thing"):
        mean_average_precision(
            finds([[3]], [[0.9]], [[HERE]]), torch.tensor([[-1]]), torch.tensor([[HERE]])
        )
    with pytest.raises(ValueError, match="no more finds are right"):
        average_precision(torch.ones(2), torch.ones(2, dtype=torch.bool), 1)
