"""Exercise 22.4: a cache in 8 bits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.comparing import as_array, is_array, is_number
from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers

Stored = tuple[Tensor, Tensor]
"""Codes, and the scales that make numbers of them again."""
Step = Callable[[Tensor], Tensor]


def to_8_bits(x: Tensor) -> Stored:
    """Return codes from -127 to 127, and a scale for each token."""
    return _store(x)


def _of_each_token(x: Tensor) -> Tensor:
    return x.abs().amax(-1, keepdim=True)


def _of_all(x: Tensor) -> Tensor:
    return x.abs().max().expand(len(x), 1)


def _of_each_column(x: Tensor) -> Tensor:
    return x.abs().amax(0, keepdim=True)


def _of_all_as_one(x: Tensor) -> Tensor:
    return x.abs().max()


def _signed(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True)


def _amount_of_the_largest(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True).abs()


def _round(x: Tensor) -> Tensor:
    return x.round()


def _to_zero(x: Tensor) -> Tensor:
    return x.trunc()


def _down(x: Tensor) -> Tensor:
    return x.floor()


def _up(x: Tensor) -> Tensor:
    return x.ceil()


def _int8(x: Tensor) -> Tensor:
    """Let what does not fit into 8 bits come out at the other end, on every machine."""
    return (x.nan_to_num(0.0).long() + 128).remainder(256).sub(128).to(torch.int8)


def _clamped(x: Tensor) -> Tensor:
    return _int8(x.clamp(-128, 127))


def _clamped_evenly(x: Tensor) -> Tensor:
    return _int8(x.clamp(-127, 127))


def _store(
    x: Tensor,
    *,
    largest: Step = _of_each_token,
    levels: int = 127,
    whole: Step = _round,
    codes: Step = _int8,
    safe: bool = True,
) -> Stored:
    """Store numbers, each step done in some way.

    Args:
        x: (tokens, d).
        largest: finds what becomes the largest code.
        levels: the largest code.
        whole: makes whole numbers.
        codes: makes them small.
        safe: whether a scale of 0 is replaced by 1.
    """
    scale = largest(x) / levels
    if safe:
        scale = scale.masked_fill(scale == 0, 1.0)
    return codes(whole(x / scale)), scale


def _with_zero_point(x: Tensor) -> Stored:
    """Let the least number be -128, and the largest 127."""
    least, largest = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    scale = (largest - least) / 255
    scale = scale.masked_fill(scale == 0, 1.0)
    return _int8(((x - least) / scale).round() - 128), scale


def _from_0(x: Tensor) -> Stored:
    """Let the least number be 0, and the largest 255, in unsigned bytes."""
    least, largest = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    scale = (largest - least) / 255
    scale = scale.masked_fill(scale == 0, 1.0)
    return ((x - least) / scale).round().to(torch.uint8), scale


def _inverse_scale(x: Tensor) -> Stored:
    codes, scale = _store(x)
    return codes, 1 / scale


def _largest_for_scale(x: Tensor) -> Stored:
    codes, scale = _store(x)
    return codes, 127 * scale


def _inverse_or_infinite(x: Tensor) -> Stored:
    codes, scale = _store(x, safe=False)
    return codes, 1 / scale


def _try(answer: Answer, x: Tensor) -> Any:
    """Store numbers. Any scale above 0 will do for a token of zeros; codes of another type are no codes."""
    out = answer(x)
    if not (isinstance(out, tuple) and len(out) == 2):
        return out
    if not all(is_array(part) and is_number(part) for part in out):
        return out
    codes, scale = (torch.tensor(as_array(part)) for part in out)
    if codes.dtype != torch.int8:
        codes = codes.float()
    if scale.shape == (len(x), 1):
        of_zeros = (x == 0).all(-1, keepdim=True)
        scale = scale.masked_fill(of_zeros & (scale > 0) & scale.isfinite(), 1.0)
    return codes, scale


def _case(seed: int, tokens: int, d: int) -> Case:
    """Make tokens of different lengths, the largest number below 0 in some; the fourth is of zeros."""
    x = numbers(seed, tokens, d) * torch.logspace(-1, 1, tokens)[:, None]
    x[1:] = torch.where((torch.arange(1, tokens) % 2 == 0)[:, None], x[1:], -x[1:])
    x[3:4] = 0.0
    return (x,)


def _cases() -> list[Case]:
    return [_case(2280, 2, 3), _case(2285, 5, 7), _case(2286, 11, 2), _case(2283, 7, 13)]


EXERCISE = Exercise(
    number="22.4",
    title="A cache in 8 bits",
    solution=to_8_bits,
    cases=_cases,
    trial=_try,
    mistakes=[
        Mistake(
            "one_scale_for_all",
            partial(_store, largest=_of_all),
            "Tokens share a scale. One token with large numbers makes the steps coarse for all, and "
            "the numbers of a small one become 0. Find the largest amount in each row: over the last "
            "axis, keepdim=True.",
            also=[
                partial(_store, largest=_of_all_as_one),
                partial(_store, largest=_of_each_column),
            ],
        ),
        Mistake(
            "largest_without_amount",
            partial(_store, largest=_signed),
            "You take the largest number, and not the largest amount. A token with -3 and 1 needs codes for -3 as "
            "well: with the scale of 1 it would be -381, which has no room in 8 bits. First abs(), then the maximum.",
            also=[
                partial(_store, largest=largest, codes=codes)
                for largest in (_signed, _amount_of_the_largest)
                for codes in (_int8, _clamped, _clamped_evenly)
            ],
        ),
        Mistake(
            "other_levels",
            partial(_store, levels=128),
            "The largest amount is to become 127, and yours becomes another number. 8 bits go from -128 to 127: a 128 "
            "comes out as -128, the largest number with its sign turned. Divide by 127 to get the scale.",
            also=[
                partial(_store, levels=levels, codes=codes)
                for levels in (128, 255, 256, 100, 126)
                for codes in (_int8, _clamped, _clamped_evenly)
            ],
        ),
        Mistake(
            "cut_off",
            partial(_store, whole=_to_zero),
            "You cut off what stands after the point: 2.9 becomes 2. The error is up to a whole step then, and always "
            "to one side. `.to(torch.int8)` does this too, so call round() before it.",
            also=[partial(_store, whole=_down), partial(_store, whole=_up)],
        ),
        Mistake(
            "scale_of_0",
            partial(_store, safe=False),
            "A token of zeros gets a scale of 0, and 0 / 0 is not a number: padding is such a token. Any "
            "scale above 0 will do for it. Replace 0 by 1 before you divide.",
        ),
        Mistake(
            "zero_point",
            _with_zero_point,
            "You store from the least to the largest number, with a zero that moves. That works if the zero is "
            "stored as well. Here it is not: code 0 means the number 0, and codes go as far down as up.",
            also=[_from_0],
        ),
        Mistake(
            "other_scale",
            _inverse_scale,
            "The codes are right, and codes times scale does not give the numbers back. Return the size of a step, "
            "the largest amount divided by 127, and neither its inverse nor the amount itself.",
            also=[_largest_for_scale, _inverse_or_infinite],
        ),
        Mistake(
            "not_8_bits",
            partial(_store, codes=lambda x: x),
            "The codes are right, and not stored in 8 bits: as they are, nothing is saved. Turn them into "
            "whole numbers of one byte with .to(torch.int8).",
            also=[partial(_store, codes=lambda x: x, safe=False)],
        ),
    ],
    laws=[
        Law("no code is -128", lambda out, x: bool((out[0] != -128).all())),
        Law(
            "codes times scale is off by half a step at most",
            lambda out, x: bool(
                ((out[0] * out[1] - x).abs() <= out[1] / 2 + 1e-4).all(),
            ),
        ),
    ],
)
