"""Exercise 8.4: the length penalty."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minattn.decoding import length_penalty
from minattn.exercises.exercise import Case, Exercise, Law, Mistake


def rank_hypotheses(log_probs: Tensor, lengths: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Divide by the length penalty; return the scores and the numbers of the targets, best first."""
    scores = log_probs / _penalty(lengths, alpha)
    return scores, scores.argsort(descending=True)


def _penalty(lengths: Tensor, alpha: float) -> Tensor:
    return length_penalty(lengths.float(), alpha)


def _scored(
    score: Callable[[Tensor, Tensor, float], Tensor],
) -> Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]:
    """Make an answer with other scores, and the order that they give."""

    def answer(log_probs: Tensor, lengths: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        scores = score(log_probs, lengths, alpha)
        return scores, scores.argsort(descending=True, stable=True)

    return answer


def _penalised(
    penalty: Callable[[Tensor, float], Tensor],
) -> Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]:
    """Make an answer that divides by something else."""
    return _scored(lambda p, n, alpha: p / penalty(n, alpha))


def _in_order(
    order: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]:
    """Make an answer with the right scores and another order; it may look at the log-probabilities."""

    def answer(log_probs: Tensor, lengths: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        scores, _ = rank_hypotheses(log_probs, lengths, alpha)
        return scores, order(scores, log_probs)

    return answer


def _scores_sorted(log_probs: Tensor, lengths: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    scores, order = rank_hypotheses(log_probs, lengths, alpha)
    return scores[order], order


def _penalty_cases() -> list[Case]:
    def case(log_probs: Sequence[float], lengths: Sequence[int], alpha: float) -> Case:
        return torch.tensor(log_probs), torch.tensor(lengths), alpha

    return [
        case([-3.5, -2.9, -3.2, -4.1], [7, 3, 5, 13], 0.6),
        case([-6.1, -4.4, -5.2, -3.7], [11, 2, 6, 1], 1.0),
        case([-2.2, -1.7, -3.1, -1.9, -2.6], [5, 2, 17, 3, 11], 0.0),
        case([-4.8, -5.3, -3.6, -6.9, -4.2, -7.7, -5.9], [4, 11, 2, 29, 3, 31, 8], 1.5),
    ]


EXERCISE = Exercise(
    number="8.4",
    title="The length penalty",
    solution=rank_hypotheses,
    cases=_penalty_cases,
    mistakes=[
        Mistake(
            "multiplied",
            _scored(lambda p, n, alpha: p * _penalty(n, alpha)),
            "You multiply by the penalty. A log-probability is negative: multiplied by more it falls even "
            "lower, and long targets do worse than without any penalty. Divided by more it is closer to "
            "zero.",
            also=[_penalised(lambda n, alpha: ((5 + n) / 6) ** -alpha)],
        ),
        Mistake(
            "power_of_length",
            _penalised(lambda n, alpha: n.float() ** alpha),
            "You divide by the length to the power alpha. That is a penalty too, but a steeper one: from "
            "1 to 2 tokens it doubles. Here 5 is added to the length, and the sum divided by 6, so that "
            "short targets differ less.",
        ),
        Mistake(
            "mean",
            _penalised(lambda n, alpha: n.float()),
            "You divide by the length, whatever alpha is. That is the mean over the tokens. The penalty is "
            "((5 + n) / 6) to the power alpha.",
        ),
        Mistake(
            "no_alpha",
            _penalised(lambda n, alpha: (5 + n) / 6),
            "alpha is not used. It says how much the length counts: nothing at 0, in full at 1.",
        ),
        Mistake(
            "alpha_as_factor",
            _penalised(lambda n, alpha: (5 + n) / 6 * alpha),
            "alpha multiplies. It is an exponent, in Python **. With alpha 0 the penalty has to be 1, and "
            "yours is 0.",
        ),
        Mistake(
            "brackets",
            _penalised(lambda n, alpha: (5 + n) / 6**alpha),
            "Only the 6 is raised to the power alpha, for ** comes before /. The whole fraction is: it "
            "needs brackets.",
            also=[
                _penalised(lambda n, alpha: (5 + n / 6) ** alpha),
                _penalised(lambda n, alpha: (5 + n) ** alpha / 6),
                _penalised(lambda n, alpha: 5 + (n / 6) ** alpha),
                _scored(lambda p, n, alpha: p / (5 + n) / 6**alpha),
                _scored(lambda p, n, alpha: p / (5 + n) ** alpha / 6**alpha),
                _scored(lambda p, n, alpha: p / ((5 + n) ** alpha) / 6),
            ],
        ),
        Mistake(
            "no_six",
            _penalised(lambda n, alpha: (5 + n) ** alpha),
            "You divide by (5 + n) to the power alpha; the 6 is missing. The order is the same, but the "
            "scores are not: with the 6 a target of one token has penalty 1.",
        ),
        Mistake(
            "five_alone",
            _penalised(lambda n, alpha: (n / 6) ** alpha),
            "The 5 is missing: it is (5 + n) / 6. With it, short targets differ less from each other.",
        ),
        Mistake(
            "one_off",
            _penalised(lambda n, alpha: ((4 + n) / 6) ** alpha),
            "The lengths are off by one. They are counted with EOS already, so they are used as they "
            "are.",
            also=[_penalised(lambda n, alpha: ((6 + n) / 6) ** alpha)],
        ),
        Mistake(
            "whole_division",
            _penalised(lambda n, alpha: ((5 + n) // 6) ** alpha),
            "// drops the fraction, so all targets up to 6 tokens have the same penalty. Divide by /.",
        ),
        Mistake(
            "added",
            _scored(lambda p, n, alpha: p + _penalty(n, alpha)),
            "The penalty is added or taken off. It divides: so it weighs the same share of every target, "
            "however unlikely.",
            also=[
                _scored(lambda p, n, alpha: p - _penalty(n, alpha)),
                _scored(lambda p, n, alpha: p + alpha * n),
                _scored(lambda p, n, alpha: p - alpha * n),
            ],
        ),
        Mistake(
            "absolute",
            _scored(lambda p, n, alpha: p.abs() / _penalty(n, alpha)),
            "The minus sign is gone. Without it the unlikely targets have the large scores, and they win. "
            "A score is negative, and the best one is closest to zero.",
            also=[
                lambda p, n, alpha: (
                    p.abs() / _penalty(n, alpha),
                    rank_hypotheses(p, n, alpha)[1],
                ),
            ],
        ),
        Mistake(
            "probabilities",
            _scored(lambda p, n, alpha: p.exp() / _penalty(n, alpha)),
            "You divide probabilities. Those are positive, so dividing makes long targets worse. The "
            "penalty is made for log-probabilities.",
            also=[_scored(lambda p, n, alpha: (p / _penalty(n, alpha)).exp())],
        ),
        Mistake(
            "raised_as_a_whole",
            _scored(lambda p, n, alpha: (p / ((5 + n) / 6)) ** alpha),
            "The log-probability is raised to the power alpha as well. A negative number has no such "
            "power: NaN. The power is that of the penalty alone.",
            also=[_scored(lambda p, n, alpha: -((-p / ((5 + n) / 6)) ** alpha))],
        ),
        Mistake(
            "upside_down",
            _scored(lambda p, n, alpha: _penalty(n, alpha) / p),
            "The fraction is upside down: the log-probability stands above the line, the penalty below.",
        ),
        Mistake(
            "penalty_only",
            _scored(lambda p, n, alpha: _penalty(n, alpha)),
            "These are the penalties. The log-probability of each target is to be divided by its own.",
        ),
        Mistake(
            "not_divided",
            _scored(lambda p, n, alpha: p),
            "These are the log-probabilities as they were. Divide each by the penalty of its length.",
        ),
        Mistake(
            "ordered_without_penalty",
            _in_order(lambda scores, log_probs: log_probs.argsort(descending=True)),
            "The scores are right, but the order is that of the log-probabilities. The scores were made to "
            "rank by.",
        ),
        Mistake(
            "worst_first",
            _in_order(lambda scores, log_probs: scores.argsort()),
            "The scores are right, and the worst comes first. argsort goes upwards unless it is told "
            "descending=True. The best score is the largest, the one closest to zero.",
            also=[_in_order(lambda scores, log_probs: scores.abs().argsort(descending=True))],
        ),
        Mistake(
            "ranks",
            _in_order(lambda scores, log_probs: scores.argsort(descending=True).argsort()),
            "These are ranks: the place of every target. What is asked for goes the other way: which target "
            "stands first, which second. That is one argsort, not two.",
        ),
        Mistake(
            "not_ordered",
            _in_order(lambda scores, log_probs: torch.arange(len(scores))),
            "The scores are right, but the targets stand in the order in which they came.",
        ),
        Mistake(
            "only_the_best",
            _in_order(lambda scores, log_probs: scores.argmax()),
            "This is only the best target. All of them are asked for, the best first.",
        ),
        Mistake(
            "scores_sorted",
            _scores_sorted,
            "The order is right, but the scores are sorted too. They should stand in the order in which the "
            "targets were given; the second result says how to sort them.",
            also=[lambda p, n, alpha: rank_hypotheses(p, n, alpha)[0].sort(descending=True)],
        ),
        Mistake(
            "turned_round",
            lambda p, n, alpha: rank_hypotheses(p, n, alpha)[::-1],
            "Scores and order have changed places. First the scores, then the order.",
        ),
        Mistake(
            "order_alone",
            lambda p, n, alpha: rank_hypotheses(p, n, alpha)[1],
            "The order is right, and it stands alone. Return the scores too, and before it.",
            also=[lambda p, n, alpha: rank_hypotheses(p, n, alpha)[1].tolist()],
        ),
    ],
    laws=[
        Law(
            "with alpha 0 the scores are the log-probabilities",
            lambda out, log_probs, lengths, alpha: alpha != 0 or torch.allclose(out[0], log_probs),
        ),
        Law(
            "the scores fall along the order",
            lambda out, log_probs, lengths, alpha: bool((out[0][out[1]].diff() <= 0).all()),
        ),
    ],
)
