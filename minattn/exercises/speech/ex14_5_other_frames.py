"""Exercise 14.5: find the bug: padding normalised in."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.exercises.speech.normaliser_toys import (
    AMOUNT,
    BATCH,
    BY_LENGTH,
    CONTENT,
    DEVIATION,
    FAINT,
    FIRST,
    LAST,
    NEXT,
    ONE_BAND,
    ROUNDED,
    ZEROED,
    normaliser_toys,
)

Normalise = Callable[[Tensor, Tensor], Tensor]
Look = Callable[[Tensor, int], Tensor]


def other_frames_matter(normalise: Normalise, n_bands: int) -> bool:
    """Tell whether the result of an utterance depends on more than its own frames."""
    return _moves(normalise, n_bands)


def _cases() -> list[Case]:
    return [(toy, toy.n_bands) for toy in normaliser_toys()]


def _real(out: Tensor, length: int) -> Tensor:
    return out[:length]


def _moves(
    normalise: Normalise,
    n_bands: int,
    *,
    lengths: Sequence[int] = (12, 7, 9),
    row: int = 1,
    n_frames: int = 0,
    padded_alone: bool = False,
    look: Look = _real,
    closeness: float = 1e-5,
) -> bool:
    """Normalise an utterance alone and among others, and tell whether what is looked at moves.

    Args:
        normalise: the black box.
        n_bands: how many bands it takes.
        lengths: of the utterances of the batch.
        row: where in the batch the utterance stands.
        n_frames: how many frames the batch has at least.
        padded_alone: whether it has as much padding when it is alone.
        look: what is looked at, from the result of a row and the length of the utterance.
        closeness: how close is close.
    """
    length, n_frames = lengths[row], max(n_frames, *lengths)
    own = torch.randn(length, n_bands)
    single = torch.randn(1, n_frames if padded_alone else length, n_bands)
    batch = 10 * torch.randn(len(lengths), n_frames, n_bands)
    for others, i in ((single, 0), (batch, row)):
        others[i, :length] = own
    before = look(normalise(single, torch.tensor([length]))[0], length)
    after = look(normalise(batch, torch.tensor(lengths))[row], length)
    if before.shape != after.shape:
        return True
    return not torch.allclose(before, after, rtol=closeness, atol=closeness)


def _padded_with_zeros(normalise: Normalise, n_bands: int, *, row: int = 1) -> bool:
    """Put the utterance among louder ones, with zeros behind each."""
    lengths = [12, 9, 12]
    lengths[row] = 7
    own, batch = torch.randn(7, n_bands), 10 * torch.randn(3, 12, n_bands)
    batch[row, :7] = own
    batch = batch.where((torch.arange(12) < torch.tensor(lengths)[:, None])[..., None], 0.0)
    before = normalise(own[None], torch.tensor([7]))[0]
    return not torch.allclose(before, normalise(batch, torch.tensor(lengths))[row, :7], atol=1e-5)


def _padded_in_length(normalise: Normalise, n_bands: int) -> bool:
    """Put zeros behind the utterance, in a batch of one."""
    own = torch.randn(1, 7, n_bands)
    longer = torch.cat([own, torch.zeros(1, 5, n_bands)], 1)
    before, after = (normalise(x, torch.tensor([7])) for x in (own, longer))
    return not torch.allclose(before, after[:, :7], atol=1e-5)


def _alone_with_its_padding(normalise: Normalise, n_bands: int) -> bool:
    """Take a row out of a batch together with its padding."""
    batch, lengths = torch.randn(2, 12, n_bands), torch.tensor([7, 12])
    before, after = normalise(batch[:1], lengths[:1]), normalise(batch, lengths)
    return not torch.allclose(before[0, :7], after[0, :7], atol=1e-5)


def _right_but_for(*names: str) -> Callable[..., bool]:
    """Make an answer that is wrong about the toys with these names: how it gets there may vary."""
    return lambda normalise, n_bands: normalise.looks_further != (normalise.name in names)


EXERCISE = Exercise(
    number="14.5",
    title="Padding normalised in",
    solution=other_frames_matter,
    cases=_cases,
    mistakes=[
        Mistake(
            "always_false",
            lambda normalise, n_bands: False,
            "Your function says False to everything, even where the padding is averaged in. Are the two inputs "
            "different at all? A batch that was written into without clone() is compared with itself.",
        ),
        Mistake(
            "always_true",
            lambda normalise, n_bands: True,
            "Your function says True to everything, even where nothing is done. The frames of the utterance must "
            "be the same both times, and only what comes out at these frames is compared.",
        ),
        Mistake(
            "inverted",
            lambda normalise, n_bands: not normalise.looks_further,
            "Every answer is the wrong way round. True should mean that something else matters: what does it mean "
            "if two results are close?",
        ),
        Mistake(
            "only_padding_tried",
            partial(_moves, lengths=(7,), row=0, n_frames=12),
            "You change the padding and leave the utterance without company. Some of them look at the other "
            "utterances of the batch: put it among others, at least once.",
            also=[
                _padded_in_length,
                _right_but_for(BATCH, FIRST, LAST, BY_LENGTH),
                _right_but_for(BATCH, FIRST, LAST, BY_LENGTH, AMOUNT),
            ],
        ),
        Mistake(
            "only_company_tried",
            partial(_moves, lengths=(7, 7, 7)),
            "The utterance has no padding in your batches, or the same each time. It needs others that are "
            "longer: then something stands behind its end.",
            also=[partial(_moves, lengths=(5, 7, 6)), _alone_with_its_padding],
        ),
        Mistake(
            "zeros_behind",
            _padded_with_zeros,
            "You pad with zeros only. A sum does not notice them, and a convolution takes the end of the batch "
            "for zeros too. Put large numbers behind the end: whoever does not read them does not care.",
            also=[
                partial(_padded_with_zeros, row=0),
                partial(_padded_with_zeros, row=2),
                _right_but_for(CONTENT),
            ],
        ),
        Mistake(
            "amount_of_padding_kept",
            partial(_moves, padded_alone=True),
            "There is as much padding both times, with other numbers. In one of them it matters only how much "
            "there is. Compare with the utterance alone, without any.",
            also=[_right_but_for(AMOUNT)],
        ),
        Mistake(
            "one_place_in_the_batch",
            partial(_moves, lengths=(7, 12, 9), row=0),
            "The utterance stands at one end of the batch. Some of them take their numbers from the first "
            "utterance, or from the last, and there that is its own. Put it between two others.",
            also=[
                partial(_moves, lengths=(12, 9, 7), row=2),
                partial(_moves, lengths=(12, 7), row=1),
                partial(_moves, lengths=(7, 12), row=0),
                _right_but_for(FIRST, BY_LENGTH),
                _right_but_for(BY_LENGTH),
            ],
        ),
        Mistake(
            "padding_compared",
            partial(_moves, padded_alone=True, look=lambda out, n: out),
            "You compare what comes out at padded frames too. That moves with the padding, and nobody reads it: "
            "the mask hides it. Keep the frames up to the length of the utterance.",
            also=[lambda normalise, n_bands: normalise.looks_further or normalise.name != ZEROED],
        ),
        Mistake(
            "not_all_compared",
            partial(_moves, look=lambda out, n: out[:n].sum(0)),
            "You compare sums or means, or one frame or one band. A mean may be right and the deviation wrong, "
            "one reads a single frame behind the end, and one is wrong in one band. Compare each number.",
            also=[
                partial(_moves, look=lambda out, n: out[:n].mean()),
                partial(_moves, look=lambda out, n: out[0]),
                partial(_moves, look=lambda out, n: out[:n, 0]),
                *(_right_but_for(name) for name in (DEVIATION, NEXT, ONE_BAND)),
            ],
        ),
        Mistake(
            "too_rough_or_too_fine",
            partial(_moves, closeness=2e-2),
            "It is a matter of how close is close. One of them moves by a few thousandths, which is a bug, and "
            "another by the last digit, which is rounding. torch.allclose with atol=1e-5 lies between.",
            also=[
                _right_but_for(FAINT),
                partial(_moves, closeness=0.0),
                _right_but_for(ROUNDED),
            ],
        ),
    ],
)
