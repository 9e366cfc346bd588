from collections import Counter
from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minattn.exercises.summarization.ex13_3_rouge import EXERCISE, rouge

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


def rouge_by_all_subsequences(summary, reference):
    """Write every subsequence down."""

    def subsequences(words):
        return {part for n in range(len(words) + 1) for part in combinations(words, n)}

    left = list(reference)
    for word in summary:
        if word in left:
            left.remove(word)
    ones = len(reference) - len(left)
    longest = max(map(len, subsequences(summary) & subsequences(reference)))
    n = len(summary) + len(reference)
    return (2 * ones / n, 2 * longest / n) if n else (0, 0)


@given(WORDS, WORDS)
def test_it_agrees_with_writing_all_subsequences_down(summary, reference):
    assert rouge(summary, reference) == pytest.approx(rouge_by_all_subsequences(summary, reference))


# Other right ways: recursion, arrays, and what a careful learner might do differently.


def rouge_recursive(summary, reference):
    @lru_cache(None)
    def longest(i, j):
        if i == len(summary) or j == len(reference):
            return 0
        if summary[i] == reference[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    def f(n):
        if n == 0:
            return 0
        p, r = n / len(summary), n / len(reference)
        return 2 / (1 / p + 1 / r)

    return f((Counter(summary) & Counter(reference)).total()), f(longest(0, 0))


def rouge_with_arrays(summary, reference):
    table = np.zeros((len(summary) + 1, len(reference) + 1))
    for i, word in enumerate(summary, 1):
        for j, other in enumerate(reference, 1):
            table[i, j] = max(
                table[i - 1, j], table[i, j - 1], table[i - 1, j - 1] + (word == other)
            )
    words = sorted({*summary, *reference})
    a, b = (np.array([text.count(word) for word in words]) for text in (summary, reference))
    ways = np.array([np.minimum(a, b).sum(), table[-1, -1]])
    return tuple(2 * ways / max(len(summary) + len(reference), 1))


def rouge_with_something_tiny(summary, reference):
    table = [[0] * (len(reference) + 1) for _ in range(len(summary) + 1)]
    for i in reversed(range(len(summary))):
        for j in reversed(range(len(reference))):
            if summary[i] == reference[j]:
                table[i][j] = table[i + 1][j + 1] + 1
            else:
                table[i][j] = max(table[i + 1][j], table[i][j + 1])
    scores = []
    for n in (sum(min(summary.count(w), reference.count(w)) for w in set(summary)), table[0][0]):
        p, r = n / (len(summary) + 1e-12), n / (len(reference) + 1e-12)
        scores.append(2 * p * r / (p + r + 1e-12))
    return scores


OTHER_WAYS = [
    rouge_by_all_subsequences,
    rouge_recursive,
    rouge_with_arrays,
    rouge_with_something_tiny,
]


# Wrong ways, written as a learner writes them.

RIGHT = """
def f(n, summary, reference):
    if not summary or not reference or n == 0:
        return 0.0
    p = n / len(summary)
    r = n / len(reference)
    return 2 * p * r / (p + r)

def answer(summary, reference):
    a, b = Counter(summary), Counter(reference)
    ones = sum(min(a[word], b[word]) for word in a)
    table = [[0] * (len(reference) + 1) for _ in range(len(summary) + 1)]
    for i in range(1, len(summary) + 1):
        for j in range(1, len(reference) + 1):
            if summary[i - 1] == reference[j - 1]:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    longest = table[-1][-1]
    return f(ones, summary, reference), f(longest, summary, reference)
"""


def changed(*pairs):
    text = RIGHT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    names = {"Counter": Counter}
    exec(text, names)
    return names["answer"]


SMALLER = "min(a[word], b[word]) for word in a"

NEAR_MISSES = [
    ("divides_by_zero", changed(("if not summary or not reference or n == 0", "if False"))),
    ("divides_by_zero", changed((" or n == 0", ""))),
    ("one_side_only", changed(("2 * p * r / (p + r)", "r"))),
    ("one_side_only", changed(("r = n / len(reference)", "r = p"))),
    ("sets", changed((SMALLER, "word in b for word in a"))),
    ("not_clipped", changed((SMALLER, "word in b for word in summary"))),
    (
        "substring",
        changed(
            ("max(table[i - 1][j], table[i][j - 1])", "0"),
            ("table[-1][-1]", "max(map(max, table))"),
        ),
    ),
    ("not_from_the_corner", changed(("table[i - 1][j - 1] + 1", "table[i - 1][j] + 1"))),
]


# What is said, and what the checker is tried on.


def test_the_first_case_by_hand():
    (case, *_) = EXERCISE.cases()
    assert rouge(*case) == pytest.approx((6 / 7, 6 / 7))  # 3 of 4 words, and 3 of 3


def test_texts_may_be_empty_or_have_nothing_in_common():
    assert [rouge(*case) for case in EXERCISE.cases()[-4:]] == [(0.0, 0.0)] * 4
