"""Chapter 15: one change to the captioner of the experiment `captioning` in each arm, with three seeds."""

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from book.experiments.captioning import (
    N_OTHER,
    STEPS,
    make_model,
    make_task,
    own_stem,
    pictured,
    recipe,
    stored_stem,
)
from book.experiments.captioning_measures import looks, score
from book.experiments.running import run_all
from minattn.pictures.captioning import Captioner, CellMemory
from minattn.pictures.patches import Stem
from minattn.recipe import train
from minattn.tasks.captions import Captioned, Captions
from minattn.tasks.emoji import TRAINED, UNSEEN
from minattn.training import seeded
from minattn.translation import Memory, State

SEEDS = (0, 1, 2)
ONE = TRAINED[:1]
"""The designer of the arm that knows one."""

ARMS: dict[str, dict[str, Any]] = {
    "one vector": {"kind": "one vector"},
    "the state speaks": {"kind": "the state speaks"},
    "German": {"language": "de"},
    "Chinese": {"language": "zh"},
    "one designer": {"stem": "one designer", "designers": ONE},
    "gradient": {"stem": "gradient", "background": "gradient"},
    "no crops of nothing": {"stem": "no nothing"},
    "from scratch": {"kind": "from scratch"},
}


class OneVector(Captioner):
    """Reads the whole picture as one vector: all cells side by side, through two layers. There is one thing to look at.

    Args:
        d_source: width of a cell.
        vocab_size: how many target ids there are.
        d_hidden: width of the layer between.
    """

    def __init__(self, d_source: int, vocab_size: int, d_hidden: int = 128) -> None:
        super().__init__(d_source, vocab_size)
        d_head = self.out_proj.in_features
        self.whole = nn.Sequential(
            nn.Linear(self.n_cells * d_source, d_hidden), nn.ReLU(), nn.Linear(d_hidden, d_head)
        )

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> CellMemory:
        """Make a memory of one place."""
        value = self.whole(self.norm(source.to(self.norm.weight.dtype)).flatten(1))[:, None]
        mask = torch.ones(value.shape[:2], dtype=torch.bool)
        return CellMemory(value, mask, torch.zeros_like(value))


class StateSpeaks(Captioner):
    """Says words from the state that looks, too: the one that has read what was seen."""

    def __init__(self, d_source: int, vocab_size: int) -> None:
        super().__init__(d_source, vocab_size)
        self.state_proj = nn.Linear(self.gru.hidden_size, vocab_size, bias=False)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Add what the state says."""
        logits, new = super().step(token, state, memory)
        return logits + self.state_proj(new[0]), new


class FromScratch(Captioner):
    """Reads pixels through a stem that learns along, and has never learned from crops.

    Args:
        vocab_size: how many target ids there are.
    """

    def __init__(self, vocab_size: int) -> None:
        stem = Stem()
        super().__init__(stem.width, vocab_size)
        self.stem = stem

    def check_source(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> None:
        """Take pixels as they come."""

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> CellMemory:
        """Make cells of 40 by 40 pixels, and a memory of them."""
        planes = source.float().mT.unflatten(2, (40, 40))
        cells = self.stem.convolutions(F.pad(planes, [6] * 4, value=0.5)).flatten(2).mT
        return super().encode(cells)


def of_pixels(task: Captions) -> Captions:
    """Let a model read pixels, from black -0.5 to white 0.5."""

    def changed(one: Captioned) -> Captioned:
        pixels = torch.from_numpy(one.picture).flatten(0, 1).half() / 255 - 0.5
        return dataclasses.replace(one, features=pixels)

    parts = ("train", "validation", "held_out")
    return dataclasses.replace(task, **{p: tuple(map(changed, getattr(task, p))) for p in parts})


def stem_of(name: str, seed: int) -> Stem:
    """Return a frozen stem: the stored one, or one trained in another way."""
    if name == "stored":
        return stored_stem()
    how: dict[str, dict[str, Any]] = {
        "one designer": {"designers": ONE},
        "gradient": {"background": "gradient"},
        "no nothing": {"nothing": 0.0},
    }
    return own_stem(seed + 1, **how[name])


def build(task: Captions, seed: int, kind: str) -> Captioner:
    """Make a model with fresh weights."""
    kinds: dict[str, Any] = {"one vector": OneVector, "the state speaks": StateSpeaks}
    with seeded(seed):
        if kind == "from scratch":
            return FromScratch(len(task.target))
        if kind in kinds:
            model: Captioner = kinds[kind](task.train[0].features.shape[1], len(task.target))
            return model
    return make_model(task, seed, kind)


def run(
    seed: int,
    kind: str = "attention",
    stem: str = "stored",
    language: str = "en",
    designers: tuple[str, ...] = TRAINED,
    background: str = "white",
    steps: int = STEPS,
) -> dict[str, Any]:
    """Train one model, and measure it on scenes of its own kind, of all four designers, and of one never seen."""
    reads = stem_of(stem, seed)
    task = make_task(reads, language, designers, background=background)
    if kind == "from scratch":
        task = of_pixels(task)
    model = build(task, seed, kind)
    train(model, task, recipe(seed, steps), progress=False)
    cells = kind != "one vector"
    found = score(model, task, task.held_out, cells)
    if kind in ("one vector", "from scratch"):
        return found
    there = pictured(reads, N_OTHER, TRAINED, 7, language, background=background)
    new = pictured(reads, N_OTHER, UNSEEN, 6, language, background=background)
    return {
        **found,
        "four designers": score(model, task, there),
        "twemoji": score(model, task, new),
        "looks": looks(model, task, task.held_out),
    }


def main() -> None:
    """Run all arms."""
    run_all("captioning_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
