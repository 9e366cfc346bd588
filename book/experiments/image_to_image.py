"""Chapter 18: turn or mirror a picture as told, where every pixel of the answer lies somewhere else."""

import time
from typing import Any

from torch import Tensor, nn

from book.experiments.image_to_image_measures import (
    mirrored_by,
    outlined,
    photo_crops,
    turned_well,
)
from book.experiments.image_to_image_models import make_turner
from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.schedules import Cosine, WarmUp
from minattn.tasks.turned_pictures import Turned, turned_pictures
from minattn.training import seeded

STEPS, BATCH_SIZE, WARM_UP = 1_600, 64, 30
CONVOLVED = {"steps": 250, "batch_size": 16}
"""For convolutions, which take more time even so."""
RATES = {"whole picture": 3e-3} | dict.fromkeys(
    ("convolution", "dilated convolution", "linear maps"), 1e-2
)
"""The routers learn at 6e-3, where no seed misses a patch; all were chosen on the validation part."""
TASK_SEED = 1
"""Of canvases that no choice was made by; the recipe was found on those of seed 0."""

ARMS: dict[str, dict[str, Any]] = {
    "attention": {},
    "uniform": {"kind": "uniform"},
    "convolution": {"kind": "convolution", **CONVOLVED},
    "dilated convolution": {"kind": "dilated convolution", **CONVOLVED},
    "whole picture": {"kind": "whole picture"},
    "unchanged": {"kind": "unchanged"},
}


def squared_error(model: nn.Module, batch: Turned) -> Tensor:
    """Return the mean squared error of a batch."""
    error: Tensor = (model(batch.picture, batch.command) - batch.answer).square().mean()
    return error


def recipe(kind: str, seed: int, steps: int, batch_size: int) -> Recipe:
    """Return how the models of an arm are trained."""
    return Recipe(
        steps=steps,
        batch_size=batch_size,
        learning_rate=RATES.get(kind, 6e-3),
        schedule=WarmUp(WARM_UP, Cosine(steps - WARM_UP, end=0.02)),
        seed=seed,
    )


def run(
    seed: int,
    kind: str = "attention",
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    coins: str = "",
    outline: bool = False,
) -> dict[str, Any]:
    """Train one model on digits, and measure it on digits of others and on photos."""
    task = turned_pictures(seed=TASK_SEED)
    with seeded(seed):
        model = make_turner(kind)
    batches = task.batches(batch_size, seed=seed)
    start = time.process_time()
    losses: list[float] = []
    if list(model.parameters()):
        shown = mirrored_by(coins, batches, seed) if coins else batches
        shown = outlined(shown) if outline else shown
        how = recipe(kind, seed, steps, batch_size)
        losses = learn(model, shown, squared_error, how, progress=False)
    test = [task.held_out, photo_crops()]
    digits, photos = outlined(test) if outline else test
    return {
        "weights": n_weights(model),
        "seconds": round(time.process_time() - start, 1),
        "digits": turned_well(model, digits),
        "photos": turned_well(model, photos),
        "losses": [round(loss, 5) for loss in averaged(losses, 50)],
    }


def main() -> None:
    """Run the arms that the chapter compares."""
    run_all("image_to_image", ARMS, run)


if __name__ == "__main__":
    main()
