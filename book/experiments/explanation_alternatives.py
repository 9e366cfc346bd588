"""Chapter 21: how far can weights be changed before the answer does, where attention is needed and where it is idle?"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from book.experiments.explanation import parts_of, recurrent
from book.experiments.running import run_all
from minattn.alignment import MultiplicativeAttention, uniform_attention
from minattn.learning import Recipe, learn
from minattn.pointing import one_right_key, pointing
from minattn.probing.alternatives import Alternative, adversarial, permuted, tried
from minattn.probing.attribution import head_weights
from minattn.recording import attending
from minattn.seam import Attend
from minattn.tasks import gold_alignment
from minattn.training import seeded
from minattn.translation import Table
from minattn.vocabulary import token_mask

D_MODEL, LENGTH, N_LETTERS, N_DIGITS = 32, 12, 20, 10
STEPS, BATCH_SIZE, LEARNING_RATE = 400, 64, 1e-2
N_TEST = 100
EPSILONS = (0.01, 0.05)
N_PERMUTED = 10

ARMS: dict[str, dict[str, Any]] = {
    "number words": {"kind": "number words"},
    "one digit, embeddings": {"kind": "embeddings"},
    "one digit, recurrent": {"kind": "recurrent"},
    "topic, recurrent": {"kind": "topic"},
}


Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor, Tensor]]


class Reader(nn.Module):
    """Say which digit stands among letters, or their topic: one learned query attends to what stands for the tokens.

    Args:
        recurrent: whether that are states of a recurrent layer in both directions, or embeddings alone.
    """

    def __init__(self, recurrent: bool) -> None:
        super().__init__()
        self.embedding = Table(N_LETTERS + N_DIGITS, D_MODEL, "ids")
        self.gru = (
            nn.GRU(D_MODEL, D_MODEL // 2, batch_first=True, bidirectional=True)
            if recurrent
            else None
        )
        self.query = nn.Parameter(torch.randn(D_MODEL))
        self.attend: Attend = MultiplicativeAttention(D_MODEL, D_MODEL)
        self.readout = nn.Linear(D_MODEL, N_DIGITS)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits of the digit, (batch, 1, digits)."""
        x = self.embedding(ids)
        x = x if self.gru is None else self.gru(x)[0]
        logits: Tensor = self.readout(self.attend(self.query.expand(len(ids), 1, -1), x, x, None))
        return logits


def one_digit(number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw letters with one digit among them; return them, the digit, and where it stands."""
    ids = torch.randint(N_LETTERS, (number, LENGTH), generator=generator)
    place = torch.randint(LENGTH, (number,), generator=generator)
    digit = torch.randint(N_DIGITS, (number,), generator=generator)
    there = one_right_key(place[:, None], LENGTH)
    return ids.scatter(1, place[:, None], N_LETTERS + digit[:, None]), digit, there


def topic(number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw texts of ten topics, each with letters of its own, which are half of a text; return also where they are."""
    ids = torch.randint(N_LETTERS, (number, LENGTH), generator=generator)
    found = torch.randint(N_DIGITS, (number,), generator=generator)
    n_own = N_LETTERS // N_DIGITS
    own = n_own * found[:, None] + torch.randint(n_own, ids.shape, generator=generator)
    ids = torch.where(torch.rand(ids.shape, generator=generator) < 0.5, own, ids)
    there = ids // n_own == found[:, None]
    return ids, found, there[:, None]


def teach(model: Reader, draw: Draw, seed: int) -> None:
    """Train a reader."""
    generator = torch.Generator().manual_seed(seed)

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while True:
            yield draw(BATCH_SIZE, generator)

    def loss(model: Any, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0])[:, 0], batch[1])

    how = Recipe(steps=STEPS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, seed=seed)
    learn(model, batches(), loss, how, progress=False)


def reading(seed: int, kind: str) -> dict[str, Any]:
    """Train a reader, and gather what is to be changed."""
    with seeded(seed):
        model = Reader(recurrent=kind != "embeddings")
    draw: Draw = topic if kind == "topic" else one_digit
    teach(model, draw, seed)
    ids, digit, truth = draw(N_TEST, torch.Generator().manual_seed(21))
    return {
        "model": model.eval(),
        "logits": lambda: model(ids),
        "said": digit[:, None],
        "truth": truth,
        "allowed": torch.ones(N_TEST, 1, LENGTH, dtype=torch.bool),
    }


def translating(seed: int) -> dict[str, Any]:
    """Train chapter 2's translator, and gather what is to be changed: where it says a number word."""
    model, task, _ = recurrent(seed)
    examples = parts_of(task.held_out)[1]
    batch, gold = task.batch(examples), gold_alignment(examples)
    padded = F.pad(gold, (0, batch.target_out.shape[1] - gold.shape[1]), value=-1)
    return {
        "model": model.eval(),
        "logits": lambda: model(batch.source, batch.target_in),
        "said": batch.target_out,
        "truth": one_right_key(padded, batch.source.shape[1]),
        "allowed": token_mask(batch.source)[:, None],
    }


def told(found: Alternative, counted: Tensor) -> dict[str, float]:
    """Say how far weights moved and predictions changed: means, and medians."""
    moved, changed = found.moved[counted].double(), found.changed[counted].double()
    return {
        "moved": moved.mean().item(),
        "moved, median": moved.median().item(),
        "changed": changed.mean().item(),
        "changed, median": changed.median().item(),
    }


def uniform(attend: Attend) -> Attend:
    """Look everywhere alike, padding aside."""
    return uniform_attention


def run(seed: int, kind: str) -> dict[str, Any]:
    """Train one model, and look for other weights with which it says the same."""
    made = translating(seed) if kind == "number words" else reading(seed, kind)
    model, allowed, truth = made["model"].requires_grad_(False), made["allowed"], made["truth"]
    counted = truth.any(-1)

    def predict() -> Tensor:
        found: Tensor = made["logits"]().softmax(-1)
        return found

    def right() -> float:
        with torch.no_grad():
            said = made["logits"]().argmax(-1)
        return (said == made["said"])[counted].double().mean().item()

    weights = head_weights(made["logits"], model)
    at = pointing(weights[:, 0], truth, counted, allowed)
    found: dict[str, Any] = {
        "right": right(),
        "inside": at.inside.item(),
        "mass": at.mass.item(),
        "chance": at.chance,
    }
    with attending(model, uniform):
        found["right, uniform weights"] = right()
    generator = torch.Generator().manual_seed(seed)
    each = [tried(predict, model, permuted(weights, allowed, generator)) for _ in range(N_PERMUTED)]
    mean = (torch.stack([getattr(e, name) for e in each]).mean(0) for name in ("moved", "changed"))
    found["permuted"] = told(Alternative(weights, *mean), counted)
    for epsilon in EPSILONS:
        other = adversarial(predict, model, allowed, epsilon=epsilon, seed=seed)
        inside = pointing(other.weights[:, 0], truth, counted, allowed)
        found[f"adversarial, {epsilon}"] = told(other, counted) | {
            "inside": inside.inside.item(),
            "mass": inside.mass.item(),
        }
    return found


def main() -> None:
    """Run all arms."""
    run_all("explanation_alternatives", ARMS, run)


if __name__ == "__main__":
    main()
