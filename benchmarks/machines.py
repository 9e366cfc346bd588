"""Chapter 23 by a clock: a step of training with replicas, and attention over a ring, beside one process.

All processes are started once for a case, each with one thread. Contestants take turns; those that a contestant does
not need wait. With more processes than cores, several share a core.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks.attention import inputs
from benchmarks.harness import THREADS, Case, Effort, assert_equal, judged
from minattn.language.gpt import GPT
from minattn.positions import with_rotary
from minattn.scaling.distributed import part_of, replicate, share_of_loss
from minattn.scaling.processes import run_on
from minattn.scaling.ring import ring_attend
from minattn.scaling.shares import Order, shares
from minattn.training import seeded, token_loss
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import BOS, Batch

WORLDS = (1, 2, 4)
BATCH, TOKENS, VOCABULARY = 16, 128, 400
LENGTH, QUICK_LENGTH = 2048, 512
LONGEST = 3600.0
"""Seconds that a case may take."""

Call = Callable[[], list[Tensor]]
Contestants = dict[str, tuple[int, Call]]
"""By name: with how many processes, and what each of them calls."""


def measure(effort: Effort) -> list[Case]:
    """Measure steps with a batch for all and a batch for each, and a ring there and back."""
    return [
        side_by_side(steps, effort, "a step, one batch for all"),
        side_by_side(steps, effort, "a step, a batch for each", each=True),
        side_by_side(rings, effort, "a ring", length=QUICK_LENGTH if effort.quick else LENGTH),
    ]


def side_by_side(make: Callable[..., Contestants], effort: Effort, what: str, **size: int) -> Case:
    """Time the contestants that a function makes in every process."""
    found = run_on(max(WORLDS), take_turns, make, effort, size, timeout=LONGEST)
    times, outputs = found[0]
    reference = next(iter(times))
    together = gathered if make is rings else next
    same = {name: together(one[name] for _, one in found if name in one) for name in outputs}
    # With a batch for each, more processes read more, and results differ.
    difference = 0.0 if size.get("each") else assert_equal(same, reference, 1e-4)
    settings = {"measured": what, "cores": os.cpu_count(), "threads": THREADS} | size
    return judged(times, reference, settings, difference)


def gathered(found: Iterable[list[Tensor]]) -> list[Tensor]:
    """Put together the shares of a ring, in the order of the positions, which come last."""
    *shared, positions = zip(*found, strict=True)
    order = torch.cat(positions).argsort()
    return [torch.cat(parts, dim=2)[:, :, order] for parts in shared]


def take_turns(
    make: Callable[..., Contestants], effort: Effort, size: dict[str, Any]
) -> tuple[dict[str, list[float]], dict[str, list[Tensor]]]:
    """Be one of the processes: return the times of all contestants, and what this one found."""
    contestants = make(groups(), **size)
    outputs = {name: call() for name, (n, call) in contestants.items() if dist.get_rank() < n}
    numbers = {name: how_often(*x, effort.sample) for name, x in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    orders = itertools.cycle([list(contestants), list(reversed(contestants))])
    for _, order in zip(range(effort.rounds), orders, strict=False):
        for name in order:
            times[name].append(seconds(*contestants[name], numbers[name]))
    return times, outputs


def groups() -> dict[int, Any]:
    """Make a group of the first processes for each number of them."""
    return {n: dist.new_group(list(range(n))) for n in WORLDS}


def seconds(n: int, call: Call, times: int) -> float:
    """Time a call that the first n processes make."""
    dist.barrier()
    begin = time.perf_counter()
    if dist.get_rank() < n:
        for _ in range(times):
            call()
    dist.barrier()
    return (time.perf_counter() - begin) / times


def how_often(n: int, call: Call, sample: float) -> int:
    """Say how many calls make a sample, in all processes the same."""
    once = torch.tensor(min(seconds(n, call, 1) for _ in range(3)))
    dist.broadcast(once, 0)
    return max(1, round(sample / once.item()))


def steps(groups: dict[int, Any], each: bool = False) -> Contestants:
    """Make a step of training a small GPT, without its optimizer, with any number of processes."""
    found: Contestants = {}
    for n, group in groups.items():
        if dist.get_rank() < n:
            with seeded(0):
                blocks = [EncoderBlock(64, 2, 256, attend=with_rotary()) for _ in range(2)]
                model = GPT(VOCABULARY, TransformerEncoder(blocks, nn.LayerNorm(64)), tied=True)
                ids = torch.randint(3, VOCABULARY, (BATCH * (n if each else 1), TOKENS))
            batch = Batch(torch.full((len(ids), 1), BOS), ids, ids.roll(-1, dims=1))
            call = one_step(model, batch, n, group)
        else:
            call = list
        found[f"{n} process{'es' * (n > 1)}"] = n, call
    return found


def one_step(model: GPT, batch: Batch, n: int, group: Any) -> Call:
    """Make the forward and backward pass of one process."""
    learner = replicate(model, group)
    part, n_tokens = part_of(batch, dist.get_rank(), n)

    def call() -> list[Tensor]:
        learner.zero_grad()
        logits = learner(part.source, part.target_in)
        share_of_loss(token_loss(logits, part.target_out), n_tokens, group).backward()
        return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]

    return call


def rings(groups: dict[int, Any], length: int) -> Contestants:
    """Make causal attention over a ring, there and back."""
    found: Contestants = {"1 process": (1, one_ring(length, 1, "plain", groups[1]))}
    for order in ("plain", "zigzag"):
        found[f"2 processes, {order}"] = 2, one_ring(length, 2, order, groups[2])
    return found


def one_ring(length: int, n: int, order: Order, group: Any) -> Call:
    """Make the part of one process; it returns outputs and gradients, and where they belong."""
    rank = dist.get_rank()
    if rank >= n:
        return list
    dealt = shares(length, n, order)
    own = [x[:, :, dealt[rank]].requires_grad_() for x in inputs(length)]

    def call() -> list[Tensor]:
        output = ring_attend(*own, dealt, causal=True, group=group)
        return [output.detach(), *torch.autograd.grad(output.sum(), own), dealt[rank]]

    return call
