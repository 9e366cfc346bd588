"""Chapter 12: one model for twelve tasks, which a word in front of the source tells apart."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from book.experiments.measuring import averaged
from book.experiments.running import run_all
from minattn.language.t5 import T5, RelativeBias, exact_by_task, t5_stacks
from minattn.language.text_to_text import TextExample, TextToText, text_to_text, truth
from minattn.learning import Recipe
from minattn.masks import Mask
from minattn.pointing import pointing
from minattn.recipe import train
from minattn.recording import attending, recording
from minattn.schedules import Cosine, WarmUp
from minattn.seam import Attend
from minattn.training import seeded
from minattn.translation import Translator

D_MODEL, N_HEADS, N_LAYERS, D_FF = 56, 4, 2, 168
STEPS, BATCH_SIZE, LEARNING_RATE, WARM_UP = 3200, 32, 3e-3, 60
N_TRAIN = 3000
POINTED = ("sort", "reverse", "english to digits", "german to digits")
N_POINTED = 200

ARMS: dict[str, dict[str, Any]] = {"T5": {}}


def task_of(n_train: int = N_TRAIN) -> TextToText:
    """Make the task once for all arms and seeds."""
    return _made(text_to_text, n_train)


@cache
def _made(make: Callable[..., TextToText], n_train: int) -> TextToText:
    return make(n_train=n_train)  # a fingerprint has another maker in its place


def make_model(vocab_size: int, seed: int) -> T5:
    """Make a model with fresh weights."""
    with seeded(seed):
        stacks = t5_stacks(d_model=D_MODEL, n_heads=N_HEADS, d_ff=D_FF, n_layers=N_LAYERS)
        return T5(vocab_size, *stacks)


def recipe(seed: int, steps: int = STEPS) -> Recipe:
    """Say how a model is trained."""
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        schedule=WarmUp(WARM_UP, Cosine(max(1, steps - WARM_UP), end=0.02)),
        betas=(0.9, 0.98),
        weight_decay=0.05,
        seed=seed,
    )


class ForgetsItsPlace:
    """Takes the queries for the first positions, where they are the last: under a cache, all of them stand at 0."""

    def __init__(self, attend: RelativeBias) -> None:
        self.inner = attend

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        """Attend with a bias for other places."""
        n = max(query.shape[-2], key.shape[-2])
        bias = self.inner.bias(n, n)[:, : query.shape[-2], : key.shape[-2]]
        output: Tensor = self.inner.inner(query, key, value, mask, bias=bias)
        return output


def forgetting(attend: Attend) -> Attend:
    """Put the fault into attention that knows distances."""
    return ForgetsItsPlace(attend) if isinstance(attend, RelativeBias) else attend


@torch.no_grad()
def pointed(model: T5, task: TextToText, examples: Sequence[TextExample]) -> dict[str, Any]:
    """Score where cross-attention looks as the right answer is written: at the tokens that say the same digit?"""
    batch = task.batch(examples)
    with recording(model) as record:
        model(batch.source, batch.target_in)
    right, places = truth(examples), batch.source != 0
    found: dict[str, Any] = {}
    for layer in range(len(model.decoder.blocks)):
        weights = record.weights(f"decoder.blocks.{layer}.cross_attention")
        heads = pointing(weights, right, allowed=places)
        mean = pointing(weights.mean(1), right, allowed=places)
        found[f"layer {layer + 1}"] = {
            "heads": heads.inside.tolist(),
            "mean of heads": mean.inside.item(),
        }
        found["uniform"] = heads.chance
    return found


def measured(model: Translator, task: TextToText, examples: Sequence[TextExample]) -> Any:
    """Count right answers of every task, and say the worst and the mean."""
    exact = exact_by_task(model, task, examples)
    trained = [share for name, share in exact.items() if name != "german to french"]
    return {
        "exact": exact,
        "worst": min(trained),
        "mean": math.fsum(trained) / len(trained),
    }


def run(seed: int) -> dict[str, Any]:
    """Train one model, and measure it on numbers that nothing was chosen by."""
    task = task_of()
    model = make_model(len(task.source), seed)
    losses = train(model, task, recipe(seed), progress=False)
    test = [e for e in task.held_out if isinstance(e, TextExample)]
    found = {"losses": [round(loss, 4) for loss in averaged(losses, 50)]}
    found["validation"] = measured(model, task, task.validation)["exact"]
    found |= measured(model, task, test)
    with attending(model, forgetting):
        few = [e for name in ("reverse", "digits to german") for e in task.of(name)[:200]]
        found["bias lost in the cache"] = exact_by_task(model, task, few)
    found["pointing"] = {name: pointed(model, task, task.of(name)[:N_POINTED]) for name in POINTED}
    found["table"] = {
        "encoder": table_of(model.encoder),
        "decoder": table_of(model.decoder),
    }
    return found


def table_of(stack: nn.Module) -> list[list[float]]:
    """Round the numbers that a stack adds for each bucket and head."""
    attend: Any = stack.blocks[0].self_attention.attend  # type: ignore[index, union-attr]
    return [[round(x, 3) for x in row] for row in attend.table.tolist()]


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("t5", ARMS, run)


if __name__ == "__main__":
    main()
