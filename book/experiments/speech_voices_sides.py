"""Chapter 14: the experiment `speech_voices` without attention, with three seeds."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.speech_voices import run

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "last state": {"kind": "last"},
    "mean": {"kind": "mean"},
}


def main() -> None:
    """Run both arms."""
    run_all("speech_voices_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
