"""Chapter 10: the GPT of two layers, trained on short functions for 1,200 steps."""

from book.experiments import gpt as experiment
from minattn.language.gpt import GPT
from minattn.recipe import train as train_by
from minattn.tasks.functions import python_functions


def build() -> GPT:
    """Make it, untrained."""
    words = experiment.make_task(python_functions()).target
    return experiment.make_model(len(words), seed=0)


def train(model: GPT) -> dict[str, float]:
    """Train it, and return the bits a token that held-out functions take, those to choose by and the others."""
    functions = python_functions()
    task = experiment.make_task(functions)
    train_by(model, task, experiment.recipe(seed=0), progress=False)
    found = {}
    for part in ("validation", "test"):
        ids = experiment.encoded(getattr(functions, part), functions, task.target)
        found[f"{part}, bits a token"] = float(experiment.surprise(model, ids).mean())
    return found
