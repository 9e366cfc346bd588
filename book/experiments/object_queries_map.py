"""Chapter 16: one query for each class, which asks every pixel whether it shows that class."""

from typing import Any

from torch import Tensor

from book.experiments.measuring import averaged, n_weights
from book.experiments.object_queries_masks import (
    asked,
    make_segmenting,
    mapped,
    overlapping_test,
    teach,
)
from book.experiments.running import run_all
from minattn.pictures.queries import Things
from minattn.pictures.segments import labels_of, map_loss
from minattn.tasks.emoji import CLASSES, UNSEEN

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {"class tokens": {}}


def by_map(model: Any, things: Things) -> Tensor:
    """Let the classes compete for every pixel."""
    return map_loss(model(things.cells, things.pictures), labels_of(things, len(CLASSES)))


def run(seed: int) -> dict[str, Any]:
    """Train one model, and measure it on scenes that nothing was chosen by."""
    model = make_segmenting(seed, n_queries=len(CLASSES) + 1)
    losses = teach(model, seed, by_map)
    test, other = overlapping_test(), overlapping_test(UNSEEN)
    return {
        "map": mapped(asked(model, test).masks.argmax(1), test),
        "unseen designer": mapped(asked(model, other).masks.argmax(1), other),
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the only arm."""
    run_all("object_queries_map", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
