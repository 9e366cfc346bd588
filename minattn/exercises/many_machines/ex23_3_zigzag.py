"""Exercise 23.3: a sequence shared out in zigzag, and the work of each process."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.comparing import as_array, is_array
from minattn.exercises.exercise import Answer, Exercise, Law, Mistake

Cut = Callable[[Tensor, int], Sequence[Tensor]]
Shared = tuple[list[list[int]], list[int]]
"""The positions of each process, and how many pairs of query and key it computes."""


def zigzag(length: int, world: int) -> Shared:
    """Share out the positions, one piece from the front and one from the back each, and count the pairs."""
    return _share(length, world)


def _mirrored(rank: int, world: int) -> tuple[int, int]:
    return rank, 2 * world - 1 - rank


def _even_pieces(positions: Tensor, n: int) -> Sequence[Tensor]:
    return positions[: len(positions) // n * n].tensor_split(n)


def _long_last_piece(positions: Tensor, n: int) -> Sequence[Tensor]:
    size = len(positions) // n
    return positions.tensor_split([size * i for i in range(1, n)])


def _so_far(positions: list[int], length: int) -> int:
    return sum(p + 1 for p in positions)


def _share(
    length: int,
    world: int,
    *,
    cut: Cut = torch.tensor_split,
    pieces: Callable[[int, int], tuple[int, int]] = _mirrored,
    work: Callable[[list[int], int], int] = _so_far,
) -> Shared:
    """Cut the positions in some way, give each process two pieces, and count its pairs in some way."""
    parts = tuple(part.tolist() for part in cut(torch.arange(length), 2 * world))
    positions = [[p for i in pieces(rank, world) for p in parts[i]] for rank in range(world)]
    return positions, [work(own, length) for own in positions]


def _striped(length: int, world: int, *, first: int = 0, step: int = 1) -> Shared:
    positions = [list(range(r + first, length, step * world)) for r in range(world)]
    return positions, [_so_far(own, length) for own in positions]


def _plain(x: Any) -> Any:
    """Write tensors, arrays and ranges as lists; whether positions are handed over as these is no matter."""
    if is_array(x):
        return as_array(x).tolist()
    if isinstance(x, tuple | list | range):
        return [_plain(part) for part in x]
    return x


def _try(answer: Answer, length: int, world: int) -> Any:
    out = answer(length, world)
    is_pair = isinstance(out, tuple | list) and len(out) == 2
    return tuple(map(_plain, out)) if is_pair else out


EXERCISE = Exercise(
    number="23.3",
    title="Zigzag",
    solution=zigzag,
    cases=lambda: [(8, 2), (12, 3), (4, 1), (7, 2), (14, 3), (17, 3), (23, 5)],
    trial=_try,
    mistakes=[
        Mistake(
            "in_order",
            partial(_share, pieces=lambda rank, world: (2 * rank, 2 * rank + 1)),
            "Each process has one stretch of the sequence. The last one's queries see the most keys, and all the "
            "others wait for it. Give each a piece from the front and its mirror image from the back.",
        ),
        Mistake(
            "striped",
            _striped,
            "You deal out single positions, one to each in turn. This is the striped order. It is nearly even, and "
            "never quite: the last process sees one key more with each query. Here, deal out 2 · world pieces.",
            also=[partial(_striped, first=1), partial(_striped, step=2)],
        ),
        Mistake(
            "both_from_the_front",
            partial(_share, pieces=lambda rank, world: (rank, rank + world)),
            "You give process r the pieces r and r + world. A later process then has the later one in both halves, and "
            "more work. Count the second piece from the back: the first process has the last piece.",
        ),
        Mistake(
            "mirror_off_by_one",
            partial(_share, pieces=lambda rank, world: (rank, -rank)),
            "The second piece is off by one: process 0 gets its first piece twice, and the last piece is nobody's. "
            "There are 2 · world pieces, counted from 0: the mirror of piece r is 2 · world - 1 - r.",
        ),
        Mistake(
            "remainder",
            partial(_share, cut=_even_pieces),
            "What is left over by the division is lost, or stands in one piece. Where length is no multiple of 2 · "
            "world, the first pieces have one position more, as torch.tensor_split does it. torch.chunk does not.",
            also=[partial(_share, cut=cut) for cut in (_long_last_piece, torch.chunk)],
        ),
        Mistake(
            "own_keys_only",
            partial(_share, work=lambda own, length: len(own) * (len(own) + 1) // 2),
            "You count the pairs among the positions of one process. Its queries see the keys of all the others, too, "
            "when these come round: a query at position p sees p + 1 keys.",
        ),
        Mistake(
            "every_key",
            partial(_share, work=lambda own, length: len(own) * length),
            "You count every key for every query. In causal attention a query sees no key that comes after it: one at "
            "position p sees p + 1 keys. Counted your way, all orders would be equally good.",
        ),
        Mistake(
            "not_itself",
            partial(_share, work=lambda own, length: sum(own)),
            "You add up the positions. A query at position p sees the p keys before it and its own, which is p + 1.",
        ),
    ],
    laws=[
        Law(
            "each position belongs to one process",
            lambda out, length, world: (
                sorted(p for own in out[0] for p in own) == list(range(length))
            ),
        ),
        Law(
            "all work together is length · (length + 1) / 2",
            lambda out, length, world: sum(out[1]) == length * (length + 1) // 2,
        ),
    ],
)
