"""Chapter 20: a small CLIP for digits of hand, which says how well a picture fits *a bold seven*."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minattn.learning import Recipe, learn
from minattn.pictures.clip import CLIP, contrastive_loss
from minattn.pictures.drawing import make_digit_clip
from minattn.schedules import OneCycle
from minattn.tasks.told_digits import STROKES, WORDS, Told, caption, one_digit
from minattn.training import seeded
from minattn.vocabulary import Vocabulary

WORD_IDS = Vocabulary(WORDS)
STEPS, BATCH_SIZE = 600, 96
RECIPE = Recipe(
    steps=STEPS,
    batch_size=BATCH_SIZE,
    learning_rate=2e-3,
    schedule=OneCycle(STEPS, warm_up=0.2),
    weight_decay=0.1,
)


def build() -> CLIP:
    """Make it, untrained."""
    with seeded(0):
        return make_digit_clip(len(WORD_IDS))


def encoded(told: Told) -> Tensor:
    """Return the captions as the model reads them."""
    return torch.tensor([WORD_IDS.encode(words) for words in told.captions])


def drawn(told: Told) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw pictures and captions for every step."""
    texts, generator = encoded(told), torch.Generator().manual_seed(RECIPE.seed)
    for _ in range(STEPS):
        rows = torch.randint(len(texts), (BATCH_SIZE,), generator=generator)
        yield told.pictures[rows], texts[rows]


def loss(model: CLIP, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Compare; a picture whose caption is the same is no wrong answer."""
    pictures, texts = batch
    same = (texts[:, None] == texts).all(-1)
    vectors = model.picture_vectors(pictures), model.text_vectors(texts)
    return contrastive_loss(*vectors, model.scale, same)


def train(model: CLIP) -> dict[str, float]:
    """Train it on the train part, and measure it on the digits of other forms."""
    learn(model, drawn(one_digit("train")), loss, RECIPE, progress=False)
    return {
        f"{part}, {name}": value
        for part in ("validation", "test")
        for name, value in measure(model, one_digit(part)).items()
    }


@torch.no_grad()
def measure(model: CLIP, told: Told) -> dict[str, float]:
    """Let it choose among all thirty captions."""
    every = [caption([label], stroke) for label in range(10) for stroke in range(len(STROKES))]
    texts = torch.tensor([WORD_IDS.encode(words) for words in every])
    best = model(told.pictures, texts).argmax(1).tolist()
    said = [(every[one], words) for one, words in zip(best, told.captions, strict=True)]
    return {
        "caption": sum(one == words for one, words in said) / len(said),
        "digit": sum(one[-1] == words[-1] for one, words in said) / len(said),
        "stroke": sum(one[1] == words[1] for one, words in said) / len(said),
    }
