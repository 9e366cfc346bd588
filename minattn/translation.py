"""The one interface of everything that translates a sequence, and the translation that needs no more than it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn.checks import check_sizes
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
    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Read the source: ids, or what else the model reads.

        Args:
            source: ids padded with ``PAD``; or vectors, one for each frame or patch.
            source_mask: True where the source has something; ids need none.
        """

    @abstractmethod
    def start(self, memory: Memory) -> State:
        """Return the state before the first target token."""

    @abstractmethod
    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; return the logits of the next one and the new state."""

    def check_source(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> None:
        """Reject a source that the model cannot read. Here that is all but ids; who reads vectors overrides it.

        Raises:
            ValueError: if the source is empty or has the wrong shape, or its mask does not fit.
            TypeError: if its numbers are of the wrong kind.
        """
        check_ids(source, source_mask=source_mask)

    def memory_of(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
        target_in: Int[Tensor, "batch target"] | None = None,
    ) -> Memory:
        """Check a source, and the target that goes with it if there is one; encode the source."""
        self.check_source(source, source_mask)
        if target_in is not None:
            check_target(target_in, source)
        # A model that reads no mask is given none.
        return self.encode(source) if source_mask is None else self.encode(source, source_mask)

    def first_token(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Int[Tensor, " batch"]:
        """Return the token after which a model begins to write: ``BOS``, if it does not go on with its source."""
        return torch.full((len(source),), BOS, device=source.device)

    def forward(
        self,
        source: Shaped[Tensor, "batch source *features"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits of every target token, each given the right tokens before it (teacher forcing).

        Raises:
            ValueError: if the batch or a sequence is empty, or the two batches differ.
            TypeError: if the ids are not whole numbers of dtype int64.
        """
        memory = self.memory_of(source, source_mask, target_in)
        state = self.start(memory)
        logits = []
        for token in target_in.unbind(1):
            step_logits, state = self.step(token, state, memory)
            logits.append(step_logits)
        return torch.stack(logits, dim=1)


def check_ids(
    source: Tensor, target_in: Tensor | None = None, source_mask: Tensor | None = None
) -> None:
    """Reject ids that no model can read.

    Args:
        source: ids of the source.
        target_in: ids of the target, if there are any.
        source_mask: where the source has a token; without one it is padded with ``PAD``.

    Raises:
        ValueError: if the batch or a sequence is empty, or the two batches differ.
        TypeError: if the ids are not whole numbers of dtype int64.
    """
    _check_ids("source", source)
    if target_in is not None:
        _check_ids("target_in", target_in)
    if source_mask is None:
        if not bool((source != PAD).any(1).all()):
            row = int((source != PAD).any(1).int().argmin())
            raise ValueError(
                f"every source needs at least one token, got only padding in row {row}"
            )
        holes = (source[:, :-1] == PAD) & (source[:, 1:] != PAD)
        if bool(holes.any()):
            row = int(holes.any(1).int().argmax())
            raise ValueError(
                f"padding must stand behind the tokens, got {source[row].tolist()} in row {row}"
            )
    else:
        check_source_mask(source, source_mask)
    if target_in is not None:
        check_target(target_in, source)


def check_vectors(source: Tensor, d_source: int, source_mask: Tensor | None = None) -> None:
    """Reject a source that is not one vector for each frame or patch.

    Args:
        source: (batch, source, d_source).
        d_source: width of a vector.
        source_mask: where the source has something; without one it has something everywhere.

    Raises:
        ValueError: if the shape is another one or empty, a number is not finite, or the mask does not fit.
        TypeError: if the numbers are not of a floating-point dtype.
    """
    if not source.is_floating_point():
        raise TypeError(f"source must hold floating-point numbers, got {source.dtype}")
    if source.ndim != 3 or 0 in source.shape or source.shape[-1] != d_source:
        raise ValueError(
            f"source must have shape (batch, length, {d_source}), no axis 0, got {tuple(source.shape)}"
        )
    if not bool(source.isfinite().all()):
        row = int((~source.isfinite()).flatten(1).any(1).int().argmax())
        raise ValueError(f"source must hold finite numbers, got NaN or infinity in row {row}")
    if source_mask is not None:
        check_source_mask(source, source_mask)


def check_source_mask(source: Tensor, source_mask: Tensor) -> None:
    """Reject a mask that does not say of every place of a source whether something is there.

    Raises:
        ValueError: if its shape is another one, or a row has nothing.
        TypeError: if it is not bool.
    """
    if source_mask.dtype != torch.bool:
        raise TypeError(
            f"source_mask must be bool, True where the source has something, got {source_mask.dtype}"
        )
    if source_mask.shape != source.shape[:2]:
        raise ValueError(
            f"source_mask must have the shape (batch, length) of the source, {tuple(source.shape[:2])}, "
            f"got {tuple(source_mask.shape)}"
        )
    if not bool(source_mask.any(1).all()):
        row = int(source_mask.any(1).int().argmin())
        raise ValueError(f"every source needs at least one place, got only padding in row {row}")


def check_target(target_in: Tensor, source: Tensor) -> None:
    """Reject ids of a target that do not go with a source.

    Raises:
        ValueError: if the batch or a target is empty, or the two batches differ.
        TypeError: if the ids are not whole numbers of dtype int64.
    """
    _check_ids("target_in", target_in)
    if len(source) != len(target_in):
        raise ValueError(
            "source and target_in must have the same batch size, "
            f"got {tuple(source.shape)} and {tuple(target_in.shape)}"
        )


def _check_ids(name: str, ids: Tensor) -> None:
    if ids.dtype != torch.int64:
        raise TypeError(f"{name} must hold ids of dtype torch.int64, got {ids.dtype}")
    if ids.ndim != 2 or 0 in ids.shape:
        raise ValueError(
            f"{name} must have shape (batch, length), neither 0, got {tuple(ids.shape)}"
        )


@torch.no_grad()
def write(
    model: Translator,
    source: Shaped[Tensor, "batch source *features"],
    choose: Callable[[Tensor], Tensor],
    max_length: int = 50,
    source_mask: Bool[Tensor, "batch source"] | None = None,
) -> Int[Tensor, "batch target"]:
    """Write one token after the other, each chosen from the logits.

    Args:
        model: any translator; it is used in the mode it is in, so call ``model.eval()`` if it has dropout.
        source: what the model reads: ids of the source, padded with ``PAD``, or vectors.
        choose: takes logits (batch, vocab) and returns one token for each row, (batch,).
        max_length: stop after this many tokens.
        source_mask: True where the source has something; ids need none.

    Returns:
        The ids of the target without ``BOS``; each row ends with ``EOS`` where the model said so, then ``PAD``.

    Raises:
        ValueError: if ``max_length`` is below 1 or the source is empty.
    """
    check_sizes(max_length=max_length)
    memory = model.memory_of(source, source_mask)
    state = model.start(memory)
    token = model.first_token(source, source_mask)
    finished = torch.zeros_like(token, dtype=torch.bool)
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
    model: Translator,
    source: Shaped[Tensor, "batch source *features"],
    max_length: int = 50,
    source_mask: Bool[Tensor, "batch source"] | None = None,
) -> Int[Tensor, "batch target"]:
    """Translate by taking the likeliest token at every step; see ``write``."""
    return write(model, source, lambda logits: logits.argmax(-1), max_length, source_mask)


Decode = Callable[[Translator, Tensor, int], Tensor]
"""``decode(model, source, max_length) -> ids``, as ``greedy`` is; with ``source_mask=`` where a batch has one."""


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
    batch = task.batch(examples)
    if batch.source_mask is not None:
        decode = partial(decode, source_mask=batch.source_mask)  # type: ignore[call-arg]
    was_training = model.training
    model.eval()
    try:
        ids = decode(model, batch.source, max_length)
    finally:
        model.train(was_training)
    return [task.target.decode(row) for row in ids.tolist()]
