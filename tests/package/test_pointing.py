"""Weights scored against a truth: equal to a loop over every query, head and key."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.alignment import alignment_accuracy
from minattn.pointing import one_right_key, pointing

B, H, Q, K = 2, 3, 5, 7


def drawn(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_truth(seed):
    truth = drawn(seed, B, Q, K) < 0.3
    truth[:, :, 0] |= ~truth.any(-1)  # each query has a right key
    return truth


def reference_pointing(weights, truth, counted, allowed):
    """Go through everything one by one, for weights of one head."""
    inside, mass, chance = [], [], []
    for b in range(weights.shape[0]):
        for q in range(weights.shape[1]):
            if not counted[b, q]:
                continue
            right = [k for k in range(weights.shape[2]) if truth[b, q, k] and allowed[b, q, k]]
            best = max(range(weights.shape[2]), key=lambda k: weights[b, q, k])
            inside.append(best in right)
            mass.append(sum(weights[b, q, k].item() for k in right))
            chance.append(len(right) / int(allowed[b, q].sum()))
    return [sum(x) / len(x) for x in (inside, mass, chance)]


@given(st.integers(0, 10_000))
def test_it_is_a_loop_over_queries_and_keys(seed):
    weights, truth = drawn(seed, B, Q, K).softmax(-1), some_truth(seed + 1)
    counted = drawn(seed + 2, B, Q) < 0.7
    counted[0, 0] = True
    allowed = drawn(seed + 3, B, K) < 0.8
    allowed[:, 0] = True
    truth[:, :, 0] |= ~(truth & allowed[:, None]).any(-1)
    found = pointing(weights, truth, counted, allowed)
    expected = reference_pointing(weights, truth, counted, allowed[:, None].expand_as(truth))
    assert [float(x) for x in found] == pytest.approx(expected, abs=1e-12)


def test_every_head_is_scored_by_itself():
    weights, truth = drawn(0, B, H, Q, K).softmax(-1), some_truth(1)
    found = pointing(weights, truth)
    for head in range(H):
        alone = pointing(weights[:, head], truth)
        assert torch.equal(found.inside[head], alone.inside)
        torch.testing.assert_close(found.mass[head], alone.mass, rtol=0, atol=1e-15)
        assert found.chance == alone.chance


def test_uniform_weights_have_the_mass_of_chance():
    truth = some_truth(3)
    uniform = torch.full((B, Q, K), 1 / K, dtype=torch.float64)
    assert pointing(uniform, truth).mass.item() == pytest.approx(pointing(uniform, truth).chance)


def test_weights_that_are_the_truth_score_one():
    truth = one_right_key(torch.tensor([[2, 0, 6, 6, 1], [3, 3, 3, 5, 4]]), K)
    assert pointing(truth.double(), truth)[:2] == (1.0, 1.0)


def test_padding_makes_chance_no_smaller():
    weights, truth = drawn(0, B, Q, K).softmax(-1), some_truth(1)
    longer = torch.cat([weights, torch.zeros(B, Q, 4)], -1)
    padded = torch.cat([truth, torch.zeros(B, Q, 4, dtype=torch.bool)], -1)
    allowed = torch.cat(
        [torch.ones(B, K, dtype=torch.bool), torch.zeros(B, 4, dtype=torch.bool)], -1
    )
    found = pointing(longer, padded, allowed=allowed)
    assert [float(x) for x in found] == pytest.approx([float(x) for x in pointing(weights, truth)])
    assert pointing(longer, padded).chance < pointing(weights, truth).chance


def test_one_right_key_is_alignment_accuracy():
    weights = drawn(0, B, Q, K).softmax(-1)
    gold = torch.tensor([[2, -1, 6, 6, 1], [3, -1, -1, 5, 4]])
    found = pointing(weights, one_right_key(gold, K))
    assert found.inside.item() == alignment_accuracy(weights, gold)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"truth": torch.ones(B, Q, K)}, TypeError, "truth must be bool, got torch.float32"),
        ({"truth": torch.ones(B, K, Q).bool()}, ValueError, r"got \(2, 5, 7\) and \(2, 7, 5\)"),
        ({"counted": torch.ones(B, K).bool()}, ValueError, r"\(batch, queries\) = \(2, 5\), got"),
        ({"counted": torch.zeros(B, Q).bool()}, ValueError, "at least one query that counts"),
        ({"allowed": torch.ones(B, Q).bool()}, ValueError, r"allowed must have shape .* \(2, 5\)"),
        ({"allowed": torch.ones(B, K)}, TypeError, "allowed must be bool"),
        (
            {"truth": torch.zeros(B, Q, K).bool(), "counted": torch.ones(B, Q).bool()},
            ValueError,
            "got none for query 0 of row 0",
        ),
    ],
)
def test_what_does_not_fit_is_rejected(change, kind, message):
    with pytest.raises(kind, match=message):
        pointing(**({"weights": drawn(0, B, Q, K), "truth": some_truth(1)} | change))
