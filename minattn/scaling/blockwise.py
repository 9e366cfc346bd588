"""Attention block by block: the table of all weights is never made, neither there nor back."""

import functools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minattn.checks import check_sizes
from minattn.masks import Both, Causal, Mask, MaskDescription, Window, to_bool
from minattn.seam import check_lookup, check_scale, widened


def blockwise_attend(
    query: Float[Tensor, "*#batch queries d_k"],
    key: Float[Tensor, "*#batch keys d_k"],
    value: Float[Tensor, "*#batch keys d_v"],
    mask: Mask = None,
    *,
    block: int = 256,
    scale: float | None = None,
) -> Float[Tensor, "*#batch queries d_v"]:
    r"""Attend as ``attend`` does, with memory that grows with the length and not with its square.

    A block is the scores of some queries with some keys. Of the blocks of keys that it has seen, a query needs
    only the largest score :math:`m`, the sum :math:`l` of the powers and the sum :math:`o` of the values times
    their powers. With the scores :math:`s_j` and the values :math:`v_j` of one more block they become

    .. math::
        m' = \max(m, \max_j s_j), \qquad
        l' = e^{m - m'} l + \sum_j e^{s_j - m'}, \qquad
        o' = e^{m - m'} o + \sum_j e^{s_j - m'} v_j,

    and after the last block the output is :math:`o / l`. Beside queries, keys, values and outputs, one number
    for each query is kept for the way back, :math:`m + \ln l`: a block of scores, made again, less this number
    gives the block of weights.

    Args:
        query: what is asked.
        key: what is offered.
        value: what is delivered.
        mask: as for ``attend``. A block that ``Causal()`` or a ``Window`` forbids altogether costs nothing.
            ``Padding`` is one row for all queries; a description of a kind of your own is made as a whole.
        block: how many queries, and how many keys, at a time. This changes the cost, not the result.
        scale: the factor of the scores, :math:`1 / \sqrt{d_k}` if not given.

    Returns:
        The same as ``attend``, but for rounding and NaN: from a block that is not made no NaN spreads. Narrow
        types are computed in float32. The output has a first derivative; a second one, forward mode and vmap
        are refused (``attend`` has them all). A mask that is changed in place before the way back is an error.

    Raises:
        ValueError: if the shapes do not fit, the width of query and key is 0, the block is below 1, or the scale
            is not finite.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    References:
        Milakov & Gimelshein 2018, arXiv:1805.02867; Rabe & Staats 2021, arXiv:2112.05682; Dao et al. 2022
        (FlashAttention), arXiv:2205.14135; one number for each query: Dao 2024 (FlashAttention-2),
        arXiv:2307.08691.

    >>> blockwise_attend(torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[1.0], [3.0]]), block=1)
    tensor([[2.]])
    """
    check_sizes(block=block)
    batch = check_lookup(query, key, value)
    scale = check_scale(scale, query.shape[-1])
    table = _Table(mask, (*batch, query.shape[-2], key.shape[-2]), block, query.device)
    q, k, v = (
        widened(x, scale).expand(*batch, *x.shape[-2:]).reshape(math.prod(batch), *x.shape[-2:])
        for x in (query, key, value)
    )
    # Measured, a power of 2 costs torch less than one of e: exp(x) = 2 ** (x log2(e)).
    tensors = (q * (scale * math.log2(math.e)), k, v, *table.tensors)
    output: Tensor = _Blockwise.apply(table, *tensors)[0]  # type: ignore[no-untyped-call]
    return output.view(*batch, *output.shape[-2:]).to(value.dtype)


class _FirstDerivative(torch.autograd.Function):
    """What has a first derivative, and says so to who wants more."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Refuse forward mode."""
        raise RuntimeError(f"blockwise_attend has no derivative in forward mode: {_INSTEAD}")

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        """Refuse vmap."""
        raise RuntimeError(
            "blockwise_attend cannot be mapped by vmap: give query, key and value leading axes, or "
            + _INSTEAD
        )


_INSTEAD = "use minattn.dot_product.attend, which is made of torch's own operations"


class _Blockwise(_FirstDerivative):
    """The lookup with powers of 2, its leading axes merged into one."""

    @staticmethod
    def forward(
        table: "_Table", query: Tensor, key: Tensor, value: Tensor, *masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the output, and the logarithm of the sum of each query's powers."""
        output = value.new_empty(*query.shape[:-1], value.shape[-1])
        log_total = query.new_empty(*query.shape[:-1], 1)
        space = table.space(query)
        for rows in table.rows():
            q = query[:, rows]
            # m, l and o. Not minus infinity at the start: minus infinity less itself would be NaN.
            largest = q.new_full((*q.shape[:-1], 1), torch.finfo(q.dtype).min)
            total = torch.zeros_like(largest)
            mixture = torch.zeros_like(output[:, rows])
            for columns, allowed in table.columns(rows):
                scores = table.scores(q, key[:, columns], allowed, space)
                before, largest = largest, largest.maximum(scores.amax(-1, keepdim=True))
                shrink = (before - largest).exp2_()
                powers = scores.sub_(largest).exp2_()
                total.mul_(shrink).add_(powers.sum(-1, keepdim=True))
                mixture.mul_(shrink).baddbmm_(powers, value[:, columns])
            total.masked_fill_(total == 0, 1)  # nothing to attend to: zeros
            torch.div(mixture, total, out=output[:, rows])
            torch.add(largest, total.log2(), out=log_total[:, rows])
        return output, log_total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep what the way back needs."""
        ctx.table, *tensors = inputs
        ctx.mark_non_differentiable(output[1])
        # The masks, too: torch tells if they were changed in between.
        ctx.save_for_backward(*output, *tensors)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients, as numbers that themselves have none."""
        output, log_total, query, key, value, *masks = ctx.saved_tensors
        gradients = _BlockwiseBackward.apply(  # type: ignore[no-untyped-call]
            ctx.table, grad_output, query, key, value, output, log_total
        )
        return None, *gradients, *(None for _ in masks)


class _BlockwiseBackward(_FirstDerivative):
    """The way back, a step of its own: so a second derivative is refused where it would be nought in silence."""

    @staticmethod
    def forward(
        table: "_Table",
        grad_output: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        log_total: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of query, key and value."""
        grad_query, grad_key, grad_value = map(torch.zeros_like, (query, key, value))
        grad_output = grad_output.contiguous()
        # Of the gradients of a query's weights, as in ``numpy_attend_backward``; there it took the weights.
        mean = (grad_output * output).sum(-1, keepdim=True)
        spaces = table.space(query), table.space(query)
        for rows in table.rows():
            q, grad_o = query[:, rows], grad_output[:, rows]
            for columns, allowed in table.columns(rows):
                k, v = key[:, columns], value[:, columns]
                weights = table.scores(q, k, allowed, spaces[0]).sub_(log_total[:, rows]).exp2_()
                grad_weights = table.scores(grad_o, v, None, spaces[1])
                grad_scores = grad_weights.sub_(mean[:, rows]).mul_(weights)
                grad_value[:, columns].baddbmm_(weights.mT, grad_o)
                grad_query[:, rows].baddbmm_(grad_scores, k)
                grad_key[:, columns].baddbmm_(grad_scores.mT, q)
        # The derivative of 2 ** x is ln(2) times itself; the values do not go through it.
        return grad_query.mul_(math.log(2)), grad_key.mul_(math.log(2)), grad_value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Refuse."""
        raise RuntimeError(f"blockwise_attend has no second derivative: {_INSTEAD}")


class _Table:
    """The table of scores that is never made: its blocks, and what the mask forbids in each."""

    def __init__(self, mask: Mask, shape: Sequence[int], block: int, device: torch.device) -> None:
        *self.batch, self.queries, self.keys = shape
        self.block, self.device = block, device
        # How far before its query a key may stand (after it: below 0), if all of the tensors allow it too.
        self.nearest, self.furthest = -self.queries, self.keys
        self.tensors = []
        for part in _parts(mask):
            if isinstance(part, Causal):
                self.nearest = 0
            elif isinstance(part, Window):
                self.nearest = max(self.nearest, -part.after)
                self.furthest = min(self.furthest, part.before)
            else:
                self.tensors.append(to_bool(part, shape, device))

    def rows(self) -> Iterator[slice]:
        """Give the blocks of queries."""
        return _cut(0, self.queries, self.block)

    def columns(self, rows: slice) -> Iterator[tuple[slice, Tensor | None]]:
        """Give the blocks of keys that these queries see, each with what they may attend to; None is all."""
        shift = self.keys - self.queries  # the queries are the last positions
        first = max(0, rows.start + shift - self.furthest)
        last = min(self.keys, rows.stop + shift - self.nearest)
        for columns in _cut(first, last, self.block):
            pieces = [
                x[..., rows if x.shape[-2] > 1 else slice(None), columns] for x in self.tensors
            ]
            height, width = rows.stop - rows.start, columns.stop - columns.start
            distance = rows.start + shift - columns.start  # of the first key before the first query
            if distance - width + 1 < self.nearest or distance + height - 1 > self.furthest:
                band = torch.ones(height, width, dtype=torch.bool, device=self.device)
                pieces.append(band.tril(distance - self.nearest).triu(distance - self.furthest))
            allowed = functools.reduce(operator.and_, pieces) if pieces else None
            if allowed is None or allowed.is_meta or allowed.any():
                yield columns, allowed

    def space(self, like: Tensor) -> Tensor:
        """Make room for the scores of one block; made once, it is used for all."""
        height, width = min(self.block, self.queries), min(self.block, self.keys)
        return like.new_empty(len(like), height, width)

    def scores(self, query: Tensor, key: Tensor, allowed: Tensor | None, space: Tensor) -> Tensor:
        """Score one block in the space given: minus infinity where it is not allowed."""
        scores = torch.bmm(query, key.mT, out=space[:, : query.shape[1], : key.shape[1]])
        if allowed is not None:
            # 0 where allowed, else minus infinity; measured, filling by a mask takes torch many times as long.
            bias = 1 - 1 / allowed.to(scores.dtype)
            scores.view(*self.batch, *scores.shape[1:]).add_(bias)
        return scores


def _parts(mask: Mask) -> list[Tensor | MaskDescription]:
    """Take apart what was joined by and."""
    if isinstance(mask, Both):
        return [*_parts(mask.first), *_parts(mask.second)]
    return [] if mask is None else [mask]


def _cut(start: int, stop: int, block: int) -> Iterator[slice]:
    """Cut a range into blocks; the last may be shorter."""
    for first in range(start, stop, block):
        yield slice(first, min(first + block, stop))
