"""Exercise 4.5: write on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.self_attention.toy_language_model import LogitsOf, ToyLanguageModel


def continue_greedily(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    """Write on, taking the likeliest token every time."""
    return _write(logits_of, ids, n_new)


def _last(logits: Tensor) -> Tensor:
    return logits[:, -1:].argmax(-1)


def _values_and_indices(logits: Tensor) -> Any:
    return logits[:, -1:].max(-1)


def _write(
    logits_of: LogitsOf,
    ids: Tensor,
    n_new: int,
    choose: Callable[[Tensor], Tensor] = _last,
    seen: Callable[[Tensor, int], Tensor] = lambda ids, n_prompt: ids,
) -> Tensor:
    n_prompt = ids.shape[1]
    for _ in range(n_new):
        ids = torch.cat([ids, choose(logits_of(seen(ids, n_prompt)))], dim=1)
    return ids


def _prompt_then_one(ids: Tensor, n_prompt: int) -> Tensor:
    return ids if ids.shape[1] == n_prompt else ids[:, -1:]


def _all_at_once(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    return torch.cat([ids, logits_of(ids).argmax(-1)[:, -n_new:]], dim=1)


def _prompt_replaced(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids[:, :1], logits_of(ids).argmax(-1)], dim=1)
    return ids


def _in_table(
    logits_of: LogitsOf, ids: Tensor, n_new: int, read: Callable[[Tensor, int], Tensor]
) -> Tensor:
    table = F.pad(ids, (0, n_new))
    for place in range(ids.shape[1], table.shape[1]):
        table[:, place] = read(logits_of(table), place).argmax(-1)
    return table


def _rolled(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids[:, 1:], _last(logits_of(ids))], dim=1)
    return ids


def _stacked(logits_of: LogitsOf, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids, _last(logits_of(ids))], dim=0)
    return ids


def _until(logits_of: LogitsOf, ids: Tensor, n_new: int, end: int) -> Tensor:
    n_prompt = ids.shape[1]
    while ids.shape[1] < n_prompt + n_new:
        ids = torch.cat([ids, _last(logits_of(ids))], dim=1)
        if int(ids[0, -1]) == end:
            break
    return ids


def _writing_cases() -> list[Case]:
    return [  # the first three say 2, which is no end here, before they have finished
        (ToyLanguageModel(494, 7), torch.tensor([[3, 5, 4]]), 2),
        (ToyLanguageModel(452, 11), torch.tensor([[8, 3]]), 5),
        (ToyLanguageModel(482, 5), torch.tensor([[4]]), 3),
        (ToyLanguageModel(450, 13), torch.tensor([[7, 12, 3, 9, 3]]), 1),
        (ToyLanguageModel(450, 13), torch.tensor([[7, 12, 3]]), 0),
    ]


EXERCISE = Exercise(
    number="4.5",
    title="Write on",
    solution=continue_greedily,
    cases=_writing_cases,
    mistakes=[
        Mistake(
            "first_position",
            partial(_write, choose=lambda logits: logits[:, :1].argmax(-1)),
            "You read the logits of the first position. They guess the second token, which is already "
            "there, and stay the same however long the text gets. The guess for what comes next stands "
            "at the last position.",
        ),
        Mistake(
            "one_before_last",
            partial(_write, choose=lambda logits: logits[:, -2, None].argmax(-1)),
            "You read the last position but one, or hold the last token back. That guess is about the token "
            "which already stands at the end. The shift was made in training: position t guesses token "
            "t + 1, so the last one is what you want.",
            also=[partial(_write, choose=lambda logits: logits[:, -2:-1].argmax(-1))],
        ),
        Mistake(
            "empty_place_read",
            partial(_in_table, read=lambda logits, place: logits[:, place]),
            "You have made room for the new tokens, and read the logits at an empty place. They guess what "
            "comes after a token that has not been written yet. The guess for place i stands at place "
            "i - 1.",
            also=[partial(_in_table, read=lambda logits, place: logits[:, -1])],
        ),
        Mistake(
            "over_positions",
            partial(_write, choose=lambda logits: logits.argmax(1)[:, -1:]),
            "The argmax runs over the positions: it says where a token got its largest logit. You want to "
            "know which token has the largest logit at the last position, so the vocabulary is the axis.",
        ),
        Mistake(
            "over_everything",
            partial(_write, choose=lambda logits: logits.argmax().view(1, 1)),
            "argmax without an axis counts through positions and vocabulary in one go, so it may give a "
            "number that is no token at all. Take the last position first, then the argmax over the "
            "vocabulary.",
        ),
        Mistake(
            "prefix_forgotten",
            partial(_write, seen=lambda ids, n_prompt: ids[:, -1:]),
            "The model gets only the newest token. It has no memory but the ids you give it: a recurrent "
            "network carries a state along, attention looks at the tokens themselves. Give it the whole "
            "text every time.",
            also=[partial(_write, seen=_prompt_then_one)],
        ),
        Mistake(
            "not_fed_back",
            partial(_write, seen=lambda ids, n_prompt: ids[:, :n_prompt]),
            "Each new token is guessed from the prompt alone, so it is the same token again and again. "
            "Either the model is not asked anew, or it is not given what was written, or you always "
            "read the position where the prompt ended.",
        ),
        Mistake(
            "all_guesses_appended",
            partial(_write, choose=lambda logits: logits.argmax(-1)),
            "The guesses of all positions are appended, one for each token of the text. All but the last "
            "guess tokens that are already there. Only the last position says something new.",
            also=[_all_at_once],
        ),
        Mistake(
            "prompt_replaced",
            _prompt_replaced,
            "The prompt has become what the model would have said in its place. The guesses of the earlier "
            "positions are not part of the text. Keep the ids and append one token.",
        ),
        Mistake(
            "window_rolled",
            _rolled,
            "For each new token you drop the first one, so the text keeps its length. That is done when a "
            "model can read only so many tokens; here all of them should stay.",
        ),
        Mistake(
            "nothing_appended",
            lambda logits_of, ids, n: ids,
            "The text comes back as it was. Is the result of cat kept? It returns a new tensor and leaves "
            "the old one alone.",
        ),
        Mistake(
            "appended_once",
            lambda logits_of, ids, n: _write(logits_of, ids, 1),
            "One new token comes back, however many are asked for. Is the appending inside the loop, and the "
            "return after it?",
        ),
        Mistake(
            "writes_before_it_counts",
            lambda logits_of, ids, n: _write(logits_of, ids, max(1, n)),
            "Where no new token is asked for, you append one all the same. n_new may be 0: count before a "
            "token is written, not after.",
        ),
        Mistake(
            "one_too_few",
            lambda logits_of, ids, n: _write(logits_of, ids, n - 1),
            "One token is missing at the end. Count what your loop does: range(1, n_new) runs n_new - 1 "
            "times.",
        ),
        Mistake(
            "one_too_many",
            lambda logits_of, ids, n: _write(logits_of, ids, n + 1),
            "There is one token too many at the end. Count what your loop does: range(n_new + 1), or "
            "a comparison with <= where < is meant, runs once too often.",
        ),
        Mistake(
            "prompt_counted",
            lambda logits_of, ids, n: _write(logits_of, ids, max(0, n - ids.shape[1])),
            "You stop when the whole text has n_new tokens. n_new counts the new ones, which come after "
            "the prompt.",
        ),
        Mistake(
            "prompt_lost",
            lambda logits_of, ids, n: _write(logits_of, ids, n)[:, ids.shape[1] :],
            "The new tokens are right, but the prompt is missing in front of them. The result is the whole "
            "text, shape (1, t + n_new).",
        ),
        Mistake(
            "one_axis",
            lambda logits_of, ids, n: _write(logits_of, ids, n)[0],
            "The tokens are right, but the batch axis is lost. The result has shape (1, t + n_new), as a "
            "model wants it.",
        ),
        Mistake(
            "stops_early",
            partial(_until, end=2),
            "It stops at token 2. In chapter 1 that was EOS; this model has no such token, and n_new tokens "
            "are asked for, whatever they are.",
        ),
        Mistake(
            "least_likely",
            partial(_write, choose=lambda logits: logits[:, -1:].argmin(-1)),
            "This takes the token with the smallest logit. The likeliest one has the largest.",
        ),
        Mistake(
            "sampled",
            partial(_write, choose=lambda logits: torch.multinomial(logits[:, -1].softmax(-1), 1)),
            "You draw the token by chance, in proportion to its probability. That is another way of "
            "writing, and gives another text each time. Here the likeliest token is asked for.",
        ),
        Mistake(
            "logit_taken_for_token",
            partial(_write, choose=lambda logits: logits[:, -1:].max(-1).values),
            "You append the largest logit, which is a number with a fraction. A token is the place of that "
            "logit in the vocabulary: argmax, or the indices that max returns beside the values.",
            also=[partial(_write, choose=_values_and_indices)],
        ),
        Mistake(
            "below_each_other",
            _stacked,
            "The new token is put below the text, as if it were another sequence of the batch. It belongs "
            "beside the last token: join along axis 1.",
        ),
        Mistake(
            "not_two_axes",
            partial(_write, seen=lambda ids, n_prompt: ids[0]),
            "The model was given something that is no tensor of ids of shape (batch, seq). Keep the batch "
            "axis, though there is only one sequence: ids[:, -1:] keeps an axis that ids[:, -1] drops, "
            "and argmax has keepdim.",
        ),
        Mistake(
            "axes_do_not_meet",
            partial(_write, choose=lambda logits: _last(logits)[:, 0]),
            "ids has shape (1, t), and the new token has one axis too few to stand beside it. Give it the "
            "shape (1, 1): argmax has keepdim, and a slice -1: keeps its axis.",
            also=[partial(_write, choose=lambda logits: _last(logits)[0, 0])],
        ),
    ],
    laws=[
        Law(
            "the text begins with the prompt",
            lambda out, logits_of, ids, n: torch.equal(out[:, : ids.shape[1]], ids),
        ),
    ],
)
