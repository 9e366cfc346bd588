"""Every checker accepts right answers, whatever their writing, and names each known wrong one.

The answers stand beside the tests of each exercise: `OTHER_WAYS` are right, `NEAR_MISSES` are wrong answers as
learners write them, each with the name of the mistake that is to be found.
"""

import copy
import re
from collections import Counter
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from minattn.exercises import EXERCISES
from minattn.exercises.judging import judge
from minattn.exercises.telling import describe
from minattn.tasks import Task

HERE = Path(__file__).parent
CHAPTERS = HERE.parents[1] / "book" / "chapters"
MISTAKES = [(number, mistake) for number, e in EXERCISES.items() for mistake in e.mistakes]
WRITINGS = [
    pytest.param(number, mistake, answer, id=f"{number}-{mistake.name}-{i}")
    for number, mistake in MISTAKES
    for i, answer in enumerate(mistake.answers)
]


def beside(number):
    """Import the file in which the answers to an exercise stand."""
    chapter, place = number.split(".")
    (path,) = HERE.glob(f"*/test_ex{chapter}_{place}_*.py")
    return import_module(f"tests.exercises.{path.parent.name}.{path.stem}")


OTHER_WAYS = [
    pytest.param(number, answer, id=f"{number}-{i}")
    for number in EXERCISES
    for i, answer in enumerate(beside(number).OTHER_WAYS)
]
NEAR_MISSES = [
    (number, name, answer)
    for number in EXERCISES
    for name, answer in getattr(beside(number), "NEAR_MISSES", [])
]


def test_every_exercise_has_another_right_way():
    assert {param.values[0] for param in OTHER_WAYS} == set(EXERCISES)


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_is_accepted(number):
    assert judge(EXERCISES[number], EXERCISES[number].solution).kind == "correct"


@pytest.mark.parametrize(("number", "answer"), OTHER_WAYS)
def test_another_right_way_is_accepted(number, answer):
    verdict = judge(EXERCISES[number], answer)
    assert verdict.kind == "correct", verdict.message


@pytest.mark.parametrize(("number", "mistake", "answer"), WRITINGS)
def test_a_known_mistake_is_named(number, mistake, answer):
    verdict = judge(EXERCISES[number], answer)
    assert (verdict.kind, verdict.mistake, verdict.message) == (
        "mistake",
        mistake.name,
        mistake.message,
    )


@pytest.mark.filterwarnings("ignore:Implicit dimension choice for softmax")
@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


@pytest.mark.parametrize("number", EXERCISES)
def test_names_and_messages_are_unique(number):
    mistakes = EXERCISES[number].mistakes
    assert len({m.name for m in mistakes}) == len({m.message for m in mistakes}) == len(mistakes)


@pytest.mark.parametrize(("number", "mistake"), MISTAKES, ids=lambda x: getattr(x, "name", x))
def test_a_message_is_short_and_whole(number, mistake):
    assert 40 < len(mistake.message) < 330
    assert (
        mistake.message[-1] in ".?)" and "\n" not in mistake.message and "  " not in mistake.message
    )


@pytest.mark.parametrize("number", EXERCISES)
def test_an_untouched_stub_is_open(number):
    def stub(*args):
        """Say what to do."""
        ...

    def passing(*args):
        pass

    def raising(*args):
        raise NotImplementedError

    for answer in (stub, passing, raising, lambda *args: ...):
        verdict = judge(EXERCISES[number], answer)
        assert (verdict.kind, verdict.message) == ("open", "Not attempted yet.")


@pytest.mark.parametrize("number", EXERCISES)
def test_an_unknown_wrong_answer_sees_where_it_fails(number):
    exercise = EXERCISES[number]

    def wrong(*case):
        out = exercise.solution(*case)
        if isinstance(out, bool):
            return out != (case == exercise.cases()[0] or "squared" in repr(case[0]))
        if out is None or isinstance(out, int):
            return 99
        if isinstance(out, torch.Tensor | float):
            return out * 1.37 - 0.11
        if isinstance(out, list):
            return [7, *out[:0:-1]]
        if isinstance(out, Task):
            return out.train
        if isinstance(out, torch.nn.Module):
            out.register_forward_hook(lambda layer, given, result: result * 1.37 - 0.11)
            return out
        return (out[0], out[1][:0]) if isinstance(out[1], list) else (1 - 2 * out[0], *out[1:])

    verdict = judge(exercise, wrong)
    assert verdict.kind == "wrong" and verdict.mistake is None, verdict.message
    lines = verdict.message.split("\n")
    assert lines[1].startswith("Input: ")
    assert [line.split(":")[0] for line in lines if line[:3] in ("Exp", "Got")] == [
        "Expected",
        "Got",
    ]


def raises(*case):
    raise KeyError("no such thing")


def divides_by_zero(*case):
    return 1 / 0


def leaves(*case):
    raise SystemExit(1)


class Awkward:
    def __eq__(self, other):
        raise TypeError("not comparable")

    def __repr__(self):
        raise TypeError("not printable")

    __hash__ = None


HOSTILE = {
    "raises": raises,
    "divides": divides_by_zero,
    "leaves": leaves,
    "wrong signature": lambda: 1,
    "text": lambda *case: "right",
    "nested": lambda *case: [[1.0, [2.0, "x"]]],
    "complex": lambda *case: torch.ones(2, 3, dtype=torch.complex64),
    "objects": lambda *case: np.array([None, "a"], dtype=object),
    "empty": lambda *case: torch.empty(0),
    "brain": lambda *case: torch.ones(2, 3, dtype=torch.bfloat16),
    "sparse": lambda *case: torch.eye(3).to_sparse(),
    "meta": lambda *case: torch.ones(2, 3, device="meta"),
    "generator": lambda *case: (x for x in case),
    "awkward": lambda *case: Awkward(),
    "function": lambda *case: raises,
    "long": lambda *case: list(range(10**5)),
    "NaN": lambda *case: float("nan"),
    "input": lambda *case: case,
    "a class": Awkward,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_survived(name):
    for exercise in EXERCISES.values():
        verdict = judge(exercise, HOSTILE[name])
        assert verdict.kind in ("wrong", "error")
        assert len(verdict.message) < 2000


# Attacks that know nothing of the exercise but its solution.


def each_number(result, change):
    """Change every tensor, number and truth value of a result, however deep it lies."""
    if isinstance(result, torch.Tensor):
        return change(result)
    if isinstance(result, np.ndarray):
        return change(torch.tensor(result)).numpy()
    if isinstance(result, bool | int | float):
        return change(torch.tensor(result)).item()
    if isinstance(result, list | tuple):
        return type(result)(each_number(x, change) for x in result)
    return result


def right(number, case):
    """Return the right result; the input stays as it is."""
    return EXERCISES[number].solution(*copy.deepcopy(case))


def case_as_text(case):
    """Write a case so that two of them can be compared, models and functions by their names."""
    return " ".join(str(x.tolist()) if isinstance(x, torch.Tensor) else repr(x) for x in case)


def emptied(result):
    """Return zeros of the same shape, empty words for words, and nothing for what is neither."""
    if isinstance(result, list | tuple):
        return type(result)(map(emptied, result))
    if isinstance(result, str):
        return ""
    numbers = isinstance(result, torch.Tensor | np.ndarray | bool | int | float)
    return each_number(result, torch.zeros_like) if numbers else None


def zeros(number):
    return lambda *case: emptied(right(number, case))


def first_result_always(number):
    exercise = EXERCISES[number]
    first = exercise.cases()[0]
    if exercise.trial is not None:  # it is not called with the case itself
        return zeros(number)
    return lambda *case: copy.deepcopy(right(number, first))


def right_for_the_first_only(number):
    seen = []

    def answer(*case):
        if not seen:
            seen.append(case_as_text(case))
        if case_as_text(case) == seen[0]:
            return right(number, case)
        return zeros(number)(*case)

    return answer


ATTACKS = [zeros, first_result_always, right_for_the_first_only]


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_answer_that_knows_one_result_only_is_rejected(number, attack):
    verdict = judge(EXERCISES[number], attack(number))
    assert verdict.kind in ("wrong", "mistake", "error"), verdict.message


def spoil(given):
    """Change an input in place, if it can be."""
    if isinstance(given, torch.Tensor) and given.numel():
        with torch.no_grad():
            given.copy_(~given if given.dtype == torch.bool else given + 1)
    elif isinstance(given, torch.nn.Module):
        given.train(not given.training)
    elif isinstance(given, list):
        given.append(0)
    elif isinstance(given, dict):
        given["new"] = 0
    else:
        return False
    return True


def spoiled(number):
    """Return the places of the arguments that can be changed in place."""
    (case, *_) = copy.deepcopy(EXERCISES[number].cases())
    return [i for i, given in enumerate(case) if spoil(given)]


IN_PLACE = [(number, i) for number, e in EXERCISES.items() if not e.trial for i in spoiled(number)]


@pytest.mark.parametrize(("number", "i"), IN_PLACE)
def test_a_right_answer_that_changes_its_input_is_told_so(number, i):
    def answer(*case):
        out = copy.deepcopy(right(number, case))
        spoil(case[i])
        return out

    verdict = judge(EXERCISES[number], answer)
    assert verdict.kind == "wrong" and "was changed" in verdict.message, verdict.message


def is_of_fractions(result):
    if isinstance(result, list | tuple):
        return any(map(is_of_fractions, result))
    return isinstance(result, float) or (
        isinstance(result, torch.Tensor) and result.is_floating_point()
    )


FRACTIONS = [
    number
    for number, exercise in EXERCISES.items()
    if not exercise.trial and is_of_fractions(right(number, exercise.cases()[0]))
]


@pytest.mark.parametrize("number", FRACTIONS)
def test_a_right_answer_with_more_digits_is_accepted(number):
    def widened(result):
        return result.detach().double() if result.is_floating_point() else result

    verdict = judge(EXERCISES[number], lambda *case: each_number(right(number, case), widened))
    assert verdict.kind == "correct", verdict.message


@pytest.mark.parametrize("number", FRACTIONS)
def test_an_answer_with_nan_in_its_last_place_is_told_so(number):
    def spoiled(result):
        if not result.is_floating_point() or not result.numel():
            return result
        result = result.detach().clone(memory_format=torch.contiguous_format)
        result.view(-1)[-1] = torch.nan
        return result

    verdict = judge(EXERCISES[number], lambda *case: each_number(right(number, case), spoiled))
    assert verdict.kind in ("wrong", "mistake")
    if verdict.kind == "wrong" and "inf" not in verdict.message:
        assert verdict.message.startswith("Your result has NaN"), verdict.message


@pytest.mark.parametrize("number", FRACTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_a_right_answer_in_a_type_too_narrow_is_survived(number, dtype):
    def narrowed(result):
        return result.detach().to(dtype) if result.is_floating_point() else result

    verdict = judge(EXERCISES[number], lambda *case: each_number(right(number, case), narrowed))
    assert verdict.kind in ("correct", "wrong", "mistake")
    if dtype == torch.bool:
        assert verdict.kind != "correct"


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize(
    "answer", [None, 3.0, "f", torch.ones(2)], ids=["None", "3", "f", "tensor"]
)
def test_a_result_is_not_taken_for_a_function(number, answer):
    verdict = judge(EXERCISES[number], answer)
    assert verdict.kind == "error" and "without brackets" in verdict.message


@pytest.mark.parametrize("number", EXERCISES)
def test_cases_are_the_same_every_time_and_grow(number):
    exercise = EXERCISES[number]
    first, second = exercise.cases(), exercise.cases()
    assert [describe(exercise, c) for c in first] == [describe(exercise, c) for c in second]
    random_state = torch.random.get_rng_state()
    judge(exercise, exercise.solution)
    assert torch.equal(torch.random.get_rng_state(), random_state)


@pytest.mark.parametrize("number", EXERCISES)
def test_laws_hold_for_the_solution(number):
    exercise = EXERCISES[number]
    for law in exercise.laws:
        assert all(law.holds(exercise.solution(*c), *c) for c in exercise.cases()), law.statement


def test_numbers_are_in_order():
    places = [tuple(map(int, number.split("."))) for number in EXERCISES]
    assert all(a < b for a, b in pairwise(places))
    assert [n for n, e in EXERCISES.items() if e.number != n] == []


def test_chapters_and_checkers_have_the_same_exercises():
    calls: Counter[str] = Counter()
    for chapter in sorted(CHAPTERS.glob("*.md")):
        found = re.findall(r'^check\("(\d+\.\d+)", ', chapter.read_text(encoding="utf-8"), re.M)
        assert {number.split(".")[0] for number in found} <= {str(int(chapter.name[:2]))}
        calls.update(found)
    # Each exercise is checked twice: the reader's own answer, and the solution.
    assert calls == dict.fromkeys(EXERCISES, 2)
