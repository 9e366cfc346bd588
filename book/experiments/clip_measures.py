"""What the experiments on CLIP measure, on pictures that nothing was chosen by."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minattn.pictures.clip import CLIP, classify, modality_gap, ranks
from minattn.pointing import pointing
from minattn.recording import recording
from minattn.tasks import placed_emoji
from minattn.tasks.emoji import CLASSES, TRAINED, UNSEEN, VALIDATION
from minattn.tasks.placed_emoji import COLOURS, PLACES, Placed

TEST_SEED = 1_000_003
AT_ONCE = 432
PARTS = {"trained": False, "never trained": True}
"""Whether emoji and colour of a sentence are a pair that is never trained."""
POOL = "pictures.pool.attention"


@torch.no_grad()
def vectors(model: CLIP, pictures: Tensor) -> Tensor:
    """Return the vectors of many pictures."""
    return torch.cat([model.picture_vectors(some) for some in pictures.split(AT_ONCE)])


def mean(found: Tensor) -> float:
    """Return the share of what is true."""
    return found.double().mean().item()


@torch.no_grad()
def found(model: CLIP, shown: Placed, texts: Tensor | None = None) -> dict[str, dict[str, float]]:
    """Find the sentence of every picture among all 1,728, and the picture of every sentence among those shown.

    Args:
        model: to be measured.
        shown: a picture of each of several sentences.
        texts: the ids of all sentences, if the model reads others.
    """
    all_texts = model.text_vectors(placed_emoji.all_ids() if texts is None else texts)
    pictures = vectors(model, shown.pictures)
    own = placed_emoji.numbers(shown.triples)
    scores = pictures @ all_texts.T
    rank = ranks(scores, own)
    right = placed_emoji.every()[scores.argmax(1)] == shown.triples
    back = ranks(all_texts[own] @ pictures.T, torch.arange(len(pictures)))
    unknown = placed_emoji.never_trained(shown.triples)
    measured = {}
    for name, wanted in PARTS.items():
        part = unknown == wanted
        measured[name] = {
            "top-1": mean(rank[part] < 1),
            "recall@5": mean(rank[part] < 5),
            "emoji": mean(right[part, 0]),
            "place": mean(right[part, 1]),
            "colour": mean(right[part, 2]),
            "picture of a sentence": mean(back[part] < 1),
            "picture, recall@5": mean(back[part] < 5),
        }
    return measured


def shown(designers: Sequence[str], seed: int = TEST_SEED) -> Placed:
    """Draw one picture of every sentence."""
    return placed_emoji.draw(placed_emoji.every(), designers, seed=seed)


def everywhere(model: CLIP) -> dict[str, Any]:
    """Measure a model on new pictures of the designers that it knows, and of two that it does not."""
    groups = {"seen": TRAINED, "fxemoji": VALIDATION, "twemoji": UNSEEN}
    return {name: found(model, shown(group)) for name, group in groups.items()}


@torch.no_grad()
def looks(model: CLIP, placed: Placed) -> dict[str, Any]:
    """Measure how much of the weight of the query that asks a picture lies in the box of the emoji."""
    with recording(model) as record:
        model.picture_vectors(placed.pictures)
    weights = record.weights(POOL)
    right = placed_emoji.truth(placed)
    heads, all_heads = pointing(weights, right), pointing(weights.mean(1), right)
    return {
        "inside": all_heads.inside.item(),
        "mass": all_heads.mass.item(),
        "heads": heads.mass.tolist(),
        "chance": all_heads.chance,
    }


def prompts(place: int | None = None, colour: int | None = None) -> Tensor:
    """Return a sentence for each thing: "a cat", or with a place and a colour."""
    things = range(len(CLASSES))
    if place is None or colour is None:
        return placed_emoji.encode(
            [placed_emoji.sentence(i, 0, 0).split(" at ")[0] for i in things]
        )
    return placed_emoji.encode([placed_emoji.sentence(i, place, colour) for i in things])


def zero_shot(model: CLIP, placed: Placed) -> dict[str, float]:
    """Name what is in pictures by sentences: the name alone, one whole sentence, and the mean of all of a name."""
    every = [prompts(p, c) for p in range(len(PLACES)) for c in range(len(COLOURS))]
    kinds = {"a cat": prompts(), "one sentence": prompts(4, 5), "all sentences": every}
    return {
        name: mean(classify(model, placed.pictures, table) == placed.triples[:, 0])
        for name, table in kinds.items()
    }


@torch.no_grad()
def space(model: CLIP, placed: Placed) -> dict[str, float]:
    """Measure where the vectors lie: the gap, and cosines of pairs, of strangers, and of pictures among themselves."""
    pictures, texts = vectors(model, placed.pictures), model.text_vectors(placed.texts)
    scores, among = pictures @ texts.T, pictures @ pictures.T
    others = ~torch.eye(len(scores), dtype=torch.bool)
    return {
        "gap": modality_gap(pictures, texts),
        "own": scores.diagonal().mean().item(),
        "others": scores[others].mean().item(),
        "pictures": among[others].mean().item(),
        "texts": (texts @ texts.T)[others].mean().item(),
    }
