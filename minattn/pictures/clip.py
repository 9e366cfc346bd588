"""CLIP (chapter 19): pictures and sentences as vectors in one space, where what belongs together is close."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from minattn.checks import (
    check_floats,
    check_ids,
    check_positive,
    check_sizes,
    check_whole,
    look_up,
)
from minattn.dot_product import fused_attend
from minattn.multihead import MultiHeadAttention
from minattn.pictures.patches import Patches, Places
from minattn.pictures.vit import ConvPatches
from minattn.seam import Attend
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import PAD

TEMPERATURE = 0.07
"""Where a learned temperature begins."""

LARGEST_SCALE = 100.0
"""One over the lowest temperature."""


class AttentionPooling(nn.Module):
    r"""Make one vector of many: a learned query asks them all, the same query for every picture or sentence.

    .. math:: \operatorname{MultiHead}(q, x, x)

    Args:
        d_model: width of the vectors.
        n_heads: heads of the attention.
        attend: how every head attends.

    Raises:
        ValueError: if the heads do not divide the width.

    References:
        Lee et al. 2019 (Set Transformer), arXiv:1810.00825, section 3.2, with one seed vector.

    >>> AttentionPooling(d_model=6, n_heads=2)(torch.zeros(3, 5, 6)).shape
    torch.Size([3, 6])
    """

    def __init__(self, d_model: int, n_heads: int, *, attend: Attend = fused_attend) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads, attend=attend)
        self.query = nn.Parameter(torch.randn(d_model))

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch d_model"]:
        """Return one vector for each row.

        Args:
            x: the vectors to ask.
            mask: True where there is something to ask.
        """
        query = self.query.expand(len(x), 1, -1)
        found: Tensor = self.attention(query, x, x, None if mask is None else mask[:, None])
        return found[:, 0]


class SmallStem(ConvPatches):
    """Two convolutions that each halve a picture: a token for every four by four pixels, which sees ten by ten.

    Args:
        d_model: width of a token.
        channels: 3 for red, green and blue, 1 for grey.

    Raises:
        ValueError: if the width is below 2 or there is no channel.

    References:
        Xiao et al. 2021, arXiv:2106.14881.

    >>> SmallStem(d_model=6)(torch.zeros(3, 8, 12, 3, dtype=torch.uint8)).shape
    torch.Size([3, 6, 6])
    """

    @staticmethod
    def _made(channels: int, d_model: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, d_model // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(d_model // 2, d_model, 4, stride=2, padding=1),
        )


class PictureEncoder(nn.Module):
    """Make a vector of a picture: tokens, blocks of a Transformer if wanted, a query that asks all tokens.

    Without blocks a token knows only what stands in its place, so that where the query looks says where what it
    found is.

    Args:
        side: pixels of a picture in a row and in a column.
        patch: side of a patch, in pixels.
        d_out: width of the vector.
        channels: 3 for red, green and blue, 1 for grey.
        d_model: width of a patch's token.
        n_heads: heads of every attention.
        n_blocks: how many blocks; none is fine where the tokens see enough.
        patches: makes as many tokens of that width in another way than ``Patches`` does.
        attend: how every head attends.

    Raises:
        ValueError: if a size is out of range, no whole number of patches fits, or the heads do not divide the width.

    >>> encode = PictureEncoder(side=8, patch=2, d_out=5, channels=1, d_model=12)
    >>> encode(torch.zeros(3, 8, 8, 1, dtype=torch.uint8)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        side: int,
        patch: int,
        d_out: int,
        *,
        channels: int = 3,
        d_model: int = 64,
        n_heads: int = 4,
        n_blocks: int = 1,
        patches: nn.Module | None = None,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(side=side, patch=patch, d_out=d_out)
        check_whole(0, n_blocks=n_blocks)
        if side % patch:
            raise ValueError(f"side must be a multiple of patch {patch}, got {side}")
        self.patches = Patches(patch, d_model, channels) if patches is None else patches
        self.places = Places(side // patch, side // patch, d_model)
        self.encoder = (
            _blocks(d_model, n_heads, n_blocks, attend) if n_blocks else nn.LayerNorm(d_model)
        )
        self.pool = AttentionPooling(d_model, n_heads, attend=attend)
        self.project = nn.Linear(d_model, d_out)

    def forward(
        self, pictures: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch d_out"]:
        """Return one vector for each picture, of any length."""
        tokens = self.places(self.patches(pictures))
        vectors: Tensor = self.project(self.pool(self.encoder(tokens)))
        return vectors


class TextEncoder(nn.Module):
    """Make a vector of a sentence: words and their places, blocks of a Transformer, a query that asks all of them.

    Args:
        n_words: how many words there are, with ``PAD``.
        length: of the longest sentence.
        d_out: width of the vector.
        d_model: width of a word's token.
        n_heads: heads of every attention.
        n_blocks: how many blocks.
        attend: how every head attends.

    Raises:
        ValueError: if a size is below 1, or the heads do not divide the width.

    >>> encode = TextEncoder(n_words=11, length=7, d_out=5, d_model=12)
    >>> encode(torch.tensor([[3, 9, 0], [4, 10, 2]])).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        n_words: int,
        length: int,
        d_out: int,
        *,
        d_model: int = 64,
        n_heads: int = 4,
        n_blocks: int = 1,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(n_words=n_words, length=length, d_out=d_out, n_blocks=n_blocks)
        self.embedding = nn.Embedding(n_words, d_model)
        self.places = nn.Parameter(torch.randn(length, d_model) * d_model**-0.5)
        self.encoder = _blocks(d_model, n_heads, n_blocks, attend)
        self.pool = AttentionPooling(d_model, n_heads, attend=attend)
        self.project = nn.Linear(d_model, d_out)

    def forward(self, texts: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_out"]:
        """Return one vector for each sentence, of any length.

        Raises:
            ValueError: if a sentence is longer than the model was made for, or holds no word.
        """
        if texts.shape[1] > len(self.places):
            raise ValueError(
                f"texts must have at most {len(self.places)} words, got {texts.shape[1]}"
            )
        there = texts != PAD
        if not bool(there.any(1).all()):
            raise ValueError("every text must hold a word, got one of nothing but PAD")
        tokens = look_up(self.embedding, texts, "texts") + self.places[: texts.shape[1]]
        found = self.pool(self.encoder(tokens, there[:, None]), there)
        vectors: Tensor = self.project(found)
        return vectors


class CLIP(nn.Module):
    r"""Two encoders whose vectors are compared: pictures and sentences, in one space.

    .. math:: s_{ij} = \frac{1}{\tau} \frac{u_i \cdot v_j}{\lVert u_i \rVert \lVert v_j \rVert}

    Args:
        pictures: makes a vector of a picture.
        texts: makes a vector of a sentence, as wide.
        temperature: tau at first; it is learned, as :math:`\log (1 / \tau)`.
        learned: whether it is.

    Raises:
        ValueError: if the temperature is not above 0.

    References:
        Radford et al. 2021, arXiv:2103.00020, section 2.3.

    >>> pictures = PictureEncoder(side=8, patch=4, d_out=5, d_model=12)
    >>> model = CLIP(pictures, TextEncoder(n_words=11, length=7, d_out=5, d_model=12))
    >>> model(torch.zeros(3, 8, 8, 3, dtype=torch.uint8), torch.tensor([[4, 2], [7, 0]])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        pictures: nn.Module,
        texts: nn.Module,
        *,
        temperature: float = TEMPERATURE,
        learned: bool = True,
    ) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.pictures = pictures
        self.texts = texts
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)

    @property
    def scale(self) -> Float[Tensor, ""]:
        """What similarities are multiplied by: one over the temperature, and at most 100."""
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()

    @property
    def temperature(self) -> float:
        """What similarities are divided by."""
        return 1 / self.scale.item()

    def picture_vectors(
        self, pictures: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch d_out"]:
        """Return a vector of length 1 for each picture."""
        return F.normalize(self.pictures(pictures), dim=-1)

    def text_vectors(self, texts: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_out"]:
        """Return a vector of length 1 for each sentence."""
        return F.normalize(self.texts(texts), dim=-1)

    def forward(
        self,
        pictures: UInt8[Tensor, "pictures height width channels"],
        texts: Int[Tensor, "texts seq"],
    ) -> Float[Tensor, "pictures texts"]:
        """Return how well each sentence fits each picture: their cosine, times the scale."""
        return self.scale * self.picture_vectors(pictures) @ self.text_vectors(texts).T


def contrastive_loss(
    pictures: Float[Tensor, "batch d_out"],
    texts: Float[Tensor, "batch d_out"],
    scale: Float[Tensor, ""] | float | int = 1.0,
    same: Bool[Tensor, "batch batch"] | None = None,
) -> Float[Tensor, ""]:
    r"""Find in a batch the sentence of every picture, and the picture of every sentence.

    .. math:: -\frac{1}{2n} \sum_i \left(
        \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \right)

    Args:
        pictures: a vector of length 1 for each.
        texts: that of the sentence of each.
        scale: what their products are multiplied by to be s.
        same: True where sentence j fits picture i as well as its own does, so that it is no wrong answer; the
            diagonal does not matter.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if vectors hold no floating-point numbers, or ``same`` is not bool.

    References:
        Radford et al. 2021, arXiv:2103.00020, figure 3; of one side: Oord et al. 2018 (InfoNCE), arXiv:1807.03748.

    >>> own = torch.eye(3)
    >>> round(contrastive_loss(own, own, scale=2).item(), 4)  # log(1 + 2 / e^2)
    0.2395
    >>> both = torch.tensor([[False, True, False], [True, False, False], [False] * 3])
    >>> round(contrastive_loss(own, own, 2, same=both).item(), 4)
    0.1645
    """
    check_floats(pictures=pictures, texts=texts)
    if pictures.shape != texts.shape:
        raise ValueError(
            f"pictures and texts must have one shape, got {tuple(pictures.shape)} and {tuple(texts.shape)}"
        )
    scores = scale * pictures @ texts.T
    if same is not None:
        scores = scores.masked_fill(_beside_the_diagonal(same, scores), -torch.inf)
    own = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def ranks(
    scores: Float[Tensor, "asked offered"], own: Int[Tensor, " asked"]
) -> Int[Tensor, " asked"]:
    """Say how many others fit at least as well as what is right: 0 where the right one is alone at the top.

    Args:
        scores: how well each that is offered fits each that is asked for.
        own: which is right.

    Returns:
        Recall at k is the share of ranks below k. If all fit alike, no rank is 0.

    Raises:
        ValueError: if there is not a right one for each, among those that are offered.

    >>> ranks(torch.tensor([[0.1, 0.7, 0.5], [0.9, 0.2, 0.2]]), torch.tensor([2, 0]))
    tensor([1, 0])
    """
    check_floats(scores=scores)
    if own.shape != scores.shape[:1]:
        raise ValueError(f"own must have shape ({len(scores)},), got {tuple(own.shape)}")
    check_ids(scores.shape[1], own=own)
    return (scores >= scores.gather(1, own[:, None])).sum(1) - 1


@torch.no_grad()
def classify(
    model: CLIP,
    pictures: UInt8[Tensor, "batch height width channels"],
    prompts: Int[Tensor, "classes seq"] | Iterable[Int[Tensor, "classes seq"]],
) -> Int[Tensor, " batch"]:
    """Name pictures without a classifier: each class is a sentence, and the one that fits best is said.

    Args:
        model: trained on pictures and sentences.
        pictures: to be named.
        prompts: a sentence for each class; or several such tables, whose vectors are averaged.

    References:
        Radford et al. 2021, arXiv:2103.00020, section 3.1.
    """
    tables = [prompts] if isinstance(prompts, Tensor) else list(prompts)
    mean = torch.stack([model.text_vectors(table) for table in tables]).mean(0)
    return (model.picture_vectors(pictures) @ F.normalize(mean, dim=-1).T).argmax(1)


def modality_gap(
    pictures: Float[Tensor, "pictures d_out"], texts: Float[Tensor, "texts d_out"]
) -> float:
    """Measure how far the mean of the pictures' vectors is from that of the sentences'.

    References:
        Liang et al. 2022 (Mind the Gap), arXiv:2203.02053.

    >>> round(modality_gap(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[0.8, 0.0]])), 3)
    0.4
    """
    return float((pictures.mean(0) - texts.mean(0)).norm())


def _blocks(d_model: int, n_heads: int, n_blocks: int, attend: Attend) -> TransformerEncoder:
    blocks = [EncoderBlock(d_model, n_heads, 2 * d_model, attend=attend) for _ in range(n_blocks)]
    return TransformerEncoder(blocks, nn.LayerNorm(d_model))


def _beside_the_diagonal(same: Tensor, scores: Tensor) -> Tensor:
    if same.dtype != torch.bool:
        raise TypeError(f"same must be bool, got {same.dtype}")
    if same.shape != scores.shape:
        raise ValueError(f"same must have shape {tuple(scores.shape)}, got {tuple(same.shape)}")
    return same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
