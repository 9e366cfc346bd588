"""Exercise 1.7: a training step in parts."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.exercises.context_vector.tiny_translator import Part, TinyTranslator, take_step
from minattn.exercises.exercise import Answer, Case, Exercise, Mistake
from minattn.training import token_loss
from minattn.vocabulary import BOS, EOS, PAD

Optimizer = torch.optim.Optimizer


def step_in_parts(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> float:
    """Change the weights once for the mean loss over all parts, and return the loss from before."""
    n_tokens = sum(int((target_out != PAD).sum()) for *_, target_out in parts)
    optimizer.zero_grad()
    total = 0.0
    for source, target_in, target_out in parts:
        logits = model(source, target_in)
        loss = _terms(logits, target_out).sum() / n_tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    optimizer.step()
    return total


def _terms(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every position, 0 at padding."""
    return F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD, reduction="none")


def _all_terms(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every position, that of saying PAD at padding."""
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none")


# What a part adds to the loss: of its logits and answers, and the answers of all parts.
Share = Callable[[Tensor, Tensor, list[Tensor]], Tensor]


def _real(answers: list[Tensor]) -> int:
    return sum(int((said != PAD).sum()) for said in answers)


def _rows(answers: list[Tensor]) -> int:
    return sum(map(len, answers))


def _positions(answers: list[Tensor]) -> int:
    return sum(said.numel() for said in answers)


def _right(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    return _terms(logits, said).sum() / _real(answers)


def _own_sum(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    return _terms(logits, said).sum()


def _own_mean(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    return token_loss(logits, said)


def _mean_of_means(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    return token_loss(logits, said) / len(answers)


def _of_sentences(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    means = _terms(logits, said).sum(1) / (said != PAD).sum(1)
    return means.sum() / _rows(answers)


# What is returned: of the shares, the answers, and a function that computes the loss again.


def _sum(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    return sum(share.item() for share in shares)


def _mean(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    return sum(share.item() for share in shares) / len(shares)


def _last(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    return shares[-1].item()


def _per_token(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    return sum(share.item() for share in shares) / _real(answers)


def _weighed(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    pairs = zip(shares, answers, strict=True)
    return sum(share.item() * _real([said]) for share, said in pairs) / _real(answers)


def _nothing(_: Any) -> None:
    pass


def _step(
    *,
    share: Share = _right,
    pair: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda read, said: (read, said),
    zero: str = "once",
    prepare: Callable[[nn.Module], Any] = _nothing,
    after_backward: Callable[[nn.Module], Any] = _nothing,
    after_part: Callable[[nn.Module], Any] = _nothing,
    every_part: bool = False,
    used: int | None = None,
    step: Callable[[Optimizer], Any] = lambda optimizer: optimizer.step(),
    returned: Callable[[list[Tensor], list[Tensor], Callable[[], float]], Any] = _sum,
) -> Answer:
    """Make an answer that goes another way in some place.

    Args:
        share: what a part adds to the loss.
        pair: takes target_in and target_out, and says what is read and what is to be said.
        zero: when old gradients are cleared: "once", for "every part", or "never".
        prepare: is done to the model at the beginning.
        after_backward: is done to the model before a step.
        after_part: is done to the model after the backward of each part.
        every_part: whether there is a step for every part.
        used: how many parts are looked at, if not all.
        step: is done to the optimizer.
        returned: takes the shares, the answers, and a function that computes the loss again.
    """

    def answer(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> Any:
        sources = [source for source, *_ in parts]
        pairs = [pair(target_in, target_out) for _, target_in, target_out in parts]
        answers = [said for _, said in pairs]

        def share_of(i: int) -> Tensor:
            return share(model(sources[i], pairs[i][0]), answers[i], answers)

        def again() -> float:
            with torch.no_grad():
                return sum(share_of(i).item() for i in range(len(parts)))

        prepare(model)
        if zero == "once":
            optimizer.zero_grad()
        shares = []
        for i in range(len(parts))[:used]:
            if zero == "every part":
                optimizer.zero_grad()
            shares.append(share_of(i))
            shares[-1].backward()  # type: ignore[no-untyped-call]
            after_part(model)
            if every_part:
                after_backward(model)
                step(optimizer)
        if not every_part:
            after_backward(model)
            step(optimizer)
        return returned(shares, answers, again)

    return answer


def _first_part(answer: Answer) -> Answer:
    return lambda model, optimizer, parts: answer(model, optimizer, parts[:1])


def _all_graphs(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> float:
    logits = [model(source, target_in) for source, target_in, _ in parts]
    terms = [_terms(x, said).flatten() for x, (*_, said) in zip(logits, parts, strict=True)]
    loss = torch.cat(terms).sum() / _real([said for *_, said in parts])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _joined(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> float:
    def join(batches: tuple[Tensor, ...]) -> Tensor:
        rows = [row for batch in batches for row in batch]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    source, target_in, target_out = map(join, zip(*parts, strict=True))
    optimizer.zero_grad()
    loss = token_loss(model(source, target_in), target_out)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _clip(norm: float) -> Callable[[nn.Module], Any]:
    return lambda model: nn.utils.clip_grad_norm_(model.parameters(), norm)


def _cases() -> list[Case]:
    def part(source: list[list[int]], target: list[list[int]]) -> Part:
        said = torch.tensor(target)
        read = torch.cat([torch.full((len(said), 1), BOS), said[:, :-1]], 1)
        read[said == PAD] = PAD
        return torch.tensor(source), read, said

    def case(seed: int, d: int, *parts: Part, momentum: float = 0.0) -> Case:
        room = max(target_in.numel() for _, target_in, _ in parts)
        model = TinyTranslator(seed, d, room, old_gradients=seed % 2 == 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
        return model, optimizer, list(parts)

    return [
        case(
            1100,
            2,
            part([[3, 4, EOS], [5, 3, EOS]], [[4, 3, EOS], [3, 6, EOS]]),
            part([[6, EOS]], [[5, EOS]]),
        ),
        case(
            1110,
            3,
            part([[5, 4, EOS]], [[6, EOS]]),
            part(
                [[6, 5, 3, EOS], [4, EOS, PAD, PAD], [6, EOS, PAD, PAD]],
                [[3, 5, 6, 4, EOS], [4, EOS, PAD, PAD, PAD], [6, EOS, PAD, PAD, PAD]],
            ),
            part([[4, 4, EOS], [3, EOS, PAD]], [[4, 4, 6, EOS], [EOS, PAD, PAD, PAD]]),
        ),
        case(
            1121,
            3,
            part([[5, 6, EOS]], [[6, 5, 4, EOS]]),
            part([[4, EOS], [3, EOS], [6, EOS]], [[4, EOS], [5, EOS], [6, EOS]]),
        ),
        case(
            1131,
            5,
            part([[4, 6, EOS], [6, EOS, PAD]], [[6, 4, 5, EOS], [6, EOS, PAD, PAD]]),
            part([[3, 5, EOS]], [[5, 3, EOS]]),
            part([[5, EOS, PAD], [4, 3, EOS]], [[5, EOS, PAD], [3, 4, EOS]]),
            momentum=0.9,
        ),
    ]


def _show_case(model: TinyTranslator, optimizer: Any, parts: list[Part]) -> str:
    group = optimizer.param_groups[0]
    lines = [
        f"model = {model!r}, optimizer = SGD(lr={group['lr']}, momentum={group['momentum']})",
        *(
            f"parts[{i}] = ({', '.join(str(ids.tolist()) for ids in part)})"
            for i, part in enumerate(parts)
        ),
    ]
    return "\n".join(lines)


EXERCISE = Exercise(
    number="1.7",
    title="A training step in parts",
    solution=step_in_parts,
    cases=_cases,
    trial=take_step,
    show_case=_show_case,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "all_graphs",
            _all_graphs,
            "Out of memory: the graph of one part is still there when the next goes through the model. Call "
            "backward() for a part first; its graph is then freed, and its gradients stay. What is to give a "
            "number and no gradient belongs under torch.no_grad().",
        ),
        Mistake(
            "joined",
            _joined,
            "Out of memory: the parts are joined into one batch, and that is what there is no room for. Let "
            "them go through the model one after another. What does backward() do with gradients that are "
            "there already?",
        ),
        Mistake(
            "weights_unmoved",
            _step(step=_nothing),
            "The loss is right, but the weights are the same as before. Either optimizer.step() is missing, "
            "or there is no gradient when it comes: does zero_grad() stand between backward() and step()?",
            also=[_step(zero="never", step=_nothing)],
        ),
        Mistake(
            "not_zeroed",
            _step(zero="never"),
            "Gradients of an earlier step are added to the new ones. backward() only adds, it never clears, "
            "and when your function is called the old ones may still lie there. What has to come before the "
            "first backward()?",
        ),
        Mistake(
            "zeroed_for_every_part",
            _step(zero="every part"),
            "Only the last part has a say in the step: before each part the gradients of those before it are "
            "thrown away. Old gradients are to be cleared, but how often?",
            also=[
                _step(zero="every part", share=_own_mean, returned=returned)
                for returned in (_mean, _last, _weighed)
            ],
        ),
        Mistake(
            "step_for_every_part",
            _step(every_part=True, zero="every part", share=_own_mean, returned=_mean),
            "There is a step for every part, as the loop over batches has it. The later parts then meet other "
            "weights, and a token of a small part counts more. Here all parts are one batch: one step, when "
            "the gradients of all are there.",
            also=[
                _step(every_part=True, zero="every part"),
                _step(every_part=True),
                *(
                    _step(every_part=True, zero=zero, share=_own_sum, returned=_per_token)
                    for zero in ("every part", "once")
                ),
                *(
                    _step(
                        every_part=True,
                        zero=zero,
                        share=_own_mean,
                        after_backward=change,
                        returned=returned,
                    )
                    for zero, change, returned in product(
                        ("every part", "once"), (_nothing, _clip(1.0)), (_mean, _last, _weighed)
                    )
                ),
            ],
        ),
        Mistake(
            "first_part_only",
            _first_part(_step()),
            "Only the first part has been looked at. Does the return, or all that comes behind backward(), "
            "stand in the loop?",
            also=[_step(used=1), _first_part(_step(after_backward=_clip(1.0)))],
        ),
        Mistake(
            "mean_of_means",
            _step(share=_mean_of_means),
            "Each part counts the same, for you take the mean of each and then bring these together. A token "
            "of a part with few real tokens then counts more than one of a part with many. Every real token of "
            "all parts counts the same.",
            also=[
                _step(share=_mean_of_means, returned=lambda s, a, g: len(s) * _weighed(s, a, g)),
                *(_step(share=_own_mean, returned=end) for end in (_sum, _mean, _weighed)),
            ],
        ),
        Mistake(
            "rows_as_weights",
            _step(share=lambda x, said, a: token_loss(x, said) * len(said) / _rows(a)),
            "You weigh the mean of each part by its number of rows. The rows have different lengths, and it is "
            "the real tokens that count the same, not the sentences. How many tokens is each mean made of?",
        ),
        Mistake(
            "mean_of_sentences",
            _step(share=_of_sentences),
            "You take the mean of each sentence, and then the mean of these. A token of a short sentence then "
            "counts more than one of a long sentence. Every real token of all parts counts the same.",
        ),
        Mistake(
            "padding_counted",
            _step(share=lambda x, said, a: _all_terms(x, said).sum() / _positions(a)),
            "Padding is among the answers, so the model is also trained to say padding, and its loss depends "
            "on how the sentences are put into parts. Which positions should count?",
            also=[
                _step(share=lambda x, said, a: _all_terms(x, said).mean() / len(a)),
                _step(share=lambda x, said, a: _all_terms(x, said).sum() / _real(a)),
                _step(
                    share=lambda x, said, a: _all_terms(x, said).mean() * _real([said]) / _real(a)
                ),
            ],
        ),
        Mistake(
            "padding_in_the_number",
            _step(share=lambda x, said, a: _terms(x, said).sum() / _positions(a)),
            "Padding is counted among the tokens when you divide, or weigh the parts. Only the number of real "
            "tokens should play a part.",
            also=[
                _step(share=lambda x, said, a: token_loss(x, said) * said.numel() / _positions(a)),
                _step(share=lambda x, said, a: _terms(x, said).mean() / len(a)),
            ],
        ),
        Mistake(
            "sum",
            _step(share=_own_sum),
            "The gradient is that of the sum over the real tokens, not of their mean. The step then grows with "
            "the number of tokens, as if the learning rate had. By what should the loss of each part be "
            "divided before backward()?",
            also=[_step(share=_own_sum, returned=_per_token)],
        ),
        Mistake(
            "loss_of_the_last_part",
            _step(returned=_last),
            "The weights are right, but the loss that you return is the last part's alone. Each part has one; "
            "what do you do with those before it?",
            also=[_step(returned=lambda s, a, again: s[-1].item() * _real(a) / _real(a[-1:]))],
        ),
        Mistake(
            "another_loss_returned",
            _step(returned=lambda s, a, again: sum(x.item() for x in s) * _real(a)),
            "The weights are right, but the number that you return is not the mean over all real tokens: it is "
            "a sum over them, or a mean in which each part counts the same. Return the loss whose gradient the "
            "step was made from.",
            also=[
                _step(
                    returned=lambda s, a, again: (
                        sum(
                            x.item() * _real(a) / _real([said])
                            for x, said in zip(s, a, strict=True)
                        )
                        / len(s)
                    )
                ),
                _step(returned=_mean),
            ],
        ),
        Mistake(
            "loss_after_the_step",
            _step(returned=lambda s, a, again: again()),
            "The weights are right, but this is the loss after the step. The losses that the step is made from "
            "were computed before; keep their numbers, and nothing has to be computed twice.",
        ),
        Mistake(
            "graph_kept",
            _step(returned=lambda s, a, again: torch.stack(s).sum()),
            "The loss that you return is a tensor that still holds the graph of this step. Whoever keeps the "
            "losses of a thousand steps keeps a thousand graphs. loss.item() is a number alone.",
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
                _step(after_backward=nn.Module.eval, returned=lambda s, a, again: again()),
            ],
        ),
        Mistake(
            "clipped",
            _step(after_backward=_clip(1.0)),
            "The gradient is clipped, as in the step that the chapter shows. That is a good habit with "
            "recurrent nets, but it is not asked for here: the step should be the optimizer's own.",
            also=[
                *(_step(after_backward=_clip(norm)) for norm in (0.1, 0.25, 0.5, 2.0, 5.0)),
                _step(
                    after_backward=lambda model: nn.utils.clip_grad_value_(model.parameters(), 1.0)
                ),
                _step(after_part=_clip(1.0)),
                _step(share=_mean_of_means, after_backward=_clip(1.0)),
                *(
                    _step(share=_own_mean, after_backward=_clip(1.0), returned=end)
                    for end in (_mean, _weighed)
                ),
            ],
        ),
        Mistake(
            "uphill",
            _step(share=lambda x, said, a: -_right(x, said, a)),
            "The step goes uphill: the weights move so that the loss grows. The loss is minus the mean "
            "log-probability of the right tokens, and it is to become small.",
            also=[
                _step(
                    share=lambda x, said, a: -_right(x, said, a),
                    returned=lambda s, a, again: -_sum(s, a, again),
                )
            ],
        ),
    ],
)
