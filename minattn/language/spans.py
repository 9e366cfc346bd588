"""Gaps of several tokens, each filled by one sentinel (chapter 12): what T5 is pre-trained to fill."""

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

from minattn.checks import check_finite, check_shares, check_whole

Span = tuple[int, int]
"""Where a gap begins, and where it has ended."""


def corrupt_spans(
    tokens: Sequence[str], spans: Iterable[Span], sentinels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Cut spans out of a text: each leaves a sentinel, and the target says what stood there.

    The target ends with one more sentinel, so that the last span has an end too.

    Args:
        tokens: the text.
        spans: beginning and end of each, from left to right; between two is at least one token.
        sentinels: one more than there are spans, all different.

    Returns:
        Source and target.

    Raises:
        ValueError: if there is no span or an empty one, two of them touch, one leads out of the text, or there are
            not enough sentinels.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 3.1.4 and figure 2.

    >>> text = "thank you for inviting me to your party last week".split()
    >>> source, target = corrupt_spans(text, [(2, 4), (8, 9)], ["<x>", "<y>", "<z>"])
    >>> " ".join(source)
    'thank you <x> me to your party <y> week'
    >>> " ".join(target)
    '<x> for inviting <y> last <z>'
    """
    spans = list(spans)
    if not spans or len(set(sentinels)) != len(sentinels) or len(sentinels) <= len(spans):
        raise ValueError(
            "there must be at least one span, and one sentinel more than spans, no two alike, "
            f"got {len(spans)} spans and the sentinels {list(sentinels)}"
        )
    source: list[str] = []
    target: list[str] = []
    done = -1
    for (start, end), sentinel in zip(spans, sentinels, strict=False):
        if not done < start < end <= len(tokens):
            raise ValueError(
                f"spans must hold tokens of the {len(tokens)}, in order, with one between two, got {spans}"
            )
        source += [*tokens[max(done, 0) : start], sentinel]
        target += [sentinel, *tokens[start:end]]
        done = end
    return [*source, *tokens[done:]], [*target, sentinels[len(spans)]]


def draw_spans(
    n_tokens: int, rng: random.Random, share: float | int = 0.15, mean_length: float | int = 3.0
) -> list[Span]:
    """Draw which spans of a text are cut out: so many tokens together, in so many spans.

    How many tokens and how many spans is decided by the length of the text alone, rounded; where they lie is drawn,
    each way to share out the tokens as likely.

    Args:
        n_tokens: length of the text, at least 2.
        rng: where the draws come from.
        share: of the tokens that are cut out; at least one is, and one stays.
        mean_length: of a span.

    Raises:
        ValueError: if the text has fewer than two tokens, the share is not in [0, 1], or the mean is below 1.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 3.3.4: 15 % in spans of 3 tokens on average.

    >>> draw_spans(10, random.Random(0), share=0.5, mean_length=2)
    [(0, 4), (7, 8)]
    """
    check_whole(2, n_tokens=n_tokens)
    check_shares(share=share)
    check_finite(mean_length=mean_length)
    if mean_length < 1:
        raise ValueError(f"mean_length must be at least 1, got {mean_length}")
    cut = min(max(round(n_tokens * share), 1), n_tokens - 1)
    kept = n_tokens - cut
    n_spans = min(max(round(cut / mean_length), 1), kept)
    lengths = _shared_out(cut, n_spans, rng)
    gaps = _shared_out(kept + 2, n_spans + 1, rng)  # two more: a text may begin and end with a span
    spans, place = [], -1
    for gap, length in zip(gaps, lengths, strict=False):
        place += gap
        spans.append((place, place + length))
        place += length
    return spans


def _shared_out(total: int, parts: int, rng: random.Random) -> list[int]:
    """Share a number out into parts of at least 1."""
    cuts = sorted(rng.sample(range(1, total), parts - 1))
    return [b - a for a, b in pairwise([0, *cuts, total])]
