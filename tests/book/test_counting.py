"""What GPT is compared with: n-grams are probabilities, and those of a slow loop."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from book.experiments.counting import (
    NGrams,
    best_share,
    bits,
    longest_copy,
    mixed,
    own_guesses,
    written,
)
from minattn.vocabulary import BOS, EOS

V = 7
GENERATOR = np.random.default_rng(0)


def drawn(n, lengths=(1, 13)):
    return [
        GENERATOR.choice(range(3, V), size=GENERATOR.integers(*lengths), p=[0.6, 0.2, 0.1, 0.1])
        .astype(int)
        .tolist()
        for _ in range(n)
    ]


TRAIN, TEXTS = drawn(40), drawn(11)


def reference(train, history, token, order):
    """Kneser-Ney as a loop over all orders, with three discounts for each."""
    p = 1 / V
    for n in range(1, order + 1):
        if len(history) < n - 1:
            break
        seen, left = Counter(), defaultdict(set)
        for text in train:
            line = [BOS, *text, EOS]
            for i in range(max(1, n - 1), len(line)):
                gram = tuple(line[i - n + 1 : i + 1])
                seen[gram] += 1
                left[gram].add(line[i - n] if i >= n else None)
        if n < order:
            seen = Counter({g: seen[g] if None in left[g] else len(left[g]) for g in seen})
        times = [sum(count == k for count in seen.values()) for k in range(5)]
        y = times[1] / max(1, times[1] + 2 * times[2])
        off = [
            min(k, max(0.1, k - (k + 1) * y * times[k + 1] / max(1, times[k]))) for k in (1, 2, 3)
        ]
        context = tuple(history[len(history) - n + 1 :])
        behind = {g[-1]: c for g, c in seen.items() if g[:-1] == context}
        if not behind:
            continue
        given = sum(off[min(c, 3) - 1] for c in behind.values())
        count = behind.get(token, 0)
        kept = count - off[min(count, 3) - 1] if count else 0
        p = (kept + given * p) / sum(behind.values())
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_n_grams_say_what_a_slow_loop_says(order):
    expected = []
    for text in TEXTS:
        line = [BOS, *text, EOS]
        expected += [reference(TRAIN, line[:i], line[i], order) for i in range(1, len(line))]
    found = NGrams(TRAIN, TEXTS, V, 5).probabilities(order)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("history", [[], [3], [3, 4], [6, 6, 6, 6], [5, 3, 3]])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_all_tokens_together_have_the_probability_1(history, order):
    total = sum(
        NGrams(TRAIN, [[*history, token]], V, 4).probabilities(order)[len(history)]
        for token in range(V)
    )
    assert math.isclose(total, 1, rel_tol=1e-12)


def test_a_text_of_its_own_is_gone_on_with_as_it_was_before():
    said, followed, runs = own_guesses([[3, 4, 3, 4, 5]])
    # asked for        3  4  3  4    5    EOS
    assert runs.tolist() == [0, 0, 0, 1, 2, 0]
    assert followed.tolist() == [0, 0, 0, 1, 0, 0]
    assert said.tolist() == [0, 0, 1 / 2, 1 / 3, 0, 0]


def test_the_share_of_own_counts_is_the_one_with_the_fewest_bits():
    p, own = np.array([0.1, 0.1]), np.array([0.9, 0.0])
    shares = np.linspace(0, 0.95, 39)
    cost = [-(math.log((1 - w) * 0.1 + w * 0.9) + math.log((1 - w) * 0.1)) for w in shares]
    assert math.isclose(best_share(p, own), shares[int(np.argmin(cost))])
    assert best_share(p, np.zeros(2)) == 0 == best_share(p[:0], own[:0])


def test_a_text_that_repeats_itself_is_better_guessed_with_its_own_counts():
    texts = [[5, 6, 3, 6] * 4, [6, 4, 5] * 5]
    p = NGrams(TRAIN, texts, V, 3).probabilities(3)
    found = mixed(p, texts, chosen_on=(p, texts))
    cost = {name: bits(q).mean() for name, q in found.items()}
    assert cost["with its own n-grams"] < cost["with a cache"] < bits(p).mean()
    assert all((q > 0).all() and (q <= 1).all() for q in found.values())


def test_bits_halve_a_probability():
    np.testing.assert_allclose(bits(np.array([1.0, 0.5, 0.125])), [0, 1, 3])


def test_the_longest_copy_lies_within_one_text():
    train = written([[3, 4, 5, 6], [7, 8, 9]])
    assert longest_copy([9, 4, 5, 6, 7, 8], train) == 3
    assert longest_copy([6, 7], train) == 1
    assert longest_copy([10], train) == 0
