"""Checkers of chapter 5: heads split, run, taken out, counted, masked, shared and switched off."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.core import Case, Exercise, Law, Mistake, numbers
from minattn.multihead import merge_heads, split_heads

Split = Callable[[Tensor, int], Tensor]
ALL = slice(None)

# 5.1 -------------------------------------------------------------------------------------------------


def split(x: Tensor, n_heads: int) -> Tensor:
    """Cut the vector of every token into one part for each head."""
    return split_heads(x, n_heads)


def _tokens(x: Tensor, n_heads: int) -> Tensor:
    """Return the parts beside each other at their token, (batch, seq, heads, d_head)."""
    return x.reshape(*x.shape[:2], n_heads, -1)


def _bare_view(x: Tensor, n_heads: int) -> Tensor:
    batch, seq, d_model = x.shape
    return x.reshape(batch, n_heads, seq, d_model // n_heads)


def _interleaved(x: Tensor, n_heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], -1, n_heads).permute(0, 3, 1, 2)


def _sizes_swapped(x: Tensor, n_heads: int) -> Tensor:
    """Cut into parts of width n_heads."""
    return x.reshape(*x.shape[:2], -1, n_heads).transpose(1, 2)


def _places(batch: int, seq: int, d_model: int) -> Tensor:
    """Return tokens whose numbers say where they stand: 100 batch + 10 token + feature."""
    axes = torch.meshgrid(*map(torch.arange, (batch, seq, d_model)), indexing="ij")
    return (100 * axes[0] + 10 * axes[1] + axes[2]).float()


def _split_cases() -> list[Case]:
    return [
        (_places(1, 5, 6), 2),
        (_places(2, 5, 6), 3),
        (_places(3, 7, 8), 2),
        (_places(2, 3, 7), 1),
        (_places(2, 3, 5), 5),
    ]


SPLIT = Exercise(
    number="5.1",
    title="Split into heads",
    solution=split,
    cases=_split_cases,
    mistakes=[
        Mistake(
            "bare_view",
            _bare_view,
            "The shape is right and the tokens are scrambled. view and reshape keep all numbers in their "
            "order and only break the lines elsewhere, so your head 0 holds nothing but the first tokens, "
            "cut up. First cut the last axis, then let heads and seq change places: transpose.",
            also=[lambda x, n: x.reshape(n, len(x), x.shape[1], -1).transpose(0, 1)],
        ),
        Mistake(
            "turned_before_the_cut",
            lambda x, n: x.transpose(1, 2).reshape(len(x), n, x.shape[1], -1),
            "You turned seq and features before the cut, and reshape then broke the lines elsewhere. "
            "First cut the last axis, then let heads and seq change places.",
        ),
        Mistake(
            "interleaved",
            _interleaved,
            "The heads take turns: head 0 gets every n_heads-th feature. A head is a block of neighbours: "
            "the first d_head features belong to head 0. When you cut the last axis, the slow index comes "
            "first: (n_heads, d_head).",
            also=[
                lambda x, n: torch.stack([x[..., i::n] for i in range(n)], dim=1),
            ],
        ),
        Mistake(
            "sizes_swapped",
            _sizes_swapped,
            "Your parts have n_heads features each, and there are d_head of them. It should be n_heads "
            "parts of d_head = d_model / n_heads features. (torch.split wants to be told the width of a "
            "part, chunk the number of parts.)",
            also=[
                lambda x, n: x.split(n, dim=-1),
                lambda x, n: _sizes_swapped(x, n).transpose(1, 2),
                lambda x, n: torch.stack(x.split(n, dim=-1)),
            ],
        ),
        Mistake(
            "not_transposed",
            _tokens,
            "The parts are right, but they still stand at their token: (batch, seq, heads, d_head). "
            "Attention takes the last two axes for tokens and features, so here the heads of one token "
            "would attend to each other. The heads come second.",
        ),
        Mistake(
            "heads_before_batch",
            lambda x, n: torch.stack(x.chunk(n, dim=-1)),
            "The heads stand before the batch. stack makes its new axis the first one if no dim is given. "
            "Where batch and heads are equal in number, nothing would ever complain.",
        ),
        Mistake(
            "features_before_tokens",
            lambda x, n: split_heads(x, n).transpose(2, 3),
            "The heads stand where they should, but in each of them features and tokens have changed "
            "places. The last axis holds the features of one token. Let seq and heads change places, and "
            "nothing else.",
            also=[lambda x, n: _tokens(x, n).transpose(1, 3).transpose(1, 2)],
        ),
        Mistake(
            "other_axes_turned",
            lambda x, n: _tokens(x, n).transpose(2, 3),
            "After the cut the axes are (batch, seq, heads, d_head), and you let the wrong two change "
            "places. It is seq and heads: 1 and 2, or -3 and -2.",
            also=[
                lambda x, n: _tokens(x, n).transpose(1, 3),
                lambda x, n: _tokens(x, n).permute(0, 3, 1, 2),
                lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=-1),
                lambda x, n: _tokens(x, n).permute(1, 0, 2, 3),
                lambda x, n: _tokens(x, n).permute(1, 2, 0, 3),
            ],
        ),
        Mistake(
            "sequence_cut",
            lambda x, n: x.view(len(x), n, -1, x.shape[-1]),
            "You cut the sequence, so each head sees a few tokens only. Every head works on all tokens; it "
            "is the width that is shared out, the last axis.",
            also=[
                lambda x, n: x.reshape(len(x), n, -1, x.shape[-1]),
                lambda x, n: x.view(len(x), n, x.shape[1] // n, x.shape[2]),
                lambda x, n: x.reshape(len(x), n, x.shape[1] // n, x.shape[2]),
                lambda x, n: torch.stack(x.chunk(n, dim=1), dim=1),
                lambda x, n: torch.stack(x.chunk(n, dim=1)),
                lambda x, n: x.chunk(n, dim=1),
                lambda x, n: x.unflatten(1, (n, -1)),
            ],
        ),
        Mistake(
            "joined_with_cat",
            lambda x, n: torch.cat(x.chunk(n, dim=-1), dim=1),
            "cat puts the parts one after the other along an axis that is there already, so the heads "
            "look like more tokens, or more sequences. They need an axis of their own: torch.stack makes "
            "one, and dim says where.",
            also=[lambda x, n: torch.cat(x.chunk(n, dim=-1))],
        ),
        Mistake(
            "joined_with_batch",
            lambda x, n: split_heads(x, n).flatten(0, 1),
            "Batch and heads have become one axis. For attention that works, and torch's own layer does it "
            "inside; but a mask then has to be repeated in just that order. Here they stay two axes.",
        ),
        Mistake(
            "a_list_of_parts",
            lambda x, n: x.chunk(n, dim=-1),
            "These are the right parts, one beside the other in a tuple or a list. Put them into one "
            "tensor: torch.stack makes a new axis of them, and dim says which one.",
            also=[
                lambda x, n: x.split(x.shape[-1] // n, dim=-1),
                lambda x, n: list(x.chunk(n, dim=-1)),
            ],
        ),
        Mistake(
            "everything_to_everyone",
            lambda x, n: x[:, None].expand(-1, n, -1, -1),
            "Every head gets the whole vector. Each should get a part of it, d_model / n_heads features; "
            "together they have the width of one.",
        ),
        Mistake(
            "not_whole",
            lambda x, n: x.view(*x.shape[:2], n, x.shape[-1] / n),
            "In Python 6 / 2 is 3.0, and a shape wants whole numbers. Divide by //.",
            also=[lambda x, n: x.reshape(*x.shape[:2], n, x.shape[-1] / n)],
        ),
        Mistake(
            "view_refused",
            lambda x, n: x.transpose(1, 2).view(len(x), n, x.shape[1], -1),
            "view cannot be used after a transpose, because the numbers no longer lie in that order. "
            "With reshape the error would go away and the tokens would be scrambled instead. Cut the last "
            "axis first, then transpose.",
            also=[
                lambda x, n: x.transpose(1, 2).view(len(x), n, x.shape[1], x.shape[-1] // n),
                lambda x, n: x.transpose(0, 1).view(len(x), n, x.shape[1], -1),
            ],
        ),
    ],
    laws=[
        Law(
            "the parts of a token, side by side, are the token",
            lambda out, x, n: torch.equal(torch.cat(list(torch.as_tensor(out).unbind(1)), -1), x),
        ),
    ],
)

# 5.2 -------------------------------------------------------------------------------------------------


def multi_head(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    """Let every token attend to all tokens of its sequence in several heads, and mix what they found."""
    return merge_heads(_found(x, w_q, w_k, w_v, w_o, n_heads)) @ w_o


def _attend(
    q: Tensor, k: Tensor, v: Tensor, divide_by: float | None = None, axis: int = -1
) -> Tensor:
    return _scores(q, k, divide_by).softmax(axis) @ v


def _scores(q: Tensor, k: Tensor, divide_by: float | None = None) -> Tensor:
    return q @ k.transpose(-2, -1) / (math.sqrt(k.shape[-1]) if divide_by is None else divide_by)


def _found(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int) -> Tensor:
    """Return what the heads found, (batch, heads, seq, d_head)."""
    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
    return _attend(q, k, v)


MultiHead = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int], Tensor]


def _heads(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = _attend,
    split: Split = split_heads,
    merge: Callable[[Tensor], Tensor] = merge_heads,
) -> MultiHead:
    """Make an answer that attends, splits or merges in another way."""

    def answer(
        x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
    ) -> Tensor:
        q, k, v = (split(x @ w, n_heads) for w in (w_q, w_k, w_v))
        return merge(attend(q, k, v)) @ w_o

    return answer


def _divided_by(size: Callable[[Tensor], float]) -> MultiHead:
    """Make an answer whose scores are divided by another number; it may look at q."""
    return _heads(lambda q, k, v: _attend(q, k, v, float(size(q))))


def _merged_by_view(out: Tensor) -> Tensor:
    """Take (batch, heads, seq, d_head) for (batch, seq, d_model) as it is."""
    batch, n_heads, seq, d_head = out.shape
    return out.reshape(batch, seq, n_heads * d_head)


def _interleaved_back(out: Tensor) -> Tensor:
    return out.permute(0, 2, 3, 1).flatten(2)


def _merged_with_view(out: Tensor) -> Tensor:
    batch, n_heads, seq, d_head = out.shape
    return out.transpose(1, 2).view(batch, seq, n_heads * d_head)


def _turned_and_reshaped(out: Tensor) -> Tensor:
    """Merge parts that were never turned, as if they had been."""
    return out.transpose(1, 2).reshape(len(out), out.shape[1], -1)


def _over_pairs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.flatten(2).softmax(-1).view_as(scores) @ v


def _one_table(q: Tensor, k: Tensor, v: Tensor, mean: bool = False) -> Tensor:
    """Use one table of scores, summed over the heads, in all of them."""
    scores = _scores(q, k)
    together = scores.mean(1, keepdim=True) if mean else scores.sum(1, keepdim=True)
    return together.softmax(-1) @ v


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _one_head(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    return _attend(x @ w_q, x @ w_k, x @ w_v) @ w_o


def _slices(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int) -> Tensor:
    """Give every head its slice of the input, and the square block of each matrix that fits it."""
    parts = split_heads(x, n_heads)

    def project(w: Tensor) -> Tensor:
        blocks = _tokens(w.view(n_heads, -1, len(w)), n_heads)
        return parts @ torch.stack([blocks[i, :, i] for i in range(n_heads)])

    return merge_heads(_attend(project(w_q), project(w_k), project(w_v))) @ w_o


def _cut_on_the_wrong_side(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, n_heads: int
) -> Tensor:
    """Take rows of w_q for a head, which fits only if there is but one."""
    q = x @ w_q[: len(w_q) // n_heads]
    return _attend(q, x @ w_k, x @ w_v) @ w_o


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


MULTI_HEAD = Exercise(
    number="5.2",
    title="Multi-head attention",
    solution=multi_head,
    cases=_multi_head_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "scaled_by_d_model",
            _divided_by(lambda q: math.sqrt(q.shape[1] * q.shape[3])),
            "The scores are divided by the root of d_model. A score of a head is a sum over the features "
            "of that head, and there are d_head of them. With the larger number the weights of every head "
            "are too even.",
        ),
        Mistake(
            "no_scale",
            _divided_by(lambda q: 1.0),
            "The scores are not divided by anything. Every head has its own scores, sums of d_head "
            "products, and each is divided by the root of d_head, as in chapter 3.",
        ),
        Mistake(
            "no_root",
            _divided_by(lambda q: q.shape[3]),
            "The scores are divided by a width, not by its root. A sum of d_head products of independent "
            "numbers grows like the root of d_head.",
            also=[_divided_by(lambda q: q.shape[1] * q.shape[3])],
        ),
        Mistake(
            "scaled_by_another_size",
            _divided_by(lambda q: math.sqrt(q.shape[1])),
            "The scores are divided by the root of another size: the number of heads, of tokens, or of "
            "sequences. Once the heads have an axis, q.shape[1] and q.shape[2] are no widths. The width of "
            "a head is the last axis.",
            also=[
                _divided_by(lambda q: math.sqrt(q.shape[2])),
                _divided_by(lambda q: math.sqrt(len(q))),
            ],
        ),
        Mistake(
            "multiplied_by_root",
            _divided_by(lambda q: q.shape[3] ** -0.5),
            "The scores are multiplied by the root of d_head instead of being divided by it. If you wrote "
            "d_head ** -0.5 below a fraction line, the minus undoes the line.",
        ),
        Mistake(
            "scaled_too_late",
            _heads(lambda q, k, v: _attend(q, k, v, 1.0) / math.sqrt(k.shape[-1])),
            "The root of d_head divides the weights, not the scores. After the softmax it only makes the "
            "output smaller. In Python, a division after softmax(...) comes after the softmax.",
        ),
        Mistake(
            "softmax_over_heads",
            _heads(partial(_attend, axis=1)),
            "The softmax runs over the heads, so they compete for each pair of tokens. F.softmax does this "
            "to a tensor of four axes if no dim is given. Every head has, for every query, a weight of 1 "
            "to share out among the keys: the last axis.",
        ),
        Mistake(
            "softmax_over_queries",
            _heads(partial(_attend, axis=2)),
            "The softmax runs over the queries, the tokens that ask. In every head each of them shares out "
            "a weight of 1 among the keys: the last axis.",
        ),
        Mistake(
            "softmax_over_too_much",
            _heads(_over_pairs),
            "One softmax runs over several axes at once, or over the batch. In each head, every query has "
            "a weight of 1 of its own to share out among the keys: the last axis alone.",
            also=[_heads(partial(_attend, axis=0))],
        ),
        Mistake(
            "attention_over_heads",
            _heads(split=_tokens, merge=lambda out: out.flatten(2)),
            "The heads attend to each other, at every token by itself, and no token ever sees another one. "
            "After the cut the axes are (batch, seq, heads, d_head), and a matrix product works on the "
            "last two. Heads and seq have to change places first.",
            also=[
                _heads(split=_tokens, merge=_turned_and_reshaped),
                _heads(partial(_attend, divide_by=1.0), _tokens, lambda out: out.flatten(2)),
            ],
        ),
        Mistake(
            "split_by_view",
            _heads(split=_bare_view),
            "The heads are cut out by a bare view or reshape to (batch, heads, seq, d_head). The shape is "
            "right, but the tokens are scrambled: exercise 5.1. If the way back is a bare view as well, "
            "that does not undo it, for the attention lies in between.",
            also=[_heads(split=_bare_view, merge=_merged_by_view)],
        ),
        Mistake(
            "merged_by_view",
            _heads(merge=_merged_by_view),
            "The heads are right, but they are put together by a bare view or reshape, so a row of the "
            "result holds one head at several tokens. First the heads go back behind their token, "
            "(batch, seq, heads, d_head), then the last two axes become one.",
        ),
        Mistake(
            "heads_joined_with_tokens",
            _heads(merge=lambda out: out.flatten(2)),
            "What meets w_o has seq * d_head features: the last two axes became one while heads and tokens "
            "stood in each other's place. They change places twice, once on the way in and once on the "
            "way back; one of the two is missing.",
            also=[_heads(split=_tokens)],
        ),
        Mistake(
            "view_refused",
            _heads(merge=_merged_with_view),
            "All is right up to the last view: after a transpose the numbers no longer lie in that order, "
            "and view refuses to move them. Use reshape or flatten, or contiguous() before view.",
            also=[_heads(merge=lambda out: out.transpose(1, 2).view(len(out), out.shape[2], -1))],
        ),
        Mistake(
            "interleaved",
            _heads(split=_interleaved, merge=_interleaved_back),
            "The heads take turns along the width, or are put together in turns. A head is a block of "
            "neighbouring features: the first d_head columns of the projection are head 0. A model trained "
            "that way would be as good, but these matrices were not.",
            also=[
                _heads(split=_interleaved),
                _heads(merge=_interleaved_back),
            ],
        ),
        Mistake(
            "sizes_swapped",
            _heads(split=_sizes_swapped),
            "The sizes are swapped: you make d_head heads of n_heads features each. When the last axis is "
            "cut, the number of heads comes first, (n_heads, d_head).",
            also=[
                _heads(lambda q, k, v: _attend(q, k, v, math.sqrt(q.shape[1])), _sizes_swapped),
            ],
        ),
        Mistake(
            "cut_on_the_wrong_side",
            _cut_on_the_wrong_side,
            "A matrix is cut on the wrong side. With x @ w_q, rows belong to what comes in and columns to "
            "what comes out. A head reads all that comes in and makes its own part: it owns columns of "
            "w_q, w_k and w_v, and rows of w_o.",
            also=[lambda *case: _found(*case).sum(1) @ case[4][:, : len(case[4]) // case[5]]],
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
                lambda x, w_q, w_k, w_v, w_o, n: _tokens(x, n) @ w_q,
                lambda *case: _found(*case) @ case[4],
                lambda *case: _found(*case).transpose(1, 2) @ case[4],
            ],
        ),
        Mistake(
            "one_head",
            _one_head,
            "This is one head of full width: all features make one table of scores. Adding up or averaging "
            "the scores of the heads comes to the same. Each head has a softmax of its own, and that is "
            "what makes it a head.",
            also=[
                _heads(_one_table),
                _heads(partial(_one_table, mean=True)),
                lambda x, w_q, w_k, w_v, w_o, n: _attend(x @ w_q, x @ w_k, x @ w_v, 1.0) @ w_o,
            ],
        ),
        Mistake(
            "weights_averaged",
            _heads(lambda q, k, v: _scores(q, k).softmax(-1).mean(1, keepdim=True) @ v),
            "The weights of the heads are averaged, and all heads use the average. nn.MultiheadAttention "
            "shows you such an average, but it does not use it: every head applies its own weights to its "
            "own values.",
            also=[_heads(lambda q, k, v: _scores(q, k).softmax(-1).sum(1, keepdim=True) @ v)],
        ),
        Mistake(
            "heads_added",
            _heads(merge=lambda out: out.sum(1)),
            "The outputs of the heads are added or averaged, or one of them is taken, so d_head features "
            "are left and w_o does not fit. They are put side by side: n_heads times d_head is d_model "
            "again, and w_o decides how they are mixed.",
            also=[
                _heads(merge=lambda out: out[:, 0]),
                _heads(merge=lambda out: out[:, -1]),
                lambda *case: _found(*case).sum(1),
                lambda *case: _found(*case).mean(1),
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
                torch.cat([_attend(x @ w_q, x @ w_k, x @ w_v)] * n, dim=-1) @ w_o
            ),
            "Your heads have d_model features each, so side by side they are too wide for w_o. A head has "
            "d_model / n_heads features: cut the projected queries, keys and values.",
            also=[lambda *case: case[5] * _one_head(*case)],
        ),
        Mistake(
            "no_w_o",
            lambda *case: merge_heads(_found(*case)),
            "The last projection is missing. Without w_o each feature of the result comes from one head "
            "alone; w_o lets the heads be mixed.",
        ),
        Mistake(
            "not_merged",
            _found,
            "The heads are right, but they are still apart: (batch, heads, seq, d_head). Put the parts of "
            "each token side by side, and let w_o mix them.",
            also=[lambda *case: _found(*case).transpose(1, 2)],
        ),
        Mistake(
            "causal",
            _heads(_causal),
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
            _heads(lambda q, k, v: _attend(k, q, v)),
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
            _heads(lambda q, k, v: _scores(q, k).softmax(-1).softmax(-1) @ v),
            "The softmax is taken twice. What comes out of the first one lies between 0 and 1, so the "
            "second one makes all weights nearly equal.",
        ),
        Mistake(
            "one_block_of_w_o",
            lambda *case: _found(*case).sum(1) @ case[4][: len(case[4]) // case[5]],
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

# 5.3 -------------------------------------------------------------------------------------------------


def head_weight(weight: Tensor, n_heads: int, head: int) -> Tensor:
    """Return the rows of a Linear's weight that make one head."""
    return weight.view(n_heads, -1, weight.shape[1])[head]


def _rows(
    start: Callable[[int, int, int], int], stop: Callable[[int, int, int], int]
) -> Callable[[Tensor, int, int], Tensor]:
    """Make an answer that takes other rows; both ends may look at head, d_head and n_heads."""

    def answer(weight: Tensor, n_heads: int, head: int) -> Tensor:
        sizes = head, len(weight) // n_heads, n_heads
        return weight[start(*sizes) : stop(*sizes)]

    return answer


def _columns(weight: Tensor, n_heads: int, head: int) -> Tensor:
    d_head = weight.shape[1] // n_heads
    return weight[:, head * d_head : (head + 1) * d_head]


def _columns_by_rows(weight: Tensor, n_heads: int, head: int) -> Tensor:
    d_head = len(weight) // n_heads
    return weight[:, head * d_head : (head + 1) * d_head]


def _rows_by_columns(weight: Tensor, n_heads: int, head: int) -> Tensor:
    d_head = weight.shape[1] // n_heads
    return weight[head * d_head : (head + 1) * d_head]


def _others_zeroed(weight: Tensor, n_heads: int, head: int) -> Tensor:
    own = torch.arange(len(weight)) // (len(weight) // n_heads) == head
    return weight * own[:, None]


HEAD_WEIGHT = Exercise(
    number="5.3",
    title="One head out of all",
    solution=head_weight,
    cases=lambda: [
        (_places(1, 6, 4)[0], 2, 1),
        (_places(1, 6, 5)[0], 3, 0),
        (_places(1, 8, 8)[0], 2, 1),
        (_places(1, 10, 7)[0], 5, 4),
        (_places(1, 10, 10)[0], 5, 2),
        (_places(1, 3, 2)[0], 1, 0),
    ],
    mistakes=[
        Mistake(
            "columns",
            _columns,
            "You take columns, so your head reads a slice of each token and not the whole of it. A column "
            "belongs to a feature that comes in, and every head needs them all. What comes out is cut "
            "into heads, and nn.Linear has a row for each feature that comes out.",
            also=[
                _columns_by_rows,
                lambda w, n, i: _columns(w, n, i).T,
                lambda w, n, i: _columns_by_rows(w, n, i).T,
                lambda w, n, i: _columns(head_weight(w, n, i), n, i),
                lambda w, n, i: w.chunk(n, dim=1)[i],
                lambda w, n, i: w.reshape(len(w), n, -1)[:, i],
            ],
        ),
        Mistake(
            "interleaved",
            lambda w, n, i: w[i::n],
            "You take every n_heads-th row. A head is a block of neighbours: head 0 has the first d_head "
            "rows, head 1 the next d_head. When you cut the rows by a view, the slow index comes first: "
            "(n_heads, d_head).",
        ),
        Mistake(
            "stride_of_d_head",
            lambda w, n, i: w[i :: len(w) // n],
            "You take every d_head-th row, and as many of them as there are heads. A head has d_head rows "
            "side by side.",
        ),
        Mistake(
            "transposed",
            lambda w, n, i: head_weight(w, n, i).T,
            "These are the right numbers, transposed. nn.Linear keeps its weight as (out, in), one row for "
            "each feature that comes out, and your result should be the weight of such a layer.",
        ),
        Mistake(
            "lines_broken",
            lambda w, n, i: w.reshape(n, w.shape[1], -1)[i],
            "view and reshape only break the lines elsewhere; they do not turn a table. The rows of the "
            "weight are already where they should be: cut the first axis, and leave the last one alone.",
            also=[
                lambda w, n, i: w.T.reshape(n, -1, w.shape[1])[i],
                lambda w, n, i: w.reshape(len(w) // n, w.shape[1], n)[..., i],
            ],
        ),
        Mistake(
            "n_heads_rows",
            _rows(lambda i, d, n: i * n, lambda i, d, n: (i + 1) * n),
            "You take n_heads rows, but a head has d_head of them: the rows of the weight divided by "
            "n_heads. (torch.split wants to be told the length of a part, chunk the number of parts.)",
            also=[lambda w, n, i: w.split(n)[i]],
        ),
        Mistake(
            "width_of_the_input",
            _rows_by_columns,
            "You take d_head from the number of columns. Those are the features that come in, and they are "
            "not shared out. The rows are: d_head is their number divided by n_heads.",
        ),
        Mistake(
            "from_one",
            _rows(lambda i, d, n: (i - 1) * d, lambda i, d, n: i * d),
            "This is the head before. They are counted from 0, so the rows of head 0 begin at row 0.",
            also=[lambda w, n, i: head_weight(w, n, i - 1)],
        ),
        Mistake(
            "next_head",
            lambda w, n, i: w[(i + 1) * (len(w) // n) : (i + 2) * (len(w) // n)],
            "This is the head after. They are counted from 0, so the rows of head 0 begin at row 0.",
            also=[lambda w, n, i: w.chunk(n)[i + 1]],
        ),
        Mistake(
            "start_not_multiplied",
            _rows(lambda i, d, n: i, lambda i, d, n: i + d),
            "Your slice begins at row head. Each head before this one has d_head rows, so that is what "
            "head has to be multiplied by.",
            also=[_rows(lambda i, d, n: i, lambda i, d, n: (i + 1) * d)],
        ),
        Mistake(
            "end_is_no_length",
            _rows(lambda i, d, n: i * d, lambda i, d, n: d),
            "A slice ends at a place, not after a length: weight[start:d_head] is empty if start is not "
            "smaller than d_head. The end is start + d_head.",
        ),
        Mistake(
            "no_end",
            _rows(lambda i, d, n: i * d, lambda i, d, n: n * d),
            "The slice begins where it should and never ends, so all later heads are in it too. It ends "
            "d_head rows after its start.",
        ),
        Mistake(
            "first_head",
            _rows(lambda i, d, n: 0, lambda i, d, n: d),
            "This is always head 0. The argument head says which one is wanted.",
        ),
        Mistake(
            "one_row_short",
            _rows(lambda i, d, n: i * d, lambda i, d, n: (i + 1) * d - 1),
            "The last row is missing. A slice already ends before its end, so nothing has to be taken off.",
        ),
        Mistake(
            "one_row",
            lambda w, n, i: w[i],
            "This is one row: it makes one feature. A head has d_head features, and as many rows.",
            also=[lambda w, n, i: w[i][None], lambda w, n, i: w[i * (len(w) // n)]],
        ),
        Mistake(
            "others_zeroed",
            _others_zeroed,
            "The rows are right, but the others are still there, as zeros. The other heads do not make "
            "zeros here, they are gone: a layer for one head has d_head outputs.",
        ),
        Mistake(
            "one_line",
            lambda w, n, i: w.reshape(n, -1)[i],
            "These are the right numbers in one long line. Keep the columns as an axis: "
            "(n_heads, d_head, d_in) has a table for each head.",
        ),
        Mistake(
            "not_whole",
            lambda w, n, i: w[i * (len(w) / n) : (i + 1) * (len(w) / n)],
            "In Python 6 / 2 is 3.0, and a slice wants whole numbers. Divide by //.",
        ),
        Mistake(
            "all_heads",
            lambda w, n, i: w.chunk(n),
            "These are all the heads. Return the one that was asked for.",
            also=[
                lambda w, n, i: w.view(n, -1, w.shape[1]),
                lambda w, n, i: w,
            ],
        ),
    ],
    laws=[
        Law(
            "a head reads all the features of a token, so no column is missing",
            lambda out, w, n, i: out.shape[-1] == w.shape[1],
        ),
    ],
)

# 5.4 -------------------------------------------------------------------------------------------------


def count(d_model: int, n_heads: int, n_kv_heads: int, n: int) -> tuple[int, int]:
    """Count the weights of the four projections, and the products for a sequence of n tokens."""
    weights = _weights(d_model, n_heads, n_kv_heads)
    return weights, n * weights + _tables(d_model, n_heads, n_kv_heads, n)


def _weights(d: int, h: int, g: int) -> int:
    return 2 * d * d + 2 * d * g * (d // h)


def _tables(d: int, h: int, g: int, n: int) -> int:
    return 2 * n * n * d


Count = Callable[[int, int, int, int], tuple[int, int]]


def _other_weights(*ways: Callable[[int, int, int], int]) -> list[Count]:
    """Make answers that count other weights: the products follow from them, or are right all the same."""

    def answer(weights: Callable[[int, int, int], int], follow: bool) -> Count:
        return lambda d, h, g, n: (
            weights(d, h, g),
            n * (weights if follow else _weights)(d, h, g) + _tables(d, h, g, n),
        )

    return [answer(weights, follow) for weights in ways for follow in (True, False)]


def _other_tables(*ways: Callable[[int, int, int, int], int]) -> list[Count]:
    """Make answers that count other products for the scores and the averages."""

    def answer(tables: Callable[[int, int, int, int], int]) -> Count:
        return lambda d, h, g, n: (_weights(d, h, g), n * _weights(d, h, g) + tables(d, h, g, n))

    return [answer(tables) for tables in ways]


def _one_of(name: str, message: str, answers: Sequence[Count]) -> Mistake:
    return Mistake(name, answers[0], message, answers[1:])


def _weights_off(answer: Callable[..., Any], case: Case) -> tuple[str, str]:
    """Tell the first number by itself if it is wrong, whatever the second one is."""
    d, h, g = case[:3]
    right = _weights(d, h, g)
    try:
        weights, products = map(float, answer(*case))
    except (Exception, SystemExit):  # an error, or no two numbers
        return "", ""
    if right in (weights, products):  # right, or in the place of the products
        return "", ""
    sizes = f"d_model = {d}, n_heads = {h} and n_kv_heads = {g}"
    return f"With {sizes} there are {right} weights, and you count {weights:.10g}.", ""


COUNT = Exercise(
    number="5.4",
    title="What heads cost",
    solution=count,
    # On the first case no two mistakes count the same number of weights.
    cases=lambda: [(24, 12, 3, 7), (24, 6, 2, 7), (30, 6, 3, 5), (14, 2, 2, 3), (21, 3, 1, 11)],
    locate=_weights_off,
    mistakes=[
        _one_of(
            "full_matrix_for_each_head",
            "You count a matrix of d_model x d_model for every head. A head has d_model / n_heads "
            "features, so its matrix is d_model x d_head, and those of all n_heads heads side by side are "
            "d_model x d_model. That is why more heads do not cost more.",
            _other_weights(
                lambda d, h, g: 2 * (h + g) * d * d,
                lambda d, h, g: (h + 2 * g + 1) * d * d,
                lambda d, h, g: 4 * h * d * d,
                lambda d, h, g: (3 * h + 1) * d * d,
            ),
        ),
        _one_of(
            "full_matrix_for_each_shared_head",
            "You count a matrix of d_model x d_model for each head of keys or values. Such a head is as "
            "wide as any other: d_model features come in, and d_model / n_heads come out.",
            _other_weights(lambda d, h, g: 2 * d * d + 2 * d * d * g),
        ),
        _one_of(
            "input_sliced",
            "You count matrices of d_head x d_head, as if every head read a slice of the token. It reads "
            "the whole token: d_model features come in, and d_head come out.",
            _other_weights(
                lambda d, h, g: 2 * (h + g) * (d // h) ** 2,
                lambda d, h, g: (h + 2 * g) * (d // h) ** 2 + d * d,
            ),
        ),
        _one_of(
            "w_o_forgotten",
            "One projection is missing. There are four: for queries, keys, values, and the one that mixes "
            "what the heads found.",
            _other_weights(
                lambda d, h, g: d * d + 2 * d * g * (d // h),
                lambda d, h, g: 3 * d * d,
            ),
        ),
        _one_of(
            "one_head_counted",
            "You count the matrices of one head, d_model x d_head. There are n_heads of them for the "
            "queries, and n_kv_heads each for keys and values.",
            _other_weights(
                lambda d, h, g: 3 * d * (d // h) + d * d,
                lambda d, h, g: 4 * d * (d // h),
                lambda d, h, g: 2 * d * (d // h) + 2 * d * d,
            ),
        ),
        _one_of(
            "not_shared",
            "You count keys and values for all n_heads heads. There are n_kv_heads of them, each as wide "
            "as any other head, d_model / n_heads: so the two projections have n_kv_heads times d_head "
            "outputs.",
            _other_weights(lambda d, h, g: 4 * d * d),
        ),
        _one_of(
            "everything_shared",
            "You let the heads share their queries too, or the last projection is too small. Every head "
            "asks for itself and finds something of its own; only keys and values are shared.",
            _other_weights(
                lambda d, h, g: d * d + 3 * d * g * (d // h),
                lambda d, h, g: 4 * d * g * (d // h),
            ),
        ),
        _one_of(
            "one_of_two_shared",
            "You let the heads share the keys or the values, but not both. Both have n_kv_heads heads.",
            _other_weights(lambda d, h, g: 3 * d * d + d * g * (d // h)),
        ),
        _one_of(
            "one_counted_for_both",
            "You count one projection for keys and values together. Even where heads share them, keys and "
            "values are two: what a token can be found by, and what it hands over.",
            _other_weights(lambda d, h, g: 2 * d * d + d * g * (d // h)),
        ),
        _one_of(
            "group_size",
            "You take n_heads / n_kv_heads for the number of heads with keys and values. That is how many "
            "heads share one of them; the number itself is n_kv_heads.",
            _other_weights(lambda d, h, g: 2 * d * d + 2 * d * (h // g) * (d // h)),
        ),
        _one_of(
            "biases",
            "You count the biases too. They are few, and were not asked for.",
            _other_weights(lambda d, h, g: _weights(d, h, g) + 2 * d + 2 * g * (d // h)),
        ),
        _one_of(
            "tables_of_full_width",
            "The weights are right, the products are too many: you count d_model products for each score "
            "of each head. A score of a head takes d_head products, so all n_heads scores of a pair of "
            "tokens take d_model together.",
            _other_tables(
                lambda d, h, g, n: 2 * n * n * d * h, lambda d, h, g, n: n * n * d * (h + 1)
            ),
        ),
        _one_of(
            "one_table",
            "The weights are right, but something is missing in the products. Each pair of tokens takes "
            "d_model products for its scores, and as many once more when the values are averaged.",
            _other_tables(lambda d, h, g, n: n * n * d),
        ),
        _one_of(
            "sharing_saves_products",
            "The weights are right. In the products you take the number of shared keys for the number of "
            "tables. Every head still compares its own queries with the keys: sharing saves weights, and "
            "memory, but no score.",
            _other_tables(
                lambda d, h, g, n: 2 * n * n * g * (d // h),
                lambda d, h, g, n: n * n * (d + g * (d // h)),
            ),
        ),
        _one_of(
            "causal_pairs",
            "The weights are right. In the products you count only the pairs that a causal mask leaves. "
            "There is no mask here: each of the n tokens attends to all n.",
            _other_tables(lambda d, h, g, n: n * (n + 1) * d, lambda d, h, g, n: n * (n - 1) * d),
        ),
        _one_of(
            "one_head_in_tables",
            "The weights are right. In the products you count the scores and averages of one head. There "
            "are n_heads of them, each with d_head products for a pair of tokens.",
            _other_tables(lambda d, h, g, n: 2 * n * n * (d // h)),
        ),
        _one_of(
            "not_squared",
            "The weights are right. In the products every token should meet every token: n times n pairs "
            "for the scores, and again for the averages.",
            _other_tables(lambda d, h, g, n: 2 * n * d),
        ),
        _one_of(
            "no_width",
            "The weights are right. In the products you count the scores and not what they take. A score "
            "of a head is a sum of d_head products, and adding one value to an average takes d_head of "
            "them again.",
            _other_tables(
                lambda d, h, g, n: 2 * h * n * n,
                lambda d, h, g, n: h * n * n,
                lambda d, h, g, n: 2 * n * n,
                lambda d, h, g, n: n * n,
            ),
        ),
        _one_of(
            "no_tables",
            "The weights are right. The products are those of the projections only. The scores take some "
            "too, and so do the averages of the values: both grow with n times n.",
            _other_tables(lambda d, h, g, n: 0),
        ),
        _one_of(
            "softmax_counted",
            "The weights are right. You count the softmax or the scale as well, one for each score. They "
            "were not asked for: only the matrix products.",
            _other_tables(
                lambda d, h, g, n: 2 * n * n * d + h * n * n,
                lambda d, h, g, n: 2 * n * n * d + 2 * h * n * n,
            ),
        ),
        Mistake(
            "one_token_projected",
            lambda d, h, g, n: (_weights(d, h, g), _weights(d, h, g) + _tables(d, h, g, n)),
            "The weights are right. In the products you count the projections for one token: every weight "
            "is used once for each of the n tokens.",
        ),
        Mistake(
            "projections_forgotten",
            lambda d, h, g, n: (_weights(d, h, g), _tables(d, h, g, n)),
            "The weights are right. The products are those of scores and averages only. The four "
            "projections take some too: every weight is used once for each token.",
        ),
        Mistake(
            "w_o_left_out_of_the_products",
            lambda d, h, g, n: (_weights(d, h, g), count(d, h, g, n)[1] - n * d * d),
            "The weights are right. In the products one projection is missing: mixing what the heads "
            "found, by w_o, takes d_model times d_model products for each token.",
        ),
        Mistake(
            "sharing_ignored_in_products",
            lambda d, h, g, n: (_weights(d, h, g), 4 * n * d * d + _tables(d, h, g, n)),
            "The weights are right. In the products you project keys and values for all n_heads heads. "
            "There are n_kv_heads of them, so the smaller matrices take fewer products as well.",
        ),
        Mistake(
            "sums_counted",
            lambda d, h, g, n: (_weights(d, h, g), 2 * count(d, h, g, n)[1]),
            "The weights are right, and your second number is twice what was asked for, or partly so. If "
            "you count each product and its sum, that is what programs report as FLOP. Here only products "
            "count.",
            also=_other_tables(lambda d, h, g, n: 4 * n * n * d),
        ),
        Mistake(
            "order",
            lambda d, h, g, n: count(d, h, g, n)[::-1],
            "Both numbers are right and in the wrong order. The weights come first.",
        ),
        Mistake(
            "added",
            lambda d, h, g, n: sum(count(d, h, g, n)),
            "You added the two numbers. Return both, separated by a comma.",
        ),
        Mistake(
            "weights_only",
            lambda d, h, g, n: _weights(d, h, g),
            "The weights are right. The products are asked for as well: return both, separated by a comma.",
        ),
    ],
)

# 5.5 -------------------------------------------------------------------------------------------------


def one_mask(tokens: Tensor, causal: Tensor, n_heads: int) -> Tensor:
    """Allow what both allow, in every head: (batch, keys) and (queries, keys) give four axes."""
    return _in_all_heads(_both(tokens, causal), n_heads)


def _both(tokens: Tensor, causal: Tensor) -> Tensor:
    return causal & tokens[:, None, :]


def _in_all_heads(mask: Tensor, n_heads: int) -> Tensor:
    """Repeat a mask (batch, queries, keys) for the heads."""
    return mask[:, None].expand(-1, n_heads, -1, -1)


def _spread(mask: Tensor, tokens: Tensor, causal: Tensor, n_heads: int) -> Tensor:
    """Broadcast any mask to the shape that is asked for, as it happens to fit."""
    return mask.expand(len(tokens), n_heads, *causal.shape)


def _on_rows(
    tokens: Tensor, causal: Tensor, n_heads: int, four_axes: bool, expand: bool, columns: bool
) -> Tensor:
    """Apply padding to the queries, and perhaps to the keys as well."""
    rows = tokens[:, None, :, None] if four_axes else tokens[:, :, None]
    mask = causal & rows
    if columns:
        mask = mask & (tokens[:, None, None] if four_axes else tokens[:, None])
    if not expand:
        return mask
    return mask.expand(-1, n_heads, -1, -1) if four_axes else _in_all_heads(mask, n_heads)


def _mask_cases() -> list[Case]:
    t, f = True, False

    def ahead(queries: int, keys: int) -> Tensor:
        return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)

    return [
        (torch.tensor([[t, t, t], [f, t, t]]), ahead(2, 3), 2),
        (torch.tensor([[t, t, t, f, f], [f, t, t, t, t]]), ahead(5, 5), 3),
        (
            torch.tensor([[t, t, t, t, t, f, f], [f, f, f, t, t, t, t], [t, t, t, t, t, t, t]]),
            ahead(3, 7),
            3,
        ),
        (torch.tensor([[f, t, t, t, t], [t, t, t, t, f], [t, t, f, f, f]]), ahead(2, 5), 2),
        (torch.tensor([[f, f, t, t]]), ahead(3, 4), 5),
    ]


MASK = Exercise(
    number="5.5",
    title="One mask for all heads",
    solution=one_mask,
    cases=_mask_cases,
    mistakes=[
        Mistake(
            "batch_taken_for_heads",
            lambda t, c, h: _spread(_both(t, c), t, c, h),
            "The sequences are taken for heads. Shapes are matched from the last axis on, so the batch of "
            "(batch, queries, keys) lands on the heads. If both are equal in number there is no "
            "error: head 0 gets the mask of sequence 0, in every sequence. Give the heads an axis first.",
            also=[
                lambda t, c, h: _both(t, c).expand(len(t), h, -1, -1),
                lambda t, c, h: _spread(_both(t, c)[None], t, c, h),
                lambda t, c, h: _both(t, c)[None].expand(len(t), -1, -1, -1),
                lambda t, c, h: _both(t, c)[None].repeat(len(t), 1, 1, 1),
                lambda t, c, h: _both(t, c)[None],
                lambda t, c, h: _both(t, c)[None].expand(len(t), h, -1, -1),
                lambda t, c, h: _both(t, c)[None].repeat(1, h, 1, 1),
                lambda t, c, h: torch.broadcast_to(_both(t, c), (len(t), h, *c.shape)),
                lambda t, c, h: _both(t, c) & torch.ones(len(t), h, *c.shape).bool(),
                lambda t, c, h: torch.ones(len(t), h, *c.shape).bool() & _both(t, c),
                lambda t, c, h: c.expand(len(t), h, -1, -1) & t[:, None],
                lambda t, c, h: t[:, None] & c.expand(len(t), h, -1, -1),
            ],
        ),
        Mistake(
            "minus_one_for_a_new_axis",
            lambda t, c, h: t[:, None, None].expand(-1, h, -1, -1) & c.expand(-1, h, -1, -1),
            "expand takes -1 only for an axis that is there. causal has two axes: name the size of the "
            "batch, or put axes of length 1 before it first. A mask (batch, queries, keys) has three: "
            "give it one for the heads, behind the batch.",
            also=[
                lambda t, c, h: _both(t, c).expand(-1, h, -1, -1),
                lambda t, c, h: _both(t, c).expand(-1, h, *c.shape),
                lambda t, c, h: c.expand(len(t), -1, -1, -1),
            ],
        ),
        Mistake(
            "heads_before_batch",
            lambda t, c, h: _both(t, c).repeat(h, 1, 1, 1),
            "The heads stand before the batch: every head has a whole batch of masks, where every sequence "
            "should have a mask for each head. repeat and stack put a new axis in front. If batch and "
            "heads are equal in number, nothing complains.",
        ),
        Mistake(
            "repeated_as_a_whole",
            lambda t, c, h: _both(t, c).repeat(h, 1, 1).view(len(t), h, *c.shape),
            "You repeat the whole batch, n_heads times, and then break it up by view: sequence 0 gets the "
            "masks of several sequences. All heads of sequence 0 come first, then those of sequence 1: "
            "repeat_interleave, or an axis of its own from the start.",
            also=[
                lambda t, c, h: _both(t, c).repeat(h, 1, 1),
                lambda t, c, h: _both(t, c)[:, None].repeat(h, 1, 1, 1),
            ],
        ),
        Mistake(
            "batch_and_heads_joined",
            lambda t, c, h: _both(t, c).repeat_interleave(h, dim=0),
            "Batch and heads have become one axis. nn.MultiheadAttention wants a mask in that shape, in "
            "that order (and with True for what is forbidden). Here they are two axes.",
        ),
        Mistake(
            "one_head_only",
            lambda t, c, h: _both(t, c)[:, None],
            "These are the right values with a heads axis of length 1. Scores of any number of heads could "
            "use that as it is, by broadcasting. Here every head is to be written out: expand makes "
            "n_heads of one, without copying.",
        ),
        Mistake(
            "no_heads",
            lambda t, c, h: _both(t, c),
            "There is no axis for the heads. Scores have four axes, and torch would match your first one, "
            "the batch, with their heads. The order is (batch, heads, queries, keys).",
        ),
        Mistake(
            "heads_at_another_place",
            lambda t, c, h: _both(t, c)[:, :, None].expand(-1, -1, h, -1),
            "The heads stand behind the queries, or last. The order of the axes is that of the scores: "
            "(batch, heads, queries, keys).",
            also=[lambda t, c, h: _both(t, c)[..., None].expand(-1, -1, -1, h)],
        ),
        Mistake(
            "padding_on_rows",
            lambda t, c, h: t[:, :, None] & t[:, None] & c,
            "The padding is applied to the queries. tokens says something about keys, what may be looked "
            "at, and those are the last axis. If there are as many queries as keys, this goes through "
            "without an error.",
            also=[
                *(
                    partial(_on_rows, four_axes=four, expand=expand, columns=columns)
                    for four in (True, False)
                    for expand in (True, False)
                    for columns in (True, False)
                ),
                lambda t, c, h: t[:, None, :, None] & c,
                lambda t, c, h: t[:, :, None] & c,
                lambda t, c, h: _in_all_heads(c & t[:, None] & t[:, :, None], h),
                lambda t, c, h: _in_all_heads(c & (t[:, :, None] & t[:, None]), h),
            ],
        ),
        Mistake(
            "no_new_axis",
            lambda t, c, h: c & t,
            "tokens meets causal as it is: (batch, keys) meets (queries, keys), so each sequence is taken "
            "for a query. Where the two are equal in number there is no error. Every sequence needs a "
            "table of its own.",
            also=[
                lambda t, c, h: t & c,
                lambda t, c, h: _spread(c & t, t, c, h),
                lambda t, c, h: _spread(t & c, t, c, h),
                lambda t, c, h: c[None, None] & t,
            ],
        ),
        Mistake(
            "inverted",
            lambda t, c, h: ~one_mask(t, c, h),
            "Everything is the wrong way round: your True marks what is forbidden. Here True means that a "
            "query may attend, as in scaled_dot_product_attention. nn.MultiheadAttention reads its masks "
            "the other way.",
            also=[lambda t, c, h: _in_all_heads(~c & ~t[:, None], h)],
        ),
        Mistake(
            "causal_inverted",
            lambda t, c, h: one_mask(t, ~c, h),
            "The padding is right, but causal is the wrong way round. It is True where a query may attend, "
            "and needs no change.",
        ),
        Mistake(
            "padding_inverted",
            lambda t, c, h: one_mask(~t, c, h),
            "causal is right, but the padding is the wrong way round: only padding may be seen. tokens is "
            "True for a token already.",
        ),
        Mistake(
            "or",
            lambda t, c, h: _in_all_heads(c | t[:, None], h),
            "Your two parts are joined by or, or added, so a key is seen if either of them allows it. "
            "Both have to allow it: &.",
            also=[lambda t, c, h: _in_all_heads(~c | t[:, None], h)],
        ),
        Mistake(
            "python_and",
            lambda t, c, h: c and t,
            "The word and wants one truth value on each side, and a tensor holds many. The operator & joins "
            "two bool tensors place by place.",
        ),
        Mistake(
            "causal_only",
            lambda t, c, h: c.expand(len(t), h, -1, -1),
            "The future is hidden, but padding may be seen: tokens has no effect.",
            also=[
                lambda t, c, h: c,
                lambda t, c, h: c[None, None],
            ],
        ),
        Mistake(
            "padding_only",
            lambda t, c, h: _spread(t[:, None, None], t, c, h),
            "Padding is hidden, but the future may be seen: causal has no effect.",
            also=[
                lambda t, c, h: t[:, None, None],
                lambda t, c, h: t[:, None, None].expand(-1, h, -1, -1),
            ],
        ),
        Mistake(
            "first_sequence_for_all",
            lambda t, c, h: (c & t[0]).expand(len(t), h, -1, -1),
            "All sequences have one mask. Heads share theirs, but each sequence has its own padding.",
            also=[
                lambda t, c, h: (c & t.all(0)).expand(len(t), h, -1, -1),
                lambda t, c, h: (c & t.any(0)).expand(len(t), h, -1, -1),
            ],
        ),
        Mistake(
            "transposed",
            lambda t, c, h: one_mask(t, c, h).transpose(-2, -1),
            "Queries and keys have changed places. The keys are the last axis, as in the scores.",
        ),
        Mistake(
            "numbers",
            lambda t, c, h: one_mask(t, c, h).float(),
            "These are the right places, but as numbers. A mask has to be bool: torch takes a mask of "
            "floats as something to add to the scores. Join bool tensors with &, or compare.",
            also=[
                lambda t, c, h: one_mask(t, c, h).long(),
                lambda t, c, h: _in_all_heads(c.float() + t[:, None].float(), h),
            ],
        ),
        Mistake(
            "bias",
            lambda t, c, h: torch.where(one_mask(t, c, h), 0.0, -math.inf),
            "This is a bias, to be added to the scores: 0 where a query may attend, minus infinity where "
            "not. It says the same, but the task asks for a bool mask.",
            also=[lambda t, c, h: torch.where(one_mask(t, c, h), 0.0, -1e9)],
        ),
    ],
    laws=[
        Law("all heads have the same mask", lambda out, t, c, h: bool((out == out[:, :1]).all())),
        Law(
            "no query sees padding",
            lambda out, t, c, h: not bool((out & ~t[:, None, None]).any()),
        ),
        Law("no query sees the future", lambda out, t, c, h: not bool((out & ~c).any())),
    ],
)

# 5.6 -------------------------------------------------------------------------------------------------


def shared(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend where neighbouring heads share one head of keys and values."""
    return _attend(q, _for_all(k, q), _for_all(v, q))


def _for_all(x: Tensor, q: Tensor) -> Tensor:
    """Give every head of q its keys, or its values."""
    return _repeated_along(x, q, axis=1)


def _in_turn(x: Tensor, q: Tensor) -> Tensor:
    return x.repeat(1, q.shape[1] // x.shape[1], 1, 1)


def _repeated_along(x: Tensor, q: Tensor, axis: int) -> Tensor:
    return x.repeat_interleave(q.shape[1] // x.shape[1], dim=axis)


def _shared_by(
    spread: Callable[[Tensor, Tensor], Tensor],
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = _attend,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Make an answer that spreads keys and values over the heads in another way."""
    return lambda q, k, v: attend(q, spread(k, q), spread(v, q))


def _flat(x: Tensor, q: Tensor) -> Tensor:
    """Repeat without saying along which axis."""
    return x.repeat_interleave(q.shape[1] // x.shape[1])


def _group(q: Tensor, k: Tensor) -> Tensor:
    """Return the queries with an axis for the groups, (batch, groups, heads in a group, ...)."""
    return q.view(len(q), k.shape[1], -1, *q.shape[2:])


def _all_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Let every head attend to the keys of all groups."""
    return _attend(q, k.flatten(1, 2)[:, None], v.flatten(1, 2)[:, None])


def _shared_cases() -> list[Case]:
    def case(seed: int, batch: int, heads: int, kv: int, queries: int, keys: int, d: int) -> Case:
        return (
            numbers(seed, batch, heads, queries, d),
            numbers(seed + 1, batch, kv, keys, d),
            numbers(seed + 2, batch, kv, keys, d),
        )

    return [
        case(560, 1, 6, 2, 2, 5, 3),
        case(563, 2, 6, 3, 4, 5, 7),
        case(566, 5, 4, 4, 2, 3, 7),
        case(569, 2, 3, 1, 5, 4, 2),
    ]


def _within_own_values(out: Tensor, q: Tensor, k: Tensor, v: Tensor) -> bool:
    values = _for_all(v, q)
    low, high = values.amin(2, keepdim=True), values.amax(2, keepdim=True)
    return bool(((out >= low - 1e-4) & (out <= high + 1e-4)).all())


SHARED = Exercise(
    number="5.6",
    title="Shared keys and values",
    solution=shared,
    cases=_shared_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "in_turn",
            _shared_by(_in_turn),
            "The heads take the keys or the values in turn: 0, 1, 0, 1 and so on. Neighbouring heads "
            "share: with six heads and two of keys and values it is 0, 0, 0, 1, 1, 1. repeat repeats the whole, "
            "repeat_interleave each element.",
            also=[
                lambda q, k, v: _attend(q, _for_all(k, q), _in_turn(v, q)),
                lambda q, k, v: _attend(q, _in_turn(k, q), _for_all(v, q)),
            ],
        ),
        Mistake(
            "not_spread",
            lambda q, k, v: _attend(q, k, v),
            "Queries and keys, or weights and values, still differ in their number of heads. torch does "
            "not guess which belong together: it broadcasts an axis of length 1 only. Repeat each head of "
            "keys and values along axis 1, or give the queries an axis for their groups.",
            also=[
                *(_shared_by(partial(_repeated_along, axis=axis)) for axis in (0, 2)),
                _shared_by(lambda x, q: x.repeat(1, 1, q.shape[1] // x.shape[1], 1)),
                lambda q, k, v: _attend(q, _for_all(k, q), v),
                lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
                lambda q, k, v: k.expand(-1, q.shape[1], -1, -1),
                lambda q, k, v: k.expand(len(q), q.shape[1], -1, -1),
                lambda q, k, v: k.expand(*q.shape[:2], *k.shape[2:]),
                lambda q, k, v: k.expand_as(q),
                lambda q, k, v: torch.einsum("bhqd,bhkd->bhqk", q, k),
            ],
        ),
        Mistake(
            "groups_without_a_partner",
            lambda q, k, v: _group(q, k) @ k.mT,
            "The queries have an axis for their groups now, and the keys have not. They need one of length "
            "1 at the same place, k[:, :, None], to be offered to every head of their group; and so do "
            "the values.",
            also=[
                lambda q, k, v: _group(q, k) @ k[:, None].mT,
                lambda q, k, v: F.scaled_dot_product_attention(_group(q, k), k, v),
            ],
        ),
        Mistake(
            "not_whole",
            lambda q, k, v: k.repeat_interleave(q.shape[1] / k.shape[1], dim=1),
            "In Python 6 / 2 is 3.0, and heads are counted in whole numbers. Divide by //.",
            also=[lambda q, k, v: k.repeat(1, q.shape[1] / k.shape[1], 1, 1)],
        ),
        Mistake(
            "wrong_number",
            _shared_by(lambda x, q: x.repeat_interleave(x.shape[1], dim=1)),
            "You repeat the keys another number of times than they are shared. There are n_heads / "
            "n_kv_heads heads in a group, so each head of keys is needed that often.",
            also=[
                _shared_by(lambda x, q: x.repeat_interleave(q.shape[1], dim=1)),
                lambda q, k, v: torch.stack(
                    [_attend(x, k[:, i // k.shape[1]], v[:, 0]) for i, x in enumerate(q.unbind(1))],
                    1,
                ),
                lambda q, k, v: k[:, torch.arange(q.shape[1]) // k.shape[1]],
            ],
        ),
        Mistake(
            "no_axis",
            lambda q, k, v: q @ _flat(k, q).transpose(-2, -1),
            "repeat_interleave without dim makes one long row of all numbers. Say along which axis: the "
            "heads are axis 1.",
            also=[
                lambda q, k, v: q @ _flat(k, q).mT,
                lambda q, k, v: F.scaled_dot_product_attention(q, _flat(k, q), _flat(v, q)),
                lambda q, k, v: F.scaled_dot_product_attention(q, _flat(k, q), v),
            ],
        ),
        Mistake(
            "keys_of_all_groups",
            _all_keys,
            "Every head attends to the keys of all groups, so each token is offered several times. A head "
            "belongs to one group, and has the keys and values of that group only.",
        ),
        Mistake(
            "one_group",
            lambda q, k, v: _attend(q, k[:, :1], v[:, :1]),
            "All heads use the same keys and values. That is right for n_kv_heads = 1 (multi-query "
            "attention). Here each group of neighbouring heads has its own.",
            also=[
                lambda q, k, v: _attend(q, k.mean(1, keepdim=True), v.mean(1, keepdim=True)),
                lambda q, k, v: _attend(q, k.sum(1, keepdim=True), v.sum(1, keepdim=True)),
            ],
        ),
        Mistake(
            "queries_joined",
            lambda q, k, v: _attend(_group(q, k).mean(2), k, v),
            "You make as few heads of queries as there are of keys, by averaging, adding or leaving some "
            "out. It goes the other way: every head keeps its own queries, and finds something of its own "
            "with the keys of its group.",
            also=[
                lambda q, k, v: _attend(_group(q, k).sum(2), k, v),
                lambda q, k, v: _attend(q[:, : k.shape[1]], k, v),
                lambda q, k, v: _attend(_group(q, k)[:, :, 0], k, v),
            ],
        ),
        Mistake(
            "groups_left",
            lambda q, k, v: _group(shared(q, k, v), k),
            "The numbers are right, but the groups are still an axis of their own. Make one axis of "
            "groups and heads again: flatten(1, 2).",
        ),
        Mistake(
            "heads_in_another_order",
            lambda q, k, v: _group(shared(q, k, v), k).transpose(1, 2).flatten(1, 2),
            "Each head has found the right thing, but in the result the heads stand in another order. "
            "Within the axis of the heads, all heads of group 0 come first, then those of group 1.",
            also=[
                lambda q, k, v: (
                    _shared_by(_in_turn)(q, k, v)
                    .view(len(q), -1, k.shape[1], *q.shape[2:])
                    .transpose(1, 2)
                    .flatten(1, 2)
                ),
            ],
        ),
        Mistake(
            "merged",
            lambda q, k, v: merge_heads(shared(q, k, v)),
            "Each head has found the right thing, and then you put the heads side by side, as in exercise "
            "5.2. Here they stay apart: (batch, n_heads, queries, d_head).",
        ),
        Mistake(
            "heads_before_batch",
            lambda q, k, v: shared(q, k, v).transpose(0, 1),
            "The heads stand before the batch. stack makes its new axis the first one if no dim is given; "
            "with dim=1 the heads come second.",
        ),
        Mistake(
            "keys_as_values",
            lambda q, k, v: shared(q, k, k),
            "The weights average the keys. A key says what can be found at a token, and the value is what "
            "is handed over.",
        ),
        Mistake(
            "no_scale",
            _shared_by(_for_all, partial(_attend, divide_by=1.0)),
            "The scores are not divided by anything. Sharing changes nothing in a score: it is a sum of "
            "d_head products, and is divided by the root of d_head.",
        ),
        Mistake(
            "scaled_by_another_size",
            lambda q, k, v: _attend(
                q, _for_all(k, q), _for_all(v, q), math.sqrt(q.shape[1] * q.shape[3])
            ),
            "The scores are divided by another number than the root of d_head: the width of all heads, or "
            "of all keys, or the number of heads. Sharing changes nothing in a score.",
            also=[
                lambda q, k, v: _attend(
                    q, _for_all(k, q), _for_all(v, q), math.sqrt(k.shape[1] * k.shape[3])
                ),
                lambda q, k, v: _attend(q, _for_all(k, q), _for_all(v, q), math.sqrt(q.shape[1])),
                lambda q, k, v: _attend(q, _for_all(k, q), _for_all(v, q), float(q.shape[3])),
            ],
        ),
        Mistake(
            "another_softmax_axis",
            _shared_by(_for_all, partial(_attend, axis=1)),
            "The softmax runs over the heads or over the queries. F.softmax takes the heads of a tensor of "
            "four axes if no dim is given. Every query of every head shares out a weight of 1 among the "
            "keys: the last axis.",
            also=[_shared_by(_for_all, partial(_attend, axis=2))],
        ),
    ],
    laws=[
        Law(
            "an output lies between the values of the group that its head belongs to",
            _within_own_values,
        ),
    ],
)

# 5.7 -------------------------------------------------------------------------------------------------


class Asking(NamedTuple):
    """What exercise 5.7 is given."""

    query: Tensor
    memory: Tensor
    w_q: Tensor
    w_k: Tensor
    w_v: Tensor
    w_o: Tensor
    n_heads: int
    head: int


def without(
    query: Tensor,
    memory: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    w_o: Tensor,
    n_heads: int,
    head: int,
) -> Tensor:
    """Let one sequence ask another in all heads but one."""
    return _all_but(Asking(query, memory, w_q, w_k, w_v, w_o, n_heads, head))


def _answer(of: Callable[[Asking], Tensor]) -> Callable[..., Tensor]:
    return lambda *case: of(Asking(*case))


def _asked(a: Asking, split: Split = split_heads) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values of all heads."""
    q, k, v = a.query @ a.w_q, a.memory @ a.w_k, a.memory @ a.w_v
    return split(q, a.n_heads), split(k, a.n_heads), split(v, a.n_heads)


def _found_in(a: Asking) -> Tensor:
    """Return what the heads found, (batch, heads, queries, d_head)."""
    return _attend(*_asked(a))


def _contributions(a: Asking) -> Tensor:
    """Return what each head adds to the output, (batch, heads, queries, d_model)."""
    return _found_in(a) @ a.w_o.view(a.n_heads, -1, a.w_o.shape[1])


def _all_heads(a: Asking) -> Tensor:
    return _contributions(a).sum(1)


def _all_but(a: Asking) -> Tensor:
    return _all_heads(a) - _contributions(a)[:, a.head]


def _zeroed(x: Tensor, *place: Any) -> Tensor:
    x = x.clone()
    x[place] = 0
    return x


def _own(a: Asking) -> slice:
    """Return the features of the head, side by side with the others."""
    d_head = len(a.w_o) // a.n_heads
    return slice(a.head * d_head, (a.head + 1) * d_head)


def _mixed(parts: Tensor, a: Asking) -> Tensor:
    return merge_heads(parts) @ a.w_o


def _uniform(a: Asking) -> Tensor:
    """Zero the queries of the head, so that it averages all values."""
    q, k, v = _asked(a)
    return _mixed(_attend(_zeroed(q, ALL, a.head), k, v), a)


def _nothing_allowed(a: Asking) -> Tensor:
    q, k, v = _asked(a)
    scores = _scores(q, k)
    scores[:, a.head] = -math.inf
    return _mixed(scores.softmax(-1) @ v, a)


def _others(a: Asking) -> Tensor:
    """Return the other heads side by side, (batch, queries, d_model - d_head)."""
    return merge_heads(_found_in(a)[:, [i for i in range(a.n_heads) if i != a.head]])


def _others_on_first_rows(a: Asking) -> Tensor:
    others = _others(a)
    return others @ a.w_o[: others.shape[-1]]


def _head_before(a: Asking) -> Tensor:
    """Count heads from one; what a slice from a negative row leaves out is nothing."""
    return _all_but(a._replace(head=a.head - 1)) if a.head else _all_heads(a)


def _one_key(a: Asking) -> Tensor:
    q, k, v = _asked(a)
    return _mixed(_attend(q, k, _zeroed(v, ALL, ALL, a.head)), a)


def _rest(w: Tensor, a: Asking) -> Tensor:
    """Return the rows of a matrix that are not those of the head."""
    return torch.cat([w[: _own(a).start], w[_own(a).stop :]])


def _by_view(a: Asking) -> Tensor:
    parts = _attend(*_asked(a, _bare_view))
    return _mixed(_zeroed(parts, ALL, a.head), a)


def _back_by_view(a: Asking) -> Tensor:
    return _merged_by_view(_zeroed(_found_in(a), ALL, a.head)) @ a.w_o


def _scaled(size: Callable[[Tensor], float]) -> Callable[..., Tensor]:
    """Make an answer whose scores are divided by another number; it may look at q."""

    def answer(*case: Any) -> Tensor:
        a = Asking(*case)
        q, k, v = _asked(a)
        return _mixed(_zeroed(_attend(q, k, v, float(size(q))), ALL, a.head), a)

    return answer


def _of_two(a: Asking, keys: Tensor, values: Tensor) -> Tensor:
    """Make keys and values of two sequences."""
    q, k, v = (split_heads(x, a.n_heads) for x in (a.query @ a.w_q, keys @ a.w_k, values @ a.w_v))
    return _mixed(_zeroed(_attend(q, k, v), ALL, a.head), a)


def _blind(*names: str) -> Callable[..., Tensor]:
    """Make an answer with all heads that zeroes the rows of some matrices."""

    def answer(a: Asking) -> Tensor:
        blind: dict[str, Any] = {name: _zeroed(getattr(a, name), _own(a)) for name in names}
        return _all_heads(a._replace(**blind))

    return _answer(answer)


def _turned(*names: str) -> Callable[..., Tensor]:
    """Make an answer that uses some matrices as nn.Linear stores them."""
    return _answer(lambda a: _all_but(a._replace(**{name: getattr(a, name).T for name in names})))


def _without_cases() -> list[Case]:
    def case(
        seed: int, batch: int, queries: int, keys: int, d_model: int, n_heads: int, head: int
    ) -> Case:
        weights = [numbers(seed + i, d_model, d_model) / math.sqrt(d_model) for i in range(2, 6)]
        return (
            numbers(seed, batch, queries, d_model),
            numbers(seed + 1, batch, keys, d_model),
            *(1.7 * w for w in weights[:2]),
            *weights[2:],
            n_heads,
            head,
        )

    return [
        case(570, 1, 5, 7, 6, 2, 1),
        case(576, 3, 5, 2, 6, 3, 0),
        case(582, 5, 7, 3, 10, 5, 3),
        case(588, 3, 4, 5, 14, 2, 0),
        case(594, 7, 5, 2, 12, 4, 3),
    ]


WITHOUT = Exercise(
    number="5.7",
    title="Without one head",
    solution=without,
    cases=_without_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "left_uniform",
            _answer(_uniform),
            "The head is still there. With zeros for its queries or its keys, or with one number for all "
            "of its scores, the softmax makes equal weights, and the head hands over the mean of all "
            "values. To hand over nothing, its values or what it found has to be zero.",
        ),
        Mistake(
            "nan",
            _answer(_nothing_allowed),
            "The result is NaN. A head that may attend to nothing has a softmax over nothing, 0 by 0. "
            "Leave its weights alone and take what it found out of the sum.",
        ),
        Mistake(
            "columns_of_w_o",
            _answer(lambda a: _zeroed(_all_heads(a), ..., _own(a))),
            "You zero columns of w_o, or features of the result. A column of w_o makes one feature of the "
            "result from all heads. What a head found comes in by its rows. Or count it like this: heads "
            "own columns of w_q, w_k and w_v, and rows of w_o.",
        ),
        Mistake(
            "rows_zeroed",
            _blind("w_v"),
            "You zero rows of w_q, w_k or w_v. A row belongs to a feature that comes in, so every head now "
            "misses a slice of each token, and the one that was meant is still there. What a head makes "
            "comes out in its columns.",
            also=[_blind("w_q"), _blind("w_k"), _blind("w_q", "w_k", "w_v")],
        ),
        Mistake(
            "only_this_head",
            _answer(lambda a: _contributions(a)[:, a.head]),
            "This is what the head contributes. You were to leave it out, and keep all others.",
        ),
        Mistake(
            "nothing_removed",
            _answer(_all_heads),
            "This is the output of all heads: the one that was to be left out is still in. If you set "
            "something to zero, did it happen to a copy?",
        ),
        Mistake(
            "neighbour_removed",
            _answer(_head_before),
            "Another head is missing than the one that was meant. They are counted from 0, so head 0 has "
            "the features from 0 on.",
            also=[
                _answer(lambda a: _all_but(a._replace(head=(a.head - 1) % a.n_heads))),
                _answer(lambda a: _all_but(a._replace(head=(a.head + 1) % a.n_heads))),
            ],
        ),
        Mistake(
            "interleaved",
            _answer(
                lambda a: (
                    _zeroed(merge_heads(_found_in(a)), ..., slice(a.head, None, a.n_heads)) @ a.w_o
                )
            ),
            "You take out every n_heads-th feature. A head is a block of neighbours: its features are "
            "head * d_head to (head + 1) * d_head.",
        ),
        Mistake(
            "one_feature",
            _answer(lambda a: _zeroed(merge_heads(_found_in(a)), ..., a.head) @ a.w_o),
            "You take out a single feature, or one of every head. A head is a block of d_head features, or "
            "one place on the axis of the heads.",
            also=[
                _answer(lambda a: _mixed(_zeroed(_found_in(a), ..., a.head), a)),
                _answer(lambda a: _zeroed(_all_heads(a), ..., a.head)),
            ],
        ),
        Mistake(
            "one_query",
            _answer(lambda a: _mixed(_zeroed(_found_in(a), ALL, ALL, a.head), a)),
            "You take out a token, in all heads. The axes are (batch, heads, queries, d_head), or keys in "
            "the place of queries.",
            also=[_answer(_one_key)],
        ),
        Mistake(
            "one_sequence",
            _answer(lambda a: _mixed(_zeroed(_found_in(a), a.head), a)),
            "You take out a sequence of the batch, in all heads, or there is none with that number. The "
            "first axis is the batch, the second one the heads.",
        ),
        Mistake(
            "others_on_first_rows",
            _answer(_others_on_first_rows),
            "The other heads have moved up, and meet rows of w_o that belong to their neighbours. Heads "
            "are told apart by their place only. Keep an empty place for the one that is missing, or take "
            "its rows out of w_o as well.",
        ),
        Mistake(
            "do_not_fit",
            _answer(lambda a: _others(a) @ a.w_o),
            "What the heads found and w_o no longer fit: one of the two has lost the head and the other "
            "has not, or columns of w_o are gone. Put zeros in its place, or take out what belongs to it on "
            "both sides: features there, rows of w_o here.",
            also=[
                _answer(lambda a: merge_heads(_found_in(a)) @ _rest(a.w_o, a)),
                _answer(lambda a: _others(a) @ _rest(a.w_o.T, a).T),
            ],
        ),
        Mistake(
            "made_up_for",
            _answer(lambda a: _all_but(a) * a.n_heads / (a.n_heads - 1)),
            "The others are made larger, as dropout would do, to make up for the missing head. What "
            "a head contributes is added; without it the sum has one term less, and the others stay as "
            "they are.",
        ),
        Mistake(
            "averaged",
            _answer(lambda a: _all_but(a) / a.n_heads),
            "The result is too small by a factor: an average over the heads. Side by side times w_o is the "
            "sum of what they contribute.",
            also=[_answer(lambda a: _all_but(a) / (a.n_heads - 1))],
        ),
        Mistake(
            "roles_swapped",
            _answer(lambda a: _all_but(a._replace(query=a.memory, memory=a.query))),
            "The memory asks and the query is asked. There should be an answer for each token of query: "
            "queries come from it, keys and values from memory.",
        ),
        Mistake(
            "memory_ignored",
            _answer(lambda a: _all_but(a._replace(memory=a.query))),
            "This is self-attention: one sequence asks itself. Queries come from query, keys and values "
            "from memory.",
            also=[_answer(lambda a: _all_but(a._replace(query=a.memory)))],
        ),
        Mistake(
            "keys_without_values",
            _answer(lambda a: _of_two(a, keys=a.query, values=a.memory)),
            "Keys and values come from two sequences, so the weights do not fit the values. Both come from "
            "memory: the key says what can be found there, the value is what is handed over.",
            also=[_answer(lambda a: _of_two(a, keys=a.memory, values=a.query))],
        ),
        Mistake(
            "scale",
            _scaled(lambda q: math.sqrt(q.shape[1] * q.shape[3])),
            "The scores are not divided by the root of d_head. A score of a head is a sum over its own "
            "d_head features, whether one sequence takes part or two.",
            also=[_scaled(lambda q: 1.0), _scaled(lambda q: q.shape[3])],
        ),
        Mistake(
            "by_view",
            _answer(_by_view),
            "The heads are split or merged by a bare view, so the tokens are scrambled: exercise 5.1. Heads "
            "and tokens have to change places, by transpose, on the way in and on the way back.",
            also=[_answer(_back_by_view)],
        ),
        Mistake(
            "view_refused",
            _answer(lambda a: _merged_with_view(_found_in(a))),
            "The last view cannot be done: after a transpose the numbers no longer lie in that order. Use "
            "reshape or flatten, or contiguous() before view.",
            also=[
                _answer(lambda a: _found_in(a).transpose(1, 2).view(*a.query.shape[:2], -1)),
            ],
        ),
        Mistake(
            "no_w_o",
            _answer(lambda a: merge_heads(_zeroed(_found_in(a), ALL, a.head))),
            "The last projection is missing: what the heads found stands side by side and is not mixed by "
            "w_o.",
            also=[_answer(_others)],
        ),
        Mistake(
            "w_o_transposed",
            _turned("w_o"),
            "A matrix is used the wrong way round. These are ready for x @ w_q and for what the heads found "
            "@ w_o, with a row for each feature that comes in. nn.Linear keeps its own as (out, in).",
            also=[_turned("w_q", "w_k", "w_v"), _turned("w_q", "w_k", "w_v", "w_o")],
        ),
    ],
)

EXERCISES = (SPLIT, MULTI_HEAD, HEAD_WEIGHT, COUNT, MASK, SHARED, WITHOUT)
"""The exercises of chapter 5."""
