import numpy as np
import torch
import torch.nn.functional as F

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def joined_expanded(x, p, w):
    """Concatenate after all: it cannot be told from the result."""
    return F.linear(torch.cat([x, p.expand(len(x), -1, -1)], dim=-1), w)


def joined_split(x, p, w):
    w_x, w_p = w.split([x.shape[2], p.shape[1]], dim=1)
    return F.linear(x, w_x) + F.linear(p, w_p)[None]


def joined_loop(x, p, w):
    out = torch.zeros(*x.shape[:2], len(w))
    for j in range(w.shape[1]):
        column = w[:, j]
        feature = x[..., j] if j < x.shape[-1] else p[:, j - x.shape[-1]].expand(x.shape[:2])
        out += feature[..., None] * column
    return out


OTHER_WAYS = [
    joined_expanded,
    joined_split,
    joined_loop,
    lambda x, p, w: (
        np.einsum("bsx,ox->bso", x, w[:, : x.shape[2]])
        + np.einsum("sp,op->so", p, w[:, x.shape[2] :])
    ),
    lambda x, p, w: x @ w[:, : -p.shape[1]].T + p @ w[:, -p.shape[1] :].T,
]


# Wrong ways, written as a learner writes them.


def joined_cut(axis, where, turn=lambda block: block.T):
    def answer(x, p, w):
        w_x, w_p = w.tensor_split([where(x, w)], dim=axis)
        return x @ turn(w_x) + p @ turn(w_p)

    return answer


NEAR_MISSES = [
    ("rows_split", joined_cut(0, lambda x, w: x.shape[-1])),
    ("split_in_the_middle", joined_cut(1, lambda x, w: w.shape[1] // 2)),
    ("cut_at_another_size", joined_cut(1, lambda x, w: len(x))),
    ("not_transposed", joined_cut(1, lambda x, w: x.shape[-1], lambda block: block)),
    ("added_first", lambda x, p, w: (x + p) @ w.T),
    ("concatenated", lambda x, p, w: F.linear(torch.cat([x, p], dim=-1), w)),
    ("concatenated", lambda x, p, w: torch.cat([x, p.unsqueeze(0)], dim=-1) @ w.T),
    ("one_product", lambda x, p, w: x @ w.T + p @ w.T),
]
