"""Train the BERT of chapter 11, and write it into the file of its live place.

python -m book.tools.live_bert                    into book/_static/live/weights
python -m book.tools.live_bert --into FOLDER      elsewhere
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from book.experiments import bert as experiment
from book.experiments.bert_measures import fill_gaps
from book.tools.live import SEED, WEIGHTS, rounded, script, write_card
from book.tools.writing import write_whole
from minattn.language.bert import BERT
from minattn.live_export import pack
from minattn.tasks.two_notations import TwoNotations, two_notations

TITLE = "A BERT of two layers, trained to fill gaps in numbers written twice"
CHAPTER = "11_bert"


def gaps(model: BERT, task: TwoNotations) -> dict[str, float]:
    """Measure what it tells of hidden tokens in numbers that it has not learned from."""
    return {name: round(share, 4) for name, share in fill_gaps(model, task, task.held_out).items()}


def entry(model: BERT, task: TwoNotations) -> dict[str, Any]:
    """Make what stands in the file; the readout is the table of tokens and a bias."""
    block: Any = model.encoder.blocks[0]
    state = {name: row for name, row in model.state_dict().items() if name != "readout.weight"}
    return {
        "model": {
            "kind": "bert",
            "d_model": model.d_model,
            "n_heads": block.self_attention.n_heads,
            "n_layers": len(model.encoder.blocks),
            "embedding_scale": model.embedding_scale,
        },
        "tokens": task.vocabulary.tokens,
        **pack(state, "float16"),
    }


def write(model: BERT, task: TwoNotations, folder: Path) -> None:
    """Round the model, and write its file and its card."""
    before = gaps(model, task)
    with torch.no_grad():
        after = gaps(rounded(model), task)
    text = script("weights", "bert", TITLE, entry(model, task))
    write_whole(folder / "bert.js", text)
    card = {
        "name": "bert",
        "title": TITLE,
        "chapter": CHAPTER,
        "command": "make live ONLY=bert",
        "seed": SEED,
        "steps": experiment.STEPS,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "precision": "half (IEEE 754 binary16), rounded after training",
        "held_out_numbers": len(task.held_out),
        "gaps_told_before_rounding": before,
        "gaps_told_after_rounding": after,
        "files": {"bert.js": len(text.encode())},
        "licence": "MIT",
    }
    write_card(folder, "bert", card)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    folder = parser.parse_args().into
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same file again
    print("training bert", file=sys.stderr, flush=True)
    task = two_notations()
    model, _ = experiment.pretrain(task, SEED)
    write(model.eval(), task, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
