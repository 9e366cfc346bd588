import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.alignment import AdditiveAttention, MultiplicativeAttention
from minattn.multihead import MultiHeadAttention
from minattn.probing.alternatives import adversarial, imposed, permuted, total_variation, tried
from minattn.probing.attribution import head_weights
from minattn.recurrent import RecurrentTranslator
from minattn.training import seeded
from minattn.vocabulary import token_mask

SOURCE = torch.tensor([[5, 7, 6, 4, 2], [7, 4, 2, 0, 0], [6, 6, 5, 2, 0]])
TARGET = torch.tensor([[1, 4, 5], [1, 5, 5], [1, 6, 4]])
ALLOWED = token_mask(SOURCE)[:, None]


def made(attends="after"):
    with seeded(0):
        one = MultiplicativeAttention(6, 6) if attends == "after" else AdditiveAttention(6, 6, 5)
        return RecurrentTranslator(8, 7, d_model=6, attend=one, attends=attends).double().eval()


def predicting(model):
    return lambda: model(SOURCE, TARGET).softmax(-1)


@given(st.integers(0, 50))
def test_total_variation_is_the_largest_difference_of_any_event(seed):
    with seeded(seed):
        one, other = torch.randn(2, 5, dtype=torch.float64).softmax(-1)
    found = total_variation(one, other)
    torch.testing.assert_close(found, (one - other).clamp_min(0).sum())
    assert 0 <= found <= 1
    assert total_variation(torch.eye(5)[0], torch.eye(5)[3]) == 1


@pytest.mark.parametrize("attends", ["after", "before"])
def test_its_own_weights_imposed_change_nothing(attends):
    model = made(attends)
    weights = head_weights(predicting(model), model)
    found = tried(predicting(model), model, weights)
    assert found.moved.max() < 1e-12
    assert found.changed.max() < 1e-12


@pytest.mark.parametrize("attends", ["after", "before"])
def test_each_query_gets_its_own_weights(attends):
    model = made(attends)
    at = torch.tensor([[0, 1, 2], [2, 0, 1], [3, 0, 0]])
    weights = torch.eye(5, dtype=torch.float64)[at][:, None]
    with imposed(model, weights):
        torch.testing.assert_close(head_weights(predicting(model), model), weights)


def test_each_head_gets_its_own_weights():
    with seeded(0):
        part = MultiHeadAttention(6, 3).double()
        x = torch.randn(2, 4, 6, dtype=torch.float64)
        weights = torch.randn(2, 3, 4, 4, dtype=torch.float64).softmax(-1)
    with imposed(part, weights):
        torch.testing.assert_close(head_weights(lambda: part(x, x, x), part), weights)


def test_weights_that_do_not_suffice_are_refused():
    model, few = made(), torch.zeros(3, 1, 2, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match="got 2 for 3"), imposed(model, few):
        predicting(model)()


@given(st.integers(0, 50))
def test_weights_are_given_to_other_keys_that_are_allowed(seed):
    with seeded(seed):
        weights = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    weights = weights.masked_fill(~ALLOWED[:, None], -torch.inf).softmax(-1)
    found = permuted(weights, ALLOWED, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(found.sort(-1).values, weights.sort(-1).values)
    assert found[~ALLOWED[:, None].expand_as(found)].abs().max() == 0
    assert not torch.equal(found, weights)
    again = permuted(weights, ALLOWED, torch.Generator().manual_seed(seed))
    assert torch.equal(found, again)


def test_every_order_comes_as_often():
    weights = torch.tensor([0.5, 0.3, 0.2]).expand(600, 1, 1, 3)
    found = permuted(weights, torch.ones(600, 1, 3).bool(), torch.Generator().manual_seed(0))
    counts = torch.unique(found[:, 0, 0], dim=0, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 70


@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_what_is_found_is_far_away_and_changes_little(epsilon):
    model = made()
    found = adversarial(predicting(model), model, ALLOWED, epsilon=epsilon, steps=60)
    again = tried(predicting(model), model, found.weights)
    torch.testing.assert_close(again.moved, found.moved)
    torch.testing.assert_close(again.changed, found.changed)
    assert found.changed.max() <= epsilon
    assert found.moved.mean() > 0.3
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(3, 1, 3, dtype=torch.float64))
    assert found.weights[~ALLOWED[:, None].expand_as(found.weights)].abs().max() == 0


def test_where_no_change_is_small_enough_the_weights_are_the_models():
    model = made()
    found = adversarial(predicting(model), model, ALLOWED, epsilon=1e-14, steps=3)
    assert found.moved.max() == 0
    torch.testing.assert_close(found.weights, head_weights(predicting(model), model))
    with pytest.raises(ValueError, match="epsilon"):
        adversarial(predicting(model), model, ALLOWED, epsilon=0.0)


def test_nothing_stays_with_the_model():
    model = made()
    before = predicting(model)()
    adversarial(predicting(model), model, ALLOWED, steps=3)
    assert torch.equal(predicting(model)(), before)
    assert all(p.grad is None for p in model.parameters())
