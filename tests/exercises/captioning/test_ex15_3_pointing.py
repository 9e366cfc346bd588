from itertools import combinations

import numpy as np
import torch

from minattn.exercises.captioning.ex15_3_pointing import EXERCISE, share_pointing
from minattn.pointing import pointing

# Other right ways: loops, gathered boxes, NumPy, the package's own score.


def share_by_loops(weights, boxes, thing, n_columns, stride):
    right = []
    for picture, row in enumerate(thing.tolist()):
        for word, number in enumerate(row):
            if number == -1:
                continue
            i, j = divmod(int(weights[picture, word].argmax()), n_columns)
            x, y = (j + 0.5) * stride, (i + 0.5) * stride
            x0, y0, x1, y1 = boxes[picture, number].tolist()
            right.append(x0 <= x < x1 and y0 <= y < y1)
    return sum(right) / len(right)


def share_gathered(weights, boxes, thing, n_columns, stride):
    best = weights.argmax(-1)
    centre = torch.stack([best % n_columns, best // n_columns], -1) * stride + stride / 2
    own = boxes[torch.arange(len(boxes))[:, None], thing.clamp(min=0)]
    inside = ((own[..., :2] <= centre) & (centre < own[..., 2:])).all(-1)
    return inside[thing >= 0].float().mean()


def share_numpy(weights, boxes, thing, n_columns, stride):
    picture, word = np.nonzero(thing.numpy() != -1)
    best = weights.numpy().argmax(-1)[picture, word]
    own = boxes.numpy()[picture, thing.numpy()[picture, word]]
    x, y = stride * (best % n_columns + 0.5), stride * (best // n_columns + 0.5)
    return np.mean((x >= own[:, 0]) & (y >= own[:, 1]) & (x < own[:, 2]) & (y < own[:, 3]))


def share_of_the_package(weights, boxes, thing, n_columns, stride):
    cells = torch.arange(weights.shape[-1])
    x, y = (cells % n_columns + 0.5) * stride, (cells // n_columns + 0.5) * stride
    x0, y0, x1, y1 = (corner[..., None] for corner in boxes.unbind(-1))
    in_box = (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
    truth = in_box[torch.arange(len(boxes))[:, None], thing] & (thing >= 0)[..., None]
    return pointing(weights, truth, counted=thing >= 0).inside.item()


OTHER_WAYS = [share_by_loops, share_gathered, share_numpy, share_of_the_package]


# Wrong ways, written as a learner writes them.


def share_gathered_with_minus_one(weights, boxes, thing, n_columns, stride):
    best = weights.argmax(-1)
    centre = torch.stack([best % n_columns, best // n_columns], -1) * stride + stride / 2
    own = boxes[torch.arange(len(boxes))[:, None], thing]
    return ((own[..., :2] <= centre) & (centre < own[..., 2:])).all(-1).float().mean().item()


def share_with_divmod_the_wrong_way_round(weights, boxes, thing, n_columns, stride):
    right = []
    for picture, word in (thing >= 0).nonzero().tolist():
        x, y = divmod(int(weights[picture, word].argmax()), n_columns)
        x0, y0, x1, y1 = boxes[picture, thing[picture, word]].tolist()
        x, y = (x + 0.5) * stride, (y + 0.5) * stride
        right.append(x0 <= x < x1 and y0 <= y < y1)
    return sum(right) / len(right)


def share_by_the_corner(weights, boxes, thing, n_columns, stride):
    right = []
    for picture, word in (thing >= 0).nonzero().tolist():
        i, j = divmod(int(weights[picture, word].argmax()), n_columns)
        x0, y0, x1, y1 = boxes[picture, thing[picture, word]].tolist()
        right.append(x0 <= j * stride < x1 and y0 <= i * stride < y1)
    return sum(right) / len(right)


def share_in_any_box(weights, boxes, thing, n_columns, stride):
    right = []
    for picture, word in (thing >= 0).nonzero().tolist():
        i, j = divmod(int(weights[picture, word].argmax()), n_columns)
        x, y = (j + 0.5) * stride, (i + 0.5) * stride
        right.append(any(a <= x < c and b <= y < d for a, b, c, d in boxes[picture].tolist()))
    return sum(right) / len(right)


NEAR_MISSES = [
    ("words_of_nothing_counted", share_gathered_with_minus_one),
    ("x_and_y_exchanged", share_with_divmod_the_wrong_way_round),
    ("not_the_centre", share_by_the_corner),
    ("any_box", share_in_any_box),
]


# What is said, and what the checker is tried on.


def test_no_two_mistakes_give_the_same_shares():
    shares = {"right": {tuple(round(share_pointing(*case), 3) for case in EXERCISE.cases())}}
    for mistake in EXERCISE.mistakes:
        shares[mistake.name] = {
            tuple(round(answer(*case), 3) for case in EXERCISE.cases())
            for answer in mistake.answers
        }
    for a, b in combinations(shares.values(), 2):
        assert not a & b, shares


def test_there_are_ties_and_equal_weights_and_none_is_saturated():
    first, *others = EXERCISE.cases()
    largest = [weights.amax(-1, keepdim=True) for weights, *_ in others]
    alike = [(case[0] == x).sum(-1) for case, x in zip(others, largest, strict=True)]
    assert any((n == 2).any() for n in alike)
    assert any((n == case[0].shape[-1]).any() for n, case in zip(alike, others, strict=True))
    assert all(float(x.max()) < 0.6 for x in largest) and not (first[2] < 0).any()


def test_each_box_holds_a_centre():
    for weights, boxes, _thing, n_columns, stride in EXERCISE.cases()[1:]:
        width, height = n_columns * stride, weights.shape[-1] // n_columns * stride
        assert bool((boxes >= 0).all())
        assert bool((boxes[..., 2] <= width).all() and (boxes[..., 3] <= height).all())
        assert bool((boxes[..., 2:] - boxes[..., :2] >= stride).all())
