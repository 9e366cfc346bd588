"""Exercise 4.1: self-attention."""

import math
from functools import partial

import torch
from torch import Tensor

from minattn.alignment import masked_softmax
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.self_attention.scores import scaled_scores


def self_attention(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """Let every token attend to all tokens of its own sequence."""
    return _attend(x @ w_q, x @ w_k, x @ w_v)


def _attend(q: Tensor, k: Tensor, v: Tensor, divide_by: float | None = None) -> Tensor:
    return scaled_scores(q, k, divide_by).softmax(-1) @ v


def _over_axis(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, axis: int) -> Tensor:
    return scaled_scores(x @ w_q, x @ w_k).softmax(axis) @ (x @ w_v)


def _one_sequence(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    return self_attention(x.flatten(0, 1), w_q, w_k, w_v)


def _own_key(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    scores = ((x @ w_q) * (x @ w_k)).sum(-1, keepdim=True) / math.sqrt(w_k.shape[1])
    return scores.softmax(1) * (x @ w_v)


def _causal(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    triangle = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    return masked_softmax(scaled_scores(x @ w_q, x @ w_k), triangle) @ (x @ w_v)


def _self_attention_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d_model: int, d_k: int, d_v: int) -> Case:
        shapes = (batch, seq, d_model), (d_model, d_k), (d_model, d_k), (d_model, d_v)
        return tuple(numbers(seed + i, *shape) / (1 + (i > 0)) for i, shape in enumerate(shapes))

    return [case(400, 3, 2, 4, 7, 5), case(404, 2, 5, 3, 7, 4), case(408, 1, 7, 5, 2, 3)]


def _within_values(out: Tensor, x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> bool:
    v = x @ w_v
    low, high = v.amin(1, keepdim=True), v.amax(1, keepdim=True)
    return bool(((out >= low - 1e-4) & (out <= high + 1e-4)).all())


EXERCISE = Exercise(
    number="4.1",
    title="Self-attention",
    solution=self_attention,
    cases=_self_attention_cases,
    mistakes=[
        Mistake(
            "over_the_batch",
            lambda x, w_q, w_k, w_v: self_attention(x.transpose(0, 1), w_q, w_k, w_v).transpose(
                0, 1
            ),
            "Every token attends to the tokens at its own place in the other sequences. Here the batch is "
            "the first axis; torch's own layers take the first axis for the sequence, unless "
            "batch_first=True is given. A sequence alone must give what it gives in a batch.",
            also=[
                lambda x, w_q, w_k, w_v: self_attention(x.transpose(0, 1), w_q, w_k, w_v),
            ],
        ),
        Mistake(
            "rows_mixed",
            lambda x, *w: _one_sequence(x, *w).view(*x.shape[:2], -1),
            "Batch and sequence became one long axis, so tokens attend to tokens of other sequences. A "
            "linear layer does not mind, for it treats every token by itself; attention does. Keep "
            "the batch as an axis of its own.",
            also=[_one_sequence],
        ),
        Mistake(
            "all_axes_turned",
            lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k).permute(2, 1, 0),
            "On a tensor of three axes, .T turns all of them round, and the batch ends up last. Only the "
            "last two axes, sequence and width, have to change places: transpose(-2, -1).",
            also=[
                lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k).t(),
                lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k).transpose(0, 1),
                lambda x, w_q, w_k, w_v: torch.bmm(x @ w_q, (x @ w_k).permute(2, 1, 0)),
            ],
        ),
        Mistake(
            "keys_reshaped",
            lambda x, w_q, w_k, w_v: (
                ((x @ w_q) @ _reshaped(x @ w_k) / math.sqrt(w_k.shape[1])).softmax(-1) @ (x @ w_v)
            ),
            "The keys have the right shape, but they are scrambled: view and reshape keep the numbers in "
            "their order and only break the lines elsewhere. To let two axes change places, use "
            "transpose.",
        ),
        Mistake(
            "keys_not_turned",
            lambda x, w_q, w_k, w_v: (x @ w_q) @ (x @ w_k),
            "A matrix product does not fit. If it is that of queries and keys: the keys have to be turned "
            "first, transpose(-2, -1), so that every query meets every key. If it is a projection: the "
            "tokens stand on the left, x @ w_q.",
            also=[lambda x, w_q, w_k, w_v: w_q.T @ x],
        ),
        Mistake(
            "own_key_only",
            _own_key,
            "The product with * pairs each query with the key of its own token only. Every query has to "
            "meet every key, in a table of (seq, seq): that is a matrix product.",
            also=[
                lambda x, w_q, w_k, w_v: (
                    ((x @ w_q) * (x @ w_k)).sum(-1, keepdim=True).softmax(1) * (x @ w_v)
                ),
            ],
        ),
        Mistake(
            "weights_transposed",
            lambda x, w_q, w_k, w_v: x @ w_q.T,
            "The matrices have shape (d_model, d_k) here, so the token stands on the left: "
            "x @ w_q. F.linear and nn.Linear keep theirs the other way round, as (out, in).",
        ),
        Mistake(
            "no_scale",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, 1.0),
            "The scores are not divided by the root of d_k. Wide queries and keys then have large "
            "products, and the softmax gives nearly everything to one token.",
        ),
        Mistake(
            "scaled_by_d_model",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, math.sqrt(x.shape[-1])),
            "The scores are divided by the root of d_model, the width of a token. A score is a sum over "
            "the width of queries and keys, so that is the number that counts. Where the two differ, "
            "d_model is the wrong one.",
        ),
        Mistake(
            "scaled_by_another_size",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, math.sqrt(x.shape[1])),
            "The scores are divided by the root of another size: that of the batch (len), the number of "
            "tokens, or d_v. A score is a sum over the width of queries and keys, so that is the one "
            "that counts: k.shape[-1].",
            also=[
                lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, math.sqrt(len(x))),
                lambda x, w_q, w_k, w_v: _attend(
                    x @ w_q, x @ w_k, x @ w_v, math.sqrt(w_v.shape[1])
                ),
            ],
        ),
        Mistake(
            "no_root",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, w_k.shape[1]),
            "The scores are divided by d_k, not by its root. A sum of d_k products of independent numbers "
            "grows like the root of d_k, so this makes all scores too small, and the weights too even.",
        ),
        Mistake(
            "multiplied_by_root",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_v, w_k.shape[1] ** -0.5),
            "The scores are multiplied by the root of d_k instead of being divided by it. If you wrote "
            "d_k ** -0.5 below a fraction line, the minus undoes the line.",
        ),
        Mistake(
            "scaled_too_late",
            lambda x, w_q, w_k, w_v: (
                _attend(x @ w_q, x @ w_k, x @ w_v, 1.0) / math.sqrt(w_k.shape[1])
            ),
            "The root of d_k divides the weights, not the scores. After the softmax it only makes the "
            "output smaller, and the weights of a token no longer sum to 1. In Python, a division "
            "after softmax(...) comes after the softmax.",
        ),
        Mistake(
            "over_queries",
            partial(_over_axis, axis=1),
            "The softmax runs over the queries, so here the tokens that ask compete with each other. Each "
            "token that asks shares out a weight of 1 among the tokens it looks at: the last axis.",
        ),
        Mistake(
            "softmax_over_batch",
            partial(_over_axis, axis=0),
            "The softmax runs over the batch, so sequences compete with each other. F.softmax does this to "
            "a tensor of three axes if no dim is given. The keys are the last axis.",
        ),
        Mistake(
            "over_queries_and_keys",
            lambda x, w_q, w_k, w_v: (
                scaled_scores(x @ w_q, x @ w_k).flatten(1).softmax(-1).view(len(x), x.shape[1], -1)
                @ (x @ w_v)
            ),
            "All weights of a sequence sum to 1 together, so a token gets less in a longer sequence. Each "
            "token has a weight of 1 of its own to share out.",
        ),
        Mistake(
            "no_softmax",
            lambda x, w_q, w_k, w_v: scaled_scores(x @ w_q, x @ w_k) @ (x @ w_v),
            "The scores themselves mix the values, without a softmax. Scores may be negative and sum to "
            "anything, so the result is no average.",
        ),
        Mistake(
            "values_not_projected",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x),
            "The weights average the tokens as they came in. What a token hands over is its value, "
            "x @ w_v, which is not the token itself.",
        ),
        Mistake(
            "keys_averaged",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_k),
            "The weights average the keys, or the queries. Those only say what a token can be found by, and "
            "what it looks for; what it hands over is its value.",
            also=[lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_k, x @ w_q)],
        ),
        Mistake(
            "queries_are_keys",
            lambda x, w_q, w_k, w_v: _attend(x @ w_q, x @ w_q, x @ w_v),
            "Queries and keys come from the same matrix. Then i scores j exactly as j scores i, and no "
            "token can look at the one before it without being looked at in return. They come from "
            "one sequence, but by two matrices.",
            also=[lambda x, w_q, w_k, w_v: _attend(x @ w_k, x @ w_k, x @ w_v)],
        ),
        Mistake(
            "not_projected",
            lambda x, w_q, w_k, w_v: _attend(x, x, x @ w_v),
            "The scores compare the tokens themselves. Then a token mostly finds itself and those like "
            "it. Project once to ask (w_q) and once to be found (w_k).",
            also=[
                lambda x, w_q, w_k, w_v: _attend(x, x, x),
                lambda x, w_q, w_k, w_v: _attend(x, x, x, 1.0),
                lambda x, w_q, w_k, w_v: _attend(x, x, x @ w_v, math.sqrt(w_k.shape[1])),
            ],
        ),
        Mistake(
            "roles_swapped",
            lambda x, w_q, w_k, w_v: _attend(x @ w_k, x @ w_q, x @ w_v),
            "The keys ask and the queries answer: w_q and w_k have changed places, or the table of scores "
            "is turned. Training could learn it this way round too, but with these matrices it is "
            "another result. A row of scores belongs to one query.",
        ),
        Mistake(
            "weights_turned",
            lambda x, w_q, w_k, w_v: (
                scaled_scores(x @ w_q, x @ w_k).softmax(-1).transpose(1, 2) @ (x @ w_v)
            ),
            "The weights are right, but they are turned before they meet the values. Then a token collects "
            "from those that look at it, and its weights sum to anything. A row of weights belongs to the "
            "token that asks.",
        ),
        Mistake(
            "causal",
            _causal,
            "No token looks at those after it: there is a causal mask. That is what a language model "
            "needs. Here every token may look at all tokens of its sequence.",
        ),
        Mistake(
            "weights_returned",
            lambda x, w_q, w_k, w_v: scaled_scores(x @ w_q, x @ w_k).softmax(-1),
            "These are the weights, and they are right. The output is the average of the values that they "
            "make.",
        ),
    ],
    laws=[
        Law("an output lies between the values of its own sequence", _within_values),
    ],
)


def _reshaped(k: Tensor) -> Tensor:
    return k.reshape(k.shape[0], k.shape[2], k.shape[1])
