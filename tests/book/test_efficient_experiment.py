"""The experiments of chapter 22 keep as much of the past as they say, and measure what they say they measure."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from book.experiments import efficient_cache, efficient_recall
from book.experiments.efficient_cache import keeping, with_inner
from book.experiments.efficient_recall import LENGTHS, make_model, measure, state_size
from book.experiments.gpt import make_model as make_gpt
from minattn.dot_product import fused_attend
from minattn.masks import CAUSAL
from minattn.multihead import MultiHeadAttention
from minattn.scaling.linear import running_linear_attend
from minattn.tasks import repetition


@cache
def task():
    return repetition(n_train=4, n_held_out_per_length=3, min_length=8, max_length=24)


@pytest.mark.parametrize("arm", efficient_recall.ARMS.values(), ids=efficient_recall.ARMS)
def test_a_model_keeps_as_many_numbers_as_is_said(arm):
    model, n = make_model(task(), 0, **arm), 11
    size = arm.get("size", 64)
    if arm["form"] == "GRU":
        kept = model.gru.hidden_size
    else:
        layer, x = model.stack.layers[1], torch.randn(1, n, 64)
        q, k, v = layer.q_proj(x), layer.k_proj(x), layer.v_proj(x)
        kept = k.numel() + v.numel()
        if arm["form"] == "linear":
            kept = running_linear_attend(q, k, v)[1].numel()
    assert state_size(arm["form"], n, size) == kept


def test_shared_keys_are_few_and_a_window_does_not_grow():
    layer = make_model(task(), 0, "multi-query").stack.layers[1]
    assert isinstance(layer, MultiHeadAttention)
    kept = sum(x.numel() for x in layer.keys_values(*[torch.zeros(1, 11, 64)] * 2))
    assert state_size("multi-query", 11) == kept == 11 * 2 * 16
    assert state_size("window", 16) == 16 * 128
    assert state_size("window", 17) == state_size("window", 48) == 17 * 128


def reached(form):
    """Which of 40 tokens the last answer depends on."""
    model = make_model(task(), 0, form).double()
    x = torch.randn(1, 40, 64, dtype=torch.float64, requires_grad=True)
    model.stack.embedding.forward = lambda ids: x
    ids = torch.ones(1, 40, dtype=torch.long)
    grad = torch.autograd.grad(model(None, ids)[0, -1].sum(), x)[0][0]
    return grad.abs().sum(-1).nonzero()[:, 0].tolist()


def test_every_form_reaches_what_it_is_to_reach():
    assert reached("full") == reached("linear") == reached("multi-query") == list(range(40))
    assert reached("window") == [0, *range(23, 40)]  # 16 keys, each of which has seen one more
    assert reached("strided") == [3, 4, 8, 9, 13, 14, 18, 19, 23, 24, 28, 29, *range(33, 40)]


class Knows(nn.Module):
    """Says every token that can be known, but for those of one length."""

    def __init__(self, but):
        super().__init__()
        self.but = but

    def forward(self, source, target_in):
        n = (target_in.shape[1] - 1) // 2
        logits = torch.zeros(*target_in.shape, len(task().target))
        if n != self.but:
            for i in range(n + 1, 2 * n):
                logits[torch.arange(len(target_in)), i, target_in[:, i - n + 1]] = 1.0
        return logits


def test_what_can_be_known_is_scored_and_nothing_else():
    found = measure(Knows(but=16), task())
    assert found == {"length 8": 1.0, "length 16": 0.0, "length 24": 1.0}
    assert LENGTHS == (8, 16, 24)


@pytest.mark.parametrize("kept", ["heavy hitters", "window", "sinks"])
@pytest.mark.parametrize("n", efficient_cache.BUDGETS)
def test_a_query_sees_no_more_keys_than_the_budget(kept, n):
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 2, 150, 4)
    value = torch.eye(150).expand(1, 2, 150, 150)
    weights = keeping(kept, n)(query, key, value, CAUSAL)
    seen = (weights > 0).sum(-1)
    assert (seen == torch.arange(1, 151).clamp(max=n)).all()


def test_a_smaller_cache_stands_behind_rotary_positions_and_is_taken_away_again():
    model = make_gpt(30, seed=0).eval()
    ids = torch.randint(3, 30, (2, 20), generator=torch.Generator().manual_seed(0))
    before = model(ids[:, :1], ids)
    with_inner(model, keeping("heavy hitters", 40))
    assert_close(model(ids[:, :1], ids), before)
    with_inner(model, keeping("heavy hitters", 4))
    assert not torch.allclose(model(ids[:, :1], ids), before)
    with_inner(model, fused_attend)
    assert model(ids[:, :1], ids).equal(before)
