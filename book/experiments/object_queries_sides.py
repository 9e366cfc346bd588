"""Chapter 16: one change to the model of the experiment `object_queries` in each arm, with three seeds."""

from typing import Any

from book.experiments import object_queries_changes as changes
from book.experiments.measuring import averaged, n_weights
from book.experiments.object_queries import WIDTH, Loss, make_model, plain_loss, teach, train_part
from book.experiments.object_queries_measures import (
    by_number,
    by_query,
    everywhere,
    found,
    test_part,
)
from book.experiments.running import run_all
from minattn.alignment import uniform_attention
from minattn.pictures.queries import ObjectQueries
from minattn.tasks.emoji import CLASSES
from minattn.training import seeded

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "frozen": {"kind": "frozen"},
    "equal": {"kind": "equal"},
    "new each time": {"kind": "new each time"},
    "four queries": {"n_queries": 4},
    "twelve queries": {"n_queries": 12},
    "two blocks": {"n_blocks": 2},
    "coloured": {"background": "plain"},
    "uniform": {"attend": "uniform"},
    "slots": {"kind": "slots"},
    "in order": {"loss": "in order"},
    "greedy": {"loss": "greedy"},
    "nothing is class 0": {"loss": "nothing is class 0"},
    "weight at class 0": {"loss": "weight at class 0"},
    "corners": {"loss": "corners"},
    "no places": {"kind": "no places"},
    "places in values": {"kind": "places in values"},
}

LOSSES: dict[str, Loss] = {
    "plain": plain_loss,
    "in order": changes.matched_in_order,
    "greedy": changes.matched_greedily,
    "nothing is class 0": changes.nothing_is_class_0,
    "weight at class 0": changes.weight_at_class_0,
    "corners": changes.corners_for_centres,
}


def make(seed: int, kind: str, attend: str, **sizes: int) -> Any:
    """Make a model with one change."""
    kinds: dict[str, Any] = {
        "frozen": changes.Fixed,
        "equal": changes.Fixed,
        "new each time": changes.NewEachTime,
        "slots": changes.Slots,
        "no places": changes.NoPlaces,
        "places in values": changes.PlacesInValues,
    }
    if kind == "queries":
        return make_model(seed, **sizes, **({"attend": uniform_attention} if attend else {}))
    with seeded(seed):
        return kinds[kind](WIDTH, len(CLASSES), **({"equal": True} if kind == "equal" else {}))


def run(
    seed: int,
    kind: str = "queries",
    loss: str = "plain",
    background: str = "white",
    attend: str = "",
    **sizes: int,
) -> dict[str, Any]:
    """Train one model, and measure it on scenes that nothing was chosen by."""
    model = make(seed, kind, attend, **sizes)
    losses = teach(model, seed, LOSSES[loss], train_part(background=background))
    test = test_part(background=background)
    with seeded(seed):  # for queries that are drawn anew
        scores = {**found(model, test), "numbers": by_number(model, test)}
    if isinstance(model, ObjectQueries):
        scores["slots"] = by_query(model, test)
    if sizes or kind in ("frozen", "slots"):
        scores["harder"] = everywhere(model)
    return {
        **scores,
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run all arms."""
    run_all("object_queries_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
