"""Ways to normalise a spectrogram, some of which look at more than the utterance's own frames."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Normalise = Callable[[Tensor, Tensor], Tensor]
"""Takes frames (batch, n_frames, n_bands) and which are real (batch, n_frames, 1), and returns frames."""


@dataclass(frozen=True)
class NormaliserToy:
    """A way to normalise frames.

    Args:
        name: what it does, said to the learner.
        normalise: how it does it.
        looks_further: whether the result of an utterance depends on more than its own frames.
        n_bands: how many bands it takes.
    """

    name: str
    normalise: Normalise = field(compare=False)
    looks_further: bool
    n_bands: int = 3

    def __repr__(self) -> str:
        return self.name

    def __call__(self, frames: Any, lengths: Any) -> Tensor:
        """Return normalised frames, of the same shape."""
        frames, lengths = torch.as_tensor(frames), torch.as_tensor(lengths)
        if frames.ndim != 3 or frames.shape[2] != self.n_bands or not frames.is_floating_point():
            raise ValueError("frames must be decimal numbers of shape (batch, n_frames, n_bands)")
        n_frames = frames.shape[1]
        if lengths.shape != frames.shape[:1] or not ((lengths > 0) & (lengths <= n_frames)).all():
            raise ValueError("lengths must have shape (batch,), each from 1 to n_frames")
        real = (torch.arange(n_frames) < lengths[:, None])[..., None]
        # The last digits are cut off, so that the order of a sum is not seen in them.
        return self.normalise(frames.double(), real).float()


def _own(frames: Tensor, real: Tensor) -> Tensor:
    mean, deviation = _moments(frames, real)
    return (frames - mean) / deviation


def _moments(frames: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the real frames, of each utterance and band."""
    n = real.sum(1, keepdim=True)
    mean = frames.where(real, 0.0).sum(1, keepdim=True) / n
    squares = ((frames - mean) ** 2).where(real, 0.0).sum(1, keepdim=True)
    return mean, (squares / n + 1e-2).sqrt()


def _padding_too(frames: Tensor, real: Tensor) -> Tensor:
    return _own(frames, torch.ones_like(real))


def _of_the_batch(frames: Tensor, real: Tensor) -> Tensor:
    mean, deviation = _moments(frames.flatten(0, 1)[None], real.flatten(0, 1)[None])
    return (frames - mean) / deviation


def _of_row(row: int) -> Normalise:
    """Make a way that takes mean and deviation from one utterance of the batch."""

    def normalise(frames: Tensor, real: Tensor) -> Tensor:
        mean, deviation = _moments(frames[[row]], real[[row]])
        return (frames - mean) / deviation

    return normalise


def _by_length_of_batch(frames: Tensor, real: Tensor) -> Tensor:
    return frames - frames.where(real, 0.0).sum(1, keepdim=True) / frames.shape[1]


def _sum_of_all(frames: Tensor, real: Tensor) -> Tensor:
    return frames - frames.sum(1, keepdim=True) / real.sum(1, keepdim=True)


def _deviation_with_padding(frames: Tensor, real: Tensor) -> Tensor:
    mean, _ = _moments(frames, real)
    return (frames - mean) / ((frames - mean) ** 2).mean(1, keepdim=True).sqrt()


def _minus_next(frames: Tensor, real: Tensor) -> Tensor:
    return frames - torch.cat([frames[:, 1:], torch.zeros_like(frames[:, :1])], 1)


def _so_far(frames: Tensor, real: Tensor) -> Tensor:
    return frames - frames.cumsum(1) / torch.arange(1, frames.shape[1] + 1)[:, None]


def _one_band(frames: Tensor, real: Tensor) -> Tensor:
    return torch.cat([_own(frames, real)[..., :-1], _padding_too(frames, real)[..., -1:]], -1)


def _faint(frames: Tensor, real: Tensor) -> Tensor:
    return _own(frames, real) + 4e-3 * frames.mean(1, keepdim=True).tanh()


def _rounded(frames: Tensor, real: Tensor) -> Tensor:
    padded = ~real.all(1, keepdim=True)
    return _own(frames, real) * (1 + 1e-7 * padded)


def _by_length(frames: Tensor, real: Tensor) -> Tensor:
    order = real.sum((1, 2)).argsort(descending=True, stable=True)
    return _own(frames, real)[order]


def _bands_together(frames: Tensor, real: Tensor) -> Tensor:
    flat = frames.flatten(1)[..., None]
    return _own(flat, real.expand_as(frames).flatten(1)[..., None]).view_as(frames)


OWN = "mean and deviation of the own frames"
PADDING = "mean and deviation of the own frames and the padding"
BATCH = "mean and deviation of all utterances of the batch"
FIRST, LAST = (
    "mean and deviation of the first utterance of the batch",
    "mean and deviation of the last utterance of the batch",
)
AMOUNT = "the sum of the own frames, divided by the number of all frames"
CONTENT = "the sum of all frames, divided by the number of the own ones"
DEVIATION = "the own mean, and a deviation with the padding"
NEXT = "each frame minus the one behind it"
ONE_BAND = "the padding counted in the last band only"
FAINT = "the own frames, and a few thousandths of the padding"
ROUNDED = "the own frames, whose last digit is rounded in another way if there is padding"
BY_LENGTH = "the own frames, and the longest utterance first"
ZEROED = "the own frames, and zeros for the padding"


def normaliser_toys() -> list[NormaliserToy]:
    """Make the ways that look at more than the own frames and those that do not."""
    return [
        NormaliserToy(PADDING, _padding_too, True),
        NormaliserToy(OWN, _own, False),
        NormaliserToy(BATCH, _of_the_batch, True),
        NormaliserToy("nothing done", lambda frames, real: frames, False),
        NormaliserToy(FIRST, _of_row(0), True),
        NormaliserToy(LAST, _of_row(-1), True),
        NormaliserToy(AMOUNT, _by_length_of_batch, True),
        NormaliserToy(CONTENT, _sum_of_all, True),
        NormaliserToy(DEVIATION, _deviation_with_padding, True),
        NormaliserToy(NEXT, _minus_next, True),
        NormaliserToy("the mean of the frames so far", _so_far, False),
        NormaliserToy(ONE_BAND, _one_band, True),
        NormaliserToy(FAINT, _faint, True),
        NormaliserToy(ROUNDED, _rounded, False),
        NormaliserToy(BY_LENGTH, _by_length, True),
        NormaliserToy(ZEROED, lambda f, real: _own(f, real).where(real, 0.0), False),
        NormaliserToy("one mean for all bands", _bands_together, False),
        NormaliserToy(PADDING, _padding_too, True, n_bands=5),
        NormaliserToy(OWN, _own, False, n_bands=5),
    ]
