"""What every experiment script needs: run all arms over all seeds, and store the results with their making."""

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

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
    RESULTS.mkdir(exist_ok=True)
    store(RESULTS / f"{name}.json", {"made": about, "arms": measured})


def made(command: str, packages: Sequence[str]) -> dict[str, Any]:
    """Say how results were made: by which command, with which versions, on which processor."""
    return {
        "command": command,
        "versions": {package: version(package) for package in packages},
        "python": platform.python_version(),
        "processor": processor(),
    }


def store(path: Path, content: dict[str, Any]) -> None:
    """Write results as JSON, all of it or nothing."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _brief(run: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:.3f}" for key, value in run.items() if isinstance(value, float))
