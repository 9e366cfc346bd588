"""Train the stored models: those that take longer than a chapter may.

    python -m book.tools.models              all of them
    python -m book.tools.models NAME ...     these

book/models/NAME.py says how: `build()` makes the model, untrained; `train(model)` trains it in place and
returns what was measured, as a dictionary. What comes out is NAME.safetensors, which a chapter loads with
`load_model(stored_model("NAME"), model)` after it has trained a short version in front of the reader, and a
card, NAME.json, with a stamp. On one machine, with one thread, the same files come out again.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path

import torch

from book.tools import freshness
from book.tools.writing import write_whole
from minattn.checkpoints import save_model

FOLDER = Path(__file__).resolve().parents[1] / "models"
MOST_BYTES = 700_000
WATCHED = freshness.watch()


class TooLarge(Exception):
    """A model that would weigh too much; nothing of it was written."""


def names(folder: Path = FOLDER) -> list[str]:
    return sorted(path.stem for path in folder.glob("[a-z]*.py"))


def make(name: str, folder: Path = FOLDER) -> None:
    """Train one model and write its weights and its card, both or neither."""
    script = importlib.import_module(f"book.models.{name}")
    model = script.build()
    measured = script.train(model)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        weights = Path(aside, f"{name}.safetensors")
        save_model(weights, model, {"name": name})
        size = weights.stat().st_size
        if size > MOST_BYTES:
            raise TooLarge(f"{name} must have at most {MOST_BYTES:,} bytes, got {size:,}")
        card = {
            "name": name,
            "command": f"make models ONLY={name}",
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "bytes": size,
            "measured": measured,
            "stamp": freshness.stamp(WATCHED()),
        }
        text = json.dumps(card, indent=1) + "\n"  # before anything is in its place
        weights.replace(folder / weights.name)
    write_whole(folder / f"{name}.json", text)


def main(arguments: list[str]) -> int:
    unknown = [name for name in arguments if name not in names()]
    if unknown:
        there = ", ".join(names()) or "none yet"
        print(f"minattn: no stored model {unknown[0]!r} (there are: {there})", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    for name in arguments or names():
        print(f"training {name}", flush=True)
        try:
            make(name)
        except TooLarge as reason:
            print(f"minattn: {reason}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
