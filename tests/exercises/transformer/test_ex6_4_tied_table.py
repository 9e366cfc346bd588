import math

import torch
import torch.nn.functional as F
from torch import nn

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def tied_one_hot(ids, table, positions, blocks):
    one_hot = F.one_hot(ids, len(table)).to(table.dtype)
    x = one_hot @ (table * table.shape[1] ** 0.5) + positions[None]
    return torch.einsum("bsd,vd->bsv", blocks(x), table)


def tied_layers(ids, table, positions, blocks):
    embedding = nn.Embedding.from_pretrained(table)
    readout = nn.Linear(table.shape[1], len(table), bias=False)
    readout.weight = embedding.weight
    return readout(blocks(embedding(ids) * math.sqrt(embedding.embedding_dim) + positions))


OTHER_WAYS = [tied_one_hot, tied_layers]


# Wrong ways, written as a learner writes them.


def tied_table_scaled(ids, table, positions, blocks):
    table = table * math.sqrt(table.shape[1])
    return blocks(table[ids] + positions) @ table.T


def tied_brackets(ids, table, positions, blocks):
    x = (F.embedding(ids, table) + positions) * table.shape[-1] ** 0.5
    return F.linear(blocks(x), table)


def tied_by_len(ids, table, positions, blocks):
    return F.linear(blocks(F.embedding(ids, table) * len(table) ** 0.5 + positions), table)


NEAR_MISSES = [
    ("factor_in_logits", tied_table_scaled),
    ("factor_after_positions", tied_brackets),
    ("root_of_another_size", tied_by_len),
]
