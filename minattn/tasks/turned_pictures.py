"""Turn or mirror a picture as told: where every pixel of the answer comes from is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minattn.checks import check_ids, check_integers, check_sizes
from minattn.pointing import one_right_key
from minattn.tasks.digits import digits

SIDE = 24
"""Height and width of a picture."""

PATCH = 4
"""Height and width of a patch: a picture is a grid of 6 by 6 of them."""

DIGIT = 8
"""Height and width of a digit."""

COMMANDS = (
    "leave it",
    "mirror left and right",
    "mirror top and bottom",
    "half turn",
    "swap rows and columns",
    "quarter turn right",
    "quarter turn left",
    "half turn, then swap",
)
"""Everything that can be done to a square so that it covers itself again."""


def turned(
    pictures: Float[Tensor, "batch side side"] | Int[Tensor, "batch side side"],
    command: Int[Tensor, " batch"],
) -> Float[Tensor, "batch side side"] | Int[Tensor, "batch side side"]:
    """Do to every picture what its command says.

    Args:
        pictures: squares of any size.
        command: a place in ``COMMANDS`` for each.

    Raises:
        ValueError: if a picture is no square, there is not one command for each, or there is no such command.
        TypeError: if the commands are not of dtype int64.

    >>> square = torch.tensor([[[1, 2], [3, 4]]])
    >>> turned(square, torch.tensor([COMMANDS.index("quarter turn right")]))
    tensor([[[3, 1],
             [4, 2]]])
    """
    check_ids(len(COMMANDS), command=command)
    if pictures.ndim != 3 or pictures.shape[1] != pictures.shape[2]:
        raise ValueError(f"pictures must be squares, got shape {tuple(pictures.shape)}")
    if command.shape != pictures.shape[:1]:
        raise ValueError(
            f"there must be one command for each of {len(pictures)} pictures, got {tuple(command.shape)}"
        )
    found = torch.empty_like(pictures)
    for number in sorted(set(command.tolist())):
        rows = command == number
        found[rows] = _turn(pictures[rows], number)
    return found


def _turn(pictures: Tensor, number: int) -> Tensor:
    """Swap, mirror left and right, mirror top and bottom: the bits of a number say which of the three."""
    if number & 4:
        pictures = pictures.mT
    if number & 1:
        pictures = pictures.flip(2)
    if number & 2:
        pictures = pictures.flip(1)
    return pictures


def sources(n_rows: int = SIDE // PATCH) -> Int[Tensor, "commands patches"]:
    """Say for each command and patch of the answer which patch of the picture it comes from.

    Args:
        n_rows: rows of patches, and columns.

    >>> sources(2)[COMMANDS.index("quarter turn right")].tolist()
    [2, 0, 3, 1]
    """
    check_sizes(n_rows=n_rows)
    numbered = torch.arange(n_rows**2).reshape(1, n_rows, n_rows).expand(len(COMMANDS), -1, -1)
    return turned(numbered, torch.arange(len(COMMANDS))).flatten(1)


class Turned(NamedTuple):
    """Pictures, and what becomes of them.

    Attributes:
        picture: what is given.
        command: what to do with it, a place in ``COMMANDS``.
        answer: what shall come out.
    """

    picture: Float[Tensor, "batch side side"]
    command: Int[Tensor, " batch"]
    answer: Float[Tensor, "batch side side"]


def with_commands(
    pictures: Float[Tensor, "batch side side"], generator: torch.Generator | None = None
) -> Turned:
    """Give every picture a command.

    Args:
        pictures: squares.
        generator: draws the commands; if not given, the pictures get one command after the other.
    """
    n = len(pictures)
    if generator is None:
        command = torch.arange(n) % len(COMMANDS)
    else:
        command = torch.randint(len(COMMANDS), (n,), generator=generator)
    return Turned(pictures, command, turned(pictures, command))


def truth(command: Int[Tensor, " batch"]) -> Bool[Tensor, "batch patches patches"]:
    """Say for each patch of the answer which patch of the picture it is made of.

    Raises:
        ValueError: if there is no such command.
        TypeError: if the commands are not of dtype int64.

    >>> truth(torch.tensor([3])).shape
    torch.Size([1, 36, 36])
    """
    check_ids(len(COMMANDS), command=command)
    return one_right_key(sources()[command], (SIDE // PATCH) ** 2)


def canvases(
    digits: Float[Tensor, "digits 8 8"], n: int, generator: torch.Generator
) -> Float[Tensor, "n 24 24"]:
    """Lay one to four digits on each canvas, anywhere, so that none covers another.

    Args:
        digits: what to draw from.
        n: how many canvases.
        generator: decides everything.

    Raises:
        ValueError: if ``n`` is below 1, or there is no digit.
    """
    check_sizes(n=n, digits=len(digits))
    found = torch.zeros(n, SIDE, SIDE)
    for canvas in found:
        for top, left in _apart(int(torch.randint(1, 5, (), generator=generator)), generator):
            which = int(torch.randint(len(digits), (), generator=generator))
            canvas[top : top + DIGIT, left : left + DIGIT] = digits[which]
    return found


def _apart(n: int, generator: torch.Generator) -> list[list[int]]:
    """Draw corners of squares that do not overlap."""
    while True:
        corners = torch.randint(SIDE - DIGIT + 1, (n, 2), generator=generator)
        gap = (corners[:, None] - corners).abs().amax(-1) + SIDE * torch.eye(n, dtype=torch.int64)
        if bool((gap >= DIGIT).all()):
            return corners.tolist()


@dataclass(frozen=True)
class TurnedPictures:
    """Canvases with digits, each with a command.

    Args:
        train: canvases to learn from; their commands are drawn anew each time.
        validation: to choose by, with digits of others.
        held_out: to be tested on, with digits of others again.
    """

    train: Float[Tensor, "train side side"]
    validation: Turned
    held_out: Turned

    def batches(self, batch_size: int, seed: int = 0) -> Iterator[Turned]:
        """Draw batches to train on, without end."""
        check_sizes(batch_size=batch_size)
        check_integers(seed=seed)
        generator = torch.Generator().manual_seed(seed)
        while True:
            rows = torch.randint(len(self.train), (batch_size,), generator=generator)
            yield with_commands(self.train[rows], generator)


def turned_pictures(
    n_train: int = 2_000, n_validation: int = 200, n_held_out: int = 400, seed: int = 0
) -> TurnedPictures:
    """Lay digits on canvases, in three parts by others.

    Args:
        n_train: how many canvases to learn from.
        n_validation: how many to choose by.
        n_held_out: how many to be tested on.
        seed: decides everything.

    Raises:
        ValueError: if a number is below 1.

    >>> task = turned_pictures(n_train=3, n_validation=2, n_held_out=2)
    >>> task.held_out.answer.shape, next(task.batches(5)).command.shape
    (torch.Size([2, 24, 24]), torch.Size([5]))
    """
    check_sizes(n_train=n_train, n_validation=n_validation, n_held_out=n_held_out)
    check_integers(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    made = [
        canvases(digits(part).pictures[..., 0].float() / 255, n, generator)
        for part, n in (("train", n_train), ("validation", n_validation), ("test", n_held_out))
    ]
    return TurnedPictures(made[0], with_commands(made[1]), with_commands(made[2]))
