"""Attention over several processes, by a ring and by collecting, tried in one start for each number of them."""

import itertools
import random
import sys

import cloudpickle
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend
from minattn.masks import Causal, Padding
from minattn.scaling import ring
from minattn.scaling.gathered import gathered_attend
from minattn.scaling.processes import run_on
from minattn.scaling.ring import ring_attend, sent
from minattn.scaling.shares import pairs, ring_bytes, shares
from tests.package.strategies import ROUNDING, normal

# The processes cannot import this file, nor the one that it imports.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
cloudpickle.register_pickle_by_value(sys.modules[normal.__module__])

WAYS = {"ring": ring_attend, "gathered": gathered_attend}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
starts_processes = pytest.mark.slow
BATCH, HEADS, D_K, D_V = 2, 3, 5, 7
BARS = {torch.float64: 1e-10, torch.float32: 1e-6}


# What is tried, in the processes and outside


def dealt(length, world, order):
    """Make shares; two orders more than there are, to which nobody has fitted the code."""
    if order in ("plain", "zigzag"):
        return shares(length, world, order)
    if order == "striped":
        return [torch.arange(length)[rank::world] for rank in range(world)]
    # One process holds nothing, the others what chance gives them, in no order.
    mixed = torch.randperm(length, generator=torch.Generator().manual_seed(length))
    return [mixed[:0], *mixed.tensor_split(world - 1)] if world > 1 else [mixed]


def lookup(length, split, padded, dtype, kv_heads):
    """Make a whole lookup, what is true of it, and what may be attended to."""
    query, grad = normal(BATCH, HEADS, length, D_K), normal(BATCH, HEADS, length, D_V, seed=1)
    key, value = (normal(BATCH, kv_heads, length, d, seed=d) for d in (D_K, D_V))
    tokens = normal(BATCH, length, seed=4) > 0
    if padded == "a row":
        tokens[0] = False
    elif padded == "a process":
        tokens = torch.ones_like(tokens)
        tokens[:, split[-1]] = False
    return [x.to(dtype) for x in (query, key, value, grad)], tokens if padded else None


def there_and_back(attends, tensors, grad, **settings):
    """Return the output and the three gradients."""
    tensors = [x.clone().requires_grad_() for x in tensors]
    output = attends(*tensors, **settings)
    return output.detach(), *torch.autograd.grad(output, tensors, grad)


def differences(case, world, rank):
    """Compare both ways with one process that has everything; how far off are they, for numbers of size 1?"""
    length, order, causal, padded, dtype, kv_heads, scale = case
    split = dealt(length, world, order)
    own = split[rank]
    (*tensors, grad), tokens = lookup(length, split, padded, dtype, kv_heads)
    mask = Padding(tokens) if padded else None
    mask = Causal() & mask if causal else mask
    wide = [x.double() for x in (*tensors, grad)]
    truth = there_and_back(attend, wide[:3], wide[3], mask=mask, scale=scale)
    settings = {"causal": causal, "scale": scale, "padding": tokens[:, own] if padded else None}
    mine = [x[..., own, :] for x in tensors]
    found = {}
    for name, way in WAYS.items():
        back = there_and_back(way, mine, grad[..., own, :], shares=split, **settings)
        assert {x.dtype for x in back} == {dtype}
        off = [
            float((x - y[..., own, :]).abs().max() / y.abs().max().clamp(min=1))
            if len(own)
            else 0.0
            for x, y in zip(back, truth, strict=True)
        ]
        found[name] = off
    return found


# Lengths that do not divide, shares of nothing, every order and mask, keys of all heads or of one.
CASES = list(
    itertools.product(
        [0, 1, 3, 7, 13, 16],
        ["plain", "zigzag", "striped", "odd"],
        [False, True],
        [None, "some", "a row", "a process"],
        list(BARS),
        [HEADS, 1],
        [None, -0.7],
    )
)
DRAWN = random.Random(0).sample(CASES, 60)


def assert_near(cases, found):
    """Check each difference against the bar of its type."""
    for case, ways_of_case in zip(cases, found, strict=True):
        for name, off in ways_of_case.items():
            for what, x in zip(("output", "query", "key", "value"), off, strict=True):
                assert x <= BARS[case[4]], f"{name}, {what}: off by {x:.1e} in {case}"


# In several processes


def everything(cases):
    """Try all that needs several processes."""
    world, rank = dist.get_world_size(), dist.get_rank()
    return {
        "differences": [differences(case, world, rank) for case in cases],
        "work": recorded(world, rank),
        "bytes": counted(world, rank),
        "narrow": narrow(world, rank),
        "group": in_a_group(world, rank),
        "second": second_derivatives(world, rank),
        "refused": refused(world, rank),
    }


def recorded(world, rank):
    """Record what pairs are computed at each step, there and back."""
    found = []
    for length, order, causal in itertools.product(
        (3, 13, 16), ("plain", "zigzag", "odd"), (False, True)
    ):
        steps = []

        def tiles(self, *rest, tiles=ring.Ring.tiles, steps=steps):
            steps.append(0)
            return tiles(self, *rest)

        def partial(query, key, *rest, partial_attend=ring.partial_attend, steps=steps):
            steps[-1] += query.shape[-2] * key.shape[-2]
            return partial_attend(query, key, *rest)

        def back(tensors, *rest, gradients=ring._gradients, steps=steps):
            steps[-1] += tensors[0].shape[-2] * tensors[1].shape[-2]
            return gradients(tensors, *rest)

        split = dealt(length, world, order)
        (*tensors, grad), tokens = lookup(length, split, "some", torch.float32, HEADS)
        own = [x[..., split[rank], :] for x in (*tensors, grad)]
        with pytest.MonkeyPatch.context() as patch:
            for name, recorder in (("partial_attend", partial), ("_gradients", back)):
                patch.setattr(ring, name, recorder)
            patch.setattr(ring.Ring, "tiles", tiles)
            mine = [x.clone().requires_grad_() for x in own[:3]]
            output = ring_attend(*mine, split, causal=causal, padding=tokens[:, split[rank]])
            there = steps.copy()
            steps.clear()
            output.backward(own[3])
        expected = pairs(split, causal)[rank].tolist()
        found.append((there, steps, expected))
    return found


def counted(world, rank):
    """Count bytes, there and back, beside what the formula says."""
    found = []
    for length, order, padded, dtype in itertools.product(
        (3, 13), ("plain", "zigzag", "odd"), (None, "some"), (torch.bfloat16, *BARS)
    ):
        split = dealt(length, world, order)
        (*tensors, grad), tokens = lookup(length, split, padded, dtype, HEADS)
        *mine, grad = (x[..., split[rank], :].clone() for x in (*tensors, grad))
        mine = [x.requires_grad_() for x in mine]
        with sent() as outer:
            with sent() as inner:
                padding = tokens[:, split[rank]] if padded else None
                output = ring_attend(*mine, split, causal=True, padding=padding)
            output.backward(grad)
        size = torch.finfo(dtype).bits // 8
        formula = [
            ring_bytes(split, (BATCH, HEADS), D_K, D_V, size, bool(padded), backward)[rank]
            for backward in (False, True)
        ]
        kinds = 3 if padded else 2
        held = [len(split[(rank - step) % world]) > 0 for step in range(world)]
        messages = [kinds * sum(held[:-1]), 2 * kinds * sum(held[:-1]) + 2 * sum(held)]
        found.append(
            ([inner.bytes, outer.bytes], formula, [inner.messages, outer.messages], messages)
        )
    return found


def narrow(world, rank):
    """Compute in bfloat16, beside float32 rounded at the end."""
    split = dealt(13, world, "zigzag")
    (*tensors, grad), _ = lookup(13, split, None, torch.bfloat16, HEADS)
    truth = there_and_back(attend, [x.float() for x in tensors], grad.float(), mask=Causal())
    mine = [x[..., split[rank], :] for x in tensors]
    own = {"shares": split, "causal": True}
    return [
        (
            there_and_back(way, mine, grad[..., split[rank], :], **own),
            [x[..., split[rank], :] for x in truth],
        )
        for way in WAYS.values()
    ]


def in_a_group(world, rank):
    """Attend among the last and the first process alone, in this order or the other."""
    members = [0, world - 1]
    group = dist.new_group(members)
    if rank not in members:
        return None
    place = dist.get_rank(group)
    split = dealt(7, 2, "zigzag")
    (*tensors, grad), _ = lookup(7, split, None, torch.float64, HEADS)
    truth = there_and_back(attend, tensors, grad, mask=Causal())
    mine = [x[..., split[place], :] for x in tensors]
    own = {"shares": split, "causal": True, "group": group}
    return [
        (
            there_and_back(way, mine, grad[..., split[place], :], **own),
            [x[..., split[place], :] for x in truth],
        )
        for way in WAYS.values()
    ]


def second_derivatives(world, rank):
    """Ask for the gradients of a sum of squares of gradients."""

    def twice(way, tensors, grad, **settings):
        tensors = [x.clone().requires_grad_() for x in tensors]
        first = torch.autograd.grad(way(*tensors, **settings), tensors, grad, create_graph=True)
        return torch.autograd.grad(sum(x.square().sum() for x in first), tensors)

    split = dealt(7, world, "plain")
    (*tensors, grad), _ = lookup(7, split, None, torch.float64, HEADS)
    truth = [x[..., split[rank], :] for x in twice(attend, tensors, grad, mask=Causal())]
    own = [x[..., split[rank], :] for x in (*tensors, grad)]
    try:
        twice(ring_attend, own[:3], own[3], shares=split, causal=True)
        said = "nothing"
    except RuntimeError as error:
        said = str(error)
    return twice(gathered_attend, own[:3], own[3], shares=split, causal=True), truth, said


def refused(world, rank):
    """Give shares for one process too many, and a share that is another process's."""
    said = []
    x = torch.zeros(1, 4, 2)
    for way in WAYS.values():
        for split in (dealt(5, world + 1, "plain"), dealt(5 * world, world, "plain")):
            try:
                way(x, x, x, split)
                said.append("nothing")
            except ValueError as error:
                said.append(str(error))
    return said


@pytest.fixture(scope="module", params=[2, 4])
def tried(request):
    """What came of everything in so many processes."""
    return run_on(request.param, everything, DRAWN, timeout=600)


@starts_processes
def test_both_ways_are_attend_there_and_back(tried):
    for of_process in tried:
        assert_near(DRAWN, of_process["differences"])
    assert {name for found in tried[0]["differences"] for name in found} == set(WAYS)


@starts_processes
def test_what_is_computed_is_what_pairs_counts(tried):
    for of_process in tried:
        for there, back, expected in of_process["work"]:
            assert there == back == expected


@starts_processes
def test_what_is_sent_is_what_the_formula_says(tried):
    for of_process in tried:
        for found, formula, messages, expected in of_process["bytes"]:
            assert found == formula and messages == expected


@starts_processes
def test_narrow_types_are_computed_in_float32(tried):
    eps = torch.finfo(torch.bfloat16).eps
    for of_process in tried:
        for found, truth in of_process["narrow"]:
            for x, y in zip(found, truth, strict=True):
                assert_close(x, y.bfloat16(), rtol=eps, atol=1e-6)


@starts_processes
def test_a_group_of_some_processes_has_ranks_of_its_own(tried):
    for rank, of_process in enumerate(tried):
        assert (of_process["group"] is None) == (rank not in (0, len(tried) - 1))
        for found, truth in of_process["group"] or []:
            assert_close(list(found), truth, **ROUNDING)


@starts_processes
def test_the_second_derivative_is_right_or_refused(tried):
    for of_process in tried:
        found, truth, said = of_process["second"]
        assert_close(list(found), truth, **ROUNDING)
        assert said.startswith("ring_attend has no second derivative: use gathered_attend")


@starts_processes
def test_shares_that_do_not_fit_the_processes_are_an_error(tried):
    for rank, of_process in enumerate(tried):
        n = len(tried)
        too_many = f"there must be one share for each process, got {n + 1} for {n}"
        too_short = (
            f"process {rank} holds 5 positions and needs so many queries and keys, "
            "got (1, 4, 2) and (1, 4, 2)"
        )
        assert of_process["refused"] == [too_many, too_short] * 2


# In one process alone


@ways
@given(
    length=st.integers(0, 9),
    seed=st.integers(0, 1000),
    causal=st.booleans(),
    padded=st.booleans(),
    scale=st.sampled_from([None, 0.0, -0.7]),
)
def test_alone_it_is_attend_in_any_order_of_the_positions(way, length, seed, causal, padded, scale):
    place = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    tensors = [normal(2, length, d, seed=seed + d) for d in (D_K, D_K, D_V)]
    grad, tokens = normal(2, length, D_V, seed=seed), normal(2, length, seed=seed + 1) > 0
    mask = place <= place[:, None] if causal else torch.ones(length, length, dtype=torch.bool)
    mask = mask & tokens[:, None] if padded else mask
    settings = {"causal": causal, "scale": scale, "padding": tokens if padded else None}
    found = there_and_back(way, tensors, grad, shares=[place], **settings)
    assert_close(found, there_and_back(attend, tensors, grad, mask=mask, scale=scale), **ROUNDING)
    blind = ~mask.expand(2, length, length).any(-1)
    assert (found[0][blind] == 0).all() and (found[1][blind] == 0).all()


@ways
def test_gradcheck(way):
    inputs = [normal(2, 5, 2, seed=seed).requires_grad_() for seed in range(3)]
    tokens = torch.tensor([[1, 1, 0, 1, 1], [0, 0, 1, 1, 1]]).bool()
    split = shares(5, 1, "zigzag")
    assert torch.autograd.gradcheck(lambda *x: way(*x, split, causal=True, padding=tokens), inputs)


@ways
@pytest.mark.rejects
def test_several_shares_need_several_processes(way):
    with pytest.raises(RuntimeError, match=r"several processes .*, got 2 shares and no process"):
        way(*torch.zeros(3, 4, 1), shares(8, 2))


@ways
@pytest.mark.rejects
def test_what_does_not_fit_is_an_error(way):
    x, split = torch.zeros(2, 4, 3), shares(4, 1)
    with pytest.raises(ValueError, match=r"holds 4 positions and .* got \(2, 3, 3\) and \(2, 4"):
        way(x[:, :3], x, x, split)
    with pytest.raises(ValueError, match=r"exactly once, got \[\[1, 2\]\]"):
        way(x, x, x, [torch.tensor([1, 2])])
    with pytest.raises(ValueError, match=r"padding of shape .*got \(2, 3\) and \(2, 4, 4\)"):
        way(x, x, x, split, padding=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"must be bool.* got torch\.int64"):
        way(x, x, x, split, padding=torch.ones(2, 4, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"numbers of one type, got .*float32 and torch\.float64"):
        way(x, x, x.double(), split)
    with pytest.raises(ValueError, match="scale must be a finite number, got inf"):
        way(x, x, x, split, scale=float("inf"))
