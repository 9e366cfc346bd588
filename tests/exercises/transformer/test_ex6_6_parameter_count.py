from torch import nn

from minattn.exercises.transformer.ex6_6_parameter_count import count_parameters
from minattn.transformer import DecoderBlock, EncoderBlock

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def count_by_making(d_model, n_heads, d_ff):
    blocks = EncoderBlock(d_model, n_heads, d_ff), DecoderBlock(d_model, n_heads, d_ff)
    return tuple(sum(p.numel() for p in block.parameters()) for block in blocks)


def count_by_heads(d_model, n_heads, d_ff):
    d_head = d_model // n_heads
    attention = 3 * n_heads * (d_model * d_head + d_head) + d_model * n_heads * d_head + d_model
    feed_forward = (d_model + 1) * d_ff + (d_ff + 1) * d_model
    return [k * (attention + 2 * d_model) + feed_forward + 2 * d_model for k in (1, 2)]


OTHER_WAYS = [count_by_making, count_by_heads]


# Wrong ways, written as a learner writes them.


def count_fused(d_model, n_heads, d_ff):
    """Count in the way of torch's modules, and forget the norms."""
    attention = nn.MultiheadAttention(d_model, n_heads)
    n = sum(p.numel() for p in attention.parameters())
    m = sum(
        p.numel()
        for f in (nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model))
        for p in f.parameters()
    )
    return n + m, 2 * n + m


def count_without_norm_bias(d_model, n_heads, d_ff):
    encoder, decoder = count_by_making(d_model, n_heads, d_ff)
    return encoder - 2 * d_model, decoder - 3 * d_model


def count_decoder_without_bias(d_model, n_heads, d_ff):
    encoder, decoder = count_parameters(d_model, n_heads, d_ff)
    return encoder, decoder - 8 * d_model


def count_encoder_without_norms(d_model, n_heads, d_ff):
    encoder, decoder = count_parameters(d_model, n_heads, d_ff)
    return encoder - 4 * d_model, decoder


NEAR_MISSES = [
    ("no_bias_in_attention", count_decoder_without_bias),
    ("norms_forgotten", count_encoder_without_norms),
    ("norms_forgotten", count_fused),
    ("norm_without_bias", count_without_norm_bias),
]
