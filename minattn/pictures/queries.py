"""Object queries (chapter 16): learned vectors ask a picture which things are where, with nobody to ask for them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from minattn.checks import check_floats, check_ids, check_sizes
from minattn.dot_product import fused_attend
from minattn.learning import Recipe
from minattn.pictures.boxes import Detections, centred, corners, match
from minattn.pictures.patches import Places, Stem, features
from minattn.seam import Attend
from minattn.tasks.scenes import SIZE, Scenes, cells_inside
from minattn.transformer import DecoderBlock

NOTHING_WEIGHT = 0.4
"""What a query counts in the loss that should say "nothing"; most queries should, and the others count 1."""

BOX_WEIGHT = 5.0
"""What the distance between boxes counts, in the loss and in the cost; the class counts 1."""


class Things(NamedTuple):
    """Pictures to learn from: what a stem saw in each cell, and which things are where.

    Args:
        cells: one vector for each cell of a grid, row after row.
        classes: of the things that are there; -1 where there is none.
        boxes: of the things, as corners, in shares of the picture: 0 is its left or upper edge, 1 the other.
        pictures: red, green, blue; for masks.
        masks: which pixels show each thing, if that is known.
    """

    cells: Float[Tensor, "batch cells width"]
    classes: Int[Tensor, "batch things"]
    boxes: Float[Tensor, "batch things 4"]
    pictures: UInt8[Tensor, "batch height width 3"]
    masks: Bool[Tensor, "batch things height width"] | None = None

    def some(self, chosen: Int[Tensor, " number"]) -> "Things":
        """Return some of the pictures."""
        cells, classes, boxes, pictures, masks = self
        shown = None if masks is None else masks[chosen]
        return Things(cells[chosen], classes[chosen], boxes[chosen], pictures[chosen], shown)

    @property
    def there(self) -> Bool[Tensor, "batch things"]:
        """Where there is a thing and no padding."""
        return self.classes >= 0


def things_in(scenes: Scenes, stem: Stem) -> Things:
    """Let a frozen stem look at scenes once, and make tensors of what is known of them.

    Args:
        scenes: pictures and what is in them.
        stem: what makes cells of pictures; they are kept in half precision.

    >>> from minattn.tasks.scenes import scenes
    >>> found = things_in(scenes(2, ["noto"], seed=1), Stem())
    >>> found.cells.shape, found.boxes.shape, bool((found.boxes <= 1).all())
    (torch.Size([2, 100, 96]), torch.Size([2, 3, 4]), True)
    """
    pictures = torch.from_numpy(scenes.pictures)
    return Things(
        features(stem, pictures),
        torch.from_numpy(scenes.classes),
        torch.from_numpy(scenes.boxes).float() / SIZE,
        pictures,
        None if scenes.masks is None else torch.from_numpy(scenes.masks),
    )


def draw(things: Things, recipe: Recipe) -> Iterator[Things]:
    """Draw pictures for every step of a training, each as likely as every other.

    Args:
        things: to draw from.
        recipe: says how many steps, how many pictures for each, and the seed.

    >>> from minattn.tasks.scenes import scenes
    >>> known = things_in(scenes(5, ["noto"], seed=1), Stem())
    >>> [len(batch.cells) for batch in draw(known, Recipe(steps=3, batch_size=2))]
    [2, 2, 2]
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.steps):
        yield things.some(torch.randint(len(things.cells), (recipe.batch_size,), generator=rng))


class Answers(NamedTuple):
    """What every query answers.

    Args:
        classes: a logit for each class, and a last one for "nothing".
        boxes: centre, width and height, in shares of the picture.
        states: what the queries became; class and box are read from it.
    """

    classes: Float[Tensor, "batch queries classes"]
    boxes: Float[Tensor, "batch queries 4"]
    states: Float[Tensor, "batch queries d_model"]


class ObjectQueries(nn.Module):
    r"""Let learned queries look at a picture, each once, and answer with a class and a box.

    .. math:: \hat y_i = \operatorname{heads}(\operatorname{block}(q_i, M)), \qquad
        M_{jk} = W \operatorname{norm}(f_{jk}) + r_j + c_k

    The block is that of the decoder of chapter 6 without a causal mask. It reads no words: its n tokens are the
    queries, the same ones for every picture. Row and column are told in the keys, so that a query can look at
    places, and in the values, so that it can say where it looked.

    Args:
        width: of what a stem says of a cell.
        n_classes: how many classes things have; "nothing" is one more, the last.
        side: cells in a row and in a column.
        n_queries: the most things that can be found.
        d_model: width of a query.
        n_heads: heads of the attention.
        n_blocks: how many times the queries look.
        attend: how every head attends.

    Raises:
        ValueError: if a number is below 1, or the heads do not divide the width.

    References:
        Carion et al. 2020 (DETR), arXiv:2005.12872, section 3.2, with six blocks, and an encoder before them.

    >>> model = ObjectQueries(width=7, n_classes=5, side=3, n_queries=4, d_model=8)
    >>> answers = model(torch.zeros(2, 9, 7))
    >>> answers.classes.shape, answers.boxes.shape
    (torch.Size([2, 4, 6]), torch.Size([2, 4, 4]))
    """

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
        self.places = Places(side, side, d_model)
        self.queries = nn.Parameter(torch.randn(n_queries, d_model))
        self.blocks = nn.ModuleList(
            DecoderBlock(d_model, n_heads, 2 * d_model, attend=attend) for _ in range(n_blocks)
        )
        self.last_norm = nn.LayerNorm(d_model)
        self.to_class = nn.Linear(d_model, n_classes + 1)
        self.to_box = nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, 4))

    def remember(
        self, cells: Float[Tensor, "batch cells width"]
    ) -> Float[Tensor, "batch cells d_model"]:
        """Return what the queries attend to: a vector of each cell, with its place."""
        memory: Tensor = self.places(self.embed(self.norm(cells.to(self.embed.weight.dtype))))
        return memory

    def forward(
        self,
        cells: Float[Tensor, "batch cells width"],
        queries: Float[Tensor, "*#batch n_queries d_model"] | None = None,
    ) -> Answers:
        """Ask the pictures.

        Args:
            cells: what a stem says of each cell, in any precision.
            queries: ask these instead of the learned ones, the same for all pictures or others for each.

        Raises:
            ValueError: if the cells are not as many or not as wide as the model was made for.
        """
        check_floats(cells=cells)
        memory = self.remember(cells)
        asked = self.queries if queries is None else queries
        x = asked.expand(len(cells), *asked.shape[-2:])
        for block in self.blocks:
            x = block(x, memory, mask=None)
        x = self.last_norm(x)
        return Answers(self.to_class(x), self.to_box(x).sigmoid(), x)


def partners(answers: Answers, things: Things) -> Int[Tensor, "batch things"]:
    r"""Give every thing the query that answers for it: together they do it best.

    .. math:: \text{cost}_{i,t} = \lambda\, \lVert \hat b_i - b_t \rVert_1 - \hat p_i(c_t)

    Args:
        answers: of a model; no gradient flows through the choice.
        things: what is there.

    Returns:
        The query of each thing, -1 for padding; see ``minattn.pictures.boxes.match``.

    Raises:
        ValueError: if shapes do not fit, a class is none that the model knows, or there are too few queries.

    References:
        Carion et al. 2020, arXiv:2005.12872, equation 1; there another loss of the boxes is added, which
        did not pay here.

    >>> boxes = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1]]])
    >>> answers = Answers(torch.zeros(1, 2, 3), boxes, boxes)
    >>> things = Things(boxes, torch.tensor([[1, -1]]), corners(boxes[:, [1, 0]]), boxes)
    >>> partners(answers, things)  # the thing lies where the second query says
    tensor([[ 1, -1]])
    """
    _check_things(answers, things)
    with torch.no_grad():
        named = things.classes.clamp_min(0)[:, None].expand(-1, answers.boxes.shape[1], -1)
        likely = answers.classes.softmax(-1).gather(-1, named)
        away = (answers.boxes[:, :, None] - centred(things.boxes)[:, None]).abs().sum(-1)
        return match(BOX_WEIGHT * away - likely, things.there)


def set_loss(
    answers: Answers, things: Things, chosen: Int[Tensor, "batch things"] | None = None
) -> Float[Tensor, ""]:
    r"""Compare a set of answers with a set of things: first match, then compare each with its partner.

    .. math:: -\frac{\sum_i w_i \log \hat p_i(c_i)}{\sum_i w_i}
        + \frac{\lambda}{N} \sum_t \lVert \hat b_{\sigma(t)} - b_t \rVert_1

    :math:`c_i` is the class of the thing that query i answers for; a query without one should say "nothing", and
    counts :math:`w_i = 0.4`. Boxes count where there is a thing. In which order the things are listed makes
    no difference.

    Args:
        answers: of a model.
        things: what is there.
        chosen: which query answers for each thing; as ``partners`` says if not given.

    Raises:
        ValueError: if shapes do not fit, a class is none that the model knows, or there are too few queries.

    References:
        Carion et al. 2020, arXiv:2005.12872, equation 2; there another loss of the boxes is added, and
        "nothing" counts 0.1.

    >>> boxes = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1]]])
    >>> sure = torch.tensor([[[0.0, 0.0, 99.0], [0.0, 99.0, 0.0]]])  # nothing; class 1
    >>> things = Things(boxes, torch.tensor([[1, -1]]), corners(boxes[:, [1, 0]]), boxes)
    >>> set_loss(Answers(sure, boxes, boxes), things).item() < 1e-6
    True
    """
    chosen = partners(answers, things) if chosen is None else chosen
    rows, places = things.there.nonzero(as_tuple=True)
    own = chosen[rows, places]
    nothing = answers.classes.shape[-1] - 1
    wanted = torch.full(answers.classes.shape[:2], nothing, device=chosen.device)
    wanted[rows, own] = things.classes[rows, places]
    weights = answers.classes.new_ones(nothing + 1)
    weights[nothing] = NOTHING_WEIGHT
    named = F.cross_entropy(answers.classes.flatten(0, 1), wanted.flatten(), weights)
    away = (answers.boxes[rows, own] - centred(things.boxes)[rows, places]).abs().sum(-1)
    return named + BOX_WEIGHT * away.sum() / max(len(rows), 1)


def detections(answers: Answers) -> Detections:
    """Read from every answer what was found, and whether anything was.

    Returns:
        Class and score are those of the likeliest thing; ``said`` where it is likelier than "nothing". Boxes are
        corners in shares of the picture.

    >>> boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4]]])
    >>> found = detections(Answers(torch.tensor([[[0.0, 3.0, 1.0]]]), boxes, boxes))
    >>> found.classes, found.said, found.boxes
    (tensor([[1]]), tensor([[True]]), tensor([[[0.4000, 0.3000, 0.6000, 0.7000]]]))
    """
    likely = answers.classes.softmax(-1)
    scores, classes = likely[..., :-1].max(-1)
    return Detections(classes, scores, corners(answers.boxes), scores > likely[..., -1])


def truth(
    things: Things, chosen: Int[Tensor, "batch things"], n_queries: int
) -> Bool[Tensor, "batch queries cells"]:
    """Say at which cells each query should look: those with their centre in the box of its thing.

    Args:
        things: what is there.
        chosen: which query answers for each thing, as ``partners`` says.
        n_queries: how many queries there are.

    Returns:
        For a query that answers for nothing, no cell.

    Raises:
        ValueError: if there are other than square grids of cells, or a query is none of those there are.

    >>> cells, boxes = torch.zeros(1, 4, 3), torch.tensor([[[0.0, 0.0, 0.5, 1.0]]])  # the left half
    >>> truth(Things(cells, torch.tensor([[7]]), boxes, boxes), torch.tensor([[1]]), 2).int()
    tensor([[[0, 0, 0, 0],
             [1, 0, 1, 0]]], dtype=torch.int32)
    """
    check_sizes(n_queries=n_queries)
    side = round(things.cells.shape[1] ** 0.5)
    if side**2 != things.cells.shape[1]:
        raise ValueError(f"cells must be those of a square, got {things.cells.shape[1]}")
    check_ids(n_queries, chosen=chosen[things.there])
    inside = torch.from_numpy(cells_inside(things.boxes.cpu().numpy(), side, 1))
    found = torch.zeros(len(chosen), n_queries, side**2, dtype=torch.bool)
    rows, places = things.there.cpu().nonzero(as_tuple=True)
    found[rows, chosen.cpu()[rows, places]] = inside[rows, places]
    return found.to(chosen.device)


def _check_things(answers: Answers, things: Things) -> None:
    batch, n_classes = len(answers.classes), answers.classes.shape[-1] - 1
    if things.classes.shape[:1] != (batch,) or things.boxes.shape != (*things.classes.shape, 4):
        raise ValueError(
            f"things must have classes ({batch}, things) and boxes ({batch}, things, 4), "
            f"got {tuple(things.classes.shape)} and {tuple(things.boxes.shape)}"
        )
    check_ids(n_classes, classes=things.classes[things.there])
