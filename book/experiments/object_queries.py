"""Chapter 16: six learned queries find up to three emoji, each with class and box, and look at what they find."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from book.experiments.measuring import averaged, n_weights
from book.experiments.object_queries_measures import (
    asked_otherwise,
    by_number,
    by_query,
    everywhere,
    found,
    seen,
    spread_of_all,
    test_part,
)
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.pictures.patches import WIDTHS
from minattn.pictures.queries import ObjectQueries, Things, draw, set_loss
from minattn.schedules import OneCycle
from minattn.tasks.emoji import CLASSES, TRAINED
from minattn.training import seeded

WIDTH = WIDTHS[-1]
N_TRAIN, TRAIN_SEED = 8000, 1
STEPS, BATCH_SIZE, LEARNING_RATE = 1000, 64, 5e-3

ARMS: dict[str, dict[str, Any]] = {"queries": {}}

Loss = Callable[[Any, Things], Tensor]


def make_model(seed: int, **settings: Any) -> ObjectQueries:
    """Make a model with fresh weights."""
    with seeded(seed):
        return ObjectQueries(WIDTH, len(CLASSES), **settings)


def recipe(seed: int, steps: int = STEPS) -> Recipe:
    """Say how every model of the chapter is trained."""
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        schedule=OneCycle(steps, warm_up=0.15),
        weight_decay=1e-3,
        seed=seed,
    )


def train_part(**settings: Any) -> Things:
    """Return the scenes to learn from."""
    return seen(N_TRAIN, TRAINED, seed=TRAIN_SEED, **settings)


def plain_loss(model: Any, things: Things) -> Tensor:
    """Ask, match and compare."""
    return set_loss(model(things.cells), things)


def teach(model: Any, seed: int, loss: Loss = plain_loss, things: Things | None = None) -> Any:
    """Train a model, and return the loss of every step."""
    how = recipe(seed)
    part = train_part() if things is None else things
    return learn(model, draw(part, how), loss, how, progress=False)


def run(seed: int) -> dict[str, Any]:
    """Train one model, and measure it on scenes that nothing was chosen by."""
    model = make_model(seed)
    losses = teach(model, seed)
    test = test_part()
    return {
        **found(model, test),
        "otherwise": asked_otherwise(model, test),
        "harder": everywhere(model),
        "numbers": by_number(model, test),
        "slots": by_query(model, test),
        "spread of all": spread_of_all(test),
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("object_queries", ARMS, run)


if __name__ == "__main__":
    main()
