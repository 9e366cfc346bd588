import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.queries_keys_values.ex3_4_who_asks import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def attention_numpy(query, key, value):
    q, k, v = (x.numpy().astype(float) for x in (query, key, value))
    e = np.exp(np.einsum("qd,kd->qk", q, k) / np.sqrt(q.shape[1]))
    return (e / e.sum(1, keepdims=True)) @ v


def cross_loop(decoder, encoder, w_q, w_k, w_v):
    keys, values = [x @ w_k for x in encoder], [x @ w_v for x in encoder]
    out = []
    for step in decoder:
        q = step @ w_q
        weights = torch.stack([q @ k for k in keys]).div(len(q) ** 0.5).softmax(0)
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)))
    return torch.stack(out)


def cross_merged(decoder, encoder, w_q, w_k, w_v):
    scores = decoder.double() @ w_q.double() @ w_k.double().T @ encoder.double().T
    return (scores / w_k.shape[1] ** 0.5).softmax(-1) @ encoder.double() @ w_v.double()


OTHER_WAYS = [
    cross_loop,
    cross_merged,
    lambda d, e, q, k, v: F.scaled_dot_product_attention(d @ q, e @ k, e @ v),
    lambda d, e, q, k, v: attention_numpy(d @ q, e @ k, e @ v),
]


NEAR_MISSES = [
    ("encoder_asks", lambda d, e, q, k, v: F.scaled_dot_product_attention(e @ q, d @ k, d @ v)),
    ("not_as_stored", lambda d, e, q, k, v: F.linear(d, q) @ F.linear(e, k).T),
]


# What is said, and what the checker is tried on.


def test_a_near_miss_with_other_errors_is_named_where_no_shape_complains():
    """As many words on both sides come first, so that the writing of what fails later is no matter."""

    def keys_of_decoder(decoder, encoder, w_q, w_k, w_v):
        scores = torch.einsum("td,sd->ts", decoder @ w_q, decoder @ w_k) / w_q.shape[1] ** 0.5
        return torch.einsum("ts,sv->tv", scores.softmax(-1), encoder @ w_v)

    assert judge(EXERCISE, keys_of_decoder).mistake == "keys_from_decoder"
