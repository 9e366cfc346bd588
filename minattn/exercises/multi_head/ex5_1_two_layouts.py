"""Exercise 5.1: two layouts of one projection."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.multi_head.cutting import (
    Split,
    bare_view,
    beside_each_other,
    interleaved,
    numbered_tokens,
    sizes_swapped,
)
from minattn.multihead import split_heads

PARTS, HEADS = "parts first", "heads first"

Three = tuple[Tensor, ...]
Apart = Callable[[Tensor, int], Three]
Answer = Callable[[Tensor, int, str], Three]


def split(fused: Tensor, n_heads: int, layout: str) -> Three:
    """Take queries, keys and values apart, and cut each into heads."""
    return _split_by(split_heads)(fused, n_heads, layout)


def _parts(fused: Tensor, n_heads: int) -> Three:
    """Take apart what has all queries first, then all keys, then all values."""
    return fused.chunk(3, dim=-1)


def _heads(fused: Tensor, n_heads: int) -> Three:
    """Take apart what has the query, the key and the value of head 0 first; heads end up beside each other."""
    by_head = fused.view(*fused.shape[:2], n_heads, 3, -1)
    return tuple(part.flatten(-2) for part in by_head.unbind(-2))


def _split_by(cut: Split, when_parts: Apart = _parts, when_heads: Apart = _heads) -> Answer:
    """Make an answer that cuts into heads, or takes the three apart, in another way."""

    def answer(fused: Tensor, n_heads: int, layout: str) -> Three:
        apart = when_parts if layout == PARTS else when_heads
        return tuple(cut(part, n_heads) for part in apart(fused, n_heads))

    return answer


def bare_reshape(fused: Tensor, n_heads: int, layout: str) -> tuple[Tensor, ...]:
    """Give the numbers the shape that is wanted, in the order in which they lie."""
    batch, seq, width = fused.shape
    three = fused.reshape(3, batch, n_heads, seq, width // 3 // n_heads)
    return three[0], three[1], three[2]


def _reshaped_behind_the_batch(fused: Tensor, n_heads: int, layout: str) -> Three:
    batch, seq, width = fused.shape
    return fused.reshape(batch, 3, n_heads, seq, width // 3 // n_heads).unbind(1)


def _three_fastest(fused: Tensor, n_heads: int) -> Three:
    """Take every third feature, as if the three took turns."""
    return fused.view(*fused.shape[:2], -1, 3).unbind(-1)


def _layout_cases() -> list[Case]:
    sizes = [(1, 2, 4, 2), (2, 5, 6, 3), (3, 2, 10, 2), (2, 3, 7, 1), (2, 7, 5, 5)]
    return [
        (numbered_tokens(batch, seq, 3 * d_model), n_heads, layout)
        for batch, seq, d_model, n_heads in sizes
        for layout in (PARTS, HEADS)
    ]


def _all_numbers_once(out: Three, fused: Tensor, n_heads: int, layout: str) -> bool:
    """Tell whether the numbers of every token are in the three parts, at its place."""
    apart = torch.cat([torch.as_tensor(x).transpose(1, 2).flatten(-2) for x in out], -1)
    return torch.equal(apart.sort(-1).values, fused.sort(-1).values)


EXERCISE = Exercise(
    number="5.1",
    title="Two layouts of one projection",
    solution=split,
    cases=_layout_cases,
    mistakes=[
        Mistake(
            "bare_reshape",
            bare_reshape,
            "The shapes are right and the tokens are scrambled. view and reshape keep all numbers in their "
            "order and only break the lines elsewhere, so your queries are the first tokens, cut up. First "
            "cut the last axis into the axes that are in it, then move axes: transpose or permute.",
            also=[_reshaped_behind_the_batch],
        ),
        Mistake(
            "heads_by_bare_view",
            _split_by(bare_view),
            "Queries, keys and values are told apart, but the heads are cut by a bare view: the shape is "
            "right, and your head 0 holds the first tokens, cut up. Cut the last axis only, then let heads "
            "and seq change places.",
            also=[_split_by(bare_view, when_heads=_parts)],
        ),
        Mistake(
            "one_layout_for_both",
            _split_by(split_heads, when_heads=_parts),
            "One layout is treated like the other. The shapes are the same, so nothing complains, and what "
            "you take for queries is a mixture of queries, keys and values of other heads. Which index is "
            "the slow one: the part or the head?",
            also=[_split_by(split_heads, when_parts=_heads)],
        ),
        Mistake(
            "layouts_exchanged",
            _split_by(split_heads, _heads, _parts),
            'Each layout is split as the other one should be. The name says what changes slowest: "parts '
            'first" has all queries before the first key, "heads first" has all of head 0 before head 1.',
        ),
        Mistake(
            "heads_take_turns",
            _split_by(interleaved),
            "The heads take turns: head 0 gets every n_heads-th feature. A head is a block of d_head "
            "neighbours. When an axis is cut in several, the first of them is the slowest, and d_head is "
            "the fastest here: it comes last.",
            also=[
                _split_by(interleaved, when_heads=_parts),
                _split_by(split_heads, when_heads=_three_fastest),
                _split_by(split_heads, _three_fastest, _three_fastest),
            ],
        ),
        Mistake(
            "heads_behind_the_tokens",
            _split_by(beside_each_other),
            "The numbers are right, but the heads still stand at their token: (batch, seq, heads, d_head). "
            "Attention takes the last two axes for tokens and features, so here the heads of one token "
            "would attend to each other. The heads come second.",
            also=[_split_by(beside_each_other, when_heads=_parts)],
        ),
        Mistake(
            "sizes_swapped",
            _split_by(sizes_swapped),
            "Your heads have n_heads features each, and there are d_head of them. It should be n_heads heads "
            "of d_head features, with d_head = width / 3 / n_heads. (split wants to be told the width of a "
            "part, chunk the number of parts.)",
            also=[_split_by(sizes_swapped, when_heads=_parts)],
        ),
        Mistake(
            "heads_before_the_batch",
            _split_by(lambda x, n: split_heads(x, n).transpose(0, 1)),
            "The heads stand before the batch. Where batch and heads are equal in number, nothing would ever "
            "complain. stack makes its new axis the first one if no dim is given, and a permute has to name "
            "the batch first.",
            also=[_split_by(lambda x, n: split_heads(x, n).transpose(0, 1), when_heads=_parts)],
        ),
    ],
    laws=[
        Law(
            "the queries, keys and values of a token, over all heads, are its own numbers",
            _all_numbers_once,
        ),
    ],
)
