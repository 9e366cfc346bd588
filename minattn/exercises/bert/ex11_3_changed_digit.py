"""Exercise 11.3: which digit was changed?"""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.bert.toy_filler import ToyFiller
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.telling import brief
from minattn.vocabulary import BOS, EOS, PAD

LogProbsOf = Callable[[Tensor], Tensor]
Found = tuple[Tensor, Tensor]


def changed_digit(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> Found:
    """Hide one digit at a time; return how likely each is, and the place of the least likely one."""
    return _answer()(log_probs_of, ids, places, mask_id)


def _one_each(ids: Tensor, places: Tensor, mask_id: int) -> Tensor:
    """Return a copy of the text for each digit, in which it is hidden."""
    texts = ids.repeat(len(places), 1)
    texts[torch.arange(len(places)), places] = mask_id
    return texts


def _of_the_written(row: Tensor, written: Tensor, mask_id: int) -> Tensor:
    return row.gather(-1, written[:, None])[:, 0]


def _least(told: Tensor, places: Tensor) -> Tensor:
    return places[told.argmin()]


def _answer(
    *,
    hidden: Callable[[Tensor, Tensor, int], Tensor] = _one_each,
    look: Callable[[Tensor], Tensor] = lambda places: places,
    told: Callable[[Tensor, Tensor, int], Tensor] = _of_the_written,
    choose: Callable[[Tensor, Tensor], Tensor] = _least,
) -> Callable[[LogProbsOf, Tensor, Tensor, int], Found]:
    """Make an answer that hides, looks or chooses in another way."""

    def answer(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> Found:
        log_probs = log_probs_of(hidden(ids, places, mask_id))
        row = log_probs[torch.arange(len(places)), look(places)]  # (digits, vocab)
        found = told(row, ids[places], mask_id)
        return found, choose(found, places)

    return answer


def _none_hidden(ids: Tensor, places: Tensor, mask_id: int) -> Tensor:
    return ids.repeat(len(places), 1)


def _all_hidden(ids: Tensor, places: Tensor, mask_id: int) -> Tensor:
    return ids.index_fill(0, places, mask_id).repeat(len(places), 1)


def _others_hidden(ids: Tensor, places: Tensor, mask_id: int) -> Tensor:
    texts = _all_hidden(ids, places, mask_id)
    texts[torch.arange(len(places)), places] = ids[places]
    return texts


def _stays_hidden(ids: Tensor, places: Tensor, mask_id: int) -> Tensor:
    texts = [ids.index_fill(0, places[: i + 1], mask_id) for i in range(len(places))]
    return torch.stack(texts)


def _hidden_at(
    other: Callable[[Tensor], Tensor],
) -> Callable[[Tensor, Tensor, int], Tensor]:
    return lambda ids, places, mask_id: _one_each(ids, other(places), mask_id)


def _deleted(ids: Tensor, places: Tensor, mask_id: int) -> Tensor:
    return torch.stack([torch.cat([ids[:place], ids[place + 1 :]]) for place in places])


def _from_the_text(
    of: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[LogProbsOf, Tensor, Tensor, int], Found]:
    """Make an answer that takes its numbers from the log probabilities of all tokens of each text."""

    def answer(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> Found:
        log_probs = log_probs_of(_one_each(ids, places, mask_id))
        each = log_probs.gather(-1, ids.repeat(len(places), 1)[..., None])[..., 0]
        found = of(each, places)
        return found, places[found.argmin()]

    return answer


def _without_the_hidden(each: Tensor, places: Tensor) -> Tensor:
    return each.sum(-1) - each[torch.arange(len(places)), places]


def _every_token(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> Found:
    return changed_digit(log_probs_of, ids, torch.arange(len(ids)), mask_id)


def _first_that_differs(
    log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int
) -> Found:
    told, _ = changed_digit(log_probs_of, ids, places, mask_id)
    guesses = log_probs_of(_one_each(ids, places, mask_id)).argmax(-1)
    differs = guesses[torch.arange(len(places)), places] != ids[places]
    return told, places[differs.int().argmax()]


def _digit_itself(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> Found:
    told, place = changed_digit(log_probs_of, ids, places, mask_id)
    return told, ids[place]


def _not_a_batch(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> Found:
    told = [log_probs_of(ids.index_fill(0, place, mask_id)) for place in places]
    return torch.stack(told), places[0]


def _digit_cases() -> list[Case]:
    return [
        _case(1140, 3, words=3, digits=3),
        _case(1158, 3, words=5, digits=5),
        _case(1146, 16, words=2, digits=4),
        _case(1143, 4, words=7, digits=6),
        _case(1155, 3, words=4, digits=5, digits_first=True),
    ]


def _case(seed: int, mask_id: int, *, words: int, digits: int, digits_first: bool = False) -> Case:
    """Make a text: words, a sign and digits, or the other way round; a filler has 23 tokens."""
    drawn = (numbers(seed, words + digits).abs() * 997).long()
    said, written = 17 + drawn[:words] % 6, 6 + drawn[words:] % 10
    begin, sign, end = torch.tensor([[BOS], [5], [EOS]])
    parts = [written, sign, said] if digits_first else [said, sign, written]
    places = torch.arange(digits) + (1 if digits_first else words + 2)
    return ToyFiller(seed, 23, mask_id), torch.cat([begin, *parts, end]), places, mask_id


def _show_case(log_probs_of: LogProbsOf, ids: Tensor, places: Tensor, mask_id: int) -> str:
    return (
        f"ids = {brief(ids)}, places = {brief(places)}, mask_id = {mask_id}, and {log_probs_of!r}"
    )


EXERCISE = Exercise(
    number="11.3",
    title="Which digit was changed?",
    solution=changed_digit,
    cases=_digit_cases,
    show_case=_show_case,
    mistakes=[
        Mistake(
            "nothing_hidden",
            _answer(hidden=_none_hidden),
            "Nothing is hidden. The model reads the digit that it is asked for and says it again, right or "
            "wrong. Put mask_id at its place first, in a copy of the text.",
        ),
        Mistake(
            "all_hidden",
            _answer(hidden=_all_hidden),
            "All digits are hidden at once. Then none can help with another, and the model is asked more "
            "than it has to be. Make a copy of the text for each digit, with this one hidden.",
        ),
        Mistake(
            "others_hidden",
            _answer(hidden=_others_hidden),
            "You hide all digits but the one that is asked for. The model reads that one and says it again. "
            "It is this one that has to be hidden, and the others stay.",
        ),
        Mistake(
            "stays_hidden",
            _answer(hidden=_stays_hidden),
            "The first digit is hidden alone, but it stays hidden when the second one is. Begin each time "
            "with a new copy of the text.",
        ),
        Mistake(
            "wrong_place_hidden",
            _answer(hidden=_hidden_at(lambda places: places + 1)),
            "You hide one place and look at another. The log probabilities that count are those at the "
            "place that is hidden, the digit's own. ids[0] is BOS, and places counts it.",
            also=[
                _answer(hidden=_hidden_at(lambda places: places - 1)),
                _answer(hidden=_hidden_at(lambda places: torch.arange(len(places)))),
                _answer(look=lambda places: places + 1),
                _answer(look=lambda places: torch.arange(len(places))),
            ],
        ),
        Mistake(
            "one_place_earlier",
            _answer(look=lambda places: places - 1),
            "You look one place before the digit. There a model that writes from left to right says what "
            "comes next. This one says at each place what stands at this place.",
        ),
        Mistake(
            "best_guess",
            _answer(told=lambda row, written, mask_id: row.max(-1).values),
            "You take the model's best guess, or how sure it is. How likely is the digit that is written? A "
            "model may be sure of another one, and that is just what gives a changed digit away.",
            also=[_answer(told=lambda row, written, mask_id: (row.exp() * row).sum(-1))],
        ),
        Mistake(
            "mask_asked",
            _answer(told=lambda row, written, mask_id: row[:, mask_id]),
            "You ask how likely the mask sign is: the ids are read after it was put in. Ask for the id "
            "that stands in the text that was given.",
        ),
        Mistake(
            "compared_with_best",
            _answer(
                told=lambda row, written, mask_id: (
                    _of_the_written(row, written, mask_id) - row.max(-1).values
                )
            ),
            "You compare each digit with the model's best guess. That is a good question too, with other "
            "numbers. Here the log probability of the written digit is asked for, and nothing taken off.",
        ),
        Mistake(
            "whole_text",
            _from_the_text(lambda each, places: each.sum(-1)),
            "You add up or average the log probabilities of other tokens too. These are not hidden, so they "
            "say little but that they are there. Take the one at the hidden place.",
            also=[
                _from_the_text(lambda each, places: each.mean(-1)),
                _from_the_text(_without_the_hidden),
            ],
        ),
        Mistake(
            "probabilities",
            _answer(
                told=lambda row, written, mask_id: row.gather(-1, written[:, None])[:, 0].exp()
            ),
            "These are probabilities. The place is right, but the task asks for their logarithms, and "
            "log_probs_of gives just these.",
        ),
        Mistake(
            "sign",
            _answer(
                told=lambda row, written, mask_id: -_of_the_written(row, written, mask_id),
                choose=lambda told, places: places[told.argmax()],
            ),
            "The log probabilities have lost their minus sign. Without it they say how surprising a digit "
            "is. Asked for is how likely it is: no number above 0.",
            also=[
                _answer(told=lambda row, written, mask_id: -_of_the_written(row, written, mask_id))
            ],
        ),
        Mistake(
            "most_likely",
            _answer(choose=lambda told, places: places[told.argmax()]),
            "The log probabilities are right, and the place is that of the likeliest digit. It is the one "
            "that the model believes least that was changed: argmin.",
            also=[_answer(choose=lambda told, places: places[told.abs().argmin()])],
        ),
        Mistake(
            "index_among_digits",
            _answer(choose=lambda told, places: told.argmin()),
            "The log probabilities are right, but the number says which of the digits it is, counted from "
            "0. Asked for is its place in the text: places[...] of that number.",
            also=[
                _answer(choose=lambda told, places: told.argmin() + 1),
                _answer(choose=lambda told, places: told.argmax()),
            ],
        ),
        Mistake(
            "first_that_differs",
            _first_that_differs,
            "You return the first digit that is not the model's best guess. A right digit can be its second "
            "guess, too. Compare all of them, and take the least likely one.",
        ),
        Mistake(
            "digit_itself",
            _digit_itself,
            "This is the id of the digit that was found. Asked for is the place where it stands.",
        ),
        Mistake(
            "every_token",
            _every_token,
            "You hide every token in turn, words and BOS too. Only the digits are in question: hide those "
            "at places.",
        ),
        Mistake(
            "deleted",
            _answer(hidden=_deleted),
            "You take the digit out of the text, and all that follows moves up. So at its place stands the "
            "next token, and the model reads that one. Put mask_id in its place.",
        ),
        Mistake(
            "hidden_by_padding",
            _answer(hidden=lambda ids, places, mask_id: _one_each(ids, places, PAD)),
            "You put 0 in the digit's place. That is padding, which is no part of a text. What the model "
            "knows as a gap is mask_id.",
        ),
        Mistake(
            "not_a_batch",
            _not_a_batch,
            "The model wants whole numbers of shape (batch, seq). A single text is a batch of one: "
            "text[None]. Or stack the copies, one row for each digit.",
        ),
        Mistake(
            "turned_round",
            lambda *case: changed_digit(*case)[::-1],
            "The two results have changed places. First the log probabilities, then the place.",
        ),
        Mistake(
            "one_alone",
            lambda *case: changed_digit(*case)[1],
            "This is only one of the two results. Return the log probabilities of the digits, and the "
            "place.",
            also=[lambda *case: changed_digit(*case)[0]],
        ),
    ],
    laws=[
        Law("no log probability is above 0", lambda out, *case: bool((out[0] <= 0).all())),
        Law(
            "the place is one of places",
            lambda out, log_probs_of, ids, places, mask_id: int(out[1]) in places.tolist(),
        ),
    ],
)
