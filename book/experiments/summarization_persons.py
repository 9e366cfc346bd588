"""Chapter 13: headlines of people who lived, by the model of the experiment `summarization`."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.summarization import run

KINDS = ("pointer", "no pointer", "rules")
ARMS: dict[str, dict[str, Any]] = {kind: {"name": "persons", "kind": kind} for kind in KINDS}


def main() -> None:
    """Run all arms."""
    run_all("summarization_persons", ARMS, run)


if __name__ == "__main__":
    main()
