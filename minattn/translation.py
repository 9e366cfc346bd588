"""The one interface of everything that translates a sequence, and the translation that needs no more than it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.seam import check_sizes
from minattn.tasks.base import Example, Task
from minattn.vocabulary import BOS, EOS, PAD


class Memory(NamedTuple):
    """What an encoder leaves for the decoder.

    Args:
        states: one vector for each source position.
        mask: True where the source has a token, False where it has padding.
    """

    states: Float[Tensor, "batch source d_memory"]
    mask: Bool[Tensor, "batch source"]


State = tuple[Tensor, ...]
"""What a decoder carries from one step to the next: tensors whose first axis is the batch."""


class Translator(nn.Module, ABC):
    """A model that reads a source and writes a target, one token after the other.

    A subclass says how to encode, how to start and how to take one step. Teacher forcing, greedy translation
    and everything that scores or searches follow from these three. A subclass that can do all steps of
    teacher forcing at once overrides ``forward`` and must give the same result.
    """

    @abstractmethod
    def encode(self, source: Int[Tensor, "batch source"]) -> Memory:
        """Read the source, padded with ``PAD``."""

    @abstractmethod
    def start(self, memory: Memory) -> State:
        """Return the state before the first target token."""

    @abstractmethod
    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; return the logits of the next one and the new state."""

    def forward(
        self, source: Int[Tensor, "batch source"], target_in: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits of every target token, each given the right tokens before it (teacher forcing).

        Raises:
            ValueError: if the batch or a sequence is empty, or the two batches differ.
            TypeError: if the ids are not whole numbers of dtype int64.
        """
        check_ids(source, target_in)
        memory = self.encode(source)
        state = self.start(memory)
        logits = []
        for token in target_in.unbind(1):
            step_logits, state = self.step(token, state, memory)
            logits.append(step_logits)
        return torch.stack(logits, dim=1)


def check_ids(source: Tensor, target_in: Tensor | None = None) -> None:
    """Reject ids that no model can read.

    Raises:
        ValueError: if the batch or a sequence is empty, or the two batches differ.
        TypeError: if the ids are not whole numbers of dtype int64.
    """
    for name, ids in (("source", source), ("target_in", target_in)):
        if ids is None:
            continue
        if ids.dtype != torch.int64:
            raise TypeError(f"{name} must hold ids of dtype torch.int64, got {ids.dtype}")
        if ids.ndim != 2 or 0 in ids.shape:
            raise ValueError(
                f"{name} must have shape (batch, length), neither 0, got {tuple(ids.shape)}"
            )
    if not bool((source != PAD).any(1).all()):
        row = int((source != PAD).any(1).int().argmin())
        raise ValueError(f"every source needs at least one token, got only padding in row {row}")
    holes = (source[:, :-1] == PAD) & (source[:, 1:] != PAD)
    if bool(holes.any()):
        row = int(holes.any(1).int().argmax())
        raise ValueError(
            f"padding must stand behind the tokens, got {source[row].tolist()} in row {row}"
        )
    if target_in is not None and len(source) != len(target_in):
        raise ValueError(
            "source and target_in must have the same batch size, "
            f"got {tuple(source.shape)} and {tuple(target_in.shape)}"
        )


@torch.no_grad()
def write(
    model: Translator,
    source: Int[Tensor, "batch source"],
    choose: Callable[[Tensor], Tensor],
    max_length: int = 50,
) -> Int[Tensor, "batch target"]:
    """Write one token after the other, each chosen from the logits.

    Args:
        model: any translator; it is used in the mode it is in, so call ``model.eval()`` if it has dropout.
        source: ids of the source, padded with ``PAD``.
        choose: takes logits (batch, vocab) and returns one token for each row, (batch,).
        max_length: stop after this many tokens.

    Returns:
        The ids of the target without ``BOS``; each row ends with ``EOS`` where the model said so, then ``PAD``.

    Raises:
        ValueError: if ``max_length`` is below 1 or the source is empty.
    """
    check_sizes(max_length=max_length)
    check_ids(source)
    memory = model.encode(source)
    state = model.start(memory)
    token = torch.full((len(source),), BOS)
    finished = torch.zeros(len(source), dtype=torch.bool)
    out = []
    for _ in range(max_length):
        logits, state = model.step(token, state, memory)
        token = choose(logits).masked_fill(finished, PAD)
        out.append(token)
        finished = finished | (token == EOS)
        if bool(finished.all()):
            break
    return torch.stack(out, dim=1)


def greedy(
    model: Translator, source: Int[Tensor, "batch source"], max_length: int = 50
) -> Int[Tensor, "batch target"]:
    """Translate by taking the likeliest token at every step; see ``write``."""
    return write(model, source, lambda logits: logits.argmax(-1), max_length)


Decode = Callable[[Translator, Tensor, int], Tensor]
"""``decode(model, source, max_length) -> ids``, as ``greedy`` is."""


def translate(
    model: Translator,
    task: Task,
    examples: Sequence[Example],
    max_length: int = 50,
    decode: Decode = greedy,
) -> list[list[str]]:
    """Translate examples of a task, and return the tokens.

    Args:
        model: the translator.
        task: whose vocabularies to read and write with.
        examples: what to translate; only the sources are read.
        max_length: stop after this many tokens.
        decode: how to write; greedily if not given.

    Raises:
        ValueError: if there is no example.
    """
    was_training = model.training
    model.eval()
    try:
        ids = decode(model, task.batch(examples).source, max_length)
    finally:
        model.train(was_training)
    return [task.target.decode(row) for row in ids.tolist()]
