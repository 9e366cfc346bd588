import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def norm_loop(x, weight, bias, eps):
    out = torch.empty(x.shape, dtype=torch.float64)
    for i, sequence in enumerate(x.double()):
        for t, token in enumerate(sequence):
            mean = sum(token) / len(token)
            variance = sum((feature - mean) ** 2 for feature in token) / len(token)
            out[i, t] = (token - mean) / math.sqrt(variance + eps) * weight + bias
    return out


def norm_numpy(x, weight, bias, eps):
    x = x.numpy()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(
        x.var(-1, keepdims=True) + eps
    ) * weight.numpy() + bias.numpy()


def norm_mean_of_squares(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    variance = (x**2).mean(-1, keepdim=True) - mean**2
    return torch.addcmul(bias, (x - mean) * torch.rsqrt(variance + eps), weight)


def norm_layer(x, weight, bias, eps):
    layer = nn.LayerNorm(x.shape[-1], eps=eps)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer(x)


OTHER_WAYS = [
    norm_loop,
    norm_numpy,
    norm_mean_of_squares,
    norm_layer,
    lambda x, w, b, eps: F.layer_norm(x, [len(w)], w, b, eps),
    lambda x, w, b, eps: F.layer_norm(x.double(), w.shape, w.double(), b.double(), eps),
]


# Wrong ways, written as a learner writes them.


def norm_with(variance, mean=lambda x: x.mean(dim=-1, keepdim=True)):
    def answer(x, weight, bias, eps):
        centred = x - mean(x)
        return weight * centred / torch.sqrt(variance(x, centred) + eps) + bias

    return answer


def norm_batch(x, weight, bias, eps):
    flat = x.flatten(0, 1)
    return F.batch_norm(flat, None, None, weight, bias, training=True, eps=eps).view(x.shape)


NEAR_MISSES = [
    ("unbiased", norm_with(lambda x, c: x.var(dim=-1, keepdim=True))),
    ("unbiased", norm_with(lambda x, c: (c**2).sum(-1, keepdim=True) / (x.shape[-1] - 1))),
    ("variance_about_zero", norm_with(lambda x, c: (x**2).mean(-1, keepdim=True))),
    ("length_one", norm_with(lambda x, c: (c**2).sum(-1, keepdim=True))),
    ("mean_not_subtracted", lambda x, w, b, eps: F.rms_norm(x, w.shape, w, eps) + b),
    ("no_keepdim", norm_with(lambda x, c: c.var(-1), lambda x: x.mean(-1))),
    ("over_everything", norm_with(lambda x, c: c.var(-1, False, keepdim=True), torch.mean)),
    ("batch_norm", norm_batch),
    ("no_gain_and_bias", lambda x, w, b, eps: F.layer_norm(x, w.shape, eps=eps)),
    (
        "over_sequence_and_features",
        lambda x, w, b, eps: F.layer_norm(x, x.shape[1:], eps=eps) * w + b,
    ),
]
