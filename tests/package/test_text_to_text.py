"""Many tasks in one: answers are right, nothing held out is ever learned from, and the truth of attention is one."""

import re

import pytest
import torch
from num2words import num2words

from minattn.language.text_to_text import (
    SENTINELS,
    TASKS,
    TRANSLATIONS,
    UNTRAINED,
    WORDS,
    text_to_text,
    truth,
)
from minattn.subwords import START
from minattn.tasks.german_numbers import read_number
from minattn.tasks.notations import (
    LISTS,
    NOTATIONS,
    answer_to,
    date_texts,
    said_words,
    written,
)
from minattn.vocabulary import EOS, PAD


@pytest.fixture(scope="module")
def task():
    return text_to_text(n_train=700, n_validation=53, n_held_out=211)


def texts(task, example):
    """Return the task word, what is read and what is to be written."""
    return example.source[0], task.text(example.source[1:]), task.text(example.target)


def number_in(text):
    """Read a number in any notation, by looking it up among all of them."""
    return READ[text]


READ = {written(number, notation): number for number in range(1, 10000) for notation in NOTATIONS}


def test_numbers_are_written_as_num2words_writes_them():
    for number in range(1, 10000, 7):
        assert written(number, "german") == num2words(number, lang="de")
        english = re.sub("[-,]+ ?", " ", num2words(number))
        assert written(number, "english") == english
        assert written(number, "french") == num2words(number, lang="fr").replace("-", " ")
        assert written(number, "digits").replace(" ", "") == str(number)


def test_every_number_has_an_example_of_every_task_and_several_lists(task):
    for part, numbers in zip(
        (task.train, task.validation, task.held_out), task.numbers, strict=True
    ):
        for name in TASKS:
            found = task.of(name, part)
            assert len(found) == len(numbers) or name in LISTS
            most = {"sort": 2, "reverse": 2, "count": 4}.get(name, 1) * len(numbers)
            assert most * 0.75 < len(found) <= most
        for name in TRANSLATIONS:
            read = [number_in(texts(task, example)[1]) for example in task.of(name, part)]
            assert read == list(numbers)
    assert len(task.of(UNTRAINED)) == 211 and not task.of(UNTRAINED, task.train)


def test_no_number_that_is_held_out_is_ever_read_or_written_in_training(task):
    """Neither in any notation, nor as a list, an answer to one, or the year of a date."""
    train, *others = (set(part) for part in task.numbers)
    unseen = set.union(*others)
    assert len(train) + sum(map(len, others)) == len(train | unseen) == 700 + 53 + 211
    forbidden = {written(number, notation) for number in unseen for notation in NOTATIONS}
    for example in task.train:
        word, read, wrote = texts(task, example)
        assert read not in forbidden and wrote not in forbidden
        if word == "date:":
            year = read.split(" - ")[0]
            assert year in {written(number, "digits") for number in train}


def test_no_list_that_is_held_out_is_read_in_training(task):
    for name in LISTS:
        parts = [
            {texts(task, example)[1] for example in task.of(name, part)}
            for part in (task.train, task.validation, task.held_out)
        ]
        assert len(parts[0]) > 1000
        assert not parts[0] & parts[2] and not parts[0] & parts[1] and not parts[1] & parts[2]
        lengths = {len(text.split()) for text in parts[0]}
        assert lengths == {3, 4, 5, 6}


def test_answers_are_right(task):
    for example in task.held_out:
        word, read, wrote = texts(task, example)
        if word in ("english:", "german:", "french:", "digits:"):
            assert written(number_in(read), word[:-1]) == wrote
            if word == "english:":
                assert read_number(wrote.split()) == number_in(read)
        elif word == "date:":
            year, month, day = ("".join(x.split()) for x in read.split("-"))
            assert wrote == date_texts(int(year), int(month), int(day))[1]
        else:
            digits = read.split()
            expected = {
                "sort:": sorted(digits),
                "reverse:": digits[::-1],
                "count:": [
                    str(sum(d in "13579" for d in digits)),
                    str(sum(d in "02468" for d in digits)),
                ],
            }[word]
            assert wrote.split() == expected


def test_every_digit_is_one_token_and_task_words_and_sentinels_have_their_own(task):
    for digit in "0123456789":
        assert task.pieces.encode(digit) == [START + digit]
    ids = task.source.encode([*WORDS, *SENTINELS])
    assert ids == list(range(3, 3 + len(WORDS) + len(SENTINELS)))
    assert task.source is task.target
    for example in task.train[:100]:
        assert example.source[0] in WORDS and not {*WORDS} & {*example.source[1:], *example.target}


def test_own_texts_are_encoded_as_those_of_the_task_are(task):
    found = task.sources(["sort: 3 1 2", "german: seven"])
    assert task.source.decode(found[0].tolist()) == ["sort:", "▁3", "▁1", "▁2"]
    assert found[0, 4] == EOS and task.text(task.source.decode(found[1].tolist())[1:]) == "seven"
    assert found[1, -1] in (PAD, EOS)
    assert task.tokens("seven hundred") == tuple(task.pieces.encode("seven hundred"))
    for example in task.held_out[::50]:
        word, read, _ = texts(task, example)
        assert task.tokens(f"{word} {read}") == example.source


def test_truth_of_lists_is_where_the_digit_stands(task):
    for name in ("sort", "reverse"):
        examples = task.of(name)[:50]
        found, batch = truth(examples), task.batch(examples)
        assert found.shape == (50, batch.target_out.shape[1], batch.source.shape[1])
        for row, example in enumerate(examples):
            n = len(example.target)
            assert not found[row, n:].any() and not found[row, :, 0].any()
            for i, token in enumerate(example.target):
                keys = found[row, i].nonzero()[:, 0].tolist()
                if name == "reverse":
                    assert keys == [n - i]
                else:
                    assert keys == [j for j, other in enumerate(example.source) if other == token]
    assert not truth(task.of("count")).any() and not truth(task.of("date")).any()


def shown(task, source, target, number):
    """Say for each target piece which source pieces are right."""
    example = next(
        e
        for e in task.of(f"{source} to {target}", task.train + task.held_out)
        if texts(task, e)[1] == written(number, source)
    )
    found = truth([example])[0]
    return [
        (token, "".join(example.source[key] for key in found[i].nonzero()[:, 0].tolist()))
        for i, token in enumerate(example.target)
    ]


def test_truth_of_number_words_is_the_word_that_says_the_digit(task):
    whole = [n for part in task.numbers for n in part]
    number = next(n for n in whole if n > 1000 and n % 100 > 20 and "0" not in str(n))
    for source, target in (("english", "digits"), ("german", "digits")):
        said = shown(task, source, target, number)
        assert [token for token, _ in said] == [START + d for d in str(number)]
        names = dict(zip(range(1, 10), (written(n, source) for n in range(1, 10)), strict=True))
        for token, word in said:
            stem = names[int(token[1])].removesuffix("s")[:3]  # ein in eins, three in thirty
            found = word.lstrip(START)
            irregular = {"thi", "fif", "for", "twe", "zwa"}
            assert found[:2] == stem[:2] or found[:3] in irregular, (token, word)
    for token, digit in shown(task, "digits", "english", number):
        silent = token in ("▁hundred", "▁thousand", "▁and")
        assert (digit == "") == silent


def test_truth_of_a_teen_has_both_digits_and_that_of_a_zero_none(task):
    whole = [n for part in task.numbers for n in part]
    teen = next(n for n in whole if n > 1000 and 12 < n % 100 < 20)
    said = shown(task, "english", "digits", teen)
    assert said[-1][1] == said[-2][1] != ""
    zero = next(n for n in whole if n > 1000 and n // 100 % 10 == 0)
    assert shown(task, "english", "digits", zero)[1] == ("▁0", "")


def test_the_same_seed_gives_the_same_task_and_another_one_another():
    small = {"n_train": 30, "n_validation": 5, "n_held_out": 5}
    assert text_to_text(**small).held_out == text_to_text(**small).held_out
    assert text_to_text(**small).train == text_to_text(**small).train
    assert text_to_text(**small).numbers != text_to_text(**small, seed=1).numbers


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: written(0, "german"), "number must be in 1..9999, got 0"),
        (lambda: written(10000, "digits"), "number must be in 1..9999, got 10000"),
        (lambda: written(7, "latin"), "notation must be one of .* got 'latin'"),
        (lambda: said_words(7, "latin"), "notation must be one of .* got 'latin'"),
        (lambda: answer_to("date", "123"), "task must be one of .* got 'date'"),
        (lambda: date_texts(1984, 13, 1), "month must be in 1..12, got 13"),
        (lambda: date_texts(0, 1, 1), "year must be in 1..9999, got 0"),
        (lambda: date_texts(1984, 1, 32), "day must be in 1..31, got 32"),
        (lambda: text_to_text(n_train=0), "n_train must be at least 1, got 0"),
        (lambda: text_to_text(n_train=9999), "n_numbers must be in 3..9999, got 10799"),
        (lambda: text_to_text(seed=-1), "seed must be at least 0, got -1"),
        (lambda: truth([]), "examples must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(make, what):
    with pytest.raises(ValueError, match=what):
        make()


def test_shapes_of_the_truth_are_those_of_the_batch(task):
    examples = task.held_out[:40]
    batch = task.batch(examples)
    assert truth(examples).shape == (40, batch.target_out.shape[1], batch.source.shape[1])
    assert truth(examples).dtype == torch.bool
