import math

import numpy as np
import torch

INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def bias_indexed(allowed):
    bias = torch.zeros(allowed.shape, dtype=torch.float64)
    bias[~allowed] = float("-inf")
    return bias


OTHER_WAYS = [
    bias_indexed,
    lambda m: m.float().log(),
    lambda m: np.where(m.numpy(), 0.0, -np.inf),
    lambda m: torch.zeros_like(m, dtype=torch.float).masked_fill(m.logical_not(), -INF),
    lambda m: 1 - 1 / m.float(),
]


# Wrong ways, written as a learner writes them.


def bias_not_kept(allowed):
    bias = torch.zeros(allowed.shape)
    bias.masked_fill(~allowed, -INF)
    return bias


def bias_half_of_a_tutorial(allowed):
    return allowed.float().masked_fill(allowed == 0, float("-inf"))


def bias_of_truth(allowed):
    return torch.zeros_like(allowed).masked_fill(~allowed, float("-inf"))


NEAR_MISSES = [
    ("inverted", lambda m: (~m).float().log()),
    ("nan", lambda m: ~m * -INF),
    ("bool_arithmetic", lambda m: (1 - m) * -1e9),
    ("finite", lambda m: (m.float() - 1) * 1e9),
    ("finite", lambda m: ((1 - m.float()) * -INF).nan_to_num(0.0)),
    ("finite", lambda m: (m + 1e-9).log()),
    ("ones_and_zeros", lambda m: m.int()),
    ("nothing_filled", bias_not_kept),
    ("allowed_not_zero", bias_half_of_a_tutorial),
    ("still_bool", bias_of_truth),
]
