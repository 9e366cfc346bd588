"""Train a translator and measure it: fit, evaluate, seeds."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checks import check_floats, check_ids, check_positive, check_sizes, check_whole
from minattn.display import Progress
from minattn.tasks.base import Example, Task
from minattn.translation import Decode, Translator, greedy, translate
from minattn.vocabulary import PAD, Batch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make everything random inside depend on the seed alone; outside, nothing is changed.

    Raises:
        ValueError: if the seed is not a whole number, of 64 bits with a sign.
        TypeError: if it is no number.

    >>> with seeded(0):
    ...     a = torch.rand(1)
    >>> with seeded(0):
    ...     b = torch.rand(1)
    >>> bool(a == b)
    True
    """
    check_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def check_seed(seed: int) -> None:
    """Check that something can be a seed of torch's."""
    check_whole(-(2**63), seed=seed)


def token_loss(
    logits: Float[Tensor, "batch target vocab"], target_out: Int[Tensor, "batch target"]
) -> Float[Tensor, ""]:
    """Average the cross-entropy over the target tokens; padding does not count.

    Returns:
        Nats per token, in float32 where the logits are narrower.

    Raises:
        ValueError: if the shapes do not fit, an id is none of the vocabulary, or every target is padding.
        TypeError: if the logits are not floating-point numbers, or the ids not of dtype int64.
    """
    logits = check_targets(logits, target_out)
    return F.cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD)


def check_targets(
    logits: Float[Tensor, "batch target vocab"], target_out: Int[Tensor, "batch target"]
) -> Float[Tensor, "batch target vocab"]:
    """Check that a loss can be had of logits and ids; return the logits, wide enough to sum many.

    Raises:
        ValueError: if the shapes do not fit, an id is none of the vocabulary, or every target is padding.
        TypeError: if the logits are not floating-point numbers, or the ids not of dtype int64.
    """
    check_floats(logits=logits)
    if logits.ndim != 3 or logits.shape[-1] < 1:
        raise ValueError(
            f"logits must have shape (batch, target, vocab), vocab not 0, got {tuple(logits.shape)}"
        )
    check_ids(logits.shape[-1], target_out=target_out)
    if target_out.shape != logits.shape[:2]:
        raise ValueError(
            f"target_out must have the shape (batch, target) of the logits, {tuple(logits.shape[:2])}, "
            f"got {tuple(target_out.shape)}"
        )
    if not bool((target_out != PAD).any()):
        raise ValueError("a loss needs at least one target token that is not padding, got none")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def teacher_forcing(model: Translator, batch: Batch) -> Float[Tensor, "batch target vocab"]:
    """Return the logits of every target token of a batch, each given the right tokens before it."""
    masks = () if batch.source_mask is None else (batch.source_mask,)
    logits: Tensor = model(batch.source, batch.target_in, *masks)
    return logits


class Losses(list[float]):
    """The loss of every step; shown in one line, for a cell may end with a call of ``fit``."""

    def __repr__(self) -> str:
        ends = f": {self[0]:.3f} ... {self[-1]:.3f}" if self else ""
        return f"<{len(self)} losses{ends}>"


class Steps:
    """Take steps of an optimizer, each of them whole or not at all.

    A loss can be finite while a gradient or a weight no longer is. So all three are looked at, and whatever goes
    wrong in a step, the model has the weights and buffers from before it. For that it keeps one copy of them.

    Args:
        model: is changed in place.
        optimizer: of its weights.
        clip: largest norm of the gradient; ``math.inf`` does not clip.
        n_steps: how many steps there will be, for what an error says.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, clip: float, n_steps: int
    ) -> None:
        self.model, self.optimizer, self.clip, self.n_steps = model, optimizer, clip, n_steps
        self._weights: list[Tensor] = list(model.parameters())
        self._before, self._after = _Copy(self._weights), _Copy(self._weights)
        self._with_buffers = [part for part in model.modules() if part._buffers]

    def take(self, step: int, losses: Iterable[Tensor]) -> float:
        """Change the weights once.

        Args:
            step: how many were taken before.
            losses: of the parts of the batch, each computed when it is asked for; the loss is their sum.

        Returns:
            The loss.

        Raises:
            RuntimeError: if loss, gradient or weights are not finite.
            ValueError: if a loss is not one number, or does not depend on a weight that learns.
            TypeError: if a loss is no tensor.
        """
        self._before.take(self._weights)
        buffers = [
            (part, name, buffer, buffer.clone())
            for part in self._with_buffers
            for name, buffer in part._buffers.items()
            if buffer is not None
        ]
        try:
            return self._take(step, losses)
        except BaseException:
            self._before.put_back(self._weights)
            for part, name, buffer, before in buffers:
                part._buffers[name] = buffer.copy_(before)
            self.optimizer.zero_grad()
            raise

    def _take(self, step: int, losses: Iterable[Tensor]) -> float:
        place = f"at step {step + 1} of {self.n_steps}"
        self.optimizer.zero_grad()
        total = 0.0
        for loss in losses:
            total += loss.item()
            if not math.isfinite(total):
                raise RuntimeError(
                    f"the loss must stay finite, got {total} {place}{self._advice()}"
                )
            loss.backward()  # type: ignore[no-untyped-call]
        self._clip(place)
        self.optimizer.step()
        self._check_weights(place)
        return total

    def _clip(self, place: str) -> None:
        try:
            nn.utils.clip_grad_norm_(self._weights, self.clip, error_if_nonfinite=True)
        except RuntimeError as error:
            if "non-finite" not in str(error):
                raise
            found = self._not_finite("grad") or "a norm too large for its type"
            raise RuntimeError(
                f"the gradient must stay finite, got {found} {place}{self._advice()}"
            ) from None

    def _check_weights(self, place: str) -> None:
        self._after.take(self._weights)
        if self._after.is_surely_finite():
            return
        found = self._not_finite("data")
        if found:
            raise RuntimeError(f"the weights must stay finite, got {found} {place}{self._advice()}")

    def _not_finite(self, which: str) -> str:
        """Say which weight, or whose gradient, has which number that is not finite; nothing if all are."""
        for name, weight in self.model.named_parameters():
            x = getattr(weight, which) if weight.requires_grad else None
            if x is not None and not bool(x.isfinite().all()):
                return f"{x[~x.isfinite()][0].item()} in {name}"
        return ""

    def _advice(self) -> str:
        if all(weight.dtype != torch.float16 for weight in self._weights):
            return ""
        return (
            "; in float16 the 1e-8 by which Adam keeps from dividing by 0 is itself 0, and a number above 65504 is "
            "infinite: train with model.float() or model.bfloat16()"
        )


class _Copy:
    """A copy of weights that lies in one piece for each dtype: one look at it is a look at them all."""

    def __init__(self, weights: list[Tensor]) -> None:
        kinds: dict[tuple[torch.dtype, torch.device], list[int]] = defaultdict(list)
        for i, weight in enumerate(weights):
            kinds[weight.dtype, weight.device].append(i)
        self._pieces: list[Tensor] = []
        parts: dict[int, Tensor] = {}
        for (dtype, device), places in kinds.items():
            sizes = [weights[i].numel() for i in places]
            self._pieces.append(torch.empty(sum(sizes), dtype=dtype, device=device))
            for i, part in zip(places, torch.split(self._pieces[-1], sizes), strict=True):
                parts[i] = part.view(weights[i].shape)
        self._parts = [parts[i] for i in range(len(weights))]

    @torch.no_grad()
    def take(self, weights: list[Tensor]) -> None:
        torch._foreach_copy_(self._parts, weights)

    @torch.no_grad()
    def put_back(self, weights: list[Tensor]) -> None:
        torch._foreach_copy_(weights, self._parts)

    def is_surely_finite(self) -> bool:
        """Add all up: infinity and NaN do not go away. A sum too large for its type says nothing."""
        return all(bool(piece.sum().isfinite()) for piece in self._pieces)


def checked_loss(loss: Tensor) -> Tensor:
    """Check that a loss can be learned from; return it in float32 if it is narrower.

    Raises:
        ValueError: if it is not one number, or does not depend on a weight that learns.
        TypeError: if it is no tensor of floating-point numbers.
    """
    check_floats(loss=loss)
    if loss.numel() != 1:
        raise ValueError(f"loss must be one number, got shape {tuple(loss.shape)}")
    if not loss.requires_grad:
        raise ValueError(
            f"loss must depend on a weight that learns, got {loss.item()} without a gradient"
        )
    return loss.to(torch.promote_types(loss.dtype, torch.float32))


def fit(
    model: Translator,
    task: Task,
    *,
    steps: int,
    seed: int = 0,
    batch_size: int = 64,
    learning_rate: float = 5e-3,
    clip: float = 1.0,
    by_length: bool = False,
    progress: bool = True,
) -> Losses:
    """Train a translator by teacher forcing with Adam.

    The learning rate falls linearly to zero over the last half of the steps.

    Args:
        model: any translator; it is trained in place.
        task: its training examples are drawn in random order, all of them before any comes again.
        steps: how many batches; training ends by steps, never by the clock.
        seed: decides the order of the examples and the dropout.
        batch_size: examples in a batch.
        learning_rate: step size of Adam at the start.
        clip: largest norm of the gradient.
        by_length: put examples of like length into one batch. There is less padding to compute, and so a
            step takes less time; every example still comes once before any comes again.
        progress: show one line that stays, and lives while somebody watches.

    Returns:
        The loss of every step, in nats per token.

    Raises:
        ValueError: if a number is out of range.
        TypeError: if a number is none.
        RuntimeError: if the loss, the gradient or a weight is not finite; the model keeps the weights from before
            that step.

    References:
        Adam: Kingma and Ba 2015, arXiv:1412.6980.
    """
    check_sizes(steps=steps, batch_size=batch_size)
    check_positive(learning_rate=learning_rate, clip=clip)
    check_seed(seed)
    data = task.batch(task.train)
    order = batches(len(data), batch_size, data.lengths() if by_length else None)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, 2 * (steps - step) / steps)
    )
    updates = Steps(model, optimizer, clip, steps)
    line = Progress(live=progress)
    losses = Losses()
    model.train()
    with seeded(seed):
        for step, rows in zip(range(steps), order, strict=False):
            batch = data.select(rows)
            losses.append(updates.take(step, _loss_of(model, batch)))
            schedule.step()
            if (step + 1) % 20 == 0:
                line.update(f"step {step + 1} of {steps}, loss {losses[-1]:.3f}")
    model.eval()
    if progress:
        line.done(f"trained {steps} steps of {batch_size} examples, seed {seed}")
    return losses


def _loss_of(model: Translator, batch: Batch) -> Iterator[Tensor]:
    yield checked_loss(token_loss(teacher_forcing(model, batch), batch.target_out))


def batches(
    n_examples: int,
    batch_size: int,
    lengths: Int[Tensor, " examples"] | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Int[Tensor, " rows"]]:
    """Go through all examples in random order, again and again.

    Args:
        n_examples: how many there are.
        batch_size: how many come at a time; the last ones of a round may be fewer.
        lengths: if given, examples of like length come together.
        generator: where the order comes from; torch's own if not given.

    Returns:
        An iterator without end over the numbers of the examples of one batch.

    Raises:
        ValueError: if a number is below 1, or there is not one length for each example.
        TypeError: if a number is none.
    """
    check_sizes(n_examples=n_examples, batch_size=batch_size)
    if lengths is not None and lengths.shape != (n_examples,):
        raise ValueError(
            f"lengths must have shape ({n_examples},), one for each example, got {tuple(lengths.shape)}"
        )
    return _batches(n_examples, batch_size, lengths, generator)


def _batches(
    n_examples: int, batch_size: int, lengths: Tensor | None, generator: torch.Generator | None
) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(n_examples, generator=generator)
        if lengths is None:
            yield from torch.split(order, batch_size)
            continue
        # Sorted in pools of four batches, not all at once: so batches still differ from one time to the next.
        for pool in torch.split(order, 4 * batch_size):
            found = torch.split(pool[lengths[pool].argsort(stable=True)], batch_size)
            mixed = torch.randperm(len(found), generator=generator).tolist()
            yield from (found[i] for i in mixed)


def evaluate(
    model: Translator,
    task: Task,
    examples: Iterable[Example] | None = None,
    decode: Decode = greedy,
) -> dict[int, float]:
    """Translate and count the translations that are right in every token.

    Args:
        model: any translator.
        task: whose vocabularies to use.
        examples: what to translate; the held-out examples of the task if not given.
        decode: how to write; greedily if not given.

    Returns:
        For each length, the share of exact matches.

    Raises:
        ValueError: if there is no example.
    """
    examples = list(task.held_out if examples is None else examples)
    if not examples:
        raise ValueError("evaluate needs at least one example, got none")
    right: dict[int, list[bool]] = defaultdict(list)
    # One length at a time: batches have little padding, and stop as soon as all their rows have ended.
    by_length: dict[int, list[Example]] = defaultdict(list)
    for example in examples:
        by_length[example.length].append(example)
    for length, group in sorted(by_length.items()):
        longest = max(len(example.target) for example in group) + 5
        for example, tokens in zip(
            group, translate(model, task, group, longest, decode), strict=True
        ):
            right[length].append(tokens == list(example.target))
    return {length: sum(hits) / len(hits) for length, hits in right.items()}


def mean_accuracy(by_length: dict[int, float]) -> float:
    """Average accuracies over the lengths, each counting the same.

    Raises:
        ValueError: if there is no length.
    """
    if not by_length:
        raise ValueError("an average needs at least one length, got none")
    return sum(by_length.values()) / len(by_length)
