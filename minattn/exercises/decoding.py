"""Checkers of chapter 7, second half: one step of a search, length, chance, a cache, and a task of one's own."""

import copy
import math
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.decoding import keep_top_p, length_penalty
from minattn.exercises.core import Answer, Case, Exercise, Law, Mistake, numbers
from minattn.tasks.base import Example, Task
from minattn.training import seeded
from minattn.vocabulary import SPECIALS, Vocabulary

# 7.5 -------------------------------------------------------------------------------------------------

Found = tuple[Tensor, Tensor, Tensor]
Score = Callable[[Tensor, Tensor], Tensor]


def beam_step(log_probs: Tensor, steps: Tensor) -> Found:
    """Go on with each target in every way, and keep as many as there were, the best first."""
    totals, chosen = _totals(log_probs, steps).flatten().topk(len(log_probs))
    return totals, chosen // steps.shape[1], chosen % steps.shape[1]


def _totals(log_probs: Tensor, steps: Tensor) -> Tensor:
    return log_probs[:, None] + steps


def _step_ranked(
    rank: Score = _totals, total: Score | None = None, largest: bool = True
) -> Callable[[Tensor, Tensor], Found]:
    """Make an answer that ranks by something else, or returns something else for totals."""

    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        chosen = rank(log_probs, steps).flatten().topk(len(log_probs), largest=largest).indices
        totals = (total or rank)(log_probs, steps).flatten()[chosen]
        return totals, chosen // steps.shape[1], chosen % steps.shape[1]

    return answer


def _step_split(
    split: Callable[[Tensor, int, int], tuple[Tensor, Tensor]],
) -> Callable[[Tensor, Tensor], Found]:
    """Make an answer that reads beam and token from the flat number in another way."""

    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        totals, chosen = _totals(log_probs, steps).flatten().topk(len(log_probs))
        return totals, *split(chosen, *steps.shape)

    return answer


def _step_ordered(
    order: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor], Found]:
    """Make an answer with the right continuations in another order."""

    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        totals, parents, tokens = beam_step(log_probs, steps)
        places = order(totals, parents, tokens)
        return totals[places], parents[places], tokens[places]

    return answer


def _one_child_each(ordered: bool, rank: Score = _totals) -> Callable[[Tensor, Tensor], Found]:
    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        tokens = rank(log_probs, steps).argmax(1)
        parents = torch.arange(len(log_probs))
        totals = _totals(log_probs, steps)[parents, tokens]
        if ordered:
            parents = totals.argsort(descending=True)
        return totals[parents], parents, tokens[parents]

    return answer


def _one_parent_each(log_probs: Tensor, steps: Tensor) -> Found:
    """Keep the best beam of each token, and the best of those."""
    totals, parents = _totals(log_probs, steps).max(0)
    best, tokens = totals.topk(min(len(log_probs), steps.shape[1]))
    return best, parents[tokens], tokens


def _each_its_own(log_probs: Tensor, steps: Tensor) -> Found:
    """Keep several tokens of every beam, which is too many."""
    totals, tokens = _totals(log_probs, steps).topk(min(steps.shape), dim=1)
    parents = torch.arange(len(log_probs))[:, None].expand_as(tokens)
    return totals, parents, tokens


def _ranked_in_rows(
    width: Callable[[int, int], int], split_by: Callable[[int, int], int]
) -> Callable[[Tensor, Tensor], Found]:
    """Make an answer that takes the best of each row first, and forgets which tokens they were."""

    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        best, _ = _totals(log_probs, steps).topk(width(*steps.shape), dim=1)
        totals, chosen = best.flatten().topk(len(log_probs))
        n = split_by(*steps.shape)
        return totals, chosen // n, chosen % n

    return answer


def _step_transposed(
    split: Callable[[Tensor, int, int], tuple[Tensor, Tensor]],
) -> Callable[[Tensor, Tensor], Found]:
    """Make an answer with a row for each token and a column for each beam."""

    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        totals, chosen = _totals(log_probs, steps).T.flatten().topk(len(log_probs))
        return totals, *split(chosen, *steps.shape)

    return answer


def _step_many(number: Callable[[int, int], int]) -> Callable[[Tensor, Tensor], Found]:
    """Make an answer that keeps another number of targets."""

    def answer(log_probs: Tensor, steps: Tensor) -> Found:
        totals, chosen = _totals(log_probs, steps).flatten().topk(number(*steps.shape))
        return totals, chosen // steps.shape[1], chosen % steps.shape[1]

    return answer


def _all_by_beam(log_probs: Tensor, steps: Tensor) -> Found:
    """Return every continuation of every beam, each of them ordered."""
    totals, parents, tokens = _each_its_own(log_probs, steps)
    return totals.flatten(), parents.flatten(), tokens.flatten()


def _beam_step_cases() -> list[Case]:
    def case(seed: int, beams: int, vocab: int, forbidden: Sequence[int] = ()) -> Case:
        logits = 1.5 * numbers(seed + 1, beams, vocab)
        logits[:, list(forbidden)] = -math.inf
        return numbers(seed, beams) / 2 - 2, logits.log_softmax(-1)

    first = case(707, 3, 5)
    first[0][:] = torch.tensor([0.0, -math.inf, -math.inf])  # all beams begin alike
    return [
        case(702, 3, 4),
        case(731, 2, 5),
        first,
        case(709, 5, 7, forbidden=(0, 3)),
        case(724, 4, 4),
        case(716, 5, 3),
    ]


BEAM_STEP = Exercise(
    number="7.5",
    title="One step of a beam search",
    solution=beam_step,
    cases=_beam_step_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "one_child_each",
            _one_child_each(ordered=True),
            "Every beam goes on with its one best token. Then no target can have two children, and the "
            "search is several greedy ones side by side. Let all continuations of all beams compete: "
            "one target may have several children and another none.",
            also=[
                _one_child_each(ordered=False),
                _one_child_each(ordered=True, rank=lambda log_probs, steps: steps),
                _one_child_each(ordered=False, rank=lambda log_probs, steps: steps),
            ],
        ),
        Mistake(
            "not_added",
            _step_ranked(lambda log_probs, steps: steps),
            "The log-probability of the targets so far is missing: these are the values of the last token "
            "alone. A good token after a bad beginning would win. Add log_probs to the row of its beam.",
        ),
        Mistake(
            "ranked_by_step",
            _step_ranked(lambda log_probs, steps: steps, _totals),
            "The totals are right, but you chose by the last token alone. Add first, and then take the best "
            "totals.",
        ),
        Mistake(
            "totals_of_the_parents",
            _step_ranked(total=lambda log_probs, steps: log_probs[:, None].expand_as(steps)),
            "You chose the right ones, but the totals are those of the targets before they grew. The new "
            "token counts too.",
        ),
        Mistake(
            "totals_of_the_step",
            _step_ranked(total=lambda log_probs, steps: steps),
            "You chose the right ones, but in place of their totals you return the log-probability of the "
            "new token. The next step would forget everything before it.",
        ),
        Mistake(
            "multiplied",
            _step_ranked(lambda log_probs, steps: log_probs[:, None] * steps),
            "You multiply log-probabilities. Probabilities are multiplied; their logarithms are added. The "
            "product of two negative numbers is positive, and large where both are unlikely.",
            also=[
                _step_ranked(lambda log_probs, steps: log_probs[:, None] * steps, largest=False),
                _step_ranked(lambda log_probs, steps: -log_probs[:, None] * steps),
            ],
        ),
        Mistake(
            "probabilities_added",
            _step_ranked(lambda log_probs, steps: log_probs.exp()[:, None] + steps.exp()),
            "You add probabilities. The probability of a target is the product over its tokens, so it is "
            "the logarithms that are added, and those are what you were given.",
            also=[
                _step_ranked(
                    lambda log_probs, steps: (log_probs.exp()[:, None] + steps.exp()).log()
                ),
                _step_ranked(lambda log_probs, steps: log_probs[:, None] + steps.exp()),
                _step_ranked(
                    lambda log_probs, steps: log_probs.exp()[:, None] + steps.exp(), _totals
                ),
            ],
        ),
        Mistake(
            "probabilities_returned",
            _step_ranked(lambda log_probs, steps: _totals(log_probs, steps).exp()),
            "The choice is right, but the totals are probabilities. Keep the logarithms: the next step adds "
            "to them, and the product of many probabilities is soon too small for a float.",
        ),
        Mistake(
            "normalised_again",
            _step_ranked(lambda log_probs, steps: _totals(log_probs, steps).log_softmax(-1)),
            "There is a softmax over the totals. It takes away what tells the beams apart, or changes all "
            "of them. The totals are ready as they are.",
            also=[
                _step_ranked(
                    lambda log_probs, steps: (
                        _totals(log_probs, steps).flatten().log_softmax(-1).view_as(steps)
                    )
                ),
                _step_ranked(lambda log_probs, steps: _totals(log_probs, steps).softmax(-1)),
            ],
        ),
        Mistake(
            "smallest",
            _step_ranked(largest=False),
            "These are the least likely targets. A log-probability is negative, and the likeliest one is "
            "the closest to zero, so the largest are wanted.",
            also=[
                _step_ranked(lambda log_probs, steps: -_totals(log_probs, steps)),
                _step_ranked(lambda log_probs, steps: -_totals(log_probs, steps), _totals),
            ],
        ),
        Mistake(
            "subtracted",
            _step_ranked(lambda log_probs, steps: steps - log_probs[:, None]),
            "You subtract what a target has so far, so the unlikely beams are helped. It is added.",
            also=[_step_ranked(lambda log_probs, steps: log_probs[:, None] - steps)],
        ),
        Mistake(
            "averaged",
            _step_ranked(lambda log_probs, steps: _totals(log_probs, steps) / 2),
            "The totals are averages of two. The old total may be a sum over many tokens already; the new "
            "one is just added to it.",
        ),
        Mistake(
            "swapped",
            _step_split(lambda chosen, beams, vocab: (chosen % vocab, chosen // vocab)),
            "Parents and tokens have changed places. In the flat row the tokens of beam 0 come first, then "
            "those of beam 1. So // by the size of the vocabulary gives the beam, and % the token.",
        ),
        Mistake(
            "divided_by_beams",
            _step_split(lambda chosen, beams, vocab: (chosen // beams, chosen % beams)),
            "You divide by the number of beams. A beam has one place for each token of the vocabulary in "
            "the flat row, so the beam is number // vocab, and the token number % vocab.",
            also=[
                _step_split(lambda chosen, beams, vocab: (chosen % beams, chosen // beams)),
                _step_split(lambda chosen, beams, vocab: (chosen // vocab, chosen % beams)),
                _step_split(lambda chosen, beams, vocab: (chosen // beams, chosen % vocab)),
            ],
        ),
        Mistake(
            "column_taken_for_token",
            _ranked_in_rows(min, min),
            "You sort or shorten the rows first, with topk, and then take the column for the token. But in "
            "these rows the first column is the best token, whichever that is. Look it up in the indices "
            "that the first topk gave, or make all rows flat at once.",
            also=[
                _ranked_in_rows(lambda beams, vocab: beams, lambda beams, vocab: beams),
                _ranked_in_rows(lambda beams, vocab: beams, lambda beams, vocab: vocab),
                _ranked_in_rows(min, lambda beams, vocab: vocab),
            ],
        ),
        Mistake(
            "transposed_table",
            _step_transposed(lambda chosen, beams, vocab: (chosen // vocab, chosen % vocab)),
            "Your table has a row for each token and a column for each beam. In its flat row the beams of "
            "token 0 come first, so % by the number of beams gives the beam, and // the token. Or give each "
            "beam a row: log_probs[:, None] + steps.",
            also=[
                _step_transposed(lambda chosen, beams, vocab: (chosen % vocab, chosen // vocab)),
            ],
        ),
        Mistake(
            "flat_numbers",
            _step_split(lambda chosen, beams, vocab: (chosen // vocab, chosen)),
            "The tokens are numbers in the flat row of all beams. The number of a token within its beam is "
            "what is left after dividing by the size of the vocabulary: %.",
            also=[_step_split(lambda chosen, beams, vocab: (chosen, chosen % vocab))],
        ),
        Mistake(
            "not_whole",
            _step_split(lambda chosen, beams, vocab: (chosen / vocab, chosen % vocab)),
            "The parents have fractions. A beam has a whole number, so divide by //.",
        ),
        Mistake(
            "counted_from_one",
            _step_split(lambda chosen, beams, vocab: (chosen // vocab + 1, chosen % vocab)),
            "Beams or tokens are counted from 1. The next step takes rows and tokens by these numbers, and "
            "they begin at 0.",
            also=[
                _step_split(lambda chosen, beams, vocab: (chosen // vocab, chosen % vocab + 1)),
                _step_split(lambda chosen, beams, vocab: (chosen // vocab + 1, chosen % vocab + 1)),
            ],
        ),
        Mistake(
            "sorted_by_parent",
            _step_ordered(
                lambda totals, parents, tokens: (parents * (tokens.max() + 1) + tokens).argsort()
            ),
            "These are the right ones, but they stand in the order of their parents. The best comes first, "
            "whoever its parent is.",
            also=[
                _step_ordered(lambda totals, parents, tokens: parents.argsort(stable=True)),
            ],
        ),
        Mistake(
            "worst_first",
            _step_ordered(lambda totals, parents, tokens: totals.argsort()),
            "These are the right ones, but the worst comes first. argsort and sort go upwards unless they "
            "are told descending=True.",
        ),
        Mistake(
            "one_parent_each",
            _one_parent_each,
            "For every token you keep one beam only. Two targets that end with the same token are still two "
            "targets, for they began differently. Compare all pairs of beam and token at once.",
        ),
        Mistake(
            "too_many",
            _each_its_own,
            "You keep the best tokens of every beam, so there are more targets after every step. All of them "
            "together have as many places as there were beams: flatten before topk.",
            also=[
                _all_by_beam,
                _step_many(lambda beams, vocab: beams * vocab),
                _step_many(lambda beams, vocab: vocab),
            ],
        ),
        Mistake(
            "only_the_best",
            _step_many(lambda beams, vocab: 1),
            "Only the best continuation is left. As many are kept as there were beams; that is the idea of "
            "the search.",
        ),
        Mistake(
            "no_new_axis",
            _step_ranked(lambda log_probs, steps: log_probs + steps),
            "log_probs is added along the vocabulary, so the axes do not meet, or they meet by chance and "
            "every token gets the value of a beam. Each row gets one number: log_probs[:, None].",
        ),
    ],
    laws=[
        Law(
            "a total is its parent's log-probability plus that of the new token",
            lambda out, log_probs, steps: torch.allclose(
                out[0], log_probs[out[1]] + steps[out[1], out[2]], atol=1e-4
            ),
        ),
        Law(
            "the best comes first",
            lambda out, log_probs, steps: bool((out[0].diff().nan_to_num() <= 1e-6).all()),
        ),
    ],
)

# 7.6 -------------------------------------------------------------------------------------------------


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
        case([-6.1, -4.4, -5.2], [11, 2, 6], 1.0),
        case([-2.2, -1.7, -3.1, -1.9, -2.6], [5, 2, 17, 3, 11], 0.0),
        case([-4.8, -5.3, -3.6, -6.9, -4.2, -7.7, -5.9], [4, 11, 2, 29, 3, 31, 8], 1.5),
    ]


PENALTY = Exercise(
    number="7.6",
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

# 7.7 -------------------------------------------------------------------------------------------------


def next_token_probabilities(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Return what the next token is drawn with: temperature first, then the nucleus."""
    if temperature == 0:
        return _likeliest(logits)
    return keep_top_p(logits / temperature, top_p).softmax(-1)


def _likeliest(logits: Tensor) -> Tensor:
    return F.one_hot(logits.argmax(), len(logits)).float()


Keep = Callable[[Tensor, float], Tensor]
"""Takes probabilities from the largest down and p; tells which are kept."""


def _nucleus(sorted_probabilities: Tensor, p: float) -> Tensor:
    return sorted_probabilities.cumsum(-1) - sorted_probabilities < p


def _without_crossing(probabilities: Tensor, p: float) -> Tensor:
    return probabilities.cumsum(-1) <= p


def _first_and_without_crossing(probabilities: Tensor, p: float) -> Tensor:
    keep = _without_crossing(probabilities, p)
    keep[0] = True
    return keep


def _one_more(probabilities: Tensor, p: float) -> Tensor:
    keep = _nucleus(probabilities, p)
    return torch.cat([keep[:1], keep[:-1]])


def _largest_rule(probabilities: Tensor, p: float) -> Tensor:
    return probabilities >= p * probabilities.max()


def _number_kept(probabilities: Tensor, p: float) -> Tensor:
    return torch.arange(len(probabilities)) < max(1, int(p * len(probabilities)))


def _drawn_with(
    keep: Keep = _nucleus,
    *,
    temper: Callable[[Tensor, float], Tensor] = lambda logits, t: (logits / t).softmax(-1),
    descending: bool = True,
    renormalise: bool = True,
    back: Callable[[Tensor, Tensor], Tensor] = lambda kept, order: kept[order.argsort()],
    at_zero: Callable[[Tensor], Any] = _likeliest,
) -> Callable[[Tensor, float, float], Any]:
    """Make an answer that does one thing otherwise."""

    def answer(logits: Tensor, temperature: float, top_p: float) -> Any:
        if temperature == 0:
            return at_zero(logits)
        probabilities, order = temper(logits, temperature).sort(descending=descending)
        kept = probabilities * keep(probabilities, top_p)
        return back(kept / kept.sum() if renormalise else kept, order)

    return answer


def _always_divided(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    probabilities = (logits / temperature).softmax(-1)
    kept = keep_top_p(probabilities.log(), top_p).exp()
    return kept / kept.sum()


def _nucleus_first(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature == 0:
        return _likeliest(logits)
    return (keep_top_p(logits, top_p) / temperature).softmax(-1)


def _nucleus_of_other(
    probabilities: Callable[[Tensor, float], Tensor],
) -> Callable[[Tensor, float, float], Tensor]:
    """Make an answer that chooses the tokens by other probabilities than it keeps."""

    def answer(logits: Tensor, temperature: float, top_p: float) -> Tensor:
        if temperature == 0:
            return _likeliest(logits)
        kept = keep_top_p(probabilities(logits, temperature).log(), top_p) > -math.inf
        return (logits / temperature).masked_fill(~kept, -math.inf).softmax(-1)

    return answer


def _filled(
    fill: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, float, float], Tensor]:
    """Make an answer that gets the tokens outside the nucleus out of the way otherwise."""

    def answer(logits: Tensor, temperature: float, top_p: float) -> Tensor:
        if temperature == 0:
            return _likeliest(logits)
        tempered = logits / temperature
        return fill(tempered, keep_top_p(tempered, top_p) > -math.inf)

    return answer


def _mask_left_sorted(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature == 0:
        return _likeliest(logits)
    probabilities = (logits / temperature).softmax(-1)
    kept = probabilities * _nucleus(probabilities.sort(descending=True).values, top_p)
    return kept / kept.sum()


def _unsorted(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature == 0:
        return _likeliest(logits)
    probabilities = (logits / temperature).softmax(-1)
    kept = probabilities * _nucleus(probabilities, top_p)
    return kept / kept.sum()


def _multiplied(logits: Tensor, t: float) -> Tensor:
    return (logits * t).softmax(-1)


def _nucleus_cases() -> list[Case]:
    return [
        (torch.tensor([0.4, 1.5, -0.6, 1.3]), 1.0, 0.5),
        (torch.tensor([0.4, 2.1, -0.6, 1.3, 1.7]), 2.0, 0.5),
        (torch.tensor([1.1, -0.3, 2.6, 0.2, 1.9]), 0.5, 0.6),
        (torch.tensor([0.7, 1.6, -1.2, 2.3, 0.9, 2.0, -0.4]), 1.5, 1.0),
        (torch.tensor([1.2, -0.7, 0.3, 2.4, 1.8]), 0.0, 0.9),
        (torch.tensor([1.5, 0.8, -0.9, 2.2, 0.1, 1.9, -1.4]), 1.3, 0.9),
    ]


NUCLEUS = Exercise(
    number="7.7",
    title="Temperature, and the nucleus",
    solution=next_token_probabilities,
    cases=_nucleus_cases,
    mistakes=[
        Mistake(
            "divided_by_zero",
            _always_divided,
            "At temperature 0 you divide by zero, and the result is NaN. As the temperature falls, ever "
            "more goes to the likeliest token; at 0 it gets everything. Treat 0 as a case of its own.",
            also=[
                lambda logits, t, p: keep_top_p(logits / t, p).softmax(-1),
                _drawn_with(at_zero=lambda logits: torch.full_like(logits, math.nan)),
                _drawn_with(at_zero=lambda logits: torch.zeros_like(logits)),
            ],
        ),
        Mistake(
            "zero_taken_for_one",
            _drawn_with(at_zero=lambda logits: keep_top_p(logits, 0.9).softmax(-1)),
            "At temperature 0 you leave the logits as they are, which is temperature 1. At 0 everything "
            "goes to the likeliest token.",
            also=[_drawn_with(at_zero=lambda logits: logits.softmax(-1))],
        ),
        Mistake(
            "zero_taken_for_infinity",
            _drawn_with(at_zero=lambda logits: torch.full_like(logits, 1 / len(logits))),
            "At temperature 0 all tokens are alike. That is what happens at a very high temperature. At 0 "
            "everything goes to the likeliest one.",
        ),
        Mistake(
            "token_returned",
            _drawn_with(at_zero=lambda logits: logits.argmax()),
            "At temperature 0 you return the token itself. The probabilities are asked for, in every case: 1 "
            "for the likeliest token and 0 for the others.",
            also=[_drawn_with(at_zero=lambda logits: int(logits.argmax()))],
        ),
        Mistake(
            "multiplied",
            _drawn_with(temper=_multiplied),
            "You multiply by the temperature. Then a low one makes the tokens alike, and a high one the "
            "likeliest still likelier. It is the other way round: divide.",
            also=[
                lambda logits, t, p: keep_top_p(logits * t, p).softmax(-1),
            ],
        ),
        Mistake(
            "after_the_softmax",
            _drawn_with(temper=lambda logits, t: logits.softmax(-1) / t),
            "You divide the probabilities by the temperature. All become larger or smaller by one factor, "
            "and the shares stay as they were. It is the logits that are divided, before the softmax.",
            also=[
                _drawn_with(temper=lambda logits, t: logits.softmax(-1) / t, renormalise=False),
                _drawn_with(temper=lambda logits, t: (logits.softmax(-1) / t).softmax(-1)),
            ],
        ),
        Mistake(
            "temperature_ignored",
            _drawn_with(temper=lambda logits, t: logits.softmax(-1)),
            "The temperature does nothing, or only at 0. Divide the logits by it, before the softmax.",
            also=[
                lambda logits, t, p: keep_top_p(logits, p).softmax(-1),
            ],
        ),
        Mistake(
            "nucleus_first",
            _nucleus_first,
            "You choose the nucleus before the temperature is applied. Then another number of tokens is "
            "kept: those that have p together at temperature 1. First the temperature, then the nucleus of "
            "what came out.",
            also=[
                _nucleus_of_other(lambda logits, t: _multiplied(logits, t)),
            ],
        ),
        Mistake(
            "nothing_left",
            _drawn_with(_without_crossing),
            "The token that crosses p is dropped, and where the first token alone has more than p, nothing "
            "is left: NaN, or zeros only. A token is kept if those before it have less than p together. For "
            "the first one that is always so.",
            also=[
                _drawn_with(_without_crossing, renormalise=False),
                _drawn_with(lambda q, p: q.cumsum(-1) < p),
                _drawn_with(
                    _without_crossing, back=lambda kept, order: kept[order.argsort()].nan_to_num()
                ),
            ],
        ),
        Mistake(
            "crossing_dropped",
            _drawn_with(_first_and_without_crossing),
            "The token with which the sum crosses p is dropped, so the kept ones have less than p together. "
            "It is the last one that is kept. Ask what the tokens before it have together: if that is less "
            "than p, it stays.",
        ),
        Mistake(
            "one_more",
            _drawn_with(_one_more),
            "You keep one token too many. The kept ones should be as few as have p together: once the sum "
            "has crossed p, the next one is out.",
        ),
        Mistake(
            "not_renormalised",
            _drawn_with(renormalise=False),
            "The right tokens are left, but their probabilities no longer sum to 1. Divide by their sum, or "
            "set the other logits to minus infinity and take the softmax again.",
        ),
        Mistake(
            "ascending",
            _drawn_with(descending=False),
            "You sort upwards, so the unlikely tokens are kept and the likely ones dropped. Sort with "
            "descending=True.",
            also=[
                _drawn_with(_without_crossing, descending=False),
                _drawn_with(_first_and_without_crossing, descending=False),
                _drawn_with(lambda q, p: q.cumsum(-1) >= p),
                _drawn_with(lambda q, p: q.cumsum(-1) > 1 - p),
            ],
        ),
        Mistake(
            "sorted_returned",
            _drawn_with(back=lambda kept, order: kept),
            "The numbers are right, but they stand in sorted order. The first place is token 0, whatever "
            "its rank. Put each one back where it came from: scatter, or index with order.",
        ),
        Mistake(
            "put_back_the_wrong_way",
            _drawn_with(back=lambda kept, order: kept[order]),
            "The numbers are right, but most stand at the wrong token. order says where each number came "
            "from, so write to these places: out[order] = kept. Reading kept[order] sorts a second time.",
        ),
        Mistake(
            "mask_left_sorted",
            _mask_left_sorted,
            "You decide in sorted order what is kept, and then use these decisions on the tokens as they "
            "were. The first tokens are kept, not the likeliest. Bring both to the same order.",
        ),
        Mistake(
            "not_sorted",
            _unsorted,
            "You add up the tokens as they come. So the first ones of the vocabulary are kept. Sort by "
            "probability before you add up.",
        ),
        Mistake(
            "single_probabilities",
            _drawn_with(lambda q, p: q >= p),
            "You compare each probability with p. p is about a sum: how much the likeliest tokens have "
            "together. Hardly any single token has that much.",
            also=[
                _drawn_with(lambda q, p: q >= p, renormalise=False),
                _drawn_with(lambda q, p: q >= 1 - p),
                _drawn_with(lambda q, p: q <= p),
                _drawn_with(lambda q, p: q < p, renormalise=False),
                _drawn_with(lambda q, p: (q >= p) | (torch.arange(len(q)) == 0)),
            ],
        ),
        Mistake(
            "share_of_the_largest",
            _drawn_with(_largest_rule),
            "You keep what has at least p times the largest probability. That is a rule that is used too, "
            "under the name min-p, but it is another one. The nucleus adds up.",
        ),
        Mistake(
            "share_of_the_tokens",
            _drawn_with(_number_kept),
            "You keep a share p of all tokens, always the same number. The nucleus keeps few where the "
            "model is sure and many where it is not.",
            also=[
                _drawn_with(lambda q, p: torch.arange(len(q)) < min(len(q), math.ceil(p * len(q)))),
            ],
        ),
        Mistake(
            "filled_with_zero",
            _filled(lambda logits, kept: (logits * kept).softmax(-1)),
            "The logits outside the nucleus are set to 0, and e to the power 0 is 1. So they come back. "
            "Minus infinity is what the softmax turns into 0.",
        ),
        Mistake(
            "softmax_twice",
            _filled(lambda logits, kept: (logits.softmax(-1) * kept).softmax(-1)),
            "There is a softmax over probabilities. It makes them nearly equal, and turns a 0 into "
            "something again. To make them sum to 1, divide by their sum.",
            also=[
                _filled(
                    lambda logits, kept: (
                        logits.softmax(-1).masked_fill(~kept, -math.inf).softmax(-1)
                    )
                ),
            ],
        ),
        Mistake(
            "all_kept",
            _drawn_with(lambda q, p: q >= 0),
            "The temperature is right, but no token is dropped. Is the result kept? masked_fill and "
            "scatter return a new tensor.",
        ),
        Mistake(
            "logits_returned",
            _filled(lambda logits, kept: logits.masked_fill(~kept, -math.inf)),
            "These are logits. Probabilities are asked for: take the softmax at the end.",
        ),
        Mistake(
            "logarithms",
            _filled(lambda logits, kept: logits.masked_fill(~kept, -math.inf).log_softmax(-1)),
            "These are logarithms of the probabilities. The probabilities themselves are asked for.",
        ),
    ],
    laws=[
        Law(
            "the probabilities sum to 1",
            lambda out, logits, t, p: abs(float(out.sum()) - 1) < 1e-4,
        ),
        Law(
            "the likeliest token is kept",
            lambda out, logits, t, p: bool(out[logits.argmax()] == out.max()) and out.max() > 0,
        ),
    ],
)

# 7.8 -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """What one step is given."""

    x: Tensor
    k: Tensor
    v: Tensor
    w_q: Tensor
    w_k: Tensor
    w_v: Tensor

    @property
    def q(self) -> Tensor:
        """The query of the newest token."""
        return self.x @ self.w_q

    @property
    def keys(self) -> Tensor:
        """The keys with the newest one."""
        return torch.cat([self.k, self.x @ self.w_k], dim=1)

    @property
    def values(self) -> Tensor:
        """The values with the newest one."""
        return torch.cat([self.v, self.x @ self.w_v], dim=1)


def attend_with_cache(
    x: Tensor, k: Tensor, v: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor
) -> Found:
    """Let the newest token attend to all tokens so far and to itself; return the grown cache too."""
    s = _Step(x, k, v, w_q, w_k, w_v)
    return _look(s.q, s.keys, s.values), s.keys, s.values


def _look(
    q: Tensor, k: Tensor, v: Tensor, divide_by: float | None = None, axis: int = -1
) -> Tensor:
    scores = q @ k.transpose(1, 2) / (math.sqrt(k.shape[2]) if divide_by is None else divide_by)
    return scores.softmax(axis) @ v


def _stepped(change: Callable[[_Step], Any]) -> Callable[..., Any]:
    """Make an answer from what is done with the step."""
    return lambda *case: change(_Step(*case))


def _cached(
    keys: Callable[[_Step], Tensor] = lambda s: s.keys,
    values: Callable[[_Step], Tensor] = lambda s: s.values,
    look: Callable[[Tensor, Tensor, Tensor], Tensor] = _look,
) -> Callable[..., Any]:
    """Make an answer that caches something else and attends to that, or attends in another way."""
    return _stepped(lambda s: (look(s.q, keys(s), values(s)), keys(s), values(s)))


def _grown(cache: Tensor, newest: Tensor) -> Tensor:
    return torch.cat([cache, newest], dim=1)


def _first_key_only(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _not_itself(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Hide the newest key, as a mask that is too strict would."""
    scores = q @ k.transpose(1, 2) / math.sqrt(k.shape[2])
    scores[..., -1] = -math.inf
    return scores.softmax(-1) @ v


def _overwritten(cache: Tensor, newest: Tensor, place: int = -1) -> Tensor:
    cache = cache.clone()
    cache[:, place] = newest[:, 0]
    return cache


def _shifted(cache: Tensor, newest: Tensor) -> Tensor:
    return _grown(cache, newest)[:, 1:] if cache.shape[1] else newest


def _all_queries(s: _Step) -> tuple[Tensor, Tensor, Tensor]:
    """Take the cached keys for queries, for there is nothing else to take."""
    return _look(_grown(s.k, s.q), s.keys, s.values), s.keys, s.values


def _projected_again(s: _Step) -> tuple[Tensor, Tensor, Tensor]:
    keys, values = _grown(s.k, s.x) @ s.w_k, _grown(s.v, s.x) @ s.w_v
    return _look(s.q, keys, values), keys, values


def _raw_then_projected(s: _Step) -> tuple[Tensor, Tensor, Tensor]:
    keys, values = _grown(s.k, s.x), _grown(s.v, s.x)
    return _look(s.q, keys @ s.w_k, values @ s.w_v), keys, values


def _turned_weights(*names: str) -> Callable[..., Any]:
    """Make an answer that uses some matrices as nn.Linear stores them."""

    def answer(s: _Step) -> tuple[Tensor, Tensor, Tensor]:
        w = {name: getattr(s, name).T if name in names else getattr(s, name) for name in _MATRICES}
        return attend_with_cache(s.x, s.k, s.v, **w)

    return _stepped(answer)


_MATRICES = ("w_q", "w_k", "w_v")


def _output(change: Callable[[_Step, Tensor], Any]) -> Callable[..., Any]:
    """Make an answer with the right cache and another output."""
    return _stepped(
        lambda s: (change(s, _look(s.q, s.keys, s.values)), s.keys, s.values),
    )


def _form(result: Any) -> str:
    """Write how tensors are put together, such as "(tensor, (tensor, tensor))"."""
    if isinstance(result, list | tuple):
        return f"({', '.join(map(_form, result))})"
    return "tensor" if isinstance(result, Tensor) else type(result).__name__


def _nesting(answer: Answer, case: Case) -> tuple[str, str]:
    """Tell that three tensors come in tuples within a tuple, and in which."""
    try:
        with seeded(0):
            form = _form(answer(*copy.deepcopy(case)))
    except (Exception, SystemExit):  # that is told elsewhere
        return "", ""
    tensors = re.findall(r"\w+", form)
    if tensors != ["tensor"] * 3 or form.count("(") == 1:
        return "", ""
    return "The result is nested.", f"It is {form}, and should be (tensor, tensor, tensor)."


def _cache_cases() -> list[Case]:
    def case(seed: int, batch: int, n: int, d: int) -> Case:
        w_q, w_k, w_v = (numbers(seed + i, d, d) / math.sqrt(d) for i in range(3))
        k, v = numbers(seed + 3, batch, n, d), numbers(seed + 4, batch, n, d)
        return numbers(seed + 5, batch, 1, d), k, v, 1.7 * w_q, 1.7 * w_k, w_v

    return [case(740, 1, 2, 3), case(746, 2, 0, 3), case(752, 3, 5, 7), case(758, 2, 1, 5)]


CACHE = Exercise(
    number="7.8",
    title="The cache",
    solution=attend_with_cache,
    cases=_cache_cases,
    tolerance=1e-4,
    locate=_nesting,
    mistakes=[
        Mistake(
            "cannot_see_itself",
            _stepped(lambda s: (_look(s.q, s.k, s.v), s.keys, s.values)),
            "The newest token attends to the cache as it was, so it cannot see itself. Under a causal mask a "
            "token sees those before it and itself. Append its key and value first, and then attend.",
            also=[_cached(look=_not_itself)],
        ),
        Mistake(
            "never_grows",
            _stepped(lambda s: (_look(s.q, s.k, s.v), s.k, s.v)),
            "The key and the value of the newest token go nowhere: the cache comes back as it was. So the "
            "next tokens could not see this one. cat returns a new tensor; keep it.",
            also=[_stepped(lambda s: (_look(s.q, s.keys, s.values), s.k, s.v))],
        ),
        Mistake(
            "prepended",
            _cached(lambda s: _grown(s.x @ s.w_k, s.k), lambda s: _grown(s.x @ s.w_v, s.v)),
            "The newest key and value stand in front. The output does not notice, for attention knows no "
            "order; but a mask or a position that counts along the keys would go wrong. Put the cache first "
            "and the newest behind it.",
        ),
        Mistake(
            "values_not_appended",
            _stepped(lambda s: (_look(s.q, s.keys, s.v), s.keys, s.v)),
            "Keys and values are no longer equal in number: one of the two was appended and the other was "
            "not. Every token has a key and a value, and both are kept.",
            also=[
                _stepped(lambda s: (_look(s.q, s.k, s.values), s.k, s.values)),
                _stepped(lambda s: (_look(s.q, s.keys, s.values), s.keys, s.v)),
                _stepped(lambda s: (_look(s.q, s.keys, s.values), s.k, s.values)),
            ],
        ),
        Mistake(
            "v_from_w_k",
            _cached(values=lambda s: _grown(s.v, s.x @ s.w_k)),
            "The newest value is made with w_k. A value has a matrix of its own: w_v. Did you copy a line?",
            also=[_cached(values=lambda s: _grown(s.v, s.x @ s.w_q))],
        ),
        Mistake(
            "k_from_another",
            _cached(keys=lambda s: _grown(s.k, s.x @ s.w_v)),
            "The newest key is not made with w_k. It is compared with queries, together with the other "
            "keys, so it has to be made as they were.",
            also=[
                _cached(keys=lambda s: _grown(s.k, s.x @ s.w_q)),
                _cached(lambda s: _grown(s.k, s.x @ s.w_v), lambda s: _grown(s.v, s.x @ s.w_k)),
            ],
        ),
        Mistake(
            "raw_cached",
            _cached(lambda s: _grown(s.k, s.x), lambda s: _grown(s.v, s.x)),
            "The newest token goes into the cache as it is. The cache holds keys and values, which are "
            "projected already: append x @ w_k and x @ w_v.",
            also=[
                _cached(keys=lambda s: _grown(s.k, s.x)),
                _cached(values=lambda s: _grown(s.v, s.x)),
                _stepped(lambda s: (_look(s.q, s.keys, s.values), *_raw_then_projected(s)[1:])),
            ],
        ),
        Mistake(
            "projected_again",
            _stepped(_projected_again),
            "What is in the cache is projected a second time. Those are keys and values already; to make "
            "each of them only once is what the cache is for. Project x alone, then append.",
            also=[
                _stepped(_raw_then_projected),
                _cached(lambda s: s.keys @ s.w_k, lambda s: s.values @ s.w_v),
                _cached(lambda s: _grown(s.k @ s.w_k, s.x @ s.w_k)),
            ],
        ),
        Mistake(
            "newest_only",
            _cached(lambda s: s.x @ s.w_k, lambda s: s.x @ s.w_v),
            "Only the newest key and value are left: the cache was replaced. The token sees nothing but "
            "itself. Append to what was there.",
            also=[
                _stepped(lambda s: (_look(s.q, s.keys, s.values), s.x @ s.w_k, s.x @ s.w_v)),
                _stepped(lambda s: (_look(s.q, s.x @ s.w_k, s.x @ s.w_v), s.keys, s.values)),
            ],
        ),
        Mistake(
            "mask_at_the_top_left",
            _cached(look=_first_key_only),
            "The newest token sees the first key only. A causal mask made by tril or is_causal begins at the "
            "top left, so its one row belongs to the first token, and yours is the last. It may see all that "
            "is there: no mask is needed.",
        ),
        Mistake(
            "no_scale",
            _cached(look=lambda q, k, v: _look(q, k, v, 1.0)),
            "The scores are not divided by the root of d. That a cache is used changes nothing in the "
            "attention.",
        ),
        Mistake(
            "other_scale",
            _cached(look=lambda q, k, v: _look(q, k, v, k.shape[2])),
            "The scores are divided by the wrong number. It is the root of d, the width of a key, and has "
            "nothing to do with how many keys there are.",
            also=[
                _cached(look=lambda q, k, v: _look(q, k, v, math.sqrt(k.shape[1]))),
                _cached(look=lambda q, k, v: _look(q, k, v, k.shape[1])),
                _cached(look=lambda q, k, v: _look(q, k, v, 1 / math.sqrt(k.shape[2]))),
            ],
        ),
        Mistake(
            "no_softmax",
            _cached(
                look=lambda q, k, v: (q @ k.transpose(1, 2) / math.sqrt(k.shape[2])) @ v,
            ),
            "There is no softmax between scores and values, so the weights do not sum to 1.",
        ),
        Mistake(
            "softmax_axis",
            _cached(look=lambda q, k, v: _look(q, k, v, axis=1)),
            "The softmax runs over the queries. There is only one, so every weight is 1 and the values are "
            "just added up. It runs over the keys, the last axis.",
            also=[_cached(look=lambda q, k, v: _look(q, k, v, axis=0))],
        ),
        Mistake(
            "queries_appended",
            _stepped(_all_queries),
            "There is an output for every token so far. Only the newest one asks: the others have asked in "
            "their own steps, and nobody needs their queries again. Keys and values are cached, queries are "
            "not.",
            also=[
                _cached(look=lambda q, k, v: _look(k, k, v)),
                _cached(look=lambda q, k, v: _look(q, k, v).expand(-1, k.shape[1], -1)),
            ],
        ),
        Mistake(
            "x_asks",
            _stepped(lambda s: (_look(s.x, s.keys, s.values), s.keys, s.values)),
            "The query is not made with w_q. The newest token asks with x @ w_q.",
            also=[
                _stepped(lambda s: (_look(s.x @ s.w_k, s.keys, s.values), s.keys, s.values)),
                _stepped(lambda s: (_look(s.x @ s.w_v, s.keys, s.values), s.keys, s.values)),
            ],
        ),
        Mistake(
            "oldest_dropped",
            _cached(lambda s: _shifted(s.k, s.x @ s.w_k), lambda s: _shifted(s.v, s.x @ s.w_v)),
            "The newest key pushes the oldest out, so the cache does not grow. Some models do that, to look "
            "back only so far. Here every token sees all before it.",
        ),
        Mistake(
            "overwritten",
            _cached(
                lambda s: _overwritten(s.k, s.x @ s.w_k), lambda s: _overwritten(s.v, s.x @ s.w_v)
            ),
            "The newest key and value are written over others, and there may be none yet. The cache has to "
            "become longer by one: torch.cat along the tokens.",
            also=[
                _cached(
                    lambda s: _overwritten(s.k, s.x @ s.w_k, 0),
                    lambda s: _overwritten(s.v, s.x @ s.w_v, 0),
                ),
            ],
        ),
        Mistake(
            "added_to_the_cache",
            _cached(lambda s: s.k + s.x @ s.w_k, lambda s: s.v + s.x @ s.w_v),
            "The newest key is added to every key there is. It should stand behind them: torch.cat along "
            "the tokens.",
        ),
        Mistake(
            "wrong_axis",
            _cached(
                lambda s: torch.cat([s.k, s.x @ s.w_k], dim=-1),
                lambda s: torch.cat([s.v, s.x @ s.w_v], dim=-1),
            ),
            "The newest key is put at the wrong side: longer keys, or more sequences. The axes are (batch, "
            "tokens, d), and it is the tokens that become one more: dim=1.",
            also=[
                _cached(
                    lambda s: torch.cat([s.k, s.x @ s.w_k]), lambda s: torch.cat([s.v, s.x @ s.w_v])
                ),
            ],
        ),
        Mistake(
            "keys_as_values",
            _stepped(lambda s: (_look(s.q, s.keys, s.keys), s.keys, s.values)),
            "The keys are handed over. They say where something is to be found; what is handed over are the "
            "values.",
            also=[_stepped(lambda s: (_look(s.q, s.values, s.keys), s.keys, s.values))],
        ),
        Mistake(
            "returned_in_another_order",
            _stepped(lambda s: (_look(s.q, s.keys, s.values), s.values, s.keys)),
            "All three are right, but they come in another order. Return the output, then the keys, then the "
            "values.",
            also=[
                _stepped(lambda s: (s.keys, s.values, _look(s.q, s.keys, s.values))),
            ],
        ),
        Mistake(
            "nested",
            _stepped(lambda s: (_look(s.q, s.keys, s.values), (s.keys, s.values))),
            "You put tensors together in a tuple of their own. Return three tensors: the output, the keys, "
            "the values.",
            also=[
                _stepped(lambda s: ((s.keys, s.values), _look(s.q, s.keys, s.values))),
                _stepped(lambda s: ((_look(s.q, s.keys, s.values), s.keys), s.values)),
            ],
        ),
        Mistake(
            "output_alone",
            _stepped(lambda s: _look(s.q, s.keys, s.values)),
            "The output is right, but the next step needs the cache too. Return the output and the longer "
            "keys and values.",
        ),
        Mistake(
            "axis_dropped",
            _output(lambda s, out: out[:, 0]),
            "The output has lost the axis of the tokens. One token came in, with shape (batch, 1, d), and "
            "one goes out, with the same shape.",
            also=[_output(lambda s, out: out.squeeze())],
        ),
        Mistake(
            "weights_returned",
            _output(
                lambda s, out: (s.q @ s.keys.transpose(1, 2) / math.sqrt(s.q.shape[2])).softmax(-1)
            ),
            "These are the weights. They still have to be multiplied by the values.",
        ),
        Mistake(
            "transposed",
            _turned_weights(*_MATRICES),
            "A matrix is used the wrong way round. These are ready for x @ w_q; nn.Linear keeps its own as "
            "(out, in).",
            also=[_turned_weights(name) for name in _MATRICES],
        ),
    ],
    laws=[
        Law(
            "keys and values become longer by one",
            lambda out, x, k, v, *w: out[1].shape[1] == out[2].shape[1] == k.shape[1] + 1,
        ),
        Law(
            "what was in the cache stays as it was",
            lambda out, x, k, v, *w: (
                torch.equal(out[1][:, : k.shape[1]], k) and torch.equal(out[2][:, : v.shape[1]], v)
            ),
        ),
        Law(
            "with an empty cache the output is the value of the token itself",
            lambda out, x, k, v, *w: k.shape[1] > 0 or torch.allclose(out[0], x @ w[2], atol=1e-4),
        ),
    ],
)

# 7.9 -------------------------------------------------------------------------------------------------

FIRST_DAY, LAST_DAY = date(1950, 1, 1), date(2049, 12, 31)


def _babel_dates() -> Any:
    """Return the module that writes dates in many languages.

    Raises:
        ModuleNotFoundError: if the package is missing.
    """
    try:
        from babel import dates
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "exercise 7.9 needs the package babel, which is not installed: pip install babel"
        ) from error
    return dates


Days = tuple[list[date], list[date]]


def _drawn_days(n: int, seed: int, first: date = FIRST_DAY, last: date = LAST_DAY) -> list[date]:
    numbers_of_days = random.Random(seed).sample(range((last - first).days + 1), n + n // 10)
    return [first + timedelta(number) for number in numbers_of_days]


def _cut_after(days: list[date], n: int) -> Days:
    return days[:n], days[n:]


@cache
def _written(day: date, locale: str, style: str = "long") -> str:
    text: str = _babel_dates().format_date(day, style, locale)
    return text


def _words(day: date, locale: str, style: str = "long") -> tuple[str, ...]:
    """Cut a date in words into words, digits and signs."""
    return tuple(re.findall(r"[^\W\d_]+|\d|[^\w\s]", _written(day, locale, style)))


def _iso(day: date) -> tuple[str, ...]:
    return tuple(day.isoformat())


def _one_vocabulary_each(train: Sequence[Example], held_out: Sequence[Example]) -> Any:
    examples = [*train, *held_out]
    return tuple(
        Vocabulary(sorted({token for example in examples for token in getattr(example, side)}))
        for side in ("source", "target")
    )


def _dates(
    *,
    days: Callable[[int, int], Days] = lambda n, seed: _cut_after(_drawn_days(n, seed), n),
    source: Callable[[date, str], Any] = _words,
    target: Callable[[date], Any] = _iso,
    alignment: Callable[[Any, Any], Any] = lambda source, target: (None,) * len(target),
    vocabularies: Callable[[Sequence[Example], Sequence[Example]], Any] = _one_vocabulary_each,
) -> Callable[[str, int, int], Task]:
    """Make an answer that does one thing otherwise."""

    def example(day: date, locale: str) -> Example:
        words, characters = source(day, locale), target(day)
        return Example(words, characters, alignment(words, characters), len(words))

    def make_dates(locale: str, n: int, seed: int) -> Task:
        train, held_out = ([example(day, locale) for day in part] for part in days(n, seed))
        words, characters = vocabularies(train, held_out)
        return Task(f"dates ({locale})", words, characters, tuple(train), tuple(held_out))

    return make_dates


make_dates = _dates()


@dataclass(frozen=True)
class _Made:
    """A task that a learner made, and two more of the same function."""

    task: Task
    again: Task
    other: Task
    locale: str
    n: int

    @property
    def examples(self) -> list[Example]:
        """All examples, those to train on first."""
        return [*self.task.train, *self.task.held_out]

    @property
    def days(self) -> Days:
        """The dates to train on, and those held out; it fails if a target is no date."""
        train, held_out = (
            [date.fromisoformat("".join(example.target)) for example in part]
            for part in (self.task.train, self.task.held_out)
        )
        return train, held_out

    def most(self, test: Callable[[Example], Any]) -> bool:
        """Tell whether most examples pass a test; a date such as 5 May passes some by chance."""
        return 2 * sum(bool(test(example)) for example in self.examples) > len(self.examples)


_ISO = r"\d{4}-\d\d-\d\d"
_LOCALES = ("de", "hu", "fr", "es", "it", "pt", "nl", "pl")
_UNUSUAL = {
    "day first": r"\d\d?-\d\d?-\d{4}",
    "no zeros": r"\d{4}-\d\d?-\d\d?",
    "no hyphens": r"\d{8}|\d{4}[^-\d]+\d\d[^-\d]+\d\d",
}


@cache
def _plain(text: str) -> str:
    """Drop everything but letters and digits: how a text was cut does not matter."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, text))


def _says(example: Example, locale: str, *styles: str) -> bool:
    """Tell whether the source says the date of the target."""
    day = date.fromisoformat("".join(example.target))
    source = _plain("".join(example.source))
    return any(source == _plain(_written(day, locale, style)) for style in styles)


def _says_in(example: Example, locale: str) -> bool:
    return _says(example, locale, "long", "full")


def _fails(example: Example, locale: str) -> str:
    """Say what is wrong with one example, if it is none of the usual things."""
    text, target = " ".join(example.source), "".join(example.target)
    if not _is_date(target):
        return f"{target!r} is no ISO date."
    if not _says(example, locale, "long", "full"):
        return f"The source {text!r} does not say {target} as babel writes it."
    if any(len(token) != 1 for token in example.target):
        return f"The target {list(example.target)} is not cut into characters."
    return ""


def _is_date(text: str) -> bool:
    try:
        return re.fullmatch(_ISO, text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _unknown_token(made: _Made) -> str:
    for side in ("source", "target"):
        known = getattr(made.task, side)
        for example in made.examples:
            for token in getattr(example, side):
                if token not in known:
                    return f"{token!r} is in a {side}, and not in the vocabulary of the {side}s."
    return ""


def _vocabularies_swapped(made: _Made) -> bool:
    example = made.examples[0]
    return all(token in made.task.target for token in example.source) and all(
        token in made.task.source for token in example.target
    )


def _finding(made: _Made) -> tuple[str, str]:
    """Return the first thing that is wrong with a task, and what more there is to say of it."""
    for find in (_in_the_tokens, _in_the_targets, _in_the_sources, _in_the_rest, _in_the_split):
        name, remark = find(made)
        if name:
            return name, remark
    return "", ""


def _in_the_tokens(made: _Made) -> tuple[str, str]:
    task, most = made.task, made.most
    if not task.train or not task.held_out:
        return (
            "nothing held out",
            f"train has {len(task.train)} examples, held_out {len(task.held_out)}.",
        )
    first = made.examples[0]
    shown = f"The first example is {list(first.source)} -> {list(first.target)}."
    if most(lambda e: isinstance(e.source, str) or isinstance(e.target, str)):
        return "strings", f"The first example is {first.source!r} -> {first.target!r}."
    if most(lambda e: {*SPECIALS} & {*e.source, *e.target}):
        return "special tokens", shown
    iso_source = most(lambda e: _is_date("".join(e.source)))
    iso_target = most(lambda e: _is_date("".join(e.target)))
    if iso_source:
        return ("ISO on both sides" if iso_target else "wrong direction"), shown
    return "", ""


def _in_the_targets(made: _Made) -> tuple[str, str]:
    most = made.most
    shown = f"The first target is {list(made.examples[0].target)}."
    if most(lambda e: len(e.target) == 1):
        return "one target token", shown
    if most(lambda e: any(len(token) > 1 for token in e.target)):
        return "target cut into parts", shown
    if 4 * sum(_is_date("".join(e.target)) for e in made.examples) < 3 * len(made.examples):
        for name, pattern in _UNUSUAL.items():
            if all(re.fullmatch(f"{pattern}|{_ISO}", "".join(e.target)) for e in made.examples):
                others = [e for e in made.examples if not re.fullmatch(_ISO, "".join(e.target))]
                return (name if others else "day before month"), shown
    return "", ""


def _in_the_sources(made: _Made) -> tuple[str, str]:
    most, locale = made.most, made.locale
    example = made.examples[0]
    shown = f"The first source is {list(example.source)}, for {''.join(example.target)}."
    if any(not _is_date("".join(e.target)) for e in made.examples):
        return "", ""
    if not most(lambda e: _says(e, locale, "long", "full")):
        if not most(lambda e: any(c.isalpha() for c in "".join(e.source))):
            return "no words", shown
        styles = ("long", "full", "medium")
        if most(lambda e: _says(e, "en", *styles) or _says(e, "en_GB", *styles)):
            return "English", shown
        for other in _LOCALES:
            if most(partial(_says_in, locale=other)):
                return "another locale", shown
    if not all(_says(e, locale, "long", "full") for e in made.examples) and all(
        _says(e, locale, "long", "full", "medium") for e in made.examples
    ):
        return "no words", shown
    if most(lambda e: len(e.source) == 1):
        return "one source token", shown
    return "", ""


def _in_the_rest(made: _Made) -> tuple[str, str]:
    for example in made.examples:
        if text := _fails(example, made.locale):
            return f"an example that does not fit: {text}", ""
    for example in made.examples:
        if any(place is not None for place in example.alignment):
            return "alignment guessed", f"The first one is {list(example.alignment)}."
        length = example.length
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            return f"a length that is no number of tokens: {length!r}", ""
    if text := _unknown_token(made):
        return ("vocabularies swapped" if _vocabularies_swapped(made) else "unknown token"), text
    return "", ""


def _in_the_split(made: _Made) -> tuple[str, str]:
    train, held_out = made.days
    days = [*train, *held_out]
    counts = f"train has {len(train)} examples and held_out {len(held_out)}; n is {made.n}."
    months, years = ({getattr(day, part) for day in train} for part in ("month", "year"))
    cover = f"The dates to train on are in {len(months)} months and {len(years)} years."
    if len(set(days)) == 1:
        return "one date", f"It is {days[0]}."
    if both := set(train) & set(held_out):
        return "seen in training", f"For instance {min(both)} is in both."
    if len(set(train)) < len(train) or len(set(held_out)) < len(held_out):
        return "repeated", f"There are {len(days)} examples of {len(set(days))} dates."
    if (len(train), len(held_out)) != (made.n, made.n // 10):
        return "other counts", counts
    if max(train) < min(held_out) or max(held_out) < min(train):
        return "cut by time", f"The dates to train on go from {min(train)} to {max(train)}."
    if len(months) < 6 or len(years) < 10:
        return "few months or years", cover
    if made.n >= 300 and max(day.day for day in train) < 29:
        return "short months", f"The last day of a month is {max(day.day for day in train)}."
    if out := [day for day in days if not FIRST_DAY <= day <= LAST_DAY]:
        return f"a date that is not from 1950 to 2049: {out[0]}", ""
    return _by_the_seed(made)


def _by_the_seed(made: _Made) -> tuple[str, str]:
    def targets(task: Task) -> list[tuple[str, ...]]:
        return [tuple(example.target) for example in (*task.train, *task.held_out)]

    if targets(made.task) != targets(made.again):
        return "not repeatable", ""
    if set(targets(made.task)) == set(targets(made.other)):
        return "seed ignored", ""
    return "", ""


_GOOD = "a task as it should be"


def _look_into(answer: Answer, locale: str, n: int, seed: int) -> Any:
    """Let an answer make a task, and return the first thing that is wrong with it in words."""
    task = answer(locale, n, seed)
    if task is None or task is ...:
        return task
    return _told(answer, task, locale, n, seed)[0]


def _told(answer: Answer, task: Any, locale: str, n: int, seed: int) -> tuple[str, str]:
    if not isinstance(task, Task):
        return f"no Task, but something of type {type(task).__name__}", ""
    made = _Made(task, answer(locale, n, seed), answer(locale, n, seed + 1), locale, n)
    try:
        name, remark = _finding(made)
    except Exception as error:  # whatever was put into the task
        return f"a Task that cannot be read ({type(error).__name__}: {error})"[:150], ""
    return name or _GOOD, remark


def _where(answer: Answer, case: Case) -> tuple[str, str]:
    """Say more about what is wrong with a task."""
    try:
        with seeded(0):
            return "", _told(answer, answer(*case), *case)[1]
    except (Exception, SystemExit):
        return "", ""


def _date_cases() -> list[Case]:
    _babel_dates()
    return [("de", 60, 0), ("hu", 80, 3), ("fr", 300, 7)]


def _days_of(
    draw: Callable[[int, int], list[date]],
) -> Callable[[int, int], Days]:
    """Draw dates in some way; the first n are to train on."""
    return lambda n, seed: _cut_after(draw(n, seed), n)


def _held_out_of_train(n: int, seed: int) -> Days:
    train, _ = _cut_after(_drawn_days(n, seed), n)
    return train, train[: n // 10]


def _drawn_twice(n: int, seed: int) -> Days:
    train, _ = _cut_after(_drawn_days(n, seed), n)
    return train, [*train[-1:], *_drawn_days(n, seed + 1)[1 : n // 10]]


def _consecutive(n: int, seed: int) -> list[date]:
    first = date(2000 + seed % 9, 1, 1)
    days = [first + timedelta(number) for number in range(n + n // 10)]
    return random.Random(seed).sample(days, len(days))


def _of_one_part(n: int, seed: int) -> list[date]:
    """Draw from the Januaries of all years."""
    days = [date(year, 1, day) for year in range(1950, 2050) for day in range(1, 32)]
    return random.Random(seed).sample(days, n + n // 10)


def _up_to_28(n: int, seed: int) -> list[date]:
    days = [
        date(year, month, day)
        for year in range(1950, 2050)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    return random.Random(seed).sample(days, n + n // 10)


def _with_repetition(n: int, seed: int) -> Days:
    days = _drawn_days(n, seed)
    return [*days[: n - 2], *days[:2]], days[n:]


def _unseeded(n: int, seed: int) -> list[date]:
    return _drawn_days(n, random.SystemRandom().randrange(10**9))


def _from_training_only(train: Sequence[Example], held_out: Sequence[Example]) -> Any:
    return _one_vocabulary_each(train, [])


def _ordinary_only(train: Sequence[Example], held_out: Sequence[Example]) -> Any:
    """Make the vocabularies without special tokens, which are in every one."""

    def ordinary(example: Example) -> Example:
        source, target = (
            tuple(token for token in side if token not in SPECIALS)
            for side in (example.source, example.target)
        )
        return Example(source, target, (None,) * len(target), example.length)

    return _one_vocabulary_each([*map(ordinary, train)], [*map(ordinary, held_out)])


def _without(train: Sequence[Example], held_out: Sequence[Example], signs: str) -> Any:
    """Make the vocabularies and forget some tokens."""
    return tuple(
        Vocabulary(token for token in vocabulary.tokens[3:] if token not in signs)
        for vocabulary in _one_vocabulary_each(train, held_out)
    )


def _turned_round(task: Task) -> Task:
    """Let sources and targets change places."""

    def turned(example: Example) -> Example:
        target = example.source
        return Example(example.target, target, (None,) * len(target), example.length)

    train, held_out = (tuple(map(turned, part)) for part in (task.train, task.held_out))
    return replace(task, source=task.target, target=task.source, train=train, held_out=held_out)


def _by_spaces(day: date, locale: str) -> tuple[str, ...]:
    return tuple(_written(day, locale).split())


DATES = Exercise(
    number="7.9",
    title="Dates in words, in your language",
    solution=make_dates,
    cases=_date_cases,
    locate=_where,
    trial=_look_into,
    mistakes=[
        Mistake(
            "nothing_held_out",
            _dates(days=lambda n, seed: (_drawn_days(n, seed)[:n], [])),
            "Nothing is held out, or nothing is left to train on. Without dates that the model has never "
            "seen nobody can tell whether it learned to read dates or learned them by heart.",
            also=[_dates(days=lambda n, seed: ([], _drawn_days(n, seed)[:n]))],
        ),
        Mistake(
            "seen_in_training",
            _dates(days=_held_out_of_train),
            "A held-out date is also in training. Then the accuracy says how well the model remembers. Draw "
            "all dates at once, all different, and cut the list.",
            also=[_dates(days=_drawn_twice)],
        ),
        Mistake(
            "day_first",
            _dates(target=lambda day: tuple(day.strftime("%d-%m-%Y"))),
            "The target does not begin with the year. An ISO date goes from large to small: year, month, "
            "day. Written so, dates sort like numbers.",
            also=[
                _dates(target=lambda day: tuple(day.strftime("%m-%d-%Y"))),
                _dates(target=lambda day: tuple(f"{day.day}-{day.month}-{day.year}")),
            ],
        ),
        Mistake(
            "day_before_month",
            _dates(target=lambda day: tuple(day.strftime("%Y-%d-%m"))),
            "In the target the day comes before the month. After the year comes the month.",
        ),
        Mistake(
            "no_zeros",
            _dates(target=lambda day: tuple(f"{day.year}-{day.month}-{day.day}")),
            "Months and days below 10 have one digit. In an ISO date they are filled up with a zero, so "
            "that it always has ten characters.",
        ),
        Mistake(
            "no_hyphens",
            _dates(target=lambda day: tuple(day.strftime("%Y%m%d"))),
            "The hyphens are missing, or other signs stand in their place. The targets here are written "
            "2026-11-21, and the hyphens are tokens too.",
            also=[
                _dates(target=lambda day: tuple(day.strftime("%Y/%m/%d"))),
                _dates(target=lambda day: tuple(day.strftime("%Y.%m.%d"))),
                _dates(target=lambda day: tuple(day.strftime("%Y %m %d"))),
            ],
        ),
        Mistake(
            "one_target_token",
            _dates(target=lambda day: (day.isoformat(),)),
            "The whole date is one token of the target. A held-out date is then a token that was never "
            "trained, and nothing could be carried over to it. Cut it into characters.",
        ),
        Mistake(
            "target_cut_into_parts",
            _dates(target=lambda day: tuple(re.findall(r"\d+|-", day.isoformat()))),
            "The target is cut into years, months and days. Cut it into characters, so that ten digits and "
            "a hyphen are enough for every date there is: tuple of a string does that.",
            also=[
                _dates(target=lambda day: tuple(day.isoformat().split("-"))),
                _dates(target=lambda day: (*str(day.year), "-", *day.isoformat()[5:].split("-"))),
                _dates(target=lambda day: (f"{day.year}", *day.isoformat()[4:])),
            ],
        ),
        Mistake(
            "strings",
            _dates(
                source=_written,
                target=lambda day: day.isoformat(),
                vocabularies=lambda train, held_out: (Vocabulary("ab"), Vocabulary("01")),
            ),
            "Source or target is a string. An example has tuples of tokens: cut the text first, for "
            "instance with split or with a regular expression.",
            also=[
                _dates(source=_written),
                _dates(target=lambda day: day.isoformat()),
            ],
        ),
        Mistake(
            "special_tokens",
            _dates(
                target=lambda day: ("<bos>", *day.isoformat(), "<eos>"),
                vocabularies=_ordinary_only,
            ),
            "Special tokens are among the words. The batch puts begin, end and padding where they belong; "
            "an example has nothing but its own tokens.",
            also=[
                _dates(
                    source=lambda day, locale: (*_words(day, locale), "<eos>"),
                    vocabularies=_ordinary_only,
                ),
            ],
        ),
        Mistake(
            "wrong_direction",
            lambda locale, n, seed: _turned_round(make_dates(locale, n, seed)),
            "The source is the ISO date and the target has the words. The task goes the other way: it reads "
            "words and writes an ISO date.",
        ),
        Mistake(
            "iso_on_both_sides",
            _dates(source=lambda day, locale: _iso(day)),
            "The source is the ISO date itself, so the model only has to copy. The source is the date in "
            "words, as babel writes it.",
            also=[_dates(source=lambda day, locale: (day.isoformat(),))],
        ),
        Mistake(
            "no_words",
            _dates(source=lambda day, locale: _words(day, locale, "short")),
            'The month is a number in the source, or shortened. Ask babel for the format "long" or '
            '"full"; "medium" is what it takes if nothing is said.',
            also=[_dates(source=lambda day, locale: _words(day, locale, "medium"))],
        ),
        Mistake(
            "english",
            _dates(source=lambda day, locale: _words(day, "en")),
            "The words are English in every language. babel has to be told the locale, and strftime does "
            "not know it.",
            also=[
                _dates(source=lambda day, locale: _words(day, "en", "full")),
                _dates(source=lambda day, locale: tuple(day.strftime("%B %d, %Y").split())),
                _dates(source=lambda day, locale: _words(day, "en", "medium")),
            ],
        ),
        Mistake(
            "another_locale",
            _dates(source=lambda day, locale: _words(day, "de")),
            "The words are always of the same language. Use the locale that is given.",
            also=[
                _dates(source=lambda day, locale: _words(day, "fr")),
                _dates(source=lambda day, locale: _words(day, "hu")),
                _dates(source=lambda day, locale: _words(day, "es")),
            ],
        ),
        Mistake(
            "one_source_token",
            _dates(source=lambda day, locale: (_written(day, locale),)),
            "The whole date is one token of the source. Then a held-out date is a token that was never "
            "trained. Cut it, so that the parts of new dates are known from others.",
        ),
        Mistake(
            "alignment_length",
            _dates(alignment=lambda source, target: ()),
            "The alignment has the wrong length. It has one entry for each token of the target, here None "
            "for all: (None,) * len(target).",
            also=[
                _dates(alignment=lambda source, target: (None,)),
                _dates(alignment=lambda source, target: None),
                _dates(alignment=lambda source, target: (None,) * len(source)),
                _dates(
                    source=_by_spaces,
                    alignment=lambda source, target: (None,) * len(source),
                ),
            ],
        ),
        Mistake(
            "alignment_guessed",
            _dates(alignment=lambda source, target: tuple(range(len(target)))),
            "There are places in the alignment. It says which word a token truly comes from, and here "
            "nobody has written that down: None for every token.",
            also=[_dates(alignment=lambda source, target: (0,) * len(target))],
        ),
        Mistake(
            "unknown_token",
            _dates(source=_by_spaces, vocabularies=_from_training_only),
            "A token is missing in its vocabulary, and make_batch would stop there. Make the vocabulary "
            "from all examples, the held-out ones too: that a word exists is no secret.",
            also=[
                _dates(vocabularies=partial(_without, signs="-")),
                _dates(vocabularies=partial(_without, signs="09.")),
            ],
        ),
        Mistake(
            "vocabularies_swapped",
            _dates(
                vocabularies=lambda train, held_out: _one_vocabulary_each(train, held_out)[::-1]
            ),
            "The two vocabularies have changed places. First that of the source, which has the words, then "
            "that of the target.",
        ),
        Mistake(
            "one_date",
            _dates(
                days=lambda n, seed: _cut_after([_drawn_days(n, seed)[0]] * (n + n // 10), n),
            ),
            "All examples have the same date. Is it drawn inside the loop, and by one generator that is "
            "made before the loop? A generator that is made anew with the same seed begins anew.",
        ),
        Mistake(
            "repeated",
            _dates(days=_with_repetition),
            "Some dates are there more than once. That makes fewer different ones than you were asked for, "
            "and sooner or later one is in both parts. Draw without putting back: random.sample.",
        ),
        Mistake(
            "other_counts",
            _dates(days=lambda n, seed: _cut_after(_drawn_days(n, seed)[:n], n - n // 10)),
            "The numbers of examples are not those that were asked for: n to train on, and n // 10 more "
            "that are held out.",
            also=[
                _dates(days=lambda n, seed: _cut_after(_drawn_days(n, seed), n // 10)),
                _dates(days=lambda n, seed: _cut_after(_drawn_days(2 * n, seed), n)),
            ],
        ),
        Mistake(
            "cut_by_time",
            _dates(days=lambda n, seed: _cut_after(sorted(_drawn_days(n, seed)), n)),
            "The held-out dates are all later than those to train on, or all earlier. So they have years "
            "that the model never sees. Sometimes that is the question; here both parts should be drawn "
            "from all years. Shuffle before you cut.",
            also=[_dates(days=_days_of(lambda n, seed: sorted(_consecutive(n, seed))))],
        ),
        Mistake(
            "few_months_or_years",
            _dates(days=_days_of(_consecutive)),
            "The dates cover a few months or years only. What the model never reads it cannot learn. Draw "
            "from all days from 1950 to 2049.",
            also=[_dates(days=_days_of(lambda n, seed: _of_one_part(n, seed)))],
        ),
        Mistake(
            "no_end_of_the_month",
            _dates(days=_days_of(_up_to_28)),
            "No date has a day above 28. That avoids 30 February, and it also leaves out the end of every "
            "month. Count days from a first date: date + timedelta knows the calendar.",
        ),
        Mistake(
            "not_repeatable",
            _dates(days=_days_of(_unseeded)),
            "Called twice with the same seed, it makes two tasks. Nobody could check your result then. Make "
            "a generator from the seed, random.Random(seed), and draw from nothing else.",
        ),
        Mistake(
            "seed_ignored",
            _dates(days=_days_of(lambda n, seed: _drawn_days(n, 0))),
            "Another seed gives the same dates. Use it when you make the generator: random.Random(seed).",
        ),
    ],
)

EXERCISES = (BEAM_STEP, PENALTY, NUCLEUS, CACHE, DATES)
"""The exercises of the second half of chapter 7."""
