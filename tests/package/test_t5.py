"""T5: buckets equal to a table, a bias that stays right under a cache, spans that can be put back."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from minattn.decoding import Cached, beam_search
from minattn.dot_product import attend as plain_attend
from minattn.dot_product import fused_attend
from minattn.language.t5 import (
    T5,
    RelativeBias,
    answers,
    exact_by_task,
    relative_buckets,
    t5_stacks,
)
from minattn.language.text_to_text import text_to_text
from minattn.masks import CAUSAL, Padding
from minattn.recording import recording
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.translation import Memory, Translator, greedy
from minattn.vocabulary import BOS, EOS, PAD
from tests.package.strategies import ROUNDING, normal

V, D, HEADS = 17, 12, 3
SOURCE = torch.tensor([[5, 9, 3, 8, 9, 7, EOS], [7, 4, EOS, PAD, PAD, PAD, PAD]])
TARGET = torch.tensor([[BOS, 6, 9, 3, 11], [BOS, 4, 4, 16, 5]])


def made(**settings):
    with seeded(0):
        stacks = t5_stacks(d_model=D, n_heads=HEADS, d_ff=23, n_layers=2, n_buckets=8, **settings)
        model = T5(V, *stacks).double().eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(std=0.5)
    return model


# Buckets


def slow_bucket(back, both_sides, n_buckets, max_distance):
    """Take the formula at its word, for one query and one key, in whole numbers: no logarithm is rounded."""
    side = n_buckets // 2 if both_sides else n_buckets
    offset = side if both_sides and back < 0 else 0
    n = abs(back) if both_sides else max(back, 0)
    exact = side // 2
    if n < exact:
        return offset + n
    steps = side - exact
    # n / exact >= (max_distance / exact) ** (step / steps), both sides to the power of steps
    step = sum(
        n**steps * exact**step >= max_distance**step * exact**steps for step in range(1, steps)
    )
    return offset + exact + step


@pytest.mark.parametrize("both_sides", [True, False])
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 20), (6, 50), (4, 2)])
def test_buckets_are_those_of_the_formula(both_sides, n_buckets, max_distance):
    how = {"both_sides": both_sides, "n_buckets": n_buckets, "max_distance": max_distance}
    if not both_sides and max_distance <= n_buckets // 2:
        how["max_distance"] = n_buckets
    found = relative_buckets(150, 157, **how)
    expected = [[slow_bucket(7 + i - j, *how.values()) for j in range(157)] for i in range(150)]
    assert found.tolist() == expected


def test_the_table_of_the_paper():
    """What the paper's code gives with 32 buckets up to distance 128, worked out by hand from its lines.

    It takes half of the buckets for each side, half of these for single distances (8, or 16 on one side), and
    ``8 + int(log(n / 8) / log(128 / 8) * 8)`` from there on, at most 15; for keys behind the query, plus 16.
    """
    both = relative_buckets(300, 300, both_sides=True)[150]
    back = {0: 0, 1: 1, 7: 7, 8: 8, 11: 8, 12: 9, 15: 9, 16: 10, 22: 10, 23: 11, 31: 11, 32: 12}
    back |= {45: 12, 46: 13, 63: 13, 64: 14, 90: 14, 91: 15, 127: 15, 128: 15, 150: 15}
    for n, bucket in back.items():
        assert both[150 - n] == bucket
        if 0 < n < 150:
            assert both[150 + n] == bucket + 16
    one = relative_buckets(300, 300, both_sides=False)[299]
    back = {0: 0, 15: 15, 16: 16, 18: 16, 19: 17, 31: 21, 32: 21, 64: 26, 113: 31, 128: 31, 299: 31}
    for n, bucket in back.items():
        assert one[299 - n] == bucket


def test_every_bucket_is_used_and_farther_is_never_a_smaller_one():
    both = relative_buckets(200, 200, both_sides=True)
    one = relative_buckets(200, 200, both_sides=False)
    assert set(one.flatten().tolist()) == set(range(32))
    assert set(both.flatten().tolist()) == set(range(32)) - {16}  # no key after has distance 0
    assert all(a >= b for a, b in pairwise(one[-1].tolist()))
    assert (one.triu() == 0).all()


# The attend


@pytest.mark.parametrize("both_sides", [True, False])
@pytest.mark.parametrize("queries", [1, 3, 7])
def test_the_bias_is_looked_up_for_every_pair(both_sides, queries):
    layer = RelativeBias(HEADS, both_sides=both_sides, n_buckets=8, max_distance=5).double()
    nn.init.normal_(layer.table)
    found = layer.bias(queries, 7)
    for head in range(HEADS):
        for i in range(queries):
            for j in range(7):
                bucket = slow_bucket(7 - queries + i - j, both_sides, 8, 5)
                assert found[head, i, j] == layer.table[bucket, head]


@pytest.mark.parametrize("mask", [None, CAUSAL, Padding(torch.tensor([[True] * 4 + [False]] * 2))])
def test_it_attends_as_softmax_of_scaled_products_and_bias(mask):
    query, key, value = (normal(2, HEADS, 5, 4, seed=s) for s in range(3))
    layer = RelativeBias(HEADS, both_sides=True).double()
    nn.init.normal_(layer.table)
    scores = query @ key.mT / 2 + layer.bias(5, 5)
    if mask is not None:
        scores = scores.masked_fill(~mask.to_bool(scores.shape), -math.inf)
    torch.testing.assert_close(
        layer(query, key, value, mask), scores.softmax(-1) @ value, **ROUNDING
    )


def test_the_table_learns():
    query, key, value = (normal(1, HEADS, 5, 4, seed=s) for s in range(3))
    layer = RelativeBias(HEADS, both_sides=True).double()
    layer(query, key, value).square().sum().backward()
    assert (layer.table.grad[:5] != 0).all() and (layer.table.grad[16 + 5 :] == 0).all()


# The model


def test_blocks_of_a_stack_share_one_table_and_cross_attention_has_none():
    model = made()
    tables = [name for name, _ in model.named_parameters() if name.endswith("attend.table")]
    assert tables == [f"{s}coder.blocks.0.self_attention.attend.table" for s in ("en", "de")]
    for stack, both_sides in ((model.encoder, True), (model.decoder, False)):
        (attend,) = {block.self_attention.attend for block in stack.blocks}
        assert attend.both_sides is both_sides
    assert all(block.cross_attention.attend is fused_attend for block in model.decoder.blocks)
    assert not any("bias" in name for name, _ in model.named_parameters())
    assert model.readout.weight is model.table.weight


def test_it_is_an_encoder_and_a_decoder_put_together_by_hand():
    model = made()
    found = model(SOURCE, TARGET)
    padding = Padding(SOURCE != PAD)
    memory = model.encoder(model.table(SOURCE), padding)
    x = model.decoder(model.table(TARGET), memory, CAUSAL, padding)
    torch.testing.assert_close(found, x @ model.table.weight.T, **ROUNDING)


def test_with_a_cache_it_says_the_same_as_without_and_as_all_at_once():
    model = made()
    whole = model(SOURCE, TARGET)
    for writer in (model, Cached(model)):
        memory = writer.memory_of(SOURCE)
        state, steps = writer.start(memory), []
        for token in TARGET.unbind(1):
            logits, state = writer.step(token, state, memory)
            steps.append(logits)
        torch.testing.assert_close(torch.stack(steps, 1), whole, **ROUNDING)


def test_greedy_and_beams_write_the_same_with_a_cache():
    model = made()
    assert torch.equal(greedy(Cached(model), SOURCE, 9), greedy(model, SOURCE, 9))
    with_cache, without = (beam_search(m, SOURCE, 9, n_beams=3) for m in (Cached(model), model))
    assert torch.equal(with_cache.ids, without.ids)
    torch.testing.assert_close(with_cache.log_probs, without.log_probs, **ROUNDING)


def test_padding_changes_nothing_and_order_does():
    model = made()
    alone = model(SOURCE[1:, :3], TARGET[1:])
    torch.testing.assert_close(model(SOURCE, TARGET)[1:], alone, **ROUNDING)
    turned = SOURCE[:1].flip(1)
    assert not torch.allclose(model(turned, TARGET[:1]), model(SOURCE[:1], TARGET[:1]))
    for stack in (model.encoder, model.decoder):
        stack.blocks[0].self_attention.attend.table.data.zero_()
    torch.testing.assert_close(model(turned, TARGET[:1]), model(SOURCE[:1], TARGET[:1]), **ROUNDING)


def test_what_comes_later_changes_nothing():
    model = made()
    other = TARGET.clone()
    other[:, 3] = 13
    before, after = model(SOURCE, TARGET), model(SOURCE, other)
    torch.testing.assert_close(after[:, :3], before[:, :3], **ROUNDING)
    assert not torch.allclose(after[:, 3:], before[:, 3:])


def test_weights_are_recorded_with_their_bias():
    model = made()
    with recording(model) as record, torch.no_grad():
        model(SOURCE, TARGET)
    assert len(record.calls) == 6
    block = model.decoder.blocks[0].self_attention
    x = model.decoder.blocks[0].add_self_attention.norm(model.table(TARGET))
    q, k = (p(x).view(2, 5, HEADS, 4).transpose(1, 2) for p in (block.q_proj, block.k_proj))
    scores = (q @ k.mT / 2 + block.attend.bias(5, 5)).masked_fill(
        ~torch.ones(5, 5, dtype=torch.bool).tril(), -math.inf
    )
    found = record.weights("decoder.blocks.0.self_attention")
    torch.testing.assert_close(found, scores.softmax(-1), **ROUNDING)


def test_dropout_drops_embedded_tokens_in_training_alone():
    stacks = t5_stacks(d_model=D, n_heads=HEADS, d_ff=5, n_layers=1)
    model = T5(V, *stacks, dropout=0.5)
    ids = torch.arange(3, V)[None]
    assert 0.3 < (model.train().embed_target(ids) == 0).double().mean() < 0.7
    assert not (model.eval().embed_target(ids) == 0).any()


def test_scores_can_be_left_undivided():
    query, key, value = (normal(1, HEADS, 5, 4, seed=s) for s in range(3))
    layers = [
        RelativeBias(HEADS, both_sides=True, attend=partial(attend, scale=1.0)).double()
        for attend in (plain_attend, fused_attend)
    ]
    expected = (query @ key.mT + layers[0].bias(5, 5)).softmax(-1) @ value
    layers[1].table = layers[0].table
    for layer in layers:
        torch.testing.assert_close(layer(query, key, value), expected, **ROUNDING)


# Answers


def test_answers_are_counted_task_by_task_and_own_texts_are_answered():
    task = text_to_text(n_train=20, n_validation=3, n_held_out=3)

    digits = task.source.encode([f"▁{d}" for d in "0123456789"])

    class Sorter(Translator):
        """Sorts, whatever it is asked."""

        def encode(self, source, source_mask=None):
            rows = [
                sorted([i for i in row if i in digits], key=digits.index) for row in source.tolist()
            ]
            ids = torch.tensor([row + [999] * (source.shape[1] - len(row)) for row in rows])
            return Memory(ids[..., None].double(), torch.ones_like(ids, dtype=torch.bool))

        def start(self, memory):
            return (torch.zeros(len(memory.states), dtype=torch.long),)

        def step(self, token, state, memory):
            ids = memory.states[..., 0].long()
            at = state[0].clamp(max=ids.shape[1] - 1)
            said = ids.gather(1, at[:, None])[:, 0]
            said = torch.where(said == 999, EOS, said)
            return nn.functional.one_hot(said, len(task.target)).double(), (state[0] + 1,)

    lists = [e for name in ("sort", "reverse") for e in task.of(name, task.train)]
    found = exact_by_task(Sorter(), task, lists)
    same = [e for e in task.of("reverse", task.train) if sorted(e.target) == list(e.target)]
    assert found == {"sort": 1.0, "reverse": len(same) / (len(lists) / 2)}
    assert answers(Sorter(), task, ["reverse: 3 1 2", "sort: 5"]) == ["1 2 3", "5"]


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: relative_buckets(0, 3, both_sides=True), "queries must be at least 1, got 0"),
        (
            lambda: relative_buckets(1, 3, both_sides=True, n_buckets=7),
            "an even number of at least 4, got 7",
        ),
        (
            lambda: relative_buckets(1, 3, both_sides=False, n_buckets=1),
            "n_buckets must be at least 2, got 1",
        ),
        (
            lambda: RelativeBias(2, both_sides=True, max_distance=8),
            "max_distance must be above 8, up to where every distance has its bucket, got 8",
        ),
        (lambda: RelativeBias(0, both_sides=True), "n_heads must be at least 1, got 0"),
        (
            lambda: t5_stacks(d_model=4, n_heads=2, d_ff=5, n_layers=0),
            "n_layers must be at least 1, got 0",
        ),
        (
            lambda: T5(
                V,
                TransformerEncoder([EncoderBlock(4, 2, 5)]),
                t5_stacks(d_model=6, n_heads=2, d_ff=5, n_layers=1)[1],
            ),
            "both stacks must have one width, got 4 and 6",
        ),
    ],
)
def test_bad_input_is_named(make, what):
    with pytest.raises(ValueError, match=what):
        make()
