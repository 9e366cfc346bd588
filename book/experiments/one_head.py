"""Chapter 5: what one head makes of two neighbours. What is left if its keys or values lose the letters?"""

from typing import Any

from torch import Tensor, nn

from book.experiments.multi_head import STEPS, make_model, neighbours, right_answers
from book.experiments.running import run_all
from minattn.self_attention import InPlaceTranslator
from minattn.tasks import Task, slopes
from minattn.training import fit
from minattn.vocabulary import EOS

ARMS: dict[str, dict[str, Any]] = {"1 head": {}}


class PlacesOnly(nn.Module):
    """Attend with a layer whose keys or values do not know the letters.

    Args:
        layer: the layer.
        places: the mean letter at each position, (seq, d_model).
        keys: whether the keys lose the letters.
        values: whether the values lose the letters.
    """

    def __init__(self, layer: nn.Module, places: Tensor, keys: bool, values: bool) -> None:
        super().__init__()
        self.layer, self.places, self.keys, self.values = layer, places, keys, values

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Tensor:
        """Attend."""
        places = self.places[: key.shape[1]].expand_as(key)
        return self.layer(
            query, places if self.keys else key, places if self.values else value, mask
        )


def right_without(model: InPlaceTranslator, task: Task, **parts: bool) -> float:
    """Measure the answers of a model whose keys or values are made from the mean letter at every place."""
    (layer,) = model.stack.layers
    letter = model.stack.embedding.weight[EOS + 1 :].mean(0)
    places = model.stack.positions(letter.expand(64, -1))
    model.stack.layers = nn.ModuleList([PlacesOnly(layer, places, **parts)])
    try:
        return right_answers(model, task)
    finally:
        model.stack.layers = nn.ModuleList([layer])


def run(seed: int) -> dict[str, Any]:
    """Train one model and measure it."""
    task = slopes()
    model = make_model(task, seed)
    fit(model, task, steps=STEPS, seed=seed, progress=False)
    beside = neighbours(model, task)
    return {
        "right answers": right_answers(model, task),
        "no letters in values": right_without(model, task, keys=False, values=True),
        "no letters in keys": right_without(model, task, keys=True, values=False),
        "before": beside["before"][0],
        "after": beside["after"][0],
    }


def main() -> None:
    """Run all arms."""
    run_all("one_head", ARMS, run)


if __name__ == "__main__":
    main()
