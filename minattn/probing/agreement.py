"""How far two explanations of the same decisions agree (chapter 21)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Agreement(NamedTuple):
    """How far two explanations agree, mean over the decisions.

    Args:
        rank: Spearman's correlation of the order in which they put the keys.
        top: share of decisions for which both put the same key first.
    """

    rank: float
    top: float


def agreement(
    one: Float[Tensor, "batch queries keys"],
    other: Float[Tensor, "batch queries keys"],
    counted: Bool[Tensor, "batch queries"],
    allowed: Bool[Tensor, "batch #queries keys"],
) -> Agreement:
    """Compare two explanations of the same decisions.

    Args:
        one: an explanation.
        other: another one.
        counted: which decisions count.
        allowed: which keys count; a decision with fewer than two is left out.

    Returns:
        Keys that are equal share their places. Where one of the two puts all keys equal, the correlation is 0.

    Raises:
        ValueError: if no decision counts.

    >>> a, b = torch.tensor([[[3.0, 2.0, 1.0]]]), torch.tensor([[[9.0, 1.0, 2.0]]])
    >>> agreement(a, b, torch.ones(1, 1).bool(), torch.ones(1, 1, 3).bool())
    Agreement(rank=0.5, top=1.0)
    """
    allowed = allowed.expand_as(one)
    counted = counted & (allowed.sum(-1) > 1)
    if not bool(counted.any()):
        raise ValueError("an agreement needs at least one decision that counts, got none")
    there = allowed[counted]
    sides = [x[counted].double() for x in (one, other)]
    ranks = [_ranks(x, there) for x in sides]
    tops = [x.masked_fill(~there, -torch.inf).argmax(-1) for x in sides]
    a, b = (
        (r - (r * there).sum(-1, keepdim=True) / there.sum(-1, keepdim=True)) * there for r in ranks
    )
    spread = (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    rank = torch.where(spread > 0, (a * b).sum(-1) / spread.clamp_min(1e-12), 0.0)
    return Agreement(rank.mean().item(), (tops[0] == tops[1]).double().mean().item())


def _ranks(x: Tensor, there: Tensor) -> Tensor:
    """Count for every key how many are below it, and half of those that are equal."""
    below = (x[:, None] < x[:, :, None]) & there[:, None]
    equal = (x[:, None] == x[:, :, None]) & there[:, None]
    return below.sum(-1).double() + equal.sum(-1).double() / 2
