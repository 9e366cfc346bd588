import math

import numpy as np
import torch
from torch import nn

from minattn.exercises.judging import judge
from minattn.exercises.speech.ex14_1_mask_of_steps import EXERCISE, step_mask

# Other right ways: slices, loops, NumPy, torch's own rule for lengths, one stride of both.


def steps_sliced(lengths, n_frames, strides):
    frames = torch.arange(n_frames).unsqueeze(0) < lengths.unsqueeze(1)
    first, second = strides
    return frames[:, ::first][:, ::second]


def steps_by_loops(lengths, n_frames, strides):
    product = strides[0] * strides[1]
    rows = []
    for length in lengths.tolist():
        rows.append([centre < length for centre in range(0, n_frames, product)])
    return torch.tensor(rows)


def steps_numpy(lengths, n_frames, strides):
    real, n_steps = lengths.numpy(), n_frames
    for stride in strides:
        real = np.ceil(real / stride).astype(int)
        n_steps = math.ceil(n_steps / stride)
    return np.arange(n_steps)[None, :] < real[:, None]


def steps_by_the_formula_of_torch(lengths, n_frames, strides):
    def after(n, stride):
        return (n + 2 * 1 - 3) // stride + 1

    for stride in strides:
        lengths, n_frames = after(lengths, stride), after(n_frames, stride)
    return torch.arange(n_frames).expand(len(lengths), -1) < lengths.view(-1, 1)


def steps_by_zeros(lengths, n_frames, strides):
    total = math.prod(strides)
    mask = torch.zeros(len(lengths), (n_frames + total - 1) // total, dtype=torch.bool)
    for i, length in enumerate(lengths):
        mask[i, : (length + total - 1) // total] = True
    return mask


OTHER_WAYS = [
    steps_sliced,
    steps_by_loops,
    steps_numpy,
    steps_by_the_formula_of_torch,
    steps_by_zeros,
]


# Wrong ways, written as a learner writes them.


def steps_of_the_frames(lengths, n_frames, strides):
    return torch.arange(n_frames)[None] < lengths[:, None]


def steps_floored(lengths, n_frames, strides):
    for stride in strides:
        lengths, n_frames = lengths // stride, math.ceil(n_frames / stride)
    return torch.arange(n_frames) < lengths[:, None]


def steps_sliced_from_the_last_of_each(lengths, n_frames, strides):
    mask = torch.arange(n_frames) < lengths[:, None]
    for stride in strides:
        mask = mask[:, stride - 1 :: stride]
    return mask


def steps_sliced_once(lengths, n_frames, strides):
    return (torch.arange(n_frames) < lengths[:, None])[:, :: strides[0]]


def steps_up_to_and_with_the_last(lengths, n_frames, strides):
    total = math.prod(strides)
    return torch.arange(0, n_frames, total) // total <= -(-lengths[:, None] // total)


def steps_of_padding(lengths, n_frames, strides):
    return ~steps_sliced(lengths, n_frames, strides)


NEAR_MISSES = [
    ("over_frames", steps_of_the_frames),
    ("rounded_down", steps_floored),
    ("rounded_down", steps_sliced_from_the_last_of_each),
    ("one_stride", steps_sliced_once),
    ("one_too_many", steps_up_to_and_with_the_last),
    ("inverted", steps_of_padding),
]


# What is said, and what the checker is tried on.


def test_the_steps_are_those_of_two_convolutions():
    """The centre of each step, followed through two layers that pass their middle frame on."""
    for lengths, n_frames, strides in EXERCISE.cases():
        layers = [nn.Conv1d(1, 1, 3, stride, padding=1, bias=False) for stride in strides]
        x = (torch.arange(n_frames) < lengths[:, None])[:, None].float()
        for layer in layers:
            layer.weight.data = torch.tensor([[[0.0, 1.0, 0.0]]])
            x = layer(x)
        assert torch.equal(x[:, 0] > 0.5, step_mask(lengths, n_frames, strides))


def test_lengths_are_whole_multiples_and_not():
    rests = {int(n) % 2 for lengths, *_ in EXERCISE.cases() for n in lengths}
    assert rests == {0, 1}
    assert any(n_frames > lengths.max() for lengths, n_frames, _ in EXERCISE.cases())


def test_the_numbers_of_the_task():
    mask = step_mask(torch.tensor([7, 4]), 9, (2, 2))
    assert mask.tolist() == [[True, True, False], [True, False, False]]


def test_numbers_for_truth_values_are_told_so():
    verdict = judge(EXERCISE, lambda *case: step_mask(*case).float())
    assert verdict.kind == "wrong" and "True and False" in verdict.message
