"""Chapter 21: where does a head look that has nothing to look for? With and without a key at which nothing is."""

from typing import Any

import torch
from torch import nn

from book.experiments.head_roles import BASE, D_MODEL, places
from book.experiments.running import run_all
from minattn.dot_product import fused_attend
from minattn.language.gpt import GPT, TextTask
from minattn.positions import SinusoidalPositions
from minattn.probing.attribution import looks
from minattn.probing.heads import NullKey
from minattn.tasks import Task, repetition
from minattn.training import fit, seeded
from minattn.transformer import EncoderBlock, TransformerEncoder

SEEDS = (0, 1, 2)
N_LAYERS, N_HEADS = 2, 4
STEPS, LEARNING_RATE = 800, 3e-3

ARMS: dict[str, dict[str, Any]] = {
    "no null key": {"null": "none"},
    "zero null key": {"null": "zero"},
    "learned null key": {"null": "learned"},
}


def make_model(task: Task, seed: int, null: str) -> GPT:
    """Make a small GPT, each head with or without a key for nothing."""

    def attend() -> Any:
        if null == "none":
            return fused_attend
        return NullKey(fused_attend, N_HEADS, D_MODEL // N_HEADS, learned=null == "learned")

    with seeded(seed):
        blocks = [
            EncoderBlock(D_MODEL, N_HEADS, 2 * D_MODEL, attend=attend()) for _ in range(N_LAYERS)
        ]
        decoder = TransformerEncoder(blocks, nn.LayerNorm(D_MODEL))
        return GPT(len(task.target), decoder, positions=SinusoidalPositions(D_MODEL, base=BASE))


def run(seed: int, null: str) -> dict[str, Any]:
    """Train one model to say a list again, and measure where it looks in the first round and in the second."""
    made = repetition()
    task = TextTask(made.name, made.source, made.target, made.train, made.held_out)
    model = make_model(task, seed, null)
    losses = fit(model, task, steps=STEPS, seed=seed, learning_rate=LEARNING_RATE, progress=False)
    model.eval()
    batch = task.batch(task.held_out)
    place, length, second = places(task)
    with torch.no_grad(), looks(model) as calls:
        right = model(batch.source, batch.target_in).argmax(-1) == batch.target_out
    rounds = {"first": (place > 3) & (place < length), "second": second}
    found: dict[str, Any] = {
        "loss": sum(losses[-50:]) / 50,
        "second round": right[second].double().mean().item(),
    }
    for layer, (weights, value) in enumerate(calls, 1):
        norms = value.norm(dim=-1)  # (batch, heads, keys)
        found[f"length of the first value {layer}"] = (
            (norms[:, :, 0] / norms[:, :, 1:8].mean(-1)).mean(0).tolist()
        )
        for name, counted in rounds.items():
            at = weights.transpose(1, 2)[counted]  # (queries, heads, keys)
            found[f"{name} round, layer {layer}"] = {
                "on the first": at[..., 0].mean(0).tolist(),
                "on nothing": (1 - at.sum(-1)).mean(0).tolist(),
            }
        first = rounds["first"]
        keys = (place + 1).expand_as(first)[first].double()
        found["uniform"] = (1 / keys).mean().item()
    return found


def main() -> None:
    """Run all arms."""
    run_all("explanation_sinks", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
