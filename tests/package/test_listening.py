import dataclasses
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.alignment import AdditiveAttention, hard, uniform_attention
from minattn.decoding import beam_search, log_probability, sample
from minattn.pointing import pointing
from minattn.recipe import Recipe, train
from minattn.recording import attending, recording
from minattn.speech.listening import (
    STRIDE,
    Listener,
    LocationAwareListener,
    SoundEncoder,
    edit_distance,
    normalise,
    step_mask,
    word_error,
)
from minattn.tasks.spoken_numbers import spoken_numbers
from minattn.training import evaluate, fit, seeded
from minattn.translation import greedy, translate
from tests.package.strategies import ROUNDING, built, normal

MELS, V, D = 5, 13, 6
N_FRAMES = (41, 8, 23, 1)


def frames():
    source = normal(len(N_FRAMES), max(N_FRAMES), MELS) * 3 + 2
    mask = torch.arange(max(N_FRAMES)) < torch.tensor(N_FRAMES)[:, None]
    return source, mask


def drawn(make):
    model = built(make).eval()
    with seeded(1), torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


def location():
    return LocationAwareListener(MELS, V, d_model=D, n_filters=3, width=7)


MAKERS = {
    "listener": lambda: Listener(MELS, V, d_model=D),
    "location": location,
    "mean": lambda: Listener(MELS, V, d_model=D, attend=uniform_attention),
}
models = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


# Normalising --------------------------------------------------------------------------------------


def test_the_frames_of_a_row_have_mean_0_and_deviation_1():
    source, mask = frames()
    found = normalise(source, mask)
    for row, n in enumerate(N_FRAMES):
        own = source[row, :n]
        expected = (own - own.mean()) / own.std(unbiased=False)
        torch.testing.assert_close(found[row, :n], expected, **ROUNDING)
    assert not found[~mask].any()


@settings(max_examples=20)
@given(scale=st.floats(0.1, 10), shift=st.floats(-10, 10), rest=st.floats(-1e3, 1e3))
def test_neither_loudness_nor_padding_matters(scale, shift, rest):
    source, mask = frames()
    other = torch.where(mask[..., None], source * scale + shift, rest)
    torch.testing.assert_close(
        normalise(other, mask), normalise(source, mask), rtol=1e-8, atol=1e-8
    )


def test_silence_becomes_zeros():
    silence = torch.full((1, 3, MELS), -6.9)
    assert normalise(silence, torch.ones(1, 3).bool()).abs().max() < 0.1


# The encoder --------------------------------------------------------------------------------------


def test_a_step_stands_for_eight_frames():
    source, mask = frames()
    memory = built(lambda: SoundEncoder(MELS, D))(source, mask)
    assert STRIDE == 8
    assert memory.states.shape == (4, 6, D)
    assert memory.mask.sum(1).tolist() == [-(-n // 8) for n in N_FRAMES] == [6, 1, 3, 1]
    assert torch.equal(memory.mask, step_mask(mask))
    assert not memory.states[~memory.mask].any()


def test_the_encoder_reads_no_padding_that_is_not_zero():
    encoder = built(lambda: SoundEncoder(MELS, D))
    source, mask = frames()
    other = torch.where(mask[..., None], source, 77.0)
    assert torch.equal(encoder(other, mask).states, encoder(source * mask[..., None], mask).states)


@models
def test_a_row_is_read_as_it_would_be_alone(make):
    """Whatever stands in the padding, and however long the rows beside it are."""
    model = drawn(make)
    source, mask = frames()
    source = torch.where(mask[..., None], source, 77.0)
    together = model.memory_of(source, mask)
    for row, n in enumerate(N_FRAMES):
        for masks in [(), (mask[row : row + 1, :n],)]:
            alone = model.memory_of(source[row : row + 1, :n], *masks)
            steps = alone.states.shape[1]
            torch.testing.assert_close(together.states[row, :steps], alone.states[0], **ROUNDING)


def test_a_step_reads_the_frames_around_it():
    """Without the recurrent layer, which reads all: step k reads frames 8 k - 14 to 8 k + 14."""
    encoder = built(lambda: SoundEncoder(MELS, D))
    with torch.no_grad():
        for weight in encoder.gru.parameters():
            weight.zero_()
    source = normal(1, 81, MELS).requires_grad_()
    states = encoder(source).states
    for k in (0, 4, 10):
        (gradient,) = torch.autograd.grad(states[0, k].sum(), source, retain_graph=True)
        read = gradient[0].abs().sum(-1).nonzero().flatten()
        assert read.tolist() == [j for j in range(81) if abs(j - 8 * k) <= 14]


def test_the_recurrent_layer_reads_in_both_directions():
    encoder = built(lambda: SoundEncoder(MELS, D))
    source = normal(1, 81, MELS).requires_grad_()
    states = encoder(source).states
    (gradient,) = torch.autograd.grad(states[0, 5].sum(), source)
    assert gradient[0, 0].abs().sum() > 0 and gradient[0, 80].abs().sum() > 0


@pytest.mark.rejects
def test_sound_that_cannot_be_read_is_refused():
    model = built(MAKERS["listener"])
    source, mask = frames()
    with pytest.raises(ValueError, match=r"shape \(batch, length, 5\)"):
        model.memory_of(source[..., 1:], mask)
    with pytest.raises(ValueError, match="only padding in row 1"):
        model.memory_of(source, mask & torch.tensor([[True], [False], [True], [True]]))
    holes = mask.clone()
    holes[2, 4] = False
    with pytest.raises(ValueError, match="behind the frames, got frames after it in row 2"):
        model.memory_of(source, holes)
    with pytest.raises(ValueError, match="even, got 7"):
        SoundEncoder(MELS, 7)
    with pytest.raises(ValueError, match="odd, so that a filter has a middle, got 8"):
        LocationAwareListener(MELS, V, width=8)


# Every way of writing -----------------------------------------------------------------------------


@models
def test_every_way_of_writing_works(make):
    model = drawn(make)
    source, mask = frames()
    ids = greedy(model, source, 9, source_mask=mask)
    one = beam_search(model, source, 9, n_beams=1, source_mask=mask)
    assert torch.equal(one.best, ids)
    beams = beam_search(model, source, 9, n_beams=3, source_mask=mask)
    for place in range(3):
        again = log_probability(model, source, beams.ids[:, place], source_mask=mask)
        torch.testing.assert_close(again, beams.log_probs[:, place], rtol=0, atol=1e-9)
    with seeded(0):
        found = sample(model, source, 9, temperature=1e-4, source_mask=mask)
    assert torch.equal(found, ids)


@models
def test_teacher_forcing_says_what_steps_do(make):
    model = drawn(make)
    source, mask = frames()
    target_in = torch.tensor([[1, 4, 8, 5], [1, 3, 3, 3], [1, 9, 7, 6], [1, 5, 5, 12]])
    at_once = model(source, target_in, mask)
    memory = model.memory_of(source, mask)
    state, steps = model.start(memory), []
    for token in target_in.unbind(1):
        logits, state = model.step(token, state, memory)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), at_once, **ROUNDING)


@models
def test_weights_are_recorded_and_changed(make):
    model = drawn(make)
    source, mask = frames()
    target_in = torch.tensor([[1, 4, 8]] * 4)
    with recording(model) as record:
        before = model(source, target_in, mask)
    weights = record.weights()
    assert weights.shape == (4, 3, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 3).double(), **ROUNDING)
    assert not weights.masked_select(~step_mask(mask)[:, None]).any()
    with attending(model, hard):
        after = model(source, target_in, mask)
    assert not torch.allclose(before[0], after[0])


# Location -----------------------------------------------------------------------------------------


def test_location_aware_scores_are_those_of_the_paper():
    model = drawn(location)
    source, mask = frames()
    memory = model.memory_of(source, mask)
    state, last = normal(4, D, seed=3), normal(4, 6, seed=4).softmax(-1) * memory.mask
    _, (_, weights) = model.step(torch.tensor([1, 2, 3, 4]), (state, last), memory)
    w, u, v = model.attend.q_proj.weight, model.attend.k_proj.weight, model.attend.v
    kernel = model.filters.weight[:, 0]  # (filters, width)
    for row, n in enumerate(memory.mask.sum(1).tolist()):
        scores = []
        for j in range(n):
            seen = [last[row, j + k] if 0 <= j + k < 6 else 0.0 for k in range(-3, 4)]
            features = torch.stack(
                [sum(a * b for a, b in zip(f, seen, strict=True)) for f in kernel]
            )
            key = u[:, :D] @ memory.states[row, j] + u[:, D:] @ features
            scores.append(v @ torch.tanh(w @ state[row] + key + model.attend.k_proj.bias))
        expected = torch.stack(scores).softmax(0)
        torch.testing.assert_close(weights[row, :n], expected, **ROUNDING)


def test_without_filters_it_is_the_plain_listener():
    plain = drawn(MAKERS["listener"])
    aware = built(location)
    weights = plain.state_dict()
    wide = aware.attend.k_proj.weight.detach().clone()
    wide[:, :D] = weights["attend.k_proj.weight"]
    weights |= {
        "attend.k_proj.weight": wide,
        "filters.weight": torch.zeros_like(aware.filters.weight),
    }
    aware.load_state_dict(weights)
    source, mask = frames()
    target_in = torch.tensor([[1, 4, 8]] * 4)
    logits = [model.eval()(source, target_in, mask) for model in (plain, aware)]
    torch.testing.assert_close(*logits, **ROUNDING)


def test_where_it_looked_before_matters():
    model = drawn(location)
    source, mask = frames()
    memory = model.memory_of(source, mask)
    state = (normal(4, D), torch.zeros(4, 6).double())
    moved = (state[0], torch.eye(6).double()[[1, 0, 1, 0]])
    token = torch.tensor([1, 1, 1, 1])
    (_, (_, one)), (_, (_, other)) = (model.step(token, s, memory) for s in (state, moved))
    assert (one - other)[0].abs().max() > 1e-3
    assert model.start(memory)[1].tolist() == [[0.0] * 6] * 4


# Learning -----------------------------------------------------------------------------------------


@cache
def lesson():
    task = spoken_numbers(n_train=64, n_validation=1, n_held_out=6, lengths=(1, 2))
    return dataclasses.replace(task, held_out=task.train[:6])


@models
def test_the_usual_functions_train_and_measure_it(make):
    task = lesson()
    with seeded(0):
        model = type(make())(40, len(task.target), d_model=16)
    losses = fit(model, task, steps=25, batch_size=16, learning_rate=1e-2, progress=False)
    assert losses[-1] < losses[0] - 0.3
    train(model, task, Recipe(steps=2, batch_size=8, accumulate=2), progress=False)
    evaluate(model, task)
    assert len(translate(model, task, task.held_out)) == 6


@pytest.mark.slow
def test_a_listener_learns_single_words_and_looks_at_them():
    task = spoken_numbers(n_train=400, n_validation=40, n_held_out=1, lengths=(1,))
    with seeded(0):
        model = Listener(40, len(task.target), d_model=48)
    train(model, task, Recipe(steps=120, batch_size=16, learning_rate=5e-3, seed=0), progress=False)
    spoken = task.validation
    assert word_error(translate(model, task, spoken), [u.target for u in spoken]) < 0.5
    batch = task.batch(spoken)
    with recording(model) as record, torch.no_grad():
        model(batch.source, batch.target_in, batch.source_mask)
    allowed = step_mask(batch.source_mask)
    assert pointing(record.weights(), task.truth(spoken), allowed=allowed).inside > 0.8


def test_additive_attention_is_what_is_taken():
    assert type(Listener(MELS, V, d_model=D).attend) is AdditiveAttention


# Word error ---------------------------------------------------------------------------------------

few_words = st.lists(st.sampled_from("abc"), max_size=6)


def slow_distance(found, right):
    """All ways of writing one over the other, tried out."""
    if not found or not right:
        return len(found) + len(right)
    return min(
        slow_distance(found[1:], right) + 1,
        slow_distance(found, right[1:]) + 1,
        slow_distance(found[1:], right[1:]) + (found[0] != right[0]),
    )


@settings(max_examples=60)
@given(found=few_words, right=few_words)
def test_the_edit_distance_is_the_fewest_edits(found, right):
    assert edit_distance(found, right) == slow_distance(found, right) == edit_distance(right, found)


@given(a=few_words, b=few_words, c=few_words)
def test_the_edit_distance_is_a_distance(a, b, c):
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_word_error_counts_words_not_utterances():
    assert word_error([["a"], ["b", "c", "d"]], [["b"], ["b", "c", "d"]]) == 0.25
    assert word_error([["a", "b", "c"]], [["d"]]) == 3.0


@pytest.mark.rejects
def test_word_error_of_nothing_is_refused():
    with pytest.raises(ValueError, match="got 1 for 2"):
        word_error([["a"]], [["a"], ["b"]])
    with pytest.raises(ValueError, match="at least one word"):
        word_error([["a"]], [[]])
