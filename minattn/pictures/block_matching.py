"""Find the same thing in two views by comparing blocks of pixels, with nothing learned."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from minattn.checks import check_sizes, check_whole
from minattn.pictures.resampling import blur


def block_matching(
    blurred: Float[Tensor, "batch height width"],
    right: Float[Tensor, "batch height width"],
    *,
    reach: int = 32,
    block: int = 9,
) -> Int[Tensor, "batch height width"]:
    """Find for each pixel how far left the block around it is most like one in the blurred right view.

    Args:
        blurred: the left view.
        right: the right view, sharp.
        reach: the largest disparity that is tried.
        block: side of the blocks; odd.

    Returns:
        The disparity whose squared differences, all over the block together, are least.

    Raises:
        ValueError: if the block is even, a size is below its least, or the views have not the same shape.

    >>> left = torch.zeros(1, 8, 16)
    >>> left[..., 8:] = 1.0
    >>> right = left.roll(-4, -1)  # as if the edge stood four columns nearer
    >>> block_matching(blur(left), right, reach=6, block=5)[0, 4, 8]
    tensor(4)
    """
    check_views(blurred, right)
    check_whole(0, reach=reach)
    check_sizes(block=block)
    if block % 2 == 0:
        raise ValueError(f"block must be odd, so that it has a middle, got {block}")
    right_blurred = blur(right)
    errors = []
    for disparity in range(reach + 1):
        moved = F.pad(right_blurred, (disparity, 0), value=math.inf)[..., : blurred.shape[-1]]
        squared = (blurred - moved).square().clamp_max(1e3)  # nothing is there
        errors.append(F.avg_pool2d(squared, block, 1, block // 2, count_include_pad=False))
    return torch.stack(errors).argmin(0)


def fetch(
    picture: Float[Tensor, "batch height width"], disparity: Int[Tensor, "batch height width"]
) -> Float[Tensor, "batch height width"]:
    """Take every pixel from so many columns further left: u = x - d.

    Raises:
        ValueError: if that is outside.

    >>> fetch(torch.tensor([[[5.0, 6.0, 7.0]]]), torch.tensor([[[0, 1, 1]]]))
    tensor([[[5., 5., 6.]]])
    """
    columns = torch.arange(picture.shape[-1], device=picture.device) - disparity
    if bool(((columns < 0) | (columns >= picture.shape[-1])).any()):
        raise ValueError(
            f"a column must be from 0 to {picture.shape[-1] - 1}, got {columns.min()} to {columns.max()}"
        )
    return picture.gather(-1, columns)


def block_matched(
    blurred: Float[Tensor, "batch height width"],
    right: Float[Tensor, "batch height width"],
    *,
    share: float = 1.0,
    reach: int = 32,
    block: int = 9,
) -> Float[Tensor, "batch height width"]:
    """Add the detail of the block that matches best to the blurred left view.

    Args:
        blurred: the left view.
        right: the right view, sharp.
        share: of the detail; less than all where some matches are wrong.
        reach: the largest disparity that is tried.
        block: side of the blocks; odd.
    """
    disparity = block_matching(blurred, right, reach=reach, block=block)
    return blurred + share * fetch(right - blur(right), disparity)


def check_views(left: Tensor, right: Tensor) -> None:
    """Check that two views have the same shape.

    Raises:
        ValueError: if they have not.
    """
    if left.shape != right.shape:
        raise ValueError(
            f"the right view must have the shape of the left one, {tuple(left.shape)}, got {tuple(right.shape)}"
        )
