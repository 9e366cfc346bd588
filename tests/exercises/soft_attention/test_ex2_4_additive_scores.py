import torch

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def additive_loop(query, key, w_q, w_k, v):
    out = torch.empty(len(query), len(key))
    for i, q in enumerate(query):
        for j, k in enumerate(key):
            out[i, j] = v @ torch.tanh(w_q @ q + w_k @ k)
    return out


def additive_concat(query, key, w_q, w_k, v):
    n_queries, n_keys = len(query), len(key)
    pairs = torch.cat(
        [query[:, None].expand(-1, n_keys, -1), key[None].expand(n_queries, -1, -1)], dim=-1
    )
    return torch.einsum("qkh,h->qk", torch.tanh(pairs @ torch.cat([w_q, w_k], dim=1).T), v)


OTHER_WAYS = [additive_loop, additive_concat]


# Wrong ways, written as a learner writes them.


def additive_as_stored(query, key, w_q, w_k, v):
    q, k = query @ w_q, key @ w_k
    return torch.tanh(q[:, None] + k[None]) @ v


def additive_reversed(query, key, w_q, w_k, v):
    q, k = torch.matmul(w_q, query), torch.matmul(w_k, key)
    return torch.tanh(q[:, None] + k[None]) @ v


NEAR_MISSES = [
    ("not_transposed", additive_as_stored),
    ("not_transposed", additive_reversed),
]
