import math

import torch
import torch.nn.functional as F

from minattn.masks import Causal, Padding
from minattn.vocabulary import PAD

TRANSFORMER = """
def my_transformer(model, source, target_in):
    tokens = Padding(source != PAD)
    x = model.source_embedding(source) * model.embedding_scale
    x = model.positions(x)
    for block in model.encoder.blocks:
        h = block.add_self_attention.norm(x)
        x = x + block.self_attention(h, h, h, tokens)
        h = block.add_feed_forward.norm(x)
        x = x + block.feed_forward(h)
    memory = model.encoder.norm(x)
    y = model.target_embedding(target_in) * model.embedding_scale
    y = model.positions(y)
    for block in model.decoder.blocks:
        h = block.add_self_attention.norm(y)
        y = y + block.self_attention(h, h, h, Causal())
        h = block.add_cross_attention.norm(y)
        y = y + block.cross_attention(h, memory, memory, tokens)
        h = block.add_feed_forward.norm(y)
        y = y + block.feed_forward(h)
    return model.readout(model.decoder.norm(y))
"""


def edited(*changes):
    """Make an answer to the capstone from the solution, with some of its text replaced."""
    text = TRANSFORMER
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    names = {"torch": torch, "F": F, "math": math, "Causal": Causal, "Padding": Padding, "PAD": PAD}
    exec(text, names)
    return names["my_transformer"]
