"""ROUGE, and how much of a summary stands in its text (chapter 13): measures that count words."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

from minattn.checks import check_sizes


class Rouge(NamedTuple):
    """Three scores from 0 to 1, each the harmonic mean of precision and recall.

    Args:
        one: of the words that both have.
        two: of the pairs of neighbours that both have.
        longest: of the longest row of words that both have in the same order, with gaps.
    """

    one: float
    two: float
    longest: float


def rouge(summary: Sequence[str], reference: Sequence[str]) -> Rouge:
    r"""Score a summary against one that is right.

    With m words (or pairs) that both have, a word counted as often as both have it,

    .. math:: F = \frac{2 m}{n_\text{summary} + n_\text{reference}}.

    Capitals make no difference and signs count for nothing, as is usual; words are not cut down to their stems.

    Args:
        summary: tokens, as a model writes them.
        reference: the tokens of the right one.

    References:
        Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries, sections 2 and 3.

    >>> rouge("the cat sat down".split(), "down sat the cat".split())
    Rouge(one=1.0, two=0.3333333333333333, longest=0.5)
    """
    found, right = _words(summary), _words(reference)
    pairs = [list(pairwise(words)) for words in (found, right)]
    return Rouge(
        one=_f(_shared(found, right), len(found), len(right)),
        two=_f(_shared(*pairs), len(pairs[0]), len(pairs[1])),
        longest=_f(_longest(found, right), len(found), len(right)),
    )


def faithful(
    summary: Sequence[str], source: Sequence[str], ordinary: Collection[str] = ()
) -> float:
    """Return the share of a summary's words of content that stand in the text.

    A word that does not may be right all the same: what a text means is not all that it says. A name is not.

    Args:
        summary: tokens, as a model writes them.
        source: the tokens of the text.
        ordinary: words that need not stand in the text, and do not count; signs never do.

    Returns:
        From 0 to 1; 1 if there is no word of content.

    References:
        Counting words that a text does not have: Maynez et al. 2020, arXiv:2005.00661, section 2, on why that
        is the least that one should count.

    >>> faithful("Molvar of Tisk , 1912".split(), "in 1912 came Molvar".split(), ordinary=["of"])
    0.6666666666666666
    """
    content = [word for word in summary if re.search(r"\w", word) and word not in ordinary]
    there = set(source)
    return sum(word in there for word in content) / len(content) if content else 1.0


def lead(source: Sequence[str], n: int) -> list[str]:
    """Return the first n words of a text: the summary that every other one has to beat.

    Raises:
        ValueError: if n is below 1.
    """
    check_sizes(n=n)
    return list(source[:n])


def most_similar(source: Sequence[str], others: Sequence[Sequence[str]]) -> int:
    """Return the place of the text that has most in common with another one, by ROUGE-1; the first of several.

    Raises:
        ValueError: if there is no text to choose from.
    """
    check_sizes(others=len(others))
    words = _words(source)
    wanted = Counter(words)
    scores = [_f(_shared(wanted, found), len(words), len(found)) for found in map(_words, others)]
    return scores.index(max(scores))


def _words(tokens: Sequence[str]) -> list[str]:
    return re.findall(r"[a-z0-9]+", " ".join(tokens).lower())


def _shared(found: Sequence[object] | Counter[str], right: Sequence[object]) -> int:
    return (Counter(found) & Counter(right)).total()


def _f(shared: int, n_found: int, n_right: int) -> float:
    return 2 * shared / (n_found + n_right) if n_found and n_right else 0.0


def _longest(found: Sequence[str], right: Sequence[str]) -> int:
    """Find how long the longest common subsequence is, row by row of the table of all beginnings."""
    row = [0] * (len(right) + 1)
    for word in found:
        above = row.copy()
        for j, other in enumerate(right):
            row[j + 1] = above[j] + 1 if word == other else max(above[j + 1], row[j])
    return row[-1]
