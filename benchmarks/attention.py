"""Attention alone: time and memory against torch's fused operation, and against the textbook form."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Case, Effort, Goal, assert_equal, compare, peak_memory, report
from minattn.dot_product import fused_attend
from minattn.masks import Causal, Mask, Padding
from minattn.scaling.blockwise import blockwise_attend

HEADS, D_HEAD = 8, 64
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
MEMORY_LENGTHS = (1024, 4096, 32768)
THREADS = 2

Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def textbook(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Attend with a table of all weights, as most tutorials write it."""
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -math.inf)
    return torch.softmax(scores, dim=-1) @ value


def forms(length: int, causal: bool, padding: bool) -> dict[str, Form]:
    """Make all ways to attend; with padding, the last quarter of the keys is padding."""
    tokens = (torch.arange(length) < length - length // 4)[None] if padding else None
    mask: Mask = Causal() if causal else None
    allowed = Causal().to_bool((length, length)) if causal else None
    if tokens is not None:
        mask = Padding(tokens) & Causal() if causal else Padding(tokens)
        row = tokens[:, None, None]
        allowed = row if allowed is None else row & allowed
    flag = causal and tokens is None
    return {
        "SDPA": partial(
            F.scaled_dot_product_attention, attn_mask=None if flag else allowed, is_causal=flag
        ),
        "minattn": partial(fused_attend, mask=mask),
        "blockwise": partial(blockwise_attend, mask=mask),
        "textbook": partial(textbook, allowed=allowed),
    }


def inputs(length: int, backward: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Make query, key and value, the same for every form."""
    generator = torch.Generator().manual_seed(length)
    q, k, v = torch.randn(3, 1, HEADS, length, D_HEAD, generator=generator).unbind()
    return tuple(x.clone().requires_grad_(backward) for x in (q, k, v))


def forward(form: Form, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """Attend, and keep nothing for a backward pass."""
    with torch.no_grad():
        return [form(*tensors)]


def forward_backward(form: Form, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """Attend, and return the gradients too."""
    output = form(*tensors)
    return [output.detach(), *torch.autograd.grad(output, tensors, output.detach())]


def measure(effort: Effort) -> list[Case]:
    """Weigh all forms, then time them at all lengths."""
    cases = [] if effort.quick else [memory_one(length) for length in MEMORY_LENGTHS]
    for backward in (False, True):
        for causal in (False, True):
            for padding in (False, True):
                for length in (512,) if effort.quick else LENGTHS:
                    cases.append(time_one(length, causal, padding, backward, effort))
    return cases


def time_one(length: int, causal: bool, padding: bool, backward: bool, effort: Effort) -> Case:
    """Time all forms at one length."""
    work = forward_backward if backward else forward
    tensors = inputs(length, backward)
    calls: dict[str, Callable[[], Any]] = {
        name: partial(work, form, tensors) for name, form in forms(length, causal, padding).items()
    }
    goals = [Goal("minattn", at_most=1.05), Goal("textbook", at_least=1.0)]
    if length >= 512 and not padding:
        goals.append(Goal("blockwise", at_most=1.8 if backward else 1.4))
    return compare(
        calls,
        reference="SDPA",
        settings={
            "measured": "time",
            "pass": "forward and backward" if backward else "forward",
            "causal": causal,
            "padding": padding,
            "length": length,
        },
        equal=lambda: assert_equal({name: call() for name, call in calls.items()}, "SDPA", 1e-4),
        goals=goals,
        effort=replace(effort, rounds=min(effort.rounds, 7)) if length > 1024 else effort,
        threads=THREADS,
    )


def memory_one(length: int) -> Case:
    """Weigh the forms at one length, forward and backward, causal."""
    names = [n for n in forms(1, True, False) if n != "textbook" or length <= LONGEST_TABLE]
    grown = {name: peak_memory("attention.attend_once", name, length) for name in names}
    ratios = {name: (grown[name] / grown["SDPA"],) * 3 for name in names if name != "SDPA"}
    case = Case(
        settings={"measured": "memory", "pass": "forward and backward", "causal": True}
        | {"padding": False, "length": length},
        reference="SDPA",
        ratios=ratios,
        seconds={},
        more={name: {"bytes": grown[name]} for name in names},
    )
    report(case)
    return case


def attend_once(name: str, length: int) -> Callable[[], Any]:
    """Prepare one forward and backward pass, to be weighed."""
    form, tensors = forms(length, True, False)[name], inputs(length, backward=True)
    forward_backward(forms(8, True, False)[name], inputs(8, backward=True))  # load what is needed
    return partial(forward_backward, form, tensors)
