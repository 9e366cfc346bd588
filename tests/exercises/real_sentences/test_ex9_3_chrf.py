import statistics
from collections import Counter

import numpy as np
import pytest
import sacrebleu
from hypothesis import example, given
from hypothesis import strategies as st

from minattn.exercises import EXERCISES
from minattn.exercises.real_sentences.ex9_3_chrf import chrf

TEXTS = st.text("aAb !\t", max_size=12)


def chrf_of_the_program(hypothesis, reference, n, beta):
    return sacrebleu.sentence_chrf(hypothesis, [reference], char_order=n, beta=beta).score


@pytest.mark.parametrize("case", EXERCISES["9.3"].cases(), ids=lambda case: case[0] or "empty")
def test_it_agrees_with_the_program_on_every_case(case):
    assert chrf(*case) == pytest.approx(chrf_of_the_program(*case), abs=1e-4)


@given(TEXTS, TEXTS, st.integers(1, 7), st.integers(1, 3))
@example("", "", 2, 2)
@example("a", "", 2, 2)
@example("abc", "bc", 6, 2)
def test_it_agrees_with_the_program(hypothesis, reference, n, beta):
    case = (hypothesis, reference, n, beta)
    assert chrf(*case) == pytest.approx(chrf_of_the_program(*case), abs=1e-4)


def test_the_errors_of_the_chapter_cost_what_it_says():
    ways = ["be delete", "deleted be", ""]
    reference = "This image cannot be deleted"
    scores = [chrf(f"This image {'cannot ' * bool(w)}{w}", reference, 6, 2) for w in ways]
    assert [round(score) for score in scores] == [96, 80, 35]
    assert round(chrf("This image can be deleted", reference, 6, 2)) == 76
    assert round(chrf("This image", reference, 6, 1)) == 46


# Other right ways: lists that become shorter, arrays, matrices of counts, and no Counter at all.


def chrf_by_removal(hypothesis, reference, n, beta):
    """Take a run of the reference away once it has been matched."""
    hypothesis, reference = hypothesis.replace(" ", ""), reference.replace(" ", "")
    precisions, recalls = [], []
    for order in range(1, min(n, len(hypothesis), len(reference)) + 1):
        written = [hypothesis[i : i + order] for i in range(len(hypothesis) - order + 1)]
        wanted = [reference[i : i + order] for i in range(len(reference) - order + 1)]
        left, matches = list(wanted), 0
        for run in written:
            if run in left:
                left.remove(run)
                matches += 1
        precisions.append(matches / len(written))
        recalls.append(matches / len(wanted))
    if not any(precisions):
        return 0
    p, r = statistics.mean(precisions), statistics.mean(recalls)
    return 100 * (1 + beta**2) / (1 / p + beta**2 / r)


def chrf_with_arrays(hypothesis, reference, n, beta):
    """Count in arrays, with something tiny below the fraction line."""
    texts = ["".join(text.split()) for text in (hypothesis, reference)]
    sums, orders = np.zeros(2), 0
    for order in range(1, n + 1):
        parts = [[text[i : i + order] for i in range(len(text) - order + 1)] for text in texts]
        known = sorted({*parts[0], *parts[1]})
        a, b = (np.array([part.count(run) for run in known]) for part in parts)
        if a.any() and b.any():
            matches = np.minimum(a, b).sum()
            sums += matches / a.sum(), matches / b.sum()
            orders += 1
    precision, recall = sums / max(orders, 1)
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / (below + 1e-12) * 100


def chrf_step_by_step(hypothesis, reference, n, beta):
    """Divide only where there is something to divide by, and return early."""

    def runs(text, order):
        counts = {}
        letters = [letter for letter in text if not letter.isspace()]
        for i in range(len(letters) - order + 1):
            run = tuple(letters[i : i + order])
            counts[run] = counts.get(run, 0) + 1
        return counts

    p, r, used = 0.0, 0.0, 0
    for k in range(n):
        a, b = runs(hypothesis, k + 1), runs(reference, k + 1)
        if not a or not b:
            break
        matches = sum(min(times, b.get(run, 0)) for run, times in a.items())
        p += matches / sum(a.values())
        r += matches / sum(b.values())
        used += 1
    if used == 0 or p == 0 or r == 0:
        return 0.0
    p, r = p / used, r / used
    return (1 + beta * beta) * p * r / (beta * beta * p + r) * 100


OTHER_WAYS = [chrf_of_the_program, chrf_by_removal, chrf_with_arrays, chrf_step_by_step]


# Wrong ways, written as a learner writes them.


def grams(text, order):
    text = text.replace(" ", "")
    return Counter(text[i : i + order] for i in range(len(text) - order + 1))


def means(hypothesis, reference, n):
    precisions, recalls = [], []
    for order in range(1, n + 1):
        a, b = grams(hypothesis, order), grams(reference, order)
        if a and b:
            matches = (a & b).total()
            precisions.append(matches / a.total())
            recalls.append(matches / b.total())
    n_orders = max(len(precisions), 1)
    return sum(precisions) / n_orders, sum(recalls) / n_orders


def chrf_without_a_guard(hypothesis, reference, n, beta):
    """Think of long sentences only."""
    p = r = 0
    for order in range(1, n + 1):
        a, b = grams(hypothesis, order), grams(reference, order)
        matches = sum(min(a[run], b[run]) for run in a)
        p += matches / sum(a.values())
        r += matches / sum(b.values())
    p, r = p / n, r / n
    return 100 * (1 + beta**2) * p * r / (beta**2 * p + r)


def chrf_of_sets(hypothesis, reference, n, beta):
    p = r = used = 0
    for order in range(1, n + 1):
        a, b = set(grams(hypothesis, order)), set(grams(reference, order))
        if a and b:
            p += len(a & b) / len(a)
            r += len(a & b) / len(b)
            used += 1
    return 100 * (1 + beta**2) * p * r / (beta**2 * p + r) / used if p else 0.0


def chrf_with_beta_at_recall(hypothesis, reference, n, beta):
    p, r = means(hypothesis, reference, n)
    return 100 * (1 + beta**2) * p * r / (p + beta**2 * r) if p else 0.0


def chrf_balanced(hypothesis, reference, n, beta):
    p, r = means(hypothesis, reference, n)
    return 100 * 2 * p * r / (p + r) if p else 0.0


def chrf_without_brackets(hypothesis, reference, n, beta):
    p, r = means(hypothesis, reference, n)
    return 100 * ((1 + beta**2) * p * r / beta**2 * p + r)


def chrf_by_membership(hypothesis, reference, n, beta):
    """Ask of every run whether the other sentence has it."""
    p = r = used = 0
    for order in range(1, n + 1):
        a, b = grams(hypothesis, order), grams(reference, order)
        if a and b:
            p += sum(times for run, times in a.items() if run in b) / a.total()
            r += sum(times for run, times in b.items() if run in a) / b.total()
            used += 1
    if not p:
        return 0.0
    p, r = p / used, r / used
    return 100 * (1 + beta**2) * p * r / (beta**2 * p + r)


def chrf_over_n(hypothesis, reference, n, beta):
    """Divide by n, however many orders there are."""
    p = r = 0
    for order in range(1, n + 1):
        a, b = grams(hypothesis, order), grams(reference, order)
        p += (a & b).total() / (a.total() + 1e-9)
        r += (a & b).total() / (b.total() + 1e-9)
    return 100 * (1 + beta**2) * p * r / (beta**2 * p + r + 1e-9) / n


NEAR_MISSES = [
    ("nothing_to_divide_by", chrf_without_a_guard),
    ("sets", chrf_of_sets),
    ("swapped", chrf_with_beta_at_recall),
    ("f1", chrf_balanced),
    ("brackets", chrf_without_brackets),
    ("not_clipped", chrf_by_membership),
    ("missing_is_zero", chrf_over_n),
]
