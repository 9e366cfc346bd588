"""Exercise 5.7: without one head."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake, numbers
from minattn.exercises.multi_head.attending import attended, scaled_scores
from minattn.exercises.multi_head.cutting import Split, bare_view, merged_by_view, merged_with_view
from minattn.multihead import merge_heads, split_heads

ALL = slice(None)


class Asking(NamedTuple):
    """What exercise 5.7 is given."""

    query: Tensor
    memory: Tensor
    w_q: Tensor
    w_k: Tensor
    w_v: Tensor
    w_o: Tensor
    n_heads: int
    head: int


def without(
    query: Tensor,
    memory: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    w_o: Tensor,
    n_heads: int,
    head: int,
) -> Tensor:
    """Let one sequence ask another in all heads but one."""
    return _all_but(Asking(query, memory, w_q, w_k, w_v, w_o, n_heads, head))


def _answer(of: Callable[[Asking], Tensor]) -> Callable[..., Tensor]:
    return lambda *case: of(Asking(*case))


def _asked(a: Asking, split: Split = split_heads) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values of all heads."""
    q, k, v = a.query @ a.w_q, a.memory @ a.w_k, a.memory @ a.w_v
    return split(q, a.n_heads), split(k, a.n_heads), split(v, a.n_heads)


def _found_in(a: Asking) -> Tensor:
    """Return what the heads found, (batch, heads, queries, d_head)."""
    return attended(*_asked(a))


def _contributions(a: Asking) -> Tensor:
    """Return what each head adds to the output, (batch, heads, queries, d_model)."""
    return _found_in(a) @ a.w_o.view(a.n_heads, -1, a.w_o.shape[1])


def _all_heads(a: Asking) -> Tensor:
    return _contributions(a).sum(1)


def _all_but(a: Asking) -> Tensor:
    return _all_heads(a) - _contributions(a)[:, a.head]


def _zeroed(x: Tensor, *place: Any) -> Tensor:
    x = x.clone()
    x[place] = 0
    return x


def _own(a: Asking) -> slice:
    """Return the features of the head, side by side with the others."""
    d_head = len(a.w_o) // a.n_heads
    return slice(a.head * d_head, (a.head + 1) * d_head)


def _mixed(parts: Tensor, a: Asking) -> Tensor:
    return merge_heads(parts) @ a.w_o


def _uniform(a: Asking) -> Tensor:
    """Zero the queries of the head, so that it averages all values."""
    q, k, v = _asked(a)
    return _mixed(attended(_zeroed(q, ALL, a.head), k, v), a)


def _nothing_allowed(a: Asking) -> Tensor:
    q, k, v = _asked(a)
    scores = scaled_scores(q, k)
    scores[:, a.head] = -math.inf
    return _mixed(scores.softmax(-1) @ v, a)


def _others(a: Asking) -> Tensor:
    """Return the other heads side by side, (batch, queries, d_model - d_head)."""
    return merge_heads(_found_in(a)[:, [i for i in range(a.n_heads) if i != a.head]])


def _others_on_first_rows(a: Asking) -> Tensor:
    others = _others(a)
    return others @ a.w_o[: others.shape[-1]]


def _head_before(a: Asking) -> Tensor:
    """Count heads from one; what a slice from a negative row leaves out is nothing."""
    return _all_but(a._replace(head=a.head - 1)) if a.head else _all_heads(a)


def _one_key(a: Asking) -> Tensor:
    q, k, v = _asked(a)
    return _mixed(attended(q, k, _zeroed(v, ALL, ALL, a.head)), a)


def _rest(w: Tensor, a: Asking) -> Tensor:
    """Return the rows of a matrix that are not those of the head."""
    return torch.cat([w[: _own(a).start], w[_own(a).stop :]])


def _by_view(a: Asking) -> Tensor:
    parts = attended(*_asked(a, bare_view))
    return _mixed(_zeroed(parts, ALL, a.head), a)


def _back_by_view(a: Asking) -> Tensor:
    return merged_by_view(_zeroed(_found_in(a), ALL, a.head)) @ a.w_o


def _scaled(size: Callable[[Tensor], float]) -> Callable[..., Tensor]:
    """Make an answer whose scores are divided by another number; it may look at q."""

    def answer(*case: Any) -> Tensor:
        a = Asking(*case)
        q, k, v = _asked(a)
        return _mixed(_zeroed(attended(q, k, v, float(size(q))), ALL, a.head), a)

    return answer


def _of_two(a: Asking, keys: Tensor, values: Tensor) -> Tensor:
    """Make keys and values of two sequences."""
    q, k, v = (split_heads(x, a.n_heads) for x in (a.query @ a.w_q, keys @ a.w_k, values @ a.w_v))
    return _mixed(_zeroed(attended(q, k, v), ALL, a.head), a)


def _blind(*names: str) -> Callable[..., Tensor]:
    """Make an answer with all heads that zeroes the rows of some matrices."""

    def answer(a: Asking) -> Tensor:
        blind: dict[str, Any] = {name: _zeroed(getattr(a, name), _own(a)) for name in names}
        return _all_heads(a._replace(**blind))

    return _answer(answer)


def _turned(*names: str) -> Callable[..., Tensor]:
    """Make an answer that uses some matrices as nn.Linear stores them."""
    return _answer(lambda a: _all_but(a._replace(**{name: getattr(a, name).T for name in names})))


def _without_cases() -> list[Case]:
    def case(
        seed: int, batch: int, queries: int, keys: int, d_model: int, n_heads: int, head: int
    ) -> Case:
        weights = [numbers(seed + i, d_model, d_model) / math.sqrt(d_model) for i in range(2, 6)]
        return (
            numbers(seed, batch, queries, d_model),
            numbers(seed + 1, batch, keys, d_model),
            *(1.7 * w for w in weights[:2]),
            *weights[2:],
            n_heads,
            head,
        )

    return [
        case(570, 1, 5, 7, 6, 2, 1),
        case(576, 3, 5, 2, 6, 3, 0),
        case(582, 5, 7, 3, 10, 5, 3),
        case(588, 3, 4, 5, 14, 2, 0),
        case(594, 7, 5, 2, 12, 4, 3),
    ]


EXERCISE = Exercise(
    number="5.7",
    title="Without one head",
    solution=without,
    cases=_without_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "left_uniform",
            _answer(_uniform),
            "The head is still there. With zeros for its queries or its keys, or with one number for all "
            "of its scores, the softmax makes equal weights, and the head hands over the mean of all "
            "values. To hand over nothing, its values or what it found has to be zero.",
        ),
        Mistake(
            "nan",
            _answer(_nothing_allowed),
            "The result is NaN. A head that may attend to nothing has a softmax over nothing, 0 by 0. "
            "Leave its weights alone and take what it found out of the sum.",
        ),
        Mistake(
            "columns_of_w_o",
            _answer(lambda a: _zeroed(_all_heads(a), ..., _own(a))),
            "You zero columns of w_o, or features of the result. A column of w_o makes one feature of the "
            "result from all heads. What a head found comes in by its rows. Or count it like this: heads "
            "own columns of w_q, w_k and w_v, and rows of w_o.",
        ),
        Mistake(
            "rows_zeroed",
            _blind("w_v"),
            "You zero rows of w_q, w_k or w_v. A row belongs to a feature that comes in, so every head now "
            "misses a slice of each token, and the one that was meant is still there. What a head makes "
            "comes out in its columns.",
            also=[_blind("w_q"), _blind("w_k"), _blind("w_q", "w_k", "w_v")],
        ),
        Mistake(
            "only_this_head",
            _answer(lambda a: _contributions(a)[:, a.head]),
            "This is what the head contributes. You were to leave it out, and keep all others.",
        ),
        Mistake(
            "nothing_removed",
            _answer(_all_heads),
            "This is the output of all heads: the one that was to be left out is still in. If you set "
            "something to zero, did it happen to a copy?",
        ),
        Mistake(
            "neighbour_removed",
            _answer(_head_before),
            "Another head is missing than the one that was meant. They are counted from 0, so head 0 has "
            "the features from 0 on.",
            also=[
                _answer(lambda a: _all_but(a._replace(head=(a.head - 1) % a.n_heads))),
                _answer(lambda a: _all_but(a._replace(head=(a.head + 1) % a.n_heads))),
            ],
        ),
        Mistake(
            "always_the_same",
            _answer(lambda a: _all_but(a._replace(head=0))),
            "You leave out the same head every time, the first or the last. The argument head says which one "
            "is meant.",
            also=[_answer(lambda a: _all_but(a._replace(head=a.n_heads - 1)))],
        ),
        Mistake(
            "interleaved",
            _answer(
                lambda a: (
                    _zeroed(merge_heads(_found_in(a)), ..., slice(a.head, None, a.n_heads)) @ a.w_o
                )
            ),
            "You take out every n_heads-th feature. A head is a block of neighbours: its features are "
            "head * d_head to (head + 1) * d_head.",
        ),
        Mistake(
            "one_feature",
            _answer(lambda a: _zeroed(merge_heads(_found_in(a)), ..., a.head) @ a.w_o),
            "You take out a single feature, or one of every head. A head is a block of d_head features, or "
            "one place on the axis of the heads.",
            also=[
                _answer(lambda a: _mixed(_zeroed(_found_in(a), ..., a.head), a)),
                _answer(lambda a: _zeroed(_all_heads(a), ..., a.head)),
            ],
        ),
        Mistake(
            "one_query",
            _answer(lambda a: _mixed(_zeroed(_found_in(a), ALL, ALL, a.head), a)),
            "You take out a token, in all heads. The axes are (batch, heads, queries, d_head), or keys in "
            "the place of queries.",
            also=[_answer(_one_key)],
        ),
        Mistake(
            "one_sequence",
            _answer(lambda a: _mixed(_zeroed(_found_in(a), a.head), a)),
            "You take out a sequence of the batch, in all heads, or there is none with that number. The "
            "first axis is the batch, the second one the heads.",
        ),
        Mistake(
            "others_on_first_rows",
            _answer(_others_on_first_rows),
            "The other heads have moved up, and meet rows of w_o that belong to their neighbours. Heads "
            "are told apart by their place only. Keep an empty place for the one that is missing, or take "
            "its rows out of w_o as well.",
        ),
        Mistake(
            "do_not_fit",
            _answer(lambda a: _others(a) @ a.w_o),
            "What the heads found and w_o no longer fit: one of the two has lost the head and the other "
            "has not, or columns of w_o are gone. Put zeros in its place, or take out what belongs to it on "
            "both sides: features there, rows of w_o here.",
            also=[
                _answer(lambda a: merge_heads(_found_in(a)) @ _rest(a.w_o, a)),
                _answer(lambda a: _others(a) @ _rest(a.w_o.T, a).T),
            ],
        ),
        Mistake(
            "made_up_for",
            _answer(lambda a: _all_but(a) * a.n_heads / (a.n_heads - 1)),
            "The others are made larger, as dropout would do, to make up for the missing head. What "
            "a head contributes is added; without it the sum has one term less, and the others stay as "
            "they are.",
        ),
        Mistake(
            "averaged",
            _answer(lambda a: _all_but(a) / a.n_heads),
            "The result is too small by a factor: an average over the heads. Side by side times w_o is the "
            "sum of what they contribute.",
            also=[_answer(lambda a: _all_but(a) / (a.n_heads - 1))],
        ),
        Mistake(
            "roles_swapped",
            _answer(lambda a: _all_but(a._replace(query=a.memory, memory=a.query))),
            "The memory asks and the query is asked. There should be an answer for each token of query: "
            "queries come from it, keys and values from memory.",
        ),
        Mistake(
            "memory_ignored",
            _answer(lambda a: _all_but(a._replace(memory=a.query))),
            "This is self-attention: one sequence asks itself. Queries come from query, keys and values "
            "from memory.",
            also=[_answer(lambda a: _all_but(a._replace(query=a.memory)))],
        ),
        Mistake(
            "keys_without_values",
            _answer(lambda a: _of_two(a, keys=a.query, values=a.memory)),
            "Keys and values come from two sequences, so the weights do not fit the values. Both come from "
            "memory: the key says what can be found there, the value is what is handed over.",
            also=[_answer(lambda a: _of_two(a, keys=a.memory, values=a.query))],
        ),
        Mistake(
            "scale",
            _scaled(lambda q: math.sqrt(q.shape[1] * q.shape[3])),
            "The scores are not divided by the root of d_head. A score of a head is a sum over its own "
            "d_head features, whether one sequence takes part or two.",
            also=[_scaled(lambda q: 1.0), _scaled(lambda q: q.shape[3])],
        ),
        Mistake(
            "by_view",
            _answer(_by_view),
            "The heads are split or merged by a bare view, so the tokens are scrambled: exercise 5.1. Heads "
            "and tokens have to change places, by transpose, on the way in and on the way back.",
            also=[_answer(_back_by_view)],
        ),
        Mistake(
            "view_refused",
            _answer(lambda a: merged_with_view(_found_in(a))),
            "The last view cannot be done: after a transpose the numbers no longer lie in that order. Use "
            "reshape or flatten, or contiguous() before view.",
            also=[
                _answer(lambda a: _found_in(a).transpose(1, 2).view(*a.query.shape[:2], -1)),
            ],
        ),
        Mistake(
            "no_w_o",
            _answer(lambda a: merge_heads(_zeroed(_found_in(a), ALL, a.head))),
            "The last projection is missing: what the heads found stands side by side and is not mixed by "
            "w_o.",
            also=[_answer(_others)],
        ),
        Mistake(
            "w_o_transposed",
            _turned("w_o"),
            "A matrix is used the wrong way round. These are ready for x @ w_q and for what the heads found "
            "@ w_o, with a row for each feature that comes in. nn.Linear keeps its own as (out, in).",
            also=[_turned("w_q", "w_k", "w_v"), _turned("w_q", "w_k", "w_v", "w_o")],
        ),
    ],
)
