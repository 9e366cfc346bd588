"""Hidden tokens, their loss, the model that tells them, labels on top, and what counting gets."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.language.bert import (
    BERT,
    BERTClassifier,
    Hidden,
    ask_each,
    hidden_batches,
    hide,
    masked_loss,
    neighbour_counts,
)
from minattn.learning import Recipe, learn
from minattn.masks import CAUSAL
from minattn.positions import LearnedPositions, with_rotary
from minattn.recording import recording
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import BOS, EOS, PAD

MASK, EQUALS = 3, 4
ORDINARY = range(5, 28)
SPECIAL = (PAD, BOS, EOS, MASK, EQUALS)
HOW = {"mask_id": MASK, "ordinary": ORDINARY}


def texts(n=997, length=11, seed=0):
    """Random texts with special tokens in the middle and padding at the end."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(ORDINARY.start, ORDINARY.stop, (n, length), generator=generator)
    ids[:, 0], ids[:, 4], ids[:, -3] = BOS, EQUALS, EOS
    ids[:, -2:] = PAD
    ids[::2, -4], ids[::2, -3] = EOS, PAD  # every second row is shorter
    return ids


def hidden(share=0.3, seed=0, ids=None, **how):
    ids = texts() if ids is None else ids
    return hide(ids, share, torch.Generator().manual_seed(seed), **HOW, **how)


def make_model(seed=0, positions=None, n_layers=2):
    with seeded(seed):
        blocks = [EncoderBlock(12, 3, 20, attend=with_rotary()) for _ in range(n_layers)]
        model = BERT(ORDINARY.stop, TransformerEncoder(blocks, nn.LayerNorm(12)), positions)
        nn.init.normal_(model.readout.bias)
    return model.eval()


# --- hiding


@pytest.mark.parametrize("share", [0.05, 0.15, 0.6])
def test_as_large_a_share_of_the_ordinary_tokens_is_chosen_as_was_asked_for(share):
    batch = hidden(share)
    ordinary = batch.ids >= ORDINARY.start
    found = batch.chosen[ordinary].double().mean().item()
    assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / int(ordinary.sum()))


def test_special_tokens_and_padding_are_never_chosen_nor_changed():
    batch = hidden(1.0)
    special = torch.isin(batch.ids, torch.tensor(SPECIAL))
    assert special.any(0).sum() > 4
    assert torch.equal(batch.chosen, ~special)
    assert torch.equal(batch.read[special], batch.ids[special])


def test_only_what_is_ordinary_is_chosen_or_put_in():
    few = range(10, 15)
    batch = hide(
        texts(), 1.0, torch.Generator(), mask_id=MASK, ordinary=few, masked=0.0, replaced=1.0
    )
    assert torch.equal(batch.chosen, (batch.ids >= 10) & (batch.ids < 15))
    assert set(batch.read[batch.chosen].tolist()) == set(few)


def test_what_was_not_chosen_is_read_as_it_was():
    batch = hidden()
    assert torch.equal(batch.read[~batch.chosen], batch.ids[~batch.chosen])
    assert torch.equal(batch.ids, texts())


@pytest.mark.parametrize(("masked", "replaced"), [(0.8, 0.1), (0.4, 0.5), (1.0, 0.0), (0.0, 1.0)])
def test_shares_of_what_becomes_of_the_chosen(masked, replaced):
    batch = hidden(0.9, masked=masked, replaced=replaced)
    read, was = batch.read[batch.chosen], batch.ids[batch.chosen]
    assert abs((read == MASK).double().mean().item() - masked) < 0.03
    same = 1 / len(ORDINARY)  # another token may happen to be the same
    assert (
        abs(((read != MASK) & (read != was)).double().mean().item() - replaced * (1 - same)) < 0.03
    )
    others = set(read[(read != MASK) & (read != was)].tolist())
    assert others <= set(ORDINARY)
    if replaced:
        assert others == set(ORDINARY)


def test_by_default_eight_of_ten_are_masked_and_one_is_replaced():
    batch, same = hidden(), hidden(masked=0.8, replaced=0.1)
    assert torch.equal(batch.read, same.read)


def test_gaps_are_drawn_anew_and_a_seed_gives_the_same_ones():
    generator = torch.Generator().manual_seed(3)
    first, second = (hide(texts(), 0.3, generator, **HOW) for _ in range(2))
    assert not torch.equal(first.chosen, second.chosen)
    assert torch.equal(first.read, hidden(seed=3).read)
    both = (first.chosen & second.chosen).double().mean() / first.chosen.double().mean()
    assert abs(both.item() - 0.3) < 0.03  # the second draw knows nothing of the first


def test_what_becomes_of_a_token_does_not_depend_on_why_it_was_chosen():
    batch = hidden(0.1)  # one draw for both would mask all of the chosen ones
    read = batch.read[batch.chosen]
    assert (read != MASK).any()


def test_batches_have_other_texts_and_other_gaps_and_begin_again_with_the_same():
    ids = texts(n=7)

    def first(n):
        batches = hidden_batches(ids, 5, 0, 0.5, **HOW)
        return [next(batches) for _ in range(n)]

    found = first(40)
    assert all(batch.ids.shape == (5, 11) for batch in found)
    for one, same in zip(found, first(40), strict=True):
        assert torch.equal(one.read, same.read) and torch.equal(one.chosen, same.chosen)
    gaps = {
        tuple(chosen.tolist())
        for batch in found
        for row, chosen in zip(batch.ids, batch.chosen, strict=True)
        if torch.equal(row, ids[0])
    }
    assert len(gaps) > 10
    rows = {tuple(row.tolist()) for batch in found for row in batch.ids}
    assert rows == {tuple(row.tolist()) for row in ids}


def test_batches_hide_as_they_are_told():
    batch = next(hidden_batches(texts(), 500, 0, 1.0, **HOW, masked=0.0, replaced=0.0))
    assert torch.equal(batch.read, batch.ids)
    assert torch.equal(batch.chosen, batch.ids >= ORDINARY.start)


# --- the loss


def test_only_chosen_tokens_count():
    model, batch = make_model(), hidden(ids=texts(13))
    want = [
        -torch.log_softmax(model(batch.read)[row, place], -1)[batch.ids[row, place]]
        for row, place in batch.chosen.nonzero().tolist()
    ]
    assert masked_loss(model, batch).item() == pytest.approx(sum(want).item() / len(want), rel=1e-5)


def test_what_stood_at_other_places_does_not_matter():
    model, batch = make_model(), hidden(ids=texts(13))
    other = torch.where(batch.chosen, batch.ids, ORDINARY.start)
    assert torch.equal(masked_loss(model, batch), masked_loss(model, batch._replace(ids=other)))


# --- the model


def test_padding_changes_nothing():
    model, ids = make_model(), texts(6)
    short, longer = ids[::2, :-3], F.pad(ids[::2, :-3], (0, 5), value=PAD)
    torch.testing.assert_close(model(longer)[:, : short.shape[1]], model(short))
    classify = BERTClassifier(model, 3).eval()
    torch.testing.assert_close(classify(longer), classify(short))


def test_a_text_is_read_alone_as_it_is_in_a_batch():
    model, ids = make_model(), texts(6)
    torch.testing.assert_close(model(ids)[1:2], model(ids[1:2]))


@pytest.mark.parametrize("place", [1, 7])
def test_every_token_is_told_from_both_sides(place):
    model, ids = make_model(), texts(1)
    changed = ids.clone()
    changed[0, place] = ORDINARY.start + (ids[0, place] == ORDINARY.start)
    different = (model(ids) - model(changed)).abs().amax(-1)[0] > 1e-6
    assert different[:7].all()


def test_another_mask_may_be_given():
    model, ids = make_model(), texts(2)
    changed = ids.clone()
    changed[:, 6] = ORDINARY.start
    before, after = model.states(ids, CAUSAL), model.states(changed, CAUSAL)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6:], after[:, 6:])


def test_places_matter_by_rotary_or_by_what_is_added():
    ids = texts(3)
    swapped = ids[:, [0, 2, 1, *range(3, 11)]]

    def moves(model):
        return not torch.allclose(model(ids)[:, 5:7], model(swapped)[:, 5:7], atol=1e-5)

    assert moves(make_model())
    with seeded(0):
        blind = [EncoderBlock(12, 3, 20) for _ in range(2)]
        without = BERT(28, TransformerEncoder(blind, nn.LayerNorm(12)))
        added = BERT(28, TransformerEncoder(blind, nn.LayerNorm(12)), LearnedPositions(11, 12))
    assert not moves(without)
    assert moves(added)


def test_embeddings_are_scaled_before_places_are_added():
    model, ids = make_model(positions=LearnedPositions(11, 12)), texts(2)
    with seeded(0):
        other = BERT(28, model.encoder, model.positions, embedding_scale=3.0)
    other.table.weight.data.copy_(model.table.weight * 2 / 3)
    torch.testing.assert_close(other.states(ids), model.states(ids))
    with seeded(1):
        spread = BERT(5_000, model.encoder).table.weight.std().item()
    assert spread == pytest.approx(12**-0.5, rel=0.05)


def test_one_table_reads_and_writes():
    model = make_model()
    assert model.readout.weight is model.table.weight
    assert sum("table" in name or "readout" in name for name, _ in model.named_parameters()) == 2
    states = model.states(texts(3))
    torch.testing.assert_close(model(texts(3)), states @ model.table.weight.T + model.readout.bias)


def test_weights_can_be_recorded():
    model, ids = make_model(), texts(3)
    with torch.no_grad(), recording(model) as record:
        model(ids)
    assert sorted(record.calls) == [f"encoder.blocks.{i}.self_attention" for i in range(2)]
    weights = record.weights("encoder.blocks.1.self_attention")
    assert weights.shape == (3, 3, 11, 11)
    assert weights[0, :, :, -2:].abs().max() == 0  # padding


# --- learning


def test_it_learns_what_only_both_sides_tell():
    """A text repeats one token on both sides of a sign; no neighbour tells it."""
    generator = torch.Generator().manual_seed(0)
    token = torch.randint(5, 11, (200, 1), generator=generator)
    noise = torch.randint(11, 14, (200, 3), generator=generator)
    ids = torch.cat([torch.full((200, 1), BOS), token, noise, token], 1)
    model = make_model(n_layers=1)
    how = {"mask_id": MASK, "ordinary": range(5, 14)}
    batches = hidden_batches(ids, 32, 0, 0.2, **how)
    losses = learn(
        model, batches, masked_loss, Recipe(steps=250, learning_rate=1e-2), progress=False
    )
    assert sum(losses[-20:]) / 20 < 0.8 * sum(losses[:20]) / 20
    asked = torch.zeros_like(ids, dtype=torch.bool)
    asked[:, 1] = True
    with torch.no_grad():
        told = ask_each(model, ids, asked, MASK).argmax(-1)
    assert (told == token[:, 0]).double().mean() > 0.9


def test_a_head_is_fine_tuned_with_all_below_and_a_copy_is_kept():
    bert = make_model(n_layers=1)
    kept = copy.deepcopy(bert.state_dict())
    ids = texts(64)
    labels = (ids[:, 1] > 15).long()
    model = BERTClassifier(copy.deepcopy(bert), 2)
    assert model(ids).shape == (64, 2)

    def loss(model, batch):
        return F.cross_entropy(model(ids), labels)

    learn(model, range(150), loss, Recipe(steps=150, learning_rate=1e-2), progress=False)
    assert (model(ids).argmax(-1) == labels).double().mean() > 0.9
    assert all(torch.equal(x, kept[name]) for name, x in bert.state_dict().items())
    assert not torch.equal(model.bert.table.weight, bert.table.weight)


def test_a_label_is_said_by_the_mean_over_tokens():
    model, ids = BERTClassifier(make_model(), 5).eval(), texts(2)
    states = model.bert.states(ids)
    want = torch.stack([states[0, :-3].mean(0), states[1, :-2].mean(0)])
    torch.testing.assert_close(model(ids), model.head(want))


def test_one_at_a_time_is_hidden_and_the_rest_is_seen():
    model, ids = make_model(), texts(3)
    asked = ids > 20
    found = ask_each(model, ids, asked, MASK)
    assert len(found) == int(asked.sum()) > 3
    for logits, (row, place) in zip(found, asked.nonzero().tolist(), strict=True):
        alone = ids[row : row + 1].clone()
        alone[0, place] = MASK
        torch.testing.assert_close(logits, model(alone)[0, place])
    assert torch.equal(ids, texts(3))


# --- counting


@pytest.mark.parametrize("neighbours", [(), (-1,), (1,), (-1, 1)])
def test_counts_are_those_of_a_slow_loop(neighbours):
    train, ids = texts(40), texts(5, seed=1)
    found = neighbour_counts(train, ids, 28, neighbours, unigrams=0.5)
    once = torch.zeros(28, dtype=torch.double)
    for row in train.tolist():
        for token in row:
            once[token] += token != PAD
    for row, place in [(0, 1), (1, 2), (2, 5), (4, 7)]:
        around = [ids[row, place + offset].item() for offset in neighbours]
        count = 0.5 * once / once.sum()
        for text in train.tolist():
            for at in range(9):  # padding stands before a text as well
                if [text[at + offset] for offset in neighbours] == around and text[at] != PAD:
                    count[text[at]] += 1
        want = (count / count.sum()).log()
        torch.testing.assert_close(found[row, place].double(), want, atol=1e-5, rtol=0)


def test_counts_are_probabilities_also_between_neighbours_never_seen():
    train = torch.tensor([[BOS, 5, 6, EOS]])
    found = neighbour_counts(train, torch.tensor([[BOS, 9, 7, EOS]]), 28, (-1, 1))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(1, 4))
    torch.testing.assert_close(found[0, 1].exp()[[BOS, 5, 6, EOS]], torch.full((4,), 0.25))


# --- what is refused


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hidden(1.1), r"share must be in \[0, 1\], got 1.1"),
        (lambda: hidden(masked=0.8, replaced=0.3), "masked and replaced must be at most 1 together"),
        (lambda: hide(texts(), 0.1, torch.Generator(), mask_id=9, ordinary=ORDINARY), "that of the mask, 9"),
        (lambda: hide(texts(), 0.1, torch.Generator(), mask_id=3, ordinary=range(5, 5)), "at least one id"),
        (lambda: next(hidden_batches(texts(), 0, 0, 0.1, **HOW)), "batch_size must be at least 1"),
        (lambda: masked_loss(make_model(), hidden(0.0)), "at least one chosen token, got none"),
        (lambda: make_model()(torch.tensor([[28]])), "ids"),
        (lambda: BERTClassifier(make_model(), 0), "n_labels must be at least 1, got 0"),
        (lambda: BERT(0, make_model().encoder), "vocab_size must be at least 1, got 0"),
        (lambda: BERT(28, make_model().encoder, embedding_scale=math.inf), "embedding_scale must be"),
        (lambda: neighbour_counts(texts(), texts(), 20), "train"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_batch_has_names():
    batch = hidden()
    assert isinstance(batch, Hidden)
    assert batch._fields == ("read", "ids", "chosen")
