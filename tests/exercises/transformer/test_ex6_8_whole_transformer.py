import copy
import math

import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_8_whole_transformer import EXERCISE, my_transformer
from minattn.exercises.transformer.small_translator import in_pieces, small_translator
from minattn.vocabulary import PAD
from tests.exercises.transformer.edited import edited

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


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


OTHER_WAYS = [
    edited(),
    whole_by_hand,
    whole_row_by_row,
    whole_place_by_place,
    edited(("Padding(source != PAD)", "(source != PAD)[:, None, :]")),
    edited(("Padding(source != PAD)", "(source != PAD)[:, None, None]")),
    edited(("Causal()", "torch.ones(2 * [target_in.shape[1]], dtype=torch.bool).tril()")),
    edited(("Causal()", "Causal() & Padding(target_in != PAD)")),
    edited(("h, h, h, tokens", "h, h, h, (source != PAD)[:, None] & (source != PAD)[..., None]")),
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
]


# Wrong ways, written as a learner writes them.


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
    *((name, edited(*changes)) for name, *changes in EDITS),
    ("called_as_a_whole", lambda model, source, target_in: model(source, target_in)),
]


# What is said, and what the checker is tried on.


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
        verdict = judge(EXERCISE, edited(*changes))
        (message,) = (m.message for m in EXERCISE.mistakes if m.name == name)
        assert (verdict.mistake, verdict.message) == (name, message + besides)


def test_the_capstone_is_compared_with_the_package():
    for (model, source, target_in), seed, sizes in zip(
        EXERCISE.cases(), (800, 860), ((8, 4, 7, 1), (6, 2, 11, 2)), strict=True
    ):
        whole = small_translator(seed, *sizes)
        for p, q in zip(whole.parameters(), model.parameters(), strict=True):
            assert torch.equal(p, q)
        logits = my_transformer(model, source, target_in)
        assert torch.allclose(logits, whole(source, target_in), atol=1e-5)
        assert source.shape[1] != target_in.shape[1]  # the checker goes by the lengths


def test_the_capstone_has_padding_in_its_source_and_none_in_its_target():
    sources, targets = zip(*(case[1:] for case in EXERCISE.cases()), strict=True)
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

    assert judge(EXERCISE, copied).mistake == "called_as_a_whole"
