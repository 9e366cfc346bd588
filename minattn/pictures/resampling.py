"""Pictures made smaller and larger, and how far two of them differ."""

import math

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from minattn.checks import check_floats, check_positive, check_sizes

FACTOR = 4
"""How many times wider and higher the large picture is."""


def shrink(
    picture: Float[Tensor, "batch height width"], factor: int = FACTOR, antialias: bool = True
) -> Float[Tensor, "batch rows columns"]:
    """Make a picture smaller with the bicubic filter; pixels are areas, whose corners agree before and after.

    Args:
        picture: height and width are multiples of the factor.
        factor: how many times smaller.
        antialias: widen the filter by the factor, so that every pixel has its share. Else it looks at the sixteen
            nearest pixels, and stripes that are finer than the new pixels come out as other stripes.

    Raises:
        ValueError: if the factor does not divide the sizes.

    >>> import torch
    >>> shrink(torch.ones(1, 8, 4)).shape
    torch.Size([1, 2, 1])
    """
    check_floats(picture=picture)
    check_sizes(factor=factor)
    _, height, width = picture.shape
    if height % factor or width % factor:
        raise ValueError(
            f"height and width must be multiples of {factor}, got {height} and {width}"
        )
    return _bicubic(picture, height // factor, width // factor, antialias)


def enlarge(
    picture: Float[Tensor, "batch height width"], factor: int = FACTOR
) -> Float[Tensor, "batch rows columns"]:
    """Make a picture larger with the bicubic filter, which adds no detail.

    The cubic is torch's (a = -3/4). MATLAB and Pillow have another one (a = -1/2), which torch takes where it is told
    to antialias; it comes out a tenth of a decibel lower here.

    >>> import torch
    >>> enlarge(torch.ones(1, 2, 1)).shape
    torch.Size([1, 8, 4])
    """
    check_floats(picture=picture)
    check_sizes(factor=factor)
    return _bicubic(picture, picture.shape[1] * factor, picture.shape[2] * factor, False)


def blur(
    picture: Float[Tensor, "batch height width"], factor: int = FACTOR
) -> Float[Tensor, "batch height width"]:
    """Make a picture smaller and larger again: what is left of it has no detail.

    >>> import torch
    >>> stripes = torch.tensor([0.0, 1.0]).repeat(1, 8, 8)
    >>> float((blur(stripes) - 0.5).abs()[..., 4:-4].max()) < 0.1
    True
    """
    return enlarge(shrink(picture, factor), factor)


def _bicubic(picture: Tensor, height: int, width: int, antialias: bool) -> Tensor:
    large: Tensor = F.interpolate(
        picture[:, None],
        size=(height, width),
        mode="bicubic",
        antialias=antialias,
        align_corners=False,
    )
    return large[:, 0]


def psnr(
    found: Float[Tensor, "*sizes"],
    right: Float[Tensor, "*sizes"],
    counted: Bool[Tensor, "*sizes"] | None = None,
    peak: float | int = 1.0,
) -> float:
    r"""Return the peak signal-to-noise ratio, in decibels.

    .. math:: 10 \log_{10} \frac{\text{peak}^2}{\operatorname{mean} (x - y)^2}

    Args:
        found: a picture, or several whose errors are taken together.
        right: what it should be.
        counted: which pixels count; all if not given.
        peak: the difference between black and white.

    Returns:
        Six decibels more are half the error; infinity where there is none.

    Raises:
        ValueError: if the shapes differ or no pixel counts.

    >>> import torch
    >>> round(psnr(torch.tensor([0.5, 0.6]), torch.tensor([0.6, 0.5])), 2)
    20.0
    """
    check_floats(found=found, right=right)
    check_positive(peak=peak)
    if found.shape != right.shape:
        raise ValueError(
            f"pictures must have one shape, got {tuple(found.shape)} and {tuple(right.shape)}"
        )
    error = (found.double() - right.double()).square()
    error = error if counted is None else error[counted]
    if not error.numel():
        raise ValueError("a ratio needs at least one pixel that counts, got none")
    mean = error.mean().item()
    return math.inf if mean == 0 else 10 * math.log10(peak**2 / mean)
