import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.judging import judge
from minattn.exercises.object_queries.ex16_4_padded_pictures import EXERCISE, key_mask

# Other right ways: pixels and slices, pooling, loops, NumPy, numbers of rows and columns.


def mask_sliced(sizes, height, width, stride):
    out = []
    for h, w in sizes.tolist():
        pixels = torch.zeros(height, width, dtype=torch.bool)
        pixels[:h, :w] = True
        out.append(pixels[::stride, ::stride].reshape(1, -1))
    return torch.stack(out)


def mask_pooled(sizes, height, width, stride):
    y, x = torch.arange(height)[:, None], torch.arange(width)
    pixels = (y < sizes[:, 0, None, None]) & (x < sizes[:, 1, None, None])
    return F.max_pool2d(pixels.float(), stride).flatten(1).unsqueeze(1).bool()


def mask_by_loops(sizes, height, width, stride):
    pictures = []
    for h, w in sizes.tolist():
        cells = []
        for top in range(0, height, stride):
            for left in range(0, width, stride):
                cells.append(top < h and left < w)
        pictures.append([cells])
    return torch.tensor(pictures)


def mask_numpy(sizes, height, width, stride):
    h, w = np.ceil(sizes.numpy() / stride).astype(int).T
    rows, columns = np.divmod(np.arange(height // stride * (width // stride)), width // stride)
    return ((rows < h[:, None]) & (columns < w[:, None]))[:, None, :]


def mask_by_zeros(sizes, height, width, stride):
    mask = torch.zeros(len(sizes), height // stride, width // stride, dtype=torch.bool)
    for i, (h, w) in enumerate(sizes.tolist()):
        mask[i, : math.ceil(h / stride), : math.ceil(w / stride)] = True
    return mask.view(len(sizes), 1, -1)


OTHER_WAYS = [mask_sliced, mask_pooled, mask_by_loops, mask_numpy, mask_by_zeros]


# Wrong ways, written as a learner writes them.


def mask_of_every_pixel(sizes, height, width, stride):
    pixels = torch.zeros(len(sizes), height, width, dtype=torch.bool)
    for i, (h, w) in enumerate(sizes.tolist()):
        pixels[i, :h, :w] = True
    return pixels.flatten(1).unsqueeze(1)


def mask_of_padding(sizes, height, width, stride):
    mask = torch.ones(len(sizes), height // stride, width // stride, dtype=torch.bool)
    for i, (h, w) in enumerate(sizes.tolist()):
        mask[i, : math.ceil(h / stride), : math.ceil(w / stride)] = False
    return mask.flatten(1)[:, None]


def mask_without_queries(sizes, height, width, stride):
    return mask_by_zeros(sizes, height, width, stride).squeeze(1)


def mask_with_width_first(sizes, height, width, stride):
    return mask_by_zeros(sizes[:, [1, 0]], height, width, stride)


def mask_by_columns(sizes, height, width, stride):
    mask = mask_by_zeros(sizes, height, width, stride)
    return mask.view(-1, height // stride, width // stride).transpose(1, 2).flatten(1)[:, None]


def mask_as_for_texts(sizes, height, width, stride):
    rows = torch.ceil(sizes / stride)
    lengths = rows[:, 0] * rows[:, 1]
    n_cells = (height // stride) * (width // stride)
    return torch.arange(n_cells)[None, None] < lengths[:, None, None]


def mask_of_whole_cells(sizes, height, width, stride):
    mask = torch.zeros(len(sizes), height // stride, width // stride, dtype=torch.bool)
    for i, (h, w) in enumerate((sizes // stride).tolist()):
        mask[i, :h, :w] = True
    return mask.flatten(1)[:, None]


def mask_up_to_the_end(sizes, height, width, stride):
    top, left = torch.arange(0, height, stride), torch.arange(0, width, stride)
    rows = top[:, None] <= sizes[:, 0, None, None]
    return (rows & (left <= sizes[:, 1, None, None])).flatten(1)[:, None]


NEAR_MISSES = [
    ("of_pixels", mask_of_every_pixel),
    ("inverted", mask_of_padding),
    ("no_axis_for_queries", mask_without_queries),
    ("height_for_width", mask_with_width_first),
    ("columns_first", mask_by_columns),
    ("counted_from_the_first", mask_as_for_texts),
    ("cells_in_part_lost", mask_of_whole_cells),
    ("one_too_many", mask_up_to_the_end),
]


# What is said, and what the checker is tried on.


def test_the_cells_are_those_of_a_stem_that_sees_a_real_pixel():
    """Mark the real pixels, and let a stem of ones tell which cells see one."""
    for sizes, height, width, stride in EXERCISE.cases():
        stem = nn.Conv2d(1, 1, stride, stride, bias=False)
        nn.init.ones_(stem.weight)
        pixels = torch.zeros(len(sizes), 1, height, width)
        for i, (h, w) in enumerate(sizes.tolist()):
            pixels[i, :, :h, :w] = 1
        seen = stem(pixels).flatten(2) > 0.5
        assert torch.equal(seen, key_mask(sizes, height, width, stride))


def test_pictures_are_whole_multiples_and_not_and_never_square():
    rests = {
        int(n) % stride == 0 for sizes, *_, stride in EXERCISE.cases() for n in sizes.flatten()
    }
    assert rests == {True, False}
    assert all(height != width for _, height, width, _ in EXERCISE.cases())
    assert all(
        height % stride == width % stride == 0 for _, height, width, stride in EXERCISE.cases()
    )


def test_attention_in_a_batch_is_that_of_the_picture_alone():
    sizes, height, width, stride = EXERCISE.cases()[1]
    mask = key_mask(sizes, height, width, stride)
    query, cells = torch.randn(5, 3), torch.randn(len(sizes), mask.shape[-1], 3)
    scores = (query @ cells.mT).masked_fill(~mask, -torch.inf)
    alone = (query @ cells[1][mask[1, 0]].T).softmax(-1)
    torch.testing.assert_close(scores.softmax(-1)[1][:, mask[1, 0]], alone)


def test_the_numbers_of_the_task():
    mask = key_mask(torch.tensor([[8, 5], [3, 12]]), 8, 12, 4)
    assert mask.int().tolist() == [[[1, 1, 0, 1, 1, 0]], [[1, 1, 1, 0, 0, 0]]]


def test_numbers_for_truth_values_are_told_so():
    verdict = judge(EXERCISE, lambda *case: key_mask(*case).float())
    assert verdict.kind == "wrong" and "True and False" in verdict.message
