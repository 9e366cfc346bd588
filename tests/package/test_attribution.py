import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minattn.alignment import AdditiveAttention, MultiplicativeAttention
from minattn.masks import CAUSAL
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions
from minattn.probing.agreement import agreement
from minattn.probing.alternatives import imposed
from minattn.probing.attribution import (
    changed_output,
    gradient_times_input,
    gradient_times_weight,
    head_weights,
    joined,
    leave_one_out,
    leave_out_keys,
    log_odds,
    looks,
    mean_weights,
    rollout,
    weighted_norms,
)
from minattn.recording import attending, recording
from minattn.recurrent import RecurrentTranslator
from minattn.self_attention import LanguageModel
from minattn.training import seeded
from minattn.transformer import TransformerTranslator

SOURCE = torch.tensor([[5, 7, 6, 4, 2], [7, 4, 2, 0, 0], [6, 6, 5, 2, 0]])
TARGET = torch.tensor([[1, 4, 5], [1, 5, 5], [1, 6, 4]])
SAID = torch.tensor([[4, 5, 2], [5, 5, 2], [6, 4, 2]])


def made(kind):
    with seeded(0):
        if kind == "transformer":
            model = TransformerTranslator(8, 7, d_model=12, n_heads=3, n_layers=2)
        else:
            attend = (
                AdditiveAttention(6, 6, 5) if kind == "before" else MultiplicativeAttention(6, 6)
            )
            model = RecurrentTranslator(8, 7, d_model=6, attend=attend, attends=kind)
    return model.double().eval()


def decision(model):
    return lambda: log_odds(model(SOURCE, TARGET), SAID)


def place(model):
    if isinstance(model, TransformerTranslator):
        return model.decoder.blocks[-1].cross_attention, model.source_embedding
    return model, model.encoder.embedding


KINDS = ("after", "before", "transformer")


class Linear(nn.Module):
    """A sum of values by weights that never change, of which one number is the score."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(8, 3).double()

    def attend(self, query, key, value, mask=None):
        n = key.shape[-2]
        weights = torch.arange(1.0, n + 1, dtype=value.dtype) / (n * (n + 1) / 2)
        return weights.expand(*query.shape[:-1], n) @ value

    def forward(self, ids):
        x = self.table(ids)
        return self.attend(x, x, x).sum(-1)  # (batch, seq)


@pytest.mark.parametrize("kind", KINDS)
def test_looking_changes_no_answer_and_keeps_what_a_recording_keeps(kind):
    model = made(kind)
    part, _ = place(model)
    with torch.no_grad():
        before = decision(model)()
        with looks(part) as calls:
            torch.testing.assert_close(decision(model)(), before)
        with recording(part) as record:
            decision(model)()
    kept = record.weights()
    torch.testing.assert_close(joined(calls), kept if kept.ndim == 4 else kept[:, None])
    torch.testing.assert_close(mean_weights(decision(model), part), joined(calls).mean(1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_worth_what_a_small_change_of_it_changes(kind):
    model = made(kind)
    part, _ = place(model)
    weights = head_weights(decision(model), part)
    found = gradient_times_weight(decision(model), part)
    small = 1e-6
    for row, query, key in ((0, 0, 1), (0, 2, 3), (2, 1, 0)):
        less = weights.clone()
        less[row, :, query, key] *= 1 - small
        with torch.no_grad(), imposed(part, less):
            after = decision(model)()[row, query]
        lost = (decision(model)()[row, query] - after) / small
        torch.testing.assert_close(found[row, query, key], lost, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_worth_what_a_small_change_of_it_changes(kind):
    model = made(kind)
    _, inputs = place(model)
    found = gradient_times_input(decision(model), inputs)
    small = 1e-6
    for key in (0, 2, 4):

        def less(x, key=key):
            return torch.cat([x[:, :key], x[:, key : key + 1] * (1 - small), x[:, key + 1 :]], 1)

        with torch.no_grad():
            whole = decision(model)()
            with changed_output(inputs, less):
                lost = (whole - decision(model)()) / small
        torch.testing.assert_close(found[..., key], lost, rtol=1e-4, atol=1e-6)


def test_of_a_sum_the_gradient_says_what_leaving_out_says():
    with seeded(0):
        model = Linear()
    ids = torch.tensor([[5, 7, 6], [1, 1, 2]])
    decide = lambda: model(ids)  # noqa: E731
    left = leave_one_out(decide, model.table)
    torch.testing.assert_close(gradient_times_input(decide, model.table).detach(), left)
    torch.testing.assert_close(gradient_times_weight(decide, model), left)
    shares = torch.tensor([1.0, 2, 3], dtype=torch.float64) / 6
    torch.testing.assert_close(left[:, 0], shares * model.table(ids).sum(-1))


def test_an_input_read_twice_is_taken_away_twice():
    with seeded(0):
        model = Linear()
    ids = torch.tensor([[5, 7, 6]])
    decide = lambda: model(ids) + model.table(ids).sum((1, 2))[:, None]  # noqa: E731
    own = model.table(ids).sum(-1)[:, None]
    once, twice = (leave_one_out(decide, model.table, calls) for calls in ((0,), (0, 1)))
    torch.testing.assert_close(twice - once, own.expand_as(once))
    torch.testing.assert_close(gradient_times_input(decide, model.table, (0, 1)), twice)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_explains_nothing(kind):
    model = made(kind)
    part, inputs = place(model)
    padding = (SOURCE == 0)[:, None].expand(-1, 3, -1)
    ways = [
        mean_weights(decision(model), part),
        weighted_norms(decision(model), part),
        gradient_times_weight(decision(model), part),
        gradient_times_input(decision(model), inputs),
        leave_one_out(decision(model), inputs),
        leave_out_keys(decision(model), part),
    ]
    if kind == "transformer":
        ways.append(rollout(decision(model), model.encoder, part))
    for found in ways:
        assert found.shape == (3, 3, 5)
        assert found[padding].abs().max() < 1e-12
        assert found[~padding].abs().max() > 1e-6


def test_only_the_decisions_that_are_wanted_are_explained():
    model = made("after")
    wanted = torch.tensor([[True, False, False], [True, False, True], [False, False, False]])
    for found, whole in (
        (
            gradient_times_weight(decision(model), model, wanted),
            gradient_times_weight(decision(model), model),
        ),
        (
            gradient_times_input(decision(model), model.encoder.embedding, wanted=wanted),
            gradient_times_input(decision(model), model.encoder.embedding),
        ),
    ):
        torch.testing.assert_close(found[wanted], whole[wanted])
        assert found[~wanted].abs().max() == 0


def test_a_frozen_model_is_explained_alike():
    model = made("transformer")
    part, inputs = place(model)
    free = (
        gradient_times_weight(decision(model), part),
        gradient_times_input(decision(model), inputs),
    )
    model.requires_grad_(False)
    torch.testing.assert_close(gradient_times_weight(decision(model), part), free[0])
    torch.testing.assert_close(gradient_times_input(decision(model), inputs), free[1])


@given(st.integers(0, 20))
def test_rollout_follows_every_path_and_its_shares_sum_to_one(seed):
    with seeded(seed):
        model = LanguageModel(9, d_model=6, n_layers=2, positions=SinusoidalPositions(6)).double()
    ids = torch.tensor([[5, 7, 6, 8]])
    decide = lambda: model(None, ids)[..., 0]  # noqa: E731
    found = rollout(decide, model.stack)
    first, second = (head_weights(decide, layer)[:, 0] for layer in model.stack.layers)
    eye = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(found, (second @ first + second + first + eye) / 4)
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 4, dtype=torch.float64))
    assert found[:, ~CAUSAL.to_bool((4, 4))].abs().max() == 0


def test_lengths_go_through_the_projection_of_all_heads():
    with seeded(0):
        part = MultiHeadAttention(6, 3, bias=False).double()
        x = torch.randn(2, 5, 6, dtype=torch.float64)
    decide = lambda: part(x, x, x).sum(-1)  # noqa: E731
    weights = head_weights(decide, part)
    found = weighted_norms(decide, part, part.out_proj)
    for query, key in ((0, 1), (4, 2)):
        parts = part.v_proj(x)[:, key].reshape(2, 3, 2) * weights[:, :, query, key, None]
        added = parts.reshape(2, 6) @ part.out_proj.weight.T
        torch.testing.assert_close(found[:, query, key], added.norm(dim=-1))
    side_by_side = weighted_norms(decide, part)
    torch.testing.assert_close(side_by_side[:, 4, 2], parts.reshape(2, 6).norm(dim=-1))


def test_a_key_left_out_is_masked():
    model = made("after")
    found = leave_out_keys(decision(model), model)

    def hidden(attend):
        return lambda q, k, v, mask=None: attend(q, k, v, mask & (torch.arange(5) != 1))

    with torch.no_grad():
        whole = decision(model)()
        with attending(model, hidden):
            torch.testing.assert_close(found[..., 1], whole - decision(model)())


def test_log_odds_are_those_of_a_probability():
    logits = torch.tensor([[[1.0, -2.0, 0.5, 3.0]]], dtype=torch.float64)
    p = logits.softmax(-1)[..., 3]
    torch.testing.assert_close(log_odds(logits, torch.tensor([[3]])), (p / (1 - p)).log())
    with pytest.raises(ValueError):
        log_odds(logits, torch.tensor([[4]]))


def test_an_agreement_is_spearman_with_shared_places():
    one = torch.tensor([[[1.0, 2.0, 3.0, 9.0], [0.0, 0.0, 1.0, 5.0]]])
    other = torch.tensor([[[3.0, 2.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0]]])
    allowed = torch.tensor([[[True, True, True, False]]])
    both = torch.ones(1, 2, dtype=torch.bool)
    assert agreement(one, other, torch.tensor([[True, False]]), allowed) == (-1.0, 0.0)
    assert agreement(one, other, torch.tensor([[False, True]]), allowed) == pytest.approx(
        (1.0, 1.0)
    )
    assert agreement(one, other, both, allowed) == pytest.approx((0.0, 0.5))
    flat = torch.zeros_like(one)
    assert agreement(one, flat, both, allowed).rank == 0
    with pytest.raises(ValueError, match="at least one decision"):
        agreement(one, other, ~both, allowed)


def test_a_call_that_never_comes_is_named():
    table = nn.Embedding(4, 3)
    with (
        pytest.raises(ValueError, match=r"among the 1 .* got \(1,\)"),
        changed_output(table, lambda x: x, (1,)),
    ):
        table(torch.tensor([1]))
    with pytest.raises(ValueError, match="calls"), changed_output(table, lambda x: x, ()):
        pass
    assert not table._forward_hooks
