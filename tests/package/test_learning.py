"""One loop for every loss: it is ``train`` for translators, and it resumes to the last bit for everything."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.checkpoints import load_checkpoint
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


def small(seed=0, dropout=0.2, norm=None):
    with seeded(seed):
        norm = nn.LayerNorm(5) if norm is None else norm
        return nn.Sequential(nn.Linear(3, 5), nn.Dropout(dropout), norm, nn.Linear(5, 2))


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


def test_batches_may_be_a_list_and_are_not_read_beyond_the_steps():
    one, other = small(), small()
    left = batches()
    losses = learn(one, left, contrastive, RECIPE, progress=False)
    assert len(next(left)) == 5 + 7
    assert learn(other, list(batches()), contrastive, RECIPE, progress=False) == losses


class Cut:
    """A batch in two parts."""

    def __init__(self, x, shares=(0.5, 0.5)):
        self.x, self.shares = x, shares

    def parts(self, n):
        return zip(self.x.chunk(2), self.shares, strict=True)  # an iterator


def test_the_losses_of_parts_in_a_narrow_type_are_added_in_float32():
    model = nn.Linear(3, 2).bfloat16()
    said = [torch.tensor(3.0), torch.tensor(1.0)]
    asked = iter(said * 2)

    def loss(model, x):
        return (model(x.bfloat16()).sum() * 0 + next(asked)).bfloat16()

    recipe = Recipe(steps=2, accumulate=2, learning_rate=1e-3)
    losses = learn(
        model, (Cut(points(i, 4), (0.3, 0.7)) for i in range(2)), loss, recipe, progress=False
    )
    assert losses == pytest.approx([0.3 * 3 + 0.7 * 1] * 2, rel=1e-6)  # bfloat16 has three digits


@pytest.mark.rejects
@pytest.mark.parametrize("bad", [0, 1])
def test_one_part_whose_loss_is_no_number_stops_training(bad):
    model, calls = small(), []
    before = weights(model)

    def loss(model, x):
        calls.append(None)
        return contrastive(model, x) * (math.nan if len(calls) == bad + 1 else 1.0)

    recipe = dataclasses.replace(RECIPE, accumulate=2)
    with pytest.raises(RuntimeError, match="the loss must stay finite, got nan at step 1 of 7"):
        learn(model, [Cut(points(0))] * 7, loss, recipe, progress=False)
    assert torch.equal(weights(model), before)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.rejects
@pytest.mark.parametrize("shares", [(0.5, 0.6), (1.5, -0.5), (math.nan, 0.5), (0.5, "0.5")])
def test_shares_of_parts_that_are_none_are_rejected(shares):
    recipe = dataclasses.replace(RECIPE, accumulate=2)
    with pytest.raises(
        ValueError, match=r"shares of the parts must be in \[0, 1\] and add up to 1"
    ):
        learn(small(), [Cut(points(0), shares)] * 7, contrastive, recipe, progress=False)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda m, x: m(x), ValueError, r"loss must be one number, got shape \(5, 2\)"),
        (lambda m, x: 0.5, TypeError, "loss must be a tensor, got float"),
        (lambda m, x: None, TypeError, "loss must be a tensor, got NoneType"),
        (lambda m, x: torch.tensor(3), TypeError, "loss must hold floating-point numbers"),
        (lambda m, x: m(x).sum().detach(), ValueError, "depend on a weight that learns, got"),
        (lambda m, x: m(x).sum() / 0, RuntimeError, "the loss must stay finite, got -?inf at step 1"),
        (lambda m, x: m(x * math.inf).sum(), RuntimeError, "loss must stay finite, got nan at step 1"),
    ],
)  # fmt: skip
def test_what_is_no_loss_is_rejected_and_changes_nothing(tmp_path, loss, error, message):
    model, path = small(), tmp_path / "kept"
    before = weights(model)
    with pytest.raises(error, match=message):
        learn(model, batches(), loss, RECIPE, checkpoint=path, every=1, progress=False)
    assert torch.equal(weights(model), before)
    assert not list(tmp_path.iterdir())


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("share", "error"), [(math.nan, ValueError), (-0.1, ValueError), (math.inf, ValueError), (None, TypeError)]
)  # fmt: skip
def test_a_schedule_that_says_no_share_stops_training_at_that_step(share, error):
    recipe = dataclasses.replace(RECIPE, schedule=lambda step: 1.0 if step < 3 else share)
    model, twin = small(), small()
    with pytest.raises(error, match=f"share at step 4 must be a finite number .* got {share}"):
        learn(model, batches(), contrastive, recipe, progress=False)
    short = dataclasses.replace(RECIPE, steps=3)
    learn(twin, batches(), contrastive, short, progress=False)
    assert torch.equal(weights(model), weights(twin))


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, None, "3", True])
@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Recipe)])
def test_a_recipe_of_something_that_is_no_number_is_rejected(field, wrong):
    if field == "by_length":
        return
    wrong = (wrong, 0.9) if field == "betas" else wrong
    with pytest.raises((ValueError, TypeError), match=f"{field} must be .*got"):
        dataclasses.replace(RECIPE, **{field: wrong})


@pytest.mark.rejects  # the shape checks want the tuple that it says
def test_betas_in_a_list_are_betas():
    recipe = dataclasses.replace(RECIPE, betas=[0.9, 0.98])
    assert recipe == dataclasses.replace(RECIPE, betas=(0.9, 0.98))
    assert hash(recipe) == hash(dataclasses.replace(RECIPE, betas=(0.9, 0.98)))


# A checkpoint outlives what goes wrong after it


@pytest.mark.rejects
def test_weights_that_break_leave_the_last_good_checkpoint_and_training_goes_on_from_it(
    tmp_path, monkeypatch
):
    path, whole = tmp_path / "kept", small()
    losses = learn(whole, batches(), contrastive, RECIPE, progress=False)
    steps = []
    step = torch.optim.AdamW.step

    def broken(self, *rest):
        step(self, *rest)
        steps.append(None)
        if len(steps) == 4:
            self.param_groups[0]["params"][0].data[0, 0] = math.nan

    monkeypatch.setattr(torch.optim.AdamW, "step", broken)
    message = "the weights must stay finite, got nan in 0.weight at step 4 of 7"
    model = small()
    with pytest.raises(RuntimeError, match=message):
        learn(model, batches(), contrastive, RECIPE, checkpoint=path, every=1, progress=False)
    monkeypatch.undo()
    tensors, about = load_checkpoint(path)
    assert about["steps"] == 3
    assert torch.equal(tensors["model/0.weight"], model[0].weight)
    assert all(bool(x.isfinite().all()) for x in tensors.values() if x.is_floating_point())
    again = small()
    assert learn(again, batches(), contrastive, RECIPE, checkpoint=path, progress=False) == losses
    assert torch.equal(weights(again), weights(whole))


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: small(dropout=0.3), "p of 1: 0.2 in the file, 0.3 in the model"),
        (lambda: small(norm=nn.LayerNorm(5, eps=1e-3)), "eps of 2: 1e-05 in the file, 0.001"),
    ],
)
def test_training_does_not_go_on_with_a_model_that_was_made_otherwise(tmp_path, other, message):
    path = tmp_path / "kept"
    learn(small(), batches(), contrastive, RECIPE, checkpoint=path, every=3, progress=False)
    model, content = other(), path.read_bytes()
    before = weights(model)
    with pytest.raises(ValueError, match=f"made like this one, which differs in {message}"):
        learn(model, batches(), contrastive, RECIPE, checkpoint=path, progress=False)
    assert torch.equal(weights(model), before)
    assert path.read_bytes() == content


@pytest.mark.rejects
@pytest.mark.parametrize("name", ["recipe", "steps", "__model__"])
def test_facts_with_the_names_of_what_is_stored_in_any_case_are_rejected(tmp_path, name):
    settings = {"checkpoint": tmp_path / "kept", "progress": False}
    with pytest.raises(ValueError, match=f"must leave recipe, steps and __model__ .* got {name}"):
        learn(small(), batches(), contrastive, RECIPE, about={name: "x"}, **settings)
    model = small()
    with pytest.raises(ValueError, match="JSON"):
        learn(model, batches(), contrastive, RECIPE, about={"x": math.nan}, **settings)
    assert torch.equal(weights(model), weights(small()))  # not only when it is first stored
    assert not list(tmp_path.iterdir())


def test_a_weight_may_be_called_as_what_is_stored_beside_it(tmp_path):
    def made():
        model = small()
        model.other = nn.ParameterDict({
            name: nn.Parameter(torch.ones(2))
            for name in ("losses", "exp_avg/x", "model/0", "__metadata__")
        })  # fmt: skip
        return model

    def loss(model, x):
        return contrastive(nn.Sequential(*list(model)[:4]), x) + sum(
            w.square().sum() for w in model.other.values()
        )

    path, whole = tmp_path / "kept", made()
    losses = learn(whole, batches(), loss, RECIPE, progress=False)
    cut = dataclasses.replace(RECIPE)
    with pytest.raises(ValueError, match="a batch for each of the 7 steps, got 4"):
        learn(made(), batches(4), loss, cut, checkpoint=path, every=2, progress=False)
    again = made()
    assert learn(again, batches(), loss, cut, checkpoint=path, progress=False) == losses
    assert torch.equal(weights(again), weights(whole))
