"""Chapter 14: the listener of the experiment `speech` spells the words, with and without seeing where it attended."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from book.experiments.measuring import averaged
from book.experiments.running import run_all
from book.experiments.speech import BATCH_SIZE, LEARNING_RATE, WARM_UP, make_model
from book.experiments.speech_measures import N_EACH, heard
from minattn.recipe import Recipe, train
from minattn.schedules import Constant, Cosine, WarmUp
from minattn.speech.listening import Listener
from minattn.tasks.spoken_numbers import SpokenNumbers, Utterance, spoken_numbers, utterances
from minattn.tasks.voices import WORDS
from minattn.vocabulary import BOS, EOS, Batch, Vocabulary, pad

SEEDS = (0, 1, 2)
SINGLE, STEPS = 200, 500
"""Steps with single words, then with one to four; without a curriculum all are with one to four."""
TASK_SEED = 4
"""Of utterances that no choice was made by; the recipe was found on those of seed 0."""
LETTERS = Vocabulary([*sorted(set("".join(WORDS))), " "])
LONGEST = max(map(len, WORDS)) + 1
"""How many letters a word may have, and the space behind it."""

ARMS: dict[str, dict[str, Any]] = {
    "attention": {"kind": "attention", "single": 0},
    "location": {"kind": "location", "single": 0},
    "location, single words first": {"kind": "location", "single": SINGLE},
}


def spelled(utterance: Utterance) -> list[str]:
    """Return the letters, with a space between two words.

    >>> spelled(Utterance(("un", "dix"), (1, 1), (1, 1), (0, 0, 0)))
    ['u', 'n', ' ', 'd', 'i', 'x']
    """
    return list(" ".join(utterance.target))


@dataclasses.dataclass(frozen=True)
class Spelled(SpokenNumbers):
    """Utterances whose letters are to be written; what was written is read as words."""

    @classmethod
    def of(cls, task: SpokenNumbers) -> "Spelled":
        """Let the same utterances be spelled."""
        given = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
        return cls(**given | {"target": LETTERS})

    def batch(self, examples: Iterable[Any]) -> Batch:
        """Make the sounds as for words, and give letters in their place."""
        spoken = list(examples)
        batch = SpokenNumbers(self.name, self.source, self.source, (), ()).batch(spoken)
        ids = [self.target.encode(spelled(u)) for u in spoken]
        return dataclasses.replace(
            batch,
            target_in=pad([BOS, *row] for row in ids),
            target_out=pad([*row, EOS] for row in ids),
        )

    def words(self, ids: Iterable[int], example: Any) -> list[str]:
        """Read letters as words."""
        return "".join(self.target.decode(ids)).split()

    def truth(
        self, examples: Iterable[Utterance], stride: int = 8
    ) -> Bool[Tensor, "batch target steps"]:
        """Say for every letter which steps lie in its word; a space, as the end, has none."""
        spoken = list(examples)
        right = super().truth(spoken, stride)
        rows = []
        for u, row in zip(spoken, right, strict=True):
            nowhere = torch.zeros_like(row[:1])
            each = [
                part
                for i, w in enumerate(u.target)
                for part in (*[row[i : i + 1]] * len(w), nowhere)
            ]
            rows.append(torch.cat(each))  # the last space stands where the end is
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def teach(model: Listener, task: Spelled, seed: int, single: int) -> list[float]:
    """Train on single words, if there are any, then on one to four; return the loss of every step."""
    how: dict[str, Any] = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "seed": seed}
    losses: list[float] = []
    if single:
        words = Spelled.of(spoken_numbers(n_train=1000, lengths=(1,), seed=1))
        first = Recipe(steps=single, schedule=WarmUp(WARM_UP, Constant()), **how)
        losses += train(model, words, first, progress=False)
    steps = SINGLE + STEPS - single
    fall = WarmUp(WARM_UP, Cosine(steps - WARM_UP, end=0.05))
    return losses + train(model, task, Recipe(steps=steps, schedule=fall, **how), progress=False)


def run(seed: int, kind: str, single: int) -> dict[str, Any]:
    """Train one model and measure it on utterances that nothing was chosen by."""
    task: Any = Spelled.of(spoken_numbers(seed=TASK_SEED))
    model = make_model(task, seed, kind)
    losses = teach(model, task, seed, single)
    return {
        **heard(model, task, task.held_out, letters=LONGEST),
        "lengths": {
            str(n): heard(model, task, utterances(N_EACH, (n,), seed=200 + n), letters=LONGEST)
            for n in (1, 2, 3, 4, 8)
        },
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run all arms."""
    run_all("speech_letters", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
