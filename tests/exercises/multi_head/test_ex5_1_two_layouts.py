import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.judging import judge
from minattn.exercises.multi_head.ex5_1_two_layouts import EXERCISE, HEADS, PARTS, split
from minattn.multihead import MultiHeadAttention, merge_heads, split_heads

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def by_loop(fused, n_heads, layout):
    batch, seq, width = fused.shape
    d_head = width // 3 // n_heads
    out = [torch.zeros(batch, n_heads, seq, d_head) for _ in range(3)]
    for part in range(3):
        for h in range(n_heads):
            block = part * n_heads + h if layout == PARTS else h * 3 + part
            out[part][:, h] = fused[..., block * d_head : (block + 1) * d_head]
    return out


def by_numpy(fused, n_heads, layout):
    batch, seq, _ = fused.shape
    sizes = (3, n_heads) if layout == PARTS else (n_heads, 3)
    cut = fused.numpy().reshape(batch, seq, *sizes, -1)
    cut = np.moveaxis(cut, 2 if layout == PARTS else 3, 0)
    return tuple(np.swapaxes(part, 1, 2) for part in cut)


def by_einops_of_torch(fused, n_heads, layout):
    sizes = (3, n_heads, -1) if layout == PARTS else (n_heads, 3, -1)
    letters = "bsphd->pbhsd" if layout == PARTS else "bshpd->pbhsd"
    return tuple(torch.einsum(letters, fused.unflatten(-1, sizes)))


def columns_put_in_order(fused, n_heads, layout):
    """Turn one layout into the other, and then go one way."""
    if layout == HEADS:
        order = torch.arange(fused.shape[-1]).view(n_heads, 3, -1).transpose(0, 1).flatten()
        fused = fused[..., order]
    q, k, v = fused.chunk(3, dim=-1)
    return [torch.stack(x.chunk(n_heads, dim=-1), dim=1) for x in (q, k, v)]


def heads_of_three(fused, n_heads, layout):
    if layout == PARTS:
        return tuple(split_heads(x, n_heads) for x in fused.chunk(3, -1))
    return split_heads(fused, n_heads).chunk(3, dim=-1)


OTHER_WAYS = [by_loop, by_numpy, by_einops_of_torch, columns_put_in_order, heads_of_three]


# Wrong ways, written as a learner writes them.


def cut_to_shape(fused, n_heads, layout):
    q, k, v = fused.chunk(3, dim=-1)
    return tuple(x.view(len(x), n_heads, x.shape[1], -1) for x in map(torch.clone, (q, k, v)))


def viewed(fused, n_heads, layout):
    return tuple(fused.view(3, fused.size(0), n_heads, fused.size(1), -1))


def always(sizes, axis):
    def answer(fused, n_heads, layout):
        cut = fused.unflatten(-1, [n_heads if size == "heads" else size for size in sizes])
        return tuple(part.transpose(1, 2) for part in cut.unbind(axis))

    return answer


def other_way_round(fused, n_heads, layout):
    return heads_of_three(fused, n_heads, HEADS if layout == PARTS else PARTS)


def d_head_before_heads(fused, n_heads, layout):
    """Name the axes in the wrong order where the parts come first."""
    if layout == HEADS:
        return heads_of_three(fused, n_heads, layout)
    return tuple(fused.unflatten(-1, (3, -1, n_heads)).permute(2, 0, 4, 1, 3))


def stacked_heads(fused, n_heads, layout):
    return tuple(torch.stack(x.unbind(1)) for x in heads_of_three(fused, n_heads, layout))


NEAR_MISSES = [
    ("bare_reshape", viewed),
    ("heads_by_bare_view", cut_to_shape),
    ("one_layout_for_both", always((3, "heads", -1), 2)),
    ("one_layout_for_both", always(("heads", 3, -1), 3)),
    ("layouts_exchanged", other_way_round),
    ("heads_before_the_batch", stacked_heads),
    (
        "heads_behind_the_tokens",
        lambda f, n, layout: [x.transpose(1, 2) for x in heads_of_three(f, n, layout)],
    ),
]


# What is said, and what the checker is tried on.


def test_an_error_in_one_of_the_layouts_is_named():
    verdict = judge(EXERCISE, d_head_before_heads)
    assert verdict.mistake == "heads_take_turns"


@pytest.mark.parametrize("layout", [PARTS, HEADS])
def test_both_layouts_make_the_layer_of_torch(layout):
    """A layer whose fused weights are stored in either layout gives what torch's own does."""
    theirs = nn.MultiheadAttention(6, 3, bias=False, batch_first=True).double()
    weight = theirs.in_proj_weight
    if layout == HEADS:
        weight = weight.unflatten(0, (3, 3, 2)).transpose(0, 1).flatten(0, 2)
    x = torch.randn(2, 5, 6).double()
    found = F.scaled_dot_product_attention(*split(x @ weight.T, 3, layout))
    expected = MultiHeadAttention.from_torch(theirs)(x, x, x)
    torch.testing.assert_close(merge_heads(found) @ theirs.out_proj.weight.T, expected)


def test_three_parts_in_one_tensor_are_told_by_their_kind():
    verdict = judge(EXERCISE, lambda *case: torch.stack(split(*case)))
    assert verdict.message.startswith("The result is a tensor of numbers, it should be a tuple of")


def test_scrambled_tokens_break_the_law():
    verdict = judge(EXERCISE, lambda *case: tuple(x.roll(1, dims=2) for x in split(*case)))
    assert "over all heads, are its own numbers" in verdict.message
