"""Exercise 13.4: find the bug, a summarizer that cannot copy."""

from collections.abc import Callable, Sequence
from itertools import combinations

from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.exercises.summarization.summarizers import (
    CLAMPED,
    FIRST,
    LAST,
    MARK,
    OCCURRENCE,
    ODD,
    PLACE,
    SHORT,
    SILENT,
    THREAD,
    TURNED,
    UNKNOWN,
    Summarizer,
    summarizers,
)

Write = Callable[[list[str]], list[str]]


def copies_new_words(write: Write, vocabulary: Sequence[str]) -> bool:
    """Put new words in the places of known ones, and see whether just these change in the summary."""
    a, b, c, *_ = [word for word in vocabulary if word != MARK]
    source = [c, MARK, a, MARK, a, MARK, c, MARK, b]
    new = {word: "".join(vocabulary) + word for word in (a, b)}  # longer than any known word
    summary = write([new.get(word, word) for word in source])
    return summary == [new.get(word, word) for word in write(source)]


def _cases() -> list[Case]:
    return [(write, list(write.vocabulary)) for write in summarizers()]


def _right_but_for(*names: str) -> Callable[[Summarizer, Sequence[str]], bool]:
    """Make an answer that is wrong about the summarizers with these names: how it gets there may vary."""
    return lambda write, vocabulary: write.copies != (write.name in names)


def _misses(*always: str, maybe: Sequence[str]) -> list[Callable[..., bool]]:
    """Make the answers that miss some summarizers, and any of some others."""
    return [
        _right_but_for(*always, *more)
        for n in range(len(maybe) + 1)
        for more in combinations(maybe, n)
    ]


def _mistake(name: str, message: str, answers: list[Callable[..., bool]]) -> Mistake:
    return Mistake(name, answers[0], message, also=answers[1:])


EXERCISE = Exercise(
    number="13.4",
    title="Find the bug: a summarizer that cannot copy",
    solution=copies_new_words,
    cases=_cases,
    mistakes=[
        Mistake(
            "always_true",
            lambda write, vocabulary: True,
            "Your function says True to everything, even to a summarizer that writes <unk> for every new word. "
            "Did it ever read a new word, behind call? What you compare must be able to differ.",
        ),
        Mistake(
            "always_false",
            lambda write, vocabulary: False,
            "Your function says False to everything, even to a summarizer that copies. The new text has a new "
            "word where the known one has a known word, so the summaries differ there, and only there.",
        ),
        Mistake(
            "unk_only",
            _right_but_for(CLAMPED, SILENT, PLACE, FIRST, LAST, THREAD, OCCURRENCE),
            "You look whether <unk> is written, or whether something is. A summarizer may write a wrong word "
            "instead, or leave it out. Compare the whole summary with the one that it should be.",
            also=[
                _right_but_for(CLAMPED, SILENT, PLACE, FIRST, LAST, THREAD),
                _right_but_for(CLAMPED, PLACE, FIRST, LAST, OCCURRENCE, UNKNOWN, ODD),
                _right_but_for(CLAMPED, PLACE, FIRST, LAST, THREAD, OCCURRENCE, UNKNOWN, ODD),
            ],
        ),
        _mistake(
            "known_after_all",
            "One summarizer knows the words that you make up, so you have not shown it a new one. Make a word "
            "that is not in its vocabulary, whatever that holds.",
            [_right_but_for(ODD)],
        ),
        _mistake(
            "no_comparison",
            "Some summarizers forget words or turn them round, even if they know all of them. That is not what "
            "is asked. Write the same text with known words, and see whether new ones fare worse.",
            _misses(SHORT, maybe=[TURNED]) + _misses(TURNED, maybe=[]),
        ),
        _mistake(
            "one_new_word",
            "Your texts have one new word at a time, or you look for one only. Two summarizers write the same "
            "word for all the new ones. Put two different ones into one text, and look for both.",
            _misses(FIRST, LAST, maybe=[OCCURRENCE, THREAD])
            + _misses(FIRST, maybe=[OCCURRENCE, THREAD])
            + _misses(LAST, maybe=[OCCURRENCE, THREAD]),
        ),
        _mistake(
            "one_place",
            "Your text begins with call and a new word. One summarizer copies the second word of a text, "
            "whatever it should copy. Let the text begin with other words, and put two different new ones in.",
            _misses(PLACE, maybe=[FIRST, LAST, OCCURRENCE, THREAD]),
        ),
        _mistake(
            "nothing_behind",
            "Your new word is the last one of the summary, or you do not look at what follows. One summarizer "
            "gets it right, and the next word wrong: it cannot read what it has written. Compare the whole "
            "summary, with a known word behind the new one.",
            _misses(THREAD, maybe=[OCCURRENCE]),
        ),
        _mistake(
            "never_twice",
            "No new word comes twice in your texts. One summarizer gives it a new number then, and writes "
            "another word. Repeat one, with another one behind it.",
            [_right_but_for(OCCURRENCE)],
        ),
    ],
)
