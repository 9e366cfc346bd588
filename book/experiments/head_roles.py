"""Chapter 5: what each head does in a model that says a list again, and what is lost without it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from book.experiments.running import run_all
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions
from minattn.recording import recording
from minattn.self_attention import LanguageModel
from minattn.tasks import Task, repetition
from minattn.training import fit, seeded

D_MODEL = 64
N_LAYERS = 2
STEPS = 1500
BASE = 100.0
"""As in multi_head."""

ARMS: dict[str, dict[str, Any]] = {
    "1 head": {"n_heads": 1},
    "2 heads": {"n_heads": 2},
    "4 heads": {"n_heads": 4},
}
FINDS = "after the same letter"


def make_model(task: Task, seed: int, n_heads: int) -> LanguageModel:
    """Make the causal language model of chapter 4 with the attention of chapter 5 in every layer."""
    with seeded(seed):
        model = LanguageModel(
            len(task.target),
            d_model=D_MODEL,
            n_layers=N_LAYERS,
            positions=SinusoidalPositions(D_MODEL, base=BASE),
        )
        model.stack.layers = nn.ModuleList(
            MultiHeadAttention(D_MODEL, n_heads, bias=False) for _ in range(N_LAYERS)
        )
    return model


def places(task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """Return the place of every token read, the length of its list, and where the second round is."""
    place = torch.arange(task.batch(task.held_out).target_in.shape[1])
    length = torch.tensor([[example.length] for example in task.held_out])
    return place, length, (place > length) & (place < 2 * length)


def second_round(model: LanguageModel, task: Task) -> float:
    """Measure the share of right guesses where the letter read was read before."""
    batch = task.batch(task.held_out)
    with torch.no_grad():
        guesses = model(None, batch.target_in).argmax(-1)
    return (guesses == batch.target_out)[places(task)[2]].double().mean().item()


def roles(model: LanguageModel, task: Task) -> dict[str, list[list[float]]]:
    """Measure, for each layer and head, how often its largest weight is where a known role has it.

    All are counted in the second round, where the four places differ.
    """
    place, length, second = places(task)
    known = {
        "previous letter": place - 1,
        "same letter": place - length,
        FINDS: place - length + 1,
        "first letter": torch.ones_like(place),
    }
    with torch.no_grad(), recording(model) as record:
        model(None, task.batch(task.held_out).target_in)
    best = [record.weights(name).argmax(-1) for name in sorted(record.calls)]
    return {
        role: [
            [
                (layer[:, head] == where)[second].double().mean().item()
                for head in range(layer.shape[1])
            ]
            for layer in best
        ]
        for role, where in known.items()
    }


@contextmanager
def without(model: LanguageModel, layer: int, heads: Iterable[int]) -> Iterator[None]:
    """Take what some heads found out of the output while the block runs."""
    attention = model.stack.layers[layer]
    before = attention.out_proj.weight.detach().clone()
    with torch.no_grad():
        for head in heads:
            attention.out_proj.weight[
                :, head * attention.d_head : (head + 1) * attention.d_head
            ] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            attention.out_proj.weight.copy_(before)


def ablate(model: LanguageModel, task: Task, found: list[list[float]]) -> dict[str, Any]:
    """Measure the second round without each head; without all that find the place; with one of them alone."""
    finders = [head for head, share in enumerate(found[-1]) if share > 0.9]
    all_heads = range(model.stack.layers[-1].n_heads)

    def score(layer: int, heads: Iterable[int]) -> float:
        with without(model, layer, heads):
            return second_round(model, task)

    return {
        "without one": [[score(layer, [head]) for head in all_heads] for layer in range(N_LAYERS)],
        "finders": finders,
        "without all finders": score(N_LAYERS - 1, finders),
        "one finder alone": [
            score(N_LAYERS - 1, [other for other in all_heads if other != head]) for head in finders
        ],
    }


def run(seed: int, n_heads: int) -> dict[str, Any]:
    """Train one model and measure it."""
    task = repetition()
    model = make_model(task, seed, n_heads)
    losses = fit(model, task, steps=STEPS, seed=seed, progress=False)
    measured = roles(model, task)
    return {
        "loss": sum(losses[-50:]) / 50,
        "second round": second_round(model, task),
        **measured,
        **ablate(model, task, measured[FINDS]),
    }


def main() -> None:
    """Run all arms."""
    run_all("head_roles", ARMS, run)


if __name__ == "__main__":
    main()
