"""Exercise 22.3: a causal window with sinks, for every pair of lengths."""

from functools import partial
from itertools import product

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake


def window_mask(queries: int, keys: int, window: int, sinks: int) -> Tensor:
    """Return True where a query may look: the last keys up to its own position, and the first ones of all."""
    return _mask(queries, keys, window, sinks)


def _mask(
    queries: int,
    keys: int,
    window: int,
    sinks: int,
    *,
    corner: float = 1.0,
    more: int = 0,
    causal: bool = True,
    windowed: bool = True,
    causal_sinks: bool = True,
    shared: bool = False,
) -> Tensor:
    """Make the mask in some way.

    Args:
        queries: how many; they are the last positions of the keys.
        keys: how many.
        window: how many keys a query sees up to its own.
        sinks: how many of the first keys it sees besides.
        corner: 1 if the last query stands at the last key, 0 if the first stands at the first.
        more: by how much the window is too long.
        causal: whether the window ends with the query's own position.
        windowed: whether there is a window at all.
        causal_sinks: whether a sink is seen from its own position on only.
        shared: whether the sinks are part of the window's number of keys.
    """
    position = torch.arange(queries)[:, None] + int(corner * (keys - queries))
    key = torch.arange(keys)
    length = window + more - (min(sinks, window) if shared else 0)
    near = (position - key < length) | torch.tensor(not windowed)
    if not causal:
        return (near & (key - position < length)) | (key < sinks)
    past = key <= position
    sink = (key < sinks) & (past | torch.tensor(not causal_sinks))
    return (near & past) | sink


def _negated(*case: int) -> Tensor:
    return ~window_mask(*case)


def _turned(queries: int, keys: int, window: int, sinks: int) -> Tensor:
    """Look forward: keys and queries have changed places in the comparison."""
    position = torch.arange(queries)[:, None] + keys - queries
    distance = torch.arange(keys) - position
    return ((distance >= 0) & (distance < window)) | (torch.arange(keys) < sinks)


def _filled(*case: int) -> Tensor:
    """Let rows that see nothing look everywhere."""
    mask = window_mask(*case)
    return mask | ~mask.any(-1, keepdim=True)


def _filled_with_first(*case: int) -> Tensor:
    """Let rows that see nothing look at the first key."""
    mask = window_mask(*case)
    mask[:, 0] |= ~mask.any(-1)
    return mask


def _no_less_than_first(queries: int, keys: int, window: int, sinks: int) -> Tensor:
    """Let no position be below 0."""
    position = (torch.arange(queries)[:, None] + keys - queries).clamp(min=0)
    distance = position - torch.arange(keys)
    return (distance >= 0) & ((distance < window) | (torch.arange(keys) < sinks))


def _no_shift_below_0(queries: int, keys: int, window: int, sinks: int) -> Tensor:
    """Let the first query stand at the first key if there are more queries than keys."""
    return _mask(queries, keys, window, sinks, corner=float(keys > queries))


def _without_sinks(queries: int, keys: int, window: int, sinks: int) -> Tensor:
    return _mask(queries, keys, window, 0)


def _sinks_inside_the_window(queries: int, keys: int, window: int, sinks: int) -> Tensor:
    """Join sinks and window by and."""
    return _mask(queries, keys, window, 0) & (torch.arange(keys) < sinks)


def _cases() -> list[Case]:
    """Try every pair of lengths up to 4, every window that differs, and sinks; the smallest come first."""
    cases = [
        (queries, keys, window, sinks)
        for queries, keys in product(range(1, 5), repeat=2)
        for window in range(1, keys + 2)
        for sinks in range(min(3, keys + 1))
    ]
    return [*sorted(cases, key=sum), (7, 11, 3, 2), (11, 7, 2, 3)]


EXERCISE = Exercise(
    number="22.3",
    title="A window at every corner",
    solution=window_mask,
    cases=_cases,
    mistakes=[
        Mistake(
            "inverted",
            _negated,
            "True and False have changed places, or you look ahead. In this book True means that a query may look "
            "there, and a query looks at its own position and back.",
            also=[_turned],
        ),
        Mistake(
            "other_corner",
            partial(_mask, corner=0.0),
            "You count from the first query: the triangle begins at the top left corner. The queries are the "
            "last positions. One query and five keys: it is position 4, and sees back from there. Shift by keys "
            "- queries.",
        ),
        Mistake(
            "other_length",
            partial(_mask, more=1),
            "The window has a key too many or too few. Its number counts all keys that it lets through, the query's "
            "own position among them: a window of 3 is the own position and the 2 before it.",
            also=[partial(_mask, more=-1)],
        ),
        Mistake(
            "not_causal",
            partial(_mask, causal=False),
            "The window reaches forward as well: you compare the amount of the distance. A decoder would see "
            "the token that it is to say. Only what stands at the query's position or before.",
            also=[partial(_mask, windowed=False, causal=False)],
        ),
        Mistake(
            "no_window",
            partial(_mask, windowed=False),
            "This is the causal mask alone: each query sees all that came before it, however far away. Then "
            "nothing is saved. Hide what lies `window` positions back or more.",
        ),
        Mistake(
            "sinks_lost",
            _without_sinks,
            "The sinks are lost where the window has left them behind. The first keys stay to be seen for ever, "
            "beside the window: join the two by or, and do not take the sinks out of the window's number.",
            also=[_sinks_inside_the_window, partial(_mask, shared=True)],
        ),
        Mistake(
            "sinks_ahead",
            partial(_mask, causal_sinks=False),
            "A query sees a sink that stands after it. Sinks are the first tokens, and for the query at position 0 "
            "the token at position 1 is still the future. What comes later is hidden, sink or not.",
        ),
        Mistake(
            "empty_rows_filled",
            _filled,
            "Rows that are empty let something through. With more queries than keys the first queries stand before "
            "the first key, and there is nothing that they may see: all False. Attention gives zeros for such a row.",
            also=[_filled_with_first, _no_less_than_first, _no_shift_below_0],
        ),
    ],
    laws=[
        Law(
            "no query sees more than window + sinks keys",
            lambda out, queries, keys, window, sinks: int(out.sum(-1).max()) <= window + sinks,
        ),
        Law(
            "the last query sees the last key",
            lambda out, queries, keys, window, sinks: bool(out[-1, -1]),
        ),
    ],
)
