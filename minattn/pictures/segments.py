"""The same queries ask pixels: a mask for each thing, or for each class, and three means of what they get right."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from minattn.checks import check_floats, check_ids, check_sizes
from minattn.pictures.patches import Places, channels_first
from minattn.pictures.queries import Answers, ObjectQueries, Things, partners, set_loss

MASK_WEIGHT = 4.0
"""What a pixel's own loss counts beside the overlap of the whole mask."""


class PixelEmbedding(nn.Module):
    """Give each pixel a vector: what is around it, and where it stands.

    The convolutions work on blocks of two by two pixels, a quarter of the places, and a last map says something of
    each of the four pixels of a block. That costs about a quarter of the same convolutions at every pixel, and edges
    stay as sharp.

    Args:
        side: of the pictures, in pixels; even.
        d_pixel: width of a pixel's vector.
        d_hidden: channels of the convolutions.

    Raises:
        ValueError: if a size is below 1, or the side is odd.

    References:
        Shi et al. 2016, arXiv:1609.05158 (the last map, there for larger pictures).

    >>> PixelEmbedding(side=6, d_pixel=5)(torch.zeros(1, 6, 6, 3, dtype=torch.uint8)).shape
    torch.Size([1, 36, 5])
    """

    def __init__(self, side: int, d_pixel: int = 16, d_hidden: int = 32) -> None:
        super().__init__()
        check_sizes(side=side, d_pixel=d_pixel, d_hidden=d_hidden)
        if side % 2:
            raise ValueError(f"side must be even, got {side}")
        self.look = nn.Sequential(
            nn.Conv2d(3, d_hidden, 6, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(d_hidden, d_hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(d_hidden, 4 * d_pixel, 1),
        )
        self.places = Places(side, side, d_pixel)

    def forward(
        self, pictures: UInt8[Tensor, "batch height width 3"]
    ) -> Float[Tensor, "batch height*width d_pixel"]:
        """Return a vector for each pixel, row after row.

        Raises:
            ValueError: if the pictures have another side.
            TypeError: if they are no tensor of bytes.
        """
        planes = F.pixel_shuffle(self.look(channels_first(pictures)), 2)
        pixels: Tensor = self.places(planes.flatten(2).mT)
        return pixels


class Masks(nn.Module):
    r"""Ask every pixel whether it belongs to what a query found: one dot product.

    .. math:: m_i(x, y) = (W q_i)^\top e(x, y) + w^\top q_i

    It is a lookup without the softmax: a score for each key, and the scores are the answer.

    Args:
        d_model: width of a query.
        side: of the pictures, in pixels; even.
        d_pixel: width of a pixel's vector.

    Raises:
        ValueError: if a size is below 1, or the side is odd.

    References:
        Cheng et al. 2021 (MaskFormer), arXiv:2107.06278, section 3.3.

    >>> masks = Masks(d_model=8, side=6)
    >>> masks(torch.zeros(1, 4, 8), torch.zeros(1, 6, 6, 3, dtype=torch.uint8)).shape
    torch.Size([1, 4, 6, 6])
    """

    def __init__(self, d_model: int, side: int, d_pixel: int = 16) -> None:
        super().__init__()
        self.pixels = PixelEmbedding(side, d_pixel)
        self.ask = nn.Sequential(
            nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, d_pixel + 1)
        )

    def forward(
        self,
        states: Float[Tensor, "batch queries d_model"],
        pictures: UInt8[Tensor, "batch height width 3"],
    ) -> Float[Tensor, "batch queries height width"]:
        """Return a logit of every pixel for every query: above 0 where it belongs to it."""
        asked = self.ask(states)
        scores = asked[..., :-1] @ self.pixels(pictures).mT + asked[..., -1:]
        found: Tensor = scores.unflatten(-1, pictures.shape[1:3])
        return found


class Segments(NamedTuple):
    """What queries answer, and which pixels they claim.

    Args:
        answers: class and box of each query.
        masks: a logit of every pixel for every query.
    """

    answers: Answers
    masks: Float[Tensor, "batch queries height width"]


class SegmentingQueries(nn.Module):
    """Object queries that say with a mask, too, what they found.

    Asked for things, a query answers for the thing that it is matched with (``mask_loss``). Asked for a map, there is
    one query for each class and one for what is behind all, and nothing to match (``map_loss``).

    Args:
        queries: what looks at the cells.
        side: of the pictures, in pixels; even.

    References:
        Cheng et al. 2021 (MaskFormer), arXiv:2107.06278; a query for each class: Strudel et al. 2021
        (Segmenter), arXiv:2105.05633, section 3.2.

    >>> queries = ObjectQueries(width=7, n_classes=5, side=2, n_queries=4, d_model=8)
    >>> model = SegmentingQueries(queries, side=6)
    >>> model(torch.zeros(1, 4, 7), torch.zeros(1, 6, 6, 3, dtype=torch.uint8)).masks.shape
    torch.Size([1, 4, 6, 6])
    """

    def __init__(self, queries: ObjectQueries, side: int) -> None:
        super().__init__()
        self.queries = queries
        self.masks = Masks(queries.queries.shape[1], side)

    def forward(
        self,
        cells: Float[Tensor, "batch cells d_cell"],
        pictures: UInt8[Tensor, "batch height width 3"],
    ) -> Segments:
        """Ask the cells, and then the pixels."""
        answers = self.queries(cells)
        return Segments(answers, self.masks(answers.states, pictures))


def mask_loss(segments: Segments, things: Things) -> Float[Tensor, ""]:
    r"""Add to ``set_loss`` how wrong the mask of each thing is: pixel by pixel, and as a whole.

    .. math:: \lambda \operatorname{BCE}(m, t) + 1 - \frac{2 \sum_p m_p t_p + 1}{\sum_p m_p + \sum_p t_p + 1}

    The second part (the Dice loss) weighs a small thing as a large one.

    Args:
        segments: of a model.
        things: what is there, with masks.

    Raises:
        ValueError: if no masks are known, or shapes do not fit.

    References:
        Milletari et al. 2016 (Dice), arXiv:1606.04797, section 3.

    >>> from minattn.tasks.scenes import scenes
    >>> from minattn.pictures.patches import Stem
    >>> from minattn.pictures.queries import things_in
    >>> things = things_in(scenes(2, ["noto"], seed=1, masks=True), Stem())
    >>> model = SegmentingQueries(ObjectQueries(width=96, n_classes=32), side=40)
    >>> mask_loss(model(things.cells, things.pictures), things).shape
    torch.Size([])
    """
    chosen = partners(segments.answers, things)
    logits, wanted = _pairs(segments, things, chosen)
    likely = logits.sigmoid()
    both, either = (likely * wanted).sum((1, 2)), likely.sum((1, 2)) + wanted.sum((1, 2))
    whole = 1 - ((2 * both + 1) / (either + 1)).mean()
    each = F.binary_cross_entropy_with_logits(logits, wanted)
    return set_loss(segments.answers, things, chosen) + MASK_WEIGHT * each + whole


def map_loss(segments: Segments, labels: Int[Tensor, "batch height width"]) -> Float[Tensor, ""]:
    """Let the queries compete for every pixel: query c should win the pixels of class c.

    Args:
        segments: of a model with a query for each label.
        labels: of every pixel, as ``labels_of`` makes them.

    Raises:
        ValueError: if there are labels without a query.

    References:
        Strudel et al. 2021 (Segmenter), arXiv:2105.05633, section 3.2.

    >>> sure = torch.tensor([[[[99.0, 0.0]], [[0.0, 99.0]]]])  # two queries, two pixels
    >>> answers = Answers(sure[0], sure[0], sure[0])
    >>> map_loss(Segments(answers, sure), torch.tensor([[[0, 1]]])).item()
    0.0
    """
    check_ids(segments.masks.shape[1], labels=labels)
    return F.cross_entropy(segments.masks, labels)


def labels_of(things: Things, n_classes: int) -> Int[Tensor, "batch height width"]:
    """Say of every pixel which class it shows; ``n_classes`` where it shows no thing.

    Raises:
        ValueError: if no masks are known.

    >>> masks, boxes = torch.tensor([[[[True, False]]]]), torch.zeros(1, 1, 4)
    >>> pictures = torch.zeros(1, 1, 2, 3, dtype=torch.uint8)
    >>> labels_of(Things(boxes, torch.tensor([[4]]), boxes, pictures, masks), n_classes=9)
    tensor([[[4, 9]]])
    """
    masks = _known(things)
    labels = torch.full(things.pictures.shape[:3], n_classes, device=masks.device)
    for place in range(masks.shape[1]):
        own = masks[:, place] & things.there[:, place, None, None]
        labels = torch.where(own, things.classes[:, place, None, None], labels)
    return labels


def map_of_things(segments: Segments) -> Int[Tensor, "batch height width"]:
    r"""Make one map of all masks: each pixel is of the class that has most of it.

    .. math:: \arg\max_c \sum_i p_i(c)\, \sigma(m_i(x, y))

    Where that sum is below a half, nothing is there.

    References:
        Cheng et al. 2021, arXiv:2107.06278, section 3.4.

    >>> classes, masks = torch.tensor([[[0.0, 99.0, 0.0]]]), torch.tensor([[[[9.0, -9.0]]]])
    >>> map_of_things(Segments(Answers(classes, classes, classes), masks))  # 2: nothing is there
    tensor([[[1, 2]]])
    """
    likely = segments.answers.classes.softmax(-1)[..., :-1]
    scores = torch.einsum("bqc,bqhw->bchw", likely, segments.masks.sigmoid())
    best, label = scores.max(1)
    return label.masked_fill(best < 0.5, likely.shape[-1])


def mask_iou(
    first: Bool[Tensor, "*batch height width"], second: Bool[Tensor, "*batch height width"]
) -> Float[Tensor, "*batch"]:
    """Return of each pair of masks which share of what either covers both cover; 1 for two empty ones.

    >>> one = torch.tensor([[True, True, False]])
    >>> mask_iou(one, torch.tensor([[False, True, True]])).item()
    0.3333333333333333
    """
    both = (first & second).sum((-2, -1)).double()
    either = (first | second).sum((-2, -1)).double()
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


class MeanIoU(NamedTuple):
    """Three means of the same maps.

    Args:
        pictures: IoU of each class in each picture that shows it; then the mean. A small thing counts as a large one.
        classes: IoU of each class in all pictures together; then the mean. A rare class counts as a common one.
        pixels: one IoU of all pixels, of whatever class. What is large and common counts most.
    """

    pictures: float
    classes: float
    pixels: float


def mean_iou(
    found: Int[Tensor, "batch height width"],
    labels: Int[Tensor, "batch height width"],
    n_labels: int,
) -> MeanIoU:
    """Score maps in three ways, each of which is called the mean IoU somewhere.

    Args:
        found: a label for every pixel.
        labels: the right ones.
        n_labels: how many labels count, 0 to ``n_labels`` - 1; those that are nowhere are left out.

    Raises:
        ValueError: if shapes do not fit, or no label that counts is anywhere.

    >>> found, labels = torch.tensor([[[0, 0, 0, 1]]]), torch.tensor([[[0, 0, 1, 1]]])
    >>> [round(value, 2) for value in mean_iou(found, labels, 2)]
    [0.58, 0.58, 0.6]
    """
    check_sizes(n_labels=n_labels)
    if found.shape != labels.shape or found.ndim != 3:
        raise ValueError(
            "maps need the same shape (batch, height, width), "
            f"got {tuple(found.shape)} and {tuple(labels.shape)}"
        )
    pairs = [(found == label, labels == label) for label in range(n_labels)]
    both = torch.stack([(a & b).sum((1, 2)) for a, b in pairs]).double()  # (labels, batch)
    either = torch.stack([(a | b).sum((1, 2)) for a, b in pairs]).double()
    shown = torch.stack([b.any(-1).any(-1) for _, b in pairs])
    if not bool(shown.any()):
        raise ValueError("a score needs at least one pixel with a label that counts, got none")
    own = shown.any(1)
    return MeanIoU(
        (both[shown] / either[shown]).mean().item(),
        (both.sum(1)[own] / either.sum(1)[own]).mean().item(),
        (both.sum() / either.sum()).item(),
    )


def _known(things: Things) -> Bool[Tensor, "batch things height width"]:
    if things.masks is None:
        raise ValueError("things must come with masks, got none: draw scenes with masks=True")
    return things.masks


def _pairs(segments: Segments, things: Things, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and truth of every mask that is there."""
    check_floats(masks=segments.masks)
    rows, places = things.there.nonzero(as_tuple=True)
    logits = segments.masks[rows, chosen[rows, places]]
    return logits, _known(things)[rows, places].to(logits.dtype)
