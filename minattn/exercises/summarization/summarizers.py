"""Small summarizers that can copy new words, or cannot in some way, for exercise 13.4."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

MARK, UNK = "call", "<unk>"

Words = Sequence[str]
Spell = Callable[[Words, int, Words], str | None]
"""Takes a source, the place of a new word and the vocabulary, and returns what is written."""


def _copied(source: Words, place: int, vocabulary: Words) -> str:
    return source[place]


def _as_they_are(words: list[str]) -> list[str]:
    return words


@dataclass(frozen=True, repr=False)
class Summarizer:
    """A summarizer that keeps the words behind "call".

    Args:
        name: what it does with new words, said to the learner.
        copies: whether it treats them as it treats known ones.
        vocabulary: the words that it knows.
        spell: what it writes for a new word; None is nothing.
        loses_thread: whether it leaves out the word that follows a new one.
        keeps: what it keeps of the words to write, known or not.
    """

    name: str
    copies: bool
    vocabulary: tuple[str, ...]
    spell: Spell = field(default=_copied, compare=False)
    loses_thread: bool = False
    keeps: Callable[[list[str]], list[str]] = field(default=_as_they_are, compare=False)

    def __repr__(self) -> str:
        return self.name

    def __call__(self, source: Words) -> list[str]:
        """Return the summary of a text, both as lists of words."""
        if isinstance(source, str) or not all(isinstance(word, str) for word in source):
            raise ValueError("source must be a list of words")
        written, after_new = [], False
        for place in range(1, len(source)):
            if source[place - 1] != MARK:
                continue
            new = source[place] not in self.vocabulary
            word = self.spell(source, place, self.vocabulary) if new else source[place]
            if word is not None and not (after_new and self.loses_thread):
                written.append(word)
            after_new = new
        return self.keeps(written)


def _new_words(source: Words, vocabulary: Words) -> list[str]:
    return [word for word in source if word not in vocabulary]


def _by_occurrence(source: Words, place: int, vocabulary: Words) -> str:
    """Number each occurrence, and look the number up among the different words."""
    words = list(dict.fromkeys(_new_words(source, vocabulary)))
    number = len(_new_words(source[:place], vocabulary))
    return words[number] if number < len(words) else UNK


UNKNOWN = "a summarizer that writes <unk> for every new word"
CLAMPED = "a summarizer that writes the last word of its vocabulary for every new word"
SILENT = "a summarizer that leaves every new word out"
FIRST = "a summarizer that writes the first new word of the text for every new word"
LAST = "a summarizer that writes the last new word of the text for every new word"
PLACE = "a summarizer that writes the second word of the text for every new word"
OCCURRENCE = "a summarizer that takes a new word for another one when it comes again"
THREAD = "a summarizer that leaves out the word that follows a new one in the summary"
SHORT = "a summarizer that copies, and keeps no more than two words, new or not"
TURNED = "a summarizer that copies, and writes the last word first, new or not"
ODD = "a summarizer that writes <unk> for every new word, and knows odd words"

_WORDS = (UNK, "the", MARK, "anna", "today", "and", "bert", "from", "home", "emma")
_FEW = (UNK, MARK, "anna", "bert", "now")
_ODD = (UNK, MARK, "foo", "bar", "baz", "xyz", "zzz", "abc", "qwerty", "zorp", "new", "unknown")


def summarizers() -> list[Summarizer]:
    """Make the summarizers that copy new words and those that do not."""
    return [
        Summarizer("a summarizer that copies", True, _WORDS),
        Summarizer(UNKNOWN, False, _WORDS, lambda source, place, known: UNK),
        Summarizer(CLAMPED, False, _WORDS, lambda source, place, known: known[-1]),
        Summarizer(SILENT, False, _FEW, lambda source, place, known: None),
        Summarizer(PLACE, False, _WORDS, lambda source, place, known: source[1]),
        Summarizer(FIRST, False, _WORDS, lambda source, place, known: _new_words(source, known)[0]),
        Summarizer(LAST, False, _FEW, lambda source, place, known: _new_words(source, known)[-1]),
        Summarizer(THREAD, False, _WORDS, loses_thread=True),
        Summarizer(OCCURRENCE, False, _WORDS, _by_occurrence),
        Summarizer(SHORT, True, _WORDS, keeps=lambda words: words[:2]),
        Summarizer(TURNED, True, _WORDS, keeps=lambda words: words[::-1]),
        Summarizer(ODD, False, _ODD, lambda source, place, known: UNK),
        Summarizer("a summarizer that copies, and knows few words", True, _FEW),
    ]
