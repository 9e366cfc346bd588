import math

import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.multi_head.ex5_7_without_one_head import EXERCISE
from minattn.multihead import MultiHeadAttention, merge_heads, split_heads

INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def cross(query, memory, w_q, w_k, w_v, n_heads):
    """Return what the heads find, (batch, heads, queries, d_head)."""
    q, k, v = (
        a.view(*a.shape[:2], n_heads, -1).transpose(1, 2)
        for a in (query @ w_q, memory @ w_k, memory @ w_v)
    )
    return F.scaled_dot_product_attention(q, k, v)


def without_values(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    """Let the head find nothing but zeros."""
    w_v, d_head = w_v.clone(), len(w_v) // n_heads
    w_v[:, head * d_head : (head + 1) * d_head] = 0
    return merge_heads(cross(query, memory, w_q, w_k, w_v, n_heads)) @ w_o


def without_rows(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    w_o = w_o.clone()
    w_o.view(n_heads, -1, w_o.shape[1])[head] = 0
    out = cross(query, memory, w_q, w_k, w_v, n_heads)
    return out.transpose(1, 2).flatten(2) @ w_o


def without_part(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    out = cross(query, memory, w_q, w_k, w_v, n_heads)
    out[:, head] = 0
    return merge_heads(out) @ w_o


def without_loop(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    d_head = query.shape[-1] // n_heads
    total = 0
    for i in range(n_heads):
        if i == head:
            continue
        own = slice(i * d_head, (i + 1) * d_head)
        scores = query @ w_q[:, own] @ (memory @ w_k[:, own]).mT
        total = total + (scores / d_head**0.5).softmax(-1) @ memory @ w_v[:, own] @ w_o[own]
    return total


def without_cut(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    """Make a layer that never had the head."""
    d_head = query.shape[-1] // n_heads
    keep = [f for f in range(query.shape[-1]) if f // d_head != head]
    rest = w_q[:, keep], w_k[:, keep], w_v[:, keep], n_heads - 1
    return merge_heads(cross(query, memory, *rest)) @ w_o[keep]


def without_subtracting(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    out = cross(query, memory, w_q, w_k, w_v, n_heads)
    d_head = out.shape[-1]
    own = out[:, head] @ w_o[head * d_head : (head + 1) * d_head]
    return merge_heads(out) @ w_o - own


def without_looking(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    """Forbid the head to look anywhere, and take the NaN out of its weights."""
    q, k, v = (split_heads(a, n_heads) for a in (query @ w_q, memory @ w_k, memory @ w_v))
    scores = q @ k.mT / k.shape[-1] ** 0.5
    scores[:, head] = -INF
    return merge_heads(scores.softmax(-1).nan_to_num() @ v) @ w_o


def without_layer(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
    layer = MultiHeadAttention(len(w_q), n_heads, bias=False)
    for name, w in (("q_proj", w_q), ("k_proj", w_k), ("v_proj", w_v), ("out_proj", w_o)):
        getattr(layer, name).weight.data = w.T.clone()
    d_head = len(w_q) // n_heads
    layer.out_proj.weight.data[:, head * d_head : (head + 1) * d_head] = 0
    return layer(query, memory, memory)


OTHER_WAYS = [
    without_values,
    without_rows,
    without_part,
    without_loop,
    without_cut,
    without_subtracting,
    without_looking,
    without_layer,
]


# Wrong ways, written as a learner writes them.


def without_after(
    before=lambda q, k, v, head: None,
    scores=lambda s, head: None,
    found=lambda out, head: None,
    keep=lambda out, head: out,
    w_o=lambda w, block: w,
    result=lambda out, block: None,
):
    """Make an answer in the usual lines of code, with something done to one of its tensors."""

    def answer(query, memory, w_q, w_k, w_v, out_matrix, n_heads, head):
        d_head = query.shape[-1] // n_heads
        block = slice(head * d_head, (head + 1) * d_head)
        q, k, v = (
            a.view(*a.shape[:2], n_heads, d_head).transpose(1, 2)
            for a in (query @ w_q, memory @ w_k, memory @ w_v)
        )
        before(q, k, v, head)
        table = q @ k.mT / d_head**0.5
        scores(table, head)
        out = table.softmax(-1) @ v
        found(out, head)
        out = keep(out, head).transpose(1, 2).flatten(2) @ w_o(out_matrix.clone(), block)
        result(out, block)
        return out

    return answer


def zero(*place):
    """Fill a place of a tensor with zeros; the word "own" stands for the head or its features."""

    def fill(x, own):
        x[tuple(own if p == "own" else p for p in place)] = 0

    return fill


def zeroed(*place):
    def fill(w, own):
        zero(*place)(w, own)
        return w

    return fill


def drop(out, head):
    return torch.cat([out[:, :head], out[:, head + 1 :]], dim=1)


ALL = slice(None)


EACH_HEAD = zero(ALL, "own")


NEAR_MISSES = [
    ("always_the_same", lambda *case: OTHER_WAYS[0](*case[:-1], 0)),
    ("always_the_same", lambda *case: OTHER_WAYS[0](*case[:-1], case[-2] - 1)),
    ("left_uniform", without_after(lambda q, k, v, i: EACH_HEAD(q, i))),
    ("left_uniform", without_after(lambda q, k, v, i: EACH_HEAD(k, i))),
    ("left_uniform", without_after(scores=lambda s, i: s[:, i].fill_(-1e9))),
    ("nan", without_after(scores=lambda s, i: s[:, i].fill_(-INF))),
    ("columns_of_w_o", without_after(w_o=zeroed(ALL, "own"))),
    ("columns_of_w_o", without_after(result=zero(..., "own"))),
    ("nothing_removed", without_after()),
    ("one_query", without_after(found=zero(ALL, ALL, "own"))),
    ("one_feature", without_after(found=zero(..., "own"))),
    ("one_sequence", without_after(found=zero("own"))),
    ("do_not_fit", without_after(keep=drop)),
    (
        "others_on_first_rows",
        without_after(keep=drop, w_o=lambda w, own: w[: len(w) - own.stop + own.start]),
    ),
    ("roles_swapped", lambda q, m, *rest: without_part(m, q, *rest)),
    ("memory_ignored", lambda q, m, *rest: without_part(q, q, *rest)),
    ("w_o_transposed", lambda *case: without_rows(*case[:5], case[5].T, *case[6:])),
]


# What is said, and what the checker is tried on.


def test_a_matrix_changed_in_place_is_noticed():
    def zeroes_rows(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
        w_o.view(n_heads, -1, len(w_o))[head] = 0
        return merge_heads(cross(query, memory, w_q, w_k, w_v, n_heads)) @ w_o

    verdict = judge(EXERCISE, zeroes_rows)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


def test_what_a_head_adds_and_what_is_left_without_it_make_the_whole():
    of = {mistake.name: mistake.answer for mistake in EXERCISE.mistakes}
    for case in EXERCISE.cases():
        parts = of["only_this_head"](*case) + EXERCISE.solution(*case)
        torch.testing.assert_close(parts, of["nothing_removed"](*case))
