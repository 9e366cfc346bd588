"""Other weights with the same answer (chapter 21): how far can attention be changed before anything else does?"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from minattn.checks import check_positive, check_sizes
from minattn.masks import Mask
from minattn.probing.attribution import joined, looks
from minattn.recording import attending
from minattn.seam import Attend

Predict = Callable[[], Tensor]
"""Runs a model and returns probabilities, (batch, queries, classes)."""


def total_variation(
    one: Float[Tensor, "*batch n"], other: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    r"""Measure how far two distributions lie apart: :math:`\frac12 \sum_j |p_j - q_j|`, from 0 to 1.

    It is how much of the weight has to be moved to make one the other.

    >>> total_variation(torch.tensor([0.7, 0.3, 0.0]), torch.tensor([0.5, 0.3, 0.2]))
    tensor(0.2000)
    """
    return (one - other).abs().sum(-1) / 2


@contextmanager
def imposed(part: nn.Module, weights: Float[Tensor, "batch heads queries keys"]) -> Iterator[None]:
    """Let a place attend with given weights while the block runs, whatever it is asked.

    Args:
        part: one place that attends, in one call or step by step.
        weights: of all its queries, in the order of the calls; one head if it has no axis of heads.

    Raises:
        ValueError: if the calls have more queries than there are weights.
    """
    done = 0

    def change(attend: Attend) -> Attend:
        def told(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            nonlocal done
            begin, done = done, done + query.shape[-2]
            if done > weights.shape[-2]:
                raise ValueError(
                    f"there must be weights for every query, got {weights.shape[-2]} for {done}"
                )
            own = weights[:, :, begin:done]
            return (own if query.ndim == 4 else own[:, 0]) @ value

        return told

    with attending(part, change):
        yield


def permuted(
    weights: Float[Tensor, "batch heads queries keys"],
    allowed: Bool[Tensor, "batch #queries keys"],
    generator: torch.Generator,
) -> Float[Tensor, "batch heads queries keys"]:
    """Give the weights of every query and head to other keys, drawn at random among those that are allowed.

    References:
        Jain and Wallace 2019, arXiv:1902.10186, section 4.2.1.
    """
    places = allowed[:, None].expand_as(weights)

    def order(first: Tensor) -> Tensor:
        return first.masked_fill(~places, math.inf).argsort(-1)

    drawn = torch.rand(weights.shape, generator=generator).to(weights)
    at = torch.arange(weights.shape[-1]).to(weights).expand_as(weights)
    found = torch.zeros_like(weights)
    return found.scatter(-1, order(drawn), weights.gather(-1, order(at)))


class Alternative(NamedTuple):
    """Other weights, and what they do.

    Args:
        weights: that were found.
        moved: total variation from the weights of the model, mean over the heads.
        changed: total variation of what is predicted.
    """

    weights: Float[Tensor, "batch heads queries keys"]
    moved: Float[Tensor, "batch queries"]
    changed: Float[Tensor, "batch queries"]


def tried(
    predict: Predict, part: nn.Module, weights: Float[Tensor, "batch heads queries keys"]
) -> Alternative:
    """Impose weights, and measure how far they are from the model's own, and what they change."""
    with torch.no_grad():
        with looks(part) as calls:
            before = predict()
        with imposed(part, weights):
            after = predict()
        own = joined(calls)
    moved = total_variation(weights, own).mean(1)
    return Alternative(weights, moved, total_variation(after, before))


def adversarial(
    predict: Predict,
    part: nn.Module,
    allowed: Bool[Tensor, "batch #queries keys"],
    *,
    epsilon: float = 0.01,
    steps: int = 100,
    learning_rate: float = 0.3,
    strength: float | int = 20.0,
    seed: int = 0,
) -> Alternative:
    r"""Look for weights as far from the model's as can be, with which it says nearly the same.

    .. math:: \max_{\tilde\alpha}\; \operatorname{TV}(\tilde\alpha, \alpha)
        - \lambda \max(0, \operatorname{TV}(\tilde y, y) - \varepsilon)

    Found by gradient from random weights mixed with the model's own. Of all steps, each query keeps the farthest
    weights with which its own prediction moved by no more than epsilon; if there were none, the model's.

    Args:
        predict: runs the model.
        part: one place that attends, whose query i predicts i.
        allowed: which keys may have weight.
        epsilon: by how much a prediction may change.
        steps: of Adam.
        learning_rate: of Adam, for the logarithms of the weights.
        strength: how much a change above epsilon counts.
        seed: decides where it begins.

    References:
        Jain and Wallace 2019, arXiv:1902.10186, section 4.2.2, with another distance of the weights.
    """
    check_positive(epsilon=epsilon, learning_rate=learning_rate, strength=strength)
    check_sizes(steps=steps)
    with torch.no_grad(), looks(part) as calls:
        before = predict()
    own = joined(calls)
    places = allowed[:, None].expand_as(own)
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(own.shape, generator=generator).to(own).masked_fill(~places, 0.0)
    start = (own + start / start.sum(-1, keepdim=True).clamp_min(1e-9)) / 2
    scores = start.clamp_min(1e-6).log().requires_grad_()
    optimizer = torch.optim.Adam([scores], lr=learning_rate)
    best = Alternative(own, torch.zeros_like(before[..., 0]), torch.zeros_like(before[..., 0]))
    for _ in range(steps):
        weights = scores.masked_fill(~places, -torch.inf).softmax(-1)
        with imposed(part, weights):
            changed = total_variation(predict(), before)
        moved = total_variation(weights, own).mean(1)
        best = _farther(best, Alternative(weights, moved, changed), epsilon)
        loss = (strength * (changed - epsilon).clamp_min(0) - moved).sum()
        (scores.grad,) = torch.autograd.grad(loss, [scores])
        optimizer.step()
    return best


def _farther(best: Alternative, new: Alternative, epsilon: float) -> Alternative:
    """Keep for every query what is farther away and changes little."""
    better = (new.changed <= epsilon) & (new.moved > best.moved)
    weights = torch.where(better[:, None, :, None], new.weights, best.weights)
    moved, changed = (
        torch.where(better, a, b) for a, b in ((new.moved, best.moved), (new.changed, best.changed))
    )
    return Alternative(weights.detach(), moved.detach(), changed.detach())
