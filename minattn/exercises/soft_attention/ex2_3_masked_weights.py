"""Exercise 2.3: masked weights."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from minattn.alignment import masked_softmax
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

INF = math.inf


def masked_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Turn scores into weights where the mask is True; a query with nothing allowed gets zeros."""
    return masked_softmax(scores, mask)


def _indexed(scores: Tensor, mask: Tensor) -> Tensor:
    filled = scores.clone()
    filled[~mask] = -INF
    return filled.softmax(-1).nan_to_num()


def _blind_by_index(scores: Tensor, mask: Tensor) -> Tensor:
    weights = scores.masked_fill(~mask, -INF).softmax(-1)
    weights[~mask.any(-1)] = 0.0
    return weights


def _masked_late(scores: Tensor, mask: Tensor, epsilon: float = 0.0) -> Tensor:
    weights = scores.softmax(-1) * mask
    return weights / (weights.sum(-1, keepdim=True) + epsilon)


def _masked_powers(scores: Tensor, mask: Tensor, epsilon: float = 0.0) -> Tensor:
    powers = scores.exp() * mask
    return powers / (powers.sum(-1, keepdim=True) + epsilon)


def _filled(fill: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Make an answer that is right, but that it puts a number in the place of forbidden scores."""
    return lambda s, m: s.masked_fill(~m, fill).softmax(-1) * m.any(-1, keepdim=True)


def _sees(mask: Tensor) -> Tensor:
    return mask.any(-1, keepdim=True)


def _mask_cases() -> list[Case]:
    t, f = True, False
    some = numbers(123, 2, 3, 5) > -0.5
    some[:, :, 1] = True
    large = torch.tensor([[[0.5, 200.0, -1.0], [1.0, -0.5, 0.0]]])
    blind = torch.tensor([[[f, f, f], [t, f, t]]])
    return [
        (numbers(120, 1, 2, 3), torch.tensor([[[t, f, t], [t, t, f]]])),
        (numbers(122, 2, 3, 5), some),
        (numbers(124, 2, 5, 3), torch.tensor([[[t, t, f]], [[f, t, t]]])),
        (large, torch.tensor([[[t, f, t], [t, t, f]]])),
        (numbers(126, 1, 2, 3), blind),
        (numbers(127, 3, 2, 5), _blind_sentence()),
        (torch.tensor([[[-60.0, 2.0, -61.0], [-50.0, -50.0, 0.5]]]), torch.tensor([[[t, f, t]]])),
    ]


def _blind_sentence() -> Tensor:
    """Allow nothing to the second of three sentences, and to one query of the third."""
    mask = numbers(128, 3, 2, 5) > -0.5
    mask[:, :, 2], mask[1], mask[2, 0] = True, False, False
    return mask


def _blind_rows_are_zero(out: Tensor, scores: Tensor, mask: Tensor) -> bool:
    blind = ~mask.any(-1).expand(out.shape[:-1])
    return bool((out[blind] == 0).all())


def _seeing_rows_sum_to_one(out: Tensor, scores: Tensor, mask: Tensor) -> bool:
    sees = mask.any(-1).expand(out.shape[:-1])
    return torch.allclose(out.sum(-1)[sees], torch.ones(int(sees.sum())), atol=1e-4)


EXERCISE = Exercise(
    number="2.3",
    title="Masked weights",
    solution=masked_weights,
    cases=_mask_cases,
    mistakes=[
        Mistake(
            "mask_inverted",
            lambda s, m: s.masked_fill(m, -INF).softmax(-1),
            "The mask is taken the wrong way round: what may be looked at gets nothing. Here True means "
            "that a query may look. masked_fill fills where its mask is True, which is not the same "
            "thing.",
            also=[
                lambda s, m: masked_softmax(s, ~m),
                lambda s, m: s.masked_fill(m, -1e9).softmax(-1),
                lambda s, m: s.softmax(-1) * ~m,
            ],
        ),
        Mistake(
            "scores_zeroed",
            lambda s, m: (s * m).softmax(-1),
            "The forbidden scores became 0. A score of 0 is not small: exp(0) is 1, and it may even beat "
            "an allowed score below 0. Which score gives exactly no weight? (Filling with 1e-9 instead "
            "of -1e9 looks the same.)",
            also=[lambda s, m: (s * m).softmax(-1) * m],
        ),
        Mistake(
            "not_renormalised",
            lambda s, m: s.softmax(-1) * m,
            "The mask comes after the softmax, and nothing is shared out again. The forbidden keys have "
            "already taken their part, so the weights of a query sum to less than 1. Let the mask act on "
            "the scores, before they compete.",
        ),
        Mistake(
            "masked_too_late",
            _masked_late,
            "The mask comes too late: a forbidden score of 200 spoils its row. After a softmax it has all "
            "the weight, and the others are 0 in single precision: nothing is left to share out. After "
            "exp alone it is infinite, and infinite times 0 is NaN. Let the mask act on the scores.",
            also=[
                lambda s, m: _masked_late(s, m, 1e-9),
                lambda s, m: torch.where(_sees(m), _masked_late(s, m), 0.0),
                lambda s, m: _masked_late(s, m).nan_to_num(),
                lambda s, m: _masked_powers(s, m),
                lambda s, m: _masked_powers(s, m).nan_to_num(),
                lambda s, m: _masked_powers(s, m, 1e-9),
            ],
        ),
        Mistake(
            "nan_everywhere",
            lambda s, m: (s + ~m * -INF).softmax(-1),
            "Every weight is NaN: 0 times infinity is not 0 but NaN, so multiplying a mask with -inf "
            "spoils the allowed scores. Choose between two values instead of multiplying.",
        ),
        Mistake(
            "nan_for_blind_queries",
            lambda s, m: s.masked_fill(~m, -INF).softmax(-1),
            "All is right but for a query that may look at nothing: its row is NaN, 0 divided by 0. One "
            "such row makes the loss NaN, and then the whole model. In this book such a query gets "
            "zeros. How can you tell which queries those are?",
        ),
        Mistake(
            "uniform_for_blind_queries",
            lambda s, m: s.masked_fill(~m, -1e9).softmax(-1),
            "All is right but for a query that may look at nothing: it now spreads its weight over "
            "keys that are all forbidden. A large negative number is only small beside others. In "
            "this book such a query gets zeros.",
            also=[
                lambda s, m: (s + torch.where(m, 0.0, -1e9)).softmax(-1),
                lambda s, m: (s + torch.where(m, 0.0, -1e4)).softmax(-1),
                lambda s, m: masked_softmax(s, m | ~m.any(-1, keepdim=True)),
            ],
        ),
        Mistake(
            "filled_too_high",
            _filled(-20.0),
            "Forbidden scores get a number that is not low enough: some allowed scores lie lower still, and "
            "then it is the forbidden keys that win. Which score is below every other one?",
            also=[
                *(_filled(fill) for fill in (-10.0, -30.0, -50.0)),
                *(
                    lambda s, m, fill=fill: s.masked_fill(~m, fill).softmax(-1)
                    for fill in (-10.0, -20.0, -30.0, -50.0)
                ),
            ],
        ),
        Mistake(
            "mask_added",
            lambda s, m: (s + m.float()).softmax(-1),
            "The mask is added to the scores as it is: allowed keys get one more, and forbidden keys "
            "still get weight. What would have to be added so that exp gives exactly 0?",
        ),
        Mistake(
            "not_masked",
            lambda s, m: s.softmax(-1),
            "The mask has no effect. Many operations return a new tensor and leave the old one as it "
            "was: is the result of masked_fill kept?",
        ),
        Mistake(
            "over_queries",
            lambda s, m: s.masked_fill(~m, -INF).softmax(1),
            "The softmax runs over the queries. The keys compete for the weight of one query: look at "
            "the axis.",
            also=[lambda s, m: s.masked_fill(~m, -INF).softmax(1).nan_to_num()],
        ),
        Mistake(
            "mask_as_index",
            _indexed,
            "It works until the mask has one row for all queries, shape (batch, 1, keys). Picking numbers "
            "with a mask in square brackets wants equal shapes. Functions such as masked_fill and where "
            "broadcast.",
            also=[_blind_by_index],
        ),
        Mistake(
            "no_keepdim",
            lambda s, m: torch.where(m.any(-1), s.masked_fill(~m, -INF).softmax(-1), 0.0),
            "The shapes do not meet: any (or sum) over the keys has dropped their axis, so that (batch, "
            "queries) meets (batch, queries, keys). With keepdim=True the axis stays, with length 1, "
            "and broadcasts.",
            also=[
                lambda s, m: s.masked_fill(~m, -INF).softmax(-1) * m.any(-1),
                lambda s, m: s.masked_fill(~m, -INF).softmax(-1).masked_fill(~m.any(-1), 0.0),
            ],
        ),
    ],
    laws=[
        Law("a forbidden key gets weight 0", lambda out, s, m: bool((out * ~m == 0).all())),
        Law("a query that may look at nothing gets only zeros", _blind_rows_are_zero),
        Law("the weights of every other query sum to 1", _seeing_rows_sum_to_one),
    ],
)
