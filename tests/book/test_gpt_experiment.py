"""What the experiment of chapter 10 counts as a copy, a new name and a place."""

import numpy as np
import pytest
import torch

from book.experiments.gpt import Near, kinds, make_model, new_names, surprise
from minattn.dot_product import fused_attend
from minattn.masks import CAUSAL, Window
from minattn.subwords import START, Subwords
from minattn.tasks.functions import ALPHABET
from tests.package.strategies import ROUNDING, normal

LETTERS = Subwords((*ALPHABET, START), (("x", "y"),))


def marked(text, known):
    flags = new_names(text, known, LETTERS)
    pieces = LETTERS.encode(text)
    assert len(flags) == len(pieces)
    return [piece for piece, flag in zip(pieces, flags, strict=True) if flag]


def test_a_new_name_counts_where_it_is_said_again():
    assert marked("abc(d, abc)", known=set()) == ["a", "b", "c"]
    assert marked("abc(d, abc, d)", known={"abc"}) == ["d"]
    assert marked("abc + abcd", known=set()) == []
    assert marked("xyx = xyx.xyx", known=set()) == ["xy", "x"] * 2
    assert marked("f\n\tg\n\tf", known={"g"}) == ["f"]


def test_tokens_are_sorted_by_place_and_by_whether_they_stand_there_already():
    texts = [[3, 4, 5, 3, 4, 5], [6] * 20]
    of = kinds(texts, [[False] * 6, [True] * 20])
    assert of["all"].sum() == 7 + 21
    assert np.flatnonzero(of["copied"]).tolist() == [5, *range(7 + 3, 7 + 20)]
    assert (of["copied"] ^ of["not copied"]).all()
    assert of["new name again"].sum() == 20 and not of["new name again"][-1]
    assert of["place 1"].sum() == 7 + 15 and of["place 16"].sum() == 6


def test_bits_of_texts_of_different_length_stand_one_after_the_other():
    model = make_model(11, seed=0).eval()
    texts = [[3, 4, 5], [6], [7, 8, 9, 10, 3]]
    together = surprise(model, texts)
    alone = np.concatenate([surprise(model, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert len(together) == 4 + 2 + 6


@pytest.mark.parametrize("mask", [None, CAUSAL])
def test_the_last_few_keys_are_those_of_a_window(mask):
    query, key, value = (normal(2, 7, 3, seed=s) for s in range(3))
    found = Near(fused_attend, 3)(query, key, value, mask)
    expected = fused_attend(query, key, value, Window(before=2, after=0))
    torch.testing.assert_close(found, expected, **ROUNDING)
