import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.captioning.ex15_1_patches import EXERCISE, patches

# Other right ways: loops, torch's own unfolding, NumPy, a convolution that copies.


def filled(pictures, size):
    _, height, width, _ = pictures.shape
    return F.pad(pictures, (0, 0, 0, -width % size, 0, -height % size))


def patches_by_loops(pictures, size):
    tokens = []
    for picture in filled(pictures, size):
        row = []
        for top in range(0, len(picture), size):
            for left in range(0, picture.shape[1], size):
                row.append(picture[top : top + size, left : left + size].flatten())
        tokens.append(torch.stack(row))
    return torch.stack(tokens)


def patches_unfolded(pictures, size):
    x = filled(pictures, size).unfold(1, size, size).unfold(2, size, size)
    return x.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(1, 2)


def patches_by_f_unfold(pictures, size):
    x = F.unfold(filled(pictures, size).permute(0, 3, 1, 2), size, stride=size)
    return x.unflatten(1, (3, size * size)).permute(0, 3, 2, 1).flatten(2)


def patches_split(pictures, size):
    rows = filled(pictures, size).split(size, 1)
    return torch.stack([p.flatten(1) for row in rows for p in row.split(size, 2)], 1)


def patches_numpy(pictures, size):
    x = pictures.numpy()
    x = np.pad(x, [(0, 0), (0, -x.shape[1] % size), (0, -x.shape[2] % size), (0, 0)])
    x = x.reshape(len(x), x.shape[1] // size, size, -1, size, 3).swapaxes(2, 3)
    return x.reshape(len(x), -1, 3 * size**2)


OTHER_WAYS = [
    patches_by_loops,
    patches_unfolded,
    patches_by_f_unfold,
    patches_split,
    patches_numpy,
]


# Wrong ways, written as a learner writes them.


def patches_viewed(pictures, size):
    return filled(pictures, size).view(len(pictures), -1, size * size * 3)


def patches_f_unfold_as_it_is(pictures, size):
    x = filled(pictures, size).permute(0, 3, 1, 2)
    return F.unfold(x, size, stride=size).transpose(1, 2)


def patches_with_the_rest_left_out(pictures, size):
    x = pictures.unfold(1, size, size).unfold(2, size, size)
    return x.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(1, 2)


def patches_by_columns(pictures, size):
    columns = filled(pictures, size).split(size, 2)
    return torch.stack([p.flatten(1) for column in columns for p in column.split(size, 1)], 1)


def patches_unfolded_without_the_channel_last(pictures, size):
    x = filled(pictures, size).unfold(1, size, size).unfold(2, size, size)
    return x.flatten(3).flatten(1, 2)


def patches_in_the_middle(pictures, size):
    _, height, width, _ = pictures.shape
    down, right = -height % size, -width % size
    x = F.pad(pictures, (0, 0, right // 2, right - right // 2, down // 2, down - down // 2))
    return patches(x, size)


NEAR_MISSES = [
    ("plain_reshape", patches_viewed),
    ("channels_outside", patches_f_unfold_as_it_is),
    ("channels_outside", patches_unfolded_without_the_channel_last),
    ("rest_lost", patches_with_the_rest_left_out),
    ("by_columns", patches_by_columns),
    ("filled_elsewhere", patches_in_the_middle),
]


# What is said, and what the checker is tried on.


def test_the_pictures_are_found_again():
    for pictures, size in EXERCISE.cases():
        batch, height, width, _ = pictures.shape
        rows, columns = -(-height // size), -(-width // size)
        x = patches(pictures, size).unflatten(1, (rows, columns)).unflatten(-1, (size, size, 3))
        x = x.transpose(2, 3).reshape(batch, rows * size, columns * size, 3)
        assert torch.equal(x[:, :height, :width], pictures)
        assert not x[:, height:].any() and not x[:, :, width:].any()


def test_no_picture_is_square_and_some_sizes_do_not_divide():
    shapes = [(*pictures.shape[1:3], size) for pictures, size in EXERCISE.cases()]
    assert all(height != width for height, width, _ in shapes)
    rests = {(height % size > 0, width % size > 0) for height, width, size in shapes}
    assert rests == {(False, False), (True, True), (False, True), (True, False)}
