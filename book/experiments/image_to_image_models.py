"""What chapter 18 compares attention with: convolutions, networks that read the whole picture, and rules."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.alignment import uniform_attention
from minattn.pictures.colouring import Colourer, KernelColourer, places
from minattn.pictures.routing import Router, from_patches, to_patches
from minattn.tasks.turned_pictures import COMMANDS, PATCH, SIDE

N_PATCHES, N_PIXELS = (SIDE // PATCH) ** 2, PATCH**2


def convolutions(n_in: int, n_out: int, width: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """Make a stack of convolutions of three by three pixels, all of one width."""
    layers: list[nn.Module] = []
    for dilation in dilations:
        layers += [nn.Conv2d(n_in, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers, nn.Conv2d(n_in, n_out, 3, padding=1))


class ConvolvedPictures(nn.Module):
    """Turn pictures by convolutions, which are told the command and the place of every pixel.

    Args:
        width: channels.
        dilations: of the layers but the last.
    """

    def __init__(self, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(8, SIDE, SIDE) / 3)
        self.command = nn.Parameter(torch.randn(len(COMMANDS), 8) / 2)
        self.layers = convolutions(17, 1, width, dilations)

    def forward(self, picture: Tensor, command: Tensor) -> Tensor:
        told = self.command[command][..., None, None].expand(-1, -1, SIDE, SIDE)
        place = self.place.expand(len(picture), -1, -1, -1)
        found: Tensor = self.layers(torch.cat([picture[:, None], place, told], 1))
        return found[:, 0]


class WholePicture(nn.Module):
    """Turn pictures by a network of three layers that reads all pixels at once."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.command = nn.Parameter(torch.randn(len(COMMANDS), 64) / 2)
        self.layers = nn.Sequential(
            nn.Linear(SIDE**2 + 64, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, SIDE**2),
        )

    def forward(self, picture: Tensor, command: Tensor) -> Tensor:
        found: Tensor = self.layers(torch.cat([picture.flatten(1), self.command[command]], 1))
        return found.view_as(picture)


class LinearMaps(nn.Module):
    """Turn pictures by one matrix for each command, from all pixels to all pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.zeros(len(COMMANDS), SIDE**2, SIDE**2))

    def forward(self, picture: Tensor, command: Tensor) -> Tensor:
        found = torch.empty_like(picture)
        for number in sorted(set(command.tolist())):
            rows = command == number
            found[rows] = (picture[rows].flatten(1) @ self.maps[number]).view_as(picture[rows])
        return found


class ContentInKeys(Router):
    """A router whose keys offer what is in a patch, too."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.content = nn.Linear(sizes[1], self.place.shape[1])

    def forward(self, picture: Tensor, command: Tensor) -> Tensor:
        value = to_patches(picture, self.patch)
        key = self.k_proj(self.place + self.content(value))
        found = self.attend(self.queries()[command], key, value)
        return from_patches(found @ self.within[command], picture.shape[1])


class FoldedAcross(Router):
    """A router that cuts pictures row by row and puts them together column by column."""

    def forward(self, picture: Tensor, command: Tensor) -> Tensor:
        rows = picture.shape[1] // self.patch
        patches = to_patches(super().forward(picture, command), self.patch)
        across = patches.view(len(picture), rows, -1, patches.shape[-1]).transpose(1, 2)
        return from_patches(across.flatten(1, 2), picture.shape[1])


class Unchanged(nn.Module):
    """Leave every picture as it is."""

    def forward(self, picture: Tensor, command: Tensor) -> Tensor:
        return picture


def make_turner(kind: str) -> Any:
    """Make a model that turns pictures, by the name of its arm."""
    sizes = N_PATCHES, N_PIXELS, len(COMMANDS)
    made: dict[str, Any] = {
        "attention": lambda: Router(*sizes),
        "uniform": lambda: Router(*sizes, attend=uniform_attention),
        "content in keys": lambda: ContentInKeys(*sizes),
        "folded across": lambda: FoldedAcross(*sizes),
        "unchanged": Unchanged,
        "convolution": lambda: ConvolvedPictures(36, (1, 1, 1)),
        "dilated convolution": lambda: ConvolvedPictures(32, (1, 2, 4, 8, 8)),
        "whole picture": WholePicture,
        "linear maps": LinearMaps,
    }
    return made[kind]()


class ConvolvedDots(nn.Module):
    """Colour a photo by dilated convolutions over it and the dots, which stand at their places among zeros.

    They work at half the size, as in ``Colourer``, and together see the whole crop; two more at full size follow.

    Args:
        width: channels.
        dilations: of the layers at half the size.
    """

    def __init__(self, width: int = 32, dilations: tuple[int, ...] = (1, 2, 4, 8, 16)) -> None:
        super().__init__()
        self.far = convolutions(4, 16, width, dilations)
        self.near = convolutions(17, 2, 16, (1,))

    def forward(self, grey: Tensor, place: Tensor, dots: Tensor) -> Tensor:
        level = 3 * (grey[:, None] - 0.4)
        planes = torch.cat([level, 5 * self.laid_out(grey, place, dots)], 1)  # colours are small
        half = self.far(F.avg_pool2d(planes, 2))
        seen = F.interpolate(half, size=grey.shape[1:], mode="bilinear")
        found: Tensor = self.near(torch.cat([level, seen], 1))
        return found.movedim(1, -1)

    def laid_out(self, grey: Tensor, place: Tensor, dots: Tensor) -> Tensor:
        """Return three planes: the colours of the dots, and where they are."""
        marked = F.pad(dots, (0, 1), value=0.2)
        planes = grey.new_zeros(len(grey), grey[0].numel(), 3)
        planes = planes.scatter(1, place[..., None].expand(-1, -1, 3), marked)
        return 4 * planes.view(*grey.shape, 3).movedim(-1, 1)  # four pixels become one


class OverNearestDots(ConvolvedDots):
    """Convolutions that find the colour of the nearest dot at every pixel, and say what to add to it."""

    def __init__(self) -> None:
        super().__init__()
        self.nearest = WithoutPhoto(nearest=True)

    def forward(self, grey: Tensor, place: Tensor, dots: Tensor) -> Tensor:
        return self.nearest(grey, place, dots) + super().forward(grey, place, dots)

    def laid_out(self, grey: Tensor, place: Tensor, dots: Tensor) -> Tensor:
        marks = super().laid_out(grey, place, dots)[:, 2:] / 4
        return torch.cat([self.nearest(grey, place, dots).movedim(-1, 1), marks], 1)


class WithoutPhoto(KernelColourer):
    """Give every pixel the colour of the nearest dot, or the mean of all; what the photo shows is not asked."""

    def __init__(self, nearest: bool) -> None:
        super().__init__(place_width=0.1 if nearest else 1e4, grey_width=1e4)


class WidthsOnly(KernelColourer):
    """Learn how far a colour reaches, in place and in grey, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        widths = torch.tensor([self.place_width, self.grey_width])
        self.log_widths = nn.Parameter(widths.log())

    def describe(self, grey: Tensor) -> Tensor:
        place_width, grey_width = self.log_widths.exp()
        return torch.cat([places(grey) / place_width, grey[..., None] / grey_width], -1)


def make_colourer(kind: str) -> Any:
    """Make a model that colours photos, by the name of its arm."""
    made: dict[str, Any] = {
        "attention": Colourer,
        "convolution": ConvolvedDots,
        "over nearest dots": OverNearestDots,
        "kernel": KernelColourer,
        "widths only": WidthsOnly,
        "nearest dot": lambda: WithoutPhoto(nearest=True),
        "mean of the dots": lambda: WithoutPhoto(nearest=False),
    }
    return made[kind]()
