"""Exercise 2.6: entropy."""

import math

import torch
from torch import Tensor

from minattn.alignment import entropy
from minattn.exercises.exercise import Exercise, Law, Mistake, numbers


def entropy_in_nats(weights: Tensor) -> Tensor:
    """Return the entropy of every query's weights."""
    return entropy(weights)


def _terms(weights: Tensor) -> Tensor:
    return torch.where(weights > 0, -weights * weights.log(), 0.0)


EXERCISE = Exercise(
    number="2.6",
    title="Entropy",
    solution=entropy_in_nats,
    cases=lambda: [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]),),
        (numbers(170, 3, 5).softmax(-1),),
        (numbers(171, 7, 2).softmax(-1),),
        (torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]),),
        (torch.tensor([[0.25, 0.0, 0.75], [0.5, 0.3, 0.2]]),),
    ],
    mistakes=[
        Mistake(
            "other_logarithm",
            lambda w: _terms(w).sum(-1) / math.log(2),
            "This uses another logarithm: log2 gives bits, log10 something else again. These are good "
            "measures, but the task and the book use nats, where n equal weights give ln(n).",
            also=[lambda w: _terms(w).sum(-1) / math.log(10)],
        ),
        Mistake(
            "sign",
            lambda w: -_terms(w).sum(-1),
            "The sign is wrong. The logarithm of a weight below 1 is negative, and entropy is never "
            "below 0. Look at the front of the formula.",
        ),
        Mistake(
            "nan_at_zero",
            lambda w: -(w * w.log()).sum(-1),
            "A weight of exactly 0 gives NaN: log(0) is minus infinity, and 0 times that is NaN. A key "
            "with no weight should add nothing. As a weight goes to 0, where does its term go?",
        ),
        Mistake(
            "nan_replaced_late",
            lambda w: (-(w * w.log()).sum(-1)).nan_to_num(),
            "The NaN is replaced after the sum, so one weight of 0 wipes out its whole row: the entropy "
            "comes out as 0, whatever the other weights are. The other terms are still good before the "
            "sum. Where does the NaN arise?",
        ),
        Mistake(
            "over_queries",
            lambda w: _terms(w).sum(0),
            "The sum runs over the queries, so there is one number for each key. How spread a query's "
            "weights are is a question about one row.",
        ),
        Mistake(
            "mean_over_keys",
            lambda w: _terms(w).mean(-1),
            "This is the mean over the keys and not the sum. n equal weights should give ln(n), which "
            "grows with n; yours would shrink.",
        ),
        Mistake(
            "one_number",
            lambda w: _terms(w).sum(),
            "All queries are thrown together into one number. Each query has an entropy of its own.",
            also=[lambda w: _terms(w).sum(-1).mean(), lambda w: _terms(w).mean()],
        ),
        Mistake(
            "not_weighted",
            lambda w: -w.log().sum(-1),
            "The logarithms are added up without their weights, so the smallest weights count most. "
            "Entropy is an average of -ln(weight), and in an average every term is weighed.",
            also=[lambda w: -w.log().mean(-1)],
        ),
        Mistake(
            "relative",
            lambda w: _terms(w).sum(-1) / math.log(w.shape[-1]),
            "This is the entropy divided by its largest value, ln(keys). It is handy for comparing "
            "sentences of different lengths, but the task asks for nats.",
        ),
        Mistake(
            "perplexity",
            lambda w: _terms(w).sum(-1).exp(),
            "This is the exponential of the entropy: among how many keys the weight is spread, in effect. "
            "The task asks for the entropy itself.",
        ),
        Mistake(
            "softmax_again",
            lambda w: _terms(w.softmax(-1)).sum(-1),
            "The weights went through a softmax once more, as if they were scores. That makes them nearly "
            "equal, and the entropy too large. They are weights already.",
        ),
        Mistake(
            "terms",
            _terms,
            "These are the terms, one for each key. The entropy is their sum.",
        ),
    ],
    laws=[
        Law("no entropy is below 0", lambda out, w: bool((out >= -1e-6).all())),
        Law(
            "no entropy is above ln(keys)",
            lambda out, w: bool((out <= math.log(w.shape[-1]) + 1e-4).all()),
        ),
    ],
)
