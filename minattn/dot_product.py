"""Scaled dot-product attention (chapter 3): in NumPy with its gradient, in torch step by step, and fused."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from minattn.alignment import masked_softmax, weighted_sum
from minattn.checks import check_sizes
from minattn.masks import Mask, check_mask_shape, to_bool, to_sdpa
from minattn.seam import (
    Attend,
    check_arrays,
    check_bias,
    check_lookup,
    check_scale,
    check_widths,
    in_float32,
    is_extreme,
    widened,
)

Array = np.ndarray


def numpy_attend(
    query: Float[Array, "*batch queries d_k"],
    key: Float[Array, "*batch keys d_k"],
    value: Float[Array, "*batch keys d_v"],
    mask: Bool[Array, "*#batch #queries keys"] | None = None,
) -> tuple[Float[Array, "*batch queries d_v"], Float[Array, "*batch queries keys"]]:
    r"""Attend, in NumPy.

    .. math:: O = A V, \qquad A = \operatorname{softmax}(Q K^\top / \sqrt{d_k})

    Args:
        query: what is asked.
        key: what is offered.
        value: what is delivered.
        mask: True where a query may attend; a query that may attend to no key gets zeros. The key of a pair
            that is not allowed is not looked at.

    Returns:
        The output and the weights. float16 is computed in float32.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    >>> output, weights = numpy_attend(np.zeros((1, 2)), np.zeros((2, 2)), np.array([[1.0], [3.0]]))
    >>> output, weights
    (array([[2.]]), array([[0.5, 0.5]]))
    """
    check_arrays(query=query, key=key, value=value)
    check_widths(query.shape, key.shape, value.shape)
    if query.dtype == np.float16:
        return in_float32(numpy_attend, query, key, value, mask=mask)
    scores = query @ np.swapaxes(key, -2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        _check_numpy_mask(mask, scores.shape)
        scores = np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    exp = np.exp(scores - np.where(np.isinf(largest), 0, largest))
    total = exp.sum(axis=-1, keepdims=True)
    weights = exp / np.where(total == 0, 1, total)
    return weights @ value, weights


def numpy_attend_backward(
    grad_output: Float[Array, "*batch queries d_v"],
    query: Float[Array, "*batch queries d_k"],
    key: Float[Array, "*batch keys d_k"],
    value: Float[Array, "*batch keys d_v"],
    mask: Bool[Array, "*#batch #queries keys"] | None = None,
) -> tuple[
    Float[Array, "*batch queries d_k"],
    Float[Array, "*batch keys d_k"],
    Float[Array, "*batch keys d_v"],
]:
    r"""Carry the gradient of a loss back through ``numpy_attend``, by hand.

    With :math:`\mathrm{d}X` for the gradient with respect to :math:`X`,

    .. math::
        \mathrm{d}V &= A^\top \mathrm{d}O, \qquad \mathrm{d}A = \mathrm{d}O\, V^\top, \\
        \mathrm{d}S_{ij} &= A_{ij} \Big( \mathrm{d}A_{ij} - \sum_k A_{ik}\, \mathrm{d}A_{ik} \Big), \\
        \mathrm{d}Q &= \mathrm{d}S\, K / \sqrt{d_k}, \qquad \mathrm{d}K = \mathrm{d}S^\top Q / \sqrt{d_k}.

    Args:
        grad_output: the gradient with respect to the output.
        query: as it was given to ``numpy_attend``; so are key, value and mask.
        key: what is offered.
        value: what is delivered.
        mask: True where a query may attend.

    Returns:
        The gradients with respect to query, key and value.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if the arrays are not of one floating-point type, or the mask is not bool.
    """
    _, weights = numpy_attend(query, key, value, mask)
    check_arrays(grad_output=grad_output, value=value)
    if query.dtype == np.float16:
        tensors = (grad_output, query, key, value)
        return in_float32(numpy_attend_backward, *tensors, mask=mask)
    grad_value = np.swapaxes(weights, -2, -1) @ grad_output
    grad_weights = grad_output @ np.swapaxes(value, -2, -1)
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)
    grad_scores = weights * (grad_weights - mean)
    root = math.sqrt(query.shape[-1])
    grad_query = grad_scores @ key / root
    grad_key = np.swapaxes(grad_scores, -2, -1) @ query / root
    return grad_query, grad_key, grad_value


def attend(
    query: Float[Tensor, "*#batch queries d_k"],
    key: Float[Tensor, "*#batch keys d_k"],
    value: Float[Tensor, "*#batch keys d_v"],
    mask: Mask = None,
    *,
    bias: Float[Tensor, "..."] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "*#batch queries d_v"]:
    r"""Attend: score by the scaled dot product, softmax over the keys, mix the values.

    .. math:: O = \operatorname{softmax}(Q K^\top / \sqrt{d_k} + B)\, V

    Args:
        query: what is asked.
        key: what is offered.
        value: what is delivered.
        mask: True where a query may attend, or a description; a query that may attend to no key gets zeros,
            with zero gradient.
        bias: added to the scores; close over one (``functools.partial``) to get an attend that prefers some
            distances. Minus infinity forbids, as the mask does.
        scale: the factor of the scores, :math:`1 / \sqrt{d_k}` if not given.

    Returns:
        One mixture of the values for each query. NaN in a key, NaN or infinity in a value spreads to every
        query, also to those that may not attend to it (0 times NaN is NaN). Infinity in a key makes every query
        NaN whose score with it is NaN or plus infinity, also where it is masked; so does a product of query and
        key that their type has no room for, above 3e38 in float32. Narrow types are computed in float32, and a
        scale below 1e-6 or above 1e6 in float64.

    Raises:
        ValueError: if the shapes do not fit, the width of query and key is 0, or the scale is not finite.
        TypeError: if query, key and value are not of one floating-point type, the mask is not bool, or the
            bias not of floating-point numbers.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    >>> attend(torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    batch = check_lookup(query, key, value)
    scale = check_scale(scale, query.shape[-1])
    query, key = widened(query, scale), widened(key, scale)
    scores = query @ key.transpose(-2, -1) * scale
    scores = scores.expand(*batch, *scores.shape[-2:])
    allowed = None if mask is None else to_bool(mask, scores.shape, scores.device)
    if bias is not None:
        bias = _spread(bias, scores.shape).to(scores.dtype)
        finite = bias != -math.inf
        scores = scores + bias.masked_fill(~finite, 0.0)
        allowed = finite if allowed is None else allowed & finite
    value = value.expand(*batch, *value.shape[-2:])
    return weighted_sum(masked_softmax(scores, allowed), value)


def fused_attend(
    query: Float[Tensor, "*#batch queries d_k"],
    key: Float[Tensor, "*#batch keys d_k"],
    value: Float[Tensor, "*#batch keys d_v"],
    mask: Mask = None,
    *,
    bias: Float[Tensor, "..."] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "*#batch queries d_v"]:
    """Attend as ``attend`` does, in one operation of torch that hands out no weights.

    Where torch has a fused kernel for it (on a CPU: values as wide as keys), the table of all weights is never
    made.

    Args:
        query: what is asked.
        key: what is offered.
        value: what is delivered.
        mask: as for ``attend``. ``Causal()`` is handed over as torch's flag, which costs less than a tensor.
        bias: added to the scores; minus infinity forbids.
        scale: the factor of the scores; ``attend`` takes over where it is below 1e-6 or above 1e6.

    Returns:
        The same as ``attend``, but for rounding and NaN. Under ``Causal()`` torch may leave the future unread,
        so NaN there need not spread; and a query all of whose scores are NaN may get zeros. Torch's fused
        kernels have a first derivative only: a second one is an error of torch's, and so is forward mode. Use
        ``attend`` for these.

    Raises:
        ValueError: if the shapes do not fit, the width of query and key is 0, or the scale is not finite.
        TypeError: if query, key and value are not of one floating-point type, the mask is not bool, or the
            bias not of floating-point numbers.
        RuntimeError: in forward mode, where torch takes a kernel that has none.

    References:
        Dao et al. 2022 (FlashAttention), arXiv:2205.14135.
    """
    batch = check_lookup(query, key, value)
    if scale is not None and is_extreme(check_scale(scale, query.shape[-1])):
        return attend(query, key, value, mask, bias=bias, scale=scale)
    scores_shape = (*batch, query.shape[-2], key.shape[-2])
    if bias is None:
        attn_mask, is_causal = to_sdpa(mask, scores_shape, query.device)
    else:
        attn_mask, is_causal = _narrowed(_spread(bias, scores_shape), query.dtype), False
        if mask is not None:
            allowed = to_bool(mask, scores_shape, query.device)
            attn_mask = torch.where(allowed, attn_mask, -math.inf)
    if attn_mask is not None and len(batch) == 2:
        # Not spread over the heads: torch makes numbers of it, and would do so for every head.
        attn_mask = attn_mask[(None,) * (4 - attn_mask.ndim)]
    elif attn_mask is not None:
        attn_mask = _four_axes(attn_mask, batch)
    if scale is not None and scale <= 0:
        query, scale = query * scale, 1.0  # torch masks first: 0 times minus infinity would be NaN
    # torch has a fast kernel for exactly four axes; with three it takes a slow way without a word.
    try:
        output = F.scaled_dot_product_attention(
            _four_axes(query, batch),
            _four_axes(key, batch),
            _four_axes(value, batch),
            attn_mask=attn_mask,
            is_causal=is_causal,
            scale=scale,
        )
    except NotImplementedError as error:
        raise RuntimeError(
            "fused_attend cannot do this, but minattn.dot_product.attend, made of torch's simple "
            f"operations, can: {error}"
        ) from error
    return output.reshape(*batch, query.shape[-2], value.shape[-1])


class DotProductAttention(nn.Module):
    r"""One lookup with three learned projections.

    .. math:: \operatorname{attend}(x_q W_q,\; x_k W_k,\; x_v W_v)

    The layer has the signature of an attend, so it goes wherever an attend goes: between a decoder and an
    encoder, or, given one sequence three times, within it.

    Args:
        d_query: width of what asks.
        d_key: width of what is offered.
        d_value: width of what is delivered; that of the key if not given.
        d_k: width of a query and a key after projection.
        d_v: width of a value after projection, and of the output.
        attend: how to attend.

    Raises:
        ValueError: if a width is below 1.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2; here with one head and no output projection.

    >>> layer = DotProductAttention(d_query=3, d_key=5, d_k=2, d_v=7)
    >>> layer(torch.zeros(1, 4, 3), torch.zeros(1, 6, 5), torch.zeros(1, 6, 5)).shape
    torch.Size([1, 4, 7])
    """

    def __init__(
        self,
        *,
        d_query: int,
        d_key: int,
        d_value: int | None = None,
        d_k: int,
        d_v: int,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        d_value = d_key if d_value is None else d_value
        check_sizes(d_query=d_query, d_key=d_key, d_value=d_value, d_k=d_k, d_v=d_v)
        self.q_proj = nn.Linear(d_query, d_k, bias=False)
        self.k_proj = nn.Linear(d_key, d_k, bias=False)
        self.v_proj = nn.Linear(d_value, d_v, bias=False)
        self.attend = attend

    def forward(
        self,
        query: Float[Tensor, "*batch queries d_query"],
        key: Float[Tensor, "*batch keys d_key"],
        value: Float[Tensor, "*batch keys d_value"],
        mask: Mask = None,
    ) -> Float[Tensor, "*batch queries d_v"]:
        """Project each of the three, then attend."""
        return self.attend(self.q_proj(query), self.k_proj(key), self.v_proj(value), mask)


def _spread(bias: Tensor, shape: Sequence[int]) -> Tensor:
    """Give a bias the shape of the scores."""
    check_bias(bias)
    try:
        return bias.expand(*shape)
    except RuntimeError:
        raise ValueError(
            "a bias must broadcast to the scores, "
            f"got {tuple(bias.shape)} for scores of shape {tuple(shape)}"
        ) from None


def _narrowed(bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Give a bias the type of the scores; what a narrow type has no room for does not become infinite there."""
    if torch.finfo(dtype).max < torch.finfo(bias.dtype).max:
        limits = torch.finfo(dtype)
        bias = torch.where(bias.isinf(), bias, bias.clamp(limits.min, limits.max))
    return bias.to(dtype)


def _check_numpy_mask(mask: Any, scores: Sequence[int]) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        got = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise TypeError(
            f"a mask must be bool, an array that is True where a query may attend, got {got}"
        )
    check_mask_shape(mask.shape, scores)


def _four_axes(tensor: Tensor, batch: Sequence[int]) -> Tensor:
    """Give a tensor (..., n, d) the leading axes of the batch, and make exactly two of them."""
    if len(batch) == 2 and tensor.shape[:2] == batch:
        return tensor
    tensor = tensor.expand(*batch, *tensor.shape[-2:])
    tensor = tensor[(None,) * max(0, 2 - len(batch))]
    return tensor.flatten(0, tensor.ndim - 4)
