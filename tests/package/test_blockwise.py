import functools
import operator
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, bmm_flop

from minattn.alignment import attention_weights
from minattn.dot_product import attend
from minattn.masks import Causal, MaskDescription, Padding, Window
from minattn.multihead import MultiHeadAttention
from minattn.scaling.blockwise import blockwise_attend
from tests.package.strategies import ROUNDING, built, normal, spelt_out

# Distinct primes, as in the tests of attend: batch, heads, queries, keys, d_k, d_v.
B, H, Q, K, D_K, D_V = 2, 3, 5, 7, 11, 13
SCORES = (B, H, Q, K)
QUERY, KEY, VALUE = normal(B, H, Q, D_K), normal(B, H, K, D_K, seed=1), normal(B, H, K, D_V, seed=2)
TOKENS = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]]).bool()
MASK = normal(*SCORES, seed=3) > 0
MASK[1, 2, 3] = False  # a query without a key


class EveryOther(MaskDescription):
    """A description the package does not know."""

    def to_bool(self, shape, device=None):
        return torch.arange(shape[-1], device=device).expand(shape[-2], -1) % 2 == 0


MASKS = {
    "no mask": None,
    "one row for all queries": MASK[:, :, :1],
    "one for all heads": MASK[:, :1],
    "one for each query": MASK,
    "nothing": torch.zeros(Q, K, dtype=torch.bool),
    "causal": Causal(),
    "window": Window(before=1, after=2),
    "padding": Padding(TOKENS),
    "causal and padding": Causal() & Padding(TOKENS),
    "two windows": Window(before=1, after=0) & Window(before=3, after=2),
    "all three": MASK[0, 0] & Window(before=3, after=1) & Padding(TOKENS),
    "another description": EveryOther() & Causal(),
}
masks = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
blocks = pytest.mark.parametrize("block", [1, 2, 3, 256])


def there_and_back(attends, query, key, value, mask=None, **settings):
    """Return the output and the three gradients of some loss."""
    tensors = [x.detach().clone().requires_grad_() for x in (query, key, value)]
    output = attends(*tensors, mask, **settings)
    grad_output = normal(*output.shape, seed=4).to(output.dtype)
    return output.detach(), *torch.autograd.grad(output, tensors, grad_output)


# Twins


@masks
@blocks
@pytest.mark.parametrize("d_v", [D_K, D_V])
@pytest.mark.parametrize("scale", [None, -0.7, 0.0])
def test_it_is_attend_there_and_back(mask, block, d_v, scale):
    inputs = QUERY, KEY, VALUE[..., :d_v], mask
    found = there_and_back(partial(blockwise_attend, block=block), *inputs, scale=scale)
    assert_close(found, there_and_back(attend, *inputs, scale=scale), **ROUNDING)


@st.composite
def lookups(draw):
    leading = draw(st.lists(st.integers(1, 3), max_size=3))
    queries, keys = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    d_k, d_v, seed = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 10_000))
    tensors = []
    for i, (n, d) in enumerate(((queries, d_k), (keys, d_k), (keys, d_v))):
        axes = [draw(st.sampled_from([1, size])) for size in leading]
        left_out = draw(st.integers(0, len(leading))) if set(axes) <= {1} else 0
        tensors.append(3 * normal(*axes[left_out:], n, d, seed=seed + i))
    leading = torch.broadcast_shapes(*(x.shape[:-2] for x in tensors))
    rows = draw(st.sampled_from([1, queries]))
    kinds = {
        "tensor": st.just(normal(*leading, rows, keys, seed=seed + 3) > 0),
        "causal": st.just(Causal()),
        "window": st.builds(Window, st.integers(0, 9), st.integers(0, 9)),
    }
    if leading:
        kinds["padding"] = st.just(Padding(normal(leading[0], keys, seed=seed + 4) > 0))
    parts = [draw(kinds[kind]) for kind in draw(st.lists(st.sampled_from(list(kinds)), max_size=3))]
    return *tensors, functools.reduce(operator.and_, parts) if parts else None


@given(inputs=lookups(), block=st.integers(1, 10))
def test_it_is_attend_for_every_shape_mask_and_block(inputs, block):
    found = there_and_back(partial(blockwise_attend, block=block), *inputs)
    assert_close(found, there_and_back(attend, *inputs), **ROUNDING)


@pytest.mark.parametrize("mask", [None, Causal(), MASK, Window(1, 0) & Padding(TOKENS)], ids=str)
def test_gradcheck(mask):
    inputs = [x[..., :2].clone().requires_grad_() for x in (QUERY, KEY, VALUE)]
    assert torch.autograd.gradcheck(lambda *x: blockwise_attend(*x, mask, block=3), inputs)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("length", [64, 300])
def test_it_is_torchs_own_in_float32(is_causal, length):
    query, key, value = (normal(B, H, length, 16, seed=i).float() for i in range(3))
    torchs = partial(F.scaled_dot_product_attention, is_causal=is_causal)
    found = there_and_back(blockwise_attend, query, key, value, Causal() if is_causal else None)
    assert found[0].dtype == torch.float32
    assert_close(found, there_and_back(torchs, query, key, value), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_computed_in_float32(dtype):
    inputs = [x.to(dtype) for x in (QUERY, KEY, VALUE)]
    found = blockwise_attend(*inputs, Causal(), block=2)
    expected = attend(*(x.float() for x in inputs), Causal())
    assert_close(found, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-6)
    assert {x.dtype for x in there_and_back(blockwise_attend, *inputs)} == {dtype}


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_scores_too_large_for_a_power_do_no_harm(size, sign, descending):
    # All are above zero or all below, and each block has larger ones than those before, or smaller ones.
    key = normal(20, 1).abs().sort(dim=0, descending=descending).values
    inputs = sign * size * (1 + normal(5, 1).abs()), key, normal(20, 3), Causal()
    found = there_and_back(partial(blockwise_attend, block=4, scale=1.0), *inputs)
    assert_close(found, there_and_back(partial(attend, scale=1.0), *inputs), rtol=1e-8, atol=1e-8)


@blocks
def test_queries_that_may_attend_to_nothing_get_zeros_and_give_no_gradient(block):
    # Of nine queries at the end of seven keys the first two come before all keys.
    query = normal(9, D_K)
    output, grad_query, *_ = there_and_back(
        partial(blockwise_attend, block=block), query, KEY[0, 0], VALUE[0, 0], Causal()
    )
    for x in (output, grad_query):
        assert (x[:2] == 0).all() and (x[2:] != 0).any(-1)[1:].all()


def test_no_length_is_too_short():
    for queries, keys in ((0, K), (Q, 0), (0, 0)):
        inputs = QUERY[..., :queries, :], KEY[..., :keys, :], VALUE[..., :keys, :]
        found = there_and_back(blockwise_attend, *inputs)
        assert_close(found, there_and_back(attend, *inputs), **ROUNDING)


@masks
def test_it_goes_wherever_an_attend_goes(mask):
    blockwise = partial(blockwise_attend, block=2)
    found, expected = (
        attention_weights(attends, QUERY, KEY, spelt_out(mask, SCORES))
        for attends in (blockwise, attend)
    )
    assert_close(found, expected, **ROUNDING)
    x, y = normal(B, Q, 12), normal(B, K, 12)
    for n_kv_heads in (1, 3):
        found, expected = (
            built(lambda a=a, n=n_kv_heads: MultiHeadAttention(12, H, n, attend=a))
            for a in (blockwise, attend)
        )
        assert_close(found(x, y, y, mask), expected(x, y, y, mask), **ROUNDING)


@pytest.mark.parametrize("argument", range(3))
def test_there_is_no_second_derivative(argument):
    tensors = [x.clone().requires_grad_() for x in (QUERY, KEY, VALUE)]
    first = torch.autograd.grad(blockwise_attend(*tensors, MASK).sum(), tensors, create_graph=True)
    assert all(
        torch.allclose(ours, theirs)
        for ours, theirs in zip(
            first, torch.autograd.grad(attend(*tensors, MASK).sum(), tensors), strict=True
        )
    )
    with pytest.raises(
        RuntimeError, match=r"no second derivative: use minattn\.dot_product\.attend"
    ):
        torch.autograd.grad(first[argument].sum(), tensors, allow_unused=True)


def test_forward_mode_and_vmap_are_refused():
    def lookup(query):
        return blockwise_attend(query, KEY, VALUE)

    with pytest.raises(RuntimeError, match=r"no derivative in forward mode: use .*\.attend"):
        torch.func.jvp(lookup, (QUERY,), (QUERY,))
    with pytest.raises(RuntimeError, match=r"cannot be mapped by vmap: .*\.attend"):
        torch.func.vmap(lambda query: blockwise_attend(query, KEY[0], VALUE[0]))(QUERY)


def test_a_gradient_of_torch_func_is_that_of_attend():
    def loss(attend):
        return lambda query: attend(query, KEY, VALUE, MASK).sum()

    torch.testing.assert_close(
        torch.func.grad(loss(blockwise_attend))(QUERY), torch.func.grad(loss(attend))(QUERY)
    )


@pytest.mark.parametrize("described", [False, True], ids=["tensor", "description"])
def test_a_mask_that_is_changed_before_the_way_back_is_an_error(described):
    mask, query = MASK.clone(), QUERY.clone().requires_grad_()
    output = blockwise_attend(query, KEY, VALUE, Causal() & mask if described else mask)
    mask.fill_(True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_tokens_that_are_changed_before_the_way_back_are_an_error():
    tokens, query = TOKENS.clone(), QUERY.clone().requires_grad_()
    output = blockwise_attend(query, KEY, VALUE, Padding(tokens))
    tokens.fill_(True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


# The cost: what is made, and what is multiplied


class Largest(TorchDispatchMode):
    """Note how many numbers the largest tensor has that torch makes; a view of one is no new one."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, Tensor):
                size = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.numbers = max(self.numbers, size)
        return made


def heads_of(length, leading=(1, 2), d=8):
    return [normal(*leading, length, d, seed=i).float().requires_grad_() for i in range(3)]


LONG = {
    "no mask": lambda n: None,
    "causal": lambda n: Causal(),
    "window": lambda n: Window(before=100, after=30),
    "padding": lambda n: Padding(torch.arange(n)[None] < n - 100),
    "causal and padding": lambda n: Causal() & Padding(torch.arange(n)[None] > 100),
    "a row of a tensor": lambda n: torch.arange(n)[None] > 100,
}


def memory(mask, length, block):
    """Return how many numbers the largest tensor made there and back has, and how many are kept."""
    inputs, kept = heads_of(length), []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x)
    with Largest() as made, hooks:
        output = blockwise_attend(*inputs, mask, block=block)
        torch.autograd.grad(output.sum(), inputs)
    return made.numbers, sum(x.numel() for x in kept)


@pytest.mark.parametrize("mask", LONG.values(), ids=LONG)
def test_nothing_that_is_made_or_kept_grows_with_the_square_of_the_length(mask):
    short, long = (memory(mask(n), n, block=128) for n in (1024, 4096))
    # The scores of one block, or a vector of width 8 for each token, of two heads.
    assert (short[0], long[0]) == (2 * 128 * 128, 2 * 4096 * 8)
    assert long[1] == 4 * short[1]


def work(attends, *inputs, back=True):
    """Count the multiplications and additions in matrix products."""
    # Torch's counter knows baddbmm and not the one in place: a matrix product, and a sum that is not counted.
    in_place = {torch.ops.aten.baddbmm_: lambda _, a, b, out_shape: bmm_flop(a, b)}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        output = attends(*inputs)
        if back:
            output.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("back", [False, True], ids=["there", "there and back"])
def test_blocks_that_are_forbidden_cost_nothing(back):
    n, inputs = 8, heads_of(8 * 64)

    def blocks(mask):
        """Tell how many blocks were computed."""
        cost = work(partial(blockwise_attend, block=64), *inputs, mask, back=back)
        # Two products there and five on the way back, of two heads.
        return cost / ((7 if back else 2) * 2 * 2 * 64 * 64 * 8)

    position = torch.arange(n * 64)
    late, early = position >= (n - 1) * 64, position < 64
    assert blocks(None) == blocks(torch.ones(1, n * 64).bool()) == n * n
    assert blocks(torch.zeros(1, n * 64).bool()) == 0
    assert blocks(Causal()) == blocks(position <= position[:, None]) == n * (n + 1) / 2
    assert blocks(Padding(late[None])) == blocks(early[None]) == n
    assert blocks(Causal() & Padding(late[None])) == 1
    # Each block of queries sees itself and 63 keys on one side, where there are so many.
    for window in (Window(before=63, after=0), Window(before=0, after=63)):
        assert blocks(window) == n + (n - 1) * 63 / 64


def test_the_cost_of_one_new_query_grows_with_the_keys_alone():
    query, key, value = heads_of(512)
    for mask in (None, Causal()):
        cost = work(partial(blockwise_attend, block=64), query[..., -1:, :], key, value, mask)
        assert cost == 7 * 2 * 2 * 512 * 8


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize("block", [0, -2])
def test_a_block_must_have_at_least_one_query(block):
    with pytest.raises(ValueError, match=f"block must be at least 1, got {block}"):
        blockwise_attend(QUERY, KEY, VALUE, block=block)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("shapes", "rule"),
    [
        (((7,), (5, 7), (5, 11)), r"need shapes \(\.\.\., queries, d_k\)"),
        (((3, 7), (5, 2), (5, 11)), r"need one width, at least 1, got \(3, 7\) and \(5, 2\)"),
        (((3, 0), (5, 0), (5, 11)), r"need one width, at least 1, got \(3, 0\) and \(5, 0\)"),
        (((3, 7), (5, 7), (2, 11)), r"one value for each key, got \(5, 7\) and \(2, 11\)"),
        (((2, 3, 7), (13, 5, 7), (2, 5, 11)), r"must broadcast, got \(2, 3, 7\), \(13, 5, 7\) and"),
    ],
)
def test_shapes_that_do_not_fit_are_rejected(shapes, rule, unchecked):
    with pytest.raises(ValueError, match=rule):
        blockwise_attend(*map(torch.zeros, shapes))


@pytest.mark.rejects
def test_a_mask_that_is_not_bool_is_rejected(unchecked):
    for mask in (MASK.double(), MASK.int()):
        with pytest.raises(TypeError, match=r"a mask must be bool, .*, got torch\.\w+\d+; numbers"):
            blockwise_attend(QUERY, KEY, VALUE, mask)


@pytest.mark.rejects
def test_a_mask_that_does_not_fit_is_rejected():
    for mask in (MASK.mT, MASK[..., :1], MASK[:, :2], MASK[0, 0, 0], Causal() & MASK.mT):
        with pytest.raises(ValueError, match=r"a mask must .*, got .* shape \(2, 3, 5, 7\)"):
            blockwise_attend(QUERY, KEY, VALUE, mask)
    with pytest.raises(ValueError, match=r"got \(2, 5\) and \(2, 3, 5, 7\)"):
        blockwise_attend(QUERY, KEY, VALUE, Padding(TOKENS[:, :5]))
