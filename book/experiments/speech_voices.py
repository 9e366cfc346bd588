"""Chapter 14: a listener learns digits from synthetic voices, and hears others, of which two are human."""

import dataclasses
from typing import Any

from book.experiments.measuring import averaged
from book.experiments.running import run_all
from book.experiments.speech import make_model
from book.experiments.speech_measures import heard
from minattn.recipe import Recipe, train
from minattn.schedules import Constant, Cosine, WarmUp
from minattn.speech.listening import Listener, word_error
from minattn.tasks.many_voices import DIGITS, ManyVoices, many_voices, voices
from minattn.tasks.spoken_numbers import utterances
from minattn.translation import translate

BATCH_SIZE, LEARNING_RATE, WARM_UP = 32, 5e-3, 30
PAIRS, STEPS = 120, 500
"""Steps with two digits, then with three to six."""
TASK_SEED = 5
"""Of utterances that no choice was made by; the recipe was found on the validation voices of seed 0."""
N_HUMAN = 200

ARMS: dict[str, dict[str, Any]] = {
    "attention": {},
}


def teach(
    model: Listener, task: ManyVoices, seed: int, pairs: int = PAIRS, steps: int = STEPS
) -> list[float]:
    """Train on two digits, then on three to six; return the loss of every step."""
    how: dict[str, Any] = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "seed": seed}
    two = many_voices(n_train=4_000, lengths=(2,), seed=1)
    first = Recipe(steps=pairs, schedule=WarmUp(WARM_UP, Constant()), **how)
    fall = WarmUp(WARM_UP, Cosine(steps - WARM_UP, end=0.05))
    second = Recipe(steps=steps, schedule=fall, **how)
    return train(model, two, first, progress=False) + train(model, task, second, progress=False)


def by_human(model: Listener, task: Any, points: bool = True) -> dict[str, Any]:
    """Let the words of the test be said by the two human speakers."""
    spoken = task.held_out[:N_HUMAN]
    return {
        human: heard(model, task, [dataclasses.replace(u, voice=human) for u in spoken], points)
        for human in ("june", "armelle")
    }


def by_unseen(model: Listener, task: Any) -> dict[str, float]:
    """Return the word error of every voice of the test."""
    found = {}
    for voice in sorted({u.voice for u in task.held_out}):
        spoken = [u for u in task.held_out if u.voice == voice]
        written = translate(model, task, spoken, 11)
        found[voice] = word_error(written, [u.target for u in spoken])
    return found


def run(
    seed: int, kind: str = "attention", pairs: int = PAIRS, steps: int = STEPS
) -> dict[str, Any]:
    """Train one model and measure it on voices that nothing was chosen by."""
    task: Any = many_voices(seed=TASK_SEED)
    model = make_model(task, seed, kind)
    losses = teach(model, task, seed, pairs, steps)
    points = kind == "attention"
    trained = utterances(N_HUMAN, (3, 4, 5, 6), seed=199, voices=voices("training"), words=DIGITS)
    return {
        **heard(model, task, task.held_out, points),
        "trained voices": heard(model, task, trained, points),
        "humans": by_human(model, task, points),
        "voices": by_unseen(model, task),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm with attention."""
    run_all("speech_voices", ARMS, run)


if __name__ == "__main__":
    main()
