"""Sub-layers, and ways to put one together with its norm and the residual."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minattn.exercises.exercise import numbers

Map = Callable[[Tensor], Tensor]


Place = Callable[[Tensor, Map, Map], Tensor]
"""Takes x, a sub-layer and a norm, and puts them together."""


def pre_norm(x: Tensor, f: Map, norm: Map) -> Tensor:
    """Norm what the sub-layer reads."""
    return x + f(norm(x))


def post_norm(x: Tensor, f: Map, norm: Map) -> Tensor:
    """Norm the sum."""
    return norm(x + f(x))


def pre_norm_carried(x: Tensor, f: Map, norm: Map) -> Tensor:
    """Norm what the sub-layer reads, and carry that on."""
    return norm(x) + f(norm(x))


def pre_norm_alone(x: Tensor, f: Map, norm: Map) -> Tensor:
    """Norm what the sub-layer reads, and leave the residual out."""
    return f(norm(x))


def no_norm(x: Tensor, f: Map, norm: Map) -> Tensor:
    """Leave the norm out."""
    return x + f(x)


def norm_twice(x: Tensor, f: Map, norm: Map) -> Tensor:
    """Norm what the sub-layer reads, and the sum as well."""
    return norm(x + f(norm(x)))


@dataclass(frozen=True)
class _Mixer:
    """A sub-layer that shows its seed and sizes."""

    seed: int
    d: int
    reach: int

    def __call__(self, x: Tensor) -> Tensor:
        seen = torch.stack([x.roll(k, -2) for k in range(self.reach)]).sum(0)
        return torch.tanh(seen @ numbers(self.seed, self.d, self.d))


def mixer(seed: int, d: int, reach: int) -> Map:
    """Make a sub-layer with fixed weights; with a reach above 1 a token also takes from its neighbours."""
    return _Mixer(seed, d, reach)
