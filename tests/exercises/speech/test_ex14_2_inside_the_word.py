import numpy as np
import torch

from minattn.exercises.speech.ex14_2_inside_the_word import EXERCISE, share_inside
from minattn.pointing import pointing

# Other right ways: loops, NumPy, boundaries rounded up, a mask of truth.


def share_by_loops(weights, starts, ends, real, stride):
    hits, n_words = 0, 0
    for i in range(len(weights)):
        for j in range(weights.shape[1]):
            if not real[i, j]:
                continue
            frame = int(weights[i, j].argmax()) * stride
            hits += int(starts[i, j]) <= frame < int(ends[i, j])
            n_words += 1
    return hits / n_words


def share_numpy(weights, starts, ends, real, stride):
    frames = stride * np.argmax(weights.numpy(), axis=-1)
    inside = (starts.numpy() <= frames) & (frames < ends.numpy())
    return np.mean(inside[real.numpy()])


def share_with_boundaries_rounded_up(weights, starts, ends, real, stride):
    step = weights.argmax(dim=-1)
    first, behind = torch.ceil(starts / stride), torch.ceil(ends / stride)
    hit = (first <= step) & (step < behind) & real
    return hit.sum() / real.sum()


def share_by_the_package(weights, starts, ends, real, stride):
    frames = torch.arange(weights.shape[-1]) * stride
    truth = (frames >= starts.unsqueeze(-1)) & (frames < ends.unsqueeze(-1))
    return pointing(weights, truth, counted=real).inside


def share_by_ranges(weights, starts, ends, real, stride):
    frames = (weights.max(dim=-1).indices * stride)[real].tolist()
    words = zip(starts[real].tolist(), ends[real].tolist(), strict=True)
    hits = [f in range(a, b) for f, (a, b) in zip(frames, words, strict=True)]
    return sum(hits) / len(hits)


OTHER_WAYS = [
    share_by_loops,
    share_numpy,
    share_with_boundaries_rounded_up,
    share_by_the_package,
    share_by_ranges,
]


# Wrong ways, written as a learner writes them.


def share_of_steps(weights, starts, ends, real, stride):
    best = weights.argmax(-1)
    return ((best >= starts) & (best < ends))[real].float().mean()


def share_with_both_ends(weights, starts, ends, real, stride):
    frame = weights.argmax(-1) * stride
    return torch.clamp(frame, starts, ends).eq(frame)[real].float().mean()


def share_in_floored_steps(weights, starts, ends, real, stride):
    best = weights.argmax(-1)
    return ((starts // stride <= best) & (best < ends // stride))[real].float().mean().item()


def share_of_all_places(weights, starts, ends, real, stride):
    frame = weights.argmax(-1) * stride
    return ((frame >= starts) & (frame < ends)).float().mean()


def share_of_the_weights(weights, starts, ends, real, stride):
    total = 0.0
    for i, j in real.nonzero().tolist():
        for step, weight in enumerate(weights[i, j]):
            if starts[i, j] <= step * stride < ends[i, j]:
                total += float(weight)
    return total / int(real.sum())


NEAR_MISSES = [
    ("steps_against_frames", share_of_steps),
    ("end_included", share_with_both_ends),
    ("boundaries_rounded", share_in_floored_steps),
    ("padded_words_counted", share_of_all_places),
    ("mass_and_not_the_peak", share_of_the_weights),
]


# What is said, and what the checker is tried on.


def test_peaks_lie_on_first_frames_and_on_ends():
    on_start = on_end = 0
    for weights, starts, ends, real, stride in EXERCISE.cases():
        frame = weights.argmax(-1) * stride
        on_start += int((frame == starts)[real].sum())
        on_end += int((frame == ends)[real].sum())
        assert bool((ends > starts)[real].all()) and not bool(real.all())
    assert on_start > 2 and on_end > 2


def test_the_largest_weight_of_a_word_is_clearly_the_largest():
    for weights, *_ in EXERCISE.cases():
        first, second = weights.topk(2, -1).values.unbind(-1)
        assert float((first - second).min()) > 1e-3


def test_the_numbers_of_the_task():
    weights = torch.eye(8)[torch.tensor([[3, 6]])]
    words = torch.tensor([[6, 16]]), torch.tensor([[14, 24]])
    assert share_inside(weights, *words, torch.ones(1, 2).bool(), 4) == 0.5
