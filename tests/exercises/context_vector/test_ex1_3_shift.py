from minattn.exercises.context_vector.ex1_3_shift import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def shift_sliced(target):
    whole = [1, *target, 2]
    return whole[:-1], whole[1:]


OTHER_WAYS = [shift_sliced, lambda t: [(1, *t), (*t, 2)]]


# What is said, and what the checker is tried on.


def test_a_changed_input_is_noticed():
    def appended(target):
        target.append(2)
        return [1, *target[:-1]], target

    verdict = judge(EXERCISE, appended)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message
