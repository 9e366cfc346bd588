import functools
import math
import operator
import re
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from minattn.alignment import (
    AdditiveAttention,
    MultiplicativeAttention,
    attention_weights,
    dot_scores,
    masked_softmax,
    uniform_attention,
    with_temperature,
)
from minattn.dot_product import (
    DotProductAttention,
    attend,
    fused_attend,
    numpy_attend,
    numpy_attend_backward,
)
from minattn.masks import Causal, Mask, Padding, Window
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator
from minattn.vocabulary import pad
from tests.package.strategies import (
    EXACT,
    ROUNDING,
    built,
    dot_attention,
    gaussian_attention,
    normal,
    spelt_out,
)

# Distinct primes for the twins: batch, heads, queries, keys, d_k, d_v.
B, H, Q, K, D_K, D_V = 2, 3, 5, 7, 11, 13
SCORES = (B, H, Q, K)
QUERY, KEY = normal(B, H, Q, D_K, seed=1), normal(B, H, K, D_K, seed=2)
VALUE, GRAD_OUTPUT = normal(B, H, K, D_V, seed=3), normal(B, H, Q, D_V, seed=4)
TOKENS = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1, 1]]).bool()
MASK = normal(*SCORES, seed=5) > 0
MASK[1, 2, 3] = False  # a query without a key
MASKS = {
    "no mask": None,
    "one row for all queries": MASK[:, :, :1],
    "one for all heads": MASK[:, :1],
    "one for each query": MASK,
    "causal": Causal(),
    "window": Window(before=1, after=2),
    "padding": Padding(TOKENS),
    "both": Causal() & Padding(TOKENS),
    "all three": MASK[0, 0] & Window(before=3, after=1) & Padding(TOKENS),
}
BIAS = normal(H, Q, K, seed=6)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]

masks = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
torch_attends = pytest.mark.parametrize("attends", [attend, fused_attend], ids=["attend", "fused"])
d_values = pytest.mark.parametrize("d_v", [D_K, D_V], ids=["d_v = d_k", "d_v > d_k"])
"""Torch has a kernel of its own for values as wide as keys, and goes another way for others."""


def as_arrays(query, key, value, mask):
    """Turn the arguments of an attend into those of numpy_attend."""
    if mask is not None:
        mask = spelt_out(mask, (*query.shape[:-1], key.shape[-2])).numpy()
    return [*(x.detach().numpy() for x in (query, key, value)), mask]


def numpy_lookup(query, key, value, mask=None):
    """Call numpy_attend with tensors."""
    return torch.from_numpy(numpy_attend(*as_arrays(query, key, value, mask))[0])


every_attend = pytest.mark.parametrize(
    "attends", [numpy_lookup, attend, fused_attend], ids=["numpy", "attend", "fused"]
)


def autograd(attends, grad_output, query, key, value, mask=None):
    """Return the gradients with respect to query, key and value, as torch finds them."""
    tensors = [x.detach().clone().requires_grad_() for x in (query, key, value)]
    return torch.autograd.grad(attends(*tensors, mask), tensors, grad_output)


def by_hand(grad_output, query, key, value, mask=None):
    arrays = as_arrays(query, key, value, mask)
    return tuple(map(torch.from_numpy, numpy_attend_backward(grad_output.numpy(), *arrays)))


every_gradient = pytest.mark.parametrize(
    "gradients",
    [by_hand, partial(autograd, attend), partial(autograd, fused_attend)],
    ids=["numpy", "attend", "fused"],
)


def reference_attend(query, key, value, mask=None, bias=None, scale=None):
    """Attend with nothing but sums over plain numbers; return the output and the weights."""
    leading = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    shape = (*leading, query.shape[-2], key.shape[-2])
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    bias = torch.zeros(shape) if bias is None else bias
    rows = [
        x.expand(*leading, *x.shape[-2:]).reshape(math.prod(leading), *x.shape[-2:]).tolist()
        for x in (query, key, value, spelt_out(mask, shape), bias)
    ]
    outputs, weights = [], []
    for q, k, v, allowed, b in zip(*rows, strict=True):
        for i, q_i in enumerate(q):
            seen = [j for j in range(len(k)) if allowed[i][j] and b[i][j] > -math.inf]
            scores = {
                j: scale * sum(x * y for x, y in zip(q_i, k[j], strict=True)) + b[i][j]
                for j in seen
            }
            powers = {j: math.exp(scores[j] - max(scores.values())) for j in seen}
            row = [powers[j] / sum(powers.values()) if j in powers else 0.0 for j in range(len(k))]
            weights.append(row)
            outputs.append(
                [sum(row[j] * v[j][c] for j in range(len(k))) for c in range(value.shape[-1])]
            )
    return (
        torch.tensor(outputs, dtype=torch.float64).reshape(*shape[:-1], value.shape[-1]),
        torch.tensor(weights, dtype=torch.float64).reshape(shape),
    )


# Twins


@masks
@every_attend
@d_values
def test_every_attend_is_the_loop_over_the_formula(attends, mask, d_v):
    value = VALUE[..., :d_v]
    expected, _ = reference_attend(QUERY, KEY, value, mask)
    assert_close(attends(QUERY, KEY, value, mask), expected, **ROUNDING)


@masks
def test_the_weights_are_those_of_the_loop(mask):
    _, expected = reference_attend(QUERY, KEY, VALUE, mask)
    _, weights = numpy_attend(*as_arrays(QUERY, KEY, VALUE, mask))
    assert_close(torch.from_numpy(weights), expected, **ROUNDING)
    for attends in (attend, fused_attend):
        allowed = spelt_out(mask, SCORES)
        assert_close(attention_weights(attends, QUERY, KEY, allowed), expected, **ROUNDING)


@masks
def test_numpy_attends_in_the_type_of_its_arrays(mask):
    arrays = as_arrays(QUERY.float(), KEY.float(), VALUE.float(), mask)
    gradients = numpy_attend_backward(GRAD_OUTPUT.float().numpy(), *arrays)
    assert {x.dtype for x in (*numpy_attend(*arrays), *gradients)} == {np.dtype(np.float32)}


@masks
@torch_attends
@d_values
@pytest.mark.parametrize("scale", [None, 0.3, -0.7])
def test_a_bias_is_added_to_the_scaled_scores(attends, mask, scale, d_v):
    value = VALUE[..., :d_v]
    expected, _ = reference_attend(QUERY, KEY, value, mask, BIAS, scale)
    output = attends(QUERY, KEY, value, mask, bias=BIAS, scale=scale)
    assert_close(output, expected, **ROUNDING)


@masks
@torch_attends
@pytest.mark.parametrize("scale", [None, 0.3])
def test_every_attend_is_torchs_own(attends, mask, scale):
    forbidden = torch.zeros(SCORES).double().masked_fill(~spelt_out(mask, SCORES), -math.inf)
    for bias in (None, BIAS):
        expected = F.scaled_dot_product_attention(
            QUERY,
            KEY,
            VALUE,
            attn_mask=forbidden if bias is None else forbidden + bias,
            scale=scale,
        )
        output = attends(QUERY, KEY, VALUE, mask, bias=bias, scale=scale)
        assert_close(output, expected, **ROUNDING)


@masks
@pytest.mark.parametrize("shape", [(K,), (Q, 1), (1, K), (Q, K), (H, 1, K), (B, 1, 1, K)], ids=str)
def test_a_bias_may_be_one_for_many(shape, mask):
    bias = normal(*shape, seed=7)
    expected, _ = reference_attend(QUERY, KEY, VALUE, mask, bias.expand(SCORES))
    for attends in (attend, fused_attend):
        assert_close(attends(QUERY, KEY, VALUE, mask, bias=bias), expected, **ROUNDING)


@masks
def test_a_bias_by_distance_makes_an_attend_that_goes_wherever_an_attend_goes(mask):
    # As in ALiBi: each head has a slope of its own, and the queries stand at the last keys.
    distance = torch.arange(K - Q, K)[:, None] - torch.arange(K)
    bias = -torch.tensor([0.5, 0.25, 0.125])[:, None, None].double() * distance.abs()
    expected, expected_weights = reference_attend(QUERY, KEY, VALUE, mask, bias)
    for attends in (partial(attend, bias=bias), partial(fused_attend, bias=bias)):
        assert_close(attends(QUERY, KEY, VALUE, mask), expected, **ROUNDING)
        weights = attention_weights(attends, QUERY, KEY, spelt_out(mask, SCORES))
        assert_close(weights, expected_weights, **ROUNDING)


# Gradients


@masks
@every_gradient
@d_values
def test_every_gradient_is_that_of_finite_differences(gradients, mask, d_v):
    inputs = [QUERY, KEY, VALUE[..., :d_v]]
    grad_output = GRAD_OUTPUT[..., :d_v]
    found = gradients(grad_output, *inputs, mask)
    step = 1e-5
    for i, (tensor, gradient) in enumerate(zip(inputs, found, strict=True)):
        assert gradient.shape == tensor.shape
        # One direction tells of all numbers at once; the error is the step squared, and rounding over it.
        direction = normal(*tensor.shape, seed=8)
        ahead, behind = (
            numpy_lookup(*inputs[:i], tensor + sign * step * direction, *inputs[i + 1 :], mask)
            for sign in (1, -1)
        )
        slope = (grad_output * (ahead - behind)).sum() / (2 * step)
        assert_close((gradient * direction).sum(), slope, rtol=1e-7, atol=1e-7)


@masks
@d_values
def test_gradients_by_hand_are_those_of_autograd(mask, d_v):
    inputs = [GRAD_OUTPUT[..., :d_v], QUERY, KEY, VALUE[..., :d_v], mask]
    expected = autograd(attend, *inputs)
    assert_close(by_hand(*inputs), expected, **ROUNDING)
    assert_close(autograd(fused_attend, *inputs), expected, **ROUNDING)


@torch_attends
@pytest.mark.parametrize("d_v", [3, 2])
@pytest.mark.parametrize(
    "mask", [None, Causal(), MASK[:, 0], Window(1, 1) & Padding(TOKENS)], ids=str
)
def test_gradcheck(attends, mask, d_v):
    shapes = ((B, Q, 3), (B, K, 3), (B, K, d_v))
    inputs = [normal(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(lambda *x: attends(*x, mask), inputs)
    bias = normal(Q, K, seed=9).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *x: attends(*x[:3], mask, bias=x[3], scale=0.6), [*inputs, bias]
    )


@torch_attends
@pytest.mark.parametrize("mask", [None, Causal()], ids=str)
def test_a_bias_can_be_learned(attends, mask):
    # One number for each distance, those beyond 2 alike.
    distance = torch.arange(K - Q, K)[:, None] - torch.arange(K)
    table = normal(5, seed=10).requires_grad_()
    index = distance.clamp(-2, 2) + 2

    def lookup(table):
        return partial(attends, bias=table[index])(QUERY[:, 0], KEY[:, 0], VALUE[:, 0, :, :2], mask)

    assert torch.autograd.gradcheck(lookup, table)
    (gradient,) = torch.autograd.grad(lookup(table).square().sum(), table)
    # Under a causal mask what lies ahead, at distance -2 and -1, is not read.
    assert (gradient == 0).tolist() == [mask is not None] * 2 + [False] * 3


# The lookups of chapter 2 are this lookup

CHAPTER_2_MASKS = {"no mask": None, "a row each": MASK[:, 0], "one row": TOKENS[:, None]}
chapter_2 = pytest.mark.parametrize("mask", CHAPTER_2_MASKS.values(), ids=CHAPTER_2_MASKS)


@chapter_2
@torch_attends
def test_multiplicative_attention_is_dot_product_attention_on_projected_keys(attends, mask):
    query, key, value = QUERY[:, 0], normal(B, K, 17), VALUE[:, 0]
    layer = built(lambda: MultiplicativeAttention(D_K, 17, temperature=math.sqrt(D_K)))
    expected = layer(query, key, value, mask)
    assert_close(attends(query, layer.k_proj(key), value, mask), expected, **ROUNDING)


@chapter_2
@torch_attends
def test_nearness_is_a_dot_product_and_the_length_of_the_key(attends, mask):
    # |q - k|^2 = |q|^2 - 2 q.k + |k|^2, and what all keys share falls out of the softmax.
    query, key, value = QUERY[:, 0], KEY[:, 0], VALUE[:, 0]
    expected = gaussian_attention(query, key, value, mask, bandwidth=1.3)
    bias = -key.square().sum(-1)[:, None] / (2 * 1.3**2)
    assert_close(
        attends(query, key, value, mask, bias=bias, scale=1 / 1.3**2), expected, **ROUNDING
    )


@chapter_2
@torch_attends
def test_scores_of_any_kind_are_a_bias_beside_no_dot_product(attends, mask):
    query, key, value = QUERY[:, 0], KEY[:, 0], VALUE[:, 0]
    layer = built(lambda: AdditiveAttention(D_K, D_K, 17))
    bias = layer.scores(query, key)
    output = attends(query, key, value, mask, bias=bias, scale=0.0)
    assert_close(output, layer(query, key, value, mask), **ROUNDING)


@chapter_2
@torch_attends
def test_the_scale_is_a_temperature(attends, mask):
    query, key, value = QUERY[:, 0], KEY[:, 0], VALUE[:, 0]
    plain = attends(query, key, value, mask, scale=1.0)
    assert_close(plain, dot_attention(query, key, value, mask), **ROUNDING)
    uniform = attends(query, key, value, mask, scale=0.0)
    assert_close(uniform, uniform_attention(query, key, value, mask), **ROUNDING)
    tempered = with_temperature(attends, 0.5)(query, key, value, mask)
    sharp = attends(query, key, value, mask, scale=2 / math.sqrt(D_K))
    # A logarithm and back loses some digits.
    assert_close(tempered, sharp, rtol=1e-8, atol=1e-10)


# What is handed to torch


@pytest.fixture
def calls(monkeypatch):
    """Watch what torch's function is called with."""
    seen, original = [], F.scaled_dot_product_attention

    def spy(query, key, value, **settings):
        seen.append({"query": query, "key": key, "value": value, **settings})
        return original(query, key, value, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    return seen


LEADING = [(), (B,), (B, H), (B, H, 5), (B, 1, H, 1)]


@pytest.mark.parametrize("leading", LEADING, ids=str)
@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
def test_torch_gets_four_axes_and_nothing_else(calls, leading, biased):
    shapes = ((Q, D_K), (K, D_K), (K, D_V))
    tensors = [normal(*leading, *shape, seed=i) for i, shape in enumerate(shapes)]
    bias = BIAS[0] if biased else None
    mask = normal(Q, K) > 0
    for given_mask in (None, Causal(), mask, mask[:1], mask.expand(*leading, Q, K)):
        output = fused_attend(*tensors, given_mask, bias=bias)
        assert output.shape == (*leading, Q, D_V)
        (call,) = calls
        calls.clear()
        for name in ("query", "key", "value", "attn_mask"):
            assert call[name] is None or call[name].ndim == 4, name
        assert (call["attn_mask"] is None) == (given_mask is None and not biased)
        assert_close(output, attend(*tensors, given_mask, bias=bias), **ROUNDING)


def test_a_causal_mask_is_handed_over_as_the_flag(calls):
    square = normal(B, K, D_K)
    fused_attend(square, square, square, Causal())
    assert (calls[-1]["attn_mask"], calls[-1]["is_causal"]) == (None, True)
    # Where the numbers differ, torch means another triangle; a bias and the flag exclude each other.
    fused_attend(square[:, :Q], square, square, Causal())
    assert calls[-1]["attn_mask"].dtype == torch.bool and not calls[-1]["is_causal"]
    fused_attend(square, square, square, Causal(), bias=torch.zeros(K, K))
    assert calls[-1]["attn_mask"].is_floating_point() and not calls[-1]["is_causal"]


class Sizes(TorchDispatchMode):
    """Note the shape of every tensor that torch makes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, Tensor):
                self.seen.append(tuple(tensor.shape))
        return made


@pytest.mark.parametrize("mask", [None, Causal()], ids=str)
def test_fused_attention_makes_no_number_for_every_pair_there_and_back(mask):
    n = 97
    query, key, value = (normal(B, n, D_K, seed=i).requires_grad_() for i in range(3))
    made = {}
    for attends in (attend, fused_attend):
        with Sizes() as sizes:
            torch.autograd.grad(attends(query, key, value, mask).sum(), (query, key, value))
        made[attends] = any(math.prod(shape) >= n * n for shape in sizes.seen)
    assert made == {attend: True, fused_attend: False}


# Laws, for inputs of every type, layout and number of axes

LAYOUTS = {
    "plain": lambda x: x,
    "transposed": lambda x: x.mT.contiguous().mT,
    "some rows of more": lambda x: torch.cat([x + 1, x], dim=-2)[..., x.shape[-2] :, :],
    "every other feature": lambda x: torch.stack([x, x + 1], dim=-1)[..., 0],
    "one row for all": lambda x: x[..., :1, :].expand_as(x),
    "one feature for all": lambda x: x[..., :1].expand_as(x),
    "one for the whole batch": lambda x: x[(slice(1),) * (x.ndim - 2)].expand_as(x),
}


class Lookup(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Mask

    @property
    def allowed(self):
        return spelt_out(self.mask, (*self.query.shape[:-1], self.key.shape[-2]))

    @property
    def rounding(self):
        """Say how far results may be from exact ones, from how attention rounds.

        With u = eps / 2 for one rounding: a score is rounded some three times, so it is off by 3u times the
        sum of the sizes of its terms; that changes a weight by twice as much, relatively. The weight is
        rounded once or twice more, and so is the output, a mean of values.
        """
        largest = (self.query.double().abs() @ self.key.double().abs().mT).max()
        largest_score = largest.item() / math.sqrt(self.query.shape[-1])
        eps = torch.finfo(self.value.dtype).eps
        atol = 4 * eps * (1 + largest_score) * self.value.double().abs().max().item()
        return {"rtol": 0.0, "atol": atol, "check_dtype": False}


@st.composite
def tensor_masks(draw, leading, queries, keys):
    """Draw a tensor that broadcasts to the scores; it may leave out axes, and be blind."""
    axes = [draw(st.sampled_from([1, n])) for n in (*leading, queries)]
    n_left_out = draw(st.integers(0, len(leading)))
    mask = normal(*axes[n_left_out:], keys, seed=draw(st.integers(0, 10_000))) > -0.5
    return draw(st.sampled_from([mask, mask.mT.contiguous().mT]))


@st.composite
def lookups(draw, dtypes=DTYPES, min_axes=0):
    leading = draw(st.lists(st.integers(1, 3), min_size=min_axes, max_size=3))
    queries, keys, d_k = (draw(st.integers(1, 6)) for _ in range(3))
    d_v = draw(st.sampled_from([d_k, 1, 5]))
    dtype, seed = draw(st.sampled_from(dtypes)), draw(st.integers(0, 10_000))
    tensors = [
        LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](
            normal(*leading, n, d, seed=seed + i).to(dtype)
        )
        for i, (n, d) in enumerate(((queries, d_k), (keys, d_k), (keys, d_v)))
    ]
    kinds = {
        "tensor": tensor_masks(leading, queries, keys),
        "causal": st.just(Causal()),
        "window": st.builds(Window, st.integers(0, 4), st.integers(0, 4)),
    }
    if leading:
        kinds["padding"] = st.just(Padding(normal(leading[0], keys, seed=seed + 3) > -0.5))
    chosen = draw(st.lists(st.sampled_from(list(kinds)), max_size=2))
    parts = [draw(kinds[kind]) for kind in chosen]
    return Lookup(*tensors, functools.reduce(operator.and_, parts) if parts else None)


@torch_attends
@given(inputs=lookups())
def test_inputs_of_every_type_and_layout_give_the_loop_over_the_formula(attends, inputs):
    output = attends(*inputs)
    assert output.dtype == inputs.value.dtype
    expected, _ = reference_attend(*inputs)
    assert_close(output, expected, **inputs.rounding)


@given(inputs=lookups(dtypes=DTYPES[:2]))
def test_arrays_of_every_type_and_layout_give_the_loop_over_the_formula(inputs):
    output = numpy_lookup(*inputs)
    assert output.dtype == inputs.value.dtype
    expected, _ = reference_attend(*inputs)
    assert_close(output, expected, **inputs.rounding)


def thinned(draw, tensor):
    """Keep one of some leading axes, and leave out some that have but one."""
    thin = tensor[tuple(slice(draw(st.sampled_from([1, n]))) for n in tensor.shape[:-2])]
    while thin.ndim > 2 and len(thin) == 1 and draw(st.booleans()):
        thin = thin[0]
    return thin


@torch_attends
@given(inputs=lookups(dtypes=DTYPES[:1], min_axes=1), which=st.sampled_from([0, 1]), data=st.data())
def test_a_query_or_a_key_may_be_one_for_many(attends, inputs, which, data):
    *tensors, mask = inputs
    whole = tensors[which]
    thin = thinned(data.draw, whole)
    tensors[which] = thin.expand_as(whole)
    expected = attends(*tensors, mask)
    tensors[which] = thin
    assert_close(attends(*tensors, mask), expected, **ROUNDING)


@pytest.mark.parametrize(
    "leading",
    [
        ((), (B,), (B,)),
        ((B,), (), ()),
        ((B, H), (B, 1), (B, 1)),
        ((B, H), (H,), (1, 1)),
        ((B, 1, H), (5, 1), (B, 1, 1)),
        ((), (), (B,)),
    ],
    ids=str,
)
@torch_attends
def test_leading_axes_of_all_three_broadcast(attends, leading):
    shapes = ((Q, D_K), (K, D_K), (K, D_V))
    tensors = [
        normal(*axes, *shape, seed=i)
        for i, (axes, shape) in enumerate(zip(leading, shapes, strict=True))
    ]
    whole = torch.broadcast_shapes(*leading)
    for mask in (None, Causal(), MASK[0, 0], normal(*whole, Q, K, seed=9) > 0):
        expected, _ = reference_attend(*tensors, mask)
        assert_close(attends(*tensors, mask), expected, **ROUNDING)


@every_attend
@given(inputs=lookups(dtypes=DTYPES[:2]))
def test_weights_sum_to_one_so_values_that_are_all_alike_come_back(attends, inputs):
    query, key, value, mask = inputs
    alike = value[..., :1, :].expand_as(value)
    seen = inputs.allowed.any(-1, keepdim=True)
    expected = alike[..., :1, :] * seen
    assert_close(attends(query, key, alike, mask), expected, **inputs.rounding)


@torch_attends
@given(inputs=lookups())
def test_every_feature_lies_between_the_smallest_and_the_largest_allowed_one(attends, inputs):
    output = attends(*inputs).double()
    allowed, values = inputs.allowed[..., None], inputs.value[..., None, :, :].double()
    low = torch.where(allowed, values, math.inf).amin(-2)
    high = torch.where(allowed, values, -math.inf).amax(-2)
    seen, slack = inputs.allowed.any(-1), inputs.rounding["atol"]
    assert bool((low - slack <= output)[seen].all() and (output <= high + slack)[seen].all())
    assert_close(output[~seen], torch.zeros_like(output[~seen]), **EXACT)


@torch_attends
@given(inputs=lookups(), data=st.data())
def test_under_a_causal_mask_the_future_does_not_matter(attends, inputs, data):
    query, key, value, mask = inputs
    n_queries, n_keys = query.shape[-2], key.shape[-2]
    mask = Causal() if mask is None else mask & Causal()
    now = data.draw(st.integers(0, n_queries - 1))
    n_seen = max(0, now + n_keys - n_queries + 1)
    other = [100 * normal(*x.shape, seed=11).to(x.dtype) for x in (key, value)]
    changed = [
        torch.cat([x[..., :n_seen, :], y[..., n_seen:, :]], dim=-2)
        for x, y in zip((key, value), other, strict=True)
    ]
    before, after = attends(query, key, value, mask), attends(query, *changed, mask)
    assert_close(after[..., : now + 1, :], before[..., : now + 1, :], **inputs.rounding)


@torch_attends
@given(inputs=lookups(), n_more=st.integers(1, 3))
def test_padding_with_any_content_changes_nothing(attends, inputs, n_more):
    query, key, value, _ = inputs
    allowed = inputs.allowed
    more = [
        100 * normal(*x.shape[:-2], n_more, x.shape[-1], seed=12).to(x.dtype) for x in (key, value)
    ]
    padded = [torch.cat([x, y], dim=-2) for x, y in zip((key, value), more, strict=True)]
    longer = torch.cat([allowed, allowed.new_zeros(*allowed.shape[:-1], n_more)], dim=-1)
    output = attends(query, *padded, longer)
    assert_close(output, attends(query, key, value, allowed), **inputs.rounding)


@torch_attends
@given(inputs=lookups(), data=st.data())
def test_the_order_of_queries_is_that_of_the_output_and_the_order_of_keys_does_not_matter(
    attends, inputs, data
):
    query, key, value, mask = inputs
    rows, columns = (
        torch.tensor(data.draw(st.permutations(range(x.shape[-2])))) for x in (query, key)
    )
    moved = inputs.allowed[..., rows, :][..., columns]
    output = attends(query[..., rows, :], key[..., columns, :], value[..., columns, :], moved)
    expected = attends(query, key, value, mask)[..., rows, :]
    assert_close(output, expected, **inputs.rounding)


@torch_attends
@given(inputs=lookups(min_axes=1), data=st.data())
def test_each_row_of_a_batch_is_what_it_is_alone(attends, inputs, data):
    query, key, value, mask = inputs
    row = data.draw(st.integers(0, len(query) - 1))
    alone = attends(query[row], key[row], value[row], inputs.allowed[row])
    assert_close(attends(query, key, value, mask)[row], alone, **inputs.rounding)


@given(inputs=lookups(dtypes=DTYPES[:2]))
def test_nothing_that_is_given_is_changed(inputs):
    *tensors, _ = inputs
    grad_output = torch.ones(*tensors[0].shape[:-1], tensors[2].shape[-1], dtype=tensors[0].dtype)
    tensors_given = [*tensors, grad_output, inputs.allowed]
    kept = [x.clone() for x in tensors_given]
    for attends in (numpy_lookup, attend, fused_attend):
        attends(*inputs)
    by_hand(grad_output, *inputs)
    assert_close([*tensors_given[:-1], inputs.allowed], kept, **EXACT)


# Edge cases: queries without keys, scores without measure, no length, no number

BLIND = MASK.clone()
BLIND[0] = False


@every_attend
@d_values
def test_a_query_without_a_key_gets_zeros(attends, d_v):
    output = attends(QUERY, KEY, VALUE[..., :d_v], BLIND)
    assert_close(output[0], torch.zeros(H, Q, d_v).double(), **EXACT)
    assert_close(output[1, 2, 3], torch.zeros(d_v).double(), **EXACT)


@every_gradient
@d_values
def test_a_query_without_a_key_has_and_gives_no_gradient(gradients, d_v):
    found = gradients(GRAD_OUTPUT[..., :d_v], QUERY, KEY, VALUE[..., :d_v], BLIND)
    for gradient in found:
        assert bool(gradient.isfinite().all())
        assert_close(gradient[0], torch.zeros_like(gradient[0]), **EXACT)
    assert_close(found[0][1, 2, 3], torch.zeros(D_K).double(), **EXACT)


@torch_attends
@d_values
@pytest.mark.parametrize("mask", [None, Causal(), BLIND], ids=["no mask", "causal", "a tensor"])
def test_a_bias_of_minus_infinity_forbids_as_a_mask_does(attends, mask, d_v):
    value = VALUE[..., :d_v]
    forbids = normal(Q, K, seed=13) > 0.3
    forbids[2] = True  # this query may attend to nothing
    bias = BIAS.masked_fill(forbids, -math.inf).requires_grad_()
    allowed = ~forbids & spelt_out(mask, SCORES)
    tensors = [x.clone().requires_grad_() for x in (QUERY, KEY, value)]
    output = attends(*tensors, mask, bias=bias)
    expected, _ = reference_attend(QUERY, KEY, value, allowed, BIAS)
    assert_close(output, expected, **ROUNDING)
    assert_close(attends(QUERY, KEY, value, allowed, bias=BIAS), expected, **ROUNDING)
    gradients = torch.autograd.grad(output, [*tensors, bias], GRAD_OUTPUT[..., :d_v])
    same = [x.detach().requires_grad_() for x in (*tensors, BIAS)]
    finite = attend(*same[:3], allowed, bias=same[3])
    assert_close(gradients, torch.autograd.grad(finite, same, GRAD_OUTPUT[..., :d_v]), **ROUNDING)
    assert_close(gradients[3][:, forbids], torch.zeros(H, int(forbids.sum())).double(), **EXACT)


@torch_attends
@pytest.mark.parametrize("of_bias", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_bias_of_another_type_changes_no_type(attends, dtype, of_bias):
    tensors = [x.to(dtype) for x in (QUERY, KEY, VALUE)]
    for mask in (None, MASK):
        output = attends(*tensors, mask, bias=BIAS.to(of_bias))
        assert output.dtype == dtype
        expected, _ = reference_attend(*tensors, mask, BIAS)
        rounding = Lookup(*tensors, mask).rounding
        rounding["atol"] *= 1 + BIAS.abs().max().item()  # the bias is rounded, too
        # ... twice, where its type has fewer digits than the result.
        rounding["atol"] += 10 * torch.finfo(of_bias).eps
        assert_close(output, expected, **rounding)


@every_attend
def test_large_scores_take_all_and_large_negative_ones_nothing(attends):
    large, value = 1e10 * torch.eye(3), torch.tensor([[1.0, 2.0], [3.0, 5.0], [9.0, 7.0]])
    assert_close(attends(large, large, value), value, **EXACT)
    others = torch.tensor([[6.0, 6.0], [5.0, 4.5], [2.0, 3.5]])
    assert_close(attends(-large, large, value), others, **EXACT)
    # Each query is measured by its own largest score.
    assert attends(torch.stack([large[1], -large[0]]), large, value).tolist() == [[3, 5], [6, 6]]
    mask = torch.tensor([[False, True, True]])  # the largest score is masked
    assert attends(large[:1], large, value, mask).tolist() == [[6.0, 6.0]]


@every_attend
def test_scores_too_small_to_tell_apart_give_the_mean(attends):
    small, value = 1e-30 * torch.eye(4), torch.tensor([[1.0], [3.0], [8.0], [6.0]])
    assert attends(small, small, value).tolist() == [[4.5]] * 4


@every_attend
@pytest.mark.parametrize("mask", [None, Causal(), torch.tensor([[True]])], ids=str)
def test_a_single_key_is_taken_whatever_its_score(attends, mask):
    query, key, value = QUERY[..., :1, :], KEY[..., :1, :], VALUE[..., :1, :]
    assert_close(attends(query, key, value, mask), value, **EXACT)


EMPTY = {
    "no key": (B, Q, 0, D_V),
    "no query": (B, 0, K, D_V),
    "neither": (B, 0, 0, D_V),
    "no batch": (0, Q, K, D_V),
    "no feature": (B, Q, K, 0),
}


@pytest.mark.parametrize(("batch", "queries", "keys", "d_v"), EMPTY.values(), ids=EMPTY)
def test_without_anything_to_attend_to_there_are_zeros(batch, queries, keys, d_v):
    tensors = [normal(batch, n, d) for n, d in ((queries, D_K), (keys, D_K), (keys, d_v))]
    expected = torch.zeros(batch, queries, d_v).double()
    row = torch.ones(batch, 1, keys).bool()
    for mask in (None, Causal(), row, Padding(row[:, 0])):
        for attends in (numpy_lookup, attend, fused_attend):
            assert_close(attends(*tensors, mask), expected, **EXACT)
        for gradients in (by_hand, partial(autograd, attend), partial(autograd, fused_attend)):
            found = gradients(expected + 1, *tensors, mask)
            assert_close(found, tuple(map(torch.zeros_like, tensors)), **EXACT)


@every_attend
def test_features_of_width_one_are_enough(attends):
    query, key, value = QUERY[..., :1], KEY[..., :1], VALUE[..., :1]
    expected, _ = reference_attend(query, key, value, MASK)
    assert_close(attends(query, key, value, MASK), expected, **ROUNDING)


def spoilt(tensor, *index, number=math.nan):
    tensor = tensor.clone()
    tensor[index] = number
    return tensor


@pytest.mark.parametrize("mask", [None, Causal(), MASK[0, 0]], ids=str)
def test_nan_in_a_key_spreads_to_every_query_and_to_no_other_batch_row(mask):
    expected = attend(QUERY, KEY, VALUE, mask)
    output = attend(QUERY, spoilt(KEY, 1, 2, 6, 3), VALUE, mask)
    assert bool(output[1, 2].isnan().all())
    assert_close(output[0], expected[0], **ROUNDING)
    assert_close(output[1, :2], expected[1, :2], **ROUNDING)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mask", [None, MASK[0, 0]], ids=str)
@torch_attends
def test_nan_and_infinity_in_a_value_spread_to_that_feature_of_every_query(attends, mask, number):
    expected = attends(QUERY, KEY, VALUE, mask)
    output = attends(QUERY, KEY, spoilt(VALUE, 1, 2, 6, 3, number=number), mask)
    spread = torch.zeros_like(output).bool()
    spread[1, 2, :, 3] = True
    assert_close(~output.isfinite(), spread, **EXACT)
    assert_close(output[~spread], expected[~spread], **ROUNDING)
    if mask is not None:  # nought times infinity is NaN
        assert bool(output[1, 2, ~mask[:, 6], 3].isnan().all())


def test_nan_in_a_query_stays_with_it():
    expected = attend(QUERY, KEY, VALUE, MASK)
    output = attend(spoilt(QUERY, 1, 2, 4, 3), KEY, VALUE, MASK)
    spread = torch.zeros(B, H, Q).bool()
    spread[1, 2, 4] = True
    assert bool(output[spread].isnan().all())
    assert_close(output[~spread], expected[~spread], **ROUNDING)


# The layer

D_QUERY, D_KEY, D_VALUE = 17, 19, 23


def layer(**settings):
    sizes = {"d_query": D_QUERY, "d_key": D_KEY, "d_value": D_VALUE, "d_k": D_K, "d_v": D_V}
    return built(lambda: DotProductAttention(**{**sizes, **settings}))


def layer_inputs(d_value=D_VALUE):
    return [normal(B, H, n, d, seed=d) for n, d in ((Q, D_QUERY), (K, D_KEY), (K, d_value))]


@masks
@torch_attends
def test_the_layer_is_three_products_and_a_lookup(attends, mask):
    ours = layer(attend=attends)
    inputs = layer_inputs()
    weights = (ours.q_proj.weight, ours.k_proj.weight, ours.v_proj.weight)
    projected = [x @ w.detach().T for x, w in zip(inputs, weights, strict=True)]
    expected, expected_weights = reference_attend(*projected, mask)
    assert_close(ours(*inputs, mask), expected, **ROUNDING)
    recorded = attention_weights(attends, *projected[:2], spelt_out(mask, SCORES))
    assert_close(recorded, expected_weights, **ROUNDING)


def test_the_layer_has_three_matrices_and_attends_in_one_operation_unless_told_otherwise():
    shapes = {name: tuple(p.shape) for name, p in layer().named_parameters()}
    assert shapes == {
        "q_proj.weight": (D_K, D_QUERY),
        "k_proj.weight": (D_K, D_KEY),
        "v_proj.weight": (D_V, D_VALUE),
    }
    assert layer(d_value=None).v_proj.weight.shape == (D_V, D_KEY)
    assert layer().attend is fused_attend


def test_the_layer_attends_as_it_is_told():
    ours, inputs = layer(attend=uniform_attention), [x[:, 0] for x in layer_inputs()]
    expected = ours.v_proj(inputs[2]).mean(1, keepdim=True).expand(-1, Q, -1)
    assert_close(ours(*inputs), expected, **ROUNDING)


@masks
@torch_attends
def test_gradients_of_the_layer_are_those_of_finite_differences(attends, mask):
    ours = built(
        lambda: DotProductAttention(d_query=2, d_key=3, d_value=1, d_k=2, d_v=2, attend=attends)
    )
    inputs = [normal(B, H, n, d, seed=d).requires_grad_() for n, d in ((Q, 2), (K, 3), (K, 1))]
    names, weights = zip(*ours.named_parameters(), strict=True)

    def run(query, key, value, *weights):
        parameters = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(ours, parameters, (query, key, value, mask))

    # Along random directions: all numbers one by one would take a minute.
    assert torch.autograd.gradcheck(run, (*inputs, *weights), fast_mode=True)


@pytest.mark.parametrize("n", range(1, K + 1))
def test_within_a_causal_sequence_what_comes_later_changes_nothing_before(n):
    ours = layer(d_query=D_KEY, d_value=None)
    x = normal(B, K, D_KEY)
    whole, start = ours(x, x, x, Causal()), x[:, :n]
    assert_close(ours(start, start, start, Causal()), whole[:, :n], **ROUNDING)
    # One new token at a time, as when a cache keeps the keys, is the same again.
    assert_close(ours(x[:, n - 1 : n], start, start, Causal()), whole[:, n - 1 : n], **ROUNDING)


SOURCE = pad([[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]])
TARGET = pad([[1, 8, 12, 3, 5, 6, 11], [1, 4], [1, 3, 3, 7]])


@pytest.mark.parametrize("attends", ["before", "after"])
def test_the_layer_goes_between_a_recurrent_encoder_and_decoder(attends):
    def translator(between):
        return built(
            lambda: RecurrentTranslator(11, 13, d_model=10, attend=between(), attends=attends)
        )

    def make():
        return DotProductAttention(d_query=10, d_key=10, d_k=7, d_v=10)

    model, seen = translator(make), []
    inside = model.attend

    def slowly(query, key, value, mask):
        projected = inside.q_proj(query), inside.k_proj(key), inside.v_proj(value)
        output, weights = reference_attend(*projected, mask)
        seen.append(weights)
        return output

    twin = translator(make)
    del twin.attend
    twin.attend = slowly
    twin.load_state_dict(model.state_dict(), strict=False)
    with recording(model) as record:
        logits = model(SOURCE, TARGET)
    assert_close(logits, twin(SOURCE, TARGET), **ROUNDING)
    assert_close(record.weights(), torch.cat(seen, dim=1), **ROUNDING)
    assert record.weights().shape == (3, 7, 5)
    logits.sum().backward()
    assert all(bool((p.grad != 0).any()) for p in inside.parameters())


def test_weights_of_a_layer_inside_a_model_are_recorded_whatever_its_axes():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.lookup = layer()

        def forward(self, *inputs):
            return self.lookup(*inputs)

    model = nn.Sequential(nn.Identity(), built(Block))
    inputs = layer_inputs()
    with recording(model) as record:
        for mask in (None, Causal(), Padding(TOKENS) & Causal()):
            model[1](*inputs, mask)
    (name,) = record.calls
    assert name == "1.lookup"
    inside = model[1].lookup
    scores = dot_scores(inside.q_proj(inputs[0]), inside.k_proj(inputs[1])) / math.sqrt(D_K)
    for mask, weights in zip(
        (None, Causal(), Padding(TOKENS) & Causal()), record.calls[name], strict=True
    ):
        assert_close(weights, masked_softmax(scores, spelt_out(mask, SCORES)), **ROUNDING)


# Rejects


def numpy_both_ways(query, key, value, mask=None):
    arrays = [x.numpy() for x in (query, key, value)]
    numpy_attend_backward(np.ones((*query.shape[:-1], value.shape[-1])), *arrays)


ONE_WIDTH = "query and key need one width, at least 1"
ONE_VALUE = "there must be one value for each key"
LEADING_AXES = "the leading axes of query, key and value must broadcast"
UNFIT = {
    "a query without rows": ((7,), (5, 7), (5, 11), r"need shapes \(\.\.\., queries, d_k\)"),
    "a key without rows": ((3, 7), (7,), (5, 7), r"need shapes .* \(\.\.\., keys, d_k\)"),
    "a value without rows": ((3, 7), (5, 7), (5,), r"need shapes .* \(\.\.\., keys, d_v\)"),
    "two widths": ((3, 7), (5, 2), (5, 11), ONE_WIDTH),
    "no width": ((3, 0), (5, 0), (5, 11), ONE_WIDTH),
    "too few values": ((3, 7), (5, 7), (2, 11), ONE_VALUE),
    "one value for all keys": ((3, 7), (5, 7), (1, 11), ONE_VALUE),
    "another batch of keys": ((2, 3, 7), (13, 5, 7), (2, 5, 11), LEADING_AXES),
    "another batch of values": ((2, 3, 7), (2, 5, 7), (13, 5, 11), LEADING_AXES),
}


@pytest.mark.rejects
@pytest.mark.parametrize(
    "attends",
    [numpy_lookup, numpy_both_ways, attend, fused_attend],
    ids=["numpy", "backward", "attend", "fused"],
)
@pytest.mark.parametrize(("query", "key", "value", "rule"), UNFIT.values(), ids=UNFIT)
def test_shapes_that_do_not_fit_are_rejected(attends, query, key, value, rule, unchecked):
    # The rule, then at least the two shapes that break it.
    got = re.escape(f"{key} and {value}" if rule != ONE_WIDTH else f"{query} and {key}")
    with pytest.raises(ValueError, match=f"{rule}.*, got .*{got}"):
        attends(*map(torch.zeros, (query, key, value)))


@pytest.mark.rejects
@torch_attends
@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
def test_a_mask_that_is_not_bool_is_rejected(attends, biased, unchecked):
    bias = BIAS if biased else None
    for mask in (MASK.double(), MASK.int()):
        with pytest.raises(TypeError, match=r"a mask must be bool, .*, got torch\.\w+\d+; numbers"):
            attends(QUERY, KEY, VALUE, mask, bias=bias)


@pytest.mark.rejects
@torch_attends
@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
def test_a_mask_that_does_not_fit_is_rejected(attends, biased):
    bias = BIAS if biased else None
    for mask in (MASK.mT, MASK[..., :1], MASK[:, :2], MASK[0, 0, 0]):
        with pytest.raises(ValueError, match=r"a mask must .*, got .* shape \(2, 3, 5, 7\)"):
            attends(QUERY, KEY, VALUE, mask, bias=bias)
    with pytest.raises(ValueError, match=r"got \(2, 5\) and \(2, 3, 5, 7\)"):
        attends(QUERY, KEY, VALUE, Padding(TOKENS[:, :5]), bias=bias)


@pytest.mark.rejects
@torch_attends
@pytest.mark.parametrize("shape", [(Q, 2), (2, K), (H + 1, Q, K), (B, B, H, Q, K)], ids=str)
def test_a_bias_that_does_not_fit_is_rejected(attends, shape):
    got = re.escape(f"got {shape} for scores of shape {SCORES}")
    for mask in (None, MASK):
        with pytest.raises(ValueError, match=f"a bias must broadcast to the scores, {got}"):
            attends(QUERY, KEY, VALUE, mask, bias=torch.zeros(shape))


@pytest.mark.rejects
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_an_array_that_is_not_bool_is_no_mask(dtype, unchecked):
    *arrays, allowed = as_arrays(QUERY, KEY, VALUE, MASK)
    with pytest.raises(TypeError, match=f"a mask must be bool, .*, got {dtype.__name__}"):
        numpy_attend(*arrays, allowed.astype(dtype))


@pytest.mark.rejects
@pytest.mark.parametrize("name", ["d_query", "d_key", "d_value", "d_k", "d_v"])
@pytest.mark.parametrize("width", [0, -2])
def test_a_width_of_the_layer_must_be_at_least_one(name, width):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {width}"):
        layer(**{name: width})
