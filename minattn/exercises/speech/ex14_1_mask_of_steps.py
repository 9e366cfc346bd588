"""Exercise 14.1: the mask after two strided convolutions."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

Strides = Sequence[int]


def step_mask(lengths: Tensor, n_frames: int, strides: Strides) -> Tensor:
    """Return which steps are real: those whose centre lies on a real frame."""
    return _counted(lengths, n_frames, strides)


def _up(length: Tensor, stride: int) -> Tensor:
    return -(-length // stride)


def _down(length: Tensor, stride: int) -> Tensor:
    return length // stride


def _one_more(length: Tensor, stride: int) -> Tensor:
    return length // stride + 1


def _all(strides: Strides) -> Strides:
    return strides


def _counted(
    lengths: Tensor,
    n_frames: int,
    strides: Strides,
    *,
    real: Callable[[Tensor, int], Tensor] = _up,
    width: Callable[[Tensor, int], Tensor] = _up,
    by: Callable[[Strides], Strides] = _all,
    width_by: Callable[[Strides], Strides] = _all,
    end: int = 0,
) -> Tensor:
    """Count the real steps and all steps, each in some way.

    Args:
        lengths: how many frames each utterance has.
        n_frames: how many frames the batch has.
        strides: of the two convolutions.
        real: how many steps of so many are left by a stride, of those that are real.
        width: the same of all steps.
        by: the strides that the real ones are counted with.
        width_by: those that all are counted with.
        end: how many steps behind the last real one count as well.
    """
    n_steps = torch.tensor(n_frames)
    for stride in by(strides):
        lengths = real(lengths, stride)
    for stride in width_by(strides):
        n_steps = width(n_steps, stride)
    return torch.arange(int(n_steps)) < lengths[:, None] + end


def _from_frames(each: Callable[[Tensor, int], Tensor]) -> Answer:
    """Make an answer that makes the mask of steps from that of frames, one convolution after the other."""

    def answer(lengths: Tensor, n_frames: int, strides: Strides) -> Tensor:
        mask = torch.arange(n_frames) < lengths[:, None]
        for stride in strides:
            mask = each(mask, stride)
        return mask

    return answer


def _any_in_window(mask: Tensor, stride: int) -> Tensor:
    return F.max_pool1d(mask.float(), 3, stride, padding=1) > 0


def _no_padding_in_window(mask: Tensor, stride: int) -> Tensor:
    return F.max_pool1d((~mask).float(), 3, stride, padding=1) < 1


def _full_window(mask: Tensor, stride: int) -> Tensor:
    return F.conv1d(mask[:, None].float(), torch.ones(1, 1, 3), stride=stride, padding=1)[:, 0] > 2


def _cases() -> list[Case]:
    return [
        (torch.tensor([7, 4]), 7, (2, 2)),
        (torch.tensor([5, 13, 1, 8, 9]), 13, (2, 2)),
        (torch.tensor([29, 17, 6, 12, 20]), 29, (3, 2)),
        (torch.tensor([19, 3, 10, 7]), 31, (2, 3)),  # padded beyond the longest
        (torch.tensor([40, 22, 37]), 41, (2, 1)),
    ]


EXERCISE = Exercise(
    number="14.1",
    title="The mask after two strides",
    solution=step_mask,
    cases=_cases,
    mistakes=[
        Mistake(
            "all_true",
            lambda lengths, *rest: torch.ones_like(step_mask(lengths, *rest)),
            "Every step is real, whatever the lengths say. Short utterances are padded, and the decoder would "
            "attend to what the convolutions make of padding.",
            also=[lambda lengths, n_frames, s: torch.ones(len(lengths), n_frames).bool()],
        ),
        Mistake(
            "over_frames",
            partial(_counted, by=lambda s: (), width_by=lambda s: ()),
            "This is the mask of the frames. The decoder attends to steps, and there are fewer: two strides of 2 "
            "leave about a quarter. Lengths and width both shrink.",
            also=[partial(_counted, by=lambda s: ())],
        ),
        Mistake(
            "inverted",
            lambda *case: ~step_mask(*case),
            "True and False have changed places. In this book True means that a step may be attended to: it "
            "is real.",
        ),
        Mistake(
            "one_stride",
            partial(_counted, by=lambda s: s[:1], width_by=lambda s: s[:1]),
            "One stride is left out, used twice or added to the other. There are two convolutions: the "
            "second one reads the steps of the first, and its own stride shortens them again.",
            also=[
                partial(_counted, by=lambda s: s[:1]),
                partial(_counted, by=lambda s: s[1:]),
                partial(_counted, by=lambda s: s[1:], width_by=lambda s: s[1:]),
                partial(_counted, by=lambda s: (s[0], s[0]), width_by=lambda s: (s[0], s[0])),
                partial(_counted, by=lambda s: (s[1], s[1]), width_by=lambda s: (s[1], s[1])),
                partial(_counted, by=lambda s: (2, 2), width_by=lambda s: (2, 2)),
                partial(_counted, by=lambda s: (sum(s),), width_by=lambda s: (sum(s),)),
            ],
        ),
        Mistake(
            "rounded_down",
            partial(_counted, real=_down),
            "The last real step is lost. Step j stands on frame j * stride, and the first one on frame 0: 7 frames "
            "with stride 2 have 0, 2, 4 and 6. So round up, or begin the slice at 0.",
            also=[
                partial(_counted, real=_down, width=_down),
                partial(_counted, width=_down),
                _from_frames(lambda mask, stride: mask[:, 1::stride]),
                _from_frames(lambda mask, stride: mask[:, stride // 2 :: stride]),
            ],
        ),
        Mistake(
            "by_the_window",
            _from_frames(_any_in_window),
            "You ask about all the frames that a step reads, or take length // stride + 1. Then a step that barely "
            "touches the sound counts, or one at its edge does not. The rule goes by the frame at the centre.",
            also=[_from_frames(_no_padding_in_window), _from_frames(_full_window)],
        ),
        Mistake(
            "one_too_many",
            partial(_counted, end=1),
            "There is a step too many. Of 8 frames with stride 2, the steps on 0, 2, 4 and 6 are real, and the one "
            "on 8 is padding. Use < and not <=; for length // stride + 1, take 1 from the length first.",
            also=[
                partial(_counted, real=_one_more, width=_one_more),
                partial(_counted, width=_one_more),
            ],
        ),
    ],
    laws=[
        Law("the first step of every utterance is real", lambda out, *case: bool(out[:, 0].all())),
        Law(
            "behind a padded step all are padded",
            lambda out, *case: bool((out[:, 1:] <= out[:, :-1]).all()),
        ),
    ],
)
