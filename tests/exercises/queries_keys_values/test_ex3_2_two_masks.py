import math

import numpy as np
import torch

INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def masks_loop(tokens):
    out = torch.zeros(*tokens.shape, tokens.shape[1], dtype=torch.bool)
    for b, row in enumerate(tokens.tolist()):
        for i in range(len(row)):
            for j in range(i + 1):
                out[b, i, j] = row[j]
    return out


def masks_by_position(tokens):
    position = np.arange(tokens.shape[1])
    return (position[None, :] <= position[:, None])[None] & tokens.numpy()[:, None]


def masks_forbidden(tokens):
    seq = tokens.shape[1]
    future = torch.triu(torch.ones(seq, seq), diagonal=1).bool()
    return ~(future | ~tokens.unsqueeze(1))


def masks_product(tokens):
    seq = tokens.shape[1]
    return (torch.tril(torch.ones(seq, seq)) * tokens.unsqueeze(1).float()) == 1


OTHER_WAYS = [masks_loop, masks_by_position, masks_forbidden, masks_product]


# Wrong ways, written as a learner writes them.


def masks_strictly_before(tokens):
    position = torch.arange(tokens.shape[1])
    return (position < position[:, None]) & tokens[:, None]


def masks_of_multihead(tokens):
    return torch.triu(torch.ones(tokens.shape[1], tokens.shape[1]), 1).bool() | ~tokens[:, None]


def masks_generated(tokens):
    causal = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
    padding = torch.zeros(tokens.shape).masked_fill(~tokens, -INF)
    return causal + padding[:, None]


def masks_by_rows(tokens):
    causal = torch.ones(tokens.shape[1], tokens.shape[1]).tril().bool()
    return torch.stack([causal & row.unsqueeze(-1) for row in tokens])


NEAR_MISSES = [
    ("strict_triangle", masks_strictly_before),
    ("inverted", masks_of_multihead),
    ("bias", masks_generated),
    ("padding_on_rows", masks_by_rows),
    ("causal_only", lambda t: torch.ones(t.shape[1], t.shape[1]).tril() > 0),
    ("no_new_axis", lambda t: torch.ones(t.shape[1], t.shape[1]).tril().bool() * t),
    ("numbers_joined", lambda t: torch.ones(t.shape[1], t.shape[1]).tril() & t[:, None]),
]
