"""The laws of a decoder alone: it never sees what comes next, with a cache or without, alone or in a batch."""

import math

import pytest
import torch
from torch import nn

from minattn.decoding import Cached, log_probability, sample
from minattn.dot_product import fused_attend
from minattn.language.gpt import GPT, Smeared, prompts, text_task, token_bits, truth
from minattn.masks import CAUSAL, Padding
from minattn.multihead import split_heads
from minattn.positions import LearnedPositions, SinusoidalPositions, sinusoidal, with_rotary
from minattn.recipe import Recipe, train
from minattn.recording import recording
from minattn.subwords import learn_subwords
from minattn.training import seeded, teacher_forcing, token_loss
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.translation import greedy
from minattn.vocabulary import BOS, EOS, PAD, Batch
from tests.package.strategies import ROUNDING, normal

V, D, HEADS = 13, 12, 3


def stack(attend=fused_attend, dropout=0.0):
    smear = attend == "smeared"
    blocks = [
        EncoderBlock(
            D,
            HEADS,
            17,
            dropout=dropout,
            attend=Smeared(HEADS, with_rotary()) if smear else attend,
        )
        for _ in range(2)
    ]
    return TransformerEncoder(blocks, nn.LayerNorm(D))


KINDS = {
    "rotary": lambda: GPT(V, stack(with_rotary())),
    "sinusoidal": lambda: GPT(V, stack(), positions=SinusoidalPositions(D)),
    "learned": lambda: GPT(V, stack(), positions=LearnedPositions(29, D)),
    "smeared": lambda: GPT(V, stack("smeared")),
    "tied": lambda: GPT(V, stack(with_rotary()), tied=True),
}
kinds = pytest.mark.parametrize("kind", KINDS)
SEQUENCES = torch.tensor([[BOS, 5, 9, 3, 8, 9, 3], [BOS, 7, 7, 4, 12, 11, 5]])
PROMPTS = torch.tensor([[BOS, 5, 9, 3, 8], [BOS, PAD, PAD, PAD, PAD], [BOS, 4, 4, PAD, PAD]])


def made(kind):
    with seeded(0):
        model = KINDS[kind]().double().eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(std=0.5)
    return model


def said(model, ids):
    with seeded(1), torch.no_grad():
        return model(ids[:, :1], ids)


@kinds
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("place", [1, 3, 6])
def test_what_comes_later_changes_nothing(kind, training, place):
    model = made(kind).train(training)
    other = SEQUENCES.clone()
    other[:, place] = (other[:, place] + 1) % V
    before, after = said(model, SEQUENCES), said(model, other)
    torch.testing.assert_close(after[:, :place], before[:, :place], **ROUNDING)
    assert not torch.allclose(after[:, place:], before[:, place:])


@kinds
def test_with_a_cache_it_says_the_same_as_without_and_as_all_at_once(kind):
    model = made(kind)
    whole = said(model, SEQUENCES)
    for n in (1, 4):
        source = SEQUENCES[:, :n]
        for writer in (model, Cached(model)):
            memory = writer.memory_of(source)
            state, steps = writer.start(memory), []
            for token in SEQUENCES[:, n - 1 :].unbind(1):
                logits, state = writer.step(token, state, memory)
                steps.append(logits)
            torch.testing.assert_close(torch.stack(steps, 1), whole[:, n - 1 :], **ROUNDING)


@kinds
@pytest.mark.parametrize("cache", [False, True], ids=["uncached", "cached"])
def test_a_prompt_is_gone_on_with_as_it_would_be_alone(kind, cache):
    model = Cached(made(kind)) if cache else made(kind)
    together = greedy(model, PROMPTS, 9)
    for row, n in enumerate((5, 1, 3)):
        alone = greedy(model, PROMPTS[row : row + 1, :n], 9)
        assert torch.equal(together[row, : alone.shape[1]], alone[0])
        assert (together[row, alone.shape[1] :] == PAD).all()


@kinds
def test_a_row_with_padding_has_the_logits_that_it_has_alone(kind):
    model, cached = made(kind), Cached(made(kind))
    memory = cached.memory_of(PROMPTS)
    together, _ = cached.step(cached.first_token(PROMPTS), cached.start(memory), memory)
    for row, n in enumerate((5, 1, 3)):
        alone = said(model, PROMPTS[row : row + 1, :n])[0, -1]
        torch.testing.assert_close(together[row], alone, **ROUNDING)


@kinds
def test_every_way_of_writing_works(kind):
    model = made(kind)
    with seeded(0):
        drawn = sample(Cached(model), PROMPTS, 9, temperature=0.7, top_p=0.9)
    with seeded(0):
        assert torch.equal(sample(model, PROMPTS, 9, temperature=0.7, top_p=0.9), drawn)
    with seeded(0):
        likely = sample(model, PROMPTS, 9, temperature=1e-4)
    written = greedy(model, PROMPTS, 9)
    assert torch.equal(likely, written)
    whole = torch.cat([PROMPTS[:1], drawn[:1]], dim=1)
    bits = token_bits(model, Batch(whole[:, :1], whole[:, :-1], whole[:, 1:]))[0, 4:]
    said = log_probability(model, PROMPTS[:1], drawn[:1])
    torch.testing.assert_close(said, -bits.sum(0, keepdim=True) * math.log(2), **ROUNDING)


def test_tokens_are_as_large_as_the_positions_that_are_added():
    model = made("sinusoidal")
    ids = torch.tensor([[4, 4, 7]])
    with torch.no_grad():
        expected = math.sqrt(D) * model.embedding(ids) + sinusoidal(3, D, start=5)
        torch.testing.assert_close(model.embed_target(ids, place=5), expected, atol=1e-6, rtol=0)
        assert torch.equal(made("rotary").embed_target(ids), made("rotary").embedding(ids))


def test_readout_and_table_are_one_if_tied():
    tied, free = made("tied"), made("rotary")
    assert tied.readout.weight is tied.embedding.weight
    assert free.readout.weight is not free.embedding.weight
    assert free.embedding.weight.shape == free.readout.weight.shape == (V, D)


def test_dropout_drops_embedded_tokens_in_training_alone():
    model = GPT(V, stack(with_rotary()), dropout=0.5)
    ids = torch.arange(3, V)[None]
    dropped = model.train().embed_target(ids) == 0
    assert 0.3 < dropped.double().mean() < 0.7
    assert not (model.eval().embed_target(ids) == 0).any()


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: GPT(0, stack()), "vocab_size must be at least 1, got 0"),
        (lambda: GPT(V, stack(), dropout=1.0), r"dropout must be in \[0, 1\), got 1.0"),
        (lambda: Smeared(0), "n_heads must be at least 1, got 0"),
        (lambda: truth(batch_of([3]), run=0), "run must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_named(make, what):
    with pytest.raises(ValueError, match=what):
        make()


# Smeared keys


def test_a_smeared_key_is_mixed_with_the_one_before_head_by_head():
    query, key, value = (normal(2, HEADS, 5, 4, seed=s) for s in range(3))
    smeared = Smeared(HEADS).double()
    share = smeared.mix.sigmoid().flatten().tolist()
    mixed = key.clone()
    for head, a in enumerate(share):
        for j in range(1, 5):
            mixed[:, head, j] = (1 - a) * key[:, head, j] + a * key[:, head, j - 1]
    assert len(set(share)) == HEADS
    for mask in (CAUSAL, None):
        expected = fused_attend(query, mixed, value, mask)
        torch.testing.assert_close(smeared(query, key, value, mask), expected, **ROUNDING)


def test_padding_is_not_smeared_over_the_first_token_behind_it():
    query, key, value = (normal(1, HEADS, 5, 4, seed=s) for s in range(3))
    smeared = Smeared(HEADS).double()
    padding = Padding(torch.tensor([[False, False, True, True, True]]))
    for mask in (padding, CAUSAL & padding):
        together = smeared(query, key, value, mask)[:, :, 2:]
        behind = CAUSAL if mask is not padding else None
        alone = smeared(query[:, :, 2:], key[:, :, 2:], value[:, :, 2:], behind)
        torch.testing.assert_close(together, alone, **ROUNDING)


def test_the_weights_that_are_recorded_are_those_of_smeared_keys():
    model = made("smeared")
    with recording(model) as record, torch.no_grad():
        model(SEQUENCES[:, :1], SEQUENCES)
    names = [f"decoder.blocks.{i}.self_attention" for i in range(2)]
    assert list(record.calls) == names
    block = model.decoder.blocks[0]
    with torch.no_grad():
        x = block.add_self_attention.norm(model.embed_target(SEQUENCES))
        heads = [split_heads(proj(x), HEADS) for proj in block.self_attention._in_projs()[:2]]
        places = torch.eye(7).double().expand(2, HEADS, 7, 7)
        expected = block.self_attention.attend(*heads, places, CAUSAL)
    torch.testing.assert_close(record.weights(names[0]), expected, **ROUNDING)


# Texts

TEXTS = ["ab cab\n\tab", "c", "ab ab ab c"]
PIECES = learn_subwords(TEXTS, 4)


def test_a_text_is_a_target_whose_prompt_is_the_beginning():
    task = text_task("toy", TEXTS[:2], TEXTS[2:], PIECES)
    batch = task.batch(task.train)
    assert (batch.source == BOS).all() and batch.source.shape == (2, 1)
    for row, text in enumerate(TEXTS[:2]):
        assert PIECES.decode(task.target.decode(batch.target_in[row].tolist())) == text
        assert PIECES.decode(task.target.decode(batch.target_out[row].tolist())) == text
    assert (batch.target_out == EOS).sum() == 2
    assert len(task.held_out) == 1 and task.name == "toy"


def test_prompts_of_different_length_are_encoded_side_by_side():
    task = text_task("toy", TEXTS, TEXTS, PIECES)
    ids = prompts(["ab ca", "c"], PIECES, task.target)
    assert ids[:, 0].tolist() == [BOS, BOS]
    assert PIECES.decode(task.target.decode(ids[0].tolist())) == "ab ca"
    assert (ids[1, 2:] == PAD).all() and ids.shape[0] == 2


def test_bits_are_those_of_the_loss_and_padding_takes_none():
    model, batch = made("rotary"), batch_of([5, 9, 3], [4])
    bits = token_bits(model, batch)
    loss = token_loss(teacher_forcing(model, batch), batch.target_out).item()
    assert math.isclose(bits.sum().item(), 6 * loss / math.log(2), rel_tol=1e-12)
    assert (bits[1, 2:] == 0).all() and (bits[:, :2] > 0).all()
    with torch.no_grad():
        model.readout.weight.zero_()
    torch.testing.assert_close(
        token_bits(model, batch)[0], torch.full((4,), math.log2(V), dtype=torch.float64), **ROUNDING
    )


def batch_of(*rows):
    longest = max(map(len, rows)) + 1
    read = torch.tensor([[BOS, *row, *[PAD] * (longest - len(row) - 1)] for row in rows])
    asked = torch.tensor([[*row, EOS, *[PAD] * (longest - len(row) - 1)] for row in rows])
    return Batch(read[:, :1], read, asked)


@pytest.mark.parametrize("run", [1, 2, 3])
def test_the_truth_is_what_a_double_loop_finds(run):
    generator = torch.Generator().manual_seed(0)
    batch = batch_of(
        torch.randint(3, 5, (23,), generator=generator).tolist(), [3, 4, 3, 4, 3, 4, 3]
    )
    found = truth(batch, run)
    for row in range(2):
        read, asked = batch.target_in[row].tolist(), batch.target_out[row].tolist()
        for i in range(len(read)):
            for j in range(len(read)):
                before_i, before_j = read[max(0, i + 1 - run) : i + 1], read[max(0, j - run) : j]
                right = (
                    run <= j <= i
                    and asked[i] != PAD
                    and read[j] == asked[i]
                    and before_i == before_j
                )
                assert found[row, i, j].item() == right, (row, i, j)
    assert found.any(-1).sum(1).min() > 0


def test_training_on_texts_alone_lowers_the_loss():
    task = text_task("toy", TEXTS, TEXTS, PIECES)
    with seeded(0):
        model = GPT(len(task.target), stack(with_rotary()))
    losses = train(model, task, Recipe(steps=30, batch_size=3, learning_rate=1e-2), progress=False)
    assert losses[-1] < 0.5 < 2 < losses[0]
    batch = task.batch(task.train)
    assert token_bits(model, batch).sum() < 40
