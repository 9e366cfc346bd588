"""Attention over a sequence that no single process holds: keys and values go round a ring of processes."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from torch import Tensor

from minattn.masks import Padding
from minattn.scaling.partial import merge, partial_attend
from minattn.scaling.shares import Shares, check_positions, owner, tiles
from minattn.seam import check_lookup, check_scale, widened


def ring_attend(
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
    r"""Attend as ``attend`` does, over a sequence of which each process holds a share.

    Every process calls this with its own queries, keys and values. At each step a process attends to the keys that
    it holds, while it sends them on to the next process and receives those of the one before. What it has after all
    steps is attention to all keys, and it never held more than two shares of them. On the way back keys and
    values go round again, with their gradients, and the gradients make one step more: home.

    Args:
        query: the queries of this process.
        key: its keys.
        value: its values.
        shares: the positions that each process of the group holds; ``minattn.scaling.shares.shares`` makes them.
        causal: whether a query sees only keys that do not come after it. What it forbids altogether is not computed.
        padding: True for those of its own keys that may be attended to; given by all processes or by none.
        group: of processes; all, if not given.
        scale: the factor of the scores, :math:`1 / \sqrt{d_k}` if not given.

    Returns:
        The outputs of its own queries. Narrow types are computed in float32; keys and values travel as they are,
        gradients in float32. The way back must be gone by every process. There is no second derivative.

    Raises:
        ValueError: if the shapes do not fit, there is not one share for each process, or the shares do not hold
            every position once.
        TypeError: if query, key and value are not of one floating-point type, or the padding is not bool.
        RuntimeError: if there are several shares and no group of processes, or a second derivative is asked for.

    References:
        Liu et al. 2023 (Ring Attention), arXiv:2310.01889.

    >>> x = torch.tensor([[1.0], [3.0]])
    >>> ring_attend(torch.zeros(2, 1), x, x, [torch.arange(2)], causal=True)
    tensor([[1.],
            [2.]])
    """
    ring = Ring.found(shares, causal, group)
    scale = ring.check(query, key, value, padding, scale)
    travelling = [key, value] if padding is None else [key, value, padding[..., None]]
    output: Tensor = _RingAttend.apply(ring, scale, query, *travelling)  # type: ignore[no-untyped-call]
    return output


# What is counted


@dataclass(eq=False)
class Sent:
    """What a process has handed over to be sent.

    Args:
        bytes: of the numbers themselves.
        messages: how many tensors.
    """

    bytes: int = 0
    messages: int = 0


_counts: list[Sent] = []


@contextmanager
def sent() -> Iterator[Sent]:
    """Count what this process sends in ``ring_attend``, there and back, while the context is open.

    >>> with sent() as count:
    ...     _ = ring_attend(*torch.zeros(3, 2, 1), [torch.arange(2)])  # alone
    >>> count.bytes
    0
    """
    count = Sent()
    _counts.append(count)
    try:
        yield count
    finally:
        _counts.remove(count)


# The ring


@dataclass(frozen=True, eq=False)
class Ring:
    """Where this process stands in the ring, and what everybody holds."""

    shares: Shares
    causal: bool
    group: Any
    rank: int

    @classmethod
    def found(cls, shares: Shares, causal: bool, group: Any) -> "Ring":
        """Ask torch where this process stands."""
        check_positions(shares)
        if not dist.is_initialized():
            if len(shares) == 1:
                return cls(shares, causal, group, rank=0)
            raise RuntimeError(
                "several shares need several processes (see minattn.scaling.processes.run_on), "
                f"got {len(shares)} shares and no process group"
            )
        world = dist.get_world_size(group)
        if world != len(shares):
            raise ValueError(
                f"there must be one share for each process, got {len(shares)} for {world}"
            )
        return cls(shares, causal, group, rank=dist.get_rank(group))

    def check(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Any, scale: float | None
    ) -> float:
        """Check what this process was given, and return the scale."""
        batch = check_lookup(query, key, value)
        own = len(self.shares[self.rank])
        if not query.shape[-2] == key.shape[-2] == own:
            raise ValueError(
                f"process {self.rank} holds {own} positions and needs so many queries and keys, "
                f"got {tuple(query.shape)} and {tuple(key.shape)}"
            )
        if padding is not None:
            Padding(padding).to_bool((*batch, own, own))
        return check_scale(scale, query.shape[-1])

    @property
    def world(self) -> int:
        """How many processes there are."""
        return len(self.shares)

    def owner(self, step: int) -> int:
        """Say whose keys are here at a step."""
        return owner(self.rank, step, self.world)

    def process(self, rank: int) -> int:
        """Turn a rank of the group, counted round, into one of all processes."""
        rank %= self.world
        return rank if self.group is None else dist.get_global_rank(self.group, rank)

    def pass_on(self, held: Sequence[Tensor], step: int) -> tuple[list[Tensor], list[Any]]:
        """Begin to send to the next process what is held at a step; the one before sends what is held at the next."""
        length = len(self.shares[self.owner(step + 1)])
        arriving = [x.new_empty(*x.shape[:-2], length, x.shape[-1]) for x in held]
        after, before = self.process(self.rank + 1), self.process(self.rank - 1)
        sending = [x for x in held if x.numel()]
        todo = [dist.P2POp(dist.isend, x, after, self.group) for x in sending]
        todo += [dist.P2POp(dist.irecv, x, before, self.group) for x in arriving if x.numel()]
        for count in _counts:
            count.bytes += sum(x.numel() * x.element_size() for x in sending)
            count.messages += len(sending)
        return arriving, dist.batch_isend_irecv(todo) if todo else []

    def tiles(self, step: int, padding: Sequence[Tensor], shape: Sequence[int]) -> Iterator[Any]:
        """Give what is computed at a step: rows, columns, and what is allowed there."""
        here = self.shares[self.rank], self.shares[self.owner(step)]
        for rows, columns, allowed in tiles(*here, self.causal):
            for tokens in padding:  # one, or none
                part = (*shape[:-2], rows.stop - rows.start, columns.stop - columns.start)
                seen = Padding(tokens[..., columns, 0]).to_bool(part)
                allowed = seen if allowed is None else allowed & seen
            yield rows, columns, allowed


class _RingAttend(torch.autograd.Function):
    """Round the ring, there and back."""

    @staticmethod
    def forward(ctx: Any, ring: Ring, scale: float, query: Tensor, *travelling: Tensor) -> Tensor:
        """Merge what is found at each step."""
        batch = check_lookup(query, *travelling[:2])
        wide = widened(query, scale)
        output = wide.new_zeros(*batch, query.shape[-2], travelling[1].shape[-1])
        log_total = wide.new_full(output.shape[:-1], -math.inf)
        held = [x.contiguous() for x in travelling]
        for step in range(ring.world):
            key, value, *padding = held
            last = step == ring.world - 1
            held, requests = ([], []) if last else ring.pass_on(held, step)
            for rows, columns, allowed in ring.tiles(step, padding, output.shape):
                k, v = key[..., columns, :], value[..., columns, :]
                found = partial_attend(query[..., rows, :], k, v, allowed, scale)
                before = output[..., rows, :], log_total[..., rows]
                output[..., rows, :], log_total[..., rows] = merge(before, found)
            for request in requests:
                request.wait()
        ctx.ring, ctx.scale = ring, scale
        ctx.save_for_backward(query, *travelling, output, log_total)
        return output.to(travelling[1].dtype)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Make the weights of each step again, and let the gradients travel with their keys and values."""
        if torch.is_grad_enabled():  # as create_graph=True does
            raise RuntimeError(
                "ring_attend has no second derivative: use gathered_attend, or leave create_graph out"
            )
        ring, scale = ctx.ring, ctx.scale
        query, *travelling, output, log_total = ctx.saved_tensors
        grad_output = grad_output.to(output.dtype)
        # Of the gradients of a query's weights, as in ``blockwise_attend``.
        mean = (grad_output * output).sum(-1, keepdim=True)
        log_total = log_total.masked_fill(log_total == -math.inf, 0)[..., None]
        grad_query, grad_key, grad_value = (
            torch.zeros_like(widened(x, scale)) for x in (query, *travelling[:2])
        )
        held = [x.contiguous() for x in travelling]
        for step in range(ring.world):
            key, value, *padding = held
            last = step == ring.world - 1
            held, requests = ([], []) if last else ring.pass_on(held, step)
            for rows, columns, allowed in ring.tiles(step, padding, output.shape):
                q, k, v = query[..., rows, :], key[..., columns, :], value[..., columns, :]
                wide = [widened(x, scale) for x in (q, k, v)]
                of_rows = [x[..., rows, :] for x in (grad_output, mean, log_total)]
                found = _gradients([*wide, *of_rows], allowed, scale)
                places = (grad_query, rows), (grad_key, columns), (grad_value, columns)
                for (total, place), x in zip(places, found, strict=True):
                    total[..., place, :] += x.sum_to_size(total[..., place, :].shape)
            if ring.world > 1:
                (grad_key, grad_value), more = ring.pass_on([grad_key, grad_value], step)
                for request in (*requests, *more):
                    request.wait()
        gradients = (grad_query, grad_key, grad_value)
        return None, None, *gradients, *(None for _ in travelling[2:])


def _gradients(
    tensors: Sequence[Tensor], allowed: Tensor | None, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of some queries, keys and values, as ``numpy_attend_backward`` does."""
    query, key, value, grad_output, mean, log_total = tensors
    scores = query @ key.mT * scale
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -math.inf)
    weights = (scores - log_total).exp()
    grad_scores = weights * (grad_output @ value.mT - mean) * scale
    return grad_scores @ key, grad_scores.mT @ query, weights.mT @ grad_output
