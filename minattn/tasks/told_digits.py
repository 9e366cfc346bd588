"""Digits that are told in words: *a bold seven*, or *a three and a seven*, which stand side by side."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from minattn.checks import check_sizes, check_tensors
from minattn.tasks.digits import Digits, digits

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
STROKES = ("thin", "plain", "bold")
WORDS = ("a", "and", *STROKES, *NUMBERS)
"""All that a caption may say."""

Words = tuple[str, ...]


class Told(NamedTuple):
    """Pictures of one digit, or of two side by side, and what is said of each.

    Args:
        pictures: grey, 0 for paper and 255 for ink.
        labels: of the digits, from left to right.
        captions: one for each picture, word by word.
    """

    pictures: UInt8[Tensor, "pictures 8 width 1"]
    labels: Int[Tensor, "pictures digits"]
    captions: tuple[Words, ...]


def caption(labels: Sequence[int], stroke: int | None = None) -> Words:
    """Say what a picture shows.

    Args:
        labels: of its digits.
        stroke: which of ``STROKES`` each digit has; nothing is said of it if not given.

    Raises:
        ValueError: if there is no digit, or no such digit or stroke.

    >>> " ".join(caption([7], 2)), " ".join(caption([3, 7]))
    ('a bold seven', 'a three and a seven')
    """
    check_sizes(labels=len(labels))
    if any(not 0 <= label < 10 for label in labels):
        raise ValueError(f"labels must be in 0..9, got {[*labels]}")
    if stroke is not None and not 0 <= stroke < len(STROKES):
        raise ValueError(f"stroke must be in 0..{len(STROKES) - 1}, got {stroke}")
    how = () if stroke is None else (STROKES[stroke],)
    words = [word for label in labels for word in ("and", "a", *how, NUMBERS[label])]
    return tuple(words[1:])


@cache
def bounds() -> Float[Tensor, "10 2"]:
    """Return for each digit how much ink is plain, from and to; a third of the train part has less, a third more.

    Ink is the mean over all pixels. A one has less than an eight, and a bold one is bold beside other ones.
    """
    known = digits("train")
    amounts = ink(known.pictures)
    thirds = torch.tensor([1 / 3, 2 / 3], dtype=amounts.dtype)
    return torch.stack([amounts[known.labels == label].quantile(thirds) for label in range(10)])


def ink(pictures: UInt8[Tensor, "pictures height width 1"]) -> Float[Tensor, " pictures"]:
    """Return how black pictures are, from 0 to 1.

    >>> ink(torch.full((1, 8, 8, 1), 51, dtype=torch.uint8))
    tensor([0.2000], dtype=torch.float64)
    """
    return pictures.flatten(1).double().mean(1) / 255


def strokes(
    pictures: UInt8[Tensor, "pictures 8 8 1"], labels: Int[Tensor, " pictures"]
) -> Int[Tensor, " pictures"]:
    """Say with which of ``STROKES`` each digit is drawn, by its ink.

    Args:
        pictures: of one digit each.
        labels: which digit each is, or should be.

    >>> known = digits("train")
    >>> strokes(known.pictures, known.labels).bincount().tolist()
    [383, 381, 387]
    """
    return (ink(pictures)[:, None] >= bounds()[labels]).sum(1)


def one_digit(part: str) -> Told:
    """Return all digits of "train", "validation" or "test", each with its stroke.

    Raises:
        ValueError: if there is no such part.

    >>> " ".join(one_digit("train").captions[0])
    'a bold zero'
    """
    found = digits(part)
    how = strokes(found.pictures, found.labels)
    said = (
        caption([label], stroke)
        for label, stroke in zip(found.labels.tolist(), how.tolist(), strict=True)
    )
    return Told(found.pictures, found.labels[:, None], tuple(said))


def is_held_out(labels: Int[Tensor, "pictures 2"]) -> Bool[Tensor, " pictures"]:
    """Say which pairs of digits are never trained: ten of a hundred; each digit is once left in them and once right.

    >>> is_held_out(torch.tensor([[0, 0], [1, 1], [1, 2]]))
    tensor([ True,  True, False])
    """
    check_tensors(labels=labels)
    return (7 * labels[:, 0] + 3 * labels[:, 1]) % 10 == 0


def two_digits(part: str, number: int, seed: int, *, held_out: bool = False) -> Told:
    """Draw pairs of digits, any two of a part, and put them side by side.

    Args:
        part: "train", "validation" or "test".
        number: how many pairs.
        seed: of the draw.
        held_out: only pairs that are never trained (``is_held_out``); only the others if not.

    Raises:
        ValueError: if there is no such part, or nothing is to be drawn.

    >>> told = two_digits("train", 3, seed=1)
    >>> told.pictures.shape, " ".join(told.captions[0])
    (torch.Size([3, 8, 16, 1]), 'a three and a four')
    """
    check_sizes(number=number)
    found = digits(part)
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.zeros(0, 2, dtype=torch.long)
    while len(drawn) < number:
        more = torch.randint(len(found.labels), (2 * number, 2), generator=rng)
        drawn = torch.cat([drawn, more[is_held_out(found.labels[more]) == held_out]])
    drawn = drawn[:number]
    labels = found.labels[drawn]
    pictures = torch.cat([found.pictures[drawn[:, 0]], found.pictures[drawn[:, 1]]], dim=2)
    return Told(pictures, labels, tuple(map(caption, labels.tolist())))


class Judge(nn.Module):
    r"""Name digits by how like they are to known ones: least squares with a Gaussian kernel.

    .. math:: f(x) = \sum_i w_i \exp(-0.2\, \lVert x - x_i \rVert^2), \qquad w = (K + 0.01 I)^{-1} y

    It is the kernel of chapter 15: in an instant it knows hands that it has never seen better than a small network.

    Args:
        known: digits to learn from.
    """

    def __init__(self, known: Digits) -> None:
        super().__init__()
        self.known = self.vectors(known.pictures)
        likeness = self.likeness(known.pictures)
        held = 0.01 * torch.eye(len(likeness), dtype=torch.float64)
        self.weights = torch.linalg.solve(
            likeness + held, 2 * F.one_hot(known.labels, 10).double() - 1
        )

    @staticmethod
    def vectors(pictures: UInt8[Tensor, "pictures 8 8 1"]) -> Float[Tensor, "pictures 64"]:
        """Return all pixels of each picture in a row, from 0 to 1."""
        return pictures.flatten(1).double() / 255

    def likeness(
        self, pictures: UInt8[Tensor, "pictures 8 8 1"]
    ) -> Float[Tensor, "pictures known"]:
        """Return how like each picture is to each that is known."""
        return torch.exp(-0.2 * torch.cdist(self.vectors(pictures), self.known) ** 2)

    def forward(self, pictures: UInt8[Tensor, "pictures 8 8 1"]) -> Int[Tensor, " pictures"]:
        """Return which digit each picture shows."""
        said: Tensor = (self.likeness(pictures) @ self.weights).argmax(1)
        return said


@cache
def judge(*parts: str) -> Judge:
    """Return a judge that has learned from some parts; from the train part if none is given.

    Raises:
        ValueError: if there is no such part.

    >>> shown = digits("test")
    >>> round((judge()(shown.pictures) == shown.labels).double().mean().item(), 3)
    0.977
    """
    found = [digits(part) for part in parts or ("train",)]
    return Judge(Digits(*map(torch.cat, zip(*found, strict=True))))
