"""Chapter 14: the listener of the experiment `speech` with another speaker beside, another start, or a famous fault."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from book.experiments.running import run_all
from book.experiments.speech import D_MODEL, SINGLE, STEPS, TASK_SEED, teach
from book.experiments.speech import run as run_unchanged
from book.experiments.speech_measures import N_EACH, heard
from minattn.speech.listening import Listener, normalise, whole, word_error
from minattn.tasks.spoken_numbers import N_MELS, SpokenNumbers, spoken_numbers, utterances
from minattn.training import seeded
from minattn.translation import Memory, translate

SEEDS = (0, 1, 2)

ARMS: dict[str, dict[str, Any]] = {
    "two speakers": {"voices": ("june", "armelle")},
    "no single words first": {"single": 0, "steps": SINGLE + STEPS},
    "mask over frames": {"fault": "mask over frames"},
    "padding normalised in": {"fault": "padding normalised in"},
}


class MaskOverFrames(Listener):
    """Cuts the mask of the frames to as many steps as there are, where it should take every eighth."""

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Let the decoder look at padding."""
        memory = super().encode(source, source_mask)
        mask = whole(source) if source_mask is None else source_mask
        return Memory(memory.states, mask[:, : memory.states.shape[1]])


class PaddingNormalisedIn(Listener):
    """Takes mean and deviation over the padding too."""

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Normalise the rectangle, whatever is padding in it."""
        memory: Memory = self.encoder(normalise(source, whole(source)), source_mask)
        return memory


@torch.no_grad()
def alone(model: Listener, task: SpokenNumbers) -> float:
    """Return the word error where no utterance has another one beside it, and so no padding."""
    spoken = task.held_out[:120]
    found = [translate(model, task, [u], u.length + 5)[0] for u in spoken]
    return word_error(found, [u.target for u in spoken])


def run(seed: int, fault: str | None = None, **settings: Any) -> dict[str, Any]:
    """Train one model and measure it; one with a fault in a batch of all lengths and alone."""
    if fault is None:
        return run_unchanged(seed, **settings)
    task = spoken_numbers(seed=TASK_SEED)
    kind = {"mask over frames": MaskOverFrames, "padding normalised in": PaddingNormalisedIn}[fault]
    with seeded(seed):
        model = kind(N_MELS, len(task.target), d_model=D_MODEL)
    teach(model, task, seed)
    short = utterances(N_EACH, (1,), seed=101)
    longest = max(task.held_out, key=lambda u: u.length * len(u.pauses) / min(u.speeds))
    return {
        **heard(model, task, task.held_out),
        "alone": alone(model, task),
        "single words": heard(model, task, short),
        "single words beside a long one": beside(model, task, short, longest),
    }


def beside(model: Listener, task: SpokenNumbers, short: Sequence[Any], long: Any) -> float:
    """Return the word error of short utterances in one batch with a long one."""
    found = translate(model, task, [*short, long], 9)[:-1]
    return word_error(found, [u.target for u in short])


def main() -> None:
    """Run all arms."""
    run_all("speech_changes", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
