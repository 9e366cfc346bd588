"""Chapter 6: the Transformer on German numbers, and what happens when one piece of it is changed."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from book.experiments.running import run_all
from book.experiments.soft_attention import crossing_accuracy
from minattn.alignment import alignment_accuracy
from minattn.dot_product import fused_attend
from minattn.positions import LearnedPositions, with_rotary
from minattn.recording import recording
from minattn.tasks import Task, gold_alignment, number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded, token_loss
from minattn.transformer import Residual, TransformerTranslator

D_MODEL = 64
D_FF = 128
STEPS = 1000
BATCH_SIZE = 32
LEARNING_RATE = 3e-3
LONGEST = 64
"""How many places a learned table has."""

ARMS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "post-norm": {"norm": "post"},
    "1 head": {"n_heads": 1},
    "2 heads": {"n_heads": 2},
    "8 heads": {"n_heads": 8},
    "2 layers": {"n_layers": 2},
    "2 layers, by length": {"n_layers": 2, "by_length": True, "steps": 1100},
    "no feed-forward": {"change": "no feed-forward"},
    "no encoder attention": {"change": "no encoder attention"},
    "no decoder self-attention": {"change": "no decoder self-attention"},
    "no residual": {"change": "no residual"},
    "no norm": {"change": "no norm"},
    "no positions": {"positions": "none"},
    "learned positions": {"positions": "learned"},
    "rotary positions": {"positions": "rotary"},
    "variance 1, no factor": {"variance": 1.0, "embedding_scale": 1.0},
    "no factor": {"embedding_scale": 1.0},
    "tied": {"tied": True},
    "tied, no factor": {"tied": True, "embedding_scale": 1.0},
    "tied, variance 1, no factor": {"tied": True, "variance": 1.0, "embedding_scale": 1.0},
}


class Skip(nn.Module):
    """In the place of a ``Residual``: leave the sub-layer out."""

    def forward(self, x: Tensor, sublayer: Any) -> Tensor:
        """Hand the tokens on."""
        return x


class Replace(Residual):
    """In the place of a ``Residual``: put what the sub-layer finds in the place of what was there."""

    def forward(self, x: Tensor, sublayer: Any) -> Tensor:
        """Forget the tokens."""
        return sublayer(self.norm(x))


def change_blocks(model: TransformerTranslator, change: str) -> None:
    """Leave something out of every block."""
    encoder, decoder = list(model.encoder.blocks), list(model.decoder.blocks)
    blocks = {
        "no encoder attention": encoder,
        "no decoder self-attention": decoder,
    }.get(change, [*encoder, *decoder])
    for block in blocks:
        for name, part in list(block.named_children()):
            if not isinstance(part, Residual):
                continue
            if change == "no residual":
                setattr(block, name, Replace(part.norm.normalized_shape[0]))
            elif change == "no norm":
                part.norm = nn.Identity()
            elif name == (
                "add_feed_forward" if change == "no feed-forward" else "add_self_attention"
            ):
                setattr(block, name, Skip())
                setattr(block, name.removeprefix("add_"), nn.Identity())  # its weights do not count
    if change == "no norm":
        model.encoder.norm = model.decoder.norm = None


def make_model(
    task: Task,
    seed: int,
    positions: str = "sinusoidal",
    variance: float = 1 / D_MODEL,
    change: str | None = None,
    **settings: Any,
) -> TransformerTranslator:
    """Make the model of an arm; settings are those of ``TransformerTranslator``."""
    with seeded(seed):
        marks = {
            "sinusoidal": lambda: None,
            "learned": lambda: LearnedPositions(LONGEST, D_MODEL),
        }.get(positions, nn.Identity)()
        model = TransformerTranslator(
            len(task.source),
            len(task.target),
            **({"d_model": D_MODEL, "d_ff": D_FF, "positions": marks} | settings),
        )
        if change is not None:
            change_blocks(model, change)
    if positions == "rotary":
        for block in (*model.encoder.blocks, *model.decoder.blocks):
            block.self_attention.attend = with_rotary(fused_attend)
    with torch.no_grad():
        for table in (model.source_embedding, model.target_embedding):
            table.weight.mul_(math.sqrt(variance * D_MODEL))
    return model


def cross_attention(model: TransformerTranslator, task: Task) -> list[Tensor]:
    """Record, for each layer, where every target token of the held-out numbers looks, under teacher forcing."""
    batch = task.batch(task.held_out)
    with torch.no_grad(), recording(model) as record:
        model(batch.source, batch.target_in)
    return [record.weights(name) for name in sorted(record.calls) if "cross" in name]


def measure_heads(model: TransformerTranslator, task: Task) -> dict[str, list[list[float]]]:
    """Score every head of the cross-attention against the gold alignment, by layer."""
    gold = gold_alignment(task.held_out)
    layers = cross_attention(model, task)
    return {
        name: [[score(layer[:, head]) for head in range(layer.shape[1])] for layer in layers]
        for name, score in (
            ("alignment", lambda weights: alignment_accuracy(weights, gold)),
            ("crossing", lambda weights: crossing_accuracy(weights, task)),
        )
    }


def first_loss(model: TransformerTranslator, task: Task) -> float:
    """Measure the loss before any training, on 256 examples."""
    batch = task.batch(task.train[:256])
    with torch.no_grad():
        return token_loss(model(batch.source, batch.target_in), batch.target_out).item()


def run(seed: int, steps: int = STEPS, by_length: bool = False, **settings: Any) -> dict[str, Any]:
    """Train one model and measure it."""
    task = number_words()
    model = make_model(task, seed, **settings)
    before = first_loss(model, task)
    losses = fit(
        model,
        task,
        steps=steps,
        seed=seed,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        by_length=by_length,
        progress=False,
    )
    accuracy = evaluate(model, task)
    heads = measure_heads(model, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "first loss": before,
        "loss": sum(losses[-50:]) / 50,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best head": max(max(layer) for layer in heads["alignment"]),
    } | heads


def main() -> None:
    """Run all arms."""
    run_all("transformer", ARMS, run)


if __name__ == "__main__":
    main()
