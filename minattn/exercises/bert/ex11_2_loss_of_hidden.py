"""Exercise 11.2: the loss of the hidden tokens."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.bert.ex11_1_hide_tokens import IGNORE
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.training.underflow import UNDERFLOWING


def loss_of_hidden(logits: Tensor, targets: Tensor) -> Tensor:
    """Average the cross-entropy over the places that have a target; 0 if none has."""
    return _loss(logits, targets)


def _mean(terms: Tensor, at: Tensor) -> Tensor:
    return terms[at].sum() / at.sum().clamp(min=1)


def _loss(
    logits: Tensor,
    targets: Tensor,
    *,
    logs: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    average: Callable[[Tensor, Tensor], Tensor] = _mean,
) -> Tensor:
    at = targets != IGNORE
    terms = -logs(logits).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return average(terms, at)


def _rows(terms: Tensor, at: Tensor) -> Tensor:
    return ((terms * at).sum(1) / at.sum(1).clamp(min=1)).mean()


def _rows_with_targets(terms: Tensor, at: Tensor) -> Tensor:
    means = (terms * at).sum(1) / at.sum(1).clamp(min=1)
    return means.sum() / at.any(1).sum().clamp(min=1)


def _rows_or_none(terms: Tensor, at: Tensor) -> Tensor:
    return ((terms * at).sum(1) / at.sum(1)).mean()


def _nothing_to_tell(value: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Make an average that is some value where there is no target."""
    return lambda terms, at: terms[at].mean() if bool(at.any()) else torch.tensor(value)


def _reshaped(logits: Tensor, targets: Tensor) -> Tensor:
    batch, seq, vocab = logits.shape
    return loss_of_hidden(logits.reshape(batch, vocab, seq).transpose(1, 2), targets)


def _vocabulary_not_second(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets)


def _without_ignoring(logits: Tensor, targets: Tensor, *, ignore_index: int) -> Tensor:
    flat = logits.flatten(0, 1), targets.flatten()
    return F.cross_entropy(*flat, ignore_index=ignore_index)


def _looked_up(logits: Tensor, targets: Tensor) -> Tensor:
    terms = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return _mean(terms, targets != IGNORE)


def _hidden_cases() -> list[Case]:
    def targets(*rows: str) -> Tensor:
        """Read one sign for each place: a dot where nothing is to be told."""
        return torch.tensor([[IGNORE if c == "." else int(c, 36) for c in row] for row in rows])

    return [
        (numbers(1130, 1, 3, 5), targets(".4.")),
        (numbers(1131, 2, 5, 7), targets("3.6.5", "...4.")),
        (2 * numbers(1132, 3, 7, 11), targets("..3.a..", ".......", "5.749..")),
        (numbers(1133, 2, 3, 5), targets("...", "...")),
        # Here some tokens are all but ruled out.
        (60 * numbers(1134, 2, 5, 7), targets("56..3", ".4...")),
    ]


EXERCISE = Exercise(
    number="11.2",
    title="The loss of the hidden tokens",
    solution=loss_of_hidden,
    cases=_hidden_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "all_places_counted",
            partial(_loss, average=lambda terms, at: (terms * at).sum() / at.numel()),
            "You divide by the number of all places. Most have no target: the loss comes out as many "
            "times too small, and it changes with the share that is hidden. Divide by the number of "
            "targets.",
        ),
        Mistake(
            "all_places_asked",
            partial(_loss, average=lambda terms, at: terms.mean()),
            "The places without a target are asked as well, as if the id 0 stood there. -100 is no id: "
            "leave these places out.",
            also=[partial(_loss, average=lambda terms, at: terms.sum() / at.sum().clamp(min=1))],
        ),
        Mistake(
            "rows_first",
            partial(_loss, average=_rows),
            "You average each text first, and then the texts. So a hidden token counts more in a text with "
            "few of them. All targets of the batch count alike: one sum, divided by their number.",
            also=[
                partial(_loss, average=_rows_with_targets),
                partial(_loss, average=_rows_or_none),
                partial(_loss, average=lambda terms, at: (terms * at).sum() / len(at)),
            ],
        ),
        Mistake(
            "sum",
            partial(_loss, average=lambda terms, at: terms[at].sum()),
            "This is the sum over the targets. Then a batch with twice as many has twice the loss. Divide "
            "by their number.",
        ),
        Mistake(
            "nan_of_nothing",
            partial(_loss, average=lambda terms, at: terms[at].mean()),
            "Right, but for a batch without any target: 0 divided by 0 is NaN, and F.cross_entropy "
            "returns it too. One step with a NaN spoils all parameters. Here the loss shall be 0.",
            also=[
                lambda logits, targets: F.cross_entropy(logits.transpose(1, 2), targets),
                partial(_loss, average=_nothing_to_tell(1.0)),
                partial(_loss, average=_nothing_to_tell(math.inf)),
            ],
        ),
        Mistake(
            "one_too_many",
            partial(_loss, average=lambda terms, at: terms[at].sum() / (at.sum() + 1)),
            "You divide by one more than there are targets. That avoids 0 divided by 0, and makes every "
            "other loss too small. clamp(min=1) changes the number only where it is 0.",
        ),
        Mistake(
            "softmax_twice",
            partial(_loss, logs=lambda logits: logits.softmax(-1).log_softmax(-1)),
            "The softmax is taken twice. What takes logits, such as log_softmax and F.cross_entropy, does "
            "it already; of probabilities it makes nearly even ones.",
        ),
        Mistake(
            "probabilities",
            partial(_loss, logs=lambda logits: logits.softmax(-1)),
            "The logarithm is missing: you average probabilities. A loss is minus the logarithm of the "
            "probability of what stood there.",
            also=[partial(_loss, logs=lambda logits: -logits.softmax(-1))],
        ),
        Mistake(
            "raw_logits",
            partial(_loss, logs=lambda logits: logits),
            "The logits are used as they are. They are no log probabilities: add the same number to all of "
            "them, and your loss changes. First log_softmax over the vocabulary.",
        ),
        Mistake(
            "sign",
            partial(_loss, average=lambda terms, at: -_mean(terms, at)),
            "The sign is missing. Log probabilities are below 0; a loss is above it, and training makes it "
            "small.",
        ),
        Mistake(
            "bits",
            partial(_loss, average=lambda terms, at: _mean(terms, at) / math.log(2)),
            "These are bits: a logarithm to the base 2. The task asks for nats, the natural logarithm.",
        ),
        Mistake(
            "wrong_axis",
            partial(_loss, logs=lambda logits: logits.log_softmax(1)),
            "The softmax runs over the places or over the batch. The tokens of the vocabulary share the "
            "probability, at every place by itself, so it runs over the last axis.",
            also=[partial(_loss, logs=lambda logits: logits.log_softmax(0))],
        ),
        Mistake(
            "shifted",
            lambda logits, targets: loss_of_hidden(logits[:, :-1], targets[:, 1:]),
            "The logits are compared with the target one place later, as in a model that says the next "
            "token. Here a place is asked what stands there itself: nothing is shifted.",
            also=[lambda logits, targets: loss_of_hidden(logits[:, 1:], targets[:, :-1])],
        ),
        Mistake(
            "reshaped",
            _reshaped,
            "F.cross_entropy wants the vocabulary as second axis, and you got there by a reshape or view. "
            "That deals the same numbers out anew, so logits of several places are mixed. Use "
            "logits.transpose(1, 2).",
        ),
        Mistake(
            "vocabulary_not_second",
            _vocabulary_not_second,
            "F.cross_entropy expects the vocabulary as second axis, and here it is the last. Turn it with "
            "logits.transpose(1, 2), or choose the places first: logits[at] has shape (targets, vocab).",
        ),
        Mistake(
            "ignores_padding",
            partial(_without_ignoring, ignore_index=0),
            "You leave out the id 0, and -100 is taken for an id. No token has it. -100 is what "
            "F.cross_entropy leaves out if it is told nothing else.",
        ),
        Mistake(
            "looked_up",
            _looked_up,
            "You look up the log probability of the id -100, and there is none. Choose the places that "
            "have a target first, or put any id there and leave its term out.",
        ),
        Mistake(
            "underflow",
            partial(_loss, logs=UNDERFLOWING[0]),
            "Where the model all but rules a token out, its probability is rounded to 0, and the logarithm "
            "of that is minus infinity or what you put there instead. log_softmax never forms the small "
            "number.",
            also=[partial(_loss, logs=logs) for logs in UNDERFLOWING[1:]],
        ),
    ],
    laws=[
        Law("the loss is a finite number", lambda out, *case: math.isfinite(out)),
        Law("the loss is not below 0", lambda out, *case: float(out) >= 0),
    ],
)
