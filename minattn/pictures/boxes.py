"""Boxes: two ways to write one, how far two agree, which goes with which, and how good a list of finds is."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from minattn.checks import check_floats, check_shares, check_whole


def corners(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    r"""Write boxes as two corners that are given by centre, width and height.

    .. math:: (c_x, c_y, w, h) \to
        (c_x - \tfrac w2,\; c_y - \tfrac h2,\; c_x + \tfrac w2,\; c_y + \tfrac h2)

    >>> corners(torch.tensor([5.0, 6.0, 4.0, 2.0]))
    tensor([3., 5., 7., 7.])
    """
    _check_boxes(boxes=boxes)
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def centred(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    r"""Write boxes as centre, width and height that are given by two corners; the inverse of ``corners``.

    .. math:: (x_0, y_0, x_1, y_1) \to
        (\tfrac{x_0 + x_1}2,\; \tfrac{y_0 + y_1}2,\; x_1 - x_0,\; y_1 - y_0)

    >>> centred(torch.tensor([3.0, 5.0, 7.0, 7.0]))
    tensor([5., 6., 4., 2.])
    """
    _check_boxes(boxes=boxes)
    first, second = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(first + second) / 2, second - first], dim=-1)


def box_iou(
    first: Float[Tensor, "*batch n 4"], second: Float[Tensor, "*batch m 4"]
) -> Float[Tensor, "*batch n m"]:
    r"""Compare every box with every other: how much of what either covers do both cover?

    .. math:: \operatorname{IoU}(A, B) = \frac{|A \cap B|}{|A \cup B|}

    Args:
        first: n boxes, each as corners.
        second: m boxes, each as corners.

    Returns:
        From 0 (no pixel in common) to 1 (the same box). A box whose second corner is not below and to the right
        of its first covers nothing.

    >>> one = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    >>> box_iou(one, torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]]))
    tensor([[1.0000, 0.3333]])
    """
    _check_boxes(first=first, second=second)
    a, b = first[..., :, None, :], second[..., None, :, :]
    both = _area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    either = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - both
    return both / either.clamp_min(torch.finfo(both.dtype).tiny)


def match(
    cost: Float[Tensor, "batch queries things"], there: Bool[Tensor, "batch things"]
) -> Int[Tensor, "batch things"]:
    r"""Give every thing a query of its own, so that the sum of the costs is as small as can be.

    .. math:: \hat\sigma = \arg\min_\sigma \sum_t \text{cost}_{\sigma(t),\, t}, \qquad
        \sigma(t) \ne \sigma(u) \text{ for } t \ne u

    n queries have n! / (n - k)! ways to find k things: 120 for six and three. The Hungarian method finds the
    cheapest without trying them all, here scipy's ``linear_sum_assignment``, one picture after the other.

    Args:
        cost: what it costs to give a thing to a query.
        there: which things there are; the others are padding, and take no query.

    Returns:
        The query of each thing; -1 for padding.

    Raises:
        ValueError: if there are fewer queries than things in a picture, the shapes do not fit, or a cost of a thing
            that is there is not finite.
        TypeError: if costs are no floating-point numbers, or ``there`` is not bool.

    References:
        Kuhn 1955, doi:10.1002/nav.3800020109 (the Hungarian method); Carion et al. 2020 (DETR), arXiv:2005.12872,
        equation 1.

    >>> cost = torch.tensor([[[1.0, 2.0], [2.0, 9.0], [5.0, 5.0]]])  # three queries, two things
    >>> match(cost, torch.tensor([[True, True]]))  # not 1.0 + 5.0, but 2.0 + 2.0
    tensor([[1, 0]])
    """
    check_floats(cost=cost)
    _check_there(cost, there)
    found = torch.full(there.shape, -1)
    costs, places = cost.detach().double().cpu().numpy(), there.cpu().numpy()
    for row, (one, own) in enumerate(zip(costs, places, strict=True)):
        queries, things = linear_sum_assignment(one[:, own])
        found[row, own.nonzero()[0][things]] = torch.from_numpy(queries)
    return found.to(cost.device)


class Detections(NamedTuple):
    """What a model says it found: one find for each query.

    Args:
        classes: the class of each find, the likeliest one that is a thing.
        scores: how sure the model is of it.
        boxes: as corners.
        said: whether the model says that there is a thing at all.
    """

    classes: Int[Tensor, "batch queries"]
    scores: Float[Tensor, "batch queries"]
    boxes: Float[Tensor, "batch queries 4"]
    said: Bool[Tensor, "batch queries"]


def hits(
    found: Detections,
    classes: Int[Tensor, "batch things"],
    boxes: Float[Tensor, "batch things 4"],
    at: float | int = 0.5,
) -> Bool[Tensor, "batch queries"]:
    """Say which finds are right: of the class of a thing, and with enough of its box.

    Finds take their turns, the surest first, and each takes the thing of its class that it fits best and that no
    other has taken. So a thing that is found twice counts once, and the second find is wrong.

    Args:
        found: the finds.
        classes: of the things that are there; -1 where there is none.
        boxes: of the things, as corners.
        at: the least IoU that counts as found.

    Raises:
        ValueError: if shapes do not fit, or ``at`` is not in [0, 1].
    """
    check_shares(at=at)
    _check_things(found, classes, boxes)
    fits = box_iou(found.boxes, boxes.to(found.boxes.dtype))
    same = found.classes[:, :, None] == classes[:, None]  # never so for padding
    fits = fits.masked_fill(~same, -1.0)
    rows = torch.arange(len(classes), device=classes.device)
    right = torch.zeros_like(found.said)
    for query in found.scores.argsort(dim=1, descending=True, stable=True).T:
        best, thing = fits[rows, query].max(-1)
        hit = best >= at
        right[rows, query] = hit
        fits[rows[hit], :, thing[hit]] = -1.0  # taken
    return right


def average_precision(
    scores: Float[Tensor, " finds"], right: Bool[Tensor, " finds"], n_things: int
) -> float:
    r"""Summarise a list of finds, the surest first: the area below precision over recall.

    .. math:: \operatorname{AP} = \frac1N \sum_{k:\ \text{find } k \text{ is right}}\ \max_{j \ge k} P_j

    P_j is the share of right ones among the first j finds, N the number of things. A wrong find below all right
    ones costs nothing, and one above them all costs most.

    Args:
        scores: how sure the model was of each find; their order counts.
        right: which finds are right.
        n_things: how many there were to find.

    Raises:
        ValueError: if shapes do not fit, there is nothing to find, or more finds are right than there are things.

    References:
        Everingham et al. 2015, doi:10.1007/s11263-014-0733-5 (Pascal VOC).

    >>> average_precision(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([True, False, True]), 2)
    0.8333333333333333
    """
    check_whole(1, n_things=n_things)
    if scores.ndim != 1 or scores.shape != right.shape:
        raise ValueError(
            f"there must be one score for each find, got {tuple(scores.shape)} and {tuple(right.shape)}"
        )
    if int(right.sum()) > n_things:
        raise ValueError(
            f"no more finds are right than there are things, got {int(right.sum())} for {n_things} things"
        )
    sorted_right = right[scores.argsort(dim=0, descending=True, stable=True)].double()
    places = torch.arange(1, len(right) + 1, device=right.device)
    precision = sorted_right.cumsum(0) / places
    best_after = precision.flip(0).cummax(0).values.flip(0)
    return float((best_after * sorted_right).sum() / n_things)


def mean_average_precision(
    found: Detections,
    classes: Int[Tensor, "batch things"],
    boxes: Float[Tensor, "batch things 4"],
    at: float | int = 0.5,
) -> float:
    """Average the average precision of all classes that are there; at an IoU of 0.5 this is called AP50.

    Args:
        found: the finds; those of a class that is nowhere are left out.
        classes: of the things that are there; -1 where there is none.
        boxes: of the things, as corners.
        at: the least IoU that counts as found.

    Raises:
        ValueError: if shapes do not fit, ``at`` is not in [0, 1], or there is no thing at all.

    References:
        Lin et al. 2014 (COCO), arXiv:1405.0312.
    """
    right = hits(found, classes, boxes, at)
    values = []
    for label in sorted(set(classes[classes >= 0].tolist())):
        own = found.classes == label
        n_things = int((classes == label).sum())
        values.append(average_precision(found.scores[own], right[own], n_things))
    if not values:
        raise ValueError("a score needs at least one thing, got none")
    return sum(values) / len(values)


def exactness(
    found: Detections,
    classes: Int[Tensor, "batch things"],
    boxes: Float[Tensor, "batch things 4"],
    at: float | int = 0.5,
) -> float:
    """Return the share of pictures in which all things are found, and nothing else.

    Raises:
        ValueError: if shapes do not fit, ``at`` is not in [0, 1], or there is no picture.
    """
    if not len(classes):
        raise ValueError("a score needs at least one picture, got none")
    silent_last = found._replace(scores=found.scores.masked_fill(~found.said, -math.inf))
    right = hits(silent_last, classes, boxes, at) & found.said
    n_said, n_right, n_things = found.said.sum(1), right.sum(1), (classes >= 0).sum(1)
    return ((n_said == n_things) & (n_right == n_things)).double().mean().item()


def _area(first: Tensor, second: Tensor) -> Tensor:
    return (second - first).clamp_min(0).prod(-1)


def _check_boxes(**boxes: Tensor) -> None:
    check_floats(**boxes)
    for name, x in boxes.items():
        if x.ndim < 1 or x.shape[-1] != 4:
            raise ValueError(f"{name} must have shape (..., 4), got {tuple(x.shape)}")


def _check_there(cost: Tensor, there: Tensor) -> None:
    if there.dtype != torch.bool:
        raise TypeError(f"there must be bool, got {there.dtype}")
    if cost.ndim != 3 or there.shape != (cost.shape[0], cost.shape[2]):
        raise ValueError(
            "cost needs shape (batch, queries, things) and there (batch, things), "
            f"got {tuple(cost.shape)} and {tuple(there.shape)}"
        )
    most = int(there.sum(1).max()) if len(there) else 0
    if most > cost.shape[1]:
        raise ValueError(
            f"there must be a query for each thing, got {cost.shape[1]} queries for {most} things"
        )
    unfit = ~cost.isfinite() & there[:, None]
    if bool(unfit.any()):
        raise ValueError(
            f"costs of things that are there must be finite, got {cost[unfit][0].item()}"
        )


def _check_things(found: Detections, classes: Tensor, boxes: Tensor) -> None:
    _check_boxes(boxes=boxes)
    if classes.ndim != 2 or boxes.shape != (*classes.shape, 4) or len(found.said) != len(classes):
        raise ValueError(
            "things need classes (batch, things) and boxes (batch, things, 4) of as many pictures as the finds, "
            f"got {tuple(classes.shape)}, {tuple(boxes.shape)} and finds of {len(found.said)} pictures"
        )
