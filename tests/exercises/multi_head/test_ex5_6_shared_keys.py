import math

import torch
import torch.nn.functional as F

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


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


OTHER_WAYS = [
    shared_groups,
    shared_loop,
    shared_expanded,
    shared_indexed,
    shared_long_queries,
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
]


# Wrong ways, written as a learner writes them.


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


def scaled_by(size):
    return lambda q, k, v: F.scaled_dot_product_attention(
        q, k, v, scale=size(q, k) ** -0.5, enable_gqa=True
    )


NEAR_MISSES = [
    ("scaled_by_another_size", scaled_by(lambda q, k: q.shape[0])),
    ("scaled_by_another_size", scaled_by(lambda q, k: q.shape[2])),
    ("scaled_by_another_size", scaled_by(lambda q, k: k.shape[1])),
    ("scaled_by_another_size", scaled_by(lambda q, k: k.shape[2])),
    ("scaled_by_another_size", scaled_by(lambda q, k: q.shape[1] // k.shape[1])),
    ("in_turn", shared_modulo),
    ("in_turn", shared_groups_last),
    ("in_turn", shared_tiled),
    ("in_turn", shared_values_tiled),
    ("merged", lambda q, k, v: shared_loop(q, k, v).transpose(1, 2).flatten(2)),
    ("heads_before_batch", lambda q, k, v: torch.stack(list(shared_loop(q, k, v).unbind(1)))),
    ("keys_as_values", lambda q, k, v: shared_expanded(q, k, k)),
    ("not_spread", lambda q, k, v: (q @ k.mT / q.shape[3] ** 0.5).softmax(-1) @ v),
    ("groups_without_a_partner", lambda q, k, v: q.unflatten(1, (k.shape[1], -1)) @ k.mT),
    (
        "groups_left",
        lambda q, k, v: F.scaled_dot_product_attention(
            q.unflatten(1, (k.shape[1], -1)), k[:, :, None], v[:, :, None]
        ),
    ),
    (
        "no_scale",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=1.0, enable_gqa=True),
    ),
]
