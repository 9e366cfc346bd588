"""Chapter 2: does a one-way encoder look one word late because that word tells what a digit is for?

A digit word stands before *hundert*, before *und* or at the end of its group, and in German the same word does all
three. Here the language is changed: what a digit is for is told earlier than in German, or later.
"""

import dataclasses
import random
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from book.experiments.running import run_all
from book.experiments.soft_attention import BATCH_SIZE, D_MODEL, STEPS
from minattn.alignment import MultiplicativeAttention
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import Example, Task, gold_alignment, number_words
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.vocabulary import Vocabulary

DIGITS = "eins eine ein zwei drei vier fünf sechs sieben acht neun".split()
ROLES = ("hundreds", "before und", "last of group")
MARKS = tuple(f"[{name}]" for name in ROLES)
FILLER = "so"

ARMS: dict[str, dict[str, Any]] = {
    "told by a word before": {"told": "before"},
    "told by the digit itself": {"told": "itself"},
    "German, told by the next word": {"told": "next"},
    "told after a filler": {"told": "next", "filler": True},
    "told by the digit itself, then a filler": {"told": "itself", "filler": True},
    "digits marked at random": {"told": "random"},  # as many words, but they tell nothing
}


def role(source: tuple[str, ...], place: int) -> int:
    """Say which of ``ROLES`` the digit word at a place has; -1 for other words."""
    if source[place] not in DIGITS:
        return -1
    following = source[place + 1] if place + 1 < len(source) else ""
    return {"hundert": 0, "und": 1}.get(following, 2)


def roles(examples: Iterable[Example]) -> list[list[int]]:
    """Say for every target token the role of the German word it translates."""
    return [
        [-1 if place is None else role(example.source, place) for place in example.alignment]
        for example in examples
    ]


def rewriter(told: str, filler: bool) -> Callable[[Example], Example]:
    """Return what rewrites a German example."""
    rng = random.Random(0)

    def rewrite(example: Example) -> Example:
        source: list[str] = []
        moved: list[int] = []
        for place, word in enumerate(example.source):
            found = role(example.source, place)
            if found >= 0 and told == "before":
                source.append(MARKS[found])
            moved.append(len(source))
            if found >= 0 and told == "itself":
                word += MARKS[found]
            if found >= 0 and told == "random":
                word += rng.choice(MARKS)
            source.append(word)
            if found >= 0 and filler:
                source.append(FILLER)
        alignment = tuple(None if place is None else moved[place] for place in example.alignment)
        return Example(tuple(source), example.target, alignment, example.length)

    return rewrite


@cache
def in_both_languages(
    make_german: Callable[[], Task], told: str, filler: bool
) -> tuple[Task, Task]:
    """Make the task, and the same in the changed language; the targets stay."""
    german, rewrite = make_german(), rewriter(told, filler)
    marked = [word + mark for word in DIGITS for mark in MARKS]
    return german, dataclasses.replace(
        german,
        source=Vocabulary([*german.source.tokens[3:], *MARKS, FILLER, *marked]),
        train=tuple(map(rewrite, german.train)),
        held_out=tuple(map(rewrite, german.held_out)),
    )


def run(seed: int, told: str, filler: bool = False) -> dict[str, Any]:
    """Train one model and measure, for every role of a digit, how far from its word it is looked up."""
    german, task = in_both_languages(number_words, told, filler)
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source),
            len(task.target),
            d_model=D_MODEL,
            attend=MultiplicativeAttention(D_MODEL, D_MODEL, temperature=8.0),
            attends="after",
        )
    losses = fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    accuracy = evaluate(model, task)
    return {
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
        "looked up": looked_up(model, task, german),
        "role read from the state": role_read(model, task, german),
    }


def looked_up(model: RecurrentTranslator, task: Task, german: Task) -> dict[str, dict[str, float]]:
    """Measure the share of largest weights at the word, one word later and so on, by role of the digit."""
    batch, gold = task.batch(task.held_out), gold_alignment(task.held_out)
    with torch.no_grad(), recording(model) as record:
        model(batch.source, batch.target_in)
    offset = record.weights()[:, : gold.shape[1]].argmax(-1) - gold
    kind = padded(roles(german.held_out), gold)
    groups = {name: kind == number for number, name in enumerate(ROLES)}
    groups |= {"all digits": kind >= 0, "all words": gold >= 0}
    return {name: shares(offset[group]) for name, group in groups.items()}


def shares(offset: Tensor) -> dict[str, float]:
    """Count where looks fall."""
    names = ("at the word", "one late", "two late")
    found = {name: (offset == late).double().mean().item() for late, name in enumerate(names)}
    return found | {"elsewhere": 1 - sum(found.values())}


def padded(rows: list[list[int]], like: Tensor) -> Tensor:
    """Put lists into a rectangle of a given shape, with -1 behind."""
    width = like.shape[1]
    return torch.tensor([row + [-1] * (width - len(row)) for row in rows])


def role_read(model: RecurrentTranslator, task: Task, german: Task) -> dict[str, float]:
    """Read the role of a digit from the encoder's state at its word and after it, by least squares."""
    seen = slice(0, 1000)
    x, y = digit_states(model, task, german.train[seen], task.train[seen])
    x_new, y_new = digit_states(model, task, german.held_out, task.held_out)
    found = {}
    for late, name in enumerate(("at the word", "one late", "two late")):
        weights = least_squares(x[late], one_hot(y, len(ROLES)).double())
        guess = (x_new[late] @ weights).argmax(-1)
        found[name] = (guess == y_new).double().mean().item()
    often = y.bincount(minlength=len(ROLES)).argmax()
    return found | {"always the commonest": (y_new == often).double().mean().item()}


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """Return the linear map from x to y; a small ridge keeps it the same on all processors."""
    return torch.linalg.solve(x.T @ x + torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)


def digit_states(
    model: RecurrentTranslator, task: Task, german: Iterable[Example], changed: Iterable[Example]
) -> tuple[list[Tensor], Tensor]:
    """Return the states at all digit words, at the words after them, and after those; and the digits' roles."""
    changed = list(changed)
    gold = gold_alignment(changed)
    kind = padded(roles(german), gold)
    with torch.no_grad():
        states = model.encode(task.batch(changed).source).states.double()
    states = torch.cat([states, torch.ones_like(states[..., :1])], dim=-1)
    row, column = (kind >= 0).nonzero(as_tuple=True)
    last = states.shape[1] - 1
    places = [(gold[row, column] + late).clamp(max=last) for late in range(3)]
    return [states[row, place] for place in places], kind[row, column]


def main() -> None:
    """Run all arms; with many seeds, for a seed does it with nearly all its digits or with hardly any."""
    run_all("late_look", ARMS, run, seeds=range(15))


if __name__ == "__main__":
    main()
