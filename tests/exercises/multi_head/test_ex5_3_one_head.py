import numpy as np
import torch
from torch import nn

from minattn.multihead import split_heads

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def head_weight_by_asking(weight, n_heads, head):
    """Send unit vectors through a Linear and keep what comes out for the head."""
    layer = nn.Linear(weight.shape[1], len(weight), bias=False)
    layer.weight = nn.Parameter(weight)
    out = layer(torch.eye(weight.shape[1]))
    return split_heads(out, n_heads)[head].T


def head_weight_loop(weight, n_heads, head):
    d_head = weight.size(0) // n_heads
    return torch.stack([weight[head * d_head + row] for row in range(d_head)])


OTHER_WAYS = [
    head_weight_by_asking,
    head_weight_loop,
    lambda w, n, i: w.chunk(n)[i],
    lambda w, n, i: w.reshape(n, len(w) // n, -1)[i],
    lambda w, n, i: split_heads(w.T, n)[i].T,
    lambda w, n, i: np.split(w.numpy(), n)[i],
    lambda w, n, i: w[torch.arange(len(w)) // (len(w) // n) == i],
]


NEAR_MISSES = [
    ("columns", lambda w, n, i: torch.chunk(w, n, dim=1)[i]),
    ("columns", lambda w, n, i: w.T[i * (len(w) // n) : (i + 1) * (len(w) // n)]),
    ("interleaved", lambda w, n, i: w.unflatten(0, (-1, n))[:, i]),
    ("transposed", lambda w, n, i: w.T[:, i * (len(w) // n) : (i + 1) * (len(w) // n)]),
    ("n_heads_rows", lambda w, n, i: w[n * i : n * i + n]),
    ("end_is_no_length", lambda w, n, i: w[i * (len(w) // n) : len(w) // n]),
    ("first_head", lambda w, n, i: w[: len(w) // n]),
    ("one_row", lambda w, n, i: w[i * len(w) // n]),
    ("not_whole", lambda w, n, i: w[i * len(w) / n : (i + 1) * len(w) / n]),
]
