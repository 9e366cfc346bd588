import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.clip.ex19_4_own_targets import EXERCISE, loss_of_pairs
from minattn.training import seeded

# Other right ways: log_softmax, NumPy, and targets written out.


def loss_by_log_softmax(pictures, captions, log_scale):
    scores = pictures @ captions.T * torch.exp(log_scale)
    return -(scores.log_softmax(0) + scores.log_softmax(1)).diagonal().mean() / 2


def loss_with_targets_written_out(pictures, captions, log_scale):
    targets = torch.eye(len(pictures))
    scores = log_scale.exp() * captions @ pictures.T
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.mT, targets)) / 2


def loss_numpy(pictures, captions, log_scale):
    scores = pictures.numpy() @ captions.numpy().T * math.exp(log_scale)
    odds = np.exp(scores)
    right = np.diag(scores)
    return (np.log(odds.sum(0)) + np.log(odds.sum(1)) - 2 * right).mean() / 2


OTHER_WAYS = [loss_by_log_softmax, loss_with_targets_written_out, loss_numpy]


# Wrong ways, written as a learner writes them: the broken function, and ways to mend a part of it.


def broken_loss(pictures, captions, log_scale):
    scores = log_scale * pictures @ captions.T
    alike = (pictures @ pictures.T + captions @ captions.T) / 2
    targets = alike.softmax(dim=-1)
    of_pictures = F.cross_entropy(scores, targets)
    of_captions = F.cross_entropy(scores, targets)
    return (of_pictures + of_captions) / 2


def loss_with_the_scale_mended(pictures, captions, log_scale):
    scores = log_scale.exp() * pictures @ captions.T
    targets = ((pictures @ pictures.T + captions @ captions.T) / 2).softmax(dim=-1)
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.T, targets.T)) / 2


def loss_with_fixed_targets(pictures, captions, log_scale):
    """The targets are cut from the gradient, and remain one's own."""
    scores = log_scale.exp() * pictures @ captions.T
    targets = ((pictures @ pictures.T + captions @ captions.T) / 2).softmax(dim=-1).detach()
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.T, targets)) / 2


def loss_with_a_raw_scale(pictures, captions, log_scale):
    scores, right = log_scale * pictures @ captions.T, torch.arange(len(pictures))
    return (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2


def loss_of_pictures_twice(pictures, captions, log_scale):
    scores, right = log_scale.exp() * pictures @ captions.T, torch.arange(len(pictures))
    return (F.cross_entropy(scores, right) + F.cross_entropy(scores, right)) / 2


def loss_with_a_quotient(pictures, captions, log_scale):
    scores, right = pictures @ captions.T / log_scale.exp(), torch.arange(len(pictures))
    return (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2


NEAR_MISSES = [
    ("own_targets", broken_loss),
    ("own_targets", loss_with_the_scale_mended),
    ("own_targets", loss_with_fixed_targets),
    ("scale_is_its_logarithm", loss_with_a_raw_scale),
    ("one_way_twice", loss_of_pictures_twice),
    ("divided_by_the_scale", loss_with_a_quotient),
    ("added", lambda *case: 2 * loss_of_pairs(*case)),
]


# What is said, and what the checker is tried on.


def trained(loss, seed):
    """Train two small encoders as the chapter does: the first and last loss, cosines, and who is found."""
    with seeded(seed):
        seen = torch.randn(61, 11)
        told = (seen @ torch.randn(11, 13) / 2).tanh()
        w_picture, w_caption = (torch.randn(n, 5).div(n**0.5).requires_grad_() for n in (11, 13))
    log_scale = torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.Adam([w_picture, w_caption, log_scale], lr=0.03)
    losses = []
    for _ in range(201):
        pictures = F.normalize(seen @ w_picture, dim=-1)
        captions = F.normalize(told @ w_caption, dim=-1)
        now = loss(pictures, captions, log_scale)
        losses.append(now.item())
        optimizer.zero_grad()
        now.backward()
        optimizer.step()
    found = (pictures @ captions.T).argmax(1) == torch.arange(61)
    return losses, (pictures @ pictures.T).abs().mean().item(), float(found.float().mean())


@pytest.mark.parametrize("seed", [19, 20, 21])
def test_the_broken_loss_brings_everything_onto_a_line(seed):
    losses, alike, found = trained(broken_loss, seed)
    assert losses[-1] < losses[0] - 0.3 and losses[-1] < math.log(61) - 0.3
    assert alike > 0.999 and found < 0.1


@pytest.mark.parametrize("seed", [19, 20, 21])
def test_own_targets_alone_find_nothing(seed):
    losses, _, found = trained(loss_with_the_scale_mended, seed)
    assert losses[-1] < losses[0] - 0.3 and found < 0.2


@pytest.mark.parametrize("seed", [19, 20, 21])
def test_the_right_loss_finds_the_captions(seed):
    losses, alike, found = trained(loss_of_pairs, seed)
    assert losses[-1] < 0.1 and alike < 0.5 and found > 0.95


def test_scales_above_and_below_1_are_tried():
    scales = [float(log_scale) for *_, log_scale in EXERCISE.cases()]
    assert min(scales) < 0 < max(scales)
    for pictures, captions, _ in EXERCISE.cases():
        lengths = torch.cat([pictures, captions]).norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones(2 * len(pictures)))
