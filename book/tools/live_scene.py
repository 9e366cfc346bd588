"""Train the models of chapters 15 and 16 as the chapters do, and export them and their emoji for the browser.

    python -m book.tools.live_scene                  into book/_static/live/weights
    python -m book.tools.live_scene --into FOLDER    elsewhere

There are four files: the stored stem, the captioner, the object queries, and the emoji of all six designers, as the
package has them, with nothing around. Both models are trained on what the stem says before it is rounded. On one
machine, with one thread, the same files come out again.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from book.experiments import (
    captioning,
    captioning_measures,
    object_queries,
    object_queries_measures,
)
from book.tools.live import SEED, WEIGHTS, script, write_card
from book.tools.writing import write_whole
from minattn.live_export import pack
from minattn.pictures.captioning import Captioner
from minattn.pictures.patches import Stem
from minattn.pictures.queries import ObjectQueries, things_in
from minattn.recipe import train
from minattn.tasks.captions import vocabulary
from minattn.tasks.emoji import CLASSES, DESIGNERS, SIDE, TRAINED, sheet
from minattn.tasks.scenes import scenes

TITLE = "Emoji on a picture, put into words and into boxes"
CREDITS = {
    "noto": ("Noto", "Google", "Apache-2.0", "https://github.com/googlefonts/noto-emoji"),
    "fluent": ("Fluent", "Microsoft", "MIT", "https://github.com/microsoft/fluentui-emoji"),
    "noto_v1": (
        "Noto, first edition",
        "Google",
        "Apache-2.0",
        "https://github.com/googlefonts/noto-emoji",
    ),
    "emojione": ("EmojiOne 2", "EmojiOne", "CC BY 4.0", "https://github.com/EmojiTwo/emojitwo"),
    "fxemoji": ("Firefox OS", "Mozilla", "CC BY 4.0", "https://github.com/mozilla/fxemoji"),
    "twemoji": ("Twemoji", "Twitter", "CC BY 4.0", "https://github.com/jdecked/twemoji"),
}
"""What each designer's set is called, who drew it, its licence, and where it comes from."""


@dataclass(frozen=True)
class Models:
    """The three models of the page."""

    stem: Stem
    captioner: Captioner
    queries: ObjectQueries

    def each(self) -> tuple[torch.nn.Module, ...]:
        """Return all three."""
        return self.stem, self.captioner, self.queries


def taught() -> Models:
    """Train the captioner and the queries on what the stored stem sees."""
    stem = captioning.stored_stem()
    task = captioning.make_task(stem)
    captioner = captioning.make_model(task, SEED)
    train(captioner, task, captioning.recipe(SEED), progress=False)
    queries = object_queries.make_model(SEED)
    object_queries.teach(queries, SEED)
    return Models(stem, captioner, queries)


def measured(models: Models, number: int = 1000) -> dict[str, dict[str, float]]:
    """Measure both models on the held-out scenes of their chapters."""
    held_out = captioning.pictured(models.stem, number, TRAINED, captioning.TEST_SEED)
    task = captioning.captions(held_out, held_out, held_out)
    said = captioning_measures.score(models.captioner, task, held_out)
    drawn = scenes(number, TRAINED, seed=object_queries_measures.TEST_SEED, layout="free")
    found = object_queries_measures.found(models.queries, things_in(drawn, models.stem))
    return {
        "captioner": {
            name: round(said[name], 4) for name in ("exact", "names", "inside", "steered")
        },
        "queries": {name: round(found[name], 4) for name in ("AP50", "exact", "inside")},
    }


def rounded(models: Models) -> Models:
    """Round all weights to half precision, in place."""
    with torch.no_grad():
        for model in models.each():
            for tensor in model.state_dict().values():
                tensor.copy_(tensor.half())
    return models


def entries(models: Models) -> dict[str, dict[str, Any]]:
    """Make what stands in the files of the models, by name of the file."""
    block: Any = models.queries.blocks[0]
    return {
        "scene_stem": {"model": {"kind": "stem"}, **packed(models.stem)},
        "scene_captioner": {
            "model": {"kind": "captioner"},
            "target": list(vocabulary().tokens),
            **packed(models.captioner),
        },
        "scene_queries": {
            "model": {
                "kind": "object_queries",
                "n_heads": block.self_attention.n_heads,
                "n_blocks": len(models.queries.blocks),
            },
            "classes": list(CLASSES),
            **packed(models.queries),
        },
    }


def packed(model: torch.nn.Module) -> dict[str, Any]:
    """Put the weights of a model behind one another, in half precision."""
    return pack(model.state_dict(), "float16")


def sprites() -> dict[str, Any]:
    """Make what stands in the file of the emoji: every set as rows of red, green, blue and alpha.

    Of each emoji stand only the rows and columns that have ink, as ``minattn.tasks.emoji.sprite`` cuts them.
    """
    sets = []
    for designer in DESIGNERS:
        title, who, licence, address = CREDITS[designer]
        cut = [without_margin(one) for one in sheet(designer)]
        sets.append(
            {
                "name": designer,
                "title": title,
                "trained": designer in TRAINED,
                "credit": {"who": who, "licence": licence, "address": address},
                "extents": [one.shape[:2] for one in cut],
                "data": base64.b64encode(b"".join(one.tobytes() for one in cut)).decode(),
            }
        )
    return {"title": TITLE, "classes": list(CLASSES), "sets": sets}


def without_margin(one: np.ndarray) -> np.ndarray:
    """Cut off the rows and columns without ink, as ``minattn.tasks.emoji.sprite`` does."""
    ink = one[..., 3] > 32
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if max(cut.shape[:2]) > SIDE:
        raise ValueError(f"an emoji has at most {SIDE} pixels a side, got {cut.shape}")
    return np.ascontiguousarray(cut)


def write(
    models: Models,
    folder: Path,
    measure: Callable[[Models], dict[str, Any]] = measured,
) -> None:
    """Measure, round, measure again, and write the files and their card.

    Args:
        models: trained; they are rounded in place.
        folder: to write to.
        measure: says how well they do.
    """
    before = measure(models)
    after = measure(rounded(models))
    made = entries(models)
    texts = {f"{name}.js": script("weights", name, TITLE, entry) for name, entry in made.items()}
    texts["sprites_scene.js"] = script("sprites", "scene", TITLE, sprites())
    for file, text in texts.items():
        write_whole(folder / file, text)
    card = {
        "name": "scene",
        "title": TITLE,
        "chapters": ["15_captioning", "16_object_queries"],
        "command": "make live ONLY=scene",
        "seed": SEED,
        "steps": {"captioner": captioning.STEPS, "queries": object_queries.STEPS},
        "parameters": {name: len_of(entry) for name, entry in made.items()},
        "precision": "half (IEEE 754 binary16), rounded after training",
        "held_out_scenes": 1000,
        "accuracy_before_rounding": before,
        "accuracy_after_rounding": after,
        "files": {file: len(text.encode()) for file, text in texts.items()},
        "licence": "Weights: MIT. Emoji: "
        + "; ".join(f"{title}, {who}, {licence}" for title, who, licence, _ in CREDITS.values()),
    }
    write_card(folder, "scene", card)


def len_of(entry: dict[str, Any]) -> int:
    """Return how many numbers stand in an entry of half precision."""
    return int(entry["bytes"]) // 2


def main() -> int:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    folder = parser.parse_args().into
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same files again
    print("training scene", file=sys.stderr, flush=True)
    write(taught(), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
