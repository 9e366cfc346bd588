"""Chapter 1, over seeds: what the context vector knows of each digit, and what an unshifted target does."""

import random
from typing import Any

import torch
from torch import nn

from book.experiments.context_vector import BATCH_SIZE, STEPS
from book.experiments.running import run_all
from minattn.recurrent import RecurrentTranslator, final_state
from minattn.tasks import Task, number_example, number_words
from minattn.training import evaluate, fit, seeded

ARMS: dict[str, dict[str, Any]] = {
    "unshifted target": {"unshifted": True},
    "probe": {"unshifted": False},
}


class Unshifted(RecurrentTranslator):
    """A decoder that reads the very word it has to say."""

    def forward(self, source: torch.Tensor, target_in: torch.Tensor) -> torch.Tensor:
        """Do teacher forcing with the target not shifted."""
        return super().forward(source, torch.cat([target_in[:, 1:], target_in[:, :1]], dim=1))


def run(seed: int, unshifted: bool) -> dict[str, Any]:
    """Train one model as the chapter does and measure what the chapter measures."""
    task = number_words()
    if unshifted:
        with seeded(seed):
            cheat = Unshifted(len(task.source), len(task.target), d_model=32)
        losses = fit(cheat, task, steps=150, seed=seed, batch_size=BATCH_SIZE, progress=False)
        return {"loss": losses[-1], "accuracy": evaluate(cheat, task, task.held_out_of(3))}
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source), len(task.target), d_model=64, attends="before"
        )
    fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    known = probe_digits(model, task, seed)
    return {
        "first digit": known[0],
        "middle digits": sum(known[3:9]) / 6,
        "known": dict(enumerate(known)),
    }


def probe_digits(model: RecurrentTranslator, task: Task, seed: int) -> list[float]:
    """Read each of twelve digits from the context vector with a linear map; return how often that works."""
    rng = random.Random(1)
    fresh = [rng.randrange(10**11, 10**12) for _ in range(4000)]
    digits = torch.tensor([[int(digit) for digit in str(number)] for number in fresh])
    with torch.no_grad():
        states, mask = model.encode(task.batch([number_example(number) for number in fresh]).source)
        context = final_state(states, states, states, mask[:, None])[:, 0]
    with seeded(seed):
        probe = nn.Linear(64, 12 * 10)
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.03)
    for _ in range(100):
        logits = probe(context[:3000]).view(-1, 12, 10)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), digits[:3000].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    guess = probe(context[3000:]).view(-1, 12, 10).argmax(-1)
    return [float(share) for share in (guess == digits[3000:]).double().mean(0)]


def main() -> None:
    """Run all arms."""
    run_all("context_vector_probe", ARMS, run)


if __name__ == "__main__":
    main()
