"""Exercise 11.4: a model that reads nothing."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.bert.context_toys import (
    BAG,
    BATCH,
    FAINT,
    FAR,
    FAVOURITE,
    LEFT,
    MASK_ID,
    PLACE,
    RIGHT,
    context_toys,
)
from minattn.exercises.exercise import Case, Exercise, Mistake

LogitsOf = Callable[[Tensor], Tensor]


def reads_its_context(model: LogitsOf, vocab_size: int, length: int, place: int) -> bool:
    """Tell whether the logits at a hidden place depend on any other token."""
    return _moves(model, vocab_size, length, place)


def _context_cases() -> list[Case]:
    return [(toy, toy.vocab_size, toy.length, 3) for toy in context_toys()]


def _all_others(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    here = torch.arange(ids.shape[1]) == place
    return torch.where(here, ids, (ids + 1) % vocab_size)


def _own_token(ids: Tensor, place: int, vocab_size: int) -> Tensor:
    here = torch.arange(ids.shape[1]) == place
    return torch.where(here, (ids + 1) % vocab_size, ids)


def _one_other(offset: int) -> Callable[[Tensor, int, int], Tensor]:
    """Make a change of one token, at a distance."""
    return lambda ids, place, vocab_size: _own_token(
        ids, (place + offset) % ids.shape[1], vocab_size
    )


def _some_others(side: int) -> Callable[[Tensor, int, int], Tensor]:
    """Make a change of all tokens on one side."""

    def change(ids: Tensor, place: int, vocab_size: int) -> Tensor:
        there = (torch.arange(ids.shape[1]) - place) * side > 0
        return torch.where(there, (ids + 1) % vocab_size, ids)

    return change


def _moves(
    model: LogitsOf,
    vocab_size: int,
    length: int,
    place: int,
    *,
    change: Callable[[Tensor, int, int], Tensor] = _all_others,
    hides: bool = True,
    look: Callable[[Tensor, int], Tensor] = lambda logits, place: logits[:, place],
    closeness: float = 1e-6,
) -> bool:
    """Change other tokens, and tell whether the logits looked at move."""
    ids = (torch.arange(length)[None] * 2 + 1) % vocab_size
    changed = change(ids, place, vocab_size)
    if hides:
        ids[:, place] = changed[:, place] = MASK_ID
    before, after = look(model(ids), place), look(model(changed), place)
    return not torch.allclose(before, after, atol=closeness)


def _uneven(model: LogitsOf, vocab_size: int, length: int, place: int) -> bool:
    """Compare two places of one text."""
    ids = torch.full((1, length), MASK_ID)
    logits = model(ids)[0]
    return not torch.allclose(logits[place], logits[place - 1])


def _right_but_for(*names: str) -> Callable[..., bool]:
    """Make an answer that is wrong about the toys with these names: how it gets there may vary."""
    return lambda model, v, n, place: model.reads != (model.name in names)


EXERCISE = Exercise(
    number="11.4",
    title="A model that reads nothing",
    solution=reads_its_context,
    cases=_context_cases,
    mistakes=[
        Mistake(
            "always_true",
            lambda model, v, n, place: True,
            "Your function says True to everything, even to a model that says the same everywhere. Can "
            "your comparison ever find that nothing moved? Compare the logits at place alone, by "
            "torch.allclose.",
        ),
        Mistake(
            "always_false",
            lambda model, v, n, place: False,
            "Your function says False to everything, even to attention to all others. Did the other ids "
            "change at all? If you write into ids without clone(), the old ones are gone, and the same ids "
            "are compared with themselves.",
        ),
        Mistake(
            "inverted",
            lambda model, v, n, place: not model.reads,
            "Every answer is the wrong way round. True should mean that the logits moved: what does it mean "
            "if two results are close?",
        ),
        Mistake(
            "not_hidden",
            partial(_moves, hides=False),
            "You do not hide the token at place. One of the models reads its context everywhere but at a "
            "hidden place, and there it says the same always. A gap is what it was trained for, so ask "
            "there: id 3.",
        ),
        Mistake(
            "own_token_changed",
            partial(_moves, change=_own_token, hides=False),
            "You change the token at place itself. Any model that copies moves then, and one that reads all "
            "the others need not. Hide that token both times, and change the others.",
            also=[
                partial(_moves, change=lambda ids, place, v: (ids + 1) % v, hides=False),
            ],
        ),
        Mistake(
            "all_places_looked_at",
            partial(_moves, look=lambda logits, place: logits),
            "You compare the logits of all places. Those of a changed token move in a model that only "
            "copies. The gap alone is in question: logits[:, place].",
        ),
        Mistake(
            "one_side_changed",
            partial(_moves, change=_some_others(-1)),
            "You change the tokens on one side only. A model may read the other side alone. An encoder sees "
            "both: change them all.",
            also=[partial(_moves, change=_some_others(1))],
        ),
        Mistake(
            "one_token_changed",
            partial(_moves, change=_one_other(-1)),
            "You change a single token, or the neighbours alone. A model may read just another one: one of "
            "them reads what stands three places further. Change all others at once, or each in turn.",
            also=[
                *(partial(_moves, change=_one_other(k)) for k in (1, 2, 3, 4)),
                _right_but_for(FAR),
                _right_but_for(LEFT, RIGHT),
            ],
        ),
        Mistake(
            "places_compared",
            _uneven,
            "You compare two places of one text. A model may say something else at each place and read "
            "nothing at all: positions do that. Compare two texts at the same place.",
            also=[_right_but_for(PLACE)],
        ),
        Mistake(
            "best_guess_only",
            partial(_moves, look=lambda logits, place: logits[:, place].argmax(-1).double()),
            "You compare the likeliest tokens only. All logits may move and leave the largest one the "
            "largest: one of the models always guesses the same token. Compare the logits themselves, with "
            "allclose.",
            also=[_right_but_for(FAVOURITE), _right_but_for(FAVOURITE, FAINT)],
        ),
        Mistake(
            "compared_too_roughly",
            partial(_moves, closeness=0.1),
            "You compare too roughly. One of the models moves by a few thousandths only. That is little, "
            "but more than rounding, which is below a millionth.",
            also=[_right_but_for(FAINT)],
        ),
        Mistake(
            "order_changed",
            _right_but_for(BAG),
            "You give the other tokens in another order. A model that reads their mean does not notice. Put "
            "other tokens in their places: (ids + 1) % vocab_size is never the old one.",
        ),
        Mistake(
            "other_texts_changed",
            _right_but_for(BATCH),
            "One model reads the other texts of the batch, and you take that for the context. It comes from "
            "comparing a text in two different batches: use batches of one.",
        ),
        Mistake(
            "no_such_token",
            lambda model, v, n, place: bool(model(torch.full((1, n), v)).any()),
            "You give the model a token that it does not have. Ids go from 0 to vocab_size - 1, so ids + 1 "
            "is too large where an id is the last one: take the remainder, % vocab_size.",
        ),
        Mistake(
            "length_ignored",
            lambda model, v, n, place: _moves(model, v, 7, place),
            "You give the model a text of another length. length says how long it has to be, and one of the "
            "models reads 4 tokens.",
            also=[lambda model, v, n, place: _moves(model, v, 10, place)],
        ),
        Mistake(
            "one_axis",
            lambda model, v, n, place: bool(model(torch.zeros(n, dtype=torch.long)).any()),
            "The model wants whole numbers of shape (batch, seq). A single text is a batch of one: "
            "(1, length). torch.randint makes whole numbers, torch.rand and torch.zeros do not.",
        ),
    ],
)
