"""Digits told in words: what is said is what is there."""

import pytest
import torch

from minattn.tasks.digits import digits
from minattn.tasks.told_digits import (
    NUMBERS,
    STROKES,
    WORDS,
    Judge,
    bounds,
    caption,
    ink,
    is_held_out,
    judge,
    one_digit,
    strokes,
    two_digits,
)

PAIRS = torch.cartesian_prod(torch.arange(10), torch.arange(10))


def test_captions_say_digits_from_left_to_right():
    assert caption([0, 9]) == ("a", "zero", "and", "a", "nine")
    assert caption([4], 0) == ("a", "thin", "four")
    said = {
        word for label in range(10) for how in range(3) for word in caption([label, label], how)
    }
    assert said == {*WORDS}


def test_every_picture_has_its_number_and_its_stroke():
    told, known = one_digit("validation"), digits("validation")
    assert torch.equal(told.pictures, known.pictures)
    assert [words[2] for words in told.captions] == [NUMBERS[label] for label in known.labels]
    how = strokes(told.pictures, known.labels)
    assert [words[1] for words in told.captions] == [STROKES[one] for one in how]


def test_a_third_of_each_digit_has_each_stroke_in_the_train_part():
    known = digits("train")
    how = strokes(known.pictures, known.labels)
    for label in range(10):
        counts = how[known.labels == label].bincount(minlength=3)
        assert counts.max() - counts.min() <= 8
        amounts = ink(known.pictures)[known.labels == label]
        own = how[known.labels == label]
        assert amounts[own == 0].max() < bounds()[label, 0] <= amounts[own == 1].min()
        assert amounts[own == 1].max() < bounds()[label, 1] <= amounts[own == 2].min()


def test_ten_pairs_are_held_out_and_each_digit_stands_once_on_each_side():
    held_out = PAIRS[is_held_out(PAIRS)]
    assert held_out[:, 0].tolist() == sorted(held_out[:, 1].tolist()) == list(range(10))


@pytest.mark.parametrize("held_out", [False, True])
def test_two_digits_stand_side_by_side(held_out):
    told = two_digits("test", 53, seed=2, held_out=held_out)
    assert (is_held_out(told.labels) == held_out).all()
    assert told.captions == tuple(caption(pair) for pair in told.labels.tolist())
    known = digits("test")
    there = {
        (label, tuple(x.flatten().tolist()))
        for label, x in zip(known.labels.tolist(), known.pictures, strict=True)
    }
    for picture, pair in zip(told.pictures, told.labels.tolist(), strict=True):
        for half, label in zip(picture.split(8, dim=1), pair, strict=True):
            assert (label, tuple(half.flatten().tolist())) in there
    again = two_digits("test", 53, seed=2, held_out=held_out)
    assert torch.equal(told.pictures, again.pictures)
    assert not torch.equal(told.labels, two_digits("test", 53, seed=3, held_out=held_out).labels)


def test_a_judge_knows_what_it_has_learned_and_learns_from_the_parts_it_is_told():
    known, other = digits("train"), digits("validation")
    assert torch.equal(judge()(known.pictures), known.labels)
    assert 0.9 < (judge()(other.pictures) == other.labels).double().mean() < 1
    assert torch.equal(judge("validation", "test")(other.pictures), other.labels)
    torch.testing.assert_close(
        Judge(other).likeness(other.pictures).diagonal(), torch.ones(260).double()
    )


@pytest.mark.parametrize(
    "labels, stroke", [([], None), ([10], None), ([-1], 0), ([3], 3), ([3], -1)]
)
def test_what_cannot_be_said(labels, stroke):
    with pytest.raises(ValueError, match=r"labels|stroke"):
        caption(labels, stroke)


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="part"):
        one_digit("none")
    with pytest.raises(ValueError, match="number"):
        two_digits("train", 0, seed=1)
