"""Exercise 5.5: one mask for all heads."""

import math
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake


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


EXERCISE = Exercise(
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
