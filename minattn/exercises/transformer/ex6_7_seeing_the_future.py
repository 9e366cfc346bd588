"""Exercise 6.7: find the bug: a decoder that sees the future."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake
from minattn.exercises.self_attention.token_changes import (
    Change,
    Look,
    before,
    change_at,
    change_from,
)
from minattn.exercises.transformer.leaky_decoders import Habits, Leak, LeakyDecoder, ages, peep
from minattn.training import seeded

NO_MASK = Leak(lambda n: ages(n) < 0)
NEXT = Leak(lambda n: ages(n) == -1)
FAR = Leak(lambda n: ages(n) <= -3)
LAST_BLOCK = Leak(NO_MASK.sees, from_block=1)
LATER_ROWS = Leak(NO_MASK.sees, first_row=1)
FAINT = Leak(NO_MASK.sees, share=1e-3)

FIRST_PLACE = "place 0 sees place 1, in evaluation"
MIDDLE_PLACE = "place 2 sees place 4, in evaluation"
LAST_PLACE = "the last place but one sees the last, in training"
FAINTLY = "a thousandth of what is found comes from everywhere, in evaluation"
FAVOURITE = "no mask in evaluation, but the best guess is always the same (its logits do move)"
SHIFTED = (
    "a sound decoder, all scores moved by one number, which the softmax forgets but for rounding"
)

_DECODERS: list[tuple[str, Habits, bool]] = [
    ("the mask is applied in training only", Habits(evaluate=NO_MASK), True),
    ("a sound decoder", Habits(), True),
    ("a sound decoder", Habits(dropout=0.0), False),
    ("the mask is applied in evaluation only", Habits(train=NO_MASK), False),
    ("no mask at all", Habits(NO_MASK, NO_MASK), True),
    ("a mask that is off by one, in both modes", Habits(NEXT, NEXT, dropout=0.0), False),
    ("a mask that is off by one, in evaluation", Habits(evaluate=NEXT, n_blocks=1), False),
    (
        "what is three places ahead or more is seen, in training",
        Habits(train=FAR, n_blocks=1),
        False,
    ),
    ("no mask in the last block, in evaluation", Habits(evaluate=LAST_BLOCK), True),
    (
        "the mask reaches only the first row of a batch, in evaluation",
        Habits(evaluate=LATER_ROWS),
        True,
    ),
    (FIRST_PLACE, Habits(evaluate=peep(0, 1), n_blocks=1), True),
    (MIDDLE_PLACE, Habits(evaluate=peep(2, 4), n_blocks=1), False),
    (LAST_PLACE, Habits(train=peep(5, 6), n_blocks=1), True),
    (FAINTLY, Habits(evaluate=FAINT), False),
    (FAVOURITE, Habits(evaluate=NO_MASK, favourite=5), True),
    (SHIFTED, Habits(shift=1e3), True),
]


def _cases() -> list[Case]:
    source = torch.tensor([[5, 9, 3, 7, 2], [6, 12, 4, 8, 2]])
    target_in = torch.tensor([[1, 3, 6, 10, 4, 3, 2], [1, 3, 4, 8, 7, 10, 2]])
    small = source[:, :3], target_in[:, :5]
    return [
        (LeakyDecoder(*decoder), *(small if i < 3 else (source, target_in)))
        for i, decoder in enumerate(_DECODERS)
    ]


Model = Callable[[Tensor, Tensor], Tensor]


def sees_the_future(model: Any, source: Tensor, target_in: Tensor) -> list[str]:
    """Name the modes in which a later target token changes the logits of an earlier place."""
    return _leaking(model, source, target_in)


def _leaking(
    model: Any,
    source: Tensor,
    target_in: Tensor,
    *,
    change: Change = change_from,
    look: Look = before,
    places: Callable[[int], Sequence[int]] = lambda n: range(1, n),
    same_dropout: bool = True,
    switch: Callable[[Any, str], Any] = lambda model, mode: model.train(mode == "train"),
    modes: tuple[str, ...] = ("train", "eval"),
) -> list[str]:
    """Change the target at or from some places, in some modes, and look where the logits move."""

    @torch.no_grad()
    def logits_of(ids: Tensor) -> Tensor:
        with seeded(0) if same_dropout else nullcontext():
            return model(source, ids)  # type: ignore[no-any-return]

    def moves(place: int) -> bool:
        after = logits_of(change(target_in, place, unchanged.shape[-1]))
        return not torch.allclose(look(after, place), look(unchanged, place))

    given, leaking = model.training, []
    for mode in modes:
        switch(model, mode)
        unchanged = logits_of(target_in)
        if any(moves(place) for place in places(target_in.shape[1])):
            leaking.append(mode)
    model.train(given)
    return leaking


def _given_mode_only(model: Any, source: Tensor, target_in: Tensor) -> list[str]:
    mode = "train" if model.training else "eval"
    return _leaking(model, source, target_in, modes=(mode,))


def _set_flag(model: Any, mode: str) -> None:
    model.training = mode == "train"


def _does_nothing(model: Any, mode: str) -> None:
    return None


def _turned(turn: Callable[[list[str]], Any]) -> Answer:
    """Make an answer that finds the right modes and says something else."""
    return lambda model, source, target_in: turn(_leaking(model, source, target_in))


def _missing(*names: str) -> Answer:
    """Make an answer that overlooks some leaks: how it gets there may vary."""

    def answer(model: Any, source: Tensor, target_in: Tensor) -> list[str]:
        return [] if model.name in names else _leaking(model, source, target_in)

    return answer


def _finding(name: str, *modes: str) -> Answer:
    """Make an answer that finds leaks in one sound model."""

    def answer(model: Any, source: Tensor, target_in: Tensor) -> list[str]:
        return [*modes] if model.name == name else _leaking(model, source, target_in)

    return answer


def _at(*, last: bool) -> Callable[[int], Sequence[int]]:
    return lambda n: [n - 1 if last else 1]


def _first(logits: Tensor, place: int) -> Tensor:
    return logits[:, 0]


EXERCISE = Exercise(
    number="6.7",
    title="Find the bug: a decoder that sees the future",
    solution=sees_the_future,
    cases=_cases,
    mistakes=[
        Mistake(
            "always_none",
            lambda model, source, target_in: [],
            "Your function never finds a leak, not even where there is no mask. Does target_in change at all? "
            "If you write into it without clone(), the old tokens are gone, and the same text is compared "
            "with itself.",
        ),
        Mistake(
            "always_both",
            lambda model, source, target_in: ["train", "eval"],
            "You find a leak in every decoder and in both modes. A new token moves the logits at its own place "
            "and after it, and a new source moves all: that is as it should be. Change target tokens only, and "
            "compare only the logits before the first of them.",
        ),
        Mistake(
            "dropout_taken_for_a_leak",
            partial(_leaking, same_dropout=False),
            "You say train of every decoder with dropout. Two calls drop different numbers and so differ "
            "anyway. Give both the same seed, right before each call, and the same shape: other rows or fewer "
            "tokens draw other numbers.",
        ),
        Mistake(
            "one_mode_only",
            partial(_leaking, modes=("eval",)),
            "You test one mode only, always the same. A decoder may apply its mask in training and drop it in "
            "evaluation, or the other way round. Both have to be tried: model.train() and model.eval().",
            also=[partial(_leaking, modes=("train",))],
        ),
        Mistake(
            "given_mode_only",
            _given_mode_only,
            "You test the decoder in the mode in which it is given to you. The other mode may leak, and nobody "
            "sees it there. Switch with model.train() and model.eval(), and back at the end.",
        ),
        Mistake(
            "mode_does_not_arrive",
            partial(_leaking, switch=_does_nothing),
            "You say the same of both modes. model.training = False sets the flag of the outermost module; "
            "the blocks inside keep theirs. model.eval() and model.train() reach every part. Or is one result "
            "used for both?",
            also=[
                partial(_leaking, switch=_set_flag),
                partial(_leaking, switch=lambda model, mode: model.train()),
                partial(_leaking, switch=lambda model, mode: model.eval()),
            ],
        ),
        Mistake(
            "modes_swapped",
            partial(_leaking, switch=lambda model, mode: model.train(mode == "eval")),
            "The two modes have changed places. model.train(True), or model.train(), is training; "
            "model.train(False), or model.eval(), is evaluation.",
            also=[
                lambda *case: _leaking(
                    *case,
                    modes=("eval", "train"),
                    switch=lambda model, mode: model.train(mode == "eval"),
                )
            ],
        ),
        Mistake(
            "other_order",
            _turned(lambda modes: modes[::-1]),
            "The modes are right, but in another order: first train, then eval.",
        ),
        Mistake(
            "inverted",
            _turned(lambda modes: [mode for mode in ("train", "eval") if mode not in modes]),
            "You name the modes in which nothing leaks. What does it mean if torch.allclose is True?",
        ),
        Mistake(
            "a_truth_value",
            _turned(bool),
            "You say whether there is a leak. The modes are asked for in which there is one: a list of words, "
            "empty where there is none.",
            also=[
                _turned(lambda modes: ["train" in modes, "eval" in modes]),
                _turned(lambda modes: ("train" in modes, "eval" in modes)),
            ],
        ),
        Mistake(
            "next_left_out",
            partial(_leaking, look=lambda logits, place: logits[:, : place - 1]),
            "You leave out the place right before the change. It is the one that has to guess the changed "
            "token: a mask that is off by one leaks just there. A slice ends before its end.",
        ),
        Mistake(
            "neighbour_only",
            partial(_leaking, change=change_at, look=lambda logits, place: logits[:, place - 1]),
            "You look only at the place right before the changed token. A mask may hide the next tokens and "
            "show those that are further away. Look at all the logits before the change.",
        ),
        Mistake(
            "one_place",
            partial(_leaking, places=_at(last=True)),
            "You change the target at one place only, or look at one place only. A decoder may leak at a "
            "single place: in one of them place 0 sees place 1, and nothing else is wrong. Try every place.",
            also=[
                partial(_leaking, places=_at(last=True), look=_first),
                partial(_leaking, change=change_at, places=_at(last=False)),
                partial(_leaking, places=_at(last=False)),
                partial(_leaking, places=lambda n: [n // 2]),
                partial(_leaking, change=change_at, places=lambda n: [n // 2]),
                partial(_leaking, change=change_at, look=_first),
            ],
        ),
        Mistake(
            "end_left_out",
            partial(_leaking, places=lambda n: range(1, n - 1)),
            "Your loop leaves out the first place or the last one. Place 0 must not see place 1, and the last "
            "place but one must not see the last. A range ends before its end. (Or do you put the later tokens in "
            "another order? The last one alone has no other.)",
            also=[
                _missing(LAST_PLACE),
                partial(_leaking, change=change_at, places=lambda n: range(1, n - 1)),
                partial(_leaking, places=lambda n: range(2, n)),
                partial(_leaking, change=change_at, places=lambda n: range(2, n)),
            ],
        ),
        Mistake(
            "first_row_only",
            partial(_leaking, look=lambda logits, place: logits[:1, :place]),
            "You look at the first row of the batch only. One decoder has a mask that does not reach the "
            "others. Compare all rows.",
        ),
        Mistake(
            "best_guess_only",
            _missing(FAVOURITE),
            "You compare the likeliest tokens. A leak may move all the logits and leave the largest one the "
            "largest: one decoder always guesses the same token. Compare the logits themselves.",
            also=[
                partial(_leaking, look=lambda z, place: z[:, :place].argmax(-1).double()),
                _missing(FAVOURITE, FAINTLY),
            ],
        ),
        Mistake(
            "too_rough",
            _missing(FAINTLY),
            "Your comparison is too rough. One decoder leaks faintly: its logits move by thousandths. Rounding "
            "moves them by far less. torch.allclose as it is tells the two apart.",
        ),
        Mistake(
            "exactly_equal",
            _finding(SHIFTED, "train", "eval"),
            "You reject a sound decoder. Its scores are all moved by the same number, which the softmax takes "
            "out again but for rounding: the logits differ in the tenth digit. Compare with torch.allclose, "
            "not for equality.",
            also=[_finding(SHIFTED, "train"), _finding(SHIFTED, "eval")],
        ),
        Mistake(
            "no_such_token",
            lambda model, source, target_in: model(source, target_in + 100),
            "You give the decoder a token that it does not have. Ids go from 0 to vocab - 1, so an id plus 1 "
            "may be too large: take the remainder, % vocab. The last axis of the logits says how large vocab "
            "is.",
        ),
    ],
)
