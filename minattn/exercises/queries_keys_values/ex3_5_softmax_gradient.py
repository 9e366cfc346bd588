"""Exercise 3.5: the gradient of a softmax."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def grad_scores(weights: Tensor, grad_weights: Tensor) -> Tensor:
    """Carry the gradient back through the softmax."""
    return _centred(weights, grad_weights, _mean(weights, grad_weights))


def _centred(weights: Tensor, grad: Tensor, mean: Tensor) -> Tensor:
    return weights * (grad - mean)


def _mean(weights: Tensor, grad: Tensor) -> Tensor:
    return (weights * grad).sum(-1, keepdim=True)


def _gradient_cases() -> list[Case]:
    masked = torch.tensor([[0.5, 0.3, 0.2, 0.0, 0.0], [0.1, 0.2, 0.4, 0.3, 0.0]])
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), numbers(240, 2, 3)),
        (numbers(241, 5, 7).softmax(-1), numbers(242, 5, 7)),
        (numbers(243, 7, 2).softmax(-1), numbers(244, 7, 2)),
        (masked, numbers(245, 2, 5)),
    ]


EXERCISE = Exercise(
    number="3.5",
    title="The gradient of a softmax",
    solution=grad_scores,
    cases=_gradient_cases,
    mistakes=[
        Mistake(
            "mean_forgotten",
            lambda w, g: w * g,
            "A term is missing. This treats the weights as if they were free, but they sum to 1: raising "
            "one score takes from all the other weights. Add the same number to a row of grad_weights: "
            "the result should not change, for the weights cannot all grow.",
        ),
        Mistake(
            "diagonal_only",
            lambda w, g: w * (1 - w) * g,
            "This is how a weight depends on its own score, as with a sigmoid. But a score also moves all "
            "other weights of its query, through the sum below the fraction. The Jacobian has entries "
            "off its diagonal.",
        ),
        Mistake(
            "mean_not_weighted",
            lambda w, g: _centred(w, g, g.mean(-1, keepdim=True)),
            "The mean that you subtract counts every key alike. It has to be the mean under the weights: a "
            "key with hardly any weight hardly matters. Check: the result has to sum to 0 over the keys.",
        ),
        Mistake(
            "sum_not_weighted",
            lambda w, g: _centred(w, g, g.sum(-1, keepdim=True)),
            "You subtract the sum of the gradients. It has to be their mean under the weights: each gradient "
            "times its weight, and then the sum. Check: the result has to sum to 0 over the keys.",
        ),
        Mistake(
            "mean_of_products",
            lambda w, g: _centred(w, g, (w * g).mean(-1, keepdim=True)),
            "You take the mean of weight times gradient. The weights already sum to 1, so their sum is "
            "the weighted mean; dividing by the number of keys once more makes it too small.",
        ),
        Mistake(
            "own_score_twice",
            lambda w, g: w * (1 - w) * g - w * _mean(w, g),
            "A weight's dependence on its own score is counted twice. Either write a_i (1 - a_i) g_i and sum "
            "over the other keys only, or write a_i g_i and sum over all of them.",
        ),
        Mistake(
            "over_queries",
            lambda w, g: _centred(w, g, (w * g).sum(0, keepdim=True)),
            "The sum runs over the queries. The softmax of a query knows nothing of the other queries, "
            "and so should its gradient. Look at the axis.",
        ),
        Mistake(
            "over_all",
            lambda w, g: _centred(w, g, (w * g).sum()),
            "One sum for all queries. The softmax of a query knows nothing of the other queries, so each "
            "row needs a sum of its own. Look at the arguments of sum.",
        ),
        Mistake(
            "sign",
            lambda w, g: -_centred(w, g, _mean(w, g)),
            "The sign is turned round. A larger score gives a key a larger weight, so where the gradient of "
            "a weight lies above the mean, that of its score is positive.",
        ),
        Mistake(
            "mean_added",
            lambda w, g: _centred(w, g, -_mean(w, g)),
            "The mean is added instead of subtracted. What one key gains the others lose, so the result "
            "has to sum to 0 over the keys. Yours does not.",
        ),
        Mistake(
            "weight_missing",
            lambda w, g: g - _mean(w, g),
            "The weight in front is missing. A key with no weight has a gradient of 0: a small change of "
            "its score moves nothing, for exp is flat there.",
        ),
        Mistake(
            "weight_on_one_term",
            lambda w, g: w * g - _mean(w, g),
            "The weight multiplies the first term only. Every key loses in proportion to its own weight, "
            "so the mean has to be multiplied by it too. Check your brackets.",
        ),
        Mistake(
            "log_softmax",
            lambda w, g: g - w * g.sum(-1, keepdim=True),
            "This is the gradient of log_softmax: it would be right if grad_weights belonged to the "
            "logarithms of the weights. Here it belongs to the weights themselves.",
        ),
        Mistake(
            "cross_entropy",
            lambda w, g: w - g,
            "Weights minus something is the gradient of softmax and cross-entropy in one, where the second "
            "is the right answer. Here grad_weights is a gradient that comes from above, and the softmax "
            "stands alone.",
            also=[lambda w, g: g - w],
        ),
        Mistake(
            "twice",
            lambda w, g: w * _centred(w, g, _mean(w, g)),
            "The weights are multiplied in once too often. Count how often w stands before the bracket, or "
            "whether you go through the softmax twice.",
            also=[lambda w, g: grad_scores(w, grad_scores(w, g))],
        ),
        Mistake(
            "softmax_again",
            lambda w, g: grad_scores(w.softmax(-1), g),
            "The weights went through a softmax once more, as if they were scores. They are what the "
            "softmax gave; its gradient can be written with them alone.",
        ),
        Mistake(
            "jacobian",
            lambda w, g: torch.diag_embed(w) - w[:, :, None] * w[:, None, :],
            "This is the Jacobian, one table of (keys, keys) for each query, and it is right. It still has "
            "to be multiplied with the gradient. (Then look whether the table is needed at all.)",
        ),
        Mistake(
            "no_keepdim",
            lambda w, g: w * (g - (w * g).sum(-1)),
            "The shapes do not meet. What is subtracted has to be one number for each query, in shape "
            "(queries, 1). A sum over the keys loses its axis; with keepdim=True it stays, with length 1. "
            "In a square table nothing would have complained.",
        ),
    ],
    laws=[
        Law(
            "the gradient of a query's scores sums to 0, for adding one number to all changes nothing",
            lambda out, w, g: torch.allclose(out.sum(-1), torch.zeros(len(w)), atol=1e-4),
        ),
        Law("a weight of 0 has gradient 0", lambda out, w, g: bool((out[w == 0] == 0).all())),
    ],
)
