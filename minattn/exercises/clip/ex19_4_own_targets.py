"""Exercise 19.4: find the bug: everything on one line."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers

Targets = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Makes what each picture should answer of pictures, captions and the scale: probabilities of captions."""


def loss_of_pairs(pictures: Tensor, captions: Tensor, log_scale: Tensor) -> Tensor:
    """Return the mean loss of both directions: the right caption of a picture is the one beside it."""
    return _loss(pictures, captions, log_scale)


def _one_of_them(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return torch.eye(len(pictures))


def _own(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return ((pictures @ pictures.T + captions @ captions.T) / 2).softmax(-1)


def _own_sharp(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return ((pictures @ pictures.T + captions @ captions.T) / 2 * scale).softmax(-1)


def _own_added(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return (pictures @ pictures.T + captions @ captions.T).softmax(-1)


def _of_pictures(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return (pictures @ pictures.T).softmax(-1)


def _of_captions(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return (captions @ captions.T).softmax(-1)


def _of_scores(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    return (pictures @ captions.T * scale).softmax(-1)


OWN = (_own, _own_sharp, _own_added, _of_pictures, _of_captions, _of_scores)


def _exp(log_scale: Tensor) -> Tensor:
    return log_scale.exp()


def _raw(log_scale: Tensor) -> Tensor:
    return log_scale


def _temperature(log_scale: Tensor) -> Tensor:
    return (-log_scale).exp()


def _one(log_scale: Tensor) -> Tensor:
    return torch.ones_like(log_scale)


def _loss(
    pictures: Tensor,
    captions: Tensor,
    log_scale: Tensor,
    *,
    targets: Targets = _one_of_them,
    scale: Callable[[Tensor], Tensor] = _exp,
    turned: tuple[bool, ...] = (False, True),
    halved: bool = True,
) -> Tensor:
    """Compare scores and targets, with some of the faults.

    Args:
        pictures: unit vectors.
        captions: unit vectors, in the same order.
        log_scale: the logarithm of what the cosines are multiplied by.
        targets: what should be answered.
        scale: what the cosines are multiplied by, from log_scale.
        turned: for each direction, whether the table of the scores is transposed.
        halved: whether the directions are averaged, and not added.
    """
    factor = scale(log_scale)
    scores = pictures @ captions.T * factor
    target = targets(pictures, captions, factor)
    losses = [
        F.cross_entropy(scores.T, target.T) if t else F.cross_entropy(scores, target)
        for t in turned
    ]
    total = torch.stack(losses).sum()
    return total / len(losses) if halved else total


def _columns_with_targets_of_rows(pictures: Tensor, captions: Tensor, log_scale: Tensor) -> Tensor:
    """Transpose the scores and not the targets."""
    factor = log_scale.exp()
    scores, target = pictures @ captions.T * factor, _own(pictures, captions, factor)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


ONE_WAY: list[tuple[bool, ...]] = [(False, False), (True, True)]


def _case(seed: int, n: int, d: int, log_scale: float) -> Case:
    pictures, captions = F.normalize(numbers(seed, 2, n, d), dim=-1)
    return pictures, captions, torch.tensor(log_scale)


def _cases() -> list[Case]:
    return [
        _case(1950, 2, 3, 1.3),
        _case(1951, 3, 5, 0.4),
        _case(1952, 7, 2, -0.6),
        _case(1953, 5, 7, 1.9),
    ]


def _combined(
    targets: tuple[Targets, ...], scales: tuple[Callable[[Tensor], Tensor], ...]
) -> list[Answer]:
    """List faulty targets and scales together with one direction or both."""
    ways = [(False, True), *ONE_WAY]
    return [
        partial(_loss, targets=target, scale=scale, turned=turned)
        for target, scale, turned in product(targets, scales, ways)
    ]


EXERCISE = Exercise(
    number="19.4",
    title="Everything on one line",
    solution=loss_of_pairs,
    cases=_cases,
    mistakes=[
        Mistake(
            "own_targets",
            partial(_loss, targets=_own),
            "A symptom is left: the model says itself what is right. Pictures that it holds for alike become each "
            "other's target, so making all alike is an easy way to a low loss. Only the data know: caption i is "
            "that of picture i.",
            also=[*_combined(OWN, (_exp, _raw)), _columns_with_targets_of_rows],
        ),
        Mistake(
            "scale_is_its_logarithm",
            partial(_loss, scale=_raw),
            "A symptom is left: the scale can be 0 or negative, and then the right caption is the one that is least "
            "alike. What is learned is its logarithm, so that the scale itself is always above 0: log_scale.exp().",
            also=_combined((_one_of_them,), (_raw,)),
        ),
        Mistake(
            "divided_by_the_scale",
            partial(_loss, scale=_temperature),
            "The three bugs may be gone, but the scores are divided by the scale, or do without it. It is 1 / "
            "temperature: cosines are divided by a temperature and multiplied by a scale. Multiply by exp(log_scale).",
            also=_combined((_one_of_them,), (_temperature, _one)),
        ),
        Mistake(
            "one_way_twice",
            partial(_loss, turned=(False, False)),
            "A symptom is left: no caption ever chooses among the pictures. Both losses are of the same direction, so "
            "their mean is just one of them. For the second, transpose the table: scores.T.",
            also=[partial(_loss, turned=(True, True))],
        ),
        Mistake(
            "added",
            partial(_loss, halved=False),
            "The three bugs are gone, and a new one is in: the two directions are added. Their mean was right.",
        ),
    ],
    laws=[
        Law("a loss is never below 0", lambda out, *case: float(out) >= 0),
    ],
)
