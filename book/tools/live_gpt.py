"""Write the stored GPT of chapter 10 into the file of its live place.

    python -m book.tools.live_gpt                    into book/_static/live/weights
    python -m book.tools.live_gpt --into FOLDER      elsewhere

Nothing is trained here: make models ONLY=gpt does that.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from book.experiments import gpt as experiment
from book.models.gpt import build
from book.tools.live import WEIGHTS, rounded, script, write_card
from book.tools.writing import write_whole
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.language.gpt import GPT
from minattn.live_export import pack
from minattn.subwords import START
from minattn.tasks.functions import ALPHABET, Functions, python_functions

TITLE = "A GPT of two layers, trained on short Python functions"
CHAPTER = "10_gpt"


def bits(model: GPT, functions: Functions) -> dict[str, float]:
    """Measure how many bits a token it takes in functions that it has not learned from."""
    words = experiment.make_task(functions).target
    parts = {part: getattr(functions, part) for part in ("validation", "test")}
    return {
        part: round(
            float(experiment.surprise(model, experiment.encoded(texts, functions, words)).mean()),
            4,
        )
        for part, texts in parts.items()
    }


def entry(model: GPT, functions: Functions) -> dict[str, Any]:
    """Make what stands in the file; the readout is the table of tokens, and is left out."""
    block: Any = model.decoder.blocks[0]
    state = {name: row for name, row in model.state_dict().items() if name != "readout.weight"}
    return {
        "model": {
            "kind": "gpt",
            "d_model": block.self_attention.d_model,
            "n_heads": block.self_attention.n_heads,
            "n_layers": len(model.decoder.blocks),
        },
        "tokens": experiment.make_task(functions).target.tokens,
        "alphabet": [*ALPHABET, START],
        "merges": functions.merges[: experiment.N_MERGES],
        **pack(state, "float16"),
    }


def write(folder: Path) -> None:
    """Round the stored model, and write its file and its card."""
    functions = python_functions()
    model = build()
    load_model(stored_model("gpt"), model)
    model.eval()
    before = bits(model, functions)
    with torch.no_grad():
        after = bits(rounded(model), functions)
    text = script("weights", "gpt", TITLE, entry(model, functions))
    write_whole(folder / "gpt.js", text)
    card = {
        "name": "gpt",
        "title": TITLE,
        "chapter": CHAPTER,
        "command": "make live ONLY=gpt",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "precision": "half (IEEE 754 binary16), rounded after training",
        "bits_a_token_before_rounding": before,
        "bits_a_token_after_rounding": after,
        "files": {"gpt.js": len(text.encode())},
        "licence": "MIT; learned from functions of networkx and scikit-learn, BSD-3-Clause",
    }
    write_card(folder, "gpt", card)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    folder = parser.parse_args().into
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same file again
    write(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
