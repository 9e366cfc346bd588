"""Exercise 16.3: the loss of a matched picture."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Mean = Callable[[Tensor, Tensor], Tensor]
"""Averages losses of queries that have weights."""
BoxLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Makes one number of all boxes, the matched queries, and the true boxes."""


def set_loss(
    logits: Tensor,
    boxes: Tensor,
    matched: Tensor,
    classes: Tensor,
    true_boxes: Tensor,
    nothing_weight: float,
) -> Tensor:
    """Return the weighted mean of the class losses, and five times the mean distance of the boxes."""
    return _loss(logits, boxes, matched, classes, true_boxes, nothing_weight)


def _weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum() / weights.sum()


def _by_queries(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).mean()


def _added_up(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum()


def _unweighted(losses: Tensor, weights: Tensor) -> Tensor:
    return losses.mean()


def _by_things(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return (boxes[matched] - true).abs().sum() / max(len(true), 1)


def _by_things_or_nan(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return (boxes[matched] - true).abs().sum(-1).mean()


def _by_numbers(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return _by_things(boxes, matched, true) / 4


def _of_all(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return (boxes - _spread(boxes, matched, true)).abs().sum(-1).mean()


def _of_all_by_things(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return (boxes - _spread(boxes, matched, true)).abs().sum() / max(len(true), 1)


def _spread(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    """Give every query a true box: zeros for those without a thing."""
    return torch.zeros_like(boxes).index_copy(0, matched, true)


def _divided_by_queries(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return (boxes[matched] - true).abs().sum() / len(boxes)


def _summed(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return (boxes[matched] - true).abs().sum()


def _sorted(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return _by_things(boxes, matched.sort().values, true)


def _first_ones(boxes: Tensor, matched: Tensor, true: Tensor) -> Tensor:
    return _by_things(boxes, torch.arange(len(true)), true)


def _loss(
    logits: Tensor,
    boxes: Tensor,
    matched: Tensor,
    classes: Tensor,
    true_boxes: Tensor,
    nothing_weight: float,
    *,
    nothing: int = -1,
    weighted: int = -1,
    mean: Mean = _weighted_mean,
    all_queries: bool = True,
    box_loss: BoxLoss = _by_things,
    lookup: Callable[[Tensor], Tensor] = lambda matched: matched,
) -> Tensor:
    """Add the loss of the classes and that of the boxes, each made in some way.

    Args:
        logits: of each query, (queries, classes + 1); the last class is nothing.
        boxes: of each query.
        matched: the query of each thing.
        classes: of each thing.
        true_boxes: of each thing.
        nothing_weight: what a query without a thing counts for.
        nothing: the class that is taken for nothing.
        weighted: the class that has this weight.
        mean: how the losses of the queries are averaged.
        all_queries: whether queries without a thing count at all.
        box_loss: what is made of the boxes.
        lookup: which queries get the classes, from the matched ones.
    """
    n = logits.shape[1]
    target = torch.full((len(logits),), nothing % n)
    target[lookup(matched)] = classes
    weights = torch.ones(n)
    weights[weighted] = nothing_weight
    losses = F.cross_entropy(logits, target, reduction="none")
    kept = torch.arange(len(logits)) if all_queries else matched
    if not len(kept):
        return torch.tensor(torch.nan)
    class_loss = mean(losses[kept], weights[target[kept]])
    return class_loss + 5 * box_loss(boxes, matched, true_boxes)


def _matched_only_or_nothing(logits: Tensor, *rest: Tensor) -> Tensor:
    """Leave queries without a thing out, with a loss of 0 where there are no others."""
    loss = _loss(logits, *rest, all_queries=False)  # type: ignore[arg-type]
    return loss.nan_to_num(0.0)


def _case(seed: int, n_queries: int, n_classes: int, matched: list[int], weight: float) -> Case:
    """Make a picture with things whose classes are all there, class 0 too."""
    n_things = len(matched)
    classes = (torch.arange(n_things) * 2) % n_classes
    return (
        numbers(seed, n_queries, n_classes + 1),
        numbers(seed + 1, n_queries, 4).sigmoid(),
        torch.tensor(matched, dtype=torch.long),
        classes.flip(0),
        numbers(seed + 2, n_things, 4).sigmoid(),
        weight,
    )


def _cases() -> list[Case]:
    return [
        _case(1630, 3, 2, [2, 1], 0.3),
        _case(1640, 5, 3, [4, 0, 3], 0.4),
        _case(1650, 7, 5, [1, 6], 0.2),
        _case(1660, 3, 2, [], 0.4),
    ]


EXERCISE = Exercise(
    number="16.3",
    title="The loss of a matched picture",
    solution=set_loss,
    cases=_cases,
    mistakes=[
        Mistake(
            "nothing_as_class_0",
            partial(_loss, nothing=0),
            "Queries without a thing learn class 0. That is a class of things, here the first one, and the model "
            "would see it everywhere. Nothing is the last class: logits.shape[1] - 1.",
            also=[
                partial(_loss, nothing=0, weighted=0),
                partial(_loss, nothing=0, mean=_unweighted),
            ],
        ),
        Mistake(
            "unmatched_left_out",
            partial(_loss, all_queries=False),
            "Only queries with a thing are in the class loss. Nobody tells the others to say nothing then, and "
            "each of them shows some box in every picture. They learn the last class.",
            also=[
                _matched_only_or_nothing,
                partial(_loss, all_queries=False, box_loss=_by_things_or_nan),
            ],
        ),
        Mistake(
            "weight_left_out",
            partial(_loss, mean=_unweighted),
            "The weight of nothing has no effect, or another class has it. Most queries have no thing, so saying "
            "nothing always would be a good start. Give the last class `nothing_weight` and each other class 1.",
            also=[partial(_loss, weighted=0)],
        ),
        Mistake(
            "not_divided_by_weights",
            partial(_loss, mean=_by_queries),
            "You weigh the class losses and divide by the number of queries, or not at all. It is a weighted "
            "mean: divide by the sum of the weights, as F.cross_entropy(..., weight=...) does.",
            also=[partial(_loss, mean=_added_up)],
        ),
        Mistake(
            "boxes_of_all",
            partial(_loss, box_loss=_of_all),
            "Queries without a thing have a loss for their boxes too. There is no box that would be right for "
            "them, and zeros draw all of them into a corner. Keep the matched queries: boxes[matched].",
            also=[partial(_loss, box_loss=_of_all_by_things)],
        ),
        Mistake(
            "other_mean_of_boxes",
            partial(_loss, box_loss=_by_numbers),
            "The box loss is divided by something else. Of each thing, the four distances are added; then comes "
            "the mean over things. F.l1_loss divides by all numbers, which is four times too much.",
            also=[
                partial(_loss, box_loss=_divided_by_queries),
                partial(_loss, box_loss=_summed),
            ],
        ),
        Mistake(
            "whose_is_lost",
            partial(_loss, box_loss=_sorted),
            "Things and queries are paired in the wrong order. A mask of the matched queries gives them by their "
            "own numbers; the first thing belongs to query matched[0], whatever that is.",
            also=[
                partial(_loss, box_loss=_sorted, lookup=lambda matched: matched.sort().values),
                partial(_loss, lookup=lambda matched: matched.sort().values),
                partial(_loss, box_loss=_first_ones),
                partial(
                    _loss,
                    box_loss=_first_ones,
                    lookup=lambda matched: torch.arange(len(matched)),
                ),
            ],
        ),
        Mistake(
            "nan_without_things",
            partial(_loss, box_loss=_by_things_or_nan),
            "A picture without things gives NaN: the mean over no boxes is 0 divided by 0, and one such picture "
            "spoils every weight of the model. Its box loss is 0. Divide by at least 1.",
        ),
    ],
    laws=[Law("a loss is never below 0", lambda out, *case: float(out) >= 0)],
)
