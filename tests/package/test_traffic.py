import dataclasses
import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from minattn.dot_product import attend
from minattn.scaling.shares import ring_bytes, shares
from minattn.scaling.traffic import (
    KeptBytes,
    Machines,
    ModelSizes,
    NumberBytes,
    all_reduce_bytes,
    data_parallel_bytes,
    fully_sharded_bytes,
    memory,
    ring_attention_bytes,
    share,
    step_operations,
    tensor_parallel_bytes,
)

# Small enough to be worked by hand: a block has 4 * 9 + 2 * 3 * 5 = 66 numbers, the table 7 * 3 = 21.
SIZES = ModelSizes(d_model=3, n_layers=2, d_ff=5, vocab_size=7)
N = 2 * 66 + 21
NUMBER = NumberBytes(weight=2, gradient=3, adam=11, activation=5, summed=7)


def test_by_hand():
    assert SIZES.parameters == N == 153
    assert step_operations(SIZES, tokens=13, length=11) == 13 * (6 * 153 + 12 * 2 * 3 * 11)
    assert data_parallel_bytes(SIZES, 4, NUMBER) == 2 * 3 * 153 * 3 / 4
    assert fully_sharded_bytes(SIZES, 4, NUMBER) == 3 / 4 * 153 * (2 + 2 + 3)
    # Two blocks, four sums each, of 13 vectors of 3 numbers of 5 bytes.
    assert tensor_parallel_bytes(SIZES, 13, 4, NUMBER) == 2 * 4 * 2 * 3 / 4 * (13 * 3 * 5)
    # Two layers; 13 keys and 13 values of 3 numbers go three steps twice in 5 bytes, and four steps in 7.
    assert ring_attention_bytes(SIZES, 13, 4, NUMBER) == 2 * (2 * 13 * 3) * (2 * 3 * 5 + 4 * 7)
    assert memory(SIZES, 4, "nothing", NUMBER) == KeptBytes(153 * 2, 153 * 3, 153 * 11)
    assert memory(SIZES, 4, "adam", NUMBER) == KeptBytes(153 * 2, 153 * 3, 153 * 11 / 4)
    assert memory(SIZES, 4, "gradients", NUMBER) == KeptBytes(153 * 2, 153 * 3 / 4, 153 * 11 / 4)
    assert memory(SIZES, 4, "weights", NUMBER) == KeptBytes(153 / 2, 153 * 3 / 4, 153 * 11 / 4)
    assert memory(SIZES, 4, "weights", NUMBER).total == 153 * 16 / 4


def test_by_default_training_is_in_mixed_precision():
    assert memory(SIZES, 1).total == 16 * N
    assert [memory(SIZES, 8, x).total / N for x in ("adam", "gradients", "weights")] == [
        2 + 2 + 12 / 8,
        2 + 14 / 8,
        16 / 8,
    ]
    assert fully_sharded_bytes(SIZES, 8) == 1.5 * data_parallel_bytes(SIZES, 8) == 3 * 7 / 8 * 2 * N


class Block(nn.Module):
    """Attention with one head and a feed-forward layer."""

    def __init__(self, d_model, d_ff):
        super().__init__()
        self.attention = nn.ModuleList(nn.Linear(d_model, d_model, bias=False) for _ in range(4))
        self.inner = nn.Linear(d_model, d_ff, bias=False)
        self.outer = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x):
        q, k, v, out = self.attention
        x = x + out(attend(q(x), k(x), v(x)))
        return x + self.outer(self.inner(x).relu())


def test_torch_counts_as_many_parameters_and_operations():
    torch.manual_seed(0)
    table = nn.Parameter(torch.randn(SIZES.vocab_size, SIZES.d_model))
    blocks = nn.Sequential(*(Block(SIZES.d_model, SIZES.d_ff) for _ in range(SIZES.n_layers)))
    numbers = [table, *blocks.parameters()]
    assert sum(x.numel() for x in numbers) == SIZES.parameters
    with FlopCounterMode(display=False) as flops:
        x = table[torch.arange(11) % SIZES.vocab_size]
        (blocks(x) @ table.T).square().sum().backward()
    assert flops.get_total_flops() == step_operations(SIZES, tokens=11, length=11)


@pytest.mark.parametrize("gpus", [1, 2, 3, 5])
def test_an_all_reduce_round_a_ring_sends_so_much(gpus):
    # Every GPU has its own number in each of as many parts as there are GPUs.
    parts = [[10**gpu for _ in range(gpus)] for gpu in range(gpus)]
    sent = 0
    for turn in range(2):
        for step in range(gpus - 1):
            arriving = []
            for gpu in range(gpus):
                part = (gpu - step + turn) % gpus
                arriving.append(((gpu + 1) % gpus, part, parts[gpu][part]))
            for gpu, part, number in arriving:
                parts[gpu][part] = number + (parts[gpu][part] if turn == 0 else 0)
            sent += 1
    assert parts == [[int("1" * gpus)] * gpus] * gpus
    assert all_reduce_bytes(gpus * 4, gpus) == sent * 4


@given(world=st.integers(1, 9), tokens=st.integers(1, 50), heads=st.integers(1, 4))
def test_bytes_of_the_ring_are_those_of_ring_attend(world, tokens, heads):
    sizes = ModelSizes(d_model=6 * heads, n_layers=3, d_ff=1, vocab_size=1)
    split = shares(world * tokens, world)
    of_layer = ring_bytes(split, (1, heads), 6, 6, bytes_per_number=2, backward=True)
    assert [ring_attention_bytes(sizes, tokens, world)] * world == [3 * x for x in of_layer]


def test_one_gpu_sends_nothing():
    assert data_parallel_bytes(SIZES, 1) == fully_sharded_bytes(SIZES, 1) == 0
    assert tensor_parallel_bytes(SIZES, 9, 1) == ring_attention_bytes(SIZES, 9, 1) == 0


def test_the_slowest_link_counts():
    machines = Machines(peak=100, reached=0.5, within=40, between=10, host=8)
    assert machines.seconds(200) == 4
    assert [machines.bandwidth(gpus) for gpus in (1, 8, 9)] == [40, 40, 10]
    assert Machines(peak=1, reached=1, within=10, between=40).bandwidth(9) == 10


def test_by_hand_the_share_of_computing():
    # Three seconds of computing, two of sending.
    assert share(3, 20, 10, overlap=0) == 3 / 5
    assert share(3, 20, 10, overlap=0.5) == 3 / 4
    assert share(3, 20, 10, overlap=1) == 1
    # One of computing, four of sending: no more than one is hidden.
    assert share(1, 40, 10, overlap=0) == 1 / 5
    assert share(1, 40, 10, overlap=0.25) == share(1, 40, 10, overlap=1) == 1 / 4
    assert share(1, 0, 10, overlap=0) == 1


# What is refused


@pytest.mark.rejects
@pytest.mark.parametrize(
    "function, given",
    [
        (ModelSizes, {"d_model": 1, "n_layers": 1, "d_ff": 1, "vocab_size": 1}),
        (NumberBytes, dict.fromkeys((x.name for x in dataclasses.fields(NumberBytes)), 1)),
        (step_operations, {"tokens": 1, "length": 1}),
        (data_parallel_bytes, {"gpus": 1}),
        (fully_sharded_bytes, {"gpus": 1}),
        (tensor_parallel_bytes, {"tokens": 1, "gpus": 1}),
        (ring_attention_bytes, {"tokens": 1, "gpus": 1}),
        (memory, {"gpus": 1}),
    ],
)
def test_counts_below_one_are_an_error(function, given):
    sizes = {"sizes": SIZES} if "sizes" in inspect.signature(function).parameters else {}
    for name in given:
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            function(**sizes, **{**given, name: 0})


@pytest.mark.rejects
def test_speeds_and_shares_that_cannot_be_are_an_error():
    given = {"peak": 1.0, "reached": 0.5, "within": 1.0, "between": 1.0, "host": 8}
    for name in ("peak", "reached", "within", "between"):
        with pytest.raises(ValueError, match=f"{name} must be a finite number above 0, got 0"):
            Machines(**{**given, name: 0})
    with pytest.raises(ValueError, match=r"reached must be in \[0, 1\], got 1.5"):
        Machines(**{**given, "reached": 1.5})
    with pytest.raises(ValueError, match="host must be at least 1, got 0"):
        Machines(**{**given, "host": 0})
    with pytest.raises(ValueError, match=r"operations must be .* at least 0, got -1"):
        Machines(**given).seconds(-1)
    with pytest.raises(ValueError, match="gpus must be at least 1, got 0"):
        Machines(**given).bandwidth(0)


@pytest.mark.rejects
def test_other_values_that_cannot_be_are_an_error():
    with pytest.raises(
        ValueError, match="one of nothing, adam, gradients, weights, got 'everything'"
    ):
        memory(SIZES, 2, "everything")
    with pytest.raises(ValueError, match="size must be a finite number of at least 0, got -1"):
        all_reduce_bytes(-1, 2)
    with pytest.raises(ValueError, match="compute must be a finite number above 0, got 0"):
        share(0, 1, 1, 0.5)
    with pytest.raises(ValueError, match="bandwidth must be a finite number above 0, got 0"):
        share(1, 1, 0, 0.5)
    with pytest.raises(ValueError, match="bytes must be a finite number of at least 0, got -1"):
        share(1, -1, 1, 0.5)
    with pytest.raises(ValueError, match=r"overlap must be in \[0, 1\], got 2"):
        share(1, 1, 1, 2)
