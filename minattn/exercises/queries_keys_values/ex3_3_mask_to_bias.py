"""Exercise 3.3: from a mask to a bias."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake

INF = math.inf


def as_bias(allowed: Tensor) -> Tensor:
    """Turn a mask, True where a query may attend, into numbers to add to the scores."""
    return torch.where(allowed, 0.0, -INF)


def _bias_cases() -> list[Case]:
    t, f = True, False
    blind = torch.tensor([[[t, f, t, t, f]], [[f, f, f, f, f]]])
    return [
        (torch.tensor([[t, f, t], [t, t, f]]),),
        (torch.ones(5, 5, dtype=torch.bool).tril(),),
        (blind,),
    ]


def _filled(fill: float) -> Callable[[Tensor], Tensor]:
    return lambda allowed: torch.where(allowed, 0.0, fill)


def _ones_kept(fill: float) -> Callable[[Tensor], Tensor]:
    return lambda allowed: torch.where(allowed, 1.0, fill)


_FILLS = [-(10.0**i) for i in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 20, 30)]
_LOWEST = [-65504.0, torch.finfo(torch.float32).min]
_LOGARITHMS = [math.log(10.0**-i) for i in range(6, 13)]

EXERCISE = Exercise(
    number="3.3",
    title="From a mask to a bias",
    solution=as_bias,
    cases=_bias_cases,
    mistakes=[
        Mistake(
            "inverted",
            lambda m: torch.where(m, -INF, 0.0),
            "The mask is taken the wrong way round: what may be seen is forbidden. Here True means may "
            "attend. nn.MultiheadAttention reads True as forbidden, and masked_fill fills where its "
            "mask is True.",
            also=[
                lambda m: torch.where(m, -1e9, 0.0),
                lambda m: torch.where(m, -1e4, 0.0),
                lambda m: torch.where(m, torch.finfo(torch.float32).min, 0.0),
            ],
        ),
        Mistake(
            "nan",
            lambda m: (~m).float() * -INF,
            "There is NaN in the result: 0 times infinity is not 0 but NaN. So a mask cannot be multiplied "
            "with minus infinity. Choose between two values instead, or fill.",
            also=[
                lambda m: (~m).float() * INF,
                lambda m: m.float() * -INF,
                lambda m: m.float() * INF,
            ],
        ),
        Mistake(
            "ones_and_zeros",
            lambda m: m.float(),
            "These are ones and zeros, as one would multiply with. Added to the scores, a 1 for the "
            "allowed keys hardly matters, and the forbidden ones keep a good part of the weight. What "
            "has to be added so that exp gives exactly 0?",
        ),
        Mistake(
            "zeros_and_ones",
            lambda m: (~m).float(),
            "Forbidden keys get 1 added to their scores, so they weigh more than before. The zeros for the "
            "allowed keys are right. What has to be added so that exp gives exactly 0?",
        ),
        Mistake(
            "minus_one",
            lambda m: m.float() - 1,
            "A forbidden score becomes smaller by 1. Its weight is then divided by e, about 2.7, and "
            "is far from 0. What has to be added so that exp gives exactly 0?",
        ),
        Mistake(
            "finite",
            _filled(-1e9),
            "Forbidden keys get a number, not minus infinity. -10000 fails where scores are as large. "
            "Larger ones fail where a query may see nothing: all its scores then go down alike, and it "
            "spreads its weight over forbidden keys. Only minus infinity forbids.",
            also=[*map(_filled, _FILLS), *map(_filled, _LOWEST), *map(_filled, _LOGARITHMS)],
        ),
        Mistake(
            "nothing_filled",
            lambda m: torch.zeros(m.shape),
            "Your numbers are 0, or next to 0, everywhere: nothing is forbidden. masked_fill returns a new "
            "tensor and leaves the old one as it was. And 1e-9 is a tiny number; -1e9 is a large "
            "negative one.",
        ),
        Mistake(
            "plus_infinity",
            lambda m: torch.where(m, 0.0, INF),
            "The sign is wrong: forbidden keys get something large added, so they win every softmax (with "
            "plus infinity it is NaN). What is exp of minus infinity?",
            also=[lambda m: torch.where(m, 0.0, 1e9)],
        ),
        Mistake(
            "allowed_not_zero",
            lambda m: torch.where(m, 1.0, -INF),
            "Allowed keys get 1 added to their scores. The softmax does not notice, for it is the same "
            "for all of them. But a bias should leave alone what it allows: add two of yours, "
            "and some keys have 2. The number that changes nothing is another one.",
            also=[_ones_kept(fill) for fill in (-1e9, -1e4)],
        ),
        Mistake(
            "still_bool",
            lambda m: m,
            "The result is still True and False. zeros_like and clone keep the type, and a bool "
            "tensor cannot hold minus infinity: it becomes True. Start from numbers, for example with "
            "torch.zeros(allowed.shape).",
            also=[lambda m: ~m, lambda m: m | True],
        ),
        Mistake(
            "bool_arithmetic",
            lambda m: 1 - m,
            "torch does not subtract truth values. Write ~allowed for the opposite, or turn the mask "
            "into numbers with .float() first. (And mind that 0 times infinity is NaN.)",
            also=[lambda m: m - True, lambda m: -m],
        ),
    ],
    laws=[
        Law("an allowed key gets 0", lambda out, m: bool((out[m] == 0).all())),
        Law("a forbidden key gets minus infinity", lambda out, m: bool((out[~m] == -INF).all())),
    ],
)
