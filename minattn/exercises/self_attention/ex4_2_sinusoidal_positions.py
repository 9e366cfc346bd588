"""Exercise 4.2: sinusoidal positions."""

import math

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.exercises.self_attention.waves import (
    exponents_of,
    interleave,
    side_by_side,
    wave_angles,
    waves,
)
from minattn.positions import sinusoidal


def positions(n: int, d: int) -> Tensor:
    """Give every position a vector of sines and cosines."""
    return sinusoidal(n, d)


def _overlapping_waves(n: int, d: int) -> Tensor:
    angles, out = wave_angles(n, exponents_of(d)), torch.zeros(n, d, dtype=torch.float64)
    for i in range(d // 2):
        out[:, i], out[:, i + 1] = angles[:, i].sin(), angles[:, i].cos()
    return out


def _one_turn_a_step(out: Tensor, n: int, d: int) -> bool:
    pairs = torch.view_as_complex(torch.as_tensor(out).double().view(n, d // 2, 2).contiguous())
    steps = pairs[1:] * pairs[:-1].conj()
    return torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-3)


EXERCISE = Exercise(
    number="4.2",
    title="Sinusoidal positions",
    solution=positions,
    cases=lambda: [(3, 4), (5, 6), (7, 10)],
    tolerance=1e-3,  # angles in single precision, if somebody makes them large
    mistakes=[
        Mistake(
            "exponent_doubled",
            lambda n, d: waves(wave_angles(n, 2 * exponents_of(d))),
            "The exponent is doubled: the slow half of the waves hardly moves. In the formula i counts "
            "pairs, and 2i is the number of the even feature. If your i already goes 0, 2, 4 and so on, "
            "it is the 2i of the formula.",
            also=[
                lambda n, d: waves(
                    wave_angles(n, 2 * exponents_of(d)), wave_angles(n, 2 * exponents_of(d) + 2 / d)
                ),
            ],
        ),
        Mistake(
            "exponent_not_doubled",
            lambda n, d: waves(wave_angles(n, exponents_of(d) / 2)),
            "The exponent is i/d where i counts pairs; it should be 2i/d. With yours the slowest wave is "
            "only about a hundred times as long as the fastest, not nearly ten thousand times.",
        ),
        Mistake(
            "exponent_reaches_one",
            lambda n, d: waves(wave_angles(n, torch.linspace(0, 1, d // 2))),
            "The exponent goes from 0 to 1, both included. Some programs do so, and divide i by d/2 - 1. The "
            "formula divides by d/2, so the last exponent stays below 1.",
        ),
        Mistake(
            "cosine_shifted",
            lambda n, d: waves(
                wave_angles(n, exponents_of(d)), wave_angles(n, exponents_of(d) + 1 / d)
            ),
            "The sines are right, but each cosine has a frequency of its own. The two features of a pair "
            "share one, 2i for both, or else moving on by k positions is no turn of the pair. Watch the "
            "exponent in the odd features.",
            also=[
                lambda n, d: waves(
                    wave_angles(n, exponents_of(d)), wave_angles(n, exponents_of(d) + 2 / d)
                ),
            ],
        ),
        Mistake(
            "halves",
            lambda n, d: side_by_side(wave_angles(n, exponents_of(d))),
            "First all sines, then all cosines. Many programs do it so, and a model would not mind; but "
            "the formula, and whoever wants to use your vectors with other code, has them in turn: sine "
            "in feature 0, its cosine in feature 1.",
            also=[lambda n, d: side_by_side(wave_angles(n, torch.linspace(0, 1, d // 2)))],
        ),
        Mistake(
            "swapped",
            lambda n, d: interleave(
                wave_angles(n, exponents_of(d)).cos(), wave_angles(n, exponents_of(d)).sin()
            ),
            "Sine and cosine have changed places. Even features have the sine, and feature 0 is even. "
            "Position 0 should be 0, 1, 0, 1 and so on.",
        ),
        Mistake(
            "from_one",
            lambda n, d: waves(wave_angles(n, exponents_of(d), start=1)),
            "Your first position is 1. Positions start at 0, and the vector of position 0 is 0, 1, 0, 1 "
            "and so on.",
        ),
        Mistake(
            "multiplied",
            lambda n, d: waves(wave_angles(n, -exponents_of(d))),
            "The position is multiplied by 10000 ** (2i/d) where it should be divided. Your waves get "
            "faster from pair to pair, and between two positions the last one goes round many times. A "
            "minus in the exponent is lost.",
        ),
        Mistake(
            "log_missing",
            lambda n, d: waves(wave_angles(n, exponents_of(d) * 10_000, base=math.e)),
            "exp(-10000 * 2i/d) is 0 for all pairs but the first. A power becomes an exponential by the "
            "logarithm of its base: 10000 ** a is exp(a * log(10000)).",
            also=[lambda n, d: waves(wave_angles(n, exponents_of(d), base=math.e))],
        ),
        Mistake(
            "brackets",
            lambda n, d: waves(0 * wave_angles(n, exponents_of(d))),
            "All your angles are close to 0. In Python 10000 ** 2 * i / d is (10000 ** 2) * i / d, and "
            "t / 10000 * a is (t / 10000) * a. The exponent needs brackets, and it comes after two stars.",
        ),
        Mistake(
            "i_from_one",
            lambda n, d: waves(wave_angles(n, exponents_of(d) + 2 / d)),
            "The fastest pair is missing: your i starts at 1. With i = 0 the frequency is 1, and feature 0 "
            "is the sine of the position itself.",
        ),
        Mistake(
            "no_table",
            lambda n, d: torch.arange(n) * exponents_of(d),
            "The shapes do not meet: (n,) and (d / 2,) are paired one to one. Every position has to meet "
            "every frequency. Give the positions a second axis: what is the shape of t[:, None]?",
            also=[lambda n, d: exponents_of(d) * torch.arange(n)],
        ),
        Mistake(
            "pairs_overlap",
            _overlapping_waves,
            "Pair i is written to the features i and i + 1, so each pair overwrites half of the one before "
            "it. With i counting pairs, its features are 2i and 2i + 1.",
        ),
        Mistake(
            "other_base",
            lambda n, d: waves(wave_angles(n, exponents_of(d), base=1_000.0)),
            "All is right but the base, which should be 10000. Count the zeros.",
            also=[
                lambda n, d: waves(wave_angles(n, exponents_of(d), base=100_000.0)),
            ],
        ),
        Mistake(
            "degrees",
            lambda n, d: waves(torch.deg2rad(wave_angles(n, exponents_of(d)))),
            "The angles were taken for degrees. sin and cos of torch and NumPy want radians, and so does "
            "the formula.",
        ),
        Mistake(
            "two_pi",
            lambda n, d: waves(2 * math.pi * wave_angles(n, exponents_of(d))),
            "There is a factor of 2 pi that the formula does not have. With it the first pair goes round "
            "exactly once a step, and is the same at every position.",
        ),
        Mistake(
            "sines_only",
            lambda n, d: wave_angles(n, exponents_of(d)).sin().repeat_interleave(2, dim=1),
            "Both features of a pair have the same wave. One should be the sine and the other the cosine: "
            "a sine alone does not tell an angle from its mirror image.",
            also=[lambda n, d: wave_angles(n, exponents_of(d)).cos().repeat_interleave(2, dim=1)],
        ),
        Mistake(
            "one_frequency",
            lambda n, d: waves(wave_angles(n, 0 * exponents_of(d))),
            "All pairs turn at the same speed, so all but one are of no use. Each pair has a frequency of "
            "its own. If you wrote // for the division, the exponent is always 0.",
        ),
        Mistake(
            "divided_by_length",
            lambda n, d: waves(wave_angles(n, exponents_of(d)) / n),
            "The positions are divided by the length. The fifth token then has another vector in every "
            "sentence of another length, and a step is not always the same turn. Use 0, 1, 2 as they are.",
            also=[lambda n, d: waves(wave_angles(n, exponents_of(d)) / (n - 1))],
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
