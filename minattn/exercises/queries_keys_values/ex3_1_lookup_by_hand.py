"""Exercise 3.1: a lookup built by hand."""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Exercise, Mistake
from minattn.exercises.telling import brief

_SHARP = 1e4
"""How far apart the largest and the smallest score are, when it is asked which keys are on top."""

_CLOSE = 0.01
"""How far an output may be off."""


def lookup(n_letters: int, n_places: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three projections with which every place gets the letter k places before it."""
    w_letter, w_place = _readers(n_letters, n_places)
    return 20 * math.sqrt(n_places) * w_place.roll(-k, 1), w_place, w_letter


def _readers(n_letters: int, n_places: int) -> tuple[Tensor, Tensor]:
    """Return what reads the letter of a token, and what reads its place."""
    whole = torch.eye(n_letters + n_places)
    return whole[:, :n_letters], whole[:, n_letters:]


def _lists(n_letters: int, n_places: int) -> Tensor:
    """Return two lists of letters, (2, n_places): the second goes through the alphabet backwards."""
    letters = np.random.default_rng(300 + n_places).integers(n_letters, size=n_places)
    return torch.tensor(np.stack([letters, n_letters - 1 - letters]))


def found(answer: Answer, n_letters: int, n_places: int, k: int) -> Any:
    """Return what the projections of an answer find in two lists, (2, n_places, n_letters).

    What is close enough is told as what is wanted. What finds the right places and gives the others too much is
    told as the same, however much it is: that depends on a number that may be anything.
    """
    made = answer(n_letters, n_places, k)
    if made is None or made is ...:
        return made
    w_q, w_k, w_v = _matrices(made, n_letters + n_places)
    letters = F.one_hot(_lists(n_letters, n_places), n_letters).float()
    x = torch.cat([letters, torch.eye(n_places).expand(2, -1, -1)], -1)
    scores = (x @ w_q) @ (x @ w_k).transpose(1, 2) / math.sqrt(w_q.shape[1])
    wanted, value = letters.roll(k, 1), x @ w_v
    output = scores.softmax(-1) @ value
    if output.shape != wanted.shape:
        return output
    if output.isnan().any():
        return torch.full_like(wanted, math.nan)
    spread = float(scores.max() - scores.min())
    sharp = (scores.double() * (_SHARP / max(spread, 1e-9))).softmax(-1).float() @ value
    if (output - wanted).abs().max() <= _CLOSE:
        return wanted
    return (wanted + 1 / n_places) / 2 if (sharp - wanted).abs().max() <= _CLOSE else output


def _matrices(made: Any, width: int) -> list[Tensor]:
    """Return the projections as numbers of one type.

    Raises:
        ValueError: if they are not three matrices for tokens of this width.
    """
    rule = f"return three matrices w_q, w_k and w_v with {width} rows each, one for each number of a token"
    if not isinstance(made, tuple | list) or len(made) != 3:
        raise ValueError(f"{rule}; got {brief(made)[:80]}")
    try:
        matrices = [torch.as_tensor(w).detach().float() for w in made]
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{rule}; got {brief(made)[:80]}") from None
    shapes = [tuple(w.shape) for w in matrices]
    if any(len(shape) != 2 or shape[0] != width for shape in shapes):
        raise ValueError(f"{rule}; got shapes {', '.join(map(str, shapes))}")
    if shapes[0] != shapes[1]:
        raise ValueError(f"queries and keys must have one width; got {shapes[0]} and {shapes[1]}")
    return matrices


_SCALES = (1.0, 20.0, 50.0, 100.0)
"""Numbers that learners multiply the queries by; whichever it is, the first list shows the mistake."""


def _shifted(by: int, sharpness: float) -> Answer:
    """Make an answer that looks so many places back for each that it should, with scores of its own."""

    def answer(n_letters: int, n_places: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
        w_letter, w_place = _readers(n_letters, n_places)
        return sharpness * w_place.roll(-by * k, 1), w_place, w_letter

    return answer


def _soft_from(n_places: int) -> Answer:
    """Make an answer that is sharp enough for fewer places, and too soft from so many on."""
    return lambda n_letters, n, k: _shifted(1, 1.0 if n >= n_places else 200.0)(n_letters, n, k)


def _by_letter(places_too: bool, sharpness: float) -> Answer:
    def answer(n_letters: int, n_places: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
        w_letter, w_place = _readers(n_letters, n_places)
        if not places_too:
            return sharpness * w_letter, w_letter, w_letter
        asked = torch.cat([w_letter, w_place.roll(-k, 1)], 1)
        return sharpness * asked, torch.eye(len(asked)), w_letter

    return answer


def _with_values(what: str, sharpness: float = 200.0) -> Answer:
    def answer(n_letters: int, n_places: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
        w_q, w_k, _ = _shifted(1, sharpness)(n_letters, n_places, k)
        whole = torch.eye(n_letters + n_places)
        return w_q, w_k, whole if what == "all" else w_k

    return answer


def _not_round(at_the_start: str, sharpness: float) -> Answer:
    """Make an answer whose first k places ask for nothing, or for the first place."""

    def answer(n_letters: int, n_places: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
        w_letter, w_place = _readers(n_letters, n_places)
        w_q = torch.zeros_like(w_place)
        for i in range(n_places):
            if i >= k or at_the_start == "first place":
                w_q[n_letters + i, max(i - k, 0)] = sharpness
        return w_q, w_place, w_letter

    return answer


def _always(k: int, sharpness: float) -> Answer:
    return lambda n_letters, n_places, _: _shifted(1, sharpness)(n_letters, n_places, k)


def _infinite(number: float) -> Answer:
    return lambda n_letters, n_places, k: _shifted(1, number)(n_letters, n_places, k)


def _told(n_letters: int, n_places: int, k: int) -> str:
    lists = [
        "".join(chr(ord("A") + i) for i in letters)
        for letters in _lists(n_letters, n_places).tolist()
    ]
    return (
        f"n_letters = {n_letters}, n_places = {n_places}, k = {k}; "
        f"tried on the lists {' and '.join(lists)}"
    )


EXERCISE = Exercise(
    number="3.1",
    title="A lookup built by hand",
    solution=lookup,
    cases=lambda: [(3, 4, 1), (2, 7, 3), (5, 11, 2), (7, 40, 13)],
    trial=found,
    tolerance=_CLOSE / 2,
    show_case=_told,
    mistakes=[
        Mistake(
            "too_soft",
            _shifted(1, 1.0),
            "The right places get the largest weights, and the others get too much. attend divides your "
            "scores by the root of the width of your queries, and then one score has to win against all "
            "other places together. What can you multiply w_q by?",
            also=[_soft_from(n) for n in (7, 11, 40)],
        ),
        Mistake(
            "keys_by_letter",
            _by_letter(True, 100.0),
            "Places are found by their letters: a letter takes part in queries and keys. The letter that is "
            "wanted is what nobody knows before the lookup. The score should read places only, and the value "
            "the letter only.",
            also=[_by_letter(False, 1.0), *(_by_letter(True, by) for by in (1.0, 20.0, 50.0))],
        ),
        Mistake(
            "looks_ahead",
            _shifted(-1, 100.0),
            "Every place gets the letter k places after it. The query of place i should fit the key of place "
            "i - k. Row i of w_q belongs to the one that asks: is roll or the index turned round, or are "
            "w_q and w_k exchanged?",
            also=[_shifted(-1, sharpness) for sharpness in _SCALES if sharpness != 100.0],
        ),
        Mistake(
            "values_carry_the_place",
            _with_values("all"),
            "The right places are found, and what they deliver holds the place. A value is what arrives, and "
            "here that is the letter, n_letters numbers. w_v may leave out what queries and keys need.",
            also=[
                _with_values("all", 1.0),
                _with_values("all", 20.0),
                _with_values("all", 50.0),
                *(_with_values("place", sharpness) for sharpness in (*_SCALES, 200.0)),
            ],
        ),
        Mistake(
            "not_round_the_list",
            _not_round("nothing", 100.0),
            "The first k places go wrong, and the others are right. k places before place 0 stands place "
            "n_places - k: the list is a ring. With a query of zeros all scores are 0, and the answer is a "
            "mean of all letters.",
            also=[
                _not_round(at_the_start, sharpness)
                for at_the_start in ("nothing", "first place")
                for sharpness in (20.0, 50.0, 100.0)
                if (at_the_start, sharpness) != ("nothing", 100.0)
            ],
        ),
        Mistake(
            "own_letter",
            _shifted(0, 100.0),
            "Every place gets its own letter: a place fits itself best (or its letter does, if you compare "
            "letters). The shift by k has to be in w_q or in w_k, but not in both; letters have no part in it.",
            also=[_shifted(0, sharpness) for sharpness in _SCALES if sharpness != 100.0],
        ),
        Mistake(
            "always_one_back",
            _always(1, 100.0),
            "Right for k = 1, and for other k the letter one place before comes as well. Does your function "
            "read k?",
            also=[_always(1, sharpness) for sharpness in (20.0, 50.0, 200.0)],
        ),
        Mistake(
            "infinite_scores",
            _infinite(math.inf),
            "There is an infinite number in w_q or w_k, or one so large that a score is. A matrix product "
            "multiplies it by zeros, 0 times infinity is NaN, and NaN spreads. How small is exp(-20)?",
        ),
    ],
)
