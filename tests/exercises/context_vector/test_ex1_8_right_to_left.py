import torch

from minattn.exercises.context_vector.ex1_8_right_to_left import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def backward_rows(step, x, mask, h):
    out = []
    for i in range(len(x)):
        state = h[i : i + 1]
        for t in range(int(mask[i].sum()) - 1, -1, -1):
            state = step(x[i : i + 1, t], state)
        out.append(state)
    return torch.cat(out)


def backward_flipped(step, x, mask, h):
    x, keep = x.flip(1), mask.flip(1)[..., None].float()
    for t in range(x.shape[1]):
        h = keep[:, t] * step(x[:, t], h) + (1 - keep[:, t]) * h
    return h


OTHER_WAYS = [backward_rows, backward_flipped]


# Wrong ways, written as a learner writes them.


def forward_for_all(step, x, mask, h):
    for t in range(x.shape[1]):
        h = step(x[:, t], h)
    return h


NEAR_MISSES = [("left_to_right_with_padding", forward_for_all)]


# What is said, and what the checker is tried on.


def test_a_step_is_as_strict_as_a_layer_of_torch():
    def one_row_for_all(step, x, mask, h):
        return step(x[:1, 0], h)

    verdict = judge(EXERCISE, one_row_for_all)
    assert verdict.kind == "error" and "a step takes (batch, d_in)" in verdict.message
