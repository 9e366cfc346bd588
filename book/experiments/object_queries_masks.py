"""Chapter 16: the same queries ask pixels, of emoji that overlap by up to four pixels."""

from typing import Any

import torch
from torch import Tensor

from book.experiments.measuring import averaged, n_weights
from book.experiments.object_queries import N_TRAIN, TRAIN_SEED, make_model
from book.experiments.object_queries_measures import seen as drawn
from book.experiments.object_queries_measures import share, test_part
from book.experiments.running import run_all
from minattn.learning import Recipe, learn
from minattn.pictures.boxes import box_iou, exactness, mean_average_precision
from minattn.pictures.queries import Answers, Things, detections, draw, partners
from minattn.pictures.segments import (
    SegmentingQueries,
    Segments,
    labels_of,
    map_of_things,
    mask_iou,
    mask_loss,
    mean_iou,
)
from minattn.schedules import OneCycle
from minattn.tasks.emoji import CLASSES, TRAINED, UNSEEN
from minattn.tasks.scenes import SIZE
from minattn.training import seeded

OVERLAP = 4
STEPS, BATCH_SIZE, LEARNING_RATE = 1000, 48, 5e-3
WHITE = 245
"""From this on, in all three colours, a pixel shows no ink."""

ARMS: dict[str, dict[str, Any]] = {"masks": {}}


def make_segmenting(seed: int, **settings: Any) -> SegmentingQueries:
    """Make a model with fresh weights."""
    with seeded(seed):
        return SegmentingQueries(make_model(seed, **settings), SIZE)


def recipe(seed: int) -> Recipe:
    """Say how every model with masks is trained."""
    return Recipe(
        steps=STEPS,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        schedule=OneCycle(STEPS, warm_up=0.15),
        weight_decay=1e-3,
        seed=seed,
    )


def train_part() -> Things:
    """Return scenes to learn from, with masks."""
    return drawn(N_TRAIN, TRAINED, seed=TRAIN_SEED, overlap=OVERLAP, masks=True)


def overlapping_test(designers: tuple[str, ...] = TRAINED) -> Things:
    """Return scenes that no choice was made by, with masks."""
    return test_part(designers, overlap=OVERLAP, masks=True)


def by_masks(model: Any, things: Things) -> Tensor:
    """Ask, match and compare, with masks."""
    return mask_loss(model(things.cells, things.pictures), things)


def teach(model: SegmentingQueries, seed: int, loss: Any = by_masks) -> list[float]:
    """Train a model, and return the loss of every step."""
    how = recipe(seed)
    return list(learn(model, draw(train_part(), how), loss, how, progress=False))


@torch.no_grad()
def asked(model: SegmentingQueries, things: Things, at_once: int = 250) -> Segments:
    """Ask many pictures, not all at once."""
    some = [
        model(cells, pictures)
        for cells, pictures in zip(
            things.cells.split(at_once), things.pictures.split(at_once), strict=True
        )
    ]
    answers = Answers(*(torch.cat(part) for part in zip(*(s.answers for s in some), strict=True)))
    return Segments(answers, torch.cat([s.masks for s in some]))


def ink_in(boxes: Tensor, pictures: Tensor) -> Tensor:
    """Return all ink in a box of each picture: what a mask would be that knows of the box alone."""
    centres = (torch.arange(SIZE) + 0.5) / SIZE
    x0, y0, x1, y1 = boxes[:, :, None].unbind(1)
    across, down = (x0 <= centres) & (centres < x1), (y0 <= centres) & (centres < y1)
    return down[:, :, None] & across[:, None] & (pictures < WHITE).any(-1)


def masked(model: SegmentingQueries, things: Things) -> dict[str, Any]:
    """Score masks beside the ink in the box that was found, and in the true one; and the map made of all masks."""
    assert things.masks is not None
    segments = asked(model, things)
    finds, chosen = detections(segments.answers), partners(segments.answers, things)
    rows, places = things.there.nonzero(as_tuple=True)
    own, right = chosen[rows, places], things.masks[rows, places]
    boxes = box_iou(things.boxes, things.boxes)[rows, places]
    touched = boxes.masked_fill(~things.there[rows], 0).sum(-1) > 1 + 1e-6
    pictures = things.pictures[rows]
    ways = {
        "mask": segments.masks[rows, own] > 0,
        "ink in found box": ink_in(finds.boxes[rows, own], pictures),
        "ink in true box": ink_in(things.boxes[rows, places], pictures),
    }
    scores: dict[str, Any] = {"overlapping": share(touched)}
    for name, mask in ways.items():
        fits = mask_iou(mask, right)
        scores[name] = fits.mean().item()
        scores[f"{name}, overlapping"] = fits[touched].mean().item()
    known = things.classes, things.boxes
    scores |= {"AP50": mean_average_precision(finds, *known), "exact": exactness(finds, *known)}
    return scores | {"map": mapped(map_of_things(segments), things)}


def mapped(found: Tensor, things: Things) -> dict[str, float]:
    """Score a map of classes by three means without what is behind all, and by one with it."""
    n_classes = len(CLASSES)
    labels = labels_of(things, n_classes)
    scores = mean_iou(found, labels, n_classes)._asdict()
    with_rest = mean_iou(found, labels, n_classes + 1)
    return {
        **scores,
        "pixels with background": with_rest.pixels,
        "classes with background": with_rest.classes,
        "right": share(found == labels),
    }


def run(seed: int) -> dict[str, Any]:
    """Train one model, and measure it on scenes that nothing was chosen by."""
    model = make_segmenting(seed)
    losses = teach(model, seed)
    return {
        **masked(model, overlapping_test()),
        "unseen designer": masked(model, overlapping_test(UNSEEN)),
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm that the chapter shows."""
    run_all("object_queries_masks", ARMS, run)


if __name__ == "__main__":
    main()
