import numpy as np
import torch
from torch import nn

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def dropped_loop(x, found, keep, p, training):
    out = x.clone()
    for place in np.ndindex(*x.shape):
        if not training:
            out[place] += found[place]
        elif keep[place]:
            out[place] += found[place] / (1 - p)
    return out


def dropped_where(x, found, keep, p, training):
    scale = 1 / (1 - p) if training else 1.0
    keep = keep | (not training)
    return torch.where(keep, x + scale * found, x)


OTHER_WAYS = [
    dropped_loop,
    dropped_where,
    lambda x, found, keep, p, training: (
        x + found.masked_fill(~keep, 0.0) * (1 / (1 - p)) if training else found + x
    ),
]


# Wrong ways, written as a learner writes them.


def dropped_module(x, found, keep, p, training):
    return x + nn.Dropout(p).train(training)(found)


def dropped_after(x, found, keep, p, training):
    out = x + found
    return out * keep / (1 - p) if training else out


NEAR_MISSES = [
    ("active_in_evaluation", lambda x, f, k, p, t: x + f * k / (1 - p) if t else x + f * k),
    ("no_residual", lambda x, f, k, p, t: x + f * k / (1 - p) if t else f),
    ("drawn_anew", dropped_module),
    ("stream_dropped", dropped_after),
]
