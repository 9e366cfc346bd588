"""Chapter 19: "a cat left of a car" or "a car left of a cat"? It is learned if a batch asks for it; three seeds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from book.experiments.clip import make_model, recipe
from book.experiments.clip_measures import TEST_SEED, mean, vectors
from book.experiments.measuring import averaged
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.pictures.clip import CLIP, contrastive_loss
from minattn.tasks.emoji import CLASSES, TRAINED
from minattn.tasks.placed_emoji import Pairs, draw_pairs, pair_ids

SEEDS = (0, 1, 2)
STEPS, BATCH_SIZE = 500, 48
THINGS = range(0, len(CLASSES), 3)
"""Eleven of the 32: how hard it is to tell things apart is not the question here."""
N_PICTURES = 8
"""Of each sentence, to be tested on."""
NEVER = 8
"""One pair in so many is never trained, in neither order."""

ARMS: dict[str, dict[str, Any]] = {
    "no swaps": {"swaps": False},
    "with swaps": {"swaps": True},
}


def pairs() -> tuple[Tensor, Tensor]:
    """Return all pairs of two of the things, each once, and which of them are never trained."""
    both = torch.combinations(torch.tensor(THINGS), 2)
    return both, both.sum(1) % NEVER == 0


def drawn(how: Recipe, swaps: bool) -> Iterator[Pairs]:
    """Draw pictures for every step: of as many pairs, none twice; or of half as many, each also the other way round."""
    both, never = pairs()
    known = both[~never]
    rng = np.random.default_rng(how.seed)
    for _ in range(how.steps):
        number = how.batch_size // 2 if swaps else how.batch_size
        some = known[rng.choice(len(known), number, replace=False)]
        turned = torch.from_numpy(rng.random(number) < 0.5)
        some = torch.where(turned[:, None], some.flip(1), some)
        some = torch.cat([some, some.flip(1)]) if swaps else some
        yield draw_pairs(some, TRAINED, seed=int(rng.integers(2**31)))


def loss(model: Any, batch: Pairs) -> Tensor:
    """Make vectors of both, and compare."""
    pictures, texts = model.picture_vectors(batch.pictures), model.text_vectors(batch.texts)
    return contrastive_loss(pictures, texts, model.scale)


@torch.no_grad()
def found(model: CLIP, things: Tensor) -> dict[str, float]:
    """Say how often the right order fits better than the other, and find the sentence among all 110.

    Two that fit alike are half right.
    """
    shown = draw_pairs(things.repeat(N_PICTURES, 1), TRAINED, seed=TEST_SEED)
    pictures = vectors(model, shown.pictures)
    own, other = model.text_vectors(shown.texts), model.text_vectors(shown.swapped.texts)
    gain = ((own - other) * pictures).sum(1)
    alike = gain.abs() < 1e-6
    both, _ = pairs()
    every = torch.cat([both, both.flip(1)])
    said = every[(pictures @ model.text_vectors(pair_ids(every)).T).argmax(1)]
    return {
        "order": mean((gain > 0) & ~alike) + mean(alike) / 2,
        "top-1": mean((said == shown.things).all(1)),
        "both things": mean((said.sort(1).values == shown.things.sort(1).values).all(1)),
    }


def run(seed: int, swaps: bool) -> dict[str, Any]:
    """Train one model, and measure it on pairs that it knows and on pairs that it has never seen."""
    model, how = make_model(seed), recipe(seed, STEPS, BATCH_SIZE)
    losses = learn(model, drawn(how, swaps), loss, how, progress=False)
    both, never = pairs()
    ways = {"trained": both[~never], "never trained": both[never]}
    return {
        **{name: found(model, torch.cat([part, part.flip(1)])) for name, part in ways.items()},
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run all arms."""
    run_all("clip_order", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
