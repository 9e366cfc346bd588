"""One step of attention with a cache, in parts that can be put together wrongly."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """What one step is given."""

    x: Tensor
    k: Tensor
    v: Tensor
    w_q: Tensor
    w_k: Tensor
    w_v: Tensor

    @property
    def q(self) -> Tensor:
        """The query of the newest token."""
        return self.x @ self.w_q

    @property
    def keys(self) -> Tensor:
        """The keys with the newest one."""
        return torch.cat([self.k, self.x @ self.w_k], dim=1)

    @property
    def values(self) -> Tensor:
        """The values with the newest one."""
        return torch.cat([self.v, self.x @ self.w_v], dim=1)


def looked_up(
    q: Tensor, k: Tensor, v: Tensor, divide_by: float | None = None, axis: int = -1
) -> Tensor:
    """Return what queries find, with the scores divided by a number and the softmax along an axis."""
    scores = q @ k.transpose(1, 2) / (math.sqrt(k.shape[2]) if divide_by is None else divide_by)
    return scores.softmax(axis) @ v


def stepped(change: Callable[[Step], Any]) -> Callable[..., Any]:
    """Make an answer from what is done with the step."""
    return lambda *case: change(Step(*case))


def cached(
    keys: Callable[[Step], Tensor] = lambda s: s.keys,
    values: Callable[[Step], Tensor] = lambda s: s.values,
    look: Callable[[Tensor, Tensor, Tensor], Tensor] = looked_up,
) -> Callable[..., Any]:
    """Make an answer that caches something else and attends to that, or attends in another way."""
    return stepped(lambda s: (look(s.q, keys(s), values(s)), keys(s), values(s)))


def with_output(change: Callable[[Step, Tensor], Any]) -> Callable[..., Any]:
    """Make an answer with the right cache and another output."""
    return stepped(
        lambda s: (change(s, looked_up(s.q, s.keys, s.values)), s.keys, s.values),
    )
