"""The Vision Transformer: a picture as a sequence of patches, and one learned token that asks all of them."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from minattn.checks import check_sizes, check_whole
from minattn.pictures.patches import Places, channels_first, check_channels
from minattn.transformer import TransformerEncoder


class ConvPatches(nn.Module):
    """Make tokens of a picture by two small convolutions, as many as ``Patches`` of side 2.

    Args:
        d_model: width of a token.
        channels: 3 for red, green and blue, 1 for grey.

    Raises:
        ValueError: if the width is below 2 or there is no channel.

    References:
        Xiao et al. 2021, arXiv:2106.14881.

    >>> ConvPatches(d_model=6, channels=1)(torch.zeros(3, 8, 8, 1, dtype=torch.uint8)).shape
    torch.Size([3, 16, 6])
    """

    def __init__(self, d_model: int, channels: int = 3) -> None:
        super().__init__()
        check_whole(2, d_model=d_model)
        check_sizes(channels=channels)
        self.channels = channels
        self.convolutions = self._made(channels, d_model)

    @staticmethod
    def _made(channels: int, d_model: int) -> nn.Sequential:
        """Make the convolutions; another size of token is another pair of them."""
        return nn.Sequential(
            nn.Conv2d(channels, d_model // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(d_model // 2, d_model, 3, stride=2, padding=1),
        )

    def forward(
        self, pictures: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch cells d_model"]:
        """Return the tokens, row after row.

        Raises:
            ValueError: if the colours are another number.
            TypeError: if the pictures are no tensor of bytes.
        """
        planes = channels_first(pictures)
        check_channels(planes, self.channels)
        found: Tensor = self.convolutions(planes)
        return found.flatten(2).mT


class VisionTransformer(nn.Module):
    """Classify pictures by attention: a class token is put before the patches, and its last state is read out.

    What the class token asks is the same for every picture in the first block: its query is learned. What it finds
    there makes its query in the next.

    Args:
        patches: makes tokens of pictures, ``Patches`` or ``ConvPatches``.
        places: tells them where they stand; the class token has no place.
        encoder: blocks of the same width.
        n_classes: how many classes there are.

    Raises:
        ValueError: if there is no class.

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929.

    >>> from minattn.pictures.patches import Patches
    >>> from minattn.transformer import EncoderBlock
    >>> encoder = TransformerEncoder([EncoderBlock(6, 2, 12)], nn.LayerNorm(6))
    >>> model = VisionTransformer(Patches(2, 6, channels=1), Places(4, 4, 6), encoder, n_classes=10)
    >>> model(torch.zeros(3, 8, 8, 1, dtype=torch.uint8)).shape
    torch.Size([3, 10])
    """

    def __init__(
        self, patches: nn.Module, places: Places, encoder: TransformerEncoder, n_classes: int
    ) -> None:
        super().__init__()
        check_sizes(n_classes=n_classes)
        self.patches = patches
        self.places = places
        d_model = places.rows.shape[1]
        self.class_token = nn.Parameter(torch.randn(d_model) * d_model**-0.5)
        self.encoder = encoder
        self.readout = nn.Linear(d_model, n_classes)

    def states(
        self, pictures: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Return one vector for the class token, and one for each patch behind it."""
        tokens: Tensor = self.places(self.patches(pictures))
        first = self.class_token.expand(len(tokens), 1, -1)
        states: Tensor = self.encoder(torch.cat([first, tokens], dim=1))
        return states

    def forward(
        self, pictures: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of every picture."""
        logits: Tensor = self.readout(self.states(pictures)[:, 0])
        return logits
