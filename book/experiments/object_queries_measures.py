"""What the experiments of chapter 16 measure: what is found, where queries look, and what each of them is for."""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.pictures.boxes import box_iou, exactness, hits, mean_average_precision
from minattn.pictures.patches import Stem
from minattn.pictures.queries import (
    Answers,
    ObjectQueries,
    Things,
    detections,
    partners,
    things_in,
    truth,
)
from minattn.pointing import pointing
from minattn.recording import recording
from minattn.tasks.emoji import TRAINED, UNSEEN
from minattn.tasks.scenes import scenes
from minattn.training import seeded

N_TEST, TEST_SEED = 1000, 16
ENOUGH = 0.5
"""The IoU of a box that is found."""


@cache
def stem() -> Stem:
    """Return the stored stem, which is trained on single emoji and frozen."""
    from book.models.stem import build

    model = build()
    load_model(stored_model("stem"), model)
    return model.stem.requires_grad_(False)


def seen(number: int, designers: tuple[str, ...], **settings: Any) -> Things:
    """Draw scenes with things anywhere, and let the stem look at them; the same ones only once."""
    return _seen(scenes, number, designers, **settings)


@cache
def _seen(draw: Any, number: int, designers: tuple[str, ...], **settings: Any) -> Things:
    # Where runs are cut short, another function draws, and so nothing of theirs is kept for a whole one.
    return things_in(draw(number, designers, layout="free", **settings), stem())


def test_part(designers: tuple[str, ...] = TRAINED, **settings: Any) -> Things:
    """Return scenes that no choice was made by."""
    return seen(N_TEST, designers, seed=TEST_SEED, **settings)


def four_things() -> Things:
    """Return scenes with four things, more than there ever are in training."""
    drawn = test_part(largest=4)
    return drawn.some(drawn.there.all(1).nonzero()[:, 0])


@torch.no_grad()
def found(model: Any, things: Things, queries: Tensor | None = None) -> dict[str, float]:
    """Score what is found, and of a model that attends where each query looks that answers for a thing."""
    answers, weights = asked(model, things, queries)
    finds, chosen = detections(answers), partners(answers, things)
    rows, places = things.there.nonzero(as_tuple=True)
    own = chosen[rows, places]
    known = things.classes, things.boxes
    fits = box_iou(finds.boxes, things.boxes)[rows, own, places]
    scores = {
        "AP50": mean_average_precision(finds, *known),
        "AP75": mean_average_precision(finds, *known, at=0.75),
        "exact": exactness(finds, *known),
        "iou": fits.mean().item(),
        "named": share(finds.classes[rows, own] == things.classes[rows, places]),
        "said": (finds.said.sum() / things.there.sum()).item(),
    }
    for name, own_weights in weights.items():
        at = pointing(own_weights[:, 0], truth(things, chosen, finds.said.shape[1]))
        end = name if len(weights) > 1 else ""
        scores |= {f"inside{end}": at.inside.item(), f"mass{end}": at.mass.item()}
        scores["chance"] = at.chance
    return scores


def asked(
    model: Any, things: Things, queries: Tensor | None = None
) -> tuple[Answers, dict[str, Tensor]]:
    """Ask, and keep the weights of each look at the picture, if there are any."""
    if not isinstance(model, ObjectQueries):
        return model(things.cells), {}
    with recording(model) as record:
        answers = model(things.cells, queries)
    looks = [name for name in record.calls if "cross" in name]
    return answers, {f" {look}": record.weights(name) for look, name in enumerate(looks, 1)}


def share(right: Tensor) -> float:
    """Return the share that is right."""
    return right.double().mean().item()


def asked_otherwise(model: ObjectQueries, things: Things) -> dict[str, Any]:
    """Ask a trained model with its queries in another order, with zeros, and with random ones."""
    n, d_model = model.queries.shape
    with seeded(TEST_SEED):
        order, other = torch.randperm(n), torch.randn(n, d_model)
    each = {
        "shuffled": model.queries[order],
        "zeros": torch.zeros_like(model.queries),
        "random": other * model.queries.std() / other.std(),
    }
    return {name: found(model, things, queries) for name, queries in each.items()}


@torch.no_grad()
def by_number(model: Any, things: Things) -> dict[str, Any]:
    """Say how often all is found, and how many finds there are, for one, two and three things."""
    finds = detections(asked(model, things)[0])
    numbers = things.there.sum(1)
    scores = {}
    for number in sorted(set(numbers.tolist())):
        chosen = (numbers == number).nonzero()[:, 0]
        some, its = things.some(chosen), type(finds)(*(part[chosen] for part in finds))
        scores[str(number)] = {
            "exact": exactness(its, some.classes, some.boxes),
            "said": its.said.sum(1).double().mean().item(),
            "twice": twice(its, some),
        }
    return scores


def twice(finds: Any, things: Things) -> float:
    """Return how many of a hundred things are found by a second query, too, with class and box."""
    fits = box_iou(finds.boxes, things.boxes) >= ENOUGH
    same = finds.classes[:, :, None] == things.classes[:, None]
    finders = (fits & same & finds.said[:, :, None] & things.there[:, None]).sum(1)
    return 100 * share(finders[things.there] > 1)


@torch.no_grad()
def by_query(model: Any, things: Things) -> list[dict[str, float]]:
    """Say of each query how often it finds something, and where: mean place and deviation, in shares."""
    finds = detections(asked(model, things)[0])
    right = hits(finds, things.classes, things.boxes) & finds.said
    centres = (finds.boxes[..., :2] + finds.boxes[..., 2:]) / 2
    every = centres[right]
    scores = []
    for query in range(right.shape[1]):
        own = centres[right[:, query], query]
        x, y = own.mean(0).tolist() if len(own) else (0.5, 0.5)
        spread = (own - own.mean(0)).square().sum(-1).mean().sqrt().item() if len(own) else 0.0
        scores.append({"share": len(own) / max(len(every), 1), "x": x, "y": y, "spread": spread})
    return scores


@torch.no_grad()
def spread_of_all(things: Things) -> float:
    """Return how far things lie from the middle of all of them: what a query that finds any of them would have."""
    boxes = things.boxes[things.there]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return (centres - centres.mean(0)).square().sum(-1).mean().sqrt().item()


def everywhere(model: Any) -> dict[str, Any]:
    """Score a model where it is harder: a designer never seen, colours behind, and more things than ever."""
    return {
        "unseen designer": found(model, test_part(UNSEEN)),
        "coloured": found(model, test_part(background="plain")),
        "four things": found(model, four_things()),
    }
