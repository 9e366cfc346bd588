"""From picture to picture: every patch of the answer asks for the patch that it is made of."""

import math

import torch
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
        raise ValueError(f"patches of {patch} must fill it, got {height} by {width}")
    rows, columns = height // patch, width // patch
    cut = pictures.reshape(-1, rows, patch, columns, patch).transpose(2, 3)
    return cut.reshape(-1, rows * columns, patch**2)


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
    patch = side_of(pixels)
    if height % patch or n % (height // patch):
        raise ValueError(
            f"patches must fill a picture {height} high, got {n} of {patch} by {patch}"
        )
    rows = height // patch
    columns = n // rows
    grid = patches.reshape(-1, rows, columns, patch, patch).transpose(2, 3)
    return grid.reshape(-1, height, columns * patch)


class Router(nn.Module):
    r"""Make a picture of the patches of another, as a command says.

    .. math:: q_i = f(p_i, g), \qquad k_j = W p_j, \qquad v_j = x_j, \qquad
        y_i = M_g^\top \operatorname{attend}(q_i, k, v)

    A patch of the answer asks with its place :math:`p_i` and the command :math:`g`. A patch :math:`x_j` of the picture
    offers its place, and delivers what is in it. So *where* and *what* go separate ways: where to look does not depend
    on the picture, and what is delivered does not depend on the place. At the end each command moves the pixels
    within a patch, by one matrix :math:`M_g` for all patches.

    Args:
        n_patches: how many patches a picture has.
        n_pixels: how many pixels a patch has; it is a square.
        n_commands: how many commands there are.
        d_model: width of places, commands, queries and keys.
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
        check_sizes(n_patches=n_patches, n_commands=n_commands, d_model=d_model)
        self.patch = side_of(n_pixels)
        self.place = nn.Parameter(torch.randn(n_patches, d_model) / 2)
        self.command = nn.Parameter(torch.randn(n_commands, d_model) / 2)
        self.q_proj = nn.Sequential(
            nn.Linear(2 * d_model, 2 * d_model),
            nn.ReLU(),
            nn.Linear(2 * d_model, d_model),
        )
        self.k_proj = nn.Linear(d_model, d_model)
        within = torch.randn(n_commands, n_pixels, n_pixels) / n_pixels**0.5
        self.within = nn.Parameter(within)
        self.attend = attend

    def queries(self) -> Float[Tensor, "commands patches d_model"]:
        """Return what each patch of the answer asks under each command."""
        pairs = [
            self.place.expand(len(self.command), -1, -1),
            self.command[:, None].expand(-1, len(self.place), -1),
        ]
        query: Tensor = self.q_proj(torch.cat(pairs, -1))
        return query

    def forward(
        self,
        picture: Float[Tensor, "batch height width"],
        command: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch height width"]:
        """Do to every picture what its command says.

        Raises:
            ValueError: if there is no such command, or a picture has another number of patches.
            TypeError: if the pictures are not floating-point numbers, or the commands not of dtype int64.
        """
        check_floats(picture=picture)
        check_ids(len(self.command), command=command)
        value = to_patches(picture, self.patch)
        if value.shape[1] != len(self.place):
            raise ValueError(f"a picture has {len(self.place)} patches, got {len(value[0])}")
        key = self.k_proj(self.place).expand(len(picture), -1, -1)
        found = self.attend(self.queries()[command], key, value)
        return from_patches(found @ self.within[command], picture.shape[1])


def side_of(n_pixels: int) -> int:
    """Return the side of a square patch.

    Raises:
        ValueError: if no square has so many pixels.
    """
    check_sizes(n_pixels=n_pixels)
    side = math.isqrt(n_pixels)
    if side**2 != n_pixels:
        raise ValueError(f"a patch must be a square, got {n_pixels} pixels")
    return side


def decibels(
    found: Float[Tensor, "batch *sizes"], right: Float[Tensor, "batch *sizes"]
) -> Float[Tensor, " batch"]:
    r"""Return how near each picture is to the right one: its peak signal-to-noise ratio (PSNR).

    .. math:: -10 \log_{10} \operatorname{mean} (x - y)^2

    Returns:
        Decibels, where 1 is from black to white: 20 for an error of a tenth, 40 for one of a hundredth. Infinity
        where there is no error.

    Raises:
        ValueError: if the shapes differ.
        TypeError: if the pictures are not floating-point numbers.

    >>> decibels(torch.tensor([[0.5, 0.6]]), torch.tensor([[0.6, 0.5]]))
    tensor([20.0000])
    """
    check_floats(found=found, right=right)
    if found.shape != right.shape:
        raise ValueError(f"pictures need one shape, got {[*found.shape]}, {[*right.shape]}")
    error: Tensor = (found - right).square().flatten(1).mean(1)
    return -10 * error.log10()
