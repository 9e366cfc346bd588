import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from minattn.recurrent import RecurrentTranslator
from minattn.tasks import Example, Task
from minattn.translation import (
    Memory,
    Table,
    Translator,
    check_ids,
    check_logits,
    check_source_mask,
    check_target,
    check_vectors,
    greedy,
    tokens_of,
    translate,
    write,
)
from minattn.vocabulary import BOS, EOS, PAD, Vocabulary, pad, token_mask
from tests.package.strategies import EXACT, Phrasebook, built

# Three sentences whose translations have 1, 3 and 2 tokens: rows of a batch end at different steps.
PHRASES = {(3,): (4,), (5, 6): (3, 6, 5), (4, 4, 4): (6, 6)}
SOURCE = pad([[*source, EOS] for source in PHRASES])
TASK = Task(
    name="phrases",
    source=Vocabulary("abcd"),
    target=Vocabulary("ABCD"),
    train=(),
    held_out=tuple(
        Example(source, target, (None,) * len(target), len(source))
        for source, target in [
            (("a",), ("B",)),
            (("c", "d"), ("A", "D", "C")),
            (("b",) * 3, ("D",) * 2),
        ]
    ),
)


@pytest.fixture
def phrasebook():
    return Phrasebook(PHRASES, vocab_size=7)


class Summer(Translator):
    """A translator whose logits tell what it was given: the sum of the source and the running sum of tokens."""

    def encode(self, source):
        return Memory(source[..., None].double(), token_mask(source))

    def start(self, memory):
        return (memory.states.sum((1, 2)),)

    def step(self, token, state, memory):
        total = state[0] + token
        return torch.stack([total, token.double()], dim=-1), (total,)


class Wide(Summer):
    """The same with a vocabulary of nine, so that ids up to 8 may be chosen."""

    def step(self, token, state, memory):
        logits, state = super().step(token, state, memory)
        return F.pad(logits, (0, 7)), state


def reference_greedy(model, ids, max_length):
    """Translate one sentence: take the best token until the end is said."""
    memory = model.encode(torch.tensor([ids]))
    state = model.start(memory)
    said, token = [], BOS
    while token != EOS and len(said) < max_length:
        logits, state = model.step(torch.tensor([token]), state, memory)
        token = max(range(logits.shape[1]), key=logits[0].tolist().__getitem__)
        said.append(token)
    return said


def chatty(seed):
    """Make a model of random weights that says a few tokens and ends now and then."""

    def make():
        model = RecurrentTranslator(11, 7, d_model=10)
        nn.init.normal_(model.out_proj.weight, std=3.0)
        nn.init.normal_(model.embedding.weight, std=3.0)
        return model

    return built(make, seed)


def test_teacher_forcing_reads_the_right_tokens_one_after_the_other():
    source, target = torch.tensor([[3, 4], [5, PAD]]), torch.tensor([[1, 3, 6], [1, 5, 2]])
    logits = Summer()(source, target)
    assert logits.tolist() == [[[8, 1], [11, 3], [17, 6]], [[6, 1], [11, 5], [13, 2]]]


def test_greedy_translation_says_what_the_model_says_and_pads_after_the_end(phrasebook):
    expected = [[4, EOS, PAD, PAD], [3, 6, 5, EOS], [6, 6, EOS, PAD]]
    assert greedy(phrasebook, SOURCE).tolist() == expected


def test_greedy_translation_begins_with_bos_and_reads_its_own_words_until_all_rows_have_ended(
    phrasebook,
):
    greedy(phrasebook, SOURCE)
    assert phrasebook.read[0] == [BOS, BOS, BOS]
    assert phrasebook.read[1] == [4, 3, 6]
    assert len(phrasebook.read) == 4


@pytest.mark.parametrize("max_length", [1, 2, 3])
def test_greedy_translation_stops_at_the_longest_length(phrasebook, max_length):
    full = greedy(phrasebook, SOURCE)
    assert torch.equal(greedy(phrasebook, SOURCE, max_length), full[:, :max_length])


def test_greedy_translation_of_a_batch_is_the_loop_over_sentences():
    sources = [[5, 9, 3, 10, 2], [7, 2], [4, 4, 2], [3, 8, 6, 2], [10, 2]]
    ended_early = 0
    for seed in range(20):
        model = chatty(seed)
        rows = greedy(model, pad(sources), max_length=13).tolist()
        for row, ids in zip(rows, sources, strict=True):
            said = reference_greedy(model, ids, 13)
            assert row == said + [PAD] * (len(row) - len(said))
            ended_early += len(said) < len(row)
    assert ended_early > 5  # or this test would not see what happens after the end


def test_greedy_translation_builds_no_graph_and_keeps_the_mode():
    model = chatty(0).train()
    calls = []
    model.out_proj.register_forward_hook(lambda *call: calls.append(call[2].requires_grad))
    greedy(model, pad([[5, 2]]), max_length=3)
    assert calls
    assert not any(calls)
    assert model.training


def test_greedy_is_to_write_the_likeliest_token():
    for seed in range(5):
        model = chatty(seed)
        source = pad([[5, 9, 3, 2], [7, 2]])
        said = write(model, source, lambda logits: logits.argmax(-1), 13)
        assert torch.equal(greedy(model, source, 13), said)


def test_what_is_written_is_chosen_from_the_logits_and_read_in_the_next_step():
    asked, plan = [], [torch.tensor(tokens) for tokens in ([5, 6], [3, EOS], [4, 7], [EOS, 8])]

    def choose(logits):
        asked.append(logits)
        return plan[len(asked) - 1]

    source = torch.tensor([[3, 4], [5, PAD]])
    said = write(Wide(), source, choose)
    # The second row has ended in the second step: what is chosen for it after that is neither said nor read.
    assert said.tolist() == [[5, 3, 4, EOS], [6, EOS, PAD, PAD]]
    read = torch.cat([torch.full((2, 1), BOS), said[:, :-1]], dim=1)
    assert_close(torch.stack(asked, dim=1), Wide()(source, read), **EXACT)


@pytest.mark.parametrize("max_length", [1, 3, 11])
def test_writing_without_an_end_stops_at_the_longest_length(max_length):
    said = write(Wide(), SOURCE, lambda logits: torch.full((3,), 7), max_length)
    assert said.tolist() == [[7] * max_length] * 3


def test_writing_stops_after_fifty_tokens_unless_told_otherwise():
    assert write(Wide(), SOURCE, lambda logits: torch.full((3,), 7)).shape == (3, 50)
    assert greedy(Phrasebook({(3,): (4,) * 99}, 7), SOURCE[:1]).shape == (1, 50)


def test_writing_stops_as_soon_as_all_rows_have_ended():
    said = write(Wide(), SOURCE, lambda logits: torch.full((3,), EOS))
    assert said.tolist() == [[EOS]] * 3


def test_nothing_is_chosen_from_logits_that_have_a_graph():
    seen = []

    def choose(logits):
        seen.append((logits.requires_grad, torch.is_grad_enabled()))
        return logits.argmax(-1)

    write(chatty(0), SOURCE, choose, 3)
    assert set(seen) == {(False, False)}
    assert torch.is_grad_enabled()


def test_examples_are_translated_into_tokens(phrasebook):
    assert translate(phrasebook, TASK, TASK.held_out) == [["B"], ["A", "D", "C"], ["D", "D"]]
    assert translate(phrasebook, TASK, TASK.held_out, max_length=1) == [["B"], ["A"], ["D"]]


@pytest.mark.parametrize("training", [True, False])
def test_translation_is_done_in_evaluation_mode_and_the_mode_comes_back(phrasebook, training):
    phrasebook.train(training)
    translate(phrasebook, TASK, TASK.held_out)
    assert phrasebook.modes == [False]
    assert phrasebook.training == training


def test_the_mode_comes_back_after_an_error_too(phrasebook):
    phrasebook.train()
    with pytest.raises(ValueError, match="max_length"):
        translate(phrasebook, TASK, TASK.held_out, max_length=0)
    assert phrasebook.training


@pytest.mark.parametrize("training", [True, False])
def test_another_way_to_decode_gets_the_model_in_evaluation_mode_the_sources_and_the_length(
    phrasebook, training
):
    asked = []

    def decode(model, source, max_length):
        asked.append((model, model.training, source.tolist(), max_length))
        return torch.tensor([[3, 4, EOS, PAD], [EOS, PAD, PAD, PAD], [6, 6, 6, 5]])

    phrasebook.train(training)
    found = translate(phrasebook, TASK, TASK.held_out, 17, decode)
    assert found == [["A", "B"], [], ["D", "D", "D", "C"]]
    translate(phrasebook, TASK, TASK.held_out, decode=decode)
    sources = [[3, EOS, PAD, PAD], [5, 6, EOS, PAD], [4, 4, 4, EOS]]
    assert asked == [(phrasebook, False, sources, n) for n in (17, 50)]
    assert phrasebook.read == []
    assert phrasebook.training == training


def test_translation_is_greedy_unless_told_otherwise(phrasebook):
    usual = translate(phrasebook, TASK, TASK.held_out)
    assert usual == translate(phrasebook, TASK, TASK.held_out, decode=greedy)


def test_the_mode_comes_back_after_an_error_in_decoding(phrasebook):
    def decode(model, source, max_length):
        raise RuntimeError("no words")

    phrasebook.train()
    with pytest.raises(RuntimeError, match="no words"):
        translate(phrasebook, TASK, TASK.held_out, decode=decode)
    assert phrasebook.training


def test_only_the_source_of_an_example_is_read(phrasebook):
    other = [Example(e.source, ("A",), (None,), e.length) for e in TASK.held_out]
    assert translate(phrasebook, TASK, other) == translate(phrasebook, TASK, TASK.held_out)


def test_good_ids_pass_unchanged():
    source = SOURCE.clone()
    check_ids(source)
    check_ids(source, source)
    assert_close(source, SOURCE, **EXACT)


def test_a_translator_that_lacks_a_step_cannot_be_made():
    class Mute(Translator):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Mute()


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        (
            SOURCE.int(),
            None,
            TypeError,
            "source must hold ids of dtype torch.int64, got torch.int32",
        ),
        (SOURCE, SOURCE.double(), TypeError, "target_in must hold ids .* got torch.float64"),
        (SOURCE[0], None, ValueError, r"source must have shape \(batch, length\), .* got \(4,\)"),
        (SOURCE[:0], None, ValueError, r"neither 0, got \(0, 4\)"),
        (SOURCE, SOURCE[:, :0], ValueError, r"target_in .* neither 0, got \(3, 0\)"),
        (SOURCE * torch.tensor([[1], [0], [1]]), None, ValueError, "got only padding in row 1"),
        (SOURCE, SOURCE[:2], ValueError, r"same batch size, got \(3, 4\) and \(2, 4\)"),
    ],
)
def test_ids_that_no_model_can_read_are_rejected(source, target, error, message):
    with pytest.raises(error, match=message):
        check_ids(source, target)


@pytest.mark.rejects
@pytest.mark.parametrize("max_length", [0, -3])
def test_a_longest_length_below_one_is_rejected(phrasebook, max_length):
    def mute(logits):
        raise AssertionError("nothing is to be chosen")

    for call in (
        lambda: greedy(phrasebook, SOURCE, max_length),
        lambda: write(phrasebook, SOURCE, mute, max_length),
    ):
        with pytest.raises(ValueError, match=f"max_length must be at least 1, got {max_length}"):
            call()
    assert phrasebook.read == []


@pytest.mark.rejects
def test_an_empty_source_is_rejected(phrasebook):
    with pytest.raises(ValueError, match=r"neither 0, got \(3, 0\)"):
        greedy(phrasebook, SOURCE[:, :0])
    with pytest.raises(ValueError, match="got only padding in row 0"):
        write(phrasebook, SOURCE * 0, lambda logits: logits.argmax(-1))
    with pytest.raises(ValueError, match="at least one sequence, got none"):
        translate(phrasebook, TASK, [])


# Logits that say nothing


class Spoiled(Wide):
    """Says something sensible but for one number, in one row at one step."""

    def __init__(self, row, step, wrong):
        super().__init__()
        self.row, self.at, self.wrong, self.taken = row, step, wrong, 0

    def step(self, token, state, memory):
        logits, state = super().step(token, state, memory)
        self.taken += 1
        if self.taken == self.at:
            logits[self.row] = self.wrong
        return logits, state


WRONG = {
    "NaN": (torch.tensor([1.0] * 8 + [math.nan]), "not be NaN or plus infinity, got NaN"),
    "infinity": (torch.tensor([1.0] * 8 + [math.inf]), "not be NaN or plus infinity, got infinity"),
    "nothing": (torch.full((9,), -math.inf), "allow at least one token, got only minus infinity"),
}
wrongs = pytest.mark.parametrize("wrong", WRONG)


@pytest.mark.rejects
@wrongs
@pytest.mark.parametrize(("row", "step"), [(0, 1), (2, 3)])
def test_logits_that_say_nothing_are_told_with_their_step_and_row(wrong, row, step):
    logits, message = WRONG[wrong]
    where = f"the logits must {message} at step {step} in row {row}"
    for call in (
        lambda model: greedy(model, SOURCE, 5),
        lambda model: write(model, SOURCE, lambda logits: torch.full((3,), 7), 5),
    ):
        with pytest.raises(ValueError, match=where):
            call(Spoiled(row, step, logits.double()))


@wrongs
def test_a_row_that_has_ended_may_say_anything(wrong):
    plan = iter([[7, EOS, 7], [7, 8, 8], [EOS, 8, EOS]])

    def choose(logits):
        return torch.tensor(next(plan))

    said = write(Spoiled(1, 3, WRONG[wrong][0].double()), SOURCE, choose)
    assert said.tolist() == [[7, 7, EOS], [EOS, PAD, PAD], [7, 8, EOS]]


def test_a_token_may_be_forbidden():
    logits = torch.tensor([[-math.inf, 3.0, -math.inf], [1.0, 2.0, 3.0]])
    check_logits(logits)
    check_logits(torch.tensor([[math.nan, 0.0], [0.0, 1.0]]), unread=torch.tensor([True, False]))


@pytest.mark.rejects
def test_logits_without_rows_and_with_more_axes_are_told_too():
    with pytest.raises(ValueError, match=r"the logits must not be NaN .* got NaN$"):
        check_logits(torch.tensor([0.0, math.nan]))
    logits = torch.zeros(2, 3, 4)
    logits[1, 2, 0] = math.nan
    with pytest.raises(ValueError, match="got NaN in row 1, place 2"):
        check_logits(logits)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ([7, 7, 7], TypeError, "what choose returns must be a tensor, got list"),
        (torch.full((3, 1), 7), ValueError, r"shape \(batch,\), \(3,\), got \(3, 1\)"),
        (torch.tensor(7), ValueError, r"\(3,\), got \(\)"),
        (torch.full((3,), 7.0), TypeError, r"dtype torch\.int64, got torch\.float32"),
        (torch.full((3,), 7).int(), TypeError, r"dtype torch\.int64, got torch\.int32"),
        (
            torch.tensor([7, 9, 7]),
            ValueError,
            "what choose returns must hold ids from 0 to 8, got 9",
        ),
        (torch.tensor([7, 7, -1]), ValueError, "ids from 0 to 8, got -1"),
    ],
)
def test_a_choice_that_is_no_token_for_each_row_is_told(chosen, error, message):
    with pytest.raises(error, match=message):
        write(Wide(), SOURCE, lambda logits: chosen)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[3, EOS]] * 3, TypeError, "what decode returns must be a tensor, got list"),
        (torch.full((3, 2), 3.0), TypeError, "what decode returns must hold ids of dtype"),
        (torch.full((3,), 3), ValueError, r"what decode returns must have shape .* got \(3,\)"),
        (torch.full((2, 2), 3), ValueError, "one row for each of 3 examples, got 2"),
        (torch.full((3, 2), 7), ValueError, r"an id must be in 0\.\.6, got 7"),
    ],
)
def test_a_way_to_decode_that_returns_other_things_is_told(phrasebook, ids, error, message):
    with pytest.raises(error, match=message):
        translate(phrasebook, TASK, TASK.held_out, decode=lambda *call: ids)


@pytest.mark.rejects
def test_examples_from_an_iterator_are_translated(phrasebook):
    class Twice(Task):
        def batch(self, examples):
            super().batch(examples)
            return super().batch(examples)

    twice = Twice(TASK.name, TASK.source, TASK.target, TASK.train, TASK.held_out)
    for task in (TASK, twice):
        found = translate(phrasebook, task, iter(TASK.held_out))
        assert found == [["B"], ["A", "D", "C"], ["D", "D"]]


@pytest.mark.rejects
@pytest.mark.parametrize("max_length", [math.nan, 2.5, 2.0, True, None, "2"])
def test_a_longest_length_is_a_whole_number(phrasebook, max_length):
    with pytest.raises((ValueError, TypeError), match="max_length must be a whole number"):
        greedy(phrasebook, SOURCE, max_length)


# Inputs of other kinds


@pytest.mark.rejects
@pytest.mark.parametrize("other", [[[3, 4]], np.array([[3, 4]])], ids=["list", "numpy"])
def test_what_is_no_tensor_is_no_ids(other):
    kind = type(other).__name__
    ids = torch.tensor([[3, 4]])
    for call, name in (
        (partial(check_ids, other), "source"),
        (partial(greedy, Wide(), other), "source"),
        (partial(check_target, other, ids), "target_in"),
        (partial(Wide(), ids, other), "target_in"),
        (partial(check_target, ids, other), "source"),
        (partial(check_vectors, other, 3), "source"),
        (partial(Table(7, 3, "source"), other), "source"),
        (partial(tokens_of, other, None), "ids"),
    ):
        with pytest.raises(TypeError, match=f"{name} must be a tensor, got {kind}"):
            call()


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("mask", "got"),
    [
        ([[True, True, True, True]] * 3, "list"),
        (np.ones((3, 4), dtype=bool), "ndarray"),
        (True, "bool"),
        (torch.ones(3, 4), r"torch\.float32"),
        (torch.ones(3, 4, dtype=torch.long), r"torch\.int64"),
    ],
    ids=["list", "numpy", "bool", "float", "int"],
)
def test_a_source_mask_of_another_kind_is_told(mask, got):
    message = f"source_mask must be bool, a tensor that is True where .* got {got}"
    for call in (
        partial(check_source_mask, SOURCE),
        partial(tokens_of, SOURCE),
        partial(greedy, Wide(), SOURCE, 3),
        lambda mask: Wide()(SOURCE, SOURCE, mask),
        partial(RecurrentTranslator(7, 7, d_model=4).encoder, SOURCE),
    ):
        with pytest.raises(TypeError, match=message):
            call(mask)


def test_a_table_is_torchs_but_for_what_it_says():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = Table(7, 3, "source")
        torch.manual_seed(0)
        theirs = nn.Embedding(7, 3)
    ids = torch.tensor([[3, 6], [0, 2]])
    assert_close(ours(ids), theirs(ids), **EXACT)
    assert repr(ours) == repr(theirs)
    assert [*ours.state_dict()] == [*theirs.state_dict()]


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [7, -1])
def test_a_table_names_an_id_without_a_row(wrong):
    with pytest.raises(ValueError, match=f"target_in must hold ids from 0 to 6, got {wrong}"):
        Table(7, 3, "target_in")(torch.tensor([[3, wrong]]))
