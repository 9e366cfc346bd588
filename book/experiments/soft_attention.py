"""Chapter 2: what is scored, where attention sits, which way the encoder reads, and how little data it takes."""

from typing import Any

import torch

from book.experiments.running import run_all
from minattn.alignment import (
    AdditiveAttention,
    MultiplicativeAttention,
    WeightDropout,
    alignment_accuracy,
    entropy,
    uniform_attention,
)
from minattn.recording import recording
from minattn.recurrent import FinalStates, RecurrentTranslator, final_state
from minattn.seam import Attend
from minattn.tasks import Task, gold_alignment, number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded

STEPS = 600
BATCH_SIZE = 32
D_MODEL = 64

ARMS: dict[str, dict[str, Any]] = {
    "fixed, before": {"scores": "fixed", "attends": "before"},
    "fixed, after": {"scores": "fixed", "attends": "after"},
    "uniform, before": {"scores": "uniform", "attends": "before"},
    "uniform, after": {"scores": "uniform", "attends": "after"},
    "additive, before": {"scores": "additive", "attends": "before"},
    "additive, after": {"scores": "additive", "attends": "after"},
    "multiplicative, before": {"scores": "multiplicative", "attends": "before"},
    "multiplicative, after": {"scores": "multiplicative", "attends": "after"},
    "multiplicative, after, temperature 1": {
        "scores": "multiplicative",
        "attends": "after",
        "temperature": 1.0,
    },
    "multiplicative, after, one direction": {
        "scores": "multiplicative",
        "attends": "after",
        "bidirectional": False,
    },
} | {
    f"{n_train} examples, {scores}{more}": {
        "scores": scores,
        "attends": "after",
        "n_train": n_train,
        **settings,
    }
    for n_train in (200, 500, 2000)
    for scores, more, settings in (
        ("uniform", "", {}),
        ("multiplicative", "", {}),
        ("multiplicative", ", weight dropout", {"weight_dropout": 0.2}),
        ("multiplicative", ", output dropout", {"dropout": 0.2}),
    )
}


def make_attend(
    scores: str, bidirectional: bool, temperature: float, weight_dropout: float
) -> Attend:
    """Make the attend of an arm."""
    if scores == "fixed":
        return FinalStates() if bidirectional else final_state
    if scores == "uniform":
        return uniform_attention
    if scores == "additive":
        return AdditiveAttention(D_MODEL, D_MODEL, D_MODEL)
    attend = MultiplicativeAttention(D_MODEL, D_MODEL, temperature)
    return WeightDropout(attend, weight_dropout) if weight_dropout else attend


def crossing_accuracy(weights: torch.Tensor, task: Task) -> float:
    """Score the crossing: the share of "drei und zwanzig" where twenty and three both look at the right word."""
    best = weights.argmax(-1).tolist()
    right = []
    for row, example in zip(best, task.held_out, strict=True):
        for t in range(len(example.target) - 1):
            tens, units = example.alignment[t : t + 2]
            if tens is not None and units is not None and tens == units + 2:
                right.append(row[t] == tens and row[t + 1] == units)
    return sum(right) / len(right)


def run(
    seed: int,
    scores: str,
    attends: Any,
    bidirectional: bool = True,
    temperature: float = 8.0,
    n_train: int = 20_000,
    weight_dropout: float = 0.0,
    dropout: float = 0.0,
) -> dict[str, Any]:
    """Train one model and measure its translations and, where it has weights, its alignment."""
    task = number_words(n_train=n_train)
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source),
            len(task.target),
            d_model=D_MODEL,
            attend=make_attend(scores, bidirectional, temperature, weight_dropout),
            attends=attends,
            bidirectional=bidirectional,
            dropout=dropout,
        )
    losses = fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    accuracy = evaluate(model, task)
    seen = [example for example in task.train if example.length >= 3][:500]
    measured: dict[str, Any] = {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "seen accuracy": mean_accuracy(evaluate(model, task, seen)),
        "loss": sum(losses[-50:]) / 50,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    if scores in ("additive", "multiplicative"):
        measured |= measure_weights(model, task)
    return measured


def measure_weights(model: RecurrentTranslator, task: Task) -> dict[str, float]:
    """Measure where a model looks on the held-out numbers, under teacher forcing."""
    batch, gold = task.batch(task.held_out), gold_alignment(task.held_out)
    with torch.no_grad(), recording(model) as record:
        model(batch.source, batch.target_in)
    weights = record.weights()
    n_target = gold.shape[1]
    offset = (weights[:, :n_target].argmax(-1) - gold)[gold >= 0]
    return {
        "alignment": alignment_accuracy(weights, gold),
        "one late": (offset == 1).double().mean().item(),
        "crossing": crossing_accuracy(weights, task),
        "entropy": entropy(weights)[:, :n_target][gold >= 0].mean().item(),
    }


def main() -> None:
    """Run all arms."""
    run_all("soft_attention", ARMS, run)


if __name__ == "__main__":
    main()
