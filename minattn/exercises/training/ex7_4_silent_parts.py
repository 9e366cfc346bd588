"""Exercise 7.4: find the bug: a part that does not learn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.training import seeded

SOUND = "a sound model"
SPARE = "a layer that is never called"
DETACHED = "what the encoder found is detached"
ZEROED = "what the attention finds is multiplied by 0"
ARGMAX = "the attention takes the argmax of its scores"
DEAD = "the ReLU of the feed-forward lets nothing through"
FROZEN = "the embedding does not require a gradient"
ONE_KEY = "every source is one token long, so each softmax is over one score"
TINY = "the loss is multiplied by a billionth"
LEFT_OVER = "what the encoder found is detached, and gradients of an earlier step are left"
SHARED = "two layers that are never called and share one table"
TWO_FAULTS = "what the encoder found is detached, and the ReLU lets nothing through"


class Patient(nn.Module):
    """A small encoder-decoder, in which some part may not learn.

    Args:
        fault: one of the names above, said to the learner.
    """

    vocab_size, d = 7, 4

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        with seeded(0):  # its numbers are not used, but whoever calls has random numbers too
            self.embedding = nn.Embedding(self.vocab_size, self.d)
            self.encoder = nn.Linear(self.d, self.d, bias=False)
            self.query = nn.Linear(self.d, self.d, bias=False)
            self.key = nn.Linear(self.d, self.d, bias=False)
            self.value = nn.Linear(self.d, self.d, bias=False)
            self.up = nn.Linear(self.d, 5)
            self.down = nn.Linear(5, self.d, bias=False)
            if fault in (SPARE, SHARED):
                self.spare = nn.Linear(self.d, self.d, bias=False)
            if fault == SHARED:
                self.again = nn.Linear(self.d, self.d, bias=False)
                self.again.weight = self.spare.weight
            self.readout = nn.Linear(self.d, self.vocab_size)
        self.double()
        with torch.no_grad():
            for seed, p in enumerate(self.parameters(), 720):
                p.copy_(numbers(seed, *p.shape) / 2)
            if fault in (DEAD, TWO_FAULTS):
                self.up.bias.sub_(100)
        if fault == FROZEN:
            self.embedding.requires_grad_(False)
        if fault == LEFT_OVER:
            for p in self.parameters():
                p.grad = torch.ones_like(p)

    def __repr__(self) -> str:
        return self.fault

    def __deepcopy__(self, memo: Any) -> "Patient":
        """Return another one, with its gradients: torch's own copy of a parameter has none."""
        return Patient(self.fault)

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return logits of shape (batch, target, vocab)."""
        memory = torch.tanh(self.encoder(self.embedding(source)))
        if self.fault in (DETACHED, LEFT_OVER, TWO_FAULTS):
            memory = memory.detach()
        x = self.embedding(target_in)
        scores = self.query(x) @ self.key(memory).mT
        hard = F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores)
        weights = hard if self.fault == ARGMAX else scores.softmax(-1)
        found = weights @ self.value(memory)
        x = x + (0 * found if self.fault == ZEROED else found)
        x = x + self.down(F.relu(self.up(x)))
        logits: Tensor = self.readout(x)
        return logits


LossOf = Callable[[nn.Module], Tensor]


def batch_loss(model: nn.Module) -> Tensor:
    """Measure the loss of a model on one batch that is always the same."""
    fault = model.fault if isinstance(model, Patient) else SOUND
    source = torch.tensor([[3, 5, 2], [6, 2, 4]])[:, : 1 if fault == ONE_KEY else 3]
    logits = model(source, torch.tensor([[1, 4, 5, 3], [1, 3, 3, 5]]))
    target_out = torch.tensor([[4, 5, 3, 2], [3, 3, 5, 2]])
    loss = F.cross_entropy(logits.flatten(0, 1), target_out.flatten())
    return loss * 1e-9 if fault == TINY else loss


def silent_parameters(model: nn.Module, loss_of: LossOf) -> list[str]:
    """Name the parameters that the loss says nothing to."""
    return _silent(model, loss_of)


def _has_none(grad: Tensor | None) -> bool:
    return grad is None or not bool(grad.any())


def _silent(
    model: nn.Module,
    loss_of: LossOf,
    *,
    is_silent: Callable[[Tensor | None], bool] = _has_none,
    clear: bool = True,
    backward: bool = True,
) -> list[str]:
    if clear:
        model.zero_grad()
    loss = loss_of(model)
    if backward:
        loss.backward()  # type: ignore[no-untyped-call]
    return [name for name, p in model.named_parameters() if is_silent(p.grad)]


def _unmoved(
    model: nn.Module, loss_of: LossOf, clear: bool = True, decay: float = 0.01
) -> list[str]:
    """Take a step as AdamW takes its first one, and name the parameters that are what they were."""
    _silent(model, loss_of, clear=clear)
    unmoved = []
    for name, p in model.named_parameters():
        step = 0 * p if p.grad is None else p.grad.sign() + decay * p
        if not bool(step.any()):
            unmoved.append(name)
    return unmoved


@torch.no_grad()
def _without_effect(model: nn.Module, loss_of: LossOf) -> list[str]:
    silent, before = [], loss_of(model)
    for name, p in model.named_parameters():
        kept = p.clone()
        p.add_(0.1 * numbers(1, *p.shape))
        if torch.equal(loss_of(model), before):
            silent.append(name)
        p.copy_(kept)
    return silent


def _without_frozen(model: nn.Module, loss_of: LossOf) -> list[str]:
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    return [name for name in _silent(model, loss_of) if name in trained]


def _of_modules(model: nn.Module, loss_of: LossOf) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[0] for name in _silent(model, loss_of)))


def _by_modules(model: nn.Module, loss_of: LossOf) -> list[str]:
    """Ask every module for its own parameters."""
    _silent(model, loss_of)
    return [
        f"{place}.{name}"
        for place, module in model.named_modules()
        for name, p in module.named_parameters(recurse=False)
        if _has_none(p.grad)
    ]


def _if_a_tensor(is_zero: Callable[[Tensor], Any]) -> Answer:
    """Make an answer that does not expect a gradient to be missing."""
    return partial(_silent, is_silent=lambda grad: bool(is_zero(grad)))  # type: ignore[arg-type]


def _below(size: float, measure: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer that takes whatever is small for nothing."""
    return partial(_silent, is_silent=lambda grad: grad is None or bool(measure(grad).abs() < size))


def _silent_cases() -> list[Case]:
    faults = [SPARE, SOUND, DETACHED, ZEROED, ARGMAX, DEAD, FROZEN, ONE_KEY, TINY, LEFT_OVER]
    return [(Patient(fault), batch_loss) for fault in (*faults, TWO_FAULTS, SHARED)]


EXERCISE = Exercise(
    number="7.4",
    title="Find the bug: a part that does not learn",
    solution=silent_parameters,
    cases=_silent_cases,
    show_case=lambda model, loss_of: repr(model),
    mistakes=[
        Mistake(
            "missing_only",
            partial(_silent, is_silent=lambda grad: grad is None),
            "You find the gradients that are missing, but not those that are there and full of zeros, as in "
            "a part whose result is multiplied by 0, or lost in a dead ReLU. Such a part does not learn "
            "either. (AdamW moves it all the same, by weight decay.)",
            also=[_unmoved],
        ),
        Mistake(
            "zero_only",
            partial(_silent, is_silent=lambda grad: grad is not None and not bool(grad.any())),
            "You find the gradients that are zero, but not those that are missing. Where the loss cannot be "
            "traced back to a parameter at all, backward leaves its grad at None.",
        ),
        Mistake(
            "missing_is_no_tensor",
            _if_a_tensor(lambda grad: grad.abs().sum() == 0),
            "Your code stops where there is no gradient: backward leaves grad at None if the loss cannot be "
            "traced back to a parameter. That is one of the two things to look for, so ask for None first.",
            also=[
                # Whether a sum is exactly 0 depends on the machine; that None has none does not.
                _if_a_tensor(lambda grad: grad.sum() is None),
                _if_a_tensor(lambda grad: grad.mean() is None),
                _if_a_tensor(lambda grad: grad.norm() == 0),
                _if_a_tensor(lambda grad: not grad.any()),
                _if_a_tensor(lambda grad: grad.max() == 0),
                _if_a_tensor(lambda grad: grad.count_nonzero() == 0),
                _if_a_tensor(lambda grad: (grad == 0).all()),
                _if_a_tensor(lambda grad: torch.all(grad == 0)),
                _if_a_tensor(lambda grad: torch.count_nonzero(grad) == 0),
                _if_a_tensor(lambda grad: torch.norm(grad) == 0),
                _if_a_tensor(lambda grad: torch.sum(torch.abs(grad)) == 0),
                _if_a_tensor(lambda grad: torch.allclose(grad, torch.zeros_like(grad))),
            ],
        ),
        Mistake(
            "left_over",
            partial(_silent, clear=False),
            "All is right until a model has gradients of an earlier step. backward adds to what is there, "
            "so a part that gets nothing now seems to get something. Clear them first: zero_grad.",
            also=[
                partial(_unmoved, clear=False, decay=0.0),
            ],
        ),
        Mistake(
            "no_backward",
            partial(_silent, backward=False),
            "There are no gradients yet: the loss has to be computed, and backward has to be called on it.",
            also=[partial(_silent, backward=False, clear=False)],
        ),
        Mistake(
            "some_are_zero",
            partial(_silent, is_silent=lambda grad: grad is None or not bool(grad.all())),
            "You name a parameter if any of its numbers has gradient zero. In a table of embeddings that is "
            "so for every word that is not in the batch. A parameter is silent if all are zero.",
            also=[
                partial(_silent, is_silent=lambda grad: grad is not None and not bool(grad.all())),
            ],
        ),
        Mistake(
            "small_taken_for_zero",
            _below(1e-6, lambda grad: grad.norm()),
            "You take a small gradient for none. In one of the models all gradients are tiny, and they are "
            "right: Adam divides by their size, so it would learn all the same. Compare with 0 itself.",
            also=[
                *(
                    _below(size, measure)
                    for size in (1e-5, 1e-7, 1e-8)
                    for measure in (torch.norm, lambda grad: grad.abs().max())
                ),
                partial(
                    _silent,
                    is_silent=lambda grad: (
                        grad is None or torch.allclose(grad, torch.zeros_like(grad))
                    ),
                ),
            ],
        ),
        Mistake(
            "cancelled_in_the_sum",
            _below(1e-12, torch.sum),
            "You add up a gradient, and positive and negative numbers cancel. Those of the readout always "
            "sum to 0: what one word gains in probability, the others lose. Look at the sizes, with abs or "
            "norm.",
            also=[
                _below(size, measure)
                for size in (1e-6, 1e-7, 1e-8, 1e-10, 1e-12)
                for measure in (torch.sum, torch.mean)
            ],
        ),
        Mistake(
            "inverted",
            partial(_silent, is_silent=lambda grad: not _has_none(grad)),
            "You name the parameters that do get a gradient. The others are asked for.",
            also=[partial(_silent, is_silent=lambda grad: grad is not None)],
        ),
        Mistake(
            "frozen_only",
            lambda model, loss_of: [n for n, p in model.named_parameters() if not p.requires_grad],
            "You name the parameters that are frozen on purpose. A parameter that requires a gradient need "
            "not get one: that is decided by the way from it to the loss.",
            also=[
                lambda model, loss_of: [n for n, p in model.named_parameters() if p.requires_grad]
            ],
        ),
        Mistake(
            "frozen_left_out",
            _without_frozen,
            "You leave out the parameters that do not require a gradient. The loss says nothing to them "
            "either, and it may well be by accident that they are frozen.",
        ),
        Mistake(
            "effect_on_the_loss",
            _without_effect,
            "You change weights and watch the loss. A part that is detached has an effect on the loss, and "
            "yet it is never told in which direction to go. Look at the gradients.",
        ),
        Mistake(
            "modules_named",
            _of_modules,
            "These are the right parts, but the names of the modules. Give those of the parameters, as "
            "named_parameters does: readout.weight and readout.bias are two.",
        ),
        Mistake(
            "another_order",
            lambda model, loss_of: sorted(_silent(model, loss_of)),
            "The names are right, but in another order. Leave them in that of named_parameters.",
            also=[lambda model, loss_of: _silent(model, loss_of)[::-1]],
        ),
        Mistake(
            "named_twice",
            _by_modules,
            "Where two modules share a table, you name it twice. It is one parameter, and named_parameters "
            "gives it once, under its first name.",
        ),
        Mistake(
            "none_found",
            lambda model, loss_of: [],
            "You say of every model that all of it learns. Is the name added to the list?",
        ),
    ],
)
