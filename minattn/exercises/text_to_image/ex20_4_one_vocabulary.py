"""Exercise 20.4: find the bug: a loss that falls to nothing."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

Examples = tuple[Tensor, Tensor, Tensor]
"""What is read, what is to be said next, and where that counts."""
Counted = Callable[[Tensor, int], Tensor]
"""Says of each target whether it counts, from the targets and the number of words in a text."""


def examples(words: Tensor, codes: Tensor, n_words: int) -> Examples:
    """Return inputs, targets and which targets count: words, the separator, and the codes behind all words."""
    return _examples(words, codes, n_words)


def _codes_only(targets: Tensor, length: int) -> Tensor:
    return torch.arange(targets.shape[1]).expand_as(targets) >= length


def _all(targets: Tensor, length: int) -> Tensor:
    return torch.ones_like(targets, dtype=torch.bool)


def _separator_too(targets: Tensor, length: int) -> Tensor:
    return _codes_only(targets, length - 1)


def _first_code_not(targets: Tensor, length: int) -> Tensor:
    return _codes_only(targets, length + 1)


def _words_only(targets: Tensor, length: int) -> Tensor:
    return ~_codes_only(targets, length)


def _examples(
    words: Tensor,
    codes: Tensor,
    n_words: int,
    *,
    offset: int | None = 1,
    separator: bool = True,
    shift: int = 1,
    counted: Counted = _codes_only,
) -> Examples:
    """Write words and codes into one sequence, with some of the faults.

    Args:
        words: of each text, as ids from 0 on.
        codes: of each picture, from 0 on.
        n_words: how many words there are.
        offset: of the first code, behind all words; None if codes stay as they are.
        separator: whether there is one between words and codes.
        shift: how far the targets are ahead of the inputs.
        counted: which targets count.
    """
    between = torch.full((len(words), int(separator)), n_words)
    ids = codes if offset is None else codes + n_words + offset
    sequence = torch.cat([words, between, ids], 1)
    length = words.shape[1] + separator - shift
    end = sequence.shape[1] - max(shift, 1)
    if shift == 0:  # what is read is also what is to be said
        return sequence, sequence, counted(sequence, length)
    targets = sequence[:, shift:]
    return sequence[:, :end], targets, counted(targets, length)


def _unshifted_and_cut(counted: Counted, offset: int | None) -> Answer:
    """Cut the last token off, for inputs and targets alike."""

    def answer(words: Tensor, codes: Tensor, n_words: int) -> Examples:
        inputs, _, _ = _examples(words, codes, n_words, offset=offset)
        return inputs, inputs, counted(inputs, words.shape[1] + 1)

    return answer


def _backwards(words: Tensor, codes: Tensor, n_words: int) -> Examples:
    """Ask for the token before."""
    inputs, targets, _ = _examples(words, codes, n_words)
    return targets, inputs, _codes_only(inputs, words.shape[1] + 1)


def _together(
    shifts: tuple[int, ...], offsets: tuple[int | None, ...], counts: tuple[Counted, ...]
) -> list[Answer]:
    return [
        partial(_examples, shift=shift, offset=offset, counted=counted)
        for shift, offset, counted in product(shifts, offsets, counts)
    ]


def _ids(*shape: int, n: int, step: int) -> Tensor:
    """Make ids that are all there, neither in order nor random."""
    return (torch.arange(int(torch.tensor(shape).prod())) * step + 1).remainder(n).reshape(shape)


def _cases() -> list[Case]:
    return [
        (torch.tensor([[1, 0]]), torch.tensor([[0, 2, 1]]), 2),
        (_ids(2, 3, n=5, step=3), _ids(2, 4, n=7, step=5), 5),
        (_ids(3, 1, n=3, step=2), _ids(3, 5, n=2, step=1), 3),
        (_ids(5, 2, n=7, step=4), _ids(5, 7, n=11, step=3), 7),
    ]


EXERCISE = Exercise(
    number="20.4",
    title="A loss that falls to nothing",
    solution=examples,
    cases=_cases,
    mistakes=[
        Mistake(
            "not_shifted",
            partial(_examples, shift=0),
            "A symptom is left: the answer stands in the input, so a model that copies has no loss at all, and draws "
            "one code again and again. The target is the token after: sequence[:, 1:] for sequence[:, :-1].",
            also=[
                *_together(
                    (0,), (None, 0, 1), (_codes_only, _all, _separator_too, _first_code_not)
                )[1:],
                *(
                    _unshifted_and_cut(counted, offset)
                    for counted, offset in product((_codes_only, _all), (None, 1))
                ),
            ],
        ),
        Mistake(
            "codes_are_words",
            partial(_examples, offset=None),
            "A symptom is left: code 1 has the id of word 1. One embedding then stands for a word and for a patch, and "
            "the model may say a word in the middle of a picture. Codes come behind all words and the separator.",
            also=_together((1,), (None,), (_all, _separator_too, _first_code_not)),
        ),
        Mistake(
            "code_0_is_the_separator",
            partial(_examples, offset=0),
            "Code 0 has the id of the separator. Words have 0 to n_words - 1, the separator has n_words, and so the "
            "first code has n_words + 1.",
            also=_together((1,), (0,), (_all, _separator_too, _first_code_not)),
        ),
        Mistake(
            "separator_dropped",
            partial(_examples, separator=False),
            "The separator is gone. It is what the model reads when it says the first code: without it, that is the "
            "last word, and where the words have an end remains a guess.",
            also=[
                partial(_examples, separator=False, offset=offset, counted=counted)
                for offset, counted in product((None, 0, 1), (_codes_only, _all))
                if offset != 1 or counted is _all
            ],
        ),
        Mistake(
            "words_count",
            partial(_examples, counted=_all),
            "A symptom is left: the loss counts words as well. They are given and need not be said, and with few "
            "codes they would be half of the loss. Only a target that is a code counts, and the separator is none.",
            also=[
                partial(_examples, counted=_separator_too),
                partial(_examples, counted=_words_only),
            ],
        ),
        Mistake(
            "first_code_left_out",
            partial(_examples, counted=_first_code_not),
            "The first code does not count. Its place among the targets is one earlier than in the sequence: it "
            "is said where the separator is read. What counts is seen from the targets.",
        ),
        Mistake(
            "shifted_too_far",
            partial(_examples, shift=2),
            "The target is not the token that comes next: it is the one after, or the one before. In writing, each "
            "new code is put at the end, and that is the place right after what was read.",
            also=[partial(_examples, shift=2, counted=_all), _backwards],
        ),
    ],
    laws=[
        Law(
            "targets are inputs, one place later",
            lambda out, *case: torch.equal(out[0][:, 1:], out[1][:, :-1]),
        ),
        Law(
            "as many targets count as there are codes",
            lambda out, words, codes, n_words: int(out[2].sum()) == codes.numel(),
        ),
    ],
)
