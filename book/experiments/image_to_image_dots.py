"""Chapter 18: a grey photo and sixteen coloured dots, where every pixel asks the dots for its colour."""

import time
from typing import Any

from torch import Tensor, nn

from book.experiments.image_to_image_measures import coloured_well
from book.experiments.image_to_image_models import make_colourer
from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.pictures.routing import decibels
from minattn.schedules import Cosine, WarmUp
from minattn.tasks.coloured_dots import Dotted, dotted_batches
from minattn.training import seeded

STEPS, BATCH_SIZE, WARM_UP = 400, 8, 30
RATES = {"attention": 6e-3}
"""The others learn best at 3e-3, which was chosen on the validation part, as this was."""
N_TEST, TEST_SEED = 100, 1

ARMS: dict[str, dict[str, Any]] = {
    "attention": {},
    "convolution": {"kind": "convolution"},
    "over nearest dots": {"kind": "over nearest dots"},
    "kernel": {"kind": "kernel"},
    "nearest dot": {"kind": "nearest dot"},
    "mean of the dots": {"kind": "mean of the dots"},
}


def unlike(model: nn.Module, batch: Dotted) -> Tensor:
    """Return what is measured, with a minus: the mean decibels of the crops."""
    return -decibels(model(batch.grey, batch.place, batch.dots), batch.colour).mean()


def recipe(kind: str, seed: int, steps: int = STEPS) -> Recipe:
    """Return how the models of an arm are trained."""
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=RATES.get(kind, 3e-3),
        schedule=WarmUp(WARM_UP, Cosine(steps - WARM_UP, end=0.02)),
        seed=seed,
    )


def run(
    seed: int, kind: str = "attention", steps: int = STEPS, turned: bool = True
) -> dict[str, Any]:
    """Train one model on the Americas, and measure it on crops that nothing was chosen by."""
    with seeded(seed):
        model = make_colourer(kind)
    start = time.process_time()
    losses: list[float] = []
    if list(model.parameters()):
        batches = dotted_batches(BATCH_SIZE, turned=turned, seed=seed)
        losses = learn(model, batches, unlike, recipe(kind, seed, steps), progress=False)
    return {
        "weights": n_weights(model),
        "seconds": round(time.process_time() - start, 1),
        **coloured_well(model, turned, N_TEST, TEST_SEED),
        "losses": [round(loss, 3) for loss in averaged(losses, 20)],
    }


def main() -> None:
    """Run the arms that the chapter compares."""
    run_all("image_to_image_dots", ARMS, run)


if __name__ == "__main__":
    main()
