"""Set every model of the course side by side on one page, book/models.md.

    python -m book.tools.models_page            write it
    python -m book.tools.models_page --check    fail if it is out of date

The numbers come from book/experiments/results/timeline.json.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from book.tools.pages import spread, table, text, write_page

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = ("3", "6", "9", "12")

# For each model: the year of its paper, where the book builds it, and its name there.
MODELS = {
    "fixed vector": ("2014", "01_context_vector", "One fixed vector"),
    "additive attention": ("2015", "02_soft_attention", "Additive attention"),
    "multiplicative attention": ("2015", "02_soft_attention", "Multiplicative attention"),
    "three projections": ("2017", "03_queries_keys_values", "Scaled dot product, projected"),
    "Transformer": ("2017", "06_transformer", "Transformer"),
    "Transformer, chapter 7": ("2017", "07_training", "Transformer, with a recipe"),
}


def render(root: Path) -> str:
    path = root / "book" / "experiments" / "results" / "timeline.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    arms, settings = stored["arms"], stored["made"]["settings"]
    first = arms[next(iter(MODELS))][0]
    steps = settings[next(iter(MODELS))]["steps"]
    fewer = sorted({setting["steps"] for setting in settings.values()} - {steps})

    def link(model: str) -> str:
        return f"[{MODELS[model][2]}](../notebooks/{MODELS[model][1]}.ipynb)"

    def accuracy(arm: str, length: str) -> str:
        return spread([run["accuracy"][length] for run in arms[arm]])

    def mean(arm: str) -> str:
        return spread([run["mean accuracy"] for run in arms[arm]])

    def seconds(arm: str) -> str:
        return f"{statistics.median(run['seconds of one thread'] for run in arms[arm]):.0f}"

    by_length = [
        [link(model), MODELS[model][0], f"{arms[model][0]['parameters']:,}"]
        + [accuracy(model, length) for length in LENGTHS]
        + [mean(model), seconds(model)]
        for model in MODELS
    ]
    by_steps = [
        [link(model), *(mean(f"{model}, {n} steps") for n in fewer), mean(model)]
        for model in MODELS
    ]
    longer = [
        [link(model), *(accuracy(f"{model}, to 8 digits", length) for length in ("8", "9"))]
        for model in MODELS
    ]
    digits = [f"{length} digits" for length in LENGTHS]
    return text("models").format(
        steps=steps,
        batch_size=first["examples"] // steps,
        d_model=first["d_model"],
        n_seeds=len(stored["made"]["seeds"]),
        processor=stored["made"]["processor"],
        by_length=table(
            ["model", "year", "parameters", *digits, "mean of 3 to 12", "seconds"], by_length
        ),
        by_steps=table(["model", *(f"{n:,} steps" for n in (*fewer, steps))], by_steps),
        longer=table(["model", "8 digits", "9 digits"], longer),
    )


def main(arguments: list[str], root: Path = ROOT) -> int:
    return write_page(root / "book" / "models.md", render(root), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
