"""The checkers of chapter 5: right answers however written, and wrong ones as learners write them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.core import judge, same
from minattn.exercises.multi_head import EXERCISES as CHAPTER
from minattn.exercises.multi_head import count
from minattn.masks import Both, Causal, Padding
from minattn.multihead import MultiHeadAttention, merge_heads, split_heads

EXERCISES = {exercise.number: exercise for exercise in CHAPTER}
INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def split_loop(x, n_heads):
    batch, seq, d_model = x.shape
    d_head = d_model // n_heads
    out = torch.zeros(batch, n_heads, seq, d_head)
    for b in range(batch):
        for h in range(n_heads):
            for t in range(seq):
                for f in range(d_head):
                    out[b, h, t, f] = x[b, t, h * d_head + f]
    return out


def split_numpy(x, n_heads):
    return np.stack(np.split(x.numpy(), n_heads, axis=2), axis=1)


def split_projecting(x, n_heads):
    """Cut by multiplying with parts of the identity."""
    eye = torch.eye(x.shape[-1]).view(n_heads, -1, x.shape[-1])
    return torch.einsum("bsd,hfd->bhsf", x, eye)


def split_through_batch(x, n_heads):
    """Do as torch's own layer does: the sequence first, batch and heads as one axis."""
    batch, seq, d_model = x.shape
    x = x.transpose(0, 1).reshape(seq, batch * n_heads, d_model // n_heads).transpose(0, 1)
    return x.reshape(batch, n_heads, seq, -1)


def heads_loop(x, w_q, w_k, w_v, w_o, n_heads):
    d_head = x.shape[-1] // n_heads
    heads = []
    for i in range(n_heads):
        own = slice(i * d_head, (i + 1) * d_head)
        q, k, v = x @ w_q[:, own], x @ w_k[:, own], x @ w_v[:, own]
        heads.append((q @ k.mT / d_head**0.5).softmax(-1) @ v)
    return torch.cat(heads, dim=-1) @ w_o


def heads_added_up(x, w_q, w_k, w_v, w_o, n_heads):
    """Let each head bring its own rows of w_o, one sequence after the other."""
    d_head = x.shape[-1] // n_heads
    out = torch.zeros_like(x)
    for b, tokens in enumerate(x):
        for i in range(n_heads):
            own = slice(i * d_head, (i + 1) * d_head)
            merged = w_q[:, own] @ w_k[:, own].T / math.sqrt(d_head)
            weights = (tokens @ merged @ tokens.T).softmax(-1)
            out[b] += weights @ tokens @ (w_v[:, own] @ w_o[own])
    return out


def heads_einsum(x, w_q, w_k, w_v, w_o, n_heads):
    d = x.shape[-1]
    x, w_q, w_k, w_v, w_o = (a.double() for a in (x, w_q, w_k, w_v, w_o))
    q, k, v = (torch.einsum("bsd,dhf->bshf", x, w.view(d, n_heads, -1)) for w in (w_q, w_k, w_v))
    weights = (torch.einsum("bqhf,bkhf->bhqk", q, k) / q.shape[-1] ** 0.5).softmax(-1)
    return torch.einsum("bhqk,bkhf,hfd->bqd", weights, v, w_o.view(n_heads, -1, d))


def heads_numpy(*case):
    x, w_q, w_k, w_v, w_o = (a.numpy().astype(float) for a in case[:5])
    batch, seq, d_model = x.shape
    q, k, v = (
        (x @ w).reshape(batch, seq, case[5], -1).transpose(0, 2, 1, 3) for w in (w_q, w_k, w_v)
    )
    e = np.exp(q @ k.swapaxes(2, 3) / np.sqrt(d_model // case[5]))
    out = (e / e.sum(-1, keepdims=True)) @ v
    return out.transpose(0, 2, 1, 3).reshape(batch, seq, d_model) @ w_o


def heads_fused(x, w_q, w_k, w_v, w_o, n_heads):
    shape = (*x.shape[:2], n_heads, -1)
    q, k, v = (part.view(shape).transpose(1, 2) for part in (x @ w_q, x @ w_k, x @ w_v))
    out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).reshape(x.shape) @ w_o


def heads_torch(x, w_q, w_k, w_v, w_o, n_heads):
    """Let torch's own layer do it."""
    layer = nn.MultiheadAttention(x.shape[-1], n_heads, bias=False, batch_first=True)
    layer.in_proj_weight = nn.Parameter(torch.cat([w_q, w_k, w_v], dim=1).T.contiguous())
    layer.out_proj.weight = nn.Parameter(w_o.T.contiguous())
    return layer(x, x, x)[0]


def heads_with_batch(x, w_q, w_k, w_v, w_o, n_heads):
    q, k, v = (split_heads(x @ w, n_heads).flatten(0, 1) for w in (w_q, w_k, w_v))
    out = torch.bmm((torch.bmm(q, k.mT) / math.sqrt(q.shape[2])).softmax(-1), v)
    return merge_heads(out.unflatten(0, (len(x), n_heads))) @ w_o


def head_weight_by_asking(weight, n_heads, head):
    """Send unit vectors through a Linear and keep what comes out for the head."""
    layer = nn.Linear(weight.shape[1], len(weight), bias=False)
    layer.weight = nn.Parameter(weight)
    out = layer(torch.eye(weight.shape[1]))
    return split_heads(out, n_heads)[head].T


def head_weight_loop(weight, n_heads, head):
    d_head = weight.size(0) // n_heads
    return torch.stack([weight[head * d_head + row] for row in range(d_head)])


def count_layer(d_model, n_heads, n_kv_heads, n):
    """Count the parameters of a layer, and the products of its matrix products."""
    layer = MultiHeadAttention(d_model, n_heads, n_kv_heads, bias=False)
    weights = sum(parameter.numel() for parameter in layer.parameters())
    d_head = d_model / n_heads
    return weights, n * weights + n_heads * (n * n * d_head + n * d_head * n)


def count_meta(d_model, n_heads, n_kv_heads, n):
    d_head = d_model // n_heads
    q, kv, table = n_heads * [d_model * d_head], n_kv_heads * [d_model * d_head], n**2 * d_head
    weights = sum(q) + 2 * sum(kv) + n_heads * d_head * d_model
    return [torch.tensor(weights), np.int64(n * weights + 2 * n_heads * table)]


def mask_loop(tokens, causal, n_heads):
    batch, (queries, keys) = len(tokens), causal.shape
    out = torch.zeros(batch, n_heads, queries, keys, dtype=torch.bool)
    for b in range(batch):
        for h in range(n_heads):
            for i in range(queries):
                for j in range(keys):
                    out[b, h, i, j] = causal[i, j] and tokens[b, j]
    return out


def mask_forbidden(tokens, causal, n_heads):
    forbidden = ~causal[None, None] | ~tokens[:, None, None]
    return ~forbidden.repeat(1, n_heads, 1, 1)


def mask_interleaved(tokens, causal, n_heads):
    mask = (causal & tokens.unsqueeze(1)).repeat_interleave(n_heads, dim=0)
    return mask.view(len(tokens), n_heads, *causal.shape)


def mask_described(tokens, causal, n_heads):
    shape = (len(tokens), n_heads, *causal.shape)
    return Both(Causal(), Padding(tokens)).to_bool(shape).expand(shape)


def mask_products(tokens, causal, n_heads):
    ones = torch.ones(len(tokens), n_heads, *causal.shape)
    return (ones * causal * tokens[:, None, None]) > 0


def mask_where(tokens, causal, n_heads):
    scores = torch.zeros(len(tokens), n_heads, *causal.shape)
    scores = scores.masked_fill(~causal, -INF).masked_fill(~tokens[:, None, None, :], -INF)
    return scores == 0


def shared_groups(q, k, v):
    batch, n_heads, queries, d_head = q.shape
    q = q.reshape(batch, k.shape[1], -1, queries, d_head)
    weights = (q @ k[:, :, None].mT / math.sqrt(d_head)).softmax(-1)
    return (weights @ v[:, :, None]).reshape(batch, n_heads, queries, d_head)


def shared_loop(q, k, v):
    size = q.shape[1] // k.shape[1]
    heads = [
        F.scaled_dot_product_attention(q[:, i], k[:, i // size], v[:, i // size])
        for i in range(q.shape[1])
    ]
    return torch.stack(heads, dim=1)


def shared_expanded(q, k, v):
    batch, kv, keys, d_head = k.shape
    k, v = (x[:, :, None].expand(-1, -1, q.shape[1] // kv, -1, -1) for x in (k, v))
    k, v = (x.reshape(batch, -1, keys, d_head) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v)


def shared_indexed(q, k, v):
    group = torch.arange(q.shape[1]) * k.shape[1] // q.shape[1]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k[:, group]) / q.shape[-1] ** 0.5
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), v[:, group])


def shared_long_queries(q, k, v):
    """Give all heads of a group as more queries to one head."""
    batch, n_heads, queries, d_head = q.shape
    q = q.reshape(batch, k.shape[1], -1, d_head)
    return F.scaled_dot_product_attention(q, k, v).view(batch, n_heads, queries, d_head)


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


OTHER_WAYS = {
    "5.1": [
        split_loop,
        split_numpy,
        split_projecting,
        split_through_batch,
        lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=1),
        lambda x, n: torch.stack(x.split(x.shape[-1] // n, dim=-1)).transpose(0, 1),
        lambda x, n: x.unflatten(-1, (n, -1)).permute(0, 2, 1, 3).contiguous(),
        lambda x, n: x.transpose(1, 2).reshape(len(x), n, -1, x.shape[1]).transpose(2, 3),
    ],
    "5.2": [
        heads_loop,
        heads_added_up,
        heads_einsum,
        heads_numpy,
        heads_fused,
        heads_torch,
        heads_with_batch,
    ],
    "5.3": [
        head_weight_by_asking,
        head_weight_loop,
        lambda w, n, i: w.chunk(n)[i],
        lambda w, n, i: w.reshape(n, len(w) // n, -1)[i],
        lambda w, n, i: split_heads(w.T, n)[i].T,
        lambda w, n, i: np.split(w.numpy(), n)[i],
        lambda w, n, i: w[torch.arange(len(w)) // (len(w) // n) == i],
    ],
    "5.4": [count_layer, count_meta],
    "5.5": [
        mask_loop,
        mask_forbidden,
        mask_interleaved,
        mask_described,
        mask_products,
        mask_where,
    ],
    "5.6": [
        shared_groups,
        shared_loop,
        shared_expanded,
        shared_indexed,
        shared_long_queries,
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    ],
    "5.7": [
        without_values,
        without_rows,
        without_part,
        without_loop,
        without_cut,
        without_subtracting,
        without_looking,
        without_layer,
    ],
}


# Written as a learner writes them: wrong answers that stop with an error, or come in another disguise.


def heads_of(
    cut=lambda a, n: a.view(*a.shape[:2], n, -1).transpose(1, 2),
    scale=lambda x, n: x.shape[-1] // n,
    axis=-1,
    merge=lambda o, x: o.transpose(1, 2).reshape(x.shape),
    mix=lambda o, w_o: o @ w_o,
):
    """Make an answer in the usual lines of code, with one of them changed."""

    def answer(x, w_q, w_k, w_v, w_o, n_heads):
        q, k, v = cut(x @ w_q, n_heads), cut(x @ w_k, n_heads), cut(x @ w_v, n_heads)
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(scale(x, n_heads))
        out = torch.matmul(F.softmax(scores, dim=axis), v)
        return mix(merge(out, x), w_o)

    return answer


def heads_then(change):
    """Make an answer that does something more to the scores before the softmax."""

    def answer(x, w_q, w_k, w_v, w_o, n_heads):
        q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
        weights = F.softmax(change(q @ k.mT / q.shape[-1] ** 0.5), dim=-1)
        return merge_heads(weights @ v) @ w_o

    return answer


def one_by_one(
    own,
    join=lambda heads: torch.cat(heads, dim=-1),
    mix=lambda out, w_o, d: out @ w_o,
    values=None,
):
    """Make an answer with a loop over the heads; own says what each gets of tokens and matrix."""

    def answer(x, w_q, w_k, w_v, w_o, n_heads):
        d_head, heads = x.shape[-1] // n_heads, []
        for i in range(n_heads):
            block = slice(i * d_head, (i + 1) * d_head)
            q, k, v = own(x, w_q, block), own(x, w_k, block), (values or own)(x, w_v, block)
            heads.append(F.scaled_dot_product_attention(q, k, v))
        return mix(join(heads), w_o, d_head)

    return answer


def cut_where_it_stands(a, n_heads):
    return a.view(*a.shape[:2], n_heads, -1)


def cut_to_shape(a, n_heads):
    return a.view(a.shape[0], n_heads, a.shape[1], -1)


def split_after_transposing(x, n_heads):
    batch, seq, d_model = x.size()
    return x.permute(0, 2, 1).view(batch, n_heads, seq, d_model // n_heads)


def count_by_head(d_model, n_heads, n_kv_heads, n):
    weights = n_heads * 3 * d_model**2 + d_model**2
    return weights, n * weights + n_heads * 2 * n**2 * d_model


def count_of_one_head(d_model, n_heads, n_kv_heads, n):
    weights = 4 * d_model**2 // n_heads
    return weights, n * weights + 2 * n**2 * d_model


def count_groups(d_model, n_heads, n_kv_heads, n):
    weights = 2 * d_model**2 + 2 * d_model * (d_model // n_kv_heads)
    return weights, n * weights + 2 * n**2 * d_model


def count_full_keys(d_model, n_heads, n_kv_heads, n):
    weights = 2 * d_model**2 + 2 * n_kv_heads * d_model**2
    return weights, n * weights + 2 * n**2 * d_model


def count_causal(d_model, n_heads, n_kv_heads, n):
    weights = count(d_model, n_heads, n_kv_heads, n)[0]
    pairs = sum(i + 1 for i in range(n))
    return weights, n * weights + 2 * pairs * d_model


def count_three_products(d_model, n_heads, n_kv_heads, n):
    d_kv = n_kv_heads * d_model // n_heads
    weights = 2 * d_model**2 + 2 * d_model * d_kv
    return weights, n * (d_model**2 + 2 * d_model * d_kv) + 2 * n**2 * d_model


def mask_stacked(tokens, causal, n_heads):
    return torch.stack([causal & tokens[:, None]] * n_heads)


def mask_padded_rows(tokens, causal, n_heads):
    return (causal & tokens.unsqueeze(-1)).unsqueeze(1).repeat(1, n_heads, 1, 1)


def mask_multiplied(tokens, causal, n_heads):
    return (causal.int() * tokens.int()[:, None, None]).repeat(1, n_heads, 1, 1)


def shared_modulo(q, k, v):
    n_kv = k.shape[1]
    heads = [
        F.scaled_dot_product_attention(q[:, i], k[:, i % n_kv], v[:, i % n_kv])
        for i in range(q.shape[1])
    ]
    return torch.stack(heads, dim=1)


def shared_groups_last(q, k, v):
    """Group the queries the wrong way round."""
    groups = q.view(len(q), -1, k.shape[1], *q.shape[2:])
    return F.scaled_dot_product_attention(groups, k[:, None], v[:, None]).flatten(1, 2)


def shared_tiled(q, k, v):
    times = q.shape[1] // k.shape[1]
    return F.scaled_dot_product_attention(q, k.tile(1, times, 1, 1), torch.cat([v] * times, dim=1))


def shared_values_tiled(q, k, v):
    times = q.shape[1] // k.shape[1]
    return F.scaled_dot_product_attention(
        q, k.repeat_interleave(times, dim=1), v.repeat(1, times, 1, 1)
    )


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
    ("5.1", "bare_view", cut_to_shape),
    ("5.1", "bare_view", lambda x, n: cut_where_it_stands(x, n).reshape(len(x), n, len(x[0]), -1)),
    (
        "5.1",
        "turned_before_the_cut",
        lambda x, n: x.mT.contiguous().view(len(x), n, x.shape[1], x.shape[2] // n),
    ),
    ("5.1", "interleaved", lambda x, n: x.unflatten(2, (-1, n)).permute(0, 3, 1, 2)),
    ("5.1", "sizes_swapped", lambda x, n: torch.stack(torch.split(x, n, dim=2), dim=1)),
    ("5.1", "not_transposed", lambda x, n: x.unflatten(2, (n, -1))),
    ("5.1", "not_transposed", lambda x, n: torch.stack(x.chunk(n, dim=2), dim=2)),
    ("5.1", "heads_before_batch", lambda x, n: cut_where_it_stands(x, n).permute(2, 0, 1, 3)),
    (
        "5.1",
        "features_before_tokens",
        lambda x, n: x.mT.reshape(len(x), n, x.shape[2] // n, x.shape[1]),
    ),
    ("5.1", "a_list_of_parts", lambda x, n: torch.tensor_split(x, n, dim=-1)),
    ("5.1", "everything_to_everyone", lambda x, n: torch.stack([x] * n, dim=1)),
    ("5.1", "view_refused", split_after_transposing),
    ("5.1", "joined_with_cat", lambda x, n: torch.cat(x.tensor_split(n, dim=-1), dim=1)),
    ("5.2", "scaled_by_d_model", heads_of(scale=lambda x, n: x.shape[-1])),
    ("5.2", "no_scale", heads_of(scale=lambda x, n: 1)),
    ("5.2", "no_root", heads_of(scale=lambda x, n: (x.shape[-1] // n) ** 2)),
    ("5.2", "scaled_by_another_size", heads_of(scale=lambda x, n: x.shape[1])),
    ("5.2", "softmax_over_heads", heads_of(axis=None)),
    ("5.2", "softmax_over_queries", heads_of(axis=-2)),
    ("5.2", "split_by_view", heads_of(cut_to_shape)),
    ("5.2", "split_by_view", heads_of(cut_to_shape, merge=lambda o, x: o.view(x.shape))),
    ("5.2", "attention_over_heads", heads_of(cut_where_it_stands)),
    (
        "5.2",
        "attention_over_heads",
        heads_of(cut_where_it_stands, merge=lambda o, x: o.reshape(x.shape)),
    ),
    ("5.2", "interleaved", heads_of(lambda a, n: a.unflatten(2, (-1, n)).permute(0, 3, 1, 2))),
    ("5.2", "interleaved", heads_of(merge=lambda o, x: o.permute(0, 2, 3, 1).reshape(x.shape))),
    ("5.2", "merged_by_view", heads_of(merge=lambda o, x: o.view(x.shape))),
    ("5.2", "view_refused", heads_of(merge=lambda o, x: o.transpose(1, 2).view(x.shape))),
    ("5.2", "heads_joined_with_tokens", heads_of(merge=lambda o, x: o.flatten(2))),
    ("5.2", "heads_added", heads_of(merge=lambda o, x: o.mean(dim=1))),
    ("5.2", "no_w_o", heads_of(mix=lambda o, w_o: o)),
    ("5.2", "weights_transposed", heads_of(mix=F.linear)),
    ("5.2", "not_merged", heads_of(merge=lambda o, x: o, mix=lambda o, w_o: o)),
    ("5.2", "input_sliced", one_by_one(lambda x, w, own: x[..., own] @ w[own, own])),
    ("5.2", "heads_of_full_width", one_by_one(lambda x, w, own: x @ w)),
    ("5.2", "heads_of_full_width", one_by_one(lambda x, w, own: x[..., own] @ w[own])),
    ("5.2", "weights_transposed", one_by_one(lambda x, w, own: x @ w[own].T)),
    ("5.2", "cut_on_the_wrong_side", one_by_one(lambda x, w, own: x @ w[own])),
    ("5.2", "heads_added", one_by_one(lambda x, w, own: x @ w[:, own], sum)),
    (
        "5.2",
        "interleaved",
        one_by_one(lambda x, w, own: x @ w[:, own], lambda h: torch.stack(h, -1).flatten(2)),
    ),
    (
        "5.2",
        "cut_on_the_wrong_side",
        one_by_one(lambda x, w, own: x @ w[:, own], sum, lambda o, w_o, d: o @ w_o[:, :d]),
    ),
    (
        "5.2",
        "one_head",
        lambda x, q, k, v, o, n: F.scaled_dot_product_attention(x @ q, x @ k, x @ v) @ o,
    ),
    ("5.2", "causal", heads_then(lambda s: s + torch.full_like(s, -INF).triu(1))),
    ("5.2", "softmax_twice", heads_then(lambda s: F.softmax(s, dim=-1))),
    ("5.2", "x_added", lambda x, *rest: heads_loop(x, *rest) + x),
    (
        "5.2",
        "queries_and_keys_exchanged",
        lambda x, w_q, w_k, *rest: heads_loop(x, w_k, w_q, *rest),
    ),
    (
        "5.2",
        "values_not_projected",
        one_by_one(lambda x, w, own: x @ w[:, own], values=lambda x, w, own: x[..., own]),
    ),
    (
        "5.2",
        "one_block_of_w_o",
        one_by_one(lambda x, w, own: x @ w[:, own], sum, lambda o, w_o, d: o @ w_o[:d]),
    ),
    ("5.3", "columns", lambda w, n, i: torch.chunk(w, n, dim=1)[i]),
    ("5.3", "columns", lambda w, n, i: w.T[i * (len(w) // n) : (i + 1) * (len(w) // n)]),
    ("5.3", "interleaved", lambda w, n, i: w.unflatten(0, (-1, n))[:, i]),
    ("5.3", "transposed", lambda w, n, i: w.T[:, i * (len(w) // n) : (i + 1) * (len(w) // n)]),
    ("5.3", "n_heads_rows", lambda w, n, i: w[n * i : n * i + n]),
    ("5.3", "end_is_no_length", lambda w, n, i: w[i * (len(w) // n) : len(w) // n]),
    ("5.3", "first_head", lambda w, n, i: w[: len(w) // n]),
    ("5.3", "one_row", lambda w, n, i: w[i * len(w) // n]),
    ("5.3", "not_whole", lambda w, n, i: w[i * len(w) / n : (i + 1) * len(w) / n]),
    ("5.4", "full_matrix_for_each_head", lambda *case: (count_by_head(*case)[0], count(*case)[1])),
    ("5.4", "one_head_counted", count_of_one_head),
    ("5.4", "group_size", count_groups),
    ("5.4", "full_matrix_for_each_shared_head", count_full_keys),
    ("5.4", "causal_pairs", count_causal),
    ("5.4", "w_o_left_out_of_the_products", count_three_products),
    (
        "5.4",
        "sharing_ignored_in_products",
        lambda d, h, g, n: (count(d, h, g, n)[0], count(d, h, h, n)[1]),
    ),
    ("5.4", "added", lambda *case: count_layer(*case)[0] + count_layer(*case)[1]),
    ("5.4", "sums_counted", lambda *case: (count(*case)[0], 2.0 * count(*case)[1])),
    ("5.4", "order", lambda *case: list(reversed(count(*case)))),
    (
        "5.5",
        "batch_taken_for_heads",
        lambda t, c, h: (c[None, None] & t[:, None]).expand(len(t), h, -1, -1),
    ),
    ("5.5", "batch_taken_for_heads", lambda t, c, h: (c & t[:, None]).expand(len(t), h, *c.shape)),
    (
        "5.5",
        "minus_one_for_a_new_axis",
        lambda t, c, h: t[:, None, None, :].expand(-1, h, -1, -1) & c.expand(-1, h, -1, -1),
    ),
    ("5.5", "minus_one_for_a_new_axis", lambda t, c, h: (c & t[:, None]).expand(-1, h, *c.shape)),
    ("5.5", "heads_before_batch", mask_stacked),
    (
        "5.5",
        "repeated_as_a_whole",
        lambda t, c, h: (c & t[:, None]).tile(h, 1, 1).reshape(len(t), h, *c.shape),
    ),
    ("5.5", "one_head_only", lambda t, c, h: c & t[:, None, None]),
    ("5.5", "no_heads", lambda t, c, h: torch.stack([c & row for row in t])),
    ("5.5", "padding_on_rows", mask_padded_rows),
    ("5.5", "padding_on_rows", lambda t, c, h: c[None, None] & t[:, None, :, None]),
    ("5.5", "or", lambda t, c, h: (c + t[:, None, None]).repeat(1, h, 1, 1)),
    ("5.5", "inverted", lambda t, c, h: (~c | ~t[:, None, None]).repeat(1, h, 1, 1)),
    ("5.5", "numbers", mask_multiplied),
    ("5.5", "python_and", lambda t, c, h: c and t[:, None, None]),
    ("5.6", "in_turn", shared_modulo),
    ("5.6", "in_turn", shared_groups_last),
    ("5.6", "in_turn", shared_tiled),
    ("5.6", "in_turn", shared_values_tiled),
    ("5.6", "merged", lambda q, k, v: shared_loop(q, k, v).transpose(1, 2).flatten(2)),
    (
        "5.6",
        "heads_before_batch",
        lambda q, k, v: torch.stack(list(shared_loop(q, k, v).unbind(1))),
    ),
    ("5.6", "keys_as_values", lambda q, k, v: shared_expanded(q, k, k)),
    ("5.6", "not_spread", lambda q, k, v: (q @ k.mT / q.shape[3] ** 0.5).softmax(-1) @ v),
    ("5.6", "groups_without_a_partner", lambda q, k, v: q.unflatten(1, (k.shape[1], -1)) @ k.mT),
    (
        "5.6",
        "groups_left",
        lambda q, k, v: F.scaled_dot_product_attention(
            q.unflatten(1, (k.shape[1], -1)), k[:, :, None], v[:, :, None]
        ),
    ),
    (
        "5.6",
        "no_scale",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=1.0, enable_gqa=True),
    ),
    ("5.7", "left_uniform", without_after(lambda q, k, v, i: EACH_HEAD(q, i))),
    ("5.7", "left_uniform", without_after(lambda q, k, v, i: EACH_HEAD(k, i))),
    ("5.7", "left_uniform", without_after(scores=lambda s, i: s[:, i].fill_(-1e9))),
    ("5.7", "nan", without_after(scores=lambda s, i: s[:, i].fill_(-INF))),
    ("5.7", "columns_of_w_o", without_after(w_o=zeroed(ALL, "own"))),
    ("5.7", "columns_of_w_o", without_after(result=zero(..., "own"))),
    ("5.7", "nothing_removed", without_after()),
    ("5.7", "one_query", without_after(found=zero(ALL, ALL, "own"))),
    ("5.7", "one_feature", without_after(found=zero(..., "own"))),
    ("5.7", "one_sequence", without_after(found=zero("own"))),
    ("5.7", "do_not_fit", without_after(keep=drop)),
    (
        "5.7",
        "others_on_first_rows",
        without_after(keep=drop, w_o=lambda w, own: w[: len(w) - own.stop + own.start]),
    ),
    ("5.7", "roles_swapped", lambda q, m, *rest: without_part(m, q, *rest)),
    ("5.7", "memory_ignored", lambda q, m, *rest: without_part(q, q, *rest)),
    ("5.7", "w_o_transposed", lambda *case: without_rows(*case[:5], case[5].T, *case[6:])),
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice for softmax")
@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


def test_two_wrong_counts_are_told_one_after_the_other():
    verdict = judge(EXERCISES["5.4"], count_by_head)
    assert verdict.mistake == "full_matrix_for_each_head"
    assert verdict.message.endswith("There is something else besides; mend this first.")
    assert verdict.where == (
        "With d_model = 24, n_heads = 12 and n_kv_heads = 3 there are 1440 weights, and you count 21312."
    )


def test_the_first_case_tells_wrong_weights_apart():
    exercise, names = EXERCISES["5.4"], {}
    for mistake in exercise.mistakes:
        for answer in mistake.answers:
            step = exercise.step(answer, exercise.cases(), 0)
            if step:
                assert names.setdefault(step, mistake.name) == mistake.name
    assert len(set(names.values())) > 5


def test_the_weights_are_not_called_wrong_where_they_are_not():
    for answer in (lambda *case: count(*case)[::-1], count_three_products, lambda *case: 0):
        assert judge(EXERCISES["5.4"], answer).where == ""


def test_a_matrix_changed_in_place_is_noticed():
    def zeroes_rows(query, memory, w_q, w_k, w_v, w_o, n_heads, head):
        w_o.view(n_heads, -1, len(w_o))[head] = 0
        return merge_heads(cross(query, memory, w_q, w_k, w_v, n_heads)) @ w_o

    verdict = judge(EXERCISES["5.7"], zeroes_rows)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


# What the checkers are tried on: no accident may make a wrong answer look right.


@pytest.mark.parametrize("number", ["5.2", "5.6", "5.7"])
def test_a_mistake_is_told_from_rounding(number):
    exercise = EXERCISES[number]
    for mistake in exercise.mistakes:
        for answer in mistake.answers:
            assert any(_clearly_wrong(exercise, answer, case) for case in exercise.cases())


def _clearly_wrong(exercise, answer, case):
    try:
        got, right = answer(*case), exercise.solution(*case)
    except Exception:  # a mistake may stop with an error
        return True
    return got.shape != right.shape or not (got - right).abs().max() < 0.05


def test_a_batch_is_taken_for_heads_in_silence_where_both_are_equal_in_number():
    def taken(tokens, causal, n_heads):
        return (causal & tokens[:, None]).expand(len(tokens), n_heads, *causal.shape)

    silent, refused = 0, 0
    for case in EXERCISES["5.5"].cases():
        try:
            out = taken(*case)
        except RuntimeError:
            refused += 1
        else:
            silent += not same(out, EXERCISES["5.5"].solution(*case), 0.0)
    assert silent >= 2 and refused >= 2


def test_what_a_head_adds_and_what_is_left_without_it_make_the_whole():
    of = {mistake.name: mistake.answer for mistake in EXERCISES["5.7"].mistakes}
    for case in EXERCISES["5.7"].cases():
        parts = of["only_this_head"](*case) + EXERCISES["5.7"].solution(*case)
        torch.testing.assert_close(parts, of["nothing_removed"](*case))


def test_a_tensor_of_another_shape_is_said():
    verdict = judge(EXERCISES["5.1"], lambda x, n: x[..., : x.shape[-1] // n])
    assert verdict.message.startswith(
        "The result has shape (1, 5, 3), it should have (1, 2, 5, 3)."
    )
    verdict = judge(EXERCISES["5.4"], lambda d, h, g, n: 4 * d * d)
    assert verdict.message.startswith("The result is one number, it should be a tuple.")


def test_scrambled_tokens_break_the_law_of_the_parts():
    def rolled(x, n_heads):
        return split_heads(x, n_heads).roll(1, dims=2)

    verdict = judge(EXERCISES["5.1"], rolled)
    assert "the parts of a token, side by side, are the token" in verdict.message
