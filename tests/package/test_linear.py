import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.masks import CAUSAL, Padding, Window
from minattn.scaling.linear import above_zero, linear_attend, running_linear_attend
from tests.package.strategies import ROUNDING, attention_inputs, normal, spelt_out

CLOSE = {torch.float64: 1e-12, torch.float32: 1e-6}


def apart(found, expected):
    """Return the largest difference, relative to the largest number if that is above 1."""
    return max(
        ((a - b).abs().max() / b.abs().max().clamp(min=1)).item()
        for a, b in zip(found, expected, strict=True)
    )


@st.composite
def sequences(draw):
    leading = draw(st.lists(st.integers(1, 3), max_size=2))
    n, d_k, d_v, seed = (draw(st.integers(1, high)) for high in (11, 4, 4, 10_000))
    shapes = (*leading, n, d_k), (*leading, n, d_k), (*leading, n, d_v)
    return [normal(*shape, seed=seed + i) for i, shape in enumerate(shapes)]


@given(
    tensors=sequences(),
    block=st.integers(1, 12),
    dtype=st.sampled_from(list(CLOSE)),
    data=st.data(),
)
def test_the_running_form_is_the_parallel_one_there_and_back(tensors, block, dtype, data):
    tensors = [x.to(dtype).requires_grad_() for x in tensors]
    cut = data.draw(st.integers(0, tensors[0].shape[-2]))
    first, state = running_linear_attend(*(x[..., :cut, :] for x in tensors), block=block)
    second, state = running_linear_attend(*(x[..., cut:, :] for x in tensors), state, block=block)
    found, expected = torch.cat([first, second], -2), linear_attend(*tensors, CAUSAL)
    assert apart([found], [expected]) <= CLOSE[dtype]
    weights = normal(*found.shape, seed=5).to(dtype)
    gradients = [torch.autograd.grad((x * weights).sum(), tensors) for x in (found, expected)]
    assert apart(*gradients) <= CLOSE[dtype]


@given(inputs=attention_inputs())
def test_it_is_a_loop_over_queries(inputs):
    query, key, value, mask = inputs
    allowed = spelt_out(mask, (*query.shape[:-1], key.shape[-2]))
    found = linear_attend(query, key, value, mask)
    for b, i in torch.cartesian_prod(*map(torch.arange, query.shape[:2])).view(-1, 2).tolist():
        right = torch.zeros_like(value[0, 0])
        if seen := allowed[b, i].nonzero()[:, 0].tolist():
            weights = [float(above_zero(query[b, i]) @ above_zero(key[b, j])) for j in seen]
            right = sum(w * value[b, j] for w, j in zip(weights, seen, strict=True)) / sum(weights)
        assert_close(found[b, i], right, **ROUNDING)


def test_weights_of_a_query_sum_to_one():
    query, key = normal(2, 3, 5, 7), normal(2, 3, 11, 7, seed=1)
    for mask in (None, CAUSAL, Window(before=2, after=0)):
        output = linear_attend(query, key, torch.ones(2, 3, 11, 1).double(), mask)
        assert_close(output, torch.ones_like(output), **ROUNDING)


def test_the_state_does_not_grow_and_its_last_column_sums_the_features():
    key = normal(2, 50, 7, seed=1)
    for n in (1, 20, 50):
        _, state = running_linear_attend(key[:, :n], key[:, :n], normal(2, n, 3))
        assert state.shape == (2, 7, 4)
        assert_close(state[..., -1], above_zero(key[:, :n]).sum(1), **ROUNDING)


def test_features_are_elu_plus_one_and_stay_above_zero():
    x = normal(1000) * 3
    assert_close(above_zero(x), torch.nn.functional.elu(x) + 1, **ROUNDING)
    far = torch.tensor([-80.0, 200.0], requires_grad=True)
    found = above_zero(far)
    assert (found > 0).all()
    assert torch.autograd.grad(found.sum(), far)[0].isfinite().all()


def test_queries_that_may_attend_to_nothing_get_zeros():
    tokens = torch.tensor([[True, True, False], [False, False, False]])
    tensors = [normal(2, 3, 5, seed=i).requires_grad_() for i in range(3)]
    output = linear_attend(*tensors, Padding(tokens))
    assert (output[0] != 0).all() and (output[1] == 0).all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(output.sum(), tensors))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_computed_in_float32(dtype):
    tensors = [normal(2, 13, 5, seed=i).to(dtype) for i in range(3)]
    expected = linear_attend(*(x.float() for x in tensors), CAUSAL).to(dtype)
    output, state = running_linear_attend(*tensors, block=4)
    assert (output.dtype, state.dtype) == (dtype, torch.float32)
    assert_close(output, expected)
    assert_close(linear_attend(*tensors, CAUSAL), expected)


@pytest.mark.parametrize("sizes", [(1, 3), (3, 1), (1, 1)])
def test_leading_axes_broadcast(sizes):
    query, key = normal(sizes[0], 5, 7), normal(sizes[1], 11, 7)
    value = normal(3, 11, 2)
    found = linear_attend(query, key, value)
    expected = linear_attend(query.expand(3, -1, -1), key.expand(3, -1, -1), value)
    assert_close(found, expected, **ROUNDING)


@pytest.mark.rejects
def test_what_does_not_fit_is_rejected(unchecked):
    x = torch.zeros(2, 5, 3)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        running_linear_attend(x, x, x, block=0)
    with pytest.raises(ValueError, match=r"one query and one value for each key.*\(2, 4, 3\)"):
        running_linear_attend(x[:, :4], x, x)
    with pytest.raises(ValueError, match=r"the state must have shape \(2, 3, 4\), got \(2, 3, 3\)"):
        running_linear_attend(x, x, x, torch.zeros(2, 3, 3))
