"""Small measures that several experiments take."""

from collections.abc import Sequence

from torch import nn


def n_weights(model: nn.Module) -> int:
    """Count the weights of a model."""
    return sum(weight.numel() for weight in model.parameters())


def averaged(losses: Sequence[float], every: int) -> list[float]:
    """Average the losses of every few steps."""
    parts = [losses[start : start + every] for start in range(0, len(losses), every)]
    return [sum(part) / len(part) for part in parts]
