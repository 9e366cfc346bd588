"""What every experiment script needs: run all arms over all seeds, and store the results with their making."""

import json
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from book.experiments.fingerprint import fingerprint
from book.tools.writing import write_whole

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2, 3, 4)


def processor() -> str:
    """Name the processor as the system does, without anything else about the machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def run_all(
    name: str,
    arms: dict[str, dict[str, Any]],
    run: Callable[..., dict[str, Any]],
    seeds: Sequence[int] = SEEDS,
) -> None:
    """Run every arm with every seed and write ``results/<name>.json``, all of it or nothing.

    Args:
        name: the experiment.
        arms: settings of each arm, handed to ``run`` by name.
        run: ``run(seed=..., **settings)`` returns the measurements of one run.
        seeds: the seeds.
    """
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same digits again
    fingerprints = {arm: fingerprint(run, arms[arm], seeds[0]) for arm in arms}
    measured: dict[str, list[dict[str, Any]]] = {}
    for arm, settings in arms.items():
        measured[arm] = []
        for seed in seeds:
            measured[arm].append({"seed": seed, **run(seed=seed, **settings)})
            print(
                f"{name} | {arm} | seed {seed} | {_brief(measured[arm][-1])}",
                file=sys.stderr,
                flush=True,
            )
    about = made(f"make experiments ONLY={name}", ("torch", "numpy", "num2words"))
    about |= {"seeds": list(seeds), "settings": arms}
    store_results(name, about, fingerprints, measured)


def store_results(
    name: str, about: dict[str, Any], fingerprints: dict[str, Any], arms: dict[str, Any]
) -> None:
    """Write ``results/<name>.json``; a fingerprint takes one line, for nobody reads it."""
    lines = [f"  {json.dumps(arm)}: {json.dumps(found)}" for arm, found in fingerprints.items()]
    parts = [
        f' "made": {_indented(about)}',
        ' "fingerprints": {\n' + ",\n".join(lines) + "\n }",
        f' "arms": {_indented(arms)}',
    ]
    write_whole(RESULTS / f"{name}.json", "{\n" + ",\n".join(parts) + "\n}\n")


def _indented(part: Any) -> str:
    return json.dumps(part, indent=1, default=str).replace("\n", "\n ")


def made(command: str, packages: Sequence[str]) -> dict[str, Any]:
    """Say how results were made: by which command, with which versions, on which processor."""
    return {
        "command": command,
        "versions": {package: version(package) for package in packages},
        "python": platform.python_version(),
        "processor": processor(),
    }


def _brief(run: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:.3f}" for key, value in run.items() if isinstance(value, float))
