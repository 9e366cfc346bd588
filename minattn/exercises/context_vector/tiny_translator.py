"""A small translator that can be trained, and what is looked at after a step, for exercise 1.7."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minattn.exercises.exercise import Answer, numbers
from minattn.exercises.telling import brief
from minattn.vocabulary import PAD


class TinyTranslator(nn.Module):
    """A translator with the interface of the real ones, and as strict about what it is given.

    In training mode it leaves out a number of its state, always the same one: a dropout that draws nothing.

    Args:
        seed: of its weights.
        d_model: width of embeddings and state.
        old_gradients: whether gradients of an earlier step lie in its weights when it is trained.
    """

    vocab_size = 7

    def __init__(self, seed: int, d_model: int, old_gradients: bool = False) -> None:
        super().__init__()
        self.old_gradients = old_gradients
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
        real = (source != PAD)[..., None]
        context = (self.source_embedding[source] * real).sum(1, keepdim=True) / real.sum(
            1, keepdim=True
        )
        state = torch.tanh(context + self.target_embedding[target_in])
        if self.training:
            state = state * (torch.arange(state.shape[-1]) > 0)
        return state @ self.readout


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
    answer: Answer,
    model: TinyTranslator,
    optimizer: torch.optim.Optimizer,
    source: Tensor,
    target_in: Tensor,
    target_out: Tensor,
) -> Any:
    """Let an answer take a training step, and return what is to be seen of it."""
    if model.old_gradients:
        model(source.flip(0), target_in).square().mean().backward()
    before = nn.utils.parameters_to_vector(model.parameters()).detach()
    loss = answer(model, optimizer, source, target_in, target_out)
    if loss is None or loss is ...:
        return loss
    if isinstance(loss, Tensor) and loss.requires_grad:
        loss = "a tensor that still holds its graph"
    after = nn.utils.parameters_to_vector(model.parameters()).detach()
    return Outcome(loss, after.tolist(), float((after - before).norm()))
