"""Exercise 19.3: attention pooling by a learned query."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Split = Callable[[Tensor, int], Tensor]
"""Makes (texts, heads, words, width of a head) of (texts, words, width)."""
Weigh = Callable[[Tensor, Tensor], Tensor]
"""Makes weights of scores, (texts, heads, words), and of which words are real, (texts, 1, words)."""


def pool(
    words: Tensor, real: Tensor, query: Tensor, w_key: Tensor, w_value: Tensor, n_heads: int
) -> Tensor:
    """Return one vector for each text: every head of the query asks the real words."""
    return _pool(words, real, query, w_key, w_value, n_heads)


def _masked(scores: Tensor, real: Tensor) -> Tensor:
    return scores.masked_fill(~real, -torch.inf).softmax(-1)


def _all_words(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(-1)


def _padding_only(scores: Tensor, real: Tensor) -> Tensor:
    return scores.masked_fill(real, -torch.inf).softmax(-1)


def _zero_scores(scores: Tensor, real: Tensor) -> Tensor:
    return (scores * real).softmax(-1)


def _cut_afterwards(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(-1) * real


def _over_heads(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(1) * real


def _over_heads_masked(scores: Tensor, real: Tensor) -> Tensor:
    return scores.masked_fill(~real, -torch.inf).softmax(1)


def _over_heads_and_padding(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(1)


def _mean_of_real(scores: Tensor, real: Tensor) -> Tensor:
    return _masked(torch.zeros_like(scores), real)


def _mean_of_all(scores: Tensor, real: Tensor) -> Tensor:
    return torch.zeros_like(scores).softmax(-1)


def _heads(vectors: Tensor, n_heads: int) -> Tensor:
    return vectors.reshape(*vectors.shape[:2], n_heads, -1).transpose(1, 2)


def _heads_scrambled(vectors: Tensor, n_heads: int) -> Tensor:
    return vectors.reshape(len(vectors), n_heads, vectors.shape[1], -1)


def _heads_interleaved(vectors: Tensor, n_heads: int) -> Tensor:
    return vectors.reshape(*vectors.shape[:2], -1, n_heads).permute(0, 3, 1, 2)


def _one_head(vectors: Tensor, n_heads: int) -> Tensor:
    return vectors[:, None]


def _pool(
    words: Tensor,
    real: Tensor,
    query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    *,
    split: Split = _heads,
    weigh: Weigh = _masked,
    scale: Callable[[int, int], float] = lambda width, n_heads: (width / n_heads) ** -0.5,
) -> Tensor:
    """Ask the words in some way.

    Args:
        words: a vector for each, (texts, words, width).
        real: which of them are no padding.
        query: one for all texts, (width,).
        w_key: makes keys.
        w_value: makes values.
        n_heads: how many parts of the query ask on their own.
        split: how vectors become heads.
        weigh: how scores become weights.
        scale: what scores are multiplied by, from the width and the number of heads.
    """
    keys, values = split(words @ w_key, n_heads), split(words @ w_value, n_heads)
    asked = split(query.expand(len(words), 1, -1), n_heads)  # (texts, heads, 1, width of a head)
    scores = (asked * keys).sum(-1) * scale(len(query), n_heads)
    weights = weigh(scores, real[:, None])
    return (weights[..., None] * values).sum(2).flatten(1)


def _case(seed: int, n_words: int, lengths: list[int], n_heads: int, d_head: int) -> Case:
    d = n_heads * d_head
    real = torch.arange(n_words) < torch.tensor(lengths)[:, None]
    w_key, w_value = numbers(seed + 1, 2, d, d) / d**0.5
    return (
        numbers(seed, len(lengths), n_words, d),
        real,
        numbers(seed + 2, d),
        w_key,
        w_value,
        n_heads,
    )


def _cases() -> list[Case]:
    return [
        _case(1930, 3, [2, 1], 2, 3),
        _case(1935, 5, [3, 5, 4], 3, 2),
        _case(1940, 7, [7, 2, 5, 6], 5, 3),
    ]


EXERCISE = Exercise(
    number="19.3",
    title="Attention pooling",
    solution=pool,
    cases=_cases,
    mistakes=[
        Mistake(
            "mean",
            partial(_pool, weigh=_mean_of_real),
            "This is the mean of the values: all words weigh the same, and the query has no say. A query that is "
            "learned can look for the words that matter. Weights come from its scores with the keys.",
            also=[partial(_pool, weigh=_mean_of_all)],
        ),
        Mistake(
            "padding_read",
            partial(_pool, weigh=_all_words),
            "Padding is read. `real` has no effect, so the vector of a text depends on how long its neighbours in the "
            "batch are. Give padding a score of -inf before the softmax.",
        ),
        Mistake(
            "inverted",
            partial(_pool, weigh=_padding_only),
            "True and False have changed places: words are hidden, padding is read, and a text without padding gives "
            "NaN. `real` is True where a word may be read; masked_fill fills where its mask is True.",
        ),
        Mistake(
            "zero_is_a_score",
            partial(_pool, weigh=_zero_scores),
            "Padding has a score of 0. That is a score like any other: exp(0) is 1, and padding gets a weight. What "
            "must not be read has the score -inf before the softmax.",
        ),
        Mistake(
            "cut_afterwards",
            partial(_pool, weigh=_cut_afterwards),
            "Padding gets a weight in the softmax, and then you take it away. What is left does not sum to 1, and the "
            "vector of a short text gets small. Mask the scores, before the softmax.",
        ),
        Mistake(
            "scaled_otherwise",
            partial(_pool, scale=lambda width, n_heads: width**-0.5),
            "The scores are scaled by something else. Each is a sum of as many products as a head is wide, so divide "
            "by the root of that: of d / n_heads, and not of d.",
            also=[
                partial(_pool, scale=lambda width, n_heads: 1.0),
                partial(_pool, scale=lambda width, n_heads: n_heads / width),
                partial(_pool, scale=lambda width, n_heads: (width / n_heads) ** 0.5),
            ],
        ),
        Mistake(
            "heads_mixed_up",
            partial(_pool, split=_heads_scrambled),
            "The heads are not those that were asked for. Head 0 has the first d / n_heads numbers of a vector, head 1 "
            "the next. Split the last axis in two, and only then change the order of axes.",
            also=[
                partial(_pool, split=_heads_interleaved),
                partial(_pool, split=_one_head, scale=lambda width, n_heads: width**-0.5),
                partial(_pool, split=_one_head),
            ],
        ),
        Mistake(
            "softmax_over_heads",
            partial(_pool, weigh=_over_heads),
            "The softmax runs over the heads, so the heads compete for each word. Every head asks on its own: its "
            "weights sum to 1 over the words. That is the last axis of (texts, heads, words).",
            also=[
                partial(_pool, weigh=_over_heads_masked),
                partial(_pool, weigh=_over_heads_and_padding),
            ],
        ),
    ],
    laws=[
        Law(
            "of a single real word, its value is fetched whole (the second text here)",
            lambda out, words, real, query, w_key, w_value, n_heads: (
                int(real[1].sum()) > 1 or torch.allclose(out[1], words[1, 0] @ w_value, atol=1e-4)
            ),
        ),
    ],
)
