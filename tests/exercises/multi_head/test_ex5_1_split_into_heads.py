import numpy as np
import torch

from minattn.exercises.judging import judge
from minattn.exercises.multi_head.ex5_1_split_into_heads import EXERCISE
from minattn.multihead import split_heads

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def split_loop(x, n_heads):
    batch, seq, d_model = x.shape
    d_head = d_model // n_heads
    out = torch.zeros(batch, n_heads, seq, d_head)
    for b in range(batch):
        for h in range(n_heads):
            for t in range(seq):
                for f in range(d_head):
                    out[b, h, t, f] = x[b, t, h * d_head + f]
    return out


def split_numpy(x, n_heads):
    return np.stack(np.split(x.numpy(), n_heads, axis=2), axis=1)


def split_projecting(x, n_heads):
    """Cut by multiplying with parts of the identity."""
    eye = torch.eye(x.shape[-1]).view(n_heads, -1, x.shape[-1])
    return torch.einsum("bsd,hfd->bhsf", x, eye)


def split_through_batch(x, n_heads):
    """Do as torch's own layer does: the sequence first, batch and heads as one axis."""
    batch, seq, d_model = x.shape
    x = x.transpose(0, 1).reshape(seq, batch * n_heads, d_model // n_heads).transpose(0, 1)
    return x.reshape(batch, n_heads, seq, -1)


OTHER_WAYS = [
    split_loop,
    split_numpy,
    split_projecting,
    split_through_batch,
    lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=1),
    lambda x, n: torch.stack(x.split(x.shape[-1] // n, dim=-1)).transpose(0, 1),
    lambda x, n: x.unflatten(-1, (n, -1)).permute(0, 2, 1, 3).contiguous(),
    lambda x, n: x.transpose(1, 2).reshape(len(x), n, -1, x.shape[1]).transpose(2, 3),
]


# Wrong ways, written as a learner writes them.


def cut_where_it_stands(a, n_heads):
    return a.view(*a.shape[:2], n_heads, -1)


def cut_to_shape(a, n_heads):
    return a.view(a.shape[0], n_heads, a.shape[1], -1)


def split_after_transposing(x, n_heads):
    batch, seq, d_model = x.size()
    return x.permute(0, 2, 1).view(batch, n_heads, seq, d_model // n_heads)


NEAR_MISSES = [
    ("bare_view", cut_to_shape),
    ("bare_view", lambda x, n: cut_where_it_stands(x, n).reshape(len(x), n, len(x[0]), -1)),
    (
        "turned_before_the_cut",
        lambda x, n: x.mT.contiguous().view(len(x), n, x.shape[1], x.shape[2] // n),
    ),
    ("interleaved", lambda x, n: x.unflatten(2, (-1, n)).permute(0, 3, 1, 2)),
    ("sizes_swapped", lambda x, n: torch.stack(torch.split(x, n, dim=2), dim=1)),
    ("not_transposed", lambda x, n: x.unflatten(2, (n, -1))),
    ("not_transposed", lambda x, n: torch.stack(x.chunk(n, dim=2), dim=2)),
    ("heads_before_batch", lambda x, n: cut_where_it_stands(x, n).permute(2, 0, 1, 3)),
    ("features_before_tokens", lambda x, n: x.mT.reshape(len(x), n, x.shape[2] // n, x.shape[1])),
    ("a_list_of_parts", lambda x, n: torch.tensor_split(x, n, dim=-1)),
    ("everything_to_everyone", lambda x, n: torch.stack([x] * n, dim=1)),
    ("view_refused", split_after_transposing),
    ("joined_with_cat", lambda x, n: torch.cat(x.tensor_split(n, dim=-1), dim=1)),
]


# What is said, and what the checker is tried on.


def test_a_tensor_of_another_shape_is_said():
    verdict = judge(EXERCISE, lambda x, n: x[..., : x.shape[-1] // n])
    assert verdict.message.startswith(
        "The result has shape (1, 5, 3), it should have (1, 2, 5, 3)."
    )


def test_scrambled_tokens_break_the_law_of_the_parts():
    def rolled(x, n_heads):
        return split_heads(x, n_heads).roll(1, dims=2)

    verdict = judge(EXERCISE, rolled)
    assert "the parts of a token, side by side, are the token" in verdict.message
