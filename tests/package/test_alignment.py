import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn import dot_product
from minattn.alignment import (
    AdditiveAttention,
    MultiplicativeAttention,
    WeightDropout,
    additive_scores,
    alignment_accuracy,
    attention_weights,
    dot_scores,
    entropy,
    gaussian_scores,
    hard,
    masked_softmax,
    uniform_attention,
    weighted_sum,
    with_temperature,
)
from tests.package.strategies import (
    EVERY,
    EXACT,
    ROUNDING,
    WEIGHTED,
    attention_inputs,
    built,
    dot_attention,
    gaussian_attention,
    normal,
)

# Distinct primes for the twins: batch, queries, keys, d_query, d_key, d_hidden, d_value.
B, Q, K, D_Q, D_K, D_H, D_V = 2, 3, 5, 7, 11, 13, 17
QUERY, KEY, VALUE = normal(B, Q, D_Q, seed=1), normal(B, K, D_K, seed=2), normal(B, K, D_V, seed=3)
MASK = torch.tensor(
    [
        [[1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]],
        [[0, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]],  # the middle query is blind
    ]
).bool()
MASKS = {"no mask": None, "one for all queries": MASK[:, :1], "one for each query": MASK}

weighted = pytest.mark.parametrize("make", WEIGHTED.values(), ids=WEIGHTED)
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
masks = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def additive():
    return built(lambda: AdditiveAttention(D_Q, D_K, D_H))


def multiplicative(*temperature):
    return built(lambda: MultiplicativeAttention(D_Q, D_K, *temperature))


def reference_attention(score, query, key, value, mask):
    """Attend with nothing but sums over plain numbers; `score` takes one query and one key."""
    output = torch.zeros(B, Q, value.shape[-1]).double()
    for b in range(B):
        for i in range(Q):
            row = MASK[b, 2] if mask is None else mask[b, i % mask.shape[1]]
            allowed = [j for j in range(K) if mask is None or row[j]]
            powers = {j: math.exp(score(query[b, i].tolist(), key[b, j].tolist())) for j in allowed}
            for j in allowed:
                output[b, i] += powers[j] / sum(powers.values()) * value[b, j]
    return output


def dot(u, v):
    return sum(x * y for x, y in zip(u, v, strict=True))


def distance(u, v):
    return sum((x - y) ** 2 for x, y in zip(u, v, strict=True))


def reference_score(attend):
    """Return the score of one query and one key, written from the paper's formula."""
    weights = {name: p.tolist() for name, p in attend.named_parameters()}

    def additive_score(q, k):
        total = 0.0
        for h in range(D_H):
            u_k = dot(weights["k_proj.weight"][h], k) + weights["k_proj.bias"][h]
            total += weights["v"][h] * math.tanh(dot(weights["q_proj.weight"][h], q) + u_k)
        return total

    def multiplicative_score(q, k):
        projected = [dot(row, k) for row in weights["k_proj.weight"]]
        return dot(q, projected) / attend.temperature

    return additive_score if isinstance(attend, AdditiveAttention) else multiplicative_score


# Twins


layers = pytest.mark.parametrize(
    "make",
    [additive, multiplicative, lambda: multiplicative(0.3)],
    ids=["add", "mul", "mul/0.3"],
)


@masks
@layers
def test_an_attention_is_the_loop_over_its_formula(make, mask):
    attend = make()
    expected = reference_attention(reference_score(attend), QUERY, KEY, VALUE, mask)
    assert_close(attend(QUERY, KEY, VALUE, mask), expected, **ROUNDING)


@layers
def test_scores_hold_nothing_that_the_softmax_would_hide(make):
    # Added to all keys of a query alike, a bias would change no weight.
    attend = make()
    score, expected = reference_score(attend), torch.empty(B, Q, K).double()
    for b, i, j in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        expected[b, i, j] = score(QUERY[b, i].tolist(), KEY[b, j].tolist())
    assert_close(attend.scores(QUERY, KEY), expected, **ROUNDING)


@masks
def test_additive_attention_over_known_keys_is_the_same_for_queries_one_after_the_other(mask):
    attend = additive()
    inputs = [tensor.clone().requires_grad_() for tensor in (QUERY, KEY, VALUE)]
    sources = [*inputs, *attend.parameters()]
    over = attend.over(*inputs[1:], None if mask is None else mask[:, :1])
    apart = torch.cat([over(query) for query in inputs[0].split(1, dim=1)], dim=1)
    together = attend(*inputs, None if mask is None else mask[:, :1])
    assert_close(apart, together, **ROUNDING)
    slope = normal(B, Q, D_V)
    for gradient, twin in zip(
        torch.autograd.grad(apart, sources, slope),
        torch.autograd.grad(together, sources, slope),
        strict=True,
    ):
        assert_close(gradient, twin, **ROUNDING)


def test_an_additive_attention_that_scores_in_another_way_does_so_over_known_keys():
    class Doubled(AdditiveAttention):
        def scores(self, query, key):
            return 2 * super().scores(query, key)

    attend = Doubled(d_query=D_Q, d_key=D_K, d_hidden=5)
    query, key, value = (x.float() for x in (QUERY, KEY, VALUE))
    assert_close(attend.over(key, value)(query), attend(query, key, value))


@masks
def test_dot_attention_is_the_loop_over_its_formula(mask):
    key = normal(B, K, D_Q)
    expected = reference_attention(dot, QUERY, key, VALUE, mask)
    assert_close(dot_attention(QUERY, key, VALUE, mask), expected, **ROUNDING)


@masks
def test_gaussian_attention_is_the_loop_over_its_formula(mask):
    key = normal(B, K, D_Q)
    expected = reference_attention(
        lambda q, k: -distance(q, k) / (2 * 1.3**2), QUERY, key, VALUE, mask
    )
    output = gaussian_attention(QUERY, key, VALUE, mask, bandwidth=1.3)
    assert_close(output, expected, **ROUNDING)


@masks
def test_uniform_attention_is_the_mean_of_the_allowed_values(mask):
    expected = reference_attention(lambda q, k: 0.0, QUERY, KEY, VALUE, mask)
    assert_close(uniform_attention(QUERY, KEY, VALUE, mask), expected, **ROUNDING)


def test_gaussian_attention_is_the_kernel_regression_of_nadaraya_and_watson():
    x_seen, y_seen, x = (normal(n, seed=n).numpy() for n in (23, 23, 7))
    bandwidth = 0.4
    kernel = np.exp(-(((x[:, None] - x_seen[None, :]) / bandwidth) ** 2) / 2)
    kernel /= bandwidth * np.sqrt(2 * np.pi)
    expected = (kernel * y_seen).sum(axis=1) / kernel.sum(axis=1)
    column = [torch.tensor(a)[None, :, None] for a in (x, x_seen, y_seen)]
    output = gaussian_attention(*column, bandwidth=bandwidth)
    assert_close(output[0, :, 0], torch.tensor(expected), **ROUNDING)


@pytest.mark.parametrize(
    ("scores", "reference"),
    [
        (dot_scores, dot),
        (lambda q, k: gaussian_scores(q, k, 0.6), lambda q, k: -distance(q, k) / 0.72),
        (
            lambda q, k: additive_scores(q, k, torch.arange(7).double()),
            lambda q, k: sum(
                h * math.tanh(a + b) for h, (a, b) in enumerate(zip(q, k, strict=True))
            ),
        ),
    ],
    ids=["dot", "gaussian", "additive"],
)
def test_scores_are_the_loop_over_pairs_with_any_number_of_leading_axes(scores, reference):
    query, key = normal(2, 3, 5, 7), normal(2, 3, 11, 7, seed=1)
    expected = torch.empty(2, 3, 5, 11).double()
    for a, b, i, j in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        expected[a, b, i, j] = reference(query[a, b, i].tolist(), key[a, b, j].tolist())
    assert_close(scores(query, key), expected, **ROUNDING)


@masks
def test_the_masked_softmax_is_the_quotient_of_powers_over_the_allowed_keys(mask):
    scores = normal(B, Q, K)
    powers = scores.exp() if mask is None else scores.exp() * mask
    sums = powers.sum(-1, keepdim=True)
    expected = torch.where(sums > 0, powers / sums, 0.0)
    assert_close(masked_softmax(scores, mask), expected, **ROUNDING)


def test_the_masked_softmax_of_large_scores_does_not_overflow():
    scores = torch.tensor([[1000.0, 999.0, 5000.0], [-1000.0, -1001.0, 0.0]])
    mask = torch.tensor([[True, True, False]]).expand(2, 3)
    expected = torch.tensor([[math.e, 1.0, 0.0]]).expand(2, 3) / (math.e + 1)
    assert_close(masked_softmax(scores, mask), expected)


@masks
@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_a_temperature_divides_the_scores_of_any_attend(temperature, mask):
    for attend in (additive(), multiplicative()):
        scores = attend.scores(QUERY, KEY)
        expected = weighted_sum(masked_softmax(scores / temperature, mask), VALUE)
        output = with_temperature(attend, temperature)(QUERY, KEY, VALUE, mask)
        assert_close(
            output, expected, rtol=1e-8, atol=1e-10
        )  # a logarithm and back loses some digits


@masks
def test_the_temperature_of_multiplicative_attention_is_that_of_any_attend(mask):
    expected = with_temperature(multiplicative(), 0.3)(QUERY, KEY, VALUE, mask)
    assert_close(multiplicative(0.3)(QUERY, KEY, VALUE, mask), expected, rtol=1e-8, atol=1e-10)


@masks
def test_hard_attention_is_the_limit_of_a_small_temperature(mask):
    for attend in (additive(), multiplicative()):
        cold = with_temperature(attend, 1e-8)(QUERY, KEY, VALUE, mask)
        assert_close(hard(attend)(QUERY, KEY, VALUE, mask), cold, **ROUNDING)


@masks
def test_uniform_attention_is_the_limit_of_a_large_temperature(mask):
    hot = with_temperature(multiplicative(), 1e9)(QUERY, KEY, VALUE, mask)
    assert_close(hot, uniform_attention(QUERY, KEY, VALUE, mask), rtol=0, atol=1e-7)


def test_hard_attention_takes_the_allowed_key_with_the_largest_score_and_the_first_of_several():
    query = torch.ones(1, 1, 1)
    key = torch.tensor([[[9.0], [2.0], [5.0], [5.0]]])
    mask = torch.tensor([[[False, True, True, True]]])
    value = torch.eye(4)[None]
    assert hard(dot_attention)(query, key, value, mask).tolist() == [[[0, 0, 1, 0]]]
    assert hard(dot_attention)(query, key, value).tolist() == [[[1, 0, 0, 0]]]


def test_the_vector_of_additive_scores_starts_within_one_over_the_root_of_its_width():
    v = built(lambda: AdditiveAttention(D_Q, D_K, d_hidden=997)).v * math.sqrt(997)
    # Of 997 numbers between -1 and 1, some come near to each end.
    assert -1 <= v.min() < -0.9
    assert 0.9 < v.max() <= 1


# Gradients


@masks
@pytest.mark.parametrize("make", [additive, multiplicative], ids=["additive", "multiplicative"])
def test_gradients_are_those_of_finite_differences(make, mask):
    attend = make()
    inputs = [tensor.clone().requires_grad_() for tensor in (QUERY, KEY, VALUE[..., :2])]
    names, weights = zip(*attend.named_parameters(), strict=True)

    def run(query, key, value, *weights):
        parameters = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(attend, parameters, (query, key, value, mask))

    assert torch.autograd.gradcheck(run, (*inputs, *weights))


@masks
@pytest.mark.parametrize(
    "attend",
    [gaussian_attention, dot_attention, with_temperature(dot_attention, 0.5)],
    ids=["gaussian", "dot", "tempered"],
)
def test_gradients_of_attention_without_weights_are_those_of_finite_differences(attend, mask):
    inputs = [normal(B, n, d, seed=n).requires_grad_() for n, d in ((Q, 7), (K, 7), (K, 2))]
    assert torch.autograd.gradcheck(lambda *tensors: attend(*tensors, mask), inputs)


@every
@given(inputs=attention_inputs(mask=True))
def test_a_query_without_keys_gets_zeros_with_zero_gradient(make, inputs):
    query, key, value, mask = (tensor.clone() for tensor in inputs)
    mask[0] = False
    tensors = [tensor.requires_grad_() for tensor in (query, key, value)]
    attend = make(query.shape[-1])
    output = attend(*tensors, mask)
    blind = ~mask.any(-1).expand(output.shape[:2])
    assert_close(output[blind], torch.zeros_like(output[blind]), **EXACT)
    gradients = torch.autograd.grad(output.sum(), tensors, allow_unused=True)
    assert all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
    for gradient in gradients:
        if gradient is not None:
            assert_close(gradient[0], torch.zeros_like(gradient[0]), **EXACT)


# Laws


@weighted
@given(inputs=attention_inputs())
def test_weights_are_positive_and_sum_to_one_and_are_zero_where_not_allowed(make, inputs):
    query, key, _, mask = inputs
    weights = attention_weights(make(query.shape[-1]), query, key, mask)
    allowed = torch.ones_like(weights).bool() if mask is None else mask.expand_as(weights)
    assert weights.shape == (*query.shape[:2], key.shape[1])
    assert bool((weights >= 0).all())
    assert_close(weights[~allowed], torch.zeros_like(weights[~allowed]), **EXACT)
    assert_close(weights.sum(-1), allowed.any(-1).double(), **ROUNDING)


@pytest.mark.parametrize(
    "make", [*WEIGHTED.values(), EVERY["final_state"]], ids=[*WEIGHTED, "final_state"]
)
@given(inputs=attention_inputs(blind=False))
def test_the_output_lies_in_the_convex_hull_of_the_allowed_values(make, inputs):
    query, key, value, mask = inputs
    output = make(query.shape[-1])(query, key, value, mask)
    directions = normal(value.shape[-1], 11, seed=5)
    shadows = (value @ directions)[:, None].expand(-1, query.shape[1], -1, -1)
    allowed = torch.ones(1, 1, 1, 1).bool() if mask is None else mask[..., None]
    low = shadows.masked_fill(~allowed, math.inf).amin(2)
    high = shadows.masked_fill(~allowed, -math.inf).amax(2)
    shadow = output @ directions
    assert bool((low - 1e-12 <= shadow).all() and (shadow <= high + 1e-12).all())


@every
@given(inputs=attention_inputs(), n_more=st.integers(1, 3))
def test_masked_keys_with_any_content_change_nothing(make, inputs, n_more):
    query, key, value, mask = inputs
    batch, n_keys = key.shape[:2]
    mask = torch.ones(batch, 1, n_keys).bool() if mask is None else mask
    # So large that a masked score, had it been let in, would leave nothing for the others.
    more = [1e5 * normal(batch, n_more, tensor.shape[-1]) for tensor in (key, value)]
    attend = make(query.shape[-1])
    output = attend(
        query,
        torch.cat([key, more[0]], dim=1),
        torch.cat([value, more[1]], dim=1),
        torch.cat([mask, mask.new_zeros(batch, mask.shape[1], n_more)], dim=2),
    )
    assert_close(output, attend(query, key, value, mask), **ROUNDING)


@every
@given(inputs=attention_inputs())
def test_each_row_of_a_batch_is_what_it_is_alone(make, inputs):
    query, key, value, mask = inputs
    attend = make(query.shape[-1])
    together = attend(query, key, value, mask)
    for b in range(len(query)):
        one = slice(b, b + 1)
        alone = attend(query[one], key[one], value[one], None if mask is None else mask[one])
        assert_close(together[one], alone, **ROUNDING)


@weighted
@given(inputs=attention_inputs(), data=st.data())
def test_keys_and_values_in_another_order_give_the_same_output_and_the_weights_move_along(
    make, inputs, data
):
    query, key, value, mask = inputs
    order = torch.tensor(data.draw(st.permutations(range(key.shape[1]))))
    moved = None if mask is None else mask[..., order]
    attend = make(query.shape[-1])
    output = attend(query, key[:, order], value[:, order], moved)
    assert_close(output, attend(query, key, value, mask), **ROUNDING)
    weights = attention_weights(attend, query, key, mask)
    moved_weights = attention_weights(attend, query, key[:, order], moved)
    assert_close(moved_weights, weights[..., order], **ROUNDING)


@every
@given(inputs=attention_inputs(), data=st.data())
def test_queries_in_another_order_give_the_outputs_in_that_order(make, inputs, data):
    query, key, value, mask = inputs
    order = torch.tensor(data.draw(st.permutations(range(query.shape[1]))))
    moved = mask if mask is None or mask.shape[1] == 1 else mask[:, order]
    attend = make(query.shape[-1])
    expected = attend(query, key, value, mask)[:, order]
    assert_close(attend(query[:, order], key, value, moved), expected, **ROUNDING)


@pytest.mark.parametrize("make", [additive, multiplicative], ids=["additive", "multiplicative"])
def test_the_weights_look_at_the_query_and_at_the_keys(make):
    attend = make()
    weights = attention_weights(attend, QUERY, KEY)
    assert not torch.allclose(weights[:, 0], weights[:, 1])
    assert not torch.allclose(weights, attention_weights(attend, QUERY, KEY.flip(1)))


LEADING = {
    "none": ((), (5,)),
    "one": ((2,), (2, 5)),
    "two": ((2, 3), (2, 3, 5)),
    "two, one mask row for all heads": ((2, 3), (2, 1, 5)),
    "two, one mask for all": ((2, 3), (1, 1, 5)),
    "three": ((2, 1, 3), (2, 1, 3, 5)),
}


@pytest.mark.parametrize("per_query", [True, False], ids=["a mask row each", "one for all queries"])
@pytest.mark.parametrize(("leading", "rows"), LEADING.values(), ids=LEADING)
@pytest.mark.parametrize(
    "attend",
    [dot_attention, gaussian_attention, dot_product.attend, dot_product.fused_attend],
    ids=["dot", "gaussian", "scaled", "fused"],
)
def test_weights_are_found_under_any_number_of_leading_axes(attend, leading, rows, per_query):
    query, key, value = (normal(*leading, n, d, seed=n) for n, d in ((5, 7), (11, 7), (11, 3)))
    mask = normal(*(rows if per_query else (*rows[:-1], 1)), 11) > -0.5
    weights = attention_weights(attend, query, key, mask)
    assert weights.shape == (*leading, 5, 11)
    assert_close(weights.sum(-1), torch.ones(*leading, 5).double(), **ROUNDING)
    assert_close(weights[~mask.expand_as(weights)].sum(), torch.tensor(0.0).double(), **EXACT)
    assert_close(weights @ value, attend(query, key, value, mask), **ROUNDING)
    unmasked = attention_weights(attend, query, key)
    assert_close(unmasked @ value, attend(query, key, value), **ROUNDING)


@given(attention_inputs())
def test_the_same_added_to_all_scores_of_a_query_changes_no_weight(inputs):
    query, key, _, mask = inputs
    scores = dot_scores(query, key)
    shifted = scores + normal(*scores.shape[:2], 1)
    assert_close(masked_softmax(shifted, mask), masked_softmax(scores, mask), **ROUNDING)


@every
@given(inputs=attention_inputs())
def test_no_attend_changes_its_inputs(make, inputs):
    before = [None if tensor is None else tensor.clone() for tensor in inputs]
    make(inputs.query.shape[-1])(*inputs)
    for tensor, kept in zip(inputs, before, strict=True):
        assert tensor is None or torch.equal(tensor, kept)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_nan_or_infinite_makes_its_row_nan_even_where_it_is_masked(score):
    scores = torch.tensor([[0.0, score], [0.0, 1.0]])
    weights = masked_softmax(scores, torch.tensor([[True, False], [True, False]]))
    assert bool(weights[0].isnan().all())
    assert weights[1].tolist() == [1.0, 0.0]


# Weights from the outside


def test_weights_are_looked_for_where_the_keys_are():
    # The device "meta" keeps shapes without numbers, and every machine has it.
    query, key = torch.zeros(B, Q, D_Q, device="meta"), torch.zeros(B, K, D_K, device="meta")
    weights = attention_weights(uniform_attention, query, key)
    assert weights.device.type == "meta"
    assert weights.shape == (B, Q, K)


@masks
def test_values_that_are_the_identity_bring_out_the_softmax_of_the_scores(mask):
    for attend in (additive(), multiplicative()):
        expected = masked_softmax(attend.scores(QUERY, KEY), mask)
        assert_close(attention_weights(attend, QUERY, KEY, mask), expected, **ROUNDING)


def test_dropout_of_weights_acts_in_training_only_and_keeps_the_mean():
    attend = WeightDropout(multiplicative(), p=0.4)
    weights = attention_weights(attend.eval(), QUERY, KEY, MASK)
    assert_close(weights, attention_weights(attend.inner, QUERY, KEY, MASK), **EXACT)
    attend.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = torch.stack([attention_weights(attend, QUERY, KEY, MASK) for _ in range(4000)])
    kept = drawn > 0
    assert_close(drawn[kept], (weights / 0.6).expand_as(drawn)[kept], **ROUNDING)
    # A weight of at most 1 over 4000 draws has a standard error of at most 0.013.
    assert_close(drawn.mean(0), weights, rtol=0, atol=0.05)
    assert not torch.allclose(drawn.sum(-1)[:, 0, 0], torch.ones(4000).double())


def test_where_nothing_is_dropped_training_changes_nothing():
    attend = WeightDropout(multiplicative(), p=0.0).train()
    assert_close(attend(QUERY, KEY, VALUE, MASK), attend.inner(QUERY, KEY, VALUE, MASK), **EXACT)


def test_dropout_of_weights_trains_the_attention_inside():
    attend = WeightDropout(additive(), p=0.5)
    assert len(list(attend.parameters())) == 4


# Reading weights


@weighted
@given(inputs=attention_inputs())
def test_entropy_lies_between_zero_and_the_logarithm_of_the_number_of_keys(make, inputs):
    query, key, _, mask = inputs
    spread = entropy(attention_weights(make(query.shape[-1]), query, key, mask))
    assert spread.shape == query.shape[:2]
    assert bool((spread >= -1e-12).all() and (spread <= math.log(key.shape[1]) + 1e-12).all())


def test_entropy_is_the_loop_over_its_formula():
    weights = masked_softmax(normal(B, Q, K), MASK)
    expected = [
        [-sum(w * math.log(w) for w in row if w > 0) for row in rows] for rows in weights.tolist()
    ]
    assert_close(entropy(weights), torch.tensor(expected, dtype=torch.float64), **ROUNDING)


@given(st.integers(1, 50))
def test_entropy_is_largest_for_uniform_weights_and_zero_for_a_single_one(n):
    uniform = torch.ones(1, n).double() / n
    assert_close(entropy(uniform), torch.ones(1).double() * math.log(n), **ROUNDING)
    assert_close(entropy(torch.eye(n)), torch.zeros(n), **EXACT)


@given(attention_inputs(blind=False))
def test_entropy_grows_with_temperature(inputs):
    query, key, _, mask = inputs
    cold, warm = (
        entropy(attention_weights(with_temperature(dot_attention, t), query, key, mask))
        for t in (0.5, 2.0)
    )
    assert bool((cold <= warm + 1e-12).all())


def peaks(positions, n_keys):
    """Make weights that have their largest value at these positions."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(positions), n_keys)
    return 0.5 * one_hot + 0.1


@pytest.mark.parametrize(
    ("positions", "gold", "expected"),
    [
        ([[0, 1, 4, 2]], [[0, 1, 4, 2]], 1.0),
        ([[1, 2, 0, 3]], [[0, 1, 4, 2]], 0.0),
        ([[0, 1, 3, 2]], [[0, 1, 4, 2]], 0.75),
        ([[0, 1, 3, 2]], [[0, 1, -1, 2]], 1.0),
        ([[0, 1, 4, 2]], [[0, 1]], 1.0),
        ([[0, 1], [2, 3], [4, 4]], [[0, 2], [2, -1], [3, -1]], 0.5),
    ],
    ids=[
        "all",
        "none",
        "some",
        "no gold is not scored",
        "the end is not scored",
        "every token alike",
    ],
)
def test_an_alignment_is_scored_where_there_is_gold(positions, gold, expected):
    assert alignment_accuracy(peaks(positions, 5), torch.tensor(gold)) == expected


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize("bandwidth", [0.0, -1.5, math.nan])
def test_a_bandwidth_must_be_above_zero(bandwidth):
    with pytest.raises(
        ValueError, match=f"bandwidth must be a finite number above 0, got {bandwidth}"
    ):
        gaussian_scores(torch.zeros(1, 1), torch.zeros(1, 1), bandwidth)


@pytest.mark.rejects
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_must_be_a_finite_number_above_zero(temperature):
    message = f"temperature must be a finite number above 0, got {temperature}"
    with pytest.raises(ValueError, match=message):
        with_temperature(uniform_attention, temperature)
    with pytest.raises(ValueError, match=message):
        MultiplicativeAttention(3, 5, temperature)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("attend", "sizes", "message"),
    [
        (AdditiveAttention, (0, 5, 7), "d_query must be at least 1, got 0"),
        (AdditiveAttention, (3, -1, 7), "d_key must be at least 1, got -1"),
        (AdditiveAttention, (3, 5, 0), "d_hidden must be at least 1, got 0"),
        (MultiplicativeAttention, (0, 5), "d_query must be at least 1, got 0"),
        (MultiplicativeAttention, (3, 0), "d_key must be at least 1, got 0"),
    ],
)
def test_a_width_must_be_at_least_one(attend, sizes, message):
    with pytest.raises(ValueError, match=message):
        attend(*sizes)


@pytest.mark.rejects
@pytest.mark.parametrize("p", [1.0, -0.1])
def test_a_share_that_is_dropped_must_be_below_one(p):
    with pytest.raises(ValueError, match=rf"p must be in \[0, 1\), got {p}"):
        WeightDropout(uniform_attention, p)


@pytest.mark.rejects
def test_an_alignment_without_gold_is_rejected():
    with pytest.raises(
        ValueError, match="at least one target token with a gold position, got none"
    ):
        alignment_accuracy(peaks([[0, 1]], 5), torch.tensor([[-1, -1]]))


@pytest.mark.rejects
@pytest.mark.parametrize("gold", [[[0, 1, 2]], [[0], [1]]])
def test_an_alignment_that_does_not_fit_its_gold_is_rejected(gold, unchecked):
    gold = torch.tensor(gold)
    message = rf"got \(1, 2, 5\) and \({gold.shape[0]}, {gold.shape[1]}\)"
    with pytest.raises(ValueError, match=message):
        alignment_accuracy(peaks([[0, 1]], 5), gold)
