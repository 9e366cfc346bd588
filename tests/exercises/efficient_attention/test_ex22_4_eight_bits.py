import numpy as np
import pytest
import torch

from minattn.exercises.efficient_attention.ex22_4_eight_bits import EXERCISE, to_8_bits
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, shares of the largest, a smallest scale, clamped for safety.


def by_loops(x):
    codes, scales = [], []
    for token in x.tolist():
        scale = max(abs(number) for number in token) / 127 or 1.0
        codes.append([round(number / scale) for number in token])
        scales.append([scale])
    return torch.tensor(codes, dtype=torch.int8), torch.tensor(scales)


def by_numpy(x):
    x = x.numpy()
    largest = np.abs(x).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 127) / 127
    return np.rint(x / scale).astype(np.int8), scale


def by_shares(x):
    largest = torch.linalg.vector_norm(x, ord=torch.inf, dim=1, keepdim=True)
    shares = torch.where(largest > 0, x / largest, 0.0)
    return (127 * shares).round().char(), torch.where(largest > 0, largest / 127, 1.0)


def with_a_smallest_scale(x):
    scale = (x.abs().max(dim=-1, keepdim=True).values / 127).clamp(min=1e-8)
    return torch.round(x / scale).to(torch.int8), scale


def clamped(x):
    scale = torch.maximum(x.amax(-1), -x.amin(-1)).unsqueeze(-1) / 127
    scale[scale == 0] = 3.0
    return (x / scale).round().clamp(-127, 127).to(torch.int8), scale


OTHER_WAYS = [by_loops, by_numpy, by_shares, with_a_smallest_scale, clamped]


# Wrong ways, written as a learner writes them.


def of_the_whole_tensor(x):
    scale = x.abs().max() / 127
    return (x / scale).round().to(torch.int8), scale.expand(len(x), 1)


def of_each_column(x):
    scale = x.abs().amax(0) / 127
    return (x / scale).round().to(torch.int8), scale[None]


def without_amounts(x):
    scale = x.amax(-1, keepdim=True) / 127
    scale[scale == 0] = 1
    return (x / scale).round().clamp(-128, 127).to(torch.int8), scale


def with_128(x):
    scale = x.abs().amax(-1, keepdim=True) / 128
    scale[scale == 0] = 1
    return (x / scale).round().clamp(max=127).to(torch.int8), scale


def without_round(x):
    scale = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-6)
    return (x / scale).to(torch.int8), scale


def divided_by_0(x):
    scale = x.abs().amax(-1, keepdim=True) / 127
    return (x / scale).round().nan_to_num().to(torch.int8), scale


def factor_for_scale(x):
    factor = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-6)
    return (x * factor).round().to(torch.int8), factor


def in_four_bytes(x):
    scale = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-6)
    return (x / scale).round().int(), scale


NEAR_MISSES = [
    ("one_scale_for_all", of_the_whole_tensor),
    ("one_scale_for_all", of_each_column),
    ("largest_without_amount", without_amounts),
    ("other_levels", with_128),
    ("cut_off", without_round),
    ("scale_of_0", divided_by_0),
    ("other_scale", factor_for_scale),
    ("not_8_bits", in_four_bytes),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    codes, scale = to_8_bits(torch.tensor([[2.54, -0.5, 0.035]]))
    assert codes.tolist() == [[127, -25, 2]] and codes.dtype == torch.int8
    torch.testing.assert_close(scale, torch.tensor([[0.02]]))


def test_no_code_hangs_on_rounding():
    for (x,) in EXERCISE.cases():
        _, scale = to_8_bits(x)
        away = ((x / scale).frac().abs() - 0.5).abs()
        assert float(away.min()) > 1e-3


def test_tokens_of_both_kinds_and_one_of_zeros_are_there():
    most = torch.cat([case[0].amax(-1) for case in EXERCISE.cases()])
    least = torch.cat([case[0].amin(-1) for case in EXERCISE.cases()])
    assert bool((most > -least).any()) and bool((most < -least).any())
    assert bool((most == least).any())


def test_half_a_step_is_the_most_that_is_lost():
    for (x,) in EXERCISE.cases():
        codes, scale = to_8_bits(x)
        assert bool(((codes * scale - x).abs() <= scale / 2 + 1e-6).all())


@pytest.mark.parametrize("scale", [0.0, -1.0, torch.inf, torch.nan])
def test_a_scale_for_zeros_that_is_none_is_rejected(scale):
    def answer(x):
        codes, scales = to_8_bits(x)
        scales[(x == 0).all(-1)] = scale
        return codes, scales

    assert judge(EXERCISE, answer).kind in ("wrong", "mistake")


def test_codes_that_are_off_by_one_break_the_law():
    verdict = judge(EXERCISE, lambda x: (to_8_bits(x)[0] // 2, to_8_bits(x)[1]))
    assert verdict.kind == "wrong" and "half a step" in verdict.message


def test_the_input_is_left_as_it_was():
    def answer(x):
        out = to_8_bits(x)
        x += 1
        return out

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message
