import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.object_queries.ex16_3_set_loss import EXERCISE, set_loss

# Other right ways: F.cross_entropy, loops, NumPy, log_softmax and gather.


def loss_by_torch(logits, boxes, matched, classes, true_boxes, nothing_weight):
    nothing = logits.shape[1] - 1
    target = torch.full((len(logits),), nothing)
    target[matched] = classes
    weights = torch.ones(nothing + 1)
    weights[nothing] = nothing_weight
    loss = F.cross_entropy(logits, target, weight=weights)
    if len(matched):
        loss = loss + 5 * F.l1_loss(boxes[matched], true_boxes, reduction="none").sum(1).mean()
    return loss


def loss_by_loops(logits, boxes, matched, classes, true_boxes, nothing_weight):
    thing_of = {query: thing for thing, query in enumerate(matched.tolist())}
    losses = weights = off = 0.0
    for query, scores in enumerate(logits):
        log_probs = scores - scores.logsumexp(0)
        if query in thing_of:
            thing = thing_of[query]
            losses -= float(log_probs[classes[thing]])
            weights += 1
            off += float((boxes[query] - true_boxes[thing]).abs().sum())
        else:
            losses -= nothing_weight * float(log_probs[-1])
            weights += nothing_weight
    return losses / weights + (5 * off / len(thing_of) if thing_of else 0.0)


def loss_numpy(logits, boxes, matched, classes, true_boxes, nothing_weight):
    logits, boxes, true = logits.numpy(), boxes.numpy(), true_boxes.numpy()
    matched = matched.numpy()
    target = np.full(len(logits), logits.shape[1] - 1)
    target[matched] = classes.numpy()
    weight = np.full(len(logits), nothing_weight)
    weight[matched] = 1
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    nll = -log_probs[np.arange(len(logits)), target]
    off = np.abs(boxes[matched] - true).sum() / max(1, len(true))
    return np.average(nll, weights=weight) + 5 * off


def loss_in_two_parts(logits, boxes, matched, classes, true_boxes, nothing_weight):
    """Add up matched and unmatched queries apart, without F.cross_entropy."""
    free = torch.ones(len(logits), dtype=torch.bool)
    free[matched] = False
    log_probs = logits.log_softmax(-1)
    of_things = -log_probs[matched].gather(1, classes[:, None]).sum()
    of_nothing = -log_probs[free, -1].sum()
    both = of_things + nothing_weight * of_nothing
    loss = both / (len(matched) + nothing_weight * free.sum())
    distances = torch.cdist(boxes[matched], true_boxes, p=1).diagonal()
    return loss + 5 * distances.sum() / max(len(distances), 1)


OTHER_WAYS = [loss_by_torch, loss_by_loops, loss_numpy, loss_in_two_parts]


# Wrong ways, written as a learner writes them.


def written(nothing=None, weighted=None):
    """Write the class loss as F.cross_entropy does, with some class for nothing."""

    def loss(logits, boxes, matched, classes, true_boxes, nothing_weight):
        last = logits.shape[1] - 1
        target = torch.full((len(logits),), last if nothing is None else nothing)
        target[matched] = classes
        weights = torch.ones(last + 1)
        weights[last if weighted is None else weighted] = nothing_weight
        off = (boxes[matched] - true_boxes).abs().sum() / max(1, len(matched))
        return F.cross_entropy(logits, target, weights) + 5 * off

    return loss


def loss_of_the_matched(logits, boxes, matched, classes, true_boxes, nothing_weight):
    if len(matched) == 0:
        return torch.tensor(0.0)
    loss = F.cross_entropy(logits[matched], classes)
    return loss + 5 * (boxes[matched] - true_boxes).abs().sum(1).mean()


def loss_without_weight(logits, boxes, matched, classes, true_boxes, nothing_weight):
    target = torch.full((len(logits),), logits.shape[1] - 1)
    target[matched] = classes
    off = (boxes[matched] - true_boxes).abs().sum() / max(1, len(matched))
    return F.cross_entropy(logits, target) + 5 * off


def loss_by_the_mean_of_weighted(logits, boxes, matched, classes, true_boxes, nothing_weight):
    target = torch.full((len(logits),), logits.shape[1] - 1)
    target[matched] = classes
    weights = torch.ones(logits.shape[1])
    weights[-1] = nothing_weight
    class_loss = F.cross_entropy(logits, target, weights, reduction="none").mean()
    return class_loss + 5 * (boxes[matched] - true_boxes).abs().sum() / max(1, len(matched))


def loss_of_all_boxes(logits, boxes, matched, classes, true_boxes, nothing_weight):
    class_loss = set_loss(logits, boxes, matched, classes, boxes[matched], nothing_weight)
    wanted = torch.zeros(len(boxes), 4)
    wanted[matched] = true_boxes
    return class_loss + 5 * (boxes - wanted).abs().sum(-1).mean()


def loss_by_l1_loss(logits, boxes, matched, classes, true_boxes, nothing_weight):
    class_loss = set_loss(logits, boxes, matched, classes, boxes[matched], nothing_weight)
    if not len(matched):
        return class_loss
    return class_loss + 5 * F.l1_loss(boxes[matched], true_boxes)


def loss_by_a_mask(logits, boxes, matched, classes, true_boxes, nothing_weight):
    class_loss = set_loss(logits, boxes, matched, classes, boxes[matched], nothing_weight)
    has_thing = torch.zeros(len(boxes), dtype=torch.bool)
    has_thing[matched] = True
    return class_loss + 5 * (boxes[has_thing] - true_boxes).abs().sum() / max(1, len(matched))


def loss_with_a_mean_of_nothing(logits, boxes, matched, classes, true_boxes, nothing_weight):
    class_loss = set_loss(logits, boxes, matched, classes, boxes[matched], nothing_weight)
    return class_loss + 5 * (boxes[matched] - true_boxes).abs().sum(1).mean()


NEAR_MISSES = [
    ("nothing_as_class_0", written(nothing=0)),
    ("nothing_as_class_0", written(nothing=0, weighted=0)),
    ("weight_left_out", written(weighted=0)),
    ("unmatched_left_out", loss_of_the_matched),
    ("weight_left_out", loss_without_weight),
    ("not_divided_by_weights", loss_by_the_mean_of_weighted),
    ("boxes_of_all", loss_of_all_boxes),
    ("other_mean_of_boxes", loss_by_l1_loss),
    ("whose_is_lost", loss_by_a_mask),
    ("nan_without_things", loss_with_a_mean_of_nothing),
]


# What is said, and what the checker is tried on.


def test_things_are_of_class_0_too_and_queries_are_not_in_order():
    classes = {int(c) for _, _, _, classes, *_ in EXERCISE.cases() for c in classes}
    assert 0 in classes
    assert any(
        matched.tolist() != sorted(matched.tolist()) for _, _, matched, *_ in EXERCISE.cases()
    )
    assert any(not len(matched) for _, _, matched, *_ in EXERCISE.cases())


def test_gradients_reach_all_logits_and_the_matched_boxes_only():
    logits, boxes, matched, *rest = EXERCISE.cases()[1]
    logits.requires_grad_(), boxes.requires_grad_()
    set_loss(logits, boxes, matched, *rest).backward()
    assert bool((logits.grad != 0).all())
    assert boxes.grad.abs().sum(1).nonzero()[:, 0].tolist() == sorted(matched.tolist())


def test_the_order_of_things_does_not_matter():
    for logits, boxes, matched, classes, true_boxes, weight in EXERCISE.cases():
        flipped = matched.flip(0), classes.flip(0), true_boxes.flip(0)
        torch.testing.assert_close(
            set_loss(logits, boxes, *flipped, weight),
            set_loss(logits, boxes, matched, classes, true_boxes, weight),
        )


def test_the_numbers_of_the_task():
    """Three queries that are sure of nothing in particular, one thing, a box that is off by 0.1 in all."""
    boxes = torch.tensor([[0.2, 0.2, 0.1, 0.1], [0.5, 0.5, 0.2, 0.2], [0.9, 0.9, 0.1, 0.1]])
    thing = torch.tensor([1]), torch.tensor([0]), torch.tensor([[0.5, 0.54, 0.2, 0.26]])
    logits = torch.tensor([[0.0, 1, 0], [0, 0, 0], [0, 0, 0]])
    given = set_loss(logits, boxes, *thing, 0.5)
    nll = -logits.log_softmax(-1)
    by_hand = (0.5 * nll[0, 2] + nll[1, 0] + 0.5 * nll[2, 2]) / 2 + 5 * 0.1
    torch.testing.assert_close(given, by_hand)


def test_a_loss_of_each_query_is_told_so():
    verdict = judge(EXERCISE, lambda logits, *rest: logits.logsumexp(-1))
    assert verdict.kind == "wrong" and "should be one number" in verdict.message
