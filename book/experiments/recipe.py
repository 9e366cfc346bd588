"""Chapter 7: the recipe on German numbers, each ingredient left out in turn, at two learning rates."""

import math
from typing import Any

from book.experiments.running import run_all
from minattn.recipe import Recipe, train
from minattn.schedules import Constant, Cosine, OneCycle, Schedule, WarmUp
from minattn.tasks import number_words
from minattn.training import evaluate, mean_accuracy, seeded
from minattn.transformer import TransformerTranslator

STEPS = 600
WARM_UP = 0.2


def schedules(steps: int) -> dict[str, Schedule]:
    """Make every schedule for so many steps."""
    return {
        "one cycle": OneCycle(steps, warm_up=WARM_UP),
        "no warm-up": Cosine(steps),
        "no decay": WarmUp(round(WARM_UP * steps), then=Constant()),
        "neither": Constant(),
    }


CHANGES: dict[str, dict[str, Any]] = {
    "full": {},
    "no warm-up": {"schedule": "no warm-up"},
    "no decay": {"schedule": "no decay"},
    "neither": {"schedule": "neither"},
    "no clipping": {"clip": float("inf")},
    "smoothing": {"smoothing": 0.1},
    "slow Adam": {"betas": (0.9, 0.999)},
    "random batches": {"by_length": False},
}
ARMS: dict[str, dict[str, Any]] = {
    f"{change}, rate {rate}": {"learning_rate": rate, **settings}
    for rate in (0.003, 0.01)
    for change, settings in CHANGES.items()
} | {
    f"{change}, 300 steps": {"steps": 300, **CHANGES[change]}
    for change in ("full", "no warm-up", "random batches")
}


def run(
    seed: int, schedule: str = "one cycle", steps: int = STEPS, **settings: Any
) -> dict[str, Any]:
    """Train one model and measure it."""
    task = number_words()
    with seeded(seed):
        model = TransformerTranslator(len(task.source), len(task.target), d_ff=128, n_layers=2)
    recipe = Recipe(
        steps=steps,
        seed=seed,
        **({"betas": (0.9, 0.98), "schedule": schedules(steps)[schedule]} | settings),
    )
    losses = train(model, task, recipe, progress=False)
    accuracy = evaluate(model, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
        "highest loss after step 100": max(losses[100:], default=math.nan),
    }


def main() -> None:
    """Run all arms."""
    run_all("recipe", ARMS, run)


if __name__ == "__main__":
    main()
