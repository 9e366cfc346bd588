"""Ways to take a step in parts, right and wrong, for exercise 1.7."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.exercises.context_vector.tiny_translator import Part
from minattn.exercises.exercise import Answer
from minattn.training import token_loss
from minattn.vocabulary import PAD

Optimizer = torch.optim.Optimizer


def terms(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every position, 0 at padding."""
    return F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD, reduction="none")


def all_terms(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every position, that of saying PAD at padding."""
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none")


# What a part adds to the loss: of its logits and answers, and the answers of all parts.
Share = Callable[[Tensor, Tensor, list[Tensor]], Tensor]


def real_tokens(answers: list[Tensor]) -> int:
    """Count the real tokens."""
    return sum(int((said != PAD).sum()) for said in answers)


def rows_of(answers: list[Tensor]) -> int:
    """Count the rows."""
    return sum(map(len, answers))


def positions_of(answers: list[Tensor]) -> int:
    """Count all places, padding too."""
    return sum(said.numel() for said in answers)


def right_share(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    """Weigh a part by its share of the real tokens of all."""
    return terms(logits, said).sum() / real_tokens(answers)


def own_sum(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    """Sum the loss of a part."""
    return terms(logits, said).sum()


def own_mean(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    """Average the loss of a part by itself."""
    return token_loss(logits, said)


def mean_of_means(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    """Let every part count the same."""
    return token_loss(logits, said) / len(answers)


def of_sentences(logits: Tensor, said: Tensor, answers: list[Tensor]) -> Tensor:
    """Let every sentence count the same."""
    means = terms(logits, said).sum(1) / (said != PAD).sum(1)
    return means.sum() / rows_of(answers)


# What is returned: of the shares, the answers, and a function that computes the loss again.


def told_sum(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    """Tell the sum of the shares."""
    return sum(share.item() for share in shares)


def told_mean(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    """Tell the mean of the shares."""
    return sum(share.item() for share in shares) / len(shares)


def told_last(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    """Tell the last share."""
    return shares[-1].item()


def told_per_token(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    """Tell the sum of the shares for each token."""
    return sum(share.item() for share in shares) / real_tokens(answers)


def told_weighed(shares: list[Tensor], answers: list[Tensor], again: Callable[[], float]) -> Any:
    """Tell the shares weighed by their tokens."""
    pairs = zip(shares, answers, strict=True)
    return sum(share.item() * real_tokens([said]) for share, said in pairs) / real_tokens(answers)


def leave_out(_: Any) -> None:
    """Do nothing where something should be done."""
    pass


def step_with(
    *,
    share: Share = right_share,
    pair: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda read, said: (read, said),
    zero: str = "once",
    prepare: Callable[[nn.Module], Any] = leave_out,
    after_backward: Callable[[nn.Module], Any] = leave_out,
    after_part: Callable[[nn.Module], Any] = leave_out,
    every_part: bool = False,
    used: int | None = None,
    step: Callable[[Optimizer], Any] = lambda optimizer: optimizer.step(),
    returned: Callable[[list[Tensor], list[Tensor], Callable[[], float]], Any] = told_sum,
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


def first_part_only(answer: Answer) -> Answer:
    """Make an answer that reads the first part only."""
    return lambda model, optimizer, parts: answer(model, optimizer, parts[:1])


def all_graphs_at_once(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> float:
    """Keep the graphs of all parts until the end."""
    logits = [model(source, target_in) for source, target_in, _ in parts]
    terms = [terms(x, said).flatten() for x, (*_, said) in zip(logits, parts, strict=True)]
    loss = torch.cat(terms).sum() / real_tokens([said for *_, said in parts])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def joined_parts(model: nn.Module, optimizer: Optimizer, parts: list[Part]) -> float:
    """Join all parts into one padded batch."""

    def join(batches: tuple[Tensor, ...]) -> Tensor:
        rows = [row for batch in batches for row in batch]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    source, target_in, target_out = map(join, zip(*parts, strict=True))
    optimizer.zero_grad()
    loss = token_loss(model(source, target_in), target_out)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def clipping(norm: float) -> Callable[[nn.Module], Any]:
    """Make what shortens a long gradient."""
    return lambda model: nn.utils.clip_grad_norm_(model.parameters(), norm)
