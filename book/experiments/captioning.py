"""Chapter 15: a captioner says what is in a scene of emoji, and where it looks is known to be right or wrong."""

from functools import cache
from typing import Any

import torch

from book.experiments.captioning_measures import looks, score
from book.experiments.measuring import averaged
from book.experiments.running import run_all
from minattn.alignment import uniform_attention
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.pictures.captioning import Captioner
from minattn.pictures.patches import CropClassifier, Stem, features, pretrain
from minattn.recipe import Recipe, train
from minattn.schedules import OneCycle
from minattn.tasks import scenes as drawn
from minattn.tasks.captions import Captioned, Captions, captioned, captions
from minattn.tasks.emoji import TRAINED, UNSEEN, VALIDATION
from minattn.training import seeded

STEPS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 1000, 64, 6e-3, 0.05
N_TRAIN, N_VALIDATION, N_HELD_OUT, N_OTHER = 8000, 500, 1000, 500
N_FOUR = 2000
"""Scenes of one to four things; one in eight has four."""
TRAIN_SEED, VALIDATION_SEED, TEST_SEED = 1, 2, 3
"""Of scenes: every choice was made on those of the second, and those of the third were looked at once."""

ARMS: dict[str, dict[str, Any]] = {
    "attention": {},
    "uniform weights": {"kind": "uniform weights"},
}


@cache
def stored_classifier() -> CropClassifier:
    """Return the stem of the book with its readout."""
    model = CropClassifier(Stem())
    load_model(stored_model("stem"), model)
    return model.eval().requires_grad_(False)


def stored_stem() -> Stem:
    """Return the stem of the book."""
    return stored_classifier().stem


def own_stem(
    seed: int, designers: tuple[str, ...] = TRAINED, background: str = "white", nothing: float = 0.2
) -> Stem:
    """Train another stem."""
    how: dict[str, Any] = {"background": background, "nothing": nothing}
    return pretrain(designers, seed=seed, **how).stem.eval().requires_grad_(False)


def pictured(
    stem: Stem,
    number: int,
    designers: tuple[str, ...],
    seed: int,
    language: str = "en",
    **how: Any,
) -> tuple[Captioned, ...]:
    """Draw scenes, read them and caption them."""
    found = drawn.scenes(number, designers, seed=seed, **how)
    return captioned(found, features(stem, torch.from_numpy(found.pictures)), language)


def make_task(
    stem: Stem, language: str = "en", designers: tuple[str, ...] = TRAINED, **how: Any
) -> Captions:
    """Draw the three parts."""
    sizes = {TRAIN_SEED: N_TRAIN, VALIDATION_SEED: N_VALIDATION, TEST_SEED: N_HELD_OUT}
    parts = [
        pictured(stem, number, designers, seed, language, **how) for seed, number in sizes.items()
    ]
    return captions(*parts, language)


def make_model(task: Captions, seed: int, kind: str = "attention") -> Captioner:
    """Make a model with fresh weights."""
    attend = {"attend": uniform_attention} if kind == "uniform weights" else {}
    with seeded(seed):
        return Captioner(task.train[0].features.shape[1], len(task.target), **attend)


def recipe(seed: int, steps: int = STEPS) -> Recipe:
    """Return how it is trained."""
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        schedule=OneCycle(steps, warm_up=0.2),
        weight_decay=WEIGHT_DECAY,
        seed=seed,
    )


def others(stem: Stem, language: str = "en") -> dict[str, tuple[Captioned, ...]]:
    """Draw scenes unlike those of the training: of designers never seen, on other grounds, of one thing more."""
    four = pictured(stem, N_FOUR, TRAINED, 8, language, largest=4)
    return {
        "fxemoji": pictured(stem, N_OTHER, VALIDATION, 5, language),
        "twemoji": pictured(stem, N_OTHER, UNSEEN, 6, language),
        "gradient": pictured(stem, N_OTHER, TRAINED, 7, language, background="gradient"),
        "four things": tuple(one for one in four if one.length == 4),
    }


def run(seed: int, kind: str = "attention", steps: int = STEPS) -> dict[str, Any]:
    """Train one model and measure it on scenes that nothing was chosen by."""
    stem = stored_stem()
    task = make_task(stem)
    model = make_model(task, seed, kind)
    losses = train(model, task, recipe(seed, steps), progress=False)
    return {
        **score(model, task, task.held_out),
        **{name: score(model, task, found) for name, found in others(stem).items()},
        "looks": looks(model, task, task.held_out),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm that the chapter trains, and the one without attention."""
    run_all("captioning", ARMS, run)


if __name__ == "__main__":
    main()
