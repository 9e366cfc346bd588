"""Exercise 1.8: from right to left."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.context_vector.rows import per_row, tokens_up_to
from minattn.exercises.exercise import Exercise, Law, Mistake, numbers

Step = Callable[[Tensor, Tensor], Tensor]


def backward_summary(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    """Return the state after every row has been read from its last token to its first."""
    for t in reversed(range(x.shape[1])):
        h = torch.where(mask[:, t, None], step(x[:, t], h), h)
    return h


def _backwards(step: Step, x: Tensor, h: Tensor, last: int = 0) -> Tensor:
    for t in range(x.shape[1] - 1, last - 1, -1):
        h = step(x[:, t], h)
    return h


def _forwards(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in range(x.shape[1]):
        h = torch.where(mask[:, t, None], step(x[:, t], h), h)
    return h


def _zeroed(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in reversed(range(x.shape[1])):
        h = step(x[:, t], h) * mask[:, t, None]
    return h


def _misses_first(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in range(x.shape[1] - 1, 0, -1):
        h = torch.where(mask[:, t, None], step(x[:, t], h), h)
    return h


def _state_before_padding(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in reversed(range(x.shape[1])):
        h = torch.where(mask[:, t, None], h, step(x[:, t], h))
    return h


def toy_step(x: Tensor, h: Tensor) -> Tensor:
    """Take a recurrent step with fixed weights; as strict about its shapes as a layer of torch."""
    if x.shape[:-1] != h.shape[:-1] or x.ndim > 2:
        raise ValueError(
            f"a step takes (batch, d_in) and (batch, d_hidden), got {(*x.shape,)} and {(*h.shape,)}"
        )
    d_in, d_hidden = x.shape[-1], h.shape[-1]
    w_x, w_h = numbers(70, d_in, d_hidden), numbers(71, d_hidden, d_hidden)
    return torch.tanh(0.5 * x @ w_x + 0.5 * h @ w_h + 0.25)


def _show_backward(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> str:
    lengths = mask.sum(1).tolist()
    return f"x of shape {tuple(x.shape)}, rows of {lengths} tokens, h of shape {tuple(h.shape)}"


EXERCISE = Exercise(
    number="1.8",
    title="From right to left",
    solution=backward_summary,
    cases=lambda: [
        (toy_step, numbers(72, 2, 3, 1), tokens_up_to([1, 3], 3), numbers(73, 2, 2)),
        (toy_step, numbers(74, 3, 5, 2), tokens_up_to([4, 1, 3], 5), numbers(75, 3, 3)),
        (toy_step, numbers(76, 5, 7, 3), tokens_up_to([7, 2, 5, 3, 1], 7), numbers(77, 5, 2)),
        (toy_step, numbers(78, 1, 4, 2), tokens_up_to([2], 4), numbers(79, 1, 3)),
    ],
    mistakes=[
        Mistake(
            "reads_padding",
            lambda step, x, mask, h: _backwards(step, x, h),
            "A shorter row starts by reading its padding: from the right, padding comes first. Its state "
            "is no longer the start state when its last real token is read. The result must not depend "
            "on what stands in the padding.",
            also=[
                lambda step, x, mask, h: _backwards(step, x[:, : int(mask.sum(1).max())], h),
            ],
        ),
        Mistake(
            "padding_zeroed",
            lambda step, x, mask, h: _backwards(step, x * mask[..., None], h),
            "The padding is read as zeros, but it is still read. A step with input zero changes the "
            "state all the same. What has to stay as it is at a padded position?",
        ),
        Mistake(
            "left_to_right",
            _forwards,
            "This reads from left to right, with the padding left out rightly. Which token is read first "
            "by an encoder that comes from the right?",
        ),
        Mistake(
            "left_to_right_with_padding",
            lambda step, x, mask, h: _backwards(step, x.flip(1), h),
            "This reads from left to right, and padding as well. (x.flip(1) turns x round, and a loop from "
            "the end turns it round once more.) Which token comes first from the right, and what has to "
            "stay as it is at a padded position?",
        ),
        Mistake(
            "start_state_lost",
            _zeroed,
            "The state is set to zero at padded positions. Rows with padding then start from zeros and "
            "not from h, so that a row gives another result in a wider batch.",
        ),
        Mistake(
            "started_from_zeros",
            lambda step, x, mask, h: backward_summary(step, x, mask, torch.zeros_like(h)),
            "The rows start from zeros. Here a start state is given, h, and it is not zero.",
        ),
        Mistake(
            "mask_not_turned",
            lambda step, x, mask, h: _forwards(step, x.flip(1), mask, h),
            "x was turned round, but the mask was not: now it keeps some padding and leaves out some "
            "words. Turn both, or neither.",
        ),
        Mistake(
            "last_position",
            lambda step, x, mask, h: step(per_row(x, mask.sum(1) - 1), h),
            "This is the state that a reader from the right has at the last token of the row, where it "
            "has read one token only. Reading from the right, where is everything read?",
        ),
        Mistake(
            "first_token_missed",
            _misses_first,
            "The token at position 0 is never read. Look at where your range ends.",
        ),
        Mistake(
            "mask_inverted",
            _state_before_padding,
            "The mask is taken the wrong way round: padding is read and tokens are skipped. True "
            "means a real token.",
        ),
    ],
    laws=[
        Law(
            "a row with one token takes one step from h",
            lambda out, step, x, mask, h: torch.allclose(
                out[mask.sum(1) == 1], step(x[:, 0], h)[mask.sum(1) == 1], atol=1e-4
            ),
        ),
    ],
    show_case=_show_backward,
)
