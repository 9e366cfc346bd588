"""Small translators to put together again, with the same weights on every machine."""

import math
from typing import Any

import torch
from torch import nn

from minattn.exercises.exercise import numbers
from minattn.training import seeded
from minattn.transformer import (
    DecoderBlock,
    EncoderBlock,
    Residual,
    TransformerDecoder,
    TransformerEncoder,
    TransformerTranslator,
)


def small_translator(
    seed: int, d_model: int, n_heads: int, d_ff: int, n_layers: int
) -> TransformerTranslator:
    """Make a translator with weights that are the same on every machine, those of the norms included."""
    with seeded(0):
        model = TransformerTranslator(
            13, 11, d_model=d_model, n_heads=n_heads, d_ff=d_ff, n_layers=n_layers
        )
    with torch.no_grad():
        for i, (name, p) in enumerate(model.named_parameters(), seed):
            if p.ndim == 1:
                p.copy_(numbers(i, *p.shape) / 2 + name.endswith("norm.weight"))
            else:
                p.copy_(numbers(i, *p.shape) / math.sqrt(p.shape[1]))
    return model.eval().requires_grad_(False)


def in_pieces(model: TransformerTranslator) -> TransformerTranslator:
    """Make the parts that learners shall build themselves refuse to run."""

    def refuse(part: nn.Module, args: Any) -> None:
        raise RuntimeError("this part is to be built from its pieces")

    for part in model.modules():
        if isinstance(part, _WHOLES):
            part.register_forward_pre_hook(refuse)
    return model


_WHOLES = (
    TransformerTranslator,
    TransformerEncoder,
    TransformerDecoder,
    EncoderBlock,
    DecoderBlock,
    Residual,
)
