"""Exercise 16.2: who takes which thing."""

from collections.abc import Callable, Iterable
from itertools import combinations, permutations

from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers

Choice = tuple[int, ...]


def match(cost: Tensor) -> list[int]:
    """Return the query that each thing gets, so that the sum of the costs is least."""
    return _least(cost, permutations(range(len(cost)), cost.shape[1]))


def _total(cost: Tensor, choice: Iterable[int]) -> float:
    return sum(float(cost[query, thing]) for thing, query in enumerate(choice))


def _least(cost: Tensor, choices: Iterable[Choice]) -> list[int]:
    return list(min(choices, key=lambda choice: _total(cost, choice)))


def _nearest(cost: Tensor) -> list[int]:
    return [int(column.argmin()) for column in cost.T]


def _things_in_turn(cost: Tensor) -> list[int]:
    """Let each thing take the cheapest query that is free."""
    chosen: list[int] = []
    for column in cost.T.tolist():
        free = [query for query in range(len(cost)) if query not in chosen]
        chosen.append(min(free, key=lambda query: column[query]))
    return chosen


def _queries_in_turn(cost: Tensor) -> list[int]:
    """Let each query take the cheapest thing that is free, as long as there is one."""
    chosen: dict[int, int] = {}
    for query, row in enumerate(cost.tolist()):
        free = [thing for thing in range(len(row)) if thing not in chosen]
        if free:
            chosen[min(free, key=lambda thing: row[thing])] = query
    return [chosen[thing] for thing in range(cost.shape[1])]


def _cheapest_pair_first(cost: Tensor) -> list[int]:
    """Take the cheapest pair of all, then the cheapest of what is left."""
    chosen: dict[int, int] = {}
    pairs = [(query, thing) for query in range(len(cost)) for thing in range(cost.shape[1])]
    for query, thing in sorted(pairs, key=lambda pair: float(cost[pair])):
        if thing not in chosen and query not in chosen.values():
            chosen[thing] = query
    return [chosen[thing] for thing in range(cost.shape[1])]


def _costliest(cost: Tensor) -> list[int]:
    return match(-cost)


def _thing_of_each_query(nothing: Callable[[int], int | None]) -> Answer:
    """Make an answer that tells the thing of every query, and something for those that have none."""

    def answer(cost: Tensor) -> list[int | None]:
        thing = {query: i for i, query in enumerate(match(cost))}
        return [thing.get(query, nothing(cost.shape[1])) for query in range(len(cost))]

    return answer


def _things_in_order_of_queries(cost: Tensor) -> list[int]:
    chosen = match(cost)
    return sorted(range(len(chosen)), key=lambda thing: chosen[thing])


def _nearest_thing_of_each_query(cost: Tensor) -> list[int]:
    return [int(row.argmin()) for row in cost if len(row)]


def _in_order_of_queries(cost: Tensor) -> list[int]:
    return sorted(match(cost))


def _first_queries(cost: Tensor) -> list[int]:
    return _least(cost, permutations(range(cost.shape[1])))


def _order_kept(cost: Tensor) -> list[int]:
    return _least(cost, combinations(range(len(cost)), cost.shape[1]))


def _cases() -> list[Case]:
    seeds = [(1644, 4, 3), (2489, 5, 3), (2248, 7, 3), (1672, 4, 4), (1905, 6, 2)]
    tables = [(numbers(seed, *shape).abs() * 10).round() / 10 for seed, *shape in seeds]
    return [(table,) for table in (*tables, numbers(1626, 5, 0))]


EXERCISE = Exercise(
    number="16.2",
    title="Who takes which thing",
    solution=match,
    cases=_cases,
    mistakes=[
        Mistake(
            "nearest_query",
            _nearest,
            "Each thing has the query that is cheapest for it, and two of them may have the same one. A query says "
            "one box only, so one of the two things would be lost. No query may be taken twice.",
        ),
        Mistake(
            "one_after_the_other",
            _things_in_turn,
            "One after the other takes the cheapest that is free. Who comes first takes what another needs more, "
            "and never gives it back. Compare the sums of whole assignments.",
            also=[_queries_in_turn],
        ),
        Mistake(
            "cheapest_pair_first",
            _cheapest_pair_first,
            "You take the cheapest pair of all, then the cheapest of what is left. That last one may be so dear "
            "that giving up the first pair would have paid. Compare the sums of whole assignments.",
        ),
        Mistake(
            "costliest",
            _costliest,
            "This is the dearest assignment. Costs are to be small: take the least sum. (A probability is "
            "something to make large, which is why it goes into a cost with a minus.)",
        ),
        Mistake(
            "other_way_round",
            _things_in_order_of_queries,
            "You say which thing belongs to a query. Asked for is the other direction: for each thing, in order of "
            "the columns, the number of its query.",
            also=[
                _nearest_thing_of_each_query,
                _thing_of_each_query(lambda n_things: None),
                _thing_of_each_query(lambda n_things: -1),
                _thing_of_each_query(lambda n_things: n_things),
            ],
        ),
        Mistake(
            "in_order_of_queries",
            _in_order_of_queries,
            "The right queries, in order of their own numbers: whose is which is lost. (scipy returns rows in "
            "order, and the columns that belong to them.) The first number belongs to the first thing.",
        ),
        Mistake(
            "first_queries_only",
            _first_queries,
            "You try only as many queries as there are things, the first ones. Any query may be taken: "
            "permutations(range(n_queries), n_things) tries them all.",
        ),
        Mistake(
            "order_never_changed",
            _order_kept,
            "The numbers of your queries always go up. A combination says which queries are taken, and not by "
            "whom. The first thing may have query 4 and the second one query 0: try permutations.",
        ),
    ],
    laws=[
        Law("each thing has a query", lambda out, cost: len(out) == cost.shape[1]),
        Law("no query is taken twice", lambda out, cost: len(set(out)) == len(out)),
    ],
)
