"""Linear attention: without the softmax, all that was read fits into one matrix that does not grow."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from minattn.checks import check_sizes
from minattn.masks import Mask, to_bool
from minattn.seam import check_lookup, widened

FeatureMap = Callable[[Tensor], Tensor]
"""Turns queries and keys into features that are not negative, so that their products can serve as weights."""


def above_zero(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Make every number positive: :math:`x + 1` where x is above 0, :math:`e^x` elsewhere.

    This is elu(x) + 1, the feature map of the paper, written so that it stays above 0 for large negative x too.

    References:
        Katharopoulos et al. 2020, arXiv:2006.16236, section 3.2.1.

    >>> above_zero(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0.3679, 1.0000, 3.0000])
    """
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


def linear_attend(
    query: Float[Tensor, "*#batch queries d_k"],
    key: Float[Tensor, "*#batch keys d_k"],
    value: Float[Tensor, "*#batch keys d_v"],
    mask: Mask = None,
    *,
    features: FeatureMap = above_zero,
) -> Float[Tensor, "*#batch queries d_v"]:
    r"""Attend with products of features for weights, by a table: what the running form is compared with.

    .. math:: o_i = \frac{\sum_j m_{ij}\, \phi(q_i)^\top \phi(k_j)\; v_j}{\sum_j m_{ij}\, \phi(q_i)^\top \phi(k_j)}

    Args:
        query: what is asked.
        key: what is offered.
        value: what is delivered.
        mask: as for ``attend``; a query that may attend to no key gets zeros.
        features: :math:`\phi`.

    Returns:
        One mixture of the values for each query. Narrow types are computed in float32.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    References:
        Katharopoulos et al. 2020, arXiv:2006.16236, sections 3.2 and 3.3.

    >>> linear_attend(torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    batch = check_lookup(query, key, value)
    weights = features(widened(query)) @ features(widened(key)).mT
    if mask is not None:
        weights = weights.expand(*batch, *weights.shape[-2:])
        allowed = to_bool(mask, weights.shape, weights.device)
        weights = weights.masked_fill(~allowed, 0.0)
    output = _divided(weights @ _with_ones(widened(value)))
    return output.expand(*batch, *output.shape[-2:]).to(value.dtype)


def running_linear_attend(
    query: Float[Tensor, "*batch queries d_k"],
    key: Float[Tensor, "*batch queries d_k"],
    value: Float[Tensor, "*batch queries d_v"],
    state: Float[Tensor, "*batch features d_v_and_1"] | None = None,
    *,
    block: int = 64,
    features: FeatureMap = above_zero,
) -> tuple[Float[Tensor, "*batch queries d_v"], Float[Tensor, "*batch features d_v_and_1"]]:
    r"""Attend as ``linear_attend`` does under a causal mask, with a state instead of a table.

    .. math:: S_i = S_{i-1} + \phi(k_i)\, (v_i, 1)^\top, \qquad (z_i, n_i) = \phi(q_i)^\top S_i, \qquad o_i = z_i / n_i

    The last column of the state holds the sums of the features alone: with it comes the normaliser :math:`n_i`, what
    the weights of a query sum to. Of a block of positions, those before it are in the state, and the others make a
    small table.

    Args:
        query: what is asked, one for each key.
        key: what is offered.
        value: what is delivered.
        state: of what was read before; None if this is the beginning.
        block: how many positions at a time; with 1, a recurrent network. It changes the cost, not the result.
        features: :math:`\phi`.

    Returns:
        The output, and the state after the last position: ``features`` times ``d_v + 1`` numbers, however long the
        text. The state of a narrow type is in float32.

    Raises:
        ValueError: if the shapes do not fit, or the block is below 1.
        TypeError: if query, key and value are not of one floating-point type.

    References:
        Katharopoulos et al. 2020, arXiv:2006.16236, sections 3.3 and 3.4; by blocks: Hua et al. 2022,
        arXiv:2202.10447.

    >>> x = torch.zeros(3, 2)
    >>> output, state = running_linear_attend(x, x, torch.tensor([[1.0], [3.0], [5.0]]))
    >>> output[:, 0], state  # means of the values so far
    (tensor([1., 2., 3.]), tensor([[9., 3.],
            [9., 3.]]))
    """
    check_sizes(block=block)
    check_lookup(query, key, value)
    if not query.shape[:-1] == key.shape[:-1] == value.shape[:-1]:
        raise ValueError(
            "there must be one query and one value for each key, with the same leading axes, "
            f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    q, k = features(widened(query)), features(widened(key))
    v = _with_ones(widened(value))
    wanted = (*k.shape[:-2], k.shape[-1], v.shape[-1])
    if state is None:
        state = v.new_zeros(wanted)
    elif tuple(state.shape) != wanted:
        raise ValueError(f"the state must have shape {wanted}, got {tuple(state.shape)}")
    outputs = []
    for start in range(0, q.shape[-2], block):
        part = (..., slice(start, start + block), slice(None))
        inside = (q[part] @ k[part].mT).tril()
        outputs.append(q[part] @ state + inside @ v[part])
        state = state + k[part].mT @ v[part]
    output = torch.cat(outputs, dim=-2) if outputs else v
    return _divided(output).to(value.dtype), state


def _with_ones(value: Tensor) -> Tensor:
    """Add a column of ones, so that one product gives the mixture and what it is divided by."""
    return torch.cat([value, torch.ones_like(value[..., :1])], dim=-1)


def _divided(sums: Tensor) -> Tensor:
    """Divide by the last column; where that is 0 there was nothing to attend to."""
    total = sums[..., -1:]
    return sums[..., :-1] / total.masked_fill(total == 0, 1.0)
