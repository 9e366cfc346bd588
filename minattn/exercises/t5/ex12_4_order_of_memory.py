"""Exercise 12.4: find the bug: a bias where none belongs."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.exercises.t5.cross_toys import (
    BATCH,
    CIRCLE,
    EVERY_OTHER,
    FAINT,
    FIRST,
    LAST,
    LAST_QUERY,
    MIDDLE,
    OPPOSITE,
    QUERIES,
    ROUNDED,
    cross_toys,
)

Cross = Callable[[Tensor, Tensor, Tensor], Tensor]
Move = Callable[[Tensor], Tensor]


def order_matters(cross: Cross, d: int, n_queries: int, n_memory: int) -> bool:
    """Tell whether what the queries read depends on the order of the memory."""
    return _moves(cross, d, n_queries, n_memory)


def _cases() -> list[Case]:
    return [(toy, toy.d, toy.n_queries, toy.n_memory) for toy in cross_toys()]


def _same(x: Tensor) -> Tensor:
    return x


def _moves(
    cross: Cross,
    d: int,
    n_queries: int,
    n_memory: int,
    *,
    orders: Callable[[int], list[Tensor]] = lambda n: [torch.randperm(n) for _ in range(20)],
    query_too: bool = False,
    key_too: bool = True,
    value_too: bool = True,
    n_texts: int = 1,
    look: Move = _same,
    closeness: float = 1e-5,
    at_all: bool = True,
) -> bool:
    """Give the memory in other orders, and tell whether what is looked at moves by any of them."""
    query, memory = torch.randn(n_texts, n_queries, d), torch.randn(n_texts, n_memory, d)
    before = look(cross(query, memory, memory))
    moved = []
    for order in orders(n_memory):
        shuffled = memory[:, order]
        asks = query.flip(1) if query_too else query
        key, value = (shuffled if too else memory for too in (key_too, value_too))
        after = look(cross(asks, key, value))
        moved.append(not torch.allclose(before, after, rtol=closeness, atol=closeness))
    return any(moved) if at_all else all(moved)


def _one_order(order: Callable[[int], list[int]]) -> Callable[..., bool]:
    """Make an answer that tries a single order."""
    return partial(_moves, orders=lambda n: [torch.tensor(order(n))])


def _right_but_for(*names: str) -> Callable[..., bool]:
    """Make an answer that is wrong about the toys with these names: how it gets there may vary."""
    return lambda cross, *sizes: cross.ordered != (cross.name in names)


EXERCISE = Exercise(
    number="12.4",
    title="A bias where none belongs",
    solution=order_matters,
    cases=_cases,
    mistakes=[
        Mistake(
            "always_false",
            lambda cross, *sizes: False,
            "Your function says False to everything, even where a bias goes by the distance. Is the second memory "
            "another one at all? In a memory of equal tokens, or one compared with itself, no order shows.",
        ),
        Mistake(
            "always_true",
            lambda cross, *sizes: True,
            "Your function says True to everything, even to a model that does not read the memory. Give both "
            "calls the same queries and the same tokens, and compare with torch.allclose.",
        ),
        Mistake(
            "inverted",
            lambda cross, *sizes: not cross.ordered,
            "Every answer is the wrong way round. True should mean that the order matters: what does it mean if "
            "two results are close?",
        ),
        Mistake(
            "keys_parted_from_values",
            partial(_moves, value_too=False),
            "You put keys and values in different orders. Then a query finds a token and gets what belongs to "
            "another one: that is another memory, not another order. Move both alike.",
            also=[partial(_moves, key_too=False)],
        ),
        Mistake(
            "queries_moved",
            partial(_moves, query_too=True),
            "You put the queries in another order, so what is read moves along with them. Only the memory moves; "
            "each query is compared with itself, at its own place.",
            also=[
                partial(_moves, query_too=True, key_too=False, value_too=False),
                _right_but_for(QUERIES),
            ],
        ),
        Mistake(
            "some_orders_only",
            _one_order(lambda n: list(range(n))[::-1]),
            "One other order is not enough. If it is reversed, the middle token stays; if it is rolled, neighbours "
            "stay neighbours; if two are swapped, all others stay. Try several: torch.randperm.",
            also=[
                *(
                    _one_order(lambda n, k=k: [(i + k) % n for i in range(n)])  # type: ignore[misc]
                    for k in (1, -1, 2, -2)
                ),
                _one_order(lambda n: [1, 0, *range(2, n)]),
                _one_order(lambda n: [*range(n - 2), n - 1, n - 2]),
                _one_order(lambda n: [n - 1, *range(1, n - 1), 0]),
                *(_right_but_for(name) for name in (FIRST, MIDDLE, LAST, EVERY_OTHER, CIRCLE)),
                _right_but_for(FIRST, FAINT),
                _right_but_for(FIRST, FAINT, OPPOSITE),
            ],
        ),
        Mistake(
            "too_rough",
            partial(_moves, closeness=0.05),
            "You compare too roughly. In one model the result moves by a few thousandths only. That is little, "
            "but more than rounding, which is below a millionth.",
            also=[_right_but_for(FAINT)],
        ),
        Mistake(
            "exactly_equal",
            partial(_moves, closeness=0.0),
            "You report rounding. A sum in another order may differ in its last digit, which is no bug. Compare "
            "with torch.allclose.",
            also=[_right_but_for(ROUNDED)],
        ),
        Mistake(
            "other_texts_moved",
            partial(_moves, n_texts=2),
            "One model reads the other texts of the batch, and you take that for the order. Only the order of the "
            "same text counts: use batches of one, with one order in each.",
            also=[_right_but_for(BATCH)],
        ),
        Mistake(
            "sums_compared",
            partial(_moves, look=lambda out: out.sum(-1)),
            "You compare sums or means. In one model two features move by the same, one up and one down, and "
            "their sum stays. Compare each number.",
            also=[partial(_moves, look=torch.sum), _right_but_for(OPPOSITE)],
        ),
        Mistake(
            "one_query_only",
            partial(_moves, look=lambda out: out[:, 0]),
            "You look at what one query reads. A bias may be there for another one alone. Compare what all of "
            "them read.",
            also=[_right_but_for(LAST_QUERY)],
        ),
        Mistake(
            "must_always_move",
            partial(_moves, at_all=False),
            "You say True only if every other order moves the result. Some orders leave a token where it stood. "
            "One that moves it is enough: any, not all.",
        ),
    ],
)
