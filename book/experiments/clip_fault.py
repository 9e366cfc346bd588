"""Chapter 19: targets made of the model's own similarities, instead of who belongs to whom; three seeds."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from book.experiments.clip import Loss, make_model, plain_loss, recipe, teach
from book.experiments.clip_measures import found, shown, space
from book.experiments.measuring import averaged
from book.experiments.running import run_all
from minattn.tasks.emoji import TRAINED
from minattn.tasks.placed_emoji import Placed

SEEDS = (0, 1, 2)
STEPS = 120

ARMS: dict[str, dict[str, Any]] = {
    "identity": {"targets": "identity"},
    "own similarities": {"targets": "own similarities"},
    "times the temperature": {"targets": "times the temperature"},
}
"""In the last arm similarities are multiplied by the temperature where they should be divided by it."""


def own_targets(pictures: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Say who belongs to whom by how alike the pictures are, and the texts: no label is asked."""
    return (scale * (pictures @ pictures.T + texts @ texts.T) / 2).softmax(-1)


def own_loss(model: Any, batch: Placed, times: bool = False) -> Tensor:
    """Compare with targets that the model makes itself."""
    pictures, texts = model.picture_vectors(batch.pictures), model.text_vectors(batch.texts)
    wanted = own_targets(pictures, texts, 1 / model.scale if times else model.scale)
    scores = model.scale * pictures @ texts.T
    return (F.cross_entropy(scores, wanted) + F.cross_entropy(scores.T, wanted.T)) / 2


LOSSES: dict[str, Loss] = {
    "identity": plain_loss,
    "own similarities": own_loss,
    "times the temperature": lambda model, batch: own_loss(model, batch, times=True),
}


@torch.no_grad()
def targets_of(model: Any, shown: Placed) -> dict[str, float]:
    """Say what the targets of a batch would be: how much of them is on the own text, and on how many texts it lies."""
    few = Placed(*(part[::27] for part in shown))
    pictures, texts = model.picture_vectors(few.pictures), model.text_vectors(few.texts)
    wanted = own_targets(pictures, texts, model.scale)
    entropy = torch.special.entr(wanted).sum(-1).mean()
    return {"on the own": wanted.diagonal().mean().item(), "texts": entropy.exp().item()}


def run(seed: int, targets: str) -> dict[str, Any]:
    """Train one model, and say whether its vectors have fallen together."""
    model = make_model(seed)
    few = shown(TRAINED)
    before = {"space": space(model, few), "targets": targets_of(model, few)}
    losses = teach(model, recipe(seed, STEPS), LOSSES[targets])
    return {
        "seen": found(model, few),
        "before": before,
        "after": {"space": space(model, few), "targets": targets_of(model, few)},
        "temperature": model.temperature,
        "losses": [round(loss, 4) for loss in averaged(losses, 10)],
    }


def main() -> None:
    """Run all arms."""
    run_all("clip_fault", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
