"""Colour a grey photo: every pixel asks a few coloured dots.

First by chapter 2's kernel regression, where nothing is learned, then by a learned one.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checks import check_floats, check_positive, check_sizes
from minattn.dot_product import attend as dot_product_attend
from minattn.masks import Mask
from minattn.seam import Attend, check_lookup
from minattn.tasks.coloured_dots import at


def kernel_attend(
    query: Float[Tensor, "*#batch queries d_k"],
    key: Float[Tensor, "*#batch keys d_k"],
    value: Float[Tensor, "*#batch keys d_v"],
    mask: Mask = None,
) -> Float[Tensor, "*#batch queries d_v"]:
    r"""Attend by nearness: kernel regression, computed as dot products.

    .. math:: -\tfrac12 \lVert q_i - k_j \rVert^2
        = q_i \cdot k_j - \tfrac12 \lVert k_j \rVert^2 - \tfrac12 \lVert q_i \rVert^2

    The last term is the same for all keys, so a softmax over them does not see it. The second becomes one more number
    of each key, which meets a 1 in each query. A table of all differences, as wide as the queries, is never made.

    Args:
        query: what is asked.
        key: what is offered, in the same space.
        value: what is delivered.
        mask: True where a query may attend.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    References:
        Nadaraya 1964; Watson 1964.

    >>> query, key = torch.tensor([[0.0]]), torch.tensor([[0.0], [9.0]])
    >>> kernel_attend(query, key, torch.tensor([[1.0], [3.0]]))
    tensor([[1.]])
    """
    check_lookup(query, key, value)
    key = torch.cat([key, -key.square().sum(-1, keepdim=True) / 2], -1)
    query = F.pad(query, (0, 1), value=1.0)
    return dot_product_attend(query, key, value, mask, scale=1.0)


class KernelColourer(nn.Module):
    r"""Give every pixel the colours of the dots that are near it and as light as it. There is nothing to learn.

    .. math:: x = \left(\frac{\text{row}}{b}, \frac{\text{column}}{b}, \frac{\text{grey}}{w}\right), \qquad
        c_i = \operatorname{attend}(x_i, x_\text{dots}, c_\text{dots})

    Args:
        place_width: how far a colour reaches, in pixels.
        grey_width: how far it reaches from grey level to grey level, where 1 is from black to white.
        attend: ``attend(query, key, value) -> output``; by nearness if not given.

    Raises:
        ValueError: if a width is not above 0.

    References:
        Tomasi and Manduchi 1998, Bilateral filtering for gray and color images, doi:10.1109/ICCV.1998.710815: nearness
        in place and in level.
    """

    def __init__(
        self,
        place_width: float | int = 16.0,
        grey_width: float | int = 0.06,
        attend: Attend = kernel_attend,
    ) -> None:
        super().__init__()
        check_positive(place_width=place_width, grey_width=grey_width)
        self.place_width, self.grey_width, self.attend = place_width, grey_width, attend

    def describe(
        self, grey: Float[Tensor, "batch height width"]
    ) -> Float[Tensor, "batch height width d"]:
        """Say of every pixel where it is and how light."""
        where = places(grey) / self.place_width
        return torch.cat([where, grey[..., None] / self.grey_width], -1)

    def forward(
        self,
        grey: Float[Tensor, "batch height width"],
        place: Int[Tensor, "batch dots"],
        dots: Float[Tensor, "batch dots 2"],
    ) -> Float[Tensor, "batch height width 2"]:
        """Let every pixel ask the dots.

        Args:
            grey: how light the pixels are.
            place: of each dot, row times width plus column.
            dots: the colours of the dots.
        """
        check_floats(grey=grey, dots=dots)
        pixels = self.describe(grey)
        colour: Tensor = self.attend(pixels.flatten(1, 2), at(pixels, place), dots)
        return colour.reshape(*grey.shape, -1)


def places(
    grey: Float[Tensor, "batch height width"],
) -> Float[Tensor, "batch height width 2"]:
    """Return row and column of every pixel.

    >>> places(torch.zeros(1, 2, 2)).tolist()
    [[[[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]]]
    """
    rows, columns = (torch.arange(n).to(grey) for n in grey.shape[1:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    return grid.expand(len(grey), -1, -1, -1)


class Colourer(KernelColourer):
    """Let a small network say more of every pixel than its place and its grey: what is around it.

    The network is three convolutions over the photo at half its size, the last of which sees 15 pixels there. Query
    and key are one description, so a pixel attends to dots that are like it. The widths are learned too.

    Args:
        d_features: how many numbers the network says of a pixel.
        d_hidden: its width.
        attend: ``attend(query, key, value) -> output``; by nearness if not given.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(
        self,
        d_features: int = 16,
        *,
        d_hidden: int = 32,
        attend: Attend = kernel_attend,
    ) -> None:
        check_sizes(d_features=d_features, d_hidden=d_hidden)
        super().__init__(attend=attend)
        self.look = nn.Sequential(
            nn.Conv2d(1, d_hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(d_hidden, d_hidden, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(d_hidden, d_hidden, 3, padding=4, dilation=4),
            nn.ReLU(),
            nn.Conv2d(d_hidden, d_features, 1),
        )
        self.log_widths = nn.Parameter(
            torch.tensor([math.log(self.place_width), math.log(self.grey_width)])
        )

    def describe(
        self, grey: Float[Tensor, "batch height width"]
    ) -> Float[Tensor, "batch height width d"]:
        """Say of every pixel where it is, how light, and what is around it."""
        place_width, grey_width = self.log_widths.exp()
        half = F.avg_pool2d(3 * (grey[:, None] - 0.4), 2)
        seen = F.interpolate(self.look(half), size=grey.shape[1:], mode="bilinear")
        where, level = places(grey) / place_width, grey[..., None] / grey_width
        return torch.cat([where, level, seen.movedim(1, -1)], -1)
