import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.alignment import AdditiveAttention
from minattn.decoding import beam_search, log_probability, sample
from minattn.language.pointer import (
    KnownWords,
    PointerGenerator,
    Summarizer,
    WordMemory,
    copied,
    coverage_loss,
    mixture,
)
from minattn.recording import recording
from minattn.recurrent import FinalStates
from minattn.tasks.base import Example
from minattn.tasks.summaries import UNK, SummaryTask, summary_vocabulary
from minattn.training import seeded
from minattn.translation import Memory, greedy, translate
from minattn.vocabulary import token_mask

V = 7
SOURCE = torch.tensor([[5, 7, 8, 4, 7, 2], [7, 4, 2, 0, 0, 0], [5, 4, 6, 5, 2, 0]])
TARGET = torch.tensor([[1, 8, 4, 7], [1, 7, 4, 5], [1, 4, 3, 5]])


@pytest.fixture
def model():
    with seeded(0):
        return PointerGenerator(V, 10).double().eval()


def ways(n_keys=5, seed=0):
    """Logits, gates, weights and ids of three rows, of which two have other words."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 2, V, generator=generator, dtype=torch.float64)
    gate = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    weights = torch.randn(3, 2, n_keys, generator=generator, dtype=torch.float64).softmax(-1)
    ids = torch.tensor([[7, 4, 8, 7, 4], [4, 5, 4, 4, 6], [7, 7, 7, 7, 2]])
    return logits, gate, weights, ids


def slowly(logits, gate, weights, ids):
    """Add up probabilities one by one."""
    found = torch.zeros(3, 2, 9, dtype=torch.float64)
    for row in range(3):
        for query in range(2):
            p = 1 / (1 + math.exp(-gate[row, query]))
            total = sum(math.exp(x) for x in logits[row, query])
            for word in range(V):
                found[row, query, word] += p * math.exp(logits[row, query, word]) / total
            for place in range(5):
                found[row, query, ids[row, place]] += (1 - p) * weights[row, query, place]
    return found


def test_a_mixture_is_what_a_slow_loop_adds_up():
    found = mixture(*ways())
    torch.testing.assert_close(found.exp(), slowly(*ways()))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3, 2, dtype=torch.float64))


def test_a_word_has_the_weight_of_all_places_where_it_stands():
    weights = torch.tensor([[[0.5, 0.2, 0.3]]], dtype=torch.float64)
    found = copied(weights, torch.tensor([[4, 3, 4]]), 5)
    assert found.tolist() == [[[0.0, 0.0, 0.0, 0.2, 0.8]]]


@given(st.permutations(range(5)), st.integers(0, 9))
def test_the_order_of_places_makes_no_difference(order, seed):
    logits, gate, weights, ids = ways(seed=seed)
    moved = mixture(logits, gate, weights[..., order], ids[:, order])
    torch.testing.assert_close(moved, mixture(logits, gate, weights, ids))


def test_a_word_of_another_text_is_impossible_and_gives_no_gradient():
    logits, gate, weights, ids = (x.requires_grad_(x.is_floating_point()) for x in ways())
    found = mixture(logits, gate, weights, ids)
    assert found[1, :, 7:].isneginf().all() and found[2, :, 8].isneginf().all()
    assert found[:, :, :7].isfinite().all() and found[0].isfinite().all()
    found.log_softmax(-1)[:, :, 4].sum().backward()
    assert all(x.grad.isfinite().all() and x.grad.any() for x in (logits, gate, weights))


@pytest.mark.parametrize("gate", [-200.0, 200.0])
def test_logarithms_stay_finite_where_a_probability_is_rounded_to_0(gate):
    weights = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    logits = torch.tensor([[[0.0] * 6 + [-300.0]]], requires_grad=True)
    found = mixture(logits, torch.full((1, 1), gate), weights, torch.tensor([[7, 8]]))
    assert found.isfinite().all()
    assert found[0, 0, 6].item() == pytest.approx(-300 - math.log(6) - max(0, -gate), abs=1e-3)
    found.sum().backward()
    assert weights.grad.isfinite().all() and logits.grad.isfinite().all()


def test_the_gradient_is_that_of_the_sum():
    logits, gate, weights, ids = ways()
    inputs = [x.requires_grad_() for x in (logits, gate, weights)]
    assert torch.autograd.gradcheck(lambda *x: mixture(*x, ids).exp(), inputs)


def test_ids_beyond_the_vocabulary_are_read_as_unknown():
    table = KnownWords(V, 5)
    assert torch.equal(table(torch.tensor([6, 7, 700])), table.weight[[6, UNK, UNK]])


def test_it_makes_no_difference_which_other_word_was_said(model):
    others = torch.where(TARGET >= V, 15 - TARGET, TARGET)
    assert (others != TARGET).any()
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, others))


def test_there_is_one_column_for_each_word_of_the_batch_and_rows_sum_to_1(model):
    found = model(SOURCE, TARGET)
    assert found.shape == (3, 4, 9)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3, 4, dtype=torch.float64))
    assert model(SOURCE[2:], TARGET[2:]).shape == (1, 4, V)


def test_step_by_step_is_all_at_once(model):
    memory = model.memory_of(SOURCE)
    state = model.start(memory)
    found = []
    for token in TARGET.unbind(1):
        log_probs, state = model.step(token, state, memory)
        found.append(log_probs)
    torch.testing.assert_close(torch.stack(found, 1), model(SOURCE, TARGET))


def test_a_row_says_the_same_alone(model):
    alone = model(SOURCE[1:2, :3], TARGET[1:2])
    torch.testing.assert_close(model(SOURCE, TARGET)[1:2, :, : alone.shape[-1]], alone)


def test_a_mask_stands_for_padding(model):
    mask = token_mask(SOURCE)
    assert torch.equal(model(SOURCE, TARGET, mask), model(SOURCE, TARGET))


def test_what_a_model_looks_at_is_what_it_copies(model):
    with recording(model) as record:
        found = model.said(SOURCE, TARGET)
    torch.testing.assert_close(record.weights(), found.weights)
    assert not found.weights[1, :, 3:].any()
    states = torch.zeros(3, 4, V, dtype=torch.float64)
    shares = copied(found.weights, SOURCE, 9) * (1 - found.gate)[..., None]
    rest = found.log_probs.exp() - shares
    torch.testing.assert_close(rest.sum(-1), found.gate)
    assert (rest[..., :V] > states).all()


@pytest.mark.parametrize(
    ("kind", "attend"),
    [
        (PointerGenerator, None),
        (PointerGenerator, AdditiveAttention(10, 10, 10)),
        (Summarizer, None),
        (Summarizer, FinalStates()),
    ],
)
def test_every_way_of_writing_works(kind, attend):
    with seeded(1):
        model = kind(V, 10, attend=attend).eval()
        drawn = sample(model, SOURCE, 5)
    said = greedy(model, SOURCE, 5)
    found = beam_search(model, SOURCE, 5, n_beams=1)
    assert torch.equal(found.best, said)
    wide = beam_search(model, SOURCE, 5, n_beams=3)
    again = log_probability(model, SOURCE, wide.best, lengths=wide.lengths[:, 0])
    torch.testing.assert_close(wide.log_probs[:, 0], again)
    assert drawn.max() < (9 if kind is PointerGenerator else V)


def names():
    words = summary_vocabulary("in came went of".split())
    texts = ["in Tisk came Molvar", "Ro went", "of Li of Ko of Li"]
    made = tuple(Example(tuple(t.split()), ("Nobody",), (None,), 1) for t in texts)
    return SummaryTask("names", words, words, made, made, made)


def test_one_that_only_points_says_only_words_of_each_text_and_names_them():
    task = names()
    with seeded(2):
        model = PointerGenerator(len(task.source), 10)
    model.gate.bias.data.fill_(-1e3)
    said = translate(model, task, task.held_out, 4)
    assert any(word not in task.source for words in said for word in words)
    for one, words in zip(task.held_out, said, strict=True):
        assert set(words) <= set(one.source)


def test_a_summarizer_says_no_word_that_it_does_not_know():
    task = names()
    with seeded(2):
        model = Summarizer(len(task.source), 10)
    said = translate(model, replace(task, extended=False), task.held_out, 4)
    assert all(word in task.source for words in said for word in words)
    batch = task.batch(task.held_out)
    assert model(batch.source, batch.target_in).shape[-1] == len(task.source)


def test_one_table_reads_and_writes():
    model = Summarizer(V, 10)
    assert model.embedding is model.encoder.embedding
    assert model.out_proj.weight is model.embedding.weight


def test_each_state_has_its_own_word_beside_it(model):
    bare = model.encoder(SOURCE).states
    memory = model.encode(SOURCE)
    own = model.embedding(SOURCE) * memory.mask[..., None]
    torch.testing.assert_close(memory.states - bare, own)
    assert torch.equal(memory.ids, SOURCE)


def test_coverage_counts_what_is_looked_at_again():
    weights = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [1, 0, 0]]])
    tokens = torch.tensor([[True, True, True, False]])
    assert coverage_loss(weights, tokens).item() == pytest.approx(0.5 / 3)
    assert coverage_loss(weights, torch.ones_like(tokens)).item() == pytest.approx(1.5 / 4)
    assert coverage_loss(weights[:, :2], tokens[:, :2]).item() == 0


@pytest.mark.rejects
def test_bad_input_is_named():
    with pytest.raises(ValueError, match="needs an id 3 for other words, got 3 ids"):
        PointerGenerator(3, 4)
    with pytest.raises(ValueError, match="must be even, got 5"):
        Summarizer(V, 5)
    with pytest.raises(ValueError, match="tokens must be at least 1, got 0"):
        coverage_loss(torch.ones(1, 1, 1), torch.zeros(1, 1, dtype=torch.bool))


def test_a_memory_of_words_is_still_two_things_and_repeats_its_ids():
    states, mask = torch.rand(2, 3, 5), torch.ones(2, 3).bool()
    ids = torch.tensor([[5, 7, 8], [6, 5, 9]])
    memory = WordMemory(states, mask, ids)
    assert [part.shape for part in memory] == [states.shape, mask.shape]
    again = memory.repeat(2)
    assert again.ids.tolist() == [[5, 7, 8], [5, 7, 8], [6, 5, 9], [6, 5, 9]]
    assert torch.equal(again.states[1], states[0])


@pytest.mark.rejects
def test_a_pointer_needs_the_ids_that_were_read():
    model = PointerGenerator(7, 4)
    memory = Memory(torch.rand(1, 3, 4), torch.ones(1, 3).bool())
    with pytest.raises(TypeError, match=r"WordMemory.*got.*translation.Memory"):
        model.step(torch.tensor([1]), model.start(memory), memory)
