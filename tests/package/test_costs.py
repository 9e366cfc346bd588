import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, bmm_flop

from minattn.dot_product import attend
from minattn.scaling.blockwise import blockwise_attend
from minattn.scaling.costs import Sizes, counted
from minattn.scaling.linear import running_linear_attend
from minattn.scaling.sharing import LatentAttention, grouped_attend
from tests.package.strategies import normal


def baddbmm_flop(self_shape, a_shape, b_shape, out_shape=None, **named):
    return bmm_flop(a_shape, b_shape)


class Largest(TorchDispatchMode):
    """Remember how many numbers the largest tensor has that an operation takes or gives."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for x in tree_leaves((args, kwargs, output)):
            if isinstance(x, torch.Tensor):
                self.numbers = max(self.numbers, x.numel())
        return output


def counting(work):
    """Count the operations of the products of some work, and the numbers of its largest tensor."""
    other = {torch.ops.aten.baddbmm_: baddbmm_flop}
    with FlopCounterMode(display=False, custom_mapping=other) as flops, torch.no_grad():
        work()
    with Largest() as largest, torch.no_grad():
        work()
    return flops.get_total_flops(), largest.numbers


def inputs(s, kv_heads):
    shapes = (1, s.heads, s.queries, s.d_head), *[(1, kv_heads, s.keys, s.d_head)] * 2
    return [normal(*shape, seed=i) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize(("queries", "keys"), [(37, 41), (1, 41), (41, 5)])
@pytest.mark.parametrize("heads", [1, 6])
def test_plain_attention_takes_what_was_counted(queries, keys, heads):
    s = Sizes(queries=queries, keys=keys, heads=heads, d_head=11)
    found = counting(lambda: attend(*inputs(s, heads)))
    cost = counted("plain", s)
    assert found == (cost.operations, cost.largest)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_grouped_attention_takes_what_was_counted(kv_heads):
    s = Sizes(queries=1, keys=41, heads=6, d_head=11, kv_heads=kv_heads)
    found = counting(lambda: grouped_attend(*inputs(s, kv_heads), attend=attend))
    cost = counted("grouped", s)
    assert found == (cost.operations, cost.largest)
    k, v = inputs(s, kv_heads)[1:]
    assert cost.kept == (k.nbytes + v.nbytes) // 2  # the test has numbers of 8 bytes


@pytest.mark.parametrize("block", [16, 64])
def test_blocks_take_what_was_counted(block):
    s = Sizes(queries=128, keys=192, heads=2, d_head=11, block=block)
    found = counting(lambda: blockwise_attend(*inputs(s, 2), block=block))
    cost = counted("blocks", s)
    assert found == (cost.operations, cost.largest)


@pytest.mark.parametrize("n", [1, 16, 37])
def test_linear_attention_takes_what_was_counted(n):
    s = Sizes(queries=n, keys=n, heads=2, d_head=11, block=16)
    operations, _ = counting(lambda: running_linear_attend(*inputs(s, 2), block=16))
    cost = counted("linear", s)
    assert operations == cost.operations
    state = running_linear_attend(*inputs(s, 2), block=16)[1]
    assert cost.kept == state.nbytes // 2
    assert cost.largest == max(state.numel(), 2 * min(n, 16) ** 2, 2 * n * 12)


def test_latent_attention_takes_what_was_counted_beside_its_other_maps():
    s = Sizes(queries=1, keys=41, heads=3, d_head=5, d_latent=7)
    layer = LatentAttention(15, 3, 7, attend=attend).double()
    query, kept = normal(1, 1, 15), normal(1, 41, 7)
    found, _ = counting(lambda: layer.attend_to(query, kept))
    cost = counted("latent", s)
    assert found == cost.operations + 2 * 2 * 15 * 15  # of q_proj and out_proj
    assert cost.kept == kept.nbytes // 2


def test_a_step_with_a_cache_moves_what_is_kept():
    s = Sizes(queries=1, keys=1000, heads=8, d_head=64)
    ends, table = 4 * 2 * 8 * 64, 4 * 4 * 8 * 1000
    plain = counted("plain", s)
    assert plain.moved == 4 * 2 * 8 * 1000 * 64 + ends + table
    assert plain.kept == 4 * 2 * 8 * 1000 * 64
    shared = counted("grouped", Sizes(queries=1, keys=1000, heads=8, d_head=64, kv_heads=1))
    assert plain.kept == 8 * shared.kept and plain.operations == shared.operations
    low = counted("plain", Sizes(queries=1, keys=1000, heads=8, d_head=64, key_bits=8 + 32 / 64))
    assert low.kept == 2 * 8 * 1000 * (64 + 4)


def test_many_queries_cost_with_the_square_unless_the_form_says_otherwise():
    def ratio(form, what):
        short, long = (counted(form, Sizes(queries=n, keys=n, d_head=16)) for n in (1024, 4096))
        return getattr(long, what) / getattr(short, what)

    assert ratio("plain", "operations") == ratio("blocks", "operations") == 16
    assert ratio("plain", "largest") == 16 and ratio("blocks", "largest") == 4
    assert ratio("linear", "operations") == ratio("window", "operations") == 4
    assert ratio("plain", "kept") == 4 and ratio("linear", "kept") == ratio("window", "kept") == 1


def test_a_window_counts_what_it_sees():
    s = Sizes(queries=100, keys=100, heads=3, d_head=5, seen=10)
    cost = counted("window", s)
    assert cost.operations == 4 * 3 * 100 * 10 * 5
    assert cost.kept == 4 * 2 * 3 * 10 * 5
    assert cost.largest == 3 * 100 * 10
    step = counted("window", Sizes(queries=1, keys=100, heads=3, d_head=5, seen=10))
    assert step.moved == 4 * (2 * 3 * 10 * 5 + 2 * 3 * 5 + 4 * 3 * 10)
    assert counted("window", Sizes(queries=7, keys=7, seen=10)) == counted(
        "plain", Sizes(queries=7, keys=7)
    )


@pytest.mark.rejects
def test_what_makes_no_sense_is_rejected(unchecked):
    with pytest.raises(ValueError, match=r"form must be one of plain, .*, got 'fast'"):
        counted("fast", Sizes(queries=1, keys=1))
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        Sizes(queries=1, keys=1, block=0)
    with pytest.raises(ValueError, match="kv_heads must divide heads, got 3 for 4 heads"):
        Sizes(queries=1, keys=1, heads=4, kv_heads=3)
    with pytest.raises(ValueError, match="key_bits must be a finite number above 0, got 0"):
        Sizes(queries=1, keys=1, key_bits=0)
    with pytest.raises(ValueError, match=r"one key with each query.*got 2 queries and 5 keys"):
        counted("linear", Sizes(queries=2, keys=5))
