import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.efficient_attention.ex22_2_running_sums import EXERCISE, linear_attention
from minattn.exercises.judging import judge

# Other right ways: running sums, cumulative sums, a triangle, blocks, NumPy.


def token_by_token(query, key, value):
    q, k = F.elu(query) + 1, F.elu(key) + 1
    state = torch.zeros(key.shape[1], value.shape[1])
    normaliser = torch.zeros(key.shape[1])
    out = []
    for t in range(len(query)):
        state = state + torch.outer(k[t], value[t])
        normaliser = normaliser + k[t]
        out.append(q[t] @ state / (q[t] @ normaliser))
    return torch.stack(out)


def by_cumulative_sums(query, key, value):
    q, k = F.elu(query) + 1, F.elu(key) + 1
    states = (k[:, :, None] * value[:, None, :]).cumsum(0)
    above = torch.einsum("td,tdv->tv", q, states)
    return above / (q * k.cumsum(0)).sum(-1, keepdim=True)


def by_a_triangle(query, key, value):
    q, k = (torch.where(x > 0, x + 1, x.exp()) for x in (query, key))
    products = (q @ k.T).tril()
    return (products @ value) / products.sum(1)[:, None]


def with_a_value_of_1(query, key, value):
    """Let one more column count the features: the normaliser is one of the values."""
    q, k = F.elu(query) + 1, F.elu(key) + 1
    wide = torch.cat([value, torch.ones(len(value), 1)], dim=1)
    state = torch.zeros(k.shape[1], wide.shape[1])
    rows = []
    for q_t, k_t, v_t in zip(q, k, wide, strict=True):
        state = state + k_t[:, None] * v_t
        rows.append(q_t @ state)
    rows = torch.stack(rows)
    return rows[:, :-1] / rows[:, -1:]


def by_numpy(query, key, value):
    q, k = (np.where(x > 0, x + 1, np.exp(x)) for x in (query.numpy(), key.numpy()))
    v = value.numpy()
    rows = []
    for t in range(len(q)):
        weights = k[: t + 1] @ q[t]
        rows.append(weights @ v[: t + 1] / weights.sum())
    return np.array(rows)


OTHER_WAYS = [token_by_token, by_cumulative_sums, by_a_triangle, with_a_value_of_1, by_numpy]


# Wrong ways, written as a learner writes them.


def run(query, key, value, *, add_first=True, divide=True, features=(True, True), keep=False):
    q = F.elu(query) + 1 if features[0] else query
    k = F.elu(key) + 1 if features[1] else key
    state, normaliser = torch.zeros(key.shape[1], value.shape[1]), torch.zeros(key.shape[1])
    if keep:
        normaliser = k.sum(0)
    out = []
    for t in range(len(query)):
        if not add_first:
            out.append(q[t] @ state / (q[t] @ normaliser if divide else 1))
        state = state + torch.outer(k[t], value[t])
        normaliser = normaliser if keep else normaliser + k[t]
        if add_first:
            out.append(q[t] @ state / (q[t] @ normaliser if divide else 1))
    return torch.stack(out)


def of_all_tokens(query, key, value):
    q, k = F.elu(query) + 1, F.elu(key) + 1
    return (q @ (k.T @ value)) / (q @ k.sum(0))[:, None]


def with_relu(query, key, value):
    q, k = query.relu(), key.relu()
    products = (q @ k.T).tril()
    return (products @ value) / products.sum(-1, keepdim=True)


def attend(query, key, value):
    scores = query @ key.T / query.shape[1] ** 0.5
    return (scores + torch.full_like(scores, -torch.inf).triu(1)).softmax(-1) @ value


NEAR_MISSES = [
    ("not_normalised", lambda *case: run(*case, divide=False)),
    ("other_normaliser", lambda *case: run(*case, keep=True)),
    ("read_too_early", lambda *case: run(*case, add_first=False)),
    ("not_causal", of_all_tokens),
    ("features_missing", lambda *case: run(*case, features=(True, False))),
    ("features_missing", lambda *case: run(*case, features=(False, True))),
    ("features_missing", lambda *case: run(*case, features=(False, False))),
    ("other_features", with_relu),
    ("softmax", attend),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    query = torch.zeros(2, 1)
    key = torch.tensor([[0.0], [2.0]])
    value = torch.tensor([[8.0], [4.0]])
    torch.testing.assert_close(linear_attention(query, key, value), torch.tensor([[8.0], [5.0]]))


def test_numbers_below_0_and_above_are_in_queries_and_keys():
    for query, key, _ in EXERCISE.cases():
        for x in (query, key):
            assert bool((x < 0).any()) and bool((x > 0).any())


def test_without_features_the_sum_can_be_of_either_sign():
    sums = torch.cat([(query @ key.T).tril().sum(-1) for query, key, _ in EXERCISE.cases()])
    assert bool((sums < 0).any()) and bool((sums > 0).any())
    assert float(sums.abs().min()) > 0.01  # so that no result hangs on rounding


def test_a_change_of_later_tokens_changes_nothing():
    query, key, value = EXERCISE.cases()[-1]
    out = linear_attention(query, key, value)
    key[4:], value[4:] = 1.0, 7.0
    torch.testing.assert_close(linear_attention(query, key, value)[:4], out[:4])


def test_an_output_beyond_all_values_breaks_the_law():
    def answer(*case):
        out = linear_attention(*case)
        out[1:] += 9
        return out

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "between the least and the largest" in verdict.message
