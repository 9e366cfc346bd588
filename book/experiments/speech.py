"""Chapter 14: a listener writes down number words that one speaker says, and where it attends is known to be right."""

from typing import Any

from book.experiments.measuring import averaged
from book.experiments.running import run_all
from book.experiments.speech_measures import by_length, by_noise, by_voice, heard
from minattn.alignment import uniform_attention
from minattn.recipe import Recipe, train
from minattn.recurrent import FinalStates
from minattn.schedules import Constant, Cosine, WarmUp
from minattn.speech.listening import Listener, LocationAwareListener
from minattn.tasks.spoken_numbers import N_MELS, SpokenNumbers, spoken_numbers
from minattn.training import seeded

D_MODEL, BATCH_SIZE, LEARNING_RATE, WARM_UP = 96, 16, 3e-3, 30
SINGLE, STEPS = 200, 600
"""Steps with single words, then with one to four."""
TASK_SEED = 2
"""Of utterances that no choice was made by; the recipe was found on those of seed 0."""

ARMS: dict[str, dict[str, Any]] = {"attention": {}}


def make_model(task: SpokenNumbers, seed: int, kind: str) -> Listener:
    """Make a model with fresh weights."""
    n_ids = len(task.target)
    with seeded(seed):
        if kind == "location":
            return LocationAwareListener(N_MELS, n_ids, d_model=D_MODEL)
        attend: dict[str, Any] = {"mean": uniform_attention, "last": FinalStates()}
        return Listener(N_MELS, n_ids, d_model=D_MODEL, attend=attend.get(kind))


def teach(
    model: Listener,
    task: SpokenNumbers,
    seed: int,
    single: int = SINGLE,
    steps: int = STEPS,
    voices: tuple[str, ...] = ("june",),
) -> list[float]:
    """Train on single words, then on one to four; return the loss of every step."""
    how: dict[str, Any] = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "seed": seed}
    losses: list[float] = []
    if single:
        words = spoken_numbers(n_train=1000, lengths=(1,), voices=voices, seed=1)
        first = Recipe(steps=single, schedule=WarmUp(WARM_UP, Constant()), **how)
        losses += train(model, words, first, progress=False)
    fall = WarmUp(WARM_UP, Cosine(steps - WARM_UP, end=0.05))
    return losses + train(model, task, Recipe(steps=steps, schedule=fall, **how), progress=False)


def run(
    seed: int,
    kind: str = "attention",
    single: int = SINGLE,
    steps: int = STEPS,
    voices: tuple[str, ...] = ("june",),
) -> dict[str, Any]:
    """Train one model and measure it on utterances that nothing was chosen by."""
    task = spoken_numbers(voices=voices, seed=TASK_SEED)
    model = make_model(task, seed, kind)
    losses = teach(model, task, seed, single, steps, voices)
    points = kind in ("attention", "location")
    return {
        **heard(model, task, task.held_out, points),
        "lengths": by_length(model, task, points),
        "noise": by_noise(model, task, points),
        "voices": by_voice(model, task, points),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("speech", ARMS, run)


if __name__ == "__main__":
    main()
