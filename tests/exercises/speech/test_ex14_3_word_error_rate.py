from difflib import SequenceMatcher
from functools import cache
from itertools import chain

import numpy as np
import torch

from minattn.exercises.speech.ex14_3_word_error_rate import EXERCISE, word_error_rate

# Other right ways: by recursion, with one row, with NumPy's table, with tensors, by a search.


def rate_by_recursion(references, hypotheses):
    @cache
    def edits(a, b):
        if not a or not b:
            return len(a) + len(b)
        if a[0] == b[0]:
            return edits(a[1:], b[1:])
        return 1 + min(edits(a[1:], b[1:]), edits(a[1:], b), edits(a, b[1:]))

    total = sum(edits(tuple(a), tuple(b)) for a, b in zip(references, hypotheses, strict=True))
    return total / len(list(chain.from_iterable(references)))


def rate_with_one_row(references, hypotheses):
    edits, n_words = 0, 0
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        row = list(range(len(hypothesis) + 1))
        for i, word in enumerate(reference):
            diagonal, row[0] = row[0], i + 1
            for j, heard in enumerate(hypothesis):
                best = min(diagonal + (word != heard), row[j] + 1, row[j + 1] + 1)
                diagonal, row[j + 1] = row[j + 1], best
        edits += row[-1]
        n_words += len(reference)
    return edits / n_words


def rate_numpy(references, hypotheses):
    edits = 0
    for a, b in zip(references, hypotheses, strict=True):
        table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
        table[:, 0], table[0, :] = np.arange(len(a) + 1), np.arange(len(b) + 1)
        for i in range(len(a)):
            for j in range(len(b)):
                steps = table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (a[i] != b[j])
                table[i + 1, j + 1] = min(steps)
        edits += table[-1, -1]
    return edits / sum(map(len, references))


def rate_by_breadth(references, hypotheses):
    """Search with 0, 1, 2 edits: how far along each diagonal can one get?"""

    def edits(a, b):
        reached, n = {(0, 0)}, 0
        while True:
            new = set()
            for i, j in reached:
                while i < len(a) and j < len(b) and a[i] == b[j]:
                    i, j = i + 1, j + 1
                new.add((i, j))
            if (len(a), len(b)) in new:
                return n
            moves = [(i + x, j + y) for i, j in new for x, y in ((1, 0), (0, 1), (1, 1))]
            reached, n = {(i, j) for i, j in moves if i <= len(a) and j <= len(b)}, n + 1

    total = sum(map(edits, references, hypotheses))
    return torch.tensor(total / sum(len(reference) for reference in references))


OTHER_WAYS = [rate_by_recursion, rate_with_one_row, rate_numpy, rate_by_breadth]


# Wrong ways, written as a learner writes them.


def rate_by_zip(references, hypotheses):
    wrong = n_words = 0
    for a, b in zip(references, hypotheses, strict=True):
        wrong += sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))
        n_words += len(a)
    return wrong / n_words


def rate_with_an_empty_first_row(references, hypotheses):
    edits = 0
    for a, b in zip(references, hypotheses, strict=True):
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i in range(1, len(a) + 1):
            for j in range(1, len(b) + 1):
                same = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
                table[i][j] = min(same, table[i - 1][j] + 1, table[i][j - 1] + 1)
        edits += table[-1][-1]
    return edits / sum(map(len, references))


def rate_of_each(references, hypotheses):
    pairs = list(zip(references, hypotheses, strict=True))
    rates = [rate_by_recursion([a], [b]) for a, b in pairs if a]
    return sum(rates) / len(rates)


def rate_by_what_was_heard(references, hypotheses):
    edits = rate_numpy(references, hypotheses) * sum(map(len, references))
    return edits / sum(map(len, hypotheses))


def rate_at_most_one(references, hypotheses):
    return min(1.0, rate_with_one_row(references, hypotheses))


NEAR_MISSES = [
    ("place_by_place", rate_by_zip),
    ("not_all_edits_counted", rate_with_an_empty_first_row),
    ("mean_of_rates", rate_of_each),
    ("other_divisor", rate_by_what_was_heard),
    ("clipped", rate_at_most_one),
]


# What is said, and what the checker is tried on.


def test_no_cheaper_way_is_found_by_matching_blocks():
    """Any alignment gives at least as many edits."""
    for references, hypotheses in EXERCISE.cases():
        n_edits = 0
        for a, b in zip(references, hypotheses, strict=True):
            for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
                n_edits += 0 if kind == "equal" else max(j - i, m - k)
        assert word_error_rate(references, hypotheses) <= n_edits / sum(map(len, references))


def test_a_case_is_above_one_and_one_has_an_empty_reference_and_an_empty_hypothesis():
    rates = [word_error_rate(*case) for case in EXERCISE.cases()]
    assert max(rates) > 1
    assert any([] in references for references, _ in EXERCISE.cases())
    assert any([] in hypotheses for _, hypotheses in EXERCISE.cases())


def test_the_numbers_of_the_task():
    references = ["two seven one".split(), "five".split()]
    hypotheses = ["seven one".split(), "five five nine".split()]
    assert word_error_rate(references, hypotheses) == 0.75
