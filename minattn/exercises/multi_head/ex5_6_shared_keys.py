"""Exercise 5.6: shared keys and values."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.multi_head.attending import attended
from minattn.multihead import merge_heads


def shared(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend where neighbouring heads share one head of keys and values."""
    return attended(q, _for_all(k, q), _for_all(v, q))


def _for_all(x: Tensor, q: Tensor) -> Tensor:
    """Give every head of q its keys, or its values."""
    return _repeated_along(x, q, axis=1)


def _in_turn(x: Tensor, q: Tensor) -> Tensor:
    return x.repeat(1, q.shape[1] // x.shape[1], 1, 1)


def _repeated_along(x: Tensor, q: Tensor, axis: int) -> Tensor:
    return x.repeat_interleave(q.shape[1] // x.shape[1], dim=axis)


def _shared_by(
    spread: Callable[[Tensor, Tensor], Tensor],
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = attended,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Make an answer that spreads keys and values over the heads in another way."""
    return lambda q, k, v: attend(q, spread(k, q), spread(v, q))


def _flat(x: Tensor, q: Tensor) -> Tensor:
    """Repeat without saying along which axis."""
    return x.repeat_interleave(q.shape[1] // x.shape[1])


def _group(q: Tensor, k: Tensor) -> Tensor:
    """Return the queries with an axis for the groups, (batch, groups, heads in a group, ...)."""
    return q.view(len(q), k.shape[1], -1, *q.shape[2:])


def _all_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Let every head attend to the keys of all groups."""
    return attended(q, k.flatten(1, 2)[:, None], v.flatten(1, 2)[:, None])


def _divided_by(size: Callable[[Tensor, Tensor], float]) -> Callable[..., Tensor]:
    """Make an answer whose scores are divided by another number; it may look at q and k."""
    return lambda q, k, v: attended(q, _for_all(k, q), _for_all(v, q), float(size(q, k)))


def _shared_cases() -> list[Case]:
    def case(seed: int, batch: int, heads: int, kv: int, queries: int, keys: int, d: int) -> Case:
        return (
            numbers(seed, batch, heads, queries, d),
            numbers(seed + 1, batch, kv, keys, d),
            numbers(seed + 2, batch, kv, keys, d),
        )

    return [
        case(560, 1, 6, 2, 3, 5, 4),
        case(563, 2, 6, 3, 4, 5, 7),
        case(566, 5, 4, 4, 2, 3, 7),
        case(569, 2, 3, 1, 5, 4, 2),
    ]


def _within_own_values(out: Tensor, q: Tensor, k: Tensor, v: Tensor) -> bool:
    values = _for_all(v, q)
    low, high = values.amin(2, keepdim=True), values.amax(2, keepdim=True)
    return bool(((out >= low - 1e-4) & (out <= high + 1e-4)).all())


EXERCISE = Exercise(
    number="5.6",
    title="Shared keys and values",
    solution=shared,
    cases=_shared_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "in_turn",
            _shared_by(_in_turn),
            "The heads take the keys or the values in turn: 0, 1, 0, 1 and so on. Neighbouring heads "
            "share: with six heads and two of keys and values it is 0, 0, 0, 1, 1, 1. repeat repeats the whole, "
            "repeat_interleave each element.",
            also=[
                lambda q, k, v: attended(q, _for_all(k, q), _in_turn(v, q)),
                lambda q, k, v: attended(q, _in_turn(k, q), _for_all(v, q)),
            ],
        ),
        Mistake(
            "not_spread",
            lambda q, k, v: attended(q, k, v),
            "Queries and keys, or weights and values, still differ in their number of heads. torch does "
            "not guess which belong together: it broadcasts an axis of length 1 only. Repeat each head of "
            "keys and values along axis 1, or give the queries an axis for their groups.",
            also=[
                *(_shared_by(partial(_repeated_along, axis=axis)) for axis in (0, 2)),
                _shared_by(lambda x, q: x.repeat(1, 1, q.shape[1] // x.shape[1], 1)),
                lambda q, k, v: attended(q, _for_all(k, q), v),
                lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
                lambda q, k, v: k.expand(-1, q.shape[1], -1, -1),
                lambda q, k, v: k.expand(len(q), q.shape[1], -1, -1),
                lambda q, k, v: k.expand(*q.shape[:2], *k.shape[2:]),
                lambda q, k, v: k.expand_as(q),
                lambda q, k, v: torch.einsum("bhqd,bhkd->bhqk", q, k),
            ],
        ),
        Mistake(
            "groups_without_a_partner",
            lambda q, k, v: _group(q, k) @ k.mT,
            "The queries have an axis for their groups now, and the keys have not. They need one of length "
            "1 at the same place, k[:, :, None], to be offered to every head of their group; and so do "
            "the values.",
            also=[
                lambda q, k, v: _group(q, k) @ k[:, None].mT,
                lambda q, k, v: F.scaled_dot_product_attention(_group(q, k), k, v),
            ],
        ),
        Mistake(
            "not_whole",
            lambda q, k, v: k.repeat_interleave(q.shape[1] / k.shape[1], dim=1),
            "In Python 6 / 2 is 3.0, and heads are counted in whole numbers. Divide by //.",
            also=[lambda q, k, v: k.repeat(1, q.shape[1] / k.shape[1], 1, 1)],
        ),
        Mistake(
            "wrong_number",
            _shared_by(lambda x, q: x.repeat_interleave(x.shape[1], dim=1)),
            "You repeat the keys another number of times than they are shared. There are n_heads / "
            "n_kv_heads heads in a group, so each head of keys is needed that often.",
            also=[
                _shared_by(lambda x, q: x.repeat_interleave(q.shape[1], dim=1)),
                lambda q, k, v: torch.stack(
                    [
                        attended(x, k[:, i // k.shape[1]], v[:, 0])
                        for i, x in enumerate(q.unbind(1))
                    ],
                    1,
                ),
                lambda q, k, v: k[:, torch.arange(q.shape[1]) // k.shape[1]],
            ],
        ),
        Mistake(
            "no_axis",
            lambda q, k, v: q @ _flat(k, q).transpose(-2, -1),
            "repeat_interleave without dim makes one long row of all numbers. Say along which axis: the "
            "heads are axis 1.",
            also=[
                lambda q, k, v: q @ _flat(k, q).mT,
                lambda q, k, v: F.scaled_dot_product_attention(q, _flat(k, q), _flat(v, q)),
                lambda q, k, v: F.scaled_dot_product_attention(q, _flat(k, q), v),
            ],
        ),
        Mistake(
            "keys_of_all_groups",
            _all_keys,
            "Every head attends to the keys of all groups, so each token is offered several times. A head "
            "belongs to one group, and has the keys and values of that group only.",
        ),
        Mistake(
            "one_group",
            lambda q, k, v: attended(q, k[:, :1], v[:, :1]),
            "All heads use the same keys and values. That is right for n_kv_heads = 1 (multi-query "
            "attention). Here each group of neighbouring heads has its own.",
            also=[
                lambda q, k, v: attended(q, k.mean(1, keepdim=True), v.mean(1, keepdim=True)),
                lambda q, k, v: attended(q, k.sum(1, keepdim=True), v.sum(1, keepdim=True)),
            ],
        ),
        Mistake(
            "queries_joined",
            lambda q, k, v: attended(_group(q, k).mean(2), k, v),
            "You make as few heads of queries as there are of keys, by averaging, adding or leaving some "
            "out. It goes the other way: every head keeps its own queries, and finds something of its own "
            "with the keys of its group.",
            also=[
                lambda q, k, v: attended(_group(q, k).sum(2), k, v),
                lambda q, k, v: attended(q[:, : k.shape[1]], k, v),
                lambda q, k, v: attended(_group(q, k)[:, :, 0], k, v),
            ],
        ),
        Mistake(
            "groups_left",
            lambda q, k, v: _group(shared(q, k, v), k),
            "The numbers are right, but the groups are still an axis of their own. Make one axis of "
            "groups and heads again: flatten(1, 2).",
        ),
        Mistake(
            "heads_in_another_order",
            lambda q, k, v: _group(shared(q, k, v), k).transpose(1, 2).flatten(1, 2),
            "Each head has found the right thing, but in the result the heads stand in another order. "
            "Within the axis of the heads, all heads of group 0 come first, then those of group 1.",
            also=[
                lambda q, k, v: (
                    _shared_by(_in_turn)(q, k, v)
                    .view(len(q), -1, k.shape[1], *q.shape[2:])
                    .transpose(1, 2)
                    .flatten(1, 2)
                ),
            ],
        ),
        Mistake(
            "merged",
            lambda q, k, v: merge_heads(shared(q, k, v)),
            "Each head has found the right thing, and then you put the heads side by side, as in exercise "
            "5.2. Here they stay apart: (batch, n_heads, queries, d_head).",
        ),
        Mistake(
            "heads_before_batch",
            lambda q, k, v: shared(q, k, v).transpose(0, 1),
            "The heads stand before the batch. stack makes its new axis the first one if no dim is given; "
            "with dim=1 the heads come second.",
        ),
        Mistake(
            "keys_as_values",
            lambda q, k, v: shared(q, k, k),
            "The weights average the keys. A key says what can be found at a token, and the value is what "
            "is handed over.",
        ),
        Mistake(
            "no_scale",
            _shared_by(_for_all, partial(attended, divide_by=1.0)),
            "The scores are not divided by anything. Sharing changes nothing in a score: it is a sum of "
            "d_head products, and is divided by the root of d_head.",
        ),
        Mistake(
            "scaled_by_another_size",
            _divided_by(lambda q, k: math.sqrt(q.shape[1] * q.shape[3])),
            "The scores are divided by another number than the root of d_head: the width of all heads, or "
            "of all keys, or the number of something. Sharing changes nothing in a score: the width of a "
            "head is the last axis.",
            also=[
                _divided_by(lambda q, k: math.sqrt(k.shape[1] * k.shape[3])),
                _divided_by(lambda q, k: float(q.shape[3])),
                _divided_by(lambda q, k: math.sqrt(q.shape[1] // k.shape[1])),
                _divided_by(lambda q, k: math.sqrt(q.shape[0])),
                _divided_by(lambda q, k: math.sqrt(q.shape[1])),
                _divided_by(lambda q, k: math.sqrt(q.shape[2])),
                _divided_by(lambda q, k: math.sqrt(k.shape[1])),
                _divided_by(lambda q, k: math.sqrt(k.shape[2])),
            ],
        ),
        Mistake(
            "another_softmax_axis",
            _shared_by(_for_all, partial(attended, axis=1)),
            "The softmax runs over the heads or over the queries. F.softmax takes the heads of a tensor of "
            "four axes if no dim is given. Every query of every head shares out a weight of 1 among the "
            "keys: the last axis.",
            also=[_shared_by(_for_all, partial(attended, axis=2))],
        ),
    ],
    laws=[
        Law(
            "an output lies between the values of the group that its head belongs to",
            _within_own_values,
        ),
    ],
)
