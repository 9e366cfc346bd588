"""Exercise 2.8: local attention."""

import math

import torch
from torch import Tensor

from minattn.alignment import masked_softmax
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

INF = math.inf


def local_weights(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    """Weigh only the keys near a given position, as Luong's local attention."""
    return masked_softmax(scores, _window(scores, center, reach) & mask)


def _window(scores: Tensor, center: Tensor, reach: int) -> Tensor:
    return (torch.arange(scores.shape[1]) - center[:, None]).abs() <= reach


def _half_open(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    offset = torch.arange(scores.shape[1]) - center[:, None]
    return masked_softmax(scores, (-reach <= offset) & (offset < reach) & mask)


def _sliced(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    for row, position in enumerate(center.tolist()):
        allowed[row, position - reach : position + reach + 1] = True
    return masked_softmax(scores, allowed & mask)


def _wrapped(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    for row, position in enumerate(center.tolist()):
        near = torch.arange(position - reach, position + reach + 1) % scores.shape[1]
        allowed[row, near] = True
    return masked_softmax(scores, allowed & mask)


def _pushed_inside(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    inside = center.clamp(reach, max(reach, scores.shape[1] - 1 - reach))
    return local_weights(scores, inside, reach, mask)


def _local_p(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    offset = torch.arange(scores.shape[1]) - center[:, None]
    bell = (-offset.square() / (2 * (reach / 2) ** 2)).exp()
    return local_weights(scores, center, reach, mask) * bell


def _local_cases() -> list[Case]:
    return [
        (numbers(190, 2, 5), torch.tensor([2, 3]), 1, _until(5, 5)),
        (numbers(191, 3, 7), torch.tensor([0, 4, 6]), 2, _until(7, 7)),
        (numbers(192, 2, 11), torch.tensor([5, 1]), 3, _until(7, 11)),
        (numbers(193, 3, 7), torch.tensor([3, 6, 1]), 1, _until(4, 7)),
        (numbers(194, 3, 5), torch.tensor([4, 0, 2]), 0, _until(4, 5)),
        (numbers(195, 2, 5), torch.tensor([1, 4]), 9, _until(3, 5)),
    ]


def _until(length: int, n: int) -> Tensor:
    return torch.arange(n) < length


EXERCISE = Exercise(
    number="2.8",
    title="Local attention",
    solution=local_weights,
    cases=_local_cases,
    mistakes=[
        Mistake(
            "half_open",
            _half_open,
            "Your window ends one key early: it has the keys before the centre, the centre, and one key "
            "too few after it. A range in Python leaves out its end. How many keys does a window with "
            "reach 1 have?",
        ),
        Mistake(
            "reach_is_total",
            lambda s, c, r, m: local_weights(s, c, r // 2, m),
            "Your window is about half as wide as it should be. The reach counts keys on each side of the "
            "centre, not of the whole window.",
        ),
        Mistake(
            "not_renormalised",
            lambda s, c, r, m: masked_softmax(s, m.expand(s.shape)) * _window(s, c, r),
            "The softmax runs over all keys, and then the window is cut out. The keys outside have "
            "already taken their part, so what is left does not sum to 1.",
        ),
        Mistake(
            "ends_left_out",
            lambda s, c, r, m: local_weights(s, c, r - 1, m),
            "Your window lacks its two ends. A key at a distance of exactly the reach still belongs to "
            "it: is your comparison strict?",
        ),
        Mistake(
            "padding_removed_late",
            lambda s, c, r, m: masked_softmax(s, _window(s, c, r)) * m,
            "Padding gets no weight in the end, but it took part in the softmax. What it took is lost, "
            "and the weights of such a query sum to less than 1.",
        ),
        Mistake(
            "no_window",
            lambda s, c, r, m: masked_softmax(s, m.expand(s.shape)),
            "Keys outside the window get weight: the window has no effect on your result.",
        ),
        Mistake(
            "padding_counted",
            lambda s, c, r, m: masked_softmax(s, _window(s, c, r)),
            "Padding inside the window gets weight. A key has to be in the window and to be a real "
            "token.",
        ),
        Mistake(
            "negative_index",
            _sliced,
            "At the start of a sentence your window is empty or wrong. A slice that begins below 0 "
            "counts from the end in Python. The part of the window before the sentence should simply "
            "be left out.",
        ),
        Mistake(
            "wrapped",
            _wrapped,
            "At the borders your window goes round to the other end of the sentence. The part of the "
            "window outside the sentence should simply be left out.",
        ),
        Mistake(
            "pushed_inside",
            _pushed_inside,
            "At the borders your window is pushed inside, so that it keeps its width. It should stay "
            "where it is and lose the part outside the sentence.",
        ),
        Mistake(
            "centred_on_query",
            lambda s, c, r, m: local_weights(s, torch.arange(len(s)), r, m),
            "Your window is centred on the number of the query. That would be right if source and target "
            "went in step; here the centre of each query is given.",
        ),
        Mistake(
            "local_p",
            _local_p,
            "Your weights fall off with the distance from the centre, by a Gaussian. That is Luong's "
            "local-p, whose centre is predicted. The task is the plain form: a softmax over the window.",
        ),
        Mistake(
            "scores_zeroed",
            lambda s, c, r, m: (s * (_window(s, c, r) & m)).softmax(-1),
            "Scores outside the window became 0. A score of 0 is not small: exp(0) is 1. Exercise 2.3 has "
            "the same trap.",
        ),
        Mistake(
            "inverted",
            lambda s, c, r, m: masked_softmax(s, ~_window(s, c, r) & m),
            "The window is taken the wrong way round: keys near the centre get nothing.",
            also=[lambda s, c, r, m: s.masked_fill(_window(s, c, r) & m, -INF).softmax(-1)],
        ),
        Mistake(
            "nan_for_blind_queries",
            lambda s, c, r, m: s.masked_fill(~(_window(s, c, r) & m), -INF).softmax(-1),
            "All is right but for a query whose window holds only padding: its row is NaN. Such a query "
            "may look at nothing. Exercise 2.3 has the same case.",
        ),
        Mistake(
            "uniform_for_blind_queries",
            lambda s, c, r, m: s.masked_fill(~(_window(s, c, r) & m), -1e9).softmax(-1),
            "All is right but for a query whose window holds only padding: it spreads its weight over "
            "keys that are all forbidden. Such a query may look at nothing.",
        ),
        Mistake(
            "centre_as_row",
            lambda s, c, r, m: torch.arange(s.shape[1]) - c,
            "The shapes do not meet: (keys,) and (queries,) are paired one to one. Every query needs "
            "a row of its own. What is the shape of center[:, None]?",
            also=[lambda s, c, r, m: c - torch.arange(s.shape[1])],
        ),
    ],
    laws=[
        Law(
            "a key farther than the reach gets weight 0",
            lambda out, s, c, r, m: bool((out[~_window(s, c, r)] == 0).all()),
        ),
        Law("padding gets weight 0", lambda out, s, c, r, m: bool((out[:, ~m] == 0).all())),
        Law(
            "the weights of a query sum to 1 if its window holds a token",
            lambda out, s, c, r, m: torch.allclose(
                out.sum(-1), (_window(s, c, r) & m).any(-1).float(), atol=1e-4
            ),
        ),
    ],
)
