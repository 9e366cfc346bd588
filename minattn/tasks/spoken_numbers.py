"""Utterances of French number words, glued from single recordings: a source that is sound, with a truth in it.

Nobody has to say where a word stands, for the utterance is put together here. There are 22 recordings of a voice, and
those that a model is tested on are those that it learned from: what is new in a test are the order of the words, their
speed and loudness, the pauses and the noise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minattn.checks import check_finite, check_sizes, check_whole
from minattn.tasks.base import Example, Task, check_range
from minattn.tasks.voices import RATE, WORDS, recordings
from minattn.vocabulary import BOS, EOS, Batch, Vocabulary, pad

WINDOW, HOP, N_MELS = 256, 80, 40
"""A frame looks at 32 ms of sound, the next one begins 10 ms later; it has 40 numbers."""

FLOOR = 1e-3
"""What is added to a power before the logarithm: a faint hiss, so that silence is no minus infinity."""

SPEEDS, PAUSE = (0.8, 1.25), 0.1
"""From slow to fast, of an utterance as a whole; and the longest pause in seconds."""

Clips = Mapping[str, Float[np.ndarray, " _"]]
"""One recording for each word."""

Spans = tuple[tuple[int, int], ...]
"""For each word its first sample and the one behind its last."""


@cache
def mel_bands(n_mels: int = N_MELS) -> Float[Tensor, "mels frequencies"]:
    r"""Return triangles over the frequencies of a spectrum, as wide as the ear tells pitches apart.

    Their corners are evenly spaced on the mel scale, :math:`m = 2595 \log_{10}(1 + f / 700)`, from 0 to 4,000 Hz.

    Raises:
        ValueError: if there are fewer than one or more than 64.

    References:
        Davis and Mermelstein 1980, doi:10.1109/TASSP.1980.1163420.

    >>> mel_bands().shape
    torch.Size([40, 129])
    """
    check_range(1, WINDOW // 4, n_mels=n_mels)
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    # A triangle narrower than a step of the spectrum would fall between two frequencies.
    width = np.maximum(np.diff(corners), RATE / WINDOW)
    rising = (frequencies - corners[1:-1, None]) / width[:-1, None] + 1
    falling = (corners[1:-1, None] - frequencies) / width[1:, None] + 1
    return torch.from_numpy(np.clip(np.minimum(rising, falling), 0, 1)).float()


def log_mel(sound: Float[np.ndarray, " samples"]) -> Float[Tensor, "frames mels"]:
    r"""Turn a sound into a spectrogram: for every 10 ms, how loud it is in each of 40 bands of frequencies.

    .. math:: x_{jm} = \ln \Big( 10^{-3} + \sum_f B_{mf} \, \Big| \sum_{n=0}^{255} w_n s_{80 j + n - 128} \,
              e^{-2 \pi i f n / 256} \Big|^2 \Big), \qquad w_n = \sin^2(\pi n / 256)

    Frame j is centred on sample 80 j; before and behind the sound is silence.

    Args:
        sound: samples from -1 to 1, 8,000 in a second.

    Raises:
        ValueError: if there is no sample.

    >>> log_mel(np.zeros(800, dtype=np.float32)).shape
    torch.Size([11, 40])
    """
    if sound.ndim != 1 or len(sound) == 0:
        raise ValueError(f"sound must be a row of samples, at least one, got shape {sound.shape}")
    padded = np.pad(np.asarray(sound, dtype=np.float32), WINDOW // 2)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = np.sin(np.pi * np.arange(WINDOW, dtype=np.float32) / WINDOW) ** 2
    power = torch.fft.rfft(torch.from_numpy(pieces * window)).abs().square()
    bands: Tensor = (power @ mel_bands().T + FLOOR).log()
    return bands


@dataclass(frozen=True)
class Utterance(Example):
    """Words, and how they are said. It holds no sound; ``sound`` makes it, each time the same.

    The same words by another speaker, or with more noise, are ``dataclasses.replace(utterance, voice="armelle")``.

    Args:
        target: the words.
        speeds: how fast each is said; 1 is the speed of the recording.
        gains: how loud each is; 1 is the loudness of the recording.
        pauses: seconds of silence before, between and behind the words, one more than there are words.
        snr: how many decibels the speech is above the noise.
        voice: who says it.
        seed: decides the noise.

    Raises:
        ValueError: if there is no word, or not one number for each, or a number is out of range.
    """

    # What an example has beside: the words are also what is said, and each is its own counterpart.
    source: tuple[str, ...] = field(init=False, repr=False)
    alignment: tuple[int | None, ...] = field(init=False, repr=False)
    length: int = field(init=False, repr=False)

    speeds: tuple[float | int, ...]
    gains: tuple[float | int, ...]
    pauses: tuple[float | int, ...]
    snr: float | int = 30.0
    voice: str = "june"
    seed: int = 0

    def __post_init__(self) -> None:
        n = len(self.target)
        also = {"source": self.target, "alignment": tuple(range(n)), "length": n}
        for name, value in also.items():
            object.__setattr__(self, name, value)
        super().__post_init__()
        found = len(self.speeds), len(self.gains), len(self.pauses)
        if n == 0 or found != (n, n, n + 1):
            raise ValueError(
                "an utterance needs at least one word, a speed and a gain for each and one pause more, "
                f"got {n} words and {found[0]}, {found[1]} and {found[2]}"
            )
        if min(*self.speeds, *self.gains) <= 0 or min(self.pauses) < 0:
            raise ValueError(
                f"speeds and gains must be above 0 and pauses at least 0, got {self.speeds}, "
                f"{self.gains} and {self.pauses}"
            )
        check_finite(snr=self.snr)
        check_whole(0, seed=self.seed)


def speak(
    utterance: Utterance, clips: Clips | None = None
) -> tuple[Float[np.ndarray, " samples"], Spans]:
    """Glue the recordings of the words together.

    Args:
        utterance: which words, and how.
        clips: other recordings than those of the voice.

    Returns:
        The sound; and for each word its first sample and the one behind its last.

    Raises:
        ValueError: if there is no recording of a word.

    >>> two = Utterance(("dix", "un"), (1.0, 1.0), (1.0, 0.5), (0.0, 0.1, 0.0))
    >>> sound, spans = speak(two)
    >>> spans, spans[1][0] - spans[0][1] == 0.1 * RATE
    (((0, 4720), (5520, 8480)), True)
    """
    clips = recordings(utterance.voice) if clips is None else clips
    parts, spans = [_silence(utterance.pauses[0])], []
    for word, speed, gain, pause in zip(
        utterance.target, utterance.speeds, utterance.gains, utterance.pauses[1:], strict=True
    ):
        if word not in clips:
            raise ValueError(f"a word must be one of {', '.join(clips)}, got {word!r}")
        place = sum(map(len, parts))
        parts += [gain * faster(clips[word], speed), _silence(pause)]
        spans.append((place, place + len(parts[-2])))
    sound = np.concatenate(parts)
    speech = np.concatenate([sound[start:end] for start, end in spans])
    noise = np.random.default_rng(utterance.seed).standard_normal(len(sound), dtype=np.float32)
    level = np.sqrt((speech**2).mean()) * 10 ** (-utterance.snr / 20)
    return (sound + level * noise).astype(np.float32), tuple(spans)


def faster(
    clip: Float[np.ndarray, " samples"], speed: float | int
) -> Float[np.ndarray, " resampled"]:
    """Play a recording faster, and so higher, or slower and lower; samples in between lie on straight lines.

    >>> faster(np.array([0.0, 2.0, 4.0, 6.0], dtype=np.float32), 1.5).tolist()
    [0.0, 3.0, 6.0]
    """
    places = np.arange(0, len(clip) - 1 + 1e-9, speed)
    return np.asarray(np.interp(places, np.arange(len(clip)), clip), dtype=np.float32)


def _silence(seconds: float | int) -> Float[np.ndarray, " samples"]:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def utterances(
    n: int,
    lengths: Iterable[int] = (1, 2, 3, 4),
    seed: int = 0,
    voices: Iterable[str] = ("june",),
    snr: tuple[float | int, float | int] = (15.0, 40.0),
    words: Iterable[str] = WORDS,
) -> tuple[Utterance, ...]:
    """Draw utterances: any words in any order, the same one twice in a row too.

    Args:
        n: how many.
        lengths: how many words one may have, each length as likely.
        seed: decides everything.
        voices: who may say one, each voice as likely.
        snr: the least and the largest distance of speech and noise in decibels.
        words: what may be said, each word as likely.

    Raises:
        ValueError: if a number is out of range.

    >>> [" ".join(u.target) for u in utterances(3, seed=1)]
    ['onze zéro', 'onze neuf vingt deux', 'soixante six']
    """
    check_sizes(n=n)
    check_whole(0, seed=seed)
    lengths, voices, words = tuple(lengths), tuple(voices), tuple(words)
    check_sizes(lengths=min(lengths, default=0), voices=len(voices), words=len(words))
    rng = np.random.default_rng(seed)
    return tuple(_drawn(rng, lengths, voices, snr, words) for _ in range(n))


def _drawn(
    rng: np.random.Generator,
    lengths: tuple[int, ...],
    voices: tuple[str, ...],
    snr: tuple[float | int, float | int],
    words: tuple[str, ...],
) -> Utterance:
    length = lengths[rng.integers(len(lengths))]
    tempo = rng.uniform(*SPEEDS)
    return Utterance(
        target=tuple(words[i] for i in rng.integers(len(words), size=length)),
        speeds=tuple((tempo * rng.uniform(0.95, 1.05, length)).tolist()),
        gains=tuple(rng.uniform(0.5, 1, length).tolist()),
        pauses=tuple(rng.uniform(0, PAUSE, length + 1).tolist()),
        snr=float(rng.uniform(*snr)),
        voice=voices[rng.integers(len(voices))],
        seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True)
class SpokenNumbers(Task):
    """Utterances to learn from and new ones to be tested on, by the same voices and of the same recordings.

    Args:
        validation: utterances that every choice is made on.
        clips: recordings to use in the place of a voice's own, by the name of the voice.
    """

    validation: tuple[Utterance, ...] = field(repr=False, default=())
    clips: Mapping[str, Clips] = field(repr=False, default_factory=dict)

    def hear(self, utterance: Utterance) -> tuple[Float[Tensor, "frames mels"], Spans]:
        """Return the spectrogram of an utterance, and the samples of each word."""
        sound, spans = speak(utterance, self.clips.get(utterance.voice))
        return log_mel(sound), spans

    def batch(self, examples: Iterable[Any]) -> Batch:
        """Make the sounds and their spectrograms, padded with zeros; ``source_mask`` says where there are frames."""
        spoken = list(examples)
        check_sizes(examples=len(spoken))
        frames = [self.hear(u)[0] for u in spoken]
        counts = torch.tensor([len(x) for x in frames])
        ids = [self.target.encode(u.target) for u in spoken]
        return Batch(
            source=torch.nn.utils.rnn.pad_sequence(frames, batch_first=True),
            target_in=pad([BOS, *row] for row in ids),
            target_out=pad([*row, EOS] for row in ids),
            source_mask=torch.arange(int(counts.max())) < counts[:, None],
        )

    def truth(
        self, examples: Iterable[Utterance], stride: int = 8
    ) -> Bool[Tensor, "batch target steps"]:
        """Say for every word, and the ``EOS`` behind the last, which steps lie in it.

        Args:
            examples: as in ``batch``.
            stride: how many frames an encoder makes one step of; step k is centred on frame k * stride.

        Returns:
            True where the centre of a step lies in the word; all False for ``EOS`` and padding.
        """
        check_sizes(stride=stride)
        found = [self.hear(u) for u in examples]
        check_sizes(examples=len(found))
        n_steps = max((len(frames) - 1) // stride + 1 for frames, _ in found)
        right = torch.zeros(len(found), max(len(s) for _, s in found) + 1, n_steps).bool()
        centres = torch.arange(n_steps) * stride * HOP
        for row, (_, spans) in enumerate(found):
            for place, (start, end) in enumerate(spans):
                right[row, place] = (start <= centres) & (centres < end)
        return right


def spoken_numbers(
    n_train: int = 2_000,
    n_validation: int = 200,
    n_held_out: int = 400,
    lengths: Iterable[int] = (1, 2, 3, 4),
    voices: Iterable[str] = ("june",),
    seed: int = 0,
) -> SpokenNumbers:
    """Draw utterances of one to four words in three parts.

    Args:
        n_train: how many to learn from.
        n_validation: how many to choose by.
        n_held_out: how many to be tested on.
        lengths: how many words one may have.
        voices: who speaks.
        seed: decides everything.

    Raises:
        ValueError: if a number is out of range, or there is no such voice.

    >>> task = spoken_numbers(n_train=20, n_validation=3, n_held_out=3)
    >>> batch = task.batch(task.held_out)
    >>> batch.source.shape[2], batch.source_mask.sum(1).tolist()  # frames of 10 ms
    (40, [262, 54, 116])
    """
    check_sizes(n_train=n_train, n_validation=n_validation, n_held_out=n_held_out)
    lengths, voices = tuple(lengths), tuple(voices)
    for voice in voices:
        recordings(voice)
    found = utterances(n_train + n_validation + n_held_out, lengths, seed, voices)
    return SpokenNumbers(
        name="spoken numbers",
        source=Vocabulary(WORDS),  # of what is said; sound itself has no vocabulary
        target=Vocabulary(WORDS),
        train=found[:n_train],
        held_out=found[n_train + n_validation :],
        validation=found[n_train : n_train + n_validation],
    )
