import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend, fused_attend
from minattn.masks import CAUSAL, Padding, Window
from minattn.multihead import MultiHeadAttention
from minattn.recording import recording
from minattn.scaling.blockwise import blockwise_attend
from minattn.scaling.patterns import SinkWindow
from minattn.scaling.sharing import LatentAttention, grouped_attend
from tests.package.strategies import ROUNDING, built, normal

B, Q, K, D_K, D_V = 2, 5, 7, 11, 13
TOKENS = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]]).bool()
MASKS = {
    "none": None,
    "causal": CAUSAL,
    "window": Window(before=1, after=1),
    "sinks": SinkWindow(1, 2),
    "padding": CAUSAL & Padding(TOKENS),
    "tensor for each head": normal(B, 6, Q, K, seed=9) > 0,
    "tensor for all heads": normal(B, 1, Q, K, seed=9) > 0,
    "table": normal(Q, K, seed=9) > 0,
}
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-6}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("inner", [attend, fused_attend, blockwise_attend])
def test_grouped_is_a_copy_for_every_head_there_and_back(mask, groups, inner):
    shapes = (B, 6, Q, D_K), (B, groups, K, D_K), (B, groups, K, D_V)
    tensors = [normal(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    query, *shared = tensors
    copies = [x.repeat_interleave(6 // groups, 1) for x in shared]
    found, expected = (
        grouped_attend(*tensors, mask, attend=inner),
        attend(query, *copies, mask),
    )
    assert_close(found, expected, **ROUNDING)
    grads = (torch.autograd.grad(x.square().sum(), tensors) for x in (found, expected))
    assert_close(*grads, **ROUNDING)


@given(
    heads=st.sampled_from([(1, 1), (2, 1), (4, 2), (6, 3), (5, 5)]),
    queries=st.integers(1, 6),
    keys=st.integers(1, 6),
    seed=st.integers(0, 10_000),
    dtype=st.sampled_from(list(CLOSE)),
)
def test_grouped_is_equal_for_every_shape(heads, queries, keys, seed, dtype):
    n_heads, groups = heads
    query, key, value = (
        normal(2, h, n, 3, seed=seed + i).to(dtype)
        for i, (h, n) in enumerate([(n_heads, queries), (groups, keys), (groups, keys)])
    )
    found = grouped_attend(query, key, value, CAUSAL)
    copies = [x.repeat_interleave(n_heads // groups, 1) for x in (key, value)]
    assert (found - attend(query, *copies, CAUSAL)).abs().max() <= CLOSE[dtype]


def test_as_many_groups_as_heads_are_multi_head_attention():
    tensors = [normal(B, 6, n, D_K, seed=i) for i, n in enumerate((Q, K, K))]
    assert_close(grouped_attend(*tensors, CAUSAL), fused_attend(*tensors, CAUSAL), **ROUNDING)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_multi_head_attention_with_shared_keys_is_grouped(groups):
    layer = built(lambda: MultiHeadAttention(12, 4, groups))
    x = normal(B, K, 12)
    k, v = layer.keys_values(x, x)
    assert k.shape == (B, groups, K, 3)
    q = layer.q_proj(x).unflatten(-1, (4, 3)).transpose(1, 2)
    found = layer.out_proj(grouped_attend(q, k, v, CAUSAL).transpose(1, 2).flatten(2))
    assert_close(found, layer(x, x, x, CAUSAL), **ROUNDING)


@pytest.mark.parametrize("mask", [None, CAUSAL, Padding(TOKENS), Window(2, 0)], ids=str)
@pytest.mark.parametrize("inner", [attend, fused_attend, blockwise_attend])
@pytest.mark.parametrize("d_latent", [1, 5, 23])
def test_to_attend_to_the_latents_is_to_attend_to_keys(mask, inner, d_latent):
    layer = built(lambda: LatentAttention(14, 2, d_latent, attend=inner))
    query, tokens = normal(B, Q, 14).requires_grad_(), normal(B, K, 14, seed=1).requires_grad_()
    found = layer.attend_to(query, layer.latents(tokens), mask)
    expected = layer(query, tokens, mask)
    assert_close(found, expected, **ROUNDING)
    wanted = [query, tokens, *layer.parameters()]
    grads = (torch.autograd.grad(x.square().sum(), wanted) for x in (found, expected))
    assert_close(*grads, **ROUNDING)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 7), dtype=st.sampled_from(list(CLOSE)))
def test_token_by_token_with_a_cache_is_all_at_once(seed, n, dtype):
    layer = built(lambda: LatentAttention(6, 3, 4), seed).to(dtype)
    x = normal(2, n, 6, seed=seed).to(dtype)
    kept, rows = x.new_zeros(2, 0, 4), []
    for i in range(n):
        new = x[:, i : i + 1]
        kept = torch.cat([kept, layer.latents(new)], 1)
        rows.append(layer.attend_to(new, kept, CAUSAL))
    found, expected = torch.cat(rows, 1), layer(x, x, CAUSAL)
    assert (found - expected).abs().max() <= CLOSE[dtype]


def test_a_latent_layer_is_multi_head_attention_with_maps_of_low_rank():
    layer = built(lambda: LatentAttention(14, 2, 3))
    other = built(lambda: MultiHeadAttention(14, 2, bias=False))
    with torch.no_grad():
        for name in ("q_proj", "out_proj"):
            getattr(other, name).weight.copy_(getattr(layer, name).weight)
        other.k_proj.weight.copy_(layer.k_proj.weight @ layer.latent_proj.weight)
        other.v_proj.weight.copy_(layer.v_proj.weight @ layer.latent_proj.weight)
    x = normal(B, K, 14)
    assert_close(layer(x, x, CAUSAL), other(x, x, x, CAUSAL), **ROUNDING)


def test_its_weights_are_recorded():
    layer = built(lambda: LatentAttention(14, 2, 3))
    x = normal(B, K, 14)
    with recording(layer) as record:
        layer.attend_to(x, layer.latents(x), CAUSAL)
    (name,) = record.calls
    # Both heads are one to the attend: their queries stand one after the other.
    assert record.weights(name).shape == (B, 1, 2 * K, K)


@pytest.mark.rejects
def test_what_does_not_fit_is_rejected(unchecked):
    for query, key in (((2, 6, 5, 3), (2, 4, 7, 3)), ((2, 5, 3), (2, 7, 3))):
        with pytest.raises(ValueError, match=r"where kv_heads divides heads, got \(2"):
            grouped_attend(torch.zeros(query), torch.zeros(key), torch.zeros(key))
    with pytest.raises(ValueError, match="one value for each key"):
        grouped_attend(torch.zeros(2, 6, 5, 3), torch.zeros(2, 2, 7, 3), torch.zeros(2, 2, 6, 3))
    with pytest.raises(ValueError, match="n_heads must divide the width, got 4 heads for width 6"):
        LatentAttention(6, 4, 2)
    with pytest.raises(ValueError, match="d_latent must be at least 1, got 0"):
        LatentAttention(6, 2, 0)
