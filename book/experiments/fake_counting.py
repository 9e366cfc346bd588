"""Chapter 2: does a decoder with fake attention count? Filler words move what it looks for, and tell it nothing.

The scores of fake attention come from the decoder's state, and the state knows the words that were written and how
the decoder was started. Where neither says how many fillers stand before a word, nothing does.
"""

import dataclasses
import random
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from book.experiments.fake_attention import FakeAttention
from book.experiments.late_look import least_squares
from book.experiments.running import run_all
from book.experiments.soft_attention import BATCH_SIZE, D_MODEL, STEPS
from minattn.alignment import (
    MultiplicativeAttention,
    alignment_accuracy,
    entropy,
    uniform_attention,
)
from minattn.recording import attending, recording
from minattn.recurrent import RecurrentTranslator
from minattn.seam import Attend
from minattn.tasks import Example, Task, gold_alignment, number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.translation import Memory
from minattn.vocabulary import Batch, Vocabulary

FILLER = "so"
N_POSITIONS = 50

Fillers = tuple[int, int, str]
"""The fewest fillers in a sentence, the most, and whether they stand "before" it or "anywhere"."""

NONE: Fillers = (0, 0, "anywhere")
SOME: Fillers = (0, 3, "anywhere")
MANY: Fillers = (0, 20, "before")

ARMS: dict[str, dict[str, Any]] = {
    "fake": {"scores": "fake", "fillers": NONE},
    "real": {"scores": "real", "fillers": NONE},
    "fake, blind start": {"scores": "fake", "fillers": NONE, "blind_start": True},
    "fake, 0 to 3 anywhere": {"scores": "fake", "fillers": SOME},
    "real, 0 to 3 anywhere": {"scores": "real", "fillers": SOME},
    "fake, blind start, 0 to 3 anywhere": {"scores": "fake", "fillers": SOME, "blind_start": True},
    "fake, 0 to 20 before": {"scores": "fake", "fillers": MANY},
    "fake, blind start, 0 to 20 before": {"scores": "fake", "fillers": MANY, "blind_start": True},
    "real, blind start, 0 to 20 before": {"scores": "real", "fillers": MANY, "blind_start": True},
    "uniform, blind start, 0 to 20 before": {
        "scores": "uniform",
        "fillers": MANY,
        "blind_start": True,
    },
}


class BlindStart(RecurrentTranslator):
    """A decoder that starts from zeros, so that its state knows the words it wrote and nothing of the source."""

    def start(self, memory: Memory) -> tuple[Tensor]:
        """Start the same way whatever the source."""
        return (torch.zeros_like(memory.states[:, 0]),)


@cache
def with_fillers(make_task: Callable[[], Task], fewest: int, most: int, where: str) -> Task:
    """Put a random number of fillers into every source; the targets stay."""
    task, rng = make_task(), random.Random(0)

    def fill(example: Example) -> Example:
        n_words = len(example.source)
        gaps = [
            0 if where == "before" else rng.randint(0, n_words)
            for _ in range(rng.randint(fewest, most))
        ]
        source: list[str] = []
        moved: list[int] = []
        for place, word in enumerate(example.source):
            source += [FILLER] * gaps.count(place)
            moved.append(len(source))
            source.append(word)
        source += [FILLER] * gaps.count(n_words)
        alignment = tuple(None if place is None else moved[place] for place in example.alignment)
        return Example(tuple(source), example.target, alignment, example.length)

    return dataclasses.replace(
        task,
        source=Vocabulary([*task.source.tokens[3:], FILLER]),
        train=tuple(map(fill, task.train)),
        held_out=tuple(map(fill, task.held_out)),
    )


def run(seed: int, scores: str, fillers: Fillers, blind_start: bool = False) -> dict[str, Any]:
    """Train one model; measure its translations, and what its decoder's state says about places."""
    task = with_fillers(number_words, *fillers)
    make = BlindStart if blind_start else RecurrentTranslator
    attends: dict[str, Callable[[], Attend]] = {
        "fake": lambda: FakeAttention(D_MODEL, N_POSITIONS),
        "real": lambda: MultiplicativeAttention(D_MODEL, D_MODEL, temperature=8.0),
        "uniform": lambda: uniform_attention,
    }
    with seeded(seed):
        model = make(
            len(task.source),
            len(task.target),
            d_model=D_MODEL,
            attend=attends[scores](),
            attends="after",
            bidirectional=True,
        )
    parts = [(task.batch(x), gold_alignment(x)) for x in (task.train[:1000], task.held_out)]
    untrained = place_read(partial(states_of, model), *parts)
    losses = fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    accuracy = evaluate(model, task)
    measured: dict[str, Any] = {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
        "place read from the state": place_read(partial(states_of, model), *parts),
        "place read before training": untrained,
        "place read from the number of words": place_read(steps_alone, *parts),
    }
    if scores != "uniform":
        measured |= looked_at(model, *parts[1])
        with attending(model, one_place_on):
            measured["states one place on"] = mean_accuracy(evaluate(model, task))
    return measured


def one_place_on(attend: Attend) -> Attend:
    """Move all states one place on, with the first one twice: what was read and written stays the same."""

    def moved(query: Tensor, key: Tensor, value: Tensor, mask: Any = None) -> Tensor:
        key, value, mask = (torch.cat([x[..., :1, :], x], -2) for x in (key, value, mask.mT))
        return attend(query, key, value, mask.mT)

    return moved


def looked_at(model: RecurrentTranslator, batch: Batch, gold: Tensor) -> dict[str, float]:
    """Say how often the largest weight is on the right word, and how spread the weights are."""
    with torch.no_grad(), recording(model) as record:
        model(batch.source, batch.target_in)
    weights = record.weights()
    return {
        "alignment": alignment_accuracy(weights, gold),
        "entropy": entropy(weights)[:, : gold.shape[1]][gold >= 0].mean().item(),
    }


def place_read(
    states_of: Callable[[Batch], Tensor], *parts: tuple[Batch, Tensor]
) -> dict[str, float]:
    """Read the place of the next word's source from a state, by least squares.

    Args:
        states_of: gives the state at every step.
        parts: examples to learn from and others to measure with, each with their gold alignment.
    """
    (x, y), (x_new, y_new) = (states_and_places(states_of, *part) for part in parts)
    guess = x_new @ least_squares(x, y)
    return {
        "explained": 1 - ((guess - y_new).square().mean() / y_new.var(correction=0)).item(),
        "exact": (guess.round() == y_new).double().mean().item(),
        "within one": ((guess.round() - y_new).abs() <= 1).double().mean().item(),
    }


def states_and_places(
    states_of: Callable[[Batch], Tensor], batch: Batch, gold: Tensor
) -> tuple[Tensor, Tensor]:
    """Return states, with a one for the bias, and the gold places, where there is one."""
    with torch.no_grad():
        states = states_of(batch)[:, : gold.shape[1]]
    x = states[gold >= 0].double()
    return torch.cat([x, torch.ones_like(x[:, :1])], -1), gold[gold >= 0].double()


def states_of(model: RecurrentTranslator, batch: Batch) -> Tensor:
    """Return the decoder's states under teacher forcing."""
    (first,) = model.start(model.memory_of(batch.source))
    states: Tensor = model.gru(model.embedding(batch.target_in), first[None])[0]
    return states


def steps_alone(batch: Batch) -> Tensor:
    """Return how many words are written, one-hot."""
    return torch.eye(40)[: batch.target_in.shape[1]].expand(len(batch.target_in), -1, -1)


def main() -> None:
    """Run all arms."""
    run_all("fake_counting", ARMS, run)


if __name__ == "__main__":
    main()
