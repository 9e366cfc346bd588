import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from minattn.alignment import AdditiveAttention
from minattn.masks import CAUSAL, Padding
from minattn.recurrent import Encoder, FinalStates, RecurrentTranslator, final_state, gru_step
from minattn.translation import Translator, greedy
from minattn.vocabulary import PAD, pad
from tests.package.strategies import EVERY, EXACT, ROUNDING, attention_inputs, built, normal

SOURCES = [[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]]
TARGETS = [[1, 8, 12, 3, 5, 6, 11], [1, 4, 0, 0, 0, 0, 0], [1, 3, 3, 7, 0, 0, 0]]
SOURCE, TARGET = pad(SOURCES), pad(TARGETS)

ARMS = [
    pytest.param(
        name, attends, bidirectional, id=f"{name}-{attends}-{'two' if bidirectional else 'one'}"
    )
    for name in EVERY
    for attends in ("before", "after")
    for bidirectional in (False, True)
]
every_arm = pytest.mark.parametrize(("name", "attends", "bidirectional"), ARMS)


def translator(name="additive", attends="after", bidirectional=True, seed=0, **settings):
    """Make a small float64 translator; the width is even, all other sizes are odd primes."""

    def make():
        attend = EVERY[name](10)
        return RecurrentTranslator(
            11,
            13,
            d_model=10,
            attend=attend,
            attends=attends,
            bidirectional=bidirectional,
            **settings,
        )

    return built(make, seed).eval()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference_gru(x, h, w_x, w_h, b_x, b_h):
    """Take one step for one row, gate by gate, as Cho et al. with torch's place of the reset gate."""
    d = len(h)
    r, z, n = np.zeros(d), np.zeros(d), np.zeros(d)
    for i in range(d):
        r[i] = sigmoid(w_x[i] @ x + b_x[i] + w_h[i] @ h + b_h[i])
        z[i] = sigmoid(w_x[d + i] @ x + b_x[d + i] + w_h[d + i] @ h + b_h[d + i])
    for i in range(2 * d, 3 * d):
        n[i - 2 * d] = np.tanh(w_x[i] @ x + b_x[i] + r[i - 2 * d] * (w_h[i] @ h + b_h[i]))
    return np.array([(1 - z[i]) * n[i] + z[i] * h[i] for i in range(d)])


def arrays(module):
    return {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}


def run_gru(inputs, weights, h, suffix=""):
    """Run a recurrent layer over one row; return the state after every input."""
    states = []
    for x in inputs:
        h = reference_gru(
            x,
            h,
            *(
                weights[f"{kind}_l0{suffix}"]
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ),
        )
        states.append(h)
    return states


def reference_encoder(encoder, ids):
    """Encode one row without padding; return its states and its summary."""
    weights = arrays(encoder.gru)
    inputs = arrays(encoder)["embedding.weight"][ids]
    zeros = np.zeros(encoder.gru.hidden_size)
    forwards = run_gru(inputs, weights, zeros)
    if not encoder.gru.bidirectional:
        return np.array(forwards), forwards[-1]
    backwards = run_gru(inputs[::-1], weights, zeros, "_reverse")[::-1]
    return np.concatenate([forwards, backwards], axis=1), np.concatenate(
        [forwards[-1], backwards[0]]
    )


def reference_translator(model, source, target):
    """Compute the logits of one sentence from the formulas, one step after the other, without padding."""
    w = arrays(model)
    states, summary = reference_encoder(model.encoder, source)
    memory = torch.tensor(states)[None]
    s = np.tanh(w["bridge.weight"] @ summary + w["bridge.bias"])
    logits = []

    def context(query):
        return model.attend(torch.tensor(query)[None, None], memory, memory)[0, 0].detach().numpy()

    for token in target:
        y = w["embedding.weight"][token]
        if model.attends == "before":
            c = context(s)
            (s,) = run_gru([np.concatenate([y, c])], arrays(model.gru), s)
        else:
            (s,) = run_gru([y], arrays(model.gru), s)
            c = context(s)
        combined = np.tanh(w["combine.weight"] @ np.concatenate([s, c]) + w["combine.bias"])
        logits.append(w["out_proj.weight"] @ combined + w["out_proj.bias"])
    return torch.tensor(np.array(logits))


# The step


def test_a_step_by_hand_is_the_step_of_torch_with_the_same_gradients():
    cell = built(lambda: nn.GRUCell(5, 7))
    ours = [
        normal(3, 5, seed=1),
        normal(3, 7, seed=2),
        *(p.detach().clone() for p in cell.parameters()),
    ]
    theirs = [normal(3, 5, seed=1).requires_grad_(), normal(3, 7, seed=2).requires_grad_()]
    ours = [tensor.requires_grad_() for tensor in ours]
    slope = normal(3, 7, seed=3)
    step = gru_step(*ours)
    assert_close(step, cell(*theirs), **ROUNDING)
    expected = torch.autograd.grad(cell(*theirs), [*theirs, *cell.parameters()], slope)
    for gradient, twin in zip(torch.autograd.grad(step, ours, slope), expected, strict=True):
        assert_close(gradient, twin, **ROUNDING)


def test_a_step_by_hand_is_the_step_written_out_for_every_number():
    tensors = [
        normal(*shape, seed=i)
        for i, shape in enumerate([(3, 5), (3, 7), (21, 5), (21, 7), (21,), (21,)])
    ]
    x, h, *weights = (tensor.numpy() for tensor in tensors)
    expected = [reference_gru(x[row], h[row], *weights) for row in range(3)]
    assert_close(gru_step(*tensors), torch.tensor(np.array(expected)), **ROUNDING)


def test_an_update_gate_of_one_keeps_the_state_and_of_zero_takes_the_candidate():
    x, h, w_x, w_h = (
        normal(3, 5),
        normal(3, 7),
        torch.zeros(21, 5).double(),
        torch.zeros(21, 7).double(),
    )
    bias = torch.zeros(21).double()
    bias[14:] = 0.5
    gate = torch.zeros(21).double()
    gate[7:14] = 100.0
    assert_close(gru_step(x, h, w_x, w_h, bias, gate), h, **EXACT)
    candidate = torch.full((3, 7), 0.5).double().tanh()
    assert_close(gru_step(x, h, w_x, w_h, bias, -gate), candidate, **ROUNDING)


# One context vector


@given(attention_inputs())
def test_the_final_state_is_the_value_at_the_last_allowed_position(inputs):
    query, key, value, mask = inputs
    expected = value.new_zeros(*query.shape[:2], value.shape[2])
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            for j in range(value.shape[1]):
                if mask is None or mask[b, i % mask.shape[1], j]:
                    expected[b, i] = value[b, j]
    assert_close(final_state(query, key, value, mask), expected, **EXACT)


@given(attention_inputs())
def test_final_states_are_the_last_forwards_and_the_first_backwards(inputs):
    query, key, value, mask = inputs
    half = value.shape[2] // 2
    expected = value.new_zeros(*query.shape[:2], value.shape[2])
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            row = range(value.shape[1])
            allowed = [j for j in row if mask is None or mask[b, i % mask.shape[1], j]]
            if allowed:
                expected[b, i, :half] = value[b, allowed[-1], :half]
                expected[b, i, half:] = value[b, allowed[0], half:]
    assert_close(FinalStates()(query, key, value, mask), expected, **EXACT)


@given(attention_inputs(mask=True))
def test_one_context_vector_has_a_gradient_only_where_it_was_read(inputs):
    query, key, value, mask = inputs
    value.requires_grad_()
    final_state(query, key, value, mask).sum().backward()
    read = torch.zeros(value.shape[:2])
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            allowed = mask[b, i % mask.shape[1]].nonzero()
            if len(allowed):
                read[b, allowed[-1]] += 1
    assert_close(value.grad, read[..., None].double().expand_as(value), **EXACT)


# The encoder


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_encoder_reads_a_padded_row_as_it_would_read_it_alone(bidirectional):
    encoder = built(lambda: Encoder(11, 14, bidirectional))
    states, mask = encoder(SOURCE)
    assert mask.tolist() == [[True] * len(ids) + [False] * (5 - len(ids)) for ids in SOURCES]
    for row, ids in enumerate(SOURCES):
        expected, _ = reference_encoder(encoder, ids)
        assert_close(states[row, : len(ids)], torch.tensor(expected), **ROUNDING)
        assert_close(states[row, len(ids) :], torch.zeros(5 - len(ids), 14).double(), **EXACT)


def test_a_forward_encoder_does_not_know_what_comes_and_a_bidirectional_one_does():
    other = SOURCE.clone()
    other[0, 3] = 6
    one, two = built(lambda: Encoder(11, 14)), built(lambda: Encoder(11, 14, bidirectional=True))
    assert_close(one(SOURCE).states[0, :3], one(other).states[0, :3], **EXACT)
    assert not torch.allclose(one(SOURCE).states[0, 3:], one(other).states[0, 3:])
    assert not torch.allclose(two(SOURCE).states[0, 0], two(other).states[0, 0])


# The translator


@every_arm
def test_the_logits_are_those_of_the_formulas(name, attends, bidirectional):
    model = translator(name, attends, bidirectional)
    logits = model(SOURCE, TARGET)
    assert logits.shape == (3, 7, 13)
    for row, ids in enumerate(SOURCES):
        assert_close(
            logits[row], reference_translator(model, ids, TARGET[row].tolist()), **ROUNDING
        )


@every_arm
def test_all_steps_at_once_are_the_steps_one_after_the_other(name, attends, bidirectional):
    model = translator(name, attends, bidirectional)
    at_once, one_by_one = model(SOURCE, TARGET), Translator.forward(model, SOURCE, TARGET)
    assert_close(at_once, one_by_one, **ROUNDING)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("attends", ["before", "after"])
@pytest.mark.parametrize("name", ["additive", "multiplicative", "final_state"])
def test_all_steps_at_once_have_the_gradients_of_the_steps_one_after_the_other(
    name, attends, bidirectional
):
    model = translator(name, attends, bidirectional)
    slope = normal(3, 7, 13)
    at_once = torch.autograd.grad(model(SOURCE, TARGET), list(model.parameters()), slope)
    loop = torch.autograd.grad(
        Translator.forward(model, SOURCE, TARGET), list(model.parameters()), slope
    )
    for gradient, twin in zip(at_once, loop, strict=True):
        assert_close(gradient, twin, **ROUNDING)


def test_the_keys_of_additive_attention_are_projected_once_and_not_for_every_target_token():
    model = translator("additive", "before")
    seen = []
    model.attend.k_proj.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    model(SOURCE, TARGET)
    assert seen == [(3, 5, 10)]


def test_one_fixed_vector_makes_nothing_wait_whichever_place_it_has(monkeypatch):
    model = translator("final_state", "before", bidirectional=False)
    monkeypatch.setattr(model, "_gru_step", None)
    assert model(SOURCE, TARGET).shape == (3, 7, 13)


@pytest.mark.parametrize("attends", ["before", "after"])
def test_attention_is_asked_with_the_state_before_the_step_or_with_the_state_after_it(attends):
    model = translator("uniform", attends, bidirectional=False)
    asked, inner = [], model.attend
    model.attend = lambda query, *rest: asked.append(query) or inner(query, *rest)
    memory = model.encode(SOURCE)
    before = model.start(memory)
    _, after = model.step(TARGET[:, 0], before, memory)
    assert_close(asked[0][:, 0], (before if attends == "before" else after)[0], **EXACT)


@pytest.mark.parametrize(("attends", "calls"), [("before", 7), ("after", 1)])
def test_only_attending_before_the_step_forces_a_loop_over_time(attends, calls):
    model = translator("uniform", attends, bidirectional=False)
    asked, inner = [], model.attend
    model.attend = lambda query, *rest: asked.append(query.shape) or inner(query, *rest)
    model(SOURCE, TARGET)
    assert asked == [(3, 7 // calls, 10)] * calls


@every_arm
def test_padding_changes_nothing(name, attends, bidirectional):
    model = translator(name, attends, bidirectional)
    wider = torch.cat([SOURCE, torch.full((3, 2), PAD)], dim=1)
    assert_close(model(wider, TARGET), model(SOURCE, TARGET), **ROUNDING)
    assert torch.equal(greedy(model, wider, 7), greedy(model, SOURCE, 7))


@every_arm
def test_a_row_alone_is_the_row_in_its_batch(name, attends, bidirectional):
    model = translator(name, attends, bidirectional)
    together = model(SOURCE, TARGET)
    for row, ids in enumerate(SOURCES):
        alone = model(torch.tensor([ids]), TARGET[row : row + 1])
        assert_close(alone[0], together[row], **ROUNDING)


@given(st.integers(1, 6), st.integers(3, 12), st.sampled_from(ARMS))
def test_later_target_tokens_do_not_change_earlier_logits(position, token, arm):
    model = translator(*arm.values)
    other = TARGET.clone()
    other[:, position:] = token
    assert_close(model(SOURCE, other)[:, :position], model(SOURCE, TARGET)[:, :position], **EXACT)


@every_arm
def test_every_source_token_and_every_target_token_so_far_matters(name, attends, bidirectional):
    model = translator(name, attends, bidirectional)
    logits = model(SOURCE, TARGET)
    for position in range(4):
        other = SOURCE.clone()
        other[0, position] = 6
        assert not torch.allclose(model(other, TARGET)[0, 0], logits[0, 0], rtol=0, atol=1e-6)
    other = TARGET.clone()
    other[:, 0] = 9
    assert not torch.allclose(model(SOURCE, other)[:, -1], logits[:, -1], rtol=0, atol=1e-6)


def test_dropout_acts_in_training_only():
    model = translator(dropout=0.5)
    still = model(SOURCE, TARGET)
    assert_close(model(SOURCE, TARGET), still, **EXACT)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.allclose(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.eval()
    assert_close(model(SOURCE, TARGET), still, **EXACT)


def test_attention_adds_its_own_weights_and_nothing_else():
    fixed, additive = translator("final_state"), translator("additive")
    names = set(additive.state_dict()) - set(fixed.state_dict())
    assert names == {
        "attend.q_proj.weight",
        "attend.k_proj.weight",
        "attend.k_proj.bias",
        "attend.v",
    }
    assert set(fixed.state_dict()) <= set(additive.state_dict())


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 0, "d_model": 4}, "vocab_size must be at least 1, got 0"),
        ({"vocab_size": 5, "d_model": -1}, "d_model must be at least 1, got -1"),
        ({"vocab_size": 5, "d_model": 7, "bidirectional": True}, "must be even, got 7"),
    ],
)
def test_an_encoder_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        Encoder(**arguments)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ((0, 13), {}, "source_vocab_size must be at least 1, got 0"),
        ((11, 0), {}, "target_vocab_size must be at least 1, got 0"),
        ((11, 13), {"d_model": 0}, "d_model must be at least 1, got 0"),
        ((11, 13), {"d_model": 7, "bidirectional": True}, "must be even, got 7"),
        ((11, 13), {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ((11, 13), {"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
    ],
)
def test_a_translator_rejects(sizes, settings, message):
    with pytest.raises(ValueError, match=message):
        RecurrentTranslator(*sizes, **settings)


@pytest.mark.rejects
def test_a_place_for_attention_that_there_is_not_is_named(unchecked):
    with pytest.raises(ValueError, match="must be 'before' or 'after', got 'within'"):
        RecurrentTranslator(11, 13, attends="within")


@pytest.mark.rejects
@pytest.mark.parametrize("attends", ["before", "after"])
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (SOURCE[:0], TARGET[:0], r"neither 0, got \(0, 5\)"),
        (SOURCE[:, :0], TARGET, r"neither 0, got \(3, 0\)"),
        (SOURCE, TARGET[:, :0], r"target_in .* neither 0, got \(3, 0\)"),
        (SOURCE * 0, TARGET, "at least one token, got only padding in row 0"),
    ],
)
def test_a_translator_rejects_ids(attends, source, target, message):
    with pytest.raises(ValueError, match=message):
        translator("uniform", attends)(source, target)


@pytest.mark.rejects
@pytest.mark.parametrize("attends", ["before", "after"])
def test_two_batches_of_different_size_are_rejected(attends, unchecked):
    with pytest.raises(ValueError, match=r"same batch size, got \(3, 5\) and \(2, 7\)"):
        translator("uniform", attends)(SOURCE, TARGET[:2])


@pytest.mark.rejects
@pytest.mark.parametrize("attends", ["before", "after"])
def test_ids_that_are_not_whole_numbers_are_rejected(attends, unchecked):
    with pytest.raises(TypeError, match=r"source .* got torch\.float64"):
        translator("uniform", attends)(SOURCE.double(), TARGET)
    with pytest.raises(TypeError, match=r"target_in .* got torch\.int32"):
        translator("uniform", attends)(SOURCE, TARGET.int())


# Masks of other kinds


@given(inputs=attention_inputs(mask=True))
def test_a_description_of_a_mask_says_what_the_mask_says(inputs):
    query, key, value, mask = inputs
    shape = (*query.shape[:2], key.shape[1])
    described = [
        (Padding(mask[:, 0]), mask[:, :1]),
        (CAUSAL, CAUSAL.to_bool(shape)),
        (CAUSAL & Padding(mask[:, 0]), CAUSAL.to_bool(shape) & mask[:, :1]),
        (mask[0], mask[:1].expand(len(mask), -1, -1)),
    ]
    for description, same in described:
        same = same.expand(shape[0], -1, -1)
        for attend in (final_state, FinalStates()):
            found = attend(query, key, value, description)
            assert_close(found, attend(query, key, value, same), **EXACT)
            assert found.shape == (*query.shape[:2], value.shape[2])


@pytest.mark.rejects
@pytest.mark.parametrize("attend", [final_state, FinalStates()], ids=["one", "two"])
@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([[[0.0, 0.0, -math.inf]]]),
        torch.tensor([[[1, 1, 0]]]),
        torch.tensor([[[1.0, 1.0, 0.0]]]),
    ],
    ids=["bias", "ints", "floats"],
)
def test_a_mask_of_numbers_is_rejected(attend, mask):
    value = torch.tensor([[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]])
    with pytest.raises(TypeError, match="a mask must be bool, True where a query may attend"):
        attend(value[:, :1], value, value, mask)


@pytest.mark.rejects
@pytest.mark.parametrize("attend", [final_state, FinalStates()], ids=["one", "two"])
def test_a_mask_that_does_not_fit_is_rejected(attend):
    value = torch.zeros(2, 3, 4)
    for mask in (torch.ones(2, 1, 4), torch.ones(3, 1, 3), torch.ones(2, 2, 3), torch.ones(3)):
        with pytest.raises(ValueError, match="a mask must have shape"):
            attend(value[:, :1], value, value, mask.bool())


@pytest.mark.rejects
def test_values_that_have_no_last_state_or_no_halves_are_rejected():
    heads = torch.zeros(2, 3, 3, 4)
    with pytest.raises(ValueError, match=r"\(batch, keys, d_value\), got \(2, 3, 3, 4\)"):
        final_state(heads, heads, heads)
    with pytest.raises(ValueError, match="d_value evenly, so it must be even, got 5"):
        FinalStates()(torch.zeros(1, 1, 5), torch.zeros(1, 3, 5), torch.zeros(1, 3, 5))


# Whoever changes an attend or a step is listened to


class OwnForward(AdditiveAttention):
    def forward(self, query, key, value, mask=None):
        return -super().forward(query, key, value, mask)


class OwnScores(AdditiveAttention):
    def scores(self, query, key):
        return -super().scores(query, key)


class OwnOver(AdditiveAttention):
    """Changes both in the same way."""

    def forward(self, query, key, value, mask=None):
        return -super().forward(query, key, value, mask)

    def over(self, key, value, mask=None):
        asked = AdditiveAttention.over(self, key, value, mask)
        self.used = True
        return asked  # its type is another one, so this calls the forward above


class Called:
    """No module, with an ``over`` from a base."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, query, key, value, mask=None):
        return self.inner(query, key, value, mask)

    def over(self, key, value, mask=None):
        return self.inner.over(key, value, mask)


class CalledOtherwise(Called):
    def __call__(self, query, key, value, mask=None):
        return -super().__call__(query, key, value, mask)


def patched(attend):
    plain = attend.forward
    attend.forward = lambda *inputs: -plain(*inputs)
    return attend


def hooked(attend):
    attend.register_forward_hook(lambda _, inputs, output: -output)
    return attend


ATTENDS = {
    "plain": lambda: AdditiveAttention(10, 10, 7),
    "forward": lambda: OwnForward(10, 10, 7),
    "scores": lambda: OwnScores(10, 10, 7),
    "over": lambda: OwnOver(10, 10, 7),
    "no module": lambda: Called(AdditiveAttention(10, 10, 7).double()),
    "no module, otherwise": lambda: CalledOtherwise(AdditiveAttention(10, 10, 7).double()),
    "the instance": lambda: patched(AdditiveAttention(10, 10, 7)),
    "a hook": lambda: hooked(AdditiveAttention(10, 10, 7)),
}


@pytest.mark.parametrize("kind", ATTENDS)
def test_an_attend_that_was_changed_is_the_same_under_teacher_forcing(kind):
    model = built(
        lambda: RecurrentTranslator(11, 13, d_model=10, attend=ATTENDS[kind](), attends="before")
    )
    assert_close(model(SOURCE, TARGET), Translator.forward(model, SOURCE, TARGET), **ROUNDING)
    if kind == "over":
        assert model.attend.used


@pytest.mark.parametrize("attends", ["before", "after"])
def test_a_step_of_its_own_is_taken_under_teacher_forcing_too(attends):
    class OwnStep(RecurrentTranslator):
        def step(self, token, state, memory):
            logits, state = super().step(token, state, memory)
            return -logits, state

    own, plain = (
        built(lambda kind=kind: kind(11, 13, d_model=10, attends=attends))
        for kind in (OwnStep, RecurrentTranslator)
    )
    assert_close(own(SOURCE, TARGET), -plain(SOURCE, TARGET), **ROUNDING)


# Ids and numbers


@pytest.mark.rejects
@pytest.mark.parametrize("attends", ["before", "after"])
def test_ids_that_there_are_not_are_named(attends):
    model = RecurrentTranslator(11, 13, d_model=4, attends=attends)
    memory = model.encode(SOURCE)
    wrong = torch.tensor([3, 13, 4])
    for call, message in (
        (lambda: model(SOURCE + 11, TARGET), "source must hold ids from 0 to 10, got"),
        (lambda: model.encoder(SOURCE + 11), "source must hold ids from 0 to 10, got"),
        (lambda: model(SOURCE, TARGET + 13), "target_in must hold ids from 0 to 12, got"),
        (lambda: model.step(wrong, model.start(memory), memory), "target_in .* 0 to 12, got 13"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, 4.5, True, None, "4"], ids=repr)
@pytest.mark.parametrize("name", ["source_vocab_size", "target_vocab_size", "d_model"])
def test_a_size_of_a_translator_is_a_whole_number(name, wrong):
    sizes = {"source_vocab_size": 5, "target_vocab_size": 5, "d_model": 4, name: wrong}
    with pytest.raises((ValueError, TypeError), match=f"{name} must be a whole number"):
        RecurrentTranslator(**sizes)


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, 4.5, True, None, "4"], ids=repr)
@pytest.mark.parametrize("name", ["vocab_size", "d_model"])
def test_a_size_of_an_encoder_is_a_whole_number(name, wrong):
    with pytest.raises((ValueError, TypeError), match=f"{name} must be a whole number"):
        Encoder(**{"vocab_size": 5, "d_model": 4, name: wrong})


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, True, None, "0.1"], ids=repr)
def test_a_dropout_that_is_none_is_rejected(wrong):
    with pytest.raises((ValueError, TypeError), match=r"dropout must be in \[0, 1\), got"):
        RecurrentTranslator(5, 5, d_model=4, dropout=wrong)
