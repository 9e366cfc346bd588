"""Exercise 17.1: a row asks a row."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers

Fold = Callable[[Tensor], Tensor]
"""Makes sequences, (many, tokens, width), of pictures, (batch, channels, height, width)."""
Back = Callable[[Tensor, Sequence[int]], Tensor]
"""Makes pictures of sequences, given the shape that they had."""


def fetch_along_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return what each pixel of the left view fetches from the same row of the right view."""
    return _fetch(left, right).contiguous()


def _rows(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(0, 1)


def _from_rows(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    batch, channels, height, width = sizes
    return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def _columns(x: Tensor) -> Tensor:
    return x.permute(0, 3, 2, 1).flatten(0, 1)


def _from_columns(columns: Tensor, sizes: Sequence[int]) -> Tensor:
    batch, channels, height, width = sizes
    return columns.reshape(batch, width, height, channels).permute(0, 3, 2, 1)


def _across_pictures(x: Tensor) -> Tensor:
    """Make a sequence of each row, with the pixels of every picture in it."""
    return x.permute(2, 0, 3, 1).flatten(1, 2)


def _from_across(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    batch, channels, height, width = sizes
    return rows.reshape(height, batch, width, channels).permute(1, 3, 0, 2)


def _whole(x: Tensor) -> Tensor:
    return x.flatten(2).mT


def _from_whole(pixels: Tensor, sizes: Sequence[int]) -> Tensor:
    return pixels.mT.reshape(tuple(sizes))


def _all_pictures(x: Tensor) -> Tensor:
    return _rows(x).flatten(0, 1)[None]


def _at_one_place(x: Tensor) -> Tensor:
    """Make a sequence of what stands in one column of every row of every picture, as if the batch came second."""
    return _rows(x).transpose(0, 1)


def _from_one_place(tokens: Tensor, sizes: Sequence[int]) -> Tensor:
    return _from_rows(tokens.transpose(0, 1), sizes)


def _bare(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.reshape(batch * height, width, channels)


def _height_first(x: Tensor) -> Tensor:
    """Bring the height forward and leave the channels before the columns."""
    return _bare(x.transpose(1, 2).reshape(x.shape))


def _columns_taken_for_rows(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.permute(0, 3, 2, 1).reshape(batch * height, width, channels)


def _rows_as_tokens(x: Tensor) -> Tensor:
    return x.flatten(0, 1)


def _bare_back(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    return rows.reshape(tuple(sizes))


def _height_back(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    batch, channels, height, width = sizes
    return rows.reshape(batch, height, channels, width).transpose(1, 2)


def _columns_back(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    batch, channels, height, width = sizes
    return rows.reshape(batch, width, height, channels).permute(0, 3, 2, 1)


def _as_rows(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    return rows


def _channels_last(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    batch, channels, height, width = sizes
    return rows.reshape(batch, height, width, channels)


def _channels_second(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    return _channels_last(rows, sizes).transpose(1, 3)


def _fetch(
    left: Tensor,
    right: Tensor,
    *,
    fold: Fold = _rows,
    back: Back = _from_rows,
    axis: int = -1,
    scaled: bool = True,
    asks: str = "left",
    gives: str = "right",
) -> Tensor:
    """Let sequences of one view ask those of the other.

    Args:
        left: features of the view that asks.
        right: features of the one that is asked.
        fold: what is a sequence.
        back: how sequences become pictures.
        axis: of (sequences, queries, keys), the one that the weights sum to 1 along.
        scaled: whether the scores are divided by the root of the width.
        asks: which view the queries are of; the keys are of the other.
        gives: which view the values are of.
    """
    view = {"left": fold(left), "right": fold(right)}
    query, key = view[asks], view["right" if asks == "left" else "left"]
    scores = query @ key.mT / (query.shape[-1] ** 0.5 if scaled else 1)
    return back(scores.softmax(axis) @ view[gives], left.shape)


def _written(**ways: Sequence[object]) -> list[Answer]:
    """List every combination of some ways."""
    return [
        partial(_fetch, **dict(zip(ways, chosen, strict=True)))  # type: ignore[arg-type]
        for chosen in product(*ways.values())
    ]


def _case(seed: int, *sizes: int) -> Case:
    return numbers(seed, *sizes), numbers(seed + 1, *sizes)


def _cases() -> list[Case]:
    return [_case(1710, 1, 2, 3, 4), _case(1720, 2, 3, 5, 7), _case(1730, 3, 2, 5, 5)]


def _within_its_row(out: Tensor, left: Tensor, right: Tensor) -> bool:
    low, high = right.amin(-1, keepdim=True), right.amax(-1, keepdim=True)
    return bool(((out >= low - 1e-5) & (out <= high + 1e-5)).all())


_columns_mistake, *_more_columns = _written(fold=[_columns], back=[_from_columns], axis=[-1, 1])
_mixed, *_more_mixed = [
    *_written(fold=[_bare], back=[_bare_back, _from_rows], scaled=[True, False]),
    *_written(fold=[_height_first], back=[_height_back, _from_rows, _bare_back]),
    *_written(fold=[_columns_taken_for_rows], back=[_from_rows, _columns_back, _bare_back]),
    *_written(fold=[_rows_as_tokens], back=[_bare_back], scaled=[True, False]),
]
_beyond, *_more_beyond = [
    *_written(fold=[_whole], back=[_from_whole], axis=[-1, 1]),
    *_written(fold=[_all_pictures], back=[_from_rows]),
    *_written(fold=[_across_pictures], back=[_from_across]),
    *_written(fold=[_at_one_place], back=[_from_one_place]),
]
_not_folded, *_more_not_folded = _written(
    fold=[_rows], back=[_as_rows, _channels_last, _bare_back, _channels_second]
)

EXERCISE = Exercise(
    number="17.1",
    title="A row asks a row",
    solution=fetch_along_rows,
    cases=_cases,
    mistakes=[
        Mistake(
            "not_folded_back",
            _not_folded,
            "The rows are right, and they are not folded back. The result has the axes of a picture: (batch, channels, "
            "height, width). Split batch and height first, then bring the channels forward with permute; a reshape "
            "alone moves no axis.",
            also=_more_not_folded,
        ),
        Mistake(
            "along_columns",
            _columns_mistake,
            "Columns ask columns. Two eyes stand side by side, so a thing is moved along its row: height goes into "
            "the batch, and the width is what a query looks along.",
            also=_more_columns,
        ),
        Mistake(
            "axes_mixed",
            _mixed,
            "The vectors are no longer those of pixels: numbers of several places stand in one. A token is a pixel, "
            "and its vector the channels. reshape and view do not move axes: permute first, so that the channels "
            "come last, and then fold.",
            also=_more_mixed,
        ),
        Mistake(
            "beyond_the_row",
            _beyond,
            "A pixel asks beyond its row: other rows, or other pictures. What is matched stands in the same row "
            "of the same pair. Batch and height together are the batch, and one row is one sequence.",
            also=_more_beyond,
        ),
        Mistake(
            "softmax_over_queries",
            partial(_fetch, axis=1),
            "The weights of a query do not sum to 1. Your softmax runs over the pixels of the left view, so these "
            "compete for each pixel of the right one. Take it along the keys, the last axis of the scores.",
            also=[partial(_fetch, axis=0)],
        ),
        Mistake(
            "values_of_the_left",
            partial(_fetch, gives="left"),
            "The values are the left view's own pixels. It asks in order to get what it does not have: keys and "
            "values come from the right view, and the query alone from the left.",
            also=[partial(_fetch, asks="right", gives="right")],
        ),
        Mistake(
            "eyes_exchanged",
            partial(_fetch, asks="right", gives="left"),
            "The right view asks, and the left one answers. Who asks gets an answer for each of its pixels: here "
            "that is the left view, which is to become sharp.",
            also=[partial(_fetch, asks="right", gives="left", axis=1)],
        ),
        Mistake(
            "not_scaled",
            partial(_fetch, scaled=False),
            "The scores are not divided by the square root of the number of channels, or by another number. The "
            "vectors have one number for each channel, whatever the width of the picture.",
            also=[
                lambda left, right: _fetch(
                    left * left.shape[1] ** 0.5 / left.shape[3] ** 0.5, right
                ),
                lambda left, right: _fetch(left / left.shape[1] ** 0.5, right),
            ],
        ),
    ],
    laws=[
        Law(
            "what is fetched is a mean of pixels of the same row of the right view",
            _within_its_row,
        ),
    ],
)
