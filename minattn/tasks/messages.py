"""Short sentences in German and English, as two real programs say them to their users.

They come from the message catalogues of Django 5.2.19 and Wagtail 8.0.1, which are BSD-3-licensed; the licences
lie beside the sentences in ``messages.LICENSE``, and ``book/tools/messages.py`` is how they were extracted.
"""

import random
from collections import defaultdict
from importlib import resources
from typing import NamedTuple

from minattn.checks import check_whole
from minattn.tasks.base import check_range

MAX_HELD_OUT = 5
"""Only groups of at most so many sentences are held out: the others say one thing in many ways."""


class Sentence(NamedTuple):
    """One message in both languages; ``{}`` stands for what the program fills in."""

    german: str
    english: str


class Messages(NamedTuple):
    """Sentences to learn from, and sentences of other groups."""

    train: tuple[Sentence, ...]
    held_out: tuple[Sentence, ...]


def message_pairs(n_held_out_groups: int = 150, seed: int = 0) -> Messages:
    """Split 2217 sentences of up to 14 words into those to train on and those that are held out.

    Many of them are near copies of others: *Delete image*, *Delete images*. Near copies, in German or in English,
    are in one of 1249 groups, and a group is held out as a whole.

    Args:
        n_held_out_groups: how many groups of at most ``MAX_HELD_OUT`` sentences are held out.
        seed: the same seed gives the same split.

    Raises:
        ValueError: if ``n_held_out_groups`` is below 1, or more than half of the small groups.

    >>> train, held_out = message_pairs()
    >>> len(train), len(held_out)
    (2012, 205)
    >>> train[0]
    Sentence(german="'{}' ist gesperrt.", english="'{}' is locked.")
    """
    groups: defaultdict[int, list[Sentence]] = defaultdict(list)
    table = resources.files("minattn.tasks").joinpath("messages.tsv").read_text(encoding="utf-8")
    for line in table.splitlines()[1:]:
        number, german, english = line.split("\t")
        groups[int(number)].append(Sentence(german, english))
    small = [number for number, sentences in groups.items() if len(sentences) <= MAX_HELD_OUT]
    half = f" (half of the {len(small)} groups of at most {MAX_HELD_OUT} sentences)"
    check_range(1, len(small) // 2, half, n_held_out_groups=n_held_out_groups)
    check_whole(0, seed=seed)
    chosen = set(random.Random(int(seed)).sample(small, n_held_out_groups))
    return Messages(
        train=tuple(s for number, group in groups.items() if number not in chosen for s in group),
        held_out=tuple(s for number, group in groups.items() if number in chosen for s in group),
    )
