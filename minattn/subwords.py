"""Cut words into pieces that occur often: byte-pair encoding, learned from text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from minattn.checks import check_sizes
from minattn.tasks.base import Example, Task
from minattn.vocabulary import Vocabulary

START = "▁"
"""Stands in front of every word, so that the pieces can be put together again."""

Merge = tuple[str, str]
"""Two pieces that are joined to one."""


@dataclass(frozen=True)
class Subwords:
    """An alphabet, and the pairs of pieces that are joined, in the order in which they were learned.

    Args:
        alphabet: single characters that every text is made of.
        merges: the pairs.

    References:
        Sennrich et al. 2016, arXiv:1508.07909, section 3.2. There a mark ends every word; here one begins it.

    >>> pieces = learn_subwords(["low lower lowest", "low"], n_merges=3)
    >>> pieces.encode("lowest")
    ['▁low', 'e', 's', 't']
    >>> pieces.decode(["▁low", "e", "r", "▁low"])
    'lower low'
    """

    alphabet: tuple[str, ...]
    merges: tuple[Merge, ...]

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """All pieces: the alphabet, then what each merge makes."""
        return tuple(dict.fromkeys((*self.alphabet, *(a + b for a, b in self.merges))))

    def encode(self, text: str) -> list[str]:
        """Cut a text at blanks, then every word into pieces.

        Raises:
            ValueError: if a character is not in the alphabet.
        """
        return [piece for word in split_words(text) for piece in self._cut(word)]

    def decode(self, pieces: Sequence[str]) -> str:
        """Put the pieces together again."""
        return "".join(pieces).replace(START, " ").strip()

    def _cut(self, word: str) -> list[str]:
        unknown = [letter for letter in word if letter not in self.alphabet]
        if unknown:
            raise ValueError(
                f"every character must be in the alphabet of {len(self.alphabet)}, got {unknown[0]!r}"
            )
        pieces = list(word)
        while len(pieces) > 1:
            first = min(_pairs(pieces), key=lambda pair: self._ranks.get(pair, len(self.merges)))
            if first not in self._ranks:
                break
            pieces = join(pieces, first)
        return pieces

    @cached_property
    def _ranks(self) -> dict[Merge, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}


def learn_subwords(texts: Iterable[str], n_merges: int, alphabet: Iterable[str] = ()) -> Subwords:
    """Begin with single characters, and again and again join the pair that occurs most often.

    Of pairs that occur equally often the one whose pieces are older is joined, as in the library *tokenizers*.

    Args:
        texts: to learn from; pairs are counted within words.
        n_merges: how many pairs are joined; fewer if no pair is left.
        alphabet: characters that shall be known beside those of the texts.

    Raises:
        ValueError: if ``n_merges`` is below 1.
    """
    check_sizes(n_merges=n_merges)
    counts = Counter(word for text in texts for word in split_words(text))
    letters = sorted({START, *alphabet, *(letter for word in counts for letter in word)})
    age = {letter: i for i, letter in enumerate(letters)}
    words = {word: list(word) for word in counts}
    total: Counter[Merge] = Counter()
    for word, pieces in words.items():
        _count(total, pieces, counts[word])
    merges: list[Merge] = []
    while total and len(merges) < n_merges:
        best = min(total, key=lambda pair: (-total[pair], age[pair[0]], age[pair[1]]))
        merges.append(best)
        age.setdefault("".join(best), len(age))
        for word, pieces in words.items():
            if best in _pairs(pieces):
                _count(total, pieces, -counts[word])
                words[word] = join(pieces, best)
                _count(total, words[word], counts[word])
        total = +total  # forget pairs that are gone
    return Subwords(tuple(letters), tuple(merges))


def cut_task(
    name: str,
    train: Iterable[tuple[str, str]],
    held_out: Iterable[tuple[str, str]],
    source: Subwords,
    target: Subwords,
) -> Task:
    """Make a task of pairs of sentences by cutting them into pieces; there is no gold alignment.

    Args:
        name: of the task.
        train: source and target sentences to learn from.
        held_out: others.
        source: cuts the source sentences; its pieces are the source vocabulary.
        target: cuts the target sentences.

    Raises:
        ValueError: if a character is in no alphabet.
    """

    def cut(pair: tuple[str, str]) -> Example:
        pieces = target.encode(pair[1])
        return Example(
            tuple(source.encode(pair[0])), tuple(pieces), (None,) * len(pieces), len(pieces)
        )

    return Task(
        name=name,
        source=Vocabulary(source.tokens),
        target=Vocabulary(target.tokens),
        train=tuple(map(cut, train)),
        held_out=tuple(map(cut, held_out)),
    )


def split_words(text: str) -> list[str]:
    """Cut a text at blanks and between letters and other signs; mark where a word begins after a blank.

    >>> split_words("Sind Sie sicher?")
    ['▁Sind', '▁Sie', '▁sicher', '?']
    """
    return re.findall(rf"{START}?\w+|{START}?[^\w{START}]+|{START}", f" {text}".replace(" ", START))


def join(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join a pair wherever it occurs, from the left.

    >>> join(["a", "a", "a", "b"], ("a", "a"))
    ['aa', 'a', 'b']
    """
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def _count(total: Counter[Merge], pieces: Sequence[str], times: int) -> None:
    for pair in _pairs(pieces):
        total[pair] += times


def _pairs(pieces: Sequence[str]) -> list[Merge]:
    return list(pairwise(pieces))
