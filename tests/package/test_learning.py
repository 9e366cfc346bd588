"""One loop for every loss: it is ``train`` for translators, and it resumes to the last bit for everything."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.learning import Recipe, learn, make_optimizer
from minattn.recipe import smoothed_loss, train
from minattn.schedules import OneCycle
from minattn.tasks import reversal
from minattn.training import seeded
from minattn.transformer import TransformerTranslator

RECIPE = Recipe(steps=7, batch_size=5, learning_rate=0.01, weight_decay=0.1)


def points(step, n=5):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(step))


def batches(n=100):
    """A curriculum: batches grow from step to step."""
    return (points(step, 5 + step) for step in range(n))


def contrastive(model, x):
    """Two views of one point attract each other, and others repel."""
    a, b = F.normalize(model(x), dim=-1), F.normalize(model(x + 0.1), dim=-1)
    return F.cross_entropy(5 * a @ b.T, torch.arange(len(x)))


def small(seed=0):
    with seeded(seed):
        return nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.2), nn.LayerNorm(5), nn.Linear(5, 2))


def weights(model):
    return torch.cat([x.flatten() for x in model.state_dict().values()])


def test_any_loss_is_learned():
    model, recipe = small(), dataclasses.replace(RECIPE, steps=80)
    same_size = (points(step, 8) for step in range(80))
    losses = learn(model, same_size, contrastive, recipe, progress=False)
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert not model.training


@pytest.mark.parametrize("stop", range(1, 7))
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, stop):
    whole = small()
    losses = learn(whole, batches(), contrastive, RECIPE, progress=False)

    def interrupted():
        for step, batch in enumerate(batches()):
            if step == stop:
                raise KeyboardInterrupt
            yield batch

    path, again = tmp_path / "kept", small()
    with pytest.raises(KeyboardInterrupt):
        learn(again, interrupted(), contrastive, RECIPE, checkpoint=path, every=1, progress=False)
    again = small(seed=1)  # whatever it was, the file says what it is
    resumed = learn(again, batches(), contrastive, RECIPE, checkpoint=path, every=1, progress=False)
    assert resumed == losses
    assert torch.equal(weights(again), weights(whole))


def test_train_is_its_first_user_to_the_last_bit():
    task = reversal(n_train=50, n_held_out_per_length=1, max_length=5)
    recipe = Recipe(steps=4, batch_size=8, schedule=OneCycle(4), smoothing=0.1, accumulate=3)

    def made():
        with seeded(0):
            return TransformerTranslator(len(task.source), len(task.target), d_model=8, dropout=0.1)

    one, other = made(), made()
    losses = train(one, task, recipe, progress=False)
    data = task.batch(task.train)
    generator = torch.Generator().manual_seed(recipe.seed)
    # By hand: batches of like length, as ``by_length`` makes them, and one pass over the data is enough.
    from minattn.training import batches as orders

    rows = orders(len(data), 8, data.lengths(), generator)
    found = learn(
        other,
        (data.select(part) for part in rows),
        lambda m, b: smoothed_loss(m(b.source, b.target_in), b.target_out, 0.1),
        recipe,
        progress=False,
    )
    assert found == losses
    assert torch.equal(weights(one), weights(other))


def test_weight_decay_is_that_of_adamw_and_lets_vectors_alone():
    ours, theirs = small(), small()
    optimizer = make_optimizer(ours, RECIPE)
    reference = torch.optim.AdamW(
        [
            {"params": [w for w in theirs.parameters() if w.ndim > 1], "weight_decay": 0.1},
            {"params": [w for w in theirs.parameters() if w.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=0.01,
    )
    for model, optim in ((ours, optimizer), (theirs, reference)):
        model.eval()
        for step in range(3):
            optim.zero_grad()
            contrastive(model, points(step)).backward()
            optim.step()
    assert torch.equal(weights(ours), weights(theirs))
    assert (
        type(make_optimizer(small(), dataclasses.replace(RECIPE, weight_decay=0.0)))
        is torch.optim.Adam
    )


# Recipes of other editions

OLD = (
    "Recipe(steps=7, batch_size=5, learning_rate=0.01, schedule=Constant(), smoothing=0.0, clip=1.0, "
    "betas=(0.9, 0.999), accumulate=1, by_length=True, seed=0)"
)


def test_a_recipe_of_an_edition_with_fewer_fields_says_the_same():
    from minattn.learning import _without_defaults

    plain = dataclasses.replace(RECIPE, weight_decay=0.0)
    assert (
        _without_defaults(OLD)
        == plain.differences()
        == "Recipe(steps=7, batch_size=5, learning_rate=0.01)"
    )
    assert (
        RECIPE.differences()
        == "Recipe(steps=7, batch_size=5, learning_rate=0.01, weight_decay=0.1)"
    )
    cycle = dataclasses.replace(plain, schedule=OneCycle(7), seed=1)
    assert "seed=1" in cycle.differences() and "OneCycle(" in cycle.differences()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_checkpoint_of_an_older_edition_is_gone_on_with_and_another_recipe_is_not(
    tmp_path, monkeypatch, decay
):
    from minattn import learning

    path = tmp_path / "kept"
    plain = dataclasses.replace(RECIPE, weight_decay=0.0)
    save = learning.save_checkpoint

    def as_it_was(path, tensors, about):
        save(path, tensors, about | {"recipe": OLD})

    monkeypatch.setattr(learning, "save_checkpoint", as_it_was)
    losses = learn(small(), batches(), contrastive, plain, checkpoint=path, progress=False)
    monkeypatch.undo()
    recipe = dataclasses.replace(plain, weight_decay=decay)
    if decay:
        with pytest.raises(ValueError, match="must have been made with the same recipe"):
            learn(small(), batches(), contrastive, recipe, checkpoint=path, progress=False)
    else:
        found = learn(small(), batches(), contrastive, recipe, checkpoint=path, progress=False)
        assert found == losses


# What is rejected


@pytest.mark.rejects
def test_too_few_batches_are_told():
    with pytest.raises(ValueError, match="a batch for each of the 7 steps, got 3"):
        learn(small(), batches(3), contrastive, RECIPE, progress=False)


@pytest.mark.rejects
def test_a_batch_that_cannot_be_parted_is_told():
    recipe = dataclasses.replace(RECIPE, accumulate=2)
    with pytest.raises(TypeError, match="in 2 parts needs a method parts, got Tensor"):
        learn(small(), batches(), contrastive, recipe, progress=False)


@pytest.mark.rejects
def test_what_else_must_be_the_same_is_compared(tmp_path):
    path = tmp_path / "kept"
    learn(
        small(),
        batches(),
        contrastive,
        RECIPE,
        checkpoint=path,
        about={"data": "a"},
        progress=False,
    )
    with pytest.raises(ValueError, match="made with the same data, b, got a"):
        learn(
            small(),
            batches(),
            contrastive,
            RECIPE,
            checkpoint=path,
            about={"data": "b"},
            progress=False,
        )


@pytest.mark.rejects
@pytest.mark.parametrize("decay", [-0.1, math.inf, math.nan])
def test_a_weight_decay_out_of_range_is_rejected(decay):
    with pytest.raises(ValueError, match="weight_decay must be a finite number of at least 0, got"):
        dataclasses.replace(RECIPE, weight_decay=decay)


@pytest.mark.rejects
def test_a_loss_that_is_no_number_leaves_the_weights_from_before():
    model = small()
    before = weights(model)
    with pytest.raises(RuntimeError, match="the loss must stay finite, got nan at step 1 of 7"):
        learn(model, batches(), lambda m, x: contrastive(m, x) * math.nan, RECIPE, progress=False)
    assert torch.equal(weights(model), before)
