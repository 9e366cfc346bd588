"""What the experiments of chapter 21 measure: ways of explaining, beside what is known and what it costs to know."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minattn.multihead import MultiHeadAttention
from minattn.pointing import pointing
from minattn.probing.agreement import agreement
from minattn.probing.attribution import (
    Decide,
    gradient_times_input,
    gradient_times_weight,
    head_weights,
    leave_one_out,
    leave_out_keys,
    mean_weights,
    rollout,
    weighted_norms,
)

REFERENCES = ("leave one out", "leave out a key")


@dataclass(frozen=True)
class Case:
    """Decisions of one model that are to be explained, and what is known of them.

    Args:
        decide: runs the model on the examples.
        right: which decisions are right.
        truth: where each should look, (batch, queries, keys).
        allowed: where there is something to look at, (batch, 1 or queries, keys).
        parts: places that attend, each to what the inputs became, first to last.
        inputs: makes the inputs.
        calls: which of its calls make them.
        stack: layers in which the inputs attend to each other.
        crossing: whether the last place attends to them from elsewhere.
    """

    decide: Decide
    right: Tensor
    truth: Tensor
    allowed: Tensor
    parts: Sequence[nn.Module]
    inputs: nn.Module
    calls: tuple[int, ...] = (0,)
    stack: nn.Module | None = None
    crossing: bool = False

    @property
    def counted(self) -> Tensor:
        """Which decisions are explained: where it is known where to look, those that are right, if any are."""
        there = (self.truth & self.allowed).any(-1)
        return there & self.right if bool((there & self.right).any()) else there


def best_head(case: Case) -> tuple[int, int]:
    """Choose place and head that look where they should most often."""
    found = {}
    for place, part in enumerate(case.parts):
        inside = pointing(head_weights(case.decide, part), case.truth, case.counted, case.allowed)
        found |= {(place, head): x for head, x in enumerate(inside.inside.tolist())}
    return max(found, key=lambda which: found[which])


def methods(case: Case, head: tuple[int, int]) -> dict[str, Callable[[], Tensor]]:
    """Say how every way explains a case."""
    last, (place, number) = case.parts[-1], head
    out_proj = last.out_proj if isinstance(last, MultiHeadAttention) else None

    def rolled() -> Tensor:
        if case.stack is None:
            return mean_weights(case.decide, last)
        return rollout(case.decide, case.stack, last if case.crossing else None)

    return {
        "weights": lambda: mean_weights(case.decide, last),
        "best head": lambda: head_weights(case.decide, case.parts[place])[:, number],
        "rollout": rolled,
        "weight times value": lambda: weighted_norms(case.decide, last, out_proj),
        "gradient times weight": lambda: gradient_times_weight(case.decide, last, case.counted),
        "gradient times input": lambda: gradient_times_input(
            case.decide, case.inputs, case.calls, case.counted
        ),
        "leave out a key": lambda: leave_out_keys(case.decide, last),
        "leave one out": lambda: leave_one_out(case.decide, case.inputs, case.calls),
    }


def explained(chosen_by: Case, case: Case) -> dict[str, Any]:
    """Score all ways of explaining; the best head is chosen by other examples.

    Returns:
        For each way how often its largest score is on a right key, the share of all that is positive on right keys,
        and how far it agrees with leaving each input out, and each key. And how many decisions there were.
    """
    found: dict[str, Any] = {}
    head = best_head(chosen_by)
    told = {name: way().detach() for name, way in methods(case, head).items()}
    for name, scores in told.items():
        for_it = scores.masked_fill(~case.allowed, 0.0).clamp_min(0)
        for_it = for_it / for_it.sum(-1, keepdim=True).clamp_min(1e-30)
        chosen = scores.masked_fill(~case.allowed, -1e30)
        at = pointing(chosen, case.truth, case.counted, case.allowed)
        mass = pointing(for_it, case.truth, case.counted, case.allowed).mass
        same, key = (agreement(scores, told[way], case.counted, case.allowed) for way in REFERENCES)
        found[name] = {
            "inside": at.inside.item(),
            "mass": mass.item(),
            "rank": same.rank,
            "top": same.top,
            "rank, key": key.rank,
            "top, key": key.top,
        } | among_others(case, scores, told["leave one out"])
    known = (case.truth & case.allowed).any(-1)
    return {
        "ways": found,
        "chance": at.chance,
        "decisions": int(case.counted.sum()),
        "right": case.right[known].double().mean().item(),
        "best head": list(head),
    }


def among_others(case: Case, scores: Tensor, reference: Tensor) -> dict[str, float]:
    """Score a way once more where a token attends to itself, too, and what stands there counts for itself: without it.

    Taking a token away also takes away what passes attention by, so that leaving out mostly says "itself".
    """
    if case.stack is None or case.crossing:
        return {}
    itself = torch.eye(scores.shape[-1], dtype=torch.bool)
    others = case.allowed & ~itself
    counted = case.counted & (case.truth & others).any(-1)
    at = pointing(scores.masked_fill(~others, -1e30), case.truth, counted, others)
    return {
        "inside, others": at.inside.item(),
        "top, others": agreement(scores, reference, counted, others).top,
    }
