"""Train the models of the live pages as the chapters do, and export them for the browser.

    python -m book.tools.live                     all of them
    python -m book.tools.live fixed reversal      these
    python -m book.tools.live --into FOLDER ...   elsewhere than into book/_static/live/weights

A model is one script file or two, NAME.js, which a page can add from a folder without a server, and a
card, NAME.json, which says what the model is and how well it does. The weights are one buffer of half
precision numbers, little endian, in base64, with a table that says where each tensor begins. Beside
them are attention maps that were recorded from the models of chapters 4 and 5.

On one machine, with one thread, the same files come out again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from book.tools import freshness
from book.tools.writing import write_whole
from minattn.alignment import AdditiveAttention, MultiplicativeAttention
from minattn.live_export import entries
from minattn.live_export import script as written
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator, final_state
from minattn.self_attention import InPlaceTranslator, LanguageModel
from minattn.tasks import Task, number_words, repetition, reversal
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.transformer import TransformerTranslator
from minattn.translation import Translator

WEIGHTS = Path(__file__).resolve().parents[1] / "_static" / "live" / "weights"
SEED = 0
WATCHED = freshness.watch()

Make = Callable[[int, int], Translator]
"""Takes the sizes of both vocabularies."""


@dataclass(frozen=True)
class LiveModel:
    """A model of a chapter and how it is trained there."""

    title: str
    chapter: str
    make: Make
    steps: int
    fit: dict[str, Any]
    parts: tuple[str, ...] = ()  # a second file, NAME_PART.js


def recurrent(attend: Callable[[], Any], **settings: Any) -> Make:
    return lambda source, target: RecurrentTranslator(source, target, attend=attend(), **settings)


def multiplicative(temperature: float, bidirectional: bool = True) -> Make:
    return recurrent(
        lambda: MultiplicativeAttention(64, 64, temperature=temperature),
        attends="after",
        bidirectional=bidirectional,
    )


BATCH = {"batch_size": 32}
MODELS = {
    "fixed": LiveModel(
        "One fixed context vector",
        "01_context_vector",
        recurrent(lambda: final_state, d_model=64, attends="before"),
        600,
        BATCH,
    ),
    "additive": LiveModel(
        "Additive attention",
        "02_soft_attention",
        recurrent(
            lambda: AdditiveAttention(64, 64, 64),
            attends="before",
            bidirectional=True,
        ),
        400,
        BATCH,
    ),
    "multiplicative": LiveModel(
        "Multiplicative attention", "02_soft_attention", multiplicative(8), 600, BATCH
    ),
    "one_way": LiveModel(
        "Multiplicative attention, its encoder reads from left to right only",
        "02_soft_attention",
        multiplicative(8, bidirectional=False),
        300,
        BATCH,
    ),
    "no_temperature": LiveModel(
        "Multiplicative attention without its temperature",
        "02_soft_attention",
        multiplicative(1),
        600,
        BATCH,
    ),
    "transformer": LiveModel(
        "The Transformer, two blocks",
        "06_transformer",
        lambda source, target: TransformerTranslator(source, target, d_ff=128, n_layers=2),
        1100,
        {**BATCH, "learning_rate": 3e-3, "by_length": True},
        parts=("decoder",),
    ),
}


def rounded(model: Translator) -> Translator:
    """Round all weights to half precision, in place."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(tensor.half())
    return model


def accuracy(model: Translator, task: Task) -> dict[str, Any]:
    by_length = evaluate(model, task)
    return {
        "mean": round(mean_accuracy(by_length), 4),
        "by_length": {str(length): round(share, 4) for length, share in by_length.items()},
    }


def export_model(name: str, live: LiveModel, folder: Path, task: Task | None = None) -> None:
    """Train one model as its chapter does, round it, and write its files and its card."""
    task = number_words() if task is None else task
    with seeded(SEED):
        model = live.make(len(task.source), len(task.target))
    fit(model, task, steps=live.steps, seed=SEED, progress=False, **live.fit)
    before = accuracy(model, task)
    after = accuracy(rounded(model), task)
    made = entries(name, model, task.source.tokens, task.target.tokens, parts=live.parts)
    scripts = {
        f"{file}.js": script("weights", file, live.title, entry) for file, entry in made.items()
    }
    for file, text in scripts.items():
        write_whole(folder / file, text)
    card = {
        "name": name,
        "title": live.title,
        "task": task.name,
        "chapter": live.chapter,
        "command": f"make live ONLY={name}",
        "seed": SEED,
        "steps": live.steps,
        "fit": live.fit,
        "model": made[name]["model"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "precision": "half (IEEE 754 binary16), rounded after training",
        "held_out_numbers": len(task.held_out),
        "accuracy_before_rounding": before,
        "accuracy_after_rounding": after,
        "files": {file: len(text.encode()) for file, text in scripts.items()},
        "licence": "MIT",
        "torch": version("torch"),
    }
    write_card(folder, name, card)


def write_card(folder: Path, name: str, card: dict[str, Any]) -> None:
    """Write what there is to know of a file, and the stamp of the run that made it."""
    stamped = card | {"stamp": freshness.stamp(WATCHED())}
    write_whole(folder / f"{name}.json", json.dumps(stamped, indent=1) + "\n")


def script(place: str, name: str, title: str, entry: dict[str, Any]) -> str:
    """Write an entry as a script, with its title above it."""
    return written(place, name, f"{title}. Made by make live; see book/tools/live.py.", entry)


# Attention maps, recorded beforehand: what chapters 4 and 5 show, of more sequences.


def reversal_maps() -> dict[str, Any]:
    """Chapter 4: two layers that answer in place and say a list backwards."""
    task = reversal()
    with seeded(SEED):
        model = InPlaceTranslator(
            len(task.source), len(task.target), n_layers=2, positions=SinusoidalPositions(64)
        )
    fit(model, task, steps=1500, learning_rate=1e-2, progress=False)

    def record(example: Any) -> tuple[list[str], list[str], Any]:
        batch = task.batch([example])
        with torch.no_grad(), recording(model) as found:
            answer = model(batch.source, batch.target_in).argmax(-1)[0].tolist()
        said = [task.target.tokens[index] for index in answer]
        return [*example.source, "<eos>"], said, found

    lengths = (3, 5, 8, 11, 14, 20)
    return {
        "title": "Two layers of chapter 4, each with one head, which say a list of letters backwards",
        "chapter": "04_self_attention",
        "causal": False,
        "sequences": maps(record, [task.held_out_of(n)[0] for n in lengths]),
    }


def heads_maps() -> dict[str, Any]:
    """Chapter 5: two layers of four heads that read a list said twice, and guess the next letter."""
    task = repetition()
    with seeded(SEED):
        model = LanguageModel(
            len(task.target), n_layers=2, positions=SinusoidalPositions(64, base=100.0)
        )
        model.stack.layers = nn.ModuleList(MultiHeadAttention(64, 4, bias=False) for _ in range(2))
    fit(model, task, steps=1500, progress=False)

    def record(example: Any) -> tuple[list[str], list[str], Any]:
        batch = task.batch([example])
        with torch.no_grad(), recording(model) as found:
            answer = model(None, batch.target_in).argmax(-1)[0].tolist()
        said = [task.target.tokens[index] for index in answer]
        return ["<bos>", *example.target], said, found

    lengths = (4, 5, 6, 7, 8, 10)
    return {
        "title": "Two layers of chapter 5, each with four heads, "
        "which read a list of letters said twice and guess the next letter",
        "chapter": "05_multi_head",
        "causal": True,
        "sequences": maps(record, [task.held_out_of(n)[0] for n in lengths]),
    }


def maps(
    record: Callable[[Any], tuple[list[str], list[str], Any]], examples: Sequence[Any]
) -> list[dict[str, Any]]:
    """Record all layers and heads; weights have three digits behind the point."""
    sequences = []
    for example in examples:
        tokens, said, found = record(example)
        layers = []
        for name, calls in found.calls.items():
            weights = calls[0][0]
            heads = weights if weights.ndim == 3 else weights[None]
            layers.append({"name": name, "heads": [digits(head) for head in heads]})
        sequences.append({"tokens": tokens, "answers": said, "layers": layers})
    return sequences


def digits(weights: Tensor) -> list[list[float]]:
    """Round to three digits; 0 and 1 are written without a point, which saves a third of the file."""
    rows = [[round(weight, 3) for weight in row] for row in weights.double().tolist()]
    return [[int(weight) if weight == int(weight) else weight for weight in row] for row in rows]


MAPS = {"reversal": reversal_maps, "heads": heads_maps}


def export_maps(name: str, folder: Path) -> None:
    """Record maps and write them, and their card."""
    made = MAPS[name]()
    text = script("maps", name, made["title"], made)
    write_whole(folder / f"maps_{name}.js", text)
    card = {
        "name": f"maps_{name}",
        "title": made["title"],
        "chapter": made["chapter"],
        "command": f"make live ONLY={name}",
        "files": {f"maps_{name}.js": len(text.encode())},
    }
    write_card(folder, f"maps_{name}", card)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join([*MODELS, *MAPS])}; all if none")
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in MODELS and name not in MAPS:
            print(
                f"minattn: no model {name!r}; there are {', '.join([*MODELS, *MAPS])}",
                file=sys.stderr,
            )
            return 2
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same files again
    for name in arguments.names or [*MODELS, *MAPS]:
        print(f"training {name}", file=sys.stderr, flush=True)
        if name in MODELS:
            export_model(name, MODELS[name], arguments.into)
        else:
            export_maps(name, arguments.into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
