"""Guess the next token by counting: n-grams with interpolated Kneser-Ney, alone or with what the text itself had.

All texts are counted at once, in arrays: every n-gram has a number, and with it go how often it was seen and behind
which shorter one it stands.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import numpy as np

from minattn.vocabulary import BOS, EOS

Texts = Sequence[Sequence[int]]
WEIGHTS = np.linspace(0, 0.95, 39)
"""What is tried for the share of a text's own counts."""
LONGEST = 8
"""Tokens that must be the same, at most, where a text is gone on with as it was before."""


class NGrams:
    """Counts of all n-grams up to some order, and what they say of other texts.

    A text is begun by ``BOS``, which is never guessed, and ended by ``EOS``, which is.

    Args:
        train: ids of the texts that are counted.
        texts: ids of the texts whose tokens are guessed.
        vocab_size: how many ids there are.
        max_order: tokens of the longest n-grams.

    References:
        Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 3.
    """

    def __init__(self, train: Texts, texts: Texts, vocab_size: int, max_order: int) -> None:
        self.vocab_size, self.max_order = vocab_size, max_order
        every = [[BOS, *text, EOS] for text in [*train, *texts]]
        self.tokens = np.fromiter(chain.from_iterable(every), dtype=np.int64)
        self.place = np.concatenate([np.arange(len(text)) for text in every])
        n_train = sum(len(text) + 2 for text in train)
        self.counted = np.arange(len(self.tokens)) < n_train
        self.asked = ~self.counted & (self.place > 0)
        self._estimates: dict[tuple[int, bool], tuple[np.ndarray, ...]] = {}

    @cached_property
    def grams(self) -> list[np.ndarray]:
        """Number the n-grams that end at each token, for n from 0; -1 where a text is too short."""
        found = [np.zeros_like(self.tokens), self.tokens]
        for n in range(2, self.max_order + 1):
            pair = _before(found[-1]) * self.vocab_size + self.tokens
            fits = self.place >= n - 1
            numbers = np.full_like(self.tokens, -1)
            numbers[fits] = np.unique(pair[fits], return_inverse=True)[1]
            found.append(numbers)
        return found

    def probabilities(self, order: int) -> np.ndarray:
        """Return what n-grams of one order say of every token of the texts, ``EOS`` with it."""
        p = np.full(self.asked.sum(), 1 / self.vocab_size)
        place = self.place[self.asked]
        for n in range(1, order + 1):
            kept, given, total = self._estimate(n, n == order)
            gram, context = self.grams[n][self.asked], _before(self.grams[n - 1])[self.asked]
            known = (place >= n - 1) & (total[context] > 0)
            p[known] = (kept[gram] + given[context] * p)[known] / total[context][known]
        return p

    def _estimate(self, n: int, highest: bool) -> tuple[np.ndarray, ...]:
        """Return the discounted count of every n-gram; and of every context what was taken off, and its count."""
        if (n, highest) not in self._estimates:
            counts = self._counts(n, highest)
            often = np.minimum(counts, 3)
            taken = _discounts(counts)[often]
            context = np.zeros(len(counts), dtype=np.int64)
            seen = self._seen(n)
            context[self.grams[n][seen]] = _before(self.grams[n - 1])[seen]
            n_contexts = self.grams[n - 1].max() + 1
            given = np.bincount(context, taken, n_contexts)
            total = np.bincount(context, counts, n_contexts)
            self._estimates[n, highest] = (counts - taken, given, total)
        return self._estimates[n, highest]

    def _counts(self, n: int, highest: bool) -> np.ndarray:
        """Count every n-gram; for a lower order only in how many ways it is gone on with to the left."""
        size = self.grams[n].max() + 1 if n > 1 else self.vocab_size
        seen = self._seen(n)
        counts = np.bincount(self.grams[n][seen], minlength=size)
        if highest:
            return counts
        longer = self._seen(n + 1)
        first = np.unique(self.grams[n + 1][longer], return_index=True)[1]
        ways = np.bincount(self.grams[n][longer][first], minlength=size)
        begins = np.bincount(self.grams[n][seen & (self.place == n - 1)], minlength=size) > 0
        return np.where(begins, counts, ways)  # nothing stands to the left of a beginning

    def _seen(self, n: int) -> np.ndarray:
        return self.counted & (self.place > 0) & (self.place >= n - 1)


def _before(numbers: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], numbers[:-1]])


def _discounts(counts: np.ndarray) -> np.ndarray:
    """Say what is taken off a count of 0, 1, 2, and 3 or more."""
    n = [(counts == times).sum() for times in range(5)]
    share = n[1] / max(1, n[1] + 2 * n[2])
    off = [k - (k + 1) * share * n[k + 1] / max(1, n[k]) for k in (1, 2, 3)]
    return np.array([0.0, *(min(k, max(0.1, d)) for k, d in enumerate(off, 1))])


def own_guesses(texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Guess from the text itself.

    Returns:
        For every token how often it was said before in the text, as a share; how often it came where the longest run
        of tokens up to here stood before, as a share; and the length of that run, 0 where there is none.
    """
    said, followed, runs = [], [], []
    for text in texts:
        tokens = [BOS, *text, EOS]
        before: Counter[int] = Counter()
        after: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for i in range(1, len(tokens)):
            ends = [tuple(tokens[i - n : i]) for n in range(1, min(LONGEST, i) + 1)]
            run = max((len(end) for end in ends if end in after), default=0)
            counts = after[ends[run - 1]] if run else Counter()
            said.append(before[tokens[i]] / max(1, i - 1))
            followed.append(counts[tokens[i]] / max(1, counts.total()))
            runs.append(run)
            before[tokens[i]] += 1
            for end in ends:
                after[end][tokens[i]] += 1
    return np.array(said), np.array(followed), np.array(runs)


def best_share(p: np.ndarray, own: np.ndarray) -> float:
    """Choose how much of a mixture comes from a text's own counts."""
    if not len(p):
        return 0.0
    return float(min(WEIGHTS, key=lambda w: -np.log((1 - w) * p + w * own).sum()))


def mixed(
    p: np.ndarray, texts: Texts, chosen_on: tuple[np.ndarray, Texts]
) -> dict[str, np.ndarray]:
    """Mix n-grams with a text's own counts, of tokens or of what followed a run.

    Args:
        p: what n-grams say of every token of the texts.
        texts: ids.
        chosen_on: the same for other texts, by which the shares are chosen, one for each length of a run.
    """
    said, followed, runs = own_guesses(texts)
    p_chosen, (said_c, followed_c, runs_c) = chosen_on[0], own_guesses(chosen_on[1])
    cache = best_share(p_chosen, said_c)
    shares = np.array(
        [0.0]
        + [
            best_share(p_chosen[runs_c == n], followed_c[runs_c == n])
            for n in range(1, LONGEST + 1)
        ]
    )
    share = shares[runs]
    return {
        "with a cache": (1 - cache) * p + cache * said,
        "with its own n-grams": (1 - share) * p + share * followed,
    }


def longest_copy(text: Sequence[int], train: str) -> int:
    """Return how many tokens in a row a text has that stand so in the training text, see ``written``."""
    line, best = written([text]), 0
    for start in range(len(line)):
        while start + best < len(line) and line[start : start + best + 1] in train:
            best += 1
    return best


def written(texts: Texts) -> str:
    """Write texts as one string with a character for each token, which is quickly searched."""
    return chr(0).join("".join(map(chr, text)) for text in texts)


def bits(p: np.ndarray) -> np.ndarray:
    """Say how many bits a token of some probability takes."""
    found: np.ndarray = -np.log(p) / math.log(2)
    return found
