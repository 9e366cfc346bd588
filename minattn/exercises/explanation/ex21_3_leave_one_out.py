"""Exercise 21.3: leave one out."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Reading = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""What a query fetches with one token left out, from query, tokens, places, and the token's number."""


def leave_one_out(
    query: Tensor, tokens: Tensor, places: Tensor, w_read: Tensor, word: int
) -> Tensor:
    """Return how much the log-probability of a word falls when each token alone is masked."""
    return _left_out(query, tokens, places, w_read, word)


def _fetched(query: Tensor, memory: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return the mean of the memory, weighted by the query, over what is allowed."""
    scores = memory @ query / math.sqrt(len(query))
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ memory


def _masked(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    return _fetched(query, tokens + places, torch.arange(len(tokens)) != j)


def _masked_so_far(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    """Mask all tokens up to this one; nothing is fetched where none is left."""
    return _fetched(query, tokens + places, torch.arange(len(tokens)) > j).nan_to_num(0.0)


def _masked_so_far_or_nan(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    return _fetched(query, tokens + places, torch.arange(len(tokens)) > j)


def _alone(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    return _fetched(query, tokens + places, torch.arange(len(tokens)) == j)


def _value_zeroed(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    memory = tokens + places
    weights = (memory @ query / math.sqrt(len(query))).softmax(-1)
    return weights @ memory - weights[j] * memory[j]


def _score_zeroed(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    memory = tokens + places
    scores = memory @ query / math.sqrt(len(query))
    scores[j] = 0
    return scores.softmax(-1) @ memory


def _all_zeroed(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    memory = tokens + places
    memory[j] = 0
    return _fetched(query, memory)


def _token_zeroed(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    return _fetched(query, tokens.clone().index_fill(0, torch.tensor(j), 0.0) + places)


def _mean_in_its_place(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    changed = tokens.clone()
    changed[j] = tokens.mean(0)
    return _fetched(query, changed + places)


def _cut_out(query: Tensor, tokens: Tensor, places: Tensor, j: int) -> Tensor:
    """Close the gap: later tokens get the places of their neighbours."""
    kept = torch.cat([tokens[:j], tokens[j + 1 :]])
    return _fetched(query, kept + places[: len(kept)])


def _log_probability(logits: Tensor, word: int) -> Tensor:
    return logits.log_softmax(-1)[..., word]


def _probability(logits: Tensor, word: int) -> Tensor:
    return logits.softmax(-1)[..., word]


def _logit(logits: Tensor, word: int) -> Tensor:
    return logits[..., word]


def _fall(with_it: Tensor, without: Tensor) -> Tensor:
    return with_it - without


def _rise(with_it: Tensor, without: Tensor) -> Tensor:
    return without - with_it


def _change(with_it: Tensor, without: Tensor) -> Tensor:
    return (with_it - without).abs()


def _without_alone(with_it: Tensor, without: Tensor) -> Tensor:
    return without


def _left_out(
    query: Tensor,
    tokens: Tensor,
    places: Tensor,
    w_read: Tensor,
    word: int,
    *,
    reading: Reading = _masked,
    measure: Callable[[Tensor, int], Tensor] = _log_probability,
    compare: Callable[[Tensor, Tensor], Tensor] = _fall,
) -> Tensor:
    """Leave out every token once, each step done in some way.

    Args:
        query: (d,).
        tokens: (keys, d), without their places.
        places: (keys, d).
        w_read: (d, words), makes logits of what is fetched.
        word: whose probability is asked for.
        reading: fetches with one token left out.
        measure: what is compared, from the logits.
        compare: makes one number of the measure with and without the token.
    """
    with_it = measure(_fetched(query, tokens + places) @ w_read, word)
    without = [reading(query, tokens, places, j) @ w_read for j in range(len(tokens))]
    return compare(with_it, measure(torch.stack(without), word))


def _weights(query: Tensor, tokens: Tensor, places: Tensor, w_read: Tensor, word: int) -> Tensor:
    """Return the weights, and leave nothing out."""
    return ((tokens + places) @ query / math.sqrt(len(query))).softmax(-1)


def _case(seed: int, n_keys: int, d: int, n_words: int, word: int) -> Case:
    tokens, places = numbers(seed + 1, n_keys, d), numbers(seed + 2, n_keys, d)
    return numbers(seed, d), tokens, places, numbers(seed + 3, d, n_words), word


def _cases() -> list[Case]:
    return [_case(2150, 3, 2, 3, 1), _case(2160, 5, 3, 7, 4), _case(2170, 7, 5, 2, 0)]


EXERCISE = Exercise(
    number="21.3",
    title="Leave one out",
    solution=leave_one_out,
    cases=_cases,
    mistakes=[
        Mistake(
            "value_zeroed",
            partial(_left_out, reading=_value_zeroed),
            "You take away the value, or set the weight to 0, after the softmax. The weight of that token is lost "
            "then, and what is fetched gets smaller. Masked before the softmax, it goes to the others.",
        ),
        Mistake(
            "score_of_0",
            partial(_left_out, reading=_score_zeroed),
            "You set a score to 0, and 0 is a score like any other: e to the power of 0 is 1. The "
            "token still gets weight. Minus infinity leaves it out.",
            also=[partial(_left_out, reading=_all_zeroed)],
        ),
        Mistake(
            "another_token",
            partial(_left_out, reading=_token_zeroed),
            "You put zeros or a mean where the token was, and its place is still there: a key to be found and "
            "a value to be read. That asks what another token would do. Mask the position.",
            also=[partial(_left_out, reading=_mean_in_its_place)],
        ),
        Mistake(
            "cut_out",
            partial(_left_out, reading=_cut_out),
            "You cut the token out and close the gap, so every later token gets another place. Two things have "
            "changed then, and you cannot tell which one made the difference. Mask it, and leave the others.",
        ),
        Mistake(
            "not_put_back",
            partial(_left_out, reading=_masked_so_far),
            "The tokens before are still masked when the next one is left out. One at a time: start from the whole "
            "input again, with a mask made inside the loop.",
            also=[partial(_left_out, reading=_masked_so_far_or_nan)],
        ),
        Mistake(
            "wrong_sign",
            partial(_left_out, compare=_rise),
            "The sign is the other way round, or lost. A token that helped is missed: without it the word gets less "
            "likely. So take the log-probability with it, and subtract the one without it.",
            also=[partial(_left_out, compare=_change)],
        ),
        Mistake(
            "other_measure",
            partial(_left_out, measure=_probability),
            "You compare something else than log-probabilities. A probability that falls from .02 to .01 has halved, "
            "and so has one from .6 to .3. A logit alone says nothing: all words may move together.",
            also=[partial(_left_out, measure=_logit)],
        ),
        Mistake(
            "nothing_compared",
            partial(_left_out, compare=_without_alone),
            "This is no difference between with and without. Work out the log-probability with all tokens once, and "
            "once more without each of them.",
            also=[_weights, partial(_left_out, reading=_alone)],
        ),
    ],
    laws=[
        Law(
            "the order in which the tokens are listed with their places does not matter",
            lambda out, query, tokens, places, w_read, word: torch.allclose(
                out.flip(0),
                leave_one_out(query, tokens.flip(0), places.flip(0), w_read, word),
                atol=1e-4,
            ),
        ),
    ],
)
