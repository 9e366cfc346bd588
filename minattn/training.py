"""Train a translator and measure it: fit, evaluate, seeds."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from minattn.checks import check_sizes
from minattn.display import Progress
from minattn.tasks.base import Example, Task
from minattn.translation import Decode, Translator, greedy, translate
from minattn.vocabulary import PAD, Batch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make everything random inside depend on the seed alone; outside, nothing is changed.

    >>> with seeded(0):
    ...     a = torch.rand(1)
    >>> with seeded(0):
    ...     b = torch.rand(1)
    >>> bool(a == b)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def token_loss(
    logits: Float[Tensor, "batch target vocab"], target_out: Int[Tensor, "batch target"]
) -> Float[Tensor, ""]:
    """Average the cross-entropy over the target tokens; padding does not count.

    Returns:
        Nats per token.

    Raises:
        ValueError: if every target is padding.
    """
    if not bool((target_out != PAD).any()):
        raise ValueError("a loss needs at least one target token that is not padding, got none")
    return F.cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD)


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
        RuntimeError: if the loss is not finite; the model keeps the weights from before that step.

    References:
        Adam: Kingma and Ba 2015, arXiv:1412.6980.
    """
    check_sizes(steps=steps, batch_size=batch_size)
    for name, number in (("learning_rate", learning_rate), ("clip", clip)):
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} must be a finite number above 0, got {number}")
    data = task.batch(task.train)
    order = batches(len(data), batch_size, data.lengths() if by_length else None)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, 2 * (steps - step) / steps)
    )
    line = Progress(live=progress)
    losses = Losses()
    model.train()
    with seeded(seed):
        for step, rows in zip(range(steps), order, strict=False):
            batch = data.select(rows)
            loss = token_loss(teacher_forcing(model, batch), batch.target_out)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise RuntimeError(
                    f"the loss must stay finite, got {losses[-1]} at step {step + 1} of {steps}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            schedule.step()
            if (step + 1) % 20 == 0:
                line.update(f"step {step + 1} of {steps}, loss {losses[-1]:.3f}")
    model.eval()
    if progress:
        line.done(f"trained {steps} steps of {batch_size} examples, seed {seed}")
    return losses


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

    Yields:
        The numbers of the examples of one batch.
    """
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
    examples: Sequence[Example] | None = None,
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
    examples = task.held_out if examples is None else examples
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
