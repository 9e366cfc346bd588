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


@torch.no_grad()
def score(model: Translator, task: Captions, examples: Iterable[Captioned]) -> dict[str, Any]:
    """Score everything: what is said, where it looks, what it says when made to look elsewhere."""
    examples = tuple(examples)
    return {
        **said(model, task, examples),
        **pointed(model, task, examples),
        "steered": steering(model, task, examples),
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
    """Score where a model looks as it says a name; nothing where the memory has other places than cells."""
    weights, truth = weights_of(model, task, examples), task.truth(examples)
    if weights.shape != truth.shape:
        return {}
    at = pointing(weights, truth)
    return {"inside": at.inside.item(), "mass": at.mass.item(), "chance": at.chance}


def elsewhere(task: Captions, examples: Sequence[Captioned]) -> tuple[Tensor, Tensor]:
    """Say for every name where to look instead, and which name stands there.

    Returns:
        Weights (batch, target, cells): the middle of the next thing of the picture, after the last of the first; and
        the ids of the names (batch, target), ``PAD`` where a word is no name or the picture has nothing else.
    """
    batch, truth = task.batch(examples), task.truth(examples)
    weights, gold = torch.zeros(truth.shape), torch.full_like(batch.target_out, PAD)
    for row, one in enumerate(examples):
        near = middle(one.boxes).astype(np.float32)
        at = [place for place, thing in enumerate(one.alignment) if thing is not None]
        for thing, place in enumerate(at):
            other = (thing + 1) % len(at)
            if at[other] != place:
                weights[row, place] = torch.from_numpy(near[other] / near[other].sum())
                gold[row, place] = batch.target_out[row, at[other]]
    return weights, gold


def steering(model: Translator, task: Captions, examples: Sequence[Captioned]) -> float:
    """Return how often a model says the name of the thing that it is made to look at in the place of the right one."""
    batch = task.batch(examples)
    weights, gold = elsewhere(task, examples)
    logits = steered(model, batch.source, batch.target_in, weights)
    return (logits.argmax(-1) == gold)[gold != PAD].double().mean().item()


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
