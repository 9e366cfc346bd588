import copy
import math

import numpy as np
import pytest
import torch

from minattn.exercises.exercise import numbers
from minattn.exercises.judging import judge
from minattn.exercises.training.ex7_2_adamw_step import EXERCISE
from minattn.schedules import Constant, WarmUp

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def number_by_number(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    rate = highest if step >= warm_up else step * highest / warm_up
    out = []
    for x, g, a, b in zip(*(t.flatten().tolist() for t in (w, gradient, m, v)), strict=True):
        a += (1 - betas[0]) * (g - a)
        b += (1 - betas[1]) * (g * g - b)
        a_hat, b_hat = a / (1 - betas[0] ** step), b / (1 - betas[1] ** step)
        x *= 1 - rate * weight_decay
        out.append((x - rate * a_hat / (math.sqrt(b_hat) + eps), a, b))
    return [torch.tensor(part).view_as(w) for part in zip(*out, strict=True)]


def in_numpy(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    w, g, m, v = (t.numpy().astype(float) for t in (w, gradient, m, v))
    b1, b2 = betas
    rate = np.minimum(highest, highest * step / warm_up)
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    root = np.sqrt(v) / np.sqrt(1 - b2**step) + eps
    return (1 - rate * weight_decay) * w - rate / (1 - b1**step) * m / root, m, v


def with_torch(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    weights = torch.nn.Parameter(w.clone())
    weights.grad = gradient
    rate = highest * min(step, warm_up) / warm_up
    optimizer = torch.optim.AdamW(
        [weights], lr=rate, betas=betas, eps=eps, weight_decay=weight_decay
    )
    state = {"step": torch.tensor(step - 1.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    optimizer.state[weights] = state
    optimizer.step()
    return weights.detach(), state["exp_avg"], state["exp_avg_sq"]


def in_place_on_copies(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    w, m, v = w.clone(), m.clone(), v.clone()
    rate = WarmUp(warm_up, then=Constant())(step - 1) * highest
    w.mul_(1 - rate * weight_decay)
    m.lerp_(gradient, 1 - betas[0])
    v.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    w.addcdiv_(
        m / (1 - betas[0] ** step),
        v.div(1 - betas[1] ** step).sqrt().add(eps),
        value=-rate,
    )
    return w, m, v


def shorter_form(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    """Correct the rate, and eps with it."""
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient**2
    part = math.sqrt(1 - betas[1] ** step)
    rate = highest * min(1.0, step / warm_up)
    direction = m * part / (1 - betas[0] ** step) / (v.sqrt() + eps * part)
    return w - rate * (direction + weight_decay * w), m, v


OTHER_WAYS = [number_by_number, in_numpy, with_torch, in_place_on_copies, shorter_form]


# Wrong ways, written as a learner writes them.


def torch_adam(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    """Use torch's Adam, whose weight_decay is an L2 penalty."""
    weights = torch.nn.Parameter(w.clone())
    weights.grad = gradient.clone()
    rate = highest * min(1, step / warm_up)
    optimizer = torch.optim.Adam(
        [weights], lr=rate, betas=betas, eps=eps, weight_decay=weight_decay
    )
    state = {"step": torch.tensor(step - 1.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    optimizer.state[weights] = state
    optimizer.step()
    return weights.detach(), state["exp_avg"], state["exp_avg_sq"]


def corrected_under_the_same_names(
    w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay
):
    rate = highest * min(1, step / warm_up)
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient**2
    m /= 1 - betas[0] ** step
    v /= 1 - betas[1] ** step
    w = w * (1 - rate * weight_decay)
    return w - rate * m / (v**0.5 + eps), m, v


def never_corrected(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    rate = min(highest, highest * step / warm_up)
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient**2
    return w - rate * (m / (v.sqrt() + eps) + weight_decay * w), m, v


def exponent_from_zero(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    rate = min(highest, highest * step / warm_up)
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient**2
    t = step - 1
    m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
    return w - rate * (m_hat / (v_hat.sqrt() + eps) + weight_decay * w), m, v


def own_decay(w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay):
    w, m, v = with_torch(w, gradient, m, v, step, highest, warm_up, betas, eps, 0.0)
    return w - highest * min(1, step / warm_up) * weight_decay * w, m, v


NEAR_MISSES = [
    ("decay_in_the_gradient", torch_adam),
    ("corrected_means_kept", corrected_under_the_same_names),
    ("no_correction", never_corrected),
    ("correction_one_step_back", exponent_from_zero),
    ("decay_after_the_step", own_decay),
]


# What is said, and what the checker is tried on.


def test_steps_are_those_of_torch_whose_schedule_counts_the_steps_already_done():
    """LambdaLR is asked with 0 before the first step, so step n of the exercise has the share of n - 1."""
    highest, warm_up, betas, eps, weight_decay = 0.3, 3, (0.8, 0.95), 1e-3, 0.4
    weights = torch.nn.Parameter(numbers(1, 3, 2))
    optimizer = torch.optim.AdamW(
        [weights], lr=highest, betas=betas, eps=eps, weight_decay=weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, WarmUp(warm_up, then=Constant()))
    w, m, v = weights.detach().clone(), torch.zeros(3, 2), torch.zeros(3, 2)
    for step in range(1, 8):
        gradient = numbers(10 + step, 3, 2)
        weights.grad = gradient.clone()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(highest * min(1, step / warm_up))
        optimizer.step()
        schedule.step()
        w, m, v = EXERCISE.solution(
            w, gradient, m, v, step, highest, warm_up, betas, eps, weight_decay
        )
        # Both compute in float32, each step rounding once or twice more.
        torch.testing.assert_close(w, weights.detach(), rtol=0, atol=1e-5)


def test_steps_lie_at_the_start_within_at_the_end_of_and_after_the_warm_up():
    steps = [case[4:7:2] for case in EXERCISE.cases()]
    assert steps[0][0] == 1 < steps[0][1]
    assert any(1 < step < warm_up for step, warm_up in steps)
    assert any(step == warm_up > 1 for step, warm_up in steps)
    assert any(step > warm_up for step, warm_up in steps)
    assert any(warm_up == 1 for _, warm_up in steps)


def test_some_weight_never_had_a_gradient():
    assert any(
        ((gradient == 0) & (m == 0) & (v == 0)).any() for _, gradient, m, v, *_ in EXERCISE.cases()
    )


@pytest.mark.parametrize("i", [0, 1, 2, 3])
def test_weights_and_means_changed_in_place_are_told(i):
    """An answer that writes its right results into what it was given."""

    def answer(*case):
        out = EXERCISE.solution(*copy.deepcopy(case))
        case[i].copy_((out[0], case[1] * 2, *out[1:])[i])
        return out

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


def test_mistakes_are_told_apart_by_more_than_rounding():
    cases = EXERCISE.cases()
    rights = [EXERCISE.solution(*case) for case in cases]
    for mistake in EXERCISE.mistakes:
        for wrong in mistake.answers:
            found = [wrong(*copy.deepcopy(case)) for case in cases]
            if not all(isinstance(out, tuple) for out in found):
                continue
            apart = [
                torch.nan_to_num((x - y).abs(), nan=math.inf, posinf=math.inf).max()
                for out, right in zip(found, rights, strict=True)
                for x, y in zip(out, right, strict=True)
            ]
            assert max(apart) > 30 * EXERCISE.tolerance, mistake.name
