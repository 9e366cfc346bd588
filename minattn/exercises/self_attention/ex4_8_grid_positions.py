"""Exercise 4.8: positions in a picture."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.exercises.self_attention.waves import interleave
from minattn.positions import sinusoidal


def grid_positions(height: int, width: int, d: int) -> Tensor:
    """Give every patch of a picture a vector for its row and one for its column."""
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d // 2), _half(columns, d // 2)], dim=-1)


def _cells(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the row and the column of every patch."""
    index = torch.arange(height * width)
    return index // width, index % width


def _half(place: Tensor, d: int) -> Tensor:
    return sinusoidal(int(place.max()) + 1, d)[place]


def _grid(
    places: Callable[[int, int], tuple[Tensor, Tensor]],
) -> Callable[[int, int, int], Tensor]:
    """Make an answer in which the patches have other rows and columns."""

    def answer(height: int, width: int, d: int) -> Tensor:
        rows, columns = places(height, width)
        return torch.cat([_half(rows, d // 2), _half(columns, d // 2)], dim=-1)

    return answer


def _column_major(height: int, width: int) -> tuple[Tensor, Tensor]:
    index = torch.arange(height * width)
    return index % height, index // height


def _divided_by_height(height: int, width: int) -> tuple[Tensor, Tensor]:
    index = torch.arange(height * width)
    return index // height, index % height


def _halves_of(height: int, width: int, d: int) -> tuple[Tensor, Tensor]:
    rows, columns = grid_positions(height, width, d).chunk(2, dim=1)
    return rows, columns


def _added(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return _half(rows, d) + _half(columns, d)


def _cut_from_wide(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d)[:, : d // 2], _half(columns, d)[:, d // 2 :]], dim=1)


def _cut_from_wide_twice(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d)[:, : d // 2], _half(columns, d)[:, : d // 2]], dim=1)


def _too_wide(height: int, width: int, d: int) -> Tensor:
    rows, columns = _cells(height, width)
    return torch.cat([_half(rows, d), _half(columns, d)], dim=1)


def _as_indices(height: int, width: int) -> tuple[Tensor, Tensor]:
    index = torch.arange(height * width)
    return index, index


EXERCISE = Exercise(
    number="4.8",
    title="Positions in a picture",
    solution=grid_positions,
    cases=lambda: [(2, 3, 4), (3, 5, 8), (5, 2, 12), (1, 4, 8), (4, 1, 8)],
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "flat_index",
            lambda h, w, d: sinusoidal(h * w, d),
            "You number the patches from 0 to height * width - 1 and take that for their position. Then the "
            "patch below is as far away as the width is large, and nothing says that it is a "
            "neighbour. A patch has two positions.",
            also=[_grid(_as_indices)],
        ),
        Mistake(
            "row_and_column_swapped",
            lambda h, w, d: torch.cat(_halves_of(h, w, d)[::-1], dim=1),
            "The column comes first and the row second. The first half of the features should be the "
            "row.",
        ),
        Mistake(
            "column_by_column",
            _grid(_column_major),
            "Your patches go down the first column, then down the second. The sequence is read like a "
            "text, row by row: the first width patches are all in row 0. Which of the two has to be "
            "repeated as a whole, and which element by element?",
        ),
        Mistake(
            "divided_by_height",
            _grid(_divided_by_height),
            "Your rows have as many patches as the picture is high. A row ends after width patches, so "
            "patch i is in row i // width and in column i % width.",
        ),
        Mistake(
            "added",
            _added,
            "You add the vectors of row and column. A sum does not tell row 1, column 2 from row 2, "
            "column 1. Put them side by side, each half as wide.",
            also=[lambda h, w, d: _halves_of(h, w, d)[0] + _halves_of(h, w, d)[1]],
        ),
        Mistake(
            "frequencies_of_d",
            _cut_from_wide_twice,
            "The frequencies are those for a width of d, and then half of them is cut off: the slow waves "
            "are missing. Each half is a whole sinusoidal vector of width d / 2, with all its "
            "wavelengths.",
            also=[_cut_from_wide],
        ),
        Mistake(
            "too_wide",
            _too_wide,
            "Row and column have d features each, so the result has 2d. They share the width: d / 2 for "
            "each.",
        ),
        Mistake(
            "interleaved",
            lambda h, w, d: interleave(*_halves_of(h, w, d)),
            "Features of the row and of the column take turns. All those of the row come first, then all "
            "those of the column: cat joins along an axis that is there, stack makes a new one.",
        ),
        Mistake(
            "not_one_sequence",
            lambda h, w, d: grid_positions(h, w, d).view(h, w, d),
            "The vectors are right, but still laid out as a picture, (height, width, d). The model wants "
            "one sequence of patches: make one axis of the first two.",
        ),
        Mistake(
            "both_as_a_whole",
            lambda h, w, d: torch.cat(
                [sinusoidal(h, d // 2).repeat(w, 1), sinusoidal(w, d // 2).repeat(h, 1)], dim=1
            ),
            "Row and column both count on from patch to patch, so you go along a diagonal. The row stays "
            "the same for a whole row of patches: repeat_interleave repeats each element, repeat the "
            "whole.",
        ),
        Mistake(
            "both_by_element",
            lambda h, w, d: torch.cat(
                [
                    sinusoidal(h, d // 2).repeat_interleave(w, 0),
                    sinusoidal(w, d // 2).repeat_interleave(h, 0),
                ],
                dim=1,
            ),
            "The column stays the same for several patches in a row, as the row does. From one patch to "
            "the next the column counts on: repeat repeats the whole, repeat_interleave each element.",
        ),
        Mistake(
            "from_one",
            lambda h, w, d: torch.cat([_half(i + 1, d // 2) for i in _cells(h, w)], dim=1),
            "Your first row and column have the number 1. Positions start at 0, as in exercise 4.2.",
        ),
        Mistake(
            "one_position_twice",
            lambda h, w, d: torch.cat([_halves_of(h, w, d)[0]] * 2, dim=1),
            "Both halves are the row, so all patches of a row look the same. The second half is the "
            "column.",
            also=[lambda h, w, d: torch.cat([_halves_of(h, w, d)[1]] * 2, dim=1)],
        ),
        Mistake(
            "lengths_do_not_meet",
            lambda h, w, d: torch.cat([sinusoidal(h, d // 2), sinusoidal(w, d // 2)], dim=1),
            "There are height vectors for the rows and width vectors for the columns, and they cannot be "
            "put side by side as they are. Every patch needs one of each: repeat them, or pick them by "
            "the row and the column of the patch.",
            also=[
                lambda h, w, d: torch.cat([sinusoidal(h, d // 2), sinusoidal(w, d // 2)], dim=-1),
                lambda h, w, d: torch.cat(
                    [sinusoidal(h, d // 2)[:, None], sinusoidal(w, d // 2)[None]], dim=-1
                ),
            ],
        ),
    ],
    laws=[
        Law(
            "the first half is the same for all patches of a row",
            lambda out, h, w, d: torch.allclose(
                out.view(h, w, d)[:, :, : d // 2], out.view(h, w, d)[:, :1, : d // 2], atol=1e-3
            ),
        ),
        Law(
            "the second half is the same for all patches of a column",
            lambda out, h, w, d: torch.allclose(
                out.view(h, w, d)[:, :, d // 2 :], out.view(h, w, d)[:1, :, d // 2 :], atol=1e-3
            ),
        ),
    ],
)
