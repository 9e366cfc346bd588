"""Exercise 11.1: hiding tokens."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.training.padded_targets import padded_targets
from minattn.vocabulary import BOS, EOS, PAD

IGNORE = -100
"""What stands where nothing is to be told; F.cross_entropy leaves it out."""

Texts = tuple[Tensor, Tensor]
Span = tuple[float | int, float | int]
"""From which number on, and below which."""

_ROLLS = torch.tensor([0.05, 0.15, 0.45, 0.79, 0.81, 0.89, 0.91, 0.99])


def hide_tokens(
    ids: Tensor, chosen: Tensor, roll: Tensor, random_ids: Tensor, mask_id: int
) -> Texts:
    """Hide the chosen tokens 80/10/10; return what is read, and what is to be told."""
    at = _chosen_tokens(ids, chosen)
    read = torch.where(at & (roll < 0.9), random_ids, ids)
    return read.masked_fill(at & (roll < 0.8), mask_id), ids.masked_fill(~at, IGNORE)


def _chosen_tokens(ids: Tensor, chosen: Tensor) -> Tensor:
    return chosen & (ids > EOS)


def _of_chosen(ids: Tensor, chosen: Tensor, roll: Tensor) -> Tensor:
    return _chosen_tokens(ids, chosen)


def _answer(
    *,
    masked_at: Callable[[Tensor, Tensor], Tensor] = _chosen_tokens,
    replaced_at: Callable[[Tensor, Tensor], Tensor] | None = None,
    told_at: Callable[[Tensor, Tensor, Tensor], Tensor] = _of_chosen,
    masked: Span = (0, 0.8),
    replaced: Span = (0.8, 0.9),
    told: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda ids, read, random_read: ids,
    ignore: int = IGNORE,
) -> Callable[..., Texts]:
    """Make an answer that hides other tokens, in other shares, or asks for others."""

    def answer(
        ids: Tensor, chosen: Tensor, roll: Tensor, random_ids: Tensor, mask_id: int
    ) -> Texts:
        read = ids.masked_fill(masked_at(ids, chosen) & _between(roll, masked), mask_id)
        at = (replaced_at or masked_at)(ids, chosen) & _between(roll, replaced)
        read = torch.where(at, random_ids, read)
        targets = told(ids, read, torch.where(at, random_ids, ids))
        return read, targets.masked_fill(~told_at(ids, chosen, roll), ignore)

    return answer


def _between(roll: Tensor, span: Span) -> Tensor:
    return (roll >= span[0]) & (roll < span[1])


def _all_but_padding(ids: Tensor, chosen: Tensor) -> Tensor:
    return chosen & (ids != PAD)


def _all_chosen(ids: Tensor, chosen: Tensor) -> Tensor:
    return chosen


def _not_chosen(ids: Tensor, chosen: Tensor) -> Tensor:
    return ~chosen & (ids > EOS)


def _random_in_order(
    ids: Tensor, chosen: Tensor, roll: Tensor, random_ids: Tensor, mask_id: int
) -> Texts:
    read, targets = hide_tokens(ids, chosen, roll, random_ids, mask_id)
    at = _chosen_tokens(ids, chosen) & _between(roll, (0.8, 0.9))
    read[at] = random_ids.flatten()[: int(at.sum())]
    return read, targets


def _told_as_marks(ids: Tensor, chosen: Tensor, *rest: Tensor) -> Texts:
    return hide_tokens(ids, chosen, *rest)[0], _chosen_tokens(ids, chosen)  # type: ignore[arg-type]


def _told_in_a_row(ids: Tensor, chosen: Tensor, *rest: Tensor) -> Texts:
    return hide_tokens(ids, chosen, *rest)[0], ids[_chosen_tokens(ids, chosen)]  # type: ignore[arg-type]


def _hiding_cases() -> list[Case]:
    small = (
        torch.tensor([[BOS, 7, 8, 5, 9, 6, EOS, PAD]]),
        torch.tensor([[False, True, False, True, False, True, True, True]]),
        torch.tensor([[0.85, 0.35, 0.65, 0.95, 0.85, 0.85, 0.35, 0.85]]),
        torch.tensor([[9, 6, 5, 8, 7, 4, 7, 6]]),
        3,
    )
    return [
        small,
        _case(1100, 3, 13, 11, 9, 7),
        _case(1110, 4, 17, 23, 17, 23, 13),
        _case(1120, 3, 47, 29, 29, 19, 11),
    ]


def _case(seed: int, mask_id: int, vocab: int, seq: int, *lengths: int) -> Case:
    """Make texts of some lengths; ids from ``mask_id + 1`` on are ordinary."""
    n_ordinary = vocab - mask_id - 1
    ids = padded_targets(seed, vocab - mask_id + EOS, seq, *lengths)
    ids[:, 0] = BOS
    ids = torch.where(ids > EOS, ids - EOS + mask_id, ids)
    drawn = (numbers(seed + 5, 2, *ids.shape).abs() * 997).long()
    chosen = drawn[0] % 100 < 60
    chosen[:, 0] = chosen[:, -1] = True
    random_ids = mask_id + 1 + drawn[1] % n_ordinary
    same = random_ids == ids
    random_ids[same] = mask_id + 1 + (random_ids[same] - mask_id) % n_ordinary
    return (
        ids,
        chosen,
        _ROLLS[3 * torch.arange(ids.numel()).view_as(ids) % len(_ROLLS)],
        random_ids,
        mask_id,
    )


EXERCISE = Exercise(
    number="11.1",
    title="Hide tokens",
    solution=hide_tokens,
    cases=_hiding_cases,
    mistakes=[
        Mistake(
            "targets_everywhere",
            _answer(told_at=lambda ids, chosen, roll: torch.ones_like(chosen)),
            "You ask for tokens that were not chosen. The model reads those, so all it learns from them is "
            "to copy. Where nothing was chosen the target is -100.",
            also=[
                _answer(told_at=lambda ids, chosen, roll: ids != PAD),
                _answer(told_at=lambda ids, chosen, roll: ids > EOS),
            ],
        ),
        Mistake(
            "only_masked_told",
            _answer(told_at=lambda ids, chosen, roll: _chosen_tokens(ids, chosen) & (roll < 0.8)),
            "You ask only where the text was changed. A chosen token that was left as it is, or replaced, "
            "is asked for as well: the model shall not trust what it reads. All chosen tokens are targets.",
            also=[
                _answer(
                    told_at=lambda ids, chosen, roll: _chosen_tokens(ids, chosen) & (roll < 0.9)
                )
            ],
        ),
        Mistake(
            "specials_hidden",
            _answer(
                masked_at=_all_chosen,
                told_at=lambda ids, chosen, roll: chosen,
            ),
            "You hide padding, BOS or EOS. They were chosen by mistake: padding is no text, and nobody "
            "has to guess where a text begins. Only ids above EOS are hidden and asked for.",
            also=[
                _answer(
                    masked_at=_all_but_padding,
                    told_at=lambda ids, chosen, roll: _all_but_padding(ids, chosen),
                ),
                _answer(masked_at=_all_chosen),
                _answer(masked_at=_all_but_padding),
            ],
        ),
        Mistake(
            "special_targets",
            _answer(told_at=lambda ids, chosen, roll: chosen),
            "What is read is right, but padding, BOS or EOS are asked for where they were chosen by "
            "mistake. They stand there unhidden, so they are no targets.",
            also=[_answer(told_at=lambda ids, chosen, roll: _all_but_padding(ids, chosen))],
        ),
        Mistake(
            "target_is_what_is_read",
            _answer(told=lambda ids, read, random_read: read),
            "The targets are the ids after hiding: the model is asked for the mask sign. If you write into "
            "ids without clone(), the old ids are gone. The target is what stood there before.",
            also=[_answer(told=lambda ids, read, random_read: random_read)],
        ),
        Mistake(
            "shares_swapped",
            _answer(masked=(0.8, 0.9), replaced=(0, 0.8)),
            "The three shares are swapped: most of the chosen tokens should become the mask sign, those "
            "with roll below 0.8.",
            also=[
                _answer(masked=(0.9, 1), replaced=(0, 0.8)),
                _answer(masked=(0, 0.1), replaced=(0.1, 0.2)),
                _answer(masked=(0, 0.1), replaced=(0.1, 0.9)),
                _answer(masked=(0.8, 0.9), replaced=(0.9, 1)),
                _answer(masked=(0.9, 1), replaced=(0.8, 0.9)),
            ],
        ),
        Mistake(
            "wrong_side",
            _answer(masked=(0.2, 1), replaced=(0.1, 0.2)),
            "The shares are right, but counted from the other end. roll below 0.8 hides; from there to 0.9 "
            "a random id stands; from 0.9 on the token is left.",
            also=[
                _answer(masked=(0.2, 1), replaced=(0, 0.1)),
                _answer(masked=(0.1, 0.9), replaced=(0, 0.1)),
                _answer(masked=(0.1, 0.9), replaced=(0.9, 1)),
            ],
        ),
        Mistake(
            "last_two_swapped",
            _answer(replaced=(0.9, 1)),
            "The last two tenths are swapped: from 0.8 to 0.9 a random id stands, from 0.9 on the token is "
            "left as it is.",
        ),
        Mistake(
            "bounds_not_added_up",
            _answer(replaced=(0, 0.1)),
            "The random ids replace those with roll below 0.1, and these are among the ones below 0.8. The "
            "three shares cut one interval in pieces, so the second piece runs from 0.8 to 0.9.",
            also=[_answer(masked=(0.1, 0.8), replaced=(0.9, 1)), _answer(masked=(0.1, 0.8))],
        ),
        Mistake(
            "overwritten",
            _answer(replaced=(0, 0.9)),
            "No mask sign is left: roll below 0.9 is true for those below 0.8 too, so the random ids "
            "overwrite them. Ask for both ends, 0.8 <= roll < 0.9.",
        ),
        Mistake(
            "never_left",
            _answer(replaced=(0.8, 1)),
            "No chosen token stays as it is. From 0.9 on it should: then the model cannot take for granted "
            "that what it reads is wrong.",
        ),
        Mistake(
            "always_masked",
            _answer(masked=(0, 1), replaced=(1, 1)),
            "No random id stands anywhere. From 0.8 to 0.9 a chosen token is replaced by the one in "
            "random_ids, and from 0.9 on it is left.",
            also=[
                _answer(masked=(0, 0.9), replaced=(1, 1)),
                _answer(replaced=(1, 1)),
            ],
        ),
        Mistake(
            "random_where_not_chosen",
            _answer(replaced_at=lambda ids, chosen: ids > EOS),
            "Random ids stand where nothing was chosen. roll has a number for every place, but it counts "
            "at the chosen ones only. Here the text is spoilt, and nobody asks the model to mend it.",
            also=[_answer(replaced_at=lambda ids, chosen: torch.ones_like(chosen))],
        ),
        Mistake(
            "chosen_ignored",
            _answer(masked_at=lambda ids, chosen: ids > EOS),
            "You hide tokens that were not chosen. roll says what happens to a chosen token; chosen says "
            "which ones they are. Both have to hold.",
            also=[
                _answer(masked_at=lambda ids, chosen: torch.ones_like(chosen)),
                _answer(
                    masked_at=lambda ids, chosen: ids > EOS,
                    told_at=lambda ids, chosen, roll: ids > EOS,
                ),
                _answer(
                    masked_at=lambda ids, chosen: ids > EOS,
                    told_at=lambda ids, chosen, roll: (ids > EOS) & (roll < 0.9),
                ),
            ],
        ),
        Mistake(
            "random_in_order",
            _random_in_order,
            "The random ids are dealt out in a row, the first to the first place that needs one. Each place "
            "has its own: put random_ids[at] where read[at] stood.",
        ),
        Mistake(
            "ignored_as_padding",
            _answer(ignore=PAD),
            "Where nothing is to be told stands 0 or -1. 0 is an id like others, and the model would be "
            "asked for it. What F.cross_entropy leaves out is -100.",
            also=[_answer(ignore=-1)],
        ),
        Mistake(
            "ignored_as_mask",
            lambda ids, chosen, roll, random_ids, mask_id: _answer(ignore=mask_id)(
                ids, chosen, roll, random_ids, mask_id
            ),
            "Where nothing is to be told stands the mask sign. The model would be asked to say it. Put "
            "-100 there, which F.cross_entropy leaves out.",
        ),
        Mistake(
            "targets_inverted",
            _answer(told_at=lambda ids, chosen, roll: ~_chosen_tokens(ids, chosen)),
            "The targets are the wrong way round: -100 stands at the chosen tokens. masked_fill writes "
            "where its mask is True, and torch.where takes the first of the two there.",
            also=[
                _answer(told_at=lambda ids, chosen, roll: ~chosen),
                _answer(told_at=lambda ids, chosen, roll: _not_chosen(ids, chosen)),
            ],
        ),
        Mistake(
            "chosen_inverted",
            _answer(
                masked_at=_not_chosen, told_at=lambda ids, chosen, roll: _not_chosen(ids, chosen)
            ),
            "You hide what was not chosen and leave what was. chosen is True where a token is to be hidden.",
            also=[_answer(masked_at=_not_chosen)],
        ),
        Mistake(
            "turned_round",
            lambda *case: hide_tokens(*case)[::-1],
            "The two results have changed places. First what is read, then what is to be told.",
        ),
        Mistake(
            "one_alone",
            lambda *case: hide_tokens(*case)[0],
            "This is only one of the two results. Return what is read and what is to be told.",
            also=[lambda *case: hide_tokens(*case)[1]],
        ),
        Mistake(
            "marks_for_targets",
            _told_as_marks,
            "The second result marks the places that are asked for, or lists what stood there. It should "
            "have the shape of ids: at these places the id that stood there, elsewhere -100.",
            also=[_told_in_a_row],
        ),
    ],
    laws=[
        Law(
            "padding, BOS and EOS are read as they are",
            lambda out, ids, *rest: torch.equal(out[0][ids <= EOS], ids[ids <= EOS]),
        ),
        Law(
            "what was not chosen is read as it is",
            lambda out, ids, chosen, *rest: torch.equal(out[0][~chosen], ids[~chosen]),
        ),
        Law(
            "a target is -100 or the id that stood there",
            lambda out, ids, *rest: bool(((out[1] == IGNORE) | (out[1] == ids)).all()),
        ),
    ],
)
