"""Train with a recipe, and go on after an interruption as if there had been none."""

import hashlib
import os
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minattn.checks import check_dropout
from minattn.learning import Recipe as Recipe
from minattn.learning import learn
from minattn.tasks.base import Task
from minattn.training import Losses, batches, check_targets, teacher_forcing
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
        Nats per token, in float32 where the logits are narrower. The least that is possible is the entropy of the
        smoothed labels, not 0.

    Raises:
        ValueError: if smoothing is out of range, the shapes do not fit, an id is none of the vocabulary, or every
            target is padding.
        TypeError: if the logits are not floating-point numbers, or the ids not of dtype int64.

    References:
        Szegedy et al. 2016, arXiv:1512.00567, section 7; Vaswani et al. 2017, arXiv:1706.03762, section 5.4.
    """
    check_dropout(smoothing=smoothing)
    logits = check_targets(logits, target_out)
    tokens = token_mask(target_out)
    log_probs = logits[tokens].log_softmax(-1)  # (tokens, vocab)
    right = log_probs.gather(-1, target_out[tokens][:, None])[:, 0]
    loss = -right.mean()
    if smoothing:  # a token that is impossible would make 0 times infinity
        loss = (1 - smoothing) * loss - smoothing * log_probs.mean()
    return loss


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
        RuntimeError: if the loss, the gradient or a weight is not finite; the model keeps the weights from before
            that step, and the file what was last written to it.
    """
    data = task.batch(task.train)
    return learn(
        model,
        _batches(data, recipe),
        lambda model, batch: smoothed_loss(
            teacher_forcing(model, batch), batch.target_out, recipe.smoothing
        ),
        recipe,
        checkpoint=checkpoint,
        about={"data": _fingerprint(data)},
        every=every,
        progress=progress,
    )


def _batches(data: Batch, recipe: Recipe) -> Iterator[Batch]:
    """Return the batches; their order depends on nothing but the seed, so a part can be skipped."""
    generator = torch.Generator().manual_seed(recipe.seed)
    lengths = data.lengths() if recipe.by_length else None
    rows = batches(len(data), recipe.batch_size, lengths, generator)
    return (data.select(part) for part in rows)


def _fingerprint(data: Batch) -> str:
    """Tell training examples from others."""
    summary = hashlib.sha256()
    for part in (data.source, data.target_in, data.source_mask):
        if part is not None:
            summary.update(repr(tuple(part.shape)).encode() + part.numpy().tobytes())
    return summary.hexdigest()[:16]
