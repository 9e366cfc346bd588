"""How an answer is judged: tried on every case, and where it is wrong, compared with the known mistakes."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from minattn.exercises import limiting
from minattn.exercises.comparing import (
    differing_states,
    is_array,
    is_bool,
    is_data,
    kind_of,
    not_finite,
    same,
    shape_of,
)
from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, Verdict
from minattn.exercises.stubs import is_stub
from minattn.exercises.telling import (
    brief,
    describe,
    tell_apart,
    tell_first_difference,
    tell_not_finite,
)
from minattn.training import seeded


class NotAttempted(Exception):
    """The answer is still the stub."""


def judge(exercise: Exercise, answer: object) -> Verdict:
    """Judge an answer to an exercise.

    An answer is correct if it agrees with the solution on every case and leaves its inputs alone. If it
    agrees with a known mistake on every case, it is that mistake; if it does so on the smallest input
    that it fails, and with no other mistake, or goes wrong there at the same step, it is that one, and
    maybe something else. Otherwise the smallest input on which it fails is shown, with a number that is
    none or the law that is broken. An answer that comes to no end is stopped.
    """
    if not callable(answer):
        got = brief(answer)
        return Verdict(
            "error", f"The checker needs a function, got {got}. Pass its name without brackets."
        )
    cases = list(exercise.cases())
    if is_stub(answer):
        return Verdict("open", "Not attempted yet.")
    tried: list[tuple[Any, set[str]]] = []
    try:
        for case in cases:
            tried.append(_run(answer, case, exercise.trial, limiting.LIMIT_S))
    except NotAttempted:  # it returns the dots themselves
        return Verdict("open", "Not attempted yet.")
    except limiting.TooLong:
        return Verdict(
            "error",
            f"Your code did not come to an end after {limiting.LIMIT_S:g} seconds. Look for a loop that "
            "never ends: what should end it, and does anything in the loop bring that about?\n"
            f"Input: {describe(exercise, cases[len(tried)])}",
        )
    outputs = [output for output, _ in tried]
    right = [known_output(exercise, exercise.solution, cases, i) for i in range(len(cases))]
    failing = [i for i in range(len(cases)) if not same(outputs[i], right[i], exercise.tolerance)]
    if not failing:
        for i in range(len(cases)):
            # What the solution changes as well, such as gradients, is meant to be changed.
            if what := tried[i][1] - _run_known(exercise, exercise.solution, cases, i)[1]:
                return _changed(what, describe(exercise, cases[i]))
        return Verdict("correct", "Correct.")
    first, step, remark = failing[0], "", ""
    if exercise.locate is not None:
        step, remark = exercise.locate(answer, cases[first])
    known = (
        _known_mistake(exercise, cases, outputs, failing, step)
        or _same_step(exercise, cases, first, step)
        or _unknown(exercise, cases[first], outputs[first], right[first])
    )
    return replace(known, where="\n".join(filter(None, (step, remark))))


def _changed(what: set[str], case: str) -> Verdict:
    """Say that a right answer changes what it is given."""
    told = "The result is right, but the input was changed (work on a copy)."
    if "input" not in what:
        parts = ", ".join(sorted(what))
        told = f"The result is right, but the model was changed: its {parts}. Leave it as it was."
    return Verdict("wrong", f"{told} Whoever calls the function still needs it.\nInput: {case}")


def known_output(exercise: Exercise, known: Answer, cases: Sequence[Case], i: int) -> Any:
    """Return what the solution or a known mistake gives for a case; it is worked out once."""
    return _run_known(exercise, known, cases, i)[0]


def _run_known(
    exercise: Exercise, known: Answer, cases: Sequence[Case], i: int
) -> tuple[Any, set[str]]:
    """Return what the solution or a known mistake gives for a case, and what of the case it changes."""
    ran: tuple[Any, set[str]] = exercise.once(
        (known, i), lambda: _run(known, cases[i], exercise.trial)
    )
    return ran


def known_step(exercise: Exercise, known: Answer, cases: Sequence[Case], i: int) -> str:
    """Return the step at which a known mistake goes wrong on a case; it is worked out once."""
    locate = exercise.locate
    if locate is None:
        return ""
    step: str = exercise.once((known, i, "step"), lambda: locate(known, cases[i])[0])
    return step


def _known_mistake(
    exercise: Exercise,
    cases: Sequence[Case],
    outputs: Sequence[Any],
    failing: Sequence[int],
    step: str,
) -> Verdict | None:
    """Find the mistake that an answer makes: on all cases, or else clearly on the first ones."""
    partly: dict[str, Mistake] = {}
    i, first = failing[0], outputs[failing[0]]
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            if not same(first, known_output(exercise, wrong, cases, i), exercise.tolerance):
                continue
            if isinstance(first, _Raised) and step != known_step(exercise, wrong, cases, i):
                continue
            agrees = [
                same(outputs[j], known_output(exercise, wrong, cases, j), exercise.tolerance)
                for j in range(len(cases))
            ]
            if all(agrees):
                return Verdict("mistake", mistake.message, mistake.name)
            if is_bool(first):  # half of all mistakes agree on a truth value
                continue
            n_alike = sum(agrees[j] for j in failing)
            says_little = isinstance(first, _Raised) or not_finite(first) is not None
            if says_little and 2 * n_alike < len(failing):  # errors are often alike, and so is NaN
                continue
            partly[mistake.name] = mistake
    if len(partly) != 1:
        return None
    (mistake,) = partly.values()
    if step or _leaves_something(exercise, mistake, cases, outputs, failing):
        return _and_more(mistake)
    return Verdict("mistake", f"{mistake.message} Mend this first.", mistake.name)


def _leaves_something(
    exercise: Exercise,
    mistake: Mistake,
    cases: Sequence[Case],
    outputs: Sequence[Any],
    failing: Sequence[int],
) -> bool:
    """Tell whether a mistake, however it is written, surely is not all that is wrong.

    It is not where it would be right, or where it would not stop, nor give a number that is none. Another
    number alone says little: it may come from another writing of the same mistake.
    """

    def is_plain(output: Any) -> bool:
        return not isinstance(output, _Raised) and not_finite(output) is None

    for j in failing:
        right = known_output(exercise, exercise.solution, cases, j)
        known = [known_output(exercise, wrong, cases, j) for wrong in mistake.answers]
        if all(same(output, right, exercise.tolerance) for output in known):
            return True
        if not is_plain(outputs[j]) and all(map(is_plain, known)):
            return True
    return False


def _same_step(exercise: Exercise, cases: Sequence[Case], i: int, step: str) -> Verdict | None:
    """Find the mistake that goes wrong at the same step of a case, in the same way."""
    if not step:
        return None
    for mistake in exercise.mistakes:
        if any(known_step(exercise, wrong, cases, i) == step for wrong in mistake.answers):
            return _and_more(mistake)
    return None


def _and_more(mistake: Mistake) -> Verdict:
    """Name a mistake that is not all that is wrong."""
    message = f"{mistake.message} There is something else besides; mend this first."
    return Verdict("mistake", message, mistake.name)


def _unknown(exercise: Exercise, case: Case, got: Any, expected: Any) -> Verdict:
    """Say where an answer fails that is wrong in no known way."""
    texts = tell_apart(expected, got, exercise.tolerance)
    where = (
        f"Input: {describe(exercise, case)}\nExpected: {texts[0]}\nGot: {texts[1]}"
        f"{tell_first_difference(expected, got, exercise.tolerance)}"
    )
    if isinstance(got, _Raised):
        return Verdict("error", f"Your code stopped with an error on this input.\n{where}")
    if got is None:
        return Verdict("wrong", f"Your function returned None: is a return missing?\n{where}")
    kinds = kind_of(got), kind_of(expected)
    if kinds[0] != kinds[1] and kinds != ("a tensor of whole numbers", "a tensor of numbers"):
        return Verdict("wrong", f"The result is {kinds[0]}, it should be {kinds[1]}.\n{where}")
    number = not_finite(got)
    if number is not None and not_finite(expected) is None:
        return Verdict("wrong", f"{tell_not_finite(*number)}\n{where}")
    shapes = shape_of(got), shape_of(expected)
    if shapes[0] != shapes[1]:
        word = "shape" if is_array(expected) else "length"
        if isinstance(expected, tuple):
            word = "shapes" if any(map(is_array, expected)) else "lengths"
        return Verdict(
            "wrong", f"The result has {word} {shapes[0]}, it should have {shapes[1]}.\n{where}"
        )
    for law in exercise.laws:
        try:
            holds = law.holds(got, *copy.deepcopy(case))
        except Exception:  # a law that cannot be tried on this output has nothing to say of it
            continue
        if not holds:
            return Verdict("wrong", f"This breaks a law: {law.statement}.\n{where}")
    return Verdict("wrong", f"Not yet.\n{where}")


@dataclass(frozen=True)
class _Raised:
    """An error that an answer raised, kept as its output."""

    kind: str
    text: str

    def __repr__(self) -> str:
        return f"{self.kind}: {self.text}"


def _run(
    answer: Answer, case: Case, trial: Answer | None = None, seconds: float | None = None
) -> tuple[Any, set[str]]:
    """Return what an answer gives for a case, and what of its input it changed.

    Raises:
        NotAttempted: if it returns the dots themselves.
        TooLong: if it comes to no end in so many seconds.
    """
    given = copy.deepcopy(case)

    def work() -> Any:
        return answer(*given) if trial is None else trial(answer, *given)

    try:
        with seeded(0):  # an answer that draws random numbers gets the same verdict every time
            output = work() if seconds is None else limiting.stopped_after(seconds, work)
    except (Exception, SystemExit) as error:
        return _Raised(type(error).__name__, str(error).split("\n")[0]), set()
    if output is Ellipsis:
        raise NotAttempted
    changed: set[str] = set()
    for now, before in zip(given, case, strict=True):
        if isinstance(before, nn.Module):
            changed |= differing_states(now, before)
        elif is_data(before) and not same(now, before, 0.0):
            changed.add("input")
    return output, changed
