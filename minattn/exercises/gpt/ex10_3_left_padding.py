"""Exercise 10.3: prompts of different lengths in one batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

Prompts = Sequence[Sequence[int]]
Padded = tuple[Tensor, Tensor, Tensor]


def left_padded(prompts: Prompts, pad: int) -> Padded:
    """Pad in front; return ids, which of them are real, and places that count from the first real one."""
    n = _longest(prompts)
    ids = torch.tensor([[pad] * (n - len(row)) + list(row) for row in prompts])
    mask = torch.tensor([[False] * (n - len(row)) + [True] * len(row) for row in prompts])
    return ids, mask, _places(mask)


def _longest(prompts: Prompts) -> int:
    return max(map(len, prompts))


def _places(mask: Tensor) -> Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def _turned(change: Callable[[Tensor, Tensor, Tensor], object]) -> Answer:
    """Make an answer that works out the right three tensors and returns something else."""
    return lambda prompts, pad: change(*left_padded(prompts, pad))


def _of(change: Callable[[Prompts], Prompts]) -> Answer:
    """Make an answer that pads other prompts."""
    return lambda prompts, pad: left_padded(change(prompts), pad)


def _positions(places: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer with other positions, which come from the mask."""
    return _turned(lambda ids, mask, positions: (ids, mask, places(mask)))


def _masked(other: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer with another mask."""
    return _turned(lambda ids, mask, positions: (ids, other(mask), positions))


def _columns(mask: Tensor) -> Tensor:
    return torch.arange(mask.shape[1]).expand(mask.shape).clone()


def _wide(prompts: Prompts, pad: int) -> Padded:
    ids, mask, positions = left_padded([*prompts, [0] * (_longest(prompts) + 1)], pad)
    return ids[:-1], mask[:-1], positions[:-1]


def _no_pad_of_zero(prompts: Prompts, pad: int) -> Padded:
    ids, _, _ = left_padded(prompts, pad)
    return ids, ids != 0, _places(ids != 0)


def _right_padded(prompts: Prompts, pad: int) -> Padded:
    ids, mask, _ = (x.flip(1) for x in left_padded([row[::-1] for row in prompts], pad))
    return ids, mask, _places(mask)


def _right(change: Callable[[Tensor, Tensor, Tensor], object]) -> Answer:
    """Make an answer from tensors that are padded at the end."""
    return lambda prompts, pad: change(*_right_padded(prompts, pad))


def _causal(mask: Tensor) -> Tensor:
    n = mask.shape[1]
    return mask[:, None, :] & torch.ones(n, n, dtype=torch.bool).tril()


def _shortest(prompts: Prompts) -> int:
    return min(map(len, prompts))


def _cases() -> list[Case]:
    return [
        ([[5, 7], [6, 3, 8, 4]], 0),
        ([[4, 0, 6], [0], [3, 7, 5, 2, 8], [6, 2]], 9),
        ([[8, 3, 4]], 0),
        ([[11, 5, 3, 7, 7, 12, 4], [9, 6, 10], [13, 8, 2, 5, 3]], 1),
    ]


EXERCISE = Exercise(
    number="10.3",
    title="Prompts of different lengths in one batch",
    solution=left_padded,
    cases=_cases,
    mistakes=[
        Mistake(
            "right_padded",
            _right_padded,
            "The padding stands at the end. Then the last column of a short prompt is padding, and what the model "
            "says there goes on with padding. In front, the last token of every row stands in the last column.",
            also=[
                _right(lambda ids, mask, positions: (ids, mask, _columns(mask))),
                _right(lambda ids, mask, positions: (ids, mask, positions * mask)),
            ],
        ),
        Mistake(
            "positions_count_padding",
            _positions(_columns),
            "The positions count the padding. So a prompt stands at other places if another one in its batch is "
            "longer, and it gets another answer. Its first real token has place 0.",
        ),
        Mistake(
            "positions_below_zero",
            _positions(lambda mask: _columns(mask) - (~mask).sum(1, keepdim=True)),
            "The real tokens have the right places, but the padding has places below 0. A table of places would "
            "count them from its end. Padding has place 0 here.",
            also=[_positions(lambda mask: mask.cumsum(1) - 1)],
        ),
        Mistake(
            "padding_at_another_place",
            _positions(lambda mask: _places(mask).masked_fill(~mask, 1)),
            "The real tokens have the right places, and the padding has another than 0. Nobody looks at it, so any "
            "place would do; here 0 is asked for.",
            also=[_positions(lambda mask: _places(mask).masked_fill(~mask, mask.shape[1] - 1))],
        ),
        Mistake(
            "positions_from_one",
            _positions(lambda mask: mask.cumsum(1)),
            "The positions begin with 1. cumsum counts the token itself; take 1 off, but not at the padding.",
            also=[_positions(lambda mask: mask.cumsum(1).clamp(min=1))],
        ),
        Mistake(
            "positions_at_the_left",
            _positions(lambda mask: _places(mask.flip(1)) * mask.flip(1)),
            "The positions are those of padding at the end: they do not stand over their tokens. Each row is to "
            "have 0 at its first real token.",
            also=[_positions(lambda mask: _places(mask.flip(1)))],
        ),
        Mistake(
            "positions_backwards",
            _positions(lambda mask: (mask.shape[1] - 1 - _columns(mask)) * mask),
            "The positions count backwards, from the last token. The first real token has place 0, and the last "
            "one the largest.",
            also=[_positions(lambda mask: mask.shape[1] - 1 - _columns(mask))],
        ),
        Mistake(
            "positions_go_on",
            lambda prompts, pad: (
                *left_padded(prompts, pad)[:2],
                _places(left_padded(prompts, pad)[1].flatten()[None]).view(len(prompts), -1),
            ),
            "The positions go on from one row to the next. Every row begins anew: cumsum along axis 1.",
            also=[_positions(lambda mask: (mask.cumsum(0) - 1).clamp(min=0))],
        ),
        Mistake(
            "one_row_of_positions",
            _turned(lambda ids, mask, positions: (ids, mask, _columns(mask)[0])),
            "All prompts share one row of positions. Each has its own padding, so each has its own places: the "
            "shape is (batch, longest).",
        ),
        Mistake(
            "mask_inverted",
            _masked(lambda mask: ~mask),
            "The mask is the wrong way round. In this book True marks what may be looked at: the real tokens.",
            also=[
                _turned(lambda ids, mask, positions: (ids, ~mask, _places(~mask))),
                _masked(lambda mask: (~mask).long()),
            ],
        ),
        Mistake(
            "mask_at_the_left",
            _masked(lambda mask: mask.flip(1)),
            "The mask is that of padding at the end: it marks the first columns. The real tokens are the last.",
            also=[
                lambda prompts, pad: (
                    left_padded(prompts, pad)[0],
                    *_right_padded(prompts, pad)[1:],
                ),
                _turned(lambda ids, mask, positions: (ids, mask.flip(1), _places(mask.flip(1)))),
            ],
        ),
        Mistake(
            "zero_taken_for_padding",
            _no_pad_of_zero,
            "You take 0 for the padding, in the mask or in the ids. Here pad may be another number, and 0 a token "
            "like any other.",
            also=[
                lambda prompts, pad: left_padded(prompts, 0),
                _turned(lambda ids, mask, positions: (ids, ids != 0, positions)),
            ],
        ),
        Mistake(
            "mask_of_numbers",
            _masked(lambda mask: mask.long()),
            "The mask is right, but made of numbers. A mask of this book has True and False: as numbers it would "
            "be added to the scores. Compare, or use .bool().",
            also=[_masked(lambda mask: mask.float())],
        ),
        Mistake(
            "mask_to_add",
            _masked(lambda mask: torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)),
            "This mask is one to be added to the scores, with 0 and minus infinity. True and False are asked for.",
        ),
        Mistake(
            "mask_of_pairs",
            _masked(_causal),
            "The mask has a row for every query. Asked for is only which tokens are real, (batch, longest); the "
            "causal mask is joined with it later.",
            also=[_masked(lambda mask: mask[:, None, None, :]), _masked(lambda m: m[:, None, :])],
        ),
        Mistake(
            "cut_to_the_shortest",
            _of(lambda prompts: [row[-_shortest(prompts) :] for row in prompts]),
            "The prompts are cut to the length of the shortest. What is cut off the model cannot know. Fill the "
            "short ones up instead. (zip ends with the shortest.)",
            also=[_of(lambda prompts: [row[: _shortest(prompts)] for row in prompts])],
        ),
        Mistake(
            "sorted_rows",
            _of(lambda prompts: sorted(prompts, key=len, reverse=True)),
            "The rows were sorted by length. Then the answers come in another order than the prompts. Leave the "
            "rows as they were; nothing here needs them sorted.",
            also=[_of(lambda prompts: sorted(prompts, key=len))],
        ),
        Mistake(
            "tokens_backwards",
            _of(lambda prompts: [row[::-1] for row in prompts]),
            "The tokens of every prompt stand in reverse. If you turn the rows round to pad them at the end, turn "
            "them before and after: once leaves them backwards.",
            also=[_right(lambda ids, mask, places: (ids.flip(1), mask.flip(1), places.flip(1)))],
        ),
        Mistake(
            "one_column_too_many",
            _wide,
            "There is a column too many in front: even the longest prompt has padding. The width is the length of "
            "the longest.",
        ),
        Mistake(
            "lists",
            _turned(lambda ids, mask, positions: (ids.tolist(), mask.tolist(), positions.tolist())),
            "The numbers are right, but they are lists. A model reads tensors: torch.tensor makes them.",
        ),
        Mistake(
            "other_order",
            _turned(lambda ids, mask, positions: (ids, positions, mask)),
            "The three tensors stand in another order: first the ids, then the mask, then the positions.",
            also=[
                _turned(lambda ids, mask, positions: (mask, ids, positions)),
                _turned(lambda ids, mask, positions: (positions, mask, ids)),
                _turned(lambda ids, mask, positions: (positions, ids, mask)),
                _turned(lambda ids, mask, positions: (mask, positions, ids)),
            ],
        ),
        Mistake(
            "not_all_three",
            _turned(lambda ids, mask, positions: ids),
            "Something is missing: three tensors are asked for, the ids, the mask and the positions.",
            also=[
                _turned(lambda ids, mask, positions: (ids, mask)),
                _turned(lambda ids, mask, positions: (ids, positions)),
            ],
        ),
    ],
    laws=[
        Law(
            "the last token of every prompt stands in the last column",
            lambda out, prompts, pad: out[0][:, -1].tolist() == [row[-1] for row in prompts],
        ),
        Law(
            "as many places are marked as there are tokens",
            lambda out, prompts, pad: out[1].sum(1).tolist() == list(map(len, prompts)),
        ),
        Law(
            "the largest position of a prompt is its length less 1",
            lambda out, prompts, pad: out[2].amax(1).tolist() == [len(row) - 1 for row in prompts],
        ),
    ],
)
