"""Blocks of ours and layers of torch's: what one is made with, and how weights go from one to the other."""

import copy
from typing import Any

from torch import nn

from minattn.multihead import MultiHeadAttention

ENCODER_NORMS = {"norm1": "add_self_attention", "norm2": "add_feed_forward"}
DECODER_NORMS = {
    "norm1": "add_self_attention",
    "norm2": "add_cross_attention",
    "norm3": "add_feed_forward",
}


def settings_of_torch(layer: Any) -> dict[str, Any]:
    """Read from a layer of torch's what a block of ours is made with; whatever has weights is replaced afterwards."""
    return {
        "d_model": layer.linear1.in_features,
        "n_heads": layer.self_attn.num_heads,
        "d_ff": layer.linear1.out_features,
        "norm": "pre" if layer.norm_first else "post",
        "dropout": layer.dropout1.p,
        "activation": copy.deepcopy(layer.activation),
    }


def settings_for_torch(block: Any) -> dict[str, Any]:
    """Read from a block what a layer of torch's is to be made with."""
    up_proj, residual = block.feed_forward.up_proj, block.add_self_attention
    return {
        "d_model": up_proj.in_features,
        "nhead": block.self_attention.n_heads,
        "dim_feedforward": up_proj.out_features,
        "norm_first": residual.place == "pre",
        "dropout": residual.dropout.p,
        "activation": copy.deepcopy(block.feed_forward.activation),
    }


def check_type(layer: object, kind: type[nn.Module]) -> None:
    """Check that a layer is of a kind of torch's.

    Raises:
        TypeError: if it is another one.
    """
    if not isinstance(layer, kind):
        raise TypeError(f"the layer must be a torch.nn.{kind.__name__}, got {type(layer).__name__}")


def copy_from_torch(layer: Any, block: Any, norms: dict[str, str]) -> None:
    """Put the weights of a layer of torch's into a block; norms go by their names there and here."""
    block.self_attention = MultiHeadAttention.from_torch(layer.self_attn)
    block.feed_forward.up_proj = copy.deepcopy(layer.linear1)
    block.feed_forward.down_proj = copy.deepcopy(layer.linear2)
    for theirs, ours in norms.items():
        getattr(block, ours).norm = copy.deepcopy(getattr(layer, theirs))
    block.train(layer.training)


def copy_to_torch(block: Any, layer: Any, norms: dict[str, str]) -> None:
    """Put the weights of a block into a layer of torch's."""
    layer.self_attn = block.self_attention.to_torch()
    layer.linear1 = copy.deepcopy(block.feed_forward.up_proj)
    layer.linear2 = copy.deepcopy(block.feed_forward.down_proj)
    for theirs, ours in norms.items():
        setattr(layer, theirs, copy.deepcopy(getattr(block, ours).norm))
    layer.train(block.training)


def copied_norm(stack: Any) -> Any:
    """Copy the last norm of a stack, ours or torch's."""
    return copy.deepcopy(stack.norm)
