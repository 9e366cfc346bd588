"""Exercise 1.7: a training step."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.exercises.context_vector.tiny_translator import TinyTranslator, take_step
from minattn.exercises.exercise import Answer, Case, Exercise, Mistake
from minattn.training import token_loss
from minattn.vocabulary import BOS, EOS, PAD

Optimizer = torch.optim.Optimizer


def training_step(
    model: nn.Module, optimizer: Optimizer, source: Tensor, target_in: Tensor, target_out: Tensor
) -> float:
    """Change the weights once by teacher forcing, and return the loss from before."""
    optimizer.zero_grad()
    loss = token_loss(model(source, target_in), target_out)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _terms(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every position, 0 at padding."""
    return F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD, reduction="none")


def _of_sentences(logits: Tensor, target: Tensor) -> Tensor:
    return (_terms(logits, target).sum(1) / (target != PAD).sum(1)).mean()


def _with_padding(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def _nothing(model: nn.Module) -> None:
    pass


def _no_step(_: Optimizer) -> None:
    pass


def _step(
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = token_loss,
    pair: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda read, said: (read, said),
    zero: bool = True,
    backward: bool = True,
    prepare: Callable[[nn.Module], Any] = _nothing,
    after_backward: Callable[[nn.Module], Any] = _nothing,
    step: Callable[[Optimizer], Any] = lambda optimizer: optimizer.step(),
    returned: Callable[..., Any] = lambda loss, again: loss.item(),
) -> Answer:
    """Make an answer that goes another way in some place.

    Args:
        loss: of logits and answers.
        pair: takes target_in and target_out, and says what is read and what is to be said.
        zero: whether old gradients are cleared.
        backward: whether there are new ones.
        prepare: is done to the model at the beginning.
        after_backward: is done to the model before the step.
        step: is done to the optimizer.
        returned: takes the loss, and a function that computes it again.
    """

    def answer(
        model: nn.Module, optimizer: Optimizer, source: Tensor, target_in: Tensor, target: Tensor
    ) -> Any:
        read, said = pair(target_in, target)
        prepare(model)
        if zero:
            optimizer.zero_grad()
        value = loss(model(source, read), said)
        if backward:
            value.backward()  # type: ignore[no-untyped-call]
        after_backward(model)
        step(optimizer)
        return returned(value, lambda: loss(model(source, read), said))

    return answer


def _clip(norm: float) -> Callable[[nn.Module], Any]:
    return lambda model: nn.utils.clip_grad_norm_(model.parameters(), norm)


def _step_cases() -> list[Case]:
    def case(
        seed: int, d: int, source: list[list[int]], target: list[list[int]], momentum: float = 0.0
    ) -> Case:
        model = TinyTranslator(seed, d, old_gradients=seed % 2 == 1)
        said = torch.tensor(target)
        read = torch.cat([torch.full((len(said), 1), BOS), said[:, :-1]], 1)
        read[said == PAD] = PAD
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
        return model, optimizer, torch.tensor(source), read, said

    return [
        case(1100, 2, [[3, 4, EOS], [5, 3, EOS]], [[4, 3, EOS], [3, 6, EOS]]),
        case(
            1110,
            3,
            [[6, 5, 3, EOS], [4, EOS, PAD, PAD]],
            [[3, 5, 6, 4, EOS], [4, EOS, PAD, PAD, PAD]],
        ),
        case(1121, 3, [[5, 6, EOS], [3, 3, EOS]], [[6, 5, EOS], [3, 4, EOS]]),
        case(
            1131,
            5,
            [[4, 6, EOS], [6, EOS, PAD], [3, 5, EOS]],
            [[6, 4, 5, EOS], [6, EOS, PAD, PAD], [5, 3, EOS, PAD]],
            momentum=0.9,
        ),
    ]


def _show_step(
    model: TinyTranslator, optimizer: Any, source: Tensor, target_in: Tensor, target_out: Tensor
) -> str:
    group = optimizer.param_groups[0]
    return (
        f"model = {model!r}, optimizer = SGD(lr={group['lr']}, momentum={group['momentum']})\n"
        f"source = {source.tolist()}\ntarget_in = {target_in.tolist()}\n"
        f"target_out = {target_out.tolist()}"
    )


EXERCISE = Exercise(
    number="1.7",
    title="A training step",
    solution=training_step,
    cases=_step_cases,
    trial=take_step,
    show_case=_show_step,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "weights_unmoved",
            _step(step=_no_step),
            "The loss is right, but the weights are the same as before. Either optimizer.step() is missing, "
            "or there is no gradient when it comes: is backward() called, and does zero_grad() stand before "
            "it, and not between it and step()?",
            also=[
                _step(zero=False, step=_no_step),
                _step(backward=False),
                _step(backward=False, zero=False),
            ],
        ),
        Mistake(
            "not_zeroed",
            _step(zero=False),
            "Gradients of an earlier step are added to the new ones. backward() only adds, it never clears, "
            "and when your function is called the old ones may still lie there. What has to come before "
            "backward()?",
        ),
        Mistake(
            "padding_counted",
            _step(loss=_with_padding),
            "This looks like the mean over every position, so the model is also trained to say padding, and "
            "its loss looks better in a batch with more of it. Which positions should count?",
        ),
        Mistake(
            "padding_in_the_number",
            _step(loss=lambda logits, target: _terms(logits, target).mean()),
            "Padding adds nothing to the sum, but the sum is divided by the number of all positions. Divide "
            "by the number of real tokens.",
        ),
        Mistake(
            "mean_of_sentences",
            _step(loss=_of_sentences),
            "You take the mean of each sentence, and then the mean of these. A token of a short sentence "
            "then counts more than one of a long sentence. Every real token of the batch counts the same.",
        ),
        Mistake(
            "sum",
            _step(loss=lambda logits, target: _terms(logits, target).sum()),
            "This is the sum over the real tokens, not their mean. The step then grows with the number of "
            "tokens in the batch, as if the learning rate had.",
            also=[_step(loss=lambda logits, target: _terms(logits, target).sum() / len(target))],
        ),
        Mistake(
            "loss_after_the_step",
            _step(returned=lambda loss, again: again().item()),
            "The weights are right, but this is the loss after the step. The loss that the step is made from "
            "was computed before; keep that one, and nothing has to be computed twice.",
        ),
        Mistake(
            "graph_kept",
            _step(returned=lambda loss, again: loss),
            "The loss that you return is a tensor that still holds the graph of this step. Whoever keeps the "
            "losses of a thousand steps keeps a thousand graphs. loss.item() is a number alone.",
            also=[_step(returned=lambda loss, again: again())],
        ),
        Mistake(
            "no_shift",
            _step(pair=lambda read, said: (read, read)),
            "The answers are target_in, the very words that the decoder reads. It then learns to repeat "
            "what it has just been given. What should it say after it has read BOS?",
        ),
        Mistake(
            "reads_the_answer",
            _step(pair=lambda read, said: (said, said)),
            "The decoder reads target_out, so the word that it has to say is given to it. The loss falls "
            "fast, and nothing is learned. What has it said before this word?",
            also=[
                _step(pair=lambda read, said: (torch.cat([read[:, 1:], read[:, :1]], 1), said)),
            ],
        ),
        Mistake(
            "changed_places",
            _step(pair=lambda read, said: (said, read)),
            "target_in and target_out have changed places. The decoder reads target_in, which begins with "
            "BOS, and is to say target_out, which ends with EOS.",
        ),
        Mistake(
            "evaluation_mode",
            _step(prepare=nn.Module.eval),
            "The model is put into evaluation mode. Some parts, such as dropout, do something else in "
            "training, and this step is training: leave the mode as it is.",
            also=[
                _step(after_backward=nn.Module.eval, returned=lambda loss, again: again().item()),
            ],
        ),
        Mistake(
            "clipped",
            _step(after_backward=_clip(1.0)),
            "The gradient is clipped, or made shorter in another way. That is a good habit with recurrent "
            "nets, but nobody asked for it here: the step should be the optimizer's own.",
            also=[
                *(_step(after_backward=_clip(norm)) for norm in (0.1, 0.25, 0.5, 2.0, 5.0)),
                _step(
                    after_backward=lambda model: nn.utils.clip_grad_value_(model.parameters(), 1.0)
                ),
            ],
        ),
        Mistake(
            "two_steps",
            _step(step=lambda optimizer: (optimizer.step(), optimizer.step())),
            "The step is taken twice. Look whether optimizer.step() stands in your function more than once, "
            "or in a loop.",
        ),
        Mistake(
            "uphill",
            _step(loss=lambda logits, target: -token_loss(logits, target)),
            "The step goes uphill: the weights move so that the loss grows. The loss is minus the mean "
            "log-probability of the right tokens, and it is to become small.",
            also=[
                _step(
                    loss=lambda logits, target: -token_loss(logits, target),
                    returned=lambda loss, again: -loss.item(),
                )
            ],
        ),
    ],
)
