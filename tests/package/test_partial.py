import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend
from minattn.masks import Causal
from minattn.scaling.partial import merge, partial_attend
from tests.package.strategies import EXACT, ROUNDING, normal

# Distinct primes: batch, heads, queries, keys, d_k, d_v.
B, H, Q, K, D_K, D_V = 2, 3, 5, 7, 11, 13
QUERY, KEY, VALUE = normal(B, H, Q, D_K), normal(B, H, K, D_K, seed=1), normal(B, H, K, D_V, seed=2)


def by_hand(query, key, value, allowed, scale):
    """A slow loop, of one query and one key at a time."""
    output, log_total = torch.zeros(len(query), value.shape[-1]).double(), []
    for i, q in enumerate(query):
        powers = [
            math.exp(scale * float(q @ k)) if allowed[i, j] else 0.0 for j, k in enumerate(key)
        ]
        total = sum(powers)
        for power, v in zip(powers, value, strict=True):
            output[i] += power * v / total if total else 0
        log_total.append(math.log(total) if total else -math.inf)
    return output, torch.tensor(log_total, dtype=torch.float64)


@pytest.mark.parametrize("scale", [None, -0.7])
def test_it_is_a_slow_loop(scale):
    allowed = normal(Q, K, seed=3) > 0
    allowed[2] = False
    found = partial_attend(QUERY[0, 0], KEY[0, 0], VALUE[0, 0], allowed, scale)
    expected = by_hand(QUERY[0, 0], KEY[0, 0], VALUE[0, 0], allowed, scale or D_K**-0.5)
    assert_close(found, expected, **ROUNDING)
    assert found[1][2] == -math.inf and (found[0][2] == 0).all()


def test_of_all_keys_it_is_attend():
    for mask in (None, Causal(), normal(B, 1, Q, K, seed=3) > 0):
        output, log_total = partial_attend(QUERY, KEY, VALUE, mask)
        assert_close(output, attend(QUERY, KEY, VALUE, mask), **ROUNDING)
        assert log_total.shape == (B, H, Q)


def test_of_no_keys_it_is_nothing():
    output, log_total = partial_attend(QUERY, KEY[..., :0, :], VALUE[..., :0, :])
    assert (output == 0).all() and (log_total == -math.inf).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_computed_and_kept_in_float32(dtype):
    tensors = [x.to(dtype) for x in (QUERY, KEY, VALUE)]
    found = partial_attend(*tensors)
    assert [x.dtype for x in found] == [torch.float32, torch.float32]
    assert_close(found, partial_attend(*(x.float() for x in tensors)), rtol=1e-6, atol=1e-6)


@st.composite
def splits(draw):
    """Draw a lookup with large scores, blind queries among them, and its keys dealt out to three parts."""
    queries, keys = draw(st.integers(1, 6)), draw(st.integers(0, 9))
    size = draw(st.sampled_from([0.1, 1.0, 30.0, 1000.0]))
    seed = draw(st.integers(0, 10_000))
    tensors = size * normal(queries, 2, seed=seed), normal(keys, 2, seed=seed + 1)
    value, allowed = normal(keys, 3, seed=seed + 2), normal(queries, keys, seed=seed + 3) > 0
    part_of = torch.tensor(draw(st.lists(st.integers(0, 2), min_size=keys, max_size=keys)))
    return *tensors, value, allowed, [(part_of == part).nonzero()[:, 0] for part in range(3)]


@given(splits())
def test_merged_parts_are_attention_to_all_in_any_order_and_grouping(drawn):
    query, key, value, allowed, parts = drawn
    a, b, c = (partial_attend(query, key[x], value[x], allowed[:, x]) for x in parts)
    whole = partial_attend(query, key, value, allowed)
    for found in (
        merge(merge(a, b), c),
        merge(a, merge(b, c)),
        merge(c, merge(b, a)),
        merge(merge(b, c), a),
    ):
        assert_close(found, whole, rtol=1e-9, atol=1e-9)


@given(splits())
def test_gradients_go_through_merged_parts(drawn):
    query, key, value, allowed, parts = drawn
    tensors = [x.clone().requires_grad_() for x in (query, key, value)]
    q, k, v = tensors
    pieces = [partial_attend(q, k[x], v[x], allowed[:, x]) for x in parts]
    found = torch.autograd.grad(functools.reduce(merge, pieces)[0].square().sum(), tensors)
    expected = torch.autograd.grad(attend(*tensors, allowed).square().sum(), tensors)
    scale = 1 + max(float(x.abs().max()) if x.numel() else 0.0 for x in expected)
    for x, y in zip(found, expected, strict=True):
        assert_close(x / scale, y / scale, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [800.0, -800.0, 1e30])
def test_powers_too_large_or_too_small_for_a_number_do_no_harm(size):
    def partial(output, log_total):
        return normal(1, 1) * 0 + output, normal(1) * 0 + log_total

    one, three, nothing = partial(1, size), partial(3, size), partial(0, -math.inf)
    for first, second in ((one, three), (three, one)):
        assert_close(merge(first, second), partial(2, size + math.log(2)), **ROUNDING)
    for first, second in ((one, nothing), (nothing, one)):
        assert_close(merge(first, second), one, **EXACT)
    assert_close(merge(nothing, nothing), nothing, **EXACT)


@pytest.mark.rejects
def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"one value for each key, got .*7, 11\).*6, 13\)"):
        partial_attend(QUERY, KEY, VALUE[..., 1:, :])
    with pytest.raises(TypeError, match=r"a mask must be bool.*float64"):
        partial_attend(QUERY, KEY, VALUE, normal(Q, K))
    with pytest.raises(ValueError, match="scale must be a finite number, got nan"):
        partial_attend(QUERY, KEY, VALUE, scale=math.nan)
