"""Every check passes what its rule allows, and says the rule and the value of what it does not."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from minattn.checks import (
    check_dropout,
    check_finite,
    check_floats,
    check_ids,
    check_not_negative,
    check_positive,
    check_shares,
    check_sizes,
    check_whole,
    look_up,
)

NOT_FINITE = (math.nan, math.inf, -math.inf)
NO_NUMBERS = ([3], "3", None, True, torch.ones(2), 1j)


@pytest.mark.plain  # the run-time checker wants an int itself
@pytest.mark.parametrize("size", [1, 7, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_whole_numbers_of_any_kind_are_sizes(size):
    check_sizes(n=size)


@pytest.mark.rejects
@pytest.mark.parametrize("size", [0, -2, np.int64(0)])
def test_a_size_is_at_least_one(size):
    with pytest.raises(ValueError, match=f"^n must be at least 1, got {size}$"):
        check_sizes(m=1, n=size)


@pytest.mark.rejects
@pytest.mark.parametrize("size", [*NOT_FINITE, 2.5, 2.0, np.float32(4), Fraction(4)])
def test_a_size_is_whole(size):
    with pytest.raises(ValueError, match=r"^n must be a whole number of at least 1, got "):
        check_sizes(n=size)


@pytest.mark.rejects
@pytest.mark.parametrize("size", NO_NUMBERS)
def test_a_size_is_a_number(size):
    with pytest.raises(
        TypeError, match=r"^n must be a whole number of at least 4, got .* of type "
    ):
        check_whole(4, n=size)


ALLOWED = {
    check_positive: ((1e-300, 1, 2.5, np.float32(0.5)), (0, -1.0), "a finite number above 0"),
    check_not_negative: ((0, 0.0, 7.5), (-1e-300, -2), "a finite number of at least 0"),
    check_finite: ((-3.5, 0, 1e300), (), "a finite number"),
    check_shares: ((0, 0.25, 1, 1.0), (-0.01, 1.01), "in [0, 1]"),
    check_dropout: ((0, 0.999), (-0.01, 1, 1.0), "in [0, 1)"),
}


@pytest.mark.plain
@pytest.mark.parametrize("check", ALLOWED)
def test_numbers_in_range_pass(check):
    for number in ALLOWED[check][0]:
        check(rate=number)


@pytest.mark.rejects
@pytest.mark.parametrize("check", ALLOWED)
def test_numbers_out_of_range_and_nan_are_named(check):
    _, out_of_range, rule = ALLOWED[check]
    for number in (*out_of_range, *NOT_FINITE):
        with pytest.raises(ValueError) as error:
            check(share=0.5, rate=number)
        assert str(error.value) == f"rate must be {rule}, got {number}"


@pytest.mark.rejects
@pytest.mark.parametrize("check", ALLOWED)
def test_what_is_no_number_is_named(check):
    for number in NO_NUMBERS:
        with pytest.raises(TypeError) as error:
            check(rate=number)
        assert str(error.value).startswith(f"rate must be {ALLOWED[check][2]}, got {number!r} of")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_point_dtype_passes(dtype):
    check_floats(x=torch.zeros(2, dtype=dtype))


@pytest.mark.rejects
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_other_dtypes_are_named(dtype):
    with pytest.raises(TypeError, match=f"^x must hold floating-point numbers, got {dtype}$"):
        check_floats(y=torch.zeros(1), x=torch.zeros(2, dtype=dtype))


@pytest.mark.rejects
@pytest.mark.parametrize("x", [[1.0], np.zeros(2), 3.0, None])
def test_what_is_no_tensor_is_named(x):
    message = f"^x must be a tensor, got {type(x).__name__}$"
    with pytest.raises(TypeError, match=message):
        check_floats(x=x)
    with pytest.raises(TypeError, match=message):
        check_ids(5, x=x)


def test_ids_of_a_table_are_looked_up():
    table = nn.Embedding(5, 3)
    ids = torch.tensor([[0, 4], [2, 2]])
    assert torch.equal(look_up(table, ids), table.weight[ids])
    assert look_up(table, ids[:0]).shape == (0, 2, 3)


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [5, -1, 2**40])
def test_an_id_without_a_row_is_named(wrong):
    with pytest.raises(ValueError, match=f"^source must hold ids from 0 to 4, got {wrong}$"):
        look_up(nn.Embedding(5, 3), torch.tensor([[0, wrong]]), "source")


@pytest.mark.rejects
@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.bool])
def test_ids_of_another_dtype_are_named(dtype):
    with pytest.raises(TypeError, match=f"^ids must hold ids of dtype torch.int64, got {dtype}$"):
        look_up(nn.Embedding(5, 3), torch.zeros(1, 2, dtype=dtype))


def test_ids_without_values_are_taken_as_they_are():
    check_ids(5, ids=torch.zeros(2, 3, dtype=torch.int64, device="meta"))
