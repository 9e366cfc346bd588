"""Exercise 6.1: layer norm by hand."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Give every token mean 0 and variance 1 over its features, then a learned scale and shift."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def _normed(
    x: Tensor,
    eps: float,
    *,
    axes: Sequence[int] = (-1,),
    mean_axes: Sequence[int] | None = None,
    unbiased: bool = False,
) -> Tensor:
    mean = x.mean(tuple(axes if mean_axes is None else mean_axes), keepdim=True)
    variance = x.var(tuple(axes), correction=int(unbiased), keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def _norm_over(
    *axes: int, mean_axes: Sequence[int] | None = None, unbiased: bool = False
) -> Answer:
    """Make a norm whose mean and variance run over some axes."""
    return lambda x, w, b, eps: (
        _normed(x, eps, axes=axes, mean_axes=mean_axes, unbiased=unbiased) * w + b
    )


def _norm_by(scale: Callable[[Tensor, float], Tensor]) -> Answer:
    """Make a norm that divides by something else."""
    return lambda x, w, b, eps: (x - x.mean(-1, keepdim=True)) / scale(x, eps) * w + b


def _std(x: Tensor, unbiased: bool = False) -> Tensor:
    return x.std(-1, correction=int(unbiased), keepdim=True)


def _mean_square(x: Tensor) -> Tensor:
    return x.square().mean(-1, keepdim=True)


def _layer_norm_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d: int, eps: float) -> Case:
        x = 2 * numbers(seed, batch, seq, d) + 1
        return x, 1 + numbers(seed + 1, d) / 2, numbers(seed + 2, d), eps

    flat = case(606, 2, 3, 4, 1e-5)
    flat[0][1, 2] = 3.0  # all features of this token are the same
    return [case(600, 2, 3, 4, 0.25), case(603, 3, 2, 5, 0.5), flat, case(609, 5, 7, 3, 1e-5)]


EXERCISE = Exercise(
    number="6.1",
    title="Layer norm by hand",
    solution=layer_norm,
    cases=_layer_norm_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "over_the_sequence",
            _norm_over(1),
            "Mean and variance run over the tokens of a sequence. Then a token changes when others are "
            "added, and in a decoder it would even be told about those that come later. Each token is "
            "normed by itself, over its features: the last axis.",
            also=[_norm_over(1, unbiased=True)],
        ),
        Mistake(
            "over_the_batch",
            _norm_over(0),
            "Mean and variance run over the batch, for each place and feature. Then a sequence gives "
            "something else in another batch, and nothing at all when it is alone. The last axis is that "
            "of the features.",
            also=[_norm_over(0, unbiased=True)],
        ),
        Mistake(
            "batch_norm",
            _norm_over(0, 1),
            "Mean and variance run over all tokens of the batch, one pair for each feature. That is batch "
            "norm. In a layer norm every token has a mean and a variance of its own, over its features.",
            also=[_norm_over(0, 1, unbiased=True)],
        ),
        Mistake(
            "over_sequence_and_features",
            _norm_over(1, 2),
            "There is one mean and one variance for a whole sequence. Then padding and later tokens have a "
            "say in every token. For pictures a layer norm is sometimes taken so; in a Transformer each "
            "token is normed by itself.",
            also=[_norm_over(1, 2, unbiased=True)],
        ),
        Mistake(
            "over_everything",
            _norm_over(0, 1, 2),
            "There is one mean and one variance for the whole batch: mean() without an axis takes "
            "everything. Each token has its own, over the last axis.",
            also=[
                _norm_over(0, 1, 2, unbiased=True),
                _norm_over(-1, mean_axes=(0, 1, 2)),
                _norm_over(0, 1, 2, mean_axes=(-1,)),
            ],
        ),
        Mistake(
            "unbiased",
            _norm_over(-1, unbiased=True),
            "The squares are summed and divided by d - 1. That is what var and std of torch do if nothing "
            "else is said. A layer norm divides by d: it describes these d features and does not guess "
            "at others. Say correction=0.",
        ),
        Mistake(
            "eps_outside",
            _norm_by(lambda x, eps: _std(x) + eps),
            "eps is added to the standard deviation. The formula adds it to the variance, under the root. "
            "For a tiny eps the two are nearly the same where features differ; one of the cases has a "
            "large one, so that you can see it.",
        ),
        Mistake(
            "eps_outside_and_unbiased",
            _norm_by(lambda x, eps: _std(x, unbiased=True) + eps),
            "Two things at once. eps is added after the root, where the formula has it under the root. And "
            "the variance divides by d - 1, as torch does unless correction=0 is given.",
        ),
        Mistake(
            "eps_squared",
            _norm_by(lambda x, eps: (_std(x).square() + eps**2).sqrt()),
            "eps is squared. It is added to the variance as it is.",
        ),
        Mistake(
            "no_eps",
            _norm_by(lambda x, eps: _std(x)),
            "eps is missing. A token whose features are all equal has variance 0, and 0 / 0 is NaN. With "
            "eps under the root it becomes 0, and then the bias.",
            also=[
                _norm_by(lambda x, eps: _std(x, unbiased=True)),
                lambda x, w, b, eps: F.layer_norm(x, w.shape, w, b),
            ],
        ),
        Mistake(
            "no_root",
            _norm_by(lambda x, eps: _std(x).square() + eps),
            "You divide by the variance and not by its root. Then features that are twice as large come "
            "out half as large. The root of the variance has the unit of x.",
            also=[_norm_by(lambda x, eps: _std(x, unbiased=True).square() + eps)],
        ),
        Mistake(
            "mean_not_subtracted",
            lambda x, w, b, eps: x / (_mean_square(x) + eps).sqrt() * w + b,
            "The mean is not taken off. Dividing by the root of the mean square alone is RMS norm, which "
            "many newer models use. In a layer norm the features of a token are moved to mean 0 first.",
            also=[
                lambda x, w, b, eps: x / (_std(x).square() + eps).sqrt() * w + b,
                lambda x, w, b, eps: x / (_mean_square(x) + eps).sqrt() * w,
            ],
        ),
        Mistake(
            "variance_about_zero",
            _norm_by(lambda x, eps: (_mean_square(x) + eps).sqrt()),
            "The mean is taken off above the line, but below it stands the mean of the squares of x itself. "
            "The variance is the mean square of what is left after the mean is taken off.",
        ),
        Mistake(
            "length_one",
            _norm_by(lambda x, eps: (_std(x).square() * x.shape[-1] + eps).sqrt()),
            "The squares are summed and not averaged, so that every token gets length 1. Then the features "
            "become smaller in a wider model. The variance is the mean of the squares.",
            also=[
                lambda x, w, b, eps: F.normalize(x - x.mean(-1, keepdim=True), dim=-1) * w + b,
                lambda x, w, b, eps: F.normalize(x, dim=-1) * w + b,
            ],
        ),
        Mistake(
            "no_gain_and_bias",
            lambda x, w, b, eps: _normed(x, eps),
            "weight and bias are not used. They are learned, one number for each feature: the model may give "
            "back any scale and shift that the norm took away.",
            also=[lambda x, w, b, eps: _normed(x, eps, unbiased=True)],
        ),
        Mistake(
            "no_bias",
            lambda x, w, b, eps: _normed(x, eps) * w,
            "The bias is missing. It is added at the end, after the weight.",
        ),
        Mistake(
            "no_gain",
            lambda x, w, b, eps: _normed(x, eps) + b,
            "The weight is missing. Every feature is multiplied by its own, before the bias is added.",
        ),
        Mistake(
            "bias_first",
            lambda x, w, b, eps: (_normed(x, eps) + b) * w,
            "The bias is added before the weight multiplies, so the weight scales it too. First the "
            "weight, then the bias, as in a linear layer.",
        ),
        Mistake(
            "gain_and_bias_swapped",
            lambda x, w, b, eps: _normed(x, eps) * b + w,
            "weight and bias have changed places. The weight multiplies, the bias is added.",
        ),
        Mistake(
            "one_plus_weight",
            lambda x, w, b, eps: _normed(x, eps) * (1 + w) + b,
            "You multiply by 1 + weight. Some models store the weight so. Here it multiplies as it is.",
        ),
        Mistake(
            "gain_too_early",
            lambda x, w, b, eps: _normed(x * w, eps) + b,
            "The weight multiplies before the norm, and the norm takes most of its effect away again. The "
            "learned scale comes after.",
            also=[lambda x, w, b, eps: _normed(x * w + b, eps)],
        ),
        Mistake(
            "multiplied",
            lambda x, w, b, eps: (
                (x - x.mean(-1, keepdim=True)) * (_std(x).square() + eps).sqrt() * w + b
            ),
            "You multiply by the standard deviation where you should divide by it. Features that are large "
            "become larger still.",
        ),
        Mistake(
            "brackets",
            lambda x, w, b, eps: (
                x - x.mean(-1, keepdim=True) / (_std(x).square() + eps).sqrt() * w + b
            ),
            "Brackets are missing: a division comes before a difference, so only the mean is divided. Write "
            "(x - mean) / root.",
            also=[
                lambda x, w, b, eps: (
                    (x - x.mean(-1, keepdim=True) / (_std(x).square() + eps).sqrt()) * w + b
                ),
            ],
        ),
        Mistake(
            "no_keepdim",
            lambda x, w, b, eps: x - x.mean(-1),
            "The mean has shape (batch, seq), and x has one axis more, so the two do not meet. "
            "keepdim=True keeps an axis of size 1 for the features.",
            also=[
                lambda x, w, b, eps: x / x.var(-1).sqrt(),
            ],
        ),
    ],
)
