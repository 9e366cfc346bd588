"""The checkers of chapter 6: right answers however written, and wrong ones as learners write them."""

import copy
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.core import judge
from minattn.exercises.transformer import (
    DETACHED,
    LEFT_OVER,
    TINY,
    Patient,
    ToyDecoder,
    batch_loss,
    in_pieces,
    my_transformer,
    silent_parameters,
    small_translator,
)
from minattn.exercises.transformer import EXERCISES as CHAPTER
from minattn.masks import Causal, Padding
from minattn.transformer import DecoderBlock, EncoderBlock, Residual
from minattn.vocabulary import BOS, EOS, PAD

EXERCISES = {exercise.number: exercise for exercise in CHAPTER}


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


def sublayers_loop(x, f, g, norm_1, norm_2, place):
    for sublayer, norm in ((f, norm_1), (g, norm_2)):
        x = x + sublayer(norm(x)) if place == "pre" else norm(x + sublayer(x))
    return x


def sublayers_named(x, f, g, norm_1, norm_2, place):
    if place == "post":
        middle = norm_1(f(x) + x)
        return norm_2(g(middle) + middle)
    middle = torch.add(x, f(norm_1(x)))
    return torch.add(middle, g(norm_2(middle)))


def sublayers_residual(x, f, g, norm_1, norm_2, place):
    first, second = (Residual(x.shape[-1], norm=place) for _ in range(2))
    first.norm.forward, second.norm.forward = norm_1, norm_2
    return second(first(x, f), g)


def tied_one_hot(ids, table, positions, blocks):
    one_hot = F.one_hot(ids, len(table)).to(table.dtype)
    x = one_hot @ (table * table.shape[1] ** 0.5) + positions[None]
    return torch.einsum("bsd,vd->bsv", blocks(x), table)


def tied_layers(ids, table, positions, blocks):
    embedding = nn.Embedding.from_pretrained(table)
    readout = nn.Linear(table.shape[1], len(table), bias=False)
    readout.weight = embedding.weight
    return readout(blocks(embedding(ids) * math.sqrt(embedding.embedding_dim) + positions))


def decode_tensors(logits_of, max_length):
    ids = torch.tensor([BOS])
    for _ in range(max_length):
        token = logits_of(ids)[-1].softmax(-1).argmax()
        ids = torch.cat([ids, token[None]])
        if token == EOS:
            break
    return ids[1:].tolist()


def decode_buffer(logits_of, max_length):
    """Hand in the whole row every time: the decoder is causal, so what comes later does not matter."""
    ids = torch.full((max_length + 1,), PAD)
    ids[0] = BOS
    for i in range(max_length):
        ids[i + 1] = logits_of(ids)[i].argmax()
        if ids[i + 1] == EOS:
            return ids[1 : i + 2].tolist()
    return ids[1:].tolist()


def decode_all_again(logits_of, max_length):
    """Take all guesses anew every time: those of the earlier rows do not change."""
    ids = [BOS]
    while EOS not in ids and len(ids) <= max_length:
        ids = [BOS, *logits_of(torch.tensor(ids)).argmax(-1)]
    return ids[1:]


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


def count_by_making(d_model, n_heads, d_ff):
    blocks = EncoderBlock(d_model, n_heads, d_ff), DecoderBlock(d_model, n_heads, d_ff)
    return tuple(sum(p.numel() for p in block.parameters()) for block in blocks)


def count_by_heads(d_model, n_heads, d_ff):
    d_head = d_model // n_heads
    attention = 3 * n_heads * (d_model * d_head + d_head) + d_model * n_heads * d_head + d_model
    feed_forward = (d_model + 1) * d_ff + (d_ff + 1) * d_model
    return [k * (attention + 2 * d_model) + feed_forward + 2 * d_model for k in (1, 2)]


def silent_by_autograd(model, loss_of):
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss_of(model), [p for _, p in named], allow_unused=True)
    heard = [name for (name, _), g in zip(named, grads, strict=True) if g is not None and g.any()]
    return [name for name, _ in model.named_parameters() if name not in heard]


def silent_by_norm(model, loss_of):
    for p in model.parameters():
        p.grad = None
    loss_of(model).backward()
    silent = []
    for name, p in model.named_parameters():
        if p.grad is None or p.grad.norm() == 0:
            silent.append(name)
    return silent


def silent_by_step(model, loss_of):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.zero_grad()
    loss_of(model).backward()
    optimizer.step()
    return [name for name, p in model.named_parameters() if (p == before[name]).all()]


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


def whole_by_hand(model, source, target_in):
    """Call no piece but the attentions, and those in two parts."""

    def norm(layer, x):
        return F.layer_norm(x, x.shape[-1:], layer.weight, layer.bias)

    def think(part, x):
        hidden = F.linear(x, part.up_proj.weight, part.up_proj.bias).relu()
        return F.linear(hidden, part.down_proj.weight, part.down_proj.bias)

    def look(part, query, memory, mask):
        return part.attend_to(query, *part.keys_values(memory, memory), mask)

    def embed(table, ids):
        return model.positions(table.weight[ids] * math.sqrt(table.embedding_dim))

    x, tokens = embed(model.source_embedding, source), (source != PAD)[:, None, None]
    for block in model.encoder.blocks:
        h = norm(block.add_self_attention.norm, x)
        x = x + look(block.self_attention, h, h, tokens)
        x = x + think(block.feed_forward, norm(block.add_feed_forward.norm, x))
    memory = norm(model.encoder.norm, x)
    y = embed(model.target_embedding, target_in)
    earlier = torch.ones(target_in.shape[1], target_in.shape[1]).tril().bool()
    for block in model.decoder.blocks:
        h = norm(block.add_self_attention.norm, y)
        y = y + look(block.self_attention, h, h, earlier)
        h = norm(block.add_cross_attention.norm, y)
        y = y + look(block.cross_attention, h, memory, tokens)
        y = y + think(block.feed_forward, norm(block.add_feed_forward.norm, y))
    return norm(model.decoder.norm, y) @ model.readout.weight.T


def whole_row_by_row(model, source, target_in):
    """Translate each sentence alone, without its padding."""
    rows = zip(source, target_in, strict=True)
    alone = [my_transformer(model, s[s != PAD][None], t[None]) for s, t in rows]
    return torch.cat(alone)


def whole_place_by_place(model, source, target_in):
    """Read the last logits of every beginning of the target."""
    lengths = range(1, target_in.shape[1] + 1)
    return torch.stack([my_transformer(model, source, target_in[:, :n])[:, -1] for n in lengths], 1)


OTHER_WAYS = {
    "6.1": [
        norm_loop,
        norm_numpy,
        norm_mean_of_squares,
        norm_layer,
        lambda x, w, b, eps: F.layer_norm(x, [len(w)], w, b, eps),
        lambda x, w, b, eps: F.layer_norm(x.double(), w.shape, w.double(), b.double(), eps),
    ],
    "6.2": [sublayers_loop, sublayers_named, sublayers_residual],
    "6.3": [tied_one_hot, tied_layers],
    "6.4": [decode_tensors, decode_buffer, decode_all_again],
    "6.5": [
        dropped_loop,
        dropped_where,
        lambda x, found, keep, p, training: (
            x + found.masked_fill(~keep, 0.0) * (1 / (1 - p)) if training else found + x
        ),
    ],
    "6.6": [count_by_making, count_by_heads],
    "6.7": [silent_by_autograd, silent_by_norm, silent_by_step],
    "6.8": [
        edited(),
        whole_by_hand,
        whole_row_by_row,
        whole_place_by_place,
        edited(("Padding(source != PAD)", "(source != PAD)[:, None, :]")),
        edited(("Padding(source != PAD)", "(source != PAD)[:, None, None]")),
        edited(("Causal()", "torch.ones(2 * [target_in.shape[1]], dtype=torch.bool).tril()")),
        edited(("Causal()", "Causal() & Padding(target_in != PAD)")),
        edited(
            ("h, h, h, tokens", "h, h, h, (source != PAD)[:, None] & (source != PAD)[..., None]")
        ),
        edited(("model.embedding_scale", "math.sqrt(model.source_embedding.embedding_dim)")),
        edited(("x = model.positions(x)", "x = model.dropout(model.positions(x))")),
        edited(
            (
                "h = block.add_self_attention.norm(x)\n        x = x + block.self_attention(h, h, h, tokens)",
                "norm = block.add_self_attention.norm\n"
                "        x = block.self_attention(norm(x), norm(x), norm(x), mask=tokens) + x",
            )
        ),
        edited(
            (
                "x + block.feed_forward(h)",
                "x + block.add_feed_forward.dropout(block.feed_forward(h))",
            )
        ),
    ],
}


# Written as a learner writes them: wrong answers that stop with an error, or come in another disguise.


def norm_with(variance, mean=lambda x: x.mean(dim=-1, keepdim=True)):
    def answer(x, weight, bias, eps):
        centred = x - mean(x)
        return weight * centred / torch.sqrt(variance(x, centred) + eps) + bias

    return answer


def norm_batch(x, weight, bias, eps):
    flat = x.flatten(0, 1)
    return F.batch_norm(flat, None, None, weight, bias, training=True, eps=eps).view(x.shape)


def sublayers_renamed(x, f, g, norm_1, norm_2, place):
    """Give the first sum a name, and go on with the old one."""
    if place == "pre":
        attended = x + f(norm_1(x))
        out = x + g(norm_2(attended))
    else:
        attended = norm_1(x + f(x))
        out = norm_2(x + g(attended))
    return out


def sublayers_rebound(x, f, g, norm_1, norm_2, place):
    if place == "pre":
        x = norm_1(x)
        x = x + f(x)
        x = norm_2(x)
        return x + g(x)
    x = x + f(x)
    x = norm_1(x)
    x = x + g(x)
    return norm_2(x)


def sublayers_else_forgotten(x, f, g, norm_1, norm_2, place):
    if place == "pre":
        x = x + f(norm_1(x))
        x = x + g(norm_2(x))
    x = norm_1(x + f(x))
    return norm_2(x + g(x))


def tied_table_scaled(ids, table, positions, blocks):
    table = table * math.sqrt(table.shape[1])
    return blocks(table[ids] + positions) @ table.T


def tied_brackets(ids, table, positions, blocks):
    x = (F.embedding(ids, table) + positions) * table.shape[-1] ** 0.5
    return F.linear(blocks(x), table)


def tied_by_len(ids, table, positions, blocks):
    return F.linear(blocks(F.embedding(ids, table) * len(table) ** 0.5 + positions), table)


def decode_with(choose=lambda z: int(z[-1].argmax()), read=lambda ids: torch.tensor(ids), limit=0):
    def answer(logits_of, max_length):
        ids = [BOS]
        while ids[-1] != EOS and len(ids) < max_length + 1 + limit:
            ids.append(choose(logits_of(read(ids))))
        return ids[1:]

    return answer


def decode_whole(logits_of, max_length):
    ids = [BOS]
    while ids[-1] != EOS and len(ids) < max_length:
        ids.append(int(logits_of(torch.tensor(ids))[-1].argmax()))
    return ids


def decode_for(logits_of, max_length):
    ids = torch.tensor([BOS])
    for _ in range(max_length):
        token = logits_of(ids)[-1].argmax()
        if token == EOS:
            break
        ids = torch.cat([ids, token[None]])
    return ids[1:].tolist()


def dropped_module(x, found, keep, p, training):
    return x + nn.Dropout(p).train(training)(found)


def dropped_after(x, found, keep, p, training):
    out = x + found
    return out * keep / (1 - p) if training else out


def count_fused(d_model, n_heads, d_ff):
    """Count in the way of torch's modules, and forget the norms."""
    attention = nn.MultiheadAttention(d_model, n_heads)
    n = sum(p.numel() for p in attention.parameters())
    m = sum(
        p.numel()
        for f in (nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model))
        for p in f.parameters()
    )
    return n + m, 2 * n + m


def count_without_norm_bias(d_model, n_heads, d_ff):
    encoder, decoder = count_by_making(d_model, n_heads, d_ff)
    return encoder - 2 * d_model, decoder - 3 * d_model


def silent_if(is_silent, clear=True):
    def answer(model, loss_of):
        if clear:
            model.zero_grad()
        loss_of(model).backward()
        names = []
        for name, p in model.named_parameters():
            if is_silent(p):
                names.append(name)
        return names

    return answer


def silent_adamw(model, loss_of):
    old = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    optimizer.zero_grad()
    loss_of(model).backward()
    optimizer.step()
    named = zip(model.named_parameters(), old, strict=True)
    return [name for (name, p), before in named if torch.equal(p, before)]


CROSS = "cross_attention(h, memory, memory, tokens)"
SQUARE = "torch.ones(2 * [target_in.shape[1]])"

EDITS = [
    ("not_scaled", (" * model.embedding_scale", "")),
    ("no_positions", ("x = model.positions(x)", "model.positions(x)")),
    ("scaled_the_wrong_way", (" * model.embedding_scale", " / model.embedding_scale")),
    ("one_table_for_both", ("target_embedding(target_in)", "source_embedding(target_in)")),
    ("padding_seen", ("Padding(source != PAD)", "None")),
    ("padding_seen_by_encoder", ("h, h, h, tokens", "h, h, h")),
    ("padding_seen_by_decoder", ("memory, memory, tokens", "memory, memory")),
    ("padding_mask_inverted", ("source != PAD", "source == PAD")),
    (
        "padding_of_the_target",
        ("memory, memory, tokens", "memory, memory, Padding(target_in != PAD)"),
    ),
    ("mask_of_other_axes", ("Padding(source != PAD)", "source != PAD")),
    ("mask_of_other_axes", ("Padding(source != PAD)", "(source != PAD)[:, :, None]")),
    ("mask_is_not_bool", ("Causal()", f"torch.tril({SQUARE})")),
    ("no_causal_mask", ("h, h, h, Causal()", "h, h, h")),
    ("causal_mask_inverted", ("Causal()", f"{SQUARE}.triu(1).bool()")),
    ("own_token_hidden", ("Causal()", f"{SQUARE}.tril(-1).bool()")),
    ("encoder_is_causal", ("h, h, h, tokens", "h, h, h, Causal() & tokens")),
    ("no_residual", ("x = x +", "x ="), ("y = y +", "y =")),
    ("no_residual", ("y = y + block.cross", "y = block.cross")),
    ("normed_carried_on", ("y = y + block.feed", "y = h + block.feed")),
    ("not_normed", ("y = y + block.feed_forward(h)", "y = y + block.feed_forward(y)")),
    ("wrong_norm", ("add_cross_attention.norm", "add_self_attention.norm")),
    ("no_last_norm_in_encoder", ("model.encoder.norm(x)", "x")),
    ("no_last_norm_in_decoder", ("model.decoder.norm(y)", "y")),
    ("other_last_norm", ("model.decoder.norm(y)", "model.encoder.norm(y)")),
    ("keys_of_the_target", (CROSS, "cross_attention(h, h, h)")),
    ("source_asks", (CROSS, "cross_attention(memory, h, h)")),
    ("self_attention_for_cross", (CROSS, "self_attention(h, memory, memory, tokens)")),
    (
        "memory_normed_again",
        ("h, memory, memory, tokens", "h, norm(memory), norm(memory), tokens"),
        (
            "h = block.add_cross_attention.norm(y)",
            "norm = block.add_cross_attention.norm; h = norm(y)",
        ),
    ),
    (
        "memory_of_another_block",
        ("    for block in model.encoder", "    sums = []\n    for block in model.encoder"),
        ("    memory = ", "        sums.append(x)\n    memory = "),
        ("for block in model.decoder", "for left, block in zip(sums, model.decoder"),
        ("decoder.blocks:", "decoder.blocks):"),
        ("h, memory, memory", "h, left, left"),
    ),
    ("blocks_left_out", ("model.decoder.blocks", "model.decoder.blocks[:-1]")),
    (
        "one_block_again",
        ("in model.encoder.blocks", "in [model.encoder.blocks[0] for _ in model.encoder.blocks]"),
    ),
    ("called_as_a_whole", ("model.encoder.norm(x)", "model.encode(source).states")),
    ("probabilities", ("model.decoder.norm(y))", "model.decoder.norm(y)).softmax(-1)")),
    ("no_readout", ("model.readout(model.decoder.norm(y))", "model.decoder.norm(y)")),
]

NEAR_MISSES = [
    ("6.1", "unbiased", norm_with(lambda x, c: x.var(dim=-1, keepdim=True))),
    ("6.1", "unbiased", norm_with(lambda x, c: (c**2).sum(-1, keepdim=True) / (x.shape[-1] - 1))),
    ("6.1", "variance_about_zero", norm_with(lambda x, c: (x**2).mean(-1, keepdim=True))),
    ("6.1", "length_one", norm_with(lambda x, c: (c**2).sum(-1, keepdim=True))),
    ("6.1", "mean_not_subtracted", lambda x, w, b, eps: F.rms_norm(x, w.shape, w, eps) + b),
    ("6.1", "no_keepdim", norm_with(lambda x, c: c.var(-1), lambda x: x.mean(-1))),
    ("6.1", "over_everything", norm_with(lambda x, c: c.var(-1, False, keepdim=True), torch.mean)),
    ("6.1", "batch_norm", norm_batch),
    ("6.1", "no_gain_and_bias", lambda x, w, b, eps: F.layer_norm(x, w.shape, eps=eps)),
    (
        "6.1",
        "over_sequence_and_features",
        lambda x, w, b, eps: F.layer_norm(x, x.shape[1:], eps=eps) * w + b,
    ),
    ("6.2", "back_to_the_start", sublayers_renamed),
    ("6.2", "normed_carried_on", sublayers_rebound),
    ("6.3", "factor_in_logits", tied_table_scaled),
    ("6.3", "factor_after_positions", tied_brackets),
    ("6.3", "root_of_another_size", tied_by_len),
    ("6.4", "bos_kept", decode_whole),
    ("6.4", "eos_dropped", decode_for),
    ("6.4", "one_too_few", decode_with(limit=-1)),
    ("6.4", "one_too_many", decode_with(limit=1)),
    ("6.4", "not_one_axis", decode_with(read=lambda ids: torch.tensor([ids]))),
    ("6.4", "not_one_axis", decode_with(read=lambda ids: ids)),
    ("6.4", "not_one_axis", decode_with(read=lambda ids: ids[-1])),
    ("6.4", "last_token_only", decode_with(read=lambda ids: torch.tensor([ids[-1]]))),
    ("6.4", "always_the_first_word", decode_with(lambda z: int(z.argmax(-1)[0]))),
    ("6.4", "logit_taken_for_token", decode_with(lambda z: z[-1].max().item())),
    ("6.5", "drawn_anew", dropped_module),
    ("6.5", "stream_dropped", dropped_after),
    ("6.6", "norms_forgotten", count_fused),
    ("6.6", "norm_without_bias", count_without_norm_bias),
    ("6.7", "missing_only", silent_if(lambda p: p.grad is None)),
    ("6.7", "missing_only", silent_adamw),
    ("6.7", "zero_only", silent_if(lambda p: p.grad is not None and p.grad.norm() == 0)),
    ("6.7", "missing_is_no_tensor", silent_if(lambda p: p.grad.abs().max() == 0)),
    ("6.7", "left_over", silent_if(lambda p: p.grad is None or not p.grad.any(), clear=False)),
    ("6.7", "small_taken_for_zero", silent_if(lambda p: p.grad is None or p.grad.norm() < 1e-6)),
    ("6.7", "some_are_zero", silent_if(lambda p: p.grad is None or (p.grad == 0).any())),
    (
        "6.7",
        "cancelled_in_the_sum",
        silent_if(lambda p: p.grad is None or abs(p.grad.sum()) < 1e-9),
    ),
    ("6.7", "frozen_only", silent_if(lambda p: not p.requires_grad)),
    *(("6.8", name, edited(*changes)) for name, *changes in EDITS),
    ("6.8", "called_as_a_whole", lambda model, source, target_in: model(source, target_in)),
]


@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


def test_whoever_forgets_the_way_back_after_pre_is_told_what_the_result_is():
    verdict = judge(EXERCISES["6.2"], sublayers_else_forgotten)
    assert verdict.kind == "wrong"
    assert 'Input: place = "pre"' in verdict.message


# Where an answer to the capstone goes wrong.

WHERE = [
    (
        [("    memory = model.encoder.norm(x)", "    return model.encoder.norm(x)")],
        "Every piece that you called was given the right thing. The last one was the last norm of the "
        "encoder; next would be the target embedding.",
    ),
    (
        [("norm(y))", "norm(y)) / 2")],
        "Every piece was given the right thing, the readout too. Look at what you return.",
    ),
    (
        [("    tokens", "    return 1\n    tokens")],
        "None of the pieces of the model was called.",
    ),
    (
        [(" * model.embedding_scale", " * 2")],
        "First difference: the positions of the source.\n"
        "It should be given the result of the source embedding times embedding_scale. "
        "You gave 0.7071 times that.",
    ),
    (
        [(" * model.embedding_scale", " * 1.01 * model.embedding_scale")],
        "First difference: the positions of the source.\n"
        "It should be given the result of the source embedding times embedding_scale. "
        "You gave 1.01 times that.",
    ),
    (
        [("model.encoder.norm(x)", "x")],
        "First difference: the cross-attention of decoder block 1.\n"
        "Its key should be the result of the last norm of the encoder. You gave the sum after the "
        "feed-forward of encoder block 1. The last norm of the encoder was not called.",
    ),
    (
        [("y = y + block.feed_forward(h)", "y = h + block.feed_forward(y)")],
        "First difference: the feed-forward of decoder block 1.\n"
        "It should be given the result of the norm before the feed-forward of decoder block 1. You gave "
        "the sum after the cross-attention of decoder block 1.",
    ),
    (
        [("x = x + block.feed_forward(h)", "x = x + block.feed_forward(h).abs()")],
        "First difference: the last norm of the encoder.\n"
        "It should be given the sum after the feed-forward of encoder block 1. You gave something else: "
        "at [0, 0, 0] stands NUMBER where NUMBER should be.",
    ),
    (
        [("target_embedding(target_in)", "target_embedding(source)")],
        "First difference: the target embedding.\n"
        "It should be given the ids of the target. You gave the ids of the source.",
    ),
    (
        [("source != PAD", "source != 2")],
        "First difference: the self-attention of encoder block 1.\n"
        "Its mask should hide the padding of the source. In row 0, position 0 may look at [0, 1, 2]; "
        "yours lets it look at [0, 1].",
    ),
    (
        [("h, h, h, Causal()", "h, h, h")],
        "First difference: the self-attention of decoder block 1.\n"
        "Its mask should hide what comes later. Yours hides nothing.",
    ),
    (
        [("source != PAD", "source == PAD")],
        "First difference: the self-attention of encoder block 1.\n"
        "Its mask should hide the padding of the source. Yours hides everything else: True means that "
        "one may look.",
    ),
    (
        [("Padding(source != PAD)", "'padding'")],
        "First difference: the self-attention of encoder block 1.\n"
        "Its mask should hide the padding of the source. Yours, something of type str, could not be "
        "used.\nThen your code stopped: TEXT",
    ),
    (
        [("model.positions(x)", "model.positions(x)[0]")],
        "First difference: the norm before the self-attention of encoder block 1.\n"
        "It should be given the result of the positions of the source. You gave something of shape "
        "(3, 8), where the shape should be (2, 3, 8).\nThen your code stopped: TEXT",
    ),
    (
        [
            (
                "x = x + block.self_attention(h, h, h, tokens)",
                "x = x + 2 * block.self_attention(h, h, h)",
            )
        ],
        "First difference: the norm before the feed-forward of encoder block 1.\n"
        "It should be given the sum after the self-attention of encoder block 1. You gave something "
        "else: at [0, 0, 0] stands NUMBER where NUMBER should be.",
    ),
    (
        [("model.readout(", "model.readout(2 * y) + model.readout(")],
        "First difference: the readout.\n"
        "It should be given the result of the last norm of the decoder. You gave something else: at "
        "[0, 0, 0] stands NUMBER where NUMBER should be. The last norm of the decoder was not called.",
    ),
    (
        [("    return model.readout(", "    return model.readout(x[:, :1]) + model.readout(")],
        "First difference: the readout.\n"
        "It should be given the result of the last norm of the decoder. You gave something of shape "
        "(2, 1, 8), where the shape should be (2, 5, 8). The last norm of the decoder was not called.",
    ),
    (
        [("model.readout(model.decoder.norm(y))", "model.decoder.norm(model.decoder.norm(y))")],
        "First difference: the last norm of the decoder, called once more.\n"
        "It should be given the sum after the feed-forward of decoder block 1. You gave the result of "
        "the last norm of the decoder.",
    ),
]


@pytest.mark.parametrize(("changes", "where"), WHERE)
def test_the_first_difference_is_told(changes, where, unchecked):
    pattern = re.escape(where).replace("NUMBER", r"-?[\d.]+").replace("TEXT", r"[A-Z]\w+: .*")
    got = judge(EXERCISES["6.8"], edited(*changes)).where
    assert re.fullmatch(pattern, got), got


LATE = ("        y = y + block.feed", "        memory = 3 * memory\n        y = y + block.feed")


def test_what_is_first_in_the_second_block_is_told():
    assert judge(EXERCISES["6.8"], edited(LATE)).where == (
        "First difference: the cross-attention of decoder block 2.\n"
        "Its key should be the result of the last norm of the encoder. You gave 3 times that."
    )


def test_what_the_padding_of_the_source_holds_is_no_difference():
    """A mask may hide everything from padding; only another fault is told."""
    answer = edited(
        ("h, h, h, tokens", "h, h, h, (source != PAD)[:, None] & (source != PAD)[..., None]"),
        LATE,
    )
    assert "the cross-attention of decoder block 2" in judge(EXERCISES["6.8"], answer).where


def test_two_mistakes_in_the_capstone_are_named_one_after_the_other():
    causal = ("h, h, h, Causal()", "h, h, h")
    residual = ("y = y + block.feed_forward(h)", "y = block.feed_forward(h)")
    scale = (
        "y = model.target_embedding(target_in) * model.embedding_scale",
        "y = model.target_embedding(target_in)",
    )
    more = " There is something else besides; mend this first."
    for changes, name, besides in (
        ([causal, residual, scale], "not_scaled", more),
        ([causal, residual], "no_causal_mask", more),
        ([residual], "no_residual", ""),
    ):
        verdict = judge(EXERCISES["6.8"], edited(*changes))
        (message,) = (m.message for m in EXERCISES["6.8"].mistakes if m.name == name)
        assert (verdict.mistake, verdict.message) == (name, message + besides)


# What the checkers are tried on: no accident may make a wrong answer look right.


@pytest.mark.parametrize("number", ["6.1", "6.2", "6.3", "6.5", "6.8"])
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    exercise = EXERCISES[number]
    cases = exercise.cases()
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            most = 0.0
            for case in cases:
                right = exercise.solution(*case)
                try:
                    got = torch.as_tensor(wrong(*case))
                except (ValueError, RuntimeError, TypeError, IndexError):
                    most = math.inf
                    continue
                alike = got.shape == right.shape and not got.isnan().any()
                most = max(most, float((got - right).abs().max()) if alike else math.inf)
            assert most > 30 * exercise.tolerance, mistake.name


def test_the_capstone_is_compared_with_the_package():
    for (model, source, target_in), seed, sizes in zip(
        EXERCISES["6.8"].cases(), (800, 860), ((8, 4, 7, 1), (6, 2, 11, 2)), strict=True
    ):
        whole = small_translator(seed, *sizes)
        for p, q in zip(whole.parameters(), model.parameters(), strict=True):
            assert torch.equal(p, q)
        logits = my_transformer(model, source, target_in)
        assert torch.allclose(logits, whole(source, target_in), atol=1e-5)
        assert source.shape[1] != target_in.shape[1]  # the checker goes by the lengths


def test_the_capstone_has_padding_in_its_source_and_none_in_its_target():
    sources, targets = zip(*(case[1:] for case in EXERCISES["6.8"].cases()), strict=True)
    assert [bool((source == PAD).any()) for source in sources] == [False, True]
    assert not any((target == PAD).any() for target in targets)


@pytest.mark.rejects
@pytest.mark.parametrize(
    "run",
    [
        lambda model, ids, x: model(ids, ids),
        lambda model, ids, x: model.encode(ids),
        lambda model, ids, x: model.encoder(x),
        lambda model, ids, x: model.decoder(x, x),
        lambda model, ids, x: model.encoder.blocks[0](x),
        lambda model, ids, x: model.decoder.blocks[0](x, x),
        lambda model, ids, x: model.decoder.blocks[0].add_cross_attention(x, torch.tanh),
    ],
)
def test_no_part_of_a_model_in_pieces_runs_as_a_whole(run):
    model = in_pieces(small_translator(0, 4, 2, 3, 1))
    with pytest.raises(RuntimeError, match="to be built from its pieces"):
        run(model, torch.tensor([[3, 2]]), torch.zeros(1, 2, 4))


def test_a_model_in_pieces_stays_so_in_a_copy():
    def copied(model, source, target_in):
        return copy.deepcopy(model)(source, target_in)

    assert judge(EXERCISES["6.8"], copied).mistake == "called_as_a_whole"


def test_the_decoder_that_writes_is_causal_and_reads_every_token():
    decoder = ToyDecoder(767, 7)
    ids = torch.tensor([1, 5, 3, 6, 4])
    for i in range(5):
        changed = ids.clone()
        changed[i] = 0
        assert (decoder(changed) != decoder(ids)).any(-1).tolist() == [t >= i for t in range(5)]
    assert (decoder(ids).argmax(-1) > BOS).all()


def test_decoders_end_early_in_time_and_never():
    cases = EXERCISES["6.4"].cases()
    written = [(EXERCISES["6.4"].solution(*case), case[1]) for case in cases]
    assert [(ids[-1] == EOS, len(ids) < limit) for ids, limit in written] == [
        (True, True),
        (True, True),
        (False, False),
        (True, False),
    ]


@pytest.mark.rejects
def test_a_decoder_rejects_what_is_no_row_of_ids():
    decoder = ToyDecoder(767, 7)
    for ids in (torch.tensor([[1, 2]]), torch.tensor([]), torch.tensor(1), [1]):
        with pytest.raises(ValueError, match=r"a tensor of shape \(length,\)"):
            decoder(ids)
    with pytest.raises(ValueError, match="whole numbers"):
        decoder(torch.tensor([1.0]))
    with pytest.raises(ValueError, match="ids must be from 0 to"):
        decoder(torch.tensor([7]))


def test_a_decoder_does_not_wait_for_ever():
    def never_appends(logits_of, max_length):
        ids = [BOS]
        while len(ids) < 100:
            logits_of(torch.tensor(ids))

    verdict = judge(EXERCISES["6.4"], never_appends)
    assert verdict.kind == "error" and "called more than 100 times" in verdict.message


FAULTS = [case[0].fault for case in EXERCISES["6.7"].cases()]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_part_learns_clearly_or_not_at_all(fault):
    patient = Patient(fault)
    silent = silent_parameters(patient, batch_loss)
    scale = 1e-9 if fault == TINY else 1.0
    for name, p in patient.named_parameters():
        if name in silent:
            assert p.grad is None or not p.grad.any()
        else:
            assert p.grad.abs().max() > 5e-3 * scale, name


def test_a_patient_keeps_its_gradients_in_a_copy():
    twin = copy.deepcopy(Patient(LEFT_OVER))
    assert torch.equal(twin.encoder.weight.grad, torch.ones(4, 4).double())
    assert copy.deepcopy(Patient(DETACHED)).encoder.weight.grad is None


def test_patients_are_silent_in_different_places():
    assert [silent_parameters(Patient(fault), batch_loss) for fault in FAULTS] == [
        ["spare.weight"],
        [],
        ["encoder.weight"],
        ["encoder.weight", "query.weight", "key.weight", "value.weight"],
        ["query.weight", "key.weight"],
        ["up.weight", "up.bias", "down.weight"],
        ["embedding.weight"],
        ["query.weight", "key.weight"],
        [],
        ["encoder.weight"],
        ["encoder.weight", "up.weight", "up.bias", "down.weight"],
    ]
