"""Chapter 17: the left eye's blurred view fetches its detail from the right eye's sharp one."""

from typing import Any

from torch import nn

from book.experiments.measuring import averaged
from book.experiments.running import run_all
from book.experiments.super_resolution_measures import (
    conventions,
    further,
    in_tiles,
    misled,
    scenes,
    sharpened,
    validation,
)
from minattn.dot_product import attend
from minattn.learning import Recipe
from minattn.pictures.block_matching import block_matching, fetch
from minattn.pictures.resampling import blur
from minattn.pictures.super_resolution import (
    PatchUpscaler,
    StereoUpscaler,
    Upscaler,
    train_upscaler,
)
from minattn.schedules import Cosine, WarmUp
from minattn.tasks.stereo import StereoPairs, stereo_pairs
from minattn.training import Losses, seeded

D_MODEL, STEPS, BATCH_SIZE, LEARNING_RATE, WARM_UP = 32, 400, 4, 4e-3, 40
N_TRAIN = 600
BLOCK = 17
"""What is best on the validation pairs, see `super_resolution_blocks`."""

ARMS: dict[str, dict[str, Any]] = {"attention": {}}


def make_model(seed: int, kind: str) -> nn.Module:
    """Make a model with fresh weights."""
    with seeded(seed):
        if kind == "attention":
            return StereoUpscaler(D_MODEL)
        if kind.startswith("patches"):
            return PatchUpscaler(attend=attend if kind == "patches that attend" else None)
        return Upscaler(D_MODEL, beside=kind in ("beside", "aligned"))


def aligned(pairs: StereoPairs) -> StereoPairs:
    """Put what the best block shows in the place of what the right eye sees there."""
    disparity = block_matching(blur(pairs.left), pairs.right, block=BLOCK)
    return StereoPairs(pairs.left, fetch(pairs.right, disparity), pairs.disparity)


def as_it_is(pairs: StereoPairs) -> StereoPairs:
    """Leave pairs alone."""
    return pairs


def teach(
    model: nn.Module,
    pairs: StereoPairs,
    seed: int,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
) -> Losses:
    """Train as in the chapter; return the loss of every step."""
    recipe = Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=learning_rate,
        schedule=WarmUp(WARM_UP, Cosine(steps - WARM_UP, end=0.02)),
        seed=seed,
    )
    return train_upscaler(model, pairs, recipe, progress=False)


def run(
    seed: int,
    kind: str = "attention",
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
) -> dict[str, Any]:
    """Train one model and measure it on pairs that nothing was chosen by."""
    model = make_model(seed, kind)
    shown = aligned if kind == "aligned" else as_it_is
    losses = teach(model, shown(stereo_pairs(N_TRAIN)), seed, steps, learning_rate)
    test = scenes()
    found: dict[str, Any] = {
        name: sharpened(model, shown(pairs))
        for name, pairs in {"validation": validation(), **test}.items()
    }
    if isinstance(model, PatchUpscaler):
        for name, pairs in {"validation": validation(), **test}.items():
            found[f"{name} tiles"] = in_tiles(model, pairs)
    if isinstance(model, StereoUpscaler):
        for name, pairs in test.items():
            found[f"{name} beside"] = misled(model, pairs)
            found[f"{name} conventions"] = conventions(model, pairs)
        found["further"] = further(model, test["raccoon"])
    found["losses"] = [round(loss, 5) for loss in averaged(losses, 25)]
    return found


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("super_resolution", ARMS, run)


if __name__ == "__main__":
    main()
