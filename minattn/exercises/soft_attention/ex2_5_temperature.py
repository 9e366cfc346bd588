"""Exercise 2.5: another temperature."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.soft_attention.laws import NOT_NEGATIVE, SUM_TO_ONE


def change_temperature(weights: Tensor, temperature: float) -> Tensor:
    """Return the weights that scores divided by the temperature would have given."""
    return _share(weights.pow(1 / temperature))


def _temperature_cases() -> list[Case]:
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), 0.5),
        (numbers(160, 3, 5).softmax(-1), 3.0),
        (numbers(161, 5, 2).softmax(-1), 0.8),
        (torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]]), 2.0),
        (torch.tensor([[0.9, 0.0, 0.1], [0.3, 0.5, 0.2]]), 10.0),
    ]


def _lifted(epsilon: float) -> Callable[[Tensor, float], Tensor]:
    """Make an answer that puts a tiny number in the place of a weight of 0."""
    return lambda weights, tau: (weights.clamp(min=epsilon).log() / tau).softmax(-1)


_TINY = [10.0**-i for i in range(5, 31)] + [torch.finfo(torch.float32).tiny]


def _share(x: Tensor, axis: int = -1) -> Tensor:
    return x / x.sum(axis, keepdim=True)


EXERCISE = Exercise(
    number="2.5",
    title="Another temperature",
    solution=change_temperature,
    cases=_temperature_cases,
    mistakes=[
        Mistake(
            "multiplied",
            lambda w, tau: _share(w**tau),
            "It goes the wrong way: a low temperature should sharpen the weights, and yours makes them "
            "flatter. This is what scores multiplied by the temperature give. Try a temperature near 0.",
        ),
        Mistake(
            "weights_divided",
            lambda w, tau: w / tau,
            "The weights themselves are divided. They no longer sum to 1, and their proportions are what "
            "they were. The temperature divides the scores, before the exponential.",
        ),
        Mistake(
            "nothing_changed",
            lambda w, tau: w,
            "Nothing changed. Dividing all weights of a query by one number cancels as soon as they are "
            "divided by their sum. What happens to a weight when its score is divided?",
        ),
        Mistake(
            "softmax_of_weights",
            lambda w, tau: (w / tau).softmax(-1),
            "The weights went into a softmax as if they were scores. They have been through one already: "
            "all lie between 0 and 1, so a second one flattens them. Even weights of exactly 0 come out "
            "above 0. Which scores would have given these weights?",
            also=[lambda w, tau: (w * tau).softmax(-1), lambda w, tau: w.softmax(-1)],
        ),
        Mistake(
            "not_renormalised",
            lambda w, tau: w ** (1 / tau),
            "The proportions are right, but the weights of a query do not sum to 1. Scores give weights "
            "only after being divided by a sum, and the old sum no longer fits.",
        ),
        Mistake(
            "over_queries",
            lambda w, tau: _share(w ** (1 / tau), 0),
            "The sum runs over the queries. Each query shares out its own weight among the keys: look at "
            "the axis.",
            also=[lambda w, tau: (w.log() / tau).softmax(0)],
        ),
        Mistake(
            "scores_returned",
            lambda w, tau: w.log() / tau,
            "These are scores that fit, divided by the temperature. You are one step from the weights.",
        ),
        Mistake(
            "nan_at_zero",
            lambda w, tau: _share((w.log() / tau).exp() + 0 * w.log()),
            "A weight of exactly 0, as a mask makes it, came out as NaN. log(0) is minus infinity; "
            "that times 0, or minus itself, is NaN.",
        ),
        Mistake(
            "zero_lifted",
            _lifted(1e-12),
            "A weight of exactly 0 came out above 0, because a tiny number was put in its place. A high "
            "temperature lifts tiny numbers: at 10, a weight of 1e-12 becomes one of about 0.06, before "
            "sharing out. Is there any need to avoid log(0)? What is exp of minus infinity?",
            also=[_lifted(epsilon) for epsilon in _TINY],
        ),
    ],
    laws=[
        NOT_NEGATIVE,
        SUM_TO_ONE,
        Law("a weight of 0 stays 0", lambda out, w, tau: bool((out[w == 0] == 0).all())),
        Law(
            "the largest weight stays the largest",
            lambda out, w, tau: torch.equal(out.argmax(-1), w.argmax(-1)),
        ),
    ],
)
