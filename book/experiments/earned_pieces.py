"""Chapter 6: the Transformer built up piece by piece, on numbers and on a task that takes two looks.

The task: eight letters stand in a ring, and every letter says how far to hop to the right, a by 0 and h by 7. The
answer for each place is the letter on which one lands. Where to look depends on what stands in a place, so one
look cannot do, but one in the encoder and one in the decoder can. And a place and a distance round a ring have to
be added.

Task, depth, order and learning rate were chosen on data drawn with seed 0. What is measured is drawn with seed 1.
"""

from dataclasses import replace
from typing import Any

import torch

from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from book.experiments.transformer import BATCH_SIZE, D_FF, D_MODEL, LEARNING_RATE, change_blocks
from minattn.tasks import Example, Task, copying, number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded, teacher_forcing, token_loss
from minattn.transformer import TransformerTranslator
from minattn.vocabulary import PAD

DATA_SEED = 1
RING = 8
"""Places of the ring, and different letters."""
STEPS = {"hops": 1500, "numbers": 1000}
A_POINT = 50
"""Steps that make one point of a stored curve."""

PIECES = ("no residual", "no feed-forward", "no norm")
LADDER: dict[str, dict[str, Any]] = {
    "attention": {"without": PIECES, "n_layers": 1},
    "+ second block": {"without": PIECES},
    "+ residual": {"without": PIECES[1:]},
    "+ feed-forward": {"without": PIECES[2:]},
    "+ norm": {},
    "+ heads": {"n_heads": 4},
}
"""Each step keeps what the steps before it have added."""

ARMS: dict[str, dict[str, Any]] = {
    f"{task}, {step}": {"task": task, **settings}
    for task in STEPS
    for step, settings in LADDER.items()
} | {
    "hops, all but norm": {"task": "hops", "without": PIECES[2:], "n_heads": 4},
    "hops, all but second block": {"task": "hops", "n_layers": 1, "n_heads": 4},
    "hops, all but norm and second block": {
        "task": "hops",
        "without": PIECES[2:],
        "n_layers": 1,
        "n_heads": 4,
    },
}


def hops(n_train: int = 20_000, n_held_out: int = 500, seed: int = DATA_SEED) -> Task:
    """Make the task: from every place of a ring, hop as far as its letter says.

    >>> hops(n_train=1, n_held_out=1).train[0].length
    8
    """
    task = copying(
        n_train=n_train,
        n_held_out_per_length=n_held_out,
        min_length=RING,
        max_length=RING,
        n_symbols=RING,
        seed=seed,
    )

    def hopped(example: Example) -> Example:
        far = [ord(letter) - ord("a") for letter in example.source]
        places = tuple((place + hop) % RING for place, hop in enumerate(far))
        return replace(
            example, target=tuple(example.source[place] for place in places), alignment=places
        )

    return replace(
        task,
        name="hops round a ring",
        train=tuple(map(hopped, task.train)),
        held_out=tuple(map(hopped, task.held_out)),
    )


def make_task(name: str) -> Task:
    """Make the task of an arm."""
    if name == "hops":
        return hops()
    return number_words(n_held_out_per_length=100, seed=DATA_SEED)


def make_model(
    task: Task, seed: int, without: tuple[str, ...] = (), n_layers: int = 2, n_heads: int = 1
) -> TransformerTranslator:
    """Make the model of an arm, and take out the pieces that it does not have yet."""
    with seeded(seed):
        model = TransformerTranslator(
            len(task.source),
            len(task.target),
            d_model=D_MODEL,
            d_ff=D_FF,
            n_layers=n_layers,
            n_heads=n_heads,
        )
        for change in without:
            change_blocks(model, change)
    return model


def curve(losses: list[float]) -> list[float]:
    """Average the losses of every few steps."""
    return [round(loss, 5) for loss in averaged(losses, A_POINT)]


def read_held_out(model: TransformerTranslator, task: Task) -> dict[str, float]:
    """Measure the loss on the held-out examples, and how many tokens are right, under teacher forcing."""
    batch = task.batch(task.held_out)
    with torch.no_grad():
        logits = teacher_forcing(model, batch)
    right = logits.argmax(-1) == batch.target_out
    return {
        "held-out loss": token_loss(logits, batch.target_out).item(),
        "tokens": right[batch.target_out != PAD].float().mean().item(),
    }


def run(seed: int, task: str, **settings: Any) -> dict[str, Any]:
    """Train one model and measure it."""
    data = make_task(task)
    model = make_model(data, seed, **settings)
    losses = fit(
        model,
        data,
        steps=STEPS[task],
        seed=seed,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        progress=False,
    )
    return {
        "accuracy": mean_accuracy(evaluate(model, data)),
        **read_held_out(model, data),
        "loss": sum(losses[-A_POINT:]) / len(losses[-A_POINT:]),
        "parameters": n_weights(model),
        "curve": curve(losses),
    }


def main() -> None:
    """Run all arms."""
    run_all("earned_pieces", ARMS, run)


if __name__ == "__main__":
    main()
