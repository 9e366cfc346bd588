import dataclasses
import hashlib
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from book.tools import many_voices as extraction
from minattn.tasks.many_voices import (
    DIGITS,
    EVERY,
    PARTS,
    STEP,
    STRETCH,
    Spectrogram,
    Stretched,
    coded,
    decoded,
    glue,
    many_voices,
    shorter,
    spectrograms,
    stretched,
    voices,
)
from minattn.tasks.spoken_numbers import FLOOR, HOP, Utterance, log_mel, speak, utterances
from minattn.tasks.voices import RATE, recordings

FOLDER = resources.files("minattn.tasks")
ONE = Utterance(("deux", "sept", "deux"), (1.0, 1.25, 0.8), (1.0, 0.5, 0.7), (0.05,) * 4, 99.0)


def small(**settings):
    return many_voices(n_train=7, n_validation=5, n_held_out=11, **settings)


def test_the_file_is_the_one_that_everything_was_measured_on():
    with np.load(FOLDER / "many_voices.npz") as found:
        codes, lengths, powers = found["codes"], found["lengths"], found["powers"]
        names = "\n".join(found["voices"].tolist() + found["parts"].tolist())
    whole = codes.tobytes() + lengths.tobytes() + powers.astype("<f2").tobytes() + names.encode()
    assert hashlib.sha256(whole).hexdigest()[:16] == "6fce0c9fdd5285c7"
    assert codes.dtype == np.uint8 and codes.shape == (lengths.sum(), 40) and codes.max() < 16
    sizes = [len(FOLDER.joinpath(f"{name}.npz").read_bytes()) for name in ("many_voices", "voices")]
    assert sizes[0] <= 350_000 and sum(sizes) <= 700_000


def test_no_voice_is_in_two_parts_and_no_family_either():
    parts = [voices(part) for part in PARTS]
    assert [len(set(part)) for part in parts] == [len(part) for part in parts] == [74, 12, 18]
    families = [{extraction.family(voice) for voice in part} for part in parts]
    assert not families[0] & families[1] | families[0] & families[2] | families[1] & families[2]


def test_every_voice_says_every_digit():
    for voice in (voice for part in PARTS for voice in voices(part)):
        found = spectrograms(voice)
        assert tuple(found) == DIGITS
        for frames, power in found.values():
            assert 0.15 < len(frames) * EVERY * HOP / RATE < 1.2
            assert 0 < power < 1 and frames.max() > 2 and not frames.flags.writeable


@pytest.mark.rejects
def test_a_voice_or_part_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no synthetic voice 'june'"):
        spectrograms("june")
    with pytest.raises(ValueError, match="training, validation, unseen, got 'test'"):
        voices("test")
    with pytest.raises(ValueError, match=r"one of zéro, un, .* got 'onze'"):
        glue(dataclasses.replace(ONE, target=("un", "onze", "un")), spectrograms("f1"))


def test_coding_keeps_every_second_frame_to_half_a_step():
    sound = recordings("june")["sept"]
    frames = log_mel(sound).numpy()[::EVERY]
    assert np.abs(decoded(coded(sound)) - frames).max() <= STEP / 2 + 1e-5


def test_glued_frames_are_those_of_the_glued_sound():
    """June's words as spectrograms, glued, against June's words, glued as sounds; speed is the same for all."""
    said = dataclasses.replace(ONE, speeds=(1.0,) * 3, snr=20.0)
    clips = {word: measured(clip) for word, clip in recordings("june").items() if word in DIGITS}
    frames, spans = glue(said, clips)
    sound, right = speak(said)
    assert len(frames) == pytest.approx(len(sound) / HOP, abs=6)
    for found, wanted in zip(spans, right, strict=True):
        assert found == pytest.approx(wanted, abs=5 * HOP)
    other = log_mel(sound)
    both = [x[: min(len(frames), len(other))] for x in (frames, other)]
    assert torch.corrcoef(torch.stack([x.flatten() for x in both]))[0, 1] > 0.85
    quiet = [x[x < x.quantile(0.2)].mean().item() for x in both]  # the noise is as loud
    assert quiet[0] == pytest.approx(quiet[1], abs=0.3)


def measured(clip):
    return Spectrogram(decoded(coded(clip)), float((clip**2).mean()))


def test_an_utterance_is_glued_as_it_is_described():
    frames, spans = glue(ONE, spectrograms("f1"))
    lengths = [len(spectrograms("f1")[word].frames) for word in ONE.target]
    for (start, end), n, speed in zip(spans, lengths, ONE.speeds, strict=True):
        assert start % HOP == end % HOP == 0
        assert (end - start) / HOP == pytest.approx((n - 1) * EVERY / speed, abs=1)
    assert spans[0][0] == 0.05 * RATE and spans[1][0] - spans[0][1] == 0.05 * RATE
    peaks = [frames[start // HOP : end // HOP].max() for start, end in spans[::2]]
    assert peaks[0] - peaks[1] == pytest.approx(-2 * np.log(0.7), abs=0.2)  # gain 0.7
    noisy = glue(dataclasses.replace(ONE, snr=0.0), spectrograms("f1"))[0]
    assert (noisy >= frames - 1e-4).all() and frames[:4].max() < np.log(FLOOR) + 0.1 < noisy.min()
    assert torch.equal(glue(ONE, spectrograms("f1"))[0], frames)


@given(st.integers(2, 13), st.floats(0.3, 2))
def test_shorter_keeps_what_is_linear(n, speed):
    line = np.arange(n, dtype=np.float64)[:, None] * np.array([1.0, -3.0])
    found = shorter(line, speed)
    assert len(found) == int(np.floor((n - 1 + 1e-9) / speed)) + 1
    np.testing.assert_allclose(found[:, 0], np.arange(len(found)) * speed, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], -3 * found[:, 0], atol=1e-6)


@given(st.floats(0.5, 1.5))
def test_stretching_moves_bands_and_leaves_time_alone(factor):
    line = torch.arange(5, dtype=torch.float64)[:, None] * 100 + torch.arange(13)
    found = stretched(line, factor)
    wanted = (torch.arange(13, dtype=torch.float64) * factor).clamp(max=12)
    torch.testing.assert_close(found - line[:, :1], wanted.expand(5, 13), atol=1e-4, rtol=0)
    assert torch.equal(stretched(line, 1), line)


def test_training_voices_are_stretched_and_the_others_are_not():
    task = small()
    assert all(isinstance(u, Stretched) and u.voice in voices("training") for u in task.train)
    assert all(abs(u.factor - 1) <= STRETCH for u in task.train)
    assert len({u.factor for u in task.train}) == 7
    for part, name in ((task.validation, "validation"), (task.held_out, "unseen")):
        assert all(type(u) is Utterance and u.voice in voices(name) for u in part)
    one = task.train[0]
    plain = Utterance(*(getattr(one, f.name) for f in dataclasses.fields(Utterance) if f.init))
    for factor in (1.0, 1.2):
        frames = task.hear(dataclasses.replace(one, factor=factor))[0]
        assert torch.allclose(frames, task.hear(plain)[0], atol=1e-4) == (factor == 1.0)


def test_every_band_has_mean_zero_also_of_a_human():
    task = small()
    for u in (task.held_out[0], dataclasses.replace(task.held_out[0], voice="june")):
        frames, spans = task.hear(u)
        torch.testing.assert_close(frames.mean(0), torch.zeros(40), atol=1e-4, rtol=0)
        assert len(spans) == u.length
    sound = speak(dataclasses.replace(task.held_out[0], voice="june"))[0]
    bands = log_mel(sound)
    torch.testing.assert_close(frames, bands - bands.mean(0))


def test_a_batch_and_its_truth_fit_together():
    task = small(lengths=(3, 5))
    batch, truth = task.batch(task.held_out), task.truth(task.held_out)
    assert batch.source_mask is not None
    assert truth.shape == (11, batch.target_out.shape[1], (batch.source.shape[1] + 7) // 8)
    assert set(truth.any(-1).sum(1).tolist()) == {3, 5}


def test_the_same_seed_gives_the_same_utterances_and_another_other_ones():
    parts = [p for s in (0, 0, 1) for t in [small(seed=s)] for p in (t.train, t.held_out)]
    assert parts[:2] == parts[2:4]
    assert len({tuple(u.target for u in part) for part in parts}) == 4


@pytest.mark.rejects
def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="n_train must be at least 1, got 0"):
        many_voices(n_train=0)
    with pytest.raises(ValueError, match="words must be at least 1, got 0"):
        utterances(3, words=())


def test_what_is_known_of_the_licence_lies_beside_them_and_in_the_wheel(tmp_path):
    words = " ".join(FOLDER.joinpath("many_voices.LICENSE").read_text(encoding="utf-8").split())
    for part in ["eSpeak NG 1.52", "GNU General Public License", "only if the output", "MIT"]:
        assert part in words
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["many_voices.npz", "many_voices.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()


# The script that makes the spectrograms -----------------------------------------------------------


def test_a_sound_keeps_its_length_and_its_tones_at_another_rate():
    time = np.arange(22050) / 22050
    sound = np.sin(2 * np.pi * 1000 * time) + np.sin(2 * np.pi * 7000 * time)  # the second goes
    found = extraction.resampled(sound, 22050)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_families_are_kept_together():
    names = [f"v{letter}{i or ''}" for letter in "abcdefghijklmnopqrst" for i in range(3)]
    parts = extraction.parted(names)
    assert sorted(name for part in parts.values() for name in part) == sorted(names)
    assert 18 <= len(parts["unseen"]) <= 20 and 12 <= len(parts["validation"]) <= 14
    found = [{extraction.family(name) for name in part} for part in parts.values()]
    assert sum(map(len, found)) == 20
    assert extraction.parted(reversed(names)) == parts


def test_what_is_packed_can_be_read():
    def say(word, voice):
        hertz = 300 * (1 + DIGITS.index(word)) + 10 * len(voice)
        time = np.arange(4410) / 22050
        return np.sin(2 * np.pi * hertz * time)

    found = extraction.pack({"training": ["a", "bb"], "unseen": ["ccc"]}, say, 22050)
    assert found["voices"].tolist() == ["a", "bb", "ccc"]
    assert found["parts"].tolist() == ["training", "training", "unseen"]
    assert len(found["lengths"]) == len(found["powers"]) == 30
    pieces = np.split(found["codes"], found["lengths"].astype(int).cumsum()[:-1])
    loudest = [int(piece[len(piece) // 2].argmax()) for piece in pieces[:10]]
    assert loudest == sorted(loudest) and len(set(loudest)) == 10
    np.testing.assert_allclose(found["powers"].astype(float), 0.5, atol=0.1)  # of a sine
