import math

import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.t5.ex12_1_buckets import EXERCISE, buckets_of

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def buckets_loop(distances, n_buckets, max_distance, both_sides):
    def one(distance):
        first, n_side, far = 0, n_buckets, max(-distance, 0)
        if both_sides:
            n_side //= 2
            first, far = n_side if distance > 0 else 0, abs(distance)
        exact = n_side // 2
        if far < exact:
            return first + far
        share = math.log(far / exact) / math.log(max_distance / exact)
        return first + min(exact + int(share * (n_side - exact)), n_side - 1)

    found = [one(distance) for distance in distances.flatten().tolist()]
    return torch.tensor(found).view(distances.shape)


def buckets_in_place(distances, n_buckets, max_distance, both_sides):
    out = torch.zeros_like(distances)
    if both_sides:
        n_buckets //= 2
        out[distances > 0] += n_buckets
        far = distances.abs()
    else:
        far = -torch.minimum(distances, torch.tensor(0))
    exact = n_buckets // 2
    ratio = torch.log(far.float() / exact) / math.log(max_distance / exact)
    large = exact + (ratio * (n_buckets - exact)).clamp(min=0).to(torch.int64)
    return out + torch.where(far < exact, far, large.clamp(max=n_buckets - 1))


def buckets_numpy(distances, n_buckets, max_distance, both_sides):
    d = distances.numpy()
    n_side = n_buckets // 2 if both_sides else n_buckets
    far = np.abs(d) if both_sides else np.maximum(-d, 0)
    exact = n_side // 2
    base = (max_distance / exact) ** (1 / (n_side - exact))
    steps = np.floor(np.log2(np.maximum(far, exact) / exact) / np.log2(base))
    bucket = np.minimum(np.where(far < exact, far, exact + steps), n_side - 1).astype(int)
    return bucket + n_side * (both_sides & (d > 0))


def buckets_by_bounds(distances, n_buckets, max_distance, both_sides):
    """Look up where each bucket begins."""
    n_side = n_buckets // 2 if both_sides else n_buckets
    exact = n_side // 2
    steps = torch.arange(n_side - exact) / (n_side - exact)
    begins = torch.cat([torch.arange(exact).double(), exact * (max_distance / exact) ** steps])
    far = distances.abs() if both_sides else (-distances).clamp(min=0)
    bucket = torch.bucketize(far.double(), begins.double(), right=True) - 1
    return bucket + n_side * (distances > 0) if both_sides else bucket


OTHER_WAYS = [buckets_loop, buckets_in_place, buckets_numpy, buckets_by_bounds]


# Wrong ways, written as a learner writes them.


def buckets_query_minus_key(distances, n_buckets, max_distance, both_sides):
    return buckets_loop(-distances, n_buckets, max_distance, both_sides)


def buckets_for_an_encoder(distances, n_buckets, max_distance, both_sides):
    return buckets_loop(distances, n_buckets, max_distance, True)


def buckets_of_the_absolute(distances, n_buckets, max_distance, both_sides):
    distances = distances if both_sides else -distances.abs()
    return buckets_loop(distances, n_buckets, max_distance, both_sides)


def buckets_without_min(distances, n_buckets, max_distance, both_sides):
    n_side = n_buckets // 2 if both_sides else n_buckets
    far = distances.abs() if both_sides else (-distances).clamp(min=0)
    exact = n_side // 2
    steps = (far / exact).log() / math.log(max_distance / exact) * (n_side - exact)
    large = exact + steps.nan_to_num(neginf=0.0).floor().long()
    return torch.where(far < exact, far, large) + n_side * both_sides * (distances > 0)


def buckets_with_one_logarithm(distances, n_buckets, max_distance, both_sides):
    n_side = n_buckets // 2 if both_sides else n_buckets
    far = distances.abs() if both_sides else (-distances).clamp(min=0)
    exact = n_side // 2
    steps = np.log(far.clamp(min=1).numpy() / exact) * (n_side - exact)
    large = torch.from_numpy(exact + steps).long().clamp(max=n_side - 1)
    return torch.where(far < exact, far, large) + n_side * both_sides * (distances > 0)


NEAR_MISSES = [
    ("sign_reversed", buckets_query_minus_key),
    ("always_both_sides", buckets_for_an_encoder),
    ("future_not_zero", buckets_of_the_absolute),
    ("not_clipped", buckets_without_min),
    ("wrong_logarithm", buckets_with_one_logarithm),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    back = -torch.arange(24)
    one = buckets_of(back, 8, 32, False).tolist()
    assert one == [0, 1, 2, 3, *3 * [4], *5 * [5], *8 * [6], *4 * [7]]
    ahead = torch.tensor([-9, -7, -6, -2, -1, 0, 1, 2, 6, 7, 9])
    assert buckets_of(ahead, 8, 20, True).tolist() == [3, 3, 2, 2, 1, 0, 5, 6, 6, 7, 7]


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=lambda case: case[1:])
def test_no_distance_lies_where_rounding_decides(case):
    distances, n_buckets, max_distance, both_sides = case
    n_side = n_buckets // 2 if both_sides else n_buckets
    exact = n_side // 2
    far = distances.abs()[(distances.abs() > exact) & (distances.abs() < max_distance)].double()
    steps = (far / exact).log() / math.log(max_distance / exact) * (n_side - exact)
    assert (steps - steps.round()).abs().min() > 1e-3


def test_a_float_result_is_told_so():
    verdict = judge(EXERCISE, lambda *case: buckets_of(*case).float())
    assert verdict.kind == "wrong" and "whole numbers" in verdict.message
