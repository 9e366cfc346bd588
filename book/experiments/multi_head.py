"""Chapter 5: one average is not enough. Heads of one total width, on a task that compares two letters."""

from functools import partial
from typing import Any

import torch
from torch import nn

from book.experiments.running import run_all
from minattn.dot_product import fused_attend
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions, with_rotary
from minattn.recording import recording
from minattn.self_attention import InPlaceTranslator
from minattn.tasks import Task, slopes
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.vocabulary import EOS

D_MODEL = 64
STEPS = 1500
BASE = 100.0
"""Lists have at most 20 letters: wavelengths up to 628 are long enough."""

ARMS: dict[str, dict[str, Any]] = {
    "1 head": {},
    "2 heads": {"n_heads": 2},
    "4 heads": {"n_heads": 4},
    "8 heads": {"n_heads": 8},
    "16 heads": {"n_heads": 16},
    "32 heads": {"n_heads": 32},
    "64 heads": {"n_heads": 64},
    "1 head, width 128": {"d_model": 128},
    "1 head, rotary": {"positions": "rotary"},
    "2 heads, rotary": {"n_heads": 2, "positions": "rotary"},
    "1 head, hidden layer": {"d_hidden": 128},
    "1 head, 2 layers": {"n_layers": 2},
    "4 heads, 2 with keys": {"n_heads": 4, "n_kv_heads": 2},
    "4 heads, 1 with keys": {"n_heads": 4, "n_kv_heads": 1},
}


def make_model(
    task: Task,
    seed: int,
    n_heads: int = 1,
    n_kv_heads: int | None = None,
    n_layers: int = 1,
    d_model: int = D_MODEL,
    positions: str = "sinusoidal",
    d_hidden: int = 0,
) -> InPlaceTranslator:
    """Make a model of chapter 4 with the attention of chapter 5 in every layer."""
    rotary = positions == "rotary"
    with seeded(seed):
        model = InPlaceTranslator(
            len(task.source),
            len(task.target),
            d_model=d_model,
            n_layers=n_layers,
            positions=None if rotary else SinusoidalPositions(d_model, base=BASE),
        )
        attend = with_rotary(base=BASE) if rotary else fused_attend
        layer = partial(MultiHeadAttention, d_model, n_heads, n_kv_heads, attend=attend)
        model.stack.layers = nn.ModuleList(layer(bias=False) for _ in range(n_layers))
        if d_hidden:
            hidden = nn.Linear(d_model, d_hidden)
            model.readout = nn.Sequential(hidden, nn.ReLU(), nn.Linear(d_hidden, len(task.target)))
    return model


def right_answers(model: InPlaceTranslator, task: Task) -> float:
    """Measure the share of held-out letters that are answered right; the end of a list is not counted."""
    batch = task.batch(task.held_out)
    with torch.no_grad():
        answers = model(batch.source, batch.target_in).argmax(-1)
    letters = batch.target_out > EOS
    return (answers == batch.target_out)[letters].double().mean().item()


def neighbours(model: InPlaceTranslator, task: Task) -> dict[str, list[float]]:
    """Measure how much of its weight each head of the last layer puts on the letter before and the one after."""
    source = task.batch(task.held_out).source
    with torch.no_grad(), recording(model) as record:
        model.encode(source)
    weights = record.calls[max(record.calls)][0]  # (batch, heads, queries, keys)
    inner = (source > EOS)[:, 2:].double()  # places with a letter on either side
    found = {}
    for name, offset in (("before", -1), ("after", 1)):
        beside = weights.diagonal(offset, -2, -1)  # (batch, heads, keys - 1)
        part = beside[..., :-1] if offset == -1 else beside[..., 1:]
        found[name] = [
            ((part[:, head] * inner).sum() / inner.sum()).item() for head in range(part.shape[1])
        ]
    return found


def run(seed: int, **settings: Any) -> dict[str, Any]:
    """Train one model and measure it."""
    task = slopes()
    model = make_model(task, seed, **settings)
    losses = fit(model, task, steps=STEPS, seed=seed, progress=False)
    accuracy = evaluate(model, task)
    return {
        "right answers": right_answers(model, task),
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    } | neighbours(model, task)


def main() -> None:
    """Run all arms."""
    run_all("multi_head", ARMS, run)


if __name__ == "__main__":
    main()
