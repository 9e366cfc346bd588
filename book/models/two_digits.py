"""Chapter 20: a decoder that draws two digits side by side, *a three and a seven*."""

from functools import partial

from book.experiments.text_to_image_two import (
    BATCH_SIZE,
    DROPOUT,
    LEARNING_RATE,
    LENGTH,
    N_CODES,
    N_TRAIN,
    STEPS,
    TRAIN_SEED,
    looks,
    recipe,
)
from minattn.language.gpt import GPT
from minattn.learning import learn
from minattn.pictures.codebook import learn_codebook
from minattn.pictures.drawing import Language, draw_batches, drawing_loss, make_drawer
from minattn.tasks.digits import digits
from minattn.tasks.told_digits import WORDS, two_digits
from minattn.training import seeded

LANGUAGE = Language(WORDS, N_CODES)


def build() -> GPT:
    """Make it, untrained."""
    with seeded(0):
        return make_drawer(LANGUAGE, LENGTH, dropout=DROPOUT)


def train(model: GPT) -> dict[str, float]:
    """Train it on pairs of the train part, and measure how much of the weight on numbers lies on one's own."""
    book = learn_codebook(digits("train").pictures, N_CODES)
    told = two_digits("train", N_TRAIN, TRAIN_SEED)
    how = recipe(0, STEPS, BATCH_SIZE, LEARNING_RATE)
    drawn = draw_batches(LANGUAGE, told.captions, book.encode(told.pictures), how)
    learn(model, drawn, partial(drawing_loss, n_codes=N_CODES), how, progress=False)
    model.eval()
    return {
        f"own-word share, {name}": found["own-word share"]
        for name, found in looks(model, LANGUAGE, book).items()
    }
