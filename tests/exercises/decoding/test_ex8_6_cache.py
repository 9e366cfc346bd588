import math

import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.decoding.ex8_6_cache import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def cache_fused(x, k, v, w_q, w_k, w_v):
    k, v = torch.cat((k, x @ w_k), -2), torch.cat((v, x @ w_v), -2)
    return F.scaled_dot_product_attention(x @ w_q, k, v), k, v


def cache_whole(x, k, v, w_q, w_k, w_v):
    """Attend with a causal mask and a query for every token, and take the last row."""
    k, v = torch.cat([k, x @ w_k], dim=1), torch.cat([v, x @ w_v], dim=1)
    queries = F.pad(x @ w_q, (0, 0, k.shape[1] - 1, 0))
    return F.scaled_dot_product_attention(queries, k, v, is_causal=True)[:, -1:], k, v


def cache_loop(x, k, v, w_q, w_k, w_v):
    outputs, keys, values = [], [], []
    for x_i, k_i, v_i in zip(x, k, v, strict=True):
        k_i, v_i = torch.vstack([k_i, x_i @ w_k]), torch.vstack([v_i, x_i @ w_v])
        scores = torch.stack([(x_i[0] @ w_q) @ key for key in k_i]) / len(w_k) ** 0.5
        outputs.append((scores.softmax(0)[:, None] * v_i).sum(0, keepdim=True))
        keys.append(k_i)
        values.append(v_i)
    return torch.stack(outputs), torch.stack(keys), torch.stack(values)


def cache_einsum(x, k, v, w_q, w_k, w_v):
    k = torch.cat([k, torch.einsum("bsi,io->bso", x, w_k)], 1)
    v = torch.cat([v, torch.einsum("bsi,io->bso", x, w_v)], 1)
    scores = torch.einsum("bqd,bkd->bqk", x @ w_q, k) * k.size(-1) ** -0.5
    return torch.einsum("bqk,bkd->bqd", F.softmax(scores, -1), v), k, v


def cache_buffer(x, k, v, w_q, w_k, w_v):
    """Make room first and write the newest at its place."""
    n = k.shape[1]
    k, v = (F.pad(cache, (0, 0, 0, 1)) for cache in (k, v))
    k[:, n:], v[:, n:] = x @ w_k, x @ w_v
    mask = (torch.arange(n + 1) <= n)[None]
    return F.scaled_dot_product_attention(x @ w_q, k, v, attn_mask=mask), k, v


OTHER_WAYS = [cache_fused, cache_whole, cache_loop, cache_einsum, cache_buffer]


# Wrong ways, written as a learner writes them.


def cache_attended_first(x, k, v, w_q, w_k, w_v):
    output = F.scaled_dot_product_attention(x @ w_q, k, v)
    return output, torch.cat([k, x @ w_k], 1), torch.cat([v, x @ w_v], 1)


def cache_in_a_pair(x, k, v, w_q, w_k, w_v):
    output, *cache = cache_fused(x, k, v, w_q, w_k, w_v)
    return output, tuple(cache)


def cache_tril(x, k, v, w_q, w_k, w_v):
    k, v = torch.cat([k, x @ w_k], 1), torch.cat([v, x @ w_v], 1)
    scores = x @ w_q @ k.mT / math.sqrt(k.shape[-1])
    mask = torch.ones(scores.shape[1:]).tril() == 0
    return scores.masked_fill(mask, -math.inf).softmax(-1) @ v, k, v


NEAR_MISSES = [
    ("cannot_see_itself", cache_attended_first),
    ("mask_at_the_top_left", cache_tril),
    ("nested", cache_in_a_pair),
]


# What is said, and what the checker is tried on.


def test_a_cache_changed_in_place_is_noticed():
    def grown_in_place(x, k, v, w_q, w_k, w_v):
        output, keys, values = EXERCISE.solution(x, k, v, w_q, w_k, w_v)
        k.set_(keys)
        v.set_(values)
        return output, k, v

    verdict = judge(EXERCISE, grown_in_place)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


@pytest.mark.parametrize(
    ("nest", "form"),
    [
        (lambda out, k, v: (out, (k, v)), "(tensor, (tensor, tensor))"),
        (lambda out, k, v: ((out + 1, [k, v]),), "((tensor, (tensor, tensor)))"),
        (lambda out, k, v: [[out], [k], [v]], "((tensor), (tensor), (tensor))"),
    ],
)
def test_nested_tensors_are_told_whatever_their_numbers(nest, form):
    verdict = judge(EXERCISE, lambda *case: nest(*cache_fused(*case)))
    assert verdict.mistake == "nested"
    assert verdict.message.startswith(
        "You put tensors together in a tuple of their own. Return three tensors: the output, the keys, "
        "the values."
    )
    assert f"It is {form}, and should be (tensor, tensor, tensor)." in verdict.where


@pytest.mark.parametrize(
    "answer", [lambda *case: case[:2], lambda *case: (case[0], (case[1], 3)), lambda *case: case]
)
def test_what_is_not_three_tensors_is_not_called_nested(answer):
    verdict = judge(EXERCISE, answer)
    assert (verdict.kind, verdict.where) == ("wrong", "")
