"""Attention inside the heads, right and wrong."""

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.multi_head.cutting import Split
from minattn.multihead import merge_heads, split_heads


def attended(
    q: Tensor, k: Tensor, v: Tensor, divide_by: float | None = None, axis: int = -1
) -> Tensor:
    """Attend, with the scores divided by a number and the softmax along an axis."""
    return scaled_scores(q, k, divide_by).softmax(axis) @ v


def scaled_scores(q: Tensor, k: Tensor, divide_by: float | None = None) -> Tensor:
    """Return the scores, divided by the root of the width."""
    return q @ k.transpose(-2, -1) / (math.sqrt(k.shape[-1]) if divide_by is None else divide_by)


def found_by_heads(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    """Return what the heads found, (batch, heads, seq, d_head)."""
    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
    return attended(q, k, v)


MultiHead = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int], Tensor]


def heads_with(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = attended,
    split: Split = split_heads,
    merge: Callable[[Tensor], Tensor] = merge_heads,
) -> MultiHead:
    """Make an answer that attends, splits or merges in another way."""

    def answer(
        x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
    ) -> Tensor:
        q, k, v = (split(x @ w, n_heads) for w in (w_q, w_k, w_v))
        return merge(attend(q, k, v)) @ w_o

    return answer


def divided_by(size: Callable[[Tensor], float]) -> MultiHead:
    """Make an answer whose scores are divided by another number; it may look at q."""
    return heads_with(lambda q, k, v: attended(q, k, v, float(size(q))))


def over_pairs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Let one softmax run over all pairs of queries and keys."""
    scores = scaled_scores(q, k)
    return scores.flatten(2).softmax(-1).view_as(scores) @ v


def one_table(q: Tensor, k: Tensor, v: Tensor, mean: bool = False) -> Tensor:
    """Use one table of scores, summed over the heads, in all of them."""
    scores = scaled_scores(q, k)
    together = scores.mean(1, keepdim=True) if mean else scores.sum(1, keepdim=True)
    return together.softmax(-1) @ v


def causally(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend to earlier tokens and to the token itself."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)
