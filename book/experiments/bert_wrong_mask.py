"""Chapter 11: the mask the wrong way round again, but positions are added to the embeddings: what the loss falls to."""

from typing import Any

import torch
from torch import Tensor

from book.experiments.bert import pretrain
from book.experiments.bert_measures import fill_gaps, gaps, score
from book.experiments.running import run_all
from minattn.tasks.two_notations import TwoNotations, two_notations
from minattn.vocabulary import token_mask

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "learned": {"positions": "learned"},
    "sinusoidal": {"positions": "sinusoidal"},
}


def count_per_place(task: TwoNotations, by_length: bool) -> dict[str, float]:
    """Score what tells a token by its place alone, counted in all texts, or in those that are as long."""
    train, batch = task.numbers(task.train), gaps(task, task.numbers(task.held_out))
    n = 1 + max(train.shape[1], batch.ids.shape[1])

    def places(ids: Tensor) -> Tensor:
        lengths = token_mask(ids).sum(1, keepdim=True) if by_length else 0
        return n * lengths + torch.arange(ids.shape[1]).expand_as(ids)

    counts = torch.full((n * n, len(task.vocabulary)), 0.01)
    counts.index_put_((places(train), train), torch.ones(1), accumulate=True)
    counts[:, : task.ordinary.start] = 1e-9  # a gap is never one of these
    return score(task, counts.log()[places(batch.ids)], batch)


def run(seed: int, positions: str) -> dict[str, Any]:
    """Train a model that attends to padding alone, and measure its loss on masks alone."""
    task = two_notations()
    model, found = pretrain(task, seed, positions=positions, sides="padding")
    counts = {
        "place": count_per_place(task, False),
        "place and length": count_per_place(task, True),
    }
    return found | {"gaps": fill_gaps(model, task, task.held_out), "counts": counts}


def main() -> None:
    """Run both arms."""
    run_all("bert_wrong_mask", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
