import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.schedules import Constant, Cosine, HoldAndFall, Noam, OneCycle, WarmUp

SUMS = 1e-12
"""A share is a handful of operations, each right to 16 digits; torch's cosine is a product of all steps so far."""


def shares(schedule, steps):
    return [schedule(step) for step in range(steps)]


def rates_of_torch(make, steps):
    """Say which learning rates a schedule of torch's gives, step by step, when the highest is 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


# Twins


@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_cosine_is_that_of_torch(steps, end):
    twin = rates_of_torch(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, end), steps
    )
    assert shares(Cosine(steps, end), steps) == pytest.approx(twin, abs=SUMS)


@pytest.mark.parametrize(
    ("steps", "warm_up"), [(7, 0.3), (10, 0.4), (11, 0.1), (50, 0.3), (97, 0.25), (1000, 0.999)]
)
@pytest.mark.parametrize(("start", "end"), [(1 / 25, 1 / 250_000), (0.5, 0.125)])
def test_one_cycle_is_that_of_torch(steps, warm_up, start, end):
    twin = rates_of_torch(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=steps,
            pct_start=warm_up,
            div_factor=1 / start,
            final_div_factor=start / end,
        ),
        steps,
    )
    assert shares(OneCycle(steps, warm_up, start, end), steps) == pytest.approx(twin, abs=SUMS)


def test_the_defaults_of_one_cycle_are_those_of_torch():
    twin = rates_of_torch(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=41), 41
    )
    assert shares(OneCycle(41), 41) == pytest.approx(twin, abs=SUMS)


@pytest.mark.parametrize(("d_model", "warm_up"), [(512, 40), (7, 1), (64, 13)])
def test_noam_times_its_highest_rate_is_the_formula_of_the_paper(d_model, warm_up):
    """Vaswani et al. 2017, equation 3; their steps count from 1."""

    def paper(step):
        n = step + 1
        return d_model**-0.5 * min(n**-0.5, n * warm_up**-1.5)

    twin = rates_of_torch(
        lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, paper), 200
    )
    highest = d_model**-0.5 * warm_up**-0.5
    ours = [highest * share for share in shares(Noam(warm_up), 200)]
    assert ours == pytest.approx(twin, rel=SUMS)


@pytest.mark.parametrize("steps", [2, 5, 7])
def test_warming_up_is_the_straight_line_of_torch(steps):
    twin = rates_of_torch(
        lambda optimizer: torch.optim.lr_scheduler.LinearLR(
            optimizer, 1 / steps, total_iters=steps - 1
        ),
        steps + 3,
    )
    assert shares(WarmUp(steps, Constant()), steps + 3) == pytest.approx(twin, abs=SUMS)


# Points by hand


def test_a_constant_schedule_is_one_everywhere():
    assert [Constant()(step) for step in (0, 1, 10**9)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [1.0]),
        (2, [1.0, 1.0]),
        (5, [1.0, 1.0, 1.0, 4 / 5, 2 / 5]),
        (8, [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]),
    ],
)
def test_hold_and_fall_holds_for_half_and_reaches_zero_after_the_last_step(steps, expected):
    assert shares(HoldAndFall(steps), steps + 1) == pytest.approx([*expected, 0.0], abs=SUMS)


def test_the_cosine_begins_at_one_has_its_middle_at_half_and_ends_exactly():
    schedule = Cosine(14, end=0.25)
    assert schedule(0) == 1.0
    assert schedule(7) == pytest.approx(0.625)
    assert schedule(14) == pytest.approx(0.25)
    assert schedule(1) - schedule(0) == pytest.approx(schedule(14) - schedule(13))


def test_the_cosine_and_one_cycle_stay_at_their_end():
    assert shares(Cosine(7, end=0.2), 30)[7:] == pytest.approx([0.2] * 23)
    assert shares(OneCycle(7, 0.5, end=0.2), 30)[6:] == pytest.approx([0.2] * 24)


def test_the_warm_up_starts_above_zero_and_has_its_peak_at_its_last_step():
    schedule = WarmUp(5, Cosine(7))
    assert shares(schedule, 5) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert schedule(4) == 1.0


@given(warm_up=st.integers(1, 30), steps=st.integers(1, 30))
def test_after_the_warm_up_the_other_schedule_begins_from_its_first_step(warm_up, steps):
    then = Cosine(steps, end=0.1)
    found = [WarmUp(warm_up, then)(warm_up + step) for step in range(steps + 3)]
    assert found == [then(step) for step in range(steps + 3)]


def test_a_warm_up_asks_the_other_schedule_only_for_its_own_steps():
    asked = []
    schedule = WarmUp(3, lambda step: asked.append(step) or 0.5)
    assert shares(schedule, 6) == pytest.approx([1 / 3, 2 / 3, 1, 0.5, 0.5, 0.5])
    assert asked == [0, 1, 2]


@given(warm_up=st.integers(1, 300))
def test_noam_has_its_peak_at_the_last_step_of_the_warm_up_and_nowhere_else(warm_up):
    schedule = Noam(warm_up)
    assert schedule(warm_up - 1) == 1.0
    assert schedule(warm_up) < 1
    assert warm_up == 1 or schedule(warm_up - 2) < 1
    assert schedule(0) == pytest.approx(1 / warm_up)
    assert schedule(4 * warm_up - 1) == pytest.approx(0.5)


@pytest.mark.parametrize(("steps", "warm_up", "top"), [(10, 0.4, 3), (20, 0.25, 4), (4, 0.5, 1)])
def test_one_cycle_has_its_peak_and_its_ends_at_the_exact_steps(steps, warm_up, top):
    schedule = OneCycle(steps, warm_up, start=0.125, end=0.0625)
    assert schedule(0) == pytest.approx(0.125)
    assert schedule(top) == pytest.approx(1.0)
    assert schedule(steps - 1) == pytest.approx(0.0625)
    assert max(range(steps), key=schedule) == top
    found = shares(schedule, steps)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


# Laws


@st.composite
def schedules(draw):
    """Draw a schedule and for how many steps it is meant."""
    steps = draw(st.integers(2, 400))
    share = st.floats(0, 1)
    kind = draw(st.sampled_from(["hold", "cosine", "noam", "cycle", "warm-up"]))
    if kind == "hold":
        return HoldAndFall(steps), steps
    if kind == "noam":
        return Noam(draw(st.integers(1, 400))), steps
    if kind == "cycle":
        n_up = draw(st.floats(1.01, steps - 0.01))
        return OneCycle(steps, n_up / steps, draw(share), draw(share)), steps
    cosine = Cosine(steps, draw(share))
    if kind == "cosine":
        return cosine, steps
    warm_up = draw(st.integers(1, 400))
    return WarmUp(warm_up, cosine), warm_up + steps


@given(schedules())
def test_a_share_lies_between_zero_and_one(drawn):
    schedule, steps = drawn
    found = shares(schedule, steps)
    assert all(type(share) is float for share in found)
    assert min(found) >= -1e-15  # the cosine rounds
    assert max(found) <= 1 + 1e-15


@given(schedules())
def test_a_schedule_remembers_nothing_and_equals_its_twin(drawn):
    schedule, steps = drawn
    found = shares(schedule, steps)
    assert [schedule(step) for step in reversed(range(steps))] == found[::-1]
    assert schedule == type(schedule)(**vars(schedule))
    assert hash(schedule) == hash(type(schedule)(**vars(schedule)))


@given(schedules())
def test_a_schedule_shows_how_it_is_made_and_nothing_else(drawn):
    schedule, _ = drawn
    assert eval(repr(schedule)) == schedule


@pytest.mark.parametrize("step", [9, 100])
def test_no_schedule_falls_below_zero_after_its_end(step):
    assert HoldAndFall(8)(step) == 0


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HoldAndFall(0), "steps must be at least 1, got 0"),
        (lambda: Cosine(0), "steps must be at least 1, got 0"),
        (lambda: Cosine(5, end=-0.1), r"end must be in \[0, 1\], got -0.1"),
        (lambda: Cosine(5, end=1.5), r"end must be in \[0, 1\], got 1.5"),
        (lambda: Cosine(5, end=math.nan), r"end must be in \[0, 1\], got nan"),
        (lambda: WarmUp(0, Constant()), "steps must be at least 1, got 0"),
        (lambda: WarmUp(-3, Constant()), "steps must be at least 1, got -3"),
        (lambda: Noam(0), "warm_up must be at least 1, got 0"),
        (lambda: OneCycle(0), "steps must be at least 1, got 0"),
        (lambda: OneCycle(3), "warm_up must be .* more than one step, got 0.3 of 3 steps"),
        (lambda: OneCycle(10, 0.1), "warm_up must be .* got 0.1 of 10 steps"),
        (lambda: OneCycle(10, 1.0), "warm_up must be a share below 1 .* got 1.0 of 10 steps"),
        (lambda: OneCycle(10, 1.5), "warm_up must be .* got 1.5 of 10 steps"),
        (lambda: OneCycle(10, -0.3), "warm_up must be .* got -0.3 of 10 steps"),
        (lambda: OneCycle(10, math.nan), "warm_up must be .* got nan of 10 steps"),
        (lambda: OneCycle(10, start=-1.0), r"start must be in \[0, 1\], got -1.0"),
        (lambda: OneCycle(10, start=2.0), r"start must be in \[0, 1\], got 2.0"),
        (lambda: OneCycle(10, end=1.01), r"end must be in \[0, 1\], got 1.01"),
    ],
)
def test_schedules_reject(make, message):
    with pytest.raises(ValueError, match=message):
        make()


KINDS = {
    "constant": Constant(),
    "hold": HoldAndFall(8),
    "cosine": Cosine(8),
    "warm-up": WarmUp(3, Cosine(8)),
    "noam": Noam(3),
    "cycle": OneCycle(8),
}


@pytest.mark.rejects
@pytest.mark.parametrize("step", [-1, math.nan, 1.5, 2.0, None, "3", True])
@pytest.mark.parametrize("schedule", KINDS.values(), ids=KINDS)
def test_a_step_that_is_no_number_of_steps_done_is_rejected(schedule, step):
    with pytest.raises((ValueError, TypeError), match=f"step must be .*at least 0.*got .*{step}"):
        schedule(step)


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 2.5, None, "3", True])
@pytest.mark.parametrize(
    "make", [HoldAndFall, Cosine, lambda n: WarmUp(n, Constant()), Noam, OneCycle]
)
def test_a_number_of_steps_that_is_not_whole_is_rejected(make, wrong):
    with pytest.raises((ValueError, TypeError), match=f"must be a whole number .*got .*{wrong}"):
        make(wrong)


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, math.inf, None, "0.1", True])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: Cosine(8, end=x),
        lambda x: OneCycle(8, warm_up=x),
        lambda x: OneCycle(8, start=x),
        lambda x: OneCycle(8, end=x),
    ],
)
def test_a_share_that_is_none_is_rejected(make, wrong):
    with pytest.raises((ValueError, TypeError), match=f"(end|start|warm_up) must be .*{wrong}"):
        make(wrong)


@pytest.mark.rejects
def test_what_comes_after_a_warm_up_must_be_a_schedule():
    with pytest.raises(TypeError, match=r"then must be a schedule, got 0\.5"):
        WarmUp(3, 0.5)
