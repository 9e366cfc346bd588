"""Chapter 4: tasks whose right attention is known beforehand, with and without positions, by one layer or two."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from book.experiments.running import run_all
from minattn.alignment import alignment_accuracy
from minattn.dot_product import fused_attend
from minattn.positions import LearnedPositions, SinusoidalPositions, with_rotary
from minattn.recording import recording
from minattn.self_attention import InPlaceTranslator
from minattn.tasks import Task, copying, gold_alignment, previous_token, reversal
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.vocabulary import EOS

D_MODEL = 64
STEPS = 1500
LEARNING_RATE = 1e-2
TASKS = {
    "reversal": reversal,
    "copying": copying,
    "previous token": previous_token,
}
LONGEST = 64
"""How many places a learned table has."""

ARMS: dict[str, dict[str, Any]] = {
    "reversal, sinusoidal, 2 layers": {"task": "reversal"},
    "reversal, sinusoidal, 1 layer": {"task": "reversal", "n_layers": 1},
    "reversal, learned, 1 layer": {"task": "reversal", "positions": "learned", "n_layers": 1},
    "reversal, rotary, 1 layer": {"task": "reversal", "positions": "rotary", "n_layers": 1},
    "reversal, none, 2 layers": {"task": "reversal", "positions": None},
    "reversal, learned, 2 layers": {"task": "reversal", "positions": "learned"},
    "reversal, rotary, 2 layers": {"task": "reversal", "positions": "rotary"},
    "reversal, sinusoidal, 2 layers, uniform": {"task": "reversal", "scale": 0.0},
    "reversal, sinusoidal, 2 layers, first uniform": {"task": "reversal", "first_uniform": True},
    "previous token, sinusoidal, 1 layer": {"task": "previous token", "n_layers": 1},
    "previous token, learned, 1 layer": {
        "task": "previous token",
        "n_layers": 1,
        "positions": "learned",
    },
    "previous token, rotary, 1 layer": {
        "task": "previous token",
        "n_layers": 1,
        "positions": "rotary",
    },
    "previous token, none, 1 layer": {"task": "previous token", "n_layers": 1, "positions": None},
    "copying, sinusoidal, 1 layer": {"task": "copying", "n_layers": 1},
    "copying, uniform, 1 layer": {"task": "copying", "n_layers": 1, "scale": 0.0},
}


def make_model(
    task: Task,
    seed: int,
    n_layers: int = 2,
    positions: str | None = "sinusoidal",
    scale: float | None = None,
    d_model: int = D_MODEL,
) -> InPlaceTranslator:
    """Make one model; a scale of 0 makes all scores equal."""
    attend = fused_attend if scale is None else partial(fused_attend, scale=scale)
    with seeded(seed):
        marks = {
            None: lambda: None,
            "rotary": lambda: None,
            "sinusoidal": lambda: SinusoidalPositions(d_model),
            "learned": lambda: LearnedPositions(LONGEST, d_model),
        }[positions]()
        return InPlaceTranslator(
            len(task.source),
            len(task.target),
            d_model=d_model,
            n_layers=n_layers,
            positions=marks,
            attend=with_rotary(attend) if positions == "rotary" else attend,
        )


def maps(model: InPlaceTranslator, task: Task) -> tuple[Tensor, dict[str, Tensor]]:
    """Record the weights of every layer on the held-out examples."""
    source = task.batch(task.held_out).source
    with torch.no_grad(), recording(model) as record:
        model.encode(source)
    return source, {name.split(".")[-1]: record.weights(name) for name in record.calls}


def measure_maps(model: InPlaceTranslator, task: Task) -> dict[str, float]:
    """Score the map of every layer against the gold one, and say where it looks on average."""
    source, weights = maps(model, task)
    gold = gold_alignment(task.held_out)
    ends = (source == EOS).int().argmax(-1, keepdim=True)
    tokens = source > EOS
    places = torch.arange(source.shape[1]).double() / ends  # 0 at the first token, 1 at the end
    out = {}
    for layer, weight in weights.items():
        out[f"alignment {int(layer) + 1}"] = alignment_accuracy(weight, gold)
        at_end = (weight.argmax(-1) == ends)[tokens]
        out[f"at the end {int(layer) + 1}"] = at_end.double().mean().item()
        centre = (weight * places[:, None]).sum(-1)[tokens]
        out[f"centre {int(layer) + 1}"] = centre.mean().item()
    return out


def run(
    seed: int, task: str, steps: int = STEPS, first_uniform: bool = False, **settings: Any
) -> dict[str, Any]:
    """Train one model and measure it."""
    problem = TASKS[task]()
    model = make_model(problem, seed, **settings)
    if first_uniform:
        model.stack.layers[0].attend = partial(fused_attend, scale=0.0)
    losses = fit(
        model, problem, steps=steps, seed=seed, learning_rate=LEARNING_RATE, progress=False
    )
    accuracy = evaluate(model, problem)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
    } | measure_maps(model, problem)


def main() -> None:
    """Run all arms."""
    run_all("self_attention", ARMS, run)


if __name__ == "__main__":
    main()
