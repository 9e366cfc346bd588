"""Exercise 13.3: ROUGE-1 and ROUGE-L by hand."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from minattn.exercises.exercise import Case, Exercise, Law, Mistake

Words = Sequence[str]
Count = Callable[[Words, Words], int]
Combine = Callable[[float, float], float]
Scores = tuple[float, float]


def rouge(summary: Words, reference: Words) -> Scores:
    """Return ROUGE-1 and ROUGE-L, both as F."""
    return _answer()(summary, reference)


def _clipped(summary: Words, reference: Words) -> int:
    return (Counter(summary) & Counter(reference)).total()


def _f(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _lcs(
    summary: Words,
    reference: Words,
    *,
    if_equal: Callable[[int, int, int], int] = lambda above, left, corner: corner + 1,
) -> int:
    """Fill the table row by row; its last number is the length of the longest common subsequence.

    Args:
        summary: gives the rows.
        reference: gives the columns.
        if_equal: what stands where the two words are the same.
    """
    row = [0] * (len(reference) + 1)
    for word in summary:
        before, row = row, [0]
        for j, other in enumerate(reference):
            above, left, corner = before[j + 1], row[j], before[j]
            equal = word == other
            row.append(if_equal(above, left, corner) if equal else max(above, left))
    return row[-1]


def _longest_run(summary: Words, reference: Words) -> int:
    """Return the length of the longest run that stands in both."""
    runs = (_runs(words) for words in (summary, reference))
    return max(map(len, set.intersection(*runs)), default=0)


def _runs(words: Words) -> set[Words]:
    ends = range(len(words) + 1)
    return {tuple(words[i:j]) for j in ends for i in range(j)}


def _greedy(summary: Words, reference: Words) -> int:
    """Look each word of the summary up behind the one that was found before."""
    place = n = 0
    for word in summary:
        if word in reference[place:]:
            place, n = list(reference).index(word, place) + 1, n + 1
    return n


def _common_beginning(summary: Words, reference: Words) -> int:
    n = 0
    while n < min(len(summary), len(reference)) and summary[n] == reference[n]:
        n += 1
    return n


def _answer(
    *, words: Count = _clipped, order: Count = _lcs, combine: Combine = _f, combine_l: Combine = _f
) -> Callable[[Words, Words], Scores]:
    """Make an answer that counts or combines in another way."""

    def answer(summary: Words, reference: Words) -> Scores:
        def score(n: int, combine: Combine) -> float:
            return combine(n / max(len(summary), 1), n / max(len(reference), 1))

        ones = score(words(summary, reference), combine)
        return ones, score(order(summary, reference), combine_l)

    return answer


def _combined(combine: Combine, *, words_too: bool = True) -> Callable[[Words, Words], Scores]:
    return _answer(combine=combine if words_too else _f, combine_l=combine)


def _recall(precision: float, recall: float) -> float:
    return recall


def _precision(precision: float, recall: float) -> float:
    return precision


def _divides(*, empty: bool, nothing: bool) -> Callable[[Words, Words], Scores]:
    """Make an answer that does not look out for empty texts, or for texts with nothing in common."""

    def score(n: int, summary: Words, reference: Words) -> float:
        if not empty and not (summary and reference):
            return 0.0
        precision, recall = n / len(summary), n / len(reference)
        if not nothing and n == 0:
            return 0.0
        return 2 * precision * recall / (precision + recall)

    return lambda summary, reference: (
        score(_clipped(summary, reference), summary, reference),
        score(_lcs(summary, reference), summary, reference),
    )


def _of_both_lengths(summary: Words, reference: Words) -> Scores:
    n = len(summary) + len(reference)
    return 2 * _clipped(summary, reference) / n, 2 * _lcs(summary, reference) / n


def _cases() -> list[Case]:
    texts = [
        ("open the old file", "open the file"),
        ("the the the file", "the new file"),
        ("the old file", "the file of the list of the names"),
        ("close it and open the file", "open the file and close it"),
        ("file read the words", "read all words of the file"),
        ("read all words of the file", "file read the words of it"),
        ("a list of a list of names", "a list of names of a file"),
        ("words of the file and lines of the file", "lines and words of the file"),
        ("return names", "sort the list"),
        ("", "sort the list"),
        ("return names", ""),
        ("", ""),
    ]
    return [(summary.split(), reference.split()) for summary, reference in texts]


EXERCISE = Exercise(
    number="13.3",
    title="ROUGE by hand",
    solution=rouge,
    cases=_cases,
    mistakes=[
        Mistake(
            "substring",
            _answer(order=_longest_run),
            "You look for the longest run of words that stands in both. A subsequence may leave words out: "
            "open the file is one of open the old file.",
            also=[_answer(order=_common_beginning)],
        ),
        Mistake(
            "greedy",
            _answer(order=_greedy),
            "You take each word as soon as you find it behind the last one. Then one early word that stands "
            "late in the other text costs all that lies between. Try both, with it and without: fill a table.",
            also=[_answer(order=lambda summary, reference: _greedy(reference, summary))],
        ),
        Mistake(
            "order_ignored",
            _answer(order=_clipped),
            "Your ROUGE-L is ROUGE-1: it does not see the order. A common subsequence has its words in the "
            "order of both texts.",
            also=[_answer(order=lambda summary, reference: len(set(summary) & set(reference)))],
        ),
        Mistake(
            "not_from_the_corner",
            _answer(order=partial(_lcs, if_equal=lambda above, left, corner: max(above, left) + 1)),
            "A word is matched twice. Where two words are equal, the number comes from the corner, without "
            "either of them, plus 1: table[i - 1][j - 1] + 1.",
            also=[
                _answer(order=partial(_lcs, if_equal=lambda above, left, corner: above + 1)),
                _answer(order=partial(_lcs, if_equal=lambda above, left, corner: left + 1)),
            ],
        ),
        Mistake(
            "not_clipped",
            _answer(words=lambda summary, reference: sum(word in reference for word in summary)),
            "A word that is repeated matches each time, even if the other text has it once. the the the would "
            "get full marks. Of each word, no more match than both texts have: take the smaller count.",
            also=[
                _answer(words=lambda summary, reference: sum(w in summary for w in reference)),
            ],
        ),
        Mistake(
            "sets",
            _answer(words=lambda summary, reference: len(set(summary) & set(reference))),
            "Each word counts once, however often both texts have it: a set forgets how often. Use counts: a "
            "word that stands twice in both is two matches.",
        ),
        Mistake(
            "one_side_only",
            _combined(_recall),
            "This is recall alone, or precision alone. Then the longest summary wins, or one of a single right "
            "word. F takes both, 2 P R / (P + R).",
            also=[
                _combined(_precision),
                _combined(_recall, words_too=False),
                _answer(combine=_recall),
                _combined(_precision, words_too=False),
                _answer(combine=_precision),
            ],
        ),
        Mistake(
            "divides_by_zero",
            _divides(empty=True, nothing=True),
            "Something is divided by 0. An empty text has no words to divide by, and where nothing is in "
            "common P + R is 0. F is 0 then.",
            also=[
                _divides(empty=True, nothing=False),
                _divides(empty=False, nothing=True),
                _of_both_lengths,
            ],
        ),
    ],
    laws=[
        Law(
            "ROUGE-L is not above ROUGE-1, and both lie between 0 and 1",
            lambda out, *case: 0 <= out[1] <= out[0] + 1e-6 and out[0] <= 1 + 1e-6,
        ),
    ],
)
