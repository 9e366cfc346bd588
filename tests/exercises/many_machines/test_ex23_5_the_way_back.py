import math

import numpy as np
import pytest
import torch
from torch import nn

from minattn.dot_product import attend
from minattn.exercises.judging import judge
from minattn.exercises.many_machines.ex23_5_the_way_back import EXERCISE, block_gradients

# Other right ways: loops, autograd through weights that are given their total, in 64 bits, einsum, NumPy.


def by_loops(query, key, value, output, log_total, grad_output, allowed):
    grads = [torch.zeros_like(x) for x in (query, key, value)]
    scale = query.shape[1] ** -0.5
    for i in range(len(query)):
        mean = grad_output[i] @ output[i]
        for j in range(len(key)):
            if allowed[i, j]:
                weight = (query[i] @ key[j] * scale - log_total[i]).exp()
                grad = scale * weight * (grad_output[i] @ value[j] - mean)
                grads[0][i] += grad * key[j]
                grads[1][j] += grad * query[i]
                grads[2][j] += weight * grad_output[i]
    return tuple(grads)


def by_autograd(query, key, value, output, log_total, grad_output, allowed):
    """Let the weights be exp(scores - log_total), and log_total send back minus the mean through each weight."""
    q, k, v = (x.clone().requires_grad_() for x in (query, key, value))
    scores = q @ k.T / math.sqrt(q.shape[1])
    blind = torch.where(log_total.isinf(), 0.0, log_total)
    weights = torch.where(allowed, (scores - blind[:, None]).exp(), 0.0)
    mean = (grad_output * output).sum(-1)
    surrogate = ((weights @ v) * grad_output).sum() - (weights.sum(-1) * mean).sum()
    return torch.autograd.grad(surrogate, (q, k, v))


def in_64_bits(*case):
    query, key, value, output, log_total, grad_output = (x.double() for x in case[:-1])
    scores = (query @ key.T / math.sqrt(query.shape[1])).masked_fill(~case[-1], -torch.inf)
    log_total = log_total.masked_fill(log_total.isinf(), 0.0)
    weights = (scores - log_total[:, None]).exp()
    grad_scores = weights * ((grad_output @ value.T) - (grad_output * output).sum(-1, keepdim=True))
    grad_scores /= math.sqrt(query.shape[1])
    return grad_scores @ key, grad_scores.T @ query, weights.T @ grad_output


def by_einsum(query, key, value, output, log_total, grad_output, allowed):
    scaled = query / query.shape[1] ** 0.5
    weights = (torch.einsum("qd,kd->qk", scaled, key) - log_total[:, None]).exp()
    weights = torch.where(allowed, weights, torch.zeros(()))
    differences = value[None] - output[:, None]
    grad = weights * torch.einsum("qv,qkv->qk", grad_output, differences)
    grad_query = torch.einsum("qk,kd->qd", grad, key) / query.shape[1] ** 0.5
    return grad_query, torch.einsum("qk,qd->kd", grad, scaled), weights.T @ grad_output


def by_numpy(*case):
    query, key, value, output, log_total, grad_output, allowed = (x.numpy() for x in case)
    root = np.sqrt(query.shape[1])
    with np.errstate(over="ignore"):
        weights = np.where(allowed, np.exp(query @ key.T / root - log_total[:, None]), 0)
    mean = (grad_output * output).sum(1, keepdims=True)
    grad = weights * (grad_output @ value.T - mean) / root
    return grad @ key, grad.T @ query, weights.T @ grad_output


OTHER_WAYS = [by_loops, by_autograd, in_64_bits, by_einsum, by_numpy]


# Wrong ways, written as a learner writes them.


def through_its_own_softmax(query, key, value, output, log_total, grad_output, allowed):
    q, k, v = (x.clone().requires_grad_() for x in (query, key, value))
    out = attend(q[None], k[None], v[None], allowed[None])[0]
    return torch.autograd.grad(out, (q, k, v), grad_output)


def backward(query, key, value, output, log_total, grad_output, allowed, *, mean="all", **flags):
    root = math.sqrt(query.shape[1])
    weights = (query @ key.T / root - log_total[:, None]).exp()
    if flags.get("masked", True):
        weights = weights.masked_fill(~allowed, 0.0)
    grad_weights = grad_output @ value.T
    if mean == "own":
        output = weights @ value
    if mean == "no":
        output = 0 * output
    grad = weights * (grad_weights - (grad_output * output).sum(-1, keepdim=True))
    if flags.get("scaled", True):
        grad = grad / root
    return grad @ key, grad.T @ query, weights.T @ grad_output


NEAR_MISSES = [
    ("softmax_of_block", through_its_own_softmax),
    ("mean_forgotten", lambda *case: backward(*case, mean="no")),
    ("mean_of_block", lambda *case: backward(*case, mean="own")),
    ("scale_forgotten", lambda *case: backward(*case, scaled=False)),
    ("mask_forgotten", lambda *case: backward(*case, masked=False)),
]


# Right on small numbers, and NaN on others: no mistake is named.


def masked_before(query, key, value, output, log_total, grad_output, allowed):
    """Subtract minus infinity from minus infinity where a query may see nothing at all."""
    scores = (query @ key.T / math.sqrt(query.shape[1])).masked_fill(~allowed, -torch.inf)
    weights = (scores - log_total[:, None]).exp()
    grad = weights * (grad_output @ value.T - (grad_output * output).sum(-1, keepdim=True))
    grad = grad / math.sqrt(query.shape[1])
    return grad @ key, grad.T @ query, weights.T @ grad_output


def by_plain_powers(query, key, value, output, log_total, grad_output, allowed):
    scores = query @ key.T / math.sqrt(query.shape[1])
    weights = torch.where(allowed, scores.exp() / log_total.exp()[:, None], 0.0)
    grad = weights * (grad_output @ value.T - (grad_output * output).sum(-1, keepdim=True))
    grad = grad / math.sqrt(query.shape[1])
    return grad @ key, grad.T @ query, weights.T @ grad_output


@pytest.mark.parametrize("answer", [masked_before, by_plain_powers])
def test_what_is_no_number_is_said_and_not_named(answer):
    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and verdict.mistake is None
    assert verdict.message.startswith("Your result has NaN"), verdict.message


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    """Two blocks of one key, with scores of 0 and values of 0 and 4."""
    one = torch.ones(1, 1)
    case = [0 * one, one, 4 * one, 2 * one, torch.tensor([2.0]).log(), one, one.bool()]
    grad_query, grad_key, grad_value = block_gradients(*case)
    assert (float(grad_query), float(grad_key), float(grad_value)) == pytest.approx((1, 0, 0.5))


@pytest.mark.parametrize("world", [1, 2, 5])
def test_all_blocks_together_give_the_gradients_of_attention(world):
    generator = torch.Generator().manual_seed(0)
    query, key, value, grad_output = (
        torch.randn(n, d, generator=generator, dtype=torch.float64)
        for n, d in ((7, 3), (11, 3), (11, 2), (7, 2))
    )
    allowed = torch.rand(7, 11, generator=generator) > 0.3
    scores = (query @ key.T / math.sqrt(3)).masked_fill(~allowed, -torch.inf)
    leaves = [nn.Parameter(x) for x in (query, key, value)]
    output = attend(*(x[None] for x in leaves), allowed[None])[0]
    expected = torch.autograd.grad(output, leaves, grad_output)
    parts = [
        block_gradients(query, k, v, output.detach(), scores.logsumexp(-1), grad_output, seen)
        for k, v, seen in zip(
            key.tensor_split(world),
            value.tensor_split(world),
            allowed.tensor_split(world, 1),
            strict=True,
        )
    ]
    grad_query, grad_key, grad_value = zip(*parts, strict=True)
    torch.testing.assert_close(sum(grad_query), expected[0])
    torch.testing.assert_close(torch.cat(grad_key), expected[1])
    torch.testing.assert_close(torch.cat(grad_value), expected[2])


def test_a_query_sees_nothing_of_a_block_and_another_nothing_at_all():
    assert any(bool((~case[-1].any(-1) & case[4].isfinite()).any()) for case in EXERCISE.cases())
    assert any(bool(case[4].isinf().any()) for case in EXERCISE.cases())


def test_a_gradient_of_a_query_that_sees_nothing_breaks_the_law():
    def answer(*case):
        grad_query, *others = block_gradients(*case)
        return (grad_query + (~case[-1].any(-1))[:, None], *others)

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "may see no key of the block" in verdict.message
