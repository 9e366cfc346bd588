"""Exercise 1.7: a training step in parts."""

from itertools import product
from typing import Any

import torch
from torch import nn

from minattn.exercises.context_vector.parted_steps import (
    Optimizer,
    all_graphs_at_once,
    all_terms,
    clipping,
    first_part_only,
    joined_parts,
    leave_out,
    mean_of_means,
    of_sentences,
    own_mean,
    own_sum,
    positions_of,
    real_tokens,
    right_share,
    rows_of,
    step_with,
    terms,
    told_last,
    told_mean,
    told_per_token,
    told_sum,
    told_weighed,
)
from minattn.exercises.context_vector.tiny_translator import Part, TinyTranslator, take_step
from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.training import token_loss
from minattn.vocabulary import BOS, EOS, PAD


def step_in_parts(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> float:
    """Change the weights once for the mean loss over all parts, and return the loss from before."""
    n_tokens = sum(int((target_out != PAD).sum()) for *_, target_out in parts)
    optimizer.zero_grad()
    total = 0.0
    for source, target_in, target_out in parts:
        logits = model(source, target_in)
        loss = terms(logits, target_out).sum() / n_tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    optimizer.step()
    return total


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
            all_graphs_at_once,
            "Out of memory: the graph of one part is still there when the next goes through the model. Call "
            "backward() for a part first; its graph is then freed, and its gradients stay. What is to give a "
            "number and no gradient belongs under torch.no_grad().",
        ),
        Mistake(
            "joined",
            joined_parts,
            "Out of memory: the parts are joined into one batch, and that is what there is no room for. Let "
            "them go through the model one after another. What does backward() do with gradients that are "
            "there already?",
        ),
        Mistake(
            "weights_unmoved",
            step_with(step=leave_out),
            "The loss is right, but the weights are the same as before. Either optimizer.step() is missing, "
            "or there is no gradient when it comes: does zero_grad() stand between backward() and step()?",
            also=[step_with(zero="never", step=leave_out)],
        ),
        Mistake(
            "not_zeroed",
            step_with(zero="never"),
            "Gradients of an earlier step are added to the new ones. backward() only adds, it never clears, "
            "and when your function is called the old ones may still lie there. What has to come before the "
            "first backward()?",
        ),
        Mistake(
            "zeroed_for_every_part",
            step_with(zero="every part"),
            "Only the last part has a say in the step: before each part the gradients of those before it are "
            "thrown away. Old gradients are to be cleared, but how often?",
            also=[
                step_with(zero="every part", share=own_mean, returned=returned)
                for returned in (told_mean, told_last, told_weighed)
            ],
        ),
        Mistake(
            "step_for_every_part",
            step_with(every_part=True, zero="every part", share=own_mean, returned=told_mean),
            "There is a step for every part, as the loop over batches has it. The later parts then meet other "
            "weights, and a token of a small part counts more. Here all parts are one batch: one step, when "
            "the gradients of all are there.",
            also=[
                step_with(every_part=True, zero="every part"),
                step_with(every_part=True),
                *(
                    step_with(every_part=True, zero=zero, share=own_sum, returned=told_per_token)
                    for zero in ("every part", "once")
                ),
                *(
                    step_with(
                        every_part=True,
                        zero=zero,
                        share=own_mean,
                        after_backward=change,
                        returned=returned,
                    )
                    for zero, change, returned in product(
                        ("every part", "once"),
                        (leave_out, clipping(1.0)),
                        (told_mean, told_last, told_weighed),
                    )
                ),
            ],
        ),
        Mistake(
            "first_part_only",
            first_part_only(step_with()),
            "Only the first part has been looked at. Does the return, or all that comes behind backward(), "
            "stand in the loop?",
            also=[step_with(used=1), first_part_only(step_with(after_backward=clipping(1.0)))],
        ),
        Mistake(
            "mean_of_means",
            step_with(share=mean_of_means),
            "Each part counts the same, for you take the mean of each and then bring these together. A token "
            "of a part with few real tokens then counts more than one of a part with many. Every real token of "
            "all parts counts the same.",
            also=[
                step_with(
                    share=mean_of_means, returned=lambda s, a, g: len(s) * told_weighed(s, a, g)
                ),
                *(
                    step_with(share=own_mean, returned=end)
                    for end in (told_sum, told_mean, told_weighed)
                ),
            ],
        ),
        Mistake(
            "rows_as_weights",
            step_with(share=lambda x, said, a: token_loss(x, said) * len(said) / rows_of(a)),
            "You weigh the mean of each part by its number of rows. The rows have different lengths, and it is "
            "the real tokens that count the same, not the sentences. How many tokens is each mean made of?",
        ),
        Mistake(
            "mean_of_sentences",
            step_with(share=of_sentences),
            "You take the mean of each sentence, and then the mean of these. A token of a short sentence then "
            "counts more than one of a long sentence. Every real token of all parts counts the same.",
        ),
        Mistake(
            "padding_counted",
            step_with(share=lambda x, said, a: all_terms(x, said).sum() / positions_of(a)),
            "Padding is among the answers, so the model is also trained to say padding, and its loss depends "
            "on how the sentences are put into parts. Which positions should count?",
            also=[
                step_with(share=lambda x, said, a: all_terms(x, said).mean() / len(a)),
                step_with(share=lambda x, said, a: all_terms(x, said).sum() / real_tokens(a)),
                step_with(
                    share=lambda x, said, a: (
                        all_terms(x, said).mean() * real_tokens([said]) / real_tokens(a)
                    )
                ),
            ],
        ),
        Mistake(
            "padding_in_the_number",
            step_with(share=lambda x, said, a: terms(x, said).sum() / positions_of(a)),
            "Padding is counted among the tokens when you divide, or weigh the parts. Only the number of real "
            "tokens should play a part.",
            also=[
                step_with(
                    share=lambda x, said, a: token_loss(x, said) * said.numel() / positions_of(a)
                ),
                step_with(share=lambda x, said, a: terms(x, said).mean() / len(a)),
            ],
        ),
        Mistake(
            "sum",
            step_with(share=own_sum),
            "The gradient is that of the sum over the real tokens, not of their mean. The step then grows with "
            "the number of tokens, as if the learning rate had. By what should the loss of each part be "
            "divided before backward()?",
            also=[step_with(share=own_sum, returned=told_per_token)],
        ),
        Mistake(
            "loss_of_the_last_part",
            step_with(returned=told_last),
            "The weights are right, but the loss that you return is the last part's alone. Each part has one; "
            "what do you do with those before it?",
            also=[
                step_with(
                    returned=lambda s, a, again: s[-1].item() * real_tokens(a) / real_tokens(a[-1:])
                )
            ],
        ),
        Mistake(
            "another_loss_returned",
            step_with(returned=lambda s, a, again: sum(x.item() for x in s) * real_tokens(a)),
            "The weights are right, but the number that you return is not the mean over all real tokens: it is "
            "a sum over them, or a mean in which each part counts the same. Return the loss whose gradient the "
            "step was made from.",
            also=[
                step_with(
                    returned=lambda s, a, again: (
                        sum(
                            x.item() * real_tokens(a) / real_tokens([said])
                            for x, said in zip(s, a, strict=True)
                        )
                        / len(s)
                    )
                ),
                step_with(returned=told_mean),
            ],
        ),
        Mistake(
            "loss_after_the_step",
            step_with(returned=lambda s, a, again: again()),
            "The weights are right, but this is the loss after the step. The losses that the step is made from "
            "were computed before; keep their numbers, and nothing has to be computed twice.",
        ),
        Mistake(
            "graph_kept",
            step_with(returned=lambda s, a, again: torch.stack(s).sum()),
            "The loss that you return is a tensor that still holds the graph of this step. Whoever keeps the "
            "losses of a thousand steps keeps a thousand graphs. loss.item() is a number alone.",
        ),
        Mistake(
            "no_shift",
            step_with(pair=lambda read, said: (read, read)),
            "The answers are target_in, the very words that the decoder reads. It then learns to repeat "
            "what it has just been given. What should it say after it has read BOS?",
        ),
        Mistake(
            "reads_the_answer",
            step_with(pair=lambda read, said: (said, said)),
            "The decoder reads target_out, so the word that it has to say is given to it. The loss falls "
            "fast, and nothing is learned. What has it said before this word?",
            also=[
                step_with(pair=lambda read, said: (torch.cat([read[:, 1:], read[:, :1]], 1), said)),
            ],
        ),
        Mistake(
            "changed_places",
            step_with(pair=lambda read, said: (said, read)),
            "target_in and target_out have changed places. The decoder reads target_in, which begins with "
            "BOS, and is to say target_out, which ends with EOS.",
        ),
        Mistake(
            "evaluation_mode",
            step_with(prepare=nn.Module.eval),
            "The model is put into evaluation mode. Some parts, such as dropout, do something else in "
            "training, and this step is training: leave the mode as it is.",
            also=[
                step_with(after_backward=nn.Module.eval, returned=lambda s, a, again: again()),
            ],
        ),
        Mistake(
            "clipped",
            step_with(after_backward=clipping(1.0)),
            "The gradient is clipped, as in the step that the chapter shows. That is a good habit with "
            "recurrent nets, but it is not asked for here: the step should be the optimizer's own.",
            also=[
                *(step_with(after_backward=clipping(norm)) for norm in (0.1, 0.25, 0.5, 2.0, 5.0)),
                step_with(
                    after_backward=lambda model: nn.utils.clip_grad_value_(model.parameters(), 1.0)
                ),
                step_with(after_part=clipping(1.0)),
                step_with(share=mean_of_means, after_backward=clipping(1.0)),
                *(
                    step_with(share=own_mean, after_backward=clipping(1.0), returned=end)
                    for end in (told_mean, told_weighed)
                ),
            ],
        ),
        Mistake(
            "uphill",
            step_with(share=lambda x, said, a: -right_share(x, said, a)),
            "The step goes uphill: the weights move so that the loss grows. The loss is minus the mean "
            "log-probability of the right tokens, and it is to become small.",
            also=[
                step_with(
                    share=lambda x, said, a: -right_share(x, said, a),
                    returned=lambda s, a, again: -told_sum(s, a, again),
                )
            ],
        ),
    ],
)
