"""What an exercise is: the right answer, the inputs it is tried on, and the well-known wrong answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Answer = Callable[..., Any]
Case = tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that learners really give.

    Args:
        name: a short name, for tests.
        answer: code that makes the mistake.
        message: what it looks like and why it is wrong, said to the learner.
        also: other ways to write the same mistake, with other results.
    """

    name: str
    answer: Answer
    message: str
    also: Sequence[Answer] = ()

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every way in which the mistake is known to be written."""
        return (self.answer, *self.also)


@dataclass(frozen=True)
class Law:
    """Something that every right answer obeys.

    Args:
        statement: the law in words, such as "the weights of a query sum to 1".
        holds: tells whether it holds, from the output and the inputs.
    """

    statement: str
    holds: Callable[..., bool]


@dataclass(frozen=True)
class Exercise:
    """One exercise: the right answer, the inputs it is tried on, and the well-known wrong answers.

    Args:
        number: chapter and place, such as "2.3".
        title: what is to be done.
        solution: a right answer.
        cases: makes the inputs, smallest first and the same every time; each is a tuple of arguments.
        mistakes: the wrong answers that are recognised, most specific first.
        laws: what every right answer obeys; the first that is broken is named.
        tolerance: how far numbers may be off.
        show_case: writes a failing input for the learner; if not given, the names of the solution's
            arguments with their values.
        locate: for a task of many steps, says at which step an answer goes wrong on a case and how ("" if
            it cannot tell), and what else there is to say of that.
        trial: where there are many right results, takes an answer and a case and returns what is compared; if
            not given, that is the result itself.
    """

    number: str
    title: str
    solution: Answer
    cases: Callable[[], Sequence[Case]]
    mistakes: Sequence[Mistake] = ()
    laws: Sequence[Law] = ()
    tolerance: float = 1e-5
    show_case: Callable[..., str] | None = None
    locate: Callable[[Answer, Case], tuple[str, str]] | None = None
    trial: Answer | None = None
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Any, work_out: Callable[[], Any]) -> Any:
        """Return what belongs to a key, such as what a known mistake gives; it is worked out once."""
        if key not in self._kept:
            self._kept[key] = work_out()
        return self._kept[key]


@dataclass(frozen=True)
class Verdict:
    """What a checker found.

    Args:
        kind: "correct", "mistake" (a known one), "wrong" (in no known way), "error" or "open" (not
            attempted).
        message: what is said to the learner.
        mistake: the name of the known mistake.
        where: the step at which the answer goes wrong first, where the exercise can tell.
    """

    kind: str
    message: str
    mistake: str | None = None
    where: str = ""


def numbers(seed: int, *shape: int) -> Tensor:
    """Make numbers for a case: normal, with two decimals, and the same on every machine."""
    values = np.random.default_rng(seed).normal(size=shape).round(2)
    return torch.tensor(values, dtype=torch.float32)
