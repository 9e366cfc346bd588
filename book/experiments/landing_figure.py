"""The figure of the landing page: what a trained model looks at while it writes a number in English."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import torch

from book.tools import freshness
from book.tools.writing import write_whole
from minattn import plots
from minattn.alignment import MultiplicativeAttention
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import number_example, number_words
from minattn.training import fit, seeded

FIGURE = Path(__file__).parents[1] / "_static" / "landing_crossing.svg"
NUMBER = 723_045
READ = freshness.watch()


def main() -> None:
    """Train chapter 2's model and draw its weights for one number as lines between the words."""
    torch.set_num_threads(1)
    task = number_words()
    with seeded(0):
        attend = MultiplicativeAttention(64, 64, temperature=8.0)
        model = RecurrentTranslator(
            len(task.source), len(task.target), attend=attend, attends="after", bidirectional=True
        )
    fit(model, task, steps=600, batch_size=32)
    example = number_example(NUMBER)
    batch = task.batch([example])
    with torch.no_grad(), recording(model) as record:
        model(batch.source, batch.target_in)
    weights = record.weights()[0][: len(example.target), : len(example.source)]
    crossing = {t: plots.PALETTE[1] for t, word in enumerate(example.target) if word in CROSSING}

    plots.use_style()
    plt.rcParams.update({"svg.hashsalt": "minattn", "font.size": 12, "figure.facecolor": "none"})
    fig, ax = plt.subplots(figsize=(8.6, 3.0))
    plots.links(weights, example.target, example.source, ax, colours=crossing)
    fig.savefig(FIGURE, metadata={"Date": None})
    card = {"command": "make experiments ONLY=landing_figure", "stamp": freshness.stamp(READ())}
    write_whole(FIGURE.with_suffix(".json"), json.dumps(card, indent=1) + "\n")


CROSSING = ("twenty", "three", "forty", "five")


if __name__ == "__main__":
    main()
