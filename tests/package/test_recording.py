import copy
import io
import pickle
import threading
from contextlib import ExitStack

import pytest
import torch
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
from minattn.checkpoints import load_model, save_model
from minattn.dot_product import DotProductAttention, fused_attend
from minattn.masks import Causal, Padding, Window
from minattn.recording import attending, recording
from minattn.recurrent import RecurrentTranslator, final_state
from minattn.self_attention import LanguageModel, SelfAttentionStack
from minattn.translation import greedy
from minattn.vocabulary import pad
from tests.package.strategies import EXACT, ROUNDING, WEIGHTED, built, dot_attention, normal

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
    assert_close(recorded, plain, **ROUNDING)
    for gradient, twin in zip(same, gradients, strict=True):
        assert_close(gradient, twin, **ROUNDING)


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
        with block(model):
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


@pytest.mark.parametrize("leading", [(), (2, 3)], ids=["no batch", "batch and heads"])
def test_calls_are_joined_along_the_queries_under_any_leading_axes(leading):
    model = Pair.Part(dot_attention)
    query, key = normal(*leading, 5, 3), normal(*leading, 7, 3, seed=1)
    with recording(model) as record:
        model(query, key)
        model(query[..., 1:, :], key)
    whole = attention_weights(dot_attention, query, key)
    assert_close(record.weights(), torch.cat([whole, whole[..., 1:, :]], dim=-2), **ROUNDING)


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


def test_a_change_to_a_module_leaves_the_mode_of_what_it_is_made_of():
    model = translator(lambda: WeightDropout(dot_attention, 0.5)).train()
    model.attend.eval()  # on purpose: the rest is trained
    plain = model(SOURCE, TARGET)
    with attending(model, Around):
        assert_close(model(SOURCE, TARGET), plain, **EXACT)
    assert model.training and not model.attend.training


class Around(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *inputs):
        return self.inner(*inputs)


# Layers that project, and hand on to an attend of their own


def layer():
    return DotProductAttention(d_query=10, d_key=10, d_k=7, d_v=10)


def test_of_an_attend_within_an_attend_only_the_innermost_is_recorded():
    model = translator(layer)
    plain = model(SOURCE, TARGET)
    with recording(model) as record:
        assert_close(model(SOURCE, TARGET), plain, **EXACT)
    assert list(record.calls) == ["attend"]
    query, memory = queries_by_hand(model)
    scores = model.attend.q_proj(query) @ model.attend.k_proj(memory.states).mT / 7**0.5
    assert_close(record.weights(), masked_softmax(scores, memory.mask[:, None]), **ROUNDING)


def test_of_an_attend_within_an_attend_only_the_innermost_is_changed():
    model, other = translator(layer), translator(layer)
    other.attend.attend = hard(fused_attend)
    with attending(model, hard):
        assert model.attend.attend is not fused_attend
        assert_close(model(SOURCE, TARGET), other(SOURCE, TARGET), **ROUNDING)


def test_a_layer_deeper_inside_an_attend_is_found_too():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layer()

        def forward(self, query, key, value, mask=None):
            return self.inner(query, key, value, mask)

    model = translator(Outer)
    with recording(model) as record:
        model(SOURCE, TARGET)
    assert list(record.calls) == ["attend.inner"]
    assert record.weights().shape == (3, 7, 5)


# Masks that are descriptions

DISTINCT = torch.tensor([[5, 9, 3, 10, 2], [7, 2, 6, 0, 1], [4, 8, 2, 3, 0]])  # so none ties
DESCRIPTIONS = {
    "Causal": Causal(),
    "Padding": Padding(SOURCE != 0),
    "both": Window(before=2, after=1) & Padding(SOURCE != 0),
    "a tensor for all rows": torch.ones(5, 5).bool().triu(),
    "none": None,
}
descriptions = pytest.mark.parametrize("mask", DESCRIPTIONS.values(), ids=DESCRIPTIONS)


def as_tensor(mask):
    """Spell a mask out for every query of every row."""
    if mask is None:
        return torch.ones(3, 5, 5).bool()
    return (mask if isinstance(mask, torch.Tensor) else mask.to_bool((3, 5, 5))).expand(3, 5, 5)


def stack(n_layers=1):
    return built(lambda: SelfAttentionStack(11, d_model=10, n_layers=n_layers))


@descriptions
def test_weights_under_a_description_are_those_under_its_tensor(mask):
    model = stack()
    x, (part,) = model.embedding(DISTINCT), model.layers
    with recording(model) as record:
        recorded = model(DISTINCT, mask)
    assert_close(recorded, model(DISTINCT, mask), **EXACT)
    scores = part.q_proj(x) @ part.k_proj(x).mT / 10**0.5
    assert_close(record.weights(), masked_softmax(scores, as_tensor(mask)), **ROUNDING)


def test_the_model_itself_still_gets_the_description():
    # torch has a faster way for a causal mask that is not spelt out.
    model, mask, seen = stack(), Causal(), []

    def spy(query, key, value, mask=None):
        seen.append((value.shape, mask))
        return fused_attend(query, key, value, mask)

    model.layers[0].attend = spy
    with recording(model):
        model(DISTINCT, mask)
    assert [shape for shape, _ in seen] == [(3, 5, 5), (3, 5, 10)]
    assert seen[1][1] is mask


@descriptions
def test_a_change_gets_a_tensor_with_the_axes_of_the_scores(mask):
    model, seen = stack(2), []

    def spying(attend):
        return lambda query, key, value, mask=None: (
            seen.append(mask) or attend(query, key, value, mask)
        )

    with attending(model, spying):
        assert_close(model(DISTINCT, mask), model(DISTINCT, mask), **EXACT)
    assert len(seen) == 4
    for tensor in seen:
        assert tensor is None if mask is None else torch.equal(tensor, as_tensor(mask))


CHANGES = {
    "hard": (hard, lambda scores: 1e9 * scores),
    "tempered": (lambda attend: with_temperature(attend, 0.3), lambda scores: scores / 0.3),
    "uniform": (lambda attend: uniform_attention, lambda scores: 0 * scores),
}


@descriptions
@pytest.mark.parametrize(("change", "scored"), CHANGES.values(), ids=CHANGES)
def test_a_change_that_knows_only_tensors_works_under_a_description(change, scored, mask):
    model = stack()
    x, (part,) = model.embedding(DISTINCT), model.layers
    scores = scored(part.q_proj(x) @ part.k_proj(x).mT / 10**0.5)
    weights = masked_softmax(scores, as_tensor(mask))
    with attending(model, change), recording(model) as record:
        output = model(DISTINCT, mask)
    # A temperature takes a logarithm and back, which loses some digits.
    assert_close(record.weights(), weights, rtol=1e-8, atol=1e-10)
    assert_close(output, x + weights @ part.v_proj(x), rtol=1e-8, atol=1e-10)


def test_one_context_vector_under_a_causal_mask_is_the_value_at_the_place_itself():
    model = stack()
    x = model.embedding(DISTINCT)
    with attending(model, lambda attend: final_state):
        assert_close(model(DISTINCT, Causal()), x + model.layers[0].v_proj(x), **ROUNDING)


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_everything_in_a_model_of_several_layers_is_as_before(block):
    model = built(lambda: LanguageModel(13, d_model=10, n_layers=3)).eval()
    plain, state = model(None, TARGET), list(model.state_dict())
    parts = {name: (set(vars(part)), list(part._modules)) for name, part in model.named_modules()}
    with block(model):
        for part in model.stack.layers:
            assert part.attend is not fused_attend
    for part in model.stack.layers:
        assert part.attend is fused_attend
    assert list(model.state_dict()) == state
    for name, part in model.named_modules():
        assert (set(vars(part)), list(part._modules)) == parts[name]
    assert_close(model(None, TARGET), plain, **EXACT)


def test_a_change_that_fails_half_way_leaves_the_model_as_it_was():
    model, changed = stack(3), []

    def fails(attend):
        if changed:
            raise KeyError("the second time")
        changed.append(attend)
        return hard(attend)

    with pytest.raises(KeyError), attending(model, fails):
        pass
    assert len(changed) == 1
    assert all(part.attend is fused_attend for part in model.layers)


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


@pytest.mark.rejects
def test_calls_with_more_and_more_keys_are_not_joined():
    model = built(lambda: LanguageModel(11, d_model=4)).eval()
    with recording(model) as record:
        greedy(model, torch.tensor([[5, 6]]), max_length=3)
    with pytest.raises(RuntimeError, match=r"one number of keys can be joined, got \[1, 2"):
        record.weights()


@pytest.mark.parametrize(
    "make", [lambda: AdditiveAttention(4, 4, 3), lambda: WeightDropout(uniform_attention, 0.5)]
)
def test_a_module_put_in_gets_a_mask_as_a_tensor(make):
    model = built(lambda: LanguageModel(11, d_model=4)).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    other = torch.tensor([[5, 6, 9, 10]])
    with attending(model, lambda attend: built(make).eval()):
        assert_close((model(None, ids) - model(None, other))[:, :2], torch.zeros(1, 2, 11).double())
    assert not hasattr(model.stack.layers[0].attend, "inner")


def test_queries_that_all_rows_share_are_recorded():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = fused_attend

        def forward(self, query, x, mask):
            return self.attend(query, x, x, mask)

    query, x = normal(1, 2, 3), normal(5, 7, 3, seed=1)
    mask = Padding(normal(5, 7, seed=2) > -1)
    model = Learned()
    with recording(model) as record:
        model(query, x, mask)
    assert record.weights().shape == (5, 2, 7)
    assert_close(record.weights() @ x, fused_attend(query, x, x, mask))


# Blocks within blocks


@kinds
def test_each_of_two_recordings_has_every_call_once(make):
    model = translator(make)
    with recording(model) as single:
        model(SOURCE, TARGET)
    with recording(model) as outer:
        model(SOURCE, TARGET)
        with recording(model) as inner:
            model(SOURCE, TARGET)
    assert len(inner.calls[""]) == len(single.calls[""])
    assert len(outer.calls[""]) == 2 * len(single.calls[""])
    assert_close(outer.calls[""], 2 * single.calls[""], **EXACT)
    assert_close(inner.calls[""], single.calls[""], **EXACT)


def test_the_weights_of_one_recording_may_be_changed_and_those_of_the_other_stay():
    model = translator(KINDS["a module"])
    with recording(model) as one, recording(model) as other:
        model(SOURCE, TARGET)
    expected = other.weights().clone()
    for weights in one.calls[""]:
        weights.zero_()
    assert_close(other.weights(), expected, **EXACT)


NESTED = {
    "recording, recording": lambda model: (recording(model), recording(model)),
    "recording, attending": lambda model: (recording(model), attending(model, hard)),
    "attending, recording": lambda model: (attending(model, hard), recording(model)),
    "attending, attending": lambda model: (
        attending(model, lambda attend: with_temperature(attend, 0.5)),
        attending(model, hard),
    ),
}
nested = pytest.mark.parametrize("blocks", NESTED.values(), ids=NESTED)


@kinds
@nested
@pytest.mark.parametrize("ends_well", [True, False])
@pytest.mark.parametrize("first_out", [0, 1])
def test_blocks_that_end_in_any_order_leave_the_model_as_it_was(make, blocks, ends_well, first_out):
    model = translator(make)
    attend, attributes, plain = model.attend, dict(vars(model)), model(SOURCE, TARGET)
    opened = blocks(model)
    for block in opened:
        block.__enter__()
    for block in (opened[first_out], opened[1 - first_out]):
        error = KeyError("inside")
        how = (None, None, None) if ends_well else (KeyError, error, None)
        try:
            assert not block.__exit__(*how)
        except KeyError as raised:
            assert raised is error and not ends_well
    assert model.attend is attend
    assert vars(model) == attributes
    assert_close(model(SOURCE, TARGET), plain, **EXACT)


def test_a_recording_that_ends_first_leaves_the_other_recording():
    model = translator(KINDS["a module"])
    first, second = recording(model), recording(model)
    one, other = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    model(SOURCE, TARGET)
    second.__exit__(None, None, None)
    assert one.calls == {}
    assert other.weights().shape == (3, 7, 5)


@pytest.mark.parametrize("recording_is", ["outside", "inside"])
def test_the_weights_under_a_change_are_recorded_whichever_block_is_opened_first(recording_is):
    model = translator(KINDS["a module"])
    if recording_is == "outside":
        with recording(model) as record, attending(model, hard):
            model(SOURCE, TARGET)
    else:
        with attending(model, hard), recording(model) as record:
            model(SOURCE, TARGET)
    assert set(record.weights().unique().tolist()) == {0.0, 1.0}
    assert record.weights().shape == (3, 7, 5)


def powered(power):
    """Make a change that raises weights to a power: two of them in one order or the other differ."""

    def change(attend):
        def changed(query, key, value, mask=None):
            return attend(query, key, value, mask) ** power + 1

        return changed

    return change


def test_a_change_within_a_change_works_on_it_and_on_what_is_left_when_that_has_ended():
    model, x = Pair.Part(dot_attention), normal(2, 5, 3)
    plain = model(x, x)
    first, second = attending(model, powered(2)), attending(model, powered(3))
    first.__enter__()
    assert_close(model(x, x), plain**2 + 1, **EXACT)
    second.__enter__()
    assert_close(model(x, x), (plain**2 + 1) ** 3 + 1, **EXACT)
    first.__exit__(None, None, None)
    assert_close(model(x, x), plain**3 + 1, **EXACT)
    second.__exit__(None, None, None)
    assert_close(model(x, x), plain, **EXACT)


def test_a_part_inside_a_layer_that_was_put_in_is_recorded_under_its_own_name():
    model = stack()
    inner = built(lambda: DotProductAttention(d_query=10, d_key=10, d_k=7, d_v=10))
    with attending(model, lambda attend: inner), recording(model) as record:
        model(DISTINCT)
    assert list(record.calls) == ["layers.0.attend"]
    x, (part,) = model.embedding(DISTINCT), model.layers
    scores = inner.q_proj(part.q_proj(x)) @ inner.k_proj(part.k_proj(x)).mT / 7**0.5
    assert_close(record.weights(), scores.softmax(-1), **ROUNDING)
    assert inner.attend is fused_attend


def test_one_attend_in_two_places_is_recorded_under_both():
    model, query, key = built(Pair), normal(2, 5, 3), normal(2, 7, 3, seed=1)
    model.first.attend = uniform_attention
    del model.first.attend
    model.first.attend = model.second.attend
    with recording(model) as record:
        model(query, key)
    shared = model.second.attend
    inner = shared(query, key, key)
    assert_close(
        record.weights("first"), attention_weights(shared, query, key).detach(), **ROUNDING
    )
    assert_close(
        record.weights("second"), attention_weights(shared, inner, key).detach(), **ROUNDING
    )
    assert model.first.attend is model.second.attend is shared


def test_a_method_that_attends_is_recorded_and_is_a_method_again():
    class Method(nn.Module):
        def attend(self, query, key, value, mask=None):
            return dot_attention(query, key, value, mask)

        def forward(self, x):
            return self.attend(x, x, x)

    model, x = Method(), normal(2, 5, 3)
    with recording(model) as record:
        model(x)
    assert_close(record.weights(), attention_weights(dot_attention, x, x), **ROUNDING)
    assert "attend" not in vars(model)


def test_an_attend_that_is_set_inside_a_block_stays():
    model = Pair.Part(dot_attention)
    with recording(model) as record:
        model.attend = uniform_attention
        model(normal(2, 5, 3), normal(2, 7, 3))
    assert model.attend is uniform_attention
    assert record.calls == {}


# The model inside a block

INSIDE = {**BLOCKS, **NESTED}


@pytest.mark.parametrize("block", INSIDE.values(), ids=INSIDE)
def test_inside_a_block_the_model_has_the_parts_weights_and_modes_of_outside(block):
    dropped = WeightDropout(AdditiveAttention(10, 10, 7), 0.5)
    model = translator(lambda: dropped).train()
    names = [name for name, _ in model.named_modules()]
    state, parameters = list(model.state_dict()), [id(p) for p in model.parameters()]
    blocks = block(model)
    with ExitStack() as opened:
        for one in blocks if isinstance(blocks, tuple) else (blocks,):
            opened.enter_context(one)
        assert [name for name, _ in model.named_modules()] == names
        assert list(model.state_dict()) == state
        assert [id(p) for p in model.parameters()] == parameters
        model.eval()
        assert not any(part.training for part in model.modules())
        assert_close(model(SOURCE, TARGET), model(SOURCE, TARGET), **EXACT)
        model.train()
        assert model.attend.__wrapped__.dropout.training
    assert model.attend is dropped


def test_a_model_that_is_saved_inside_a_block_is_whole(tmp_path):
    model, twin = (translator(KINDS["a module"]) for _ in range(2))
    for weight in twin.parameters():
        nn.init.normal_(weight)
    with recording(model):
        save_model(tmp_path / "a", model)
        load_model(tmp_path / "a", twin)
    assert_close(twin(SOURCE, TARGET), model(SOURCE, TARGET), **EXACT)


COPIES = {
    "copied": copy.deepcopy,
    "pickled": lambda model: pickle.loads(pickle.dumps(model)),
    "saved by torch": lambda model: torch_saved(model),
}


def torch_saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("kind", ["a module", "a function"])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_that_is_made_inside_a_block_is_one_of_the_model_outside(kind, copied):
    model = translator(KINDS[kind])
    plain = model(SOURCE, TARGET)
    with attending(model, hard), recording(model) as record:
        twin = copied(model)
        assert_close(twin(SOURCE, TARGET), plain, **EXACT)
        assert record.calls == {}
    assert list(twin.state_dict()) == list(model.state_dict())
    if kind == "a module":
        assert twin.attend is twin._modules["attend"] is not model.attend
        next(twin.attend.parameters()).data.add_(1.0)  # it is the one that attends
        assert not torch.equal(twin(SOURCE, TARGET), plain)
    else:
        assert twin.attend is uniform_attention
    assert_close(model(SOURCE, TARGET), plain, **EXACT)
    with recording(twin) as again:
        twin(SOURCE, TARGET)
    assert again.weights().shape == (3, 7, 5)


# Threads


def test_each_of_two_threads_that_record_one_model_has_its_own_calls():
    model = stack()
    inputs = [DISTINCT[:, : 3 + i] for i in range(2)]
    expected = []
    for ids in inputs:
        with recording(model) as record:
            model(ids)
        expected.append(record.weights())
    found, errors = [None, None], []
    together = threading.Barrier(2)

    def record_in_thread(i):
        try:
            with recording(model) as record:
                together.wait(60)
                for _ in range(20):
                    model(inputs[i])
                together.wait(60)
            found[i] = record.calls
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=record_in_thread, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for i in range(2):
        assert_close(found[i], {"layers.0": [expected[i]] * 20}, **ROUNDING)
    assert model.layers[0].attend is fused_attend


def test_a_change_in_one_thread_is_none_in_another():
    model = stack()
    plain, said = model(DISTINCT), []
    with attending(model, lambda attend: uniform_attention):
        thread = threading.Thread(target=lambda: said.append(model(DISTINCT)))
        thread.start()
        thread.join()
        assert not torch.equal(model(DISTINCT), plain)
    assert_close(said[0], plain, **EXACT)


def test_blocks_that_threads_open_and_close_at_random_leave_the_model_as_it_was():
    model, errors = stack(2), []

    def work():
        try:
            for _ in range(200):
                with recording(model), attending(model, hard):
                    pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(part.attend is fused_attend for part in model.layers)


def test_a_generator_that_stops_inside_its_block_takes_nothing_from_others():
    model = translator(KINDS["a module"])
    attend = model.attend

    def steps():
        with recording(model) as record:
            while True:
                model(SOURCE, TARGET)
                yield len(record.calls[""])

    one, other = steps(), steps()
    once = next(one)
    assert next(other) == once
    one.close()
    assert next(other) == 2 * once
    other.close()
    assert model.attend is attend
