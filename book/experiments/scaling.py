"""Chapter 3: dot products divided by the square root of their width, not divided, or by a learned number."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from book.experiments.running import run_all
from book.experiments.self_attention import STEPS, measure_maps
from minattn.dot_product import fused_attend
from minattn.masks import Mask
from minattn.positions import SinusoidalPositions
from minattn.self_attention import InPlaceTranslator
from minattn.tasks import reversal
from minattn.training import evaluate, fit, mean_accuracy, seeded

ARMS: dict[str, dict[str, Any]] = {
    f"{scaling}, width {width}, rate {rate:g}": {"scaling": scaling, "width": width, "rate": rate}
    for width in (16, 64, 128)
    for scaling in ("divided", "not divided", "learned")
    for rate in (1e-2, 3e-3)
}


class LearnedScale(nn.Module):
    """Attend with one factor for all scores that is trained with the rest; it starts at 1."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        """Attend with scores times the factor."""
        return fused_attend(query * self.log_scale.exp(), key, value, mask, scale=1.0)


def run(seed: int, scaling: str, width: int, rate: float) -> dict[str, Any]:
    """Train the two layers of chapter 4 to reverse a list, and measure them."""
    task = reversal()
    with seeded(seed):
        learned = LearnedScale()
        attend = {
            "divided": fused_attend,
            "not divided": partial(fused_attend, scale=1.0),
            "learned": learned,
        }[scaling]
        model = InPlaceTranslator(
            len(task.source),
            len(task.target),
            d_model=width,
            n_layers=2,
            positions=SinusoidalPositions(width),
            attend=attend,
        )
    losses = fit(model, task, steps=STEPS, seed=seed, learning_rate=rate, progress=False)
    accuracy = evaluate(model, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "first loss": losses[0],
        "loss": sum(losses[-50:]) / 50,
        "factor times root of width": learned.log_scale.exp().item() * width**0.5,
    } | measure_maps(model, task)


def main() -> None:
    """Run all arms."""
    run_all("scaling", ARMS, run)


if __name__ == "__main__":
    main()
