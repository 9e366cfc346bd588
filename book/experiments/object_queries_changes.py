"""Models and losses of chapter 16 with one change each: other ways to match, faults, and one without attention."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.masks import Mask
from minattn.multihead import MultiHeadAttention
from minattn.pictures.boxes import centred
from minattn.pictures.queries import (
    BOX_WEIGHT,
    NOTHING_WEIGHT,
    Answers,
    ObjectQueries,
    Things,
    partners,
    set_loss,
)


class Fixed(ObjectQueries):
    """Queries that do not learn: as they were drawn, or the same one six times."""

    def __init__(self, width: int, n_classes: int, *, equal: bool = False) -> None:
        super().__init__(width, n_classes)
        if equal:
            nn.init.zeros_(self.queries)
        self.queries.requires_grad_(False)


class NewEachTime(Fixed):
    """New random queries for every picture, in training and afterwards."""

    def forward(self, cells: Tensor, queries: Tensor | None = None) -> Answers:
        new = torch.randn(len(cells), *self.queries.shape)
        return super().forward(cells, new if queries is None else queries)


class NoPlaces(ObjectQueries):
    """Nothing says where a cell is, neither in the keys nor in the values."""

    def remember(self, cells: Tensor) -> Tensor:
        memory: Tensor = self.embed(self.norm(cells.to(self.embed.weight.dtype)))
        return memory


class WithoutPlaces(nn.Module):
    """Attention whose keys have lost the places, which were added; the values keep them."""

    def __init__(self, attention: MultiHeadAttention, model: ObjectQueries) -> None:
        super().__init__()
        self.attention = attention
        self.table = model.places.table  # a method, so that the model is no part of its part

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        found: Tensor = self.attention(query, key - self.table(), value, mask)
        return found


class PlacesInValues(ObjectQueries):
    """A query cannot look for a place; it is told of the place where it looked."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        for block in self.blocks:
            block.cross_attention = WithoutPlaces(block.cross_attention, self)  # type: ignore[assignment]


class Slots(nn.Module):
    """No attention: all cells are made one long vector, and six slots are read from it."""

    def __init__(self, width: int, n_classes: int, *, thin: int = 8, d_hidden: int = 52) -> None:
        super().__init__()
        like = ObjectQueries(width, n_classes)
        self.shape = like.queries.shape
        self.norm, self.thin = nn.LayerNorm(width), nn.Linear(width, thin)
        self.hidden = nn.Linear(100 * thin, d_hidden)
        self.slots = nn.Linear(d_hidden, self.shape.numel())
        self.last_norm, self.to_class, self.to_box = like.last_norm, like.to_class, like.to_box

    def forward(self, cells: Tensor) -> Answers:
        x = self.thin(self.norm(cells.to(self.thin.weight.dtype))).flatten(1)
        x = self.last_norm(self.slots(F.relu(self.hidden(x))).unflatten(1, self.shape))
        return Answers(self.to_class(x), self.to_box(x).sigmoid(), x)


def in_order(answers: Answers, things: Things) -> Tensor:
    """Let the first query answer for the first thing, in reading order, and so on."""
    return torch.arange(things.classes.shape[1]).where(things.there, -1)


def greedily(answers: Answers, things: Things) -> Tensor:
    """Let each thing in turn take the query that suits it best of those that are left."""
    left = torch.zeros(answers.boxes.shape[:2])
    chosen = torch.full_like(things.classes, -1)
    likely = answers.classes.detach().softmax(-1)
    rows = torch.arange(len(left))
    for place in range(things.classes.shape[1]):
        named = things.classes[:, place].clamp_min(0)
        box = centred(things.boxes[:, place])[:, None]
        cost = BOX_WEIGHT * (answers.boxes.detach() - box).abs().sum(-1)
        best = (cost - likely[rows, :, named] + left).argmin(1)
        chosen[:, place] = best.where(things.there[:, place], -1)
        left[rows, best] += 1e9 * things.there[:, place]
    return chosen


def matched_in_order(model: ObjectQueries, things: Things) -> Tensor:
    answers = model(things.cells)
    return set_loss(answers, things, in_order(answers, things))


def matched_greedily(model: ObjectQueries, things: Things) -> Tensor:
    answers = model(things.cells)
    return set_loss(answers, things, greedily(answers, things))


def corners_for_centres(model: ObjectQueries, things: Things) -> Tensor:
    """Hand two corners to a loss that takes them for centre, width and height."""
    answers, corner = model(things.cells), things.boxes[..., :2]
    far = things.boxes[..., 2:]
    # What `centred` makes of these is the four numbers of the corners.
    wrong = torch.cat([corner - far / 2, corner + far / 2], -1)
    return set_loss(answers, things._replace(boxes=wrong))


def nothing_is_class_0(model: ObjectQueries, things: Things) -> Tensor:
    """Tell queries without a thing to say class 0; the weight of "nothing" still stands at the last class."""
    return _named_otherwise(model, things, nothing=0, light=-1)


def weight_at_class_0(model: ObjectQueries, things: Things) -> Tensor:
    """Let class 0 count little, where "nothing" is meant."""
    return _named_otherwise(model, things, nothing=-1, light=0)


def _named_otherwise(model: ObjectQueries, things: Things, nothing: int, light: int) -> Tensor:
    answers = model(things.cells)
    n_classes = answers.classes.shape[-1]
    chosen = partners(answers, things)
    rows, places = things.there.nonzero(as_tuple=True)
    own = chosen[rows, places]
    wanted = torch.full(answers.classes.shape[:2], nothing % n_classes)
    wanted[rows, own] = things.classes[rows, places]
    weights = torch.ones(n_classes)
    weights[light] = NOTHING_WEIGHT
    named = F.cross_entropy(answers.classes.flatten(0, 1), wanted.flatten(), weights)
    away = (answers.boxes[rows, own] - centred(things.boxes)[rows, places]).abs().sum(-1)
    return named + BOX_WEIGHT * away.mean()
