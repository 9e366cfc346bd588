"""Chapter 1: how long a sentence fits into one vector? Width of the vector, and steps of training."""

from typing import Any

from book.experiments.running import run_all
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded

STEPS = 600
BATCH_SIZE = 32

ARMS: dict[str, dict[str, Any]] = {
    "d_model 32": {"d_model": 32},
    "d_model 64": {"d_model": 64},
    "d_model 128": {"d_model": 128},
    "d_model 64, 4 x steps": {"d_model": 64, "steps": 4 * STEPS},
    "d_model 128, 4 x steps": {"d_model": 128, "steps": 4 * STEPS},
}


def run(seed: int, d_model: int, steps: int = STEPS) -> dict[str, Any]:
    """Train one fixed-vector model and measure it on held-out numbers and on training numbers."""
    task = number_words()
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source), len(task.target), d_model=d_model, attends="before"
        )
    losses = fit(model, task, steps=steps, seed=seed, batch_size=BATCH_SIZE, progress=False)
    accuracy = evaluate(model, task)
    long_train = [example for example in task.train if example.length == 12][:200]
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "seen at 12": evaluate(model, task, long_train)[12],
        "loss": sum(losses[-50:]) / 50,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def main() -> None:
    """Run all arms."""
    run_all("context_vector", ARMS, run)


if __name__ == "__main__":
    main()
