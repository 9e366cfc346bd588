"""One emoji in one of nine places on one of six colours, and a sentence that says so: 1,728 sentences in all.

A sentence is kept as three numbers (thing, place, colour). Every thing has one colour that it never stands on in
training. And two emoji side by side, where the order of the words matters.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from minattn.checks import check_ids, check_sizes
from minattn.tasks.emoji import CLASSES, DESIGNERS, check_designers, sprite
from minattn.tasks.scenes import cells_inside
from minattn.vocabulary import PAD, Vocabulary

SIDE = 32
"""Pixels: a picture is square."""

SIZES = 12, 14, 16
"""Pixels: the longer side of an emoji."""

PAIR_SIZES = 12, 14
"""The same, where two stand side by side."""

COLOURS = {
    "pink": (242, 140, 140),
    "green": (153, 217, 153),
    "blue": (153, 178, 255),
    "yellow": (250, 237, 140),
    "purple": (204, 153, 230),
    "white": (255, 255, 255),
}
"""Red, green and blue of every background."""

PLACES = tuple(
    f"{row} {column}"
    for row, column in product(("top", "middle", "bottom"), ("left", "centre", "right"))
)

LIGHT, NOISE = (0.85, 1.1), 0.03
"""A picture is darkened or brightened by a factor between these two, and every pixel by a little of its own."""

VOCABULARY = Vocabulary(
    [*"a an at the on of".split(), *CLASSES, *" ".join(PLACES).split(), *COLOURS]
)

_SPRITE = max(SIZES)


def every() -> Int64[Tensor, "sentences 3"]:
    """Return thing, place and colour of all sentences.

    >>> every().shape
    torch.Size([1728, 3])
    """
    kinds = len(CLASSES), len(PLACES), len(COLOURS)
    return torch.cartesian_prod(*(torch.arange(n) for n in kinds))


def never_trained(triples: Int64[Tensor, "sentences 3"]) -> Bool[Tensor, " sentences"]:
    """Say which sentences have a thing on the one colour that it never stands on in training.

    >>> int(never_trained(every()).sum()), 32 * 9
    (288, 288)
    """
    _check_triples(triples)
    found: Tensor = triples[:, 2] == triples[:, 0] % len(COLOURS)
    return found


def sentence(thing: int, place: int, colour: int) -> str:
    """Say in words what is to be seen.

    >>> sentence(7, 0, 3)
    'a cat at the top left on yellow'
    """
    return f"{_one(thing)} at the {PLACES[place]} on {tuple(COLOURS)[colour]}"


def pair_sentence(left: int, right: int) -> str:
    """Say which of two things stands left of which.

    >>> pair_sentence(7, 31), pair_sentence(0, 7)
    ('a cat left of a house', 'an apple left of a cat')
    """
    return f"{_one(left)} left of {_one(right)}"


def _one(thing: int) -> str:
    name = CLASSES[thing]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def encode(sentences: Sequence[str]) -> Int64[Tensor, "sentences words"]:
    """Return the ids of sentences, the shorter ones filled up with ``PAD``.

    Raises:
        ValueError: if a word is none of ``VOCABULARY``, or there is no sentence.

    >>> encode(["a cat", "a cat on pink"])
    tensor([[ 3, 16,  0,  0],
            [ 3, 16,  7, 47]])
    """
    check_sizes(sentences=len(sentences))
    rows = [VOCABULARY.encode(text.split()) for text in sentences]
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


@cache
def all_ids() -> Int64[Tensor, "1728 8"]:
    """Return the ids of all sentences, in the order of ``every``."""
    return encode([sentence(*triple) for triple in every().tolist()])


def ids(triples: Int64[Tensor, "sentences 3"]) -> Int64[Tensor, "sentences 8"]:
    """Return the ids of sentences that are given as thing, place and colour."""
    return all_ids()[numbers(triples)]


def numbers(triples: Int64[Tensor, "sentences 3"]) -> Int64[Tensor, " sentences"]:
    """Return where sentences stand in ``every``.

    >>> numbers(every()[[5, 1700]])
    tensor([   5, 1700])
    """
    _check_triples(triples)
    thing, place, colour = triples.T
    found: Tensor = (thing * len(PLACES) + place) * len(COLOURS) + colour
    return found


def pair_ids(things: Int64[Tensor, "pairs 2"]) -> Int64[Tensor, "pairs 6"]:
    """Return the ids of sentences on two things, the left one first.

    >>> pair_ids(torch.tensor([[7, 31]]))
    tensor([[ 3, 16, 42,  8,  3, 40]])
    """
    check_ids(len(CLASSES), things=things)
    return encode([pair_sentence(*two) for two in things.tolist()])


class Placed(NamedTuple):
    """Pictures of one emoji each, and what is known of them.

    Attributes:
        pictures: red, green, blue.
        triples: thing, place and colour.
        boxes: x0, y0, x1, y1 of the emoji, in pixels; x1 and y1 are just outside.
    """

    pictures: UInt8[Tensor, "pictures 32 32 3"]
    triples: Int64[Tensor, "pictures 3"]
    boxes: Float[Tensor, "pictures 4"]

    @property
    def texts(self) -> Int64[Tensor, "pictures 8"]:
        """The ids of their sentences."""
        return ids(self.triples)

    @property
    def same(self) -> Bool[Tensor, "pictures pictures"]:
        """Where two have one sentence."""
        found = numbers(self.triples)
        return found[:, None] == found


class Pairs(NamedTuple):
    """Pictures of two emoji side by side.

    Attributes:
        pictures: red, green, blue.
        things: the left one and the right one.
    """

    pictures: UInt8[Tensor, "pictures 32 32 3"]
    things: Int64[Tensor, "pictures 2"]

    @property
    def texts(self) -> Int64[Tensor, "pictures 6"]:
        """The ids of their sentences."""
        return pair_ids(self.things)

    @property
    def swapped(self) -> "Pairs":
        """The same pictures with the things told the other way round."""
        return Pairs(self.pictures, self.things.flip(1))


def draw(triples: Int64[Tensor, "pictures 3"], designers: Sequence[str], *, seed: int) -> Placed:
    """Draw a picture of every sentence: another designer, size, light and a pixel to any side each time.

    Args:
        triples: thing, place and colour of each.
        designers: whose emoji, each as likely.
        seed: the same seed gives the same pictures.

    Raises:
        ValueError: if there is no such designer, thing, place or colour.

    >>> drawn = draw(torch.tensor([[7, 0, 3], [7, 8, 3]]), ["noto"], seed=1)
    >>> drawn.boxes.tolist()
    [[1.0, 1.0, 15.0, 14.0], [17.0, 18.0, 31.0, 31.0]]
    """
    _check_triples(triples)
    check_designers(*designers)
    rng = np.random.default_rng(seed)
    thing, place, colour = triples.numpy().T
    which = _which(thing, designers, SIZES, rng)
    room = SIDE - _sprites()[1][which]  # (pictures, (x, y))
    at = room * np.stack([place % 3, place // 3], -1) / 2 + rng.integers(-1, 2, room.shape)
    corner = np.clip(np.round(at).astype(np.int64), 0, room)
    ground = np.array(list(COLOURS.values()), dtype=np.float32)[colour] / 255
    pictures = np.tile(ground[:, None, None], (1, SIDE, SIDE, 1))
    _paint(pictures, which, corner)
    boxes = np.concatenate([corner, corner + _sprites()[1][which]], -1)
    return Placed(_finished(pictures, rng), triples, torch.from_numpy(boxes).float())


def draw_pairs(
    things: Int64[Tensor, "pictures 2"], designers: Sequence[str], *, seed: int
) -> Pairs:
    """Draw two emoji side by side on a ground of any of the six colours.

    Args:
        things: the left one and the right one of each picture.
        designers: whose emoji, each as likely.
        seed: the same seed gives the same pictures.

    Raises:
        ValueError: if there is no such designer or thing.

    >>> draw_pairs(torch.tensor([[7, 31]]), ["noto"], seed=1).pictures.shape
    torch.Size([1, 32, 32, 3])
    """
    check_ids(len(CLASSES), things=things)
    check_designers(*designers)
    rng = np.random.default_rng(seed)
    grounds = np.array(list(COLOURS.values()), dtype=np.float32) / 255
    pictures = np.tile(
        grounds[rng.integers(0, len(grounds), len(things))][:, None, None], (1, SIDE, SIDE, 1)
    )
    for half, thing in enumerate(things.numpy().T):
        which = _which(thing, designers, PAIR_SIZES, rng)
        size = _sprites()[1][which]
        x = half * SIDE // 2 + rng.integers(0, SIDE // 2 - size[:, 0] + 1)
        y = rng.integers(0, SIDE - size[:, 1] + 1)
        _paint(pictures, which, np.stack([x, y], -1))
    return Pairs(_finished(pictures, rng), things)


def batches(
    steps: int,
    batch_size: int,
    designers: Sequence[str],
    *,
    seed: int,
    alike: int = 1,
    again: bool = False,
) -> Iterator[Placed]:
    """Draw new pictures for every step of a training, of sentences that are trained.

    Args:
        steps: how many batches.
        batch_size: pictures of each.
        designers: whose emoji.
        seed: of sentences and pictures.
        alike: so many sentences at a time have one place and one colour, and differ in the thing alone.
        again: draw from the sentences with replacement, so that a batch may have one twice.

    Raises:
        ValueError: if a number is below 1, there are not so many sentences, ``alike`` does not divide the batch or
            is asked for together with ``again``, or there is no such designer.

    >>> [len(batch.pictures) for batch in batches(2, 5, ["noto"], seed=1)]
    [5, 5]
    >>> next(batches(1, 4, ["noto"], seed=1, alike=2)).triples[:, 1:].tolist()
    [[2, 5], [2, 5], [4, 3], [4, 3]]
    """
    check_sizes(steps=steps, batch_size=batch_size, alike=alike)
    check_designers(*designers)
    known = every()[~never_trained(every())]
    ground = known[:, 1] * len(COLOURS) + known[:, 2]
    groups = [known[ground == one] for one in range(len(PLACES) * len(COLOURS))]
    _check_batches(batch_size, alike, again, min(map(len, groups)))
    rng = np.random.default_rng([seed, steps])
    for _ in range(steps):
        if alike > 1:
            chosen = rng.choice(len(groups), batch_size // alike, replace=False)
            some = [groups[i][rng.choice(len(groups[i]), alike, replace=False)] for i in chosen]
            triples = torch.cat(some)
        else:
            triples = known[rng.choice(len(known), batch_size, replace=again)]
        yield draw(triples, designers, seed=int(rng.integers(2**31)))


def _check_batches(batch_size: int, alike: int, again: bool, most_alike: int) -> None:
    n_grounds = len(PLACES) * len(COLOURS)
    most = n_grounds * alike if alike > 1 else int((~never_trained(every())).sum())
    if not again and batch_size > most:
        raise ValueError(f"batch_size must be at most {most}, got {batch_size}")
    if batch_size % alike or alike > most_alike:
        raise ValueError(
            f"alike must divide batch_size {batch_size} and be at most {most_alike}, got {alike}"
        )
    if again and alike > 1:
        raise ValueError(f"alike must be 1 where sentences are drawn again, got {alike}")


def truth(placed: Placed, cells: int = 8) -> Bool[Tensor, "pictures 1 {cells}*{cells}"]:
    """Say for the one query that asks a picture which cells have their centre in the box of the emoji.

    >>> drawn = draw(torch.tensor([[7, 0, 3]]), ["noto"], seed=1)
    >>> truth(drawn).view(8, 8)[:, 0].tolist()
    [True, True, True, False, False, False, False, False]
    """
    return torch.from_numpy(cells_inside(placed.boxes.numpy(), cells, SIDE))[:, None]


@cache
def _sprites() -> tuple[Float[np.ndarray, "n 16 16 4"], Int64[np.ndarray, "n 2"]]:
    """Return all emoji in all sizes, each in the upper left, and how wide and high each is."""
    drawn = [sprite(d, name, size) for d in DESIGNERS for name in CLASSES for size in SIZES]
    table = np.zeros((len(drawn), _SPRITE, _SPRITE, 4), dtype=np.float32)
    for place, one in zip(table, drawn, strict=True):
        place[: one.shape[0], : one.shape[1]] = one.astype(np.float32) / 255
    return table, np.array([(one.shape[1], one.shape[0]) for one in drawn])


def _which(
    things: np.ndarray, designers: Sequence[str], sizes: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    """Draw whose and how large each is; return where in the table of sprites it stands."""
    known = np.array([DESIGNERS.index(name) for name in designers])
    who = known[rng.integers(0, len(known), len(things))]
    size = np.array([SIZES.index(one) for one in sizes])[rng.integers(0, len(sizes), len(things))]
    return np.asarray((who * len(CLASSES) + things) * len(SIZES) + size)


def _paint(pictures: np.ndarray, which: np.ndarray, corner: np.ndarray) -> None:
    """Paint an emoji into every picture, with its upper left corner at (x, y)."""
    table, sizes = _sprites()
    for picture, sprite_of, (x, y), (wide, high) in zip(
        pictures, which, corner, sizes[which], strict=True
    ):
        one = table[sprite_of, :high, :wide]
        place = picture[y : y + high, x : x + wide]
        place *= 1 - one[..., 3:]
        place += one[..., :3]


def _finished(pictures: np.ndarray, rng: np.random.Generator) -> UInt8[Tensor, "n 32 32 3"]:
    """Change the light, add noise, and round."""
    light = rng.uniform(*LIGHT, (len(pictures), 1, 1, 1)).astype(np.float32)
    noise = rng.standard_normal(pictures.shape, dtype=np.float32)
    seen = pictures * light + NOISE * noise
    return torch.from_numpy(np.round(255 * seen.clip(0, 1)).astype(np.uint8))


def _check_triples(triples: Int64[Tensor, "sentences 3"]) -> None:
    if triples.ndim != 2 or triples.shape[1] != 3:
        raise ValueError(f"triples must have shape (sentences, 3), got {tuple(triples.shape)}")
    thing, place, colour = triples.T
    check_ids(len(CLASSES), things=thing)
    check_ids(len(PLACES), places=place)
    check_ids(len(COLOURS), colours=colour)
