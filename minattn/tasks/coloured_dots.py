"""A grey photo and a few coloured dots: which colour has every pixel?

The photo is one of the whole Earth, the Blue Marble of NASA, a quarter of a degree a pixel. ``book/tools/earth.py``
is how it was made, and ``earth.LICENSE`` says whose it is. Training sees the Americas, validation the Atlantic, the
west of Europe and of Africa, the test what is east of that: most of Africa, Asia and Australia.
"""

import io
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minattn.checks import check_floats, check_integers, check_sizes

SIDE = 64
"""Height and width of a crop: sixteen degrees."""

PARTS = {"train": (0, 600), "validation": (600, 840), "held_out": (840, 1440)}
"""The columns of each part: from 180 to 30 degrees west, from there to 30 east, and the rest."""

ROWS = 60, 580
"""Without the polar caps, which are one colour."""

LEAST_SPREAD = 0.05
"""What the colours of a crop deviate at least from their mean: the middle of an ocean is one blue."""

_GREY = 0.3, 0.59, 0.11


@cache
def earth() -> Float[Tensor, "720 1440 3"]:
    """Return the photo: red, green and blue from 0 to 1, the north above.

    >>> photo = earth()
    >>> photo.shape, bool(photo[360, 620, 2] > photo[360, 620, 0])  # the Atlantic is blue
    (torch.Size([720, 1440, 3]), True)
    """
    import matplotlib.image  # only here: it takes a while to load

    stored = resources.files("minattn.tasks") / "earth.jpg"
    pixels = matplotlib.image.imread(io.BytesIO(stored.read_bytes()), format="jpg")
    return torch.from_numpy(np.array(pixels)).float() / 255


def to_grey_and_colour(
    photo: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 2"]]:
    r"""Split a photo into how light it is, and two numbers for its colour.

    .. math:: y = 0.3 r + 0.59 g + 0.11 b, \qquad c = (r - y, b - y)

    The colour of what is grey is (0, 0).

    References:
        ITU-R BT.601, where the two differences are scaled as well.

    >>> grey, colour = to_grey_and_colour(torch.tensor([1.0, 0.0, 0.0]))
    >>> round(grey.item(), 2), [round(x, 2) for x in colour.tolist()]
    (0.3, [0.7, -0.3])
    """
    check_floats(photo=photo)
    red, green, blue = photo.unbind(-1)
    grey = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
    return grey, torch.stack([red - grey, blue - grey], -1)


def to_photo(
    grey: Float[Tensor, "*batch"], colour: Float[Tensor, "*batch 2"]
) -> Float[Tensor, "*batch 3"]:
    """Undo ``to_grey_and_colour``; what is not from 0 to 1, as colours can be that no screen has, is cut off."""
    red, blue = (colour + grey[..., None]).unbind(-1)
    green = (grey - _GREY[0] * red - _GREY[2] * blue) / _GREY[1]
    return torch.stack([red, green, blue], -1).clamp(0, 1)


class Dotted(NamedTuple):
    """Grey crops with coloured dots.

    Attributes:
        grey: how light every pixel is, from 0 to 1.
        place: of each dot, row times width plus column.
        dots: the colour of each dot.
        colour: of every pixel, what is asked for.
    """

    grey: Float[Tensor, "batch height width"]
    place: Int[Tensor, "batch dots"]
    dots: Float[Tensor, "batch dots 2"]
    colour: Float[Tensor, "batch height width 2"]


def at(
    pixels: Float[Tensor, "batch height width d"], place: Int[Tensor, "batch dots"]
) -> Float[Tensor, "batch dots d"]:
    """Look up what the pixels are at the dots.

    >>> at(torch.arange(6.0).reshape(1, 2, 3, 1), torch.tensor([[4, 0]])).flatten()
    tensor([4., 0.])
    """
    flat = pixels.flatten(1, 2)
    return flat.gather(1, place[..., None].expand(-1, -1, flat.shape[-1]))


def truth(batch: Dotted) -> Bool[Tensor, "batch pixels dots"]:
    """Say for each pixel which dot has the colour that is nearest to its own; a batch takes some memory.

    >>> colour = torch.tensor([[[[0.0, 0.0], [0.5, 0.0]]]])
    >>> place = torch.tensor([[1, 0]])
    >>> truth(Dotted(colour[..., 0], place, at(colour, place), colour)).int()
    tensor([[[0, 1],
             [1, 0]]], dtype=torch.int32)
    """
    distance = torch.cdist(batch.colour.flatten(1, 2), batch.dots)
    return distance == distance.amin(-1, keepdim=True)


def turn_colours(
    colour: Float[Tensor, "batch height width 2"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch height width 2"]:
    """Turn the plane of colours of every picture by an angle of its own, and mirror that of every other or so.

    How light a pixel is stays. Afterwards nobody can know from the grey photo that a sea is blue.
    """
    n = len(colour)
    angle = 2 * torch.pi * torch.rand(n, generator=generator, dtype=colour.dtype)
    sign = 1.0 - 2.0 * torch.randint(2, (n,), generator=generator).to(colour.dtype)
    rows = [angle.cos(), -sign * angle.sin(), angle.sin(), sign * angle.cos()]
    turn = torch.stack(rows, -1).reshape(n, 1, 2, 2)
    return colour @ turn.mT


@cache
def _corners(part: str) -> Int[Tensor, "crops 2"]:
    """Return the upper left corners of all crops of a part that are not of one colour."""
    _, colour = to_grey_and_colour(earth())
    sums = torch.cat([colour, colour.square()], -1).double()
    total = torch.nn.functional.pad(sums.cumsum(0).cumsum(1), (0, 0, 1, 0, 1, 0))
    mean = (
        total[SIDE:, SIDE:] - total[:-SIDE, SIDE:] - total[SIDE:, :-SIDE] + total[:-SIDE, :-SIDE]
    ) / SIDE**2
    spread = (mean[..., 2:] - mean[..., :2].square()).sum(-1).sqrt()
    (top, bottom), (left, right) = ROWS, PARTS[part]
    inside = torch.zeros_like(spread, dtype=torch.bool)
    inside[top : bottom - SIDE + 1, left : right - SIDE + 1] = True
    return (inside & (spread > LEAST_SPREAD)).nonzero()


def coloured_dots(
    part: str, n: int, *, n_dots: int = 16, turned: bool = True, seed: int = 0
) -> Dotted:
    """Draw crops of a part of the Earth, with coloured dots at random places.

    Args:
        part: train, validation or held_out.
        n: how many crops.
        n_dots: how many dots a crop has.
        turned: turn the plane of colours of every crop by another angle, see ``turn_colours``.
        seed: decides everything.

    Raises:
        ValueError: if there is no such part, a number is below 1, or there are more dots than pixels.

    >>> crops = coloured_dots("held_out", 3, n_dots=5)
    >>> crops.grey.shape, crops.dots.shape
    (torch.Size([3, 64, 64]), torch.Size([3, 5, 2]))
    """
    check_integers(seed=seed)
    return _draw(part, n, n_dots, turned, torch.Generator().manual_seed(seed))


def dotted_batches(
    batch_size: int, *, n_dots: int = 16, turned: bool = True, seed: int = 0
) -> Iterator[Dotted]:
    """Draw batches of crops to train on, without end; see ``coloured_dots``."""
    check_integers(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield _draw("train", batch_size, n_dots, turned, generator)


def _draw(part: str, n: int, n_dots: int, turned: bool, generator: torch.Generator) -> Dotted:
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    check_sizes(n=n, n_dots=n_dots)
    if n_dots > SIDE**2:
        raise ValueError(f"n_dots must be at most the {SIDE**2} pixels, got {n_dots}")
    corners = _corners(part)
    chosen = corners[torch.randint(len(corners), (n,), generator=generator)].tolist()
    photo = earth()
    grey, colour = to_grey_and_colour(
        torch.stack([photo[y : y + SIDE, x : x + SIDE] for y, x in chosen])
    )
    if turned:
        colour = turn_colours(colour, generator)
    place = torch.rand(n, SIDE**2, generator=generator).topk(n_dots, dim=1).indices
    return Dotted(grey, place, at(colour, place), colour)
