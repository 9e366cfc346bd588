"""A language model that needs no training."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import numbers

ID_TYPES = (torch.int64, torch.int32)
"""What an embedding takes; a toy must not be more forgiving than a model."""


def check_ids(ids: Any, vocab_size: int) -> None:
    """Reject what is no batch of ids; the text is always the same, so that the mistake can be named."""
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype not in ID_TYPES:
        raise ValueError(
            "ids must be a tensor of whole numbers (int64 or int32) of shape (batch, seq)"
        )
    if not bool(((ids >= 0) & (ids < vocab_size)).all()):
        raise ValueError("ids must be from 0 to vocab_size - 1")


class ToyLanguageModel:
    """A causal language model whose guess depends on every token so far, and on their order.

    Args:
        seed: of the table that its logits come from.
        vocab_size: how many different tokens.
    """

    n_states = 97
    patience = 100

    def __init__(self, seed: int, vocab_size: int) -> None:
        # Steps of a thousandth keep two logits from being the same.
        self.table = numbers(seed, self.n_states, vocab_size) + 1e-3 * torch.arange(vocab_size)
        self.n_calls = 0

    def __repr__(self) -> str:
        return f"a causal model of {self.table.shape[1]} tokens"

    def __call__(self, ids: Any) -> Tensor:
        """Return logits of shape (batch, seq, vocab)."""
        self.n_calls += 1
        if self.n_calls > self.patience:
            raise RuntimeError(f"the model was called more than {self.patience} times")
        check_ids(ids, self.table.shape[1])
        state, states = torch.zeros(len(ids), dtype=torch.long), []
        for token in ids.T:
            state = (state * 5 + token * 7 + 3) % self.n_states
            states.append(state)
        return self.table[torch.stack(states, dim=1)] if states else self.table[ids]


LogitsOf = Callable[[Tensor], Tensor]
