"""CLIP: the loss against a slow loop, and laws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minattn.alignment import uniform_attention
from minattn.learning import Recipe, learn
from minattn.pictures.clip import (
    CLIP,
    AttentionPooling,
    PictureEncoder,
    SmallStem,
    TextEncoder,
    classify,
    contrastive_loss,
    modality_gap,
    ranks,
)
from minattn.recording import recording
from minattn.training import seeded

BATCH, SIDE, PATCH, CHANNELS, WORDS, LENGTH, D_MODEL, D_OUT = 3, 10, 2, 2, 13, 7, 6, 5


def make(seed=1, **settings):
    with seeded(seed):
        sizes = {"d_model": D_MODEL, "n_heads": 2}
        pictures = PictureEncoder(SIDE, PATCH, D_OUT, channels=CHANNELS, **sizes, **settings)
        return CLIP(pictures, TextEncoder(WORDS, LENGTH, D_OUT, **sizes)).double()


def seen(seed=2, batch=BATCH, side=SIDE, channels=CHANNELS):
    with seeded(seed):
        return torch.randint(0, 256, (batch, side, side, channels), dtype=torch.uint8)


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


TEXTS = torch.tensor([[3, 12, 4, 5, 9], [7, 3, 1, 0, 0], [8, 0, 0, 0, 0]])


def vectors(seed, n=BATCH, d=D_OUT):
    with seeded(seed):
        return nn.functional.normalize(torch.randn(n, d), dim=-1)


def slow_loss(pictures, texts, scale, same):
    n, total = len(pictures), 0.0
    for i in range(n):
        for one, other in ((pictures, texts), (texts, pictures)):
            s = [scale * float(one[i] @ other[j]) for j in range(n)]
            left = [j for j in range(n) if j == i or not same(i, j, one is texts)]
            total -= s[i] - math.log(sum(math.exp(s[j]) for j in left))
    return total / (2 * n)


@given(st.integers(0, 999), st.floats(0.1, 20))
def test_the_loss_is_what_a_slow_loop_says(seed, scale):
    pictures, texts = vectors(seed), vectors(seed + 1000)
    found = contrastive_loss(pictures, texts, scale).item()
    assert found == pytest.approx(slow_loss(pictures, texts, scale, lambda *_: False))


@given(st.integers(0, 999))
def test_what_fits_as_well_is_no_wrong_answer(seed):
    pictures, texts = vectors(seed), vectors(seed + 1000)
    with seeded(seed):
        same = torch.rand(BATCH, BATCH) < 0.4
    found = contrastive_loss(pictures, texts, 3, same).item()
    told = same.tolist()
    expected = slow_loss(
        pictures, texts, 3, lambda i, j, text_asks: told[j][i] if text_asks else told[i][j]
    )
    assert found == pytest.approx(expected)
    everything = torch.ones(BATCH, BATCH, dtype=torch.bool)
    assert contrastive_loss(pictures, texts, 3, everything).item() == pytest.approx(0)


@given(st.integers(0, 999), st.permutations(range(BATCH)))
def test_the_loss_has_two_equal_sides_and_no_order(seed, order):
    pictures, texts, order = vectors(seed), vectors(seed + 1000), list(order)
    found = contrastive_loss(pictures, texts, 2.5)
    torch.testing.assert_close(contrastive_loss(texts, pictures, 2.5), found)
    torch.testing.assert_close(contrastive_loss(pictures[order], texts[order], 2.5), found)


def test_vectors_that_are_all_alike_cost_the_logarithm_of_the_batch():
    one = vectors(5, 1).expand(BATCH, D_OUT)
    assert contrastive_loss(one, one, 14).item() == pytest.approx(math.log(BATCH))


def test_vectors_have_length_one_and_are_compared_with_the_scale():
    model = make()
    pictures, texts = model.picture_vectors(seen()), model.text_vectors(TEXTS[:2])
    for found in (pictures, texts):
        torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))
    torch.testing.assert_close(model(seen(), TEXTS[:2]), pictures @ texts.T / 0.07)
    assert model.temperature == pytest.approx(0.07)


def test_the_scale_is_learned_and_stays_below_a_hundred():
    model = make()
    contrastive_loss(vectors(1), vectors(2), model.scale).backward()
    assert model.log_scale.grad.abs() > 0
    with torch.no_grad():
        model.log_scale.fill_(99.0)
    assert model.scale.item() == pytest.approx(100)
    fixed = CLIP(nn.Identity(), nn.Identity(), temperature=1.0, learned=False)
    assert fixed.scale.item() == 1 and not fixed.log_scale.requires_grad


def test_pooling_is_a_lookup_of_one_query():
    with seeded(3):
        pool, x = AttentionPooling(D_MODEL, 2).double(), torch.randn(BATCH, 11, D_MODEL)
    expected = torch.cat(
        [pool.attention(pool.query[None, None], row[None], row[None]) for row in x]
    )
    torch.testing.assert_close(pool(x), expected[:, 0])
    order = torch.randperm(11)
    torch.testing.assert_close(pool(x[:, order]), pool(x))
    mask = torch.arange(11) < torch.tensor([[11], [5], [1]])
    torch.testing.assert_close(pool(x, mask)[1:2], pool(x[1:2, :5]))


def test_padding_changes_nothing():
    model = make()
    alone = model.text_vectors(torch.tensor([[7, 3, 1]]))
    torch.testing.assert_close(model.text_vectors(TEXTS)[1:2], alone)


def test_the_order_of_words_and_of_patches_matters():
    model = make()
    assert not torch.allclose(
        model.text_vectors(torch.tensor([[3, 4, 5]])), model.text_vectors(torch.tensor([[5, 4, 3]]))
    )
    turned = seen().unflatten(1, (-1, PATCH)).flip(1).flatten(1, 2)
    assert not torch.allclose(model.picture_vectors(seen()), model.picture_vectors(turned))


@pytest.mark.parametrize("settings", [{}, {"n_blocks": 0}])
def test_it_attends_through_the_seam(settings):
    model = make(**settings)
    with recording(model) as record:
        model(seen(), TEXTS)
    weights = record.weights("pictures.pool.attention")
    assert weights.shape == (BATCH, 2, 1, (SIDE // PATCH) ** 2)
    assert record.weights("texts.pool.attention").shape == (BATCH, 2, 1, 5)
    assert ("pictures.encoder.blocks.0.self_attention" in record.calls) == (not settings)
    model = make(**settings, attend=uniform_attention)
    with recording(model) as record:
        model(seen(), TEXTS)
    assert record.weights("pictures.pool.attention").unique().numel() == 1


def test_a_token_of_the_stem_sees_ten_pixels():
    with seeded(0):
        stem = SmallStem(6, channels=2)
    shown = seen(side=24)
    assert stem(shown).shape == (BATCH, 36, 6)
    reached = set()
    for value in (0, 128, 255):
        changed = shown.clone()
        changed[:, 8, 9] = value
        reached |= set((stem(changed) != stem(shown)).any(-1).any(0).nonzero()[:, 0].tolist())
    # Cell i of a row sees the pixels from 4i - 3 to 4i + 6.
    assert reached <= {6 * y + x for y in (1, 2) for x in (1, 2, 3)} and {9, 15} & reached


@given(st.integers(0, 999))
def test_ranks_count_who_fits_as_well(seed):
    with seeded(seed):
        scores = torch.randint(0, 4, (5, 7)).double()
        own = torch.randint(0, 7, (5,))
    for row, found in enumerate(ranks(scores, own).tolist()):
        others = [scores[row, j] for j in range(7) if j != own[row]]
        assert found == sum(bool(other >= scores[row, own[row]]) for other in others)


def test_a_model_whose_vectors_are_all_alike_finds_nothing():
    assert (ranks(torch.ones(4, 4), torch.arange(4)) == 3).all()


def test_it_names_pictures_by_sentences():
    model = make()
    tables = TEXTS, TEXTS.flip(0)
    scores = model.picture_vectors(seen()) @ model.text_vectors(TEXTS).T
    assert torch.equal(classify(model, seen(), TEXTS), scores.argmax(1))
    assert torch.equal(classify(model, seen(), [TEXTS]), scores.argmax(1))
    both = sum(model.text_vectors(table) for table in tables)
    both = nn.functional.normalize(both, dim=-1)
    scores = model.picture_vectors(seen()) @ both.T
    assert torch.equal(classify(model, seen(), tables), scores.argmax(1))


def test_the_gap_is_between_means():
    pictures, texts = vectors(1), vectors(2, 4)
    assert modality_gap(pictures, texts + pictures.mean(0) - texts.mean(0)) == pytest.approx(0)
    assert modality_gap(pictures, -pictures) == pytest.approx(2 * pictures.mean(0).norm().item())


def test_it_learns_three_pictures_by_heart():
    model, batch = make(n_blocks=0), (seen(), TEXTS)
    losses = learn(
        model,
        [batch] * 60,
        lambda m, b: contrastive_loss(m.picture_vectors(b[0]), m.text_vectors(b[1]), m.scale),
        Recipe(steps=60, batch_size=BATCH, learning_rate=1e-2),
        progress=False,
    )
    assert losses[-1] < losses[0] / 10
    assert torch.equal(model(*batch).argmax(1), torch.arange(BATCH))


@pytest.mark.rejects
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="side must be a multiple of patch 3, got 10"):
        PictureEncoder(10, 3, 5)
    with pytest.raises(ValueError, match="n_blocks must be at least 0, got -1"):
        make(n_blocks=-1)
    with pytest.raises(ValueError, match="at most 7 words, got 8"):
        make().text_vectors(torch.ones(1, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="every text must hold a word"):
        make().text_vectors(torch.zeros(1, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="texts must hold ids from 0 to 12, got 13"):
        make().text_vectors(torch.tensor([[13]]))
    with pytest.raises(ValueError, match="pictures must have 2 channels, got 3"):
        make().picture_vectors(seen(channels=3))
    with pytest.raises(ValueError, match="temperature must be a finite number above 0, got 0"):
        CLIP(nn.Identity(), nn.Identity(), temperature=0.0)
    with pytest.raises(ValueError, match=r"own must have shape \(3,\), got \(2,\)"):
        ranks(torch.zeros(3, 4), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="own must hold ids from 0 to 3, got 4"):
        ranks(torch.zeros(1, 4), torch.tensor([4]))


@pytest.mark.plain
def test_what_does_not_fit_is_refused_in_words():
    with pytest.raises(ValueError, match=r"one shape, got \(3, 5\) and \(4, 5\)"):
        contrastive_loss(vectors(1), vectors(2, 4))
    with pytest.raises(TypeError, match=r"same must be bool, got torch\.int64"):
        contrastive_loss(vectors(1), vectors(2), same=torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"same must have shape \(3, 3\), got \(2, 3\)"):
        contrastive_loss(vectors(1), vectors(2), same=torch.zeros(2, 3, dtype=torch.bool))
