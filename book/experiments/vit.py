"""Chapter 15: digits of hands that a model has not seen, by attention over patches and without it."""

import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from book.experiments.measuring import n_weights
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.pictures.patches import Patches, Places, channels_first
from minattn.pictures.vit import ConvPatches, VisionTransformer
from minattn.recording import recording
from minattn.schedules import OneCycle
from minattn.tasks.digits import Digits, digits
from minattn.training import batches, seeded
from minattn.transformer import EncoderBlock, TransformerEncoder

D_MODEL, N_HEADS, N_LAYERS = 48, 4, 2
WIDTH = 45
"""Channels of the network without attention: as many weights as the one with it."""
STEPS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, SMOOTHING = 600, 64, 2e-3, 0.1, 0.1
REACH, RIDGE = 0.2, 0.01
"""Of the kernel: how fast likeness falls with distance, and how much the weights are held back."""
N_BLANKED = 4
N_FORMS = (2, 4, 9)

KINDS = ("patches", "convolutions before", "convolutions alone", "kernel")
ARMS: dict[str, dict[str, Any]] = {
    kind if n == max(N_FORMS) else f"{kind}, {n} forms": {"kind": kind, "n_forms": n}
    for n in reversed(N_FORMS)
    for kind in KINDS
}


class Convolutions(nn.Module):
    """Three convolutions, of which two halve the picture, and a readout of all places: no attention.

    Args:
        width: channels of each.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.readout = nn.Linear(4 * width, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits of every picture."""
        logits: Tensor = self.readout(self.convolutions(channels_first(pictures)).flatten(1))
        return logits


class Kernel(nn.Module):
    """Least squares with a Gaussian kernel: a weighted sum over all pictures that it has learned from.

    Args:
        known: what to learn from.
    """

    def __init__(self, known: Digits) -> None:
        super().__init__()
        self.known = self.vectors(known.pictures)
        likeness = self.likeness(known.pictures)
        wanted = 2 * F.one_hot(known.labels, 10).double() - 1
        held = RIDGE * torch.eye(len(likeness), dtype=torch.float64)
        self.weights = torch.linalg.solve(likeness + held, wanted)

    @staticmethod
    def vectors(pictures: Tensor) -> Tensor:
        """Return all pixels of a picture in a row, from 0 to 1."""
        return pictures.flatten(1).double() / 255

    def likeness(self, pictures: Tensor) -> Tensor:
        """Return how like each picture is to each that is known."""
        return torch.exp(-REACH * torch.cdist(self.vectors(pictures), self.known) ** 2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return a score for every class."""
        return self.likeness(pictures) @ self.weights


def make_model(kind: str, seed: int) -> nn.Module:
    """Make a network, untrained."""
    with seeded(seed):
        if kind == "convolutions alone":
            return Convolutions(WIDTH)
        patches = Patches(2, D_MODEL, 1) if kind == "patches" else ConvPatches(D_MODEL, 1)
        blocks = [EncoderBlock(D_MODEL, N_HEADS, 2 * D_MODEL) for _ in range(N_LAYERS)]
        encoder = TransformerEncoder(blocks, nn.LayerNorm(D_MODEL))
        return VisionTransformer(patches, Places(4, 4, D_MODEL), encoder, n_classes=10)


def recipe(seed: int, steps: int = STEPS) -> Recipe:
    """Say how a network is trained."""
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        schedule=OneCycle(steps, warm_up=0.2),
        smoothing=SMOOTHING,
        weight_decay=WEIGHT_DECAY,
        seed=seed,
    )


def fit(model: nn.Module, known: Digits, how: Recipe) -> None:
    """Train a network on some digits."""
    generator = torch.Generator().manual_seed(how.seed)
    rows = batches(len(known.labels), how.batch_size, None, generator)
    drawn: Iterator[tuple[Tensor, Tensor]] = (
        (known.pictures[part], known.labels[part]) for part in rows
    )

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], label_smoothing=how.smoothing)

    learn(model, drawn, loss, how, progress=False)


@torch.no_grad()
def accuracy(model: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Return which share of pictures is named right."""
    return (model(pictures).argmax(-1) == labels).double().mean().item()


def blank(pictures: Tensor, patches: Tensor) -> Tensor:
    """Make some patches of two by two pixels paper, in each picture others: (pictures, 16), True where."""
    hidden = patches.view(-1, 4, 4).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return pictures.masked_fill(hidden[..., None], 0)


def largest(scores: Tensor, n: int) -> Tensor:
    """Say where the n largest scores of each row are."""
    found = torch.zeros_like(scores, dtype=torch.bool)
    return found.scatter(1, scores.topk(n, 1).indices, True)


@torch.no_grad()
def looked_at(model: VisionTransformer, shown: Digits, seed: int) -> dict[str, float]:
    """Measure where the class token looks in the last block: on ink, and where it matters.

    Patches are blanked, always as many and only such as have ink: those that it weighs most, those that it
    weighs least, and any.
    """
    with recording(model) as record:
        model(shown.pictures)
    weights = record.weights(list(record.calls)[-1])[:, :, 0, 1:].mean(1)
    patches = shown.pictures[..., 0].view(-1, 4, 2, 4, 2)
    ink = (patches > 0).any(4).any(2).flatten(1)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(weights.shape, generator=generator)
    orders = {"most": weights, "least": -weights, "any": drawn}
    found = {
        "weight on ink": ((weights * ink).sum(1) / weights.sum(1)).mean().item(),
        "patches with ink": ink.double().mean().item(),
    }
    for name, order in orders.items():
        chosen = largest(order.masked_fill(~ink, -torch.inf), N_BLANKED)
        found[f"without {name}"] = accuracy(model, blank(shown.pictures, chosen), shown.labels)
    return found


def run(seed: int, kind: str, n_forms: int) -> dict[str, Any]:
    """Train one model on the digits of so many forms, and measure it."""
    known, parts = digits("train", n_forms), {part: digits(part) for part in ("validation", "test")}
    begun = time.perf_counter()
    if kind == "kernel":
        model: nn.Module = Kernel(known)
    else:
        model = make_model(kind, seed)
        fit(model, known, recipe(seed))
    found: dict[str, Any] = {
        "seconds": time.perf_counter() - begun,
        "weights": n_weights(model),
        "digits": len(known.labels),
        "train": accuracy(model, known.pictures, known.labels),
    }
    for part, shown in parts.items():
        found[part] = accuracy(model, shown.pictures, shown.labels)
    if kind == "patches" and n_forms == max(N_FORMS):
        found["class token"] = looked_at(model, parts["test"], seed)
    return found


def main() -> None:
    """Run all arms."""
    run_all("vit", ARMS, run)


if __name__ == "__main__":
    main()
