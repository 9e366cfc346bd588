import numpy as np
import pytest
import torch

from minattn.exercises.explanation.ex21_1_rollout import EXERCISE, rollout
from minattn.exercises.judging import judge

# Other right ways: a walk, rows divided at the end, NumPy, sums over paths.


def rollout_step_by_step(weights):
    shares = torch.eye(weights.shape[-1])
    for layer in weights:
        shares = 0.5 * shares + 0.5 * (layer.mean(0) @ shares)
    return shares


def rollout_divided_at_the_end(weights):
    product = torch.eye(weights.shape[-1])
    for layer in weights.mean(1):
        product = layer @ product + product
    return product / product.sum(-1, keepdim=True)


def rollout_numpy(weights):
    tables = (weights.numpy().mean(1) + np.eye(weights.shape[-1])) / 2
    return np.linalg.multi_dot(tables[::-1]) if len(tables) > 1 else tables[0]


def rollout_over_heads(weights):
    """Average after multiplying: the product is linear in the table of each layer."""
    shares = torch.eye(weights.shape[-1])
    for layer in weights:
        shares = torch.stack([(head + torch.eye(len(head))) / 2 @ shares for head in layer]).mean(0)
    return shares


def rollout_from_above(weights):
    rows = torch.eye(weights.shape[-1])
    for layer in weights.flip(0):
        rows = (rows + torch.einsum("ij,hjk->ik", rows, layer) / layer.shape[0]) / 2
    return rows


OTHER_WAYS = [
    rollout_step_by_step,
    rollout_divided_at_the_end,
    rollout_numpy,
    rollout_over_heads,
    rollout_from_above,
]


# Wrong ways, written as a learner writes them.


def upside_down(weights):
    out = torch.eye(weights.shape[-1])
    for layer in weights:
        out = out @ (0.5 * layer.mean(0) + 0.5 * torch.eye(weights.shape[-1]))
    return out


def weights_alone(weights):
    out = weights[0].mean(0)
    for layer in weights[1:]:
        out = layer.mean(0) @ out
    return out


def twice_as_much(weights):
    out = torch.eye(weights.shape[-1])
    for layer in weights:
        out = layer.mean(0) @ out + out
    return out


def each_head_for_itself(weights):
    n = weights.shape[-1]
    total = torch.zeros(n, n)
    for h in range(weights.shape[1]):
        out = torch.eye(n)
        for layer in weights:
            out = (layer[h] + torch.eye(n)) / 2 @ out
        total += out / weights.shape[1]
    return total


def with_a_star(weights):
    out = torch.ones(weights.shape[-2:])
    for layer in weights:
        out = out * (layer.mean(0) + torch.eye(weights.shape[-1])) / 2
    return out


def the_last_layer(weights):
    return weights.mean(1)[-1]


NEAR_MISSES = [
    ("wrong_order", upside_down),
    ("no_residual", weights_alone),
    ("not_halved", twice_as_much),
    ("heads_apart", each_head_for_itself),
    ("element_by_element", with_a_star),
    ("one_table", the_last_layer),
    ("transposed", lambda weights: rollout_step_by_step(weights).mT),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    first = torch.tensor([[0.2, 0.8], [0.0, 1.0]])
    last = torch.tensor([[1.0, 0.0], [0.4, 0.6]])
    out = rollout(torch.stack([first, last])[:, None])
    torch.testing.assert_close(out, torch.tensor([[0.6, 0.4], [0.12, 0.88]]))


def test_where_a_token_cannot_look_it_has_nothing():
    (weights,) = EXERCISE.cases()[1]
    assert float(rollout(weights).triu(1).abs().max()) == 0


def test_rows_that_do_not_sum_to_1_break_the_law():
    verdict = judge(EXERCISE, lambda weights: 3 * rollout(weights))
    assert verdict.kind == "wrong" and "sums to 1" in verdict.message


@pytest.mark.parametrize("case", EXERCISE.cases())
def test_rows_sum_to_1(case):
    torch.testing.assert_close(rollout(*case).sum(-1), torch.ones(case[0].shape[-1]))
