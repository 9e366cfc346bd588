"""Exercise 16.5: find the bug: one box for all."""

from collections.abc import Callable
from functools import partial
from itertools import product

from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers


def detect(
    tokens: Tensor, places: Tensor, queries: Tensor, w_key: Tensor, w_value: Tensor, w_box: Tensor
) -> Tensor:
    """Return a box for every query and picture: each query asks the cells, and the places are in them."""
    return _detect(tokens, places, queries, w_key, w_value, w_box)


def _detect(
    tokens: Tensor,
    places: Tensor,
    queries: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_box: Tensor,
    *,
    asked: bool = True,
    in_keys: bool = True,
    in_values: bool = True,
    axis: int = -1,
    scaled: bool = True,
) -> Tensor:
    """Look for things, with some of the faults.

    Args:
        tokens: cells of the pictures, without their places.
        places: one for each cell.
        queries: one for each box.
        w_key: makes keys.
        w_value: makes values.
        w_box: makes boxes.
        asked: whether the queries ask, and not zeros.
        in_keys: whether the keys know of places.
        in_values: whether the values do.
        axis: of (pictures, queries, cells), the one that the weights sum to 1 along.
        scaled: whether the scores are divided by the root of the width.
    """
    keys = (tokens + places * in_keys) @ w_key
    values = (tokens + places * in_values) @ w_value
    scores = (queries * asked) @ keys.mT / (keys.shape[-1] ** 0.5 if scaled else 1)
    return ((scores.softmax(axis) @ values) @ w_box).sigmoid()


def _added_late(
    tokens: Tensor, places: Tensor, queries: Tensor, w_key: Tensor, w_value: Tensor, w_box: Tensor
) -> Tensor:
    """Add the places to keys and values that are made already."""
    keys, values = tokens @ w_key + places, tokens @ w_value + places
    weights = (queries @ keys.mT / keys.shape[-1] ** 0.5).softmax(-1)
    boxes: Tensor = (weights @ values @ w_box).sigmoid()
    return boxes


def _added_late_to_keys(
    tokens: Tensor, places: Tensor, queries: Tensor, w_key: Tensor, w_value: Tensor, w_box: Tensor
) -> Tensor:
    """Add the places to keys that are made already, and to the tokens for the values."""
    keys, values = tokens @ w_key + places, (tokens + places) @ w_value
    weights = (queries @ keys.mT / keys.shape[-1] ** 0.5).softmax(-1)
    boxes: Tensor = (weights @ values @ w_box).sigmoid()
    return boxes


def _left(is_left: Callable[..., bool]) -> list[Answer]:
    """List the combinations of faults for which something is so."""
    faults = product((True, False), (True, False), (True, False), (-1, 1))
    return [
        partial(_detect, asked=asked, in_keys=keys, in_values=values, axis=axis)
        for asked, keys, values, axis in faults
        if is_left(asked, keys, values, axis)
    ]


def _case(seed: int, n_cells: int, n_queries: int, d: int) -> Case:
    """Make three pictures; the second has the cells of the first one in the other order."""
    tokens = numbers(seed, 3, n_cells, d)
    tokens[1] = tokens[0].flip(0)
    places, queries = numbers(seed + 1, n_cells, d), numbers(seed + 2, n_queries, d)
    w_key, w_value = numbers(seed + 3, 2, d, d) / d**0.5
    return tokens, places, queries, w_key, w_value, numbers(seed + 4, d, 4) / d**0.5


def _cases() -> list[Case]:
    return [_case(1660, 4, 2, 3), _case(1670, 7, 5, 3), _case(1680, 11, 3, 5)]


def _differ(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) > 1e-5


EXERCISE = Exercise(
    number="16.5",
    title="One box for all",
    solution=detect,
    cases=_cases,
    mistakes=[
        Mistake(
            "queries_alike",
            partial(_detect, asked=False),
            "A symptom is left: all queries of a picture give the same box. They ask the same, so they find the "
            "same. Zeros ask here, and `queries` is never used: they differ, and each of them should ask.",
            also=_left(lambda asked, keys, values, axis: not asked),
        ),
        Mistake(
            "no_places",
            partial(_detect, in_keys=False, in_values=False),
            "A symptom is left: change the order of the cells, and the boxes stay. Content alone has no left and "
            "right. `places` is given and not used: add it to the tokens before you make keys and values.",
            also=_left(lambda asked, keys, values, axis: asked and not keys and not values),
        ),
        Mistake(
            "places_in_keys_only",
            partial(_detect, in_values=False),
            "A symptom is left: a query can look at a place, but what it fetches there does not say where that was, "
            "and the box is made of that alone. Keys have the places; the values need them too.",
            also=_left(lambda asked, keys, values, axis: asked and keys and not values),
        ),
        Mistake(
            "places_in_values_only",
            partial(_detect, in_keys=False),
            "A symptom is left: no query can look at a corner, wherever that is. Scores come from the keys, and yours "
            "do not know of places. Values have them; the keys need them too.",
            also=_left(lambda asked, keys, values, axis: asked and values and not keys),
        ),
        Mistake(
            "places_added_late",
            _added_late,
            "You add the places to keys or values that are made already. Weights were trained for sums of token and "
            "place, as they are added in chapter 4: first the sum, then keys and values of it.",
            also=[_added_late_to_keys],
        ),
        Mistake(
            "softmax_over_queries",
            partial(_detect, axis=1),
            "A symptom is left: the weights of a query do not sum to 1 over the cells. Then queries "
            "compete for each cell, and a box changes with how many others ask. Take the softmax along the last axis.",
            also=[partial(_detect, axis=0)],
        ),
        Mistake(
            "not_scaled",
            partial(_detect, scaled=False),
            "The three bugs are gone, and a new one is in: the scores are no longer divided by the square root of the "
            "width of the keys. That line was right.",
        ),
    ],
    laws=[
        Law(
            "two queries do not give the same boxes",
            lambda out, *case: _differ(out[:, 0], out[:, 1]),
        ),
        Law("two pictures do not get the same boxes", lambda out, *case: _differ(out[0], out[2])),
        Law(
            "the same cells in another order are another picture (the second one here)",
            lambda out, *case: _differ(out[0], out[1]),
        ),
        Law(
            "a box is in parts of the picture", lambda out, *case: 0 <= out.min() <= out.max() <= 1
        ),
    ],
)
