import pytest

from minattn.exercises import EXERCISES
from minattn.exercises.comparing import same

CHAPTER = [number for number in EXERCISES if number.startswith("3.")]


@pytest.mark.parametrize("number", CHAPTER)
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    """On at least one input, any two that are not the same mistake differ a hundred times the tolerance."""
    exercise = EXERCISES[number]
    cases = exercise.cases()

    def outputs(answer):
        out = []
        for case in cases:
            try:
                out.append(answer(*case))
            except Exception as error:
                out.append(type(error).__name__ + str(error))
        return out

    known = [("solution", outputs(exercise.solution))]
    known += [(m.name, outputs(answer)) for m in exercise.mistakes for answer in m.answers]
    for i, (name, ours) in enumerate(known):
        for other, theirs in known[:i]:
            near = all(
                same(a, b, 100 * exercise.tolerance) for a, b in zip(ours, theirs, strict=True)
            )
            assert name == other or not near, (name, other)
