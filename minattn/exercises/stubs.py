"""Whether an answer is still to be written."""

import dis
import inspect

from minattn.exercises.exercise import Answer


def is_stub(answer: Answer) -> bool:
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
