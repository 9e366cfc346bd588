"""Exercise 5.1: split into heads."""

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.multi_head.cutting import (
    bare_view,
    beside_each_other,
    interleaved,
    numbered_tokens,
    sizes_swapped,
)
from minattn.multihead import split_heads


def split(x: Tensor, n_heads: int) -> Tensor:
    """Cut the vector of every token into one part for each head."""
    return split_heads(x, n_heads)


def _split_cases() -> list[Case]:
    return [
        (numbered_tokens(1, 5, 6), 2),
        (numbered_tokens(2, 5, 6), 3),
        (numbered_tokens(3, 7, 8), 2),
        (numbered_tokens(2, 3, 7), 1),
        (numbered_tokens(2, 3, 5), 5),
    ]


EXERCISE = Exercise(
    number="5.1",
    title="Split into heads",
    solution=split,
    cases=_split_cases,
    mistakes=[
        Mistake(
            "bare_view",
            bare_view,
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
            interleaved,
            "The heads take turns: head 0 gets every n_heads-th feature. A head is a block of neighbours: "
            "the first d_head features belong to head 0. When you cut the last axis, the slow index comes "
            "first: (n_heads, d_head).",
            also=[
                lambda x, n: torch.stack([x[..., i::n] for i in range(n)], dim=1),
            ],
        ),
        Mistake(
            "sizes_swapped",
            sizes_swapped,
            "Your parts have n_heads features each, and there are d_head of them. It should be n_heads "
            "parts of d_head = d_model / n_heads features. (torch.split wants to be told the width of a "
            "part, chunk the number of parts.)",
            also=[
                lambda x, n: x.split(n, dim=-1),
                lambda x, n: sizes_swapped(x, n).transpose(1, 2),
                lambda x, n: torch.stack(x.split(n, dim=-1)),
            ],
        ),
        Mistake(
            "not_transposed",
            beside_each_other,
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
            also=[lambda x, n: beside_each_other(x, n).transpose(1, 3).transpose(1, 2)],
        ),
        Mistake(
            "other_axes_turned",
            lambda x, n: beside_each_other(x, n).transpose(2, 3),
            "After the cut the axes are (batch, seq, heads, d_head), and you let the wrong two change "
            "places. It is seq and heads: 1 and 2, or -3 and -2.",
            also=[
                lambda x, n: beside_each_other(x, n).transpose(1, 3),
                lambda x, n: beside_each_other(x, n).permute(0, 3, 1, 2),
                lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=-1),
                lambda x, n: beside_each_other(x, n).permute(1, 0, 2, 3),
                lambda x, n: beside_each_other(x, n).permute(1, 2, 0, 3),
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
