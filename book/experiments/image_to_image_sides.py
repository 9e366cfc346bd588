"""Chapter 18: changes to the router of the experiment `image_to_image`, and two faults, with three seeds."""

from typing import Any

from book.experiments.image_to_image import run
from book.experiments.running import run_all

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "content in keys": {"kind": "content in keys"},
    "linear maps": {"kind": "linear maps", "steps": 300},
    "convolution, longer": {"kind": "convolution", "steps": 1_000, "batch_size": 16},
    "mirrored apart": {"apart": True},
    "folded across": {"kind": "folded across"},
}


def main() -> None:
    """Run all arms."""
    run_all("image_to_image_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
