from functools import cache
from itertools import permutations, product

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from minattn.exercises.object_queries.ex16_2_matching import EXERCISE, match

# Other right ways: loops, all choices, by recursion, going along the things, and scipy's.


def match_by_loops(cost):
    n_queries, n_things = cost.shape
    best, least = [], float("inf")
    for queries in permutations(range(n_queries), n_things):
        total = 0.0
        for thing in range(n_things):
            total += cost[queries[thing], thing].item()
        if total < least:
            best, least = list(queries), total
    return best


def match_over_all_choices(cost):
    n_queries, n_things = cost.shape
    choices = [c for c in product(range(n_queries), repeat=n_things) if len(set(c)) == n_things]
    totals = torch.stack([cost[list(c), list(range(n_things))].sum() for c in choices])
    return list(choices[totals.argmin()])


def match_by_recursion(cost):
    table = cost.tolist()

    @cache
    def best(thing, free):
        if thing == cost.shape[1]:
            return 0.0, ()
        ways = []
        for query in sorted(free):
            rest, others = best(thing + 1, free - {query})
            ways.append((table[query][thing] + rest, (query, *others)))
        return min(ways)

    return list(best(0, frozenset(range(len(cost))))[1])


def match_with_things_permuted(cost):
    """Fill up with things that cost nothing, and ask which thing each query gets."""
    n_queries, n_things = cost.shape
    square = np.zeros((n_queries, n_queries))
    square[:, :n_things] = cost.numpy()
    rows = np.arange(n_queries)
    things = min(permutations(range(n_queries)), key=lambda p: square[rows, list(p)].sum())
    return [things.index(thing) for thing in range(n_things)]


def match_by_scipy(cost):
    _things, queries = linear_sum_assignment(cost.T)
    return queries.tolist()


def match_by_scipy_with_numbers_of_numpy(cost):
    queries, things = linear_sum_assignment(cost.numpy())
    return list(queries[np.argsort(things)])


OTHER_WAYS = [
    match_by_loops,
    match_over_all_choices,
    match_by_recursion,
    match_with_things_permuted,
    match_by_scipy,
    match_by_scipy_with_numbers_of_numpy,
]


# Wrong ways, written as a learner writes them.


def match_nearest(cost):
    return cost.argmin(dim=0).tolist()


def match_crossing_rows_out(cost):
    cost, found = cost.clone(), []
    for thing in range(cost.shape[1]):
        query = int(cost[:, thing].argmin())
        cost[query] = float("inf")
        found.append(query)
    return found


def match_crossing_both_out(cost):
    cost, found = cost.clone(), {}
    for _ in range(cost.shape[1]):
        query, thing = divmod(int(cost.argmin()), cost.shape[1])
        found[thing] = query
        cost[query], cost[:, thing] = float("inf"), float("inf")
    return [found[thing] for thing in range(len(found))]


def match_with_greatest_sum(cost):
    return linear_sum_assignment(cost.T, maximize=True)[1].tolist()


def match_returning_rows(cost):
    rows, _columns = linear_sum_assignment(cost)
    return rows.tolist()


def match_returning_columns(cost):
    _rows, columns = linear_sum_assignment(cost)
    return columns.tolist()


def match_among_the_first(cost):
    n = cost.shape[1]
    return list(min(permutations(range(n)), key=lambda p: float(cost[list(p), range(n)].sum())))


def match_with_nothing_for_the_others(cost):
    found = [None] * len(cost)
    for query, thing in zip(*linear_sum_assignment(cost), strict=True):
        found[query] = int(thing)
    return found


NEAR_MISSES = [
    ("nearest_query", match_nearest),
    ("one_after_the_other", match_crossing_rows_out),
    ("cheapest_pair_first", match_crossing_both_out),
    ("costliest", match_with_greatest_sum),
    ("in_order_of_queries", match_returning_rows),
    ("other_way_round", match_returning_columns),
    ("first_queries_only", match_among_the_first),
    ("other_way_round", match_with_nothing_for_the_others),
]


# What is said, and what the checker is tried on.


def test_scipy_finds_the_same_on_random_tables():
    rng = np.random.default_rng(0)
    for n_queries, n_things in [(3, 1), (4, 3), (6, 4), (5, 5)]:
        cost = torch.tensor(rng.normal(size=(n_queries, n_things)))
        assert match(cost) == match_by_scipy(cost)


def test_one_assignment_is_clearly_the_best():
    for (cost,) in EXERCISE.cases():
        choices = permutations(range(len(cost)), cost.shape[1])
        totals = sorted(sum(float(cost[q, t]) for t, q in enumerate(c)) for c in choices)
        assert len(totals) == 1 or totals[1] - totals[0] > 0.1


def test_single_costs_are_tied_and_a_picture_has_no_things():
    tables = [cost for (cost,) in EXERCISE.cases()]
    assert any(len(cost.unique()) < cost.numel() for cost in tables)
    assert any(cost.shape[1] == 0 for cost in tables)
    assert any(cost.shape[0] == cost.shape[1] for cost in tables)


def test_the_numbers_of_the_task():
    cost = torch.tensor([[0.1, 0.2, 0.9], [0.7, 0.9, 0.3], [0.3, 0.9, 0.8], [0.8, 0.6, 0.7]])
    assert match(cost) == [2, 0, 1]
    assert match_nearest(cost) == [0, 0, 1]
    assert match_crossing_rows_out(cost) == [0, 3, 1]
