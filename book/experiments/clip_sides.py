"""Chapter 19: one change to the model of the experiment `clip` in each arm, three in five of its steps; three seeds."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from book.experiments.clip import (
    ALIKE,
    BATCH_SIZE,
    STEPS,
    WIDTH,
    Loss,
    make_model,
    plain_loss,
    recipe,
    teach,
)
from book.experiments.clip_measures import found, shown
from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from minattn.alignment import uniform_attention
from minattn.pictures.clip import CLIP
from minattn.pictures.patches import channels_first
from minattn.tasks.emoji import TRAINED, UNSEEN
from minattn.tasks.placed_emoji import SIDE, VOCABULARY, Placed
from minattn.training import seeded
from minattn.vocabulary import PAD

SEEDS = (0, 1, 2)
FEWER = 3 * STEPS // 5
CHANNELS = 16
"""Of the last convolution without attention: the two encoders have about as many weights as those with attention."""

ARMS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "at random": {"alike": 1},
    "at random, batch 16": {"alike": 1, "batch_size": 16},
    "batch 16, as many pairs": {"alike": 1, "batch_size": 16, "steps": 8 * FEWER},
    "temperature 1": {"temperature": 1.0, "learned": False},
    "temperature 0.03": {"temperature": 0.03, "learned": False},
    "one way": {"loss": "one way"},
    "mean pooling": {"kind": "mean pooling"},
    "no attention": {"kind": "no attention"},
}


class Convolutions(nn.Module):
    """Three convolutions, of which each halves the picture, and a map of all places: no attention."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, WIDTH // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH // 2, WIDTH, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.project = nn.Linear(CHANNELS * (SIDE // 8) ** 2, WIDTH)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return a vector of every picture."""
        vectors: Tensor = self.project(self.convolutions(channels_first(pictures)).flatten(1))
        return vectors


class BagOfWords(nn.Module):
    """The mean of the words of a sentence, in whatever order, and two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), WIDTH)
        self.maps = nn.Sequential(
            nn.Linear(WIDTH, 6 * WIDTH), nn.ReLU(), nn.Linear(6 * WIDTH, WIDTH)
        )

    def forward(self, texts: Tensor) -> Tensor:
        """Return a vector of every sentence."""
        there = (texts != PAD)[..., None]
        mean = (self.embedding(texts) * there).sum(1) / there.sum(1)
        vectors: Tensor = self.maps(mean)
        return vectors


def one_way(model: Any, batch: Placed) -> Tensor:
    """Find the sentence of every picture, and not the picture of every sentence."""
    scores = model(batch.pictures, batch.texts)
    return F.cross_entropy(scores, torch.arange(len(scores)))


def make(seed: int, kind: str = "", **settings: Any) -> CLIP:
    """Make a model with one change."""
    if kind == "no attention":
        with seeded(seed):
            return CLIP(Convolutions(), BagOfWords())
    model = make_model(seed, **settings)
    if kind == "mean pooling":
        model.pictures.pool.attention.attend = uniform_attention  # type: ignore[union-attr]
        model.texts.pool.attention.attend = uniform_attention  # type: ignore[union-attr]
    return model


def run(
    seed: int,
    loss: str = "",
    batch_size: int = BATCH_SIZE,
    alike: int = ALIKE,
    steps: int = FEWER,
    **settings: Any,
) -> dict[str, Any]:
    """Train one model, and measure it."""
    model = make(seed, **settings)
    compare: Loss = one_way if loss == "one way" else plain_loss
    losses = teach(model, recipe(seed, steps, batch_size), compare, alike)
    return {
        "seen": found(model, shown(TRAINED)),
        "twemoji": found(model, shown(UNSEEN)),
        "temperature": model.temperature,
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run all arms."""
    run_all("clip_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
