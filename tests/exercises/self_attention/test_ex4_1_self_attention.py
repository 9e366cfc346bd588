import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minattn.dot_product import DotProductAttention, attend
from minattn.exercises.judging import judge
from minattn.exercises.self_attention.ex4_1_self_attention import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def attention_loop(x, w_q, w_k, w_v):
    out = torch.zeros(*x.shape[:2], w_v.shape[1], dtype=torch.float64)
    for b, tokens in enumerate(x.double()):
        for i, asking in enumerate(tokens):
            query = asking @ w_q.double()
            scores = [query @ (token @ w_k.double()) / w_k.shape[1] ** 0.5 for token in tokens]
            shares = torch.stack(scores).softmax(0)
            for share, token in zip(shares, tokens, strict=True):
                out[b, i] += share * (token @ w_v.double())
    return out


def attention_einsum(x, w_q, w_k, w_v):
    scores = torch.einsum("bqm,mk,bsn,nk->bqs", x, w_q, x, w_k) / math.sqrt(w_k.shape[-1])
    return torch.einsum("bqs,bsm,mv->bqv", scores.softmax(-1), x, w_v)


def attention_values_last(x, w_q, w_k, w_v):
    q, k = torch.matmul(x, w_q), torch.matmul(x, w_k)
    weights = F.softmax(torch.bmm(q / w_k.shape[1] ** 0.25, k.mT / w_k.shape[1] ** 0.25), dim=2)
    return (weights @ x) @ w_v


def attention_layer(x, w_q, w_k, w_v):
    d_model, d_k = w_q.shape
    layer = DotProductAttention(d_query=d_model, d_key=d_model, d_k=d_k, d_v=w_v.shape[1])
    for projection, w in ((layer.q_proj, w_q), (layer.k_proj, w_k), (layer.v_proj, w_v)):
        projection.weight = nn.Parameter(w.T.contiguous())
    return layer(x, x, x)


def attention_numpy(x, w_q, w_k, w_v):
    x, w_q, w_k, w_v = (a.numpy() for a in (x, w_q, w_k, w_v))
    e = np.exp((x @ w_q) @ (x @ w_k).swapaxes(1, 2) / np.sqrt(w_k.shape[1]))
    return (e / e.sum(-1, keepdims=True)) @ (x @ w_v)


OTHER_WAYS = [
    attention_numpy,
    attention_loop,
    attention_einsum,
    attention_values_last,
    attention_layer,
    lambda x, q, k, v: F.scaled_dot_product_attention(x @ q, x @ k, x @ v),
    lambda x, *w: attend(*(x.double() @ m.double() for m in w)),
    lambda x, *w: torch.stack([F.scaled_dot_product_attention(*(a @ m for m in w)) for a in x]),
]


# Wrong ways, written as a learner writes them.


def attention_of(scale=lambda x, w_k, w_v: w_k.shape[-1], turn=lambda k: k.mT, axis=-1):
    def answer(x, w_q, w_k, w_v):
        q, k, v = torch.matmul(x, w_q), torch.matmul(x, w_k), torch.matmul(x, w_v)
        scores = torch.matmul(q, turn(k)) / math.sqrt(scale(x, w_k, w_v))
        return torch.matmul(F.softmax(scores, dim=axis), v)

    return answer


def attention_over_batch(x, w_q, w_k, w_v):
    q, k, v = x @ w_q, x @ w_k, x @ w_v
    weights = (torch.einsum("bsd,csd->bcs", q, k) / w_k.shape[1] ** 0.5).softmax(dim=1)
    return torch.einsum("bcs,csv->bsv", weights, v)


def attention_linear(x, w_q, w_k, w_v):
    q, k, v = (F.linear(x, w) for w in (w_q, w_k, w_v))
    return F.scaled_dot_product_attention(q, k, v)


def attention_by_elements(x, w_q, w_k, w_v):
    scores = ((x @ w_q) * (x @ w_k)).sum(dim=-1) / math.sqrt(w_k.shape[1])
    return scores.softmax(dim=-1)[..., None] * (x @ w_v)


def attention_scaled_last(x, w_q, w_k, w_v):
    return F.softmax((x @ w_q) @ (x @ w_k).mT, dim=-1) / math.sqrt(w_k.shape[1]) @ (x @ w_v)


def attention_causal(x, w_q, w_k, w_v):
    return F.scaled_dot_product_attention(x @ w_q, x @ w_k, x @ w_v, is_causal=True)


NEAR_MISSES = [
    ("over_the_batch", attention_over_batch),
    ("all_axes_turned", attention_of(turn=lambda k: k.permute(2, 1, 0))),
    ("all_axes_turned", attention_of(turn=lambda k: k.t())),
    ("keys_reshaped", attention_of(turn=lambda k: k.view(len(k), -1, k.shape[1]))),
    ("keys_not_turned", attention_of(turn=lambda k: k)),
    ("weights_transposed", attention_linear),
    ("scaled_by_d_model", attention_of(scale=lambda x, w_k, w_v: len(w_k))),
    ("scaled_by_another_size", attention_of(scale=lambda x, w_k, w_v: len(x))),
    ("scaled_by_another_size", attention_of(scale=lambda x, w_k, w_v: w_v.shape[1])),
    ("over_queries", attention_of(axis=1)),
    ("softmax_over_batch", attention_of(axis=None)),
    ("own_key_only", attention_by_elements),
    ("scaled_too_late", attention_scaled_last),
    ("causal", attention_causal),
]


# What is said, and what the checker is tried on.


def test_a_tensor_of_another_shape_is_said():
    verdict = judge(EXERCISE, lambda x, *w: F.scaled_dot_product_attention(x, x, x)[0])
    assert verdict.message.startswith("The result has shape (2, 4), it should have (3, 2, 5).")
