"""Sines and cosines of angles that grow with the position, in parts that can be put together wrongly."""

import torch
from torch import Tensor


def exponents_of(d: int) -> Tensor:
    """Return the exponents of the base, one for each pair of features."""
    return torch.arange(0, d, 2, dtype=torch.float64) / d


def wave_angles(n: int, exponents: Tensor, start: int = 0, base: float = 10_000.0) -> Tensor:
    """Return the angle of every position for each exponent."""
    return torch.arange(start, start + n)[:, None] * base**-exponents


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Let the features of two tensors take turns."""
    return torch.stack([first, second], dim=-1).flatten(-2)


def waves(angles: Tensor) -> Tensor:
    """Return sines and cosines in turns."""
    return interleave(angles.sin(), angles.cos())


def side_by_side(angles: Tensor) -> Tensor:
    """Return all sines, and then all cosines."""
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
