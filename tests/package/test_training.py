import copy
import math
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from minattn import training
from minattn.alignment import AdditiveAttention
from minattn.recipe import Recipe, smoothed_loss, train
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import Example, Task, reversal
from minattn.training import batches, evaluate, fit, mean_accuracy, seeded, token_loss
from minattn.translation import greedy
from minattn.vocabulary import EOS, PAD, Vocabulary
from tests.package.strategies import ROUNDING, Phrasebook, built, normal

TASK = reversal(n_train=40, n_held_out_per_length=3, min_length=2, max_length=4, n_symbols=5)


def small(seed=0, dropout=0.0, dtype=torch.float32):
    def make():
        return RecurrentTranslator(
            8,
            8,
            d_model=10,
            attend=AdditiveAttention(10, 10, 7),
            bidirectional=True,
            dropout=dropout,
        )

    return built(make, seed).to(dtype)


def weights(model):
    return copy.deepcopy(list(model.state_dict().values()))


def identical(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# The loss


def test_the_loss_is_the_mean_over_the_tokens_that_are_not_padding():
    logits = normal(3, 5, 7)
    target_out = torch.tensor([[3, 4, 6, 5, 2], [6, 2, 0, 0, 0], [3, 3, 2, 0, 0]])
    losses = []
    for row, answers in zip(logits.tolist(), target_out.tolist(), strict=True):
        for scores, answer in zip(row, answers, strict=True):
            if answer != PAD:
                losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[answer])
    assert len(losses) == 10
    expected = torch.tensor(sum(losses) / len(losses), dtype=torch.float64)
    assert_close(token_loss(logits, target_out), expected, **ROUNDING)


def test_logits_at_padding_do_not_change_the_loss_and_get_no_gradient():
    target_out = torch.tensor([[3, 2, 0], [4, 5, 2]])
    logits, other = normal(2, 3, 7).requires_grad_(), normal(2, 3, 7)
    other[0, 2] = 1e3
    loss = token_loss(logits, target_out)
    assert_close(token_loss(other, target_out), loss, **ROUNDING)
    loss.backward()
    assert_close(logits.grad[0, 2], torch.zeros(7).double(), rtol=0, atol=0)


def test_logits_that_know_nothing_cost_the_logarithm_of_the_vocabulary():
    loss = token_loss(torch.zeros(2, 3, 7), torch.tensor([[3, 2, 0], [4, 5, 2]]))
    assert_close(loss, torch.tensor(math.log(7)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1])
def test_the_losses_of_many_tokens_are_averaged_in_float32_whatever_the_logits_are(
    dtype, smoothing
):
    logits = (3 * normal(3, 700, 7)).to(dtype)
    target_out = torch.randint(1, 7, (3, 700), generator=torch.Generator().manual_seed(0))
    share, total = smoothing or 0.0, 0.0
    for row, answers in zip(logits.tolist(), target_out.tolist(), strict=True):
        for scores, answer in zip(row, answers, strict=True):
            log_sum = math.log(sum(math.exp(s) for s in scores))
            total += (1 - share) * (log_sum - scores[answer])
            total += share * (log_sum - sum(scores) / 7)
    given = (logits, target_out) if smoothing is None else (logits, target_out, smoothing)
    loss = (token_loss if smoothing is None else smoothed_loss)(*given)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(total / 2100, rel=1e-6)


@pytest.mark.rejects
@pytest.mark.parametrize("loss", [token_loss, smoothed_loss])
@pytest.mark.parametrize(
    ("logits", "target_out", "error", "message"),
    [
        (normal(2, 3, 7), torch.tensor([[3, 4, 7]] * 2), ValueError, "ids from 0 to 6, got 7"),
        (normal(2, 3, 7), torch.tensor([[3, -1, 2]] * 2), ValueError, "from 0 to 6, got -1"),
        (normal(2, 3, 7), torch.tensor([[3, -100, 2]] * 2), ValueError, "to 6, got -100"),
        (normal(2, 3, 7), torch.ones(2, 3), TypeError, "int64, got torch.float32"),
        (normal(2, 3, 7), torch.ones(2, 3).int(), TypeError, "int64, got torch.int32"),
        (normal(2, 3, 7), [[1, 1, 1]] * 2, TypeError, "must be a tensor, got list"),
        (normal(2, 3, 7), torch.ones(3, 2).long(), ValueError, r"\(2, 3\), got \(3, 2\)"),
        (normal(2, 3, 7), torch.ones(6).long(), ValueError, r"\(2, 3\), got \(6,\)"),
        (normal(6, 7), torch.ones(6).long(), ValueError, r"vocab not 0, got \(6, 7\)"),
        (normal(2, 3, 0), torch.zeros(2, 3).long(), ValueError, r"not 0, got \(2, 3, 0\)"),
        (torch.ones(2, 3, 7).long(), torch.ones(2, 3).long(), TypeError, "logits must hold float"),
    ],
)
def test_targets_that_are_none_of_the_logits_are_rejected(loss, logits, target_out, error, message):
    with pytest.raises(error, match=message):
        loss(logits, target_out)


@pytest.mark.rejects
def test_a_loss_of_nothing_but_padding_is_rejected():
    with pytest.raises(ValueError, match="not padding, got none"):
        token_loss(torch.zeros(2, 3, 7), torch.zeros(2, 3).long())


# Seeds


def test_a_seed_decides_what_is_drawn_inside_and_changes_nothing_outside():
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(5)
    with seeded(3):
        again = torch.rand(5)
    with seeded(4):
        other = torch.rand(5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_random_numbers_outside_come_back_after_an_error_too():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(3):
        torch.rand(5)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


# Training


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others():
    models = [small(dropout=0.3) for _ in range(3)]
    losses = [
        fit(model, TASK, steps=7, batch_size=13, seed=seed, progress=False)
        for model, seed in zip(models, (1, 1, 2), strict=True)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert identical(weights(models[0]), weights(models[1]))
    assert not identical(weights(models[0]), weights(models[2]))


def test_training_leaves_the_global_random_numbers_alone():
    before = torch.get_rng_state()
    fit(small(dropout=0.3), TASK, steps=3, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_lowers_the_loss_and_returns_the_loss_of_every_step():
    model = small()
    losses = fit(model, TASK, steps=60, batch_size=20, learning_rate=1e-2, progress=False)
    assert len(losses) == 60
    batch = TASK.batch(TASK.train)
    last = token_loss(model(batch.source, batch.target_in), batch.target_out).item()
    assert last < losses[0] / 1.5
    assert sum(losses[-10:]) < sum(losses[:10]) / 1.5


def test_the_first_loss_is_that_of_the_untrained_model():
    model = small(dtype=torch.float64)
    batch = TASK.batch(TASK.train)
    expected = token_loss(model(batch.source, batch.target_in), batch.target_out).item()
    (loss,) = fit(model, TASK, steps=1, batch_size=len(TASK.train), progress=False)
    assert loss == pytest.approx(expected, rel=1e-12)  # the rows are in another order


def test_a_handful_of_examples_is_learned_by_heart():
    few = Task("few", TASK.source, TASK.target, TASK.train[:6], TASK.train[:6])
    model = small()
    fit(model, few, steps=150, batch_size=6, learning_rate=2e-2, progress=False)
    assert set(evaluate(model, few).values()) == {1.0}


def batches_seen(monkeypatch, **settings):
    """Train, and say which examples were in which batch."""
    seen = []
    select = type(TASK.batch(TASK.train)).select
    monkeypatch.setattr(
        "minattn.vocabulary.Batch.select",
        lambda batch, rows: seen.append(rows) or select(batch, rows),
    )
    fit(small(), TASK, progress=False, **settings)
    return seen


@pytest.mark.parametrize("by_length", [False, True])
def test_every_example_is_seen_once_before_any_comes_again(monkeypatch, by_length):
    seen = batches_seen(monkeypatch, steps=8, batch_size=13, by_length=by_length)
    for epoch in (seen[:4], seen[4:]):
        assert sorted(len(rows) for rows in epoch) == [1, 13, 13, 13]
        assert sorted(torch.cat(epoch).tolist()) == list(range(40))
    assert torch.cat(seen[:4]).tolist() != torch.cat(seen[4:]).tolist()


def test_batches_by_length_have_less_padding_and_come_in_random_order(monkeypatch):
    data = TASK.batch(TASK.train)
    lengths = (data.source != 0).sum(1) + (data.target_in != 0).sum(1)
    padding, means = {}, {}
    for by_length in (False, True):
        seen = batches_seen(monkeypatch, steps=40, batch_size=4, by_length=by_length)
        padding[by_length] = sum(int((lengths[rows].max() - lengths[rows]).sum()) for rows in seen)
        means[by_length] = [lengths[rows].float().mean().item() for rows in seen]
        monkeypatch.undo()
    shortest_first = lengths.sort().values.split(4)
    least = 4 * sum(
        int((rows.max() - rows).sum()) for rows in shortest_first
    )  # 40 steps: four times all
    assert 1.5 * least < padding[True] < 0.6 * padding[False]
    # Pools of four batches: sorted inside, in random order within.
    pools = [means[True][i : i + 4] for i in range(0, 8, 4)]
    assert any(pool != sorted(pool) for pool in pools)
    assert len({tuple(pool) for pool in (means[True][:10], means[True][10:20])}) == 2


def test_the_model_is_trained_in_training_mode_and_left_in_evaluation_mode():
    model = small().eval()
    modes = []
    model.register_forward_hook(lambda module, *_: modes.append(module.training))
    fit(model, TASK, steps=2, progress=False)
    assert modes == [True, True]
    assert not model.training


def test_the_learning_rate_stays_for_half_of_the_steps_and_then_falls_to_zero(monkeypatch):
    rates = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam,
        "step",
        lambda self, *rest: rates.append(self.param_groups[0]["lr"]) or step(self, *rest),
    )
    fit(small(), TASK, steps=10, learning_rate=0.01, progress=False)
    expected = [0.01] * 6 + [0.008, 0.006, 0.004, 0.002]
    assert rates == pytest.approx(expected)


def test_the_gradient_is_clipped_before_the_step(monkeypatch):
    norms = []
    step = torch.optim.Adam.step

    def watched(self, *rest):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    fit(small(), TASK, steps=3, clip=0.01, progress=False)
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)  # torch divides by the norm plus 1e-6


class Breaking(nn.Module):
    """Let the logits of some step of training become something else."""

    def __init__(self, at, what):
        super().__init__()
        self.at, self.what, self.calls = at, what, 0

    def forward(self, x):
        self.calls += 1
        return x * self.what if self.calls == self.at else x


@pytest.mark.rejects
@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_weights_from_before(what):
    model = small()
    model.out_proj = nn.Sequential(model.out_proj, Breaking(3, what))
    kept = []
    model.register_forward_pre_hook(lambda *_: kept.append(weights(model)))
    with pytest.raises(RuntimeError, match="the loss must stay finite, got nan at step 3 of 5"):
        fit(model, TASK, steps=5, progress=False)
    assert identical(weights(model), kept[2])
    assert not identical(kept[1], kept[2])


def by_fit(model, n_steps=5, **settings):
    return fit(model, TASK, steps=n_steps, progress=False, **settings)


def by_recipe(model, n_steps=5, **settings):
    settings = {"by_length": False, "batch_size": 64, "learning_rate": 5e-3} | settings
    return train(model, TASK, Recipe(steps=n_steps, **settings), progress=False)


loops = pytest.mark.parametrize("loop", [by_fit, by_recipe])


def fails_and_changes_nothing(loop, model, message, error=RuntimeError, **settings):
    """See that training stops, and leaves the weights and buffers from before the last pass, and no gradient."""
    kept = []
    model.register_forward_pre_hook(lambda *_: kept.append(weights(model)))
    with pytest.raises(error, match=message):
        loop(model, **settings)
    assert identical_even_nan(weights(model), kept[-1])
    assert all(weight.grad is None for weight in model.parameters())
    return kept


def identical_even_nan(one, other):
    return all(
        torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5)) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.rejects
@loops
def test_half_precision_whose_weights_break_under_a_finite_loss_is_told(loop):
    model = small(dtype=torch.float16)
    message = (
        r"weights must stay finite, got nan in \S+ at step 1 of 5; in float16 .*model.float\(\)"
    )
    (before,) = fails_and_changes_nothing(loop, model, message)
    assert all(bool(x.isfinite().all()) for x in before)


@loops
def test_bfloat16_is_trained(loop):
    model = small(dtype=torch.bfloat16)
    assert all(map(math.isfinite, loop(model)))
    assert all(bool(x.isfinite().all()) for x in weights(model))


class Exploding(torch.autograd.Function):
    """Change nothing on the way there, and the gradient on the way back."""

    @staticmethod
    def forward(ctx, x, by):
        ctx.by = by
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.by, None


@pytest.mark.rejects
@loops
@pytest.mark.parametrize(
    ("by", "found"),
    [
        (math.nan, "nan in out_proj.0.weight"),
        (math.inf, "(inf|-inf|nan) in out_proj.0.weight"),
        (
            1e30,
            "a norm too large for its type",
        ),  # every number is finite, the sum of squares is not
    ],
)
def test_a_gradient_that_is_not_finite_stops_training_and_says_whose(loop, by, found):
    model = small()
    passes = []

    class Late(nn.Module):
        def forward(self, x):
            passes.append(None)
            return Exploding.apply(x, by if len(passes) == 3 else 1.0)

    model.out_proj = nn.Sequential(model.out_proj, Late())
    for name, weight in model.named_parameters():  # one weight only, so that its name is known
        weight.requires_grad_(name == "out_proj.0.weight")
    message = f"the gradient must stay finite, got {found} at step 3 of 5$"
    kept = fails_and_changes_nothing(loop, model, message)
    assert len(kept) == 3 and not identical(kept[1], kept[2])


@pytest.mark.rejects
@loops
def test_a_weight_that_no_example_reaches_is_looked_at_too(loop):
    model = small()
    model.idle = nn.Linear(2, 2)
    nn.init.constant_(model.idle.bias, math.nan)
    message = "the weights must stay finite, got nan in idle.bias at step 1 of 5"
    fails_and_changes_nothing(loop, model, message)


@pytest.mark.rejects
@loops
@pytest.mark.parametrize("what", [math.nan, math.inf, -math.inf])
def test_a_step_that_makes_one_number_of_one_weight_infinite_is_told(loop, monkeypatch, what):
    model, steps = small(), []
    step = torch.optim.Adam.step

    def broken(self, *rest):
        step(self, *rest)
        steps.append(None)
        if len(steps) == 4:
            model.encoder.gru.bias_hh_l0.data[3] = what

    monkeypatch.setattr(torch.optim.Adam, "step", broken)
    message = f"the weights must stay finite, got {what} in encoder.gru.bias_hh_l0 at step 4 of 5$"
    fails_and_changes_nothing(loop, model, message)


@loops
def test_large_weights_whose_sum_is_too_large_for_their_type_are_let_be(loop):
    model = small()
    model.idle = nn.Linear(2, 2)
    nn.init.constant_(model.idle.weight, 3e38)
    frozen = nn.Parameter(torch.full((2,), -math.inf), requires_grad=False)
    model.register_parameter("frozen", frozen)
    assert len(loop(model)) == 5


@pytest.mark.rejects
@loops
def test_buffers_are_put_back_too(loop):
    class Average(nn.Module):
        """Replace one buffer and change the other in place, as batch norms do."""

        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))
            self.register_buffer("count", torch.zeros((), dtype=torch.long))

        def forward(self, x):
            self.count += 1
            x = x * math.inf if self.count == 3 else x
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean()
            return x

    model = small()
    model.out_proj = nn.Sequential(model.out_proj, Average())
    fails_and_changes_nothing(loop, model, "the loss must stay finite, got nan at step 3 of 5")
    assert model.out_proj[1].count == 2
    assert bool(model.out_proj[1].mean.isfinite())


@pytest.mark.rejects
@loops
def test_a_model_with_nothing_to_learn_is_told(loop):
    message = r"loss must depend on a weight that learns, got 2\.\d+ without a gradient"
    fails_and_changes_nothing(loop, small().requires_grad_(False), message, ValueError)


@loops
def test_a_step_that_is_interrupted_half_way_is_undone(loop, monkeypatch):
    model, steps = small(), []
    step = torch.optim.Adam.step

    def interrupted(self, *rest):
        steps.append(None)
        if len(steps) == 3:
            with torch.no_grad():
                next(model.parameters()).add_(1.0)
            raise KeyboardInterrupt
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    fails_and_changes_nothing(loop, model, None, KeyboardInterrupt)


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, 1.5, None, "3", True])
@pytest.mark.parametrize("name", ["steps", "batch_size", "learning_rate", "clip", "seed"])
def test_settings_that_are_no_such_number_are_rejected(name, wrong):
    if name in ("learning_rate", "clip") and wrong == 1.5:
        return
    model = small().eval()
    before = weights(model)
    with pytest.raises((ValueError, TypeError), match=f"{name} must be .*got .*{wrong}"):
        fit(model, TASK, **{"steps": 2, "progress": False} | {name: wrong})
    assert not model.training
    assert identical(weights(model), before)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 5, "batch_size": 0}, "batch_size must be at least 1, got 0"),
        (
            {"steps": 5, "learning_rate": 0.0},
            "learning_rate must be a finite number above 0, got 0.0",
        ),
        ({"steps": 5, "learning_rate": math.nan}, "learning_rate must be .* got nan"),
        ({"steps": 5, "clip": -1.0}, "clip must be a finite number above 0, got -1.0"),
        ({"steps": 5, "clip": math.inf}, "clip must be .* got inf"),
    ],
)
def test_training_rejects(settings, message):
    model = small()
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        fit(model, TASK, **settings)
    assert identical(weights(model), before)


# Batches


def drawn_batches(n_batches, *settings, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [rows.tolist() for rows in islice(batches(*settings, generator), n_batches)]


def examples_of(seen):
    return [row for rows in seen for row in rows]


@given(
    n_examples=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    n_lengths=st.integers(0, 7),
    seed=st.integers(0, 10_000),
)
def test_batches_go_through_all_examples_again_and_again(n_examples, batch_size, n_lengths, seed):
    lengths = torch.arange(n_examples) % n_lengths if n_lengths else None
    n_batches = math.ceil(n_examples / batch_size)
    seen = drawn_batches(3 * n_batches, n_examples, batch_size, lengths, seed=seed)
    last = n_examples - (n_batches - 1) * batch_size
    for i in range(0, 3 * n_batches, n_batches):
        epoch = seen[i : i + n_batches]
        sizes = [len(rows) for rows in epoch]
        assert sorted(examples_of(epoch)) == list(range(n_examples))
        assert sorted(sizes) == sorted([batch_size] * (n_batches - 1) + [last])
        if lengths is None:
            assert sizes[-1] == last


@given(seed=st.integers(0, 10_000))
def test_batches_by_length_are_sorted_in_pools_of_four(seed):
    lengths = torch.randint(100, (50,), generator=torch.Generator().manual_seed(seed))
    seen = drawn_batches(10, 50, 5, lengths, seed=seed)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(seed)).split(20)
    for pool, start in zip(order, (0, 4, 8), strict=True):
        found = sorted(seen[start : start + 4], key=lambda rows: lengths[rows].tolist())
        # Stable: examples of the same length stay in the order in which they were drawn.
        expected = sorted(pool.tolist(), key=lambda row: int(lengths[row]))
        assert sorted(examples_of(found)) == sorted(expected)
        assert sorted(map(tuple, found)) == sorted(
            tuple(expected[i : i + 5]) for i in range(0, len(expected), 5)
        )


def test_batches_of_a_pool_come_in_random_order():
    lengths = torch.arange(40)
    places = [drawn_batches(4, 40, 10, lengths, seed=seed) for seed in range(60)]
    firsts = {min(rows) for rows, *_ in places}
    assert firsts == {0, 10, 20, 30}


@pytest.mark.parametrize("lengths", [None, torch.arange(23) % 5])
def test_the_generator_alone_decides_the_batches_and_leaves_the_global_numbers_alone(lengths):
    before = torch.get_rng_state()
    first = drawn_batches(12, 23, 5, lengths, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(99):
        assert drawn_batches(12, 23, 5, lengths, seed=1) == first
    assert drawn_batches(12, 23, 5, lengths, seed=2) != first


@pytest.mark.parametrize("lengths", [None, torch.arange(23) % 5])
def test_without_a_generator_the_global_random_numbers_decide_the_batches(lengths):
    with seeded(1):
        rows = [rows.tolist() for rows in islice(batches(23, 5, lengths), 12)]
    assert rows == drawn_batches(12, 23, 5, lengths, seed=1)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, 5), "n_examples must be at least 1, got 0"),
        ((5, 0), "batch_size must be at least 1, got 0"),
        ((5, math.nan), "batch_size must be a whole number of at least 1, got nan"),
        ((5, 2, torch.arange(4)), r"shape \(5,\), one for each example, got \(4,\)"),
    ],
)
def test_batches_of_nothing_are_rejected_at_once_and_not_when_the_first_is_asked_for(
    given, message
):
    with pytest.raises(ValueError, match=message):
        batches(*given)


@pytest.mark.rejects
@pytest.mark.parametrize("seed", [1.5, math.nan, None])
def test_a_seed_that_is_no_whole_number_is_rejected(seed):
    before = torch.get_rng_state()
    block = seeded(seed)
    with pytest.raises((ValueError, TypeError), match=f"seed must be a whole number.*got {seed}"):
        block.__enter__()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_below_zero_is_as_good_as_any():
    with seeded(-3):
        first = torch.rand(5)
    with seeded(-3):
        assert torch.equal(torch.rand(5), first)


def test_every_round_of_batches_has_another_order():
    rounds = [examples_of(drawn_batches(5 * n, 23, 5, None)[-5:]) for n in (1, 2, 3)]
    assert rounds[0] != rounds[1] != rounds[2] != rounds[0]


# Progress


def test_training_leaves_one_line_that_says_nothing_of_the_machine(capsys):
    fit(small(), TASK, steps=40, batch_size=13, seed=7)
    out, err = capsys.readouterr()
    assert out == "trained 40 steps of 13 examples, seed 7\n"
    assert err == ""


def test_training_without_progress_is_silent(capsys):
    fit(small(), TASK, steps=20, progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_now_and_then(monkeypatch):
    lines = []
    monkeypatch.setattr(training.Progress, "update", lambda self, text: lines.append(text))
    losses = fit(small(), TASK, steps=45)
    assert lines == [f"step {n} of 45, loss {losses[n - 1]:.3f}" for n in (20, 40)]


# Measuring

LETTERS = Vocabulary("abcd")


def said(source, target):
    return Example(tuple(source), tuple(target), (None,) * len(target), len(source))


def ids(tokens):
    return tuple(LETTERS.encode(list(tokens)))


def test_a_translation_counts_when_every_token_is_right_and_none_is_missing_or_too_many():
    examples = [
        said("a", "b"),  # right
        said("b", "c"),  # wrong
        said("ab", "cd"),  # right
        said("ba", "cd"),  # the last token is wrong
        said("cc", "ab"),  # one too few
        said("dd", "ab"),  # one too many
        said("abc", "dddd"),  # nothing is said
    ]
    book = {
        ids("a"): ids("b"), ids("b"): ids("d"), ids("ab"): ids("cd"), ids("ba"): ids("ca"),
        ids("cc"): ids("a"), ids("dd"): ids("abc"),
    }  # fmt: skip
    model = Phrasebook(book, vocab_size=7)
    task = Task("letters", LETTERS, LETTERS, (), tuple(examples[:2]))
    assert evaluate(model, task, examples) == {1: 0.5, 2: 0.25, 3: 0.0}
    assert evaluate(model, task) == {1: 0.5}
    assert evaluate(model, task, iter(examples)) == {1: 0.5, 2: 0.25, 3: 0.0}
    assert list(evaluate(model, task, examples[::-1])) == [1, 2, 3]


def test_how_to_write_can_be_chosen_and_is_told_how_long_a_target_may_be():
    examples = [said("a", "b"), said("b", "c"), said("ab", "cdab"), said("ba", "c")]
    asked = []

    def shout(model, source, max_length):
        asked.append((source.tolist(), max_length, model.training))
        return torch.tensor([[*ids("b"), EOS, *ids("a")]] * len(source))

    model = Phrasebook({ids("a"): ids("c"), ids("b"): ids("c")}, vocab_size=7).train()
    task = Task("letters", LETTERS, LETTERS, (), tuple(examples))
    assert evaluate(model, task, decode=shout) == {1: 0.5, 2: 0.0}
    first, second = task.batch(examples[:2]).source, task.batch(examples[2:]).source
    assert asked == [(first.tolist(), 6, False), (second.tolist(), 9, False)]
    assert model.training
    assert model.read == []
    assert evaluate(model, task, examples[:2], shout) == {1: 0.5}
    assert evaluate(model, task, decode=greedy) == evaluate(model, task) == {1: 0.5, 2: 0.0}


def test_targets_of_any_length_have_room():
    long = said("a", "abcd" * 20)
    model = Phrasebook({ids("a"): ids("abcd" * 20)}, vocab_size=7)
    assert evaluate(model, Task("long", LETTERS, LETTERS, (), (long,))) == {1: 1.0}


def test_every_length_counts_the_same_in_the_mean():
    assert mean_accuracy({3: 1.0, 12: 0.5, 7: 0.0}) == pytest.approx(0.5)


@pytest.mark.rejects
def test_measuring_nothing_is_rejected():
    model = Phrasebook({}, vocab_size=7)
    with pytest.raises(ValueError, match="at least one example, got none"):
        evaluate(model, TASK, [])
    with pytest.raises(ValueError, match="at least one example, got none"):
        evaluate(model, TASK, (example for example in ()))


def test_losses_show_themselves_in_one_line():
    assert repr(training.Losses([2.0, 1.0, 0.5])) == "<3 losses: 2.000 ... 0.500>"
    assert repr(training.Losses()) == "<0 losses>"
