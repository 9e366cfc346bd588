import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.super_resolution.ex17_3_signal_to_noise import EXERCISE, mean_psnr

# Other right ways: loops, NumPy, roots, a mask, pictures from 0 to 1.


def psnr_by_loops(found, truth, border, peak):
    ratios = []
    for a, b in zip(found.float(), truth.float(), strict=True):
        if border:
            a, b = (x[:, border:-border, border:-border] for x in (a, b))
        error = ((a - b) ** 2).mean().item()
        ratios.append(math.inf if error == 0 else 10 * math.log10(peak**2 / error))
    return sum(ratios) / len(ratios)


def psnr_numpy(found, truth, border, peak):
    height, width = found.shape[-2:]
    inside = np.s_[:, :, border : height - border, border : width - border]
    off = found.numpy()[inside].astype(float) - truth.numpy()[inside].astype(float)
    with np.errstate(divide="ignore"):
        return float(np.mean(20 * np.log10(peak / np.sqrt((off**2).mean(axis=(1, 2, 3))))))


def psnr_from_0_to_1(found, truth, border, peak):
    a, b = found.double() / peak, truth.double() / peak
    counts = torch.zeros(found.shape[-2:], dtype=torch.bool)
    counts[border : len(counts) - border, border : counts.shape[1] - border] = True
    squares = (a - b).pow(2)[..., counts]
    return (-10 * torch.log10(squares.mean(dim=(1, 2)))).mean()


def psnr_by_torch(found, truth, border, peak):
    edges = [-border] * 4
    a, b = (F.pad(x.float(), edges) for x in (found, truth))
    ratios = [
        20 * math.log10(peak) - 10 * F.mse_loss(x, y).log10() for x, y in zip(a, b, strict=True)
    ]
    return torch.stack(ratios).mean().item()


OTHER_WAYS = [psnr_by_loops, psnr_numpy, psnr_from_0_to_1, psnr_by_torch]


# Wrong ways, written as a learner writes them.


def inner(x, border):
    return x[..., border : x.shape[-2] - border, border : x.shape[-1] - border]


def psnr_of_bytes(found, truth, border, peak):
    off = inner(found.numpy(), border) - inner(truth.numpy(), border)
    with np.errstate(divide="ignore"):
        return float(np.mean(10 * np.log10(peak**2 / np.mean(off**2, axis=(1, 2, 3)))))


def psnr_of_bytes_made_floats_late(found, truth, border, peak):
    mse = (inner(found, border) - inner(truth, border)).float().pow(2).mean((1, 2, 3))
    return (10 * torch.log10(peak**2 / mse)).mean().item()


def psnr_of_255(found, truth, border, peak):
    mse = (inner(found, border).float() - inner(truth, border).float()).pow(2).mean((1, 2, 3))
    return (20 * torch.log10(255 / mse.sqrt())).mean().item()


def psnr_by_the_type(found, truth, border, peak):
    return psnr_by_loops(found, truth, border, 1.0 if found.dtype == torch.float32 else 255)


def psnr_to_minus_0(found, truth, border, peak):
    a, b = (x[:, :, border:-border, border:-border].double() for x in (found, truth))
    return (10 * (peak**2 / (a - b).square().mean((1, 2, 3))).log10()).mean().item()


def psnr_of_the_root(found, truth, border, peak):
    mse = (inner(found, border).float() - inner(truth, border).float()).pow(2).mean((1, 2, 3))
    return (10 * torch.log10(peak / mse.sqrt())).mean().item()


def psnr_with_log(found, truth, border, peak):
    mse = (inner(found, border).float() - inner(truth, border).float()).pow(2).mean((1, 2, 3))
    return (10 * torch.log(peak**2 / mse)).mean().item()


def psnr_of_everything(found, truth, border, peak):
    mse = F.mse_loss(inner(found, border).float(), inner(truth, border).float())
    return (10 * torch.log10(peak**2 / mse)).item()


def psnr_of_luma(found, truth, border, peak):
    y = [
        (inner(x, border).float().movedim(1, -1) @ torch.tensor([0.299, 0.587, 0.114]))
        for x in (found, truth)
    ]
    return (10 * torch.log10(peak**2 / (y[0] - y[1]).square().mean((1, 2)))).mean().item()


def psnr_of_100(found, truth, border, peak):
    out = psnr_by_loops(found, truth, border, peak)
    return 100 if math.isinf(out) else out


def psnr_that_divides(found, truth, border, peak):
    mse = (inner(found, border).float() - inner(truth, border).float()).pow(2).mean((1, 2, 3))
    return sum(10 * math.log10(peak**2 / x.item()) for x in mse) / len(mse)


NEAR_MISSES = [
    ("integers_wrap_around", psnr_of_bytes),
    ("integers_wrap_around", psnr_of_bytes_made_floats_late),
    ("another_peak", psnr_of_255),
    ("another_peak", psnr_by_the_type),
    ("border_not_cut", psnr_to_minus_0),
    ("factor_for_the_other", psnr_of_the_root),
    ("natural_logarithm", psnr_with_log),
    ("mean_at_another_place", psnr_of_everything),
    ("of_luma", psnr_of_luma),
    ("equal_pictures", psnr_of_100),
    ("equal_pictures", psnr_that_divides),
]


# What is said, and what the checker is tried on.


def test_errors_go_both_ways_and_some_do_not_fit_into_16_bits_squared():
    for found, truth, *_ in EXERCISE.cases()[:-1]:
        off = found.double() - truth.double()
        assert bool((off < 0).any()) and bool((off > 0).any())
        if not found.is_floating_point():
            assert float(off.abs().max()) > 182


def test_pictures_of_a_case_differ_in_their_errors():
    for found, truth, border, peak in EXERCISE.cases()[1:-1]:
        ratios = [
            mean_psnr(a[None], b[None], border, peak) for a, b in zip(found, truth, strict=True)
        ]
        assert np.ptp(ratios) > 1.5
        assert mean_psnr(found, truth, border, peak) == pytest.approx(np.mean(ratios))


def test_the_numbers_of_the_task():
    off = torch.full((1, 3, 4, 4), 0.1)
    assert mean_psnr(off, torch.zeros_like(off), 1, 1.0) == pytest.approx(20, abs=1e-4)


def test_an_unknown_answer_hears_of_the_law():
    verdict = judge(EXERCISE, lambda *case: -mean_psnr(*case))
    assert verdict.kind == "wrong" and "it is above 0" in verdict.message
