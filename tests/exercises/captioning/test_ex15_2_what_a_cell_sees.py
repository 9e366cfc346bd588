import pytest
import torch
from torch import nn

from minattn.exercises.captioning.ex15_2_what_a_cell_sees import EXERCISE, seen

# Other right ways: width and place by formulas, sets of pixels, one layer less each time.


def seen_by_formulas(cell, layers, n_pixels):
    jump, width, first = 1, 1, 0
    for kernel, stride, padding in layers:
        width += (kernel - 1) * jump
        first -= padding * jump
        jump *= stride
    first += cell * jump
    return max(0, first), min(n_pixels, first + width), first + width / 2


def seen_by_sets(cell, layers, n_pixels):
    pixels = {cell}
    for kernel, stride, padding in layers[::-1]:
        pixels = {i * stride - padding + j for i in pixels for j in range(kernel)}
    real = [i for i in pixels if 0 <= i < n_pixels]
    return min(real), max(real) + 1, (min(pixels) + max(pixels) + 1) / 2


def seen_recursively(cell, layers, n_pixels):
    def borders(first, last, n):
        if n == 0:
            return first, last
        kernel, stride, padding = layers[n - 1]
        return borders(first * stride - padding, last * stride - padding + kernel - 1, n - 1)

    first, last = borders(cell, cell, len(layers))
    return [max(first, 0), min(last + 1, n_pixels), 0.5 * (first + last + 1)]


def seen_with_each_layer_clipped(cell, layers, n_pixels):
    sizes = [n_pixels]
    for kernel, stride, padding in layers:
        sizes.append((sizes[-1] + 2 * padding - kernel) // stride + 1)
    start, end = cell, cell + 1
    for (kernel, stride, padding), size in zip(layers[::-1], sizes[-2::-1], strict=True):
        start = max(start * stride - padding, 0)
        end = min((end - 1) * stride - padding + kernel, size)
    return start, end, seen(cell, layers, n_pixels)[2]


OTHER_WAYS = [
    seen_by_formulas,
    seen_by_sets,
    lambda *case: tuple(seen_recursively(*case)),
    seen_with_each_layer_clipped,
]


# Wrong ways, written as a learner writes them.


def seen_as_a_tile(cell, layers, n_pixels):
    stride = 1
    for layer in layers:
        stride *= layer[1]
    return cell * stride, min((cell + 1) * stride, n_pixels), (cell + 0.5) * stride


def seen_forwards(cell, layers, n_pixels):
    start, end = cell, cell + 1
    for kernel, stride, padding in layers:
        start = start * stride - padding
        end = (end - 1) * stride - padding + kernel
    return max(start, 0), min(end, n_pixels), (start + end) / 2


def seen_with_the_end_as_a_start(cell, layers, n_pixels):
    start, end = cell, cell + 1
    for kernel, stride, padding in reversed(layers):
        start, end = start * stride - padding, end * stride - padding + kernel
    return max(start, 0), min(end, n_pixels), (start + end) / 2


def seen_with_kernels_added(cell, layers, n_pixels):
    jump, width, first = 1, 1, 0
    for kernel, stride, padding in layers:
        width += kernel - 1
        first -= padding * jump
        jump *= stride
    first += cell * jump
    return max(0, first), min(n_pixels, first + width), first + width / 2


def seen_with_the_jump_too_early(cell, layers, n_pixels):
    jump, width, first = 1, 1, 0
    for kernel, stride, padding in layers:
        first -= padding * jump
        jump *= stride
        width += (kernel - 1) * jump
    first += cell * jump
    return max(0, first), min(n_pixels, first + width), first + width / 2


def seen_with_the_centre_after_clipping(cell, layers, n_pixels):
    start, end, _ = seen(cell, layers, n_pixels)
    return start, end, (start + end) / 2


NEAR_MISSES = [
    ("a_tile", seen_as_a_tile),
    ("from_the_first_layer", seen_forwards),
    ("kernels_added_whole", seen_with_the_end_as_a_start),
    ("strides_left_out", seen_with_kernels_added),
    ("strides_left_out", seen_with_the_jump_too_early),
    ("another_centre", seen_with_the_centre_after_clipping),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", EXERCISE.cases())
def test_the_gradient_reaches_the_same_pixels(case):
    cell, layers, n_pixels = case
    stack = nn.Sequential(*[nn.Conv1d(1, 1, *layer) for layer in layers]).double()
    for layer in stack:
        nn.init.constant_(layer.weight, 0.5)
    picture = torch.zeros(1, 1, n_pixels, dtype=torch.float64, requires_grad=True)
    out = stack(picture)
    assert cell < out.shape[-1]
    out[0, 0, cell].backward()
    reached = picture.grad[0, 0].nonzero().flatten().tolist()
    assert reached == list(range(*seen(*case)[:2]))


def test_some_cells_see_beyond_either_edge_and_some_do_not():
    def beyond(case):
        return seen(*case)[0] == 0, seen(*case)[1] == case[2]

    assert {beyond(case) for case in EXERCISE.cases()} == {
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    }
