"""From 2014 to 2017: every model of the course on the same numbers, with the same number of steps."""

import time
from collections.abc import Callable
from typing import Any

from book.experiments.running import run_all
from book.experiments.transformer import BATCH_SIZE, D_FF, D_MODEL
from minattn.alignment import AdditiveAttention, MultiplicativeAttention
from minattn.dot_product import DotProductAttention
from minattn.recipe import Recipe, train
from minattn.recurrent import RecurrentTranslator
from minattn.schedules import OneCycle
from minattn.tasks import Task, number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.transformer import TransformerTranslator
from minattn.translation import Translator

MODELS = (
    "fixed vector",
    "additive attention",
    "multiplicative attention",
    "three projections",
    "Transformer",
    "Transformer, chapter 7",
)
STEPS = 1000

ARMS: dict[str, dict[str, Any]] = (
    {model: {"model": model, "steps": STEPS} for model in MODELS}
    | {f"{model}, {n} steps": {"model": model, "steps": n} for n in (100, 300) for model in MODELS}
    | {
        f"{model}, to 8 digits": {"model": model, "steps": STEPS, "max_digits": 8}
        for model in MODELS
    }
)


def make_model(task: Task, name: str) -> Translator:
    """Make a model of the course, as wide as the others."""
    vocabularies = len(task.source), len(task.target)
    if name.startswith("Transformer"):
        return TransformerTranslator(*vocabularies, d_model=D_MODEL, d_ff=D_FF, n_layers=2)
    if name == "fixed vector":
        return RecurrentTranslator(*vocabularies, d_model=D_MODEL, attends="before")
    make: dict[str, Callable[[], Any]] = {
        "additive attention": lambda: AdditiveAttention(D_MODEL, D_MODEL, D_MODEL),
        "multiplicative attention": lambda: MultiplicativeAttention(
            D_MODEL, D_MODEL, temperature=8.0
        ),
        "three projections": lambda: DotProductAttention(
            d_query=D_MODEL, d_key=D_MODEL, d_k=D_MODEL, d_v=D_MODEL
        ),
    }
    return RecurrentTranslator(
        *vocabularies,
        d_model=D_MODEL,
        attend=make[name](),
        attends="before" if name == "additive attention" else "after",
        bidirectional=True,
    )


def run(seed: int, model: str, steps: int, max_digits: int = 12) -> dict[str, Any]:
    """Train one model and measure it on held-out numbers of all lengths, also longer than those of training."""
    task, trained_on = number_words(), number_words(max_digits=max_digits)
    with seeded(seed):
        translator = make_model(task, model)
    start = time.process_time()
    if model == "Transformer, chapter 7":
        recipe = Recipe(
            steps=steps,
            seed=seed,
            batch_size=BATCH_SIZE,
            betas=(0.9, 0.98),
            schedule=OneCycle(steps, warm_up=0.2),
        )
        losses = train(translator, trained_on, recipe, progress=False)
    else:
        losses = fit(
            translator,
            trained_on,
            steps=steps,
            seed=seed,
            batch_size=BATCH_SIZE,
            learning_rate=3e-3 if model == "Transformer" else 5e-3,
            progress=False,
        )
    seconds = time.process_time() - start
    accuracy = evaluate(translator, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
        "examples": steps * BATCH_SIZE,
        "d_model": D_MODEL,
        "parameters": sum(parameter.numel() for parameter in translator.parameters()),
        "seconds of one thread": seconds,
    }


def main() -> None:
    """Run all arms."""
    run_all("timeline", ARMS, run)


if __name__ == "__main__":
    main()
