"""The simple rival of the ring: every process collects the keys and values of all others, then attends once."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from torch import Tensor

from minattn.dot_product import attend
from minattn.masks import Padding
from minattn.scaling.ring import Ring
from minattn.scaling.shares import Shares
from minattn.seam import check_lookup, widened


def gathered_attend(
    query: Float[Tensor, "*#batch share d_k"],
    key: Float[Tensor, "*#batch share d_k"],
    value: Float[Tensor, "*#batch share d_v"],
    shares: Shares,
    *,
    causal: bool = False,
    padding: Bool[Tensor, "... share"] | None = None,
    group: Any = None,
    scale: float | None = None,
) -> Float[Tensor, "*#batch share d_v"]:
    """Do what ``ring_attend`` does in the simple way: collect all keys and values first, then attend once.

    Each process then holds the keys and values of the whole sequence, and a table of its own queries by all keys.

    Args:
        query: as for ``ring_attend``, and so is all the rest.
        key: the keys of this process.
        value: its values.
        shares: the positions that each process of the group holds.
        causal: whether a query sees only keys that do not come after it.
        padding: True for those of its own keys that may be attended to.
        group: of processes.
        scale: the factor of the scores.

    Returns:
        The outputs of its own queries. Keys and values are collected in float32 at least.

    Raises:
        ValueError: as ``ring_attend``; so are the other errors.
        TypeError: likewise.
        RuntimeError: likewise, but that there is a second derivative.
    """
    ring = Ring.found(shares, causal, group)
    scale = ring.check(query, key, value, padding, scale)
    wide = [widened(x, scale) for x in (query, key, value)]
    keys, values = (_Gather.apply(ring, x) for x in wide[1:])  # type: ignore[no-untyped-call]
    mask: Tensor | None = None
    if causal:
        mask = torch.cat(list(shares)) <= shares[ring.rank][:, None]
    if padding is not None:
        tokens = _collected(ring, padding.to(torch.uint8)[..., None])[..., 0].bool()
        scores = (*check_lookup(query, keys, values), query.shape[-2], keys.shape[-2])
        seen = Padding(tokens).to_bool(scores)
        mask = seen if mask is None else mask & seen
    return attend(wide[0], keys, values, mask, scale=scale).to(value.dtype)


def _collected(ring: Ring, x: Tensor) -> Tensor:
    """Collect the shares of all processes, in the order of the ranks."""
    parts = []
    for rank, share in enumerate(ring.shares):
        own = rank == ring.rank
        part = x.contiguous() if own else x.new_empty(*x.shape[:-2], len(share), x.shape[-1])
        if part.numel() and ring.world > 1:
            dist.broadcast(part, ring.process(rank), ring.group)
        parts.append(part)
    return torch.cat(parts, -2)


def _summed(ring: Ring, x: Tensor) -> Tensor:
    """Sum what all processes have for each share, and bring each sum home."""
    lengths = [len(share) for share in ring.shares]
    parts = [part.clone() for part in torch.split(x, lengths, -2)]
    for rank, part in enumerate(parts):
        if part.numel() and ring.world > 1:
            dist.reduce(part, ring.process(rank), group=ring.group)
    return parts[ring.rank]


class _Gather(torch.autograd.Function):
    """Collect; the way back is to sum."""

    @staticmethod
    def forward(ctx: Any, ring: Ring, x: Tensor) -> Tensor:
        ctx.ring = ring
        return _collected(ring, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, _Sum.apply(ctx.ring, grad)  # type: ignore[no-untyped-call]


class _Sum(torch.autograd.Function):
    """Sum; the way back is to collect."""

    @staticmethod
    def forward(ctx: Any, ring: Ring, x: Tensor) -> Tensor:
        ctx.ring = ring
        return _summed(ring, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, _Gather.apply(ctx.ring, grad)  # type: ignore[no-untyped-call]
