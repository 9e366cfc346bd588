"""Whatever is read becomes a memory: frames, prompts and ids go through the same ways of writing."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from minattn.decoding import Cached, beam_search, log_probability, sample
from minattn.dot_product import fused_attend
from minattn.masks import Padding
from minattn.positions import LearnedPositions, SinusoidalPositions, placed, with_rotary
from minattn.recipe import Recipe, train
from minattn.recurrent import RecurrentTranslator
from minattn.tasks.base import Example, Task
from minattn.training import evaluate, fit, seeded, token_loss
from minattn.transformer import (
    BlockTranslator,
    DecoderBlock,
    EncoderBlock,
    PromptTranslator,
    TransformerDecoder,
    TransformerEncoder,
    TransformerTranslator,
)
from minattn.translation import Memory, check_vectors, greedy, translate
from minattn.vocabulary import BOS, EOS, PAD, Batch, Vocabulary
from tests.package.strategies import ROUNDING

V, D, D_SOURCE = 11, 8, 5


class Listener(BlockTranslator):
    """A toy whose source is frames."""

    def __init__(self):
        super().__init__()
        self.frames = nn.Linear(D_SOURCE, D)
        self.encoder = TransformerEncoder([EncoderBlock(D, 2, 16)], nn.LayerNorm(D))
        self.embedding = nn.Embedding(V, D)
        self.positions = SinusoidalPositions(D)
        self.decoder = TransformerDecoder(
            [DecoderBlock(D, 2, 16) for _ in range(2)], nn.LayerNorm(D)
        )
        self.readout = nn.Linear(D, V)

    def check_source(self, source, source_mask=None):
        check_vectors(source, D_SOURCE, source_mask)

    def encode(self, source, source_mask=None):
        mask = (
            source.new_ones(source.shape[:2], dtype=torch.bool)
            if source_mask is None
            else source_mask
        )
        return Memory(self.encoder(self.positions(self.frames(source)), Padding(mask)), mask)

    def embed_target(self, target, place=0):
        return placed(self.embedding(target), place, self.positions)


class Writer(PromptTranslator):
    """A toy that goes on with a prompt: a causal language model of blocks."""

    def __init__(self, positions="sinusoidal", norm="pre"):
        super().__init__()
        attend = with_rotary() if positions == "rotary" else fused_attend
        self.embedding = nn.Embedding(V, D)
        self.positions = {
            "sinusoidal": SinusoidalPositions(D),
            "learned": LearnedPositions(40, D),
            "rotary": nn.Identity(),
        }[positions]
        blocks = [EncoderBlock(D, 2, 16, norm=norm, attend=attend) for _ in range(2)]
        self.decoder = TransformerEncoder(blocks, nn.LayerNorm(D) if norm == "pre" else None)
        self.readout = nn.Linear(D, V)

    def embed_target(self, target, place=0):
        return placed(self.embedding(target), place, self.positions)


class SoundTranslator(RecurrentTranslator):
    """Chapter 2 with another encoder."""

    def __init__(self):
        super().__init__(1, V, d_model=D)
        self.encoder = Frames()

    def check_source(self, source, source_mask=None):
        check_vectors(source, D_SOURCE, source_mask)


class Frames(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(D_SOURCE, D)

    def forward(self, source, source_mask=None):
        mask = (
            source.new_ones(source.shape[:2], dtype=torch.bool)
            if source_mask is None
            else source_mask
        )
        return Memory(self.proj(source) * mask[..., None], mask)


def drawn(make):
    with seeded(0):
        model = make().double().eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(std=0.6)
    return model


def of_frames():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(3, 7, D_SOURCE, generator=generator, dtype=torch.float64)
    mask = torch.arange(7) < torch.tensor([[7], [2], [5]])
    return source, mask


PROMPTS = torch.tensor([[BOS, 5, 9, 3, 8], [BOS, 7, PAD, PAD, PAD], [BOS, 4, 4, 10, PAD]])
IDS = torch.tensor([[5, 9, 3, 8, EOS], [7, EOS, PAD, PAD, PAD], [4, 4, 10, EOS, PAD]])
KINDS = {
    "translator": (
        lambda: TransformerTranslator(V, V, d_model=D, n_heads=2, n_layers=2),
        (IDS, None),
    ),
    "frames": (Listener, of_frames()),
    "prompt, sinusoidal": (Writer, (PROMPTS, None)),
    "prompt, learned": (lambda: Writer("learned"), (PROMPTS, None)),
    "prompt, rotary": (lambda: Writer("rotary"), (PROMPTS, None)),
    "prompt, post-norm": (lambda: Writer(norm="post"), (PROMPTS, None)),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def made(kind):
    make, (source, mask) = KINDS[kind]
    return drawn(make), source, {} if mask is None else {"source_mask": mask}


# With a cache it is the same, to the last token


@kinds
def test_cached_steps_say_what_uncached_ones_do(kind):
    model, source, masks = made(kind)
    cached = Cached(model)
    memory = model.memory_of(source, *masks.values())
    states = {m: m.start(memory) for m in (model, cached)}
    token = model.first_token(source, *masks.values())
    for _ in range(9):
        logits = {}
        for m in states:
            logits[m], states[m] = m.step(token, states[m], memory)
        torch.testing.assert_close(logits[cached], logits[model], **ROUNDING)
        token = logits[model].argmax(-1)


@kinds
@pytest.mark.parametrize("cache", [False, True], ids=["uncached", "cached"])
def test_every_way_of_writing_works_for_every_source(kind, cache):
    model, source, masks = made(kind)
    model = Cached(model) if cache else model
    ids = greedy(model, source, 9, **masks)
    one = beam_search(model, source, 9, n_beams=1, **masks)
    assert torch.equal(one.best, ids)
    beams = beam_search(model, source, 9, n_beams=3, **masks)
    for place in range(3):
        again = log_probability(model, source, beams.ids[:, place], **masks)
        torch.testing.assert_close(again, beams.log_probs[:, place], rtol=0, atol=1e-9)
    with seeded(0):
        drawn = sample(model, source, 9, temperature=1e-4, **masks)
    assert torch.equal(drawn, ids)


@kinds
def test_teacher_forcing_says_what_steps_do(kind):
    model, source, masks = made(kind)
    target_in = torch.tensor([[0, 4, 8, 5], [0, 3, 3, 3], [0, 9, 7, 6]])
    target_in[:, 0] = model.first_token(source, *masks.values())
    at_once = model(source, target_in, *masks.values())
    memory = model.memory_of(source, *masks.values())
    state, steps = model.start(memory), []
    for token in target_in.unbind(1):
        logits, state = model.step(token, state, memory)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), at_once, **ROUNDING)


@kinds
def test_a_row_is_written_as_it_would_be_alone(kind):
    model, source, masks = made(kind)
    together = greedy(Cached(model), source, 9, **masks)
    for row in range(len(source)):
        there = masks["source_mask"][row] if masks else source[row] != PAD
        n = int(there.sum())
        alone = greedy(Cached(model), source[row : row + 1, :n], 9)
        n_alone = alone.shape[1]
        assert torch.equal(together[row, :n_alone], alone[0])
        assert (together[row, n_alone:] == PAD).all()


def test_a_prompt_is_gone_on_with_as_one_sequence():
    """The logits behind a prompt are those of the whole sequence under a causal mask."""
    model = drawn(Writer)
    sequence = torch.tensor([[BOS, 5, 9, 3, 8, 10, 4]])
    whole = model(sequence[:, :1], sequence)
    for n in range(2, 7):
        behind = model(sequence[:, :n], sequence[:, n - 1 :])
        torch.testing.assert_close(behind, whole[:, n - 1 :], **ROUNDING)


def test_several_new_tokens_at_once_are_one_after_the_other():
    model, source, _ = made("translator")
    decoder, memory = model.decoder, model.memory_of(source)
    x = model.embed_target(torch.tensor([[1, 5, 6], [1, 7, 7], [1, 3, 4]]))
    whole = decoder.follow(x, memory)
    two, state = decoder.step(x[:, :2], decoder.start(memory), memory)
    last, state = decoder.step(x[:, 2:], state, memory)
    torch.testing.assert_close(torch.cat([two, last], 1), whole, **ROUNDING)
    assert state[0].shape[2] == 3


@pytest.mark.rejects
def test_a_model_that_decodes_in_its_own_way_is_not_cached():
    class Own(TransformerTranslator):
        def decode(self, target_in, memory):
            return -super().decode(target_in, memory)

    with pytest.raises(TypeError, match="decode as BlockTranslator does, got Own"):
        Cached(Own(V, V))


# The mask travels with the data


def test_a_mask_hides_what_is_there():
    model, source, masks = made("frames")
    other = source.clone()
    other[~masks["source_mask"]] = 1e3
    assert torch.equal(greedy(model, other, 9, **masks), greedy(model, source, 9, **masks))


@pytest.mark.parametrize("make", [TransformerTranslator, RecurrentTranslator])
def test_ids_with_a_mask_are_ids_with_padding(make):
    """An id may be 0 and stand for something, if the mask says so."""
    model = drawn(lambda: make(V, V, d_model=D))
    source, mask = (
        torch.tensor([[5, PAD, 3], [7, 4, 9]]),
        torch.tensor([[1, 1, 1], [1, 1, 0]]).bool(),
    )
    target_in = torch.tensor([[1, 5], [1, 6]])
    logits = model(source, target_in, mask)
    padded = model(torch.tensor([[7, 4, PAD]]), target_in[1:])
    torch.testing.assert_close(logits[1:], padded, **ROUNDING)
    assert not torch.allclose(logits[:1], model(torch.tensor([[5, 3, PAD]]), target_in[:1]))


class Tones(Task):
    """A task whose sources are frames: each word is a row of numbers."""

    def batch(self, examples):
        words = super().batch(examples)
        mask = words.source != PAD
        table = torch.randn(len(self.source), D_SOURCE, generator=torch.Generator().manual_seed(1))
        return dataclasses.replace(
            words, source=table[words.source] * mask[..., None], source_mask=mask
        )


def tones():
    words = "a b c d".split()
    rows = [
        tuple(words[int(d)] for d in f"{n:0{length}b}")
        for length in (2, 3, 4)
        for n in range(2**length)
    ]
    examples = tuple(Example(row, row, tuple(range(len(row))), len(row)) for row in rows)
    return Tones("tones", Vocabulary(words), Vocabulary(words), examples, examples[::3])


@pytest.mark.parametrize("make", [Listener, SoundTranslator], ids=["blocks", "recurrent"])
def test_frames_are_learned_and_scored_as_words_are(make):
    task = tones()
    with seeded(0):
        model = make()
    losses = fit(
        model, task, steps=120, batch_size=16, learning_rate=1e-2, by_length=True, progress=False
    )
    assert losses[-1] < 0.7 * losses[0]
    evaluate(model, task)
    assert len(translate(model, task, task.held_out)) == len(task.held_out)
    recipe = Recipe(steps=3, batch_size=8, accumulate=2)
    train(model, task, recipe, progress=False)


def test_selecting_keeps_the_mask_and_cuts_what_all_rows_lack():
    source, mask = of_frames()
    target = torch.tensor([[1, 5, 6], [1, 7, 0], [1, 3, 0]])
    batch = Batch(source, target, target, mask)
    part = batch.select(torch.tensor([1, 2]))
    assert (
        part.source.shape == (2, 5, D_SOURCE) and part.source_mask.tolist() == mask[1:, :5].tolist()
    )
    assert part.target_in.shape == (2, 2)
    assert batch.lengths().tolist() == [7 + 3, 2 + 2, 5 + 2]
    assert [share for _, share in batch.parts(2)] == [5 / 7, 2 / 7]


def test_parts_are_the_whole():
    model, source, masks = made("frames")
    target = torch.tensor([[1, 5, 6], [1, 7, 0], [1, 3, 0]])
    batch = Batch(source, target, target, *masks.values())
    whole = token_loss(model(batch.source, batch.target_in, batch.source_mask), batch.target_out)
    parts = sum(
        share * token_loss(model(b.source, b.target_in, b.source_mask), b.target_out)
        for b, share in batch.parts(2)
    )
    torch.testing.assert_close(parts, whole, **ROUNDING)


# What cannot be read is told

FRAMES, MASK = of_frames()


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("source", "mask", "kind", "message"),
    [
        (FRAMES.long(), None, TypeError, "floating-point numbers, got torch.int64"),
        (FRAMES[0], None, ValueError, r"\(batch, length, 5\), no axis 0, got \(7, 5\)"),
        (FRAMES[..., :4], None, ValueError, r"\(batch, length, 5\), no axis 0, got \(3, 7, 4\)"),
        (FRAMES[:, :0], None, ValueError, r"got \(3, 0, 5\)"),
        (FRAMES.clone().index_fill(0, torch.tensor([1]), math.nan), None, ValueError, "in row 1"),
        (FRAMES, MASK.float(), TypeError, "source_mask must be bool"),
        (FRAMES, MASK[:, :6], ValueError, r"\(3, 7\), got \(3, 6\)"),
        (
            FRAMES,
            MASK & torch.tensor([[True], [True], [False]]),
            ValueError,
            "only padding in row 2",
        ),
    ],
)
def test_a_source_that_is_no_frames_is_told(source, mask, kind, message):
    model = drawn(Listener)
    for call in (greedy, beam_search):
        with pytest.raises(kind, match=message):
            call(model, source, 3, source_mask=mask)
    with pytest.raises(kind, match=message):
        model(source, torch.ones(3, 2, dtype=torch.long), mask)


@pytest.mark.rejects
def test_a_model_of_ids_is_not_given_frames():
    with pytest.raises(TypeError, match=r"must hold ids of dtype torch\.int64, got torch\.float64"):
        greedy(drawn(lambda: TransformerTranslator(V, V, d_model=D)), FRAMES)


@pytest.mark.rejects
def test_a_target_for_another_batch_is_told():
    with pytest.raises(ValueError, match=r"same batch size, got \(3, 7, 5\) and \(2, 2\)"):
        drawn(Listener)(FRAMES, torch.ones(2, 2, dtype=torch.long))


# What is trained is what writes


def test_a_decoder_that_learned_to_go_on_with_a_source_does_so():
    words = "a b c d".split()
    rows = [(x, y) for x in words for y in words]
    examples = tuple(Example(row, row[::-1], (1, 0), 2) for row in rows)
    task = Task("turn", Vocabulary(words), Vocabulary(words), examples, examples)
    with seeded(0):
        model = Writer()
    fit(model, task, steps=300, batch_size=16, learning_rate=1e-2, progress=False)
    assert evaluate(model, task)[2] == evaluate(Cached(model), task)[2] == 1.0
    batch = task.batch(examples)
    with torch.no_grad():
        loss = token_loss(model(batch.source, batch.target_in), batch.target_out).item()
    log_probs = log_probability(model, batch.source, batch.target_out)
    assert -log_probs.sum().item() / int((batch.target_out != PAD).sum()) == pytest.approx(
        loss, abs=1e-5
    )
