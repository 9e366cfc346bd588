"""Spoken digits by some hundred synthetic voices: what is new in a test is the speaker.

The voices are those of the synthesiser eSpeak NG, speaking French. Of each digit by each voice there is a spectrogram,
with a frame every 20 ms and sixteen levels of loudness; the sound is not stored. ``book/tools/many_voices.py`` is how
they were made, and ``many_voices.LICENSE`` says what is known of their licence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from minattn.checks import check_sizes
from minattn.tasks.spoken_numbers import (
    FLOOR,
    HOP,
    N_MELS,
    Spans,
    SpokenNumbers,
    Utterance,
    log_mel,
    utterances,
)
from minattn.tasks.voices import RATE, WORDS
from minattn.tasks.voices import VOICES as HUMANS
from minattn.vocabulary import Vocabulary

DIGITS = WORDS[:10]
"""zéro to neuf."""

PARTS = "training", "validation", "unseen"
"""Voices that were made from one another, as klatt and klatt2, are in the same part."""

EVERY, STEP = 2, 1.0
"""Every second frame is stored, in steps of 1 of the natural logarithm: a factor e in power, 4.3 decibels."""

STRETCH = 0.2
"""Training voices are made higher or lower by up to this share, so that each is many."""

LOWEST = float(np.log(FLOOR))


class Spectrogram(NamedTuple):
    """A digit as one voice says it.

    Attributes:
        frames: a row every 20 ms, as of ``log_mel``.
        power: the mean square of the samples that it was measured from.
    """

    frames: Float[np.ndarray, "frames mels"]
    power: float


def coded(sound: Float[np.ndarray, " samples"]) -> UInt8[np.ndarray, "frames mels"]:
    """Measure a spectrogram and round it to whole steps above the floor.

    >>> coded(np.zeros(800, dtype=np.float32)).shape
    (6, 40)
    """
    frames = log_mel(sound).numpy()[::EVERY]
    return np.asarray(np.round((frames - LOWEST) / STEP), dtype=np.uint8)


def decoded(code: UInt8[np.ndarray, "frames mels"]) -> Float[np.ndarray, "frames mels"]:
    """Undo ``coded``, to within half a step."""
    return np.asarray(LOWEST + STEP * code, dtype=np.float32)


@cache
def _stored() -> Mapping[tuple[str, str], dict[str, Spectrogram]]:
    """Return the spectrograms of every part and voice."""
    with np.load(resources.files("minattn.tasks") / "many_voices.npz") as stored:  # type: ignore[arg-type]
        names = ("codes", "lengths", "powers", "voices", "parts")
        codes, lengths, powers, voices, parts = (stored[name] for name in names)
    pieces = np.split(decoded(codes), lengths.astype(int).cumsum()[:-1])
    for piece in pieces:
        piece.flags.writeable = False
    made = [Spectrogram(*one) for one in zip(pieces, powers.astype(float).tolist(), strict=True)]
    n = len(DIGITS)
    return {
        (str(part), str(voice)): dict(zip(DIGITS, made[i * n : (i + 1) * n], strict=True))
        for i, (part, voice) in enumerate(zip(parts, voices, strict=True))
    }


def voices(part: str) -> tuple[str, ...]:
    """Return the names of the voices of a part.

    Raises:
        ValueError: if there is no such part.

    >>> [len(voices(part)) for part in PARTS]
    [74, 12, 18]
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    return tuple(voice for own, voice in _stored() if own == part)


@cache
def spectrograms(voice: str) -> dict[str, Spectrogram]:
    """Return the ten digits as a synthetic voice says them.

    Raises:
        ValueError: if there is no such voice.
    """
    for (_, own), found in _stored().items():
        if own == voice:
            return found
    raise ValueError(f"there is no synthetic voice {voice!r}; voices(part) has their names")


@cache
def _noise() -> Float[np.ndarray, "frames mels"]:
    """Return the power of a minute of white noise of mean square 1, in every frame and band."""
    noise = np.random.default_rng(0).standard_normal(60 * RATE, dtype=np.float32)
    return np.asarray(np.exp(log_mel(noise).numpy()))


def glue(
    utterance: Utterance, clips: Mapping[str, Spectrogram]
) -> tuple[Float[Tensor, "frames mels"], Spans]:
    """Put spectrograms of words behind one another, as ``speak`` does with sounds.

    Faster is shorter, and not higher as with sounds. Powers are added: those of the speech and of white noise.

    Args:
        utterance: which words, and how.
        clips: a spectrogram for each word.

    Returns:
        The spectrogram, a frame every 10 ms; and for each word its first sample and the one behind its last.

    Raises:
        ValueError: if there is no spectrogram of a word.
    """
    parts, spans = [_silence(utterance.pauses[0])], []
    energy = 0.0
    for word, speed, gain, pause in zip(
        utterance.target, utterance.speeds, utterance.gains, utterance.pauses[1:], strict=True
    ):
        if word not in clips:
            raise ValueError(f"a word must be one of {', '.join(clips)}, got {word!r}")
        start = sum(map(len, parts))
        said = shorter(clips[word].frames, speed / EVERY)
        parts += [gain**2 * (np.exp(said) - FLOOR), _silence(pause)]
        energy += len(said) * gain**2 * clips[word].power
        spans.append((start * HOP, (start + len(said)) * HOP))
    power = np.concatenate(parts)
    level = energy * HOP / sum(end - start for start, end in spans) * 10 ** (-utterance.snr / 10)
    place = np.random.default_rng(utterance.seed).integers(len(_noise()) - len(power))
    noise = level * _noise()[place : place + len(power)]
    return torch.from_numpy(np.log(FLOOR + power + noise).astype(np.float32)), tuple(spans)


def shorter(
    frames: Float[np.ndarray, "frames mels"], speed: float | int
) -> Float[np.ndarray, "resampled mels"]:
    """Take frames ``speed`` apart; those in between lie on straight lines.

    >>> shorter(np.array([[0.0], [2.0], [4.0]]), 0.5).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    places = np.arange(0, len(frames) - 1 + 1e-9, speed)
    low = np.minimum(places.astype(int), len(frames) - 2)
    rest = (places - low)[:, None].astype(frames.dtype)
    return np.asarray(frames[low] * (1 - rest) + frames[low + 1] * rest)


def _silence(seconds: float | int) -> Float[np.ndarray, "frames mels"]:
    return np.zeros((round(seconds * RATE / HOP), N_MELS), dtype=np.float32)


def stretched(
    frames: Float[Tensor, "frames mels"], factor: float | int
) -> Float[Tensor, "frames mels"]:
    r"""Move what is in the bands, as a smaller mouth does: the resonances of a child lie higher than a man's.

    .. math:: x'_{jm} = x_{j, f m}

    Places between two bands lie on straight lines; beyond the last band its value goes on.

    Args:
        frames: a spectrogram.
        factor: above 1, what is in a band comes from a higher one, and so the resonances go down.

    References:
        Jaitly and Hinton 2013, Vocal Tract Length Perturbation (VTLP) improves speech recognition.

    >>> stretched(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), 1.5)
    tensor([[0.0000, 1.5000, 3.0000, 3.0000]])
    """
    last = frames.shape[1] - 1
    places = (torch.arange(last + 1) * factor).clamp(max=last)
    low = places.long().clamp(max=max(last - 1, 0))
    rest = (places - low).to(frames.dtype)
    return frames[:, low] * (1 - rest) + frames[:, (low + 1).clamp(max=last)] * rest


@dataclass(frozen=True)
class Stretched(Utterance):
    """An utterance by a voice whose resonances are moved.

    Args:
        factor: see ``stretched``.
    """

    factor: float | int = 1.0

    @classmethod
    def of(cls, utterance: Utterance) -> "Stretched":
        """Draw the factor, by the seed of the utterance."""
        given = {f.name: getattr(utterance, f.name) for f in fields(utterance) if f.init}
        factor = np.random.default_rng([utterance.seed, 1]).uniform(1 - STRETCH, 1 + STRETCH)
        return cls(**given, factor=float(factor))


@dataclass(frozen=True)
class ManyVoices(SpokenNumbers):
    """Digits by synthetic voices; an utterance whose voice is a human one is spoken by that one."""

    def hear(self, utterance: Utterance) -> tuple[Float[Tensor, "frames mels"], Spans]:
        """Return the spectrogram of an utterance, and the samples of each word.

        From each band its mean over the utterance is taken away: of which frequencies a voice, or a microphone, always
        has more says nothing about the words.

        References:
            Atal 1974, doi:10.1121/1.1914702, where the mean is that of the cepstrum.
        """
        if utterance.voice in HUMANS or utterance.voice in self.clips:
            frames, spans = super().hear(utterance)
        else:
            frames, spans = glue(utterance, spectrograms(utterance.voice))
        if isinstance(utterance, Stretched):
            frames = stretched(frames, utterance.factor)
        return frames - frames.mean(0), spans


def many_voices(
    n_train: int = 8_000,
    n_validation: int = 200,
    n_held_out: int = 400,
    lengths: Iterable[int] = (3, 4, 5, 6),
    seed: int = 0,
) -> ManyVoices:
    """Draw utterances of three to six digits in three parts, each by other voices.

    Args:
        n_train: how many to learn from, by the training voices, each time stretched in another way.
        n_validation: how many to choose by, by the validation voices.
        n_held_out: how many to be tested on, by the unseen voices.
        lengths: how many digits one may have.
        seed: decides everything.

    Raises:
        ValueError: if a number is out of range.

    >>> task = many_voices(n_train=20, n_validation=3, n_held_out=3)
    >>> batch = task.batch(task.held_out)
    >>> batch.source.shape[2], sorted({u.voice for u in task.held_out} & set(voices("training")))
    (40, [])
    """
    sizes = {"n_train": n_train, "n_validation": n_validation, "n_held_out": n_held_out}
    check_sizes(**sizes)
    lengths = tuple(lengths)
    train, validation, held_out = (
        utterances(n, lengths, 3 * seed + i, voices(part), words=DIGITS)
        for i, (n, part) in enumerate(zip(sizes.values(), PARTS, strict=True))
    )
    train = tuple(map(Stretched.of, train))
    return ManyVoices(
        name="many voices",
        source=Vocabulary(DIGITS),
        target=Vocabulary(DIGITS),
        train=train,
        held_out=held_out,
        validation=validation,
    )
