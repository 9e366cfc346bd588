import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.clip.ex19_3_attention_pooling import EXERCISE, pool

# Other right ways: torch's own attention, einsum, loops over heads and texts, NumPy.


def pool_by_torch(words, real, query, w_key, w_value, n_heads):
    def split(x):
        return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)

    asked = split(query.expand(len(words), 1, -1))
    found = F.scaled_dot_product_attention(
        asked, split(words @ w_key), split(words @ w_value), attn_mask=real[:, None, None]
    )
    return found.transpose(1, 2).flatten(1)


def pool_einsum(words, real, query, w_key, w_value, n_heads):
    texts, n, d = words.shape
    keys, values = (torch.matmul(words, w).view(texts, n, n_heads, -1) for w in (w_key, w_value))
    scores = torch.einsum("hd,tnhd->tnh", query.view(n_heads, -1), keys)
    scores = scores / math.sqrt(d // n_heads) + torch.where(real, 0.0, -1e9)[..., None]
    return torch.einsum("tnh,tnhd->thd", scores.softmax(1), values).reshape(texts, d)


def pool_by_loops(words, real, query, w_key, w_value, n_heads):
    d_head = len(query) // n_heads
    pooled = []
    for text, mask in zip(words, real, strict=True):
        text = text[mask]
        parts = []
        for head in range(n_heads):
            own = slice(head * d_head, (head + 1) * d_head)
            weights = (text @ w_key[:, own] @ query[own] / d_head**0.5).softmax(0)
            parts.append(weights @ (text @ w_value[:, own]))
        pooled.append(torch.cat(parts))
    return torch.stack(pooled)


def pool_numpy(words, real, query, w_key, w_value, n_heads):
    x, q, wk, wv = (a.numpy() for a in (words, query, w_key, w_value))
    parts = []
    for asked, k, v in zip(
        np.split(q, n_heads),
        np.split(x @ wk, n_heads, -1),
        np.split(x @ wv, n_heads, -1),
        strict=True,
    ):
        odds = np.exp(k @ asked / np.sqrt(len(asked))) * real.numpy()
        parts.append((odds[..., None] * v).sum(1) / odds.sum(1, keepdims=True))
    return np.concatenate(parts, axis=1)


OTHER_WAYS = [pool_by_torch, pool_einsum, pool_by_loops, pool_numpy]


# Wrong ways, written as a learner writes them.


def written(split=None, mask=None, scale=None, dim=-1):
    def answer(words, real, query, w_key, w_value, n_heads):
        texts, d = words.shape[0], words.shape[2]

        def by_heads(x):
            if split is not None:
                return split(x, n_heads)
            return x.view(len(x), -1, n_heads, d // n_heads).transpose(1, 2)

        keys, values = by_heads(words @ w_key), by_heads(words @ w_value)
        asked = by_heads(query.repeat(texts, 1, 1))
        scores = asked @ keys.mT / (d / n_heads if scale is None else scale(d, n_heads)) ** 0.5
        hidden = ~real[:, None, None]
        scores = scores.masked_fill(hidden, -torch.inf) if mask is None else mask(scores, hidden)
        found = scores.softmax(dim) @ values
        return found.transpose(1, 2).reshape(texts, d)

    return answer


def mean_of_real_values(words, real, query, w_key, w_value, n_heads):
    values = (words * real[..., None]) @ w_value
    return values.sum(1) / real.sum(1, keepdim=True)


NEAR_MISSES = [
    ("mean", mean_of_real_values),
    ("mean", lambda words, real, query, w_key, w_value, n_heads: (words @ w_value).mean(1)),
    ("padding_read", written(mask=lambda scores, hidden: scores)),
    ("inverted", written(mask=lambda scores, hidden: scores.masked_fill(~hidden, -torch.inf))),
    ("zero_is_a_score", written(mask=lambda scores, hidden: scores.masked_fill(hidden, 0))),
    ("scaled_otherwise", written(scale=lambda d, n_heads: d)),
    ("scaled_otherwise", written(scale=lambda d, n_heads: 1)),
    ("heads_mixed_up", written(split=lambda x, h: x.reshape(len(x), h, x.shape[1], -1))),
    ("softmax_over_heads", written(dim=1)),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    """One head: scores 2 and 0 over the root of 4, and padding."""
    words = torch.tensor([[[2.0, 0, 0, 0], [0, 4, 0, 0], [7, 7, 7, 7]]])
    query = torch.tensor([1.0, 0, 0, 0])
    real = torch.tensor([[True, True, False]])
    given = pool(words, real, query, torch.eye(4), torch.eye(4), 1)
    w = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(given, torch.tensor([[2 * w, 4 * (1 - w), 0, 0]]))
    assert (round(w, 2), round(1 - w, 2)) == (0.73, 0.27)
    assert [round(float(x), 2) for x in given[0]] == [1.46, 1.08, 0, 0]


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_padding_and_the_order_of_words_do_not_matter(case):
    words, real, *rest = case
    spoiled = torch.where(real[..., None], words, 99.0)
    torch.testing.assert_close(pool(spoiled, real, *rest), pool(*case))
    torch.testing.assert_close(pool(words.flip(1), real.flip(1), *rest), pool(*case))


def test_no_softmax_is_saturated():
    for words, real, query, w_key, _, n_heads in EXERCISE.cases():
        products = (words @ w_key * query).unflatten(-1, (n_heads, -1))
        scores = products.sum(-1) / products.shape[-1] ** 0.5
        weights = scores.masked_fill(~real[..., None], -torch.inf).softmax(1)
        assert float(weights[real.sum(1) > 1].max()) < 0.985
