import math

import torch

from minattn.exercises.comparing import same
from minattn.exercises.multi_head.ex5_5_one_mask import EXERCISE
from minattn.masks import Both, Causal, Padding

INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def mask_loop(tokens, causal, n_heads):
    batch, (queries, keys) = len(tokens), causal.shape
    out = torch.zeros(batch, n_heads, queries, keys, dtype=torch.bool)
    for b in range(batch):
        for h in range(n_heads):
            for i in range(queries):
                for j in range(keys):
                    out[b, h, i, j] = causal[i, j] and tokens[b, j]
    return out


def mask_forbidden(tokens, causal, n_heads):
    forbidden = ~causal[None, None] | ~tokens[:, None, None]
    return ~forbidden.repeat(1, n_heads, 1, 1)


def mask_interleaved(tokens, causal, n_heads):
    mask = (causal & tokens.unsqueeze(1)).repeat_interleave(n_heads, dim=0)
    return mask.view(len(tokens), n_heads, *causal.shape)


def mask_described(tokens, causal, n_heads):
    shape = (len(tokens), n_heads, *causal.shape)
    return Both(Causal(), Padding(tokens)).to_bool(shape).expand(shape)


def mask_products(tokens, causal, n_heads):
    ones = torch.ones(len(tokens), n_heads, *causal.shape)
    return (ones * causal * tokens[:, None, None]) > 0


def mask_where(tokens, causal, n_heads):
    scores = torch.zeros(len(tokens), n_heads, *causal.shape)
    scores = scores.masked_fill(~causal, -INF).masked_fill(~tokens[:, None, None, :], -INF)
    return scores == 0


OTHER_WAYS = [
    mask_loop,
    mask_forbidden,
    mask_interleaved,
    mask_described,
    mask_products,
    mask_where,
]


# Wrong ways, written as a learner writes them.


def mask_stacked(tokens, causal, n_heads):
    return torch.stack([causal & tokens[:, None]] * n_heads)


def mask_padded_rows(tokens, causal, n_heads):
    return (causal & tokens.unsqueeze(-1)).unsqueeze(1).repeat(1, n_heads, 1, 1)


def mask_multiplied(tokens, causal, n_heads):
    return (causal.int() * tokens.int()[:, None, None]).repeat(1, n_heads, 1, 1)


NEAR_MISSES = [
    (
        "batch_taken_for_heads",
        lambda t, c, h: (c[None, None] & t[:, None]).expand(len(t), h, -1, -1),
    ),
    ("batch_taken_for_heads", lambda t, c, h: (c & t[:, None]).expand(len(t), h, *c.shape)),
    (
        "minus_one_for_a_new_axis",
        lambda t, c, h: t[:, None, None, :].expand(-1, h, -1, -1) & c.expand(-1, h, -1, -1),
    ),
    ("minus_one_for_a_new_axis", lambda t, c, h: (c & t[:, None]).expand(-1, h, *c.shape)),
    ("heads_before_batch", mask_stacked),
    (
        "repeated_as_a_whole",
        lambda t, c, h: (c & t[:, None]).tile(h, 1, 1).reshape(len(t), h, *c.shape),
    ),
    ("one_head_only", lambda t, c, h: c & t[:, None, None]),
    ("no_heads", lambda t, c, h: torch.stack([c & row for row in t])),
    ("padding_on_rows", mask_padded_rows),
    ("padding_on_rows", lambda t, c, h: c[None, None] & t[:, None, :, None]),
    ("or", lambda t, c, h: (c + t[:, None, None]).repeat(1, h, 1, 1)),
    ("inverted", lambda t, c, h: (~c | ~t[:, None, None]).repeat(1, h, 1, 1)),
    ("numbers", mask_multiplied),
    ("python_and", lambda t, c, h: c and t[:, None, None]),
]


# What is said, and what the checker is tried on.


def test_a_batch_is_taken_for_heads_in_silence_where_both_are_equal_in_number():
    def taken(tokens, causal, n_heads):
        return (causal & tokens[:, None]).expand(len(tokens), n_heads, *causal.shape)

    silent, refused = 0, 0
    for case in EXERCISE.cases():
        try:
            out = taken(*case)
        except RuntimeError:
            refused += 1
        else:
            silent += not same(out, EXERCISE.solution(*case), 0.0)
    assert silent >= 2 and refused >= 2
