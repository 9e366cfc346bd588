"""Exercise 6.4: one token at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.self_attention.toy_language_model import ID_TYPES, ToyLanguageModel
from minattn.vocabulary import BOS, EOS, PAD


class ToyDecoder:
    """What a decoder says for one source: a causal model of the target that reads all of it every time.

    Args:
        seed: of the table that its logits come from.
        vocab_size: how many different tokens.
    """

    def __init__(self, seed: int, vocab_size: int) -> None:
        self.model = ToyLanguageModel(seed, vocab_size)
        self.model.table[:, :EOS] -= 9.0  # it never says padding or BOS

    def __repr__(self) -> str:
        return f"a decoder of {self.model.table.shape[1]} tokens"

    def __call__(self, target_in: Any) -> Tensor:
        """Return logits of shape (length, vocab)."""
        if not isinstance(target_in, Tensor) or target_in.ndim != 1 or not len(target_in):
            raise ValueError("target_in must be a tensor of shape (length,)")
        if target_in.dtype not in ID_TYPES:
            raise ValueError("target_in must hold whole numbers (int64 or int32)")
        return self.model(target_in[None])[0]


LogitsOf = Callable[[Tensor], Tensor]


def translate_greedily(logits_of: LogitsOf, max_length: int) -> list[int]:
    """Write a target with a decoder that reads all of it at once."""
    return _decode(logits_of, max_length)


def _last_row(logits: Tensor) -> int:
    return int(logits[-1].argmax())


def _decode(
    logits_of: LogitsOf,
    max_length: int,
    *,
    choose: Callable[[Tensor], Any] = _last_row,
    seen: Callable[[list[int]], list[int]] = lambda ids: ids,
    start: int = BOS,
    end: int | None = EOS,
) -> list[int]:
    ids = [start]
    while len(ids) <= max_length:
        ids.append(choose(logits_of(torch.tensor(seen(ids)))))
        if ids[-1] == end:
            break
    return ids[1:]


def _in_buffer(logits_of: LogitsOf, max_length: int, read: Callable[[Tensor, int], Tensor]) -> Any:
    ids = torch.full((max_length + 1,), PAD)
    ids[0] = BOS
    for i in range(max_length):
        ids[i + 1] = read(logits_of(ids), i).argmax()
        if ids[i + 1] == EOS:
            return ids[1 : i + 2].tolist()
    return ids[1:].tolist()


def _checked_late(logits_of: LogitsOf, max_length: int) -> list[int]:
    ids = [BOS]
    for _ in range(max_length):
        stop = ids[-1] == EOS
        ids.append(_last_row(logits_of(torch.tensor(ids))))
        if stop:
            break
    return ids[1:]


def _all_appended(logits_of: LogitsOf, max_length: int) -> list[int]:
    ids = [BOS]
    while len(ids) <= max_length and ids[-1] != EOS:
        ids += logits_of(torch.tensor(ids)).argmax(-1).tolist()
    return ids[1:]


_DECODERS = [(767, 7, 7), (786, 11, 11), (855, 11, 5), (767, 9, 4), (855, 11, 1), (855, 11, 0)]
"""Seed, vocabulary and limit: the third does not say EOS in time, the fourth says it just in time."""


def _decoder_cases() -> list[Case]:
    return [(ToyDecoder(seed, v), n) for seed, v, n in _DECODERS]


EXERCISE = Exercise(
    number="6.4",
    title="One token at a time",
    solution=translate_greedily,
    cases=_decoder_cases,
    mistakes=[
        Mistake(
            "always_the_first_word",
            partial(_decode, choose=lambda logits: int(logits[0].argmax())),
            "The same word comes every time. Either you read the first row of the logits, which always "
            "guesses the first word, or you give the decoder BOS alone. Give it all that has been written, "
            "and read the last row.",
            also=[partial(_decode, seen=lambda ids: ids[:1])],
        ),
        Mistake(
            "one_before_last",
            partial(_decode, choose=lambda logits: int(logits[-2].argmax())),
            "You read the row before the last. The shift was made in training: row i has read the tokens up "
            "to i and guesses token i + 1. So the last row guesses what is not there yet.",
            also=[
                partial(_decode, choose=lambda logits: int(logits[:-1][-1].argmax())),
                partial(
                    _decode, choose=lambda logits: int(logits[max(0, len(logits) - 2)].argmax())
                ),
            ],
        ),
        Mistake(
            "last_token_only",
            partial(_decode, seen=lambda ids: ids[-1:]),
            "The decoder is given only the newest token. The recurrent decoder of chapter 1 carried a state "
            "along; this one has none. What it knows of the words before, it sees by attending to them, so "
            "give it all of them.",
        ),
        Mistake(
            "start_forgotten",
            partial(_decode, seen=lambda ids: ids[1:] or ids),
            "BOS is given in the first call and left out afterwards. The decoder was trained on targets that "
            "begin with BOS, and every word stood one place further back. Give it BOS and all the words.",
        ),
        Mistake(
            "other_start",
            partial(_decode, start=EOS),
            "The first token that the decoder reads is not BOS. It was trained to begin after BOS, and after "
            "nothing else.",
            also=[partial(_decode, start=PAD)],
        ),
        Mistake(
            "empty_place_read",
            partial(_in_buffer, read=lambda logits, i: logits[-1]),
            "You give the decoder a row with room for the whole target, and read the logits at a place that "
            "is still empty. They guess what comes after padding. The guess for place i + 1 stands in "
            "row i.",
            also=[partial(_in_buffer, read=lambda logits, i: logits[i + 1])],
        ),
        Mistake(
            "all_guesses_appended",
            _all_appended,
            "The guesses of all rows are appended every time. All but the last guess words that are already "
            "there.",
        ),
        Mistake(
            "all_at_once",
            lambda logits_of, n: logits_of(torch.full((n,), BOS)).argmax(-1).tolist(),
            "The decoder is asked once, for all places. Every row guesses what follows the tokens before it, "
            "and those are not written yet. Write one token, give it to the decoder, and ask again.",
            also=[
                lambda logits_of, n: (
                    logits_of(torch.tensor([BOS] + [PAD] * (n - 1))).argmax(-1).tolist()
                ),
            ],
        ),
        Mistake(
            "over_positions",
            partial(_decode, choose=lambda logits: int(logits.argmax(0)[-1])),
            "The argmax runs over the positions. You want the token with the largest logit in the last row, "
            "so it has to run over the vocabulary.",
        ),
        Mistake(
            "over_everything",
            partial(_decode, choose=lambda logits: int(logits.argmax())),
            "argmax without an axis counts through all rows in one go, so it may give a number that is no "
            "token at all. Take the last row first.",
        ),
        Mistake(
            "bos_kept",
            lambda logits_of, n: [BOS, *_decode(logits_of, n)],
            "BOS stands at the front of the result. It was given to the decoder; the decoder did not say it.",
            also=[
                lambda logits_of, n: [BOS, *_decode(logits_of, n - 1)],
            ],
        ),
        Mistake(
            "eos_dropped",
            lambda logits_of, n: [i for i in _decode(logits_of, n) if i != EOS],
            "The words are right, but EOS is missing at the end. The task wants it kept, as in chapter 1: "
            "without it, one cannot tell a sentence that has ended from one that was cut off.",
            also=[lambda logits_of, n: [BOS, *(i for i in _decode(logits_of, n) if i != EOS)]],
        ),
        Mistake(
            "padded",
            lambda logits_of, n: [*_decode(logits_of, n), *[PAD] * n][:n],
            "The ids are right, but there is padding behind them. A row of a batch would need it; a list ends "
            "where the sentence ends.",
        ),
        Mistake(
            "goes_on_after_eos",
            partial(_decode, end=None),
            "It goes on after EOS until the limit is reached. What the decoder says after EOS means nothing: "
            "it was never trained on it.",
        ),
        Mistake(
            "one_after_eos",
            _checked_late,
            "You write one more token after EOS. The check comes too late: look at the token that was just "
            "written, before the decoder is asked again.",
        ),
        Mistake(
            "one_too_many",
            lambda logits_of, n: _decode(logits_of, n + 1),
            "A target that does not end by itself gets one token too many. Count how many tokens your loop "
            "has written when it checks the limit; BOS is not one of them.",
        ),
        Mistake(
            "limit_checked_late",
            lambda logits_of, n: _decode(logits_of, max(1, n)),
            "Where max_length is 0 you write a token all the same. Check the limit before you ask the decoder, "
            "not only after.",
        ),
        Mistake(
            "one_too_few",
            lambda logits_of, n: _decode(logits_of, n - 1),
            "A target that does not end by itself gets one token too few. The result may have max_length "
            "tokens. EOS counts, but BOS does not.",
        ),
        Mistake(
            "no_limit",
            lambda logits_of, n: _decode(logits_of, 10**6),
            "One of the decoders does not say EOS for a long time, and your loop waits for it. That is what "
            "max_length is for.",
        ),
        Mistake(
            "least_likely",
            partial(_decode, choose=lambda logits: int(logits[-1].argmin())),
            "This takes the token with the smallest logit. The likeliest one has the largest.",
        ),
        Mistake(
            "sampled",
            partial(
                _decode, choose=lambda logits: int(torch.multinomial(logits[-1].softmax(-1), 1))
            ),
            "You draw the token by chance. That is another way of writing, which gives another result each "
            "time. Here the likeliest token is asked for.",
        ),
        Mistake(
            "logit_taken_for_token",
            partial(_decode, choose=lambda logits: float(logits[-1].max())),
            "You append the largest logit, which is a number with a fraction. A token is the place of that "
            "logit in the vocabulary: argmax.",
        ),
        Mistake(
            "ids_are_tensors",
            lambda logits_of, n: [torch.tensor([i]) for i in _decode(logits_of, n)],
            "The ids are right, but each is still a tensor of shape (1,). The task asks for whole numbers: "
            "int(token) makes one.",
        ),
        Mistake(
            "not_one_axis",
            lambda logits_of, n: logits_of(torch.tensor([[BOS]])) if n else [],
            "The decoder was given something that is no tensor of shape (length,), or an empty one. There "
            "is no axis for the batch here, and a list has to become a tensor: torch.tensor(ids).",
        ),
    ],
    laws=[
        Law("there are at most max_length tokens", lambda out, logits_of, n: len(out) <= n),
        Law(
            "EOS stands at the end or nowhere",
            lambda out, logits_of, n: EOS not in [int(i) for i in out[:-1]],
        ),
    ],
)
