"""Exercise 2.4: additive scores."""

import math

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def additive(query: Tensor, key: Tensor, w_q: Tensor, w_k: Tensor, v: Tensor) -> Tensor:
    """Score every query against every key with a small network."""
    q, k = query @ w_q.T, key @ w_k.T
    return torch.tanh(q[:, None] + k[None]) @ v


def _sums(query: Tensor, key: Tensor, w_q: Tensor, w_k: Tensor) -> Tensor:
    return (query @ w_q.T)[:, None] + (key @ w_k.T)[None]


def _additive_case(
    seed: int, n_queries: int, n_keys: int, d_query: int, d_key: int, d_hidden: int
) -> Case:
    return (
        numbers(seed, n_queries, d_query),
        numbers(seed + 1, n_keys, d_key),
        numbers(seed + 2, d_hidden, d_query),
        numbers(seed + 3, d_hidden, d_key),
        numbers(seed + 4, d_hidden),
    )


EXERCISE = Exercise(
    number="2.4",
    title="Additive scores",
    solution=additive,
    cases=lambda: [
        _additive_case(130, 2, 3, 1, 2, 5),
        _additive_case(140, 5, 2, 3, 7, 3),
        _additive_case(150, 3, 7, 5, 2, 11),
    ],
    mistakes=[
        Mistake(
            "no_tanh",
            lambda q, k, w, u, v: _sums(q, k, w, u) @ v,
            "The tanh is missing. Then the score falls apart into one part from the query and one "
            "from the key. The query's part is the same for all keys, so it cancels in the softmax: all "
            "queries would get the same weights.",
        ),
        Mistake(
            "tanh_outside",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u) @ v),
            "The tanh stands outside, around the finished score. What it squashes is a sum of a query's "
            "part and a key's part, so all queries rank the keys alike. Where are the brackets in the "
            "formula?",
        ),
        Mistake(
            "tanh_of_each",
            lambda q, k, w, u, v: (torch.tanh(q @ w.T)[:, None] + torch.tanh(k @ u.T)) @ v,
            "The tanh acts on query and key apart, and then they are added. They never meet inside "
            "something that bends, so the query's part is the same for all keys and cancels in the "
            "softmax. Add first.",
        ),
        Mistake(
            "paired",
            lambda q, k, w, u, v: torch.tanh(q @ w.T + k @ u.T) @ v,
            "Query i is added to key i only. Every query has to meet every key, in a table of "
            "(queries, keys). Think of the shapes that two tensors need for broadcasting to make "
            "such a table.",
            also=[
                lambda q, k, w, u, v: torch.stack(
                    [torch.tanh(w @ a + u @ b) @ v for a, b in zip(q, k, strict=False)]
                )
            ],
        ),
        Mistake(
            "keys_not_seen",
            lambda q, k, w, u, v: (torch.tanh(q @ w.T) @ v)[:, None].expand(-1, len(k)),
            "This is fake attention: the score never sees the keys, so all keys get the same. It runs "
            "without any error, which makes it hard to find. Change a key and see whether anything "
            "moves.",
        ),
        Mistake(
            "queries_not_seen",
            lambda q, k, w, u, v: (torch.tanh(k @ u.T) @ v)[None].expand(len(q), -1),
            "The score never sees the query: every query gets the same scores, and with them the same "
            "context vector. That is one fixed vector again, as in chapter 1.",
        ),
        Mistake(
            "transposed",
            lambda q, k, w, u, v: (torch.tanh(_sums(q, k, w, u)) @ v).T,
            "The numbers are right, but the table is (keys, queries). A row belongs to a query, and the "
            "keys lie along the last axis.",
        ),
        Mistake(
            "no_v",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u)).sum(-1),
            "The hidden units are added up as they are, so each counts the same and v is not used. v "
            "says how much each one counts, and in which direction.",
            also=[lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u)).mean(-1)],
        ),
        Mistake(
            "v_inside",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u) * v).sum(-1),
            "v is multiplied in before the tanh. It belongs after it: first every hidden unit is "
            "squashed, then v weighs the results.",
        ),
        Mistake(
            "scaled",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u)) @ v / math.sqrt(len(v)),
            "The scores are divided by a square root. That belongs to dot products, where sums of "
            "products grow with the width; the formula of the additive score has no such factor.",
        ),
        Mistake(
            "softmax_too",
            lambda q, k, w, u, v: (torch.tanh(_sums(q, k, w, u)) @ v).softmax(-1),
            "These are the weights, after the softmax. The task asks for the scores before it. Keeping "
            "the two apart is worth it: a mask goes between them.",
        ),
        Mistake(
            "not_transposed",
            lambda q, k, w, u, v: torch.tanh((q @ w)[:, None] + k @ u) @ v,
            "The shapes do not meet: weights are stored (out, in), as in torch.nn.Linear. With the "
            "queries in rows, W q becomes query @ w_q.T, and the same holds for the keys.",
            also=[
                lambda q, k, w, u, v: torch.tanh((q @ w)[:, None] + k @ u.T) @ v,
                lambda q, k, w, u, v: torch.tanh((q @ w.T)[:, None] + k @ u) @ v,
                lambda q, k, w, u, v: torch.tanh((w @ q)[:, None] + u @ k) @ v,
            ],
        ),
    ],
    laws=[
        Law(
            "no score is larger than the sum of the sizes in v",
            lambda out, q, k, w, u, v: bool((out.abs() <= v.abs().sum() + 1e-4).all()),
        ),
    ],
)
