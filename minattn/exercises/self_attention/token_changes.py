"""Ways to change some tokens of a text, and to look at some logits of it."""

from collections.abc import Callable

import torch
from torch import Tensor

Change = Callable[[Tensor, int, int], Tensor]
"""Takes ids, a place and the number of tokens that there are, and returns other ids."""

Look = Callable[[Tensor, int], Tensor]
"""Takes logits and the place of a change, and returns those that are compared."""


def next_token(ids: Tensor, vocab_size: int) -> Tensor:
    """Put another token in each place."""
    return (ids + 1) % vocab_size


def change_from(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    """Change all tokens from a place on."""
    return torch.cat([ids[:, :place], next_token(ids[:, place:], vocab_size)], dim=1)


def change_at(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    """Change the token at a place."""
    here = torch.arange(ids.shape[1]) == place
    return torch.where(here, next_token(ids, vocab_size), ids)


def change_before(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    """Change all tokens before a place."""
    return torch.cat([next_token(ids[:, :place], vocab_size), ids[:, place:]], dim=1)


def before(logits: Tensor, place: int) -> Tensor:
    """Return the logits before the change."""
    return logits[:, :place]
