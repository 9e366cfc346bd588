"""Tokens cut into heads and put together again, right and wrong."""

from collections.abc import Callable

import torch
from torch import Tensor

Split = Callable[[Tensor, int], Tensor]


def beside_each_other(x: Tensor, n_heads: int) -> Tensor:
    """Return the parts beside each other at their token, (batch, seq, heads, d_head)."""
    return x.reshape(*x.shape[:2], n_heads, -1)


def bare_view(x: Tensor, n_heads: int) -> Tensor:
    """Cut by a bare view, which scrambles the tokens."""
    batch, seq, d_model = x.shape
    return x.reshape(batch, n_heads, seq, d_model // n_heads)


def interleaved(x: Tensor, n_heads: int) -> Tensor:
    """Let the heads take turns along the width."""
    return x.reshape(*x.shape[:2], -1, n_heads).permute(0, 3, 1, 2)


def sizes_swapped(x: Tensor, n_heads: int) -> Tensor:
    """Cut into parts of width n_heads."""
    return x.reshape(*x.shape[:2], -1, n_heads).transpose(1, 2)


def numbered_tokens(batch: int, seq: int, d_model: int) -> Tensor:
    """Return tokens whose numbers say where they stand: 100 batch + 10 token + feature."""
    axes = torch.meshgrid(*map(torch.arange, (batch, seq, d_model)), indexing="ij")
    return (100 * axes[0] + 10 * axes[1] + axes[2]).float()


def merged_by_view(out: Tensor) -> Tensor:
    """Take (batch, heads, seq, d_head) for (batch, seq, d_model) as it is."""
    batch, n_heads, seq, d_head = out.shape
    return out.reshape(batch, seq, n_heads * d_head)


def interleaved_back(out: Tensor) -> Tensor:
    """Put the heads together in turns."""
    return out.permute(0, 2, 3, 1).flatten(2)


def merged_with_view(out: Tensor) -> Tensor:
    """Put the heads together by a view that torch refuses."""
    batch, n_heads, seq, d_head = out.shape
    return out.transpose(1, 2).view(batch, seq, n_heads * d_head)


def turned_and_reshaped(out: Tensor) -> Tensor:
    """Merge parts that were never turned, as if they had been."""
    return out.transpose(1, 2).reshape(len(out), out.shape[1], -1)
