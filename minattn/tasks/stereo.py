"""Two views of one scene, and how far everything stands apart in them.

What the left eye sees in column x, the right eye sees in column x - d of the same row; d is the disparity, large for
what is near. Scenes are rendered from free photographs, and one is a photograph itself: the motorcycle of Middlebury
College, which is read from the library scikit-image and not stored here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from matplotlib.image import imread
from torch import Tensor

from minattn.checks import check_not_negative, check_sizes, check_whole
from minattn.tasks.layers import Layer, draw_scene, greys, render
from minattn.tasks.photos import photos

REACH = 32
"""The largest disparity that pairs are made with, but for those that say otherwise."""

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""How ITU-R BT.601 weighs red, green and blue."""


@dataclass(frozen=True)
class StereoPairs:
    """Views of some scenes, and the disparity of what the left eye sees.

    Args:
        left: from 0 (black) to 1 (white).
        right: the same scenes, seen from further right.
        disparity: of the left view, in columns; NaN where it is not known.

    Raises:
        ValueError: if the three have not the same shape.
    """

    left: Float[Tensor, "batch height width"]
    right: Float[Tensor, "batch height width"]
    disparity: Float[Tensor, "batch height width"]

    def __post_init__(self) -> None:
        shapes = [tuple(x.shape) for x in (self.left, self.right, self.disparity)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3:
            raise ValueError(
                f"views and disparity need one shape (batch, height, width), got {shapes}"
            )

    def __len__(self) -> int:
        return len(self.left)

    def select(self, rows: Int[Tensor, " rows"]) -> "StereoPairs":
        """Return some of the pairs."""
        return StereoPairs(self.left[rows], self.right[rows], self.disparity[rows])

    def visible(self) -> Bool[Tensor, "batch height width"]:
        """Say what of the left view the right eye sees too.

        Hidden is what something nearer stands before, and what lies left of the right view's border. Where the
        disparity is not known, it is False.

        >>> nothing = torch.zeros(1, 1, 3)
        >>> StereoPairs(nothing, nothing, torch.tensor([[[1.0, 0.0, 1.0]]])).visible()
        tensor([[[False, False,  True]]])
        """
        columns = torch.arange(self.left.shape[-1])
        there = (columns - self.disparity).nan_to_num(-1)
        inside = self.disparity.isfinite() & (there.round() >= 0)
        nearest = torch.full_like(self.disparity, -torch.inf)
        before = self.disparity.where(inside, -torch.inf)
        for column in (there.floor(), there.ceil()):  # it covers a part of both
            nearest.scatter_reduce_(-1, column.long().clamp_min(0), before, "amax")
        # Less 1, for a slanted plane may put two neighbours into one column of the other view.
        found: Tensor = inside & (
            self.disparity > nearest.gather(-1, there.round().long().clamp_min(0)) - 1
        )
        return found

    def truth(self, within: float | int = 2) -> Bool[Tensor, "rows queries keys"]:
        """Say which columns of the right view show what a pixel of the left one shows, row by row.

        Args:
            within: how many columns beside the right one count as well.

        Returns:
            For each row of each pair; no key is right for a pixel that the right eye does not see.

        Raises:
            ValueError: if ``within`` is below 0.
        """
        check_not_negative(within=within)
        columns = torch.arange(self.left.shape[-1])
        there = (columns - self.disparity).flatten(0, 1)[..., None]
        near = (columns - there).abs() <= within
        return near & self.visible().flatten(0, 1)[..., None]

    def moved(self, columns: int) -> "StereoPairs":
        """Move the right view to the left: every disparity grows by so much. What enters on its right is grey.

        Raises:
            ValueError: if ``columns`` is below 0.
        """
        check_whole(0, columns=columns)
        right = torch.full_like(self.right, 0.5)
        width = right.shape[-1]
        right[..., : max(0, width - columns)] = self.right[..., columns:]
        return StereoPairs(self.left, right, self.disparity + columns)


def stereo_pairs(
    n: int,
    height: int = 24,
    width: int = 96,
    *,
    part: str = "train",
    seed: int = 0,
    reach: int = REACH,
) -> StereoPairs:
    """Render scenes drawn at random from the photographs of a part.

    The right eye sees everything up to a twentieth lighter or darker, as no two cameras are quite alike.

    Args:
        n: how many.
        height: of each view, at most that of the smallest photograph of the part.
        width: of each view; with ``reach`` at most that of the smallest photograph.
        part: of the photographs, see ``minattn.tasks.photos``.
        seed: decides all that is drawn.
        reach: no disparity is larger than this less 1.

    Raises:
        ValueError: if a size is below 1, a photograph is too small, or there is no such part.

    >>> pairs = stereo_pairs(2, height=8, width=40)
    >>> pairs.left.shape, bool(pairs.disparity.max() <= 31)
    (torch.Size([2, 8, 40]), True)
    """
    check_sizes(n=n, height=height, width=width, reach=reach)
    check_whole(0, seed=seed)
    for name, photo in photos(part).items():
        if photo.shape[0] < height or photo.shape[1] < width + reach:
            raise ValueError(
                f"height and width + reach must fit into {name}, which is {photo.shape}, "
                f"got {height} and {width + reach}"
            )
    return _drawn(np.random.default_rng(seed), n, part, height, width, reach)


def _drawn(
    rng: np.random.Generator, n: int, part: str, height: int, width: int, reach: int
) -> StereoPairs:
    rendered = []
    for _ in range(n):
        left, right, disparity = render(draw_scene(rng, part, height, width, reach), height, width)
        gain, shift = rng.uniform(0.95, 1.05), rng.uniform(-0.02, 0.02)
        rendered.append((left, (right * gain + shift).clip(0, 1), disparity))
    return _pairs(rendered)


def _pairs(rendered: Sequence[tuple[np.ndarray, ...]]) -> StereoPairs:
    parts = (np.stack(part).astype(np.float32) for part in zip(*rendered, strict=True))
    return StereoPairs(*map(torch.from_numpy, parts))


COINS = (
    # Middle and radius in the photograph, middle in the left view, disparity.
    ((54, 44), 19, (150, 60), 17.0),
    ((44, 335), 27, (140, 128), 20.0),
    ((51, 155), 22, (60, 70), 22.5),
    ((120, 271), 24, (128, 216), 25.0),
    ((51, 216), 21, (48, 250), 26.5),
    ((124, 206), 19, (100, 165), 29.0),
)


def free_pair() -> StereoPairs:
    """Render coins that hover before a raccoon: a scene from photographs that no training sees.

    The background slants from disparity 4 at the top to 11 at the bottom; each coin has one disparity.

    >>> pair = free_pair()
    >>> pair.left.shape, pair.disparity[0, 0, 0].item(), pair.disparity.max().item()
    (torch.Size([1, 192, 288]), 4.0, 29.0)
    """
    height, width = 192, 288
    behind, coins = greys("test")
    slant = (4.0, 0.0, 7 / (height - 1))
    middle = (height / 2, width / 2)
    layers = [Layer(behind, "all", middle, middle, slant, (32, 20))]
    for (row, column), radius, (y, x), disparity in COINS:
        start = (row - y, column - x)
        plane = (disparity, 0.0, 0.0)
        layers.append(Layer(coins, "disc", (y, x), (radius, radius), plane, start))
    return _pairs([render(layers, height, width)])


def has_motorcycle() -> bool:
    """Say whether scikit-image is installed, with which the motorcycle comes."""
    return find_spec("skimage") is not None


def motorcycle() -> StereoPairs:
    """Read the motorcycle in a garage, at half the size in which scikit-image brings it.

    A real photograph from two places, with the disparity that was measured; where it was not, it is NaN. What it
    may be used for is not stated, so no picture of it is stored in this project.

    Raises:
        ModuleNotFoundError: if scikit-image is not installed.

    References:
        Scharstein et al. 2014, High-resolution stereo datasets with subpixel-accurate ground truth.
    """
    if not has_motorcycle():
        raise ModuleNotFoundError(
            "the motorcycle comes with scikit-image, which must be installed: pip install scikit-image"
        )
    folder = resources.files("skimage") / "data"
    views = []
    for name in ("motorcycle_left.png", "motorcycle_right.png"):
        with folder.joinpath(name).open("rb") as file:
            views.append(halved(imread(BytesIO(file.read()))[..., :3] @ GREY))
    with folder.joinpath("motorcycle_disp.npz").open("rb") as file, np.load(file) as stored:
        full = stored["arr_0"]
    disparity = halved(np.where(np.isfinite(full), full, np.nan)) / 2
    return _pairs([(*views, disparity)])


def halved(picture: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "rows columns"]:
    """Give each block of two by two pixels its mean, and keep rows and columns by the multiple of four.

    >>> halved(np.arange(64.0).reshape(8, 8))[:, :2]
    array([[ 4.5,  6.5],
           [20.5, 22.5],
           [36.5, 38.5],
           [52.5, 54.5]])
    """
    rows, columns = (size // 8 * 8 for size in picture.shape)
    blocks = picture[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2)
    return np.asarray(blocks.mean((1, 3)))
