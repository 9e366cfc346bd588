"""Exercise 4.3: rotary positions."""

from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake, numbers
from minattn.exercises.self_attention.waves import (
    exponents_of,
    interleave,
    side_by_side,
    wave_angles,
    waves,
)
from minattn.positions import rotary


def rotate(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Turn each pair of neighbouring features by an angle that grows with the position."""
    return rotary(x, base=base)


def _rotary_angles(x: Tensor, base: float, start: int = 0, stretch: float = 1.0) -> Tensor:
    seq, d = x.shape
    return wave_angles(seq, stretch * exponents_of(d), start, base).to(x.dtype)


def _turn(x: Tensor, angles: Tensor) -> Tensor:
    """Turn neighbours by angles of shape (seq or 1, d / 2 or 1)."""
    even, odd = x[:, 0::2], x[:, 1::2]
    cos, sin = angles.cos(), angles.sin()
    return interleave(even * cos - odd * sin, even * sin + odd * cos)


def _turned_as_halves(x: Tensor, angles: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=1)


def _quarter(x: Tensor) -> Tensor:
    """Turn neighbours by a right angle."""
    return interleave(-x[:, 1::2], x[:, 0::2])


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
    return interleave(even, even * sin + x[:, 1::2] * cos)


def _not_interleaved(x: Tensor, base: float) -> Tensor:
    turned = rotate(x, base)
    return torch.cat([turned[:, 0::2], turned[:, 1::2]], dim=1)


def _halves_to_neighbours(x: Tensor, base: float) -> Tensor:
    return interleave(*_turned_as_halves(x, _rotary_angles(x, base)).chunk(2, dim=1))


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
    return interleave(even * cos + first * odd * sin, second * even * sin + odd * cos)


def _own_angles(x: Tensor, base: float) -> Tensor:
    seq, d = x.shape
    angles = wave_angles(seq, torch.arange(d) / d, base=base).to(x.dtype)
    return x * angles.cos() + _quarter(x) * angles.sin()


EXERCISE = Exercise(
    number="4.3",
    title="Rotary positions",
    solution=rotate,
    cases=lambda: [
        (numbers(430, 2, 6), 10_000.0),
        (numbers(431, 5, 4), 100.0),
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
            lambda x, b: torch.arange(len(x)) * exponents_of(x.shape[1]),
            "The shapes do not meet: (seq,) and (d / 2,) are paired one to one. Every position has to meet "
            "every frequency. Give the positions a second axis: what is the shape of t[:, None]?",
            also=[lambda x, b: exponents_of(x.shape[1]) * torch.arange(len(x))],
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
            lambda x, b: _turn(x, wave_angles(len(x), torch.zeros(1))),
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
            lambda x, b: x + waves(_rotary_angles(x, b)),
            "Sines and cosines are added to x. That is the sinusoidal way of exercise 4.2, and changes the "
            "lengths of the vectors. Here x is turned: its pairs are multiplied by a rotation "
            "matrix.",
            also=[
                lambda x, b: x + _rotary_angles(x, b).repeat_interleave(2, 1),
                lambda x, b: x + _rotary_angles(x, b).sin().repeat_interleave(2, 1),
                lambda x, b: x + side_by_side(_rotary_angles(x, b)),
            ],
        ),
        Mistake(
            "multiplied_only",
            lambda x, b: x * _rotary_angles(x, b).cos().repeat_interleave(2, 1),
            "Each feature is only multiplied by a number. In a turn the two features of a pair mix: a part "
            "of each goes over into the other. Write down the product of the two-by-two matrix with "
            "a pair.",
            also=[lambda x, b: x * waves(_rotary_angles(x, b))],
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
            "exponent_reaches_one",
            lambda x, b: _turn(
                x, wave_angles(len(x), torch.linspace(0, 1, x.shape[1] // 2), base=b).to(x.dtype)
            ),
            "The exponent goes from 0 to 1, both included. The formula divides i by d/2, not by d/2 - 1, so "
            "the last exponent stays below 1.",
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
