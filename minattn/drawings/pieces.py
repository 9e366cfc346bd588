"""The drawing of byte-pair encoding: how a word is joined from its letters."""

from collections.abc import Sequence
from itertools import pairwise

from minattn.drawing import Box, Drawing, token_width
from minattn.subwords import Merge, join

_TOP = 18  # the row of letters
_STEP = 46  # from a row to the next


def merging(
    word: str, merges: Sequence[Merge], lit: str | None = None, small: bool = False
) -> Drawing:
    """Draw how a word is joined from its letters: a tree, with a row for each merge that is used.

    Args:
        word: to join, with the mark of its beginning if it has one.
        merges: the pairs, in the order in which they were learned.
        lit: "letters", "merges" or "pieces", the part that stands out; the pieces are what is left at the end.
        small: draw it small, to say where the reader is.

    Raises:
        ValueError: if none of the merges is found in the word.
    """
    steps = _steps(word, merges)
    if not steps:
        raise ValueError(f"a merge must be found in {word!r}, got {list(merges)}")
    names = [f"{rank}. {a} + {b}" for rank, (a, b), _ in steps]
    left = max(map(token_width, [*names, "letters"]))
    pitch = max(map(token_width, word)) + 4
    height = 2 * _TOP + _STEP * (len(steps) + 1)
    d = Drawing(left + pitch * len(word) + 4, height, _told(word, steps), lit, small)
    d.text(4, _TOP, "letters", "start", bold=True)
    with d.part("letters"):
        boxes = [
            d.token(left + pitch * (place + 0.5), _TOP, letter) for place, letter in enumerate(word)
        ]
    pieces = list(word)
    for row, (name, (_, _, after)) in enumerate(zip(names, steps, strict=True), 1):
        with d.part("merges"):
            d.text(4, _TOP + _STEP * row, name, "start")
            boxes = _row(d, _TOP + _STEP * row, pieces, after, boxes, (left, pitch))
        pieces = after
    d.text(4, height - _TOP, "pieces", "start", bold=True)
    with d.part("pieces"):
        for piece, box in zip(pieces, boxes, strict=True):
            d.arrow(box, d.token(box.at(0.5, 0)[0], height - _TOP, piece), dotted=True)
    return d


def _steps(word: str, merges: Sequence[Merge]) -> list[tuple[int, Merge, list[str]]]:
    """Join what was learned first, again and again; list the number of each merge, its pair, and the pieces then."""
    pieces, steps = list(word), []
    while found := [pair for pair in pairwise(pieces) if pair in merges]:
        pair = min(found, key=merges.index)
        pieces = join(pieces, pair)
        steps.append((merges.index(pair) + 1, pair, pieces))
    return steps


def _row(
    d: Drawing,
    y: float | int,
    before: list[str],
    after: list[str],
    boxes: list[Box],
    across: tuple[float | int, float | int],
) -> list[Box]:
    """Draw what one merge makes, below its two halves; return the boxes of all pieces after it."""
    (left, pitch), rest, letters = across, list(zip(before, boxes, strict=True)), 0
    new = []
    for piece in after:
        half, box = rest.pop(0)
        if half != piece:
            child = d.token(left + pitch * (letters + len(piece) / 2), y, piece)
            for parent, share in ((box, 0.3), (rest.pop(0)[1], 0.7)):
                d.arrow(parent.at(0.5, 1), child.at(share, 0))
            box = child
        new.append(box)
        letters += len(piece)
    return new


def _told(word: str, steps: Sequence[tuple[int, Merge, list[str]]]) -> str:
    rows = " ".join(
        f"Merge {rank} joins {a} and {b}: {' '.join(pieces)}." for rank, (a, b), pieces in steps
    )
    return (
        f"A tree that grows downwards from the letters of {word}, with a row for each merge that is used; "
        f"two arrows lead to each piece that is made, from its halves. {rows} The last row repeats "
        f"what is left: the {len(steps[-1][2])} pieces of the word."
    )
