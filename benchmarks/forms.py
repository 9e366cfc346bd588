"""Chapter 22's forms of attention beside blocks, and a step of writing with smaller caches."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from benchmarks.attention import HEADS, THREADS, Form, forward, inputs, textbook
from benchmarks.harness import Case, Effort, assert_equal, compare
from minattn.dot_product import fused_attend
from minattn.masks import Causal, Window
from minattn.scaling.blockwise import blockwise_attend
from minattn.scaling.caches import dequantize, quantize
from minattn.scaling.linear import linear_attend, running_linear_attend
from minattn.scaling.sharing import grouped_attend

LENGTHS = (1024, 4096, 8192)
WINDOW = 256
LONGEST_TABLE = 4096


def measure(effort: Effort) -> list[Case]:
    """Measure all forms, and a step, at some lengths."""
    cases = []
    for length in (1024,) if effort.quick else LENGTHS:
        few = replace(effort, rounds=min(effort.rounds, 7)) if length > 1024 else effort
        cases += [time_forms(length, few), time_step(length, effort)]
    return cases


def new_forms(length: int) -> dict[str, Form]:
    """Make forms whose results differ: what each costs beside blocks of plain attention."""
    window = Window(before=WINDOW - 1, after=0)
    found = {
        "blocks": partial(blockwise_attend, mask=Causal()),
        "a window in blocks": partial(blockwise_attend, mask=window),
        "linear, running": lambda q, k, v: running_linear_attend(q, k, v)[0],
    }
    if length <= LONGEST_TABLE:
        found["table"] = partial(textbook, allowed=Causal().to_bool((length, length)))
    return found


def equal_forms(length: int = 300) -> float:
    """Assert that every form is what it is said to be, at a length where tables are small."""
    tensors = inputs(length)
    window = Window(before=WINDOW - 1, after=0).to_bool((length, length))
    expected = {
        "blocks": textbook(*tensors, allowed=Causal().to_bool((length, length))),
        "a window in blocks": textbook(*tensors, allowed=window),
        "linear, running": linear_attend(*tensors, Causal()),
        "table": textbook(*tensors, allowed=Causal().to_bool((length, length))),
    }
    return max(
        assert_equal({name: [form(*tensors)], "expected": [expected[name]]}, "expected", 1e-4)
        for name, form in new_forms(length).items()
    )


def time_forms(length: int, effort: Effort) -> Case:
    """Time forms that leave something out beside blocks, which leave out nothing."""
    tensors = inputs(length)
    return compare(
        {name: partial(forward, form, tensors) for name, form in new_forms(length).items()},
        reference="blocks",
        settings={"measured": "forms", "pass": "forward", "causal": True, "length": length},
        equal=equal_forms,
        effort=effort,
        threads=THREADS,
    )


def step_forms(length: int) -> dict[str, Callable[[], list[Tensor]]]:
    """Make one step of writing, with a cache of so many tokens, by heads that share keys or not."""
    query, key, value = inputs(length)
    q, k, v = query[:, :, -1:], key[:, :1].contiguous(), value[:, :1].contiguous()
    copies = [x.expand(-1, HEADS, -1, -1).contiguous() for x in (k, v)]
    low = [quantize(x, 8) for x in copies]
    calls: dict[str, Callable[[], Tensor]] = {
        "multi-head": lambda: fused_attend(q, *copies),
        "multi-query": lambda: grouped_attend(q, k, v),
        "multi-head, 8 bits": lambda: fused_attend(q, *map(dequantize, low)),
    }
    return {name: partial(forward, call, ()) for name, call in calls.items()}


def time_step(length: int, effort: Effort) -> Case:
    """Time one step of writing; with the same keys in every head, all must find the same."""
    calls = step_forms(length)
    return compare(
        calls,
        reference="multi-head",
        settings={"measured": "a step with a cache", "pass": "forward", "length": length},
        equal=lambda: assert_equal({n: call() for n, call in calls.items()}, "multi-head", 0.01),
        effort=effort,
        threads=THREADS,
    )
