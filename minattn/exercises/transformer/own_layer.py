"""What there is to see of a feed-forward that a learner wrote as a module."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from minattn.exercises.comparing import same
from minattn.exercises.exercise import Answer, numbers
from minattn.exercises.stubs import is_stub
from minattn.training import seeded

_ROUNDING = 1e-5


@dataclass(frozen=True)
class Found:
    """Something about a layer, in words.

    Args:
        kind: what is compared: two layers of the same fault have the same kind.
        told: what is said to the learner.
    """

    kind: Any
    told: str = field(compare=False)

    def __repr__(self) -> str:
        return self.told


AS_ASKED = Found("as asked", "the four parameters that are asked for")
A_LAYER = Found("a layer", "no class, but a layer made from it")
NOT_CALLED = Found("not called", "so it was not called")
NO_ONE_RESULT = Found("no one result", "so there is nothing to compare")


def look_into(make: Answer, d_model: int, d_ff: int, x: Tensor) -> Any:
    """Make a layer, give it known weights, and return what its parameters are and what it returns.

    Where the parameters are not those that are asked for, there is nothing that it returns.
    """
    if isinstance(make, nn.Module):
        return [A_LAYER, NOT_CALLED]
    forward = getattr(make, "forward", None)
    if forward is not None and is_stub(forward):
        return ...
    with seeded(0):
        layer = make(d_model, d_ff)
    if layer is ...:
        return layer
    if not isinstance(layer, nn.Module):
        return [Found("no module", f"no nn.Module: {layer!r}"[:80]), NOT_CALLED]
    parameters = _parameters(layer, d_model, d_ff)
    if parameters != AS_ASKED:
        return [parameters, NOT_CALLED]
    with torch.no_grad():
        for seed, (_, p) in enumerate(sorted(layer.named_parameters()), 630):
            p.copy_(numbers(seed, *p.shape) / 2)
    return _outcome(layer, x)


def _outcome(layer: nn.Module, x: Tensor) -> Any:
    """Return what a layer says of its parameters when it is called, and what it returns."""
    before = x.clone()
    output = layer.train()(x)
    if not isinstance(output, Tensor):
        return output if output is None or output is ... else [AS_ASKED, output]
    again, evaluated = layer(before.clone()), layer.eval()(before)
    if not (same(again, output, _ROUNDING) and same(evaluated, output, _ROUNDING)):
        told = "a layer whose result is another in training, or at every call"
        return [Found("not always the same", told), NO_ONE_RESULT]
    if output.requires_grad:
        output.sum().backward()  # type: ignore[no-untyped-call]
    silent = [name for name, p in layer.named_parameters() if p.grad is None]
    if silent:
        return [Found("silent", f"parameters without gradient: {', '.join(silent)}"), output]
    return [AS_ASKED, output]


def _parameters(layer: nn.Module, d_model: int, d_ff: int) -> Found:
    """Compare the parameters that a layer has with those that it should have."""
    wanted = {
        "up_proj.weight": (d_ff, d_model),
        "up_proj.bias": (d_ff,),
        "down_proj.weight": (d_model, d_ff),
        "down_proj.bias": (d_model,),
    }
    had = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    if had == wanted:
        return AS_ASKED
    told = "parameters " + ", ".join(f"{name} {shape}" for name, shape in had.items())
    if not had:
        kept = ", ".join(sorted(set(_kept(layer)))) or "nothing"
        return Found(("none", kept), f"no parameters; what the layer keeps: {kept}")
    if wanted.items() < had.items():
        return Found("more", told)
    if sorted(had.values()) == sorted(wanted.values()) and had.keys() != wanted.keys():
        return Found("other names", told)
    return Found(tuple(sorted(had.items())), told)


def _kept(layer: nn.Module) -> Iterator[str]:
    """Name what a layer without parameters keeps all the same."""
    own = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    for value in (*own.values(), *layer.buffers()):
        if isinstance(value, Tensor):
            yield "tensors"
        elif isinstance(value, list | tuple | dict):
            inside = value.values() if isinstance(value, dict) else value
            if any(isinstance(part, nn.Module | nn.Parameter) for part in inside):
                yield "layers in a list"
