"""Exercise 18.4: find the bug: where and what are mixed."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor

from minattn.exercises.comparing import as_array
from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.training import seeded


def route(
    patches: Tensor,
    places: Tensor,
    command: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
) -> Tensor:
    """Return what each patch of the answer fetches: places and command say where, content is what."""
    return _route(patches, places, command, w_query, w_key, w_value)


def _route(
    patches: Tensor,
    places: Tensor,
    command: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    *,
    query_content: bool = False,
    key_content: bool = False,
    value_place: bool = False,
    query_place: bool = True,
    key_place: bool = True,
    commanded: bool = True,
    value_command: bool = False,
    axis: int = -1,
    scaled: bool = True,
) -> Tensor:
    """Route with some of the leaks, or with too much taken away.

    Args:
        patches: what is in each patch.
        places: where each is.
        command: one for each picture.
        w_query: makes queries.
        w_key: makes keys.
        w_value: makes values.
        query_content: whether queries see what is in their own place.
        key_content: whether keys see what is in theirs.
        value_place: whether values say where they are.
        query_place: whether queries know their place.
        key_place: whether keys know theirs.
        commanded: whether queries know the command.
        value_command: whether values know it.
        axis: of (pictures, queries, keys), the one that the weights sum to 1 along.
        scaled: whether scores are divided by the root of the width.
    """
    told = command[:, None]
    query = places * query_place + patches * query_content + told * commanded
    key = places * key_place + patches * key_content
    value = patches + places * value_place + told * value_command
    scores = query @ w_query @ (key @ w_key).mT
    scores = scores / w_key.shape[1] ** 0.5 if scaled else scores
    return scores.softmax(axis) @ (value @ w_value)


def _leaking(is_so: Callable[..., bool], key_place: bool = True) -> list[Answer]:
    """List the combinations of leaks for which something is so."""
    route = partial(_route, key_place=key_place)
    return [
        partial(route, query_content=query, key_content=key, value_place=value)
        for query, key, value in product((False, True), repeat=3)
        if is_so(query, key, value)
    ]


def _what_leaks(answer: Answer, case: Case) -> tuple[str, str]:
    """Find out by experiments what an answer mixes or has lost; say nothing of one that stops."""
    try:
        with seeded(0):
            found = [what for what, experiment in _EXPERIMENTS.items() if experiment(answer, *case)]
    except (Exception, SystemExit):
        return "", ""
    return ("Found by experiment: " + "; ".join(found) + "." if found else ""), ""


def _run(answer: Answer, patches: Tensor, *rest: Tensor) -> Tensor:
    """Run an answer on a copy; it may give numbers of NumPy or of torch."""
    out = as_array(answer(patches.clone(), *(x.clone() for x in rest)))
    if out.shape != (*patches.shape[:2], rest[-1].shape[1]):
        raise ValueError("no experiment is made with a result of another shape")
    return torch.from_numpy(out).double()


def _differ(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) > 1e-3


def _bends(answer: Answer, patches: Tensor, *rest: Tensor) -> bool:
    """Tell whether the answer is no straight line in the first feature of the patches.

    It is one if the weights do not see this feature: then only the values grow.
    """
    grown = []
    for factor in (0, 2, 4):
        other = patches.clone()
        other[..., 0] *= factor
        grown.append(_run(answer, other, *rest))
    return _differ(grown[0] + grown[2], 2 * grown[1])


def _blind_to_first(w: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(w[:1]), w[1:]])


def _queries_see(answer: Answer, patches: Tensor, *rest: Tensor) -> bool:
    """Change a feature that the keys do not have."""
    places, command, w_query, w_key, w_value = rest
    return _bends(answer, patches, places, command, w_query, _blind_to_first(w_key), w_value)


def _keys_see(answer: Answer, patches: Tensor, *rest: Tensor) -> bool:
    """Change a feature that the queries do not have."""
    places, command, w_query, w_key, w_value = rest
    return _bends(answer, patches, places, command, _blind_to_first(w_query), w_key, w_value)


def _values_say(answer: Answer, patches: Tensor, places: Tensor, *rest: Tensor) -> bool:
    """Route an empty picture, with places and without."""
    empty = torch.zeros_like(patches)
    nowhere = torch.zeros_like(places)
    return _differ(_run(answer, empty, places, *rest), _run(answer, empty, nowhere, *rest))


def _command_delivered(answer: Answer, patches: Tensor, places: Tensor, *rest: Tensor) -> bool:
    """Route empty pictures without places, by different commands."""
    empty = _run(answer, torch.zeros_like(patches), torch.zeros_like(places), *rest)
    return _differ(empty[0], empty[1])


def _sums_differ(answer: Answer, patches: Tensor, *rest: Tensor) -> bool:
    """Route a picture of equal patches, if nothing but content is delivered."""
    found = _run(answer, torch.ones_like(patches), *rest)
    return not _values_say(answer, patches, *rest) and _differ(found, found[:, :1])


def _all_alike(answer: Answer, *case: Tensor) -> bool:
    found = _run(answer, *case)
    return bool(found.any()) and not _differ(found, found[:, :1])


def _command_lost(answer: Answer, patches: Tensor, places: Tensor, *rest: Tensor) -> bool:
    command, *weights = rest
    found = [_run(answer, patches, places, x, *weights) for x in (command, command.flip(0))]
    return not _differ(*found) and not _all_alike(answer, patches, places, *rest)


_EXPERIMENTS: dict[str, Callable[..., bool]] = {
    "what a query asks depends on what is in the picture": _queries_see,
    "what a key offers depends on what is in the picture": _keys_see,
    "places come out of an empty picture": _values_say,
    "the command comes out of an empty picture": _command_delivered,
    "a picture of equal patches comes out with different ones": _sums_differ,
    "every patch of the answer is the same": _all_alike,
    "the command changes nothing": _command_lost,
}


def _case(seed: int, n_pictures: int, n_patches: int, d: int, d_key: int) -> Case:
    patches, places = numbers(seed, n_pictures, n_patches, d), numbers(seed + 1, n_patches, d)
    w_query, w_key = numbers(seed + 2, 2, d, d_key) / d**0.5
    w_value = numbers(seed + 3, d, d) / d**0.5
    return patches, places, numbers(seed + 4, n_pictures, d), w_query, w_key, w_value


def _cases() -> list[Case]:
    return [_case(1840, 2, 4, 3, 2), _case(1850, 2, 7, 5, 3), _case(1860, 3, 11, 7, 5)]


EXERCISE = Exercise(
    number="18.4",
    title="Where and what",
    solution=route,
    cases=_cases,
    locate=_what_leaks,
    mistakes=[
        Mistake(
            "queries_see_content",
            partial(_route, query_content=True),
            "A query still sees what is in its own place of the picture. What is there has nothing to do with what "
            "shall come there. With other content, attention goes astray: ask with place and command alone.",
            also=[
                *_leaking(lambda query, key, value: query),
                partial(_route, query_place=False, query_content=True),
                partial(_route, query_place=False, query_content=True, value_place=True),
                partial(_route, query_place=False, query_content=True, key_content=True),
            ],
        ),
        Mistake(
            "keys_see_content",
            partial(_route, key_content=True),
            "The keys still see what is in the picture. A bright patch then draws more or fewer queries than a dark "
            "one, and on a picture unlike all others they go astray. A command tells places: make keys of places.",
            also=[
                *_leaking(lambda query, key, value: key and not query),
                *_leaking(lambda query, key, value: key and not query, key_place=False),
            ],
        ),
        Mistake(
            "values_carry_places",
            partial(_route, value_place=True),
            "The values still say where they are. Route an empty picture, zeros, and see: it does not come out "
            "empty. What is delivered should be content alone; where it was is known to the keys.",
        ),
        Mistake(
            "places_lost",
            partial(_route, query_place=False),
            "Too much is taken away: queries or keys no longer know their place. Then all queries of a picture ask "
            "the same, or all keys offer the same, and every patch of the answer is the same.",
            also=[
                partial(_route, key_place=False),
                partial(_route, query_place=False, key_place=False),
                partial(_route, key_place=False, value_place=True),
                partial(_route, query_place=False, value_place=True),
            ],
        ),
        Mistake(
            "command_lost",
            partial(_route, commanded=False),
            "The queries no longer know the command, so a turn and a mirror get the same answer. Where to look "
            "depends on the place and on the command.",
            also=[partial(_route, commanded=False, value_place=True)],
        ),
        Mistake(
            "command_in_values",
            partial(_route, value_command=True),
            "The values have the command in them. It comes out as part of the picture, the same in each patch. "
            "The command belongs to what is asked, and is nothing to be delivered.",
        ),
        Mistake(
            "not_scaled",
            partial(_route, scaled=False),
            "The leaks are gone, and a new bug is in: the scores are no longer divided by the square root of the "
            "width of the keys. That line was right.",
        ),
        Mistake(
            "softmax_over_queries",
            partial(_route, axis=1),
            "The leaks are gone, and a new bug is in: the weights of a query no longer sum to 1 over the keys, which "
            "are the last axis. That line was right.",
        ),
    ],
)
