"""Exercise 1.1: padding and its mask."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.vocabulary import EOS, PAD, pad, token_mask


def pad_and_mask(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Pad lists of ids at the end, and tell where the real tokens are."""
    ids = pad(sequences)
    return ids, token_mask(ids)


def _padded(sequences: list[list[int]], fill: int = PAD, front: bool = False) -> Tensor:
    longest = max(map(len, sequences))
    fills = [[fill] * (longest - len(ids)) for ids in sequences]
    rows = zip(sequences, fills, strict=True)
    return torch.tensor([[*more, *ids] if front else [*ids, *more] for ids, more in rows])


def _pad_cases() -> list[Case]:
    return [
        ([[3, 4, 2], [5, 2]],),
        ([[3, 2], [7, 5, 6, 2], [8, 9, 2]],),
        ([[4, 6, 2], [3, 2], [9, 9, 5, 6, 4, 8, 2], [7, 3, 5, 2], [5, 2]],),
        ([[7, 4, 2]],),  # nothing to fill
    ]


EXERCISE = Exercise(
    number="1.1",
    title="Padding and its mask",
    solution=pad_and_mask,
    cases=_pad_cases,
    mistakes=[
        Mistake(
            "mask_inverted",
            lambda s: (pad(s), pad(s) == PAD),
            "The mask is the wrong way round: it says True where there is padding. In this book True "
            "always means a real token, something that may be looked at. Some of torch's own layers "
            "(key_padding_mask) mean the opposite, so check it whenever you meet a mask.",
        ),
        Mistake(
            "padding_in_front",
            lambda s: (_padded(s, front=True), _padded(s, front=True) != PAD),
            "The padding stands in front. A recurrent encoder reads from the left, so it would have read "
            "padding before it sees the first word. Look at the first column of your ids.",
        ),
        Mistake(
            "batch_second",
            lambda s: (pad(s).T, pad(s).T != PAD),
            "Your result is (seq, batch): one sentence for each column. That is what torch's pad_sequence "
            "gives if nothing is said about batch_first. In this book the batch comes first.",
        ),
        Mistake(
            "ids_not_whole",
            lambda s: (pad(s).float(), pad(s) != PAD),
            "The ids have become fractions: torch.zeros makes those unless it is told otherwise. An "
            "embedding looks up rows by number and takes whole numbers only. Look at the dtype of "
            "your ids.",
        ),
        Mistake(
            "mask_all_true",
            lambda s: (pad(s), torch.ones_like(pad(s), dtype=torch.bool)),
            "The mask is True everywhere, so padding counts as a word. Which of the ids are there only "
            "to fill the rectangle?",
        ),
        Mistake(
            "eos_masked",
            lambda s: (pad(s), pad(s) > EOS),
            "The mask leaves out the end of sequence as well. EOS is no filling: it belongs to the "
            "sentence, the encoder reads it and the decoder has to learn to say it. Only PAD is left "
            "out.",
        ),
        Mistake(
            "cut_to_shortest",
            lambda s: (
                torch.tensor([ids[: min(map(len, s))] for ids in s]),
                torch.ones(len(s), min(map(len, s)), dtype=torch.bool),
            ),
            "The rows are cut to the length of the shortest, so words are lost. zip does this without a "
            "word. The rectangle has to hold the longest sentence.",
        ),
        Mistake(
            "other_filling",
            lambda s: (_padded(s, -1), _padded(s, -1) != -1),
            "The rows are filled with some other id than PAD, which is 0. An id that is a real token would "
            "be read as one, and one that is not in the vocabulary cannot be embedded.",
            also=[
                lambda s: (_padded(s, EOS), pad(s) != PAD),
                lambda s: (_padded(s, EOS), torch.ones_like(pad(s), dtype=torch.bool)),
            ],
        ),
    ],
    laws=[
        Law(
            "the mask is True once for every id that was given",
            lambda out, s: int(out[1].sum()) == sum(map(len, s)),
        ),
        Law(
            "reading the ids where the mask is True gives back the sentences",
            lambda out, s: (
                [row[keep].tolist() for row, keep in zip(*map(torch.as_tensor, out), strict=True)]
                == s
            ),
        ),
    ],
)
