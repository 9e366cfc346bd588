"""Super-resolution: where could the missing detail of a small picture come from?"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checks import check_sizes, check_whole
from minattn.dot_product import DotProductAttention
from minattn.dot_product import attend as dot_product_attend
from minattn.learning import Recipe, learn
from minattn.masks import Window
from minattn.pictures.block_matching import check_views
from minattn.pictures.resampling import FACTOR, blur
from minattn.seam import Attend
from minattn.tasks.stereo import StereoPairs
from minattn.training import Losses, batches

N_DETAIL = 8
"""How many learned numbers describe the detail at a pixel."""


class Upscaler(nn.Module):
    """Guess what a blurred picture lacks from what is around each pixel, by convolutions alone.

    Args:
        d_model: numbers at a pixel.
        beside: also read the right view at the same place.

    Raises:
        ValueError: if ``d_model`` is below 1.

    References:
        Dong et al. 2016 (SRCNN), arXiv:1501.00092, also on pictures that were enlarged before; the difference to
        these is learned as by Kim et al. 2016 (VDSR), arXiv:1511.04587.

    >>> Upscaler(d_model=5)(torch.zeros(2, 8, 12), torch.zeros(2, 8, 12)).shape
    torch.Size([2, 8, 12])
    """

    def __init__(self, d_model: int = 32, *, beside: bool = False) -> None:
        super().__init__()
        self.beside = beside
        self.look = _looker(3 if beside else 1, d_model)
        self.paint = _painter(d_model, d_model)

    def forward(
        self,
        blurred: Float[Tensor, "batch height width"],
        right: Float[Tensor, "batch height width"],
    ) -> Float[Tensor, "batch height width"]:
        """Return the blurred picture and what is guessed to be missing.

        Raises:
            ValueError: if the views have not the same shape.
        """
        check_views(blurred, right)
        read = blurred[:, None]
        if self.beside:
            right_blurred = blur(right)
            read = torch.stack([blurred, right_blurred, right - right_blurred], dim=1)
        return _added(blurred, self.paint(self.look(read)))


class PatchUpscaler(nn.Module):
    """Guess what one blurred picture lacks, with or without looking at all of it.

    It works on patches of 4 by 4 pixels, each with what two convolutions see around it. With an attend every patch may
    ask all the others of its picture; without, two more convolutions stand there.

    Args:
        d_model: numbers at a patch.
        attend: ``attend(query, key, value, mask) -> output`` over all patches of a picture; convolutions if not given.

    Raises:
        ValueError: if ``d_model`` is below 1.

    References:
        Attention over all places of a picture: Wang et al. 2018 (non-local networks), arXiv:1711.07971. Patches
        turned into pixels at the end: Shi et al. 2016, arXiv:1609.05158.

    >>> model = PatchUpscaler(d_model=7, attend=dot_product_attend)
    >>> model(torch.zeros(2, 8, 12), torch.zeros(2, 8, 12)).shape
    torch.Size([2, 8, 12])
    """

    def __init__(self, d_model: int = 64, attend: Attend | None = None) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(FACTOR**2, d_model, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(d_model, d_model, 3, padding=1),
        )
        self.lookup: nn.Module = (
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(d_model, d_model, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(d_model, d_model, 3, padding=1),
            )
            if attend is None
            else DotProductAttention(
                d_query=d_model, d_key=d_model, d_k=d_model, d_v=d_model, attend=attend
            )
        )
        self.attends = attend is not None
        self.paint = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(d_model, d_model, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(d_model, FACTOR**2, 3, padding=1),
        )
        _add_nothing(self.paint)

    def forward(
        self,
        blurred: Float[Tensor, "batch height width"],
        right: Float[Tensor, "batch height width"],
    ) -> Float[Tensor, "batch height width"]:
        """Return the blurred picture and what is guessed to be missing; another view is not looked at."""
        seen = self.look(F.pixel_unshuffle(blurred[:, None], FACTOR))
        if self.attends:
            tokens = seen.flatten(2).mT
            found = self.lookup(tokens, tokens, tokens).mT.unflatten(-1, seen.shape[-2:])
        else:
            found = self.lookup(seen)
        return _added(blurred, F.pixel_shuffle(self.paint(seen + found), FACTOR))


class StereoUpscaler(nn.Module):
    r"""Fetch what the left eye's blurred view lacks from the right eye's sharp one, row by row.

    .. math:: q = s \, \frac{W_q f(l)}{\lVert W_q f(l) \rVert}, \qquad k = \frac{W_k f(r')}{\lVert W_k f(r') \rVert},
        \qquad v = [\, g(r - r');\; r';\; r - r' \,]

    Every pixel of a row of the left view asks, with what is around it in the blurred view :math:`l`. Every pixel of the
    same row of the right view answers with what is around it in its own blurred version :math:`r'`, and delivers its
    detail :math:`r - r'`. So what is compared is alike, and what is fetched is what is missing.

    Args:
        d_model: numbers at a pixel.
        reach: a pixel in column x asks columns x - reach to x of the right view, for that is where it can be seen.
        attend: ``attend(query, key, value, mask) -> output``, with the rows of all pictures as its batch.

    Raises:
        ValueError: if ``d_model`` is below 1 or ``reach`` below 0.

    References:
        Wang et al. 2019 (PASSRnet), arXiv:1903.05784, where both views are blurred and rows attend in both
        directions; sharp references: Zheng et al. 2018 (CrossNet), Yang et al. 2020 (TTSR), arXiv:2006.04139.

    >>> model = StereoUpscaler(d_model=5, reach=7)
    >>> model(torch.zeros(2, 8, 12), torch.zeros(2, 8, 12)).shape
    torch.Size([2, 8, 12])
    """

    def __init__(
        self, d_model: int = 32, *, reach: int = 32, attend: Attend = dot_product_attend
    ) -> None:
        super().__init__()
        check_whole(0, reach=reach)
        self.reach, self.attend = reach, attend
        self.look = _looker(1, d_model)
        self.q_proj = nn.Conv2d(d_model, d_model, 1)
        self.k_proj = nn.Conv2d(d_model, d_model, 1)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(10.0)))
        self.describe = nn.Conv2d(1, N_DETAIL, 3, padding=1)
        self.paint = _painter(d_model + N_DETAIL + 2, d_model)

    def forward(
        self,
        blurred: Float[Tensor, "batch height width"],
        right: Float[Tensor, "batch height width"],
    ) -> Float[Tensor, "batch height width"]:
        """Return the blurred left view and what was found to be missing.

        Raises:
            ValueError: if the views have not the same shape.
        """
        check_views(blurred, right)
        right_blurred = blur(right)
        seen = self.look(blurred[:, None])
        query, key = self.ask(seen), self.answer(right_blurred)
        found = self.attend(query, key, _rows(self.deliver(right, right_blurred)), self.mask())
        fetched = found.view(*blurred.shape, -1).movedim(-1, 1)
        detail, there, missing = torch.split(fetched, [N_DETAIL, 1, 1], dim=1)
        # How far the place that was found differs from this one tells whether to trust it.
        known = torch.cat([seen, detail, there - blurred[:, None], missing], dim=1)
        return _added(blurred, self.paint(known))

    def mask(self) -> Window:
        """Say where a pixel may look: not right of its own column, for what is near stands further left there."""
        return Window(before=self.reach, after=0)

    def ask(self, seen: Float[Tensor, "batch d height width"]) -> Float[Tensor, "rows width d"]:
        """Make a query of every pixel; the root of its width undoes what attends divide scores by."""
        query = _rows(self.q_proj(seen))
        return F.normalize(query, dim=-1) * self.log_sharpness.exp() * math.sqrt(query.shape[-1])

    def answer(
        self, right_blurred: Float[Tensor, "batch height width"]
    ) -> Float[Tensor, "rows width d"]:
        """Make a key of every pixel of the right view, blurred."""
        return F.normalize(_rows(self.k_proj(self.look(right_blurred[:, None]))), dim=-1)

    def deliver(
        self,
        right: Float[Tensor, "batch height width"],
        right_blurred: Float[Tensor, "batch height width"],
    ) -> Float[Tensor, "batch values height width"]:
        """Make a value of every pixel of the right view: its detail, described and as it is."""
        missing = (right - right_blurred)[:, None]
        return torch.cat([self.describe(missing), right_blurred[:, None], missing], dim=1)


def _looker(n_in: int, d_model: int) -> nn.Sequential:
    """Make three convolutions that see 13 by 13 pixels: the later ones leave out every second."""
    check_sizes(n_in=n_in, d_model=d_model)
    return nn.Sequential(
        nn.Conv2d(n_in, d_model, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(d_model, d_model, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(d_model, d_model, 3, padding=2, dilation=2),
    )


def _painter(n_in: int, d_model: int) -> nn.Sequential:
    """Make three convolutions that say what to add to a pixel: nothing, before they are trained."""
    paint = nn.Sequential(
        nn.Conv2d(n_in, d_model, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(d_model, d_model, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(d_model, 1, 3, padding=1),
    )
    _add_nothing(paint)
    return paint


def _added(blurred: Tensor, missing: Tensor) -> Tensor:
    """Add what a painter says, (batch, 1, height, width), to pictures."""
    return blurred + missing[:, 0]


def _add_nothing(layers: nn.Sequential) -> None:
    last: Any = layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def _rows(pixels: Float[Tensor, "batch d height width"]) -> Float[Tensor, "rows width d"]:
    """Make every row of every picture a sequence of its own."""
    return pixels.movedim(1, -1).flatten(0, 1)


def train_upscaler(
    model: nn.Module, pairs: StereoPairs, recipe: Recipe, *, progress: bool = True
) -> Losses:
    """Train on pairs of views whose left one is blurred: the mean absolute difference to the sharp one falls.

    Args:
        model: is called with the blurred left view and the right one; trained in place.
        pairs: views of one size.
        recipe: how; a batch holds ``batch_size`` pairs.
        progress: show one line.

    Returns:
        The loss of every step.

    Raises:
        RuntimeError: if the loss, the gradient or a weight is not finite, see ``learn``.
    """
    blurred = blur(pairs.left)
    generator = torch.Generator().manual_seed(recipe.seed)

    def loss(model: Any, rows: Tensor) -> Tensor:
        sharp: Tensor = model(blurred[rows], pairs.right[rows])
        return (sharp - pairs.left[rows]).abs().mean()

    rows = batches(len(pairs.left), recipe.batch_size, generator=generator)
    return learn(model, rows, loss, recipe, progress=progress)


def disparities(
    weights: Float[Tensor, "rows width keys"], height: int
) -> Int[Tensor, "batch height width"]:
    """Read weights of rows as a map: how far left of its own column each pixel looks most.

    Raises:
        ValueError: if the rows are no multiple of the height.

    >>> disparities(torch.eye(3)[None, [0, 0, 1]], height=1)
    tensor([[[0, 1, 1]]])
    """
    check_sizes(height=height)
    if weights.shape[0] % height:
        raise ValueError(f"rows must be a multiple of height, {height}, got {weights.shape[0]}")
    columns = torch.arange(weights.shape[1], device=weights.device)
    return (columns - weights.argmax(-1)).view(-1, height, weights.shape[1])
