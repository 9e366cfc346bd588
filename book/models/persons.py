"""Chapter 13: the pointer-generator of two thirds of a megabyte that writes headlines about people."""

from book.experiments import summarization as experiment
from book.experiments.summarization_measures import MAX_LENGTH, score
from minattn.language.pointer import PointerGenerator
from minattn.recipe import train as train_by
from minattn.tasks.persons import persons
from minattn.translation import translate


def build() -> PointerGenerator:
    """Make it, untrained."""
    model = experiment.make_model(persons(), seed=0)
    assert isinstance(model, PointerGenerator)
    return model


def train(model: PointerGenerator) -> dict[str, float]:
    """Train it, and return how many headlines are right, word by word, of those to choose by and of the others."""
    task = persons()
    train_by(model, task, experiment.recipe("persons", seed=0), progress=False)
    found = {}
    for part, examples in (("validation", task.validation), ("test", task.held_out)):
        said = translate(model, task, examples, MAX_LENGTH)
        found[f"{part}, exact"] = float(score(task, examples, said)["exact"])
    return found
