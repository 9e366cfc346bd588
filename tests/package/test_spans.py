"""Gaps of several tokens: what is cut out can be put back, and every place is as likely."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minattn.language.spans import corrupt_spans, draw_spans


@given(st.integers(2, 60), st.integers(0, 10**6), st.floats(0, 1), st.floats(1, 5))
def test_a_text_can_be_put_together_again_from_source_and_target(n, seed, share, mean):
    tokens = [f"w{i}" for i in range(n)]
    spans = draw_spans(n, random.Random(seed), share, mean)
    sentinels = [f"<{i}>" for i in range(len(spans) + 1)]
    source, target = corrupt_spans(tokens, spans, sentinels)
    filled = {s: target[target.index(s) + 1 : target.index(t)] for s, t in pairwise(sentinels)}
    again = [w for token in source for w in filled.get(token, [token])]
    assert again == tokens
    assert [t for t in source if t in filled] == sentinels[:-1]
    assert target[-1] == sentinels[-1] and all(filled.values())
    cut = sum(map(len, filled.values()))
    assert cut == min(max(round(n * share), 1), n - 1)
    assert len(spans) == min(max(round(cut / mean), 1), n - cut)


def test_every_place_of_a_span_is_as_likely():
    drawn = [tuple(draw_spans(4, random.Random(i), 0.5, 1)) for i in range(3000)]
    for spans in [((0, 1), (2, 3)), ((0, 1), (3, 4)), ((1, 2), (3, 4))]:
        assert 0.29 < drawn.count(spans) / 3000 < 0.38


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: corrupt_spans(["a"], [], ["<x>"]), "at least one span"),
        (lambda: corrupt_spans(["a", "b"], [(0, 1)], ["<x>"]), "one sentinel more than spans"),
        (lambda: corrupt_spans(["a", "b"], [(0, 1)], ["<x>", "<x>"]), "no two alike"),
        (lambda: corrupt_spans(list("abc"), [(0, 1), (1, 2)], list("xyz")), "with one between two"),
        (lambda: corrupt_spans(list("abc"), [(1, 1)], list("xyz")), "spans must hold tokens"),
        (lambda: corrupt_spans(list("abc"), [(2, 4)], list("xyz")), "spans must hold tokens"),
        (lambda: draw_spans(1, random.Random(0)), "n_tokens must be at least 2, got 1"),
        (lambda: draw_spans(5, random.Random(0), 1.5), r"share must be in \[0, 1\], got 1.5"),
        (
            lambda: draw_spans(5, random.Random(0), 0.5, 0.5),
            "mean_length must be at least 1, got 0.5",
        ),
    ],
)
def test_bad_input_is_named(make, what):
    with pytest.raises(ValueError, match=what):
        make()
