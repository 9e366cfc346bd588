"""The checkers of the exercises: they know the right answer and the well-known wrong ones."""

from dataclasses import replace

from minattn.exercises import (
    context_vector,
    decoding,
    multi_head,
    queries_keys_values,
    recipe,
    self_attention,
    soft_attention,
    ten_minute_check,
    transformer,
)
from minattn.exercises.core import Answer, Exercise, judge, show_verdict

EXERCISES: dict[str, Exercise] = {
    exercise.number: exercise
    for chapter in (
        ten_minute_check,
        context_vector,
        soft_attention,
        queries_keys_values,
        self_attention,
        multi_head,
        transformer,
        recipe,
        decoding,
    )
    for exercise in chapter.EXERCISES
}
"""Every exercise of the book by its number."""


def check(number: str, answer: Answer) -> None:
    """Check an answer to an exercise, and say what it looks like.

    Args:
        number: the exercise, such as "2.3".
        answer: the learner's function; not called on anything but small inputs.

    Raises:
        ValueError: if there is no such exercise.
    """
    if number not in EXERCISES:
        raise ValueError(f"exercises are {', '.join(EXERCISES)}, got {number!r}")
    verdict = judge(EXERCISES[number], answer)
    if verdict.kind == "correct" and getattr(answer, "__name__", "").startswith("solution_"):
        # A reader who runs a folded solution must not take this for the verdict on their own answer.
        verdict = replace(verdict, message="The solution passes.")
    show_verdict(EXERCISES[number], verdict)


__all__ = ["EXERCISES", "check"]
