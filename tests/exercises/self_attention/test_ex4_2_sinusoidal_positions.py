import math

import numpy as np
import torch

from minattn.exercises.judging import judge
from minattn.exercises.self_attention.ex4_2_sinusoidal_positions import EXERCISE
from minattn.positions import sinusoidal

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def positions_loop(n, d):
    out = np.zeros((n, d))
    for t in range(n):
        for j in range(d):
            angle = t / 10000 ** (2 * (j // 2) / d)
            out[t, j] = math.cos(angle) if j % 2 else math.sin(angle)
    return out


def positions_exp(n, d):
    pe = torch.zeros(n, d)
    position = torch.arange(0, n, dtype=torch.float).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe


def positions_by_turning(n, d):
    """Get each row from the one before by turning its pairs."""
    step = torch.polar(torch.ones(d // 2), 10000 ** (-torch.arange(0, d, 2) / d))
    pairs = torch.stack([step**t for t in range(n)])
    return torch.stack([pairs.imag, pairs.real], -1).reshape(n, d)


OTHER_WAYS = [positions_loop, positions_exp, positions_by_turning, sinusoidal]


# Wrong ways, written as a learner writes them.


def positions_by_pairs(exponents, lay=lambda s, c: torch.stack([s, c], -1).flatten(1)):
    def answer(n, d):
        angles = torch.arange(n)[:, None] / 10000 ** exponents(torch.arange(d // 2), d)
        return lay(torch.sin(angles), torch.cos(angles))

    return answer


def positions_by_features(exponent):
    def answer(n, d):
        out = torch.zeros(n, d)
        for t in range(n):
            for j in range(d):
                angle = t / 10000 ** exponent(j, d)
                out[t, j] = math.sin(angle) if j % 2 == 0 else math.cos(angle)
        return out

    return answer


def positions_exponential(sign):
    def answer(n, d):
        out = torch.zeros(n, d)
        rates = torch.exp(torch.arange(0, d, 2) * (sign * math.log(10000.0) / d))
        out[:, 0::2], out[:, 1::2] = (
            f(torch.arange(n)[:, None] * rates) for f in (torch.sin, torch.cos)
        )
        return out

    return answer


def positions_without_brackets(n, d):
    angles = torch.arange(n)[:, None] / 10000**2 * torch.arange(d // 2) / d
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


NEAR_MISSES = [
    ("exponent_reaches_one", positions_by_pairs(lambda i, d: i / (d // 2 - 1))),
    ("exponent_doubled", positions_by_features(lambda j, d: 2 * j / d)),
    ("exponent_doubled", positions_by_pairs(lambda i, d: 2 * i / (d // 2))),
    ("exponent_not_doubled", positions_by_pairs(lambda i, d: i / d)),
    ("cosine_shifted", positions_by_features(lambda j, d: j / d)),
    ("halves", positions_by_pairs(lambda i, d: 2 * i / d, lambda *a: torch.cat(a, 1))),
    ("halves", positions_by_pairs(lambda i, d: 2 * i / d, lambda *a: torch.hstack(a))),
    ("multiplied", positions_exponential(+1)),
    ("exponent_doubled", positions_exponential(-2)),
    ("one_frequency", positions_by_pairs(lambda i, d: 2 * i // d)),
    ("brackets", positions_without_brackets),
    ("i_from_one", positions_by_pairs(lambda i, d: 2 * (i + 1) / d)),
]


# What is said, and what the checker is tried on.


def test_a_tensor_of_another_shape_is_said():
    verdict = judge(EXERCISE, lambda n, d: sinusoidal(n, d)[None])
    assert verdict.message.startswith("The result has shape (1, 3, 4), it should have (3, 4).")
