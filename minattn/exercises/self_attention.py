"""Checkers of chapter 4: self-attention, positions, writing on, dropped weights, and a leaking model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from statistics import NormalDist
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.alignment import masked_softmax
from minattn.exercises.core import Case, Exercise, Law, Mistake, numbers
from minattn.positions import rotary, sinusoidal

# 4.1 -------------------------------------------------------------------------------------------------


def self_attention(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """Let every token attend to all tokens of its own sequence."""
    return _attend(x @ w_q, x @ w_k, x @ w_v)


def _attend(q: Tensor, k: Tensor, v: Tensor, divide_by: float | None = None) -> Tensor:
    return _scores(q, k, divide_by).softmax(-1) @ v


def _scores(q: Tensor, k: Tensor, divide_by: float | None = None) -> Tensor:
    return q @ k.transpose(-2, -1) / (math.sqrt(k.shape[-1]) if divide_by is None else divide_by)


def _over_axis(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, axis: int) -> Tensor:
    return _scores(x @ w_q, x @ w_k).softmax(axis) @ (x @ w_v)


def _one_sequence(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    return self_attention(x.flatten(0, 1), w_q, w_k, w_v)


def _own_key(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    scores = ((x @ w_q) * (x @ w_k)).sum(-1, keepdim=True) / math.sqrt(w_k.shape[1])
    return scores.softmax(1) * (x @ w_v)


def _causal(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    triangle = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    return masked_softmax(_scores(x @ w_q, x @ w_k), triangle) @ (x @ w_v)


def _self_attention_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d_model: int, d_k: int, d_v: int) -> Case:
        shapes = (batch, seq, d_model), (d_model, d_k), (d_model, d_k), (d_model, d_v)
        return tuple(numbers(seed + i, *shape) / (1 + (i > 0)) for i, shape in enumerate(shapes))

    return [case(400, 3, 2, 4, 7, 5), case(404, 2, 5, 3, 7, 4), case(408, 1, 7, 5, 2, 3)]


def _within_values(out: Tensor, x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> bool:
    v = x @ w_v
    low, high = v.amin(1, keepdim=True), v.amax(1, keepdim=True)
    return bool(((out >= low - 1e-4) & (out <= high + 1e-4)).all())


SELF_ATTENTION = Exercise(
    number="4.1",
    title="Self-attention",
    solution=self_attention,
    cases=_self_attention_cases,
    mistakes=[
        Mistake(
            "over_the_batch",
            lambda x, w_q, w_k, w_v: self_attention(x.transpose(0, 1), w_q, w_k, w_v).transpose(
                0, 1
            ),
            "Every token attends to the tokens at its own place in the other sequences. Here the batch is "
            "the first axis; torch's own layers take the first axis for the sequence, unless "
            "batch_first=True is given. A sequence alone must give what it gives in a batch.",
            also=[
                lambda x, w_q, w_k, w_v: self_attention(x.transpose(0, 1), w_q, w_k, w_v),
            ],
        ),
        Mistake(
            "rows_mixed",
            lambda x, *w: _one_sequence(x, *w).view(*x.shape[:2], -1),
            "Batch and sequence became one long axis, so tokens attend to tokens of other sequences. A "
            "linear layer does not mind, for it treats every token by itself; attention does. Keep "
            "the batch as an axis of its own.",
            also=[_one_sequence],
        ),
        Mistake(
            "all_axes_turned",
            lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k).permute(2, 1, 0),
            "On a tensor of three axes, .T turns all of them round, and the batch ends up last. Only the "
            "last two axes, sequence and width, have to change places: transpose(-2, -1).",
            also=[
                lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k).t(),
                lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k).transpose(0, 1),
                lambda x, w_q, w_k, w_v: torch.bmm(x @ w_q, (x @ w_k).permute(2, 1, 0)),
            ],
        ),
        Mistake(
            "keys_reshaped",
            lambda x, w_q, w_k, w_v: (
                ((x @ w_q) @ _reshaped(x @ w_k) / math.sqrt(w_k.shape[1])).softmax(-1) @ (x @ w_v)
            ),
            "The keys have the right shape, but they are scrambled: view and reshape keep the numbers in "
            "their order and only break the lines elsewhere. To let two axes change places, use "
            "transpose.",
        ),
        Mistake(
            "keys_not_turned",
            lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k),
            "A matrix product does not fit. If it is that of queries and keys: the keys have to be turned "
            "first, transpose(-2, -1), so that every query meets every key. If it is a projection: the "
            "tokens stand on the left, x @ w_q.",
            also=[lambda x, w_q, w_k, w_v: w_q.T @ x],
        ),
        Mistake(
            "own_key_only",
            _own_key,
            "The product with * pairs each query with the key of its own token only. Every query has to "
            "meet every key, in a table of (seq, seq): that is a matrix product.",
            also=[
                lambda x, w_q, w_k, w_v: (
                    ((x @ w_q) * (x @ w_k)).sum(-1, keepdim=True).softmax(1) * (x @ w_v)
                ),
            ],
        ),
        Mistake(
            "weights_transposed",
            lambda x, w_q, w_k, w_v: x @ w_q.T,
            "The matrices have shape (d_model, d_k) here, so the token stands on the left: "
            "x @ w_q. F.linear and nn.Linear keep theirs the other way round, as (out, in).",
        ),
        Mistake(
            "no_scale",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, 1.0),
            "The scores are not divided by the root of d_k. Wide queries and keys then have large "
            "products, and the softmax gives nearly everything to one token.",
        ),
        Mistake(
            "scaled_by_d_model",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, math.sqrt(x.shape[-1])),
            "The scores are divided by the root of d_model, the width of a token. A score is a sum over "
            "the width of queries and keys, so that is the number that counts. Where the two differ, "
            "d_model is the wrong one.",
        ),
        Mistake(
            "scaled_by_another_size",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, math.sqrt(x.shape[1])),
            "The scores are divided by the root of another size: that of the batch (len), the number of "
            "tokens, or d_v. A score is a sum over the width of queries and keys, so that is the one "
            "that counts: k.shape[-1].",
            also=[
                lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, math.sqrt(len(x))),
                lambda x, w_q, w_k, w_v: _attend(
                    x @ w_q, x @ w_k, x @ w_v, math.sqrt(w_v.shape[1])
                ),
            ],
        ),
        Mistake(
            "no_root",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, w_k.shape[1]),
            "The scores are divided by d_k, not by its root. A sum of d_k products of independent numbers "
            "grows like the root of d_k, so this makes all scores too small, and the weights too even.",
        ),
        Mistake(
            "multiplied_by_root",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, w_k.shape[1] ** -0.5),
            "The scores are multiplied by the root of d_k instead of being divided by it. If you wrote "
            "d_k ** -0.5 below a fraction line, the minus undoes the line.",
        ),
        Mistake(
            "scaled_too_late",
            lambda x, w_q, w_k, w_v: (
                _attend(x @ w_q, x @ w_k, x @ w_v, 1.0) / math.sqrt(w_k.shape[1])
            ),
            "The root of d_k divides the weights, not the scores. After the softmax it only makes the "
            "output smaller, and the weights of a token no longer sum to 1. In Python, a division "
            "after softmax(...) comes after the softmax.",
        ),
        Mistake(
            "over_queries",
            partial(_over_axis, axis=1),
            "The softmax runs over the queries, so here the tokens that ask compete with each other. Each "
            "token that asks shares out a weight of 1 among the tokens it looks at: the last axis.",
        ),
        Mistake(
            "softmax_over_batch",
            partial(_over_axis, axis=0),
            "The softmax runs over the batch, so sequences compete with each other. F.softmax does this to "
            "a tensor of three axes if no dim is given. The keys are the last axis.",
        ),
        Mistake(
            "over_queries_and_keys",
            lambda x, w_q, w_k, w_v: (
                _scores(x @ w_q, x @ w_k).flatten(1).softmax(-1).view(len(x), x.shape[1], -1)
                @ (x @ w_v)
            ),
            "All weights of a sequence sum to 1 together, so a token gets less in a longer sequence. Each "
            "token has a weight of 1 of its own to share out.",
        ),
        Mistake(
            "no_softmax",
            lambda x, w_q, w_k, w_v: _scores(x @ w_q, x @ w_k) @ (x @ w_v),
            "The scores themselves mix the values, without a softmax. Scores may be negative and sum to "
            "anything, so the result is no average.",
        ),
        Mistake(
            "values_not_projected",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x),
            "The weights average the tokens as they came in. What a token hands over is its value, "
            "x @ w_v, which is not the token itself.",
        ),
        Mistake(
            "keys_averaged",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_k),
            "The weights average the keys, or the queries. Those only say what a token can be found by, and "
            "what it looks for; what it hands over is its value.",
            also=[lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_q)],
        ),
        Mistake(
            "queries_are_keys",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_q, x @ w_v),
            "Queries and keys come from the same matrix. Then i scores j exactly as j scores i, and no "
            "token can look at the one before it without being looked at in return. They come from "
            "one sequence, but by two matrices.",
            also=[lambda x, w_q, w_k, w_v: _attend(x @ w_k, x @ w_k, x @ w_v)],
        ),
        Mistake(
            "not_projected",
            lambda x, w_q, w_k, w_v: _attend(x, x, x @ w_v),
            "The scores compare the tokens themselves. Then a token mostly finds itself and those like "
            "it. Project once to ask (w_q) and once to be found (w_k).",
            also=[
                lambda x, w_q, w_k, w_v: _attend(x, x, x),
                lambda x, w_q, w_k, w_v: _attend(x, x, x, 1.0),
                lambda x, w_q, w_k, w_v: _attend(x, x, x @ w_v, math.sqrt(w_k.shape[1])),
            ],
        ),
        Mistake(
            "roles_swapped",
            lambda x, w_q, w_k, w_v: _attend(x @ w_k, x @ w_q, x @ w_v),
            "The keys ask and the queries answer: w_q and w_k have changed places, or the table of scores "
            "is turned. Training could learn it this way round too, but with these matrices it is "
            "another result. A row of scores belongs to one query.",
        ),
        Mistake(
            "weights_turned",
            lambda x, w_q, w_k, w_v: (
                _scores(x @ w_q, x @ w_k).softmax(-1).transpose(1, 2) @ (x @ w_v)
            ),
            "The weights are right, but they are turned before they meet the values. Then a token collects "
            "from those that look at it, and its weights sum to anything. A row of weights belongs to the "
            "token that asks.",
        ),
        Mistake(
            "causal",
            _causal,
            "No token looks at those after it: there is a causal mask. That is what a language model "
            "needs. Here every token may look at all tokens of its sequence.",
        ),
        Mistake(
            "weights_returned",
            lambda x, w_q, w_k, w_v: _scores(x @ w_q, x @ w_k).softmax(-1),
            "These are the weights, and they are right. The output is the average of the values that they "
            "make.",
        ),
    ],
    laws=[
        Law("an output lies between the values of its own sequence", _within_values),
    ],
)


def _reshaped(k: Tensor) -> Tensor:
    return k.reshape(k.shape[0], k.shape[2], k.shape[1])


# 4.2 -------------------------------------------------------------------------------------------------


def positions(n: int, d: int) -> Tensor:
    """Give every position a vector of sines and cosines."""
    return sinusoidal(n, d)


def _exponents(d: int) -> Tensor:
    return torch.arange(0, d, 2, dtype=torch.float64) / d


def _angles(n: int, exponents: Tensor, start: int = 0, base: float = 10_000.0) -> Tensor:
    return torch.arange(start, start + n)[:, None] * base**-exponents


def _interleave(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack([first, second], dim=-1).flatten(-2)


def _waves(angles: Tensor, cosine_angles: Tensor | None = None) -> Tensor:
    return _interleave(angles.sin(), (angles if cosine_angles is None else cosine_angles).cos())


def _side_by_side(angles: Tensor) -> Tensor:
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _overlapping_waves(n: int, d: int) -> Tensor:
    angles, out = _angles(n, _exponents(d)), torch.zeros(n, d, dtype=torch.float64)
    for i in range(d // 2):
        out[:, i], out[:, i + 1] = angles[:, i].sin(), angles[:, i].cos()
    return out


def _one_turn_a_step(out: Tensor, n: int, d: int) -> bool:
    pairs = torch.view_as_complex(torch.as_tensor(out).double().view(n, d // 2, 2).contiguous())
    steps = pairs[1:] * pairs[:-1].conj()
    return torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-3)


POSITIONS = Exercise(
    number="4.2",
    title="Sinusoidal positions",
    solution=positions,
    cases=lambda: [(3, 4), (5, 6), (7, 10)],
    tolerance=1e-3,  # angles in single precision, if somebody makes them large
    mistakes=[
        Mistake(
            "exponent_doubled",
            lambda n, d: _waves(_angles(n, 2 * _exponents(d))),
            "The exponent is doubled: the slow half of the waves hardly moves. In the formula i counts "
            "pairs, and 2i is the number of the even feature. If your i already goes 0, 2, 4 and so on, "
            "it is the 2i of the formula.",
            also=[
                lambda n, d: _waves(
                    _angles(n, 2 * _exponents(d)), _angles(n, 2 * _exponents(d) + 2 / d)
                ),
            ],
        ),
        Mistake(
            "exponent_not_doubled",
            lambda n, d: _waves(_angles(n, _exponents(d) / 2)),
            "The exponent is i/d where i counts pairs; it should be 2i/d. With yours the slowest wave is "
            "only about a hundred times as long as the fastest, not nearly ten thousand times.",
        ),
        Mistake(
            "cosine_shifted",
            lambda n, d: _waves(_angles(n, _exponents(d)), _angles(n, _exponents(d) + 1 / d)),
            "The sines are right, but each cosine has a frequency of its own. The two features of a pair "
            "share one, 2i for both, or else moving on by k positions is no turn of the pair. Watch the "
            "exponent in the odd features.",
            also=[
                lambda n, d: _waves(_angles(n, _exponents(d)), _angles(n, _exponents(d) + 2 / d)),
            ],
        ),
        Mistake(
            "halves",
            lambda n, d: _side_by_side(_angles(n, _exponents(d))),
            "First all sines, then all cosines. Many programs do it so, and a model would not mind; but "
            "the formula, and whoever wants to use your vectors with other code, has them in turn: sine "
            "in feature 0, its cosine in feature 1.",
            also=[lambda n, d: _side_by_side(_angles(n, torch.linspace(0, 1, d // 2)))],
        ),
        Mistake(
            "swapped",
            lambda n, d: _interleave(
                _angles(n, _exponents(d)).cos(), _angles(n, _exponents(d)).sin()
            ),
            "Sine and cosine have changed places. Even features have the sine, and feature 0 is even. "
            "Position 0 should be 0, 1, 0, 1 and so on.",
        ),
        Mistake(
            "from_one",
            lambda n, d: _waves(_angles(n, _exponents(d), start=1)),
            "Your first position is 1. Positions start at 0, and the vector of position 0 is 0, 1, 0, 1 "
            "and so on.",
        ),
        Mistake(
            "multiplied",
            lambda n, d: _waves(_angles(n, -_exponents(d))),
            "The position is multiplied by 10000 ** (2i/d) where it should be divided. Your waves get "
            "faster from pair to pair, and between two positions the last one goes round many times. A "
            "minus in the exponent is lost.",
        ),
        Mistake(
            "log_missing",
            lambda n, d: _waves(_angles(n, _exponents(d) * 10_000, base=math.e)),
            "exp(-10000 * 2i/d) is 0 for all pairs but the first. A power becomes an exponential by the "
            "logarithm of its base: 10000 ** a is exp(a * log(10000)).",
            also=[lambda n, d: _waves(_angles(n, _exponents(d), base=math.e))],
        ),
        Mistake(
            "brackets",
            lambda n, d: _waves(0 * _angles(n, _exponents(d))),
            "All your angles are close to 0. In Python 10000 ** 2 * i / d is (10000 ** 2) * i / d, and "
            "t / 10000 * a is (t / 10000) * a. The exponent needs brackets, and it comes after two stars.",
        ),
        Mistake(
            "i_from_one",
            lambda n, d: _waves(_angles(n, _exponents(d) + 2 / d)),
            "The fastest pair is missing: your i starts at 1. With i = 0 the frequency is 1, and feature 0 "
            "is the sine of the position itself.",
        ),
        Mistake(
            "no_table",
            lambda n, d: torch.arange(n) * _exponents(d),
            "The shapes do not meet: (n,) and (d / 2,) are paired one to one. Every position has to meet "
            "every frequency. Give the positions a second axis: what is the shape of t[:, None]?",
            also=[lambda n, d: _exponents(d) * torch.arange(n)],
        ),
        Mistake(
            "pairs_overlap",
            _overlapping_waves,
            "Pair i is written to the features i and i + 1, so each pair overwrites half of the one before "
            "it. With i counting pairs, its features are 2i and 2i + 1.",
        ),
        Mistake(
            "other_base",
            lambda n, d: _waves(_angles(n, _exponents(d), base=1_000.0)),
            "All is right but the base, which should be 10000. Count the zeros.",
            also=[
                lambda n, d: _waves(_angles(n, _exponents(d), base=100_000.0)),
            ],
        ),
        Mistake(
            "degrees",
            lambda n, d: _waves(torch.deg2rad(_angles(n, _exponents(d)))),
            "The angles were taken for degrees. sin and cos of torch and NumPy want radians, and so does "
            "the formula.",
        ),
        Mistake(
            "two_pi",
            lambda n, d: _waves(2 * math.pi * _angles(n, _exponents(d))),
            "There is a factor of 2 pi that the formula does not have. With it the first pair goes round "
            "exactly once a step, and is the same at every position.",
        ),
        Mistake(
            "sines_only",
            lambda n, d: _angles(n, _exponents(d)).sin().repeat_interleave(2, dim=1),
            "Both features of a pair have the same wave. One should be the sine and the other the cosine: "
            "a sine alone does not tell an angle from its mirror image.",
            also=[lambda n, d: _angles(n, _exponents(d)).cos().repeat_interleave(2, dim=1)],
        ),
        Mistake(
            "one_frequency",
            lambda n, d: _waves(_angles(n, 0 * _exponents(d))),
            "All pairs turn at the same speed, so all but one are of no use. Each pair has a frequency of "
            "its own. If you wrote // for the division, the exponent is always 0.",
        ),
        Mistake(
            "divided_by_length",
            lambda n, d: _waves(_angles(n, _exponents(d)) / n),
            "The positions are divided by the length. The fifth token then has another vector in every "
            "sentence of another length, and a step is not always the same turn. Use 0, 1, 2 as they are.",
            also=[lambda n, d: _waves(_angles(n, _exponents(d)) / (n - 1))],
        ),
        Mistake(
            "transposed",
            lambda n, d: sinusoidal(n, d).T,
            "Your result is (d, n), with a column for each position. It should have a row for each "
            "position, as x has a row for each token.",
        ),
    ],
    laws=[
        Law(
            "position 0 is 0, 1, 0, 1 and so on",
            lambda out, n, d: torch.allclose(
                torch.as_tensor(out[0]).double(), torch.tensor([0.0, 1.0]).double().repeat(d // 2)
            ),
        ),
        Law("with every step a pair turns by the same angle", _one_turn_a_step),
    ],
)

# 4.3 -------------------------------------------------------------------------------------------------


def rotate(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Turn each pair of neighbouring features by an angle that grows with the position."""
    return rotary(x, base=base)


def _rotary_angles(x: Tensor, base: float, start: int = 0, stretch: float = 1.0) -> Tensor:
    seq, d = x.shape
    return _angles(seq, stretch * _exponents(d), start, base).to(x.dtype)


def _turn(x: Tensor, angles: Tensor) -> Tensor:
    """Turn neighbours by angles of shape (seq or 1, d / 2 or 1)."""
    even, odd = x[:, 0::2], x[:, 1::2]
    cos, sin = angles.cos(), angles.sin()
    return _interleave(even * cos - odd * sin, even * sin + odd * cos)


def _turned_as_halves(x: Tensor, angles: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=1)


def _quarter(x: Tensor) -> Tensor:
    """Turn neighbours by a right angle."""
    return _interleave(-x[:, 1::2], x[:, 0::2])


def _quarter_of_halves(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return torch.cat([-second, first], dim=1)


def _two_layouts(x: Tensor, base: float, halves_turn: bool) -> Tensor:
    angles = _rotary_angles(x, base)
    wide = angles.repeat_interleave(2, 1) if halves_turn else angles.repeat(1, 2)
    return x * wide.cos() + (_quarter_of_halves(x) if halves_turn else _quarter(x)) * wide.sin()


def _overwritten(x: Tensor, base: float) -> Tensor:
    cos, sin = _rotary_angles(x, base).cos(), _rotary_angles(x, base).sin()
    even = x[:, 0::2] * cos - x[:, 1::2] * sin
    return _interleave(even, even * sin + x[:, 1::2] * cos)


def _not_interleaved(x: Tensor, base: float) -> Tensor:
    turned = rotate(x, base)
    return torch.cat([turned[:, 0::2], turned[:, 1::2]], dim=1)


def _halves_to_neighbours(x: Tensor, base: float) -> Tensor:
    return _interleave(*_turned_as_halves(x, _rotary_angles(x, base)).chunk(2, dim=1))


def _overlapping_pairs(x: Tensor, base: float) -> Tensor:
    out, angles = x.clone(), _rotary_angles(x, base)
    for i in range(x.shape[1] // 2):
        cos, sin = angles[:, i].cos(), angles[:, i].sin()
        out[:, i] = x[:, i] * cos - x[:, i + 1] * sin
        out[:, i + 1] = x[:, i] * sin + x[:, i + 1] * cos
    return out


def _signs(x: Tensor, base: float, first: int, second: int) -> Tensor:
    cos, sin = _rotary_angles(x, base).cos(), _rotary_angles(x, base).sin()
    even, odd = x[:, 0::2], x[:, 1::2]
    return _interleave(even * cos + first * odd * sin, second * even * sin + odd * cos)


def _own_angles(x: Tensor, base: float) -> Tensor:
    seq, d = x.shape
    angles = _angles(seq, torch.arange(d) / d, base=base).to(x.dtype)
    return x * angles.cos() + _quarter(x) * angles.sin()


ROTARY = Exercise(
    number="4.3",
    title="Rotary positions",
    solution=rotate,
    cases=lambda: [
        (numbers(430, 3, 4), 10_000.0),
        (numbers(431, 5, 6), 100.0),
        (numbers(432, 7, 10), 50.0),
    ],
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "backwards",
            lambda x, b: _turn(x, -_rotary_angles(x, b)),
            "You turn the other way. If queries and keys are both turned backwards, every score stays "
            "right, so no model would complain; it is not what the formula says, and mixing it with "
            "vectors turned forwards goes wrong. Look at which of the two sines has the minus.",
        ),
        Mistake(
            "halves_paired",
            lambda x, b: _turned_as_halves(x, _rotary_angles(x, b)),
            "You pair feature i with feature i + d/2, as many libraries do. It is a rotation too, and "
            "trains as well, but weights made for one pairing are wrong for the other. Here neighbours "
            "are paired: 0 and 1, 2 and 3.",
        ),
        Mistake(
            "two_layouts",
            partial(_two_layouts, halves_turn=True),
            "Two ways to pair features are mixed. One part of your code pairs i with i + d/2, the other "
            "one neighbours, so a cosine and a sine meet that do not belong together. That is no "
            "rotation: look at the lengths of the vectors.",
            also=[partial(_two_layouts, halves_turn=False)],
        ),
        Mistake(
            "not_put_back",
            _not_interleaved,
            "Every pair is turned, but its features are not put back where they came from: neighbours are "
            "taken and halves are written, or the other way round. Use the same places on both sides, "
            "such as [:, 0::2] and [:, 1::2].",
            also=[_halves_to_neighbours],
        ),
        Mistake(
            "pairs_overlap",
            _overlapping_pairs,
            "Pair i is taken from the features i and i + 1, so the pairs overlap. With i counting pairs, its "
            "features are 2i and 2i + 1.",
        ),
        Mistake(
            "no_table",
            lambda x, b: torch.arange(len(x)) * _exponents(x.shape[1]),
            "The shapes do not meet: (seq,) and (d / 2,) are paired one to one. Every position has to meet "
            "every frequency. Give the positions a second axis: what is the shape of t[:, None]?",
            also=[lambda x, b: _exponents(x.shape[1]) * torch.arange(len(x))],
        ),
        Mistake(
            "overwritten",
            _overwritten,
            "The second feature of a pair is computed from the first one after it was turned. If you write "
            "into x, or into a slice of it, the old numbers are gone. Compute both from the old "
            "pair.",
        ),
        Mistake(
            "one_angle",
            lambda x, b: _turn(x, _angles(len(x), torch.zeros(1))),
            "All pairs are turned by the same angle. A score then tells distances apart only up to a full "
            "turn, six steps or so. Each pair has a frequency of its own.",
        ),
        Mistake(
            "position_ignored",
            lambda x, b: _turn(x, _rotary_angles(x[:1], b, start=1)),
            "Every token is turned by the same angles, wherever it stands. That leaves all scores as they "
            "were, and no place is told. The angle is the position times the frequency.",
            also=[
                lambda x, b: x,
                lambda x, b: _turn(x, len(x) * _rotary_angles(x[:1], b, start=1)),
            ],
        ),
        Mistake(
            "from_one",
            lambda x, b: _turn(x, _rotary_angles(x, b, start=1)),
            "Your first token stands at position 1. Distances and scores stay right, but the result is not "
            "the one asked for: positions start at 0, and the first token is not turned at all.",
        ),
        Mistake(
            "added",
            lambda x, b: x + _waves(_rotary_angles(x, b)),
            "Sines and cosines are added to x. That is the sinusoidal way of exercise 4.2, and changes the "
            "lengths of the vectors. Here x is turned: its pairs are multiplied by a rotation "
            "matrix.",
            also=[
                lambda x, b: x + _rotary_angles(x, b).repeat_interleave(2, 1),
                lambda x, b: x + _rotary_angles(x, b).sin().repeat_interleave(2, 1),
                lambda x, b: x + _side_by_side(_rotary_angles(x, b)),
            ],
        ),
        Mistake(
            "multiplied_only",
            lambda x, b: x * _rotary_angles(x, b).cos().repeat_interleave(2, 1),
            "Each feature is only multiplied by a number. In a turn the two features of a pair mix: a part "
            "of each goes over into the other. Write down the product of the two-by-two matrix with "
            "a pair.",
            also=[lambda x, b: x * _waves(_rotary_angles(x, b))],
        ),
        Mistake(
            "no_minus",
            partial(_signs, first=1, second=1),
            "Both sines have the same sign, and that matrix is no rotation: it makes vectors longer or "
            "shorter. One of the two needs a minus, the one in the first feature of the pair.",
            also=[partial(_signs, first=-1, second=-1)],
        ),
        Mistake(
            "own_angles",
            _own_angles,
            "The two features of a pair have different angles, so the pair is not turned but bent. They "
            "share the frequency of their pair.",
        ),
        Mistake(
            "exponent_doubled",
            lambda x, b: _turn(x, _rotary_angles(x, b, stretch=2.0)),
            "The exponent is doubled. In the formula i counts pairs; if your i goes 0, 2, 4 and so on, it "
            "is the 2i of the formula already.",
        ),
        Mistake(
            "exponent_not_doubled",
            lambda x, b: _turn(x, _rotary_angles(x, b, stretch=0.5)),
            "The exponent is i/d where i counts pairs; it should be 2i/d. Your slow pairs turn too fast.",
        ),
        Mistake(
            "multiplied_by_power",
            lambda x, b: _turn(x, _rotary_angles(x, b, stretch=-1.0)),
            "The position is multiplied by base ** (2i/d) where it should be divided. Your pairs turn "
            "faster and faster instead of slower and slower: a minus in the exponent is lost.",
        ),
        Mistake(
            "base_ignored",
            lambda x, b: rotate(x),
            "All is right if the base is 10000, but another base changes nothing. Use the argument, not "
            "the number.",
        ),
    ],
    laws=[
        Law(
            "turning keeps the length of every vector",
            lambda out, x, b: torch.allclose(out.norm(dim=-1), x.norm(dim=-1), atol=1e-3),
        ),
        Law(
            "the first token stands at position 0 and is not turned",
            lambda out, x, b: torch.allclose(out[0], x[0], atol=1e-3),
        ),
    ],
)

# 4.4 -------------------------------------------------------------------------------------------------


def joined(x: Tensor, p: Tensor, w: Tensor) -> Tensor:
    """Return what a Linear gives that reads token and position side by side."""
    d_x = x.shape[-1]
    return x @ w[:, :d_x].T + p @ w[:, d_x:].T


def _two_parts(x: Tensor, p: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    d_x = x.shape[-1]
    return x @ w[:, :d_x].T, p @ w[:, d_x:].T


def _parts_side_by_side(x: Tensor, p: Tensor, w: Tensor) -> Tensor:
    of_x, of_p = _two_parts(x, p, w)
    return torch.cat([of_x, of_p.expand_as(of_x)], dim=-1)


def _joined_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d_x: int, d_p: int, d_out: int) -> Case:
        return (
            numbers(seed, batch, seq, d_x),
            numbers(seed + 1, seq, d_p),
            numbers(seed + 2, d_out, d_x + d_p),
        )

    return [case(440, 2, 3, 4, 6, 5), case(443, 3, 5, 2, 7, 4), case(446, 5, 2, 7, 3, 11)]


JOINED = Exercise(
    number="4.4",
    title="Added or concatenated",
    solution=joined,
    cases=_joined_cases,
    mistakes=[
        Mistake(
            "halves_swapped",
            lambda x, p, w: x @ w[:, p.shape[-1] :].T + p @ w[:, : p.shape[-1]].T,
            "The blocks have changed places: yours is the layer that reads [p, x]. The token comes first, "
            "so the first d_x columns of w are its own.",
        ),
        Mistake(
            "rows_split",
            lambda x, p, w: x @ w[: x.shape[-1]].T + p @ w[x.shape[-1] :].T,
            "You split the rows of w, which are the outputs. Each output reads the whole of [x, p], so it "
            "is the columns that belong to x or to p: w[:, :d_x] and w[:, d_x:].",
            also=[
                lambda x, p, w: x @ w[: x.shape[-1]],
                lambda x, p, w: x @ w.chunk(2, dim=0)[0].T,
                lambda x, p, w: w.split([x.shape[-1], p.shape[-1]]),
            ],
        ),
        Mistake(
            "split_in_the_middle",
            lambda x, p, w: x @ w.chunk(2, dim=1)[0].T,
            "You split w in the middle. The token has d_x columns and the position d_p, and these need not "
            "be equal: x.shape[-1] says where to cut.",
            also=[
                lambda x, p, w: x @ w[:, : w.shape[1] // 2].T,
                lambda x, p, w: F.linear(x, w[:, : w.shape[1] // 2]),
            ],
        ),
        Mistake(
            "cut_at_another_size",
            lambda x, p, w: x @ w[:, : x.shape[1]].T,
            "You cut w after as many columns as there are tokens, or sequences. It is the width of a token, "
            "d_x, that says where: the last axis of x.",
            also=[lambda x, p, w: x @ w[:, : len(x)].T],
        ),
        Mistake(
            "not_transposed",
            lambda x, p, w: x @ w[:, : x.shape[-1]],
            "w has a row for each output, as in nn.Linear, so its blocks are (d_out, d_x) and "
            "(d_out, d_p). A row of x has to meet a row of w: transpose the block.",
            also=[
                lambda x, p, w: w[:, : x.shape[-1]] @ x,
            ],
        ),
        Mistake(
            "one_product",
            lambda x, p, w: x @ w.T,
            "x has d_x features and w has d_x + d_p columns, so they cannot be multiplied. Give x only its "
            "own columns of w.",
            also=[
                lambda x, p, w: F.linear(x, w),
                lambda x, p, w: x @ w,
                lambda x, p, w: w @ x,
            ],
        ),
        Mistake(
            "added_first",
            lambda x, p, w: x + p,
            "x and p are added before they are projected. They have different widths, so they do not even "
            "fit. Project each by its own block of w first; then both have d_out features.",
        ),
        Mistake(
            "concatenated",
            lambda x, p, w: torch.cat([x, p], dim=-1),
            "cat wants the same axes in both, and p has no batch. One could expand p; but the point is to "
            "do without joining them. Which columns of w meet x, and which meet p?",
            also=[lambda x, p, w: torch.cat([x, p[None]], dim=-1)],
        ),
        Mistake(
            "results_concatenated",
            _parts_side_by_side,
            "Both products are right, but they are put side by side, and the result is twice as wide. A "
            "dot product with [x, p] is a sum over the features of x and of p: the two parts are "
            "added.",
        ),
        Mistake(
            "parts_multiplied",
            lambda x, p, w: _two_parts(x, p, w)[0] * _two_parts(x, p, w)[1],
            "Both products are right, but then they are multiplied. A dot product with [x, p] is a sum "
            "over the features of x and of p: the two parts are added.",
        ),
        Mistake(
            "position_left_out",
            lambda x, p, w: _two_parts(x, p, w)[0],
            "The position plays no part. The last d_p columns of w read it.",
        ),
        Mistake(
            "position_by_sequence",
            lambda x, p, w: _two_parts(x, p, w)[0] + _two_parts(x, p, w)[1][:, None],
            "The new axis of p stands at the wrong place: a row of p belongs to a token, and is the same "
            "for every sequence of the batch. Broadcasting puts a missing axis in front by itself.",
            also=[
                lambda x, p, w: torch.stack([joined(x[i], p[i], w) for i in range(len(x))]),
            ],
        ),
        Mistake(
            "averaged",
            lambda x, p, w: joined(x, p, w) / 2,
            "The two parts are averaged. A dot product with [x, p] is their sum.",
        ),
    ],
)

# 4.5 -------------------------------------------------------------------------------------------------


def _check_ids(ids: Any, vocab_size: int) -> None:
    """Reject what is no batch of ids; the text is always the same, so that the mistake can be named."""
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.is_floating_point():
        raise ValueError("ids must be a tensor of whole numbers of shape (batch, seq)")
    if not bool(((ids >= 0) & (ids < vocab_size)).all()):
        raise ValueError("ids must be from 0 to vocab_size - 1")


class ToyLanguageModel:
    """A causal language model whose guess depends on every token so far, and on their order.

    Args:
        seed: of the table that its logits come from.
        vocab_size: how many different tokens.
    """

    n_states = 97
    patience = 100

    def __init__(self, seed: int, vocab_size: int) -> None:
        # Steps of a thousandth keep two logits from being the same.
        self.table = numbers(seed, self.n_states, vocab_size) + 1e-3 * torch.arange(vocab_size)
        self.n_calls = 0

    def __repr__(self) -> str:
        return f"a causal model of {self.table.shape[1]} tokens"

    def __call__(self, ids: Any) -> Tensor:
        """Return logits of shape (batch, seq, vocab)."""
        self.n_calls += 1
        if self.n_calls > self.patience:
            raise RuntimeError(f"the model was called more than {self.patience} times")
        _check_ids(ids, self.table.shape[1])
        state, states = torch.zeros(len(ids), dtype=torch.long), []
        for token in ids.T:
            state = (state * 5 + token * 7 + 3) % self.n_states
            states.append(state)
        return self.table[torch.stack(states, dim=1)] if states else self.table[ids]


LogitsOf = Callable[[Tensor], Tensor]


def continue_greedily(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    """Write on, taking the likeliest token every time."""
    return _write(logits_of, ids, n_new)


def _last(logits: Tensor) -> Tensor:
    return logits[:, -1:].argmax(-1)


def _write(
    logits_of: LogitsOf,
    ids: Tensor,
    n_new: int,
    choose: Callable[[Tensor], Tensor] = _last,
    seen: Callable[[Tensor, int], Tensor] = lambda ids, n_prompt: ids,
) -> Tensor:
    n_prompt = ids.shape[1]
    for _ in range(n_new):
        ids = torch.cat([ids, choose(logits_of(seen(ids, n_prompt)))], dim=1)
    return ids


def _prompt_then_one(ids: Tensor, n_prompt: int) -> Tensor:
    return ids if ids.shape[1] == n_prompt else ids[:, -1:]


def _all_at_once(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    return torch.cat([ids, logits_of(ids).argmax(-1)[:, -n_new:]], dim=1)


def _prompt_replaced(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids[:, :1], logits_of(ids).argmax(-1)], dim=1)
    return ids


def _in_table(
    logits_of: LogitsOf, ids: Tensor, n_new: int, read: Callable[[Tensor, int], Tensor]
) -> Tensor:
    table = F.pad(ids, (0, n_new))
    for place in range(ids.shape[1], table.shape[1]):
        table[:, place] = read(logits_of(table), place).argmax(-1)
    return table


def _rolled(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids[:, 1:], _last(logits_of(ids))], dim=1)
    return ids


def _stacked(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids, _last(logits_of(ids))], dim=0)
    return ids


def _until(logits_of: LogitsOf, ids: Tensor, n_new: int, end: int) -> Tensor:
    n_prompt = ids.shape[1]
    while ids.shape[1] < n_prompt + n_new:
        ids = torch.cat([ids, _last(logits_of(ids))], dim=1)
        if int(ids[0, -1]) == end:
            break
    return ids


def _writing_cases() -> list[Case]:
    return [  # the first three say 2, which is no end here, before they have finished
        (ToyLanguageModel(494, 7), torch.tensor([[3, 5, 4]]), 2),
        (ToyLanguageModel(452, 11), torch.tensor([[8, 3]]), 5),
        (ToyLanguageModel(482, 5), torch.tensor([[4]]), 3),
        (ToyLanguageModel(450, 13), torch.tensor([[7, 12, 3, 9, 3]]), 1),
    ]


WRITING = Exercise(
    number="4.5",
    title="Write on",
    solution=continue_greedily,
    cases=_writing_cases,
    mistakes=[
        Mistake(
            "first_position",
            partial(_write, choose=lambda logits: logits[:, :1].argmax(-1)),
            "You read the logits of the first position. They guess the second token, which is already "
            "there, and stay the same however long the text gets. The guess for what comes next stands "
            "at the last position.",
        ),
        Mistake(
            "one_before_last",
            partial(_write, choose=lambda logits: logits[:, -2, None].argmax(-1)),
            "You read the last position but one, or hold the last token back. That guess is about the token "
            "which already stands at the end. The shift was made in training: position t guesses token "
            "t + 1, so the last one is what you want.",
            also=[partial(_write, choose=lambda logits: logits[:, -2:-1].argmax(-1))],
        ),
        Mistake(
            "empty_place_read",
            partial(_in_table, read=lambda logits, place: logits[:, place]),
            "You have made room for the new tokens, and read the logits at an empty place. They guess what "
            "comes after a token that has not been written yet. The guess for place i stands at place "
            "i - 1.",
            also=[partial(_in_table, read=lambda logits, place: logits[:, -1])],
        ),
        Mistake(
            "over_positions",
            partial(_write, choose=lambda logits: logits.argmax(1)[:, -1:]),
            "The argmax runs over the positions: it says where a token got its largest logit. You want to "
            "know which token has the largest logit at the last position, so the vocabulary is the axis.",
        ),
        Mistake(
            "over_everything",
            partial(_write, choose=lambda logits: logits.argmax().view(1, 1)),
            "argmax without an axis counts through positions and vocabulary in one go, so it may give a "
            "number that is no token at all. Take the last position first, then the argmax over the "
            "vocabulary.",
        ),
        Mistake(
            "prefix_forgotten",
            partial(_write, seen=lambda ids, n_prompt: ids[:, -1:]),
            "The model gets only the newest token. It has no memory but the ids you give it: a recurrent "
            "network carries a state along, attention looks at the tokens themselves. Give it the whole "
            "text every time.",
            also=[partial(_write, seen=_prompt_then_one)],
        ),
        Mistake(
            "not_fed_back",
            partial(_write, seen=lambda ids, n_prompt: ids[:, :n_prompt]),
            "Each new token is guessed from the prompt alone, so it is the same token again and again. "
            "Either the model is not asked anew, or it is not given what was written, or you always "
            "read the position where the prompt ended.",
        ),
        Mistake(
            "all_guesses_appended",
            partial(_write, choose=lambda logits: logits.argmax(-1)),
            "The guesses of all positions are appended, one for each token of the text. All but the last "
            "guess tokens that are already there. Only the last position says something new.",
            also=[_all_at_once],
        ),
        Mistake(
            "prompt_replaced",
            _prompt_replaced,
            "The prompt has become what the model would have said in its place. The guesses of the earlier "
            "positions are not part of the text. Keep the ids and append one token.",
        ),
        Mistake(
            "window_rolled",
            _rolled,
            "For each new token you drop the first one, so the text keeps its length. That is done when a "
            "model can read only so many tokens; here all of them should stay.",
        ),
        Mistake(
            "nothing_appended",
            lambda logits_of, ids, n: ids,
            "The text comes back as it was. Is the result of cat kept? It returns a new tensor and leaves "
            "the old one alone.",
        ),
        Mistake(
            "appended_once",
            lambda logits_of, ids, n: _write(logits_of, ids, 1),
            "One new token comes back, however many are asked for. Is the appending inside the loop, and the "
            "return after it?",
        ),
        Mistake(
            "one_too_few",
            lambda logits_of, ids, n: _write(logits_of, ids, n - 1),
            "One token is missing at the end. Count what your loop does: range(1, n_new) runs n_new - 1 "
            "times.",
        ),
        Mistake(
            "one_too_many",
            lambda logits_of, ids, n: _write(logits_of, ids, n + 1),
            "There is one token too many at the end. Count what your loop does: range(n_new + 1), or "
            "a comparison with <= where < is meant, runs once too often.",
        ),
        Mistake(
            "prompt_counted",
            lambda logits_of, ids, n: _write(logits_of, ids, max(0, n - ids.shape[1])),
            "You stop when the whole text has n_new tokens. n_new counts the new ones, which come after "
            "the prompt.",
        ),
        Mistake(
            "prompt_lost",
            lambda logits_of, ids, n: _write(logits_of, ids, n)[:, ids.shape[1] :],
            "The new tokens are right, but the prompt is missing in front of them. The result is the whole "
            "text, shape (1, t + n_new).",
        ),
        Mistake(
            "one_axis",
            lambda logits_of, ids, n: _write(logits_of, ids, n)[0],
            "The tokens are right, but the batch axis is lost. The result has shape (1, t + n_new), as a "
            "model wants it.",
        ),
        Mistake(
            "stops_early",
            partial(_until, end=2),
            "It stops at token 2. In chapter 1 that was EOS; this model has no such token, and n_new tokens "
            "are asked for, whatever they are.",
        ),
        Mistake(
            "least_likely",
            partial(_write, choose=lambda logits: logits[:, -1:].argmin(-1)),
            "This takes the token with the smallest logit. The likeliest one has the largest.",
        ),
        Mistake(
            "sampled",
            partial(_write, choose=lambda logits: torch.multinomial(logits[:, -1].softmax(-1), 1)),
            "You draw the token by chance, in proportion to its probability. That is another way of "
            "writing, and gives another text each time. Here the likeliest token is asked for.",
        ),
        Mistake(
            "logit_taken_for_token",
            partial(_write, choose=lambda logits: logits[:, -1:].max(-1).values),
            "You append the largest logit, which is a number with a fraction. A token is the place of that "
            "logit in the vocabulary: argmax, or the indices that max returns beside the values.",
            also=[
                lambda logits_of, ids, n: torch.cat([ids, logits_of(ids)[:, -1:].max(-1)], dim=1)
            ],
        ),
        Mistake(
            "below_each_other",
            _stacked,
            "The new token is put below the text, as if it were another sequence of the batch. It belongs "
            "beside the last token: join along axis 1.",
        ),
        Mistake(
            "not_two_axes",
            lambda logits_of, ids, n: logits_of(ids[0]),
            "The model was given something that is no tensor of ids of shape (batch, seq). Keep the batch "
            "axis, though there is only one sequence: ids[:, -1:] keeps an axis that ids[:, -1] drops, "
            "and argmax has keepdim.",
        ),
        Mistake(
            "axes_do_not_meet",
            lambda logits_of, ids, n: torch.cat([ids, _last(logits_of(ids))[:, 0]], dim=1),
            "ids has shape (1, t), and the new token has one axis too few to stand beside it. Give it the "
            "shape (1, 1): argmax has keepdim, and a slice -1: keeps its axis.",
            also=[
                lambda logits_of, ids, n: torch.cat([ids, _last(logits_of(ids))[0, 0]], dim=1),
            ],
        ),
    ],
    laws=[
        Law(
            "the text begins with the prompt",
            lambda out, logits_of, ids, n: torch.equal(out[:, : ids.shape[1]], ids),
        ),
    ],
)

# 4.6 -------------------------------------------------------------------------------------------------


def drop(weights: Tensor, keep: Tensor, p: float) -> Tensor:
    """Drop weights as dropout does in training: scale up what stays."""
    return weights * keep / (1 - p)


def _renormalised(weights: Tensor, keep: Tensor, epsilon: float = 0.0) -> Tensor:
    kept = weights * keep
    return kept / (kept.sum(-1, keepdim=True) + epsilon)


def _drop_cases() -> list[Case]:
    def case(seed: int, queries: int, keys: int, p: float) -> Case:
        keep = numbers(seed + 1, queries, keys) > NormalDist().inv_cdf(p)
        return numbers(seed, queries, keys).softmax(-1), keep, p

    t, f = True, False
    first = torch.tensor([[t, f, t], [t, t, f]])
    blind = torch.tensor([[t, t, f, t, t], [f, f, f, f, f], [t, t, f, t, f]])
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), first, 0.2),
        case(460, 3, 5, 0.4),
        case(462, 5, 7, 0.1),
        ((2 * numbers(464, 3, 5)).softmax(-1), blind, 0.4),  # one weight is above 1 - p
    ]


DROP = Exercise(
    number="4.6",
    title="Dropped weights",
    solution=drop,
    cases=_drop_cases,
    mistakes=[
        Mistake(
            "not_scaled",
            lambda w, k, p: w * k,
            "What stays is not scaled up. Then the output is smaller in training, by 1 - p on average, than "
            "in evaluation, where nothing is dropped, and the layers above meet numbers they have never "
            "seen. Which factor makes up for that?",
        ),
        Mistake(
            "scaled_by_p",
            lambda w, k, p: w * k / p,
            "You divide by p, the share that is dropped. The share that stays is what the average shrinks "
            "by, so that is what has to be made up for. With p = 0 nothing is dropped, and you would "
            "divide by 0.",
        ),
        Mistake(
            "one_plus_p",
            lambda w, k, p: w * k * (1 + p),
            "What stays is made larger by the share p. That does not make up for the loss: a price that "
            "falls by a fifth and rises by a fifth is not the old one. Which number times 1 - p is 1?",
        ),
        Mistake(
            "brackets",
            lambda w, k, p: w * k / 1 - p,
            "In Python a / 1 - p is (a / 1) - p, so p is taken off every weight. The number below the line "
            "needs brackets.",
        ),
        Mistake(
            "scaled_down",
            lambda w, k, p: w * k * (1 - p),
            "The weights that stay are made smaller. Dropout was first described so that weights are "
            "multiplied by 1 - p, but in evaluation. If you scale in training, it has to go the other "
            "way.",
            also=[lambda w, k, p: w * (1 - p), lambda w, k, p: w * k * p],
        ),
        Mistake(
            "renormalised",
            lambda w, k, p: _renormalised(w, k),
            "The rows are made to sum to 1 again. That is another method: a small weight that stays alone "
            "becomes 1, the average over many draws is no longer the weight itself, and a row with nothing "
            "left is 0 by 0. Dropout scales all by one number.",
            also=[
                lambda w, k, p: _renormalised(w, k, 1e-9),
                lambda w, k, p: _renormalised(w, k).nan_to_num(),
                lambda w, k, p: _renormalised(w, k) / (1 - p),
                lambda w, k, p: masked_softmax(w.log(), k) / (1 - p),
            ],
        ),
        Mistake(
            "counted",
            lambda w, k, p: w * k / k.float().mean(),
            "You divide by the share that happened to stay this time. Dropout divides by 1 - p, the share "
            "that stays on average: then one draw does not change the scale of another, and a row that "
            "loses everything is no problem.",
            also=[
                lambda w, k, p: w * k / k.float().mean(-1, keepdim=True),
                lambda w, k, p: (w * k / k.float().mean(-1, keepdim=True)).nan_to_num(),
            ],
        ),
        Mistake(
            "inverted",
            lambda w, k, p: w * ~k / (1 - p),
            "What should stay is dropped, and the other way round. keep is True where a weight stays; "
            "masked_fill fills where its mask is True.",
            also=[
                lambda w, k, p: w * ~k,
                lambda w, k, p: w * ~k / p,
            ],
        ),
        Mistake(
            "keys_dropped",
            lambda w, k, p: w * k[0] / (1 - p),
            "A key is dropped for all queries or for none. Every weight of the table is drawn by itself: "
            "one query may lose a key that another one keeps.",
            also=[
                lambda w, k, p: w * k.all(0) / (1 - p),
            ],
        ),
        Mistake(
            "queries_dropped",
            lambda w, k, p: w * k[:, :1] / (1 - p),
            "A query loses all its weights or none. Every weight of the table is drawn by itself.",
            also=[lambda w, k, p: w * k.all(1, keepdim=True) / (1 - p)],
        ),
        Mistake(
            "before_the_softmax",
            lambda w, k, p: w.masked_fill(~k, -math.inf).softmax(-1),
            "There is a softmax after the drop. Then dropping acts like a mask: the other weights take over "
            "what is lost. These are weights already, and dropout comes after the softmax.",
            also=[
                lambda w, k, p: masked_softmax(w, k),
                lambda w, k, p: masked_softmax(w, k) / (1 - p),
                lambda w, k, p: masked_softmax(w / (1 - p), k),
                lambda w, k, p: (w / (1 - p)).masked_fill(~k, -math.inf).softmax(-1),
                lambda w, k, p: w.masked_fill(~k, -math.inf).softmax(-1) / (1 - p),
                lambda w, k, p: w.masked_fill(~k, -1e9).softmax(-1),
                lambda w, k, p: w.masked_fill(~k, -1e9).softmax(-1) / (1 - p),
                lambda w, k, p: (w * k).softmax(-1),
                lambda w, k, p: (w * k / (1 - p)).softmax(-1),
            ],
        ),
        Mistake(
            "drawn_anew",
            lambda w, k, p: F.dropout(w, p),
            "The scale is right, but you draw a mask of your own. What stays has been drawn already and is "
            "given: keep.",
            also=[lambda w, k, p: F.dropout(w * k, p), lambda w, k, p: F.dropout(w, 1 - p)],
        ),
        Mistake(
            "nothing_dropped",
            lambda w, k, p: w / (1 - p),
            "All weights are scaled up, but none is dropped. Is the result of masking kept? masked_fill "
            "returns a new tensor.",
            also=[lambda w, k, p: w],
        ),
        Mistake(
            "all_scaled_late",
            lambda w, k, p: torch.where(k, w, w / (1 - p)),
            "The scale went to the weights that should be dropped. Those become 0; the ones that stay are "
            "divided by 1 - p.",
        ),
        Mistake(
            "minus_infinity",
            lambda w, k, p: w.masked_fill(~k, -math.inf) / (1 - p),
            "Dropped weights are minus infinity. That is right for scores, before a softmax. A weight that "
            "is dropped is 0.",
            also=[
                lambda w, k, p: w.masked_fill(~k, -math.inf),
                lambda w, k, p: w.masked_fill(~k, -1e9) / (1 - p),
            ],
        ),
    ],
    laws=[
        Law("a dropped weight is 0", lambda out, w, k, p: bool((out[~k] == 0).all())),
        Law(
            "all weights that stay grow by one factor",
            lambda out, w, k, p: torch.allclose(out[k] / w[k], (out[k] / w[k])[:1], atol=1e-4),
        ),
    ],
)

# 4.7 -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LanguageToy:
    """A small language model that may or may not see the future.

    Args:
        name: how it looks around, said to the learner.
        vocab_size: how many different tokens.
        mix: takes token vectors (batch, seq, d) and returns what each position has seen.
        leaks: whether it sees the future.
        always: a token that it always guesses, whatever it sees.
    """

    name: str
    vocab_size: int
    mix: Callable[[Tensor], Tensor] = field(compare=False)
    leaks: bool
    always: int | None = None

    d = 4

    def __repr__(self) -> str:
        return self.name

    def eval(self) -> "LanguageToy":
        """Change nothing: it is always in evaluation mode."""
        return self

    def __call__(self, ids: Any) -> Tensor:
        """Return logits of shape (batch, seq, vocab)."""
        _check_ids(ids, self.vocab_size)
        x = _EMBEDDING[: self.vocab_size][ids] + sinusoidal(ids.shape[1], self.d)
        logits = self.mix(x) @ _READOUT[:, : self.vocab_size]
        if self.always is not None:
            logits = logits + 12.0 * (torch.arange(self.vocab_size) == self.always)
        return logits


_EMBEDDING = numbers(514, 101, LanguageToy.d).double()
_READOUT = numbers(515, LanguageToy.d, 101).double() / 2
_W_Q = numbers(516, LanguageToy.d, 3).double() / 2
_W_K = numbers(517, LanguageToy.d, 3).double() / 2


def _ages(seq: int) -> Tensor:
    """How far each key lies before each query."""
    return torch.arange(seq)[:, None] - torch.arange(seq)


def _attends(allowed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Make a mix by attention to where the ages allow it."""

    def mix(x: Tensor) -> Tensor:
        scores = _scores(x @ _W_Q, x @ _W_K)
        return masked_softmax(scores, allowed(_ages(x.shape[1]))) @ x

    return mix


def _peeps(query: int, key: int) -> Callable[[Tensor], Tensor]:
    """Make a causal mix in which one position sees one later position too."""

    def allowed(ages: Tensor) -> Tensor:
        seq = len(ages)
        place = torch.arange(seq)
        peeps = (place == query % seq)[:, None] & (place == key % seq)
        return (ages >= 0) | peeps

    return _attends(allowed)


def _is_past(ages: Tensor) -> Tensor:
    return ages >= 0


_sees_past = _attends(_is_past)


def _masks_late(x: Tensor) -> Tensor:
    weights = _scores(x @ _W_Q, x @ _W_K).softmax(-1)
    return (weights * _is_past(_ages(x.shape[1]))) @ x


def _recurs(x: Tensor) -> Tensor:
    state, states = torch.zeros_like(x[:, 0]), []
    for now in x.unbind(1):
        state = torch.tanh(now + 0.7 * state.roll(1, -1))
        states.append(state)
    return torch.stack(states, dim=1)


FAVOURITE = "attention without a mask, which always guesses the same token (its logits do move)"
FIRST = "causal attention, but position 0 sees position 1"
MEAN = "causal attention, minus the mean of the sequence"
LAST_BUT_ONE = "causal attention, but the last position but one sees the last"
BATCH = "causal attention, mixed with the other sequences of the batch"
PEEPS = [(1, 2), (2, 3), (4, 5)]
OF_TWO = [f"causal attention, but position {i} sees position {j}" for i, j in PEEPS]


def _everything(ages: Tensor) -> Tensor:
    return torch.ones_like(ages, dtype=torch.bool)


def _toys() -> list[LanguageToy]:
    """Make the sound models, then those that leak."""
    sound: dict[str, Callable[[Tensor], Tensor]] = {
        "causal attention": _sees_past,
        "causal attention to three tokens": _attends(lambda ages: (ages >= 0) & (ages < 3)),
        "a uniform average of the past": lambda x: (
            x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        ),
        "a recurrent network": _recurs,
        "a model that sees only the token itself": torch.tanh,
        "causal attention to earlier tokens, not to the token itself": _attends(
            lambda ages: ages > 0
        ),
        BATCH: lambda x: _sees_past(x) + x.mean(0),
        "a model that sees nothing": torch.zeros_like,
    }
    leaking: dict[str, Callable[[Tensor], Tensor]] = {
        "attention without a mask": _attends(_everything),
        "attention to the past and the next token": _attends(lambda ages: ages >= -1),
        "attention with the mask after the softmax": _masks_late,
        "attention to the token itself and the future": _attends(lambda ages: ages <= 0),
        MEAN: lambda x: _sees_past(x) - x.mean(1, keepdim=True),
        FIRST: _peeps(0, 1),
        "causal attention, but position 0 sees the last": _peeps(0, -1),
        "causal attention, but position 2 sees position 4": _peeps(2, 4),
        LAST_BUT_ONE: _peeps(-2, -1),
    }
    toys = [LanguageToy(name, 101, mix, leaks=False) for name, mix in sound.items()]
    toys.append(LanguageToy(FAVOURITE, 101, _attends(_everything), leaks=True, always=3))
    toys += [LanguageToy(name, 101, mix, leaks=True) for name, mix in leaking.items()]
    toys += [
        LanguageToy(name, 2, _peeps(*peep), leaks=True)
        for name, peep in zip(OF_TWO, PEEPS, strict=True)
    ]
    return toys


def _future_cases() -> list[Case]:
    return [(toy, toy.vocab_size, 7) for toy in _toys()]


Change = Callable[[Tensor, int, int], Tensor]
Look = Callable[[Tensor, int], Tensor]


def sees_the_future(model: LogitsOf, vocab_size: int, length: int) -> bool:
    """Tell whether any logit depends on a later token."""
    return _moves(model, vocab_size, length)


def _next_token(ids: Tensor, vocab_size: int) -> Tensor:
    return (ids + 1) % vocab_size


def _change_from(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    return torch.cat([ids[:, :place], _next_token(ids[:, place:], vocab_size)], dim=1)


def _change_at(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    here = torch.arange(ids.shape[1]) == place
    return torch.where(here, _next_token(ids, vocab_size), ids)


def _change_before(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    return torch.cat([_next_token(ids[:, :place], vocab_size), ids[:, place:]], dim=1)


def _before(logits: Tensor, place: int) -> Tensor:
    return logits[:, :place]


def _moves(
    model: LogitsOf,
    vocab_size: int,
    length: int,
    *,
    change: Change = _change_from,
    look: Look = _before,
    places: Sequence[int] | None = None,
) -> bool:
    """Change tokens at or from each of the places, and tell whether the logits looked at ever move."""
    ids = (torch.arange(length)[None] * 3 + 1) % vocab_size
    before = model(ids)
    for place in range(1, length) if places is None else places:
        after = model(change(ids, place, vocab_size))
        if not torch.allclose(look(after, place), look(before, place), atol=1e-5):
            return True
    return False


def _first(logits: Tensor, place: int) -> Tensor:
    return logits[:, 0]


def _everywhere(model: LogitsOf, vocab_size: int, length: int, *, change: Change) -> bool:
    """Tell whether a change at any place moves the logits before it."""
    return all(
        _moves(model, vocab_size, length, change=change, places=[i]) for i in range(1, length)
    )


def _right_but_for(*names: str) -> Callable[..., bool]:
    """Make an answer that is wrong about the toys with these names: how it gets there may vary."""
    return lambda model, v, n: model.leaks != (model.name in names)


def _some_of(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All ways to choose some of a few names, at least one."""
    return [some for k in range(1, len(names) + 1) for some in combinations(names, k)]


def _flip_from(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    return torch.cat([ids[:, :place], ids[:, place:].flip(1)], dim=1)


FUTURE = Exercise(
    number="4.7",
    title="A model that sees the future",
    solution=sees_the_future,
    cases=_future_cases,
    mistakes=[
        Mistake(
            "always_true",
            lambda model, v, n: True,
            "Your function says True to everything, even to a model that gives the same logits for all "
            "tokens. Can your comparison ever find that nothing moved? Two results are compared by "
            "torch.allclose or torch.equal.",
        ),
        Mistake(
            "always_false",
            lambda model, v, n: False,
            "Your function says False to everything, even to attention without a mask. Did the ids change "
            "at all? If you write into ids without clone(), the old ones are gone, and the same ids are "
            "compared with themselves.",
        ),
        Mistake(
            "inverted",
            lambda model, v, n: not model.leaks,
            "Every answer is the wrong way round. True should mean that a logit before the change moved: "
            "what does it mean if two results are close?",
        ),
        Mistake(
            "own_token",
            partial(_moves, look=lambda logits, place: logits[:, : place + 1]),
            "You say True to sound models: a logit at the changed token, or after it, is allowed to move. "
            "At position t the model has read token t. Only the logits before the first changed token "
            "must stand still.",
        ),
        Mistake(
            "past_changed",
            partial(_moves, change=_change_before, look=lambda logits, place: logits[:, place:]),
            "You change earlier tokens and look at later logits. That the past has an effect is what a "
            "language model is for. It is the other way round: change what comes later, and look at the "
            "logits before.",
            also=[
                lambda model, v, n: _moves(
                    model, v, n, change=_change_at, look=lambda z, i: z[:, -1], places=[0]
                ),
                lambda model, v, n: _moves(
                    model, v, n, change=_change_at, look=lambda z, i: z[:, 1:], places=[0]
                ),
            ],
        ),
        Mistake(
            "best_guess_only",
            _right_but_for(FAVOURITE),
            "You compare the likeliest tokens only, or compare too roughly. A leak may move all the logits "
            "and leave the largest one the largest: one of the models always guesses the same token. "
            "Compare the logits themselves, with allclose.",
        ),
        Mistake(
            "one_place",
            partial(_moves, places=[6]),
            "You change the tokens at one place only, look at one position only, or return after the first "
            "try. A model may leak anywhere: one of them lets position 0 see position 1 and does nothing "
            "else wrong. Try every place.",
            also=[
                *(
                    partial(_moves, change=change, places=[i])
                    for i in range(1, 7)
                    for change in (_change_from, _change_at)
                ),
                *(
                    partial(_moves, change=change, places=[5], look=_first)
                    for change in (_change_from, _change_at)
                ),
            ],
        ),
        Mistake(
            "end_left_out",
            partial(_moves, places=range(1, 6)),
            "Your loop leaves out the first place or the last one. Position 0 must not see position 1, and "
            "the last position but one must not see the last. A range ends before its end.",
            also=[
                partial(_moves, change=_change_at, places=range(1, 6)),
                partial(_moves, places=range(2, 7)),
                partial(_moves, places=range(2, 6)),
                partial(_moves, change=_change_at, places=range(2, 6)),
            ],
        ),
        Mistake(
            "next_left_out",
            partial(_moves, look=lambda logits, place: logits[:, : place - 1]),
            "You leave out the position right before the change. That is the one which is to guess the "
            "changed token, so it is the most important: a model whose mask is off by one leaks there. A "
            "slice ends before its end.",
        ),
        Mistake(
            "all_must_leak",
            partial(_everywhere, change=_change_from),
            "You say True only if the logits move wherever you make a change. One place is enough for a "
            "leak: return True at the first that moves, and False only when all have been tried.",
            also=[partial(_everywhere, change=_change_at)],
        ),
        Mistake(
            "neighbour_only",
            partial(_moves, change=_change_at, look=lambda logits, place: logits[:, place - 1]),
            "You look only at the position right before the changed token. A model may skip some: one of "
            "them lets position 2 see position 4 and nothing else. Look at all the logits before the "
            "change.",
        ),
        Mistake(
            "order_changed",
            partial(_moves, change=_flip_from),
            "You give the later tokens in another order. A model that sees only their mean does not "
            "notice, and the last token alone has no other order. Put other tokens in their place.",
            also=[_right_but_for(MEAN, LAST_BUT_ONE, *some) for some in ((), *_some_of(OF_TWO))],
        ),
        Mistake(
            "same_by_chance",
            _right_but_for(*OF_TWO),
            "You miss leaks where there are only two tokens. A random token, or a fixed one, is the old "
            "one again once in vocab_size times, and then nothing has changed. (ids + 1) % vocab_size is "
            "never the old one.",
            also=[_right_but_for(*some) for some in _some_of(OF_TWO)[:-1]],
        ),
        Mistake(
            "other_sequences_changed",
            _right_but_for(BATCH),
            "One model mixes the sequences of a batch, each place with the same place. You call that a "
            "look into the future. It comes from comparing a sequence in two different batches: leave the "
            "other rows as they are, or use a batch of one.",
        ),
        Mistake(
            "no_such_token",
            lambda model, v, n: bool(model(torch.full((1, n), v)).any()),
            "You give the model a token that it does not have. Ids go from 0 to vocab_size - 1, so ids + 1 "
            "is too large where an id is the last one: take the remainder, % vocab_size.",
        ),
        Mistake(
            "one_axis",
            lambda model, v, n: bool(model(torch.zeros(n, dtype=torch.long)).any()),
            "The model wants whole numbers of shape (batch, seq). A single sequence is a batch of one: "
            "(1, length). torch.randint makes whole numbers, torch.rand and torch.zeros do not.",
        ),
    ],
)

# 4.8 -------------------------------------------------------------------------------------------------


def grid_positions(height: int, width: int, d: int) -> Tensor:
    """Give every patch of a picture a vector for its row and one for its column."""
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d // 2), _half(columns, d // 2)], dim=-1)


def _cells(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the row and the column of every patch."""
    index = torch.arange(height * width)
    return index // width, index % width


def _half(place: Tensor, d: int) -> Tensor:
    return sinusoidal(int(place.max()) + 1, d)[place]


def _grid(
    places: Callable[[int, int], tuple[Tensor, Tensor]],
) -> Callable[[int, int, int], Tensor]:
    """Make an answer in which the patches have other rows and columns."""

    def answer(height: int, width: int, d: int) -> Tensor:
        rows, columns = places(height, width)
        return torch.cat([_half(rows, d // 2), _half(columns, d // 2)], dim=-1)

    return answer


def _column_major(height: int, width: int) -> tuple[Tensor, Tensor]:
    index = torch.arange(height * width)
    return index % height, index // height


def _divided_by_height(height: int, width: int) -> tuple[Tensor, Tensor]:
    index = torch.arange(height * width)
    return index // height, index % height


def _halves_of(height: int, width: int, d: int) -> tuple[Tensor, Tensor]:
    rows, columns = grid_positions(height, width, d).chunk(2, dim=1)
    return rows, columns


def _added(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return _half(rows, d) + _half(columns, d)


def _cut_from_wide(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d)[:, : d // 2], _half(columns, d)[:, d // 2 :]], dim=1)


def _cut_from_wide_twice(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d)[:, : d // 2], _half(columns, d)[:, : d // 2]], dim=1)


def _too_wide(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d), _half(columns, d)], dim=1)


def _as_indices(height: int, width: int) -> tuple[Tensor, Tensor]:
    index = torch.arange(height * width)
    return index, index


GRID = Exercise(
    number="4.8",
    title="Positions in a picture",
    solution=grid_positions,
    cases=lambda: [(2, 3, 4), (3, 5, 8), (5, 2, 12), (1, 4, 8)],
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "flat_index",
            lambda h, w, d: sinusoidal(h * w, d),
            "You number the patches from 0 to height * width - 1 and take that for their position. Then the "
            "patch below is as far away as the width is large, and nothing says that it is a "
            "neighbour. A patch has two positions.",
            also=[_grid(_as_indices)],
        ),
        Mistake(
            "row_and_column_swapped",
            lambda h, w, d: torch.cat(_halves_of(h, w, d)[::-1], dim=1),
            "The column comes first and the row second. The first half of the features should be the "
            "row.",
        ),
        Mistake(
            "column_by_column",
            _grid(_column_major),
            "Your patches go down the first column, then down the second. The sequence is read like a "
            "text, row by row: the first width patches are all in row 0. Which of the two has to be "
            "repeated as a whole, and which element by element?",
        ),
        Mistake(
            "divided_by_height",
            _grid(_divided_by_height),
            "Your rows have as many patches as the picture is high. A row ends after width patches, so "
            "patch i is in row i // width and in column i % width.",
        ),
        Mistake(
            "added",
            _added,
            "You add the vectors of row and column. A sum does not tell row 1, column 2 from row 2, "
            "column 1. Put them side by side, each half as wide.",
            also=[lambda h, w, d: _halves_of(h, w, d)[0] + _halves_of(h, w, d)[1]],
        ),
        Mistake(
            "frequencies_of_d",
            _cut_from_wide_twice,
            "The frequencies are those for a width of d, and then half of them is cut off: the slow waves "
            "are missing. Each half is a whole sinusoidal vector of width d / 2, with all its "
            "wavelengths.",
            also=[_cut_from_wide],
        ),
        Mistake(
            "too_wide",
            _too_wide,
            "Row and column have d features each, so the result has 2d. They share the width: d / 2 for "
            "each.",
        ),
        Mistake(
            "interleaved",
            lambda h, w, d: _interleave(*_halves_of(h, w, d)),
            "Features of the row and of the column take turns. All those of the row come first, then all "
            "those of the column: cat joins along an axis that is there, stack makes a new one.",
        ),
        Mistake(
            "not_one_sequence",
            lambda h, w, d: grid_positions(h, w, d).view(h, w, d),
            "The vectors are right, but still laid out as a picture, (height, width, d). The model wants "
            "one sequence of patches: make one axis of the first two.",
        ),
        Mistake(
            "both_as_a_whole",
            lambda h, w, d: torch.cat(
                [sinusoidal(h, d // 2).repeat(w, 1), sinusoidal(w, d // 2).repeat(h, 1)], dim=1
            ),
            "Row and column both count on from patch to patch, so you go along a diagonal. The row stays "
            "the same for a whole row of patches: repeat_interleave repeats each element, repeat the "
            "whole.",
        ),
        Mistake(
            "both_by_element",
            lambda h, w, d: torch.cat(
                [
                    sinusoidal(h, d // 2).repeat_interleave(w, 0),
                    sinusoidal(w, d // 2).repeat_interleave(h, 0),
                ],
                dim=1,
            ),
            "The column stays the same for several patches in a row, as the row does. From one patch to "
            "the next the column counts on: repeat repeats the whole, repeat_interleave each element.",
        ),
        Mistake(
            "from_one",
            lambda h, w, d: torch.cat([_half(i + 1, d // 2) for i in _cells(h, w)], dim=1),
            "Your first row and column have the number 1. Positions start at 0, as in exercise 4.2.",
        ),
        Mistake(
            "one_position_twice",
            lambda h, w, d: torch.cat([_halves_of(h, w, d)[0]] * 2, dim=1),
            "Both halves are the row, so all patches of a row look the same. The second half is the "
            "column.",
            also=[lambda h, w, d: torch.cat([_halves_of(h, w, d)[1]] * 2, dim=1)],
        ),
        Mistake(
            "lengths_do_not_meet",
            lambda h, w, d: torch.cat([sinusoidal(h, d // 2), sinusoidal(w, d // 2)], dim=1),
            "There are height vectors for the rows and width vectors for the columns, and they cannot be "
            "put side by side as they are. Every patch needs one of each: repeat them, or pick them by "
            "the row and the column of the patch.",
            also=[
                lambda h, w, d: torch.cat([sinusoidal(h, d // 2), sinusoidal(w, d // 2)], dim=-1),
                lambda h, w, d: torch.cat(
                    [sinusoidal(h, d // 2)[:, None], sinusoidal(w, d // 2)[None]], dim=-1
                ),
            ],
        ),
    ],
    laws=[
        Law(
            "the first half is the same for all patches of a row",
            lambda out, h, w, d: torch.allclose(
                out.view(h, w, d)[:, :, : d // 2], out.view(h, w, d)[:, :1, : d // 2], atol=1e-3
            ),
        ),
        Law(
            "the second half is the same for all patches of a column",
            lambda out, h, w, d: torch.allclose(
                out.view(h, w, d)[:, :, d // 2 :], out.view(h, w, d)[:1, :, d // 2 :], atol=1e-3
            ),
        ),
    ],
)

EXERCISES = (SELF_ATTENTION, POSITIONS, ROTARY, JOINED, WRITING, DROP, FUTURE, GRID)
"""The exercises of chapter 4."""
