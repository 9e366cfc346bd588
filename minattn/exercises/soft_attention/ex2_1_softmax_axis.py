"""Exercise 2.1: the softmax axis."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake, numbers
from minattn.exercises.soft_attention.laws import NOT_NEGATIVE, SUM_TO_ONE


def weights_from_scores(scores: Tensor) -> Tensor:
    """Turn scores, shape (batch, queries, keys), into weights."""
    return scores.softmax(dim=-1)


def _by_hand(scores: Tensor) -> Tensor:
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def _by_one_maximum(scores: Tensor, epsilon: float = 0.0) -> Tensor:
    powers = (scores - scores.max()).exp()
    return powers / (powers.sum(-1, keepdim=True) + epsilon)


def _less(number: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Make an answer that subtracts some number of each query from its scores."""
    return lambda scores: _by_hand(scores - number(scores))


EXERCISE = Exercise(
    number="2.1",
    title="The softmax axis",
    solution=weights_from_scores,
    # At 1000 the scores themselves are rounded to 6e-5, and a logarithm of their sum as well.
    tolerance=3e-4,
    cases=lambda: [
        (numbers(110, 1, 2, 3),),
        (numbers(111, 2, 3, 5),),
        (numbers(112, 3, 7, 2),),
        (numbers(113, 2, 3, 5) + 1000,),
        (torch.tensor([[[60.0, 0.0, 100.0], [100.0, 55.0, 0.0]]]),),
        (torch.tensor([[[1000.0, 0.0], [1.0, 1000.0]], [[0.0, -1000.0], [-1.0, 2.0]]]),),
        (numbers(114, 2, 2, 3) - 1000,),
        (torch.tensor([[[1000.0, 999.0], [0.0, 1.0]]]),),
    ],
    mistakes=[
        Mistake(
            "over_queries",
            lambda s: s.softmax(1),
            "The softmax runs over the queries: here the queries compete for a key. This trains without "
            "any error, which makes it hard to find. One query asks, and the keys compete for "
            "its weight. Which axis is that?",
        ),
        Mistake(
            "over_batch",
            lambda s: s.softmax(0),
            "The softmax runs over the batch, so the weights of one sentence depend on the others in its "
            "batch. F.softmax does this to a tensor of three axes if no dim is given.",
        ),
        Mistake(
            "over_queries_and_keys",
            lambda s: s.flatten(1).softmax(-1).view(s.shape),
            "Here all weights of a sentence sum to 1 together, so a query gets less when there are more "
            "queries. Each query has a whole weight of 1 to share out.",
        ),
        Mistake(
            "over_all",
            lambda s: s.flatten().softmax(0).view(s.shape),
            "One sum for the whole tensor: all weights of all sentences sum to 1 together. Look at the "
            "arguments of sum, and give each query a sum of its own.",
            also=[lambda s: s.exp() / s.exp().sum()],
        ),
        Mistake(
            "overflow",
            _by_hand,
            "The formula is right, but exp(1000) is infinite, and infinite by infinite is NaN. Only "
            "differences between scores matter. Which number can you subtract from all scores of a query, "
            "so that no exponent is above 0?",
        ),
        Mistake(
            "smallest_subtracted",
            _less(lambda s: s.amin(-1, keepdim=True)),
            "The smallest score of a query is subtracted. The largest may still lie 1000 above it, and "
            "exp(1000) is infinite. No exponent may be above 0: which score has to become 0?",
        ),
        Mistake(
            "middle_subtracted",
            _less(lambda s: s.mean(-1, keepdim=True)),
            "The mean of the scores is subtracted (or their median). The largest may still lie far above it: "
            "of 0 and 1000 it is 500, and exp(500) is infinite. No exponent may be above 0: which score "
            "has to become 0?",
            also=[_less(lambda s: s.median(-1, keepdim=True).values)],
        ),
        Mistake(
            "some_score_subtracted",
            _less(lambda s: s[..., :1]),
            "The score of one key, always the same one, is subtracted. Another may lie 1000 above it, and "
            "exp(1000) is infinite. No exponent may be above 0: which score has to become 0?",
            also=[_less(lambda s: s[..., -1:])],
        ),
        Mistake(
            "one_maximum",
            _by_one_maximum,
            "One number, the largest of all scores, is subtracted everywhere. If all scores of a query "
            "lie far below it, each of its exponentials is 0, and nothing is left to share out. Every "
            "query has a largest score of its own: look at the axis of max.",
            also=[lambda s: _by_one_maximum(s, 1e-9)],
        ),
        Mistake(
            "no_keepdim",
            lambda s: s.exp() / s.exp().sum(-1),
            "The sums have lost the axis of the keys, so they do not line up with the scores any more. "
            "Look up keepdim in the documentation of sum.",
        ),
        Mistake(
            "no_exp",
            lambda s: s / s.sum(-1, keepdim=True),
            "The scores are divided by their sum without an exponential. Scores may be negative, and then "
            "a weight is negative too.",
        ),
        Mistake(
            "sigmoid",
            lambda s: s.sigmoid(),
            "This is a sigmoid of each score by itself. The keys do not compete, and the weights of a "
            "query sum to anything. An average needs weights that sum to 1.",
        ),
        Mistake(
            "log",
            lambda s: s.log_softmax(-1),
            "These are the logarithms of the weights, as log_softmax gives them for a loss. Weights lie "
            "between 0 and 1.",
        ),
    ],
    laws=[
        NOT_NEGATIVE,
        SUM_TO_ONE,
        Law(
            "a larger score gets a larger weight",
            lambda out, s: torch.equal(out.argsort(-1), s.argsort(-1)),
        ),
    ],
)
