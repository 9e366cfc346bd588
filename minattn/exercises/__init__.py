"""The checkers of the exercises: they know the right answer and the well-known wrong ones.

Every exercise has a file of its own in the folder of its chapter, ``ex<chapter>_<place>_<name>.py``. It is
found by that name, and read when it is asked for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

from minattn.display import show, show_code
from minattn.exercises.exercise import Answer, Exercise
from minattn.exercises.judging import judge
from minattn.exercises.telling import show_verdict, source_of


@cache
def _modules() -> dict[str, str]:
    """Map every number, in order, to the module that holds the exercise; folders are listed, no file is read."""
    found = {}
    for path in Path(__file__).parent.glob("*/ex*.py"):
        if name := re.fullmatch(r"ex(\d+)_(\d+)_\w+", path.stem):
            found[int(name[1]), int(name[2])] = f"{__name__}.{path.parent.name}.{path.stem}"
    return {f"{chapter}.{place}": found[chapter, place] for chapter, place in sorted(found)}


class _Exercises(Mapping[str, Exercise]):
    """The exercises by their numbers; one is imported when it is looked up, and not before."""

    def __getitem__(self, number: str) -> Exercise:
        exercise: Exercise = import_module(_modules()[number]).EXERCISE
        return exercise

    def __iter__(self) -> Iterator[str]:
        return iter(_modules())

    def __len__(self) -> int:
        return len(_modules())

    def __contains__(self, number: object) -> bool:  # that of Mapping would look it up
        return number in _modules()

    def __repr__(self) -> str:
        return f"<{len(self)} exercises>"


EXERCISES: Mapping[str, Exercise] = _Exercises()
"""Every exercise of the book by its number."""


def find(number: str) -> Exercise:
    """Return an exercise.

    Args:
        number: chapter and place, such as "2.3".

    Raises:
        ValueError: if there is no such exercise.
    """
    if number not in EXERCISES:
        raise ValueError(f"exercises are {', '.join(EXERCISES)}, got {number!r}")
    return EXERCISES[number]


def check(number: str, answer: Answer) -> None:
    """Check an answer to an exercise, and say what it looks like.

    Args:
        number: the exercise, such as "2.3".
        answer: the learner's function; not called on anything but small inputs.

    Raises:
        ValueError: if there is no such exercise.
    """
    exercise = find(number)
    verdict = judge(exercise, answer)
    if verdict.kind == "correct" and getattr(answer, "__name__", "").startswith("solution_"):
        # A reader who runs a folded solution must not take this for the verdict on their own answer.
        verdict = replace(verdict, message="The solution passes.")
    show_verdict(exercise, verdict)


def wrong_attempt(number: str, mistake: str, answer: Answer | None = None) -> None:
    """Show a wrong answer to an exercise, and what its checker says.

    Args:
        number: the exercise, such as "2.3".
        mistake: which of its known mistakes.
        answer: code that makes this mistake, where the checker's own is nothing to read. The cell that
            defines it shows it already.

    Raises:
        ValueError: if there is no such exercise or mistake, or if the mistake needs an answer.
        AssertionError: if the checker sees another mistake in the answer, or none.
    """
    exercise = find(number)
    known = {one.name: one.answer for one in exercise.mistakes}
    if mistake not in known:
        raise ValueError(f"mistakes of exercise {number} are {', '.join(known)}, got {mistake!r}")
    code = None
    if answer is None:
        answer = known[mistake]
        code = source_of(answer, exercise.solution.__name__)
        if code is None:
            raise ValueError(
                f"the checker of exercise {number} has no code to show for {mistake!r}: write a function that "
                "makes this mistake, and pass it as answer"
            )
    verdict = judge(exercise, answer)
    if verdict.mistake != mistake:
        said = f"{verdict.kind} {verdict.mistake or ''}".strip()
        raise AssertionError(
            f"the verdict must be mistake {mistake}, got {said}: {verdict.message}"
        )
    title = "A wrong attempt, and what the checker says"
    show(f"{title}:", html=f'<p class="attempt"><strong>{title}</strong></p>')
    if code is not None:
        show_code(code)
    show_verdict(exercise, verdict)


__all__ = ["EXERCISES", "check", "find", "wrong_attempt"]
