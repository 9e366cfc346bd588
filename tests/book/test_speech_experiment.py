"""The experiments of chapter 14 change what they say they change, and nothing else."""

import numpy as np
import pytest
import torch

from book.experiments.speech_changes import MaskOverFrames, PaddingNormalisedIn
from book.experiments.speech_measures import equalised, said, spectrum
from minattn.speech.listening import Listener
from minattn.tasks.spoken_numbers import utterances
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
