import numpy as np
import torch
from torch.special import entr

from minattn.exercises.judging import judge
from minattn.exercises.queries_keys_values.ex3_5_entropy_gradient import EXERCISE, grad_entropy

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def by_autograd(weights):
    """Give masked keys a score so low that their weight is 0, and yet finite."""
    scores = weights.double().clamp(min=1e-40).log().requires_grad_()
    logs = scores.log_softmax(-1)
    (-logs.exp() * logs).sum().backward()
    return scores.grad


def by_surprise(weights):
    """The 1 cancels: how far each key's surprise lies above the mean, which is the entropy."""
    surprise = -weights.masked_fill(weights == 0, 1).log()
    return weights * (surprise - entr(weights).sum(-1, keepdim=True))


def by_jacobian(weights):
    jacobian = torch.diag_embed(weights) - torch.einsum("qi,qj->qij", weights, weights)
    grad = torch.nan_to_num(-weights.log() - 1, posinf=0.0)
    return torch.einsum("qij,qj->qi", jacobian, grad)


def by_loop(weights):
    out = np.zeros(weights.shape)
    for q, row in enumerate(weights.double().numpy()):
        entropy = -sum(a * np.log(a) for a in row if a > 0)
        for j, a in enumerate(row):
            if a > 0:
                out[q, j] = -a * (np.log(a) + entropy)
    return out


def by_differences(weights):
    scores = weights.double().clamp(min=1e-30).log()
    out = torch.zeros_like(scores)
    for j in range(scores.shape[1]):
        bump = 1e-6 * torch.eye(scores.shape[1]).double()[j]
        up, down = (entr((scores + by).softmax(-1)).sum(-1) for by in (bump, -bump))
        out[:, j] = (up - down) / 2e-6
    return out


OTHER_WAYS = [by_autograd, by_surprise, by_jacobian, by_loop, by_differences]


# Wrong ways, written as a learner writes them.


def without_others(weights):
    out = torch.zeros_like(weights)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            a = weights[i, j]
            if a > 0:
                out[i, j] = a * (1 - a) * (-torch.log(a) - 1)
    return out


def of_minus_the_entropy(weights):
    surprise = -weights.masked_fill(weights == 0, 1).log()
    return weights * (entr(weights).sum(-1, keepdim=True) - surprise)


def with_the_logarithm_of_zero(weights):
    logs = torch.log(weights)
    return -weights * (logs - (weights * logs).sum(dim=-1, keepdim=True))


def one_entropy_for_all(weights):
    surprise = -weights.masked_fill(weights == 0, 1).log()
    return weights * (surprise - entr(weights).sum())


def through_autograd_to_the_weights(weights):
    w = weights.clone().requires_grad_()
    (-w * w.log()).sum().backward()
    return w.grad


NEAR_MISSES = [
    ("diagonal_only", without_others),
    ("sign", of_minus_the_entropy),
    ("logarithm_of_zero", with_the_logarithm_of_zero),
    ("queries_mixed", one_entropy_for_all),
    ("weights_taken_for_free", entr),
]


# What is said, and what the checker is tried on.


def test_autograd_to_the_weights_is_half_of_the_way():
    """What it gives for a weight of 0 is infinite or NaN, so there may be something besides."""
    assert judge(EXERCISE, through_autograd_to_the_weights).mistake == "stopped_at_the_weights"


def test_a_small_step_along_the_gradient_raises_the_entropy():
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]).double()
    moved = (weights.log() + 0.01 * grad_entropy(weights)).softmax(-1)
    assert (entr(moved).sum(-1) > entr(weights).sum(-1)).all()


def test_a_result_that_does_not_sum_to_zero_breaks_a_law():
    verdict = judge(EXERCISE, lambda w: grad_entropy(w) + 0.1)
    assert "sums to 0" in verdict.message
