"""Chapter 7: one model for two target languages, against one model for each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from book.experiments.running import run_all
from minattn.recipe import Recipe, train
from minattn.schedules import OneCycle
from minattn.tasks import TO_ENGLISH, TO_FRENCH, Task, two_languages
from minattn.tasks.base import Example
from minattn.training import evaluate, mean_accuracy, seeded
from minattn.transformer import TransformerTranslator

STEPS = 2000
LANGUAGES = {"English": TO_ENGLISH, "French": TO_FRENCH}
ARMS: dict[str, dict[str, Any]] = {
    "both": {"languages": ["English", "French"]},
    "English": {"languages": ["English"], "steps": STEPS // 2},
    "French": {"languages": ["French"], "steps": STEPS // 2},
}


def only(examples: Sequence[Example], languages: Sequence[str]) -> tuple[Example, ...]:
    """Pick the examples of some languages."""
    tokens = {LANGUAGES[language] for language in languages}
    return tuple(example for example in examples if example.source[0] in tokens)


def run(seed: int, languages: Sequence[str], steps: int = STEPS) -> dict[str, Any]:
    """Train one model on one language or both, and measure it in each."""
    task: Task = two_languages()
    task = replace(task, train=only(task.train, languages))
    with seeded(seed):
        model = TransformerTranslator(len(task.source), len(task.target), d_ff=128, n_layers=2)
    recipe = Recipe(
        steps=steps, seed=seed, betas=(0.9, 0.98), schedule=OneCycle(steps, warm_up=0.2)
    )
    train(model, task, recipe, progress=False)
    accuracy = {name: evaluate(model, task, only(task.held_out, [name])) for name in languages}
    return {
        "accuracy": accuracy,
        **{name: mean_accuracy(by_length) for name, by_length in accuracy.items()},
    }


def main() -> None:
    """Run all arms."""
    run_all("two_languages", ARMS, run)


if __name__ == "__main__":
    main()
