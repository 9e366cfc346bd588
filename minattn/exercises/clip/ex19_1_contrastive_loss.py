"""Exercise 19.1: the contrastive loss."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Loss = Callable[[Tensor], Tensor]
"""Makes one number of the scores of (pictures, captions); the right pairs lie on the diagonal."""


def contrastive_loss(pictures: Tensor, captions: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of the right pairs, over both directions."""
    return _loss(pictures, captions, temperature)


def _one_way(scores: Tensor) -> Tensor:
    return F.cross_entropy(scores, torch.arange(len(scores)))


def _other_way(scores: Tensor) -> Tensor:
    return _one_way(scores.T)


def _both_ways(scores: Tensor) -> Tensor:
    return (_one_way(scores) + _other_way(scores)) / 2


def _both_added(scores: Tensor) -> Tensor:
    return _one_way(scores) + _other_way(scores)


def _all_added(scores: Tensor) -> Tensor:
    return _both_ways(scores) * len(scores)


def _all_and_both_added(scores: Tensor) -> Tensor:
    return _both_added(scores) * len(scores)


def _among_all_pairs(scores: Tensor) -> Tensor:
    return scores.logsumexp((0, 1)) - scores.diagonal().mean()


def _softmax_twice(scores: Tensor) -> Tensor:
    return (_one_way(scores.softmax(1)) + _one_way(scores.T.softmax(1))) / 2


def _softmax_twice_along_captions(scores: Tensor) -> Tensor:
    return _both_ways(scores.softmax(1))


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=-1)


def _as_they_are(vectors: Tensor) -> Tensor:
    return vectors


def _unit_over_the_batch(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=0)


def _unit_as_a_whole(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.flatten(), dim=0).view_as(vectors)


def _loss(
    pictures: Tensor,
    captions: Tensor,
    temperature: float,
    *,
    unit: Callable[[Tensor], Tensor] = _unit,
    power: int = -1,
    loss: Loss = _both_ways,
) -> Tensor:
    """Score all pairs, and make one number of the scores.

    Args:
        pictures: a vector for each.
        captions: of these pictures, in the same order.
        temperature: of the scores.
        unit: what is done with the vectors first.
        power: of the temperature, by which the scores are multiplied.
        loss: what is made of the scores.
    """
    return loss(unit(pictures) @ unit(captions).T * temperature**power)


def _cases() -> list[Case]:
    return [
        (numbers(1910, 2, 3), numbers(1911, 2, 3), 0.5),
        (numbers(1912, 3, 5), numbers(1913, 3, 5), 0.4),
        (numbers(1914, 7, 2), numbers(1915, 7, 2), 0.3),
        (numbers(1916, 5, 7), numbers(1917, 5, 7), 1.7),
    ]


EXERCISE = Exercise(
    number="19.1",
    title="The contrastive loss",
    solution=contrastive_loss,
    cases=_cases,
    mistakes=[
        Mistake(
            "not_unit",
            partial(_loss, unit=_as_they_are),
            "The vectors keep their lengths. Then a long vector has large scores with everything, and making all "
            "vectors longer lowers the loss. Divide each by its length first: what counts is the angle.",
        ),
        Mistake(
            "unit_along_the_batch",
            partial(_loss, unit=_unit_over_the_batch),
            "You divide by a length, but not by that of each vector. A vector is a row: normalise along the last "
            "axis. Otherwise the vector of a picture depends on who else is in the batch.",
            also=[partial(_loss, unit=_unit_as_a_whole)],
        ),
        Mistake(
            "one_way",
            partial(_loss, loss=_one_way),
            "Only one direction is trained. A picture chooses among the captions (a softmax along a row), and a "
            "caption chooses among the pictures (along a column). Transpose for the second one, then average.",
            also=[partial(_loss, loss=_other_way)],
        ),
        Mistake(
            "temperature_multiplied",
            partial(_loss, power=1),
            "You multiply by the temperature. Scores are divided by it: below 1 it makes them larger and the "
            "softmax sharper. (What some code multiplies by is a scale, 1 / temperature.)",
        ),
        Mistake(
            "temperature_unused",
            partial(_loss, power=0),
            "The temperature has no effect. A cosine is never above 1, so without a temperature the right caption "
            "can hardly be told from the wrong ones: exp(1) is only 7 times exp(-1). Divide the cosines by it.",
        ),
        Mistake(
            "added_up",
            partial(_loss, loss=_both_added),
            "You add where the mean is asked for. It is the mean over the pairs of the batch, and then the mean of the "
            "two directions. A sum grows with the batch, and so would every step of the training.",
            also=[partial(_loss, loss=_all_added), partial(_loss, loss=_all_and_both_added)],
        ),
        Mistake(
            "among_all_pairs",
            partial(_loss, loss=_among_all_pairs),
            "There is one softmax over the whole table. A picture chooses among the captions of its own row; what "
            "another picture thinks of another caption is not its business. Take a softmax for each row.",
        ),
        Mistake(
            "softmax_twice",
            partial(_loss, loss=_softmax_twice),
            "There is a softmax too many. F.cross_entropy makes one itself: give it the scores. Probabilities lie "
            "between 0 and 1, so after a second softmax even a perfect model has a large loss.",
            also=[partial(_loss, loss=_softmax_twice_along_captions)],
        ),
    ],
    laws=[Law("a loss is never below 0", lambda out, *case: float(out) >= 0)],
)
