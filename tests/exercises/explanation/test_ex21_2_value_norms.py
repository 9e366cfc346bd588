import numpy as np
import torch

from minattn.exercises.explanation.ex21_2_value_norms import EXERCISE, contributions
from minattn.exercises.judging import judge

# Other right ways: einsum, loops, one product of a long row, a Gram matrix.


def by_einsum(weights, value, w_out):
    n_heads, _, d_head = value.shape
    cut = w_out.reshape(n_heads, d_head, -1)
    return torch.einsum("hij,hjk,hkd->ijd", weights, value, cut).norm(dim=-1)


def by_loops(weights, value, w_out):
    n_heads, n_queries, n_keys = weights.shape
    d_head = value.shape[-1]
    out = torch.zeros(n_queries, n_keys)
    for i in range(n_queries):
        for j in range(n_keys):
            added = torch.zeros(w_out.shape[1])
            for h in range(n_heads):
                rows = w_out[h * d_head : (h + 1) * d_head]
                added += weights[h, i, j] * (value[h, j] @ rows)
            out[i, j] = added.square().sum().sqrt()
    return out


def side_by_side(weights, value, w_out):
    """Weigh the values of all heads, lay them side by side, and project once."""
    weighted = weights[..., None] * value[:, None]  # (heads, queries, keys, d_head)
    merged = weighted.movedim(0, 2).flatten(2)
    return torch.linalg.vector_norm(merged @ w_out, dim=-1)


def by_numpy(weights, value, w_out):
    rows = np.split(w_out.numpy(), len(value))
    added = sum(
        w[:, :, None] * (v @ r)[None]
        for w, v, r in zip(weights.numpy(), value.numpy(), rows, strict=True)
    )
    return np.linalg.norm(added, axis=-1)


OTHER_WAYS = [by_einsum, by_loops, side_by_side, by_numpy]


# Wrong ways, written as a learner writes them.


def before_the_projection(weights, value, w_out):
    weighted = weights[..., None] * value[:, None]
    return weighted.movedim(0, 2).flatten(2).norm(dim=-1)


def length_of_each_head(weights, value, w_out):
    out = 0
    for w, v, rows in zip(weights, value, w_out.chunk(len(value)), strict=True):
        out = out + w * (v @ rows).norm(dim=-1)
    return out


def one_weight_for_all(weights, value, w_out):
    merged = value.transpose(0, 1).flatten(1) @ w_out
    return weights.mean(0) * merged.norm(dim=-1)


def cut_wrongly(weights, value, w_out):
    weighted = weights[..., None] * value[:, None]
    return (weighted.permute(1, 2, 3, 0).flatten(2) @ w_out).norm(dim=-1)


def squared(weights, value, w_out):
    return by_einsum(weights, value, w_out) ** 2


def as_weights(weights, value, w_out):
    lengths = by_einsum(weights, value, w_out)
    return lengths / lengths.sum(dim=1, keepdim=True)


NEAR_MISSES = [
    ("weights_only", lambda weights, value, w_out: weights.mean(dim=0)),
    ("without_projection", before_the_projection),
    ("norms_of_heads", length_of_each_head),
    ("mean_weights", one_weight_for_all),
    ("wrong_rows", cut_wrongly),
    ("no_length", squared),
    ("shared_out", as_weights),
]


# What is said, and what the checker is tried on.


def test_the_vectors_add_up_to_the_output_of_attention():
    for weights, value, w_out in EXERCISE.cases():
        merged = (weights @ value).transpose(0, 1).flatten(1) @ w_out
        alone = [
            contributions(weights * (torch.arange(weights.shape[-1]) == j), value, w_out)
            for j in range(weights.shape[-1])
        ]
        lengths = contributions(weights, value, w_out)
        torch.testing.assert_close(sum(alone), lengths)
        assert bool((merged.norm(dim=-1) <= lengths.sum(-1) + 1e-4).all())


def test_the_numbers_of_the_task():
    weights = torch.tensor([[[0.9, 0.1]], [[0.9, 0.1]]])
    value = torch.tensor([[[2.0], [3.0]], [[-2.0], [4.0]]])
    w_out = torch.tensor([[3.0, 0.0], [3.0, 0.0]])
    torch.testing.assert_close(contributions(weights, value, w_out), torch.tensor([[0.0, 2.1]]))


def test_a_key_with_much_weight_may_add_little():
    found = 0
    for weights, value, w_out in EXERCISE.cases():
        by_weight = weights.mean(0).argmax(-1)
        found += int((by_weight != contributions(weights, value, w_out).argmax(-1)).sum())
    assert found >= 3


def test_axes_that_are_exchanged_are_told_by_their_shape():
    verdict = judge(EXERCISE, lambda *case: contributions(*case).T)
    assert verdict.kind == "wrong" and "has shape (3, 2), it should have (2, 3)" in verdict.message
