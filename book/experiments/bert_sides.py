"""Chapter 11: one change to the model of the experiment `bert` in each arm, with three seeds."""

from typing import Any

from book.experiments.bert import run
from book.experiments.running import run_all

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "left only": {"sides": "left"},
    "from scratch, 20,000 labels": {"kind": "labels only"},
    "5 % hidden": {"share": 0.05},
    "10 % hidden": {"share": 0.1},
    "20 % hidden": {"share": 0.2},
    "40 % hidden": {"share": 0.4},
    "60 % hidden": {"share": 0.6},
    "always masked": {"masked": 1.0, "replaced": 0.0},
    "loss over all": {"fault": "loss over all"},
    "gaps drawn once": {"fault": "drawn once"},
    "padding hidden too": {"fault": "padding"},
    "rotary, embeddings times 8": {"scale": 8.0},
    "sinusoidal, embeddings times 8": {"positions": "sinusoidal", "scale": 8.0},
    "learned, embeddings times 8": {"positions": "learned", "scale": 8.0},
    "no positions": {"positions": "none"},
    "mask the wrong way round": {"sides": "padding"},
    "sinusoidal": {"positions": "sinusoidal"},
    "learned": {"positions": "learned"},
}


def main() -> None:
    """Run all arms."""
    run_all("bert_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
