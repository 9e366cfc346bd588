"""Cut words into pieces that occur often: byte-pair encoding, learned from text."""

import re
import unicodedata
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

    Raises:
        ValueError: if the alphabet holds anything but single characters, or a merge is not of two pieces.
        TypeError: if something is no string.

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

    def __post_init__(self) -> None:
        merges = tuple(tuple(merge) for merge in self.merges)
        object.__setattr__(self, "alphabet", _characters(self.alphabet))
        object.__setattr__(self, "merges", merges)
        for merge in merges:
            _check_strings("a merge", merge)
            if len(merge) != 2 or not all(merge):
                raise ValueError(f"a merge must be a pair of pieces, got {merge!r}")

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """All pieces: the alphabet, then what each merge makes."""
        return tuple(dict.fromkeys((*self.alphabet, *(a + b for a, b in self.merges))))

    def encode(self, text: str) -> list[str]:
        """Cut a text at blanks, then every word into pieces; ``decode`` undoes it.

        Raises:
            ValueError: if a character is not in the alphabet, or is the mark of a word itself.
            TypeError: if the text is no string.
        """
        return [piece for word in split_words(text) for piece in self._cut(word)]

    def decode(self, pieces: Iterable[str]) -> str:
        """Put the pieces together again: a mark is a blank, but for one that begins the text.

        Raises:
            TypeError: if a piece is no string.
        """
        pieces = list(pieces)
        _check_strings("a piece", pieces)
        return "".join(pieces).removeprefix(START).replace(START, " ")

    def _cut(self, word: str) -> tuple[str, ...]:
        if word not in self._cuts:
            self._cuts[word] = tuple(self._joined(word))
        return self._cuts[word]

    def _joined(self, word: str) -> list[str]:
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
    def _cuts(self) -> dict[str, tuple[str, ...]]:
        return {}  # words come again and again

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
        ValueError: if ``n_merges`` is below 1, a text holds the mark of a word, or the alphabet anything but
            single characters.
        TypeError: if one string is given instead of several texts, or something is no string.
    """
    check_sizes(n_merges=n_merges)
    if isinstance(texts, str):
        raise TypeError(f"texts must be several texts, got the string {texts!r}")
    counts = Counter(word for text in texts for word in split_words(text))
    letters = sorted(
        {START, *_characters(alphabet), *(letter for word in counts for letter in word)}
    )
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

    A combining sign, such as an accent, goes with what it stands on.

    Raises:
        ValueError: if the text holds the mark itself: nobody could tell it from a blank.
        TypeError: if the text is no string.

    >>> split_words("Sind Sie sicher?")
    ['▁Sind', '▁Sie', '▁sicher', '?']
    """
    _check_strings("a text", [text])
    if START in text:
        raise ValueError(
            f"a text must not hold {START!r}, which stands for a blank in pieces, got {text!r}"
        )
    marked = f" {text}".replace(" ", START)
    kinds = list(marked)
    for i, letter in enumerate(marked):
        if unicodedata.category(letter).startswith("M") and kinds[i - 1] != START:
            kinds[i] = kinds[i - 1]
    return [marked[found.start() : found.end()] for found in _WORD.finditer("".join(kinds))]


_WORD = re.compile(rf"{START}?\w+|{START}?[^\w{START}]+|{START}")


def join(pieces: Sequence[str], pair: Merge) -> list[str]:
    """Join a pair wherever it occurs, from the left.

    >>> join(["a", "a", "a", "b"], ("a", "a"))
    ['aa', 'a', 'b']
    """
    pair = (pair[0], pair[1])  # a list is equal to no tuple
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def _characters(alphabet: Iterable[str]) -> tuple[str, ...]:
    """List an alphabet once, for an iterator can be read once; hold that it is one of characters."""
    letters = tuple(alphabet)
    _check_strings("a character", letters)
    for letter in letters:
        if len(letter) != 1:
            raise ValueError(f"an alphabet must hold single characters, got {letter!r}")
    return letters


def _check_strings(what: str, found: Iterable[object]) -> None:
    for thing in found:
        if not isinstance(thing, str):
            raise TypeError(
                f"{what} must be a string, got {thing!r} of type {type(thing).__name__}"
            )


def _count(total: Counter[Merge], pieces: Sequence[str], times: int) -> None:
    for pair in _pairs(pieces):
        total[pair] += times


def _pairs(pieces: Sequence[str]) -> list[Merge]:
    return list(pairwise(pieces))
