import math

import pytest
import torch

from minattn.exercises import EXERCISES


@pytest.mark.parametrize("number", ["6.1", "6.2", "6.4", "6.5", "6.8"])
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    exercise = EXERCISES[number]
    cases = exercise.cases()
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            most = 0.0
            for case in cases:
                right = exercise.solution(*case)
                try:
                    got = torch.as_tensor(wrong(*case))
                except (ValueError, RuntimeError, TypeError, IndexError):
                    most = math.inf
                    continue
                alike = got.shape == right.shape and not got.isnan().any()
                most = max(most, float((got - right).abs().max()) if alike else math.inf)
            assert most > 30 * exercise.tolerance, mistake.name
