import math

import numpy as np
import torch

from minattn.exercises.decoding.ex8_4_length_penalty import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def penalty_loop(log_probs, lengths, alpha):
    scores = [
        float(p) / math.pow((5 + int(n)) / 6, alpha)
        for p, n in zip(log_probs, lengths, strict=True)
    ]
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    return torch.tensor(scores), torch.tensor(order)


def penalty_as_in_the_paper(log_probs, lengths, alpha):
    penalty = (5 + lengths) ** alpha / (5 + 1) ** alpha
    scores = log_probs / penalty
    return scores, torch.argsort(-scores)


def penalty_multiplied_by_the_inverse(log_probs, lengths, alpha):
    scores = log_probs.numpy() * ((5 + lengths.numpy()) / 6) ** -alpha
    return scores, np.argsort(-scores)


def penalty_by_sort(log_probs, lengths, alpha):
    scores = log_probs / torch.exp(alpha * torch.log((5 + lengths) / 6))
    return [scores, scores.sort(descending=True).indices]


OTHER_WAYS = [
    penalty_loop,
    penalty_as_in_the_paper,
    penalty_multiplied_by_the_inverse,
    penalty_by_sort,
]


# What is said, and what the checker is tried on.


def test_a_target_of_one_token_is_among_them():
    assert any((case[1] == 1).any() for case in EXERCISE.cases())


def test_scores_differ_by_more_than_rounding():
    for case in EXERCISE.cases():
        scores, order = EXERCISE.solution(*case)
        assert scores[order].diff().max() < -0.01
