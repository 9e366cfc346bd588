"""Exercise 2.2: the softmax axis."""

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


EXERCISE = Exercise(
    number="2.2",
    title="The softmax axis",
    solution=weights_from_scores,
    cases=lambda: [
        (numbers(110, 1, 2, 3),),
        (numbers(111, 2, 3, 5),),
        (numbers(112, 3, 7, 2),),
        (numbers(113, 2, 3, 5) + 1000,),
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
