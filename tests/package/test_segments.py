"""Masks and maps: against slow loops, and laws."""

import math

import pytest
import torch
from torch.nn import functional as F

from minattn.pictures.boxes import corners
from minattn.pictures.patches import Stem
from minattn.pictures.queries import Answers, ObjectQueries, Things, partners, set_loss, things_in
from minattn.pictures.segments import (
    MASK_WEIGHT,
    Masks,
    PixelEmbedding,
    SegmentingQueries,
    Segments,
    labels_of,
    map_loss,
    map_of_things,
    mask_iou,
    mask_loss,
    mean_iou,
)
from minattn.tasks.scenes import scenes
from minattn.training import seeded

BATCH, SIDE, QUERIES, CLASSES, D_MODEL = 2, 6, 5, 7, 11


def pictures(batch=BATCH, side=SIDE, seed=1):
    with seeded(seed):
        return torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)


def known(classes, seed=2):
    """Things whose masks share no pixel."""
    classes = torch.tensor(classes)
    with seeded(seed):
        boxes = corners(torch.rand(*classes.shape, 4))
        owner = torch.randint(0, classes.shape[1] + 1, (len(classes), SIDE, SIDE))
        cells = torch.randn(len(classes), 4, 3)
    masks = torch.stack([owner == place for place in range(classes.shape[1])], 1)
    return Things(cells, classes, boxes, pictures(len(classes)), masks)


def segments(seed=3, batch=BATCH):
    with seeded(seed):
        answers = Answers(
            torch.randn(batch, QUERIES, CLASSES + 1),
            torch.rand(batch, QUERIES, 4),
            torch.randn(batch, QUERIES, D_MODEL),
        )
        return Segments(answers, torch.randn(batch, QUERIES, SIDE, SIDE))


def test_the_vector_of_a_pixel_stands_at_its_place():
    with seeded(4):
        embedding = PixelEmbedding(12, d_pixel=5, d_hidden=3)
    for table in embedding.places.parameters():
        torch.nn.init.zeros_(table)
    before = pictures(side=12)
    after = before.clone()
    after[0, 11, 0] = 255 - after[0, 11, 0]  # the last row, the first column
    moved = (embedding(before) != embedding(after)).any(-1).view(BATCH, 12, 12)
    assert moved[0, 11, 0]
    # The first convolution carries it to the block beside it, the second to one more.
    assert not moved[0, :6].any() and not moved[0, :, 6:].any() and not moved[1].any()


def test_a_mask_is_a_dot_product_with_every_pixel():
    with seeded(5):
        masks = Masks(D_MODEL, SIDE, d_pixel=5)
        states = torch.randn(BATCH, QUERIES, D_MODEL)
    found, pixels, asked = masks(states, pictures()), masks.pixels(pictures()), masks.ask(states)
    assert found.shape == (BATCH, QUERIES, SIDE, SIDE)
    for row, query, y, x in ((0, 0, 0, 0), (1, 4, 2, 5), (0, 3, 5, 1)):
        score = asked[row, query, :5] @ pixels[row, y * SIDE + x] + asked[row, query, 5]
        torch.testing.assert_close(found[row, query, y, x], score)


def test_queries_keep_their_answers():
    with seeded(6):
        queries = ObjectQueries(3, CLASSES, side=2, n_queries=QUERIES, d_model=D_MODEL)
        model = SegmentingQueries(queries, SIDE)
    source = known([[4, -1, 0]] * 2).cells
    answers, masks = model(source, pictures())
    for one, two in zip(answers, queries(source), strict=True):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(masks, model.masks(answers.states, pictures()))


def test_the_loss_is_what_a_slow_loop_says():
    found, things = segments(), known([[4, -1, 6], [0, 2, 2]])
    chosen = partners(found.answers, things)
    each, whole = [], []
    for row, place in things.there.nonzero().tolist():
        logits = found.masks[row, chosen[row, place]].double()
        right, likely = things.masks[row, place].double(), logits.sigmoid()
        each.append(-(right * likely.log() + (1 - right) * (1 - likely).log()).mean())
        whole.append(1 - (2 * (likely * right).sum() + 1) / (likely.sum() + right.sum() + 1))
    expected = set_loss(found.answers, things).double()
    expected = expected + MASK_WEIGHT * torch.stack(each).mean() + torch.stack(whole).mean()
    assert mask_loss(found, things).item() == pytest.approx(expected.item(), rel=1e-5)


def test_masks_of_other_queries_do_not_count():
    found, things = segments(), known([[4, -1, 6], [0, 2, 2]])
    chosen = partners(found.answers, things)
    other = found.masks.clone()
    for row in range(BATCH):
        for query in set(range(QUERIES)) - set(chosen[row].tolist()):
            other[row, query] = 99.0
    torch.testing.assert_close(
        mask_loss(found, things), mask_loss(found._replace(masks=other), things)
    )


def test_labels_say_what_each_pixel_shows():
    things = known([[4, -1, 6], [0, 2, 2]])
    labels = labels_of(things, CLASSES)
    for row in range(BATCH):
        for y in range(SIDE):
            for x in range(SIDE):
                own = [
                    int(things.classes[row, place])
                    for place in range(3)
                    if things.masks[row, place, y, x] and things.classes[row, place] >= 0
                ]
                assert labels[row, y, x] == (own[0] if own else CLASSES)


def test_the_map_of_right_masks_is_right():
    things = known([[4, -1, 6], [0, 2, 2]])
    classes = torch.full((BATCH, QUERIES, CLASSES + 1), -99.0)
    masks = torch.full((BATCH, QUERIES, SIDE, SIDE), -99.0)
    classes[..., -1] = 99.0
    for row, place in things.there.nonzero().tolist():
        query = (2 * place + 1) % QUERIES
        classes[row, query] = -99.0
        classes[row, query, things.classes[row, place]] = 99.0
        masks[row, query] = torch.where(things.masks[row, place], 99.0, -99.0)
    answers = Answers(classes, torch.rand(BATCH, QUERIES, 4), torch.zeros(BATCH, QUERIES, 1))
    found = map_of_things(Segments(answers, masks))
    assert torch.equal(found, labels_of(things, CLASSES))
    unsure = Segments(answers._replace(classes=torch.zeros_like(classes)), masks)
    assert bool((map_of_things(unsure) == CLASSES).all())


def test_a_map_is_learned_as_classes_are():
    found = segments()
    with seeded(7):
        labels = torch.randint(0, QUERIES, (BATCH, SIDE, SIDE))
    expected = F.cross_entropy(found.masks.permute(0, 2, 3, 1).flatten(0, 2), labels.flatten())
    torch.testing.assert_close(map_loss(found, labels), expected)
    with pytest.raises(ValueError, match="labels must hold ids from 0 to 4, got 5"):
        map_loss(found, labels + 1)


def test_iou_of_masks():
    one = torch.zeros(3, 4, 4, dtype=torch.bool)
    two = one.clone()
    one[0, :2], two[0, 1:] = True, True  # 4 of 16 in common
    one[1, 0, 0] = True
    assert mask_iou(one, two).tolist() == [0.25, 0.0, 1.0]


def test_three_means_of_one_map():
    labels = torch.tensor([[[0, 0, 0, 0, 1, 2]], [[0, 0, 0, 0, 2, 2]]])
    found = torch.tensor([[[0, 0, 0, 0, 0, 2]], [[0, 0, 0, 0, 1, 2]]])
    scores = mean_iou(found, labels, 2)
    # Label 0: 4/5 in the first, 4/4 in the second; label 1: 0 in the first, nowhere in the second.
    assert scores.pictures == pytest.approx((4 / 5 + 0 + 1) / 3)
    assert scores.classes == pytest.approx((8 / 9 + 0 / 2) / 2)
    assert scores.pixels == pytest.approx((8 + 0) / (9 + 2))
    assert tuple(mean_iou(labels, labels, 3)) == (1, 1, 1)


def test_a_label_that_is_nowhere_is_left_out_of_the_mean_over_classes():
    labels = torch.zeros(1, 2, 2, dtype=torch.int64)
    found = torch.tensor([[[0, 0], [0, 4]]])
    assert mean_iou(found, labels, 5).classes == pytest.approx(3 / 4)
    assert mean_iou(found, labels, 5).pixels == pytest.approx(3 / 5)
    with pytest.raises(ValueError, match="at least one pixel"):
        mean_iou(found, labels + 5, 5)


def test_it_learns_two_scenes_by_heart():
    drawn = scenes(2, ["noto"], seed=2, layout="free", overlap=4, masks=True)
    with seeded(0):
        things = things_in(drawn, Stem())
        model = SegmentingQueries(ObjectQueries(96, 32), 40)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = mask_loss(model(things.cells, things.pictures), things)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    found = model(things.cells, things.pictures)
    chosen = partners(found.answers, things)
    rows, places = things.there.nonzero(as_tuple=True)
    fits = mask_iou(found.masks[rows, chosen[rows, places]] > 0, things.masks[rows, places])
    assert fits.mean() > 0.6


def test_bad_input_is_refused():
    things = known([[4, -1, 6], [0, 2, 2]])
    with pytest.raises(ValueError, match="with masks, got none"):
        mask_loss(segments(), things._replace(masks=None))
    with pytest.raises(ValueError, match="with masks, got none"):
        labels_of(things._replace(masks=None), CLASSES)
    with pytest.raises(ValueError, match="side must be even, got 7"):
        PixelEmbedding(7)
    with pytest.raises(ValueError, match="n_labels must be at least 1, got 0"):
        mean_iou(labels_of(things, CLASSES), labels_of(things, CLASSES), 0)
    assert math.isfinite(mask_loss(segments(), things).item())
