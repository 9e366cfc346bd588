"""Exercise 23.4: the loss of a process, so that the mean of the gradients is that of the large batch."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.exercises.many_machines.processes import with_sums


def loss_of_process(loss_sum: Tensor, n_tokens: int, world: int, all_reduce: Answer) -> Any:
    """Return the sum by the tokens of all, times the number of processes."""
    return loss_sum * world / all_reduce(n_tokens)


def _local_mean(loss_sum: Tensor, n_tokens: int, world: int, all_reduce: Answer) -> Any:
    """Divide by the own tokens; by 1 if there are none, for NaN alone would say nothing of this mistake."""
    return loss_sum / max(n_tokens, 1)


def _by_all(
    loss_sum: Tensor, n_tokens: int, world: int, all_reduce: Answer, *, power: int = 0
) -> Any:
    return loss_sum * float(world) ** power / all_reduce(n_tokens)


def _undivided(
    loss_sum: Tensor, n_tokens: int, world: int, all_reduce: Answer, *, power: int = 0
) -> Any:
    return loss_sum * float(world) ** power


def _reduced_loss(loss_sum: Tensor, n_tokens: int, world: int, all_reduce: Answer) -> Any:
    return all_reduce(loss_sum) / all_reduce(n_tokens)


def _some_call(loss_sum: Tensor, n_tokens: int, world: int, all_reduce: Answer) -> Any:
    if n_tokens == 0:
        return loss_sum
    return loss_sum * world / all_reduce(n_tokens)


def _train(answer: Answer, x: Tensor, n_tokens: list[int]) -> Any:
    """Return the mean of the gradients of all processes.

    Each token's loss is the product of its numbers with those of the model. What comes after the last token is
    padding, whose loss counts 0 times.
    """
    world = len(n_tokens)
    model = torch.ones(x.shape[-1], requires_grad=True)
    real = torch.arange(x.shape[1]) < torch.tensor(n_tokens)[:, None]

    def work(rank: int, all_reduce: Answer) -> Any:
        return answer(((x[rank] @ model) * real[rank]).sum(), n_tokens[rank], world, all_reduce)

    losses = with_sums(work, world)
    for loss in losses:
        if not isinstance(loss, Tensor) or loss.ndim > 0:
            return loss
    return sum(torch.autograd.grad(loss, model)[0] for loss in losses) / world


def _case(seed: int, n_tokens: list[int], d: int) -> Case:
    return numbers(seed, len(n_tokens), max(n_tokens) + 1, d), n_tokens


def _show(x: Tensor, n_tokens: list[int]) -> str:
    return f"{len(n_tokens)} processes with these numbers of tokens: {n_tokens}"


EXERCISE = Exercise(
    number="23.4",
    title="A mean of means",
    solution=loss_of_process,
    cases=lambda: [
        _case(2350, [1, 3], 2),
        _case(2351, [4], 2),
        _case(2352, [5, 2, 3], 3),
        _case(2353, [2, 0, 5], 3),
    ],
    trial=_train,
    show_case=_show,
    mistakes=[
        Mistake(
            "local_mean",
            _local_mean,
            "Each process divides by its own tokens, and the mean of means follows. A token of a short part then "
            "counts for more than one of a long part. Divide by the tokens of all, which all_reduce adds up.",
        ),
        Mistake(
            "world_forgotten",
            _by_all,
            "You divide by the tokens of all, and the mean over the processes divides by their number once more: the "
            "gradient is too small by world, or by its square. Multiply the loss by world.",
            also=[partial(_by_all, power=-1)],
        ),
        Mistake(
            "not_divided",
            _undivided,
            "Your loss is a sum: it grows with the number of tokens in the batch, and so do the steps of the "
            "training. Divide it by the tokens of all processes.",
            also=[partial(_undivided, power=1), partial(_undivided, power=-1)],
        ),
        Mistake(
            "loss_reduced",
            _reduced_loss,
            "You send the loss through all_reduce, and no gradient comes back through it: what it returns are bare "
            "numbers. Only the count of tokens needs to go round. The loss stays here, with its gradient.",
        ),
        Mistake(
            "some_do_not_call",
            _some_call,
            "A process without tokens leaves before all_reduce, and all others wait there for it. Every process has to "
            "call it equally often, whatever it has to give: here, the number 0.",
        ),
    ],
)
