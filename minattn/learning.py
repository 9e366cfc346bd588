"""The one loop that trains everything: any loss on any batches, and after an interruption it goes on."""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from minattn.checkpoints import (
    MODEL,
    check_model,
    check_names,
    described,
    facts_in_json,
    load_checkpoint,
    save_checkpoint,
)
from minattn.checks import check_dropout, check_not_negative, check_positive, check_sizes
from minattn.display import Progress
from minattn.schedules import Constant, Schedule
from minattn.training import Losses, Steps, check_seed, checked_loss, seeded


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
        weight_decay: share of the learning rate by which matrices shrink at every step, as in AdamW; vectors
            (biases, norms) do not.

    Raises:
        ValueError: if a number is out of range.
        TypeError: if a number is none, or the schedule cannot be called.
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
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps, batch_size=self.batch_size, accumulate=self.accumulate)
        check_positive(learning_rate=self.learning_rate)
        if self.clip != math.inf:
            check_positive(clip=self.clip)
        check_dropout(smoothing=self.smoothing)
        check_not_negative(weight_decay=self.weight_decay)
        check_seed(self.seed)
        betas = tuple(self.betas)
        if len(betas) != 2 or not all(_is_share(beta) and beta < 1 for beta in betas):
            raise ValueError(f"betas must be two numbers from 0 to below 1, got {betas}")
        object.__setattr__(self, "betas", betas)  # a list says the same, and cannot be hashed
        if not callable(self.schedule):
            raise TypeError(
                f"schedule must be a function of the step, as those of minattn.schedules, got {self.schedule!r}"
            )

    def differences(self) -> str:
        """Say in what this recipe differs from one with the fewest words: every field that is not its default.

        So a recipe of an edition with fewer fields says the same as this one, if the new fields are left alone.
        """
        return _without_defaults(repr(self))


def _is_share(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool) and 0 <= float(number) <= 1


class Parted(Protocol):
    """A batch that can be computed in parts."""

    def parts(self, n: int) -> list[tuple[Any, float]]:
        """Cut into at most n parts; return each with its share of the loss, all together 1."""


def learn(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Callable[[Any, Any], Tensor],
    recipe: Recipe,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    about: Mapping[str, str] | None = None,
    every: int = 100,
    progress: bool = True,
) -> Losses:
    """Train any model on any batches with Adam, as a recipe says.

    With a checkpoint, everything that training depends on is stored now and then: the weights, what Adam
    remembers, the state of the random numbers, the losses. If the file is there already, training goes on from
    it, and ends with the same weights as one that was never interrupted, bit for bit on the same machine. The file
    also says how the model was made before its first step, and goes on with no other, see ``described``.

    Args:
        model: is trained in place.
        batches: one for each step, from the first step on; a curriculum is an iterable whose batches change. To
            go on after an interruption, it must give the same ones again, so it draws from no random numbers
            but its own. Of the recipe, ``batch_size``, ``by_length`` and ``smoothing`` are for whoever makes
            them and the loss.
        loss: ``loss(model, batch)`` returns one number, the mean over what the batch holds.
        recipe: how. With ``accumulate`` above 1 a batch needs a method ``parts``, see ``Parted``.
        checkpoint: a file to keep the state in, and to go on from.
        about: what else must be the same when training goes on, by name: a short text that tells these batches
            from others, say. Names of what is stored in any case are not free.
        every: steps from one time that it is written to the next; it is also written at the end.
        progress: show one line that stays, and lives while somebody watches.

    Returns:
        The loss of every step, also of the steps before an interruption.

    Raises:
        ValueError: if the checkpoint is broken, or belongs to another model, recipe or ``about``; if there are
            fewer batches than steps; if a loss is not one number that depends on the weights, the shares of the
            parts do not add up to 1, or a share of the learning rate is negative or not finite.
        TypeError: if a batch that is to be computed in parts has no ``parts``, a loss is no tensor, or ``about`` has
            something that JSON cannot hold.
        FileNotFoundError: if the folder of the checkpoint does not exist.
        RuntimeError: if the loss, the gradient or a weight is not finite; the model keeps the weights from before
            that step, and the file what was last written to it.

    References:
        Adam: Kingma and Ba 2015, arXiv:1412.6980; its weight decay: Loshchilov and Hutter 2019,
        arXiv:1711.05101.
    """
    check_sizes(every=every)
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder of the checkpoint must exist, got {checkpoint}")
    if checkpoint is not None and " at 0x" in repr(recipe):
        raise ValueError(
            "with a checkpoint the schedule must say what it is, so that it can be compared when training goes "
            f"on: take one of minattn.schedules, got {recipe.schedule!r}"
        )
    about = {} if about is None else dict(about)
    taken = {"recipe", "steps", MODEL} & set(about)
    if taken:
        raise ValueError(f"about must leave recipe, steps and {MODEL} to learn, got {min(taken)}")
    facts_in_json(about)
    said = {"recipe": repr(recipe), **about}
    made = {} if checkpoint is None else described(model)  # before a forward pass changes anything
    optimizer = make_optimizer(model, recipe)
    updates = Steps(model, optimizer, recipe.clip, recipe.steps)
    line = Progress(live=progress)
    losses = Losses()
    with seeded(recipe.seed):
        if checkpoint is not None and Path(checkpoint).exists():
            losses += _restore(checkpoint, model, optimizer, said, made)
        model.train()
        for batch in islice(batches, len(losses), recipe.steps):
            share = recipe.schedule(len(losses))
            check_not_negative(**{f"the schedule's share at step {len(losses) + 1}": share})
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * share
            values = _losses(model, batch, loss, recipe.accumulate)
            losses.append(updates.take(len(losses), values))
            done = len(losses)
            if checkpoint is not None and (done % every == 0 or done == recipe.steps):
                _store(checkpoint, model, optimizer, said | {MODEL: made}, losses)
            if done % 20 == 0:
                line.update(f"step {done} of {recipe.steps}, loss {losses[-1]:.3f}")
    model.eval()
    _check_end(losses, recipe)
    if progress:
        line.done(
            f"trained {recipe.steps} steps of {recipe.batch_size} examples, seed {recipe.seed}"
        )
    return losses


def _check_end(losses: Losses, recipe: Recipe) -> None:
    if len(losses) < recipe.steps:
        raise ValueError(
            f"there must be a batch for each of the {recipe.steps} steps, got {len(losses)}"
        )


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Adam:
    """Make Adam for the weights of a model; with weight decay, AdamW, which lets vectors alone."""
    settings: dict[str, Any] = {"lr": recipe.learning_rate, "betas": recipe.betas}
    if not recipe.weight_decay:
        return torch.optim.Adam(model.parameters(), **settings)
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], **settings)


def _losses(
    model: nn.Module, batch: Any, loss: Callable[[Any, Any], Tensor], n_parts: int
) -> Iterator[Tensor]:
    """Compute the loss of one part after the other, each by its share of the batch."""
    for part, share in _parts(batch, n_parts):
        # The mean over all that the batch holds, not the mean of the parts' means.
        yield checked_loss(loss(model, part)) * share


def _parts(batch: Any, n: int) -> list[tuple[Any, float]]:
    if n == 1:
        return [(batch, 1.0)]
    if not callable(getattr(batch, "parts", None)):
        raise TypeError(
            f"a batch that is computed in {n} parts needs a method parts, got {type(batch).__name__}"
        )
    parts: list[tuple[Any, float]] = list(batch.parts(n))
    shares = [share for _, share in parts]
    if not all(_is_share(share) for share in shares) or not math.isclose(sum(shares), 1):
        raise ValueError(f"the shares of the parts must be in [0, 1] and add up to 1, got {shares}")
    return parts


_ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of every parameter."""


def _store(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    about: dict[str, Any],
    losses: Losses,
) -> None:
    tensors = {f"model/{name}": x for name, x in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        tensors |= {f"{kind}/{name}": state[kind] for kind in _ADAM if kind in state}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["random"] = torch.get_rng_state()
    save_checkpoint(path, tensors, {"steps": len(losses), **about})


def _restore(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    wanted: dict[str, Any],
    made: dict[str, Any],
) -> list[float]:
    """Put everything back as it was; return the losses so far. After an error nothing is changed."""
    tensors, about = load_checkpoint(path)
    for what, expected in wanted.items():
        found = about.get(what)
        same = found == expected
        if what == "recipe" and isinstance(found, str):  # of an edition with fewer fields, perhaps
            same = _without_defaults(found) == _without_defaults(expected)
        if not same:
            raise ValueError(
                f"{path} must have been made with the same {what}, {expected}, got {about.get(what)}"
            )
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in ("model", *_ADAM)}
    for key, x in tensors.items():
        kind, _, name = key.partition("/")
        if kind in parts:
            parts[kind][name] = x
    check_names(path, parts["model"], model.state_dict())
    check_model(path, about.get(MODEL), made)
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


def _without_defaults(said: str) -> str:
    """Leave out of what a recipe says of itself every field that is its default."""
    for part in fields(Recipe):
        default = part.default if part.default is not MISSING else Constant()
        if part.default is MISSING and part.default_factory is MISSING:
            continue
        said = re.sub(rf"(?<=[(\s]){part.name}={re.escape(repr(default))}(?:, |(?=\)))", "", said)
    return re.sub(r", \)$", ")", said)
