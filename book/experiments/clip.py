"""Chapter 19: a sentence finds its picture among hundreds, by two encoders and one loss."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from book.experiments.clip_measures import everywhere, looks, shown, space, zero_shot
from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.pictures.clip import CLIP, PictureEncoder, SmallStem, TextEncoder, contrastive_loss
from minattn.schedules import OneCycle
from minattn.tasks import placed_emoji
from minattn.tasks.emoji import TRAINED, UNSEEN
from minattn.tasks.placed_emoji import SIDE, VOCABULARY, Placed
from minattn.training import seeded

PATCH, WIDTH, LENGTH = 4, 64, 8
STEPS, BATCH_SIZE, ALIKE, LEARNING_RATE, WEIGHT_DECAY = 500, 128, 8, 3e-3, 0.05

ARMS: dict[str, dict[str, Any]] = {"two encoders": {}}

Loss = Callable[[Any, Placed], Tensor]


def make_model(seed: int, **settings: Any) -> CLIP:
    """Make a model with fresh weights."""
    with seeded(seed):
        see = PictureEncoder(SIDE, PATCH, WIDTH, patches=SmallStem(WIDTH), n_blocks=0)
        return CLIP(see, TextEncoder(len(VOCABULARY), LENGTH, WIDTH), **settings)


def recipe(seed: int, steps: int = STEPS, batch_size: int = BATCH_SIZE) -> Recipe:
    """Say how every model of the chapter is trained."""
    return Recipe(
        steps=steps,
        batch_size=batch_size,
        learning_rate=LEARNING_RATE,
        schedule=OneCycle(steps, warm_up=0.1),
        weight_decay=WEIGHT_DECAY,
        seed=seed,
    )


def plain_loss(model: Any, batch: Placed) -> Tensor:
    """Make vectors of both, and compare."""
    pictures, texts = model.picture_vectors(batch.pictures), model.text_vectors(batch.texts)
    return contrastive_loss(pictures, texts, model.scale)


def teach(
    model: Any,
    how: Recipe,
    loss: Loss = plain_loss,
    alike: int = ALIKE,
) -> Any:
    """Train a model, and return the loss of every step."""
    drawn = placed_emoji.batches(how.steps, how.batch_size, TRAINED, seed=how.seed, alike=alike)
    return learn(model, drawn, loss, how, progress=False)


def run(seed: int, steps: int = STEPS) -> dict[str, Any]:
    """Train one model, and measure it on pictures that nothing was chosen by."""
    model = make_model(seed)
    few = shown(TRAINED)
    before = space(model, few)
    losses = teach(model, recipe(seed, steps))
    other = shown(UNSEEN)
    return {
        **everywhere(model),
        "looks": looks(model, few),
        "looks at twemoji": looks(model, other),
        "zero-shot": {"seen": zero_shot(model, few), "twemoji": zero_shot(model, other)},
        "before": before,
        "after": space(model, few),
        "temperature": model.temperature,
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("clip", ARMS, run)


if __name__ == "__main__":
    main()
