"""Chapter 13: headlines of facts whose names nobody has seen, said by pointing, and said without."""

from dataclasses import replace
from typing import Any

from book.experiments.running import run_all
from book.experiments.summarization_measures import (
    MAX_LENGTH,
    by_rarity,
    drawn,
    forbid_unknown,
    pointed,
    rules,
    score,
)
from minattn.language.pointer import PointerGenerator, Summarizer
from minattn.learning import Recipe
from minattn.recipe import train
from minattn.recurrent import FinalStates
from minattn.schedules import HoldAndFall
from minattn.tasks.facts import facts
from minattn.tasks.persons import persons
from minattn.tasks.summaries import SummaryTask
from minattn.training import seeded
from minattn.translation import translate

SIZES = {"facts": 48, "persons": 64}
STEPS = {"facts": 400, "persons": 600}
LEARNING_RATE = {"facts": 1.2e-2, "persons": 1e-2}
BATCH_SIZE = 32

KINDS = ("pointer", "no pointer", "one vector", "rules")
ARMS: dict[str, dict[str, Any]] = {kind: {"name": "facts", "kind": kind} for kind in KINDS}


def make_task(name: str) -> SummaryTask:
    """Make a task by its name."""
    return facts() if name == "facts" else persons()


def make_model(task: SummaryTask, seed: int, kind: str = "pointer") -> Summarizer:
    """Make a model with fresh weights."""
    with seeded(seed):
        size = SIZES[task.name]
        if kind == "pointer":
            return PointerGenerator(len(task.source), size)
        attend = FinalStates() if kind == "one vector" else None
        return Summarizer(len(task.source), size, attend=attend)


def recipe(name: str, seed: int, steps: int | None = None) -> Recipe:
    """Say how a model is trained."""
    steps = STEPS[name] if steps is None else steps
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE[name],
        schedule=HoldAndFall(steps),
        seed=seed,
    )


def run(seed: int, name: str, kind: str) -> dict[str, Any]:
    """Train one model and measure it on texts whose names nobody has seen."""
    task = make_task(name)
    if kind == "rules":
        return rules(task)
    model = make_model(task, seed, kind)
    if kind != "pointer":
        task = replace(task, extended=False)
    losses = train(model, task, recipe(name, seed), progress=False)
    return {"loss": sum(losses[-50:]) / len(losses[-50:]), **measure(model, task)}


def measure(model: Summarizer, task: SummaryTask) -> dict[str, Any]:
    """Measure a trained model; without a pointer, also when it may not say that it does not know a word."""
    chosen = translate(model, task, task.validation, MAX_LENGTH)
    said = translate(model, task, task.held_out, MAX_LENGTH)
    found = {
        "validation": score(task, task.validation, chosen)["exact"],
        "test": score(task, task.held_out, said),
        "rarity": by_rarity(task, task.held_out, said),
        "examples": drawn(said, task.held_out),
    }
    if isinstance(model, PointerGenerator):
        return found | {"pointing": pointed(model, task, task.held_out)}
    fluent = translate(model, task, task.held_out, MAX_LENGTH, forbid_unknown)
    return found | {
        "fluent": score(task, task.held_out, fluent),
        "fluent examples": drawn(fluent, task.held_out),
    }


def main() -> None:
    """Run all arms."""
    run_all("summarization", ARMS, run)


if __name__ == "__main__":
    main()
