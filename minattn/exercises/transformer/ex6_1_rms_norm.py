"""Exercise 6.1: layer norm, and what became of it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.exercises.telling import brief


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide every token by the root of the mean of its squared features, then apply a learned scale."""
    return _in_type_of(x, _normed(x.float(), eps) * weight.float())


def norm_in_its_type(answer: Answer, x: Tensor, weight: Tensor, eps: float) -> Any:
    """Let an answer norm tokens; where they have half precision, say also what type comes back."""
    output = answer(x, weight, eps)
    if output is None or output is ... or x.dtype != torch.float16:
        return output
    dtype = getattr(output, "dtype", type(output).__name__)
    return [output, str(dtype).removeprefix("torch.")]


def _in_type_of(x: Tensor, output: Tensor) -> Tensor:
    return output.to(x.dtype)


def _normed(x: Tensor, eps: float, axes: Sequence[int] = (-1,)) -> Tensor:
    return x / (x.square().mean(tuple(axes), keepdim=True) + eps).sqrt()


def _norm_over(*axes: int) -> Answer:
    """Make a norm whose mean runs over some axes."""
    return lambda x, w, eps: _in_type_of(x, _normed(x.float(), eps, axes) * w.float())


def _norm_by(
    scale: Callable[[Tensor, float], Tensor],
    centre: Callable[[Tensor], Tensor | float] = lambda x: 0.0,
) -> Answer:
    """Make a norm that divides by something else, or takes something off before."""

    def answer(x: Tensor, w: Tensor, eps: float) -> Tensor:
        wide = x.float()
        return _in_type_of(x, (wide - centre(wide)) / scale(wide, eps) * w.float())

    return answer


def _then(weigh: Callable[[Tensor, Tensor], Tensor]) -> Answer:
    """Make a norm that does something else with the weight."""
    return lambda x, w, eps: _in_type_of(x, weigh(_normed(x.float(), eps), w.float()))


def _mean_of(x: Tensor) -> Tensor:
    return x.mean(-1, keepdim=True)


def _mean_square(x: Tensor) -> Tensor:
    return _mean_of(x.square())


def _variance(x: Tensor, correction: int = 0) -> Tensor:
    return x.var(-1, correction=correction, keepdim=True)


def _rms(x: Tensor, eps: float) -> Tensor:
    return (_mean_square(x) + eps).sqrt()


def _sum_square(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True)


def _rms_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d: int, eps: float) -> Case:
        x = 2 * numbers(seed, batch, seq, d) + 1
        return x, 1 + numbers(seed + 1, d) / 2, eps

    silent = case(606, 2, 3, 4, 1e-5)
    silent[0][1, 2] = 0.0
    x = (40 * numbers(608, 2, 3, 4)).round()
    x[..., 1] = torch.tensor([[400.0, -300.0, 500.0], [-350.0, 450.0, 380.0]])
    half = x.half(), torch.tensor([1.5, 0.5, 2.0, 0.75]).half(), 1e-5
    return [
        case(600, 2, 3, 4, 0.25),
        case(603, 3, 2, 5, 0.5),
        silent,
        half,
        case(609, 5, 7, 3, 1e-5),
    ]


def _show_rms(x: Tensor, weight: Tensor, eps: float) -> str:
    kind = str(x.dtype).removeprefix("torch.")
    return f"x = {brief(x)} ({kind})\nweight = {brief(weight)}\neps = {brief(eps)}"


EXERCISE = Exercise(
    number="6.1",
    title="Layer norm, and what became of it",
    solution=rms_norm,
    cases=_rms_cases,
    show_case=_show_rms,
    trial=norm_in_its_type,
    tolerance=3e-3,  # half precision, rounded at every step
    mistakes=[
        Mistake(
            "layer_norm",
            _norm_by(lambda x, eps: (_variance(x) + eps).sqrt(), centre=_mean_of),
            "This is layer norm: the mean is taken off, and what is left is divided by the standard "
            "deviation. RMS norm leaves the mean where it is. Divide x as it comes in.",
            also=[_norm_by(lambda x, eps: (_variance(x, 1) + eps).sqrt(), centre=_mean_of)],
        ),
        Mistake(
            "mean_subtracted",
            _norm_by(_rms, centre=_mean_of),
            "You divide by the right number, but you take the mean off before. That was the first half of "
            "layer norm, and it is the half that is left out here.",
        ),
        Mistake(
            "variance",
            _norm_by(lambda x, eps: (_variance(x) + eps).sqrt()),
            "You divide by the standard deviation. It measures how far the features lie from their mean; here "
            "it counts how far they lie from 0. Square the features themselves and take the mean.",
            also=[
                _norm_by(lambda x, eps: (_variance(x, 1) + eps).sqrt()),
                _norm_by(lambda x, eps: _variance(x).sqrt() + eps),
                _norm_by(lambda x, eps: _variance(x, 1).sqrt() + eps),
            ],
        ),
        Mistake(
            "over_the_sequence",
            _norm_over(1),
            "The mean runs over the tokens of a sequence. Then a token changes when others are added, and in "
            "a decoder it would even be told about those that come later. Each token is normed by itself, "
            "over its features: the last axis.",
        ),
        Mistake(
            "over_the_batch",
            _norm_over(0),
            "The mean runs over the batch, for each place and feature. Then a sequence gives something else "
            "in another batch. The last axis is that of the features.",
            also=[_norm_over(0, 1)],
        ),
        Mistake(
            "over_sequence_and_features",
            _norm_over(1, 2),
            "There is one number for a whole sequence. Then padding and later tokens have a say in every "
            "token. Each token is divided by a number of its own: take the mean over the last axis only.",
        ),
        Mistake(
            "over_everything",
            _norm_over(0, 1, 2),
            "There is one number for the whole batch: mean() without an axis takes everything. Each token "
            "has its own, over the last axis.",
        ),
        Mistake(
            "length_one",
            _norm_by(lambda x, eps: (_sum_square(x) + eps).sqrt()),
            "The squares are summed and not averaged: you divide by the length of the vector, so that every "
            "token gets length 1. Then the features become smaller in a wider model. Take the mean of the "
            "squares.",
            also=[
                _norm_by(lambda x, eps: _sum_square(x).sqrt()),
                _norm_by(lambda x, eps: _sum_square(x).sqrt() + eps),
                _norm_by(lambda x, eps: _sum_square(x).sqrt().clamp(min=1e-12)),
            ],
        ),
        Mistake(
            "root_of_width",
            _norm_by(lambda x, eps: _sum_square(x).sqrt() / x.shape[-1] + eps),
            "You divide the length of the vector by d, the number of features. The root is taken of the mean, "
            "so d stands under the root too: divide the length by the root of d.",
            also=[
                _norm_by(lambda x, eps: _sum_square(x).sqrt() / x.shape[-1]),
                _norm_by(lambda x, eps: (_sum_square(x) + eps).sqrt() / x.shape[-1]),
            ],
        ),
        Mistake(
            "mean_absolute",
            _norm_by(lambda x, eps: _mean_of(x.abs()) + eps),
            "You take the mean of the sizes, not of the squares: a root that is taken before the mean undoes "
            "the square. First the squares, then their mean, then the root.",
            also=[
                _norm_by(lambda x, eps: _mean_of(x.abs())),
                _norm_by(lambda x, eps: _mean_of((x.square() + eps).sqrt())),
                _norm_by(lambda x, eps: (_mean_of(x.abs()) + eps).sqrt()),
            ],
        ),
        Mistake(
            "square_of_the_mean",
            _norm_by(lambda x, eps: (_mean_of(x).square() + eps).sqrt()),
            "You square the mean. Features of opposite signs cancel in it, so you may divide a large token by "
            "nearly nothing. Square first, then take the mean.",
        ),
        Mistake(
            "no_root",
            _norm_by(lambda x, eps: _mean_square(x) + eps),
            "You divide by the mean square and not by its root. Then features that are twice as large come "
            "out half as large. It is the root that grows as x does.",
            also=[_norm_by(lambda x, eps: _mean_square(x))],
        ),
        Mistake(
            "eps_outside",
            _norm_by(lambda x, eps: _mean_square(x).sqrt() + eps),
            "eps is added after the root. The formula adds it to the mean square, under the root. For a tiny "
            "eps the two are nearly the same where features are large; one of the cases has a large eps, so "
            "that you can see it.",
        ),
        Mistake(
            "eps_squared",
            _norm_by(lambda x, eps: (_mean_square(x) + eps**2).sqrt()),
            "eps is squared. It is added to the mean square as it is.",
        ),
        Mistake(
            "no_eps",
            _norm_by(lambda x, eps: _mean_square(x).sqrt()),
            "eps is missing. A token whose features are all 0 has the root 0, and 0 / 0 is NaN. With eps "
            "under the root it stays 0.",
        ),
        Mistake(
            "default_eps",
            _norm_by(lambda x, eps: _rms(x, 1e-5)),
            "The eps that you are given is not used: the root holds a small number of its own, such as the "
            "usual 1e-5 or 1e-6. Use the argument.",
            also=[
                _norm_by(lambda x, eps: _rms(x, 1e-6)),
                _norm_by(lambda x, eps: _rms(x, 1e-8)),
                lambda x, w, eps: F.rms_norm(x, w.shape, w),
            ],
        ),
        Mistake(
            "squares_overflow",
            lambda x, w, eps: _normed(x, eps) * w,
            "All is right until x has half precision. Its largest number is 65504, so the square of 300 is "
            "infinity, the root is too, and the token divided by it is 0. Make x a float32 before you "
            "square it; to widen the squares or their mean comes too late.",
            also=[lambda x, w, eps: _normed(x, eps).float() * w],
        ),
        Mistake(
            "stays_wide",
            lambda x, w, eps: _normed(x.float(), eps) * w,
            "The numbers are right, but they come back in another type than x has. Where x has half "
            "precision, the next layer expects it too: float32 is for the inside of the norm only. "
            ".to(x.dtype) at the end brings it back.",
            also=[lambda x, w, eps: _normed(x.double(), eps) * w],
        ),
        Mistake(
            "no_weight",
            _then(lambda normed, w: normed),
            "The weight is not used. It is learned, one number for each feature: the model may give back any "
            "scale that the norm took away.",
        ),
        Mistake(
            "weight_added",
            _then(lambda normed, w: normed + w),
            "The weight is added, as the bias of a layer norm would be. Here there is no bias, and the weight "
            "multiplies.",
        ),
        Mistake(
            "one_plus_weight",
            _then(lambda normed, w: normed * (1 + w)),
            "You multiply by 1 + weight. Some models store the weight so. Here it multiplies as it is.",
            also=[_then(lambda normed, w: normed + normed * w)],
        ),
        Mistake(
            "divided_by_weight",
            _then(lambda normed, w: normed / w),
            "The weight stands below the line. Only the root does; the weight multiplies. Mind the brackets: "
            "a / (b * w) divides by both.",
        ),
        Mistake(
            "weight_too_early",
            lambda x, w, eps: _in_type_of(x, _normed(x.float() * w.float(), eps)),
            "The weight multiplies before the norm, and the norm takes most of its effect away again. The "
            "learned scale comes after.",
        ),
        Mistake(
            "multiplied",
            lambda x, w, eps: x * _rms(x.float(), eps) * w,
            "You multiply by the root where you should divide by it. Features that are large become larger "
            "still. (torch.rsqrt is one over the root: multiply by that one.)",
        ),
        Mistake(
            "root_only",
            lambda x, w, eps: _rms(x.float(), eps),
            "This is the number that each token is to be divided by. The tokens themselves are asked for, "
            "divided by it and multiplied by weight.",
            also=[
                lambda x, w, eps: _rms(x.float(), eps) * w,
                lambda x, w, eps: _rms(x.float(), eps).squeeze(-1),
            ],
        ),
        Mistake(
            "no_keepdim",
            lambda x, w, eps: x / (x.float().square().mean(-1) + eps).sqrt() * w,
            "The mean has shape (batch, seq), and x has one axis more, so the two do not meet. "
            "keepdim=True keeps an axis of size 1 for the features.",
        ),
    ],
)
