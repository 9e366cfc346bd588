"""Export the models of chapters 19 and 20 for the browser: pictures found by sentences, and digits drawn from words.

    python -m book.tools.live_pictures                  into book/_static/live/weights
    python -m book.tools.live_pictures --into FOLDER    elsewhere

Chapter 19's pair of encoders and chapter 20's decoder of one digit are trained as there; the decoder of two digits and
the small CLIP that chooses among drawings are stored models. The emoji are those of ``book/tools/live_scene.py``, in a
file of their own. On one machine, with one thread, the same files come out again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from book.experiments import clip, clip_measures, text_to_image, text_to_image_two
from book.models import digit_clip, two_digits
from book.tools.live import SEED, WEIGHTS, script, write_card
from book.tools.writing import write_whole
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.language.gpt import GPT
from minattn.live_export import pack
from minattn.pictures.clip import CLIP
from minattn.pictures.codebook import Codebook, learn_codebook
from minattn.pictures.drawing import Language, drawing_loss
from minattn.tasks import told_digits
from minattn.tasks.digits import digits
from minattn.tasks.emoji import CLASSES, TRAINED, UNSEEN
from minattn.tasks.placed_emoji import COLOURS, PLACES, VOCABULARY
from minattn.tasks.told_digits import WORDS, Told, one_digit

TITLES = {
    "clip": "Pictures of emoji and the sentences that find them",
    "drawing": "Digits drawn from words, code by code",
}
DIGITS = "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, CC BY 4.0"


@dataclass(frozen=True)
class Models:
    """All models of the two pages."""

    emoji: CLIP
    one: GPT
    two: GPT
    chooser: CLIP
    book: Codebook

    def each(self) -> tuple[nn.Module, ...]:
        """Return those that are rounded."""
        return self.emoji, self.one, self.two, self.chooser


def language() -> Language:
    """Return the words and codes of both decoders."""
    return Language(WORDS, text_to_image.N_CODES)


def taught() -> Models:
    """Train what is trained in the chapters, and load what is stored."""
    emoji = clip.make_model(SEED)
    clip.teach(emoji, clip.recipe(SEED))
    book = learn_codebook(digits("train").pictures, text_to_image.N_CODES, seed=SEED)
    one = text_to_image.make_model(language(), SEED)
    text_to_image.teach(one, language(), book, SEED)
    two, chooser = two_digits.build(), digit_clip.build()
    load_model(stored_model("two_digits"), two)
    load_model(stored_model("digit_clip"), chooser)
    models = Models(emoji, one, two, chooser, book)
    for model in models.each():
        model.eval()
    return models


def rounded(models: Models) -> Models:
    """Round all weights to half precision, in place."""
    with torch.no_grad():
        for model in models.each():
            for tensor in model.state_dict().values():
                tensor.copy_(tensor.half())
    return models


def measured(models: Models) -> dict[str, dict[str, dict[str, float]]]:
    """Measure all on pictures that nothing was trained on, by place and by model."""
    found = {
        f"{who}, {part}": {
            name: round(shares[name], 4) for name in ("top-1", "picture of a sentence")
        }
        for who, designers in {"known designers": TRAINED, "twemoji": UNSEEN}.items()
        for part, shares in clip_measures.found(
            models.emoji, clip_measures.shown(designers)
        ).items()
    }
    two = told_digits.two_digits("test", text_to_image_two.N_TEST, text_to_image_two.TEST_SEED)
    return {
        "clip": found,
        "drawing": {
            "one digit": {"nats a code": nats(models.one, one_digit("test"), models.book)},
            "two digits": {"nats a code": nats(models.two, two, models.book)},
            "chooser": {
                name: round(value, 4)
                for name, value in digit_clip.measure(models.chooser, one_digit("test")).items()
            },
        },
    }


@torch.no_grad()
def nats(model: GPT, told: Told, book: Codebook) -> float:
    """Return how many nats it takes to say a code of pictures that were told."""
    sequences = language().sequences(told.captions, book.encode(told.pictures))
    return round(drawing_loss(model, sequences, language().n_codes).item(), 4)


def entries(models: Models) -> dict[str, dict[str, dict[str, Any]]]:
    """Make what stands in the files, by place and by name of the file."""
    emoji = {
        "model": clip_settings(models.emoji),
        "words": list(VOCABULARY.tokens),
        "things": list(CLASSES),
        "places": list(PLACES),
        "colours": {name: list(colour) for name, colour in COLOURS.items()},
        **packed(models.emoji),
    }
    chooser = {
        "model": clip_settings(models.chooser),
        "words": list(digit_clip.WORD_IDS.tokens),
        **packed(models.chooser),
    }
    return {
        "clip": {"clip": emoji},
        "drawing": {
            "drawing_one": drawer_entry(models.one, models.book, 4),
            "drawing_two": drawer_entry(models.two, models.book, 8),
            "drawing_clip": chooser,
        },
    }


def clip_settings(model: Any) -> dict[str, Any]:
    """Say what a page must know of two encoders, beside their weights."""
    layers = model.pictures.patches.convolutions
    return {
        "kind": "clip",
        "n_heads": model.texts.pool.attention.n_heads,
        "n_blocks": len(getattr(model.pictures.encoder, "blocks", [])),
        "convolutions": {
            str(i): {"stride": layer.stride[0], "padding": layer.padding[0]}
            for i, layer in enumerate(layers)
            if isinstance(layer, nn.Conv2d)
        },
    }


def drawer_entry(model: Any, book: Codebook, columns: int) -> dict[str, Any]:
    """Make what stands in the file of a decoder: its weights, its tokens, and what its codes look like."""
    blocks = model.decoder.blocks
    return {
        "model": {
            "kind": "drawer",
            "n_heads": blocks[0].self_attention.n_heads,
            "n_blocks": len(blocks),
            "scale": model.scale,
            "columns": columns,
        },
        "tokens": list(language().vocabulary.tokens[: language().first]),
        "codebook": (book.centres * 255).round().int().tolist(),
        **packed(model),
    }


def packed(model: nn.Module) -> dict[str, Any]:
    """Put the weights of a model behind one another, in half precision."""
    return pack(model.state_dict(), "float16")


def write(
    models: Models,
    folder: Path,
    measure: Callable[[Models], dict[str, Any]] = measured,
) -> None:
    """Measure, round, measure again, and write the files and a card for each place.

    Args:
        models: trained; they are rounded in place.
        folder: to write to.
        measure: says how well they do, by place.
    """
    before = measure(models)
    after = measure(rounded(models))
    for place, made in entries(models).items():
        texts = {
            f"{name}.js": script("weights", name, TITLES[place], entry)
            for name, entry in made.items()
        }
        for file, text in texts.items():
            write_whole(folder / file, text)
        card = {
            "name": place,
            "title": TITLES[place],
            "chapter": {"clip": "19_clip", "drawing": "20_text_to_image"}[place],
            "command": "make live ONLY=pictures",
            "seed": SEED,
            "steps": {"clip": clip.STEPS, "drawing": text_to_image.STEPS}[place],
            "parameters": {name: entry["bytes"] // 2 for name, entry in made.items()},
            "precision": "half (IEEE 754 binary16), rounded after training",
            "held_out_before_rounding": before[place],
            "held_out_after_rounding": after[place],
            "files": {file: len(text.encode()) for file, text in texts.items()},
            "licence": "Weights: MIT."
            + (f" The codebook is made from {DIGITS}." if place == "drawing" else ""),
        }
        write_card(folder, place, card)


def main() -> int:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    folder = parser.parse_args().into
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same files again
    print("training pictures", file=sys.stderr, flush=True)
    write(taught(), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
