"""Chapter 8: one model, read out greedily, with beams and by chance; and what a wrong word does to the next one."""

import random
from typing import Any

import torch

from book.experiments.running import run_all
from minattn.decoding import Cached, beam_search, log_probability, sample
from minattn.recipe import Recipe, train
from minattn.schedules import OneCycle
from minattn.tasks import Task, number_words
from minattn.training import evaluate, mean_accuracy, seeded
from minattn.transformer import TransformerTranslator
from minattn.translation import Translator, greedy
from minattn.vocabulary import EOS

ARMS: dict[str, dict[str, Any]] = {f"{steps} steps": {"steps": steps} for steps in (150, 300, 1100)}
BEAMS = (2, 4, 8)
TEMPERATURES = (0.25, 0.5, 1.0, 1.5)
_UNITS = "one two three four five six seven eight nine".split()


def beams(model: Translator, task: Task) -> dict[str, Any]:
    """Translate the held-out numbers with beams; compare with greedy in accuracy and in probability."""
    batch = task.batch(task.held_out)
    first = greedy(model, batch.source, 30)
    found = {"1": (evaluate(model, task), log_probability(model, batch.source, first))}
    for n in BEAMS:

        def decode(model: Translator, source: torch.Tensor, max_length: int, n: int = n) -> Any:
            return beam_search(model, source, max_length, n_beams=n).best

        best = decode(model, batch.source, 30)
        found[str(n)] = (
            evaluate(model, task, decode=decode),
            log_probability(model, batch.source, best),
        )
    base = found["1"][1]
    return {
        n: {
            "mean accuracy": mean_accuracy(accuracy),
            "likelier": (log_probs > base + 1e-4).double().mean().item(),
            "less likely": (log_probs < base - 1e-4).double().mean().item(),
        }
        for n, (accuracy, log_probs) in found.items()
    }


def by_chance(model: Translator, task: Task, seed: int) -> dict[str, float]:
    """Translate the held-out numbers by drawing every token, at several temperatures."""
    out = {}
    for temperature in TEMPERATURES:

        def decode(
            model: Translator, source: torch.Tensor, max_length: int, t: float = temperature
        ) -> torch.Tensor:
            return sample(model, source, max_length, temperature=t)

        with seeded(seed):
            out[str(temperature)] = mean_accuracy(evaluate(model, task, decode=decode))
    return out


def after_a_wrong_word(model: Translator, task: Task, seed: int) -> dict[str, float]:
    """Put one wrong digit into the right prefix, and count the errors in what comes after.

    Returns:
        The share of wrong guesses at the first, second and third word after it, and at the same places without it.
    """
    rng = random.Random(seed)
    batch = task.batch(task.held_out)
    changed, places = batch.target_in.clone(), []
    ids = task.target.encode(_UNITS)
    for row, target in enumerate(batch.target_in.tolist()):
        units = [place for place, token in enumerate(target) if token in ids]
        place = rng.choice(units) if units else None
        places.append(place)
        if place is not None:
            changed[row, place] = rng.choice([i for i in ids if i != target[place]])
    with torch.no_grad():
        wrong = {
            "right": model(batch.source, batch.target_in).argmax(-1) != batch.target_out,
            "wrong": model(batch.source, changed).argmax(-1) != batch.target_out,
        }
    out = {}
    for name, errors in wrong.items():
        for after in range(3):
            there = [
                bool(errors[row, place + after])
                for row, place in enumerate(places)
                if place is not None and EOS not in batch.target_out[row, : place + after].tolist()
            ]
            out[f"{name} prefix, {after}"] = sum(there) / len(there)
    return out


def run(seed: int, steps: int) -> dict[str, Any]:
    """Train one model and decode with it in every way."""
    task = number_words()
    with seeded(seed):
        model = TransformerTranslator(len(task.source), len(task.target), d_ff=128, n_layers=2)
    recipe = Recipe(
        steps=steps, seed=seed, betas=(0.9, 0.98), schedule=OneCycle(steps, warm_up=0.2)
    )
    train(model, task, recipe, progress=False)
    cached = Cached(model)
    found = beams(cached, task)
    return {
        "mean accuracy": found["1"]["mean accuracy"],
        "beams": found,
        "temperatures": by_chance(cached, task, seed),
        "after a wrong word": after_a_wrong_word(model, task, seed),
    }


def main() -> None:
    """Run all arms."""
    run_all("decoding", ARMS, run)


if __name__ == "__main__":
    main()
