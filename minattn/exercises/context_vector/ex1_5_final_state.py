"""Exercise 1.5: the final state of a padded batch."""

import torch
from torch import Tensor

from minattn.exercises.context_vector.rows import per_row
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def last_states(states: Tensor, mask: Tensor) -> Tensor:
    """Return the state at the last token of every row, wherever padding stands."""
    return per_row(states, _last(mask))


def _last(mask: Tensor) -> Tensor:
    """Return the position of the last token of every row."""
    return (mask * torch.arange(mask.shape[1])).amax(1)


def _first(mask: Tensor) -> Tensor:
    return mask.int().argmax(1)


def _end_of_first_run(mask: Tensor) -> Tensor:
    """Return the position before the first padding that has a token before it."""
    ends = mask & ~torch.cat([mask[:, 1:], torch.zeros(len(mask), 1, dtype=torch.bool)], 1)
    return _first(ends)


def _pattern(*rows: str) -> Tensor:
    """Make a mask from rows such as "110", in which 1 is a token."""
    return torch.tensor([[sign == "1" for sign in row] for row in rows])


def _state_cases() -> list[Case]:
    return [
        (numbers(60, 3, 5, 1), _pattern("11000", "00111", "01010")),
        (numbers(61, 3, 7, 2), _pattern("1111100", "1000000", "1110000")),
        (numbers(62, 2, 7, 3), _pattern("0001111", "0000010")),
        (numbers(63, 5, 3, 2), _pattern("101", "111", "010", "001", "110")),
    ]


EXERCISE = Exercise(
    number="1.5",
    title="The final state of a padded batch",
    solution=last_states,
    cases=_state_cases,
    mistakes=[
        Mistake(
            "tokens_counted",
            lambda s, m: per_row(s, m.sum(1) - 1),
            "You count the tokens of a row. The number of tokens tells where the last one is only if all "
            "padding stands behind them. Here it may stand in front or between: which positions have a "
            "token, and which of them is the largest?",
            also=[lambda s, m: per_row(s, m.sum(1)), lambda s, m: per_row(s, m.sum(1) - 2)],
        ),
        Mistake(
            "last_column",
            lambda s, m: s[:, -1],
            "This takes states[:, -1], the last column. If padding stands behind the tokens of a row, that "
            "is padding: the number there depends on what the sentence happened to be batched with.",
        ),
        Mistake(
            "first",
            lambda s, m: per_row(s, _first(m)),
            "This is the state at the first token. An argmax over a mask gives its first True, since no "
            "later one is larger. What could you look at, so that the last True is the largest?",
        ),
        Mistake(
            "first_column",
            lambda s, m: s[:, 0],
            "This is the first column of states, whatever the mask says. You want the last token of each "
            "row.",
        ),
        Mistake(
            "not_turned_back",
            lambda s, m: per_row(s, _first(m.flip(1))),
            "The mask was turned round, and the first True found in that. The position counts from the end "
            "then. Either turn the states round too, or count the position from the front again.",
        ),
        Mistake(
            "one_turned_back_too_far",
            lambda s, m: per_row(s, m.shape[1] - _first(m.flip(1))),
            "One too far: position 0 of the turned mask is the last of the old one, and that is "
            "seq - 1, not seq. A row whose last position is a token has no position behind it.",
            also=[
                lambda s, m: per_row(s, (m.shape[1] - _first(m.flip(1))).clamp(max=m.shape[1] - 1))
            ],
        ),
        Mistake(
            "one_early",
            lambda s, m: per_row(s, _last(m) - 1),
            "One too early: this is the state before the last token is read, or one of padding. The mask "
            "already has the position that you want; there is nothing to take off.",
            also=[lambda s, m: per_row(s, (_last(m) - 1).clamp(min=0))],
        ),
        Mistake(
            "end_of_first_run",
            lambda s, m: per_row(s, _end_of_first_run(m)),
            "This stops at the first padding behind a token. There may be padding between the tokens, and "
            "more tokens behind it. Look for the last True, and not for the first False.",
        ),
        Mistake(
            "first_padding",
            lambda s, m: per_row(s, _first(~m) - 1),
            "You look for the first padding, and take the position before it. That is right only if "
            "padding stands behind the tokens. Look for the last True, and not for the first False.",
        ),
        Mistake(
            "all_pairs",
            lambda s, m: s[:, _last(m)],
            "The result is (batch, batch, d): every row has been read at the last position of every "
            "other row. A colon beside a list of positions means all rows, each at all of these "
            "positions. What has to stand in its place, so that row i meets position i?",
            also=[lambda s, m: s[:, m.sum(1) - 1]],
        ),
        Mistake(
            "longest_for_all",
            lambda s, m: s[:, int(_last(m).max())],
            "This takes one position for the whole batch, the last at which any row has a token. Other "
            "rows end earlier. Find a position for each row.",
            also=[lambda s, m: s[:, int(m.sum(1).max()) - 1]],
        ),
        Mistake(
            "masked_last_column",
            lambda s, m: (s * m[..., None])[:, -1],
            "The padding is set to zero, and then the last column is taken all the same: rows that end "
            "earlier get a vector of zeros. Setting something to zero does not move the final state.",
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
            "largest_number",
            lambda s, m: s.masked_fill(~m[..., None], -torch.inf).amax(1),
            "This takes the largest number over the real tokens, for every place of the vector by itself. "
            "The last token is wanted: the largest position, not the largest state.",
        ),
    ],
    laws=[
        Law(
            "every row of the result should be one of the states of that row",
            lambda out, s, m: bool((s == out[:, None]).all(-1).any(-1).all()),
        ),
    ],
)
