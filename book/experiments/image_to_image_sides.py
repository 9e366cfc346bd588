"""Chapter 18: changes to the router of the experiment `image_to_image`, some faults, and a task that is aligned."""

from typing import Any

from book.experiments.image_to_image import CONVOLVED, run
from book.experiments.running import run_all

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "content in keys": {"kind": "content in keys"},
    "linear maps": {"kind": "linear maps", "steps": 300},
    "convolution, longer": {"kind": "convolution", "steps": 1_000, "batch_size": 16},
    "two coins": {"coins": "apart"},
    "one coin": {"coins": "together"},
    "one coin, and the command": {"coins": "command"},
    "outlines by attention": {"outline": True},
    "outlines by convolution": {"kind": "convolution", "outline": True, **CONVOLVED},
    "folded across": {"kind": "folded across"},
}


def main() -> None:
    """Run all arms."""
    run_all("image_to_image_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
