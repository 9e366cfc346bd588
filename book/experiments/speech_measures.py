"""What the experiments of chapter 14 measure: words, where attention looks, and both where it gets harder."""

import dataclasses
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import torch

from minattn.pointing import pointing
from minattn.recording import recording
from minattn.speech.listening import STRIDE, Listener, word_error
from minattn.tasks.spoken_numbers import Clips, SpokenNumbers, Utterance, utterances
from minattn.tasks.voices import WORDS, recordings
from minattn.translation import translate

LENGTHS = (1, 2, 3, 4, 5, 6, 8)
NOISES = (20.0, 10.0, 5.0, 0.0, -5.0)
N_EACH = 60
HARDER, SMOOTH = 120, 9
"""How many utterances are said again by others and in noise; over how many frequencies a spectrum is averaged."""


@torch.no_grad()
def heard(
    model: Listener,
    task: SpokenNumbers,
    spoken: Iterable[Utterance],
    points: bool = True,
    letters: int = 1,
) -> dict[str, float]:
    """Score the words a model writes, and where it attends when it is given the right words before.

    A word is as many tokens as there are ``letters`` in the longest, so that all can be spelled.
    """
    spoken = tuple(spoken)
    longest = max(u.length for u in spoken)
    found = translate(model, task, spoken, letters * longest + 5)
    scores = {
        "word error": word_error(found, [u.target for u in spoken]),
        "written": sum(map(len, found)) / sum(u.length for u in spoken),
    }
    if points:
        batch = task.batch(spoken)
        with recording(model) as record:
            memory = model.encode(batch.source, batch.source_mask)
            model(batch.source, batch.target_in, batch.source_mask)
        at = pointing(record.weights(), task.truth(spoken, STRIDE), allowed=memory.mask)
        scores |= {"inside": at.inside.item(), "mass": at.mass.item(), "chance": at.chance}
    return scores


def by_length(model: Listener, task: SpokenNumbers, points: bool = True) -> dict[str, Any]:
    """Score utterances of one length after the other, most of them longer than any in training."""
    return {
        str(n): heard(model, task, utterances(N_EACH, (n,), seed=100 + n), points) for n in LENGTHS
    }


def by_noise(model: Listener, task: SpokenNumbers, points: bool = True) -> dict[str, Any]:
    """Score the same utterances with more and more noise."""
    spoken = task.held_out[:HARDER]
    return {
        f"{snr:g} dB": heard(model, task, [dataclasses.replace(u, snr=snr) for u in spoken], points)
        for snr in NOISES
    }


def by_voice(model: Listener, task: SpokenNumbers, points: bool = True) -> dict[str, Any]:
    """Score the same words by another speaker; and by the first, with one thing after the other made like hers.

    Returns:
        June; June through the codec; also with Armelle's average spectrum, hiss and slowness; Armelle; and Armelle
        played so fast that her words are as short as June's.
    """
    task = dataclasses.replace(task, clips={"equalised": equalised()})
    slower = mean_length("armelle") / mean_length("june")
    ways: dict[str, tuple[str, float, float]] = {
        "june": ("june", 1.0, 99.0),
        "june, codec": ("june_gsm", 1.0, 99.0),
        "june, codec and spectrum": ("equalised", 1.0, 99.0),
        "june, codec, spectrum and hiss": ("equalised", 1.0, 18.0),
        "june, codec, spectrum, hiss and slow": ("equalised", 1 / slower, 18.0),
        "armelle": ("armelle", 1.0, 99.0),
        "armelle, fast": ("armelle", slower, 99.0),
    }
    return {
        name: heard(model, task, [said(u, *way) for u in task.held_out[:HARDER]], points)
        for name, way in ways.items()
    }


def said(u: Any, voice: str, speed: float, snr: float) -> Utterance:
    """Let an utterance be said in another way, with no less noise than it has."""
    speeds = tuple(speed * own for own in u.speeds)
    return dataclasses.replace(u, voice=voice, speeds=speeds, snr=min(snr, u.snr))


def mean_length(voice: str) -> float:
    """Return how many samples a word has."""
    return float(np.mean([len(clip) for clip in recordings(voice).values()]))


def spectrum(clips: Clips) -> np.ndarray:
    """Average the power of all words at every frequency, and smooth it."""
    power = [np.abs(np.fft.rfft(clip, 2**15)) ** 2 / len(clip) for clip in clips.values()]
    bands = np.mean(power, axis=0)[:-1].reshape(-1, 128).mean(1)
    padded = np.pad(bands, SMOOTH // 2, mode="edge")
    return np.convolve(padded, np.ones(SMOOTH) / SMOOTH, mode="valid")


@cache
def equalised() -> Clips:
    """Return June's words through the codec, filtered so that on average they have Armelle's spectrum."""
    june, armelle = recordings("june_gsm"), recordings("armelle")
    ratio = np.sqrt(spectrum(armelle) / spectrum(june))
    found = {}
    for word in WORDS:
        own = np.fft.rfft(june[word], 2**15)
        places = np.linspace(0, len(ratio) - 1, len(own))
        clip = np.fft.irfft(own * np.interp(places, np.arange(len(ratio)), ratio))
        found[word] = (clip / np.abs(clip).max())[: len(june[word])].astype(np.float32)
    return found
