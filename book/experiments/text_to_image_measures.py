"""What the experiments of chapter 20 measure: whether digits are what was asked for, how different, and whether new."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.decoding import sample
from minattn.pictures.clip import CLIP
from minattn.pictures.codebook import Codebook
from minattn.pictures.drawing import Guided, Language, best_of
from minattn.tasks.digits import digits
from minattn.tasks.told_digits import STROKES, Judge, caption, judge, one_digit, strokes
from minattn.training import seeded
from minattn.translation import Translator

N_EACH = 10
"""Pictures of every digit with every stroke."""
OTHERS = ("validation", "test")
"""The second judge has learned from other hands than the model."""
LOWEST = 0.01


class Asked(NamedTuple):
    """What is asked for: so many pictures of every digit with every stroke."""

    captions: list[tuple[str, ...]]
    labels: Tensor
    strokes: Tensor


def asked(n_each: int = N_EACH) -> Asked:
    """Ask for each of thirty captions the same number of times."""
    every = [(label, stroke) for label in range(10) for stroke in range(len(STROKES))]
    labels, how = torch.tensor(every).repeat_interleave(n_each, 0).unbind(1)
    said = [caption([label], stroke) for label, stroke in every for _ in range(n_each)]
    return Asked(said, labels, how)


def written(
    model: Translator,
    language: Language,
    captions: Sequence[Sequence[str]],
    n_cells: int = 16,
    *,
    scale: float = 1.0,
    seed: int = 0,
    **how: Any,
) -> Tensor:
    """Let a model draw, and return the codes."""
    with seeded(seed):
        guided = Guided(model, language, scale)
        return language.codes(sample(guided, language.prompts(captions), n_cells, **how))


def vectors(pictures: Tensor) -> Tensor:
    """Return all pixels of a picture in a row, from 0 to 1."""
    return Judge.vectors(pictures)


def spread(groups: Iterable[Tensor]) -> float:
    """Return the mean distance of two pictures of one group, averaged over the groups."""
    found = []
    for group in groups:
        x = vectors(group)
        found.append((torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))).item())
    return sum(found) / len(found)


def away(pictures: Tensor) -> Tensor:
    """Return how far the nearest picture is that was learned from."""
    return torch.cdist(vectors(pictures), vectors(digits("train").pictures)).amin(1)


@cache
def real() -> dict[str, float]:
    """Measure the same of digits that nobody has drawn by words."""
    known = one_digit("train")
    groups: dict[Any, list[int]] = {}
    for row, words in enumerate(known.captions):
        groups.setdefault(words, []).append(row)
    held_out = torch.cat([digits(part).pictures for part in OTHERS])
    labels = torch.cat([digits(part).labels for part in OTHERS])
    nearest = away(held_out)
    return {
        "judge": right(judge()(held_out), labels),
        "judge of others": right(judge(*OTHERS)(known.pictures), known.labels[:, 0]),
        "spread": spread(known.pictures[rows] for rows in groups.values()),
        "away": nearest.mean().item(),
        "away, lowest percentile": nearest.quantile(LOWEST).item(),
    }


def right(said: Tensor, labels: Tensor) -> float:
    """Return which share is named right."""
    return (said == labels).double().mean().item()


def found(drawn: Tensor, book: Codebook, known: Tensor, what: Asked) -> dict[str, float]:
    """Judge pictures.

    Args:
        drawn: their codes.
        book: makes pictures of codes.
        known: codes of the pictures that were learned from.
        what: was asked for.
    """
    pictures = book.decode(drawn)
    nearest = away(pictures)
    copies = {tuple(codes) for codes in known.tolist()}
    n_each = len(drawn) // (10 * len(STROKES))
    return {
        "recognised": right(judge()(pictures), what.labels),
        "recognised by others": right(judge(*OTHERS)(pictures), what.labels),
        "stroke": right(strokes(pictures, what.labels), what.strokes),
        "spread": spread(pictures.split(n_each)),
        "away": nearest.mean().item(),
        "nearer than real": (nearest < real()["away, lowest percentile"]).double().mean().item(),
        "copies": sum(tuple(codes) in copies for codes in drawn.tolist()) / len(drawn),
    }


@cache
def digit_clip() -> CLIP:
    """Return the stored CLIP for digits."""
    from book.models.digit_clip import build

    model = build()
    load_model(stored_model("digit_clip"), model)
    return model.eval().requires_grad_(False)


def chosen(drawn: Tensor, book: Codebook, captions: Sequence[Sequence[str]]) -> Tensor:
    """Return for every caption the codes that CLIP likes best."""
    from book.models.digit_clip import WORD_IDS

    texts = torch.tensor([WORD_IDS.encode(words) for words in captions])
    return drawn[best_of(digit_clip(), book.decode(drawn), texts)]
