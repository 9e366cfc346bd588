"""The experiments of chapter 16 change what they say they change, and nothing else."""

import pytest
import torch

from book.experiments import object_queries, object_queries_sides
from book.experiments import object_queries_changes as changes
from book.experiments.measuring import n_weights
from book.experiments.object_queries_masks import ink_in
from book.experiments.object_queries_measures import by_query, found, twice
from minattn.pictures.boxes import Detections, centred
from minattn.pictures.queries import (
    BOX_WEIGHT,
    Answers,
    ObjectQueries,
    Things,
    partners,
    set_loss,
)
from minattn.recording import recording
from minattn.training import seeded


@pytest.fixture
def things():
    with seeded(0):
        first = torch.rand(3, 3, 2) * 0.6
        boxes = torch.cat([first, first + 0.3], -1)
        cells = torch.randn(3, 100, 7)
    classes = torch.tensor([[4, -1, -1], [0, 4, 4], [2, 3, -1]])
    return Things(cells, classes, boxes, torch.zeros(3, 40, 40, 3, dtype=torch.uint8))


def random_answers(seed):
    with seeded(seed):
        return Answers(torch.randn(3, 6, 6), torch.rand(3, 6, 4), torch.randn(3, 6, 8))


def paid(answers, things, chosen):
    rows, places = things.there.nonzero(as_tuple=True)
    own = chosen[rows, places]
    away = (answers.boxes[rows, own] - centred(things.boxes)[rows, places]).abs().sum(-1)
    likely = answers.classes.softmax(-1)[rows, own, things.classes[rows, places]]
    return (BOX_WEIGHT * away - likely).sum().item()


@pytest.mark.parametrize("way", [changes.in_order, changes.greedily])
def test_other_ways_to_match_give_each_thing_a_query_of_its_own_and_cost_more(way, things):
    more = []
    for seed in range(20):
        answers = random_answers(seed)
        best, chosen = partners(answers, things), way(answers, things)
        assert torch.equal(chosen == -1, ~things.there)
        for row in chosen:
            own = row[row >= 0].tolist()
            assert len(set(own)) == len(own)
        more.append(paid(answers, things, chosen) - paid(answers, things, best))
    assert min(more) >= -1e-5
    assert max(more) > 0.1


def test_greedily_is_best_for_one_thing_and_in_order_is_in_order(things):
    answers, one = random_answers(1), things.some(torch.tensor([0]))
    first = Answers(*(part[:1] for part in answers))
    assert torch.equal(changes.greedily(first, one), partners(first, one))
    assert changes.in_order(answers, things)[1].tolist() == [0, 1, 2]


def test_corners_are_what_is_learned_in_place_of_centres(things):
    model = ObjectQueries(7, 5)
    seen = {}

    def note(answers, changed):
        seen["boxes"] = centred(changed.boxes)
        return answers.boxes.sum()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "set_loss", note)
        changes.corners_for_centres(model, things)
    torch.testing.assert_close(seen["boxes"], things.boxes)


def test_only_the_names_differ_where_nothing_has_another_place(things):
    with seeded(2):
        model = ObjectQueries(7, 5)
    right = set_loss(model(things.cells), things)
    torch.testing.assert_close(changes._named_otherwise(model, things, -1, -1), right)
    for wrong in (changes.nothing_is_class_0, changes.weight_at_class_0):
        assert not torch.isclose(wrong(model, things), right)


def test_fixed_queries_stay_and_new_ones_do_not(things):
    with seeded(3):
        equal, fresh = changes.Fixed(7, 5, equal=True), changes.NewEachTime(7, 5)
    assert not equal.queries.requires_grad and not equal.queries.any()
    boxes = equal(things.cells).boxes
    torch.testing.assert_close(boxes, boxes[:, :1].expand_as(boxes))
    assert not torch.allclose(fresh(things.cells).boxes, fresh(things.cells).boxes)


def test_places_are_gone_from_the_keys_alone(things):
    kinds = changes.PlacesInValues, changes.NoPlaces, ObjectQueries
    with_values, without, right = (_weights_and_boxes(kind, things) for kind in kinds)
    torch.testing.assert_close(with_values[0], without[0])
    assert not torch.allclose(with_values[1], without[1])
    assert not torch.allclose(with_values[0], right[0])


def _weights_and_boxes(kind, things):
    with seeded(4):
        model = kind(7, 5)
    with recording(model) as record:
        boxes = model(things.cells).boxes
    (name,) = (name for name in record.calls if "cross" in name)
    return record.weights(name), boxes


def test_the_model_without_attention_has_as_many_weights():
    with seeded(5):
        slots, model = changes.Slots(96, 32), object_queries.make_model(5)
    assert 0.95 < n_weights(slots) / n_weights(model) < 1.1
    with pytest.raises(ValueError, match="must have an attend"), recording(slots):
        pass


def test_each_arm_makes_what_it_names():
    made = {
        name: object_queries_sides.make(0, *_kind(arm), **_sizes(arm))
        for name, arm in object_queries_sides.ARMS.items()
    }
    assert len(made["four queries"].queries) == 4
    assert len(made["two blocks"].blocks) == 2
    assert {arm.get("loss", "plain") for arm in object_queries_sides.ARMS.values()} == set(
        object_queries_sides.LOSSES
    )


def _kind(arm):
    return arm.get("kind", "queries"), arm.get("attend", "")


def _sizes(arm):
    return {name: value for name, value in arm.items() if isinstance(value, int)}


def test_what_is_found_twice_is_counted(things):
    classes = torch.tensor([[4, 4, 0], [0, 4, 4], [2, 2, 2]])
    every = torch.ones(3, 3, dtype=torch.bool)
    boxes = things.boxes.clone()
    boxes[0, 1] = boxes[0, 0]  # the only thing of the first picture, once more
    finds = Detections(classes, torch.ones(3, 3), boxes, every)
    assert twice(finds, things) == pytest.approx(100 / 6)
    silent = finds._replace(said=every & (torch.arange(3) != 1))
    assert twice(silent, things) == 0


def test_ink_in_a_box_is_what_is_not_white():
    pictures = torch.full((1, 40, 40, 3), 255, dtype=torch.uint8)
    pictures[0, 10:20, 5:15] = 90
    ink = ink_in(torch.tensor([[0.0, 0.0, 0.25, 0.3]]), pictures)
    assert int(ink.sum()) == 2 * 5
    assert bool(ink[0, 10:12, 5:10].all())


def test_scores_and_slots_of_a_model(things):
    with seeded(6):
        model = ObjectQueries(7, 5)
    scores = found(model, things)
    assert {"AP50", "exact", "inside", "chance"} < set(scores)
    two = found(ObjectQueries(7, 5, n_blocks=2), things)
    assert {"inside 1", "inside 2"} < set(two)
    assert len(by_query(model, things)) == 6
