"""Chapter 3: more right ways to write its exercises, and wrong ones as learners write them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.core import judge, same
from minattn.exercises.queries_keys_values import BROKEN, EXERCISES, SOUND
from minattn.training import seeded

EXERCISE = {exercise.number: exercise for exercise in EXERCISES}
INF = math.inf


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def attention_loop(query, key, value):
    out = []
    for q in query.tolist():
        scores = [sum(a * b for a, b in zip(q, k, strict=True)) / len(q) ** 0.5 for k in key]
        powers = [math.exp(s) for s in scores]
        out.append(sum(p / sum(powers) * v for p, v in zip(powers, value, strict=True)))
    return torch.stack(out)


def attention_numpy(query, key, value):
    q, k, v = (x.numpy().astype(float) for x in (query, key, value))
    e = np.exp(np.einsum("qd,kd->qk", q, k) / np.sqrt(q.shape[1]))
    return (e / e.sum(1, keepdims=True)) @ v


def attention_scaled_before(query, key, value):
    scores = (query / query.shape[1] ** 0.25) @ (key / key.shape[1] ** 0.25).T
    e = (scores - scores.amax(1, keepdim=True)).exp()
    return torch.einsum("qk,kv->qv", e, value) / e.sum(1)[:, None]


def masks_loop(tokens):
    out = torch.zeros(*tokens.shape, tokens.shape[1], dtype=torch.bool)
    for b, row in enumerate(tokens.tolist()):
        for i in range(len(row)):
            for j in range(i + 1):
                out[b, i, j] = row[j]
    return out


def masks_by_position(tokens):
    position = np.arange(tokens.shape[1])
    return (position[None, :] <= position[:, None])[None] & tokens.numpy()[:, None]


def masks_forbidden(tokens):
    seq = tokens.shape[1]
    future = torch.triu(torch.ones(seq, seq), diagonal=1).bool()
    return ~(future | ~tokens.unsqueeze(1))


def masks_product(tokens):
    seq = tokens.shape[1]
    return (torch.tril(torch.ones(seq, seq)) * tokens.unsqueeze(1).float()) == 1


def bias_indexed(allowed):
    bias = torch.zeros(allowed.shape, dtype=torch.float64)
    bias[~allowed] = float("-inf")
    return bias


def cross_loop(decoder, encoder, w_q, w_k, w_v):
    keys, values = [x @ w_k for x in encoder], [x @ w_v for x in encoder]
    out = []
    for step in decoder:
        q = step @ w_q
        weights = torch.stack([q @ k for k in keys]).div(len(q) ** 0.5).softmax(0)
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)))
    return torch.stack(out)


def cross_merged(decoder, encoder, w_q, w_k, w_v):
    scores = decoder.double() @ w_q.double() @ w_k.double().T @ encoder.double().T
    return (scores / w_k.shape[1] ** 0.5).softmax(-1) @ encoder.double() @ w_v.double()


def gradient_autograd(weights, grad_weights):
    scores = weights.log().requires_grad_()
    scores.softmax(-1).backward(grad_weights)
    return scores.grad


def gradient_jacobian(weights, grad_weights):
    jacobian = torch.diag_embed(weights) - torch.einsum("qi,qj->qij", weights, weights)
    return torch.einsum("qij,qj->qi", jacobian, grad_weights)


def gradient_numpy(weights, grad_weights):
    w, g = weights.numpy().astype(float), grad_weights.numpy().astype(float)
    return np.stack([a * b - a * (a @ b) for a, b in zip(w, g, strict=True)])


def gradient_differences(weights, grad_weights):
    scores = weights.double().clamp(min=1e-30).log()
    out = torch.zeros_like(scores)
    for j in range(scores.shape[1]):
        bump = 1e-6 * torch.eye(scores.shape[1]).double()[j]
        rise = (scores + bump).softmax(-1) - (scores - bump).softmax(-1)
        out[:, j] = (rise * grad_weights).sum(-1) / 2e-6
    return out


def merged_words(w_q, w_k):
    words = torch.eye(len(w_q))
    return (words @ w_q) @ (words @ w_k).T / math.sqrt(w_q.shape[1])


def merged_roots(w_q, w_k):
    root = w_q.shape[1] ** 0.25
    return np.einsum("ia,ja->ij", w_q.numpy() / root, w_k.numpy() / root)


def obeys_identity(attend):
    weights = attend(torch.randn(3, 5, 4), torch.randn(3, 6, 4), torch.eye(6).expand(3, 6, 6))
    return bool(((weights.sum(-1) - 1).abs() < 1e-3).all())


def obeys_shift(attend):
    query, key, value = torch.randn(4, 4), torch.randn(4, 4), torch.randn(4, 4)
    return torch.allclose(attend(query, key, value + 3), attend(query, key, value) + 3, atol=1e-3)


def obeys_numpy(attend):
    query, key = torch.randn(2, 3, 8).double(), torch.randn(2, 5, 8).double()
    output = attend(query, key, value=torch.full((2, 5, 2), 4.0).double())
    return np.allclose(output.numpy(), 4.0)


def obeys_many_times(attend):
    for _ in range(20):
        output = attend(torch.randn(1, 8, 2), torch.randn(1, 3, 2), torch.ones(1, 3, 4))
        if (output - 1).abs().max() > 1e-4:
            return False
    return True


def obeys_range(attend):
    """A range is enough where it is narrow and far from 0."""
    value = 100 + torch.rand(1, 6, 2)
    output = attend(torch.randn(1, 4, 3), torch.randn(1, 6, 3), value)
    return bool(output.min() >= 100 - 1e-3) and bool(output.max() <= 101 + 1e-3)


def regression_both_lengths(attend, query, key, value, bandwidth):
    """Write out the whole square, with the part of the query too."""
    of_q, of_k = (x.pow(2).sum(1, keepdim=True) for x in (query, key))
    queries = torch.cat([2 * query, -of_q, -torch.ones_like(of_q)], 1) / (2 * bandwidth**2)
    keys = torch.cat([key, torch.ones_like(of_k), of_k], 1)
    return attend(queries * math.sqrt(queries.shape[1]), keys, value)


def regression_scaled_first(attend, query, key, value, bandwidth):
    q, k = query / bandwidth, key / bandwidth
    beside = -0.5 * torch.stack([row @ row for row in k])[:, None]
    root = (query.shape[1] + 1) ** 0.25
    queries = torch.cat([q, torch.ones(len(q), 1)], dim=1) * root
    return attend(queries, torch.cat([k, beside], dim=1) * root, value)


def regression_padded(attend, query, key, value, bandwidth):
    """Widen to 16 numbers, whose root is 4, and measure from the mean of the keys."""
    query, key = query - key.mean(0), key - key.mean(0)
    d = query.shape[1]
    queries, keys = torch.zeros(len(query), 16), torch.zeros(len(key), 16)
    queries[:, :d], queries[:, d] = 4 * query / bandwidth**2, -2 / bandwidth**2
    keys[:, :d], keys[:, d] = key, (key**2).sum(1)
    return attend(queries, keys, value)


OTHER_WAYS = {
    "3.1": [
        attention_loop,
        attention_numpy,
        attention_scaled_before,
        F.scaled_dot_product_attention,
        lambda q, k, v: (k @ q.T / q.shape[1] ** 0.5).softmax(0).T @ v,
    ],
    "3.2": [masks_loop, masks_by_position, masks_forbidden, masks_product],
    "3.3": [
        bias_indexed,
        lambda m: m.float().log(),
        lambda m: np.where(m.numpy(), 0.0, -np.inf),
        lambda m: torch.zeros_like(m, dtype=torch.float).masked_fill(m.logical_not(), -INF),
        lambda m: 1 - 1 / m.float(),
    ],
    "3.4": [
        cross_loop,
        cross_merged,
        lambda d, e, q, k, v: F.scaled_dot_product_attention(d @ q, e @ k, e @ v),
        lambda d, e, q, k, v: attention_numpy(d @ q, e @ k, e @ v),
    ],
    "3.5": [gradient_autograd, gradient_jacobian, gradient_numpy, gradient_differences],
    "3.6": [merged_words, merged_roots],
    "3.7": [obeys_identity, obeys_shift, obeys_numpy, obeys_many_times, obeys_range],
    "3.8": [regression_both_lengths, regression_scaled_first, regression_padded],
}


# Written as a learner writes them: wrong answers, also some that stop with an error.


def attention_first_key(query, key, value):
    scores = torch.matmul(key, query.T) / math.sqrt(query.size(-1))
    return torch.matmul(F.softmax(scores, dim=-1), value)


def attention_tokens_as_width(query, key, value):
    n, _ = key.shape
    return F.softmax(query @ key.transpose(0, 1) / np.sqrt(n), dim=-1) @ value


def attention_sum_of_exponentials(query, key, value):
    e = torch.exp(query @ key.T / query.shape[1] ** 0.5)
    return (e / torch.sum(e)) @ value


def masks_strictly_before(tokens):
    position = torch.arange(tokens.shape[1])
    return (position < position[:, None]) & tokens[:, None]


def masks_of_multihead(tokens):
    return torch.triu(torch.ones(tokens.shape[1], tokens.shape[1]), 1).bool() | ~tokens[:, None]


def masks_generated(tokens):
    causal = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
    padding = torch.zeros(tokens.shape).masked_fill(~tokens, -INF)
    return causal + padding[:, None]


def masks_by_rows(tokens):
    causal = torch.ones(tokens.shape[1], tokens.shape[1]).tril().bool()
    return torch.stack([causal & row.unsqueeze(-1) for row in tokens])


def bias_not_kept(allowed):
    bias = torch.zeros(allowed.shape)
    bias.masked_fill(~allowed, -INF)
    return bias


def bias_half_of_a_tutorial(allowed):
    return allowed.float().masked_fill(allowed == 0, float("-inf"))


def bias_of_truth(allowed):
    return torch.zeros_like(allowed).masked_fill(~allowed, float("-inf"))


def gradient_loop_without_others(weights, grad_weights):
    out = torch.zeros_like(weights)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            out[i, j] = grad_weights[i, j] * weights[i, j] * (1 - weights[i, j])
    return out


def gradient_through_weights(weights, grad_weights):
    w = weights.clone().requires_grad_()
    w.softmax(dim=-1).backward(grad_weights)
    return w.grad


def seen_by(n_queries=5, n_keys=7, look=lambda output: output, tolerance=1e-4):
    """Make a test with equal values that differs from the right one in one thing."""

    def test(attend):
        query, key = torch.randn(n_queries, 4), torch.randn(n_keys, 4)
        output = look(attend(query, key, torch.ones(n_keys, 2)))
        return torch.allclose(output, torch.ones_like(output), atol=tolerance)

    return test


def obeys_its_shape(attend):
    return attend(torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)).shape == (5, 2)


def obeys_torch(attend):
    query, key, value = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    right = F.scaled_dot_product_attention(query, key, value)
    return torch.allclose(attend(query, key, value), right, atol=1e-4)


def obeys_with_zeros(attend):
    return bool((attend(torch.randn(5, 3), torch.randn(7, 3), torch.zeros(7, 2)) == 0).all())


def obeys_between(attend):
    value = torch.randn(7, 2)
    output = attend(torch.randn(5, 3), torch.randn(7, 3), value)
    return bool(output.max() <= value.max()) and bool(output.min() >= value.min())


def obeys_upwards(attend):
    output = attend(torch.randn(5, 3), torch.randn(7, 3), torch.ones(7, 2))
    return bool((output < 1.001).all())


def obeys_by_columns(attend):
    weights = attend(torch.randn(5, 3), torch.randn(7, 3), torch.eye(7))
    return torch.allclose(weights.sum(0), torch.ones(7), atol=1e-4)


def obeys_for_equal_queries(attend):
    output = attend(torch.randn(1, 3).expand(6, 3), torch.randn(6, 3), torch.ones(6, 2))
    return torch.allclose(output, torch.ones(6, 2), atol=1e-4)


def obeys_when_asked_alone(attend):
    query, key, value = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    together = attend(query, key, value)
    return all(
        torch.allclose(together[[i]], attend(query[[i]], key, value), atol=1e-4) for i in range(5)
    )


def obeys_queries_reordered(attend):
    query, key, value = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7, 2)
    turned = attend(query.flip(0), key, value).flip(0)
    return torch.allclose(attend(query, key, value), turned, atol=1e-4)


def regression_distances(attend, query, key, value, bandwidth):
    scores = -(torch.cdist(query, key) ** 2) / (2 * bandwidth**2)
    return scores.softmax(-1) @ value


def regression_of_query_lengths(attend, query, key, value, bandwidth):
    """Put the length beside the wrong one: it cancels."""
    queries = torch.cat([query, -query.pow(2).sum(1, keepdim=True) / 2], 1)
    keys = torch.cat([key, torch.ones(len(key), 1)], 1)
    return attend(queries * math.sqrt(queries.shape[1]) / bandwidth**2, keys, value)


def regression_scaled(root):
    """Scale both by the bandwidth first, and undo some root."""

    def answer(attend, query, key, value, bandwidth):
        q, k = query / bandwidth, key / bandwidth
        queries = torch.cat([q, torch.ones(len(q), 1)], 1) * root(q.shape[1])
        return attend(queries, torch.cat([k, -k.pow(2).sum(1, keepdim=True) / 2], 1), value)

    return answer


NEAR_MISSES = [
    ("3.1", "table_transposed", attention_first_key),
    ("3.1", "scaled_by_length", attention_tokens_as_width),
    ("3.1", "over_all", attention_sum_of_exponentials),
    ("3.1", "key_not_transposed", lambda q, k, v: F.softmax(torch.matmul(q, k), dim=-1) @ v),
    ("3.1", "scaled_after_softmax", lambda q, k, v: (q @ k.T).softmax(-1) / q.shape[1] ** 0.5 @ v),
    ("3.2", "strict_triangle", masks_strictly_before),
    ("3.2", "inverted", masks_of_multihead),
    ("3.2", "bias", masks_generated),
    ("3.2", "padding_on_rows", masks_by_rows),
    ("3.2", "causal_only", lambda t: torch.ones(t.shape[1], t.shape[1]).tril() > 0),
    ("3.2", "no_new_axis", lambda t: torch.ones(t.shape[1], t.shape[1]).tril().bool() * t),
    ("3.2", "numbers_joined", lambda t: torch.ones(t.shape[1], t.shape[1]).tril() & t[:, None]),
    ("3.3", "inverted", lambda m: (~m).float().log()),
    ("3.3", "nan", lambda m: ~m * -INF),
    ("3.3", "bool_arithmetic", lambda m: (1 - m) * -1e9),
    ("3.3", "finite", lambda m: (m.float() - 1) * 1e9),
    ("3.3", "finite", lambda m: ((1 - m.float()) * -INF).nan_to_num(0.0)),
    ("3.3", "finite", lambda m: (m + 1e-9).log()),
    ("3.3", "ones_and_zeros", lambda m: m.int()),
    ("3.3", "nothing_filled", bias_not_kept),
    ("3.3", "allowed_not_zero", bias_half_of_a_tutorial),
    ("3.3", "still_bool", bias_of_truth),
    (
        "3.4",
        "encoder_asks",
        lambda d, e, q, k, v: F.scaled_dot_product_attention(e @ q, d @ k, d @ v),
    ),
    ("3.4", "not_as_stored", lambda d, e, q, k, v: F.linear(d, q) @ F.linear(e, k).T),
    ("3.5", "diagonal_only", gradient_loop_without_others),
    ("3.5", "softmax_again", gradient_through_weights),
    ("3.5", "no_keepdim", lambda w, g: w * (g - torch.diag(w @ g.T))),
    (
        "3.5",
        "mean_added",
        lambda w, g: ((torch.diag_embed(w) + w[:, :, None] * w[:, None]) @ g[..., None])[..., 0],
    ),
    ("3.6", "divided_by_width", lambda q, k: (q / q.shape[1] ** 0.5) @ (k / k.shape[1] ** 0.5).T),
    ("3.6", "wrong_way_round", lambda q, k: torch.einsum("ik,il->kl", q, k)),
    ("3.7", "always_true", obeys_its_shape),
    ("3.7", "always_true", obeys_with_zeros),
    ("3.7", "one_formula", obeys_torch),
    ("3.7", "range_only", obeys_between),
    ("3.7", "range_only", obeys_upwards),
    ("3.7", "too_loose", seen_by(tolerance=0.15)),
    ("3.7", "column_sums", obeys_by_columns),
    ("3.7", "on_average", seen_by(6, 6, look=torch.mean)),
    ("3.7", "on_average", seen_by(5, 7, look=torch.mean)),
    ("3.7", "wrong_axis_hidden", obeys_for_equal_queries),
    ("3.7", "one_query", seen_by(1, 7)),
    ("3.7", "one_key", seen_by(5, 1)),
    ("3.7", "one_key", seen_by(7, 5, look=lambda output: output[-1])),
    ("3.7", "one_of_each", seen_by(1, 1)),
    ("3.7", "query_alone", obeys_when_asked_alone),
    ("3.7", "reordered", obeys_queries_reordered),
    ("3.8", "attend_not_used", regression_distances),
    ("3.8", "length_forgotten", regression_of_query_lengths),
    ("3.8", "old_width", regression_scaled(lambda d: d**0.5)),
    ("3.8", "scale_not_undone", regression_scaled(lambda d: 1.0)),
    ("3.8", "undone_without_root", regression_scaled(lambda d: d + 1.0)),
]


@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISE[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISE[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


def test_a_near_miss_with_other_errors_is_named_where_no_shape_complains():
    """As many words on both sides come first, so that the writing of what fails later is no matter."""

    def keys_of_decoder(decoder, encoder, w_q, w_k, w_v):
        scores = torch.einsum("td,sd->ts", decoder @ w_q, decoder @ w_k) / w_q.shape[1] ** 0.5
        return torch.einsum("ts,sv->tv", scores.softmax(-1), encoder @ w_v)

    assert judge(EXERCISE["3.4"], keys_of_decoder).mistake == "keys_from_decoder"


@pytest.mark.parametrize("number", EXERCISE)
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    """On at least one input, any two that are not the same mistake differ a hundred times the tolerance."""
    exercise = EXERCISE[number]
    cases = exercise.cases()

    def outputs(answer):
        out = []
        for case in cases:
            try:
                out.append(answer(*case))
            except Exception as error:
                out.append(type(error).__name__ + str(error))
        return out

    known = [("solution", outputs(exercise.solution))]
    known += [(m.name, outputs(answer)) for m in exercise.mistakes for answer in m.answers]
    for i, (name, ours) in enumerate(known):
        for other, theirs in known[:i]:
            near = all(
                same(a, b, 100 * exercise.tolerance) for a, b in zip(ours, theirs, strict=True)
            )
            assert name == other or not near, (name, other)


def test_a_law_is_obeyed_with_a_batch_axis_and_without():
    """The task has one; whoever tries without gets the same verdicts."""
    for black_box in (*SOUND, *BROKEN):
        with seeded(0):
            flat = seen_by()(black_box)
            query, key = torch.randn(2, 5, 4), torch.randn(2, 7, 4)
        batched = black_box(query, key, torch.ones(2, 7, 2))
        with_batch = torch.allclose(batched, torch.ones(2, 5, 2), atol=1e-4)
        assert flat == with_batch == (black_box in SOUND), black_box


def test_a_law_answer_is_told_which_attend_it_misjudges():
    def rejects_causal(attend):
        return obeys_shift(attend) and "causal attention" not in repr(attend)

    verdict = judge(EXERCISE["3.7"], rejects_causal)
    assert verdict.kind == "wrong"
    assert (
        "Input: attend = causal attention; its weights sum to 1, but for rounding"
        in verdict.message
    )


def test_a_wrong_shape_is_said():
    verdict = judge(EXERCISE["3.1"], lambda q, k, v: attend(q, k, v).T)
    assert verdict.message.startswith("The result has shape (7, 2), it should have (2, 7).")
