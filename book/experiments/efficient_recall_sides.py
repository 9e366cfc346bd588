"""Chapter 22: recall by two more forms, beside those of ``efficient_recall``: shared keys, and a strided mask."""

from typing import Any

from book.experiments.efficient_recall import run
from book.experiments.running import run_all

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "multi-query": {"form": "multi-query"},
    "strided": {"form": "strided"},
}


def main() -> None:
    """Run all arms."""
    run_all("efficient_recall_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
