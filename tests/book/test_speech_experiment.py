"""The experiments of chapter 14 change what they say they change, and nothing else."""

import numpy as np
import pytest
import torch

from book.experiments import speech, speech_voices
from book.experiments.speech_changes import MaskOverFrames, PaddingNormalisedIn
from book.experiments.speech_letters import LONGEST, Spelled
from book.experiments.speech_measures import equalised, said, spectrum
from book.tools import live_speech
from minattn.speech.listening import Listener
from minattn.tasks.many_voices import many_voices, voices
from minattn.tasks.spoken_numbers import spoken_numbers, utterances
from minattn.tasks.voices import WORDS, recordings
from minattn.training import seeded


def decibels(clips):
    return 10 * np.log10(spectrum(clips)[8:-8])


def shape_of(levels):
    return levels - levels.mean()


def test_the_control_has_the_average_spectrum_of_the_other_speaker():
    june, armelle, control = map(
        decibels, (recordings("june_gsm"), recordings("armelle"), equalised())
    )
    before = np.abs(shape_of(june) - shape_of(armelle)).mean()
    after = np.abs(shape_of(control) - shape_of(armelle)).mean()
    assert after < before / 3
    for word in WORDS:
        assert len(equalised()[word]) == len(recordings("june_gsm")[word])


def test_an_utterance_is_said_with_no_less_noise_than_it_had():
    one = utterances(1, seed=2, snr=(20.0, 21.0))[0]
    assert said(one, "armelle", 2.0, 99.0).snr == one.snr
    other = said(one, "armelle", 2.0, 10.0)
    assert (other.snr, other.voice, other.target) == (10.0, "armelle", one.target)
    assert other.speeds == tuple(2 * speed for speed in one.speeds)


@pytest.mark.parametrize("kind", [MaskOverFrames, PaddingNormalisedIn])
def test_a_fault_shows_where_there_is_padding_and_nowhere_else(kind):
    models = []
    for make in (Listener, kind):
        with seeded(0):
            models.append(make(5, 9, d_model=6).eval())
    source = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0)) + 1
    mask = torch.arange(40) < torch.tensor([[40], [9]])
    target = torch.tensor([[1, 4], [1, 5]])
    source = source * mask[..., None]
    right, wrong = (model(source, target, mask) for model in models)
    assert not torch.allclose(right[1], wrong[1], atol=1e-5)
    for row, n in enumerate((40, 9)):
        one = slice(row, row + 1)
        right, wrong = (m(source[one, :n], target[one], mask[one, :n]) for m in models)
        torch.testing.assert_close(right, wrong)


def test_the_listener_of_the_page_is_trained_as_that_of_the_experiment(monkeypatch):
    """Two recipes in a row, each with its task."""
    seen = []

    def note(model, task, recipe, **_):
        seen.append((sum(p.sum().item() for p in model.parameters()), task.train, recipe))
        return []

    monkeypatch.setattr(speech, "train", note)
    task = spoken_numbers(n_train=5, n_validation=3, n_held_out=3)
    speech.teach(speech.make_model(task, 0, "attention"), task, 0)
    live_speech.taught(task)
    assert len(seen) == 4
    for one, other in zip(seen[:2], seen[2:], strict=True):
        assert one == other


def test_words_are_said_by_humans_and_counted_by_voice():
    task = many_voices(n_train=3, n_validation=3, n_held_out=5, seed=1)
    with seeded(0):
        model = Listener(40, len(task.target), d_model=6)
    by_voice = speech_voices.by_unseen(model, task)
    assert set(by_voice) == {u.voice for u in task.held_out} <= set(voices("unseen"))
    humans = speech_voices.by_human(model, task)
    assert set(humans) == {"june", "armelle"}
    assert humans["june"]["chance"] != humans["armelle"]["chance"]  # other words, other lengths


def test_the_letters_of_a_word_are_where_the_word_is():
    words = spoken_numbers(n_train=3, n_validation=3, n_held_out=7, seed=1)
    task = Spelled.of(words)
    batch, truth = task.batch(task.held_out), task.truth(task.held_out)
    plain = words.batch(words.held_out)
    assert torch.equal(batch.source, plain.source) and truth.shape[:2] == batch.target_out.shape
    for u, ids, right, whole in zip(
        task.held_out, batch.target_out, truth, words.truth(words.held_out), strict=True
    ):
        assert tuple(task.words(ids.tolist(), u)) == u.target
        letters = task.target.decode(ids.tolist())
        place = 0
        for letter, row in zip(letters, right, strict=False):
            place += letter == " "
            assert torch.equal(row, whole[place] & torch.tensor(letter != " "))
        assert not right[len(letters) :].any()
        assert len(letters) + 1 <= LONGEST * u.length + 5
