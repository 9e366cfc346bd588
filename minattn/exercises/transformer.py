"""Checkers of chapter 6: the parts of a Transformer, a part that does not learn, and the whole of it."""

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from statistics import NormalDist
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.exercises.core import Answer, Case, Exercise, Law, Mistake, numbers, same
from minattn.exercises.self_attention import ToyLanguageModel
from minattn.masks import Causal, Mask, Padding, to_bool
from minattn.multihead import MultiHeadAttention
from minattn.training import seeded
from minattn.transformer import (
    DecoderBlock,
    EncoderBlock,
    Residual,
    TransformerDecoder,
    TransformerEncoder,
    TransformerTranslator,
)
from minattn.vocabulary import BOS, EOS, PAD, token_mask

# 6.1 -------------------------------------------------------------------------------------------------


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


LAYER_NORM = Exercise(
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

# 6.2 -------------------------------------------------------------------------------------------------

Map = Callable[[Tensor], Tensor]


def sublayers(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    """Apply two sub-layers with residuals, and a norm before each of them or after each sum."""
    if place == "pre":
        x = x + f(norm_1(x))
        return x + g(norm_2(x))
    x = norm_1(x + f(x))
    return norm_2(x + g(x))


Place = Callable[[Tensor, Map, Map], Tensor]
"""Takes x, a sub-layer and a norm, and puts them together."""


def _pre(x: Tensor, f: Map, norm: Map) -> Tensor:
    return x + f(norm(x))


def _post(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(x + f(x))


def _pre_carried(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(x) + f(norm(x))


def _pre_alone(x: Tensor, f: Map, norm: Map) -> Tensor:
    return f(norm(x))


def _post_alone(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(f(x))


def _post_inside(x: Tensor, f: Map, norm: Map) -> Tensor:
    return x + norm(f(x))


def _post_other_sum(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(x) + f(x)


def _no_norm(x: Tensor, f: Map, norm: Map) -> Tensor:
    return x + f(x)


def _norm_twice(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(x + f(norm(x)))


def _first_only(x: Tensor, f: Map, norm: Map) -> Tensor:
    return x


def _two(pre: Place = _pre, post: Place = _post) -> Answer:
    """Make an answer that puts both sub-layers together in another way."""
    return _four(pre, pre, post, post)


def _four(pre_1: Place, pre_2: Place, post_1: Place, post_2: Place) -> Answer:
    def answer(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
        first, second = (pre_1, pre_2) if place == "pre" else (post_1, post_2)
        return second(first(x, f, norm_1), g, norm_2)

    return answer


def _reordered(change: Callable[[Map, Map, Map, Map], tuple[Map, Map, Map, Map]]) -> Answer:
    """Make an answer that takes one sub-layer or norm for another."""
    return lambda x, f, g, n_1, n_2, place: sublayers(x, *change(f, g, n_1, n_2), place)


def _side_by_side(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    if place == "pre":
        return x + f(norm_1(x)) + g(norm_2(x))
    return norm_2(norm_1(x + f(x)) + g(x))


def _back_to_the_start(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    if place == "pre":
        return x + g(norm_2(x + f(norm_1(x))))
    return norm_2(x + g(norm_1(x + f(x))))


def _around_both(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    if place == "pre":
        return x + g(norm_2(f(norm_1(x))))
    return norm_2(x + g(norm_1(f(x))))


@dataclass(frozen=True)
class _Affine:
    """A layer norm with its own gain and bias, which learners need not see."""

    seed: int
    d: int

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(
            x, (self.d,), 1 + numbers(self.seed, self.d) / 2, numbers(self.seed + 1, self.d)
        )


@dataclass(frozen=True)
class _Mixer:
    """A sub-layer with fixed weights; with a reach above 1 a token also takes from its neighbours."""

    seed: int
    d: int
    reach: int

    def __call__(self, x: Tensor) -> Tensor:
        seen = torch.stack([x.roll(k, -2) for k in range(self.reach)]).sum(0)
        return torch.tanh(seen @ numbers(self.seed, self.d, self.d))


def _sublayers_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d: int, place: str) -> Case:
        f, g = _Mixer(seed + 1, d, 2), _Mixer(seed + 2, d, 1)
        return (
            2 * numbers(seed, batch, seq, d),
            f,
            g,
            _Affine(seed + 3, d),
            _Affine(seed + 5, d),
            place,
        )

    return [
        case(620, 1, 2, 3, "pre"),
        case(630, 1, 2, 3, "post"),
        case(640, 3, 5, 4, "pre"),
        case(650, 2, 3, 7, "post"),
    ]


def _show_sublayers(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> str:
    return f'place = "{place}", x of shape {tuple(x.shape)}'


PRE_POST = Exercise(
    number="6.2",
    title="Pre or post",
    solution=sublayers,
    cases=_sublayers_cases,
    show_case=_show_sublayers,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "normed_carried_on",
            _two(pre=_pre_carried),
            'With "pre" you carry the normed x on: x = norm(x), and then x + f(x). The residual has to be '
            "the x from before the norm. Only what the sub-layer reads is normed; the stream itself runs "
            "past all norms untouched, and that is the point of it.",
            also=[_four(_pre_carried, _pre, _post, _post), _four(_pre, _pre_carried, _post, _post)],
        ),
        Mistake(
            "no_residual",
            _two(_pre_alone, _post_alone),
            "There is no residual: what the sub-layer finds replaces x. It should be added to x. Without "
            "that, each sub-layer has to pass on everything that later ones need, and so does the gradient "
            "on its way back.",
            also=[_two(pre=_pre_alone), _two(post=_post_alone)],
        ),
        Mistake(
            "one_residual",
            _four(_pre_alone, _pre, _post_alone, _post),
            "One of the two sub-layers has no residual. Each of them adds what it finds to what was there.",
            also=[
                _four(_pre, _pre_alone, _post, _post_alone),
                _four(_pre_alone, _pre, _post, _post),
                _four(_pre, _pre_alone, _post, _post),
                _four(_pre, _pre, _post_alone, _post),
                _four(_pre, _pre, _post, _post_alone),
            ],
        ),
        Mistake(
            "normed_before_adding",
            _two(post=_post_inside),
            'With "post" you norm what the sub-layer found, and then add it. In the paper the norm comes '
            "after the sum: norm(x + f(x)). So x itself goes through every norm on its way.",
            also=[_two(_post_inside, _post), _two(_post_inside, _post_inside)],
        ),
        Mistake(
            "swapped",
            _two(_post, _pre),
            'The two have changed places. "pre" norms what goes into a sub-layer, x + f(norm(x)); "post" '
            "norms the sum that comes out, norm(x + f(x)).",
        ),
        Mistake(
            "always_post",
            _two(_post, _post),
            'Your result does not depend on place: it is always "post". With "pre" the norm stands in front '
            "of the sub-layer, and nothing norms the sum.",
        ),
        Mistake(
            "always_pre",
            _two(_pre, _pre),
            'Your result does not depend on place: it is always "pre". With "post" the sub-layer reads x as '
            "it is, and the norm comes after the sum.",
        ),
        Mistake(
            "one_norm_for_both",
            _reordered(lambda f, g, n_1, n_2: (f, g, n_1, n_1)),
            "Both sub-layers have the same norm. Each has its own, with its own learned gain and bias: "
            "norm_1 belongs to f, norm_2 to g.",
            also=[_reordered(lambda f, g, n_1, n_2: (f, g, n_2, n_2))],
        ),
        Mistake(
            "norms_swapped",
            _reordered(lambda f, g, n_1, n_2: (f, g, n_2, n_1)),
            "The norms have changed places: norm_1 belongs to f, norm_2 to g.",
        ),
        Mistake(
            "order_swapped",
            _reordered(lambda f, g, n_1, n_2: (g, f, n_2, n_1)),
            "g comes before f. First every token looks around, then it thinks about what it found.",
            also=[_reordered(lambda f, g, n_1, n_2: (g, f, n_1, n_2))],
        ),
        Mistake(
            "one_sublayer_twice",
            _reordered(lambda f, g, n_1, n_2: (f, f, n_1, n_2)),
            "One sub-layer is used twice, and the other one never. Look at your second line: did a name stay "
            "behind when you copied the first?",
            also=[_reordered(lambda f, g, n_1, n_2: (g, g, n_1, n_2))],
        ),
        Mistake(
            "one_sublayer_missing",
            _four(_pre, _first_only, _post, _first_only),
            "Only one of the two sub-layers is there. The result of the first goes into the second.",
            also=[
                _four(_first_only, _pre, _first_only, _post),
                _four(_pre, _pre, _post, _first_only),
                _four(_pre, _first_only, _post, _post),
            ],
        ),
        Mistake(
            "side_by_side",
            _side_by_side,
            "Both sub-layers read the x from the beginning. Some models do that to save time. Here the "
            "second one reads the sum that the first one left. Did the first sum get a name of its own that "
            "is not used afterwards?",
        ),
        Mistake(
            "back_to_the_start",
            _back_to_the_start,
            "g reads the right thing, but its result is added to the x from the beginning. What f found is "
            "lost to the stream. The second residual starts from the first sum.",
        ),
        Mistake(
            "one_residual_for_both",
            _around_both,
            "There is one residual around both sub-layers. Each has its own: what f found is added to x, and "
            "g reads that sum and adds to it.",
        ),
        Mistake(
            "no_norm",
            _two(_no_norm, _no_norm),
            "The sums are right, but nothing is normed, so the numbers may grow from block to block.",
            also=[_two(_no_norm, _post), _two(_pre, _no_norm)],
        ),
        Mistake(
            "normed_twice",
            _two(_norm_twice, _norm_twice),
            "There is a norm before the sub-layer and another one after the sum. Pre-norm has the first "
            "only, post-norm the second only.",
            also=[_two(_norm_twice, _post), _two(_pre, _norm_twice)],
        ),
        Mistake(
            "norm_of_x_alone",
            _two(post=_post_other_sum),
            'With "post" you norm x and then add what the sub-layer found. The norm goes round the whole '
            "sum: norm(x + f(x)). Count the brackets.",
        ),
        Mistake(
            "a_last_norm",
            lambda x, f, g, n_1, n_2, place: (
                n_2(sublayers(x, f, g, n_1, n_2, place))
                if place == "pre"
                else sublayers(x, f, g, n_1, n_2, place)
            ),
            'With "pre" there is one norm too many at the end. A pre-norm model has such a last norm, but '
            "only once, after all its blocks, and it is a third one.",
        ),
    ],
)

# 6.3 -------------------------------------------------------------------------------------------------


def tied(ids: Tensor, table: Tensor, positions: Tensor, blocks: Map) -> Tensor:
    """Embed tokens, run the blocks, and read the logits out with the same table."""
    return blocks(_embedded(ids, table, positions)) @ table.T


def _embedded(ids: Tensor, table: Tensor, positions: Tensor, factor: float | None = None) -> Tensor:
    factor = math.sqrt(table.shape[1]) if factor is None else factor
    return table[ids] * factor + positions


def _embed(
    change: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, Map], Tensor]:
    """Make an answer that embeds the tokens in another way."""
    return lambda ids, table, p, blocks: blocks(change(ids, table, p)) @ table.T


def _times(
    factor: Callable[[Tensor, Tensor], float],
) -> Callable[[Tensor, Tensor, Tensor, Map], Tensor]:
    """Make an answer with another factor, which may depend on ids and table."""
    return _embed(lambda ids, table, p: _embedded(ids, table, p, factor(ids, table)))


def _read(
    change: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, Map], Tensor]:
    """Make an answer that reads the logits out of the last vectors in another way."""
    return lambda ids, table, p, blocks: change(blocks(_embedded(ids, table, p)), table)


def _both_embedded(ids: Tensor, table: Tensor, positions: Tensor, blocks: Map) -> Tensor:
    x = _embedded(ids, table, positions)
    return blocks(x) @ x.transpose(1, 2)


def _root_of(table: Tensor) -> float:
    return math.sqrt(table.shape[1])


def _tied_cases() -> list[Case]:
    def case(seed: int, ids: list[list[int]], vocab: int, d: int) -> Case:
        table = numbers(seed, vocab, d) / math.sqrt(d)
        return torch.tensor(ids), table, numbers(seed + 1, len(ids[0]), d), _Mixer(seed + 2, d, 2)

    return [
        case(660, [[4, 1, 3]], 5, 6),
        case(664, [[3, 0, 5, 3], [6, 2, 2, 1]], 7, 3),
        case(668, [[9, 0, 4], [2, 10, 7], [1, 5, 9], [8, 8, 3], [6, 2, 0]], 11, 8),
    ]


def _show_tied(ids: Tensor, table: Tensor, positions: Tensor, blocks: Map) -> str:
    return (
        f"ids = {ids.tolist()}, table of shape {tuple(table.shape)}, "
        f"positions of shape {tuple(positions.shape)}"
    )


TIED = Exercise(
    number="6.3",
    title="One table to read and to write",
    solution=tied,
    cases=_tied_cases,
    show_case=_show_tied,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "no_factor",
            _times(lambda ids, table: 1.0),
            "The factor is missing. The table serves the logits too, so its numbers are small, of size "
            "1/sqrt(d_model); the numbers of a position are of size 1. Added as they are, the positions "
            "drown the words.",
        ),
        Mistake(
            "factor_after_positions",
            _embed(lambda ids, table, p: (table[ids] + p) * _root_of(table)),
            "The factor multiplies the positions as well, so they drown the words as before. First the "
            "words are multiplied, then the positions are added: mind the brackets.",
        ),
        Mistake(
            "divided",
            _times(lambda ids, table: 1 / _root_of(table)),
            "You divide by the root of d_model. Dividing is for the scores of attention, which are too "
            "large. The numbers of this table are too small beside those of the positions.",
        ),
        Mistake(
            "no_root",
            _times(lambda ids, table: table.shape[1]),
            "You multiply by d_model, not by its root. The numbers of the table are of size "
            "1/sqrt(d_model), so the root is what makes them as large as those of the positions.",
        ),
        Mistake(
            "root_of_another_size",
            _times(lambda ids, table: math.sqrt(len(table))),
            "You multiply by the root of another size: that of the vocabulary, of the sequence or of the "
            "batch. It is the width of the vectors that counts: table.shape[1].",
            also=[
                _times(lambda ids, table: math.sqrt(ids.shape[1])),
                _times(lambda ids, table: math.sqrt(len(ids))),
            ],
        ),
        Mistake(
            "factor_in_logits",
            _read(lambda h, table: h @ table.T * _root_of(table)),
            "The factor stands in the logits too. There the table is used as it is: large logits make a "
            "sharp softmax, and the first loss is far above ln V. If you multiplied the table itself, "
            "multiply only the rows that were picked.",
        ),
        Mistake(
            "factor_in_logits_only",
            lambda ids, table, p, blocks: (
                blocks(table[ids] + p) @ table.T * math.sqrt(table.shape[1])
            ),
            "The factor multiplies the logits, and not the words that go in. It is the other way round: the "
            "words have to stand up to the positions, the logits are to stay small.",
        ),
        Mistake(
            "logits_divided",
            _read(lambda h, table: h @ table.T / _root_of(table)),
            "The logits are divided by the root of d_model. Some models do that, to have the factor only "
            "once between the two uses of the table. Here, and in the paper, it is not taken back.",
            also=[
                lambda ids, table, p, blocks: (
                    blocks(table[ids] + p) @ table.T / math.sqrt(table.shape[1])
                ),
            ],
        ),
        Mistake(
            "positions_multiplied",
            _embed(lambda ids, table, p: table[ids] + p * _root_of(table)),
            "The factor multiplies the positions and not the words. The positions are large enough.",
        ),
        Mistake(
            "no_positions",
            _embed(lambda ids, table, p: table[ids] * _root_of(table)),
            "The positions are not added, so no block can tell where a word stands.",
        ),
        Mistake(
            "only_looked_up",
            _embed(lambda ids, table, p: table[ids]),
            "The blocks get the rows of the table as they are. Two things are missing: the factor, and then "
            "the positions.",
        ),
        Mistake(
            "positions_by_id",
            _embed(lambda ids, table, p: table[ids] * _root_of(table) + p[ids]),
            "The positions are looked up with the ids of the tokens. A token's id says which word it is, not "
            "where it stands: row t of positions goes to place t.",
        ),
        Mistake(
            "added_to_the_table",
            _embed(lambda ids, table, p: (table * _root_of(table) + p)[ids]),
            "The positions are added to the table, before a row is picked for each token. The table has a "
            "row for each word, positions one for each place. Pick the words first.",
        ),
        Mistake(
            "table_not_transposed",
            _read(lambda h, table: h @ table),
            "The vectors have d_model features and the table has shape (vocab, d_model), so the table has "
            "to be turned: a logit is the dot product of a vector with one row of the table.",
        ),
        Mistake(
            "batch_read_out",
            _both_embedded,
            "Your logits compare the last vectors with the tokens of the input. Every word of the "
            "vocabulary needs a logit, so compare with all rows of the table.",
        ),
        Mistake(
            "no_blocks",
            lambda ids, table, p, blocks: _embedded(ids, table, p) @ table.T,
            "The logits are read out of the embedded tokens. The blocks come between: they are given the "
            "tokens, and what they return is read out.",
        ),
        Mistake(
            "probabilities",
            _read(lambda h, table: (h @ table.T).softmax(-1)),
            "There is a softmax at the end. The loss wants logits and takes the softmax itself; two of them "
            "make every distribution nearly even, and training slow.",
            also=[_read(lambda h, table: (h @ table.T).log_softmax(-1))],
        ),
        Mistake(
            "best_token",
            _read(lambda h, table: (h @ table.T).argmax(-1)),
            "These are the best tokens. The logits of all of them are asked for, shape (batch, seq, vocab).",
        ),
        Mistake(
            "read_word_only",
            lambda ids, table, p, blocks: (blocks(_embedded(ids, table, p)) * table[ids]).sum(-1),
            "Each place has one logit, that of the word that was read there. Which word comes next is to be "
            "guessed among all of the vocabulary, so compare with every row of the table.",
        ),
        Mistake(
            "positions_after_blocks",
            lambda ids, table, p, blocks: (blocks(table[ids] * _root_of(table)) + p) @ table.T,
            "The positions are added to what the blocks return. They belong in front: it is the blocks that "
            "have to know where a word stands.",
        ),
        Mistake(
            "not_read_out",
            _read(lambda h, table: h),
            "These are the vectors that the blocks return. The logits are still to be read out of them, with "
            "the table.",
        ),
    ],
)

# 6.4 -------------------------------------------------------------------------------------------------


class ToyDecoder:
    """What a decoder says for one source: a causal model of the target that reads all of it every time.

    Args:
        seed: of the table that its logits come from.
        vocab_size: how many different tokens.
    """

    def __init__(self, seed: int, vocab_size: int) -> None:
        self.model = ToyLanguageModel(seed, vocab_size)
        self.model.table[:, :EOS] -= 9.0  # it never says padding or BOS

    def __repr__(self) -> str:
        return f"a decoder of {self.model.table.shape[1]} tokens"

    def __call__(self, target_in: Any) -> Tensor:
        """Return logits of shape (length, vocab)."""
        if not isinstance(target_in, Tensor) or target_in.ndim != 1 or not len(target_in):
            raise ValueError("target_in must be a tensor of shape (length,)")
        if target_in.is_floating_point():
            raise ValueError("target_in must hold whole numbers")
        return self.model(target_in[None])[0]


LogitsOf = Callable[[Tensor], Tensor]


def translate_greedily(logits_of: LogitsOf, max_length: int) -> list[int]:
    """Write a target with a decoder that reads all of it at once."""
    return _decode(logits_of, max_length)


def _last_row(logits: Tensor) -> int:
    return int(logits[-1].argmax())


def _decode(
    logits_of: LogitsOf,
    max_length: int,
    *,
    choose: Callable[[Tensor], Any] = _last_row,
    seen: Callable[[list[int]], list[int]] = lambda ids: ids,
    start: int = BOS,
    end: int | None = EOS,
) -> list[int]:
    ids = [start]
    while len(ids) <= max_length:
        ids.append(choose(logits_of(torch.tensor(seen(ids)))))
        if ids[-1] == end:
            break
    return ids[1:]


def _in_buffer(logits_of: LogitsOf, max_length: int, read: Callable[[Tensor, int], Tensor]) -> Any:
    ids = torch.full((max_length + 1,), PAD)
    ids[0] = BOS
    for i in range(max_length):
        ids[i + 1] = read(logits_of(ids), i).argmax()
        if ids[i + 1] == EOS:
            break
    return ids[1 : i + 2].tolist()


def _checked_late(logits_of: LogitsOf, max_length: int) -> list[int]:
    ids = [BOS]
    for _ in range(max_length):
        stop = ids[-1] == EOS
        ids.append(_last_row(logits_of(torch.tensor(ids))))
        if stop:
            break
    return ids[1:]


def _all_appended(logits_of: LogitsOf, max_length: int) -> list[int]:
    ids = [BOS]
    while len(ids) <= max_length and ids[-1] != EOS:
        ids += logits_of(torch.tensor(ids)).argmax(-1).tolist()
    return ids[1:]


_DECODERS = [(767, 7, 7), (786, 11, 11), (855, 11, 5), (767, 9, 4)]
"""Seed, vocabulary and limit: the third does not say EOS in time, the fourth says it just in time."""


def _decoder_cases() -> list[Case]:
    return [(ToyDecoder(seed, v), n) for seed, v, n in _DECODERS]


DECODE = Exercise(
    number="6.4",
    title="One token at a time",
    solution=translate_greedily,
    cases=_decoder_cases,
    mistakes=[
        Mistake(
            "always_the_first_word",
            partial(_decode, choose=lambda logits: int(logits[0].argmax())),
            "The same word comes every time. Either you read the first row of the logits, which always "
            "guesses the first word, or you give the decoder BOS alone. Give it all that has been written, "
            "and read the last row.",
            also=[partial(_decode, seen=lambda ids: ids[:1])],
        ),
        Mistake(
            "one_before_last",
            partial(_decode, choose=lambda logits: int(logits[-2].argmax())),
            "You read the row before the last. The shift was made in training: row i has read the tokens up "
            "to i and guesses token i + 1. So the last row guesses what is not there yet.",
            also=[
                partial(_decode, choose=lambda logits: int(logits[:-1][-1].argmax())),
                partial(
                    _decode, choose=lambda logits: int(logits[max(0, len(logits) - 2)].argmax())
                ),
            ],
        ),
        Mistake(
            "last_token_only",
            partial(_decode, seen=lambda ids: ids[-1:]),
            "The decoder is given only the newest token. The recurrent decoder of chapter 1 carried a state "
            "along; this one has none. What it knows of the words before, it sees by attending to them, so "
            "give it all of them.",
        ),
        Mistake(
            "start_forgotten",
            partial(_decode, seen=lambda ids: ids[1:] or ids),
            "BOS is given in the first call and left out afterwards. The decoder was trained on targets that "
            "begin with BOS, and every word stood one place further back. Give it BOS and all the words.",
        ),
        Mistake(
            "other_start",
            partial(_decode, start=EOS),
            "The first token that the decoder reads is not BOS. It was trained to begin after BOS, and after "
            "nothing else.",
            also=[partial(_decode, start=PAD)],
        ),
        Mistake(
            "empty_place_read",
            partial(_in_buffer, read=lambda logits, i: logits[-1]),
            "You give the decoder a row with room for the whole target, and read the logits at a place that "
            "is still empty. They guess what comes after padding. The guess for place i + 1 stands in "
            "row i.",
            also=[partial(_in_buffer, read=lambda logits, i: logits[i + 1])],
        ),
        Mistake(
            "all_guesses_appended",
            _all_appended,
            "The guesses of all rows are appended every time. All but the last guess words that are already "
            "there.",
        ),
        Mistake(
            "all_at_once",
            lambda logits_of, n: logits_of(torch.full((n,), BOS)).argmax(-1).tolist(),
            "The decoder is asked once, for all places. Every row guesses what follows the tokens before it, "
            "and those are not written yet. Write one token, give it to the decoder, and ask again.",
            also=[
                lambda logits_of, n: (
                    logits_of(torch.tensor([BOS] + [PAD] * (n - 1))).argmax(-1).tolist()
                ),
            ],
        ),
        Mistake(
            "over_positions",
            partial(_decode, choose=lambda logits: int(logits.argmax(0)[-1])),
            "The argmax runs over the positions. You want the token with the largest logit in the last row, "
            "so it has to run over the vocabulary.",
        ),
        Mistake(
            "over_everything",
            partial(_decode, choose=lambda logits: int(logits.argmax())),
            "argmax without an axis counts through all rows in one go, so it may give a number that is no "
            "token at all. Take the last row first.",
        ),
        Mistake(
            "bos_kept",
            lambda logits_of, n: [BOS, *_decode(logits_of, n)],
            "BOS stands at the front of the result. It was given to the decoder; the decoder did not say it.",
            also=[
                lambda logits_of, n: [BOS, *_decode(logits_of, n - 1)],
            ],
        ),
        Mistake(
            "eos_dropped",
            lambda logits_of, n: [i for i in _decode(logits_of, n) if i != EOS],
            "The words are right, but EOS is missing at the end. The task wants it kept, as in chapter 1: "
            "without it, one cannot tell a sentence that has ended from one that was cut off.",
            also=[lambda logits_of, n: [BOS, *(i for i in _decode(logits_of, n) if i != EOS)]],
        ),
        Mistake(
            "padded",
            lambda logits_of, n: [*_decode(logits_of, n), *[PAD] * n][:n],
            "The ids are right, but there is padding behind them. A row of a batch would need it; a list ends "
            "where the sentence ends.",
        ),
        Mistake(
            "goes_on_after_eos",
            partial(_decode, end=None),
            "It goes on after EOS until the limit is reached. What the decoder says after EOS means nothing: "
            "it was never trained on it.",
        ),
        Mistake(
            "one_after_eos",
            _checked_late,
            "You write one more token after EOS. The check comes too late: look at the token that was just "
            "written, before the decoder is asked again.",
        ),
        Mistake(
            "one_too_many",
            lambda logits_of, n: _decode(logits_of, n + 1),
            "A target that does not end by itself gets one token too many. Count how many tokens your loop "
            "has written when it checks the limit; BOS is not one of them.",
        ),
        Mistake(
            "one_too_few",
            lambda logits_of, n: _decode(logits_of, n - 1),
            "A target that does not end by itself gets one token too few. The result may have max_length "
            "tokens. EOS counts, but BOS does not.",
        ),
        Mistake(
            "no_limit",
            lambda logits_of, n: _decode(logits_of, 10**6),
            "One of the decoders does not say EOS for a long time, and your loop waits for it. That is what "
            "max_length is for.",
        ),
        Mistake(
            "least_likely",
            partial(_decode, choose=lambda logits: int(logits[-1].argmin())),
            "This takes the token with the smallest logit. The likeliest one has the largest.",
        ),
        Mistake(
            "sampled",
            partial(
                _decode, choose=lambda logits: int(torch.multinomial(logits[-1].softmax(-1), 1))
            ),
            "You draw the token by chance. That is another way of writing, which gives another result each "
            "time. Here the likeliest token is asked for.",
        ),
        Mistake(
            "logit_taken_for_token",
            partial(_decode, choose=lambda logits: float(logits[-1].max())),
            "You append the largest logit, which is a number with a fraction. A token is the place of that "
            "logit in the vocabulary: argmax.",
        ),
        Mistake(
            "ids_are_tensors",
            lambda logits_of, n: [torch.tensor([i]) for i in _decode(logits_of, n)],
            "The ids are right, but each is still a tensor of shape (1,). The task asks for whole numbers: "
            "int(token) makes one.",
        ),
        Mistake(
            "not_one_axis",
            lambda logits_of, n: logits_of(torch.tensor([[BOS]])),
            "The decoder was given something that is no tensor of shape (length,), or an empty one. There "
            "is no axis for the batch here, and a list has to become a tensor: torch.tensor(ids).",
        ),
    ],
    laws=[
        Law("there are at most max_length tokens", lambda out, logits_of, n: len(out) <= n),
        Law(
            "EOS stands at the end or nowhere",
            lambda out, logits_of, n: EOS not in [int(i) for i in out[:-1]],
        ),
    ],
)

# 6.5 -------------------------------------------------------------------------------------------------


def add_dropped(x: Tensor, found: Tensor, keep: Tensor, p: float, training: bool) -> Tensor:
    """Add what a sub-layer found to x; in training some of it is dropped."""
    return x + found * keep / (1 - p) if training else x + found


def _in_training(
    change: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]:
    """Make an answer that does something else in training."""
    return lambda x, found, keep, p, training: change(x, found, keep, p) if training else x + found


def _always(
    change: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]:
    """Make an answer that does one thing in training and in evaluation."""
    return lambda x, found, keep, p, training: change(x, found, keep, p)


def _in_evaluation(
    change: Callable[[Tensor, Tensor, Tensor, float], Tensor], in_training: float = 1.0
) -> Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]:
    """Make an answer that does something else in evaluation, and may not scale in training."""
    return lambda x, found, keep, p, training: (
        x + found * keep / (1 - p) ** in_training if training else change(x, found, keep, p)
    )


def _add_dropped_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d: int, p: float, training: bool) -> Case:
        keep = numbers(seed + 2, batch, seq, d) > NormalDist().inv_cdf(p)
        return numbers(seed, batch, seq, d), numbers(seed + 1, batch, seq, d), keep, p, training

    return [
        case(700, 1, 2, 3, 0.2, True),
        case(703, 1, 2, 3, 0.4, False),
        case(706, 3, 5, 4, 0.1, True),
        case(709, 2, 3, 7, 0.3, False),
    ]


ADD_DROPPED = Exercise(
    number="6.5",
    title="Dropout at a residual",
    solution=add_dropped,
    cases=_add_dropped_cases,
    mistakes=[
        Mistake(
            "not_scaled",
            _in_training(lambda x, found, keep, p: x + found * keep),
            "What stays is not scaled up. Then the sub-layer adds less in training, by 1 - p on average, "
            "than in evaluation, and the sum is not the one that the next layer has learned to read.",
        ),
        Mistake(
            "stream_dropped",
            _in_training(lambda x, found, keep, p: (x + found) * keep / (1 - p)),
            "You drop from the sum, so x loses numbers too. Every block would punch new holes into the "
            "stream, and after many blocks little is left of the tokens. Only what the sub-layer found is "
            "dropped.",
            also=[
                _always(lambda x, found, keep, p: (x + found) * keep / (1 - p)),
                _in_training(lambda x, found, keep, p: (x + found) * keep),
                _in_training(lambda x, found, keep, p: (x + found * keep) / (1 - p)),
            ],
        ),
        Mistake(
            "wrong_one_dropped",
            _in_training(lambda x, found, keep, p: x * keep / (1 - p) + found),
            "x is dropped and what the sub-layer found stays whole. It is the other way round: the stream "
            "is left alone.",
            also=[_in_training(lambda x, found, keep, p: x * keep + found)],
        ),
        Mistake(
            "active_in_evaluation",
            _always(lambda x, found, keep, p: x + found * keep / (1 - p)),
            "Dropout is at work in evaluation too. Then the same sentence may be translated in two ways, "
            "and worse than the model can. model.eval() is there to switch it off.",
            also=[_always(lambda x, found, keep, p: x + found * keep)],
        ),
        Mistake(
            "scaled_in_evaluation_only",
            _in_evaluation(lambda x, found, keep, p: x + found * (1 - p), 0.0),
            "You drop in training and make the numbers smaller in evaluation. That is how dropout was first "
            "described, and it fits together. Today the scale stands in training, by 1 / (1 - p), so that "
            "in evaluation nothing at all has to be done.",
        ),
        Mistake(
            "scaled_in_both",
            _in_evaluation(lambda x, found, keep, p: x + found * (1 - p)),
            "You scale up in training and down in evaluation. One of the two is enough: after the first, "
            "training and evaluation agree on average.",
        ),
        Mistake(
            "scaled_up_in_evaluation",
            _in_evaluation(lambda x, found, keep, p: x + found / (1 - p)),
            "In evaluation nothing is dropped, so there is nothing to make up for. You scale up all the "
            "same.",
            also=[
                _in_evaluation(lambda x, found, keep, p: x + found / (1 - p), 0.0),
                _in_evaluation(lambda x, found, keep, p: (x + found) / (1 - p)),
            ],
        ),
        Mistake(
            "training_inverted",
            lambda x, found, keep, p, training: add_dropped(x, found, keep, p, not training),
            "You drop in evaluation and not in training: the two branches have changed places.",
        ),
        Mistake(
            "scaled_by_p",
            _in_training(lambda x, found, keep, p: x + found * keep / p),
            "You divide by p, the share that is dropped. On average the share 1 - p stays, and that is what "
            "has to be made up for.",
        ),
        Mistake(
            "scaled_down",
            _in_training(lambda x, found, keep, p: x + found * keep * (1 - p)),
            "You multiply by 1 - p in training, so what stays gets smaller still. To make up for a loss, "
            "divide.",
            also=[_in_training(lambda x, found, keep, p: x + found * keep * p)],
        ),
        Mistake(
            "brackets",
            _in_training(lambda x, found, keep, p: x + found * keep / 1 - p),
            "In Python a / 1 - p is (a / 1) - p, so p is taken off every number. The number below the line "
            "needs brackets.",
        ),
        Mistake(
            "keep_inverted",
            _in_training(lambda x, found, keep, p: x + found * ~keep / (1 - p)),
            "What should stay is dropped. keep is True where a number stays; masked_fill fills where its "
            "mask is True.",
            also=[_in_training(lambda x, found, keep, p: x + found * ~keep)],
        ),
        Mistake(
            "no_residual",
            lambda x, found, keep, p, training: add_dropped(x * 0, found, keep, p, training),
            "What the sub-layer found is right, but it is not added to x. Without the residual a dropped "
            "number is lost; with it, the token just keeps what it had.",
            also=[_in_training(lambda x, found, keep, p: found * keep / (1 - p))],
        ),
        Mistake(
            "nothing_dropped",
            _always(lambda x, found, keep, p: x + found),
            "Nothing is dropped in training. Is the result kept? masked_fill returns a new tensor.",
            also=[_in_training(lambda x, found, keep, p: x + found / (1 - p))],
        ),
        Mistake(
            "tokens_dropped",
            _in_training(lambda x, found, keep, p: x + found * keep[..., :1] / (1 - p)),
            "A token loses everything that the sub-layer found, or nothing. Each number is drawn by itself.",
            also=[
                _in_training(
                    lambda x, found, keep, p: x + found * keep.all(-1, keepdim=True) / (1 - p)
                ),
            ],
        ),
        Mistake(
            "drawn_anew",
            _in_training(lambda x, found, keep, p: x + F.dropout(found, p)),
            "The scale is right, but you draw a mask of your own. What stays has been drawn already and is "
            "given: keep.",
            also=[
                lambda x, found, keep, p, training: F.dropout(x + found, p, training),
                _in_training(lambda x, found, keep, p: x + F.dropout(found * keep, p)),
            ],
        ),
        Mistake(
            "counted",
            _in_training(lambda x, found, keep, p: x + found * keep / keep.float().mean()),
            "You divide by the share that happened to stay this time. Dropout divides by 1 - p, the share "
            "that stays on average.",
        ),
    ],
    laws=[
        Law(
            "in evaluation what was found is added as it is",
            lambda out, x, found, keep, p, training: (
                training or torch.allclose(out, x + found, atol=1e-4)
            ),
        ),
        Law(
            "where something is dropped, x stays as it was",
            lambda out, x, found, keep, p, training: (
                not training or torch.allclose(out[~keep], x[~keep], atol=1e-4)
            ),
        ),
    ],
)

# 6.6 -------------------------------------------------------------------------------------------------


def count_parameters(d_model: int, n_heads: int, d_ff: int) -> tuple[int, int]:
    """Count the parameters of an encoder block and of a decoder block."""
    return _count(d_model, d_ff)


def _count(
    d_model: int,
    d_ff: int,
    *,
    attention: Callable[[int], int] = lambda d: 4 * (d * d + d),
    feed_forward: Callable[[int, int], int] = lambda d, f: d * f + f + f * d + d,
    norm: Callable[[int], int] = lambda d: 2 * d,
    n_attentions: int = 2,
    n_norms: tuple[int, int] = (2, 3),
) -> tuple[int, int]:
    a, f, n = attention(d_model), feed_forward(d_model, d_ff), norm(d_model)
    return a + f + n_norms[0] * n, n_attentions * a + f + n_norms[1] * n


def _counting(**changes: Any) -> Answer:
    return lambda d_model, n_heads, d_ff: _count(d_model, d_ff, **changes)


def _with_heads(attention: Callable[[int, int], int]) -> Answer:
    return lambda d_model, n_heads, d_ff: _count(
        d_model, d_ff, attention=lambda d: attention(d, n_heads)
    )


COUNT = Exercise(
    number="6.6",
    title="Count the parameters",
    solution=count_parameters,
    cases=lambda: [(4, 2, 7), (6, 3, 11), (15, 5, 8), (8, 4, 32)],
    tolerance=1e-9,
    mistakes=[
        Mistake(
            "cross_attention_forgotten",
            _counting(n_attentions=1),
            "The decoder block has a second attention, to the source, with four projections of its own. "
            "You counted one attention, as in the encoder.",
        ),
        Mistake(
            "the_same_twice",
            _counting(n_attentions=1, n_norms=(2, 2)),
            "You give the decoder block as many as the encoder block. It has one sub-layer more, the "
            "attention to the source, and that sub-layer has a norm of its own too.",
        ),
        Mistake(
            "third_norm_forgotten",
            _counting(n_norms=(2, 2)),
            "The decoder block has three sub-layers, and each has a norm. You counted two norms in it.",
        ),
        Mistake(
            "norms_forgotten",
            _counting(norm=lambda d: 0),
            "The norms are missing. Each has a learned gain and a learned bias for every feature.",
        ),
        Mistake(
            "norm_without_bias",
            _counting(norm=lambda d: d),
            "Each norm counts for d_model only. It has a gain and a bias for every feature.",
        ),
        Mistake(
            "one_number_for_each_norm",
            _counting(norm=lambda d: 2),
            "You count one gain and one bias for a whole norm. There is one of each for every feature.",
            also=[_counting(norm=lambda d: 1)],
        ),
        Mistake(
            "one_norm",
            _counting(n_norms=(1, 1)),
            "You count one norm in a block. Every sub-layer has one: two in the encoder block, three in the "
            "decoder block.",
        ),
        Mistake(
            "last_norm_counted",
            _counting(n_norms=(3, 4)),
            "There is one norm too many in each block. The last norm of a pre-norm model comes once, after "
            "all blocks, and belongs to none of them.",
        ),
        Mistake(
            "matrices_only",
            _counting(
                attention=lambda d: 4 * d * d,
                feed_forward=lambda d, f: 2 * d * f,
                norm=lambda d: 0,
            ),
            "You count the matrices only. That is the usual rule of thumb, and for wide models nearly right. "
            "Here the biases count too, and the norms with their gains and biases.",
        ),
        Mistake(
            "no_bias",
            _counting(attention=lambda d: 4 * d * d, feed_forward=lambda d, f: 2 * d * f),
            "The biases of the linear maps are missing: one number for each output.",
            also=[
                _counting(
                    attention=lambda d: 4 * d * d,
                    feed_forward=lambda d, f: 2 * d * f,
                    norm=lambda d: d,
                ),
            ],
        ),
        Mistake(
            "no_bias_in_attention",
            _counting(attention=lambda d: 4 * d * d),
            "The four projections of an attention have biases here, as those of torch do: d_model numbers "
            "each. You counted the matrices only.",
        ),
        Mistake(
            "no_bias_in_feed_forward",
            _counting(feed_forward=lambda d, f: 2 * d * f),
            "The two maps of the feed-forward have biases: d_ff numbers in the first, d_model in the second.",
        ),
        Mistake(
            "bias_of_the_inputs",
            _counting(feed_forward=lambda d, f: 2 * d * f + 2 * d),
            "A linear map has one bias for each output. That of the first map of the feed-forward is d_ff "
            "wide, that of the second d_model. You counted one width for both.",
            also=[_counting(feed_forward=lambda d, f: 2 * d * f + 2 * f)],
        ),
        Mistake(
            "out_projection_forgotten",
            _counting(attention=lambda d: 3 * (d * d + d)),
            "An attention has four projections. You counted three: queries, keys and values. The one that "
            "mixes what the heads found is missing.",
            also=[_counting(attention=lambda d: 3 * d * d)],
        ),
        Mistake(
            "out_projection_without_bias",
            _counting(attention=lambda d: 4 * d * d + 3 * d),
            "All is right but the bias of the last projection of an attention. It has one too, as the other "
            "three have.",
            also=[_counting(attention=lambda d: 4 * d * d + d)],
        ),
        Mistake(
            "times_heads",
            _with_heads(lambda d, h: 4 * h * (d * d + d)),
            "You multiply by the number of heads. The heads share the width: each has projections to "
            "d_model / n_heads features, so all of them together have as many as one wide head.",
            also=[
                _with_heads(lambda d, h: 3 * h * (d * d + d) + d * d + d),
                _with_heads(lambda d, h: 3 * h * (d * d + d) + h * d * d + d),
            ],
        ),
        Mistake(
            "divided_by_heads",
            _with_heads(lambda d, h: 4 * (d * d // h + d // h)),
            "You count the projections of one head. There are n_heads of them, side by side.",
            also=[
                _with_heads(lambda d, h: 3 * (d * d // h + d // h) + d * d + d),
                _with_heads(lambda d, h: 4 * h * ((d // h) ** 2 + d // h)),
            ],
        ),
        Mistake(
            "one_map_in_feed_forward",
            _counting(feed_forward=lambda d, f: d * f + f),
            "The feed-forward has two maps: up to d_ff, and down again to d_model. You counted one.",
            also=[_counting(feed_forward=lambda d, f: d * f)],
        ),
        Mistake(
            "square_maps_in_feed_forward",
            _counting(feed_forward=lambda d, f: d * f + f + f * f + f),
            "The second map of the feed-forward goes from d_ff down to d_model, because the result is added "
            "to x. You counted one from d_ff to d_ff.",
        ),
        Mistake(
            "swapped",
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff)[::-1],
            "Both numbers are right, but the decoder block comes first. Return the encoder block, then the "
            "decoder block.",
        ),
        Mistake(
            "summed",
            lambda d_model, n_heads, d_ff: sum(_count(d_model, d_ff)),
            "This is the sum of the two. Return two numbers: the encoder block, then the decoder block.",
        ),
        Mistake(
            "one_block_only",
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff)[0],
            "This is the number of one of the blocks. Return two numbers: the encoder block, then the "
            "decoder block.",
            also=[lambda d_model, n_heads, d_ff: _count(d_model, d_ff)[1]],
        ),
    ],
    laws=[
        Law("these are whole numbers", lambda out, d, h, f: all(n == int(n) for n in out)),
        Law(
            "the decoder block has one attention and one norm more than the encoder block",
            lambda out, d, h, f: out[1] - out[0] == 4 * (d * d + d) + 2 * d,
        ),
    ],
)

# 6.7 -------------------------------------------------------------------------------------------------

SOUND = "a sound model"
SPARE = "a layer that is never called"
DETACHED = "what the encoder found is detached"
ZEROED = "what the attention finds is multiplied by 0"
ARGMAX = "the attention takes the argmax of its scores"
DEAD = "the ReLU of the feed-forward lets nothing through"
FROZEN = "the embedding does not require a gradient"
ONE_KEY = "every source is one token long, so each softmax is over one score"
TINY = "the loss is multiplied by a billionth"
LEFT_OVER = "what the encoder found is detached, and gradients of an earlier step are left"
TWO_FAULTS = "what the encoder found is detached, and the ReLU lets nothing through"


class Patient(nn.Module):
    """A small encoder-decoder, in which some part may not learn.

    Args:
        fault: one of the names above, said to the learner.
    """

    vocab_size, d = 7, 4

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        with seeded(0):  # its numbers are not used, but whoever calls has random numbers too
            self.embedding = nn.Embedding(self.vocab_size, self.d)
            self.encoder = nn.Linear(self.d, self.d, bias=False)
            self.query = nn.Linear(self.d, self.d, bias=False)
            self.key = nn.Linear(self.d, self.d, bias=False)
            self.value = nn.Linear(self.d, self.d, bias=False)
            self.up = nn.Linear(self.d, 5)
            self.down = nn.Linear(5, self.d, bias=False)
            if fault == SPARE:
                self.spare = nn.Linear(self.d, self.d, bias=False)
            self.readout = nn.Linear(self.d, self.vocab_size)
        self.double()
        with torch.no_grad():
            for seed, p in enumerate(self.parameters(), 720):
                p.copy_(numbers(seed, *p.shape) / 2)
            if fault in (DEAD, TWO_FAULTS):
                self.up.bias.sub_(100)
        if fault == FROZEN:
            self.embedding.requires_grad_(False)
        if fault == LEFT_OVER:
            for p in self.parameters():
                p.grad = torch.ones_like(p)

    def __repr__(self) -> str:
        return self.fault

    def __deepcopy__(self, memo: Any) -> "Patient":
        """Return another one, with its gradients: torch's own copy of a parameter has none."""
        return Patient(self.fault)

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return logits of shape (batch, target, vocab)."""
        memory = torch.tanh(self.encoder(self.embedding(source)))
        if self.fault in (DETACHED, LEFT_OVER, TWO_FAULTS):
            memory = memory.detach()
        x = self.embedding(target_in)
        scores = self.query(x) @ self.key(memory).mT
        hard = F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores)
        weights = hard if self.fault == ARGMAX else scores.softmax(-1)
        found = weights @ self.value(memory)
        x = x + (0 * found if self.fault == ZEROED else found)
        x = x + self.down(F.relu(self.up(x)))
        logits: Tensor = self.readout(x)
        return logits


LossOf = Callable[[nn.Module], Tensor]


def batch_loss(model: nn.Module) -> Tensor:
    """Measure the loss of a model on one batch that is always the same."""
    fault = model.fault if isinstance(model, Patient) else SOUND
    source = torch.tensor([[3, 5, 2], [6, 2, 4]])[:, : 1 if fault == ONE_KEY else 3]
    logits = model(source, torch.tensor([[1, 4, 5, 3], [1, 3, 3, 5]]))
    target_out = torch.tensor([[4, 5, 3, 2], [3, 3, 5, 2]])
    loss = F.cross_entropy(logits.flatten(0, 1), target_out.flatten())
    return loss * 1e-9 if fault == TINY else loss


def silent_parameters(model: nn.Module, loss_of: LossOf) -> list[str]:
    """Name the parameters that the loss says nothing to."""
    return _silent(model, loss_of)


def _has_none(grad: Tensor | None) -> bool:
    return grad is None or not bool(grad.any())


def _silent(
    model: nn.Module,
    loss_of: LossOf,
    *,
    is_silent: Callable[[Tensor | None], bool] = _has_none,
    clear: bool = True,
    backward: bool = True,
) -> list[str]:
    if clear:
        model.zero_grad()
    loss = loss_of(model)
    if backward:
        loss.backward()  # type: ignore[no-untyped-call]
    return [name for name, p in model.named_parameters() if is_silent(p.grad)]


def _unmoved(
    model: nn.Module, loss_of: LossOf, clear: bool = True, decay: float = 0.01
) -> list[str]:
    """Take a step as AdamW takes its first one, and name the parameters that are what they were."""
    _silent(model, loss_of, clear=clear)
    unmoved = []
    for name, p in model.named_parameters():
        step = 0 * p if p.grad is None else p.grad.sign() + decay * p
        if not bool(step.any()):
            unmoved.append(name)
    return unmoved


@torch.no_grad()
def _without_effect(model: nn.Module, loss_of: LossOf) -> list[str]:
    silent, before = [], loss_of(model)
    for name, p in model.named_parameters():
        kept = p.clone()
        p.add_(0.1 * numbers(1, *p.shape))
        if torch.equal(loss_of(model), before):
            silent.append(name)
        p.copy_(kept)
    return silent


def _without_frozen(model: nn.Module, loss_of: LossOf) -> list[str]:
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    return [name for name in _silent(model, loss_of) if name in trained]


def _of_modules(model: nn.Module, loss_of: LossOf) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[0] for name in _silent(model, loss_of)))


def _if_a_tensor(is_zero: Callable[[Tensor], Any]) -> Answer:
    """Make an answer that does not expect a gradient to be missing."""
    return partial(_silent, is_silent=lambda grad: bool(is_zero(grad)))  # type: ignore[arg-type]


def _below(size: float, measure: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer that takes whatever is small for nothing."""
    return partial(_silent, is_silent=lambda grad: grad is None or bool(measure(grad).abs() < size))


def _silent_cases() -> list[Case]:
    faults = [SPARE, SOUND, DETACHED, ZEROED, ARGMAX, DEAD, FROZEN, ONE_KEY, TINY, LEFT_OVER]
    return [(Patient(fault), batch_loss) for fault in (*faults, TWO_FAULTS)]


SILENT = Exercise(
    number="6.7",
    title="Find the bug: a part that does not learn",
    solution=silent_parameters,
    cases=_silent_cases,
    show_case=lambda model, loss_of: repr(model),
    mistakes=[
        Mistake(
            "missing_only",
            partial(_silent, is_silent=lambda grad: grad is None),
            "You find the gradients that are missing, but not those that are there and full of zeros, as in "
            "a part whose result is multiplied by 0, or lost in a dead ReLU. Such a part does not learn "
            "either. (AdamW moves it all the same, by weight decay.)",
            also=[_unmoved],
        ),
        Mistake(
            "zero_only",
            partial(_silent, is_silent=lambda grad: grad is not None and not bool(grad.any())),
            "You find the gradients that are zero, but not those that are missing. Where the loss cannot be "
            "traced back to a parameter at all, backward leaves its grad at None.",
        ),
        Mistake(
            "missing_is_no_tensor",
            _if_a_tensor(lambda grad: grad.abs().sum() == 0),
            "Your code stops where there is no gradient: backward leaves grad at None if the loss cannot be "
            "traced back to a parameter. That is one of the two things to look for, so ask for None first.",
            also=[
                # Whether a sum is exactly 0 depends on the machine; that None has none does not.
                _if_a_tensor(lambda grad: grad.sum() is None),
                _if_a_tensor(lambda grad: grad.mean() is None),
                _if_a_tensor(lambda grad: grad.norm() == 0),
                _if_a_tensor(lambda grad: not grad.any()),
                _if_a_tensor(lambda grad: grad.max() == 0),
                _if_a_tensor(lambda grad: grad.count_nonzero() == 0),
                _if_a_tensor(lambda grad: (grad == 0).all()),
                _if_a_tensor(lambda grad: torch.all(grad == 0)),
                _if_a_tensor(lambda grad: torch.count_nonzero(grad) == 0),
                _if_a_tensor(lambda grad: torch.norm(grad) == 0),
                _if_a_tensor(lambda grad: torch.sum(torch.abs(grad)) == 0),
                _if_a_tensor(lambda grad: torch.allclose(grad, torch.zeros_like(grad))),
            ],
        ),
        Mistake(
            "left_over",
            partial(_silent, clear=False),
            "All is right until a model has gradients of an earlier step. backward adds to what is there, "
            "so a part that gets nothing now seems to get something. Clear them first: zero_grad.",
            also=[
                partial(_unmoved, clear=False, decay=0.0),
            ],
        ),
        Mistake(
            "no_backward",
            partial(_silent, backward=False),
            "There are no gradients yet: the loss has to be computed, and backward has to be called on it.",
            also=[partial(_silent, backward=False, clear=False)],
        ),
        Mistake(
            "some_are_zero",
            partial(_silent, is_silent=lambda grad: grad is None or not bool(grad.all())),
            "You name a parameter if any of its numbers has gradient zero. In a table of embeddings that is "
            "so for every word that is not in the batch. A parameter is silent if all are zero.",
            also=[
                partial(_silent, is_silent=lambda grad: grad is not None and not bool(grad.all())),
            ],
        ),
        Mistake(
            "small_taken_for_zero",
            _below(1e-6, lambda grad: grad.norm()),
            "You take a small gradient for none. In one of the models all gradients are tiny, and they are "
            "right: Adam divides by their size, so it would learn all the same. Compare with 0 itself.",
            also=[
                *(
                    _below(size, measure)
                    for size in (1e-5, 1e-7, 1e-8)
                    for measure in (torch.norm, lambda grad: grad.abs().max())
                ),
                partial(
                    _silent,
                    is_silent=lambda grad: (
                        grad is None or torch.allclose(grad, torch.zeros_like(grad))
                    ),
                ),
            ],
        ),
        Mistake(
            "cancelled_in_the_sum",
            _below(1e-12, torch.sum),
            "You add up a gradient, and positive and negative numbers cancel. Those of the readout always "
            "sum to 0: what one word gains in probability, the others lose. Look at the sizes, with abs or "
            "norm.",
            also=[
                _below(size, measure)
                for size in (1e-6, 1e-7, 1e-8, 1e-10, 1e-12)
                for measure in (torch.sum, torch.mean)
            ],
        ),
        Mistake(
            "inverted",
            partial(_silent, is_silent=lambda grad: not _has_none(grad)),
            "You name the parameters that do get a gradient. The others are asked for.",
            also=[partial(_silent, is_silent=lambda grad: grad is not None)],
        ),
        Mistake(
            "frozen_only",
            lambda model, loss_of: [n for n, p in model.named_parameters() if not p.requires_grad],
            "You name the parameters that are frozen on purpose. A parameter that requires a gradient need "
            "not get one: that is decided by the way from it to the loss.",
            also=[
                lambda model, loss_of: [n for n, p in model.named_parameters() if p.requires_grad]
            ],
        ),
        Mistake(
            "frozen_left_out",
            _without_frozen,
            "You leave out the parameters that do not require a gradient. The loss says nothing to them "
            "either, and it may well be by accident that they are frozen.",
        ),
        Mistake(
            "effect_on_the_loss",
            _without_effect,
            "You change weights and watch the loss. A part that is detached has an effect on the loss, and "
            "yet it is never told in which direction to go. Look at the gradients.",
        ),
        Mistake(
            "modules_named",
            _of_modules,
            "These are the right parts, but the names of the modules. Give those of the parameters, as "
            "named_parameters does: readout.weight and readout.bias are two.",
        ),
        Mistake(
            "another_order",
            lambda model, loss_of: sorted(_silent(model, loss_of)),
            "The names are right, but in another order. Leave them in that of named_parameters.",
            also=[lambda model, loss_of: _silent(model, loss_of)[::-1]],
        ),
        Mistake(
            "none_found",
            lambda model, loss_of: [],
            "You say of every model that all of it learns. Is the name added to the list?",
        ),
    ],
)

# 6.8 -------------------------------------------------------------------------------------------------

Embed = Callable[[TransformerTranslator, nn.Embedding, Tensor], Tensor]
MakeMask = Callable[[Tensor, Tensor], Any]


def _embed_ids(model: TransformerTranslator, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids) * model.embedding_scale)
    return x


def _hide_padding(source: Tensor, target_in: Tensor) -> Mask:
    return Padding(token_mask(source))


def _hide_future(source: Tensor, target_in: Tensor) -> Mask:
    return Causal()


def _hide_nothing(source: Tensor, target_in: Tensor) -> Mask:
    return None


def _own_norm(block: Any, name: str) -> Map:
    norm: Map = getattr(block, f"add_{name}").norm
    return norm


def _last_norm(model: Any, sums: list[Tensor]) -> Tensor:
    memory: Tensor = model.encoder.norm(sums[-1])
    return memory


def _asks_itself(block: Any, mask: Any) -> Map:
    return lambda h: block.self_attention(h, h, h, mask)


def _look_at(block: Any, h: Tensor, memory: Tensor, mask: Any) -> Tensor:
    found: Tensor = block.cross_attention(h, memory, memory, mask)
    return found


def _logits(model: Any, y: Tensor) -> Tensor:
    logits: Tensor = model.readout(model.decoder.norm(y))
    return logits


@dataclass(frozen=True)
class Assembly:
    """A pre-norm translator, put together from its pieces; every default is right.

    Args:
        embed_source: embeds the source.
        embed_target: embeds the target.
        encoder_mask: made for the self-attention of the encoder.
        decoder_mask: made for the self-attention of the decoder.
        cross_mask: made for the attention to the source.
        place: how a sub-layer and its norm are put together, for "encoder" or "decoder" and its name.
        norm: the norm of a sub-layer, for a block and its name.
        encoder_steps: the sub-layers of an encoder block, in order.
        decoder_steps: the sub-layers of a decoder block, in order.
        blocks: which blocks are used, for "encoder" or "decoder" and all of them.
        remember: makes the memory, from the sums after every encoder block (the first one stands before it).
        memory_of: the memory that a decoder block sees, from its number, the memory and those sums.
        look: the attention of a decoder block to the memory.
        read: makes the logits from the last sum.
    """

    embed_source: Embed = _embed_ids
    embed_target: Embed = _embed_ids
    encoder_mask: MakeMask = _hide_padding
    decoder_mask: MakeMask = _hide_future
    cross_mask: MakeMask = _hide_padding
    place: Callable[[str, str], Place] = lambda side, name: _pre
    norm: Callable[[Any, str], Map] = _own_norm
    encoder_steps: tuple[str, ...] = ("self_attention", "feed_forward")
    decoder_steps: tuple[str, ...] = ("self_attention", "cross_attention", "feed_forward")
    blocks: Callable[[str, list[Any]], list[Any]] = lambda side, blocks: blocks
    remember: Callable[[Any, list[Tensor]], Tensor] = _last_norm
    memory_of: Callable[[int, Tensor, list[Tensor]], Tensor] = lambda i, memory, sums: memory
    look: Callable[..., Tensor] = _look_at
    read: Callable[[Any, Tensor], Tensor] = _logits

    def __call__(self, model: TransformerTranslator, source: Tensor, target_in: Tensor) -> Tensor:
        """Return the logits."""
        mask = self.encoder_mask(source, target_in)
        sums = [self.embed_source(model, model.source_embedding, source)]
        for block in self.blocks("encoder", list(model.encoder.blocks)):
            steps = {
                "self_attention": _asks_itself(block, mask),
                "feed_forward": block.feed_forward,
            }
            sums.append(self._run("encoder", block, steps, self.encoder_steps, sums[-1]))
        last = self.remember(model, sums)
        y = self.embed_target(model, model.target_embedding, target_in)
        mask_y = self.decoder_mask(source, target_in)
        cross_mask = self.cross_mask(source, target_in)
        for i, block in enumerate(self.blocks("decoder", list(model.decoder.blocks))):
            memory = self.memory_of(i, last, sums)
            steps = {
                "self_attention": _asks_itself(block, mask_y),
                "cross_attention": partial(self.look, block, memory=memory, mask=cross_mask),
                "feed_forward": block.feed_forward,
            }
            y = self._run("decoder", block, steps, self.decoder_steps, y)
        return self.read(model, y)

    def _run(
        self, side: str, block: Any, steps: dict[str, Map], order: tuple[str, ...], x: Tensor
    ) -> Tensor:
        for name in order:
            x = self.place(side, name)(x, steps[name], self.norm(block, name))
        return x


def my_transformer(model: TransformerTranslator, source: Tensor, target_in: Tensor) -> Tensor:
    """Return the logits of a pre-norm translator, using only its pieces."""
    return Assembly()(model, source, target_in)


def small_translator(
    seed: int, d_model: int, n_heads: int, d_ff: int, n_layers: int
) -> TransformerTranslator:
    """Make a translator with weights that are the same on every machine, those of the norms included."""
    with seeded(0):
        model = TransformerTranslator(
            13, 11, d_model=d_model, n_heads=n_heads, d_ff=d_ff, n_layers=n_layers
        )
    with torch.no_grad():
        for i, (name, p) in enumerate(model.named_parameters(), seed):
            if p.ndim == 1:
                p.copy_(numbers(i, *p.shape) / 2 + name.endswith("norm.weight"))
            else:
                p.copy_(numbers(i, *p.shape) / math.sqrt(p.shape[1]))
    return model.eval().requires_grad_(False)


def in_pieces(model: TransformerTranslator) -> TransformerTranslator:
    """Make the parts that learners shall build themselves refuse to run."""

    def refuse(part: nn.Module, args: Any) -> None:
        raise RuntimeError("this part is to be built from its pieces")

    for part in model.modules():
        if isinstance(part, _WHOLES):
            part.register_forward_pre_hook(refuse)
    return model


_WHOLES = (
    TransformerTranslator,
    TransformerEncoder,
    TransformerDecoder,
    EncoderBlock,
    DecoderBlock,
    Residual,
)


@cache
def _assembly_cases() -> Sequence[Case]:
    """Make the cases once; everybody works on a copy."""
    return [
        (
            in_pieces(small_translator(800, d_model=8, n_heads=4, d_ff=7, n_layers=1)),
            torch.tensor([[5, 9, 2], [4, 7, 2]]),
            torch.tensor([[1, 3, 6, 5, 10], [1, 8, 4, 3, 7]]),
        ),
        (
            in_pieces(small_translator(860, d_model=6, n_heads=2, d_ff=11, n_layers=2)),
            torch.tensor([[5, 9, 3, 7, 2], [6, 2, 0, 0, 0], [10, 8, 4, 2, 0]]),
            torch.tensor([[1, 3, 6, 5], [1, 8, 4, 3], [1, 9, 9, 10]]),
        ),
    ]


def _show_assembly(model: TransformerTranslator, source: Tensor, target_in: Tensor) -> str:
    d_model, n = model.target_embedding.embedding_dim, len(model.encoder.blocks)
    blocks = "1 block" if n == 1 else f"{n} blocks"
    return (
        f"{blocks} on each side, d_model = {d_model}\n"
        f"source = {source.tolist()}\ntarget_in = {target_in.tolist()}"
    )


@dataclass
class _Call:
    """One call of a piece.

    Args:
        piece: its name, in words.
        given: what it was given, by the names of its arguments; a mask as it arrives at the scores.
        mask: the mask as it was given.
        result: what it returned, unless it stopped with an error.
    """

    piece: str
    given: dict[str, Any]
    mask: Any = None
    result: Any = None


def _pieces(model: TransformerTranslator) -> dict[str, nn.Module]:
    """Name the pieces that an answer may call."""
    pieces: dict[str, nn.Module] = {
        "the source embedding": model.source_embedding,
        "the target embedding": model.target_embedding,
        "the positions": model.positions,  # type: ignore[dict-item]
        "the last norm of the encoder": model.encoder.norm,  # type: ignore[dict-item]
        "the last norm of the decoder": model.decoder.norm,  # type: ignore[dict-item]
        "the readout": model.readout,
    }
    for side, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, block in enumerate(stack.blocks, 1):
            for name, part in block.named_children():
                if isinstance(part, Residual):
                    words = name.removeprefix("add_").replace("_", "-")
                    pieces[f"the norm before the {words} of {side} block {i}"] = part.norm
                else:
                    pieces[f"the {name.replace('_', '-')} of {side} block {i}"] = part
    return pieces


def _watch(answer: Answer, case: Case) -> tuple[list[_Call], str]:
    """Run an answer, and return every call of a piece and the error that it stopped with."""
    model, source, target_in = copy.deepcopy(case)
    calls: list[_Call] = []

    def begin(name: str, part: nn.Module, args: Any, kwargs: Any) -> None:
        try:
            given = dict(inspect.signature(part.forward).bind(*args, **kwargs).arguments)
        except TypeError:  # it will stop with an error of its own
            return
        if name == "the positions":
            x = given.get("x", given.get("input"))
            length = x.shape[1] if isinstance(x, Tensor) and x.ndim > 1 else 0
            name += " of the source" if length == source.shape[1] else " of the target"
        mask = given.pop("mask", None)
        calls.append(_Call(name, given, mask))

    def end(part: nn.Module, args: Any, result: Any) -> None:
        calls[-1].result = result

    def with_mask(attend: Answer, query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Any:
        shape = (*query.shape[:-1], key.shape[-2])
        all_seen = torch.ones(shape, dtype=torch.bool)
        calls[-1].given["mask"] = all_seen if mask is None else to_bool(mask, shape).expand(shape)
        return attend(query, key, value, mask)

    for name, part in _pieces(model).items():
        part.register_forward_pre_hook(partial(begin, name), with_kwargs=True)
        part.register_forward_hook(end)
        if isinstance(part, MultiHeadAttention):
            part.attend = partial(with_mask, part.attend)
    try:
        with seeded(0):
            answer(model, source, target_in)
    except (Exception, SystemExit) as error:
        return calls, f"{type(error).__name__}: {error}".split("\n")[0]
    return calls, ""


@cache
def _right_calls(case: Case) -> Sequence[_Call]:
    """Return the calls of a right run."""
    return _watch(my_transformer, case)[0]


def _alike(a: Any, b: Any, tokens: Tensor) -> bool:
    """Tell whether two things that a piece was given are the same, wherever the source has a token.

    The lengths of source and target differ in every case, so the length says which of the two it is.
    """
    if not isinstance(a, Tensor) or a.shape != b.shape:
        return False
    for axis in (1, 2):  # masks have the queries on axis 2
        if a.ndim > axis and (len(a), a.shape[axis]) == tuple(tokens.shape):
            a, b = a.movedim(axis, 1)[tokens], b.movedim(axis, 1)[tokens]
            break
    return same(a, b, _ROUNDING)


_ROUNDING = 1e-4


def _names(calls: Sequence[_Call]) -> list[tuple[str, str, Tensor]]:
    """Name the tensors of a right run, and the piece that each comes from."""
    known: list[tuple[str, str, Tensor]] = []
    last = ""
    for call in calls:
        for got in call.given.values():
            if got.dtype == torch.int64:
                known.append((f"the ids of the {call.piece.split()[1]}", call.piece, got))
            elif got.dtype != torch.bool and not any(got is x for *_, x in known):
                if call.piece.startswith("the positions"):
                    name = f"the result of {last} times embedding_scale"
                else:
                    name = f"the sum after {last}"
                known.append((name, last, got))
        known.append((f"the result of {call.piece}", call.piece, call.result))
        if "norm" not in call.piece:
            last = call.piece
    return known


def locate_in_assembly(answer: Answer, case: Case) -> tuple[str, str]:
    """Compare an answer with a right run, piece by piece, in the order in which it calls them.

    A piece that is never called, or once too often with the right thing, is no fault: an answer may compute what
    it likes by itself. What it gives to a piece has to be right.
    """
    right = _right_calls(case)
    calls, error = _watch(answer, case)
    step = _first_wrong(calls, right, token_mask(case[1]))
    if step:
        return step, f"Then your code stopped: {error}" if error else ""
    return "", _progress(calls, right)


def _first_wrong(calls: Sequence[_Call], right: Sequence[_Call], tokens: Tensor) -> str:
    """Say which piece is the first to be given something else, and what."""
    expected = {call.piece: call for call in right}
    for i, call in enumerate(calls):
        wanted = expected[call.piece].given
        wrong = [name for name in wanted if not _alike(call.given.get(name), wanted[name], tokens)]
        if not wrong:
            continue
        before = [earlier.piece for earlier in calls[:i]]
        again = ", called once more" if call.piece in before else ""
        got, value = call.given.get(wrong[0]), wanted[wrong[0]]
        if wrong[0] == "mask":
            text = _say_mask(call, got, value)
        else:
            text = _say_tensor(
                wrong[0] if len(wanted) > 1 else "", got, value, right, tokens, before
            )
        return f"First difference: {call.piece}{again}.\n{text}"
    return ""


def _say_tensor(
    name: str,
    got: Any,
    value: Tensor,
    right: Sequence[_Call],
    tokens: Tensor,
    before: Sequence[str],
) -> str:
    """Say what should have been given, under which name, and what was given."""
    known = _names(right)
    wanted, piece = next((name, piece) for name, piece, x in known if x is value)
    should = f"Its {name} should be" if name else "It should be given"
    missing = f" {piece[0].upper()}{piece[1:]} was not called."
    if piece in before or value.dtype == torch.int64:
        missing = ""
    return f"{should} {wanted}. You gave {_guess(got, value, known, tokens)}.{missing}"


def _guess(
    got: Any, value: Tensor, known: Sequence[tuple[str, str, Tensor]], tokens: Tensor
) -> str:
    """Say what a piece was given instead of what it should be given."""
    if not isinstance(got, Tensor):
        return "nothing" if got is None else f"something of type {type(got).__name__}"
    for name, _, x in known:
        if _alike(got, x, tokens):
            return name
    if got.shape != value.shape:
        return (
            f"something of shape {tuple(got.shape)}, where the shape should be {tuple(value.shape)}"
        )
    factor = float((got * value).sum() / value.square().sum())
    if factor and _alike(got / factor, value, tokens):
        return f"{factor:.4g} times that"
    close = torch.isclose(got.double(), value.double(), _ROUNDING, _ROUNDING)
    place = tuple((~close).nonzero()[0].tolist())
    there = f"{float(got[place]):.4g} where {float(value[place]):.4g} should be"
    return f"something else: at {list(place)} stands {there}"


def _say_mask(call: _Call, got: Any, value: Tensor) -> str:
    """Say what a mask should hide, and what it hides; none arrived if it could not be used."""
    is_causal = "self-attention of decoder" in call.piece
    hides = "what comes later" if is_causal else "the padding of the source"
    if got is None:
        what = f"something of type {type(call.mask).__name__}"
        if isinstance(call.mask, Tensor):
            what = f"of shape {tuple(call.mask.shape)} and {call.mask.dtype}"
        return f"Its mask should hide {hides}. Yours, {what}, could not be used."
    if bool(got.all()):
        return f"Its mask should hide {hides}. Yours hides nothing."
    if torch.equal(got, ~value):
        return f"Its mask should hide {hides}. Yours hides everything else: True means that one may look."
    row, head, query = (got != value).any(-1).nonzero()[0].tolist()
    allowed, given = (x[row, head, query].nonzero()[:, 0].tolist() for x in (value, got))
    return (
        f"Its mask should hide {hides}. In row {row}, position {query} may look at {allowed}; "
        f"yours lets it look at {given}."
    )


def _progress(calls: Sequence[_Call], right: Sequence[_Call]) -> str:
    """Say how far an answer came that gave every piece the right thing."""
    if not calls:
        return "None of the pieces of the model was called."
    order = [call.piece for call in right]
    furthest = max(order.index(call.piece) for call in calls)
    if furthest == len(order) - 1:
        return "Every piece was given the right thing, the readout too. Look at what you return."
    return (
        "Every piece that you called was given the right thing. "
        f"The last one was {order[furthest]}; next would be {order[furthest + 1]}."
    )


def _embed_with(change: Callable[[Any, Any, Tensor], Tensor], who: str = "both") -> Assembly:
    """Make an assembly that embeds source, target or both in another way."""
    return Assembly(
        embed_source=_embed_ids if who == "target" else change,
        embed_target=_embed_ids if who == "source" else change,
    )


def _place_at(place: Place, *where: str) -> Assembly:
    """Make an assembly that puts some sub-layers together in another way; all if none is named."""
    return Assembly(
        place=lambda side, name: place if not where or f"{side} {name}" in where else _pre
    )


_SUBLAYERS = (
    "encoder self_attention",
    "encoder feed_forward",
    "decoder self_attention",
    "decoder cross_attention",
    "decoder feed_forward",
)


def _each(place: Place) -> list[Assembly]:
    """Make assemblies that put one kind of sub-layer, or those of one side, together in another way."""
    return [
        *(_place_at(place, name) for name in _SUBLAYERS),
        _place_at(place, *_SUBLAYERS[:2]),
        _place_at(place, *_SUBLAYERS[2:]),
    ]


def _unscaled(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids))
    return x


def _scaled_late(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids)) * model.embedding_scale
    return x


def _scaled_down(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids) / model.embedding_scale)
    return x


def _scaled_by_width(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids) * table.embedding_dim)
    return x


def _placed_twice(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x = table(ids) * model.embedding_scale
    twice: Tensor = x + model.positions(x)
    return twice


def _positions_as_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = table(ids) * model.embedding_scale + model.positions
    return x


def _placeless(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = table(ids) * model.embedding_scale
    return x


def _placeless_and_unscaled(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = table(ids)
    return x


def _other_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    source = table is model.source_embedding
    return _embed_ids(model, model.target_embedding if source else model.source_embedding, ids)


def _source_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    return _embed_ids(model, model.source_embedding, ids)


def _target_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    return _embed_ids(model, model.target_embedding, ids)


def _look_with(change: Callable[..., Tensor]) -> Assembly:
    """Make an assembly whose decoder looks at the memory in another way."""
    return Assembly(look=change)


def _read_with(change: Callable[[Any, Tensor], Tensor]) -> Assembly:
    """Make an assembly that makes the logits in another way."""
    return Assembly(read=change)


def _hide_tokens(source: Tensor, target_in: Tensor) -> Mask:
    return Padding(~token_mask(source))


def _hide_past(source: Tensor, target_in: Tensor) -> Mask:
    n = target_in.shape[1]
    return torch.ones(n, n, dtype=torch.bool).triu()


def _hide_past_and_self(source: Tensor, target_in: Tensor) -> Mask:
    n = target_in.shape[1]
    return torch.ones(n, n, dtype=torch.bool).triu(1)


def _hide_self_too(source: Tensor, target_in: Tensor) -> Mask:
    n = target_in.shape[1]
    return torch.ones(n, n, dtype=torch.bool).tril(-1)


def _two_axes(source: Tensor, target_in: Tensor) -> Mask:
    return token_mask(source)


def _masks_of_source(change: Callable[[Tensor], Tensor]) -> Assembly:
    """Make an assembly that hides the padding of the source by another tensor."""

    def mask(source: Tensor, target_in: Tensor) -> Any:
        return change(token_mask(source))

    return Assembly(encoder_mask=mask, cross_mask=mask)


def _source_future(source: Tensor, target_in: Tensor) -> Mask:
    return Causal() & _hide_padding(source, target_in)  # type: ignore[operator]


def _blocks_as(change: Callable[[list[Any]], list[Any]]) -> Assembly:
    """Make an assembly that uses other blocks."""
    return Assembly(blocks=lambda side, blocks: change(blocks))


def _blocks_on_either(change: Callable[[list[Any]], list[Any]]) -> list[Assembly]:
    """Make assemblies that use other blocks on one side only."""

    def on(which: str) -> Assembly:
        return Assembly(blocks=lambda side, blocks: change(blocks) if side == which else blocks)

    return [on("encoder"), on("decoder")]


def _norm_named(swap: dict[str, str]) -> Assembly:
    """Make an assembly that takes one norm of a block for another."""
    return Assembly(norm=lambda block, name: _own_norm(block, swap.get(name, name)))


def _plain_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


ASSEMBLY = Exercise(
    number="6.8",
    title="The whole Transformer",
    solution=my_transformer,
    cases=_assembly_cases,
    show_case=_show_assembly,
    locate=locate_in_assembly,
    tolerance=1e-3,
    mistakes=[
        Mistake(
            "called_as_a_whole",
            lambda model, source, target_in: model(source, target_in),
            "You call a part that you are to build here: the model or a method of it, an encoder, a decoder, "
            "a block or one of its add_... modules. Use what is inside it. Of add_self_attention take the "
            "norm; the sum you write yourself.",
            also=[
                lambda model, source, target_in: model.encode(source),
                lambda model, source, target_in: model.decoder(
                    _embed_ids(model, model.target_embedding, target_in), None
                ),
            ],
        ),
        Mistake(
            "not_scaled",
            _embed_with(_unscaled),
            "The embeddings are not multiplied by embedding_scale. Their numbers are of size "
            "1/sqrt(d_model), those of the positions of size 1, so the words would drown.",
            also=[_embed_with(_unscaled, "source"), _embed_with(_unscaled, "target")],
        ),
        Mistake(
            "scaled_late",
            _embed_with(_scaled_late),
            "The positions are multiplied as well. First the embeddings are multiplied by embedding_scale, "
            "then the positions come on top.",
            also=[_embed_with(_scaled_late, "source"), _embed_with(_scaled_late, "target")],
        ),
        Mistake(
            "scaled_the_wrong_way",
            _embed_with(_scaled_by_width),
            "The embeddings are multiplied by another number. It is the root of d_model, and the model has "
            "it in embedding_scale.",
            also=[_embed_with(_scaled_down)],
        ),
        Mistake(
            "positions_added_twice",
            _embed_with(_placed_twice),
            "model.positions is called with the embedded tokens and returns them with the positions added. "
            "Take what it returns: x = model.positions(x).",
            also=[
                _embed_with(_placed_twice, "source"),
                _embed_with(_placed_twice, "target"),
                _embed_with(_positions_as_table),
            ],
        ),
        Mistake(
            "no_positions",
            _embed_with(_placeless),
            "There are no positions. Attention finds tokens by what they are; where they stand it has to be "
            "told. model.positions(x) returns a new tensor and leaves x alone.",
            also=[_embed_with(_placeless, "source"), _embed_with(_placeless, "target")],
        ),
        Mistake(
            "only_looked_up",
            _embed_with(_placeless_and_unscaled),
            "The embeddings go into the blocks as they come from the table. Two things are missing: the "
            "factor embedding_scale, and then the positions.",
            also=[
                _embed_with(_placeless_and_unscaled, "source"),
                _embed_with(_placeless_and_unscaled, "target"),
            ],
        ),
        Mistake(
            "one_table_for_both",
            Assembly(embed_source=_target_table),
            "Source and target are embedded with the same table, or with each other's. This model has two "
            "vocabularies, and an id means another word in each.",
            also=[
                Assembly(embed_target=_source_table),
                Assembly(embed_source=_other_table, embed_target=_other_table),
            ],
        ),
        Mistake(
            "no_causal_mask",
            Assembly(decoder_mask=_hide_nothing),
            "The decoder's self-attention has no causal mask. Then each place sees the word that it is to "
            "guess: in training the loss goes to 0, and in use there is no such word to look at.",
        ),
        Mistake(
            "padding_seen",
            Assembly(encoder_mask=_hide_nothing, cross_mask=_hide_nothing),
            "Nothing hides the padding of the source, neither in the encoder nor from the decoder. So a "
            "sentence gives something else next to a longer one than alone. PAD is an id like any other, "
            "and has an embedding.",
        ),
        Mistake(
            "padding_seen_by_encoder",
            Assembly(encoder_mask=_hide_nothing),
            "In the encoder the tokens of the source attend to padding. The padding mask belongs there too: "
            "a sentence must give the same alone as next to a longer one.",
        ),
        Mistake(
            "padding_seen_by_decoder",
            Assembly(cross_mask=_hide_nothing),
            "The decoder attends to the padding of the source. The encoder made vectors for it too, and "
            "they look like any others. The padding mask belongs to the attention to the source as well.",
        ),
        Mistake(
            "padding_mask_inverted",
            Assembly(encoder_mask=_hide_tokens, cross_mask=_hide_tokens),
            "The padding mask is the wrong way round. Here True means that one may look: source != PAD. "
            "The layers of torch want it the other way in nn.MultiheadAttention.",
            also=[Assembly(encoder_mask=_hide_tokens), Assembly(cross_mask=_hide_tokens)],
        ),
        Mistake(
            "causal_mask_inverted",
            Assembly(decoder_mask=_hide_past_and_self),
            "The causal mask is the wrong way round: a token sees what comes later. True means that one may "
            "look, so it is the lower triangle, with the diagonal.",
            also=[Assembly(decoder_mask=_hide_past)],
        ),
        Mistake(
            "own_token_hidden",
            Assembly(decoder_mask=_hide_self_too),
            "The causal mask hides the token itself too, so the first one sees nothing. The target was "
            "shifted when the batch was made: place t holds the word before the one it guesses, and may "
            "see it.",
        ),
        Mistake(
            "encoder_is_causal",
            Assembly(encoder_mask=_source_future),
            "The encoder has a causal mask. The source is there as a whole before the first word is "
            "written, so all of its tokens may look in both directions.",
            also=[Assembly(encoder_mask=lambda source, target_in: Causal())],
        ),
        Mistake(
            "causal_to_the_source",
            Assembly(cross_mask=_source_future),
            "The attention to the source has a causal mask. All of the source may be seen from the first "
            "word on: the last word of a German sentence may be the first in English.",
            also=[Assembly(cross_mask=lambda source, target_in: Causal())],
        ),
        Mistake(
            "mask_of_other_axes",
            _masks_of_source(lambda tokens: tokens),
            "The padding mask has the wrong axes. The last one is that of the keys, and the one before that "
            "of the queries, so (batch, keys) will not do. Give it an axis for the queries, "
            "tokens[:, None], or wrap it in Padding(tokens).",
            also=[
                Assembly(cross_mask=_two_axes),
                _masks_of_source(lambda tokens: tokens[:, :, None]),
                _masks_of_source(lambda tokens: tokens[None]),
                _masks_of_source(lambda tokens: tokens[..., None, None]),
            ],
        ),
        Mistake(
            "padding_of_the_target",
            Assembly(cross_mask=lambda source, target_in: Padding(token_mask(target_in))),
            "In the attention to the source you hide the padding of the target. What is to be hidden are "
            "keys, and the keys are the source.",
            also=[
                Assembly(cross_mask=lambda source, target_in: token_mask(target_in)[:, None]),
                Assembly(cross_mask=lambda source, target_in: token_mask(target_in)[:, None, None]),
            ],
        ),
        Mistake(
            "mask_is_not_bool",
            _masks_of_source(lambda tokens: tokens[:, None].float()),
            "A mask holds numbers. In this package masks are bool, True where one may look; numbers that "
            "are added to the scores would be a bias. torch.ones needs dtype=torch.bool.",
            also=[
                *(
                    _masks_of_source(change)
                    for change in (
                        lambda tokens: tokens.float(),
                        lambda tokens: tokens[:, None, None].float(),
                        lambda tokens: tokens[:, None].long(),
                        lambda tokens: tokens[:, None, None].long(),
                    )
                ),
                Assembly(decoder_mask=lambda source, y: torch.ones(y.shape[1], y.shape[1]).tril()),
                Assembly(
                    decoder_mask=lambda source, y: torch.ones(1, y.shape[1], y.shape[1]).tril()
                ),
            ],
        ),
        Mistake(
            "no_residual",
            _place_at(_pre_alone),
            "A residual is missing: what a sub-layer finds replaces the tokens. It is to be added to what "
            "was there before, x = x + ...",
            also=_each(_pre_alone),
        ),
        Mistake(
            "normed_carried_on",
            _place_at(_pre_carried),
            "The normed tokens are carried on: x = norm(x), and then x + ... The norm is only for what the "
            "sub-layer reads. The sum goes on from the x before the norm, so give the normed one a name "
            "of its own.",
            also=_each(_pre_carried),
        ),
        Mistake(
            "not_normed",
            _place_at(_no_norm),
            "A sub-layer reads the tokens as they are. In a pre-norm block each sub-layer has a norm in "
            "front: that of add_self_attention for the self-attention, and so on.",
            also=_each(_no_norm),
        ),
        Mistake(
            "post_norm",
            _place_at(_post),
            "The norms stand after the sums. That is post-norm, as in the paper; this model is pre-norm, "
            "and its sub-layers read the normed tokens: x + f(norm(x)).",
            also=_each(_post),
        ),
        Mistake(
            "normed_twice",
            _place_at(_norm_twice),
            "There is a norm in front of the sub-layer and the same one again after the sum. Here only the "
            "first is right.",
            also=_each(_norm_twice),
        ),
        Mistake(
            "wrong_norm",
            _norm_named({"feed_forward": "self_attention"}),
            "A sub-layer has the norm of another one. Each has its own, in the add_... module of its name. "
            "Did you copy a line?",
            also=[
                _norm_named({"cross_attention": "self_attention"}),
                _norm_named({"cross_attention": "feed_forward"}),
                _norm_named(
                    {"feed_forward": "self_attention", "cross_attention": "self_attention"}
                ),
                _norm_named({"feed_forward": "self_attention", "self_attention": "feed_forward"}),
            ],
        ),
        Mistake(
            "norm_without_weights",
            Assembly(norm=lambda block, name: _plain_norm),
            "You norm the tokens without the weights of the model. Each norm has learned a gain and a bias "
            "for every feature.",
        ),
        Mistake(
            "no_last_norm_in_encoder",
            Assembly(remember=lambda model, sums: sums[-1]),
            "The last norm of the encoder is missing. The blocks of a pre-norm model leave a sum that no "
            "norm has seen, so encoder and decoder both end with one more.",
        ),
        Mistake(
            "no_last_norm_in_decoder",
            _read_with(lambda model, y: model.readout(y)),
            "The last norm of the decoder is missing: the readout gets a sum that no norm has seen.",
        ),
        Mistake(
            "no_last_norms",
            Assembly(remember=lambda model, sums: sums[-1], read=lambda model, y: model.readout(y)),
            "Both last norms are missing, encoder.norm and decoder.norm. The blocks of a pre-norm model "
            "leave sums that no norm has seen.",
        ),
        Mistake(
            "other_last_norm",
            Assembly(remember=lambda model, sums: model.decoder.norm(sums[-1])),
            "Encoder and decoder have a last norm each, with weights of its own. You take one for the "
            "other.",
            also=[
                _read_with(lambda model, y: model.readout(model.encoder.norm(y))),
                Assembly(
                    remember=lambda model, sums: model.decoder.norm(sums[-1]),
                    read=lambda model, y: model.readout(model.encoder.norm(y)),
                ),
            ],
        ),
        Mistake(
            "keys_of_the_target",
            _look_with(lambda block, h, memory, mask: block.cross_attention(h, h, h, mask)),
            "The second attention of the decoder looks at the target again. The target asks, and the source "
            "is asked: keys and values are the memory, which the encoder left.",
            also=[
                _look_with(lambda block, h, memory, mask: block.cross_attention(h, h, h)),
                _look_with(lambda block, h, memory, mask: block.self_attention(h, h, h)),
            ],
        ),
        Mistake(
            "values_of_the_target",
            _look_with(lambda block, h, memory, mask: block.cross_attention(h, memory, h, mask)),
            "Keys and values of the attention to the source come from two sequences. Both are the memory: a "
            "weight says how much of that source token is delivered.",
            also=[
                _look_with(
                    lambda block, h, memory, mask: block.cross_attention(h, h, memory, mask)
                ),
            ],
        ),
        Mistake(
            "source_asks",
            _look_with(lambda block, h, memory, mask: block.cross_attention(memory, h, h)),
            "In the attention to the source the source asks. Who asks, gets one answer for each of its "
            "tokens, and it is the target that needs them: its tokens are the queries, the memory is keys "
            "and values.",
            also=[
                _look_with(
                    lambda block, h, memory, mask: block.cross_attention(memory, h, h, mask)
                ),
                _look_with(lambda block, h, memory, mask: block.cross_attention(*[memory] * 3)),
                _look_with(
                    lambda block, h, memory, mask: block.cross_attention(*[memory] * 3, mask)
                ),
            ],
        ),
        Mistake(
            "self_attention_for_cross",
            _look_with(
                lambda block, h, memory, mask: block.self_attention(h, memory, memory, mask)
            ),
            "The decoder looks at the source with its self-attention. For that it has another one, with "
            "weights of its own: cross_attention.",
        ),
        Mistake(
            "memory_normed_again",
            _look_with(
                lambda block, h, memory, mask: block.cross_attention(
                    h,
                    _own_norm(block, "cross_attention")(memory),
                    _own_norm(block, "cross_attention")(memory),
                    mask,
                )
            ),
            "The norm of the decoder block is put on the memory too. It is for the target only: the memory "
            "has had its norm at the end of the encoder.",
            also=[
                Assembly(
                    remember=lambda model, sums: sums[-1],
                    look=lambda block, h, memory, mask: block.cross_attention(
                        h,
                        _own_norm(block, "cross_attention")(memory),
                        _own_norm(block, "cross_attention")(memory),
                        mask,
                    ),
                ),
            ],
        ),
        Mistake(
            "memory_of_another_block",
            Assembly(memory_of=lambda i, memory, sums: sums[i + 1]),
            "Decoder block i looks at what encoder block i left. In the Transformer all decoder blocks look "
            "at the same memory, the one that the whole encoder left.",
            also=[
                Assembly(memory_of=lambda i, memory, sums: memory if i else sums[1]),
            ],
        ),
        Mistake(
            "encoder_left_out",
            Assembly(remember=lambda model, sums: sums[0]),
            "The decoder looks at the embedded source. The encoder has to come between: its blocks, and its "
            "last norm.",
            also=[
                Assembly(remember=lambda model, sums: _last_norm(model, sums[:1])),
            ],
        ),
        Mistake(
            "blocks_left_out",
            _blocks_as(lambda blocks: blocks[:1]),
            "Not all blocks are used, on one side or on both. Each block reads what the one before it left. "
            "Is everything of a block inside your loop? A slice such as [:-1] leaves the last one out.",
            also=[
                _blocks_as(lambda blocks: blocks[-1:]),
                *_blocks_on_either(lambda blocks: blocks[:1]),
                *_blocks_on_either(lambda blocks: blocks[:-1]),
                *_blocks_on_either(lambda blocks: blocks[1:]),
            ],
        ),
        Mistake(
            "one_block_again",
            _blocks_as(lambda blocks: [blocks[0]] * len(blocks)),
            "The same block is used again and again. The blocks are made alike, but each has its own "
            "weights: go through model.encoder.blocks and model.decoder.blocks.",
            also=[
                _blocks_as(lambda blocks: [blocks[-1]] * len(blocks)),
                *_blocks_on_either(lambda blocks: [blocks[0]] * len(blocks)),
            ],
        ),
        Mistake(
            "blocks_reversed",
            _blocks_as(lambda blocks: blocks[::-1]),
            "The blocks come in reverse order. The first one of the list reads the embedded tokens.",
            also=_blocks_on_either(lambda blocks: blocks[::-1]),
        ),
        Mistake(
            "no_feed_forward",
            Assembly(
                encoder_steps=("self_attention",),
                decoder_steps=("self_attention", "cross_attention"),
            ),
            "A feed-forward is missing. It is the last sub-layer of every block, in the encoder and in the "
            "decoder.",
            also=[
                Assembly(encoder_steps=("self_attention",)),
                Assembly(decoder_steps=("self_attention", "cross_attention")),
            ],
        ),
        Mistake(
            "no_cross_attention",
            Assembly(decoder_steps=("self_attention", "feed_forward")),
            "The decoder never looks at the source: its block has two sub-layers where it should have "
            "three. Between the self-attention and the feed-forward comes cross_attention.",
        ),
        Mistake(
            "no_self_attention_in_decoder",
            Assembly(decoder_steps=("cross_attention", "feed_forward")),
            "The decoder does not look at what it has written. Its first sub-layer is a self-attention, "
            "with a causal mask.",
        ),
        Mistake(
            "other_order",
            Assembly(decoder_steps=("cross_attention", "self_attention", "feed_forward")),
            "The sub-layers come in another order. A block attends first and thinks afterwards; in the "
            "decoder the self-attention comes before the attention to the source.",
            also=[
                Assembly(encoder_steps=("feed_forward", "self_attention")),
                Assembly(decoder_steps=("feed_forward", "self_attention", "cross_attention")),
                Assembly(decoder_steps=("self_attention", "feed_forward", "cross_attention")),
            ],
        ),
        Mistake(
            "no_readout",
            _read_with(lambda model, y: model.decoder.norm(y)),
            "These are the last vectors of the decoder. The readout makes a logit for every word of them.",
            also=[_read_with(lambda model, y: y)],
        ),
        Mistake(
            "read_with_the_embedding",
            _read_with(lambda model, y: model.decoder.norm(y) @ model.target_embedding.weight.T),
            "The logits are made with the table of embeddings. That is right in a model with tied tables; "
            "this one is not tied, and has a readout of its own.",
        ),
        Mistake(
            "probabilities",
            _read_with(lambda model, y: _logits(model, y).softmax(-1)),
            "There is a softmax at the end. Logits are asked for: the loss takes the softmax itself.",
            also=[_read_with(lambda model, y: _logits(model, y).log_softmax(-1))],
        ),
        Mistake(
            "best_token",
            _read_with(lambda model, y: _logits(model, y).argmax(-1)),
            "These are the best tokens. The logits of all of them are asked for, shape "
            "(batch, target, vocab).",
        ),
        Mistake(
            "last_place_only",
            _read_with(lambda model, y: _logits(model, y)[:, -1]),
            "These are the logits of the last place. All places are asked for, as in training.",
            also=[_read_with(lambda model, y: _logits(model, y)[:, -1:])],
        ),
    ],
)

EXERCISES = (LAYER_NORM, PRE_POST, TIED, DECODE, ADD_DROPPED, COUNT, SILENT, ASSEMBLY)
"""The exercises of chapter 6."""
