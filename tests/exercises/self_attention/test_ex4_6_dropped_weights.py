import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def drop_loop(weights, keep, p):
    rows = zip(weights.tolist(), keep.tolist(), strict=True)
    return np.array([[w / (1 - p) if k else 0.0 for w, k in zip(*r, strict=True)] for r in rows])


OTHER_WAYS = [
    drop_loop,
    lambda w, k, p: torch.where(k, w / (1 - p), 0.0),
    lambda w, k, p: w.masked_fill(~k, 0.0) * (1 / (1 - p)),
    lambda w, k, p: w.double() * k.double() / (1 - p),
]


NEAR_MISSES = [
    ("scaled_by_p", lambda w, k, p: w * k * (1 / p)),
    ("not_scaled", lambda w, k, p: w * k / w.sum(-1, keepdim=True)),
    ("inverted", lambda w, k, p: w.masked_fill(k, 0) / (1 - p)),
    ("renormalised", lambda w, k, p: F.normalize(w * k / (1 - p), p=1, dim=-1)),
    ("before_the_softmax", lambda w, k, p: torch.where(k, w, -1e9).softmax(-1) / (1 - p)),
    ("drawn_anew", lambda w, k, p: nn.Dropout(p)(w)),
    ("counted", lambda w, k, p: w * k * k.numel() / k.sum()),
]
