"""Exercise 5.2: multi-head attention."""

import math
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake, numbers
from minattn.exercises.multi_head.attending import (
    MultiHead,
    attended,
    causally,
    divided_by,
    found_by_heads,
    heads_with,
    one_table,
    over_pairs,
    scaled_scores,
)
from minattn.exercises.multi_head.cutting import (
    bare_view,
    beside_each_other,
    interleaved,
    interleaved_back,
    merged_by_view,
    merged_with_view,
    sizes_swapped,
    turned_and_reshaped,
)
from minattn.multihead import merge_heads, split_heads


def multi_head(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    """Let every token attend to all tokens of its sequence in several heads, and mix what they found."""
    return merge_heads(found_by_heads(x, w_q, w_k, w_v, w_o, n_heads)) @ w_o


def _one_head(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    return attended(x @ w_q, x @ w_k, x @ w_v) @ w_o


def _slices(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int) -> Tensor:
    """Give every head its slice of the input, and the square block of each matrix that fits it."""
    parts = split_heads(x, n_heads)

    def project(w: Tensor) -> Tensor:
        blocks = beside_each_other(w.view(n_heads, -1, len(w)), n_heads)
        return parts @ torch.stack([blocks[i, :, i] for i in range(n_heads)])

    return merge_heads(attended(project(w_q), project(w_k), project(w_v))) @ w_o


def _cut_on_the_wrong_side(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    """Take rows of w_q for a head, which fits only if there is but one."""
    q = x @ w_q[: len(w_q) // n_heads]
    return attended(q, x @ w_k, x @ w_v) @ w_o


def _transposed(*which: int) -> MultiHead:
    """Make an answer that uses some of the four matrices as nn.Linear stores them."""

    def answer(
        x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
    ) -> Tensor:
        given = enumerate((w_q, w_k, w_v, w_o))
        w_q, w_k, w_v, w_o = (w.T if i in which else w for i, w in given)
        return multi_head(x, w_q, w_k, w_v, w_o, n_heads)

    return answer


def _multi_head_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d_model: int, n_heads: int) -> Case:
        weights = [numbers(seed + i, d_model, d_model) / math.sqrt(d_model) for i in range(1, 5)]
        # Queries and keys somewhat larger, so that the weights are not all alike.
        return (
            numbers(seed, batch, seq, d_model),
            *(1.7 * w for w in weights[:2]),
            *weights[2:],
            n_heads,
        )

    return [
        case(520, 1, 5, 6, 2),
        case(525, 5, 7, 6, 3),
        case(530, 3, 7, 10, 5),
        case(535, 2, 3, 5, 1),
    ]


EXERCISE = Exercise(
    number="5.2",
    title="Multi-head attention",
    solution=multi_head,
    cases=_multi_head_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "scaled_by_d_model",
            divided_by(lambda q: math.sqrt(q.shape[1] * q.shape[3])),
            "The scores are divided by the root of d_model. A score of a head is a sum over the features "
            "of that head, and there are d_head of them. With the larger number the weights of every head "
            "are too even.",
        ),
        Mistake(
            "no_scale",
            divided_by(lambda q: 1.0),
            "The scores are not divided by anything. Every head has its own scores, sums of d_head "
            "products, and each is divided by the root of d_head, as in chapter 3.",
        ),
        Mistake(
            "no_root",
            divided_by(lambda q: q.shape[3]),
            "The scores are divided by a width, not by its root. A sum of d_head products of independent "
            "numbers grows like the root of d_head.",
            also=[divided_by(lambda q: q.shape[1] * q.shape[3])],
        ),
        Mistake(
            "scaled_by_another_size",
            divided_by(lambda q: math.sqrt(q.shape[1])),
            "The scores are divided by the root of another size: the number of heads, of tokens, or of "
            "sequences. Once the heads have an axis, q.shape[1] and q.shape[2] are no widths. The width of "
            "a head is the last axis.",
            also=[
                divided_by(lambda q: math.sqrt(q.shape[2])),
                divided_by(lambda q: math.sqrt(len(q))),
            ],
        ),
        Mistake(
            "multiplied_by_root",
            divided_by(lambda q: q.shape[3] ** -0.5),
            "The scores are multiplied by the root of d_head instead of being divided by it. If you wrote "
            "d_head ** -0.5 below a fraction line, the minus undoes the line.",
        ),
        Mistake(
            "scaled_too_late",
            heads_with(lambda q, k, v: attended(q, k, v, 1.0) / math.sqrt(k.shape[-1])),
            "The root of d_head divides the weights, not the scores. After the softmax it only makes the "
            "output smaller. In Python, a division after softmax(...) comes after the softmax.",
        ),
        Mistake(
            "softmax_over_heads",
            heads_with(partial(attended, axis=1)),
            "The softmax runs over the heads, so they compete for each pair of tokens. F.softmax does this "
            "to a tensor of four axes if no dim is given. Every head has, for every query, a weight of 1 "
            "to share out among the keys: the last axis.",
        ),
        Mistake(
            "softmax_over_queries",
            heads_with(partial(attended, axis=2)),
            "The softmax runs over the queries, the tokens that ask. In every head each of them shares out "
            "a weight of 1 among the keys: the last axis.",
        ),
        Mistake(
            "softmax_over_too_much",
            heads_with(over_pairs),
            "One softmax runs over several axes at once, or over the batch. In each head, every query has "
            "a weight of 1 of its own to share out among the keys: the last axis alone.",
            also=[heads_with(partial(attended, axis=0))],
        ),
        Mistake(
            "attention_over_heads",
            heads_with(split=beside_each_other, merge=lambda out: out.flatten(2)),
            "The heads attend to each other, at every token by itself, and no token ever sees another one. "
            "After the cut the axes are (batch, seq, heads, d_head), and a matrix product works on the "
            "last two. Heads and seq have to change places first.",
            also=[
                heads_with(split=beside_each_other, merge=turned_and_reshaped),
                heads_with(
                    partial(attended, divide_by=1.0), beside_each_other, lambda out: out.flatten(2)
                ),
            ],
        ),
        Mistake(
            "split_by_view",
            heads_with(split=bare_view),
            "The heads are cut out by a bare view or reshape to (batch, heads, seq, d_head). The shape is "
            "right, but the tokens are scrambled: exercise 5.1. If the way back is a bare view as well, "
            "that does not undo it, for the attention lies in between.",
            also=[heads_with(split=bare_view, merge=merged_by_view)],
        ),
        Mistake(
            "merged_by_view",
            heads_with(merge=merged_by_view),
            "The heads are right, but they are put together by a bare view or reshape, so a row of the "
            "result holds one head at several tokens. First the heads go back behind their token, "
            "(batch, seq, heads, d_head), then the last two axes become one.",
        ),
        Mistake(
            "heads_joined_with_tokens",
            heads_with(merge=lambda out: out.flatten(2)),
            "What meets w_o has seq * d_head features: the last two axes became one while heads and tokens "
            "stood in each other's place. They change places twice, once on the way in and once on the "
            "way back; one of the two is missing.",
            also=[heads_with(split=beside_each_other)],
        ),
        Mistake(
            "view_refused",
            heads_with(merge=merged_with_view),
            "All is right up to the last view: after a transpose the numbers no longer lie in that order, "
            "and view refuses to move them. Use reshape or flatten, or contiguous() before view.",
            also=[
                heads_with(merge=lambda out: out.transpose(1, 2).view(len(out), out.shape[2], -1))
            ],
        ),
        Mistake(
            "interleaved",
            heads_with(split=interleaved, merge=interleaved_back),
            "The heads take turns along the width, or are put together in turns. A head is a block of "
            "neighbouring features: the first d_head columns of the projection are head 0. A model trained "
            "that way would be as good, but these matrices were not.",
            also=[
                heads_with(split=interleaved),
                heads_with(merge=interleaved_back),
            ],
        ),
        Mistake(
            "sizes_swapped",
            heads_with(split=sizes_swapped),
            "The sizes are swapped: you make d_head heads of n_heads features each. When the last axis is "
            "cut, the number of heads comes first, (n_heads, d_head).",
            also=[
                heads_with(lambda q, k, v: attended(q, k, v, math.sqrt(q.shape[1])), sizes_swapped),
            ],
        ),
        Mistake(
            "cut_on_the_wrong_side",
            _cut_on_the_wrong_side,
            "A matrix is cut on the wrong side. With x @ w_q, rows belong to what comes in and columns to "
            "what comes out. A head reads all that comes in and makes its own part: it owns columns of "
            "w_q, w_k and w_v, and rows of w_o.",
            also=[
                lambda *case: found_by_heads(*case).sum(1) @ case[4][:, : len(case[4]) // case[5]]
            ],
        ),
        Mistake(
            "input_sliced",
            _slices,
            "Each head sees only a slice of the token, and the rest of it never gets there. Every head "
            "reads the whole token: x meets the whole matrix, and it is the result of the projection that "
            "is cut. A head owns columns of w_q, not rows.",
        ),
        Mistake(
            "part_meets_whole",
            lambda x, w_q, w_k, w_v, w_o, n: split_heads(x, n) @ w_q,
            "Parts of d_head features meet a matrix with d_model rows. If that is one of the first three: "
            "project the whole token, and cut what comes out. If it is w_o: put the parts of each token "
            "side by side again before.",
            also=[
                lambda x, w_q, w_k, w_v, w_o, n: beside_each_other(x, n) @ w_q,
                lambda *case: found_by_heads(*case) @ case[4],
                lambda *case: found_by_heads(*case).transpose(1, 2) @ case[4],
            ],
        ),
        Mistake(
            "one_head",
            _one_head,
            "This is one head of full width: all features make one table of scores. Adding up or averaging "
            "the scores of the heads comes to the same. Each head has a softmax of its own, and that is "
            "what makes it a head.",
            also=[
                heads_with(one_table),
                heads_with(partial(one_table, mean=True)),
                lambda x, w_q, w_k, w_v, w_o, n: attended(x @ w_q, x @ w_k, x @ w_v, 1.0) @ w_o,
            ],
        ),
        Mistake(
            "weights_averaged",
            heads_with(lambda q, k, v: scaled_scores(q, k).softmax(-1).mean(1, keepdim=True) @ v),
            "The weights of the heads are averaged, and all heads use the average. nn.MultiheadAttention "
            "shows you such an average, but it does not use it: every head applies its own weights to its "
            "own values.",
            also=[
                heads_with(lambda q, k, v: scaled_scores(q, k).softmax(-1).sum(1, keepdim=True) @ v)
            ],
        ),
        Mistake(
            "heads_added",
            heads_with(merge=lambda out: out.sum(1)),
            "The outputs of the heads are added or averaged, or one of them is taken, so d_head features "
            "are left and w_o does not fit. They are put side by side: n_heads times d_head is d_model "
            "again, and w_o decides how they are mixed.",
            also=[
                heads_with(merge=lambda out: out[:, 0]),
                heads_with(merge=lambda out: out[:, -1]),
                lambda *case: found_by_heads(*case).sum(1),
                lambda *case: found_by_heads(*case).mean(1),
            ],
        ),
        Mistake(
            "contributions_averaged",
            lambda *case: multi_head(*case) / case[5],
            "The result is n_heads times too small: you average what the heads contribute. Side by side "
            "times w_o is a sum: each head by its own rows of w_o, and all of them added.",
        ),
        Mistake(
            "heads_of_full_width",
            lambda x, w_q, w_k, w_v, w_o, n: (
                torch.cat([attended(x @ w_q, x @ w_k, x @ w_v)] * n, dim=-1) @ w_o
            ),
            "Your heads have d_model features each, so side by side they are too wide for w_o. A head has "
            "d_model / n_heads features: cut the projected queries, keys and values.",
            also=[lambda *case: case[5] * _one_head(*case)],
        ),
        Mistake(
            "no_w_o",
            lambda *case: merge_heads(found_by_heads(*case)),
            "The last projection is missing. Without w_o each feature of the result comes from one head "
            "alone; w_o lets the heads be mixed.",
        ),
        Mistake(
            "not_merged",
            found_by_heads,
            "The heads are right, but they are still apart: (batch, heads, seq, d_head). Put the parts of "
            "each token side by side, and let w_o mix them.",
            also=[lambda *case: found_by_heads(*case).transpose(1, 2)],
        ),
        Mistake(
            "causal",
            heads_with(causally),
            "You hide the tokens that come later. That mask is for a model that writes; here every token "
            "attends to all tokens of its sequence.",
        ),
        Mistake(
            "x_added",
            lambda *case: case[0] + multi_head(*case),
            "You add x to the result. A block of a Transformer does that, around this layer; here only "
            "the output of the layer itself is asked for.",
        ),
        Mistake(
            "queries_and_keys_exchanged",
            heads_with(lambda q, k, v: attended(k, q, v)),
            "Queries and keys are exchanged. In the table of scores a row belongs to the token that asks, "
            "so the queries come first: q @ k.transpose(-2, -1).",
        ),
        Mistake(
            "values_not_projected",
            lambda x, w_q, w_k, w_v, w_o, n: multi_head(x, w_q, w_k, torch.eye(len(w_v)), w_o, n),
            "The values are not projected: the heads average parts of x itself. The values are parts of "
            "x @ w_v, cut as queries and keys are.",
        ),
        Mistake(
            "softmax_twice",
            heads_with(lambda q, k, v: scaled_scores(q, k).softmax(-1).softmax(-1) @ v),
            "The softmax is taken twice. What comes out of the first one lies between 0 and 1, so the "
            "second one makes all weights nearly equal.",
        ),
        Mistake(
            "one_block_of_w_o",
            lambda *case: found_by_heads(*case).sum(1) @ case[4][: len(case[4]) // case[5]],
            "All heads use the same rows of w_o. Each has its own block of d_head rows: that is how the "
            "result can tell what came from which head.",
        ),
        Mistake(
            "weights_transposed",
            _transposed(0, 1, 2, 3),
            "A matrix is used the wrong way round. These are ready for x @ w_q, with a row for each "
            "feature that comes in. F.linear and nn.Linear keep theirs the other way round, and where "
            "both widths are equal nothing complains.",
            also=[
                _transposed(*some) for size in (1, 2, 3) for some in combinations(range(4), size)
            ],
        ),
        Mistake(
            "keys_not_turned",
            lambda x, w_q, w_k, w_v, w_o, n: split_heads(x @ w_q, n) @ split_heads(x @ w_k, n),
            "The product of queries and keys does not fit. In every head the keys have to be turned, and "
            "there only the last two axes change places: transpose(-2, -1). On four axes, .T turns all of "
            "them round.",
            also=[
                lambda x, w_q, w_k, w_v, w_o, n: (
                    split_heads(x @ w_q, n) @ split_heads(x @ w_k, n).permute(3, 2, 1, 0)
                ),
                lambda x, w_q, w_k, w_v, w_o, n: (
                    split_heads(x @ w_q, n) @ split_heads(x @ w_k, n).transpose(1, 2)
                ),
            ],
        ),
    ],
)
