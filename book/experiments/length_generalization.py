"""Chapter 4: train on short lists, test on longer ones, with each way to tell positions."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.self_attention import LEARNING_RATE, STEPS, TASKS, make_model
from minattn.training import evaluate, fit

SHORT = 10
ARMS: dict[str, dict[str, Any]] = {
    f"{task}, {positions}": {
        "task": task,
        "n_layers": 1 if task == "previous token" else 2,
        "positions": positions,
    }
    for task in ("previous token", "reversal")
    for positions in ("sinusoidal", "learned", "rotary")
}


def run(seed: int, task: str, **settings: Any) -> dict[str, Any]:
    """Train on lists of 3 to 10 letters, and evaluate on lists of 3 to 20."""
    short = TASKS[task](max_length=SHORT)
    model = make_model(short, seed, **settings)
    fit(model, short, steps=STEPS, seed=seed, learning_rate=LEARNING_RATE, progress=False)
    accuracy = evaluate(model, short) | evaluate(model, TASKS[task](min_length=SHORT + 1))
    return {
        "accuracy": accuracy,
        "short": sum(accuracy[n] for n in range(3, SHORT + 1)) / (SHORT - 2),
        "long": sum(accuracy[n] for n in range(SHORT + 1, 21)) / (20 - SHORT),
    }


def main() -> None:
    """Run all arms."""
    run_all("length_generalization", ARMS, run)


if __name__ == "__main__":
    main()
