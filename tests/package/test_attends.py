"""What no attend may do in silence: round whole numbers, overflow, take a bias for a mask, lose a derivative."""

import copy
import functools
import math
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from minattn.alignment import (
    AdditiveAttention,
    MultiplicativeAttention,
    WeightDropout,
    additive_scores,
    attention_weights,
    dot_scores,
    entropy,
    gaussian_scores,
    hard,
    masked_softmax,
    uniform_attention,
    weighted_sum,
    with_temperature,
)
from minattn.dot_product import attend, fused_attend, numpy_attend, numpy_attend_backward
from minattn.masks import Causal, Padding, Window, from_sdpa, to_bool, to_multihead
from minattn.multihead import MultiHeadAttention, split_heads
from minattn.pointing import one_right_key, pointing
from minattn.positions import (
    LearnedPositions,
    SinusoidalPositions,
    distance_bias,
    placed,
    rotary,
    sinusoidal,
    with_rotary,
)
from minattn.recurrent import FinalStates, final_state
from minattn.scaling.blockwise import blockwise_attend
from minattn.self_attention import InPlaceTranslator, LanguageModel, SelfAttentionStack
from minattn.transformer import TransformerTranslator
from tests.package.strategies import ROUNDING, built, dot_attention, gaussian_attention, normal

B, Q, K, D, D_V = 2, 3, 5, 4, 6
QUERY, KEY, VALUE = normal(B, Q, D), normal(B, K, D, seed=1), normal(B, K, D_V, seed=2)
MASK = normal(B, Q, K, seed=3) > -0.5
TOKENS = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool()
META = torch.device("meta")

FUNCTIONS = {
    "attend": attend,
    "fused": fused_attend,
    "blockwise": blockwise_attend,
    "uniform": uniform_attention,
    "tempered": with_temperature(fused_attend, 0.5),
    "hard": hard(fused_attend),
    "dropped": WeightDropout(fused_attend, 0.5).eval(),
    "rotary": with_rotary(fused_attend),
    "dot": dot_attention,
    "gaussian": gaussian_attention,
    "additive": built(lambda: AdditiveAttention(D, D, 7)),
    "multiplicative": built(lambda: MultiplicativeAttention(D, D)),
}
attends = pytest.mark.parametrize("attends", FUNCTIONS.values(), ids=FUNCTIONS)
LOOKUPS = {name: FUNCTIONS[name] for name in ("attend", "fused", "blockwise")}
lookups = pytest.mark.parametrize("lookup", LOOKUPS.values(), ids=LOOKUPS)


def by_loops(query, key, value, scale=None):
    """Attend in float64, a number at a time."""
    query, key, value = (x.double().tolist() for x in (query, key, value))
    scale = 1 / math.sqrt(len(query[0])) if scale is None else scale
    out = []
    for q in query:
        scores = [scale * sum(a * b for a, b in zip(q, k, strict=True)) for k in key]
        powers = [math.exp(score - max(scores)) for score in scores]
        shares = [power / sum(powers) for power in powers]
        out.append(
            [
                sum(s * v[i] for s, v in zip(shares, value, strict=True))
                for i in range(len(value[0]))
            ]
        )
    return torch.tensor(out, dtype=torch.float64)


# Whole numbers, and numbers of two types


@pytest.mark.rejects
@attends
@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool], ids=str)
def test_an_attend_takes_no_whole_numbers(attends, dtype, unchecked):
    with pytest.raises(TypeError, match=rf"must hold floating-point numbers, got {dtype}"):
        attends(QUERY.to(dtype), KEY.to(dtype), VALUE.to(dtype))
    with pytest.raises(TypeError, match=rf"must hold floating-point numbers, got {dtype}"):
        attends(QUERY, KEY, VALUE.to(dtype))


@pytest.mark.rejects
@attends
@pytest.mark.parametrize("argument", range(3), ids=["query", "key", "value"])
def test_an_attend_takes_numbers_of_one_type(attends, argument, unchecked):
    if argument == 2 and attends in (dot_attention, gaussian_attention):
        pytest.skip("made of parts, which meet weights and values only")
    tensors = [QUERY, KEY, VALUE]
    tensors[argument] = tensors[argument].float()
    with pytest.raises(TypeError, match=r"must hold numbers of one type, got .*float32"):
        attends(*tensors)


def test_autocast_may_mix_types():
    with torch.autocast("cpu", torch.bfloat16):
        for lookup in (attend, uniform_attention):
            found = lookup(QUERY.bfloat16(), KEY.float(), VALUE.float())
            assert found.isfinite().all()


@pytest.mark.rejects
@pytest.mark.parametrize(
    "call",
    [
        lambda: masked_softmax(torch.ones(2, 3).long()),
        lambda: weighted_sum(torch.ones(2, 3), torch.ones(3, 1).long()),
        lambda: gaussian_scores(QUERY.long(), KEY.long()),
        lambda: dot_scores(QUERY.long(), KEY.long()),
        lambda: additive_scores(QUERY.long(), KEY.long(), torch.ones(D).long()),
        lambda: entropy(torch.ones(2, 3).long()),
        lambda: rotary(QUERY.long()),
        lambda: SinusoidalPositions(D)(QUERY.long()),
        lambda: LearnedPositions(K, D)(QUERY.long()),
        lambda: placed(QUERY.long(), 0, SinusoidalPositions(D)),
        lambda: pointing(MASK.long(), MASK),
    ],
)
def test_a_part_takes_no_whole_numbers(call, unchecked):
    with pytest.raises(TypeError, match=r"must hold floating-point numbers, got torch\.int64"):
        call()


@pytest.mark.rejects
def test_numpy_takes_no_whole_numbers_and_one_type(unchecked):
    q, k, v = QUERY.numpy(), KEY.numpy(), VALUE.numpy()
    with pytest.raises(TypeError, match="query must hold floating-point numbers, got int8"):
        numpy_attend(*(x.astype(np.int8) for x in (q, k, v)))
    with pytest.raises(TypeError, match="one type, got float64, float64 and float32"):
        numpy_attend(q, k, v.astype(np.float32))
    with pytest.raises(TypeError, match="query must be a NumPy array, got list"):
        numpy_attend(q.tolist(), k, v)
    grad = np.ones((B, Q, D_V))
    with pytest.raises(TypeError, match="grad_output must hold floating-point numbers, got int8"):
        numpy_attend_backward(grad.astype(np.int8), q, k, v)
    with pytest.raises(TypeError, match="value must hold floating-point numbers, got int64"):
        numpy_attend_backward(grad, q, k, v.astype(np.int64))


# Overflow between the steps


def forty(dtype):
    """Scores of 16, 12 and 8 thousand: float16 has no room for eight times as much."""
    query = torch.full((1, 64), 40.0, dtype=dtype)
    key = torch.tensor([40.0, 39.9375, 20.0], dtype=dtype)[:, None].expand(3, 64)
    return query, key, torch.tensor([[40.0], [2.0], [3.0]], dtype=dtype)


@lookups
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_narrow_type_does_not_overflow_on_the_way(lookup, dtype):
    output = lookup(*forty(dtype))
    assert output.dtype == dtype
    assert_close(output.double(), by_loops(*forty(dtype)), rtol=1e-2, atol=1e-2)


def test_scores_of_a_narrow_type_do_not_overflow():
    query, key, _ = forty(torch.float16)
    assert dot_scores(query, key).tolist() == [[102400.0, 102240.0, 51200.0]]
    layer = MultiplicativeAttention(64, 64, temperature=1000.0).half()
    nn.init.eye_(layer.k_proj.weight)
    assert_close(layer.scores(query[None], key[None]), torch.tensor([[[102.4, 102.24, 51.2]]]))
    far = torch.tensor([[300.0], [0.0]]).half()
    assert gaussian_scores(far[1:], far).tolist() == [[-45000.0, 0.0]]


def test_numpy_does_not_overflow_on_the_way_nor_back():
    q, k, v = (x.numpy() for x in forty(torch.float16))
    output, weights = numpy_attend(q, k, v)
    assert output.dtype == weights.dtype == np.float16
    assert_close(torch.from_numpy(output).double(), by_loops(*forty(torch.float16)), **CLOSE)
    grad = np.full((1, 1), 8.0, np.float16)
    wide = numpy_attend_backward(*(x.astype(np.float64) for x in (grad, q, k, v)))
    for ours, right in zip(numpy_attend_backward(grad, q, k, v), wide, strict=True):
        assert ours.dtype == np.float16
        np.testing.assert_allclose(ours, right, rtol=1e-2, atol=1e-2)


CLOSE = {"rtol": 1e-2, "atol": 1e-2}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_ordinary_numbers_come_out_to_the_bit_as_the_formula_says(dtype):
    q, k, v = (x.to(dtype) for x in (QUERY, KEY, VALUE))
    shares = (q @ k.transpose(-2, -1) * (1 / math.sqrt(D))).softmax(-1)
    assert torch.equal(attend(q, k, v), shares @ v)
    assert torch.equal(dot_scores(q, k), q @ k.transpose(-2, -1))
    squares = (q.unsqueeze(-2) - k.unsqueeze(-3)).square().sum(-1)
    assert torch.equal(gaussian_scores(q, k, 0.3), -squares / (2 * 0.3**2))
    logs = shares.clamp_min(torch.finfo(dtype).tiny).log()
    assert torch.equal(with_temperature(attend, 0.3)(q, k, v), (logs / 0.3).softmax(-1) @ v)
    exp = q.numpy() @ np.swapaxes(k.numpy(), -2, -1) / math.sqrt(D)
    exp = np.exp(exp - exp.max(-1, keepdims=True))
    assert (
        numpy_attend(q.numpy(), k.numpy(), v.numpy())[0]
        == exp / exp.sum(-1, keepdims=True) @ v.numpy()
    ).all()


@lookups
@pytest.mark.parametrize("scale", [1e-40, -1e-40, 1e-7, 1e7, 1e40], ids=str)
def test_an_extreme_scale_is_no_nan(lookup, scale):
    tensors = [x[0].float() for x in (QUERY, KEY, VALUE)]
    output = lookup(*tensors, scale=scale)
    assert output.dtype == torch.float32
    assert_close(output.double(), by_loops(*tensors, scale=scale), rtol=1e-5, atol=1e-5)


@pytest.mark.rejects
@lookups
@pytest.mark.parametrize("scale", [math.nan, math.inf], ids=str)
def test_a_scale_is_finite(lookup, scale):
    with pytest.raises(ValueError, match=f"scale must be a finite number, got {scale}"):
        lookup(QUERY, KEY, VALUE, scale=scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("temperature", [1e-100, 1e-40, 1e-7], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_a_temperature_near_zero_gives_all_to_the_largest(temperature, dtype, masked):
    q, k, v = (x.to(dtype) for x in (QUERY, KEY, VALUE))
    mask = MASK if masked else None
    found = with_temperature(fused_attend, temperature)(q, k, v, mask)
    assert_close(found, hard(fused_attend)(q, k, v, mask))


def test_a_temperature_near_infinity_makes_all_alike():
    q, k, v = (x.float() for x in (QUERY, KEY, VALUE))
    found = with_temperature(fused_attend, 1e100)(q, k, v, MASK)
    assert_close(found, uniform_attention(q, k, v, MASK))
    layer = MultiplicativeAttention(D, D, temperature=1e100)
    assert_close(layer(q, k, v, MASK), uniform_attention(q, k, v, MASK))


def test_an_extreme_temperature_of_a_layer_or_bandwidth_is_no_nan():
    q, k, v = (x.float() for x in (QUERY, KEY, VALUE))
    layer = MultiplicativeAttention(D, D, temperature=1e-40)
    plain = MultiplicativeAttention(D, D)
    plain.load_state_dict(layer.state_dict())
    assert_close(layer(q, k, v), hard(plain)(q, k, v))
    nearest = (q[:, :, None] - k[:, None]).square().sum(-1).argmin(-1)
    weights = masked_softmax(gaussian_scores(q, k, 1e-100))
    assert torch.equal(weights.argmax(-1), nearest) and bool((weights.amax(-1) == 1).all())
    assert_close(
        weighted_sum(masked_softmax(gaussian_scores(q, k, 1e100)), v), uniform_attention(q, k, v)
    )


@pytest.mark.rejects
@pytest.mark.parametrize("number", [1e-200, 1e200], ids=str)
def test_what_divides_scores_leaves_them_in_float64(number):
    rule = re.escape(f"must be from 1e-100 to 1e100, got {number}")
    with pytest.raises(ValueError, match=f"bandwidth {rule}"):
        gaussian_scores(QUERY, KEY, number)
    with pytest.raises(ValueError, match=f"temperature {rule}"):
        with_temperature(attend, number)
    with pytest.raises(ValueError, match=f"temperature {rule}"):
        MultiplicativeAttention(D, D, number)


def test_products_beyond_float32_are_nan_as_documented():
    q, k, v = (x.float() for x in (QUERY, KEY, VALUE))
    assert attend(q.abs() * 1e20, k.abs() * 1e20, v).isnan().all()
    assert "above 3e38 in float32" in attend.__doc__


@pytest.mark.parametrize("lookup", [attend, fused_attend])
def test_a_bias_that_a_narrow_type_has_no_room_for_does_not_forbid(lookup):
    query, key, value = (x.half() for x in (QUERY, KEY, VALUE))
    bias = torch.full((Q, K), -1e6)
    output = lookup(query, key, value, bias=bias)
    right = torch.stack([by_loops(*x) for x in zip(query, key, value, strict=True)])
    if lookup is attend:
        assert_close(output.double(), right, rtol=0, atol=0.2)  # a million has few digits left
    assert bool((output != 0).any())


# Masks and biases


NO_MASKS = {
    "a list": ([[True] * K] * Q, "got list"),
    "numpy bools": (np.ones((Q, K), dtype=bool), "got ndarray"),
    "a number": (1, "got int"),
    "a bool": (True, "got bool"),
    "whole numbers": (MASK.int(), r"got torch\.int32"),
    "zero and minus infinity": (torch.zeros(Q, K).double(), r"got torch\.float64"),
}


@pytest.mark.rejects
@pytest.mark.parametrize(
    "attends", [*FUNCTIONS.values(), final_state, FinalStates()], ids=[*FUNCTIONS, "final", "two"]
)
@pytest.mark.parametrize(("mask", "got"), NO_MASKS.values(), ids=NO_MASKS)
def test_what_is_no_mask_is_rejected(attends, mask, got, unchecked):
    with pytest.raises(TypeError, match=rf"a mask must be (a )?bool.*{got}"):
        attends(QUERY, KEY, VALUE, mask)


@pytest.mark.rejects
@pytest.mark.parametrize(("mask", "got"), NO_MASKS.values(), ids=NO_MASKS)
def test_what_is_no_mask_is_no_part_of_one(mask, got, unchecked):
    for join in (lambda: Causal() & mask, lambda: mask & Causal(), lambda: to_bool(mask, (Q, K))):
        with pytest.raises(TypeError, match=rf"a mask must be (a )?bool.*{got}"):
            join()
    with pytest.raises(TypeError, match=got):
        MultiHeadAttention(D, 2).double()(QUERY, KEY, KEY, mask)


@attends
@pytest.mark.parametrize("mask", [Causal(), Window(1, 1), Padding(TOKENS), Causal() & MASK])
def test_every_attend_takes_a_description(attends, mask):
    right = attends(QUERY, KEY, VALUE, to_bool(mask, (B, Q, K)).expand(B, Q, K))
    assert_close(attends(QUERY, KEY, VALUE, mask), right, **ROUNDING)
    if attends is not blockwise_attend:
        weights = attention_weights(attends, QUERY, KEY, mask)
        assert_close(weights @ VALUE, right, **ROUNDING)


def test_none_allows_all():
    assert (Causal() & None) == Causal() == (None & Causal())


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("mask", "got"),
    [([[True]], "list"), (1, "int"), (np.ones((Q, K)), "float64"), (MASK, "Tensor")],
)
def test_numpy_rejects_what_is_no_mask(mask, got, unchecked):
    with pytest.raises(TypeError, match=f"a mask must be bool, an array .*got {got}"):
        numpy_attend(QUERY.numpy(), KEY.numpy(), VALUE.numpy(), mask)


@pytest.mark.rejects
@pytest.mark.parametrize("shape", [(4, B, Q, K), (Q, 1), (B, K, Q)], ids=str)
def test_numpy_rejects_a_mask_that_does_not_fit(shape, unchecked):
    with pytest.raises(ValueError, match=r"a mask must .* for scores of shape \(2, 3, 5\)"):
        numpy_attend(QUERY.numpy(), KEY.numpy(), VALUE.numpy(), np.ones(shape, dtype=bool))


@pytest.mark.rejects
@pytest.mark.parametrize("lookup", [attend, fused_attend])
def test_a_mask_is_no_bias(lookup, unchecked):
    with pytest.raises(TypeError, match=r"bias must hold .* got torch\.bool; .* is a mask"):
        lookup(QUERY, KEY, VALUE, bias=MASK)
    with pytest.raises(TypeError, match=r"bias must hold floating-point numbers, got torch\.int64"):
        lookup(QUERY, KEY, VALUE, bias=MASK.long())
    with pytest.raises(TypeError, match="bias must be a tensor, got float"):
        lookup(QUERY, KEY, VALUE, bias=0.5)


@pytest.mark.rejects
def test_the_flag_of_torch_is_a_bool(unchecked):
    with pytest.raises(TypeError, match="is_causal must be True or False, got 1"):
        from_sdpa(None, 1, (Q, K))
    with pytest.raises(TypeError, match=r"attn_mask must be bool, or .* got torch\.int64"):
        from_sdpa(MASK.long(), False, (B, Q, K))


# Infinity and NaN


@lookups
def test_infinity_in_a_masked_key_does_what_the_docstring_says(lookup):
    key, mask = KEY.clone(), torch.ones(Q, K, dtype=torch.bool)
    key[:, 1], mask[:, 1] = math.inf, False
    assert lookup(QUERY.abs(), key, VALUE, mask).isnan().all()  # a score of plus infinity
    right = lookup(-QUERY.abs(), KEY, VALUE, mask)
    assert_close(lookup(-QUERY.abs(), key, VALUE, mask), right, **ROUNDING)
    assert "Infinity in a key" in attend.__doc__


def test_numpy_does_not_look_at_a_masked_key():
    key, mask = KEY.clone(), torch.ones(Q, K, dtype=torch.bool)
    key[:, 1], mask[:, 1] = math.inf, False
    output, _ = numpy_attend(QUERY.abs().numpy(), key.numpy(), VALUE.numpy(), mask.numpy())
    assert_close(torch.from_numpy(output), attend(QUERY.abs(), KEY, VALUE, mask), **ROUNDING)


def test_a_choice_among_nan_is_nan():
    key = KEY.clone()
    key[0] = math.nan
    found = hard(attend)(QUERY, key, VALUE)
    assert found[0].isnan().all() and found[1].isfinite().all()


@pytest.mark.rejects
def test_nan_points_nowhere():
    weights, truth = torch.ones(1, 2, 3) / 3, torch.ones(1, 2, 3, dtype=torch.bool)
    weights[0, 1] = math.nan
    counted = torch.tensor([[True, False]])
    assert pointing(weights, truth, counted).inside.item() == 1
    with pytest.raises(ValueError, match="weights of queries that count must be numbers, got nan"):
        pointing(weights, truth)


# Derivatives


def test_fused_refuses_what_attend_can_do():
    query, key, value = (x.clone().requires_grad_() for x in (QUERY, KEY, KEY))
    (first,) = torch.autograd.grad(fused_attend(query, key, value).sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="backward is not implemented"):
        first.sum().backward()
    for found in (fused_attend, with_rotary(fused_attend)):
        with pytest.raises(RuntimeError, match=r"minattn\.dot_product\.attend, .* can: "):
            torch.func.jvp(lambda q, f=found: f(q, KEY, KEY), (QUERY,), (QUERY,))
    assert "a second one is an error" in fused_attend.__doc__


def test_attend_has_a_second_derivative_and_forward_mode():
    small = [x[:1, :2, :2].clone().requires_grad_() for x in (QUERY, KEY, VALUE)]
    assert torch.autograd.gradgradcheck(attend, small)
    torch.func.jvp(lambda q: attend(q, KEY, VALUE), (QUERY,), (QUERY,))


# Sizes, rates and places


@pytest.mark.rejects
@pytest.mark.parametrize("size", [math.nan, 2.0, "2", [2], True], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda n: sinusoidal(n, 4),
        lambda n: sinusoidal(2, n),
        lambda n: sinusoidal(2, 4, start=n),
        lambda n: SinusoidalPositions(n),
        lambda n: SinusoidalPositions(4)(torch.zeros(1, 2, 4), n),
        lambda n: LearnedPositions(n, 4),
        lambda n: LearnedPositions(4, 4)(torch.zeros(1, 2, 4), n),
        lambda n: rotary(torch.zeros(1, 2, 4), n),
        lambda n: distance_bias(n, 4, 1.0),
        lambda n: distance_bias(4, n, 1.0),
        lambda n: placed(torch.zeros(1, 2, 4), n, nn.Identity()),
        lambda n: placed(torch.zeros(1, 2, 4), n, SinusoidalPositions(4)),
        lambda n: MultiHeadAttention(n, 2),
        lambda n: MultiHeadAttention(4, n),
        lambda n: MultiHeadAttention(4, 2, n),
        lambda n: split_heads(torch.zeros(1, 2, 4), n),
        lambda n: Window(n, 1),
        lambda n: Window(1, n),
        lambda n: AdditiveAttention(n, 2, 2),
        lambda n: MultiplicativeAttention(2, n),
        lambda n: SelfAttentionStack(n),
        lambda n: InPlaceTranslator(4, n),
        lambda n: LanguageModel(n),
        lambda n: one_right_key(torch.zeros(1, 1).long(), n),
    ],
)
def test_a_size_is_a_whole_number(make, size, unchecked):
    with pytest.raises((ValueError, TypeError), match=r"must be a whole number.*, got "):
        make(size)


@pytest.mark.rejects
@pytest.mark.parametrize("number", [math.nan, math.inf, "1", [1.0], True], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda x: with_temperature(attend, x),
        lambda x: MultiplicativeAttention(2, 2, x),
        lambda x: gaussian_scores(QUERY, KEY, x),
        lambda x: distance_bias(2, 2, x),
        lambda x: sinusoidal(2, 4, base=x),
        lambda x: rotary(QUERY, base=x),
        lambda x: with_rotary(base=x),
        lambda x: SinusoidalPositions(4, x),
        lambda x: WeightDropout(attend, x),
        lambda x: attend(QUERY, KEY, VALUE, scale=x),
    ],
)
def test_a_rate_is_a_finite_number(make, number, unchecked):
    with pytest.raises((ValueError, TypeError), match=r"must be .*, got "):
        make(number)


@pytest.mark.rejects
def test_a_place_is_counted_from_the_beginning(unchecked):
    x = torch.zeros(2, 3, 4)
    for positions in (nn.Identity(), SinusoidalPositions(4), LearnedPositions(9, 4)):
        with pytest.raises(ValueError, match="place must be at least 0, got -1"):
            placed(x, -1, positions)
        with pytest.raises(ValueError, match="place must be at least 0, got -1"):
            placed(x, torch.tensor([0, -1]), positions)
        with pytest.raises(TypeError, match=r"place must hold whole numbers, got torch\.float32"):
            placed(x, torch.tensor([0.0, 1.0]), positions)
        with pytest.raises(ValueError, match=r"one number for each of 2 rows, got shape \(3,\)"):
            placed(x, torch.tensor([0, 1, 2]), positions)


@pytest.mark.rejects
def test_the_right_key_is_a_position(unchecked):
    with pytest.raises(TypeError, match=r"gold must hold positions of dtype torch\.int64, got"):
        one_right_key(torch.tensor([[0.5]]), 3)
    for wrong in (-2, 3):
        with pytest.raises(ValueError, match=f"gold must hold positions from -1 to 2, got {wrong}"):
            one_right_key(torch.tensor([[0, wrong]]), 3)


# Pickles


WRAPPED = {
    "with_rotary(fused_attend, base=500.0)": with_rotary(fused_attend, 500.0),
    "with_temperature(attend, 0.5)": with_temperature(attend, 0.5),
    "hard(blockwise_attend)": hard(blockwise_attend),
    "hard(with_rotary(partial(attend, scale=2.0), base=10000.0))": hard(
        with_rotary(functools.partial(attend, scale=2.0))
    ),
}


@pytest.mark.parametrize(("text", "wrapped"), WRAPPED.items(), ids=WRAPPED)
def test_an_attend_that_wraps_another_can_be_pickled(text, wrapped):
    assert repr(wrapped) == text
    again = pickle.loads(pickle.dumps(wrapped))
    assert torch.equal(again(QUERY, KEY, VALUE, MASK), wrapped(QUERY, KEY, VALUE, MASK))
    model = MultiHeadAttention(D, 2, attend=wrapped).double()
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(twin(QUERY, QUERY, QUERY), model(QUERY, QUERY, QUERY))
    assert repr(with_temperature(AdditiveAttention(2, 2, 2), 2.0)).count("0x") == 0


# Devices


@pytest.mark.parametrize(
    "make",
    [
        lambda: distance_bias(Q, K, 1.0, device=META),
        lambda: sinusoidal(Q, D, device=META),
        lambda: SinusoidalPositions(D)(torch.zeros(1, Q, D, device=META)),
        lambda: rotary(torch.zeros(1, Q, D, device=META)),
        lambda: placed(torch.zeros(1, Q, D, device=META), 2, SinusoidalPositions(D)),
        lambda: from_sdpa(None, True, (Q, K), META),
        lambda: to_multihead(Causal(), (B, 2, Q, K), META),
        lambda: to_bool(Window(1, 1), (Q, K), META),
        lambda: to_bool(Padding(TOKENS), (B, Q, K), META),
        lambda: masked_softmax(torch.zeros(Q, K, device=META), Causal()),
        lambda: one_right_key(torch.zeros(1, 2, device="cpu").long(), 3).to(META),
        lambda: LanguageModel(9).to(META).encode(torch.ones(1, 2, device=META).long()).states,
        lambda: uniform_attention(*(x.to(META) for x in (QUERY, KEY, VALUE)), Causal()),
        lambda: hard(attend)(*(x.to(META) for x in (QUERY, KEY, VALUE)), Causal()),
        lambda: with_rotary()(*(x.to(META) for x in (QUERY, KEY, VALUE)), Causal()),
        lambda: blockwise_attend(*(x.to(META) for x in (QUERY, KEY, VALUE)), Causal()),
        lambda: final_state(*(x.to(META) for x in (QUERY, KEY, VALUE)), Padding(TOKENS)),
    ],
)
def test_what_is_made_is_on_the_device_of_its_source(make):
    assert make().device == META


def test_a_default_device_elsewhere_changes_nothing():
    with torch.device(META):
        bias = distance_bias(Q, K, 1.0, QUERY.device)
        for made in (SinusoidalPositions(D)(QUERY), rotary(QUERY), bias):
            assert made.device == QUERY.device
        assert sinusoidal(Q, D).device == distance_bias(Q, K, 1.0).device == META
        assert attend(QUERY, KEY, VALUE, Causal()).device == QUERY.device
        assert Causal().to_bool((Q, K), QUERY.device).device == QUERY.device


# Models that read ids


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [-1, 9])
def test_a_stack_names_an_id_it_has_no_vector_for(wrong, unchecked):
    ids = torch.tensor([[1, wrong]])
    rule = f"must hold ids from 0 to 8, got {wrong}"
    with pytest.raises(ValueError, match=rule):
        SelfAttentionStack(9)(ids)
    with pytest.raises(ValueError, match=rule):
        LanguageModel(9)(None, ids)
    with pytest.raises(ValueError, match=rule):
        InPlaceTranslator(9, 9)(ids, torch.ones(1, 1).long())
    with pytest.raises(TypeError, match=r"must hold ids of dtype torch\.int64, got torch\.float32"):
        SelfAttentionStack(9)(ids.float())


@pytest.mark.rejects
@pytest.mark.parametrize("make", [lambda: InPlaceTranslator(9, 9), lambda: LanguageModel(9)])
def test_a_source_mask_is_checked(make, unchecked):
    source = torch.tensor([[3, 4]])
    with pytest.raises(TypeError, match=r"source_mask must be bool, .* got torch\.int64"):
        make().encode(source, torch.ones(1, 2).long())
    with pytest.raises(ValueError, match=r"source_mask must have the shape .* got \(1, 3\)"):
        make().encode(source, torch.ones(1, 3).bool())


@pytest.mark.parametrize("base", [InPlaceTranslator, LanguageModel, TransformerTranslator])
def test_a_step_of_its_own_is_followed_in_teacher_forcing(base):
    class Negated(base):
        def step(self, token, state, memory):
            logits, state = super().step(token, state, memory)
            return -logits, state

    sizes = (9,) if base is LanguageModel else (9, 9)
    model, plain = built(lambda: Negated(*sizes)), built(lambda: base(*sizes))
    source, target = torch.tensor([[3, 4, 5]]), torch.tensor([[1, 3, 4]])
    assert_close(model(source, target), -plain(source, target), **ROUNDING)
