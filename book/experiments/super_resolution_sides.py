"""Chapter 17: other ways to the missing detail, each trained at least as long as the arm of `super_resolution`."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.super_resolution import run

SEEDS = (0, 1, 2)

SLOW = 1e-3
"""At the rate of the chapter's model, 4e-3, most of these fall silent: the validation pairs chose this one."""

ARMS: dict[str, dict[str, Any]] = {
    "convolutions": {"kind": "convolutions", "steps": 1200, "learning_rate": SLOW},
    "beside": {"kind": "beside", "steps": 1200, "learning_rate": SLOW},
    "blocks, then convolutions": {"kind": "aligned", "steps": 1200},
    "the same, as short as attention": {"kind": "aligned"},
    "patches": {"kind": "patches", "steps": 1500, "learning_rate": SLOW},
    "patches that attend": {"kind": "patches that attend", "steps": 1500, "learning_rate": SLOW},
}


def main() -> None:
    """Run all arms."""
    run_all("super_resolution_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
