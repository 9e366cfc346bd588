"""Exercise 3.5: the gradient of an entropy."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def grad_entropy(weights: Tensor) -> Tensor:
    """Carry the gradient of the entropy back through the softmax."""
    return _centred(weights, _grad_weights(weights))


def _logs(weights: Tensor) -> Tensor:
    """Return the logarithms, and 0 for a weight of 0."""
    return torch.where(weights > 0, weights, 1.0).log()


def _grad_weights(weights: Tensor) -> Tensor:
    """Return the gradient with respect to the weights."""
    return -_logs(weights) - 1


def _mean(weights: Tensor, grad: Tensor) -> Tensor:
    return (weights * grad).sum(-1, keepdim=True)


def _centred(weights: Tensor, grad: Tensor) -> Tensor:
    return weights * (grad - _mean(weights, grad))


def _diagonal(w: Tensor) -> Tensor:
    return w * (1 - w) * _grad_weights(w)


def _entropy_cases() -> list[Case]:
    masked = torch.tensor([[0.5, 0.3, 0.2, 0.0, 0.0], [0.1, 0.2, 0.4, 0.3, 0.0], [0, 0, 1, 0, 0]])
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]),),
        (numbers(241, 5, 7).softmax(-1),),
        ((2 * numbers(243, 7, 2)).softmax(-1),),
        (masked,),
        (torch.full((2, 5), 0.2),),
    ]


EXERCISE = Exercise(
    number="3.5",
    title="The gradient of an entropy",
    solution=grad_entropy,
    cases=_entropy_cases,
    mistakes=[
        Mistake(
            "stopped_at_the_weights",
            _grad_weights,
            "This is the gradient with respect to the weights, half of the way. They cannot be chosen one by "
            "one: they come out of a softmax. Carry the gradient through it, down to the scores.",
            also=[_logs, lambda w: -w.log() - 1, lambda w: -w.log(), lambda w: w.log() + 1],
        ),
        Mistake(
            "weights_taken_for_free",
            lambda w: w * _grad_weights(w),
            "A term is missing: each gradient is multiplied by its weight, as if the weights were free. "
            "Raising one score takes from all other weights. Check: adding one number to all scores of a "
            "query changes nothing, so the result has to sum to 0.",
            also=[lambda w: -w * _logs(w)],
        ),
        Mistake(
            "diagonal_only",
            _diagonal,
            "This counts how each weight depends on its own score. But a score also moves all other weights "
            "of its query, through the sum below the fraction. The Jacobian has entries off its diagonal.",
            also=[lambda w: -w * (1 - w) * _logs(w)],
        ),
        Mistake(
            "sign",
            lambda w: -grad_entropy(w),
            "The sign is turned round. With weights of 0.1, 0.2 and 0.7, raising the largest score sharpens "
            "them, so the entropy falls and the gradient of that score is negative. The entropy has a minus "
            "in front.",
        ),
        Mistake(
            "mean_not_weighted",
            lambda w: w * (_grad_weights(w) - _grad_weights(w).mean(-1, keepdim=True)),
            "The mean that you subtract counts every key alike. It is the mean under the weights, and the "
            "mean of -ln a under the weights has a name. Check: the result has to sum to 0 over the keys.",
        ),
        Mistake(
            "weight_missing",
            lambda w: _grad_weights(w) - _mean(w, _grad_weights(w)),
            "The weight in front is missing. A key with hardly any weight has a gradient near 0: a small "
            "change of its score moves nothing, for exp is flat there.",
            also=[lambda w: -w.log() + (w * _logs(w)).sum(-1, keepdim=True)],
        ),
        Mistake(
            "queries_mixed",
            lambda w: w * (_grad_weights(w) - (w * _grad_weights(w)).sum()),
            "The sum runs over the queries. Every query has an entropy of its own, and its gradient knows "
            "nothing of the other queries. Look at the axis.",
            also=[
                lambda w: w * (_grad_weights(w) - (w * _grad_weights(w)).sum(0, keepdim=True)),
                lambda w: -w * (_logs(w) - (w * _logs(w)).sum()),
                lambda w: -w * (_logs(w) - (w * _logs(w)).sum(0, keepdim=True)),
            ],
        ),
        Mistake(
            "logarithm_of_zero",
            lambda w: _centred(w, -w.log() - 1),
            "Right as long as no weight is 0. A masked key has the weight 0, ln 0 is minus infinity, and 0 "
            "times infinity is NaN; then the sum makes its whole row NaN. Such a key has no part in the "
            "entropy, and its gradient is 0.",
            also=[lambda w: w * (-w.log() - 1 - _mean(w, _grad_weights(w)))],
        ),
    ],
    laws=[
        Law(
            "the gradient of a query's scores sums to 0, for adding one number to all changes nothing",
            lambda out, w: torch.allclose(out.sum(-1), torch.zeros(len(w)), atol=1e-4),
        ),
        Law("a weight of 0 has gradient 0", lambda out, w: bool((out[w == 0] == 0).all())),
        Law(
            "equal weights have the largest entropy there is, so their gradient is 0",
            lambda out, w: bool((w != w[:, :1]).any()) or bool((out.abs() < 1e-4).all()),
        ),
    ],
)
