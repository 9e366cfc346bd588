"""Exercise 18.2: patches back into a picture, and turned inside."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Inside = Callable[[Tensor, int, bool], Tensor]
"""Turns what is in each patch."""


def picture_of(
    patches: Tensor, source: Tensor, n_columns: int, turns: int, mirrored: bool
) -> Tensor:
    """Return the answer: patches fetched from their sources, each turned inside, and put together."""
    return _picture(patches, source, n_columns, turns, mirrored)


def _mirror_and_turn(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return torch.rot90(x.flip(-1) if mirrored else x, -turns, (-2, -1))


def _nothing(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return x


def _only_mirrored(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return _mirror_and_turn(x, 0, mirrored)


def _only_turned(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return _mirror_and_turn(x, turns, False)


def _turned_left(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return _mirror_and_turn(x, -turns, mirrored)


def _undone(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return _mirror_and_turn(x, turns if mirrored else -turns, mirrored)


def _turn_and_mirror(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return _only_mirrored(_only_turned(x, turns, mirrored), turns, mirrored)


def _mirror_top_and_bottom(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return _only_turned(x.flip(-2) if mirrored else x, turns, mirrored)


def _fetch(patches: Tensor, source: Tensor) -> Tensor:
    return patches[source]


def _stay(patches: Tensor, source: Tensor) -> Tensor:
    return patches


def _send(patches: Tensor, source: Tensor) -> Tensor:
    moved = torch.zeros_like(patches)
    for i, place in enumerate(source.tolist()):
        moved[place] = patches[i]
    return moved


def _send_by_order(patches: Tensor, source: Tensor) -> Tensor:
    return patches[source.argsort(stable=True)]


def _row_by_row(moved: Tensor, n_columns: int) -> Tensor:
    """Lay the patches out as rows of patches, and each row of patches as rows of pixels."""
    n, side, _ = moved.shape
    grid = moved.view(n // n_columns, n_columns, side, side).transpose(1, 2)
    return grid.reshape(n // n_columns * side, n_columns * side)


def _bare_view(moved: Tensor, n_columns: int) -> Tensor:
    n, side, _ = moved.shape
    return moved.reshape(n // n_columns * side, n_columns * side)


def _columns_of_pixels_first(moved: Tensor, n_columns: int) -> Tensor:
    n, side, _ = moved.shape
    grid = moved.view(n // n_columns, n_columns, side, side).permute(0, 3, 1, 2)
    return grid.reshape(n // n_columns * side, n_columns * side)


def _pixels_apart(moved: Tensor, n_columns: int) -> Tensor:
    n, side, _ = moved.shape
    grid = moved.view(n // n_columns, n_columns, side, side).permute(2, 0, 3, 1)
    return grid.reshape(n // n_columns * side, n_columns * side)


def _column_by_column(moved: Tensor, n_columns: int) -> Tensor:
    n, side, _ = moved.shape
    grid = moved.view(n_columns, n // n_columns, side, side).permute(1, 2, 0, 3)
    return grid.reshape(n // n_columns * side, n_columns * side)


def _rows_for_columns(moved: Tensor, n_columns: int) -> Tensor:
    return _row_by_row(moved, len(moved) // n_columns)


def _picture(
    patches: Tensor,
    source: Tensor,
    n_columns: int,
    turns: int,
    mirrored: bool,
    *,
    move: Callable[[Tensor, Tensor], Tensor] = _fetch,
    inside: Inside = _mirror_and_turn,
    lay_out: Callable[[Tensor, int], Tensor] = _row_by_row,
    whole: Inside = _nothing,
) -> Tensor:
    """Put a picture together, each step done in some way.

    Args:
        patches: of the picture that was given.
        source: for each patch of the answer, the patch that it comes from.
        n_columns: how many patches stand side by side in the answer.
        turns: quarter turns to the right.
        mirrored: whether left and right are exchanged before.
        move: how patches come to their new places.
        inside: what is done to each patch.
        lay_out: how a picture is made of patches.
        whole: what is done to that.
    """
    moved = inside(move(patches, source), turns, mirrored)
    return whole(lay_out(moved, n_columns), turns, mirrored)


def _case(
    seed: int, size: tuple[int, int], side: int, command: tuple[int, bool], twice: bool = False
) -> Case:
    """Make a case of so many rows and columns of patches; in some, one patch is asked for twice."""
    n = size[0] * size[1]
    source = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    if twice:
        source[0] = source[-1]
    return numbers(seed, n, side, side), source, size[1], *command


def _cases() -> list[Case]:
    return [
        _case(1822, (2, 3), 2, (1, True)),
        _case(1823, (2, 3), 2, (1, False)),
        _case(1824, (3, 2), 3, (3, True)),
        _case(1825, (3, 5), 2, (3, False), twice=True),
        _case(1826, (5, 2), 3, (0, True)),
        _case(1827, (2, 5), 3, (2, False)),
        _case(1828, (3, 2), 5, (2, True), twice=True),
        _case(1829, (5, 3), 2, (0, False)),
    ]


EXERCISE = Exercise(
    number="18.2",
    title="Patches back into a picture",
    solution=picture_of,
    cases=_cases,
    mistakes=[
        Mistake(
            "not_turned_inside",
            partial(_picture, inside=_nothing),
            "Each patch is in its place and stands there as it did before. If a picture is turned, all of its "
            "pixels are, those within a patch too. Do to each patch what is done to the whole.",
            also=[
                partial(_picture, inside=_only_turned),
                partial(_picture, inside=_only_mirrored),
            ],
        ),
        Mistake(
            "turned_left_inside",
            partial(_picture, inside=_turned_left),
            "Inside, the patches turn to the left. (torch.rot90 and np.rot90 do so; a negative number turns to the "
            "right.) A place comes from somewhere, and there one thinks backwards; the content simply turns as the "
            "picture does.",
            also=[partial(_picture, inside=_undone)],
        ),
        Mistake(
            "mirrored_otherwise",
            partial(_picture, inside=_turn_and_mirror),
            "The inside is mirrored in another way than the picture. First left and right are exchanged, which is "
            "the last axis, and then it is turned. The other order is another command.",
            also=[partial(_picture, inside=_mirror_top_and_bottom)],
        ),
        Mistake(
            "not_moved",
            partial(_picture, move=_stay),
            "Each patch is turned inside, and stays where it was: `source` is not used. Attention brought another "
            "patch to each place. First fetch, then turn.",
        ),
        Mistake(
            "sent_not_fetched",
            partial(_picture, move=_send),
            "You send patch i to place source[i]. It is the other way round: place i of the answer fetches "
            "patch source[i]. If two places ask for the same patch, both have it, and nothing stays empty.",
            also=[partial(_picture, move=_send_by_order)],
        ),
        Mistake(
            "bare_view",
            partial(_picture, lay_out=_bare_view),
            "The shape is right, and the pixels are in another order. The first row of the picture is the first "
            "row of each patch side by side. From (rows, columns, side, side) go to (rows, side, columns, side), "
            "and only then reshape.",
            also=[
                partial(_picture, lay_out=_columns_of_pixels_first),
                partial(_picture, lay_out=_pixels_apart),
            ],
        ),
        Mistake(
            "column_by_column",
            partial(_picture, lay_out=_column_by_column),
            "You lay the patches out column by column, or with as many columns as there should be rows. Reading "
            "order: the first `n_columns` patches are the first row of the answer, from left to right.",
            also=[partial(_picture, lay_out=_rows_for_columns)],
        ),
        Mistake(
            "turned_as_a_whole",
            partial(_picture, inside=_nothing, whole=_mirror_and_turn),
            "You turn the picture that is made of the fetched patches. They are in their new places already, so "
            "their places are turned twice. Only what is inside each patch is left to turn.",
            also=[partial(_picture, whole=_mirror_and_turn)],
        ),
    ],
    laws=[
        Law(
            "the picture has as many pixels as the patches",
            lambda out, patches, *rest: out.numel() == patches.numel(),
        ),
        Law(
            "the upper left patch of the answer has the numbers of patch source[0], in some order",
            lambda out, patches, source, *rest: torch.equal(
                out[: patches.shape[1], : patches.shape[1]].flatten().float().sort().values,
                patches[source[0]].flatten().sort().values,
            ),
        ),
    ],
)
