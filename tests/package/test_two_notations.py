"""Texts in two notations: who says which digit, what is spoilt, and that no number is in two parts."""

import itertools
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.tasks.german_numbers import number_example
from minattn.tasks.two_notations import (
    DIGITS,
    change_a_digit,
    labelled,
    swap_two_digits,
    truth,
    two_notations,
    two_notations_text,
)
from minattn.vocabulary import BOS, EOS, PAD

numbers = st.integers(1_000, 999_999)


@pytest.fixture(scope="module")
def task():
    return two_notations(n_train=300, n_validation=60, n_held_out=60)


def said(number):
    """For each digit the word that says it."""
    text = two_notations_text(number)
    return [
        None if word is None else text.tokens[word] for word in text.said_by[-len(str(number)) :]
    ]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1_000, ["ein", None, None, None]),
        (1_001, ["ein", None, None, "eins"]),
        (4_023, ["vier", None, "zwanzig", "drei"]),
        (10_010, ["zehn", "zehn", None, "zehn", "zehn"]),
        (12_300, ["zwölf", "zwölf", "drei", None, None]),
        (60_517, ["sechzig", None, "fünf", "siebzehn", "siebzehn"]),
        (412_743, ["vier", "zwölf", "zwölf", "sieben", "vierzig", "drei"]),
        (101_102, ["ein", None, "eins", "ein", None, "zwei"]),
    ],
)
def test_the_word_that_says_a_digit(number, words):
    assert said(number) == words


@given(numbers, st.sampled_from(DIGITS[1:]))
def test_another_digit_has_another_word_there_and_the_same_words_elsewhere(number, other):
    text = two_notations_text(number)
    digits, words = str(number), number_example(number).source
    for place, word in enumerate(text.said_by[-len(digits) :]):
        if word is None:
            assert digits[place] == "0"
            continue
        changed = number_example(int(digits[:place] + other + digits[place + 1 :])).source
        if (
            len(changed) == len(words) and other != digits[place]
        ):  # "zwölf" is one word, 22 are three
            assert [i for i in range(len(words)) if words[i] != changed[i]] == [word]


@given(numbers)
def test_a_text_is_words_and_digits_of_one_number(number):
    text = two_notations_text(number)
    middle = text.tokens.index("=")
    assert text.tokens[:middle] == number_example(number).source
    assert "".join(text.tokens[middle + 1 :]) == str(number)
    assert text.agrees and text.number == number
    assert text.said_by[: middle + 1] == (None,) * (middle + 1)


def test_no_number_is_in_two_parts_and_all_can_be_written():
    task = two_notations()
    parts = [task.train, task.validation, task.held_out]
    assert [len(part) for part in parts] == [20_000, 2_000, 2_000]
    assert [len(set(part)) for part in parts] == [20_000, 2_000, 2_000]
    for one, other in itertools.combinations(parts, 2):
        assert set(one).isdisjoint(other)
    ids = task.numbers(task.held_out)
    assert set(ids.unique().tolist()) <= {PAD, BOS, EOS, 4, *task.ordinary}
    by_length = [sum(len(str(n)) == length for n in task.held_out) for length in (4, 5, 6)]
    assert min(by_length) > 300


def test_a_seed_gives_the_same_numbers_and_another_one_others(task):
    assert two_notations(300, 60, 60) == task
    assert two_notations(300, 60, 60, seed=1).train != task.train


def test_ids_of_what_is_special_and_of_what_is_not(task):
    tokens = task.vocabulary.tokens
    assert tokens[task.mask_id] == "<mask>"
    assert [tokens[index] for index in task.digits] == list(DIGITS)
    assert "=" not in [tokens[index] for index in task.ordinary]
    assert "und" in [tokens[index] for index in task.ordinary]
    assert task.mask_id not in task.ordinary
    assert len(task.vocabulary) == task.ordinary.stop


def test_encoding_frames_and_pads(task):
    ids = task.numbers([4_000, 412_743])
    assert ids[:, 0].tolist() == [BOS, BOS]
    assert task.vocabulary.decode(ids[0].tolist()) == ["vier", "tausend", "=", "4", "0", "0", "0"]
    assert ids[0, 8:].tolist() == [EOS] + [PAD] * (ids.shape[1] - 9)


def test_truth_leads_from_a_digit_to_its_word(task):
    texts = [two_notations_text(4_023), two_notations_text(412_743, "412744")]
    ids, right = task.encode(texts), truth(texts)
    assert right.shape == (2, ids.shape[1], ids.shape[1])
    found = [
        (task.vocabulary.tokens[ids[row, query]], task.vocabulary.tokens[ids[row, key]])
        for row, query, key in right.nonzero().tolist()
    ]
    assert found == [
        ("4", "vier"), ("2", "zwanzig"), ("3", "drei"),
        ("4", "vier"), ("1", "zwölf"), ("2", "zwölf"), ("7", "sieben"), ("4", "vierzig"), ("4", "drei"),
    ]  # fmt: skip


@given(numbers, st.integers(0, 99))
def test_one_digit_is_changed_and_no_number_begins_with_zero(number, seed):
    digits = str(number)
    wrong = change_a_digit(digits, random.Random(seed))
    assert len(wrong) == len(digits) and wrong[0] != "0"
    assert sum(a != b for a, b in zip(digits, wrong, strict=True)) == 1


def test_every_digit_can_be_changed_into_every_other():
    rng = random.Random(0)
    found = {change_a_digit("10", rng) for _ in range(500)}
    assert found == {f"1{d}" for d in DIGITS[1:]} | {f"{d}0" for d in DIGITS[2:]}


@given(numbers, st.integers(0, 99))
def test_neighbours_are_swapped_or_nothing_can_be(number, seed):
    digits = str(number)
    wrong = swap_two_digits(digits, random.Random(seed))
    can = [
        i
        for i, (a, b) in enumerate(itertools.pairwise(digits))
        if a != b and not (i == 0 and b == "0")
    ]
    assert (wrong is None) == (not can)
    if wrong is not None:
        differ = [i for i, (a, b) in enumerate(zip(digits, wrong, strict=True)) if a != b]
        assert sorted(wrong) == sorted(digits) and wrong[0] != "0"
        assert differ == [differ[0], differ[0] + 1] and differ[0] in can


@pytest.mark.parametrize("spoil", [change_a_digit, swap_two_digits])
def test_every_second_text_is_wrong_and_the_labels_say_so(task, spoil):
    texts, agree = labelled((4_444, *task.train), seed=0, spoil=spoil)
    assert agree.dtype == torch.bool
    assert (
        agree.tolist() == [text.agrees for text in texts] == [i % 2 == 1 for i in range(len(texts))]
    )
    for text, number in zip(texts, (4_444, *task.train), strict=False):
        middle = text.tokens.index("=")
        if spoil is change_a_digit:
            assert text.tokens[:middle] == number_example(number).source
        else:
            assert text.tokens[:middle] != number_example(4_444).source  # it has nothing to swap


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_notations_text(999), "number must be in 1000..999999, got 999"),
        (lambda: two_notations_text(1_000_000), "number must be in"),
        (lambda: two_notations_text(4_023, "402"), "digits must be 4 of 0123456789, got '402'"),
        (lambda: two_notations_text(4_023, "40x3"), "digits must be 4 of"),
        (lambda: two_notations(n_train=24_001), "n_train must be in 1..24000"),
        (lambda: two_notations(n_held_out=0), "n_held_out must be in"),
        (lambda: two_notations(seed=-1), "seed must be at least 0"),
        (lambda: labelled([4_023], seed=-1), "seed must be at least 0"),
        (lambda: truth([]), "texts must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
