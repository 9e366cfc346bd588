import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minattn.multihead import merge_heads, split_heads

INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


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


OTHER_WAYS = [
    heads_loop,
    heads_added_up,
    heads_einsum,
    heads_numpy,
    heads_fused,
    heads_torch,
    heads_with_batch,
]


# Wrong ways, written as a learner writes them.


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


NEAR_MISSES = [
    ("scaled_by_d_model", heads_of(scale=lambda x, n: x.shape[-1])),
    ("no_scale", heads_of(scale=lambda x, n: 1)),
    ("no_root", heads_of(scale=lambda x, n: (x.shape[-1] // n) ** 2)),
    ("scaled_by_another_size", heads_of(scale=lambda x, n: x.shape[1])),
    ("softmax_over_heads", heads_of(axis=None)),
    ("softmax_over_queries", heads_of(axis=-2)),
    ("split_by_view", heads_of(cut_to_shape)),
    ("split_by_view", heads_of(cut_to_shape, merge=lambda o, x: o.view(x.shape))),
    ("attention_over_heads", heads_of(cut_where_it_stands)),
    ("attention_over_heads", heads_of(cut_where_it_stands, merge=lambda o, x: o.reshape(x.shape))),
    ("interleaved", heads_of(lambda a, n: a.unflatten(2, (-1, n)).permute(0, 3, 1, 2))),
    ("interleaved", heads_of(merge=lambda o, x: o.permute(0, 2, 3, 1).reshape(x.shape))),
    ("merged_by_view", heads_of(merge=lambda o, x: o.view(x.shape))),
    ("view_refused", heads_of(merge=lambda o, x: o.transpose(1, 2).view(x.shape))),
    ("heads_joined_with_tokens", heads_of(merge=lambda o, x: o.flatten(2))),
    ("heads_added", heads_of(merge=lambda o, x: o.mean(dim=1))),
    ("no_w_o", heads_of(mix=lambda o, w_o: o)),
    ("weights_transposed", heads_of(mix=F.linear)),
    ("not_merged", heads_of(merge=lambda o, x: o, mix=lambda o, w_o: o)),
    ("input_sliced", one_by_one(lambda x, w, own: x[..., own] @ w[own, own])),
    ("heads_of_full_width", one_by_one(lambda x, w, own: x @ w)),
    ("heads_of_full_width", one_by_one(lambda x, w, own: x[..., own] @ w[own])),
    ("weights_transposed", one_by_one(lambda x, w, own: x @ w[own].T)),
    ("cut_on_the_wrong_side", one_by_one(lambda x, w, own: x @ w[own])),
    ("heads_added", one_by_one(lambda x, w, own: x @ w[:, own], sum)),
    (
        "interleaved",
        one_by_one(lambda x, w, own: x @ w[:, own], lambda h: torch.stack(h, -1).flatten(2)),
    ),
    (
        "cut_on_the_wrong_side",
        one_by_one(lambda x, w, own: x @ w[:, own], sum, lambda o, w_o, d: o @ w_o[:, :d]),
    ),
    ("one_head", lambda x, q, k, v, o, n: F.scaled_dot_product_attention(x @ q, x @ k, x @ v) @ o),
    ("causal", heads_then(lambda s: s + torch.full_like(s, -INF).triu(1))),
    ("softmax_twice", heads_then(lambda s: F.softmax(s, dim=-1))),
    ("x_added", lambda x, *rest: heads_loop(x, *rest) + x),
    ("queries_and_keys_exchanged", lambda x, w_q, w_k, *rest: heads_loop(x, w_k, w_q, *rest)),
    (
        "values_not_projected",
        one_by_one(lambda x, w, own: x @ w[:, own], values=lambda x, w, own: x[..., own]),
    ),
    (
        "one_block_of_w_o",
        one_by_one(lambda x, w, own: x @ w[:, own], sum, lambda o, w_o, d: o @ w_o[:d]),
    ),
]
