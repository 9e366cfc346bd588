"""Chapter 2: scores that never see the encoder. How far do they get, next to real ones?"""

from typing import Any

from torch import Tensor, nn

from book.experiments.running import run_all
from book.experiments.soft_attention import BATCH_SIZE, D_MODEL, STEPS, measure_weights
from minattn.alignment import masked_softmax, weighted_sum
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded

ARMS: dict[str, dict[str, Any]] = {"fake, after": {"attends": "after"}}


class FakeAttention(nn.Module):
    """Score positions from the query alone."""

    def __init__(self, d_query: int, n_positions: int) -> None:
        super().__init__()
        self.to_scores = nn.Linear(d_query, n_positions)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Attend to positions, whatever stands there."""
        scores = self.to_scores(query)[..., : key.shape[1]]
        return weighted_sum(masked_softmax(scores, mask), value)


def run(seed: int, attends: Any) -> dict[str, Any]:
    """Train one model with fake scores and measure its translations."""
    task = number_words()
    longest = max(len(example.source) for example in task.train + task.held_out) + 1
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source),
            len(task.target),
            attend=FakeAttention(D_MODEL, longest),
            attends=attends,
            bidirectional=True,
        )
    losses = fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    accuracy = evaluate(model, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "first loss": losses[0],
        "loss": sum(losses[-50:]) / 50,
    } | measure_weights(model, task)


def main() -> None:
    """Run all arms."""
    run_all("fake_attention", ARMS, run)


if __name__ == "__main__":
    main()
