"""Exercise 6.5: dropout at a residual."""

from collections.abc import Callable
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def add_dropped(x: Tensor, found: Tensor, keep: Tensor, p: float, training: bool) -> Tensor:
    """Add what a sub-layer found to x; in training some of it is dropped."""
    return x + found * keep / (1 - p) if training else x + found


def _in_training(
    change: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]:
    """Make an answer that does something else in training."""
    return lambda x, found, keep, p, training: change(x, found, keep, p) if training else x + found


def _always(
    change: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]:
    """Make an answer that does one thing in training and in evaluation."""
    return lambda x, found, keep, p, training: change(x, found, keep, p)


def _in_evaluation(
    change: Callable[[Tensor, Tensor, Tensor, float], Tensor], in_training: float = 1.0
) -> Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]:
    """Make an answer that does something else in evaluation, and may not scale in training."""
    return lambda x, found, keep, p, training: (
        x + found * keep / (1 - p) ** in_training if training else change(x, found, keep, p)
    )


def _add_dropped_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d: int, p: float, training: bool) -> Case:
        keep = numbers(seed + 2, batch, seq, d) > NormalDist().inv_cdf(p)
        return numbers(seed, batch, seq, d), numbers(seed + 1, batch, seq, d), keep, p, training

    return [
        case(700, 1, 2, 3, 0.2, True),
        case(703, 1, 2, 3, 0.4, False),
        case(706, 3, 5, 4, 0.1, True),
        case(709, 2, 3, 7, 0.3, False),
    ]


EXERCISE = Exercise(
    number="6.5",
    title="Dropout at a residual",
    solution=add_dropped,
    cases=_add_dropped_cases,
    mistakes=[
        Mistake(
            "not_scaled",
            _in_training(lambda x, found, keep, p: x + found * keep),
            "What stays is not scaled up. Then the sub-layer adds less in training, by 1 - p on average, "
            "than in evaluation, and the sum is not the one that the next layer has learned to read.",
        ),
        Mistake(
            "stream_dropped",
            _in_training(lambda x, found, keep, p: (x + found) * keep / (1 - p)),
            "You drop from the sum, so x loses numbers too. Every block would punch new holes into the "
            "stream, and after many blocks little is left of the tokens. Only what the sub-layer found is "
            "dropped.",
            also=[
                _always(lambda x, found, keep, p: (x + found) * keep / (1 - p)),
                _in_training(lambda x, found, keep, p: (x + found) * keep),
                _in_training(lambda x, found, keep, p: (x + found * keep) / (1 - p)),
                _in_evaluation(lambda x, found, keep, p: (x + found) * keep / (1 - p)),
            ],
        ),
        Mistake(
            "wrong_one_dropped",
            _in_training(lambda x, found, keep, p: x * keep / (1 - p) + found),
            "x is dropped and what the sub-layer found stays whole. It is the other way round: the stream "
            "is left alone.",
            also=[_in_training(lambda x, found, keep, p: x * keep + found)],
        ),
        Mistake(
            "active_in_evaluation",
            _always(lambda x, found, keep, p: x + found * keep / (1 - p)),
            "Dropout is at work in evaluation too. Then the same sentence may be translated in two ways, "
            "and worse than the model can. model.eval() is there to switch it off.",
            also=[
                _always(lambda x, found, keep, p: x + found * keep),
                _in_evaluation(lambda x, found, keep, p: x + found * keep),
            ],
        ),
        Mistake(
            "scaled_in_evaluation_only",
            _in_evaluation(lambda x, found, keep, p: x + found * (1 - p), 0.0),
            "You drop in training and make the numbers smaller in evaluation. That is how dropout was first "
            "described, and it fits together. Today the scale stands in training, by 1 / (1 - p), so that "
            "in evaluation nothing at all has to be done.",
        ),
        Mistake(
            "scaled_in_both",
            _in_evaluation(lambda x, found, keep, p: x + found * (1 - p)),
            "You scale up in training and down in evaluation. One of the two is enough: after the first, "
            "training and evaluation agree on average.",
        ),
        Mistake(
            "scaled_up_in_evaluation",
            _in_evaluation(lambda x, found, keep, p: x + found / (1 - p)),
            "In evaluation nothing is dropped, so there is nothing to make up for. You scale up all the "
            "same.",
            also=[
                _in_evaluation(lambda x, found, keep, p: x + found / (1 - p), 0.0),
                _in_evaluation(lambda x, found, keep, p: (x + found) / (1 - p)),
            ],
        ),
        Mistake(
            "training_inverted",
            lambda x, found, keep, p, training: add_dropped(x, found, keep, p, not training),
            "You drop in evaluation and not in training: the two branches have changed places.",
        ),
        Mistake(
            "scaled_by_p",
            _in_training(lambda x, found, keep, p: x + found * keep / p),
            "You divide by p, the share that is dropped. On average the share 1 - p stays, and that is what "
            "has to be made up for.",
        ),
        Mistake(
            "scaled_down",
            _in_training(lambda x, found, keep, p: x + found * keep * (1 - p)),
            "You multiply by 1 - p in training, so what stays gets smaller still. To make up for a loss, "
            "divide.",
            also=[_in_training(lambda x, found, keep, p: x + found * keep * p)],
        ),
        Mistake(
            "brackets",
            _in_training(lambda x, found, keep, p: x + found * keep / 1 - p),
            "In Python a / 1 - p is (a / 1) - p, so p is taken off every number. The number below the line "
            "needs brackets.",
        ),
        Mistake(
            "keep_inverted",
            _in_training(lambda x, found, keep, p: x + found * ~keep / (1 - p)),
            "What should stay is dropped. keep is True where a number stays; masked_fill fills where its "
            "mask is True.",
            also=[_in_training(lambda x, found, keep, p: x + found * ~keep)],
        ),
        Mistake(
            "no_residual",
            lambda x, found, keep, p, training: add_dropped(x * 0, found, keep, p, training),
            "What the sub-layer found is right, but it is not added to x. Without the residual a dropped "
            "number is lost; with it, the token just keeps what it had.",
            also=[
                _in_training(lambda x, found, keep, p: found * keep / (1 - p)),
                _in_evaluation(lambda x, found, keep, p: found),
            ],
        ),
        Mistake(
            "nothing_dropped",
            _always(lambda x, found, keep, p: x + found),
            "Nothing is dropped in training. Is the result kept? masked_fill returns a new tensor.",
            also=[_in_training(lambda x, found, keep, p: x + found / (1 - p))],
        ),
        Mistake(
            "tokens_dropped",
            _in_training(lambda x, found, keep, p: x + found * keep[..., :1] / (1 - p)),
            "A token loses everything that the sub-layer found, or nothing. Each number is drawn by itself.",
            also=[
                _in_training(
                    lambda x, found, keep, p: x + found * keep.all(-1, keepdim=True) / (1 - p)
                ),
            ],
        ),
        Mistake(
            "drawn_anew",
            _in_training(lambda x, found, keep, p: x + F.dropout(found, p)),
            "The scale is right, but you draw a mask of your own. What stays has been drawn already and is "
            "given: keep.",
            also=[
                lambda x, found, keep, p, training: F.dropout(x + found, p, training),
                _in_training(lambda x, found, keep, p: x + F.dropout(found * keep, p)),
            ],
        ),
        Mistake(
            "counted",
            _in_training(lambda x, found, keep, p: x + found * keep / keep.float().mean()),
            "You divide by the share that happened to stay this time. Dropout divides by 1 - p, the share "
            "that stays on average.",
        ),
    ],
    laws=[
        Law(
            "in evaluation what was found is added as it is",
            lambda out, x, found, keep, p, training: (
                training or torch.allclose(out, x + found, atol=1e-4)
            ),
        ),
        Law(
            "where something is dropped, x stays as it was",
            lambda out, x, found, keep, p, training: (
                not training or torch.allclose(out[~keep], x[~keep], atol=1e-4)
            ),
        ),
    ],
)
