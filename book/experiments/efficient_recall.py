"""Chapter 22: the recall of lists said twice, by the size of what a model keeps of the past."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from book.experiments.gpt import Near
from book.experiments.gpt_recurrent import RecurrentLanguageModel
from book.experiments.running import run_all
from minattn.dot_product import DotProductAttention, fused_attend
from minattn.masks import Mask
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions
from minattn.scaling.linear import linear_attend
from minattn.scaling.patterns import SinkWindow, Strided
from minattn.seam import Attend
from minattn.self_attention import LanguageModel
from minattn.tasks import Task, repetition
from minattn.training import fit, seeded
from minattn.translation import Translator

D_MODEL, N_HEADS = 64, 4
SHORTEST, LONGEST = 4, 24
LENGTHS = (8, 16, 24)
STEPS, BATCH_SIZE = 1500, 32
LEARNING_RATE, GRU_LEARNING_RATE = 5e-3, 5e-3
SINKS, WINDOW = 1, 15

ARMS: dict[str, dict[str, Any]] = {
    "full": {"form": "full"},
    "window and sink": {"form": "window"},
    **{f"linear, {n} features": {"form": "linear", "size": n} for n in (4, 16, 64)},
    **{f"GRU, {n} numbers": {"form": "GRU", "size": n} for n in (32, 128, 256)},
}


def masked(query: Tensor, key: Tensor, value: Tensor, mask: Mask, pattern: Any) -> Tensor:
    """Attend where a pattern allows it."""
    return fused_attend(query, key, value, pattern & mask)


FORMS: dict[str, Attend] = {
    "full": fused_attend,
    "window": partial(masked, pattern=SinkWindow(SINKS, WINDOW)),
    "strided": partial(masked, pattern=Strided(5)),
    "linear": linear_attend,
}


def make_model(task: Task, seed: int, form: str, size: int = D_MODEL) -> Translator:
    """Make a model of two layers: the first sees two tokens in every arm, the second is what is compared."""
    with seeded(seed):
        if form == "GRU":
            return RecurrentLanguageModel(len(task.target), size, n_layers=1, dropout=0.0)
        model = LanguageModel(
            len(task.target),
            d_model=D_MODEL,
            n_layers=2,
            positions=SinusoidalPositions(D_MODEL),
            attend=Near(fused_attend, 2),
        )
        if form == "multi-query":
            model.stack.layers[1] = MultiHeadAttention(D_MODEL, N_HEADS, 1, bias=False)
        else:
            model.stack.layers[1] = DotProductAttention(
                d_query=D_MODEL, d_key=D_MODEL, d_k=size, d_v=D_MODEL, attend=FORMS[form]
            )
        return model


def state_size(form: str, length: int, size: int = D_MODEL) -> int:
    """Count the numbers that the compared layer keeps of so many tokens."""
    kept_tokens = min(length, SINKS + WINDOW + 1) if form == "window" else length
    return {
        "linear": size * (D_MODEL + 1),
        "GRU": size,
        "multi-query": 2 * D_MODEL // N_HEADS * kept_tokens,
    }.get(form, 2 * D_MODEL * kept_tokens)


def measure(model: Translator, task: Task) -> dict[str, float]:
    """Score the second round, for lists of three lengths: how many letters that are known are guessed."""
    found = {}
    for n in LENGTHS:
        batch = task.batch([example for example in task.held_out if example.length == n])
        with torch.no_grad():
            guesses = model(batch.source, batch.target_in).argmax(-1)
        known = slice(n + 1, 2 * n)  # the token read has been read before
        right = (guesses == batch.target_out)[:, known]
        found[f"length {n}"] = right.double().mean().item()
    return found


def run(seed: int, form: str, size: int = D_MODEL) -> dict[str, Any]:
    """Train one model and measure it."""
    task = repetition(min_length=SHORTEST, max_length=LONGEST)
    model = make_model(task, seed, form, size)
    losses = fit(
        model,
        task,
        steps=STEPS,
        seed=seed,
        batch_size=BATCH_SIZE,
        learning_rate=GRU_LEARNING_RATE if form == "GRU" else LEARNING_RATE,
        by_length=True,
        progress=False,
    )
    sizes = {f"state {n}": state_size(form, 2 * n, size) for n in LENGTHS}
    return {"loss": sum(losses[-50:]) / 50} | measure(model, task) | sizes


def main() -> None:
    """Run all arms."""
    run_all("efficient_recall", ARMS, run)


if __name__ == "__main__":
    main()
