"""What the experiments of chapter 15 measure: captions, where each word looks, and what is said when made to look."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minattn.alignment import entropy
from minattn.pictures.captioning import steered
from minattn.pointing import pointing
from minattn.recording import recording
from minattn.tasks.captions import Captioned, Captions, middle
from minattn.tasks.emoji import names
from minattn.translation import Translator, translate
from minattn.vocabulary import EOS, PAD, SPECIALS

MAX_LENGTH = 24
STEERED = "steered"
ARTICLES = {"a", "an", "ein", "eine"}


@torch.no_grad()
def score(
    model: Translator, task: Captions, examples: Iterable[Captioned], cells: bool = True
) -> dict[str, Any]:
    """Score what is said; and, of a model that attends to cells, where it looks and what it says of other cells."""
    examples = tuple(examples)
    return {
        **said(model, task, examples),
        **(pointed(model, task, examples) if cells else {}),
        **(steering(model, task, examples) if cells else {}),
    }


def said(model: Translator, task: Captions, examples: Sequence[Captioned]) -> dict[str, Any]:
    """Score what a model writes of its own.

    Returns:
        The share of captions that are right word by word, of all and of those of one, two and more things; the share
        of things whose name is right and in its place; the share of the names said that name nothing in the picture
        (invented), and of the things that no name is left for (left out).
    """
    found = translate(model, task, examples, MAX_LENGTH)
    known = set(names(task.language))
    exact: defaultdict[str, list[bool]] = defaultdict(list)
    right = invented = left_out = n_said = n_there = 0
    for one, words in zip(examples, found, strict=True):
        exact[f"exact, {one.length}"].append(tuple(words) == one.target)
        named, there = ([w for w in side if w in known] for side in (words, one.target))
        right += sum(a == b for a, b in zip(named, there, strict=False))
        invented += (Counter(named) - Counter(there)).total()
        left_out += (Counter(there) - Counter(named)).total()
        n_said, n_there = n_said + len(named), n_there + len(there)
    return {
        "exact": fmean(hit for hits in exact.values() for hit in hits),
        "names": right / n_there,
        "invented": invented / max(1, n_said),
        "left out": left_out / n_there,
        **{name: fmean(exact[name]) for name in sorted(exact)},
    }


def weights_of(model: Translator, task: Captions, examples: Sequence[Captioned]) -> Tensor:
    """Return the weights of every step, given the right words before."""
    batch = task.batch(examples)
    with recording(model) as record:
        model(batch.source, batch.target_in, batch.source_mask)
    return record.weights()


def pointed(model: Translator, task: Captions, examples: Sequence[Captioned]) -> dict[str, float]:
    """Score where a model looks as it says a name."""
    at = pointing(weights_of(model, task, examples), task.truth(examples))
    return {"inside": at.inside.item(), "mass": at.mass.item(), "chance": at.chance}


def elsewhere(
    task: Captions, examples: Sequence[Captioned]
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Say where to look instead, as a name is said or the article before it, and what is said there.

    Returns:
        Weights (batch, target, cells): the middle of the next thing of the picture, after the last of the first; and
        for each kind of word at which places (batch, target) it stands, and the ids of the other words. "steered" are
        names before which the right article for the other one stands too, "other article" are names before which it
        does not, and "article" are the articles before these.
    """
    batch, shape = task.batch(examples), task.truth(examples).shape
    weights = torch.zeros(shape)
    places = {kind: torch.zeros(shape[:2]).bool() for kind in (STEERED, "other article", "article")}
    gold = torch.full_like(batch.target_out, PAD)
    for row, one in enumerate(examples):
        near = torch.from_numpy(middle(one.boxes).astype(np.float32))
        at = [place for place, thing in enumerate(one.alignment) if thing is not None]
        for thing, place in enumerate(at if len(at) > 1 else ()):
            other = at[(thing + 1) % len(at)]
            own, its = (_article(one, name) for name in (place, other))
            there = near[(thing + 1) % len(at)]
            for before in (0, 1) if own and its and own != its else (0,):
                weights[row, place - before] = there / there.sum()
                gold[row, place - before] = batch.target_out[row, other - before]
                kind = "article" if before else STEERED if own == its else "other article"
                places[kind][row, place - before] = True
    return weights, {kind: (where, gold) for kind, where in places.items()}


def _article(one: Captioned, name: int) -> str:
    """Return the article before a name, if there is one."""
    word = one.target[name - 1] if name else ""
    return word if word in ARTICLES else ""


def steering(model: Translator, task: Captions, examples: Sequence[Captioned]) -> dict[str, float]:
    """Return how often a model says what stands elsewhere when it is made to look there."""
    batch = task.batch(examples)
    weights, kinds = elsewhere(task, examples)
    said = steered(model, batch.source, batch.target_in, weights).argmax(-1)
    return {
        kind: (said == gold)[places].double().mean().item()
        for kind, (places, gold) in kinds.items()
        if places.any()
    }


@torch.no_grad()
def looks(model: Translator, task: Captions, examples: Iterable[Captioned]) -> dict[str, Any]:
    """Say where each kind of word looks, given the right words before.

    Returns:
        For every word that names nothing, the end, and names together: the mean entropy of its weights in nats, and
        how much weight lies in the box of the thing named next (or by itself), of the one named before, of another
        and of none; and how often it is right.
    """
    examples = tuple(examples)
    batch = task.batch(examples)
    with recording(model) as record:
        right = model(batch.source, batch.target_in, batch.source_mask).argmax(-1)
    right = right == batch.target_out
    weights, truth = record.weights(), task.truth(examples)
    spread = entropy(weights)
    known = set(names(task.language))
    found: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for row, one in enumerate(examples):
        at = [place for place, thing in enumerate(one.alignment) if thing is not None]
        boxes = truth[row, at]
        for place, word in enumerate((*one.target, SPECIALS[EOS])):
            mass = (weights[row, place] * boxes).sum(-1)  # (things,)
            ahead = sum(other < place for other in at)  # how many were named before
            parts = {
                "next": mass[ahead].item() if ahead < len(at) else 0.0,
                "before": mass[ahead - 1].item() if ahead else 0.0,
                "any": (weights[row, place] * boxes.any(0)).sum().item(),
                "entropy": spread[row, place].item(),
                "right": float(right[row, place]),
            }
            found["name" if word in known else word].append(parts)
    return {
        word: {"count": len(all_), **{k: fmean(one[k] for one in all_) for k in all_[0]}}
        for word, all_ in sorted(found.items())
    }
