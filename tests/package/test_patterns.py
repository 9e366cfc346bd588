from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend, fused_attend
from minattn.masks import CAUSAL, Causal, MaskDescription, Padding, Window, to_bool
from minattn.scaling.blockwise import blockwise_attend
from minattn.scaling.patterns import SinkWindow, Strided, first_difference, first_fault
from tests.package.strategies import ROUNDING, normal


@given(sinks=st.integers(0, 5), before=st.integers(0, 5))
def test_a_window_with_sinks_is_what_its_formula_says(sinks, before):
    def rule(i, j):
        return j <= i and (j < sinks or i - j <= before)

    assert first_difference(SinkWindow(sinks, before), rule) is None


@given(stride=st.integers(1, 8))
def test_a_strided_mask_is_what_its_formula_says(stride):
    def rule(i, j):
        return j <= i and (i - j < stride or (i - j) % stride == 0)

    assert first_difference(Strided(stride), rule) is None


def test_without_sinks_it_is_a_window():
    shape = 7, 11
    assert SinkWindow(0, 3).to_bool(shape).equal(Window(before=3, after=0).to_bool(shape))


def test_two_strided_layers_connect_any_two_places():
    n, stride = 23, 5
    once = Strided(stride).to_bool((n, n)).double()
    assert ((once @ once > 0) == torch.ones(n, n).tril().bool()).all()


@pytest.mark.parametrize("mask", [SinkWindow(2, 1), Strided(3)], ids=str)
@pytest.mark.parametrize("block", [1, 3, 256])
def test_blocks_take_them_there_and_back(mask, block):
    for queries, keys in ((7, 7), (3, 11), (11, 3)):
        tensors = [normal(2, n, 5, seed=n).requires_grad_() for n in (queries, keys, keys)]
        tokens = torch.ones(2, keys, dtype=torch.bool)
        tokens[1, -2:] = False
        both = mask & Padding(tokens)
        found = blockwise_attend(*tensors, both, block=block)
        expected = attend(*tensors, both)
        assert_close(found, expected, **ROUNDING)
        grads = (torch.autograd.grad(x.square().sum(), tensors) for x in (found, expected))
        assert_close(*grads, **ROUNDING)


# The checkers


def test_every_attend_of_the_book_is_without_fault():
    for each in (attend, fused_attend, blockwise_attend):
        assert first_fault(each) is None


def blocks_of_two(query, key, value, mask=None):
    return blockwise_attend(query, key, value, mask, block=2)


def test_small_blocks_are_without_fault():
    assert first_fault(blocks_of_two) is None


def in_the_first_corner(query, key, value, mask=None):
    """Hand a causal mask over as torch's flag, whatever the lengths."""
    if isinstance(mask, Causal):
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    return attend(query, key, value, mask)


def one_too_wide(query, key, value, mask=None):
    if isinstance(mask, Window):
        mask = Window(mask.before + 1, mask.after)
    return attend(query, key, value, mask)


def wide_after(query, key, value, mask=None):
    if isinstance(mask, Window):
        mask = Window(mask.before, mask.after + 1)
    return attend(query, key, value, mask)


def nan_in_empty_rows(query, key, value, mask=None):
    scores = query @ key.mT / key.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~to_bool(mask, scores.shape), -torch.inf)
    return scores.softmax(-1) @ value


def mean_in_empty_rows(query, key, value, mask=None):
    scores = query @ key.mT / key.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~to_bool(mask, scores.shape), -1e9)
    return scores.softmax(-1) @ value


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (in_the_first_corner, "1 queries, 2 keys, causal: query 0 is off"),
        (one_too_wide, "1 queries, 2 keys, Window(before=0, after=0): query 0 is off"),
        (wide_after, "2 queries, 1 keys, Window(before=0, after=0): query 0 is off"),
        (nan_in_empty_rows, "1 queries, 1 keys, nothing for query 0: query 0 is off"),
        (mean_in_empty_rows, "1 queries, 1 keys, nothing for query 0: query 0 is off"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_famous_faults_are_found(faulty, words):
    assert first_fault(faulty) == words


@dataclass(frozen=True)
class FirstCorner(MaskDescription):
    def to_bool(self, shape, device=None):
        return torch.ones(*shape[-2:], dtype=torch.bool, device=device).tril()


def test_the_wrong_corner_and_the_wrong_edge_of_a_description_are_found():
    assert first_difference(CAUSAL, lambda i, j: j <= i) is None
    told = first_difference(FirstCorner(), lambda i, j: j <= i)
    assert told == "1 queries, 2 keys: the query at place 1 does not see key 1, and ought to"
    told = first_difference(Window(before=3, after=0), lambda i, j: 0 <= i - j < 3)
    assert told == "1 queries, 4 keys: the query at place 3 sees key 0, and ought not"
    # A window this wide shows its edge only to checks that are long enough.
    assert first_difference(Window(3, 0), lambda i, j: 0 <= i - j < 3, longest=3) is None


@pytest.mark.rejects
def test_what_makes_no_sense_is_rejected(unchecked):
    with pytest.raises(ValueError, match="sinks must be at least 0, got -1"):
        SinkWindow(-1, 3)
    with pytest.raises(ValueError, match="before must be at least 0, got -2"):
        SinkWindow(1, -2)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        Strided(0)
    for check in (lambda: first_fault(attend, 0), lambda: first_difference(CAUSAL, max, 0)):
        with pytest.raises(ValueError, match="longest must be at least 1, got 0"):
            check()
