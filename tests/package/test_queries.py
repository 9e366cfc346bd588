"""Object queries: against slow loops, and laws."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.alignment import uniform_attention
from minattn.learning import Recipe, learn
from minattn.pictures.boxes import centred, corners
from minattn.pictures.patches import Stem
from minattn.pictures.queries import (
    BOX_WEIGHT,
    NOTHING_WEIGHT,
    Answers,
    ObjectQueries,
    Things,
    detections,
    draw,
    partners,
    set_loss,
    things_in,
    truth,
)
from minattn.pointing import pointing
from minattn.recording import recording
from minattn.tasks.scenes import scenes
from minattn.training import seeded

BATCH, SIDE, WIDTH, QUERIES, THINGS, CLASSES, D_MODEL = 2, 3, 7, 5, 3, 11, 8


@pytest.fixture
def model():
    with seeded(1):
        return ObjectQueries(WIDTH, CLASSES, side=SIDE, n_queries=QUERIES, d_model=D_MODEL).double()


def cells(seed=2, batch=BATCH):
    with seeded(seed):
        return torch.randn(batch, SIDE**2, WIDTH, dtype=torch.float64)


def answers(seed=3, batch=BATCH):
    with seeded(seed):
        return Answers(
            torch.randn(batch, QUERIES, CLASSES + 1, dtype=torch.float64),
            torch.rand(batch, QUERIES, 4, dtype=torch.float64),
            torch.randn(batch, QUERIES, D_MODEL, dtype=torch.float64),
        )


def things(classes, seed=4):
    classes = torch.tensor(classes)
    with seeded(seed):
        boxes = corners(torch.rand(*classes.shape, 4, dtype=torch.float64))
    batch = len(classes)
    pictures = torch.zeros(batch, 12, 12, 3, dtype=torch.uint8)
    return Things(cells(batch=batch), classes, boxes, pictures)


def reordered(known, order):
    return known._replace(classes=known.classes[:, order], boxes=known.boxes[:, order])


def test_it_is_the_decoder_block_on_the_queries(model):
    source = cells()
    memory = model.embed(model.norm(source)) + model.places.table()
    x = model.queries.expand(BATCH, -1, -1)
    found = model(source)
    x = model.last_norm(model.blocks[0](x, memory, mask=None))
    torch.testing.assert_close(found.states, x)
    torch.testing.assert_close(found.classes, model.to_class(x))
    torch.testing.assert_close(found.boxes, model.to_box(x).sigmoid())
    assert found.classes.shape == (BATCH, QUERIES, CLASSES + 1)


def test_the_order_of_the_queries_is_the_order_of_the_answers(model):
    order = torch.tensor([3, 0, 4, 1, 2])
    found, other = model(cells()), model(cells(), model.queries[order])
    for one, two in zip(found, other, strict=True):
        torch.testing.assert_close(one[:, order], two)


def test_equal_queries_answer_alike(model):
    found = model(cells(), torch.zeros(QUERIES, D_MODEL, dtype=torch.float64))
    for part in found:
        torch.testing.assert_close(part, part[:, :1].expand_as(part))


def test_a_picture_is_asked_by_itself_and_by_queries_of_its_own(model):
    source = cells()
    with seeded(5):
        own = torch.randn(BATCH, QUERIES, D_MODEL, dtype=torch.float64)
    both = model(source, own)
    for row in range(BATCH):
        alone = model(source[row : row + 1], own[row])
        torch.testing.assert_close(both.boxes[row : row + 1], alone.boxes)


def test_places_are_told(model):
    source = cells()
    turned = source.flip(1)
    assert not torch.allclose(model(source).boxes, model(turned).boxes)
    for table in model.places.parameters():
        torch.nn.init.zeros_(table)
    torch.testing.assert_close(model(source).boxes, model(turned).boxes)


def test_it_attends_through_the_seam(model):
    with recording(model) as record:
        model(cells())
    weights = record.weights("blocks.0.cross_attention")
    assert weights.shape == (BATCH, 1, QUERIES, SIDE**2)
    with seeded(1):
        other = ObjectQueries(WIDTH, CLASSES, side=SIDE, attend=uniform_attention)
    with recording(other) as record:
        other(cells().half())
    assert record.weights("blocks.0.cross_attention").unique().numel() == 1


def test_two_blocks_look_twice():
    model = ObjectQueries(WIDTH, CLASSES, side=SIDE, n_blocks=2)
    with recording(model) as record:
        model(cells().float())
    assert {"blocks.0.cross_attention", "blocks.1.cross_attention"} < set(record.calls)


def cost(found, known, row, query, thing):
    likely = found.classes[row, query].softmax(-1)[known.classes[row, thing]]
    box = centred(known.boxes)[row, thing]
    return BOX_WEIGHT * (found.boxes[row, query] - box).abs().sum() - likely


@given(st.integers(0, 999))
def test_partners_together_do_it_best(seed):
    found, known = answers(seed), things([[4, -1, 10], [0, 4, 4]], seed)
    chosen = partners(found, known)
    for row, own in enumerate([[0, 2], [0, 1, 2]]):
        paid = sum(cost(found, known, row, chosen[row, t], t).item() for t in own)
        least = min(
            sum(cost(found, known, row, q, t).item() for q, t in zip(way, own, strict=True))
            for way in itertools.permutations(range(QUERIES), len(own))
        )
        assert paid == pytest.approx(least)
    assert chosen[0, 1] == -1


def slow_loss(found, known, chosen):
    named, weights, away, n = 0.0, 0.0, 0.0, 0
    for row in range(len(known.classes)):
        wanted = [CLASSES] * QUERIES
        for thing, query in enumerate(chosen[row].tolist()):
            if query >= 0:
                wanted[query] = int(known.classes[row, thing])
                box = centred(known.boxes)[row, thing]
                away += (found.boxes[row, query] - box).abs().sum().item()
                n += 1
        for query, label in enumerate(wanted):
            weight = NOTHING_WEIGHT if label == CLASSES else 1.0
            named -= weight * found.classes[row, query].log_softmax(-1)[label].item()
            weights += weight
    return named / weights + BOX_WEIGHT * away / n


def test_the_loss_is_what_a_slow_loop_says():
    found, known = answers(), things([[4, -1, 10], [0, 4, 4]])
    chosen = partners(found, known)
    expected = slow_loss(found, known, chosen)
    assert set_loss(found, known).item() == pytest.approx(expected)
    other = torch.tensor([[4, -1, 0], [2, 3, 1]])
    assert set_loss(found, known, other).item() == pytest.approx(slow_loss(found, known, other))


@given(st.permutations(range(THINGS)), st.permutations(range(QUERIES)), st.integers(0, 99))
def test_it_is_a_loss_of_sets(order, other, seed):
    found, known = answers(seed), things([[4, -1, 10], [0, 4, 4]], seed)
    expected = set_loss(found, known)
    torch.testing.assert_close(set_loss(found, reordered(known, list(order))), expected)
    turned = Answers(*(part[:, list(other)] for part in found))
    torch.testing.assert_close(set_loss(turned, known), expected)


def test_right_answers_cost_nothing():
    known = things([[4, -1, 10]])
    classes = torch.full((1, QUERIES, CLASSES + 1), -99.0, dtype=torch.float64)
    boxes = torch.rand(1, QUERIES, 4, dtype=torch.float64)
    for query in range(QUERIES):
        thing = {3: 0, 1: 2}.get(query)
        classes[0, query, -1 if thing is None else known.classes[0, thing]] = 99.0
        if thing is not None:
            boxes[0, query] = centred(known.boxes)[0, thing]
    found = Answers(classes, boxes, boxes)
    assert partners(found, known).tolist() == [[3, -1, 1]]
    assert set_loss(found, known).item() == pytest.approx(0)
    finds = detections(found)
    assert finds.said.tolist() == [[False, True, False, True, False]]
    assert finds.classes[0, [3, 1]].tolist() == [4, 10]
    torch.testing.assert_close(finds.boxes[0, [3, 1]], known.boxes[0, [0, 2]])
    torch.testing.assert_close(finds.scores[0, [3, 1]], torch.ones(2, dtype=torch.float64))


def test_an_empty_picture_has_a_loss():
    found, known = answers(), things([[-1, -1, -1], [-1, -1, -1]])
    loss = set_loss(found, known)
    nothing = -found.classes.log_softmax(-1)[..., -1].mean()
    torch.testing.assert_close(loss, nothing)


def test_matching_has_no_gradient():
    found, known = answers(), things([[4, -1, 10], [0, 4, 4]])
    found.boxes.requires_grad_()
    assert not partners(found, known).requires_grad
    assert set_loss(found, known).requires_grad


def test_the_truth_is_where_things_are():
    known = things([[4, -1, 10]])
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.9], [0.0, 0.0, 1.0, 1.0], [0.6, 0.0, 1.0, 0.3]]])
    known = known._replace(boxes=boxes)
    right = truth(known, torch.tensor([[2, -1, 0]]), QUERIES)
    # Centres of the cells are at 1/6, 1/2 and 5/6; a box ends just before its second corner.
    assert right[0, 2].view(3, 3).int().tolist() == [[1, 0, 0]] * 3
    assert right[0, 0].view(3, 3).int().tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert right[0, [1, 3, 4]].sum() == 0
    at = pointing(right.double() / right.sum(-1, keepdim=True).clamp_min(1), right)
    assert (at.inside, at.mass) == (1, 1)


def test_scenes_become_things_and_batches():
    drawn = scenes(5, ["noto"], seed=1, layout="free", masks=True)
    known = things_in(drawn, Stem())
    assert known.cells.shape == (5, 100, 96)
    assert known.masks.shape == (5, 3, 40, 40)
    assert torch.equal(known.boxes * 40, torch.from_numpy(drawn.boxes).float())
    recipe = Recipe(steps=3, batch_size=4, seed=7)
    batches = list(draw(known, recipe))
    assert [len(batch.cells) for batch in batches] == [4] * 3
    again = list(draw(known, recipe))
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(batches[0].pictures, batches[1].pictures)


def test_it_learns_two_pictures_by_heart(model):
    known = things([[4, -1, 10], [0, 4, 4]])
    known = known._replace(boxes=known.boxes.clamp(0.1, 0.9))
    recipe = Recipe(steps=150, batch_size=2, learning_rate=1e-2)
    losses = learn(
        model, [known] * 150, lambda m, b: set_loss(m(b.cells), b), recipe, progress=False
    )
    assert losses[-1] < losses[0] / 10


def test_bad_input_is_refused(model):
    known = things([[4, -1, 10], [0, 4, 4]])
    with pytest.raises(ValueError, match="classes must hold ids from 0 to 10, got 11"):
        partners(answers(), known._replace(classes=torch.full((2, 3), 11)))
    with pytest.raises(ValueError, match="things must have classes"):
        partners(answers(batch=3), known)
    with pytest.raises(ValueError, match="got 5 queries for 6 things"):
        partners(answers(), things([[1] * 6] * 2))
    with pytest.raises(ValueError, match="those of a square, got 8"):
        truth(known._replace(cells=cells()[:, :8]), torch.zeros(2, 3, dtype=torch.int64), 5)
    with pytest.raises(ValueError, match="chosen must hold ids from 0 to 1, got 4"):
        truth(known, torch.full((2, 3), 4), 2)
    with pytest.raises(ValueError, match=r"tokens must have shape \(batch, 9, 8\)"):
        model(cells()[:, :8])
    with pytest.raises(ValueError, match="n_queries must be at least 1, got 0"):
        ObjectQueries(WIDTH, CLASSES, n_queries=0)
    assert math.isfinite(set_loss(answers(), known).item())
