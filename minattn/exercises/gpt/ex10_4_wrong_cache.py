"""Exercise 10.4: find the bug: a cache that changes the text."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake
from minattn.exercises.gpt.wrong_caches import (
    CachedModel,
    first_kept,
    first_place,
    moved_at,
    newest_place_late,
    not_a_number,
    rounded,
    swapped,
    window,
)

FAINTLY = "logits that move by a thousandth, from place 3 on"
FAVOURITE = "a window in the cache, and one token that is always the best guess"
ROUNDED = "a sound cache, whose logits move by less than a millionth"
NO_NUMBERS = "a cache that gives NaN from place 3 on"

_MODELS = [
    CachedModel("a cache in which every token has place 0", first_place),
    CachedModel("a sound cache"),
    CachedModel("a cache that forgets all but three tokens", window),
    CachedModel("a newest token that stands one place too far", newest_place_late),
    CachedModel("a cache that keeps the first four tokens and the newest", first_kept),
    CachedModel("other logits at place 4 alone", spoils=moved_at(4)),
    CachedModel("other logits at the last place alone", spoils=moved_at(6)),
    CachedModel("one logit that is lower, from place 2 on", spoils=moved_at(*range(2, 7), by=[-1])),
    CachedModel("one logit that is higher, from place 5 on", spoils=moved_at(5, 6, by=[0.8])),
    CachedModel("two logits that have changed places, from place 2 on", spoils=swapped),
    CachedModel(FAINTLY, spoils=moved_at(*range(3, 7), by=[1e-3, -1e-3])),
    CachedModel(FAVOURITE, window, favourite=5),
    CachedModel(ROUNDED, spoils=rounded),
    CachedModel(NO_NUMBERS, spoils=not_a_number),
    CachedModel("other logits at place 0 alone", spoils=moved_at(0)),
]

All = Callable[[Sequence[int]], Tensor]
Start = Callable[[], Any]
StepTo = Callable[[int, Any], tuple[Tensor, Any]]
Close = Callable[[Tensor, Tensor], bool]


def first_difference(all_logits: All, start: Start, step: StepTo, ids: Sequence[int]) -> int | None:
    """Return the first place at which a model says something else with its cache than without."""
    return min(_differing(all_logits, start, step, ids), default=None)


def _differing(
    all_logits: All,
    start: Start,
    step: StepTo,
    ids: Sequence[int],
    *,
    close: Close = torch.allclose,
    carry: bool = True,
    own: bool = False,
    shift: int = 0,
) -> list[int]:
    """Return all places at which the two ways differ, for some reason to call them so.

    Args:
        all_logits: the way without a cache.
        start: makes the first state.
        step: one step of the way with a cache.
        ids: the text.
        close: tells whether logits are the same.
        carry: whether the state is handed on.
        own: whether the model reads its own best guess, from the second token on.
        shift: by how many places the two are compared awry.
    """
    whole, state, token = all_logits(ids), start(), ids[0]
    cached: list[Tensor] = []
    for given in ids:
        logits, after = step(token if own and cached else given, state)
        state = after if carry else state
        token = int(logits.argmax())
        cached.append(logits)
    n = len(ids)
    pairs = [(i, i + shift) for i in range(n) if 0 <= i + shift < n]
    return [i for i, j in pairs if not close(cached[i], whole[j])]


def _first(**otherwise: Any) -> Answer:
    """Make an answer that returns the first place where something else is true."""
    return lambda *case: min(_differing(*case, **otherwise), default=None)


def _turned(turn: Callable[[list[int], list[int]], Any], **otherwise: Any) -> Answer:
    """Make an answer of the right places, and of the text."""
    return lambda *case: turn(_differing(*case, **otherwise), case[3])


def _among(places: Callable[[int], Iterable[int]]) -> Answer:
    """Make an answer that looks at some places only."""
    return _turned(
        lambda found, ids: next((i for i in places(len(ids)) if i in found), None),
    )


def _within(x: Tensor, y: Tensor, *, most: float) -> bool:
    return bool((x - y).abs().max() <= most)


def _never_more(x: Tensor, y: Tensor) -> bool:
    """Tell whether no number differs by more, which is never so of what is none."""
    return not bool((x - y).abs().max() > 1e-6)


def _sums(x: Tensor, y: Tensor) -> bool:
    return bool(torch.allclose(x.sum(), y.sum()))


def _cases() -> list[Case]:
    # In the second one, the model itself would go on with the second token.
    texts = [3, 0, 5, 2], [5, 3, 0, 4, 1, 0, 2]
    return [
        (model.all_logits, model.start, model.step, list(texts[i > 1]))
        for i, model in enumerate(_MODELS)
    ]


def _shown(all_logits: Any, start: Any, step: Any, ids: list[int]) -> str:
    return f"{all_logits.__self__}, ids = {ids}"


EXERCISE = Exercise(
    number="10.4",
    title="Find the bug: a cache that changes the text",
    solution=first_difference,
    cases=_cases,
    show_case=_shown,
    mistakes=[
        Mistake(
            "always_none",
            _turned(lambda found, ids: None),
            "Your function never finds a difference. Do both results come from the same call? One comes from "
            "all_logits, the other from one step after the other.",
        ),
        Mistake(
            "state_dropped",
            _first(carry=False),
            "Even a sound cache seems to be wrong at place 1: one of the two ways has read a single token. step "
            "returns the next state too: hand it to the next step, and call start only once. all_logits needs all "
            "the tokens so far.",
        ),
        Mistake(
            "own_text",
            _first(own=True),
            "The cached way reads its own best guesses and not ids. Then the two ways read different texts. Give "
            "both the same tokens.",
        ),
        Mistake(
            "place_against_the_next",
            _first(shift=1),
            "You compare the logits of different places. After step has read ids[i], its logits are those of row "
            "i of all_logits.",
            also=[_first(shift=-1)],
        ),
        Mistake(
            "last_difference",
            _turned(lambda found, ids: max(found, default=None)),
            "This is the last place that differs. The first is asked for: whatever went wrong went wrong there. "
            "Return as soon as you find it.",
        ),
        Mistake(
            "last_place_only",
            _among(lambda n: [n - 1]),
            "You compare the last place only. A cache may be wrong in the middle and right at the end, and the "
            "first place is asked for. Compare after every step.",
        ),
        Mistake(
            "counted_from_one",
            _turned(lambda found, ids: found[0] + 1 if found else None),
            "The place is counted from 1. The first token stands at place 0.",
        ),
        Mistake(
            "last_place_that_agrees",
            _turned(lambda found, ids: found[0] - 1 if found else None),
            "This is the last place at which both agree. The first at which they differ is the one behind it.",
        ),
        Mistake(
            "all_places",
            _turned(lambda found, ids: found),
            "You return all places that differ. The first one is asked for, and None if there is none.",
            also=[_turned(lambda found, ids: found or None), _turned(lambda f, ids: f[:1])],
        ),
        Mistake(
            "how_many",
            _turned(lambda found, ids: len(found)),
            "You return how many places differ. Asked for is the first of them.",
        ),
        Mistake(
            "truth_value",
            _turned(lambda found, ids: bool(found)),
            "You say whether there is a difference. Asked for is where the first one is.",
            also=[_turned(lambda found, ids: not found)],
        ),
        Mistake(
            "number_for_none",
            _turned(lambda found, ids: min(found, default=-1)),
            "If there is no difference, you return a number. It would be taken for a place: return None.",
            also=[
                _turned(lambda found, ids: min(found, default=len(ids))),
                _turned(lambda found, ids: min(found, default=0)),
                _turned(lambda found, ids: min(found, default=False)),
            ],
        ),
        Mistake(
            "the_token",
            _turned(lambda found, ids: ids[found[0]] if found else None),
            "You return the token. Asked for is its place.",
        ),
        Mistake(
            "place_0_lost",
            _turned(lambda found, ids: min(found, default=None) or None),
            "A difference at place 0 is lost. 0 counts as False in Python: ask `is not None`, or return at once.",
        ),
        Mistake(
            "first_left_out",
            _among(lambda n: range(1, n)),
            "You leave out place 0. A cache that is empty at first may be wrong just there.",
        ),
        Mistake(
            "end_left_out",
            _among(lambda n: range(n - 1)),
            "You leave out the last place. Its logits are what the model would say next. A range ends before its "
            "end.",
        ),
        Mistake(
            "exactly_equal",
            _first(close=torch.equal),
            "You report rounding. Two ways of adding the same numbers differ in the last digits, which is no bug. "
            "Compare with torch.allclose.",
            also=[_first(close=partial(_within, most=1e-12))],
        ),
        Mistake(
            "too_rough",
            _first(close=partial(_within, most=1e-2)),
            "Your comparison is too rough. In one model the logits move by a thousandth; rounding moves them by "
            "less than a millionth.",
            also=[_first(close=partial(_within, most=most)) for most in (1e-1, 1.5e-3)],
        ),
        Mistake(
            "best_guess_only",
            _first(close=lambda x, y: bool(x.argmax() == y.argmax())),
            "You compare the best guesses, or the texts that the model writes. The logits may move and leave the "
            "same one the largest: the bug shows only in another text. Compare all the logits.",
            also=[_first(close=lambda x, y: bool(torch.isclose(x.max(), y.max())))],
        ),
        Mistake(
            "sums_compared",
            _first(close=_sums),
            "You compare sums or means of the logits. In one model two logits have changed places, and the sum is "
            "the same. Compare each logit.",
            also=[_first(close=lambda x, y: abs(float((x - y).mean())) < 1e-5)],
        ),
        Mistake(
            "no_absolute_value",
            _first(close=lambda x, y: bool((x - y).max() < 1e-6)),
            "You look at differences in one direction only. In some models the logits are only lower, or only "
            "higher. Take abs() before max().",
            also=[_first(close=lambda x, y: bool((y - x).max() < 1e-6))],
        ),
        Mistake(
            "nan_overlooked",
            _first(close=_never_more),
            "One cache gives NaN, and you overlook it. A comparison with NaN is never true, so `difference > "
            "limit` does not find it. Ask for what is close, and report what is not: torch.allclose.",
        ),
    ],
)
