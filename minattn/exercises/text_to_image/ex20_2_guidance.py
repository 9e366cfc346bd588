"""Exercise 20.2: guidance, and the nucleus after it."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Guide = Callable[[Tensor, Tensor, float], Tensor]
"""Makes one row of probabilities of logits with words, logits without them, and a scale."""
Keep = Callable[[Tensor, float], Tensor]
"""Tells which codes are kept, from probabilities and p."""


def guided(with_words: Tensor, without: Tensor, scale: float, p: float) -> Tensor:
    """Return the probabilities of the next code: guided first, then cut to the nucleus."""
    return _guided(with_words, without, scale, p)


def _logits(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return without + scale * (with_words - without)


def _away_from_words(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return without - scale * (with_words - without)


def _swapped(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return scale * without + (1 - scale) * with_words


def _from_words_on(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return with_words + scale * (with_words - without)


def _words_alone(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return scale * with_words


def _unguided(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return with_words


def _of_logits(guide: Guide) -> Guide:
    return lambda *given: guide(*given).softmax(-1)


def _probabilities(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return _logits(with_words, without, scale).softmax(-1)


def _mixed(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    """Go beyond the probabilities, which may fall below 0."""
    return _logits(with_words.softmax(-1), without.softmax(-1), scale)


def _mixed_and_cut(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    mixed = _mixed(with_words, without, scale).clamp(min=0)
    return mixed / mixed.sum(-1, keepdim=True)


def _mixed_and_softmax(with_words: Tensor, without: Tensor, scale: float) -> Tensor:
    return _mixed(with_words, without, scale).softmax(-1)


def _nucleus(probabilities: Tensor, p: float) -> Tensor:
    ordered, order = probabilities.sort(-1, descending=True)
    return _in_old_order(ordered.cumsum(-1) - ordered < p, order)


def _without_crossing(probabilities: Tensor, p: float) -> Tensor:
    ordered, order = probabilities.sort(-1, descending=True)
    return _in_old_order(ordered.cumsum(-1) <= p, order)


def _first_and_without_crossing(probabilities: Tensor, p: float) -> Tensor:
    ordered, order = probabilities.sort(-1, descending=True)
    keep = ordered.cumsum(-1) <= p
    keep[..., 0] = True
    return _in_old_order(keep, order)


def _not_put_back(probabilities: Tensor, p: float) -> Tensor:
    """Forget to bring what is kept back into the order of the codes."""
    ordered = probabilities.sort(-1, descending=True).values
    return ordered.cumsum(-1) - ordered < p


def _all(probabilities: Tensor, p: float) -> Tensor:
    return torch.ones_like(probabilities, dtype=torch.bool)


def _in_old_order(keep: Tensor, order: Tensor) -> Tensor:
    return torch.zeros_like(keep).scatter(-1, order, keep)


def _guided(
    with_words: Tensor,
    without: Tensor,
    scale: float,
    p: float,
    *,
    guide: Guide = _probabilities,
    keep: Keep = _nucleus,
    whole: bool = True,
) -> Tensor:
    """Guide and cut, each in some way.

    Args:
        with_words: logits of the codes, given the words.
        without: logits without words.
        scale: of the guidance.
        p: share of the probability that is kept.
        guide: makes probabilities of all that.
        keep: tells which codes remain.
        whole: whether what remains is brought to a sum of 1.
    """
    probabilities = guide(with_words, without, scale)
    kept = probabilities * keep(probabilities, p)
    return kept / kept.sum(-1, keepdim=True) if whole else kept


def _nucleus_of(which: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Choose the nucleus before guiding, among the logits of one kind or of both."""

    def answer(with_words: Tensor, without: Tensor, scale: float, p: float) -> Tensor:
        kept = which(_nucleus(with_words.softmax(-1), p), _nucleus(without.softmax(-1), p))
        logits = _logits(with_words, without, scale).masked_fill(~kept, -torch.inf)
        return logits.softmax(-1)

    return answer


def _both_cut_first(with_words: Tensor, without: Tensor, scale: float, p: float) -> Tensor:
    """Cut both to their own nuclei with -inf, and guide what is left."""
    cut = [x.masked_fill(~_nucleus(x.softmax(-1), p), -torch.inf) for x in (with_words, without)]
    return _logits(cut[0], cut[1], scale).softmax(-1)


def _cases() -> list[Case]:
    return [
        (numbers(2020, 2, 3), numbers(2021, 2, 3), 1.5, 0.6),
        (numbers(2022, 3, 5), numbers(2023, 3, 5), 2.5, 0.85),
        (numbers(2024, 2, 7), numbers(2025, 2, 7), 0.0, 0.7),
        (numbers(2026, 5, 11), numbers(2027, 5, 11), 1.0, 0.82),
        (numbers(2028, 3, 7), numbers(2029, 3, 7), 2.0, 0.95),
    ]


EXERCISE = Exercise(
    number="20.2",
    title="Guided by words",
    solution=guided,
    cases=_cases,
    mistakes=[
        Mistake(
            "away_from_words",
            partial(_guided, guide=_of_logits(_away_from_words)),
            "You go away from the words. The step is with_words - without, and it is added: without + scale * "
            "(with_words - without).",
        ),
        Mistake(
            "swapped",
            partial(_guided, guide=_of_logits(_swapped)),
            "With and without have changed places: the scale belongs to with_words, and 1 - scale to without. Test it: "
            "a scale of 1 must give the model with words, and 0 the model without.",
        ),
        Mistake(
            "from_words_on",
            partial(_guided, guide=_of_logits(_from_words_on)),
            "You go on from with_words, so your scale of 0 is what is asked for with 1. (The first paper on guidance "
            "counts like that; most code counts as the task does.) Begin at `without`.",
        ),
        Mistake(
            "one_part_unused",
            partial(_guided, guide=_of_logits(_words_alone)),
            "The model without words has no say. A larger scale is then just a lower temperature, or nothing at all. "
            "What counts is the difference of the two: what the words change.",
            also=[partial(_guided, guide=_of_logits(_unguided))],
        ),
        Mistake(
            "probabilities_mixed",
            partial(_guided, guide=_mixed_and_cut),
            "You guide probabilities. Beyond a scale of 1 they fall below 0, and small ones hardly count. Guide the "
            "logits, and take the softmax afterwards: that multiplies by powers of the ratio.",
            also=[partial(_guided, guide=_mixed), partial(_guided, guide=_mixed_and_softmax)],
        ),
        Mistake(
            "nucleus_first",
            _nucleus_of(lambda with_words, without: with_words),
            "The nucleus is chosen before the guidance. A code that the guidance would lift is gone then, and the sum "
            "of those left is no longer near p. First guide, then take the softmax, then cut.",
            also=[
                _nucleus_of(lambda with_words, without: without),
                _nucleus_of(torch.logical_and),
                _nucleus_of(torch.logical_or),
                _both_cut_first,
            ],
        ),
        Mistake(
            "wrong_nucleus",
            partial(_guided, keep=_without_crossing),
            "The guidance is right, and the nucleus is not. Keep the likeliest codes until their sum is p, the one "
            "that reaches it too; and bring what you kept back from the order of size into the order of codes.",
            also=[
                partial(_guided, keep=_first_and_without_crossing),
                partial(_guided, keep=_not_put_back),
                partial(_guided, keep=_all),
            ],
        ),
        Mistake(
            "not_made_whole",
            partial(_guided, whole=False),
            "What is left does not sum to 1. Codes were cut away, and their share has to go to the others: divide by "
            "the sum of each row.",
        ),
    ],
    laws=[
        Law(
            "probabilities sum to 1",
            lambda out, *case: torch.allclose(out.sum(-1), torch.ones(len(out)), atol=1e-4),
        ),
        Law("no probability is below 0", lambda out, *case: float(out.min()) >= 0),
        Law(
            "with a scale of 0, words change nothing",
            lambda out, with_words, without, scale, p: (
                scale != 0 or torch.allclose(out, guided(without, without, 1.0, p), atol=1e-4)
            ),
        ),
    ],
)
