"""Ways to join a pair of pieces wherever it stands, for exercises 9.1 and 9.2."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from minattn.subwords import join

Merge = tuple[str, str]
Join = Callable[[Sequence[str], Merge], list[str]]


def pairs_of(pieces: Sequence[str]) -> list[Merge]:
    """Return all pairs of neighbours."""
    return list(pairwise(pieces))


def join_first(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join the pair where it stands first, and nowhere else."""
    neighbours = pairs_of(pieces)
    if pair not in neighbours:
        return list(pieces)
    i = neighbours.index(pair)
    return [*pieces[:i], "".join(pair), *pieces[i + 2 :]]


def join_overlapping(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join the pair at every place, also where two of them share a piece."""
    found = [neighbours == pair for neighbours in pairs_of(pieces)]
    joined = []
    for i, piece in enumerate(pieces):
        if i < len(found) and found[i]:
            joined.append("".join(pair))
        elif not (i and found[i - 1]):
            joined.append(piece)
    return joined


def join_from_the_right(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join the pair everywhere, beginning at the right."""
    turned = join([piece[::-1] for piece in pieces[::-1]], (pair[1][::-1], pair[0][::-1]))
    return [piece[::-1] for piece in turned[::-1]]


def join_all_but_the_tail(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join the pair everywhere, and lose a last piece that is left alone."""
    joined, i = [], 0
    while i < len(pieces) - 1:
        known = (pieces[i], pieces[i + 1]) == pair
        joined.append("".join(pieces[i : i + 1 + known]))
        i += 1 + known
    return joined


def join_while_counting(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join the pair everywhere, with a count that does not know that the list becomes shorter."""
    pieces = list(pieces)
    for i in range(len(pieces) - 1):
        if (pieces[i], pieces[i + 1]) == pair:
            pieces[i : i + 2] = ["".join(pair)]
    return pieces
