import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.tasks.spoken_numbers import (
    FLOOR,
    HOP,
    N_MELS,
    WINDOW,
    Utterance,
    faster,
    log_mel,
    mel_bands,
    speak,
    spoken_numbers,
    utterances,
)
from minattn.tasks.voices import RATE, WORDS, recordings
from minattn.vocabulary import BOS, EOS, PAD

SMALL = spoken_numbers(n_train=11, n_validation=5, n_held_out=7)


# The spectrogram ----------------------------------------------------------------------------------


def slow_log_mel(sound, bands):
    """The formula as it is written, one frame and one frequency after the other."""
    rows = []
    for j in range(len(sound) // HOP + 1):
        power = []
        for f in range(WINDOW // 2 + 1):
            total = 0j
            for n in range(WINDOW):
                place = HOP * j + n - WINDOW // 2
                if 0 <= place < len(sound):
                    weight = math.sin(math.pi * n / WINDOW) ** 2
                    angle = 2 * math.pi * f * n / WINDOW
                    total += weight * sound[place] * complex(math.cos(angle), -math.sin(angle))
            power.append(abs(total) ** 2)
        rows.append(
            [
                math.log(FLOOR + sum(b * p for b, p in zip(band, power, strict=True)))
                for band in bands
            ]
        )
    return torch.tensor(rows)


def test_the_spectrogram_is_the_slow_sum():
    sound = np.random.default_rng(0).uniform(-1, 1, 331).astype(np.float32)
    slow = slow_log_mel(sound.tolist(), mel_bands().tolist())
    assert slow.shape == (5, N_MELS)
    torch.testing.assert_close(log_mel(sound), slow, rtol=1e-4, atol=1e-4)


def test_the_spectrogram_is_torchs():
    sound = np.random.default_rng(1).uniform(-1, 1, 2003).astype(np.float32)
    spectrum = torch.stft(
        torch.from_numpy(sound),
        WINDOW,
        HOP,
        window=torch.hann_window(WINDOW),
        pad_mode="constant",
        return_complex=True,
    )
    theirs = (mel_bands() @ spectrum.abs().square() + FLOOR).log().T
    torch.testing.assert_close(log_mel(sound), theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("hertz", [250, 1000, 3000])
def test_a_tone_is_loudest_in_the_band_of_its_pitch(hertz):
    sound = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    top = 2595 * math.log10(1 + 4000 / 700)
    expected = 2595 * math.log10(1 + hertz / 700) / top * (N_MELS + 1) - 1
    found = log_mel(sound)[10:-10].argmax(1).double()
    assert (found - expected).abs().max() < 1


def test_bands_are_triangles_that_leave_no_frequency_out():
    bands = mel_bands()
    assert bands.shape == (N_MELS, WINDOW // 2 + 1)
    assert (bands >= 0).all() and (bands <= 1).all()
    assert torch.allclose(bands.sum(0)[2:-10], torch.ones(117))  # each frequency is shared out
    assert (bands.sum(0)[1:-1] > 0.1).all() and (bands.sum(1) >= 1).all()
    peaks = bands.argmax(1)
    assert (peaks.diff() >= 0).all()
    assert (peaks.diff()[-10:] > peaks.diff()[:10]).all()  # wider the higher


def test_silence_is_the_floor_and_louder_is_more():
    assert torch.equal(
        log_mel(np.zeros(801, dtype=np.float32)), torch.full((11, N_MELS), FLOOR).log()
    )
    clip = recordings("june")["six"]
    assert (log_mel(clip) >= log_mel(0.5 * clip)).all()


@pytest.mark.rejects
def test_no_sound_has_no_spectrogram():
    for shape in [(0,), (2, 300)]:
        with pytest.raises(ValueError, match="a row of samples"):
            log_mel(np.zeros(shape, dtype=np.float32))


# Utterances ---------------------------------------------------------------------------------------

CLIPS = {"un": np.full(400, 0.5, np.float32), "dix": np.full(800, 0.25, np.float32)}
QUIET = 120.0


def test_words_stand_where_the_spans_say():
    spoken = Utterance(("dix", "un", "dix"), (1.0, 2.0, 0.5), (1.0, 0.5, 2.0), (0.1, 0, 0.05, 0.2))
    sound, spans = speak(dataclasses.replace(spoken, snr=QUIET), CLIPS)
    assert spans == ((800, 1600), (1600, 1800), (2200, 2200 + 1599))
    expected = np.zeros(2200 + 1599 + 1600)
    for (start, end), level in zip(spans, (0.25, 0.25, 0.5), strict=True):
        expected[start:end] = level
    np.testing.assert_allclose(sound, expected, atol=1e-5)


@settings(max_examples=25)
@given(snr=st.floats(-10, 40), seed=st.integers(0, 1000))
def test_noise_is_as_far_below_the_speech_as_was_said(snr, seed):
    spoken = dataclasses.replace(utterances(1, (3,), seed)[0], snr=snr)
    sound, spans = speak(spoken)
    clean, _ = speak(dataclasses.replace(spoken, snr=300.0))
    power = np.mean(np.concatenate([clean[a:b] for a, b in spans]) ** 2)
    noise = np.mean((sound - clean) ** 2)
    assert 10 * math.log10(power / noise) == pytest.approx(snr, abs=0.5)


@given(n=st.integers(2, 300), speed=st.floats(0.5, 2))
def test_faster_is_shorter(n, speed):
    clip = np.arange(n, dtype=np.float32)
    found = faster(clip, speed)
    assert abs(len(found) - ((n - 1) / speed + 1)) <= 1
    np.testing.assert_allclose(found, np.arange(len(found)) * speed, rtol=1e-4, atol=1e-4)


def test_an_utterance_is_said_the_same_each_time_and_otherwise_by_another():
    one = utterances(1, seed=3)[0]
    assert np.array_equal(speak(one)[0], speak(one)[0])
    other = dataclasses.replace(one, voice="armelle")
    assert other.target == one.target and len(speak(other)[0]) != len(speak(one)[0])
    assert not np.array_equal(speak(dataclasses.replace(one, seed=1))[0], speak(one)[0])


def test_utterances_come_from_the_seed_and_use_every_word():
    found = utterances(300, (2, 5), seed=4, voices=("june", "armelle"), snr=(3.0, 7.0))
    assert found == utterances(300, (2, 5), seed=4, voices=("june", "armelle"), snr=(3.0, 7.0))
    assert {word for u in found for word in u.target} == set(WORDS)
    assert {u.length for u in found} == {2, 5} and {u.voice for u in found} == {"june", "armelle"}
    assert all(3 <= u.snr <= 7 and min(u.speeds) >= 0.76 for u in found)
    assert any(u.target[0] == u.target[1] for u in found)
    assert utterances(300, (2, 5), seed=5) != utterances(300, (2, 5), seed=4)


def test_an_utterance_is_an_example():
    one = Utterance(("un", "un"), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0, 0.0))
    assert (one.length, one.source, one.alignment) == (2, ("un", "un"), (0, 1))


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": ()}, "at least one word"),
        ({"speeds": (1.0, 1.0)}, "got 1 words and 2, 1 and 2"),
        ({"pauses": (0.0,)}, "one pause more"),
        ({"speeds": (0.0,)}, "above 0"),
        ({"pauses": (0.0, -0.1)}, "at least 0"),
        ({"snr": math.inf}, "snr"),
    ],
)
def test_utterances_that_cannot_be_said_are_refused(changes, message):
    one = {"target": ("un",), "speeds": (1.0,), "gains": (1.0,), "pauses": (0.0, 0.0)}
    with pytest.raises(ValueError, match=message):
        Utterance(**one | changes)


@pytest.mark.rejects
def test_a_word_without_a_recording_is_told():
    with pytest.raises(ValueError, match="one of un, dix, got 'deux'"):
        speak(Utterance(("deux",), (1.0,), (1.0,), (0.0, 0.0)), CLIPS)
    with pytest.raises(ValueError, match="voice must be one of"):
        spoken_numbers(n_train=2, voices=("nobody",))


# The task -----------------------------------------------------------------------------------------


def test_a_batch_has_frames_a_mask_over_them_and_the_words():
    examples = SMALL.held_out
    batch = SMALL.batch(examples)
    for row, spoken in enumerate(examples):
        frames = log_mel(speak(spoken)[0])
        n = len(frames)
        assert torch.equal(batch.source[row, :n], frames) and not batch.source[row, n:].any()
        assert batch.source_mask[row].tolist() == [True] * n + [False] * (batch.source.shape[1] - n)
        ids = SMALL.target.encode(spoken.target)
        rest = [PAD] * (batch.target_in.shape[1] - len(ids) - 1)
        assert batch.target_in[row].tolist() == [BOS, *ids, *rest]
        assert batch.target_out[row].tolist() == [*ids, EOS, *rest]


def test_no_two_parts_have_an_utterance_in_common():
    parts = [SMALL.train, SMALL.validation, SMALL.held_out]
    assert [len(part) for part in parts] == [11, 5, 7]
    assert len({u for part in parts for u in part}) == 23


@pytest.mark.parametrize("stride", [4, 8])
def test_the_truth_is_where_the_word_sounds(stride):
    """Counted the slow way: the sample in the middle of a step lies in the span of the word."""
    examples = SMALL.train
    truth = SMALL.truth(examples, stride)
    batch = SMALL.batch(examples)
    assert truth.shape[1] == batch.target_out.shape[1]
    assert truth.shape[2] == -(-batch.source.shape[1] // stride)
    for row, spoken in enumerate(examples):
        for place in range(truth.shape[1]):
            inside = []
            if place < spoken.length:
                start, end = speak(spoken)[1][place]
                inside = [k for k in range(truth.shape[2]) if start <= k * stride * HOP < end]
                assert len(inside) >= 2
            assert truth[row, place].nonzero().flatten().tolist() == inside
        assert (truth[row].any(0) <= batch.source_mask[row, ::stride]).all()


def test_other_recordings_take_the_place_of_a_voice():
    clips = {word: np.ones(1000, np.float32) for word in WORDS}
    other = dataclasses.replace(SMALL, clips={"june": clips})
    spoken = SMALL.held_out[:3]
    assert other.batch(spoken).source.shape != SMALL.batch(spoken).source.shape
    spans = speak(spoken[0], clips)[1]
    steps = [sum(a <= 640 * k < b for k in range(999)) for a, b in spans]
    assert other.truth(spoken)[0].sum(-1)[: len(steps)].tolist() == steps


@pytest.mark.rejects
def test_a_batch_of_nothing_is_refused():
    for make in (SMALL.batch, SMALL.truth):
        with pytest.raises(ValueError, match="examples must be at least 1"):
            make([])
