import math
import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from minattn.tasks import (
    TO_ENGLISH,
    TO_FRENCH,
    Example,
    Task,
    bilingual_example,
    copying,
    gold_alignment,
    message_pairs,
    number_example,
    number_words,
    previous_token,
    read_number,
    repetition,
    reversal,
    slopes,
    two_languages,
)
from minattn.tasks.german_numbers import MAX_DIGITS, draw_numbers
from minattn.tasks.two_languages import french_words
from minattn.vocabulary import EOS


def table(text):
    return {word: int(value) for word, value in (entry.split("=") for entry in text.split())}


# What the words mean, written by hand: the package reads roles off the digits and never the words.
GERMAN = table("""
    und=0 eins=1 ein=1 eine=1 zwei=2 drei=3 vier=4 fünf=5 sechs=6 sieben=7 acht=8 neun=9 zehn=10
    elf=11 zwölf=12 dreizehn=13 vierzehn=14 fünfzehn=15 sechzehn=16 siebzehn=17 achtzehn=18
    neunzehn=19 zwanzig=20 dreißig=30 vierzig=40 fünfzig=50 sechzig=60 siebzig=70 achtzig=80
    neunzig=90 hundert=100 tausend=1_000 Million=1_000_000 Millionen=1_000_000
    Milliarde=1_000_000_000 Milliarden=1_000_000_000
""")
ENGLISH = table("""
    and=0 one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 eleven=11 twelve=12
    thirteen=13 fourteen=14 fifteen=15 sixteen=16 seventeen=17 eighteen=18 nineteen=19 twenty=20
    thirty=30 forty=40 fifty=50 sixty=60 seventy=70 eighty=80 ninety=90 hundred=100 thousand=1_000
    million=1_000_000 billion=1_000_000_000
""")

SMALL = {
    "numbers": lambda seed: number_words(300, 20, max_digits=5, seed=seed),
    "letters": lambda seed: reversal(300, 20, min_length=2, max_length=5, n_symbols=11, seed=seed),
    "languages": lambda seed: two_languages(300, 10, max_digits=5, seed=seed),
}
numbers = st.integers(1, MAX_DIGITS).flatmap(lambda n: st.integers(10 ** (n - 1), 10**n - 1))


def value_of(words, meaning):
    """Work out a number from its words."""
    total = group = 0
    for word in words:
        value = meaning[word]
        if value == 100:
            group *= 100
        elif value >= 1000:
            total, group = total + group * value, 0
        else:
            group += value
    return total + group


def places(words, meaning):
    """Say for each word with a meaning: of which group of digits, what, and whether it counts hundreds."""
    found, scale = {}, 1
    for position in reversed(range(len(words))):
        value = meaning[words[position]]
        scale = value if value >= 1000 else scale
        counts_hundreds = position + 1 < len(words) and meaning[words[position + 1]] == 100
        if value:
            found[scale, value, counts_hundreds] = position
    return found


def check_spelling(number):
    example = number_example(number)
    assert "".join(example.source) == num2words(number, lang="de").replace(" ", "")
    assert " ".join(example.target) == re.sub("[-,]", " ", num2words(number, lang="en")).replace(
        "  ", " "
    )


def check_alignment(number):
    example = number_example(number)
    german, english = places(example.source, GERMAN), places(example.target, ENGLISH)
    assert german.keys() == english.keys()
    expected = [None] * len(example.target)
    for place, position in english.items():
        expected[position] = german[place]
    assert list(example.alignment) == expected


def test_all_numbers_below_ten_thousand_are_spelled_as_num2words_does():
    for number in range(1, 10_000):
        check_spelling(number)


@pytest.mark.parametrize("scale", [10**6, 10**9])
def test_every_group_of_three_digits_is_spelled_as_num2words_does(scale):
    for group in range(1, 1000):
        check_spelling(group * scale)


@given(numbers)
def test_big_numbers_are_spelled_as_num2words_does(number):
    check_spelling(number)


@given(numbers)
def test_the_words_of_both_languages_have_the_value_of_the_number(number):
    example = number_example(number)
    assert value_of(example.source, GERMAN) == value_of(example.target, ENGLISH) == number
    assert example.length == len(str(number))


def test_every_number_below_ten_thousand_is_aligned_by_the_meaning_of_its_words():
    for number in range(1, 10_000):
        check_alignment(number)


@given(numbers)
def test_big_numbers_are_aligned_by_the_meaning_of_their_words(number):
    check_alignment(number)


def test_an_alignment_crosses_where_german_says_the_units_first():
    example = number_example(2_000_723)
    assert example.source == ("zwei", "Millionen", "sieben", "hundert", "drei", "und", "zwanzig")
    assert example.target == ("two", "million", "seven", "hundred", "and", "twenty", "three")
    assert example.alignment == (0, 1, 2, 3, None, 6, 4)


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("seed", range(5))
def test_no_held_out_example_is_ever_in_the_training_data(make, seed):
    task = make(seed)
    assert not {e.source for e in task.train} & {e.source for e in task.held_out}
    assert not {e.target for e in task.train} & {e.target for e in task.held_out}
    assert len({e.source for e in task.held_out}) == len(task.held_out)


def test_even_half_of_all_numbers_held_out_leaves_no_leak():
    task = number_words(3000, 450, max_digits=3)
    held_out = {e.source for e in task.held_out}
    seen = {e.source for e in task.train}
    assert len(held_out) == 450
    assert not seen & held_out
    assert (
        len({e for e in seen if value_of(e, GERMAN) >= 100}) > 350
    )  # the other half is trained on


def test_even_half_of_all_lists_held_out_leaves_no_leak():
    task = reversal(500, 8, min_length=4, max_length=4, n_symbols=2)
    assert len({e.source for e in task.held_out}) == 8
    assert len({e.source for e in task.train}) == 8
    assert not {e.source for e in task.train} & {e.source for e in task.held_out}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_a_seed_makes_the_same_task_again_and_another_seed_another_one(make):
    one, again, other = make(3), make(3), make(4)
    assert (one.train, one.held_out) == (again.train, again.held_out)
    assert one.train != other.train
    assert one.held_out != other.held_out


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_making_a_task_leaves_the_global_random_numbers_alone(make, unchecked):
    before = random.getstate(), torch.get_rng_state()
    make(0)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_every_task_has_one_shape(make):
    task = make(0)
    for example in (*task.train, *task.held_out):
        assert isinstance(example, Example)
        assert len(example.alignment) == len(example.target)
        assert all(p is None or 0 <= p < len(example.source) for p in example.alignment)
        aligned = [p for p in example.alignment if p is not None]
        assert len(set(aligned)) == len(aligned)
    batch = task.batch(task.held_out)
    assert batch.source.shape[0] == batch.target_in.shape[0] == len(task.held_out)
    assert task.source.decode(batch.source[7].tolist()) == list(task.held_out[7].source)
    assert task.target.decode(batch.target_out[7].tolist()) == list(task.held_out[7].target)
    assert batch.source[0, len(task.held_out[0].source)] == EOS


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_every_length_is_held_out_and_trained_equally_often(make):
    task = make(0)
    held_out = Counter(e.length for e in task.held_out)
    train = Counter(e.length for e in task.train)
    assert set(held_out.values()) == {20}
    assert len(set(train.values())) == 1
    assert set(held_out) <= set(train)
    assert [len(task.held_out_of(n)) for n in held_out] == list(held_out.values())
    assert all(e.length == 4 for e in task.held_out_of(4))


def test_the_task_of_the_book_has_two_hundred_held_out_numbers_of_every_length_from_three_digits():
    task = number_words(n_train=24)
    assert Counter(e.length for e in task.held_out) == dict.fromkeys(range(3, 13), 200)
    assert Counter(e.length for e in task.train) == dict.fromkeys(range(1, 13), 2)
    assert set(task.source.tokens[3:]) == set(GERMAN)
    assert set(task.target.tokens[3:]) == set(ENGLISH)


def test_reversal_says_the_list_backwards_and_is_aligned_backwards():
    for example in SMALL["letters"](0).train:
        n = example.length
        assert len(example.source) == n
        assert example.target == tuple(reversed(example.source))
        assert [example.source[p] for p in example.alignment] == list(example.target)
        assert example.alignment == tuple(range(n))[::-1]


def test_gold_alignments_are_padded_with_minus_one():
    examples = [number_example(723), number_example(5), number_example(47)]
    expected = [[0, 1, -1, 4, 2], [0, -1, -1, -1, -1], [2, 0, -1, -1, -1]]
    assert gold_alignment(examples).tolist() == expected
    assert gold_alignment(examples).dtype == torch.int64


@pytest.mark.rejects
@pytest.mark.parametrize("number", [0, -7, 10**12, True])
def test_a_number_out_of_range_is_named(number):
    with pytest.raises(ValueError, match=rf"whole number in 1\.\.999999999999, got {number}"):
        number_example(number)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_digits": 2}, r"max_digits must be in 3\.\.12, got 2"),
        ({"max_digits": 13}, r"max_digits must be in 3\.\.12, got 13"),
        ({"n_train": 0}, "n_train must be at least 1, got 0"),
        ({"n_held_out_per_length": 0}, r"in 1\.\.450 .* got 0"),
        ({"n_held_out_per_length": 451}, r"in 1\.\.450 .* got 451"),
    ],
)
def test_number_words_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        number_words(**arguments)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_length": 0}, "1 <= min_length <= max_length, got 0, 20"),
        ({"min_length": 7, "max_length": 5}, "got 7, 5"),
        ({"n_symbols": 1}, r"n_symbols must be in 2\.\.26, got 1"),
        ({"n_symbols": 27}, r"n_symbols must be in 2\.\.26, got 27"),
        ({"n_train": 0}, "n_train must be at least 1, got 0"),
        ({"n_held_out_per_length": 0}, r"in 1\.\.8788 .* got 0"),
        ({"n_symbols": 2, "min_length": 4}, r"in 1\.\.8 \(half of the 2\*\*4 .* got 50"),
    ],
)
def test_reversal_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        reversal(**arguments)


@pytest.mark.rejects
def test_a_length_that_is_not_held_out_is_named():
    with pytest.raises(ValueError, match=r"are \[3, 4, 5\], got 2"):
        SMALL["numbers"](0).held_out_of(2)


@pytest.mark.rejects
def test_an_alignment_of_another_length_than_the_target_is_rejected():
    with pytest.raises(ValueError, match="got 1 entries for 2 tokens"):
        Example(("drei", "und", "zwanzig"), ("twenty", "three"), (2,), 2)


@pytest.mark.rejects
def test_a_gold_alignment_of_nothing_is_rejected():
    with pytest.raises(ValueError, match="at least one example, got none"):
        gold_alignment([])


LISTS = {
    copying: lambda n: list(range(n)),
    previous_token: lambda n: [0, *range(n - 1)],
    repetition: lambda n: [*range(n), *range(n)],
}


@pytest.mark.parametrize("make", LISTS, ids=lambda make: make.__name__)
def test_lists_of_letters_are_answered_from_the_places_their_name_says(make):
    task = make(300, 20, min_length=3, max_length=5, n_symbols=11, seed=1)
    seen = {example.source for example in task.train}
    assert {example.length for example in task.train} == {3, 4, 5}
    for example in task.train + task.held_out:
        assert list(example.alignment) == LISTS[make](example.length)
        assert [example.source[place] for place in example.alignment] == list(example.target)
    assert len(task.held_out) == 3 * 20
    assert len(set(task.held_out)) == len(task.held_out)
    assert not seen & {example.source for example in task.held_out}


def test_lists_said_twice_have_no_letter_twice():
    task = repetition(300, 20, min_length=3, max_length=5, n_symbols=7)
    assert all(len(set(example.source)) == example.length for example in task.train)
    assert any(len(set(example.source)) < example.length for example in copying(300, 20).train)


@pytest.mark.rejects
def test_repetition_rejects():
    with pytest.raises(ValueError, match="at most n_symbols, got 8 and 7"):
        repetition(max_length=8, n_symbols=7)
    with pytest.raises(ValueError, match=r"in 1\.\.3 \(half of the 6 shortest lists\), got 4"):
        repetition(10, 4, min_length=2, max_length=3, n_symbols=3)
    assert len(repetition(10, 3, min_length=2, max_length=2, n_symbols=3).held_out) == 3


def test_a_number_that_was_spelled_is_read():
    for example in number_words(300, 20).train:
        number = read_number(example.target)
        assert number_example(number).target == example.target


@pytest.mark.parametrize(
    "words",
    [
        "",
        "and",
        "hundred",
        "three hundred twenty",  # an and is missing
        "twenty thirty",
        "one two",
        "three hundred and",
        "and three",
        "two thousand three million",
        "one thousand thousand",
        "three apples",
        "<eos>",
    ],
)
def test_what_is_no_number_is_not_read(words):
    assert read_number(words.split()) is None


def reference_slopes(letters):
    """Look at both neighbours of every letter, and at the letter itself where there is none."""
    answers, last = [], len(letters) - 1
    for place in range(len(letters)):
        before = ord(letters[0 if place == 0 else place - 1])
        after = ord(letters[last if place == last else place + 1])
        answers.append("rises" if after > before else "falls" if after < before else "level")
    return answers


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("a", "level"),
        ("ba", "falls falls"),
        ("abc", "rises rises rises"),
        ("aba", "rises level falls"),
        ("acab", "rises level falls rises"),
        ("aabb", "level rises rises level"),
    ],
)
def test_slopes_compares_the_letter_after_with_the_letter_before(letters, expected):
    task = slopes(500, 1, min_length=len(letters), max_length=len(letters), n_symbols=3)
    answers = {"".join(example.source): example.target for example in task.train + task.held_out}
    assert list(answers[letters]) == reference_slopes(letters) == expected.split()


@pytest.mark.parametrize("seed", range(3))
def test_slopes_answers_every_letter_and_none_from_one_place(seed):
    task = slopes(300, 20, min_length=3, max_length=6, n_symbols=11, seed=seed)
    for example in task.train + task.held_out:
        assert list(example.target) == reference_slopes(example.source)
        assert example.alignment == (None,) * example.length
        assert example.length == len(example.source)
    batch = task.batch(task.held_out)
    assert bool((gold_alignment(task.held_out) == -1).all())
    assert task.target.decode(batch.target_out[7].tolist()) == list(task.held_out[7].target)
    assert (task.name, task.target.tokens[3:]) == ("slopes", ("falls", "level", "rises"))
    assert task.source.tokens[3:] == tuple("abcdefghijk")


@pytest.mark.parametrize("seed", range(3))
def test_slopes_holds_out_lists_that_are_never_trained_on(seed):
    task = slopes(300, 20, min_length=2, max_length=5, n_symbols=7, seed=seed)
    held_out = {example.source for example in task.held_out}
    assert Counter(map(len, held_out)) == dict.fromkeys(range(2, 6), 20)
    assert len(task.held_out) == 4 * 20
    assert Counter(example.length for example in task.train) == dict.fromkeys(range(2, 6), 75)
    assert not held_out & {example.source for example in task.train}
    other = slopes(300, 20, min_length=2, max_length=5, n_symbols=7, seed=seed + 1)
    assert held_out != {example.source for example in other.held_out}


def test_over_all_lists_slopes_rises_as_often_as_it_falls():
    task = slopes(500, 13, min_length=3, max_length=3, n_symbols=3)
    lists = {example.source: example.target for example in task.train + task.held_out}
    assert len(lists) == 3**3
    # Of the nine pairs of letters, three rise, three fall and three are level.
    for answers in zip(*lists.values(), strict=True):
        assert Counter(answers) == {"rises": 9, "falls": 9, "level": 9}


def test_in_the_task_of_the_book_no_answer_of_slopes_is_a_good_guess():
    task = slopes(5000)
    assert Counter(example.length for example in task.held_out) == dict.fromkeys(range(3, 21), 50)
    assert len(task.source) == 3 + 26
    for place in (0, 1, -1):
        answers = Counter(example.target[place] for example in task.train)
        # Two letters of 26 are alike in 1 of 26 pairs; the rest is shared by the two other answers.
        assert answers["level"] / 5000 == pytest.approx(1 / 26, abs=0.01)
        assert answers["rises"] / 5000 == pytest.approx(25 / 52, abs=0.03)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_length": 0}, "1 <= min_length <= max_length, got 0, 20"),
        ({"n_symbols": 27}, r"n_symbols must be in 2\.\.26, got 27"),
        ({"n_train": 0}, "n_train must be at least 1, got 0"),
        ({"n_symbols": 2, "min_length": 4}, r"in 1\.\.8 \(half of the 2\*\*4 .* got 50"),
    ],
)
def test_slopes_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        slopes(**arguments)


def check_french(number):
    assert list(french_words(number)) == re.split("[ -]", num2words(number, lang="fr"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (16, "seize"),
        (17, "dix sept"),
        (21, "vingt et un"),
        (70, "soixante dix"),
        (71, "soixante et onze"),
        (80, "quatre vingts"),
        (81, "quatre vingt un"),
        (91, "quatre vingt onze"),
        (100, "cent"),
        (180, "cent quatre vingts"),
        (200, "deux cents"),
        (201, "deux cent un"),
        (280, "deux cent quatre vingts"),
        (1000, "mille"),
        (2000, "deux mille"),
        (80_000, "quatre vingt mille"),
        (200_000, "deux cent mille"),
        (1_000_000, "un million"),
        (80_000_000, "quatre vingts millions"),
        (200_000_000, "deux cents millions"),
        (1_000_000_000, "un milliard"),
        (71_000_000_001, "soixante et onze milliards un"),
    ],
)
def test_french_numbers_are_spelled_with_their_plurals(number, words):
    assert list(french_words(number)) == words.split()
    check_french(number)


def test_every_group_of_three_digits_is_spelled_in_french_as_num2words_does():
    for scale in range(4):
        for group in range(1, 1000):
            check_french(group * 1000**scale)


@given(numbers)
def test_big_numbers_are_spelled_in_french_as_num2words_does(number):
    check_french(number)


@given(numbers)
def test_the_english_half_is_the_running_task_behind_a_token(number):
    plain, english = number_example(number), bilingual_example(number, TO_ENGLISH)
    assert english.source == (TO_ENGLISH, *plain.source)
    assert (english.target, english.length) == (plain.target, plain.length)
    # Every word stands one place later, and None stays None.
    for place, shifted in zip(plain.alignment, english.alignment, strict=True):
        assert shifted == (None if place is None else place + 1)
        assert place is None or english.source[shifted] == plain.source[place]


@given(numbers)
def test_the_french_half_has_the_same_source_but_for_the_token_and_no_alignment(number):
    plain, french = number_example(number), bilingual_example(number, TO_FRENCH)
    assert french.source == (TO_FRENCH, *plain.source)
    assert french.target == french_words(number)
    assert french.alignment == (None,) * len(french.target)
    assert french.length == plain.length


@pytest.mark.parametrize("seed", range(5))
def test_a_number_held_out_is_trained_on_in_neither_language(seed):
    task = two_languages(3000, 450, max_digits=3, seed=seed)
    seen = {value_of(example.source[1:], GERMAN) for example in task.train}
    held_out = {value_of(example.source[1:], GERMAN) for example in task.held_out}
    assert len(held_out) == 450
    assert not seen & held_out
    assert not {e.source[1:] for e in task.train} & {e.source[1:] for e in task.held_out}


@pytest.mark.parametrize("seed", [0, 7])
def test_both_languages_have_the_numbers_of_the_running_task(seed):
    one, both = number_words(300, 20, seed=seed), two_languages(300, 20, seed=seed)
    for part, halves in [
        (one.train, (both.train[::2], both.train[1::2])),  # each number twice in a row
        (one.held_out, (both.held_out[:200], both.held_out[200:])),  # first English, then French
    ]:
        for half, token in zip(halves, (TO_ENGLISH, TO_FRENCH), strict=True):
            assert [e.source for e in half] == [(token, *e.source) for e in part]
        assert [e.target for e in halves[0]] == [e.target for e in part]
    assert len(both.train) == 600
    assert len(both.held_out) == 400


def test_the_vocabularies_of_both_languages_know_every_word():
    task = two_languages(n_train=24)
    assert set(task.source.tokens[3:]) == {"<en>", "<fr>", *GERMAN}
    assert task.source.tokens[3:5] == (TO_ENGLISH, TO_FRENCH) == ("<en>", "<fr>")
    french = {word for n in range(1, 1000) for s in range(4) for word in french_words(n * 1000**s)}
    assert set(task.target.tokens[3:]) == {*ENGLISH, *french}
    assert french & set(ENGLISH) == {"six", "million"}
    assert Counter(e.length for e in task.held_out) == dict.fromkeys(range(3, 13), 400)


@pytest.mark.parametrize("max_digits", [3, 5, 12])
def test_numbers_are_drawn_once_per_length_to_hold_out_and_in_turn_to_train_on(max_digits):
    train, held_out = draw_numbers(500, 13, max_digits, seed=1)
    assert [len(str(number)) for number in train] == [i % max_digits + 1 for i in range(500)]
    assert [len(str(number)) for number in held_out] == [
        digits for digits in range(3, max_digits + 1) for _ in range(13)
    ]
    assert len(set(held_out)) == len(held_out)
    assert not set(train) & set(held_out)
    assert (train, held_out) == draw_numbers(500, 13, max_digits, seed=1)
    # The held-out numbers are drawn first, so more training changes none of them.
    longer = draw_numbers(700, 13, max_digits, seed=1)
    assert (longer[0][:500], longer[1]) == (train, held_out)


@pytest.mark.rejects
@pytest.mark.parametrize("language", ["en", "<de>", ""])
def test_a_language_that_is_neither_of_the_two_is_named(language):
    with pytest.raises(ValueError, match=f"must be '<en>' or '<fr>', got '{language}'"):
        bilingual_example(7, language)


@pytest.mark.rejects
@pytest.mark.parametrize("language", [TO_ENGLISH, TO_FRENCH])
@pytest.mark.parametrize("number", [0, 10**12])
def test_a_number_out_of_range_is_named_in_both_languages(number, language):
    with pytest.raises(ValueError, match=rf"whole number in 1\.\.999999999999, got {number}"):
        bilingual_example(number, language)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_digits": 13}, r"max_digits must be in 3\.\.12, got 13"),
        ({"n_train": 0}, "n_train must be at least 1, got 0"),
        ({"n_held_out_per_length": 451}, r"in 1\.\.450 .* got 451"),
    ],
)
def test_two_languages_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_languages(**arguments)


# Numbers of another kind, and what can be read only once

MAKERS = {
    "number_words": lambda **settings: number_words(**settings),
    "two_languages": lambda **settings: two_languages(**settings),
    "reversal": lambda **settings: reversal(**settings),
    "copying": lambda **settings: copying(**settings),
    "previous_token": lambda **settings: previous_token(**settings),
    "repetition": lambda **settings: repetition(**settings),
    "slopes": lambda **settings: slopes(**settings),
    "message_pairs": lambda **settings: message_pairs(**settings),
}
OF_LETTERS = ("n_train", "n_held_out_per_length", "min_length", "max_length", "n_symbols", "seed")
OF_NUMBERS = ("n_train", "n_held_out_per_length", "max_digits", "seed")
SETTINGS = [
    *((maker, name) for maker in ("number_words", "two_languages") for name in OF_NUMBERS),
    *(
        (maker, name)
        for maker in ("reversal", "copying", "previous_token", "repetition", "slopes")
        for name in OF_LETTERS
    ),
    ("message_pairs", "n_held_out_groups"),
    ("message_pairs", "seed"),
]


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, 4.5, 4.0, True, None, "4"], ids=repr)
@pytest.mark.parametrize(("maker", "name"), SETTINGS)
def test_a_setting_of_a_task_is_a_whole_number(maker, name, wrong):
    with pytest.raises((ValueError, TypeError), match=f"{name} must be a whole number"):
        MAKERS[maker](**{name: wrong})


@pytest.mark.rejects
@pytest.mark.parametrize("maker", MAKERS)
def test_a_seed_below_zero_would_be_another_one(maker):
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        MAKERS[maker](seed=-1)


@pytest.mark.rejects
def test_a_seed_of_numpys_is_the_same_seed():
    assert number_words(9, 1, seed=np.int64(3)).train == number_words(9, 1, seed=3).train
    assert reversal(9, 1, seed=np.int64(3)).train == reversal(9, 1, seed=3).train


@pytest.mark.rejects
def test_words_are_read_from_an_iterator_too():
    assert read_number(iter(["three", "hundred", "and", "one"])) == 301


@pytest.mark.rejects
def test_a_string_is_not_taken_for_words():
    with pytest.raises(TypeError, match="list of words, got the string 'three'; split it first"):
        read_number("three")


@pytest.mark.rejects
@pytest.mark.parametrize("number", [0, 10**12, -7, 1.5, math.nan, True])
def test_a_number_that_has_no_french_words_is_named(number):
    with pytest.raises(ValueError, match=rf"whole number in 1\.\.999999999999, got {number}"):
        french_words(number)


@pytest.mark.rejects
def test_examples_are_read_once_wherever_they_come_from():
    example = Example(iter(["drei"]), iter(["three"]), iter([0]), 1)
    assert example == Example(("drei",), ("three",), (0,), 1)
    task = SMALL["numbers"](0)
    lazy = Task(task.name, task.source, task.target, iter(task.train), iter(task.held_out))
    assert (lazy.train, lazy.held_out) == (task.train, task.held_out)
    assert len(lazy.batch(iter(task.train[:3]))) == 3
    assert gold_alignment(iter(task.train[:3])).tolist() == gold_alignment(task.train[:3]).tolist()


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("drei", ("three",), (0,), 1), TypeError, "source must be .* got the string 'drei'"),
        ((("drei",), "three", (0,), 1), TypeError, "target must be .* got the string 'three'"),
        ((("drei",), ("three",), (1,), 1), ValueError, "one of 1 source tokens, got 1"),
        ((("drei",), ("three",), (-1,), 1), ValueError, "position must be at least 0, got -1"),
        ((("drei",), ("three",), (0.5,), 1), ValueError, "position must be a whole .* got 0.5"),
        ((("drei",), ("three",), (0,), math.nan), ValueError, "length must be a whole .* got nan"),
    ],
)
def test_an_example_that_cannot_be_right_is_rejected(arguments, error, message):
    with pytest.raises(error, match=message):
        Example(*arguments)
