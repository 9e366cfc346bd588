"""Exercise 3.7: find the bug."""

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Mistake, numbers
from minattn.exercises.queries_keys_values.black_boxes import (
    BEST_ONLY,
    BROKEN,
    CAUSAL,
    DISTANCE,
    MASKED_LATE,
    ON_AVERAGE,
    SCALED,
    SIGMOID,
    SOUND,
    TOO_SMALL,
    UNIFORM,
    UNSCALED,
    WARM,
    WRONG_AXES,
    WRONG_AXIS,
    BlackBox,
)


def obeys(attend: Callable[..., Tensor]) -> bool:
    """Tell whether the weights of every query sum to 1: equal values have to come back as they are."""
    same = torch.tensor([2.0, -1.0, 5.0])
    output = attend(numbers(260, 5, 3), numbers(261, 7, 3), same.expand(7, 3))
    return torch.allclose(output, same.expand(5, 3), atol=1e-4)


def _asked(
    n_queries: int, n_keys: int, tolerance: float = 1e-4, axis: int = 1
) -> Callable[..., bool]:
    """Make a test that reads the weights off and looks at their sums."""

    def test(attend: BlackBox) -> bool:
        weights = attend(numbers(262, n_queries, 3), numbers(263, n_keys, 3), torch.eye(n_keys))
        sums = weights.sum(axis)
        return torch.allclose(sums, torch.ones_like(sums), atol=tolerance)

    return test


def _says_true_to(*attends: BlackBox) -> Callable[..., bool]:
    """Make a test by its verdicts, for those that depend on the numbers it draws."""
    names = {attend.name for attend in attends}
    return lambda attend: repr(attend) in names


def _subsets(attends: list[BlackBox]) -> list[tuple[BlackBox, ...]]:
    return [some for n in range(len(attends) + 1) for some in combinations(attends, n)]


def _within(attend: BlackBox) -> bool:
    value = numbers(264, 7, 2)
    output = attend(numbers(262, 5, 3), numbers(263, 7, 3), value)
    return bool(((output <= value.max() + 1e-4) & (output >= value.min() - 1e-4)).all())


def _alone(place: int) -> Callable[..., bool]:
    """Make a test that asks one query with the others and by itself."""

    def test(attend: BlackBox) -> bool:
        query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
        together, alone = attend(query, key, value)[place], attend(query[[place]], key, value)[0]
        return torch.allclose(together, alone, atol=1e-4)

    return test


def _reordered(attend: BlackBox) -> bool:
    query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
    before, after = attend(query, key, value), attend(query, key.flip(0), value.flip(0))
    return torch.allclose(before, after, atol=1e-4)


def _queries_reordered(attend: BlackBox) -> bool:
    query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
    before, after = attend(query, key, value), attend(query.flip(0), key, value).flip(0)
    return torch.allclose(before, after, atol=1e-4)


def _moves(attend: BlackBox) -> bool:
    query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
    return not torch.allclose(attend(query, key, value), attend(query, 2 * key.flip(0), value))


EXERCISE = Exercise(
    number="3.7",
    title="Find the bug",
    solution=obeys,
    cases=lambda: [(attend,) for attend in (*SOUND, *BROKEN)],
    mistakes=[
        Mistake(
            "always_true",
            lambda attend: True,
            "Your function says True to everything that is broken too. Shapes and finite numbers are never "
            "wrong here; values of 0 come back as 0 from any weights, and doubled values come back "
            "doubled. Which values would show that the weights do not sum to 1?",
        ),
        Mistake(
            "always_false",
            lambda attend: False,
            "Your function says False to everything, also to attention as in the chapter. Print what you "
            "compare: are the two of one shape, and is a difference in the last digit allowed?",
        ),
        Mistake(
            "answer_inverted",
            lambda attend: not obeys(attend),
            "Every answer is the wrong way round. True should mean that the weights of every query sum "
            "to 1.",
        ),
        Mistake(
            "one_formula",
            _says_true_to(SCALED),
            "Your function knows one formula and calls everything else broken: another scale, a mask, "
            "another score. All of these are sound, for their weights sum to 1. Test what they have in "
            "common.",
            also=[_says_true_to(one) for one in SOUND if one not in (SCALED, BEST_ONLY)],
        ),
        Mistake(
            "exactly_equal",
            _says_true_to(BEST_ONLY, UNIFORM),
            "All that is broken is caught, but some sound ones are rejected too. Do you compare for exact "
            "equality? In single precision weights sum to 1 but for the last digit. torch.allclose "
            "allows for that.",
            also=[  # which of them rounding spares depends on the numbers and the processor
                _says_true_to(BEST_ONLY),
                _says_true_to(BEST_ONLY, CAUSAL),
                _says_true_to(BEST_ONLY, UNIFORM, CAUSAL),
                _says_true_to(BEST_ONLY, UNIFORM, DISTANCE),
                _says_true_to(BEST_ONLY, UNIFORM, UNSCALED),
                _says_true_to(BEST_ONLY, UNIFORM, CAUSAL, WARM),
                _says_true_to(BEST_ONLY, UNIFORM, CAUSAL, DISTANCE),
            ],
        ),
        Mistake(
            "too_loose",
            _asked(5, 7, tolerance=0.2),
            "Weights that sum to 0.9 pass. Your comparison is too loose: rounding changes the sums in the "
            "sixth or seventh digit, not in the first.",
            also=[_says_true_to(*SOUND, TOO_SMALL, WRONG_AXIS)],
        ),
        Mistake(
            "range_only",
            _within,
            "Sums below 1 pass. If you test whether the output lies between the smallest and the "
            "largest value: that holds for every mean, but also for many outputs that are too small. "
            "Choose values for which you know the output exactly.",
            also=[
                _says_true_to(*SOUND, TOO_SMALL, *some)
                for some in _subsets([WRONG_AXIS, WRONG_AXES, SIGMOID, MASKED_LATE, ON_AVERAGE])
                if {*some} not in (set(), {WRONG_AXIS})
            ],
        ),
        Mistake(
            "column_sums",
            _asked(5, 7, axis=0),
            "You call the wrong axis sound and the right one broken. Do you sum over the queries? With "
            "the identity as values the output is the weights: a row for each query, and it is the row "
            "that has to sum to 1.",
            also=[_asked(7, 7, axis=0)],
        ),
        Mistake(
            "wrong_axis_hidden",
            lambda attend: bool(
                (attend(torch.eye(3), torch.eye(3), torch.eye(3)).sum(1) - 1).abs().max() < 1e-4
            ),
            "Only the softmax over the queries slips through. With as many queries as keys its weights "
            "sum to 1 if the queries are all alike or if the scores are symmetric. Ask different things.",
        ),
        Mistake(
            "on_average",
            _says_true_to(*SOUND, ON_AVERAGE),
            "You look at the mean over the queries. The weights of one query may sum to a half and those of "
            "another to one and a half, and the mean is 1. Look at each query.",
            also=[_says_true_to(*SOUND, ON_AVERAGE, WRONG_AXIS)],
        ),
        Mistake(
            "one_query",
            _asked(1, 7),
            "Only the softmax over queries and keys together slips through. With one query it "
            "is the same as the right one. Ask at least two.",
        ),
        Mistake(
            "one_key",
            _asked(5, 1),
            "Only the mask after the softmax slips through. Its first queries have too little "
            "weight, and its last has all. Do you look at the last query only, or give a single key?",
        ),
        Mistake(
            "one_of_each",
            _asked(1, 1),
            "One query and one key are too few: a single weight is 1 whichever axis the softmax runs "
            "over. Take several of each, and not as many of one as of the other.",
        ),
        Mistake(
            "query_alone",
            _alone(0),
            "You test whether a query gets the same when others are asked beside it. That is a law too, and "
            "it catches a softmax over the wrong axis. But weights that nothing divides obey it, and a "
            "causal mask may break it. The task asks for the sum of the weights.",
            also=[_alone(-1)],
        ),
        Mistake(
            "reordered",
            _reordered,
            "You test whether the order of the keys (or of the queries) matters. That is a law of attention "
            "without positions, but a causal mask breaks it and wrong sums obey it. The task asks for "
            "the sum of the weights.",
            also=[_queries_reordered],
        ),
        Mistake(
            "depends_on_keys",
            _moves,
            "You test whether the output depends on the keys, as in exercise 2.7. Broken attention may do "
            "that too, and a uniform mean does not, though its weights sum to 1. Keep the keys and choose "
            "the values.",
        ),
    ],
    show_case=lambda attend: (
        f"attend = {attend!r}; its weights "
        + (
            "sum to 1, but for rounding"
            if attend.name in {x.name for x in SOUND}
            else "do not sum to 1"
        )
    ),
)
