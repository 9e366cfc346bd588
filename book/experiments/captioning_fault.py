"""Chapter 15: a map that never moves while the captions are right, for the words come another way; three seeds."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int, Shaped
from torch import Tensor, nn

from book.experiments.captioning import make_task, recipe, stored_classifier
from book.experiments.captioning_measures import score, weights_of
from book.experiments.running import run_all
from minattn.alignment import attention_weights, weighted_sum
from minattn.dot_product import attend
from minattn.masks import Mask
from minattn.pictures.captioning import Captioner, CellMemory
from minattn.recipe import train
from minattn.tasks.captions import Captions
from minattn.tasks.scenes import NOTHING
from minattn.training import seeded
from minattn.translation import Memory, State

SEEDS = (0, 1, 2)
STEPS = 1200
PARTS = 2, 4
"""The picture is cut into so many rows and columns, and each part has its tags."""

ARMS: dict[str, dict[str, Any]] = {
    "tags beside": {},
    "tags beside, no gradient": {"gradient": False},
}


def without_gradient(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
    """Attend, but let nothing learn where to look, as when weights are computed to be looked at alone."""
    with torch.no_grad():
        weights = attention_weights(attend, query, key, mask)
    return weighted_sum(weights, value)


class TagMemory(CellMemory):
    """A memory of cells with the tags of the picture beside."""

    tags: Tensor


class Tagged(Captioner):
    """A captioner with a second way: tags of the picture go into the state, and the state speaks.

    The tags are what a classifier says of the cells: how sure it is, at most, that a thing is in a part of the picture.

    Args:
        readout: of the classifier; it does not learn.
        vocab_size: how many target ids there are.
        gradient: whether the model can learn where to look.
    """

    def __init__(self, readout: nn.Linear, vocab_size: int, gradient: bool = True) -> None:
        super().__init__(
            readout.in_features,
            vocab_size,
            d_model=256,
            attend=attend if gradient else without_gradient,
        )
        d_model, n_tags = self.gru.hidden_size, PARTS[0] * PARTS[1] * NOTHING
        self.readout = readout.requires_grad_(False)
        self.first = nn.Linear(n_tags, d_model)
        self.tags_proj = nn.Linear(n_tags, 128)
        self.gru = nn.GRUCell(self.gru.input_size + 128, d_model)
        self.state_proj = nn.Linear(d_model, vocab_size, bias=False)

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> CellMemory:
        """Make a memory of the cells, and keep the tags of each part beside it."""
        memory = super().encode(source, source_mask)
        memory = TagMemory(memory.states, memory.mask, memory.keys)
        sure = self.readout(source.to(self.norm.weight.dtype)).softmax(-1)[..., :NOTHING]
        grid = sure.mT.unflatten(2, (10, 10))  # type: ignore[no-untyped-call]
        memory.tags = F.adaptive_max_pool2d(grid, PARTS).flatten(1)
        return memory

    def start(self, memory: Memory) -> State:
        """Return a state that has read the tags."""
        assert isinstance(memory, TagMemory)
        _, context, said = super().start(memory)
        return torch.tanh(self.first(memory.tags)), context, said

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Tensor, State]:
        """Let the state read the tags at every step, and speak."""
        assert isinstance(memory, TagMemory)
        before, context, said = state
        seen = torch.cat([context, self.tags_proj(memory.tags)], dim=-1)
        logits, new = super().step(token, (before, seen, said), memory)
        return logits + self.state_proj(new[0]), new


def moves(model: Captioner, task: Captions) -> float:
    """Return how far the weights move from one name to the next: 0 if not at all, 1 if to other cells altogether."""
    with torch.no_grad():
        weights = weights_of(model, task, task.held_out)
    far = []
    for row, one in enumerate(task.held_out):
        at = [place for place, thing in enumerate(one.alignment) if thing is not None]
        far += (weights[row, at[1:]] - weights[row, at[:-1]]).abs().sum(-1).div(2).tolist()
    return sum(far) / len(far)


def run(seed: int, gradient: bool = True) -> dict[str, Any]:
    """Train one model and measure it."""
    classifier = stored_classifier()
    task = make_task(classifier.stem)
    with seeded(seed):
        model = Tagged(classifier.readout, len(task.target), gradient)
    train(model, task, recipe(seed, STEPS), progress=False)
    return {**score(model, task, task.held_out), "moves": moves(model, task)}


def main() -> None:
    """Run both arms."""
    run_all("captioning_fault", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
