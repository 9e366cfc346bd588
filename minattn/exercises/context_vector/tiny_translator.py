"""A small translator that can be trained, and what is looked at after a step, for exercise 1.7."""

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from minattn.exercises.exercise import Answer, numbers
from minattn.exercises.telling import brief
from minattn.vocabulary import PAD

Part = tuple[Tensor, Tensor, Tensor]
"""Source, target_in and target_out."""


class _Graph:
    """What a graph is known by: it lives as long as the graph does."""


class TinyTranslator(nn.Module):
    """A translator with the interface of the real ones, as strict about what it is given, and short of memory.

    In training mode it leaves out a number of its state, always the same one: a dropout that draws nothing.

    Args:
        seed: of its weights.
        d_model: width of embeddings and state.
        room: for how many positions it has memory; a graph holds its own until backward, or until it is gone.
        old_gradients: whether gradients of an earlier step lie in its weights when it is trained.
    """

    vocab_size = 7

    def __init__(self, seed: int, d_model: int, room: int, old_gradients: bool = False) -> None:
        super().__init__()
        self.room, self.old_gradients = room, old_gradients
        self.graphs: WeakKeyDictionary[_Graph, int] = WeakKeyDictionary()
        self.source_embedding = nn.Parameter(numbers(seed, self.vocab_size, d_model))
        self.target_embedding = nn.Parameter(numbers(seed + 1, self.vocab_size, d_model))
        self.readout = nn.Parameter(10 * numbers(seed + 2, d_model, self.vocab_size))

    def __repr__(self) -> str:
        old = ", gradients of an earlier step in its weights" if self.old_gradients else ""
        return f"TinyTranslator(d_model={len(self.readout)}{old})"

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return logits of shape (batch, seq, vocab_size)."""
        for ids in (source, target_in):
            if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype != torch.long:
                raise ValueError(f"a model takes ids of shape (batch, seq), got {brief(ids)}")
        if target_in.numel() > self.room:
            raise MemoryError("out of memory: this is more than the largest part")
        if target_in.numel() + sum(self.graphs.values()) > self.room:
            raise MemoryError("out of memory: the graph of another part is still there")
        real = (source != PAD)[..., None]
        context = (self.source_embedding[source] * real).sum(1, keepdim=True) / real.sum(
            1, keepdim=True
        )
        state = torch.tanh(context + self.target_embedding[target_in])
        if self.training:
            state = state * (torch.arange(state.shape[-1]) > 0)
        logits = state @ self.readout
        if logits.requires_grad:
            graph = _Graph()  # held by the hook alone, which the graph holds
            self.graphs[graph] = target_in.numel()
            logits.register_hook(  # type: ignore[no-untyped-call]
                lambda _: self.graphs.update({graph: 0})
            )
        return logits


class Outcome(NamedTuple):
    """What is to be seen of a training step.

    Args:
        loss: what was returned; a tensor that can still be differentiated is told in words.
        weights: all weights after the step, those of the readout last.
        moved: the length of the step.
    """

    loss: Any
    weights: list[float]
    moved: float

    def __repr__(self) -> str:
        last = ", ".join(f"{weight:.4g}" for weight in self.weights[-3:])
        return (
            f"loss {brief(self.loss)}; a step of length {self.moved:.4g}, the last weights {last}"
        )


def take_step(
    answer: Answer, model: TinyTranslator, optimizer: torch.optim.Optimizer, parts: list[Part]
) -> Any:
    """Let an answer take a training step, and return what is to be seen of it."""
    if model.old_gradients:
        source, target_in, _ = parts[0]
        model(source.flip(0), target_in).square().mean().backward()
    before = nn.utils.parameters_to_vector(model.parameters()).detach()
    loss = answer(model, optimizer, parts)
    if loss is None or loss is ...:
        return loss
    if isinstance(loss, Tensor) and loss.requires_grad:
        loss = "a tensor that still holds its graph"
    after = nn.utils.parameters_to_vector(model.parameters()).detach()
    return Outcome(loss, after.tolist(), float((after - before).norm()))
