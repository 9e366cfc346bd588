"""Chapter 12: one model for twelve tasks, trained for 3,200 steps."""

from book.experiments import t5 as experiment
from minattn.language.t5 import T5
from minattn.language.text_to_text import TextExample
from minattn.recipe import train as train_by


def build() -> T5:
    """Make it, untrained."""
    return experiment.make_model(len(experiment.task_of().source), seed=0)


def train(model: T5) -> dict[str, float]:
    """Train it, and return which share of every task is right, on numbers that it has not seen in any."""
    task = experiment.task_of()
    train_by(model, task, experiment.recipe(seed=0), progress=False)
    test = [example for example in task.held_out if isinstance(example, TextExample)]
    found: dict[str, float] = experiment.measured(model, task, test)["exact"]
    return found
