"""From picture to picture: every patch of the answer asks for the patch that it is made of."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checks import check_floats, check_ids, check_sizes
from minattn.dot_product import attend as dot_product_attend
from minattn.seam import Attend


def to_patches(
    pictures: Float[Tensor, "batch height width"], patch: int
) -> Float[Tensor, "batch patches pixels"]:
    """Cut pictures into square patches, row after row, each of which is read row after row.

    Args:
        pictures: one number for each pixel.
        patch: height and width of a patch.

    Raises:
        ValueError: if the patches do not fill the picture.

    >>> to_patches(torch.arange(8.0).reshape(1, 2, 4), 2)
    tensor([[[0., 1., 4., 5.],
             [2., 3., 6., 7.]]])
    """
    check_sizes(patch=patch)
    height, width = pictures.shape[1:]
    if height % patch or width % patch:
        raise ValueError(f"patches of {patch} must fill the picture, got {height} by {width}")
    cut = pictures.unflatten(2, (-1, patch)).unflatten(1, (-1, patch))
    return cut.transpose(2, 3).flatten(3).flatten(1, 2)  # (batch, rows, columns, ...) before


def from_patches(
    patches: Float[Tensor, "batch patches pixels"], height: int
) -> Float[Tensor, "batch height width"]:
    """Put square patches together again, in the order of ``to_patches``.

    Args:
        patches: one row for each.
        height: of the picture.

    Raises:
        ValueError: if the patches are no squares, or do not fill a picture of that height.

    >>> picture = torch.arange(8.0).reshape(1, 2, 4)
    >>> torch.equal(from_patches(to_patches(picture, 2), height=2), picture)
    True
    """
    check_sizes(height=height)
    n, pixels = patches.shape[1:]
    patch = round(pixels**0.5)
    if patch**2 != pixels:
        raise ValueError(f"patches must be squares, got {pixels} pixels")
    if height % patch or n % (height // patch):
        raise ValueError(
            f"patches must fill the picture, got {n} of {patch} pixels for a height of {height}"
        )
    grid = patches.unflatten(2, (patch, patch)).unflatten(1, (height // patch, -1))
    return grid.transpose(2, 3).flatten(3).flatten(1, 2)


class Router(nn.Module):
    r"""Make a picture of the patches of another, as a command says.

    .. math:: q_i = f(p_i, g), \qquad k_j = W_k p_j, \qquad v_j = W_v x_j, \qquad
        y_i = h\big(\operatorname{attend}(q_i, k, v), g\big)

    A patch of the answer asks with its place :math:`p_i` and the command :math:`g`, a patch :math:`x_j` of the picture
    offers its place, and delivers what is in it. So *where* and *what* go separate ways: where to look does not depend on
    the picture, and what is delivered does not depend on the place.

    Args:
        n_patches: how many patches a picture has.
        n_pixels: how many pixels a patch has; it is a square.
        n_commands: how many commands there are.
        d_model: width of places, commands, queries, keys and values.
        attend: ``attend(query, key, value) -> output``; the scaled dot product if not given.

    Raises:
        ValueError: if a size is below 1.

    >>> model = Router(n_patches=6, n_pixels=4, n_commands=8, d_model=5)
    >>> model(torch.zeros(1, 4, 6), torch.tensor([7])).shape
    torch.Size([1, 4, 6])
    """

    def __init__(
        self,
        n_patches: int,
        n_pixels: int,
        n_commands: int,
        *,
        d_model: int = 64,
        attend: Attend = dot_product_attend,
    ) -> None:
        super().__init__()
        check_sizes(n_patches=n_patches, n_pixels=n_pixels, n_commands=n_commands, d_model=d_model)
        self.place = nn.Parameter(0.5 * torch.randn(n_patches, d_model))
        self.command = nn.Embedding(n_commands, d_model)
        nn.init.normal_(self.command.weight, std=0.5)
        self.q_proj = two_layers(2 * d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(n_pixels, d_model)
        self.out_proj = two_layers(2 * d_model, n_pixels)
        self.attend = attend
        self.n_pixels = n_pixels

    def forward(
        self, pictures: Float[Tensor, "batch height width"], command: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch height width"]:
        patches = to_patches(pictures, round(self.n_pixels**0.5))
        told = self.command(command)[:, None].expand(-1, patches.shape[1], -1)
        place = self.place.expand(len(patches), -1, -1)
        query = self.q_proj(torch.cat([place, told], -1))
        found = self.attend(query, self.k_proj(place), self.v_proj(patches))
        return from_patches(self.out_proj(torch.cat([found, told], -1)), pictures.shape[1])


def two_layers(d_in: int, d_out: int) -> nn.Sequential:
    """Make a small network with one hidden layer, as wide as the input."""
    return nn.Sequential(nn.Linear(d_in, d_in), nn.ReLU(), nn.Linear(d_in, d_out))
