"""Logarithms of probabilities that may be rounded to 0."""

from collections.abc import Callable
from functools import partial

from torch import Tensor


def _log_of_sum(logits: Tensor, least: float) -> Tensor:
    return (logits.softmax(-1) + least).log()


def _log_of_clamped(logits: Tensor, least: float) -> Tensor:
    return logits.softmax(-1).clamp(min=least).log()


UNDERFLOWING: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda logits: logits.softmax(-1).log(),
    *(partial(_log_of_sum, least=least) for least in (1e-12, 1e-10, 1e-9, 1e-8)),
    *(partial(_log_of_clamped, least=least) for least in (1e-12, 1e-10, 1e-9, 1e-8)),
)
"""Logarithms of probabilities that may be rounded to 0, bare or with something put in its place."""
