"""Chapters 15 and 16: the convolutional stem that names emoji, with the readout it was trained with."""

import torch

from minattn.pictures.patches import CropClassifier, Stem, pretrain
from minattn.tasks.emoji import DESIGNERS, TRAINED
from minattn.tasks.scenes import NOTHING, crops
from minattn.training import seeded


def build() -> CropClassifier:
    """Make it, untrained."""
    with seeded(0):
        return CropClassifier(Stem())


def train(model: CropClassifier) -> dict[str, float]:
    """Train it on four designers, and return which share of new crops it names right, of each and of nothing."""
    model.load_state_dict(pretrain(TRAINED, seed=0).state_dict())
    return {name: accuracy(model, name) for name in (*DESIGNERS, "nothing")}


@torch.no_grad()
def accuracy(model: CropClassifier, name: str, seed: int = 1_000_003) -> float:
    """Return which share of 2,000 crops of a designer, or of nothing beside the trained ones, is named right."""
    who, share = (TRAINED, 1) if name == "nothing" else ([name], 0)
    found = crops(2000, who, seed=seed, nothing=share)
    assert name != "nothing" or (found.classes == NOTHING).all()
    said = model(torch.from_numpy(found.pictures)).argmax(-1)
    return (said == torch.from_numpy(found.classes)).double().mean().item()
