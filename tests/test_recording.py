import pytest
import torch
from strategies import EXACT, ROUNDING, WEIGHTED, built, dot_attention, normal
from torch import nn
from torch.testing import assert_close

from minattn.alignment import (
    AdditiveAttention,
    WeightDropout,
    attention_weights,
    hard,
    masked_softmax,
    uniform_attention,
    with_temperature,
)
from minattn.recording import attending, recording
from minattn.recurrent import RecurrentTranslator, final_state
from minattn.translation import greedy
from minattn.vocabulary import pad

SOURCE = pad([[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]])
TARGET = pad([[1, 8, 12, 3, 5, 6, 11], [1, 4], [1, 3, 3, 7]])

KINDS = {
    "a module": lambda: AdditiveAttention(10, 10, 7),
    "a function": lambda: uniform_attention,
    "a closure": lambda: with_temperature(dot_attention, 0.5),
    "one context vector": lambda: final_state,
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
places = pytest.mark.parametrize("attends", ["before", "after"])


def translator(make, attends="after"):
    return built(
        lambda: RecurrentTranslator(11, 13, d_model=10, attend=make(), attends=attends)
    ).eval()


class Pair(nn.Module):
    """Two parts that attend, one after the other, and one that does not."""

    class Part(nn.Module):
        def __init__(self, attend):
            super().__init__()
            self.attend = attend

        def forward(self, query, key):
            return self.attend(query, key, key)

    def __init__(self):
        super().__init__()
        self.first = self.Part(dot_attention)
        self.second = self.Part(AdditiveAttention(3, 3, 5).double())
        self.other = nn.Linear(3, 3).double()

    def forward(self, query, key):
        return self.other(self.second(self.first(query, key), key))


def queries_by_hand(model):
    """Collect the decoder states that attention is asked with, step by step."""
    memory = model.encode(SOURCE)
    state, queries = model.start(memory), []
    for token in TARGET.unbind(1):
        before = state
        _, state = model.step(token, state, memory)
        queries.append((before if model.attends == "before" else state)[0])
    return torch.stack(queries, dim=1), memory


@kinds
@places
def test_the_recorded_weights_are_those_that_the_model_attends_with(make, attends):
    model = translator(make, attends)
    with recording(model) as record:
        model(SOURCE, TARGET)
    query, memory = queries_by_hand(model)
    expected = attention_weights(model.attend, query, memory.states, memory.mask[:, None])
    assert record.weights().shape == (3, 7, 5)
    assert_close(record.weights(), expected, **ROUNDING)
    assert not record.weights().requires_grad


def test_the_recorded_weights_are_the_softmax_of_the_scores():
    model = translator(KINDS["a module"])
    with recording(model) as record:
        model(SOURCE, TARGET)
    query, memory = queries_by_hand(model)
    scores = model.attend.scores(query, memory.states)
    assert_close(record.weights(), masked_softmax(scores, memory.mask[:, None]), **ROUNDING)


@kinds
@places
def test_a_model_that_is_recorded_gives_the_same_outputs_and_the_same_gradients(make, attends):
    model = translator(make, attends)
    slope = normal(3, 7, 13)
    plain = model(SOURCE, TARGET)
    gradients = torch.autograd.grad(plain, list(model.encoder.parameters()), slope)
    with recording(model):
        recorded = model(SOURCE, TARGET)
        same = torch.autograd.grad(recorded, list(model.encoder.parameters()), slope)
    assert_close(recorded, plain, **EXACT)
    for gradient, twin in zip(same, gradients, strict=True):
        assert_close(gradient, twin, **EXACT)


BLOCKS = {
    "recording": recording,
    "attending through a function": lambda model: attending(model, hard),
    "attending through a module": lambda model: attending(
        model, lambda attend: WeightDropout(attend, 0.5)
    ),
}


@kinds
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("ends_well", [True, False])
def test_the_model_is_as_before_when_the_block_ends_however_it_ends(make, block, ends_well):
    model = translator(make)
    attend, state = model.attend, list(model.state_dict())
    names = [name for name, _ in model.named_modules()]
    attributes = set(vars(model))
    try:
        with recording(model):
            assert model.attend is not attend
            if not ends_well:
                raise KeyError
    except KeyError:
        pass
    assert model.attend is attend
    # The order too: an optimizer made now sees the same parameters in the same places.
    assert list(model.state_dict()) == state
    assert [name for name, _ in model.named_modules()] == names
    assert set(vars(model)) == attributes


def test_a_block_that_has_ended_records_no_more():
    model = translator(KINDS["a module"])
    with recording(model) as record:
        model(SOURCE, TARGET)
    model(SOURCE, TARGET)
    assert record.weights().shape == (3, 7, 5)


@places
def test_a_greedy_translation_is_recorded_step_by_step(attends):
    model = translator(KINDS["a module"], attends)
    with recording(model) as record:
        translation = greedy(model, SOURCE, max_length=4)
    assert record.weights().shape == (3, translation.shape[1], 5)
    with recording(model) as forced:
        said = torch.cat([torch.ones(3, 1).long(), translation[:, :-1]], dim=1)
        model(SOURCE, said)
    assert_close(record.weights(), forced.weights(), **ROUNDING)


@pytest.mark.parametrize("name", WEIGHTED)
def test_every_attend_can_be_recorded(name):
    model = translator(lambda: WEIGHTED[name](10))
    with recording(model) as record:
        model(SOURCE, TARGET)
    assert_close(record.weights().sum(-1), torch.ones(3, 7).double(), **ROUNDING)
    assert_close(record.weights()[1, :, 2:], torch.zeros(7, 3).double(), **EXACT)


def test_several_places_are_recorded_under_their_names():
    model, query, key = built(Pair), normal(2, 5, 3), normal(2, 7, 3, seed=1)
    with recording(model) as record:
        model(query, key)
        model(query[:, :1], key)
    inner = dot_attention(query, key, key)
    first = attention_weights(dot_attention, query, key)
    second = attention_weights(model.second.attend, inner, key)
    for name, expected in (("first", first), ("second", second)):
        again = torch.cat([expected, expected[:, :1]], dim=1)
        assert_close(record.weights(name), again.detach(), **ROUNDING)


def test_a_recorded_attend_can_be_wrapped_again():
    model = translator(KINDS["a module"])
    model(SOURCE, TARGET)
    with recording(model) as outer, recording(model) as inner:
        model(SOURCE, TARGET)
    assert_close(outer.calls[""][-1], inner.weights(), **EXACT)


def test_hard_attention_is_recorded_as_ones_and_zeros():
    model = translator(lambda: hard(dot_attention))
    with recording(model) as record:
        model(SOURCE, TARGET)
    assert set(record.weights().unique().tolist()) == {0.0, 1.0}


# Changing how a model attends


@kinds
@places
def test_a_change_acts_on_every_call_while_the_block_runs(make, attends):
    model = translator(make, attends)
    other = translator(lambda: hard(make()), attends)
    other.load_state_dict(model.state_dict(), strict=False)
    other.attend = hard(model.attend)
    soft = model(SOURCE, TARGET)
    with attending(model, hard):
        assert_close(model(SOURCE, TARGET), other(SOURCE, TARGET), **EXACT)
    assert_close(model(SOURCE, TARGET), soft, **EXACT)


def test_a_change_can_be_recorded():
    model = translator(KINDS["a module"])
    with attending(model, hard), recording(model) as record:
        model(SOURCE, TARGET)
    assert set(record.weights().unique().tolist()) == {0.0, 1.0}


def test_a_change_reaches_every_part_that_attends():
    model, query, key = built(Pair), normal(2, 5, 3), normal(2, 7, 3, seed=1)
    with attending(model, lambda attend: uniform_attention), recording(model) as record:
        model(query, key)
    for name in ("first", "second"):
        assert_close(record.weights(name), torch.full((2, 5, 7), 1 / 7).double())


def test_a_change_to_a_module_follows_the_mode_of_the_model():
    model = translator(KINDS["a function"])
    plain = model(SOURCE, TARGET)
    with attending(model, lambda attend: WeightDropout(attend, 0.5)):
        model.eval()
        assert_close(model(SOURCE, TARGET), plain, **ROUNDING)


@pytest.mark.rejects
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_model_that_does_not_attend_is_rejected(block):
    with (
        pytest.raises(ValueError, match="must have an attend somewhere, got Linear without"),
        block(nn.Linear(3, 5)),
    ):
        pass


@pytest.mark.rejects
def test_a_submodule_that_did_not_attend_is_named():
    model = built(Pair)
    with recording(model) as record:
        model(normal(2, 5, 3), normal(2, 7, 3))
    with pytest.raises(RuntimeError, match=r"attended are \['first', 'second'\], got 'other'"):
        record.weights("other")


@pytest.mark.rejects
def test_weights_of_nothing_are_rejected():
    model = translator(KINDS["a module"])
    with recording(model) as record:
        pass
    with pytest.raises(
        RuntimeError, match="nothing was recorded: run the model inside the with block"
    ):
        record.weights()


@pytest.mark.rejects
def test_a_name_is_needed_where_several_places_attend():
    model = built(Pair)
    with recording(model) as record:
        model(normal(2, 5, 3), normal(2, 7, 3))
    with pytest.raises(RuntimeError, match=r"name one of \['first', 'second'\]"):
        record.weights()
