"""Chapter 4: letters and positions share one space; do they get in each other's way?"""

from typing import Any

import torch
from torch import Tensor

from book.experiments.running import run_all
from book.experiments.self_attention import D_MODEL, LEARNING_RATE, STEPS, make_model
from minattn.positions import sinusoidal
from minattn.self_attention import InPlaceTranslator
from minattn.tasks import reversal
from minattn.training import fit
from minattn.vocabulary import EOS

ARMS: dict[str, dict[str, Any]] = {"reversal, sinusoidal, 2 layers": {}}
LONGEST = 21
"""Twenty letters and the end."""


def directions(vectors: Tensor, share: float = 0.95) -> Tensor:
    """Return the fewest orthogonal directions that hold this share of the variance, one in each row."""
    _, s, v = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    held = s.square().cumsum(0) / s.square().sum()
    return v[: int((held < share).sum()) + 1]


def inside(vectors: Tensor, rows: Tensor) -> float:
    """Return the share of the variance of some vectors that lies in the given directions."""
    centred = vectors - vectors.mean(0)
    return ((centred @ rows.T).square().sum() / centred.square().sum()).item()


def gain(vectors: Tensor, projection: Tensor) -> float:
    """Return how much longer a projection makes the differences between vectors."""
    centred = vectors - vectors.mean(0)
    return ((centred @ projection.T).norm() / centred.norm()).item()


def measure(model: InPlaceTranslator) -> dict[str, float]:
    """Measure what of the letters lies among the positions, and what each projection picks."""
    letters = model.stack.embedding.weight.detach()[EOS + 1 :]
    places = sinusoidal(LONGEST, D_MODEL)
    rows = directions(places)
    out = {"directions": float(len(rows)), "letters inside": inside(letters, rows)}
    for number, layer in enumerate(model.stack.layers, start=1):
        for name in ("q_proj", "k_proj", "v_proj"):
            weight = getattr(layer, name).weight.detach()
            out[f"{name} {number}, positions"] = gain(places, weight)
            out[f"{name} {number}, letters"] = gain(letters, weight)
    return out


def run(seed: int) -> dict[str, Any]:
    """Train the two layers that reverse a list, and measure their space."""
    task = reversal()
    model = make_model(task, seed)
    fit(model, task, steps=STEPS, seed=seed, learning_rate=LEARNING_RATE, progress=False)
    return measure(model)


def main() -> None:
    """Run the one arm."""
    run_all("subspaces", ARMS, run)


if __name__ == "__main__":
    main()
