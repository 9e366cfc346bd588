"""Score where attention looks against a truth that is known: does it point at the right keys?"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minattn.checks import check_floats, check_sizes, check_tensors


class Pointing(NamedTuple):
    """How well weights point at the right keys; a number for each head if the weights have heads.

    Args:
        inside: share of queries whose largest weight is on a right key.
        mass: weight on right keys, mean over the queries.
        chance: what both would be if weights knew nothing of the truth: the share of keys that are right.
    """

    inside: Float[Tensor, "*heads"]
    mass: Float[Tensor, "*heads"]
    chance: float


def pointing(
    weights: Float[Tensor, "batch *heads queries keys"],
    truth: Bool[Tensor, "batch queries keys"],
    counted: Bool[Tensor, "batch queries"] | None = None,
    allowed: Bool[Tensor, "batch keys"] | Bool[Tensor, "batch queries keys"] | None = None,
) -> Pointing:
    """Score weights against a truth: for each query, which keys are right.

    Args:
        weights: (batch, queries, keys), or (batch, heads, queries, keys), as ``recording`` keeps them.
        truth: True where a key is right for a query; there may be several, in a picture most of all.
        counted: which queries count; those with a right key if not given. A query that counts needs one.
        allowed: where there is something to look at, so that padding makes chance no smaller; all keys if not
            given.

    Raises:
        ValueError: if shapes do not fit, no query counts, or one that counts has no right key that is allowed, or
            has NaN among its weights.
        TypeError: if the weights are not floating-point numbers, or a mask is not bool.

    >>> weights = torch.tensor([[[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]]])
    >>> truth = torch.tensor([[[True, False, False], [False, True, True]]])
    >>> found = pointing(weights, truth)
    >>> found.inside.item(), round(found.mass.item(), 2), round(found.chance, 2)
    (0.5, 0.65, 0.5)
    """
    check_floats(weights=weights)
    masks = {"truth": truth, "counted": counted, "allowed": allowed}
    for name, mask in masks.items():
        if mask is None:
            continue
        check_tensors(**{name: mask})
        if mask.dtype != torch.bool:
            raise TypeError(f"{name} must be bool, got {mask.dtype}")
    if weights.ndim not in (3, 4) or truth.shape != (weights.shape[0], *weights.shape[-2:]):
        raise ValueError(
            "weights need shape (batch, queries, keys) or (batch, heads, queries, keys) and truth "
            f"(batch, queries, keys), got {tuple(weights.shape)} and {tuple(truth.shape)}"
        )
    counted = truth.any(-1) if counted is None else counted
    if counted.shape != truth.shape[:2]:
        raise ValueError(
            f"counted must have shape (batch, queries) = {tuple(truth.shape[:2])}, got {tuple(counted.shape)}"
        )
    if not bool(counted.any()):
        raise ValueError("a score needs at least one query that counts, got none")
    places = torch.ones_like(truth) if allowed is None else _spread(allowed, truth)
    right = truth & places
    blind = counted & ~right.any(-1)
    if bool(blind.any()):
        row, query = blind.nonzero()[0].tolist()
        raise ValueError(
            f"a query that counts needs a right key that is allowed, got none for query {query} of row {row}"
        )
    each = (
        weights.movedim(1, 0) if weights.ndim == 4 else weights[None]
    )  # (heads, batch, queries, keys)
    best = each.argmax(-1, keepdim=True)
    if bool(each.isnan().any(-1)[:, counted].any()):
        raise ValueError("weights of queries that count must be numbers, got nan")
    inside = right.expand_as(each).gather(-1, best)[..., 0][:, counted].double().mean(-1)
    mass = (each * right).sum(-1)[:, counted].double().mean(-1)
    chance = (right.sum(-1).double() / places.sum(-1).clamp(min=1))[counted].double().mean().item()
    one = weights.ndim == 3
    return Pointing(inside[0] if one else inside, mass[0] if one else mass, chance)


def one_right_key(
    gold: Int[Tensor, "batch target"], n_keys: int
) -> Bool[Tensor, "batch target keys"]:
    """Make a truth of one right key for each query; -1 where there is none.

    Raises:
        ValueError: if a position is -2 or less, or as large as ``n_keys``; or ``n_keys`` is below 1.
        TypeError: if the positions are not whole numbers of dtype int64.

    >>> one_right_key(torch.tensor([[2, -1]]), 3).int()
    tensor([[[0, 0, 1],
             [0, 0, 0]]], dtype=torch.int32)
    """
    check_sizes(n_keys=n_keys)
    check_tensors(gold=gold)
    if gold.dtype != torch.int64:
        raise TypeError(f"gold must hold positions of dtype torch.int64, got {gold.dtype}")
    outside = (gold < -1) | (gold >= n_keys)
    if bool(outside.any()):
        wrong = gold[outside][0].item()
        raise ValueError(f"gold must hold positions from -1 to {n_keys - 1}, got {wrong}")
    return gold[..., None] == torch.arange(n_keys, device=gold.device)


def _spread(allowed: Tensor, truth: Tensor) -> Tensor:
    """Give keys that are allowed for a whole row an axis of queries."""
    spread = allowed[:, None] if allowed.ndim == 2 else allowed
    if spread.ndim != 3 or spread.shape[0] != truth.shape[0] or spread.shape[2] != truth.shape[2]:
        raise ValueError(
            "allowed must have shape (batch, keys) or (batch, queries, keys) as truth has, "
            f"got {tuple(allowed.shape)} and {tuple(truth.shape)}"
        )
    return spread.expand_as(truth)
