import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.exercises.comparing import same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1.0 + 1e-9),
        (1, 1.0),
        (torch.tensor(2.0), 2.0),
        (2, torch.tensor(2)),
        (np.float64(2.0), 2.0),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.True_, True),
        (torch.tensor([1.0, 2.0]), np.array([1.0, 2.0])),
        (torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0])),
        ([1, 2.0], (1, 2)),
        ((torch.ones(3), "a"), (torch.ones(3), "a")),
        (torch.tensor([True, False]), torch.tensor([True, False])),
        (None, None),
    ],
)
def test_what_is_the_same_however_it_is_written(one, other):
    assert same(one, other, 1e-6)
    assert same(other, one, 1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1.001),
        (1.0, math.nan),
        (True, 1),
        (torch.ones(3), torch.ones(3, 1)),
        (torch.ones(1, 3), torch.ones(3, 1)),
        (torch.tensor([1.0, 0.0]), torch.tensor([True, False])),
        (torch.tensor([1.0, math.nan]), torch.tensor([1.0, 0.0])),
        ([1, 2], [1, 2, 3]),
        ("a", "b"),
        (None, 0.0),
        ((torch.ones(2),), (torch.zeros(2),)),
    ],
)
def test_what_is_not_the_same(one, other):
    assert not same(one, other, 1e-6)
    assert not same(other, one, 1e-6)


@given(st.floats(-100, 100), st.floats(0, 1e-2))
def test_a_number_is_the_same_within_the_tolerance(number, tolerance):
    assert same(number, number, tolerance)
    assert same(number + 0.9 * tolerance, number, tolerance)
    assert not same(number + 1 + 200 * tolerance, number, tolerance)
