"""Chapter 14: one change to the model of the experiment `speech` in each arm, with three seeds."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.speech import run

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "location": {"kind": "location"},
    "last state": {"kind": "last"},
    "mean": {"kind": "mean"},
}


def main() -> None:
    """Run all arms."""
    run_all("speech_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
