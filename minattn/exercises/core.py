"""How an exercise is checked: try the answer, name the mistake it is, or show where it fails."""

import copy
import dis
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minattn.display import show
from minattn.training import seeded

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
    _found: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def describe(self, case: Case) -> str:
        """Write the inputs of a case for the learner."""
        if self.show_case is not None:
            return self.show_case(*case)
        names = inspect.signature(self.solution).parameters
        if len(names) != len(case):
            return ", ".join(map(_brief, case))
        parts = [f"{name} = {_brief(x)}" for name, x in zip(names, case, strict=True)]
        return ("\n" if sum(map(len, parts)) > _LINE else ", ").join(parts)

    def output(self, known: Answer, cases: Sequence[Case], i: int) -> Any:
        """Return what the solution or a known mistake gives for a case; it is worked out once."""
        if (known, i) not in self._found:
            self._found[known, i] = _run(known, cases[i], self.trial)[0]
        return self._found[known, i]

    def step(self, known: Answer, cases: Sequence[Case], i: int) -> str:
        """Return the step at which a known mistake goes wrong on a case; it is worked out once."""
        if self.locate is None:
            return ""
        if (known, i, "step") not in self._found:
            self._found[known, i, "step"] = self.locate(known, cases[i])[0]
        step: str = self._found[known, i, "step"]
        return step


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


class NotAttempted(Exception):
    """The answer is still the stub."""


def judge(exercise: Exercise, answer: object) -> Verdict:
    """Judge an answer to an exercise.

    An answer is correct if it agrees with the solution on every case and leaves its inputs alone. If it
    agrees with a known mistake on every case, it is that mistake; if it does so on the smallest input
    that it fails, and with no other mistake, or goes wrong there at the same step, it is that one and
    something else. Otherwise the smallest input on which it fails is shown, with the law that is broken.
    """
    if not callable(answer):
        got = _brief(answer)
        return Verdict(
            "error", f"The checker needs a function, got {got}. Pass its name without brackets."
        )
    cases = list(exercise.cases())
    if _is_stub(answer):
        return Verdict("open", "Not attempted yet.")
    try:
        tried = [_run(answer, case, exercise.trial) for case in cases]
    except NotAttempted:  # it returns the dots themselves
        return Verdict("open", "Not attempted yet.")
    outputs = [output for output, _ in tried]
    right = [exercise.output(exercise.solution, cases, i) for i in range(len(cases))]
    failing = [i for i in range(len(cases)) if not same(outputs[i], right[i], exercise.tolerance)]
    if not failing:
        changed = [i for i in range(len(cases)) if tried[i][1]]
        if not changed:
            return Verdict("correct", "Correct.")
        return Verdict(
            "wrong",
            "The result is right, but the input was changed (work on a copy). Whoever calls the "
            f"function still needs it.\nInput: {exercise.describe(cases[changed[0]])}",
        )
    first, step, remark = failing[0], "", ""
    if exercise.locate is not None:
        step, remark = exercise.locate(answer, cases[first])
    known = (
        _known_mistake(exercise, cases, outputs, failing, step)
        or _same_step(exercise, cases, first, step)
        or _unknown(exercise, cases[first], outputs[first], right[first])
    )
    return replace(known, where="\n".join(filter(None, (step, remark))))


def _known_mistake(
    exercise: Exercise,
    cases: Sequence[Case],
    outputs: Sequence[Any],
    failing: Sequence[int],
    step: str,
) -> Verdict | None:
    """Find the mistake that an answer makes: on all cases, or else clearly on the first ones."""
    partly: dict[str, Verdict] = {}
    i, first = failing[0], outputs[failing[0]]
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            if not same(first, exercise.output(wrong, cases, i), exercise.tolerance):
                continue
            if isinstance(first, _Raised) and step != exercise.step(wrong, cases, i):
                continue
            agrees = [
                same(outputs[j], exercise.output(wrong, cases, j), exercise.tolerance)
                for j in range(len(cases))
            ]
            if all(agrees):
                return Verdict("mistake", mistake.message, mistake.name)
            if _is_bool(first):  # half of all mistakes agree on a truth value
                continue
            n_alike = sum(agrees[j] for j in failing)
            if isinstance(first, _Raised) and 2 * n_alike < len(failing):  # errors are often alike
                continue
            partly[mistake.name] = _and_more(mistake)
    return next(iter(partly.values())) if len(partly) == 1 else None


def _same_step(exercise: Exercise, cases: Sequence[Case], i: int, step: str) -> Verdict | None:
    """Find the mistake that goes wrong at the same step of a case, in the same way."""
    if not step:
        return None
    for mistake in exercise.mistakes:
        if any(exercise.step(wrong, cases, i) == step for wrong in mistake.answers):
            return _and_more(mistake)
    return None


def _and_more(mistake: Mistake) -> Verdict:
    """Name a mistake that is not all that is wrong."""
    message = f"{mistake.message} There is something else besides; mend this first."
    return Verdict("mistake", message, mistake.name)


def _unknown(exercise: Exercise, case: Case, got: Any, expected: Any) -> Verdict:
    """Say where an answer fails that is wrong in no known way."""
    texts = _told_apart(expected, got, exercise.tolerance)
    where = (
        f"Input: {exercise.describe(case)}\nExpected: {texts[0]}\nGot: {texts[1]}"
        f"{_first_difference(got, expected, exercise.tolerance)}"
    )
    if isinstance(got, _Raised):
        return Verdict("error", f"Your code stopped with an error on this input.\n{where}")
    if got is None:
        return Verdict("wrong", f"Your function returned None: is a return missing?\n{where}")
    kinds = _kind(got), _kind(expected)
    if kinds[0] != kinds[1] and kinds != ("a tensor of whole numbers", "a tensor of numbers"):
        return Verdict("wrong", f"The result is {kinds[0]}, it should be {kinds[1]}.\n{where}")
    shapes = _shape(got), _shape(expected)
    if shapes[0] != shapes[1]:
        word = "shape" if _is_array(expected) else "length"
        if isinstance(expected, tuple):
            word = "shapes" if any(map(_is_array, expected)) else "lengths"
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


def _run(answer: Answer, case: Case, trial: Answer | None = None) -> tuple[Any, bool]:
    """Return what an answer gives for a case, and whether it changed its input."""
    given = copy.deepcopy(case)
    try:
        with seeded(0):  # an answer that draws random numbers gets the same verdict every time
            output = answer(*given) if trial is None else trial(answer, *given)
    except (Exception, SystemExit) as error:
        return _Raised(type(error).__name__, str(error).split("\n")[0]), False
    if output is Ellipsis:
        raise NotAttempted
    changed = any(_is_data(b) and not same(a, b, 0.0) for a, b in zip(given, case, strict=True))
    return output, changed


def _is_stub(answer: Answer) -> bool:
    """Tell whether a function is still to be written: it does nothing, or says that it is not there."""
    code = getattr(inspect.unwrap(answer), "__code__", None)
    if code is None:
        return False
    if "NotImplementedError" in code.co_names:
        return True
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "LOAD_COMMON_CONSTANT"}
    steps = list(dis.get_instructions(code))
    returned = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return {step.opname for step in steps} <= idle and all(x in (None, ...) for x in returned)


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Tell whether an output is the expected one: numbers within a tolerance, all else exactly.

    Tensors, arrays and plain numbers of the same value are the same; truth values are not numbers, and
    fractions are not ids.

    Args:
        a: the output.
        b: what is expected.
        tolerance: how far numbers may be off, in absolute terms and relative to b.
    """
    try:
        return _same(a, b, tolerance)
    except Exception:  # whatever cannot be compared is not the same
        return False


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if _is_array(a) and _is_array(b):
        x, y = _array(a), _array(b)
        if x.shape != y.shape or not _kind_fits(x.dtype.kind, y.dtype.kind):
            return False
        x, y = x.astype(float), y.astype(float)
        return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))
    if _is_array(a) and isinstance(b, int | float) and _array(a).ndim == 0:
        return _same(_array(a).item(), b, tolerance)
    if _is_array(b) and isinstance(a, int | float) and _array(b).ndim == 0:
        return _same(a, _array(b).item(), tolerance)
    if _is_bool(a) or _is_bool(b):
        return _is_bool(a) and _is_bool(b) and a == b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return bool(np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def _kind_fits(got: str, expected: str) -> bool:
    """Tell whether numbers of one kind may stand for numbers of another (NumPy's letters)."""
    whole = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}
    return got in whole.get(expected, "")


def _is_array(x: Any) -> bool:
    if isinstance(x, Tensor):
        return not x.is_meta  # a meta tensor has a shape and no numbers
    return isinstance(x, np.ndarray | np.generic)


def _is_bool(x: Any) -> bool:
    return isinstance(x, bool | np.bool_)


def _is_data(x: Any) -> bool:
    """Tell whether something given to an answer can be compared with what it was before."""
    return _is_array(x) or isinstance(x, int | float | str | list | tuple)


def _array(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return np.asarray(x)
    x = x.detach().to_dense().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


_NUMBERS = {"b": "True and False", "i": "whole numbers", "u": "whole numbers"}


def _kind(x: Any) -> str:
    """Say in words what something is: two answers of one kind differ in shape or values only."""
    if _is_array(x):
        values = _array(x)
        what = _NUMBERS.get(values.dtype.kind, "numbers")
        if values.ndim == 0:
            return {"True and False": "True or False"}.get(what, "one number")
        return f"a tensor of {what}"
    if _is_bool(x):
        return "True or False"
    if isinstance(x, int | float):
        return "one number"
    if isinstance(x, tuple) and len(x) <= 3 and any(map(_is_holder, x)):
        return f"a tuple of {' and '.join(map(_kind, x))}"
    name = type(x).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _is_holder(x: Any) -> bool:
    return isinstance(x, list | tuple) or (_is_array(x) and _array(x).ndim > 0)


def _shape(x: Any) -> Any:
    if _is_array(x):
        return tuple(_array(x).shape)
    if isinstance(x, tuple) and any(map(_is_holder, x)):
        return tuple(len(y) if isinstance(y, list) else _shape(y) for y in x)
    return len(x) if isinstance(x, list | tuple) else ()


def _first_difference(got: Any, expected: Any, tolerance: float) -> str:
    """Name the first place where two large tensors differ; small ones are shown whole."""
    if not (_is_array(got) and _is_array(expected)):
        return ""
    x, y = _array(got), _array(expected)
    if x.shape != y.shape or x.dtype.kind not in "biuf" or y.size <= _MOST_NUMBERS:
        return ""
    x, y = x.astype(float), y.astype(float)
    where = np.argwhere(~np.isclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))
    if not len(where):
        return ""
    place = tuple(map(int, where[0]))
    pairs = [(f"{y[place]:.{digits}g}", f"{x[place]:.{digits}g}") for digits in (4, 7, 10, 17)]
    wanted, was = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
    return f"\nFirst difference at {list(place)}: expected {wanted}, got {was}"


_MOST_NUMBERS = 30
"""Tensors with more numbers are not written out."""

_LINE = 90
"""Inputs that are longer together get a line each."""


def _number(x: Any, decimals: int = 3) -> str:
    """Write a number of a tensor with a few decimals at most."""
    text = np.format_float_positional(x, precision=decimals, trim=".")
    return "0." if text == "-0." else text


def _told_apart(expected: Any, got: Any, tolerance: float) -> tuple[str, str]:
    """Write two values, with as many decimals as it takes to see where they differ."""
    differ = _differing(expected, got, tolerance)
    for decimals in (3, 5, 7, 9):
        texts = _brief(expected, decimals), _brief(got, decimals)
        seen = all(_brief(a, decimals) != _brief(b, decimals) for a, b in differ)
        if texts[0] != texts[1] and seen:
            return texts
    return _brief(expected), _brief(got)


def _differing(expected: Any, got: Any, tolerance: float) -> list[tuple[Any, Any]]:
    """Return the pairs of numbers in two small tensors of one shape that are not the same."""
    if not (_is_array(expected) and _is_array(got)):
        return []
    x, y = _array(expected), _array(got)
    if x.shape != y.shape or x.size > _MOST_NUMBERS:
        return []
    pairs = zip(x.flat, y.flat, strict=True)
    return [(a, b) for a, b in pairs if not same(a, b, tolerance)]


def _brief(x: Any, decimals: int = 3) -> str:
    """Write a value in few characters."""
    if _is_array(x):
        values = _array(x)
        if values.size > _MOST_NUMBERS:
            return f"a tensor of shape {tuple(values.shape)}"
        text = np.array2string(
            values,
            separator=", ",
            formatter={"float_kind": lambda number: _number(number, decimals), "bool": str},
        )
        return " ".join(text.split())
    if isinstance(x, float):
        return f"{x:.{decimals + 1}g}"
    if isinstance(x, list | tuple) and any(map(_is_array, x)):
        left, right = "[]" if isinstance(x, list) else "()"
        return f"{left}{', '.join(_brief(part, decimals) for part in x)}{right}"
    try:
        text = repr(x)
    except Exception:
        text = f"something of type {type(x).__name__}"
    return text if len(text) <= 200 else text[:197] + "..."


def show_verdict(exercise: Exercise, verdict: Verdict) -> None:
    """Show a verdict in the notebook."""
    css = {"correct": "correct", "open": "open"}.get(verdict.kind, "mistake")
    mark = {"correct": "✓", "open": "○"}.get(verdict.kind, "✗")
    message = "\n".join(filter(None, (verdict.message, verdict.where)))
    lines = message.split("\n")
    body = escape(lines[0]) + "".join(f"<br><code>{escape(line)}</code>" for line in lines[1:])
    show(
        f"{mark} Exercise {exercise.number}: {message}",
        html=f'<div class="check check-{css}"><span class="check-mark">{mark}</span> '
        f"<strong>Exercise {exercise.number}</strong> {body}</div>",
    )


def numbers(seed: int, *shape: int) -> Tensor:
    """Make numbers for a case: normal, with two decimals, and the same on every machine."""
    values = np.random.default_rng(seed).normal(size=shape).round(2)
    return torch.tensor(values, dtype=torch.float32)
