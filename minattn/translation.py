"""The one interface of everything that translates a sequence, and the translation that needs no more than it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn import checks
from minattn.checks import check_floats, check_sizes, check_tensors
from minattn.tasks.base import Example, Task
from minattn.vocabulary import BOS, EOS, PAD, token_mask


class Memory(NamedTuple):
    """What an encoder leaves for the decoder.

    Args:
        states: one vector for each source position.
        mask: True where the source has a token, False where it has padding.
    """

    states: Float[Tensor, "batch source d_memory"]
    mask: Bool[Tensor, "batch source"]

    def repeat(self, n: int) -> "Memory":
        """Return one in which each row stands n times, as beams need it."""
        return Memory(*(part.repeat_interleave(n, dim=0) for part in self))


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


class Table(nn.Embedding):
    """A table of embeddings that says which id it has no row for; else it is torch's.

    Args:
        n_ids: how many rows.
        d_model: width of a row.
        name: what the ids are called in an error.
    """

    def __init__(self, n_ids: int, d_model: int, name: str) -> None:
        super().__init__(n_ids, d_model)
        self.ids = name

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Look ids up.

        Raises:
            ValueError: if there is no row for an id.
            TypeError: if the ids are no tensor of dtype int64.
        """
        checks.check_ids(self.num_embeddings, **{self.ids: ids})
        return super().forward(ids)

    def _get_name(self) -> str:
        return "Embedding"


def tokens_of(
    source: Shaped[Tensor, "batch source *features"],
    source_mask: Bool[Tensor, "batch source"] | None,
) -> Bool[Tensor, "batch source"]:
    """Say where a source has something: as its mask says, or where an id is not ``PAD``.

    Raises:
        ValueError: if the mask does not fit.
        TypeError: if the mask is no bool tensor, or there is none and the source no ids.
    """
    if source_mask is None:
        return token_mask(source)
    check_source_mask(source, source_mask)
    return source_mask


def definer(thing: object, *methods: str) -> object:
    """Say who defines one of some methods: the thing itself, or the first of its classes that does; or None."""
    places = (thing, *type(thing).__mro__)
    return next((place for place in places if {*methods} & {*getattr(place, "__dict__", ())}), None)


def is_hooked(module: nn.Module) -> bool:
    """Say whether calling a module does more than its ``forward``."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


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
    check_sizes(d_source=d_source)
    check_floats(source=source)
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
    if not isinstance(source_mask, Tensor) or source_mask.dtype != torch.bool:
        is_tensor = isinstance(source_mask, Tensor)
        raise TypeError(
            "source_mask must be bool, a tensor that is True where the source has something, "
            f"got {source_mask.dtype if is_tensor else type(source_mask).__name__}"
        )
    if source_mask.shape != source.shape[:2]:
        raise ValueError(
            f"source_mask must have the shape (batch, length) of the source, {tuple(source.shape[:2])}, "
            f"got {tuple(source_mask.shape)}"
        )
    if not source_mask.is_meta and not bool(source_mask.any(1).all()):
        row = int(source_mask.any(1).int().argmin())
        raise ValueError(f"every source needs at least one place, got only padding in row {row}")


def check_target(target_in: Tensor, source: Tensor, name: str = "target_in") -> None:
    """Reject ids of a target that do not go with a source.

    Raises:
        ValueError: if the batch or a target is empty, or the two batches differ.
        TypeError: if the ids are not whole numbers of dtype int64.
    """
    check_tensors(source=source)
    _check_ids(name, target_in)
    if len(source) != len(target_in):
        raise ValueError(
            f"source and {name} must have the same batch size, "
            f"got {tuple(source.shape)} and {tuple(target_in.shape)}"
        )


def check_logits(
    logits: Float[Tensor, "*rows vocab"],
    where: str = "",
    unread: Bool[Tensor, "*rows"] | None = None,
    axes: tuple[str, ...] = ("row", "place"),
) -> None:
    """Reject logits that say nothing: a token would be chosen from them all the same.

    Minus infinity forbids a token, and one at least must be left.

    Args:
        logits: of any number of rows.
        where: is added to an error, such as " at step 3".
        unread: True for rows from which nothing is chosen; these may hold anything.
        axes: what the axes before the vocabulary are called in an error.

    Raises:
        ValueError: if a logit is NaN or plus infinity, or a row has nothing but minus infinity.
    """
    largest = logits.amax(-1)  # NaN if one is
    bad = ~largest.isfinite()
    if unread is not None:
        bad = bad & ~unread
    if not bool(bad.any()):
        return
    row = bad.nonzero()[0].tolist()
    found = largest[tuple(row)].item()
    if found == -math.inf:
        rule, got = "allow at least one token", "only minus infinity"
    else:
        rule, got = "not be NaN or plus infinity", "NaN" if math.isnan(found) else "infinity"
    place = ", ".join(f"{axis} {i}" for axis, i in zip(axes, row, strict=False))
    raise ValueError(f"the logits must {rule}, got {got}{where}{' in ' if place else ''}{place}")


def _check_ids(name: str, ids: Tensor) -> None:
    check_tensors(**{name: ids})
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
        ValueError: if ``max_length`` is below 1, the source is empty, the model says NaN, plus infinity or nothing
            but minus infinity, or a chosen id is outside the vocabulary.
        TypeError: if what is chosen is no tensor of ids.
    """
    check_sizes(max_length=max_length)
    memory = model.memory_of(source, source_mask)
    state = model.start(memory)
    token = model.first_token(source, source_mask)
    finished = torch.zeros_like(token, dtype=torch.bool)
    out = []
    for step in range(1, max_length + 1):
        logits, state = model.step(token, state, memory)
        check_logits(logits, f" at step {step}", unread=finished)
        token = _chosen(choose(logits), finished, logits.shape[-1])
        out.append(token)
        finished = finished | (token == EOS)
        if bool(finished.all()):
            break
    return torch.stack(out, dim=1)


def _chosen(
    token: Int[Tensor, " batch"], finished: Bool[Tensor, " batch"], n_ids: int
) -> Int[Tensor, " batch"]:
    """Check what was chosen, and leave nothing of it where a row has ended."""
    name = "what choose returns"
    check_tensors(**{name: token})
    if token.shape != finished.shape:
        raise ValueError(
            f"{name} must have shape (batch,), {tuple(finished.shape)}, got {tuple(token.shape)}"
        )
    if token.dtype == torch.int64:
        token = token.masked_fill(finished, PAD)
    checks.check_ids(n_ids, **{name: token})
    return token


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
    examples: Iterable[Example],
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
        ValueError: if there is no example, or what ``decode`` returns has another shape or other ids.
        TypeError: if what ``decode`` returns is no tensor of ids.
    """
    examples = list(examples)
    batch = task.batch(examples)
    if batch.source_mask is not None:
        decode = partial(decode, source_mask=batch.source_mask)  # type: ignore[call-arg]
    was_training = model.training
    model.eval()
    try:
        ids = decode(model, batch.source, max_length)
    finally:
        model.train(was_training)
    _check_ids("what decode returns", ids)
    if len(ids) != len(batch):
        raise ValueError(
            f"what decode returns must have one row for each of {len(batch)} examples, got {len(ids)}"
        )
    return [task.words(row, example) for row, example in zip(ids.tolist(), examples, strict=True)]
