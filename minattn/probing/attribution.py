"""Ways of explaining what a model with attention decided (chapter 21): which key was it?

All take ``decide``, a function without arguments that runs the model and returns a score for each query, and where to
look: a part of the model that attends, or the one that makes the inputs. All return (batch, queries, keys).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.alignment import attention_weights
from minattn.checks import check_floats, check_ids, check_whole
from minattn.masks import Mask
from minattn.recording import attending
from minattn.seam import Attend

Decide = Callable[[], Tensor]
"""Runs a model and returns a score of each decision, (batch, queries): what is to be explained."""


class Look(NamedTuple):
    """One call of an attend.

    Args:
        weights: of every query and key, with a gradient.
        value: what the weights mixed.
    """

    weights: Float[Tensor, "*batch queries keys"]
    value: Float[Tensor, "*#batch keys d_value"]


def log_odds(
    logits: Float[Tensor, "batch queries vocab"], said: Int[Tensor, "batch queries"]
) -> Float[Tensor, "batch queries"]:
    r"""Score what was said against all that was not: :math:`\log p - \log(1 - p)`.

    A probability near 1 hardly moves, whatever is taken away; its log-odds do.

    Raises:
        ValueError: if an id is none of those there are.

    >>> log_odds(torch.tensor([[[2.0, 0.0, 0.0]]]), torch.tensor([[0]]))  # 2 - log 2
    tensor([[1.3069]])
    """
    check_floats(logits=logits)
    check_ids(logits.shape[-1], said=said)
    own = logits.gather(-1, said[..., None])[..., 0]
    others = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, said[..., None], True)
    return own - logits.masked_fill(others, -torch.inf).logsumexp(-1)


@contextmanager
def looks(part: nn.Module) -> Iterator[list[Look]]:
    """Keep weights and values of every call while the block runs; the weights can be differentiated by.

    The weights are found with ``attention_weights``, and the output is then their product with the values, so any
    attend can be looked into whose weights do not depend on the values.

    Args:
        part: a model, or a part of it. The calls of all that attends in it are kept in their order.

    Raises:
        ValueError: if nothing in it attends.
    """
    kept: list[Look] = []

    def change(attend: Attend) -> Attend:
        def looked(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            weights = attention_weights(attend, query, key, mask)
            if torch.is_grad_enabled() and not weights.requires_grad:
                weights.requires_grad_()
            kept.append(Look(weights, value))
            return weights @ value

        return looked

    with attending(part, change):
        yield kept


def joined(calls: list[Look]) -> Float[Tensor, "batch heads queries keys"]:
    """Join the weights of all calls of one place along the queries; one head if there is no axis of heads."""
    weights = torch.cat([call.weights for call in calls], dim=-2)
    return weights if weights.ndim == 4 else weights[:, None]


def head_weights(decide: Decide, part: nn.Module) -> Float[Tensor, "batch heads queries keys"]:
    """Return the weights of every head of one place that attends."""
    with torch.no_grad(), looks(part) as calls:
        decide()
    return joined(calls)


def mean_weights(decide: Decide, part: nn.Module) -> Float[Tensor, "batch queries keys"]:
    """Explain by the weights: the mean over the heads of one place."""
    return head_weights(decide, part).mean(1)


def rollout(
    decide: Decide, stack: nn.Module, last: nn.Module | None = None
) -> Float[Tensor, "batch queries keys"]:
    r"""Explain by the weights of all layers: how much of each input comes to a query, if values were all alike.

    .. math:: \tilde A_l = \tfrac12 (A_l + I)\, \tilde A_{l-1}, \qquad \tilde A_0 = I

    Args:
        decide: runs the model.
        stack: layers of self-attention, each called once.
        last: what attends to what the stack has made, from elsewhere: cross-attention.

    References:
        Abnar and Zuidema 2020, arXiv:2005.00928, section 3: half of every layer is what passed it by.
    """
    whole: list[Look] = []
    with torch.no_grad(), looks(stack) as calls:
        if last is None:
            decide()
        else:
            with looks(last) as whole:
                decide()
    n = calls[0].weights.shape[-1]
    found = torch.eye(n, dtype=calls[0].weights.dtype).expand(len(calls[0].weights), -1, -1)
    for call in calls:
        found = (joined([call]).mean(1) @ found + found) / 2
    top: Tensor = joined(whole).mean(1) if whole else torch.eye(n, dtype=found.dtype)
    return top @ found


def weighted_norms(
    decide: Decide, part: nn.Module, out_proj: nn.Linear | None = None
) -> Float[Tensor, "batch queries keys"]:
    r"""Explain by how long what a key adds is: :math:`\lVert \sum_h \alpha^h_{ij}\, v^h_j W^h_o \rVert`.

    Args:
        decide: runs the model.
        part: one place that attends.
        out_proj: what mixes the heads; without it the parts of all heads stand side by side.

    References:
        Kobayashi et al. 2020, arXiv:2004.10102.
    """
    with torch.no_grad(), looks(part) as calls:
        decide()
        found = [_added(call, out_proj) for call in calls]
    return torch.cat(found, dim=-2)


def _added(call: Look, out_proj: nn.Linear | None) -> Tensor:
    weights, value = call
    if weights.ndim == 3:
        weights, value = weights[:, None], value[:, None]
    if out_proj is None:
        lengths: Tensor = value.norm(dim=-1)[:, :, None]
        return (weights * lengths).square().sum(1).sqrt()
    heads = out_proj.weight.reshape(out_proj.out_features, weights.shape[1], -1)
    moved = torch.einsum("bhkd,ohd->bhko", value, heads)
    each: Tensor = torch.einsum("bhqk,bhko->bqko", weights, moved)
    return each.norm(dim=-1)  # type: ignore[no-any-return]


def gradient_times_weight(
    decide: Decide, part: nn.Module, wanted: Bool[Tensor, "batch queries"] | None = None
) -> Float[Tensor, "batch queries keys"]:
    r"""Explain by what a weight is worth: :math:`\sum_h \alpha^h_{ij}\, \partial s_i / \partial \alpha^h_{ij}`.

    To first order that is what the score would lose if the weight became zero, and the others stayed.

    Args:
        decide: runs the model.
        part: one place that attends; query i of it is where decision i is made.
        wanted: which decisions to explain; each takes one run backwards. Others become zero.

    References:
        Serrano and Smith 2019, arXiv:1906.03731, order weights by this too.
    """
    with torch.enable_grad(), looks(part) as calls:
        scores = decide()
        weights = [call.weights for call in calls]
        worth = _by_decision(scores, weights, wanted)
    whole = joined(calls).detach()
    found = whole.new_zeros(len(whole), *whole.shape[-2:])
    for i, parts in worth:
        slope = torch.cat(parts, dim=-2)
        slope = slope if slope.ndim == 4 else slope[:, None]
        found[:, i] = (whole * slope)[:, :, i].sum(1)
    return found


def gradient_times_input(
    decide: Decide,
    inputs: nn.Module,
    calls: tuple[int, ...] = (0,),
    wanted: Bool[Tensor, "batch queries"] | None = None,
) -> Float[Tensor, "batch queries keys"]:
    r"""Explain by what an input is worth: :math:`x_j \cdot \partial s_i / \partial x_j`.

    To first order that is what the score would lose if the input became zero; compare ``leave_one_out``.

    Args:
        decide: runs the model.
        inputs: makes the inputs, (batch, keys, width): a table of embeddings, or what stands before attention.
        calls: which of its calls in one run; where a part reads the same inputs twice, two.
        wanted: as in ``gradient_times_weight``.

    References:
        Shrikumar et al. 2017, arXiv:1605.01713 and arXiv:1704.02685.
    """
    kept: list[Tensor] = []

    def leaf(x: Tensor) -> Tensor:
        kept.append(x.detach().requires_grad_())
        return kept[-1]

    with torch.enable_grad(), changed_output(inputs, leaf, calls):
        scores = decide()
    found = scores.new_zeros(*scores.shape, kept[0].shape[1])
    for i, slopes in _by_decision(scores, kept, wanted):
        for x, slope in zip(kept, slopes, strict=True):
            found[:, i] += (x.detach() * slope).sum(-1)
    return found


def leave_one_out(
    decide: Decide, inputs: nn.Module, calls: tuple[int, ...] = (0,)
) -> Float[Tensor, "batch queries keys"]:
    """Explain by taking each input away: how much lower is the score if it is zero? One run for each key.

    Args:
        decide: runs the model.
        inputs: as in ``gradient_times_input``, and so are the calls.
        calls: see ``inputs``.

    References:
        Li et al. 2016, arXiv:1612.08220 (erasure).
    """
    size: list[int] = []

    def without(j: int) -> Callable[[Tensor], Tensor]:
        def erase(x: Tensor) -> Tensor:
            size.append(x.shape[1])
            return x if j < 0 else x.index_fill(1, torch.tensor([j], device=x.device), 0.0)

        return erase

    def score(j: int) -> Tensor:
        with torch.no_grad(), changed_output(inputs, without(j), calls):
            return decide()

    whole = score(-1)
    return torch.stack([whole - score(j) for j in range(size[0])], dim=-1)


def leave_out_keys(decide: Decide, part: nn.Module) -> Float[Tensor, "batch queries keys"]:
    """Explain by forbidding each key in turn: how much lower is the score if the other weights share its own?

    What other keys know of it stays. A query that may look nowhere else finds zeros.

    Args:
        decide: runs the model.
        part: one place that attends, or several with the same keys, in all of which the key is forbidden.
    """
    with torch.no_grad():
        whole = decide()
        n = head_weights(decide, part).shape[-1]
        found = []
        for j in range(n):
            with attending(part, _Without(j)):
                found.append(whole - decide())
    return torch.stack(found, dim=-1)


class _Without:
    """Make attends that never look at one key."""

    def __init__(self, j: int) -> None:
        self.j = j

    def __call__(self, attend: Attend) -> Attend:
        def without(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            weights = attention_weights(attend, query, key, mask)
            weights = weights.index_fill(-1, torch.tensor([self.j], device=key.device), 0.0)
            total = weights.sum(-1, keepdim=True)
            return weights / total.clamp_min(torch.finfo(total.dtype).tiny) @ value

        return without


@contextmanager
def changed_output(
    module: nn.Module, change: Callable[[Tensor], Tensor], calls: tuple[int, ...] = (0,)
) -> Iterator[None]:
    """Change what a module returns in some of its calls while the block runs.

    Raises:
        ValueError: if there is no call, one is below 0, or there were fewer when the block ended well.
    """
    check_whole(1, calls=len(calls))
    for call in calls:
        check_whole(0, call=call)
    count = 0

    def hook(_: nn.Module, arguments: Any, output: Tensor) -> Tensor | None:
        nonlocal count
        count += 1
        return change(output) if count - 1 in calls else None

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if count <= max(calls):
        raise ValueError(
            f"calls must be among the {count} that there were, counted from 0, got {calls}"
        )


def _by_decision(
    scores: Tensor, by: list[Tensor], wanted: Tensor | None
) -> Iterator[tuple[int, list[Tensor]]]:
    """Differentiate one decision after the other; the rows of a batch have nothing to do with each other."""
    wanted = torch.ones_like(scores, dtype=torch.bool) if wanted is None else wanted
    for i in wanted.any(0).nonzero()[:, 0].tolist():
        total = (scores[:, i] * wanted[:, i]).sum()
        slopes = torch.autograd.grad(total, by, retain_graph=True, allow_unused=True)
        yield (
            i,
            [torch.zeros_like(x) if s is None else s for x, s in zip(by, slopes, strict=True)],
        )
