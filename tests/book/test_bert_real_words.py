"""The parts of chapter 11's real words do not overlap, and what counting says of them is what can be counted."""

import re
from collections import defaultdict
from importlib import resources

import pytest
import torch

from book.experiments import bert_real_words as experiment
from book.experiments.bert_real_words import (
    MANY,
    MASK,
    RARE,
    Counting,
    Parts,
    asked_about,
    contexts,
    gaps,
    letters,
    scored,
    with_vocabulary,
    words,
)
from book.experiments.fingerprint import in_short

TOY = with_vocabulary((["abab", "abc", "cab"], ["ab", "abc"], ["cabd"]), 1)
make_parts = pytest.mark.parametrize("make", [letters, words])


def every(parts: Parts):
    return parts.train, parts.validation, parts.test


@make_parts
def test_no_text_is_in_two_parts_or_twice_in_one(make):
    parts = every(make())
    assert all(len(part) > 100 for part in parts)
    assert len(set().union(*map(set, parts))) == sum(map(len, parts))


def test_words_with_the_same_beginning_are_in_one_part():
    beginnings = [{word[:5] for word in part} for part in every(letters())]
    assert len(set().union(*beginnings)) == sum(map(len, beginnings))


def test_groups_of_near_copies_are_in_one_part():
    table = resources.files("minattn.tasks").joinpath("messages.tsv").read_text(encoding="utf-8")
    groups = defaultdict(set)
    for line in table.splitlines()[1:]:
        number, _, english = line.split("\t")
        groups[tuple(re.findall(experiment.WORD, english.lower()))].add(number)
    found = [set().union(*(groups[text] for text in part)) for part in every(words())]
    assert len(set().union(*found)) == sum(map(len, found))


@make_parts
def test_tokens_are_those_that_are_learned_from(make):
    parts = make()
    known = {token for text in parts.train for token in text}
    assert set(parts.vocabulary.tokens[parts.ordinary.start :]) <= known
    assert len(parts.vocabulary) < MANY
    assert parts.vocabulary.tokens[3:5] == (MASK, RARE)


def test_a_token_that_is_not_known_is_rare_and_never_asked_about():
    ids = TOY.ids(["cabd"])
    c, a, b = TOY.vocabulary.encode(list("cab"))
    assert ids.tolist() == [[1, c, a, b, 4, 2]]
    assert asked_about(TOY, ids).tolist() == [[False, True, True, True, False, False]]
    assert not (gaps(TOY, ids).chosen & ~asked_about(TOY, ids)).any()


def test_neighbours_are_those_beside_and_nothing_comes_round():
    ids = torch.tensor([[1, 5, 6, 7, 2]])
    assert contexts(ids, (-1,)).tolist() == [[0, 1, 5, 6, 7]]
    assert contexts(ids, (2,)).tolist() == [[6, 7, 2, 0, 0]]
    assert contexts(ids, (-2, 1))[0, 2] == 1 * MANY + 7


@pytest.mark.parametrize("part", [0, 1])
def test_every_guess_is_a_distribution_over_ordinary_tokens(part):
    for name, guess in Counting(TOY).guesses().items():
        p = guess[part]
        torch.testing.assert_close(p.sum(-1), torch.ones(p.shape[:2], dtype=torch.double))
        assert (p[..., : TOY.ordinary.start] == 0).all(), name


def test_counts_are_those_of_the_training_part():
    a, b, c = TOY.vocabulary.encode(list("abc"))
    chances = [torch.zeros(2, 5, 8, dtype=torch.double), torch.zeros(1, 6, 8, dtype=torch.double)]
    for part in chances:
        part[..., [a, b, c]] = 1 / 3
    once = Counting(TOY).counted((), chances)[1][0, 1]
    assert once[a] == once[b] > once[c] > 0
    after_b = Counting(TOY).counted((-1,), chances)[1][0, 4]  # behind "cab"
    assert after_b[a] == after_b[c] > after_b[b]


def test_a_guess_of_a_special_token_does_not_count():
    ids = TOY.ids(["abc"])
    logits = torch.nn.functional.one_hot(ids, len(TOY.vocabulary)).double() * 50
    logits[..., : TOY.ordinary.start] = 1000.0
    found = scored(logits, ids, TOY, asked_about(TOY, ids))
    assert found["right"] == 1 and found["loss"] < 1e-9


@make_parts
def test_what_a_fingerprint_shortens_is_whole_again_afterwards(make):
    with in_short([]):
        few = getattr(experiment, make.__name__)()
    assert len(few.train) < len(make().train) / 2
