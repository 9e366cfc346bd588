import numpy as np
import torch

from minattn.positions import sinusoidal

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def grid_loop(height, width, d):
    rows, columns = sinusoidal(height, d // 2), sinusoidal(width, d // 2)
    patches = [torch.cat([rows[i], columns[j]]) for i in range(height) for j in range(width)]
    return torch.stack(patches)


def grid_repeated(height, width, d):
    rows = sinusoidal(height, d // 2).repeat_interleave(width, dim=0)
    return torch.hstack([rows, sinusoidal(width, d // 2).repeat(height, 1)])


def grid_numpy(height, width, d):
    i, j = np.divmod(np.arange(height * width), width)
    frequency = 10000.0 ** (-np.arange(0, d // 2, 2) / (d // 2))
    out = np.empty((height * width, d))
    for start, place in ((0, i), (d // 2, j)):
        out[:, start : start + d // 2 : 2] = np.sin(place[:, None] * frequency)
        out[:, start + 1 : start + d // 2 : 2] = np.cos(place[:, None] * frequency)
    return out


def grid_meshed(height, width, d):
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    table = sinusoidal(max(height, width), d // 2)
    return table[places].flatten(1)


OTHER_WAYS = [grid_loop, grid_repeated, grid_numpy, grid_meshed]


# Wrong ways, written as a learner writes them.


def grid_of(rows, columns, join=lambda parts: torch.cat(parts, dim=1)):
    def answer(height, width, d):
        index, d = torch.arange(height * width), d // 2
        table = sinusoidal(height * width + 1, d)
        return join([table[f(index, height, width)] for f in (rows, columns)])

    return answer


def row(i, height, width):
    return i // width


def column(i, height, width):
    return i % width


def grid_side_by_side(height, width, d):
    return torch.cat([sinusoidal(height, d // 2)[:, None], sinusoidal(width, d // 2)[None]], dim=-1)


NEAR_MISSES = [
    ("column_by_column", grid_of(lambda i, h, w: i % h, lambda i, h, w: i // h)),
    ("divided_by_height", grid_of(lambda i, h, w: i // h, lambda i, h, w: i % h)),
    ("row_and_column_swapped", grid_of(column, row)),
    ("flat_index", grid_of(lambda i, h, w: i, lambda i, h, w: i)),
    ("added", grid_of(row, column, sum)),
    ("interleaved", grid_of(row, column, lambda parts: torch.stack(parts, 2).flatten(1))),
    ("from_one", grid_of(lambda i, h, w: i // w + 1, lambda i, h, w: i % w + 1)),
    ("lengths_do_not_meet", grid_side_by_side),
]
