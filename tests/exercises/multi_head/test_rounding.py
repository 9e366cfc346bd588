import pytest

from minattn.exercises import EXERCISES


@pytest.mark.parametrize("number", ["5.2", "5.6", "5.7"])
def test_a_mistake_is_told_from_rounding(number):
    exercise = EXERCISES[number]
    for mistake in exercise.mistakes:
        for answer in mistake.answers:
            assert any(_clearly_wrong(exercise, answer, case) for case in exercise.cases())


def _clearly_wrong(exercise, answer, case):
    try:
        got, right = answer(*case), exercise.solution(*case)
    except Exception:  # a mistake may stop with an error
        return True
    return got.shape != right.shape or not (got - right).abs().max() < 0.05
