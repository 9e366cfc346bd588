"""Train with a recipe, and go on after an interruption as if there had been none."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checkpoints import check_names, load_checkpoint, save_checkpoint
from minattn.display import Progress
from minattn.schedules import Constant, Schedule
from minattn.seam import check_sizes
from minattn.tasks.base import Task
from minattn.training import Losses, batches, seeded
from minattn.translation import Translator
from minattn.vocabulary import Batch, token_mask


def smoothed_loss(
    logits: Float[Tensor, "batch target vocab"],
    target_out: Int[Tensor, "batch target"],
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    r"""Average the cross-entropy with smoothed labels over the target tokens; padding does not count.

    The right token shall not get all of the probability, but :math:`1 - \epsilon + \epsilon / V`, and every
    other one :math:`\epsilon / V`.

    Args:
        logits: what the model says.
        target_out: the right tokens, padded with ``PAD``.
        smoothing: :math:`\epsilon`, at least 0 and below 1.

    Returns:
        Nats per token. The least that is possible is the entropy of the smoothed labels, not 0.

    Raises:
        ValueError: if smoothing is out of range or every target is padding.

    References:
        Szegedy et al. 2016, arXiv:1512.00567, section 7; Vaswani et al. 2017, arXiv:1706.03762, section 5.4.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be at least 0 and below 1, got {smoothing}")
    tokens = token_mask(target_out)
    if not bool(tokens.any()):
        raise ValueError("a loss needs at least one target token that is not padding, got none")
    log_probs = logits[tokens].log_softmax(-1)  # (tokens, vocab)
    right = log_probs.gather(-1, target_out[tokens][:, None])[:, 0]
    loss = -right.mean()
    if smoothing:  # a token that is impossible would make 0 times infinity
        loss = (1 - smoothing) * loss - smoothing * log_probs.mean()
    return loss


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a model is trained.

    Args:
        steps: how many updates of the weights.
        batch_size: examples for one update.
        learning_rate: the highest step size of Adam.
        schedule: share of the learning rate at each step.
        smoothing: of the labels, see ``smoothed_loss``.
        clip: largest norm of the gradient; ``math.inf`` does not clip.
        betas: how fast Adam forgets the gradient and its square.
        accumulate: in how many parts a batch is computed, one after the other. It takes less memory, and the
            gradient is that of the whole batch.
        by_length: put examples of like length into one batch.
        seed: decides the order of the examples and the dropout.

    Raises:
        ValueError: if a number is out of range.
    """

    steps: int
    batch_size: int = 32
    learning_rate: float = 3e-3
    schedule: Schedule = field(default_factory=Constant)
    smoothing: float = 0.0
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    accumulate: int = 1
    by_length: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps, batch_size=self.batch_size, accumulate=self.accumulate)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning_rate must be a finite number above 0, got {self.learning_rate}"
            )
        if not self.clip > 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1, got {self.smoothing}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers from 0 to below 1, got {self.betas}")


def train(
    model: Translator,
    task: Task,
    recipe: Recipe,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 100,
    progress: bool = True,
) -> Losses:
    """Train a translator by teacher forcing with Adam, as a recipe says.

    With a checkpoint, everything that training depends on is stored now and then: the weights, what Adam
    remembers, the state of the random numbers, the losses. If the file is there already, training goes on from
    it, and ends with the same weights as one that was never interrupted, bit for bit on the same machine.

    Args:
        model: any translator; it is trained in place.
        task: its training examples are drawn in random order, all of them before any comes again.
        recipe: how.
        checkpoint: a file to keep the state in, and to go on from.
        every: steps from one time that it is written to the next; it is also written at the end.
        progress: show one line that stays, and lives while somebody watches.

    Returns:
        The loss of every step, in nats per token, also of the steps before an interruption.

    Raises:
        ValueError: if the checkpoint is broken, or belongs to another model, recipe or task.
        FileNotFoundError: if the folder of the checkpoint does not exist.
        RuntimeError: if the loss is not finite; the model keeps the weights from before that step.
    """
    check_sizes(every=every)
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder of the checkpoint must exist, got {checkpoint}")
    if checkpoint is not None and " at 0x" in repr(recipe):
        raise ValueError(
            "with a checkpoint the schedule must say what it is, so that it can be compared when training goes "
            f"on: take one of minattn.schedules, got {recipe.schedule!r}"
        )
    data = task.batch(task.train)
    about = {"recipe": repr(recipe), "data": _fingerprint(data)}
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=recipe.betas)
    line = Progress(live=progress)
    losses = Losses()
    with seeded(recipe.seed):
        if checkpoint is not None and Path(checkpoint).exists():
            losses += _restore(checkpoint, model, optimizer, about)
        model.train()
        for rows in islice(_order(data, recipe), len(losses), recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * recipe.schedule(len(losses))
            losses.append(_update(model, data, rows, optimizer, recipe, len(losses)))
            done = len(losses)
            if checkpoint is not None and (done % every == 0 or done == recipe.steps):
                _store(checkpoint, model, optimizer, about, losses)
            if done % 20 == 0:
                line.update(f"step {done} of {recipe.steps}, loss {losses[-1]:.3f}")
    model.eval()
    if progress:
        line.done(
            f"trained {recipe.steps} steps of {recipe.batch_size} examples, seed {recipe.seed}"
        )
    return losses


def _order(data: Batch, recipe: Recipe) -> Iterator[Int[Tensor, " rows"]]:
    """Return the batches; their order depends on nothing but the seed, so a part can be skipped."""
    generator = torch.Generator().manual_seed(recipe.seed)
    lengths = token_mask(data.source).sum(1) + token_mask(data.target_in).sum(1)
    return batches(len(data), recipe.batch_size, lengths if recipe.by_length else None, generator)


def _update(
    model: Translator,
    data: Batch,
    rows: Int[Tensor, " rows"],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    step: int,
) -> float:
    """Change the weights once; return the loss per token of the whole batch."""
    optimizer.zero_grad()
    n_tokens = int(token_mask(data.target_out[rows]).sum())
    total = 0.0
    for part in rows.chunk(recipe.accumulate):
        batch = data.select(part)
        loss = smoothed_loss(
            model(batch.source, batch.target_in), batch.target_out, recipe.smoothing
        )
        # The mean over all tokens of the batch, not the mean of the parts' means.
        loss = loss * (int(token_mask(batch.target_out).sum()) / n_tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    if not math.isfinite(total):
        raise RuntimeError(
            f"the loss must stay finite, got {total} at step {step + 1} of {recipe.steps}"
        )
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()
    return total


def _fingerprint(data: Batch) -> str:
    """Tell training examples from others."""
    summary = hashlib.sha256()
    for ids in (data.source, data.target_in):
        summary.update(repr(tuple(ids.shape)).encode() + ids.numpy().tobytes())
    return summary.hexdigest()[:16]


_ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of every parameter."""


def _store(
    path: str | os.PathLike[str],
    model: Translator,
    optimizer: torch.optim.Optimizer,
    about: dict[str, str],
    losses: Losses,
) -> None:
    tensors = {f"model/{name}": x for name, x in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        tensors |= {f"{kind}/{name}": state[kind] for kind in _ADAM if kind in state}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["random"] = torch.get_rng_state()
    save_checkpoint(path, tensors, {"steps": len(losses), **about})


def _restore(
    path: str | os.PathLike[str],
    model: Translator,
    optimizer: torch.optim.Optimizer,
    wanted: dict[str, str],
) -> list[float]:
    """Put everything back as it was; return the losses so far. After an error nothing is changed."""
    tensors, about = load_checkpoint(path)
    for what, expected in wanted.items():
        if about.get(what) != expected:
            raise ValueError(
                f"{path} must have been made with the same {what}, {expected}, got {about.get(what)}"
            )
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in ("model", *_ADAM)}
    for key, x in tensors.items():
        kind, _, name = key.partition("/")
        if kind in parts:
            parts[kind][name] = x
    check_names(path, parts["model"], model.state_dict())
    parameters = dict(model.named_parameters())
    seen = {name: parameters[name] for name in parts["step"] if name in parameters}
    for kind in _ADAM[1:]:
        check_names(path, parts[kind], seen)
    missing = {"losses", "random"} - set(tensors)
    if missing:
        raise ValueError(f"{path} must hold losses and random, got no {min(missing)}")
    model.load_state_dict(parts["model"])
    for name, parameter in seen.items():
        optimizer.state[parameter] = {kind: parts[kind][name] for kind in _ADAM}
    torch.set_rng_state(tensors["random"])
    losses: list[float] = tensors["losses"].tolist()
    return losses
