"""Layers of the Transformer against torch's own, with the same weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Case, Effort, Goal, assert_equal, compare
from minattn.masks import Causal, Padding
from minattn.multihead import MultiHeadAttention
from minattn.transformer import DecoderBlock, EncoderBlock

SIZES = {
    "the course's": {"d_model": 64, "n_heads": 4, "d_ff": 128, "batch": 32, "length": 20},
    "the paper's": {"d_model": 512, "n_heads": 8, "d_ff": 2048, "batch": 8, "length": 100},
}

Call = Callable[[Tensor], Tensor]


def pairs(
    size: dict[str, int], padding: bool, training: bool
) -> dict[str, tuple[nn.Module, Call, nn.Module, Call]]:
    """Make ours and torch's of every layer, each with a way to call it on tokens."""
    d_model, n_heads, d_ff = size["d_model"], size["n_heads"], size["d_ff"]
    batch, length = size["batch"], size["length"]
    lengths = torch.arange(batch) % (length // 2) + (length - length // 2)
    tokens = torch.arange(length) < lengths[:, None]
    mask = Padding(tokens) if padding else None
    blocked = ~tokens if padding else None
    ahead = ~Causal().to_bool((length, length))
    memory = torch.randn(batch, length, d_model)

    attention = MultiHeadAttention(d_model, n_heads)
    encoder = EncoderBlock(d_model, n_heads, d_ff)
    decoder = DecoderBlock(d_model, n_heads, d_ff)
    ours: list[nn.Module] = [attention, encoder, decoder]
    theirs: list[Any] = [attention.to_torch(), encoder.to_torch(), decoder.to_torch()]
    for layer in (*ours, *theirs):
        layer.train(training)
    calls: list[tuple[Call, Call]] = [
        (
            lambda x: attention(x, x, x, mask),
            lambda x: theirs[0](x, x, x, key_padding_mask=blocked, need_weights=False)[0],
        ),
        (
            lambda x: encoder(x, mask),
            lambda x: theirs[1](x, src_key_padding_mask=blocked),
        ),
        (
            lambda x: decoder(x, memory, memory_mask=mask),
            lambda x: theirs[2](
                x, memory, tgt_mask=ahead, tgt_is_causal=True, memory_key_padding_mask=blocked
            ),
        ),
    ]
    names = ("multi-head attention", "encoder layer", "decoder layer")
    return {name: (ours[i], calls[i][0], theirs[i], calls[i][1]) for i, name in enumerate(names)}


def infer(call: Call, x: Tensor) -> list[Tensor]:
    """Run a layer as one does when it is used."""
    with torch.no_grad():
        return [call(x)]


def train(layer: nn.Module, call: Call, x: Tensor) -> list[Tensor]:
    """Run a layer forward and backward, as one does when it learns; return output and gradient."""
    layer.zero_grad()
    x = x.detach().requires_grad_()
    output = call(x)
    output.backward(output.detach())
    return [output.detach(), x.grad]


def measure(effort: Effort) -> list[Case]:
    """Time every layer in both modes, at both sizes, with padding and without, on one core and on two."""
    cases = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for size in SIZES:
            for training in (False, True):
                for padding in (False,) if effort.quick else (False, True):
                    cases += time_layers(size, training, padding, threads, effort)
    return cases


def time_layers(
    name: str, training: bool, padding: bool, threads: int, effort: Effort
) -> list[Case]:
    """Time every layer in one mode."""
    size, cases = SIZES[name], []
    x = torch.randn(size["batch"], size["length"], size["d_model"])
    for layer, (ours, our_call, theirs, their_call) in pairs(size, padding, training).items():
        calls: dict[str, Callable[[], list[Tensor]]] = {
            "torch": partial(infer, their_call, x),
            "minattn": partial(infer, our_call, x),
        }
        if training:
            calls = {
                "torch": partial(train, theirs, their_call, x),
                "minattn": partial(train, ours, our_call, x),
            }
        case = compare(
            calls,
            reference="torch",
            settings={
                "size": name,
                "mode": "training" if training else "inference",
                "padding": padding,
                "threads": threads,
                "layer": layer,
            },
            equal=partial(agreement, calls),
            goals=[Goal("minattn", at_most=1.05)],
            effort=effort,
            threads=threads,
        )
        cases.append(case)
    return cases


def agreement(calls: dict[str, Callable[[], list[Tensor]]]) -> float:
    """Assert that outputs and gradients agree."""
    return assert_equal({name: call() for name, call in calls.items()}, "torch", 2e-4)
