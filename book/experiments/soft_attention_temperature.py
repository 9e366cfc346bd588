"""Chapter 2, over seeds: a trained model whose attention is made harder or softer from outside."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.soft_attention import BATCH_SIZE, D_MODEL, STEPS
from minattn.alignment import MultiplicativeAttention, hard, with_temperature
from minattn.recording import attending
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import Task, number_words
from minattn.training import evaluate, fit, seeded

ARMS: dict[str, dict[str, Any]] = {
    "hard": {"temperature": None},
    "temperature 0.3": {"temperature": 0.3},
    "temperature 2": {"temperature": 2.0},
    "temperature 8": {"temperature": 8.0},
}


def trained(seed: int) -> tuple[RecurrentTranslator, Task]:
    """Train the chapter's multiplicative model."""
    task = number_words()
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source),
            len(task.target),
            attend=MultiplicativeAttention(D_MODEL, D_MODEL, temperature=8.0),
            attends="after",
            bidirectional=True,
        )
    fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    return model, task


def run(seed: int, temperature: float | None) -> dict[str, Any]:
    """Measure the model at twelve digits with its attention changed."""
    model, task = trained(seed)
    with attending(
        model, lambda a: hard(a) if temperature is None else with_temperature(a, temperature)
    ):
        return {"accuracy": evaluate(model, task, task.held_out_of(12))}


def main() -> None:
    """Run all arms."""
    run_all("soft_attention_temperature", ARMS, run)


if __name__ == "__main__":
    main()
