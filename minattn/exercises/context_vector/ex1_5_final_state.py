"""Exercise 1.5: the final state of a padded batch."""

import torch
from torch import Tensor

from minattn.exercises.context_vector.rows import per_row, tokens_up_to
from minattn.exercises.exercise import Exercise, Law, Mistake, numbers


def last_states(states: Tensor, mask: Tensor) -> Tensor:
    """Return the state at the last real token of every row."""
    return states[torch.arange(len(states)), mask.sum(1) - 1]


EXERCISE = Exercise(
    number="1.5",
    title="The final state of a padded batch",
    solution=last_states,
    cases=lambda: [
        (numbers(60, 2, 5, 1), tokens_up_to([2, 4], 5)),
        (numbers(61, 3, 7, 2), tokens_up_to([5, 1, 3], 7)),
        (numbers(62, 5, 3, 2), tokens_up_to([3, 1, 2, 3, 2], 3)),
    ],
    mistakes=[
        Mistake(
            "last_column",
            lambda s, m: s[:, -1],
            "This takes states[:, -1], the last column. In a shorter row that is padding: the number "
            "there depends on what the sentence happened to be batched with. Count the real tokens of "
            "each row.",
        ),
        Mistake(
            "one_late",
            lambda s, m: per_row(s, m.sum(1)),
            "One too far: a row with n tokens has them at the positions 0 to n - 1. Yours is the first "
            "position of padding, and a row without padding has none.",
            also=[lambda s, m: per_row(s, m.sum(1).clamp(max=s.shape[1] - 1))],
        ),
        Mistake(
            "one_early",
            lambda s, m: per_row(s, m.sum(1) - 2),
            "One too early: this state has not read the last token yet. EOS is a token too, and it has "
            "already been counted.",
            also=[lambda s, m: per_row(s, (m.sum(1) - 2).clamp(min=0))],
        ),
        Mistake(
            "all_pairs",
            lambda s, m: s[:, m.sum(1) - 1],
            "The result is (batch, batch, d): every row has been read at the last position of every "
            "other row. A colon beside a list of positions means all rows, each at all of these "
            "positions. What has to stand in its place, so that row i meets position i?",
        ),
        Mistake(
            "rows_by_length",
            lambda s, m: s[m.sum(1) - 1],
            "The lengths are used to pick rows of the batch instead of positions. The first axis of "
            "states is the batch.",
        ),
        Mistake(
            "longest_for_all",
            lambda s, m: s[:, int(m.sum(1).max()) - 1],
            "This takes one position for the whole batch, the last of its longest row. Shorter rows end "
            "earlier. Find a position for each row.",
        ),
        Mistake(
            "mean",
            lambda s, m: (s * m[..., None]).sum(1) / m.sum(1, keepdim=True),
            "This is the mean over the real tokens. It leaves padding out as it should, but the question "
            "is what the encoder knows after the last token.",
        ),
        Mistake(
            "mean_of_all",
            lambda s, m: s.mean(1),
            "This is the mean over all positions, padding too. The question is what the encoder knows "
            "after the last real token: that is one of its states.",
        ),
        Mistake(
            "mean_with_zeros",
            lambda s, m: (s * m[..., None]).mean(1),
            "The padding is set to zero and counted all the same in a mean over all positions. The question "
            "is what the encoder knows after the last real token: that is one of its states.",
        ),
        Mistake(
            "masked_last_column",
            lambda s, m: (s * m[..., None])[:, -1],
            "The padding is set to zero, and then the last column is taken all the same: shorter rows get "
            "a vector of zeros. Setting something to zero does not move the final state.",
        ),
        Mistake(
            "first",
            lambda s, m: s[:, 0],
            "This is the state after the first token. An argmax over a mask gives the first True, and so "
            "0 in every row; you want the last one.",
        ),
    ],
    laws=[
        Law(
            "every row of the result should be one of the states of that row",
            lambda out, s, m: bool((s == out[:, None]).all(-1).any(-1).all()),
        ),
    ],
)
