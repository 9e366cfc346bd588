"""Exercise 14.3: the word error rate."""

from collections.abc import Callable, Sequence
from functools import partial

from minattn.exercises.exercise import Case, Exercise, Law, Mistake

Words = list[str]
Distance = Callable[[Words, Words], float]


def word_error_rate(references: Sequence[Words], hypotheses: Sequence[Words]) -> float:
    """Return the edits that turn all hypotheses into the references, by the words of the references."""
    return _pooled(references, hypotheses)


def _edits(
    reference: Words,
    hypothesis: Words,
    *,
    substitution: int = 1,
    insertion: int = 1,
    deletion: int = 1,
    swaps: bool = False,
    edge: int = 1,
) -> int:
    """Return the cheapest way from one to the other; what each edit costs may be something else."""
    rows = [[j * insertion * edge for j in range(len(hypothesis) + 1)]]
    for i, word in enumerate(reference, 1):
        row = [i * deletion * edge]
        for j, heard in enumerate(hypothesis, 1):
            other = substitution * (word != heard)
            row.append(min(rows[-1][j - 1] + other, rows[-1][j] + deletion, row[-1] + insertion))
            if swaps and i > 1 and j > 1 and reference[i - 2 : i] == hypothesis[j - 2 : j][::-1]:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def _with_rest(reference: Words, hypothesis: Words) -> int:
    """Compare place by place, and count what is left of the longer one."""
    return _in_place(reference, hypothesis) + abs(len(reference) - len(hypothesis))


def _in_place(reference: Words, hypothesis: Words) -> int:
    return sum(a != b for a, b in zip(reference, hypothesis, strict=False))


def _clipped(reference: Words, hypothesis: Words) -> int:
    return min(_edits(reference, hypothesis), len(reference))


def _of_reference(reference: Words, hypothesis: Words) -> int:
    return len(reference)


def _of_hypothesis(reference: Words, hypothesis: Words) -> int:
    return len(hypothesis)


def _of_longer(reference: Words, hypothesis: Words) -> int:
    return max(len(reference), len(hypothesis))


def _of_both(reference: Words, hypothesis: Words) -> int:
    return len(reference) + len(hypothesis)


def _pooled(
    references: Sequence[Words],
    hypotheses: Sequence[Words],
    *,
    distance: Distance = _edits,
    size: Distance = _of_reference,
    most: float = float("inf"),
    empty_too: bool = True,
) -> float:
    pairs = [(r, h) for r, h in zip(references, hypotheses, strict=True) if r or empty_too]
    return min(sum(distance(r, h) for r, h in pairs) / sum(size(r, h) for r, h in pairs), most)


def _mean_of_rates(
    references: Sequence[Words],
    hypotheses: Sequence[Words],
    *,
    of_empty: Distance | None = None,
) -> float:
    """Average the rates of the utterances; those without words are left out, or have a rate of some kind."""
    pairs = list(zip(references, hypotheses, strict=True))
    rates = [_edits(r, h) / len(r) if r else of_empty and of_empty(r, h) for r, h in pairs]
    told = [rate for rate in rates if rate is not None]
    return sum(told) / len(told)


def _mean_of_all(references: Sequence[Words], hypotheses: Sequence[Words]) -> float:
    rates = [_edits(r, h) / len(r) for r, h in zip(references, hypotheses, strict=True)]
    return sum(rates) / len(rates)


def _cases() -> list[Case]:
    written = [
        # A word is missed, so that all behind it stand one place too early.
        ["two two seven one / two seven one"],
        ["four four nine / four nine nine six", "one / one two"],
        ["six two / two six", "eight / eight", "five one zero three / five three"],
        # More edits than words.
        ["nine / one nine nine five", "two / three four"],
        # Nothing was said, and something was heard.
        ["three zero eight one seven / three eight one seven seven", " / six two", "nine / "],
    ]
    return [
        tuple([pair.split("/")[side].split() for pair in pairs] for side in (0, 1))
        for pairs in written
    ]


EXERCISE = Exercise(
    number="14.3",
    title="The word error rate",
    solution=word_error_rate,
    cases=_cases,
    mistakes=[
        Mistake(
            "place_by_place",
            partial(_pooled, distance=_with_rest),
            "You compare the words place by place. If the first one is missed, all others stand one place too "
            "early and count as wrong, though one deletion would do. Look for the fewest edits.",
            also=[partial(_pooled, distance=_in_place)],
        ),
        Mistake(
            "mean_of_rates",
            _mean_of_rates,
            "You take the rate of each utterance, and the mean of those. A single wrong word in an utterance of "
            "one counts for as much as ten in one of ten then. Add up all edits, and divide once by all words.",
            also=[
                _mean_of_all,
                partial(_mean_of_rates, of_empty=lambda r, h: len(h)),
                partial(_mean_of_rates, of_empty=lambda r, h: float(bool(h))),
                partial(_mean_of_rates, of_empty=lambda r, h: 0.0),
            ],
        ),
        Mistake(
            "other_divisor",
            partial(_pooled, size=_of_longer),
            "You divide by something else than the words of the references. Divided by what was heard, or by the "
            "longer of both, a model that talks on and on makes its own rate smaller.",
            also=[partial(_pooled, size=_of_hypothesis), partial(_pooled, size=_of_both)],
        ),
        Mistake(
            "not_all_edits_counted",
            partial(_pooled, distance=partial(_edits, insertion=0)),
            "One kind of edit costs nothing, or fills no row of its own. Words that were heard and not said are "
            "insertions, words that were missed are deletions, and each costs 1. So i words against none are i "
            "edits, not 0.",
            also=[
                partial(_pooled, distance=partial(_edits, deletion=0)),
                partial(_pooled, distance=partial(_edits, substitution=0)),
                partial(_pooled, distance=partial(_edits, edge=0)),
            ],
        ),
        Mistake(
            "substitution_costs_two",
            partial(_pooled, distance=partial(_edits, substitution=2)),
            "A wrong word counts as two edits, a deletion and an insertion. Putting one word in the place of "
            "another is one edit, a substitution.",
        ),
        Mistake(
            "swap_is_one",
            partial(_pooled, distance=partial(_edits, swaps=True)),
            "Two neighbours that have changed places count as one edit. There are only substitutions, insertions "
            "and deletions, so a swap costs 2.",
        ),
        Mistake(
            "clipped",
            partial(_pooled, most=1.0),
            "You cut the rate at 1. A model that hears words where nobody speaks makes more mistakes than there "
            "are words. The rate is then above 1, and it should be.",
            also=[partial(_pooled, distance=_clipped)],
        ),
        Mistake(
            "empty_left_out",
            partial(_pooled, empty_too=False),
            "An utterance without words is left out. Nobody spoke and the model heard two words: those are two "
            "insertions. It adds no words to divide by, but its edits count.",
        ),
    ],
    laws=[
        Law("a rate is never below 0", lambda out, *case: float(out) >= 0),
        Law(
            "the rate is at least the difference in length, by the words of the references",
            lambda out, references, hypotheses: (
                float(out) * sum(map(len, references)) + 1e-6
                >= abs(sum(map(len, references)) - sum(map(len, hypotheses)))
            ),
        ),
    ],
)
