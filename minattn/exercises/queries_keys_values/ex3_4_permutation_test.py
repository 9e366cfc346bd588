"""Exercise 3.4: a permutation test."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Exercise, Mistake, numbers
from minattn.exercises.queries_keys_values.black_boxes import (
    BEST_ONLY,
    BOTH_AT_PLACES,
    BY_PLACE,
    CAUSAL,
    CENTRED,
    DISTANCE,
    KEYS_AT_PLACES,
    NOT_DIVIDED,
    QUERIES_AT_PLACES,
    SCALED,
    SIGMOID,
    UNIFORM,
    UNSCALED,
    VALUES_ONLY,
    WRONG_AXIS,
    BlackBox,
)

LOOKUPS = [SCALED, UNSCALED, DISTANCE, BEST_ONLY, SIGMOID, NOT_DIVIDED]
OTHERS = [
    CAUSAL,
    KEYS_AT_PLACES,
    QUERIES_AT_PLACES,
    BOTH_AT_PLACES,
    BY_PLACE,
    WRONG_AXIS,
    CENTRED,
    UNIFORM,
    VALUES_ONLY,
]

Lookup = Callable[[Tensor, Tensor, Tensor], Tensor]
Law = Callable[[Lookup], bool]


def is_a_lookup(attend: Lookup) -> bool:
    """Tell whether keys with their values are a bag, and every query is answered by itself."""
    return all(law(attend) for law in (bag, keys_count, alone))


def _given() -> tuple[Tensor, Tensor, Tensor]:
    return numbers(310, 5, 3), numbers(311, 7, 3), numbers(312, 7, 2)


_KEYS = torch.tensor([3, 5, 0, 6, 2, 1, 4])
_QUERIES = torch.tensor([2, 4, 1, 0, 3])


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-4)


def bag(attend: Lookup) -> bool:
    """Tell whether nothing changes when keys and values are shuffled together."""
    q, k, v = _given()
    return _close(attend(q, k, v), attend(q, k[_KEYS], v[_KEYS]))


def keys_count(attend: Lookup) -> bool:
    """Tell whether something changes when the keys are shuffled and the values are not."""
    q, k, v = _given()
    return not _close(attend(q, k, v), attend(q, k[_KEYS], v))


def answers_go_along(attend: Lookup) -> bool:
    """Tell whether the answers are shuffled as the queries are."""
    q, k, v = _given()
    return _close(attend(q, k, v)[_QUERIES], attend(q[_QUERIES], k, v))


def alone(attend: Lookup) -> bool:
    """Tell whether every query gets the same answer when nobody asks beside it."""
    q, k, v = _given()
    return _close(attend(q, k, v), torch.cat([attend(q[[i]], k, v) for i in range(len(q))]))


def _all_of(*laws: Law) -> Answer:
    return lambda attend: all(law(attend) for law in laws)


def _values_left(*laws: Law) -> Answer:
    """Make a test that wants nothing to change when the keys alone are shuffled."""

    def test(attend: Lookup) -> bool:
        return not keys_count(attend) and all(law(attend) for law in laws)

    return test


def _says_true_to(*attends: BlackBox) -> Answer:
    """Make a test by its verdicts, for those that depend on the last digits."""
    names = {attend.name for attend in attends}
    return lambda attend: repr(attend) in names


def _queries_not_put_back(attend: Lookup) -> bool:
    q, k, v = _given()
    return bag(attend) and keys_count(attend) and _close(attend(q, k, v), attend(q.flip(0), k, v))


EXERCISE = Exercise(
    number="3.4",
    title="A permutation test",
    solution=is_a_lookup,
    cases=lambda: [(attend,) for attend in (*LOOKUPS, *OTHERS)],
    mistakes=[
        Mistake(
            "nothing_is_seen",
            lambda attend: True,
            "Your function says True to everything. Do you compare shapes, shuffle in a way that leaves all "
            "in its place, or ask one query about one key? Take different numbers in every row, and compare "
            "the answers.",
        ),
        Mistake(
            "answers_not_put_back",
            _queries_not_put_back,
            "Your function says True to nothing, not even to attention as in the chapter. If the queries "
            "change places, so do the rows of the result: put both into one order before you compare. And "
            "are the shapes and the last digit allowed for?",
            also=[lambda attend: False],
        ),
        Mistake(
            "exactly_equal",
            _says_true_to(BEST_ONLY),
            "What is no lookup is found, but some lookups are rejected as well. Do you compare for exact "
            "equality? A sum in another order differs in its last digit. torch.allclose allows for that.",
            also=[  # which of them rounding spares depends on the numbers and the processor
                _says_true_to(BEST_ONLY, DISTANCE),
                _says_true_to(BEST_ONLY, SIGMOID),
                _says_true_to(BEST_ONLY, UNSCALED),
                _says_true_to(BEST_ONLY, DISTANCE, SIGMOID),
            ],
        ),
        Mistake(
            "values_left_behind",
            _values_left(alone),
            "You shuffle the keys, leave the values where they are, and want the same answers. Then each key "
            "stands beside another value, and a lookup has to find that. Shuffle both by one order where "
            "nothing may change.",
            also=[_values_left(), _values_left(answers_go_along)],
        ),
        Mistake(
            "keys_alone_not_tried",
            _all_of(bag, alone),
            "What never reads a key slips through, such as a plain mean: it does not mind the order of "
            "anything. Which change of the keys must show in the answers of a lookup?",
            also=[_all_of(bag, answers_go_along), _all_of(bag)],
        ),
        Mistake(
            "bag_not_tried",
            _all_of(keys_count, alone),
            "What knows the places of the keys slips through. The keys and their values may come in any "
            "order: shuffle both by the same order, and nothing may change.",
            also=[_all_of(keys_count, answers_go_along), _all_of(keys_count)],
        ),
        Mistake(
            "queries_not_tried",
            _all_of(bag, keys_count),
            "Keys and values are tested well, and the queries are not. One box adds positions to the "
            "queries, and in another the queries compete for a key. The answer to a query may depend neither "
            "on its place nor on who asks beside it.",
        ),
        Mistake(
            "queries_only_shuffled",
            _all_of(bag, keys_count, answers_go_along),
            "You shuffle the queries, and their answers go along. So they do where the queries compete for "
            "a key, or where their mean is subtracted: whoever asks beside a query is still the same. Ask a "
            "query without the others.",
        ),
    ],
    show_case=lambda attend: (
        f"attend = {attend!r}, which is {'a' if attend.name in {x.name for x in LOOKUPS} else 'no'} lookup"
    ),
)
