"""Targets of some lengths, padded to a common one."""

import torch
from torch import Tensor

from minattn.exercises.exercise import numbers
from minattn.vocabulary import EOS, PAD


def padded_targets(seed: int, vocab_size: int, target: int, *lengths: int) -> Tensor:
    """Make targets of some lengths, EOS included, padded to a common one."""
    ids = torch.full((len(lengths), target), PAD)
    for i, length in enumerate(lengths):
        uniform = (numbers(seed + i, length - 1).abs() * 997).long() % (vocab_size - EOS - 1)
        ids[i, : length - 1] = EOS + 1 + uniform
        ids[i, length - 1] = EOS
    return ids
