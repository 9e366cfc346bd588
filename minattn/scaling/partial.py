"""Attention to some of the keys, and how two such parts become attention to the keys of both."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from minattn.masks import Mask, to_bool
from minattn.seam import check_lookup, check_scale, widened

Partial = tuple[Float[Tensor, "*#batch queries d_v"], Float[Tensor, "*#batch queries"]]
"""Attention to some of the keys, and for each query the logarithm of the sum of its powers."""


def partial_attend(
    query: Float[Tensor, "*#batch queries d_k"],
    key: Float[Tensor, "*#batch keys d_k"],
    value: Float[Tensor, "*#batch keys d_v"],
    allowed: Mask = None,
    scale: float | None = None,
) -> Partial:
    r"""Attend to some of the keys, and keep what is needed to take more of them in later.

    .. math:: o_i = \sum_j e^{s_{ij} - l_i} v_j, \qquad l_i = \ln \sum_j e^{s_{ij}}

    Args:
        query: what is asked.
        key: some of what is offered.
        value: what is delivered.
        allowed: as the mask of ``attend``.
        scale: the factor of the scores, :math:`1 / \sqrt{d_k}` if not given.

    Returns:
        The output and the logarithm. A query that may attend to none of these keys gets zeros, and minus infinity.
        Of narrow types both are in float32, so that nothing is lost when more is merged.

    Raises:
        ValueError: if the shapes do not fit, the width of query and key is 0, or the scale is not finite.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    >>> partial_attend(torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[1.0], [3.0]]))
    (tensor([[2.]]), tensor([0.6931]))
    """
    batch = check_lookup(query, key, value)
    scale = check_scale(scale, query.shape[-1])
    query, key, value = (widened(x, scale) for x in (query, key, value))
    scores = (query @ key.mT * scale).expand(*batch, query.shape[-2], key.shape[-2])
    if allowed is not None:
        scores = scores.masked_fill(~to_bool(allowed, scores.shape, scores.device), -math.inf)
    log_total = scores.logsumexp(-1)
    finite = log_total.masked_fill(log_total == -math.inf, 0)  # where nothing is allowed
    return (scores - finite[..., None]).exp() @ value, log_total


def merge(first: Partial, second: Partial) -> Partial:
    r"""Make of attention to some keys, and attention to others, attention to them all.

    .. math:: l = \ln(e^{l_1} + e^{l_2}), \qquad o = e^{l_1 - l} o_1 + e^{l_2 - l} o_2

    The two factors are :math:`\sigma(l_1 - l_2)` and :math:`\sigma(l_2 - l_1)`, the logistic function of a difference:
    so they sum to 1 also where the logarithms are large. Neither the order nor the grouping of several merges matters.

    Args:
        first: the output, and the logarithm of the sum of each query's powers.
        second: the same of other keys.

    Returns:
        The same of both. Where both have seen nothing: zeros, and minus infinity.

    References:
        Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    >>> merge((torch.tensor([[1.0]]), torch.zeros(1)), (torch.tensor([[3.0]]), torch.zeros(1)))
    (tensor([[2.]]), tensor([0.6931]))
    """
    (output, log_total), (other, log_other) = first, second
    both = torch.logaddexp(log_total, log_other)
    further = log_other - log_total
    further = further.masked_fill(both == -math.inf, 0)  # minus infinity less itself is NaN
    part, rest = (-further).sigmoid()[..., None], further.sigmoid()[..., None]
    return part * output + rest * other, both
