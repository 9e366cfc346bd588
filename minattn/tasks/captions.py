"""Captions of scenes: what is in a picture, in reading order, in three languages; and which word names which thing.

In English: *an apple left of a cat above a dog*. In German: *ein Apfel, rechts davon eine Katze, darunter ein Hund*. In
Chinese: 上面有苹果和猫，下面有狗. A name is one word, whatever the language.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from minattn.checks import check_sizes
from minattn.tasks.base import Example, Task
from minattn.tasks.emoji import CLASSES, GENDERS, names
from minattn.tasks.scenes import SIZE, Scenes, cells_inside
from minattn.vocabulary import BOS, EOS, Batch, Vocabulary, pad


class Caption(NamedTuple):
    """What is said of a picture.

    Args:
        words: from left to right.
        things: for each word the number of the thing that it names, or None for one that names nothing.
    """

    words: tuple[str, ...]
    things: tuple[int | None, ...]


def caption(classes: Sequence[int], rows: Sequence[int], language: str = "en") -> Caption:
    """Say what is in a picture.

    Args:
        classes: which of ``minattn.tasks.emoji.CLASSES`` each thing is, in reading order.
        rows: 0 for a thing in the upper half of the picture, 1 for one in the lower half.
        language: "en", "de" or "zh".

    Raises:
        ValueError: if there is no thing or no such class, a row is neither, a thing in the lower row comes before
            one in the upper, or there is no such language.

    >>> classes, rows = [CLASSES.index(name) for name in ("apple", "cat", "dog")], [0, 0, 1]
    >>> for language in ("en", "de", "zh"):
    ...     print(sentence(caption(classes, rows, language).words, language))
    an apple left of a cat above a dog
    ein Apfel, rechts davon eine Katze, darunter ein Hund
    上面有苹果和猫，下面有狗
    """
    classes, rows = list(classes), list(rows)
    check_sizes(things=len(classes))
    if any(not 0 <= which < len(CLASSES) for which in classes):
        raise ValueError(f"a class must be in 0..{len(CLASSES) - 1}, got {classes}")
    if len(rows) != len(classes) or not {*rows} <= {0, 1} or rows != sorted(rows):
        raise ValueError(
            f"rows must be 0 or 1 for each of {len(classes)} things, 0 before 1, got {rows}"
        )
    named = names(language)
    said: list[tuple[str, int | None]] = []
    for place, (which, row) in enumerate(zip(classes, rows, strict=True)):
        below = place > 0 and row > rows[place - 1]
        before = _before(which, place, below, two_rows={*rows} == {0, 1}, language=language)
        said += [(word, None) for word in before]
        said.append((named[which], place))
    words, things = zip(*said, strict=True)
    return Caption(words, things)


def _before(
    which: int, place: int, below: bool, *, two_rows: bool, language: str
) -> tuple[str, ...]:
    """Return what stands before a name: what leads on from the thing before, and an article."""
    if language == "zh":
        if place and not below:
            return ("和",)
        where = ("，", "下面") if below else ("上面",) if two_rows else ("图里",)
        return (*where, "有")
    leads: tuple[str, ...]
    if language == "de":
        article = "eine" if GENDERS[which] == "f" else "ein"
        leads = (",", "darunter") if below else (",", "rechts", "davon")
        return (*leads[: None if place else 0], article)
    name = CLASSES[which]
    articles = () if name in PLURALS else ("an",) if name[0] in "aeiou" else ("a",)
    leads = ("above",) if below else ("left", "of")
    return (*leads[: None if place else 0], *articles)


PLURALS = ("grapes",)
"""English names that have no article."""


def sentence(words: Iterable[str], language: str = "en") -> str:
    """Write words as one does in a language.

    >>> sentence(["eine", "Katze", ",", "darunter", "ein", "Hund"], "de")
    'eine Katze, darunter ein Hund'
    >>> sentence(["上面", "有", "苹果"], "zh")
    '上面有苹果'
    """
    names(language)  # there is such a language
    return "".join(words) if language == "zh" else " ".join(words).replace(" ,", ",")


def vocabulary(language: str = "en") -> Vocabulary:
    """Return all words of a language that a caption may have."""
    every = range(len(CLASSES))
    said = [
        caption([one] * sum(counts), [0] * counts[0] + [1] * counts[1], language).words
        for one in every
        for counts in ((1, 0), (2, 0), (1, 1))
    ]
    words = dict.fromkeys(word for one in said for word in one)
    named = names(language)
    return Vocabulary([*(word for word in words if word not in named), *named])


@dataclass(frozen=True, eq=False)
class Captioned(Example):
    """A picture and its caption. What a model reads are the features of its cells.

    Args:
        source: what the things are, in English.
        target: the caption.
        alignment: for each word the number of the thing that it names, or None.
        length: how many things there are.
        picture: red, green and blue.
        boxes: x0, y0, x1, y1 of each thing in pixels; x1 and y1 are just outside.
        features: one vector for each cell of a square grid over the picture, row after row.

    Raises:
        ValueError: as in ``Example``, or if there is not one box for each thing.
    """

    picture: UInt8[np.ndarray, "size size 3"] = field(repr=False)
    boxes: Float[np.ndarray, "things 4"] = field(repr=False)
    features: Float[Tensor, "cells d_source"] = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.boxes) == len(self.source) == self.length:
            raise ValueError(
                f"there must be one box for each thing, got {len(self.boxes)} for {len(self.source)}"
            )


def captioned(
    scenes: Scenes, features: Float[Tensor, "scenes cells d_source"], language: str = "en"
) -> tuple[Captioned, ...]:
    """Caption scenes.

    Args:
        scenes: of up to two rows.
        features: what an encoder made of each picture: one vector for each cell.
        language: "en", "de" or "zh".

    Raises:
        ValueError: if there are not features for each scene, or a caption cannot be had; see ``caption``.

    >>> from minattn.tasks.scenes import scenes
    >>> one = captioned(scenes(1, ["noto"], seed=4), torch.zeros(1, 100, 96))[0]
    >>> sentence(one.target), one.boxes[0].tolist()
    ('a rocket left of a guitar above a tulip', [3.0, 0.0, 17.0, 14.0])
    """
    if len(features) != len(scenes):
        raise ValueError(
            f"there must be features for each scene, got {len(features)} for {len(scenes)}"
        )
    found = []
    for which, boxes, picture, own in zip(
        scenes.classes, scenes.boxes, scenes.pictures, features, strict=True
    ):
        classes, boxes = which[which >= 0].tolist(), boxes[which >= 0]
        rows = (boxes[:, 1] + boxes[:, 3] >= SIZE).astype(int).tolist()
        words, things = caption(classes, rows, language)
        source = tuple(CLASSES[one] for one in classes)
        found.append(Captioned(source, words, things, len(source), picture, boxes, own))
    return tuple(found)


def middle(
    boxes: Float[np.ndarray, "*batch 4"], cells: int = 10, reach: float | int = 3.5
) -> Bool[np.ndarray, "*batch {cells}*{cells}"]:
    """Say which cells have their centre near the middle of a box: where a cell that sees 16 pixels sees all of it.

    Args:
        boxes: x0, y0, x1, y1.
        cells: of a grid, in one direction.
        reach: how many pixels to the left or right, and up or down.

    >>> near = middle(np.array([0.0, 8.0, 14.0, 24.0])).reshape(10, 10)
    >>> np.argwhere(near).tolist()  # row, column
    [[3, 1], [3, 2], [4, 1], [4, 2]]
    """
    x0, y0, x1, y1 = np.moveaxis(np.asarray(boxes), -1, 0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return cells_inside(np.stack([x - reach, y - reach, x + reach, y + reach], -1), cells)


@dataclass(frozen=True)
class Captions(Task):
    """Pictures to caption.

    Args:
        validation: pictures that every choice is made on.
        language: of the captions.
    """

    validation: tuple[Captioned, ...] = field(repr=False, default=())
    language: str = "en"

    def batch(self, examples: Iterable[Any]) -> Batch:
        """Put the features of pictures into one tensor, and their captions into another."""
        told = list(examples)
        check_sizes(examples=len(told))
        source = torch.stack([one.features for one in told])
        ids = [self.target.encode(one.target) for one in told]
        return Batch(
            source=source,
            target_in=pad([BOS, *row] for row in ids),
            target_out=pad([*row, EOS] for row in ids),
            source_mask=torch.ones(source.shape[:2], dtype=torch.bool),
        )

    def truth(
        self, examples: Iterable[Captioned], cells: int = 10
    ) -> Bool[Tensor, "batch target {cells}*{cells}"]:
        """Say for every word, and the ``EOS`` behind the last, which cells lie in the box of what it names.

        Args:
            examples: as in ``batch``.
            cells: of the grid that is attended to, in one direction.

        Returns:
            True where the centre of a cell lies in the box; all False for a word that names nothing, for ``EOS`` and
            for padding.
        """
        told = list(examples)
        check_sizes(examples=len(told))
        longest = max(len(one.target) for one in told)
        right = torch.zeros(len(told), longest + 1, cells**2, dtype=torch.bool)
        for row, one in enumerate(told):
            inside = torch.from_numpy(cells_inside(one.boxes, cells))
            for place, thing in enumerate(one.alignment):
                if thing is not None:
                    right[row, place] = inside[thing]
        return right


def captions(
    train: Iterable[Captioned],
    validation: Iterable[Captioned],
    held_out: Iterable[Captioned],
    language: str = "en",
) -> Captions:
    """Make a task of captioned pictures.

    Args:
        train: to learn from.
        validation: to choose by.
        held_out: to be tested on.
        language: of their captions.

    Raises:
        ValueError: if a part is empty, or there is no such language.
    """
    parts = {"train": tuple(train), "validation": tuple(validation), "held_out": tuple(held_out)}
    check_sizes(**{name: len(part) for name, part in parts.items()})
    return Captions(
        name="captions",
        source=Vocabulary(CLASSES),  # of what is there; a picture itself has no vocabulary
        target=vocabulary(language),
        train=parts["train"],
        validation=parts["validation"],
        held_out=parts["held_out"],
        language=language,
    )
