"""Object queries (chapter 16): learned queries ask a picture for things, their classes and their boxes."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_sizes
from minattn.dot_product import fused_attend
from minattn.pictures.boxes import Detections, centred, corners, match
from minattn.seam import Attend
from minattn.transformer import DecoderBlock

NOTHING_WEIGHT = 0.4
BOX_WEIGHT = 5.0


class Answers(NamedTuple):
    """What every query answers.

    Args:
        classes: a score for each class, and a last one for "nothing".
        boxes: centre, width and height, as shares of the picture.
        states: what the queries became, from which both are read.
    """

    classes: Float[Tensor, "batch queries classes"]
    boxes: Float[Tensor, "batch queries 4"]
    states: Float[Tensor, "batch queries d_model"]


class Things(NamedTuple):
    """A batch to learn from: the cells of pictures, and which things are where.

    Args:
        cells: what a stem saw in each cell, row after row.
        classes: of the things that are there; -1 where there is none.
        boxes: of the things, as corners, in shares of the picture.
    """

    cells: Float[Tensor, "batch cells width"]
    classes: Int[Tensor, "batch things"]
    boxes: Float[Tensor, "batch things 4"]


class GridPlaces(nn.Module):
    """Add to each cell of a grid a learned vector of its row and one of its column."""

    def __init__(self, side: int, d_model: int) -> None:
        super().__init__()
        check_sizes(side=side, d_model=d_model)
        self.rows = nn.Parameter(torch.randn(side, 1, d_model) * 0.5)
        self.columns = nn.Parameter(torch.randn(1, side, d_model) * 0.5)

    def forward(
        self, x: Float[Tensor, "batch cells d_model"]
    ) -> Float[Tensor, "batch cells d_model"]:
        return x + (self.rows + self.columns).flatten(0, 1)


class ObjectQueries(nn.Module):
    def __init__(
        self,
        width: int,
        n_classes: int,
        *,
        side: int = 10,
        n_queries: int = 6,
        d_model: int = 64,
        n_heads: int = 1,
        n_blocks: int = 1,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(width=width, n_classes=n_classes, n_queries=n_queries, n_blocks=n_blocks)
        self.norm = nn.LayerNorm(width)
        self.embed = nn.Linear(width, d_model)
        self.places = GridPlaces(side, d_model)
        self.queries = nn.Parameter(torch.randn(n_queries, d_model))
        self.blocks = nn.ModuleList(
            DecoderBlock(d_model, n_heads, 2 * d_model, attend=attend) for _ in range(n_blocks)
        )
        self.last_norm = nn.LayerNorm(d_model)
        self.to_class = nn.Linear(d_model, n_classes + 1)
        self.to_box = nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, 4))

    def remember(self, cells):
        return self.places(self.embed(self.norm(cells)))

    def forward(self, cells, queries=None) -> Answers:
        memory = self.remember(cells)
        x = self.queries if queries is None else queries
        x = x.expand(len(cells), -1, -1)
        for block in self.blocks:
            x = block(x, memory, mask=None)
        x = self.last_norm(x)
        return Answers(self.to_class(x), self.to_box(x).sigmoid(), x)


def matching_cost(answers: Answers, things: Things):
    probability = answers.classes.softmax(-1)
    asked = things.classes.clamp_min(0)[:, None].expand(-1, probability.shape[1], -1)
    likely = probability.gather(-1, asked)
    away = (answers.boxes[:, :, None] - centred(things.boxes)[:, None]).abs().sum(-1)
    return BOX_WEIGHT * away - likely


def set_loss(answers: Answers, things: Things, queries=None):
    there = things.classes >= 0
    if queries is None:
        queries = match(matching_cost(answers, things), there)
    n = answers.classes.shape[-1]
    rows, order = there.nonzero(as_tuple=True)
    own = queries[rows, order]
    target = torch.full(answers.classes.shape[:2], n - 1)
    target[rows, own] = things.classes[rows, order]
    weights = torch.ones(n)
    weights[-1] = NOTHING_WEIGHT
    named = F.cross_entropy(answers.classes.flatten(0, 1), target.flatten(), weights)
    away = (answers.boxes[rows, own] - centred(things.boxes)[rows, order]).abs().sum(-1).mean()
    return named + BOX_WEIGHT * away


def detections(answers: Answers, size: float) -> Detections:
    probability = answers.classes.softmax(-1)
    scores, classes = probability[..., :-1].max(-1)
    return Detections(classes, scores, corners(answers.boxes) * size, scores > probability[..., -1])
