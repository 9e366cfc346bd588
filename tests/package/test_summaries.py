from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.tasks.base import Example
from minattn.tasks.summaries import UNK, UNKNOWN, SummaryTask, summary_vocabulary
from minattn.vocabulary import BOS, EOS

WORDS = summary_vocabulary(["moved", "to", "in"])
V = len(WORDS)


def example(source, target):
    target = tuple(target.split())
    return Example(tuple(source.split()), target, (None,) * len(target), 1)


def task_of(*examples):
    return SummaryTask("moves", WORDS, WORDS, examples, examples, examples)


def test_other_words_are_numbered_in_the_order_in_which_their_own_text_has_them():
    one = example("Molvar moved to Tisk in Tisk", "Tisk : Molvar")
    two = example("Tisk moved", "moved Tisk")
    batch = task_of(one, two).batch([one, two])
    assert batch.source.tolist() == [[V, 4, 5, V + 1, 6, V + 1, EOS], [V, 4, EOS, 0, 0, 0, 0]]
    assert batch.target_in.tolist() == [[BOS, V + 1, UNK, V], [BOS, 4, V, 0]]
    assert batch.target_out.tolist() == [[V + 1, UNK, V, EOS], [4, V, EOS, 0]]


@given(
    st.lists(st.sampled_from("moved to in Ro Ta Li Ko".split()), min_size=1, max_size=9),
    st.data(),
)
def test_what_was_encoded_comes_back_if_the_text_has_its_words(source, data):
    target = data.draw(st.lists(st.sampled_from(source), min_size=1))
    one = example(" ".join(source), " ".join(target))
    task = task_of(one)
    batch = task.batch([one])
    assert task.words(batch.target_out[0].tolist(), one) == target
    assert task.words(batch.source[0].tolist(), one) == source


def test_a_word_that_neither_vocabulary_nor_text_has_is_unknown():
    one = example("Ro moved", "Ta moved")
    assert task_of(one).words(task_of(one).batch([one]).target_out[0].tolist(), one)[0] == UNKNOWN


def test_without_the_extended_vocabulary_all_other_words_are_one():
    one = example("Molvar moved to Tisk", "Tisk Molvar")
    batch = replace(task_of(one), extended=False).batch([one])
    assert batch.source.tolist() == [[UNK, 4, 5, UNK, EOS]]
    assert batch.target_out.tolist() == [[UNK, UNK, EOS]]


def test_the_truth_is_every_place_of_a_word_that_nobody_knows_and_no_place_of_another():
    one = example("Ro moved to Ta to Ro", "Ro moved Ta")
    task = task_of(one)
    right = task.truth(task.batch([one]))
    assert right.shape == (1, 4, 7)
    assert [row.nonzero().flatten().tolist() for row in right[0]] == [[0, 5], [], [3], []]
    assert right.dtype == torch.bool


def test_an_id_that_no_word_of_the_text_has_is_refused():
    one = example("Ro moved", "Ro")
    with pytest.raises(ValueError, match=rf"in 0\.\.{V}, got {V + 1}$"):
        task_of(one).words([V + 1], one)


@pytest.mark.rejects
@pytest.mark.parametrize(("source", "target"), [("a <pad>", "a"), ("a b", "<eos>")])
def test_a_special_token_in_a_text_is_refused(source, target):
    one = example(source, target)
    with pytest.raises(ValueError, match=r"no special token, got '<(pad|eos)>'$"):
        task_of(one).batch([one])


@pytest.mark.rejects
def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one sequence, got none"):
        task_of(example("a", "a")).batch([])
