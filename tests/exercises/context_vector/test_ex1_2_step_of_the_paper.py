import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.context_vector.ex1_2_step_of_the_paper import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def paper_numpy(x, h, w_x, w_h, b_x, b_h):
    x, h, w_x, w_h, b_x, b_h = (a.numpy().astype(float) for a in (x, h, w_x, w_h, b_x, b_h))
    d = h.shape[1]

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    blocks = [slice(i * d, (i + 1) * d) for i in range(3)]
    of_x, of_h = ([a @ w[b].T + c[b] for b in blocks] for a, w, c in ((x, w_x, b_x), (h, w_h, b_h)))
    r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
    n = np.tanh(of_x[2] + (r * h) @ w_h[blocks[2]].T + b_h[blocks[2]])
    return n + z * (h - n)


def paper_blocks(x, h, w_x, w_h, b_x, b_h):
    (w_r, w_z, w_n), (u_r, u_z, u_n) = w_x.chunk(3), w_h.chunk(3)
    b_r, b_z, b_n = (b_x + b_h).chunk(3)
    r = F.sigmoid(F.linear(x, w_r) + F.linear(h, u_r) + b_r)
    z = F.sigmoid(F.linear(x, w_z) + F.linear(h, u_z) + b_z)
    return torch.lerp(torch.tanh(F.linear(x, w_n) + F.linear(r * h, u_n) + b_n), h, z)


OTHER_WAYS = [paper_blocks, paper_numpy]


# Wrong ways, written as a learner writes them.


def paper_transposed_twice(x, h, w_x, w_h, b_x, b_h):
    u_r, u_z, u_n = w_h.chunk(3)
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    c_r, c_z, c_n = b_h.chunk(3)
    r, z = torch.sigmoid(x_r + h @ u_r.T + c_r), torch.sigmoid(x_z + h @ u_z.T + c_z)
    return (1 - z) * torch.tanh(x_n + (r * h) @ u_n + c_n) + z * h


def paper_without_c_n(x, h, w_x, w_h, b_x, b_h):
    d = h.shape[1]
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    h_r, h_z = (h @ w_h[: 2 * d].T + b_h[: 2 * d]).chunk(2, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - z) * torch.tanh(x_n + (r * h) @ w_h[2 * d :].T) + z * h


def paper_w_x_as_stored(x, h, w_x, w_h, b_x, b_h):
    w_r, *_ = w_x.chunk(3)
    return torch.sigmoid(x @ w_r + b_x[: h.shape[1]])


NEAR_MISSES = [
    ("state_not_transposed", paper_transposed_twice),
    ("no_candidate_bias", paper_without_c_n),
    ("not_transposed", paper_w_x_as_stored),
]


# What is said, and what the checker is tried on.


def test_recurrent_steps_are_told_apart_by_more_than_rounding():
    exercise = EXERCISE
    case = exercise.cases()[0]
    right = exercise.solution(*case)
    for mistake in exercise.mistakes:
        if mistake.name != "not_transposed":
            assert (mistake.answer(*case) - right).abs().max() > 0.01, mistake.name
