import copy
import math

import pytest
import torch

from minattn.exercises import EXERCISES


def parts(result):
    """Return the tensors of a result."""
    results = result if isinstance(result, list | tuple) else [result]
    return [torch.as_tensor(part) for part in results]


@pytest.mark.parametrize("number", ["8.2", "8.3", "8.4", "8.6"])
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    exercise = EXERCISES[number]
    cases = exercise.cases()
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            most = 0.0
            for case in cases:
                right = parts(exercise.solution(*case))
                try:
                    got = parts(wrong(*copy.deepcopy(case)))
                except (ValueError, RuntimeError, TypeError, IndexError):
                    most = math.inf
                    continue
                alike = [part.shape for part in got] == [part.shape for part in right]
                for x, y in zip(got, right, strict=True) if alike else []:
                    apart = (x - y).double().abs().nan_to_num(posinf=math.inf)
                    most = max(
                        most, float(apart.masked_fill(x == y, 0).max()), float(x.isnan().any())
                    )
                most = most if alike else math.inf
            assert most > 30 * exercise.tolerance, mistake.name
