"""Chapter 12: one change to a shorter training of the experiment `t5` in each arm, with three seeds."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from book.experiments import t5 as main_arm
from book.experiments.measuring import n_weights
from book.experiments.running import run_all
from minattn.dot_product import fused_attend
from minattn.language.spans import corrupt_spans, draw_spans
from minattn.language.t5 import T5, RelativeBias, exact_by_task, t5_stacks
from minattn.language.text_to_text import (
    SENTINELS,
    TASKS,
    UNTRAINED,
    TextExample,
    TextToText,
    truth,
)
from minattn.pointing import pointing
from minattn.recipe import train
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator
from minattn.tasks.base import Example
from minattn.tasks.notations import NOTATIONS, written
from minattn.training import seeded
from minattn.translation import Translator

SEEDS = (0, 1, 2)
STEPS = 1200
N_TESTED = 100
OFFSETS = (-2, -1, 0, 1, 2)
FEW, RELATED = 60, "german to digits"
LABELLED = 100
GRU_WIDTH = 86
SMALL, SMALL_HEADS = 16, 2

ARMS: dict[str, dict[str, Any]] = {
    "T5": {},
    "without the task word": {"change": "no word"},
    "300 numbers": {"n_train": 300},
    "60 examples alone": {"kind": "few", "alone": True},
    "60 examples beside the others": {"kind": "few", "alone": False},
    "twelve small models": {"kind": "small"},
    "100 numbers": {"kind": "pretrained", "gaps": 0},
    "100 numbers, gaps before": {"kind": "pretrained", "gaps": 600},
    "bias in cross-attention too": {"change": "cross"},
    "both sides in the decoder": {"change": "both sides"},
    "bias begins at zero": {"change": "zero"},
    "no bias": {"change": "none"},
    "no attention": {"kind": "recurrent"},
}


def changed_model(task: TextToText, seed: int, change: str | None = None) -> T5:
    """Make a model with one fault."""
    model = main_arm.make_model(len(task.source), seed)
    with seeded(100 + seed):
        for stack in (model.encoder, model.decoder):
            bias: Any = stack.blocks[0].self_attention.attend  # type: ignore[union-attr]
            if change == "zero":
                nn.init.zeros_(bias.table)
            if change == "both sides" and stack is model.decoder:
                bias = RelativeBias(main_arm.N_HEADS, both_sides=True)
            for block in stack.blocks:
                parts: Any = block
                del parts.self_attention.attend
                parts.self_attention.attend = fused_attend if change == "none" else bias
                if change == "cross" and stack is model.decoder:
                    parts.cross_attention.attend = bias
    return model


def without_word(example: Example) -> Example:
    """Take the task word away."""
    said = {"source_says": example.source_says[1:]} if isinstance(example, TextExample) else {}
    return replace(example, source=example.source[1:], **said)


def tested(task: TextToText) -> tuple[TextExample, ...]:
    """Choose the first held-out examples of every task that was trained."""
    return tuple(e for name in TASKS for e in task.of(name)[:N_TESTED])


def few_examples(task: TextToText, alone: bool) -> TextToText:
    """Leave 60 examples of one task; beside the others they come as often as before."""
    few = task.of(RELATED, task.train)
    others = (
        [] if alone else [e for name in TASKS if name != RELATED for e in task.of(name, task.train)]
    )
    again = [few[i % FEW] for i in range(len(few))]
    return replace(task, train=(*others, *again))


def small_model(task: TextToText, seed: int) -> T5:
    """Make a model of a twelfth of the weights."""
    with seeded(seed):
        stacks = t5_stacks(
            d_model=SMALL, n_heads=SMALL_HEADS, d_ff=3 * SMALL, n_layers=main_arm.N_LAYERS
        )
        return T5(len(task.source), *stacks)


def small_models(task: TextToText, seed: int, test: Sequence[TextExample]) -> dict[str, Any]:
    """Train a small model for each task, all of them together with the weights and steps of one."""
    exact, weights = {}, 0
    for name in TASKS:
        model = small_model(task, seed)
        weights += n_weights(model)
        own = replace(task, train=task.of(name, task.train))
        train(model, own, main_arm.recipe(seed, main_arm.STEPS // len(TASKS)), progress=False)
        exact |= exact_by_task(model, task, task.of(name, test))
    return {"exact": exact, "weights": weights}


def gap_task(task: TextToText, seed: int) -> TextToText:
    """Make texts of single numbers, in one notation each, with gaps to fill; four draws of each text."""
    rng = random.Random(seed)
    found: list[Example] = []
    for number in task.numbers[0] * 4:
        tokens = task.pieces.encode(written(number, rng.choice(NOTATIONS)))
        if len(tokens) < 2:
            continue
        spans = draw_spans(len(tokens), rng, share=0.3, mean_length=2)
        source, target = corrupt_spans(tokens, spans, SENTINELS)
        found.append(Example(tuple(source), tuple(target), (None,) * len(target), len(target)))
    return replace(task, train=tuple(found))  # type: ignore[arg-type]


def pretrained(task: TextToText, seed: int, gaps: int) -> T5:
    """Fill gaps first, or not; then learn from the examples of a hundred numbers."""
    model = main_arm.make_model(len(task.source), seed)
    if gaps:
        how = main_arm.recipe(seed, gaps)
        train(model, gap_task(task, seed), how, progress=False)
    few = replace(
        task, train=tuple(e for name in TASKS for e in task.of(name, task.train)[:LABELLED])
    )
    train(model, few, main_arm.recipe(seed, STEPS // 2), progress=False)
    return model


@torch.no_grad()
def beside(model: T5, task: TextToText) -> dict[str, Any]:
    """Score where cross-attention looks in reversing: at the right digit, or so many places beside it."""
    examples = task.of("reverse")[:N_TESTED]
    batch, right = task.batch(examples), truth(examples)
    with recording(model) as record:
        model(batch.source, batch.target_in)
    found: dict[str, Any] = {}
    for layer in range(len(model.decoder.blocks)):
        weights = record.weights(f"decoder.blocks.{layer}.cross_attention").mean(1)
        shifted = {n: F.pad(right, (2, 2))[..., 2 - n : 2 - n + right.shape[-1]] for n in OFFSETS}
        found[f"layer {layer + 1}"] = {
            str(n): pointing(weights, there).inside.item() for n, there in shifted.items()
        }
    return found


def run(
    seed: int,
    kind: str = "T5",
    change: str | None = None,
    n_train: int = main_arm.N_TRAIN,
    alone: bool = False,
    gaps: int = 0,
    steps: int = STEPS,
) -> dict[str, Any]:
    """Train one arm, and measure it on numbers that nothing was chosen by."""
    task = main_arm.task_of(n_train)
    test = tested(task)
    if kind == "small":
        return small_models(task, seed, test)
    if kind == "pretrained":
        model: Translator = pretrained(task, seed, gaps)
    elif kind == "few":
        model = changed_model(task, seed)
        steps = STEPS // 4 if alone else steps
        train(model, few_examples(task, alone), main_arm.recipe(seed, steps), progress=False)
        test = task.of(RELATED)[:N_TESTED]
    elif kind == "recurrent":
        with seeded(seed):
            n = len(task.source)
            model = RecurrentTranslator(n, n, d_model=GRU_WIDTH)
        train(model, task, main_arm.recipe(seed, steps), progress=False)
    else:
        model = changed_model(task, seed, change)
        change_examples: Callable[[Iterable[Example]], tuple[Any, ...]] = tuple
        if change == "no word":
            change_examples = lambda examples: tuple(map(without_word, examples))  # noqa: E731
        own = replace(task, train=change_examples(task.train))
        train(model, own, main_arm.recipe(seed, steps), progress=False)
        test = change_examples(test)
    found = {**main_arm.measured(model, task, test), "weights": n_weights(model)}
    if isinstance(model, T5) and kind == "T5" and change is None:
        found["beside the right digit"] = beside(model, task)
        found["untrained"] = exact_by_task(model, task, task.of(UNTRAINED)[:N_TESTED])
    return found


def main() -> None:
    """Run all arms."""
    run_all("t5_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
