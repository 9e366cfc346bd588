"""Exercise 8.3: one step of a beam search."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

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
        case(738, 1, 6),
    ]


EXERCISE = Exercise(
    number="8.3",
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
