import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn
from torch.testing import assert_close

from minattn import learning
from minattn.checkpoints import FORMAT, load_checkpoint, load_model, save_checkpoint, save_model
from minattn.recipe import Recipe, smoothed_loss, train
from minattn.schedules import Constant, Cosine, Noam, WarmUp
from minattn.tasks import Task, reversal
from minattn.training import Losses, batches, token_loss
from minattn.transformer import TransformerTranslator
from minattn.vocabulary import PAD, token_mask
from tests.package.strategies import EXACT, ROUNDING, built, normal
from tests.package.test_training import Breaking, identical, weights
from tests.package.test_training import small as recurrent

TASK = reversal(n_train=40, n_held_out_per_length=3, min_length=2, max_length=5, n_symbols=5)
RECIPE = Recipe(steps=8, batch_size=13, schedule=WarmUp(3, Cosine(5)), smoothing=0.1, seed=1)


def small(dropout=0.3, dtype=torch.float32, **settings):
    """Make a Transformer whose readout is a table of embeddings: two names for one tensor."""
    sizes = {"d_model": 6, "n_heads": 2, "d_ff": 7, "tied": True} | settings
    return built(lambda: TransformerTranslator(8, 8, dropout=dropout, **sizes)).to(dtype)


def trained(recipe, task=TASK, model=None, **settings):
    """Train a new model silently; return it with its losses."""
    model = small() if model is None else model
    return model, train(model, task, recipe, progress=False, **settings)


class Interrupted(BaseException):
    """What a keyboard does."""


def interrupted(recipe, at, **settings):
    """Train a new model that is interrupted at the forward pass of some step, counted from 1."""
    model = small()
    calls = []

    def hook(*_):
        calls.append(None)
        if len(calls) == at:
            raise Interrupted

    model.register_forward_hook(hook)
    with pytest.raises(Interrupted):
        train(model, TASK, recipe, progress=False, **settings)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.checkpoint"


@pytest.fixture
def stored(monkeypatch):
    """Say after which steps a checkpoint was written."""
    steps = []

    def watched(path, tensors, about):
        steps.append(about["steps"])
        save_checkpoint(path, tensors, about)

    monkeypatch.setattr(learning, "save_checkpoint", watched)
    return steps


# The loss


@st.composite
def answers(draw):
    """Draw logits and the right tokens, at least one of them no padding."""
    batch, target, vocab = (
        draw(st.integers(1, 5)),
        draw(st.integers(1, 5)),
        draw(st.integers(2, 11)),
    )
    seed = draw(st.integers(0, 10_000))
    target_out = torch.randint(
        vocab, (batch, target), generator=torch.Generator().manual_seed(seed)
    )
    target_out[0, 0] = draw(st.integers(1, vocab - 1))
    return 3 * normal(batch, target, vocab, seed=seed), target_out


@given(drawn=answers(), smoothing=st.floats(0, 0.99))
def test_the_smoothed_loss_and_its_gradient_are_those_of_torch(drawn, smoothing):
    logits, target_out = drawn
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss = smoothed_loss(ours, target_out, smoothing)
    twin = F.cross_entropy(
        theirs.flatten(0, 1), target_out.flatten(), ignore_index=PAD, label_smoothing=smoothing
    )
    assert_close(loss, twin, **ROUNDING)
    loss.backward()
    twin.backward()
    assert_close(ours.grad, theirs.grad, **ROUNDING)


def test_the_smoothed_loss_is_the_cross_entropy_with_the_labels_of_the_docstring():
    logits = normal(2, 3, 7)
    target_out = torch.tensor([[3, 6, 2], [5, 2, 0]])
    losses = []
    for row, tokens in zip(logits, target_out.tolist(), strict=True):
        for scores, token in zip(row, tokens, strict=True):
            if token != PAD:
                labels = torch.full((7,), 0.3 / 7, dtype=torch.float64)
                labels[token] = 1 - 0.3 + 0.3 / 7
                losses.append(-(labels * scores.softmax(-1).log()).sum())
    assert len(losses) == 5
    assert_close(smoothed_loss(logits, target_out, 0.3), sum(losses) / 5, **ROUNDING)


@given(answers())
def test_without_smoothing_it_is_the_token_loss(drawn):
    assert_close(smoothed_loss(*drawn), token_loss(*drawn), **ROUNDING)
    assert_close(smoothed_loss(*drawn, 0.0), token_loss(*drawn), **ROUNDING)


def test_without_smoothing_a_token_may_be_impossible():
    logits = normal(1, 3, 7)
    logits[..., 1] = -math.inf
    target_out = torch.tensor([[3, 6, 2]])
    assert_close(smoothed_loss(logits, target_out), token_loss(logits, target_out), **ROUNDING)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_logits_at_padding_do_not_change_the_smoothed_loss_and_get_no_gradient(smoothing):
    target_out = torch.tensor([[3, 2, 0], [4, 5, 2]])
    logits, other = normal(2, 3, 7).requires_grad_(), normal(2, 3, 7)
    other[0, 2] = math.nan
    loss = smoothed_loss(logits, target_out, smoothing)
    assert_close(smoothed_loss(other, target_out, smoothing), loss, **EXACT)
    loss.backward()
    assert torch.equal(logits.grad[0, 2], torch.zeros(7).double())
    assert (logits.grad[token_mask(target_out)] != 0).all()


@pytest.mark.parametrize("smoothing", [0.05, 0.1, 0.7])
def test_the_least_smoothed_loss_is_the_entropy_of_the_labels(smoothing):
    right, other = 1 - smoothing + smoothing / 7, smoothing / 7
    entropy = torch.tensor(-right * math.log(right) - 6 * other * math.log(other)).double()
    target_out = torch.tensor([[3, 6], [2, 0]])
    best = torch.full((2, 2, 7), other, dtype=torch.float64)
    best.scatter_(-1, target_out[..., None], right)
    logits = best.log().requires_grad_()
    loss = smoothed_loss(logits, target_out, smoothing)
    assert_close(loss, entropy, rtol=1e-6, atol=0)  # the entropy was made as float32
    loss.backward()
    assert_close(logits.grad, torch.zeros(2, 2, 7).double(), **ROUNDING)
    for seed in range(7):
        worse = logits.detach() + 0.1 * normal(2, 2, 7, seed=seed)
        assert smoothed_loss(worse, target_out, smoothing) > loss


@pytest.mark.rejects
@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0, math.nan])
def test_a_smoothing_out_of_range_is_rejected(smoothing):
    message = rf"smoothing must be in \[0, 1\), got {smoothing}"
    with pytest.raises(ValueError, match=message):
        smoothed_loss(normal(2, 3, 7), torch.ones(2, 3).long(), smoothing)
    with pytest.raises(ValueError, match=message):
        Recipe(steps=1, smoothing=smoothing)


@pytest.mark.rejects
def test_a_smoothed_loss_of_nothing_but_padding_is_rejected():
    with pytest.raises(ValueError, match="not padding, got none"):
        smoothed_loss(normal(2, 3, 7), torch.zeros(2, 3).long(), 0.1)


# The recipe


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0.0"),
        ({"learning_rate": -1e-3}, "learning_rate must be .* got -0.001"),
        ({"learning_rate": math.nan}, "learning_rate must be .* got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be .* got inf"),
        ({"clip": 0.0}, "clip must be a finite number above 0, got 0.0"),
        ({"clip": -1.0}, "clip must be a finite number above 0, got -1.0"),
        ({"clip": math.nan}, "clip must be a finite number above 0, got nan"),
        pytest.param(
            {"betas": (1.5, 0.9)},
            "betas .* got .*1.5",
        ),
    ],
)
def test_a_recipe_rejects(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"steps": 5} | settings)


def test_a_recipe_cannot_be_changed_and_equals_its_twin():
    assert replace(RECIPE) == RECIPE != replace(RECIPE, seed=2)
    with pytest.raises(AttributeError):
        RECIPE.steps = 3


@pytest.mark.rejects
def test_a_checkpoint_that_is_never_written_is_rejected():
    model = small()
    before = weights(model)
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        train(model, TASK, RECIPE, every=0)
    assert identical(weights(model), before)


# Training


def reference_train(model, recipe, decay=lambda step: 1.0):
    """Train with nothing but torch's own parts."""
    data = TASK.batch(TASK.train)
    n_tokens = (data.source != PAD).sum(1) + (data.target_in != PAD).sum(1)
    order = batches(
        len(data),
        recipe.batch_size,
        n_tokens if recipe.by_length else None,
        torch.Generator().manual_seed(recipe.seed),
    )
    optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate, recipe.betas)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
    losses = []
    for rows in islice(order, recipe.steps):
        batch = data.select(rows)
        loss = F.cross_entropy(
            model(batch.source, batch.target_in).flatten(0, 1),
            batch.target_out.flatten(),
            ignore_index=PAD,
            label_smoothing=recipe.smoothing,
        )
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
    return losses


@pytest.mark.parametrize(
    ("settings", "decay"),
    [
        ({}, lambda step: 1.0),
        ({"schedule": lambda step: 1 / (1 + step)}, lambda step: 1 / (1 + step)),
        ({"smoothing": 0.2, "by_length": False, "seed": 3}, lambda step: 1.0),
        ({"clip": 0.05, "betas": (0.5, 0.98)}, lambda step: 1.0),
        ({"clip": math.inf, "batch_size": 40, "learning_rate": 0.01}, lambda step: 1.0),
    ],
)
def test_training_is_the_loop_with_the_parts_of_torch(settings, decay):
    recipe = Recipe(**{"steps": 7, "batch_size": 13} | settings)
    model, losses = trained(recipe, model=small(dropout=0.0, dtype=torch.float64))
    twin = small(dropout=0.0, dtype=torch.float64)
    assert losses == pytest.approx(reference_train(twin, recipe, decay), rel=1e-10)
    assert_close(model.state_dict(), twin.state_dict(), rtol=0, atol=1e-10)


def test_training_lowers_the_loss_and_returns_the_loss_of_every_step():
    recipe = Recipe(steps=60, batch_size=20, learning_rate=1e-2)
    model, losses = trained(recipe, model=small(dropout=0.0, d_model=10))
    assert type(losses) is Losses
    assert len(losses) == 60
    batch = TASK.batch(TASK.train)
    last = token_loss(model(batch.source, batch.target_in), batch.target_out).item()
    assert last < losses[0] / 1.5
    assert sum(losses[-10:]) < sum(losses[:10]) / 1.5


@pytest.mark.parametrize("accumulate", [2, 5, 13, 100])
@pytest.mark.parametrize("by_length", [False, True])
@pytest.mark.parametrize("clip", [0.05, math.inf])
def test_a_batch_in_parts_gives_the_weights_of_the_whole(accumulate, by_length, clip):
    # 40 examples: the fourth batch has one row. The examples have 3 to 6 tokens, so the parts differ.
    whole = Recipe(steps=6, batch_size=13, smoothing=0.1, by_length=by_length, clip=clip)
    model, losses = trained(whole, model=small(dropout=0.0, dtype=torch.float64))
    twin, others = trained(
        replace(whole, accumulate=accumulate), model=small(dropout=0.0, dtype=torch.float64)
    )
    assert others == pytest.approx(losses, rel=1e-10)
    # A gradient that is nothing but rounding is seen through Adam, which divides by its size plus 1e-8.
    assert_close(twin.state_dict(), model.state_dict(), rtol=0, atol=1e-10)


def test_parts_are_computed_one_after_the_other():
    model = small()
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    trained(Recipe(steps=2, batch_size=20, accumulate=3), model=model)
    assert sizes == [7, 7, 6] * 2


def adam_watched(monkeypatch, look):
    """Look at the optimizer before every step of it; return what was seen."""
    seen = []
    step = torch.optim.Adam.step

    def watched(self, *rest):
        seen.append(look(self))
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    return seen


def rate(optimizer):
    (rate,) = {group["lr"] for group in optimizer.param_groups}
    return rate


def gradient_norm(optimizer):
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
    return nn.utils.get_total_norm(gradients).item()


@pytest.mark.parametrize("schedule", [Constant(), Noam(3), WarmUp(2, Cosine(5, end=0.1))])
def test_the_learning_rate_of_every_step_is_that_of_the_schedule(monkeypatch, path, schedule):
    rates = adam_watched(monkeypatch, rate)
    recipe = Recipe(steps=7, batch_size=8, learning_rate=0.01, schedule=schedule, accumulate=2)
    expected = [0.01 * schedule(step) for step in range(7)]
    trained(recipe)
    assert rates == expected
    rates.clear()
    interrupted(recipe, at=9, checkpoint=path, every=3)  # two passes for each step
    assert rates == expected[:4]
    rates.clear()
    trained(recipe, checkpoint=path)
    assert rates == expected[3:]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_whole_gradient_is_clipped_once_before_the_step(monkeypatch, accumulate):
    norms = adam_watched(monkeypatch, gradient_norm)
    trained(Recipe(steps=3, batch_size=13, clip=0.01, accumulate=accumulate))
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)  # torch divides by the norm plus 1e-6
    norms.clear()
    trained(Recipe(steps=3, batch_size=13, clip=math.inf, accumulate=accumulate))
    assert min(norms) > 0.1


def batches_seen(monkeypatch, **settings):
    """Train, and say which examples were in which batch."""
    seen = []
    select = type(TASK.batch(TASK.train)).select
    monkeypatch.setattr(
        "minattn.vocabulary.Batch.select",
        lambda batch, rows: seen.append(rows) or select(batch, rows),
    )
    trained(Recipe(**settings))
    monkeypatch.undo()
    return seen


@pytest.mark.parametrize("by_length", [False, True])
def test_every_example_is_seen_once_before_any_comes_again(monkeypatch, by_length):
    seen = batches_seen(monkeypatch, steps=8, batch_size=13, by_length=by_length)
    for epoch in (seen[:4], seen[4:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(40))
    assert torch.cat(seen[:4]).tolist() != torch.cat(seen[4:]).tolist()


def test_batches_are_by_length_only_if_the_recipe_says_so(monkeypatch):
    data = TASK.batch(TASK.train)
    lengths = token_mask(data.source).sum(1)
    spread = {}
    for by_length in (True, False):
        seen = batches_seen(monkeypatch, steps=10, batch_size=4, by_length=by_length)
        spread[by_length] = sum(int(lengths[rows].max() - lengths[rows].min()) for rows in seen)
    assert spread[True] < 0.6 * spread[False]
    assert Recipe(steps=1).by_length


def test_the_order_depends_on_the_seed_and_not_on_the_dropout(monkeypatch):
    one, again, other = (
        torch.cat(batches_seen(monkeypatch, steps=4, batch_size=13, seed=seed)).tolist()
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others():
    (one, first), (again, second), (other, third) = (
        trained(replace(RECIPE, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == second != third
    assert identical(weights(one), weights(again))
    assert not identical(weights(one), weights(other))


def test_the_seed_decides_the_dropout_too():
    # With one example there is only one order, so nothing but the dropout can differ.
    one = Task("one", TASK.source, TASK.target, TASK.train[:1], ())
    recipe = Recipe(steps=3, batch_size=1)
    model, losses = trained(recipe, task=one)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        again, same = trained(recipe, task=one)
    _, others = trained(replace(recipe, seed=5), task=one)
    assert losses == same
    assert identical(weights(model), weights(again))
    assert losses[0] != pytest.approx(others[0], rel=1e-4)


def test_training_leaves_the_global_random_numbers_alone(path):
    before = torch.get_rng_state()
    trained(RECIPE)
    assert torch.equal(torch.get_rng_state(), before)
    interrupted(RECIPE, at=5, checkpoint=path, every=2)
    assert torch.equal(torch.get_rng_state(), before)
    trained(RECIPE, checkpoint=path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_is_trained_in_training_mode_and_left_in_evaluation_mode(path):
    modes = []
    for settings in ({}, {"checkpoint": path}, {"checkpoint": path}):
        model = small().eval()
        model.register_forward_hook(lambda module, *_: modes.append(module.training))
        trained(replace(RECIPE, steps=2), model=model, **settings)
        assert not model.training
    assert modes == [True] * 4  # the third had nothing left to do


@pytest.mark.rejects
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_weights_from_before(
    path, what, accumulate
):
    model = small(tied=False)
    # The last pass of the third step.
    model.readout = nn.Sequential(model.readout, Breaking(3 * accumulate, what))
    kept = []
    model.register_forward_pre_hook(lambda *_: kept.append(weights(model)))
    recipe = Recipe(steps=5, batch_size=20, accumulate=accumulate)
    with pytest.raises(RuntimeError, match="the loss must stay finite, got nan at step 3 of 5"):
        trained(recipe, model=model, checkpoint=path, every=1)
    assert identical(weights(model), kept[-1])
    assert not identical(kept[0], kept[-1])
    assert load_checkpoint(path)[1]["steps"] == 2


# Progress


def test_training_leaves_one_line_that_says_nothing_of_the_machine(capsys):
    train(small(), TASK, replace(RECIPE, steps=40, seed=7))
    assert capsys.readouterr() == ("trained 40 steps of 13 examples, seed 7\n", "")


def test_training_without_progress_is_silent(capsys):
    trained(replace(RECIPE, steps=20))
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_now_and_then_and_goes_on_after_an_interruption(monkeypatch, path):
    lines = []
    monkeypatch.setattr(learning.Progress, "update", lambda self, text: lines.append(text))
    recipe = Recipe(steps=45, batch_size=2)
    interrupted(recipe, at=31, checkpoint=path, every=10)
    _, losses = trained(recipe, checkpoint=path)
    assert lines == [f"step {n} of 45, loss {losses[n - 1]:.3f}" for n in (20, 40)]


# Interruptions


@pytest.fixture(scope="module")
def whole():
    """Train without any interruption."""
    model, losses = trained(RECIPE)
    return weights(model), losses


def ends_like(whole, path, **settings):
    """Go on from a checkpoint with a new model; say whether it ends like one that was never interrupted."""
    model, losses = trained(RECIPE, checkpoint=path, **settings)
    return identical(weights(model), whole[0]) and losses == whole[1] and type(losses) is Losses


def test_a_checkpoint_changes_nothing(whole, path):
    assert ends_like(whole, path, every=3)


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("every", [1, 3, 4, 100])
def test_training_that_is_interrupted_at_any_step_ends_as_if_it_had_not_been(
    whole, path, at, every
):
    interrupted(RECIPE, at, checkpoint=path, every=every)
    done = (at - 1) // every * every
    assert path.exists() == (done > 0)
    if done:
        assert load_checkpoint(path)[1]["steps"] == done
    assert ends_like(whole, path, every=every)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("stops", [(2, 2, 2), (1, 4, 1, 2), (8, 1, 1), (3, 1, 1, 1, 1, 1, 1)])
def test_training_may_be_interrupted_many_times(whole, path, stops):
    for at in stops:
        interrupted(RECIPE, at, checkpoint=path, every=1)
    assert ends_like(whole, path, every=1)


def test_after_an_interruption_it_may_be_stored_at_other_times(whole, path, stored):
    interrupted(RECIPE, 6, checkpoint=path, every=2)
    assert ends_like(whole, str(path), every=3)
    assert stored == [2, 4, 6, 8]


def test_every_step_counts_from_the_beginning_and_the_last_is_always_stored(path, stored):
    trained(replace(RECIPE, steps=7), checkpoint=path.with_suffix(".7"), every=3)
    trained(replace(RECIPE, steps=6), checkpoint=path.with_suffix(".6"), every=3)
    trained(replace(RECIPE, steps=2), checkpoint=path.with_suffix(".2"), every=3)
    assert stored == [3, 6, 7, 3, 6, 2]


def test_training_that_was_finished_is_only_read(whole, path, stored):
    trained(RECIPE, checkpoint=path)
    before = path.read_bytes()
    stored.clear()
    model = small()
    model.register_forward_pre_hook(lambda *_: pytest.fail("there is nothing to compute"))
    assert train(model, TASK, RECIPE, checkpoint=path, progress=False) == whole[1]
    assert identical(weights(model), whole[0])
    assert stored == []
    assert path.read_bytes() == before


def test_what_a_model_had_learned_before_is_replaced_by_the_checkpoint(whole, path):
    interrupted(RECIPE, 6, checkpoint=path, every=2)
    model = small()
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    train(model, TASK, RECIPE, checkpoint=path, progress=False)
    assert identical(weights(model), whole[0])


def test_tied_tables_are_still_tied_after_an_interruption(path):
    interrupted(RECIPE, 6, checkpoint=path, every=2)
    model, _ = trained(RECIPE, checkpoint=path)
    assert model.readout.weight is model.target_embedding.weight


def test_parts_and_frozen_parameters_survive_an_interruption_too(path):
    def frozen():
        model = small()
        model.source_embedding.weight.requires_grad_(False)
        return model

    recipe = replace(RECIPE, accumulate=3, clip=0.1, by_length=False)
    expected, losses = trained(recipe, model=frozen())
    model = frozen()
    model.register_forward_pre_hook(Counted(17))
    with pytest.raises(Interrupted):
        trained(recipe, model=model, checkpoint=path, every=2)
    assert load_checkpoint(path)[1]["steps"] in (4, 6)  # a batch of one row has one part
    again, others = trained(recipe, model=frozen(), checkpoint=path)
    assert others == losses
    assert identical(weights(again), weights(expected))
    assert torch.equal(again.source_embedding.weight, small().source_embedding.weight)


class Counted:
    """Interrupt at some call."""

    def __init__(self, at):
        self.at, self.calls = at, 0

    def __call__(self, *_):
        self.calls += 1
        if self.calls == self.at:
            raise Interrupted


class Counting(nn.Module):
    """Multiply by a weight, in every other pass only, or by the number of the pass."""

    def __init__(self, by_number=False):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.by_number = by_number
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        if self.by_number:
            return x * self.weight * self.calls
        return x * self.weight if self.calls % 2 else x


def ends_alike_with(make, path):
    """Interrupt the training of a model in its fifth step; say whether it ends as without."""
    expected, losses = trained(RECIPE, model=make())
    model = make()
    model.register_forward_pre_hook(Counted(5))
    with pytest.raises(Interrupted):
        trained(RECIPE, model=model, checkpoint=path, every=1)
    again, others = trained(RECIPE, model=make(), checkpoint=path)
    return others == losses and identical(weights(again), weights(expected))


def with_readout(counting):
    model = small(tied=False)
    model.readout = nn.Sequential(model.readout, counting)
    return model


def test_what_a_model_keeps_besides_its_weights_survives_an_interruption(path):
    assert ends_alike_with(lambda: with_readout(Counting(by_number=True)), path)


def test_a_model_of_float64_survives_an_interruption(path):
    assert ends_alike_with(lambda: small(dtype=torch.float64), path)


def test_a_parameter_that_is_not_used_in_every_step_survives_an_interruption_too(path):
    assert ends_alike_with(lambda: with_readout(Counting()), path)


def test_an_error_while_storing_leaves_the_checkpoint_before_and_training_goes_on_from_it(
    whole, path, monkeypatch
):
    replaced = []

    def full(source, target):
        replaced.append(target)
        if len(replaced) == 3:
            raise OSError("the disk is full")
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="the disk is full"):
        trained(RECIPE, checkpoint=path, every=2)
    monkeypatch.undo()
    assert load_checkpoint(path)[1]["steps"] == 4
    assert list(path.parent.iterdir()) == [path]
    assert ends_like(whole, path)


# Checkpoints of something else


def rejected(path, message, model=None, task=TASK, recipe=RECIPE):
    """See that training is refused, and that nothing at all is changed."""
    model = small() if model is None else model
    before, content, numbers = weights(model), path.read_bytes(), torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        train(model, task, recipe, checkpoint=path, every=1, progress=False)
    assert identical(weights(model), before)
    assert path.read_bytes() == content
    assert torch.equal(torch.get_rng_state(), numbers)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 9), ("batch_size", 12), ("learning_rate", 2e-3), ("schedule", Noam(3)),
        ("schedule", WarmUp(3, Cosine(5, 0.1))), ("smoothing", 0.2), ("clip", 2.0),
        ("betas", (0.9, 0.98)), ("accumulate", 2), ("by_length", False), ("seed", 2),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_recipe_is_rejected_and_changes_nothing(path, name, value):
    interrupted(RECIPE, 4, checkpoint=path, every=2)
    other = replace(RECIPE, **{name: value})
    pattern = "{}=.*{}".format(name, repr(value).replace("(", r"\(").replace(")", r"\)"))
    rejected(path, rf"the same recipe, .*{pattern}.*, got Recipe\(steps=8", recipe=other)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: small(d_model=10), r"got .*\(6, 6\) for .*, where the model has .*\(10, 10\)"),
        (lambda: small(n_layers=2), "got nothing of that name for .*blocks.1"),
        (recurrent, "got .* for encoder.*, where the model has"),
    ],
)
def test_a_checkpoint_of_another_model_is_rejected_and_changes_nothing(path, model, message):
    interrupted(RECIPE, 4, checkpoint=path, every=2)
    rejected(path, f"must be those of the model, {message}", model=model())


@pytest.mark.rejects
def test_a_checkpoint_of_other_examples_is_rejected_and_changes_nothing(path):
    interrupted(RECIPE, 4, checkpoint=path, every=2)
    first, second, *others = TASK.train
    swapped = replace(TASK, train=(second, first, *others))
    rejected(path, "the same data, [0-9a-f]{16}, got [0-9a-f]{16}", task=swapped)
    assert first != second


@pytest.mark.rejects
def test_a_refused_checkpoint_leaves_the_model_in_the_mode_it_was_in(path):
    path.write_bytes(b"")
    model = small().eval()
    rejected(path, "whole safetensors file", model=model)
    assert not model.training


@pytest.mark.rejects
def test_a_folder_that_does_not_exist_is_noticed_before_the_first_step(path):
    model = small()
    before = weights(model)
    with pytest.raises(
        FileNotFoundError, match=r"the folder of the checkpoint must exist, got .*nowhere"
    ):
        train(model, TASK, RECIPE, checkpoint=path.parent / "nowhere" / "a", progress=False)
    assert identical(weights(model), before)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "whole safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "whole safetensors file"),
        (lambda path: path.write_bytes(save({"x": normal(2)})), f"says {FORMAT!r} of itself"),
        (lambda path: save_model(path, small()), r"the same recipe, Recipe\(.*, got None"),
    ],
)
def test_a_broken_checkpoint_and_one_that_is_not_of_training_are_rejected(path, write, message):
    interrupted(RECIPE, 4, checkpoint=path, every=2)
    write(path)
    rejected(path, message)


@pytest.mark.rejects
@pytest.mark.parametrize("what", ["losses", "random", "exp_avg_sq/target_embedding.weight"])
def test_a_checkpoint_that_lacks_something_is_rejected_and_changes_nothing(path, what):
    interrupted(RECIPE, 4, checkpoint=path, every=2)
    tensors, about = load_checkpoint(path)
    del tensors[what]
    save_checkpoint(path, tensors, about)
    rejected(path, r"a\.checkpoint")


@pytest.mark.rejects
def test_a_checkpoint_of_a_model_of_another_dtype_is_rejected_and_changes_nothing(path):
    model = small(dtype=torch.float64)
    model.register_forward_pre_hook(Counted(5))
    with pytest.raises(Interrupted):
        trained(RECIPE, model=model, checkpoint=path, every=2)
    rejected(path, "float64.*float32|float32.*float64")


@pytest.mark.rejects
def test_a_recipe_with_a_schedule_that_cannot_be_told_again_is_rejected_with_a_checkpoint(path):
    recipe = replace(RECIPE, schedule=lambda step: 1.0)
    with pytest.raises(ValueError, match="schedule"):
        trained(recipe, checkpoint=path)


# Processes that are killed

LONG = replace(RECIPE, steps=24, schedule=Noam(7))
MOMENTS = {
    # The moment, and how many more steps are stored when it comes in the fourth step of a process.
    "in the middle of a step": 3,
    "in the middle of writing": 3,
    "before the new name": 3,
    "after the new name": 4,
}


def train_and_die(path, out, moment):
    """Train in a process of its own; with a moment, be killed in the fourth step."""
    torch.set_num_threads(1)
    model = small()
    model.register_forward_pre_hook(lambda *_: print("step", os.getpid(), flush=True))
    model.register_forward_pre_hook(counted := Counted(math.inf))

    def die(*_):
        if counted.calls == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    rename = os.replace
    if moment == "in the middle of a step":
        model.readout.weight.register_post_accumulate_grad_hook(die)
    elif moment == "in the middle of writing":
        os.fsync = lambda file: counted.calls == 4 and (os.ftruncate(file, 100), die())
    elif moment == "before the new name":
        os.replace = lambda *names: (die(), rename(*names))
    elif moment == "after the new name":
        os.replace = lambda *names: (rename(*names), die())
    train(model, TASK, LONG, checkpoint=path, every=1, progress=False)
    save_model(out, model)


def fork_and_train():
    """Train in a new process for every line that is said, and say how it ended."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                train_and_die(*line.rstrip("\n").split("\t"))
            finally:
                os._exit(0)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


@pytest.fixture(scope="module")
def process():
    """Start a process that starts others, so that torch is loaded only once; it never trains itself."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    command = [
        sys.executable,
        "-c",
        "from tests.package import test_recipe; test_recipe.fork_and_train()",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        yield process
        process.stdin.close()


def start(process, path, moment=""):
    """Train in a new process; its weights come to a file beside the checkpoint."""
    process.stdin.write(f"{path}\t{path.with_suffix('.weights')}\t{moment}\n")
    process.stdin.flush()


def said_until_end(process):
    """Split what is said into words, line by line, up to the end of the new process."""
    for line in process.stdout:
        yield line.split()
        if line.startswith("ended"):
            return


def steps_until_end(process):
    """Wait for the new process; return how many more steps it began, and how it ended."""
    *steps, (_, code) = said_until_end(process)
    return len(steps), int(code)


def ends_as_if_never_killed(process, path):
    """Let a last process train to the end, and compare."""
    done = load_checkpoint(path)[1]["steps"]
    start(process, path)
    assert steps_until_end(process) == (LONG.steps - done, 0)
    model, again = small(), small()
    load_model(path.with_suffix(".weights"), model)
    _, losses = trained(LONG, model=again)
    same_losses = load_checkpoint(path)[0]["losses"].tolist() == losses
    return same_losses and identical(weights(model), weights(again))


@pytest.mark.slow
def test_training_whose_process_is_killed_at_bad_moments_ends_as_if_it_had_not_been(process, path):
    done = 0
    for moment, more in MOMENTS.items():
        start(process, path, moment)
        assert steps_until_end(process) == (4, -signal.SIGKILL)
        done += more
        tensors, about = load_checkpoint(path)
        assert about["steps"] == len(tensors["losses"]) == done
    assert ends_as_if_never_killed(process, path)


@pytest.mark.slow
def test_training_whose_process_is_killed_at_any_moment_ends_as_if_it_had_not_been(process, path):
    done = 0
    for n_steps in (5, 2, 3, 4):
        start(process, path)
        for _ in range(n_steps):
            _, pid = process.stdout.readline().split()
            if path.exists():
                load_checkpoint(path)  # while the process goes on writing
        os.kill(int(pid), signal.SIGKILL)
        assert steps_until_end(process)[1] == -signal.SIGKILL
        stored = load_checkpoint(path)[1]["steps"]
        assert done + n_steps - 1 <= stored < LONG.steps
        done = stored
    assert ends_as_if_never_killed(process, path)


def test_what_a_killed_process_left_beside_the_checkpoint_does_no_harm(whole, path):
    interrupted(RECIPE, 4, checkpoint=path, every=2)
    left = path.parent / f".{path.name}.part"
    left.write_bytes(path.read_bytes()[:100])
    assert ends_like(whole, path)
    assert list(path.parent.iterdir()) == [path]
    assert load_checkpoint(path)[1]["steps"] == 8
