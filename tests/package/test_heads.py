import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.dot_product import attend, fused_attend
from minattn.masks import CAUSAL, Padding, to_bool
from minattn.multihead import MultiHeadAttention
from minattn.probing.heads import NullKey, places, roles, without_heads
from minattn.recording import recording
from minattn.training import seeded

texts = st.lists(st.lists(st.integers(3, 6), min_size=5, max_size=5), min_size=1, max_size=3)


@given(texts)
def test_places_are_what_a_slow_loop_finds(rows):
    ids = torch.tensor(rows)
    found = places(ids, special=(4,))
    for b, row in enumerate(rows):
        for i in range(5):
            for j in range(5):
                wanted = {
                    "itself": i == j,
                    "previous": j == i - 1,
                    "next": j == i + 1,
                    "first": j == 0,
                    "same token": row[i] == row[j] and i != j,
                    "after same token": j > 0 and row[j - 1] == row[i] and j - 1 != i,
                    "special": row[j] == 4,
                }
                assert {name: bool(x[b, i, j]) for name, x in found.items()} == wanted


def test_a_head_that_does_one_thing_has_all_weight_there():
    ids = torch.tensor([[5, 7, 5, 7, 6], [6, 6, 5, 7, 3]])
    allowed = CAUSAL.to_bool((5, 5)).expand(2, 5, 5)
    weights = torch.eye(5).expand(2, 2, 5, 5).clone()
    weights[:, 0] = torch.diag(torch.ones(4), -1)
    weights[:, 0, 0, 0] = 1
    found = roles(weights, places(ids), allowed, torch.ones(2, 5).bool())
    assert found["previous"].weight.tolist() == [1, 0]
    assert found["itself"].weight.tolist() == pytest.approx([0.2, 1])
    assert found["previous"].uniform == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4)
    assert "next" not in found  # nobody may look there
    assert "special" not in found


def layer(n_heads=3, **settings):
    with seeded(0):
        return MultiHeadAttention(6, n_heads, bias=False, **settings).double()


SHORT = Padding(torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))
X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_without_a_head_its_columns_do_not_count():
    part = layer()
    with without_heads(part, [1]):
        found = part(X, X, X)
    less = layer()
    with torch.no_grad():
        less.out_proj.weight[:, 2:4] = 0
    torch.testing.assert_close(found, less(X, X, X))
    with without_heads(part, range(3)):
        assert part(X, X, X).abs().max() == 0
    with without_heads(part, []):
        torch.testing.assert_close(part(X, X, X), layer()(X, X, X))


@pytest.mark.parametrize("heads", [[3], [-1, 0]])
def test_a_head_that_is_not_there_is_refused(heads):
    part = layer()
    with pytest.raises(ValueError, match="among the 3"), without_heads(part, heads):
        part(X, X, X)


@pytest.mark.parametrize("inner", [attend, fused_attend])
@pytest.mark.parametrize("mask", [None, CAUSAL, SHORT])
def test_a_key_for_nothing_is_one_more_exponential_in_the_sum(inner, mask):
    null = NullKey(inner, n_heads=3, d_head=2).double()
    with torch.no_grad():
        null.null.copy_(
            torch.randn(3, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        )
    part = layer(attend=null)
    with recording(part) as record:
        part(X, X, X, mask)
    q = part.q_proj(X).reshape(2, 5, 3, 2).transpose(1, 2)
    k = part.k_proj(X).reshape(2, 5, 3, 2).transpose(1, 2)
    scores = (q @ k.mT / 2**0.5).exp()
    scores = scores if mask is None else scores * to_bool(mask, (2, 3, 5, 5), X.device)
    nothing = (q @ null.null.mT / 2**0.5).exp()
    torch.testing.assert_close(record.weights(), scores / (scores.sum(-1, keepdim=True) + nothing))


def test_a_zero_key_learns_nothing_and_a_learned_one_does():
    for learned in (False, True):
        part = layer(attend=NullKey(attend, 3, 2, learned=learned).double())
        part(X, X, X).square().sum().backward()
        assert (part.attend.null.grad is not None) == learned
    with pytest.raises(ValueError, match="d_head"):
        NullKey(attend, 3, 0)


def test_torch_has_a_zero_key_too():
    theirs = torch.nn.MultiheadAttention(
        6, 3, bias=False, batch_first=True, add_zero_attn=True
    ).double()
    ours = layer(attend=NullKey(attend, 3, 2, learned=False).double())
    with torch.no_grad():
        stacked = [p.weight for p in (ours.q_proj, ours.k_proj, ours.v_proj)]
        theirs.in_proj_weight.copy_(torch.cat(stacked))
        theirs.out_proj.weight.copy_(ours.out_proj.weight)
    torch.testing.assert_close(ours(X, X, X), theirs(X, X, X, need_weights=False)[0])
