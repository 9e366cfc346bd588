import numpy as np
import pytest
import torch

from minattn.exercises.image_to_image.ex18_1_where_from import EXERCISE, source_patches
from minattn.exercises.judging import judge

# Other right ways: places followed back, NumPy, swaps and flips, coordinates around the centre, a picture of numbers.


def sources_by_places(n, turns, mirrored):
    found = []
    for i in range(n):
        for j in range(n):
            row, column = [(i, j), (n - 1 - j, i), (n - 1 - i, n - 1 - j), (j, n - 1 - i)][turns]
            found.append(n * row + (n - 1 - column if mirrored else column))
    return torch.tensor(found)


def sources_numpy(n, turns, mirrored):
    grid = np.arange(n**2).reshape(n, n)
    if mirrored:
        grid = np.fliplr(grid)
    return np.rot90(grid, k=-turns).ravel()


def sources_by_swaps(n, turns, mirrored):
    """A quarter turn to the right swaps rows and columns, and mirrors then."""
    grid = torch.arange(n * n).reshape(n, n)
    if mirrored:
        grid = torch.fliplr(grid)
    for _ in range(turns):
        grid = grid.T.flip(1)
    return grid.reshape(-1)


def sources_around_the_centre(n, turns, mirrored):
    at = torch.arange(n) - (n - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    for _ in range(turns):
        y, x = -x, y
    if mirrored:
        x = -x
    return ((y + (n - 1) / 2) * n + x + (n - 1) / 2).round().long().flatten()


def sources_by_sending(n, turns, mirrored):
    """Follow each patch of the picture to where it goes, and write its number there."""
    found = torch.zeros(n * n, dtype=torch.int64)
    for number in range(n * n):
        row, column = divmod(number, n)
        if mirrored:
            column = n - 1 - column
        for _ in range(turns):
            row, column = column, n - 1 - row
        found[row * n + column] = number
    return found


OTHER_WAYS = [
    sources_by_places,
    sources_numpy,
    sources_by_swaps,
    sources_around_the_centre,
    sources_by_sending,
]


# Wrong ways, written as a learner writes them.


def sources_by_rot90(n, turns, mirrored):
    grid = torch.arange(n * n).view(n, n)
    if mirrored:
        grid = grid.flip(1)
    return torch.rot90(grid, turns).flatten()


def sources_of_where_it_goes(n, turns, mirrored):
    found = []
    for row in range(n):
        for column in range(n):
            r, c = row, n - 1 - column if mirrored else column
            for _ in range(turns):
                r, c = c, n - 1 - r
            found.append(r * n + c)
    return torch.tensor(found)


def sources_undone_in_the_order_told(n, turns, mirrored):
    """Undo the mirror first, and the turns then."""
    found = []
    for row in range(n):
        for column in range(n):
            r, c = row, n - 1 - column if mirrored else column
            for _ in range(turns):
                r, c = n - 1 - c, r
            found.append(r * n + c)
    return torch.tensor(found)


def sources_by_flipud(n, turns, mirrored):
    grid = np.arange(n * n).reshape(n, n)
    return np.rot90(np.flipud(grid) if mirrored else grid, -turns).flatten()


def sources_by_x_and_y(n, turns, mirrored):
    x, y = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    if mirrored:
        x = n - 1 - x
    grid = torch.rot90((y * n + x).T, -turns)
    return grid.T.flatten()


def sources_with_n_minus_i(n, turns, mirrored):
    found = []
    for i in range(n):
        for j in range(n):
            row, column = [(i, j), (n - j, i), (n - i, n - j), (j, n - i)][turns]
            found.append(row * n + (n - column if mirrored else column))
    return torch.tensor(found)


def sources_around_a_patch(n, turns, mirrored):
    found, middle = [], n // 2
    for row in range(n):
        for column in range(n):
            y, x = row - middle, column - middle
            for _ in range(turns):
                y, x = -x, y
            if mirrored:
                x = -x
            found.append((y + middle) * n + x + middle)
    return torch.tensor(found)


def sources_turned_once(n, turns, mirrored):
    grid = torch.arange(n * n).view(n, n)
    if mirrored:
        grid = grid.flip(1)
    if turns:
        grid = grid.T.flip(1)
    return grid.flatten()


NEAR_MISSES = [
    ("turned_left", sources_by_rot90),
    ("where_it_goes", sources_of_where_it_goes),
    ("mirrored_last", sources_undone_in_the_order_told),
    ("mirrored_top_and_bottom", sources_by_flipud),
    ("columns_first", sources_by_x_and_y),
    ("one_too_far", sources_with_n_minus_i),
    ("centre_rounded", sources_around_a_patch),
    ("one_turn", sources_turned_once),
]


# What is said, and what the checker is tried on.


def test_a_picture_of_patches_is_turned_by_it():
    for n, turns, mirrored in EXERCISE.cases():
        picture = np.random.default_rng(18).normal(size=(n, n))
        answer = np.rot90(picture[:, ::-1] if mirrored else picture, turns, axes=(1, 0))
        found = picture.flatten()[source_patches(n, turns, mirrored)]
        np.testing.assert_array_equal(found, answer.flatten())


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_eight_commands_are_tried_on_even_grids_and_odd_ones(n):
    commands = [tuple(source_patches(*case).tolist()) for case in EXERCISE.cases() if case[0] == n]
    assert len(set(commands)) == len(commands) == 8


def test_what_is_mirrored_is_its_own_inverse():
    for case in EXERCISE.cases():
        found = source_patches(*case)
        quarter = case[1] % 2 == 1 and not case[2]
        assert torch.equal(found.argsort(), found) != quarter


def test_the_numbers_of_the_task():
    assert source_patches(3, 1, False).tolist() == [6, 3, 0, 7, 4, 1, 8, 5, 2]
    assert source_patches(3, 1, True).tolist() == [8, 5, 2, 7, 4, 1, 6, 3, 0]


def test_a_number_that_is_no_patch_is_told_so():
    verdict = judge(EXERCISE, lambda *case: source_patches(*case) + 1)
    assert verdict.kind == "wrong" and "from 0 to n * n - 1" in verdict.message
