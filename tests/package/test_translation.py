import pytest
import torch
from torch import nn
from torch.testing import assert_close

from minattn.recurrent import RecurrentTranslator
from minattn.tasks import Example, Task
from minattn.translation import Memory, Translator, check_ids, greedy, translate, write
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
    said = write(Summer(), source, choose)
    # The second row has ended in the second step: what is chosen for it after that is neither said nor read.
    assert said.tolist() == [[5, 3, 4, EOS], [6, EOS, PAD, PAD]]
    read = torch.cat([torch.full((2, 1), BOS), said[:, :-1]], dim=1)
    assert_close(torch.stack(asked, dim=1), Summer()(source, read), **EXACT)


@pytest.mark.parametrize("max_length", [1, 3, 11])
def test_writing_without_an_end_stops_at_the_longest_length(max_length):
    said = write(Summer(), SOURCE, lambda logits: torch.full((3,), 7), max_length)
    assert said.tolist() == [[7] * max_length] * 3


def test_writing_stops_after_fifty_tokens_unless_told_otherwise():
    assert write(Summer(), SOURCE, lambda logits: torch.full((3,), 7)).shape == (3, 50)
    assert greedy(Phrasebook({(3,): (4,) * 99}, 7), SOURCE[:1]).shape == (1, 50)


def test_writing_stops_as_soon_as_all_rows_have_ended():
    said = write(Summer(), SOURCE, lambda logits: torch.full((3,), EOS))
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
