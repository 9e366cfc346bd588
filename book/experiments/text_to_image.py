"""Chapter 20: "a bold seven" becomes sixteen codes, one after the other; who recognises it, and is it new?"""

from typing import Any

import torch
from torch import Tensor

from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from book.experiments.text_to_image_measures import (
    asked,
    chosen,
    digit_clip,
    found,
    real,
    right,
    written,
)
from minattn.decoding import Cached
from minattn.language.gpt import GPT
from minattn.learning import Recipe, learn
from minattn.pictures.codebook import Codebook, learn_codebook, usage
from minattn.pictures.drawing import Language, draw_batches, drawing_loss, make_drawer
from minattn.recording import recording
from minattn.schedules import OneCycle
from minattn.tasks.digits import digits
from minattn.tasks.told_digits import WORDS, judge, one_digit
from minattn.training import seeded
from minattn.translation import Translator

N_CODES, N_CELLS = 128, 16
LENGTH = 20
"""Tokens that are read: the beginning, three words, the stroke, and all codes but the last."""
STEPS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 800, 64, 2e-3, 0.1, 0.2
SCALES = (0.0, 2.0, 4.0, 8.0)
MANY = 8

ARMS: dict[str, dict[str, Any]] = {"attention": {}}


def recipe(
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
) -> Recipe:
    """Say how a model is trained."""
    return Recipe(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=OneCycle(steps, warm_up=0.1),
        weight_decay=WEIGHT_DECAY,
        seed=seed,
    )


def make_model(language: Language, seed: int) -> GPT:
    """Make a model with fresh weights."""
    with seeded(seed):
        return make_drawer(language, LENGTH, dropout=DROPOUT)


def teach(
    model: Translator, language: Language, book: Codebook, seed: int, word_weight: float = 0.0
) -> Any:
    """Train a model on the train part, and return the loss of every step."""
    told, how = one_digit("train"), recipe(seed)
    drawn = draw_batches(language, told.captions, book.encode(told.pictures), how)

    def loss(model: Translator, batch: Tensor) -> Tensor:
        return drawing_loss(model, batch, language.n_codes, word_weight)

    return learn(model, drawn, loss, how, progress=False)


@torch.no_grad()
def surprise(model: Translator, language: Language, book: Codebook, part: str) -> float:
    """Return how many nats it takes to say a code of a real picture."""
    told = one_digit(part)
    sequences = language.sequences(told.captions, book.encode(told.pictures))
    return drawing_loss(model, sequences, language.n_codes).item()


def drawings(
    model: Translator, language: Language, book: Codebook, seed: int
) -> dict[str, dict[str, float]]:
    """Draw in several ways, and judge what was drawn."""
    known, what = book.encode(digits("train").pictures), asked()
    ways: dict[str, dict[str, Any]] = {
        "temperature 1": {},
        "temperature 0.8": {"temperature": 0.8},
        "top-p 0.9": {"top_p": 0.9},
        **{f"guidance {scale:g}": {"scale": scale} for scale in SCALES},
    }
    drawn = {
        name: written(model, language, what.captions, seed=seed, **how)
        for name, how in ways.items()
    }
    repeated = [words for words in what.captions for _ in range(MANY)]
    many = written(model, language, repeated, seed=seed).view(-1, MANY, N_CELLS)
    for n in (MANY // 2, MANY):
        drawn[f"best of {n}"] = chosen(many[:, :n].flatten(0, 1), book, what.captions)
    return {name: found(codes, book, known, what) for name, codes in drawn.items()}


def otherwise(model: Translator, language: Language, book: Codebook, seed: int) -> dict[str, Any]:
    """Ask in another order of words, and for anything."""
    what = asked()
    swapped = [(a, number, stroke) for a, stroke, number in what.captions]
    pictures = book.decode(written(model, language, swapped, seed=seed))
    nothing = [("anything",) * 3] * len(what.captions)
    drawn = judge()(book.decode(written(model, language, nothing, seed=seed)))
    return {
        "a seven bold": right(judge()(pictures), what.labels),
        "anything": (drawn.bincount(minlength=10) / len(drawn)).tolist(),
    }


@torch.no_grad()
def looks(model: GPT, language: Language, book: Codebook) -> dict[str, list[float]]:
    """Return where queries that ask for a code look: at the beginning, each word, the stroke, all codes."""
    told = one_digit("test")
    sequences = language.sequences(told.captions, book.encode(told.pictures))
    with recording(model) as record:
        model(sequences[:, :1], sequences[:, :-1])
    seen = {}
    for name in record.calls:
        weights = record.weights(name)[:, :, 4:].mean((0, 1, 2))
        seen[name] = [*weights[:5].tolist(), weights[5:].sum().item()]
    return seen


def run(seed: int) -> dict[str, Any]:
    """Train one model, and let it draw."""
    book = learn_codebook(digits("train").pictures, N_CODES, seed=seed)
    language = Language(WORDS, N_CODES)
    model = make_model(language, seed)
    losses = teach(model, language, book, seed)
    fast = Cached(model)
    test = digits("test")
    return {
        **drawings(fast, language, book, seed),
        "otherwise": otherwise(fast, language, book, seed),
        "real": {
            **real(),
            "judge, test part in codes": right(
                judge()(book.decode(book.encode(test.pictures))), test.labels
            ),
        },
        "surprise": {
            part: surprise(model, language, book, part) for part in ("train", "validation", "test")
        },
        "usage": usage(book.encode(digits("train").pictures), N_CODES)._asdict(),
        "looks": looks(model, language, book),
        "weights": {"drawer": n_weights(model), "CLIP": n_weights(digit_clip())},
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("text_to_image", ARMS, run)


if __name__ == "__main__":
    main()
