import contextlib
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend, fused_attend
from minattn.masks import Causal, Padding, Window
from minattn.positions import (
    LearnedPositions,
    SinusoidalPositions,
    distance_bias,
    rotary,
    sinusoidal,
    with_rotary,
)
from tests.package.strategies import EXACT, ROUNDING, built, normal

FAR = {"rtol": 0.0, "atol": 1e-10}
"""An angle of some thousand turns has lost four of the 16 digits of float64."""

attends = pytest.mark.parametrize("inner", [attend, fused_attend], ids=["attend", "fused_attend"])
starts = st.integers(0, 1000)
widths = st.integers(1, 8).map(lambda pairs: 2 * pairs)
bases = st.floats(1.5, 1e6)


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def table(*arguments, **settings):
    """Make the sinusoidal positions in float64."""
    with default_dtype(torch.float64):
        return sinusoidal(*arguments, **settings)


def reference_sinusoidal(n, d, start=0, base=10_000.0, doubled=1, shifted=0):
    """Write the paper's formula out; `doubled=2` and `shifted=1` are its two well-known misreadings."""
    rows = torch.empty(n, d).double()
    for row in range(n):
        for i in range(d // 2):
            rows[row, 2 * i] = math.sin((start + row) / base ** (doubled * 2 * i / d))
            rows[row, 2 * i + 1] = math.cos(
                (start + row) / base ** (doubled * (2 * i + shifted) / d)
            )
    return rows


def moved_on(rows, k, base):
    """Turn every pair (sine, cosine) of every row by k times its frequency: one matrix for all rows."""
    d = rows.shape[-1]
    rotation = torch.zeros(d, d).double()
    for i in range(0, d, 2):
        cos, sin = math.cos(k / base ** (i / d)), math.sin(k / base ** (i / d))
        rotation[i, i], rotation[i, i + 1] = cos, sin
        rotation[i + 1, i], rotation[i + 1, i + 1] = -sin, cos
    return rows @ rotation.T


def reference_rotary(x, start=0, base=10_000.0):
    """Read each pair of neighbours as a complex number, and multiply it by one of length 1."""
    seq, d = x.shape[-2:]
    numbers = torch.view_as_complex(x.unflatten(-1, (d // 2, 2)).contiguous())
    turns = torch.empty(seq, d // 2, dtype=torch.complex128)
    for t in range(seq):
        for i in range(d // 2):
            angle = (start + t) / base ** (2 * i / d)
            turns[t, i] = complex(math.cos(angle), math.sin(angle))
    return torch.view_as_real(numbers * turns).flatten(-2)


# Sinusoidal


@given(st.integers(0, 13), widths, starts, bases)
def test_sinusoidal_positions_are_the_formula_of_the_paper(n, d, start, base):
    assert_close(table(n, d, start, base), reference_sinusoidal(n, d, start, base), **FAR)


def test_the_base_is_ten_thousand_unless_another_is_given():
    assert_close(table(11, 6), reference_sinusoidal(11, 6), **FAR)
    assert_close(sinusoidal(1, 4, start=300)[0, 2], torch.tensor(3.0).sin())


@given(starts, st.integers(1, 100), widths, bases)
def test_moving_on_is_one_rotation_wherever_one_starts(start, k, d, base):
    here, there = table(13, d, start, base), table(13, d, start + k, base)
    assert_close(there, moved_on(here, k, base), **FAR)


@pytest.mark.parametrize(
    "misread", [{"doubled": 2}, {"shifted": 1}, {"doubled": 2, "shifted": 1}], ids=str
)
def test_the_formula_misread_is_not_moved_on_by_that_rotation(misread):
    here = reference_sinusoidal(13, 6, base=100.0, **misread)
    there = reference_sinusoidal(13, 6, start=5, base=100.0, **misread)
    assert (there - moved_on(here, 5, 100.0)).abs().max() > 0.1
    right = [reference_sinusoidal(13, 6, start, base=100.0) for start in (0, 5)]
    assert_close(right[1], moved_on(right[0], 5, 100.0), **FAR)


@given(starts, st.integers(0, 20), widths)
def test_a_table_that_starts_later_is_the_end_of_a_longer_one(start, n, d):
    assert_close(table(n, d, start), table(start + n, d)[start:], **EXACT)


def test_far_positions_are_as_exact_in_float32_as_near_ones():
    far = reference_sinusoidal(7, 10, start=100_000)
    assert sinusoidal(1, 2).dtype == torch.float32
    assert_close(sinusoidal(7, 10, start=100_000).double(), far, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(5, 6), (2, 5, 6), (2, 3, 5, 6)])
def test_sinusoidal_positions_are_added_to_every_token(shape):
    x = normal(*shape)
    with default_dtype(torch.float64):
        output = SinusoidalPositions(6, base=50.0)(x, start=7)
    assert_close(output, x + reference_sinusoidal(5, 6, 7, 50.0), **FAR)
    assert_close(SinusoidalPositions(6)(torch.zeros(5, 6)), reference_sinusoidal(5, 6).float())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_positions_keep_the_type_of_the_tokens(dtype):
    x = normal(2, 5, 6).to(dtype)
    for positions in (SinusoidalPositions(6), LearnedPositions(5, 6).to(dtype)):
        assert positions(x).dtype == dtype
    assert rotary(x).dtype == dtype


def test_sinusoidal_positions_have_nothing_to_learn():
    assert not SinusoidalPositions(6).state_dict()


# Learned


def learned():
    return built(lambda: LearnedPositions(context_length=11, d_model=6))


@given(st.integers(0, 11), st.integers(0, 11))
def test_learned_positions_are_rows_of_the_table_and_only_those_learn(start, n):
    n = min(n, 11 - start)
    positions, x = learned(), normal(2, 3, n, 6)
    output = positions(x, start)
    for t in range(n):
        assert_close(output[:, :, t], x[:, :, t] + positions.table[start + t], **EXACT)
    output.sum().backward()
    used = torch.zeros(11, 6).double()
    used[start : start + n] = 2 * 3
    assert_close(positions.table.grad, used, **EXACT)


def test_the_first_token_stands_at_zero_unless_said_otherwise():
    assert_close(learned()(torch.zeros(1, 3, 6).double())[0], learned().table[:3], **EXACT)
    assert_close(SinusoidalPositions(6)(torch.zeros(3, 6)), sinusoidal(3, 6), **EXACT)
    assert_close(rotary(normal(3, 6)), rotary(normal(3, 6), start=0), **EXACT)


def test_one_learned_position_of_width_one_is_enough():
    positions, x = built(lambda: LearnedPositions(context_length=1, d_model=1)), normal(3, 1, 1)
    assert_close(positions(x), x + positions.table, **EXACT)


def test_no_two_learned_positions_begin_alike():
    rows = learned().table
    assert torch.cdist(rows, rows).add(torch.eye(11)).min() > 0.5


# Rotary


@given(st.integers(0, 7), widths, starts, bases)
def test_rotary_multiplies_pairs_of_neighbours_by_complex_numbers_of_length_one(
    seq, d, start, base
):
    x = normal(2, 3, seq, d)
    turned = rotary(x, start, base)
    assert_close(turned, reference_rotary(x, start, base), **FAR)
    assert_close(turned.norm(dim=-1), x.norm(dim=-1), **ROUNDING)


def test_rotary_has_the_base_ten_thousand_and_any_number_of_leading_axes():
    for shape in ((5, 6), (2, 5, 6), (2, 3, 5, 6)):
        assert_close(rotary(normal(*shape)), reference_rotary(normal(*shape)), **FAR)


def test_rotary_leaves_position_zero_alone_and_turns_every_pair_of_all_others():
    x = normal(5, 6)
    assert_close(rotary(x)[0], x[0], **EXACT)
    assert ((rotary(x) - x)[1:].unflatten(-1, (3, 2)).norm(dim=-1) > 1e-4).all()


@given(starts, starts, st.integers(-1000, 1000), widths)
def test_scores_after_rotary_depend_on_the_distance_alone(i, j, shift, d):
    query, key = normal(1, d), normal(1, d, seed=1)

    def score(i, j):
        return rotary(query, i) @ rotary(key, j).T

    assert_close(score(i + shift, j + shift), score(i, j), rtol=0, atol=1e-9)


def test_scores_after_rotary_do_depend_on_the_distance():
    query, key = normal(1, 6), normal(1, 6, seed=1)
    scores = rotary(query, 10) @ rotary(key.expand(10, 6)).T
    assert torch.cdist(scores.T, scores.T).add(torch.eye(10)).min() > 1e-3


@given(starts, starts, widths)
def test_turning_twice_adds_the_angles(first, second, d):
    x = normal(1, d)
    assert_close(rotary(rotary(x, first), second), rotary(x, first + second), **FAR)
    assert_close(rotary(rotary(x, first), -first), x, **FAR)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.bfloat16, 0.05)])
def test_far_tokens_are_turned_as_exactly_as_near_ones_in_every_type(dtype, atol):
    x = normal(7, 10).to(dtype)
    assert x.abs().max() < 4  # bfloat16 has 8 bits: numbers up to 4 are 1/64 apart
    turned = rotary(x, start=100_000).double()
    assert_close(turned, reference_rotary(x.double(), start=100_000), rtol=0, atol=atol)


def test_queries_and_keys_are_turned_where_they_are():
    # The device "meta" keeps shapes without numbers, and every machine has it.
    turned = rotary(torch.zeros(2, 5, 6, device="meta"))
    assert turned.device.type == "meta"
    assert turned.shape == (2, 5, 6)


def test_rotary_passes_gradients_on_turned_back():
    x, slope = normal(5, 6).requires_grad_(), normal(5, 6, seed=1)
    (gradient,) = torch.autograd.grad(rotary(x), x, slope)
    # The gradient of a rotation is the rotation back: turning it again gives the slope.
    assert_close(rotary(gradient), slope, **ROUNDING)


# Rotary, inside an attend

QUERY, KEY, VALUE = normal(2, 5, 6), normal(2, 7, 6, seed=1), normal(2, 7, 3, seed=2)
ALLOWED = normal(2, 5, 7, seed=3) > 0
TOKENS = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
MASKS = {
    "no mask": None,
    "a tensor": ALLOWED,
    "Causal": Causal(),
    "Window and Padding": Window(before=3, after=1) & Padding(TOKENS),
}
masks = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


@attends
@masks
@pytest.mark.parametrize("base", [10_000.0, 50.0])
def test_an_attend_with_rotary_turns_queries_and_keys_and_leaves_values_alone(inner, mask, base):
    turned = reference_rotary(QUERY, 2, base), reference_rotary(KEY, 0, base)
    expected = attend(*turned, VALUE, mask)
    output = with_rotary(inner, base)(QUERY, KEY, VALUE, mask)
    assert_close(output, expected, **ROUNDING)
    assert (attend(QUERY, KEY, VALUE, mask) - output).abs().max() > 0.01


def test_an_attend_with_rotary_is_fused_with_the_base_ten_thousand_and_no_mask():
    expected = with_rotary(fused_attend, 10_000.0)(QUERY, KEY, VALUE, None)
    assert_close(with_rotary()(QUERY, KEY, VALUE), expected, **EXACT)


@attends
@given(n=st.integers(1, 7), mask=st.sampled_from([None, Causal(), Padding(TOKENS)]))
def test_the_last_queries_alone_get_what_they_get_among_all(inner, n, mask):
    rotated, query = with_rotary(inner), normal(2, 7, 6, seed=4)
    among_all = rotated(query, KEY, VALUE, mask)
    assert_close(rotated(query[:, -n:], KEY, VALUE, mask), among_all[:, -n:], **ROUNDING)


def test_tokens_before_that_nobody_may_see_do_not_change_an_attend_with_rotary():
    later = [torch.cat([normal(2, 4, d, seed=9), x], dim=1) for x, d in ((KEY, 6), (VALUE, 3))]
    seen = Padding(torch.arange(11).expand(2, 11) >= 4)
    expected = with_rotary()(QUERY, KEY, VALUE)
    assert_close(with_rotary()(QUERY, *later, seen), expected, **ROUNDING)


# A bias by distance


@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.01, 3.0))
def test_the_bias_is_the_loop_over_distances_to_the_last_positions(queries, keys, slope):
    expected = torch.empty(queries, keys)
    for i in range(queries):
        for j in range(keys):
            expected[i, j] = -slope * abs(i + keys - queries - j)
    assert_close(distance_bias(queries, keys, slope), expected)


@given(st.integers(1, 7), st.integers(1, 7))
def test_the_bias_is_symmetric_and_that_of_fewer_queries_is_its_end(keys, queries):
    bias = distance_bias(keys, keys, 0.3)
    assert_close(bias, bias.T, **EXACT)
    queries = min(queries, keys)
    assert_close(distance_bias(queries, keys, 0.3), bias[keys - queries :], **EXACT)


@attends
@masks
def test_the_bias_goes_into_an_attend(inner, mask):
    slope, scale = 0.7, 1 / math.sqrt(6)
    allowed = torch.ones(2, 5, 7).bool()
    if mask is not None:
        allowed = mask if mask is ALLOWED else mask.to_bool((2, 5, 7)).expand(2, 5, 7)
    expected = torch.zeros(2, 5, 3).double()
    for b, i in torch.cartesian_prod(torch.arange(2), torch.arange(5)).tolist():
        powers = {}
        for j in range(7):
            if allowed[b, i, j]:
                score = float(QUERY[b, i] @ KEY[b, j]) * scale - slope * abs(i + 2 - j)
                powers[j] = math.exp(score)
        for j, power in powers.items():
            expected[b, i] += power / sum(powers.values()) * VALUE[b, j]
    biased = partial(inner, bias=distance_bias(5, 7, slope))
    # The bias is in float32: 0.7 times a distance has 8 digits.
    assert_close(biased(QUERY, KEY, VALUE, mask), expected, rtol=0, atol=1e-6)


# Rejects

BASES = [1.0, 0.0, -3.0, math.inf, math.nan]
TAKES_A_WIDTH = {
    "sinusoidal": lambda width: sinusoidal(3, width),
    "SinusoidalPositions": SinusoidalPositions,
    "rotary": lambda width: rotary(torch.zeros(3, width)),
}
TAKES_A_BASE = {
    "sinusoidal": lambda base: sinusoidal(3, 4, base=base),
    "SinusoidalPositions": lambda base: SinusoidalPositions(4, base),
    "rotary": lambda base: rotary(torch.zeros(3, 4), base=base),
    "with_rotary": lambda base: with_rotary(base=base),
}


@pytest.mark.rejects
@pytest.mark.parametrize("make", TAKES_A_WIDTH.values(), ids=TAKES_A_WIDTH)
@pytest.mark.parametrize("width", [0, 1, 7])
def test_a_width_must_be_even(make, width):
    with pytest.raises(ValueError, match=f"the width must be even, got {width}"):
        make(width)


@pytest.mark.rejects
@pytest.mark.parametrize("make", TAKES_A_BASE.values(), ids=TAKES_A_BASE)
@pytest.mark.parametrize("base", BASES)
def test_a_base_must_be_a_finite_number_above_one(make, base):
    with pytest.raises(ValueError, match=rf"base must be a finite number( above 1)?, got {base}"):
        make(base)


@pytest.mark.rejects
def test_a_number_of_positions_below_zero_is_rejected():
    with pytest.raises(ValueError, match="n_positions must be at least 0, got -1"):
        sinusoidal(-1, 4)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 6), "context_length must be at least 1, got 0"),
        ((11, -1), "d_model must be at least 1, got -1"),
    ],
)
def test_learned_positions_need_sizes_of_at_least_one(sizes, message):
    with pytest.raises(ValueError, match=message):
        LearnedPositions(*sizes)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("seq", "start", "got"), [(12, 0, "0 to 11"), (3, 9, "9 to 11"), (3, -1, "-1 to 1")]
)
def test_a_position_without_a_learned_vector_is_named(seq, start, got):
    with pytest.raises(ValueError, match=f"positions 0 to 10, got {got}"):
        learned()(normal(2, seq, 6), start)


@pytest.mark.rejects
@pytest.mark.parametrize(
    "positions", [SinusoidalPositions(4), LearnedPositions(5, 4)], ids=["sinusoidal", "learned"]
)
def test_tokens_of_another_width_are_rejected(positions):
    with pytest.raises(ValueError, match=r"width 4, got shape \(1, 2, 6\)"):
        positions(torch.zeros(1, 2, 6))
    with pytest.raises(ValueError, match=r"width 4, got shape \(1, 2, 1\)"):
        positions(torch.zeros(1, 2, 1))


def test_a_bias_by_distance_is_a_float_whatever_the_slope(unchecked):
    assert distance_bias(2, 3, 2).dtype == torch.get_default_dtype()
