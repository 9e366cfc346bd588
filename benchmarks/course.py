"""The course itself: how long its imports, its notebooks, its build and its tests take."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Case, Effort, Goal, compare, report

BIN = ROOT / ".venv" / "bin"
ARC_SECONDS = 240  # for all chapters from the first on, on two cores
SUITE_SECONDS = 900  # for `make test`
IMPORTS = {
    "torch": "import torch",
    # and with these all that is below them
    "minattn": "import minattn.decoding, minattn.recipe, minattn.subwords",
}


def measure(effort: Effort) -> list[Case]:
    """Time imports, notebooks, build and tests; nothing of it is quick."""
    return [] if effort.quick else [imports(effort), notebooks(), suite()]


def imports(effort: Effort) -> Case:
    """Time a fresh Python that imports torch, and one that imports minattn, and torch with it."""

    def call(statement: str) -> None:
        subprocess.run([BIN / "python", "-c", statement], check=True)

    return compare(
        {name: partial(call, statement) for name, statement in IMPORTS.items()},
        reference="torch",
        settings={"measured": "import"},
        goals=[Goal("minattn", at_most=1.15)],
        effort=effort,
    )


def notebooks() -> Case:
    """Execute all chapters from the first on, two at a time, each on one thread."""
    found = (path for path in (ROOT / "notebooks").glob("*.ipynb") if path.name >= "01")
    chapters = sorted(found, reverse=True)  # the last is the longest
    start = time.perf_counter()
    with ThreadPoolExecutor(max_workers=2) as pool:
        took = list(pool.map(execute, chapters))
    total = time.perf_counter() - start
    parts = {path.stem: part for path, part in zip(chapters, took, strict=True)}
    last = int(chapters[0].name.partition("_")[0])
    return against_bar(f"chapters 1 to {last}", total, ARC_SECONDS, parts)


def suite() -> Case:
    """Run everything that `make test` runs, after a build of the book from nothing."""
    shutil.rmtree(ROOT / "_build", ignore_errors=True)
    parts = {}
    for target in ("book", "lint", "unit", "nbval", "page"):
        start = time.perf_counter()
        subprocess.run(["make", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        parts[target] = {"seconds": time.perf_counter() - start}
    total = sum(part["seconds"] for part in parts.values())
    return against_bar("make test", total, SUITE_SECONDS, parts)


def against_bar(what: str, seconds: float, bar: float, parts: dict[str, Any]) -> Case:
    """Compare the seconds of something with those it may take."""
    case = Case(
        settings={"measured": what},
        reference="bar",
        ratios={"minattn": (seconds / bar,) * 3},
        seconds={"minattn": seconds, "bar": bar},
        goals=[Goal("minattn", at_most=1.0)],
        more=parts,
    )
    report(case)
    return case


def execute(notebook: Path) -> dict[str, Any]:
    """Execute a notebook by a process of its own, which says what it took."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.course", notebook],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(notebook: str) -> None:
    """Execute a notebook; print seconds, and the peak memory of the largest process."""
    start = time.perf_counter()
    subprocess.run(
        [BIN / "jupyter", "execute", "--timeout=600", notebook],
        check=True,
        stdout=sys.stderr,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"seconds": seconds, "bytes": peak}))


if __name__ == "__main__":
    main(sys.argv[1])
