"""Chapter 6: a norm before each sub-layer or after each sum; few blocks and many, with a warm-up and without."""

from itertools import islice
from typing import Any

import torch

from book.experiments.running import run_all
from book.experiments.transformer import BATCH_SIZE, D_FF, D_MODEL, make_model
from minattn.tasks import Task, number_words
from minattn.training import Losses, batches, evaluate, mean_accuracy, seeded, token_loss
from minattn.transformer import TransformerTranslator

STEPS = 200
WARM_UP = 60

ARMS: dict[str, dict[str, Any]] = {
    f"{norm}, depth {n_layers}, rate {rate}{', warm-up' if warm_up else ''}": {
        "norm": norm,
        "n_layers": n_layers,
        "learning_rate": rate,
        "warm_up": warm_up,
    }
    for n_layers, rate in ((1, 0.01), (3, 0.01), (6, 0.01), (6, 0.003))
    for norm in ("pre", "post")
    for warm_up in (0, WARM_UP)
}


def first_gradients(model: TransformerTranslator, task: Task) -> list[float]:
    """Measure the gradient of each block before any training, on 256 examples.

    Returns:
        The root of the mean square over the numbers of each block, encoder first.
    """
    batch = task.batch(task.train[:256])
    token_loss(model(batch.source, batch.target_in), batch.target_out).backward()
    sizes = []
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        grads = torch.cat([p.grad.flatten() for p in block.parameters()])
        sizes.append(grads.square().mean().sqrt().item())
    model.zero_grad()
    return sizes


def train(
    model: TransformerTranslator, task: Task, *, seed: int, warm_up: int, learning_rate: float
) -> list[float]:
    """Train as ``fit`` does, but let the learning rate rise linearly over the first steps."""
    data = task.batch(task.train)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / max(1, warm_up), 2 * (STEPS - step) / STEPS),
    )
    losses = Losses()
    model.train()
    with seeded(seed):
        for rows in islice(batches(len(data), BATCH_SIZE), STEPS):
            batch = data.select(rows)
            loss = token_loss(model(batch.source, batch.target_in), batch.target_out)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()
    return losses


def run(seed: int, norm: str, n_layers: int, warm_up: int, learning_rate: float) -> dict[str, Any]:
    """Train one model and measure it."""
    task = number_words()
    model = make_model(task, seed, norm=norm, n_layers=n_layers, d_model=D_MODEL, d_ff=D_FF)
    gradients = first_gradients(model, task)
    losses = train(model, task, seed=seed, warm_up=warm_up, learning_rate=learning_rate)
    accuracy = evaluate(model, task)
    return {
        "gradients": gradients,
        "accuracy": accuracy,
        "mean accuracy": mean_accuracy(accuracy),
        "loss": sum(losses[-50:]) / 50,
        "losses": [sum(losses[i : i + 20]) / 20 for i in range(0, STEPS, 20)],
    }


def main() -> None:
    """Run all arms."""
    run_all("norm_place", ARMS, run)


if __name__ == "__main__":
    main()
