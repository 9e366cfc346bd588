"""Chapter 3: the translator with three projections; how wide do queries and keys have to be?"""

from functools import partial
from typing import Any

from book.experiments.running import run_all
from book.experiments.soft_attention import BATCH_SIZE, D_MODEL, STEPS, measure_weights
from minattn.dot_product import DotProductAttention, fused_attend
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded

ARMS: dict[str, dict[str, Any]] = {f"d_k {d_k}": {"d_k": d_k} for d_k in (1, 2, 4, 8, 16, 64)} | {
    "d_k 64, not divided": {"d_k": 64, "scale": 1.0}
}


def run(seed: int, d_k: int, scale: float | None = None) -> dict[str, Any]:
    """Train one model on the numbers of chapter 1 and measure translations and alignment."""
    task = number_words()
    with seeded(seed):
        attend = DotProductAttention(
            d_query=D_MODEL,
            d_key=D_MODEL,
            d_k=d_k,
            d_v=D_MODEL,
            attend=fused_attend if scale is None else partial(fused_attend, scale=scale),
        )
        model = RecurrentTranslator(
            len(task.source),
            len(task.target),
            d_model=D_MODEL,
            attend=attend,
            attends="after",
            bidirectional=True,
        )
    losses = fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    accuracy = evaluate(model, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
    } | measure_weights(model, task)


def main() -> None:
    """Run all arms."""
    run_all("queries_keys_values", ARMS, run)


if __name__ == "__main__":
    main()
