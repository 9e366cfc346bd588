"""Exercise 17.4: find the bug: windows that move."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers

Regions = Callable[[int, int, int, int], Tensor]
"""Numbers the parts of a rolled picture, from height, width, window and shift."""


def window_attention(x: Tensor, window: int, shift: int) -> Tensor:
    """Let the pixels of each window attend to each other; windows are moved down and right by a shift."""
    return _attend(x, window, shift)


def sees(height: int, width: int, window: int, shift: int) -> Tensor:
    """Say which pixel sees which: those in one row of windows and one column of windows."""
    rows, columns = ((torch.arange(n) - shift) // window for n in (height, width))
    where = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1)
    return (where[:, None] == where).all(-1)


def _strips(height: int, width: int, strip: int) -> tuple[Tensor, Tensor]:
    """Mark the last rows, (height, 1), and the last columns of a picture."""
    rows, columns = (torch.arange(n) >= n - strip for n in (height, width))
    return rows[:, None].long(), columns.long()


def _four(height: int, width: int, window: int, shift: int) -> Tensor:
    rows, columns = _strips(height, width, shift)
    return 2 * rows + columns


def _always_half(height: int, width: int, window: int, shift: int) -> Tensor:
    return _four(height, width, window, window // 2)


def _half_where_moved(height: int, width: int, window: int, shift: int) -> Tensor:
    return _four(height, width, window, window // 2 if shift else 0)


def _one(height: int, width: int, window: int, shift: int) -> Tensor:
    return _four(height, width, window, 0)


def _at_the_beginning(height: int, width: int, window: int, shift: int) -> Tensor:
    return _four(height, width, window, shift).flip(0, 1)


def _at_the_other_strip(height: int, width: int, window: int, shift: int) -> Tensor:
    """Cut the last window after so many rows, not before so many."""
    return _four(height, width, window, (window - shift) % window)


def _rows_only(height: int, width: int, window: int, shift: int) -> Tensor:
    return _strips(height, width, shift)[0].expand(height, width)


def _columns_only(height: int, width: int, window: int, shift: int) -> Tensor:
    return _strips(height, width, shift)[1].expand(height, width)


def _either(height: int, width: int, window: int, shift: int) -> Tensor:
    rows, columns = _strips(height, width, shift)
    return rows | columns


def _added(height: int, width: int, window: int, shift: int) -> Tensor:
    rows, columns = _strips(height, width, shift)
    return rows + columns


def _cut(x: Tensor, window: int) -> Tensor:
    """Cut a picture into windows, (windows, pixels, channels)."""
    height, width, channels = x.shape
    grid = x.reshape(height // window, window, width // window, window, channels)
    return grid.transpose(1, 2).reshape(-1, window**2, channels)


def _bare_cut(x: Tensor, window: int) -> Tensor:
    return x.reshape(-1, window**2, x.shape[-1])


def _back(windows: Tensor, sizes: Sequence[int], window: int) -> Tensor:
    height, width, channels = sizes
    grid = windows.reshape(height // window, width // window, window, window, channels)
    return grid.transpose(1, 2).reshape(height, width, channels)


def _bare_back(windows: Tensor, sizes: Sequence[int], window: int) -> Tensor:
    return windows.reshape(tuple(sizes))


def _cut_again(windows: Tensor, sizes: Sequence[int], window: int) -> Tensor:
    """Put windows back by the lines that cut them."""
    return _cut(windows.reshape(tuple(sizes)), window).reshape(tuple(sizes))


def _turned(windows: Tensor, sizes: Sequence[int], window: int) -> Tensor:
    """Exchange the rows and the columns of each window."""
    pixels = windows.reshape(-1, window, window, sizes[2]).transpose(1, 2)
    return _back(pixels, sizes, window)


def _columns_first(windows: Tensor, sizes: Sequence[int], window: int) -> Tensor:
    """Take the windows for lying one below the other."""
    grid = windows.reshape(sizes[1] // window, -1, window**2, sizes[2])
    return _back(grid.transpose(0, 1), sizes, window)


def _attend(
    x: Tensor,
    window: int,
    shift: int,
    *,
    roll: int = -1,
    cut: Callable[[Tensor, int], Tensor] = _cut,
    regions: Regions = _four,
    back: Callable[[Tensor, Sequence[int], int], Tensor] = _back,
    roll_back: int = 1,
) -> Tensor:
    """Attend within windows, with some of the faults.

    Args:
        x: a picture, (height, width, channels).
        window: side of a window.
        shift: by how much the windows are moved.
        roll: how many shifts the picture is rolled first.
        cut: makes windows.
        regions: says what belongs together.
        back: makes a picture of windows.
        roll_back: how many shifts it is rolled at the end.
    """
    tokens = cut(x.roll((roll * shift, roll * shift), (0, 1)), window)
    region = cut(regions(x.shape[0], x.shape[1], window, shift)[..., None], window)
    hidden = region != region.mT
    scores = (tokens @ tokens.mT / x.shape[-1] ** 0.5).masked_fill(hidden, -torch.inf)
    picture = back(scores.softmax(-1) @ tokens, x.shape, window)
    return picture.roll((roll_back * shift, roll_back * shift), (0, 1))


def _written(**ways: Sequence[object]) -> list[Answer]:
    """List every combination of some ways."""
    return [
        partial(_attend, **dict(zip(ways, chosen, strict=True)))  # type: ignore[arg-type]
        for chosen in product(*ways.values())
    ]


def _case(seed: int, sizes: tuple[int, int, int], window: int, shift: int) -> Case:
    return numbers(seed, *sizes) / 2, window, shift


def _cases() -> list[Case]:
    return [
        _case(1741, (4, 6, 2), 2, 0),
        _case(1742, (4, 6, 3), 2, 1),
        _case(1743, (6, 9, 2), 3, 2),
        _case(1744, (9, 6, 3), 3, 1),
        _case(1745, (6, 9, 2), 3, 0),
        _case(1746, (5, 10, 3), 5, 2),
    ]


def seen_by(answer: Answer, x: Tensor, window: int, shift: int) -> Tensor:
    """Find by experiment which pixel's result moves with which pixel."""

    def run(given: Tensor) -> Tensor:
        return torch.as_tensor(answer(given.clone(), window, shift)).reshape(x.shape).double()

    before, moved = run(x), []
    for place in range(x.shape[0] * x.shape[1]):
        changed = x.clone()
        changed.flatten(0, 1)[place] += 1
        near = torch.isclose(run(changed), before, rtol=0, atol=1e-5, equal_nan=True)
        moved.append(~near.all(-1).flatten())
    return torch.stack(moved, 1)


def _locate(answer: Answer, case: Case) -> tuple[str, str]:
    """Say which pixels see each other that should not, and which do not and should."""
    x, window, shift = case
    height, width = x.shape[:2]
    right = sees(height, width, window, shift)
    try:
        found = seen_by(answer, x, window, shift)
    except (Exception, SystemExit):  # judged by that, and not by what is seen
        return "", ""
    told = []
    for wrong, says in (
        (found & ~right, "sees {}, and should not"),
        (right & ~found, "does not see {}"),
    ):
        pairs = [tuple(divmod(int(place), width) for place in pair) for pair in wrong.nonzero()]
        if pairs:
            pixel, other = pairs[0]
            whom = "itself" if pixel == other else str(other)
            told.append(f"Pixel {pixel} {says.format(whom)} (one of {len(pairs)} such pairs).")
    if not told:
        return "", ""
    where = f"In a picture of {height} x {width} pixels, window = {window}, shift = {shift}:"
    return "\n".join([where, *told]), ""


_ROLLS = [1, 0, -1]
_orders = _written(
    back=[_bare_back, _cut_again, _columns_first],
    regions=[_always_half, _four, _one],
    roll_back=_ROLLS,
)
_strips_of_rows = _written(
    cut=[_bare_cut], back=[_bare_back, _back], regions=[_four, _always_half, _one], roll_back=_ROLLS
)
_halves = _written(regions=[_always_half, _half_where_moved], roll_back=_ROLLS)
_no_masks = _written(regions=[_one], roll_back=_ROLLS)
_too_few = _written(regions=[_added, _either, _rows_only, _columns_only])

EXERCISE = Exercise(
    number="17.4",
    title="Windows that move",
    solution=window_attention,
    cases=_cases,
    mistakes=[
        Mistake(
            "put_back_in_another_order",
            _orders[0],
            "A symptom is left: results stand at pixels that they are not of. Windows are cut with a reshape, a "
            "transpose and a reshape, so they have to be put back by the same steps in reverse order.",
            also=[*_orders[1:], partial(_attend, back=_turned)],
        ),
        Mistake(
            "windows_are_no_squares",
            _strips_of_rows[0],
            "Your windows are no squares. A reshape alone takes pixels as they follow each other in a row, and goes on "
            "in the next one. Cutting was right; it is putting back that lacks the transpose.",
            also=_strips_of_rows[1:],
        ),
        Mistake(
            "masked_without_a_shift",
            _halves[0],
            "A symptom is left: neighbours in one window do not see each other. The mask is that of windows moved by "
            "half their side, and here they are moved by `shift`, or not at all. Then nothing comes round.",
            also=_halves[1:],
        ),
        Mistake(
            "never_masked",
            _no_masks[0],
            "The mask is gone, and windows at the edge hold pixels from both ends of the picture. Where windows are "
            "moved it is needed; it has to know by how much they are.",
            also=_no_masks[1:],
        ),
        Mistake(
            "rolled_the_other_way",
            partial(_attend, roll=1, roll_back=-1),
            "The picture is rolled the other way. For windows to begin at pixel (shift, shift), that pixel has to come "
            "to (0, 0): up and left first. It was the last roll that was wrong.",
            also=_written(
                roll=[1], roll_back=[-1], regions=[_always_half, _one, _at_the_beginning]
            ),
        ),
        Mistake(
            "not_rolled_back",
            partial(_attend, roll_back=-1),
            "A symptom is left: where windows are moved, each result stands a shift away from its pixel. The picture "
            "was rolled up and left, so it must be rolled down and right in the end.",
            also=[partial(_attend, roll_back=0)],
        ),
        Mistake(
            "mask_at_another_strip",
            partial(_attend, regions=_at_the_beginning),
            "The mask cuts off another strip. What came round stands in the last `shift` rows and columns of the "
            "rolled picture, for it was rolled up and left.",
            also=_written(regions=[_at_the_other_strip]),
        ),
        Mistake(
            "too_few_regions",
            _too_few[0],
            "Some parts count as one that are apart. In the last window below on the right four meet: from both ends "
            "of the rows and of the columns. Each needs a number of its own, as 2 * rows + columns gives.",
            also=_too_few[1:],
        ),
    ],
    laws=[
        Law(
            "what comes out is a mean of pixels",
            lambda out, x, *rest: bool(x.min() - 1e-5 <= out.min() <= out.max() <= x.max() + 1e-5),
        ),
    ],
    locate=_locate,
)
