"""Exercise 2.2: weights built by hand."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake
from minattn.exercises.telling import brief

BACK, AVERAGE = "look back", "average two"


def queries_and_keys(n: int, what: str) -> tuple[Tensor, Tensor]:
    """Return queries and keys of n positions whose dot products make the wanted weights."""
    return 20 * _wanted_keys(n, what), torch.eye(n)


def _wanted_keys(n: int, what: str) -> Tensor:
    """Return 1 for every key that gets weight, and 0 for every other."""
    wanted = torch.eye(n)[[0, *range(n - 1)]]
    return wanted if what == BACK else torch.maximum(wanted, torch.eye(n))


def _shares(chosen: Tensor) -> Tensor:
    return chosen / chosen.sum(1, keepdim=True)


_CLOSE = 0.01
"""How far a weight may be off."""


def weigh(answer: Answer, n: int, what: str) -> Any:
    """Return the weights that the queries and keys of an answer make.

    Weights that are close enough are told as those that are wanted, and all that have the right keys on top and
    give the others too much as the same ones: how much depends on a number that may be anything.
    """
    made = answer(n, what)
    if made is None or made is ...:
        return made
    query, key = _matrices(made, n)
    scores = query @ key.T
    weights, wanted = scores.softmax(-1), _shares(_wanted_keys(n, what))
    if weights.isnan().any():
        return torch.full_like(wanted, math.nan)
    if (weights - wanted).abs().max() <= _CLOSE:
        return wanted
    spread = float(scores.max() - scores.min())
    sharp = (scores.double() * (_SHARP / spread)).softmax(-1) if spread else weights
    if (sharp - wanted).abs().max() <= _CLOSE:
        return (wanted + 1 / n) / 2
    return weights


_SHARP = 1e4
"""How far apart the largest and the smallest score are, when it is asked which keys are on top."""


def _matrices(made: Any, n: int) -> tuple[Tensor, Tensor]:
    """Return queries and keys as numbers of one type.

    Raises:
        ValueError: if they are not two matrices of shape (n, d).
    """
    rule = f"return two matrices of shape (n, d), queries and keys, here with n = {n}"
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise ValueError(f"{rule}; got {brief(made)[:80]}")
    try:
        query, key = (torch.as_tensor(x).detach().float() for x in made)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{rule}; got {brief(made)[:80]}") from None
    if query.ndim != 2 or query.shape != key.shape or len(query) != n:
        raise ValueError(f"{rule}; got shapes {tuple(query.shape)} and {tuple(key.shape)}")
    return query, key


_HARD = 40.0


def _chosen(
    back: Callable[[int], Tensor], average: Callable[[int], Tensor], scale: float | int = _HARD
) -> Answer:
    """Make an answer whose queries and keys have these scores, times a number."""
    return lambda n, what: (scale * (back(n) if what == BACK else average(n)), torch.eye(n))


def _hard_and_soft(back: Callable[[int], Tensor], average: Callable[[int], Tensor]) -> list[Answer]:
    """Make such answers for some numbers; what is right but for being soft is another mistake."""
    scales = (_HARD, 20.0, 10.0) if back is _back else (_HARD, 20.0, 10.0, 1.0)
    return [_chosen(back, average, scale) for scale in scales]


def _back(n: int) -> Tensor:
    return _wanted_keys(n, BACK)


def _two(n: int) -> Tensor:
    return _wanted_keys(n, AVERAGE)


def _ahead(n: int) -> Tensor:
    return _back(n).flip(0, 1)


def _rolled(n: int, by: int = 1) -> Tensor:
    return torch.eye(n).roll(by, 0)


def _below(n: int) -> Tensor:
    """Return 1 below the diagonal, so that the first row has none."""
    return torch.diag(torch.ones(n - 1), -1)


def _before(n: int) -> Tensor:
    return torch.ones(n, n).tril()


def _strictly_before(n: int) -> Tensor:
    return torch.maximum(_before(n).tril(-1), _back(n))


def _with_self(chosen: Callable[[int], Tensor]) -> Callable[[int], Tensor]:
    return lambda n: torch.maximum(chosen(n), torch.eye(n))


def _on_a_circle(per_turn: float | int, scale: float | int = 2000.0) -> Answer:
    """Make an answer that puts positions on a circle, some of them to a turn."""

    def answer(n: int, what: str) -> tuple[Tensor, Tensor]:
        i = torch.arange(n)
        at = i - (1.0 if what == BACK else 0.5)
        at[0] = 0.0
        query, key = (2 * math.pi * x / per_turn for x in (at, i))
        return scale * torch.stack([query.cos(), query.sin()], 1), torch.stack(
            [key.cos(), key.sin()], 1
        )

    return answer


def _soft_for(*cases: Case) -> Answer:
    """Make an answer that is too soft in some cases, and right in all others."""
    return lambda n, what: (
        (1.0 if (n, what) in cases else _HARD) * _wanted_keys(n, what),
        torch.eye(n),
    )


def _weights_with(number: float | int) -> Answer:
    """Make an answer with a number where a score should be very small, or very large."""
    return lambda n, what: (
        torch.where(_wanted_keys(n, what) > 0, max(number, 0.0), min(number, 0.0)),
        torch.eye(n),
    )


def _swapped(scale: float | int) -> Answer:
    return lambda n, what: (torch.eye(n), scale * _wanted_keys(n, what))


EXERCISE = Exercise(
    number="2.2",
    title="Weights built by hand",
    solution=queries_and_keys,
    cases=lambda: [(n, what) for n in (4, 7, 40, 1, 2) for what in (BACK, AVERAGE)],
    trial=weigh,
    tolerance=_CLOSE / 2,
    mistakes=[
        Mistake(
            "too_soft",
            _chosen(_back, _two, 1.0),
            "The right keys get the largest weights, but the others get too much. A score of 1 beside scores "
            "of 0 is soon outvoted: the weight of the largest is e / (e + n - 1). What happens to the "
            "weights if you multiply all scores by a number?",
        ),
        Mistake(
            "too_soft_for_many",
            _soft_for((40, BACK), (40, AVERAGE)),
            "Right for a few positions, too soft for 40. Either the largest score is not large enough to "
            "win against so many others, or the positions stand so close together that the score of a "
            "neighbour is nearly as large. Multiply all scores by a larger number.",
            also=[
                _soft_for((40, BACK)),
                _soft_for((40, AVERAGE)),
                _soft_for((7, BACK), (40, BACK)),
                _soft_for((7, AVERAGE), (40, AVERAGE)),
                _soft_for((7, BACK), (40, BACK), (40, AVERAGE)),
                _soft_for((7, AVERAGE), (40, BACK), (40, AVERAGE)),
                _soft_for((7, BACK), (7, AVERAGE), (40, BACK), (40, AVERAGE)),
            ],
        ),
        Mistake(
            "infinite_scores",
            _weights_with(math.inf),
            "There is an infinite number in your queries or keys (or one so large that the score is), and "
            "the weights are NaN: a dot product multiplies it by zeros, and 0 times infinity is not a "
            "number. The scores need not be infinite: how small is exp(-20)?",
            also=[_weights_with(-math.inf)],
        ),
        Mistake(
            "swapped",
            _swapped(_HARD),
            "Queries and keys have changed places, or the table of scores is transposed. A row belongs to "
            "the position that asks, a column to the one that is looked at. Some position is now looked at "
            "by nobody that should, and the last one does not know where to look.",
            also=[
                *map(_swapped, (20.0, 10.0, 1.0)),
                *(
                    _chosen(
                        lambda n: _back(n).T,
                        lambda n: (_back(n) + torch.eye(n)).T,
                        scale,
                    )
                    for scale in (_HARD, 20.0, 10.0, 1.0)
                ),
            ],
        ),
        Mistake(
            "looks_ahead",
            _chosen(_ahead, _with_self(_ahead)),
            "Your positions look one ahead, to i + 1. The one before position i is i - 1: row 3 of the "
            "weights should have its weight in column 2.",
            also=[
                *_hard_and_soft(_ahead, _with_self(_ahead))[1:],
                *_hard_and_soft(lambda n: _rolled(n, -1), _with_self(lambda n: _rolled(n, -1))),
                *_hard_and_soft(
                    lambda n: torch.diag(torch.ones(n - 1), 1),
                    _with_self(lambda n: torch.diag(torch.ones(n - 1), 1)),
                ),
            ],
        ),
        Mistake(
            "wraps_around",
            _chosen(_rolled, _with_self(_rolled)),
            "Position 0 looks at the last position. That happens with roll, with the index -1, and on a "
            "circle that is closed. Nothing stands before position 0, so it should look at itself.",
            also=[
                *_hard_and_soft(_rolled, _with_self(_rolled))[1:],
                *_hard_and_soft(_rolled, _two),
                *_hard_and_soft(_back, _with_self(_rolled)),
            ],
        ),
        Mistake(
            "first_row_of_zeros",
            _chosen(_below, _with_self(_below)),
            "Position 0 looks everywhere: all its scores are the same. It has nothing before it, so its row "
            "was left at zeros, and a softmax makes equal weights of equal scores. Let it look at itself.",
            also=[
                *_hard_and_soft(_below, _with_self(_below))[1:],
                *_hard_and_soft(_below, _below),
                *_hard_and_soft(
                    _below, lambda n: torch.maximum(_below(n), torch.eye(n) - torch.eye(n)[:1].T)
                ),
            ],
        ),
        Mistake(
            "averages_all_before",
            _chosen(_back, _before),
            "Every position shares its weight among all positions before it, and not between two. All of "
            "them have the same score. Which keys should have a smaller one?",
            also=[
                *_hard_and_soft(_back, _before)[1:],
                *_hard_and_soft(_before, _before),
                *_hard_and_soft(_strictly_before, _before),
            ],
        ),
        Mistake(
            "always_look_back",
            _chosen(_back, _back),
            'The task "average two" gets the weights of "look back". The second argument says which weights '
            "are wanted: does your function read it?",
            also=[*_hard_and_soft(_back, _back)[1:], *_hard_and_soft(_back, _below)],
        ),
        Mistake(
            "always_average",
            _chosen(_two, _two),
            'The task "look back" gets the weights of "average two". The second argument says which weights '
            "are wanted: does your function read it?",
            also=_hard_and_soft(_two, _two)[1:],
        ),
        Mistake(
            "looks_at_itself",
            _chosen(torch.eye, _two),
            "Every position looks at itself. If queries and keys are the same, each key fits its own query "
            "best. The query of position i should fit the key of position i - 1.",
            also=[
                *_hard_and_soft(torch.eye, _two)[1:],
                *_hard_and_soft(torch.eye, torch.eye),
            ],
        ),
        Mistake(
            "two_before",
            _chosen(_back, lambda n: torch.maximum(_back(n), _back(n) @ _back(n))),
            "The average leaves position i itself out: it takes the two before. The task wants i - 1 and i.",
            also=_hard_and_soft(_back, lambda n: torch.maximum(_back(n), _back(n) @ _back(n)))[1:],
        ),
        Mistake(
            "all_alike",
            lambda n, what: (torch.zeros(n, 1), torch.zeros(n, 1)),
            "All keys get the same weight: for every query all scores are equal. The keys have to differ, so "
            "that a query can fit one better than another.",
        ),
        Mistake(
            "positions_repeat",
            _on_a_circle(8),
            "Right for a few positions, but of 40 some share the same key: whoever looks at one looks at "
            "the other too. If your positions are angles, they go round the circle more than once. Make a "
            "step so small that 40 positions have room.",
            also=[_on_a_circle(turn) for turn in (10, 12, 16, 20, 24, 30, 32, 36)],
        ),
    ],
)
