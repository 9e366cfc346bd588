import math

import numpy as np
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.queries_keys_values.ex3_1_dot_product_attention import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def attention_loop(query, key, value):
    out = []
    for q in query.tolist():
        scores = [sum(a * b for a, b in zip(q, k, strict=True)) / len(q) ** 0.5 for k in key]
        powers = [math.exp(s) for s in scores]
        out.append(sum(p / sum(powers) * v for p, v in zip(powers, value, strict=True)))
    return torch.stack(out)


def attention_numpy(query, key, value):
    q, k, v = (x.numpy().astype(float) for x in (query, key, value))
    e = np.exp(np.einsum("qd,kd->qk", q, k) / np.sqrt(q.shape[1]))
    return (e / e.sum(1, keepdims=True)) @ v


def attention_scaled_before(query, key, value):
    scores = (query / query.shape[1] ** 0.25) @ (key / key.shape[1] ** 0.25).T
    e = (scores - scores.amax(1, keepdim=True)).exp()
    return torch.einsum("qk,kv->qv", e, value) / e.sum(1)[:, None]


OTHER_WAYS = [
    attention_loop,
    attention_numpy,
    attention_scaled_before,
    F.scaled_dot_product_attention,
    lambda q, k, v: (k @ q.T / q.shape[1] ** 0.5).softmax(0).T @ v,
]


# Wrong ways, written as a learner writes them.


def attention_first_key(query, key, value):
    scores = torch.matmul(key, query.T) / math.sqrt(query.size(-1))
    return torch.matmul(F.softmax(scores, dim=-1), value)


def attention_tokens_as_width(query, key, value):
    n, _ = key.shape
    return F.softmax(query @ key.transpose(0, 1) / np.sqrt(n), dim=-1) @ value


def attention_sum_of_exponentials(query, key, value):
    e = torch.exp(query @ key.T / query.shape[1] ** 0.5)
    return (e / torch.sum(e)) @ value


NEAR_MISSES = [
    ("table_transposed", attention_first_key),
    ("scaled_by_length", attention_tokens_as_width),
    ("over_all", attention_sum_of_exponentials),
    ("key_not_transposed", lambda q, k, v: F.softmax(torch.matmul(q, k), dim=-1) @ v),
    ("scaled_after_softmax", lambda q, k, v: (q @ k.T).softmax(-1) / q.shape[1] ** 0.5 @ v),
]


# What is said, and what the checker is tried on.


def test_a_wrong_shape_is_said():
    verdict = judge(EXERCISE, lambda q, k, v: attend(q, k, v).T)
    assert verdict.message.startswith("The result has shape (7, 2), it should have (2, 7).")
