"""Chapter 18: colours as they are, longer trainings, and the widths of the kernel, with three seeds."""

from typing import Any

from book.experiments.image_to_image_dots import run as run_dots
from book.experiments.image_to_image_measures import mean_decibels
from book.experiments.running import run_all
from minattn.pictures.colouring import KernelColourer
from minattn.tasks.coloured_dots import coloured_dots

SEEDS = (0, 1, 2)
PLACE_WIDTHS = (8, 12, 16, 24, 32)
GREY_WIDTHS = (0.03, 0.04, 0.06, 0.08, 0.12)
N_VALIDATION = 100

ARMS: dict[str, dict[str, Any]] = {
    "attention, colours as they are": {"kind": "attention", "turned": False},
    "convolution, colours as they are": {"kind": "convolution", "turned": False},
    "kernel, colours as they are": {"kind": "kernel", "turned": False},
    "mean of the dots, colours as they are": {"kind": "mean of the dots", "turned": False},
    "convolution, longer": {"kind": "convolution", "steps": 2_000},
    "widths only": {"kind": "widths only"},
    "widths on the validation part": {"kind": "widths"},
}


def run(seed: int, kind: str, **settings: Any) -> dict[str, Any]:
    """Train and measure one model, or score the kernel with all its widths on the validation part."""
    if kind != "widths":
        return run_dots(seed, kind, **settings)
    batch = coloured_dots("validation", N_VALIDATION, seed=seed)
    return {
        f"{place} pixels": {
            f"{grey}": mean_decibels(KernelColourer(place, grey), batch) for grey in GREY_WIDTHS
        }
        for place in PLACE_WIDTHS
    }


def main() -> None:
    """Run all arms."""
    run_all("image_to_image_dots_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
