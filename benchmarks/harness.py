"""Time things side by side, after seeing that they give the same, and keep the results."""

import importlib
import itertools
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from book.experiments.running import made
from book.tools.writing import write_whole

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
PEERS = ("x-transformers", "transformers")
THREADS = 1


@dataclass(frozen=True)
class Effort:
    """How hard to look: rounds over all contestants, and the least length of one sample in seconds."""

    rounds: int
    sample: float
    quick: bool = False


FULL = Effort(rounds=11, sample=0.05)
QUICK = Effort(rounds=5, sample=0.01, quick=True)


@dataclass(frozen=True)
class Goal:
    """What the ratio of a contestant ought to be."""

    contestant: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough."""
        return (self.at_most is None or ratio <= self.at_most) and (
            self.at_least is None or ratio >= self.at_least
        )

    def __str__(self) -> str:
        bar = f"<= {self.at_most}" if self.at_most is not None else f">= {self.at_least}"
        return f"{self.contestant} {bar}"


@dataclass
class Case:
    """One comparison: the same work done by several contestants, one of which is the measure of the others.

    Args:
        settings: what was compared, by name: lengths, sizes, mode.
        reference: the contestant that has the ratio 1.
        ratios: for each other contestant the median of the ratios of its time to that of the reference, taken
            round by round, and the ends of a 95 % interval of that median: (low, median, high).
        seconds: for each contestant the median time of one call.
        difference: the largest difference of a contestant's result from the reference's.
        goals: what the ratios ought to be.
        more: other things that were measured, for each contestant, by name.
    """

    settings: dict[str, Any]
    reference: str
    ratios: dict[str, tuple[float, float, float]]
    seconds: dict[str, float]
    difference: float = 0.0
    goals: list[Goal] = field(default_factory=list)
    more: dict[str, dict[str, Any]] = field(default_factory=dict)


def assert_equal(
    outputs: Mapping[str, Sequence[Tensor]], reference: str, tolerance: float
) -> float:
    """Return the largest difference from the reference, relative to its largest number if that is above 1.

    Raises:
        AssertionError: naming the contestant whose result is another one.
    """
    largest = 0.0
    for name, found in outputs.items():
        assert len(found) == len(outputs[reference]), f"{name} gives {len(found)} results"
        for ours, theirs in zip(found, outputs[reference], strict=True):
            assert ours.shape == theirs.shape, f"{name}: {ours.shape}, {reference}: {theirs.shape}"
            # Of large numbers the last digits are larger.
            size = max(1.0, theirs.abs().max().item())
            difference = (ours.double() - theirs.double()).abs().max().item() / size
            assert difference <= tolerance, f"{name} differs from {reference} by {difference:.2g}"
            largest = max(largest, difference)
    return largest


def compare(
    contestants: Mapping[str, Callable[[], Any]],
    *,
    reference: str,
    settings: dict[str, Any],
    effort: Effort,
    equal: Callable[[], float] | None = None,
    goals: Sequence[Goal] = (),
    threads: int = THREADS,
) -> Case:
    """Time contestants in turns.

    Args:
        contestants: what to call, by name.
        reference: the name of the one that has the ratio 1.
        settings: what is compared.
        effort: how hard to look.
        equal: called first; asserts that all give the same, and returns the largest difference.
        goals: what the ratios ought to be.
        threads: of torch.
    """
    difference = 0.0 if equal is None else equal()
    timers = {
        name: Timer("call()", globals={"call": call}, num_threads=threads)
        for name, call in contestants.items()
    }
    numbers = {}
    for name, timer in timers.items():
        once = min(timer.timeit(1).mean for _ in range(3))  # and a warm-up
        numbers[name] = max(1, round(effort.sample / once))
    times: dict[str, list[float]] = {name: [] for name in timers}
    orders = itertools.cycle([list(timers), list(reversed(timers))])
    for _, order in zip(range(effort.rounds), orders, strict=False):
        for name in order:
            times[name].append(timers[name].timeit(numbers[name]).mean)
    return judged(
        times, reference, settings | {"threads": threads}, difference=difference, goals=goals
    )


def judged(
    times: Mapping[str, Sequence[float]],
    reference: str,
    settings: dict[str, Any],
    difference: float = 0.0,
    goals: Sequence[Goal] = (),
) -> Case:
    """Make a case of the times that contestants took, round by round, and report it."""
    ratios = {
        name: interval([a / b for a, b in zip(found, times[reference], strict=True)])
        for name, found in times.items()
        if name != reference
    }
    seconds = {name: statistics.median(found) for name, found in times.items()}
    case = Case(settings, reference, ratios, seconds, difference, list(goals))
    report(case)
    return case


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median between the ends of its 95 % interval, which are two of the values in order."""
    ordered = sorted(values)
    n = len(ordered)
    half = math.ceil(0.98 * n**0.5)  # 1.96 standard deviations of a fair coin, in places
    low, high = max(0, (n - 1) // 2 - half), min(n - 1, n // 2 + half)
    return ordered[low], statistics.median(ordered), ordered[high]


def peak_memory(call: str, *arguments: object) -> int:
    """Run ``module.function`` with arguments in a fresh process; return by how many bytes its memory grew, on Linux.

    The function does everything that shall not count, then returns what shall.
    """
    command = [sys.executable, "-m", "benchmarks.harness", call, json.dumps(arguments)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"{call}{arguments} did not end well:\n{found.stderr}")
    return int(found.stdout)


def _print_peak_memory(call: str, arguments: list[Any]) -> None:
    module, function = call.split(".")
    torch.set_num_threads(THREADS)
    work = getattr(importlib.import_module(f"benchmarks.{module}"), function)(*arguments)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what was before
    kept = work()
    print(_memory("VmHWM") - before)
    del kept


def _memory(what: str) -> int:
    """Read from Linux how much memory this process has (VmRSS), or had at most (VmHWM), in bytes."""
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)
    ]
    return int(line.split()[1]) * 1024


def report(case: Case) -> None:
    """Print a case in one line."""
    what = ", ".join(f"{name} {value}" for name, value in case.settings.items())
    ratios = ", ".join(
        f"{name} {mid:.2f} ({low:.2f}-{high:.2f})" for name, (low, mid, high) in case.ratios.items()
    )
    missed = [str(goal) for goal in case.goals if not goal.met(case.ratios[goal.contestant][1])]
    tail = f"  MISSED: {', '.join(missed)}" if missed else ""
    print(f"{what} | {case.reference} 1, {ratios}{tail}", flush=True)


def keep(name: str, cases: Sequence[Case], effort: Effort) -> None:
    """Write the cases of a part to ``results/<name>.json``; those of a quick look are only printed."""
    if effort.quick:
        return
    about = made(f"make bench ONLY={name}", ("torch", "numpy", *PEERS))
    about["rounds"] = effort.rounds
    stored = {"made": about, "cases": [asdict(case) for case in cases]}
    text = json.dumps(stored, indent=1, default=str) + "\n"
    write_whole(RESULTS / f"{name}.json", text)


if __name__ == "__main__":
    _print_peak_memory(sys.argv[1], json.loads(sys.argv[2]))
