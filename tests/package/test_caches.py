import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend, fused_attend
from minattn.masks import CAUSAL, Padding
from minattn.scaling.caches import HeavyHitters, LowBits, dequantize, quantize
from tests.package.strategies import ROUNDING, normal

bits_both = pytest.mark.parametrize("bits", [8, 4])


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    bits=st.sampled_from([8, 4]),
    seed=st.integers(0, 10_000),
    size=st.sampled_from([1e-20, 1.0, 1e20]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_no_number_moves_by_more_than_half_a_scale(shape, bits, seed, size, dtype):
    x = (size * normal(*shape, seed=seed)).to(dtype)
    found = dequantize(quantize(x, bits))
    assert found.shape == x.shape and found.dtype == dtype
    bound = x.abs().amax(-1, keepdim=True) / (2**bits - 2)
    assert ((found - x).abs() <= bound * (1 + 1e-5)).all()


@bits_both
@pytest.mark.parametrize("width", [1, 2, 7, 8])
def test_codes_are_found_again_and_rounded_twice_is_rounded_once(bits, width):
    most = 2 ** (bits - 1) - 1
    x = torch.arange(-most, most + 1).double()[:, None].expand(-1, width).clone()
    x[:, 0] = most  # so that the scale is 1
    assert dequantize(quantize(x, bits)).equal(x)
    y = dequantize(quantize(normal(5, width), bits))
    assert_close(dequantize(quantize(y, bits)), y, **ROUNDING)


@bits_both
def test_zeros_stay_zeros(bits):
    assert (dequantize(quantize(torch.zeros(3, 5), bits)) == 0).all()
    assert dequantize(quantize(torch.zeros(0, 5), bits)).shape == (0, 5)


def test_a_cache_in_few_bits_is_small():
    x = normal(2, 4, 100, 16).float()
    assert x.nbytes == 2 * 4 * 100 * 64
    assert quantize(x, 8).n_bytes == 2 * 4 * 100 * (16 + 4)
    assert quantize(x, 4).n_bytes == 2 * 4 * 100 * (8 + 4)


@bits_both
def test_keys_rounded_one_by_one_are_keys_rounded_at_once(bits):
    query, key, value = (normal(2, 3, 7, 5, seed=i) for i in range(3))
    stored, rows = [], []
    for i in range(7):
        stored.append([quantize(x[:, :, i : i + 1], bits) for x in (key, value)])
        k, v = (torch.cat([dequantize(x) for x in kept], 2) for kept in zip(*stored, strict=True))
        rows.append(attend(query[:, :, i : i + 1], k, v, CAUSAL))
    assert_close(torch.cat(rows, 2), LowBits(attend, bits)(query, key, value, CAUSAL), **ROUNDING)


def test_few_bits_are_near_and_fewer_are_not():
    query, key, value = (normal(2, 3, 50, 16, seed=i) for i in range(3))
    exact = fused_attend(query, key, value, CAUSAL)
    apart = [
        (LowBits(bits=b)(query, key, value, CAUSAL) - exact).square().mean().sqrt() for b in (8, 4)
    ]
    assert 0 < apart[0] < 0.01 < apart[1] < 0.3


# Heavy hitters


@given(
    heavy=st.integers(0, 9), recent=st.integers(1, 9), n=st.integers(1, 8), seed=st.integers(0, 999)
)
def test_with_room_for_all_it_is_plain_attention_there_and_back(heavy, recent, n, seed):
    tensors = [normal(2, 3, n, 5, seed=seed + i).requires_grad_() for i in range(3)]
    tokens = normal(2, n, seed=seed + 4) > 0
    if heavy + recent < n:
        return
    found = HeavyHitters(heavy, recent)(*tensors, Padding(tokens))
    expected = attend(*tensors, CAUSAL & Padding(tokens))
    assert_close(found, expected, **ROUNDING)
    grads = (torch.autograd.grad(x.square().sum(), tensors) for x in (found, expected))
    assert_close(*grads, **ROUNDING)


def spelt(query, key, value, heavy, recent):
    """Go through one head with a list of the keys that are kept."""
    n, kept, sums, rows = len(key), [], [0.0] * len(key), []
    for i in range(n):
        kept.append(i)
        older = [j for j in kept if j <= i - recent]
        if len(older) > heavy:
            kept.remove(min(older, key=lambda j: sums[j]))
        assert len(kept) <= heavy + recent
        weights = (key[kept] @ query[i] / key.shape[-1] ** 0.5).softmax(0)
        for j, w in zip(kept, weights.tolist(), strict=True):
            sums[j] += w
        rows.append(weights @ value[kept])
    return torch.stack(rows)


@given(heavy=st.integers(0, 5), recent=st.integers(1, 5), seed=st.integers(0, 999))
def test_it_is_a_loop_that_keeps_a_list(heavy, recent, seed):
    query, key, value = (2 * normal(2, 3, 13, 5, seed=seed + i) for i in range(3))
    found = HeavyHitters(heavy, recent)(query, key, value, CAUSAL)
    for b in range(2):
        for h in range(3):
            right = spelt(query[b, h], key[b, h], value[b, h], heavy, recent)
            assert_close(found[b, h], right, **ROUNDING)


def test_a_key_that_all_look_at_outlives_the_others():
    key, value = torch.zeros(1, 20, 4).double(), torch.eye(20).double()[None]
    key[0, 2] = 10.0
    output = HeavyHitters(heavy=1, recent=3)(torch.ones(1, 20, 4).double(), key, value)
    assert (output[0, 3:, 2] > 0.9).all()
    assert ((output[0] > 0).sum(-1) == torch.tensor([1, 2, 3] + [4] * 17)).all()


@pytest.mark.rejects
def test_what_makes_no_sense_is_rejected(unchecked):
    x = torch.zeros(2, 5, 3)
    for bits in (3, 16, True):
        with pytest.raises(ValueError, match=f"bits must be 8 or 4, got {bits}"):
            quantize(x, bits)
        with pytest.raises(ValueError, match=f"bits must be 8 or 4, got {bits}"):
            LowBits(attend, bits)
    with pytest.raises(TypeError, match="x must hold floating-point numbers, got torch"):
        quantize(x.long())
    with pytest.raises(ValueError, match="must be finite, got"):
        quantize(x / 0)
    with pytest.raises(ValueError, match="heavy must be at least 0, got -1"):
        HeavyHitters(-1, 1)
    with pytest.raises(ValueError, match="recent must be at least 1, got 0"):
        HeavyHitters(1, 0)
    with pytest.raises(ValueError, match="one for each key, got 4 queries and 5 keys"):
        HeavyHitters(1, 1)(x[:, :4], x, x)
