import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_1_rms_norm import EXERCISE, rms_norm

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def norm_loop(x, weight, eps):
    out = torch.empty_like(x)
    for i, sequence in enumerate(x.double()):
        for t, token in enumerate(sequence):
            mean_square = sum(feature**2 for feature in token) / len(token)
            out[i, t] = token / math.sqrt(mean_square + eps) * weight
    return out


def norm_numpy(x, weight, eps):
    wide = x.numpy().astype(np.float32)
    rms = np.sqrt((wide**2).mean(-1, keepdims=True) + eps)
    return (wide / rms * weight.numpy()).astype(x.numpy().dtype)


def norm_wide_if_not_half(x, weight, eps):
    """Stay in double precision where nobody asked for half."""
    y = x.double()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps) * weight
    return y.half() if x.dtype == torch.float16 else y


def norm_rounded_before_the_weight(x, weight, eps):
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps)
    return weight * y.type_as(x)


def norm_rounded_root(x, weight, eps):
    rms = (x.float().square().mean(-1, keepdim=True) + eps).sqrt()
    return x / rms.to(x.dtype) * weight


def norm_by_length(x, weight, eps):
    y = x.float()
    length = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    return (y / (length**2 / y.shape[-1] + eps).sqrt() * weight).to(x.dtype)


def norm_scaled_first(x, weight, eps):
    """Never leave half precision: nothing overflows if the largest feature is 1."""
    largest = x.abs().amax(-1, keepdim=True).clamp(min=1e-3)
    small = x / largest
    return small / (small.square().mean(-1, keepdim=True) + eps / largest / largest).sqrt() * weight


def norm_layer(x, weight, eps):
    layer = nn.RMSNorm(x.shape[-1], eps=eps)
    layer.weight = nn.Parameter(weight)
    return layer(x)


OTHER_WAYS = [
    norm_loop,
    norm_numpy,
    norm_wide_if_not_half,
    norm_rounded_before_the_weight,
    norm_rounded_root,
    norm_by_length,
    norm_scaled_first,
    norm_layer,
    lambda x, w, eps: F.rms_norm(x, w.shape, w, eps),
    lambda x, w, eps: torch.rms_norm(x.double(), w.shape, w.double(), eps).to(x.dtype),
    lambda x, w, eps: (
        x.float()
        * w
        / (
            x.float().var(-1, correction=0, keepdim=True)
            + x.float().mean(-1, keepdim=True) ** 2
            + eps
        ).sqrt()
    ).to(x.dtype),
]


# Wrong ways, written as a learner writes them.


def written(line, *before):
    """Make an answer from its last line; what stands before is put in front of it."""

    def answer(x, weight, eps):
        names = {"x": x, "weight": weight, "eps": eps, "torch": torch, "F": F, "d": x.shape[-1]}
        exec("\n".join(before or ["h = x.float()"]), names)
        return eval(line, names).to(x.dtype)

    return answer


def norm_all_half(x, weight, eps):
    mean_square = (x**2).mean(dim=-1, keepdim=True)
    return x / torch.sqrt(mean_square + eps) * weight


def norm_widened_late(x, weight, eps):
    mean_square = (x**2).float().mean(dim=-1, keepdim=True)
    return (x / torch.sqrt(mean_square + eps) * weight).to(x.dtype)


def norm_mean_widened(x, weight, eps):
    mean_square = torch.mean(x * x, dim=-1, keepdim=True, dtype=torch.float32)
    return x * torch.rsqrt(mean_square + eps) * weight


def norm_no_keepdim(x, weight, eps):
    return weight * x * torch.rsqrt(x.float().pow(2).mean(-1) + eps)


NEAR_MISSES = [
    ("layer_norm", lambda x, w, eps: F.layer_norm(x, w.shape, w, eps=eps)),
    ("layer_norm", written("F.layer_norm(h, (d,), eps=eps) * weight")),
    (
        "layer_norm",
        written("(h - h.mean(-1, True)) / (h.var(-1, keepdim=True) + eps).sqrt() * weight"),
    ),
    (
        "mean_subtracted",
        written(
            "(h - m) / (h**2 + 0).mean(-1, True).add(eps).sqrt() * weight",
            "h = x.float()",
            "m = h.mean(-1, keepdim=True)",
        ),
    ),
    ("variance", written("h * torch.rsqrt(h.var(-1, keepdim=True) + eps) * weight")),
    ("variance", written("h / (h.std(-1, keepdim=True) + eps) * weight")),
    ("over_the_sequence", written("h / (h.square().mean(1, True) + eps).sqrt() * weight")),
    ("over_the_batch", written("h / (h.square().mean(0) + eps).sqrt() * weight")),
    ("over_everything", written("h / (h.square().mean() + eps).sqrt() * weight")),
    ("over_sequence_and_features", written("F.rms_norm(h, h.shape[1:], eps=eps) * weight")),
    ("length_one", written("F.normalize(h, dim=-1) * weight")),
    ("length_one", written("h / h.norm(dim=-1, keepdim=True) * weight")),
    ("length_one", written("h / (h.norm(dim=-1, keepdim=True) + eps) * weight")),
    ("root_of_width", written("h / (h.norm(dim=-1, keepdim=True) / d + eps) * weight")),
    ("mean_absolute", written("h / (h.square().sqrt().mean(-1, True) + eps) * weight")),
    ("square_of_the_mean", written("h / (h.mean(-1, True) ** 2 + eps) ** 0.5 * weight")),
    ("no_root", written("h / (h.square().mean(-1, True) + eps) * weight")),
    ("eps_outside", written("h / (h.square().mean(-1, True).sqrt() + eps) * weight")),
    ("no_eps", written("h / h.square().mean(-1, True).sqrt() * weight")),
    ("default_eps", written("F.rms_norm(h, (d,), weight.float())")),
    ("squares_overflow", norm_all_half),
    ("squares_overflow", norm_widened_late),
    ("squares_overflow", norm_mean_widened),
    ("stays_wide", lambda x, w, eps: F.rms_norm(x.float(), w.shape, w.float(), eps)),
    ("no_weight", lambda x, w, eps: F.rms_norm(x, w.shape, eps=eps)),
    ("weight_too_early", lambda x, w, eps: F.rms_norm(x.float() * w, w.shape, eps=eps).to(x.dtype)),
    ("no_keepdim", norm_no_keepdim),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=lambda case: str(tuple(case[0].shape)))
def test_the_solution_is_torchs_own(case):
    x, weight, eps = case
    output, expected = rms_norm(*case), F.rms_norm(x, weight.shape, weight, eps)
    assert output.dtype == expected.dtype == x.dtype
    torch.testing.assert_close(output, expected)


def test_every_token_of_half_precision_overflows_when_it_is_squared():
    (half,) = [x for x, *_ in EXERCISE.cases() if x.dtype == torch.float16]
    assert half.isfinite().all() and half.square().isinf().any(-1).all()


def test_a_wider_type_is_wrong_only_where_half_was_given():
    wide = judge(EXERCISE, lambda *case: rms_norm(*case).double())
    assert wide.mistake == "stays_wide"
    assert judge(EXERCISE, norm_wide_if_not_half).kind == "correct"


def test_of_half_precision_the_learner_is_shown_the_type():
    def clipped(x, weight, eps):
        return rms_norm(x.clamp(-300, 300), weight, eps)

    verdict = judge(EXERCISE, clipped)
    assert verdict.kind == "wrong" and "(float16)" in verdict.message
    assert "'float16']" in verdict.message
