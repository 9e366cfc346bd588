"""How a picture becomes tokens: patches of pixels, or a small convolution whose cells see 16 pixels each."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, UInt8
from torch import Tensor, nn

from minattn.checks import check_sizes, check_tensors
from minattn.learning import Recipe, learn
from minattn.schedules import OneCycle
from minattn.tasks.emoji import CLASSES
from minattn.tasks.scenes import crops
from minattn.training import seeded
from minattn.translation import Memory

WIDTHS = 32, 64, 96
"""Channels of the three convolutions of the stem."""

FIELD, STRIDE = 16, 4
"""Pixels: how far a cell of the stem sees, and from one cell to the next."""

_OUTSIDE = (FIELD - STRIDE) // 2
_WHITE = 0.5


def channels_first(
    pictures: UInt8[Tensor, "batch height width channels"],
) -> Float[Tensor, "batch channels height width"]:
    """Return pictures of bytes as convolutions read them: colours first, black -0.5, white 0.5.

    Raises:
        ValueError: if the batch or a picture is empty, or has not four axes.
        TypeError: if the pictures are no tensor of bytes.

    >>> channels_first(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)).flatten()
    tensor([-0.5000, -0.3000,  0.5000])
    """
    check_tensors(pictures=pictures)
    if pictures.dtype != torch.uint8:
        raise TypeError(f"pictures must hold bytes, torch.uint8, got {pictures.dtype}")
    if pictures.ndim != 4 or 0 in pictures.shape:
        raise ValueError(
            f"pictures must have shape (batch, height, width, channels), no axis 0, "
            f"got {tuple(pictures.shape)}"
        )
    return pictures.movedim(-1, 1).to(torch.get_default_dtype()) / 255 - 0.5


def check_channels(planes: Float[Tensor, "batch channels height width"], expected: int) -> None:
    """Reject pictures of another number of colours.

    Raises:
        ValueError: if they have another one.
    """
    if planes.shape[1] != expected:
        raise ValueError(f"pictures must have {expected} channels, got {planes.shape[1]}")


class Patches(nn.Module):
    r"""Cut pictures into square patches, and make each a token: row after row, from the upper left.

    .. math:: x_p = W \operatorname{vec}(\text{patch}_p) + b

    It is a convolution whose stride is its width, so that patches do not overlap.

    Args:
        side: of a patch, in pixels.
        d_model: width of a token.
        channels: 3 for red, green and blue, 1 for grey.

    Raises:
        ValueError: if a size is below 1.

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.

    >>> Patches(2, d_model=5, channels=1)(torch.zeros(3, 8, 8, 1, dtype=torch.uint8)).shape
    torch.Size([3, 16, 5])
    """

    def __init__(self, side: int, d_model: int, channels: int = 3) -> None:
        super().__init__()
        check_sizes(side=side, d_model=d_model, channels=channels)
        self.side = side
        self.project = nn.Conv2d(channels, d_model, side, stride=side)

    def forward(
        self, pictures: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch patches d_model"]:
        """Return a token for each patch.

        Raises:
            ValueError: if no whole number of patches fits, or the colours are another number.
            TypeError: if the pictures are no tensor of bytes.
        """
        planes = channels_first(pictures)
        check_channels(planes, self.project.in_channels)
        if planes.shape[2] % self.side or planes.shape[3] % self.side:
            raise ValueError(
                f"height and width must be multiples of side {self.side}, got {tuple(planes.shape[2:])}"
            )
        return _tokens(self.project(planes))


class Places(nn.Module):
    r"""Add to the tokens of a grid where they stand: a learned vector for the row and one for the column.

    .. math:: x_{ij} + r_i + c_j

    Args:
        rows: how many.
        columns: how many.
        d_model: width of a token.

    Raises:
        ValueError: if a size is below 1.

    >>> Places(2, 3, d_model=5)(torch.zeros(1, 6, 5)).shape
    torch.Size([1, 6, 5])
    """

    def __init__(self, rows: int, columns: int, d_model: int) -> None:
        super().__init__()
        check_sizes(rows=rows, columns=columns, d_model=d_model)
        self.rows = nn.Parameter(torch.randn(rows, d_model) * d_model**-0.5)
        self.columns = nn.Parameter(torch.randn(columns, d_model) * d_model**-0.5)

    def table(self) -> Float[Tensor, "cells d_model"]:
        """Return the vector of every cell, row after row."""
        return (self.rows[:, None] + self.columns).flatten(0, 1)

    def forward(
        self, tokens: Float[Tensor, "batch cells d_model"]
    ) -> Float[Tensor, "batch cells d_model"]:
        """Add a vector to every token.

        Raises:
            ValueError: if there is another number of tokens, or they have another width.
        """
        table = self.table()
        if tokens.shape[1:] != table.shape:
            raise ValueError(
                f"tokens must have shape (batch, {len(table)}, {table.shape[1]}), got {tuple(tokens.shape)}"
            )
        return tokens + table


class Stem(nn.Module):
    """Three convolutions that look at 16 by 16 pixels, and move on by 4.

    Cell i of a row stands for the pixels around 4i + 2: it sees 6 pixels more on either side of its own four, and
    white beyond the edges of a picture. Nothing else reaches it, and so what attends to a cell looks at a place.

    Args:
        widths: channels of the three convolutions.

    Raises:
        ValueError: if a width is below 1, or there are not three.

    >>> Stem()(torch.zeros(2, 40, 40, 3, dtype=torch.uint8)).states.shape
    torch.Size([2, 100, 96])
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) != 3:
            raise ValueError(f"widths must be three, got {len(widths)}")
        check_sizes(**{f"widths[{i}]": width for i, width in enumerate(widths)})
        one, two, three = widths
        self.width = three
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, one, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(one, two, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(two, three, 3),
            nn.ReLU(),
        )

    def cells(
        self, pictures: UInt8[Tensor, "batch height width 3"], outside: int = _OUTSIDE
    ) -> Float[Tensor, "batch cells d_out"]:
        """Return the cells, row after row.

        Args:
            pictures: red, green and blue.
            outside: how many white pixels to put around; without any, a crop of 16 pixels has one cell.

        Raises:
            ValueError: if the pictures have other colours than three, or are too small for a cell.
            TypeError: if they are no tensor of bytes.
        """
        planes = channels_first(pictures)
        check_channels(planes, 3)
        if min(planes.shape[2:]) + 2 * outside < FIELD:
            raise ValueError(
                f"a cell sees {FIELD} pixels, got pictures of {tuple(planes.shape[2:])}"
            )
        return _tokens(self.convolutions(F.pad(planes, [outside] * 4, value=_WHITE)))

    def forward(self, pictures: UInt8[Tensor, "batch height width 3"]) -> Memory:
        """Return what a decoder attends to: a state for each cell, and a mask that leaves out none."""
        states = self.cells(pictures)
        return Memory(states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device))


class CropClassifier(nn.Module):
    """Say what is in the middle of a crop: one of 32 things, or nothing.

    Args:
        stem: what looks at it.

    >>> CropClassifier(Stem())(torch.zeros(2, 16, 16, 3, dtype=torch.uint8)).shape
    torch.Size([2, 33])
    """

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.stem = stem
        self.readout = nn.Linear(stem.width, len(CLASSES) + 1)

    def forward(self, pictures: UInt8[Tensor, "batch 16 16 3"]) -> Float[Tensor, "batch classes"]:
        """Return the logits of every crop."""
        if pictures.shape[1:3] != (FIELD, FIELD):
            raise ValueError(
                f"crops must have {FIELD} by {FIELD} pixels, got {tuple(pictures.shape[1:3])}"
            )
        logits: Tensor = self.readout(self.stem.cells(pictures, outside=0)[:, 0])
        return logits


def pretrain(
    designers: Sequence[str],
    *,
    seed: int,
    steps: int = 800,
    background: str = "white",
    nothing: float | int = 0.2,
    progress: bool = False,
) -> CropClassifier:
    """Train a stem to name what is in the middle of crops, 128 new ones at each step.

    Args:
        designers: whose emoji.
        seed: of the weights and the crops.
        steps: how many.
        background: as of ``minattn.tasks.scenes.crops``.
        nothing: the share of crops with nothing in the middle.
        progress: show one line that stays.

    Raises:
        ValueError: if a number is out of range, or there is no such designer or background.
    """
    recipe = Recipe(
        steps=steps,
        batch_size=128,
        learning_rate=4e-3,
        schedule=OneCycle(steps, warm_up=0.2),
        smoothing=0.05,
        weight_decay=0.01,
        seed=seed,
    )
    with seeded(seed):
        model = CropClassifier(Stem())
    made = _crops(designers, recipe, background, nothing)
    learn(
        model,
        made,
        lambda m, b: F.cross_entropy(m(b[0]), b[1], label_smoothing=0.05),
        recipe,
        progress=progress,
    )
    return model


def _crops(
    designers: Sequence[str], recipe: Recipe, background: str, nothing: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw a batch of crops for each step."""
    for step in range(recipe.steps):
        found = crops(
            recipe.batch_size,
            designers,
            seed=10_000 * recipe.seed + step,
            nothing=nothing,
            background=background,
        )
        yield torch.from_numpy(found.pictures), torch.from_numpy(found.classes)


@torch.no_grad()
def features(
    stem: Stem, pictures: UInt8[Tensor, "pictures height width 3"], at_once: int = 250
) -> Float16[Tensor, "pictures cells d_out"]:
    """Compute once what a frozen stem says of many pictures, in half precision: 150 MB for 8,000 scenes.

    Raises:
        ValueError: if ``at_once`` is below 1, or the stem cannot read the pictures.

    >>> features(Stem(), torch.zeros(3, 8, 8, 3, dtype=torch.uint8)).shape
    torch.Size([3, 4, 96])
    """
    check_sizes(at_once=at_once)
    return torch.cat([stem.cells(part).half() for part in torch.split(pictures, at_once)])


def _tokens(planes: Float[Tensor, "batch d height width"]) -> Float[Tensor, "batch height*width d"]:
    return planes.flatten(2).mT
