"""Exercise 8.2: temperature, and the nucleus."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.decoding import keep_top_p
from minattn.exercises.exercise import Case, Exercise, Law, Mistake


def next_token_probabilities(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Return what the next token is drawn with: temperature first, then the nucleus."""
    if temperature == 0:
        return _likeliest(logits)
    return keep_top_p(logits / temperature, top_p).softmax(-1)


def _likeliest(logits: Tensor) -> Tensor:
    return F.one_hot(logits.argmax(), len(logits)).float()


Keep = Callable[[Tensor, float], Tensor]
"""Takes probabilities from the largest down and p; tells which are kept."""


def _nucleus(sorted_probabilities: Tensor, p: float) -> Tensor:
    return sorted_probabilities.cumsum(-1) - sorted_probabilities < p


def _without_crossing(probabilities: Tensor, p: float) -> Tensor:
    return probabilities.cumsum(-1) <= p


def _first_and_without_crossing(probabilities: Tensor, p: float) -> Tensor:
    keep = _without_crossing(probabilities, p)
    keep[0] = True
    return keep


def _one_more(probabilities: Tensor, p: float) -> Tensor:
    keep = _nucleus(probabilities, p)
    return torch.cat([keep[:1], keep[:-1]])


def _largest_rule(probabilities: Tensor, p: float) -> Tensor:
    return probabilities >= p * probabilities.max()


def _number_kept(probabilities: Tensor, p: float) -> Tensor:
    return torch.arange(len(probabilities)) < max(1, int(p * len(probabilities)))


def _drawn_with(
    keep: Keep = _nucleus,
    *,
    temper: Callable[[Tensor, float], Tensor] = lambda logits, t: (logits / t).softmax(-1),
    descending: bool = True,
    renormalise: bool = True,
    back: Callable[[Tensor, Tensor], Tensor] = lambda kept, order: kept[order.argsort()],
    at_zero: Callable[[Tensor], Any] = _likeliest,
) -> Callable[[Tensor, float, float], Any]:
    """Make an answer that does one thing otherwise."""

    def answer(logits: Tensor, temperature: float, top_p: float) -> Any:
        if temperature == 0:
            return at_zero(logits)
        probabilities, order = temper(logits, temperature).sort(descending=descending)
        kept = probabilities * keep(probabilities, top_p)
        return back(kept / kept.sum() if renormalise else kept, order)

    return answer


def _always_divided(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    probabilities = (logits / temperature).softmax(-1)
    kept = keep_top_p(probabilities.log(), top_p).exp()
    return kept / kept.sum()


def _nucleus_first(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature == 0:
        return _likeliest(logits)
    return (keep_top_p(logits, top_p) / temperature).softmax(-1)


def _nucleus_of_other(
    probabilities: Callable[[Tensor, float], Tensor],
) -> Callable[[Tensor, float, float], Tensor]:
    """Make an answer that chooses the tokens by other probabilities than it keeps."""

    def answer(logits: Tensor, temperature: float, top_p: float) -> Tensor:
        if temperature == 0:
            return _likeliest(logits)
        kept = keep_top_p(probabilities(logits, temperature).log(), top_p) > -math.inf
        return (logits / temperature).masked_fill(~kept, -math.inf).softmax(-1)

    return answer


def _filled(
    fill: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, float, float], Tensor]:
    """Make an answer that gets the tokens outside the nucleus out of the way otherwise."""

    def answer(logits: Tensor, temperature: float, top_p: float) -> Tensor:
        if temperature == 0:
            return _likeliest(logits)
        tempered = logits / temperature
        return fill(tempered, keep_top_p(tempered, top_p) > -math.inf)

    return answer


def _mask_left_sorted(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature == 0:
        return _likeliest(logits)
    probabilities = (logits / temperature).softmax(-1)
    kept = probabilities * _nucleus(probabilities.sort(descending=True).values, top_p)
    return kept / kept.sum()


def _unsorted(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature == 0:
        return _likeliest(logits)
    probabilities = (logits / temperature).softmax(-1)
    kept = probabilities * _nucleus(probabilities, top_p)
    return kept / kept.sum()


def _multiplied(logits: Tensor, t: float) -> Tensor:
    return (logits * t).softmax(-1)


def _nucleus_cases() -> list[Case]:
    return [
        (torch.tensor([0.4, 1.5, -0.6, 1.3]), 1.0, 0.5),
        (torch.tensor([0.4, 2.1, -0.6, 1.3, 1.7]), 2.0, 0.5),
        (torch.tensor([1.1, -0.3, 2.6, 0.2, 1.9]), 0.5, 0.6),
        (torch.tensor([0.7, 1.6, -1.2, 2.3, 0.9, 2.0, -0.4]), 1.5, 1.0),
        (torch.tensor([1.2, -0.7, 0.3, 2.4, 1.8]), 0.0, 0.9),
        (torch.tensor([1.5, 0.8, -0.9, 2.2, 0.1, 1.9, -1.4]), 1.3, 0.9),
        # All of these are low, and yet the best of them is likely; float32 has no place for their exp.
        (torch.tensor([-203.0, -200.5, -201.25, -200.0, -202.75]), 0.5, 0.95),
    ]


EXERCISE = Exercise(
    number="8.2",
    title="Temperature, and the nucleus",
    solution=next_token_probabilities,
    cases=_nucleus_cases,
    mistakes=[
        Mistake(
            "divided_by_zero",
            _always_divided,
            "At temperature 0 you divide by zero, and the result is NaN. As the temperature falls, ever "
            "more goes to the likeliest token; at 0 it gets everything. Treat 0 as a case of its own.",
            also=[
                lambda logits, t, p: keep_top_p(logits / t, p).softmax(-1),
                _drawn_with(at_zero=lambda logits: torch.full_like(logits, math.nan)),
                _drawn_with(at_zero=lambda logits: torch.zeros_like(logits)),
            ],
        ),
        Mistake(
            "zero_taken_for_one",
            _drawn_with(at_zero=lambda logits: keep_top_p(logits, 0.9).softmax(-1)),
            "At temperature 0 you leave the logits as they are, which is temperature 1. At 0 everything "
            "goes to the likeliest token.",
            also=[_drawn_with(at_zero=lambda logits: logits.softmax(-1))],
        ),
        Mistake(
            "zero_taken_for_infinity",
            _drawn_with(at_zero=lambda logits: torch.full_like(logits, 1 / len(logits))),
            "At temperature 0 all tokens are alike. That is what happens at a very high temperature. At 0 "
            "everything goes to the likeliest one.",
        ),
        Mistake(
            "token_returned",
            _drawn_with(at_zero=lambda logits: logits.argmax()),
            "At temperature 0 you return the token itself. The probabilities are asked for, in every case: 1 "
            "for the likeliest token and 0 for the others.",
            also=[_drawn_with(at_zero=lambda logits: int(logits.argmax()))],
        ),
        Mistake(
            "multiplied",
            _drawn_with(temper=_multiplied),
            "You multiply by the temperature. Then a low one makes the tokens alike, and a high one the "
            "likeliest still likelier. It is the other way round: divide.",
            also=[
                lambda logits, t, p: keep_top_p(logits * t, p).softmax(-1),
            ],
        ),
        Mistake(
            "after_the_softmax",
            _drawn_with(temper=lambda logits, t: logits.softmax(-1) / t),
            "You divide the probabilities by the temperature. All become larger or smaller by one factor, "
            "and the shares stay as they were. It is the logits that are divided, before the softmax.",
            also=[
                _drawn_with(temper=lambda logits, t: logits.softmax(-1) / t, renormalise=False),
                _drawn_with(temper=lambda logits, t: (logits.softmax(-1) / t).softmax(-1)),
            ],
        ),
        Mistake(
            "temperature_ignored",
            _drawn_with(temper=lambda logits, t: logits.softmax(-1)),
            "The temperature does nothing, or only at 0. Divide the logits by it, before the softmax.",
            also=[
                lambda logits, t, p: keep_top_p(logits, p).softmax(-1),
            ],
        ),
        Mistake(
            "nucleus_first",
            _nucleus_first,
            "You choose the nucleus before the temperature is applied. Then another number of tokens is "
            "kept: those that have p together at temperature 1. First the temperature, then the nucleus of "
            "what came out.",
            also=[
                _nucleus_of_other(lambda logits, t: _multiplied(logits, t)),
            ],
        ),
        Mistake(
            "nothing_left",
            _drawn_with(_without_crossing),
            "The token that crosses p is dropped, and where the first token alone has more than p, nothing "
            "is left: NaN, or zeros only. A token is kept if those before it have less than p together. For "
            "the first one that is always so.",
            also=[
                _drawn_with(_without_crossing, renormalise=False),
                _drawn_with(lambda q, p: q.cumsum(-1) < p),
                _drawn_with(
                    _without_crossing, back=lambda kept, order: kept[order.argsort()].nan_to_num()
                ),
            ],
        ),
        Mistake(
            "crossing_dropped",
            _drawn_with(_first_and_without_crossing),
            "The token with which the sum crosses p is dropped, so the kept ones have less than p together. "
            "It is the last one that is kept. Ask what the tokens before it have together: if that is less "
            "than p, it stays.",
        ),
        Mistake(
            "one_more",
            _drawn_with(_one_more),
            "You keep one token too many. The kept ones should be as few as have p together: once the sum "
            "has crossed p, the next one is out.",
        ),
        Mistake(
            "not_renormalised",
            _drawn_with(renormalise=False),
            "The right tokens are left, but their probabilities no longer sum to 1. Divide by their sum, or "
            "set the other logits to minus infinity and take the softmax again.",
        ),
        Mistake(
            "ascending",
            _drawn_with(descending=False),
            "You sort upwards, so the unlikely tokens are kept and the likely ones dropped. Sort with "
            "descending=True.",
            also=[
                _drawn_with(_without_crossing, descending=False),
                _drawn_with(_first_and_without_crossing, descending=False),
                _drawn_with(lambda q, p: q.cumsum(-1) >= p),
                _drawn_with(lambda q, p: q.cumsum(-1) > 1 - p),
            ],
        ),
        Mistake(
            "sorted_returned",
            _drawn_with(back=lambda kept, order: kept),
            "The numbers are right, but they stand in sorted order. The first place is token 0, whatever "
            "its rank. Put each one back where it came from: scatter, or index with order.",
        ),
        Mistake(
            "put_back_the_wrong_way",
            _drawn_with(back=lambda kept, order: kept[order]),
            "The numbers are right, but most stand at the wrong token. order says where each number came "
            "from, so write to these places: out[order] = kept. Reading kept[order] sorts a second time.",
        ),
        Mistake(
            "mask_left_sorted",
            _mask_left_sorted,
            "You decide in sorted order what is kept, and then use these decisions on the tokens as they "
            "were. The first tokens are kept, not the likeliest. Bring both to the same order.",
        ),
        Mistake(
            "not_sorted",
            _unsorted,
            "You add up the tokens as they come. So the first ones of the vocabulary are kept. Sort by "
            "probability before you add up.",
        ),
        Mistake(
            "single_probabilities",
            _drawn_with(lambda q, p: q >= p),
            "You compare each probability with p. p is about a sum: how much the likeliest tokens have "
            "together. Hardly any single token has that much.",
            also=[
                _drawn_with(lambda q, p: q >= p, renormalise=False),
                _drawn_with(lambda q, p: q >= 1 - p),
                _drawn_with(lambda q, p: q <= p),
                _drawn_with(lambda q, p: q < p, renormalise=False),
                _drawn_with(lambda q, p: (q >= p) | (torch.arange(len(q)) == 0)),
            ],
        ),
        Mistake(
            "share_of_the_largest",
            _drawn_with(_largest_rule),
            "You keep what has at least p times the largest probability. That is a rule that is used too, "
            "under the name min-p, but it is another one. The nucleus adds up.",
        ),
        Mistake(
            "share_of_the_tokens",
            _drawn_with(_number_kept),
            "You keep a share p of all tokens, always the same number. The nucleus keeps few where the "
            "model is sure and many where it is not.",
            also=[
                _drawn_with(lambda q, p: torch.arange(len(q)) < min(len(q), math.ceil(p * len(q)))),
            ],
        ),
        Mistake(
            "filled_with_zero",
            _filled(lambda logits, kept: (logits * kept).softmax(-1)),
            "The logits outside the nucleus are set to 0, and e to the power 0 is 1. So they come back. "
            "Minus infinity is what the softmax turns into 0.",
        ),
        Mistake(
            "filled_too_high",
            _filled(lambda logits, kept: logits.masked_fill(~kept, -10.0).softmax(-1)),
            "The logits outside the nucleus get some low number. But logits may be low themselves: only their "
            "differences count. One number is lower than any: minus infinity.",
            also=[
                _filled(lambda logits, kept: logits.masked_fill(~kept, -100.0).softmax(-1)),
                _filled(lambda logits, kept: logits.masked_fill(~kept, -20.0).softmax(-1)),
                _filled(lambda logits, kept: logits.masked_fill(~kept, -50.0).softmax(-1)),
            ],
        ),
        Mistake(
            "exp_rounded_to_zero",
            _drawn_with(temper=lambda logits, t: (logits / t).exp() / (logits / t).exp().sum()),
            "Where all logits are low, e to their power is rounded to 0, and 0 / 0 is NaN. Subtract the "
            "largest one first, as softmax does.",
        ),
        Mistake(
            "softmax_twice",
            _filled(lambda logits, kept: (logits.softmax(-1) * kept).softmax(-1)),
            "There is a softmax over probabilities. It makes them nearly equal, and turns a 0 into "
            "something again. To make them sum to 1, divide by their sum.",
            also=[
                _filled(
                    lambda logits, kept: (
                        logits.softmax(-1).masked_fill(~kept, -math.inf).softmax(-1)
                    )
                ),
            ],
        ),
        Mistake(
            "all_kept",
            _drawn_with(lambda q, p: q >= 0),
            "The temperature is right, but no token is dropped. Is the result kept? masked_fill and "
            "scatter return a new tensor.",
        ),
        Mistake(
            "logits_returned",
            _filled(lambda logits, kept: logits.masked_fill(~kept, -math.inf)),
            "These are logits. Probabilities are asked for: take the softmax at the end.",
        ),
        Mistake(
            "logarithms",
            _filled(lambda logits, kept: logits.masked_fill(~kept, -math.inf).log_softmax(-1)),
            "These are logarithms of the probabilities. The probabilities themselves are asked for.",
        ),
    ],
    laws=[
        Law(
            "the probabilities sum to 1",
            lambda out, logits, t, p: abs(float(out.sum()) - 1) < 1e-4,
        ),
        Law(
            "the likeliest token is kept",
            lambda out, logits, t, p: bool(out[logits.argmax()] == out.max()) and out.max() > 0,
        ),
    ],
)
