"""Exercise 4.7: a model that sees the future."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.exercises.self_attention.language_toys import (
    BATCH,
    FAVOURITE,
    LAST_BUT_ONE,
    MEAN,
    OF_TWO,
    language_toys,
)
from minattn.exercises.self_attention.token_changes import (
    Change,
    Look,
    before,
    change_at,
    change_before,
    change_from,
)
from minattn.exercises.self_attention.toy_language_model import LogitsOf


def _future_cases() -> list[Case]:
    return [(toy, toy.vocab_size, toy.length) for toy in language_toys()]


def sees_the_future(model: LogitsOf, vocab_size: int, length: int) -> bool:
    """Tell whether any logit depends on a later token."""
    return _moves(model, vocab_size, length)


def _moves(
    model: LogitsOf,
    vocab_size: int,
    length: int,
    *,
    change: Change = change_from,
    look: Look = before,
    places: Sequence[int] | None = None,
) -> bool:
    """Change tokens at or from each of the places, and tell whether the logits looked at ever move."""
    ids = (torch.arange(length)[None] * 3 + 1) % vocab_size
    unchanged = model(ids)
    for place in range(1, length) if places is None else places:
        after = model(change(ids, place, vocab_size))
        if not torch.allclose(look(after, place), look(unchanged, place), atol=1e-5):
            return True
    return False


def _first(logits: Tensor, place: int) -> Tensor:
    return logits[:, 0]


def _everywhere(model: LogitsOf, vocab_size: int, length: int, *, change: Change) -> bool:
    """Tell whether a change at any place moves the logits before it."""
    return all(
        _moves(model, vocab_size, length, change=change, places=[i]) for i in range(1, length)
    )


def _right_but_for(*names: str) -> Callable[..., bool]:
    """Make an answer that is wrong about the toys with these names: how it gets there may vary."""
    return lambda model, v, n: model.leaks != (model.name in names)


def _some_of(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All ways to choose some of a few names, at least one."""
    return [some for k in range(1, len(names) + 1) for some in combinations(names, k)]


def _flip_from(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    return torch.cat([ids[:, :place], ids[:, place:].flip(1)], dim=1)


EXERCISE = Exercise(
    number="4.7",
    title="A model that sees the future",
    solution=sees_the_future,
    cases=_future_cases,
    mistakes=[
        Mistake(
            "always_true",
            lambda model, v, n: True,
            "Your function says True to everything, even to a model that gives the same logits for all "
            "tokens. Can your comparison ever find that nothing moved? Two results are compared by "
            "torch.allclose or torch.equal.",
        ),
        Mistake(
            "always_false",
            lambda model, v, n: False,
            "Your function says False to everything, even to attention without a mask. Did the ids change "
            "at all? If you write into ids without clone(), the old ones are gone, and the same ids are "
            "compared with themselves.",
        ),
        Mistake(
            "inverted",
            lambda model, v, n: not model.leaks,
            "Every answer is the wrong way round. True should mean that a logit before the change moved: "
            "what does it mean if two results are close?",
        ),
        Mistake(
            "own_token",
            partial(_moves, look=lambda logits, place: logits[:, : place + 1]),
            "You say True to sound models: a logit at the changed token, or after it, is allowed to move. "
            "At position t the model has read token t. Only the logits before the first changed token "
            "must stand still.",
        ),
        Mistake(
            "past_changed",
            partial(_moves, change=change_before, look=lambda logits, place: logits[:, place:]),
            "You change earlier tokens and look at later logits. That the past has an effect is what a "
            "language model is for. It is the other way round: change what comes later, and look at the "
            "logits before.",
            also=[
                lambda model, v, n: _moves(
                    model, v, n, change=change_at, look=lambda z, i: z[:, -1], places=[0]
                ),
                lambda model, v, n: _moves(
                    model, v, n, change=change_at, look=lambda z, i: z[:, 1:], places=[0]
                ),
            ],
        ),
        Mistake(
            "best_guess_only",
            _right_but_for(FAVOURITE),
            "You compare the likeliest tokens only, or compare too roughly. A leak may move all the logits "
            "and leave the largest one the largest: one of the models always guesses the same token. "
            "Compare the logits themselves, with allclose.",
        ),
        Mistake(
            "one_place",
            partial(_moves, places=[6]),
            "You change the tokens at one place only, look at one position only, or return after the first "
            "try. A model may leak anywhere: one of them lets position 0 see position 1 and does nothing "
            "else wrong. Try every place.",
            also=[
                *(
                    partial(_moves, change=change, places=[i])
                    for i in range(1, 7)
                    for change in (change_from, change_at)
                ),
                *(
                    partial(_moves, change=change, places=[5], look=_first)
                    for change in (change_from, change_at)
                ),
            ],
        ),
        Mistake(
            "end_left_out",
            partial(_moves, places=range(1, 6)),
            "Your loop leaves out the first place or the last one. Position 0 must not see position 1, and "
            "the last position but one must not see the last. A range ends before its end.",
            also=[
                partial(_moves, change=change_at, places=range(1, 6)),
                partial(_moves, places=range(2, 7)),
                partial(_moves, places=range(2, 6)),
                partial(_moves, change=change_at, places=range(2, 6)),
            ],
        ),
        Mistake(
            "next_left_out",
            partial(_moves, look=lambda logits, place: logits[:, : place - 1]),
            "You leave out the position right before the change. That is the one which is to guess the "
            "changed token, so it is the most important: a model whose mask is off by one leaks there. A "
            "slice ends before its end.",
        ),
        Mistake(
            "all_must_leak",
            partial(_everywhere, change=change_from),
            "You say True only if the logits move wherever you make a change. One place is enough for a "
            "leak: return True at the first that moves, and False only when all have been tried.",
            also=[partial(_everywhere, change=change_at)],
        ),
        Mistake(
            "neighbour_only",
            partial(_moves, change=change_at, look=lambda logits, place: logits[:, place - 1]),
            "You look only at the position right before the changed token. A model may skip some: one of "
            "them lets position 2 see position 4 and nothing else. Look at all the logits before the "
            "change.",
        ),
        Mistake(
            "order_changed",
            partial(_moves, change=_flip_from),
            "You give the later tokens in another order. A model that sees only their mean does not "
            "notice, and the last token alone has no other order. Put other tokens in their place.",
            also=[_right_but_for(MEAN, LAST_BUT_ONE, *some) for some in ((), *_some_of(OF_TWO))],
        ),
        Mistake(
            "same_by_chance",
            _right_but_for(*OF_TWO),
            "You miss leaks where there are only two tokens. A random token, or a fixed one, is the old "
            "one again once in vocab_size times, and then nothing has changed. (ids + 1) % vocab_size is "
            "never the old one.",
            also=[_right_but_for(*some) for some in _some_of(OF_TWO)[:-1]],
        ),
        Mistake(
            "other_sequences_changed",
            _right_but_for(BATCH),
            "One model mixes the sequences of a batch, each place with the same place. You call that a "
            "look into the future. It comes from comparing a sequence in two different batches: leave the "
            "other rows as they are, or use a batch of one.",
        ),
        Mistake(
            "no_such_token",
            lambda model, v, n: bool(model(torch.full((1, n), v)).any()),
            "You give the model a token that it does not have. Ids go from 0 to vocab_size - 1, so ids + 1 "
            "is too large where an id is the last one: take the remainder, % vocab_size.",
        ),
        Mistake(
            "length_ignored",
            lambda model, v, n: _moves(model, v, 7),
            "You give the model a longer text than it may read. length says how long a sequence is to be, and "
            "one of the models reads no more than 4 tokens.",
            also=[lambda model, v, n: _moves(model, v, 10)],
        ),
        Mistake(
            "one_axis",
            lambda model, v, n: bool(model(torch.zeros(n, dtype=torch.long)).any()),
            "The model wants whole numbers of shape (batch, seq). A single sequence is a batch of one: "
            "(1, length). torch.randint makes whole numbers, torch.rand and torch.zeros do not.",
        ),
    ],
)
