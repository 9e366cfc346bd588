import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.image_to_image.ex18_1_where_from import source_patches
from minattn.exercises.image_to_image.ex18_2_back_into_a_picture import EXERCISE, picture_of
from minattn.exercises.judging import judge

# Other right ways: loops over patches, cat, NumPy, torch's fold, the numbers within a patch as in exercise 18.1.


def picture_by_loops(patches, source, n_columns, turns, mirrored):
    side = patches.shape[1]
    picture = torch.zeros(len(source) // n_columns * side, n_columns * side)
    for i, number in enumerate(source.tolist()):
        patch = patches[number]
        if mirrored:
            patch = torch.fliplr(patch)
        for _ in range(turns):
            patch = patch.T.flip(1)
        top, left = i // n_columns * side, i % n_columns * side
        picture[top : top + side, left : left + side] = patch
    return picture


def picture_by_cat(patches, source, n_columns, turns, mirrored):
    found = patches[source]
    if mirrored:
        found = found.flip(2)
    found = torch.rot90(found, k=turns, dims=(2, 1))
    rows = [torch.cat(list(row), dim=1) for row in found.split(n_columns)]
    return torch.cat(rows)


def picture_numpy(patches, source, n_columns, turns, mirrored):
    found = patches.numpy()[source.numpy()]
    if mirrored:
        found = found[:, :, ::-1]
    found = np.rot90(found, -turns, axes=(1, 2))
    return np.block([list(found[i : i + n_columns]) for i in range(0, len(found), n_columns)])


def picture_by_fold(patches, source, n_columns, turns, mirrored):
    side = patches.shape[-1]
    found = patches[source].flatten(1)[:, source_patches(side, turns, mirrored)]
    size = len(source) // n_columns * side, n_columns * side
    return F.fold(found.T[None], size, kernel_size=side, stride=side)[0, 0]


def picture_by_a_matrix(patches, source, n_columns, turns, mirrored):
    """What is inside moves by one matrix for all patches; attention moves them by another one."""
    n, side, _ = patches.shape
    attention = F.one_hot(source, n).float()
    within = F.one_hot(source_patches(side, turns, mirrored), side**2).float()
    found = attention @ patches.reshape(n, -1) @ within.T
    grid = found.view(n // n_columns, n_columns, side, side).permute(0, 2, 1, 3)
    return grid.reshape(n // n_columns * side, -1)


OTHER_WAYS = [
    picture_by_loops,
    picture_by_cat,
    picture_numpy,
    picture_by_fold,
    picture_by_a_matrix,
]


# Wrong ways, written as a learner writes them.


def picture_of_patches_as_they_were(patches, source, n_columns, turns, mirrored):
    rows = patches[source].split(n_columns)
    return torch.cat([torch.cat(list(row), 1) for row in rows])


def picture_by_rot90(patches, source, n_columns, turns, mirrored):
    found = patches[source]
    found = torch.rot90(found.flip(2) if mirrored else found, turns, (1, 2))
    rows = [torch.cat(list(row), 1) for row in found.split(n_columns)]
    return torch.cat(rows)


def picture_mirrored_last(patches, source, n_columns, turns, mirrored):
    found = torch.rot90(patches[source], -turns, (1, 2))
    rows = [
        torch.cat(list(row), 1) for row in (found.flip(2) if mirrored else found).split(n_columns)
    ]
    return torch.cat(rows)


def picture_without_source(patches, source, n_columns, turns, mirrored):
    return picture_by_cat(patches, torch.arange(len(source)), n_columns, turns, mirrored)


def picture_of_what_was_sent(patches, source, n_columns, turns, mirrored):
    sent = torch.zeros_like(patches)
    for i in range(len(source)):
        sent[source[i]] = patches[i]
    return picture_without_source(sent, source, n_columns, turns, mirrored)


def picture_by_view(patches, source, n_columns, turns, mirrored):
    found = patches[source].flip(2) if mirrored else patches[source]
    found = torch.rot90(found, -turns, (1, 2)).contiguous()
    side = patches.shape[1]
    return found.view(-1, n_columns * side)[: len(source) // n_columns * side]


def picture_in_columns(patches, source, n_columns, turns, mirrored):
    found = patches[source].flip(2) if mirrored else patches[source]
    found = torch.rot90(found, -turns, (1, 2))
    n_rows = len(source) // n_columns
    columns = [torch.cat(list(column), 0) for column in found.split(n_rows)]
    return torch.cat(columns, 1)


def picture_turned_afterwards(patches, source, n_columns, turns, mirrored):
    whole = picture_of_patches_as_they_were(patches, source, n_columns, turns, mirrored)
    return torch.rot90(whole.flip(1) if mirrored else whole, -turns)


NEAR_MISSES = [
    ("not_turned_inside", picture_of_patches_as_they_were),
    ("turned_left_inside", picture_by_rot90),
    ("mirrored_otherwise", picture_mirrored_last),
    ("not_moved", picture_without_source),
    ("sent_not_fetched", picture_of_what_was_sent),
    ("bare_view", picture_by_view),
    ("column_by_column", picture_in_columns),
    ("turned_as_a_whole", picture_turned_afterwards),
]


# What is said, and what the checker is tried on.


def test_where_the_sources_are_right_it_is_the_picture_turned():
    for n, side, turns, mirrored in [(2, 3, 1, True), (3, 2, 3, False), (5, 2, 2, True)]:
        picture = torch.randn(n * side, n * side)
        patches = picture.view(n, side, n, side).transpose(1, 2).reshape(-1, side, side)
        found = picture_of(patches, source_patches(n, turns, mirrored), n, turns, mirrored)
        turned = torch.rot90(picture.flip(1) if mirrored else picture, -turns)
        assert torch.equal(found, turned)


def test_grids_are_no_squares_and_a_patch_may_be_asked_for_twice():
    cases = EXERCISE.cases()
    assert all(len(source) != n_columns**2 for _, source, n_columns, *_ in cases)
    assert len({command for *_, turns, mirrored in cases for command in [(turns, mirrored)]}) == 8
    twice = [len(source.unique()) < len(source) for _, source, *_ in cases]
    assert any(twice) and not twice[0]


def test_the_numbers_of_the_task():
    patches = torch.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    found = picture_of(patches, torch.tensor([1, 0]), 2, 1, False)
    assert found.tolist() == [[7, 5, 3, 1], [8, 6, 4, 2]]


def test_another_patch_in_the_corner_is_told():
    def last_first(patches, source, *rest):
        return picture_of(patches, source.roll(1), *rest)

    verdict = judge(EXERCISE, last_first)
    assert verdict.kind == "wrong" and "source[0]" in verdict.message
