"""Chapter 4: a language model of English numbers, with a causal mask, with a leak, and with parts left out."""

import math
from functools import partial
from typing import Any

import torch

from book.experiments.running import run_all
from minattn.dot_product import fused_attend
from minattn.masks import Causal, Window
from minattn.positions import SinusoidalPositions
from minattn.self_attention import LanguageModel
from minattn.tasks import Task, number_words, read_number
from minattn.training import fit, seeded, token_loss
from minattn.vocabulary import BOS, EOS, PAD

D_MODEL = 64
STEPS = 800
N_SAMPLES = 500
MASKS = {
    "causal": Causal(),
    "none": None,
    "one ahead": Window(before=64, after=1),
}
ARMS: dict[str, dict[str, Any]] = {
    "causal": {},
    "leak: no mask": {"mask": "none"},
    "leak: one ahead": {"mask": "one ahead"},
    "causal, 1 layer": {"n_layers": 1},
    "causal, no positions": {"positions": False},
    "causal, uniform": {"scale": 0.0},
}


def floor(task: Task) -> float:
    """Return the least loss that an honest model can reach, in nats per token.

    A number has from 1 to 12 digits, each length equally often, and all numbers of one length are equally
    likely (held-out ones left out of account). Nobody can guess better than with these chances.
    """
    nats = [math.log(12) + math.log(9 * 10 ** (example.length - 1)) for example in task.train]
    tokens = [len(example.target) + 1 for example in task.train]  # and the end
    return sum(nats) / sum(tokens)


@torch.no_grad()
def sample(model: LanguageModel, n: int, seed: int, max_length: int = 40) -> torch.Tensor:
    """Let a model write: draw one token after the other with its own probabilities."""
    ids = torch.full((n, 1), BOS)
    ended = torch.zeros(n, dtype=torch.bool)
    with seeded(seed):
        for _ in range(max_length):
            logits = model(None, ids)[:, -1].clone()
            logits[:, [PAD, BOS]] = -math.inf  # these two say nothing
            chances = logits.softmax(-1)
            token = torch.multinomial(chances, 1)[:, 0].masked_fill(ended, PAD)
            ids = torch.cat([ids, token[:, None]], dim=1)
            ended = ended | (token == EOS)
    return ids[:, 1:]


def run(
    seed: int,
    mask: str = "causal",
    n_layers: int = 2,
    positions: bool = True,
    scale: float | None = None,
) -> dict[str, Any]:
    """Train one model and let it write."""
    task = number_words()
    with seeded(seed):
        model = LanguageModel(
            len(task.target),
            d_model=D_MODEL,
            n_layers=n_layers,
            positions=SinusoidalPositions(D_MODEL) if positions else None,
            attend=fused_attend if scale is None else partial(fused_attend, scale=scale),
            mask=MASKS[mask],
        )
    losses = fit(model, task, steps=STEPS, seed=seed, progress=False)
    held_out = task.batch(task.held_out)
    with torch.no_grad():
        loss = token_loss(model(None, held_out.target_in), held_out.target_out).item()
    written = [task.target.decode(row) for row in sample(model, N_SAMPLES, seed).tolist()]
    valid = [words for words in written if read_number(words) is not None]
    return {
        "loss": sum(losses[-50:]) / 50,
        "held-out loss": loss,
        "floor": floor(task),
        "valid": len(valid) / N_SAMPLES,
        "different": len({tuple(words) for words in valid}) / max(1, len(valid)),
        "examples": [" ".join(words) for words in written[:3]],
    }


def main() -> None:
    """Run all arms."""
    run_all("language_model", ARMS, run)


if __name__ == "__main__":
    main()
