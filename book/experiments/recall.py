"""Chapter 4: lists said twice. To go on in the second round, find the letter in the first, and what came next."""

from functools import partial
from typing import Any

import torch

from book.experiments.running import run_all
from book.experiments.self_attention import D_MODEL, LEARNING_RATE, STEPS
from minattn.dot_product import fused_attend
from minattn.positions import SinusoidalPositions, with_rotary
from minattn.recording import recording
from minattn.self_attention import LanguageModel
from minattn.tasks import Task, repetition
from minattn.training import fit, seeded

ARMS: dict[str, dict[str, Any]] = {
    "sinusoidal, 2 layers": {"positions": "sinusoidal", "n_layers": 2},
    "sinusoidal, 1 layer": {"positions": "sinusoidal", "n_layers": 1},
    "rotary, 2 layers": {"positions": "rotary", "n_layers": 2},
    "none, 2 layers": {"positions": None, "n_layers": 2},
    "sinusoidal, 2 layers, uniform": {"positions": "sinusoidal", "n_layers": 2, "scale": 0.0},
}


def make_model(
    task: Task, seed: int, positions: str | None, n_layers: int, scale: float | None = None
) -> LanguageModel:
    """Make one model; a scale of 0 makes all scores equal."""
    attend = fused_attend if scale is None else partial(fused_attend, scale=scale)
    with seeded(seed):
        return LanguageModel(
            len(task.target),
            d_model=D_MODEL,
            n_layers=n_layers,
            positions=SinusoidalPositions(D_MODEL) if positions == "sinusoidal" else None,
            attend=with_rotary(attend) if positions == "rotary" else attend,
        )


def measure(model: LanguageModel, task: Task) -> dict[str, float]:
    """Score the second round, and the map of every layer against two known ones."""
    batch = task.batch(task.held_out)
    with torch.no_grad(), recording(model) as record:
        guesses = model(None, batch.target_in).argmax(-1)
    place = torch.arange(guesses.shape[1])
    n = torch.tensor([[example.length] for example in task.held_out])
    second = (place > n) & (place < 2 * n)  # the token read has been read before
    out = {"second round": (guesses == batch.target_out)[second].double().mean().item()}
    for name in record.calls:
        layer = int(name.split(".")[-1]) + 1
        best = record.weights(name).argmax(-1)
        out[f"after the same letter {layer}"] = (
            (best == place - n + 1)[second].double().mean().item()
        )
        read = (place > 0) & (place <= 2 * n)
        out[f"previous token {layer}"] = (best == place - 1)[read].double().mean().item()
    return out


def run(seed: int, **settings: Any) -> dict[str, Any]:
    """Train one model and measure it."""
    task = repetition()
    model = make_model(task, seed, **settings)
    losses = fit(model, task, steps=STEPS, seed=seed, learning_rate=LEARNING_RATE, progress=False)
    return {"loss": sum(losses[-50:]) / 50} | measure(model, task)


def main() -> None:
    """Run all arms."""
    run_all("recall", ARMS, run)


if __name__ == "__main__":
    main()
