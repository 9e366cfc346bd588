"""Whether an answer is still to be written."""

import dis
import inspect
from functools import cache
from types import CodeType
from typing import Any

from minattn.exercises.exercise import Answer

_STUBS = '''
def _(x): ...
def _(x): return ...
def _(x): return None
def _(x): return
def _(x): "Say what to do."
def _(x):
    """Say what to do."""
    ...
    pass
def _(x):
    pass
    ...
    return
def _(x):
    """Say what to do."""
    y: int
    ...
    return ...
def _(x): raise NotImplementedError
def _(x): raise NotImplementedError()
def _(x): raise NotImplementedError("Say what to do.")
_ = lambda x: ...
_ = lambda x: None
'''


def is_stub(answer: Answer) -> bool:
    """Tell whether a function does nothing, or nothing but say that it is not implemented.

    How nothing looks when it is compiled depends on the Python that runs, so it is asked.
    """
    code = getattr(inspect.unwrap(answer), "__code__", None)
    if code is None:
        return False
    return _steps(code) <= _idle_steps()


def _steps(code: CodeType) -> set[tuple[str, Any]]:
    """Return what compiled code does, in no order: its instructions with their constants or names.

    What is said where something is not implemented is no matter.
    """
    raises = "NotImplementedError" in code.co_names
    return {
        (
            step.opname,
            str
            if raises and isinstance(step.argval, str) and "CONST" in step.opname
            else step.argval,
        )
        for step in dis.get_instructions(code)
    }


@cache
def _idle_steps() -> set[tuple[str, Any]]:
    """Return every instruction of functions that do nothing."""
    stubs = compile(_STUBS, "stubs", "exec").co_consts
    return {step for code in stubs if isinstance(code, CodeType) for step in _steps(code)}
