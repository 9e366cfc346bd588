import math

import pytest
import torch

from minattn.exercises import EXERCISES


def result(exercise, answer, case):
    return answer(*case) if exercise.trial is None else exercise.trial(answer, *case)


def distance(got, right):
    """Return how far two results are apart: infinitely, if they differ in more than their numbers."""
    if isinstance(right, list):
        pairs = zip(got, right, strict=True)
        return max(distance(a, b) for a, b in pairs)
    if not isinstance(right, torch.Tensor):
        return 0.0 if got == right else math.inf
    got = torch.as_tensor(got)
    alike = got.shape == right.shape and not got.isnan().any()
    return float((got - right).detach().abs().max()) if alike else math.inf


@pytest.mark.parametrize("number", ["6.1", "6.2", "6.3", "6.4", "6.5", "6.8"])
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    exercise = EXERCISES[number]
    cases = exercise.cases()
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            most = 0.0
            for case in cases:
                right = result(exercise, exercise.solution, case)
                try:
                    most = max(most, distance(result(exercise, wrong, case), right))
                except (ValueError, RuntimeError, TypeError, IndexError, AttributeError):
                    most = math.inf
            assert most > 30 * exercise.tolerance, mistake.name
