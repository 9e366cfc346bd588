"""The experiments of chapter 19 measure what they say they measure."""

import pytest
import torch
from torch import nn

from book.experiments import clip_measures as measures
from book.experiments.clip import make_model, recipe
from book.experiments.clip_fault import own_targets, targets_of
from book.experiments.clip_order import BATCH_SIZE, NEVER, drawn, found, pairs
from book.experiments.clip_sides import make
from book.experiments.measuring import n_weights
from minattn.recording import recording
from minattn.tasks import placed_emoji as task
from minattn.tasks.emoji import TRAINED

SOME = task.draw(task.every()[::29], TRAINED, seed=1)


class Told(nn.Module):
    """A model that is told what is in pictures, and says it as a vector: wrong where it is made wrong."""

    def __init__(self, triples, width=1728):
        super().__init__()
        self.numbers, self.width = task.numbers(triples), width

    def picture_vectors(self, pictures):
        start, self.at = getattr(self, "at", 0), getattr(self, "at", 0) + len(pictures)
        return nn.functional.one_hot(self.numbers[start : self.at], self.width).float()

    def text_vectors(self, texts):
        own = (texts[:, None] == task.all_ids()).all(-1).int().argmax(1)
        return nn.functional.one_hot(own, self.width).float()


def test_what_is_found_is_scored_word_by_word():
    wrong = SOME.triples.clone()
    wrong[::2, 1] = (wrong[::2, 1] + 1) % 9
    unknown = task.never_trained(SOME.triples)
    scored = measures.found(Told(wrong), SOME)
    for name, part in (("trained", ~unknown), ("never trained", unknown)):
        share = (wrong == SOME.triples).all(1)[part].double().mean().item()
        assert scored[name]["top-1"] == scored[name]["place"] == pytest.approx(share)
        assert scored[name]["emoji"] == scored[name]["colour"] == 1
    assert measures.found(Told(SOME.triples), SOME)["trained"]["picture of a sentence"] == 1


def test_prompts_name_all_things():
    assert measures.prompts().shape == (32, 2)
    assert torch.equal(measures.prompts(2, 3), task.ids(task.every()[2 * 6 + 3 :: 54]))


def test_models_without_attention_have_as_many_weights():
    ours, none = n_weights(make_model(0)), n_weights(make(0, kind="no attention"))
    assert abs(none / ours - 1) < 0.03
    pictures, texts = make(0, kind="no attention")(SOME.pictures, SOME.texts).shape
    assert pictures == texts == len(SOME.texts)


def test_mean_pooling_pools_by_the_mean():
    model = make(0, kind="mean pooling")
    with recording(model) as record:
        model(SOME.pictures, SOME.texts)
    assert record.weights(measures.POOL).unique().numel() == 1
    assert record.weights("texts.pool.attention").unique().numel() == 1


def test_own_targets_of_vectors_that_are_all_alike_are_uniform():
    one = nn.functional.normalize(torch.ones(4, 5), dim=-1)
    torch.testing.assert_close(own_targets(one, one, torch.tensor(14.0)), torch.full((4, 4), 0.25))
    far = torch.eye(4)
    torch.testing.assert_close(own_targets(far, far, torch.tensor(99.0)), far)
    model = make_model(0)
    with torch.no_grad():
        model.pictures.project.weight.zero_()
        model.texts.project.weight.zero_()
    alike = targets_of(model, task.draw(task.every()[::2], TRAINED, seed=1))
    assert alike["texts"] == pytest.approx(32) and alike["on the own"] == pytest.approx(1 / 32)


def test_a_batch_has_every_pair_with_its_swap_or_none():
    both, never = pairs()
    assert len(both) == 55 and 5 < never.sum() < 9
    for swaps in (True, False):
        batch = next(iter(drawn(recipe(0, 20, BATCH_SIZE), swaps))).things.tolist()
        told = {tuple(two) for two in batch}
        assert len(told) == len(batch) == BATCH_SIZE
        assert {(b, a) in told for a, b in told} == {swaps}
        assert all((a + b) % NEVER for a, b in told)


def test_sentences_without_an_order_are_half_right():
    class Bag(nn.Module):
        def picture_vectors(self, pictures):
            return torch.ones(len(pictures), 1)

        def text_vectors(self, texts):
            return texts.sum(1, keepdim=True).float() / 100

    assert found(Bag(), pairs()[0][:9])["order"] == 0.5
