"""Exercise 15.5: find the bug: a map that never moves."""

import math
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers

Step = tuple[Tensor, Tensor, Tensor]


def step(
    word: Tensor,
    state: Tensor,
    cells: Tensor,
    w_word: Tensor,
    w_state: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_out: Tensor,
) -> Step:
    """Return the scores of the next word, the weights on the cells and the new state."""
    return _step(word, state, cells, w_word, w_state, w_query, w_key, w_out)


def _step(
    word: Tensor,
    state: Tensor,
    cells: Tensor,
    w_word: Tensor,
    w_state: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_out: Tensor,
    *,
    asks: str = "new state",
    axis: str = "cells",
    reads: str = "context",
    scaled: bool = True,
) -> Step:
    """Take a step in some way.

    Args:
        word: (batch, d), the word before.
        state: (batch, d), the state after the word before that.
        cells: (batch, cells, d), the picture.
        w_word: the weights that turn the word into state, (d, d), as all but the last.
        w_state: those of the state before.
        w_query: those of the query.
        w_key: those of the keys.
        w_out: (d, vocab).
        asks: what the query is made of: the new state, the old one, the word, or the mean of the picture.
        axis: along what the weights sum to 1: the cells, the batch, or an axis of length 1.
        reads: what the next word is read from: the context, the mean of the picture, the state, or two of them.
        scaled: whether scores are divided by the root of the width.
    """
    new = torch.tanh(word @ w_word + state @ w_state)
    mean = cells.mean(1)
    query = {"new state": new, "old state": state, "word": word, "picture": mean}[asks] @ w_query
    scores = cells @ w_key @ query[..., None]  # (batch, cells, 1)
    if scaled:
        scores = scores / math.sqrt(query.shape[-1])
    weights = scores.softmax({"cells": 1, "batch": 0, "one": 2}[axis])
    context = (weights * cells).sum(1)
    read: Any = {"context": context, "picture": mean, "state": new}
    found = sum(read[name] for name in reads.split(" and "))
    return found @ w_out, weights[..., 0], new


def broken_step(
    word: Tensor,
    state: Tensor,
    cells: Tensor,
    w_word: Tensor,
    w_state: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_out: Tensor,
) -> Step:
    """The step that learners are given, with all its bugs."""
    picture = cells.mean(1)
    query = picture @ w_query
    scores = cells @ w_key @ query[..., None] / math.sqrt(query.shape[-1])
    weights = scores.softmax(-1)
    context = (weights * cells).sum(1)
    state = torch.tanh(word @ w_word + state @ w_state)
    return (context + picture) @ w_out, weights[..., 0], state


def _combined(**ways: tuple[str | bool, ...]) -> dict[str, Any]:
    """Return the answers of a mistake: the step with every combination of these ways."""
    steps: list[Answer] = [
        partial(_step, **dict(zip(ways, combination, strict=True)))  # type: ignore[arg-type]
        for combination in product(*ways.values())
    ]
    return {"answer": steps[0], "also": steps[1:]}


def _old_state_returned(*case: Tensor) -> Step:
    found, weights, _ = step(*case)
    return found, weights, case[1]


_READ = ("context", "context and picture", "context and state", "picture", "state")


def _cases() -> list[Case]:
    def case(seed: int, batch: int, n_cells: int, d: int, vocab: int) -> Case:
        return (
            numbers(seed, batch, d),
            numbers(seed + 1, batch, d).tanh(),
            numbers(seed + 2, batch, n_cells, d),
            *(numbers(seed + i, d, d) / math.sqrt(d) for i in (3, 4)),
            *(1.5 * numbers(seed + i, d, d) / math.sqrt(d) for i in (5, 6)),
            numbers(seed + 7, d, vocab),
        )

    return [case(1500, 2, 3, 2, 5), case(1580, 3, 7, 5, 11), case(1590, 5, 13, 3, 7)]


EXERCISE = Exercise(
    number="15.5",
    title="A map that never moves",
    solution=step,
    cases=_cases,
    mistakes=[
        Mistake(
            "every_weight_one",
            message="Each weight is 1, whatever the scores are: they have the shape (batch, cells, 1), and the "
            "softmax runs along the axis of length 1. A map of ones cannot move. Mend this first, and look then "
            "at what is asked.",
            **_combined(axis=("one",), reads=_READ),
        ),
        Mistake(
            "softmax_over_the_batch",
            message="The weights of a picture do not sum to 1: the softmax runs along the batch, so pictures "
            "compete for each cell. It is the cells of one picture that share out the weight.",
            **_combined(
                axis=("batch",), asks=("new state", "old state", "word", "picture"), reads=_READ
            ),
        ),
        Mistake(
            "asked_with_the_picture",
            message="The query is made of the picture, which is the same at every word of a caption. So are the "
            "scores and the map. What changes from word to word is the state of the decoder: that must ask.",
            **_combined(asks=("picture",), reads=_READ),
        ),
        Mistake(
            "asked_too_early",
            message="The query comes from the state before the last word was read. It does not know what was just "
            "said, so the map moves, and lags a word behind. First the new state, then the query from it.",
            **_combined(asks=("old state",), reads=_READ),
        ),
        Mistake(
            "asked_with_the_word",
            message="The query is made of the word alone. After the second *and* of a caption it asks what it "
            "asked after the first, and gets the same map. The state knows what has been said so far.",
            **_combined(asks=("word",), reads=_READ),
        ),
        Mistake(
            "read_past_the_map",
            message="The map is mended, and there is still a way around it: the next word is read from the mean of "
            "the picture or from the state as well, or without the context. Then captions may be right whatever "
            "the map does. Read it from the context alone.",
            **_combined(reads=_READ[1:]),
        ),
        Mistake(
            "not_scaled",
            message="All is mended, and the root of the width got lost: the scores are no longer divided by it. "
            "That was no bug.",
            **_combined(scaled=(False,)),
        ),
        Mistake(
            "old_state_returned",
            _old_state_returned,
            "Scores and weights are right, but you return the state that came in. The next step would begin where "
            "this one did, and the map would stand still for another reason.",
        ),
    ],
    laws=[
        Law(
            "the weights on the cells of a picture sum to 1",
            lambda out, word, state, cells, *rest: torch.allclose(
                out[1].sum(-1), torch.ones(len(cells)), atol=1e-4
            ),
        ),
        Law(
            "the scores of the next word come from the cells by the weights alone",
            lambda out, word, state, cells, *rest: torch.allclose(
                out[0], (out[1][..., None] * cells).sum(1) @ rest[-1], atol=1e-4
            ),
        ),
    ],
)
