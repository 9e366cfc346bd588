"""Exercise 18.1: where a patch comes from."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

OtherEnd = Callable[[int, int], int]
"""Gives for a row or a column, of so many, the one that is as far from the other end."""


def source_patches(n: int, turns: int, mirrored: bool) -> Tensor:
    """Return for each patch of the answer the number of the patch that it comes from."""
    grid = torch.arange(n * n).view(n, n)
    return _turned_right(_across(grid) if mirrored else grid, turns).flatten()


def _turned_right(grid: Tensor, turns: int) -> Tensor:
    return torch.rot90(grid, -turns)


def _across(grid: Tensor) -> Tensor:
    return grid.flip(1)


def _top_and_bottom(n: int, turns: int, mirrored: bool) -> Tensor:
    grid = torch.arange(n * n).view(n, n)
    return _turned_right(grid.flip(0) if mirrored else grid, turns).flatten()


def _top_and_bottom_last(n: int, turns: int, mirrored: bool) -> Tensor:
    grid = _turned_right(torch.arange(n * n).view(n, n), turns)
    return (grid.flip(0) if mirrored else grid).flatten()


def _mirrored_last(n: int, turns: int, mirrored: bool) -> Tensor:
    grid = _turned_right(torch.arange(n * n).view(n, n), turns)
    return (_across(grid) if mirrored else grid).flatten()


def _columns_read_first(n: int, turns: int, mirrored: bool) -> Tensor:
    """Read the answer column by column."""
    return source_patches(n, turns, mirrored).view(n, n).T.flatten()


def _columns_counted_first(n: int, turns: int, mirrored: bool) -> Tensor:
    """Number the patches of the picture column by column."""
    found = source_patches(n, turns, mirrored)
    return found % n * n + found // n


def _columns_first_twice(n: int, turns: int, mirrored: bool) -> Tensor:
    found = _columns_read_first(n, turns, mirrored)
    return found % n * n + found // n


def _counted_back(i: int, n: int) -> int:
    return n - 1 - i


def _one_further(i: int, n: int) -> int:
    return n - i


def _by_places(turn_end: OtherEnd, mirror_end: OtherEnd) -> Answer:
    """Make an answer that follows each place back: first the turns, then the mirror."""

    def answer(n: int, turns: int, mirrored: bool) -> Tensor:
        found = []
        for row, column in product(range(n), range(n)):
            for _ in range(turns):
                row, column = turn_end(column, n), row
            if mirrored:
                column = mirror_end(column, n)
            found.append(row * n + column)
        return torch.tensor(found)

    return answer


def _twice(end: OtherEnd) -> Answer:
    return _by_places(end, end)


def _case_of_each_command(n: int) -> list[Case]:
    return [(n, turns, mirrored) for mirrored in (False, True) for turns in range(4)]


def _cases() -> list[Case]:
    return [case for n in (2, 3, 4, 5) for case in _case_of_each_command(n)]


EXERCISE = Exercise(
    number="18.1",
    title="Where a patch comes from",
    solution=source_patches,
    cases=_cases,
    mistakes=[
        Mistake(
            "where_it_goes",
            lambda *case: source_patches(*case).argsort(),
            "This is the inverse: it says where each patch of the picture goes. The patch of the answer asks, so "
            "say where it comes from. The two differ in a quarter turn only. (A turn to the left, mirrored last, "
            "comes to the same.)",
        ),
        Mistake(
            "turned_left",
            lambda n, turns, mirrored: source_patches(n, -turns, mirrored),
            "You turn to the left. After a quarter turn to the right, the upper left corner shows what was in the "
            "lower left one. (torch.rot90 and np.rot90 turn to the left; a negative number turns to the right.)",
        ),
        Mistake(
            "mirrored_last",
            _mirrored_last,
            "You turn first and mirror then. After a quarter turn, left and right are what top and bottom were "
            "before, so the order matters: mirror first. If you follow a place back, undo the last step first.",
        ),
        Mistake(
            "mirrored_top_and_bottom",
            _top_and_bottom,
            "You exchange top and bottom. To mirror left and right means that the rows stay and each is read from "
            "its other end: the columns are flipped, axis 1 of (rows, columns).",
            also=[_top_and_bottom_last],
        ),
        Mistake(
            "columns_first",
            _columns_read_first,
            "Rows and columns have changed places somewhere. Reading order goes along the first row, then the "
            "second: number = row * n + column, for the picture and for the answer.",
            also=[_columns_counted_first, _columns_first_twice],
        ),
        Mistake(
            "one_too_far",
            _twice(_one_further),
            "You count one too far at the border. Rows and columns are 0 to n - 1, so the one across from 0 is "
            "n - 1, not n: n - 1 - i. (In Python, index -1 is the last; -0 is the first.)",
            also=[
                _by_places(_one_further, _counted_back),
                _by_places(_counted_back, _one_further),
                _twice(lambda i, n: -i % n),
                _by_places(lambda i, n: -i % n, _counted_back),
                _by_places(_counted_back, lambda i, n: -i % n),
                _twice(lambda i, n: -i),
                _twice(lambda i, n: n - 2 - i),
            ],
        ),
        Mistake(
            "centre_rounded",
            _twice(lambda i, n: 2 * (n // 2) - i),
            "This is right for odd n only, or for even n only. The centre that you turn around is rounded. Of 3 "
            "columns it is 1, and of 4 it is 1.5, which is none of them: (n - 1) / 2. Or count from the other "
            "end, n - 1 - i.",
            also=[
                _by_places(lambda i, n: 2 * (n // 2) - i, _counted_back),
                _by_places(_counted_back, lambda i, n: 2 * (n // 2) - i),
                _twice(lambda i, n: 2 * (n // 2) - 1 - i),
                _twice(lambda i, n: 2 * ((n - 1) // 2) - i),
            ],
        ),
        Mistake(
            "one_turn",
            lambda n, turns, mirrored: source_patches(n, min(turns, 1), mirrored),
            "More than one quarter turn is not carried out. `turns` is 0, 1, 2 or 3: a half turn is 2 of "
            "them, and 3 to the right are one to the left.",
            also=[lambda n, turns, mirrored: source_patches(n, turns % 2, mirrored)],
        ),
    ],
    laws=[
        Law(
            "each number is that of a patch, from 0 to n * n - 1",
            lambda out, n, *command: 0 <= int(out.min()) <= int(out.max()) < n * n,
        ),
        Law(
            "each patch of the picture is in the answer once",
            lambda out, n, *command: sorted(out.tolist()) == list(range(n * n)),
        ),
    ],
)
