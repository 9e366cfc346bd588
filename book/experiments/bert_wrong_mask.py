"""Chapter 11: the mask the wrong way round again, but positions are added to the embeddings: what the loss falls to."""

from typing import Any

from book.experiments.bert import pretrain
from book.experiments.bert_measures import fill_gaps
from book.experiments.running import run_all
from minattn.tasks.two_notations import two_notations

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "learned": {"positions": "learned"},
    "sinusoidal": {"positions": "sinusoidal"},
}


def run(seed: int, positions: str) -> dict[str, Any]:
    """Train a model that attends to padding alone, and measure its loss on masks alone."""
    task = two_notations()
    model, found = pretrain(task, seed, positions=positions, sides="padding")
    return found | {"gaps": fill_gaps(model, task, task.held_out)}


def main() -> None:
    """Run both arms."""
    run_all("bert_wrong_mask", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
