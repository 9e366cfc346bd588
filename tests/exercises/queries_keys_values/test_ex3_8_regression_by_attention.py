import math

import torch

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def regression_both_lengths(attend, query, key, value, bandwidth):
    """Write out the whole square, with the part of the query too."""
    of_q, of_k = (x.pow(2).sum(1, keepdim=True) for x in (query, key))
    queries = torch.cat([2 * query, -of_q, -torch.ones_like(of_q)], 1) / (2 * bandwidth**2)
    keys = torch.cat([key, torch.ones_like(of_k), of_k], 1)
    return attend(queries * math.sqrt(queries.shape[1]), keys, value)


def regression_scaled_first(attend, query, key, value, bandwidth):
    q, k = query / bandwidth, key / bandwidth
    beside = -0.5 * torch.stack([row @ row for row in k])[:, None]
    root = (query.shape[1] + 1) ** 0.25
    queries = torch.cat([q, torch.ones(len(q), 1)], dim=1) * root
    return attend(queries, torch.cat([k, beside], dim=1) * root, value)


def regression_padded(attend, query, key, value, bandwidth):
    """Widen to 16 numbers, whose root is 4, and measure from the mean of the keys."""
    query, key = query - key.mean(0), key - key.mean(0)
    d = query.shape[1]
    queries, keys = torch.zeros(len(query), 16), torch.zeros(len(key), 16)
    queries[:, :d], queries[:, d] = 4 * query / bandwidth**2, -2 / bandwidth**2
    keys[:, :d], keys[:, d] = key, (key**2).sum(1)
    return attend(queries, keys, value)


OTHER_WAYS = [regression_both_lengths, regression_scaled_first, regression_padded]


# Wrong ways, written as a learner writes them.


def regression_distances(attend, query, key, value, bandwidth):
    scores = -(torch.cdist(query, key) ** 2) / (2 * bandwidth**2)
    return scores.softmax(-1) @ value


def regression_of_query_lengths(attend, query, key, value, bandwidth):
    """Put the length beside the wrong one: it cancels."""
    queries = torch.cat([query, -query.pow(2).sum(1, keepdim=True) / 2], 1)
    keys = torch.cat([key, torch.ones(len(key), 1)], 1)
    return attend(queries * math.sqrt(queries.shape[1]) / bandwidth**2, keys, value)


def regression_scaled(root):
    """Scale both by the bandwidth first, and undo some root."""

    def answer(attend, query, key, value, bandwidth):
        q, k = query / bandwidth, key / bandwidth
        queries = torch.cat([q, torch.ones(len(q), 1)], 1) * root(q.shape[1])
        return attend(queries, torch.cat([k, -k.pow(2).sum(1, keepdim=True) / 2], 1), value)

    return answer


NEAR_MISSES = [
    ("attend_not_used", regression_distances),
    ("length_forgotten", regression_of_query_lengths),
    ("old_width", regression_scaled(lambda d: d**0.5)),
    ("scale_not_undone", regression_scaled(lambda d: 1.0)),
    ("undone_without_root", regression_scaled(lambda d: d + 1.0)),
]
